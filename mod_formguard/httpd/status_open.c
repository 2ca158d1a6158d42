/* SPDX-License-Identifier: Apache-2.0 */
/* Closed forms opened from the status page: by a POST of its own page, where the server config says
 * FormGuardStatusOpen. .htaccess can't say it: who writes one would open everybody's forms. */
#include <string.h>

#include "apr_buckets.h"
#include "apr_strings.h"

#include "http_protocol.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

/* Most of a body that is read: one label is all it holds. */
#define BODY_MAX 1024

/* Most forms of one label that are opened at once. */
#define LABELS_MAX 64

int fg_status_opens(request_rec *r)
{
    const fg_policy_stack_t *stack = ap_get_module_config(r->per_dir_config, &formguard_module);

    return stack->server.status_open == FG_MODE_ON && fg_status_asked(r) &&
           fg_status_htaccess(r) == NULL;
}

/* A page of another site can send a form here in the name of whoever is admitted. A browser says
 * so: in Origin, and the newer ones in Sec-Fetch-Site. Without either it is no button of ours. */
static int from_own_page(const request_rec *r)
{
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site");
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *host = apr_table_get(r->headers_in, "Host");

    if (site != NULL && strcmp(site, "same-origin") != 0) {
        return 0;
    }
    /* Not the scheme: a proxy in front of httpd may have taken TLS off. */
    origin = origin != NULL ? strstr(origin, "://") : NULL;
    return origin != NULL && host != NULL && strcasecmp(origin + 3, host) == 0;
}

/* The value of `open` in the body. NULL: there is none. */
static const char *label_posted(request_rec *r, int *status)
{
    apr_array_header_t *pairs = NULL;
    const char *label = NULL;
    int i;

    *status = ap_parse_form_data(r, NULL, &pairs, 1, BODY_MAX);
    for (i = 0; *status == OK && pairs != NULL && i < pairs->nelts; i++) {
        const ap_form_pair_t *pair = &APR_ARRAY_IDX(pairs, i, ap_form_pair_t);
        char text[FG_CLOSURE_LABEL_MAX + 1];
        apr_size_t len = sizeof(text);

        if (pair->name != NULL && pair->value != NULL && strcmp(pair->name, "open") == 0 &&
            apr_brigade_flatten(pair->value, text, &len) == APR_SUCCESS && len < sizeof(text)) {
            label = apr_pstrmemdup(r->pool, text, len);
        }
    }
    return label;
}

/* Who it was: a user where the page asks for one. */
static const char *by_whom(request_rec *r)
{
    char *name = apr_palloc(r->pool, FG_LOG_VALUE_MAX + 1);

    return fg_log_value(name, r->user != NULL ? r->user : r->useragent_ip);
}

int fg_status_open(request_rec *r)
{
    const fg_runtime_t *runtime = fg_runtime();
    fg_counter_key_t full;
    const char *label;
    int status;
    int i;

    if (!from_own_page(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      "FG1103: no form is opened: the request does not come from this page: by=%s",
                      by_whom(r));
        return HTTP_FORBIDDEN;
    }
    label = label_posted(r, &status);
    if (status != OK) {
        return status;
    }
    if (label == NULL) {
        return HTTP_BAD_REQUEST;
    }
    for (i = 0;
         i < LABELS_MAX && fg_closures_open(runtime->closures, label, fg_facts_now().steady, &full);
         i++) {
        /* What has closed it is over still: the next post would close it again. */
        fg_counters_forget(runtime->counters, full);
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "FG1102: form open again: %s by=%s", label,
                      by_whom(r));
    }
    apr_table_setn(r->headers_out, "Location", ap_os_escape_path(r->pool, r->uri, 1));
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    return HTTP_SEE_OTHER;
}
