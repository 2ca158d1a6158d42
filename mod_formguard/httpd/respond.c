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

/* Longest id that Contact Form 7's `into` is given. */
#define UNIT_TAG_MAX 64

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

static apr_int64_t seconds_left(const fg_verdict_t *verdict)
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
        apr_psprintf(r->pool, "\"%s\";r=0;t=%" APR_INT64_T_FMT, name, seconds_left(verdict)));
}

static void set_headers(request_rec *r, const fg_verdict_t *verdict)
{
    apr_table_t *headers = r->err_headers_out; /* these stay with an ErrorDocument, too */

    apr_table_setn(headers, "Cache-Control", "no-store");
    if (verdict->retry_after > 0) {
        apr_table_setn(headers, "Retry-After",
                       apr_psprintf(r->pool, "%" APR_INT64_T_FMT, seconds_left(verdict)));
    }
    if (verdict->has_count && verdict->rule != NULL) {
        set_rate_headers(r, verdict);
    }
}

static const char *json_string(apr_pool_t *pool, const char *text)
{
    char *out = apr_palloc(pool, strlen(text) * 6 + 3);
    char *p = out;

    *p++ = '"';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20) {
            p += apr_snprintf(p, 7, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\') {
            *p++ = '\\';
        }
        *p++ = (char)c;
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

/* RFC 9457. The type is about:blank, so the title is the status' own; `reason` tells more. */
static const char *problem(fg_request_t *fr, int language, const char *key)
{
    const fg_verdict_t *verdict = &fr->verdict;
    apr_pool_t *pool = fr->r->pool;
    const char *text = fg_pages_text(language, apr_pstrcat(pool, key, ".text", NULL));
    const char *line = ap_get_status_line(verdict->status);
    const char *retry = "";
    const char *captcha = "";

    if (verdict->retry_after > 0) {
        retry = apr_psprintf(pool, ",\"retryAfter\":%" APR_INT64_T_FMT, seconds_left(verdict));
    }
    if (fg_challenge_asked(fr)) {
        captcha = apr_pstrcat(pool, ",\"captcha\":\"altcha\",\"challenge\":",
                              json_string(pool, fg_challenge_url(fr->r)), NULL);
    }
    return apr_psprintf(pool,
                        "{\"type\":\"about:blank\",\"title\":%s,\"status\":%d,\"detail\":%s,"
                        "\"reason\":%s%s%s}\n",
                        json_string(pool, strlen(line) > 4 ? line + 4 : line), verdict->status,
                        json_string(pool, text), json_string(pool, key), retry, captcha);
}

/* 1 if a preset of some policy in force answers in that shape. */
static int has_reply(const fg_case_t *c, fg_reply_t reply)
{
    int i;

    for (i = 0; i < c->layers; i++) {
        const fg_preset_t *preset = c->layer[i].policy->preset;

        if (preset != NULL && preset->reply == reply) {
            return 1;
        }
    }
    return 0;
}

/* Contact Form 7's script posts to .../contact-forms/ID/feedback, or with that as `rest_route`.
 * Its preset may hold for a whole site, whose other scripts expect no such thing. */
static int from_contact_form_7(const fg_request_t *fr)
{
    return has_reply(&fr->c, FG_REPLY_CONTACT_FORM_7) &&
           (strstr(fg_facts_path_asked(fr->r), "/contact-forms/") != NULL ||
            (fr->r->args != NULL && strstr(fr->r->args, "contact-forms") != NULL));
}

/* A field of Contact Form 7's own, reduced to what may stand in an id; "" if the body was not read
 * or it is not there. */
static const char *own_field(const fg_request_t *fr, const char *name)
{
    const fg_submission_t *submission = fr->c.captured.submission;
    const char *value =
        submission != NULL ? fg_submission_value(submission, name, NULL, NULL) : NULL;
    char *out;
    char *p;

    if (value == NULL) {
        return "";
    }
    for (p = out = apr_palloc(fr->r->pool, UNIT_TAG_MAX + 1); p < out + UNIT_TAG_MAX; value++) {
        if (*value == '\0') {
            break;
        }
        if (apr_isalnum(*value) || *value == '-' || *value == '_') {
            *p++ = *value;
        }
    }
    *p = '\0';
    return out;
}

static int number_at(const char *text)
{
    int number = 0;

    for (; apr_isdigit(*text) && number < 100000000; text++) {
        number = number * 10 + (*text - '0');
    }
    return number;
}

static int contact_form_id(const fg_request_t *fr)
{
    const char *at = strstr(fg_facts_path_asked(fr->r), "/contact-forms/");

    return number_at(at != NULL ? at + 15 : own_field(fr, "_wpcf7"));
}

/* What its script shows in its own place; with anything else its spinner would turn for ever (its
 * REST API, "feedback"). */
static const char *contact_form_7(fg_request_t *fr, int language, const char *key)
{
    apr_pool_t *pool = fr->r->pool;
    const char *text = fg_pages_text(language, apr_pstrcat(pool, key, ".text", NULL));

    return apr_psprintf(pool,
                        "{\"contact_form_id\":%d,\"status\":\"spam\",\"message\":%s,"
                        "\"into\":\"#%s\",\"invalid_fields\":[],\"posted_data_hash\":\"\"}\n",
                        contact_form_id(fr), json_string(pool, text),
                        own_field(fr, "_wpcf7_unit_tag"));
}

int fg_respond(fg_request_t *fr)
{
    request_rec *r = fr->r;
    const fg_verdict_t *verdict = &fr->verdict;
    const char *key = fg_reason(verdict->reason)->key;
    /* A step of the form rather than an error: an ErrorDocument would lose what was typed. */
    int challenge = fg_challenge_asked(fr) && !wants_json(r);
    const char *text;
    int language;

    set_headers(r, verdict);
    if (!challenge && ap_response_code_string(r, ap_index_of_response(verdict->status)) != NULL) {
        return verdict->status; /* the site has an ErrorDocument of its own */
    }
    language = fg_pages_language(r->pool, apr_table_get(r->headers_in, "Accept-Language"));
    r->status = verdict->status;
    apr_table_setn(r->err_headers_out, "Vary", "Accept, Accept-Language");
    apr_table_setn(r->err_headers_out, "Content-Language", fg_pages_tag(language));
    if (wants_json(r) && from_contact_form_7(fr)) {
        r->status = HTTP_OK;
        ap_set_content_type(r, "application/json");
        text = contact_form_7(fr, language, key);
    }
    else if (wants_json(r)) {
        ap_set_content_type(r, JSON_TYPE);
        text = problem(fr, language, key);
    }
    else if (challenge) {
        ap_set_content_type(r, "text/html; charset=utf-8");
        text = fg_challenge_page(fr, language);
    }
    else {
        ap_set_content_type(r, "text/html; charset=utf-8");
        text = fg_pages_refusal(r->pool, language, verdict->status, key,
                                apr_time_sec(verdict->retry_after + APR_USEC_PER_SEC - 1));
    }
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}
