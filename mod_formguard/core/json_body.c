/* SPDX-License-Identifier: Apache-2.0 */
#include "body_internal.h"

#include <stdio.h>
#include <string.h>

/* RFC 8259, pushed byte by byte. Members are named by their path, which is the current name. */

enum state {
    VALUE,        /* a value must come */
    VALUE_OR_END, /* behind `[` */
    KEY_OR_END,   /* behind `{` */
    KEY,          /* behind `,` in an object */
    COLON,
    NEXT, /* behind a value: `,`, the container's end or, at the top, nothing */
    STRING,
    ESCAPE,     /* behind a backslash */
    ESCAPE_HEX, /* behind \u */
    LITERAL,
    NUMBER
};

#define DEPTH_MAX 512 /* json_decode()'s, whatever the cap */

/* Within a number: what the last byte was. */
enum number { MINUS, ZERO, INTEGER, POINT, FRACTION, EXPONENT, SIGN, POWER };

/* What is known of the member under way of an object, so that it could be taken out. */
typedef struct member {
    apr_size_t name_len; /* of its path, which the current name starts with until the next key */
    apr_off_t comma;     /* where the comma before it stands */
    apr_off_t from;      /* where its key starts */
    apr_off_t to;        /* where its value has ended */
    int ended;           /* 1: all of the above is known */
    int kept;            /* a member before it stays in the body */
} member_t;

typedef struct container {
    member_t member;
    apr_off_t comma;     /* the last one, before a member that is still to come */
    apr_size_t path_len; /* the name when it opened */
    unsigned int index;  /* of the element under way, in an array */
    char type;
} container_t;

typedef struct json_body {
    enum state state;
    int begun;
    int in_key;
    enum number number;
    const char *literal; /* what is left of true, false or null */
    apr_off_t at;        /* of the byte under way between values, in the body */
    apr_off_t value_end; /* where the last value has ended; known in NEXT */

    unsigned int hex, hex_digits, high; /* \u under way; a high surrogate that waits for its low */
    unsigned int utf8_left;             /* bytes that belong to the character under way */
    unsigned char utf8_min, utf8_max;   /* what the next of them may be */

    unsigned int depth;
    container_t *containers;
} json_body_t;

static int is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static fg_body_status_t add(fg_body_t *body, const json_body_t *j, const char *data, apr_size_t len)
{
    if (j->in_key) {
        return fg_body_name_add(body, data, len);
    }
    fg_body_value_add(body, data, len);
    return FG_BODY_OK;
}

static fg_body_status_t emit(fg_body_t *body, json_body_t *j)
{
    fg_body_status_t status = fg_body_count(body);

    if (status == FG_BODY_OK) {
        fg_body_emit(body, 0);
        j->state = NEXT;
    }
    return status;
}

/* Set the name to the container's path and what separates a member from it. */
static fg_body_status_t begin_member(fg_body_t *body, const json_body_t *j)
{
    body->name_len = j->containers[j->depth - 1].path_len;
    return j->depth > 1 ? fg_body_name_add(body, ".", 1) : FG_BODY_OK;
}

static fg_body_status_t begin_element(fg_body_t *body, json_body_t *j)
{
    char index[16];
    int len = snprintf(index, sizeof(index), "%u", j->containers[j->depth - 1].index++);
    fg_body_status_t status = begin_member(body, j);

    return status == FG_BODY_OK ? fg_body_name_add(body, index, len) : status;
}

static fg_body_status_t open_container(fg_body_t *body, json_body_t *j, char type)
{
    container_t *c;

    if (j->depth == body->caps.depth) {
        return FG_BODY_TOO_DEEP;
    }
    c = &j->containers[j->depth++];
    c->path_len = body->name_len;
    c->index = 0;
    c->type = type;
    memset(&c->member, 0, sizeof(c->member));
    j->state = type == '{' ? KEY_OR_END : VALUE_OR_END;
    return FG_BODY_OK;
}

/* A member goes with the comma before it; where nothing is left before it, with all that is
 * before the next one, which starts at `next`. */
static void end_member(fg_body_t *body, json_body_t *j, apr_off_t next)
{
    member_t *m = &j->containers[j->depth - 1].member;

    if (m->ended) {
        apr_off_t from = m->kept ? m->comma : m->from, to = m->kept ? m->to : next;

        m->kept |= !fg_body_cut(body, m->name_len, from, to);
        m->ended = 0;
    }
}

/* The value at the end of a member is complete. */
static void end_member_value(json_body_t *j)
{
    container_t *c = &j->containers[j->depth - 1];

    if (c->type == '{') {
        c->member.to = j->value_end;
        c->member.ended = 1;
    }
}

static fg_body_status_t close_container(fg_body_t *body, json_body_t *j, char c)
{
    /* ASCII has each closing bracket two behind its opening one. */
    if (j->depth == 0 || j->containers[j->depth - 1].type + 2 != c) {
        return FG_BODY_MALFORMED;
    }
    if (j->state == NEXT) {
        end_member_value(j);
        end_member(body, j, j->value_end);
    }
    j->depth--;
    j->state = NEXT;
    j->value_end = j->at + 1;
    return FG_BODY_OK;
}

static void begin_string(json_body_t *j, int in_key)
{
    j->in_key = in_key;
    j->state = STRING;
}

static void begin_literal(fg_body_t *body, json_body_t *j, const char *literal)
{
    fg_body_value_add(body, literal, 1);
    j->literal = literal + 1;
    j->state = LITERAL;
}

static fg_body_status_t begin_value(fg_body_t *body, json_body_t *j, char c)
{
    j->in_key = 0;
    if (j->depth && j->containers[j->depth - 1].type == '[') {
        fg_body_status_t status = begin_element(body, j);

        if (status != FG_BODY_OK) {
            return status;
        }
    }
    switch (c) {
    case '{':
    case '[':
        return open_container(body, j, c);
    case '"':
        begin_string(j, 0);
        return FG_BODY_OK;
    case 't':
        begin_literal(body, j, "true");
        return FG_BODY_OK;
    case 'f':
        begin_literal(body, j, "false");
        return FG_BODY_OK;
    case 'n':
        begin_literal(body, j, "null");
        return FG_BODY_OK;
    default:
        break;
    }
    if (c != '-' && !(c >= '0' && c <= '9')) {
        return FG_BODY_MALFORMED;
    }
    j->number = c == '-' ? MINUS : c == '0' ? ZERO : INTEGER;
    j->state = NUMBER;
    fg_body_value_add(body, &c, 1);
    return FG_BODY_OK;
}

static fg_body_status_t begin_key(fg_body_t *body, json_body_t *j, char quote)
{
    container_t *c;

    if (quote != '"') {
        return FG_BODY_MALFORMED;
    }
    end_member(body, j, j->at);
    c = &j->containers[j->depth - 1];
    c->member.comma = c->comma;
    c->member.from = j->at;
    begin_string(j, 1);
    return begin_member(body, j);
}

static fg_body_status_t after_value(fg_body_t *body, json_body_t *j, char c)
{
    if (c != ',') {
        return close_container(body, j, c);
    }
    if (j->depth == 0) {
        return FG_BODY_MALFORMED;
    }
    end_member_value(j);
    j->containers[j->depth - 1].comma = j->at;
    j->state = j->containers[j->depth - 1].type == '{' ? KEY : VALUE;
    return FG_BODY_OK;
}

/* One byte between values. */
static fg_body_status_t structure(fg_body_t *body, json_body_t *j, char c)
{
    if (is_white(c)) {
        return FG_BODY_OK;
    }
    switch (j->state) {
    case VALUE_OR_END:
        return c == ']' ? close_container(body, j, c) : begin_value(body, j, c);
    case VALUE:
        return begin_value(body, j, c);
    case KEY_OR_END:
        return c == '}' ? close_container(body, j, c) : begin_key(body, j, c);
    case KEY:
        return begin_key(body, j, c);
    case COLON:
        j->state = VALUE;
        return c == ':' ? FG_BODY_OK : FG_BODY_MALFORMED;
    default:
        return after_value(body, j, c);
    }
}

static fg_body_status_t literal(fg_body_t *body, json_body_t *j, char c)
{
    if (c != *j->literal) {
        return FG_BODY_MALFORMED;
    }
    fg_body_value_add(body, &c, 1);
    return *++j->literal ? FG_BODY_OK : emit(body, j);
}

/* Whether c goes on the number, and what the number is then. */
static int number_goes_on(enum number *n, char c)
{
    int digit = c >= '0' && c <= '9';

    switch (*n) {
    case MINUS:
        *n = c == '0' ? ZERO : INTEGER;
        return digit;
    case ZERO:
    case INTEGER:
        if (digit) {
            return *n == INTEGER;
        }
        if (c == '.') {
            *n = POINT;
            return 1;
        }
        break;
    case POINT:
    case FRACTION:
        if (digit) {
            *n = FRACTION;
            return 1;
        }
        if (*n == POINT) {
            return 0;
        }
        break;
    case EXPONENT:
        if (c == '+' || c == '-') {
            *n = SIGN;
            return 1;
        }
        *n = POWER;
        return digit;
    case SIGN:
    case POWER:
        *n = digit ? POWER : *n;
        return digit;
    }
    *n = c == 'e' || c == 'E' ? EXPONENT : *n;
    return *n == EXPONENT;
}

static int number_may_end(enum number n)
{
    return n == ZERO || n == INTEGER || n == FRACTION || n == POWER;
}

/* One byte of, or behind, a number; *used tells whether it was taken. */
static fg_body_status_t number(fg_body_t *body, json_body_t *j, char c, int *used)
{
    enum number was = j->number;

    *used = number_goes_on(&j->number, c);
    if (*used) {
        fg_body_value_add(body, &c, 1);
        return FG_BODY_OK;
    }
    return number_may_end(was) ? emit(body, j) : FG_BODY_MALFORMED;
}

static fg_body_status_t add_character(fg_body_t *body, const json_body_t *j, unsigned int c)
{
    char out[4];
    apr_size_t len = 0;

    if (c < 0x80) {
        out[len++] = (char)c;
    }
    else if (c < 0x800) {
        out[len++] = (char)(0xc0 | c >> 6);
    }
    else if (c < 0x10000) {
        out[len++] = (char)(0xe0 | c >> 12);
    }
    else {
        out[len++] = (char)(0xf0 | c >> 18);
        out[len++] = (char)(0x80 | (c >> 12 & 0x3f));
    }
    if (c >= 0x800) {
        out[len++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80) {
        out[len++] = (char)(0x80 | (c & 0x3f));
    }
    return add(body, j, out, len);
}

/* Four digits have come. A NUL is refused: names and most readers' values end at it. */
static fg_body_status_t end_hex(fg_body_t *body, json_body_t *j)
{
    unsigned int c = j->hex, high = j->high;
    int is_low = c >= 0xdc00 && c <= 0xdfff;

    j->state = STRING;
    j->high = 0;
    if (c == 0 || is_low != (high != 0)) {
        return FG_BODY_MALFORMED;
    }
    if (c >= 0xd800 && c <= 0xdbff) {
        j->high = c;
        return FG_BODY_OK;
    }
    if (is_low) {
        c = 0x10000 + ((high & 0x3ff) << 10) + (c & 0x3ff);
    }
    return add_character(body, j, c);
}

static fg_body_status_t escape_hex(fg_body_t *body, json_body_t *j, char c)
{
    int digit = fg_hex_value(c);

    if (digit < 0) {
        return FG_BODY_MALFORMED;
    }
    j->hex = j->hex << 4 | (unsigned int)digit;
    return ++j->hex_digits == 4 ? end_hex(body, j) : FG_BODY_OK;
}

static fg_body_status_t escape(fg_body_t *body, json_body_t *j, char c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (c == 'u') {
        j->hex = 0;
        j->hex_digits = 0;
        j->state = ESCAPE_HEX;
        return FG_BODY_OK;
    }
    found = c ? strchr(from, c) : NULL;
    if (found == NULL || j->high) {
        return FG_BODY_MALFORMED;
    }
    j->state = STRING;
    return add(body, j, &to[found - from], 1);
}

/* The first byte of a character of several (Unicode 15, table 3-7). */
static fg_body_status_t begin_utf8(json_body_t *j, unsigned char c)
{
    j->utf8_min = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    j->utf8_max = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    j->utf8_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    return c >= 0xc2 && c <= 0xf4 ? FG_BODY_OK : FG_BODY_MALFORMED;
}

static fg_body_status_t end_string(fg_body_t *body, json_body_t *j)
{
    if (j->in_key) {
        j->containers[j->depth - 1].member.name_len = body->name_len;
        j->state = COLON;
        return FG_BODY_OK;
    }
    return emit(body, j);
}

static int is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Go over text that stands for itself. Stops at what does not, or at the break of a character. */
static const char *text_run(json_body_t *j, const char *p, const char *end,
                            fg_body_status_t *status)
{
    for (; p < end; p++) {
        if (j->utf8_left) {
            unsigned char c = (unsigned char)*p;

            if (c < j->utf8_min || c > j->utf8_max) {
                *status = FG_BODY_MALFORMED;
                break;
            }
            j->utf8_left--;
            j->utf8_min = 0x80;
            j->utf8_max = 0xbf;
            continue;
        }
        while (is_plain(*p)) {
            if (++p == end) {
                return p;
            }
        }
        if ((unsigned char)*p < 0x80) {
            break;
        }
        *status = begin_utf8(j, (unsigned char)*p);
        if (*status != FG_BODY_OK) {
            break;
        }
    }
    return p;
}

static fg_body_status_t string(fg_body_t *body, json_body_t *j, const char **p, const char *end)
{
    const char *run = *p;
    fg_body_status_t broken = FG_BODY_OK, status;

    /* A low surrogate must follow at once. */
    if (j->high == 0) {
        *p = text_run(j, run, end, &broken);
        status = add(body, j, run, *p - run);
        if (status != FG_BODY_OK || broken != FG_BODY_OK || *p == end) {
            return status != FG_BODY_OK ? status : broken;
        }
    }
    switch (*(*p)++) {
    case '\\':
        j->state = ESCAPE;
        return FG_BODY_OK;
    case '"':
        return j->high ? FG_BODY_MALFORMED : end_string(body, j);
    default:
        return FG_BODY_MALFORMED;
    }
}

static fg_body_status_t feed(fg_body_t *body, const char *data, apr_size_t len)
{
    json_body_t *j = body->grammar;
    const char *p = data, *end = data + len;
    fg_body_status_t status = FG_BODY_OK;

    j->begun = 1;
    while (p < end && status == FG_BODY_OK) {
        enum state was = j->state;
        int used = 1;

        j->at = body->offset + (p - data);
        switch (j->state) {
        case STRING:
            status = string(body, j, &p, end);
            used = 0;
            break;
        case ESCAPE:
            status = escape(body, j, *p);
            break;
        case ESCAPE_HEX:
            status = escape_hex(body, j, *p);
            break;
        case LITERAL:
            status = literal(body, j, *p);
            break;
        case NUMBER:
            status = number(body, j, *p, &used);
            break;
        default:
            status = structure(body, j, *p);
            break;
        }
        p += used;
        if (was != NEXT && j->state == NEXT) {
            j->value_end = body->offset + (p - data);
        }
    }
    return status;
}

static fg_body_status_t finish(fg_body_t *body)
{
    json_body_t *j = body->grammar;
    fg_body_status_t status = FG_BODY_OK;

    if (!j->begun) {
        return FG_BODY_OK;
    }
    if (j->state == NUMBER && j->depth == 0 && number_may_end(j->number)) {
        status = emit(body, j);
    }
    if (status != FG_BODY_OK) {
        return status;
    }
    return j->state == NEXT && j->depth == 0 ? FG_BODY_OK : FG_BODY_MALFORMED;
}

void fg_json_body_init(fg_body_t *body, apr_pool_t *pool)
{
    json_body_t *j = apr_pcalloc(pool, sizeof(*j));

    if (body->caps.depth > DEPTH_MAX) {
        body->caps.depth = DEPTH_MAX;
    }
    j->containers = apr_palloc(pool, body->caps.depth * sizeof(*j->containers));
    body->grammar = j;
    body->feed = feed;
    body->finish = finish;
}
