/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file altcha.h
 * @brief The captcha built in: challenges of ALTCHA version 1 made, and their solutions judged,
 *        without anything kept between the two (https://altcha.org/docs/v2/proof-of-work-v1).
 *
 *     salt       RANDOM?expires=UNIXTIME&life=SECONDS&form=HASH&client=HASH&
 *     challenge  hex SHA-256(salt || number in decimal)
 *     signature  hex HMAC-SHA-256(key, challenge)
 *
 * The visitor's browser looks for the number. What a solution is good for stands in the salt, which
 * the signature covers by way of the challenge; the hashes are keyed. The salt ends in `&`: or a
 * digit could be moved from the number to the end of the expiry and give the same challenge.
 */
#ifndef FG_ALTCHA_H
#define FG_ALTCHA_H

#include <apr_pools.h>

#include "address.h"
#include "captcha.h"

/** Bytes of a signing key. */
#define FG_ALTCHA_KEY_BYTES 32

/** Bytes of what names a challenge among those solved, with its NUL. */
#define FG_ALTCHA_ID_MAX 65

typedef struct fg_altcha fg_altcha_t;

/** What a solution shall be good for. */
typedef struct fg_altcha_subject {
    const char *host;           /**< virtual host */
    const char *path;           /**< URL path the form is posted to, as the client asks for it */
    const fg_address_t *client; /**< its neighbourhood (/24, /48) counts */
    const char *page;           /**< path a solution may be for besides, or NULL: where the form of
                                     a page is sent to, when a script of it posts elsewhere */
} fg_altcha_subject_t;

/** A challenge of ours that was solved. */
typedef struct fg_altcha_solved {
    char id[FG_ALTCHA_ID_MAX]; /**< names it among those solved; "": it is none of ours */
    apr_interval_time_t life;  /**< for how long it was good when it was made, microseconds */
} fg_altcha_solved_t;

/** How much work a challenge is: a number up to `base`, on average half of that many hashes. It
 * doubles with every FG_ALTCHA_STEP challenges the client has asked for lately, up to `most`. */
typedef struct fg_difficulty {
    apr_uint32_t base; /**< 0: not set */
    apr_uint32_t most;
} fg_difficulty_t;

#define FG_ALTCHA_STEP 8

/** Least and most that can be configured; a telephone takes about a minute for the most. */
#define FG_ALTCHA_LEAST 1000
#define FG_ALTCHA_MOST  10000000

/**
 * What makes and judges challenges. Any thread may use it.
 * @param altcha set on success
 * @param key    FG_ALTCHA_KEY_BYTES random bytes, copied
 * @param pool   owns it
 * @return APR_SUCCESS, or APR_EGENERAL if OpenSSL has no HMAC-SHA-256
 */
apr_status_t fg_altcha_create(fg_altcha_t **altcha, const unsigned char *key, apr_pool_t *pool);

/**
 * Largest number of the next challenge.
 * @param difficulty as configured
 * @param recent     how many challenges the client has asked for lately, this one included
 */
apr_uint32_t fg_altcha_work(const fg_difficulty_t *difficulty, apr_uint32_t recent);

/**
 * Make a challenge.
 * @param subject what its solution shall be good for
 * @param work    the largest number, 1 or more
 * @param now     wall clock in microseconds
 * @param life    how long it is good, microseconds
 * @param pool    owns the text
 * @return the JSON the widget asks for; NULL if there is no randomness
 */
const char *fg_altcha_challenge(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                                apr_uint32_t work, apr_time_t now, apr_interval_time_t life,
                                apr_pool_t *pool);

/**
 * Judge a solution: base64 of JSON with `algorithm`, `challenge`, `number`, `salt`, `signature`.
 * Whether it was used before is for the caller to know.
 * @param token  NUL-terminated, well formed
 * @param now    wall clock in microseconds
 * @param most   how old the challenge may be where it is judged, microseconds
 * @param result filled in always: FG_ACCEPTED, FG_CAPTCHA_SHAPE, FG_CAPTCHA_EXPIRED or
 *               FG_CAPTCHA_REJECTED
 * @param solved filled in always
 * @param pool   for parsing; owns result->detail
 */
void fg_altcha_judge(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                     const char *token, apr_time_t now, apr_interval_time_t most,
                     fg_captcha_result_t *result, fg_altcha_solved_t *solved, apr_pool_t *pool);

/** What it signs with: for clearance.c. */
const struct fg_digest *fg_altcha_digest(const fg_altcha_t *altcha);

/**
 * The key as text: what other implementations of ALTCHA take as `hmacKey`.
 * @param text 2 * FG_ALTCHA_KEY_BYTES + 1 bytes
 */
void fg_altcha_key_text(const unsigned char *key, char *text);

#endif
