/* SPDX-License-Identifier: Apache-2.0 */
/* What a page told is told again, word by word, or not kept at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include <cmocka.h>

#include "html_found.h"

static apr_pool_t *pool;

/* --- what is told ----------------------------------------------------------------------------- */

typedef struct ear {
    const char *told;
    const char *field; /* the answer to a form */
} ear_t;

static void hear(ear_t *ear, const char *what, const char *value)
{
    ear->told =
        apr_pstrcat(pool, ear->told, what, "=", value != NULL ? value : "(null)", "\n", NULL);
}

static const char *on_form(void *baton, const fg_html_form_t *form)
{
    hear(baton, form->in_table ? "form in table" : "form", form->action);
    return ((ear_t *)baton)->field;
}

static void on_widget(void *baton, apr_off_t at)
{
    hear(baton, "widget", apr_off_t_toa(pool, at));
}

static void on_base(void *baton, const char *href)
{
    hear(baton, "base", href);
}

static void on_csp(void *baton, const char *policy)
{
    hear(baton, "csp", policy);
}

static void on_script(void *baton, const char *src)
{
    hear(baton, "script", src);
}

static const char *again(const fg_html_found_t *found, const char *field, int *all)
{
    static const fg_html_forms_ops_t ops = {on_form, on_widget, on_base, on_csp, on_script};
    ear_t ear = {"", field};

    *all = fg_html_found_tell(found, &ops, &ear);
    return ear.told;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_all(void **state)
{
    const fg_html_form_t forms[] = {{"/a?b&\xE8\xA1\xA8", 0}, {NULL, 1}, {"", 0}};
    fg_html_found_t found = {0, {0}};
    int all;

    (void)state;
    assert_string_equal(again(&found, "token", &all), "");
    assert_int_equal(all, 1);
    assert_int_equal(fg_html_found_forms(&found), 0);
    fg_html_found_base(&found, "/dir/");
    fg_html_found_csp(&found, "default-src 'self'");
    fg_html_found_csp(&found, NULL);
    fg_html_found_script(&found, "");
    assert_int_equal(fg_html_found_forms(&found), 0);
    fg_html_found_form(&found, &forms[0], "token");
    fg_html_found_widget(&found, APR_INT64_C(5000000000));
    fg_html_found_form(&found, &forms[1], "token");
    fg_html_found_widget(&found, APR_INT64_C(5000000007));
    fg_html_found_form(&found, &forms[2], "token");
    assert_int_equal(fg_html_found_forms(&found), 1);
    assert_int_equal(fg_html_found_whole(&found), 1);
    assert_string_equal(again(&found, "token", &all),
                        "base=/dir/\ncsp=default-src 'self'\ncsp=(null)\nscript=\n"
                        "form=/a?b&\xE8\xA1\xA8\nwidget=5000000000\n"
                        "form in table=(null)\nwidget=5000000007\nform=\n");
    assert_int_equal(all, 1);
}

/* Where a widget belongs was looked for with another field in mind, or not at all. */
static void test_other_answer(void **state)
{
    static const char *const fields[] = {"token", "tok", "", NULL};
    const fg_html_form_t form = {"/a", 0};
    size_t then;
    size_t now;

    (void)state;
    for (then = 0; then < 4; then++) {
        fg_html_found_t found = {0, {0}};

        fg_html_found_form(&found, &form, fields[then]);
        fg_html_found_widget(&found, 7);
        for (now = 0; now < 4; now++) {
            int all;
            const char *told = again(&found, fields[now], &all);

            assert_int_equal(all, then == now);
            assert_string_equal(told, all ? "form=/a\nwidget=7\n" : "form=/a\n");
        }
    }
}

static void test_too_much(void **state)
{
    const fg_html_form_t form = {"/a", 0};
    size_t len;

    (void)state;
    for (len = FG_HTML_FOUND_MAX - 40; len < FG_HTML_FOUND_MAX + 10; len++) {
        fg_html_found_t found = {0, {0}};
        char *text = apr_palloc(pool, len + 1);
        int all;

        memset(text, 'x', len);
        text[len] = '\0';
        fg_html_found_base(&found, text);
        assert_int_equal(fg_html_found_whole(&found), len + 2 <= FG_HTML_FOUND_MAX);
        fg_html_found_form(&found, &form, "token"); /* 1 + 3 + 6 + 1 */
        assert_int_equal(fg_html_found_whole(&found), len + 13 <= FG_HTML_FOUND_MAX);
        fg_html_found_widget(&found, 1); /* 9 */
        assert_int_equal(fg_html_found_whole(&found), len + 22 <= FG_HTML_FOUND_MAX);
        if (fg_html_found_whole(&found)) {
            assert_string_equal(again(&found, "token", &all),
                                apr_pstrcat(pool, "base=", text, "\nform=/a\nwidget=1\n", NULL));
        }
        apr_pool_clear(pool);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_other_answer),
        cmocka_unit_test(test_too_much),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
