/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file captcha_reply.h
 * @brief What the providers' rows share: strict JSON, and judging what several vendors say alike.
 */
#ifndef FG_CAPTCHA_REPLY_H
#define FG_CAPTCHA_REPLY_H

#include "captcha.h"

/** The rows, one file a vendor. */
extern const fg_captcha_provider_t fg_captcha_altcha;
extern const fg_captcha_provider_t fg_captcha_recaptcha_v2;
extern const fg_captcha_provider_t fg_captcha_recaptcha_v3;

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

/**
 * Judge where a token was solved.
 * @return 1 if the host matches one of the check's globs or there are none; 0 with result filled
 */
int fg_judge_hostname(const fg_captcha_check_t *check, const char *hostname,
                      fg_captcha_result_t *result, apr_pool_t *pool);

/**
 * Judge when a token was solved.
 * @param stamp ISO 8601 with `Z` or an offset
 * @return 1 if it is young enough (result->detail is set if the clocks differ); 0 with result
 *         filled
 */
int fg_judge_age(const fg_captcha_check_t *check, const char *stamp, fg_captcha_result_t *result,
                 apr_pool_t *pool);

#endif
