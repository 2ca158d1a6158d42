/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verdict.h
 * @brief What a decision is: outcome, reason, and what a log line and a visitor are told of it.
 */
#ifndef FG_VERDICT_H
#define FG_VERDICT_H

#include <apr_time.h>

#include "country.h"

/**
 * Every reason: name, tag in the log, HTTP status, key of its texts, words for the log.
 * Tags are stable: people grep for them. Never reuse one, never change what one means.
 */
#define FG_REASONS(X)                                                                              \
    X(FG_ACCEPTED, "FG1000", 200, "accepted", "accepted")                                          \
    X(FG_NOT_SUBMISSION, "FG1001", 200, "not-submission", "no form field, handed on unjudged")     \
    X(FG_LIMIT, "FG1100", 429, "limit", "too many posts")                                          \
    X(FG_CLOSED, "FG1101", 503, "closed", "form closed")                                           \
    X(FG_COUNTRY, "FG1200", 403, "country", "country refused")                                     \
    X(FG_DNSBL, "FG1210", 403, "dnsbl", "address listed")                                          \
    X(FG_DENY, "FG1220", 403, "deny", "no post belongs here")                                      \
    X(FG_MALFORMED, "FG1300", 400, "malformed", "body malformed")                                  \
    X(FG_TOO_LARGE, "FG1301", 413, "too-large", "body over FormGuardBodyLimit")                    \
    X(FG_OVER_CAPS, "FG1302", 413, "too-large", "body has too many fields or too long names")      \
    X(FG_BODY_LOST, "FG1303", 400, "malformed", "body could not be read")                          \
    X(FG_KEPT, "FG1304", 403, "kept", "kept submission is none of ours")                           \
    X(FG_FIELD_MISSING, "FG1310", 422, "required", "required field blank")                         \
    X(FG_FIELD_FILLED, "FG1311", 403, "honeypot", "field filled that must be empty")               \
    X(FG_FIELD_LINES, "FG1312", 422, "single-line", "line end in a single-line field")             \
    X(FG_FIELD_LINKS, "FG1313", 422, "links", "too many links")                                    \
    X(FG_CAPTCHA_MISSING, "FG1400", 403, "captcha", "captcha token missing")                       \
    X(FG_CAPTCHA_SHAPE, "FG1401", 403, "captcha", "captcha token is none")                         \
    X(FG_CAPTCHA_REJECTED, "FG1402", 403, "captcha", "captcha token rejected")                     \
    X(FG_CAPTCHA_EXPIRED, "FG1403", 403, "expired", "captcha token expired or used before")        \
    X(FG_CAPTCHA_HOSTNAME, "FG1404", 403, "captcha", "captcha solved on another site")             \
    X(FG_CAPTCHA_ACTION, "FG1405", 403, "captcha", "captcha solved for another action")            \
    X(FG_CAPTCHA_SCORE, "FG1406", 403, "captcha", "captcha score too low")                         \
    X(FG_VERIFIER, "FG1500", 503, "verifier", "captcha could not be verified")                     \
    X(FG_INTERNAL, "FG1900", 503, "verifier", "internal fault")

typedef enum fg_reason {
#define FG_REASON_ENUM(name, tag, status, key, words) name,
    FG_REASONS(FG_REASON_ENUM)
#undef FG_REASON_ENUM
        FG_REASON_COUNT
} fg_reason_t;

typedef struct fg_reason_row {
    const char *tag;   /**< `FG1100` */
    int status;        /**< HTTP status of a refusal for it */
    const char *key;   /**< key of the visitor's texts, and of the problem type */
    const char *words; /**< for the log */
} fg_reason_row_t;

/** The row of a reason. */
const fg_reason_row_t *fg_reason(fg_reason_t reason);

typedef enum fg_outcome {
    FG_OUT_PASS,    /**< not a guarded submission: hand it on, nothing is said */
    FG_OUT_ACCEPT,  /**< guarded and accepted */
    FG_OUT_REFUSE,  /**< answer with reason's status */
    FG_OUT_ANSWERED /**< the server has already answered while the body was read: see status */
} fg_outcome_t;

/** Everything an answer, a log line and the application's environment need. */
typedef struct fg_verdict {
    fg_outcome_t outcome;
    fg_reason_t reason;
    int status;                      /**< HTTP status: reason's, or the server's for ANSWERED */
    const char *rule;                /**< the rule that fired, as configured, or NULL */
    const char *detail;              /**< more for the log, nothing secret, or NULL */
    int fault;                       /**< 1: the server's own, somebody has to mend something */
    int has_count;                   /**< count, rate_count and period are set */
    apr_uint32_t count;              /**< how many the window holds */
    apr_uint32_t rate_count;         /**< how many it may hold */
    apr_interval_time_t period;      /**< of the rate, microseconds */
    apr_interval_time_t retry_after; /**< microseconds; 0: unknown */
    int would;                       /**< 1: DetectionOnly, not to be carried out */
    int fallback;  /**< 1: the built-in challenge is asked for, in place of a captcha service */
    int challenge; /**< 1: with an answer to the built-in captcha it may pass */
    const char *challenged_by;  /**< the rule with action=challenge that asks for the captcha, or
                                    NULL: it is asked for always */
    fg_reason_t challenged_for; /**< that rule's reason, where `challenge` and `challenged_by` are
                                    set; retry_after is its then */
    int has_score;
    double score;
    int country_known;         /**< 1: there is a country database */
    fg_country_code_t country; /**< what it says; "" is unknown */
} fg_verdict_t;

#endif
