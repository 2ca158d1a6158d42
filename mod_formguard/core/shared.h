/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file shared.h
 * @brief What tables in shared memory have in common: how they say what they are, keys and tagged
 *        words. For files of core/ that lay out such a table.
 *
 *     key     identity:48 generation:16     whose slot it is; identity 0: nobody's
 *     tagged  generation:16 value:48        counts only while its generation is the key's
 *
 * Each new tenant of a slot has the next generation, so that a change of tenant is one exchange of
 * the key and nothing need be wiped. A tagged word is read first, then the key, then the word is
 * exchanged: if that succeeds, the word has not changed since before the key was seen to be ours,
 * and no later tenant has written it yet. (It would take 65536 tenants in between and the same
 * value to be fooled.)
 */
#ifndef FG_SHARED_H
#define FG_SHARED_H

#include <apr_errno.h>
#include <apr_siphash.h>
#include <stdatomic.h>
#include <string.h>

#include "verdict.h"

typedef _Atomic apr_uint64_t fg_shared_word_t;

typedef struct fg_shared_header {
    apr_uint64_t magic;
    apr_uint64_t version;
    apr_uint64_t bytes;
    apr_uint64_t reasons; /* counts are by fg_reason_t: a module that knows others starts anew */
    unsigned char secret[APR_SIPHASH_KSIZE];
} fg_shared_header_t;

/** Which reasons there are, and in which order. */
static inline apr_uint64_t fg_shared_reasons(void)
{
    static const unsigned char key[APR_SIPHASH_KSIZE] = "formguard tags.";
    static const char tags[] =
#define FG_SHARED_TAG(name, tag, status, key, words) tag
        FG_REASONS(FG_SHARED_TAG);
#undef FG_SHARED_TAG

    return apr_siphash24(tags, sizeof(tags), key);
}

/** Wipe `bytes` of memory and say what it is. */
static inline apr_status_t fg_shared_format(void *mem, apr_size_t size, apr_size_t bytes,
                                            apr_uint64_t magic, apr_uint64_t version,
                                            const unsigned char secret[APR_SIPHASH_KSIZE])
{
    fg_shared_header_t *header = mem;

    if ((apr_uintptr_t)mem % sizeof(apr_uint64_t) || size < bytes) {
        return APR_EINVAL;
    }
    memset(mem, 0, bytes);
    header->version = version;
    header->bytes = bytes;
    header->reasons = fg_shared_reasons();
    memcpy(header->secret, secret, sizeof(header->secret));
    header->magic = magic;
    return APR_SUCCESS;
}

/** Whether the memory is what fg_shared_format() made of it. */
static inline int fg_shared_is(const void *mem, apr_size_t size, apr_size_t bytes,
                               apr_uint64_t magic, apr_uint64_t version)
{
    const fg_shared_header_t *header = mem;

    return (apr_uintptr_t)mem % sizeof(apr_uint64_t) == 0 && size >= bytes &&
           header->magic == magic && header->version == version && header->bytes == bytes &&
           header->reasons == fg_shared_reasons();
}

#define FG_SHARED_GENERATION APR_UINT64_C(0xffff)
#define FG_SHARED_VALUE      APR_UINT64_C(0xffffffffffff)

/** The identity in a hash; never 0. */
static inline apr_uint64_t fg_shared_identity(apr_uint64_t hash)
{
    return hash >> 16 ? hash >> 16 : 1;
}

/** The identity in a key. */
static inline apr_uint64_t fg_shared_key_identity(apr_uint64_t key)
{
    return key >> 16;
}

/** The key of the tenant that comes after `old`. */
static inline apr_uint64_t fg_shared_next_key(apr_uint64_t old, apr_uint64_t identity)
{
    return identity << 16 | ((old + 1) & FG_SHARED_GENERATION);
}

/** Whether the tagged word is that of the key's tenant. */
static inline int fg_shared_belongs(apr_uint64_t word, apr_uint64_t key)
{
    return word >> 48 == (key & FG_SHARED_GENERATION);
}

/** A value as the tagged word of the key's tenant. */
static inline apr_uint64_t fg_shared_tag(apr_uint64_t key, apr_uint64_t value)
{
    return (key & FG_SHARED_GENERATION) << 48 | (value & FG_SHARED_VALUE);
}

/** The value of a tagged word; 0 if it is not the key's. */
static inline apr_uint64_t fg_shared_value(apr_uint64_t word, apr_uint64_t key)
{
    return fg_shared_belongs(word, key) ? word & FG_SHARED_VALUE : 0;
}

#endif
