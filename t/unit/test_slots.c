/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "slots.h"

#define SEC APR_USEC_PER_SEC

/* A deadline is rounded up to 256 microseconds. */
#define COARSE 256

/* Shared with children, and dirty, as reused memory is. */
static fg_slots_t *shared_slots(unsigned int count)
{
    apr_size_t size = fg_slots_size(count);
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fg_slots_t *slots;

    assert_true(mem != MAP_FAILED);
    memset(mem, 0xa5, size);
    slots = fg_slots_format(mem, size, count);
    assert_non_null(slots);
    return slots;
}

static void drop_slots(fg_slots_t *slots)
{
    munmap(slots, fg_slots_size(fg_slots_count(slots)));
}

static void as_many_as_there_are(void **state)
{
    fg_slots_t *slots = shared_slots(3);
    fg_lease_t lease[3];
    int i, j;

    (void)state;
    assert_int_equal(fg_slots_count(slots), 3);
    assert_int_equal(fg_slots_taken(slots, 0), 0);
    for (i = 0; i < 3; i++) {
        lease[i] = fg_slots_take(slots, 1000, SEC);
        assert_in_range(lease[i].index, 0, 2);
        for (j = 0; j < i; j++) {
            assert_int_not_equal(lease[i].index, lease[j].index);
        }
        assert_int_equal(fg_slots_taken(slots, 1000), i + 1);
    }
    assert_int_equal(fg_slots_take(slots, 1000, SEC).index, -1);
    fg_slots_release(slots, &lease[1]);
    assert_int_equal(fg_slots_taken(slots, 1000), 2);
    assert_int_equal(fg_slots_take(slots, 1000, SEC).index, lease[1].index);
    assert_int_equal(fg_slots_take(slots, 1000, SEC).index, -1);
    drop_slots(slots);
}

static void lease_ends_at_its_deadline(void **state)
{
    fg_slots_t *slots = shared_slots(1);
    const apr_time_t now = 12345678;

    (void)state;
    assert_int_equal(fg_slots_take(slots, now, SEC).index, 0);
    assert_int_equal(fg_slots_taken(slots, now + SEC - 1), 1);
    assert_int_equal(fg_slots_take(slots, now + SEC - 1, SEC).index, -1);
    assert_int_equal(fg_slots_taken(slots, now + SEC + COARSE), 0);
    assert_int_equal(fg_slots_take(slots, now + SEC + COARSE, SEC).index, 0);
    drop_slots(slots);
}

static void stale_lease_takes_nothing_away(void **state)
{
    fg_slots_t *slots = shared_slots(1);
    fg_lease_t none = {-1, 0}, outside = {1, 0};
    fg_lease_t first = fg_slots_take(slots, 0, SEC);
    fg_lease_t second = fg_slots_take(slots, 2 * SEC, SEC);

    (void)state;
    assert_int_equal(second.index, 0);
    fg_slots_release(slots, &first);
    fg_slots_release(slots, &none);
    fg_slots_release(slots, &outside);
    assert_int_equal(fg_slots_taken(slots, 2 * SEC), 1);
    fg_slots_release(slots, &second);
    assert_int_equal(fg_slots_taken(slots, 2 * SEC), 0);
    drop_slots(slots);
}

/* The same microsecond, the same term: still two leases. */
static void released_twice_takes_nothing_away(void **state)
{
    fg_slots_t *slots = shared_slots(1);
    fg_lease_t first = fg_slots_take(slots, SEC, SEC), second;

    (void)state;
    fg_slots_release(slots, &first);
    second = fg_slots_take(slots, SEC, SEC);
    assert_int_equal(second.index, 0);
    fg_slots_release(slots, &first);
    assert_int_equal(fg_slots_taken(slots, SEC), 1);
    drop_slots(slots);
}

static void odd_times_are_bounded(void **state)
{
    fg_slots_t *slots = shared_slots(1);
    fg_lease_t lease;

    (void)state;
    lease = fg_slots_take(slots, INT64_MAX - 1, INT64_MAX);
    assert_int_equal(lease.index, 0);
    fg_slots_release(slots, &lease);
    lease = fg_slots_take(slots, -5, SEC);
    assert_int_equal(lease.index, 0);
    assert_int_equal(fg_slots_taken(slots, 2 * SEC), 0);
    lease = fg_slots_take(slots, 2 * SEC, -1);
    assert_int_equal(lease.index, 0);
    assert_int_equal(fg_slots_taken(slots, 2 * SEC), 1);
    assert_int_equal(fg_slots_taken(slots, 2 * SEC + 2 * COARSE), 0);
    drop_slots(slots);
}

static void sizes_are_checked(void **state)
{
    apr_uint64_t mem[FG_SLOTS_MAX + 8];

    (void)state;
    assert_true(fg_slots_size(FG_SLOTS_MAX) <= sizeof(mem));
    assert_null(fg_slots_format(mem, sizeof(mem), 0));
    assert_null(fg_slots_format(mem, sizeof(mem), FG_SLOTS_MAX + 1));
    assert_null(fg_slots_format(mem, sizeof(mem), UINT32_MAX));
    assert_null(fg_slots_format(mem, fg_slots_size(10) - 1, 10));
    assert_null(fg_slots_format(mem, 0, 1));
    assert_non_null(fg_slots_format(mem, fg_slots_size(10), 10));
    assert_non_null(fg_slots_format(mem, fg_slots_size(FG_SLOTS_MAX), FG_SLOTS_MAX));
    assert_int_equal(fg_slots_count((fg_slots_t *)mem), FG_SLOTS_MAX);
}

static void slot_of_a_killed_process_returns(void **state)
{
    fg_slots_t *slots = shared_slots(1);
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        fg_slots_take(slots, 0, SEC);
        kill(getpid(), SIGKILL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(fg_slots_taken(slots, SEC / 2), 1);
    assert_int_equal(fg_slots_take(slots, SEC / 2, SEC).index, -1);
    assert_int_equal(fg_slots_take(slots, SEC + COARSE, SEC).index, 0);
    drop_slots(slots);
}

enum { SLOTS = 3, THREADS = 6, ROUNDS = 20000 };

static fg_slots_t *contended;
static atomic_int held, most, owner[SLOTS];
static atomic_long got;

static void *take_and_release(void *unused)
{
    int i;

    (void)unused;
    for (i = 0; i < ROUNDS; i++) {
        fg_lease_t lease = fg_slots_take(contended, SEC, SEC);
        int n, seen;

        if (lease.index < 0) {
            continue;
        }
        atomic_fetch_add(&got, 1);
        n = atomic_fetch_add(&held, 1) + 1;
        seen = atomic_load(&most);
        while (n > seen && !atomic_compare_exchange_weak(&most, &seen, n)) {
        }
        if (atomic_fetch_add(&owner[lease.index], 1) != 0) {
            atomic_store(&most, SLOTS + 1);
        }
        atomic_fetch_sub(&owner[lease.index], 1);
        atomic_fetch_sub(&held, 1);
        fg_slots_release(contended, &lease);
    }
    return NULL;
}

static void threads_never_share_a_slot(void **state)
{
    pthread_t thread[THREADS];
    int i;

    (void)state;
    contended = shared_slots(SLOTS);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, take_and_release, NULL), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_in_range(atomic_load(&most), 1, SLOTS);
    assert_true(atomic_load(&got) > 0);
    assert_int_equal(fg_slots_taken(contended, SEC), 0);
    drop_slots(contended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_there_are),
        cmocka_unit_test(lease_ends_at_its_deadline),
        cmocka_unit_test(stale_lease_takes_nothing_away),
        cmocka_unit_test(released_twice_takes_nothing_away),
        cmocka_unit_test(odd_times_are_bounded),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(slot_of_a_killed_process_returns),
        cmocka_unit_test(threads_never_share_a_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
