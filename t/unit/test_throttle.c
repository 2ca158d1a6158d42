/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_general.h>

#include "throttle.h"

#define SEC   APR_USEC_PER_SEC
#define START (1000 * SEC)
#define NEVER (-1)

enum { CLIENTS_MAX = 100000, LINES_MAX = 20000, PER_SECOND = 10000 };

static const unsigned char secret[16] = "fifteen letters";

static apr_pool_t *pool;
static void *memory;
static fg_throttle_t *throttle;

/* What a simulated server was asked and told. */
static apr_time_t line_at[LINES_MAX]; /* of each line, summaries included */
static unsigned int lines;
static apr_uint64_t refusals, written, handed_out;
static unsigned int refused[CLIENTS_MAX]; /* by client */
static apr_time_t first_line[CLIENTS_MAX];
static apr_uint64_t random_state;

static int set_up(void **state)
{
    (void)state;
    memory = mmap(NULL, fg_throttle_size() + 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    return memory == MAP_FAILED || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(memory, fg_throttle_size() + 8);
    return 0;
}

static int fresh(void **state)
{
    unsigned int i;

    (void)state;
    apr_pool_clear(pool);
    lines = 0;
    refusals = written = handed_out = 0;
    memset(refused, 0, sizeof(refused));
    for (i = 0; i < CLIENTS_MAX; i++) {
        first_line[i] = NEVER;
    }
    random_state = getenv("FG_SEED") ? strtoull(getenv("FG_SEED"), NULL, 10)
                                     : (apr_uint64_t)apr_time_now() | 1;
    print_message("FG_SEED=%llu\n", (unsigned long long)random_state);
    memset(memory, 0xa5, fg_throttle_size() + 8);
    return fg_throttle_format(memory, fg_throttle_size(), secret) != APR_SUCCESS ||
           fg_throttle_attach(&throttle, memory, fg_throttle_size(), pool) != APR_SUCCESS;
}

static unsigned int draw(unsigned int below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned int)((random_state >> 20) % below);
}

static fg_address_t address(unsigned int n)
{
    fg_address_t a = {4, {10, (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n}};

    return a;
}

static fg_address_t parsed(const char *text)
{
    fg_address_t a;

    assert_int_equal(fg_address_parse(&a, text), APR_SUCCESS);
    return a;
}

static void write_line(apr_time_t now)
{
    assert_true(lines < LINES_MAX);
    line_at[lines++] = now;
}

/* @return 1 if the line was written */
static int refuse(fg_reason_t reason, unsigned int client, apr_time_t now)
{
    fg_address_t a = address(client);
    apr_uint64_t suppressed = 99;
    int write = fg_throttle_line(throttle, reason, &a, now, &suppressed);

    refusals++;
    refused[client]++;
    assert_true(suppressed < refused[client]);
    assert_true(write || suppressed == 0);
    handed_out += suppressed;
    if (write) {
        written++;
        write_line(now);
        if (first_line[client] == NEVER) {
            first_line[client] = now;
        }
    }
    return write;
}

static unsigned int sweep(apr_time_t now)
{
    fg_throttle_summary_t summary[FG_THROTTLE_SUMMARIES];
    unsigned int n = fg_throttle_sweep(throttle, now, summary), i;

    assert_in_range(n, 0, FG_THROTTLE_SUMMARIES);
    for (i = 0; i < n; i++) {
        assert_true(summary[i].suppressed > 0);
        assert_true(summary[i].clients > 0);
        handed_out += summary[i].suppressed;
        write_line(now);
    }
    return n;
}

static apr_uint64_t pending(void)
{
    fg_throttle_stats_t stats;

    fg_throttle_stats(throttle, &stats);
    return stats.pending;
}

/* Fewer than a hundred in any second: of a hundred in a row the last is a second later. */
static void check_lines(void)
{
    unsigned int i;

    for (i = 99; i < lines; i++) {
        assert_true(line_at[i] - line_at[i - 99] >= SEC);
    }
}

static void check_sums(void)
{
    fg_throttle_stats_t stats;
    apr_uint64_t sum_written = 0, sum_suppressed = 0;
    unsigned int i;

    fg_throttle_stats(throttle, &stats);
    for (i = 0; i < FG_REASON_COUNT; i++) {
        sum_written += stats.written[i];
        sum_suppressed += stats.suppressed[i];
    }
    assert_int_equal(sum_written, written);
    assert_int_equal(sum_suppressed, refusals - written);
    assert_int_equal(written + handed_out + stats.pending, refusals);
}

/* When the flood is over, requests that are not refused bring out what is pending. */
static void check_all_is_told(apr_time_t now)
{
    apr_time_t end = now + 70 * SEC;

    for (; pending() > 0 && now < end; now += SEC / 3) {
        sweep(now);
    }
    assert_int_equal(pending(), 0);
    assert_int_equal(written + handed_out, refusals);
    check_sums();
    check_lines();
}

/* --- floods ----------------------------------------------------------------------------------- */

/* 10,000 refusals a second for ten seconds. @return when it ends */
static apr_time_t flood(unsigned int clients, unsigned int reasons)
{
    apr_time_t now = START;
    unsigned int i;

    for (i = 0; i < 10 * PER_SECOND; i++, now += SEC / PER_SECOND) {
        unsigned int client = i < clients ? i : draw(clients);

        refuse((fg_reason_t)(FG_LIMIT + client % reasons), client, now);
        sweep(now);
    }
    check_sums();
    check_lines();
    return now;
}

static unsigned int clients_with_a_line(unsigned int clients, apr_time_t before)
{
    unsigned int i, n = 0;

    for (i = 0; i < clients; i++) {
        n += first_line[i] != NEVER && first_line[i] < before;
    }
    return n;
}

static void flood_of_one_client(void **state)
{
    apr_time_t end = flood(1, 1);

    (void)state;
    assert_int_equal(first_line[0], START);
    assert_in_range(written, 5, 6); /* five at once, one in ten seconds */
    check_all_is_told(end);
}

static void flood_of_a_hundred_clients(void **state)
{
    apr_time_t end = flood(100, 1);

    (void)state;
    /* Twelve at once; the others are owed theirs and get them at twelve a second. */
    assert_int_equal(clients_with_a_line(100, START + SEC / 100), 13); /* and the reserve */
    assert_int_equal(clients_with_a_line(100, end), 100);
    check_all_is_told(end);
}

static void flood_of_ten_thousand_clients(void **state)
{
    apr_time_t end = flood(10000, 1);

    (void)state;
    assert_in_range(clients_with_a_line(10000, end), 12 + 10 * 11, 12 + 10 * 12 + 2);
    check_all_is_told(end);
}

static void flood_of_a_hundred_thousand_clients(void **state)
{
    apr_time_t end = flood(100000, 1);

    (void)state;
    assert_in_range(clients_with_a_line(100000, end), 12 + 10 * 11, 12 + 10 * 12 + 2);
    check_all_is_told(end);
}

/* All reasons at once: every one is seen, and yet there are fewer than a hundred lines. */
static void flood_of_all_reasons(void **state)
{
    const unsigned int reasons = FG_REASON_COUNT - FG_LIMIT;
    apr_time_t end = flood(10000, reasons);
    unsigned int seen[FG_REASON_COUNT] = {0}, i;

    (void)state;
    for (i = 0; i < 10000; i++) {
        seen[i % reasons] += first_line[i] != NEVER && first_line[i] < START + SEC;
    }
    for (i = 0; i < reasons; i++) {
        assert_true(seen[i] > 0);
    }
    assert_true(clients_with_a_line(10000, end) >= 16 + 10 * 15);
    check_all_is_told(end);
}

/* Bursts that begin when the buckets are full again. */
static void bursts_after_silence(void **state)
{
    apr_time_t now = START;
    unsigned int burst, i;

    (void)state;
    for (burst = 0; burst < 200; burst++, now += 10 + (apr_time_t)draw(15 * SEC)) {
        for (i = 0; i < 500; i++) {
            refuse((fg_reason_t)draw(FG_REASON_COUNT), draw(2000), now);
            sweep(now);
            now += draw(100);
        }
    }
    check_sums();
    check_all_is_told(now);
}

/* --- first lines ------------------------------------------------------------------------------ */

/* One client floods; the eleven others that come each second all get their line. */
static void flood_hides_no_newcomer(void **state)
{
    apr_time_t now = START;
    unsigned int i, newcomer = 1;

    (void)state;
    for (i = 0; i < 20 * PER_SECOND; i++, now += SEC / PER_SECOND) {
        refuse(FG_LIMIT, 0, now);
        if (i % (PER_SECOND / 11) == 0) {
            assert_true(refuse(FG_LIMIT, newcomer, now));
            newcomer++;
        }
        sweep(now);
    }
    check_all_is_told(now);
}

/* A hundred thousand clients are refused for one reason: another is seen at once. */
static void flood_hides_no_other_reason(void **state)
{
    apr_time_t now = START;
    unsigned int i, n = 0;

    (void)state;
    for (i = 0; i < 3 * PER_SECOND; i++, now += SEC / PER_SECOND) {
        refuse(FG_LIMIT, i, now);
        if (i == PER_SECOND || i == 2 * PER_SECOND) {
            for (n = 0; n < 4; n++) {
                assert_true(refuse(FG_CAPTCHA_REJECTED, 50000 + i + n, now));
            }
        }
    }
    assert_int_equal(n, 4);
    check_all_is_told(now);
}

/* Every other reason floods, too: there is the reserve. */
static void flood_of_the_others_leaves_the_reserve(void **state)
{
    apr_time_t now = START;
    unsigned int i, round;

    (void)state;
    for (round = 0; round < 2; round++) {
        for (i = 0; i < PER_SECOND * 12; i++, now += SEC / PER_SECOND) {
            refuse(i % 2 ? FG_LIMIT : FG_MALFORMED, draw(40000), now);
        }
        assert_true(refuse(FG_COUNTRY, 50000 + round, now));
    }
    check_all_is_told(now);
}

/* Whoever had no line is owed one, and gets it before others get their second. */
static void line_that_had_no_room_is_owed(void **state)
{
    unsigned int i, n = 0;

    (void)state;
    for (i = 0; i < 30; i++) {
        n += (unsigned int)refuse(FG_LIMIT, i, START);
    }
    assert_int_equal(n, 13);
    for (i = 29; i > 18; i--) {
        assert_true(refuse(FG_LIMIT, i, START + SEC));
    }
    for (i = 18; i > 12; i--) {
        assert_true(refuse(FG_LIMIT, i, START + 2 * SEC));
    }
    assert_int_equal(clients_with_a_line(30, START + 3 * SEC), 30);
    check_all_is_told(START + 3 * SEC);
}

/* --- counts of lines not written -------------------------------------------------------------- */

static void next_line_tells_of_those_before(void **state)
{
    fg_address_t a = parsed("192.0.2.7");
    apr_uint64_t suppressed;
    unsigned int i;

    (void)state;
    for (i = 0; i < 5; i++) {
        assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &a, START, &suppressed), 1);
        assert_int_equal(suppressed, 0);
    }
    for (i = 0; i < 7; i++) {
        assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &a, START + 1, &suppressed), 0);
        assert_int_equal(suppressed, 0);
    }
    /* another reason is another key */
    assert_int_equal(fg_throttle_line(throttle, FG_COUNTRY, &a, START + 1, &suppressed), 1);
    assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &a, START + 10 * SEC - 1000, &suppressed),
                     0);
    assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &a, START + 10 * SEC, &suppressed), 1);
    assert_int_equal(suppressed, 8);
    assert_int_equal(pending(), 0);
}

static void suppress(const char *client, fg_reason_t reason, unsigned int count, apr_time_t now)
{
    fg_address_t a = parsed(client);
    apr_uint64_t suppressed;
    unsigned int i;

    for (i = 0; i < 5; i++) {
        fg_throttle_line(throttle, reason, &a, now - 2 * SEC, &suppressed);
    }
    for (i = 0; i < count; i++) {
        assert_int_equal(fg_throttle_line(throttle, reason, &a, now, &suppressed), 0);
    }
}

static void check_summary(const fg_throttle_summary_t *summary, fg_reason_t reason,
                          const char *client, apr_uint64_t suppressed, apr_uint64_t clients)
{
    assert_int_equal(summary->reason, reason);
    assert_string_equal(summary->client, client);
    assert_int_equal(summary->suppressed, suppressed);
    assert_int_equal(summary->clients, clients);
}

static void sweep_names_the_largest(void **state)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];
    apr_time_t now = START;

    (void)state;
    suppress("2001:db8:1:2::9", FG_COUNTRY, 40, now);
    suppress("192.0.2.1", FG_LIMIT, 30, now += 2 * SEC);
    suppress("192.0.2.2", FG_LIMIT, 3, now += 2 * SEC);
    suppress("192.0.2.3", FG_LIMIT, 50, now += 2 * SEC);
    suppress("192.0.2.4", FG_LIMIT, 4, now += 2 * SEC);
    suppress("192.0.2.5", FG_COUNTRY, 5, now += 2 * SEC);
    now += 10 * SEC;
    assert_int_equal(fg_throttle_sweep(throttle, now, out), 5);
    check_summary(&out[0], FG_LIMIT, "192.0.2.3", 50, 1);
    check_summary(&out[1], FG_COUNTRY, "2001:db8:1:2::/64", 40, 1);
    check_summary(&out[2], FG_LIMIT, "192.0.2.1", 30, 1);
    check_summary(&out[3], FG_LIMIT, "", 7, 2);
    check_summary(&out[4], FG_COUNTRY, "", 5, 1);
    assert_int_equal(fg_throttle_sweep(throttle, now + 5 * SEC, out), 0);
    assert_int_equal(pending(), 0);
}

static void sweep_waits_until_something_is_due(void **state)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];

    (void)state;
    suppress("192.0.2.1", FG_LIMIT, 7, START);
    assert_int_equal(fg_throttle_sweep(throttle, START + 4 * SEC, out), 0);
    assert_int_equal(fg_throttle_sweep(throttle, START + 9 * SEC + SEC / 2, out), 0);
    assert_int_equal(fg_throttle_sweep(throttle, START + 14 * SEC, out), 0); /* looks every 5 s */
    assert_int_equal(fg_throttle_sweep(throttle, START + 14 * SEC + SEC / 2, out), 1);
    check_summary(&out[0], FG_LIMIT, "192.0.2.1", 7, 1);
}

/* Nobody falls silent, and there is no room for everybody's line. */
static void sweep_does_not_wait_for_silence(void **state)
{
    apr_time_t now = START;
    unsigned int i;

    (void)state;
    for (i = 0; i < 30000; i++, now += SEC / 1000) {
        refuse(FG_LIMIT, i % 1000, now);
    }
    assert_int_equal(sweep(now), 0);
    for (; i < 65000; i++, now += SEC / 1000) {
        refuse(FG_LIMIT, i % 1000, now);
    }
    assert_true(sweep(now) > 0);
    assert_true(handed_out > 20000);
    check_all_is_told(now);
}

/* Clients beyond what the table holds lose their entry, not their count. */
static void evicted_are_summarised_by_reason(void **state)
{
    fg_throttle_stats_t stats;
    apr_time_t now = START;
    unsigned int i;

    (void)state;
    for (i = 0; i < 5 * FG_THROTTLE_ENTRIES; i++, now += 100) {
        refuse(FG_LIMIT, i, now);
    }
    fg_throttle_stats(throttle, &stats);
    assert_in_range(stats.entries, FG_THROTTLE_ENTRIES * 99 / 100, FG_THROTTLE_ENTRIES);
    check_sums();
    assert_true(sweep(now) > 0);
    assert_true(handed_out > 3 * FG_THROTTLE_ENTRIES);
    check_all_is_told(now);
}

static void longest_quiet_gives_way(void **state)
{
    apr_time_t now = START;
    unsigned int i;

    (void)state;
    for (i = 0; i < 5; i++) {
        assert_true(refuse(FG_LIMIT, 0, now));
    }
    now += 2 * SEC;
    for (i = 1; i < 50000; i++, now += 100) {
        refuse(FG_LIMIT, i, now);
        if (i % 100 == 0) {
            assert_false(refuse(FG_LIMIT, 0, now)); /* still known: it has had its lines */
        }
    }
    check_sums();
}

/* --- clients, clocks, memory ------------------------------------------------------------------ */

static void ipv6_network_is_one_client(void **state)
{
    fg_address_t a = parsed("2001:db8:1:2::1"), b = parsed("2001:db8:1:2:ffff::1");
    fg_address_t c = parsed("2001:db8:1:3::1"), none = {0, {0}};
    apr_uint64_t suppressed;
    unsigned int i;

    (void)state;
    for (i = 0; i < 5; i++) {
        assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &a, START, &suppressed), 1);
    }
    assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &b, START, &suppressed), 0);
    assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &c, START, &suppressed), 1);
    assert_int_equal(fg_throttle_line(throttle, FG_LIMIT, &none, START, &suppressed), 1);
    assert_int_equal(fg_throttle_line(throttle, FG_REASON_COUNT, &none, START, &suppressed), 1);
    assert_int_equal(pending(), 1);
}

/* A caller that read its clock a while ago gets nothing others would not get. */
static void late_clocks_get_no_more(void **state)
{
    apr_time_t now = START;
    unsigned int i;

    (void)state;
    for (i = 0; i < 5 * PER_SECOND; i++, now += SEC / PER_SECOND) {
        apr_uint64_t suppressed;
        fg_address_t a = address(draw(50000));

        refusals++;
        if (fg_throttle_line(throttle, FG_LIMIT, &a, now - draw(30 * SEC), &suppressed)) {
            written++;
            write_line(now);
        }
        handed_out += suppressed;
    }
    check_lines();
    check_sums();
}

static void odd_clocks_do_no_lasting_harm(void **state)
{
    unsigned int i;

    (void)state;
    refuse(FG_LIMIT, 1, -5);
    for (i = 0; i < 200; i++) {
        refuse(FG_LIMIT, i, INT64_MAX - 1000);
    }
    sweep(INT64_MAX - 1000);
    assert_true(refuse(FG_LIMIT, 300, START));
    assert_true(refuse(FG_LIMIT, 1, START));
    check_sums();
    check_all_is_told(START + SEC);
}

static void memory_is_checked(void **state)
{
    apr_size_t size = fg_throttle_size(), i;
    unsigned char *bytes = memory;
    fg_throttle_t *other = throttle;

    (void)state;
    assert_int_equal(fg_throttle_format(memory, size - 1, secret), APR_EINVAL);
    assert_int_equal(fg_throttle_format(bytes + 4, size, secret), APR_EINVAL);
    assert_int_equal(fg_throttle_attach(&other, memory, size - 1, pool), APR_EINVAL);
    assert_null(other);
    assert_int_equal(fg_throttle_attach(&other, bytes + 4, size, pool), APR_EINVAL);
    /* magic, version, size, reasons */
    for (i = 0; i < 32; i++) {
        bytes[i] ^= 0x40;
        assert_int_equal(fg_throttle_attach(&other, memory, size, pool), APR_EINVAL);
        bytes[i] ^= 0x40;
    }
    assert_int_equal(fg_throttle_attach(&other, memory, size, pool), APR_SUCCESS);
    assert_int_equal(bytes[size], 0xa5);
}

static void counts_outlive_their_processes(void **state)
{
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];
    fg_throttle_t *again;
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        suppress("192.0.2.1", FG_LIMIT, 6, START);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(fg_throttle_attach(&again, memory, fg_throttle_size(), pool), APR_SUCCESS);
    assert_int_equal(fg_throttle_sweep(again, START + 10 * SEC, out), 1);
    check_summary(&out[0], FG_LIMIT, "192.0.2.1", 6, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(flood_of_one_client, fresh),
        cmocka_unit_test_setup(flood_of_a_hundred_clients, fresh),
        cmocka_unit_test_setup(flood_of_ten_thousand_clients, fresh),
        cmocka_unit_test_setup(flood_of_a_hundred_thousand_clients, fresh),
        cmocka_unit_test_setup(flood_of_all_reasons, fresh),
        cmocka_unit_test_setup(bursts_after_silence, fresh),
        cmocka_unit_test_setup(flood_hides_no_newcomer, fresh),
        cmocka_unit_test_setup(flood_hides_no_other_reason, fresh),
        cmocka_unit_test_setup(flood_of_the_others_leaves_the_reserve, fresh),
        cmocka_unit_test_setup(line_that_had_no_room_is_owed, fresh),
        cmocka_unit_test_setup(next_line_tells_of_those_before, fresh),
        cmocka_unit_test_setup(sweep_names_the_largest, fresh),
        cmocka_unit_test_setup(sweep_waits_until_something_is_due, fresh),
        cmocka_unit_test_setup(sweep_does_not_wait_for_silence, fresh),
        cmocka_unit_test_setup(evicted_are_summarised_by_reason, fresh),
        cmocka_unit_test_setup(longest_quiet_gives_way, fresh),
        cmocka_unit_test_setup(ipv6_network_is_one_client, fresh),
        cmocka_unit_test_setup(late_clocks_get_no_more, fresh),
        cmocka_unit_test_setup(odd_clocks_do_no_lasting_harm, fresh),
        cmocka_unit_test_setup(memory_is_checked, fresh),
        cmocka_unit_test_setup(counts_outlive_their_processes, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
