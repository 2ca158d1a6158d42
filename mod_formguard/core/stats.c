/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file stats.c
 * @brief Figures in shared memory: verdicts, histograms, and who posts most.
 *
 * Who posts most is found with "space saving" (Metwally, Agrawal, El Abbadi 2005): K slots with a
 * total each. A post of a label in the table adds to its slot's total; any other takes over the
 * slot with the lowest total, adding to that. So the totals sum up to all posts, the lowest is at
 * most n/K, and a label that had more cannot have lost its slot. A count-min sketch needs more
 * memory for the same bound, bounds only in probability, and needs a list of candidates besides,
 * with the same races.
 *
 * A total is tagged (shared.h), and each of these two steps is one exchange of it. Taking a slot
 * over also changes the tag, so it fails if the slot got a post meanwhile; other totals only grow,
 * so the one taken is the lowest still. The key is written afterwards and is the slot's only while
 * it bears the total's tag: a slot whose taker was killed in between is nobody's, and is taken over
 * like any other. What remains is that two may put in the same label at once. Of two that insert,
 * one sees the other; the later slot is given up and what it has counted goes to the first.
 *
 * The columns of a slot are tagged with its key: they count its tenant's posts only. What a tenant
 * may have had before it came is at most the slot's total less its columns.
 *
 * Labels. The identity in a slot's key is the keyed hash of its label, so a reader knows by the
 * hash whether the bytes it has copied are the label, whole: there is nothing to wait for and no
 * process that could be killed while others wait. A reader that finds a label damaged (a process
 * that lost its slot while it wrote) marks it, and the next post writes it again.
 *
 * A present label is found through a table of hints, eight bytes and one key away. Hints may be
 * wrong or lost at any time; then all K keys are looked at.
 */
#include "stats.h"

#include <apr_strings.h>
#include <stdlib.h>

#include "shared.h"

#define MAGIC   APR_UINT64_C(0x6667737461747321)
#define VERSION 1

#define HINTS       1024 /* groups of LANES */
#define LANES       4
#define LABEL_WORDS (FG_STATS_LABEL_MAX / 8)
#define NO_SLOT     FG_STATS_TOP

/* Over this many lost races a post is counted with no label; each is lost to one that won. */
#define TRIES_MAX 100

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
    fg_shared_word_t hint[HINTS];         /* LANES numbers of a slot, plus one */
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

/* A label as it is kept. */
typedef struct label {
    union {
        char text[FG_STATS_LABEL_MAX];
        apr_uint64_t word[LABEL_WORDS];
    } bytes;
    apr_size_t len;
    apr_uint64_t identity;
    apr_uint64_t second; /* of the post */
} label_t;

apr_size_t fg_stats_size(void)
{
    return sizeof(memory_t);
}

apr_status_t fg_stats_format(void *mem, apr_size_t size, const unsigned char secret[16],
                             apr_time_t started)
{
    apr_status_t rv = fg_shared_format(mem, size, sizeof(memory_t), MAGIC, VERSION, secret);

    if (rv == APR_SUCCESS) {
        ((memory_t *)mem)->started = started;
    }
    return rv;
}

apr_status_t fg_stats_attach(fg_stats_t **stats, void *mem, apr_size_t size, apr_pool_t *pool)
{
    *stats = NULL;
    if (!fg_shared_is(mem, size, sizeof(memory_t), MAGIC, VERSION)) {
        return APR_EINVAL;
    }
    *stats = apr_palloc(pool, sizeof(**stats));
    (*stats)->memory = mem;
    memcpy((*stats)->secret, (*stats)->memory->header.secret, sizeof((*stats)->secret));
    return APR_SUCCESS;
}

/* --- verdicts and times ----------------------------------------------------------------------- */

void fg_stats_verdict(fg_stats_t *stats, fg_reason_t reason, fg_stats_kind_t kind)
{
    if (reason < FG_REASON_COUNT && kind < FG_STATS_KINDS) {
        atomic_fetch_add(&stats->memory->verdict[reason][kind], 1);
    }
}

apr_interval_time_t fg_stats_bound(unsigned int bucket)
{
    /* 10 us is a decision that reads no body, 10 s a vendor that hangs. */
    static const apr_interval_time_t bounds[FG_STATS_BUCKETS - 1] = {
        10,    20,    50,     100,    200,    500,     1000,    2000,    5000,    10000,
        20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000};

    return bucket < FG_STATS_BUCKETS - 1 ? bounds[bucket] : -1;
}

void fg_stats_time(fg_stats_t *stats, fg_stats_timer_t timer, apr_interval_time_t took)
{
    timer_cells_t *cells;
    unsigned int i = 0;

    if (timer >= FG_STATS_TIMERS) {
        return;
    }
    cells = &stats->memory->timer[timer];
    took = took > 0 ? took : 0;
    while (i < FG_STATS_BUCKETS - 1 && took > fg_stats_bound(i)) {
        i++;
    }
    atomic_fetch_add(&cells->bucket[i], 1);
    atomic_fetch_add(&cells->sum, (apr_uint64_t)took);
}

/* --- labels ----------------------------------------------------------------------------------- */

static apr_uint64_t identity_of(const fg_stats_t *stats, const char *text, apr_size_t len)
{
    return fg_shared_identity(apr_siphash24(text, len, stats->secret));
}

/* The beginning and a hash of the whole; no UTF-8 sequence is cut in two. */
static apr_size_t shorten(const fg_stats_t *stats, char *out, const char *text, apr_size_t len)
{
    apr_uint64_t hash = apr_siphash24(text, len, stats->secret);
    apr_size_t kept = FG_STATS_LABEL_MAX - 9, cut = kept;
    unsigned int i;

    while (cut > kept - 4 && ((unsigned char)text[cut] & 0xc0) == 0x80) {
        cut--;
    }
    kept = cut > kept - 4 ? cut : kept;
    memcpy(out, text, kept);
    out[kept++] = '~';
    for (i = 0; i < 8; i++) {
        out[kept++] = "0123456789abcdef"[hash >> (4 * i) & 15];
    }
    return kept;
}

static void keep_label(const fg_stats_t *stats, label_t *label, const char *text, apr_size_t len,
                       apr_time_t now)
{
    apr_time_t second = apr_time_sec(now);

    memset(&label->bytes, 0, sizeof(label->bytes));
    if (len > FG_STATS_LABEL_MAX) {
        label->len = shorten(stats, label->bytes.text, text, len);
    }
    else {
        label->len = len > 0 ? len : 1;
        memcpy(label->bytes.text, len > 0 ? text : "-", label->len);
    }
    label->identity = identity_of(stats, label->bytes.text, label->len);
    label->second = second > 0 ? (apr_uint64_t)second & SECOND_MAX : 0;
}

/* Write the label into its slot, unless it is there or the slot is lost. */
static void name_slot(table_t *table, unsigned int n, apr_uint64_t key, const label_t *label)
{
    slot_t *slot = &table->slot[n];
    apr_uint64_t meta = atomic_load(&slot->meta);
    apr_uint64_t since, named;
    unsigned int i;

    if (fg_shared_value(meta, key) & META_READY) {
        return;
    }
    since = fg_shared_belongs(meta, key) ? fg_shared_value(meta, key) >> META_SINCE : label->second;
    named = fg_shared_tag(key, since << META_SINCE | META_READY | label->len);
    for (i = 0; i < LABEL_WORDS; i++) {
        if (atomic_load(&table->key[n]) != key) {
            return;
        }
        atomic_store_explicit(&slot->label[i], label->bytes.word[i], memory_order_relaxed);
    }
    /* If another has named it meanwhile: for this tenant the same, a later one's shall stay. */
    if (atomic_load(&table->key[n]) == key) {
        atomic_compare_exchange_strong(&slot->meta, &meta, named);
    }
}

/* --- slots ------------------------------------------------------------------------------------ */

/* Whether the slot is the key's: it may have been taken, and its new key not be written yet. */
static int is_held(table_t *table, unsigned int n, apr_uint64_t key)
{
    return fg_shared_belongs(atomic_load(&table->total[n]), key);
}

static fg_shared_word_t *hint_of(table_t *table, apr_uint64_t identity)
{
    return &table->hint[identity % HINTS];
}

static unsigned int lane_of(apr_uint64_t hint, unsigned int lane)
{
    return (unsigned int)(hint >> (16 * lane) & 0xffff);
}

/* @return the slot, or NO_SLOT if the hints know none */
static unsigned int follow_hints(table_t *table, apr_uint64_t identity, apr_uint64_t *key)
{
    apr_uint64_t hint = atomic_load(hint_of(table, identity));
    unsigned int lane;

    for (lane = 0; lane < LANES; lane++) {
        unsigned int n = lane_of(hint, lane);

        if (n > 0 && n <= FG_STATS_TOP) {
            *key = atomic_load(&table->key[n - 1]);
            if (fg_shared_key_identity(*key) == identity && is_held(table, n - 1, *key)) {
                return n - 1;
            }
        }
    }
    return NO_SLOT;
}

/* Put a hint into a lane that leads nowhere, or into any. */
static void leave_hint(table_t *table, apr_uint64_t identity, unsigned int n)
{
    fg_shared_word_t *word = hint_of(table, identity);
    apr_uint64_t hint = atomic_load(word);
    unsigned int lane, use = n % LANES;

    for (lane = 0; lane < LANES; lane++) {
        unsigned int other = lane_of(hint, lane);

        if (other == 0 || other > FG_STATS_TOP ||
            hint_of(table, fg_shared_key_identity(atomic_load(&table->key[other - 1]))) != word) {
            use = lane;
            break;
        }
    }
    atomic_compare_exchange_strong(word, &hint,
                                   (hint & ~(APR_UINT64_C(0xffff) << (16 * use))) |
                                       (apr_uint64_t)(n + 1) << (16 * use));
}

/* @return 0 if the slot has another tenant now */
static int add_to_total(table_t *table, unsigned int n, apr_uint64_t key, apr_uint64_t posts)
{
    apr_uint64_t old = atomic_load(&table->total[n]);

    do {
        if (!fg_shared_belongs(old, key)) {
            return 0;
        }
    } while (!atomic_compare_exchange_strong(&table->total[n], &old, old + posts));
    return 1;
}

/* @return 0 if the slot has another tenant now */
static int add_to_column(table_t *table, unsigned int n, apr_uint64_t key, fg_shared_word_t *word,
                         apr_uint64_t posts)
{
    apr_uint64_t old = atomic_load(word);

    do {
        if (atomic_load(&table->key[n]) != key) {
            return 0;
        }
    } while (!atomic_compare_exchange_strong(
        word, &old, fg_shared_tag(key, fg_shared_value(old, key) + posts)));
    return 1;
}

/* The label is in two slots: give up the later one. */
static void merge(table_t *table, unsigned int n, apr_uint64_t key, unsigned int later,
                  apr_uint64_t later_key)
{
    apr_uint64_t total = atomic_load(&table->total[later]);
    unsigned int i;

    do {
        if (!fg_shared_belongs(total, later_key)) {
            return;
        }
    } while (!atomic_compare_exchange_strong(
        &table->total[later], &total,
        fg_shared_tag(later_key + 1, fg_shared_value(total, later_key))));
    for (i = 0; i < FG_STATS_COLUMNS; i++) {
        apr_uint64_t posts = fg_shared_value(atomic_load(&table->slot[later].column[i]), later_key);

        if (posts > 0 && add_to_total(table, n, key, posts)) {
            atomic_fetch_add(&table->unlisted, -posts);
            add_to_column(table, n, key, &table->slot[n].column[i], posts);
        }
    }
}

/*
 * Look at all slots.
 * @return the label's slot and its key, or NO_SLOT; and the slot with the lowest total, and that
 */
static unsigned int look_at_all(table_t *table, apr_uint64_t identity, apr_uint64_t *key,
                                unsigned int *victim, apr_uint64_t *lowest)
{
    unsigned int n, found = NO_SLOT;

    *victim = 0;
    for (n = 0; n < FG_STATS_TOP; n++) {
        apr_uint64_t held = atomic_load(&table->key[n]);
        apr_uint64_t total = atomic_load(&table->total[n]);

        if (fg_shared_key_identity(held) == identity && fg_shared_belongs(total, held)) {
            if (found == NO_SLOT) {
                found = n;
                *key = held;
            }
            else {
                merge(table, found, *key, n, held);
            }
        }
        if (n == 0 || (total & FG_SHARED_VALUE) < (*lowest & FG_SHARED_VALUE)) {
            *lowest = total;
            *victim = n;
        }
    }
    return found;
}

/* Take over the slot with the lowest total, and add a post to it. @return 0 if there was a race */
static int take(table_t *table, unsigned int n, apr_uint64_t total, apr_uint64_t identity)
{
    apr_uint64_t old = atomic_load(&table->key[n]), generation = (total >> 48) + 1;

    if (!atomic_compare_exchange_strong(&table->total[n], &total,
                                        fg_shared_tag(generation, (total & FG_SHARED_VALUE) + 1))) {
        return 0;
    }
    if (!atomic_compare_exchange_strong(&table->key[n], &old,
                                        identity << 16 | (generation & FG_SHARED_GENERATION))) {
        atomic_fetch_add(&table->unlisted, -APR_UINT64_C(1));
        return 0;
    }
    return 1;
}

/* Add a post to the label's total. @return its slot and key, or NO_SLOT */
static unsigned int count_post(table_t *table, apr_uint64_t identity, apr_uint64_t *key)
{
    unsigned int victim, tries;
    apr_uint64_t lowest;

    for (tries = 0; tries < TRIES_MAX; tries++) {
        unsigned int n = follow_hints(table, identity, key);

        if (n == NO_SLOT) {
            n = look_at_all(table, identity, key, &victim, &lowest);
            if (n != NO_SLOT) {
                leave_hint(table, identity, n);
            }
        }
        if (n != NO_SLOT) {
            if (add_to_total(table, n, *key, 1)) {
                return n;
            }
        }
        else if (take(table, victim, lowest, identity)) {
            unsigned int taken = victim;

            n = look_at_all(table, identity, key, &victim, &lowest);
            if (n == taken) {
                leave_hint(table, identity, n);
                return n;
            }
            /* Lost again, or given up for another: the post goes there. */
            atomic_fetch_add(&table->unlisted, -APR_UINT64_C(1));
        }
    }
    atomic_fetch_add(&table->unlisted, 1);
    return NO_SLOT;
}

static void see(table_t *table, unsigned int n, apr_uint64_t key, apr_uint64_t second)
{
    fg_shared_word_t *word = &table->slot[n].last;
    apr_uint64_t old = atomic_load(word);

    if ((!fg_shared_belongs(old, key) || fg_shared_value(old, key) < second) &&
        atomic_load(&table->key[n]) == key) {
        atomic_compare_exchange_strong(word, &old, fg_shared_tag(key, second));
    }
}

void fg_stats_post(fg_stats_t *stats, fg_stats_table_t which, const char *text, apr_size_t len,
                   fg_stats_column_t column, apr_time_t now)
{
    apr_uint64_t key = 0;
    table_t *table;
    label_t label;
    unsigned int n;

    if (which >= FG_STATS_TABLES || column >= FG_STATS_COLUMNS) {
        return;
    }
    table = &stats->memory->table[which];
    keep_label(stats, &label, text, len, now);
    n = count_post(table, label.identity, &key);
    if (n != NO_SLOT && add_to_column(table, n, key, &table->slot[n].column[column], 1)) {
        see(table, n, key, label.second);
        name_slot(table, n, key, &label);
    }
}

/* --- a reader --------------------------------------------------------------------------------- */

/* @return 0 if the label is not whole; it will be written again */
static int read_label(const fg_stats_t *stats, slot_t *slot, apr_uint64_t key,
                      fg_stats_entry_t *entry, apr_pool_t *pool)
{
    apr_uint64_t meta = atomic_load(&slot->meta);
    apr_uint64_t value = fg_shared_value(meta, key);
    apr_size_t len = (apr_size_t)(value & META_LENGTH);
    label_t label;
    unsigned int i;

    if (!(value & META_READY) || len > FG_STATS_LABEL_MAX) {
        return 0;
    }
    for (i = 0; i < LABEL_WORDS; i++) {
        label.bytes.word[i] = atomic_load_explicit(&slot->label[i], memory_order_relaxed);
    }
    if (identity_of(stats, label.bytes.text, len) != fg_shared_key_identity(key)) {
        atomic_compare_exchange_strong(&slot->meta, &meta, meta & ~META_READY);
        return 0;
    }
    entry->label = apr_pstrmemdup(pool, label.bytes.text, len);
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
