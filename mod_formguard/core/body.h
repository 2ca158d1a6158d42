/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file body.h
 * @brief Reads a form's body as it comes in and hands out its fields as PHP would see them.
 *
 * Three grammars behind one reader: application/x-www-form-urlencoded (WHATWG URL 5),
 * multipart/form-data (RFC 7578) and application/json (RFC 8259). The first two name fields as PHP
 * does (main/php_variables.c, main/rfc1867.c of PHP 8.2): dots and spaces become underscores,
 * `a[b]` stays. JSON members are named by their path: `a.b`, `a.0`.
 * The reader holds one name and one value at a time: its memory does not grow with the body, and
 * the same bytes give the same fields however they are cut into pieces.
 */
#ifndef FG_BODY_H
#define FG_BODY_H

#include <apr_pools.h>

typedef enum fg_body_type {
    FG_BODY_NONE,       /**< no content type, or one that has no fields */
    FG_BODY_URLENCODED, /**< application/x-www-form-urlencoded */
    FG_BODY_MULTIPART,  /**< multipart/form-data */
    FG_BODY_JSON        /**< application/json and application/<anything>+json */
} fg_body_type_t;

/** What a body, or what was read of it so far, turned out to be. All but OK are final. */
typedef enum fg_body_status {
    FG_BODY_OK,
    FG_BODY_MALFORMED,     /**< breaks its grammar: PHP or an application could read it otherwise */
    FG_BODY_TOO_MANY,      /**< more fields than the cap */
    FG_BODY_NAME_TOO_LONG, /**< a name, or a part's header, over the cap */
    FG_BODY_TOO_DEEP       /**< JSON nested deeper than the cap */
} fg_body_status_t;

/** Caps that bound the reader's memory and time. */
typedef struct fg_body_caps {
    unsigned int fields;    /**< how many fields, files included (PHP's max_input_vars: 1000) */
    apr_size_t name_len;    /**< longest name, bytes as sent and decoded */
    apr_size_t value_kept;  /**< how much of each value is kept, bytes; more is counted, not kept */
    unsigned int depth;     /**< how deep JSON may nest */
} fg_body_caps_t;

/** 1000 fields, 512 bytes of name, 16384 bytes of value, 32 levels. */
extern const fg_body_caps_t fg_body_default_caps;

/** One field. Everything in it is valid during the callback only. */
typedef struct fg_field {
    const char *name;      /**< NUL-terminated; as PHP names it, or the path in JSON */
    apr_size_t name_len;   /**< bytes, without the NUL */
    const char *value;     /**< decoded, NUL-terminated, may hold NULs too; "" for a file */
    apr_size_t value_len;  /**< bytes kept */
    apr_size_t total_len;  /**< bytes the body carried, decoded; over value_len: it was cut */
    int is_file;           /**< 1: lands in $_FILES, not in $_POST */
} fg_field_t;

typedef void fg_field_fn(void *baton, const fg_field_t *field);

/**
 * Asked about each field that could be taken out of the body: is it to go? No files, and in JSON
 * the members of objects, those that hold others after the ones they hold.
 * @param name as in fg_field_t, but without a NUL; valid during the call
 * @param len  bytes of it
 * @param from where in the body what would go starts: the field, and one separator where its
 *             grammar has any, so that the rest is as sound as the whole
 * @param to   the first byte behind that
 * @return 1 if it goes, 0 if it stays: which separator goes with the next one depends on it
 */
typedef int fg_body_cut_fn(void *baton, const char *name, apr_size_t len, apr_off_t from,
                           apr_off_t to);

/**
 * Asked about each field when its name is known: does anybody look at it?
 * @param name as in fg_field_t, but without a NUL; valid during the call
 * @param len  bytes of it
 * @return 0 if fg_field_fn need not be called with it
 */
typedef int fg_body_asked_fn(void *baton, const char *name, apr_size_t len);

typedef struct fg_body fg_body_t;

/**
 * Which grammar a Content-Type header means, as PHP and applications take it: the type up to
 * `;`, `,` or white space, letters of any case.
 * @param content_type the header's value, or NULL
 */
fg_body_type_t fg_body_type(const char *content_type);

/**
 * Make a reader.
 * @param body         set to the reader, in `pool`
 * @param content_type the Content-Type header's value, or NULL
 * @param caps         copied
 * @param field        called once a field, in the body's order
 * @param baton        for `field`
 * @param pool         owns the reader and its buffers (less than 32 KiB, and caps->value_kept once
 *                     a value is kept)
 * @return FG_BODY_OK; FG_BODY_MALFORMED for multipart without a usable boundary
 */
fg_body_status_t fg_body_create(fg_body_t **body, const char *content_type,
                                const fg_body_caps_t *caps, fg_field_fn *field, void *baton,
                                apr_pool_t *pool);

/**
 * Ask about what could be taken out of the body. To be said before the first piece.
 * @param cut   called once a field or member, the enclosed ones first
 * @param baton for `cut`
 */
void fg_body_on_cut(fg_body_t *body, fg_body_cut_fn *cut, void *baton);

/**
 * Pass over what nobody looks at: values of forms are not even decoded then. The body is judged as
 * if they were. To be said before the first piece.
 * @param asked called once a field, except for members of JSON; `baton` is fg_body_create()'s
 */
void fg_body_on_name(fg_body_t *body, fg_body_asked_fn *asked);

/**
 * Read the next piece.
 * @param data any bytes, not kept
 * @param len  bytes; 0 is allowed
 * @return the status so far; once it is not FG_BODY_OK nothing more is read or called
 */
fg_body_status_t fg_body_feed(fg_body_t *body, const char *data, apr_size_t len);

/**
 * The body has ended: hand out what is still open and judge the whole.
 * @return the final status
 */
fg_body_status_t fg_body_finish(fg_body_t *body);

/**
 * Name a field as PHP does for forms: leading spaces go, `.` and space become `_` up to the first
 * `[`, an unclosed `[` becomes `_`, everything from a NUL on goes.
 * @param out  at least len + 1 bytes; may be `name` itself
 * @param name what the body carried, decoded
 * @param len  bytes of it
 * @return the length written, without the NUL; 0 if PHP drops such a field
 */
apr_size_t fg_body_php_name(char *out, const char *name, apr_size_t len);

/**
 * The same for a name that lives as long as what is made of it.
 * @param name    NUL-terminated
 * @param len     bytes of it
 * @param out_len set to the length of what PHP calls it; 0 if PHP drops such a field
 * @param pool    owns what is returned, unless that is `name` itself
 */
const char *fg_body_php_named(const char *name, apr_size_t len, apr_size_t *out_len,
                              apr_pool_t *pool);

#endif
