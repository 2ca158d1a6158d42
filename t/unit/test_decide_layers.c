/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "decide_world.h"

/* --- two layers ------------------------------------------------------------------------------- */

/* How many a limit of the site holds for the client. */
static apr_uint32_t site_used_by_client(const char *text)
{
    unsigned char key[FG_ADDRESS_KEY_MAX];
    fg_address_t address;

    assert_int_equal(fg_address_parse(&address, CLIENT), APR_SUCCESS);
    return used_under(&world.site, text, key, fg_address_client_key(&address, key));
}

static void a_post_is_judged_under_both(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit ip 2/10m");
    configure_site("FormGuard On");
    configure_site("FormGuardLimit ip 3/10m");
    configure_site("FormGuardCountry CN refuse");
    assert_accepted(decide());
    assert_int_equal(used_by_client("ip 2/10m"), 1);
    assert_int_equal(site_used_by_client("ip 3/10m"), 1);
    assert_accepted(decide());
    verdict = decide(); /* a higher limit of the site's is none */
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, "ip 2/10m");
    world.country = "CN";
    verdict = decide_from("198.51.100.1");
    assert_refused(verdict, FG_COUNTRY);
    assert_string_equal(verdict.rule, "CN refuse");
    assert_string_equal(world.calls, "country");
}

static void an_allowed_country_is_the_sites_opinion(void **state)
{
    (void)state;
    configure("FormGuardCountry DE refuse");
    configure_site("FormGuard On");
    configure_site("FormGuardCountry DE allow");
    assert_refused(decide(), FG_COUNTRY);
    /* and the other way round */
    memset(&world.policy, 0, sizeof(world.policy));
    configure("FormGuard On");
    configure("FormGuardCountry DE allow");
    configure_site("FormGuardCountry DE refuse");
    assert_refused(decide(), FG_COUNTRY);
}

static void each_step_is_taken_under_both_before_the_next(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 5/10m");
    configure_site("FormGuard On");
    configure_site("FormGuardCountry DE refuse");
    assert_refused(decide(), FG_COUNTRY);
    assert_int_equal(used_by_client("ip 5/10m"), 0);
    assert_string_equal(world.calls, "country"); /* looked up once */
}

static void a_site_that_is_off_says_nothing(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 1/10m");
    configure_site("FormGuard Off");
    configure_site("FormGuardCountry DE refuse");
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
}

static void what_a_refusal_was_charged_is_given_back_under_both(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 9/10m");
    configure("FormGuardLimit server 9/1h");
    configure_site("FormGuard On");
    configure_site("FormGuardLimit form 1/1h");
    assert_accepted(decide());
    assert_int_equal(used_by("server 9/1h", "server", 6), 1);
    /* A full form of one site must not use up what all sites share. */
    assert_refused(decide(), FG_LIMIT);
    assert_refused(decide(), FG_LIMIT);
    assert_int_equal(used_by("server 9/1h", "server", 6), 1);
    assert_int_equal(used_by_form_at_site("form 1/1h"), 1);
    assert_int_equal(used_by_client("ip 9/10m"), 3); /* attempts stay attempts */
}

/* --- form fields ------------------------------------------------------------------------------ */

static void a_layer_without_its_field_drops_out_alone(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 9/10m");
    configure_site("FormGuard On");
    configure_site("FormGuardFormField message");
    configure_site("FormGuardLimit ip 9/10m");
    configure_site("FormGuardLimit form 9/1h");
    configure_site("FormGuardField email empty");
    assert_accepted(decide());
    assert_int_equal(used_by_client("ip 9/10m"), 1);
    assert_int_equal(site_used_by_client("ip 9/10m"), 0);
    assert_int_equal(used_by_form_at_site("form 9/1h"), 0);
    world.posted = "email=x&message=y";
    assert_refused(decide(), FG_FIELD_FILLED);
    assert_int_equal(site_used_by_client("ip 9/10m"), 1);
}

static void the_servers_layer_drops_out_alone_too(void **state)
{
    (void)state;
    configure("FormGuardFormField message");
    configure("FormGuardLimit form 9/1h");
    configure("FormGuardCaptcha recaptcha-v2");
    configure_site("FormGuard On");
    configure_site("FormGuardLimit ip 1/10m");
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now");
    assert_int_equal(used_by_form("form 9/1h"), 0);
    assert_refused(decide(), FG_LIMIT);
}

static void when_both_drop_out_the_post_is_not_judged(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardFormField message");
    configure("FormGuardLimit ip 9/10m");
    configure_site("FormGuard On");
    configure_site("FormGuardFormField comment");
    configure_site("FormGuardLimit ip 9/10m");
    verdict = decide();
    assert_int_equal(verdict.outcome, FG_OUT_PASS);
    assert_int_equal(verdict.reason, FG_NOT_SUBMISSION);
    assert_false(verdict.would);
    assert_int_equal(used_by_client("ip 9/10m"), 0);
    assert_int_equal(site_used_by_client("ip 9/10m"), 0);
}

/* --- DetectionOnly on one side ---------------------------------------------------------------- */

static void a_site_in_detection_does_not_soften_the_server(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit ip 2/10m");
    configure_site("FormGuard DetectionOnly");
    configure_site("FormGuardCountry DE refuse");
    configure_site("FormGuardLimit form 9/1h");
    verdict = decide();
    assert_would(verdict, FG_COUNTRY);
    assert_string_equal(verdict.rule, "DE refuse");
    assert_string_equal(world.calls, "country capture now");
    assert_would(decide(), FG_COUNTRY);
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_false(verdict.would);
    assert_string_equal(verdict.rule, "ip 2/10m");
    assert_int_equal(used_by_form_at_site("form 9/1h"), 0); /* done with it at the country */
}

static void a_server_in_detection_does_not_soften_the_site(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuard DetectionOnly");
    configure("FormGuardLimit ip 1/10m");
    configure_site("FormGuard On");
    configure_site("FormGuardLimit ip 2/10m");
    assert_accepted(decide());
    verdict = decide();
    assert_would(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, "ip 1/10m");
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_false(verdict.would);
    assert_string_equal(verdict.rule, "ip 2/10m");
}

static void the_first_layer_that_would_refuse_is_told(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuard DetectionOnly");
    configure("FormGuardField email single-line");
    configure_site("FormGuard DetectionOnly");
    configure_site("FormGuardCountry DE refuse");
    world.posted = "email=a%0ab";
    verdict = decide();
    assert_would(verdict, FG_COUNTRY);
    world.country = "JP";
    verdict = decide();
    assert_would(verdict, FG_FIELD_LINES);
    world.posted = "email=a";
    assert_accepted(decide());
}

static void a_body_the_server_has_answered_for_is_lost_under_detection_too(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuard DetectionOnly");
    world.captured.capture = FG_CAPTURE_ANSWERED;
    world.captured.status = 408;
    verdict = decide();
    assert_int_equal(verdict.outcome, FG_OUT_ANSWERED);
    assert_int_equal(verdict.status, 408);
    assert_false(verdict.would);
}

/* --- one captcha ------------------------------------------------------------------------------ */

static void one_captcha_is_asked_the_sites(void **state)
{
    (void)state;
    configure("FormGuardCaptcha recaptcha-v3");
    configure("FormGuardCaptchaField server-token");
    configure_site("FormGuard On");
    configure_site("FormGuardCaptcha recaptcha-v2");
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now verify now");
    assert_ptr_equal(world.verified, &world.site);
    assert_string_equal(world.token, "the-token");
    world.posted = "email=x&server-token=t";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
}

static void without_one_of_the_sites_the_servers_is_asked(void **state)
{
    static const char *const lines[] = {"FormGuardLimit ip 99/1h", "FormGuardCaptcha off"};
    size_t i;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v3");
    configure_site("FormGuard On");
    for (i = 0; i < 2; i++) {
        configure_site(lines[i]);
        assert_accepted(decide());
        assert_ptr_equal(world.verified, &world.policy);
        world.posted = "email=x";
        assert_refused(decide(), FG_CAPTCHA_MISSING);
        world.posted = "g-recaptcha-response=t";
    }
}

static void a_captcha_that_is_not_asked_replaces_none(void **state)
{
    static const char *const lines[] = {"FormGuard DetectionOnly", "FormGuard Off",
                                        "FormGuard On\nFormGuardFormField no-such-field"};
    size_t i;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v3");
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char *last = NULL;
        char *line = apr_strtok(apr_pstrdup(pool, lines[i]), "\n", &last);

        memset(&world.site, 0, sizeof(world.site));
        for (; line != NULL; line = apr_strtok(NULL, "\n", &last)) {
            configure_site(line);
        }
        configure_site("FormGuardCaptcha recaptcha-v2");
        configure_site("FormGuardCaptchaField mine");
        world.posted = "mine=t";
        assert_refused(decide(), FG_CAPTCHA_MISSING);
        assert_string_equal(world.calls, "country capture now");
        world.posted = "mine=t&g-recaptcha-response=t";
        decide();
        assert_ptr_equal(world.verified, &world.policy);
    }
}

static void detection_of_the_server_spends_no_token_beside_the_sites(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuard DetectionOnly");
    configure("FormGuardCaptcha recaptcha-v2");
    configure_site("FormGuard On");
    configure_site("FormGuardLimit ip 99/1h");
    world.posted = "email=x";
    verdict = decide();
    assert_would(verdict, FG_CAPTCHA_MISSING);
    assert_string_equal(world.calls, "country capture now");
    configure_site("FormGuardCaptcha recaptcha-v2");
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_MISSING);
    assert_false(verdict.would);
}

static void detection_of_the_site_uses_nothing_a_second_time(void **state)
{
    (void)state;
    configure("FormGuardCaptcha altcha");
    configure("FormGuardCaptchaClearance 10m");
    configure_site("FormGuard DetectionOnly");
    configure_site("FormGuardCaptcha altcha");
    world.posted = "altcha=solved";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now cleared verify now");
    assert_ptr_equal(world.verified, &world.policy);
    /* With a clearance of its own, for another captcha: it is the same cookie. */
    configure_site("FormGuardCaptcha recaptcha-v2");
    configure_site("FormGuardCaptchaClearance 10m");
    world.cleared = 1;
    world.posted = "x=1";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now cleared");
}

static void nor_what_has_stood_in_for_the_servers_service(void **state)
{
    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=altcha");
    configure_site("FormGuard DetectionOnly");
    configure_site("FormGuardCaptcha altcha");
    world.result.reason = FG_VERIFIER;
    world.result.cause = FG_CAUSE_TIMEOUT;
    world.posted = "g-recaptcha-response=t&altcha=solved";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now verify now challenge note");
}

/* --- body limits ------------------------------------------------------------------------------ */

static apr_off_t inspected(void)
{
    fg_case_t c;

    prepare(&c, CLIENT);
    return fg_decide_body_limit(&c);
}

static void a_sites_limit_hides_nothing_from_the_server(void **state)
{
    (void)state;
    configure("FormGuardBodyLimit 64K over=pass");
    configure("FormGuardCaptcha recaptcha-v2");
    configure_site("FormGuard On");
    configure_site("FormGuardBodyLimit 1 over=pass");
    assert_int_equal(inspected(), 65536);
    world.posted = "email=x";
    world.captured.size = 7;
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    configure_site("FormGuardBodyLimit 1024G");
    assert_int_equal(inspected(), 65536);
    memset(&world.policy, 0, sizeof(world.policy)); /* no server's policy here */
    configure_site("FormGuardBodyLimit 1K");
    assert_int_equal(inspected(), 1024);
    world.layers = 1;
    configure("FormGuard On");
    assert_int_equal(inspected(), 64 * 1024 * 1024);
}

static void a_sites_lower_limit_refuses(void **state)
{
    (void)state;
    configure_site("FormGuard On");
    configure_site("FormGuardBodyLimit 100");
    world.captured.size = 100;
    assert_accepted(decide());
    world.captured.size = 101;
    assert_refused(decide(), FG_TOO_LARGE);
    configure_site("FormGuard DetectionOnly");
    assert_would(decide(), FG_TOO_LARGE);
    configure_site("FormGuard On");
    configure_site("FormGuardBodyLimit 100 over=pass");
    assert_accepted(decide());
}

static void over_pass_is_for_the_layer_that_says_it(void **state)
{
    (void)state;
    configure("FormGuardBodyLimit 64K");
    configure_site("FormGuard On");
    configure_site("FormGuardBodyLimit 64K over=pass");
    world.captured.capture = FG_CAPTURE_OVER;
    assert_refused(decide(), FG_TOO_LARGE);
    configure("FormGuardBodyLimit 64K over=pass");
    assert_accepted(decide());
    configure_site("FormGuardBodyLimit 64K over=refuse");
    assert_refused(decide(), FG_TOO_LARGE);
}

/* --- whose captcha's field is left out of the body -------------------------------------------- */

/* Its policy before the decision and, if it still is that one after it, 1 in `*still`. */
static const fg_policy_t *strips(int *still)
{
    fg_case_t c;
    fg_verdict_t verdict;
    const fg_policy_t *before;

    prepare(&c, CLIENT);
    before = fg_decide_strips(&c, fg_strip_create(0, pool));
    *world.calls = *world.token = *world.trace = '\0';
    fg_decide(&c, &verdict);
    *still = fg_decide_strips(&c, NULL) == before;
    return before;
}

static void the_layer_that_asks_says_whether_its_field_goes(void **state)
{
    int still;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    assert_null(strips(&still));
    configure("FormGuardCaptchaStrip On");
    assert_ptr_equal(strips(&still), &world.policy);
    assert_true(still);
    /* A site beside it that asks for none has no say (fg_policy_resolve() has put it in place). */
    configure_site("FormGuard On");
    configure_site("FormGuardCaptchaStrip Off");
    assert_ptr_equal(strips(&still), &world.policy);
    configure_site("FormGuardCaptcha recaptcha-v3");
    assert_null(strips(&still));
    configure_site("FormGuardCaptchaStrip On");
    assert_ptr_equal(strips(&still), &world.site);
    assert_true(still);
    /* What is not the site's business, it changes nothing in. */
    configure_site("FormGuardFormField other");
    assert_ptr_equal(strips(&still), &world.site);
    assert_false(still);
}

/* What the application gets of a body. */
static const char *stripped(const char *body)
{
    fg_case_t c;
    fg_body_t *reader;
    fg_strip_t *strip = fg_strip_create(0, pool);
    const fg_cut_t *cuts;
    int count;
    int i;

    prepare(&c, CLIENT);
    if (fg_decide_strips(&c, strip) == NULL) {
        return body;
    }
    assert_int_equal(fg_body_create(&reader, "application/x-www-form-urlencoded",
                                    &fg_body_default_caps, fg_submission_field,
                                    fg_submission_create(pool), pool),
                     FG_BODY_OK);
    fg_body_on_cut(reader, fg_strip_field, strip);
    fg_body_feed(reader, body, strlen(body));
    assert_int_equal(fg_body_finish(reader), FG_BODY_OK);
    cuts = fg_strip_cuts(strip, &count);
    for (i = count - 1; i >= 0; i--) {
        body = apr_pstrcat(pool, apr_pstrmemdup(pool, body, (apr_size_t)cuts[i].from),
                           body + cuts[i].to, NULL);
    }
    return body;
}

static void the_answer_to_the_built_in_challenge_is_for_nobody_else(void **state)
{
    const char *body = "a=1&g-recaptcha-response=2&altcha=3&b=4";

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    assert_string_equal(stripped(body), body);
    configure("FormGuardCaptchaOnError timeout=altcha");
    assert_string_equal(stripped(body), "a=1&g-recaptcha-response=2&b=4");
    configure("FormGuardCaptchaStrip On");
    assert_string_equal(stripped(body), "a=1&b=4");
    configure("FormGuardCaptchaVerify application");
    assert_string_equal(stripped(body), body);
    configure("FormGuardCaptchaVerify here");
    configure("FormGuardCaptchaStrip Off");
    assert_string_equal(stripped(body), body);
    configure("FormGuardCaptcha altcha");
    assert_string_equal(stripped(body), body);
    memset(&world.policy.captcha_strip, 0, sizeof(world.policy.captcha_strip));
    assert_string_equal(stripped(body), "a=1&g-recaptcha-response=2&b=4");
}

/* The widgets of hCaptcha and Turnstile send the token as reCAPTCHA does, too. */
static void a_second_copy_of_the_token_goes_with_the_first(void **state)
{
    const char *body = "a=1&g-recaptcha-response=2&h-captcha-response=3&cf-turnstile-response=4";

    (void)state;
    configure("FormGuardCaptcha hcaptcha");
    assert_string_equal(stripped(body), body);
    configure("FormGuardCaptchaStrip On");
    assert_string_equal(stripped(body), "a=1&cf-turnstile-response=4");
    configure("FormGuardCaptcha turnstile");
    assert_string_equal(stripped(body), "a=1&h-captcha-response=3");
    configure("FormGuardCaptcha recaptcha-v2");
    assert_string_equal(stripped(body), "a=1&h-captcha-response=3&cf-turnstile-response=4");
    configure("FormGuardCaptcha friendly");
    assert_string_equal(stripped(body), body);
}

static void detection_strips_nothing(void **state)
{
    int still;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaStrip On");
    configure("FormGuard DetectionOnly");
    assert_null(strips(&still));
    configure_site("FormGuard On");
    assert_null(strips(&still));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_post_is_judged_under_both),
        TEST(an_allowed_country_is_the_sites_opinion),
        TEST(each_step_is_taken_under_both_before_the_next),
        TEST(a_site_that_is_off_says_nothing),
        TEST(what_a_refusal_was_charged_is_given_back_under_both),
        TEST(a_layer_without_its_field_drops_out_alone),
        TEST(the_servers_layer_drops_out_alone_too),
        TEST(when_both_drop_out_the_post_is_not_judged),
        TEST(a_site_in_detection_does_not_soften_the_server),
        TEST(a_server_in_detection_does_not_soften_the_site),
        TEST(the_first_layer_that_would_refuse_is_told),
        TEST(a_body_the_server_has_answered_for_is_lost_under_detection_too),
        TEST(one_captcha_is_asked_the_sites),
        TEST(without_one_of_the_sites_the_servers_is_asked),
        TEST(a_captcha_that_is_not_asked_replaces_none),
        TEST(detection_of_the_server_spends_no_token_beside_the_sites),
        TEST(detection_of_the_site_uses_nothing_a_second_time),
        TEST(nor_what_has_stood_in_for_the_servers_service),
        TEST(a_sites_limit_hides_nothing_from_the_server),
        TEST(a_sites_lower_limit_refuses),
        TEST(over_pass_is_for_the_layer_that_says_it),
        TEST(the_layer_that_asks_says_whether_its_field_goes),
        TEST(the_answer_to_the_built_in_challenge_is_for_nobody_else),
        TEST(a_second_copy_of_the_token_goes_with_the_first),
        TEST(detection_strips_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
