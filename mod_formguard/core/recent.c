/* SPDX-License-Identifier: Apache-2.0 */
#include "recent.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "mix.h"
#include "zeroed.h"

#define ENTRIES 32

typedef struct entry {
    apr_time_t found; /* when it was found out last */
    apr_size_t key_len;
    apr_size_t answer_len;
    int times; /* found the same, running; 0: free */
    char bytes[FG_RECENT_MAX];
} entry_t;

struct fg_recent {
    apr_thread_mutex_t *lock;
    entry_t entries[ENTRIES];
};

fg_recent_t *fg_recent_create(apr_pool_t *pool)
{
    fg_recent_t *recent = fg_zeroed(pool, sizeof(*recent));

    if (recent == NULL ||
        apr_thread_mutex_create(&recent->lock, APR_THREAD_MUTEX_UNNESTED, pool) != APR_SUCCESS) {
        return NULL;
    }
    return recent;
}

/* Who chooses keys so that they meet has them found out each time, and nothing else. */
static entry_t *entry_of(fg_recent_t *recent, const char *key, apr_size_t len)
{
    return &recent->entries[fg_mix_text(len, key, len) % ENTRIES];
}

static int is_of(const entry_t *entry, const char *key, apr_size_t len)
{
    return entry->times > 0 && entry->key_len == len && memcmp(entry->bytes, key, len) == 0;
}

static int is_within(const entry_t *entry, apr_time_t now, apr_time_t life)
{
    return now >= entry->found && now - entry->found < life;
}

const char *fg_recent_find(fg_recent_t *recent, const char *key, apr_size_t len, apr_time_t now,
                           apr_size_t *answer, apr_pool_t *pool)
{
    const char *copy = NULL;
    const entry_t *entry;

    if (recent == NULL) {
        return NULL;
    }
    entry = entry_of(recent, key, len);
    apr_thread_mutex_lock(recent->lock);
    if (entry->times >= FG_RECENT_SURE && is_within(entry, now, FG_RECENT_LIFE) &&
        is_of(entry, key, len)) {
        *answer = entry->answer_len;
        copy = apr_pmemdup(pool, entry->bytes + len, entry->answer_len + 1);
    }
    apr_thread_mutex_unlock(recent->lock);
    return copy;
}

void fg_recent_keep(fg_recent_t *recent, const char *key, apr_size_t len, apr_time_t now,
                    const char *answer, apr_size_t answer_len)
{
    entry_t *entry;

    if (recent == NULL || len >= FG_RECENT_MAX || answer_len >= FG_RECENT_MAX - len) {
        return;
    }
    entry = entry_of(recent, key, len);
    apr_thread_mutex_lock(recent->lock);
    if (is_of(entry, key, len) && is_within(entry, now, 2 * FG_RECENT_LIFE) &&
        entry->answer_len == answer_len && memcmp(entry->bytes + len, answer, answer_len) == 0) {
        entry->times += entry->times < FG_RECENT_SURE;
    }
    else {
        entry->key_len = len;
        entry->answer_len = answer_len;
        entry->times = 1;
        memcpy(entry->bytes, key, len);
        memcpy(entry->bytes + len, answer, answer_len);
        entry->bytes[len + answer_len] = '\0';
    }
    entry->found = now;
    apr_thread_mutex_unlock(recent->lock);
}
