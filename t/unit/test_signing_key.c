/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static int files(void)
{
    struct dirent *entry;
    int count = 0;
    DIR *open = opendir(dir);

    assert_non_null(open);
    while ((entry = readdir(open)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(open);
    return count;
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
    assert_int_equal(files(), 1); /* nothing is left behind */
    assert_null(fg_signing_key_load(second, path, &made, pool));
    assert_int_equal(made, 0);
    assert_memory_equal(first, second, sizeof(first));
    unlink(path);
    assert_null(fg_signing_key_load(second, path, &made, pool));
    assert_memory_not_equal(first, second, sizeof(first));
    unlink(path);
}

#define SERVERS 8

typedef struct said {
    unsigned char key[FG_ALTCHA_KEY_BYTES];
    int made;
    int failed;
} said_t;

/* In a process of its own: waits until all are there. */
static void start_server(const char *path, const int go[2], int tell)
{
    said_t said = {.made = 0};
    char byte;

    if (fork() == 0) {
        close(go[1]);
        said.failed = read(go[0], &byte, 1) != 0 || /* end of file: the others are there, too */
                      fg_signing_key_load(said.key, path, &said.made, pool) != NULL;
        _exit(write(tell, &said, sizeof(said)) != sizeof(said));
    }
}

static void test_servers_that_start_at_once_have_one_key(void **state)
{
    const char *path = path_of("race");
    int round, i;

    (void)state;
    for (round = 0; round < 50; round++) {
        unsigned char key[FG_ALTCHA_KEY_BYTES];
        int go[2], tell[2], made = 0, unused;
        said_t said;

        assert_int_equal(pipe(go), 0);
        assert_int_equal(pipe(tell), 0);
        for (i = 0; i < SERVERS; i++) {
            start_server(path, go, tell[1]);
        }
        close(go[1]);
        for (i = 0; i < SERVERS; i++) {
            assert_int_equal(read(tell[0], &said, sizeof(said)), sizeof(said));
            assert_false(said.failed);
            made += said.made;
            if (i == 0) {
                assert_null(fg_signing_key_load(key, path, &unused, pool));
            }
            assert_memory_equal(said.key, key, sizeof(key));
        }
        while (wait(NULL) > 0) {
        }
        close(go[0]);
        close(tell[0]);
        close(tell[1]);
        assert_int_equal(made, 1);
        assert_int_equal(files(), 1);
        unlink(path);
    }
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
        cmocka_unit_test(test_servers_that_start_at_once_have_one_key),
        cmocka_unit_test(test_copied),
        cmocka_unit_test(test_no_key),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, set_up, tear_down);
    apr_terminate();
    return failed;
}
