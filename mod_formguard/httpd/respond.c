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
    static const char *const types[] = {"text/html", "application/json", JSON_TYPE};
    const char *accept = apr_table_get(r->headers_in, "Accept");
    const char *with = apr_table_get(r->headers_in, "X-Requested-With");
    const char *dest = apr_table_get(r->headers_in, "Sec-Fetch-Dest");

    if (accept != NULL) {
        int quality[3];
        int best;

        fg_accept_qualities(accept, types, quality, 3);
        best = quality[1] > quality[2] ? quality[1] : quality[2];
        if (quality[0] != best) {
            return quality[0] < best;
        }
        if (quality[1] > 0 && ap_strcasestr(accept, "json") != NULL &&
            ap_strcasestr(accept, "html") == NULL) {
            return 1; /* it names JSON, and takes a page only as it takes anything */
        }
    }
    return (with != NULL && strcasecmp(with, "XMLHttpRequest") == 0) ||
           (dest != NULL && strcmp(dest, "empty") == 0);
}

apr_int64_t fg_respond_retry(const fg_verdict_t *verdict)
{
    return apr_time_sec(verdict->retry_after + APR_USEC_PER_SEC - 1);
}

/* Draft "RateLimit header fields for HTTP" of the IETF httpapi group, as of 2025. */
static void set_rate_headers(request_rec *r, const fg_verdict_t *verdict, const char *retry)
{
    apr_pool_t *pool = r->pool;
    const char *name = apr_pstrmemdup(pool, verdict->rule, strcspn(verdict->rule, " ="));

    apr_table_setn(
        r->err_headers_out, "RateLimit-Policy",
        apr_pstrcat(pool, "\"", name, "\";q=", apr_off_t_toa(pool, (apr_off_t)verdict->rate_count),
                    ";w=", apr_off_t_toa(pool, (apr_off_t)apr_time_sec(verdict->period)), NULL));
    apr_table_setn(r->err_headers_out, "RateLimit",
                   apr_pstrcat(pool, "\"", name, "\";r=0;t=", retry, NULL));
}

static void set_headers(request_rec *r, const fg_verdict_t *verdict)
{
    apr_table_t *headers = r->err_headers_out; /* these stay with an ErrorDocument, too */
    const char *retry = apr_off_t_toa(r->pool, (apr_off_t)fg_respond_retry(verdict));

    apr_table_setn(headers, "Cache-Control", "no-store");
    if (verdict->retry_after > 0) {
        apr_table_setn(headers, "Retry-After", retry);
    }
    if (verdict->has_count && verdict->rule != NULL) {
        set_rate_headers(r, verdict, retry);
    }
}

static void tell(const fg_request_t *fr, int language, fg_told_t *told)
{
    const request_rec *r = fr->r;
    const fg_verdict_t *verdict = &fr->verdict;
    const fg_common_t *common = fg_pages_common(language);
    fg_reason_t reason = fr->repeat ? FG_ABOUT_REPEAT : verdict->reason;
    apr_int64_t left = fg_respond_retry(verdict);
    apr_time_t now = fr->c.now.wall;

    told->language = language;
    told->key = fr->repeat ? "repeat" : fg_reason(reason)->key;
    told->title = fg_pages_about(language, reason)->title;
    if (!fr->repeat && verdict->challenged_for != FG_ACCEPTED) {
        reason = verdict->challenged_for; /* there is no check he could complete */
    }
    told->text = fg_pages_about(language, reason)->text;
    told->retry = fg_pages_retry(r->pool, language, left, now);
    /* Where a form has posted, and nobody else. */
    told->back =
        r->method_number == M_POST && verdict->reason != FG_DENY && !fr->repeat ? common->back : "";
    told->contact = fg_pages_with(r->pool, common->contact, fg_policy_contact(fr->stack));
    told->reference = fg_pages_with(r->pool, common->reference, fr->reference);
    told->time = fg_pages_time(r->pool, now);
}

/* One brigade with its end, which no filter has to gather first. @param text in r->pool */
static int send_text(request_rec *r, const char *text)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);
    apr_size_t len = strlen(text);

    ap_set_content_length(r, (apr_off_t)len);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(text, len, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    ap_pass_brigade(r->output_filters, bb); /* a client that is gone is no fault of ours */
    return OK;
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
    tell(fr, fg_pages_language(apr_table_get(r->headers_in, "Accept-Language")), &told);
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
    return send_text(r, text);
}
