/* SPDX-License-Identifier: Apache-2.0 */
#include "captcha_reply.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include <json.h>

#include "log.h"

#define JSON_DEPTH 8

/* How far the vendor's clock and ours may differ. */
#define CLOCK_LEEWAY apr_time_from_sec(60)

static apr_status_t json_free(void *json)
{
    json_object_put(json);
    return APR_SUCCESS;
}

/* json-c lets pass what strict readers don't: NaN, names in single quotes, a NUL in a string (its
 * names end there), bare control characters, and a name given twice. The text has been parsed, so
 * its grammar is known: outside of strings there is one colon a member.
 * Returns the number of members, or -1. */
static int scan_members(const char *text, apr_size_t len)
{
    int members = 0, in_string = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!in_string) {
            in_string = c == '"';
            members += c == ':';
            if (!strchr("{}[]:,\" \t\r\n0123456789+-.eEtrufalsn", c)) {
                return -1;
            }
        }
        else if (c < ' ') {
            return -1;
        }
        else if (c == '\\') {
            if (len - i > 5 && !memcmp(text + i + 1, "u0000", 5)) {
                return -1;
            }
            i++;
        }
        else {
            in_string = c != '"';
        }
    }
    return members;
}

static int count_members(struct json_object *json)
{
    int members = 0;

    if (json_object_is_type(json, json_type_object)) {
        json_object_object_foreach(json, name, value)
        {
            (void)name;
            members += 1 + count_members(value);
        }
    }
    else if (json_object_is_type(json, json_type_array)) {
        size_t i;
        for (i = 0; i < json_object_array_length(json); i++) {
            members += count_members(json_object_array_get_idx(json, i));
        }
    }
    return members;
}

static int only_space(const char *text, apr_size_t len)
{
    while (len && strchr(" \t\r\n", *text)) {
        text++;
        len--;
    }
    return len == 0;
}

const char *fg_reply_json(struct json_object **json, const fg_http_reply_t *reply, apr_pool_t *pool)
{
    struct json_tokener *tok;
    apr_size_t end = 0;
    int flags = JSON_TOKENER_STRICT;

    *json = NULL;
    if (!reply->body_len || reply->body_len > INT_MAX) {
        return "empty reply";
    }
    if (memchr(reply->body, '\0', reply->body_len)) {
        return "NUL in reply";
    }
    tok = json_tokener_new_ex(JSON_DEPTH);
    if (!tok) {
        return "out of memory";
    }
#ifdef JSON_TOKENER_VALIDATE_UTF8
    flags |= JSON_TOKENER_VALIDATE_UTF8;
#endif
    json_tokener_set_flags(tok, flags);
    *json = json_tokener_parse_ex(tok, reply->body, (int)reply->body_len);
    if (*json) {
        apr_pool_cleanup_register(pool, *json, json_free, apr_pool_cleanup_null);
        end = json_tokener_get_parse_end(tok);
    }
    json_tokener_free(tok);
    if (!*json || !only_space(reply->body + end, reply->body_len - end)) {
        return "reply is not JSON";
    }
    if (!json_object_is_type(*json, json_type_object)) {
        return "reply is no JSON object";
    }
    if (scan_members(reply->body, reply->body_len) != count_members(*json)) {
        return "reply is not strict JSON";
    }
    return NULL;
}

static fg_member_t member(struct json_object *json, const char *name, json_type type,
                          struct json_object **value)
{
    if (!json_object_object_get_ex(json, name, value)) {
        return FG_MEMBER_MISSING;
    }
    return json_object_is_type(*value, type) ? FG_MEMBER_OK : FG_MEMBER_WRONG;
}

void fg_ask_json(fg_http_request_t *request, struct json_object *json, apr_pool_t *pool)
{
    request->content_type = "application/json";
    request->body = apr_pstrdup(pool, json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
    request->body_len = strlen(request->body);
    json_object_put(json);
}

fg_member_t fg_reply_object(struct json_object *json, const char *name, struct json_object **value)
{
    fg_member_t found = member(json, name, json_type_object, value);

    if (found != FG_MEMBER_OK) {
        *value = NULL;
    }
    return found;
}

fg_member_t fg_reply_bool(struct json_object *json, const char *name, int *value)
{
    struct json_object *v;
    fg_member_t found = member(json, name, json_type_boolean, &v);

    *value = found == FG_MEMBER_OK && json_object_get_boolean(v);
    return found;
}

fg_member_t fg_reply_string(struct json_object *json, const char *name, const char **value)
{
    struct json_object *v;
    fg_member_t found = member(json, name, json_type_string, &v);

    *value = found == FG_MEMBER_OK ? json_object_get_string(v) : NULL;
    return found;
}

fg_member_t fg_reply_score(struct json_object *json, const char *name, double *value)
{
    struct json_object *v;
    double score;

    if (!json_object_object_get_ex(json, name, &v)) {
        return FG_MEMBER_MISSING;
    }
    if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int)) {
        return FG_MEMBER_WRONG;
    }
    score = json_object_get_double(v);
    if (!isfinite(score) || score < 0 || score > 1) {
        return FG_MEMBER_WRONG;
    }
    *value = score;
    return FG_MEMBER_OK;
}

fg_member_t fg_reply_strings(struct json_object *json, const char *name,
                             apr_array_header_t **values, apr_pool_t *pool)
{
    struct json_object *v;
    fg_member_t found = member(json, name, json_type_array, &v);
    size_t i;

    *values = apr_array_make(pool, 4, sizeof(const char *));
    if (found != FG_MEMBER_OK) {
        return found;
    }
    for (i = 0; i < json_object_array_length(v); i++) {
        struct json_object *element = json_object_array_get_idx(v, i);
        if (!json_object_is_type(element, json_type_string)) {
            return FG_MEMBER_WRONG;
        }
        APR_ARRAY_PUSH(*values, const char *) = json_object_get_string(element);
    }
    return FG_MEMBER_OK;
}

void fg_result_cause(fg_captcha_result_t *result, fg_cause_t cause, const char *detail)
{
    result->reason = FG_VERIFIER;
    result->cause = cause;
    result->detail = detail;
}

void fg_result_judged(fg_captcha_result_t *result, fg_reason_t reason, const char *detail)
{
    result->reason = reason;
    result->cause = FG_CAUSE_NONE;
    result->detail = detail;
}

const char *fg_detail(const char *name, const char *value, apr_pool_t *pool)
{
    char safe[FG_LOG_VALUE_MAX + 1];

    return apr_pstrcat(pool, name, "=", fg_log_value(safe, value), NULL);
}

const fg_reply_code_t *fg_reply_code(const fg_reply_code_t *codes, const char *name)
{
    for (; codes->name; codes++) {
        if (!strcmp(codes->name, name)) {
            return codes;
        }
    }
    return NULL;
}

void fg_result_code(fg_captcha_result_t *result, const fg_reply_code_t *code, const char *name,
                    apr_pool_t *pool)
{
    const char *detail = fg_detail("code", name, pool);

    if (!code) {
        fg_result_judged(result, FG_CAPTCHA_REJECTED, detail);
        return;
    }
    result->reason = code->reason;
    result->cause = code->cause;
    result->again = !code->gravity;
    result->detail = apr_pstrcat(pool, detail, " (", code->words, ")", NULL);
}

void fg_result_status(fg_captcha_result_t *result, int status, apr_pool_t *pool)
{
    fg_result_cause(result, status == 429 ? FG_CAUSE_QUOTA : FG_CAUSE_SERVER_ERROR,
                    apr_psprintf(pool, "status=%d", status));
    result->again = status >= 500;
}

/* --- what a service claims -------------------------------------------------------------------- */

static int judge_hostname(const fg_captcha_check_t *check, const char *hostname,
                          fg_captcha_result_t *result, apr_pool_t *pool)
{
    int i;

    if (!check->hostnames || !check->hostnames->nelts) {
        return 1;
    }
    for (i = 0; i < check->hostnames->nelts; i++) {
        const char *glob = APR_ARRAY_IDX(check->hostnames, i, const char *);
        if (apr_fnmatch(glob, hostname, APR_FNM_CASE_BLIND) == APR_SUCCESS) {
            return 1;
        }
    }
    fg_result_judged(result, FG_CAPTCHA_HOSTNAME, fg_detail("hostname", hostname, pool));
    return 0;
}

/* `count` digits from *p as a number from `low` to `high`; -1 if they are none. Moves *p on. */
static int number(const char **p, int count, int low, int high)
{
    int value = 0;

    for (; count; count--, (*p)++) {
        if (!apr_isdigit(**p)) {
            return -1;
        }
        value = value * 10 + (**p - '0');
    }
    return value < low || value > high ? -1 : value;
}

static int skip(const char **p, char c)
{
    return **p == c ? ((*p)++, 1) : 0;
}

/* The offset behind a time: `Z`, `+09:00` or `+0900`, in seconds. Returns 0 if it is none. */
static int parse_offset(const char *p, int *offset)
{
    int sign, hours, minutes;

    *offset = 0;
    if (*p == 'Z' || *p == 'z') {
        return p[1] == '\0';
    }
    if (*p != '+' && *p != '-') {
        return 0;
    }
    sign = *p++ == '-' ? -1 : 1;
    if ((hours = number(&p, 2, 0, 23)) < 0) {
        return 0;
    }
    skip(&p, ':');
    if ((minutes = number(&p, 2, 0, 59)) < 0 || *p) {
        return 0;
    }
    *offset = sign * (hours * 3600 + minutes * 60);
    return 1;
}

/* Parse `2025-06-30T23:59:59[.123](Z|+09:00)`. Returns 0 if it is no such time. */
static int parse_stamp(const char *p, apr_time_t *stamp)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    apr_time_exp_t t = {0};
    int year, leap;

    if ((year = number(&p, 4, 1970, 9999)) < 0 || !skip(&p, '-')) {
        return 0;
    }
    if ((t.tm_mon = number(&p, 2, 1, 12) - 1) < 0 || !skip(&p, '-')) {
        return 0;
    }
    leap = t.tm_mon == 1 && (year % 4 == 0 && (year % 100 || year % 400 == 0));
    if ((t.tm_mday = number(&p, 2, 1, days[t.tm_mon] + leap)) < 0 || !skip(&p, 'T')) {
        return 0;
    }
    if ((t.tm_hour = number(&p, 2, 0, 23)) < 0 || !skip(&p, ':')) {
        return 0;
    }
    if ((t.tm_min = number(&p, 2, 0, 59)) < 0 || !skip(&p, ':')) {
        return 0;
    }
    if ((t.tm_sec = number(&p, 2, 0, 60)) < 0) {
        return 0;
    }
    if (*p == '.') {
        if (!apr_isdigit(*++p)) {
            return 0;
        }
        while (apr_isdigit(*p)) {
            p++;
        }
    }
    t.tm_year = year - 1900;
    return parse_offset(p, &t.tm_gmtoff) && apr_time_exp_gmt_get(stamp, &t) == APR_SUCCESS;
}

static int judge_age(const fg_captcha_check_t *check, const fg_claims_t *claims,
                     fg_captcha_result_t *result, apr_pool_t *pool)
{
    apr_interval_time_t max = check->max_age ? check->max_age : check->provider->life;
    apr_time_t solved;
    apr_interval_time_t age;

    if (!parse_stamp(claims->stamp, &solved)) {
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR,
                        apr_pstrcat(pool, claims->stamp_name, " is no time", NULL));
        return 0;
    }
    age = check->now.wall - solved;
    if (age > max + CLOCK_LEEWAY) {
        fg_result_judged(result, FG_CAPTCHA_EXPIRED,
                         apr_psprintf(pool, "age=%" APR_TIME_T_FMT "s", apr_time_sec(age)));
        return 0;
    }
    if (age < -CLOCK_LEEWAY) {
        result->detail = apr_psprintf(pool, "clocks differ: %s is %" APR_TIME_T_FMT "s ahead",
                                      claims->stamp_name, apr_time_sec(-age));
    }
    return 1;
}

void fg_judge_claims(const fg_captcha_check_t *check, const fg_claims_t *claims,
                     fg_captcha_result_t *result, apr_pool_t *pool)
{
    const fg_captcha_provider_t *provider = check->provider;
    const char *action = claims->action ? claims->action : "";

    result->has_score = claims->has_score && provider->score != FG_CARRIES_NEVER;
    result->score = result->has_score ? claims->score : 0;
    if (!judge_hostname(check, claims->hostname, result, pool) ||
        !judge_age(check, claims, result, pool)) {
        return;
    }
    if (provider->action != FG_CARRIES_NEVER && check->action &&
        strcmp(check->action, action) != 0) {
        fg_result_judged(result, FG_CAPTCHA_ACTION, fg_detail("action", action, pool));
        return;
    }
    if (result->has_score && result->score < check->min_score) {
        fg_result_judged(result, FG_CAPTCHA_SCORE,
                         apr_psprintf(pool, "min=%.2f", check->min_score));
        return;
    }
    fg_result_judged(result, FG_ACCEPTED, result->detail); /* it may tell of differing clocks */
}
