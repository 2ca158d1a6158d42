/* SPDX-License-Identifier: Apache-2.0 */
/* What came out the same several times running is told for some milliseconds, and never anything
 * else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include <cmocka.h>

#include "recent.h"

#define NOW (1000 * APR_USEC_PER_SEC)

static apr_pool_t *pool;

static void keep(fg_recent_t *recent, const char *key, apr_time_t now, const char *answer)
{
    fg_recent_keep(recent, key, strlen(key), now, answer, strlen(answer));
}

static void keep_sure(fg_recent_t *recent, const char *key, apr_time_t now, const char *answer)
{
    int i;

    for (i = 0; i < FG_RECENT_SURE; i++) {
        keep(recent, key, now, answer);
    }
}

static const char *find(fg_recent_t *recent, const char *key, apr_time_t now)
{
    apr_size_t len = 4711;
    const char *answer = fg_recent_find(recent, key, strlen(key), now, &len, pool);

    if (answer != NULL) {
        assert_int_equal(len, strlen(answer));
    }
    return answer;
}

static void test_sure(void **state)
{
    fg_recent_t *recent = fg_recent_create(pool);
    int i;

    (void)state;
    for (i = 0; i < FG_RECENT_SURE; i++) {
        assert_null(find(recent, "a", NOW));
        keep(recent, "a", NOW, "yes");
    }
    assert_string_equal(find(recent, "a", NOW), "yes");
    assert_null(find(recent, "b", NOW));
    assert_null(find(recent, "", NOW));
    assert_null(find(recent, "aa", NOW));
    assert_null(fg_recent_find(recent, "ay", 2, NOW, &(apr_size_t){0}, pool));
    /* another answer has to be found as often */
    keep(recent, "a", NOW, "no");
    assert_null(find(recent, "a", NOW));
    keep(recent, "a", NOW, "yes");
    assert_null(find(recent, "a", NOW));
    keep_sure(recent, "a", NOW, "yes!");
    for (i = 0; i < FG_RECENT_SURE; i++) {
        keep(recent, "a", NOW, "yes");
        assert_int_equal(find(recent, "a", NOW) != NULL, i == FG_RECENT_SURE - 1);
    }
    assert_string_equal(find(recent, "a", NOW), "yes");
    keep_sure(recent, "a", NOW, "");
    assert_string_equal(find(recent, "a", NOW), "");
    assert_null(find(NULL, "a", NOW));
    keep(NULL, "a", NOW, "yes");
}

static void test_life(void **state)
{
    fg_recent_t *recent = fg_recent_create(pool);
    apr_time_t now = NOW;

    (void)state;
    keep_sure(recent, "a", now, "yes");
    assert_non_null(find(recent, "a", now + FG_RECENT_LIFE - 1));
    assert_null(find(recent, "a", now + FG_RECENT_LIFE));
    assert_null(find(recent, "a", now - 1)); /* the clock was set back */
    /* found once more in time: known again at once */
    now += 2 * FG_RECENT_LIFE - 1;
    keep(recent, "a", now, "yes");
    assert_non_null(find(recent, "a", now));
    /* too late: as if for the first time */
    now += 2 * FG_RECENT_LIFE;
    keep(recent, "a", now, "yes");
    assert_null(find(recent, "a", now));
    keep_sure(recent, "a", now, "yes");
    keep(recent, "a", now - 1, "yes");
    assert_null(find(recent, "a", now));
}

static void test_bounds(void **state)
{
    fg_recent_t *recent = fg_recent_create(pool);
    char long_key[FG_RECENT_MAX + 2];
    int known = 0;
    int i;

    (void)state;
    memset(long_key, 'k', sizeof(long_key));
    for (i = -3; i <= 1; i++) {
        long_key[FG_RECENT_MAX + i] = '\0';
        keep_sure(recent, long_key, NOW, "");
        assert_int_equal(find(recent, long_key, NOW) != NULL, i < 0);
        keep_sure(recent, long_key, NOW, "y");
        assert_int_equal(find(recent, long_key, NOW) != NULL, i < 0);
        if (i < 0) {
            assert_string_equal(find(recent, long_key, NOW), i == -1 ? "" : "y");
        }
        long_key[FG_RECENT_MAX + i] = 'k';
    }
    keep_sure(recent, "k", NOW, long_key + 3);
    assert_null(find(recent, "k", NOW));
    for (i = 0; i < 5000; i++) {
        const char *key = apr_itoa(pool, i);

        keep_sure(recent, key, NOW, key);
        assert_string_equal(find(recent, key, NOW), key);
    }
    for (i = 0; i < 5000; i++) {
        known += find(recent, apr_itoa(pool, i), NOW) != NULL;
    }
    assert_in_range(known, 16, 32);
}

static void *APR_THREAD_FUNC work(apr_thread_t *thread, void *data)
{
    fg_recent_t *recent = data;
    apr_pool_t *own = apr_thread_pool_get(thread);
    int i;

    for (i = 0; i < 20000; i++) {
        char key[16];
        apr_size_t len = (apr_size_t)apr_snprintf(key, sizeof(key), "%d", i * 7 % 50);
        apr_size_t answer_len;
        const char *answer = fg_recent_find(recent, key, len, NOW, &answer_len, own);

        if (answer == NULL) {
            fg_recent_keep(recent, key, len, NOW, key, len);
        }
        else {
            assert_string_equal(answer, key);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    fg_recent_t *recent = fg_recent_create(pool);
    apr_thread_t *threads[4];
    apr_status_t rv;
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(apr_thread_create(&threads[i], NULL, work, recent, pool), APR_SUCCESS);
    }
    for (i = 0; i < 4; i++) {
        assert_int_equal(apr_thread_join(&rv, threads[i]), APR_SUCCESS);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sure),
        cmocka_unit_test(test_life),
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
