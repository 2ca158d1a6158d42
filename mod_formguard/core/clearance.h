/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file clearance.h
 * @brief A signed note that its holder has passed the captcha of a form: the next step of a form
 *        with a confirmation screen has no new token to show.
 *
 *     EXPIRES.NONCE.SIGNATURE    hex; good for one form and the neighbourhood of one client
 *
 * How often one may be used is for the caller to count, by its nonce.
 */
#ifndef FG_CLEARANCE_H
#define FG_CLEARANCE_H

#include "altcha.h"

/** Hex digits of a nonce. */
#define FG_CLEARANCE_NONCE 24

/**
 * Write a clearance.
 * @param subject what it shall be good for
 * @param expires wall clock in microseconds
 * @param pool    owns the text
 * @return visible ASCII without anything a cookie's value can't hold; NULL if there is no
 *         randomness
 */
const char *fg_clearance_make(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                              apr_time_t expires, apr_pool_t *pool);

/**
 * Judge a clearance.
 * @param text  as it came from the client
 * @param now   wall clock in microseconds
 * @param pool  for what is computed
 * @return its nonce, FG_CLEARANCE_NONCE bytes within `text`; NULL if it is none, not ours, for
 *         another form or client, or expired
 */
const char *fg_clearance_check(const fg_altcha_t *altcha, const fg_altcha_subject_t *subject,
                               const char *text, apr_time_t now, apr_pool_t *pool);

#endif
