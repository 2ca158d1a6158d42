/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that note what a service says of a few secrets, while children are killed
 * anywhere: each change is news once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* What happens between two steps once in a million runs happens here all the time. */
#define RACE_ODDS 256
#include "race.h"
#include "secrets.c"
#include "race_end.h"

enum { SECRETS = 4, STATES = 3, NOTES = 4000 };

typedef struct shared {
    atomic_int stop;
    atomic_uint news[SECRETS][STATES];
} shared_t;

static const unsigned char key[16] = "a secret of ours";
static const char *const secret[SECRETS] = {"one", "two", "three", "four"};
static fg_secrets_t *secrets;
static shared_t *shared;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    secrets = map_shared(fg_secrets_size());
    shared = map_shared(sizeof(*shared));
    return !secrets || !shared || fg_secrets_format(secrets, fg_secrets_size(), key) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(secrets, fg_secrets_size());
    munmap(shared, sizeof(*shared));
    return 0;
}

static void note(apr_uint64_t *random)
{
    unsigned int k = (unsigned int)draw(random, SECRETS);
    fg_secret_state_t said = (fg_secret_state_t)draw(random, k % 2 ? STATES : 2);

    if (fg_secrets_note(secrets, "a", secret[k], said)) {
        atomic_fetch_add(&shared->news[k][said], 1);
    }
}

static void *note_many(void *worker)
{
    apr_uint64_t random = race_seed + 1 + (apr_uint64_t)(uintptr_t)worker * 7919;
    int i;

    stumbling = random + 1;
    for (i = 0; i < NOTES; i++) {
        note(&random);
    }
    return NULL;
}

static void *note_until_stopped(void *worker)
{
    apr_uint64_t random =
        race_seed + 1 + (apr_uint64_t)(uintptr_t)worker * 7919 + (apr_uint64_t)getpid();

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        note(&random);
    }
    return NULL;
}

/* Of a secret that either works or does not the two news take turns. */
static void check_turns(unsigned int k, unsigned int lost)
{
    unsigned int works = atomic_load(&shared->news[k][FG_SECRET_WORKS]);
    unsigned int refused = atomic_load(&shared->news[k][FG_SECRET_REFUSED]);

    print_message("%s: refused %u times, works again %u times\n", secret[k], refused, works);
    assert_true(refused > 20);
    assert_true(works <= refused + lost);
    assert_true(refused <= works + 1 + lost);
}

/* No cell holds what nobody has noted. */
static void check_cells(void)
{
    unsigned int i, k, used = 0;

    for (i = 0; i < CELLS; i++) {
        apr_uint64_t word = atomic_load(&secrets->cell[i]);

        if (word == 0) {
            continue;
        }
        for (k = 0; k < SECRETS && (word | 3) != (hash(secrets, "a", secret[k]) | 3); k++) {
        }
        assert_in_range(k, 0, SECRETS - 1);
        assert_in_range(word & 3, FG_SECRET_REFUSED, k % 2 ? FG_SECRET_QUOTA : FG_SECRET_REFUSED);
        used++;
    }
    assert_in_range(used, 0, SECRETS);
    for (k = 0; k < SECRETS; k++) {
        fg_secrets_note(secrets, "a", secret[k], FG_SECRET_WORKS);
        assert_int_equal(fg_secrets_note(secrets, "a", secret[k], FG_SECRET_REFUSED), 1);
        assert_int_equal(fg_secrets_note(secrets, "a", secret[k], FG_SECRET_REFUSED), 0);
    }
}

static void each_change_is_news_once(void **state)
{
    pid_t pid[PROCESSES];
    unsigned int i;

    (void)state;
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = start_process(i, note_many);
    }
    join_processes(pid);
    check_turns(0, 0);
    check_turns(2, 0);
    check_cells();
}

static void nothing(void)
{
}

static void a_killed_process_takes_along_one_news(void **state)
{
    const unsigned int kills = race_kills(150);

    (void)state;
    run_and_kill(note_until_stopped, kills, &shared->stop, nothing);
    check_turns(0, kills * THREADS);
    check_turns(2, kills * THREADS);
    check_cells();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(each_change_is_news_once),
        TEST(a_killed_process_takes_along_one_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
