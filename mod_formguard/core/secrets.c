/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file secrets.c
 * @brief A word a secret: identity:62 state:2. 0: every secret that belongs there works.
 *
 * A secret belongs in one cell, so a change is one compare-and-swap. Where two that fail belong in
 * the same one the later takes it, and the other is said once more: there are many more cells than
 * wrong secrets.
 */
#include "secrets.h"

#include <stdatomic.h>
#include <string.h>

#include <apr_siphash.h>

#include "shared.h"

#define MAGIC   APR_UINT64_C(0x6667736563726574)
#define VERSION 1

#define CELLS 4096

/* Longest service and secret that count; a secret of the configuration has 256 bytes at most. */
#define NAME_MAX_LEN 512

struct fg_secrets {
    fg_shared_header_t header;
    fg_shared_word_t cell[CELLS];
};

apr_size_t fg_secrets_size(void)
{
    return sizeof(fg_secrets_t);
}

apr_status_t fg_secrets_format(void *mem, apr_size_t size, const unsigned char secret[16])
{
    return fg_shared_format(mem, size, sizeof(fg_secrets_t), MAGIC, VERSION, secret);
}

fg_secrets_t *fg_secrets_attach(void *mem, apr_size_t size)
{
    return fg_shared_is(mem, size, sizeof(fg_secrets_t), MAGIC, VERSION) ? mem : NULL;
}

static apr_uint64_t hash(const fg_secrets_t *secrets, const char *service, const char *secret)
{
    unsigned char name[NAME_MAX_LEN];
    apr_size_t service_len = strlen(service) + 1;
    apr_size_t secret_len = strlen(secret);

    service_len = service_len < NAME_MAX_LEN / 2 ? service_len : NAME_MAX_LEN / 2;
    if (secret_len > NAME_MAX_LEN - service_len) {
        secret_len = NAME_MAX_LEN - service_len;
    }
    memcpy(name, service, service_len);
    memcpy(name + service_len, secret, secret_len);
    return apr_siphash24(name, service_len + secret_len, secrets->header.secret);
}

int fg_secrets_note(fg_secrets_t *secrets, const char *service, const char *secret,
                    fg_secret_state_t state)
{
    apr_uint64_t identity = hash(secrets, service, secret) | 3;
    fg_shared_word_t *cell = &secrets->cell[(identity >> 2) % CELLS];
    apr_uint64_t word = atomic_load(cell);

    for (;;) {
        int known = word != 0 && (word | 3) == identity;
        apr_uint64_t before = known ? word & 3 : FG_SECRET_WORKS;
        apr_uint64_t after = state == FG_SECRET_WORKS ? 0 : (identity ^ 3) | (apr_uint64_t)state;

        if (before == (apr_uint64_t)state) {
            return 0;
        }
        if (atomic_compare_exchange_strong(cell, &word, after)) {
            return 1;
        }
    }
}
