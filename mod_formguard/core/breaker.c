/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file breaker.c
 * @brief Breakers in shared memory, two words each: the name, set once, and the state.
 *
 *     state   phase:2 cause:3 step:4 failures:3 generation:12 until:40
 *
 * `until` is steady time in units of 2^14 microseconds: OPEN, when one may ask; PROBING, when the
 * one who asks is taken for dead. Each opening and each probe has a generation of its own: what
 * was asked before it and comes in after is not about this state any more.
 */
#include "breaker.h"

#include <stdatomic.h>
#include <string.h>

#include <apr_siphash.h>

#include "shared.h"

#define MAGIC   APR_UINT64_C(0x6667627265616b31)
#define VERSION 1

/* Words are only ever compared and exchanged, under cmocka as in httpd. */
typedef struct cell {
    fg_shared_word_t name; /* hash of it; 0: free */
    fg_shared_word_t state;
} cell_t;

struct fg_breaker {
    fg_shared_header_t header;
    cell_t cell[FG_BREAKER_CELLS];
};

typedef enum phase { CLOSED, OPEN, PROBING } phase_t;

typedef struct state {
    phase_t phase;
    fg_cause_t cause;
    unsigned int step;     /* how often the wait was doubled */
    unsigned int failures; /* in a row, while CLOSED */
    unsigned int generation;
    apr_uint64_t until;
} state_t;

#define UNIT_BITS      14
#define UNTIL_MAX      ((APR_UINT64_C(1) << 40) - 1)
#define GENERATION_MAX 0xfffu
#define STEP_MAX       15u

_Static_assert(FG_CAUSE_COUNT <= 8, "a cause fits its bits");
_Static_assert(FG_BREAKER_FAILURES <= 7, "failures fit their bits");

static apr_uint64_t pack(const state_t *s)
{
    return (apr_uint64_t)s->phase << 62 | (apr_uint64_t)s->cause << 59 |
           (apr_uint64_t)s->step << 55 | (apr_uint64_t)s->failures << 52 |
           (apr_uint64_t)s->generation << 40 | s->until;
}

/* What memory says is never trusted to be a phase or a cause. */
static state_t unpack(apr_uint64_t word)
{
    state_t s = {.phase = word >> 62 <= PROBING ? (phase_t)(word >> 62) : CLOSED,
                 .cause = (fg_cause_t)(word >> 59 & 7),
                 .step = (unsigned int)(word >> 55) & STEP_MAX,
                 .failures = (unsigned int)(word >> 52) & 7,
                 .generation = (unsigned int)(word >> 40) & GENERATION_MAX,
                 .until = word & UNTIL_MAX};

    if (s.cause >= FG_CAUSE_COUNT) {
        s.cause = FG_CAUSE_NONE;
    }
    return s;
}

static apr_uint64_t units(apr_time_t now)
{
    return now > 0 ? (apr_uint64_t)now >> UNIT_BITS & UNTIL_MAX : 0;
}

/* Rounded up: nobody is early. */
static apr_uint64_t units_after(apr_time_t now, apr_interval_time_t term)
{
    apr_uint64_t until = units((now > 0 ? now : 0) + (term > 0 ? term : 0)) + 1;

    return until < UNTIL_MAX ? until : UNTIL_MAX;
}

static apr_interval_time_t left(const state_t *s, apr_time_t now)
{
    apr_interval_time_t end = (apr_interval_time_t)(s->until << UNIT_BITS);

    return s->phase != CLOSED && end > now ? end - now : 0;
}

static apr_interval_time_t wait_of(unsigned int step)
{
    apr_interval_time_t wait = FG_BREAKER_SHORTEST << step;

    return wait < FG_BREAKER_LONGEST ? wait : FG_BREAKER_LONGEST;
}

/* --- the memory ------------------------------------------------------------------------------- */

apr_size_t fg_breaker_size(void)
{
    return sizeof(fg_breaker_t);
}

apr_status_t fg_breaker_format(void *mem, apr_size_t size, const unsigned char secret[16])
{
    return fg_shared_format(mem, size, sizeof(fg_breaker_t), MAGIC, VERSION, secret);
}

fg_breaker_t *fg_breaker_attach(void *mem, apr_size_t size)
{
    return fg_shared_is(mem, size, sizeof(fg_breaker_t), MAGIC, VERSION) ? mem : NULL;
}

/* @param claim whether to take a free cell. @return the service's cell, or -1 */
static int find(const fg_breaker_t *breaker, const char *service, int claim)
{
    apr_uint64_t name = apr_siphash24(service, strlen(service), breaker->header.secret);
    unsigned int i;

    name = name != 0 ? name : 1;
    for (i = 0; i < FG_BREAKER_CELLS; i++) {
        unsigned int at = (unsigned int)(name + i) % FG_BREAKER_CELLS;
        fg_shared_word_t *held_by = (fg_shared_word_t *)&breaker->cell[at].name;
        apr_uint64_t held = atomic_load(held_by);

        if (held == 0 && !claim) {
            return -1;
        }
        if (held == name ||
            (held == 0 && (atomic_compare_exchange_strong(held_by, &held, name) || held == name))) {
            return (int)at;
        }
    }
    return -1;
}

/* --- states ----------------------------------------------------------------------------------- */

static void tell(const state_t *s, apr_time_t now, fg_breaker_state_t *state)
{
    state->open = s->phase != CLOSED;
    state->cause = s->cause;
    state->next_try = left(s, now);
}

int fg_breaker_enter(fg_breaker_t *breaker, const char *service, apr_time_t now,
                     apr_interval_time_t term, fg_breaker_ticket_t *ticket,
                     fg_breaker_state_t *state)
{
    fg_shared_word_t *held;

    ticket->cell = find(breaker, service, 1);
    ticket->word = 0;
    if (ticket->cell < 0) {
        return 1;
    }
    held = &breaker->cell[ticket->cell].state;
    ticket->word = atomic_load(held);
    for (;;) {
        state_t s = unpack(ticket->word);
        apr_uint64_t mine;

        if (s.phase == CLOSED) {
            return 1;
        }
        if (left(&s, now) > 0) {
            tell(&s, now, state);
            return 0;
        }
        /* The time of waiting is over, or that of the one who probes. */
        s.phase = PROBING;
        s.generation = (s.generation + 1) & GENERATION_MAX;
        s.until = units_after(now, term);
        mine = pack(&s);
        if (atomic_compare_exchange_strong(held, &ticket->word, mine)) {
            ticket->word = mine;
            return 1;
        }
    }
}

/* What a service's state is after an outcome; FG_BREAKER_SAME: as it was, or all but. */
static fg_breaker_change_t next(state_t *s, apr_time_t now, fg_breaker_outcome_t outcome,
                                fg_cause_t cause)
{
    phase_t before = s->phase;

    if (outcome == FG_BREAKER_ANSWERED) {
        s->phase = CLOSED;
        s->step = s->failures = 0;
        s->cause = FG_CAUSE_NONE;
        s->until = 0;
        return before == CLOSED ? FG_BREAKER_SAME : FG_BREAKER_CLOSED;
    }
    s->cause = cause;
    if (before == CLOSED && ++s->failures < FG_BREAKER_FAILURES) {
        return FG_BREAKER_SAME;
    }
    if (before != CLOSED && wait_of(s->step) < FG_BREAKER_LONGEST) {
        s->step++;
    }
    s->phase = OPEN;
    s->failures = 0;
    s->generation = (s->generation + 1) & GENERATION_MAX;
    s->until = units_after(now, wait_of(s->step));
    return before == CLOSED ? FG_BREAKER_OPENED : FG_BREAKER_SAME;
}

fg_breaker_change_t fg_breaker_leave(fg_breaker_t *breaker, const fg_breaker_ticket_t *ticket,
                                     apr_time_t now, fg_breaker_outcome_t outcome, fg_cause_t cause)
{
    const state_t then = unpack(ticket->word);
    fg_shared_word_t *held;
    apr_uint64_t word;

    if (ticket->cell < 0 || ticket->cell >= FG_BREAKER_CELLS) {
        return FG_BREAKER_SAME;
    }
    held = &breaker->cell[ticket->cell].state;
    word = atomic_load(held);
    for (;;) {
        state_t s = unpack(word);
        fg_breaker_change_t change;
        apr_uint64_t after;

        if (s.phase != then.phase || s.generation != then.generation) {
            return FG_BREAKER_SAME; /* it has opened meanwhile, or another probes: theirs counts */
        }
        change = next(&s, now, outcome, cause);
        after = pack(&s);
        if (after == word || atomic_compare_exchange_strong(held, &word, after)) {
            return change;
        }
    }
}

void fg_breaker_cancel(fg_breaker_t *breaker, const fg_breaker_ticket_t *ticket, apr_time_t now)
{
    state_t s = unpack(ticket->word);
    apr_uint64_t word = ticket->word;

    if (ticket->cell < 0 || ticket->cell >= FG_BREAKER_CELLS || s.phase != PROBING) {
        return;
    }
    s.phase = OPEN;
    s.until = units(now);
    atomic_compare_exchange_strong(&breaker->cell[ticket->cell].state, &word, pack(&s));
}

int fg_breaker_peek(const fg_breaker_t *breaker, const char *service, apr_time_t now,
                    fg_breaker_state_t *state)
{
    int at = find(breaker, service, 0);
    state_t s;

    memset(state, 0, sizeof(*state));
    if (at < 0) {
        return 0;
    }
    s = unpack(atomic_load((fg_shared_word_t *)&breaker->cell[at].state));
    tell(&s, now, state);
    return 1;
}
