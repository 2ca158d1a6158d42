/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policy.h
 * @brief What is guarded and how: a value, made of directives, merged from the outside in.
 *
 * A field that was never set is all zero bytes and stays so through every merge; defaults are
 * applied by the getters.
 */
#ifndef FG_POLICY_H
#define FG_POLICY_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "captcha.h"
#include "rate.h"
#include "verdict.h"

typedef enum fg_mode { FG_MODE_UNSET, FG_MODE_OFF, FG_MODE_ON, FG_MODE_DETECT } fg_mode_t;

typedef enum fg_action { FG_ACT_UNSET, FG_ACT_ALLOW, FG_ACT_REFUSE, FG_ACT_LOG } fg_action_t;

/** What a limit counts by. */
typedef enum fg_limit_key { FG_KEY_IP, FG_KEY_COUNTRY, FG_KEY_FORM } fg_limit_key_t;

/** When a limit counts: before anything costly, or only what was about to be accepted. */
typedef enum fg_count_when { FG_COUNT_ATTEMPTS, FG_COUNT_ACCEPTED } fg_count_when_t;

typedef struct fg_limit {
    fg_limit_key_t key;
    const apr_array_header_t *countries; /**< const char *, for `country=LIST`; else NULL */
    const apr_array_header_t *rates;     /**< fg_rate_t, one at least */
    fg_action_t action;                  /**< FG_ACT_REFUSE or FG_ACT_LOG */
    fg_count_when_t when;
    const char *text; /**< as configured, white space folded: `ip 10/10m` */
    apr_uint64_t id;  /**< of place and text: names its counters */
} fg_limit_t;

/** One country's rule. `code` is upper case, `*`, or `unknown`. */
typedef struct fg_country_rule {
    const char *code;
    fg_action_t action;
    const char *text; /**< as configured: `CN,HK refuse` */
} fg_country_rule_t;

/** Where the provider is `off`: a set value that says no captcha is asked for. */
extern const fg_captcha_provider_t fg_captcha_off;

typedef struct fg_body_limit {
    apr_off_t size;   /**< bytes; 0: unset */
    fg_action_t over; /**< FG_ACT_REFUSE, or FG_ACT_ALLOW for over=pass */
} fg_body_limit_t;

typedef struct fg_on_error {
    unsigned char action[FG_CAUSE_COUNT]; /**< fg_action_t; FG_ACT_UNSET where not said */
} fg_on_error_t;

typedef struct fg_double {
    int set;
    double value;
} fg_double_t;

/**
 * Every field of a policy: kind (see policy.c: how it merges) and name.
 */
#define FG_POLICY_FIELDS(F)                                                                        \
    F(mode, mode)                                                                                  \
    F(names, methods)                                                                              \
    F(names, paths)                                                                                \
    F(names, form_fields)                                                                          \
    F(limits, limits)                                                                              \
    F(countries, countries)                                                                        \
    F(body_limit, body_limit)                                                                      \
    F(provider, captcha)                                                                           \
    F(text, captcha_site_key)                                                                      \
    F(text, captcha_secret)                                                                        \
    F(text, captcha_field)                                                                         \
    F(score, captcha_min_score)                                                                    \
    F(names, captcha_hostnames)                                                                    \
    F(text, captcha_action)                                                                        \
    F(period, captcha_max_age)                                                                     \
    F(on_error, captcha_on_error)                                                                  \
    F(text, captcha_endpoint)                                                                      \
    F(period, captcha_timeout)                                                                     \
    F(text, captcha_ca_file)                                                                       \
    F(flag, captcha_send_ip)

/** `FormGuard` itself; where it stands names the counters of the default limit. */
typedef struct fg_switch {
    fg_mode_t mode;
    apr_uint64_t scope;
} fg_switch_t;

typedef fg_switch_t fg_policy_mode_t;
typedef const apr_array_header_t *fg_policy_names_t;
typedef const apr_array_header_t *fg_policy_limits_t;
typedef const apr_array_header_t *fg_policy_countries_t;
typedef fg_body_limit_t fg_policy_body_limit_t;
typedef const fg_captcha_provider_t *fg_policy_provider_t;
typedef const char *fg_policy_text_t;
typedef fg_double_t fg_policy_score_t;
typedef apr_interval_time_t fg_policy_period_t;
typedef fg_on_error_t fg_policy_on_error_t;
typedef fg_mode_t fg_policy_flag_t; /* FG_MODE_ON or FG_MODE_OFF */

typedef struct fg_policy {
#define FG_POLICY_MEMBER(kind, name) fg_policy_##kind##_t name;
    FG_POLICY_FIELDS(FG_POLICY_MEMBER)
#undef FG_POLICY_MEMBER
} fg_policy_t;

/** Where a directive may stand. */
typedef enum fg_context {
    FG_CTX_SERVER, /**< server config only */
    FG_CTX_VHOST,  /**< server config and virtual host */
    FG_CTX_DIR     /**< also directory sections and .htaccess */
} fg_context_t;

/** What a directive's parser is given. */
typedef struct fg_words {
    int argc;
    char *const *argv;
    const char *scope; /**< where the line stands: part of the identity of the rules it makes */
    const char *(*resolve)(void *baton, const char *path); /**< makes a path absolute, or NULL */
    void *baton;
    apr_pool_t *pool;      /**< owns what is stored */
    apr_pool_t *temp_pool; /**< for error texts */
} fg_words_t;

/** One directive that sets a field of the policy. */
typedef struct fg_directive {
    const char *name;
    fg_context_t context;
    /** Parse into `policy`. @return NULL, or value and reason, to stand behind the name. */
    const char *(*parse)(const struct fg_directive *directive, fg_policy_t *policy,
                         const fg_words_t *words);
    apr_size_t offset;  /**< of the field in fg_policy_t */
    const char *syntax; /**< behind the name */
    const char *dflt;   /**< as the manual says it */
} fg_directive_t;

/** Every directive that sets a field of the policy; `name` is NULL in the last row. */
extern const fg_directive_t fg_policy_directives[];

/**
 * Apply one line of configuration.
 * @return NULL, or a sentence that names value and reason (the caller puts the directive's name
 *         before it); the policy is unchanged then
 */
const char *fg_policy_apply(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words);

/**
 * Put `add` (the inner, later one) over `base`. Limits and countries add up, the same limit twice
 * is one; for everything else a set value of `add` wins.
 * @return a new policy in `pool` that shares what the two hold
 */
fg_policy_t *fg_policy_merge(const fg_policy_t *base, const fg_policy_t *add, apr_pool_t *pool);

/** On, Off or DetectionOnly; never unset. */
fg_mode_t fg_policy_mode(const fg_policy_t *policy);

/** 1 if no rule at all is set (limits, countries, captcha), so that the default limit applies. */
int fg_policy_is_bare(const fg_policy_t *policy);

/** What a bare policy means, as it is said in the log: `ip 10/10m 60/1d`. */
#define FG_POLICY_DEFAULT_LIMIT "ip 10/10m 60/1d"

/**
 * The limits in force: those written, or the default of a bare policy.
 * @param pool owns the array where it has to be made
 * @return fg_limit_t, possibly none, never NULL
 */
const apr_array_header_t *fg_policy_limits(const fg_policy_t *policy, apr_pool_t *pool);

/** 1 if a post by this method is guarded. Method names are case-sensitive (RFC 9110 9.1). */
int fg_policy_guards_method(const fg_policy_t *policy, const char *method);

/** 1 if a post to this path is guarded. */
int fg_policy_guards_path(const fg_policy_t *policy, const char *path);

/** The captcha provider asked for, or NULL. */
const fg_captcha_provider_t *fg_policy_captcha(const fg_policy_t *policy);

/** Name of the field that carries the captcha token; NULL without a captcha. */
const char *fg_policy_captcha_field(const fg_policy_t *policy);

/** FG_ACT_REFUSE or FG_ACT_ALLOW for a verification that failed for that cause. */
fg_action_t fg_policy_on_error(const fg_policy_t *policy, fg_cause_t cause);

/** How long a verification may take in all, microseconds. */
apr_interval_time_t fg_policy_captcha_timeout(const fg_policy_t *policy);

/** The least score that passes, 0 to 1. */
double fg_policy_captcha_min_score(const fg_policy_t *policy);

/** Largest body inspected, bytes. */
apr_off_t fg_policy_body_limit(const fg_policy_t *policy);

/** 1 if a larger body passes uninspected, 0 if it is refused. */
int fg_policy_body_over_passes(const fg_policy_t *policy);

/**
 * The rule for a country.
 * @param code upper case, or "" for unknown
 * @return the most specific rule that names it, the innermost of equals; NULL without one.
 *         `*` does not cover unknown
 */
const fg_country_rule_t *fg_policy_country(const fg_policy_t *policy, const char *code);

/** 1 if some rule of the policy can't be judged without a country database. */
int fg_policy_needs_country(const fg_policy_t *policy);

/** 1 if the limit counts clients of that country (upper case, or "" for unknown). */
int fg_limit_covers_country(const fg_limit_t *limit, const char *code);

#endif
