/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file captcha_reply.h
 * @brief What the providers' rows share: strict JSON, and judging what several vendors say alike.
 */
#ifndef FG_CAPTCHA_REPLY_H
#define FG_CAPTCHA_REPLY_H

#include "captcha.h"

/** The row of the captcha that is judged here: altcha.c. */
extern const fg_captcha_provider_t fg_captcha_altcha;

/* The rows' functions, see fg_captcha_provider_t. */
#define FG_ASK(name)                                                                               \
    void name(const fg_captcha_check_t *check, const char *token, fg_http_request_t *request,      \
              apr_pool_t *pool)
#define FG_JUDGE(name)                                                                             \
    void name(const fg_captcha_check_t *check, const fg_http_reply_t *reply,                       \
              fg_captcha_result_t *result, apr_pool_t *pool)
/** siteverify as reCAPTCHA, hCaptcha and Turnstile speak it: captcha_siteverify.c. */
FG_ASK(fg_siteverify_ask);
FG_JUDGE(fg_siteverify_judge);
/** reCAPTCHA Enterprise: captcha_enterprise.c. */
FG_ASK(fg_enterprise_ask);
FG_JUDGE(fg_enterprise_judge);
/** Friendly Captcha v2: captcha_friendly.c. */
FG_ASK(fg_friendly_ask);
FG_JUDGE(fg_friendly_judge);

/** A member of a JSON object. */
typedef enum fg_member {
    FG_MEMBER_MISSING,
    FG_MEMBER_OK,
    FG_MEMBER_WRONG /**< it is there, and of another type or out of range */
} fg_member_t;

struct json_object;

/**
 * Parse a reply's body: one object of strict JSON (RFC 8259), UTF-8, at most 8 levels deep, no
 * name twice in an object, no NUL, nothing behind it.
 * @param json  set to the object, which lives as long as `pool`
 * @param reply the reply
 * @return NULL, or what is wrong with it
 */
const char *fg_reply_json(struct json_object **json, const fg_http_reply_t *reply,
                          apr_pool_t *pool);

/** Make a JSON object the request's body. It is let go of. */
void fg_ask_json(fg_http_request_t *request, struct json_object *json, apr_pool_t *pool);

/** A member that is an object; it lives as long as the one it is in. */
fg_member_t fg_reply_object(struct json_object *json, const char *name, struct json_object **value);

/** A member that is true or false. */
fg_member_t fg_reply_bool(struct json_object *json, const char *name, int *value);

/** A member that is a string; it lives as long as the object. */
fg_member_t fg_reply_string(struct json_object *json, const char *name, const char **value);

/** A member that is a number from 0 to 1. */
fg_member_t fg_reply_score(struct json_object *json, const char *name, double *value);

/** A member that is an array of strings (const char *), in `pool`. */
fg_member_t fg_reply_strings(struct json_object *json, const char *name,
                             apr_array_header_t **values, apr_pool_t *pool);

/** Say that the token could not be judged. */
void fg_result_cause(fg_captcha_result_t *result, fg_cause_t cause, const char *detail);

/** Say that the token was judged, and how: FG_ACCEPTED or a CAPTCHA_… reason. */
void fg_result_judged(fg_captcha_result_t *result, fg_reason_t reason, const char *detail);

/** `name=value` for a detail, the value reduced to what is safe in a log line. */
const char *fg_detail(const char *name, const char *value, apr_pool_t *pool);

/** What one of a service's codes means. */
typedef struct fg_reply_code {
    const char *name; /**< as the service writes it; NULL in the row after the last */
    fg_reason_t reason;
    fg_cause_t cause;  /**< for FG_VERIFIER */
    int gravity;       /**< of several codes the gravest counts; 0 for one that may be gone when
                            asked again, see fg_captcha_result_t */
    const char *words; /**< for the log */
} fg_reply_code_t;

/** @return the code's row, or NULL */
const fg_reply_code_t *fg_reply_code(const fg_reply_code_t *codes, const char *name);

/**
 * Say what a code means: `code=NAME (words)`.
 * @param code its row; NULL: nobody documents it, the token was rejected
 * @param name as the service wrote it
 */
void fg_result_code(fg_captcha_result_t *result, const fg_reply_code_t *code, const char *name,
                    apr_pool_t *pool);

/**
 * Say what a status means that is no 200: quota for 429, else server-error, and a 5xx may be gone
 * when asked again.
 */
void fg_result_status(fg_captcha_result_t *result, int status, apr_pool_t *pool);

/** What a service says of a token it accepts. */
typedef struct fg_claims {
    const char *hostname;   /**< "" where the service does not know it */
    const char *stamp;      /**< ISO 8601 with `Z` or an offset */
    const char *stamp_name; /**< of the member */
    const char *action;     /**< NULL: none */
    int has_score;
    double score;
} fg_claims_t;

/**
 * The service says yes: is it yes for us? Judges host name, age, action and score as the row and
 * the check want them. result->detail is set, too, if the clocks differ.
 */
void fg_judge_claims(const fg_captcha_check_t *check, const fg_claims_t *claims,
                     fg_captcha_result_t *result, apr_pool_t *pool);

#endif
