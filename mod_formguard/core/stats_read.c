/* SPDX-License-Identifier: Apache-2.0 */
/* What a status page is told: a copy of all figures, while they go on counting. */
#include <apr_strings.h>
#include <stdlib.h>

#include "stats_internal.h"

/* @return 0 if the label is not whole; it will be written again */
static int read_label(const fg_stats_t *stats, slot_t *slot, apr_uint64_t key,
                      fg_stats_entry_t *entry, apr_pool_t *pool)
{
    apr_uint64_t meta = atomic_load(&slot->meta);
    apr_uint64_t value = fg_shared_value(meta, key);
    apr_size_t len = (apr_size_t)(value & META_LENGTH);
    label_bytes_t label;
    unsigned int i;

    if (!(value & META_READY) || len > FG_STATS_LABEL_MAX) {
        return 0;
    }
    for (i = 0; i < LABEL_WORDS; i++) {
        label.word[i] = atomic_load_explicit(&slot->label[i], memory_order_relaxed);
    }
    if (identity_of(stats, label.text, len) != fg_shared_key_identity(key)) {
        atomic_compare_exchange_strong(&slot->meta, &meta, meta & ~META_READY);
        return 0;
    }
    entry->label = apr_pstrmemdup(pool, label.text, len);
    entry->len = len;
    entry->first = (apr_time_t)(value >> META_SINCE);
    return 1;
}

static int read_slot(const fg_stats_t *stats, table_t *table, unsigned int n, apr_uint64_t key,
                     fg_stats_entry_t *entry, apr_pool_t *pool)
{
    slot_t *slot = &table->slot[n];
    apr_uint64_t total;
    unsigned int i;

    memset(entry, 0, sizeof(*entry));
    if (!read_label(stats, slot, key, entry, pool)) {
        return 0;
    }
    for (i = 0; i < FG_STATS_COLUMNS; i++) {
        entry->count[i] = fg_shared_value(atomic_load(&slot->column[i]), key);
        entry->posts += entry->count[i];
    }
    total = fg_shared_value(atomic_load(&table->total[n]), key);
    entry->missed = total > entry->posts ? total - entry->posts : 0;
    entry->last = (apr_time_t)fg_shared_value(atomic_load(&slot->last), key);
    return 1;
}

static int by_posts(const void *a, const void *b)
{
    const fg_stats_entry_t *x = a, *y = b;

    if (x->posts != y->posts) {
        return x->posts > y->posts ? -1 : 1;
    }
    return strcmp(x->label, y->label);
}

/* 1 if the label is in a lower slot, too, and has not been merged yet. */
static int is_double(const apr_uint64_t *key, unsigned int n)
{
    unsigned int i;

    for (i = 0; i < n; i++) {
        if (fg_shared_key_identity(key[i]) == fg_shared_key_identity(key[n])) {
            return 1;
        }
    }
    return 0;
}

static void read_table(const fg_stats_t *stats, table_t *table, fg_stats_top_t *top,
                       apr_pool_t *pool)
{
    fg_stats_entry_t *entry = apr_palloc(pool, FG_STATS_TOP * sizeof(*entry));
    apr_uint64_t key[FG_STATS_TOP];
    unsigned int n;

    top->floor = APR_UINT64_MAX;
    top->posts = atomic_load(&table->unlisted);
    for (n = 0; n < FG_STATS_TOP; n++) {
        apr_uint64_t total = atomic_load(&table->total[n]);
        apr_uint64_t posts = total & FG_SHARED_VALUE;

        top->posts += posts;
        top->floor = posts < top->floor ? posts : top->floor;
        key[n] = atomic_load(&table->key[n]);
        if (!fg_shared_belongs(total, key[n])) {
            key[n] = 0; /* nobody's */
        }
        if (key[n] == 0 || is_double(key, n)) {
            continue;
        }
        if (read_slot(stats, table, n, key[n], &entry[top->entries], pool)) {
            top->entries++;
        }
        else {
            top->unnamed++;
        }
    }
    qsort(entry, top->entries, sizeof(*entry), by_posts);
    top->entry = entry;
}

static void read_timer(timer_cells_t *cells, fg_stats_histogram_t *histogram)
{
    unsigned int i;

    for (i = 0; i < FG_STATS_BUCKETS; i++) {
        histogram->bucket[i] = atomic_load(&cells->bucket[i]);
        histogram->count += histogram->bucket[i];
    }
    histogram->sum = atomic_load(&cells->sum);
}

const fg_stats_snapshot_t *fg_stats_snapshot(fg_stats_t *stats, apr_pool_t *pool)
{
    fg_stats_snapshot_t *snapshot = apr_pcalloc(pool, sizeof(*snapshot));
    memory_t *memory = stats->memory;
    unsigned int i, k;

    snapshot->started = memory->started;
    for (i = 0; i < FG_REASON_COUNT; i++) {
        for (k = 0; k < FG_STATS_KINDS; k++) {
            snapshot->verdict[i][k] = atomic_load(&memory->verdict[i][k]);
        }
    }
    for (i = 0; i < FG_STATS_TIMERS; i++) {
        read_timer(&memory->timer[i], &snapshot->timer[i]);
    }
    for (i = 0; i < FG_STATS_TABLES; i++) {
        read_table(stats, &memory->table[i], &snapshot->top[i], pool);
    }
    return snapshot;
}
