/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that lies in shared memory, under ThreadSanitizer: threads that call everything there is at
 * once. It sees no other processes' steps, but these take the same ones. What adds up is added up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>

#include "breaker.h"
#include "closures.h"
#include "counters.h"
#include "dnsbl.h"
#include "dnsbl_internal.h"
#include "notices.h"
#include "secrets.h"
#include "slots.h"
#include "spent.h"
#include "stats.h"
#include "throttle.h"

#define SEC APR_USEC_PER_SEC
#define NOW (1000 * SEC)

enum { THREADS = 4, ROUNDS = 4000, KEYS = 40, SLOTS = 5, TOKENS = 500 };

static const unsigned char secret[16] = "a secret of ours";
static apr_pool_t *pool;
static void *memory;
static atomic_llong clock_now;

static apr_uint64_t draw(apr_uint64_t *state, apr_uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (*state >> 11) % below;
}

/* All threads begin at once. Each has a pool, as each request has. */
typedef struct worker {
    apr_uint64_t random;
    unsigned int number;
    apr_pool_t *pool;
    void (*work)(struct worker *worker);
    pthread_barrier_t *start;
} worker_t;

static void *run_one(void *data)
{
    worker_t *worker = data;

    pthread_barrier_wait(worker->start);
    worker->work(worker);
    return NULL;
}

static void run(void (*work)(worker_t *worker))
{
    pthread_t thread[THREADS];
    worker_t worker[THREADS];
    pthread_barrier_t start;
    unsigned int i;

    pthread_barrier_init(&start, NULL, THREADS);
    for (i = 0; i < THREADS; i++) {
        worker[i].random = (i + 1) * APR_UINT64_C(0x9e3779b97f4a7c15);
        worker[i].number = i;
        worker[i].work = work;
        worker[i].start = &start;
        assert_int_equal(apr_pool_create(&worker[i].pool, NULL), APR_SUCCESS);
        assert_int_equal(pthread_create(&thread[i], NULL, run_one, &worker[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        apr_pool_destroy(worker[i].pool);
    }
    pthread_barrier_destroy(&start);
}

static void *room(apr_size_t size)
{
    free(memory);
    memory = NULL;
    assert_int_equal(posix_memalign(&memory, 64, size), 0);
    memset(memory, 0, size);
    return memory;
}

/* --- counters, tokens ------------------------------------------------------------------------- */

static const fg_rate_t rate = {5, 60 * SEC};
static fg_counters_t *counters;
static atomic_int admitted[KEYS];

static void make_counters(apr_uint32_t entries)
{
    apr_size_t size = fg_counters_size(entries);

    room(size);
    assert_int_equal(fg_counters_format(memory, size, entries, secret), APR_SUCCESS);
    assert_int_equal(fg_counters_attach(&counters, memory, size, pool), APR_SUCCESS);
}

static fg_counter_key_t key_of(unsigned int k)
{
    return fg_counters_key(counters, 7, 0, &k, sizeof(k));
}

static void use_counters(worker_t *w)
{
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        unsigned int k = (unsigned int)draw(&w->random, KEYS);
        fg_counters_stats_t stats;
        fg_charge_t charge;

        if (fg_counters_consume(counters, key_of(k), &rate, 1, NOW, &charge).admitted) {
            if (draw(&w->random, 4) == 0) {
                fg_counters_refund(counters, &charge);
            }
            else {
                atomic_fetch_add(&admitted[k], 1);
            }
        }
        fg_counters_peek(counters, key_of(k), &rate, NOW);
        /* Others come and go, and are forgotten. */
        k = KEYS + (unsigned int)draw(&w->random, 3000);
        fg_counters_consume(counters, key_of(k), &rate, 1, NOW, NULL);
        fg_counters_forget(counters, key_of(k));
        if (i % 500 == 0) {
            fg_counters_stats(counters, NOW, &stats);
        }
    }
}

static void a_limit_admits_what_it_says(void **state)
{
    unsigned int k;

    (void)state;
    make_counters(16384);
    memset(admitted, 0, sizeof(admitted));
    run(use_counters);
    for (k = 0; k < KEYS; k++) {
        assert_int_equal(atomic_load(&admitted[k]), rate.count);
    }
    assert_null(fg_counters_validate(counters, pool));
}

static void crowd_counters(worker_t *w)
{
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        unsigned int k = (unsigned int)draw(&w->random, 20000);
        apr_time_t now = NOW + (apr_time_t)draw(&w->random, 200) * SEC;

        fg_counters_consume(counters, key_of(k), &rate, 1, now, NULL);
    }
}

static void a_crowded_table_stays_whole(void **state)
{
    (void)state;
    make_counters(1024);
    run(crowd_counters);
    assert_null(fg_counters_validate(counters, pool));
}

static atomic_int claimed[TOKENS];

static void claim_tokens(worker_t *w)
{
    unsigned int i, released = 0;

    for (i = 0; i < TOKENS; i++) {
        fg_spent_claim_t claim;
        char token[20];

        snprintf(token, sizeof(token), "token %u", i);
        while (fg_spent_claim(counters, "service", token, 120 * SEC, NOW, &claim)) {
            if (draw(&w->random, 3) > 0 || ++released > 1000) {
                atomic_fetch_add(&claimed[i], 1);
                break;
            }
            fg_spent_release(counters, &claim); /* nobody could judge it: again */
        }
    }
}

static void a_token_is_good_once(void **state)
{
    unsigned int i;

    (void)state;
    make_counters(16384);
    memset(claimed, 0, sizeof(claimed));
    run(claim_tokens);
    for (i = 0; i < TOKENS; i++) {
        assert_int_equal(atomic_load(&claimed[i]), 1);
    }
    assert_null(fg_counters_validate(counters, pool));
}

/* --- slots, breaker --------------------------------------------------------------------------- */

static fg_slots_t *slots;
static int held[SLOTS]; /* no atomics: two who hold one slot are a race */
static atomic_int taken;

static void use_slots(worker_t *w)
{
    unsigned int i;

    (void)w;
    for (i = 0; i < ROUNDS; i++) {
        fg_lease_t lease = fg_slots_take(slots, NOW, SEC);

        if (lease.index >= 0) {
            held[lease.index]++;
            atomic_fetch_add(&taken, 1);
            fg_slots_release(slots, &lease);
        }
        fg_slots_taken(slots, NOW);
    }
}

static void a_slot_is_of_one_alone(void **state)
{
    int i, sum = 0;

    (void)state;
    slots = fg_slots_format(room(fg_slots_size(SLOTS)), fg_slots_size(SLOTS), SLOTS);
    assert_non_null(slots);
    run(use_slots);
    for (i = 0; i < SLOTS; i++) {
        sum += held[i];
    }
    assert_int_equal(sum, atomic_load(&taken));
    assert_int_equal(fg_slots_taken(slots, NOW), 0);
}

static fg_breaker_t *breaker;
static atomic_int opened, closed;

static void use_breaker(worker_t *w)
{
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        apr_time_t now = atomic_load(&clock_now);
        fg_breaker_ticket_t ticket;
        fg_breaker_state_t told;

        if (!fg_breaker_enter(breaker, "a", now, SEC, &ticket, &told)) {
            atomic_fetch_add(&clock_now, told.next_try / 20 + 1);
            continue;
        }
        if (draw(&w->random, 50) == 0) {
            fg_breaker_cancel(breaker, &ticket, now);
            continue;
        }
        switch (fg_breaker_leave(breaker, &ticket, now,
                                 i / 200 % 2 ? FG_BREAKER_FAILED : FG_BREAKER_ANSWERED,
                                 FG_CAUSE_TIMEOUT)) {
        case FG_BREAKER_OPENED:
            atomic_fetch_add(&opened, 1);
            break;
        case FG_BREAKER_CLOSED:
            atomic_fetch_add(&closed, 1);
            break;
        case FG_BREAKER_SAME:
            break;
        }
        fg_breaker_peek(breaker, "a", now, &told);
    }
}

static void each_change_is_told_to_one(void **state)
{
    fg_breaker_state_t told;

    (void)state;
    breaker = room(fg_breaker_size());
    assert_int_equal(fg_breaker_format(breaker, fg_breaker_size(), secret), APR_SUCCESS);
    breaker = fg_breaker_attach(memory, fg_breaker_size());
    assert_non_null(breaker);
    atomic_store(&clock_now, NOW);
    run(use_breaker);
    assert_int_equal(fg_breaker_peek(breaker, "a", atomic_load(&clock_now), &told), 1);
    assert_true(atomic_load(&opened) > 0);
    assert_int_equal(atomic_load(&opened), atomic_load(&closed) + told.open);
}

/* --- log -------------------------------------------------------------------------------------- */

static fg_throttle_t *throttle;
static atomic_ulong lines, suppressed;

static void sweep(apr_time_t now)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];
    unsigned int i, n = fg_throttle_sweep(throttle, now, out);

    for (i = 0; i < n; i++) {
        atomic_fetch_add(&suppressed, out[i].suppressed);
    }
}

static void use_throttle(worker_t *w)
{
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        apr_time_t now = atomic_fetch_add(&clock_now, SEC / 1000);
        fg_address_t client = {4, {10, 0, 0, (unsigned char)draw(&w->random, 30)}};
        apr_uint64_t more = 0;

        if (fg_throttle_line(throttle, FG_LIMIT, &client, now, &more)) {
            atomic_fetch_add(&lines, 1);
            atomic_fetch_add(&suppressed, more);
        }
        sweep(now);
    }
}

static void no_line_is_lost(void **state)
{
    fg_throttle_stats_t stats;
    unsigned int i;

    (void)state;
    room(fg_throttle_size());
    assert_int_equal(fg_throttle_format(memory, fg_throttle_size(), secret), APR_SUCCESS);
    assert_int_equal(fg_throttle_attach(&throttle, memory, fg_throttle_size(), pool), APR_SUCCESS);
    atomic_store(&clock_now, NOW);
    run(use_throttle);
    for (i = 1; i < 20; i++) {
        sweep(atomic_load(&clock_now) + i * 100 * SEC);
    }
    fg_throttle_stats(throttle, &stats);
    assert_int_equal(stats.pending, 0);
    assert_int_equal(atomic_load(&lines) + atomic_load(&suppressed), THREADS * ROUNDS);
}

static fg_notices_t *notices;

static void use_notices(worker_t *w)
{
    unsigned int i;

    (void)w;
    for (i = 0; i < ROUNDS; i++) {
        apr_uint64_t more = 0;

        if (fg_notice_line(notices, FG_NOTICE_FAULT, NOW + i * SEC / 1000, &more)) {
            atomic_fetch_add(&lines, 1);
            atomic_fetch_add(&suppressed, more);
        }
    }
}

static void no_notice_is_lost(void **state)
{
    apr_uint64_t more = 0;

    (void)state;
    notices = room(sizeof(*notices));
    atomic_store(&lines, 0);
    atomic_store(&suppressed, 0);
    run(use_notices);
    assert_int_equal(fg_notice_line(notices, FG_NOTICE_FAULT, 10 * NOW, &more), 1);
    assert_int_equal(atomic_load(&lines) + atomic_load(&suppressed) + more, THREADS * ROUNDS);
}

/* --- statistics, closed forms, secrets, blocklists -------------------------------------------- */

static fg_stats_t *stats;

static void use_stats(worker_t *w)
{
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        char label[80];
        int len = snprintf(
            label, sizeof(label), "/form%u.php and more of it",
            (unsigned int)(draw(&w->random, 2) ? draw(&w->random, 8) : draw(&w->random, 2000)));

        fg_stats_verdict(stats, FG_LIMIT, FG_STATS_DONE);
        fg_stats_time(stats, (fg_stats_timer_t)(i % FG_STATS_TIMERS), (apr_interval_time_t)i);
        fg_stats_post(stats, FG_STATS_FORMS, label, (apr_size_t)len, FG_STATS_ACCEPTED, NOW);
        if (i % 400 == 0) {
            fg_stats_snapshot(stats, w->pool);
        }
    }
}

static void all_is_counted(void **state)
{
    const fg_stats_snapshot_t *snapshot;

    (void)state;
    room(fg_stats_size());
    assert_int_equal(fg_stats_format(memory, fg_stats_size(), secret, NOW), APR_SUCCESS);
    assert_int_equal(fg_stats_attach(&stats, memory, fg_stats_size(), pool), APR_SUCCESS);
    run(use_stats);
    snapshot = fg_stats_snapshot(stats, pool);
    assert_int_equal(snapshot->verdict[FG_LIMIT][FG_STATS_DONE], THREADS * ROUNDS);
    assert_int_equal(snapshot->top[FG_STATS_FORMS].posts, THREADS * ROUNDS);
    assert_int_equal(snapshot->top[FG_STATS_FORMS].unnamed, 0);
}

static fg_closures_t *closures;

static void use_closures(worker_t *w)
{
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        apr_time_t now = atomic_fetch_add(&clock_now, SEC / 100);
        apr_uint64_t k = 1 + draw(&w->random, 6);
        fg_counter_key_t full;
        char label[60];

        snprintf(label, sizeof(label), "form=/contact%u.php site=www.example.org", (unsigned int)k);
        if (fg_closures_close(closures, k, label, 17 * k, now, now + SEC)) {
            atomic_fetch_add(&closed, 1);
        }
        if (draw(&w->random, 8) == 0 && fg_closures_open(closures, label, now, &full)) {
            atomic_fetch_add(&opened, 1);
        }
        while (fg_closures_opened(closures, now, w->pool) != NULL) {
            atomic_fetch_add(&opened, 1);
        }
        fg_closures_any(closures, now);
        fg_closures_left(closures, k, now);
        if (i % 100 == 0) {
            fg_closures_list(closures, now, w->pool);
        }
    }
}

static void what_is_closed_is_opened_no_more_than_once(void **state)
{
    (void)state;
    room(fg_closures_size());
    closures = fg_closures_format(memory, fg_closures_size());
    assert_non_null(closures);
    atomic_store(&clock_now, NOW);
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    run(use_closures);
    while (fg_closures_opened(closures, atomic_load(&clock_now) + 10 * SEC, pool) != NULL) {
        atomic_fetch_add(&opened, 1);
    }
    assert_true(atomic_load(&closed) > 10);
    /* One that begins while the one before it is just being opened may end with that one. */
    assert_true(atomic_load(&opened) <= atomic_load(&closed));
    assert_true(atomic_load(&opened) >= atomic_load(&closed) / 100 * 98);
    assert_int_equal(fg_closures_list(closures, NOW, pool)->nelts, 0);
}

static fg_secrets_t *secrets;

static void use_secrets(worker_t *w)
{
    unsigned int i;

    (void)w;
    for (i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&closed, fg_secrets_note(secrets, "a", "s", FG_SECRET_REFUSED));
        atomic_fetch_add(&opened, fg_secrets_note(secrets, "a", "s", FG_SECRET_WORKS));
    }
}

static void a_secret_is_told_of_once(void **state)
{
    (void)state;
    room(fg_secrets_size());
    assert_int_equal(fg_secrets_format(memory, fg_secrets_size(), secret), APR_SUCCESS);
    secrets = fg_secrets_attach(memory, fg_secrets_size());
    assert_non_null(secrets);
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    run(use_secrets);
    assert_true(atomic_load(&closed) > 0);
    assert_int_equal(atomic_load(&opened), atomic_load(&closed));
}

static fg_dnsbl_cache_t *cache;
static atomic_int wrong;

static void use_cache(worker_t *w)
{
    static const fg_dnsbl_zone_t zone = {"bl.test", "bl.test", 1, {{0x7f000002, 0x7f0000fe}}};
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        unsigned char n = (unsigned char)draw(&w->random, 60);
        fg_address_t client = {4, {192, 0, 2, n}};
        apr_uint64_t key = fg_dnsbl_cache_key(cache, &zone, &client);
        fg_dnsbl_answer_t answer = {FG_DNSBL_LISTED, FG_DNSBL_WORKING, 0x7f000100U + n, 100 * SEC};
        fg_dnsbl_ticket_t ticket;

        fg_dnsbl_cache_put(cache, key, NOW, &answer);
        if (fg_dnsbl_cache_get(cache, key, NOW, &answer) && answer.code != 0x7f000100U + n) {
            atomic_fetch_add(&wrong, 1);
        }
        if (fg_dnsbl_cache_enter(cache, &zone, atomic_fetch_add(&clock_now, SEC), SEC, &ticket,
                                 &answer)) {
            answer = i / 100 % 2 ? fg_dnsbl_unknown(FG_DNSBL_TIMEOUT, 0) : fg_dnsbl_not_listed(SEC);
            fg_dnsbl_cache_leave(cache, &ticket, atomic_load(&clock_now), &answer);
        }
        fg_dnsbl_cache_zone_state(cache, &zone);
    }
}

static void an_answer_is_of_its_own_key(void **state)
{
    apr_size_t size = fg_dnsbl_cache_size(64);

    (void)state;
    room(size);
    assert_int_equal(fg_dnsbl_cache_format(memory, size, 64, secret), APR_SUCCESS);
    assert_int_equal(fg_dnsbl_cache_attach(&cache, memory, size, pool), APR_SUCCESS);
    atomic_store(&clock_now, NOW);
    run(use_cache);
    assert_int_equal(atomic_load(&wrong), 0);
}

static int set_up(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    free(memory);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_admits_what_it_says),
        cmocka_unit_test(a_crowded_table_stays_whole),
        cmocka_unit_test(a_token_is_good_once),
        cmocka_unit_test(a_slot_is_of_one_alone),
        cmocka_unit_test(each_change_is_told_to_one),
        cmocka_unit_test(no_line_is_lost),
        cmocka_unit_test(no_notice_is_lost),
        cmocka_unit_test(all_is_counted),
        cmocka_unit_test(what_is_closed_is_opened_no_more_than_once),
        cmocka_unit_test(a_secret_is_told_of_once),
        cmocka_unit_test(an_answer_is_of_its_own_key),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
