/* SPDX-License-Identifier: Apache-2.0 */
/* What is put into a page, for each service. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>

#include <cmocka.h>

#include "policy_line.h"
#include "widget.h"

static apr_pool_t *pool;

#define PATH   "/f/mail.php"
#define ORIGIN "https://www.example.jp"
#define KEY    "FormGuardCaptchaSiteKey 6Le-x_y"

static const char *make(fg_widget_t *widget, const char *line, const char *other, const char *third)
{
    fg_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));

    memset(widget, 0, sizeof(*widget));
    assert_null(line_apply(policy, "here", line, pool));
    if (other != NULL) {
        assert_null(line_apply(policy, "here", other, pool));
    }
    if (third != NULL) {
        assert_null(line_apply(policy, "here", third, pool));
    }
    return fg_widget_make(widget, policy, PATH, ORIGIN, pool);
}

static void assert_widget(const char *line, const char *third, const char *script,
                          const char *element)
{
    fg_widget_t widget;

    assert_null(make(&widget, line, KEY, third));
    assert_string_equal(widget.script, script);
    assert_string_equal(widget.element, element);
    assert_true(fg_widget_same_script(widget.script_url, widget.script_url));
    assert_true(fg_widget_is_script(widget.script_url));
    assert_null(fg_csp_forbids("default-src https: blob:", ORIGIN, widget.needs, pool));
    assert_non_null(fg_csp_forbids("default-src 'none'", ORIGIN, widget.needs, pool));
}

static void test_services(void **state)
{
    (void)state;
    assert_widget(
        "FormGuardCaptcha altcha", NULL,
        "<script src=\"/.well-known/formguard/altcha.js\" type=\"module\" async></script>",
        "<altcha-widget challenge=\"/.well-known/formguard/challenge?form=/f/mail.php\" "
        "auto=\"onfocus\"></altcha-widget>");
    /* a preset's field is for the software's own captcha */
    assert_widget(
        "FormGuardCaptcha altcha", "FormGuardPreset contact-form-7",
        "<script src=\"/.well-known/formguard/altcha.js\" type=\"module\" async></script>",
        "<altcha-widget challenge=\"/.well-known/formguard/challenge?form=/f/mail.php\" "
        "auto=\"onfocus\"></altcha-widget>");
    assert_widget("FormGuardCaptcha recaptcha-v2", NULL,
                  "<script src=\"https://www.google.com/recaptcha/api.js\" async defer></script>",
                  "<span class=\"g-recaptcha\" data-sitekey=\"6Le-x_y\"></span>");
    assert_widget(
        "FormGuardCaptcha recaptcha-v2 host=www.recaptcha.net", NULL,
        "<script src=\"https://www.recaptcha.net/recaptcha/api.js\" async defer></script>",
        "<span class=\"g-recaptcha\" data-sitekey=\"6Le-x_y\"></span>");
    assert_widget("FormGuardCaptcha hcaptcha", "FormGuardCaptchaField h-captcha-response",
                  "<script src=\"https://js.hcaptcha.com/1/api.js\" async defer></script>",
                  "<span class=\"h-captcha\" data-sitekey=\"6Le-x_y\"></span>");
    assert_widget("FormGuardCaptcha turnstile", "FormGuardCaptchaField token",
                  "<script src=\"https://challenges.cloudflare.com/turnstile/v0/api.js\" async "
                  "defer></script>",
                  "<span class=\"cf-turnstile\" data-sitekey=\"6Le-x_y\" "
                  "data-response-field-name=\"token\"></span>");
    assert_widget("FormGuardCaptcha friendly host=eu.frcapi.com", NULL,
                  "<script src=\"https://cdn.jsdelivr.net/npm/@friendlycaptcha/sdk@0.2.0/"
                  "site.min.js\" type=\"module\" async defer></script>",
                  "<span class=\"frc-captcha\" data-sitekey=\"6Le-x_y\" "
                  "data-api-endpoint=\"eu\"></span>");
}

static void test_none(void **state)
{
    fg_widget_t widget;

    (void)state;
    assert_string_equal(make(&widget, "FormGuardCaptcha hcaptcha", NULL, NULL),
                        "no FormGuardCaptchaSiteKey is set");
    assert_non_null(make(&widget, "FormGuardCaptcha hcaptcha", KEY, "FormGuardCaptchaField x"));
    assert_string_equal(make(&widget, "FormGuardCaptcha recaptcha-v3", NULL, NULL),
                        "no FormGuardCaptchaSiteKey is set");
    assert_non_null(
        make(&widget, "FormGuardCaptcha altcha", NULL, "FormGuardCaptchaField \xE5\x95\x8F"));
}

/* Nothing to be seen: a field that the helper fills. */
static void test_fields(void **state)
{
    fg_widget_t widget;

    (void)state;
    assert_widget(
        "FormGuardCaptcha recaptcha-v3", "FormGuardCaptchaAction contact",
        "<script src=\"https://www.google.com/recaptcha/api.js?render=6Le-x_y\" async "
        "defer></script>",
        "<input type=\"hidden\" data-formguard=\"recaptcha-v3\" "
        "name=\"g-recaptcha-response\" data-sitekey=\"6Le-x_y\" data-action=\"contact\">");
    assert_widget(
        "FormGuardCaptcha recaptcha-enterprise", "FormGuardCaptchaField token",
        "<script src=\"https://www.google.com/recaptcha/enterprise.js?render=6Le-x_y\" async "
        "defer></script>",
        "<input type=\"hidden\" data-formguard=\"recaptcha-enterprise\" name=\"token\" "
        "data-sitekey=\"6Le-x_y\" data-action=\"submit\">");
    assert_null(make(&widget, "FormGuardCaptcha recaptcha-v3 host=www.recaptcha.net",
                     "FormGuardCaptchaSiteKey a&\"b", NULL));
    assert_string_equal(widget.script_url,
                        "https://www.recaptcha.net/recaptcha/api.js?render=a%26%22b");
    assert_int_equal(widget.help, FG_HELP_ALWAYS);
    assert_string_equal(widget.table_element, widget.element);
    assert_string_equal(fg_csp_forbids("script-src https://www.recaptcha.net/recaptcha/ "
                                       "https://www.gstatic.com/recaptcha/; frame-src *",
                                       ORIGIN, widget.needs, pool)
                            ->advice,
                        "'self'");
    assert_null(fg_csp_forbids("script-src 'self' https://www.recaptcha.net/recaptcha/ "
                               "https://www.gstatic.com/recaptcha/; frame-src "
                               "https://www.recaptcha.net/recaptcha/",
                               ORIGIN, widget.needs, pool));
}

/* In a table: a field that is the form's own, and the widget beside it. */
static void test_tables(void **state)
{
    fg_widget_t widget;

    (void)state;
    assert_null(make(&widget, "FormGuardCaptcha altcha", NULL, NULL));
    assert_string_equal(widget.table_element,
                        apr_pstrcat(pool,
                                    "<span><input type=\"hidden\" data-formguard=\"beside\" "
                                    "name=\"altcha\">",
                                    widget.element, "</span>", NULL));
    assert_int_equal(widget.help, FG_HELP_NEVER);
    assert_null(fg_csp_forbids("script-src 'none'", ORIGIN, widget.table_needs, pool));
    assert_null(make(&widget, "FormGuardCaptcha turnstile", KEY, "FormGuardCaptchaField token"));
    assert_string_equal(widget.table_element,
                        apr_pstrcat(pool,
                                    "<span><input type=\"hidden\" data-formguard=\"beside\" "
                                    "name=\"token\">",
                                    widget.element, "</span>", NULL));
    assert_int_equal(widget.help, FG_HELP_IN_TABLE);
    assert_non_null(fg_csp_forbids("script-src https://challenges.cloudflare.com", ORIGIN,
                                   widget.table_needs, pool));
}

/* What an owner writes can't leave its attribute. */
static void test_escaped(void **state)
{
    fg_widget_t widget;

    (void)state;
    assert_null(make(&widget, "FormGuardCaptcha altcha", NULL, "FormGuardCaptchaField a\"><b&"));
    assert_non_null(strstr(widget.element, " name=\"a&quot;&gt;&lt;b&amp;\"></altcha-widget>"));
}

static void test_script(void **state)
{
    fg_widget_t widget;

    (void)state;
    assert_null(make(&widget, "FormGuardCaptcha recaptcha-v2", KEY, NULL));
    assert_true(
        fg_widget_same_script(widget.script_url, "https://www.google.com/recaptcha/api.js?hl=ja"));
    assert_false(
        fg_widget_same_script(widget.script_url, "https://www.google.com/recaptcha/api.json"));
    assert_false(fg_widget_same_script(widget.script_url, "/recaptcha/api.js"));
    assert_true(fg_widget_is_script(fg_widget_helper_url));
    assert_false(fg_widget_is_script("/jquery.min.js"));
    assert_null(make(&widget, "FormGuardCaptcha recaptcha-v3", KEY, NULL));
    assert_false(fg_widget_same_script(widget.script_url,
                                       "https://www.google.com/recaptcha/api.js?render=6Le-x_yz"));
    assert_true(fg_widget_same_script(
        widget.script_url, "https://www.google.com/recaptcha/api.js?render=6Le-x_y&hl=ja"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_services), cmocka_unit_test(test_none),
        cmocka_unit_test(test_fields),   cmocka_unit_test(test_tables),
        cmocka_unit_test(test_escaped),  cmocka_unit_test(test_script),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
