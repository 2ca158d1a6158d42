/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file vendor.h
 * @brief t/lib/vendor-stand-in for tests in C.
 */
#ifndef VENDOR_H
#define VENDOR_H

#include <sys/types.h>

#include <apr_pools.h>
#include <apr_tables.h>

/** The one that runs. */
typedef struct vendor {
    pid_t pid;
    apr_pool_t *pool;
    const char *dir;  /**< its files */
    const char *ca;   /**< its CA's certificate */
    const char *said; /**< what it says of itself, JSON */
} vendor_t;
extern vendor_t vendor;

/** The secret it knows. */
#define VENDOR_SECRET "s3cret"

/**
 * Start it. OpenSSL in this process is told to allow old TLS from then on, so that it is left to
 * the client to refuse it: call it before libcurl is used.
 * @return 0, or -1
 */
int vendor_start(apr_pool_t *pool);

/** Stop it and remove its files. */
int vendor_stop(void);

/** Its port of that name. */
int vendor_port(const char *name);

/** Its URL at that port, with something in the query. */
const char *vendor_url(const char *name);

/** Every request it has had: lines of JSON (const char *), in `pool`. */
apr_array_header_t *vendor_asked(apr_pool_t *pool);

/** The last of them. */
const char *vendor_last_asked(apr_pool_t *pool);

#endif
