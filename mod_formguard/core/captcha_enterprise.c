/* SPDX-License-Identifier: Apache-2.0 */
/* reCAPTCHA Enterprise: an assessment is created, and what it says of the token is judged.
 * https://docs.cloud.google.com/recaptcha/docs/create-assessment-website and
 * https://docs.cloud.google.com/recaptcha/docs/reference/rest/v1/projects.assessments */
#include <string.h>

#include <apr_strings.h>

#include <json.h>

#include "captcha_reply.h"

FG_ASK(fg_enterprise_ask)
{
    struct json_object *json = json_object_new_object();
    struct json_object *event = json_object_new_object();
    const char **headers = apr_pcalloc(pool, 2 * sizeof *headers);

    json_object_object_add(event, "token", json_object_new_string(token));
    json_object_object_add(event, "siteKey", json_object_new_string(check->site_key));
    if (check->action) {
        json_object_object_add(event, "expectedAction", json_object_new_string(check->action));
    }
    if (check->remote_ip) {
        json_object_object_add(event, "userIpAddress", json_object_new_string(check->remote_ip));
    }
    json_object_object_add(json, "event", event);
    /* Not `?key=`: a URL gets into logs and error texts.
     * https://docs.cloud.google.com/docs/authentication/api-keys-use */
    headers[0] = apr_pstrcat(pool, "X-Goog-Api-Key: ", check->secret, NULL);
    request->headers = headers;
    request->url =
        apr_pstrcat(pool, request->url, "/projects/", check->project, "/assessments", NULL);
    fg_ask_json(request, json, pool);
}

/* tokenProperties.invalidReason */
static const fg_reply_code_t reasons[] = {
    {"INVALID_REASON_UNSPECIFIED", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1, "no reason is given"},
    {"UNKNOWN_INVALID_REASON", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1, "for no reason with a name"},
    {"MALFORMED", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1, "the service does not know this token"},
    {"MISSING", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1, "the service got no token"},
    {"SITE_MISMATCH", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1, "the token is of another site key"},
    {"BROWSER_ERROR", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 1,
     "a fault in the visitor's browser or network, or one that is made up"},
    {"EXPIRED", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1, "the token has expired"},
    {"DUPE", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1, "the token was used before"},
    {"UNEXPECTED_ACTION", FG_CAPTCHA_ACTION, FG_CAUSE_NONE, 1, "the token is for another action"},
    {.name = NULL},
};

/* What Google's APIs say of a request they don't serve: error.details[].reason, else error.status.
 * https://docs.cloud.google.com/apis/design/errors and
 * https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
 * All of it is about the key, the project and the site key: no token brings any of it about. */
static const fg_reply_code_t errors[] = {
    {"API_KEY_INVALID", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "Google does not know this API key"},
    {"API_KEY_EXPIRED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "the API key has expired"},
    {"API_KEY_SERVICE_BLOCKED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1,
     "the API key is not for reCAPTCHA"},
    {"API_KEY_HTTP_REFERRER_BLOCKED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1,
     "the API key is for browsers"},
    {"API_KEY_IP_ADDRESS_BLOCKED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1,
     "the API key is not for this server's address"},
    {"API_KEY_ANDROID_APP_BLOCKED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "the API key is for apps"},
    {"API_KEY_IOS_APP_BLOCKED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "the API key is for apps"},
    {"SERVICE_DISABLED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1,
     "the reCAPTCHA Enterprise API is not enabled in the key's project"},
    {"BILLING_DISABLED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "the project has no billing account"},
    {"CONSUMER_INVALID", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "Google does not know the project"},
    {"CONSUMER_SUSPENDED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "the project is suspended"},
    {"RATE_LIMIT_EXCEEDED", FG_VERIFIER, FG_CAUSE_QUOTA, 1, "too many assessments"},
    {"RESOURCE_QUOTA_EXCEEDED", FG_VERIFIER, FG_CAUSE_QUOTA, 1, "the quota is used up"},
    {"RESOURCE_EXHAUSTED", FG_VERIFIER, FG_CAUSE_QUOTA, 1, "the quota is used up"},
    {"UNAUTHENTICATED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "Google got no API key it takes"},
    {"PERMISSION_DENIED", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1,
     "the API key may not create assessments in the project"},
    {"NOT_FOUND", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 1, "Google does not know project or site key"},
    {"INVALID_ARGUMENT", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 1,
     "Google finds the question malformed: is the site key one of this project?"},
    {"FAILED_PRECONDITION", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 1,
     "Google does not serve this project now"},
    {.name = NULL},
};

/* The documented reason among error.details, or error.status; NULL if there is neither. */
static const char *reason_of(struct json_object *error, const fg_reply_code_t **code)
{
    struct json_object *details;
    const char *name;
    size_t i;

    if (json_object_object_get_ex(error, "details", &details) &&
        json_object_is_type(details, json_type_array)) {
        for (i = 0; i < json_object_array_length(details); i++) {
            struct json_object *detail = json_object_array_get_idx(details, i);

            if (json_object_is_type(detail, json_type_object) &&
                fg_reply_string(detail, "reason", &name) == FG_MEMBER_OK &&
                (*code = fg_reply_code(errors, name)) != NULL) {
                return name;
            }
        }
    }
    if (fg_reply_string(error, "status", &name) != FG_MEMBER_OK) {
        return NULL;
    }
    *code = fg_reply_code(errors, name);
    return name;
}

/* A status that is no 200. */
static void judge_error(const fg_http_reply_t *reply, fg_captcha_result_t *result, apr_pool_t *pool)
{
    const fg_reply_code_t *code = NULL;
    struct json_object *json, *error;
    const char *name = NULL;

    fg_result_status(result, reply->status, pool);
    if (reply->status / 100 != 4) {
        return;
    }
    if (!fg_reply_json(&json, reply, pool) &&
        fg_reply_object(json, "error", &error) == FG_MEMBER_OK) {
        name = reason_of(error, &code);
    }
    if (code && (reply->status != 429 || code->cause == FG_CAUSE_QUOTA)) {
        fg_result_code(result, code, name, pool);
    }
    else if (reply->status == 401 || reply->status == 403 || reply->status == 404) {
        result->cause = FG_CAUSE_BAD_SECRET;
    }
}

/* tokenProperties.valid is true. */
static void judge_valid(const fg_captcha_check_t *check, struct json_object *json,
                        struct json_object *token, fg_captcha_result_t *result, apr_pool_t *pool)
{
    fg_claims_t claims = {.stamp_name = "createTime", .has_score = 1};
    struct json_object *risk;

    /* A member that is 0 or "" may be left out: that is how its JSON is made from protobuf. */
    if (fg_reply_string(token, "hostname", &claims.hostname) == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "hostname is no name");
    }
    else if (fg_reply_string(token, "createTime", &claims.stamp) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without a createTime");
    }
    else if (fg_reply_string(token, "action", &claims.action) == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "action is no word");
    }
    else if (fg_reply_object(json, "riskAnalysis", &risk) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without riskAnalysis");
    }
    else if (fg_reply_score(risk, "score", &claims.score) == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "score is no number from 0 to 1");
    }
    else {
        claims.hostname = claims.hostname ? claims.hostname : "";
        fg_judge_claims(check, &claims, result, pool);
    }
}

FG_JUDGE(fg_enterprise_judge)
{
    struct json_object *json, *token;
    const char *wrong, *reason;
    int valid;

    if (reply->status != 200) {
        judge_error(reply, result, pool);
        return;
    }
    wrong = fg_reply_json(&json, reply, pool);
    if (!wrong && fg_reply_object(json, "tokenProperties", &token) != FG_MEMBER_OK) {
        wrong = "reply without tokenProperties";
    }
    if (!wrong && fg_reply_bool(token, "valid", &valid) == FG_MEMBER_WRONG) {
        wrong = "valid is neither true nor false";
    }
    if (!wrong && fg_reply_string(token, "invalidReason", &reason) == FG_MEMBER_WRONG) {
        wrong = "invalidReason is no word";
    }
    if (wrong) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, wrong);
    }
    else if (valid && reason && strcmp(reason, "INVALID_REASON_UNSPECIFIED") != 0) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "valid with an invalidReason");
    }
    else if (valid) {
        judge_valid(check, json, token, result, pool);
    }
    else if (reason) {
        fg_result_code(result, fg_reply_code(reasons, reason), reason, pool);
    }
    else {
        fg_result_judged(result, FG_CAPTCHA_REJECTED, NULL);
    }
}
