/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file counters.c
 * @brief The table of counters: test and consume, give back, peek.
 *
 * Why no window of length T ever holds more than N, whoever races with whom:
 *
 * A charge is admitted if, after its count was written into the word of sub-window e, a second
 * look at all slots of the key finds (a) its slot still the key's, (b) no word newer than e, and
 * (c) at most N in the sub-windows e-6 to e. Otherwise the count is taken back and all begins
 * anew. (Where each word is as the first look saw it, but for the count, the second need not add
 * up what the first has.) Take any seven sub-windows in a row, and of the charges admitted into
 * them the one, c, that was written last. All exchanges and loads are sequentially consistent, so
 * c's second look came after every other of these charges was written. None lies in a later sub-
 * window than c's, or (b) would have failed; and none has been overwritten, for only a sub-window
 * seven later uses the same word, and (b) again. So c's look counted them all, and (c) says they
 * are at most N.
 * That holds for a key that sits in two slots, too: both are looked at, so that two processes
 * that insert the same key at once do no harm.
 *
 * Why nobody is refused while there is room: a charge is refused for what it sees in the words.
 * That may include counts about to be taken back, but whoever takes back looks again. The last to
 * take back sees only counts that stay: it is admitted if there is room.
 *
 * A process killed between writing and the second look leaves a count too many, never one too few.
 *
 * A caller whose clock lags charges the newest sub-window of its key: its charge is dated to the
 * latest time the key has seen.
 *
 * Only evicting a key that still has counts loses them; statistics show how often that happens.
 */
#include "counters_layout.h"

#include <apr_siphash.h>
#include <string.h>

#include "mix.h"

/* Over this many lost races a caller is refused. A thousand: each is lost to one that won. */
#define TRIES_MAX 1000

#define ENTRIES_MIN 1024
#define ENTRIES_MAX (1U << 28)

#define VALUE_MAX 512

/* What a caller asks for, and what follows from it. */
typedef struct attempt {
    fg_counters_set_t *set;
    apr_uint64_t number; /* of the set */
    apr_uint64_t key;    /* identity only */
    apr_uint64_t tag;
    const fg_rate_t *rate;
    apr_uint32_t limit; /* N */
    apr_uint32_t weight;
    apr_time_t now;
    apr_uint64_t index;  /* of the sub-window `now` is in */
    apr_uint64_t second; /* `now` and the period for meta */
    apr_uint64_t period;
} attempt_t;

/* What the slots of a key hold. */
typedef struct view {
    apr_uint64_t key[FG_WAYS]; /* of the whole set */
    apr_uint64_t word[FG_WAYS * FG_RATE_LIVE];
    unsigned int words;
    unsigned int slots;  /* bit n: slot n is the key's */
    unsigned int slot;   /* the lowest; the first seven words are its own */
    apr_uint64_t held;   /* its key, generation included */
    apr_uint64_t newest; /* the newest sub-window charged, or that of `now` */
    apr_uint32_t used;   /* counted in the seven sub-windows up to it */
    int plain;           /* 1: one slot, and no word of a sub-window newer than `now`'s */
} view_t;

static apr_uint64_t sets_for(apr_uint32_t entries)
{
    apr_uint64_t n = ENTRIES_MIN;

    while (n < entries && n < ENTRIES_MAX) {
        n *= 2;
    }
    return n / FG_WAYS;
}

apr_size_t fg_counters_size(apr_uint32_t entries)
{
    return fg_counters_bytes(sets_for(entries));
}

apr_status_t fg_counters_format(void *mem, apr_size_t size, apr_uint32_t entries,
                                const unsigned char secret[16])
{
    apr_size_t bytes = fg_counters_size(entries);
    apr_size_t offset = (apr_size_t)(-(apr_uintptr_t)mem % FG_LINE);
    fg_counters_header_t *header = (fg_counters_header_t *)((char *)mem + offset);

    if ((apr_uintptr_t)mem % sizeof(apr_uint64_t) || bytes == 0 || size < bytes) {
        return APR_EINVAL;
    }
    memset(mem, 0, size);
    header->version = FG_COUNTERS_VERSION;
    header->offset = (apr_uint32_t)offset;
    header->bytes = bytes;
    header->sets = sets_for(entries);
    memcpy(header->secret, secret, sizeof(header->secret));
    header->magic = FG_MAGIC;
    return APR_SUCCESS;
}

/* The memory may be mapped at another alignment than it was made at: look where it can begin. */
static fg_counters_header_t *find_header(void *mem, apr_size_t size)
{
    apr_size_t offset;

    if ((apr_uintptr_t)mem % sizeof(apr_uint64_t) || size < fg_counters_size(0)) {
        return NULL;
    }
    for (offset = 0; offset < FG_LINE; offset += sizeof(apr_uint64_t)) {
        fg_counters_header_t *header = (fg_counters_header_t *)((char *)mem + offset);

        if (header->magic == FG_MAGIC && header->offset == offset) {
            return header;
        }
    }
    return NULL;
}

apr_status_t fg_counters_attach(fg_counters_t **counters, void *mem, apr_size_t size,
                                apr_pool_t *pool)
{
    fg_counters_header_t *header = find_header(mem, size);
    apr_uint64_t sets;

    *counters = NULL;
    if (!header || header->version != FG_COUNTERS_VERSION || header->bytes > size) {
        return APR_EINVAL;
    }
    sets = header->sets;
    if (sets < ENTRIES_MIN / FG_WAYS || sets > ENTRIES_MAX / FG_WAYS || (sets & (sets - 1)) ||
        fg_counters_bytes(sets) == 0 || header->bytes != fg_counters_bytes(sets)) {
        return APR_EINVAL;
    }
    *counters = apr_palloc(pool, sizeof(**counters));
    (*counters)->header = header;
    (*counters)->set = (fg_counters_set_t *)(header + 1);
    (*counters)->sets = sets;
    memcpy((*counters)->secret, header->secret, sizeof(header->secret));
    return APR_SUCCESS;
}

/* An identity is never 0: that is an empty slot. */
static apr_uint64_t identity_of(apr_uint64_t key)
{
    return fg_key_identity(key) ? fg_key_identity(key) : FG_GENERATION + 1;
}

apr_uint64_t fg_counters_digest(const fg_counters_t *counters, const void *value, apr_size_t len)
{
    return apr_siphash24(value, len < VALUE_MAX ? len : VALUE_MAX, counters->secret);
}

/* Nobody outside can tell or choose a digest: whether two values have one key, under rules however
 * named, is chance. One value under two rules has one only where their names and rates mix to the
 * same, but for bits that the generation takes: fg_mix() is one to one in each argument. Names are
 * hashes, so that is chance as well. */
fg_counter_key_t fg_counters_key_of(apr_uint64_t digest, apr_uint64_t rule, unsigned int rate)
{
    return identity_of(fg_mix(digest, fg_mix(fg_mix(0, rate), rule)));
}

fg_counter_key_t fg_counters_key(const fg_counters_t *counters, apr_uint64_t rule,
                                 unsigned int rate, const void *value, apr_size_t len)
{
    return fg_counters_key_of(fg_counters_digest(counters, value, len), rule, rate);
}

static void set_attempt(attempt_t *at, const fg_counters_t *counters, fg_counter_key_t key,
                        const fg_rate_t *rate, apr_uint32_t weight, apr_time_t now)
{
    at->key = identity_of(key);
    at->tag = fg_key_tag(at->key);
    at->number = fg_key_set(at->key, counters->sets);
    at->set = &counters->set[at->number];
    at->rate = rate;
    at->limit = rate->count < FG_RATE_MAX_COUNT ? rate->count : FG_RATE_MAX_COUNT;
    at->weight = weight ? weight : 1;
    at->now = now > 0 ? now : 0;
    at->index = fg_rate_index(rate, at->now);
    at->second = (apr_uint64_t)at->now / APR_USEC_PER_SEC;
    at->period =
        fg_meta_period(((apr_uint64_t)rate->period + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
}

/* The slot's bit if it is the key's. */
static inline unsigned int find_slot(fg_counters_set_t *set, apr_uint64_t key, unsigned int slot,
                                     apr_uint64_t held[FG_WAYS])
{
    held[slot] = atomic_load(&set->key[slot]);
    return (unsigned int)((held[slot] ^ key) <= FG_GENERATION) << slot;
}

/* Slots that are the key's, a bit each. Without branches: where a key sits nobody can predict. */
static inline unsigned int find_slots(fg_counters_set_t *set, apr_uint64_t key,
                                      apr_uint64_t held[FG_WAYS])
{
    return find_slot(set, key, 0, held) | find_slot(set, key, 1, held) |
           find_slot(set, key, 2, held) | find_slot(set, key, 3, held) |
           find_slot(set, key, 4, held) | find_slot(set, key, 5, held) |
           find_slot(set, key, 6, held) | find_slot(set, key, 7, held);
}

_Static_assert(FG_WAYS == 8, "find_slots() looks at all of them");

/* Add up again, up to the newest sub-window that is in the words. */
static void add_up_to_newest(const attempt_t *at, apr_uint64_t index, view_t *view)
{
    int newest = 0;
    unsigned int i;

    for (i = 0; i < view->words; i++) {
        int ahead = fg_word_ahead(view->word[i], index);

        if (fg_word_tag(view->word[i]) == at->tag && ahead > newest && ahead <= FG_LAG_MAX) {
            newest = ahead;
        }
    }
    view->newest = index + (apr_uint64_t)newest;
    view->used = 0;
    for (i = 0; i < view->words; i++) {
        int ahead = fg_word_ahead(view->word[i], view->newest);

        if (fg_word_tag(view->word[i]) == at->tag && ahead <= 0 && ahead >= -FG_RATE_SLICES) {
            view->used += fg_word_count(view->word[i]);
        }
    }
}

/*
 * Read all slots of the key.
 * @param index the sub-window to count up to, if no newer one was charged
 * @return 0 if no slot is the key's
 */
static int look(const attempt_t *at, apr_uint64_t index, view_t *view)
{
    fg_counters_set_t *set = at->set;
    unsigned int slots = find_slots(set, at->key, view->key);
    unsigned int i, words = 0;
    int slow = fg_word_index_wraps(index);
    /* Words of this tag and a live sub-window follow `first` in one run of numbers. */
    apr_uint64_t first = fg_word_stamp(at->tag, index - FG_RATE_SLICES);
    apr_uint64_t used = 0;

    view->slots = slots;
    view->slot = slots ? (unsigned int)__builtin_ctz(slots) : 0;
    view->held = view->key[view->slot];
    for (; slots; slots &= slots - 1) {
        fg_word_t *entry = set->entry[__builtin_ctz(slots)];
        apr_uint64_t *seen = view->word + words;

        for (i = 0; i < FG_RATE_LIVE; i++) {
            apr_uint64_t word = atomic_load(&entry[i]);
            apr_uint64_t past = word - first;

            seen[i] = word;
            used += past < FG_WORD_STEP * FG_RATE_LIVE ? past & FG_WORD_COUNT : 0;
            slow |= past - FG_WORD_STEP * FG_RATE_LIVE < FG_WORD_STEP * FG_LAG_MAX;
        }
        words += FG_RATE_LIVE;
    }
    view->words = words;
    view->used = (apr_uint32_t)used;
    view->newest = index;
    view->plain = words == FG_RATE_LIVE && !slow;
    if (slow) {
        add_up_to_newest(at, index, view);
    }
    return words != 0;
}

static inline apr_uint64_t differs(fg_word_t *word, apr_uint64_t seen)
{
    return atomic_load(word) ^ seen;
}

/* 1 if a look now would see what a plain one has seen, word for word. */
static int is_unchanged(const attempt_t *at, const view_t *view)
{
    fg_word_t *key = at->set->key;
    fg_word_t *word = at->set->entry[view->slot];

    return (differs(&key[0], view->key[0]) | differs(&key[1], view->key[1]) |
            differs(&key[2], view->key[2]) | differs(&key[3], view->key[3]) |
            differs(&key[4], view->key[4]) | differs(&key[5], view->key[5]) |
            differs(&key[6], view->key[6]) | differs(&key[7], view->key[7]) |
            differs(&word[0], view->word[0]) | differs(&word[1], view->word[1]) |
            differs(&word[2], view->word[2]) | differs(&word[3], view->word[3]) |
            differs(&word[4], view->word[4]) | differs(&word[5], view->word[5]) |
            differs(&word[6], view->word[6])) == 0;
}

_Static_assert(FG_WAYS == 8 && FG_RATE_LIVE == 7, "is_unchanged() looks at all of them");

/*
 * Write into meta that the entry is about to be charged.
 *
 * An evictor reads key, then meta, and exchanges the key if meta says long quiet. So that it
 * cannot take away what was charged in between, an entry that was quiet for more than its period
 * gets a new generation before it is charged, and the evictor's exchange fails. Meta gets it
 * first and then the key, and nobody charges while they differ: one that finds the first half
 * done does the second. Entries not quiet so long are no evictor's choice while its clock and
 * ours are less than T/6 + 2 s apart.
 * @return 0 if somebody else was at it: look again
 */
static int mark(const attempt_t *at, const view_t *view)
{
    fg_word_t *word = &at->set->entry[view->slot][FG_META];
    apr_uint64_t meta = atomic_load(word), held = view->held;
    int quiet = fg_meta_quiet(meta, at->second);
    int fresh = fg_meta_period(meta) == at->period && quiet <= (apr_int64_t)at->period;

    if (fresh && fg_meta_generation(meta) == (held & FG_GENERATION)) {
        return quiet <= 0 || atomic_compare_exchange_strong(
                                 word, &meta, fg_meta_make(held, at->second, at->period));
    }
    if (atomic_load(&at->set->key[view->slot]) != held) {
        return 0; /* what was read may be the next tenant's meta: hands off */
    }
    if (!fresh || fg_meta_generation(meta) != ((held + 1) & FG_GENERATION)) {
        if (!atomic_compare_exchange_strong(word, &meta,
                                            fg_meta_make(held + 1, at->second, at->period))) {
            return 0;
        }
    }
    return atomic_compare_exchange_strong(&at->set->key[view->slot], &held,
                                          at->key | ((held + 1) & FG_GENERATION));
}

/* How well a slot may be taken from its key: the higher the better; *live if counts are lost. */
static apr_uint64_t rank_victim(apr_uint64_t key, apr_uint64_t meta, apr_uint64_t second, int *live)
{
    apr_int64_t quiet = fg_meta_quiet(meta, second);
    apr_int64_t period = (apr_int64_t)fg_meta_period(meta);

    *live = 0;
    if (key == 0) {
        return APR_UINT64_C(4) << 32;
    }
    if (fg_meta_generation(meta) != (key & FG_GENERATION)) {
        return APR_UINT64_C(2) << 32; /* not charged yet: somebody is at it, or was killed */
    }
    if (quiet > period + period / FG_RATE_SLICES + 2) {
        return (APR_UINT64_C(3) << 32) + (apr_uint64_t)quiet;
    }
    *live = 1;
    return quiet > 0 ? (apr_uint64_t)quiet : 0;
}

/* Put the key into a slot of its set: an empty one, else an expired, else the longest quiet. */
static void insert(const fg_counters_t *counters, const attempt_t *at)
{
    apr_uint64_t best_key = 0, best_rank = 0;
    unsigned int slot, best = 0;
    int best_live = 0;

    for (slot = 0; slot < FG_WAYS; slot++) {
        apr_uint64_t key = atomic_load(&at->set->key[slot]);
        apr_uint64_t meta = atomic_load(&at->set->entry[slot][FG_META]);
        int live;
        apr_uint64_t rank = rank_victim(key, meta, at->second, &live);

        if (slot == 0 || rank > best_rank) {
            best = slot;
            best_key = key;
            best_rank = rank;
            best_live = live;
        }
    }
    /* Two generations on: the last tenant may have put the one between into meta already. */
    if (atomic_compare_exchange_strong(&at->set->key[best], &best_key,
                                       at->key | ((best_key + 2) & FG_GENERATION))) {
        atomic_fetch_add(&counters->header->inserts, 1);
        if (best_live) {
            atomic_fetch_add(&counters->header->live_evictions, 1);
        }
    }
}

/* How long until enough of the oldest counts expire for the weight to fit; 0: never. */
static apr_interval_time_t retry_after(const attempt_t *at, const view_t *view)
{
    apr_uint32_t expired = 0;
    unsigned int i;
    int age;

    if (at->weight > at->limit) {
        return 0;
    }
    for (age = FG_RATE_SLICES; age > 0; age--) {
        for (i = 0; i < view->words; i++) {
            if (fg_word_tag(view->word[i]) == at->tag &&
                fg_word_ahead(view->word[i], view->newest) == -age) {
                expired += fg_word_count(view->word[i]);
            }
        }
        if (view->used - expired + at->weight <= at->limit) {
            break;
        }
    }
    return fg_rate_begin(at->rate, view->newest - (apr_uint64_t)age + FG_RATE_LIVE) - at->now;
}

static void refuse(const attempt_t *at, const view_t *view, fg_count_t *count)
{
    count->admitted = 0;
    count->used = view->used;
    count->retry_after = retry_after(at, view);
}

/* Take a charge off its word again, unless the word has moved on. */
static void take_back(fg_word_t *word, apr_uint64_t stamp, apr_uint32_t weight)
{
    apr_uint64_t old = atomic_load(word);
    unsigned int tries;

    for (tries = 0; tries < TRIES_MAX && (old & ~FG_WORD_COUNT) == stamp; tries++) {
        apr_uint64_t held = old & FG_WORD_COUNT;

        if (atomic_compare_exchange_strong(word, &old,
                                           stamp | (held > weight ? held - weight : 0))) {
            return;
        }
    }
}

static int fits(const attempt_t *at, const view_t *view)
{
    return (apr_uint64_t)view->used + at->weight <= at->limit;
}

/* The second look, after a charge that `view` has as it stands there. */
static int holds(const attempt_t *at, view_t *view)
{
    view_t after;

    look(at, view->newest, &after);
    view->used = after.used;
    return (after.slots & 1U << view->slot) && after.newest == view->newest &&
           after.used <= at->limit;
}

/* @return 0 if another got in between: try again */
static int try_once(const fg_counters_t *counters, const attempt_t *at, fg_count_t *count,
                    fg_charge_t *charge)
{
    view_t view;
    apr_uint64_t old, charged, stamp;
    fg_word_t *word;
    unsigned int n;
    int found = look(at, at->index, &view);

    if (!fits(at, &view)) {
        refuse(at, &view, count);
        return 1;
    }
    count->used = view.used;
    if (!found) {
        insert(counters, at);
        return 0;
    }
    if (!mark(at, &view)) {
        return 0;
    }
    n = (unsigned int)(view.newest % FG_RATE_LIVE);
    word = &at->set->entry[view.slot][n];
    stamp = fg_word_stamp(at->tag, view.newest);
    old = view.word[n];
    charged = (old & ~FG_WORD_COUNT) == stamp ? old + at->weight : stamp | at->weight;
    if (!atomic_compare_exchange_strong(word, &old, charged)) {
        return 0;
    }
    view.word[n] = charged;
    view.used += at->weight;
    if (!(view.plain && is_unchanged(at, &view)) && !holds(at, &view)) {
        take_back(word, stamp, at->weight);
        return 0;
    }
    count->admitted = 1;
    count->used = view.used;
    count->retry_after = 0;
    charge->line = (apr_uint32_t)(at->number * FG_WAYS + view.slot);
    charge->word = n;
    charge->stamp = stamp;
    charge->weight = at->weight;
    return 1;
}

fg_count_t fg_counters_consume(fg_counters_t *counters, fg_counter_key_t key, const fg_rate_t *rate,
                               apr_uint32_t weight, apr_time_t now, fg_charge_t *charge)
{
    fg_count_t count = {0, 0, 0};
    fg_charge_t charged = {0, 0, 0, 0};
    attempt_t at;
    unsigned int tries;

    set_attempt(&at, counters, key, rate, weight, now);
    for (tries = 0; tries < TRIES_MAX && !try_once(counters, &at, &count, &charged); tries++) {
    }
    if (tries == TRIES_MAX) {
        count.retry_after = fg_rate_slice(rate);
    }
    if (charge) {
        *charge = charged;
    }
    return count;
}

void fg_counters_refund(fg_counters_t *counters, const fg_charge_t *charge)
{
    if (charge->weight == 0 || charge->line >= counters->sets * FG_WAYS ||
        charge->word >= FG_RATE_LIVE) {
        return;
    }
    take_back(&counters->set[charge->line / FG_WAYS].entry[charge->line % FG_WAYS][charge->word],
              charge->stamp, charge->weight);
}

void fg_counters_forget(fg_counters_t *counters, fg_counter_key_t key)
{
    apr_uint64_t identity = identity_of(key);
    fg_counters_set_t *set = &counters->set[fg_key_set(identity, counters->sets)];
    apr_uint64_t held[FG_WAYS];
    unsigned int slots = find_slots(set, identity, held);
    unsigned int i;

    for (; slots; slots &= slots - 1) {
        fg_word_t *entry = set->entry[__builtin_ctz(slots)];

        for (i = 0; i < FG_RATE_LIVE; i++) {
            apr_uint64_t word = atomic_load(&entry[i]);

            if (fg_word_tag(word) == fg_key_tag(identity)) {
                take_back(&entry[i], word & ~FG_WORD_COUNT, FG_RATE_MAX_COUNT);
            }
        }
    }
}

fg_count_t fg_counters_peek(const fg_counters_t *counters, fg_counter_key_t key,
                            const fg_rate_t *rate, apr_time_t now)
{
    fg_count_t count;
    attempt_t at;
    view_t view;

    set_attempt(&at, counters, key, rate, 1, now);
    look(&at, at.index, &view);
    if (fits(&at, &view)) {
        count.admitted = 1;
        count.used = view.used + 1;
        count.retry_after = 0;
    }
    else {
        refuse(&at, &view, &count);
    }
    return count;
}
