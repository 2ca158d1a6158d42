/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that close and open the same few forms, while children are killed
 * anywhere. What is told of a form, its label, its time and its counter say which form it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What happens between two steps once in a million runs happens here all the time. */
#define RACE_ODDS 256
#include "race.h"
#include "closures.c"
#include "race_end.h"

#define START  (1200 * APR_USEC_PER_SEC) /* of form 0 */
#define LONG   (1000 * APR_USEC_PER_SEC)
#define LETTER 'A'

enum { FORMS = 24, NEIGHBOURS = 3, CALLS = 3000, KILLS_A_ROUND = 60, LABEL = 100 };

typedef struct shared {
    atomic_int stop;
    atomic_llong clock;
    atomic_int closed[FORMS], opened[FORMS]; /* how often somebody was told so */
    atomic_uint calls, listed, torn, strange;
} shared_t;

static apr_pool_t *pool;
static fg_closures_t *closures;
static shared_t *shared;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    closures = map_shared(fg_closures_size());
    shared = map_shared(sizeof(*shared));
    return !closures || !shared || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(closures, fg_closures_size());
    munmap(shared, sizeof(*shared));
    return 0;
}

static int fresh_table(void **state)
{
    (void)state;
    memset(shared, 0, sizeof(*shared));
    atomic_store(&shared->clock, START);
    return fg_closures_format(closures, fg_closures_size()) == NULL;
}

/* Some belong in one place: they take turns at it and at those behind. */
static apr_uint64_t key_of_form(unsigned int k)
{
    return (apr_uint64_t)(k + 1) << 50 | (5 + k / NEIGHBOURS * 20);
}

static const char *label_of_form(unsigned int k, char label[LABEL + 1])
{
    memset(label, LETTER + (int)k, LABEL);
    label[LABEL] = '\0';
    return label;
}

/* @return FORMS if it is none, or half of one */
static unsigned int form_of(const char *label)
{
    unsigned int k = (unsigned int)(unsigned char)label[0] - LETTER;

    return k < FORMS && strspn(label, (char[]){label[0], '\0'}) == LABEL && label[LABEL] == '\0'
               ? k
               : FORMS;
}

static void note_opened(const char *label)
{
    unsigned int k = form_of(label);

    if (k == FORMS) {
        atomic_fetch_add(&shared->torn, 1);
        return;
    }
    atomic_fetch_add(&shared->opened[k], 1);
}

static void list_them(apr_time_t now, apr_pool_t *mine)
{
    const apr_array_header_t *list = fg_closures_list(closures, now, mine);
    int i;

    for (i = 0; i < list->nelts; i++) {
        const fg_closure_t *one = &APR_ARRAY_IDX(list, i, const fg_closure_t);
        unsigned int k = form_of(one->label);

        atomic_fetch_add(&shared->listed, 1);
        atomic_fetch_add(&shared->torn, k == FORMS);
        atomic_fetch_add(&shared->strange, k < FORMS && (unsigned int)(one->until % FORMS) != k);
    }
}

static void one_call(apr_uint64_t *random, apr_pool_t *mine)
{
    apr_time_t now = atomic_fetch_add(&shared->clock, (apr_time_t)draw(random, 50));
    unsigned int k = (unsigned int)draw(random, FORMS);
    apr_time_t until = now + FORMS + (apr_time_t)draw(random, 1000);
    fg_counter_key_t full = 0;
    char label[LABEL + 1];
    const char *open;

    until += k - until % FORMS;
    label_of_form(k, label);
    atomic_fetch_add(&shared->calls, 1);
    switch (draw(random, 32)) {
    case 0:
        list_them(now, mine);
        break;
    case 1:
        open = fg_closures_opened(closures, now, mine);
        if (open != NULL) {
            note_opened(open);
        }
        break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        if (fg_closures_open(closures, label, now, &full)) {
            atomic_fetch_add(&shared->opened[k], 1);
            atomic_fetch_add(&shared->strange, full != k + 1);
        }
        break;
    default:
        if (fg_closures_close(closures, key_of_form(k), label, k + 1, now, until)) {
            atomic_fetch_add(&shared->closed[k], 1);
        }
    }
}

static void *call_many(void *worker)
{
    apr_uint64_t random = race_seed + 1 + (apr_uint64_t)(uintptr_t)worker * 7919;
    apr_pool_t *mine;
    int i;

    stumbling = random + 1;
    apr_pool_create(&mine, NULL);
    for (i = 0; i < CALLS; i++) {
        one_call(&random, mine);
        apr_pool_clear(mine);
    }
    return NULL;
}

static void *call_until_stopped(void *worker)
{
    apr_uint64_t random =
        race_seed + 1 + (apr_uint64_t)(uintptr_t)worker * 7919 + (apr_uint64_t)getpid();
    apr_pool_t *mine;

    stumbling = random + 1;
    apr_pool_create(&mine, NULL);
    while (!atomic_load(&shared->stop)) {
        one_call(&random, mine);
        apr_pool_clear(mine);
    }
    return NULL;
}

static unsigned int form_of_key(apr_uint64_t key)
{
    unsigned int k;

    for (k = 0; k < FORMS && key_of_form(k) != key; k++) {
    }
    return k;
}

/* Every entry is free, lost, or all of one form's. @return how many are lost */
static unsigned int check_entries(void)
{
    unsigned int i, k, lost = 0;

    for (i = 0; i < ENTRIES; i++) {
        const entry_t *e = &closures->entry[i];
        apr_uint64_t key = atomic_load(&e->key);

        if (key <= BUSY) {
            lost += key == BUSY;
            continue;
        }
        k = form_of_key(key);
        assert_in_range(k, 0, FORMS - 1);
        assert_in_range((i + ENTRIES - key % ENTRIES) % ENTRIES, 0, REACH - 1);
        assert_int_equal(form_of(e->label), k);
        assert_int_equal(atomic_load(&e->full), k + 1);
        assert_int_equal(time_in(atomic_load(&e->until)) % FORMS, k);
    }
    return lost;
}

/* Once their time is over, each is told to be open again, and can be closed once more. */
static void open_and_close_all(void)
{
    apr_time_t now = atomic_load(&shared->clock) + LONG;
    char label[LABEL + 1];
    const char *open;
    unsigned int k;

    /* Whoever was killed while he looked has left it to the next that is closed to begin anew. */
    if (fg_closures_close(closures, key_of_form(0), label_of_form(0, label), 1, now,
                          now + FORMS - now % FORMS)) {
        atomic_fetch_add(&shared->closed[0], 1);
    }
    now += LONG;
    while ((open = fg_closures_opened(closures, now, pool)) != NULL) {
        note_opened(open);
    }
    for (k = 0; k < FORMS; k++) {
        assert_null(find(closures, key_of_form(k)));
        assert_int_equal(fg_closures_left(closures, key_of_form(k), now), 0);
        label_of_form(k, label);
        assert_true(fg_closures_close(closures, key_of_form(k), label, k + 1, now, now + LONG));
        assert_false(fg_closures_close(closures, key_of_form(k), label, k + 1, now, now + LONG));
        assert_int_equal(fg_closures_left(closures, key_of_form(k), now), LONG);
    }
    assert_int_equal(fg_closures_list(closures, now, pool)->nelts, FORMS);
    assert_int_equal(atomic_load(&shared->torn), 0);
    assert_int_equal(atomic_load(&shared->strange), 0);
    apr_pool_clear(pool);
}

/* How often more it was told that a form is open than that it is closed. (Closed once more before
 * somebody has told that it was open, it is told to be closed twice.) */
static unsigned int odd_ones(void)
{
    unsigned int k, odd = 0;

    for (k = 0; k < FORMS; k++) {
        int more = atomic_load(&shared->opened[k]) - atomic_load(&shared->closed[k]);

        odd += more > 0 ? (unsigned int)more : 0;
    }
    return odd;
}

/* Each closing and each opening is told to exactly one of all the processes. */
static void each_change_is_told_once(void **state)
{
    pid_t pid[PROCESSES];
    unsigned int i;

    (void)state;
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, call_many);
    }
    join_processes(pid);
    assert_int_equal(check_entries(), 0);
    open_and_close_all();
    assert_int_equal(odd_ones(), 0);
    for (i = 0; i < FORMS; i++) {
        assert_true(atomic_load(&shared->closed[i]) > CALLS / 1000);
    }
    assert_true(atomic_load(&shared->listed) > 0);
}

static void nothing(void)
{
}

/* A killed thread takes along what it was about to tell, and the place it was writing. */
static void killed_processes_leave_no_form_closed(void **state)
{
    const unsigned int kills = race_kills(2 * KILLS_A_ROUND);
    unsigned int done, lost = 0, odd = 0;

    for (done = 0; done < kills; done += KILLS_A_ROUND) {
        assert_int_equal(fresh_table(state), 0);
        run_and_kill(call_until_stopped, KILLS_A_ROUND, &shared->stop, nothing);
        lost += check_entries();
        open_and_close_all();
        odd += odd_ones();
        assert_in_range(odd, 0, (done + KILLS_A_ROUND) * THREADS);
        assert_in_range(lost, 0, (done + KILLS_A_ROUND) * THREADS);
    }
    print_message("%u killed, %u places lost, %u changes not told, %u calls in the last round\n",
                  done, lost, odd, atomic_load(&shared->calls));
}

/* --- every order of two ----------------------------------------------------------------------- */

/* Form 0 is opened, and form 1 gets its place. */
static void another_takes_the_place(void)
{
    fg_counter_key_t full = 0;
    char label[LABEL + 1];

    fg_closures_open(closures, label_of_form(0, label), START, &full);
    assert_true(fg_closures_close(closures, key_of_form(1), label_of_form(1, label), 2, START,
                                  START + FORMS * LONG + 1));
}

static void close_it(void)
{
    char label[LABEL + 1];

    fg_closures_close(closures, key_of_form(0), label_of_form(0, label), 1, START,
                      START + 2 * FORMS * LONG);
}

static void look_at_it(void)
{
    const apr_interval_time_t left = fg_closures_left(closures, key_of_form(0), START);

    assert_true(left == 0 || left == FORMS * LONG);
}

static void list_all(void)
{
    list_them(START, pool);
}

static void open_it(void)
{
    fg_counter_key_t full = 0;
    char label[LABEL + 1];

    if (fg_closures_open(closures, label_of_form(0, label), START, &full)) {
        assert_int_equal(full, 1);
    }
}

/* @return 1 if the other came in at that step, 0 if there was none */
static int other_at(void (*call)(void), unsigned int step)
{
    char label[LABEL + 1];

    assert_int_equal(fresh_table(NULL), 0);
    fg_closures_close(closures, key_of_form(0), label_of_form(0, label), 1, START,
                      START + FORMS * LONG);
    intruder = another_takes_the_place;
    intrude_at = step;
    intrude_at_changes = 0;
    call();
    if (intrude_at > 0) {
        intrude_at = 0;
        return 0;
    }
    assert_int_equal(check_entries(), 0);
    assert_int_equal(fg_closures_left(closures, key_of_form(1), START), FORMS * LONG + 1);
    assert_int_equal(atomic_load(&shared->torn), 0);
    assert_int_equal(atomic_load(&shared->strange), 0);
    return 1;
}

/* Whatever is being done with a form whose place another gets at that moment, that is not its. */
static void who_gets_the_place_is_left_alone(void **state)
{
    static void (*const calls[])(void) = {close_it, look_at_it, list_all, open_it};
    unsigned int i, step;

    (void)state;
    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (step = 1; other_at(calls[i], step); step++) {
        }
        assert_in_range(step, 4, 2 * ENTRIES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, fresh_table)
        TEST(each_change_is_told_once),
        TEST(killed_processes_leave_no_form_closed),
        TEST(who_gets_the_place_is_left_alone),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
