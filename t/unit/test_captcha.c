/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "captcha.h"

/* 2025-07-01T12:00:00Z */
#define NOW    APR_TIME_C(1751371200)
#define SECRET "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe"

static apr_pool_t *pool;

static fg_captcha_check_t check_for(const char *provider)
{
    fg_captcha_check_t check = {
        .provider = fg_captcha_provider(provider),
        .secret = SECRET,
        .timeout = apr_time_from_sec(3),
        .min_score = 0.5,
        .now = {.wall = apr_time_from_sec(NOW)},
    };
    apr_array_header_t *hosts = apr_array_make(pool, 2, sizeof(const char *));

    APR_ARRAY_PUSH(hosts, const char *) = "www.example.jp";
    APR_ARRAY_PUSH(hosts, const char *) = "*.shop.example";
    check.hostnames = hosts;
    assert_non_null(check.provider);
    return check;
}

static fg_captcha_result_t judge(const fg_captcha_check_t *check, int status, const char *body,
                                 apr_size_t len)
{
    fg_http_reply_t reply = {.status = status, .body = body, .body_len = len};
    fg_captcha_result_t result = {.reason = FG_INTERNAL};

    check->provider->judge(check, &reply, &result, pool);
    return result;
}

/* A reply, and what is to be made of it. */
typedef struct row {
    const char *body;
    fg_reason_t reason;
    fg_cause_t cause;
    const char *detail; /* a part of it; NULL: none at all */
} row_t;

static void assert_row(const fg_captcha_check_t *check, int status, const row_t *row)
{
    fg_captcha_result_t result = judge(check, status, row->body, strlen(row->body));

    if (result.reason != row->reason || result.cause != row->cause) {
        fail_msg("%d %s: %s/%s, not %s/%s (%s)", status, row->body, fg_reason(result.reason)->tag,
                 fg_cause_name(result.cause), fg_reason(row->reason)->tag,
                 fg_cause_name(row->cause), result.detail ? result.detail : "-");
    }
    if (!row->detail != !result.detail || (row->detail && !strstr(result.detail, row->detail))) {
        fail_msg("%s: detail `%s`, not `%s`", row->body, result.detail ? result.detail : "(none)",
                 row->detail ? row->detail : "(none)");
    }
}

static void assert_rows(const fg_captcha_check_t *check, const row_t *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        assert_row(check, 200, &rows[i]);
    }
}
#define ROWS(rows) rows, sizeof rows / sizeof rows[0]

#define V2(rest)         "{\"success\":true,\"challenge_ts\":\"2025-07-01T11:59:50Z\"" rest "}"
#define HOST(name)       ",\"hostname\":\"" name "\""
#define FALSE_FOR(codes) "{\"success\":false,\"error-codes\":[" codes "]}"
#define V3(score, action)                                                                          \
    V2(HOST("www.example.jp") ",\"score\":" score ",\"action\":\"" action "\"")
#define SERVER_ERROR FG_VERIFIER, FG_CAUSE_SERVER_ERROR
#define ACCEPTED     FG_ACCEPTED, FG_CAUSE_NONE

static void test_v2_success(void **state)
{
    static const row_t rows[] = {
        {V2(HOST("www.example.jp")), ACCEPTED, NULL},
        {V2(HOST("WWW.Example.JP")), ACCEPTED, NULL},
        {V2(HOST("a.shop.example")), ACCEPTED, NULL},
        {" \n" V2(HOST("www.example.jp")) "\r\n\t ", ACCEPTED, NULL},
        {V2(HOST("www.example.jp") ",\"error-codes\":[]"), ACCEPTED, NULL},
        {V2(HOST("www.example.jp") ",\"more\":{\"a\":[1,{\"b\":null}]}"), ACCEPTED, NULL},
        {V2(HOST("www.example.jp") ",\"a:b\":\"c:\\\"d\""), ACCEPTED, NULL},
        {V2(HOST("shop.example")), FG_CAPTCHA_HOSTNAME, FG_CAUSE_NONE, "hostname=shop.example"},
        {V2(HOST("www.example.jp.evil.example")), FG_CAPTCHA_HOSTNAME, FG_CAUSE_NONE, "evil"},
        {V2(HOST("")), FG_CAPTCHA_HOSTNAME, FG_CAUSE_NONE, "hostname=-"},
        {V2(HOST("a\\nFG1000: b")), FG_CAPTCHA_HOSTNAME, FG_CAUSE_NONE, "hostname=a_FG1000:_b"},
    };
    fg_captcha_check_t check = check_for("recaptcha-v2");

    (void)state;
    assert_rows(&check, ROWS(rows));
}

static void test_any_hostname(void **state)
{
    static const row_t row = {V2(HOST("elsewhere.example")), ACCEPTED, NULL};
    fg_captcha_check_t check = check_for("recaptcha-v2");

    (void)state;
    check.hostnames = NULL;
    assert_row(&check, 200, &row);
    check.hostnames = apr_array_make(pool, 1, sizeof(const char *));
    assert_row(&check, 200, &row);
}

static void test_error_codes(void **state)
{
    static const row_t rows[] = {
        {FALSE_FOR("\"missing-input-secret\""), FG_VERIFIER, FG_CAUSE_BAD_SECRET,
         "missing-input-secret"},
        {FALSE_FOR("\"invalid-input-secret\""), FG_VERIFIER, FG_CAUSE_BAD_SECRET,
         "invalid-input-secret"},
        {FALSE_FOR("\"missing-input-response\""), FG_CAPTCHA_REJECTED, FG_CAUSE_NONE,
         "missing-input-response"},
        {FALSE_FOR("\"invalid-input-response\""), FG_CAPTCHA_REJECTED, FG_CAUSE_NONE,
         "invalid-input-response"},
        {FALSE_FOR("\"timeout-or-duplicate\""), FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE,
         "timeout-or-duplicate"},
        {FALSE_FOR("\"bad-request\""), SERVER_ERROR, "bad-request"},
        {FALSE_FOR("\"a-new-code\""), FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, "code=a-new-code"},
        {FALSE_FOR("\"a\\\" b\\n\""), FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, "code=a__b_"},
        {FALSE_FOR(""), FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, NULL},
        {"{\"success\":false}", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, NULL},
        /* the gravest wins, wherever it stands */
        {FALSE_FOR("\"timeout-or-duplicate\",\"invalid-input-secret\""), FG_VERIFIER,
         FG_CAUSE_BAD_SECRET, "secret"},
        {FALSE_FOR("\"missing-input-secret\",\"bad-request\""), FG_VERIFIER, FG_CAUSE_BAD_SECRET,
         "secret"},
        {FALSE_FOR("\"invalid-input-response\",\"bad-request\""), SERVER_ERROR, "bad-request"},
        {FALSE_FOR("\"timeout-or-duplicate\",\"invalid-input-response\""), FG_CAPTCHA_REJECTED,
         FG_CAUSE_NONE, "invalid"},
        {FALSE_FOR("\"timeout-or-duplicate\",\"what\""), FG_CAPTCHA_REJECTED, FG_CAUSE_NONE,
         "what"},
        /* a failure says where and when at times */
        {"{\"success\":false,\"hostname\":\"www.example.jp\",\"error-codes\":[\"timeout-or-"
         "duplicate\"]}",
         FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, "timeout"},
        {FALSE_FOR("1"), SERVER_ERROR, "error-codes"},
        {FALSE_FOR("null"), SERVER_ERROR, "error-codes"},
        {"{\"success\":false,\"error-codes\":\"timeout-or-duplicate\"}", SERVER_ERROR,
         "error-codes"},
        {"{\"success\":false,\"error-codes\":{}}", SERVER_ERROR, "error-codes"},
        {V2(HOST("www.example.jp") ",\"error-codes\":[\"timeout-or-duplicate\"]"), SERVER_ERROR,
         "success with"},
    };
    fg_captcha_check_t v2 = check_for("recaptcha-v2"), v3 = check_for("recaptcha-v3");

    (void)state;
    assert_rows(&v2, ROWS(rows));
    assert_rows(&v3, ROWS(rows));
}

static void test_not_what_is_documented(void **state)
{
    static const row_t rows[] = {
        {"", SERVER_ERROR, "empty"},
        {"   ", SERVER_ERROR, "JSON"},
        {"true", SERVER_ERROR, "JSON"},
        {"[]", SERVER_ERROR, "object"},
        {"[" V2(HOST("www.example.jp")) "]", SERVER_ERROR, "object"},
        {"\"success\"", SERVER_ERROR, "object"},
        {"{}", SERVER_ERROR, "success"},
        {"<html>", SERVER_ERROR, "JSON"},
        {"{\"success\":true", SERVER_ERROR, "JSON"},
        {V2(HOST("www.example.jp")) "x", SERVER_ERROR, "JSON"},
        {V2(HOST("www.example.jp")) "{}", SERVER_ERROR, "JSON"},
        {V2(HOST("www.example.jp") ","), SERVER_ERROR, "JSON"},
        {"\xef\xbb\xbf" V2(HOST("www.example.jp")), SERVER_ERROR, "JSON"},
        {"{'success':true}", SERVER_ERROR, "strict"},
        {"/* */" V2(HOST("www.example.jp")), SERVER_ERROR, "JSON"},
        {"{success:true}", SERVER_ERROR, "JSON"},
        {V2(HOST("www\xff.example.jp")), SERVER_ERROR, "JSON"},
        {V2(HOST("www.example.jp") ",\"a\":[[[[[[[[[[1]]]]]]]]]]"), SERVER_ERROR, "JSON"},
        {V2(HOST("www.example.jp") ",\"success\":true"), SERVER_ERROR, "strict"},
        {V2(HOST("www.example.jp") ",\"a\":{\"b\":1,\"b\":1}"), SERVER_ERROR, "strict"},
        {V2(HOST("www.example.jp") ",\"succes\\u0073\":false"), SERVER_ERROR, "strict"},
        {V2(HOST("www.example.jp\\u0000.evil.example")), SERVER_ERROR, "strict"},
        {"{\"success\\u0000x\":true,\"challenge_ts\":\"2025-07-01T11:59:50Z\"" HOST(
             "www.example.jp") "}",
         SERVER_ERROR, "strict"},
        {V2(HOST("www.example.jp") ",\"a\":NaN"), SERVER_ERROR, "strict"},
        {V2(HOST("www.example.jp") ",\"a\":-Infinity"), SERVER_ERROR, "strict"},
        {V2(HOST("www.example.jp\t")), SERVER_ERROR, "strict"},
        {"{\"success\":\"true\"" HOST("www.example.jp") "}", SERVER_ERROR, "success"},
        {"{\"success\":1}", SERVER_ERROR, "success"},
        {"{\"success\":null}", SERVER_ERROR, "success"},
        {"{\"success\":[true]}", SERVER_ERROR, "success"},
        {"{\"Success\":true}", SERVER_ERROR, "success"},
        {V2(""), SERVER_ERROR, "hostname"},
        {V2(",\"hostname\":null"), SERVER_ERROR, "hostname"},
        {V2(",\"hostname\":[\"www.example.jp\"]"), SERVER_ERROR, "hostname"},
        {V2(",\"apk_package_name\":\"www.example.jp\""), SERVER_ERROR, "hostname"},
        {"{\"success\":true,\"hostname\":\"www.example.jp\"}", SERVER_ERROR, "challenge_ts"},
        {"{\"success\":true,\"challenge_ts\":1751371190" HOST("www.example.jp") "}", SERVER_ERROR,
         "challenge_ts"},
        {V2(HOST("www.example.jp") ",\"score\":\"0.9\""), SERVER_ERROR, "score"},
        {V2(HOST("www.example.jp") ",\"action\":1"), SERVER_ERROR, "action"},
    };
    fg_captcha_check_t check = check_for("recaptcha-v2");
    static const char nul[] = V2(HOST("www.example.jp")) "\0";
    static const char inner_nul[] = V2(HOST("www.example.jp\0.evil.example"));
    fg_captcha_result_t result;

    (void)state;
    assert_rows(&check, ROWS(rows));
    result = judge(&check, 200, nul, sizeof nul - 1);
    assert_int_equal(result.cause, FG_CAUSE_SERVER_ERROR);
    result = judge(&check, 200, inner_nul, sizeof inner_nul - 1);
    assert_int_equal(result.cause, FG_CAUSE_SERVER_ERROR);
}

static void test_statuses(void **state)
{
    static const row_t pass = {V2(HOST("www.example.jp")), ACCEPTED, NULL};
    static const row_t quota = {V2(HOST("www.example.jp")), FG_VERIFIER, FG_CAUSE_QUOTA,
                                "status=429"};
    static const row_t secret = {FALSE_FOR("\"invalid-input-secret\""), FG_VERIFIER,
                                 FG_CAUSE_BAD_SECRET, "code="};
    static const row_t rejected = {FALSE_FOR("\"invalid-input-response\""), FG_CAPTCHA_REJECTED,
                                   FG_CAUSE_NONE, "code="};
    static const row_t expired = {FALSE_FOR("\"timeout-or-duplicate\""), FG_CAPTCHA_EXPIRED,
                                  FG_CAUSE_NONE, "code="};
    static const row_t faults[] = {
        {V2(HOST("www.example.jp")), SERVER_ERROR, "status="},
        {FALSE_FOR("\"brand-new\""), SERVER_ERROR, "status="},
        {FALSE_FOR(""), SERVER_ERROR, "status="},
        {"{\"success\":0}", SERVER_ERROR, "status="},
        {"<html>", SERVER_ERROR, "status="},
        {"", SERVER_ERROR, "status="},
    };
    static const int odd[] = {0,   100, 199, 201, 204, 206, 301, 302, 304, 400,
                              401, 403, 404, 451, 500, 502, 503, 599, 999};
    fg_captcha_check_t check = check_for("recaptcha-v2");
    size_t i, n;

    (void)state;
    assert_row(&check, 200, &pass);
    assert_row(&check, 429, &quota);
    assert_row(&check, 200, &secret);
    for (i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        for (n = 0; n < sizeof faults / sizeof faults[0]; n++) {
            assert_row(&check, odd[i], &faults[n]);
        }
        /* A 4xx that says why: a visitor's token must not pass for a fault of the service, which
         * FormGuardCaptchaOnError may allow. */
        if (odd[i] / 100 == 4) {
            assert_row(&check, odd[i], &secret);
            assert_row(&check, odd[i], &rejected);
            assert_row(&check, odd[i], &expired);
        }
        else {
            fg_captcha_result_t result =
                judge(&check, odd[i], rejected.body, strlen(rejected.body));

            assert_int_equal(result.cause, FG_CAUSE_SERVER_ERROR);
        }
    }
}

static void test_v3(void **state)
{
    static const row_t rows[] = {
        {V3("0.9", "contact"), ACCEPTED, NULL},
        {V3("0.5", "contact"), ACCEPTED, NULL},
        {V3("1", "contact"), ACCEPTED, NULL},
        {V3("1.0", "contact"), ACCEPTED, NULL},
        {V3("0.49", "contact"), FG_CAPTCHA_SCORE, FG_CAUSE_NONE, "min=0.50"},
        {V3("0", "contact"), FG_CAPTCHA_SCORE, FG_CAUSE_NONE, "min=0.50"},
        {V3("0.9", "login"), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=login"},
        {V3("0.1", "login"), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=login"},
        {V3("0.9", "Contact"), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=Contact"},
        {V3("0.9", ""), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=-"},
        {V3("1.01", "contact"), SERVER_ERROR, "score"},
        {V3("-0.1", "contact"), SERVER_ERROR, "score"},
        {V3("2", "contact"), SERVER_ERROR, "score"},
        {V3("1e999", "contact"), SERVER_ERROR, "score"},
        {V3("NaN", "contact"), SERVER_ERROR, "strict"},
        {V3("\"0.9\"", "contact"), SERVER_ERROR, "score"},
        {V3("null", "contact"), SERVER_ERROR, "score"},
        {V3("true", "contact"), SERVER_ERROR, "score"},
        {V2(HOST("www.example.jp")), SERVER_ERROR, "v3"},
        {V2(HOST("www.example.jp") ",\"score\":0.9"), SERVER_ERROR, "action"},
        {V2(HOST("www.example.jp") ",\"action\":\"contact\""), SERVER_ERROR, "score"},
        {V2(HOST("www.example.jp") ",\"score\":0.9,\"action\":null"), SERVER_ERROR, "action"},
        {V2(HOST("evil.example") ",\"score\":0.9,\"action\":\"contact\""), FG_CAPTCHA_HOSTNAME,
         FG_CAUSE_NONE, "evil"},
    };
    static const row_t any = {V3("0.9", "login"), ACCEPTED, NULL};
    fg_captcha_check_t check = check_for("recaptcha-v3");

    (void)state;
    check.action = "contact";
    assert_rows(&check, ROWS(rows));
    check.action = NULL;
    assert_row(&check, 200, &any);
}

static void test_score_is_told(void **state)
{
    fg_captcha_check_t v2 = check_for("recaptcha-v2"), v3 = check_for("recaptcha-v3");
    fg_captcha_result_t result;
    const char *body = V3("0.3", "contact");

    (void)state;
    result = judge(&v3, 200, body, strlen(body));
    assert_int_equal(result.reason, FG_CAPTCHA_SCORE);
    assert_true(result.has_score && result.score == 0.3);
    /* A key of v3 written down as v2: its tokens are good whoever sends them. */
    result = judge(&v2, 200, body, strlen(body));
    assert_int_equal(result.reason, FG_CAPTCHA_SCORE);
    assert_true(result.has_score && result.score == 0.3);
    v2.min_score = 0.3;
    result = judge(&v2, 200, body, strlen(body));
    assert_int_equal(result.reason, FG_ACCEPTED);
    assert_true(result.has_score && result.score == 0.3);
    body = V2(HOST("www.example.jp"));
    result = judge(&v2, 200, body, strlen(body));
    assert_false(result.has_score);
}

/* Stamps, judged at 12:00:00Z with a life of 120 s and 60 s of leeway. */
static void test_age(void **state)
{
    static const struct {
        const char *stamp;
        fg_reason_t reason;
        const char *detail;
    } rows[] = {
        {"2025-07-01T12:00:00Z", FG_ACCEPTED, NULL},
        {"2025-07-01T11:57:00Z", FG_ACCEPTED, NULL},
        {"2025-07-01T11:56:59Z", FG_CAPTCHA_EXPIRED, "age=181s"},
        {"2025-07-01T11:57:00.999Z", FG_ACCEPTED, NULL},
        {"2025-07-01T20:59:00+09:00", FG_ACCEPTED, NULL},
        {"2025-07-01T20:59:00+0900", FG_ACCEPTED, NULL},
        {"2025-07-01T20:56:00+09:00", FG_CAPTCHA_EXPIRED, "age=240s"},
        {"2025-07-01T08:29:30-03:30", FG_ACCEPTED, NULL},
        {"2025-07-01T11:59:59.123456789+00:00", FG_ACCEPTED, NULL},
        {"2025-06-30T12:00:00Z", FG_CAPTCHA_EXPIRED, "age=86400s"},
        {"1970-01-01T00:00:00Z", FG_CAPTCHA_EXPIRED, "age="},
        {"2025-07-01T12:01:00Z", FG_ACCEPTED, NULL},
        {"2025-07-01T12:05:00Z", FG_ACCEPTED, "300s ahead"},
        {"2025-07-01T12:00:00", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01 12:00:00Z", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01T12:00Z", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01T12:00:00.Z", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01T12:00:00Zx", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01T12:00:00+09", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01T12:00:00+24:00", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01T12:00:00+09:60", FG_VERIFIER, "challenge_ts"},
        {"2025-07-01T24:00:00Z", FG_VERIFIER, "challenge_ts"},
        {"2025-06-31T12:00:00Z", FG_VERIFIER, "challenge_ts"},
        {"2025-02-29T12:00:00Z", FG_VERIFIER, "challenge_ts"},
        {"2024-02-29T12:00:00Z", FG_CAPTCHA_EXPIRED, "age="},
        {"2025-13-01T12:00:00Z", FG_VERIFIER, "challenge_ts"},
        {"2025-00-01T12:00:00Z", FG_VERIFIER, "challenge_ts"},
        {"2025-07-00T12:00:00Z", FG_VERIFIER, "challenge_ts"},
        {"1969-12-31T23:59:59Z", FG_VERIFIER, "challenge_ts"},
        {"20250701T120000Z", FG_VERIFIER, "challenge_ts"},
        {"yesterday", FG_VERIFIER, "challenge_ts"},
        {"", FG_VERIFIER, "challenge_ts"},
    };
    fg_captcha_check_t check = check_for("recaptcha-v2");
    fg_captcha_result_t result;
    const char *body;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        row_t row = {NULL, rows[i].reason, FG_CAUSE_NONE, rows[i].detail};
        row.body = apr_psprintf(
            pool, "{\"success\":true,\"hostname\":\"www.example.jp\",\"challenge_ts\":\"%s\"}",
            rows[i].stamp);
        row.cause = row.reason == FG_VERIFIER ? FG_CAUSE_SERVER_ERROR : FG_CAUSE_NONE;
        assert_row(&check, 200, &row);
    }
    check.max_age = apr_time_from_sec(600);
    body = "{\"success\":true,\"hostname\":\"www.example.jp\",\"challenge_ts\":\"2025-07-01T11:49:"
           "01Z\"}";
    result = judge(&check, 200, body, strlen(body));
    assert_int_equal(result.reason, FG_ACCEPTED);
    check.max_age = apr_time_from_sec(30);
    body = "{\"success\":true,\"hostname\":\"www.example.jp\",\"challenge_ts\":\"2025-07-01T11:58:"
           "29Z\"}";
    result = judge(&check, 200, body, strlen(body));
    assert_int_equal(result.reason, FG_CAPTCHA_EXPIRED);
}

/* A vendor without a network. */
typedef struct fake {
    fg_http_client_t base;
    fg_http_reply_t reply;
    fg_http_request_t request;
    int asked;
} fake_t;

static void fake_post(fg_http_client_t *client, const fg_http_request_t *request,
                      fg_http_reply_t *reply, apr_pool_t *p)
{
    fake_t *fake = (fake_t *)client;

    (void)p;
    fake->asked++;
    fake->request = *request;
    *reply = fake->reply;
}

static fake_t fake_with(int status, const char *body)
{
    fake_t fake = {.base = {fake_post}};

    fake.reply.status = status;
    fake.reply.body = body;
    fake.reply.body_len = strlen(body);
    fake.reply.took = 1234;
    return fake;
}

static void test_question(void **state)
{
    fg_captcha_check_t check = check_for("recaptcha-v2");
    fake_t fake = fake_with(200, V2(HOST("www.example.jp")));
    fg_captcha_result_t result;

    (void)state;
    check.ca_file = "/ca.pem";
    fg_captcha_verify(&fake.base, &check, "03AG_token-x", &result, pool);
    assert_int_equal(result.reason, FG_ACCEPTED);
    assert_int_equal(result.took, 1234);
    assert_string_equal(fake.request.url, "https://www.google.com/recaptcha/api/siteverify");
    assert_string_equal(fake.request.content_type, "application/x-www-form-urlencoded");
    assert_string_equal(fake.request.body, "secret=" SECRET "&response=03AG_token-x");
    assert_int_equal(fake.request.body_len, strlen(fake.request.body));
    assert_string_equal(fake.request.ca_file, "/ca.pem");
    assert_int_equal(fake.request.timeout, apr_time_from_sec(3));
    assert_true(fake.request.reply_max >= 4096);
    assert_null(fake.request.headers);

    check.endpoint = "https://www.recaptcha.net/recaptcha/api/siteverify";
    check.remote_ip = "2001:db8::1";
    check.secret = "a&b=c d%";
    fg_captcha_verify(&fake.base, &check, "x&secret=y+z#\"~", &result, pool);
    assert_string_equal(fake.request.url, check.endpoint);
    assert_int_equal(fake.asked, 2);
    assert_non_null(strstr(fake.request.body, "secret=a%26b%3"));
    assert_null(strstr(fake.request.body, "&secret=y"));
    assert_non_null(strstr(fake.request.body, "&response=x%26secret%3"));
    assert_non_null(strstr(fake.request.body, "y%2"));
    assert_null(strchr(fake.request.body, '#'));
    assert_null(strchr(fake.request.body, ' '));
    assert_non_null(strstr(fake.request.body, "&remoteip=2001%3"));
}

static void test_no_secret_is_not_asked(void **state)
{
    fg_captcha_check_t check = check_for("recaptcha-v2");
    fake_t fake = fake_with(200, V2(HOST("www.example.jp")));
    fg_captcha_result_t result;

    (void)state;
    check.secret = NULL;
    fg_captcha_verify(&fake.base, &check, "token", &result, pool);
    assert_int_equal(result.reason, FG_VERIFIER);
    assert_int_equal(result.cause, FG_CAUSE_BAD_SECRET);
    check.secret = "";
    fg_captcha_verify(&fake.base, &check, "token", &result, pool);
    assert_int_equal(result.cause, FG_CAUSE_BAD_SECRET);
    assert_int_equal(fake.asked, 0);
}

static void test_no_reply(void **state)
{
    static const struct {
        fg_http_result_t result;
        fg_cause_t cause;
    } rows[] = {
        {FG_HTTP_TIMEOUT, FG_CAUSE_TIMEOUT},
        {FG_HTTP_UNREACHABLE, FG_CAUSE_UNREACHABLE},
        {FG_HTTP_TOO_LARGE, FG_CAUSE_SERVER_ERROR},
        {FG_HTTP_FAILED, FG_CAUSE_SERVER_ERROR},
    };
    fg_captcha_check_t check = check_for("recaptcha-v3");
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fake_t fake = fake_with(200, V3("0.9", "contact")); /* must not be looked at */
        fg_captcha_result_t result;
        fake.reply.result = rows[i].result;
        fake.reply.error = "what went wrong";
        fg_captcha_verify(&fake.base, &check, "token", &result, pool);
        assert_int_equal(result.reason, FG_VERIFIER);
        assert_int_equal(result.cause, rows[i].cause);
        assert_string_equal(result.detail, "what went wrong");
        assert_int_equal(result.took, 1234);
        assert_false(result.has_score);
    }
}

/* A vendor that sends back what it was sent does not get it into the log. */
static void test_nothing_secret_in_detail(void **state)
{
    static const char token[] = "03AGdBq26-token-of-a-visitor-0123456789";
    const char *bodies[] = {
        FALSE_FOR("\"" SECRET "\""),
        FALSE_FOR("\"03AGdBq26-token-of-a-visitor-0123456789\""),
        FALSE_FOR("\"bad: 03AGdBq26-token-of-a-visitor-0123456789\""),
        V2(HOST(SECRET)),
        V2(HOST("03AGdBq26-token-of-a-visitor-0123456789")),
    };
    fg_captcha_check_t check = check_for("recaptcha-v2");
    size_t i;

    (void)state;
    for (i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        fake_t fake = fake_with(200, bodies[i]);
        fg_captcha_result_t result;
        fg_captcha_verify(&fake.base, &check, token, &result, pool);
        assert_int_not_equal(result.reason, FG_ACCEPTED);
        assert_non_null(result.detail);
        assert_null(strstr(result.detail, "6LeIxAcT"));
        assert_null(strstr(result.detail, "03AGdBq26"));
    }
}

static void test_well_formed(void **state)
{
    const fg_captcha_provider_t *p = fg_captcha_provider("recaptcha-v2");
    char *longest = apr_palloc(pool, p->token_max + 2);

    (void)state;
    memset(longest, 'a', p->token_max + 1);
    longest[p->token_max + 1] = '\0';
    assert_true(p->token_max > 4096);
    assert_true(fg_captcha_well_formed(p, longest, p->token_max));
    assert_false(fg_captcha_well_formed(p, longest, p->token_max + 1));
    assert_true(fg_captcha_well_formed(p, "!~", 2));
    assert_true(fg_captcha_well_formed(p, "03AG_a-b.c", 10));
    assert_false(fg_captcha_well_formed(p, "", 0));
    assert_false(fg_captcha_well_formed(p, NULL, 0));
    assert_false(fg_captcha_well_formed(p, "a b", 3));
    assert_false(fg_captcha_well_formed(p, "a\tb", 3));
    assert_false(fg_captcha_well_formed(p, "a\r\nb", 4));
    assert_false(fg_captcha_well_formed(p, "a\0b", 3));
    assert_false(fg_captcha_well_formed(p, "a\x7f", 2));
    assert_false(fg_captcha_well_formed(p, "\xe3\x81\x82", 3));
}

static void test_names(void **state)
{
    int i;

    (void)state;
    assert_string_equal(fg_captcha_provider("recaptcha-v2")->field, "g-recaptcha-response");
    assert_null(fg_captcha_provider("recaptcha"));
    assert_null(fg_captcha_provider(""));
    assert_null(fg_captcha_provider("off"));
    assert_string_equal(
        fg_captcha_provider_names(pool),
        "altcha, recaptcha-v2, recaptcha-v3, recaptcha-enterprise, hcaptcha, turnstile, friendly");
    for (i = FG_CAUSE_NONE + 1; i < FG_CAUSE_COUNT; i++) {
        assert_int_equal(fg_cause_by_name(fg_cause_name((fg_cause_t)i)), i);
    }
    assert_int_equal(fg_cause_by_name("none"), FG_CAUSE_NONE);
    assert_int_equal(fg_cause_by_name("Timeout"), FG_CAUSE_TIMEOUT); /* as directives are */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v2_success),    cmocka_unit_test(test_any_hostname),
        cmocka_unit_test(test_error_codes),   cmocka_unit_test(test_not_what_is_documented),
        cmocka_unit_test(test_statuses),      cmocka_unit_test(test_v3),
        cmocka_unit_test(test_score_is_told), cmocka_unit_test(test_age),
        cmocka_unit_test(test_question),      cmocka_unit_test(test_no_secret_is_not_asked),
        cmocka_unit_test(test_no_reply),      cmocka_unit_test(test_nothing_secret_in_detail),
        cmocka_unit_test(test_well_formed),   cmocka_unit_test(test_names),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
