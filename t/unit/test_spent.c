/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "spent.h"

#define SEC  APR_USEC_PER_SEC
#define LIFE (120 * SEC)

static const unsigned char secret[16] = "a secret of ours";
static apr_pool_t *pool;
static void *memory;
static fg_counters_t *spent;
static apr_size_t size;

static int set_up(void **state)
{
    (void)state;
    size = fg_counters_size(1024);
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS ||
           fg_counters_format(memory, size, 1024, secret) != APR_SUCCESS ||
           fg_counters_attach(&spent, memory, size, pool) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    const char *wrong = fg_counters_validate(spent, pool);

    (void)state;
    munmap(memory, size);
    apr_pool_destroy(pool);
    apr_terminate();
    return wrong != NULL;
}

static int claim(const char *service, const char *token, apr_time_t now)
{
    fg_spent_claim_t unused;

    return fg_spent_claim(spent, service, token, LIFE, now, &unused);
}

static void a_token_is_good_once(void **state)
{
    (void)state;
    assert_true(claim("a", "token", 1000 * SEC));
    assert_false(claim("a", "token", 1000 * SEC));
    assert_true(claim("a", "another", 1000 * SEC));
    assert_true(claim("b", "token", 1000 * SEC));
    assert_true(claim("ato", "ken", 1000 * SEC)); /* not run together */
}

/* Wherever in a sub-window it was used. */
static void it_stays_spent_for_its_life(void **state)
{
    apr_time_t when;

    (void)state;
    for (when = 1000 * SEC; when < 1000 * SEC + LIFE; when += LIFE / 97) {
        const char *token = apr_psprintf(pool, "%" APR_TIME_T_FMT, when);

        assert_true(claim("a", token, when));
        assert_false(claim("a", token, when + LIFE - 1));
        assert_true(claim("a", token, when + LIFE + LIFE / 6 + 1));
    }
}

static void who_could_not_be_judged_may_try_again(void **state)
{
    fg_spent_claim_t first, none = {{0}};

    (void)state;
    assert_true(fg_spent_claim(spent, "a", "token", LIFE, 1000 * SEC, &first));
    fg_spent_release(spent, &first);
    assert_true(claim("a", "token", 1001 * SEC));
    assert_false(claim("a", "token", 1001 * SEC));
    fg_spent_release(spent, &none);
    assert_false(claim("a", "token", 1001 * SEC));
}

/* The last of sixteen thousand bytes tells two apart. */
static void all_of_a_token_counts(void **state)
{
    char *token = apr_palloc(pool, 16385);

    (void)state;
    memset(token, 'x', 16384);
    token[16384] = '\0';
    assert_true(claim("a", token, 1000 * SEC));
    token[16383] = 'y';
    assert_true(claim("a", token, 1000 * SEC));
    assert_false(claim("a", token, 1000 * SEC));
}

static void without_a_table_every_token_is_fresh(void **state)
{
    fg_spent_claim_t unused;

    (void)state;
    assert_true(fg_spent_claim(NULL, "a", "token", LIFE, 1000 * SEC, &unused));
    assert_true(fg_spent_claim(NULL, "a", "token", LIFE, 1000 * SEC, &unused));
    fg_spent_release(NULL, &unused);
}

enum { PROCESSES = 4, TOKENS = 100 /* no live one has to give way */ };

/* Of all who have the same token one is told that it is his. */
static void processes_share_no_token(void **state)
{
    atomic_int *got = mmap(NULL, TOKENS * sizeof(*got), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid[PROCESSES];
    int i, k, status;

    (void)state;
    for (i = 0; i < PROCESSES; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0) {
            for (k = 0; k < TOKENS; k++) {
                char token[] = {(char)('0' + k / 64), (char)('0' + k % 64), '\0'};

                atomic_fetch_add(&got[k], claim("a", token, 1000 * SEC));
            }
            _exit(0);
        }
    }
    for (i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (k = 0; k < TOKENS; k++) {
        assert_int_equal(atomic_load(&got[k]), 1);
    }
    munmap(got, TOKENS * sizeof(*got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_token_is_good_once),
        TEST(it_stays_spent_for_its_life),
        TEST(who_could_not_be_judged_may_try_again),
        TEST(all_of_a_token_counts),
        TEST(without_a_table_every_token_is_fresh),
        TEST(processes_share_no_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
