/* SPDX-License-Identifier: Apache-2.0 */
/* The captcha of a decision: is one due, is there a token, what does its service say. */
#include <string.h>

#include "decide_internal.h"

/* What a layer in DetectionOnly asks for or objects to is nothing to one that enforces. */
static int means_something_to(const fg_layer_t *by, const fg_layer_t *layer)
{
    return by->active && (fg_policy_mode(by->policy) != FG_MODE_DETECT ||
                          fg_policy_mode(layer->policy) == FG_MODE_DETECT);
}

/* The layer whose captcha a post is asked for on behalf of this one: one captcha a post, however
 * many layers want one, that of the innermost. NULL: there is none. */
static const fg_layer_t *asker(const fg_case_t *c, const fg_layer_t *layer)
{
    int i;

    for (i = c->layers - 1; i >= 0; i--) {
        if (fg_policy_captcha(c->layer[i].policy) != NULL &&
            means_something_to(&c->layer[i], layer)) {
            return &c->layer[i];
        }
    }
    return NULL;
}

static int stripped_fields(const fg_policy_t *policy, const char *names[3])
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(policy);
    int count = 0;

    if (fg_policy_captcha_by_application(policy)) {
        return 0; /* which could ask about nothing then */
    }
    if (fg_policy_strips(policy, provider->ask == NULL)) {
        names[count++] = fg_policy_captcha_field(policy);
    }
    if (fg_policy_falls_back(policy) && fg_policy_strips(policy, 1)) {
        names[count++] = FG_CHALLENGE_FIELD;
    }
    if (provider->compat_field != NULL && fg_policy_strips(policy, 0)) {
        names[count++] = provider->compat_field;
    }
    return count;
}

const fg_policy_t *fg_decide_strips(const fg_case_t *c, fg_strip_t *strip)
{
    const char *names[3];
    int count = 0;
    int i;
    int k;

    for (i = c->layers - 1; i >= 0; i--) {
        const fg_policy_t *policy = c->layer[i].policy;

        if (!c->layer[i].active || fg_policy_mode(policy) != FG_MODE_ON ||
            fg_policy_captcha(policy) == NULL) {
            continue;
        }
        count = stripped_fields(policy, names);
        for (k = 0; k < count && strip != NULL; k++) {
            fg_strip_name(strip, names[k]);
        }
        return count > 0 ? policy : NULL;
    }
    return NULL;
}

int fg_decide_strip_holds(fg_case_t *c, const fg_policy_t *policy)
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(policy);
    const char *token;
    apr_size_t len;
    apr_size_t total;

    if (provider->ask != NULL || policy->captcha_strip != FG_MODE_UNSET || c->own_token ||
        c->ops->own == NULL) {
        return 1;
    }
    token =
        fg_submission_value(c->captured.submission, fg_policy_captcha_field(policy), &len, &total);
    if (token == NULL || total == 0) {
        return 1;
    }
    return total == len && fg_captcha_well_formed(provider, token, len) && c->ops->own(c, token);
}

int fg_decide_can_challenge(const fg_case_t *c, const fg_layer_t *layer)
{
    return asker(c, layer) != NULL;
}

fg_step_t fg_decide_unanswered(fg_case_t *c, const fg_layer_t *layer, fg_verdict_t *verdict)
{
    if (!layer->challenged) {
        return GO_ON;
    }
    trace(c, "captcha: none can be asked for");
    *verdict = layer->challenge;
    return STOP;
}

/* What a rule with action=challenge has said; NULL if none was met. */
static const fg_verdict_t *challenger(const fg_case_t *c, const fg_layer_t *layer)
{
    int i;

    for (i = 0; i < c->layers; i++) {
        if (c->layer[i].challenged && means_something_to(&c->layer[i], layer)) {
            return &c->layer[i].challenge;
        }
    }
    return NULL;
}

/* Who can't solve a challenge, a script that posts, is told what the rule itself would have said.
 */
static void note_challenger(const fg_verdict_t *challenger, fg_verdict_t *verdict)
{
    verdict->challenged_by = challenger->rule;
    if (verdict->challenge) {
        verdict->challenged_for = challenger->reason;
        verdict->retry_after = challenger->retry_after;
    }
}

/* What FormGuardCaptchaOnError lets pass is told all the same. */
static void note_error(fg_case_t *c, const char *rule, fg_verdict_t *verdict)
{
    fg_verdict_t note = *verdict;

    note.rule = rule;
    fg_decide_refuse(&note, FG_VERIFIER, NULL);
    c->ops->note(c, &note);
    verdict->detail = NULL;
}

/* The answer to the built-in captcha: the challenge page sends it beside the submission. */
static const char *built_in_answer(const fg_case_t *c, const fg_submission_t *submission,
                                   const char *field, apr_size_t *len, apr_size_t *total)
{
    if (c->captured.answer != NULL) {
        *len = strlen(c->captured.answer);
        *total = c->captured.answer_len;
        return c->captured.answer;
    }
    return fg_submission_value(submission, field, len, total);
}

/* The built-in challenge takes the place of a service that could not judge: who has solved it
 * passes, who has not is asked to. */
static fg_step_t fall_back(fg_case_t *c, const fg_layer_t *layer, const fg_submission_t *submission,
                           fg_verdict_t *verdict)
{
    fg_captcha_result_t result;
    apr_size_t len;
    apr_size_t total;
    const char *answer = built_in_answer(c, submission, FG_CHALLENGE_FIELD, &len, &total);

    verdict->fallback = 1;
    verdict->rule = FG_CHALLENGE_FIELD;
    if (answer == NULL || total == 0) {
        return fg_decide_refuse(verdict, FG_CAPTCHA_MISSING, NULL);
    }
    if (total != len ||
        !fg_captcha_well_formed(fg_captcha_provider(FG_CHALLENGE_FIELD), answer, len)) {
        return fg_decide_refuse(verdict, FG_CAPTCHA_SHAPE,
                                apr_psprintf(c->pool, "bytes=%" APR_SIZE_T_FMT, total));
    }
    memset(&result, 0, sizeof(result));
    result.reason = FG_CAPTCHA_REJECTED;
    c->ops->challenge(c, layer->policy, answer, &result);
    trace(c, "challenge in place of the captcha: %s", fg_reason(result.reason)->words);
    if (result.reason != FG_ACCEPTED) {
        return fg_decide_refuse(verdict, result.reason, result.detail);
    }
    verdict->fallback = 0;
    c->verified = layer->policy;
    c->passed = fg_captcha_provider(FG_CHALLENGE_FIELD);
    note_error(c, "FormGuardCaptchaOnError altcha", verdict);
    return GO_ON;
}

static fg_step_t on_error(fg_case_t *c, const fg_layer_t *layer, const fg_submission_t *submission,
                          const fg_captcha_result_t *result, fg_verdict_t *verdict)
{
    fg_action_t action = fg_policy_on_error(layer->policy, result->cause);

    verdict->detail = apr_pstrcat(c->pool, "cause=", fg_cause_name(result->cause),
                                  result->detail != NULL ? " " : NULL, result->detail, NULL);
    if (action == FG_ACT_ALLOW) {
        note_error(c, "FormGuardCaptchaOnError allow", verdict);
        return GO_ON;
    }
    if (action == FG_ACT_CHALLENGE && c->ops->challenge != NULL) {
        return fall_back(c, layer, submission, verdict);
    }
    verdict->retry_after = result->retry_after;
    return fg_decide_refuse(verdict, FG_VERIFIER, NULL);
}

static fg_step_t judge_token(fg_case_t *c, const fg_layer_t *layer,
                             const fg_submission_t *submission, const char *token,
                             fg_verdict_t *verdict)
{
    fg_captcha_result_t result;

    memset(&result, 0, sizeof(result));
    result.reason = FG_VERIFIER; /* an answer nobody fills in is none */
    result.cause = FG_CAUSE_UNREACHABLE;
    if (fg_policy_mode(layer->policy) == FG_MODE_DETECT &&
        fg_policy_captcha(layer->policy)->ask != NULL) {
        trace(c, "captcha: DetectionOnly, the token is not spent");
        return GO_ON;
    }
    if (fg_policy_captcha_by_application(layer->policy)) {
        trace(c, "captcha: left to the application");
        return GO_ON;
    }
    c->ops->verify(c, layer->policy, token, &result);
    c->now = c->ops->now(c);
    /* A score in a reply that is no good is no score, also where the post passes. */
    verdict->has_score = result.has_score && result.reason != FG_VERIFIER;
    verdict->score = result.score;
    trace(c, "captcha: %s%s%s", fg_reason(result.reason)->words, result.detail != NULL ? ": " : "",
          result.detail != NULL ? result.detail : "");
    if (result.reason == FG_ACCEPTED) {
        c->verified = layer->policy;
        c->passed = fg_policy_captcha(layer->policy);
        c->own_token = c->passed->ask == NULL && c->captured.answer == NULL;
        return GO_ON;
    }
    if (result.reason != FG_VERIFIER) {
        return fg_decide_refuse(verdict, result.reason, result.detail);
    }
    return on_error(c, layer, submission, &result, verdict);
}

/* A post uses one step of a clearance, however many layers go by it. */
static int is_cleared(fg_case_t *c, const fg_policy_t *policy)
{
    if (policy->captcha_clearance.uses > 0 && !c->cleared) {
        c->cleared = c->ops->cleared(c, policy);
    }
    return policy->captcha_clearance.uses > 0 && c->cleared;
}

/* 1 if the visitor has answered the built-in challenge because the service failed when he posted.
 * It holds whether the service works again or not, since its own token is old by now. */
static int answers_fallback(const fg_case_t *c, const fg_policy_t *policy)
{
    return c->captured.fallback && c->captured.answer != NULL && c->ops->challenge != NULL &&
           fg_policy_captcha(policy)->ask != NULL && fg_policy_falls_back(policy);
}

static fg_step_t ask_for(fg_case_t *c, const fg_layer_t *layer, const fg_submission_t *submission,
                         fg_verdict_t *verdict)
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(layer->policy);
    const char *field = fg_policy_captcha_field(layer->policy);
    const char *token;
    apr_size_t len;
    apr_size_t total;

    if (answers_fallback(c, layer->policy)) {
        return fall_back(c, layer, submission, verdict);
    }
    verdict->rule = provider->name;
    token = provider->ask == NULL ? built_in_answer(c, submission, field, &len, &total)
                                  : fg_submission_value(submission, field, &len, &total);
    if (token == NULL && provider->ask == NULL) {
        /* The field was named for the software's own captcha, which ours is not. */
        token = fg_submission_value(submission, provider->field, &len, &total);
    }
    if (token == NULL || total == 0) {
        return fg_decide_refuse(verdict, FG_CAPTCHA_MISSING, NULL);
    }
    if (total != len || !fg_captcha_well_formed(provider, token, len)) {
        return fg_decide_refuse(verdict, FG_CAPTCHA_SHAPE,
                                apr_psprintf(c->pool, "bytes=%" APR_SIZE_T_FMT, total));
    }
    return judge_token(c, layer, submission, token, verdict);
}

/* 1 if the visitor shows a good answer beside his post. One that is none any more, since it stays
 * where it is for a time, is nothing rather than wrong. */
static int shows_answer(fg_case_t *c, const fg_policy_t *policy)
{
    const fg_captcha_provider_t *altcha = fg_captcha_provider(FG_CHALLENGE_FIELD);
    const char *answer = c->captured.shown;
    fg_captcha_result_t result;

    if (answer == NULL || c->ops->challenge == NULL ||
        !fg_captcha_well_formed(altcha, answer, strlen(answer))) {
        return 0;
    }
    memset(&result, 0, sizeof(result));
    result.reason = FG_CAPTCHA_REJECTED;
    c->ops->challenge(c, policy, answer, &result);
    trace(c, "answer shown beside the post: %s", fg_reason(result.reason)->words);
    if (result.reason == FG_ACCEPTED) {
        c->verified = policy;
        c->passed = altcha;
    }
    return result.reason == FG_ACCEPTED;
}

fg_step_t fg_decide_captcha(fg_case_t *c, fg_layer_t *layer, const fg_submission_t *submission,
                            fg_verdict_t *verdict)
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(layer->policy);
    const fg_layer_t *by = asker(c, layer);
    const fg_verdict_t before = *verdict;
    const fg_verdict_t *challenged = NULL;
    int fallback;

    if (by == NULL) {
        return fg_decide_unanswered(c, layer, verdict);
    }
    if (by != layer) {
        return GO_ON;
    }
    if (fg_policy_captcha_when_challenged(layer->policy)) {
        challenged = challenger(c, layer);
        if (challenged == NULL) {
            trace(c, "captcha: not due");
            return GO_ON;
        }
    }
    if (c->passed == provider) {
        /* Under the layer outside this one, which watches only: what was used there is no second
         * use here. */
        trace(c, "captcha: passed already");
        return GO_ON;
    }
    if (is_cleared(c, layer->policy)) {
        trace(c, "captcha: passed before, by clearance");
        c->passed = provider;
        return GO_ON;
    }
    if (ask_for(c, layer, submission, verdict) == GO_ON) {
        verdict->rule = NULL;
        return GO_ON;
    }
    verdict->challenge =
        verdict->reason != FG_VERIFIER && (verdict->fallback || provider->ask == NULL);
    if (challenged != NULL) {
        note_challenger(challenged, verdict);
    }
    if (!verdict->challenge || !shows_answer(c, layer->policy)) {
        return STOP;
    }
    fallback = verdict->fallback;
    *verdict = before;
    if (fallback) {
        note_error(c, "FormGuardCaptchaOnError altcha", verdict);
    }
    return GO_ON;
}
