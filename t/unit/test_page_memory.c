/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is the same is known; one of which anything differs is not; and there is an end to
 * what is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include <cmocka.h>

#include "page_memory.h"

#define SECOND APR_USEC_PER_SEC
#define NOW    (1000 * SECOND)

static apr_pool_t *pool;

static apr_finfo_t file_of(int inode)
{
    apr_finfo_t file;

    memset(&file, 0, sizeof(file));
    file.valid = APR_FINFO_IDENT | APR_FINFO_SIZE | APR_FINFO_MTIME | APR_FINFO_CTIME;
    file.device = 5;
    file.inode = (apr_ino_t)inode;
    file.size = 100;
    file.mtime = file.ctime = NOW - 100 * SECOND;
    return file;
}

static fg_html_found_t found_in(const char *base)
{
    fg_html_found_t found;

    found.used = 0;
    fg_html_found_base(&found, base);
    return found;
}

static int knows(fg_page_memory_t *memory, const apr_finfo_t *file, const char *base)
{
    fg_html_found_t expected = found_in(base);
    fg_html_found_t found;

    memset(&found, 'x', sizeof(found));
    if (!fg_page_memory_find(memory, file, &found)) {
        return 0;
    }
    assert_int_equal(found.used, expected.used);
    assert_memory_equal(found.bytes, expected.bytes, expected.used);
    return 1;
}

static void test_same(void **state)
{
    fg_page_memory_t *memory = fg_page_memory_create(pool);
    const fg_html_found_t found = found_in("/a/");
    apr_finfo_t file = file_of(7);
    apr_finfo_t other;

    (void)state;
    assert_false(knows(memory, &file, "/a/"));
    fg_page_memory_keep(memory, &file, &found, NOW);
    assert_true(knows(memory, &file, "/a/"));
    other = file;
    other.inode++;
    assert_false(knows(memory, &other, ""));
    other = file;
    other.device++;
    assert_false(knows(memory, &other, ""));
    other = file;
    other.size++;
    assert_false(knows(memory, &other, ""));
    other = file;
    other.mtime++;
    assert_false(knows(memory, &other, ""));
    other = file;
    other.ctime++;
    assert_false(knows(memory, &other, ""));
    other = file;
    other.valid &= ~APR_FINFO_CTIME;
    assert_false(knows(memory, &other, ""));
    assert_true(knows(memory, &file, "/a/"));
    assert_false(knows(NULL, &file, ""));
    fg_page_memory_keep(NULL, &file, &found, NOW);
}

/* It might change again, and look the same. */
static void test_fresh(void **state)
{
    fg_page_memory_t *memory = fg_page_memory_create(pool);
    const fg_html_found_t found = found_in("/a/");
    const apr_time_t ages[] = {-SECOND, 0, SECOND, 3 * SECOND - 1, 3 * SECOND};
    int i;

    (void)state;
    for (i = 0; i < 10; i++) {
        apr_finfo_t file = file_of(10 + i);

        *(i % 2 ? &file.mtime : &file.ctime) = NOW - ages[i / 2];
        fg_page_memory_keep(memory, &file, &found, NOW);
        assert_int_equal(knows(memory, &file, "/a/"), i >= 8);
    }
}

static void test_bounds(void **state)
{
    fg_page_memory_t *memory = fg_page_memory_create(pool);
    fg_html_found_t much = found_in("/a/");
    apr_finfo_t file = file_of(1);
    int known = 0;
    int i;

    (void)state;
    much.used = FG_HTML_FOUND_MAX + 1;
    fg_page_memory_keep(memory, &file, &much, NOW);
    assert_false(knows(memory, &file, ""));
    for (i = 1; i <= 5000; i++) {
        const char *base = apr_itoa(pool, i);
        const fg_html_found_t found = found_in(base);

        file = file_of(i);
        fg_page_memory_keep(memory, &file, &found, NOW);
        assert_true(knows(memory, &file, base));
    }
    for (i = 1; i <= 5000; i++) {
        file = file_of(i);
        known += knows(memory, &file, apr_itoa(pool, i));
    }
    assert_in_range(known, 200, 256);
    /* a file that was asked for stays when its neighbour goes */
    for (i = 1; i <= 5000; i++) {
        const fg_html_found_t found = found_in("/b/");

        file = file_of(4);
        if (i == 1) {
            fg_page_memory_keep(memory, &file, &found, NOW);
        }
        assert_true(knows(memory, &file, "/b/"));
        file = file_of(5000 + i);
        fg_page_memory_keep(memory, &file, &found, NOW);
    }
}

#define FILES  40
#define ROUNDS 20000

static void *APR_THREAD_FUNC work(apr_thread_t *thread, void *memory)
{
    int i;

    (void)thread;
    for (i = 0; i < ROUNDS; i++) {
        int n = 1 + i * 7 % FILES * 100;
        char base[16];
        apr_finfo_t file = file_of(n);
        fg_html_found_t found;

        apr_snprintf(base, sizeof(base), "/%d/", n);
        found = found_in(base);
        if (!knows(memory, &file, base)) {
            fg_page_memory_keep(memory, &file, &found, NOW);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    fg_page_memory_t *memory = fg_page_memory_create(pool);
    apr_thread_t *threads[4];
    apr_status_t rv;
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(apr_thread_create(&threads[i], NULL, work, memory, pool), APR_SUCCESS);
    }
    for (i = 0; i < 4; i++) {
        assert_int_equal(apr_thread_join(&rv, threads[i]), APR_SUCCESS);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_threads),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
