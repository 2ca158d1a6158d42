/* SPDX-License-Identifier: Apache-2.0 */
#include "clearance.h"

#include <string.h>

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "digest.h"

#define EXPIRES_DIGITS 10
#define LENGTH         (EXPIRES_DIGITS + 1 + FG_CLEARANCE_NONCE + 1 + FG_DIGEST_HEX - 1)

/* What is signed. It starts with a word, so that it is no challenge of ALTCHA, signed with the same
 * key. `head` is everything before the signature. */
static int sign(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject, const char *head,
                char signature[FG_DIGEST_HEX], apr_pool_t *pool)
{
    unsigned char net[FG_ADDRESS_KEY_MAX];
    apr_size_t len = fg_address_net_key(subject->client, net);

    return fg_digest_sign(fg_altcha_digest(altcha),
                          apr_pstrcat(pool, "clearance\n", head, "\n",
                                      apr_pescape_hex(pool, net, len, 0), "\n", subject->host, "\n",
                                      subject->path, NULL),
                          signature);
}

const char *fg_clearance_make(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                              apr_time_t expires, apr_pool_t *pool)
{
    unsigned char random[FG_CLEARANCE_NONCE / 2];
    char signature[FG_DIGEST_HEX];
    const char *head;

    if (!fg_digest_random(random, sizeof(random))) {
        return NULL;
    }
    head = apr_psprintf(pool, "%010" APR_UINT64_T_HEX_FMT ".%s",
                        (apr_uint64_t)apr_time_sec(expires) & APR_UINT64_C(0xffffffffff),
                        apr_pescape_hex(pool, random, sizeof(random), 0));
    if (!sign(altcha, subject, head, signature, pool)) {
        return NULL;
    }
    return apr_pstrcat(pool, head, ".", signature, NULL);
}

const char *fg_clearance_check(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                               const char *text, apr_time_t now, apr_pool_t *pool)
{
    const char *nonce = text + EXPIRES_DIGITS + 1;
    char signature[FG_DIGEST_HEX];

    if (strlen(text) != LENGTH || text[EXPIRES_DIGITS] != '.' || nonce[FG_CLEARANCE_NONCE] != '.' ||
        strspn(text, "0123456789abcdef") != EXPIRES_DIGITS) {
        return NULL;
    }
    if (!sign(altcha, subject, apr_pstrmemdup(pool, text, EXPIRES_DIGITS + 1 + FG_CLEARANCE_NONCE),
              signature, pool) ||
        !fg_digest_equal(signature, nonce + FG_CLEARANCE_NONCE + 1)) {
        return NULL;
    }
    return apr_strtoi64(text, NULL, 16) > apr_time_sec(now) ? nonce : NULL;
}
