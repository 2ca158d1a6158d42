/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file secrets.h
 * @brief Which secrets their services refuse, in shared memory: so that it is said once, and once
 *        more when they work again. Holds hashes, no secret.
 */
#ifndef FG_SECRETS_H
#define FG_SECRETS_H

#include <apr_errno.h>

typedef struct fg_secrets fg_secrets_t;

/** How a service takes a secret. */
typedef enum fg_secret_state {
    FG_SECRET_WORKS,
    FG_SECRET_REFUSED, /**< it does not know it, or none is set */
    FG_SECRET_QUOTA    /**< it was used too often */
} fg_secret_state_t;

/** Bytes of memory. */
apr_size_t fg_secrets_size(void);

/**
 * Make a table in which every secret works.
 * @param mem    fg_secrets_size() bytes, aligned to 8
 * @param size   bytes of it
 * @param secret 16 random bytes that key the hash
 * @return APR_SUCCESS, or APR_EINVAL if the memory is no good
 */
apr_status_t fg_secrets_format(void *mem, apr_size_t size, const unsigned char secret[16]);

/** @return what fg_secrets_format() made of the memory, or NULL if it is not that */
fg_secrets_t *fg_secrets_attach(void *mem, apr_size_t size);

/**
 * Note what a service has said of a secret.
 * @param service its URL
 * @param secret  the secret; where none is set, what names its site
 * @return 1 if that is news, to be logged by this caller: in all processes one is told
 */
int fg_secrets_note(fg_secrets_t *secrets, const char *service, const char *secret,
                    fg_secret_state_t state);

#endif
