/* SPDX-License-Identifier: Apache-2.0 */
/* The order of checks, cheap ones first: country, limits on attempts, body, captcha, limits on
 * what is accepted. fg_decide() at the end of this file is the whole of it. */
#include "decide.h"

#include <stdarg.h>
#include <string.h>

#include <apr_strings.h>

#define trace(c, ...)                                                                              \
    do {                                                                                           \
        if ((c)->ops->trace != NULL) {                                                             \
            (c)->ops->trace(c, apr_psprintf((c)->pool, __VA_ARGS__));                              \
        }                                                                                          \
    } while (0)

/* What a step says: go on, or stop with the verdict it has filled in. */
typedef enum step { GO_ON, STOP } step_t;

static step_t refuse(fg_verdict_t *verdict, fg_reason_t reason, const char *detail)
{
    verdict->outcome = FG_OUT_REFUSE;
    verdict->reason = reason;
    verdict->status = fg_reason(reason)->status;
    if (detail != NULL) {
        verdict->detail = detail;
    }
    if (reason == FG_INTERNAL) {
        verdict->fault = 1;
    }
    return STOP;
}

static const char *country_name(const fg_case_t *c)
{
    return !c->country_known ? "not looked up" : *c->country == '\0' ? "unknown" : c->country;
}

/* --- country ---------------------------------------------------------------------------------- */

static void look_up_country(fg_case_t *c, fg_verdict_t *verdict)
{
    c->country[0] = '\0';
    c->country_known = c->ops->country(c, c->country) == 0;
    verdict->country_known = c->country_known;
    memcpy(verdict->country, c->country, sizeof(verdict->country));
    trace(c, "country: %s", country_name(c));
}

static step_t check_country(fg_case_t *c, fg_verdict_t *verdict)
{
    const fg_country_rule_t *rule;

    if (c->policy->countries == NULL || !c->country_known) {
        return GO_ON;
    }
    rule = fg_policy_country(c->policy, c->country);
    if (rule == NULL || rule->action == FG_ACT_ALLOW) {
        trace(c, "country: allowed%s%s", rule != NULL ? " by " : "",
              rule != NULL ? rule->text : "");
        return GO_ON;
    }
    if (rule->action == FG_ACT_LOG) {
        fg_verdict_t note = *verdict;

        note.rule = rule->text;
        refuse(&note, FG_COUNTRY, NULL);
        c->ops->note(c, &note);
        return GO_ON;
    }
    verdict->rule = rule->text;
    return refuse(verdict, FG_COUNTRY, NULL);
}

/* --- limits ----------------------------------------------------------------------------------- */

/* What a limit counts this post under; no bytes: it does not count it at all. */
static apr_size_t limit_value(const fg_case_t *c, const fg_limit_t *limit, const void **value,
                              unsigned char *buffer)
{
    *value = buffer;
    switch (limit->key) {
    case FG_KEY_IP:
        return fg_address_client_key(&c->client, buffer);
    case FG_KEY_COUNTRY:
        if (!c->country_known || !fg_limit_covers_country(limit, c->country)) {
            return 0;
        }
        *value = *c->country == '\0' ? "unknown" : c->country;
        return strlen(*value);
    case FG_KEY_FORM:
        *value = c->form;
        return strlen(c->form);
    }
    return 0;
}

static void refund_from(fg_case_t *c, int first)
{
    while (c->charges->nelts > first) {
        fg_counters_refund(c->counters, apr_array_pop(c->charges));
    }
}

static void fill_count(fg_verdict_t *verdict, const fg_limit_t *limit, const fg_rate_t *rate,
                       const fg_count_t *count)
{
    verdict->rule = limit->text;
    verdict->has_count = 1;
    verdict->count = count->used;
    verdict->rate_count = rate->count;
    verdict->period = rate->period;
    verdict->retry_after = count->retry_after;
}

/* Charge every rate of one limit. The first that is full takes the limit's own charges back. */
static step_t charge_limit(fg_case_t *c, const fg_limit_t *limit, fg_verdict_t *verdict)
{
    unsigned char buffer[FG_ADDRESS_KEY_MAX];
    const void *value;
    apr_size_t len = limit_value(c, limit, &value, buffer);
    int first = c->charges->nelts;
    int i;

    if (len == 0) {
        trace(c, "limit %s: does not count this client", limit->text);
        return GO_ON;
    }
    for (i = 0; i < limit->rates->nelts; i++) {
        const fg_rate_t *rate = &APR_ARRAY_IDX(limit->rates, i, fg_rate_t);
        fg_charge_t *charge = apr_array_push(c->charges);
        fg_counter_key_t key = fg_counters_key(c->counters, limit->id, (unsigned int)i, value, len);
        fg_count_t count = fg_counters_consume(c->counters, key, rate, 1, c->now.steady, charge);

        trace(c, "limit %s: %u of %s", limit->text, count.used, fg_rate_text(rate, c->pool));
        if (!count.admitted) {
            refund_from(c, first);
            fill_count(verdict, limit, rate, &count);
            return refuse(verdict, FG_LIMIT, NULL);
        }
    }
    return GO_ON;
}

/* All limits of one kind, or none of them: where one refuses, those before it are refunded. */
static step_t check_limits(fg_case_t *c, fg_count_when_t when, fg_verdict_t *verdict)
{
    const apr_array_header_t *limits = fg_policy_limits(c->policy, c->pool);
    int first = c->charges->nelts;
    int i;

    for (i = 0; i < limits->nelts; i++) {
        const fg_limit_t *limit = &APR_ARRAY_IDX(limits, i, fg_limit_t);
        fg_verdict_t full = *verdict;

        if (limit->when != when || charge_limit(c, limit, &full) == GO_ON) {
            continue;
        }
        if (limit->action == FG_ACT_LOG) {
            c->ops->note(c, &full);
            continue;
        }
        refund_from(c, first);
        *verdict = full;
        return STOP;
    }
    return GO_ON;
}

/* --- body ------------------------------------------------------------------------------------- */

void fg_decide_wants(const fg_policy_t *policy, fg_submission_t *submission)
{
    const char *field = fg_policy_captcha_field(policy);
    int i;

    for (i = 0; policy->form_fields != NULL && i < policy->form_fields->nelts; i++) {
        fg_submission_want(submission, APR_ARRAY_IDX(policy->form_fields, i, const char *));
    }
    if (field != NULL) {
        fg_submission_want(submission, field);
    }
}

/* @return 1 if the body is what it should be, 0 if it passes unjudged or `step` says more */
static int body_is_usable(fg_case_t *c, const fg_captured_t *captured, fg_verdict_t *verdict,
                          step_t *step)
{
    *step = GO_ON;
    switch (captured->capture) {
    case FG_CAPTURE_WHOLE:
        return 1;
    case FG_CAPTURE_OVER:
    case FG_CAPTURE_CAPS:
        if (fg_policy_body_over_passes(c->policy)) {
            verdict->detail = "body over the limit passed uninspected";
            trace(c, "body: over the limit, passes as configured");
            return 0;
        }
        *step = refuse(verdict, captured->capture == FG_CAPTURE_OVER ? FG_TOO_LARGE : FG_OVER_CAPS,
                       captured->detail);
        return 0;
    case FG_CAPTURE_MALFORMED:
        *step = refuse(verdict, FG_MALFORMED, captured->detail);
        return 0;
    case FG_CAPTURE_ANSWERED:
        *step = refuse(verdict, FG_BODY_LOST, captured->detail);
        verdict->outcome = FG_OUT_ANSWERED;
        verdict->status = captured->status;
        return 0;
    case FG_CAPTURE_FAILED:
        break;
    }
    *step = refuse(verdict, FG_INTERNAL, captured->detail);
    return 0;
}

static int is_submission(const fg_case_t *c, const fg_submission_t *submission)
{
    int i;

    if (c->policy->form_fields == NULL) {
        return 1;
    }
    for (i = 0; i < c->policy->form_fields->nelts; i++) {
        if (fg_submission_has(submission, APR_ARRAY_IDX(c->policy->form_fields, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

/* --- captcha ---------------------------------------------------------------------------------- */

static step_t judge_token(fg_case_t *c, const char *token, fg_verdict_t *verdict)
{
    fg_captcha_result_t result;

    memset(&result, 0, sizeof(result));
    result.reason = FG_VERIFIER; /* an answer nobody fills in is none */
    result.cause = FG_CAUSE_UNREACHABLE;
    if (fg_policy_mode(c->policy) == FG_MODE_DETECT) {
        trace(c, "captcha: DetectionOnly, the token is not spent");
        return GO_ON;
    }
    c->ops->verify(c, token, &result);
    c->now = c->ops->now(c);
    /* A score in a reply that is no good is no score, also where the post passes. */
    verdict->has_score = result.has_score && result.reason != FG_VERIFIER;
    verdict->score = result.score;
    trace(c, "captcha: %s%s%s", fg_reason(result.reason)->words, result.detail != NULL ? ": " : "",
          result.detail != NULL ? result.detail : "");
    if (result.reason == FG_ACCEPTED) {
        return GO_ON;
    }
    verdict->detail = result.detail;
    if (result.reason != FG_VERIFIER) {
        return refuse(verdict, result.reason, NULL);
    }
    verdict->detail = apr_pstrcat(c->pool, "cause=", fg_cause_name(result.cause),
                                  result.detail != NULL ? " " : NULL, result.detail, NULL);
    if (fg_policy_on_error(c->policy, result.cause) == FG_ACT_ALLOW) {
        fg_verdict_t note = *verdict;

        note.rule = "FormGuardCaptchaOnError allow";
        note.fault = result.cause == FG_CAUSE_BAD_SECRET;
        refuse(&note, FG_VERIFIER, NULL);
        c->ops->note(c, &note);
        return GO_ON;
    }
    verdict->fault = result.cause == FG_CAUSE_BAD_SECRET;
    return refuse(verdict, FG_VERIFIER, NULL);
}

static step_t check_captcha(fg_case_t *c, const fg_submission_t *submission, fg_verdict_t *verdict)
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(c->policy);
    const char *field = fg_policy_captcha_field(c->policy);
    const char *rule = provider != NULL ? provider->name : NULL;
    const char *token;
    apr_size_t len;
    apr_size_t total;
    step_t step;

    if (provider == NULL) {
        return GO_ON;
    }
    verdict->rule = rule;
    token = fg_submission_value(submission, field, &len, &total);
    if (token == NULL || total == 0) {
        return refuse(verdict, FG_CAPTCHA_MISSING, NULL);
    }
    if (total != len || !fg_captcha_well_formed(provider, token, len)) {
        return refuse(verdict, FG_CAPTCHA_SHAPE,
                      apr_psprintf(c->pool, "bytes=%" APR_SIZE_T_FMT, total));
    }
    step = judge_token(c, token, verdict);
    if (step == GO_ON) {
        verdict->rule = NULL;
    }
    return step;
}

/* --- the whole -------------------------------------------------------------------------------- */

static step_t walk(fg_case_t *c, fg_verdict_t *verdict)
{
    fg_captured_t captured;
    step_t step;

    look_up_country(c, verdict);
    if (check_country(c, verdict) == STOP) {
        return STOP;
    }
    if (check_limits(c, FG_COUNT_ATTEMPTS, verdict) == STOP) {
        return STOP;
    }

    memset(&captured, 0, sizeof(captured));
    c->ops->capture(c, &captured);
    c->now = c->ops->now(c);
    if (body_is_usable(c, &captured, verdict, &step)) {
        if (!is_submission(c, captured.submission)) {
            refund_from(c, 0);
            verdict->outcome = FG_OUT_PASS;
            verdict->reason = FG_NOT_SUBMISSION;
            verdict->status = fg_reason(FG_NOT_SUBMISSION)->status;
            return STOP;
        }
        step = check_captcha(c, captured.submission, verdict);
    }
    if (step == STOP) {
        return STOP;
    }

    /* Last, so that nobody uses up a form's budget with posts that fail before. */
    return check_limits(c, FG_COUNT_ACCEPTED, verdict);
}

void fg_decide(fg_case_t *c, fg_verdict_t *verdict)
{
    memset(verdict, 0, sizeof(*verdict));
    c->charges = apr_array_make(c->pool, 4, sizeof(fg_charge_t));
    if (walk(c, verdict) == GO_ON) {
        verdict->outcome = FG_OUT_ACCEPT;
        verdict->reason = FG_ACCEPTED;
        verdict->status = 200;
    }
    trace(c, "verdict: %s", fg_reason(verdict->reason)->words);
}
