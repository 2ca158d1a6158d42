/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "signing_key.h"

static apr_pool_t *pool;
static char dir[] = "/tmp/formguard-key-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    rmdir(dir);
    apr_pool_destroy(pool);
    return 0;
}

static const char *path_of(const char *name)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

static const char *write_file(const char *name, const char *text, apr_size_t len, mode_t mode)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void test_made_once_and_kept(void **state)
{
    unsigned char first[FG_ALTCHA_KEY_BYTES], second[FG_ALTCHA_KEY_BYTES];
    const char *path = path_of("made");
    struct stat info;
    int made;

    (void)state;
    assert_null(fg_signing_key_load(first, path, &made, pool));
    assert_int_equal(made, 1);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(access(path_of("made.new"), F_OK), -1);
    assert_null(fg_signing_key_load(second, path, &made, pool));
    assert_int_equal(made, 0);
    assert_memory_equal(first, second, sizeof(first));
    unlink(path);
    assert_null(fg_signing_key_load(second, path, &made, pool));
    assert_memory_not_equal(first, second, sizeof(first));
    unlink(path);
}

/* A copy on another machine, with or without the newline an editor adds, is the same key. */
static void test_copied(void **state)
{
    static const char text[] = "0123456789abcdef0123456789abcdef0123456789abcdef";
    unsigned char one[FG_ALTCHA_KEY_BYTES], other[FG_ALTCHA_KEY_BYTES];
    const char *path = write_file("copy", text, strlen(text), 0600);
    int made;

    (void)state;
    assert_null(fg_signing_key_load(one, path, &made, pool));
    path = write_file("copy", apr_pstrcat(pool, text, "\n", NULL), strlen(text) + 1, 0400);
    assert_null(fg_signing_key_load(other, path, &made, pool));
    assert_memory_equal(one, other, sizeof(one));
    unlink(path);
}

static void assert_refused(const char *path, const char *reason)
{
    unsigned char key[FG_ALTCHA_KEY_BYTES];
    int made;
    const char *error = fg_signing_key_load(key, path, &made, pool);

    assert_non_null(error);
    assert_non_null(strstr(error, reason));
}

static void test_no_key(void **state)
{
    static const char text[] = "0123456789abcdef0123456789abcdef";
    const char *path;

    (void)state;
    path = write_file("short", text, 31, 0600);
    assert_refused(path, "fewer than 32");
    unlink(path);
    path = write_file("blank", "                                             \n", 46, 0600);
    assert_refused(path, "fewer than 32");
    unlink(path);
    path = write_file("open", text, 32, 0640);
    assert_refused(path, "chmod 600");
    assert_int_equal(chmod(path, 0604), 0);
    assert_refused(path, "chmod 600");
    unlink(path);
    path = write_file("large", apr_pcalloc(pool, 5000), 5000, 0600);
    assert_refused(path, "4096");
    unlink(path);
    path = path_of("fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(path, "no plain file");
    unlink(path);
    assert_refused(dir, "no plain file");
    assert_refused(path_of("nowhere/key"), "can't be made");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_once_and_kept),
        cmocka_unit_test(test_copied),
        cmocka_unit_test(test_no_key),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, set_up, tear_down);
    apr_terminate();
    return failed;
}
