/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that are refused and ask for lines and summaries, while the clock runs and
 * children are killed anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "race.h"
#include "throttle.c"
#include "race_end.h"

#define SEC   APR_USEC_PER_SEC
#define START (1000 * SEC)

enum { CALLS = 15000, LINES_MAX = 1 << 20 };

#define KILLS race_kills(120)

typedef struct shared {
    atomic_llong clock;
    atomic_ulong tried, written, handed_out;
    atomic_uint lines;
    atomic_int stop;
    atomic_llong line_at[LINES_MAX];
} shared_t;

static apr_pool_t *pool;
static shared_t *shared;
static memory_t *memory;
static fg_throttle_t *throttle;
static unsigned int clients; /* how many take part */
static apr_uint64_t tick;    /* microseconds from one refusal to the next */

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    memory = map_shared(fg_throttle_size());
    shared = map_shared(sizeof(*shared));
    return !memory || !shared || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(memory, fg_throttle_size());
    munmap(shared, sizeof(*shared));
    return 0;
}

static int fresh(void **state)
{
    static const unsigned char secret[16] = "fifteen letters";

    (void)state;
    intrude_at = 0;
    memset(shared, 0, sizeof(*shared));
    atomic_store(&shared->clock, START);
    return fg_throttle_format(memory, fg_throttle_size(), secret) != APR_SUCCESS ||
           fg_throttle_attach(&throttle, memory, fg_throttle_size(), pool) != APR_SUCCESS;
}

static void write_line(apr_uint64_t suppressed, apr_time_t now)
{
    unsigned int n = atomic_fetch_add(&shared->lines, 1);

    if (n < LINES_MAX) {
        atomic_store(&shared->line_at[n], now);
    }
    atomic_fetch_add(&shared->handed_out, suppressed);
}

static void sweep(apr_time_t now)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];
    unsigned int n = fg_throttle_sweep(throttle, now, out), i;

    for (i = 0; i < n; i++) {
        write_line(out[i].suppressed, now);
    }
}

static void refuse_one(apr_uint64_t *random)
{
    apr_time_t now = atomic_fetch_add(&shared->clock, (long long)tick);
    apr_uint64_t n = draw(random, clients), suppressed;
    fg_address_t a = {4, {10, (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n}};

    atomic_fetch_add(&shared->tried, 1);
    if (fg_throttle_line(throttle, (fg_reason_t)(FG_LIMIT + n % 3), &a, now, &suppressed)) {
        atomic_fetch_add(&shared->written, 1);
        write_line(suppressed, now);
    }
}

static void *refuse_many(void *worker)
{
    apr_uint64_t random = race_seed + 1 + (uintptr_t)worker * 7919;
    unsigned int i;

    stumbling = random + 1;
    for (i = 0; i < CALLS; i++) {
        refuse_one(&random);
        sweep(atomic_load(&shared->clock));
    }
    return NULL;
}

static void *refuse_until_stopped(void *worker)
{
    apr_uint64_t random = race_seed + 1 + (uintptr_t)worker * 7919;

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        refuse_one(&random);
        if (tick > 0) {
            sweep(atomic_load(&shared->clock));
        }
    }
    return NULL;
}

static apr_uint64_t pending(void)
{
    fg_throttle_stats_t stats;

    fg_throttle_stats(throttle, &stats);
    return stats.pending;
}

static int by_time(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;

    return x < y ? -1 : x > y;
}

/* Fewer than a hundred lines in any second. */
static void check_lines(void)
{
    unsigned int lines = atomic_load(&shared->lines), i;
    long long *at = malloc((lines + 1) * sizeof(*at));

    assert_non_null(at);
    assert_true(lines <= LINES_MAX);
    for (i = 0; i < lines; i++) {
        at[i] = atomic_load(&shared->line_at[i]);
    }
    qsort(at, lines, sizeof(*at), by_time);
    for (i = 99; i < lines; i++) {
        assert_true(at[i] - at[i - 99] >= SEC);
    }
    free(at);
}

static apr_uint64_t accounted_for(void)
{
    return atomic_load(&shared->written) + atomic_load(&shared->handed_out) + pending();
}

/* Calls are accounted for exactly, those made before as far as they were. */
static void run_all(unsigned int among, apr_uint64_t pace)
{
    apr_uint64_t before = accounted_for();
    pid_t pid[PROCESSES];
    unsigned int i;

    clients = among;
    tick = pace;
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, refuse_many);
    }
    join_processes(pid);
    assert_int_equal(accounted_for(), before + WORKERS * CALLS);
    check_lines();
}

static void counts_exactly_for_few_clients(void **state)
{
    (void)state;
    run_all(5, 100);
    assert_true(atomic_load(&shared->written) >= 5);
}

/* Entries are fought for: every set of the table has twice as many clients as room. */
static void counts_exactly_where_clients_are_evicted(void **state)
{
    unsigned int i;

    (void)state;
    run_all(2 * FG_THROTTLE_ENTRIES, 20000);
    for (i = 0; pending() > 0 && i < 20; i++) {
        sweep(atomic_fetch_add(&shared->clock, 5 * SEC));
    }
    assert_int_equal(atomic_load(&shared->written) + atomic_load(&shared->handed_out),
                     WORKERS * CALLS);
}

static void nothing(void)
{
}

/* While nothing is handed out, a killed thread has at most one line in its hands. */
static void loses_at_most_a_line_a_killed_thread(void **state)
{
    apr_uint64_t random = race_seed, sum;
    unsigned int i;

    (void)state;
    clients = 200;
    tick = 0;
    for (i = 0; i < 100 * clients; i++) { /* until there is no line left to be had */
        refuse_one(&random);
    }
    run_and_kill(refuse_until_stopped, KILLS, &shared->stop, nothing);
    sum = accounted_for();
    assert_true(sum <= atomic_load(&shared->tried));
    assert_true(sum + KILLS * THREADS >= atomic_load(&shared->tried));
}

/* Otherwise it takes along what it was about to hand out. Nothing is ever counted twice, and those
 * that live on lose nothing. */
static void killed_processes_hinder_nobody(void **state)
{
    apr_uint64_t sum, tried;

    (void)state;
    clients = 2 * FG_THROTTLE_ENTRIES;
    tick = 1000;
    run_and_kill(refuse_until_stopped, KILLS, &shared->stop, nothing);
    tried = atomic_load(&shared->tried);
    sum = accounted_for();
    assert_true(sum <= tried);
    assert_true(sum >= tried / 2);
    check_lines();

    run_all(clients, 100);
}

/* --- every order of two ----------------------------------------------------------------------- */

static apr_uint64_t calls;

/* A client of set 0; no two numbers are the same. */
static fg_address_t crowded(unsigned int number)
{
    static apr_uint32_t known[2 * WAYS];
    static unsigned int found;
    apr_uint32_t n = found > 0 ? known[found - 1] + 1 : 0;

    for (; found <= number; n++) {
        fg_address_t a = {
            4, {10, (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n}};
        client_t c = client_of(&a);

        if (hash_of(throttle, &c, FG_LIMIT) % SETS == 0) {
            known[found++] = n;
        }
    }
    n = known[number];
    return (fg_address_t){
        4, {10, (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n}};
}

static void refuse_crowded(unsigned int number, apr_time_t now)
{
    fg_address_t a = crowded(number);
    apr_uint64_t suppressed;

    calls++;
    if (fg_throttle_line(throttle, FG_LIMIT, &a, now, &suppressed)) {
        atomic_fetch_add(&shared->written, 1);
        write_line(suppressed, now);
    }
}

static void refuse_the_same(void)
{
    refuse_crowded(0, START + 20 * SEC);
}

/* So that the set has other clients. */
static void refuse_others(void)
{
    unsigned int i;

    for (i = WAYS; i < 2 * WAYS; i++) {
        refuse_crowded(i, START + 20 * SEC);
    }
}

static void sweep_now(void)
{
    sweep(START + 20 * SEC);
}

/* One call, before each of whose steps another has all of its way. */
static void check_order(void (*one)(void), void (*other)(void))
{
    void *image = malloc(fg_throttle_size());
    apr_uint64_t before = accounted_for();
    unsigned int step;

    assert_non_null(image);
    memcpy(image, memory, fg_throttle_size());
    intruder = other;
    for (step = 1; step < 50000; step++) {
        memcpy(memory, image, fg_throttle_size());
        before = accounted_for();
        calls = 0;
        intrude_at = step;
        one();
        if (intrude_at > 0) {
            break; /* there are no more steps */
        }
        assert_int_equal(accounted_for(), before + calls);
    }
    assert_in_range(step, 10, 49999);
    intrude_at = 0;
    memcpy(memory, image, fg_throttle_size());
    free(image);
}

static void every_order_of_two_counts_both(void **state)
{
    unsigned int full, i;

    (void)state;
    for (full = 0; full < 2; full++) {
        for (i = 0; full && i < 100; i++) {
            refuse_crowded(i % WAYS, START);
        }
        check_order(refuse_the_same, refuse_the_same);
        check_order(refuse_the_same, refuse_others);
        check_order(refuse_others, refuse_the_same);
        check_order(refuse_the_same, sweep_now);
        if (full) {
            intrude_at_changes = 1;
            check_order(sweep_now, refuse_the_same);
            check_order(sweep_now, refuse_others);
            intrude_at_changes = 0;
        }
    }
}

/* --- what a race or a killed process leaves behind -------------------------------------------- */

/* Six refusals of one client: five lines, one pending. @return its entry */
static entry_t *pending_of(fg_reason_t reason, unsigned char client, apr_time_t now)
{
    fg_address_t a = {4, {192, 0, 2, client}};
    client_t c = client_of(&a);
    set_t *set = &memory->set[hash_of(throttle, &c, reason) % SETS];
    apr_uint64_t suppressed;
    unsigned int i;

    for (i = 0; i < 6; i++) {
        assert_int_equal(fg_throttle_line(throttle, reason, &a, now, &suppressed), i < 5);
    }
    for (i = 0; i < WAYS; i++) {
        if (atomic_load(&set->entry[i].client[0]) == c.word[0]) {
            return &set->entry[i];
        }
    }
    fail_msg("the client has no entry");
    return NULL;
}

/* A process that lost its entry has written its client there late. */
static void wrong_client_is_not_named(void **state)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];
    entry_t *entry = pending_of(FG_LIMIT, 1, START);

    (void)state;
    atomic_fetch_add(&entry->client[0], 1);
    assert_int_equal(fg_throttle_sweep(throttle, START + 10 * SEC, out), 1);
    assert_string_equal(out[0].client, "");
    assert_int_equal(out[0].suppressed, 1);
    /* its next refusal puts it right */
    pending_of(FG_LIMIT, 1, START + 100 * SEC);
    assert_int_equal(fg_throttle_sweep(throttle, START + 110 * SEC, out), 1);
    assert_string_equal(out[0].client, "192.0.2.1");
}

static void who_lost_the_entry_changes_nothing(void **state)
{
    line_t line = {.memory = memory, .set = &memory->set[0], .identity = 5, .reason = FG_LIMIT};
    apr_uint64_t before = 0;

    (void)state;
    insert(&line);
    assert_true(find(&line));
    assert_true(count_suppressed(&line));
    atomic_store(&line.set->key[line.way], fg_shared_next_key(line.key, 6));
    assert_false(count_suppressed(&line));
    assert_false(change_pending(&line, 0, 0, &before));
    assert_int_equal(pending(), 1);
}

/* The sweep before has had the number of clients already. */
static void summary_is_of_a_client_at_least(void **state)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];

    (void)state;
    atomic_store(&memory->reason[FG_LIMIT].pending, 3);
    assert_int_equal(fg_throttle_sweep(throttle, START, out), 1);
    assert_int_equal(out[0].suppressed, 3);
    assert_int_equal(out[0].clients, 1);
}

/* All reasons flood: each has its turn. */
static void no_reason_waits_for_ever(void **state)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];
    unsigned int seen[FG_REASON_COUNT] = {0}, round, i;

    (void)state;
    for (round = 0; round < 1 + FG_REASON_COUNT / FG_THROTTLE_SUMMARIES; round++) {
        for (i = 0; i < FG_REASON_COUNT; i++) {
            atomic_fetch_add(&memory->reason[i].pending, 1);
        }
        assert_int_equal(fg_throttle_sweep(throttle, START + round * 5 * SEC, out),
                         FG_THROTTLE_SUMMARIES);
        for (i = 0; i < FG_THROTTLE_SUMMARIES; i++) {
            seen[out[i].reason]++;
        }
    }
    for (i = 0; i < FG_REASON_COUNT; i++) {
        assert_true(seen[i] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counts_exactly_for_few_clients, fresh),
        cmocka_unit_test_setup(counts_exactly_where_clients_are_evicted, fresh),
        cmocka_unit_test_setup(loses_at_most_a_line_a_killed_thread, fresh),
        cmocka_unit_test_setup(killed_processes_hinder_nobody, fresh),
        cmocka_unit_test_setup(every_order_of_two_counts_both, fresh),
        cmocka_unit_test_setup(wrong_client_is_not_named, fresh),
        cmocka_unit_test_setup(who_lost_the_entry_changes_nothing, fresh),
        cmocka_unit_test_setup(summary_is_of_a_client_at_least, fresh),
        cmocka_unit_test_setup(no_reason_waits_for_ever, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
