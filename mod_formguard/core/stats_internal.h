/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file stats_internal.h
 * @brief How the statistics lie in memory. For stats.c, which counts, and stats_read.c only.
 */
#ifndef FG_STATS_INTERNAL_H
#define FG_STATS_INTERNAL_H

#include "shared.h"
#include "stats.h"

#define HINTS       4096 /* groups of four lanes: sixteen times the slots, so that few are full */
#define LANE        APR_UINT64_C(0xffff)
#define FULL_GROUP  0xffff /* in a lane: the group had more labels than lanes */
#define LABEL_WORDS (FG_STATS_LABEL_MAX / 8)
#define NO_SLOT     FG_STATS_TOP

/* A tagged word that says a label is there: since:39 ready:1 length:8 */
#define META_LENGTH APR_UINT64_C(0xff)
#define META_READY  APR_UINT64_C(0x100)
#define META_SINCE  9
#define SECOND_MAX  ((APR_UINT64_C(1) << 39) - 1)

_Static_assert(FG_STATS_LABEL_MAX % 8 == 0 && FG_STATS_LABEL_MAX <= META_LENGTH, "label fits");
_Static_assert(FG_STATS_TOP < 0xffff, "a hint holds a slot's number and one more");

typedef struct slot {
    fg_shared_word_t column[FG_STATS_COLUMNS]; /* tagged */
    fg_shared_word_t last;                     /* tagged: second of the last post */
    fg_shared_word_t meta;                     /* tagged */
    fg_shared_word_t label[LABEL_WORDS];
} slot_t;

typedef struct table {
    fg_shared_word_t key[FG_STATS_TOP];
    fg_shared_word_t total[FG_STATS_TOP]; /* tagged */
    fg_shared_word_t hint[HINTS];         /* in each lane a slot's number, plus one; or 0 */
    fg_shared_word_t floor;               /* no total is lower */
    fg_shared_word_t next;                /* where to look for one that is as low */
    fg_shared_word_t unlisted;            /* posts in no total, less those that are in two */
    slot_t slot[FG_STATS_TOP];
} table_t;

typedef struct timer {
    fg_shared_word_t bucket[FG_STATS_BUCKETS];
    fg_shared_word_t sum;
} timer_cells_t;

typedef struct memory {
    fg_shared_header_t header;
    apr_int64_t started;
    fg_shared_word_t verdict[FG_REASON_COUNT][FG_STATS_KINDS];
    timer_cells_t timer[FG_STATS_TIMERS];
    table_t table[FG_STATS_TABLES];
} memory_t;

struct fg_stats {
    memory_t *memory;
    unsigned char secret[APR_SIPHASH_KSIZE];
};

/* A label's bytes as they are kept, and so read and written. */
typedef union label_bytes {
    char text[FG_STATS_LABEL_MAX];
    apr_uint64_t word[LABEL_WORDS];
} label_bytes_t;

/* A label to be counted. */
typedef struct label {
    const char *text; /* the caller's, or shortened, in `room` */
    apr_size_t len;
    char room[FG_STATS_LABEL_MAX];
    apr_uint64_t identity;
    apr_uint64_t second; /* of the post */
} label_t;

/** What names a label in the tables. */
static inline apr_uint64_t identity_of(const fg_stats_t *stats, const char *text, apr_size_t len)
{
    return fg_shared_identity(apr_siphash24(text, len, stats->secret));
}

#endif
