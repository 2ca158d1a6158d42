/* SPDX-License-Identifier: Apache-2.0 */
/* What .htaccess can and can't do to the policy of the server config: the attacks first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

static void apply_all(fg_policy_stack_t *stack, int site, const char *scope, const char *lines)
{
    char *last = NULL;
    char *line = apr_strtok(apr_pstrdup(pool, lines), "\n", &last);

    for (; line != NULL; line = apr_strtok(NULL, "\n", &last)) {
        fg_policy_t *policy = site ? &stack->site : &stack->server;
        const char *error = line_apply_as(site, policy, scope, line, pool);

        if (error != NULL) {
            fail_msg("%s: %s", line, error);
        }
        stack->has_site |= site;
        stack->has_server |= !site;
    }
}

/* What httpd makes of a server config and of one .htaccess, each text of lines. */
static fg_policy_stack_t *stack_of(const char *server, const char *site)
{
    fg_policy_stack_t *outer = apr_pcalloc(pool, sizeof(*outer));
    fg_policy_stack_t *inner = apr_pcalloc(pool, sizeof(*inner));

    apply_all(outer, 0, "server", server);
    apply_all(inner, 1, "file:/srv/www/.htaccess", site);
    return fg_policy_stack_merge(outer, inner, pool);
}

static fg_policy_layers_t resolve(const char *server, const char *site)
{
    fg_policy_layers_t layers;

    memset(&layers, 0x55, sizeof(layers));
    fg_policy_resolve(stack_of(server, site), &layers, pool);
    assert_in_range(layers.count, 1, 2);
    return layers;
}

static const char *limit_text(const fg_policy_t *policy, int i)
{
    const apr_array_header_t *limits = fg_policy_limits(policy, pool);

    return i < limits->nelts ? APR_ARRAY_IDX(limits, i, fg_limit_t).text : "none";
}

/* --- attacks ---------------------------------------------------------------------------------- */

#define GUARDED                                                                                    \
    "FormGuard On\nFormGuardPath /a /b\nFormGuardMethods POST PUT\nFormGuardFormField email\n"     \
    "FormGuardLimit ip 5/10m\nFormGuardLimit form 60/1h\nFormGuardCountry CN,RU refuse\n"          \
    "FormGuardField name single-line\nFormGuardField url empty\nFormGuardDeny Off\n"               \
    "FormGuardBodyLimit 1M\nFormGuardCaptcha recaptcha-v3\nFormGuardCaptchaSecret server\n"        \
    "FormGuardCaptchaMinScore 0.7\nFormGuardCaptchaHostname www.example.org\n"                     \
    "FormGuardCaptchaMaxAge 60s"

static void nothing_in_htaccess_changes_the_servers_layer(void **state)
{
    static const char *const attacks[] = {
        "FormGuard Off",
        "FormGuard DetectionOnly",
        "FormGuardLimit ip 1000000/1m",
        "FormGuardLimit ip 5/10m",
        "FormGuardCountry CN,RU,* allow",
        "FormGuardField name url max-links=1000 action=log",
        "FormGuardDeny Off",
        "FormGuardMethods PATCH",
        "FormGuardPath /nowhere",
        "FormGuardFormField no-such-field",
        "FormGuardBodyLimit 1 over=pass",
        "FormGuardBodyLimit 1024G",
        "FormGuardCaptcha off",
        "FormGuardCaptcha recaptcha-v2",
        "FormGuardCaptcha off\nFormGuardCaptchaSecret mine",
        "FormGuardCaptchaWhen challenged",
        "FormGuardCaptchaField other",
        "FormGuardCaptchaMinScore 0",
        "FormGuardCaptchaHostname *",
        "FormGuardCaptchaMaxAge 1d",
        ("FormGuardCaptchaOnError timeout=allow unreachable=allow server-error=allow quota=allow "
         "bad-secret=allow busy=allow"),
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        fg_policy_stack_t *stack = stack_of(GUARDED, attacks[i]);
        const fg_policy_t before = stack->server;
        fg_policy_layers_t layers;

        fg_policy_resolve(stack, &layers, pool);
        assert_memory_equal(layers.layer[0], &before, sizeof(before));
        assert_memory_equal(&stack->server, &before, sizeof(before));
        assert_int_equal(layers.layer[0]->limits->nelts, 2);
        assert_int_equal(layers.layer[0]->countries->nelts, 2);
        assert_int_equal(layers.layer[0]->fields->nelts, 2);
        assert_int_equal(country_rule(layers.layer[0], "CN")->action, FG_ACT_REFUSE);
    }
}

static void off_and_detection_are_the_sites_own(void **state)
{
    fg_policy_layers_t layers;

    (void)state;
    layers = resolve("FormGuard On", "FormGuard Off");
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_ON);
    assert_int_equal(layers.count, 2);
    assert_int_equal(fg_policy_mode(layers.layer[1]), FG_MODE_OFF);
    layers = resolve("FormGuard On", "FormGuard DetectionOnly");
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_ON);
    assert_int_equal(fg_policy_mode(layers.layer[1]), FG_MODE_DETECT);
    layers = resolve("FormGuard DetectionOnly", "FormGuard On");
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_DETECT);
    assert_int_equal(fg_policy_mode(layers.layer[1]), FG_MODE_ON);
}

static void the_sites_rules_stand_alone_with_counters_of_their_own(void **state)
{
    fg_policy_layers_t layers;

    (void)state;
    layers = resolve("FormGuard On\nFormGuardLimit ip 5/10m\nFormGuardCountry CN refuse\n"
                     "FormGuardField name required\nFormGuardDeny On\n"
                     "FormGuardDNSBL zen.example",
                     "FormGuardLimit ip 5/10m\nFormGuardLimit server 9/1h");
    assert_int_equal(layers.count, 2);
    assert_int_equal(layers.layer[1]->limits->nelts, 2);
    assert_null(layers.layer[1]->countries);
    assert_null(layers.layer[1]->fields);
    assert_null(layers.layer[1]->dnsbls);
    assert_int_equal(layers.layer[1]->deny, FG_MODE_UNSET);
    assert_true(APR_ARRAY_IDX(layers.layer[0]->limits, 0, fg_limit_t).id !=
                APR_ARRAY_IDX(layers.layer[1]->limits, 0, fg_limit_t).id);
    assert_int_equal(fg_policy_mode(layers.layer[1]), FG_MODE_ON);
}

static void a_site_without_rules_has_the_default_limit_where_it_says_on(void **state)
{
    fg_policy_layers_t layers;

    (void)state;
    layers = resolve("FormGuard On\nFormGuardLimit ip 30/10m", "FormGuard On");
    assert_string_equal(limit_text(layers.layer[0], 0), "ip 30/10m");
    assert_string_equal(limit_text(layers.layer[1], 0), FG_POLICY_DEFAULT_LIMIT);
    /* Nobody has asked for it there. */
    layers = resolve("FormGuard On\nFormGuardLimit ip 30/10m", "FormGuardBodyLimit 1M");
    assert_string_equal(limit_text(layers.layer[1], 0), "none");
    /* And under a bare server it would charge the server's counters a second time. */
    layers = resolve("FormGuard On", "FormGuardPath /contact.php");
    assert_string_equal(limit_text(layers.layer[0], 0), FG_POLICY_DEFAULT_LIMIT);
    assert_int_equal(layers.count, 2);
    assert_string_equal(limit_text(layers.layer[1], 0), "none");
    layers = resolve("FormGuard On", "FormGuard On");
    assert_true(APR_ARRAY_IDX(fg_policy_limits(layers.layer[0], pool), 0, fg_limit_t).id !=
                APR_ARRAY_IDX(fg_policy_limits(layers.layer[1], pool), 0, fg_limit_t).id);
}

static void what_is_guarded_can_be_widened_but_not_narrowed(void **state)
{
    fg_policy_layers_t layers;

    (void)state;
    layers = resolve("FormGuard On\nFormGuardPath /a\nFormGuardMethods POST\nFormGuardFormField e",
                     "FormGuardPath /b\nFormGuardMethods PUT\nFormGuardFormField f\n"
                     "FormGuardLimit ip 1/1h");
    assert_true(fg_policy_guards_path(layers.layer[0], "/a"));
    assert_false(fg_policy_guards_path(layers.layer[1], "/a"));
    assert_true(fg_policy_guards_path(layers.layer[1], "/b"));
    assert_true(fg_policy_guards_method(layers.layer[0], "POST"));
    assert_true(fg_policy_guards_method(layers.layer[1], "PUT"));
    assert_string_equal(APR_ARRAY_IDX(layers.layer[0]->form_fields, 0, const char *), "e");
    assert_string_equal(APR_ARRAY_IDX(layers.layer[1]->form_fields, 0, const char *), "f");
    /* What the site says nothing of it has from the server. */
    layers = resolve("FormGuard On\nFormGuardPath /a", "FormGuardLimit ip 1/1h");
    assert_false(fg_policy_guards_path(layers.layer[1], "/b"));
}

/* --- captcha ---------------------------------------------------------------------------------- */

static void a_sites_captcha_is_no_easier_than_the_servers(void **state)
{
    const fg_policy_t *site;
    int cause;

    (void)state;
    site = resolve(GUARDED, "FormGuardCaptcha recaptcha-v3\nFormGuardCaptchaSecret mine\n"
                            "FormGuardCaptchaMinScore 0.1\nFormGuardCaptchaHostname *\n"
                            "FormGuardCaptchaMaxAge 1d\nFormGuardCaptchaWhen challenged\n"
                            "FormGuardCaptchaOnError timeout=allow unreachable=allow "
                            "server-error=allow quota=allow bad-secret=allow busy=allow")
               .layer[1];
    assert_string_equal(site->captcha_secret, "mine");
    assert_true(fg_policy_captcha_min_score(site) == 0.7);
    assert_int_equal(site->captcha_hostnames->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(site->captcha_hostnames, 0, const char *), "www.example.org");
    assert_int_equal(site->captcha_max_age, apr_time_from_sec(60));
    assert_false(fg_policy_captcha_when_challenged(site));
    for (cause = FG_CAUSE_NONE; cause < FG_CAUSE_COUNT; cause++) {
        assert_int_equal(fg_policy_on_error(site, (fg_cause_t)cause), FG_ACT_REFUSE);
    }
    /* Nor than the server's defaults: no names configured are the virtual host's. */
    site = resolve("FormGuard On\nFormGuardCaptcha recaptcha-v3\nFormGuardCaptchaSecret server",
                   "FormGuardCaptchaMinScore 0\nFormGuardCaptchaHostname *\n"
                   "FormGuardCaptchaSecret mine")
               .layer[1];
    assert_true(fg_policy_captcha_min_score(site) == 0.5);
    assert_null(site->captcha_hostnames);
}

static void a_sites_captcha_may_be_stricter(void **state)
{
    const fg_policy_t *site;

    (void)state;
    site = resolve(GUARDED, "FormGuardCaptcha recaptcha-v3\nFormGuardCaptchaSecret mine\n"
                            "FormGuardCaptchaMinScore 0.9\nFormGuardCaptchaMaxAge 30s\n"
                            "FormGuardCaptchaAction contact")
               .layer[1];
    assert_true(fg_policy_captcha_min_score(site) == 0.9);
    assert_int_equal(site->captcha_max_age, apr_time_from_sec(30));
    assert_string_equal(site->captcha_action, "contact");
    site = resolve("FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret s\n"
                   "FormGuardCaptchaWhen challenged",
                   "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret mine\n"
                   "FormGuardCaptchaWhen always")
               .layer[1];
    assert_false(fg_policy_captcha_when_challenged(site));
}

/* Who writes a captcha into his .htaccess means that it is asked for, whatever the server says
 * beside its own. */
static void when_a_captcha_is_asked_stands_beside_it(void **state)
{
    static const char server[] = "FormGuard On\nFormGuardCaptcha altcha\n"
                                 "FormGuardCaptchaWhen challenged";

    (void)state;
    assert_false(fg_policy_captcha_when_challenged(
        resolve(server, "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret s").layer[1]));
    assert_false(
        fg_policy_captcha_when_challenged(resolve(server, "FormGuardCaptcha altcha").layer[1]));
    assert_true(fg_policy_captcha_when_challenged(
        resolve(server, "FormGuardCaptcha altcha\nFormGuardCaptchaWhen challenged").layer[1]));
    /* Without one of its own nothing is said anew. */
    assert_true(
        fg_policy_captcha_when_challenged(resolve(server, "FormGuardLimit ip 1/1m").layer[1]));
    assert_true(fg_policy_captcha_when_challenged(
        resolve("FormGuard On\nFormGuardCaptchaWhen challenged", "FormGuardCaptcha altcha")
            .layer[1]));
}

static void a_site_may_bring_keys_for_the_servers_captcha(void **state)
{
    fg_policy_layers_t layers = resolve(GUARDED, "FormGuardCaptchaSiteKey my-site-key\n"
                                                 "FormGuardCaptchaSecret my-secret");

    (void)state;
    assert_string_equal(fg_policy_captcha(layers.layer[1])->name, "recaptcha-v3");
    assert_string_equal(layers.layer[1]->captcha_secret, "my-secret");
    assert_string_equal(layers.layer[1]->captcha_site_key, "my-site-key");
    assert_string_equal(layers.layer[0]->captcha_secret, "server");
    assert_true(fg_policy_captcha_min_score(layers.layer[1]) == 0.7);
}

static void without_one_of_its_own_a_site_asks_no_second_captcha(void **state)
{
    fg_policy_layers_t layers = resolve(GUARDED, "FormGuardLimit ip 1/1h");

    (void)state;
    assert_null(fg_policy_captcha(layers.layer[1]));
    assert_non_null(fg_policy_captcha(layers.layer[0]));
}

static void the_servers_secret_is_not_for_another_service(void **state)
{
    (void)state;
    assert_null(resolve(GUARDED, "FormGuardCaptcha recaptcha-v2").layer[1]->captcha_secret);
    assert_string_equal(resolve(GUARDED, "FormGuardCaptcha recaptcha-v3").layer[1]->captcha_secret,
                        "server");
    /* Keys for all sites, no captcha asked for by the server itself. */
    assert_string_equal(
        resolve("FormGuard On\nFormGuardCaptchaSecret shared", "FormGuardCaptcha recaptcha-v2")
            .layer[1]
            ->captcha_secret,
        "shared");
}

/* refuse is stricter than altcha is stricter than allow: of two the stricter one holds. */
static void what_errors_do_is_as_strict_as_the_server_has_it(void **state)
{
    static const char keys[] = "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret mine\n";
    static const struct {
        const char *server, *site;
        fg_action_t action;   /* for a timeout */
        fg_action_t own_keys; /* for a bad secret of the site's own */
    } cases[] = {
        {"allow", "allow", FG_ACT_ALLOW, FG_ACT_REFUSE},
        {"allow", "altcha", FG_ACT_CHALLENGE, FG_ACT_CHALLENGE},
        {"allow", "refuse", FG_ACT_REFUSE, FG_ACT_REFUSE},
        {"altcha", "allow", FG_ACT_CHALLENGE, FG_ACT_CHALLENGE},
        {"altcha", "altcha", FG_ACT_CHALLENGE, FG_ACT_CHALLENGE},
        {"altcha", "refuse", FG_ACT_REFUSE, FG_ACT_REFUSE},
        {"refuse", "allow", FG_ACT_REFUSE, FG_ACT_REFUSE},
        {"refuse", "altcha", FG_ACT_REFUSE, FG_ACT_REFUSE},
        {"refuse", "refuse", FG_ACT_REFUSE, FG_ACT_REFUSE},
        {"allow", NULL, FG_ACT_ALLOW, FG_ACT_REFUSE},
        {"altcha", NULL, FG_ACT_CHALLENGE, FG_ACT_CHALLENGE},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const fg_policy_t *site =
            resolve(apr_psprintf(pool,
                                 "FormGuard On\nFormGuardCaptcha recaptcha-v2\n"
                                 "FormGuardCaptchaSecret server\n"
                                 "FormGuardCaptchaOnError timeout=%s bad-secret=%s",
                                 cases[i].server, cases[i].server),
                    cases[i].site == NULL
                        ? keys
                        : apr_psprintf(pool, "%sFormGuardCaptchaOnError timeout=%s bad-secret=%s",
                                       keys, cases[i].site, cases[i].site))
                .layer[1];

        assert_int_equal(fg_policy_on_error(site, FG_CAUSE_TIMEOUT), cases[i].action);
        assert_int_equal(fg_policy_on_error(site, FG_CAUSE_BAD_SECRET), cases[i].own_keys);
        assert_int_equal(fg_policy_on_error(site, FG_CAUSE_BUSY), FG_ACT_REFUSE);
    }
}

static void what_answers_the_servers_challenge_is_no_easier(void **state)
{
    static const char easy[] = "FormGuardCaptcha recaptcha-v3\nFormGuardCaptchaSecret mine\n"
                               "FormGuardCaptchaMinScore 0\nFormGuardCaptchaHostname *\n"
                               "FormGuardCaptchaWhen challenged\n"
                               "FormGuardCaptchaOnError bad-secret=allow";
    static const char *const challenging[] = {
        "FormGuard On\nFormGuardLimit ip 5/10m action=challenge",
        ("FormGuard On\nFormGuardLimit ip 5/10m\nFormGuardCountry CN refuse\n"
         "FormGuardCountry * challenge"),
        "FormGuard On\nFormGuardField message max-links=1 action=challenge",
        "FormGuard On\nFormGuardDNSBL zen.example action=challenge",
    };
    const fg_policy_t *site;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(challenging) / sizeof(challenging[0]); i++) {
        site = resolve(challenging[i], easy).layer[1];
        assert_true(fg_policy_captcha_min_score(site) == 0.5);
        assert_null(site->captcha_hostnames);
        assert_int_equal(fg_policy_on_error(site, FG_CAUSE_BAD_SECRET), FG_ACT_REFUSE);
        assert_true(fg_policy_captcha_when_challenged(site)); /* nothing is asked of it always */
    }
    /* Where it answers to nobody it is the site's own business. */
    site = resolve("FormGuard On\nFormGuardLimit ip 5/10m", easy).layer[1];
    assert_true(fg_policy_captcha_min_score(site) == 0.0);
    assert_non_null(site->captcha_hostnames);
    assert_int_equal(fg_policy_on_error(site, FG_CAUSE_BAD_SECRET), FG_ACT_ALLOW);
}

/* --- a server config that guards nothing ------------------------------------------------------ */

static void rules_add_up_where_the_server_is_off(void **state)
{
    static const char *const off[] = {"", "FormGuard Off\n"};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        const char *server = apr_pstrcat(
            pool, off[i], "FormGuardLimit ip 5/10m\nFormGuardCountry CN refuse\nFormGuardPath /x",
            NULL);
        fg_policy_layers_t layers = resolve(server, "FormGuard On\nFormGuardPath /contact.php\n"
                                                    "FormGuardLimit form 9/1h");

        assert_int_equal(layers.count, 1);
        assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_ON);
        assert_int_equal(layers.layer[0]->limits->nelts, 2);
        assert_int_equal(layers.layer[0]->countries->nelts, 1);
        assert_true(fg_policy_guards_path(layers.layer[0], "/contact.php"));
        assert_false(fg_policy_guards_path(layers.layer[0], "/x"));
    }
}

static void two_that_are_off_guard_nothing(void **state)
{
    fg_policy_layers_t layers;

    (void)state;
    layers = resolve("FormGuardLimit ip 5/10m", "FormGuardLimit form 9/1h");
    assert_int_equal(layers.count, 1);
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_OFF);
    layers = resolve("FormGuard Off", "FormGuard Off");
    assert_int_equal(layers.count, 1);
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_OFF);
}

static void without_htaccess_the_servers_policy_is_used_as_it_is(void **state)
{
    fg_policy_stack_t *stack = stack_of(GUARDED, "");
    fg_policy_layers_t layers;

    (void)state;
    assert_false(stack->has_site);
    fg_policy_resolve(stack, &layers, pool);
    assert_int_equal(layers.count, 1);
    assert_ptr_equal(layers.layer[0], &stack->server);
}

/* --- FormGuardOverride ------------------------------------------------------------------------ */

static void none_hears_nothing(void **state)
{
    fg_policy_layers_t layers =
        resolve(GUARDED "\nFormGuardOverride none", "FormGuard Off\nFormGuardLimit ip 1/1h");

    (void)state;
    assert_int_equal(layers.count, 1);
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_ON);
    assert_int_equal(layers.layer[0]->limits->nelts, 2);
}

static void all_hears_everything(void **state)
{
    fg_policy_layers_t layers;

    (void)state;
    layers = resolve(GUARDED "\nFormGuardOverride all", "FormGuard Off\nFormGuardCaptcha off");
    assert_int_equal(layers.count, 1);
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_OFF);
    assert_null(fg_policy_captcha(layers.layer[0]));
    assert_int_equal(layers.layer[0]->limits->nelts, 2);
    layers = resolve(GUARDED "\nFormGuardOverride all", "FormGuardCountry CN allow");
    assert_int_equal(country_rule(layers.layer[0], "CN")->action, FG_ACT_ALLOW);
    assert_int_equal(country_rule(layers.layer[0], "RU")->action, FG_ACT_REFUSE);
}

static void tighten_is_the_default(void **state)
{
    fg_policy_stack_t *stack = stack_of(GUARDED, "FormGuard Off");
    fg_policy_layers_t layers;

    (void)state;
    assert_int_equal(fg_policy_override(&stack->server), FG_OVERRIDE_TIGHTEN);
    layers = resolve(GUARDED "\nFormGuardOverride all\nFormGuardOverride tighten", "FormGuard Off");
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_ON);
    assert_int_equal(layers.count, 2);
    assert_int_equal(line_directive("FormGuardOverride")->context, FG_CTX_VHOST);
}

/* --- merging stacks --------------------------------------------------------------------------- */

/* httpd merges an <If> of .htaccess last, behind everything of the server config, and a <Files> of
 * either wherever it likes. */
static void the_order_of_merging_is_of_no_account(void **state)
{
    static const char *const server[] = {"FormGuard On", "FormGuardLimit ip 5/10m"};
    static const char *const site[] = {"FormGuard Off", "FormGuardLimit form 9/1h"};
    int order;

    (void)state;
    for (order = 0; order < 6; order++) { /* the site's two among the server's two, in order */
        static const char *const places[] = {"eeii", "eiei", "eiie", "ieei", "ieie", "iiee"};
        fg_policy_stack_t *sum = apr_pcalloc(pool, sizeof(*sum));
        fg_policy_layers_t layers;
        int next[2] = {0, 0};
        const char *p;

        for (p = places[order]; *p != '\0'; p++) {
            fg_policy_stack_t *add = apr_pcalloc(pool, sizeof(*add));
            int is_site = *p == 'i';

            apply_all(add, is_site, is_site ? "file" : "server",
                      (is_site ? site : server)[next[is_site]++]);
            sum = fg_policy_stack_merge(sum, add, pool);
        }
        fg_policy_resolve(sum, &layers, pool);
        assert_int_equal(layers.count, 2);
        assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_ON);
        assert_string_equal(limit_text(layers.layer[0], 0), "ip 5/10m");
        assert_int_equal(layers.layer[0]->limits->nelts, 1);
        assert_int_equal(fg_policy_mode(layers.layer[1]), FG_MODE_OFF);
        assert_string_equal(limit_text(layers.layer[1], 0), "form 9/1h");
    }
}

static void a_lone_stack_that_was_never_merged_is_resolved(void **state)
{
    fg_policy_stack_t *lone = apr_pcalloc(pool, sizeof(*lone));
    fg_policy_layers_t layers;

    (void)state;
    apply_all(lone, 0, "server", GUARDED);
    apply_all(lone, 1, "file",
              "FormGuard Off\nFormGuardCaptcha recaptcha-v3\n"
              "FormGuardCaptchaMinScore 0");
    fg_policy_resolve(lone, &layers, pool);
    assert_int_equal(layers.count, 2);
    assert_memory_equal(layers.layer[0], &lone->server, sizeof(lone->server));
    assert_true(fg_policy_captcha_min_score(layers.layer[1]) == 0.7);
    /* Only .htaccess, no server config at all. */
    lone = apr_pcalloc(pool, sizeof(*lone));
    apply_all(lone, 1, "file", "FormGuard On");
    fg_policy_resolve(lone, &layers, pool);
    assert_int_equal(layers.count, 1);
    assert_int_equal(fg_policy_mode(layers.layer[0]), FG_MODE_ON);
    assert_string_equal(limit_text(layers.layer[0], 0), FG_POLICY_DEFAULT_LIMIT);
}

/* --- how many --------------------------------------------------------------------------------- */

static void one_file_holds_so_many_rules(void **state)
{
    int f;

    (void)state;
    for (f = 0; f < 3; f++) {
        fg_policy_t site, server;
        const char *error = NULL;
        int i;

        memset(&site, 0, sizeof(site));
        memset(&server, 0, sizeof(server));
        for (i = 0; i <= FG_SITE_RULES_MAX; i++) {
            const char *line = f == 0   ? apr_psprintf(pool, "FormGuardLimit ip %d/1h", i + 1)
                               : f == 1 ? apr_psprintf(pool, "FormGuardCountry %c%c refuse",
                                                       'A' + i / 26, 'A' + i % 26)
                                        : apr_psprintf(pool, "FormGuardField f%d required", i);

            error = line_apply_as(1, &site, "file", line, pool);
            if (i < FG_SITE_RULES_MAX) {
                assert_null(error);
            }
            assert_null(line_apply(&server, "server", line, pool)); /* trusted */
        }
        assert_non_null(error);
        assert_non_null(strstr(error, "is one too many: 32 of a kind are possible here"));
        assert_int_equal((f == 0   ? site.limits
                          : f == 1 ? site.countries
                                   : site.fields)
                             ->nelts,
                         FG_SITE_RULES_MAX);
    }
}

/* Any number of names or countries in a line, too. */
static void one_line_is_no_way_around(void **state)
{
    char list[300] = "FormGuardCountry AA";
    char names[300] = "FormGuardField a";
    fg_policy_t site;
    int i;

    (void)state;
    for (i = 1; i <= FG_SITE_RULES_MAX; i++) {
        apr_cpystrn(list + strlen(list), ",AA", 4);
        apr_cpystrn(names + strlen(names), " a", 3);
    }
    memset(&site, 0, sizeof(site));
    assert_non_null(line_apply_as(1, &site, "f", apr_pstrcat(pool, list, " refuse", NULL), pool));
    assert_non_null(line_apply_as(1, &site, "f", apr_pstrcat(pool, names, " empty", NULL), pool));
    assert_null(site.countries);
    assert_null(site.fields);
}

static void many_files_and_sections_hold_no_more(void **state)
{
    fg_policy_stack_t *sum = stack_of("FormGuard On\nFormGuardLimit ip 5/10m", "");
    fg_policy_layers_t layers;
    int i;

    (void)state;
    for (i = 0; i < 1000; i++) {
        fg_policy_stack_t *add = apr_pcalloc(pool, sizeof(*add));

        apply_all(add, 1, "file",
                  apr_psprintf(pool,
                               "FormGuardLimit ip %d/1h\nFormGuardLimit form %d/1h\n"
                               "FormGuardCountry CN,HK refuse\n"
                               "FormGuardField f%d required",
                               i + 1, i + 1, i));
        sum = fg_policy_stack_merge(sum, add, pool);
        assert_in_range(sum->site.limits->nelts, 2, FG_SITE_RULES_MAX);
        assert_in_range(sum->site.countries->nelts, 2, FG_SITE_RULES_MAX);
        assert_in_range(sum->site.fields->nelts, 1, FG_SITE_RULES_MAX);
    }
    assert_int_equal(sum->site.limits->nelts, FG_SITE_RULES_MAX);
    assert_string_equal(APR_ARRAY_IDX(sum->site.limits, 0, fg_limit_t).text, "ip 1/1h");
    assert_string_equal(APR_ARRAY_IDX(sum->site.limits, 31, fg_limit_t).text, "form 16/1h");
    assert_string_equal(sum->site_cut, "FormGuardField"); /* the last of them */
    fg_policy_resolve(sum, &layers, pool);
    assert_string_equal(limit_text(layers.layer[0], 0), "ip 5/10m");
}

/* Each rate is a key of the shared table that a post of the site charges. */
static void a_site_has_so_many_rates(void **state)
{
    fg_policy_t site, server;
    int i;

    (void)state;
    memset(&site, 0, sizeof(site));
    memset(&server, 0, sizeof(server));
    for (i = 1; i <= 11; i++) {
        const char *line = apr_psprintf(pool, "FormGuardLimit ip %d/1m %d/1h %d/1d", i, i, i);
        const char *error = line_apply_as(1, &site, "file", line, pool);

        assert_null(line_apply(&server, "server", line, pool));
        if (i < 11) {
            assert_null(error);
        }
        else {
            assert_string_equal(error, "'ip 11/1m 11/1h 11/1d' is too much: all limits may have 32 "
                                       "rates together here");
        }
    }
    assert_int_equal(site.limits->nelts, 10);
    assert_int_equal(server.limits->nelts, 11);
    assert_null(line_apply_as(1, &site, "file", "FormGuardLimit ip 9/1w 8/2w", pool));
    assert_non_null(line_apply_as(1, &site, "file", "FormGuardLimit ip 7/1w", pool));
    /* the same line once more is no other limit */
    assert_null(line_apply_as(1, &site, "file", "FormGuardLimit ip 9/1w 8/2w", pool));
}

static void many_files_have_no_more_rates(void **state)
{
    fg_policy_stack_t *sum = stack_of("FormGuard On\nFormGuardLimit ip 5/10m 6/1h", "");
    int i;

    (void)state;
    for (i = 1; i <= 8; i++) {
        fg_policy_stack_t *add = apr_pcalloc(pool, sizeof(*add));

        apply_all(add, 1, "file",
                  apr_psprintf(pool, "FormGuardLimit ip %d/1m %d/1h %d/1d %d/1w", i, i, i, i));
        sum = fg_policy_stack_merge(sum, add, pool);
    }
    assert_int_equal(sum->site.limits->nelts, 8);
    assert_null(sum->site_cut);
    sum = fg_policy_stack_merge(sum, stack_of("", "FormGuardLimit net 1/1m"), pool);
    assert_int_equal(sum->site.limits->nelts, 8);
    assert_string_equal(sum->site_cut, "FormGuardLimit");
    sum = fg_policy_stack_merge(sum, stack_of("", "FormGuard On"), pool);
    assert_string_equal(sum->site_cut, "FormGuardLimit"); /* not forgotten */
}

/* A rewritten request is under the rules of its folder twice: that is no more of them. */
static void the_same_rules_twice_are_no_more(void **state)
{
    fg_policy_stack_t *folder = stack_of("", "FormGuard On");
    fg_policy_stack_t *twice;
    int i;

    (void)state;
    for (i = 0; i < FG_SITE_RULES_MAX - 1; i++) {
        apply_all(folder, 1, "file",
                  apr_psprintf(pool,
                               "FormGuardCountry %c%c refuse\nFormGuardLimit ip %d/1h\n"
                               "FormGuardField f%d required",
                               'A' + i / 26, 'A' + i % 26, i + 1, i));
    }
    twice = fg_policy_stack_merge(folder, folder, pool);
    twice = fg_policy_stack_merge(twice, stack_of("", "FormGuardCountry ZA refuse"), pool);
    assert_null(twice->site_cut);
    assert_int_equal(country_rule(&twice->site, "AA")->action, FG_ACT_REFUSE);
    assert_non_null(country_rule(&twice->site, "ZA"));
    twice = fg_policy_stack_merge(twice, stack_of("", "FormGuardCountry AA,ZA allow"), pool);
    assert_int_equal(country_rule(&twice->site, "AA")->action, FG_ACT_ALLOW);
    assert_int_equal(country_rule(&twice->site, "ZA")->action, FG_ACT_ALLOW);
    assert_null(twice->site_cut);
    twice = fg_policy_stack_merge(twice, stack_of("", "FormGuardCountry ZB refuse"), pool);
    assert_string_equal(twice->site_cut, "FormGuardCountry");
}

/* The parts of a merge are kept by httpd and used by other requests. */
static void a_merge_changes_neither_part(void **state)
{
    fg_policy_stack_t *base = stack_of("FormGuard On", "FormGuardLimit ip 1/1h");
    fg_policy_stack_t *add = stack_of("FormGuardLimit ip 2/1h", "FormGuardLimit ip 3/1h");
    const fg_policy_stack_t base_was = *base, add_was = *add;
    fg_policy_stack_t *sum = fg_policy_stack_merge(base, add, pool);
    fg_policy_layers_t layers;

    (void)state;
    fg_policy_resolve(sum, &layers, pool);
    assert_int_equal(sum->site.limits->nelts, 2);
    assert_memory_equal(base, &base_was, sizeof(base_was));
    assert_memory_equal(add, &add_was, sizeof(add_was));
    assert_int_equal(base->site.limits->nelts, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_in_htaccess_changes_the_servers_layer),
        cmocka_unit_test(off_and_detection_are_the_sites_own),
        cmocka_unit_test(the_sites_rules_stand_alone_with_counters_of_their_own),
        cmocka_unit_test(a_site_without_rules_has_the_default_limit_where_it_says_on),
        cmocka_unit_test(what_is_guarded_can_be_widened_but_not_narrowed),
        cmocka_unit_test(a_sites_captcha_is_no_easier_than_the_servers),
        cmocka_unit_test(when_a_captcha_is_asked_stands_beside_it),
        cmocka_unit_test(a_sites_captcha_may_be_stricter),
        cmocka_unit_test(a_site_may_bring_keys_for_the_servers_captcha),
        cmocka_unit_test(without_one_of_its_own_a_site_asks_no_second_captcha),
        cmocka_unit_test(the_servers_secret_is_not_for_another_service),
        cmocka_unit_test(what_errors_do_is_as_strict_as_the_server_has_it),
        cmocka_unit_test(what_answers_the_servers_challenge_is_no_easier),
        cmocka_unit_test(rules_add_up_where_the_server_is_off),
        cmocka_unit_test(two_that_are_off_guard_nothing),
        cmocka_unit_test(without_htaccess_the_servers_policy_is_used_as_it_is),
        cmocka_unit_test(none_hears_nothing),
        cmocka_unit_test(all_hears_everything),
        cmocka_unit_test(tighten_is_the_default),
        cmocka_unit_test(the_order_of_merging_is_of_no_account),
        cmocka_unit_test(a_lone_stack_that_was_never_merged_is_resolved),
        cmocka_unit_test(one_file_holds_so_many_rules),
        cmocka_unit_test(one_line_is_no_way_around),
        cmocka_unit_test(many_files_and_sections_hold_no_more),
        cmocka_unit_test(a_site_has_so_many_rates),
        cmocka_unit_test(many_files_have_no_more_rates),
        cmocka_unit_test(the_same_rules_twice_are_no_more),
        cmocka_unit_test(a_merge_changes_neither_part),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
