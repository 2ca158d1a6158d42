/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file counters_layout.h
 * @brief How the table of counters lies in memory. For counters.c and counters_check.c only.
 *
 *     header   3 lines: identity and secret; two statistics on lines of their own
 *     set 0    1 line of eight keys, then eight lines, one an entry
 *     set 1    ...
 *
 *     key      identity:56 generation:8        0: empty, and never so again once taken
 *     entry    word[7] {tag:16 index:28 count:20}, then meta {generation:8 last:31 period:25}
 *
 * A line is 64 bytes. A key belongs to one set, by bits of its identity; its counts are in the
 * entry of the same slot. Word `index % 7` holds what was charged in sub-window `index`. A word
 * whose tag is not its key's, or whose index has left the window, counts nothing: so an eviction
 * is one exchange of the key and nothing is ever wiped.
 *
 * Meta says when the entry was last charged and the period of its rate, both in seconds. It is
 * for choosing victims, and is true only while its generation is the key's.
 */
#ifndef FG_COUNTERS_LAYOUT_H
#define FG_COUNTERS_LAYOUT_H

#include <stdatomic.h>

#include "counters.h"

#define FG_LINE    64
#define FG_WAYS    8
#define FG_META    FG_RATE_LIVE /* the word of an entry that holds meta */
#define FG_MAGIC   APR_UINT64_C(0x6667636f756e7473)
#define FG_COUNTERS_VERSION 2 /* also of how keys are made */

typedef _Atomic apr_uint64_t fg_word_t;

typedef struct fg_counters_header {
    apr_uint64_t magic;
    apr_uint32_t version;
    apr_uint32_t offset; /* of this header in the memory given */
    apr_uint64_t bytes;  /* as fg_counters_size() said */
    apr_uint64_t sets;   /* a power of two */
    unsigned char secret[16];
    apr_uint64_t spare[2];
    fg_word_t inserts;
    apr_uint64_t gap1[7];
    fg_word_t live_evictions;
    apr_uint64_t gap2[7];
} fg_counters_header_t;

typedef struct fg_counters_set {
    fg_word_t key[FG_WAYS];
    fg_word_t entry[FG_WAYS][FG_RATE_LIVE + 1];
} fg_counters_set_t;

_Static_assert(sizeof(fg_counters_header_t) == 3 * FG_LINE, "header fills its lines");
_Static_assert(sizeof(fg_counters_set_t) == (1 + FG_WAYS) * FG_LINE, "set fills its lines");

struct fg_counters {
    fg_counters_header_t *header;
    fg_counters_set_t *set;
    apr_uint64_t sets; /* what is checked once must not change under us: never the header's */
    unsigned char secret[16];
};

/* Bytes of a table, with room to align it by hand; 0 if the address space is too small for it. */
static inline apr_size_t fg_counters_bytes(apr_uint64_t sets)
{
    apr_uint64_t bytes = FG_LINE + sizeof(fg_counters_header_t) + sets * sizeof(fg_counters_set_t);

    return bytes > APR_SIZE_MAX ? 0 : (apr_size_t)bytes;
}

/* Keys. The generation tells one tenancy of a slot from the next: see mark() in counters.c. */

#define FG_GENERATION APR_UINT64_C(0xff)

static inline apr_uint64_t fg_key_identity(apr_uint64_t key)
{
    return key & ~FG_GENERATION;
}

static inline apr_uint64_t fg_key_set(apr_uint64_t key, apr_uint64_t sets)
{
    return (key >> 8) & (sets - 1);
}

/* Never 0, so that a word of zeros is nobody's. */
static inline apr_uint64_t fg_key_tag(apr_uint64_t key)
{
    apr_uint64_t tag = key >> 48;

    return tag ? tag : 1;
}

/* Count words. */

#define FG_WORD_COUNT APR_UINT64_C(0xfffff)
#define FG_WORD_STEP  (FG_WORD_COUNT + 1) /* from one sub-window to the next */
#define FG_WORD_INDEX APR_UINT64_C(0xfffffff)

_Static_assert(FG_RATE_MAX_COUNT <= FG_WORD_COUNT, "a word can hold the highest rate");

/*
 * How many sub-windows a caller's clock may lag behind another's. More, and a word ahead of us is
 * one left over from before the index wrapped: without a limit that would block its key for years.
 */
#define FG_LAG_MAX 65536

/* What a word of this key and sub-window holds but for the count. */
static inline apr_uint64_t fg_word_stamp(apr_uint64_t tag, apr_uint64_t index)
{
    return tag << 48 | (index & FG_WORD_INDEX) << 20;
}

/* By how many sub-windows a word is ahead of `index`; it wraps. */
static inline int fg_word_ahead(apr_uint64_t word, apr_uint64_t index)
{
    apr_uint32_t distance = (apr_uint32_t)(word >> 20) - (apr_uint32_t)index;

    return (apr_int32_t)(distance << 4) / 16;
}

static inline apr_uint64_t fg_word_tag(apr_uint64_t word)
{
    return word >> 48;
}

static inline apr_uint32_t fg_word_count(apr_uint64_t word)
{
    return (apr_uint32_t)(word & FG_WORD_COUNT);
}

/* 1 if the indexes that a caller in this sub-window meets wrap: words cannot be compared whole. */
static inline int fg_word_index_wraps(apr_uint64_t index)
{
    apr_uint64_t i = index & FG_WORD_INDEX;

    return i < FG_RATE_SLICES || i > FG_WORD_INDEX - FG_LAG_MAX;
}

/* Meta. */

static inline apr_uint64_t fg_meta_make(apr_uint64_t generation, apr_uint64_t second,
                                        apr_uint64_t period)
{
    return (generation & FG_GENERATION) << 56 | (second & 0x7fffffff) << 25 | (period & 0x1ffffff);
}

static inline apr_uint64_t fg_meta_generation(apr_uint64_t meta)
{
    return meta >> 56;
}

static inline apr_uint64_t fg_meta_period(apr_uint64_t meta)
{
    return meta & 0x1ffffff;
}

/* Seconds from the last charge to `second`, negative if that lags; it wraps after 34 years. */
static inline int fg_meta_quiet(apr_uint64_t meta, apr_uint64_t second)
{
    apr_uint32_t distance = (apr_uint32_t)second - (apr_uint32_t)(meta >> 25);

    return (apr_int32_t)(distance << 1) / 2;
}

#endif
