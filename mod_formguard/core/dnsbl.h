/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dnsbl.h
 * @brief Whether an address is on a DNS blocklist (RFC 5782): zones, asking, and the cache of
 *        answers that all processes share.
 *
 * Only an answer with a return code that counts is a listing. Error codes of the list
 * (127.255.255.x) and answers no list gives (a resolver that rewrites them) are `unknown`, as is
 * silence. While a zone fails, one lookup in FG_DNSBL_BACKOFF is sent; the others are told at once.
 */
#ifndef FG_DNSBL_H
#define FG_DNSBL_H

#include <apr_pools.h>
#include <apr_time.h>

#include "address.h"

/** Most ranges of return codes a zone may have. */
#define FG_DNSBL_RANGES_MAX 16

/** Longest name of a zone: 32 nibbles of an IPv6 address must fit before it (RFC 1035 2.3.4). */
#define FG_DNSBL_ZONE_MAX 189

/** Longest an answer is cached, whatever its TTL says: listed, and not listed. */
#define FG_DNSBL_LISTED_MAX     apr_time_from_sec(3600)
#define FG_DNSBL_NOT_LISTED_MAX apr_time_from_sec(600)

/** How long a negative answer without SOA is cached. */
#define FG_DNSBL_NEGATIVE_DEFAULT apr_time_from_sec(60)

/** How long a zone that failed is left alone. */
#define FG_DNSBL_BACKOFF apr_time_from_sec(10)

/** Return codes from `first` to `last`, as numbers: 127.0.0.2 is 0x7f000002. */
typedef struct fg_dnsbl_range {
    apr_uint32_t first;
    apr_uint32_t last;
} fg_dnsbl_range_t;

/** A blocklist. */
typedef struct fg_dnsbl_zone {
    const char *name;  /**< lower case, no dot at the end; may hold a customer's key */
    const char *shown; /**< the same for logs and pages: a key of the services known is `KEY` */
    unsigned int nranges;
    fg_dnsbl_range_t ranges[FG_DNSBL_RANGES_MAX]; /**< codes that count as a listing */
} fg_dnsbl_zone_t;

typedef enum fg_dnsbl_status {
    FG_DNSBL_NOT_LISTED,
    FG_DNSBL_LISTED,
    FG_DNSBL_UNKNOWN /**< fg_dnsbl_result.reason says why */
} fg_dnsbl_status_t;

/** The state of a zone: working, or why its answer is unknown. */
typedef enum fg_dnsbl_reason {
    FG_DNSBL_WORKING,
    FG_DNSBL_TIMEOUT,       /**< no answer before the deadline */
    FG_DNSBL_UNREACHABLE,   /**< no resolver can be reached */
    FG_DNSBL_SERVFAIL,      /**< the resolver says SERVFAIL */
    FG_DNSBL_REFUSED,       /**< the resolver says REFUSED */
    FG_DNSBL_BAD_REPLY,     /**< a reply that makes no sense */
    FG_DNSBL_FAILED,        /**< could not ask: out of memory */
    FG_DNSBL_BAD_QUERY,     /**< 127.255.255.252: typing error in the zone's name */
    FG_DNSBL_OPEN_RESOLVER, /**< 127.255.255.254: asked through a public resolver */
    FG_DNSBL_TOO_MANY,      /**< 127.255.255.255: too many queries */
    FG_DNSBL_ERROR_CODE,    /**< another 127.255.255.x */
    FG_DNSBL_TAMPERED,      /**< 127.0.0.1 or not in 127.0.0.0/8: no list says that */
    FG_DNSBL_REASONS
} fg_dnsbl_reason_t;

typedef struct fg_dnsbl_result {
    fg_dnsbl_status_t status;
    fg_dnsbl_reason_t reason; /**< FG_DNSBL_WORKING unless unknown */
    apr_uint32_t code;        /**< listed: the lowest code that counts; unknown for a code the
                                   zone returned: that (0 in a cached FG_DNSBL_TAMPERED); else 0 */
    int cached;               /**< told without asking */
    int changed; /**< 1: the zone works again, or fails, or fails otherwise than before. One caller
                      among all processes gets it: the one to log `reason` */
    apr_interval_time_t took; /**< microseconds spent asking */
} fg_dnsbl_result_t;

/* --- zones ------------------------------------------------------------------------------------ */

/**
 * Parse the name of a zone. Its codes become the default: 127.0.0.2 to 127.0.0.254, but for
 * Spamhaus ZEN to 127.0.0.9 (.10 and .11 are the lines of home users).
 * @param zone set on success only
 * @param text what the user typed
 * @param pool owns the names
 * @return NULL, or a sentence that says what is wrong with the value
 */
const char *fg_dnsbl_zone_parse(fg_dnsbl_zone_t *zone, const char *text, apr_pool_t *pool);

/**
 * Parse return codes: `127.0.0.2,127.0.0.4-7,127.0.1.0-127.0.1.255`. They replace the zone's.
 * @param zone changed on success only
 * @param text what the user typed
 * @return NULL, or a sentence that says what is wrong with the value
 */
const char *fg_dnsbl_codes_parse(fg_dnsbl_zone_t *zone, const char *text);

/** 1 if the return code counts as a listing. */
int fg_dnsbl_code_counts(const fg_dnsbl_zone_t *zone, apr_uint32_t code);

/** Bytes fg_dnsbl_code_text() writes at most. */
#define FG_DNSBL_CODE_TEXT 16

/** The code as a dotted quad. @return `out` */
const char *fg_dnsbl_code_text(char out[FG_DNSBL_CODE_TEXT], apr_uint32_t code);

/** What has happened, in words to stand behind the zone's name: `did not answer in time`. */
const char *fg_dnsbl_reason_text(fg_dnsbl_reason_t reason);

/** The reason's name for a log or a metric: `timeout`. */
const char *fg_dnsbl_reason_name(fg_dnsbl_reason_t reason);

/* --- the cache -------------------------------------------------------------------------------- */

/**
 * Answers and the states of zones in shared memory. Nothing in it is locked, and a process killed
 * at any instruction leaves at worst an entry that nobody finds.
 */
typedef struct fg_dnsbl_cache fg_dnsbl_cache_t;

typedef struct fg_dnsbl_cache_stats {
    apr_uint64_t capacity;       /**< answers the cache can hold */
    apr_uint64_t live;           /**< answers it holds that have not expired */
    apr_uint64_t live_evictions; /**< answers that gave way before they expired */
    apr_uint64_t bytes;          /**< of shared memory */
} fg_dnsbl_cache_stats_t;

/**
 * How many bytes of memory a cache needs, alignment included; 0 if that is more than there can be.
 * @param entries how many answers it shall hold; rounded up to a power of two, 1024 to 2^24
 */
apr_size_t fg_dnsbl_cache_size(apr_uint32_t entries);

/**
 * Make an empty cache in `mem`.
 * @param mem     `size` bytes, aligned to 8 at least
 * @param size    bytes, as fg_dnsbl_cache_size() said
 * @param entries as given to fg_dnsbl_cache_size()
 * @param secret  16 random bytes that key the hash; copied into the cache
 * @return APR_SUCCESS, or APR_EINVAL if the memory is too small
 */
apr_status_t fg_dnsbl_cache_format(void *mem, apr_size_t size, apr_uint32_t entries,
                                   const unsigned char secret[16]);

/**
 * Open a cache that fg_dnsbl_cache_format() made, in this or in another process.
 * @param cache set to a handle in `pool`; it points into `mem`, which must outlive it
 * @param mem   the memory
 * @param size  bytes of it
 * @param pool  owns the handle
 * @return APR_SUCCESS; APR_EINVAL if magic, version, size or layout do not match
 */
apr_status_t fg_dnsbl_cache_attach(fg_dnsbl_cache_t **cache, void *mem, apr_size_t size,
                                   apr_pool_t *pool);

/**
 * Figures of the cache. Walks all of it: for a status page, not for a request.
 * @param now steady time in microseconds
 */
void fg_dnsbl_cache_stats(const fg_dnsbl_cache_t *cache, apr_time_t now,
                          fg_dnsbl_cache_stats_t *stats);

/** The state a zone was in when last asked; FG_DNSBL_WORKING if it never was. */
fg_dnsbl_reason_t fg_dnsbl_cache_zone_state(const fg_dnsbl_cache_t *cache,
                                            const fg_dnsbl_zone_t *zone);

/* --- asking ----------------------------------------------------------------------------------- */

/** One a process; any thread may use it, and threads do not wait for each other. */
typedef struct fg_dnsbl fg_dnsbl_t;

/**
 * Make what asks. Call it once a process, after fork. The process should ignore SIGPIPE, as httpd
 * does: a resolver may close a TCP connection.
 * @param dnsbl     set on success
 * @param resolvers `ADDRESS:PORT,…` (`[2001:db8::1]:53`), or NULL for the system's, which are then
 *                  read for each lookup, so that a changed resolv.conf needs no restart
 * @param pool      owns it
 * @return APR_SUCCESS; APR_EINVAL for resolvers that are no addresses; or an error
 */
apr_status_t fg_dnsbl_create(fg_dnsbl_t **dnsbl, const char *resolvers, apr_pool_t *pool);

/**
 * Look an address up. Private addresses are not listed, and never asked for.
 * @param dnsbl    asks what the cache does not know
 * @param cache    answers and states
 * @param zone     where to look
 * @param address  of the client
 * @param now      steady time in microseconds
 * @param deadline until when to wait for an answer, on the same clock; at or before `now` only the
 *                 cache is asked
 * @param result   filled in always
 */
void fg_dnsbl_check(fg_dnsbl_t *dnsbl, fg_dnsbl_cache_t *cache, const fg_dnsbl_zone_t *zone,
                    const fg_address_t *address, apr_time_t now, apr_time_t deadline,
                    fg_dnsbl_result_t *result);

#endif
