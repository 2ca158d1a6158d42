/* SPDX-License-Identifier: Apache-2.0 */
/* reCAPTCHA v2 and v3, https://developers.google.com/recaptcha/docs/verify */
#include <string.h>

#include <apr_escape.h>
#include <apr_strings.h>

#include "captcha_reply.h"

#define SITEVERIFY "https://www.google.com/recaptcha/api/siteverify"

static void ask(const fg_captcha_check_t *check, const char *token, fg_http_request_t *request,
                apr_pool_t *pool)
{
    request->content_type = "application/x-www-form-urlencoded";
    request->body = apr_pstrcat(pool, "secret=", apr_pescape_urlencoded(pool, check->secret),
                                "&response=", apr_pescape_urlencoded(pool, token), NULL);
    if (check->remote_ip) {
        request->body =
            apr_pstrcat(pool, request->body,
                        "&remoteip=", apr_pescape_urlencoded(pool, check->remote_ip), NULL);
    }
    request->body_len = strlen(request->body);
}

/* What an error code means. */
static const struct code {
    const char *name;
    fg_reason_t reason;
    fg_cause_t cause;
    int gravity; /* of several the gravest wins */
} codes[] = {
    {"missing-input-secret", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 4},
    {"invalid-input-secret", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 4},
    {"bad-request", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 3},
    {"missing-input-response", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2},
    {"invalid-input-response", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2},
    {"timeout-or-duplicate", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1},
};
static const struct code unknown_code = {NULL, FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2};

static const struct code *code_by_name(const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (!strcmp(codes[i].name, name)) {
            return &codes[i];
        }
    }
    return &unknown_code;
}

/* success is false: why? */
static void judge_codes(const apr_array_header_t *names, fg_captcha_result_t *result,
                        apr_pool_t *pool)
{
    const struct code *worst = NULL;
    const char *name = NULL;
    int i;

    for (i = 0; i < names->nelts; i++) {
        const char *candidate = APR_ARRAY_IDX(names, i, const char *);
        const struct code *code = code_by_name(candidate);
        if (!worst || code->gravity > worst->gravity) {
            worst = code;
            name = candidate;
        }
    }
    if (!worst) {
        worst = &unknown_code;
    }
    result->reason = worst->reason;
    result->cause = worst->cause;
    result->detail = name ? fg_detail("code", name, pool) : NULL;
}

/* success is true, in a whole reply: is it true for us? */
static void judge_success(const fg_captcha_check_t *check, struct json_object *json,
                          fg_captcha_result_t *result, apr_pool_t *pool)
{
    const char *hostname, *stamp, *action;
    fg_member_t has_action = fg_reply_string(json, "action", &action);

    if (fg_reply_string(json, "hostname", &hostname) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without a hostname");
        return;
    }
    if (fg_reply_string(json, "challenge_ts", &stamp) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without a challenge_ts");
        return;
    }
    if (has_action == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "action is no word");
        return;
    }
    if (check->provider->scores && (!result->has_score || has_action != FG_MEMBER_OK)) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR,
                        "reply without score or action: is this a v3 key?");
        return;
    }
    if (!fg_judge_hostname(check, hostname, result, pool) ||
        !fg_judge_age(check, stamp, result, pool)) {
        return;
    }
    if (check->provider->scores && check->action && strcmp(check->action, action)) {
        fg_result_judged(result, FG_CAPTCHA_ACTION, fg_detail("action", action, pool));
        return;
    }
    /* Under v2, too: the key is one of v3 then, whose tokens are good whoever sends them. */
    if (result->has_score && result->score < check->min_score) {
        fg_result_judged(result, FG_CAPTCHA_SCORE,
                         apr_psprintf(pool, "min=%.2f", check->min_score));
        return;
    }
    fg_result_judged(result, FG_ACCEPTED, result->detail); /* it may tell of differing clocks */
}

/* A reply in the documented form, whatever it says. */
static void judge_json(const fg_captcha_check_t *check, struct json_object *json,
                       fg_captcha_result_t *result, apr_pool_t *pool)
{
    apr_array_header_t *names;
    fg_member_t score;
    int success;

    if (fg_reply_bool(json, "success", &success) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without success");
        return;
    }
    if (fg_reply_strings(json, "error-codes", &names, pool) == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "error-codes are no list of words");
        return;
    }
    score = fg_reply_score(json, "score", &result->score);
    if (score == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "score is no number from 0 to 1");
        return;
    }
    result->has_score = score == FG_MEMBER_OK;
    if (!success) {
        judge_codes(names, result, pool);
    }
    else if (names->nelts) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "success with error-codes");
    }
    else {
        judge_success(check, json, result, pool);
    }
}

static void judge(const fg_captcha_check_t *check, const fg_http_reply_t *reply,
                  fg_captcha_result_t *result, apr_pool_t *pool)
{
    const char *status = apr_psprintf(pool, "status=%d", reply->status);
    struct json_object *json;
    const char *wrong;

    if (reply->status == 429) {
        fg_result_cause(result, FG_CAUSE_QUOTA, status);
        return;
    }
    if (reply->status != 200 && reply->status / 100 != 4) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, status);
        return;
    }
    wrong = fg_reply_json(&json, reply, pool);
    if (wrong) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, reply->status == 200 ? wrong : status);
        return;
    }
    judge_json(check, json, result, pool);
    if (reply->status != 200 && result->cause != FG_CAUSE_BAD_SECRET) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, status);
    }
}

/* Google documents no longest token; those of v3 and of large accounts go over 2048 bytes. */
#define TOKEN_MAX 16384

const fg_captcha_provider_t fg_captcha_recaptcha_v2 = {
    .name = "recaptcha-v2",
    .field = "g-recaptcha-response",
    .endpoint = SITEVERIFY,
    .life = apr_time_from_sec(120),
    .token_max = TOKEN_MAX,
    .ask = ask,
    .judge = judge,
};

const fg_captcha_provider_t fg_captcha_recaptcha_v3 = {
    .name = "recaptcha-v3",
    .field = "g-recaptcha-response",
    .endpoint = SITEVERIFY,
    .life = apr_time_from_sec(120),
    .token_max = TOKEN_MAX,
    .scores = 1,
    .ask = ask,
    .judge = judge,
};
