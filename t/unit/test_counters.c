/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>

#include "counters.h"

#define ENTRIES 1024
#define SEC     APR_USEC_PER_SEC

static const unsigned char secret[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const fg_rate_t five_in_ten_minutes = {5, 600 * SEC};

static apr_pool_t *pool;
static void *memory, *scratch_memory;
static apr_size_t size;
static fg_counters_t *counters, *scratch;

static int set_up(void **state)
{
    (void)state;
    size = fg_counters_size(ENTRIES);
    memory = malloc(size);
    scratch_memory = malloc(size);
    return !memory || !scratch_memory || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    free(memory);
    free(scratch_memory);
    return 0;
}

static int fresh_table(void **state)
{
    (void)state;
    memset(memory, 0xa5, size); /* as reused memory is */
    return fg_counters_format(memory, size, ENTRIES, secret) != APR_SUCCESS ||
           fg_counters_attach(&counters, memory, size, pool) != APR_SUCCESS;
}

static int whole_table(void **state)
{
    const char *error = fg_counters_validate(counters, pool);

    (void)state;
    if (error) {
        print_error("%s\n", error);
    }
    return error != NULL;
}

/* A scratch copy: what would happen, without it happening. */
static fg_counters_t *copy_of_table(void)
{
    memcpy(scratch_memory, memory, size);
    assert_int_equal(fg_counters_attach(&scratch, scratch_memory, size, pool), APR_SUCCESS);
    return scratch;
}

static fg_counter_key_t key_of(const char *value)
{
    return fg_counters_key(counters, 1, 0, value, strlen(value));
}

static void n_are_admitted(void **state)
{
    fg_counter_key_t key = key_of("a"), other = key_of("b");
    fg_count_t count;
    apr_uint32_t i;

    (void)state;
    for (i = 1; i <= 5; i++) {
        count = fg_counters_consume(counters, key, &five_in_ten_minutes, 1, SEC, NULL);
        assert_int_equal(count.admitted, 1);
        assert_int_equal(count.used, i);
        assert_int_equal(count.retry_after, 0);
    }
    count = fg_counters_consume(counters, key, &five_in_ten_minutes, 1, SEC, NULL);
    assert_int_equal(count.admitted, 0);
    assert_int_equal(count.used, 5);
    assert_int_equal(count.retry_after, 700 * SEC - SEC);
    count = fg_counters_consume(counters, other, &five_in_ten_minutes, 1, SEC, NULL);
    assert_int_equal(count.used, 1);
}

static void weight_counts_as_that_many(void **state)
{
    fg_counter_key_t key = key_of("a");
    fg_counters_stats_t stats;
    fg_count_t count;

    (void)state;
    count = fg_counters_consume(counters, key, &five_in_ten_minutes, 6, SEC, NULL);
    assert_int_equal(count.admitted, 0);
    assert_int_equal(count.retry_after, 0); /* never */
    count = fg_counters_consume(counters, key, &five_in_ten_minutes, UINT32_MAX, SEC, NULL);
    assert_int_equal(count.admitted, 0);
    fg_counters_stats(counters, SEC, &stats);
    assert_int_equal(stats.entries, 0);
    count = fg_counters_consume(counters, key, &five_in_ten_minutes, 3, SEC, NULL);
    assert_int_equal(count.admitted, 1);
    assert_int_equal(count.used, 3);
    assert_false(fg_counters_consume(counters, key, &five_in_ten_minutes, 3, SEC, NULL).admitted);
    assert_true(fg_counters_consume(counters, key, &five_in_ten_minutes, 2, SEC, NULL).admitted);
}

static void peek_changes_nothing(void **state)
{
    fg_counter_key_t key = key_of("a");
    fg_count_t count = fg_counters_peek(counters, key, &five_in_ten_minutes, SEC);
    fg_counters_stats_t stats;
    int i;

    (void)state;
    assert_int_equal(count.admitted, 1);
    assert_int_equal(count.used, 1);
    fg_counters_stats(counters, SEC, &stats);
    assert_int_equal(stats.entries, 0);
    for (i = 0; i < 5; i++) {
        fg_counters_consume(counters, key, &five_in_ten_minutes, 1, SEC, NULL);
    }
    copy_of_table();
    count = fg_counters_peek(counters, key, &five_in_ten_minutes, 2 * SEC);
    assert_memory_equal(memory, scratch_memory, size);
    assert_int_equal(count.admitted, 0);
    assert_int_equal(count.used, 5);
    assert_int_equal(count.retry_after, 698 * SEC);
}

/* In whichever sub-window it was charged; and other keys keep theirs. */
static void a_key_is_forgotten(void **state)
{
    fg_counter_key_t key = key_of("a"), other = key_of("b"), none = key_of("c");
    apr_time_t now = SEC;
    int i;

    (void)state;
    for (i = 0; i < 5; i++, now += 110 * SEC) {
        assert_true(
            fg_counters_consume(counters, key, &five_in_ten_minutes, 1, now, NULL).admitted);
        fg_counters_consume(counters, other, &five_in_ten_minutes, 1, now, NULL);
    }
    assert_false(fg_counters_peek(counters, key, &five_in_ten_minutes, now).admitted);
    fg_counters_forget(counters, key);
    assert_int_equal(fg_counters_peek(counters, key, &five_in_ten_minutes, now).used, 1);
    assert_false(fg_counters_peek(counters, other, &five_in_ten_minutes, now).admitted);
    for (i = 0; i < 5; i++) {
        assert_true(
            fg_counters_consume(counters, key, &five_in_ten_minutes, 1, now, NULL).admitted);
    }
    assert_false(fg_counters_consume(counters, key, &five_in_ten_minutes, 1, now, NULL).admitted);
    copy_of_table();
    fg_counters_forget(counters, none);
    assert_memory_equal(memory, scratch_memory, size);
}

static void refund_gives_back(void **state)
{
    fg_counter_key_t key = key_of("a");
    fg_charge_t first, second, refused, nothing = {0, 0, 0, 0};
    fg_charge_t outside = {UINT32_MAX, 0, 0, 1}, beyond = {0, 7, 0, 1};

    (void)state;
    fg_counters_consume(counters, key, &five_in_ten_minutes, 2, SEC, &first);
    fg_counters_consume(counters, key, &five_in_ten_minutes, 3, 2 * SEC, &second);
    fg_counters_consume(counters, key, &five_in_ten_minutes, 1, 2 * SEC, &refused);
    assert_int_equal(first.weight, 2);
    assert_int_equal(refused.weight, 0);
    copy_of_table();
    fg_counters_refund(counters, &refused);
    fg_counters_refund(counters, &nothing);
    fg_counters_refund(counters, &outside);
    fg_counters_refund(counters, &beyond);
    assert_memory_equal(memory, scratch_memory, size);
    fg_counters_refund(counters, &first);
    assert_int_equal(fg_counters_peek(counters, key, &five_in_ten_minutes, 2 * SEC).used, 4);
    fg_counters_refund(counters, &second);
    assert_int_equal(fg_counters_peek(counters, key, &five_in_ten_minutes, 2 * SEC).used, 1);
}

/* Seven sub-windows on, the word charged is another's. */
static void expired_charge_is_left_alone(void **state)
{
    fg_counter_key_t key = key_of("a");
    fg_charge_t old;

    (void)state;
    fg_counters_consume(counters, key, &five_in_ten_minutes, 5, SEC, &old);
    assert_true(
        fg_counters_consume(counters, key, &five_in_ten_minutes, 5, 701 * SEC, NULL).admitted);
    fg_counters_refund(counters, &old);
    assert_int_equal(fg_counters_peek(counters, key, &five_in_ten_minutes, 701 * SEC).used, 5);
}

static void keys_differ_by_all_they_name(void **state)
{
    static const unsigned char other_secret[16] = {9};
    fg_counter_key_t key = fg_counters_key(counters, 1, 0, "a", 1);
    char longest[600];
    fg_counters_t *other;

    (void)state;
    assert_int_not_equal(key, 0);
    assert_int_equal(key, fg_counters_key(counters, 1, 0, "a", 1));
    assert_int_not_equal(key, fg_counters_key(counters, 2, 0, "a", 1));
    assert_int_not_equal(key, fg_counters_key(counters, 1, 1, "a", 1));
    assert_int_not_equal(key, fg_counters_key(counters, 1, 0, "b", 1));
    assert_int_not_equal(key, fg_counters_key(counters, 1, 0, "a", 2));
    assert_int_not_equal(key, fg_counters_key(counters, 1, 0, NULL, 0));
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(fg_counters_key(counters, 1, 0, longest, 512),
                     fg_counters_key(counters, 1, 0, longest, 600));
    assert_int_not_equal(fg_counters_key(counters, 1, 0, longest, 511),
                         fg_counters_key(counters, 1, 0, longest, 512));
    assert_int_equal(fg_counters_format(scratch_memory, size, ENTRIES, other_secret), APR_SUCCESS);
    assert_int_equal(fg_counters_attach(&other, scratch_memory, size, pool), APR_SUCCESS);
    assert_int_not_equal(key, fg_counters_key(other, 1, 0, "a", 1));
}

/*
 * The property test: a model that keeps every admission beside the table.
 */

#define STEPS 3000

typedef struct admission {
    apr_time_t date;
    apr_uint32_t weight;
    fg_charge_t charge;
} admission_t;

typedef struct model {
    fg_rate_t rate;
    fg_counter_key_t key;
    apr_uint64_t seed, random;
    unsigned int step, admitted, refused;
    apr_time_t clock; /* the latest `now` */
    apr_time_t date;  /* of the latest admission: a lagging caller's is not earlier */
    admission_t admissions[STEPS];
} model_t;

#define HOLDS(m, condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("seed %llu, %u/%llds, step %u: " #condition, (unsigned long long)(m)->seed,   \
                     (m)->rate.count, (long long)apr_time_sec((m)->rate.period), (m)->step);       \
        }                                                                                          \
    } while (0)

static apr_uint64_t draw(model_t *m, apr_uint64_t below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (m->random >> 11) % below;
}

/* What was admitted later than a time. */
static apr_uint64_t sum_after(const model_t *m, apr_time_t when)
{
    apr_uint64_t sum = 0;
    unsigned int i;

    for (i = m->admitted; i > 0 && m->admissions[i - 1].date > when; i--) {
        sum += m->admissions[i - 1].weight;
    }
    return sum;
}

/* T + T/6, and no microsecond more. */
static apr_interval_time_t quiet_for(const model_t *m)
{
    return (7 * m->rate.period + 5) / 6;
}

/* A hostile caller's time. */
static apr_time_t choose_now(model_t *m)
{
    const apr_interval_time_t period = m->rate.period;
    const apr_time_t edge = fg_rate_begin(&m->rate, fg_rate_index(&m->rate, m->clock) + 1);
    const apr_interval_time_t off = (apr_interval_time_t)draw(m, 3) - 1;
    apr_time_t now = m->clock;

    switch (draw(m, 12)) {
    case 0: /* at the edge of the next sub-window */
        now = edge + off;
        break;
    case 1: /* at an edge some sub-windows on */
        now = fg_rate_begin(&m->rate, fg_rate_index(&m->rate, m->clock) + draw(m, 9)) + off;
        break;
    case 2: /* drifting across the edges */
        now = m->clock + period / 6 + off;
        break;
    case 3:
        now = m->clock + period / 5 + off;
        break;
    case 4: /* a period after something admitted */
        if (m->admitted > 0) {
            now = m->admissions[m->admitted - 1 - draw(m, m->admitted < 8 ? m->admitted : 8)].date +
                  period + off;
        }
        break;
    case 5: /* quiet just long enough */
        now = m->date + quiet_for(m) + off;
        break;
    case 6: /* anywhere */
        now = m->clock + (apr_interval_time_t)draw(m, (apr_uint64_t)period / 3);
        break;
    case 7: /* dense */
        now = m->clock + (apr_interval_time_t)draw(m, (apr_uint64_t)period / m->rate.count + 2);
        break;
    case 8: /* lagging */
        return m->clock - (apr_interval_time_t)draw(m, 2 * (apr_uint64_t)period);
    default: /* a burst */
        break;
    }
    if (now > m->clock) {
        m->clock = now;
    }
    return m->clock;
}

static void check_admitted(model_t *m, apr_time_t now, apr_uint32_t weight, fg_count_t count,
                           const fg_charge_t *charge)
{
    admission_t *admission = &m->admissions[m->admitted++];

    m->date = now > m->date ? now : m->date;
    admission->date = m->date;
    admission->weight = weight;
    admission->charge = *charge;
    /* No window of length T, both ends included, holds more than N. */
    HOLDS(m, sum_after(m, m->date - m->rate.period - 1) <= m->rate.count);
    HOLDS(m, count.used >= sum_after(m, m->date - m->rate.period - 1));
    HOLDS(m, count.used <= sum_after(m, m->date - quiet_for(m)));
    HOLDS(m, count.retry_after == 0);
}

/* When a table that kept every date would admit: at most T/6 earlier than ours does. */
static apr_time_t ideal(const model_t *m, apr_uint32_t weight)
{
    apr_uint64_t sum = weight;
    unsigned int i;

    for (i = m->admitted; i > 0; i--) {
        sum += m->admissions[i - 1].weight;
        if (sum > m->rate.count) {
            return m->admissions[i - 1].date + m->rate.period;
        }
    }
    return 0;
}

static void check_refused(model_t *m, apr_time_t now, apr_uint32_t weight, fg_count_t count)
{
    apr_time_t again = now + count.retry_after;

    m->refused++;
    HOLDS(m, count.retry_after > 0);
    HOLDS(m, count.used + weight > m->rate.count);
    HOLDS(m, fg_counters_consume(copy_of_table(), m->key, &m->rate, weight, again, NULL).admitted);
    HOLDS(
        m,
        !fg_counters_consume(copy_of_table(), m->key, &m->rate, weight, again - 1, NULL).admitted);
    HOLDS(m, again <= ideal(m, weight) + m->rate.period / 6 + 1);
}

static void maybe_refund(model_t *m, apr_time_t now)
{
    admission_t *admission;
    apr_uint32_t before;

    if (m->admitted == 0 || draw(m, 8) != 0) {
        return;
    }
    admission = &m->admissions[m->admitted - 1 - draw(m, m->admitted < 4 ? m->admitted : 4)];
    before = fg_counters_peek(counters, m->key, &m->rate, now).used;
    fg_counters_refund(counters, &admission->charge);
    if (m->clock < admission->date + m->rate.period && before < m->rate.count) {
        /* a peek that says yes counts itself */
        HOLDS(m,
              fg_counters_peek(counters, m->key, &m->rate, now).used == before - admission->weight);
    }
    admission->weight = 0;
    admission->charge.weight = 0;
}

static void one_step(model_t *m)
{
    apr_time_t now = choose_now(m), date = now > m->date ? now : m->date;
    apr_uint32_t weight = 1;
    fg_charge_t charge;
    fg_count_t count;
    int fits;

    if (draw(m, 3) == 0 || m->rate.count > 1000) {
        weight = 1 + (apr_uint32_t)draw(m, m->rate.count);
    }
    /* What is older than T + T/6 does not count: a quiet key sends N at once. */
    fits = sum_after(m, date - quiet_for(m)) + weight <= m->rate.count;
    count = fg_counters_consume(counters, m->key, &m->rate, weight, now, &charge);
    HOLDS(m, count.admitted || !fits);
    HOLDS(m, charge.weight == (count.admitted ? weight : 0));
    if (count.admitted) {
        check_admitted(m, now, weight, count, &charge);
    }
    else {
        check_refused(m, now, weight, count);
    }
    maybe_refund(m, now);
}

static void run_model(const fg_rate_t *rate, apr_time_t start, apr_uint64_t seed)
{
    model_t *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    assert_int_equal(fresh_table(NULL), 0);
    m->rate = *rate;
    m->seed = seed;
    m->random = seed * APR_UINT64_C(0x9e3779b97f4a7c15) + 1;
    m->key = fg_counters_key(counters, seed, 0, "model", 5);
    m->clock = start + 3 * rate->period;
    m->date = m->clock - 3 * rate->period;
    for (m->step = 0; m->step < STEPS; m->step++) {
        one_step(m);
    }
    HOLDS(m, m->admitted > 300 && m->refused > 300);
    HOLDS(m, fg_counters_validate(counters, pool) == NULL);
    free(m);
}

static void rates_keep_both_promises(void **state)
{
    static const fg_rate_t rates[] = {
        {1, SEC},        {2, SEC},         {7, 7 * SEC},
        {5, 600 * SEC},  {60, 3600 * SEC}, {30, APR_INT64_C(86400) * SEC},
        {1000, 1000003}, {1000000, SEC},   {1000000, FG_RATE_MAX_PERIOD},
    };
    size_t i;
    apr_uint64_t seed;

    (void)state;
    for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        for (seed = 1; seed <= 3; seed++) {
            run_model(&rates[i], (apr_time_t)seed * 123456789, seed);
        }
    }
}

/* Where the 28 bits a word has for its sub-window start again from 0. */
static void promises_hold_where_the_index_wraps(void **state)
{
    static const fg_rate_t rates[] = {{1, SEC}, {7, 7 * SEC}, {5, 600 * SEC}};
    size_t i;
    apr_uint64_t seed;

    (void)state;
    for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        for (seed = 10; seed <= 12; seed++) {
            apr_uint64_t wrap = (apr_uint64_t)(1 << 28) * (seed - 9) - 300 * (seed - 9);

            run_model(&rates[i], fg_rate_begin(&rates[i], wrap), seed);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh_table, whole_table)
    const struct CMUnitTest tests[] = {
        TEST(n_are_admitted),
        TEST(weight_counts_as_that_many),
        TEST(peek_changes_nothing),
        TEST(a_key_is_forgotten),
        TEST(refund_gives_back),
        TEST(expired_charge_is_left_alone),
        TEST(keys_differ_by_all_they_name),
        TEST(rates_keep_both_promises),
        TEST(promises_hold_where_the_index_wraps),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
