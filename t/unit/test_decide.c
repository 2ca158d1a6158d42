/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "decide_world.h"

/* --- order ------------------------------------------------------------------------------------ */

static void cheap_checks_come_first(void **state)
{
    (void)state;
    configure_everything();
    world.result.has_score = 1;
    world.result.score = 0.9;
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now verify now");
    assert_string_equal(world.token, "the-token");
    assert_string_equal(world.trace, "country: DE, in the EU\n"
                                     "country: allowed\n"
                                     "limit ip 3/10m: 1 of 3/10m\n"
                                     "captcha: accepted\n"
                                     "limit form 2/1h: 1 of 2/1h\n"
                                     "verdict: accepted");
}

static void a_refused_country_costs_nothing_more(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure_everything();
    world.country = "CN";
    verdict = decide();
    assert_refused(verdict, FG_COUNTRY);
    assert_string_equal(verdict.rule, "CN refuse");
    assert_true(verdict.country_known);
    assert_string_equal(verdict.country, "CN");
    assert_string_equal(world.calls, "country");
    assert_int_equal(used_by_client("ip 3/10m"), 0);
    assert_string_equal(world.trace, "country: CN\nverdict: country refused");
}

static void a_full_limit_reads_no_body(void **state)
{
    fg_verdict_t verdict;
    int i;

    (void)state;
    configure_everything();
    world.posted = "email=x"; /* no token: counted, and refused later */
    for (i = 0; i < 3; i++) {
        assert_refused(decide(), FG_CAPTCHA_MISSING);
    }
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(world.calls, "country");
    assert_string_equal(verdict.rule, "ip 3/10m");
    assert_true(verdict.has_count);
    assert_int_equal(verdict.count, 3);
    assert_int_equal(verdict.rate_count, 3);
    assert_int_equal(verdict.period, 600 * SECOND);
    assert_in_range(verdict.retry_after, 600 * SECOND, 700 * SECOND);
    assert_null(verdict.detail);
    assert_false(verdict.has_score);
    assert_string_equal(verdict.country, "DE");
    assert_int_equal(used_by_form("form 2/1h"), 0);
    /* and when it says */
    world.now.steady += verdict.retry_after;
    world.later = world.now;
    assert_refused(decide(), FG_CAPTCHA_MISSING);
}

static void a_malformed_body_asks_no_vendor(void **state)
{
    (void)state;
    configure_everything();
    world.captured.capture = FG_CAPTURE_MALFORMED;
    assert_refused(decide(), FG_MALFORMED);
    assert_string_equal(world.calls, "country capture now");
}

static void nobody_need_listen(void **state)
{
    fg_server_ops_t deaf = ops;
    fg_case_t c;
    fg_verdict_t verdict;

    (void)state;
    deaf.trace = NULL;
    configure_everything();
    prepare(&c, CLIENT);
    c.ops = &deaf;
    fg_decide(&c, &verdict);
    assert_accepted(verdict);
    assert_string_equal(world.trace, "");
}

/* --- countries -------------------------------------------------------------------------------- */

static void without_a_database_country_rules_are_not_applied(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCountry *,unknown refuse");
    configure("FormGuardLimit country=*,unknown 1/1h");
    world.country = NULL;
    assert_accepted(decide());
    verdict = decide();
    assert_accepted(verdict);
    assert_false(verdict.country_known);
    assert_string_equal(verdict.country, "");
    assert_string_equal(world.trace, "country: not looked up\n"
                                     "limit country=*,unknown 1/1h: does not count this post\n"
                                     "verdict: accepted");
}

static void the_unknown_have_rules_of_their_own(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCountry * refuse");
    world.country = "";
    verdict = decide();
    assert_accepted(verdict);
    assert_true(verdict.country_known);
    assert_non_null(strstr(world.trace, "country: unknown"));
    configure("FormGuardCountry unknown refuse");
    verdict = decide();
    assert_refused(verdict, FG_COUNTRY);
    assert_string_equal(verdict.rule, "unknown refuse");
}

static void an_allowed_country_is_traced_with_its_rule(void **state)
{
    (void)state;
    configure("FormGuardCountry * refuse");
    configure("FormGuardCountry EU allow");
    assert_accepted(decide());
    assert_string_equal(world.trace, "country: DE, in the EU\n"
                                     "country: allowed by EU allow\n"
                                     "verdict: accepted");
}

static void a_logged_country_goes_on(void **state)
{
    (void)state;
    configure("FormGuardCountry DE log");
    assert_accepted(decide());
    assert_string_equal(world.calls, "country note capture now");
    assert_refused(world.note, FG_COUNTRY);
    assert_string_equal(world.note.rule, "DE log");
    assert_string_equal(world.note.country, "DE");
}

/* --- blocklists ------------------------------------------------------------------------------- */

static void only_a_listing_refuses(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardDNSBL zen.example");
    configure("FormGuardLimit ip 3/10m");
    assert_accepted(decide());
    assert_string_equal(world.calls, "country dnsbl now capture now");
    world.listing.status = FG_DNSBL_UNKNOWN;
    world.listing.reason = FG_DNSBL_TAMPERED;
    world.listing.code = 0x7f000001;
    assert_accepted(decide());
    world.listing.status = FG_DNSBL_LISTED;
    world.listing.reason = FG_DNSBL_WORKING;
    world.listing.code = 0x7f000004;
    world.listing.cached = 1;
    verdict = decide();
    assert_refused(verdict, FG_DNSBL);
    assert_string_equal(verdict.rule, "zen.example");
    assert_string_equal(verdict.detail, "code=127.0.0.4");
    assert_string_equal(world.calls, "country dnsbl");
    assert_refused(decide(), FG_LIMIT); /* costs no lookup */
    assert_string_equal(world.calls, "country");
}

static void a_listing_may_only_be_logged(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardDNSBL zen.example action=log");
    world.listing.status = FG_DNSBL_LISTED;
    world.listing.code = 0x7f000002;
    verdict = decide();
    assert_accepted(verdict);
    assert_null(verdict.detail);
    assert_refused(world.note, FG_DNSBL);
    assert_string_equal(world.note.detail, "code=127.0.0.2");
}

/* --- limits ----------------------------------------------------------------------------------- */

static void each_country_is_counted_by_itself(void **state)
{
    (void)state;
    configure("FormGuardLimit country=CN,HK,unknown 1/1h");
    world.country = "CN";
    assert_accepted(decide());
    assert_refused(decide_from("198.51.100.7"), FG_LIMIT);
    world.country = "HK";
    assert_accepted(decide());
    world.country = "";
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
    world.country = "DE"; /* not listed */
    assert_accepted(decide());
    assert_accepted(decide());
    assert_int_equal(used_by("country=CN,HK,unknown 1/1h", "CN", 2), 1);
    assert_int_equal(used_by("country=CN,HK,unknown 1/1h", "DE", 2), 0);
}

static void clients_are_an_address_or_a_64(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 1/1h");
    assert_accepted(decide_from("192.0.2.1"));
    assert_refused(decide_from("::ffff:192.0.2.1"), FG_LIMIT);
    assert_accepted(decide_from("192.0.2.2"));
    assert_accepted(decide_from("2001:db8:0:1::1"));
    assert_refused(decide_from("2001:db8:0:1:ffff::2"), FG_LIMIT);
    assert_accepted(decide_from("2001:db8:0:2::1"));
}

static void forms_are_counted_apart(void **state)
{
    (void)state;
    configure("FormGuardLimit form 1/1h");
    assert_accepted(decide_from("192.0.2.1"));
    assert_refused(decide_from("192.0.2.2"), FG_LIMIT);
    world.form = "www.example.org\n/other.php";
    assert_accepted(decide_from("192.0.2.1"));
}

static void a_bare_policy_admits_ten(void **state)
{
    fg_verdict_t verdict;
    int i;

    (void)state;
    for (i = 0; i < 10; i++) {
        assert_accepted(decide());
    }
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, FG_POLICY_DEFAULT_LIMIT);
    assert_int_equal(verdict.rate_count, 10);
    assert_accepted(decide_from("192.0.2.2"));
}

static void a_rate_that_refuses_gives_the_others_back(void **state)
{
    fg_verdict_t verdict;
    int i;

    (void)state;
    configure("FormGuardLimit ip 3/10m 1/1d");
    assert_accepted(decide());
    for (i = 0; i < 5; i++) { /* were 3/10m charged, it would refuse in the end */
        verdict = decide();
        assert_refused(verdict, FG_LIMIT);
        assert_int_equal(verdict.rate_count, 1);
        assert_int_equal(verdict.period, 86400 * SECOND);
    }
    assert_int_equal(used_by_client("ip 3/10m 1/1d"), 1);
}

static void a_limit_that_refuses_gives_the_others_back(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit ip 5/10m");
    configure("FormGuardLimit country 5/1h");
    configure("FormGuardLimit form 1/1h count=attempts");
    assert_accepted(decide());
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, "form 1/1h count=attempts");
    assert_int_equal(used_by_client("ip 5/10m"), 1);
    assert_int_equal(used_by("country 5/1h", "DE", 2), 1);
    assert_int_equal(used_by_form("form 1/1h count=attempts"), 1);
}

static void the_same_limit_twice_counts_a_post_once(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 2/10m");
    configure("FormGuardLimit ip 2/10m");
    assert_accepted(decide());
    assert_int_equal(used_by_client("ip 2/10m"), 1);
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
}

static void a_logged_limit_goes_on(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 1/10m action=log");
    configure("FormGuardLimit ip 3/10m");
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now");
    assert_accepted(decide());
    assert_string_equal(world.calls, "country note capture now");
    assert_refused(world.note, FG_LIMIT);
    assert_string_equal(world.note.rule, "ip 1/10m action=log");
    assert_true(world.note.has_count);
    assert_int_equal(world.note.rate_count, 1);
    assert_int_equal(used_by_client("ip 3/10m"), 2); /* the other one counts on */
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
}

/* --- body ------------------------------------------------------------------------------------- */

static void what_the_body_came_to_decides(void **state)
{
    static const struct {
        fg_capture_t capture;
        fg_outcome_t outcome;
        fg_reason_t reason;
        int status;
    } cases[] = {
        {FG_CAPTURE_OVER, FG_OUT_REFUSE, FG_TOO_LARGE, 413},
        {FG_CAPTURE_CAPS, FG_OUT_REFUSE, FG_OVER_CAPS, 413},
        {FG_CAPTURE_MALFORMED, FG_OUT_REFUSE, FG_MALFORMED, 400},
        {FG_CAPTURE_FAILED, FG_OUT_REFUSE, FG_INTERNAL, 503},
        {FG_CAPTURE_ANSWERED, FG_OUT_ANSWERED, FG_BODY_LOST, 408},
    };
    apr_uint32_t i;

    (void)state;
    configure("FormGuardLimit ip 10/10m");
    configure("FormGuardLimit form 10/10m");
    configure("FormGuardCaptcha recaptcha-v2");
    world.captured.status = 408;
    world.captured.detail = "why";
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_verdict_t verdict;

        world.captured.capture = cases[i].capture;
        verdict = decide();
        assert_int_equal(verdict.outcome, cases[i].outcome);
        assert_int_equal(verdict.reason, cases[i].reason);
        assert_int_equal(verdict.status, cases[i].status);
        assert_string_equal(verdict.detail, "why");
        assert_null(verdict.rule);
        assert_string_equal(world.calls, "country capture now");
        assert_int_equal(used_by_client("ip 10/10m"), i + 1); /* an attempt is an attempt */
        assert_int_equal(used_by_form("form 10/10m"), 0);
    }
}

static void over_pass_lets_a_large_body_pass_uninspected(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit form 1/1h");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardFormField email");
    configure("FormGuardBodyLimit 64K over=pass");
    world.captured.capture = FG_CAPTURE_OVER;
    verdict = decide();
    assert_accepted(verdict);
    assert_string_equal(verdict.detail, "body over the limit passed uninspected");
    assert_string_equal(world.calls, "country capture now");
    assert_non_null(strstr(world.trace, "body: over the limit, passes as configured"));
    assert_refused(decide(), FG_LIMIT); /* it is not above the limits */
    world.captured.capture = FG_CAPTURE_MALFORMED;
    assert_refused(decide(), FG_MALFORMED);
    world.captured.capture = FG_CAPTURE_FAILED;
    assert_refused(decide(), FG_INTERNAL);
}

static void what_is_no_submission_gives_its_attempts_back(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure_everything();
    configure("FormGuardFormField email");
    world.posted = "action=heartbeat";
    verdict = decide();
    assert_int_equal(verdict.outcome, FG_OUT_PASS);
    assert_int_equal(verdict.reason, FG_NOT_SUBMISSION);
    assert_int_equal(verdict.status, 200);
    assert_null(verdict.rule);
    assert_string_equal(world.calls, "country capture now");
    assert_int_equal(used_by_client("ip 3/10m"), 0);
    assert_int_equal(used_by_form("form 2/1h"), 0);
    assert_non_null(strstr(world.trace, "verdict: no form field, handed on unjudged"));
}

/* Whether a post is the form's business is known when its body is. */
static void an_editor_behind_a_busy_address_is_not_refused(void **state)
{
    int i;

    (void)state;
    configure_everything();
    configure("FormGuardFormField email");
    world.posted = "email=x";
    for (i = 0; i < 3; i++) {
        assert_refused(decide(), FG_CAPTCHA_MISSING);
    }
    assert_refused(decide(), FG_LIMIT);
    assert_string_equal(world.calls, "country capture now");
    world.posted = "post=9&action=edit";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
    world.country = "CN";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
    world.posted = "email=x";
    assert_refused(decide(), FG_COUNTRY);
    assert_int_equal(used_by_client("ip 3/10m"), 3);
}

static void a_field_may_be_known_by_its_value(void **state)
{
    (void)state;
    configure("FormGuardFormField action=send token");
    world.posted = "action=send";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
    world.posted = "action=heartbeat";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
    world.posted = "action=heartbeat&token=";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
}

static void a_value_in_the_query_tells_too(void **state)
{
    static const struct {
        const char *query, *posted;
        fg_outcome_t outcome;
    } cases[] = {
        {"action=send", "x=1", FG_OUT_ACCEPT},
        {"x=1&action=SEND", "", FG_OUT_ACCEPT},
        {"action=heartbeat", "data=1", FG_OUT_PASS},
        {"action=send&action=heartbeat", "", FG_OUT_PASS},  /* PHP: the last one */
        {"action=send", "action=heartbeat", FG_OUT_ACCEPT}, /* either may be asked for */
        {"action=heartbeat", "action=send", FG_OUT_ACCEPT},
        {"action[]=heartbeat", "", FG_OUT_ACCEPT}, /* no string: who knows */
        {"", "action[]=heartbeat", FG_OUT_ACCEPT},
        {"route=/forms/12/Feedback/", "", FG_OUT_ACCEPT},
        {"route=/posts/12", "", FG_OUT_PASS},
        {"route=%2Fforms%2F12%2Ffeedback", "", FG_OUT_ACCEPT},
        {"", "route=/forms/12/feedback", FG_OUT_ACCEPT},
    };
    size_t i;

    (void)state;
    configure("FormGuardFormField action=send route=*/forms/*/feedback*");
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world.query = cases[i].query;
        world.posted = cases[i].posted;
        if (decide().outcome != cases[i].outcome) {
            fail_msg("?%s and %s", cases[i].query, cases[i].posted);
        }
    }
}

static void a_url_of_the_forms_own_needs_no_field(void **state)
{
    (void)state;
    configure("FormGuardFormField email */forms/*/feedback*");
    world.posted = "text=x";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
    world.path = "/wp-json/forms/12/feedback";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
    world.path = "/wp-json/FORMS/12/Feedback/";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
    world.path = "/wp-json/forms/12";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
    world.posted = "email=x";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
}

static void one_of_the_forms_fields_makes_a_submission(void **state)
{
    (void)state;
    configure("FormGuardFormField email your.name");
    world.posted = "your_name=x";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
    world.posted = "your.name[]=x";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
    world.posted = "";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
    world.query = "email";
    assert_int_equal(decide().outcome, FG_OUT_ACCEPT);
    world.query = "emails=1&e=mail";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cheap_checks_come_first),
        TEST(a_refused_country_costs_nothing_more),
        TEST(a_full_limit_reads_no_body),
        TEST(a_malformed_body_asks_no_vendor),
        TEST(nobody_need_listen),
        TEST(without_a_database_country_rules_are_not_applied),
        TEST(the_unknown_have_rules_of_their_own),
        TEST(an_allowed_country_is_traced_with_its_rule),
        TEST(a_logged_country_goes_on),
        TEST(only_a_listing_refuses),
        TEST(a_listing_may_only_be_logged),
        TEST(each_country_is_counted_by_itself),
        TEST(clients_are_an_address_or_a_64),
        TEST(forms_are_counted_apart),
        TEST(a_bare_policy_admits_ten),
        TEST(a_rate_that_refuses_gives_the_others_back),
        TEST(a_limit_that_refuses_gives_the_others_back),
        TEST(the_same_limit_twice_counts_a_post_once),
        TEST(a_logged_limit_goes_on),
        TEST(what_the_body_came_to_decides),
        TEST(over_pass_lets_a_large_body_pass_uninspected),
        TEST(what_is_no_submission_gives_its_attempts_back),
        TEST(an_editor_behind_a_busy_address_is_not_refused),
        TEST(a_field_may_be_known_by_its_value),
        TEST(one_of_the_forms_fields_makes_a_submission),
        TEST(a_value_in_the_query_tells_too),
        TEST(a_url_of_the_forms_own_needs_no_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
