/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file slots.c
 * @brief Leases in shared memory, one word each.
 *
 *     bits 8..63  deadline, in units of 256 microseconds; free once it has come, or when 0
 *     bits 0..7   generation: one more with each taking, so that no two leases of a slot are the
 *                 same word and giving one back twice cannot take away another's
 */
#include "slots.h"

#include <stdatomic.h>
#include <stddef.h>

#define GENERATION APR_UINT64_C(0xff)

struct fg_slots {
    apr_uint64_t count;
    _Atomic apr_uint64_t word[];
};

apr_size_t fg_slots_size(unsigned int count)
{
    return offsetof(fg_slots_t, word) + count * sizeof(_Atomic apr_uint64_t);
}

fg_slots_t *fg_slots_format(void *mem, apr_size_t size, unsigned int count)
{
    fg_slots_t *slots = mem;
    unsigned int i;

    if (count < 1 || count > FG_SLOTS_MAX || size < fg_slots_size(count)) {
        return NULL;
    }
    slots->count = count;
    for (i = 0; i < count; i++) {
        atomic_init(&slots->word[i], 0);
    }
    return slots;
}

static int is_free(apr_uint64_t word, apr_uint64_t now)
{
    return (word & ~GENERATION) <= now;
}

/* The end of a lease, rounded up to what a word can hold. */
static apr_uint64_t deadline_after(apr_uint64_t now, apr_interval_time_t term)
{
    apr_uint64_t length = term > 0 ? (apr_uint64_t)term : 1;

    /* Both are below 2^63: the sum does not wrap, rounding it up might. */
    if (now + length > APR_INT64_MAX) {
        return APR_INT64_MAX & ~GENERATION;
    }
    return (now + length + GENERATION) & ~GENERATION;
}

/* Core never sees a time before boot; a negative one is taken for it. */
static apr_uint64_t since_boot(apr_time_t now)
{
    return now > 0 ? (apr_uint64_t)now : 0;
}

fg_lease_t fg_slots_take(fg_slots_t *slots, apr_time_t now, apr_interval_time_t term)
{
    apr_uint64_t start = since_boot(now);
    apr_uint64_t deadline = deadline_after(start, term);
    fg_lease_t lease = {-1, 0};
    unsigned int i;

    for (i = 0; i < slots->count; i++) {
        apr_uint64_t word = atomic_load(&slots->word[i]);

        /* A failed exchange has read the word anew. It may be free still, if a lease that had run
         * out was given back; that happens once a lease, so this ends. */
        while (is_free(word, start)) {
            apr_uint64_t mine = deadline | ((word + 1) & GENERATION);

            if (atomic_compare_exchange_strong(&slots->word[i], &word, mine)) {
                lease.index = (int)i;
                lease.deadline = mine;
                return lease;
            }
        }
    }
    return lease;
}

void fg_slots_release(fg_slots_t *slots, const fg_lease_t *lease)
{
    apr_uint64_t word = lease->deadline;

    if (lease->index < 0 || (apr_uint64_t)lease->index >= slots->count) {
        return;
    }
    atomic_compare_exchange_strong(&slots->word[lease->index], &word, word & GENERATION);
}

unsigned int fg_slots_taken(const fg_slots_t *slots, apr_time_t now)
{
    apr_uint64_t start = since_boot(now);
    unsigned int i, taken = 0;

    for (i = 0; i < slots->count; i++) {
        taken += !is_free(atomic_load(&slots->word[i]), start);
    }
    return taken;
}

unsigned int fg_slots_count(const fg_slots_t *slots)
{
    return (unsigned int)slots->count;
}
