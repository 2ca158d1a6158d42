/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

/*
 * closures.c itself, every atomic step of which may stumble: what happens between two of its
 * instructions once in a million runs happens here all the time.
 */
static void stumble(void);

#pragma push_macro("atomic_load")
#pragma push_macro("atomic_store")
#pragma push_macro("atomic_compare_exchange_strong")
#undef atomic_load
#undef atomic_store
#undef atomic_compare_exchange_strong
#define atomic_load(word) (stumble(), atomic_load_explicit(word, memory_order_seq_cst))
#define atomic_store(word, value)                                                                  \
    (stumble(), atomic_store_explicit(word, value, memory_order_seq_cst))
#define atomic_compare_exchange_strong(word, old, new)                                             \
    (stumble(), atomic_compare_exchange_strong_explicit(word, old, new, memory_order_seq_cst,      \
                                                        memory_order_seq_cst))
#include "closures.c"
#pragma pop_macro("atomic_load")
#pragma pop_macro("atomic_store")
#pragma pop_macro("atomic_compare_exchange_strong")

#define SECOND apr_time_from_sec(1)
#define NOW    (1000 * SECOND)
#define FORM   APR_UINT64_C(0x123456789abcdef0)
#define FULL   APR_UINT64_C(0x77) /* the counter that is over */
#define PLACES ENTRIES            /* keys that are equal modulo this compete for REACH places */

static apr_pool_t *pool;
static void *memory;
static fg_closures_t *closures;

static apr_uint32_t chance; /* 0: nobody stumbles */

static void stumble(void)
{
    if (chance != 0) {
        chance = chance * 1664525u + 1013904223u;
        if (chance >> 29 == 0) {
            sched_yield();
        }
        chance |= chance == 0;
    }
}

static int set_up(void **state)
{
    (void)state;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 1;
    }
    memory = malloc(fg_closures_size());
    if (memory == NULL) {
        return 1;
    }
    memset(memory, 0xff, fg_closures_size()); /* whatever was there before */
    closures = fg_closures_format(memory, fg_closures_size());
    return closures == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    free(memory);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static int is_closed(apr_uint64_t key, apr_time_t now)
{
    return fg_closures_left(closures, key, now) > 0;
}

static void a_new_table_closes_nothing(void **state)
{
    (void)state;
    assert_int_equal(fg_closures_left(closures, FORM, NOW), 0);
    assert_int_equal(fg_closures_left(closures, FORM, 0), 0);
    assert_null(fg_closures_opened(closures, NOW, pool));
    assert_int_equal(fg_closures_list(closures, NOW, pool)->nelts, 0);
}

static void a_form_is_closed_once_and_until_its_time(void **state)
{
    const apr_array_header_t *list;

    (void)state;
    assert_int_equal(fg_closures_close(closures, FORM, "the form", FULL, NOW, NOW + 10 * SECOND),
                     1);
    assert_int_equal(fg_closures_close(closures, FORM, "the form", FULL, NOW, NOW + 10 * SECOND),
                     0);
    assert_int_equal(fg_closures_close(closures, FORM, "the form", FULL, NOW + 1, NOW + SECOND), 0);
    assert_int_equal(fg_closures_left(closures, FORM, NOW), 10 * SECOND);
    assert_int_equal(fg_closures_left(closures, FORM, NOW + 9 * SECOND), SECOND);
    assert_int_equal(fg_closures_left(closures, FORM, NOW + 10 * SECOND - 1), 1);
    assert_int_equal(fg_closures_left(closures, FORM, NOW + 10 * SECOND), 0);
    assert_int_equal(fg_closures_left(closures, FORM, NOW + 99 * SECOND), 0);
    assert_false(is_closed(FORM + 1, NOW));
    assert_false(is_closed(FORM + PLACES, NOW));
    list = fg_closures_list(closures, NOW, pool);
    assert_int_equal(list->nelts, 1);
    assert_string_equal(APR_ARRAY_IDX(list, 0, fg_closure_t).label, "the form");
    assert_int_equal(APR_ARRAY_IDX(list, 0, fg_closure_t).until, NOW + 10 * SECOND);
    assert_int_equal(fg_closures_list(closures, NOW + 10 * SECOND, pool)->nelts, 0);
}

static void the_longer_time_wins(void **state)
{
    (void)state;
    fg_closures_close(closures, FORM, "form", FULL, NOW, NOW + 10 * SECOND);
    assert_int_equal(fg_closures_close(closures, FORM, "form", FULL, NOW, NOW + 60 * SECOND), 0);
    assert_int_equal(fg_closures_left(closures, FORM, NOW), 60 * SECOND);
    assert_int_equal(fg_closures_close(closures, FORM, "form", FULL, NOW, NOW + 5 * SECOND), 0);
    assert_int_equal(fg_closures_left(closures, FORM, NOW), 60 * SECOND);
    assert_int_equal(fg_closures_list(closures, NOW, pool)->nelts, 1);
    /* It is open when the longer one is over, not before. */
    assert_null(fg_closures_opened(closures, NOW + 59 * SECOND, pool));
    assert_string_equal(fg_closures_opened(closures, NOW + 60 * SECOND, pool), "form");
}

static void who_opens_is_told_once(void **state)
{
    (void)state;
    fg_closures_close(closures, FORM, "one", FULL, NOW, NOW + 10 * SECOND);
    fg_closures_close(closures, FORM + 1, "two", FULL, NOW, NOW + 20 * SECOND);
    fg_closures_close(closures, FORM + 2, "three", FULL, NOW, NOW + 20 * SECOND);
    assert_null(fg_closures_opened(closures, NOW + 9 * SECOND, pool));
    assert_string_equal(fg_closures_opened(closures, NOW + 10 * SECOND, pool), "one");
    assert_null(fg_closures_opened(closures, NOW + 10 * SECOND, pool));
    assert_null(fg_closures_opened(closures, NOW + 19 * SECOND, pool));
    assert_string_equal(fg_closures_opened(closures, NOW + 25 * SECOND, pool), "two");
    assert_string_equal(fg_closures_opened(closures, NOW + 25 * SECOND, pool), "three");
    assert_null(fg_closures_opened(closures, NOW + 99 * SECOND, pool));
}

static void a_form_can_be_closed_again(void **state)
{
    (void)state;
    fg_closures_close(closures, FORM, "form", FULL, NOW, NOW + SECOND);
    /* before anybody has said that it was open */
    assert_int_equal(
        fg_closures_close(closures, FORM, "form", FULL, NOW + 2 * SECOND, NOW + 3 * SECOND), 1);
    assert_int_equal(fg_closures_left(closures, FORM, NOW + 2 * SECOND), SECOND);
    assert_string_equal(fg_closures_opened(closures, NOW + 3 * SECOND, pool), "form");
    /* and after */
    assert_int_equal(
        fg_closures_close(closures, FORM, "form", FULL, NOW + 4 * SECOND, NOW + 5 * SECOND), 1);
    assert_true(is_closed(FORM, NOW + 4 * SECOND));
    assert_string_equal(fg_closures_opened(closures, NOW + 5 * SECOND, pool), "form");
}

static void any_key_is_one(void **state)
{
    static const apr_uint64_t keys[] = {
        0, 1, 2, 3, APR_UINT64_C(0xffffffffffffffff), APR_UINT64_C(0xfffffffffffffc00)};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        fg_closures_format(memory, fg_closures_size());
        assert_int_equal(fg_closures_close(closures, keys[i], "form", FULL, NOW, NOW + SECOND), 1);
        assert_int_equal(fg_closures_left(closures, keys[i], NOW), SECOND);
        assert_string_equal(fg_closures_opened(closures, NOW + SECOND, pool), "form");
        assert_false(is_closed(keys[i], NOW));
    }
}

static void labels_are_cut_where_they_end(void **state)
{
    char longest[300];
    const char *label;

    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    fg_closures_close(closures, FORM, longest, FULL, NOW, NOW + SECOND);
    fg_closures_close(closures, FORM + 1, "", FULL, NOW, NOW + 2 * SECOND);
    label = fg_closures_opened(closures, NOW + SECOND, pool);
    assert_int_equal(strlen(label), FG_CLOSURE_LABEL_MAX);
    assert_memory_equal(label, longest, FG_CLOSURE_LABEL_MAX);
    assert_string_equal(fg_closures_opened(closures, NOW + 2 * SECOND, pool), "");
}

/* A form that finds no place stays open: its limit still refuses each post by itself. */
static void a_full_table_closes_no_more(void **state)
{
    apr_uint64_t i;

    (void)state;
    for (i = 0; i < REACH; i++) {
        assert_int_equal(
            fg_closures_close(closures, FORM + i * PLACES, "form", FULL, NOW, NOW + SECOND), 1);
    }
    assert_int_equal(
        fg_closures_close(closures, FORM + REACH * PLACES, "late", FULL, NOW, NOW + 9 * SECOND), 0);
    assert_false(is_closed(FORM + REACH * PLACES, NOW));
    for (i = 0; i < REACH; i++) {
        assert_true(is_closed(FORM + i * PLACES, NOW));
    }
    /* Places that get free are used again. */
    assert_string_equal(fg_closures_opened(closures, NOW + SECOND, pool), "form");
    assert_int_equal(fg_closures_close(closures, FORM + REACH * PLACES, "late", FULL, NOW + SECOND,
                                       NOW + 9 * SECOND),
                     1);
    assert_true(is_closed(FORM + REACH * PLACES, NOW + SECOND));
}

static void many_forms_are_closed_and_all_open_again(void **state)
{
    apr_uint64_t i, key = FORM;
    int closed = 0, opened = 0;

    (void)state;
    for (i = 0; i < 300; i++) {
        key = key * APR_UINT64_C(6364136223846793005) + APR_UINT64_C(1442695040888963407);
        closed += fg_closures_close(closures, key >> 7, apr_psprintf(pool, "form %d", (int)i), FULL,
                                    NOW, NOW + SECOND + (apr_time_t)(i % 50));
        assert_int_equal(is_closed(key >> 7, NOW), 1);
    }
    assert_int_equal(closed, 300);
    assert_int_equal(fg_closures_list(closures, NOW, pool)->nelts, 300);
    while (fg_closures_opened(closures, NOW + 2 * SECOND, pool) != NULL) {
        opened++;
    }
    assert_int_equal(opened, 300);
    assert_int_equal(fg_closures_list(closures, NOW, pool)->nelts, 0);
}

static void only_a_table_is_opened_as_one(void **state)
{
    const apr_size_t size = fg_closures_size();
    char *other = malloc(size + 8);

    (void)state;
    assert_non_null(other);
    /* what another process has made, wherever it is mapped */
    fg_closures_close(closures, FORM, "form", FULL, NOW, NOW + SECOND);
    memcpy(other, memory, size);
    assert_int_equal(fg_closures_left(fg_closures_attach(other, size), FORM, NOW), SECOND);
    assert_non_null(fg_closures_attach(other, size + 1));
    assert_null(fg_closures_attach(other, size - 1));
    assert_null(fg_closures_attach(other, 0));
    memmove(other + 4, memory, size);
    assert_null(fg_closures_attach(other + 4, size));
    assert_null(fg_closures_format(other + 4, size));
    assert_null(fg_closures_format(other, size - 1));
    memset(other, 0, size);
    assert_null(fg_closures_attach(other, size));
    memset(other, 0xff, size);
    assert_null(fg_closures_attach(other, size));
    memcpy(other, memory, size);
    other[3] ^= 1; /* of another version */
    assert_null(fg_closures_attach(other, size));
    free(other);
}

/* --- processes -------------------------------------------------------------------------------- */

enum { PROCESSES = 4, ROUNDS = 1000 };

typedef struct shared {
    atomic_int ready[ROUNDS];
    atomic_int closed[ROUNDS]; /* how many were told that they have closed it */
    atomic_int opened[ROUNDS];
    atomic_int odd; /* things that must not happen */
} shared_t;

static void wait_for_all(atomic_int *ready)
{
    atomic_fetch_add(ready, 1);
    while (atomic_load(ready) < PROCESSES) {
        sched_yield();
    }
}

/* All at once: close the form of this round, then find it closed. */
static void close_in_rounds(shared_t *shared, void *table, int which_process)
{
    fg_closures_t *own = fg_closures_attach(table, fg_closures_size());
    apr_uint64_t round;

    chance = 12345u + (apr_uint32_t)which_process;
    for (round = 0; round < ROUNDS; round++) {
        /* 64 places for all: entries lie behind each other, and come and go */
        apr_uint64_t key = FORM + round * PLACES + round % 64;
        apr_time_t now = NOW + (apr_time_t)round * SECOND;
        char label[30];
        const char *open;

        apr_snprintf(label, sizeof(label), "%d", (int)round);
        wait_for_all(&shared->ready[round]);
        while (!(fg_closures_left(own, key, now) > 0)) { /* the limit goes on refusing */
            if (fg_closures_close(own, key, label, FULL, now, now + 3 * SECOND)) {
                atomic_fetch_add(&shared->closed[round], 1);
            }
        }
        while ((open = fg_closures_opened(own, now, pool)) != NULL) {
            int which = atoi(open);

            if (which < 0 || (apr_uint64_t)which > round) {
                atomic_fetch_add(&shared->odd, 1);
                continue;
            }
            atomic_fetch_add(&shared->opened[which], 1);
        }
    }
}

static void a_form_is_opened_before_its_time(void **state)
{
    fg_counter_key_t full = 0;

    (void)state;
    assert_int_equal(fg_closures_open(closures, "one", NOW, &full), 0);
    fg_closures_close(closures, FORM, "one", 11, NOW, NOW + 10 * SECOND);
    fg_closures_close(closures, FORM + 1, "two", 12, NOW, NOW + 10 * SECOND);
    assert_int_equal(fg_closures_open(closures, "on", NOW, &full), 0);
    assert_int_equal(fg_closures_open(closures, "one", NOW, &full), 1);
    assert_int_equal(full, 11);
    assert_int_equal(is_closed(FORM, NOW), 0);
    assert_int_equal(is_closed(FORM + 1, NOW), 1);
    assert_int_equal(fg_closures_open(closures, "one", NOW, &full), 0);
    /* closed again, by another limit; and what is over by itself is for fg_closures_opened() */
    assert_int_equal(fg_closures_close(closures, FORM, "one", 13, NOW, NOW + 20 * SECOND), 1);
    assert_int_equal(fg_closures_open(closures, "two", NOW + 10 * SECOND, &full), 0);
    assert_string_equal(fg_closures_opened(closures, NOW + 10 * SECOND, pool), "two");
    assert_int_equal(fg_closures_open(closures, "one", NOW + 10 * SECOND, &full), 1);
    assert_int_equal(full, 13);
    assert_null(fg_closures_opened(closures, NOW + 60 * SECOND, pool));
}

static void forms_of_one_label_are_opened_one_by_one(void **state)
{
    fg_counter_key_t full = 0;

    (void)state;
    fg_closures_close(closures, FORM, "form", 11, NOW, NOW + 10 * SECOND);
    fg_closures_close(closures, FORM + 1, "form", 12, NOW, NOW + 10 * SECOND);
    assert_int_equal(fg_closures_open(closures, "form", NOW, &full), 1);
    assert_int_equal(is_closed(FORM, NOW) + is_closed(FORM + 1, NOW), 1);
    assert_int_equal(fg_closures_open(closures, "form", NOW, &full), 1);
    assert_int_equal(fg_closures_open(closures, "form", NOW, &full), 0);
}

static void processes_close_a_form_once(void **state)
{
    shared_t *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    void *table =
        mmap(NULL, fg_closures_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child[PROCESSES];
    const char *open;
    int i, status;

    (void)state;
    assert_ptr_not_equal(shared, MAP_FAILED);
    assert_ptr_not_equal(table, MAP_FAILED);
    assert_non_null(fg_closures_format(table, fg_closures_size()));
    for (i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0) {
            close_in_rounds(shared, table, i);
            _exit(0);
        }
    }
    for (i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(atomic_load(&shared->odd), 0);
    while ((open = fg_closures_opened(table, NOW + 2 * ROUNDS * SECOND, pool)) != NULL) {
        atomic_fetch_add(&shared->opened[atoi(open)], 1);
    }
    for (i = 0; i < ROUNDS; i++) {
        if (atomic_load(&shared->closed[i]) != 1 || atomic_load(&shared->opened[i]) != 1) {
            fail_msg("form %d: closed %d times, opened %d times", i,
                     atomic_load(&shared->closed[i]), atomic_load(&shared->opened[i]));
        }
    }
    munmap(shared, sizeof(*shared));
    munmap(table, fg_closures_size());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_table_closes_nothing),
        TEST(a_form_is_closed_once_and_until_its_time),
        TEST(the_longer_time_wins),
        TEST(who_opens_is_told_once),
        TEST(a_form_can_be_closed_again),
        TEST(any_key_is_one),
        TEST(labels_are_cut_where_they_end),
        TEST(a_full_table_closes_no_more),
        TEST(many_forms_are_closed_and_all_open_again),
        TEST(only_a_table_is_opened_as_one),
        TEST(a_form_is_opened_before_its_time),
        TEST(forms_of_one_label_are_opened_one_by_one),
        TEST(processes_close_a_form_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
