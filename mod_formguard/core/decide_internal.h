/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file decide_internal.h
 * @brief What the files of a decision share.
 */
#ifndef FG_DECIDE_INTERNAL_H
#define FG_DECIDE_INTERNAL_H

#include <apr_strings.h>

#include "decide.h"

#define trace(c, ...)                                                                              \
    do {                                                                                           \
        if ((c)->ops->trace != NULL) {                                                             \
            (c)->ops->trace(c, apr_psprintf((c)->pool, __VA_ARGS__));                              \
        }                                                                                          \
    } while (0)

/** The field that carries the answer to the built-in challenge. */
#define FG_CHALLENGE_FIELD "altcha"

/** What a step says: go on, or stop with the verdict it has filled in. */
typedef enum fg_step { GO_ON, STOP } fg_step_t;

/** Fill in a refusal. @return STOP */
fg_step_t fg_decide_refuse(fg_verdict_t *verdict, fg_reason_t reason, const char *detail);

/**
 * A rule with an action has fired.
 * @param action what to do about it: refuse, log (say so and go on), challenge (remember, go on)
 * @return STOP for a refusal
 */
fg_step_t fg_decide_act(fg_case_t *c, fg_layer_t *layer, fg_action_t action, fg_reason_t reason,
                        const char *rule, fg_verdict_t *verdict);

/** 1 if a challenge under this layer has a captcha to ask for. */
int fg_decide_can_challenge(const fg_case_t *c, const fg_layer_t *layer);

/** A challenge that no captcha can be asked for refuses after all. @return STOP if there is one */
fg_step_t fg_decide_unanswered(fg_case_t *c, const fg_layer_t *layer, fg_verdict_t *verdict);

/**
 * Charge all limits of one kind under a layer. Where one refuses, those before it are refunded.
 * @param submission for limits on a field's value; NULL before the body was read
 */
fg_step_t fg_decide_limits(fg_case_t *c, fg_layer_t *layer, fg_count_when_t when,
                           const fg_submission_t *submission, fg_verdict_t *verdict);

/** What names the form of this post among the closed ones. */
apr_uint64_t fg_decide_form_key(const fg_case_t *c);

/** An empty array for what a decision charges, in `pool`. */
apr_array_header_t *fg_decide_charges(apr_pool_t *pool);

/** Give back what was charged under a layer; under all of them if it is NULL. */
void fg_decide_refund(fg_case_t *c, const fg_layer_t *layer);

/** Give back what was charged after the first `first` charges. */
void fg_decide_refund_from(fg_case_t *c, int first);

/** Judge the fields that rules of a layer name. */
fg_step_t fg_decide_fields(fg_case_t *c, fg_layer_t *layer, const fg_submission_t *submission,
                           fg_verdict_t *verdict);

/** Judge the captcha, if one is due under a layer. */
fg_step_t fg_decide_captcha(fg_case_t *c, fg_layer_t *layer, const fg_submission_t *submission,
                            fg_verdict_t *verdict);

#endif
