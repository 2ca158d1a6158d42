/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file rate.c
 * @brief Reads and writes rates, and says which sub-window a moment belongs to.
 */
#include "rate.h"

#include <apr_strings.h>

typedef struct unit {
    char letter;
    apr_int64_t seconds;
} unit_t;

/* Longest first: a period is written in the longest unit that divides it. */
static const unit_t units[] = {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

#define UNITS (sizeof(units) / sizeof(units[0]))

/* How much of a wrong value an error text repeats. */
#define SHOWN "'%.40s'"

/*
 * Read decimal digits.
 * @param end set to the first byte that is none
 * @return the number; anything over `max` comes back as max + 1
 */
static apr_int64_t read_digits(const char *text, apr_int64_t max, const char **end)
{
    apr_int64_t n = 0;

    for (; *text >= '0' && *text <= '9'; text++) {
        n = n > max ? n : n * 10 + (*text - '0');
    }
    *end = text;
    return n > max ? max + 1 : n;
}

static const unit_t *find_unit(char letter)
{
    apr_size_t i;

    for (i = 0; i < UNITS; i++) {
        if (units[i].letter == letter) {
            return &units[i];
        }
    }
    return NULL;
}

const char *fg_rate_parse(fg_rate_t *rate, const char *text, apr_pool_t *pool)
{
    const apr_int64_t max = apr_time_sec(FG_RATE_MAX_PERIOD);
    const char *at, *number;
    apr_int64_t count, length;
    const unit_t *unit;

    count = read_digits(text, FG_RATE_MAX_COUNT, &at);
    if (at == text || *at != '/') {
        return apr_psprintf(pool, SHOWN " is no rate: write COUNT/PERIOD, such as 5/10m", text);
    }
    if (count < 1 || count > FG_RATE_MAX_COUNT) {
        return apr_psprintf(pool, SHOWN ": the count must be 1 to %d", text, FG_RATE_MAX_COUNT);
    }
    number = at + 1;
    length = read_digits(number, max, &at);
    if (at == number) {
        length = 1;
    }
    unit = find_unit(*at);
    if (!unit || at[1] != '\0') {
        return apr_psprintf(pool, SHOWN ": the period must be a number and one of s m h d w", text);
    }
    if (length < 1 || length > max / unit->seconds) {
        return apr_psprintf(pool, SHOWN ": the period must be 1s to 366d", text);
    }
    rate->count = (apr_uint32_t)count;
    rate->period = apr_time_from_sec(length * unit->seconds);
    return NULL;
}

const char *fg_period_parse(apr_interval_time_t *period, const char *text)
{
    const apr_int64_t max = FG_RATE_MAX_PERIOD / 1000;
    apr_int64_t each = 1000; /* milliseconds a unit */
    const unit_t *unit;
    const char *at;
    apr_int64_t length = read_digits(text, max, &at);

    if (at == text) {
        return "is no time: a number and one of ms s m h d w, seconds without one";
    }
    if (at[0] == 'm' && at[1] == 's') {
        each = 1;
        at += 2;
    }
    else if (*at != '\0') {
        unit = find_unit(*at++);
        each = unit ? unit->seconds * 1000 : 0;
    }
    if (each == 0 || *at != '\0') {
        return "is no time: a number and one of ms s m h d w, seconds without one";
    }
    if (length < 1 || length > max / each) {
        return "is out of range: 1ms to 366d";
    }
    *period = apr_time_from_msec(length * each);
    return NULL;
}

const char *fg_period_text(apr_interval_time_t period, apr_pool_t *pool)
{
    apr_int64_t seconds = apr_time_sec(period);
    char unit[2] = "";
    apr_size_t i = 0;

    if (period <= 0) {
        return "0s";
    }
    if (apr_time_usec(period) != 0) {
        return apr_pstrcat(pool, apr_off_t_toa(pool, (apr_off_t)((period + 999) / 1000)), "ms",
                           NULL);
    }
    while (seconds % units[i].seconds) {
        i++;
    }
    unit[0] = units[i].letter;
    return apr_pstrcat(pool, apr_off_t_toa(pool, (apr_off_t)(seconds / units[i].seconds)), unit,
                       NULL);
}

const char *fg_rate_text(const fg_rate_t *rate, apr_pool_t *pool)
{
    return apr_pstrcat(pool, apr_off_t_toa(pool, (apr_off_t)rate->count), "/",
                       fg_period_text(rate->period, pool), NULL);
}

/* A period no rate has must not divide by zero. */
static apr_uint64_t period_of(const fg_rate_t *rate)
{
    return rate->period > 0 ? (apr_uint64_t)rate->period : 1;
}

apr_interval_time_t fg_rate_slice(const fg_rate_t *rate)
{
    return (apr_interval_time_t)((period_of(rate) + FG_RATE_SLICES - 1) / FG_RATE_SLICES);
}

apr_uint64_t fg_rate_index(const fg_rate_t *rate, apr_time_t now)
{
    /* Times six before the division: with a rounded slice the windows would drift from T/6. */
    return (apr_uint64_t)now * FG_RATE_SLICES / period_of(rate);
}

apr_time_t fg_rate_begin(const fg_rate_t *rate, apr_uint64_t index)
{
    return (apr_time_t)((index * period_of(rate) + FG_RATE_SLICES - 1) / FG_RATE_SLICES);
}
