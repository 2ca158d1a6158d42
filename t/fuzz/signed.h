/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file signed.h
 * @brief For targets about what we sign: a key, a form, its clients.
 */
#ifndef FG_FUZZ_SIGNED_H
#define FG_FUZZ_SIGNED_H

#include "altcha.h"
#include "fuzz.h"

/* 2025-07-01T12:00:00Z */
#define NOW apr_time_from_sec(APR_TIME_C(1751371200))

/** What signs, under a key that is always the same. */
static inline fg_altcha_t *signer(void)
{
    static fg_altcha_t *altcha;

    if (!altcha) {
        MUST(fg_altcha_create(&altcha, (const unsigned char *)"0123456789abcdef0123456789abcdef",
                              fuzz_root()) == APR_SUCCESS);
    }
    return altcha;
}

/** A client at 192.0.2.1, or one of another net. */
static inline const fg_address_t *client_at(int elsewhere)
{
    static const fg_address_t here = {4, {192, 0, 2, 1}}, there = {4, {198, 51, 100, 1}};

    return elsewhere ? &there : &here;
}

/** The form the targets use. */
static inline fg_altcha_subject_t the_form(void)
{
    fg_altcha_subject_t subject = {"www.example.jp", "/contact.php", client_at(0), NULL};

    return subject;
}

#endif
