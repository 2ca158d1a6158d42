/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two callers, one of whom is held up before each atomic step in turn while the other does all of
 * its work: every way one can cut in on another once, without luck.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <cmocka.h>

#include <apr_general.h>

static void step(void);

#pragma push_macro("atomic_load")
#pragma push_macro("atomic_compare_exchange_strong")
#undef atomic_load
#undef atomic_compare_exchange_strong
#define atomic_load(word) (step(), atomic_load_explicit(word, memory_order_seq_cst))
#define atomic_compare_exchange_strong(word, old, new)                                             \
    (step(), atomic_compare_exchange_strong_explicit(word, old, new, memory_order_seq_cst,         \
                                                     memory_order_seq_cst))
#include "counters.c"
#pragma pop_macro("atomic_load")
#pragma pop_macro("atomic_compare_exchange_strong")

#define ENTRIES 1024
#define SEC     APR_USEC_PER_SEC
#define NOW     (1000 * SEC)
#define STEPS   400 /* more than any operation has */

static const unsigned char secret[16] = "fifteen letters";
static const fg_rate_t five = {5, 60 * SEC}; /* sub-windows of 10 s */

static apr_pool_t *pool;
static void *memory;
static apr_size_t size;
static fg_counters_t *counters;
static int steps_left; /* until the other cuts in; negative: never */
static void (*other)(void);
static apr_uint32_t admitted_by_other;

static void step(void)
{
    if (steps_left >= 0 && steps_left-- == 0) {
        other();
    }
}

static int set_up(void **state)
{
    (void)state;
    size = fg_counters_size(ENTRIES);
    memory = malloc(size);
    return !memory || apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    free(memory);
    return 0;
}

static fg_counter_key_t key_of(unsigned int n)
{
    return (apr_uint64_t)(n + 1) << 50 | 5 << 8;
}

static apr_uint32_t consume(unsigned int n, apr_uint32_t weight, apr_time_t now,
                            fg_charge_t *charge)
{
    return fg_counters_consume(counters, key_of(n), &five, weight, now, charge).admitted ? weight
                                                                                         : 0;
}

static apr_uint32_t used(unsigned int n, apr_time_t now)
{
    fg_count_t count = fg_counters_peek(counters, key_of(n), &five, now);

    return count.used - (count.admitted ? 1 : 0);
}

static void start(void (*cut_in)(void))
{
    steps_left = -1;
    assert_int_equal(fg_counters_format(memory, size, ENTRIES, secret), APR_SUCCESS);
    assert_int_equal(fg_counters_attach(&counters, memory, size, pool), APR_SUCCESS);
    other = cut_in;
    admitted_by_other = 0;
}

/* The set is full, all of it long expired; key 0 is the longest quiet. */
static void fill_set(void)
{
    unsigned int n;

    for (n = 0; n < FG_WAYS; n++) {
        assert_int_equal(consume(n, 5, NOW - 500 * SEC + (apr_time_t)n * SEC, NULL), 5);
    }
}

static void check_whole(void)
{
    steps_left = -1;
    assert_null(fg_counters_validate(counters, pool));
    assert_int_equal(counters->header->live_evictions, 0);
}

static void key_0_comes_back(void)
{
    admitted_by_other = consume(0, 5, NOW, NULL);
}

static void key_100_is_new(void)
{
    admitted_by_other = consume(100, 5, NOW, NULL);
}

/* Whatever the evictor has seen of it, a key that comes back keeps what it is charged. */
static void evictor_is_held_up(void **state)
{
    int at;

    (void)state;
    for (at = 0; at < STEPS; at++) {
        start(key_0_comes_back);
        fill_set();
        steps_left = at;
        assert_int_equal(consume(100, 5, NOW, NULL), 5);
        if (steps_left >= 0) {
            break;
        }
        assert_int_equal(admitted_by_other, 5);
        assert_int_equal(used(0, NOW), 5);
        assert_int_equal(used(100, NOW), 5);
        check_whole();
    }
    assert_in_range(at, 20, STEPS - 1);
}

static void key_that_comes_back_is_held_up(void **state)
{
    int at;

    (void)state;
    for (at = 0; at < STEPS; at++) {
        start(key_100_is_new);
        fill_set();
        steps_left = at;
        assert_int_equal(consume(0, 5, NOW, NULL), 5);
        if (steps_left >= 0) {
            break;
        }
        assert_int_equal(admitted_by_other, 5);
        assert_int_equal(used(0, NOW), 5);
        assert_int_equal(used(100, NOW), 5);
        check_whole();
    }
    assert_in_range(at, 20, STEPS - 1);
}

/* Both want the last of the rate, in a set where both have to evict. */
static void rivals_for(unsigned int n, apr_uint32_t weight)
{
    int at;

    for (at = 0; at < STEPS; at++) {
        apr_uint32_t mine;

        start(n == 0 ? key_0_comes_back : key_100_is_new);
        fill_set();
        steps_left = at;
        mine = consume(n, weight, NOW, NULL);
        if (steps_left >= 0) {
            break;
        }
        assert_true(mine == 0 || admitted_by_other == 0);
        assert_int_equal(mine + admitted_by_other, mine ? weight : 5);
        assert_int_equal(used(n, NOW), mine + admitted_by_other);
        check_whole();
    }
    assert_in_range(at, 20, STEPS - 1);
}

static void only_one_rival_is_admitted(void **state)
{
    (void)state;
    rivals_for(0, 5);
    rivals_for(0, 1);
    rivals_for(100, 5);
    rivals_for(100, 1);
}

/* Two sub-windows pass, and what is at the far end of the window is overwritten. */
static void time_goes_on(void)
{
    fg_charge_t charge;

    admitted_by_other = consume(0, 1, NOW + 60 * SEC, NULL);
    if (consume(0, 1, NOW + 70 * SEC, &charge)) {
        fg_counters_refund(counters, &charge);
    }
}

static void window_holds_though_time_goes_on(void **state)
{
    int at;

    (void)state;
    for (at = 0; at < STEPS; at++) {
        apr_uint32_t mine;

        start(time_goes_on);
        /* 4 at the start of the window that ends with the other's charge */
        assert_int_equal(consume(0, 4, NOW, NULL), 4);
        steps_left = at;
        mine = consume(0, 1, NOW + 50 * SEC, NULL);
        if (steps_left >= 0) {
            break;
        }
        /* Held up, we are dated to the time seen last: room for all then, or for one before. */
        if (mine && admitted_by_other) {
            assert_int_equal(used(0, NOW + 70 * SEC), 2);
            assert_int_equal(used(0, NOW + 130 * SEC), 1);
        }
        else {
            assert_int_equal(mine + admitted_by_other, 1);
        }
        check_whole();
    }
    assert_in_range(at, 20, STEPS - 1);
}

/* Ours gives way to a newcomer while it is marked: what the newcomer was charged stays. */
static void late_mark_leaves_the_newcomer_alone(void **state)
{
    unsigned int n;
    int at;

    (void)state;
    for (at = 0; at < STEPS; at++) {
        start(key_100_is_new);
        for (n = 0; n < FG_WAYS; n++) {
            assert_int_equal(consume(n, 1, NOW - 20 * SEC + (apr_time_t)n * SEC, NULL), 1);
        }
        steps_left = at;
        assert_int_equal(consume(0, 4, NOW, NULL), 4);
        if (steps_left >= 0) {
            break;
        }
        assert_int_equal(admitted_by_other, 5);
        assert_int_equal(used(100, NOW), 5);
        assert_null(fg_counters_validate(counters, pool));
    }
    assert_in_range(at, 20, STEPS - 1);
}

/* More keys than the set has room for: ours, just charged, goes last. */
static void crowd(void)
{
    unsigned int n;

    for (n = 0; n < FG_WAYS; n++) {
        admitted_by_other = consume(100 + n, 5, NOW + (1 + (apr_time_t)n) * SEC, NULL);
    }
}

/*
 * The set is full of keys that count, and ours is evicted while it is charged: it is charged anew
 * elsewhere, unless the second look has read its key already and the words are all that is left.
 */
static void evicted_key_is_charged_elsewhere(void **state)
{
    unsigned int n;
    int at, lost = 0;

    (void)state;
    for (at = 0; at < STEPS; at++) {
        start(crowd);
        for (n = 0; n < FG_WAYS; n++) {
            /* the last slot is the longest quiet */
            assert_int_equal(consume(n, 1, NOW - (20 + (apr_time_t)n) * SEC, NULL), 1);
        }
        steps_left = at;
        assert_int_equal(consume(FG_WAYS - 1, 4, NOW, NULL), 4);
        if (steps_left >= 0) {
            break;
        }
        assert_int_equal(admitted_by_other, 5);
        lost += used(FG_WAYS - 1, NOW) == 0;
        assert_null(fg_counters_validate(counters, pool));
    }
    assert_in_range(at, 20, STEPS - 1);
    assert_in_range(lost, 1, FG_RATE_LIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evictor_is_held_up),
        cmocka_unit_test(key_that_comes_back_is_held_up),
        cmocka_unit_test(only_one_rival_is_admitted),
        cmocka_unit_test(window_holds_though_time_goes_on),
        cmocka_unit_test(late_mark_leaves_the_newcomer_alone),
        cmocka_unit_test(evicted_key_is_charged_elsewhere),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
