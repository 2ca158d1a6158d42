/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that fight over few keys, while the clock runs over sub-window edges and
 * children are killed anywhere. Every admission goes into an append-only array that all share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What happens between two steps once in a million runs happens here all the time. */
#define RACE_ODDS 512
#include "race.h"
#include "counters.c"
#include "race_end.h"

#define SEC     APR_USEC_PER_SEC
#define ENTRIES 16384
#define RECORDS (1U << 20)

enum { KEYS_MAX = 600 };

#define IDLE INT64_MAX

typedef struct record {
    atomic_int ready;    /* whole: its writer was not killed half way */
    atomic_int refunded; /* set before it is given back */
    unsigned int key;
    apr_uint32_t weight;
    apr_uint64_t index; /* of the sub-window charged */
    apr_time_t before, after;
} record_t;

typedef struct shared {
    atomic_llong clock;
    atomic_llong seen[WORKERS]; /* what `now` a worker is at work with */
    atomic_uint records;
    atomic_int go, stop;
    record_t record[RECORDS];
} shared_t;

typedef struct fight {
    fg_rate_t rate;
    unsigned int keys;
    unsigned int group;          /* how many keys are tried at a time, */
    apr_interval_time_t epoch;   /* for so long; then come the next */
    apr_interval_time_t lag_max; /* of a worker's clock; 0: without bound */
    int refunds;
    apr_uint64_t inserts; /* at least so many keys shall have been put in; 0: any */
} fight_t;

static apr_pool_t *pool;
static shared_t *shared;
static void *memory;
static apr_size_t size;
static fg_counters_t *counters;
static fg_counter_key_t key[KEYS_MAX];
static fight_t fight;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    size = fg_counters_size(ENTRIES);
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

static int fresh_table(void **state)
{
    unsigned char secret[16];
    unsigned int i;

    (void)state;
    for (i = 0; i < sizeof(secret); i++) {
        secret[i] = (unsigned char)draw(&race_seed, 256);
    }
    memset(shared, 0, sizeof(*shared));
    memset(&fight, 0, sizeof(fight));
    for (i = 0; i < WORKERS; i++) {
        atomic_store(&shared->seen[i], IDLE);
    }
    return fg_counters_format(memory, size, ENTRIES, secret) != APR_SUCCESS ||
           fg_counters_attach(&counters, memory, size, pool) != APR_SUCCESS;
}

static int whole_table(void **state)
{
    const char *error = fg_counters_validate(counters, pool);

    (void)state;
    print_message("%s\n", error ? error : "table whole");
    return error != NULL;
}

/* Read the clock, and say so before it is used: whoever moves it can wait. */
static apr_time_t read_clock(unsigned int worker)
{
    apr_time_t now;

    do {
        now = atomic_load(&shared->clock);
        atomic_store(&shared->seen[worker], now);
    } while (fight.lag_max && atomic_load(&shared->clock) != now);
    return now;
}

static void write_down(unsigned int k, const fg_charge_t *charge, apr_time_t before, int refund)
{
    unsigned int n = atomic_fetch_add(&shared->records, 1);
    record_t *record;

    if (n >= RECORDS) {
        return; /* the parent will fail */
    }
    record = &shared->record[n];
    record->key = k;
    record->weight = charge->weight;
    record->index = charge->stamp >> 20 & FG_WORD_INDEX;
    record->before = before;
    record->after = atomic_load(&shared->clock);
    atomic_store(&record->ready, 1);
    if (refund) {
        atomic_store(&record->refunded, 1);
        fg_counters_refund(counters, charge);
    }
}

static void try_a_key(unsigned int worker, unsigned int k, apr_uint32_t weight, int refund,
                      apr_time_t now)
{
    fg_charge_t charge;

    if (fg_counters_consume(counters, key[k], &fight.rate, weight, now, &charge).admitted) {
        write_down(k, &charge, now, refund);
    }
    atomic_store(&shared->seen[worker], IDLE);
}

/* In no order, so that keys come back before and after they have lost their slots. */
static unsigned int group_of(apr_time_t epoch)
{
    apr_uint64_t mixed = (apr_uint64_t)epoch * APR_UINT64_C(0x9e3779b97f4a7c15);

    return (unsigned int)((mixed >> 33) % (fight.keys / fight.group));
}

static void *work_until_stopped(void *number)
{
    unsigned int worker = (unsigned int)(uintptr_t)number;
    apr_uint64_t random = race_seed + 1 + worker * 7919;

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        apr_time_t now = read_clock(worker);
        unsigned int first = 0, k;
        int refund = fight.refunds && draw(&random, 8) == 0;

        if (fight.epoch) {
            first = group_of(now / fight.epoch) * fight.group;
        }
        k = (first + (unsigned int)draw(&random, fight.group)) % fight.keys;
        try_a_key(worker, k, 1 + (draw(&random, 16) == 0), refund, now);
        sched_yield(); /* better here than with the clock held up */
    }
    return NULL;
}

/* Every key in turn, more often than it admits: all workers meet at a key nobody has inserted. */
static void *work_through_keys(void *number)
{
    unsigned int worker = (unsigned int)(uintptr_t)number, k;
    apr_uint32_t i;

    stumbling = race_seed + 1 + worker * 7919;
    while (!atomic_load(&shared->go)) {
        sched_yield();
    }
    for (k = 0; k < fight.keys; k++) {
        for (i = 0; i < fight.rate.count; i++) {
            try_a_key(worker, k, 1, 0, read_clock(worker));
        }
    }
    return NULL;
}

static void kill_process(unsigned int process, pid_t pid)
{
    unsigned int i;
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (i = 0; i < THREADS; i++) {
        atomic_store(&shared->seen[process * THREADS + i], IDLE);
    }
}

/* Move the clock by no more than the slowest worker allows. */
static void tick(void)
{
    const apr_interval_time_t slice = fg_rate_slice(&fight.rate);
    apr_time_t now = atomic_load(&shared->clock), next;
    unsigned int i;

    switch (draw(&race_seed, 4)) {
    case 0: /* onto an edge, or just before */
        next = fg_rate_begin(&fight.rate, fg_rate_index(&fight.rate, now + 1) + 1) -
               (apr_time_t)draw(&race_seed, 2);
        break;
    case 1:
        next = now + (apr_interval_time_t)draw(&race_seed, (apr_uint64_t)slice);
        break;
    default:
        next = now + (apr_interval_time_t)draw(&race_seed, (apr_uint64_t)slice / 8);
    }
    for (i = 0; fight.lag_max && i < WORKERS; i++) {
        apr_time_t seen = atomic_load(&shared->seen[i]);

        if (seen != IDLE && next > seen + fight.lag_max) {
            next = seen + fight.lag_max;
        }
    }
    if (next > now) {
        atomic_store(&shared->clock, next);
    }
}

/*
 * Fight for a while, and at least until the clock has gone so many periods on and somebody was
 * killed.
 */
/* On a busy machine the clock may run away from the workers: give them time to do what the test
 * is about. */
static int too_few_inserts(apr_time_t patience)
{
    fg_counters_stats_t stats;

    if (fight.inserts == 0 || apr_time_now() > patience) {
        return 0;
    }
    fg_counters_stats(counters, atomic_load(&shared->clock), &stats);
    return stats.inserts <= fight.inserts;
}

static void run_fight(int seconds, unsigned int periods)
{
    static const struct timespec pause = {0, 20000};
    const apr_time_t end = apr_time_now() + apr_time_from_sec(seconds);
    const apr_time_t goal = atomic_load(&shared->clock) + periods * fight.rate.period;
    unsigned int i, killed = 0, ticks;
    pid_t pid[PROCESSES];

    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, work_until_stopped);
    }
    for (ticks = 0; apr_time_now() < end || atomic_load(&shared->clock) < goal || !killed ||
                    too_few_inserts(end + apr_time_from_sec(60));
         ticks++) {
        tick();
        nanosleep(&pause, NULL); /* lets the others run where there are few processors */
        if (draw(&race_seed, 100) == 0) {
            i = (unsigned int)draw(&race_seed, PROCESSES);
            kill_process(i, pid[i]);
            race_seed += 2; /* the next must not do the same again */
            pid[i] = start_process(i, work_until_stopped);
            killed++;
        }
    }
    atomic_store(&shared->stop, 1);
    join_processes(pid);
}

static int by_index(const void *a, const void *b)
{
    const record_t *x = *(record_t *const *)a, *y = *(record_t *const *)b;

    return x->index < y->index ? -1 : x->index > y->index;
}

static int by_time(const void *a, const void *b)
{
    const record_t *x = *(record_t *const *)a, *y = *(record_t *const *)b;

    return x->before < y->before ? -1 : x->before > y->before;
}

/* No seven sub-windows in a row hold more than N, and no stretch of length T. */
static void check_windows(record_t **list, unsigned int n)
{
    unsigned int i, j;

    qsort(list, n, sizeof(*list), by_index);
    for (i = 0; i < n; i++) {
        apr_uint32_t sum = 0;

        for (j = i; j < n && list[j]->index <= list[i]->index + FG_RATE_SLICES; j++) {
            sum += list[j]->weight;
        }
        assert_in_range(sum, 1, fight.rate.count);
    }
    qsort(list, n, sizeof(*list), by_time);
    for (i = 0; i < n; i++) {
        apr_time_t end = list[i]->before + fight.rate.period;
        apr_uint32_t sum = 0;

        for (j = i; j < n && list[j]->before <= end; j++) {
            sum += list[j]->after <= end ? list[j]->weight : 0;
        }
        assert_in_range(sum, 0, fight.rate.count);
    }
}

/* @return how many admissions stand */
static unsigned int check_records(void)
{
    unsigned int records = atomic_load(&shared->records), k, i, total = 0;
    record_t **list = malloc((records + 1) * sizeof(*list));

    assert_non_null(list);
    assert_true(records <= RECORDS);
    for (k = 0; k < fight.keys; k++) {
        unsigned int n = 0;

        for (i = 0; i < records; i++) {
            record_t *record = &shared->record[i];

            if (atomic_load(&record->ready) && !atomic_load(&record->refunded) &&
                record->key == k) {
                list[n++] = record;
            }
        }
        check_windows(list, n);
        total += n;
    }
    free(list);
    return total;
}

/* Whatever was left half done: T + T/6 later every key has all its rate again. */
static void check_recovery(unsigned int keys)
{
    apr_time_t now = atomic_load(&shared->clock) + 2 * fight.rate.period;
    unsigned int k;
    apr_uint32_t i;

    for (k = 0; k < keys; k++) {
        for (i = 0; i < fight.rate.count; i++) {
            assert_true(fg_counters_consume(counters, key[k], &fight.rate, 1, now, NULL).admitted);
        }
        assert_false(fg_counters_consume(counters, key[k], &fight.rate, 1, now, NULL).admitted);
    }
}

/*
 * Every set full of keys that have expired, so that all who insert have to evict. Their tags are
 * none of those fought for: one in 65536 who inherits counts is no surprise, here it would be.
 */
static void fill_with_expired(void)
{
    const fg_rate_t rate = {1, SEC};
    unsigned int i;

    for (i = 0; i < 4 * ENTRIES; i++) {
        fg_counters_consume(counters, UINT64_MAX / 2 + 1 + (draw(&race_seed, UINT32_MAX) << 8),
                            &rate, 1, 1 + i * (SEC / 1000), NULL);
    }
}

/* Three keys to a set, some of which are there and have expired. */
static void choose_keys(void)
{
    unsigned int i;

    for (i = 0; i < fight.keys; i++) {
        apr_uint64_t n = (i % 3 == 0 ? draw(&race_seed, 12) : (key[i - 1] >> 50) % 12) + 1;

        key[i] = n << 50 | (i / 3) << 8;
    }
}

static void fight_for_exactly_n(void)
{
    unsigned int sum[KEYS_MAX] = {0};
    pid_t pid[PROCESSES];
    unsigned int i;

    atomic_store(&shared->go, 0);
    atomic_store(&shared->records, 0);
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, work_through_keys);
    }
    atomic_store(&shared->go, 1);
    join_processes(pid);
    for (i = 0; i < atomic_load(&shared->records); i++) {
        sum[shared->record[i].key]++;
    }
    for (i = 0; i < fight.keys; i++) {
        assert_int_equal(sum[i], fight.rate.count);
    }
}

static void exactly_n_while_time_stands_still(void **state)
{
    fg_counters_stats_t before, stats;
    unsigned int round;

    (void)state;
    fill_with_expired();
    fight.rate = (fg_rate_t){3, 600 * SEC};
    fight.keys = KEYS_MAX;
    fg_counters_stats(counters, 1000 * SEC, &before);
    assert_true(before.entries > ENTRIES * 9 / 10);
    for (round = 1; round <= 10; round++) {
        atomic_store(&shared->clock, round * 1000 * SEC);
        race_seed += 2;
        choose_keys();
        fight_for_exactly_n();
    }
    fg_counters_stats(counters, atomic_load(&shared->clock), &stats);
    assert_int_equal(stats.live_evictions, before.live_evictions);
    /* A key put in twice may have been charged in one place only. */
    assert_in_range(stats.live, fight.keys, stats.entries);
    check_recovery(fight.keys);
}

static void never_more_than_n_with_kills(void **state)
{
    unsigned int i;

    (void)state;
    fight.rate = (fg_rate_t){5, 6 * SEC};
    fight.keys = fight.group = 6;
    fight.refunds = 1;
    atomic_store(&shared->clock, 1000 * SEC);
    for (i = 0; i < fight.keys; i++) {
        key[i] = fg_counters_key(counters, 2, 0, &i, sizeof(i));
    }
    run_fight(2, 50);
    assert_true(check_records() > 100);
    check_recovery(fight.keys);
}

/* Keys of one set; at any time few are in use and the others have expired. */
static void evicting_the_expired_loses_nothing(void **state)
{
    fg_counters_stats_t stats;
    unsigned int i;

    (void)state;
    fight.rate = (fg_rate_t){5, 60 * SEC};
    fight.keys = 12;
    fight.group = 2;
    fight.epoch = 160 * SEC;
    fight.lag_max = 10 * SEC;
    fight.refunds = 1;
    fight.inserts = 5 * FG_WAYS;
    atomic_store(&shared->clock, 1000 * SEC);
    for (i = 0; i < fight.keys; i++) {
        key[i] = (apr_uint64_t)(i + 1) << 50 | 5 << 8;
    }
    run_fight(2, 100);
    assert_true(check_records() > 100);
    fg_counters_stats(counters, atomic_load(&shared->clock), &stats);
    assert_int_equal(stats.live_evictions, 0);
    assert_int_equal(stats.entries, FG_WAYS);
    assert_true(stats.inserts > fight.inserts);
    check_recovery(FG_WAYS / 2);
}

/* More live keys than a set has room for: nothing is promised but that all goes on. */
static void overcrowded_set_goes_on(void **state)
{
    fg_counters_stats_t stats;
    unsigned int i;

    (void)state;
    fight.rate = (fg_rate_t){5, 6 * SEC};
    fight.keys = fight.group = 24;
    atomic_store(&shared->clock, 1000 * SEC);
    for (i = 0; i < fight.keys; i++) {
        key[i] = (apr_uint64_t)(i + 1) << 50 | 9 << 8;
    }
    run_fight(1, 20);
    fg_counters_stats(counters, atomic_load(&shared->clock), &stats);
    assert_int_equal(stats.entries, FG_WAYS);
    assert_true(stats.live_evictions > 0);
    check_recovery(FG_WAYS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh_table, whole_table)
    const struct CMUnitTest tests[] = {
        TEST(exactly_n_while_time_stands_still),
        TEST(never_more_than_n_with_kills),
        TEST(evicting_the_expired_loses_nothing),
        TEST(overcrowded_set_goes_on),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
