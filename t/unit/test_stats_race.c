/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that count posts of many labels, most of which drive each other out of the
 * table, while a reader looks and children are killed anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "race.h"
#include "stats.c"
#include "stats_read.c"
#include "race_end.h"

enum { HEAVY = 20, POSTS = 12000 };

#define KILLS race_kills(120)

typedef struct shared {
    atomic_ulong tried, heavy[HEAVY];
    atomic_int stop;
} shared_t;

static apr_pool_t *pool;
static shared_t *shared;
static memory_t *memory;
static fg_stats_t *stats;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    memory = map_shared(fg_stats_size());
    shared = map_shared(sizeof(*shared));
    return !memory || !shared || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(memory, fg_stats_size());
    munmap(shared, sizeof(*shared));
    return 0;
}

static int fresh(void **state)
{
    static const unsigned char secret[16] = "fifteen letters";

    (void)state;
    intrude_at = 0;
    memset(shared, 0, sizeof(*shared));
    return fg_stats_format(memory, fg_stats_size(), secret, 0) != APR_SUCCESS ||
           fg_stats_attach(&stats, memory, fg_stats_size(), pool) != APR_SUCCESS;
}

/* The whole label follows from its number: of two that are mixed up, none does. */
static apr_size_t make_label(char out[FG_STATS_LABEL_MAX], unsigned int n)
{
    apr_size_t len = (apr_size_t)snprintf(out, FG_STATS_LABEL_MAX, "%u ", n);
    apr_size_t whole = 20 + n * 37 % (FG_STATS_LABEL_MAX - 20);

    for (; len < whole; len++) {
        out[len] = (char)('a' + (n + len * (1 + n % 7)) % 26);
    }
    return whole;
}

static void post_of(unsigned int n, apr_uint64_t *random)
{
    char label[FG_STATS_LABEL_MAX];

    atomic_fetch_add(&shared->tried, 1);
    if (n < HEAVY) {
        atomic_fetch_add(&shared->heavy[n], 1);
    }
    fg_stats_post(stats, FG_STATS_FORMS, label, make_label(label, n), n % FG_STATS_COLUMNS,
                  (apr_time_t)draw(random, 1000) * APR_USEC_PER_SEC);
}

static void post_one(apr_uint64_t *random)
{
    post_of((unsigned int)(draw(random, 4) == 0 ? draw(random, HEAVY) : HEAVY + draw(random, 3000)),
            random);
}

static void *post_many(void *worker)
{
    apr_uint64_t random = race_seed + 1 + (uintptr_t)worker * 7919;
    unsigned int i;

    stumbling = random + 1;
    for (i = 0; i < POSTS; i++) {
        post_one(&random);
    }
    return NULL;
}

static void *post_until_stopped(void *worker)
{
    apr_uint64_t random = race_seed + 1 + (uintptr_t)worker * 7919;

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        post_one(&random);
    }
    return NULL;
}

/* Whatever goes on: each label is a whole one, and is there once. */
static const fg_stats_top_t *look(void)
{
    const fg_stats_top_t *top;
    char label[FG_STATS_LABEL_MAX];
    static unsigned char seen[HEAVY + 3000];
    unsigned int i, n;

    apr_pool_clear(pool);
    memset(seen, 0, sizeof(seen));
    fg_stats_attach(&stats, memory, fg_stats_size(), pool);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_true(top->entries + top->unnamed <= FG_STATS_TOP);
    for (i = 0; i < top->entries; i++) {
        assert_int_equal(sscanf(top->entry[i].label, "%u ", &n), 1);
        assert_true(n < HEAVY + 3000 && !seen[n]);
        seen[n] = 1;
        assert_int_equal(top->entry[i].len, make_label(label, n));
        assert_memory_equal(top->entry[i].label, label, top->entry[i].len);
    }
    return top;
}

static void look_only(void)
{
    look();
}

/* Each heavy label is there, with as much as it had, but for `slack`. */
static void check_heavy(const fg_stats_top_t *top, apr_uint64_t slack)
{
    unsigned int found = 0, i, n;

    for (i = 0; i < top->entries; i++) {
        apr_uint64_t truth;

        assert_int_equal(sscanf(top->entry[i].label, "%u ", &n), 1);
        if (n < HEAVY) {
            truth = atomic_load(&shared->heavy[n]);
            found++;
            assert_true(truth > top->posts / FG_STATS_TOP);
            assert_true(top->entry[i].posts <= truth);
            assert_true(truth <= top->entry[i].posts + top->entry[i].missed + slack);
            assert_true(top->entry[i].missed <= top->posts / FG_STATS_TOP + slack);
            assert_int_equal(top->entry[i].count[n % FG_STATS_COLUMNS], top->entry[i].posts);
        }
    }
    assert_int_equal(found, HEAVY);
}

static void counts_all_posts_of_all_processes(void **state)
{
    const struct timespec pause = {0, 2000000};
    const fg_stats_top_t *top;
    pid_t pid[PROCESSES];
    unsigned int i;

    (void)state;
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, post_many);
    }
    for (i = 0; atomic_load(&shared->tried) < WORKERS * POSTS; i++) {
        look();
        nanosleep(&pause, NULL);
    }
    join_processes(pid);
    assert_true(i > 5);
    top = look();
    assert_int_equal(top->posts, WORKERS * POSTS);
    check_heavy(top, WORKERS);
}

/* Each thread killed was at one post at most. (One that was merging a label which two had put in at
 * once might lose more: so the heavy ones are in the table before.) */
static void loses_at_most_a_post_a_killed_thread(void **state)
{
    const fg_stats_top_t *top;
    apr_uint64_t draws = race_seed;
    unsigned int i;

    (void)state;
    for (i = 0; i < 1000 * HEAVY; i++) {
        post_of(i % HEAVY, &draws);
    }
    run_and_kill(post_until_stopped, KILLS, &shared->stop, look_only);
    for (i = 0; i < 2000; i++) { /* whoever was killed has left nothing that hinders others */
        apr_uint64_t random = race_seed + i;

        post_one(&random);
    }
    top = look();
    assert_true(top->posts <= atomic_load(&shared->tried));
    assert_true(top->posts + KILLS * THREADS >= atomic_load(&shared->tried));
    check_heavy(top, WORKERS + KILLS * THREADS);
}

/* --- every order of two ----------------------------------------------------------------------- */

static void post_label(const char *label, apr_time_t second)
{
    fg_stats_post(stats, FG_STATS_FORMS, label, strlen(label), FG_STATS_ACCEPTED,
                  second * APR_USEC_PER_SEC);
}

static const fg_stats_top_t *look_at_table(void)
{
    apr_pool_clear(pool);
    fg_stats_attach(&stats, memory, fg_stats_size(), pool);
    return &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
}

static unsigned int intruded_posts;

static void post_the_same(void)
{
    post_label("a.example/contact.php", 5);
    intruded_posts = 1;
}

static void post_another(void)
{
    post_label("b.example/contact.php", 5);
    intruded_posts = 1;
}

/* So that every slot has another tenant. */
static void post_many_others(void)
{
    char label[32];

    for (intruded_posts = 0; intruded_posts < 2 * FG_STATS_TOP; intruded_posts++) {
        snprintf(label, sizeof(label), "other%u", intruded_posts);
        post_label(label, 5);
    }
}

/* A post, before each of whose steps another has all of its way. The table holds `before` posts,
 * `had` of them of that label. */
static void check_order(void (*other)(void), int changes, apr_uint64_t before, apr_uint64_t had)
{
    const apr_uint64_t truth = had + 1 + (other == post_the_same);
    void *image = malloc(fg_stats_size());
    unsigned int step, i;

    assert_non_null(image);
    memcpy(image, memory, fg_stats_size());
    intruder = other;
    intrude_at_changes = changes;
    for (step = 1; step < 10000; step++) {
        const fg_stats_top_t *top;
        apr_uint64_t found = 0;

        memcpy(memory, image, fg_stats_size());
        intrude_at = step;
        post_label("a.example/contact.php", 5);
        if (intrude_at > 0) {
            break; /* there are no more steps */
        }
        top = look_at_table();
        assert_int_equal(top->posts, before + 1 + intruded_posts);
        for (i = 0; i < top->entries; i++) {
            if (top->entry[i].label[0] == 'a') {
                found += top->entry[i].posts + top->entry[i].missed;
                assert_true(top->entry[i].posts <= truth);
            }
        }
        assert_true(found >= truth || other == post_many_others);
    }
    assert_in_range(step, 3, 9999);
    intrude_at = 0;
    memcpy(memory, image, fg_stats_size());
    free(image);
}

static void fill_table(void)
{
    char label[32];
    unsigned int i;

    for (i = 0; i < FG_STATS_TOP; i++) {
        snprintf(label, sizeof(label), "site%u", i);
        post_label(label, 5);
    }
}

static void every_order_of_two_counts_both(void **state)
{
    (void)state;
    check_order(post_the_same, 0, 0, 0);
    check_order(post_another, 0, 0, 0);
    fill_table();
    check_order(post_the_same, 0, FG_STATS_TOP, 0);
    check_order(post_another, 0, FG_STATS_TOP, 0);
    check_order(post_many_others, 1, FG_STATS_TOP, 0);
    post_label("a.example/contact.php", 5);
    check_order(post_the_same, 0, FG_STATS_TOP + 1, 1);
    check_order(post_another, 0, FG_STATS_TOP + 1, 1);
    check_order(post_many_others, 1, FG_STATS_TOP + 1, 1);
}

/* --- damage ----------------------------------------------------------------------------------- */

/* As a process does that lost its slot amid writing. */
static void damaged_label_is_not_shown_and_mended(void **state)
{
    table_t *table = &memory->table[FG_STATS_FORMS];
    const fg_stats_top_t *top;

    (void)state;
    post_label("a.example/contact.php", 5);
    atomic_fetch_xor(&table->slot[0].label[1], 1);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 0);
    assert_int_equal(top->unnamed, 1);
    assert_int_equal(top->posts, 1);
    post_label("a.example/contact.php", 9);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 1);
    assert_string_equal(top->entry[0].label, "a.example/contact.php");
    assert_int_equal(top->entry[0].posts, 2);
    assert_int_equal(top->entry[0].first, 5);
    assert_int_equal(top->entry[0].last, 9);
}

static void who_lost_the_slot_changes_nothing(void **state)
{
    table_t *table = &memory->table[FG_STATS_FORMS];
    slot_t *slot = &table->slot[0];
    label_t late = {.text = "-", .len = 1};
    apr_uint64_t key;

    (void)state;
    post_label("a.example/contact.php", 5);
    key = atomic_load(&table->key[0]);
    atomic_store(&table->key[0], fg_shared_next_key(key, 7));
    assert_false(add_to_column(table, 0, key, &slot->column[FG_STATS_ACCEPTED], 1));
    atomic_store(&table->total[0], fg_shared_tag(key + 1, 1));
    assert_false(add_to_total(table, 0, key, 1));
    see(table, 0, key, 6);
    atomic_fetch_xor(&slot->meta, META_READY);
    name_slot(table, 0, key, &late);
    assert_int_equal(fg_shared_value(atomic_load(&slot->column[FG_STATS_ACCEPTED]), key), 1);
    assert_int_equal(fg_shared_value(atomic_load(&slot->last), key), 5);
    assert_memory_equal(slot->label, "a.example/contact.php", 21);
    assert_false(fg_shared_value(atomic_load(&slot->meta), key) & META_READY);
}

/* Hints lead anywhere, and groups are marked as full: nothing is found wrongly, counted twice, or
 * lost. Each lane is 0 or holds a hint that is needed, or rubbish. */
static void put_rubbish(table_t *table, apr_uint64_t *random)
{
    fg_shared_word_t *word = &table->hint[draw(random, HINTS)];
    apr_uint64_t hint = atomic_load(word), rubbish = draw(random, UINT64_MAX);
    unsigned int shift;

    for (shift = 0; shift < 64; shift += 16) {
        apr_uint64_t lane = hint >> shift & LANE;

        if (lane == 0) {
            hint |=
                (rubbish & (LANE << shift)) & (draw(random, 2) ? UINT64_MAX : 0x01ff01ff01ff01ff);
        }
    }
    atomic_store(word, hint);
}

static void wrong_hints_do_no_harm(void **state)
{
    table_t *table = &memory->table[FG_STATS_FORMS];
    apr_uint64_t random = race_seed;
    const fg_stats_top_t *top;
    char label[32];
    unsigned int i;

    (void)state;
    for (i = 0; i < 20000; i++) {
        snprintf(label, sizeof(label), "site%u", i % 200);
        post_label(label, 5);
        put_rubbish(table, &random);
    }
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 200);
    for (i = 0; i < 200; i++) {
        assert_int_equal(top->entry[i].posts, 100);
        assert_int_equal(top->entry[i].missed, 0);
    }
}

/* A process was killed before it could take out a label that was put in twice. */
static void label_put_in_twice_is_shown_once(void **state)
{
    table_t *table = &memory->table[FG_STATS_FORMS];
    const fg_stats_top_t *top;
    fg_shared_word_t *word;

    (void)state;
    post_label("a.example/contact.php", 5);
    post_label("b.example/contact.php", 5);
    atomic_store(&table->key[9], atomic_load(&table->key[0]));
    atomic_store(&table->total[9], fg_shared_tag(atomic_load(&table->key[9]), 1));
    memcpy(&table->slot[9], &table->slot[0], sizeof(table->slot[9]));
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 2);
    word = hint_of(table, fg_shared_key_identity(atomic_load(&table->key[0])));
    atomic_store(word, 1 | (9 + 1) << 16);
    post_label("a.example/contact.php", 5);
    assert_false(is_held(table, 9, atomic_load(&table->key[9])));
    merge(table, 0, atomic_load(&table->key[0]), 9, atomic_load(&table->key[9])); /* no more */
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 2);
    assert_int_equal(top->posts, 4);
    assert_int_equal(top->entry[0].posts, 3); /* those of both */
    assert_int_equal(top->entry[0].missed, 0);
}

/* More labels of one group than it has lanes: all are found. */
static void full_group_loses_none(void **state)
{
    table_t *table = &memory->table[FG_STATS_FORMS];
    const fg_stats_top_t *top;
    unsigned int i, k, full = 0;

    (void)state;
    for (i = 0; i < 3; i++) {
        for (k = 0; k < 9; k++) { /* of one group, since only the upper bits differ */
            apr_uint64_t key = 0;
            apr_uint64_t identity = 5 + (apr_uint64_t)k * HINTS;
            unsigned int n = count_post(table, identity, &key);

            assert_int_equal(fg_shared_key_identity(key), identity);
            assert_int_equal(fg_shared_value(atomic_load(&table->total[n]), key), i + 1);
        }
    }
    for (i = 0; i < 64; i += 16) {
        full += (atomic_load(&table->hint[5]) >> i & LANE) == FULL_GROUP;
    }
    assert_int_equal(full, 1);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->posts, 27);
}

/* A process was killed between taking a slot and writing its key. */
static void slot_taken_by_the_dead_is_nobodys(void **state)
{
    table_t *table = &memory->table[FG_STATS_FORMS];
    const fg_stats_top_t *top;
    char label[32];
    unsigned int i;

    (void)state;
    post_label("a.example/contact.php", 5);
    atomic_store(&table->total[0], fg_shared_tag(atomic_load(&table->key[0]) + 1, 2));
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 0);
    assert_int_equal(top->unnamed, 0);
    assert_int_equal(top->posts, 2);
    post_label("a.example/contact.php", 5);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 1);
    assert_int_equal(top->entry[0].posts, 1);
    for (i = 0; i < 3 * FG_STATS_TOP; i++) {
        snprintf(label, sizeof(label), "site%u", i);
        post_label(label, 5);
    }
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, FG_STATS_TOP);
    assert_int_equal(top->posts, 3 + 3 * FG_STATS_TOP);
}

/* A label whose slot gets a post while another wants to take it keeps it. */
static void slot_that_gets_a_post_is_not_taken(void **state)
{
    table_t *table = &memory->table[FG_STATS_FORMS];
    apr_uint64_t total;

    (void)state;
    post_label("a.example/contact.php", 5);
    total = atomic_load(&table->total[0]);
    post_label("a.example/contact.php", 5);
    assert_false(take(table, 0, total, 7));
    assert_int_equal(fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS].entry[0].posts, 2);
    assert_true(take(table, 0, total + 1, 7));
    assert_int_equal(fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS].entries, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(counts_all_posts_of_all_processes, fresh),
        cmocka_unit_test_setup(loses_at_most_a_post_a_killed_thread, fresh),
        cmocka_unit_test_setup(every_order_of_two_counts_both, fresh),
        cmocka_unit_test_setup(damaged_label_is_not_shown_and_mended, fresh),
        cmocka_unit_test_setup(who_lost_the_slot_changes_nothing, fresh),
        cmocka_unit_test_setup(wrong_hints_do_no_harm, fresh),
        cmocka_unit_test_setup(label_put_in_twice_is_shown_once, fresh),
        cmocka_unit_test_setup(full_group_loses_none, fresh),
        cmocka_unit_test_setup(slot_taken_by_the_dead_is_nobodys, fresh),
        cmocka_unit_test_setup(slot_that_gets_a_post_is_not_taken, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
