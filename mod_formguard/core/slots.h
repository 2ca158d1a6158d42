/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file slots.h
 * @brief A bounded number of leases in shared memory: how many workers may wait for a vendor.
 *
 * A slot is one word that holds the deadline of its lease. Taking and releasing is one
 * compare-and-swap; the slot of a process that was killed comes back at its deadline.
 */
#ifndef FG_SLOTS_H
#define FG_SLOTS_H

#include <apr_errno.h>
#include <apr_time.h>

typedef struct fg_slots fg_slots_t;

#define FG_SLOTS_MAX 4096

/** A lease taken; `index` is -1 if there was none to be had. */
typedef struct fg_lease {
    int index;
    apr_uint64_t deadline; /**< the word that was written: proves the lease is still ours */
} fg_lease_t;

/** Bytes of memory for `count` slots (1 to FG_SLOTS_MAX). */
apr_size_t fg_slots_size(unsigned int count);

/**
 * Make `count` free slots in `mem` (aligned to 8, fg_slots_size() bytes).
 * @return `mem` as what the other functions take, or NULL if size or count is out of range
 */
fg_slots_t *fg_slots_format(void *mem, apr_size_t size, unsigned int count);

/**
 * Take a slot until `now + term`, both in microseconds of steady time.
 * @return the lease; its index is -1 when all slots are taken
 */
fg_lease_t fg_slots_take(fg_slots_t *slots, apr_time_t now, apr_interval_time_t term);

/** Give a lease back. One that has run out and was taken by another is left alone. */
void fg_slots_release(fg_slots_t *slots, const fg_lease_t *lease);

/** How many slots are taken at `now`. */
unsigned int fg_slots_taken(const fg_slots_t *slots, apr_time_t now);

/** How many slots there are. */
unsigned int fg_slots_count(const fg_slots_t *slots);

#endif
