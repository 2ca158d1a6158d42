/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about single fields: required, honeypot, mail header injection, links. */
#include "decide_internal.h"

/* @return 1 if the field breaks the rule; *reason says how */
static int breaks(const fg_field_rule_t *rule, const fg_submission_t *submission,
                  fg_reason_t *reason)
{
    fg_field_facts_t facts = fg_submission_facts(submission, rule->name);

    switch (rule->check) {
    case FG_FIELD_REQUIRED:
        *reason = FG_FIELD_MISSING;
        return !facts.filled;
    case FG_FIELD_EMPTY:
        *reason = FG_FIELD_FILLED;
        return facts.nonempty;
    case FG_FIELD_SINGLE_LINE:
        *reason = FG_FIELD_LINES;
        return facts.multi_line;
    case FG_FIELD_MAX_LINKS:
        *reason = FG_FIELD_LINKS;
        return facts.links > rule->max;
    }
    return 0;
}

fg_step_t fg_decide_fields(fg_case_t *c, fg_layer_t *layer, const fg_submission_t *submission,
                           fg_verdict_t *verdict)
{
    const apr_array_header_t *rules = layer->policy->fields;
    int i;

    for (i = 0; rules != NULL && i < rules->nelts; i++) {
        const fg_field_rule_t *rule = &APR_ARRAY_IDX(rules, i, fg_field_rule_t);
        fg_reason_t reason = FG_INTERNAL;

        if (!breaks(rule, submission, &reason)) {
            trace(c, "field %s: holds", rule->text);
            continue;
        }
        if (fg_decide_act(c, layer, rule->action, reason, rule->text, verdict) == STOP) {
            return STOP;
        }
    }
    return GO_ON;
}
