/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "breaker.h"

#define SEC  APR_USEC_PER_SEC
#define TERM (4 * SEC)
#define UNIT 16384 /* microseconds a time is exact to */

static const unsigned char secret[16] = "a secret of ours";
static fg_breaker_t *breaker;
static void *memory;
static apr_time_t now;
static fg_breaker_state_t state;

static int set_up(void **unused)
{
    (void)unused;
    memory = malloc(fg_breaker_size());
    memset(memory, 0xa5, fg_breaker_size());
    now = 1000 * SEC;
    if (apr_initialize() != APR_SUCCESS ||
        fg_breaker_format(memory, fg_breaker_size(), secret) != APR_SUCCESS) {
        return 1;
    }
    breaker = fg_breaker_attach(memory, fg_breaker_size());
    return breaker == NULL;
}

static int tear_down(void **unused)
{
    (void)unused;
    free(memory);
    apr_terminate();
    return 0;
}

static int enter(const char *service, fg_breaker_ticket_t *ticket)
{
    memset(&state, 0x55, sizeof(state));
    return fg_breaker_enter(breaker, service, now, TERM, ticket, &state);
}

static fg_breaker_change_t leave(const fg_breaker_ticket_t *ticket, fg_cause_t cause)
{
    return fg_breaker_leave(breaker, ticket, now,
                            cause == FG_CAUSE_NONE ? FG_BREAKER_ANSWERED : FG_BREAKER_FAILED,
                            cause);
}

/* One post from its beginning to its end. */
static fg_breaker_change_t post(const char *service, fg_cause_t cause)
{
    fg_breaker_ticket_t ticket;

    assert_true(enter(service, &ticket));
    return leave(&ticket, cause);
}

static void fail_times(const char *service, int times)
{
    while (times-- > 0) {
        assert_int_equal(post(service, FG_CAUSE_TIMEOUT), FG_BREAKER_SAME);
    }
}

static void open_it(const char *service)
{
    fail_times(service, FG_BREAKER_FAILURES - 1);
    assert_int_equal(post(service, FG_CAUSE_UNREACHABLE), FG_BREAKER_OPENED);
}

static void assert_shut_out(const char *service, fg_cause_t cause, apr_interval_time_t next_try)
{
    fg_breaker_ticket_t ticket;

    assert_false(enter(service, &ticket));
    assert_true(state.open);
    assert_int_equal(state.cause, cause);
    assert_in_range(state.next_try, next_try, next_try + UNIT);
}

static void failures_in_a_row_open_it(void **unused)
{
    (void)unused;
    fail_times("a", FG_BREAKER_FAILURES - 1);
    assert_int_equal(post("a", FG_CAUSE_NONE), FG_BREAKER_SAME); /* not in a row any more */
    open_it("a");
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, FG_BREAKER_SHORTEST);
    now += FG_BREAKER_SHORTEST - SEC;
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, SEC);
    assert_int_equal(post("b", FG_CAUSE_NONE), FG_BREAKER_SAME); /* another's is its own */
}

static void one_probes_and_closes_it(void **unused)
{
    fg_breaker_ticket_t probe;

    (void)unused;
    open_it("a");
    now += FG_BREAKER_SHORTEST + UNIT;
    assert_true(enter("a", &probe));
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, TERM);
    assert_int_equal(leave(&probe, FG_CAUSE_NONE), FG_BREAKER_CLOSED);
    assert_int_equal(leave(&probe, FG_CAUSE_NONE), FG_BREAKER_SAME);
    fail_times("a", FG_BREAKER_FAILURES - 1); /* and it begins anew */
    assert_int_equal(post("a", FG_CAUSE_NONE), FG_BREAKER_SAME);
}

static void each_probe_that_fails_doubles_the_wait(void **unused)
{
    static const int waits[] = {20, 40, 80, 160, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300};
    size_t i;

    (void)unused;
    open_it("a");
    now += FG_BREAKER_SHORTEST + UNIT;
    for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        assert_int_equal(post("a", FG_CAUSE_SERVER_ERROR), FG_BREAKER_SAME);
        assert_shut_out("a", FG_CAUSE_SERVER_ERROR, waits[i] * SEC);
        now += waits[i] * SEC + UNIT;
    }
    assert_int_equal(post("a", FG_CAUSE_NONE), FG_BREAKER_CLOSED);
    open_it("a");
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, FG_BREAKER_SHORTEST);
}

static void a_probe_that_never_comes_back_runs_out(void **unused)
{
    fg_breaker_ticket_t dead, next;

    (void)unused;
    open_it("a");
    now += FG_BREAKER_SHORTEST + UNIT;
    assert_true(enter("a", &dead));
    now += TERM - SEC;
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, SEC);
    now += SEC + UNIT;
    assert_true(enter("a", &next));
    /* One that was only slow has nothing to say any more. */
    assert_int_equal(leave(&dead, FG_CAUSE_NONE), FG_BREAKER_SAME);
    fg_breaker_cancel(breaker, &dead, now);
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, TERM);
    assert_int_equal(leave(&next, FG_CAUSE_NONE), FG_BREAKER_CLOSED);
}

static void a_probe_that_was_not_made_is_made_by_the_next(void **unused)
{
    fg_breaker_ticket_t ticket;

    (void)unused;
    open_it("a");
    now += FG_BREAKER_SHORTEST + UNIT;
    assert_true(enter("a", &ticket));
    fg_breaker_cancel(breaker, &ticket, now);
    assert_int_equal(fg_breaker_peek(breaker, "a", now, &state), 1);
    assert_true(state.open);
    assert_true(enter("a", &ticket));
    assert_int_equal(leave(&ticket, FG_CAUSE_NONE), FG_BREAKER_CLOSED);
    assert_true(enter("a", &ticket));
    fg_breaker_cancel(breaker, &ticket, now); /* while closed: nothing */
    assert_int_equal(post("a", FG_CAUSE_NONE), FG_BREAKER_SAME);
}

static void what_was_asked_before_does_not_count_after(void **unused)
{
    fg_breaker_ticket_t slow[FG_BREAKER_FAILURES + 1];
    int i;

    (void)unused;
    for (i = 0; i <= FG_BREAKER_FAILURES; i++) {
        assert_true(enter("a", &slow[i]));
    }
    open_it("a");
    assert_int_equal(leave(&slow[0], FG_CAUSE_NONE), FG_BREAKER_SAME); /* the probe decides */
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, FG_BREAKER_SHORTEST);
    now += FG_BREAKER_SHORTEST + UNIT;
    assert_int_equal(post("a", FG_CAUSE_NONE), FG_BREAKER_CLOSED);
    for (i = 1; i <= FG_BREAKER_FAILURES; i++) {
        assert_int_equal(leave(&slow[i], FG_CAUSE_TIMEOUT), FG_BREAKER_SAME);
    }
    assert_int_equal(post("a", FG_CAUSE_NONE), FG_BREAKER_SAME);
}

static void a_service_without_a_breaker_is_always_asked(void **unused)
{
    apr_pool_t *pool;
    int i, k;

    (void)unused;
    apr_pool_create(&pool, NULL);
    for (i = 0; i < FG_BREAKER_CELLS; i++) {
        assert_int_equal(post(apr_itoa(pool, i), FG_CAUSE_NONE), FG_BREAKER_SAME);
    }
    for (k = 0; k < 3 * FG_BREAKER_FAILURES; k++) {
        assert_int_equal(post("one more", FG_CAUSE_TIMEOUT), FG_BREAKER_SAME);
    }
    assert_int_equal(fg_breaker_peek(breaker, "one more", now, &state), 0);
    assert_false(state.open);
    open_it("17");
    apr_pool_destroy(pool);
}

static void it_is_told_apart_from_other_memory(void **unused)
{
    (void)unused;
    assert_null(fg_breaker_attach(memory, fg_breaker_size() - 1));
    assert_int_equal(fg_breaker_format(memory, fg_breaker_size() - 1, secret), APR_EINVAL);
    open_it("a");
    breaker = fg_breaker_attach(memory, fg_breaker_size()); /* a restart: it stays open */
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, FG_BREAKER_SHORTEST);
    memset(memory, 0xa5, fg_breaker_size());
    assert_null(fg_breaker_attach(memory, fg_breaker_size()));
}

static void odd_times_are_bounded(void **unused)
{
    (void)unused;
    now = -5 * SEC;
    open_it("a");
    now = FG_BREAKER_SHORTEST + UNIT;
    assert_int_equal(post("a", FG_CAUSE_NONE), FG_BREAKER_CLOSED);
    now = INT64_MAX / 1024;
    open_it("a");
    assert_shut_out("a", FG_CAUSE_UNREACHABLE, FG_BREAKER_SHORTEST);
}

/* --- whatever happens ------------------------------------------------------------------------- */

enum { ASKERS = 12, STEPS = 200000 };

/* What a breaker is, without bits: the one that is tested against. */
static struct model {
    int open, probe; /* probe: 1 + which asker */
    int failures;
    apr_time_t until;
    apr_interval_time_t wait;
    int era;
} model;

static struct asker {
    int asking, era;
    fg_breaker_ticket_t ticket;
} asker[ASKERS];

static apr_uint64_t draw(apr_uint64_t *seed, apr_uint64_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (*seed >> 11) % below;
}

static apr_time_t rounded(apr_time_t time)
{
    return (time / UNIT + 1) * UNIT;
}

static void model_enter(int i)
{
    int may = !model.open || now >= model.until;

    assert_int_equal(enter("a", &asker[i].ticket), may);
    if (!may) {
        assert_int_equal(state.next_try, model.until - now);
        return;
    }
    if (model.open) {
        model.probe = i + 1;
        model.until = rounded(now + TERM);
        model.era++;
    }
    asker[i].asking = 1;
    asker[i].era = model.era;
}

static void model_leave(int i, int failed)
{
    fg_breaker_change_t expected = FG_BREAKER_SAME;

    asker[i].asking = 0;
    if (asker[i].era == model.era && (!model.open || model.probe == i + 1)) {
        if (!failed) {
            expected = model.open ? FG_BREAKER_CLOSED : FG_BREAKER_SAME;
            model.open = model.probe = model.failures = 0;
        }
        else if (model.open || ++model.failures == FG_BREAKER_FAILURES) {
            expected = model.open ? FG_BREAKER_SAME : FG_BREAKER_OPENED;
            model.wait = !model.open              ? FG_BREAKER_SHORTEST
                         : model.wait < 150 * SEC ? model.wait * 2
                                                  : FG_BREAKER_LONGEST;
            model.open = 1;
            model.probe = model.failures = 0;
            model.until = rounded(now + model.wait);
            model.era++;
        }
    }
    assert_int_equal(leave(&asker[i].ticket, failed ? FG_CAUSE_TIMEOUT : FG_CAUSE_NONE), expected);
}

static void model_cancel(int i)
{
    asker[i].asking = 0;
    if (model.probe == i + 1 && asker[i].era == model.era) {
        model.probe = 0;
        model.until = now / UNIT * UNIT;
    }
    fg_breaker_cancel(breaker, &asker[i].ticket, now);
}

static void whatever_happens_it_is_the_breaker_it_says(void **unused)
{
    apr_uint64_t seed = getenv("FG_SEED") ? strtoull(getenv("FG_SEED"), NULL, 10)
                                          : (apr_uint64_t)apr_time_now() | 1;
    int down = 0, opened = 0, step;

    (void)unused;
    print_message("FG_SEED=%llu\n", (unsigned long long)seed);
    memset(&model, 0, sizeof(model));
    memset(asker, 0, sizeof(asker));
    for (step = 0; step < STEPS; step++) {
        int i = (int)draw(&seed, ASKERS);

        now += (apr_time_t)draw(&seed, draw(&seed, 40) == 0 ? 60 * SEC : SEC / 4);
        if (draw(&seed, 200) == 0) {
            down = !down;
        }
        if (!asker[i].asking) {
            model_enter(i);
        }
        else if (draw(&seed, 10) == 0) {
            model_cancel(i);
        }
        else {
            int was = model.open;

            model_leave(i, draw(&seed, 10) < (down ? 9 : 1));
            opened += model.open && !was;
        }
        assert_int_equal(fg_breaker_peek(breaker, "a", now, &state), 1);
        assert_int_equal(state.open, model.open);
    }
    assert_true(opened > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(failures_in_a_row_open_it),
        TEST(one_probes_and_closes_it),
        TEST(each_probe_that_fails_doubles_the_wait),
        TEST(a_probe_that_never_comes_back_runs_out),
        TEST(a_probe_that_was_not_made_is_made_by_the_next),
        TEST(what_was_asked_before_does_not_count_after),
        TEST(a_service_without_a_breaker_is_always_asked),
        TEST(it_is_told_apart_from_other_memory),
        TEST(odd_times_are_bounded),
        TEST(whatever_happens_it_is_the_breaker_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
