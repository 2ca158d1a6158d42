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
#include <apr_user.h>

#include "altcha.h"
#include "captcha.h"
#include "country.h"
#include "dnsbl.h"
#include "rate.h"
#include "verdict.h"

typedef enum fg_mode { FG_MODE_UNSET, FG_MODE_OFF, FG_MODE_ON, FG_MODE_DETECT } fg_mode_t;

typedef enum fg_action {
    FG_ACT_UNSET,
    FG_ACT_ALLOW,
    FG_ACT_REFUSE,
    FG_ACT_LOG,
    FG_ACT_CHALLENGE, /**< ask for a captcha; without one to ask for, refuse */
    FG_ACT_CLOSE      /**< refuse, and close the form for a while */
} fg_action_t;

/** What a limit counts by. */
typedef enum fg_limit_key {
    FG_KEY_IP,
    FG_KEY_NET,
    FG_KEY_COUNTRY,
    FG_KEY_FORM,
    FG_KEY_SITE,
    FG_KEY_SERVER,
    FG_KEY_FIELD
} fg_limit_key_t;

/** Where a client's posts are counted together: what follows the `+` of a key. */
typedef enum fg_limit_in {
    FG_IN_ANY,  /**< wherever the line holds */
    FG_IN_FORM, /**< each form by itself: `ip+form` */
    FG_IN_SITE  /**< each site by itself */
} fg_limit_in_t;

/** When a limit counts: before anything costly, or only what was about to be accepted. */
typedef enum fg_count_when { FG_COUNT_ATTEMPTS, FG_COUNT_ACCEPTED } fg_count_when_t;

typedef struct fg_limit {
    fg_limit_key_t key;
    fg_limit_in_t in;                    /**< FG_IN_ANY for the keys that name no client */
    const apr_array_header_t *countries; /**< const char *: counts posts from these only; or NULL */
    int not_from;                        /**< 1: counts posts from any country but those */
    const char *field;                   /**< for `field:NAME`; else NULL */
    const apr_array_header_t *rates;     /**< fg_rate_t, one at least */
    apr_uint32_t weight;                 /**< how much one post counts, 1 or more */
    fg_action_t action;                  /**< never FG_ACT_ALLOW */
    apr_interval_time_t close_for;       /**< for FG_ACT_CLOSE, microseconds */
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

/** What a field must be. */
typedef enum fg_field_check {
    FG_FIELD_REQUIRED,    /**< there, and not blank */
    FG_FIELD_EMPTY,       /**< not there or empty: a honeypot */
    FG_FIELD_SINGLE_LINE, /**< no line end in it, raw or percent-encoded: no mail header injected */
    FG_FIELD_MAX_LINKS    /**< no more than so many links in it */
} fg_field_check_t;

typedef struct fg_field_rule {
    const char *name;
    fg_field_check_t check;
    unsigned int max;   /**< for FG_FIELD_MAX_LINKS */
    fg_action_t action; /**< FG_ACT_REFUSE, FG_ACT_LOG or FG_ACT_CHALLENGE */
    const char *text;   /**< as configured: `email single-line` */
} fg_field_rule_t;

/** A blocklist to look in. */
typedef struct fg_dnsbl_rule {
    fg_dnsbl_zone_t zone;
    fg_action_t action; /**< FG_ACT_REFUSE, FG_ACT_LOG or FG_ACT_CHALLENGE */
    const char *text;   /**< `zen.spamhaus.org`, without a customer's key */
} fg_dnsbl_rule_t;

/** What `.htaccess` may do to the policy of the server config. */
typedef enum fg_override {
    FG_OVERRIDE_UNSET,
    FG_OVERRIDE_NONE,    /**< nothing: a line of ours in it is an error */
    FG_OVERRIDE_TIGHTEN, /**< add and lower, never remove or raise */
    FG_OVERRIDE_ALL      /**< everything, as a line of the server config */
} fg_override_t;

/** How a refusal is put for a script that waits for it. */
typedef enum fg_reply {
    FG_REPLY_PROBLEM, /**< problem+json (RFC 9457) */
    /* the JSON its own script shows: */
    FG_REPLY_CONTACT_FORM_7,
    FG_REPLY_WPFORMS,
    FG_REPLY_ELEMENTOR,
    FG_REPLY_NINJA_FORMS
} fg_reply_t;

/** What is known of a form software: the lines FormGuardPreset stands for, and its reply. */
typedef struct fg_preset {
    const char *name;
    const char *lines; /**< directives, one a line */
    fg_reply_t reply;
    int posts_elsewhere;     /**< 1: its script posts to another path than the form in the page */
    const char *token_field; /**< where its FormGuardCaptchaField expects the token of a captcha
                                service, which the software may verify itself; or NULL */
} fg_preset_t;

/** All presets; `name` is NULL in the last row. */
extern const fg_preset_t fg_presets[];

/** Where the provider is `off`: a set value that says no captcha is asked for. */
extern const fg_captcha_provider_t fg_captcha_off;

typedef enum fg_captcha_when {
    FG_WHEN_UNSET,
    FG_WHEN_ALWAYS,
    FG_WHEN_CHALLENGED /**< only where a rule with action=challenge has fired */
} fg_captcha_when_t;

/** Who spends a token. */
typedef enum fg_verify {
    FG_VERIFY_UNSET,
    FG_VERIFY_HERE,
    FG_VERIFY_APPLICATION /**< it must be there and look like one: the application asks about it */
} fg_verify_t;

/** What a verified token lets pass behind it, for forms with a confirmation screen. */
typedef struct fg_grant {
    int set;
    apr_uint32_t uses;        /**< 0: nothing */
    apr_interval_time_t life; /**< microseconds */
} fg_grant_t;

typedef struct fg_body_limit {
    apr_off_t size;   /**< bytes; 0: unset */
    fg_action_t over; /**< FG_ACT_REFUSE, or FG_ACT_ALLOW for over=pass */
} fg_body_limit_t;

typedef struct fg_on_error {
    unsigned char action[FG_CAUSE_COUNT]; /**< fg_action_t; FG_ACT_UNSET where not said;
                                               FG_ACT_CHALLENGE for `altcha` */
} fg_on_error_t;

typedef struct fg_double {
    int set;
    double value;
} fg_double_t;

/**
 * Every field of a policy: kind (see policy.c: how it merges) and name.
 */
#define FG_POLICY_FIELDS(F)                                                                        \
    F(preset, preset)                                                                              \
    F(mode, mode)                                                                                  \
    F(names, methods)                                                                              \
    F(names, paths)                                                                                \
    F(names, form_fields)                                                                          \
    F(limits, limits)                                                                              \
    F(countries, countries)                                                                        \
    F(field_rules, fields)                                                                         \
    F(dnsbls, dnsbls)                                                                              \
    F(period, dnsbl_timeout)                                                                       \
    F(flag, deny)                                                                                  \
    F(body_limit, body_limit)                                                                      \
    F(provider, captcha)                                                                           \
    F(when, captcha_when)                                                                          \
    F(verify, captcha_verify)                                                                      \
    F(difficulty, captcha_difficulty)                                                              \
    F(grant, captcha_clearance)                                                                    \
    F(text, captcha_host)                                                                          \
    F(text, captcha_project)                                                                       \
    F(text, captcha_site_key)                                                                      \
    F(text, captcha_secret)                                                                        \
    F(text, captcha_field)                                                                         \
    F(flag, captcha_strip)                                                                         \
    F(flag, inject)                                                                                \
    F(score, captcha_min_score)                                                                    \
    F(names, captcha_hostnames)                                                                    \
    F(text, captcha_action)                                                                        \
    F(period, captcha_max_age)                                                                     \
    F(on_error, captcha_on_error)                                                                  \
    F(text, captcha_endpoint)                                                                      \
    F(period, captcha_timeout)                                                                     \
    F(text, captcha_ca_file)                                                                       \
    F(flag, captcha_send_ip)                                                                       \
    F(flag, status_open)                                                                           \
    F(text, contact)                                                                               \
    F(override, override)

/** `FormGuard` itself; where it stands names the counters of the default limit. */
typedef struct fg_switch {
    fg_mode_t mode;
    apr_uint64_t scope;
} fg_switch_t;

typedef fg_switch_t fg_policy_mode_t;
typedef const apr_array_header_t *fg_policy_names_t;
typedef const apr_array_header_t *fg_policy_limits_t;
typedef const apr_array_header_t *fg_policy_countries_t;
typedef const apr_array_header_t *fg_policy_field_rules_t;
typedef const struct fg_preset *fg_policy_preset_t;
typedef const apr_array_header_t *fg_policy_dnsbls_t;
typedef fg_captcha_when_t fg_policy_when_t;
typedef fg_verify_t fg_policy_verify_t;
typedef fg_difficulty_t fg_policy_difficulty_t;
typedef fg_grant_t fg_policy_grant_t;
typedef fg_override_t fg_policy_override_t;
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
    FG_CTX_SERVER,  /**< server config only */
    FG_CTX_VHOST,   /**< server config and virtual host */
    FG_CTX_SECTION, /**< also directory sections, not .htaccess */
    FG_CTX_DIR      /**< also .htaccess */
} fg_context_t;

/** What a directive's parser is given. */
typedef struct fg_words {
    int argc;
    char *const *argv;
    const char *scope; /**< where the line stands: part of the identity of the rules it makes */
    int site;          /**< 1: it stands in .htaccess, so its writer is not to be trusted */
    const char *(*resolve)(void *baton, const char *path); /**< makes a path absolute, or NULL */
    void *baton;
    apr_pool_t *pool;      /**< owns what is stored */
    apr_pool_t *temp_pool; /**< for error texts */
    apr_uid_t user;        /**< whom the server runs as */
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

/** Most limits, countries or field rules the `.htaccess` files of one directory may add up to. */
#define FG_SITE_RULES_MAX 32

/** Most rates all those limits may have together: each is a key of the shared table that a post
 * charges, and the table is everybody's. */
#define FG_SITE_RATES_MAX 32

/** What the server config says, and what `.htaccess` says, each merged by itself. Kept apart to
 * the end, since httpd merges an `<If>` of .htaccess last, and may merge a `<Files>` of both before
 * either meets the rest: no order of merging can be trusted. */
typedef struct fg_policy_stack {
    fg_policy_t server;
    fg_policy_t site;
    int has_server;       /**< 1: some line of the server config is in `server` */
    int has_site;         /**< 1: some line of .htaccess is in `site` */
    const char *site_cut; /**< a directive of .htaccess with lines too many, which do not hold; or
                               NULL */
} fg_policy_stack_t;

/** fg_policy_merge() for both layers. */
fg_policy_stack_t *fg_policy_stack_merge(const fg_policy_stack_t *base,
                                         const fg_policy_stack_t *add, apr_pool_t *pool);

/** 1 if no line of ours is in either layer. */
static inline int fg_policy_stack_is_empty(const fg_policy_stack_t *stack)
{
    return !stack->has_server && !stack->has_site;
}

/** Policies in force for a request, at most. */
#define FG_LAYERS 2

/** The policies in force for a request, outermost first. A post is judged under each. */
typedef struct fg_policy_layers {
    const fg_policy_t *layer[FG_LAYERS];
    int count; /**< 1 or 2 */
} fg_policy_layers_t;

/**
 * Resolve what the server config and .htaccess say into the policies in force. Under `tighten`
 * the server config's own policy stays in force as it is and the site's is judged beside it; where
 * the server config is not On, its rules join the site's.
 * @param pool for policies that have to be made
 */
void fg_policy_resolve(const fg_policy_stack_t *stack, fg_policy_layers_t *layers,
                       apr_pool_t *pool);

/** 1 if the captcha's widget is to be added to pages. Guards nothing: the site's word counts, where
 * it may say anything at all. */
int fg_policy_injects(const fg_policy_stack_t *stack);

/** What `.htaccess` may do; never unset. */
fg_override_t fg_policy_override(const fg_policy_t *server);

/** On, Off or DetectionOnly; never unset. */
static inline fg_mode_t fg_policy_mode(const fg_policy_t *policy)
{
    return policy->mode.mode == FG_MODE_UNSET ? FG_MODE_OFF : policy->mode.mode;
}

/** 1 if no limit, country rule, captcha or FormGuardDeny is set: the default limit applies. */
int fg_policy_is_bare(const fg_policy_t *policy);

/** What a bare policy means, as it is said in the log: `ip 10/10m 60/1d`. */
#define FG_POLICY_DEFAULT_LIMIT "ip 10/10m 60/1d"

/**
 * The limits in force: those written, or the default of a bare policy.
 * @param pool owns the array where it has to be made
 * @return fg_limit_t, possibly none, never NULL
 */
const apr_array_header_t *fg_policy_limits(const fg_policy_t *policy, apr_pool_t *pool);

/** 1 if a request by this method is guarded, written in any letters: CGI programs read `post`, too.
 * HEAD is where GET is, and each is where `*` is. */
int fg_policy_guards_method(const fg_policy_t *policy, const char *method);

/** 1 if a post to this path is guarded. */
int fg_policy_guards_path(const fg_policy_t *policy, const char *path);

/** 1 if a word of FormGuardFormField is a URL path and no field: it starts with `/` or `*`. */
int fg_policy_is_path(const char *word);

/** The captcha provider asked for, or NULL. */
const fg_captcha_provider_t *fg_policy_captcha(const fg_policy_t *policy);

/** 1 if the captcha is asked for only after a rule with action=challenge. */
int fg_policy_captcha_when_challenged(const fg_policy_t *policy);

/** 1 if the application asks the captcha's service, and not the module. */
int fg_policy_captcha_by_application(const fg_policy_t *policy);

/** How much work a challenge of the built-in captcha is; never unset. */
fg_difficulty_t fg_policy_captcha_difficulty(const fg_policy_t *policy);

/** How long a token of the captcha, or a challenge of the built-in one, is good, microseconds. */
apr_interval_time_t fg_policy_captcha_life(const fg_policy_t *policy);

/** Name of the field that carries the captcha token; NULL without a captcha. */
const char *fg_policy_captcha_field(const fg_policy_t *policy);

/**
 * 1 if the application is not to see the field of a captcha.
 * @param built_in whether the field is that of the built-in challenge: nobody but the module can do
 *                 anything with it
 */
int fg_policy_strips(const fg_policy_t *policy, int built_in);

/**
 * What a token is judged by, as far as the policy says it.
 * @param policy one with a captcha
 * @param check  filled in, but for `hostnames` where the policy names none, `remote_ip` and `now`
 * @param pool   owns what has to be made
 */
void fg_policy_captcha_check(const fg_policy_t *policy, fg_captcha_check_t *check,
                             apr_pool_t *pool);

/**
 * What becomes of a post whose verification failed for that cause: FG_ACT_REFUSE, FG_ACT_ALLOW, or
 * FG_ACT_CHALLENGE where the built-in challenge takes the service's place.
 */
fg_action_t fg_policy_on_error(const fg_policy_t *policy, fg_cause_t cause);

/** 1 if the built-in challenge takes the service's place for some cause. */
int fg_policy_falls_back(const fg_policy_t *policy);

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
 * @return the most specific rule that names it, the innermost of equals; NULL without one.
 *         `*` does not cover unknown
 */
const fg_country_rule_t *fg_policy_country(const fg_policy_t *policy, const fg_country_t *country);

/** How long a look into one blocklist may take, microseconds. */
apr_interval_time_t fg_policy_dnsbl_timeout(const fg_policy_t *policy);

/** How else the owner of the site is to be reached, as the innermost line says it: UTF-8 of one
 * line, no HTML; NULL if none does. */
const char *fg_policy_contact(const fg_policy_stack_t *stack);

/** 1 if some rule of the policy can't be judged without a country database. */
int fg_policy_needs_country(const fg_policy_t *policy);

/** 1 if the limit counts nobody without a country database. */
int fg_limit_needs_country(const fg_limit_t *limit);

/** 1 if the limit counts clients of that country. A list of countries left out leaves out unknown,
 * too, as `*` does. */
int fg_limit_covers_country(const fg_limit_t *limit, const fg_country_t *country);

#endif
