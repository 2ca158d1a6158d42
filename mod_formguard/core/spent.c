/* SPDX-License-Identifier: Apache-2.0 */
#include "spent.h"

#include <string.h>

#include <apr_sha1.h>

/* Names the only rule of the table. */
#define RULE APR_UINT64_C(0x7370656e74)

int fg_spent_claim(fg_counters_t *spent, const char *service, const char *token,
                   apr_interval_time_t life, apr_time_t now, fg_spent_claim_t *claim)
{
    const fg_rate_t once = {1, life < APR_USEC_PER_SEC ? APR_USEC_PER_SEC : life};
    /* All of a token counts, and a key takes 512 bytes. */
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t sha1;
    fg_counter_key_t key;

    memset(claim, 0, sizeof(*claim));
    if (spent == NULL) {
        return 1;
    }
    apr_sha1_init(&sha1);
    apr_sha1_update(&sha1, service, (unsigned int)strlen(service) + 1);
    apr_sha1_update(&sha1, token, (unsigned int)strlen(token));
    apr_sha1_final(digest, &sha1);
    key = fg_counters_key(spent, RULE, 0, digest, sizeof(digest));
    return fg_counters_consume(spent, key, &once, 1, now, &claim->charge).admitted;
}

void fg_spent_release(fg_counters_t *spent, const fg_spent_claim_t *claim)
{
    if (spent != NULL) {
        fg_counters_refund(spent, &claim->charge);
    }
}
