/* SPDX-License-Identifier: Apache-2.0 */
/* What it costs to check one solution, scheme by scheme, beside the limits that come before it, and
 * what a robot with a solver in C pays. Every figure is the median of several rounds, taken in
 * turn. Called by run. */
#define OPENSSL_SUPPRESS_DEPRECATED 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <apr_general.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "counters.h"

#define ROUNDS  9
#define ENTRIES 262144U

typedef unsigned int (*work_t)(unsigned int times, unsigned int cost);

typedef struct row {
    const char *name;
    work_t work;
    unsigned int cost;
    unsigned int times;
    double ns[ROUNDS];
} row_t;

static const char KEY[] = "0123456789abcdef0123456789abcdef";
static const char SALT[] = "221e6d06eb2ace63aaf86214?expires=1795303935&";
static const char PARAMETERS[] =
    "{\"algorithm\":\"PBKDF2/SHA-256\",\"cost\":1000,\"expiresAt\":1795303935,\"keyLength\":32,"
    "\"keyPrefix\":\"00\",\"nonce\":\"00112233445566778899aabbccddeeff\","
    "\"salt\":\"00112233445566778899aabbccddeeff\"}";
static fg_counters_t *counters;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* SHA256() of OpenSSL 3 looks its algorithm up each time, which costs more than the digest: a robot
 * would not use it. */
static void digest_of(const void *data, size_t len, unsigned char *digest)
{
    SHA256_CTX c;

    SHA256_Init(&c);
    SHA256_Update(&c, data, len);
    SHA256_Final(digest, &c);
}

static unsigned int sign(const void *data, size_t len)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    HMAC(EVP_sha256(), KEY, sizeof(KEY) - 1, data, len, mac, &n);
    return mac[0];
}

static void hex(char *out, const unsigned char *in, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < len; i++) {
        out[2 * i] = digit[in[i] >> 4];
        out[2 * i + 1] = digit[in[i] & 15];
    }
}

/* The limits of a usual policy: ip with two rates, net, form. */
static unsigned int limits(unsigned int times, unsigned int cost)
{
    const fg_rate_t rate = {FG_RATE_MAX_COUNT, apr_time_from_sec(600)};
    unsigned int i, rule, sum = cost;

    for (i = 0; i < times; i++) {
        apr_uint32_t address = i * 2654435761U;

        for (rule = 0; rule < 4; rule++) {
            sum += (unsigned int)fg_counters_consume(
                       counters, fg_counters_key(counters, rule, 0, &address, sizeof(address)),
                       &rate, 1, apr_time_from_sec(1000), NULL)
                       .used;
        }
    }
    return sum;
}

static unsigned int v1_check(unsigned int times, unsigned int cost)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH];
    char data[96];
    unsigned int i, sum = cost;

    for (i = 0; i < times; i++) {
        int len = snprintf(data, sizeof(data), "%s%u", SALT, i);

        SHA256((const unsigned char *)data, (size_t)len, digest);
        hex(text, digest, sizeof(digest));
        sum += sign(text, sizeof(text));
    }
    return sum;
}

/* With contexts that are kept between checks, as a process could. */
static unsigned int v1_kept(unsigned int times, unsigned int cost)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH];
    char data[96];
    HMAC_CTX *mac = HMAC_CTX_new();
    unsigned int i, n, sum = cost;

    HMAC_Init_ex(mac, KEY, sizeof(KEY) - 1, EVP_sha256(), NULL);
    for (i = 0; i < times; i++) {
        int len = snprintf(data, sizeof(data), "%s%u", SALT, i);

        digest_of(data, (size_t)len, digest);
        hex(text, digest, sizeof(digest));
        HMAC_Init_ex(mac, NULL, 0, NULL, NULL);
        HMAC_Update(mac, (const unsigned char *)text, sizeof(text));
        HMAC_Final(mac, digest, &n);
        sum += digest[0];
    }
    HMAC_CTX_free(mac);
    return sum;
}

/* The same digests without the signature: what a robot does for each number it tries. */
static unsigned int v1_try(unsigned int times, unsigned int cost)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char data[96];
    unsigned int i, sum = cost;

    for (i = 0; i < times; i++) {
        int len = snprintf(data, sizeof(data), "%s%u", SALT, i);

        digest_of(data, (size_t)len, digest);
        sum += digest[0];
    }
    return sum;
}

static unsigned int v2_sha_try(unsigned int times, unsigned int cost)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    unsigned char data[36] = {0};
    unsigned int i, n, sum = 0;

    for (i = 0; i < times; i++) {
        memcpy(data + 32, &i, sizeof(i));
        digest_of(data, sizeof(data), digest);
        for (n = 1; n < cost; n++) {
            digest_of(digest, sizeof(digest), digest);
        }
        sum += digest[0];
    }
    return sum;
}

static unsigned int v2_pbkdf2_try(unsigned int times, unsigned int cost)
{
    unsigned char out[32];
    unsigned char password[20] = {0};
    unsigned int i, sum = 0;

    for (i = 0; i < times; i++) {
        memcpy(password + 16, &i, sizeof(i));
        PKCS5_PBKDF2_HMAC((const char *)password, sizeof(password), (const unsigned char *)SALT, 16,
                          (int)cost, EVP_sha256(), sizeof(out), out);
        sum += out[0];
    }
    return sum;
}

static unsigned int v2_sha_check(unsigned int times, unsigned int cost)
{
    unsigned int i, sum = 0;

    for (i = 0; i < times; i++) {
        sum += sign(PARAMETERS, sizeof(PARAMETERS) - 1) + v2_sha_try(1, cost);
    }
    return sum;
}

static unsigned int v2_pbkdf2_check(unsigned int times, unsigned int cost)
{
    unsigned int i, sum = 0;

    for (i = 0; i < times; i++) {
        sum += sign(PARAMETERS, sizeof(PARAMETERS) - 1) + v2_pbkdf2_try(1, cost);
    }
    return sum;
}

/* With keySignature: the derived key is not derived again, but making the challenge derived it. */
static unsigned int v2_key_check(unsigned int times, unsigned int cost)
{
    unsigned int i, sum = cost;

    for (i = 0; i < times; i++) {
        sum += sign(PARAMETERS, sizeof(PARAMETERS) - 1) + sign(&i, sizeof(i));
    }
    return sum;
}

static row_t rows[] = {{"limits", limits, 0, 100000, {0}},
                       {"v1 check", v1_check, 0, 20000, {0}},
                       {"v1-kept check", v1_kept, 0, 20000, {0}},
                       {"v2-key check", v2_key_check, 0, 20000, {0}},
                       {"v2-sha check", v2_sha_check, 100, 500, {0}},
                       {"v2-sha check", v2_sha_check, 1000, 50, {0}},
                       {"v2-pbkdf2 check", v2_pbkdf2_check, 100, 300, {0}},
                       {"v2-pbkdf2 check", v2_pbkdf2_check, 1000, 30, {0}},
                       {"v2-pbkdf2 check", v2_pbkdf2_check, 5000, 6, {0}},
                       {"v1 try", v1_try, 0, 50000, {0}},
                       {"v2-sha try", v2_sha_try, 100, 500, {0}},
                       {"v2-sha try", v2_sha_try, 1000, 50, {0}},
                       {"v2-pbkdf2 try", v2_pbkdf2_try, 100, 300, {0}},
                       {"v2-pbkdf2 try", v2_pbkdf2_try, 1000, 30, {0}},
                       {"v2-pbkdf2 try", v2_pbkdf2_try, 5000, 6, {0}}};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* name <tab> cost <tab> nanoseconds */
int main(void)
{
    const size_t n = sizeof(rows) / sizeof(rows[0]);
    apr_size_t size;
    unsigned int sum = 0, round;
    apr_pool_t *pool;
    void *mem;
    size_t i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    size = fg_counters_size(ENTRIES);
    mem = aligned_alloc(64, (size + 63) / 64 * 64);
    if (mem == NULL || fg_counters_format(mem, size, ENTRIES, (const unsigned char *)KEY) != 0 ||
        fg_counters_attach(&counters, mem, size, pool) != 0) {
        fprintf(stderr, "no table\n");
        return 1;
    }
    for (round = 0; round < ROUNDS; round++) {
        for (i = 0; i < n; i++) {
            const double start = now_ns();

            sum += rows[i].work(rows[i].times, rows[i].cost);
            rows[i].ns[round] = (now_ns() - start) / rows[i].times;
        }
    }
    for (i = 0; i < n; i++) {
        qsort(rows[i].ns, ROUNDS, sizeof(double), by_value);
        printf("%s\t%u\t%.0f\n", rows[i].name, rows[i].cost, rows[i].ns[ROUNDS / 2]);
    }
    fprintf(stderr, "(checksum %u)\n", sum);
    return 0;
}
