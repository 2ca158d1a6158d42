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
 * Labels are found through groups of hints, each one word: a label's group holds the numbers of the
 * slots of all labels of that group. Who puts a label in writes its hint afterwards, then looks for
 * another slot of the same label: since both are in one word, of two the later sees the other.
 * Where a group had more labels than lanes once, that is marked, and all K keys are looked at from
 * then on. A process killed before it has left its hint leaves a slot that nobody finds: it gets no
 * more posts and is soon the lowest.
 *
 * The lowest total is found by going round: no total is lower than `floor`, and the next that is as
 * low will do. Where none is left the floor rises to the lowest there is. It stays true, since
 * totals only grow.
 */
#include "stats_internal.h"

#define MAGIC   APR_UINT64_C(0x6667737461747321)
#define VERSION 2

/* Over this many lost races a post is counted with no label; each is lost to one that won. */
#define TRIES_MAX 100

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

/* 10 us is a decision that reads no body, 10 s a vendor that hangs. */
static const apr_interval_time_t bounds[FG_STATS_BUCKETS - 1] = {
    10,    20,    50,     100,    200,    500,     1000,    2000,    5000,    10000,
    20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000};

apr_interval_time_t fg_stats_bound(unsigned int bucket)
{
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
    while (i < FG_STATS_BUCKETS - 1 && took > bounds[i]) {
        i++;
    }
    atomic_fetch_add(&cells->bucket[i], 1);
    atomic_fetch_add(&cells->sum, (apr_uint64_t)took);
}

/* --- labels ----------------------------------------------------------------------------------- */

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

    label->text = len > 0 ? text : "-";
    label->len = len > 0 ? len : 1;
    if (len > FG_STATS_LABEL_MAX) {
        label->len = shorten(stats, label->room, text, len);
        label->text = label->room;
    }
    label->identity = identity_of(stats, label->text, label->len);
    label->second = second > 0 ? (apr_uint64_t)second & SECOND_MAX : 0;
}

/* Write the label into its slot, unless it is there or the slot is lost. */
static void name_slot(table_t *table, unsigned int n, apr_uint64_t key, const label_t *label)
{
    slot_t *slot = &table->slot[n];
    apr_uint64_t meta = atomic_load(&slot->meta);
    label_bytes_t bytes;
    apr_uint64_t since, named;
    unsigned int i;

    if (fg_shared_value(meta, key) & META_READY) {
        return;
    }
    memset(&bytes, 0, sizeof(bytes));
    memcpy(bytes.text, label->text, label->len);
    since = fg_shared_belongs(meta, key) ? fg_shared_value(meta, key) >> META_SINCE : label->second;
    named = fg_shared_tag(key, since << META_SINCE | META_READY | label->len);
    for (i = 0; i < LABEL_WORDS; i++) {
        if (atomic_load(&table->key[n]) != key) {
            return;
        }
        atomic_store_explicit(&slot->label[i], bytes.word[i], memory_order_relaxed);
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

/* A slot that may be the label's, beside the one that was found first: of two that are, the one
 * with the lower number stays. */
static void meet(table_t *table, apr_uint64_t identity, unsigned int n, unsigned int *found,
                 apr_uint64_t *key)
{
    apr_uint64_t held = atomic_load(&table->key[n]);

    if (n == *found || fg_shared_key_identity(held) != identity || !is_held(table, n, held)) {
        return;
    }
    if (*found != NO_SLOT && *found < n) {
        merge(table, *found, *key, n, held);
        return;
    }
    if (*found != NO_SLOT) {
        merge(table, n, held, *found, *key);
    }
    *found = n;
    *key = held;
}

/* @return the label's slot and its key, or NO_SLOT */
static unsigned int find(table_t *table, apr_uint64_t identity, apr_uint64_t *key)
{
    apr_uint64_t hint = atomic_load(hint_of(table, identity));
    unsigned int found = NO_SLOT, full = 0, i;

    for (; hint != 0; hint >>= 16) {
        unsigned int lane = (unsigned int)(hint & LANE);

        if (lane > 0 && lane <= FG_STATS_TOP) {
            meet(table, identity, lane - 1, &found, key);
        }
        full |= lane == FULL_GROUP;
    }
    for (i = 0; full && i < FG_STATS_TOP; i++) {
        meet(table, identity, i, &found, key);
    }
    return found;
}

/* Whether a lane leads to a label of the word's group. */
static int is_used(table_t *table, const fg_shared_word_t *word, unsigned int lane)
{
    return lane == FULL_GROUP ||
           (lane > 0 && lane <= FG_STATS_TOP &&
            hint_of(table, fg_shared_key_identity(atomic_load(&table->key[lane - 1]))) == word);
}

/* The word with a hint to slot `n` in a lane that is not used; where there is none, with the mark
 * that says so. @return what is in the lane now */
static unsigned int add_hint(table_t *table, const fg_shared_word_t *word, apr_uint64_t *hint,
                             unsigned int n)
{
    unsigned int shift, use = 0, add = FULL_GROUP, old;

    for (shift = 0; shift < 64; shift += 16) {
        unsigned int lane = (unsigned int)(*hint >> shift & LANE);

        if (lane == n + 1) {
            return lane; /* from an earlier tenant of the same group */
        }
        if (add == FULL_GROUP && !is_used(table, word, lane)) {
            use = shift;
            add = n + 1;
        }
    }
    old = (unsigned int)(*hint >> use & LANE);
    *hint = (*hint & ~(LANE << use)) | (apr_uint64_t)add << use;
    return old;
}

/* Leave a hint to a slot. */
static void leave_hint(table_t *table, apr_uint64_t identity, unsigned int n)
{
    fg_shared_word_t *word = hint_of(table, identity);
    unsigned int tries, old;

    for (tries = 0; tries < TRIES_MAX; tries++) {
        apr_uint64_t was = atomic_load(word), hint = was;

        old = add_hint(table, word, &hint, n);
        if (hint == was) {
            return;
        }
        if (!atomic_compare_exchange_strong(word, &was, hint)) {
            continue;
        }
        /* What the lane had led to may have become one of this group just before, by somebody who
         * saw the hint there already. */
        if (old == 0 || old > FG_STATS_TOP || !is_used(table, word, old)) {
            return;
        }
        n = old - 1;
    }
}

/* The slot with the lowest total, and that. */
static unsigned int find_lowest(table_t *table, apr_uint64_t *lowest)
{
    apr_uint64_t floor = atomic_load(&table->floor), next = atomic_load(&table->next);
    unsigned int i, victim = 0;

    *lowest = FG_SHARED_VALUE;
    for (i = 0; i < FG_STATS_TOP; i++) {
        unsigned int n = (unsigned int)((next + i) % FG_STATS_TOP);
        apr_uint64_t total = atomic_load(&table->total[n]), posts = total & FG_SHARED_VALUE;

        if (i == 0 || posts < (*lowest & FG_SHARED_VALUE)) {
            *lowest = total;
            victim = n;
        }
        if (posts <= floor) {
            break;
        }
    }
    atomic_store(&table->next, victim + 1);
    while (floor < (*lowest & FG_SHARED_VALUE) &&
           !atomic_compare_exchange_strong(&table->floor, &floor, *lowest & FG_SHARED_VALUE)) {
    }
    return victim;
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
    unsigned int tries;
    apr_uint64_t lowest;

    for (tries = 0; tries < TRIES_MAX; tries++) {
        unsigned int n = find(table, identity, key), victim;

        if (n != NO_SLOT) {
            if (add_to_total(table, n, *key, 1)) {
                return n;
            }
            continue;
        }
        victim = find_lowest(table, &lowest);
        if (take(table, victim, lowest, identity)) {
            leave_hint(table, identity, victim);
            if (find(table, identity, key) == victim) {
                return victim;
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
