/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file decide.h
 * @brief Facts and policy and counters make a verdict. The whole order of checks is in decide.c.
 */
#ifndef FG_DECIDE_H
#define FG_DECIDE_H

#include "address.h"
#include "captcha.h"
#include "closures.h"
#include "counters.h"
#include "policy.h"
#include "strip.h"
#include "submission.h"
#include "verdict.h"

/** What reading the body came to. */
typedef enum fg_capture {
    FG_CAPTURE_WHOLE,     /**< read to its end, fields picked out */
    FG_CAPTURE_OVER,      /**< larger than the policy inspects */
    FG_CAPTURE_MALFORMED, /**< see `detail` */
    FG_CAPTURE_UNSEALED,  /**< says that a page of ours has kept it, and is not signed */
    FG_CAPTURE_CAPS,      /**< too many fields, too long names, nested too deep */
    FG_CAPTURE_ANSWERED,  /**< the server has answered, or the client is gone: see `status` */
    FG_CAPTURE_FAILED     /**< our own fault: no room for the temporary file, see `detail` */
} fg_capture_t;

typedef struct fg_captured {
    fg_capture_t capture;
    fg_submission_t *submission;
    int status;            /**< for ANSWERED: what the handler returns */
    apr_off_t size;        /**< for WHOLE: bytes */
    const char *detail;    /**< for the log, or NULL */
    int kept;              /**< 1: it comes back from the challenge page, which has kept it */
    const char *answer;    /**< to the built-in captcha, from that page; NULL: none that counts */
    apr_size_t answer_len; /**< bytes that were posted of it */
    const char *shown;     /**< an answer the visitor shows beside his post, which was too large
                                for that page to keep; taken where there is no better one */
    int fallback;          /**< 1: that page was shown in place of a service that failed */
} fg_captured_t;

typedef struct fg_case fg_case_t;

/** What a decision asks the server for, each at most once and only when it is needed. */
typedef struct fg_server_ops {
    /** The client's country. @return 0, or 1 if there is no usable database */
    int (*country)(fg_case_t *c, fg_country_t *country);
    /** Read the body into a submission that was given to fg_decide_wants(). */
    void (*capture)(fg_case_t *c, fg_captured_t *captured);
    /** Look the client up in a blocklist. */
    void (*dnsbl)(fg_case_t *c, const fg_dnsbl_zone_t *zone, apr_interval_time_t timeout,
                  fg_dnsbl_result_t *result);
    /** Judge a well-formed token at its vendor, by the captcha settings of `policy`. Under
     * DetectionOnly only what is judged here, without spending it. */
    void (*verify)(fg_case_t *c, const fg_policy_t *policy, const char *token,
                   fg_captcha_result_t *result);
    /** Judge an answer to the built-in challenge; NULL: there is none. */
    void (*challenge)(fg_case_t *c, const fg_policy_t *policy, const char *answer,
                      fg_captcha_result_t *result);
    /** 1 if this well-formed token answers a challenge of this server's, whether it counts here or
     * not; NULL: they all do. */
    int (*own)(fg_case_t *c, const char *token);
    /** Use up one step of a clearance that the visitor shows; asked again only if there was none.
     * @return 1 if it has a good one */
    int (*cleared)(fg_case_t *c, const fg_policy_t *policy);
    /** Read the clocks again after something slow. */
    fg_time_t (*now)(fg_case_t *c);
    /** A rule with action=log fired: say so, the decision goes on. */
    void (*note)(fg_case_t *c, const fg_verdict_t *verdict);
    /** Site and path of the form, for people; in the case's pool. */
    const char *(*label)(fg_case_t *c);
    /** A form has been closed by a limit: say so, once. */
    void (*closed)(fg_case_t *c, const fg_verdict_t *verdict);
    /** One step of the decision, for LogLevel debug; NULL: nobody listens. */
    void (*trace)(fg_case_t *c, const char *text);
} fg_server_ops_t;

/** URL paths a post goes by, at most. */
#define FG_PATHS 3

/** A policy in force for a post. */
typedef struct fg_layer {
    const fg_policy_t *policy;
    int active;             /**< 1: this post is judged under it */
    int challenged;         /**< decide's own: a rule with action=challenge has fired */
    fg_verdict_t challenge; /**< decide's own: what it refuses with where no captcha is asked */
} fg_layer_t;

/** One post to be judged. The caller fills in all but the last part. */
struct fg_case {
    fg_layer_t layer[FG_LAYERS]; /**< outermost first; `active` where method and path are guarded */
    int layers;                  /**< 1 or 2 */
    fg_counters_t *counters;
    const fg_server_ops_t *ops;
    void *baton; /**< the server's own */
    fg_address_t client;
    const char *form;           /**< virtual host and script: what the key `form` counts by */
    const char *path[FG_PATHS]; /**< URL paths it goes by, where a policy has form fields; NULL:
                                   none of that sort */
    const char *site;           /**< what the key `site` counts by */
    fg_closures_t *closures;    /**< forms that are closed, or NULL */
    fg_time_t now;
    apr_pool_t *pool;

    fg_country_t country; /**< decide's own from here on */
    int country_known;    /**< 1: there is a database, `country` is what it says */
    apr_array_header_t *charges;
    fg_counter_key_t full; /**< the counter of the limit that refused last */
    fg_captured_t captured;
    const fg_policy_t *verified;         /**< whose captcha's token was verified; NULL: none was */
    const fg_captcha_provider_t *passed; /**< the captcha this post has passed; NULL: none */
    int cleared;                         /**< 1: by a clearance, one step of which is used */
    int own_token;      /**< 1: what stands in the built-in captcha's field is ours */
    fg_verdict_t would; /**< what a layer in DetectionOnly would have refused for */
};

/** Tell a new submission which fields the decision on this post asks for. */
void fg_decide_wants(const fg_case_t *c, fg_submission_t *submission);

/**
 * Largest body that is inspected, bytes: what the outermost active layer says. A lower limit of an
 * inner one is judged by itself, or it would keep the outer one from what it inspects.
 */
apr_off_t fg_decide_body_limit(const fg_case_t *c);

/**
 * What the application is not to see: fields of the captcha of the innermost layer that enforces
 * one. Where the answer after the decision is another than before it, that layer had no say.
 * @param strip told the names; NULL if they are known
 * @return the layer's policy, or NULL if the body is handed on as it is
 */
const fg_policy_t *fg_decide_strips(const fg_case_t *c, fg_strip_t *strip);

/**
 * Whether what fg_decide_strips() has named is to go, after the decision. A site may have an ALTCHA
 * of its own, whose field is called the same: unless FormGuardCaptchaStrip says On, only an answer
 * to a challenge of this server's is taken away.
 * @param policy what fg_decide_strips() has returned, not NULL
 */
int fg_decide_strip_holds(fg_case_t *c, const fg_policy_t *policy);

/**
 * Decide on a post that one layer at least guards (method and path were matched by the caller).
 * Under DetectionOnly the verdict says what would be done, and `would` is set in it.
 * @param c       the case
 * @param verdict filled in; its texts live in c->pool or in the policy
 */
void fg_decide(fg_case_t *c, fg_verdict_t *verdict);

#endif
