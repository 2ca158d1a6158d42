/* SPDX-License-Identifier: Apache-2.0 */
/* The other tables in shared memory, damaged: closures, slots, breakers, notes on secrets, answers
 * of blocklists, statistics, the throttle of the log. The first byte says which; then a row of
 * steps, of which some write over a word. Nothing crashes, hangs or leads outside. */
#include <apr_siphash.h>

#include "breaker.h"
#include "closures.h"
#include "dnsbl_internal.h"
#include "fuzz.h"
#include "secrets.h"
#include "slots.h"
#include "stats.h"
#include "throttle.h"

static const unsigned char secret[16] = "0123456789abcde";

#define SLOTS 8

typedef struct world {
    unsigned char *mem;
    apr_size_t size;
    apr_size_t head; /* bytes at the start that are left whole */
    apr_time_t now;
    apr_pool_t *pool;
    void *table; /* the handle */
    fg_lease_t lease;
    fg_breaker_ticket_t ticket;
    fg_dnsbl_ticket_t zone_ticket;
    fg_dnsbl_zone_t zone;
} world_t;

typedef void step_fn(world_t *w, unsigned int what, unsigned int which);

static void closures_step(world_t *w, unsigned int what, unsigned int which)
{
    static const char *const labels[] = {"/contact.php", "", "x",
                                         "/a-label-that-is-longer-than-what-is-kept-of-labels-/"
                                         "so-that-its-end-is-cut-off-and-a-NUL-put-there-instead/"
                                         "of-the-rest-of-it"};
    const char *label = labels[which % 4], *opened;
    fg_counter_key_t full;
    apr_array_header_t *list;
    int i;

    switch (what % 6) {
    case 0:
    case 1:
        fg_closures_close(w->table, which % 3, label, 7, w->now, w->now + apr_time_from_sec(which));
        break;
    case 2:
        fg_closures_open(w->table, label, w->now, &full);
        break;
    case 3:
        fg_closures_any(w->table, w->now);
        MUST(fg_closures_left(w->table, which % 3, w->now) >= 0);
        break;
    case 4:
        opened = fg_closures_opened(w->table, w->now, w->pool);
        MUST(!opened || strlen(opened) <= FG_CLOSURE_LABEL_MAX);
        break;
    default:
        list = fg_closures_list(w->table, w->now, w->pool);
        for (i = 0; i < list->nelts; i++) {
            const fg_closure_t *closure = &APR_ARRAY_IDX(list, i, fg_closure_t);

            MUST(strlen(closure->label) <= FG_CLOSURE_LABEL_MAX && closure->until > w->now);
        }
        break;
    }
}

static void slots_step(world_t *w, unsigned int what, unsigned int which)
{
    switch (what % 3) {
    case 0:
        w->lease = fg_slots_take(w->table, w->now, apr_time_from_sec(which));
        MUST(w->lease.index >= -1 && w->lease.index < SLOTS);
        break;
    case 1:
        fg_slots_release(w->table, &w->lease);
        break;
    default:
        MUST(fg_slots_taken(w->table, w->now) <= SLOTS);
        break;
    }
}

static void breaker_step(world_t *w, unsigned int what, unsigned int which)
{
    const char *service = apr_psprintf(w->pool, "https://%u.example.com/", which % 70);
    fg_breaker_state_t state;
    fg_breaker_change_t change;

    memset(&state, 0, sizeof(state));
    switch (what % 4) {
    case 0:
        if (fg_breaker_enter(w->table, service, w->now, apr_time_from_sec(3), &w->ticket, &state)) {
            MUST(w->ticket.cell >= -1 && w->ticket.cell < FG_BREAKER_CELLS);
        }
        break;
    case 1:
        change =
            fg_breaker_leave(w->table, &w->ticket, w->now,
                             which & 1 ? FG_BREAKER_FAILED : FG_BREAKER_ANSWERED, FG_CAUSE_TIMEOUT);
        MUST(change == FG_BREAKER_SAME || change == FG_BREAKER_OPENED ||
             change == FG_BREAKER_CLOSED);
        break;
    case 2:
        fg_breaker_cancel(w->table, &w->ticket, w->now);
        break;
    default:
        fg_breaker_peek(w->table, service, w->now, &state);
        break;
    }
    MUST(state.next_try >= 0 && state.cause < FG_CAUSE_COUNT);
}

static void secrets_step(world_t *w, unsigned int what, unsigned int which)
{
    const char *service = apr_psprintf(w->pool, "https://%u.example.com/", which % 7);

    fg_secrets_note(w->table, service, which & 1 ? "a" : "", (fg_secret_state_t)(what % 3));
}

static void dnsbl_step(world_t *w, unsigned int what, unsigned int which)
{
    fg_address_t address = {4, {192, 0, 2, (unsigned char)which}};
    apr_uint64_t key = fg_dnsbl_cache_key(w->table, &w->zone, &address);
    fg_dnsbl_answer_t answer = {FG_DNSBL_LISTED, FG_DNSBL_WORKING, 0x7f000002,
                                apr_time_from_sec(which)};
    fg_dnsbl_cache_stats_t stats;

    switch (what % 5) {
    case 0:
        fg_dnsbl_cache_put(w->table, key, w->now, &answer);
        break;
    case 1:
        if (fg_dnsbl_cache_get(w->table, key, w->now, &answer)) {
            MUST(answer.status <= FG_DNSBL_UNKNOWN && answer.reason < FG_DNSBL_REASONS);
        }
        break;
    case 2:
        w->zone_ticket.slot = -1;
        if (!fg_dnsbl_cache_enter(w->table, &w->zone, w->now, apr_time_from_sec(1), &w->zone_ticket,
                                  &answer)) {
            MUST(answer.status == FG_DNSBL_UNKNOWN && answer.reason < FG_DNSBL_REASONS);
        }
        break;
    case 3:
        answer = which & 1 ? fg_dnsbl_unknown(FG_DNSBL_TIMEOUT, 0) : answer;
        fg_dnsbl_cache_leave(w->table, &w->zone_ticket, w->now, &answer);
        MUST(fg_dnsbl_cache_zone_state(w->table, &w->zone) < FG_DNSBL_REASONS);
        break;
    default:
        fg_dnsbl_cache_stats(w->table, w->now, &stats);
        MUST(stats.live <= stats.capacity);
        break;
    }
}

static void check_top(const fg_stats_top_t *top)
{
    unsigned int i;

    MUST(top->entries + top->unnamed <= FG_STATS_TOP);
    for (i = 0; i < top->entries; i++) {
        MUST(top->entry[i].len <= FG_STATS_LABEL_MAX && !top->entry[i].label[top->entry[i].len]);
        MUST(i == 0 || top->entry[i].posts <= top->entry[i - 1].posts);
    }
}

static void stats_step(world_t *w, unsigned int what, unsigned int which)
{
    const fg_stats_snapshot_t *snapshot;
    char label[200];
    unsigned int i;

    switch (what % 4) {
    case 0:
    case 1:
        memset(label, 'l', sizeof(label));
        fg_stats_post(w->table, (fg_stats_table_t)(which % FG_STATS_TABLES), label,
                      which % sizeof(label), (fg_stats_column_t)(what % FG_STATS_COLUMNS), w->now);
        break;
    case 2:
        fg_stats_verdict(w->table, (fg_reason_t)which, (fg_stats_kind_t)(which % FG_STATS_KINDS));
        fg_stats_time(w->table, (fg_stats_timer_t)(which % 3), (apr_interval_time_t)which << 10);
        break;
    default:
        snapshot = fg_stats_snapshot(w->table, w->pool);
        for (i = 0; i < FG_STATS_TABLES; i++) {
            check_top(&snapshot->top[i]);
        }
        break;
    }
}

static void throttle_step(world_t *w, unsigned int what, unsigned int which)
{
    fg_address_t address = {which & 1 ? 6 : 4, {192, 0, 2, (unsigned char)(which >> 3)}};
    fg_throttle_summary_t out[FG_THROTTLE_SUMMARIES];
    fg_throttle_stats_t stats;
    apr_uint64_t suppressed = 0;
    unsigned int n, i;

    switch (what % 4) {
    case 0:
    case 1:
        fg_throttle_line(w->table, (fg_reason_t)(which % FG_REASON_COUNT), &address, w->now,
                         &suppressed);
        break;
    case 2:
        n = fg_throttle_sweep(w->table, w->now, out);
        MUST(n <= FG_THROTTLE_SUMMARIES);
        for (i = 0; i < n; i++) {
            MUST(out[i].reason < FG_REASON_COUNT && out[i].suppressed > 0);
            MUST(strlen(out[i].client) < FG_THROTTLE_CLIENT_MAX && fuzz_printable(out[i].client));
        }
        break;
    default:
        fg_throttle_stats(w->table, &stats);
        break;
    }
}

/* Make the memory of a table, which is as long as it says it must be. */
static step_fn *make(world_t *w, unsigned int which)
{
    apr_size_t (*const sizes[])(void) = {fg_closures_size, fg_breaker_size, fg_secrets_size,
                                         fg_stats_size, fg_throttle_size};

    w->size = which < 5    ? sizes[which]()
              : which == 5 ? fg_slots_size(SLOTS)
                           : fg_dnsbl_cache_size(1024);
    MUST(posix_memalign((void **)&w->mem, 64, w->size) == 0);
    switch (which) {
    case 0:
        w->table = fg_closures_format(w->mem, w->size);
        MUST(fg_closures_attach(w->mem, w->size) == w->table);
        return closures_step;
    case 1:
        MUST(fg_breaker_format(w->mem, w->size, secret) == APR_SUCCESS);
        w->table = fg_breaker_attach(w->mem, w->size);
        w->ticket.cell = -1;
        return breaker_step;
    case 2:
        MUST(fg_secrets_format(w->mem, w->size, secret) == APR_SUCCESS);
        w->table = fg_secrets_attach(w->mem, w->size);
        return secrets_step;
    case 3:
        MUST(fg_stats_format(w->mem, w->size, secret, 1) == APR_SUCCESS);
        fg_stats_attach((fg_stats_t **)&w->table, w->mem, w->size, w->pool);
        return stats_step;
    case 4:
        MUST(fg_throttle_format(w->mem, w->size, secret) == APR_SUCCESS);
        fg_throttle_attach((fg_throttle_t **)&w->table, w->mem, w->size, w->pool);
        return throttle_step;
    case 5:
        w->table = fg_slots_format(w->mem, w->size, SLOTS);
        w->head = sizeof(apr_uint64_t); /* how many there are nobody but it knows */
        w->lease.index = -1;
        return slots_step;
    default:
        MUST(fg_dnsbl_cache_format(w->mem, w->size, 1024, secret) == APR_SUCCESS);
        fg_dnsbl_cache_attach((fg_dnsbl_cache_t **)&w->table, w->mem, w->size, w->pool);
        MUST(!fg_dnsbl_zone_parse(&w->zone, "bl.example.org", w->pool));
        w->zone_ticket.slot = -1;
        return dnsbl_step;
    }
}

/* Write over a word: one of the first, or any. */
static void damage(world_t *w, fuzz_in_t *in)
{
    apr_uint64_t *words = (apr_uint64_t *)(void *)(w->mem + w->head);
    apr_size_t n = (w->size - w->head) / sizeof(*words);
    unsigned int how = fuzz_byte(in);
    apr_size_t at = fuzz_number(in, how & 1 ? 2 : 3) % n;

    switch (how >> 1 & 3) {
    case 0:
        words[at] = fuzz_number(in, 8);
        break;
    case 1:
        words[at] ^= (apr_uint64_t)1 << (fuzz_byte(in) % 64);
        break;
    case 2:
        memset(&words[at], (int)fuzz_byte(in),
               (n - at) * sizeof(*words) < 4096 ? (n - at) * sizeof(*words) : 4096);
        break;
    default:
        words[at] = words[fuzz_number(in, 3) % n];
        break;
    }
}

FUZZ_TARGET(tables)
{
    fuzz_in_t in = {data, len};
    world_t w = {.now = apr_time_from_sec(1000), .pool = pool};
    step_fn *step = make(&w, fuzz_byte(&in) % 7);
    int steps;

    MUST(w.table);
    for (steps = 0; steps < 100 && in.left; steps++) {
        unsigned int what = fuzz_byte(&in);

        if (what >= 0xe0) {
            damage(&w, &in);
        }
        else if (what >= 0xc0) {
            w.now += (apr_time_t)fuzz_number(&in, 1 + what % 6);
        }
        else {
            step(&w, what, fuzz_byte(&in));
        }
    }
    free(w.mem);
}
