/* SPDX-License-Identifier: Apache-2.0 */
#include "body_internal.h"

#include <string.h>

/* `name=value&name=value`, split first and decoded after, as PHP does (main/php_variables.c). */

typedef struct urlencoded {
    int in_value;
    int named;      /* the name under way is known, and PHP takes it */
    int seen;       /* the pair under way has bytes */
    int kept;       /* a pair before it stays in the body */
    apr_off_t from; /* where in the body it starts */
    char escape[2]; /* a `%` cut off by the end of a piece, and its first digit */
    apr_size_t escape_len;
} urlencoded_t;

#define BLOCK FG_BODY_PAD

/* What ends a run of plain bytes in a name. */
static const unsigned char ends_name[256] = {['%'] = 1, ['+'] = 1, ['&'] = 1, ['='] = 1};

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

/* The name is complete: is it one to PHP, and does anybody look at its value? */
static fg_body_status_t end_name(fg_body_t *body, urlencoded_t *u)
{
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
    u->in_value = 1;
    u->named = name == FG_PHP_NAME_OK;
    if (u->named) {
        fg_body_ask(body);
    }
    else {
        body->unasked = 1;
    }
    return FG_BODY_OK;
}

/* `next` is where the next pair would start: behind the `&` at `end`, if there is one. */
static fg_body_status_t end_pair(fg_body_t *body, urlencoded_t *u, apr_off_t end, apr_off_t next)
{
    int gone = 0;
    fg_body_status_t status = u->in_value ? FG_BODY_OK : end_name(body, u);

    if (status != FG_BODY_OK) {
        return status;
    }
    if (u->named) {
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
        bytes[len++] = (char)(high * 16 + low);
        at += 3;
    }
    if (len == 0 && end - at >= 3) {
        bytes[len++] = *at++; /* no escape: text */
    }
    else if (len == 0) {
        /* Cut by the end of the piece, or no escape: go_on_escape() finds out. */
        u->escape[0] = *at++;
        u->escape_len = 1;
    }
    *p = at;
    return add(body, u, bytes, len);
}

static char space_of(char c)
{
    return c == '+' ? ' ' : c;
}

/* Append what holds no escape to the value; a `+` is a space. In whole blocks, which a compiler
 * makes a few instructions of: what is behind the value is nobody's. */
static void add_text(fg_body_t *body, const char *text, apr_size_t len)
{
    apr_size_t before = body->value_len;
    char *p, *end;

    fg_body_value_add(body, text, len);
    end = body->value + body->value_len;
    for (p = body->value + before; p < end; p += BLOCK) {
        int i;

        for (i = 0; i < BLOCK; i++) {
            p[i] = space_of(p[i]);
        }
    }
}

/* Go on in a value, to the `&` behind it or the end of the piece. */
static void go_on_value(fg_body_t *body, urlencoded_t *u, const char **p, const char *end)
{
    const char *stop = memchr(*p, '&', (apr_size_t)(end - *p));

    stop = stop != NULL ? stop : end;
    while (!body->unasked && *p < stop) {
        const char *escape = memchr(*p, '%', (apr_size_t)(stop - *p));

        add_text(body, *p, (apr_size_t)((escape != NULL ? escape : stop) - *p));
        *p = escape != NULL ? escape : stop;
        if (escape != NULL) {
            escapes(body, u, p, end);
            if (u->escape_len) {
                return;
            }
        }
    }
    *p = stop;
}

/* Go on in a name, to behind the `=` after it, the `&` or the end of the piece. */
static fg_body_status_t go_on_name(fg_body_t *body, urlencoded_t *u, const char **p,
                                   const char *end)
{
    const char *run = *p;
    fg_body_status_t status;

    while (*p < end && !ends_name[(unsigned char)**p]) {
        ++*p;
    }
    status = fg_body_name_add(body, run, (apr_size_t)(*p - run));
    if (status != FG_BODY_OK || *p == end || **p == '&') {
        return status;
    }
    switch (**p) {
    case '%':
        return escapes(body, u, p, end);
    case '+':
        ++*p;
        return fg_body_name_add(body, " ", 1);
    default:
        ++*p;
        return end_name(body, u);
    }
}

static fg_body_status_t feed(fg_body_t *body, const char *data, apr_size_t len)
{
    urlencoded_t *u = body->grammar;
    const char *nul = memchr(data, '\0', len);
    const char *p = data, *end = nul != NULL ? nul : data + len;
    fg_body_status_t status = FG_BODY_OK;

    while (p < end && status == FG_BODY_OK) {
        u->seen = 1;
        if (u->escape_len) {
            int used;

            status = go_on_escape(body, u, *p, &used);
            p += used;
        }
        else if (*p == '&') {
            apr_off_t at = body->offset + (p++ - data);

            status = end_pair(body, u, at, at + 1);
        }
        else if (u->in_value) {
            go_on_value(body, u, &p, end);
        }
        else {
            status = go_on_name(body, u, &p, end);
        }
    }
    /* Browsers write `%00`, and PHP with mbstring.encoding_translation reads no further. */
    return status == FG_BODY_OK && nul != NULL ? FG_BODY_MALFORMED : status;
}

static fg_body_status_t finish(fg_body_t *body)
{
    urlencoded_t *u = body->grammar;
    fg_body_status_t status = u->escape_len > 0 ? flush_escape(body, u) : FG_BODY_OK;

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
