/* SPDX-License-Identifier: Apache-2.0 */
#include "throttle_world.h"

#include <sys/wait.h>
#include <unistd.h>

static fg_address_t parsed(const char *text)
{
    fg_address_t a;

    assert_int_equal(fg_address_parse(&a, text), APR_SUCCESS);
    return a;
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
