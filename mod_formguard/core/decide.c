/* SPDX-License-Identifier: Apache-2.0 */
/* The order of checks, cheap ones first: denied, closed, country, limits on attempts, body, fields,
 * captcha, limits on what is accepted. fg_decide() at the end of this file is the whole of it; each
 * step is taken under every layer before the next one is. */
#include "decide.h"

#include <string.h>

#include <apr_fnmatch.h>

#include "decide_internal.h"

fg_step_t fg_decide_refuse(fg_verdict_t *verdict, fg_reason_t reason, const char *detail)
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

fg_step_t fg_decide_act(fg_case_t *c, fg_layer_t *layer, fg_action_t action, fg_reason_t reason,
                        const char *rule, fg_verdict_t *verdict)
{
    fg_verdict_t note = *verdict;

    note.rule = rule;
    fg_decide_refuse(&note, reason, NULL);
    if (action == FG_ACT_LOG) {
        c->ops->note(c, &note);
        return GO_ON;
    }
    if (action == FG_ACT_CHALLENGE && fg_decide_can_challenge(c, layer)) {
        trace(c, "challenged by %s", rule);
        if (!layer->challenged) {
            layer->challenged = 1;
            layer->challenge = note;
        }
        return GO_ON;
    }
    *verdict = note;
    return STOP;
}

/* --- before the body -------------------------------------------------------------------------- */

static void look_up_country(fg_case_t *c, fg_verdict_t *verdict)
{
    c->country = fg_country_of("");
    c->country_known = c->ops->country(c, &c->country) == 0;
    verdict->country_known = c->country_known;
    memcpy(verdict->country, c->country.code, sizeof(verdict->country));
    trace(c, "country: %s%s",
          !c->country_known          ? "not looked up"
          : *c->country.code == '\0' ? "unknown"
                                     : c->country.code,
          c->country.in_eu ? ", in the EU" : "");
}

static fg_step_t check_closed(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    apr_interval_time_t left;

    (void)layer;
    if (c->closures == NULL || !fg_closures_any(c->closures, c->now.steady)) {
        return GO_ON;
    }
    left = fg_closures_left(c->closures, fg_decide_form_key(c), c->now.steady);
    if (left == 0) {
        return GO_ON;
    }
    verdict->retry_after = left;
    return fg_decide_refuse(verdict, FG_CLOSED, NULL);
}

/* Whatever its fields say: a robot would leave them out. */
static fg_step_t check_deny(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    (void)c;
    if (layer->policy->deny != FG_MODE_ON) {
        return GO_ON;
    }
    verdict->rule = "FormGuardDeny On";
    return fg_decide_refuse(verdict, FG_DENY, NULL);
}

static fg_step_t check_country(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    const fg_country_rule_t *rule;

    if (layer->policy->countries == NULL || !c->country_known) {
        return GO_ON;
    }
    rule = fg_policy_country(layer->policy, &c->country);
    if (rule == NULL || rule->action == FG_ACT_ALLOW) {
        trace(c, "country: allowed%s%s", rule != NULL ? " by " : "",
              rule != NULL ? rule->text : "");
        return GO_ON;
    }
    return fg_decide_act(c, layer, rule->action, FG_COUNTRY, rule->text, verdict);
}

static fg_step_t check_attempts(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    return fg_decide_limits(c, layer, FG_COUNT_ATTEMPTS, NULL, verdict);
}

/* After the limits: whoever is over one costs no lookup. */
static fg_step_t check_dnsbl(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    const apr_array_header_t *rules = layer->policy->dnsbls;
    int i;

    for (i = 0; rules != NULL && c->ops->dnsbl != NULL && i < rules->nelts; i++) {
        const fg_dnsbl_rule_t *rule = &APR_ARRAY_IDX(rules, i, fg_dnsbl_rule_t);
        fg_dnsbl_result_t result;
        char code[FG_DNSBL_CODE_TEXT];

        memset(&result, 0, sizeof(result));
        c->ops->dnsbl(c, &rule->zone, fg_policy_dnsbl_timeout(layer->policy), &result);
        if (!result.cached) {
            c->now = c->ops->now(c);
        }
        if (result.status != FG_DNSBL_LISTED) {
            trace(c, "blocklist %s: %s", rule->text,
                  result.status == FG_DNSBL_UNKNOWN ? fg_dnsbl_reason_name(result.reason)
                                                    : "not listed");
            continue;
        }
        trace(c, "blocklist %s: listed", rule->text);
        verdict->detail =
            apr_pstrcat(c->pool, "code=", fg_dnsbl_code_text(code, result.code), NULL);
        if (fg_decide_act(c, layer, rule->action, FG_DNSBL, rule->text, verdict) == STOP) {
            return STOP;
        }
        verdict->detail = NULL;
    }
    return GO_ON;
}

/* --- body ------------------------------------------------------------------------------------- */

static void want_all(const fg_policy_t *policy, fg_submission_t *submission, apr_pool_t *pool)
{
    const apr_array_header_t *names = policy->form_fields;
    const char *field = fg_policy_captcha_field(policy);
    int i;

    for (i = 0; names != NULL && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (!fg_policy_is_path(name)) {
            fg_submission_want(submission, apr_pstrmemdup(pool, name, strcspn(name, "=")));
        }
    }
    for (i = 0; policy->fields != NULL && i < policy->fields->nelts; i++) {
        fg_submission_watch(submission, APR_ARRAY_IDX(policy->fields, i, fg_field_rule_t).name);
    }
    for (i = 0; policy->limits != NULL && i < policy->limits->nelts; i++) {
        const fg_limit_t *limit = &APR_ARRAY_IDX(policy->limits, i, fg_limit_t);

        if (limit->key == FG_KEY_FIELD) {
            fg_submission_want(submission, limit->field);
        }
    }
    if (field != NULL) {
        fg_submission_want(submission, field);
        fg_submission_want(submission, fg_policy_captcha(policy)->field);
        if (fg_policy_falls_back(policy)) {
            fg_submission_want(submission, FG_CHALLENGE_FIELD);
        }
    }
}

void fg_decide_wants(const fg_case_t *c, fg_submission_t *submission)
{
    int i;

    for (i = 0; i < c->layers; i++) {
        if (c->layer[i].active) {
            want_all(c->layer[i].policy, submission, c->pool);
        }
    }
}

apr_off_t fg_decide_body_limit(const fg_case_t *c)
{
    return fg_policy_body_limit(c->layer[c->layers == 2 && !c->layer[0].active].policy);
}

static fg_step_t check_body(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    const fg_captured_t *captured = &c->captured;

    switch (captured->capture) {
    case FG_CAPTURE_WHOLE:
        if (captured->size > fg_policy_body_limit(layer->policy) &&
            !fg_policy_body_over_passes(layer->policy)) {
            return fg_decide_refuse(verdict, FG_TOO_LARGE, captured->detail);
        }
        return GO_ON;
    case FG_CAPTURE_OVER:
    case FG_CAPTURE_CAPS:
        if (fg_policy_body_over_passes(layer->policy)) {
            verdict->detail = "body over the limit passed uninspected";
            trace(c, "body: over the limit, passes as configured");
            return GO_ON;
        }
        return fg_decide_refuse(verdict,
                                captured->capture == FG_CAPTURE_OVER ? FG_TOO_LARGE : FG_OVER_CAPS,
                                captured->detail);
    case FG_CAPTURE_MALFORMED:
        return fg_decide_refuse(verdict, FG_MALFORMED, captured->detail);
    case FG_CAPTURE_UNSEALED:
        return fg_decide_refuse(verdict, FG_KEPT, captured->detail);
    case FG_CAPTURE_ANSWERED:
        fg_decide_refuse(verdict, FG_BODY_LOST, captured->detail);
        verdict->outcome = FG_OUT_ANSWERED;
        verdict->status = captured->status;
        return STOP;
    case FG_CAPTURE_FAILED:
        break;
    }
    return fg_decide_refuse(verdict, FG_INTERNAL, captured->detail);
}

/* Software that takes posts at a URL of its own needs no field: a robot leaves it out. */
static int has_path(const char *wanted, const fg_case_t *c)
{
    int i;

    for (i = 0; i < FG_PATHS; i++) {
        if (c->path[i] != NULL &&
            apr_fnmatch(wanted, c->path[i], APR_FNM_CASE_BLIND) == APR_SUCCESS) {
            return 1;
        }
    }
    return 0;
}

/* `NAME`, `NAME=VALUE`, or the path of a URL where every post is a submission. */
static int has_field(const char *wanted, const fg_case_t *c)
{
    const char *equals = strchr(wanted, '=');

    if (fg_policy_is_path(wanted)) {
        return has_path(wanted, c);
    }
    if (equals == NULL) {
        return fg_submission_has(c->captured.submission, wanted);
    }
    return fg_submission_has_value(c->captured.submission,
                                   apr_pstrmemdup(c->pool, wanted, (apr_size_t)(equals - wanted)),
                                   equals + 1);
}

static int is_submission(const fg_case_t *c, const fg_policy_t *policy)
{
    int i;

    if (policy->form_fields == NULL) {
        return 1;
    }
    for (i = 0; i < policy->form_fields->nelts; i++) {
        if (has_field(APR_ARRAY_IDX(policy->form_fields, i, const char *), c)) {
            return 1;
        }
    }
    return 0;
}

/* A layer that looks for fields this post has none of says nothing about it, and counts nothing. */
static fg_step_t check_submission(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    (void)verdict;
    if (c->captured.capture == FG_CAPTURE_WHOLE && !is_submission(c, layer->policy)) {
        trace(c, "no form field: not judged");
        fg_decide_refund(c, layer);
        layer->active = 0;
    }
    return GO_ON;
}

static fg_step_t check_fields(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    if (c->captured.capture != FG_CAPTURE_WHOLE) {
        return GO_ON;
    }
    return fg_decide_fields(c, layer, c->captured.submission, verdict);
}

static fg_step_t check_captcha(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    if (c->captured.capture != FG_CAPTURE_WHOLE) {
        return fg_decide_unanswered(c, layer, verdict);
    }
    return fg_decide_captcha(c, layer, c->captured.submission, verdict);
}

static fg_step_t check_accepted(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict)
{
    return fg_decide_limits(c, layer, FG_COUNT_ACCEPTED, c->captured.submission, verdict);
}

/* --- the whole -------------------------------------------------------------------------------- */

/*
 * What needs no body is checked before it, so that who is refused costs no reading. But a layer
 * that looks for form fields does not know before the body whether this post is its business: an
 * editor at work behind the address of a busy form must not be refused for what the form has seen.
 */
typedef enum turn { ANY, BEFORE_BODY, AFTER_BODY } turn_t;

static int has_turn(const fg_layer_t *layer, turn_t turn)
{
    turn_t own = layer->policy->form_fields != NULL ? AFTER_BODY : BEFORE_BODY;

    return layer->active && (turn == ANY || turn == own);
}

typedef fg_step_t check_fn(fg_case_t *c, fg_layer_t *layer, fg_verdict_t *verdict);

/* A check under a layer in DetectionOnly: where that would refuse, it is done with this post. */
static fg_step_t watch(fg_case_t *c, check_fn *check, fg_layer_t *layer, fg_verdict_t *verdict)
{
    const fg_verdict_t before = *verdict;

    if (check(c, layer, verdict) == GO_ON) {
        return GO_ON;
    }
    if (verdict->outcome == FG_OUT_ANSWERED) {
        return STOP;
    }
    if (!c->would.would) {
        c->would = *verdict;
        c->would.would = 1;
    }
    *verdict = before;
    layer->active = 0;
    if (c->verified == layer->policy) {
        c->verified = NULL; /* a post it had refused would have got no clearance */
    }
    return GO_ON;
}

/*
 * One check under every layer that is still active.
 * @return STOP if the post is refused or no layer is left
 */
static fg_step_t take(fg_case_t *c, check_fn *check, turn_t turn, fg_verdict_t *verdict)
{
    int first = c->charges->nelts;
    int left = 0;
    int i;

    for (i = 0; i < c->layers; i++) {
        fg_layer_t *layer = &c->layer[i];
        fg_step_t step = GO_ON;

        if (has_turn(layer, turn)) {
            step = fg_policy_mode(layer->policy) == FG_MODE_DETECT ? watch(c, check, layer, verdict)
                                                                   : check(c, layer, verdict);
        }
        if (step == STOP) {
            fg_decide_refund_from(c, first); /* what the layers before it have charged for this */
            return STOP;
        }
        left += layer->active;
    }
    return left > 0 ? GO_ON : STOP;
}

/* 1 if there is a layer whose turn it is. */
static int any_has_turn(const fg_case_t *c, turn_t turn)
{
    int i;

    for (i = 0; i < c->layers; i++) {
        if (has_turn(&c->layer[i], turn)) {
            return 1;
        }
    }
    return 0;
}

static fg_step_t take_all(fg_case_t *c, check_fn *const *checks, turn_t turn, fg_verdict_t *verdict)
{
    for (; *checks != NULL; checks++) {
        if (take(c, *checks, turn, verdict) == STOP) {
            return STOP;
        }
    }
    return GO_ON;
}

static fg_step_t walk(fg_case_t *c, fg_verdict_t *verdict)
{
    static check_fn *const without_body[] = {check_closed, check_country, check_attempts,
                                             check_dnsbl, NULL};
    static check_fn *const body[] = {check_body, check_submission, NULL};
    static check_fn *const with_body[] = {check_fields, check_captcha,
                                          /* last, so that nobody uses up a form's budget with
                                           * posts that fail before */
                                          check_accepted, NULL};

    look_up_country(c, verdict);
    if (take(c, check_deny, ANY, verdict) == STOP ||
        (any_has_turn(c, BEFORE_BODY) && take_all(c, without_body, BEFORE_BODY, verdict) == STOP)) {
        return STOP;
    }
    c->ops->capture(c, &c->captured);
    c->now = c->ops->now(c);
    if (take_all(c, body, ANY, verdict) == STOP ||
        (any_has_turn(c, AFTER_BODY) && take_all(c, without_body, AFTER_BODY, verdict) == STOP)) {
        return STOP;
    }
    return take_all(c, with_body, ANY, verdict);
}

void fg_decide(fg_case_t *c, fg_verdict_t *verdict)
{
    int i;

    for (i = 0; i < c->layers; i++) {
        c->layer[i].challenged = 0;
    }
    memset(verdict, 0, sizeof(*verdict));
    c->verified = NULL;
    c->passed = NULL;
    c->cleared = 0;
    c->own_token = 0;
    memset(&c->would, 0, sizeof(c->would));
    memset(&c->captured, 0, sizeof(c->captured));
    c->charges = fg_decide_charges(c->pool);
    if (walk(c, verdict) == GO_ON) {
        verdict->outcome = FG_OUT_ACCEPT;
        verdict->reason = FG_ACCEPTED;
        verdict->status = 200;
    }
    else if (verdict->outcome == FG_OUT_PASS) {
        verdict->reason = FG_NOT_SUBMISSION;
        verdict->status = fg_reason(FG_NOT_SUBMISSION)->status;
    }
    /* What one layer would have done is told unless another has really refused. */
    if (c->would.would && verdict->outcome != FG_OUT_REFUSE &&
        verdict->outcome != FG_OUT_ANSWERED) {
        *verdict = c->would;
    }
    trace(c, "verdict: %s", fg_reason(verdict->reason)->words);
}
