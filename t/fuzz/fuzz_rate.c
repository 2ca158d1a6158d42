/* SPDX-License-Identifier: Apache-2.0 */
/* Rates and spans of time: what is understood is within its bounds, and written and read again it
 * is the same; its sub-windows follow each other without a gap. */
#include "fuzz.h"
#include "rate.h"

static void check_slices(const fg_rate_t *rate, apr_time_t now)
{
    apr_uint64_t index = fg_rate_index(rate, now);

    MUST(fg_rate_begin(rate, index) <= now && fg_rate_begin(rate, index + 1) > now);
    MUST(fg_rate_index(rate, fg_rate_begin(rate, index)) == index);
    MUST(fg_rate_slice(rate) * FG_RATE_SLICES >= rate->period);
    MUST(fg_rate_begin(rate, index + FG_RATE_LIVE) - now >= rate->period);
    MUST(fg_rate_begin(rate, index + 1) - fg_rate_begin(rate, index) <= fg_rate_slice(rate));
}

FUZZ_TARGET(rate)
{
    fuzz_in_t in = {data, len};
    const char *text = fuzz_rest(&in, pool);
    fg_rate_t rate = {7, 7}, again = {0, 0};
    apr_interval_time_t period = 7;
    const char *error = fg_rate_parse(&rate, text, pool);

    if (error) {
        MUST(rate.count == 7 && rate.period == 7);
        MUST(strlen(error) < 160);
    }
    else {
        MUST(rate.count >= 1 && rate.count <= FG_RATE_MAX_COUNT);
        MUST(rate.period >= APR_USEC_PER_SEC && rate.period <= FG_RATE_MAX_PERIOD);
        MUST(fg_rate_parse(&again, fg_rate_text(&rate, pool), pool) == NULL);
        MUST(again.count == rate.count && again.period == rate.period);
        check_slices(&rate, 0);
        check_slices(&rate, apr_time_from_sec(fuzz_hash(data, len)) + fuzz_hash(data, len) % 1000);
    }
    error = fg_period_parse(&period, text);
    if (error) {
        MUST(period == 7 && strlen(error) < 160);
    }
    else {
        apr_interval_time_t same = 0;

        MUST(period >= 1000 && period <= FG_RATE_MAX_PERIOD);
        MUST(fg_period_parse(&same, fg_period_text(period, pool)) == NULL && same == period);
    }
}
