/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "log.h"

typedef struct heard {
    int lines;
    fg_log_level_t level;
    apr_status_t rv;
    char text[2 * FG_LOG_LINE_MAX];
} heard_t;

static void hear(void *baton, fg_log_level_t level, apr_status_t rv, const char *text)
{
    heard_t *heard = baton;

    heard->lines++;
    heard->level = level;
    heard->rv = rv;
    assert_true(strlen(text) < sizeof(heard->text));
    strcpy(heard->text, text);
}

static void line_reaches_the_caller(void **state)
{
    heard_t heard = {0};
    fg_log_t log = {hear, &heard};

    (void)state;
    fg_log(&log, FG_LOG_WARN, APR_EINVAL, "FG%04d: %s", 42, "text");
    assert_int_equal(heard.lines, 1);
    assert_int_equal(heard.level, FG_LOG_WARN);
    assert_int_equal(heard.rv, APR_EINVAL);
    assert_string_equal(heard.text, "FG0042: text");
}

static void long_line_is_cut(void **state)
{
    heard_t heard = {0};
    fg_log_t log = {hear, &heard};
    char fits[FG_LOG_LINE_MAX + 1];
    char over[FG_LOG_LINE_MAX + 2];

    (void)state;
    memset(fits, 'x', FG_LOG_LINE_MAX);
    fits[FG_LOG_LINE_MAX] = '\0';
    memset(over, 'x', FG_LOG_LINE_MAX + 1);
    over[FG_LOG_LINE_MAX + 1] = '\0';
    fg_log(&log, FG_LOG_INFO, APR_SUCCESS, "%s", fits);
    assert_string_equal(heard.text, fits);
    fg_log(&log, FG_LOG_INFO, APR_SUCCESS, "%s", over);
    assert_string_equal(heard.text, fits);
    assert_int_equal(heard.lines, 2);
}

static void nobody_listens(void **state)
{
    fg_log_t deaf = {NULL, NULL};

    (void)state;
    fg_log(NULL, FG_LOG_ERROR, APR_SUCCESS, "FG1900: %s", "lost");
    fg_log(&deaf, FG_LOG_ERROR, APR_SUCCESS, "FG1900: %s", "lost");
}

static void values_are_reduced(void **state)
{
    static const struct {
        const char *value, *want;
    } cases[] = {
        {NULL, "-"},
        {"", "-"},
        {"-", "-"},
        {"a-Z_0.9:/x", "a-Z_0.9:/x"},
        {"2001:db8::1", "2001:db8::1"},
        {"one two", "one_two"},
        {"x\r\nFG1000: accepted", "x__FG1000:_accepted"},
        {"\"quote'`$(id)\\", "_quote____id__"},
        {"%s%n", "_s_n"},
        {"\x1b[31m\x7f\x80\xff", "__31m___"},
        {"caf\xc3\xa9", "caf__"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[FG_LOG_VALUE_MAX + 1];

        assert_ptr_equal(fg_log_value(out, cases[i].value), out);
        assert_string_equal(out, cases[i].want);
    }
}

static void every_byte_is_safe_or_replaced(void **state)
{
    int c;

    (void)state;
    for (c = 1; c < 256; c++) {
        char in[2] = {(char)c, '\0'};
        char out[FG_LOG_VALUE_MAX + 1];

        fg_log_value(out, in);
        assert_int_equal(strlen(out), 1);
        assert_non_null(
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-", out[0]));
        assert_true(out[0] == (char)c || out[0] == '_');
    }
}

static void long_value_ends_in_dots(void **state)
{
    char in[200];
    char out[FG_LOG_VALUE_MAX + 1 + 8];
    size_t len;

    (void)state;
    for (len = 60; len < sizeof(in); len++) {
        memset(in, 'a', len);
        in[len] = '\0';
        memset(out, '#', sizeof(out));
        fg_log_value(out, in);
        if (len <= FG_LOG_VALUE_MAX) {
            assert_string_equal(out, in);
        }
        else {
            assert_int_equal(strlen(out), FG_LOG_VALUE_MAX);
            assert_memory_equal(out, in, FG_LOG_VALUE_MAX - 3);
            assert_string_equal(out + FG_LOG_VALUE_MAX - 3, "...");
        }
        assert_memory_equal(out + FG_LOG_VALUE_MAX + 1, "########", 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_reaches_the_caller),
        cmocka_unit_test(long_line_is_cut),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(values_are_reduced),
        cmocka_unit_test(every_byte_is_safe_or_replaced),
        cmocka_unit_test(long_value_ends_in_dots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
