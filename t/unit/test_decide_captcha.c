/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "decide_world.h"

/* --- captcha ---------------------------------------------------------------------------------- */

static void a_token_that_can_be_none_asks_no_vendor(void **state)
{
    static const struct {
        const char *posted;
        fg_reason_t reason;
        const char *detail; /* or NULL */
    } cases[] = {
        {"email=x", FG_CAPTCHA_MISSING, NULL},
        {"g-recaptcha-response=", FG_CAPTCHA_MISSING, NULL},
        {"g-recaptcha-response[]=t", FG_CAPTCHA_MISSING, NULL},
        {"g-recaptcha-response=t&g-recaptcha-response=", FG_CAPTCHA_MISSING, NULL},
        {"g-recaptcha-response=t&g-recaptcha-response[]=t", FG_CAPTCHA_MISSING, NULL},
        {"g-recaptcha-response=a+b", FG_CAPTCHA_SHAPE, "bytes=3"},
        {"g-recaptcha-response=t%00", FG_CAPTCHA_SHAPE, "bytes=2"},
        {"g-recaptcha-response=t%0d%0a", FG_CAPTCHA_SHAPE, "bytes=3"},
        {"g-recaptcha-response=%e3%81%82", FG_CAPTCHA_SHAPE, "bytes=3"},
    };
    char *cut = apr_palloc(pool, 30000);
    fg_verdict_t verdict;
    size_t i;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardLimit form 9/1h");
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world.posted = cases[i].posted;
        verdict = decide();
        assert_refused(verdict, cases[i].reason);
        assert_string_equal(verdict.rule, "recaptcha-v2");
        if (cases[i].detail != NULL) {
            assert_string_equal(verdict.detail, cases[i].detail);
        }
        else {
            assert_null(verdict.detail);
        }
        assert_string_equal(world.calls, "country capture now");
    }
    /* What is kept of it would do, but it is not the whole. */
    memset(cut, 't', 30000);
    memcpy(cut, "g-recaptcha-response=", 21);
    cut[21 + 20000] = '\0';
    world.posted = cut;
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_SHAPE);
    assert_string_equal(verdict.detail, "bytes=20000");
    assert_string_equal(world.calls, "country capture now");
    assert_int_equal(used_by_form("form 9/1h"), 0);
}

static void the_token_is_the_one_php_sees(void **state)
{
    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaField my.token");
    world.posted = "g-recaptcha-response=no&my.token=first&my_token=last";
    assert_accepted(decide());
    assert_string_equal(world.token, "last");
}

static void an_own_captcha_is_found_in_its_own_field_too(void **state)
{
    (void)state;
    configure("FormGuardCaptcha altcha");
    configure("FormGuardCaptchaField _wpcf7_recaptcha_response");
    world.posted = "altcha=mine";
    assert_accepted(decide());
    assert_string_equal(world.token, "mine");
    world.posted = "altcha=mine&_wpcf7_recaptcha_response=named";
    assert_accepted(decide());
    assert_string_equal(world.token, "named");
    world.posted = "";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
}

/* Contact Form 7's own reCAPTCHA posts its token in the field that the preset names. */
static void a_presets_field_is_not_the_own_captchas(void **state)
{
    (void)state;
    configure("FormGuardPreset contact-form-7");
    configure("FormGuardCaptcha altcha");
    assert_string_equal(fg_policy_captcha_field(&world.policy), "altcha");
    world.posted = "_wpcf7=1&altcha=mine&_wpcf7_recaptcha_response=its";
    assert_accepted(decide());
    assert_string_equal(world.token, "mine");
    configure("FormGuardCaptcha recaptcha-v3");
    assert_string_equal(fg_policy_captcha_field(&world.policy), "_wpcf7_recaptcha_response");
    configure("FormGuardCaptcha altcha");
    configure("FormGuardCaptchaField other");
    assert_string_equal(fg_policy_captcha_field(&world.policy), "other");
}

static int strips(const char *posted)
{
    fg_case_t c;
    fg_verdict_t verdict;

    world.posted = posted;
    prepare(&c, CLIENT);
    *world.calls = *world.trace = '\0';
    fg_decide(&c, &verdict);
    assert_accepted(verdict);
    assert_ptr_equal(fg_decide_strips(&c, NULL), &world.policy);
    *world.calls = '\0';
    return fg_decide_strip_holds(&c, &world.policy);
}

/* A site may have an ALTCHA of its own, whose field is called the same. */
static void what_is_none_of_ours_stays_in_the_body(void **state)
{
    (void)state;
    configure("FormGuardCaptcha altcha");
    assert_true(strips("altcha=mine")); /* it was judged */
    assert_string_equal(world.calls, "");
    configure("FormGuardCaptchaWhen challenged");
    assert_false(strips("altcha=its"));
    assert_string_equal(world.calls, "own");
    world.own = 1;
    assert_true(strips("altcha=mine"));
    world.own = 0;
    assert_true(strips("altcha=&name=H"));
    assert_true(strips("name=H"));
    assert_false(strips("altcha=no+token"));
    assert_string_equal(world.calls, "");
    configure("FormGuardCaptchaStrip On");
    assert_true(strips("altcha=its"));
}

static void an_application_asks_for_itself(void **state)
{
    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaVerify application");
    world.posted = "g-recaptcha-response=t";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now");
    world.posted = "g-recaptcha-response=";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    world.posted = "g-recaptcha-response=a+b";
    assert_refused(decide(), FG_CAPTCHA_SHAPE);
}

static void a_clearance_stands_for_a_token(void **state)
{
    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaClearance 10m");
    world.cleared = 1;
    world.posted = "g-recaptcha-response=stale";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now cleared");
    world.cleared = 0;
    world.posted = "x=1";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    world.posted = "g-recaptcha-response=t";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now cleared verify now");
}

static void what_the_vendor_says_is_the_verdict(void **state)
{
    static const fg_reason_t reasons[] = {FG_CAPTCHA_REJECTED, FG_CAPTCHA_EXPIRED,
                                          FG_CAPTCHA_HOSTNAME, FG_CAPTCHA_ACTION, FG_CAPTCHA_SCORE};
    apr_uint32_t i;

    (void)state;
    configure("FormGuardLimit ip 9/1h");
    configure("FormGuardLimit form 9/1h");
    configure("FormGuardCaptcha recaptcha-v3");
    world.result.has_score = 1;
    world.result.score = 0.25;
    world.result.detail = "what=differed";
    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        fg_verdict_t verdict;

        world.result.reason = reasons[i];
        verdict = decide();
        assert_refused(verdict, reasons[i]);
        assert_string_equal(verdict.rule, "recaptcha-v3");
        assert_string_equal(verdict.detail, "what=differed");
        assert_true(verdict.has_score);
        assert_true(verdict.score == 0.25);
        assert_non_null(strstr(world.trace, apr_psprintf(pool, "captcha: %s: what=differed",
                                                         fg_reason(reasons[i])->words)));
        assert_int_equal(used_by_client("ip 9/1h"), i + 1);
        assert_int_equal(used_by_form("form 9/1h"), 0);
    }
}

static void an_accepted_post_keeps_its_score(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v3");
    world.result.has_score = 1;
    world.result.score = 0.7;
    verdict = decide();
    assert_accepted(verdict);
    assert_true(verdict.has_score);
    assert_true(verdict.score == 0.7);
    assert_null(verdict.detail);
}

static void a_vendor_that_is_down_refuses_unless_told_otherwise(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=allow");
    configure("FormGuardLimit form 2/1h");
    world.result.reason = FG_VERIFIER;
    world.result.cause = FG_CAUSE_SERVER_ERROR;
    world.result.detail = "status=500";
    verdict = decide();
    assert_refused(verdict, FG_VERIFIER);
    assert_string_equal(verdict.detail, "cause=server-error status=500");
    assert_string_equal(verdict.rule, "recaptcha-v2");
    assert_string_equal(world.calls, "country capture now verify now");
    assert_int_equal(used_by_form("form 2/1h"), 0);

    world.result.cause = FG_CAUSE_BUSY;
    world.result.detail = NULL;
    verdict = decide();
    assert_refused(verdict, FG_VERIFIER);
    assert_string_equal(verdict.detail, "cause=busy");
}

static void an_error_that_is_allowed_is_noted_and_passes(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=allow");
    configure("FormGuardLimit form 1/1h");
    world.result.reason = FG_VERIFIER;
    world.result.cause = FG_CAUSE_TIMEOUT;
    verdict = decide();
    assert_accepted(verdict);
    assert_string_equal(world.calls, "country capture now verify now note");
    assert_refused(world.note, FG_VERIFIER);
    assert_string_equal(world.note.rule, "FormGuardCaptchaOnError allow");
    assert_string_equal(world.note.detail, "cause=timeout");
    assert_int_equal(used_by_form("form 1/1h"), 1);
    assert_refused(decide(), FG_LIMIT); /* who takes the vendor down gets no more than that */
}

static void a_service_left_alone_says_when_to_come_back(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=allow");
    world.result.reason = FG_VERIFIER;
    world.result.cause = FG_CAUSE_UNREACHABLE;
    world.result.retry_after = 7 * SECOND;
    verdict = decide();
    assert_refused(verdict, FG_VERIFIER);
    assert_int_equal(verdict.retry_after, 7 * SECOND);
    world.result.cause = FG_CAUSE_TIMEOUT;
    verdict = decide();
    assert_accepted(verdict);
    assert_int_equal(verdict.retry_after, 0);
}

static void the_challenge_takes_the_place_of_a_service(void **state)
{
    static const struct {
        const char *posted;
        fg_reason_t solved, reason;
        const char *detail; /* or NULL */
    } cases[] = {
        {"g-recaptcha-response=t", FG_ACCEPTED, FG_CAPTCHA_MISSING, "cause=timeout slow"},
        {"g-recaptcha-response=t&altcha=", FG_ACCEPTED, FG_CAPTCHA_MISSING, "cause=timeout slow"},
        {"g-recaptcha-response=t&altcha=a%00b", FG_ACCEPTED, FG_CAPTCHA_SHAPE, "bytes=3"},
        {"g-recaptcha-response=t&altcha=wrong", FG_CAPTCHA_REJECTED, FG_CAPTCHA_REJECTED, NULL},
        {"g-recaptcha-response=t&altcha=again", FG_CAPTCHA_EXPIRED, FG_CAPTCHA_EXPIRED, NULL},
    };
    fg_verdict_t verdict;
    size_t i;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=altcha");
    configure("FormGuardLimit form 9/1h");
    world.result.reason = FG_VERIFIER;
    world.result.cause = FG_CAUSE_TIMEOUT;
    world.result.detail = "slow";
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world.posted = cases[i].posted;
        world.solved.reason = cases[i].solved;
        verdict = decide();
        assert_refused(verdict, cases[i].reason);
        assert_string_equal(verdict.rule, "altcha");
        assert_true(verdict.fallback);
        if (cases[i].detail != NULL) {
            assert_string_equal(verdict.detail, cases[i].detail);
        }
        assert_int_equal(used_by_form("form 9/1h"), 0);
    }
    world.posted = "g-recaptcha-response=t&altcha=solved";
    world.solved.reason = FG_ACCEPTED;
    verdict = decide();
    assert_accepted(verdict);
    assert_false(verdict.fallback);
    assert_string_equal(world.answer, "solved");
    assert_string_equal(world.calls, "country capture now verify now challenge note");
    assert_refused(world.note, FG_VERIFIER);
    assert_string_equal(world.note.rule, "FormGuardCaptchaOnError altcha");
    assert_string_equal(world.note.detail, "cause=timeout slow");
}

/* Not where the service has judged, nor for a cause that refuses. */
static void the_challenge_is_no_way_round_a_service(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=altcha");
    world.posted = "g-recaptcha-response=t&altcha=solved";
    world.solved.reason = FG_ACCEPTED;
    world.result.reason = FG_CAPTCHA_REJECTED;
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_REJECTED);
    assert_false(verdict.fallback);
    world.result.reason = FG_VERIFIER;
    world.result.cause = FG_CAUSE_QUOTA;
    assert_refused(decide(), FG_VERIFIER);
    world.posted = "altcha=solved";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    assert_string_equal(world.answer, "");
}

/* --- limits on what is accepted --------------------------------------------------------------- */

static void a_forms_budget_is_charged_last(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit country 9/1h count=accepted");
    configure("FormGuardLimit form 1/1h");
    configure("FormGuardLimit ip 9/1h");
    configure("FormGuardCaptcha recaptcha-v2");
    world.result.reason = FG_CAPTCHA_REJECTED;
    assert_refused(decide(), FG_CAPTCHA_REJECTED);
    assert_int_equal(used_by_form("form 1/1h"), 0);
    world.result.reason = FG_ACCEPTED;
    assert_accepted(decide());
    assert_int_equal(used_by_form("form 1/1h"), 1);
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, "form 1/1h");
    assert_string_equal(world.calls, "country capture now verify now");
    /* What it refuses charges no other budget, but was an attempt. */
    assert_int_equal(used_by("country 9/1h count=accepted", "DE", 2), 1);
    assert_int_equal(used_by_client("ip 9/1h"), 3);
}

static void what_is_accepted_is_counted_when_it_is(void **state)
{
    (void)state;
    configure("FormGuardLimit form 1/10m");
    world.later.steady = world.now.steady + 1000 * SECOND; /* a slow upload */
    assert_accepted(decide());
    world.now.steady += 800 * SECOND;
    world.later.steady += SECOND;
    assert_refused(decide(), FG_LIMIT); /* a second after the other, not 800 */
}

/* --- DetectionOnly ---------------------------------------------------------------------------- */

static void detection_spends_no_token(void **state)
{
    (void)state;
    configure_everything();
    configure("FormGuard DetectionOnly");
    world.result.reason = FG_CAPTCHA_REJECTED;
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now");
    assert_non_null(strstr(world.trace, "captcha: DetectionOnly, the token is not spent"));
    assert_int_equal(used_by_form("form 2/1h"), 1);
}

static void detection_says_what_would_be_refused(void **state)
{
    (void)state;
    configure_everything();
    configure("FormGuard DetectionOnly");
    world.posted = "email=x";
    assert_would(decide(), FG_CAPTCHA_MISSING);
    world.captured.capture = FG_CAPTURE_MALFORMED;
    assert_would(decide(), FG_MALFORMED);
    assert_would(decide(), FG_MALFORMED);
    assert_would(decide(), FG_LIMIT);
    world.country = "CN";
    assert_would(decide(), FG_COUNTRY);
}

/* The challenge page sends its answer beside the submission. */
static void the_answer_of_the_challenge_page_counts(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha altcha");
    world.posted = "altcha=inner";
    world.captured.kept = 1;
    world.captured.answer = "page";
    world.captured.answer_len = 4;
    verdict = decide();
    assert_accepted(verdict);
    assert_false(verdict.challenge);
    assert_string_equal(world.token, "page");

    world.captured.answer_len = 5; /* a NUL in it, or more than was kept */
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_SHAPE);
    assert_true(verdict.challenge);
    world.captured.answer = "";
    world.captured.answer_len = 0;
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    world.captured.answer = NULL; /* of somebody else, or too late */
    assert_accepted(decide());
    assert_string_equal(world.token, "inner");

    world.captured.capture = FG_CAPTURE_UNSEALED;
    verdict = decide();
    assert_refused(verdict, FG_KEPT);
    assert_false(verdict.challenge);
}

/* A service that works again by now gets no token that has waited so long. */
static void who_was_challenged_in_place_of_a_service_passes(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=altcha");
    world.captured.kept = 1;
    world.captured.fallback = 1;
    world.captured.answer = "page";
    world.captured.answer_len = 4;
    world.solved.reason = FG_ACCEPTED;
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now challenge note");
    assert_string_equal(world.answer, "page");
    world.solved.reason = FG_CAPTCHA_EXPIRED;
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_EXPIRED);
    assert_true(verdict.challenge);
    assert_true(verdict.fallback);

    world.captured.fallback = 0; /* the page was for something else: the service is asked */
    world.result.reason = FG_CAPTCHA_REJECTED;
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_REJECTED);
    assert_false(verdict.challenge);
    assert_string_equal(world.calls, "country capture now verify now");
    world.captured.fallback = 1;
    world.captured.answer = NULL;
    assert_refused(decide(), FG_CAPTCHA_REJECTED);
    configure("FormGuardCaptchaOnError timeout=refuse");
    world.captured.answer = "page";
    assert_refused(decide(), FG_CAPTCHA_REJECTED);
}

/* Beside a post that was too large for the challenge page to keep. */
static void an_answer_that_is_shown_beside_counts_if_it_is_good(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCaptcha altcha");
    world.captured.shown = "shown";
    world.solved.reason = FG_ACCEPTED;
    world.posted = "x=1";
    verdict = decide();
    assert_accepted(verdict);
    assert_false(verdict.challenge);
    assert_string_equal(world.answer, "shown");
    world.posted = "altcha=old"; /* of the widget in the form */
    world.result.reason = FG_CAPTCHA_EXPIRED;
    world.result.detail = "used before";
    verdict = decide();
    assert_accepted(verdict);
    assert_null(verdict.detail);

    world.solved.reason = FG_CAPTCHA_EXPIRED;
    assert_refused(decide(), FG_CAPTCHA_EXPIRED);
    world.posted = "x=1";
    verdict = decide(); /* it is still there when the next post comes, and says nothing of that */
    assert_refused(verdict, FG_CAPTCHA_MISSING);
    assert_true(verdict.challenge);
    world.captured.shown = "a b";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    assert_string_equal(world.calls, "country capture now");

    world.captured.shown = "shown";
    world.solved.reason = FG_ACCEPTED;
    world.posted = "altcha=good";
    world.result.reason = FG_ACCEPTED;
    assert_accepted(decide());
    assert_string_equal(world.answer, ""); /* not looked at */
}

static void an_answer_that_is_shown_is_for_the_built_in_captcha(void **state)
{
    (void)state;
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaOnError timeout=altcha");
    world.captured.shown = "shown";
    world.solved.reason = FG_ACCEPTED;
    world.posted = "x=1";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    world.posted = "g-recaptcha-response=t";
    world.result.reason = FG_CAPTCHA_REJECTED;
    assert_refused(decide(), FG_CAPTCHA_REJECTED);
    assert_string_equal(world.answer, "");
    world.result.reason = FG_VERIFIER;
    world.result.cause = FG_CAUSE_TIMEOUT;
    assert_accepted(decide());
    assert_string_equal(world.note.rule, "FormGuardCaptchaOnError altcha");
    assert_int_equal(world.note.reason, FG_VERIFIER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_that_can_be_none_asks_no_vendor),
        TEST(the_token_is_the_one_php_sees),
        TEST(an_own_captcha_is_found_in_its_own_field_too),
        TEST(a_presets_field_is_not_the_own_captchas),
        TEST(what_is_none_of_ours_stays_in_the_body),
        TEST(an_application_asks_for_itself),
        TEST(a_clearance_stands_for_a_token),
        TEST(what_the_vendor_says_is_the_verdict),
        TEST(an_accepted_post_keeps_its_score),
        TEST(a_vendor_that_is_down_refuses_unless_told_otherwise),
        TEST(an_error_that_is_allowed_is_noted_and_passes),
        TEST(a_service_left_alone_says_when_to_come_back),
        TEST(the_challenge_takes_the_place_of_a_service),
        TEST(the_challenge_is_no_way_round_a_service),
        TEST(a_forms_budget_is_charged_last),
        TEST(what_is_accepted_is_counted_when_it_is),
        TEST(detection_spends_no_token),
        TEST(detection_says_what_would_be_refused),
        TEST(the_answer_of_the_challenge_page_counts),
        TEST(who_was_challenged_in_place_of_a_service_passes),
        TEST(an_answer_that_is_shown_beside_counts_if_it_is_good),
        TEST(an_answer_that_is_shown_is_for_the_built_in_captcha),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
