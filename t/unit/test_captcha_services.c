/* SPDX-License-Identifier: Apache-2.0 */
/* hCaptcha and Turnstile: every reply they document, and what they are asked; and what is true of
 * all services. What all siteverify services have in common is in test_captcha.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "captcha_case.h"

/* --- siteverify: hCaptcha and Turnstile ------------------------------------------------------- */

static void hcaptcha(void **state)
{
    static const row_t rows[] = {
        {200, YES(",\"credit\":false"), ACCEPTED, NULL},
        /* of its Enterprise, where 1 is a robot */
        {200, YES(",\"score\":0.0,\"score_reason\":[\"safe\"]"), ACCEPTED, NULL},
        {200, YES(",\"score\":\"what\""), ACCEPTED, NULL},
        {200, "{\"success\":true,\"challenge_ts\":\"" STAMP "\",\"hostname\":\"not-provided\"}",
         ELSEWHERE, "hostname=not-provided"},
        {200, "{\"success\":true,\"challenge_ts\":\"" OLD "\",\"hostname\":\"www.example.jp\"}",
         EXPIRED, "age=600s"},
        {200, NO("missing-input-secret"), BAD_SECRET,
         "code=missing-input-secret (the service got no secret)"},
        {200, NO("invalid-input-secret"), BAD_SECRET,
         "code=invalid-input-secret (the service does not know this secret)"},
        {200, NO("missing-input-response"), REJECTED, "(the service got no token)"},
        {200, NO("invalid-input-response"), REJECTED, "(the service does not know this token)"},
        {200, NO("expired-input-response"), EXPIRED, "(the token has expired)"},
        {200, NO("already-seen-response"), EXPIRED, "(the token was used before)"},
        {200, NO("invalid-or-already-seen-response"), EXPIRED, "(the token was used before or"},
        {200, NO("bad-request"), SERVER_ERROR, "(the service finds the question malformed)"},
        {200, NO("missing-remoteip"), SERVER_ERROR, "FormGuardCaptchaSendRemoteIP On"},
        {200, NO("invalid-remoteip"), SERVER_ERROR, "code=invalid-remoteip (the service takes"},
        /* A visitor can bring these about with a token of another site, or the public one. */
        {200, NO("not-using-dummy-passcode"), REJECTED, "(a key for tests without"},
        {200, NO("not-using-dummy-secret"), REJECTED, "(the token for tests without"},
        {200, NO("sitekey-secret-mismatch"), REJECTED, "(the token's site key is not one of"},
        {400, NO("sitekey-secret-mismatch"), REJECTED, "(the token's site key is not one of"},
        {400, NO("missing-input-secret"), BAD_SECRET, "(the service got no secret)"},
        {200, NO("what-is-this"), REJECTED, "code=what-is-this"},
        {200, "{\"success\":false}", REJECTED, NULL},
    };
    fg_captcha_check_t check = check_for("hcaptcha");
    fg_captcha_result_t result;
    fake_t fake = {.replies = 0};

    (void)state;
    check.action = "contact"; /* it has none */
    assert_rows(&check, ROWS(rows));
    assert_faults("hcaptcha", YES(""));

    check.remote_ip = "192.0.2.7";
    check.site_key = "10000000-ffff-ffff&x=y";
    add_reply(&fake, FG_HTTP_OK, 200, YES(",\"score\":0.3"));
    result = verify(&check, &fake);
    assert_false(result.has_score);
    assert_string_equal(fake.request[0].url, "https://api.hcaptcha.com/siteverify");
    assert_string_equal(fake.request[0].content_type, "application/x-www-form-urlencoded");
    assert_string_equal(fake.request[0].body,
                        "secret=" SECRET "&response=a-visitors-token&remoteip=192.0.2.7"
                        "&sitekey=10000000-ffff-ffff%26x%3dy");
    assert_null(fake.request[0].headers);
    check.site_key = NULL;
    fake.asked = 0;
    verify(&check, &fake);
    assert_null(strstr(fake.request[0].body, "sitekey"));
}

static void turnstile(void **state)
{
    static const row_t rows[] = {
        {200, YES(",\"error-codes\":[],\"action\":\"contact\",\"cdata\":\"a\""), ACCEPTED, NULL},
        {200, YES(",\"action\":\"login\",\"cdata\":\"\""), FG_CAPTCHA_ACTION, FG_CAUSE_NONE,
         "action=login"},
        {200, YES(",\"action\":\"\""), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=-"},
        {200, YES(""), FG_CAPTCHA_ACTION, FG_CAUSE_NONE, "action=-"},
        {200, YES(",\"action\":null"), SERVER_ERROR, "action is no word"},
        {200, NO("missing-input-secret"), BAD_SECRET, "code=missing-input-secret (the service got"},
        {200, NO("invalid-input-secret"), BAD_SECRET, "(the service does not know this secret)"},
        {403, NO("invalid-input-secret"), BAD_SECRET, "(the service does not know this secret)"},
        {200, NO("missing-input-response"), REJECTED, "(the service got no token)"},
        {200, NO("invalid-input-response"), REJECTED, "(the service does not know this token)"},
        {200, "{\"success\":false,\"error-codes\":[\"invalid-input-response\"],\"messages\":[]}",
         REJECTED, "code="},
        {200, NO("bad-request"), SERVER_ERROR, "(the service finds the question malformed)"},
        {200, NO("timeout-or-duplicate"), EXPIRED, "(the token has expired or was used before)"},
        {200, NO("internal-error"), SERVER_ERROR, "code=internal-error (a fault inside"},
        /* of two codes the graver counts */
        {200, NO("internal-error\",\"timeout-or-duplicate"), EXPIRED, "timeout-or-duplicate"},
        {200, NO("timeout-or-duplicate\",\"internal-error"), EXPIRED, "timeout-or-duplicate"},
    };
    fg_captcha_check_t check = check_for("turnstile");
    fake_t fake = {.replies = 0};
    const char *key;
    size_t i;

    (void)state;
    check.action = "contact";
    assert_rows(&check, ROWS(rows));
    assert_faults("turnstile", YES(",\"action\":\"contact\""));

    add_reply(&fake, FG_HTTP_OK, 200, YES(",\"action\":\"contact\""));
    verify(&check, &fake);
    assert_string_equal(fake.request[0].url,
                        "https://challenges.cloudflare.com/turnstile/v0/siteverify");
    assert_null(strstr(fake.request[0].body, "sitekey"));
    key = strstr(fake.request[0].body, "&idempotency_key=");
    assert_non_null(key);
    key += strlen("&idempotency_key=");
    assert_int_equal(strlen(key), 36);
    for (i = 0; i < 36; i++) {
        assert_non_null(
            strchr(i == 8 || i == 13 || i == 18 || i == 23 ? "-" : "0123456789abcdef", key[i]));
    }
    assert_int_equal(key[14], '4');
    assert_non_null(strchr("89ab", key[19]));
    key = apr_pstrdup(pool, key);
    fake.asked = 0;
    verify(&check, &fake);
    assert_null(strstr(fake.request[0].body, key)); /* each question has its own */
    assert_true(fg_captcha_well_formed(check.provider, key, 36));
    assert_int_equal(check.provider->token_max, 2048);
}

/* A question that is put twice is the same question, and has the rest of the time. */
static void turnstile_is_asked_again(void **state)
{
    static const struct {
        fg_http_result_t result;
        int status;
        const char *body;
        int asked;
    } first[] = {
        {FG_HTTP_OK, 200, NO("internal-error"), 2},
        {FG_HTTP_OK, 400, NO("internal-error"), 2},
        {FG_HTTP_OK, 500, "", 2},
        {FG_HTTP_OK, 503, "<html>", 2},
        {FG_HTTP_UNREACHABLE, 0, "", 2},
        {FG_HTTP_OK, 200, YES(""), 1},
        {FG_HTTP_OK, 200, NO("timeout-or-duplicate"), 1},
        {FG_HTTP_OK, 200, NO("invalid-input-secret"), 1},
        {FG_HTTP_OK, 200, "<html>", 1},
        {FG_HTTP_OK, 404, "", 1},
        {FG_HTTP_OK, 429, "", 1},
        {FG_HTTP_TIMEOUT, 0, "", 1},
        {FG_HTTP_TOO_LARGE, 0, "", 1},
        {FG_HTTP_FAILED, 0, "", 1},
    };
    static const char *const others[] = {"recaptcha-v2", "recaptcha-v3", "recaptcha-enterprise",
                                         "hcaptcha", "friendly"};
    fg_captcha_check_t check = check_for("turnstile");
    fg_captcha_result_t result;
    size_t i, n;

    (void)state;
    for (i = 0; i < sizeof first / sizeof first[0]; i++) {
        fake_t fake = {.replies = 0};

        add_reply(&fake, first[i].result, first[i].status, first[i].body);
        add_reply(&fake, FG_HTTP_OK, 200, YES(""));
        result = verify(&check, &fake);
        assert_int_equal(fake.asked, first[i].asked);
        if (fake.asked == 2) {
            assert_int_equal(result.reason, FG_ACCEPTED);
            assert_null(result.detail);
            assert_int_equal(result.took, apr_time_from_sec(2));
            assert_string_equal(fake.request[0].body, fake.request[1].body);
            assert_int_equal(fake.request[0].timeout, apr_time_from_sec(3));
            assert_int_equal(fake.request[1].timeout, apr_time_from_sec(2));
        }
        for (n = 0; n < sizeof others / sizeof others[0]; n++) {
            fg_captcha_check_t other = check_for(others[n]);

            fake.asked = 0;
            verify(&other, &fake);
            assert_int_equal(fake.asked, 1);
        }
    }
    {
        fake_t fake = {.replies = 0};

        add_reply(&fake, FG_HTTP_OK, 200, NO("internal-error")); /* and so on */
        result = verify(&check, &fake);
        assert_int_equal(fake.asked, 2); /* not a third time */
        assert_int_equal(result.cause, FG_CAUSE_SERVER_ERROR);
        fake.asked = 0;
        check.timeout = apr_time_from_sec(1); /* no time is left */
        verify(&check, &fake);
        assert_int_equal(fake.asked, 1);
    }
}

/* --- all -------------------------------------------------------------------------------------- */

static void hosts(void **state)
{
    static const struct {
        const char *provider;
        const char *host;
        const char *url; /* NULL: none of its hosts */
    } rows[] = {
        {"recaptcha-v2", "www.google.com", "https://www.google.com/recaptcha/api/siteverify"},
        {"recaptcha-v2", "www.recaptcha.net", "https://www.recaptcha.net/recaptcha/api/siteverify"},
        {"recaptcha-v3", "WWW.Recaptcha.net", "https://www.recaptcha.net/recaptcha/api/siteverify"},
        {"friendly", "eu.frcapi.com", "https://eu.frcapi.com/api/v2/captcha/siteverify"},
        {"friendly", "global.frcapi.com", "https://global.frcapi.com/api/v2/captcha/siteverify"},
        {"hcaptcha", "api.hcaptcha.com", "https://api.hcaptcha.com/siteverify"},
        {"recaptcha-v2", "recaptcha.net", NULL},
        {"recaptcha-v2", "www.recaptcha.net.evil.example", NULL},
        {"recaptcha-v2", "eu.frcapi.com", NULL},
        {"recaptcha-v2", "127.0.0.1", NULL},
        {"recaptcha-v2", "", NULL},
        {"recaptcha-enterprise", "www.recaptcha.net", NULL},
        {"turnstile", "www.google.com", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *url = fg_captcha_url(fg_captcha_provider(rows[i].provider), rows[i].host, pool);

        if (rows[i].url) {
            assert_non_null(url);
            assert_string_equal(url, rows[i].url);
        }
        else {
            assert_null(url);
        }
    }
    assert_string_equal(fg_captcha_hosts(fg_captcha_provider("recaptcha-v3"), pool),
                        "www.google.com, www.recaptcha.net");
    assert_string_equal(fg_captcha_hosts(fg_captcha_provider("turnstile"), pool),
                        "challenges.cloudflare.com");
}

/* Each service is asked about a token that is none: what it says of that says what it knows. */
static void probing_a_secret(void **state)
{
    static const struct {
        const char *provider;
        int status;
        const char *body;
        fg_probe_t state;
    } rows[] = {
        {"recaptcha-v2", 200, NO("invalid-input-response"), FG_PROBE_KNOWN},
        {"recaptcha-v2", 200, NO("invalid-input-response\",\"invalid-input-secret"),
         FG_PROBE_REFUSED},
        {"recaptcha-v3", 200, NO("invalid-input-secret"), FG_PROBE_REFUSED},
        {"recaptcha-v3", 200, YES(""), FG_PROBE_UNTOLD},
        {"hcaptcha", 200, NO("invalid-input-response"), FG_PROBE_KNOWN},
        {"hcaptcha", 200, NO("not-using-dummy-passcode"), FG_PROBE_KNOWN},
        {"hcaptcha", 200, NO("invalid-input-secret"), FG_PROBE_REFUSED},
        {"hcaptcha", 200, NO("missing-remoteip"), FG_PROBE_UNTOLD},
        {"turnstile", 200, NO("invalid-input-response"), FG_PROBE_KNOWN},
        {"turnstile", 200, YES(""), FG_PROBE_KNOWN}, /* a secret for tests that always passes */
        {"turnstile", 200, NO("invalid-input-secret"), FG_PROBE_REFUSED},
        {"turnstile", 200, NO("internal-error"), FG_PROBE_UNTOLD},
        {"friendly", 200, FRIENDLY_NO("response_invalid"), FG_PROBE_KNOWN},
        {"friendly", 401, FRIENDLY_NO("auth_invalid"), FG_PROBE_REFUSED},
        {"friendly", 400, FRIENDLY_NO("bad_request"), FG_PROBE_UNTOLD},
        {"recaptcha-enterprise", 200, INVALID("MALFORMED"), FG_PROBE_KNOWN},
        {"recaptcha-enterprise", 400, GOOGLE("INVALID_ARGUMENT", "API_KEY_INVALID"),
         FG_PROBE_REFUSED},
        {"recaptcha-enterprise", 403, GOOGLE_BARE("PERMISSION_DENIED"), FG_PROBE_REFUSED},
        {"recaptcha-v2", 429, "", FG_PROBE_UNTOLD},
        {"recaptcha-v2", 500, NO("invalid-input-secret"), FG_PROBE_UNTOLD},
        {"recaptcha-v2", 200, "<html>", FG_PROBE_UNTOLD},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fg_captcha_check_t check = check_for(rows[i].provider);
        fake_t fake = {.replies = 0};
        fg_captcha_result_t result;
        fg_probe_t said;

        add_reply(&fake, FG_HTTP_OK, rows[i].status, rows[i].body);
        said = fg_captcha_probe(&fake.base, &check, &result, pool);
        if (said != rows[i].state) {
            fail_msg("%s %s: %d, not %d", rows[i].provider, rows[i].body, said, rows[i].state);
        }
        assert_non_null(strstr(fake.request[0].body, "mod_formguard-asks"));
    }
    for (i = FG_HTTP_TIMEOUT; i <= FG_HTTP_FAILED; i++) {
        fg_captcha_check_t check = check_for("hcaptcha");
        fake_t fake = {.replies = 0};
        fg_captcha_result_t result;

        add_reply(&fake, (fg_http_result_t)i, 0, "");
        assert_int_equal(fg_captcha_probe(&fake.base, &check, &result, pool), FG_PROBE_UNTOLD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hcaptcha),
        cmocka_unit_test(turnstile),
        cmocka_unit_test(turnstile_is_asked_again),
        cmocka_unit_test(hosts),
        cmocka_unit_test(probing_a_secret),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
