/* SPDX-License-Identifier: Apache-2.0 */
/* The services that are asked in JSON: every reply they document, and what they are asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "captcha_case.h"

/* --- Friendly Captcha ------------------------------------------------------------------------- */

static void friendly(void **state)
{
    static const row_t rows[] = {
        {200, FRIENDLY("https://www.example.jp", STAMP), ACCEPTED, NULL},
        {200, FRIENDLY("https://WWW.example.jp:8443", STAMP), ACCEPTED, NULL},
        {200, FRIENDLY("http://www.example.jp/", STAMP), ACCEPTED, NULL},
        {200, FRIENDLY("https://evil.example", STAMP), ELSEWHERE, "hostname=evil.example"},
        {200, FRIENDLY("https://[2001:db8::1]:8443", STAMP), ELSEWHERE, "2001:db8::1"},
        {200, FRIENDLY("https://evil.example/://www.example.jp", STAMP), ELSEWHERE, "evil"},
        {200, FRIENDLY("", STAMP), ELSEWHERE, "hostname=-"},
        {200, FRIENDLY("https://www.example.jp", "2025-07-01T10:00:00Z"), EXPIRED, "age=7200s"},
        {200, FRIENDLY("https://www.example.jp", "soon"), SERVER_ERROR, "timestamp is no time"},
        {200, "{\"success\":true}", SERVER_ERROR, "challenge"},
        {200, "{\"success\":true,\"data\":{\"challenge\":[]}}", SERVER_ERROR, "challenge"},
        {200, "{\"success\":true,\"data\":{\"challenge\":{\"timestamp\":\"" STAMP "\"}}}",
         SERVER_ERROR, "origin"},
        {200, "{\"success\":true,\"data\":{\"challenge\":{\"origin\":\"https://a\"}}}",
         SERVER_ERROR, "timestamp"},
        {200, "{\"success\":\"true\"}", SERVER_ERROR, "success"},
        {401, FRIENDLY_NO("auth_required"), BAD_SECRET, "code=auth_required (the service got no"},
        {401, FRIENDLY_NO("auth_invalid"), BAD_SECRET,
         "code=auth_invalid (the service does not know this API key)"},
        {400, FRIENDLY_NO("sitekey_invalid"), BAD_SECRET, "FormGuardCaptchaSiteKey"},
        {400, FRIENDLY_NO("response_missing"), REJECTED, "(the service got no token)"},
        {400, FRIENDLY_NO("bad_request"), SERVER_ERROR, "malformed"},
        {405, FRIENDLY_NO("method_not_allowed"), SERVER_ERROR, "(the service wants a POST)"},
        {200, FRIENDLY_NO("response_invalid"), REJECTED, "(the service does not know this token)"},
        {200, FRIENDLY_NO("response_timeout"), EXPIRED, "(the token has expired)"},
        {200, FRIENDLY_NO("response_duplicate"), EXPIRED, "(the token was used before)"},
        {400, FRIENDLY_NO("response_duplicate"), EXPIRED, "(the token was used before)"},
        {200, FRIENDLY_NO("response_strange"), REJECTED, "code=response_strange"},
        {400, FRIENDLY_NO("strange"), SERVER_ERROR, "code=strange"},
        {401, "", SERVER_ERROR, "status=401"},
        {401, "{}", SERVER_ERROR, "status=401"},
        {401, "{\"success\":false}", SERVER_ERROR, "error_code"},
        {200, "{\"success\":false,\"error\":\"response_invalid\"}", SERVER_ERROR, "error_code"},
        {200, "{\"success\":false,\"error\":{\"error_code\":1}}", SERVER_ERROR, "error_code"},
        {200, "{\"success\":false}", SERVER_ERROR, "error_code"},
    };
    fg_captcha_check_t check = check_for("friendly");
    fake_t fake = {.replies = 0};

    (void)state;
    check.action = "contact"; /* it has none */
    assert_rows(&check, ROWS(rows));
    assert_faults("friendly", FRIENDLY("https://www.example.jp", STAMP));

    check.remote_ip = "192.0.2.7"; /* which it does not ask for */
    add_reply(&fake, FG_HTTP_OK, 200, FRIENDLY("https://www.example.jp", STAMP));
    verify(&check, &fake);
    assert_string_equal(fake.request[0].url, "https://global.frcapi.com/api/v2/captcha/siteverify");
    assert_string_equal(fake.request[0].content_type, "application/json");
    assert_string_equal(fake.request[0].headers[0], "X-API-Key: " SECRET);
    assert_null(fake.request[0].headers[1]);
    assert_string_equal(fake.request[0].body,
                        "{\"response\":\"a-visitors-token\",\"sitekey\":\"site-key\"}");
    assert_int_equal(fake.request[0].body_len, strlen(fake.request[0].body));
    check.site_key = NULL;
    check.endpoint = fg_captcha_url(check.provider, "eu.frcapi.com", pool);
    fake.asked = 0;
    verify(&check, &fake);
    assert_string_equal(fake.request[0].url, "https://eu.frcapi.com/api/v2/captcha/siteverify");
    assert_string_equal(fake.request[0].body, "{\"response\":\"a-visitors-token\"}");
}

/* A token is the visitor's own text. */
static void json_is_escaped(void **state)
{
    fg_captcha_check_t check = check_for("friendly");
    fg_captcha_result_t result;
    fake_t fake = {.replies = 0};

    (void)state;
    check.site_key = NULL;
    add_reply(&fake, FG_HTTP_OK, 200, FRIENDLY("https://www.example.jp", STAMP));
    fg_captcha_verify(&fake.base, &check, "a\",\"sitekey\":\"b\\", &result, pool);
    assert_string_equal(fake.request[0].body, "{\"response\":\"a\\\",\\\"sitekey\\\":\\\"b\\\\\"}");
}

/* --- reCAPTCHA Enterprise --------------------------------------------------------------------- */

static void enterprise_tokens(void **state)
{
    static const row_t rows[] = {
        {200, GOOD("0.9", ACTION("contact")), ACCEPTED, NULL},
        {200, GOOD("1", ACTION("contact")), ACCEPTED, NULL},
        {200, GOOD("0.5", ACTION("contact")), ACCEPTED, NULL},
        {200, GOOD("0.4", ACTION("contact")), FG_CAPTCHA_SCORE, FG_CAUSE_NONE, "min=0.50"},
        {200, GOOD("0.9", ACTION("login")), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=login"},
        {200, GOOD("0.9", ""), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=-"},
        {200, GOOD("1.1", ACTION("contact")), SERVER_ERROR, "score"},
        {200, GOOD("\"0.9\"", ACTION("contact")), SERVER_ERROR, "score"},
        /* 0 is left out where JSON is made from protobuf */
        {200,
         ASSESSMENT(TOKEN(VALID AT("www.example.jp") ACTION("contact")) ",\"riskAnalysis\":{}"),
         FG_CAPTCHA_SCORE, FG_CAUSE_NONE, "min=0.50"},
        {200, ASSESSMENT(TOKEN(VALID AT("www.example.jp") ACTION("contact"))), SERVER_ERROR,
         "riskAnalysis"},
        {200, ASSESSMENT(TOKEN(VALID AT("evil.example")) RISK("0.9")), ELSEWHERE, "evil.example"},
        {200, ASSESSMENT(TOKEN(VALID AT("")) RISK("0.9")), ELSEWHERE, "hostname=-"},
        {200, ASSESSMENT(TOKEN(VALID ",\"createTime\":\"" STAMP "\"") RISK("0.9")), ELSEWHERE,
         "hostname=-"},
        {200, ASSESSMENT(TOKEN(VALID ",\"hostname\":1") RISK("0.9")), SERVER_ERROR, "hostname"},
        {200, ASSESSMENT(TOKEN(VALID ",\"hostname\":\"www.example.jp\"") RISK("0.9")), SERVER_ERROR,
         "createTime"},
        {200,
         ASSESSMENT(TOKEN(VALID ",\"hostname\":\"www.example.jp\",\"createTime\":\"" OLD "\"")
                        RISK("0.9")),
         EXPIRED, "age=600s"},
        {200, INVALID("INVALID_REASON_UNSPECIFIED"), REJECTED, "(no reason is given)"},
        {200, INVALID("UNKNOWN_INVALID_REASON"), REJECTED, "code=UNKNOWN_INVALID_REASON ("},
        {200, INVALID("MALFORMED"), REJECTED, "code=MALFORMED (the service does not know"},
        {200, INVALID("EXPIRED"), EXPIRED, "(the token has expired)"},
        {200, INVALID("DUPE"), EXPIRED, "(the token was used before)"},
        {200, INVALID("MISSING"), REJECTED, "(the service got no token)"},
        {200, INVALID("SITE_MISMATCH"), REJECTED, "(the token is of another site key)"},
        {200, INVALID("BROWSER_ERROR"), REJECTED, "(a fault in the visitor's browser"},
        {200, INVALID("UNEXPECTED_ACTION"), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "another action"},
        {200, INVALID("BRAND_NEW"), REJECTED, "code=BRAND_NEW"},
        {200, ASSESSMENT(TOKEN("")), REJECTED, NULL}, /* false is left out, too */
        {200, ASSESSMENT(TOKEN("\"valid\":\"true\"")), SERVER_ERROR, "valid"},
        {200, ASSESSMENT(TOKEN("\"valid\":1")), SERVER_ERROR, "valid"},
        {200,
         ASSESSMENT(TOKEN("\"valid\":true,\"invalidReason\":\"DUPE\"" AT("www.example.jp"))
                        RISK("0.9")),
         SERVER_ERROR, "valid with"},
        {200, ASSESSMENT(TOKEN("\"valid\":true,\"invalidReason\":4")), SERVER_ERROR,
         "invalidReason"},
        {200, ASSESSMENT("\"tokenProperties\":[]"), SERVER_ERROR, "tokenProperties"},
    };
    fg_captcha_check_t check = check_for("recaptcha-enterprise");
    fg_captcha_result_t result;
    fake_t fake = {.replies = 0};

    (void)state;
    check.action = "contact";
    assert_rows(&check, ROWS(rows));
    check.action = NULL;
    assert_faults("recaptcha-enterprise", GOOD("0.9", ""));
    add_reply(&fake, FG_HTTP_OK, 200, GOOD("0.3", ""));
    result = verify(&check, &fake);
    assert_true(result.has_score && result.score == 0.3);
}

static void enterprise_errors(void **state)
{
    static const row_t rows[] = {
        {400, GOOGLE("INVALID_ARGUMENT", "API_KEY_INVALID"), BAD_SECRET,
         "code=API_KEY_INVALID (Google does not know this API key)"},
        {400, GOOGLE("INVALID_ARGUMENT", "API_KEY_EXPIRED"), BAD_SECRET, "has expired"},
        {400, GOOGLE("INVALID_ARGUMENT", "SOMETHING"), SERVER_ERROR, "code=INVALID_ARGUMENT ("},
        {400, GOOGLE_BARE("INVALID_ARGUMENT"), SERVER_ERROR, "code=INVALID_ARGUMENT ("},
        {400, GOOGLE_BARE("FAILED_PRECONDITION"), SERVER_ERROR, "code=FAILED_PRECONDITION ("},
        {401, GOOGLE_BARE("UNAUTHENTICATED"), BAD_SECRET, "code=UNAUTHENTICATED ("},
        {401, "", BAD_SECRET, "status=401"},
        {403, GOOGLE("PERMISSION_DENIED", "SERVICE_DISABLED"), BAD_SECRET, "not enabled"},
        {403, GOOGLE("PERMISSION_DENIED", "BILLING_DISABLED"), BAD_SECRET, "billing"},
        {403, GOOGLE("PERMISSION_DENIED", "CONSUMER_INVALID"), BAD_SECRET, "know the project"},
        {403, GOOGLE("PERMISSION_DENIED", "CONSUMER_SUSPENDED"), BAD_SECRET, "suspended"},
        {403, GOOGLE("PERMISSION_DENIED", "API_KEY_SERVICE_BLOCKED"), BAD_SECRET, "reCAPTCHA"},
        {403, GOOGLE("PERMISSION_DENIED", "API_KEY_HTTP_REFERRER_BLOCKED"), BAD_SECRET, "browsers"},
        {403, GOOGLE("PERMISSION_DENIED", "API_KEY_IP_ADDRESS_BLOCKED"), BAD_SECRET, "address"},
        {403, GOOGLE("PERMISSION_DENIED", "API_KEY_ANDROID_APP_BLOCKED"), BAD_SECRET, "apps"},
        {403, GOOGLE("PERMISSION_DENIED", "API_KEY_IOS_APP_BLOCKED"), BAD_SECRET, "apps"},
        {403, GOOGLE_BARE("PERMISSION_DENIED"), BAD_SECRET, "may not create assessments"},
        {403, "<html>", BAD_SECRET, "status=403"},
        {404, GOOGLE_BARE("NOT_FOUND"), BAD_SECRET, "project or site key"},
        {404, "<html>", BAD_SECRET, "status=404"},
        {429, GOOGLE("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"), QUOTA,
         "code=RATE_LIMIT_EXCEEDED (too many assessments)"},
        {429, GOOGLE("RESOURCE_EXHAUSTED", "RESOURCE_QUOTA_EXCEEDED"), QUOTA, "used up"},
        {429, GOOGLE_BARE("RESOURCE_EXHAUSTED"), QUOTA, "code=RESOURCE_EXHAUSTED ("},
        {403, GOOGLE("PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED"), QUOTA, "RATE_LIMIT_EXCEEDED"},
        {429, "", QUOTA, "status=429"},
        {429, GOOGLE_BARE("PERMISSION_DENIED"), QUOTA, "status=429"},
        {500, GOOGLE_BARE("INTERNAL"), SERVER_ERROR, "status=500"},
        {503, GOOGLE("PERMISSION_DENIED", "API_KEY_INVALID"), SERVER_ERROR, "status=503"},
        {400, "{\"error\":\"API_KEY_INVALID\"}", SERVER_ERROR, "status=400"},
        {400, "{\"error\":{\"status\":1,\"details\":{}}}", SERVER_ERROR, "status=400"},
        {400, "{\"error\":{\"details\":[1,null,{\"reason\":2}]}}", SERVER_ERROR, "status=400"},
    };
    fg_captcha_check_t check = check_for("recaptcha-enterprise");

    (void)state;
    assert_rows(&check, ROWS(rows));
}

static void enterprise_question(void **state)
{
    fg_captcha_check_t check = check_for("recaptcha-enterprise");
    fg_captcha_result_t result;
    fake_t fake = {.replies = 0};

    (void)state;
    add_reply(&fake, FG_HTTP_OK, 200, GOOD("0.9", ACTION("contact")));
    check.action = "contact";
    check.remote_ip = "2001:db8::1";
    verify(&check, &fake);
    assert_string_equal(
        fake.request[0].url,
        "https://recaptchaenterprise.googleapis.com/v1/projects/my-project-1/assessments");
    assert_string_equal(fake.request[0].content_type, "application/json");
    assert_string_equal(fake.request[0].headers[0], "X-Goog-Api-Key: " SECRET);
    assert_null(fake.request[0].headers[1]);
    assert_string_equal(fake.request[0].body,
                        "{\"event\":{\"token\":\"a-visitors-token\",\"siteKey\":\"site-key\","
                        "\"expectedAction\":\"contact\",\"userIpAddress\":\"2001:db8::1\"}}");
    check.action = NULL;
    check.remote_ip = NULL;
    check.endpoint = "https://localhost:1/v1";
    fake.asked = 0;
    verify(&check, &fake);
    assert_string_equal(fake.request[0].url,
                        "https://localhost:1/v1/projects/my-project-1/assessments");
    assert_string_equal(fake.request[0].body,
                        "{\"event\":{\"token\":\"a-visitors-token\",\"siteKey\":\"site-key\"}}");

    /* What it can't be asked without. */
    fake.asked = 0;
    check.site_key = "";
    fg_captcha_verify(&fake.base, &check, "token", &result, pool);
    assert_int_equal(result.cause, FG_CAUSE_BAD_SECRET);
    assert_string_equal(result.detail, "no FormGuardCaptchaSiteKey is set");
    check.project = NULL;
    fg_captcha_verify(&fake.base, &check, "token", &result, pool);
    assert_int_equal(result.cause, FG_CAUSE_BAD_SECRET);
    assert_string_equal(result.detail, "no FormGuardCaptchaProject is set");
    assert_int_equal(fake.asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(friendly),
        cmocka_unit_test(json_is_escaped),
        cmocka_unit_test(enterprise_tokens),
        cmocka_unit_test(enterprise_errors),
        cmocka_unit_test(enterprise_question),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
