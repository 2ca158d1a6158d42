/* SPDX-License-Identifier: Apache-2.0 */
#include "mpm_common.h"

#include "status.h"

/* Run by the parent every ten seconds: what is left to tell of a flood is told though nobody posts
 * any more. */
static int monitor(apr_pool_t *pool, server_rec *s)
{
    (void)pool;
    (void)s;
    if (fg_runtime()->throttle != NULL) {
        fg_log_summaries(fg_facts_now().steady);
    }
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    /* The watchdog's thread uses the HTTP client. */
    static const char *const after[] = {"mod_watchdog.c", NULL};

    (void)pool;
    fg_replay_register();
    fg_repeat_register();
    fg_cors_register();
    fg_wellknown_register();
    fg_inject_register();
    ap_hook_post_config(fg_runtime_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(fg_runtime_child_init, NULL, after, APR_HOOK_MIDDLE);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_MIDDLE);
    /* A content handler, not an access or fixups hook: those are bypassed by `Satisfy any`, skipped
     * on internal redirects, and run before other modules' body filters are in place. */
    ap_hook_handler(fg_handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(fg_status_handler, NULL, NULL, APR_HOOK_MIDDLE);
    fg_status_shown_register();
    fg_status_register();
}

/* clang-format off */
AP_DECLARE_MODULE(formguard) = {
    STANDARD20_MODULE_STUFF,
    fg_create_dir_config,
    fg_merge_dir_config,
    fg_create_server_config,
    fg_merge_server_config,
    fg_commands,
    register_hooks,
#ifdef AP_MODULE_HAS_FLAGS
    AP_MODULE_FLAG_NONE,
#endif
};
/* clang-format on */
