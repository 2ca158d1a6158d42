/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads at the breaker of one service that goes down and comes back, while children
 * are killed anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "race.h"

#include "breaker.c"

#include "race_end.h"

#define SEC  APR_USEC_PER_SEC
#define TERM (4 * SEC)

typedef struct shared {
    atomic_int stop, down;
    atomic_uint asked, shut_out, opened, closed;
    atomic_llong clock;
} shared_t;

static const unsigned char secret[16] = "a secret of ours";
static fg_breaker_t *breaker;
static shared_t *shared;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    breaker = map_shared(fg_breaker_size());
    shared = map_shared(sizeof(*shared));
    if (breaker == NULL || shared == NULL ||
        fg_breaker_format(breaker, fg_breaker_size(), secret) != APR_SUCCESS) {
        return 1;
    }
    atomic_store(&shared->clock, 1000 * SEC);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(breaker, fg_breaker_size());
    munmap(shared, sizeof(*shared));
    return 0;
}

/* One post; who is shut out lets the time go by. */
static void post(void)
{
    apr_time_t now = atomic_load(&shared->clock);
    fg_breaker_ticket_t ticket;
    fg_breaker_state_t state;
    int down;

    if (!fg_breaker_enter(breaker, "a", now, TERM, &ticket, &state)) {
        atomic_fetch_add(&shared->shut_out, 1);
        atomic_fetch_add(&shared->clock, state.next_try / 50 + 1);
        return;
    }
    atomic_fetch_add(&shared->asked, 1);
    down = atomic_load(&shared->down);
    switch (fg_breaker_leave(breaker, &ticket, atomic_load(&shared->clock),
                             down ? FG_BREAKER_FAILED : FG_BREAKER_ANSWERED, FG_CAUSE_TIMEOUT)) {
    case FG_BREAKER_OPENED:
        atomic_fetch_add(&shared->opened, 1);
        atomic_store(&shared->down, 0); /* so that it is opened and closed many times */
        break;
    case FG_BREAKER_CLOSED:
        atomic_fetch_add(&shared->closed, 1);
        break;
    case FG_BREAKER_SAME:
        if (atomic_fetch_add(&shared->asked, 0) % 64 == 0) {
            atomic_store(&shared->down, 1);
        }
        break;
    }
}

static void *until_stopped(void *worker)
{
    stumbling = race_seed * 31 + (apr_uint64_t)(uintptr_t)worker + (apr_uint64_t)getpid();
    while (!atomic_load(&shared->stop)) {
        post();
    }
    return NULL;
}

static void *many(void *worker)
{
    int i;

    stumbling = race_seed * 31 + (apr_uint64_t)(uintptr_t)worker + 1;
    for (i = 0; i < 20000; i++) {
        post();
    }
    return NULL;
}

static unsigned int is_open(void)
{
    fg_breaker_state_t state;

    assert_int_equal(fg_breaker_peek(breaker, "a", atomic_load(&shared->clock), &state), 1);
    return (unsigned int)state.open;
}

static void say(void)
{
    print_message("asked %u, shut out %u, opened %u, closed %u\n", atomic_load(&shared->asked),
                  atomic_load(&shared->shut_out), atomic_load(&shared->opened),
                  atomic_load(&shared->closed));
}

/* Each change is told to exactly one of all the processes. */
static void each_change_is_told_once(void **state)
{
    pid_t pid[PROCESSES];
    unsigned int i;

    (void)state;
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, many);
    }
    join_processes(pid);
    say();
    assert_true(atomic_load(&shared->opened) > 20);
    assert_int_equal(atomic_load(&shared->opened), atomic_load(&shared->closed) + is_open());
}

static void nothing(void)
{
}

#define KILLS race_kills(150)

/* Whatever a killed process had in hand, the breaker goes on opening and closing, and in the end
 * one probe closes it. */
static void a_killed_process_leaves_nothing_half_done(void **state)
{
    fg_breaker_ticket_t ticket;
    fg_breaker_state_t told;
    unsigned int opened, closed;

    (void)state;
    run_and_kill(until_stopped, KILLS, &shared->stop, nothing);
    say();
    opened = atomic_load(&shared->opened);
    closed = atomic_load(&shared->closed) + is_open();
    assert_true(opened > 5);
    /* A process killed between its change and the count has not counted it. */
    assert_true(opened <= closed + KILLS && closed <= opened + KILLS);
    atomic_fetch_add(&shared->clock, FG_BREAKER_LONGEST + TERM + SEC);
    opened = is_open();
    assert_int_equal(
        fg_breaker_enter(breaker, "a", atomic_load(&shared->clock), TERM, &ticket, &told), 1);
    assert_int_equal(fg_breaker_leave(breaker, &ticket, atomic_load(&shared->clock),
                                      FG_BREAKER_ANSWERED, FG_CAUSE_NONE),
                     opened ? FG_BREAKER_CLOSED : FG_BREAKER_SAME);
    assert_false(is_open());
}

static apr_uint64_t held;
static fg_breaker_change_t rival;

static void fail_once(void)
{
    fg_breaker_ticket_t ticket = {0, held};

    ticket.cell = find(breaker, "a", 1);
    rival = fg_breaker_leave(breaker, &ticket, 1000 * SEC, FG_BREAKER_FAILED, FG_CAUSE_TIMEOUT);
}

/* Two who fail at once are two failures, and one of them opens it. */
static void two_who_fail_at_once_are_both_counted(void **state)
{
    fg_breaker_ticket_t ticket;
    fg_breaker_state_t told;
    fg_breaker_change_t change;
    int i;

    (void)state;
    for (i = 0; i < FG_BREAKER_FAILURES - 2; i++) {
        assert_true(fg_breaker_enter(breaker, "a", 1000 * SEC, TERM, &ticket, &told));
        fg_breaker_leave(breaker, &ticket, 1000 * SEC, FG_BREAKER_FAILED, FG_CAUSE_TIMEOUT);
    }
    assert_true(fg_breaker_enter(breaker, "a", 1000 * SEC, TERM, &ticket, &told));
    held = ticket.word;
    intruder = fail_once;
    intrude_at = 1;
    intrude_at_changes = 1;
    change = fg_breaker_leave(breaker, &ticket, 1000 * SEC, FG_BREAKER_FAILED, FG_CAUSE_TIMEOUT);
    assert_int_equal(intrude_at, 0);
    assert_int_equal(rival, FG_BREAKER_SAME);
    assert_int_equal(change, FG_BREAKER_OPENED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(each_change_is_told_once),
        TEST(a_killed_process_leaves_nothing_half_done),
        TEST(two_who_fail_at_once_are_both_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
