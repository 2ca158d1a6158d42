/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "decide_world.h"

typedef struct field_case {
    const char *posted; /* urlencoded, or JSON where it starts with a brace */
    int holds;
} field_case_t;

/* Under one rule each of the posts is accepted, or refused for that reason. */
static void expect(const char *rule, fg_reason_t reason, const field_case_t *cases, size_t count)
{
    size_t i;

    configure("FormGuardLimit ip 999/1h"); /* not the ten of a bare policy */
    configure(apr_pstrcat(pool, "FormGuardField ", rule, NULL));
    for (i = 0; i < count; i++) {
        fg_verdict_t verdict;

        world.json = *cases[i].posted == '{' ? cases[i].posted : NULL;
        world.posted = cases[i].posted;
        verdict = decide();
        if ((verdict.outcome == FG_OUT_ACCEPT) != cases[i].holds) {
            fail_msg("%s: '%s' is %s", rule, cases[i].posted, fg_reason(verdict.reason)->words);
        }
        if (!cases[i].holds) {
            assert_refused(verdict, reason);
            assert_string_equal(verdict.rule, rule);
            assert_null(verdict.detail); /* nothing of what was typed */
            assert_string_equal(world.calls, "country capture now");
        }
    }
    world.json = NULL;
}

#define EXPECT(rule, reason, cases) expect(rule, reason, cases, sizeof(cases) / sizeof(cases[0]))

/* --- each check ------------------------------------------------------------------------------- */

static void required_is_there_and_not_blank(void **state)
{
    static const field_case_t cases[] = {
        {"name=x", 1},
        {"name=+x+", 1},
        {"name=0", 1},
        {"name=%e3%81%82", 1},
        {"name[]=x", 1},
        {"name[first]=&name[last]=x", 1},
        {"", 0},
        {"name", 0},
        {"name=", 0},
        {"name=+++", 0},
        {"name=%09%0d%0a", 0},
        {"name[]=", 0},
        {"names=x", 0},
        {"Name=x", 0},
        {"{\"name\":\"x\"}", 1},
        {"{\"name\":[\"\",\"x\"]}", 1},
        {"{\"name\":\" \\n\"}", 0},
        {"{\"name\":{}}", 0},
        {"{\"other\":\"x\"}", 0},
    };

    (void)state;
    EXPECT("name required", FG_FIELD_MISSING, cases);
}

static void a_honeypot_is_empty_or_not_there(void **state)
{
    static const field_case_t cases[] = {
        {"", 1},
        {"url", 1},
        {"url=", 1},
        {"url[]=", 1},
        {"urls=x", 1},
        {"url=x", 0},
        {"url=+", 0},
        {"url=%00", 0},
        {"url=x&url=", 0}, /* what PHP would see is empty, but a robot has filled it */
        {"url[]=&url[]=x", 0},
        {"url[a][b]=x", 0},
        {"{\"url\":\"\"}", 1},
        {"{\"url\":\"x\"}", 0},
        {"{\"url\":[\"\",\"x\"]}", 0},
        {"{\"url\":{\"a\":{\"b\":\"x\"}}}", 0},
    };

    (void)state;
    EXPECT("url empty", FG_FIELD_FILLED, cases);
}

static void a_single_line_has_no_line_end(void **state)
{
    static const field_case_t cases[] = {
        {"email=a%40example.org", 1},
        {"email=", 1},
        {"", 1},
        {"email=100%25", 1},
        {"email=%250", 1},
        {"email=%250b", 1},
        {"email=%25", 1},
        {"message=a%0ab", 1},
        {"email=a%0ab", 0},
        {"email=a%0db", 0},
        {"email=a%0d%0aBcc:x%40example.org", 0},
        {"email=%0a", 0},
        {"email=a%0A", 0},
        /* percent-encoded once more: for a mailer that decodes what PHP has decoded */
        {"email=a%250aBcc:x", 0},
        {"email=a%250AB", 0},
        {"email=a%250d", 0},
        {"email=a%250D%250A", 0},
        /* all values, not the last alone */
        {"email=a%0ab&email=c", 0},
        {"email[]=a&email[]=b%0ac", 0},
        {"email[x][y]=b%0a", 0},
        {"{\"email\":\"a@example.org\"}", 1},
        {"{\"email\":\"a\\nBcc:x\"}", 0},
        {"{\"email\":\"a\\u000dBcc:x\"}", 0},
        {"{\"email\":\"a%0aBcc:x\"}", 0},
        {"{\"email\":[\"a\",\"b\\nc\"]}", 0},
        {"{\"email\":{\"x\":\"b\\nc\"}}", 0},
    };

    (void)state;
    EXPECT("email single-line", FG_FIELD_LINES, cases);
}

static void links_are_counted_over_all_values(void **state)
{
    static const field_case_t cases[] = {
        {"message=none", 1},
        {"message=http://a", 1},
        {"message=http://a+https://b", 1},
        {"message=http:+//a+https:/b+http:/+www.example.org+http://a", 1},
        {"message=http", 1},
        {"message=http:/", 1},
        {"message=https://", 1},
        {"other=http://a+http://b+http://c", 1},
        {"message=http://a+http://b+http://c", 0},
        {"message=HTTP://a+HtTpS://b+hhttp://c", 0},
        {"message=http://http://http://", 0},
        {"message=http%3a%2f%2fa+http%3a%2f%2fb+http%3a%2f%2fc", 0},
        {"message=http://a+http://b&message=http://c", 0},
        {"message[]=http://a+http://b&message[]=http://c", 0},
        {"{\"message\":\"http://a http://b\"}", 1},
        {"{\"message\":\"http://a http://b http:\\/\\/c\"}", 0},
        {"{\"message\":[\"http://a\",\"http://b\",\"http://c\"]}", 0},
    };

    (void)state;
    EXPECT("message max-links=2", FG_FIELD_LINKS, cases);
}

static void no_links_at_all(void **state)
{
    static const field_case_t cases[] = {
        {"message=www.example.org", 1},
        {"", 1},
        {"message=see+http://a", 0},
    };

    (void)state;
    EXPECT("message max-links=0", FG_FIELD_LINKS, cases);
}

/* --- long values ------------------------------------------------------------------------------ */

/* `email=xxx...` with `tail` behind so many bytes. */
static char *padded(apr_size_t len, const char *tail)
{
    char *text = apr_palloc(pool, len + strlen(tail) + 10);

    memcpy(text, "email=", 6);
    memset(text + 6, 'x', len);
    apr_cpystrn(text + 6 + len, tail, strlen(tail) + 1);
    return text;
}

static void a_line_end_does_not_hide_behind_16_kib(void **state)
{
    const apr_size_t kept = fg_body_default_caps.value_kept;

    (void)state;
    configure("FormGuardField email single-line");
    world.posted = padded(kept, "");
    assert_accepted(decide());
    world.posted = padded(kept - 1, "%0a");
    assert_refused(decide(), FG_FIELD_LINES);
    world.posted = padded(kept, "%0aBcc:x");
    assert_refused(decide(), FG_FIELD_LINES);
    world.posted = padded(kept + 1, ""); /* too long for a line in any case */
    assert_refused(decide(), FG_FIELD_LINES);
    /* An encoded line end that is cut in two. */
    world.posted = padded(kept - 1, "%250a");
    assert_refused(decide(), FG_FIELD_LINES);
    world.posted = padded(kept - 3, "%250a");
    assert_refused(decide(), FG_FIELD_LINES);
}

static void a_honeypot_of_any_length_is_filled(void **state)
{
    (void)state;
    configure("FormGuardField email empty");
    world.posted = padded(20000, "");
    assert_refused(decide(), FG_FIELD_FILLED);
}

/* --- names ------------------------------------------------------------------------------------ */

static void names_are_those_php_sees(void **state)
{
    static const field_case_t cases[] = {
        {"your.email=a%0ab", 0},  {"your_email=a%0ab", 0}, {"your+email=a%0ab", 0},
        {"+your.email=a%0ab", 0}, {"youremail=a%0ab", 1},  {"your-email=a%0ab", 1},
    };

    (void)state;
    EXPECT("your.email single-line", FG_FIELD_LINES, cases);
}

static void a_line_may_name_several_fields(void **state)
{
    fg_verdict_t verdict;

    (void)state;
    configure("FormGuardField name email subject single-line");
    world.posted = "name=a&email=b&subject=c&message=d%0ae";
    assert_accepted(decide());
    world.posted = "name=a&email=b&subject=c%0ad";
    verdict = decide();
    assert_refused(verdict, FG_FIELD_LINES);
    assert_string_equal(verdict.rule, "subject single-line");
}

static void several_rules_on_one_field_all_hold(void **state)
{
    (void)state;
    configure("FormGuardField email required");
    configure("FormGuardField email single-line");
    configure("FormGuardField email max-links=0");
    world.posted = "email=";
    assert_refused(decide(), FG_FIELD_MISSING);
    world.posted = "email=a%0ab";
    assert_refused(decide(), FG_FIELD_LINES);
    world.posted = "email=http://a";
    assert_refused(decide(), FG_FIELD_LINKS);
    world.posted = "email=a";
    assert_accepted(decide());
    assert_non_null(strstr(world.trace, "field email required: holds"));
}

static void a_field_may_be_watched_limited_and_a_token_at_once(void **state)
{
    (void)state;
    configure("FormGuardFormField email");
    configure("FormGuardField email single-line");
    configure("FormGuardLimit field:email 1/1d");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardCaptchaField email");
    world.posted = "email=a";
    assert_accepted(decide());
    assert_string_equal(world.token, "a");
    assert_refused(decide(), FG_LIMIT);
    world.posted = "email=a%0ab";
    assert_refused(decide(), FG_FIELD_LINES);
}

/* --- actions and order ------------------------------------------------------------------------ */

static void a_logged_rule_goes_on(void **state)
{
    (void)state;
    configure("FormGuardField url empty action=log");
    configure("FormGuardField email required");
    world.posted = "url=x&email=a";
    assert_accepted(decide());
    assert_string_equal(world.calls, "country capture now note");
    assert_refused(world.note, FG_FIELD_FILLED);
    assert_string_equal(world.note.rule, "url empty");
    world.posted = "url=x";
    assert_refused(decide(), FG_FIELD_MISSING);
}

static void fields_are_judged_before_the_captcha_and_charge_no_budget(void **state)
{
    (void)state;
    configure("FormGuardField url empty");
    configure("FormGuardCaptcha recaptcha-v2");
    configure("FormGuardLimit form 9/1h");
    configure("FormGuardLimit ip 9/1h");
    world.posted = "url=x&g-recaptcha-response=t";
    assert_refused(decide(), FG_FIELD_FILLED);
    assert_string_equal(world.calls, "country capture now");
    assert_int_equal(used_by_form("form 9/1h"), 0);
    assert_int_equal(used_by_client("ip 9/1h"), 1);
}

static void a_post_that_is_no_submission_misses_nothing(void **state)
{
    (void)state;
    configure("FormGuardFormField email");
    configure("FormGuardField name required");
    world.posted = "action=heartbeat";
    assert_int_equal(decide().outcome, FG_OUT_PASS);
    world.posted = "email=a";
    assert_refused(decide(), FG_FIELD_MISSING);
}

static void an_uninspected_body_is_not_judged_by_its_fields(void **state)
{
    (void)state;
    configure("FormGuardBodyLimit 64K over=pass");
    configure("FormGuardField name required");
    world.captured.capture = FG_CAPTURE_OVER;
    assert_accepted(decide());
}

static void detection_tells_what_a_field_would_be_refused_for(void **state)
{
    (void)state;
    configure("FormGuard DetectionOnly");
    configure("FormGuardField name required");
    world.posted = "";
    assert_would(decide(), FG_FIELD_MISSING);
}

/* --- wrong lines ------------------------------------------------------------------------------ */

static void wrong_rules(void **state)
{
    static const char takes[] = "takes NAME [NAME...] required|empty|single-line|max-links=N "
                                "[action=refuse|challenge|log]";
    static const char check[] = " is no check: required, empty, single-line or max-links=N";
    static const char range[] = " is out of range: max-links=0 to max-links=1000";
    static const char action[] = " is no action: refuse, challenge or log";
    const line_wrong_t cases[] = {
        {"FormGuardField", takes},
        {"FormGuardField email", takes},
        {"FormGuardField required", takes},
        {"FormGuardField required action=log", takes},
        {"FormGuardField email name", apr_pstrcat(pool, "'name'", check, NULL)},
        {"FormGuardField email required name", apr_pstrcat(pool, "'name'", check, NULL)},
        {"FormGuardField email single", apr_pstrcat(pool, "'single'", check, NULL)},
        {"FormGuardField email max-links", apr_pstrcat(pool, "'max-links'", check, NULL)},
        {"FormGuardField email max-links=", apr_pstrcat(pool, "'max-links='", range, NULL)},
        {"FormGuardField email max-links=-1", apr_pstrcat(pool, "'max-links=-1'", range, NULL)},
        {"FormGuardField email max-links=1001", apr_pstrcat(pool, "'max-links=1001'", range, NULL)},
        {"FormGuardField email max-links=2x", apr_pstrcat(pool, "'max-links=2x'", range, NULL)},
        {"FormGuardField email max-links=18446744073709551617",
         apr_pstrcat(pool, "'max-links=18446744073709551617'", range, NULL)},
        {"FormGuardField email empty action=allow",
         apr_pstrcat(pool, "'action=allow'", action, NULL)},
        {"FormGuardField email empty action=close:1h",
         apr_pstrcat(pool, "'action=close:1h'", action, NULL)},
        {"FormGuardField email empty action=", apr_pstrcat(pool, "'action='", action, NULL)},
    };

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(required_is_there_and_not_blank),
        TEST(a_honeypot_is_empty_or_not_there),
        TEST(a_single_line_has_no_line_end),
        TEST(links_are_counted_over_all_values),
        TEST(no_links_at_all),
        TEST(a_line_end_does_not_hide_behind_16_kib),
        TEST(a_honeypot_of_any_length_is_filled),
        TEST(names_are_those_php_sees),
        TEST(a_line_may_name_several_fields),
        TEST(several_rules_on_one_field_all_hold),
        TEST(a_field_may_be_watched_limited_and_a_token_at_once),
        TEST(a_logged_rule_goes_on),
        TEST(fields_are_judged_before_the_captcha_and_charge_no_budget),
        TEST(a_post_that_is_no_submission_misses_nothing),
        TEST(an_uninspected_body_is_not_judged_by_its_fields),
        TEST(detection_tells_what_a_field_would_be_refused_for),
        TEST(wrong_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
