/* SPDX-License-Identifier: Apache-2.0 */
/* What the client gets when its post is refused. */
#include <string.h>

#include "apr_lib.h"
#include "apr_strings.h"

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_core.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

#define JSON_TYPE "application/problem+json"

/* A script rather than a page is waiting: it says so by Accept, by the header old libraries send,
 * or, for fetch() without any of them, by what the browser says of the request. */
static int wants_json(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    const char *with = apr_table_get(r->headers_in, "X-Requested-With");
    const char *dest = apr_table_get(r->headers_in, "Sec-Fetch-Dest");
    int html = fg_accept_quality(r->pool, accept, "text/html");
    int json = fg_accept_quality(r->pool, accept, "application/json");
    int problem = fg_accept_quality(r->pool, accept, JSON_TYPE);

    if (accept != NULL && html != (json > problem ? json : problem)) {
        return html < (json > problem ? json : problem);
    }
    if (accept != NULL && json > 0 && ap_strcasestr(accept, "json") != NULL &&
        ap_strcasestr(accept, "html") == NULL) {
        return 1; /* it names JSON, and takes a page only as it takes anything */
    }
    return (with != NULL && strcasecmp(with, "XMLHttpRequest") == 0) ||
           (dest != NULL && strcmp(dest, "empty") == 0);
}

apr_int64_t fg_respond_retry(const fg_verdict_t *verdict)
{
    return apr_time_sec(verdict->retry_after + APR_USEC_PER_SEC - 1);
}

/* Draft "RateLimit header fields for HTTP" of the IETF httpapi group, as of 2025. */
static void set_rate_headers(request_rec *r, const fg_verdict_t *verdict)
{
    const char *name = apr_pstrmemdup(r->pool, verdict->rule, strcspn(verdict->rule, " ="));

    apr_table_setn(r->err_headers_out, "RateLimit-Policy",
                   apr_psprintf(r->pool, "\"%s\";q=%u;w=%" APR_TIME_T_FMT, name,
                                verdict->rate_count, apr_time_sec(verdict->period)));
    apr_table_setn(
        r->err_headers_out, "RateLimit",
        apr_psprintf(r->pool, "\"%s\";r=0;t=%" APR_INT64_T_FMT, name, fg_respond_retry(verdict)));
}

static void set_headers(request_rec *r, const fg_verdict_t *verdict)
{
    apr_table_t *headers = r->err_headers_out; /* these stay with an ErrorDocument, too */

    apr_table_setn(headers, "Cache-Control", "no-store");
    if (verdict->retry_after > 0) {
        apr_table_setn(headers, "Retry-After",
                       apr_psprintf(r->pool, "%" APR_INT64_T_FMT, fg_respond_retry(verdict)));
    }
    if (verdict->has_count && verdict->rule != NULL) {
        set_rate_headers(r, verdict);
    }
}

static void tell(const fg_request_t *fr, int language, fg_told_t *told)
{
    const request_rec *r = fr->r;
    const fg_verdict_t *verdict = &fr->verdict;
    apr_int64_t left = fg_respond_retry(verdict);
    apr_time_t now = fr->c.now.wall;
    const char *key = fg_reason(verdict->reason)->key;

    told->language = language;
    told->key = key;
    if (verdict->challenged_for != FG_ACCEPTED) {
        key = fg_reason(verdict->challenged_for)->key; /* there is no check he could complete */
    }
    if (fr->repeat) {
        told->key = key = "repeat";
    }
    told->text = fg_pages_text(language, apr_pstrcat(r->pool, key, ".text", NULL));
    told->retry = fg_pages_retry(r->pool, language, left, now);
    /* Where a form has posted, and nobody else. */
    told->back = r->method_number == M_POST && verdict->reason != FG_DENY && !fr->repeat
                     ? fg_pages_text(language, "back")
                     : "";
    told->contact = fg_pages_text_with(r->pool, language, "contact", fg_policy_contact(fr->stack));
    told->reference = fg_pages_text_with(r->pool, language, "reference", fr->reference);
    told->time = fg_pages_time(r->pool, now);
}

int fg_respond(fg_request_t *fr)
{
    request_rec *r = fr->r;
    const fg_verdict_t *verdict = &fr->verdict;
    int json = wants_json(r);
    /* A step of the form rather than an error: an ErrorDocument would lose what was typed. */
    int challenge = fg_challenge_asked(fr) && !json;
    const char *text;
    fg_told_t told;

    /* Of a script's posts no answer is dropped: each of them is told what became of it. */
    fr->repeat = !json && fg_repeat_known(fr);
    set_headers(r, verdict);
    if (!challenge && !fr->repeat &&
        ap_response_code_string(r, ap_index_of_response(verdict->status)) != NULL) {
        return verdict->status; /* the site has an ErrorDocument of its own */
    }
    tell(fr, fg_pages_language(r->pool, apr_table_get(r->headers_in, "Accept-Language")), &told);
    r->status = verdict->status;
    apr_table_setn(r->err_headers_out, "Vary", "Accept, Accept-Language");
    apr_table_setn(r->err_headers_out, "Content-Language", fg_pages_tag(told.language));
    if (json) {
        text = fg_respond_json(fr, &told);
    }
    else if (challenge) {
        ap_set_content_type(r, "text/html; charset=utf-8");
        text = fg_challenge_page(fr, &told);
    }
    else {
        ap_set_content_type(r, "text/html; charset=utf-8");
        text = fg_pages_refusal(r->pool, &told, verdict->status);
    }
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}
