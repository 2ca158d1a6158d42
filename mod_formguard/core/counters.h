/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file counters.h
 * @brief How often a key was seen, in memory shared by every process of the server.
 *
 * The table lies in memory the caller gives and holds no pointer, so it may be mapped anywhere and
 * outlives the code that made it. Everything is done with compare-and-swap: there is no mutex, and
 * a process killed at any instruction leaves nothing half done.
 */
#ifndef FG_COUNTERS_H
#define FG_COUNTERS_H

#include <apr_pools.h>

#include "rate.h"

typedef struct fg_counters fg_counters_t;

/** A key of the table: the keyed hash of what is counted. Never 0. */
typedef apr_uint64_t fg_counter_key_t;

/** What a consume has charged, so that it can be given back. */
typedef struct fg_charge {
    apr_uint32_t line;   /**< the entry's line in the table */
    apr_uint32_t word;   /**< the word in that line */
    apr_uint64_t stamp;  /**< what the word held but for the count */
    apr_uint32_t weight; /**< how much was charged; 0: nothing, refunding does nothing */
} fg_charge_t;

typedef struct fg_count {
    int admitted;                    /**< 1: charged; 0: over the rate, nothing charged */
    apr_uint32_t used;               /**< how many the window holds, with this one if admitted */
    apr_interval_time_t retry_after; /**< microseconds until `weight` fits again; 0 if admitted */
} fg_count_t;

typedef struct fg_counters_stats {
    apr_uint64_t capacity;       /**< keys the table can hold */
    apr_uint64_t entries;        /**< keys it holds, expired ones included */
    apr_uint64_t live;           /**< keys with a count that has not expired */
    apr_uint64_t inserts;        /**< keys that were ever put in */
    apr_uint64_t live_evictions; /**< live keys that had to give way: the table is too small */
    apr_uint64_t bytes;          /**< of shared memory */
} fg_counters_stats_t;

/**
 * How many bytes of memory a table needs, alignment included.
 * @param entries how many keys it shall hold at least; rounded up to a power of two, 1024 to 2^28
 */
apr_size_t fg_counters_size(apr_uint32_t entries);

/**
 * Make an empty table in `mem`.
 * @param mem     `size` bytes, aligned to 8 at least
 * @param size    bytes, as fg_counters_size() said
 * @param entries as given to fg_counters_size()
 * @param secret  16 random bytes that key the hash; copied into the table
 * @return APR_SUCCESS, or APR_EINVAL if the memory is too small
 */
apr_status_t fg_counters_format(void *mem, apr_size_t size, apr_uint32_t entries,
                                const unsigned char secret[16]);

/**
 * Open a table that fg_counters_format() made, in this or in another process.
 * @param counters set to a handle in `pool`; it points into `mem`, which must outlive it
 * @param mem      the memory
 * @param size     bytes of it
 * @param pool     owns the handle
 * @return APR_SUCCESS; APR_EINVAL if magic, version, size or layout do not match
 */
apr_status_t fg_counters_attach(fg_counters_t **counters, void *mem, apr_size_t size,
                                apr_pool_t *pool);

/**
 * The key of a value under a rule.
 * @param counters the table (its secret keys the hash)
 * @param rule     identity of the rule
 * @param rate     which of the rule's rates, from 0
 * @param value    what is counted (an address, a form)
 * @param len      bytes of it, at most 512 count
 */
fg_counter_key_t fg_counters_key(const fg_counters_t *counters, apr_uint64_t rule,
                                 unsigned int rate, const void *value, apr_size_t len);

/**
 * The greater part of fg_counters_key(), for who counts one value under several rules or rates.
 * @return the value's keyed hash, for fg_counters_key_of()
 */
apr_uint64_t fg_counters_digest(const fg_counters_t *counters, const void *value, apr_size_t len);

/** The key of the value with that digest under a rule. @param rate as for fg_counters_key() */
fg_counter_key_t fg_counters_key_of(apr_uint64_t digest, apr_uint64_t rule, unsigned int rate);

/**
 * Charge `weight` to a key if the rate allows it: never more than rate->count in any window of
 * rate->period, across all threads and processes.
 * @param counters the table
 * @param key      from fg_counters_key()
 * @param rate     the rate; one key is always used with one rate
 * @param weight   1 or more; more than rate->count is never admitted (retry_after is 0 then)
 * @param now      steady time in microseconds; may lie behind that of other callers
 * @param charge   what to give to fg_counters_refund(), or NULL
 */
fg_count_t fg_counters_consume(fg_counters_t *counters, fg_counter_key_t key, const fg_rate_t *rate,
                               apr_uint32_t weight, apr_time_t now, fg_charge_t *charge);

/** Give back what a consume has charged; a charge that has expired meanwhile is left alone. */
void fg_counters_refund(fg_counters_t *counters, const fg_charge_t *charge);

/**
 * Take back all that a key was charged, by whomever. What others charge meanwhile may be lost with
 * it.
 */
void fg_counters_forget(fg_counters_t *counters, fg_counter_key_t key);

/** What fg_counters_consume() with weight 1 would say, charging nothing and inserting nothing. */
fg_count_t fg_counters_peek(const fg_counters_t *counters, fg_counter_key_t key,
                            const fg_rate_t *rate, apr_time_t now);

/**
 * Figures of the table. Walks all of it: for a status page, not for a request.
 * @param now steady time in microseconds
 */
void fg_counters_stats(const fg_counters_t *counters, apr_time_t now, fg_counters_stats_t *stats);

/**
 * Prove the table whole: header, no key in a set it does not belong to, no word of an impossible
 * value. The table must be at rest.
 * @return NULL, or a sentence in `pool` that says what is wrong
 */
const char *fg_counters_validate(const fg_counters_t *counters, apr_pool_t *pool);

#endif
