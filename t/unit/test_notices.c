/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "notices.h"

#define SEC   APR_USEC_PER_SEC
#define START (1000 * SEC)

static fg_notices_t *notices;

static int fresh(void **state)
{
    (void)state;
    notices =
        mmap(NULL, sizeof(*notices), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return notices == MAP_FAILED;
}

static int drop(void **state)
{
    (void)state;
    return munmap(notices, sizeof(*notices));
}

static void expect(fg_notice_t kind, apr_time_t now, int write, apr_uint64_t told)
{
    apr_uint64_t suppressed = 99;

    assert_int_equal(fg_notice_line(notices, kind, now, &suppressed), write);
    assert_int_equal(suppressed, told);
}

static void one_a_second_and_the_others_are_told(void **state)
{
    (void)state;
    expect(FG_NOTICE_FAULT, START, 1, 0);
    expect(FG_NOTICE_FAULT, START, 0, 0);
    expect(FG_NOTICE_FAULT, START + SEC - 1, 0, 0);
    expect(FG_NOTICE_FAULT, START + SEC, 1, 2);
    expect(FG_NOTICE_FAULT, START + SEC + 1, 0, 0);
    expect(FG_NOTICE_FAULT, START + 100 * SEC, 1, 1);
    expect(FG_NOTICE_FAULT, START + 101 * SEC, 1, 0);
}

static void two_changes_may_come_at_once(void **state)
{
    (void)state;
    expect(FG_NOTICE_OPENED, START, 1, 0);
    expect(FG_NOTICE_OPENED, START, 1, 0);
    expect(FG_NOTICE_OPENED, START, 0, 0);
    expect(FG_NOTICE_OPENED, START + SEC, 1, 1);
    expect(FG_NOTICE_OPENED, START + SEC, 0, 0);
}

static void kinds_are_apart(void **state)
{
    int kind;

    (void)state;
    for (kind = 0; kind < FG_NOTICES; kind++) {
        expect((fg_notice_t)kind, START, 1, 0);
    }
    expect(FG_NOTICE_FAULT, START, 0, 0);
    expect(FG_NOTICE_DNSBL, START + SEC, 1, 0);
    expect(FG_NOTICE_FAULT, START + SEC, 1, 1);
}

static void whoever_sees_to_them_is_not_told(void **state)
{
    (void)state;
    assert_int_equal(fg_notice_line(notices, FG_NOTICE_CLOSED, START, NULL), 1);
    assert_int_equal(fg_notice_line(notices, FG_NOTICE_CLOSED, START, NULL), 0);
    expect(FG_NOTICE_CLOSED, START + SEC, 1, 0);
}

static void a_clock_gone_wrong_does_not_silence_for_long(void **state)
{
    (void)state;
    expect(FG_NOTICE_FAULT, START + 10000 * SEC, 1, 0);
    expect(FG_NOTICE_FAULT, START, 1, 0);
    expect(FG_NOTICE_FAULT, -5, 1, 0);
}

static void in_all_processes_together_none_is_lost(void **state)
{
    enum { CHILDREN = 4, TRIES = 20000 };
    apr_uint64_t suppressed, sum = 0;
    fg_shared_word_t *told;
    int i, status;

    (void)state;
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    for (i = 0; i < CHILDREN; i++) {
        if (fork() == 0) {
            for (i = 0; i < TRIES; i++) {
                if (fg_notice_line(notices, FG_NOTICE_FAULT, START + i * 1000, &suppressed)) {
                    atomic_fetch_add(told, suppressed + 1);
                }
            }
            _exit(0);
        }
    }
    for (i = 0; i < CHILDREN; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(fg_notice_line(notices, FG_NOTICE_FAULT, START + 1000 * SEC, &sum), 1);
    assert_int_equal(*told + sum, CHILDREN * TRIES);
    munmap(told, sizeof(*told));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_a_second_and_the_others_are_told, fresh, drop),
        cmocka_unit_test_setup_teardown(two_changes_may_come_at_once, fresh, drop),
        cmocka_unit_test_setup_teardown(kinds_are_apart, fresh, drop),
        cmocka_unit_test_setup_teardown(whoever_sees_to_them_is_not_told, fresh, drop),
        cmocka_unit_test_setup_teardown(a_clock_gone_wrong_does_not_silence_for_long, fresh, drop),
        cmocka_unit_test_setup_teardown(in_all_processes_together_none_is_lost, fresh, drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
