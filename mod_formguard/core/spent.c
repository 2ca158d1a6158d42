/* SPDX-License-Identifier: Apache-2.0 */
#include "spent.h"

#include <string.h>

#include <apr_sha1.h>

/* Names the only rule of the table. */
#define RULE APR_UINT64_C(0x7370656e74)

#define KEY_MAX 512

/* All of a token counts, and a key takes 512 bytes: of what is longer, a digest. */
static fg_counter_key_t key_of(const fg_counters_t *spent, const char *service, const char *token)
{
    apr_size_t service_len = strlen(service) + 1, len = strlen(token);
    unsigned char text[KEY_MAX];
    apr_sha1_ctx_t sha1;

    if (service_len + len <= sizeof(text)) {
        memcpy(text, service, service_len);
        memcpy(text + service_len, token, len);
        return fg_counters_key(spent, RULE, 0, text, service_len + len);
    }
    apr_sha1_init(&sha1);
    apr_sha1_update(&sha1, service, (unsigned int)service_len);
    apr_sha1_update(&sha1, token, (unsigned int)len);
    apr_sha1_final(text, &sha1);
    return fg_counters_key(spent, RULE, 1, text, APR_SHA1_DIGESTSIZE);
}

int fg_spent_claim(fg_counters_t *spent, const char *service, const char *token,
                   apr_interval_time_t life, apr_time_t now, fg_spent_claim_t *claim)
{
    const fg_rate_t once = {1, life < APR_USEC_PER_SEC ? APR_USEC_PER_SEC : life};
    fg_counter_key_t key;

    memset(claim, 0, sizeof(*claim));
    if (spent == NULL) {
        return 1;
    }
    key = key_of(spent, service, token);
    return fg_counters_consume(spent, key, &once, 1, now, &claim->charge).admitted;
}

void fg_spent_release(fg_counters_t *spent, const fg_spent_claim_t *claim)
{
    if (spent != NULL) {
        fg_counters_refund(spent, &claim->charge);
    }
}
