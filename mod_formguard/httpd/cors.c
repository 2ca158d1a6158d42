/* SPDX-License-Identifier: Apache-2.0 */
/* A script can read an answer from another origin only if the answer says so. A page of the same
 * host by another scheme or port is the site itself: its script is to show why a post was refused.
 * What any other page may read is for the site's own configuration to say. */
#include <string.h>

#include "apr_lib.h"
#include "apr_strings.h"
#include "apr_uri.h"

#include "http_protocol.h"
#include "http_request.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

#define NAME  "FORMGUARD_CORS"
#define ALLOW "Access-Control-Allow-Origin"

static ap_filter_rec_t *cors_filter;

static int has_name(const apr_array_header_t *names, const char *host, int wild)
{
    int i;

    for (i = 0; names != NULL && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (wild ? ap_strcasecmp_match(host, name) == 0 : strcasecmp(host, name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The host of an Origin (RFC 6454 7.1), NULL if it is none of the web's. */
static const char *host_of(const char *origin, apr_pool_t *pool)
{
    apr_uri_t uri;
    const char *p;

    for (p = origin; *p != '\0'; p++) {
        if (!apr_isalnum(*p) && strchr("-._:/[]", *p) == NULL) {
            return NULL;
        }
    }
    if (apr_uri_parse(pool, origin, &uri) != APR_SUCCESS || uri.scheme == NULL ||
        uri.hostname == NULL || uri.path != NULL ||
        (strcasecmp(uri.scheme, "http") != 0 && strcasecmp(uri.scheme, "https") != 0)) {
        return NULL;
    }
    return uri.hostname;
}

static int is_own(request_rec *r, const char *origin)
{
    const server_rec *s = r->server;
    const char *host = host_of(origin, r->pool);

    return host != NULL && (strcasecmp(host, s->server_hostname) == 0 ||
                            has_name(s->names, host, 0) || has_name(s->wild_names, host, 1));
}

/* Behind the filters of mod_headers: what stands there now is what the configuration says. */
static apr_status_t add_headers(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    ap_filter_t *next = f->next;
    const char *origin = apr_table_get(r->headers_in, "Origin");

    ap_remove_output_filter(f);
    if (apr_table_get(r->headers_out, ALLOW) == NULL &&
        apr_table_get(r->err_headers_out, ALLOW) == NULL) {
        apr_table_setn(r->err_headers_out, ALLOW, origin);
        apr_table_setn(r->err_headers_out, "Access-Control-Allow-Credentials", "true");
        apr_table_setn(r->err_headers_out, "Access-Control-Expose-Headers",
                       "Retry-After, RateLimit, RateLimit-Policy");
        apr_table_mergen(r->err_headers_out, "Vary", "Origin");
    }
    return ap_pass_brigade(next, bb);
}

void fg_cors_insert(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");

    if (origin != NULL && is_own(r, origin)) {
        ap_add_output_filter_handle(cors_filter, NULL, r, r->connection);
    }
}

/* Before an ErrorDocument that is a text, httpd drops the filters it had. */
static void insert_again(request_rec *r)
{
    const fg_request_t *fr = ap_get_module_config(r->request_config, &formguard_module);

    if (fr != NULL && fr->judged && fr->verdict.outcome == FG_OUT_REFUSE && !fr->verdict.would) {
        fg_cors_insert(r);
    }
}

void fg_cors_register(void)
{
    ap_hook_insert_error_filter(insert_again, NULL, NULL, APR_HOOK_MIDDLE);
    cors_filter = ap_register_output_filter(NAME, add_headers, NULL, AP_FTYPE_PROTOCOL - 1);
}
