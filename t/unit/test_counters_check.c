/* SPDX-License-Identifier: Apache-2.0 */
/* The table as memory: its size, its figures, damage, and what a killed process leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>

#include "counters_layout.h"

#define ENTRIES 1024
#define SETS    (ENTRIES / FG_WAYS)
#define SEC     APR_USEC_PER_SEC
#define SET     5U
#define NOW     (1000 * SEC)

static const unsigned char secret[16] = "fifteen letters";
static const fg_rate_t five = {5, 60 * SEC};

static apr_pool_t *pool;
static unsigned char *memory;
static apr_size_t size;
static fg_counters_t *counters;

static int set_up(void **state)
{
    (void)state;
    size = fg_counters_size(ENTRIES);
    memory = malloc(size + 2 * FG_LINE);
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

static int fresh_table(void **state)
{
    (void)state;
    return fg_counters_format(memory, size, ENTRIES, secret) != APR_SUCCESS ||
           fg_counters_attach(&counters, memory, size, pool) != APR_SUCCESS;
}

/* The n-th key of the set all these tests use. */
static fg_counter_key_t key_of(unsigned int n)
{
    return (apr_uint64_t)(n + 1) << 50 | SET << 8;
}

static apr_uint32_t used(unsigned int n, apr_time_t now)
{
    fg_count_t count = fg_counters_peek(counters, key_of(n), &five, now);

    return count.used - (count.admitted ? 1 : 0);
}

static int admit(unsigned int n, apr_uint32_t weight, apr_time_t now)
{
    return fg_counters_consume(counters, key_of(n), &five, weight, now, NULL).admitted;
}

static fg_counters_stats_t stats_at(apr_time_t now)
{
    fg_counters_stats_t stats;

    fg_counters_stats(counters, now, &stats);
    return stats;
}

static int slot_of(unsigned int n)
{
    int slot;

    for (slot = 0; slot < FG_WAYS; slot++) {
        if (fg_key_identity(counters->set[SET].key[slot]) == key_of(n)) {
            return slot;
        }
    }
    return -1;
}

static void size_is_less_than_80_bytes_a_key(void **state)
{
    static const apr_uint32_t asked[] = {0, 1, 1024, 1025, 5000, 262144, 262145, 1U << 28};
    static const apr_uint64_t given[] = {1024, 1024, 1024, 2048, 8192, 262144, 524288, 1U << 28};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        assert_true(fg_counters_size(asked[i]) >= 72 * given[i]);
        assert_true(fg_counters_size(asked[i]) < 80 * given[i]);
    }
    assert_int_equal(fg_counters_size(UINT32_MAX), fg_counters_size(1U << 28));
    assert_int_equal(stats_at(NOW).capacity, ENTRIES);
    assert_int_equal(stats_at(NOW).bytes, size);
}

static void format_refuses_wrong_memory(void **state)
{
    (void)state;
    assert_int_equal(fg_counters_format(memory, size - 1, ENTRIES, secret), APR_EINVAL);
    assert_int_equal(fg_counters_format(memory, size, ENTRIES + 1, secret), APR_EINVAL);
    assert_int_equal(fg_counters_format(memory, 0, ENTRIES, secret), APR_EINVAL);
    assert_int_equal(fg_counters_format(memory + 4, size, ENTRIES, secret), APR_EINVAL);
}

/* The same bytes found at any address that is aligned to 8, wherever they were made. */
static void table_may_be_mapped_anywhere(void **state)
{
    unsigned char *moved = malloc(size + 2 * FG_LINE);
    int from, to;

    (void)state;
    assert_non_null(moved);
    for (from = 0; from < FG_LINE; from += 8) {
        for (to = 0; to < FG_LINE; to += 8) {
            assert_int_equal(fg_counters_format(memory + from, size, ENTRIES, secret), APR_SUCCESS);
            assert_int_equal(fg_counters_attach(&counters, memory + from, size, pool), APR_SUCCESS);
            assert_int_equal((uintptr_t)counters->set % FG_LINE, 0);
            assert_true(admit(1, 2, NOW));
            memcpy(moved + to, memory + from, size);
            assert_int_equal(fg_counters_attach(&counters, moved + to, size, pool), APR_SUCCESS);
            assert_int_equal(used(1, NOW), 2);
            assert_null(fg_counters_validate(counters, pool));
        }
    }
    free(moved);
}

static void attach_refuses_what_is_no_table(void **state)
{
    fg_counters_header_t *header = counters->header, good = *header;
    fg_counters_t *none = counters;
    size_t i;

    (void)state;
    assert_int_equal(fg_counters_attach(&none, memory, size - 1, pool), APR_EINVAL);
    assert_null(none);
    assert_int_equal(fg_counters_attach(&none, memory, 0, pool), APR_EINVAL);
    assert_int_equal(fg_counters_attach(&none, memory + 1, size, pool), APR_EINVAL);
    assert_int_equal(fg_counters_attach(&none, memory + FG_LINE, size, pool), APR_EINVAL);
    /* Any bit of magic, version, offset, bytes and sets: no other header passes for this size. */
    for (i = 0; i < 8 * offsetof(fg_counters_header_t, secret); i++) {
        ((unsigned char *)header)[i / 8] ^= (unsigned char)(1U << i % 8);
        assert_int_equal(fg_counters_attach(&none, memory, size, pool), APR_EINVAL);
        memcpy(header, &good, offsetof(fg_counters_header_t, spare));
    }
    /* Consistent in itself, and larger than the memory. */
    header->sets = 2 * SETS;
    header->bytes = fg_counters_size(2 * ENTRIES);
    assert_int_equal(fg_counters_attach(&none, memory, size, pool), APR_EINVAL);
    header->sets = UINT64_MAX / sizeof(fg_counters_set_t) + 1;
    header->bytes = fg_counters_bytes(header->sets);
    assert_int_equal(fg_counters_attach(&none, memory, size, pool), APR_EINVAL);
    memset(memory, 0, size);
    assert_int_equal(fg_counters_attach(&none, memory, size, pool), APR_EINVAL);
    memset(memory, 0xff, size);
    assert_int_equal(fg_counters_attach(&none, memory, size, pool), APR_EINVAL);
}

static void figures_follow_what_happens(void **state)
{
    fg_counters_stats_t stats = stats_at(NOW);
    fg_charge_t charge;

    (void)state;
    assert_int_equal(stats.entries + stats.live + stats.inserts + stats.live_evictions, 0);
    assert_true(admit(1, 1, NOW));
    fg_counters_consume(counters, key_of(2), &five, 1, NOW, &charge);
    stats = stats_at(NOW);
    assert_int_equal(stats.entries, 2);
    assert_int_equal(stats.live, 2);
    assert_int_equal(stats.inserts, 2);
    fg_counters_refund(counters, &charge);
    assert_int_equal(stats_at(NOW).live, 1);
    assert_int_equal(stats_at(NOW + 60 * SEC).live, 1);
    assert_int_equal(stats_at(NOW + 70 * SEC).live, 0);
    assert_int_equal(stats_at(NOW + 70 * SEC).entries, 2);
}

static void longest_quiet_gives_way(void **state)
{
    unsigned int n;

    (void)state;
    for (n = 0; n < FG_WAYS; n++) {
        assert_true(admit(n, 5, NOW + (n == 3 ? 0 : n + 1) * SEC));
    }
    assert_int_equal(stats_at(NOW).live_evictions, 0);
    assert_true(admit(100, 2, NOW + 20 * SEC));
    assert_int_equal(stats_at(NOW).live_evictions, 1);
    assert_int_equal(used(3, NOW + 20 * SEC), 0);
    assert_int_equal(used(100, NOW + 20 * SEC), 2);
    for (n = 0; n < FG_WAYS; n++) {
        assert_int_equal(used(n, NOW + 20 * SEC), n == 3 ? 0 : 5);
    }
    assert_null(fg_counters_validate(counters, pool));
}

static void eviction_is_live_until_all_has_expired(void **state)
{
    static const struct {
        apr_time_t quiet;
        apr_uint64_t live;
    } cases[] = {{1, 1}, {60 * SEC, 1}, {70 * SEC - 1, 1}, {74 * SEC, 0}};
    unsigned int n;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(fresh_table(NULL), 0);
        for (n = 0; n < FG_WAYS; n++) {
            assert_true(admit(n, 1, NOW));
        }
        assert_true(admit(100, 1, NOW + cases[i].quiet));
        assert_int_equal(stats_at(NOW).live_evictions, cases[i].live);
    }
}

static void expired_gives_way_first(void **state)
{
    const fg_rate_t day = {5, 86400 * SEC};
    unsigned int n;

    (void)state;
    /* The quietest is a daily one and still counts; a later one by the minute does not. */
    for (n = 0; n < FG_WAYS; n++) {
        const fg_rate_t *rate = n == 4 ? &five : &day;

        fg_counters_consume(counters, key_of(n), rate, 5, NOW + n * SEC, NULL);
    }
    assert_true(admit(100, 1, NOW + 100 * SEC));
    assert_int_equal(slot_of(4), -1);
    assert_int_equal(stats_at(NOW).live_evictions, 0);
    assert_int_equal(stats_at(NOW).inserts, FG_WAYS + 1);
    for (n = 0; n < FG_WAYS; n++) {
        assert_int_equal(slot_of(n) >= 0, n != 4);
    }
}

static void full_table_goes_on(void **state)
{
    fg_counters_stats_t stats;
    unsigned int i;

    (void)state;
    for (i = 0; i < 20 * ENTRIES; i++) {
        fg_counter_key_t key = fg_counters_key(counters, 1, 0, &i, sizeof(i));

        assert_true(fg_counters_consume(counters, key, &five, 1, NOW + i, NULL).admitted);
        assert_int_equal(fg_counters_peek(counters, key, &five, NOW + i).used, 2);
    }
    stats = stats_at(NOW + i);
    assert_int_equal(stats.entries, ENTRIES);
    assert_int_equal(stats.live, ENTRIES);
    assert_int_equal(stats.inserts, 20 * ENTRIES);
    assert_int_equal(stats.live_evictions, 19 * ENTRIES);
    assert_null(fg_counters_validate(counters, pool));
}

static void newcomer_inherits_nothing(void **state)
{
    fg_charge_t charge;
    unsigned int n;
    int slot;

    (void)state;
    fg_counters_consume(counters, key_of(0), &five, 5, NOW, &charge);
    slot = slot_of(0);
    for (n = 1; n < FG_WAYS; n++) {
        assert_true(admit(n, 1, NOW + SEC));
    }
    assert_true(admit(100, 1, NOW + SEC));
    assert_int_equal(slot_of(100), slot);
    assert_int_equal(used(100, NOW + SEC), 1);
    fg_counters_refund(counters, &charge);
    assert_int_equal(used(100, NOW + SEC), 1);
    assert_true(admit(100, 4, NOW + SEC));
    assert_false(admit(100, 1, NOW + SEC));
}

/* Two processes put a key in at once: what was charged in either place counts. */
static void key_in_two_slots_counts_once(void **state)
{
    fg_counters_set_t *set = &counters->set[SET];

    (void)state;
    assert_true(admit(1, 2, NOW));
    assert_int_equal(slot_of(1), 0);
    memcpy((void *)set->entry[3], (void *)set->entry[0], FG_LINE);
    set->key[3] = set->key[0];
    assert_int_equal(used(1, NOW), 4);
    assert_false(admit(1, 2, NOW));
    assert_true(admit(1, 1, NOW));
    assert_false(admit(1, 1, NOW));
    assert_int_equal(fg_word_count(set->entry[0][fg_rate_index(&five, NOW) % FG_RATE_LIVE]), 3);
    assert_int_equal(fg_word_count(set->entry[3][fg_rate_index(&five, NOW) % FG_RATE_LIVE]), 2);
    assert_null(fg_counters_validate(counters, pool));
}

/* The steps of insert() and mark(), cut off after each. */
static void half_done_is_as_good_as_undone(void **state)
{
    fg_counters_set_t *set = &counters->set[SET];
    unsigned int n, step;

    (void)state;
    for (step = 0; step < 3; step++) {
        assert_int_equal(fresh_table(NULL), 0);
        set = &counters->set[SET];
        set->key[0] = key_of(0) | 2; /* claimed */
        if (step == 1) {
            set->entry[0][FG_META] = fg_meta_make(3, NOW / SEC, 60); /* generation announced */
        }
        if (step == 2) {
            set->entry[0][FG_META] = fg_meta_make(3, 1, 60); /* and long ago */
        }
        assert_null(fg_counters_validate(counters, pool));
        assert_int_equal(used(0, NOW), 0);
        assert_true(admit(0, 5, NOW));
        assert_false(admit(0, 1, NOW));
        assert_int_equal(set->key[0], key_of(0) | 3);
        assert_int_equal(fg_meta_generation(set->entry[0][FG_META]), 3);
    }
    /* Nobody came back for it: it is taken before any that counts. */
    assert_int_equal(fresh_table(NULL), 0);
    for (n = 1; n <= FG_WAYS; n++) {
        assert_true(admit(n, 1, NOW));
    }
    set = &counters->set[SET];
    set->key[6] = key_of(0) | ((set->key[6] + 2) & FG_GENERATION);
    assert_true(admit(100, 1, NOW));
    assert_int_equal(slot_of(100), 6);
    assert_int_equal(stats_at(NOW).live_evictions, 0);
}

static void damage_is_found(void **state)
{
    fg_counters_set_t *set = &counters->set[SET];
    const struct {
        fg_word_t *word;
        apr_uint64_t value;
        const char *says;
    } cases[] = {
        {&set->key[0], key_of(1) + (1 << 8), "does not belong"},
        {&set->key[0], 1, "no identity"},
        {&set->key[0], 0, "empty slot"},
        {&set->entry[1][0], 1, "empty slot"},
        {&set->entry[7][FG_META], 1, "empty slot"},
        {&set->entry[0][2], 5, "nobody's"},
        {&set->entry[0][2], fg_word_stamp(77, 1) | 1000001, "more than any rate"},
        {&set->entry[0][FG_META], fg_meta_make(3, 1000, 31622401), "impossible period"},
        {&set->entry[0][FG_META], fg_meta_make(3, 1000, 0), "impossible period"},
        {(fg_word_t *)&counters->header->magic, 1, "not of this version"},
        {(fg_word_t *)&counters->header->sets, 2 * SETS, "size has changed"},
        {(fg_word_t *)&counters->header->bytes, 5, "size has changed"},
        {(fg_word_t *)counters->header->secret, 5, "secret has changed"},
    };
    size_t i;

    (void)state;
    assert_true(admit(1, 1, NOW));
    assert_int_equal(slot_of(1), 0);
    assert_null(fg_counters_validate(counters, pool));
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_uint64_t good = *cases[i].word;
        const char *error;

        *cases[i].word = cases[i].value;
        error = fg_counters_validate(counters, pool);
        assert_non_null(error);
        assert_non_null(strstr(error, cases[i].says));
        *cases[i].word = good;
    }
    assert_null(fg_counters_validate(counters, pool));
}

/* Words of noise: any answer will do, but there must be one. */
static void garbage_ends(void **state)
{
    static const apr_time_t times[] = {INT64_MIN, -1, 0, NOW, INT64_MAX};
    static const fg_rate_t rates[] = {{5, 60 * SEC}, {1000000, SEC}, {UINT32_MAX, INT64_MAX},
                                      {0, 0},        {1, -1},        {1, 1}};
    apr_uint64_t random = 88172645463325252U;
    unsigned int round, i;

    (void)state;
    for (round = 0; round < 60; round++) {
        unsigned char *byte = (unsigned char *)counters->set;

        for (i = 0; i < SETS * sizeof(fg_counters_set_t); i++) {
            random = random * APR_UINT64_C(6364136223846793005) + 1442695040888963407U;
            byte[i] = round % 3 == 0 ? 0xff : (unsigned char)(random >> 56);
        }
        for (i = 0; i < 8 * 30; i++) {
            /* Half of the time a key that is there. */
            apr_uint64_t key =
                i % 2 ? random + i : (apr_uint64_t)counters->set[i % SETS].key[i % 8];
            const fg_rate_t *rate = &rates[i % 6];
            fg_charge_t charge;
            fg_count_t count;

            count = fg_counters_consume(counters, key, rate, 1 + i % 3, times[i % 5], &charge);
            assert_true(count.admitted == 0 || charge.weight == 1 + i % 3);
            count = fg_counters_peek(counters, key, rate, times[(i + 1) % 5]);
            assert_in_range(count.admitted, 0, 1);
            fg_counters_refund(counters, &charge);
        }
        (void)stats_at(times[round % 5]);
        (void)fg_counters_validate(counters, pool);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh_table)
    const struct CMUnitTest tests[] = {
        TEST(size_is_less_than_80_bytes_a_key),
        TEST(format_refuses_wrong_memory),
        TEST(table_may_be_mapped_anywhere),
        TEST(attach_refuses_what_is_no_table),
        TEST(figures_follow_what_happens),
        TEST(longest_quiet_gives_way),
        TEST(eviction_is_live_until_all_has_expired),
        TEST(expired_gives_way_first),
        TEST(full_table_goes_on),
        TEST(newcomer_inherits_nothing),
        TEST(key_in_two_slots_counts_once),
        TEST(half_done_is_as_good_as_undone),
        TEST(damage_is_found),
        TEST(garbage_ends),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
