/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file recent.h
 * @brief Answers that came out the same several times running just now, for one process: 64 KB at
 *        most. Threads may share it.
 *
 * For what is costly to find out, may change at any time, and does no harm if it is told as it was
 * some milliseconds ago: under load it is found out fifty times a second and not each time.
 */
#ifndef FG_RECENT_H
#define FG_RECENT_H

#include <apr_pools.h>
#include <apr_time.h>

/** An answer is told so long after it was last found out, in microseconds. */
#define FG_RECENT_LIFE 20000

/** And not before it was found so often, never longer than twice that apart: not to somebody who
 * changes something and looks, but under load. */
#define FG_RECENT_SURE 20

/** Bytes of a question and its answer together; longer ones are not kept. */
#define FG_RECENT_MAX 1984

typedef struct fg_recent fg_recent_t;

/** Empty. @param pool owns it @return NULL: there is no memory for it, or no lock */
fg_recent_t *fg_recent_create(apr_pool_t *pool);

/**
 * The answer to a question.
 * @param recent NULL: nothing is known
 * @param key    the question: whatever the answer depends on, and does not change by itself
 * @param len    of the key, bytes
 * @param now    of a clock that may be set
 * @param answer its length, bytes
 * @return a copy in `pool`, or NULL: it has to be found out
 */
const char *fg_recent_find(fg_recent_t *recent, const char *key, apr_size_t len, apr_time_t now,
                           apr_size_t *answer, apr_pool_t *pool);

/** What was found out now. */
void fg_recent_keep(fg_recent_t *recent, const char *key, apr_size_t len, apr_time_t now,
                    const char *answer, apr_size_t answer_len);

#endif
