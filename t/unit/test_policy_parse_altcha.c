/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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

static fg_difficulty_t difficulty(const char *line)
{
    return fg_policy_captcha_difficulty(line_policy(line, pool));
}

static fg_grant_t clearance(const char *line)
{
    return line_policy(line, pool)->captcha_clearance;
}

static void who_verifies(void **state)
{
    (void)state;
    assert_false(fg_policy_captcha_by_application(line_policy("FormGuard On", pool)));
    assert_false(
        fg_policy_captcha_by_application(line_policy("FormGuardCaptchaVerify here", pool)));
    assert_true(
        fg_policy_captcha_by_application(line_policy("FormGuardCaptchaVerify Application", pool)));
}

static void how_difficult(void **state)
{
    (void)state;
    assert_int_equal(difficulty("FormGuard On").base, 200000);
    assert_int_equal(difficulty("FormGuard On").most, 4000000);
    assert_int_equal(difficulty("FormGuardCaptchaDifficulty 2000").base, 2000);
    assert_int_equal(difficulty("FormGuardCaptchaDifficulty 2000").most, 40000);
    assert_int_equal(difficulty("FormGuardCaptchaDifficulty 2000000").most, FG_ALTCHA_MOST);
    assert_int_equal(difficulty("FormGuardCaptchaDifficulty 2000 max=2000").most, 2000);
}

static void what_a_token_grants(void **state)
{
    (void)state;
    assert_false(clearance("FormGuard On").set);
    assert_int_equal(clearance("FormGuardCaptchaClearance 30m").uses, 3);
    assert_int_equal(clearance("FormGuardCaptchaClearance 30m").life, apr_time_from_sec(1800));
    assert_int_equal(clearance("FormGuardCaptchaClearance 1m uses=100").uses, 100);
    assert_true(clearance("FormGuardCaptchaClearance off").set);
    assert_int_equal(clearance("FormGuardCaptchaClearance off").uses, 0);
}

static void off_takes_back_what_a_preset_grants(void **state)
{
    fg_policy_t *policy = line_policy("FormGuardPreset mw-wp-form", pool);

    (void)state;
    assert_int_equal(policy->captcha_clearance.uses, 3);
    policy = fg_policy_merge(policy, line_policy("FormGuardCaptchaClearance off", pool), pool);
    assert_int_equal(policy->captcha_clearance.uses, 0);
}

static void wrong_values(void **state)
{
    static const line_wrong_t cases[] = {
        {"FormGuardCaptchaVerify", "takes one value: here|application"},
        {"FormGuardCaptchaVerify there", "'there' is neither here nor application"},
        {"FormGuardCaptchaDifficulty", "takes NUMBER [max=NUMBER]"},
        {"FormGuardCaptchaDifficulty 1 2 3", "takes NUMBER [max=NUMBER]"},
        {"FormGuardCaptchaDifficulty 999", "'999' is no number from 1000 to 10000000"},
        {"FormGuardCaptchaDifficulty 10000001", "'10000001' is no number from 1000 to 10000000"},
        {"FormGuardCaptchaDifficulty 4294967297000",
         "'4294967297000' is no number from 1000 to 10000000"},
        {"FormGuardCaptchaDifficulty 0x1000", "'0x1000' is no number from 1000 to 10000000"},
        {"FormGuardCaptchaDifficulty -5000", "'-5000' is no number from 1000 to 10000000"},
        {"FormGuardCaptchaDifficulty 5000 9000", "'9000' is not max=NUMBER"},
        {"FormGuardCaptchaDifficulty 5000 max=", "'max=' is no number from 1000 to 10000000"},
        {"FormGuardCaptchaDifficulty 5000 max=4000", "'max=4000' is less than where it starts"},
        {"FormGuardCaptchaClearance", "takes off|TIME [uses=N]"},
        {"FormGuardCaptchaClearance off uses=1",
         "'off' is no time: a number and one of ms s m h d w, seconds without one"},
        {"FormGuardCaptchaClearance 59s", "'59s' is out of range: 1m to 1d"},
        {"FormGuardCaptchaClearance 25h", "'25h' is out of range: 1m to 1d"},
        {"FormGuardCaptchaClearance 5m uses=0", "'uses=0' is not uses=1 to uses=100"},
        {"FormGuardCaptchaClearance 5m uses=101", "'uses=101' is not uses=1 to uses=100"},
        {"FormGuardCaptchaClearance 5m 3", "'3' is not uses=1 to uses=100"},
    };

    (void)state;
    line_expect_errors(cases, sizeof(cases) / sizeof(cases[0]), pool);
}

/* --- what a site may do to it under tighten --------------------------------------------------- */

static const fg_policy_t *site_under(const char *server, const char *site)
{
    fg_policy_stack_t *stack = apr_pcalloc(pool, sizeof(*stack));
    fg_policy_layers_t layers;

    stack->has_site = 1;
    stack->server = *fg_policy_merge(line_policy("FormGuard On", pool),
                                     line_policy("FormGuardCaptcha altcha", pool), pool);
    stack->server = *fg_policy_merge(&stack->server, line_policy(server, pool), pool);
    stack->site = *fg_policy_merge(line_policy("FormGuardCaptcha altcha", pool),
                                   line_policy(site, pool), pool);
    fg_policy_resolve(stack, &layers, pool);
    assert_int_equal(layers.count, 2);
    return layers.layer[1];
}

static void a_site_makes_it_no_easier(void **state)
{
    const fg_policy_t *site;

    (void)state;
    site = site_under("FormGuardCaptchaDifficulty 90000 max=95000",
                      "FormGuardCaptchaDifficulty 1000 max=99000");
    assert_int_equal(fg_policy_captcha_difficulty(site).base, 90000);
    assert_int_equal(fg_policy_captcha_difficulty(site).most, 99000);
    site = site_under("FormGuardCaptchaDifficulty 1000", "FormGuardCaptchaDifficulty 5000");
    assert_int_equal(fg_policy_captcha_difficulty(site).base, 5000);

    site = site_under("FormGuardCaptchaVerify here", "FormGuardCaptchaVerify application");
    assert_false(fg_policy_captcha_by_application(site));
    site = site_under("FormGuardCaptchaVerify application", "FormGuardCaptchaVerify application");
    assert_true(fg_policy_captcha_by_application(site));

    site = site_under("FormGuardCaptchaVerify here", "FormGuardCaptchaClearance 1d uses=100");
    assert_int_equal(site->captcha_clearance.uses, 0);
    site = site_under("FormGuardCaptchaClearance 5m uses=9", "FormGuardCaptchaClearance 1d uses=2");
    assert_int_equal(site->captcha_clearance.uses, 2);
    assert_int_equal(site->captcha_clearance.life, apr_time_from_sec(300));
}

static void what_the_servers_service_is_asked_by_is_not_a_sites(void **state)
{
    static const char *const lines[] = {
        "FormGuard On",
        "FormGuardCaptcha recaptcha-v3",
        "FormGuardCaptchaVerify application",
        "FormGuardCaptchaEndpoint https://www.recaptcha.net/recaptcha/api/siteverify",
        "FormGuardCaptchaField _wpcf7_recaptcha_response",
        "FormGuardCaptchaSiteKey theirs",
    };
    fg_policy_stack_t *stack = apr_pcalloc(pool, sizeof(*stack));
    fg_policy_layers_t layers;
    size_t i;

    (void)state;
    stack->has_site = 1;
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        stack->server = *fg_policy_merge(&stack->server, line_policy(lines[i], pool), pool);
    }
    stack->site = *line_policy("FormGuardCaptcha altcha", pool);
    fg_policy_resolve(stack, &layers, pool);
    /* Nobody would look at the solution. */
    assert_false(fg_policy_captcha_by_application(layers.layer[1]));
    assert_string_equal(fg_policy_captcha_field(layers.layer[1]), "altcha");
    assert_null(layers.layer[1]->captcha_site_key);
    stack->site = *line_policy("FormGuardCaptcha turnstile", pool);
    fg_policy_resolve(stack, &layers, pool);
    /* Or its secret would go to another service. */
    assert_null(layers.layer[1]->captcha_endpoint);
    assert_string_equal(fg_policy_captcha_field(layers.layer[1]), "cf-turnstile-response");
    stack->site = *line_policy("FormGuardCaptcha recaptcha-v2", pool);
    fg_policy_resolve(stack, &layers, pool);
    assert_ptr_equal(layers.layer[1]->captcha_endpoint, stack->server.captcha_endpoint);
    assert_ptr_equal(layers.layer[1]->captcha_field, stack->server.captcha_field);
    assert_false(fg_policy_captcha_by_application(layers.layer[1]));
    /* Unless it says so itself, as the server does. */
    stack->site = *fg_policy_merge(&stack->site,
                                   line_policy("FormGuardCaptchaVerify application", pool), pool);
    fg_policy_resolve(stack, &layers, pool);
    assert_true(fg_policy_captcha_by_application(layers.layer[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_verifies),
        cmocka_unit_test(how_difficult),
        cmocka_unit_test(what_a_token_grants),
        cmocka_unit_test(off_takes_back_what_a_preset_grants),
        cmocka_unit_test(wrong_values),
        cmocka_unit_test(a_site_makes_it_no_easier),
        cmocka_unit_test(what_the_servers_service_is_asked_by_is_not_a_sites),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
