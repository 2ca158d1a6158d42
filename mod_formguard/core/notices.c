/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file notices.c
 * @brief One bucket a kind: a word that says when it will be full again, and a count.
 */
#include "notices.h"

#define PERIOD APR_USEC_PER_SEC

/* What lies further ahead than any bucket reaches is an error, and not waited for. */
#define AHEAD_MAX (60 * APR_USEC_PER_SEC)

static const unsigned int bursts[FG_NOTICES] = {
#define BURST(name, burst) burst,
    FG_NOTICE_KINDS(BURST)
#undef BURST
};

/* In a second come as many as at once, and one more where that is more than one. Beside all of
 * these stand the few that are said once. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the terms of a sum */
#define LINES(name, burst) +((burst) > 1 ? (burst) + 1 : 1)
_Static_assert(FG_THROTTLE_LINES_MAX FG_NOTICE_KINDS(LINES) + 3 < 100,
               "fewer than 100 lines a second");
#undef LINES

static int take(fg_shared_word_t *bucket, apr_uint64_t now, unsigned int burst)
{
    apr_uint64_t full = atomic_load(bucket), wait;

    do {
        wait = full > now && full - now <= AHEAD_MAX ? full - now : 0;
        if (wait > (burst - 1) * PERIOD) {
            return 0;
        }
    } while (!atomic_compare_exchange_strong(bucket, &full, now + wait + PERIOD));
    return 1;
}

int fg_notice_line(fg_notices_t *notices, fg_notice_t kind, apr_time_t now,
                   apr_uint64_t *suppressed)
{
    int write = take(&notices->full[kind], now > 0 ? (apr_uint64_t)now : 0, bursts[kind]);

    if (suppressed == NULL) {
        return write;
    }
    *suppressed = 0;
    if (write) {
        *suppressed = atomic_exchange(&notices->suppressed[kind], 0);
    }
    else {
        atomic_fetch_add(&notices->suppressed[kind], 1);
    }
    return write;
}
