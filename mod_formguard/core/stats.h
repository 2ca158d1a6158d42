/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file stats.h
 * @brief What a status page and metrics show, counted by all processes in memory they share.
 *
 * The memory is the caller's, holds no pointer and is changed with atomic instructions only: a
 * process killed anywhere leaves at most the post it was at uncounted in some of the figures.
 * Nothing decays: all figures are since fg_stats_format().
 */
#ifndef FG_STATS_H
#define FG_STATS_H

#include <apr_pools.h>

#include "verdict.h"

typedef struct fg_stats fg_stats_t;

/** What became of a verdict. */
typedef enum fg_stats_kind {
    FG_STATS_DONE,   /**< the answer was given, or the post accepted */
    FG_STATS_WOULD,  /**< DetectionOnly: only said */
    FG_STATS_LOGGED, /**< a rule with action=log fired */
    FG_STATS_KINDS
} fg_stats_kind_t;

/** What took how long. */
typedef enum fg_stats_timer {
    FG_STATS_VERIFICATION, /**< asking a captcha's vendor, once */
    FG_STATS_DECISION,     /**< a whole decision, body and vendor included */
    FG_STATS_TIMERS
} fg_stats_timer_t;

/** What is ranked. */
typedef enum fg_stats_table {
    FG_STATS_FORMS,     /**< guarded forms */
    FG_STATS_CLIENTS,   /**< their clients */
    FG_STATS_UNGUARDED, /**< scripts nobody guards that receive posts */
    FG_STATS_TABLES
} fg_stats_table_t;

/** What became of a post to what is ranked. */
typedef enum fg_stats_column {
    FG_STATS_ACCEPTED,
    FG_STATS_REFUSED,
    FG_STATS_WOULD_REFUSE,
    FG_STATS_COLUMNS,
    FG_STATS_POSTED = FG_STATS_ACCEPTED /**< for FG_STATS_UNGUARDED, which has this one only */
} fg_stats_column_t;

/** Most labels a table holds: K. */
#define FG_STATS_TOP 256

/** Most bytes of a label that are kept. */
#define FG_STATS_LABEL_MAX 160

/** Buckets of a histogram, the last one without an upper bound. */
#define FG_STATS_BUCKETS 20

/** A label and its figures. */
typedef struct fg_stats_entry {
    const char *label;                    /**< as it was given: escape it; NUL-terminated */
    apr_size_t len;                       /**< bytes of it */
    apr_uint64_t count[FG_STATS_COLUMNS]; /**< counted since the label is in the table */
    apr_uint64_t posts;                   /**< their sum: at most what it really had, */
    apr_uint64_t missed;                  /**< and at least that less this: see fg_stats_post() */
    apr_time_t first; /**< steady second from which on it was counted without a break */
    apr_time_t last;  /**< steady second of its last post */
} fg_stats_entry_t;

typedef struct fg_stats_top {
    const fg_stats_entry_t *entry; /**< most posts first */
    unsigned int entries;
    unsigned int unnamed; /**< labels left out, because they are being written just now */
    apr_uint64_t posts;   /**< all posts, of labels that are not in the table, too */
    apr_uint64_t floor;   /**< a label that is not in the table had at most so many */
} fg_stats_top_t;

typedef struct fg_stats_histogram {
    apr_uint64_t bucket[FG_STATS_BUCKETS]; /**< not cumulative: add them up for Prometheus */
    apr_uint64_t count;                    /**< sum of the buckets */
    apr_uint64_t sum;                      /**< microseconds */
} fg_stats_histogram_t;

/** A copy of everything; its parts may be some posts apart. */
typedef struct fg_stats_snapshot {
    apr_time_t started; /**< as given to fg_stats_format() */
    apr_uint64_t verdict[FG_REASON_COUNT][FG_STATS_KINDS];
    fg_stats_histogram_t timer[FG_STATS_TIMERS];
    fg_stats_top_t top[FG_STATS_TABLES];
} fg_stats_snapshot_t;

/** How many bytes of memory the statistics need. */
apr_size_t fg_stats_size(void);

/**
 * Start counting from nothing in `mem`.
 * @param mem     memory, aligned to 8
 * @param size    bytes of it, fg_stats_size() at least
 * @param secret  16 random bytes that key the hash of labels; copied
 * @param started when that is, as the reader wants to be told (wall time)
 * @return APR_SUCCESS, or APR_EINVAL if the memory is too small or not aligned
 */
apr_status_t fg_stats_format(void *mem, apr_size_t size, const unsigned char secret[16],
                             apr_time_t started);

/**
 * Open what fg_stats_format() made, in this or another process.
 * @param stats set to a handle in `pool`; it points into `mem`, which must outlive it
 * @return APR_SUCCESS; APR_EINVAL if it was made by a module with another layout, or with other
 *         reasons
 */
apr_status_t fg_stats_attach(fg_stats_t **stats, void *mem, apr_size_t size, apr_pool_t *pool);

/** Count a verdict. */
void fg_stats_verdict(fg_stats_t *stats, fg_reason_t reason, fg_stats_kind_t kind);

/** Count how long something took. */
void fg_stats_time(fg_stats_t *stats, fg_stats_timer_t timer, apr_interval_time_t took);

/** Upper bound of a bucket in microseconds, itself included; -1: none (`+Inf`). */
apr_interval_time_t fg_stats_bound(unsigned int bucket);

/**
 * Count a post in a table.
 *
 * What the table promises of n posts in all, K = FG_STATS_TOP: every label that had more than n/K
 * of them is in it; each entry has posts <= true number <= posts + missed, and missed <= n/K.
 * Posts of one label that are under way at the same moment may be missing from these bounds, one
 * each, if the label was just being put into the table by two processes at once; so may what a
 * killed process was about to count.
 *
 * @param stats  the statistics
 * @param table  which table
 * @param label  any bytes. Of more than FG_STATS_LABEL_MAX the beginning is kept, `~` and a hash,
 *               so that long labels stay apart
 * @param len    bytes of it
 * @param column what became of the post
 * @param now    steady time
 */
void fg_stats_post(fg_stats_t *stats, fg_stats_table_t table, const char *label, apr_size_t len,
                   fg_stats_column_t column, apr_time_t now);

/** Copy everything into `pool`. For a status page, not for a request. */
const fg_stats_snapshot_t *fg_stats_snapshot(fg_stats_t *stats, apr_pool_t *pool);

#endif
