/* SPDX-License-Identifier: Apache-2.0 */
/* A body is kept as it came, within the memory it may take, and no file of it is ever seen. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "spool.h"

#define MEMORY 65536

/* In place of libc's, for what this program is linked with: a file system that knows no nameless
 * files, where `named_only` is set. */
static int named_only;

int open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = va_arg(args, mode_t);
    va_end(args);
    if (named_only && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

typedef struct world {
    apr_pool_t *pool;
    apr_bucket_alloc_t *list;
    apr_bucket_brigade *kept;
    apr_bucket_brigade *from;
    fg_spool_t *spool;
    char dir[64];
    uint32_t random;
    char *sent; /* what it was given */
    size_t len;
} world_t;

static uint32_t below(world_t *w, uint32_t n)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (w->random >> 8) % n;
}

static void begin(world_t *w, const char *dir)
{
    memset(w, 0, sizeof(*w));
    w->random = 7;
    apr_pool_create(&w->pool, NULL);
    w->list = apr_bucket_alloc_create(w->pool);
    w->kept = apr_brigade_create(w->pool, w->list);
    w->from = apr_brigade_create(w->pool, w->list);
    apr_cpystrn(w->dir, "/tmp/test_spool.XXXXXX", sizeof(w->dir));
    assert_non_null(mkdtemp(w->dir));
    w->spool = fg_spool_create(w->kept, dir != NULL ? dir : w->dir, MEMORY, w->pool);
    w->sent = malloc(8 << 20);
}

static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = -2; /* . and .. */

    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

static void end(world_t *w)
{
    apr_pool_destroy(w->pool);
    assert_int_equal(rmdir(w->dir), 0); /* nothing is left in it */
    free(w->sent);
}

/* What comes next, in the way sockets (0), TLS (1) and others (2) hand it on. */
static apr_bucket *make(world_t *w, int kind, size_t len)
{
    char *data = w->sent + w->len;
    size_t i;

    for (i = 0; i < len; i++) {
        data[i] = (char)below(w, 256);
    }
    w->len += len;
    if (kind == 0) {
        apr_bucket *b;
        char *memory = apr_bucket_alloc(8000, w->list);

        assert_true(len <= 8000);
        memcpy(memory, data, len);
        b = apr_bucket_heap_create(memory, 8000, apr_bucket_free, w->list);
        b->length = len;
        return b;
    }
    return kind == 1 ? apr_bucket_transient_create(data, len, w->list)
                     : apr_bucket_immortal_create(data, len, w->list);
}

static apr_status_t take(world_t *w, apr_bucket *b)
{
    const char *data;
    apr_size_t len;

    APR_BRIGADE_INSERT_TAIL(w->from, b);
    assert_int_equal(apr_bucket_read(b, &data, &len, APR_BLOCK_READ), APR_SUCCESS);
    return fg_spool_take(w->spool, b, data, len);
}

/* What the buckets in memory take, and how many there are. */
static size_t memory_of(const world_t *w, size_t *buckets)
{
    size_t sum = 0;
    apr_bucket *b;

    *buckets = 0;
    for (b = APR_BRIGADE_FIRST(w->kept); b != APR_BRIGADE_SENTINEL(w->kept);
         b = APR_BUCKET_NEXT(b)) {
        if (APR_BUCKET_IS_HEAP(b)) {
            sum += ((apr_bucket_heap *)b->data)->alloc_len;
            ++*buckets;
        }
    }
    return sum;
}

static void assert_as_sent(world_t *w)
{
    char *got;
    apr_size_t len;

    fg_spool_finish(w->spool);
    assert_int_equal(apr_brigade_pflatten(w->kept, &got, &len, w->pool), APR_SUCCESS);
    assert_int_equal(len, w->len);
    assert_memory_equal(got, w->sent, len);
}

static int has_file(const world_t *w)
{
    const apr_bucket *b = APR_BRIGADE_FIRST(w->kept);

    return !APR_BRIGADE_EMPTY(w->kept) && (APR_BUCKET_IS_FILE(b) || APR_BUCKET_IS_MMAP(b));
}

static void keeps_what_came(void **state)
{
    static const size_t sizes[] = {0, 1, 8000, MEMORY, MEMORY + 1, 3 * MEMORY, 3000000};
    size_t i;
    int named;

    (void)state;
    for (named = 0; named < 2; named++) {
        named_only = named;
        for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
            world_t w;

            begin(&w, NULL);
            while (w.len < sizes[i]) {
                int kind = (int)below(&w, 3);
                size_t most = below(&w, 4) == 0 ? 7 : 8000, left = sizes[i] - w.len, buckets;
                size_t len = 1 + below(&w, (uint32_t)most);

                assert_int_equal(take(&w, make(&w, kind, len < left ? len : left)), APR_SUCCESS);
                assert_true(memory_of(&w, &buckets) <= MEMORY / 3 * 4 + 8000);
                assert_int_equal(entries(w.dir), 0);
            }
            assert_as_sent(&w);
            assert_int_equal(has_file(&w), sizes[i] > MEMORY);
            end(&w);
        }
    }
    named_only = 0;
}

/* Full buckets are what sockets hand on: they are not copied. */
static void full_buckets_are_moved(void **state)
{
    world_t w;

    begin(&w, NULL);
    (void)state;
    while (w.len < MEMORY / 8000 * 8000) {
        apr_bucket *b = make(&w, 0, 8000);

        assert_int_equal(take(&w, b), APR_SUCCESS);
        assert_ptr_equal(APR_BRIGADE_LAST(w.kept), b);
    }
    assert_as_sent(&w);
    end(&w);
}

static void bytes_share_memory(void **state)
{
    world_t w;
    size_t buckets;

    begin(&w, NULL);
    (void)state;
    while (w.len < MEMORY / 2) {
        assert_int_equal(take(&w, make(&w, (int)(w.len % 3), 1)), APR_SUCCESS);
    }
    assert_true(memory_of(&w, &buckets) <= MEMORY);
    assert_true(buckets <= w.len / 8000 + 2); /* the first as it came */
    assert_as_sent(&w);
    end(&w);
}

/* A request's last bucket may hold the start of the next request, too. */
static void what_others_hold_stays(void **state)
{
    world_t w;
    apr_bucket *b, *other;
    const char *data;
    apr_size_t len;
    char *next;

    begin(&w, NULL);
    b = make(&w, 0, 8000);
    (void)state;
    APR_BRIGADE_INSERT_TAIL(w.from, b);
    assert_int_equal(apr_bucket_split(b, 7000), APR_SUCCESS);
    other = APR_BUCKET_NEXT(b);
    APR_BUCKET_REMOVE(other);
    APR_BUCKET_REMOVE(b);
    next = apr_pmemdup(w.pool, w.sent + 7000, 1000);
    w.len = 7000;
    assert_int_equal(take(&w, b), APR_SUCCESS);
    assert_int_equal(take(&w, make(&w, 1, 100)), APR_SUCCESS);
    assert_int_equal(apr_bucket_read(other, &data, &len, APR_BLOCK_READ), APR_SUCCESS);
    assert_int_equal(len, 1000);
    assert_memory_equal(data, next, 1000);
    apr_bucket_destroy(other);
    assert_as_sent(&w);
    end(&w);
}

static void file_is_mapped_in_windows(void **state)
{
    world_t w;
    apr_off_t at = 0;
    apr_bucket *b;

    begin(&w, NULL);
    (void)state;
    while (w.len < 5000000) {
        assert_int_equal(take(&w, make(&w, 0, 8000)), APR_SUCCESS);
    }
    fg_spool_finish(w.spool);
    for (b = APR_BRIGADE_FIRST(w.kept); APR_BUCKET_IS_FILE(b); b = APR_BUCKET_NEXT(b)) {
        assert_int_equal(b->start, at);
        assert_int_equal(b->start % FG_SPOOL_WINDOW, 0);
        assert_true(b->length <= FG_SPOOL_WINDOW);
        at += (apr_off_t)b->length;
    }
    assert_true(at > 5000000 - 2 * MEMORY);
    end(&w);
}

static void nothing_is_lost_without_a_folder(void **state)
{
    world_t w;
    apr_status_t rv = APR_SUCCESS;

    begin(&w, "/nonexistent/folder");
    (void)state;
    while (rv == APR_SUCCESS && w.len < 2 * MEMORY) {
        rv = take(&w, make(&w, (int)below(&w, 3), 5000));
    }
    assert_true(APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv));
    assert_as_sent(&w);
    assert_false(has_file(&w));
    end(&w);
}

/* As where a disk is full: some of a piece is written, and the rest is not. */
static void nothing_is_lost_when_the_file_ends(void **state)
{
    struct rlimit was, now;
    world_t w;
    apr_status_t rv = APR_SUCCESS;

    begin(&w, NULL);
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    now = was;
    now.rlim_cur = 5 * MEMORY + 12345;
    setrlimit(RLIMIT_FSIZE, &now);
    while (rv == APR_SUCCESS && w.len < 20 * MEMORY) {
        rv = take(&w, make(&w, 0, 8000));
    }
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(rv, EFBIG);
    assert_as_sent(&w);
    assert_true(has_file(&w));
    end(&w);
}

static int descriptors(void)
{
    return entries("/proc/self/fd");
}

static void file_ends_with_the_pool(void **state)
{
    int before = descriptors();
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        world_t w;
        apr_pool_t *longer;
        apr_bucket *b;

        begin(&w, NULL);
        named_only = i & 1;
        apr_pool_create(&longer, NULL);
        while (w.len < 2 * MEMORY) {
            assert_int_equal(take(&w, make(&w, 0, 8000)), APR_SUCCESS);
        }
        fg_spool_finish(w.spool);
        assert_int_equal(descriptors(), before + 1);
        b = APR_BRIGADE_FIRST(w.kept);
        assert_true(APR_BUCKET_IS_FILE(b));
        if (i & 2) {
            /* It goes over to the other pool, and is closed once. */
            apr_bucket_file_enable_mmap(b, 0);
            assert_int_equal(apr_bucket_setaside(b, longer), APR_SUCCESS);
        }
        end(&w);
        assert_int_equal(descriptors(), before + (i & 2 ? 1 : 0));
        apr_pool_destroy(longer);
        assert_int_equal(descriptors(), before);
    }
    named_only = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_came),
        cmocka_unit_test(full_buckets_are_moved),
        cmocka_unit_test(bytes_share_memory),
        cmocka_unit_test(what_others_hold_stays),
        cmocka_unit_test(file_is_mapped_in_windows),
        cmocka_unit_test(nothing_is_lost_without_a_folder),
        cmocka_unit_test(nothing_is_lost_when_the_file_ends),
        cmocka_unit_test(file_ends_with_the_pool),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
