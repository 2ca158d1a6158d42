/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file reference.h
 * @brief The number a refused visitor reads over the telephone, and the owner of the site looks for
 *        in error_log.
 *
 *     K7PX-3WQ9     who and why, which post
 *
 * The first half is the same for all refusals of one client for one reason, so that it leads to a
 * line in the log also where a flood has kept this post's own from being written (throttle.h). The
 * second half is chance.
 */
#ifndef FG_REFERENCE_H
#define FG_REFERENCE_H

#include "address.h"
#include "verdict.h"

/** Bytes of a reference, with its NUL. */
#define FG_REFERENCE_SIZE 10

/**
 * Make a reference. Its letters are capitals that sound and look like no other, and no vowels, so
 * that they make no word.
 * @param out    NUL-terminated on return
 * @param key    16 bytes nobody else knows: with them a reference tells whose it is
 * @param client whose post it is; all of an IPv6 /64 are one client
 * @param chance tells posts of one client apart
 * @return `out`
 */
const char *fg_reference(char out[FG_REFERENCE_SIZE], const unsigned char key[16],
                         fg_reason_t reason, const fg_address_t *client, apr_uint32_t chance);

#endif
