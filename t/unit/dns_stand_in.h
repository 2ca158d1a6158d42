/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dns_stand_in.h
 * @brief For tests: a resolver on loopback, in a thread, that answers as it is told to.
 */
#ifndef FG_TEST_DNS_STAND_IN_H
#define FG_TEST_DNS_STAND_IN_H

#include <pthread.h>
#include <stdatomic.h>

typedef enum dns_mode {
    DNS_SILENT,
    DNS_LISTED,     /**< 127.0.0.2 */
    DNS_NOT_LISTED, /**< NXDOMAIN with SOA */
    DNS_SAYS_SERVFAIL,
    DNS_SAYS_REFUSED,
    DNS_SAYS_FORMERR,
    DNS_REWRITES,       /**< 10.0.0.1 */
    DNS_EMPTY,          /**< datagrams of no bytes */
    DNS_NOISE,          /**< random bytes */
    DNS_NOISE_WITH_ID,  /**< random bytes after the right header and question */
    DNS_WRONG_ID,       /**< a listing for another query */
    DNS_WRONG_QUESTION, /**< a listing of another name */
    DNS_OTHER_PORT,     /**< a listing, from elsewhere */
    DNS_FORGED_FIRST,   /**< listings with wrong id, question and port, then NXDOMAIN */
    DNS_CUT,            /**< a listing cut in the middle of its record */
    DNS_FLOOD,          /**< listings with wrong ids, without end */
    DNS_TC_LISTED,      /**< truncated; 127.0.0.2 by TCP */
    DNS_TC_SILENT,      /**< truncated; TCP takes the query and says nothing */
    DNS_TC_CLOSES,      /**< truncated; TCP closes after half a reply */
    DNS_TC_TC,          /**< truncated by TCP, too */
    DNS_SECOND_TRY      /**< silent once, then a listing */
} dns_mode_t;

typedef struct dns_stand_in {
    int port;
    atomic_int mode;
    atomic_int asked;     /**< queries by UDP */
    atomic_int asked_tcp; /**< by TCP */
    char name[256];       /**< what the last query asked for; read it when nobody asks */
    int plain;            /**< 1: it was one question for A IN with RD, and nothing else */
    int udp, tcp, other, stop[2];
    pthread_t thread;
} dns_stand_in_t;

/** @return 0 */
int dns_stand_in_start(dns_stand_in_t *dns);
int dns_stand_in_stop(dns_stand_in_t *dns);

/** Another mode, and counters at 0. Wait for nothing to be under way. */
void dns_stand_in_mode(dns_stand_in_t *dns, dns_mode_t mode);

/** A UDP and TCP port of 127.0.0.1 where nobody listens. */
int dns_free_port(void);

#endif
