/* SPDX-License-Identifier: Apache-2.0 */
#include "altcha.h"

#include <string.h>

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_siphash.h>
#include <apr_strings.h>

#include "digest.h"
#include "altcha_solution.h"
#include "captcha_reply.h"

#define ALGORITHM "SHA-256"

/* Random bytes of a salt. */
#define NONCE 12

/* Longest solution, base64: ours are near 400 bytes, other members included. */
#define TOKEN_MAX 2048

/* Visitors type for long; once a challenge has expired the widget wants to be pressed again. */
#define LIFE apr_time_from_sec(20 * 60)

struct fg_altcha {
    fg_digest_t *digest;
    unsigned char bind[APR_SIPHASH_KSIZE]; /* keys what a salt says of form and client */
};

const fg_captcha_provider_t fg_captcha_altcha = {
    .name = "altcha",
    .field = "altcha",
    .life = LIFE,
    .token_max = TOKEN_MAX,
};

void fg_altcha_key_text(const unsigned char *key, char *text)
{
    apr_escape_hex(text, key, FG_ALTCHA_KEY_BYTES, 0, NULL);
}

apr_status_t fg_altcha_create(fg_altcha_t **altcha, const unsigned char *key, apr_pool_t *pool)
{
    static const unsigned char label[APR_SIPHASH_KSIZE] = "formguard bind";
    fg_altcha_t *made = apr_pcalloc(pool, sizeof(*made));
    char text[2 * FG_ALTCHA_KEY_BYTES + 1];
    apr_uint64_t half;
    apr_status_t rv;

    fg_altcha_key_text(key, text);
    rv = fg_digest_create(&made->digest, text, strlen(text), pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    half = apr_siphash24(text, strlen(text), label);
    memcpy(made->bind, &half, sizeof(half));
    half = apr_siphash24(text, strlen(text) - 1, label);
    memcpy(made->bind + sizeof(half), &half, sizeof(half));
    *altcha = made;
    return APR_SUCCESS;
}

const fg_digest_t *fg_altcha_digest(const fg_altcha_t *altcha)
{
    return altcha->digest;
}

apr_uint32_t fg_altcha_work(const fg_difficulty_t *difficulty, apr_uint32_t recent)
{
    apr_uint32_t work = difficulty->base;
    apr_uint32_t steps = recent == 0 ? 0 : (recent - 1) / FG_ALTCHA_STEP;

    while (steps-- > 0 && work < difficulty->most) {
        work = work > difficulty->most / 2 ? difficulty->most : work * 2;
    }
    return work;
}

/* --- what a solution is good for -------------------------------------------------------------- */

static apr_uint64_t bind_form(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                              const char *path, apr_pool_t *pool)
{
    const char *form = apr_pstrcat(pool, "form\n", subject->host, "\n", path, NULL);

    return apr_siphash24(form, strlen(form), altcha->bind);
}

static int is_of_form(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                      apr_uint64_t form, apr_pool_t *pool)
{
    return form == bind_form(altcha, subject, subject->path, pool) ||
           (subject->page != NULL && form == bind_form(altcha, subject, subject->page, pool));
}

static apr_uint64_t bind_client(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject)
{
    unsigned char net[FG_ADDRESS_KEY_MAX + 1];
    apr_size_t len = fg_address_net_key(subject->client, net);

    net[len] = 'c';
    return apr_siphash24(net, len + 1, altcha->bind);
}

/* The challenge that salt, of FG_ALTCHA_SALT_MAX bytes at most, and number make. */
static int make_challenge(const fg_altcha_t *altcha, const char *salt, apr_uint64_t number,
                          char out[FG_ALTCHA_ID_MAX])
{
    char text[FG_ALTCHA_SALT_MAX + 24];
    char digits[24];
    char *first = digits + sizeof(digits);
    apr_size_t len = strlen(salt);

    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(text, salt, len);
    memcpy(text + len, first, (apr_size_t)(digits + sizeof(digits) - first));
    len += (apr_size_t)(digits + sizeof(digits) - first);
    return fg_digest_sha256(altcha->digest, text, len, out);
}

/* --- making ----------------------------------------------------------------------------------- */

const char *fg_altcha_challenge(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                                apr_uint32_t work, apr_time_t now, apr_interval_time_t life,
                                apr_pool_t *pool)
{
    unsigned char random[NONCE + sizeof(apr_uint64_t)];
    char nonce[2 * NONCE + 1];
    char challenge[FG_ALTCHA_ID_MAX];
    char signature[FG_ALTCHA_ID_MAX];
    apr_uint64_t number;
    const char *salt;

    if (!fg_digest_random(random, sizeof(random))) {
        return NULL;
    }
    memcpy(&number, random + NONCE, sizeof(number));
    apr_escape_hex(nonce, random, NONCE, 0, NULL);
    salt =
        apr_psprintf(pool,
                     "%s?expires=%" APR_TIME_T_FMT "&life=%" APR_TIME_T_FMT
                     "&form=%016" APR_UINT64_T_HEX_FMT "&client=%016" APR_UINT64_T_HEX_FMT "&",
                     nonce, apr_time_sec(now + life), apr_time_sec(life),
                     bind_form(altcha, subject, subject->path, pool), bind_client(altcha, subject));
    if (!make_challenge(altcha, salt, number % ((apr_uint64_t)work + 1), challenge) ||
        !fg_digest_sign(altcha->digest, challenge, signature)) {
        return NULL;
    }
    return apr_psprintf(pool,
                        "{\"algorithm\":\"" ALGORITHM "\",\"challenge\":\"%s\",\"maxnumber\":%u,"
                        "\"salt\":\"%s\",\"signature\":\"%s\"}",
                        challenge, work, salt, signature);
}

/* --- judging ---------------------------------------------------------------------------------- */

/* What a salt says. */
typedef struct salt {
    apr_int64_t expires; /* seconds */
    apr_int64_t life;    /* seconds */
    apr_uint64_t form;
    apr_uint64_t client;
} salt_t;

/* `name=HEX&`, sixteen digits. */
static const char *hash_at(const char *p, const char *name, apr_uint64_t *value)
{
    apr_size_t len = strlen(name);
    int i;

    if (strncmp(p, name, len) != 0) {
        return NULL;
    }
    *value = 0;
    for (p += len, i = 0; i < 16; i++, p++) {
        unsigned int digit = (unsigned int)*p - '0';

        if (digit > 9) {
            digit = (unsigned int)*p - 'a' + 10;
            if (digit < 10 || digit > 15) {
                return NULL;
            }
        }
        *value = *value << 4 | digit;
    }
    return *p == '&' ? p + 1 : NULL;
}

/* `name=DIGITS&` */
static const char *number_at(const char *p, const char *name, apr_int64_t *value)
{
    apr_size_t len = strlen(name);
    int digits;

    if (strncmp(p, name, len) != 0) {
        return NULL;
    }
    *value = 0;
    for (p += len, digits = 0; apr_isdigit(*p) && digits < 12; p++, digits++) {
        *value = *value * 10 + (*p - '0');
    }
    return digits > 0 && *p == '&' ? p + 1 : NULL;
}

/* Exactly as we write it: nothing of a salt is left to interpretation. What was never good would
 * not be remembered as used. */
static int read_salt(salt_t *out, const char *salt)
{
    const char *p = salt + strspn(salt, "0123456789abcdef");

    if (p - salt != 2 * NONCE || *p != '?') {
        return 0;
    }
    p = number_at(p + 1, "expires=", &out->expires);
    p = p != NULL ? number_at(p, "life=", &out->life) : NULL;
    p = p != NULL ? hash_at(p, "form=", &out->form) : NULL;
    p = p != NULL ? hash_at(p, "client=", &out->client) : NULL;
    return p != NULL && *p == '\0' && out->life > 0;
}

/* 1 if number and salt make the challenge, and the challenge is one of ours. */
static int is_solved(const fg_altcha_t *altcha, const fg_altcha_solution_t *solution)
{
    char challenge[FG_ALTCHA_ID_MAX];
    char signature[FG_ALTCHA_ID_MAX];

    return make_challenge(altcha, solution->salt, (apr_uint64_t)solution->number, challenge) &&
           fg_digest_equal(challenge, solution->challenge) &&
           fg_digest_sign(altcha->digest, challenge, signature) &&
           fg_digest_equal(signature, solution->signature);
}

void fg_altcha_judge(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                     const char *token, apr_time_t now, apr_interval_time_t most,
                     fg_captcha_result_t *result, fg_altcha_solved_t *solved, apr_pool_t *pool)
{
    apr_int64_t seconds = apr_time_sec(now);
    fg_altcha_solution_t solution;
    salt_t salt;

    memset(result, 0, sizeof(*result));
    memset(solved, 0, sizeof(*solved));
    if (!fg_altcha_solution_read(&solution, token, pool) ||
        strcmp(solution.algorithm, ALGORITHM) != 0) {
        fg_result_judged(result, FG_CAPTCHA_SHAPE, "no-solution");
        return;
    }
    if (!read_salt(&salt, solution.salt) || !is_solved(altcha, &solution)) {
        fg_result_judged(result, FG_CAPTCHA_REJECTED, "not-solved");
        return;
    }
    memcpy(solved->id, solution.challenge, strlen(solution.challenge) + 1);
    solved->life = apr_time_from_sec(salt.life);
    if (!is_of_form(altcha, subject, salt.form, pool)) {
        fg_result_judged(result, FG_CAPTCHA_REJECTED, "solved-for=another-form");
    }
    else if (salt.client != bind_client(altcha, subject)) {
        fg_result_judged(result, FG_CAPTCHA_REJECTED, "solved-for=another-client");
    }
    else if (salt.expires <= seconds || salt.expires - salt.life + apr_time_sec(most) <= seconds) {
        fg_result_judged(result, FG_CAPTCHA_EXPIRED, NULL);
    }
    else {
        fg_result_judged(result, FG_ACCEPTED, NULL);
    }
}
