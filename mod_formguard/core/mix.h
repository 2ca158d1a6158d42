/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mix.h
 * @brief A text as 64 bits, quickly, where nobody gains by two that are the same: who writes a text
 *        can choose what it comes to. Where that matters there is SipHash, at six times the cost.
 */
#ifndef FG_MIX_H
#define FG_MIX_H

#include <string.h>

#include <apr.h>

/** Eight bytes into `sum`: multiplied by an odd number, whose high half goes to the low one. */
static inline apr_uint64_t fg_mix(apr_uint64_t sum, apr_uint64_t word)
{
    sum = (sum ^ word) * APR_UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

/** A text into `sum`, eight bytes at a time; its length is the caller's to add. @param len bytes */
static inline apr_uint64_t fg_mix_text(apr_uint64_t sum, const char *text, apr_size_t len)
{
    apr_uint64_t word;

    for (; len >= sizeof(word); text += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, text, sizeof(word));
        sum = fg_mix(sum, word);
    }
    word = 0;
    memcpy(&word, text, len);
    return fg_mix(sum, word);
}

#endif
