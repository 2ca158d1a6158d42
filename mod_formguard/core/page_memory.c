/* SPDX-License-Identifier: Apache-2.0 */
#include "page_memory.h"

#include <string.h>

#include <apr_thread_mutex.h>

#include "zeroed.h"

/* A file has its place among two, by its hash. */
#define PAIRS 128

/* Longer than the clock of any file system takes for a step: two seconds on FAT. */
#define SETTLED (3 * APR_USEC_PER_SEC)

typedef struct file_key {
    apr_uint64_t device;
    apr_uint64_t inode;
    apr_off_t size;
    apr_time_t mtime;
    apr_time_t ctime;
} file_key_t;

typedef struct entry {
    file_key_t key; /* all 0: free */
    fg_html_found_t found;
} entry_t;

typedef struct pair {
    entry_t entry[2];
    int last; /* the one asked for last */
} pair_t;

struct fg_page_memory {
    apr_thread_mutex_t *lock;
    pair_t pairs[PAIRS];
};

fg_page_memory_t *fg_page_memory_create(apr_pool_t *pool)
{
    fg_page_memory_t *memory = fg_zeroed(pool, sizeof(*memory));

    if (memory == NULL ||
        apr_thread_mutex_create(&memory->lock, APR_THREAD_MUTEX_UNNESTED, pool) != APR_SUCCESS) {
        return NULL;
    }
    return memory;
}

static int make_key(file_key_t *key, const apr_finfo_t *file)
{
    const apr_int32_t needed = APR_FINFO_IDENT | APR_FINFO_SIZE | APR_FINFO_MTIME | APR_FINFO_CTIME;

    memset(key, 0, sizeof(*key));
    if ((file->valid & needed) != needed) {
        return 0;
    }
    key->device = (apr_uint64_t)file->device;
    key->inode = (apr_uint64_t)file->inode;
    key->size = file->size;
    key->mtime = file->mtime;
    key->ctime = file->ctime;
    return key->inode != 0;
}

static pair_t *pair_of(fg_page_memory_t *memory, const file_key_t *key)
{
    apr_uint64_t hash = (key->inode ^ key->device << 32 ^ (apr_uint64_t)key->ctime) *
                        APR_UINT64_C(0x9E3779B97F4A7C15);

    return &memory->pairs[hash >> 32 & (PAIRS - 1)];
}

int fg_page_memory_find(fg_page_memory_t *memory, const apr_finfo_t *file, fg_html_found_t *found)
{
    int is_known = 0;
    file_key_t key;
    pair_t *pair;
    int i;

    if (memory == NULL || !make_key(&key, file)) {
        return 0;
    }
    pair = pair_of(memory, &key);
    apr_thread_mutex_lock(memory->lock);
    for (i = 0; i < 2 && !is_known; i++) {
        const entry_t *entry = &pair->entry[i];

        if (memcmp(&entry->key, &key, sizeof(key)) == 0) {
            found->used = entry->found.used;
            memcpy(found->bytes, entry->found.bytes, entry->found.used);
            pair->last = i;
            is_known = 1;
        }
    }
    apr_thread_mutex_unlock(memory->lock);
    return is_known;
}

void fg_page_memory_keep(fg_page_memory_t *memory, const apr_finfo_t *file,
                         const fg_html_found_t *found, apr_time_t now)
{
    file_key_t key;
    pair_t *pair;
    entry_t *entry;

    if (memory == NULL || !fg_html_found_whole(found) || !make_key(&key, file) ||
        now - key.mtime < SETTLED || now - key.ctime < SETTLED) {
        return;
    }
    pair = pair_of(memory, &key);
    apr_thread_mutex_lock(memory->lock);
    /* Two threads may have read the same: then it stands here. */
    entry =
        &pair->entry[memcmp(&pair->entry[pair->last].key, &key, sizeof(key)) == 0 ? pair->last
                                                                                  : 1 - pair->last];
    entry->key = key;
    entry->found = *found;
    pair->last = (int)(entry - pair->entry);
    apr_thread_mutex_unlock(memory->lock);
}
