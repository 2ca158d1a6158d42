/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file digest.h
 * @brief What altcha.c and clearance.c need of OpenSSL: SHA-256, HMAC-SHA-256, random bytes.
 */
#ifndef FG_DIGEST_H
#define FG_DIGEST_H

#include <apr_pools.h>

/** Bytes of a hash in hex, with its NUL. */
#define FG_DIGEST_HEX 65

typedef struct fg_digest fg_digest_t;

/**
 * Prepare hashing under a key. Any thread may use it.
 * @param digest set on success; a cleanup of `pool` frees what OpenSSL holds
 * @param key  bytes of the HMAC's key, copied
 * @param len  how many
 * @return APR_SUCCESS, or APR_EGENERAL if OpenSSL has no SHA-256 or HMAC
 */
apr_status_t fg_digest_create(fg_digest_t **digest, const char *key, apr_size_t len,
                              apr_pool_t *pool);

/** Hex SHA-256 of `len` bytes. @return 1, or 0 if OpenSSL failed */
int fg_digest_sha256(const fg_digest_t *digest, const char *text, apr_size_t len,
                     char out[FG_DIGEST_HEX]);

/** Hex HMAC-SHA-256 of a text. @return 1, or 0 if OpenSSL failed */
int fg_digest_sign(const fg_digest_t *digest, const char *text, char out[FG_DIGEST_HEX]);

/** 1 if two texts are equal; how long it takes tells nothing but their lengths. */
int fg_digest_equal(const char *a, const char *b);

/** Fill with random bytes. @return 1, or 0 if there are none */
int fg_digest_random(unsigned char *out, apr_size_t len);

#endif
