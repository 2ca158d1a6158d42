/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>

#include "policy.h"
#include "policy_internal.h"
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

/* Lines up to NULL, as if they stood in `scope`. */
static fg_policy_t *policy_in(const char *scope, ...)
{
    fg_policy_t *policy = empty();
    const char *line;
    va_list lines;

    va_start(lines, scope);
    while ((line = va_arg(lines, const char *)) != NULL) {
        assert_null(line_apply(policy, scope, line, pool));
    }
    va_end(lines);
    return policy;
}

/* One line for each directive that needs no file. */
static const char *const one_of_each[] = {
    "FormGuard On",
    "FormGuardMethods POST PUT",
    "FormGuardPath /contact/*",
    "FormGuardFormField your-email",
    "FormGuardLimit ip 5/10m",
    "FormGuardCountry CN refuse",
    "FormGuardField email single-line",
    "FormGuardDeny On",
    "FormGuardDNSBL zen.example",
    "FormGuardDNSBLTimeout 2s",
    "FormGuardBodyLimit 1M over=pass",
    "FormGuardCaptcha recaptcha-v3",
    "FormGuardCaptchaWhen challenged",
    "FormGuardCaptchaSiteKey site-key",
    "FormGuardCaptchaSecret the-secret",
    "FormGuardCaptchaField token",
    "FormGuardCaptchaStrip On",
    "FormGuardInject On",
    "FormGuardCaptchaMinScore 0",
    "FormGuardCaptchaHostname www.example.org",
    "FormGuardCaptchaAction contact",
    "FormGuardCaptchaMaxAge 60s",
    "FormGuardCaptchaOnError timeout=allow",
    "FormGuardCaptchaEndpoint https://captcha.example/verify",
    "FormGuardCaptchaTimeout 1s",
    "FormGuardCaptchaSendRemoteIP Off",
    "FormGuardOverride none",
};

#define DIRECTIVES (sizeof(one_of_each) / sizeof(one_of_each[0]))

/* --- merge ------------------------------------------------------------------------------------ */

static void unset_stays_unset(void **state)
{
    const fg_policy_t zero = {0};
    fg_policy_t *merged;

    (void)state;
    merged = fg_policy_merge(empty(), empty(), pool);
    merged = fg_policy_merge(merged, empty(), pool);
    assert_memory_equal(merged, &zero, sizeof(zero));
}

static void what_one_level_sets_survives_levels_that_do_not(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < DIRECTIVES; i++) {
        const fg_policy_t zero = {0};
        fg_policy_t *set = policy_in("here", one_of_each[i], NULL);
        fg_policy_t *merged;

        assert_memory_not_equal(set, &zero, sizeof(zero));
        merged = fg_policy_merge(empty(), set, pool);
        assert_memory_equal(merged, set, sizeof(zero));
        merged = fg_policy_merge(merged, empty(), pool);
        assert_memory_equal(merged, set, sizeof(zero));
    }
}

static void fields_do_not_touch_each_other(void **state)
{
    fg_policy_t *all = empty();
    fg_policy_t *merged = empty();
    size_t i;

    (void)state;
    for (i = 0; i < DIRECTIVES; i++) {
        fg_policy_t *one = policy_in("here", one_of_each[i], NULL);

        assert_null(line_apply(all, "here", one_of_each[i], pool));
        merged = fg_policy_merge(merged, one, pool);
    }
    assert_int_equal(fg_policy_mode(merged), fg_policy_mode(all));
    assert_int_equal(merged->methods->nelts, 2);
    assert_int_equal(merged->paths->nelts, 1);
    assert_int_equal(merged->form_fields->nelts, 1);
    assert_int_equal(merged->limits->nelts, 1);
    assert_int_equal(merged->countries->nelts, 1);
    assert_int_equal(merged->fields->nelts, 1);
    assert_int_equal(merged->deny, FG_MODE_ON);
    assert_int_equal(merged->dnsbls->nelts, 1);
    assert_int_equal(fg_policy_dnsbl_timeout(merged), apr_time_from_sec(2));
    assert_true(fg_policy_captcha_when_challenged(merged));
    assert_int_equal(fg_policy_override(merged), FG_OVERRIDE_NONE);
    assert_int_equal(merged->body_limit.size, 1048576);
    assert_ptr_equal(merged->captcha, all->captcha);
    assert_string_equal(merged->captcha_site_key, "site-key");
    assert_string_equal(merged->captcha_secret, "the-secret");
    assert_string_equal(merged->captcha_field, "token");
    assert_true(fg_policy_strips(merged, 0));
    assert_true(merged->captcha_min_score.set);
    assert_int_equal(merged->captcha_hostnames->nelts, 1);
    assert_string_equal(merged->captcha_action, "contact");
    assert_int_equal(merged->captcha_max_age, apr_time_from_sec(60));
    assert_int_equal(fg_policy_on_error(merged, FG_CAUSE_TIMEOUT), FG_ACT_ALLOW);
    assert_string_equal(merged->captcha_endpoint, "https://captcha.example/verify");
    assert_int_equal(merged->captcha_timeout, apr_time_from_sec(1));
    assert_int_equal(merged->captcha_send_ip, FG_MODE_OFF);
}

static void the_inner_one_wins(void **state)
{
    fg_policy_t *outer =
        policy_in("outer", "FormGuard On", "FormGuardMethods POST PUT", "FormGuardPath /a /b",
                  "FormGuardBodyLimit 1M over=pass", "FormGuardCaptcha recaptcha-v3",
                  "FormGuardCaptchaSecret outer", "FormGuardCaptchaMinScore 0.9",
                  "FormGuardCaptchaTimeout 5s", "FormGuardCaptchaSendRemoteIP On", NULL);
    fg_policy_t *inner =
        policy_in("inner", "FormGuard DetectionOnly", "FormGuardMethods PATCH", "FormGuardPath /c",
                  "FormGuardBodyLimit 2M", "FormGuardCaptcha off", "FormGuardCaptchaSecret inner",
                  "FormGuardInject On", "FormGuardCaptchaMinScore 0", "FormGuardCaptchaTimeout 1s",
                  "FormGuardCaptchaSendRemoteIP Off", NULL);
    fg_policy_t *both = fg_policy_merge(outer, inner, pool);

    (void)state;
    assert_int_equal(fg_policy_mode(both), FG_MODE_DETECT);
    assert_int_equal(both->mode.scope, inner->mode.scope);
    assert_false(fg_policy_guards_method(both, "POST"));
    assert_true(fg_policy_guards_method(both, "PATCH"));
    assert_false(fg_policy_guards_path(both, "/a"));
    assert_int_equal(fg_policy_body_limit(both), 2 * 1024 * 1024);
    assert_false(fg_policy_body_over_passes(both)); /* size and over= are one value */
    assert_null(fg_policy_captcha(both));
    assert_string_equal(both->captcha_secret, "inner");
    assert_true(fg_policy_captcha_min_score(both) == 0.0);
    assert_int_equal(fg_policy_captcha_timeout(both), apr_time_from_sec(1));
    assert_int_equal(both->captcha_send_ip, FG_MODE_OFF);

    both = fg_policy_merge(policy_in("a", "FormGuard On", NULL),
                           policy_in("b", "FormGuard Off", NULL), pool);
    assert_int_equal(fg_policy_mode(both), FG_MODE_OFF);
}

static void limits_add_up_in_order(void **state)
{
    fg_policy_t *outer = policy_in("outer", "FormGuardLimit ip 5/10m", NULL);
    fg_policy_t *inner =
        policy_in("inner", "FormGuardLimit form 60/1h", "FormGuardLimit country 100/1h", NULL);
    fg_policy_t *both = fg_policy_merge(outer, inner, pool);

    (void)state;
    assert_int_equal(both->limits->nelts, 3);
    assert_string_equal(APR_ARRAY_IDX(both->limits, 0, fg_limit_t).text, "ip 5/10m");
    assert_string_equal(APR_ARRAY_IDX(both->limits, 1, fg_limit_t).text, "form 60/1h");
    assert_string_equal(APR_ARRAY_IDX(both->limits, 2, fg_limit_t).text, "country 100/1h");
    /* The two are still used by other requests. */
    assert_int_equal(outer->limits->nelts, 1);
    assert_int_equal(inner->limits->nelts, 2);
}

static void the_same_limit_is_there_once(void **state)
{
    fg_policy_t *here = policy_in("here", "FormGuardLimit ip 5/10m", NULL);
    fg_policy_t *again =
        policy_in("here", "FormGuardLimit ip 5/10m", "FormGuardLimit ip 9/1h", NULL);
    fg_policy_t *elsewhere = policy_in("there", "FormGuardLimit ip 5/10m", NULL);
    fg_policy_t *twice =
        policy_in("here", "FormGuardLimit ip 5/10m", "FormGuardLimit ip 5/10m", NULL);

    (void)state;
    assert_int_equal(fg_policy_merge(here, here, pool)->limits->nelts, 1);
    assert_int_equal(fg_policy_merge(here, again, pool)->limits->nelts, 2);
    /* Two entries of one identity would charge the same counters twice a post. */
    assert_int_equal(twice->limits->nelts, 1);
    assert_int_equal(fg_policy_merge(empty(), twice, pool)->limits->nelts, 1);
    /* Another place, another rule with counters of its own. */
    assert_int_equal(fg_policy_merge(here, elsewhere, pool)->limits->nelts, 2);
}

static void countries_add_up_and_the_inner_of_equals_wins(void **state)
{
    fg_policy_t *outer =
        policy_in("outer", "FormGuardCountry CN,HK refuse", "FormGuardCountry * log", NULL);
    fg_policy_t *inner = policy_in("inner", "FormGuardCountry HK allow", NULL);
    fg_policy_t *both = fg_policy_merge(outer, inner, pool);

    (void)state;
    assert_int_equal(country_rule(both, "CN")->action, FG_ACT_REFUSE);
    assert_int_equal(country_rule(both, "HK")->action, FG_ACT_ALLOW);
    assert_int_equal(country_rule(both, "DE")->action, FG_ACT_LOG);
    assert_int_equal(country_rule(outer, "HK")->action, FG_ACT_REFUSE);
    /* Specificity goes before nesting: an inner `*` does not undo an outer country. */
    both = fg_policy_merge(outer, policy_in("inner", "FormGuardCountry * allow", NULL), pool);
    assert_int_equal(country_rule(both, "CN")->action, FG_ACT_REFUSE);
    assert_int_equal(country_rule(both, "DE")->action, FG_ACT_ALLOW);
}

static void error_policies_merge_cause_by_cause(void **state)
{
    fg_policy_t *outer =
        policy_in("outer", "FormGuardCaptchaOnError timeout=allow quota=allow busy=refuse", NULL);
    fg_policy_t *inner =
        policy_in("inner", "FormGuardCaptchaOnError quota=refuse busy=allow", NULL);
    fg_policy_t *both = fg_policy_merge(outer, inner, pool);

    (void)state;
    assert_int_equal(fg_policy_on_error(both, FG_CAUSE_TIMEOUT), FG_ACT_ALLOW);
    assert_int_equal(fg_policy_on_error(both, FG_CAUSE_QUOTA), FG_ACT_REFUSE);
    assert_int_equal(fg_policy_on_error(both, FG_CAUSE_BUSY), FG_ACT_ALLOW);
    assert_int_equal(fg_policy_on_error(both, FG_CAUSE_BAD_SECRET), FG_ACT_REFUSE);
    assert_int_equal(fg_policy_on_error(outer, FG_CAUSE_QUOTA), FG_ACT_ALLOW);
}

static void presets_are_good_lines_and_can_be_overridden(void **state)
{
    const fg_preset_t *preset;
    fg_policy_t *policy;

    (void)state;
    for (preset = fg_presets; preset->name != NULL; preset++) {
        const fg_policy_t zero = {0};

        policy = policy_in("h", apr_pstrcat(pool, "FormGuardPreset ", preset->name, NULL), NULL);
        assert_ptr_equal(policy->preset, preset);
        assert_memory_not_equal(policy, &zero, sizeof(zero));
        assert_int_equal(fg_policy_mode(policy), FG_MODE_OFF); /* it switches nothing on */
        assert_non_null(strstr(line_directive("FormGuardPreset")->syntax, preset->name));
    }
    policy = policy_in("here", "FormGuardPreset contact-form-7", "FormGuardCaptchaField token",
                       "FormGuardCaptcha recaptcha-v3", NULL);
    assert_string_equal(fg_policy_captcha_field(policy), "token");
    assert_string_equal(APR_ARRAY_IDX(policy->form_fields, 0, const char *), "_wpcf7");
    assert_int_equal(policy->fields->nelts, 3);
}

/* --- defaults --------------------------------------------------------------------------------- */

static void defaults_are_those_of_the_manual(void **state)
{
    fg_policy_t *policy = empty();
    int cause;

    (void)state;
    assert_int_equal(fg_policy_mode(policy), FG_MODE_OFF);
    assert_true(fg_policy_guards_method(policy, "POST"));
    assert_false(fg_policy_guards_method(policy, "PUT"));
    assert_true(fg_policy_guards_method(policy, "post"));
    assert_true(fg_policy_guards_path(policy, "/any/thing"));
    assert_null(fg_policy_captcha(policy));
    assert_null(fg_policy_captcha_field(policy));
    assert_false(fg_policy_captcha_when_challenged(policy));
    assert_int_equal(fg_policy_override(policy), FG_OVERRIDE_TIGHTEN);
    assert_int_equal(fg_policy_dnsbl_timeout(policy), apr_time_from_sec(1));
    assert_int_equal(fg_policy_captcha_timeout(policy), apr_time_from_sec(3));
    assert_true(fg_policy_captcha_min_score(policy) == 0.5);
    assert_int_equal(fg_policy_body_limit(policy), 64 * 1024 * 1024);
    assert_false(fg_policy_body_over_passes(policy));
    assert_null(country_rule(policy, "CN"));
    assert_null(country_rule(policy, ""));
    assert_false(fg_policy_needs_country(policy));
    for (cause = FG_CAUSE_NONE; cause < FG_CAUSE_COUNT; cause++) {
        assert_int_equal(fg_policy_on_error(policy, (fg_cause_t)cause), FG_ACT_REFUSE);
    }
}

static void the_captcha_field_is_the_services_unless_set(void **state)
{
    fg_policy_t *policy = policy_in("here", "FormGuardCaptcha recaptcha-v2", NULL);

    (void)state;
    assert_string_equal(fg_policy_captcha(policy)->name, "recaptcha-v2");
    assert_string_equal(fg_policy_captcha_field(policy), "g-recaptcha-response");
    assert_null(line_apply(policy, "here", "FormGuardCaptchaField token", pool));
    assert_string_equal(fg_policy_captcha_field(policy), "token");
    assert_false(fg_policy_strips(policy, 0));
    assert_true(fg_policy_strips(policy, 1));
    assert_null(line_apply(policy, "here", "FormGuardCaptchaStrip On", pool));
    assert_true(fg_policy_strips(policy, 0));
    assert_null(line_apply(policy, "here", "FormGuardCaptchaStrip Off", pool));
    assert_false(fg_policy_strips(policy, 1));
    assert_null(line_apply(policy, "here", "FormGuardCaptcha off", pool));
    assert_null(fg_policy_captcha_field(policy));
}

static void a_bare_policy_has_the_default_limit(void **state)
{
    fg_policy_t *policy = policy_in("here", "FormGuard On", NULL);
    fg_policy_t *other = policy_in("there", "FormGuard On", NULL);
    const apr_array_header_t *limits = fg_policy_limits(policy, pool);
    const fg_limit_t *limit = &APR_ARRAY_IDX(limits, 0, fg_limit_t);
    fg_policy_t *written = empty();
    const fg_limit_t *same;
    int i;

    (void)state;
    assert_true(fg_policy_is_bare(policy));
    assert_int_equal(limits->nelts, 1);
    assert_string_equal(limit->text, FG_POLICY_DEFAULT_LIMIT);
    /* It is what its text says when somebody writes it. */
    assert_null(line_apply(written, "here", "FormGuardLimit " FG_POLICY_DEFAULT_LIMIT, pool));
    same = &APR_ARRAY_IDX(written->limits, 0, fg_limit_t);
    assert_int_equal(limit->key, same->key);
    assert_int_equal(limit->action, same->action);
    assert_int_equal(limit->when, same->when);
    assert_null(limit->countries);
    assert_int_equal(limit->rates->nelts, same->rates->nelts);
    for (i = 0; i < same->rates->nelts; i++) {
        assert_memory_equal(&APR_ARRAY_IDX(limit->rates, i, fg_rate_t),
                            &APR_ARRAY_IDX(same->rates, i, fg_rate_t), sizeof(fg_rate_t));
    }
    /* Two places that are switched on do not share counters; one place keeps its own. */
    assert_true(limit->id != APR_ARRAY_IDX(fg_policy_limits(other, pool), 0, fg_limit_t).id);
    assert_true(limit->id == APR_ARRAY_IDX(fg_policy_limits(policy, pool), 0, fg_limit_t).id);
}

static void any_rule_replaces_the_default_limit(void **state)
{
    static const struct {
        const char *line;
        int bare;
        int limits;
    } cases[] = {
        {"FormGuardLimit form 1/1h", 0, 1},
        {"FormGuardCountry * allow", 0, 0},
        {"FormGuardCaptcha recaptcha-v2", 0, 0},
        {"FormGuardCaptcha off", 1, 1},
        {"FormGuardFormField email", 1, 1},
        {"FormGuardPath /contact", 1, 1},
        {"FormGuardMethods PUT", 1, 1},
        {"FormGuardBodyLimit 1K", 1, 1},
        {"FormGuardCaptchaSiteKey key", 1, 1},
        {"FormGuardField email empty", 1, 1},
        {"FormGuardDeny On", 0, 0},
        {"FormGuardDeny Off", 1, 1},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_policy_t *policy = policy_in("here", "FormGuard On", cases[i].line, NULL);

        assert_int_equal(fg_policy_is_bare(policy), cases[i].bare);
        assert_non_null(fg_policy_limits(policy, pool));
        assert_int_equal(fg_policy_limits(policy, pool)->nelts, cases[i].limits);
    }
}

/* --- what is guarded -------------------------------------------------------------------------- */

static void methods_are_compared_whole_in_any_letters(void **state)
{
    fg_policy_t *policy = policy_in("here", "FormGuardMethods PUT PATCH", NULL);

    (void)state;
    assert_true(fg_policy_guards_method(policy, "PUT"));
    assert_true(fg_policy_guards_method(policy, "PATCH"));
    assert_false(fg_policy_guards_method(policy, "POST"));
    assert_true(fg_policy_guards_method(policy, "put"));
    assert_false(fg_policy_guards_method(policy, "PUTS"));
    assert_false(fg_policy_guards_method(policy, "PU"));
}

static void head_goes_with_get_and_a_star_is_every_method(void **state)
{
    fg_policy_t *get = policy_in("here", "FormGuardMethods POST GET", NULL);
    fg_policy_t *head = policy_in("here", "FormGuardMethods HEAD", NULL);
    fg_policy_t *all = policy_in("here", "FormGuardMethods *", NULL);

    (void)state;
    assert_true(fg_policy_guards_method(get, "HEAD"));
    assert_true(fg_policy_guards_method(get, "head"));
    assert_false(fg_policy_guards_method(get, "PUT"));
    assert_false(fg_policy_guards_method(head, "GET"));
    assert_true(fg_policy_guards_method(all, "POST"));
    assert_true(fg_policy_guards_method(all, "GET"));
    assert_true(fg_policy_guards_method(all, "whatever"));
}

static void paths_are_globs(void **state)
{
    static const struct {
        const char *glob;
        const char *path;
        int guarded;
    } cases[] = {
        {"/contact.php", "/contact.php", 1},
        {"/contact.php", "/contact.phps", 0},
        {"/contact.php", "/x/contact.php", 0},
        {"/contact.php", "/Contact.php", 0},
        {"/contact/*", "/contact/", 1},
        {"/contact/*", "/contact/a/b/c", 1}, /* a star crosses slashes */
        {"/contact/*", "/contact", 0},
        {"*.php", "/a/b.php", 1},
        {"*.php", "/a/b.php/info", 0},
        {"/f?rm", "/form", 1},
        {"/f?rm", "/frm", 0},
        {"/[a-c].php", "/b.php", 1},
        {"/[a-c].php", "/d.php", 0},
        {"*", "/", 1},
        {"*", "/.hidden/x", 1},
    };
    fg_policy_t *two = policy_in("here", "FormGuardPath /one /two", NULL);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *line = apr_pstrcat(pool, "FormGuardPath ", cases[i].glob, NULL);
        fg_policy_t *policy = policy_in("here", line, NULL);

        if (fg_policy_guards_path(policy, cases[i].path) != cases[i].guarded) {
            fail_msg("%s and %s", cases[i].glob, cases[i].path);
        }
    }
    assert_true(fg_policy_guards_path(two, "/one"));
    assert_true(fg_policy_guards_path(two, "/two"));
    assert_false(fg_policy_guards_path(two, "/three"));
}

/* --- countries -------------------------------------------------------------------------------- */

static const char *rule_for(const fg_policy_t *policy, const char *code)
{
    const fg_country_rule_t *rule = country_rule(policy, code);

    return rule != NULL ? rule->text : "none";
}

static void the_more_specific_rule_wins_wherever_it_stands(void **state)
{
    static const char *const lines[] = {
        "FormGuardCountry * refuse",
        "FormGuardCountry EU allow",
        "FormGuardCountry FR log",
        "FormGuardCountry unknown refuse",
    };
    int first;

    (void)state;
    for (first = 0; first < 4; first++) { /* the four lines in four orders */
        fg_policy_t *policy = policy_in("here", lines[first], lines[(first + 1) % 4],
                                        lines[(first + 2) % 4], lines[(first + 3) % 4], NULL);

        assert_string_equal(rule_for(policy, "FR"), "FR log");
        assert_string_equal(rule_for(policy, "DE"), "EU allow");
        assert_string_equal(rule_for(policy, "CN"), "* refuse");
        assert_string_equal(rule_for(policy, ""), "unknown refuse");
    }
}

static void a_star_does_not_cover_the_unknown(void **state)
{
    fg_policy_t *policy = policy_in("here", "FormGuardCountry *,EU refuse", NULL);

    (void)state;
    assert_null(country_rule(policy, ""));
    assert_non_null(country_rule(policy, "US"));
}

static void unknown_covers_no_country(void **state)
{
    fg_policy_t *policy = policy_in("here", "FormGuardCountry unknown refuse", NULL);

    (void)state;
    assert_non_null(country_rule(policy, ""));
    assert_null(country_rule(policy, "US"));
}

static void the_last_of_equals_wins(void **state)
{
    fg_policy_t *policy =
        policy_in("here", "FormGuardCountry CN refuse", "FormGuardCountry CN log", NULL);

    (void)state;
    assert_string_equal(rule_for(policy, "CN"), "CN log");
}

static void the_european_union_has_27_members(void **state)
{
    fg_policy_t *policy = policy_in("here", "FormGuardCountry EU refuse", NULL);
    static const char *const outside[] = {"GB", "CH", "NO", "IS", "LI", "UA", "TR",
                                          "RS", "US", "JP", "EL", "UK", "TB", "EB"};
    char code[3] = "";
    int members = 0;
    size_t i;

    (void)state;
    for (code[0] = 'A'; code[0] <= 'Z'; code[0]++) {
        for (code[1] = 'A'; code[1] <= 'Z'; code[1]++) {
            members += strcmp(code, "EU") != 0 && country_rule(policy, code) != NULL;
        }
    }
    assert_int_equal(members, 27);
    for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_null(country_rule(policy, outside[i]));
    }
}

static const fg_limit_t *only_limit(const char *line)
{
    fg_policy_t *policy = policy_in("here", line, NULL);

    assert_int_equal(policy->limits->nelts, 1);
    return &APR_ARRAY_IDX(policy->limits, 0, fg_limit_t);
}

static void a_limit_by_country_covers_what_it_lists(void **state)
{
    const fg_limit_t *every = only_limit("FormGuardLimit country 5/1h");
    const fg_limit_t *listed = only_limit("FormGuardLimit country=CN,EU,unknown 5/1h");
    const fg_limit_t *star = only_limit("FormGuardLimit country=* 5/1h");

    (void)state;
    assert_true(covers_country(every, "CN"));
    assert_false(covers_country(every, ""));
    assert_true(covers_country(listed, "CN"));
    assert_true(covers_country(listed, "FR"));
    assert_true(covers_country(listed, ""));
    assert_false(covers_country(listed, "US"));
    assert_true(covers_country(star, "US"));
    assert_false(covers_country(star, ""));
}

static void a_limit_may_leave_countries_out(void **state)
{
    const fg_limit_t *none = only_limit("FormGuardLimit form 5/1h");
    const fg_limit_t *abroad = only_limit("FormGuardLimit form 5/1h from=!JP,EU");
    const fg_limit_t *home = only_limit("FormGuardLimit ip 5/1h from=JP,unknown");

    (void)state;
    assert_true(covers_country(none, "US"));
    assert_true(covers_country(none, ""));
    assert_true(covers_country(abroad, "US"));
    assert_false(covers_country(abroad, "JP"));
    assert_false(covers_country(abroad, "FR"));
    assert_false(covers_country(abroad, ""));
    assert_true(covers_country(home, "JP"));
    assert_true(covers_country(home, ""));
    assert_false(covers_country(home, "US"));
}

static void only_rules_about_countries_need_a_database(void **state)
{
    (void)state;
    assert_true(fg_policy_needs_country(policy_in("h", "FormGuardCountry * allow", NULL)));
    assert_true(fg_policy_needs_country(
        policy_in("h", "FormGuardLimit ip 1/1h", "FormGuardLimit country=JP 1/1h", NULL)));
    assert_true(fg_policy_needs_country(policy_in("h", "FormGuardLimit ip 1/1h from=!JP", NULL)));
    assert_false(fg_policy_needs_country(
        policy_in("h", "FormGuardLimit ip 1/1h", "FormGuardLimit form 1/1h", NULL)));
}

/* --- identity of rules ------------------------------------------------------------------------ */

static void a_rules_identity_is_of_place_and_text(void **state)
{
    (void)state;
    assert_true(fg_rule_id("a", "x") == fg_rule_id(apr_pstrdup(pool, "a"), apr_pstrdup(pool, "x")));
    assert_true(fg_rule_id("a", "x") != fg_rule_id("a", "y"));
    assert_true(fg_rule_id("a", "x") != fg_rule_id("b", "x"));
    assert_true(fg_rule_id("a", "x") != fg_rule_id("x", "a"));
    assert_true(fg_rule_id("ab", "c") != fg_rule_id("a", "bc"));
    assert_true(fg_rule_id("a", NULL) != fg_rule_id("a", ""));
    /* The same after every restart, or the counters of all rules would begin anew. */
    assert_int_equal(fg_rule_id("server\n", NULL), UINT64_C(0xefdbcd897baf93fb));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unset_stays_unset),
        cmocka_unit_test(what_one_level_sets_survives_levels_that_do_not),
        cmocka_unit_test(fields_do_not_touch_each_other),
        cmocka_unit_test(the_inner_one_wins),
        cmocka_unit_test(limits_add_up_in_order),
        cmocka_unit_test(the_same_limit_is_there_once),
        cmocka_unit_test(countries_add_up_and_the_inner_of_equals_wins),
        cmocka_unit_test(error_policies_merge_cause_by_cause),
        cmocka_unit_test(presets_are_good_lines_and_can_be_overridden),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(the_captcha_field_is_the_services_unless_set),
        cmocka_unit_test(a_bare_policy_has_the_default_limit),
        cmocka_unit_test(any_rule_replaces_the_default_limit),
        cmocka_unit_test(methods_are_compared_whole_in_any_letters),
        cmocka_unit_test(head_goes_with_get_and_a_star_is_every_method),
        cmocka_unit_test(paths_are_globs),
        cmocka_unit_test(the_more_specific_rule_wins_wherever_it_stands),
        cmocka_unit_test(a_star_does_not_cover_the_unknown),
        cmocka_unit_test(unknown_covers_no_country),
        cmocka_unit_test(the_last_of_equals_wins),
        cmocka_unit_test(the_european_union_has_27_members),
        cmocka_unit_test(a_limit_by_country_covers_what_it_lists),
        cmocka_unit_test(a_limit_may_leave_countries_out),
        cmocka_unit_test(only_rules_about_countries_need_a_database),
        cmocka_unit_test(a_rules_identity_is_of_place_and_text),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
