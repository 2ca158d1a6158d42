/* SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <apr_file_io.h>
#include <apr_portable.h>
#include <apr_strings.h>

#define PIECES 64 /* of one write */

struct fg_spool {
    apr_bucket_brigade *kept;
    const char *dir;
    apr_size_t memory_max;
    apr_pool_t *pool;
    apr_bucket *open; /* the last one in `kept`, if what is copied may go on in it; else NULL */
    apr_size_t held;  /* bytes in `kept` */
    apr_file_t *file; /* NULL: all of it is in memory */
    apr_off_t in_file;
};

fg_spool_t *fg_spool_create(apr_bucket_brigade *kept, const char *dir, apr_size_t memory_max,
                            apr_pool_t *pool)
{
    fg_spool_t *spool = apr_pcalloc(pool, sizeof(*spool));

    spool->kept = kept;
    spool->dir = dir != NULL ? dir : "/tmp";
    spool->memory_max = memory_max;
    spool->pool = pool;
    return spool;
}

/* --- the file --------------------------------------------------------------------------------- */

/* A file that never has a name, so that none is left however this process ends. */
static apr_status_t open_nameless(fg_spool_t *spool)
{
#ifdef O_TMPFILE
    apr_os_file_t fd = open(spool->dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    apr_file_t *opened = NULL;
    apr_status_t rv;

    if (fd < 0) {
        return errno;
    }
    /* Only of its own descriptors does APR know who is to close them. */
    apr_os_file_put(&opened, &fd, APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_BINARY, spool->pool);
    rv = apr_file_dup(&spool->file, opened, spool->pool);
    apr_file_close(opened);
    if (rv != APR_SUCCESS) {
        spool->file = NULL;
    }
    return rv;
#else
    (void)spool;
    return APR_ENOTIMPL;
#endif
}

/* Not every file system, nor every kernel, knows files without one. */
static apr_status_t open_unlinked(fg_spool_t *spool)
{
    char *path = apr_pstrcat(spool->pool, spool->dir, "/formguard.XXXXXX", NULL);
    apr_status_t rv = apr_file_mktemp(&spool->file, path,
                                      APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE |
                                          APR_FOPEN_EXCL | APR_FOPEN_BINARY,
                                      spool->pool);

    if (rv != APR_SUCCESS) {
        spool->file = NULL;
        return rv;
    }
    apr_file_remove(path, spool->pool);
    return APR_SUCCESS;
}

/* What memory holds goes to the file. What could not be written stays. */
static apr_status_t write_out(fg_spool_t *spool)
{
    apr_status_t rv = APR_SUCCESS;

    spool->open = NULL;
    if (spool->file == NULL && open_nameless(spool) != APR_SUCCESS) {
        rv = open_unlinked(spool);
    }
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(spool->kept)) {
        struct iovec pieces[PIECES];
        int count = PIECES;
        apr_size_t written;
        int i;

        rv = apr_brigade_to_iovec(spool->kept, pieces, &count);
        if (rv == APR_SUCCESS) {
            rv = apr_file_writev_full(spool->file, pieces, (apr_size_t)count, &written);
        }
        for (i = 0; rv == APR_SUCCESS && i < count; i++) {
            apr_bucket *b = APR_BRIGADE_FIRST(spool->kept);

            spool->in_file += (apr_off_t)b->length;
            apr_bucket_delete(b);
        }
    }
    if (rv == APR_SUCCESS) {
        spool->held = 0;
    }
    return rv;
}

/* --- memory ----------------------------------------------------------------------------------- */

static int mostly(apr_size_t len, apr_size_t whole)
{
    return len >= whole / 4 * 3;
}

/* A bucket is moved if most of its memory is filled, and that of the one before it; and the first
 * one, which is all there is of most posts, since a copy takes as much. So what is kept takes a
 * third more memory than its bytes, and a bucket or two. Others are copied: a body sent in chunks
 * of a byte would keep a bucket a byte. */
static int is_moved(const fg_spool_t *spool, const apr_bucket *b, apr_size_t len)
{
    apr_size_t alloc_len;

    if (!APR_BUCKET_IS_HEAP(b) || b->list != spool->kept->bucket_alloc) {
        return 0;
    }
    alloc_len = ((const apr_bucket_heap *)b->data)->alloc_len;
    if (APR_BRIGADE_EMPTY(spool->kept)) {
        return mostly(len, alloc_len) || alloc_len <= APR_BUCKET_BUFF_SIZE;
    }
    return mostly(len, alloc_len) &&
           (spool->open == NULL || mostly(spool->open->length, APR_BUCKET_BUFF_SIZE));
}

static void open_bucket(fg_spool_t *spool)
{
    apr_bucket_alloc_t *list = spool->kept->bucket_alloc;

    spool->open = apr_bucket_heap_create(apr_bucket_alloc(APR_BUCKET_BUFF_SIZE, list),
                                         APR_BUCKET_BUFF_SIZE, apr_bucket_free, list);
    spool->open->length = 0;
    APR_BRIGADE_INSERT_TAIL(spool->kept, spool->open);
}

static void copy(fg_spool_t *spool, const char *data, apr_size_t len)
{
    while (len > 0) {
        apr_size_t piece;

        if (spool->open == NULL || spool->open->length == APR_BUCKET_BUFF_SIZE) {
            open_bucket(spool);
        }
        piece = APR_BUCKET_BUFF_SIZE - spool->open->length;
        piece = piece < len ? piece : len;
        memcpy(((apr_bucket_heap *)spool->open->data)->base + spool->open->length, data, piece);
        spool->open->length += piece;
        data += piece;
        len -= piece;
    }
}

apr_status_t fg_spool_take(fg_spool_t *spool, apr_bucket *b, const char *data, apr_size_t len)
{
    if (is_moved(spool, b, len)) {
        spool->open = NULL; /* what is behind its bytes may be another bucket's */
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(spool->kept, b);
    }
    else {
        copy(spool, data, len);
        apr_bucket_delete(b);
    }
    spool->held += len;
    return spool->held > spool->memory_max ? write_out(spool) : APR_SUCCESS;
}

void fg_spool_finish(fg_spool_t *spool)
{
    apr_bucket_brigade *kept = spool->kept;
    apr_off_t at = spool->in_file;

    spool->open = NULL;
    while (at > 0) {
        apr_off_t from = (at - 1) / FG_SPOOL_WINDOW * FG_SPOOL_WINDOW;

        APR_BRIGADE_INSERT_HEAD(kept,
                                apr_bucket_file_create(spool->file, from, (apr_size_t)(at - from),
                                                       spool->pool, kept->bucket_alloc));
        at = from;
    }
}
