/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file rate.h
 * @brief A rate such as `5/10m`: how many in how long, and the sub-windows it is counted in.
 *
 * `N/T` promises that no window of length T holds more than N, and that a key which was quiet for
 * T + T/6 may send N again. The period is cut into FG_RATE_SLICES sub-windows; a count stays alive
 * for FG_RATE_SLICES + 1 of them, so every window of length T is covered whole.
 */
#ifndef FG_RATE_H
#define FG_RATE_H

#include <apr_pools.h>
#include <apr_time.h>

#define FG_RATE_SLICES 6
#define FG_RATE_LIVE   (FG_RATE_SLICES + 1)

#define FG_RATE_MAX_COUNT  1000000
#define FG_RATE_MAX_PERIOD apr_time_from_sec(366 * 86400)

typedef struct fg_rate {
    apr_uint32_t count;         /**< N, 1 to FG_RATE_MAX_COUNT */
    apr_interval_time_t period; /**< T in microseconds, 1 s to FG_RATE_MAX_PERIOD */
} fg_rate_t;

/**
 * Parse `COUNT/[NUMBER]UNIT`, UNIT one of `s m h d w` (`5/10m`, `30/d`, `30/1d`).
 * @param rate set on success only
 * @param text what the user typed
 * @param pool for the error text
 * @return NULL, or a sentence that says what is wrong with the value
 */
const char *fg_rate_parse(fg_rate_t *rate, const char *text, apr_pool_t *pool);

/**
 * Parse a span of time: `NUMBER[UNIT]`, UNIT one of `ms s m h d w`, seconds without one.
 * @param period set on success only, microseconds, 1 ms to FG_RATE_MAX_PERIOD
 * @param text   what the user typed
 * @return NULL, or a sentence that says what is wrong with the value
 */
const char *fg_period_parse(apr_interval_time_t *period, const char *text);

/**
 * Write a period as a user would (`600` seconds is `10m`).
 * @param period in microseconds
 * @param pool   owns the text
 */
const char *fg_period_text(apr_interval_time_t period, apr_pool_t *pool);

/** The rate as the user would write it (`5/10m`), in `pool`. */
const char *fg_rate_text(const fg_rate_t *rate, apr_pool_t *pool);

/** Length of one sub-window in microseconds, rounded up so that six of them cover the period. */
apr_interval_time_t fg_rate_slice(const fg_rate_t *rate);

/**
 * Number of the sub-window that holds `now`. Sub-windows are a sixth of the period exactly, so
 * two times less than a period apart are never more than FG_RATE_SLICES apart.
 * @param now steady time in microseconds, not negative
 */
apr_uint64_t fg_rate_index(const fg_rate_t *rate, apr_time_t now);

/** When a sub-window begins: the first microsecond for which fg_rate_index() says `index`. */
apr_time_t fg_rate_begin(const fg_rate_t *rate, apr_uint64_t index);

#endif
