/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file body_case.h
 * @brief For the tests of the body reader: a body, and what must come of it however it is cut.
 *
 * What came is written as text: `name=value` a field, `name@bytes` a file, `~bytes` behind a value
 * that was cut, each followed by `|`, then the status. Bytes outside printable ASCII, and `\`, `|`,
 * `=` and `@` in names, are `\xx`.
 */
#ifndef FG_BODY_CASE_H
#define FG_BODY_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_pools.h>

#include "body.h"

typedef struct body_case {
    const char *body;
    const char *expected;
    size_t len; /* of the body if it holds a NUL, or 0 */
} body_case_t;

typedef struct body_text {
    char *text;
    size_t len, room;
} body_text_t;

static void text_add(body_text_t *t, const char *data, size_t len)
{
    if (t->len + len + 1 > t->room) {
        t->room = 2 * (t->len + len + 1);
        t->text = realloc(t->text, t->room);
        assert_non_null(t->text);
    }
    memcpy(t->text + t->len, data, len);
    t->len += len;
    t->text[t->len] = '\0';
}

static void text_add_escaped(body_text_t *t, const char *data, size_t len, const char *special)
{
    char hex[8];

    for (; len--; data++) {
        if (*data >= ' ' && *data <= '~' && !strchr(special, *data)) {
            text_add(t, data, 1);
        }
        else {
            text_add(t, hex, snprintf(hex, sizeof(hex), "\\%02x", (unsigned char)*data));
        }
    }
}

static void text_add_field(void *baton, const fg_field_t *field)
{
    body_text_t *t = baton;
    char number[32];

    assert_int_equal(field->name[field->name_len], '\0');
    assert_int_equal(field->value[field->value_len], '\0');
    text_add_escaped(t, field->name, field->name_len, "\\|=@");
    text_add(t, field->is_file ? "@" : "=", 1);
    text_add_escaped(t, field->value, field->value_len, "\\|");
    if (field->is_file || field->total_len != field->value_len) {
        text_add(t, number,
                 snprintf(number, sizeof(number), field->is_file ? "%lu" : "~%lu",
                          (unsigned long)field->total_len));
    }
    text_add(t, "|", 1);
}

/* Some names that somebody looks at, and some that nobody does. */
static int some_are_asked(void *baton, const char *name, apr_size_t len)
{
    (void)baton;
    return (name[len - 1] & 1) == 0;
}

static void text_add_some(void *baton, const fg_field_t *field)
{
    if (some_are_asked(baton, field->name, field->name_len)) {
        text_add_field(baton, field);
    }
}

/* Read a body in pieces: all at once for 0, by bytes for 1, by chance for other seeds. */
static char *body_read(const char *type, const fg_body_caps_t *caps, fg_field_fn *field,
                       fg_body_asked_fn *asked, const char *data, size_t len, uint32_t seed)
{
    static const char *const status_name[] = {"OK", "MALFORMED", "TOO_MANY", "NAME_TOO_LONG",
                                              "TOO_DEEP"};
    body_text_t t = {NULL, 0, 0};
    apr_pool_t *pool;
    fg_body_t *body;
    fg_body_status_t status;
    uint32_t random = seed;

    apr_pool_create(&pool, NULL);
    fg_body_create(&body, type, caps, field, &t, pool);
    if (asked != NULL) {
        fg_body_on_name(body, asked);
    }
    while (len) {
        size_t piece = seed == 0 ? len : 1;
        char *copy;

        if (seed > 1) {
            random = random * 1664525u + 1013904223u;
            piece = 1 + (random >> 8) % (random >> 30 ? 7 : 3000);
            piece = piece < len ? piece : len;
        }
        /* A copy of its own, so that reading past it is noticed. */
        copy = malloc(piece);
        assert_non_null(copy);
        memcpy(copy, data, piece);
        fg_body_feed(body, copy, piece);
        free(copy);
        data += piece;
        len -= piece;
    }
    status = fg_body_finish(body);
    assert_int_equal(fg_body_finish(body), status);
    text_add(&t, status_name[status], strlen(status_name[status]));
    apr_pool_destroy(pool);
    return t.text;
}

/* The body gives `expected` however it is cut. */
static void body_gives_len(const char *type, const fg_body_caps_t *caps, const char *data,
                           size_t len, const char *expected)
{
    uint32_t seed;

    for (seed = 0; seed < 12; seed++) {
        char *got = body_read(type, caps, text_add_field, NULL, data, len, seed);
        char *some = body_read(type, caps, text_add_some, NULL, data, len, seed);
        char *asked = body_read(type, caps, text_add_some, some_are_asked, data, len, seed);

        if (strcmp(got, expected) != 0) {
            print_error("type %s, cut %u, body %.200s\n", type, seed, data);
        }
        assert_string_equal(got, expected);
        assert_string_equal(asked, some);
        free(got);
        free(some);
        free(asked);
    }
}

static inline void body_gives(const char *type, const fg_body_caps_t *caps, const char *data,
                              const char *expected)
{
    body_gives_len(type, caps, data, strlen(data), expected);
}

static inline void body_cases(const char *type, const body_case_t *cases, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        size_t len = cases[i].len ? cases[i].len : strlen(cases[i].body);

        body_gives_len(type, &fg_body_default_caps, cases[i].body, len, cases[i].expected);
    }
}

#define BODY_CASES(type, cases) body_cases(type, cases, sizeof(cases) / sizeof((cases)[0]))

/** A case whose body, a literal, holds a NUL. */
#define NUL_CASE(body, expected)                                                                   \
    {                                                                                              \
        body, expected, sizeof(body) - 1                                                           \
    }

/* `count` times `text`, to be freed. */
static inline char *repeated(const char *text, size_t count)
{
    size_t len = strlen(text), i;
    char *all = malloc(len * count + 1);

    assert_non_null(all);
    for (i = 0; i < count; i++) {
        memcpy(all + i * len, text, len);
    }
    all[len * count] = '\0';
    return all;
}

static int body_set_up(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS;
}

static int body_tear_down(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

#endif
