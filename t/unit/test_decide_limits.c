/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "decide_world.h"

/* --- keys ------------------------------------------------------------------------------------- */

static void a_net_is_a_24_or_a_48(void **state)
{
    (void)state;
    configure("FormGuardLimit net 2/1h");
    assert_accepted(decide_from("192.0.2.1"));
    assert_accepted(decide_from("192.0.2.200"));
    assert_refused(decide_from("192.0.2.77"), FG_LIMIT);
    assert_accepted(decide_from("192.0.3.1"));
    assert_accepted(decide_from("2001:db8:1:1::1"));
    assert_accepted(decide_from("2001:db8:1:ffff::1"));
    assert_refused(decide_from("2001:db8:1:2::1"), FG_LIMIT);
    assert_accepted(decide_from("2001:db8:2:1::1"));
}

static void a_site_holds_all_its_forms_and_no_other(void **state)
{
    (void)state;
    configure("FormGuardLimit site 2/1h");
    assert_accepted(decide());
    world.form = "www.example.org\n/other.php";
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
    world.place = "/srv/www/neighbour";
    assert_accepted(decide());
}

static void the_server_holds_everything(void **state)
{
    (void)state;
    configure("FormGuardLimit server 2/1h");
    assert_accepted(decide());
    world.form = "www.example.jp\n/other.php";
    world.place = "/srv/www/neighbour";
    assert_accepted(decide_from("198.51.100.1"));
    assert_refused(decide_from("2001:db8::1"), FG_LIMIT);
}

/* A customer's limit on `server` is one of the customer's own. */
static void a_sites_own_limits_count_apart(void **state)
{
    (void)state;
    configure("FormGuardLimit server 3/1h");
    configure_site("FormGuard On");
    configure_site("FormGuardLimit server 3/1h");
    assert_accepted(decide());
    assert_int_equal(used_by("server 3/1h", "server", 6), 1);
    assert_int_equal(used_under(&world.site, "server 3/1h", "server", 6), 1);
}

static void a_client_may_be_counted_in_each_form(void **state)
{
    (void)state;
    configure("FormGuardLimit ip+form 2/1h");
    assert_accepted(decide());
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
    assert_accepted(decide_from("198.51.100.1"));
    world.form = "www.example.org\n/other.php";
    assert_accepted(decide());
    world.form = "www.example.org\n/contact.php";
    world.now.steady += apr_time_from_sec(3600) + apr_time_from_sec(600);
    assert_accepted(decide());
}

static void a_client_may_be_counted_in_each_site(void **state)
{
    (void)state;
    configure("FormGuardLimit net+site 2/1h");
    assert_accepted(decide_from("192.0.2.1"));
    world.form = "www.example.org\n/other.php";
    assert_accepted(decide_from("192.0.2.2"));
    assert_refused(decide_from("192.0.2.3"), FG_LIMIT);
    world.place = "/srv/www/neighbour";
    assert_accepted(decide_from("192.0.2.3"));
}

/* Who comes from abroad is counted, by country and together, and leaves the others their form. */
static void a_limit_may_count_posts_from_abroad_only(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit country+form 1/1d from=!JP");
    configure("FormGuardLimit form 2/1d from=!JP count=attempts action=challenge");
    world.country = "HK";
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
    assert_int_equal(used_by_form("form 2/1d from=!JP count=attempts action=challenge"), 1);
    world.country = "US";
    assert_accepted(decide());
    world.country = "DE";
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, "form 2/1d from=!JP count=attempts action=challenge");
    world.form = "www.example.org\n/other.php";
    assert_accepted(decide());
    world.form = "www.example.org\n/contact.php";
    world.country = "JP";
    assert_accepted(decide());
    world.country = ""; /* not in the database */
    assert_accepted(decide());
    world.country = NULL; /* no database */
    assert_accepted(decide());
}

static void weights_count_as_so_many_mails(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit form 10/1h weight=4");
    assert_accepted(decide());
    assert_accepted(decide());
    assert_int_equal(used_by_form("form 10/1h weight=4"), 8);
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_int_equal(verdict.count, 8);
    assert_int_equal(verdict.rate_count, 10);
    assert_int_equal(used_by_form("form 10/1h weight=4"), 8);
}

static void a_weight_is_given_back_whole(void **state)
{
    (void)state;
    configure("FormGuardLimit form 10/1h weight=4");
    configure("FormGuardLimit server 1/1h");
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
    assert_int_equal(used_by_form("form 10/1h weight=4"), 4);
}

/* --- field:NAME ------------------------------------------------------------------------------- */

static void a_value_is_one_however_it_is_written(void **state)
{
    static const char *const same[] = {
        "email=Victim%40Example.ORG",       "email=+victim%40example.org+",
        "email=victim%40example.org%00",    "email=vic+tim%09%40example.org",
        "email=victim%40example.org%0d%0a", "email=x&email=victim%40example.org",
    };
    size_t i;

    (void)state;
    configure("FormGuardLimit field:email 1/1d");
    world.posted = "email=victim%40example.org";
    assert_accepted(decide());
    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        world.posted = same[i];
        assert_refused(decide_from(apr_psprintf(pool, "198.51.100.%d", (int)i)), FG_LIMIT);
    }
    world.json = "{\"email\":\"VICTIM@example.org\"}";
    assert_refused(decide(), FG_LIMIT);
    world.json = "{\"email\":\"other@example.org\"}";
    assert_accepted(decide());
}

static void a_fields_limit_leaves_others_alone(void **state)
{
    static const char *const posts[] = {
        "email=a",    "email=b",    "email=%c3%84", "email=%c3%a4", /* only ASCII is folded */
        "other=a",    "other=a",    "email=",       "email=",
        "email=+%0a", "email=+%0a", "email[]=a",    "email[]=a",
        "",
    };
    fg_verdict_t verdict;
    size_t i;

    (void)state;
    configure("FormGuardLimit field:email 1/1d");
    for (i = 0; i < sizeof(posts) / sizeof(posts[0]); i++) {
        world.posted = posts[i];
        assert_accepted(decide());
    }
    world.posted = "email=a";
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, "field:email 1/1d");
    assert_null(strstr(world.trace, "email=a"));
    assert_int_equal(used_by("field:email 1/1d", "a", 1), 1);
}

static void a_fields_limit_counts_what_is_accepted(void **state)
{
    (void)state;
    configure("FormGuardLimit field:email 1/1d");
    configure("FormGuardCaptcha recaptcha-v2");
    world.result.reason = FG_CAPTCHA_REJECTED;
    assert_refused(decide(), FG_CAPTCHA_REJECTED);
    world.result.reason = FG_ACCEPTED;
    assert_accepted(decide());
    assert_refused(decide(), FG_LIMIT);
}

static char *field_of(apr_size_t len, char last)
{
    char *text = apr_palloc(pool, len + 10);

    memcpy(text, "email=", 6);
    memset(text + 6, 'x', len);
    text[6 + len - 1] = last;
    text[6 + len] = '\0';
    return text;
}

/* What is over 512 bytes counts by its begin: nobody's address is that long. */
static void long_values_are_counted_by_their_begin(void **state)
{
    (void)state;
    configure("FormGuardLimit field:email 1/1d");
    world.posted = field_of(20000, 'a');
    assert_accepted(decide());
    world.posted = field_of(20000, 'b');
    assert_refused(decide(), FG_LIMIT);
    world.posted = field_of(500, 'a');
    assert_accepted(decide());
    world.posted = field_of(500, 'b');
    assert_accepted(decide());
}

/* --- challenge -------------------------------------------------------------------------------- */

static void a_challenge_is_a_captcha_where_there_is_one(void **state)
{
    (void)state;
    configure("FormGuardLimit ip 1/10m action=challenge");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaWhen challenged");
    world.posted = "email=x";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now");
    assert_non_null(strstr(world.trace, "captcha: not due"));
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    assert_non_null(strstr(world.trace, "challenged by ip 1/10m action=challenge"));
    world.posted = "email=x&g-recaptcha-response=t";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now verify now");
    world.result.reason = FG_CAPTCHA_REJECTED;
    assert_refused(decide(), FG_CAPTCHA_REJECTED);
    world.posted = "email=x"; /* who was not challenged is not asked */
    assert_accepted(decide_from("198.51.100.1"));
}

/* A script that posts can solve nothing: it is told what the rule would have said. */
static void a_challenge_says_who_asks(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit ip 1/10m action=challenge");
    configure("FormGuardCaptcha altcha");
    configure("FormGuardCaptchaWhen challenged");
    world.posted = "email=x";
    assert_accepted(decide());
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_MISSING);
    assert_true(verdict.challenge);
    assert_string_equal(verdict.rule, "altcha");
    assert_string_equal(verdict.challenged_by, "ip 1/10m action=challenge");
    assert_int_equal(verdict.challenged_for, FG_LIMIT);
    assert_true(verdict.retry_after > 0);
    /* Of a service's widget nobody knows whether the page has it. */
    configure("FormGuardCaptcha recaptcha-v2");
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_MISSING);
    assert_string_equal(verdict.challenged_by, "ip 1/10m action=challenge");
    assert_int_equal(verdict.challenged_for, FG_ACCEPTED);
    assert_int_equal(verdict.retry_after, 0);
    /* Who is asked always is asked by nobody in particular. */
    configure("FormGuardCaptcha altcha");
    configure("FormGuardCaptchaWhen always");
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_MISSING);
    assert_null(verdict.challenged_by);
    assert_int_equal(verdict.challenged_for, FG_ACCEPTED);
    assert_int_equal(verdict.retry_after, 0);
}

static void a_challenge_without_a_captcha_refuses(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit ip 1/10m action=challenge");
    assert_accepted(decide());
    verdict = decide();
    assert_refused(verdict, FG_LIMIT);
    assert_string_equal(verdict.rule, "ip 1/10m action=challenge");
    assert_int_equal(verdict.count, 1);
    assert_true(verdict.retry_after > 0);
    assert_string_equal(world.calls, "country");
    configure("FormGuardCaptcha off");
    assert_refused(decide(), FG_LIMIT);
}

static void countries_and_fields_challenge_too(void **state)
{
    (void)state;
    configure("FormGuardCountry DE challenge");
    configure("FormGuardField message max-links=0 action=challenge");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaWhen challenged");
    world.posted = "email=x";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    world.country = "JP";
    assert_accepted(decide());
    world.posted = "message=http://x";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    world.posted = "message=http://x&g-recaptcha-response=t";
    assert_accepted(decide());
    configure("FormGuardCaptcha off");
    assert_refused(decide(), FG_FIELD_LINKS);
    world.country = "DE";
    assert_refused(decide(), FG_COUNTRY);
}

static void a_challenge_of_one_layer_is_asked_by_the_other(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardCountry DE challenge");
    configure_site("FormGuard On");
    configure_site("FormGuardCaptcha recaptcha-v2");
    configure_site("FormGuardCaptchaWhen challenged");
    world.posted = "email=x";
    assert_refused(decide(), FG_CAPTCHA_MISSING);
    world.posted = "g-recaptcha-response=t";
    assert_accepted(decide());
    assert_ptr_equal(world.verified, &world.site);

    memset(&world.policy, 0, sizeof(world.policy));
    memset(&world.site, 0, sizeof(world.site));
    configure("FormGuard On");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaWhen challenged");
    configure_site("FormGuard On");
    configure_site("FormGuardCountry DE challenge");
    world.posted = "email=x";
    verdict = decide();
    assert_refused(verdict, FG_CAPTCHA_MISSING);
    world.posted = "g-recaptcha-response=t";
    assert_accepted(decide());
    assert_ptr_equal(world.verified, &world.policy);
}

/* The site has a captcha, and sees to it that nobody is asked for it. */
static void a_captcha_that_is_never_asked_answers_no_challenge(void **state)
{
    static const char *const lines[] = {"FormGuardFormField no-such-field",
                                        "FormGuard DetectionOnly"};
    static const char *const attempts[] = {"email=x", "email=x&g-recaptcha-response=t"};
    fg_verdict_t verdict;
    size_t i, j;

    (void)state;
    configure("FormGuardCountry DE challenge");
    for (i = 0; i < 2; i++) {
        memset(&world.site, 0, sizeof(world.site));
        configure_site("FormGuard On");
        configure_site("FormGuardCaptcha recaptcha-v2");
        configure_site(lines[i]);
        for (j = 0; j < 2; j++) {
            world.posted = attempts[j];
            verdict = decide();
            assert_refused(verdict, FG_COUNTRY);
            assert_false(verdict.would);
            assert_string_equal(verdict.rule, "DE challenge");
        }
    }
}

static void a_body_that_is_not_inspected_answers_no_challenge(void **state)
{
    (void)state;
    configure("FormGuardCountry DE challenge");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardBodyLimit 64K over=pass");
    world.captured.capture = FG_CAPTURE_OVER;
    assert_refused(decide(), FG_COUNTRY);
    world.country = "JP";
    assert_accepted(decide());
}

static void detection_challenges_nobody(void **state)
{
    (void)state;
    configure("FormGuard DetectionOnly");
    configure("FormGuardCountry DE challenge");
    configure_site("FormGuard On");
    configure_site("FormGuardCaptcha recaptcha-v2");
    configure_site("FormGuardCaptchaWhen challenged");
    world.posted = "email=x";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now");
    world.layers = 1;
    assert_would(decide(), FG_COUNTRY);
    configure("FormGuardCaptcha recaptcha-v2");
    assert_would(decide(), FG_CAPTCHA_MISSING);
    world.posted = "g-recaptcha-response=t";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now");
}

static void a_challenge_is_of_one_post(void **state)
{
    fg_verdict_t verdict;
    fg_case_t c;

    (void)state;
    configure("FormGuardCountry DE challenge");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaWhen challenged");
    world.posted = "email=x";
    prepare(&c, CLIENT);
    fg_decide(&c, &verdict);
    assert_refused(verdict, FG_CAPTCHA_MISSING);
    world.country = "JP"; /* the same case, decided once more */
    fg_decide(&c, &verdict);
    assert_accepted(verdict);
}

/* --- close ------------------------------------------------------------------------------------ */

static void advance(apr_interval_time_t time)
{
    world.now.steady += time;
    world.later = world.now;
}

static void a_full_limit_closes_the_form(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardLimit form 2/10m action=close:6h");
    assert_accepted(decide());
    assert_accepted(decide());
    verdict = decide();
    assert_refused(verdict, FG_CLOSED);
    assert_int_equal(verdict.status, 503);
    assert_int_equal(verdict.retry_after, 6 * 3600 * SECOND);
    assert_string_equal(world.calls, "country capture now closed");
    assert_string_equal(world.closed.rule, "form 2/10m action=close:6h");
    assert_int_equal(world.closed.count, 2);
    /* From now on for everybody, before anything is read, and without a word. */
    advance(SECOND);
    verdict = decide_from("198.51.100.1");
    assert_refused(verdict, FG_CLOSED);
    assert_int_equal(verdict.retry_after, (6 * 3600 - 1) * SECOND);
    assert_string_equal(world.calls, "country");
    assert_null(verdict.rule);
    /* Other forms are open. */
    world.form = "www.example.org\n/other.php";
    assert_accepted(decide());
    world.form = "www.example.org\n/contact.php";
    /* And this one is again when its time is over. */
    advance((6 * 3600 - 2) * SECOND);
    assert_refused(decide(), FG_CLOSED);
    assert_null(fg_closures_opened(world.closures, world.now.steady, pool));
    advance(SECOND);
    assert_string_equal(fg_closures_opened(world.closures, world.now.steady, pool),
                        "form=/contact.php site=www.example.org");
    assert_accepted(decide());
}

/* Open again by hand: what had closed it is not full any more. */
static void a_form_opened_by_hand_takes_posts(void **state)
{
    fg_counter_key_t full;

    (void)state;
    configure("FormGuardLimit form 9/1m 2/10m action=close:6h");
    assert_accepted(decide());
    assert_accepted(decide());
    assert_refused(decide(), FG_CLOSED);
    assert_int_equal(fg_closures_open(world.closures, "form=/contact.php site=www.example.org",
                                      world.now.steady, &full),
                     1);
    assert_refused(decide(), FG_CLOSED); /* alone that is of no use */
    assert_int_equal(fg_closures_open(world.closures, "form=/contact.php site=www.example.org",
                                      world.now.steady, &full),
                     1);
    fg_counters_forget(world.counters, full);
    assert_accepted(decide());
    assert_accepted(decide());
    assert_refused(decide(), FG_CLOSED);
}

static void a_closed_form_is_charged_nothing(void **state)
{
    (void)state;
    configure("FormGuardLimit form 1/10m action=close:1h");
    configure("FormGuardLimit ip 99/10m");
    assert_accepted(decide());
    assert_refused(decide(), FG_CLOSED);
    assert_int_equal(used_by_client("ip 99/10m"), 2);
    assert_refused(decide(), FG_CLOSED);
    assert_int_equal(used_by_client("ip 99/10m"), 2);
}

static void detection_closes_nothing(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuard DetectionOnly");
    configure("FormGuardLimit form 1/10m action=close:6h");
    assert_accepted(decide());
    verdict = decide();
    assert_would(verdict, FG_CLOSED);
    assert_string_equal(verdict.rule, "form 1/10m action=close:6h");
    assert_string_equal(world.calls, "country capture now");
    assert_int_equal(fg_closures_list(world.closures, world.now.steady, pool)->nelts, 0);
    /* What the form is closed to by somebody else is told as what would be. */
    configure("FormGuard On");
    assert_refused(decide(), FG_CLOSED);
    configure("FormGuard DetectionOnly");
    assert_would(decide(), FG_CLOSED);
}

static void a_site_may_close_its_form_beside_a_server_in_detection(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuard DetectionOnly");
    configure("FormGuardLimit ip 99/1h");
    configure_site("FormGuard On");
    configure_site("FormGuardLimit form 1/10m action=close:1h");
    assert_accepted(decide());
    assert_refused(decide(), FG_CLOSED);
    verdict = decide();
    assert_refused(verdict, FG_CLOSED);
    assert_false(verdict.would);
    assert_string_equal(world.calls, "country");
}

static void without_a_table_a_form_is_refused_and_not_closed(void **state)
{
    (void)state;
    world.closures = NULL;
    configure("FormGuardLimit form 1/10m action=close:6h");
    assert_accepted(decide());
    assert_refused(decide(), FG_CLOSED);
    assert_string_equal(world.calls, "country capture now");
    advance(3600 * SECOND);
    assert_accepted(decide());
}

/* --- deny ------------------------------------------------------------------------------------- */

static void where_no_post_belongs_none_is_read(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardDeny On");
    configure("FormGuardLimit ip 9/1h");
    configure("FormGuardCountry DE refuse");
    verdict = decide();
    assert_refused(verdict, FG_DENY);
    assert_string_equal(verdict.rule, "FormGuardDeny On");
    assert_string_equal(world.calls, "country");
    assert_int_equal(used_by_client("ip 9/1h"), 0);
    configure("FormGuardDeny Off");
    configure("FormGuardCountry DE allow");
    assert_accepted(decide());
}

/* Whoever posts to a script that should not be there leaves out what he likes. */
static void no_form_field_is_asked_for_where_no_post_belongs(void **state)
{
    (void)state;
    configure("FormGuardFormField email");
    configure("FormGuardLimit ip 9/1h");
    configure("FormGuardDeny On");
    assert_refused(decide(), FG_DENY);
    assert_string_equal(world.calls, "country");
    configure("FormGuardDeny Off");
    configure_site("FormGuard On");
    configure_site("FormGuardFormField message");
    configure_site("FormGuardDeny On");
    assert_refused(decide(), FG_DENY);
    configure("FormGuard DetectionOnly");
    configure("FormGuardDeny On");
    configure_site("FormGuardDeny Off");
    assert_would(decide(), FG_DENY);
}

static void either_layer_may_deny(void **state)
{
    (void)state;
    configure("FormGuardDeny On");
    configure_site("FormGuard On");
    configure_site("FormGuardDeny Off");
    assert_refused(decide(), FG_DENY);
    configure("FormGuardDeny Off");
    assert_accepted(decide());
    configure_site("FormGuardDeny On");
    assert_refused(decide(), FG_DENY);
    configure_site("FormGuard DetectionOnly");
    assert_would(decide(), FG_DENY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_net_is_a_24_or_a_48),
        TEST(a_site_holds_all_its_forms_and_no_other),
        TEST(the_server_holds_everything),
        TEST(a_sites_own_limits_count_apart),
        TEST(a_client_may_be_counted_in_each_form),
        TEST(a_client_may_be_counted_in_each_site),
        TEST(a_limit_may_count_posts_from_abroad_only),
        TEST(weights_count_as_so_many_mails),
        TEST(a_weight_is_given_back_whole),
        TEST(a_value_is_one_however_it_is_written),
        TEST(a_fields_limit_leaves_others_alone),
        TEST(a_fields_limit_counts_what_is_accepted),
        TEST(long_values_are_counted_by_their_begin),
        TEST(a_challenge_is_a_captcha_where_there_is_one),
        TEST(a_challenge_says_who_asks),
        TEST(a_challenge_without_a_captcha_refuses),
        TEST(countries_and_fields_challenge_too),
        TEST(a_challenge_of_one_layer_is_asked_by_the_other),
        TEST(a_captcha_that_is_never_asked_answers_no_challenge),
        TEST(a_body_that_is_not_inspected_answers_no_challenge),
        TEST(detection_challenges_nobody),
        TEST(a_challenge_is_of_one_post),
        TEST(a_full_limit_closes_the_form),
        TEST(a_form_opened_by_hand_takes_posts),
        TEST(a_closed_form_is_charged_nothing),
        TEST(detection_closes_nothing),
        TEST(a_site_may_close_its_form_beside_a_server_in_detection),
        TEST(without_a_table_a_form_is_refused_and_not_closed),
        TEST(where_no_post_belongs_none_is_read),
        TEST(no_form_field_is_asked_for_where_no_post_belongs),
        TEST(either_layer_may_deny),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
