/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file clock.h
 * @brief What time means in core. Core never asks a clock: the caller reads both once a request,
 *        again after anything slow, and passes them down.
 */
#ifndef FG_CLOCK_H
#define FG_CLOCK_H

#include <apr_time.h>

/** One reading of the clocks, both in microseconds. */
typedef struct fg_time {
    apr_time_t steady; /**< since boot, never steps: what counters and leases use */
    apr_time_t wall;   /**< since 1970, may step: only to judge what a vendor has dated */
} fg_time_t;

#endif
