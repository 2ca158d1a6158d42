/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file envelope.h
 * @brief A body that was posted, as text that a page can hold in a hidden field and post again: the
 *        captcha is answered on that page, and nothing is kept on the server.
 *
 *     SEAL.EXPIRES.AGAIN.FRESH.TYPE.BODY    hex, hex, 0 or 1, hex, base64url, base64url
 *
 * SEAL says that this body was posted to this form: whatever stands in front of us (a firewall that
 * reads bodies) has seen it as it is, and not in base64. So nothing else is ever unpacked. FRESH
 * says for whom and until when the answer beside it counts. Both are HMAC-SHA-256.
 */
#ifndef FG_ENVELOPE_H
#define FG_ENVELOPE_H

#include "altcha.h"

/** The hidden field. It comes first in the page's form. */
#define FG_ENVELOPE_FIELD "formguard-kept"

/**
 * Largest body that is put into one, bytes. The page then posts 88 KiB: below what ModSecurity's
 * recommended configuration takes of a form without files (SecRequestBodyNoFilesLimit, 128 KiB).
 */
#define FG_ENVELOPE_BODY_MAX (64 * 1024)

/** Longest Content-Type that is. */
#define FG_ENVELOPE_TYPE_MAX 200

/** What is in one. */
typedef struct fg_envelope {
    const char *type;      /**< Content-Type as it was sent, or NULL */
    const char *body;      /**< any bytes; NUL behind them */
    apr_size_t len;        /**< bytes */
    int fallback;          /**< 1: asked for in place of a captcha service that failed */
    int fresh;             /**< set on opening: not expired, and this client's */
    const char *answer;    /**< set on opening: the captcha's answer beside it, or NULL */
    apr_size_t answer_len; /**< bytes that were posted of it; over strlen(answer) it is none */
} fg_envelope_t;

/**
 * 1 if a body can be put into one: it is short enough, and of a type that a form without script
 * posts. Of others no page could post it before, so none shall be able to by means of this.
 * @param type Content-Type, or NULL
 */
int fg_envelope_takes(const char *type, apr_off_t len);

/** Longest post that a page with a body of `len` bytes makes of it, answer included, bytes. */
apr_off_t fg_envelope_post_len(apr_off_t len);

/**
 * Put a body into an envelope.
 * @param subject  the form it was posted to, and who has
 * @param envelope `type`, `body`, `len` and `fallback`; fg_envelope_takes() it
 * @param expires  wall clock, microseconds
 * @param pool     owns the text
 * @return the hidden field's value: letters, digits, `.`, `-`, `_`; NULL if OpenSSL failed
 */
const char *fg_envelope_seal(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                             const fg_envelope_t *envelope, apr_time_t expires, apr_pool_t *pool);

/** 1 if a post says that it holds an envelope. @param type its Content-Type, or NULL */
int fg_envelope_is(const char *type, const char *post, apr_size_t len);

/**
 * Open the envelope in a post of which fg_envelope_is() says so.
 * @param subject  the form it is posted to, and who does
 * @param post     the body of the post
 * @param now      wall clock, microseconds
 * @param envelope filled in
 * @param pool     owns what is in it
 * @return 1, or 0: nothing we have sealed for this form
 */
int fg_envelope_open(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                     const char *post, apr_size_t len, apr_time_t now, fg_envelope_t *envelope,
                     apr_pool_t *pool);

#endif
