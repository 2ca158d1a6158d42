/* SPDX-License-Identifier: Apache-2.0 */
/* What reCAPTCHA began and hCaptcha and Turnstile speak, too: a form is posted to siteverify, and
 * JSON with `success` and `error-codes` comes back. What they differ in stands in their rows. */
#include <string.h>

#include <apr_escape.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_uuid.h>

#include "captcha_reply.h"

static const char *field(const char *name, const char *value, apr_pool_t *pool)
{
    return apr_pstrcat(pool, name, "=", apr_pescape_urlencoded(pool, value), NULL);
}

/* A UUID of random bytes, version 4 of RFC 9562. */
static const char *random_uuid(apr_pool_t *pool)
{
    char *text = apr_palloc(pool, APR_UUID_FORMATTED_LENGTH + 1);
    apr_uuid_t uuid;

    if (apr_generate_random_bytes(uuid.data, sizeof uuid.data) != APR_SUCCESS) {
        apr_uuid_get(&uuid);
    }
    uuid.data[6] = (unsigned char)((uuid.data[6] & 0x0f) | 0x40);
    uuid.data[8] = (unsigned char)((uuid.data[8] & 0x3f) | 0x80);
    apr_uuid_format(text, &uuid);
    return text;
}

FG_ASK(fg_siteverify_ask)
{
    const char *body = apr_pstrcat(pool, field("secret", check->secret, pool), "&",
                                   field("response", token, pool), NULL);

    if (check->remote_ip) {
        body = apr_pstrcat(pool, body, "&", field("remoteip", check->remote_ip, pool), NULL);
    }
    if (check->provider->sends_site_key && check->site_key) {
        body = apr_pstrcat(pool, body, "&", field("sitekey", check->site_key, pool), NULL);
    }
    if (check->provider->asks_again) {
        body =
            apr_pstrcat(pool, body, "&", field("idempotency_key", random_uuid(pool), pool), NULL);
    }
    request->content_type = "application/x-www-form-urlencoded";
    request->body = body;
    request->body_len = strlen(body);
}

/* Where the services name the same they mean the same, so this is one list:
 * https://developers.google.com/recaptcha/docs/verify#error_code_reference
 * https://docs.hcaptcha.com/#siteverify-error-codes-table
 * https://developers.cloudflare.com/turnstile/get-started/server-side-validation/#error-codes
 * A visitor must not be able to bring about what FormGuardCaptchaOnError lets pass: hCaptcha tells
 * of a token made under somebody else's site key, or of its public test token, as if the keys
 * were wrong. They may be, and the words say so; the token is refused either way. */
static const fg_reply_code_t codes[] = {
    {"missing-input-secret", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 4, "the service got no secret"},
    {"invalid-input-secret", FG_VERIFIER, FG_CAUSE_BAD_SECRET, 4,
     "the service does not know this secret"},
    {"bad-request", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 3,
     "the service finds the question malformed"},
    {"missing-remoteip", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 3,
     "the service wants the visitor's address: FormGuardCaptchaSendRemoteIP On"},
    {"invalid-remoteip", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 3,
     "the service takes the visitor's address for none"},
    {"sitekey-secret-mismatch", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2,
     "the token's site key is not one of this secret"},
    {"not-using-dummy-passcode", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2,
     "a key for tests without the token for tests"},
    {"not-using-dummy-secret", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2,
     "the token for tests without the secret for tests"},
    {"missing-input-response", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2, "the service got no token"},
    {"invalid-input-response", FG_CAPTCHA_REJECTED, FG_CAUSE_NONE, 2,
     "the service does not know this token"},
    {"invalid-or-already-seen-response", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1,
     "the token was used before or is none"},
    {"expired-input-response", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1, "the token has expired"},
    {"already-seen-response", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1, "the token was used before"},
    {"timeout-or-duplicate", FG_CAPTCHA_EXPIRED, FG_CAUSE_NONE, 1,
     "the token has expired or was used before"},
    {"internal-error", FG_VERIFIER, FG_CAUSE_SERVER_ERROR, 0, "a fault inside the service"},
    {.name = NULL},
};

/* What nobody documents is no worse than a wrong token. */
#define UNKNOWN_GRAVITY 2

/* success is false: why? Returns 1 if a documented code says so. */
static int judge_codes(const apr_array_header_t *names, fg_captcha_result_t *result,
                       apr_pool_t *pool)
{
    const fg_reply_code_t *worst = NULL;
    const char *name = NULL;
    int gravity = -1;
    int i;

    for (i = 0; i < names->nelts; i++) {
        const char *candidate = APR_ARRAY_IDX(names, i, const char *);
        const fg_reply_code_t *code = fg_reply_code(codes, candidate);

        if ((code ? code->gravity : UNKNOWN_GRAVITY) > gravity) {
            gravity = code ? code->gravity : UNKNOWN_GRAVITY;
            worst = code;
            name = candidate;
        }
    }
    if (name) {
        fg_result_code(result, worst, name, pool);
    }
    else {
        fg_result_judged(result, FG_CAPTCHA_REJECTED, NULL);
    }
    return worst != NULL;
}

/* success is true, in a whole reply. */
static void judge_success(const fg_captcha_check_t *check, struct json_object *json,
                          fg_claims_t *claims, fg_captcha_result_t *result, apr_pool_t *pool)
{
    const fg_captcha_provider_t *provider = check->provider;

    claims->stamp_name = "challenge_ts";
    if (fg_reply_string(json, "hostname", &claims->hostname) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without a hostname");
    }
    else if (fg_reply_string(json, "challenge_ts", &claims->stamp) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without a challenge_ts");
    }
    else if (fg_reply_string(json, "action", &claims->action) == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "action is no word");
    }
    else if ((provider->score == FG_CARRIES_ALWAYS && !claims->has_score) ||
             (provider->action == FG_CARRIES_ALWAYS && !claims->action)) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR,
                        "reply without score or action: is this a v3 key?");
    }
    else {
        fg_judge_claims(check, claims, result, pool);
    }
}

/* A reply in the documented form, whatever it says. Returns 1 if a documented code says no. */
static int judge_json(const fg_captcha_check_t *check, struct json_object *json,
                      fg_captcha_result_t *result, apr_pool_t *pool)
{
    fg_claims_t claims = {0};
    apr_array_header_t *names;
    fg_member_t score = FG_MEMBER_MISSING;
    int success;

    if (fg_reply_bool(json, "success", &success) != FG_MEMBER_OK) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "reply without success");
        return 0;
    }
    if (fg_reply_strings(json, "error-codes", &names, pool) == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "error-codes are no list of words");
        return 0;
    }
    if (check->provider->score != FG_CARRIES_NEVER) {
        score = fg_reply_score(json, "score", &claims.score);
    }
    if (score == FG_MEMBER_WRONG) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "score is no number from 0 to 1");
        return 0;
    }
    claims.has_score = score == FG_MEMBER_OK;
    if (!success) {
        return judge_codes(names, result, pool);
    }
    if (names->nelts) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, "success with error-codes");
    }
    else {
        judge_success(check, json, &claims, result, pool);
    }
    return 0;
}

FG_JUDGE(fg_siteverify_judge)
{
    struct json_object *json;
    const char *wrong;
    int documented;

    if (reply->status == 429 || (reply->status != 200 && reply->status / 100 != 4)) {
        fg_result_status(result, reply->status, pool);
        return;
    }
    wrong = fg_reply_json(&json, reply, pool);
    if (wrong && reply->status == 200) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, wrong);
        return;
    }
    documented = !wrong && judge_json(check, json, result, pool);
    /* A 4xx is what its codes say; without any it is nobody's answer to our question. */
    if (reply->status != 200 && !documented) {
        result->has_score = 0;
        fg_result_status(result, reply->status, pool);
    }
}
