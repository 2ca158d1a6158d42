/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file breaker.h
 * @brief Which services do not work: they are not asked for a while, so that nobody waits for them.
 *
 * Closed, every post asks. FG_BREAKER_FAILURES failures in a row open it: nobody asks for
 * FG_BREAKER_SHORTEST, then one post does and the others still don't. If it succeeds the breaker is
 * closed, if it fails the wait doubles, up to FG_BREAKER_LONGEST.
 *
 * The states lie in memory shared by all processes. A change of state is one compare-and-swap, so
 * one caller makes it and is told so; of a process killed at any instruction nothing is left but a
 * probe whose time runs out.
 */
#ifndef FG_BREAKER_H
#define FG_BREAKER_H

#include "captcha.h"

typedef struct fg_breaker fg_breaker_t;

/** Services that have a breaker; more are asked always. */
#define FG_BREAKER_CELLS 64

/** Failures in a row that open it. */
#define FG_BREAKER_FAILURES 5

/** How long it stays open at first, and at the longest, microseconds. */
#define FG_BREAKER_SHORTEST apr_time_from_sec(10)
#define FG_BREAKER_LONGEST  apr_time_from_sec(300)

/** Bytes of memory. */
apr_size_t fg_breaker_size(void);

/**
 * Make breakers, all closed.
 * @param mem    fg_breaker_size() bytes, aligned to 8
 * @param size   bytes of it
 * @param secret 16 random bytes that key the hash
 * @return APR_SUCCESS, or APR_EINVAL if the memory is no good
 */
apr_status_t fg_breaker_format(void *mem, apr_size_t size, const unsigned char secret[16]);

/** @return what fg_breaker_format() made of the memory, or NULL if it is not that */
fg_breaker_t *fg_breaker_attach(void *mem, apr_size_t size);

/** What came of asking. */
typedef enum fg_breaker_outcome {
    FG_BREAKER_ANSWERED, /**< it works, whatever it said */
    FG_BREAKER_FAILED    /**< it does not: see the cause */
} fg_breaker_outcome_t;

typedef enum fg_breaker_change {
    FG_BREAKER_SAME,
    FG_BREAKER_OPENED, /**< this caller has opened it, and is the one to say so */
    FG_BREAKER_CLOSED  /**< this caller has closed it */
} fg_breaker_change_t;

/** Leave to ask, until it is handed in. */
typedef struct fg_breaker_ticket {
    int cell; /**< -1: there is no breaker for it */
    apr_uint64_t word;
} fg_breaker_ticket_t;

typedef struct fg_breaker_state {
    int open;                     /**< 1: posts are not to ask */
    fg_cause_t cause;             /**< what it failed for last */
    apr_interval_time_t next_try; /**< microseconds until one may ask; 0: the next one may */
} fg_breaker_state_t;

/**
 * Whether to ask a service.
 * @param service names it: its URL, and what else decides whether it can be reached
 * @param now     steady time in microseconds
 * @param term    how long asking may take: after that somebody else may probe
 * @param ticket  set if the service may be asked; to be handed in by fg_breaker_leave() or
 *                fg_breaker_cancel()
 * @param state   set if it may not
 * @return 1 to ask, 0 to go by `state`
 */
int fg_breaker_enter(fg_breaker_t *breaker, const char *service, apr_time_t now,
                     apr_interval_time_t term, fg_breaker_ticket_t *ticket,
                     fg_breaker_state_t *state);

/**
 * Say what came of it.
 * @param now   steady time in microseconds
 * @param cause for FG_BREAKER_FAILED
 * @return what has changed by it
 */
fg_breaker_change_t fg_breaker_leave(fg_breaker_t *breaker, const fg_breaker_ticket_t *ticket,
                                     apr_time_t now, fg_breaker_outcome_t outcome,
                                     fg_cause_t cause);

/** The service was not asked after all: if this was the probe, the next one is. */
void fg_breaker_cancel(fg_breaker_t *breaker, const fg_breaker_ticket_t *ticket, apr_time_t now);

/**
 * The state of a service, changing nothing: for a status page.
 * @return 1 if there is a breaker for it, 0 if it was never asked
 */
int fg_breaker_peek(const fg_breaker_t *breaker, const char *service, apr_time_t now,
                    fg_breaker_state_t *state);

#endif
