/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds a consume, beside what the machine needs for the bare memory accesses. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <apr_general.h>

#include "counters.h"

#define KEYS   1000000U
#define ROUNDS 4000000U

static double now_ns(void)
{
    struct timespec t;

    /* Of the processor: others use the machine, too. */
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static apr_uint64_t next(apr_uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void say(const char *what, double ns, unsigned int rounds)
{
    printf("%-44s %8.1f ns\n", what, ns / rounds);
}

/* One locked exchange on a hot word, and two dependent cache misses with one at random. */
static void baseline(void *mem, apr_size_t size)
{
    _Atomic apr_uint64_t *word = mem;
    const apr_uint64_t lines = size / 64;
    apr_uint64_t seed = 88172645463325252U, carry = 0;
    double start = now_ns();
    unsigned int i;

    for (i = 0; i < ROUNDS; i++) {
        apr_uint64_t old = atomic_load(word);

        atomic_compare_exchange_strong(word, &old, old + 1);
    }
    say("baseline: exchange, hot", now_ns() - start, ROUNDS);
    start = now_ns();
    for (i = 0; i < ROUNDS; i++) {
        apr_uint64_t line = (next(&seed) + carry) % lines, old;

        carry = atomic_load(&word[line * 8]) & 1;
        line = (line + 1 + carry) % lines;
        old = atomic_load(&word[line * 8]);
        atomic_compare_exchange_strong(&word[line * 8], &old, old + 2);
    }
    say("baseline: two lines and an exchange, random", now_ns() - start, ROUNDS);
}

/* Keys are hashes: in this order they come from all over the table. */
static void shuffle(fg_counter_key_t *key)
{
    apr_uint64_t seed = 88172645463325252U;
    unsigned int i;

    for (i = KEYS - 1; i > 0; i--) {
        unsigned int j = (unsigned int)(next(&seed) % (i + 1));
        fg_counter_key_t k = key[i];

        key[i] = key[j];
        key[j] = k;
    }
}

static void run(fg_counters_t *counters, const fg_counter_key_t *key)
{
    const fg_rate_t rate = {FG_RATE_MAX_COUNT, apr_time_from_sec(600)};
    const fg_rate_t small = {1, apr_time_from_sec(600)};
    const apr_time_t now = apr_time_from_sec(1000);
    apr_uint64_t seed = 88172645463325252U, sum = 0;
    double start = now_ns();
    unsigned int i;

    for (i = 0; i < KEYS; i++) {
        fg_counters_consume(counters, key[i], &rate, 1, now, NULL);
    }
    say("insert", now_ns() - start, KEYS);
    start = now_ns();
    for (i = 0; i < ROUNDS; i++) {
        sum += fg_counters_consume(counters, key[i % KEYS], &rate, 1, now, NULL).used;
    }
    say("consume, random", now_ns() - start, ROUNDS);
    start = now_ns();
    for (i = 0; i < ROUNDS; i++) {
        sum += fg_counters_consume(counters, key[i % KEYS], &rate, 1, now + apr_time_from_sec(150),
                                   NULL)
                   .used;
    }
    say("consume, random, later", now_ns() - start, ROUNDS);
    start = now_ns();
    for (i = 0; i < FG_RATE_MAX_COUNT / 2; i++) {
        sum += fg_counters_consume(counters, key[7], &rate, 1, now, NULL).used;
    }
    say("consume, hot", now_ns() - start, FG_RATE_MAX_COUNT / 2);
    start = now_ns();
    for (i = 0; i < ROUNDS; i++) {
        sum += fg_counters_consume(counters, key[7], &small, 1, now, NULL).used;
    }
    say("refused, hot", now_ns() - start, ROUNDS);
    start = now_ns();
    for (i = 0; i < ROUNDS; i++) {
        sum += fg_counters_key(counters, i, 0, &seed, 5);
    }
    say("key of an IPv4 address", now_ns() - start, ROUNDS);
    printf("(checksum %llu)\n", (unsigned long long)sum);
}

int main(void)
{
    static const unsigned char secret[16] = "0123456789abcdef";
    fg_counter_key_t *key = malloc(KEYS * sizeof(*key));
    apr_size_t size = fg_counters_size(4 * KEYS);
    void *mem = malloc(size);
    fg_counters_t *counters;
    fg_counters_stats_t stats;
    apr_pool_t *pool;
    unsigned int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!key || !mem || fg_counters_format(mem, size, 4 * KEYS, secret) ||
        fg_counters_attach(&counters, mem, size, pool)) {
        return EXIT_FAILURE;
    }
    for (i = 0; i < KEYS; i++) {
        key[i] = fg_counters_key(counters, 1, 0, &i, sizeof(i));
    }
    shuffle(key);
    run(counters, key);
    fg_counters_stats(counters, apr_time_from_sec(1000), &stats);
    printf("%llu of %llu keys, %llu live evicted, %llu bytes\n", (unsigned long long)stats.entries,
           (unsigned long long)stats.capacity, (unsigned long long)stats.live_evictions,
           (unsigned long long)stats.bytes);
    baseline(mem, size);
    free(mem);
    free(key);
    apr_terminate();
    return EXIT_SUCCESS;
}
