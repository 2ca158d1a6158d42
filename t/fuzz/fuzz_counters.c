/* SPDX-License-Identifier: Apache-2.0 */
/* The counters' table, damaged: it never crashes, hangs, or admits more than the rate at once, and
 * what it hands out makes sense. The input is a row of steps; see step(). */
#include "counters.h"
#include "fuzz.h"

#define ENTRIES 1024
#define HOT     (15 * 8) /* words: the header and a set are damaged more often than the rest */

typedef struct world {
    unsigned char *mem;
    apr_size_t size;
    fg_counters_t *counters;
    apr_time_t now;
    fg_charge_t charge;
    int looks;
} world_t;

static const fg_rate_t rates[] = {{1, apr_time_from_sec(1)},
                                  {3, apr_time_from_sec(600)},
                                  {10, apr_time_from_sec(86400)},
                                  {FG_RATE_MAX_COUNT, FG_RATE_MAX_PERIOD}};

static void check(const fg_count_t *count, const fg_rate_t *rate, apr_uint32_t weight)
{
    MUST(count->admitted == 0 || count->admitted == 1);
    MUST(!count->admitted || (count->used >= weight && count->used <= rate->count));
    MUST(!count->admitted || count->retry_after == 0);
    MUST(count->retry_after >= 0);
}

/* Write over a word of the table, or over one near the key's own. */
static void damage(world_t *w, fuzz_in_t *in)
{
    apr_uint64_t *words = (apr_uint64_t *)(void *)w->mem;
    apr_size_t n = w->size / sizeof(*words);
    unsigned int where = (unsigned int)fuzz_number(in, 2);
    apr_size_t at = where & 0x8000 ? (where & 0x7fff) % n : where % HOT;

    switch (fuzz_byte(in) % 4) {
    case 0:
        words[at] = fuzz_number(in, 8);
        break;
    case 1:
        words[at] ^= (apr_uint64_t)1 << (fuzz_byte(in) % 64);
        break;
    case 2:
        words[at] += (apr_uint64_t)(apr_int64_t)(signed char)fuzz_byte(in) << (fuzz_byte(in) % 64);
        break;
    default:
        words[at] = words[fuzz_number(in, 2) % n];
        break;
    }
}

static void attach(world_t *w, apr_pool_t *pool)
{
    fg_counters_t *anew;
    apr_status_t rv = fg_counters_attach(&anew, w->mem, w->size, pool);

    MUST(rv == APR_SUCCESS || (rv == APR_EINVAL && !anew));
    w->counters = rv == APR_SUCCESS ? anew : w->counters;
}

static void look(const world_t *w, apr_pool_t *pool)
{
    const char *wrong = fg_counters_validate(w->counters, pool);
    fg_counters_stats_t stats;

    MUST(!wrong || fuzz_printable(wrong));
    fg_counters_stats(w->counters, w->now, &stats);
    MUST(stats.live <= stats.entries && stats.entries <= stats.capacity);
}

static void step(world_t *w, fuzz_in_t *in, apr_pool_t *pool)
{
    unsigned int what = fuzz_byte(in), which = fuzz_byte(in);
    const fg_rate_t *rate = &rates[which % 4];
    unsigned char value = (unsigned char)(which >> 4);
    fg_counter_key_t key = fg_counters_key(w->counters, 1, which % 4, &value, 1);
    apr_uint32_t weight = 1 + (what >> 6);
    fg_count_t count;

    /* All keys in one set: that is where they meet. */
    key &= ~((apr_uint64_t)0xffff << 8);
    switch (what % 8) {
    case 0:
    case 1:
        count = fg_counters_consume(w->counters, key, rate, weight, w->now, &w->charge);
        check(&count, rate, weight);
        break;
    case 2:
        count = fg_counters_peek(w->counters, key, rate, w->now);
        check(&count, rate, 1);
        break;
    case 3:
        fg_counters_refund(w->counters, &w->charge);
        break;
    case 4:
        fg_counters_forget(w->counters, key);
        break;
    case 5:
        w->now += (apr_time_t)fuzz_number(in, 1 + which % 6);
        break;
    case 6:
        damage(w, in);
        break;
    default:
        attach(w, pool);
        if (w->looks++ == 0) { /* once and at the end: they walk all of the table */
            look(w, pool);
        }
        break;
    }
}

FUZZ_TARGET(counters)
{
    fuzz_in_t in = {data, len};
    world_t w = {.size = fg_counters_size(ENTRIES), .now = apr_time_from_sec(1000)};
    int steps;

    MUST(posix_memalign((void **)&w.mem, 64, w.size) == 0);
    MUST(fg_counters_format(w.mem, w.size, ENTRIES, (const unsigned char *)"0123456789abcdef") ==
         APR_SUCCESS);
    attach(&w, pool);
    MUST(w.counters);
    for (steps = 0; steps < 200 && in.left; steps++) {
        step(&w, &in, pool);
    }
    look(&w, pool);
    free(w.mem);
}
