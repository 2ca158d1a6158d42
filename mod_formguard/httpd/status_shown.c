/* SPDX-License-Identifier: Apache-2.0 */
/* Where the status page is shown: only where the server config alone has set the handler. It shows
 * every customer's paths, clients and rules, and who writes a .htaccess may set any handler. httpd
 * does not keep who has set one, so no .htaccess at all may be in force. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_request.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

/* In r->notes: a folder whose .htaccess is in force on what mod_dir or mod_negotiation have put in
 * place of this request. ap_internal_fast_redirect() takes over the configuration and the notes of
 * a subrequest, but not its list of .htaccess files. */
#define NOTE "formguard-htaccess"

int fg_status_asked(const request_rec *r)
{
    /* Without a handler httpd takes the content type for its name, and old ones (CVE-2024-38476)
     * also the one a script has sent with a local redirect. */
    return r->handler != NULL && strcmp(r->handler, FG_STATUS_HANDLER) == 0 &&
           (r->content_type == NULL ||
            strncmp(r->content_type, FG_STATUS_HANDLER, sizeof(FG_STATUS_HANDLER) - 1) != 0);
}

const char *fg_status_htaccess(const request_rec *r)
{
    for (; r != NULL; r = r->prev != NULL ? r->prev : r->main) {
        const struct htaccess_result *file;

        for (file = r->htaccess; file != NULL; file = file->next) {
            if (file->htaccess != NULL) { /* NULL: looked for, and not there */
                return file->dir;
            }
        }
        if (apr_table_get(r->notes, NOTE) != NULL) {
            return apr_table_get(r->notes, NOTE);
        }
    }
    return NULL;
}

/* Not by its handler: a later hook, or its content type, may set that after the fast redirect. */
static int note_htaccess(request_rec *r)
{
    const char *dir = r->main != NULL ? fg_status_htaccess(r) : NULL;

    if (dir != NULL) {
        apr_table_setn(r->notes, NOTE, dir);
    }
    return DECLINED;
}

void fg_status_shown_register(void)
{
    ap_hook_fixups(note_htaccess, NULL, NULL, APR_HOOK_REALLY_LAST);
}
