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
    apr_size_t left = len;
    apr_uint64_t words[4], word;

    for (; left >= sizeof(words); text += sizeof(words), left -= sizeof(words)) {
        memcpy(words, text, sizeof(words));
        sum = fg_mix(fg_mix(fg_mix(fg_mix(sum, words[0]), words[1]), words[2]), words[3]);
    }
    for (; left >= sizeof(word); text += sizeof(word), left -= sizeof(word)) {
        memcpy(&word, text, sizeof(word));
        sum = fg_mix(sum, word);
    }
    if (len >= sizeof(word)) { /* the last eight, some of them once more */
        memcpy(&word, text + left - sizeof(word), sizeof(word));
    }
    else {
        word = 0;
        memcpy(&word, text, left);
    }
    return fg_mix(sum, word);
}

#endif
