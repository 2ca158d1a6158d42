/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL 3 calls this part of its interface deprecated and goes on to ship it. In its place stand
 * contexts from the heap, of which each HMAC copies three: they cost more than the hash. Here the
 * hash's state is a value, and an HMAC (RFC 2104) starts with its key hashed already.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "digest.h"

#include <string.h>

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#define HASH_BYTES SHA256_DIGEST_LENGTH

struct fg_digest {
    SHA256_CTX inner; /* with the padded key in it */
    SHA256_CTX outer;
};

static int hash(const void *data, apr_size_t len, unsigned char out[HASH_BYTES])
{
    SHA256_CTX ctx;

    return SHA256_Init(&ctx) && SHA256_Update(&ctx, data, len) && SHA256_Final(out, &ctx);
}

/* A hash that has read the key, padded to a block, each byte of it changed. */
static int start_with(SHA256_CTX *ctx, const unsigned char block[SHA256_CBLOCK], int change)
{
    unsigned char pad[SHA256_CBLOCK];
    int done;
    int i;

    for (i = 0; i < SHA256_CBLOCK; i++) {
        pad[i] = (unsigned char)(block[i] ^ change);
    }
    done = SHA256_Init(ctx) && SHA256_Update(ctx, pad, sizeof(pad));
    OPENSSL_cleanse(pad, sizeof(pad));
    return done;
}

static apr_status_t wipe(void *data)
{
    OPENSSL_cleanse(data, sizeof(fg_digest_t));
    return APR_SUCCESS;
}

static int prepare(fg_digest_t *digest, const char *key, apr_size_t len)
{
    unsigned char block[SHA256_CBLOCK] = {0};
    int done = 1;

    if (len > sizeof(block)) {
        done = hash(key, len, block);
    }
    else {
        memcpy(block, key, len);
    }
    done =
        done && start_with(&digest->inner, block, 0x36) && start_with(&digest->outer, block, 0x5c);
    OPENSSL_cleanse(block, sizeof(block));
    return done;
}

static int sign(const fg_digest_t *digest, const char *text, unsigned char out[HASH_BYTES])
{
    SHA256_CTX inner = digest->inner, outer = digest->outer;

    return SHA256_Update(&inner, text, strlen(text)) && SHA256_Final(out, &inner) &&
           SHA256_Update(&outer, out, HASH_BYTES) && SHA256_Final(out, &outer);
}

apr_status_t fg_digest_create(fg_digest_t **digest, const char *key, apr_size_t len,
                              apr_pool_t *pool)
{
    fg_digest_t *made = apr_pcalloc(pool, sizeof(*made));

    apr_pool_cleanup_register(pool, made, wipe, apr_pool_cleanup_null);
    if (!prepare(made, key, len)) {
        return APR_EGENERAL;
    }
    *digest = made;
    return APR_SUCCESS;
}

static char letter(unsigned char four_bits)
{
    return (char)('0' + four_bits + (four_bits > 9) * ('a' - '9' - 1));
}

/* Without a table, which a neighbour on the processor could see read. */
static void spell(char *restrict out, const unsigned char *restrict bytes)
{
    int i;

    for (i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = letter(bytes[i] >> 4);
        out[2 * i + 1] = letter(bytes[i] & 15);
    }
    out[2 * HASH_BYTES] = '\0';
}

int fg_digest_sha256(const char *text, apr_size_t len, char out[FG_DIGEST_HEX])
{
    unsigned char bytes[HASH_BYTES];

    if (!hash(text, len, bytes)) {
        return 0;
    }
    spell(out, bytes);
    return 1;
}

int fg_digest_sign(const fg_digest_t *digest, const char *text, char out[FG_DIGEST_HEX])
{
    unsigned char bytes[HASH_BYTES];

    if (!sign(digest, text, bytes)) {
        return 0;
    }
    spell(out, bytes);
    return 1;
}

int fg_digest_equal(const char *a, const char *b)
{
    size_t len = strlen(a);

    return strlen(b) == len && CRYPTO_memcmp(a, b, len) == 0;
}

int fg_digest_random(unsigned char *out, apr_size_t len)
{
    return RAND_bytes(out, (int)len) == 1;
}
