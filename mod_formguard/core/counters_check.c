/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file counters_check.c
 * @brief Walks the whole table of counters: figures, and proof that it is whole.
 */
#include "counters_layout.h"

#include <apr_strings.h>
#include <string.h>

/* Whether the key holds a count that still matters at `now`. */
static int is_live(fg_counters_set_t *set, unsigned int slot, apr_time_t now)
{
    apr_uint64_t key = atomic_load(&set->key[slot]);
    apr_uint64_t meta = atomic_load(&set->entry[slot][FG_META]);
    fg_rate_t rate = {1, apr_time_from_sec((apr_time_t)fg_meta_period(meta))};
    apr_uint64_t index = fg_rate_index(&rate, now);
    unsigned int i;

    if (fg_meta_generation(meta) != (key & FG_GENERATION)) {
        return 0;
    }
    for (i = 0; i < FG_RATE_LIVE; i++) {
        apr_uint64_t word = atomic_load(&set->entry[slot][i]);
        int ahead = fg_word_ahead(word, index);

        if (fg_word_tag(word) == fg_key_tag(key) && fg_word_count(word) &&
            ahead >= -FG_RATE_SLICES && ahead <= FG_LAG_MAX) {
            return 1;
        }
    }
    return 0;
}

void fg_counters_stats(const fg_counters_t *counters, apr_time_t now, fg_counters_stats_t *stats)
{
    apr_uint64_t n;
    unsigned int slot;

    memset(stats, 0, sizeof(*stats));
    stats->capacity = counters->sets * FG_WAYS;
    stats->inserts = atomic_load(&counters->header->inserts);
    stats->live_evictions = atomic_load(&counters->header->live_evictions);
    stats->bytes = fg_counters_bytes(counters->sets);
    for (n = 0; n < counters->sets; n++) {
        for (slot = 0; slot < FG_WAYS; slot++) {
            if (atomic_load(&counters->set[n].key[slot]) != 0) {
                stats->entries++;
                stats->live += (apr_uint64_t)is_live(&counters->set[n], slot, now);
            }
        }
    }
}

static const char *check_header(const fg_counters_t *counters)
{
    const fg_counters_header_t *header = counters->header;

    if (header->magic != FG_MAGIC || header->version != FG_COUNTERS_VERSION) {
        return "the header is not of this version";
    }
    if (header->sets != counters->sets || header->bytes != fg_counters_bytes(counters->sets)) {
        return "the header's size has changed";
    }
    if (memcmp(header->secret, counters->secret, sizeof(header->secret)) != 0) {
        return "the header's secret has changed";
    }
    return NULL;
}

/* A slot that was never taken has an entry that was never written. */
static const char *check_empty(fg_counters_set_t *set, unsigned int slot)
{
    unsigned int i;

    for (i = 0; i <= FG_META; i++) {
        if (atomic_load(&set->entry[slot][i]) != 0) {
            return "an empty slot has counts";
        }
    }
    return NULL;
}

static const char *check_entry(fg_counters_set_t *set, unsigned int slot, apr_uint64_t key)
{
    apr_uint64_t meta = atomic_load(&set->entry[slot][FG_META]);
    apr_uint64_t period = fg_meta_period(meta);
    unsigned int i;

    if (period > (apr_uint64_t)apr_time_sec(FG_RATE_MAX_PERIOD) ||
        (period == 0 && fg_meta_generation(meta) == (key & FG_GENERATION))) {
        return "an entry has an impossible period";
    }
    for (i = 0; i < FG_RATE_LIVE; i++) {
        apr_uint64_t word = atomic_load(&set->entry[slot][i]);

        if (word != 0 && fg_word_tag(word) == 0) {
            return "a word is nobody's and not empty";
        }
        if (fg_word_count(word) > FG_RATE_MAX_COUNT) {
            return "a word counts more than any rate allows";
        }
    }
    return NULL;
}

static const char *check_slot(const fg_counters_t *counters, apr_uint64_t n, unsigned int slot)
{
    fg_counters_set_t *set = &counters->set[n];
    apr_uint64_t key = atomic_load(&set->key[slot]);

    if (key == 0) {
        return check_empty(set, slot);
    }
    if (fg_key_identity(key) == 0) {
        return "a key has no identity";
    }
    if (fg_key_set(key, counters->sets) != n) {
        return "a key is in a set it does not belong to";
    }
    return check_entry(set, slot, key);
}

const char *fg_counters_validate(const fg_counters_t *counters, apr_pool_t *pool)
{
    const char *error = check_header(counters);
    apr_uint64_t n;
    unsigned int slot;

    for (n = 0; !error && n < counters->sets; n++) {
        for (slot = 0; slot < FG_WAYS; slot++) {
            error = check_slot(counters, n, slot);
            if (error) {
                return apr_psprintf(pool, "set %" APR_UINT64_T_FMT ", slot %u: %s", n, slot, error);
            }
        }
    }
    return error;
}
