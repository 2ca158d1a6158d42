/* SPDX-License-Identifier: Apache-2.0 */
/* The page that asks for the captcha built in and keeps what was posted, and the way back. */
#include <string.h>

#include "apr_strings.h"

#include "http_core.h"
#include "http_protocol.h"

#include "core/envelope.h"
#include "module.h"

APLOG_USE_MODULE(formguard);

#define PREFIX "/.well-known/formguard/"

/* Where the page's script puts an answer that goes with the same post, made once more. */
#define COOKIE "formguard-answer="

/* How long the answer beside a kept submission counts. Later the page comes again. */
#define COUNTS_FOR apr_time_from_sec(3600)

/*
 * The widget computes in a worker made of a blob and brings its own styles. Not in a frame of
 * another site: the page sends by itself, and one elsewhere could have it do so out of sight.
 */
#define CSP                                                                                        \
    "default-src 'self'; script-src 'self'; worker-src blob:; style-src 'self' 'unsafe-inline'; "  \
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "               \
    "frame-ancestors 'self'"

/* --- the way back ----------------------------------------------------------------------------- */

static int holds_envelope(const fg_request_t *fr)
{
    char head[sizeof(FG_ENVELOPE_FIELD)]; /* with a `=` for the NUL */
    apr_size_t len = sizeof(head);

    return apr_brigade_flatten(fr->body.kept, head, &len) == APR_SUCCESS && len == sizeof(head) &&
           memcmp(head, FG_ENVELOPE_FIELD, len - 1) == 0 &&
           fg_envelope_is(apr_table_get(fr->r->headers_in, "Content-Type"), head, len);
}

int fg_challenge_open(fg_request_t *fr, fg_captured_t *captured, const char **data, apr_size_t *len)
{
    request_rec *r = fr->r;
    fg_altcha_subject_t subject;
    fg_envelope_t envelope;
    apr_off_t size = 0;
    char *post;
    apr_size_t post_len;

    if (!holds_envelope(fr)) {
        return 0;
    }
    subject = fg_altcha_subject(fr);
    captured->capture = FG_CAPTURE_UNSEALED;
    if (apr_brigade_length(fr->body.kept, 1, &size) != APR_SUCCESS ||
        size > fg_envelope_post_len(FG_ENVELOPE_BODY_MAX) ||
        apr_brigade_pflatten(fr->body.kept, &post, &post_len, r->pool) != APR_SUCCESS ||
        !fg_envelope_open(fg_runtime()->altcha, &subject, post, post_len, fr->c.now.wall, &envelope,
                          r->pool)) {
        return 0;
    }
    captured->capture = FG_CAPTURE_WHOLE;
    captured->kept = 1;
    captured->fallback = envelope.fallback;
    if (envelope.fresh) {
        captured->answer = envelope.answer;
        captured->answer_len = envelope.answer_len;
    }
    if (envelope.type != NULL) {
        apr_table_setn(r->headers_in, "Content-Type", envelope.type);
    }
    else {
        apr_table_unset(r->headers_in, "Content-Type");
    }
    *data = envelope.body;
    *len = envelope.len;
    return 1;
}

/* Not by ap_cookie_read(): of a name that comes twice it takes neither and writes an error for each
 * request. The first one is that of the longest path (RFC 6265 5.4). */
const char *fg_challenge_shown(request_rec *r)
{
    const char *cookies = apr_table_get(r->headers_in, "Cookie");
    char *last;
    char *word;

    if (cookies == NULL || strstr(cookies, COOKIE) == NULL) {
        return NULL;
    }
    for (word = apr_strtok(apr_pstrdup(r->pool, cookies), "; ", &last); word != NULL;
         word = apr_strtok(NULL, "; ", &last)) {
        if (strncmp(word, COOKIE, sizeof(COOKIE) - 1) == 0) {
            return word + sizeof(COOKIE) - 1;
        }
    }
    return NULL;
}

/* --- the page --------------------------------------------------------------------------------- */

int fg_challenge_asked(const fg_request_t *fr)
{
    return fr->verdict.challenge && fr->body.whole && fr->r->method_number == M_POST;
}

const char *fg_challenge_url(request_rec *r)
{
    const request_rec *first = r;
    const char *path;

    while (first->prev != NULL) {
        first = first->prev;
    }
    /* As it was sent, since it is read there as a URL is; of an absolute URI only the path. */
    path = first->unparsed_uri != NULL && *first->unparsed_uri == '/'
               ? apr_pstrmemdup(r->pool, first->unparsed_uri, strcspn(first->unparsed_uri, "?#"))
               : ap_os_escape_path(r->pool, fg_facts_path_asked(r), 1);
    return apr_pstrcat(r->pool, PREFIX "challenge?form=", ap_escape_urlencoded(r->pool, path),
                       NULL);
}

/* The post that the page makes has to pass what limits bodies: ours and httpd's. */
static int can_keep(const fg_request_t *fr)
{
    apr_off_t size = fr->c.captured.size;
    apr_off_t post = fg_envelope_post_len(size);
    apr_off_t limit = ap_get_limit_req_body(fr->r);

    return fg_envelope_takes(apr_table_get(fr->r->headers_in, "Content-Type"), size) &&
           post <= fg_decide_body_limit(&fr->c) && (limit <= 0 || post <= limit);
}

/* @return the hidden field's value; NULL if nothing can be kept */
static const char *keep(const fg_request_t *fr)
{
    request_rec *r = fr->r;
    fg_altcha_subject_t subject = fg_altcha_subject(fr);
    fg_envelope_t envelope = {.type = apr_table_get(r->headers_in, "Content-Type"),
                              .fallback = fr->verdict.fallback};
    char *body;

    if (!can_keep(fr) ||
        apr_brigade_pflatten(fr->body.kept, &body, &envelope.len, r->pool) != APR_SUCCESS) {
        return NULL;
    }
    envelope.body = body;
    return fg_envelope_seal(fg_runtime()->altcha, &subject, &envelope, fr->c.now.wall + COUNTS_FOR,
                            r->pool);
}

/* 1 if the page may send by itself. Not what may have been delivered already (somebody reloads the
 * page that thanks him), nor again and again, nor what a page of another site has posted. */
static int sends_itself(const fg_request_t *fr)
{
    const char *site = apr_table_get(fr->r->headers_in, "Sec-Fetch-Site");

    return !fr->repeat && !fr->c.captured.kept && fr->verdict.reason != FG_CAPTCHA_EXPIRED &&
           (site == NULL || strcmp(site, "cross-site") != 0);
}

static const char *text_key(const fg_request_t *fr, const char *kept)
{
    if (fr->repeat) {
        return "challenge.repeat";
    }
    if (kept == NULL) {
        return "challenge.large";
    }
    if (fr->verdict.reason == FG_CAPTCHA_EXPIRED) {
        return "challenge.expired";
    }
    if (fr->c.captured.kept) {
        return "challenge.again";
    }
    return sends_itself(fr) ? "challenge.text" : "challenge.press";
}

/* No `action`: it goes where the page came from, whatever stands in front of this server. With
 * nothing kept it is not sent at all: its script takes the answer and goes back to the form. */
static const char *form(const fg_request_t *fr, const fg_told_t *told, const char *kept)
{
    apr_pool_t *pool = fr->r->pool;
    int language = told->language;
    const char *hidden =
        kept == NULL
            ? ""
            : apr_pstrcat(pool, "<input type=\"hidden\" name=\"" FG_ENVELOPE_FIELD "\" value=\"",
                          kept, "\">\n", NULL);

#define TEXT(key) ap_escape_html(pool, fg_pages_text(language, "challenge." key))
    return apr_pstrcat(
        pool, "<form id=\"formguard\" method=\"post\" data-sending=\"", TEXT("sending"),
        "\" data-done=\"", TEXT("done"), "\"",
        kept == NULL       ? " data-back"
        : sends_itself(fr) ? " data-auto"
                           : "",
        ">\n", hidden, "<altcha-widget auto=\"onload\" language=\"", fg_pages_tag(language),
        "\" challenge=\"", ap_escape_html(pool, fg_challenge_url(fr->r)),
        "\"></altcha-widget>\n<p><button>", kept == NULL ? TEXT("back") : TEXT("send"),
        "</button></p>\n<div id=\"formguard-state\" role=\"status\"></div>\n"
        "<p id=\"formguard-failed\" role=\"alert\" hidden>",
        TEXT("failed"), "</p>\n</form>\n<noscript><style>#formguard { display: none }</style>\n<p>",
        TEXT("noscript"), " ", ap_escape_html(pool, told->retry),
        "</p></noscript>\n<script defer src=\"" PREFIX "challenge.js\"></script>\n"
        "<script type=\"module\" src=\"" PREFIX "altcha.js\"></script>\n",
        NULL);
#undef TEXT
}

const char *fg_challenge_page(fg_request_t *fr, const fg_told_t *told)
{
    request_rec *r = fr->r;
    const char *kept = keep(fr);
    int language = told->language;
    const char *title = fr->repeat ? "repeat.title" : "challenge.title";
    const char *const values[FG_SLOTS] = {[FG_SLOT_LANG] = fg_pages_tag(language),
                                          [FG_SLOT_TITLE] = fg_pages_text(language, title),
                                          [FG_SLOT_TEXT] =
                                              fg_pages_text(language, text_key(fr, kept)),
                                          [FG_SLOT_FORM] = form(fr, told, kept),
                                          [FG_SLOT_CONTACT] = told->contact,
                                          [FG_SLOT_REFERENCE] = told->reference};

    apr_table_setn(r->err_headers_out, "Content-Security-Policy", CSP);
    /* The application may look at Referer, but no other site learns of it. */
    apr_table_setn(r->err_headers_out, "Referrer-Policy", "same-origin");
    apr_table_setn(r->err_headers_out, "X-Content-Type-Options", "nosniff");
    return fg_pages_challenge(r->pool, values);
}
