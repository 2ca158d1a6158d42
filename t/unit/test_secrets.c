/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "secrets.h"

static const unsigned char key[16] = "a secret of ours";
static fg_secrets_t *secrets;
static void *memory;

static int set_up(void **state)
{
    (void)state;
    memory = malloc(fg_secrets_size());
    memset(memory, 0xa5, fg_secrets_size());
    if (fg_secrets_format(memory, fg_secrets_size(), key) != APR_SUCCESS) {
        return 1;
    }
    secrets = fg_secrets_attach(memory, fg_secrets_size());
    return secrets == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static void each_change_is_news_once(void **state)
{
    (void)state;
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_WORKS), 0);
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_REFUSED), 1);
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_REFUSED), 0);
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_QUOTA), 1);
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_QUOTA), 0);
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_WORKS), 1);
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_WORKS), 0);
}

static void each_secret_at_each_service_is_its_own(void **state)
{
    char longest[300];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_REFUSED), 1);
    assert_int_equal(fg_secrets_note(secrets, "b", "s", FG_SECRET_REFUSED), 1);
    assert_int_equal(fg_secrets_note(secrets, "a", "t", FG_SECRET_REFUSED), 1);
    assert_int_equal(fg_secrets_note(secrets, "as", "", FG_SECRET_REFUSED), 1);
    assert_int_equal(fg_secrets_note(secrets, "u", "s", FG_SECRET_WORKS), 0);
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_WORKS), 1);
    assert_int_equal(fg_secrets_note(secrets, "b", "s", FG_SECRET_REFUSED), 0);
    assert_int_equal(fg_secrets_note(secrets, longest, longest, FG_SECRET_REFUSED), 1);
    assert_int_equal(fg_secrets_note(secrets, longest, longest, FG_SECRET_REFUSED), 0);
}

/* Any number of wrong secrets: some may be said again, the table never fills up. */
static void there_is_always_room(void **state)
{
    char name[16];
    int i, news = 0;

    (void)state;
    for (i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(fg_secrets_note(secrets, "a", name, FG_SECRET_REFUSED), 1);
        assert_int_equal(fg_secrets_note(secrets, "a", name, FG_SECRET_REFUSED), 0);
    }
    for (i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        news += fg_secrets_note(secrets, "a", name, FG_SECRET_WORKS);
    }
    assert_in_range(news, 4000, 4096);
}

static void it_is_told_apart_from_other_memory(void **state)
{
    (void)state;
    assert_null(fg_secrets_attach(memory, fg_secrets_size() - 1));
    fg_secrets_note(secrets, "a", "s", FG_SECRET_REFUSED);
    secrets = fg_secrets_attach(memory, fg_secrets_size()); /* a restart */
    assert_int_equal(fg_secrets_note(secrets, "a", "s", FG_SECRET_REFUSED), 0);
    memset(memory, 0xa5, fg_secrets_size());
    assert_null(fg_secrets_attach(memory, fg_secrets_size()));
}

enum { THREADS = 4, ROUNDS = 50000 };

static atomic_int broke, mended;

static void *note_both(void *unused)
{
    int i;

    (void)unused;
    for (i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&broke, fg_secrets_note(secrets, "a", "s", FG_SECRET_REFUSED));
        atomic_fetch_add(&mended, fg_secrets_note(secrets, "a", "s", FG_SECRET_WORKS));
    }
    return NULL;
}

static void threads_are_told_of_each_change_once(void **state)
{
    pthread_t thread[THREADS];
    int i;

    (void)state;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, note_both, NULL), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_int_equal(atomic_load(&broke), atomic_load(&mended));
    assert_true(atomic_load(&broke) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(each_change_is_news_once),
        TEST(each_secret_at_each_service_is_its_own),
        TEST(there_is_always_room),
        TEST(it_is_told_apart_from_other_memory),
        TEST(threads_are_told_of_each_change_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
