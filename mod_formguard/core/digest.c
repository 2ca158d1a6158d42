/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <string.h>

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#define HASH_BYTES 32

/*
 * OpenSSL 3 looks an algorithm up by name at each one-shot HMAC() or SHA256(), which costs several
 * times the hash. So it is looked up once, and a context that has the key in it is copied.
 */
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#define FETCHED 1
#else
#define FETCHED 0
#endif

struct fg_digest {
#if FETCHED
    EVP_MD *md;
    EVP_MAC *mac;
    EVP_MAC_CTX *keyed;
#else
    const EVP_MD *md;
    const char *key;
    apr_size_t key_len;
#endif
};

#if FETCHED
static apr_status_t destroy(void *data)
{
    fg_digest_t *digest = data;

    EVP_MAC_CTX_free(digest->keyed);
    EVP_MAC_free(digest->mac);
    EVP_MD_free(digest->md);
    return APR_SUCCESS;
}

static int prepare(fg_digest_t *digest, const char *key, apr_size_t len, apr_pool_t *pool)
{
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0),
                           OSSL_PARAM_construct_end()};

    apr_pool_cleanup_register(pool, digest, destroy, apr_pool_cleanup_null);
    digest->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    digest->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    digest->keyed = digest->mac != NULL ? EVP_MAC_CTX_new(digest->mac) : NULL;
    return digest->md != NULL && digest->keyed != NULL &&
           EVP_MAC_init(digest->keyed, (const unsigned char *)key, len, params);
}

static int sign(const fg_digest_t *digest, const char *text, unsigned char out[HASH_BYTES])
{
    EVP_MAC_CTX *copy = EVP_MAC_CTX_dup(digest->keyed);
    size_t len = 0;
    int done = copy != NULL && EVP_MAC_update(copy, (const unsigned char *)text, strlen(text)) &&
               EVP_MAC_final(copy, out, &len, HASH_BYTES) && len == HASH_BYTES;

    EVP_MAC_CTX_free(copy);
    return done;
}
#else
static int prepare(fg_digest_t *digest, const char *key, apr_size_t len, apr_pool_t *pool)
{
    digest->md = EVP_sha256();
    digest->key = apr_pmemdup(pool, key, len);
    digest->key_len = len;
    return 1;
}

static int sign(const fg_digest_t *digest, const char *text, unsigned char out[HASH_BYTES])
{
    unsigned int len = 0;

    return HMAC(digest->md, digest->key, (int)digest->key_len, (const unsigned char *)text,
                strlen(text), out, &len) != NULL &&
           len == HASH_BYTES;
}
#endif

apr_status_t fg_digest_create(fg_digest_t **digest, const char *key, apr_size_t len,
                              apr_pool_t *pool)
{
    fg_digest_t *made = apr_pcalloc(pool, sizeof(*made));

    if (!prepare(made, key, len, pool)) {
        return APR_EGENERAL;
    }
    *digest = made;
    return APR_SUCCESS;
}

static void spell(char out[FG_DIGEST_HEX], const unsigned char bytes[HASH_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    int i;

    for (i = 0; i < HASH_BYTES; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

int fg_digest_sha256(const fg_digest_t *digest, const char *text, apr_size_t len,
                     char out[FG_DIGEST_HEX])
{
    unsigned char bytes[HASH_BYTES];
    unsigned int size = 0;

    if (!EVP_Digest(text, len, bytes, &size, digest->md, NULL) || size != HASH_BYTES) {
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
