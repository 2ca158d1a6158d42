/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope.h"

#include <string.h>

#include <apr_cstr.h>
#include <apr_encode.h>
#include <apr_escape.h>
#include <apr_strings.h>

#include "body.h"
#include "digest.h"
#include "submission.h"

#define HEX      (FG_DIGEST_HEX - 1)
#define EXPIRES  10 /* hex digits */
#define FORM     "application/x-www-form-urlencoded"
#define ANSWER   "altcha"
#define STARTS   FG_ENVELOPE_FIELD "="
#define STARTS_N (sizeof(STARTS) - 1)

/* Where each part starts in the head, which is of one length. */
#define AT_EXPIRES (HEX + 1)
#define AT_AGAIN   (AT_EXPIRES + EXPIRES + 1)
#define AT_FRESH   (AT_AGAIN + 2)
#define AT_REST    (AT_FRESH + HEX + 1)

/* The answer is base64 in which `=` and `+` are percent-encoded: near 600 bytes. */
#define ANSWER_MAX 2048

static apr_off_t base64_len(apr_off_t len)
{
    return (len * 4 + 2) / 3;
}

apr_off_t fg_envelope_post_len(apr_off_t len)
{
    return (apr_off_t)STARTS_N + AT_REST + base64_len(FG_ENVELOPE_TYPE_MAX) + 1 + base64_len(len) +
           ANSWER_MAX;
}

int fg_envelope_takes(const char *type, apr_off_t len)
{
    static const char *const forms[] = {FORM, "multipart/form-data", "text/plain"};
    apr_size_t i;
    apr_size_t n;

    if (len < 0 || len > FG_ENVELOPE_BODY_MAX) {
        return 0;
    }
    if (type == NULL) {
        return 1;
    }
    n = strcspn(type, "; \t");
    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (n == strlen(forms[i]) && apr_cstr_casecmpn(type, forms[i], n) == 0) {
            return strlen(type) <= FG_ENVELOPE_TYPE_MAX;
        }
    }
    return 0;
}

/* --- signing ---------------------------------------------------------------------------------- */

/* Each text starts with a word of its own, since others are signed with the same key. A host name
 * holds no line end, and the path is last. */
static int seal(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject, const char *rest,
                apr_size_t len, char out[FG_DIGEST_HEX], apr_pool_t *pool)
{
    const fg_digest_t *digest = fg_altcha_digest(altcha);
    char hash[FG_DIGEST_HEX];

    return fg_digest_sha256(digest, rest, len, hash) &&
           fg_digest_sign(
               digest,
               apr_pstrcat(pool, "kept\n", hash, "\n", subject->host, "\n", subject->path, NULL),
               out);
}

/* @param head EXPIRES.AGAIN */
static int freshen(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                   const char *sealed, const char *head, char out[FG_DIGEST_HEX], apr_pool_t *pool)
{
    unsigned char net[FG_ADDRESS_KEY_MAX];
    apr_size_t len = fg_address_net_key(subject->client, net);

    return fg_digest_sign(fg_altcha_digest(altcha),
                          apr_pstrcat(pool, "fresh\n", head, "\n",
                                      apr_pescape_hex(pool, net, len, 0), "\n", sealed, NULL),
                          out);
}

const char *fg_envelope_seal(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                             const fg_envelope_t *envelope, apr_time_t expires, apr_pool_t *pool)
{
    const char *type = envelope->type != NULL ? envelope->type : "";
    const char *head = apr_psprintf(
        pool, "%010" APR_UINT64_T_HEX_FMT ".%d",
        (apr_uint64_t)apr_time_sec(expires) & APR_UINT64_C(0xffffffffff), envelope->fallback != 0);
    const char *rest = apr_pstrcat(
        pool, apr_pencode_base64(pool, type, (apr_ssize_t)strlen(type), APR_ENCODE_BASE64URL, NULL),
        ".",
        apr_pencode_base64(pool, envelope->body, (apr_ssize_t)envelope->len, APR_ENCODE_BASE64URL,
                           NULL),
        NULL);
    char sealed[FG_DIGEST_HEX];
    char fresh[FG_DIGEST_HEX];

    if (!seal(altcha, subject, rest, strlen(rest), sealed, pool) ||
        !freshen(altcha, subject, sealed, head, fresh, pool)) {
        return NULL;
    }
    return apr_pstrcat(pool, sealed, ".", head, ".", fresh, ".", rest, NULL);
}

/* --- opening ---------------------------------------------------------------------------------- */

int fg_envelope_is(const char *type, const char *post, apr_size_t len)
{
    return len >= STARTS_N && memcmp(post, STARTS, STARTS_N) == 0 &&
           fg_body_type(type) == FG_BODY_URLENCODED;
}

static const char *decode(const char *text, apr_size_t len, apr_size_t *bytes, apr_pool_t *pool)
{
    *bytes = 0;
    return len == 0 ? "" : apr_pdecode_base64(pool, text, (apr_ssize_t)len, APR_ENCODE_NONE, bytes);
}

/* The field `altcha` among those behind the envelope. */
static void read_answer(fg_envelope_t *envelope, const char *fields, apr_size_t len,
                        apr_pool_t *pool)
{
    fg_submission_t *submission = fg_submission_create(pool);
    fg_body_t *reader;

    fg_submission_want(submission, ANSWER);
    if (fg_body_create(&reader, FORM, &fg_body_default_caps, fg_submission_field, submission,
                       pool) != FG_BODY_OK) {
        return;
    }
    fg_body_feed(reader, fields, len);
    fg_body_finish(reader);
    envelope->answer = fg_submission_value(submission, ANSWER, NULL, &envelope->answer_len);
}

/* Signature first: only what we have written is decoded. */
int fg_envelope_open(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                     const char *post, apr_size_t len, apr_time_t now, fg_envelope_t *envelope,
                     apr_pool_t *pool)
{
    const char *text = post + STARTS_N;
    const char *end = memchr(text, '&', len - STARTS_N);
    apr_size_t text_len = end != NULL ? (apr_size_t)(end - text) : len - STARTS_N;
    char sealed[FG_DIGEST_HEX];
    char fresh[FG_DIGEST_HEX];
    const char *rest;
    const char *head;
    const char *dot;
    apr_size_t bytes;

    memset(envelope, 0, sizeof(*envelope));
    if (text_len <= AT_REST || text_len > (apr_size_t)fg_envelope_post_len(FG_ENVELOPE_BODY_MAX) ||
        memchr(text, '\0', text_len) != NULL || text[AT_EXPIRES - 1] != '.' ||
        text[AT_AGAIN - 1] != '.' || text[AT_FRESH - 1] != '.' || text[AT_REST - 1] != '.') {
        return 0;
    }
    rest = text + AT_REST;
    text_len -= AT_REST;
    if (!seal(altcha, subject, rest, text_len, sealed, pool) ||
        !fg_digest_equal(sealed, apr_pstrmemdup(pool, text, HEX))) {
        return 0;
    }
    dot = memchr(rest, '.', text_len);
    if (dot == NULL) {
        return 0;
    }
    envelope->type = decode(rest, (apr_size_t)(dot - rest), &bytes, pool);
    envelope->body = decode(dot + 1, text_len - (apr_size_t)(dot + 1 - rest), &envelope->len, pool);
    if (envelope->type == NULL || envelope->body == NULL ||
        fg_envelope_is(envelope->type, envelope->body, envelope->len)) {
        return 0;
    }
    envelope->type = *envelope->type != '\0' ? envelope->type : NULL;
    head = apr_pstrmemdup(pool, text + AT_EXPIRES, EXPIRES + 2);
    envelope->fresh = freshen(altcha, subject, sealed, head, fresh, pool) &&
                      fg_digest_equal(fresh, apr_pstrmemdup(pool, text + AT_FRESH, HEX)) &&
                      apr_strtoi64(head, NULL, 16) > apr_time_sec(now);
    envelope->fallback = envelope->fresh && head[EXPIRES + 1] == '1';
    if (end != NULL) {
        read_answer(envelope, end + 1, len - (apr_size_t)(end + 1 - post), pool);
    }
    return 1;
}
