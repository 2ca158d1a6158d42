/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind every contender: a form that reads its body as PHP does and costs next to
 * nothing else, and marks for callgrind, so that one server under it measures any number of works.
 *
 *     SetHandler bench-form     reads the body, answers "ran"; ?ms=500 takes so long, as a mailer
 *     SetHandler bench-mark     ?on ?off: callgrind counts; ?dump=NAME: what it counted since then
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

#include <valgrind/callgrind.h>

#define PIECE 8192 /* what mod_php asks for */

static int drain(request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    int more = 1;

    while (more) {
        apr_status_t rv =
            ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, PIECE);
        apr_bucket *b;

        if (rv) {
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        }
        for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
            const char *data;
            apr_size_t len;

            if (APR_BUCKET_IS_EOS(b)) {
                more = 0;
            }
            else if (!APR_BUCKET_IS_METADATA(b) &&
                     apr_bucket_read(b, &data, &len, APR_BLOCK_READ)) {
                return HTTP_BAD_REQUEST;
            }
        }
        apr_brigade_cleanup(bb);
    }
    return OK;
}

static int form(request_rec *r)
{
    int status = drain(r);

    if (status != OK) {
        return status;
    }
    if (r->args && strncmp(r->args, "ms=", 3) == 0) {
        apr_sleep(apr_time_from_msec(atoi(r->args + 3)));
    }
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, 4);
    ap_rputs("ran\n", r);
    return OK;
}

static int mark(request_rec *r)
{
    const char *what = r->args ? r->args : "";

    if (strcmp(what, "on") == 0) {
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_ZERO_STATS;
    }
    else if (strcmp(what, "off") == 0) {
        CALLGRIND_STOP_INSTRUMENTATION;
    }
    else if (strncmp(what, "dump=", 5) == 0) {
        CALLGRIND_DUMP_STATS_AT(apr_pstrdup(r->pool, what + 5));
    }
    else {
        return HTTP_BAD_REQUEST;
    }
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, 3);
    ap_rputs("ok\n", r);
    return OK;
}

static int handler(request_rec *r)
{
    if (!r->handler) {
        return DECLINED;
    }
    if (strcmp(r->handler, "bench-form") == 0) {
        return form(r);
    }
    return strcmp(r->handler, "bench-mark") == 0 ? mark(r) : DECLINED;
}

static void hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA bench_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, hooks, 0,
};
