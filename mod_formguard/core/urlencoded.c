/* SPDX-License-Identifier: Apache-2.0 */
#include "body_internal.h"

#include <string.h>

/* `name=value&name=value`, split first and decoded after, as PHP does (main/php_variables.c). */

typedef struct urlencoded {
    int in_value;
    int seen;       /* the pair under way has bytes */
    int kept;       /* a pair before it stays in the body */
    apr_off_t from; /* where in the body it starts */
    char escape[2]; /* a `%` cut off by the end of a piece, and its first digit */
    apr_size_t escape_len;
} urlencoded_t;

/* What ends a run of plain bytes in a name, and in a value. A bare NUL is malformed: browsers write
 * `%00`, and PHP with mbstring.encoding_translation reads no further. */
static const unsigned char ends_name[256] = {[0] = 1, ['%'] = 1, ['+'] = 1, ['&'] = 1, ['='] = 1};
static const unsigned char ends_value[256] = {[0] = 1, ['%'] = 1, ['+'] = 1, ['&'] = 1};

static fg_body_status_t add(fg_body_t *body, const urlencoded_t *u, const char *data,
                            apr_size_t len)
{
    if (!u->in_value) {
        return fg_body_name_add(body, data, len);
    }
    fg_body_value_add(body, data, len);
    return FG_BODY_OK;
}

/* The pair goes with the `&` before it; where nothing is left before it, with the one behind. */
static int cut_pair(fg_body_t *body, const urlencoded_t *u, apr_off_t end, apr_off_t next)
{
    return u->kept ? fg_body_cut(body, body->name_len, u->from - 1, end)
                   : fg_body_cut(body, body->name_len, u->from, next);
}

/* `next` is where the next pair would start: behind the `&` at `end`, if there is one. */
static fg_body_status_t end_pair(fg_body_t *body, urlencoded_t *u, apr_off_t end, apr_off_t next)
{
    int gone = 0;
    fg_php_name_t name;
    unsigned int levels;
    fg_body_status_t status = fg_body_count(body);

    if (status != FG_BODY_OK) {
        return status;
    }
    name = fg_body_php_name_judge(body->name, &body->name_len, &levels, body->name, body->name_len);
    if (name == FG_PHP_NAME_DESTRUCTIVE) {
        return FG_BODY_MALFORMED;
    }
    if (name == FG_PHP_NAME_OK) {
        gone = cut_pair(body, u, end, next);
        fg_body_emit(body, 0);
    }
    fg_body_reset(body);
    u->kept |= !gone;
    u->from = next;
    u->in_value = 0;
    u->seen = 0;
    return FG_BODY_OK;
}

/* The bytes of an escape that turned out to be none are text. */
static fg_body_status_t flush_escape(fg_body_t *body, urlencoded_t *u)
{
    apr_size_t len = u->escape_len;

    u->escape_len = 0;
    return add(body, u, u->escape, len);
}

/* One more byte for an escape cut by the end of a piece; *used tells whether it was taken. */
static fg_body_status_t go_on_escape(fg_body_t *body, urlencoded_t *u, char c, int *used)
{
    char byte;

    *used = fg_hex_value(c) >= 0;
    if (!*used) {
        return flush_escape(body, u);
    }
    if (u->escape_len == 1) {
        u->escape[u->escape_len++] = c;
        return FG_BODY_OK;
    }
    byte = (char)(fg_hex_value(u->escape[1]) * 16 + fg_hex_value(c));
    u->escape_len = 0;
    return add(body, u, &byte, 1);
}

static const char *plain_run(const char *p, const char *end, const unsigned char *ends)
{
    while (p < end && !ends[(unsigned char)*p]) {
        p++;
    }
    return p;
}

/* Escapes come in rows where text is not ASCII: decode them together. */
static fg_body_status_t escapes(fg_body_t *body, urlencoded_t *u, const char **p, const char *end)
{
    char bytes[64];
    apr_size_t len = 0;
    const char *at = *p;

    while (end - at >= 3 && *at == '%' && len < sizeof(bytes)) {
        int high = fg_hex_value(at[1]), low = fg_hex_value(at[2]);

        if (high < 0 || low < 0) {
            break;
        }
        bytes[len++] = (char)(high << 4 | low);
        at += 3;
    }
    if (len == 0) {
        /* Cut by the end of the piece, or no escape at all: go_on_escape() finds out. */
        u->escape[0] = *at++;
        u->escape_len = 1;
    }
    *p = at;
    return add(body, u, bytes, len);
}

/* The special byte at *p, and what belongs to it. */
static fg_body_status_t special(fg_body_t *body, urlencoded_t *u, const char *piece, const char **p,
                                const char *end)
{
    apr_off_t at = body->offset + (*p - piece);

    switch (**p) {
    case '\0':
        return FG_BODY_MALFORMED;
    case '%':
        return escapes(body, u, p, end);
    case '&':
        ++*p;
        return end_pair(body, u, at, at + 1);
    case '+':
        ++*p;
        return add(body, u, " ", 1);
    default:
        ++*p;
        u->in_value = 1;
        return FG_BODY_OK;
    }
}

static fg_body_status_t feed(fg_body_t *body, const char *data, apr_size_t len)
{
    urlencoded_t *u = body->grammar;
    const char *p = data, *end = data + len;
    fg_body_status_t status = FG_BODY_OK;

    while (p < end && status == FG_BODY_OK) {
        if (u->escape_len) {
            int used;

            status = go_on_escape(body, u, *p, &used);
            p += used;
        }
        else {
            const char *run = p;

            p = plain_run(p, end, u->in_value ? ends_value : ends_name);
            u->seen = 1;
            if (p > run) {
                status = add(body, u, run, p - run);
            }
            if (p < end && status == FG_BODY_OK) {
                status = special(body, u, data, &p, end);
            }
        }
    }
    return status;
}

static fg_body_status_t finish(fg_body_t *body)
{
    urlencoded_t *u = body->grammar;
    fg_body_status_t status = flush_escape(body, u);

    if (status == FG_BODY_OK && u->seen) {
        status = end_pair(body, u, body->offset, body->offset);
    }
    return status;
}

void fg_urlencoded_init(fg_body_t *body, apr_pool_t *pool)
{
    body->grammar = apr_pcalloc(pool, sizeof(urlencoded_t));
    body->feed = feed;
    body->finish = finish;
}
