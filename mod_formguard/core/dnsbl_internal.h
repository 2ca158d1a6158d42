/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dnsbl_internal.h
 * @brief What dnsbl.c, dnsbl_cache.c and dnsbl_reply.c share.
 */
#ifndef FG_DNSBL_INTERNAL_H
#define FG_DNSBL_INTERNAL_H

#include "dnsbl.h"

/** What a zone says of an address, and how long that holds. */
typedef struct fg_dnsbl_answer {
    fg_dnsbl_status_t status;
    fg_dnsbl_reason_t reason;
    apr_uint32_t code;
    apr_interval_time_t ttl; /**< microseconds, capped */
} fg_dnsbl_answer_t;

/* --- dnsbl_reply.c ---------------------------------------------------------------------------- */

/**
 * Judge a DNS message that came as the reply to a zone's A query.
 * @param zone which codes count
 * @param msg  the message, whoever sent it
 * @param len  bytes of it
 */
fg_dnsbl_answer_t fg_dnsbl_reply_judge(const fg_dnsbl_zone_t *zone, const unsigned char *msg,
                                       apr_size_t len);

/** The answer of an unknown address. */
fg_dnsbl_answer_t fg_dnsbl_unknown(fg_dnsbl_reason_t reason, apr_uint32_t code);

/** The answer of one that is not listed, for `ttl` microseconds; that is capped. */
fg_dnsbl_answer_t fg_dnsbl_not_listed(apr_interval_time_t ttl);

/* --- dnsbl_cache.c ---------------------------------------------------------------------------- */

struct fg_dnsbl_cache {
    struct fg_dnsbl_cache_header *header;
    struct fg_dnsbl_cache_set *set;
    apr_uint64_t sets; /* what is checked once must not change under us: never the header's */
    unsigned char secret[16];
};

/** The keyed hash of an address in a zone. Never 0. */
apr_uint64_t fg_dnsbl_cache_key(const fg_dnsbl_cache_t *cache, const fg_dnsbl_zone_t *zone,
                                const fg_address_t *address);

/** @return 1 and the answer, if one is there that has not expired */
int fg_dnsbl_cache_get(const fg_dnsbl_cache_t *cache, apr_uint64_t key, apr_time_t now,
                       fg_dnsbl_answer_t *answer);

/** Keep an answer for its TTL; one without is not kept. */
void fg_dnsbl_cache_put(fg_dnsbl_cache_t *cache, apr_uint64_t key, apr_time_t now,
                        const fg_dnsbl_answer_t *answer);

/** The leave to ask a zone. */
typedef struct fg_dnsbl_ticket {
    int slot;          /* of the zone's state, -1 without one */
    apr_uint64_t word; /* the state as it was */
} fg_dnsbl_ticket_t;

/**
 * Ask for leave to ask a zone: given unless it failed less than FG_DNSBL_BACKOFF ago, and then to
 * one caller at a time.
 * @param budget how long the lookup may take
 * @param answer why not, if not
 * @return 1 if the zone may be asked: fg_dnsbl_cache_leave() is due then
 */
int fg_dnsbl_cache_enter(fg_dnsbl_cache_t *cache, const fg_dnsbl_zone_t *zone, apr_time_t now,
                         apr_interval_time_t budget, fg_dnsbl_ticket_t *ticket,
                         fg_dnsbl_answer_t *answer);

/** Tell what came of it. @return 1 if that changed the zone's state: see fg_dnsbl_result.changed */
int fg_dnsbl_cache_leave(fg_dnsbl_cache_t *cache, const fg_dnsbl_ticket_t *ticket, apr_time_t now,
                         const fg_dnsbl_answer_t *answer);

#endif
