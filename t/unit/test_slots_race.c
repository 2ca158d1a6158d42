/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that want more slots than there are, while the clock runs past their
 * deadlines and children are killed with a slot in hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What happens between two steps once in a million runs happens here all the time. */
#define RACE_ODDS 256
#include "race.h"
#include "slots.c"
#include "race_end.h"

#define START (1000 * APR_USEC_PER_SEC)
#define TERM  5000

/* A deadline is rounded up to 256 microseconds. */
#define COARSE 256

enum { SLOTS = 3 };

typedef struct shared {
    atomic_int stop;
    atomic_llong clock;
    atomic_llong until[SLOTS]; /* the lease of whoever has it; 0: nobody's */
    atomic_uint taken, refused, overdue, shared;
} shared_t;

static fg_slots_t *slots;
static shared_t *shared;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    slots = map_shared(fg_slots_size(SLOTS));
    shared = map_shared(sizeof(*shared));
    if (slots == NULL || shared == NULL) {
        return 1;
    }
    atomic_store(&shared->clock, START);
    return fg_slots_format(slots, fg_slots_size(SLOTS), SLOTS) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(slots, fg_slots_size(SLOTS));
    munmap(shared, sizeof(*shared));
    return 0;
}

static void take_one(apr_uint64_t *random)
{
    long long now = atomic_fetch_add(&shared->clock, (long long)draw(random, 100));
    fg_lease_t lease = fg_slots_take(slots, now, TERM);
    long long mine = now + TERM, before;

    if (lease.index < 0) {
        atomic_fetch_add(&shared->refused, 1);
        return;
    }
    atomic_fetch_add(&shared->taken, 1);
    before = atomic_exchange(&shared->until[lease.index], mine);
    /* Who has lost it by his time may have written down his deadline after ours. */
    atomic_fetch_add(&shared->shared, before > now && before <= mine);
    if (draw(random, 4) == 0) {
        sched_yield();
    }
    if (atomic_load(&shared->clock) > mine) {
        atomic_fetch_add(&shared->overdue, 1);
    }
    atomic_compare_exchange_strong(&shared->until[lease.index], &mine, 0);
    fg_slots_release(slots, &lease);
    if (draw(random, 8) == 0) {
        fg_slots_release(slots, &lease);
    }
}

static void *take_until_stopped(void *worker)
{
    apr_uint64_t random =
        race_seed + 1 + (apr_uint64_t)(uintptr_t)worker * 7919 + (apr_uint64_t)getpid();

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        take_one(&random);
    }
    return NULL;
}

static void nothing(void)
{
}

/* Nobody gets a slot within another's lease, and those of the dead come back. */
static void slots_of_killed_processes_return(void **state)
{
    const unsigned int kills = race_kills(150);
    long long now;
    unsigned int i;

    (void)state;
    run_and_kill(take_until_stopped, kills, &shared->stop, nothing);
    print_message("%u killed; %u leases, %u of them overdue, %u refused\n", kills,
                  atomic_load(&shared->taken), atomic_load(&shared->overdue),
                  atomic_load(&shared->refused));
    assert_int_equal(atomic_load(&shared->shared), 0);
    assert_true(atomic_load(&shared->taken) > kills && atomic_load(&shared->refused) > 0);
    now = atomic_load(&shared->clock);
    assert_in_range(fg_slots_taken(slots, now), 0, SLOTS);
    now += TERM + COARSE;
    assert_int_equal(fg_slots_taken(slots, now), 0);
    for (i = 0; i < SLOTS; i++) {
        assert_in_range(fg_slots_take(slots, now, TERM).index, 0, SLOTS - 1);
    }
    assert_int_equal(fg_slots_take(slots, now, TERM).index, -1);
}

/* --- every order of two ----------------------------------------------------------------------- */

static fg_lease_t rival;

static void take_rivals(void)
{
    rival = fg_slots_take(slots, START, TERM);
}

/* The last slot is one's, whoever comes between which two steps. */
static void the_last_slot_is_ones(void **state)
{
    unsigned int step;

    (void)state;
    for (step = 1;; step++) {
        fg_lease_t mine;

        memset(slots, 0, fg_slots_size(SLOTS));
        fg_slots_format(slots, fg_slots_size(SLOTS), 1);
        intruder = take_rivals;
        intrude_at = step;
        mine = fg_slots_take(slots, START, TERM);
        if (intrude_at > 0) {
            break;
        }
        assert_int_equal((mine.index == 0) + (rival.index == 0), 1);
    }
    intrude_at = 0;
    assert_in_range(step, 2, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(slots_of_killed_processes_return),
        TEST(the_last_slot_is_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
