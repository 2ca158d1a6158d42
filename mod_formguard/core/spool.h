/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file spool.h
 * @brief Keeps a body while it is read: in memory up to a bound, beyond it in a file without name.
 *
 * Memory is also what the file is written from, all that is held at once: the kernel takes a few
 * large pieces at half the cost of many small ones.
 */
#ifndef FG_SPOOL_H
#define FG_SPOOL_H

#include <apr_buckets.h>

/** The part of the file that is mapped at once, bytes: where it is handed on piece by piece. */
#define FG_SPOOL_WINDOW (1024 * 1024)

typedef struct fg_spool fg_spool_t;

/**
 * Start to keep a body.
 * @param kept       takes what is in memory; an empty brigade of the same pool's life
 * @param dir        for the file, once there is one
 * @param memory_max bytes that are kept in memory; it takes a third more and 16 KB at most
 * @param pool       closes the file
 */
fg_spool_t *fg_spool_create(apr_bucket_brigade *kept, const char *dir, apr_size_t memory_max,
                            apr_pool_t *pool);

/**
 * Keep one bucket, taking it out of its brigade. It is moved where that is cheaper than copying it.
 * @param b    not metadata
 * @param data what apr_bucket_read() of it has set
 * @param len  bytes of it
 * @return an error of the file: what was kept till now is in memory or the file still, `b` too
 */
apr_status_t fg_spool_take(fg_spool_t *spool, apr_bucket *b, const char *data, apr_size_t len);

/** The body has ended, or no more of it is read: the file's bytes go before what is in memory, in
 * buckets of FG_SPOOL_WINDOW bytes. To be called once. */
void fg_spool_finish(fg_spool_t *spool);

#endif
