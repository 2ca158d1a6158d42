/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file throttle.h
 * @brief Whether a line about a refusal is written, so that a flood of posts is none of lines.
 *
 * Shared by all processes, in memory the caller gives: no pointer in it, atomic instructions only.
 *
 * What is promised, whatever arrives, from whom and from how many processes:
 *
 * 1. At most FG_THROTTLE_LINES_MAX lines are to be written within any second, summaries included.
 * 2. The first line for a (reason, client) is written while such firsts come at no more than
 *    12 at once and 12 a second for one reason, 16 and 16 for all. Beyond that, the first line of
 *    a reason is written still if the reserve was not used in the last ten seconds: one reason's
 *    flood hides no other reason.
 * 3. A first line there was no room for is owed: the next refusal of that client for that reason
 *    is tried as a first one again.
 * 4. Afterwards a (reason, client) gets four more lines at once and then one every ten seconds, as
 *    far as 8 at once and 8 a second for one reason, 10 and 10 for all, allow.
 * 5. Every line not written is counted, and handed out once: with the next line for that (reason,
 *    client), or in a summary, at the latest about a minute later if somebody calls
 *    fg_throttle_sweep(). Lines written and counts handed out or pending sum up to the calls of
 *    fg_throttle_line(), exactly. A killed process takes with it what it was about to hand out;
 *    nothing is ever counted twice.
 *
 * The table holds FG_THROTTLE_ENTRIES (reason, client). One more takes the place of the one that
 * was quiet longest among eight; that one's count goes to its reason's summary and, should it come
 * back, its line is a first one again.
 */
#ifndef FG_THROTTLE_H
#define FG_THROTTLE_H

#include <apr_pools.h>

#include "address.h"
#include "verdict.h"

typedef struct fg_throttle fg_throttle_t;

#define FG_THROTTLE_ENTRIES 4096

/** Most lines within any second, summaries included; what else is logged comes on top. */
#define FG_THROTTLE_LINES_MAX 88

/** Most summaries one sweep hands out. */
#define FG_THROTTLE_SUMMARIES 8

/** Longest text of a client, with its NUL: `2001:db8:1:2::/64`. */
#define FG_THROTTLE_CLIENT_MAX 52

/** Lines that were not written and that no line has told of yet. */
typedef struct fg_throttle_summary {
    fg_reason_t reason;
    char client[FG_THROTTLE_CLIENT_MAX]; /**< whose; empty: of several, or not known */
    apr_uint64_t suppressed;             /**< how many lines */
    apr_uint64_t clients; /**< of how many clients; one that came back may count twice */
} fg_throttle_summary_t;

/** Figures since fg_throttle_format(). */
typedef struct fg_throttle_stats {
    apr_uint64_t written[FG_REASON_COUNT];    /**< lines, summaries not included */
    apr_uint64_t suppressed[FG_REASON_COUNT]; /**< lines not written */
    apr_uint64_t pending;                     /**< suppressed and not handed out yet */
    apr_uint64_t entries;                     /**< (reason, client) in the table */
} fg_throttle_stats_t;

/** How many bytes of memory it needs. */
apr_size_t fg_throttle_size(void);

/**
 * Start anew in `mem`.
 * @param mem    memory, aligned to 8
 * @param size   bytes of it, fg_throttle_size() at least
 * @param secret 16 random bytes that key the hash; copied
 * @return APR_SUCCESS, or APR_EINVAL if the memory is too small or not aligned
 */
apr_status_t fg_throttle_format(void *mem, apr_size_t size, const unsigned char secret[16]);

/**
 * Open what fg_throttle_format() made, in this or another process.
 * @param throttle set to a handle in `pool`; it points into `mem`, which must outlive it
 * @return APR_SUCCESS; APR_EINVAL if it was made by a module with another layout, or with other
 *         reasons
 */
apr_status_t fg_throttle_attach(fg_throttle_t **throttle, void *mem, apr_size_t size,
                                apr_pool_t *pool);

/**
 * Ask before a line is written.
 * @param throttle   the throttle
 * @param reason     what the line is about
 * @param client     whom; all of an IPv6 /64 are one client
 * @param now        steady time
 * @param suppressed if the line is to be written: how many were not, since the last one for this
 *                   reason and client; else 0
 * @return 1: write it; 0: do not, it was counted
 */
int fg_throttle_line(fg_throttle_t *throttle, fg_reason_t reason, const fg_address_t *client,
                     apr_time_t now, apr_uint64_t *suppressed);

/**
 * Hand out what is due to be summarised: counts of clients that have been quiet for ten seconds, or
 * that are a minute old. The largest come with their client, the others added up by reason. Call it
 * on any request: it looks at the table every five seconds and otherwise returns at once.
 * @param now steady time
 * @param out room for FG_THROTTLE_SUMMARIES
 * @return how many were filled in; each is to be written as one line
 */
unsigned int fg_throttle_sweep(fg_throttle_t *throttle, apr_time_t now,
                               fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES]);

/** The 16 bytes it was formatted with: a secret that lives as long as what the throttle knows. */
const unsigned char *fg_throttle_secret(const fg_throttle_t *throttle);

/** Figures. Walks all of the table: for a status page, not for a request. */
void fg_throttle_stats(const fg_throttle_t *throttle, fg_throttle_stats_t *stats);

#endif
