/* SPDX-License-Identifier: Apache-2.0 */
#include "body_case.h"

/* What PHP 8.2 makes of each name; "" where the field is not in $_POST. */
static const struct {
    const char *name, *expected;
} names[] = {
    {"a", "a"},
    {"a.b c", "a_b_c"},
    {" a", "a"},
    {"  a ", "a_"},
    {"\ta", "\ta"},
    {".", "_"},
    {"", ""},
    {"   ", ""},
    {"[a]", ""},
    {" [a]", ""},
    {"[a", ""},
    {"a]", "a]"},
    {"a[]", "a[]"},
    {"a[ ]", "a[]"},
    {"a[\t]", "a[]"},
    {"a[  ]", "a[  ]"},
    {"a[ b]", "a[ b]"},
    {"a.b[c.d e]", "a_b[c.d e]"},
    {"a[b][c]", "a[b][c]"},
    {"a[b]c", "a[b]"},
    {"a[b]c[d]", "a[b]"},
    {"a[b]]", "a[b]"},
    {"a[[b]]", "a[[b]"},
    {"a[b", "a_b"},
    {"a[", "a_"},
    {"a[b.c d[e", "a_b_c_d_e"},
    {"a[b][c", "a[b]"},
    {"a[b][", "a[b]"},
    {"__Host-x", "__Host-x"},
    {" __Host-x", "__Host-x"},
    {"_.Host-x", ""},
    {"_.Secure-x", ""},
    {"_.Secure-x[a]", ""},
    {"_[Host-x", ""},
    {"_.Host", "__Host"},
    {"a[__Host-x]", ""},
    {"a[b][__Secure-x][c]", ""},
    {"__Host-x[__Host-y]", "__Host-x[__Host-y]"},
    {"__Host-x[__Secure-y]", ""},
};

static void assert_named(const char *name, size_t len, const char *expected)
{
    char *sent = malloc(len + 1), *out = malloc(len + 1);

    assert_non_null(sent);
    assert_non_null(out);
    memcpy(sent, name, len);
    assert_int_equal(fg_body_php_name(out, sent, len), strlen(expected));
    assert_string_equal(out, expected);
    /* In place as well. */
    assert_int_equal(fg_body_php_name(sent, sent, len), strlen(expected));
    assert_string_equal(sent, expected);
    free(sent);
    free(out);
}

static void names_are_php_s(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_named(names[i].name, strlen(names[i].name), names[i].expected);
    }
}

static void name_ends_at_nul(void **state)
{
    (void)state;
    assert_named("a\0b", 3, "a");
    assert_named("a[b\0]", 5, "a_b");
    assert_named("\0a", 2, "");
}

static void nesting_is_limited(void **state)
{
    char *keys = repeated("[x]", 65), name[256];

    (void)state;
    snprintf(name, sizeof(name), "a%s", keys);
    assert_named(name, 1 + 65 * 3, "");
    assert_named(name, 1 + 64 * 3 + 1, "");
    name[1 + 64 * 3] = '\0';
    assert_named(name, 1 + 64 * 3, name);
    free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_php_s),
        cmocka_unit_test(name_ends_at_nul),
        cmocka_unit_test(nesting_is_limited),
    };

    return cmocka_run_group_tests(tests, body_set_up, body_tear_down);
}
