/* SPDX-License-Identifier: Apache-2.0 */
/* Friendly Captcha v2, https://developer.friendlycaptcha.com/docs/v2/api/siteverify */
#include <string.h>

#include <apr_strings.h>

#include <json.h>

#include "captcha_reply.h"

FG_ASK(fg_friendly_ask)
{
    struct json_object *json = json_object_new_object();
    const char **headers = apr_pcalloc(pool, 2 * sizeof *headers);

    json_object_object_add(json, "response", json_object_new_string(token));
    if (check->site_key) {
        json_object_object_add(json, "sitekey", json_object_new_string(check->site_key));
    }
    headers[0] = apr_pstrcat(pool, "X-API-Key: ", check->secret, NULL);
    request->headers = headers;
    fg_ask_json(request, json, pool);
}

/* The page's list and method_not_allowed, which its last section tells of. The site key is one we
 * send, so a wrong one is our configuration's fault and no visitor's. */
static const fg_reply_code_t codes[] = {
    {"auth_required", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "the service got no API key"},
    {"auth_invalid", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "the service does not know this API key"},
    {"sitekey_invalid", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1,
     "the service does not know FormGuardCaptchaSiteKey"},
    {"bad_request", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 1,
     "the service finds the question malformed"},
    {"method_not_allowed", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 1, "the service wants a POST"},
    {"response_missing", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1, "the service got no token"},
    {"response_invalid", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1,
     "the service does not know this token"},
    {"response_timeout", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1, "the token has expired"},
    {"response_duplicate", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1, "the token was used before"},
    {.name = NULL},
};

/* success is false: why? */
static void judge_error(struct json_object *json, int status, fg_captcha_result_t *result,
                        apr_pool_t *pool)
{
    const fg_reply_code_t *code;
    struct json_object *error;
    const char *name;

    if (fg_reply_object(json, "error", &error) != FG_MEMBER_OK ||
        fg_reply_string(error, "error_code", &name) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without an error_code");
        return;
    }
    code = fg_reply_code(codes, name);
    if (code || status == 200) {
        fg_result_code(result, code, name, pool);
    }
    else {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, fg_detail("code", name, pool));
    }
}

/* The host of an origin: `https://www.example.jp:8443`. The service leaves it empty where it does
 * not know it; that is no host, which only `FormGuardCaptchaHostname *` takes. */
static const char *host_of(const char *origin, apr_pool_t *pool)
{
    const char *host = strstr(origin, "://");

    host = host ? host + 3 : origin;
    return apr_pstrmemdup(pool, host, strcspn(host, *host == '[' ? "/" : ":/"));
}

static void judge_success(const fg_captcha_check_t *check, struct json_object *json,
                          fg_captcha_result_t *result, apr_pool_t *pool)
{
    fg_claims_t claims = {.stamp_name = "timestamp"};
    struct json_object *data, *challenge;
    const char *origin;

    if (fg_reply_object(json, "data", &data) != FG_MEMBER_OK ||
        fg_reply_object(data, "challenge", &challenge) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without a challenge");
    }
    else if (fg_reply_string(challenge, "origin", &origin) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without an origin");
    }
    else if (fg_reply_string(challenge, "timestamp", &claims.stamp) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without a timestamp");
    }
    else {
        claims.hostname = host_of(origin, pool);
        fg_judge_claims(check, &claims, result, pool);
    }
}

FG_JUDGE(fg_friendly_judge)
{
    struct json_object *json;
    const char *wrong;
    int success;

    if (reply->status == 429 || (reply->status != 200 && reply->status / 100 != 4)) {
        fg_result_status(result, reply->status, pool);
        return;
    }
    wrong = fg_reply_json(&json, reply, pool);
    if (!wrong && fg_reply_bool(json, "success", &success) != FG_MEMBER_OK) {
        wrong = "reply without success";
    }
    if (reply->status != 200 && (wrong || success)) {
        fg_result_status(result, reply->status, pool);
    }
    else if (wrong) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, wrong);
    }
    else if (!success) {
        judge_error(json, reply->status, result, pool);
    }
    else {
        judge_success(check, json, result, pool);
    }
}
