/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>

#include "rate.h"

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

static void rates_are_read_and_written(void **state)
{
    static const struct {
        const char *text;
        apr_uint32_t count;
        apr_int64_t seconds;
        const char *back;
    } cases[] = {
        {"5/10m", 5, 600, "5/10m"},
        {"30/d", 30, 86400, "30/1d"},
        {"30/1d", 30, 86400, "30/1d"},
        {"1/1s", 1, 1, "1/1s"},
        {"1/s", 1, 1, "1/1s"},
        {"60/90s", 60, 90, "60/90s"},
        {"60/120s", 60, 120, "60/2m"},
        {"7/24h", 7, 86400, "7/1d"},
        {"7/7d", 7, 604800, "7/1w"},
        {"9/52w", 9, 52 * 604800, "9/52w"},
        {"007/010m", 7, 600, "7/10m"},
        {"1000000/366d", 1000000, 366 * 86400, "1000000/366d"},
        {"1000000/31622400s", 1000000, 366 * 86400, "1000000/366d"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_rate_t rate = {0, 0};
        const char *error = fg_rate_parse(&rate, cases[i].text, pool);

        assert_null(error);
        assert_int_equal(rate.count, cases[i].count);
        assert_int_equal(rate.period, apr_time_from_sec(cases[i].seconds));
        assert_string_equal(fg_rate_text(&rate, pool), cases[i].back);
    }
}

static void wrong_rates_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "is no rate"},
        {"5", "is no rate"},
        {"/10m", "is no rate"},
        {"-5/10m", "is no rate"},
        {"+5/10m", "is no rate"},
        {" 5/10m", "is no rate"},
        {"5 /10m", "is no rate"},
        {"5.5/10m", "is no rate"},
        {"0x5/10m", "is no rate"},
        {"five/10m", "is no rate"},
        {"5:10m", "is no rate"},
        {"0/10m", "count must be 1 to 1000000"},
        {"1000001/10m", "count must be 1 to 1000000"},
        {"4294967297/10m", "count must be 1 to 1000000"},
        {"18446744073709551617/10m", "count must be 1 to 1000000"},
        {"99999999999999999999999999999999/10m", "count must be 1 to 1000000"},
        {"5/", "one of s m h d w"},
        {"5/10", "one of s m h d w"},
        {"5/10y", "one of s m h d w"},
        {"5/10M", "one of s m h d w"},
        {"5/10min", "one of s m h d w"},
        {"5/10m ", "one of s m h d w"},
        {"5/1h30m", "one of s m h d w"},
        {"5/-10m", "one of s m h d w"},
        {"5/ 10m", "one of s m h d w"},
        {"5/1.5h", "one of s m h d w"},
        {"5/10m/1h", "one of s m h d w"},
        {"5/0s", "period must be 1s to 366d"},
        {"5/0d", "period must be 1s to 366d"},
        {"5/367d", "period must be 1s to 366d"},
        {"5/31622401s", "period must be 1s to 366d"},
        {"5/53w", "period must be 1s to 366d"},
        {"5/18446744073709551616s", "period must be 1s to 366d"},
        {"5/99999999999999999999999999d", "period must be 1s to 366d"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_rate_t rate = {77, 88};
        const char *error = fg_rate_parse(&rate, cases[i].text, pool);

        assert_non_null(error);
        assert_non_null(strstr(error, cases[i].says));
        assert_non_null(strstr(error, cases[i].text));
        assert_int_equal(rate.count, 77);
        assert_int_equal(rate.period, 88);
    }
}

static void error_repeats_little(void **state)
{
    char text[5000];
    fg_rate_t rate;

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_true(strlen(fg_rate_parse(&rate, text, pool)) < 200);
}

static void periods_are_written(void **state)
{
    static const struct {
        apr_interval_time_t period;
        const char *want;
    } cases[] = {
        {0, "0s"},
        {-1, "0s"},
        {-APR_USEC_PER_SEC, "0s"},
        {1, "1ms"},
        {APR_USEC_PER_SEC, "1s"},
        {APR_USEC_PER_SEC + 1, "1001ms"},
        {250000, "250ms"},
        {apr_time_from_sec(61), "61s"},
        {apr_time_from_sec(600), "10m"},
        {apr_time_from_sec(5400), "90m"},
        {apr_time_from_sec(604800), "1w"},
        {apr_time_from_sec(8 * 86400), "8d"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(fg_period_text(cases[i].period, pool), cases[i].want);
    }
}

static void spans_are_read(void **state)
{
    static const struct {
        const char *text;
        apr_interval_time_t want;
    } good[] = {
        {"1ms", 1000},
        {"250ms", 250000},
        {"3", 3 * APR_USEC_PER_SEC},
        {"3s", 3 * APR_USEC_PER_SEC},
        {"5m", 300 * APR_USEC_PER_SEC},
        {"2h", 7200 * APR_USEC_PER_SEC},
        {"366d", FG_RATE_MAX_PERIOD},
        {"31622400000ms", FG_RATE_MAX_PERIOD},
    };
    static const char *const bad[] = {
        "",
        "s",
        "ms",
        "-1s",
        "+1s",
        " 1s",
        "1 s",
        "1.5s",
        "1S",
        "1sec",
        "1mss",
        "0",
        "0ms",
        "367d",
        "31622401s",
        "1us",
        "1h30",
        "1M",
        "31622400001ms",
        "99999999999999999999999d",
        "18446744073709551617",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        apr_interval_time_t period = -7;

        assert_null(fg_period_parse(&period, good[i].text));
        assert_int_equal(period, good[i].want);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        apr_interval_time_t period = -7;

        assert_non_null(fg_period_parse(&period, bad[i]));
        assert_int_equal(period, -7);
    }
}

static void periods_are_read(void **state)
{
    static const struct {
        const char *text;
        apr_interval_time_t want; /* 0: refused */
    } cases[] = {
        {"3", apr_time_from_sec(3)},
        {"3s", apr_time_from_sec(3)},
        {"1ms", 1000},
        {"250ms", 250000},
        {"2m", apr_time_from_sec(120)},
        {"366d", FG_RATE_MAX_PERIOD},
        {"31622400000ms", FG_RATE_MAX_PERIOD},
        {"0", 0},
        {"0ms", 0},
        {"367d", 0},
        {"31622400001ms", 0},
        {"99999999999999999999s", 0},
        {"", 0},
        {"s", 0},
        {"-1", 0},
        {" 1", 0},
        {"1 s", 0},
        {"1sm", 0},
        {"1mss", 0},
        {"1.5s", 0},
        {"0x1", 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_interval_time_t period = 42;
        const char *error = fg_period_parse(&period, cases[i].text);

        assert_int_equal(error == NULL, cases[i].want != 0);
        assert_int_equal(period, cases[i].want != 0 ? cases[i].want : 42);
    }
}

static const apr_interval_time_t periods[] = {
    1,
    2,
    5,
    6,
    7,
    999999,
    1000000,
    1000001,
    7000000,
    600000000,
    APR_INT64_C(86400000000),
    FG_RATE_MAX_PERIOD,
};

static void six_slices_cover_the_period(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
        fg_rate_t rate = {1, periods[i]};

        assert_true(FG_RATE_SLICES * fg_rate_slice(&rate) >= periods[i]);
        assert_true(FG_RATE_SLICES * (fg_rate_slice(&rate) - 1) < periods[i]);
    }
}

/* From the start of the first sub-windows, and after four years of uptime. */
static void sub_windows_are_a_sixth_exactly(void **state)
{
    static const apr_time_t starts[] = {0, APR_INT64_C(126230400123457)};
    size_t i, s;
    int k;

    (void)state;
    for (i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
        fg_rate_t rate = {1, periods[i]};

        for (s = 0; s < 2; s++) {
            apr_uint64_t first = fg_rate_index(&rate, starts[s]) + 1;

            for (k = 0; k < 50; k++) {
                apr_time_t begin = fg_rate_begin(&rate, first + k);
                apr_time_t quiet = begin + (7 * rate.period + 5) / 6;

                if (rate.period >= FG_RATE_SLICES) {
                    assert_int_equal(fg_rate_index(&rate, begin), first + k);
                }
                assert_true(fg_rate_index(&rate, begin - 1) < first + k);
                /* Never more than six apart within a period, seven apart after T + T/6. */
                assert_true(fg_rate_index(&rate, begin - 1 + rate.period) <=
                            fg_rate_index(&rate, begin - 1) + FG_RATE_SLICES);
                assert_true(fg_rate_index(&rate, begin + rate.period) <=
                            fg_rate_index(&rate, begin) + FG_RATE_SLICES);
                assert_true(fg_rate_index(&rate, quiet) >=
                            fg_rate_index(&rate, begin) + FG_RATE_LIVE);
            }
        }
    }
}

static void impossible_rates_do_not_crash(void **state)
{
    static const fg_rate_t none = {0, 0}, negative = {1, -5};

    (void)state;
    assert_int_equal(fg_rate_slice(&none), 1);
    assert_int_equal(fg_rate_slice(&negative), 1);
    assert_int_equal(fg_rate_index(&none, 2), 12);
    assert_int_equal(fg_rate_begin(&negative, 12), 2);
    (void)fg_rate_index(&negative, -1);
    (void)fg_rate_index(&none, INT64_MAX);
    (void)fg_rate_begin(&none, UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read_and_written),
        cmocka_unit_test(wrong_rates_are_refused_with_a_reason),
        cmocka_unit_test(error_repeats_little),
        cmocka_unit_test(periods_are_written),
        cmocka_unit_test(periods_are_read),
        cmocka_unit_test(spans_are_read),
        cmocka_unit_test(six_slices_cover_the_period),
        cmocka_unit_test(sub_windows_are_a_sixth_exactly),
        cmocka_unit_test(impossible_rates_do_not_crash),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
