/* SPDX-License-Identifier: Apache-2.0 */
/* Limits: what each counts a post under, charging them, giving charges back, closing a form. */
#include <string.h>

#include "decide_internal.h"

/* One charge, and the layer it was made under. */
typedef struct charged {
    fg_charge_t charge;
    const fg_layer_t *layer;
} charged_t;

#define FIELD_KEY_MAX 512

/* ASCII letters folded, white space left out: `A@Example.org ` is `a@example.org`. */
static apr_size_t fold(unsigned char *out, const char *value, apr_size_t len)
{
    apr_size_t n = 0;
    apr_size_t i;

    for (i = 0; i < len && n < FIELD_KEY_MAX; i++) {
        unsigned char c = (unsigned char)value[i];

        if (c > ' ') {
            out[n++] = c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
        }
    }
    return n;
}

/* What a limit counts this post under; no bytes: it does not count it at all. */
static apr_size_t limit_value(const fg_case_t *c, const fg_limit_t *limit,
                              const fg_submission_t *submission, const void **value,
                              unsigned char buffer[FIELD_KEY_MAX])
{
    const char *text = NULL;
    apr_size_t len;

    if (fg_limit_needs_country(limit) &&
        (!c->country_known || !fg_limit_covers_country(limit, &c->country))) {
        return 0;
    }
    *value = buffer;
    switch (limit->key) {
    case FG_KEY_IP:
        return fg_address_client_key(&c->client, buffer);
    case FG_KEY_NET:
        return fg_address_net_key(&c->client, buffer);
    case FG_KEY_COUNTRY:
        text = *c->country.code == '\0' ? "unknown" : c->country.code;
        break;
    case FG_KEY_FORM:
        text = c->form;
        break;
    case FG_KEY_SITE:
        text = c->site;
        break;
    case FG_KEY_SERVER:
        text = "server";
        break;
    case FG_KEY_FIELD:
        text =
            submission != NULL ? fg_submission_value(submission, limit->field, &len, NULL) : NULL;
        return text != NULL ? fold(buffer, text, len) : 0;
    }
    *value = text;
    return text != NULL ? strlen(text) : 0;
}

/* Whose counters these are: the limit's, or its own for each form or site. */
static apr_uint64_t counted_in(const fg_case_t *c, const fg_limit_t *limit)
{
    const char *place = limit->in == FG_IN_FORM ? c->form : c->site;

    return limit->in == FG_IN_ANY
               ? limit->id
               : fg_counters_key(c->counters, limit->id, 0, place, strlen(place));
}

void fg_decide_refund_from(fg_case_t *c, int first)
{
    while (c->charges->nelts > first) {
        fg_counters_refund(c->counters, &((charged_t *)apr_array_pop(c->charges))->charge);
    }
}

void fg_decide_refund(fg_case_t *c, const fg_layer_t *layer)
{
    int i;

    for (i = 0; i < c->charges->nelts; i++) {
        charged_t *charged = &APR_ARRAY_IDX(c->charges, i, charged_t);

        if (layer == NULL || charged->layer == layer) {
            fg_counters_refund(c->counters, &charged->charge);
            charged->charge.weight = 0;
        }
    }
}

/* Charge every rate of one limit. The first that is full takes the limit's own charges back.
 * @return that rate, and its `count`; NULL: there is room in all of them */
static const fg_rate_t *charge_limit(fg_case_t *c, const fg_layer_t *layer, const fg_limit_t *limit,
                                     const fg_submission_t *submission, fg_count_t *count)
{
    unsigned char buffer[FIELD_KEY_MAX];
    const void *value;
    apr_size_t len = limit_value(c, limit, submission, &value, buffer);
    apr_uint64_t digest, rule;
    int first = c->charges->nelts;
    int i;

    if (len == 0) {
        trace(c, "limit %s: does not count this post", limit->text);
        return NULL;
    }
    rule = counted_in(c, limit);
    digest = fg_counters_digest(c->counters, value, len);
    for (i = 0; i < limit->rates->nelts; i++) {
        const fg_rate_t *rate = &APR_ARRAY_IDX(limit->rates, i, fg_rate_t);
        charged_t *charged = apr_array_push(c->charges);
        fg_counter_key_t key = fg_counters_key_of(digest, rule, (unsigned int)i);

        *count = fg_counters_consume(c->counters, key, rate, limit->weight, c->now.steady,
                                     &charged->charge);
        charged->layer = layer;
        trace(c, "limit %s: %u of %s", limit->text, count->used, fg_rate_text(rate, c->pool));
        if (!count->admitted) {
            fg_decide_refund_from(c, first);
            c->full = key;
            return rate;
        }
    }
    return NULL;
}

/* `full`, which is the verdict so far, for a limit whose `rate` holds all it may. */
static void fill_count(fg_verdict_t *full, const fg_limit_t *limit, const fg_rate_t *rate,
                       const fg_count_t *count)
{
    full->rule = limit->text;
    full->has_count = 1;
    full->count = count->used;
    full->rate_count = rate->count;
    full->period = rate->period;
    full->retry_after = count->retry_after;
    fg_decide_refuse(full, FG_LIMIT, NULL);
}

apr_uint64_t fg_decide_form_key(const fg_case_t *c)
{
    return fg_counters_key(c->counters, 0, 0, c->form, strlen(c->form));
}

/* The limit is over: the form is closed for everybody, by whoever comes first. */
static void close_form(fg_case_t *c, const fg_layer_t *layer, const fg_limit_t *limit,
                       fg_verdict_t *verdict)
{
    apr_time_t until = c->now.steady + limit->close_for;

    fg_decide_refuse(verdict, FG_CLOSED, NULL);
    verdict->retry_after = limit->close_for;
    if (fg_policy_mode(layer->policy) == FG_MODE_DETECT || c->closures == NULL) {
        return;
    }
    if (fg_closures_close(c->closures, fg_decide_form_key(c), c->ops->label(c), c->full,
                          c->now.steady, until)) {
        c->ops->closed(c, verdict);
    }
}

fg_step_t fg_decide_limits(fg_case_t *c, fg_layer_t *layer, fg_count_when_t when,
                           const fg_submission_t *submission, fg_verdict_t *verdict)
{
    const apr_array_header_t *limits = fg_policy_limits(layer->policy, c->pool);
    int first = c->charges->nelts;
    int i;

    for (i = 0; i < limits->nelts; i++) {
        const fg_limit_t *limit = &APR_ARRAY_IDX(limits, i, fg_limit_t);
        const fg_rate_t *rate;
        fg_count_t count;
        fg_verdict_t full;

        if (limit->when != when) {
            continue;
        }
        rate = charge_limit(c, layer, limit, submission, &count);
        if (rate == NULL) {
            continue;
        }
        full = *verdict;
        fill_count(&full, limit, rate, &count);
        if (limit->action == FG_ACT_CLOSE) {
            close_form(c, layer, limit, &full);
        }
        else if (fg_decide_act(c, layer, limit->action, FG_LIMIT, limit->text, &full) == GO_ON) {
            continue;
        }
        fg_decide_refund_from(c, first);
        *verdict = full;
        return STOP;
    }
    return GO_ON;
}

apr_array_header_t *fg_decide_charges(apr_pool_t *pool)
{
    return apr_array_make(pool, 4, sizeof(charged_t));
}
