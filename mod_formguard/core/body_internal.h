/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file body_internal.h
 * @brief What the three grammars of the body reader share. Only the reader's own files include it.
 */
#ifndef FG_BODY_INTERNAL_H
#define FG_BODY_INTERNAL_H

#include <string.h>

#include "body.h"

/** A grammar: both return the status so far. */
typedef fg_body_status_t fg_body_feed_fn(fg_body_t *body, const char *data, apr_size_t len);
typedef fg_body_status_t fg_body_finish_fn(fg_body_t *body);

/** Bytes behind a value as long as it may be: for the NUL, and for who decodes before he counts. */
#define FG_BODY_PAD 528

struct fg_body {
    fg_body_status_t status;
    fg_body_caps_t caps;
    fg_field_fn *field;
    void *baton;
    fg_body_cut_fn *cut; /**< or NULL */
    void *cut_baton;
    fg_body_asked_fn *asked; /**< or NULL: all fields are looked at */
    int unasked;             /**< 1: nobody looks at the field under way */

    fg_body_feed_fn *feed; /**< NULL: this type has no fields */
    fg_body_finish_fn *finish;
    void *grammar; /**< the grammar's own state */

    apr_off_t offset; /**< of the piece under way: bytes before it */

    char *name; /**< caps.name_len + 1 bytes */
    apr_size_t name_len;
    apr_pool_t *pool;
    char *value; /**< caps.value_kept + FG_BODY_PAD bytes; NULL: there was none yet */
    apr_size_t value_len;
    apr_size_t total_len;
    unsigned int fields; /**< counted so far, those PHP drops included, as PHP counts */
};

/** How PHP takes a field's name. */
typedef enum fg_php_name {
    FG_PHP_NAME_OK,
    FG_PHP_NAME_DROPPED,    /**< the field goes and leaves no trace */
    FG_PHP_NAME_DESTRUCTIVE /**< the field goes and takes or changes others, or is another one in
                                 a PHP with other settings */
} fg_php_name_t;

/**
 * fg_body_php_name() with what it knows besides.
 * @param out_len set to the length written
 * @param levels  set to the number of `[…]` levels
 */
fg_php_name_t fg_body_php_name_judge(char *out, apr_size_t *out_len, unsigned int *levels,
                                     const char *name, apr_size_t len);

/** How deep PHP lets `[…]` nest (max_input_nesting_level). */
#define FG_PHP_NESTING_MAX 64

/** How many bytes of a name, from its first on, are letters, digits, `-` and `_`, which are what
 * they are to PHP; 0 if the first is `_`, with which a cookie's prefix could start. */
apr_size_t fg_body_plain_len(const char *name, apr_size_t len);

/** Append to the current name; FG_BODY_NAME_TOO_LONG over the cap. */
fg_body_status_t fg_body_name_add(fg_body_t *body, const char *data, apr_size_t len);

/** The current name is what it will be: find out whether anybody looks at its field. */
void fg_body_ask(fg_body_t *body);

/** Where the current value goes on: there is room for what is left of the cap, and FG_BODY_PAD. */
static inline char *fg_body_value_end(fg_body_t *body)
{
    if (body->value == NULL) {
        body->value = apr_palloc(body->pool, body->caps.value_kept + FG_BODY_PAD);
    }
    return body->value + body->value_len;
}

/** So many bytes were written there; what is over the cap is counted only. */
static inline void fg_body_value_grow(fg_body_t *body, apr_size_t len)
{
    apr_size_t room = body->caps.value_kept - body->value_len;

    body->total_len += len;
    body->value_len += len < room ? len : room;
}

/** Append to the current value; what is over the cap is counted only. */
static inline void fg_body_value_add(fg_body_t *body, const char *data, apr_size_t len)
{
    apr_size_t room = body->caps.value_kept - body->value_len;

    memcpy(fg_body_value_end(body), data, len < room ? len : room);
    fg_body_value_grow(body, len);
}

/** Count one more field; FG_BODY_TOO_MANY over the cap. */
fg_body_status_t fg_body_count(fg_body_t *body);

/** Hand out the current name and value as they are, unless nobody looks at them, and forget the
 * value. */
void fg_body_emit(fg_body_t *body, int is_file);

/**
 * Ask whether the field goes that the first bytes of the current name are the name of.
 * @return 1 if it goes
 */
int fg_body_cut(fg_body_t *body, apr_size_t name_len, apr_off_t from, apr_off_t to);

/** Forget name and value. */
void fg_body_reset(fg_body_t *body);

/** What isspace() says in the C locale, whatever the process's locale. */
static inline int fg_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/** The value of a hexadecimal digit, or -1. */
static inline int fg_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The grammars. Each sets body->feed, body->finish and body->grammar. */

/** Read application/x-www-form-urlencoded. */
void fg_urlencoded_init(fg_body_t *body, apr_pool_t *pool);

/** Read multipart/form-data. @return FG_BODY_MALFORMED without a usable boundary */
fg_body_status_t fg_multipart_init(fg_body_t *body, const char *content_type, apr_pool_t *pool);

/** The longest boundary, bytes. RFC 2046 allows 70. */
#define FG_BOUNDARY_MAX 250

/**
 * Find the boundary that every reader of this Content-Type finds.
 * @param len set to its bytes
 * @return where it starts in `content_type`, or NULL if there is none that is usable
 */
const char *fg_multipart_boundary(const char *content_type, apr_size_t *len);

/** Read JSON. */
void fg_json_body_init(fg_body_t *body, apr_pool_t *pool);

#endif
