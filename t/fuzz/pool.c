/* SPDX-License-Identifier: Apache-2.0 */
/* Under AddressSanitizer each apr_palloc() is memory of its own: what is written or read beyond it
 * would else be seen only where it leaves the pool's 8 KiB. Takes the place of APR's function. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#endif

#ifdef HAVE_ASAN
#include <dlfcn.h>
#include <stdlib.h>

#include <apr_pools.h>

#undef apr_palloc

typedef struct chunk {
    struct chunk *next;
    apr_size_t size; /* keeps what follows aligned to 16 */
} chunk_t;

#define POOLS 64

static struct pool {
    apr_pool_t *pool;
    chunk_t *chunks;
} pools[POOLS];
static int registering; /* APR allocates for our own cleanup */

/* Registered before anything else, so that it runs after all cleanups of the pool. */
static apr_status_t release(void *data)
{
    struct pool *p = data;

    while (p->chunks) {
        chunk_t *next = p->chunks->next;

        free(p->chunks);
        p->chunks = next;
    }
    p->pool = NULL;
    return APR_SUCCESS;
}

static struct pool *find(apr_pool_t *pool)
{
    static struct pool *last = pools;
    struct pool *p, *empty = NULL;

    if (last->pool == pool) {
        return last;
    }
    for (p = pools; p < pools + POOLS; p++) {
        if (p->pool == pool) {
            return last = p;
        }
        empty = !empty && !p->pool ? p : empty;
    }
    if (!empty) {
        abort(); /* more pools at once than any target makes */
    }
    empty->pool = pool;
    registering = 1;
    apr_pool_cleanup_register(pool, empty, release, apr_pool_cleanup_null);
    registering = 0;
    return last = empty;
}

void *apr_palloc(apr_pool_t *pool, apr_size_t size);

void *apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    static void *(*real)(apr_pool_t *, apr_size_t);
    struct pool *p;
    chunk_t *chunk;

    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "apr_palloc");
    }
    if (registering) {
        return real(pool, size);
    }
    p = find(pool);
    chunk = malloc(sizeof(*chunk) + size);
    if (!chunk) {
        return NULL;
    }
    chunk->next = p->chunks;
    chunk->size = size;
    p->chunks = chunk;
    return chunk + 1;
}
#endif

/* No file is empty. */
typedef int fuzz_pool_t;
