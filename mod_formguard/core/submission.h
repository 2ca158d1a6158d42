/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file submission.h
 * @brief What was posted, reduced to the few fields a policy asks about.
 *
 * The last value of a name wins and an array replaces a string, because that is what PHP sees.
 */
#ifndef FG_SUBMISSION_H
#define FG_SUBMISSION_H

#include <apr_pools.h>

#include "body.h"

typedef struct fg_submission fg_submission_t;

/**
 * Make an empty one that keeps no field yet.
 * @param pool owns it and all it keeps
 */
fg_submission_t *fg_submission_create(apr_pool_t *pool);

/** Keep the field its form spells like this (`your.name` is found as PHP's `your_name`).
 * @param name lives as long as the submission */
void fg_submission_want(fg_submission_t *submission, const char *name);

/** What rules about a field ask: of all values posted under its name, array elements included. */
typedef struct fg_field_facts {
    int filled;         /**< some value holds more than white space */
    int nonempty;       /**< some value holds anything */
    int multi_line;     /**< some value holds a line end, raw or percent-encoded, or is too long to
                             be known whole */
    unsigned int links; /**< http:// and https:// in all values */
} fg_field_facts_t;

/** Keep the field as fg_submission_want() does, and look at its values for the facts above. */
void fg_submission_watch(fg_submission_t *submission, const char *name);

/** What was seen of a watched field; all zero if it was not posted. */
fg_field_facts_t fg_submission_facts(const fg_submission_t *submission, const char *name);

/**
 * Take a field: give it and the submission to fg_body_create().
 * @param baton the submission
 */
void fg_submission_field(void *baton, const fg_field_t *field);

/** By what a post can be told when it comes again: of all its fields, their names and the values as
 * far as they are read, in their order. 0: it has none. No secret: who writes a post can choose. */
apr_uint64_t fg_submission_print(const fg_submission_t *submission);

/**
 * 1 if a field of a form has to do with some wanted one: give it to fg_body_on_name().
 * @param baton the submission
 */
int fg_submission_asks(void *baton, const char *name, apr_size_t len);

/** Say that what follows comes from a JSON body, where names are not PHP's. */
void fg_submission_json(fg_submission_t *submission, int json);

/**
 * Read the query string of the URL. Its fields count for fg_submission_has() and
 * fg_submission_has_value(), and in fg_submission_facts() for all but `filled`. Where it is over
 * the caps every wanted field counts as being there: it may be, behind what was read.
 */
fg_body_status_t fg_submission_query(fg_submission_t *submission, const char *query);

/** 1 if a wanted field was posted in the body or named in the query, as string, array or file. */
int fg_submission_has(const fg_submission_t *submission, const char *name);

/**
 * 1 if a wanted field has a value that matches, in the body or in the query. What is not known as
 * one whole string (an array, a file, a value over the cap, a query over the caps) may.
 * @param glob `*` and `?` stand for anything, and letters for both cases
 */
int fg_submission_has_value(const fg_submission_t *submission, const char *name, const char *glob);

/**
 * A wanted field's value in the body.
 * @param len   set to the bytes kept, or NULL
 * @param total set to the bytes posted, or NULL
 * @return the value, NUL-terminated; NULL if it was not posted, or not as one string
 */
const char *fg_submission_value(const fg_submission_t *submission, const char *name,
                                apr_size_t *len, apr_size_t *total);

#endif
