/* SPDX-License-Identifier: Apache-2.0 */
/* What is promised under ten thousand refusals a second. */
#include "throttle_world.h"

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

/* Neither takes tokens of its own when there are none of the server's: all lines are used. */
static void flood_of_two_reasons(void **state)
{
    apr_time_t end = flood(10000, 2);

    (void)state;
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

/* While the server has no line left, a reason keeps its own tokens. */
static void reason_pays_for_its_lines_only(void **state)
{
    unsigned int i, n = 0;

    (void)state;
    for (i = 0; i < 40; i++) {
        n += (unsigned int)refuse(i < 20 ? FG_LIMIT : FG_COUNTRY, i, START);
    }
    assert_int_equal(n, 13 + 5); /* sixteen, and two reserves */
    for (n = 0; i < 60; i++) {
        n += (unsigned int)refuse(FG_COUNTRY, i, START + SEC / 2);
    }
    assert_int_equal(n, 8);
    check_all_is_told(START + SEC);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(flood_of_one_client, fresh),
        cmocka_unit_test_setup(flood_of_a_hundred_clients, fresh),
        cmocka_unit_test_setup(flood_of_ten_thousand_clients, fresh),
        cmocka_unit_test_setup(flood_of_a_hundred_thousand_clients, fresh),
        cmocka_unit_test_setup(flood_of_all_reasons, fresh),
        cmocka_unit_test_setup(flood_of_two_reasons, fresh),
        cmocka_unit_test_setup(bursts_after_silence, fresh),
        cmocka_unit_test_setup(flood_hides_no_newcomer, fresh),
        cmocka_unit_test_setup(flood_hides_no_other_reason, fresh),
        cmocka_unit_test_setup(flood_of_the_others_leaves_the_reserve, fresh),
        cmocka_unit_test_setup(reason_pays_for_its_lines_only, fresh),
        cmocka_unit_test_setup(line_that_had_no_room_is_owed, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
