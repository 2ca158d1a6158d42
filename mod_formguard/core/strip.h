/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file strip.h
 * @brief Which bytes of a body are left out of what the application gets, so that it never sees the
 *        field of a captcha: all that PHP would have under that name, and nothing else.
 */
#ifndef FG_STRIP_H
#define FG_STRIP_H

#include <apr_pools.h>

#include "body.h"

/** Some bytes of a body: `from` up to, and without, `to`. */
typedef struct fg_cut {
    apr_off_t from;
    apr_off_t to;
} fg_cut_t;

/** Most cuts in one body. One that needs more stays as it is: a token in a mail does no harm. */
#define FG_CUTS_MAX 16

typedef struct fg_strip fg_strip_t;

/**
 * Make one that finds nothing yet.
 * @param json 1: the body is JSON, where names are paths and not PHP's
 * @param pool owns it
 */
fg_strip_t *fg_strip_create(int json, apr_pool_t *pool);

/** Look for the field its form spells like this. */
void fg_strip_name(fg_strip_t *strip, const char *name);

/**
 * Take note of a field: give it and the strip to fg_body_on_cut().
 * @param baton the strip
 */
int fg_strip_field(void *baton, const char *name, apr_size_t len, apr_off_t from, apr_off_t to);

/**
 * What is to be cut out of the body, which must have been read to its end and be sound.
 * @param count set to how many there are; 0 where nothing is to be cut, or no cut would leave the
 *              other fields as they are
 * @return the cuts in ascending order, none touching another's bytes
 */
const fg_cut_t *fg_strip_cuts(const fg_strip_t *strip, int *count);

#endif
