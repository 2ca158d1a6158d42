/* SPDX-License-Identifier: Apache-2.0 */
/* From what the server config and .htaccess say to the policies a request is judged under. */
#include <string.h>

#include <apr_strings.h>

#include "policy.h"

/* The parser bounds the rules of one section; there may be any number of sections and files. What
 * is too much is left out, and `cut` says of which directive. */
static void cap_rules(const apr_array_header_t **rules, int most, const char *directive,
                      const char **cut, apr_pool_t *pool)
{
    apr_array_header_t *first;

    if (*rules != NULL && (*rules)->nelts > most) {
        first = apr_array_copy(pool, *rules);
        first->nelts = most;
        *rules = first;
        *cut = directive;
    }
}

/* How many limits, from the first on, there is room for. */
static int limits_that_fit(const apr_array_header_t *limits)
{
    int rates = 0;
    int i;

    for (i = 0; limits != NULL && i < limits->nelts && i < FG_SITE_RULES_MAX; i++) {
        rates += APR_ARRAY_IDX(limits, i, fg_limit_t).rates->nelts;
        if (rates > FG_SITE_RATES_MAX) {
            break;
        }
    }
    return i;
}

static int named_again(const apr_array_header_t *rules, int which)
{
    const char *code = APR_ARRAY_IDX(rules, which, fg_country_rule_t).code;
    int i;

    for (i = which + 1; i < rules->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(rules, i, fg_country_rule_t).code, code) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A country that is named again says nothing where it stands first: a rewritten request is under
 * its folder's rules twice, and must not lose those of an inner one for it. */
static void drop_overruled(const apr_array_header_t **rules, apr_pool_t *pool)
{
    apr_array_header_t *rest;
    int i;

    if (*rules == NULL || (*rules)->nelts <= FG_SITE_RULES_MAX) {
        return;
    }
    rest = apr_array_make(pool, (*rules)->nelts, sizeof(fg_country_rule_t));
    for (i = 0; i < (*rules)->nelts; i++) {
        if (!named_again(*rules, i)) {
            APR_ARRAY_PUSH(rest, fg_country_rule_t) = APR_ARRAY_IDX(*rules, i, fg_country_rule_t);
        }
    }
    *rules = rest;
}

fg_policy_stack_t *fg_policy_stack_merge(const fg_policy_stack_t *base,
                                         const fg_policy_stack_t *add, apr_pool_t *pool)
{
    fg_policy_stack_t *out = apr_pmemdup(pool, base, sizeof(*base));

    if (add->has_server) {
        out->server = *fg_policy_merge(&base->server, &add->server, pool);
        out->has_server = 1;
    }
    if (add->has_site) {
        out->site = *fg_policy_merge(&base->site, &add->site, pool);
        drop_overruled(&out->site.countries, pool);
        if (add->site_cut != NULL) {
            out->site_cut = add->site_cut;
        }
        cap_rules(&out->site.limits, limits_that_fit(out->site.limits), "FormGuardLimit",
                  &out->site_cut, pool);
        cap_rules(&out->site.countries, FG_SITE_RULES_MAX, "FormGuardCountry", &out->site_cut,
                  pool);
        cap_rules(&out->site.fields, FG_SITE_RULES_MAX, "FormGuardField", &out->site_cut, pool);
        out->has_site = 1;
    }
    return out;
}

static int same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The site asks another service than the server does: what that one is asked with and by is nothing
 * to it. Of one vendor's services, URL and field are the same. */
static void own_service(const fg_policy_t *server, const fg_policy_t *own, fg_policy_t *site)
{
    const fg_captcha_provider_t *theirs = fg_policy_captcha(server);
    const fg_captcha_provider_t *ours = fg_policy_captcha(site);

    site->captcha_secret = own->captcha_secret;
    site->captcha_site_key = own->captcha_site_key;
    site->captcha_project = own->captcha_project;
    site->captcha_verify = own->captcha_verify;
    if (ours != NULL && !same(ours->endpoint, theirs->endpoint)) {
        site->captcha_endpoint = own->captcha_endpoint;
    }
    if (ours != NULL && !same(ours->field, theirs->field)) {
        site->captcha_field = own->captcha_field;
    }
}

/* The site's policy where it may not loosen: what it says, over what the server config says of
 * everything but rules and who is asked, for those are judged by themselves. */
static fg_policy_t *site_policy(const fg_policy_stack_t *stack, apr_pool_t *pool)
{
    static const apr_array_header_t no_limits = {.elt_size = sizeof(fg_limit_t)};
    fg_policy_t *site = fg_policy_merge(&stack->server, &stack->site, pool);

    site->limits = stack->site.limits;
    site->countries = stack->site.countries;
    site->fields = stack->site.fields;
    site->dnsbls = stack->site.dnsbls;
    site->deny = stack->site.deny;
    site->captcha = stack->site.captcha;
    if (site->captcha == NULL && stack->site.captcha_secret != NULL) {
        site->captcha = stack->server.captcha; /* the same captcha with the site's own keys */
    }
    if (fg_policy_captcha(&stack->server) != NULL && site->captcha != stack->server.captcha) {
        own_service(&stack->server, &stack->site, site);
    }
    if (stack->site.mode.mode == FG_MODE_UNSET && fg_policy_is_bare(site)) {
        site->limits = &no_limits; /* no FormGuard On stands there that would mean the default */
    }
    return site;
}

/* 1 if some rule sends a post to the captcha. */
static int challenges(const fg_policy_t *policy)
{
    int i;

    for (i = 0; policy->limits != NULL && i < policy->limits->nelts; i++) {
        if (APR_ARRAY_IDX(policy->limits, i, fg_limit_t).action == FG_ACT_CHALLENGE) {
            return 1;
        }
    }
    for (i = 0; policy->countries != NULL && i < policy->countries->nelts; i++) {
        if (APR_ARRAY_IDX(policy->countries, i, fg_country_rule_t).action == FG_ACT_CHALLENGE) {
            return 1;
        }
    }
    for (i = 0; policy->fields != NULL && i < policy->fields->nelts; i++) {
        if (APR_ARRAY_IDX(policy->fields, i, fg_field_rule_t).action == FG_ACT_CHALLENGE) {
            return 1;
        }
    }
    for (i = 0; policy->dnsbls != NULL && i < policy->dnsbls->nelts; i++) {
        if (APR_ARRAY_IDX(policy->dnsbls, i, fg_dnsbl_rule_t).action == FG_ACT_CHALLENGE) {
            return 1;
        }
    }
    return 0;
}

static int strictness(fg_action_t action)
{
    return action == FG_ACT_ALLOW ? 0 : action == FG_ACT_CHALLENGE ? 1 : 2;
}

/* What errors do is as strict as the server has it, at least. */
static void clamp_on_error(const fg_policy_t *server, fg_policy_t *site)
{
    const int own =
        site->captcha != server->captcha || site->captcha_secret != server->captcha_secret;
    int i;

    for (i = FG_CAUSE_NONE + 1; i < FG_CAUSE_COUNT; i++) {
        fg_action_t action = fg_policy_on_error(server, (fg_cause_t)i);

        if (strictness(fg_policy_on_error(site, (fg_cause_t)i)) > strictness(action)) {
            action = fg_policy_on_error(site, (fg_cause_t)i);
        }
        /* Keys of the site's own: with wrong ones every post would fail for these causes. */
        if (own && action == FG_ACT_ALLOW &&
            (i == FG_CAUSE_BAD_SECRET || i == FG_CAUSE_QUOTA || i == FG_CAUSE_SERVER_ERROR)) {
            action = FG_ACT_REFUSE;
        }
        site->captcha_on_error.action[i] = (unsigned char)action;
    }
}

/* No less work, no more steps behind a token, and nobody asked but by us unless the server says
 * so. */
static void clamp_own(const fg_policy_t *server, fg_policy_t *site)
{
    fg_difficulty_t least = fg_policy_captcha_difficulty(server);
    fg_difficulty_t work = fg_policy_captcha_difficulty(site);
    fg_grant_t *grant = &site->captcha_clearance;

    site->captcha_difficulty.base = work.base > least.base ? work.base : least.base;
    site->captcha_difficulty.most = work.most > least.most ? work.most : least.most;
    if (!fg_policy_captcha_by_application(server)) {
        site->captcha_verify = FG_VERIFY_HERE;
    }
    if (grant->uses > server->captcha_clearance.uses) {
        grant->uses = server->captcha_clearance.uses;
    }
    if (grant->life > server->captcha_clearance.life) {
        grant->life = server->captcha_clearance.life;
    }
}

/* The server's policy asks for a captcha or challenges, and the site has one: a visitor answers
 * one, the site's, and no easier than the server would ask. */
static void clamp_captcha(const fg_policy_t *server, fg_policy_t *site)
{
    apr_interval_time_t most =
        server->captcha_max_age != 0 ? server->captcha_max_age : fg_policy_captcha(site)->life;

    if (fg_policy_captcha_min_score(site) < fg_policy_captcha_min_score(server)) {
        site->captcha_min_score = server->captcha_min_score;
        site->captcha_min_score.value = fg_policy_captcha_min_score(server);
        site->captcha_min_score.set = 1;
    }
    site->captcha_hostnames = server->captcha_hostnames;
    if (server->captcha_action != NULL) {
        site->captcha_action = server->captcha_action;
    }
    if (site->captcha_max_age == 0 || site->captcha_max_age > most) {
        site->captcha_max_age = most;
    }
    clamp_on_error(server, site);
    clamp_own(server, site);
    if (fg_policy_captcha(server) != NULL && !fg_policy_captcha_when_challenged(server)) {
        site->captcha_when = FG_WHEN_ALWAYS;
    }
}

int fg_policy_injects(const fg_policy_stack_t *stack)
{
    fg_policy_flag_t flag = stack->server.inject;

    if (stack->has_site && stack->site.inject != FG_MODE_UNSET &&
        fg_policy_override(&stack->server) != FG_OVERRIDE_NONE) {
        flag = stack->site.inject;
    }
    return flag == FG_MODE_ON;
}

void fg_policy_resolve(const fg_policy_stack_t *stack, fg_policy_layers_t *layers, apr_pool_t *pool)
{
    fg_policy_t *server;
    fg_policy_t *site;

    layers->layer[0] = &stack->server;
    layers->count = 1;
    if (!stack->has_site || fg_policy_override(&stack->server) == FG_OVERRIDE_NONE) {
        return;
    }
    if (fg_policy_override(&stack->server) == FG_OVERRIDE_ALL) {
        layers->layer[0] = fg_policy_merge(&stack->server, &stack->site, pool);
        return;
    }
    site = site_policy(stack, pool);
    if (fg_policy_mode(site) == FG_MODE_OFF && fg_policy_mode(&stack->server) == FG_MODE_OFF) {
        return;
    }
    if (fg_policy_mode(&stack->server) == FG_MODE_OFF) {
        /* The server config guards nothing here, but its rules hold wherever a site does: they
         * join the site's in what the site has chosen to guard. */
        layers->layer[0] = fg_policy_merge(&stack->server, &stack->site, pool);
        return;
    }
    server = apr_pmemdup(pool, &stack->server, sizeof(*server));
    server->captcha_strip = site->captcha_strip; /* what his own application sees is his business */
    if (fg_policy_captcha(site) != NULL &&
        (fg_policy_captcha(server) != NULL || challenges(server))) {
        clamp_captcha(server, site);
    }
    layers->layer[0] = server;
    layers->layer[1] = site;
    layers->count = 2;
}
