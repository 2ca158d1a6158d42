/* SPDX-License-Identifier: Apache-2.0 */
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

static const char *apply(fg_policy_t *policy, const char *text)
{
    return line_apply(policy, "here", apr_pstrcat(pool, "FormGuardContact ", text, NULL), pool);
}

static const char *times(const char *text, int n)
{
    const char *all = "";

    while (n-- > 0) {
        all = apr_pstrcat(pool, all, text, NULL);
    }
    return all;
}

static void good_texts(void **state)
{
    const char *const texts[] = {
        "0120-000-000",
        "call 0120-000-000, or write to info@shop.example",
        "<b>&\"'</b> %s {{title}}",
        "お電話は 03-0000-0000 まで",
        "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xef\xbf\xbd\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
        times("x", 200),
        times("電", 200),
        times("\xf0\x9f\x93\x9e", 200)};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        fg_policy_stack_t stack;

        memset(&stack, 0, sizeof(stack));
        assert_null(fg_policy_contact(&stack));
        assert_null(apply(&stack.server, texts[i]));
        assert_string_equal(fg_policy_contact(&stack), texts[i]);
    }
}

static void wrong_texts(void **state)
{
    static const char CONTROL[] = "holds a control character";
    static const char UTF8[] = "is not UTF-8";
    static const char LONG[] = "is longer than 200 characters";
    const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"a\tb", CONTROL},
        {"a\nb", CONTROL},
        {"a\x7f", CONTROL},
        {"\xc2\x85", CONTROL},     /* next line */
        {"\xe2\x80\xa8", CONTROL}, /* line separator */
        {"\xe2\x80\xae"
         "moc",
         CONTROL}, /* turned around */
        {"\xe2\x81\xa6"
         "moc",
         CONTROL},
        {"caf\xe9", UTF8}, /* Latin-1 */
        {"caf\xe9 x", UTF8},
        {"\x83\x65", UTF8}, /* Shift_JIS */
        {"\xc0\xaf", UTF8}, /* overlong */
        {"\xc1\x81", UTF8},
        {"\xe0\x80\xaf", UTF8},
        {"\xf0\x80\x80\xaf", UTF8},
        {"\xed\xa0\x80", UTF8},     /* a surrogate */
        {"\xf4\x90\x80\x80", UTF8}, /* over U+10FFFF */
        {"\xf8\x90\x80\x80", UTF8},
        {"\xff", UTF8},
        {"\xe3\x81", UTF8}, /* cut off */
        {"\xf0\x9f\x93", UTF8},
        {times("x", 201), LONG},
        {times("電", 201), LONG},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_policy_stack_t stack;

        memset(&stack, 0, sizeof(stack));
        assert_null(apply(&stack.server, "before"));
        assert_string_equal(apply(&stack.server, cases[i].text),
                            apr_pstrcat(pool, "'", cases[i].text, "' ", cases[i].error, NULL));
        assert_string_equal(fg_policy_contact(&stack), "before");
    }
    assert_string_equal(
        line_apply(line_policy("FormGuard On", pool), "here", "FormGuardContact", pool),
        "takes a text: TEXT|none");
}

/* The innermost line counts, the site's before the server's. */
static void whose(void **state)
{
    fg_policy_stack_t stack;

    (void)state;
    memset(&stack, 0, sizeof(stack));
    assert_null(apply(&stack.server, "provider"));
    assert_string_equal(fg_policy_contact(&stack), "provider");
    assert_null(apply(&stack.site, "owner"));
    assert_string_equal(fg_policy_contact(&stack), "owner");
    assert_null(apply(&stack.site, "None"));
    assert_null(fg_policy_contact(&stack));
    assert_string_equal(fg_policy_merge(line_policy("FormGuardContact outer", pool),
                                        line_policy("FormGuardContact inner", pool), pool)
                            ->contact,
                        "inner");
    assert_string_equal(fg_policy_merge(line_policy("FormGuardContact outer", pool),
                                        line_policy("FormGuard On", pool), pool)
                            ->contact,
                        "outer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts),
        cmocka_unit_test(wrong_texts),
        cmocka_unit_test(whose),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
