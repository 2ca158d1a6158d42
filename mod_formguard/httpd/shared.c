/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that outlives restarts: counters, closed forms, statistics, log buckets, answers of
 * blocklists, used captcha tokens, states of captcha services, one behind the other in one
 * segment. */
#include <unistd.h>

#include "apr_general.h"
#include "apr_shm.h"
#include "apr_strings.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

#define RETAINED_KEY "mod_formguard memory 4"

/* Answers of blocklists that are kept. */
#define DNSBL_ENTRIES 16384

/* Tokens of captchas that were used. One is kept for its life, two to six minutes: at a quarter of
 * its size, where hardly a live key has to give way, the table takes 45 verifications a second,
 * which is more than the slots let through to a service that needs a tenth of one each. */
#define SPENT_ENTRIES 65536

/* Kept by the parent over restarts. Holds nothing of this shared object, which may be unloaded. */
typedef struct retained {
    apr_shm_t *shm;
    apr_uint32_t entries;
} retained_t;

typedef enum section {
    CLOSURES,
    STATS,
    THROTTLE,
    DNSBL,
    BREAKER,
    SECRETS,
    SPENT,
    COUNTERS,
    SECTIONS
} section_t;

typedef struct layout {
    apr_size_t offset[SECTIONS];
    apr_size_t size[SECTIONS];
    apr_size_t total;
} layout_t;

static void lay_out(layout_t *layout, apr_uint32_t entries)
{
    int i;

    layout->size[CLOSURES] = fg_closures_size();
    layout->size[STATS] = fg_stats_size();
    layout->size[THROTTLE] = fg_throttle_size();
    layout->size[DNSBL] = fg_dnsbl_cache_size(DNSBL_ENTRIES);
    layout->size[BREAKER] = fg_breaker_size();
    layout->size[SECRETS] = fg_secrets_size();
    layout->size[SPENT] = fg_counters_size(SPENT_ENTRIES);
    layout->size[COUNTERS] = fg_counters_size(entries);
    layout->total = 0;
    for (i = 0; i < SECTIONS; i++) {
        layout->offset[i] = layout->total;
        layout->total += APR_ALIGN(layout->size[i], 64);
    }
}

static apr_status_t format(char *base, const layout_t *layout, apr_uint32_t entries)
{
    unsigned char secret[16];
    apr_status_t rv = apr_generate_random_bytes(secret, sizeof(secret));

    if (rv == APR_SUCCESS &&
        fg_closures_format(base + layout->offset[CLOSURES], layout->size[CLOSURES]) == NULL) {
        rv = APR_EINVAL;
    }
    if (rv == APR_SUCCESS) {
        rv = fg_stats_format(base + layout->offset[STATS], layout->size[STATS], secret,
                             apr_time_now());
    }
    if (rv == APR_SUCCESS) {
        rv = fg_throttle_format(base + layout->offset[THROTTLE], layout->size[THROTTLE], secret);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_dnsbl_cache_format(base + layout->offset[DNSBL], layout->size[DNSBL], DNSBL_ENTRIES,
                                   secret);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_breaker_format(base + layout->offset[BREAKER], layout->size[BREAKER], secret);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_secrets_format(base + layout->offset[SECRETS], layout->size[SECRETS], secret);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_counters_format(base + layout->offset[SPENT], layout->size[SPENT], SPENT_ENTRIES,
                                secret);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_counters_format(base + layout->offset[COUNTERS], layout->size[COUNTERS], entries,
                                secret);
    }
    return rv;
}

static apr_status_t attach(const retained_t *kept, const layout_t *layout, fg_runtime_t *runtime,
                           apr_pool_t *pconf)
{
    char *base = apr_shm_baseaddr_get(kept->shm);
    apr_status_t rv = APR_EINVAL;

    if (apr_shm_size_get(kept->shm) < layout->total) {
        return APR_EINVAL;
    }
    runtime->closures = fg_closures_attach(base + layout->offset[CLOSURES], layout->size[CLOSURES]);
    if (runtime->closures != NULL) {
        rv = fg_stats_attach(&runtime->stats, base + layout->offset[STATS], layout->size[STATS],
                             pconf);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_throttle_attach(&runtime->throttle, base + layout->offset[THROTTLE],
                                layout->size[THROTTLE], pconf);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_dnsbl_cache_attach(&runtime->dnsbl_cache, base + layout->offset[DNSBL],
                                   layout->size[DNSBL], pconf);
    }
    if (rv == APR_SUCCESS) {
        rv = fg_counters_attach(&runtime->spent, base + layout->offset[SPENT], layout->size[SPENT],
                                pconf);
    }
    if (rv == APR_SUCCESS) {
        runtime->breaker = fg_breaker_attach(base + layout->offset[BREAKER], layout->size[BREAKER]);
        runtime->secrets = fg_secrets_attach(base + layout->offset[SECRETS], layout->size[SECRETS]);
        rv = runtime->breaker != NULL && runtime->secrets != NULL ? APR_SUCCESS : APR_EINVAL;
    }
    if (rv == APR_SUCCESS) {
        rv = fg_counters_attach(&runtime->counters, base + layout->offset[COUNTERS],
                                layout->size[COUNTERS], pconf);
    }
    return rv;
}

/* Shared memory is promised whether it is there or not, and who then writes to it is killed: what
 * can't be there is refused before. */
static int is_too_large(apr_size_t bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 && bytes > (apr_uint64_t)pages * (apr_uint64_t)size / 2;
}

static apr_status_t make(retained_t *made, const layout_t *layout, apr_uint32_t entries,
                         server_rec *s)
{
    apr_status_t rv;

    if (is_too_large(layout->total)) {
        return APR_ENOMEM;
    }
    /* In the process' own pool, so that a restart finds it again. */
    rv = apr_shm_create(&made->shm, layout->total, NULL, s->process->pool);
    if (rv == APR_SUCCESS) {
        made->entries = entries;
        rv = format(apr_shm_baseaddr_get(made->shm), layout, entries);
        if (rv != APR_SUCCESS) {
            apr_shm_destroy(made->shm);
        }
    }
    return rv;
}

/* A restart with more keys than there is memory for ends no server: it goes on with what it has. */
static int keep_old(const retained_t *kept, fg_runtime_t *runtime, apr_pool_t *pconf, server_rec *s)
{
    layout_t layout;

    if (kept->shm == NULL) {
        return 0;
    }
    lay_out(&layout, kept->entries);
    if (attach(kept, &layout, runtime, pconf) != APR_SUCCESS) {
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "FG2002: the counters go on as they were: shm:%u",
                 kept->entries);
    return 1;
}

int fg_shared_set_up(const fg_server_conf_t *conf, fg_runtime_t *runtime, apr_pool_t *pconf,
                     server_rec *s)
{
    apr_uint32_t entries = conf->counters != 0 ? conf->counters : FG_COUNTERS_DEFAULT;
    retained_t *kept = ap_retained_data_get(RETAINED_KEY);
    retained_t made = {NULL, 0};
    apr_status_t rv = APR_EINVAL;
    layout_t layout;

    lay_out(&layout, entries);
    if (kept == NULL) {
        kept = ap_retained_data_create(RETAINED_KEY, sizeof(*kept));
    }
    if (kept->shm != NULL && kept->entries == entries) {
        rv = attach(kept, &layout, runtime, pconf);
    }
    if (rv == APR_SUCCESS) {
        return 1;
    }
    rv = make(&made, &layout, entries, s);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "FG2002: FormGuardCounters shm:%u: no shared memory of %" APR_SIZE_T_FMT
                     " bytes",
                     entries, layout.total);
        return keep_old(kept, runtime, pconf, s);
    }
    if (kept->shm != NULL) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                     "FG2001: counters start anew: their size or layout has changed");
        apr_shm_destroy(kept->shm); /* old children keep their own map of it */
    }
    *kept = made;
    rv = attach(kept, &layout, runtime, pconf);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "FG2002: the counters can't be opened");
    }
    return rv == APR_SUCCESS;
}
