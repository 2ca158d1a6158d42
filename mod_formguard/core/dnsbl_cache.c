/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dnsbl_cache.c
 * @brief Answers of blocklists, and the states of the lists, in memory shared by all processes.
 *
 *     header   identity and secret; a statistic; FG_ZONES pairs {name, state}
 *     set 0    eight entries, two lines of 64 bytes
 *     set 1    ...
 *
 * An entry is two words, {key ^ value, value}. Whoever reads it takes both and believes them if
 * they make the key. Nothing is exchanged and nothing repeated: of two who write an entry at once,
 * or of one killed between its words, a pair is left that makes nobody's key, and that is an empty
 * entry. (It makes one with the chance two 64-bit hashes are the same.)
 *
 * A state is one word, changed by compare-and-swap only: who succeeds is the one to log it, and
 * the one to ask a failing zone again. The name before it is set once and never changes.
 */
#include <stdatomic.h>
#include <string.h>

#include <apr_siphash.h>

#include "dnsbl_internal.h"

#define LINE    64
#define WAYS    8
#define MAGIC   APR_UINT64_C(0x6667646e73626c31)
#define VERSION 1

#define ENTRIES_MIN 1024
#define ENTRIES_MAX (1U << 24)

/* Names of zones that have a state. More are asked all the same: see fg_dnsbl_cache_enter(). */
#define ZONES 128

typedef _Atomic apr_uint64_t word_t;

typedef struct zone_state {
    word_t name; /* hash of it; 0: free */
    word_t state;
} zone_state_t;

typedef struct fg_dnsbl_cache_header {
    apr_uint64_t magic;
    apr_uint32_t version;
    apr_uint32_t offset; /* of this header in the memory given */
    apr_uint64_t bytes;  /* as fg_dnsbl_cache_size() said */
    apr_uint64_t sets;   /* a power of two */
    unsigned char secret[16];
    apr_uint64_t spare[2];
    word_t live_evictions;
    apr_uint64_t gap[7];
    zone_state_t zone[ZONES];
} header_t;

typedef struct entry {
    word_t check; /* key ^ value */
    word_t value;
} entry_t;

typedef struct fg_dnsbl_cache_set {
    entry_t entry[WAYS];
} set_t;

_Static_assert(sizeof(header_t) % LINE == 0, "header fills its lines");
_Static_assert(sizeof(set_t) == 2 * LINE, "set fills its lines");

/* --- values ----------------------------------------------------------------------------------- */

/*
 * what:4 code:24 expiry:36, for entries and states alike. Expiry is steady time in units of 2^16
 * microseconds, enough for 142 years. A code is kept without its 127.
 */
#define EXPIRY_BITS 36
#define EXPIRY_MAX  ((APR_UINT64_C(1) << EXPIRY_BITS) - 1)
#define UNIT_BITS   16

/* what: 0 nothing, else one of these, or UNKNOWN and the reason */
#define NOT_LISTED 1
#define LISTED     2
#define UNKNOWN    2

/* A zone that works has this state, a failing one that of an unknown answer. */
#define WORKING (APR_UINT64_C(1) << 60)

_Static_assert(UNKNOWN + FG_DNSBL_REASONS <= 16, "every reason fits");

static apr_uint64_t units(apr_time_t time)
{
    apr_uint64_t n = time > 0 ? (apr_uint64_t)time >> UNIT_BITS : 0;

    return n < EXPIRY_MAX ? n : EXPIRY_MAX;
}

static apr_uint64_t pack(const fg_dnsbl_answer_t *answer, apr_time_t expiry)
{
    apr_uint64_t what = answer->status == FG_DNSBL_LISTED       ? LISTED
                        : answer->status == FG_DNSBL_NOT_LISTED ? NOT_LISTED
                                                                : UNKNOWN + answer->reason;
    apr_uint64_t code = answer->code >> 24 == 127 ? answer->code & 0xffffff : 0;

    return what << 60 | code << EXPIRY_BITS | units(expiry);
}

static int is_expired(apr_uint64_t value, apr_time_t now)
{
    return (value & EXPIRY_MAX) <= units(now);
}

/* What memory says is never trusted to be a reason. */
static fg_dnsbl_answer_t unpack(apr_uint64_t value)
{
    apr_uint64_t what = value >> 60;
    apr_uint32_t code = (apr_uint32_t)(value >> EXPIRY_BITS) & 0xffffff;
    fg_dnsbl_answer_t answer = {FG_DNSBL_NOT_LISTED, FG_DNSBL_WORKING, 0, 0};

    if (what == LISTED) {
        answer.status = FG_DNSBL_LISTED;
    }
    else if (what > UNKNOWN && what < UNKNOWN + FG_DNSBL_REASONS) {
        answer.status = FG_DNSBL_UNKNOWN;
        answer.reason = (fg_dnsbl_reason_t)(what - UNKNOWN);
    }
    answer.code = what == LISTED || code ? 127U << 24 | code : 0;
    return answer;
}

/* --- the memory ------------------------------------------------------------------------------- */

static apr_uint64_t sets_for(apr_uint32_t entries)
{
    apr_uint64_t n = ENTRIES_MIN;

    while (n < entries && n < ENTRIES_MAX) {
        n *= 2;
    }
    return n / WAYS;
}

static apr_size_t bytes_for(apr_uint64_t sets)
{
    apr_uint64_t bytes = LINE + sizeof(header_t) + sets * sizeof(set_t);

    return bytes > APR_SIZE_MAX ? 0 : (apr_size_t)bytes;
}

apr_size_t fg_dnsbl_cache_size(apr_uint32_t entries)
{
    return bytes_for(sets_for(entries));
}

apr_status_t fg_dnsbl_cache_format(void *mem, apr_size_t size, apr_uint32_t entries,
                                   const unsigned char secret[16])
{
    apr_size_t bytes = fg_dnsbl_cache_size(entries);
    apr_size_t offset = (apr_size_t)(-(apr_uintptr_t)mem % LINE);
    header_t *header = (header_t *)((char *)mem + offset);

    if ((apr_uintptr_t)mem % sizeof(apr_uint64_t) || bytes == 0 || size < bytes) {
        return APR_EINVAL;
    }
    memset(mem, 0, size);
    header->version = VERSION;
    header->offset = (apr_uint32_t)offset;
    header->bytes = bytes;
    header->sets = sets_for(entries);
    memcpy(header->secret, secret, sizeof(header->secret));
    header->magic = MAGIC;
    return APR_SUCCESS;
}

/* The memory may be mapped at another alignment than it was made at: look where it can begin. */
static header_t *find_header(void *mem, apr_size_t size)
{
    apr_size_t offset;

    if ((apr_uintptr_t)mem % sizeof(apr_uint64_t) || size < fg_dnsbl_cache_size(0)) {
        return NULL;
    }
    for (offset = 0; offset < LINE; offset += sizeof(apr_uint64_t)) {
        header_t *header = (header_t *)((char *)mem + offset);

        if (header->magic == MAGIC && header->offset == offset) {
            return header;
        }
    }
    return NULL;
}

apr_status_t fg_dnsbl_cache_attach(fg_dnsbl_cache_t **cache, void *mem, apr_size_t size,
                                   apr_pool_t *pool)
{
    header_t *header = find_header(mem, size);
    apr_uint64_t sets;

    *cache = NULL;
    if (!header || header->version != VERSION || header->bytes > size) {
        return APR_EINVAL;
    }
    sets = header->sets;
    if (sets < ENTRIES_MIN / WAYS || sets > ENTRIES_MAX / WAYS || (sets & (sets - 1)) ||
        bytes_for(sets) == 0 || header->bytes != bytes_for(sets)) {
        return APR_EINVAL;
    }
    *cache = apr_palloc(pool, sizeof(**cache));
    (*cache)->header = header;
    (*cache)->set = (set_t *)(header + 1);
    (*cache)->sets = sets;
    memcpy((*cache)->secret, header->secret, sizeof(header->secret));
    return APR_SUCCESS;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Never 0: that is what an empty entry makes. */
static apr_uint64_t hash(const fg_dnsbl_cache_t *cache, const void *text, apr_size_t len)
{
    apr_uint64_t key = apr_siphash24(text, len, cache->secret);

    return key ? key : 1;
}

/* The codes are part of the key: what is listed for one may not be for another who asks. */
apr_uint64_t fg_dnsbl_cache_key(const fg_dnsbl_cache_t *cache, const fg_dnsbl_zone_t *zone,
                                const fg_address_t *address)
{
    unsigned char text[FG_DNSBL_ZONE_MAX + 1 + sizeof(zone->ranges) + 17];
    apr_size_t len = strlen(zone->name) + 1, n = zone->nranges * sizeof(zone->ranges[0]);

    if (len > FG_DNSBL_ZONE_MAX + 1) {
        len = FG_DNSBL_ZONE_MAX + 1;
    }
    memcpy(text, zone->name, len);
    memcpy(text + len, zone->ranges, n);
    len += n;
    text[len++] = address->family;
    memcpy(text + len, address->bytes, sizeof(address->bytes));
    return hash(cache, text, len + sizeof(address->bytes));
}

static set_t *set_of(const fg_dnsbl_cache_t *cache, apr_uint64_t key)
{
    return &cache->set[(key >> 8) & (cache->sets - 1)];
}

int fg_dnsbl_cache_get(const fg_dnsbl_cache_t *cache, apr_uint64_t key, apr_time_t now,
                       fg_dnsbl_answer_t *answer)
{
    set_t *set = set_of(cache, key);
    unsigned int i;

    for (i = 0; i < WAYS; i++) {
        apr_uint64_t check = atomic_load(&set->entry[i].check);
        apr_uint64_t value = atomic_load(&set->entry[i].value);

        if ((check ^ value) == key && !is_expired(value, now)) {
            *answer = unpack(value);
            return 1;
        }
    }
    return 0;
}

void fg_dnsbl_cache_put(fg_dnsbl_cache_t *cache, apr_uint64_t key, apr_time_t now,
                        const fg_dnsbl_answer_t *answer)
{
    set_t *set = set_of(cache, key);
    apr_uint64_t value = pack(answer, (now > 0 ? now : 0) + answer->ttl);
    apr_uint64_t given_up = 0;
    unsigned int i, best = 0;

    if (is_expired(value, now)) {
        return;
    }
    /* The key's own entry, else the one that expires first; an empty one has long expired. */
    for (i = 0; i < WAYS; i++) {
        apr_uint64_t check = atomic_load(&set->entry[i].check);
        apr_uint64_t held = atomic_load(&set->entry[i].value);

        if ((check ^ held) == key) {
            best = i;
            given_up = 0;
            break;
        }
        if (i == 0 || (held & EXPIRY_MAX) < (given_up & EXPIRY_MAX)) {
            best = i;
            given_up = held;
        }
    }
    if (!is_expired(given_up, now)) {
        atomic_fetch_add(&cache->header->live_evictions, 1);
    }
    atomic_store(&set->entry[best].check, key ^ value);
    atomic_store(&set->entry[best].value, value);
}

void fg_dnsbl_cache_stats(const fg_dnsbl_cache_t *cache, apr_time_t now,
                          fg_dnsbl_cache_stats_t *stats)
{
    apr_uint64_t i;

    memset(stats, 0, sizeof(*stats));
    stats->capacity = cache->sets * WAYS;
    stats->bytes = cache->header->bytes;
    stats->live_evictions = atomic_load(&cache->header->live_evictions);
    for (i = 0; i < stats->capacity; i++) {
        entry_t *entry = &cache->set[i / WAYS].entry[i % WAYS];

        stats->live += !is_expired(atomic_load(&entry->value), now);
    }
}

/* --- states of zones -------------------------------------------------------------------------- */

/* @param claim whether to take a free slot. @return the zone's slot, or -1 */
static int find_zone(const fg_dnsbl_cache_t *cache, const fg_dnsbl_zone_t *zone, int claim)
{
    apr_uint64_t name = hash(cache, zone->name, strlen(zone->name));
    unsigned int i;

    for (i = 0; i < ZONES; i++) {
        unsigned int slot = (unsigned int)(name + i) % ZONES;
        apr_uint64_t held = atomic_load(&cache->header->zone[slot].name);

        if (held == 0) {
            if (!claim) {
                return -1;
            }
            if (atomic_compare_exchange_strong(&cache->header->zone[slot].name, &held, name)) {
                return (int)slot;
            }
        }
        if (held == name) {
            return (int)slot;
        }
    }
    return -1;
}

/* Of a state that no zone has, memory was damaged: it is asked, and has one again. */
static int is_failing(apr_uint64_t state)
{
    return unpack(state).status == FG_DNSBL_UNKNOWN;
}

fg_dnsbl_reason_t fg_dnsbl_cache_zone_state(const fg_dnsbl_cache_t *cache,
                                            const fg_dnsbl_zone_t *zone)
{
    int slot = find_zone(cache, zone, 0);

    return slot < 0 ? FG_DNSBL_WORKING
                    : unpack(atomic_load(&cache->header->zone[slot].state)).reason;
}

int fg_dnsbl_cache_enter(fg_dnsbl_cache_t *cache, const fg_dnsbl_zone_t *zone, apr_time_t now,
                         apr_interval_time_t budget, fg_dnsbl_ticket_t *ticket,
                         fg_dnsbl_answer_t *answer)
{
    word_t *state;
    apr_uint64_t asking;

    ticket->slot = find_zone(cache, zone, 1);
    ticket->word = 0;
    if (ticket->slot < 0) {
        return 1; /* no room for it: asked always, and a failure is cached by address */
    }
    state = &cache->header->zone[ticket->slot].state;
    ticket->word = atomic_load(state);
    if (!is_failing(ticket->word)) {
        return 1;
    }
    *answer = unpack(ticket->word);
    if (!is_expired(ticket->word, now)) {
        return 0;
    }
    /* Whoever moves the expiry on is the one to ask; should it die, the next one is. */
    asking = pack(answer, now + (budget > FG_DNSBL_BACKOFF ? budget : FG_DNSBL_BACKOFF));
    if (!atomic_compare_exchange_strong(state, &ticket->word, asking)) {
        return !is_failing(ticket->word);
    }
    ticket->word = asking;
    return 1;
}

int fg_dnsbl_cache_leave(fg_dnsbl_cache_t *cache, const fg_dnsbl_ticket_t *ticket, apr_time_t now,
                         const fg_dnsbl_answer_t *answer)
{
    const int failed = answer->status == FG_DNSBL_UNKNOWN;
    const fg_dnsbl_reason_t before = unpack(ticket->word).reason;
    apr_uint64_t state = failed ? pack(answer, now + FG_DNSBL_BACKOFF) : WORKING;
    apr_uint64_t word = ticket->word;

    if (ticket->slot < 0) {
        return failed;
    }
    if (word == state) {
        return 0;
    }
    /* Another has spoken meanwhile: what it said stands. */
    return atomic_compare_exchange_strong(&cache->header->zone[ticket->slot].state, &word, state) &&
           before != answer->reason;
}
