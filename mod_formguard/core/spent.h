/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file spent.h
 * @brief Tokens that were used: each is good once, whichever process sees it.
 *
 * A token is claimed before anybody judges it, so that of many posts which carry the same one a
 * single one goes on. The table is one of counters (counters.h) of its own: a claim is a rate of
 * one per life of the token.
 */
#ifndef FG_SPENT_H
#define FG_SPENT_H

#include "counters.h"

/** A claim, so that it can be given back. */
typedef struct fg_spent_claim {
    fg_charge_t charge;
} fg_spent_claim_t;

/**
 * Claim a token. Claim what was seen to be well formed only; of a challenge that is checked here,
 * what was seen to be signed: else anybody fills the table.
 * @param spent   the table; NULL: none, every token is fresh
 * @param service the service's name: what is spent at one is not at another
 * @param token   what may be used once, NUL-terminated, of any length. Of a challenge of our own
 *                its signature, not the text that was posted: the same JSON can be written in many
 *                ways
 * @param life    for how long it stays spent at least, microseconds; always the same for a service
 * @param now     steady time in microseconds
 * @param claim   what to give to fg_spent_release()
 * @return 1 if it is the caller's now, 0 if it was claimed before
 */
int fg_spent_claim(fg_counters_t *spent, const char *service, const char *token,
                   apr_interval_time_t life, apr_time_t now, fg_spent_claim_t *claim);

/** Give a token back that nobody could judge: its owner may try it again. */
void fg_spent_release(fg_counters_t *spent, const fg_spent_claim_t *claim);

#endif
