/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file throttle.c
 * @brief Lines about refusals: which are written, and what is told of the others.
 *
 * A table of sets of eight entries, an entry a (reason, client), with tagged words (shared.h).
 *
 * All buckets are "generic cell rate" ones: one word that says when the bucket will be full again,
 * so that taking a token is one exchange and nothing need be refilled. A bucket of B tokens and R
 * a second gives at most B + R in any second; the sum of these is what line_limit() proves.
 *
 * No count is lost, whoever races with whom: a count leaves a word by an exchange that leaves zero
 * behind, and is then the exchanger's, to hand out or to add to the reason's. A count goes into
 * `pending` only if the slot is still its tenant's (shared.h). The word says whose reason it is,
 * so that whoever finds a former tenant's count, even long after, knows where it belongs.
 */
#include "throttle.h"

#include <arpa/inet.h>

#include "shared.h"

#define MAGIC   APR_UINT64_C(0x667468726f74746c)
#define VERSION 1

#define WAYS 8
#define SETS (FG_THROTTLE_ENTRIES / WAYS)

/* Over this many lost races a line is counted under its reason; each is lost to one that won. */
#define TRIES_MAX 100

/* Tokens at once, and as many each second. */
#define FIRST_ALL     16
#define FIRST_REASON  12
#define REPEAT_ALL    10
#define REPEAT_REASON 8

/* One for each reason in ten seconds, when there is nothing in the other buckets. */
#define RESERVE_PERIOD (10 * APR_USEC_PER_SEC)

/* Of a (reason, client), in milliseconds. */
#define CLIENT_BURST  5
#define CLIENT_PERIOD 10000

#define SWEEP_PERIOD  (5 * APR_USEC_PER_SEC)
#define SWEEP_CLIENTS 3 /* summaries for one client; the others are the reasons' */
#define QUIET         10000
#define OLD           60000

/* A caller's clock may lag so much. What lies further ahead is an error, and not waited for. */
#define LAG_MAX (3600 * APR_USEC_PER_SEC)

_Static_assert(2 * FIRST_ALL + 2 * REPEAT_ALL + FG_REASON_COUNT + FG_THROTTLE_SUMMARIES <=
                   FG_THROTTLE_LINES_MAX,
               "lines a second");
_Static_assert(FG_REASON_COUNT <= 255, "a reason fits into a pending word");
_Static_assert((SETS & (SETS - 1)) == 0 && SETS <= 0x10000,
               "a set's number is in the part of a hash that is not the identity");

typedef struct entry {
    fg_shared_word_t pending;   /* generation:16 reason:8 count:40 */
    fg_shared_word_t bucket;    /* tagged: when full again, ms; 0: no line was written yet */
    fg_shared_word_t last;      /* tagged: last refusal, ms */
    fg_shared_word_t oldest;    /* tagged: since when something is pending, ms */
    fg_shared_word_t client[2]; /* see client_t */
} entry_t;

typedef struct set {
    fg_shared_word_t key[WAYS];
    entry_t entry[WAYS];
} set_t;

typedef struct reason {
    fg_shared_word_t first, repeat, reserve; /* buckets, microseconds */
    fg_shared_word_t pending, clients;
    fg_shared_word_t written, suppressed;
} reason_t;

typedef struct memory {
    fg_shared_header_t header;
    fg_shared_word_t first, repeat; /* buckets, microseconds */
    fg_shared_word_t next_sweep;    /* microseconds */
    fg_shared_word_t turn;          /* of the reason whose summary comes first */
    reason_t reason[FG_REASON_COUNT];
    set_t set[SETS];
} memory_t;

struct fg_throttle {
    memory_t *memory;
    unsigned char secret[APR_SIPHASH_KSIZE];
};

/* Eight bytes of the address, then its family: at most what fg_address_client_key() says. */
typedef struct client {
    apr_uint64_t word[2];
} client_t;

/* A line to decide on. */
typedef struct line {
    memory_t *memory;
    set_t *set;
    apr_uint64_t identity;
    client_t client;
    unsigned int reason;
    apr_uint64_t now; /* microseconds */
    apr_uint64_t ms;
    unsigned int way; /* where its entry is, */
    apr_uint64_t key; /* and the key it had when it was found */
} line_t;

apr_size_t fg_throttle_size(void)
{
    return sizeof(memory_t);
}

apr_status_t fg_throttle_format(void *mem, apr_size_t size, const unsigned char secret[16])
{
    return fg_shared_format(mem, size, sizeof(memory_t), MAGIC, VERSION, secret);
}

apr_status_t fg_throttle_attach(fg_throttle_t **throttle, void *mem, apr_size_t size,
                                apr_pool_t *pool)
{
    *throttle = NULL;
    if (!fg_shared_is(mem, size, sizeof(memory_t), MAGIC, VERSION)) {
        return APR_EINVAL;
    }
    *throttle = apr_palloc(pool, sizeof(**throttle));
    (*throttle)->memory = mem;
    memcpy((*throttle)->secret, (*throttle)->memory->header.secret, sizeof((*throttle)->secret));
    return APR_SUCCESS;
}

/* --- clients ---------------------------------------------------------------------------------- */

static client_t client_of(const fg_address_t *address)
{
    unsigned char key[FG_ADDRESS_KEY_MAX];
    apr_size_t len = fg_address_client_key(address, key);
    client_t client = {{0, key[0]}};

    memcpy(&client.word[0], key + 1, len - 1 < 8 ? len - 1 : 8);
    return client;
}

static apr_uint64_t hash_of(const fg_throttle_t *throttle, const client_t *client,
                            unsigned int reason)
{
    apr_uint64_t input[3] = {client->word[0], client->word[1], reason};

    return apr_siphash24(input, sizeof(input), throttle->secret);
}

static void client_text(char out[FG_THROTTLE_CLIENT_MAX], const client_t *client)
{
    unsigned char bytes[16] = {0};

    *out = '\0';
    memcpy(bytes, &client->word[0], 8);
    if (client->word[1] == 4) {
        inet_ntop(AF_INET, bytes, out, FG_THROTTLE_CLIENT_MAX);
    }
    else if (client->word[1] == 6 && inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN)) {
        memcpy(out + strlen(out), "/64", sizeof("/64"));
    }
}

/* --- time and buckets ------------------------------------------------------------------------- */

/* As a tagged word holds it. */
static apr_uint64_t milliseconds(apr_uint64_t microseconds)
{
    return (microseconds / 1000) & FG_SHARED_VALUE;
}

/* How long until a bucket is full again. */
static apr_uint64_t wait_of(apr_uint64_t full, apr_uint64_t now)
{
    return full > now && full - now <= LAG_MAX ? full - now : 0;
}

/* Take a token of a bucket that holds `burst` and gets another each `period`. */
static int take_token(fg_shared_word_t *bucket, apr_uint64_t now, apr_uint64_t period,
                      unsigned int burst)
{
    apr_uint64_t full = atomic_load(bucket), wait;

    do {
        wait = wait_of(full, now);
        if (wait > (burst - 1) * period) {
            return 0;
        }
    } while (!atomic_compare_exchange_strong(bucket, &full, now + wait + period));
    return 1;
}

static apr_uint64_t second_period(unsigned int burst)
{
    return (APR_USEC_PER_SEC + burst - 1) / burst;
}

static int take_second_token(fg_shared_word_t *bucket, apr_uint64_t now, unsigned int burst)
{
    return take_token(bucket, now, second_period(burst), burst);
}

/*
 * One from each of two buckets, or none. Looks at the server's before it takes one of the reason's,
 * and takes the reason's first: a reason that has used up its share must not drain the server's.
 */
static int take_from_both(fg_shared_word_t *reason, unsigned int reason_burst,
                          fg_shared_word_t *all, unsigned int all_burst, apr_uint64_t now)
{
    return wait_of(atomic_load(all), now) <= (all_burst - 1) * second_period(all_burst) &&
           take_second_token(reason, now, reason_burst) && take_second_token(all, now, all_burst);
}

static int may_write(const line_t *line, int first)
{
    memory_t *memory = line->memory;
    reason_t *reason = &memory->reason[line->reason];

    if (first) {
        return take_from_both(&reason->first, FIRST_REASON, &memory->first, FIRST_ALL, line->now) ||
               take_token(&reason->reserve, line->now, RESERVE_PERIOD, 1);
    }
    return take_from_both(&reason->repeat, REPEAT_REASON, &memory->repeat, REPEAT_ALL, line->now);
}

/* --- counts of lines not written -------------------------------------------------------------- */

#define PENDING_COUNT ((APR_UINT64_C(1) << 40) - 1)

static apr_uint64_t pending_make(apr_uint64_t key, unsigned int reason, apr_uint64_t count)
{
    return fg_shared_tag(key, (apr_uint64_t)reason << 40 | count);
}

static apr_uint64_t pending_count(apr_uint64_t word)
{
    return word & PENDING_COUNT;
}

/* A word that is damaged must not lead outside. */
static unsigned int pending_reason(apr_uint64_t word)
{
    unsigned int reason = (unsigned int)(word >> 40 & 0xff);

    return reason < FG_REASON_COUNT ? reason : FG_INTERNAL;
}

static void add_to_reason(memory_t *memory, unsigned int reason, apr_uint64_t count)
{
    if (count > 0) {
        atomic_fetch_add(&memory->reason[reason].clients, 1);
        atomic_fetch_add(&memory->reason[reason].pending, count);
    }
}

/*
 * Set the pending count of the line's entry to `keep` of what it holds, plus `more`. What a former
 * tenant has left goes to its reason.
 * @return 0 if the entry has another tenant now
 */
static int change_pending(const line_t *line, int keep, unsigned int more, apr_uint64_t *before)
{
    entry_t *entry = &line->set->entry[line->way];
    apr_uint64_t old = atomic_load(&entry->pending), count;

    do {
        if (atomic_load(&line->set->key[line->way]) != line->key) {
            return 0;
        }
        *before = fg_shared_belongs(old, line->key) ? pending_count(old) : 0;
        count = (keep ? *before : 0) + more;
    } while (!atomic_compare_exchange_strong(&entry->pending, &old,
                                             pending_make(line->key, line->reason, count)));
    if (!fg_shared_belongs(old, line->key)) {
        add_to_reason(line->memory, pending_reason(old), pending_count(old));
    }
    return 1;
}

/* @return 0 if the entry has another tenant now */
static int count_suppressed(const line_t *line)
{
    apr_uint64_t before;

    if (!change_pending(line, 1, 1, &before)) {
        return 0;
    }
    if (before == 0) {
        atomic_store(&line->set->entry[line->way].oldest, fg_shared_tag(line->key, line->ms));
    }
    atomic_fetch_add(&line->memory->reason[line->reason].suppressed, 1);
    return 1;
}

/* --- entries ---------------------------------------------------------------------------------- */

static int find(line_t *line)
{
    unsigned int way;

    for (way = 0; way < WAYS; way++) {
        apr_uint64_t key = atomic_load(&line->set->key[way]);

        if (fg_shared_key_identity(key) == line->identity) {
            line->way = way;
            line->key = key;
            return 1;
        }
    }
    return 0;
}

/* Take an empty entry of the set, or that of the longest quiet. Two processes may do so for the
 * same at once: both then use the first, and the other is soon the longest quiet. */
static void insert(const line_t *line)
{
    apr_uint64_t oldest = APR_UINT64_MAX, victim = 0;
    unsigned int way, best = 0;

    for (way = 0; way < WAYS; way++) {
        apr_uint64_t key = atomic_load(&line->set->key[way]);
        apr_uint64_t last = atomic_load(&line->set->entry[way].last);
        /* An entry nobody has used yet has no time: it is taken before those that have. */
        apr_uint64_t rank = key == 0 ? 0 : 1 + fg_shared_value(last, key);

        if (rank < oldest) {
            oldest = rank;
            best = way;
            victim = key;
        }
    }
    atomic_compare_exchange_strong(&line->set->key[best], &victim,
                                   fg_shared_next_key(victim, line->identity));
}

/* Note the refusal in the entry. Times are hints; the client is proved by the identity. */
static void see(const line_t *line)
{
    entry_t *entry = &line->set->entry[line->way];
    apr_uint64_t last = atomic_load(&entry->last);
    unsigned int i;

    if (!fg_shared_belongs(last, line->key) || fg_shared_value(last, line->key) < line->ms) {
        atomic_store(&entry->last, fg_shared_tag(line->key, line->ms));
    }
    for (i = 0; i < 2; i++) {
        if (atomic_load(&entry->client[i]) != line->client.word[i]) {
            atomic_store(&entry->client[i], line->client.word[i]);
        }
    }
}

/* Whether the line is to be written. Only one process gets a yes for one state of the bucket. */
static int is_due(const line_t *line)
{
    entry_t *entry = &line->set->entry[line->way];
    apr_uint64_t old = atomic_load(&entry->bucket);
    apr_uint64_t full = fg_shared_value(old, line->key);
    int first = full == 0;

    full = full > line->ms && full - line->ms <= LAG_MAX / 1000 ? full : line->ms;
    return full - line->ms <= (CLIENT_BURST - 1) * CLIENT_PERIOD && may_write(line, first) &&
           atomic_load(&line->set->key[line->way]) == line->key &&
           atomic_compare_exchange_strong(&entry->bucket, &old,
                                          fg_shared_tag(line->key, full + CLIENT_PERIOD));
}

const unsigned char *fg_throttle_secret(const fg_throttle_t *throttle)
{
    return throttle->secret;
}

int fg_throttle_line(fg_throttle_t *throttle, fg_reason_t reason, const fg_address_t *client,
                     apr_time_t now, apr_uint64_t *suppressed)
{
    line_t line = {.memory = throttle->memory, .client = client_of(client)};
    apr_uint64_t hash;
    unsigned int tries;

    line.reason = reason < FG_REASON_COUNT ? reason : FG_INTERNAL;
    line.now = now > 0 ? (apr_uint64_t)now : 0;
    line.ms = milliseconds(line.now);
    hash = hash_of(throttle, &line.client, line.reason);
    line.set = &line.memory->set[hash % SETS];
    line.identity = fg_shared_identity(hash);
    *suppressed = 0;
    for (tries = 0; tries < TRIES_MAX; tries++) {
        if (!find(&line)) {
            insert(&line);
            continue;
        }
        see(&line);
        if (is_due(&line)) {
            if (!change_pending(&line, 0, 0, suppressed)) {
                *suppressed = 0; /* the new tenant hands it out */
            }
            atomic_fetch_add(&line.memory->reason[line.reason].written, 1);
            return 1;
        }
        if (count_suppressed(&line)) {
            return 0;
        }
    }
    add_to_reason(line.memory, line.reason, 1);
    atomic_fetch_add(&line.memory->reason[line.reason].suppressed, 1);
    return 0;
}

/* --- summaries -------------------------------------------------------------------------------- */

typedef struct sweep {
    const fg_throttle_t *throttle;
    apr_uint64_t ms;
    entry_t *largest[SWEEP_CLIENTS]; /* that are due, most pending first */
    apr_uint64_t pending[SWEEP_CLIENTS];
    fg_throttle_summary_t *out;
    unsigned int filled;
} sweep_t;

/* Take what is pending out of the entry. */
static apr_uint64_t collect(entry_t *entry)
{
    apr_uint64_t old = atomic_load(&entry->pending);

    while (pending_count(old) > 0 &&
           !atomic_compare_exchange_strong(&entry->pending, &old, old & ~PENDING_COUNT)) {
    }
    return old;
}

static void give_to_reason(const sweep_t *sweep, entry_t *entry)
{
    apr_uint64_t word = collect(entry);

    add_to_reason(sweep->throttle->memory, pending_reason(word), pending_count(word));
}

/* Whether `value` milliseconds have passed since the time in a word of the pending count's tenant;
 * a word of another tenant tells nothing. */
static int has_passed(const sweep_t *sweep, apr_uint64_t word, apr_uint64_t pending,
                      apr_uint64_t value)
{
    apr_uint64_t then = word & FG_SHARED_VALUE;

    return word >> 48 != pending >> 48 || (then <= sweep->ms && sweep->ms - then >= value) ||
           then > sweep->ms + LAG_MAX / 1000;
}

/* Keep the entries with most pending in order; the one that drops out goes to its reason. */
static void consider(sweep_t *sweep, entry_t *entry)
{
    apr_uint64_t pending = atomic_load(&entry->pending), count = pending_count(pending);
    unsigned int i;

    if (count == 0 || (!has_passed(sweep, atomic_load(&entry->last), pending, QUIET) &&
                       !has_passed(sweep, atomic_load(&entry->oldest), pending, OLD))) {
        return;
    }
    for (i = 0; i < SWEEP_CLIENTS; i++) {
        if (count > sweep->pending[i]) {
            entry_t *other = sweep->largest[i];
            apr_uint64_t less = sweep->pending[i];

            sweep->largest[i] = entry;
            sweep->pending[i] = count;
            entry = other;
            count = less;
        }
    }
    if (entry) {
        give_to_reason(sweep, entry);
    }
}

static void summarise(sweep_t *sweep, unsigned int reason, apr_uint64_t suppressed,
                      apr_uint64_t clients, const client_t *client)
{
    fg_throttle_summary_t *summary = &sweep->out[sweep->filled++];

    summary->reason = (fg_reason_t)reason;
    summary->suppressed = suppressed;
    summary->clients = clients;
    summary->client[0] = '\0';
    if (client) {
        client_text(summary->client, client);
    }
}

/* Whether the client in the entry is the pending count's: it may be another tenant's, or half. */
static int is_client_of(const sweep_t *sweep, const client_t *client, const entry_t *entry,
                        apr_uint64_t pending)
{
    memory_t *memory = sweep->throttle->memory;
    apr_uint64_t hash = hash_of(sweep->throttle, client, pending_reason(pending));
    set_t *set = &memory->set[hash % SETS];
    unsigned int way;

    for (way = 0; way < WAYS; way++) {
        if (&set->entry[way] == entry) {
            apr_uint64_t key = atomic_load(&set->key[way]);

            return fg_shared_key_identity(key) == fg_shared_identity(hash) &&
                   fg_shared_belongs(pending, key);
        }
    }
    return 0;
}

static void summarise_client(sweep_t *sweep, entry_t *entry)
{
    apr_uint64_t pending = collect(entry);
    client_t client = {{atomic_load(&entry->client[0]), atomic_load(&entry->client[1])}};

    if (pending_count(pending) > 0) {
        summarise(sweep, pending_reason(pending), pending_count(pending), 1,
                  is_client_of(sweep, &client, entry, pending) ? &client : NULL);
    }
}

/* Each time another reason comes first: none waits for ever. */
static void summarise_reasons(sweep_t *sweep)
{
    memory_t *memory = sweep->throttle->memory;
    unsigned int turn = (unsigned int)(atomic_load(&memory->turn) % FG_REASON_COUNT), i;

    for (i = 0; i < FG_REASON_COUNT && sweep->filled < FG_THROTTLE_SUMMARIES; i++) {
        unsigned int n = (turn + i) % FG_REASON_COUNT;
        reason_t *reason = &memory->reason[n];
        apr_uint64_t suppressed = atomic_exchange(&reason->pending, 0);

        if (suppressed > 0) {
            /* The last sweep may have had the client already. */
            apr_uint64_t clients = atomic_exchange(&reason->clients, 0);

            summarise(sweep, n, suppressed, clients > 0 ? clients : 1, NULL);
        }
    }
    atomic_store(&memory->turn, (turn + i) % FG_REASON_COUNT);
}

unsigned int fg_throttle_sweep(fg_throttle_t *throttle, apr_time_t now,
                               fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES])
{
    sweep_t sweep = {.throttle = throttle, .out = out};
    memory_t *memory = throttle->memory;
    apr_uint64_t time = now > 0 ? (apr_uint64_t)now : 0;
    unsigned int n, way;

    if (!take_token(&memory->next_sweep, time, SWEEP_PERIOD, 1)) {
        return 0;
    }
    sweep.ms = milliseconds(time);
    for (n = 0; n < SETS; n++) {
        for (way = 0; way < WAYS; way++) {
            consider(&sweep, &memory->set[n].entry[way]);
        }
    }
    for (n = 0; n < SWEEP_CLIENTS && sweep.largest[n]; n++) {
        summarise_client(&sweep, sweep.largest[n]);
    }
    summarise_reasons(&sweep);
    return sweep.filled;
}

void fg_throttle_stats(const fg_throttle_t *throttle, fg_throttle_stats_t *stats)
{
    memory_t *memory = throttle->memory;
    unsigned int n, way;

    memset(stats, 0, sizeof(*stats));
    for (n = 0; n < FG_REASON_COUNT; n++) {
        stats->written[n] = atomic_load(&memory->reason[n].written);
        stats->suppressed[n] = atomic_load(&memory->reason[n].suppressed);
        stats->pending += atomic_load(&memory->reason[n].pending);
    }
    for (n = 0; n < SETS; n++) {
        for (way = 0; way < WAYS; way++) {
            stats->pending += pending_count(atomic_load(&memory->set[n].entry[way].pending));
            stats->entries += atomic_load(&memory->set[n].key[way]) != 0;
        }
    }
}
