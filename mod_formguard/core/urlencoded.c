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

#define BLOCK 16

/* Bytes of a value that are decoded at a time beyond what is kept of it: they are counted only. */
#define COUNTED (FG_BODY_PAD - BLOCK)

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

/* The name is known, and PHP takes it: does anybody look at its value? */
static void take_name(fg_body_t *body, urlencoded_t *u)
{
    u->in_value = 1;
    u->named = 1;
    fg_body_ask(body);
}

/* The name is complete: is it one to PHP? */
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
    if (name == FG_PHP_NAME_OK) {
        take_name(body, u);
    }
    else {
        u->in_value = 1;
        u->named = 0;
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

/* @param escape three bytes, the first a `%`. @return how many are taken: 1 if it is text */
static int decode_escape(char *out, const char *escape)
{
    int high = fg_hex_value(escape[1]), low = fg_hex_value(escape[2]);

    if (high < 0 || low < 0) {
        *out = *escape;
        return 1;
    }
    *out = (char)(high << 4 | low);
    return 3;
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

/* An escape cut by the end of the piece, or none: go_on_escape() finds out. */
static void start_escape(urlencoded_t *u, const char **p)
{
    u->escape[0] = *(*p)++;
    u->escape_len = 1;
}

/* One byte of the name, with *p on a `%`. */
static fg_body_status_t escape_in_name(fg_body_t *body, urlencoded_t *u, const char **p,
                                       const char *end)
{
    char byte = '%';

    if (end - *p < 3) {
        start_escape(u, p);
        return FG_BODY_OK;
    }
    *p += decode_escape(&byte, *p);
    return fg_body_name_add(body, &byte, 1);
}

static char space_of(char c)
{
    return (char)(c ^ (c == '+') * ('+' ^ ' '));
}

/* Copy what holds no escape; a `+` is a space. In whole blocks, which a compiler makes a few
 * instructions of: what is behind `out` is nobody's. @param end of what may be read */
static char *copy_text(char *restrict out, const char *restrict text, apr_size_t len,
                       const char *end)
{
    char *stop = out + len;
    apr_size_t blocks = (len + BLOCK - 1) / BLOCK, whole = (apr_size_t)(end - text) / BLOCK;
    int i;

    for (blocks = blocks < whole ? blocks : whole; blocks > 0; blocks--) {
        for (i = 0; i < BLOCK; i++) {
            out[i] = space_of(text[i]);
        }
        out += BLOCK;
        text += BLOCK;
    }
    for (; out < stop; out++, text++) {
        *out = space_of(*text);
    }
    return stop;
}

/* Decode what starts before `to`: an escape may end behind it. Where *p is left short of `to`, it
 * is on an escape that `end` cuts off. @return where the text in `out` ends */
static char *decode(char *out, const char **p, const char *to, const char *end)
{
    const char *at = *p;

    while (at < to) {
        const char *escape = memchr(at, '%', (apr_size_t)(to - at));
        const char *run = escape != NULL ? escape : to;

        out = copy_text(out, at, (apr_size_t)(run - at), end);
        /* Escapes come in rows where text is not ASCII. */
        for (at = run; at < to && *at == '%'; out++) {
            if (end - at < 3) {
                *p = at;
                return out;
            }
            at += decode_escape(out, at);
        }
    }
    *p = at;
    return out;
}

/* Go on in a value, to the `&` behind it or the end of the piece. */
static void go_on_value(fg_body_t *body, urlencoded_t *u, const char **p, const char *end)
{
    const char *stop = memchr(*p, '&', (apr_size_t)(end - *p));

    stop = stop != NULL ? stop : end;
    while (!body->unasked && *p < stop) {
        apr_size_t most = body->caps.value_kept - body->value_len;
        char *out = fg_body_value_end(body);
        const char *to;

        most = most > COUNTED ? most : COUNTED;
        to = (apr_size_t)(stop - *p) > most ? *p + most : stop;
        fg_body_value_grow(body, (apr_size_t)(decode(out, p, to, end) - out));
        if (*p < to) {
            start_escape(u, p);
            return;
        }
    }
    *p = stop;
}

/* From the start of a pair: a name that is what it is to PHP, with its `=`. It needs no judgement,
 * and most are such. @return its length, or 0 */
static apr_size_t plain_name(const fg_body_t *body, const char *name, const char *end)
{
    apr_size_t len = fg_body_plain_len(name, (apr_size_t)(end - name));

    return name + len < end && name[len] == '=' && len <= body->caps.name_len ? len : 0;
}

/* Go on in a name, to behind the `=` after it, the `&` or the end of the piece. */
static fg_body_status_t go_on_name(fg_body_t *body, urlencoded_t *u, const char **p,
                                   const char *end)
{
    const char *run = *p;
    apr_size_t plain = u->seen ? 0 : plain_name(body, run, end);
    fg_body_status_t status;

    u->seen = 1;
    if (plain > 0) {
        *p += plain + 1;
        memcpy(body->name, run, plain);
        body->name_len = plain;
        take_name(body, u);
        return fg_body_count(body);
    }
    while (*p < end && !ends_name[(unsigned char)**p]) {
        ++*p;
    }
    status = fg_body_name_add(body, run, (apr_size_t)(*p - run));
    if (status != FG_BODY_OK || *p == end || **p == '&') {
        return status;
    }
    switch (**p) {
    case '%':
        return escape_in_name(body, u, p, end);
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
