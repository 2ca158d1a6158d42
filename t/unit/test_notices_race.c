/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that all have something to say, while children are killed anywhere: never
 * more lines than are due, and none that was not written is told of twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What happens between two steps once in a million runs happens here all the time. */
#define RACE_ODDS 256
#include "race.h"
#include "notices.c"
#include "race_end.h"

#define SEC   APR_USEC_PER_SEC
#define START (1000 * SEC)

typedef struct shared {
    atomic_int stop;
    atomic_llong clock;
    atomic_ullong tried[FG_NOTICES], written[FG_NOTICES], told[FG_NOTICES];
} shared_t;

static fg_notices_t *notices;
static shared_t *shared;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    notices = map_shared(sizeof(*notices));
    shared = map_shared(sizeof(*shared));
    if (notices == NULL || shared == NULL) {
        return 1;
    }
    atomic_store(&shared->clock, START);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(notices, sizeof(*notices));
    munmap(shared, sizeof(*shared));
    return 0;
}

static void say(apr_uint64_t *random)
{
    fg_notice_t kind = (fg_notice_t)draw(random, FG_NOTICES);
    apr_uint64_t suppressed;

    atomic_fetch_add(&shared->tried[kind], 1);
    if (fg_notice_line(notices, kind, atomic_load(&shared->clock), &suppressed)) {
        atomic_fetch_add(&shared->written[kind], 1);
        atomic_fetch_add(&shared->told[kind], suppressed);
    }
}

static void *say_until_stopped(void *worker)
{
    apr_uint64_t random =
        race_seed + 1 + (apr_uint64_t)(uintptr_t)worker * 7919 + (apr_uint64_t)getpid();

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        say(&random);
    }
    return NULL;
}

static void let_time_pass(void)
{
    atomic_fetch_add(&shared->clock, (long long)draw(&race_seed, SEC));
}

static void bounds_hold_whoever_is_killed(void **state)
{
    const unsigned int kills = race_kills(150);
    apr_uint64_t tried, written, told, seconds, suppressed, rest;
    int kind;

    (void)state;
    run_and_kill(say_until_stopped, kills, &shared->stop, let_time_pass);
    seconds = (apr_uint64_t)(atomic_load(&shared->clock) - START) / SEC + 1;
    for (kind = 0; kind < FG_NOTICES; kind++) {
        tried = atomic_load(&shared->tried[kind]);
        written = atomic_load(&shared->written[kind]);
        told = atomic_load(&shared->told[kind]);
        rest = atomic_load(&notices->suppressed[kind]);
        print_message("kind %d: %u killed, %u seconds, %u tried, %u written, %u told, %u not yet\n",
                      kind, kills, (unsigned int)seconds, (unsigned int)tried,
                      (unsigned int)written, (unsigned int)told, (unsigned int)rest);
        assert_true(written > 0 && tried > written);
        assert_true(written <= bursts[kind] + seconds);
        assert_true(written + told + rest <= tried);
        /* Whoever was killed holds nobody up. */
        assert_true(fg_notice_line(notices, (fg_notice_t)kind,
                                   atomic_load(&shared->clock) + (bursts[kind] + 1) * SEC,
                                   &suppressed));
        assert_int_equal(suppressed, rest);
    }
}

/* --- every order of two ----------------------------------------------------------------------- */

static apr_uint64_t lines, told;

static void say_one(void)
{
    apr_uint64_t suppressed;

    lines += (apr_uint64_t)fg_notice_line(notices, FG_NOTICE_FAULT, START, &suppressed);
    told += suppressed;
}

/* One line is due, and of two who come at once the other is counted. */
static void the_last_line_is_ones(void **state)
{
    unsigned int step;

    (void)state;
    for (step = 1;; step++) {
        memset(notices, 0, sizeof(*notices));
        lines = told = 0;
        intruder = say_one;
        intrude_at = step;
        say_one();
        if (intrude_at > 0) {
            break;
        }
        assert_int_equal(lines, 1);
        assert_int_equal(told + atomic_load(&notices->suppressed[FG_NOTICE_FAULT]), 1);
    }
    intrude_at = 0;
    assert_in_range(step, 3, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(bounds_hold_whoever_is_killed),
        TEST(the_last_line_is_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
