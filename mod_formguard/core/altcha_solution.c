/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Widgets write a solution with JSON.stringify(): an object of strings and numbers without a space
 * or an escape, in which each name stands once. That is read here as it stands, which takes a tenth
 * of what json-c needs. Whatever looks different is left to json-c.
 */
#include "altcha_solution.h"

#include <arpa/inet.h>
#include <string.h>

#include <apr_encode.h>
#include <apr_lib.h>
#include <json.h>

#include "altcha.h"
#include "captcha_reply.h"

/* --- base64 ----------------------------------------------------------------------------------- */

/* Not a letter: the lowest bit of four bytes, of which the upper three are text. */
#define NONE 1U

#define SIX(c, shift)                                                                              \
    ((c) >= 'A' && (c) <= 'Z'   ? (apr_uint32_t)((c) - 'A') << (shift)                             \
     : (c) >= 'a' && (c) <= 'z' ? (apr_uint32_t)((c) - 'a' + 26) << (shift)                        \
     : (c) >= '0' && (c) <= '9' ? (apr_uint32_t)((c) - '0' + 52) << (shift)                        \
     : (c) == '+'               ? 62U << (shift)                                                   \
     : (c) == '/'               ? 63U << (shift)                                                   \
                                : NONE)
#define FOUR(c, s)    SIX(c, s), SIX((c) + 1, s), SIX((c) + 2, s), SIX((c) + 3, s)
#define SIXTEEN(c, s) FOUR(c, s), FOUR((c) + 4, s), FOUR((c) + 8, s), FOUR((c) + 12, s)
#define QUARTER(c, s)                                                                              \
    SIXTEEN(c, s), SIXTEEN((c) + 16, s), SIXTEEN((c) + 32, s), SIXTEEN((c) + 48, s)
#define ALL(s) QUARTER(0, s), QUARTER(64, s), QUARTER(128, s), QUARTER(192, s)

/* Of RFC 4648 4: what a letter adds to its group of four, by its place there. */
static const apr_uint32_t bits[4][256] = {{ALL(26)}, {ALL(20)}, {ALL(14)}, {ALL(8)}};

/* Three bytes of four letters, and one that is nobody's. @return what has NONE in it if one of them
 * was no letter */
static inline apr_uint32_t decode_four(char *out, const unsigned char *in)
{
    apr_uint32_t group = bits[0][in[0]] | bits[1][in[1]] | bits[2][in[2]] | bits[3][in[3]];
    apr_uint32_t bytes = htonl(group);

    memcpy(out, &bytes, sizeof(bytes));
    return group;
}

/* Base64 in whole groups of four, padded, with no other letter in it: the text, NUL-terminated and
 * without a NUL; NULL for anything else. */
static char *decode(const char *token, apr_size_t *len, apr_pool_t *pool)
{
    apr_size_t left = strlen(token);
    const unsigned char *in = (const unsigned char *)token;
    char *text = apr_palloc(pool, left / 4 * 3 + 1), *out = text;
    unsigned char last[4];
    apr_uint32_t seen = 0;
    unsigned int pad = 0;

    if (left == 0 || left % 4 != 0) {
        return NULL;
    }
    for (; left > 4; left -= 4, in += 4, out += 3) {
        seen |= decode_four(out, in);
    }
    memcpy(last, in, sizeof(last));
    while (pad < 2 && last[3 - pad] == '=') {
        last[3 - pad++] = 'A';
    }
    seen |= decode_four(out, last);
    *len = (apr_size_t)(out + 3 - text) - pad;
    text[*len] = '\0';
    return !(seen & NONE) && memchr(text, '\0', *len) == NULL ? text : NULL;
}

/* --- as widgets write it ---------------------------------------------------------------------- */

#define IS(name, len, text) ((len) == sizeof(text) - 1 && memcmp(name, text, sizeof(text) - 1) == 0)

/* A string's end, with *p behind its opening quote; it is cut off there. */
static char *string_at(char **p)
{
    char *text = *p, *end = strchr(text, '"');

    if (end == NULL) {
        return NULL;
    }
    *end = '\0';
    *p = end + 1;
    return text;
}

static const char **text_of(fg_altcha_solution_t *solution, const char *name, apr_size_t len)
{
    return IS(name, len, "algorithm")   ? &solution->algorithm
           : IS(name, len, "challenge") ? &solution->challenge
           : IS(name, len, "salt")      ? &solution->salt
           : IS(name, len, "signature") ? &solution->signature
                                        : NULL;
}

static int digits_at(char **p, apr_int64_t *value)
{
    const char *start = *p;

    for (*value = 0; apr_isdigit(**p) && *p - start < 12; ++*p) {
        *value = *value * 10 + (**p - '0');
    }
    return *p > start && (*start != '0' || *p - start == 1);
}

/* One member, with *p on the quote before its name. */
static int member_at(fg_altcha_solution_t *solution, char **p, int *took)
{
    const char *name = *p + 1;
    const char **text;
    apr_int64_t fraction;
    apr_size_t len;

    ++*p;
    if (string_at(p) == NULL || *(*p)++ != ':') {
        return 0;
    }
    len = (apr_size_t)(*p - name) - 2;
    if (IS(name, len, "number")) {
        return solution->number < 0 && digits_at(p, &solution->number);
    }
    if (IS(name, len, "took")) {
        if (*took || !digits_at(p, &fraction)) {
            return 0;
        }
        *took = 1;
        if (**p == '.') {
            ++*p;
            *p += strspn(*p, "0123456789");
        }
        return apr_isdigit((*p)[-1]);
    }
    text = text_of(solution, name, len);
    if (text == NULL || *text != NULL || *(*p)++ != '"') {
        return 0;
    }
    *text = string_at(p);
    return *text != NULL;
}

/* @return 0 if it is not written like that; `text` is spoilt then */
static int read_plain(fg_altcha_solution_t *solution, char *text)
{
    char *p = text;
    int took = 0;

    memset(solution, 0, sizeof(*solution));
    solution->number = -1;
    if (strchr(text, '\\') != NULL || *p != '{') {
        return 0;
    }
    do {
        if (*++p != '"' || !member_at(solution, &p, &took)) {
            return 0;
        }
    } while (*p == ',');
    return p[0] == '}' && p[1] == '\0' && solution->number >= 0 && solution->algorithm != NULL &&
           solution->challenge != NULL && solution->salt != NULL && solution->signature != NULL;
}

/* --- any JSON --------------------------------------------------------------------------------- */

static int read_json(fg_altcha_solution_t *solution, const char *token, apr_pool_t *pool)
{
    fg_http_reply_t text = {.result = FG_HTTP_OK};
    struct json_object *json;
    struct json_object *number;

    text.body = apr_pdecode_base64(pool, token, APR_ENCODE_STRING, APR_ENCODE_NONE, &text.body_len);
    if (text.body == NULL || fg_reply_json(&json, &text, pool) != NULL) {
        return 0;
    }
    if (fg_reply_string(json, "algorithm", &solution->algorithm) != FG_MEMBER_OK ||
        fg_reply_string(json, "challenge", &solution->challenge) != FG_MEMBER_OK ||
        fg_reply_string(json, "salt", &solution->salt) != FG_MEMBER_OK ||
        fg_reply_string(json, "signature", &solution->signature) != FG_MEMBER_OK ||
        !json_object_object_get_ex(json, "number", &number) ||
        !json_object_is_type(number, json_type_int)) {
        return 0;
    }
    solution->number = json_object_get_int64(number);
    return solution->number >= 0;
}

int fg_altcha_solution_read(fg_altcha_solution_t *solution, const char *token, apr_pool_t *pool)
{
    apr_size_t len;
    char *text = decode(token, &len, pool);

    return ((text != NULL && read_plain(solution, text)) || read_json(solution, token, pool)) &&
           solution->number <= APR_UINT32_MAX && strlen(solution->salt) <= FG_ALTCHA_SALT_MAX &&
           strlen(solution->challenge) < FG_ALTCHA_ID_MAX &&
           strlen(solution->signature) < FG_ALTCHA_ID_MAX;
}
