/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and threads that post the same few captcha tokens, some of which could not be judged
 * and are given back, while children are killed anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* What happens between two steps once in a million runs happens here all the time. */
#define RACE_ODDS 256
#include "race.h"
#include "counters.c"
#include "spent.c"
#include "race_end.h"

#define SEC   APR_USEC_PER_SEC
#define START (1000 * SEC)
#define LIFE  (120 * SEC)

enum { ENTRIES = 16384, TOKENS = 1200, AT_A_TIME = 6 };

typedef struct shared {
    atomic_int stop;
    atomic_uint first; /* of the tokens that are posted now */
    atomic_int claimed[TOKENS], released[TOKENS];
    atomic_uint refused;
} shared_t;

static const unsigned char secret[16] = "a secret of ours";
static apr_pool_t *pool;
static fg_counters_t *spent;
static shared_t *shared;
static void *memory;
static apr_size_t size;

static int set_up(void **state)
{
    (void)state;
    race_set_seed();
    size = fg_counters_size(ENTRIES);
    memory = map_shared(size);
    shared = map_shared(sizeof(*shared));
    return !memory || !shared || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS ||
           fg_counters_format(memory, size, ENTRIES, secret) != APR_SUCCESS ||
           fg_counters_attach(&spent, memory, size, pool) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    const char *error = fg_counters_validate(spent, pool);

    (void)state;
    print_message("%s\n", error ? error : "table whole");
    munmap(memory, size);
    munmap(shared, sizeof(*shared));
    apr_pool_destroy(pool);
    apr_terminate();
    return error != NULL;
}

static int claim(unsigned int token, fg_spent_claim_t *charge)
{
    char text[20];

    snprintf(text, sizeof(text), "token %u", token);
    return fg_spent_claim(spent, "a", text, LIFE, START, charge);
}

static void post(apr_uint64_t *random)
{
    unsigned int token =
        (atomic_load(&shared->first) + (unsigned int)draw(random, AT_A_TIME)) % TOKENS;
    fg_spent_claim_t charge;

    if (!claim(token, &charge)) {
        atomic_fetch_add(&shared->refused, 1);
        atomic_fetch_add(&shared->first, draw(random, 64) == 0);
        return;
    }
    if (draw(random, 3) == 0) {
        atomic_fetch_add(&shared->released[token], 1);
        atomic_fetch_add(&shared->claimed[token], 1);
        fg_spent_release(spent, &charge);
        return;
    }
    atomic_fetch_add(&shared->claimed[token], 1);
}

static void *post_until_stopped(void *worker)
{
    apr_uint64_t random =
        race_seed + 1 + (apr_uint64_t)(uintptr_t)worker * 7919 + (apr_uint64_t)getpid();

    stumbling = random + 1;
    while (!atomic_load(&shared->stop)) {
        post(&random);
    }
    return NULL;
}

static void nothing(void)
{
}

/* One post at most is let through with each token; who is killed leaves it spent or as it was. */
static void a_token_is_good_once_whoever_is_killed(void **state)
{
    const unsigned int kills = race_kills(150);
    unsigned int k, good = 0, given_back = 0;
    fg_spent_claim_t charge;

    (void)state;
    run_and_kill(post_until_stopped, kills, &shared->stop, nothing);
    for (k = 0; k < TOKENS; k++) {
        int stand = atomic_load(&shared->claimed[k]) - atomic_load(&shared->released[k]);

        assert_true(stand <= 1);
        good += stand == 1;
        given_back += (unsigned int)atomic_load(&shared->released[k]);
        /* Spent, or good once more. */
        if (stand == 1) {
            assert_false(claim(k, &charge));
        }
        claim(k, &charge);
        assert_false(claim(k, &charge));
    }
    print_message("%u killed; %u tokens spent, %u given back, %u refused\n", kills, good,
                  given_back, atomic_load(&shared->refused));
    assert_true(good > 100 && given_back > 20 && atomic_load(&shared->refused) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_is_good_once_whoever_is_killed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
