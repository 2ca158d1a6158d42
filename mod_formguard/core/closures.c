/* SPDX-License-Identifier: Apache-2.0 */
#include "closures.h"

#include <stdatomic.h>
#include <string.h>

#include <apr_strings.h>

#define MAGIC   APR_UINT64_C(0x6667636c6f736533)
#define ENTRIES 1024
#define REACH   16 /* how far from its place an entry may lie */

/*
 * An entry is taken by its key and given up by setting that to 0. Who takes it writes the label
 * first, under a key of its own (BUSY), so that no reader sees half of one.
 *
 * Between two looks at an entry it may have become another form's. Its time says whose it is: the
 * upper 16 bits are those of the key, and no form gets the same time twice.
 */
#define BUSY APR_UINT64_C(1)
#define TAG  APR_UINT64_C(0xffff000000000000)

typedef struct entry {
    _Atomic apr_uint64_t key;   /* 0: free; BUSY: being written */
    _Atomic apr_uint64_t until; /* tag of the key, steady microseconds */
    _Atomic apr_uint64_t full;  /* the counter that is over */
    char label[FG_CLOSURE_LABEL_MAX + 1];
} entry_t;

struct fg_closures {
    apr_uint64_t magic;
    _Atomic apr_uint64_t latest; /* no form is closed past this moment */
    _Atomic apr_uint64_t next;   /* no form opens before this moment */
    apr_uint64_t spare[5];
    entry_t entry[ENTRIES];
};

_Static_assert(sizeof(entry_t) % 8 == 0, "entries stay aligned");

static apr_uint64_t key_of(apr_uint64_t key)
{
    return key > BUSY ? key : key + 2;
}

apr_size_t fg_closures_size(void)
{
    return sizeof(fg_closures_t);
}

fg_closures_t *fg_closures_format(void *mem, apr_size_t size)
{
    fg_closures_t *closures = mem;

    if (size < sizeof(*closures) || (apr_uintptr_t)mem % 8 != 0) {
        return NULL;
    }
    memset(closures, 0, sizeof(*closures));
    closures->magic = MAGIC;
    return closures;
}

fg_closures_t *fg_closures_attach(void *mem, apr_size_t size)
{
    fg_closures_t *closures = mem;

    if (size < sizeof(*closures) || (apr_uintptr_t)mem % 8 != 0 || closures->magic != MAGIC) {
        return NULL;
    }
    return closures;
}

static apr_uint64_t stamp(apr_uint64_t key, apr_time_t until)
{
    return (key & TAG) | ((apr_uint64_t)until < ~TAG ? (apr_uint64_t)until : ~TAG);
}

static int is_of(apr_uint64_t stamp, apr_uint64_t key)
{
    return (stamp & TAG) == (key & TAG);
}

static apr_uint64_t time_in(apr_uint64_t stamp)
{
    return stamp & ~TAG;
}

/* Memory is never trusted to hold a text that ends. */
static const char *label_of(const entry_t *e, apr_pool_t *pool)
{
    return apr_pstrndup(pool, e->label, FG_CLOSURE_LABEL_MAX);
}

static void raise_to(_Atomic apr_uint64_t *word, apr_uint64_t value)
{
    apr_uint64_t old = atomic_load(word);

    while (old < value && !atomic_compare_exchange_weak(word, &old, value)) {
    }
}

static void lower_to(_Atomic apr_uint64_t *word, apr_uint64_t value)
{
    apr_uint64_t old = atomic_load(word);

    while ((old == 0 || old > value) && !atomic_compare_exchange_weak(word, &old, value)) {
    }
}

static entry_t *find(const fg_closures_t *closures, apr_uint64_t key)
{
    unsigned int i;

    for (i = 0; i < REACH; i++) {
        const entry_t *e = &closures->entry[(key + i) % ENTRIES];

        if (atomic_load(&e->key) == key && is_of(atomic_load(&e->until), key)) {
            return (entry_t *)(void *)e;
        }
    }
    return NULL;
}

/* 1 if there is another entry of that key than `mine`. */
static int is_there_twice(const fg_closures_t *closures, apr_uint64_t key, const entry_t *mine)
{
    unsigned int i;

    for (i = 0; i < REACH; i++) {
        const entry_t *e = &closures->entry[(key + i) % ENTRIES];

        if (e != mine && atomic_load(&e->key) == key && is_of(atomic_load(&e->until), key)) {
            return 1;
        }
    }
    return 0;
}

/* Take a free place. A process killed while it holds BUSY costs one entry of the table. */
static int insert(fg_closures_t *closures, apr_uint64_t key, const char *label,
                  fg_counter_key_t full, apr_time_t until)
{
    unsigned int i;

    for (i = 0; i < REACH; i++) {
        entry_t *e = &closures->entry[(key + i) % ENTRIES];
        apr_uint64_t free_key = 0;
        apr_uint64_t mine;

        if (atomic_compare_exchange_strong(&e->key, &free_key, BUSY)) {
            apr_cpystrn(e->label, label, sizeof(e->label));
            atomic_store(&e->full, full);
            atomic_store(&e->until, stamp(key, until));
            atomic_store(&e->key, key);
            mine = key;
            /* Another closes it at this moment. Of two that meet one gives way at least; if both
             * do, the next post closes it. What was opened meanwhile is no longer ours. */
            return !is_there_twice(closures, key, e) ||
                   !atomic_compare_exchange_strong(&e->key, &mine, 0);
        }
    }
    return 0;
}

/* Close a form that has an entry. @return as fg_closures_close(); -1: it is another's by now */
static int prolong(entry_t *e, apr_uint64_t key, fg_counter_key_t full, apr_time_t now,
                   apr_time_t until)
{
    const apr_uint64_t mine = stamp(key, until);
    apr_uint64_t old = atomic_load(&e->until), next;
    fg_counter_key_t was;

    do {
        if (!is_of(old, key)) {
            return -1;
        }
        was = atomic_load(&e->full);
        next = old < mine ? mine : old;
    } while (!atomic_compare_exchange_strong(&e->until, &old, next));
    /* `was` is ours, since the time has not changed meanwhile. */
    atomic_compare_exchange_strong(&e->full, &was, full);
    return time_in(old) <= (apr_uint64_t)now;
}

int fg_closures_close(fg_closures_t *closures, apr_uint64_t hash, const char *label,
                      fg_counter_key_t full, apr_time_t now, apr_time_t until)
{
    apr_uint64_t key = key_of(hash);
    entry_t *e = find(closures, key);
    int first = e != NULL ? prolong(e, key, full, now, until) : -1;

    if (first < 0) {
        first = insert(closures, key, label, full, until);
    }
    raise_to(&closures->latest, (apr_uint64_t)until);
    lower_to(&closures->next, (apr_uint64_t)until);
    return first;
}

int fg_closures_any(const fg_closures_t *closures, apr_time_t now)
{
    return atomic_load_explicit(&closures->latest, memory_order_relaxed) > (apr_uint64_t)now;
}

apr_interval_time_t fg_closures_left(const fg_closures_t *closures, apr_uint64_t hash,
                                     apr_time_t now)
{
    apr_uint64_t key = key_of(hash), until;
    const entry_t *e;

    if (!fg_closures_any(closures, now)) {
        return 0;
    }
    e = find(closures, key);
    until = e != NULL ? atomic_load(&e->until) : 0;
    if (!is_of(until, key) || time_in(until) <= (apr_uint64_t)now) {
        return 0;
    }
    return (apr_interval_time_t)(time_in(until) - (apr_uint64_t)now);
}

/* What was read of it since is of one and the same form. */
static int has_stayed(const entry_t *e, apr_uint64_t key, apr_uint64_t until)
{
    return atomic_load(&e->key) == key && atomic_load(&e->until) == until;
}

const char *fg_closures_opened(fg_closures_t *closures, apr_time_t now, apr_pool_t *pool)
{
    apr_uint64_t next = atomic_load_explicit(&closures->next, memory_order_relaxed);
    apr_uint64_t later = 0;
    unsigned int i;

    /* Taken away while the table is looked through, so that a form closed meanwhile sets it anew */
    if (next == 0 || next > (apr_uint64_t)now ||
        !atomic_compare_exchange_strong(&closures->next, &next, 0)) {
        return NULL;
    }
    for (i = 0; i < ENTRIES; i++) {
        entry_t *e = &closures->entry[i];
        apr_uint64_t key = atomic_load(&e->key);
        apr_uint64_t until = key > BUSY ? atomic_load(&e->until) : 0;

        if (key <= BUSY || !is_of(until, key)) {
            continue;
        }
        if (time_in(until) <= (apr_uint64_t)now) {
            const char *label = label_of(e, pool);

            if (has_stayed(e, key, until) && atomic_compare_exchange_strong(&e->key, &key, 0)) {
                lower_to(&closures->next, next); /* there may be more */
                return label;
            }
        }
        else if (later == 0 || time_in(until) < later) {
            later = time_in(until);
        }
    }
    if (later != 0) {
        lower_to(&closures->next, later);
    }
    return NULL;
}

int fg_closures_open(fg_closures_t *closures, const char *label, apr_time_t now,
                     fg_counter_key_t *full)
{
    unsigned int i;

    for (i = 0; i < ENTRIES; i++) {
        entry_t *e = &closures->entry[i];
        apr_uint64_t key = atomic_load(&e->key);
        apr_uint64_t until = key > BUSY ? atomic_load(&e->until) : 0;

        if (key > BUSY && is_of(until, key) && time_in(until) > (apr_uint64_t)now &&
            strncmp(e->label, label, FG_CLOSURE_LABEL_MAX) == 0) {
            *full = atomic_load(&e->full);
            if (has_stayed(e, key, until) && atomic_compare_exchange_strong(&e->key, &key, 0)) {
                return 1;
            }
        }
    }
    return 0;
}

apr_array_header_t *fg_closures_list(const fg_closures_t *closures, apr_time_t now,
                                     apr_pool_t *pool)
{
    apr_array_header_t *list = apr_array_make(pool, 8, sizeof(fg_closure_t));
    unsigned int i;

    for (i = 0; i < ENTRIES; i++) {
        const entry_t *e = &closures->entry[i];
        apr_uint64_t key = atomic_load(&e->key);
        apr_uint64_t until = key > BUSY ? atomic_load(&e->until) : 0;

        if (key > BUSY && is_of(until, key) && time_in(until) > (apr_uint64_t)now) {
            fg_closure_t closure = {label_of(e, pool), (apr_time_t)time_in(until)};

            if (has_stayed(e, key, until)) { /* else the label may be another's */
                APR_ARRAY_PUSH(list, fg_closure_t) = closure;
            }
        }
    }
    return list;
}
