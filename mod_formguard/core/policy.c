/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <stddef.h>
#include <string.h>

#include <apr_fnmatch.h>
#include <apr_siphash.h>
#include <apr_strings.h>

#include "policy_internal.h"

#define BODY_LIMIT_DEFAULT (64 * 1024 * 1024)

const fg_captcha_provider_t fg_captcha_off = {.name = "off"};

apr_uint64_t fg_rule_id(const char *scope, const char *text)
{
    /* Not secret: this only names a rule. Counters mix it with a keyed hash of what is counted. */
    static const unsigned char key[APR_SIPHASH_KSIZE] = "formguard rules";
    apr_uint64_t place = apr_siphash24(scope, strlen(scope), key);
    apr_uint64_t both[2];

    if (text == NULL) {
        return place;
    }
    both[0] = place;
    both[1] = apr_siphash24(text, strlen(text), key);
    return apr_siphash24(both, sizeof(both), key);
}

/* --- merging: one function a kind ------------------------------------------------------------- */

/* A kind whose set value simply wins. */
#define MERGE_IF(kind, is_set)                                                                     \
    static void merge_##kind(fg_policy_##kind##_t *out, const fg_policy_##kind##_t *add,           \
                             apr_pool_t *pool)                                                     \
    {                                                                                              \
        (void)pool;                                                                                \
        if (is_set) {                                                                              \
            *out = *add;                                                                           \
        }                                                                                          \
    }

MERGE_IF(mode, add->mode != FG_MODE_UNSET)
MERGE_IF(flag, *add != FG_MODE_UNSET)
MERGE_IF(preset, *add != NULL)
MERGE_IF(when, *add != FG_WHEN_UNSET)
MERGE_IF(verify, *add != FG_VERIFY_UNSET)
MERGE_IF(difficulty, add->base != 0)
MERGE_IF(grant, add->set)
MERGE_IF(override, *add != FG_OVERRIDE_UNSET)
MERGE_IF(names, *add != NULL)
MERGE_IF(text, *add != NULL)
MERGE_IF(provider, *add != NULL)
MERGE_IF(score, add->set)
MERGE_IF(period, *add != 0)
MERGE_IF(body_limit, add->size != 0)

static void merge_on_error(fg_policy_on_error_t *out, const fg_policy_on_error_t *add,
                           apr_pool_t *pool)
{
    int i;

    (void)pool;
    for (i = 0; i < FG_CAUSE_COUNT; i++) {
        if (add->action[i] != FG_ACT_UNSET) {
            out->action[i] = add->action[i];
        }
    }
}

int fg_limits_have(const apr_array_header_t *limits, apr_uint64_t id)
{
    int i;

    for (i = 0; i < limits->nelts; i++) {
        if (APR_ARRAY_IDX(limits, i, fg_limit_t).id == id) {
            return 1;
        }
    }
    return 0;
}

/* 1 if two elements of an array are the same rule. */
typedef int same_fn(const void *a, const void *b);

/* Add rules to an array, leaving out those it has: the same limit twice would charge its counters
 * twice a post, and the same rule twice (a rewritten request is under its folder's rules in both
 * passes) would be logged twice. */
static const apr_array_header_t *add_new(const apr_array_header_t *have,
                                         const apr_array_header_t *add, same_fn *same,
                                         apr_pool_t *pool)
{
    apr_array_header_t *sum;
    int i;
    int k;

    if (have == NULL || add == NULL) {
        return have == NULL ? add : have;
    }
    sum = apr_array_copy(pool, have);
    for (i = 0; i < add->nelts; i++) {
        const char *rule = add->elts + (apr_size_t)i * (apr_size_t)add->elt_size;

        for (k = 0; k < sum->nelts; k++) {
            if (same(sum->elts + (apr_size_t)k * (apr_size_t)sum->elt_size, rule)) {
                break;
            }
        }
        if (k == sum->nelts) {
            memcpy(apr_array_push(sum), rule, (apr_size_t)add->elt_size);
        }
    }
    return sum;
}

static int same_limit(const void *a, const void *b)
{
    return ((const fg_limit_t *)a)->id == ((const fg_limit_t *)b)->id;
}

static int same_field_rule(const void *a, const void *b)
{
    const fg_field_rule_t *one = a;
    const fg_field_rule_t *other = b;

    return one->check == other->check && one->max == other->max && one->action == other->action &&
           strcmp(one->name, other->name) == 0;
}

static int same_dnsbl(const void *a, const void *b)
{
    const fg_dnsbl_rule_t *one = a;
    const fg_dnsbl_rule_t *other = b;

    return one->action == other->action && one->zone.nranges == other->zone.nranges &&
           memcmp(one->zone.ranges, other->zone.ranges,
                  one->zone.nranges * sizeof(one->zone.ranges[0])) == 0 &&
           strcmp(one->zone.name, other->zone.name) == 0;
}

#define MERGE_ADD_NEW(kind, same)                                                                  \
    static void merge_##kind(fg_policy_##kind##_t *out, const fg_policy_##kind##_t *add,           \
                             apr_pool_t *pool)                                                     \
    {                                                                                              \
        *out = add_new(*out, *add, same, pool);                                                    \
    }

MERGE_ADD_NEW(limits, same_limit)
MERGE_ADD_NEW(field_rules, same_field_rule)
MERGE_ADD_NEW(dnsbls, same_dnsbl)

/* Not these: of equals the last one counts, so a repeated rule says something. */
static void merge_countries(fg_policy_countries_t *out, const fg_policy_countries_t *add,
                            apr_pool_t *pool)
{
    if (*add == NULL) {
        return;
    }
    *out = *out == NULL ? *add : apr_array_append(pool, *out, *add);
}

/* Keys are one service's, and a site key its account's: what was inherited must not be told to
 * another. */
static void drop_foreign_keys(fg_policy_t *out, const fg_policy_t *base, const fg_policy_t *add)
{
    const fg_captcha_provider_t *before = fg_policy_captcha(base);
    const fg_captcha_provider_t *now = fg_policy_captcha(out);

    if (before == NULL || now == NULL || before->ask == NULL || now->ask == NULL) {
        return; /* what is judged here has no keys of its own */
    }
    if (strcmp(before->endpoint, now->endpoint) != 0) {
        out->captcha_secret = add->captcha_secret;
        out->captcha_site_key = add->captcha_site_key;
        out->captcha_project = add->captcha_project;
        out->captcha_endpoint = add->captcha_endpoint;
    }
    else if (base->captcha_secret != NULL && add->captcha_secret != NULL && !now->needs_project) {
        out->captcha_site_key = add->captcha_site_key;
    }
}

/* When a captcha is asked for stands beside it: who names one of his own, be it the same, means
 * always, unless he says otherwise. */
static void drop_when(fg_policy_t *out, const fg_policy_t *base, const fg_policy_t *add)
{
    if (base->captcha != NULL && add->captcha != NULL) {
        out->captcha_when = add->captcha_when;
    }
}

fg_policy_t *fg_policy_merge(const fg_policy_t *base, const fg_policy_t *add, apr_pool_t *pool)
{
    fg_policy_t *out = apr_pmemdup(pool, base, sizeof(*base));

#define FG_POLICY_MERGE(kind, name) merge_##kind(&out->name, &add->name, pool);
    FG_POLICY_FIELDS(FG_POLICY_MERGE)
#undef FG_POLICY_MERGE
    drop_foreign_keys(out, base, add);
    drop_when(out, base, add);
    return out;
}

/* --- getters: here are the defaults ----------------------------------------------------------- */

const fg_captcha_provider_t *fg_policy_captcha(const fg_policy_t *policy)
{
    return policy->captcha == &fg_captcha_off ? NULL : policy->captcha;
}

const char *fg_policy_contact(const fg_policy_stack_t *stack)
{
    const char *contact = stack->site.contact != NULL ? stack->site.contact : stack->server.contact;

    return contact != NULL && *contact != '\0' ? contact : NULL;
}

int fg_policy_is_bare(const fg_policy_t *policy)
{
    /* Rules about fields, and blocklists, bound nothing that a robot can do often. */
    return policy->limits == NULL && policy->countries == NULL && policy->deny != FG_MODE_ON &&
           fg_policy_captcha(policy) == NULL;
}

const apr_array_header_t *fg_policy_limits(const fg_policy_t *policy, apr_pool_t *pool)
{
    static const fg_rate_t rates[] = {{10, apr_time_from_sec(600)}, {60, apr_time_from_sec(86400)}};
    static const apr_array_header_t rate_array = {
        .elt_size = sizeof(fg_rate_t), .nelts = 2, .nalloc = 2, .elts = (char *)rates};
    static const apr_array_header_t none = {.elt_size = sizeof(fg_limit_t)};
    apr_array_header_t *made;
    fg_limit_t *limit;

    if (policy->limits != NULL) {
        return policy->limits;
    }
    if (!fg_policy_is_bare(policy)) {
        return &none;
    }
    made = apr_array_make(pool, 1, sizeof(fg_limit_t));
    limit = &APR_ARRAY_PUSH(made, fg_limit_t);
    memset(limit, 0, sizeof(*limit));
    limit->key = FG_KEY_IP;
    limit->rates = &rate_array;
    limit->weight = 1;
    limit->action = FG_ACT_REFUSE;
    limit->when = FG_COUNT_ATTEMPTS;
    limit->text = FG_POLICY_DEFAULT_LIMIT;
    limit->id = policy->mode.scope;
    return made;
}

int fg_policy_guards_method(const fg_policy_t *policy, const char *method)
{
    int i;

    /* In any letters: `post` is another method, but a CGI program is run for it, and Python's
     * cgi.FieldStorage reads a form from it. */
    if (policy->methods == NULL) {
        return strcasecmp(method, "POST") == 0;
    }
    for (i = 0; i < policy->methods->nelts; i++) {
        const char *guarded = APR_ARRAY_IDX(policy->methods, i, const char *);

        if (strcasecmp(guarded, method) == 0 || strcmp(guarded, "*") == 0 ||
            /* A script does not see the difference: only the answer is shorter. */
            (strcmp(guarded, "GET") == 0 && strcasecmp(method, "HEAD") == 0)) {
            return 1;
        }
    }
    return 0;
}

int fg_policy_guards_path(const fg_policy_t *policy, const char *path)
{
    int i;

    if (policy->paths == NULL) {
        return 1;
    }
    for (i = 0; i < policy->paths->nelts; i++) {
        /* A star crosses slashes: what is written with it shall guard more, not less. */
        if (apr_fnmatch(APR_ARRAY_IDX(policy->paths, i, const char *), path, 0) == APR_SUCCESS) {
            return 1;
        }
    }
    return 0;
}

int fg_policy_is_path(const char *word)
{
    return *word == '/' || *word == '*';
}

int fg_policy_captcha_when_challenged(const fg_policy_t *policy)
{
    return policy->captcha_when == FG_WHEN_CHALLENGED;
}

int fg_policy_captcha_by_application(const fg_policy_t *policy)
{
    return policy->captcha_verify == FG_VERIFY_APPLICATION;
}

fg_difficulty_t fg_policy_captcha_difficulty(const fg_policy_t *policy)
{
    static const fg_difficulty_t dflt = {200000, 4000000};

    return policy->captcha_difficulty.base != 0 ? policy->captcha_difficulty : dflt;
}

apr_interval_time_t fg_policy_captcha_life(const fg_policy_t *policy)
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(policy);

    return policy->captcha_max_age != 0 || provider == NULL ? policy->captcha_max_age
                                                            : provider->life;
}

fg_override_t fg_policy_override(const fg_policy_t *server)
{
    return server->override == FG_OVERRIDE_UNSET ? FG_OVERRIDE_TIGHTEN : server->override;
}

/* 1 if the field is the one where a form software sends the token of a captcha of its own. */
static int is_presets_field(const fg_policy_t *policy)
{
    return policy->preset != NULL && policy->preset->token_field != NULL &&
           strcmp(policy->captcha_field, policy->preset->token_field) == 0;
}

const char *fg_policy_captcha_field(const fg_policy_t *policy)
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(policy);

    if (provider == NULL) {
        return NULL;
    }
    if (policy->captcha_field == NULL || (provider->ask == NULL && is_presets_field(policy))) {
        return provider->field;
    }
    return policy->captcha_field;
}

int fg_policy_strips(const fg_policy_t *policy, int built_in)
{
    return policy->captcha_strip == FG_MODE_UNSET ? built_in : policy->captcha_strip == FG_MODE_ON;
}

void fg_policy_captcha_check(const fg_policy_t *policy, fg_captcha_check_t *check, apr_pool_t *pool)
{
    memset(check, 0, sizeof(*check));
    check->provider = fg_policy_captcha(policy);
    check->secret = policy->captcha_secret;
    check->site_key = policy->captcha_site_key;
    check->project = policy->captcha_project;
    check->endpoint = policy->captcha_endpoint;
    if (check->endpoint == NULL && policy->captcha_host != NULL) {
        check->endpoint = fg_captcha_url(check->provider, policy->captcha_host, pool);
    }
    check->ca_file = policy->captcha_ca_file;
    check->timeout = fg_policy_captcha_timeout(policy);
    check->hostnames = policy->captcha_hostnames;
    check->action = policy->captcha_action;
    check->min_score = fg_policy_captcha_min_score(policy);
    check->max_age = policy->captcha_max_age;
}

fg_action_t fg_policy_on_error(const fg_policy_t *policy, fg_cause_t cause)
{
    fg_action_t action = (fg_action_t)policy->captcha_on_error.action[cause];

    return action == FG_ACT_UNSET ? FG_ACT_REFUSE : action;
}

int fg_policy_falls_back(const fg_policy_t *policy)
{
    return memchr(policy->captcha_on_error.action, FG_ACT_CHALLENGE, FG_CAUSE_COUNT) != NULL;
}

apr_interval_time_t fg_policy_captcha_timeout(const fg_policy_t *policy)
{
    return policy->captcha_timeout != 0 ? policy->captcha_timeout : apr_time_from_sec(3);
}

apr_interval_time_t fg_policy_dnsbl_timeout(const fg_policy_t *policy)
{
    return policy->dnsbl_timeout != 0 ? policy->dnsbl_timeout : apr_time_from_sec(1);
}

double fg_policy_captcha_min_score(const fg_policy_t *policy)
{
    return policy->captcha_min_score.set ? policy->captcha_min_score.value : 0.5;
}

apr_off_t fg_policy_body_limit(const fg_policy_t *policy)
{
    return policy->body_limit.size != 0 ? policy->body_limit.size : BODY_LIMIT_DEFAULT;
}

int fg_policy_body_over_passes(const fg_policy_t *policy)
{
    return policy->body_limit.size != 0 && policy->body_limit.over == FG_ACT_ALLOW;
}

/* --- countries -------------------------------------------------------------------------------- */

/* How closely a listed code names a country: 0 not at all, 1 `*`, 2 the union, 3 by itself. */
static int closeness(const char *listed, const fg_country_t *country)
{
    if (*country->code == '\0') {
        return strcmp(listed, "unknown") == 0 ? 3 : 0;
    }
    if (strcmp(listed, country->code) == 0) {
        return 3;
    }
    if (strcmp(listed, "EU") == 0) {
        return country->in_eu ? 2 : 0;
    }
    return strcmp(listed, "*") == 0;
}

const fg_country_rule_t *fg_policy_country(const fg_policy_t *policy, const fg_country_t *country)
{
    const fg_country_rule_t *found = NULL;
    int best = 0;
    int i;

    for (i = 0; policy->countries != NULL && i < policy->countries->nelts; i++) {
        const fg_country_rule_t *rule = &APR_ARRAY_IDX(policy->countries, i, fg_country_rule_t);
        int close = closeness(rule->code, country);

        if (close > 0 && close >= best) {
            best = close;
            found = rule;
        }
    }
    return found;
}

int fg_limit_covers_country(const fg_limit_t *limit, const fg_country_t *country)
{
    int i;

    if (limit->countries == NULL) {
        return limit->key != FG_KEY_COUNTRY || *country->code != '\0';
    }
    if (limit->not_from && *country->code == '\0') {
        return 0;
    }
    for (i = 0; i < limit->countries->nelts; i++) {
        if (closeness(APR_ARRAY_IDX(limit->countries, i, const char *), country) > 0) {
            return !limit->not_from;
        }
    }
    return limit->not_from;
}

int fg_limit_needs_country(const fg_limit_t *limit)
{
    return limit->key == FG_KEY_COUNTRY || limit->countries != NULL;
}

int fg_policy_needs_country(const fg_policy_t *policy)
{
    int i;

    if (policy->countries != NULL) {
        return 1;
    }
    for (i = 0; policy->limits != NULL && i < policy->limits->nelts; i++) {
        if (fg_limit_needs_country(&APR_ARRAY_IDX(policy->limits, i, fg_limit_t))) {
            return 1;
        }
    }
    return 0;
}
