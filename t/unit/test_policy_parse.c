/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>

#include <apr_general.h>

#include "policy.h"
#include "policy_line.h"

static apr_pool_t *pool;

static int set_up(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static fg_policy_t *empty(void)
{
    return apr_pcalloc(pool, sizeof(fg_policy_t));
}

static const char *apply(fg_policy_t *policy, const char *line)
{
    return line_apply(policy, "here", line, pool);
}

/* A policy made by one good line. */
static fg_policy_t *policy_of(const char *line)
{
    return line_policy(line, pool);
}

/* --- wrong lines ------------------------------------------------------------------------------ */

static void switches_and_lists(void **state)
{
    static const line_wrong_t cases[] = {
        {"FormGuard", "takes one value: On|Off|DetectionOnly"},
        {"FormGuard On Off", "takes one value: On|Off|DetectionOnly"},
        {"FormGuard yes", "'yes' is none of On, Off, DetectionOnly"},
        {"FormGuard Detection", "'Detection' is none of On, Off, DetectionOnly"},
        {"FormGuardCaptchaSendRemoteIP 1", "'1' is neither On nor Off"},
        {"FormGuardCaptchaSendRemoteIP", "takes one value: On|Off"},
        {"FormGuardMethods", "takes one value at least: METHOD [METHOD...]"},
        {"FormGuardMethods post",
         "'post' is no HTTP method of any form: methods are written in capitals"},
        {"FormGuardMethods POST,PUT", "'POST,PUT' is no HTTP method"},
        {"FormGuardMethods POST P/T", "'P/T' is no HTTP method"},
        {"FormGuardPath", "takes one value at least: GLOB [GLOB...]"},
        {"FormGuardPath contact.php",
         "'contact.php' is no URL path: it must start with '/' or '*'"},
        {"FormGuardPath /a http://x/", "'http://x/' is no URL path: it must start with '/' or '*'"},
        {"FormGuardFormField", "takes one value at least: NAME [NAME...]"},
    };

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
}

static void limits(void **state)
{
    static const char takes[] = "takes KEY RATE [RATE...] "
                                "[action=refuse|challenge|log|close:TIME] "
                                "[count=attempts|accepted] [from=[!]CC[,CC...]] [weight=N]";
    static const char key[] =
        " is no key: ip, net, country, country=CC,CC, each alone or with +form or +site, form, "
        "site, server or field:NAME";
    static const char option[] = " is no option: action=refuse|challenge|log|close:TIME, "
                                 "count=attempts|accepted, from=CC,CC, from=!CC,CC, weight=N";
    static const char action[] = " is no action: refuse, challenge, log or close:TIME";
    static const char weight[] = " is out of range: weight=1 to weight=1000";
    static const char cant_close[] = " can't close the form: one client could close it for "
                                     "everybody; form, site and server can";
    static const char country[] = " is no country: two letters (ISO 3166-1), EU, unknown or *";
    const line_wrong_t cases[] = {
        {"FormGuardLimit", takes},
        {"FormGuardLimit ip", takes},
        {"FormGuardLimit mac 5/10m", apr_pstrcat(pool, "'mac'", key, NULL)},
        {"FormGuardLimit ip=1 5/10m", apr_pstrcat(pool, "'ip=1'", key, NULL)},
        {"FormGuardLimit form+site 5/10m", apr_pstrcat(pool, "'form+site'", key, NULL)},
        {"FormGuardLimit server+form 5/10m", apr_pstrcat(pool, "'server+form'", key, NULL)},
        {"FormGuardLimit ip+net 5/10m", apr_pstrcat(pool, "'ip+net'", key, NULL)},
        {"FormGuardLimit ip+ 5/10m", apr_pstrcat(pool, "'ip+'", key, NULL)},
        {"FormGuardLimit +form 5/10m", apr_pstrcat(pool, "'+form'", key, NULL)},
        {"FormGuardLimit countryX+form 5/10m", apr_pstrcat(pool, "'countryX+form'", key, NULL)},
        {"FormGuardLimit ip+form+site 5/10m", apr_pstrcat(pool, "'ip+form+site'", key, NULL)},
        {"FormGuardLimit ip 5/10m from=", apr_pstrcat(pool, "''", country, NULL)},
        {"FormGuardLimit ip 5/10m from=!", apr_pstrcat(pool, "''", country, NULL)},
        {"FormGuardLimit ip 5/10m from=JP,!TW", apr_pstrcat(pool, "'!TW'", country, NULL)},
        {"FormGuardLimit ip 5/10m from=JP from=TW", "'from=TW' names countries a second time"},
        {"FormGuardLimit country=JP 5/10m from=!TW", "'from=!TW' names countries a second time"},
        {"FormGuardLimit field 5/10m", apr_pstrcat(pool, "'field'", key, NULL)},
        {"FormGuardLimit field: 5/10m", apr_pstrcat(pool, "'field:'", key, NULL)},
        {"FormGuardLimit ip 5", "'5' is no rate: write COUNT/PERIOD, such as 5/10m"},
        {"FormGuardLimit ip 5/10m 0/1h", "'0/1h': the count must be 1 to 1000000"},
        {"FormGuardLimit ip 5/10x", "'5/10x': the period must be a number and one of s m h d w"},
        {"FormGuardLimit ip 5/367d", "'5/367d': the period must be 1s to 366d"},
        {"FormGuardLimit ip action=log", "'ip action=log' has 0 rates: 1 to 4 are possible"},
        {"FormGuardLimit ip 1/1s 2/1m 3/1h 4/1d 5/1w",
         "'ip 1/1s 2/1m 3/1h 4/1d 5/1w' has 5 rates: 1 to 4 are possible"},
        {"FormGuardLimit ip 5/10m action=ban", apr_pstrcat(pool, "'action=ban'", action, NULL)},
        {"FormGuardLimit ip 5/10m action=", apr_pstrcat(pool, "'action='", action, NULL)},
        {"FormGuardLimit ip 5/10m count=all", apr_pstrcat(pool, "'count=all'", option, NULL)},
        {"FormGuardLimit ip 5/10m action=allow", apr_pstrcat(pool, "'action=allow'", action, NULL)},
        {"FormGuardLimit form 5/10m action=close",
         apr_pstrcat(pool, "'action=close'", action, NULL)},
        {"FormGuardLimit form 5/10m action=close:",
         "'action=close:' is no time: a number and one of ms s m h d w, seconds without one"},
        {"FormGuardLimit form 5/10m action=close:0",
         "'action=close:0' is out of range: 1ms to 366d"},
        {"FormGuardLimit ip 5/10m action=close:1h",
         apr_pstrcat(pool, "'ip 5/10m action=close:1h'", cant_close, NULL)},
        {"FormGuardLimit net 5/10m action=close:1h",
         apr_pstrcat(pool, "'net 5/10m action=close:1h'", cant_close, NULL)},
        {"FormGuardLimit country 5/10m action=close:1h",
         apr_pstrcat(pool, "'country 5/10m action=close:1h'", cant_close, NULL)},
        {"FormGuardLimit field:a 5/10m action=close:1h",
         apr_pstrcat(pool, "'field:a 5/10m action=close:1h'", cant_close, NULL)},
        {"FormGuardLimit form 5/10m action=challenge",
         "'form 5/10m action=challenge' can't challenge: what is counted when accepted is past the "
         "captcha; write count=attempts"},
        {"FormGuardLimit field:a 5/10m count=attempts",
         "'field:a 5/10m count=attempts' can't count attempts: a field is known when the body is "
         "read"},
        {"FormGuardLimit ip 5/10m weight=6",
         "'ip 5/10m weight=6' admits no post at all: its weight is more than its rate"},
        {"FormGuardLimit ip 9/10m 5/1h weight=6",
         "'ip 9/10m 5/1h weight=6' admits no post at all: its weight is more than its rate"},
        {"FormGuardLimit ip 5/10m weight=", apr_pstrcat(pool, "'weight='", weight, NULL)},
        {"FormGuardLimit ip 5/10m weight=0", apr_pstrcat(pool, "'weight=0'", weight, NULL)},
        {"FormGuardLimit ip 5/10m weight=-1", apr_pstrcat(pool, "'weight=-1'", weight, NULL)},
        {"FormGuardLimit ip 5/10m weight=2x", apr_pstrcat(pool, "'weight=2x'", weight, NULL)},
        {"FormGuardLimit ip 5/10m weight=1001", apr_pstrcat(pool, "'weight=1001'", weight, NULL)},
        {"FormGuardLimit ip 5/10m weight=4294967297",
         apr_pstrcat(pool, "'weight=4294967297'", weight, NULL)},
        {"FormGuardLimit country= 5/10m", apr_pstrcat(pool, "''", country, NULL)},
        {"FormGuardLimit country=CN,,HK 5/10m", apr_pstrcat(pool, "''", country, NULL)},
        {"FormGuardLimit country=CN, 5/10m", apr_pstrcat(pool, "''", country, NULL)},
        {"FormGuardLimit country=CN;HK 5/10m", apr_pstrcat(pool, "'CN;HK'", country, NULL)},
    };

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
}

static void countries(void **state)
{
    static const char takes[] = "takes CC[,CC...]|EU|unknown|* allow|refuse|challenge|log";
    static const char country[] = " is no country: two letters (ISO 3166-1), EU, unknown or *";
    const line_wrong_t cases[] = {
        {"FormGuardCountry", takes},
        {"FormGuardCountry CN", takes},
        {"FormGuardCountry CN HK refuse", takes},
        {"FormGuardCountry CN deny", "'deny' is none of allow, refuse, challenge, log"},
        {"FormGuardCountry CHN refuse", apr_pstrcat(pool, "'CHN'", country, NULL)},
        {"FormGuardCountry C refuse", apr_pstrcat(pool, "'C'", country, NULL)},
        {"FormGuardCountry 86 refuse", apr_pstrcat(pool, "'86'", country, NULL)},
        {"FormGuardCountry ** refuse", apr_pstrcat(pool, "'**'", country, NULL)},
        {"FormGuardCountry CN,*x refuse", apr_pstrcat(pool, "'*X'", country, NULL)},
        {"FormGuardCountry ,CN refuse", apr_pstrcat(pool, "''", country, NULL)},
    };

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
}

static void body_limits(void **state)
{
    static const char takes[] = "takes SIZE [over=refuse|pass]";
    static const char size[] =
        " is no size: a number, with K, M or G for 1024, 1024^2, 1024^3 bytes";
    static const char range[] = " is out of range: 1 byte to 1024G";
    const line_wrong_t cases[] = {
        {"FormGuardBodyLimit", takes},
        {"FormGuardBodyLimit 1M over=pass over=pass", takes},
        {"FormGuardBodyLimit big", apr_pstrcat(pool, "'big'", size, NULL)},
        {"FormGuardBodyLimit -1", apr_pstrcat(pool, "'-1'", size, NULL)},
        {"FormGuardBodyLimit +1", apr_pstrcat(pool, "'+1'", size, NULL)},
        {"FormGuardBodyLimit 1.5M", apr_pstrcat(pool, "'1.5M'", size, NULL)},
        {"FormGuardBodyLimit 1MB", apr_pstrcat(pool, "'1MB'", size, NULL)},
        {"FormGuardBodyLimit 1T", apr_pstrcat(pool, "'1T'", size, NULL)},
        {"FormGuardBodyLimit K", apr_pstrcat(pool, "'K'", size, NULL)},
        {"FormGuardBodyLimit 0", apr_pstrcat(pool, "'0'", range, NULL)},
        {"FormGuardBodyLimit 0G", apr_pstrcat(pool, "'0G'", range, NULL)},
        {"FormGuardBodyLimit 1025G", apr_pstrcat(pool, "'1025G'", range, NULL)},
        {"FormGuardBodyLimit 1048577M", apr_pstrcat(pool, "'1048577M'", range, NULL)},
        {"FormGuardBodyLimit 1099511627777", apr_pstrcat(pool, "'1099511627777'", range, NULL)},
        {"FormGuardBodyLimit 99999999999999999999",
         apr_pstrcat(pool, "'99999999999999999999'", range, NULL)},
        {"FormGuardBodyLimit 17179869185G", apr_pstrcat(pool, "'17179869185G'", range, NULL)},
        {"FormGuardBodyLimit 1M over=allow", "'over=allow' is neither over=refuse nor over=pass"},
        {"FormGuardBodyLimit 1M pass", "'pass' is neither over=refuse nor over=pass"},
    };

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
}

/* --- good lines ------------------------------------------------------------------------------- */

static void words_are_taken_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(fg_policy_mode(policy_of("FormGuard on")), FG_MODE_ON);
    assert_int_equal(fg_policy_mode(policy_of("FormGuard OFF")), FG_MODE_OFF);
    assert_int_equal(fg_policy_mode(policy_of("FormGuard detectiononly")), FG_MODE_DETECT);
    assert_int_equal(policy_of("FormGuardCaptchaSendRemoteIP oN")->captcha_send_ip, FG_MODE_ON);
    assert_int_equal(policy_of("FormGuardCaptchaSendRemoteIP off")->captcha_send_ip, FG_MODE_OFF);
    assert_ptr_equal(policy_of("FormGuardCaptcha OFF")->captcha, &fg_captcha_off);
    assert_true(fg_policy_body_over_passes(policy_of("FormGuardBodyLimit 1 OVER=PASS")));
    assert_int_equal(country_rule(policy_of("FormGuardCountry cn REFUSE"), "CN")->action,
                     FG_ACT_REFUSE);
    assert_int_equal(country_rule(policy_of("FormGuardCountry Unknown Log"), "")->action,
                     FG_ACT_LOG);
    assert_int_equal(country_rule(policy_of("FormGuardCountry eu allow"), "FR")->action,
                     FG_ACT_ALLOW);
    assert_int_equal(
        fg_policy_on_error(policy_of("FormGuardCaptchaOnError quota=ALLOW"), FG_CAUSE_QUOTA),
        FG_ACT_ALLOW);
}

static void where_a_switch_stands_names_the_default_limit(void **state)
{
    fg_policy_t *here = empty();
    fg_policy_t *there = empty();

    (void)state;
    assert_null(line_apply(here, "here", "FormGuard On", pool));
    assert_null(line_apply(there, "there", "FormGuard On", pool));
    assert_true(here->mode.scope != 0);
    assert_true(here->mode.scope != there->mode.scope);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        apr_int64_t size;
    } cases[] = {
        {"1", 1},
        {"64", 64},
        {"0064", 64},
        {"1k", 1024},
        {"64K", 65536},
        {"1m", 1048576},
        {"64M", 67108864},
        {"1g", 1073741824},
        {"1024G", APR_INT64_C(1099511627776)},
        {"1048576M", APR_INT64_C(1099511627776)},
        {"1099511627776", APR_INT64_C(1099511627776)},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_policy_t *policy =
            policy_of(apr_pstrcat(pool, "FormGuardBodyLimit ", cases[i].text, NULL));

        assert_int_equal(fg_policy_body_limit(policy), cases[i].size);
        assert_false(fg_policy_body_over_passes(policy));
    }
    assert_true(fg_policy_body_over_passes(policy_of("FormGuardBodyLimit 1M over=pass")));
    assert_false(fg_policy_body_over_passes(policy_of("FormGuardBodyLimit 1M over=refuse")));
}

static void spans_of_time(void **state)
{
    static const struct {
        const char *text;
        apr_interval_time_t span;
    } cases[] = {
        {"100ms", apr_time_from_msec(100)}, {"1", apr_time_from_sec(1)},
        {"3s", apr_time_from_sec(3)},       {"30", apr_time_from_sec(30)},
        {"30000ms", apr_time_from_sec(30)},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *line = apr_pstrcat(pool, "FormGuardCaptchaTimeout ", cases[i].text, NULL);

        assert_int_equal(fg_policy_captcha_timeout(policy_of(line)), cases[i].span);
    }
    assert_int_equal(policy_of("FormGuardCaptchaMaxAge 1s")->captcha_max_age, apr_time_from_sec(1));
    assert_int_equal(policy_of("FormGuardCaptchaMaxAge 1d")->captcha_max_age,
                     apr_time_from_sec(86400));
}

static void a_limit_holds_what_was_written(void **state)
{
    static const struct {
        const char *words;
        fg_limit_key_t key;
        int countries;
        int rates;
        fg_action_t action;
        fg_count_when_t when;
    } cases[] = {
        {"ip 5/10m", FG_KEY_IP, 0, 1, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
        {"IP 5/10m 30/1d", FG_KEY_IP, 0, 2, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
        {"ip 1/1s 2/1m 3/1h 4/1d", FG_KEY_IP, 0, 4, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
        {"form 60/1h", FG_KEY_FORM, 0, 1, FG_ACT_REFUSE, FG_COUNT_ACCEPTED},
        {"form 60/1h count=attempts", FG_KEY_FORM, 0, 1, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
        {"ip 5/10m count=accepted", FG_KEY_IP, 0, 1, FG_ACT_REFUSE, FG_COUNT_ACCEPTED},
        {"ip action=log 5/10m", FG_KEY_IP, 0, 1, FG_ACT_LOG, FG_COUNT_ATTEMPTS},
        {"ip 5/10m action=log action=refuse", FG_KEY_IP, 0, 1, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
        {"country 5/10m", FG_KEY_COUNTRY, 0, 1, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
        {"Country=CN 5/10m", FG_KEY_COUNTRY, 1, 1, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
        {"country=CN,EU,*,unknown 5/10m", FG_KEY_COUNTRY, 4, 1, FG_ACT_REFUSE, FG_COUNT_ATTEMPTS},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_policy_t *policy = policy_of(apr_pstrcat(pool, "FormGuardLimit ", cases[i].words, NULL));
        const fg_limit_t *limit = &APR_ARRAY_IDX(policy->limits, 0, fg_limit_t);

        assert_int_equal(limit->key, cases[i].key);
        assert_int_equal(limit->countries != NULL ? limit->countries->nelts : 0,
                         cases[i].countries);
        assert_int_equal(limit->rates->nelts, cases[i].rates);
        assert_int_equal(limit->action, cases[i].action);
        assert_int_equal(limit->when, cases[i].when);
        assert_string_equal(limit->text, cases[i].words);
    }
}

static const fg_limit_t *first_limit(const char *words)
{
    fg_policy_t *policy = policy_of(apr_pstrcat(pool, "FormGuardLimit ", words, NULL));

    return &APR_ARRAY_IDX(policy->limits, 0, fg_limit_t);
}

static void a_key_may_be_counted_in_each_form_or_site(void **state)
{
    static const struct {
        const char *words;
        fg_limit_key_t key;
        fg_limit_in_t in;
    } cases[] = {
        {"ip 5/10m", FG_KEY_IP, FG_IN_ANY},
        {"ip+form 5/10m", FG_KEY_IP, FG_IN_FORM},
        {"NET+Site 5/10m", FG_KEY_NET, FG_IN_SITE},
        {"country+form 5/10m", FG_KEY_COUNTRY, FG_IN_FORM},
        {"country=CN,HK+form 5/10m", FG_KEY_COUNTRY, FG_IN_FORM},
        {"form 5/10m", FG_KEY_FORM, FG_IN_ANY},
        {"field:a+form 5/10m", FG_KEY_FIELD, FG_IN_ANY}, /* that is how the field is called */
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const fg_limit_t *limit = first_limit(cases[i].words);

        assert_int_equal(limit->key, cases[i].key);
        assert_int_equal(limit->in, cases[i].in);
        assert_string_equal(limit->text, cases[i].words);
    }
    assert_int_equal(first_limit("ip+form 5/10m")->when, FG_COUNT_ATTEMPTS);
    assert_string_equal(first_limit("field:a+form 5/10m")->field, "a+form");
    assert_int_equal(first_limit("country=CN,HK+form 5/10m")->countries->nelts, 2);
}

static void a_limit_may_hold_for_some_countries_only(void **state)
{
    const fg_limit_t *limit = first_limit("form 5/1d from=!JP,tw count=attempts action=challenge");

    (void)state;
    assert_int_equal(limit->key, FG_KEY_FORM);
    assert_true(limit->not_from);
    assert_int_equal(limit->countries->nelts, 2);
    assert_string_equal(APR_ARRAY_IDX(limit->countries, 1, const char *), "TW");
    assert_int_equal(limit->action, FG_ACT_CHALLENGE);
    assert_false(first_limit("form 5/1d from=JP")->not_from);
    assert_true(first_limit("country=!JP 5/1d")->not_from);
}

static void a_rate_keeps_its_numbers(void **state)
{
    fg_policy_t *policy = policy_of("FormGuardLimit ip 5/10m 1000000/366d");
    const fg_limit_t *limit = &APR_ARRAY_IDX(policy->limits, 0, fg_limit_t);

    (void)state;
    assert_int_equal(APR_ARRAY_IDX(limit->rates, 0, fg_rate_t).count, 5);
    assert_int_equal(APR_ARRAY_IDX(limit->rates, 0, fg_rate_t).period, apr_time_from_sec(600));
    assert_int_equal(APR_ARRAY_IDX(limit->rates, 1, fg_rate_t).count, 1000000);
    assert_int_equal(APR_ARRAY_IDX(limit->rates, 1, fg_rate_t).period,
                     apr_time_from_sec(366 * 86400));
}

static void lines_of_rules_add_up(void **state)
{
    fg_policy_t *policy = policy_of("FormGuardLimit ip 5/10m");
    const apr_array_header_t *earlier = policy->limits;

    (void)state;
    assert_null(apply(policy, "FormGuardLimit ip 9/1h"));
    assert_null(apply(policy, "FormGuardCountry CN,HK refuse"));
    assert_null(apply(policy, "FormGuardCountry * log"));
    assert_int_equal(policy->limits->nelts, 2);
    assert_int_equal(policy->countries->nelts, 3);
    assert_string_equal(country_rule(policy, "HK")->text, "CN,HK refuse");
    assert_int_equal(earlier->nelts, 1); /* an outer policy may hold that one */
    assert_null(apply(policy, "FormGuardCaptchaOnError timeout=allow busy=allow"));
    assert_null(apply(policy, "FormGuardCaptchaOnError quota=allow busy=refuse"));
    assert_int_equal(fg_policy_on_error(policy, FG_CAUSE_TIMEOUT), FG_ACT_ALLOW);
    assert_int_equal(fg_policy_on_error(policy, FG_CAUSE_QUOTA), FG_ACT_ALLOW);
    assert_int_equal(fg_policy_on_error(policy, FG_CAUSE_BUSY), FG_ACT_REFUSE);
}

static void a_wrong_line_leaves_the_policy_as_it_was(void **state)
{
    static const char *const lines[] = {
        "FormGuard maybe",
        "FormGuardMethods POST post",
        "FormGuardPath /a b",
        "FormGuardLimit ip 5/10m 0/1h",
        "FormGuardCountry CN,HK,Hongkong refuse",
        "FormGuardCountry CN,HK deny",
        "FormGuardBodyLimit 2M over=x",
        "FormGuardCaptcha other",
        "FormGuardCaptchaHostname a b:1",
        "FormGuardCaptchaMaxAge 0",
        "FormGuardCaptchaMinScore 1.5",
        "FormGuardCaptchaOnError quota=allow busy=x",
        "FormGuardCaptchaEndpoint x",
        "FormGuardCaptchaSecret two words",
        "FormGuardCaptchaSecretFile /dev/null",
        "FormGuardCaptchaCAFile /",
    };
    fg_policy_t *policy = policy_of("FormGuard On");
    fg_policy_t before;
    size_t i;

    (void)state;
    assert_null(apply(policy, "FormGuardLimit ip 5/10m"));
    assert_null(apply(policy, "FormGuardCountry CN refuse"));
    assert_null(apply(policy, "FormGuardCaptchaOnError timeout=allow"));
    assert_null(apply(policy, "FormGuardCaptchaSecret kept"));
    before = *policy;
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (apply(policy, lines[i]) == NULL) {
            fail_msg("taken: %s", lines[i]);
        }
        assert_memory_equal(policy, &before, sizeof(before));
        assert_int_equal(policy->limits->nelts, 1);
        assert_int_equal(policy->countries->nelts, 1);
    }
}

static void what_is_stored_outlives_the_line(void **state)
{
    char line[] = "FormGuardCaptchaSiteKey abc";
    char *const argv[] = {line + strlen("FormGuardCaptchaSiteKey ")};
    fg_words_t words = {1, argv, "here", 0, NULL, NULL, pool, pool, 0};
    fg_policy_t *policy = empty();

    (void)state;
    assert_null(fg_policy_apply(line_directive("FormGuardCaptchaSiteKey"), policy, &words));
    memset(line, 'x', sizeof(line) - 1);
    assert_string_equal(policy->captcha_site_key, "abc");
}

/* --- lengths ---------------------------------------------------------------------------------- */

static char *letters(apr_size_t count)
{
    char *text = apr_palloc(pool, count + 1);

    memset(text, 'A', count);
    text[count] = '\0';
    return text;
}

static const char *apply_long(fg_policy_t *policy, const char *name, apr_size_t count)
{
    return apply(policy, apr_pstrcat(pool, name, " ", letters(count), NULL));
}

static void texts_have_a_longest(void **state)
{
    static const struct {
        const char *name;
        apr_size_t longest;
    } cases[] = {
        {"FormGuardCaptchaSiteKey", 512}, {"FormGuardCaptchaField", 512},
        {"FormGuardCaptchaAction", 512},  {"FormGuardFormField", 512},
        {"FormGuardCaptchaSecret", 256},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_policy_t *policy = empty();
        fg_policy_t before;
        const char *error;

        assert_null(apply_long(policy, cases[i].name, 1));
        assert_null(apply_long(policy, cases[i].name, cases[i].longest));
        before = *policy;
        error = apply_long(policy, cases[i].name, cases[i].longest + 1);
        assert_non_null(error);
        assert_non_null(strstr(error, "is longer than"));
        assert_memory_equal(policy, &before, sizeof(before));
    }
}

/* --- hostile words ---------------------------------------------------------------------------- */

/* 1 if the error repeats the word or what of it is wrong: its begin, in any case of letters. */
static int repeats(const char *error, const char *word)
{
    apr_size_t len = strlen(word) < 40 ? strlen(word) : 40;
    const char *at;

    for (at = error; *at != '\0'; at++) {
        if (strncasecmp(at, word, len) == 0) {
            return 1;
        }
    }
    return len == 0 || strstr(error, "is longer than") != NULL || strstr(error, "takes ") != NULL;
}

static void judge_hostile(const fg_directive_t *row, int argc, char *const *argv, const char *word)
{
    fg_words_t words = {argc, argv, "here", 0, NULL, NULL, pool, pool, 0};
    fg_policy_t *policy = empty();
    const fg_policy_t zero = {0};
    const char *error = fg_policy_apply(row, policy, &words);

    if (error == NULL) {
        assert_memory_not_equal(policy, &zero, sizeof(zero));
        return;
    }
    assert_memory_equal(policy, &zero, sizeof(zero));
    assert_true(*error != '\0');
    if (strcmp(row->name, "FormGuardCaptchaSecret") == 0) {
        assert_true(*word == '\0' || strstr(error, word) == NULL);
    }
    else if (!repeats(error, word)) {
        fail_msg("%s: %s does not name %.60s", row->name, error, word);
    }
}

static void hostile_words_break_nothing(void **state)
{
    char *hostile[] = {
        apr_pstrdup(pool, ""),
        letters(10240),
        apr_pstrdup(pool, "%n%n%s%s"),
        apr_pstrdup(pool, "\x01\x02\n\r\t\x1b[31m\x7f"),
        apr_pstrdup(pool, "\xe5\x95\x8f\xe3\x81\x84\xe5\x90\x88\xe3\x82\x8f\xe3\x81\x9b"),
        apr_pstrdup(pool, "\xff\xfe\x80"),
        apr_pstrdup(pool, "'\"\\'"),
        apr_pstrdup(pool, "../../../../etc/shadow"),
        apr_pstrdup(pool, "9999999999999999999999999999"),
        apr_pstrdup(pool, "-1"),
        apr_pstrdup(pool, "===="),
    };
    /* What may stand before it on a line that is right so far. */
    static const char *const before[] = {"ip", "5/10m", "1M", "CN", "POST", "/", "busy=allow"};
    const fg_directive_t *row;
    size_t h, b;

    (void)state;
    for (row = fg_policy_directives; row->name != NULL; row++) {
        fg_words_t none = {0, hostile, "here", 0, NULL, NULL, pool, pool, 0};

        assert_non_null(fg_policy_apply(row, empty(), &none));
        for (h = 0; h < sizeof(hostile) / sizeof(hostile[0]); h++) {
            judge_hostile(row, 1, &hostile[h], hostile[h]);
            for (b = 0; b < sizeof(before) / sizeof(before[0]); b++) {
                char *const argv[] = {apr_pstrdup(pool, before[b]), hostile[h], hostile[h]};
                const char *word = hostile[h];
                fg_words_t first = {1, argv, "here", 0, NULL, NULL, pool, pool, 0};

                /* Where the first word is wrong already, that is the one to be named. */
                if (fg_policy_apply(row, empty(), &first) != NULL) {
                    word = "";
                }
                judge_hostile(row, 2, argv, word);
                judge_hostile(row, 3, argv, word);
            }
        }
    }
}

static void rows_are_whole(void **state)
{
    const fg_directive_t *row, *other;

    (void)state;
    for (row = fg_policy_directives; row->name != NULL; row++) {
        assert_memory_equal(row->name, "FormGuard", 9);
        assert_true(*row->syntax != '\0' && *row->dflt != '\0');
        assert_true(row->offset < sizeof(fg_policy_t));
        for (other = fg_policy_directives; other != row; other++) {
            assert_string_not_equal(row->name, other->name);
        }
        /* Whatever opens a file or a connection of the server's is not for .htaccess. */
        if (strstr(row->name, "File") != NULL || strstr(row->name, "Endpoint") != NULL) {
            assert_int_equal(row->context, FG_CTX_VHOST);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(switches_and_lists),
        cmocka_unit_test(limits),
        cmocka_unit_test(countries),
        cmocka_unit_test(body_limits),
        cmocka_unit_test(words_are_taken_in_any_case),
        cmocka_unit_test(where_a_switch_stands_names_the_default_limit),
        cmocka_unit_test(sizes),
        cmocka_unit_test(spans_of_time),
        cmocka_unit_test(a_limit_holds_what_was_written),
        cmocka_unit_test(a_key_may_be_counted_in_each_form_or_site),
        cmocka_unit_test(a_limit_may_hold_for_some_countries_only),
        cmocka_unit_test(a_rate_keeps_its_numbers),
        cmocka_unit_test(lines_of_rules_add_up),
        cmocka_unit_test(a_wrong_line_leaves_the_policy_as_it_was),
        cmocka_unit_test(what_is_stored_outlives_the_line),
        cmocka_unit_test(texts_have_a_longest),
        cmocka_unit_test(hostile_words_break_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
