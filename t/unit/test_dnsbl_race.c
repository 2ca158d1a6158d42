/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that fight over few entries and over the state of one zone, while children
 * are killed anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What happens between two steps once in a million runs happens here all the time. */
#define RACE_ODDS 512
#include "race.h"
#include "dnsbl_cache.c"
#include "race_end.h"

#define SEC   APR_USEC_PER_SEC
#define NOW   (1000 * SEC)
#define SLACK (2 << UNIT_BITS) /* how exact an expiry is */

enum { KEYS = 64 };

typedef struct shared {
    atomic_int go, stop;
    atomic_uint gets, hits, wrong, changes, entered;
    atomic_llong clock;
} shared_t;

static const unsigned char secret[16] = "a secret of ours";
static apr_pool_t *pool;
static void *memory;
static apr_size_t size;
static fg_dnsbl_cache_t *cache;
static shared_t *shared;
static fg_dnsbl_zone_t zone = {"bl.test", "bl.test", 1, {{0x7f000002, 0x7f0000fe}}};

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    size = fg_dnsbl_cache_size(1024);
    memory = map_shared(size);
    shared = map_shared(sizeof(*shared));
    return !memory || !shared || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(memory, size);
    munmap(shared, sizeof(*shared));
    return 0;
}

static int fresh_cache(void **state)
{
    (void)state;
    memset(shared, 0, sizeof(*shared));
    return fg_dnsbl_cache_format(memory, size, 1024, secret) != APR_SUCCESS ||
           fg_dnsbl_cache_attach(&cache, memory, size, pool) != APR_SUCCESS;
}

static fg_dnsbl_answer_t listed(apr_uint32_t code, apr_interval_time_t ttl)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_LISTED, FG_DNSBL_WORKING, code, ttl};

    return answer;
}

static fg_dnsbl_answer_t unknown(fg_dnsbl_reason_t reason, apr_uint32_t code)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_UNKNOWN, reason, code, FG_DNSBL_BACKOFF};

    return answer;
}

static void put(apr_uint64_t key, apr_time_t now, fg_dnsbl_answer_t answer)
{
    fg_dnsbl_cache_put(cache, key, now, &answer);
}

static void expect(apr_uint64_t key, apr_time_t now, fg_dnsbl_answer_t wanted)
{
    fg_dnsbl_answer_t answer;

    assert_true(fg_dnsbl_cache_get(cache, key, now, &answer));
    assert_int_equal(answer.status, wanted.status);
    assert_int_equal(answer.reason, wanted.reason);
    assert_int_equal(answer.code, wanted.code);
}

static int enter(apr_time_t now, fg_dnsbl_ticket_t *ticket)
{
    fg_dnsbl_answer_t answer;

    return fg_dnsbl_cache_enter(cache, &zone, now, SEC, ticket, &answer);
}

static int leave(const fg_dnsbl_ticket_t *ticket, apr_time_t now, fg_dnsbl_answer_t answer)
{
    return fg_dnsbl_cache_leave(cache, ticket, now, &answer);
}

/* As good as hashes, but all in two sets. */
static apr_uint64_t fight_key(unsigned int k)
{
    apr_uint64_t mixed = (k + 1) * APR_UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 29) * APR_UINT64_C(0xbf58476d1ce4e5b9);
    return (mixed & ~((cache->sets - 1) << 8)) | (3 + k % 2) << 8;
}

/* What is put under a key says which key it is. */
static fg_dnsbl_answer_t fight_answer(unsigned int k, apr_uint64_t *random)
{
    return listed(0x7f000000 + (k << 8) + (apr_uint32_t)draw(random, 4),
                  (apr_interval_time_t)(1 + draw(random, 100)) * SEC);
}

static void *fight_for_entries(void *number)
{
    apr_uint64_t random =
        race_seed + (apr_uint64_t)(uintptr_t)number * 7919 + (apr_uint64_t)getpid();

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        unsigned int k = (unsigned int)draw(&random, KEYS);
        apr_time_t now = NOW + (apr_time_t)draw(&random, 20) * SEC;
        fg_dnsbl_answer_t answer;

        if (draw(&random, 2)) {
            put(fight_key(k), now, fight_answer(k, &random));
            continue;
        }
        atomic_fetch_add(&shared->gets, 1);
        if (fg_dnsbl_cache_get(cache, fight_key(k), now, &answer)) {
            atomic_fetch_add(&shared->hits, 1);
            if (answer.status != FG_DNSBL_LISTED || answer.code >> 8 != (0x7f0000U | k) ||
                (answer.code & 255) > 3) {
                atomic_fetch_add(&shared->wrong, 1);
            }
        }
    }
    return NULL;
}

/* Until the zone's clock says stop: ask, and say what came of it. */
static void *fight_for_the_state(void *number)
{
    apr_uint64_t random =
        race_seed + (apr_uint64_t)(uintptr_t)number * 7919 + (apr_uint64_t)getpid();

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        apr_time_t now = atomic_load(&shared->clock);
        fg_dnsbl_ticket_t ticket;

        if (enter(now, &ticket)) {
            atomic_fetch_add(&shared->entered, 1);
            if (leave(&ticket, now, unknown(FG_DNSBL_TIMEOUT, 0))) {
                atomic_fetch_add(&shared->changes, 1);
            }
        }
    }
    return NULL;
}

#define KILLS race_kills(200)

/* Whoever else there is goes on meanwhile. */
static void find_some(void)
{
    static const struct timespec pause = {0, 2000000};
    unsigned int enough = atomic_load(&shared->hits) + 50;

    while (atomic_load(&shared->hits) < enough) {
        nanosleep(&pause, NULL);
    }
}

static void no_answer_of_another_key_with_kills(void **state)
{
    unsigned int k;

    (void)state;
    run_and_kill(fight_for_entries, KILLS, &shared->stop, find_some);
    print_message("%u gets, %u hits, %d killed\n", atomic_load(&shared->gets),
                  atomic_load(&shared->hits), KILLS);
    assert_int_equal(atomic_load(&shared->wrong), 0);
    for (k = 0; k < KEYS; k++) { /* and all is well after it */
        put(fight_key(k), NOW + 1000 * SEC, listed(0x7f000002 + k, SEC));
        expect(fight_key(k), NOW + 1000 * SEC, listed(0x7f000002 + k, 0));
    }
}

/* Time goes on once somebody has asked: in each back-off there is one who does, and one change. */
static void one_asks_and_one_tells(void **state)
{
    unsigned int round, i;
    pid_t pid[PROCESSES];
    fg_dnsbl_ticket_t ticket;

    (void)state;
    assert_true(enter(NOW, &ticket));
    assert_true(leave(&ticket, NOW, unknown(FG_DNSBL_REFUSED, 0)));
    atomic_store(&shared->clock, NOW + FG_DNSBL_BACKOFF);
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, fight_for_the_state);
    }
    for (round = 1; round <= 200; round++) {
        while (atomic_load(&shared->entered) < round) {
            sched_yield();
        }
        atomic_fetch_add(&shared->clock, FG_DNSBL_BACKOFF - SLACK); /* nobody yet */
        sched_yield();
        assert_int_equal(atomic_load(&shared->entered), round);
        atomic_fetch_add(&shared->clock, FG_DNSBL_BACKOFF);
    }
    atomic_store(&shared->stop, 1);
    join_processes(pid);
    assert_in_range(atomic_load(&shared->entered), 200, 201);
    assert_int_equal(atomic_load(&shared->changes), 1); /* from REFUSED to TIMEOUT */
}

/* A zone that worked fails for all at once: one tells. */
static void one_tells_of_the_first_failure(void **state)
{
    unsigned int round, i;
    pid_t pid[PROCESSES];

    (void)state;
    for (round = 1; round <= 20; round++) {
        assert_int_equal(fresh_cache(state), 0);
        atomic_store(&shared->clock, NOW);
        for (i = 0; i < PROCESSES; i++) {
            pid[i] = start_process(i, fight_for_the_state);
        }
        while (atomic_load(&shared->changes) == 0) {
            sched_yield();
        }
        atomic_store(&shared->stop, 1);
        join_processes(pid);
        assert_int_equal(atomic_load(&shared->changes), 1);
        assert_in_range(atomic_load(&shared->entered), 1, PROCESSES * THREADS);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh_cache)
    const struct CMUnitTest tests[] = {
        TEST(no_answer_of_another_key_with_kills),
        TEST(one_asks_and_one_tells),
        TEST(one_tells_of_the_first_failure),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
