/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file captcha_case.h
 * @brief For tests: a captcha service without a network, and replies as the services write them.
 *        After cmocka.h.
 */
#ifndef FG_TEST_CAPTCHA_CASE_H
#define FG_TEST_CAPTCHA_CASE_H

#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "captcha.h"

/* 2025-07-01T12:00:00Z */
#define NOW    APR_TIME_C(1751371200)
#define STAMP  "2025-07-01T11:59:50.123Z"
#define OLD    "2025-07-01T11:50:00Z"
#define SECRET "a-secret-of-this-site-0123456789"

static apr_pool_t *pool;

/* A service without a network, which gives one reply after the other, then the last for ever. */
#define REPLIES 4
typedef struct fake {
    fg_http_client_t base;
    fg_http_reply_t reply[REPLIES];
    int replies;
    fg_http_request_t request[REPLIES]; /* what it was asked */
    int asked;
} fake_t;

static inline void fake_post(fg_http_client_t *client, const fg_http_request_t *request,
                             fg_http_reply_t *reply, apr_pool_t *p)
{
    fake_t *fake = (fake_t *)client;

    (void)p;
    assert_true(fake->asked < REPLIES);
    fake->request[fake->asked] = *request;
    *reply = fake->reply[fake->asked < fake->replies ? fake->asked : fake->replies - 1];
    fake->asked++;
}

static inline void add_reply(fake_t *fake, fg_http_result_t result, int status, const char *body)
{
    fg_http_reply_t *reply = &fake->reply[fake->replies++];

    fake->base.post = fake_post;
    reply->result = result;
    reply->status = status;
    reply->body = body;
    reply->body_len = strlen(body);
    reply->error = result == FG_HTTP_OK ? NULL : "what went wrong";
    reply->took = apr_time_from_sec(1);
}

static inline fg_captcha_check_t check_for(const char *provider)
{
    fg_captcha_check_t check = {
        .provider = fg_captcha_provider(provider),
        .secret = SECRET,
        .site_key = "site-key",
        .project = "my-project-1",
        .timeout = apr_time_from_sec(3),
        .min_score = 0.5,
        .now = {.wall = apr_time_from_sec(NOW)},
    };
    apr_array_header_t *hosts = apr_array_make(pool, 1, sizeof(const char *));

    APR_ARRAY_PUSH(hosts, const char *) = "www.example.jp";
    check.hostnames = hosts;
    assert_non_null(check.provider);
    return check;
}

static inline fg_captcha_result_t verify(const fg_captcha_check_t *check, fake_t *fake)
{
    fg_captcha_result_t result;

    memset(&result, 0x5a, sizeof result);
    fg_captcha_verify(&fake->base, check, "a-visitors-token", &result, pool);
    assert_true(fake->asked > 0);
    if (result.detail) {
        assert_null(strstr(result.detail, SECRET));
        assert_null(strstr(result.detail, "a-visitors-token"));
    }
    return result;
}

/* A reply, and what is to be made of it. */
typedef struct row {
    int status;
    const char *body;
    fg_reason_t reason;
    fg_cause_t cause;
    const char *detail; /* a part of it; NULL: none at all */
} row_t;

static inline void assert_rows(const fg_captcha_check_t *check, const row_t *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const row_t *row = &rows[i];
        fake_t fake = {.replies = 0};
        fg_captcha_result_t result;

        add_reply(&fake, FG_HTTP_OK, row->status, row->body);
        result = verify(check, &fake);
        if (result.reason != row->reason || result.cause != row->cause) {
            fail_msg("%s %d %s: %s/%s, not %s/%s (%s)", check->provider->name, row->status,
                     row->body, fg_reason(result.reason)->tag, fg_cause_name(result.cause),
                     fg_reason(row->reason)->tag, fg_cause_name(row->cause),
                     result.detail ? result.detail : "-");
        }
        if (!row->detail != !result.detail ||
            (row->detail && !strstr(result.detail, row->detail))) {
            fail_msg("%s %s: detail `%s`, not `%s`", check->provider->name, row->body,
                     result.detail ? result.detail : "(none)",
                     row->detail ? row->detail : "(none)");
        }
    }
}
#define ROWS(rows) rows, sizeof rows / sizeof rows[0]

#define ACCEPTED     FG_ACCEPTED, FG_CAUSE_NONE
#define REJECTED     FG_CAPTCHA_REJECTED, FG_CAUSE_NONE
#define EXPIRED      FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE
#define ELSEWHERE    FG_CAPTCHA_HOSTNAME, FG_CAUSE_NONE
#define SERVER_ERROR FG_VERIFIER, FG_CAUSE_SERVER_ERROR
#define BAD_SECRET   FG_VERIFIER, FG_CAUSE_BAD_SECRET
#define QUOTA        FG_VERIFIER, FG_CAUSE_QUOTA

/* Faults of any reply, for services whose sound one is `body`. */
static inline void assert_faults(const char *provider, const char *body)
{
    static const char *const texts[] = {"",
                                        "null",
                                        "[]",
                                        "{}",
                                        "<html>",
                                        "\"success\"",
                                        "{\"success\":true",
                                        "{\"error\":{}}",
                                        "\xff\xfe"};
    fg_captcha_check_t check = check_for(provider);
    size_t i;
    const char *last = apr_pstrndup(pool, body, strlen(body) - 1);
    const row_t made[] = {
        {200, body, ACCEPTED, NULL},
        {200, apr_pstrcat(pool, body, " x", NULL), SERVER_ERROR, "JSON"},
        {200, apr_pstrcat(pool, "[", body, "]", NULL), SERVER_ERROR, "object"},
        {200, apr_pstrcat(pool, last, ",\"a\":[[[[[[[[[[1]]]]]]]]]]}", NULL), SERVER_ERROR, "JSON"},
        {200, apr_pstrcat(pool, last, ",\"a\":1,\"a\":1}", NULL), SERVER_ERROR, "strict"},
        {200, apr_pstrcat(pool, last, ",\"a\":\"\xff\"}", NULL), SERVER_ERROR, "JSON"},
        {200, apr_pstrcat(pool, last, ",\"a\":NaN}", NULL), SERVER_ERROR, "strict"},
        {200, apr_pstrcat(pool, last, ",\"a\":{\"b\":[1,null]}}", NULL), ACCEPTED, NULL},
        {429, body, QUOTA, "status=429"},
        {429, "", QUOTA, "status=429"},
        {201, body, SERVER_ERROR, "status=201"},
        {302, body, SERVER_ERROR, "status=302"},
        {400, body, SERVER_ERROR, "status=400"},
        {451, "", SERVER_ERROR, "status=451"},
        {500, body, SERVER_ERROR, "status=500"},
        {503, "", SERVER_ERROR, "status=503"},
    };

    assert_rows(&check, ROWS(made));
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const row_t row = {200, texts[i], SERVER_ERROR, ""};

        assert_rows(&check, &row, 1);
    }
}

/* --- replies: siteverify, Friendly Captcha, reCAPTCHA Enterprise --- */

#define YES(rest)                                                                                  \
    "{\"success\":true,\"challenge_ts\":\"" STAMP "\",\"hostname\":\"www.example.jp\"" rest "}"
#define NO(code) "{\"success\":false,\"error-codes\":[\"" code "\"]}"

#define FRIENDLY(origin, stamp)                                                                    \
    "{\"success\":true,\"data\":{\"event_id\":\"ev_CkK\",\"challenge\":{\"timestamp\":\"" stamp    \
    "\",\"origin\":\"" origin "\"},\"risk_intelligence\":null}}"
#define FRIENDLY_NO(code)                                                                          \
    "{\"success\":false,\"error\":{\"error_code\":\"" code "\",\"detail\":\"some words\"}}"

#define TOKEN(rest)       "\"tokenProperties\":{" rest "}"
#define VALID             "\"valid\":true,\"invalidReason\":\"INVALID_REASON_UNSPECIFIED\""
#define AT(host)          ",\"hostname\":\"" host "\",\"createTime\":\"" STAMP "\""
#define RISK(score)       ",\"riskAnalysis\":{\"score\":" score ",\"reasons\":[]}"
#define ASSESSMENT(rest)  "{\"name\":\"projects/1/assessments/2\"," rest "}"
#define GOOD(score, more) ASSESSMENT(TOKEN(VALID AT("www.example.jp") more) RISK(score))
#define INVALID(reason)   ASSESSMENT(TOKEN("\"valid\":false,\"invalidReason\":\"" reason "\""))
#define GOOGLE(status, reason)                                                                     \
    "{\"error\":{\"code\":0,\"message\":\"some words\",\"status\":\"" status                       \
    "\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.Help\"},"                         \
    "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"" reason                 \
    "\",\"domain\":\"googleapis.com\"}]}}"
#define GOOGLE_BARE(status) "{\"error\":{\"code\":0,\"message\":\"\",\"status\":\"" status "\"}}"
#define ACTION(word)        ",\"action\":\"" word "\""

static inline int set_up(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static inline int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

#endif
