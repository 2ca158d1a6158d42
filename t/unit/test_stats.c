/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_general.h>

#include "stats.h"

#define SEC     APR_USEC_PER_SEC
#define STARTED 1700000000

static const unsigned char secret[16] = "fifteen letters";

static apr_pool_t *pool;
static void *memory;
static fg_stats_t *stats;

/* Shared with children, and dirty, as reused memory is. */
static int set_up(void **state)
{
    (void)state;
    memory =
        mmap(NULL, fg_stats_size() + 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(memory, fg_stats_size() + 8);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    apr_pool_clear(pool);
    memset(memory, 0xa5, fg_stats_size() + 8);
    return fg_stats_format(memory, fg_stats_size(), secret, STARTED) != APR_SUCCESS ||
           fg_stats_attach(&stats, memory, fg_stats_size(), pool) != APR_SUCCESS;
}

static void post(fg_stats_table_t table, const char *label, fg_stats_column_t column,
                 apr_time_t now)
{
    fg_stats_post(stats, table, label, strlen(label), column, now);
}

static const fg_stats_entry_t *find(const fg_stats_top_t *top, const char *label)
{
    unsigned int i;

    for (i = 0; i < top->entries; i++) {
        if (strcmp(top->entry[i].label, label) == 0) {
            return &top->entry[i];
        }
    }
    return NULL;
}

static void starts_with_nothing(void **state)
{
    const fg_stats_snapshot_t *seen = fg_stats_snapshot(stats, pool);
    unsigned int i, k;

    (void)state;
    assert_int_equal(seen->started, STARTED);
    for (i = 0; i < FG_REASON_COUNT; i++) {
        for (k = 0; k < FG_STATS_KINDS; k++) {
            assert_int_equal(seen->verdict[i][k], 0);
        }
    }
    for (i = 0; i < FG_STATS_TIMERS; i++) {
        assert_int_equal(seen->timer[i].count, 0);
        assert_int_equal(seen->timer[i].sum, 0);
    }
    for (i = 0; i < FG_STATS_TABLES; i++) {
        assert_int_equal(seen->top[i].entries, 0);
        assert_int_equal(seen->top[i].unnamed, 0);
        assert_int_equal(seen->top[i].posts, 0);
        assert_int_equal(seen->top[i].floor, 0);
    }
}

static void counts_verdicts_by_reason_and_kind(void **state)
{
    const fg_stats_snapshot_t *seen;
    unsigned int i, k, n;

    (void)state;
    for (i = 0; i < FG_REASON_COUNT; i++) {
        for (k = 0; k < FG_STATS_KINDS; k++) {
            for (n = 0; n < 1 + i * FG_STATS_KINDS + k; n++) {
                fg_stats_verdict(stats, (fg_reason_t)i, (fg_stats_kind_t)k);
            }
        }
    }
    fg_stats_verdict(stats, FG_REASON_COUNT, FG_STATS_DONE);
    fg_stats_verdict(stats, FG_LIMIT, FG_STATS_KINDS);
    seen = fg_stats_snapshot(stats, pool);
    for (i = 0; i < FG_REASON_COUNT; i++) {
        for (k = 0; k < FG_STATS_KINDS; k++) {
            assert_int_equal(seen->verdict[i][k], 1 + i * FG_STATS_KINDS + k);
        }
    }
}

static void times_fall_into_their_buckets(void **state)
{
    const fg_stats_histogram_t *seen;
    apr_uint64_t sum = 0;
    unsigned int i;

    (void)state;
    assert_int_equal(fg_stats_bound(0), 10);
    assert_int_equal(fg_stats_bound(FG_STATS_BUCKETS - 2), 10 * SEC);
    assert_int_equal(fg_stats_bound(FG_STATS_BUCKETS - 1), -1);
    for (i = 0; i < FG_STATS_BUCKETS - 1; i++) {
        assert_true(i == 0 || fg_stats_bound(i) > fg_stats_bound(i - 1));
        fg_stats_time(stats, FG_STATS_VERIFICATION, fg_stats_bound(i));
        fg_stats_time(stats, FG_STATS_VERIFICATION, fg_stats_bound(i) + 1);
        sum += 2 * (apr_uint64_t)fg_stats_bound(i) + 1;
    }
    fg_stats_time(stats, FG_STATS_TIMERS, 1);
    seen = &fg_stats_snapshot(stats, pool)->timer[FG_STATS_VERIFICATION];
    assert_int_equal(seen->bucket[0], 1);
    for (i = 1; i < FG_STATS_BUCKETS - 1; i++) {
        assert_int_equal(seen->bucket[i], 2);
    }
    assert_int_equal(seen->bucket[FG_STATS_BUCKETS - 1], 1);
    assert_int_equal(seen->count, 2 * (FG_STATS_BUCKETS - 1));
    assert_int_equal(seen->sum, sum);
    assert_int_equal(fg_stats_snapshot(stats, pool)->timer[FG_STATS_DECISION].count, 0);

    fg_stats_time(stats, FG_STATS_DECISION, -5);
    fg_stats_time(stats, FG_STATS_DECISION, 0);
    fg_stats_time(stats, FG_STATS_DECISION, 1000 * SEC);
    seen = &fg_stats_snapshot(stats, pool)->timer[FG_STATS_DECISION];
    assert_int_equal(seen->bucket[0], 2);
    assert_int_equal(seen->bucket[FG_STATS_BUCKETS - 1], 1);
    assert_int_equal(seen->sum, 1000 * SEC);
}

static void ranks_what_posts_most(void **state)
{
    const fg_stats_top_t *top;
    unsigned int i;

    (void)state;
    post(FG_STATS_FORMS, "b.example/contact.php", FG_STATS_ACCEPTED, 100 * SEC);
    for (i = 0; i < 4; i++) {
        post(FG_STATS_FORMS, "a.example/contact.php", i % 2, (200 + i) * SEC + 7);
    }
    post(FG_STATS_FORMS, "a.example/contact.php", FG_STATS_WOULD_REFUSE, 150 * SEC);
    post(FG_STATS_FORMS, "c.example/contact.php", FG_STATS_REFUSED, -SEC);
    post(FG_STATS_UNGUARDED, "d.example/mail.php", FG_STATS_POSTED, SEC);
    fg_stats_post(stats, FG_STATS_TABLES, "x", 1, FG_STATS_POSTED, SEC);
    fg_stats_post(stats, FG_STATS_CLIENTS, "x", 1, FG_STATS_COLUMNS, SEC);

    top = fg_stats_snapshot(stats, pool)->top;
    assert_int_equal(top[FG_STATS_FORMS].entries, 3);
    assert_int_equal(top[FG_STATS_FORMS].posts, 7);
    assert_int_equal(top[FG_STATS_FORMS].floor, 0);
    assert_string_equal(top[FG_STATS_FORMS].entry[0].label, "a.example/contact.php");
    assert_string_equal(top[FG_STATS_FORMS].entry[1].label, "b.example/contact.php");
    assert_string_equal(top[FG_STATS_FORMS].entry[2].label, "c.example/contact.php");
    assert_int_equal(top[FG_STATS_FORMS].entry[0].count[FG_STATS_ACCEPTED], 2);
    assert_int_equal(top[FG_STATS_FORMS].entry[0].count[FG_STATS_REFUSED], 2);
    assert_int_equal(top[FG_STATS_FORMS].entry[0].count[FG_STATS_WOULD_REFUSE], 1);
    assert_int_equal(top[FG_STATS_FORMS].entry[0].posts, 5);
    assert_int_equal(top[FG_STATS_FORMS].entry[0].missed, 0);
    assert_int_equal(top[FG_STATS_FORMS].entry[0].first, 200);
    assert_int_equal(top[FG_STATS_FORMS].entry[0].last,
                     203); /* the late one does not set it back */
    assert_int_equal(top[FG_STATS_FORMS].entry[2].last, 0);
    assert_int_equal(top[FG_STATS_CLIENTS].entries, 0);
    assert_int_equal(top[FG_STATS_UNGUARDED].entries, 1);
    assert_int_equal(top[FG_STATS_UNGUARDED].entry[0].posts, 1);
}

static void labels_come_back_as_they_were(void **state)
{
    char all[FG_STATS_LABEL_MAX];
    const fg_stats_top_t *top;
    unsigned int i;

    (void)state;
    for (i = 0; i < sizeof(all); i++) {
        all[i] = (char)(i + 100); /* ends with 0, 1, 2, 3 */
    }
    fg_stats_post(stats, FG_STATS_FORMS, all, sizeof(all), FG_STATS_REFUSED, SEC);
    fg_stats_post(stats, FG_STATS_FORMS, all, 3, FG_STATS_REFUSED, SEC);
    fg_stats_post(stats, FG_STATS_FORMS, all, 3, FG_STATS_REFUSED, SEC);
    fg_stats_post(stats, FG_STATS_FORMS, NULL, 0, FG_STATS_REFUSED, SEC);
    fg_stats_post(stats, FG_STATS_FORMS, "", 0, FG_STATS_REFUSED, SEC);
    fg_stats_post(stats, FG_STATS_FORMS, "-", 1, FG_STATS_REFUSED, SEC);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 3);
    assert_int_equal(top->entry[0].posts, 3);
    assert_string_equal(top->entry[0].label, "-");
    assert_int_equal(top->entry[1].len, 3);
    assert_memory_equal(top->entry[1].label, all, 3);
    assert_int_equal(top->entry[2].len, sizeof(all));
    assert_memory_equal(top->entry[2].label, all, sizeof(all));
}

static void long_labels_stay_apart_and_whole(void **state)
{
    char text[400];
    const fg_stats_top_t *top;
    unsigned int shift, i;

    (void)state;
    memset(text, 'x', sizeof(text));
    fg_stats_post(stats, FG_STATS_FORMS, text, FG_STATS_LABEL_MAX + 1, FG_STATS_REFUSED, SEC);
    fg_stats_post(stats, FG_STATS_FORMS, text, 399, FG_STATS_REFUSED, SEC);
    text[398] = 'y';
    fg_stats_post(stats, FG_STATS_FORMS, text, 399, FG_STATS_REFUSED, SEC);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entries, 3);
    for (i = 0; i < 3; i++) {
        assert_int_equal(top->entry[i].len, FG_STATS_LABEL_MAX);
        assert_memory_equal(top->entry[i].label, text, FG_STATS_LABEL_MAX - 9);
        assert_int_equal(top->entry[i].label[FG_STATS_LABEL_MAX - 9], '~');
        assert_int_equal(strspn(top->entry[i].label + FG_STATS_LABEL_MAX - 8, "0123456789abcdef"),
                         8);
    }
    /* Three-byte characters: the cut is between two of them, wherever they begin. */
    for (shift = 0; shift < 3; shift++) {
        assert_int_equal(fresh(state), 0);
        memset(text, 'x', shift);
        for (i = shift; i + 3 <= sizeof(text); i += 3) {
            memcpy(text + i, "\xe3\x81\x82", 3);
        }
        fg_stats_post(stats, FG_STATS_FORMS, text, 300, FG_STATS_REFUSED, SEC);
        top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
        assert_int_equal((top->entry[0].len - 9 - shift) % 3, 0);
        assert_in_range(top->entry[0].len, FG_STATS_LABEL_MAX - 2, FG_STATS_LABEL_MAX);
        assert_memory_equal(top->entry[0].label, text, top->entry[0].len - 9);
    }
    /* Nor is all cut off what only looks like the middle of a character. */
    assert_int_equal(fresh(state), 0);
    memset(text, 0x81, sizeof(text));
    fg_stats_post(stats, FG_STATS_FORMS, text, 300, FG_STATS_REFUSED, SEC);
    top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_FORMS];
    assert_int_equal(top->entry[0].len, FG_STATS_LABEL_MAX);
}

/* --- what the table promises ------------------------------------------------------------------ */

enum { LABELS = 20000 };

static apr_uint32_t truth[LABELS];
static apr_uint64_t posted;
static apr_uint64_t random_state;

static double draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

static void post_number(unsigned int n)
{
    char label[32];

    snprintf(label, sizeof(label), "site%u.example/f", n);
    post(FG_STATS_CLIENTS, label, (fg_stats_column_t)(posted % 3), (apr_time_t)posted);
    truth[n]++;
    posted++;
}

/* Every bound of fg_stats_post(), for every label. @return how many labels were over n/K */
static unsigned int check_promise(void)
{
    const fg_stats_top_t *top = &fg_stats_snapshot(stats, pool)->top[FG_STATS_CLIENTS];
    unsigned int n, i, over = 0;
    static int listed[LABELS];

    memset(listed, 0, sizeof(listed));
    assert_int_equal(top->posts, posted);
    assert_int_equal(top->unnamed, 0);
    assert_true(top->floor <= posted / FG_STATS_TOP);
    assert_in_range(top->entries, 1, FG_STATS_TOP);
    for (i = 0; i < top->entries; i++) {
        const fg_stats_entry_t *entry = &top->entry[i];

        assert_int_equal(sscanf(entry->label, "site%u.", &n), 1);
        assert_true(n < LABELS && !listed[n]);
        listed[n] = 1;
        assert_true(entry->posts > 0 && entry->posts <= truth[n]);
        assert_true(truth[n] <= entry->posts + entry->missed);
        assert_true(entry->missed <= posted / FG_STATS_TOP);
        assert_int_equal(entry->posts, entry->count[0] + entry->count[1] + entry->count[2]);
        assert_true(i == 0 || entry->posts <= entry[-1].posts);
    }
    for (n = 0; n < LABELS; n++) {
        if ((apr_uint64_t)truth[n] * FG_STATS_TOP > posted) {
            assert_true(listed[n]);
            over++;
        }
        assert_true(listed[n] || truth[n] <= top->floor);
    }
    return over;
}

static int fresh_stream(void **state)
{
    memset(truth, 0, sizeof(truth));
    posted = 0;
    random_state = getenv("FG_SEED") ? strtoull(getenv("FG_SEED"), NULL, 10)
                                     : (apr_uint64_t)apr_time_now() | 1;
    print_message("FG_SEED=%llu\n", (unsigned long long)random_state);
    return fresh(state);
}

/* As posts to ten thousand sites are: a few have most. */
static void finds_the_heavy_of_a_skewed_stream(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 1; i <= 200000; i++) {
        double u = draw() * draw();

        post_number((unsigned int)(u * u * LABELS));
        if (i % 50000 == 0) {
            assert_true(check_promise() > 5);
        }
    }
}

/* The worst there is: each label that counts comes as rarely as it may, among ones seen once. */
static void finds_the_heavy_among_labels_seen_once(void **state)
{
    unsigned int once = 1000, i;

    (void)state;
    for (i = 0; i < 18000; i++) {
        post_number(i % 200 == 0 ? 1 : i % 100 == 50 ? 2 : once++);
    }
    assert_int_equal(check_promise(), 2);
}

static void holds_its_bounds_where_nothing_is_heavy(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 60000; i++) {
        post_number((unsigned int)(draw() * 3000));
    }
    check_promise();
}

/* A label that begins to be posted to after everything else has filled the table. */
static void finds_what_becomes_heavy_late(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < 30000; i++) {
        post_number(i % 2000);
    }
    for (i = 0; i < 2000; i++) {
        post_number(5000);
        post_number(i);
    }
    assert_true(check_promise() >= 1);
    assert_non_null(
        find(&fg_stats_snapshot(stats, pool)->top[FG_STATS_CLIENTS], "site5000.example/f"));
}

/* --- memory ----------------------------------------------------------------------------------- */

static void memory_is_checked(void **state)
{
    apr_size_t size = fg_stats_size(), i;
    unsigned char *bytes = memory;
    fg_stats_t *other = stats;

    (void)state;
    assert_int_equal(fg_stats_format(memory, size - 1, secret, 0), APR_EINVAL);
    assert_int_equal(fg_stats_format(bytes + 4, size, secret, 0), APR_EINVAL);
    assert_int_equal(fg_stats_attach(&other, memory, size - 1, pool), APR_EINVAL);
    assert_null(other);
    assert_int_equal(fg_stats_attach(&other, bytes + 4, size, pool), APR_EINVAL);
    /* magic, version, size, reasons */
    for (i = 0; i < 32; i++) {
        bytes[i] ^= 0x40;
        assert_int_equal(fg_stats_attach(&other, memory, size, pool), APR_EINVAL);
        bytes[i] ^= 0x40;
    }
    assert_int_equal(fg_stats_attach(&other, memory, size, pool), APR_SUCCESS);
    assert_int_equal(bytes[size], 0xa5);
}

static void figures_outlive_their_processes(void **state)
{
    const fg_stats_snapshot_t *seen;
    fg_stats_t *again;
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        fg_stats_verdict(stats, FG_COUNTRY, FG_STATS_WOULD);
        fg_stats_time(stats, FG_STATS_DECISION, 70);
        post(FG_STATS_CLIENTS, "192.0.2.1", FG_STATS_REFUSED, SEC);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(fg_stats_attach(&again, memory, fg_stats_size(), pool), APR_SUCCESS);
    seen = fg_stats_snapshot(again, pool);
    assert_int_equal(seen->verdict[FG_COUNTRY][FG_STATS_WOULD], 1);
    assert_int_equal(seen->timer[FG_STATS_DECISION].sum, 70);
    assert_int_equal(find(&seen->top[FG_STATS_CLIENTS], "192.0.2.1")->posts, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(starts_with_nothing, fresh),
        cmocka_unit_test_setup(counts_verdicts_by_reason_and_kind, fresh),
        cmocka_unit_test_setup(times_fall_into_their_buckets, fresh),
        cmocka_unit_test_setup(ranks_what_posts_most, fresh),
        cmocka_unit_test_setup(labels_come_back_as_they_were, fresh),
        cmocka_unit_test_setup(long_labels_stay_apart_and_whole, fresh),
        cmocka_unit_test_setup(finds_the_heavy_of_a_skewed_stream, fresh_stream),
        cmocka_unit_test_setup(finds_the_heavy_among_labels_seen_once, fresh_stream),
        cmocka_unit_test_setup(holds_its_bounds_where_nothing_is_heavy, fresh_stream),
        cmocka_unit_test_setup(finds_what_becomes_heavy_late, fresh_stream),
        cmocka_unit_test_setup(memory_is_checked, fresh),
        cmocka_unit_test_setup(figures_outlive_their_processes, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
