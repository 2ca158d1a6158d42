/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file zeroed.h
 * @brief Memory for tables of which most may never be written to: such pages cost nothing, unlike
 *        in a pool.
 */
#ifndef FG_ZEROED_H
#define FG_ZEROED_H

#include <stdlib.h>

#include <apr_pools.h>

/** For fg_zeroed(): its cleanup. */
static inline apr_status_t fg_zeroed_free(void *memory)
{
    free(memory);
    return APR_SUCCESS;
}

/** Zeroed memory. @param pool frees it @param size bytes @return NULL: there is none */
static inline void *fg_zeroed(apr_pool_t *pool, apr_size_t size)
{
    void *memory = calloc(1, size);

    if (memory != NULL) {
        apr_pool_cleanup_register(pool, memory, fg_zeroed_free, apr_pool_cleanup_null);
    }
    return memory;
}

#endif
