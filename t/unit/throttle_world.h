/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated server whose refusals ask the throttle for their lines, and what it was told. */
#ifndef FG_THROTTLE_WORLD_H
#define FG_THROTTLE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include <apr_general.h>

#include "throttle.h"

#define SEC   APR_USEC_PER_SEC
#define START (1000 * SEC)
#define NEVER (-1)

enum { CLIENTS_MAX = 100000, LINES_MAX = 20000, PER_SECOND = 10000 };

static const unsigned char secret[16] = "fifteen letters";

static apr_pool_t *pool;
static void *memory;
static fg_throttle_t *throttle;

/* What a simulated server was asked and told. */
static apr_time_t line_at[LINES_MAX]; /* of each line, summaries included */
static unsigned int lines;
static apr_uint64_t refusals, written, handed_out;
static unsigned int refused[CLIENTS_MAX]; /* by client */
static apr_time_t first_line[CLIENTS_MAX];
static apr_uint64_t random_state;

static int set_up(void **state)
{
    (void)state;
    memory = mmap(NULL, fg_throttle_size() + 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    return memory == MAP_FAILED || apr_initialize() != APR_SUCCESS ||
           apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    munmap(memory, fg_throttle_size() + 8);
    return 0;
}

static int fresh(void **state)
{
    unsigned int i;

    (void)state;
    apr_pool_clear(pool);
    lines = 0;
    refusals = written = handed_out = 0;
    memset(refused, 0, sizeof(refused));
    for (i = 0; i < CLIENTS_MAX; i++) {
        first_line[i] = NEVER;
    }
    random_state = getenv("FG_SEED") ? strtoull(getenv("FG_SEED"), NULL, 10)
                                     : (apr_uint64_t)apr_time_now() | 1;
    print_message("FG_SEED=%llu\n", (unsigned long long)random_state);
    memset(memory, 0xa5, fg_throttle_size() + 8);
    return fg_throttle_format(memory, fg_throttle_size(), secret) != APR_SUCCESS ||
           fg_throttle_attach(&throttle, memory, fg_throttle_size(), pool) != APR_SUCCESS;
}

static unsigned int draw(unsigned int below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned int)((random_state >> 20) % below);
}

static fg_address_t address(unsigned int n)
{
    fg_address_t a = {4, {10, (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n}};

    return a;
}

static void write_line(apr_time_t now)
{
    assert_true(lines < LINES_MAX);
    line_at[lines++] = now;
}

/* @return 1 if the line was written */
static int refuse(fg_reason_t reason, unsigned int client, apr_time_t now)
{
    fg_address_t a = address(client);
    apr_uint64_t suppressed = 99;
    int write = fg_throttle_line(throttle, reason, &a, now, &suppressed);

    refusals++;
    refused[client]++;
    assert_true(suppressed < refused[client]);
    assert_true(write || suppressed == 0);
    handed_out += suppressed;
    if (write) {
        written++;
        write_line(now);
        if (first_line[client] == NEVER) {
            first_line[client] = now;
        }
    }
    return write;
}

static unsigned int sweep(apr_time_t now)
{
    fg_throttle_summary_t summary[FG_THROTTLE_SUMMARIES];
    unsigned int n = fg_throttle_sweep(throttle, now, summary), i;

    assert_in_range(n, 0, FG_THROTTLE_SUMMARIES);
    for (i = 0; i < n; i++) {
        assert_true(summary[i].suppressed > 0);
        assert_true(summary[i].clients > 0);
        handed_out += summary[i].suppressed;
        write_line(now);
    }
    return n;
}

static apr_uint64_t pending(void)
{
    fg_throttle_stats_t stats;

    fg_throttle_stats(throttle, &stats);
    return stats.pending;
}

/* Fewer than a hundred in any second: of a hundred in a row the last is a second later. */
static void check_lines(void)
{
    unsigned int i;

    for (i = 99; i < lines; i++) {
        assert_true(line_at[i] - line_at[i - 99] >= SEC);
    }
}

static void check_sums(void)
{
    fg_throttle_stats_t stats;
    apr_uint64_t sum_written = 0, sum_suppressed = 0;
    unsigned int i;

    fg_throttle_stats(throttle, &stats);
    for (i = 0; i < FG_REASON_COUNT; i++) {
        sum_written += stats.written[i];
        sum_suppressed += stats.suppressed[i];
    }
    assert_int_equal(sum_written, written);
    assert_int_equal(sum_suppressed, refusals - written);
    assert_int_equal(written + handed_out + stats.pending, refusals);
}

/* When the flood is over, requests that are not refused bring out what is pending. */
static void check_all_is_told(apr_time_t now)
{
    apr_time_t end = now + 70 * SEC;

    for (; pending() > 0 && now < end; now += SEC / 3) {
        sweep(now);
    }
    assert_int_equal(pending(), 0);
    assert_int_equal(written + handed_out, refusals);
    check_sums();
    check_lines();
}

#endif
