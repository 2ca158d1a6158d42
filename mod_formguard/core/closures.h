/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file closures.h
 * @brief Forms closed for a while by a limit with action=close, in memory shared by all processes.
 *
 * Made like the counters: no mutex, no pointer, compare-and-swap alone. While nothing is closed a
 * look costs one load.
 */
#ifndef FG_CLOSURES_H
#define FG_CLOSURES_H

#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>

#include "counters.h"

typedef struct fg_closures fg_closures_t;

/** Longest label kept, bytes without the NUL. */
#define FG_CLOSURE_LABEL_MAX 103

/** A closed form as a status page shows it. */
typedef struct fg_closure {
    const char *label;
    apr_time_t until; /**< steady microseconds */
} fg_closure_t;

/** Bytes of memory the table needs. */
apr_size_t fg_closures_size(void);

/**
 * Make an empty table in `mem` (aligned to 8, fg_closures_size() bytes).
 * @return the table, or NULL if there is too little memory
 */
fg_closures_t *fg_closures_format(void *mem, apr_size_t size);

/** Open a table made before. @return NULL if it is none of this version */
fg_closures_t *fg_closures_attach(void *mem, apr_size_t size);

/**
 * Close a form.
 * @param key   what names it, a hash, not 0
 * @param label for people; only its first FG_CLOSURE_LABEL_MAX bytes are kept
 * @param full  the counter that is over, for fg_closures_open()
 * @param until steady microseconds; a form that is closed for longer stays so
 * @return 1 for the caller that has closed it, 0 if it was closed already, or no place was left
 */
int fg_closures_close(fg_closures_t *closures, apr_uint64_t key, const char *label,
                      fg_counter_key_t full, apr_time_t now, apr_time_t until);

/**
 * Open a form before its time.
 * @param label as fg_closures_list() tells it; two forms may have the same: ask again
 * @param full  set to the counter that has closed it: as long as that is full, the next post closes
 *              the form again
 * @return 1 if one was closed, to one caller only; else 0
 */
int fg_closures_open(fg_closures_t *closures, const char *label, apr_time_t now,
                     fg_counter_key_t *full);

/** 0 if no form is closed now: one load, for whoever would have to make a key first. */
int fg_closures_any(const fg_closures_t *closures, apr_time_t now);

/** How long a form stays closed, microseconds; 0: it is open. */
apr_interval_time_t fg_closures_left(const fg_closures_t *closures, apr_uint64_t key,
                                     apr_time_t now);

/**
 * Take a form whose time is over out of the table, to say that it is open again.
 * @param pool owns the label
 * @return its label, to one caller only; NULL if there is none
 */
const char *fg_closures_opened(fg_closures_t *closures, apr_time_t now, apr_pool_t *pool);

/** All forms closed now: fg_closure_t, in `pool`. */
apr_array_header_t *fg_closures_list(const fg_closures_t *closures, apr_time_t now,
                                     apr_pool_t *pool);

#endif
