/* SPDX-License-Identifier: Apache-2.0 */
/* What each virtual host enforces: its own level, and the sections in it that say something of
 * ours. */
#include <stddef.h>
#include <string.h>

#include "apr_strings.h"

#include "http_core.h"
#include "http_main.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

/* Sections in sections are followed so deep. */
#define DEPTH_MAX 4

const char *fg_status_mode(fg_mode_t mode)
{
    return mode == FG_MODE_ON ? "On" : mode == FG_MODE_DETECT ? "DetectionOnly" : "Off";
}

const char *fg_status_override(fg_override_t override)
{
    return override == FG_OVERRIDE_NONE ? "none" : override == FG_OVERRIDE_ALL ? "all" : "tighten";
}

/* --- one scope -------------------------------------------------------------------------------- */

/* The texts of an array of rules, whose member `text` stands at `offset`. What one line has made,
 * a rule for each of its countries, has one text. */
static const apr_array_header_t *texts(const apr_array_header_t *rules, apr_size_t offset,
                                       apr_pool_t *pool)
{
    apr_array_header_t *out = apr_array_make(pool, 4, sizeof(const char *));
    const char *before = NULL;
    int i;

    for (i = 0; rules != NULL && i < rules->nelts; i++) {
        const char *text;

        memcpy(&text, rules->elts + (apr_size_t)i * (apr_size_t)rules->elt_size + offset,
               sizeof(text));
        if (before == NULL || strcmp(text, before) != 0) {
            APR_ARRAY_PUSH(out, const char *) = text;
        }
        before = text;
    }
    return out;
}

/* The text of a blocklist's rule is its name alone. */
static const apr_array_header_t *dnsbl_texts(const apr_array_header_t *rules, apr_pool_t *pool)
{
    apr_array_header_t *out = apr_array_make(pool, 2, sizeof(const char *));
    int i;

    for (i = 0; rules != NULL && i < rules->nelts; i++) {
        const fg_dnsbl_rule_t *rule = &APR_ARRAY_IDX(rules, i, fg_dnsbl_rule_t);
        const char *action = rule->action == FG_ACT_LOG         ? " action=log"
                             : rule->action == FG_ACT_CHALLENGE ? " action=challenge"
                                                                : "";

        APR_ARRAY_PUSH(out, const char *) = apr_pstrcat(pool, rule->text, action, NULL);
    }
    return out;
}

static void describe(fg_status_scope_t *scope, const char *where, const fg_policy_t *policy,
                     apr_pool_t *pool)
{
    const fg_captcha_provider_t *captcha = fg_policy_captcha(policy);

    scope->where = where;
    scope->mode = fg_policy_mode(policy);
    scope->override = fg_policy_override(policy);
    scope->captcha = captcha != NULL ? captcha->name : NULL;
    scope->paths = policy->paths;
    scope->limits =
        texts(scope->mode == FG_MODE_OFF ? policy->limits : fg_policy_limits(policy, pool),
              offsetof(fg_limit_t, text), pool);
    scope->countries = texts(policy->countries, offsetof(fg_country_rule_t, text), pool);
    scope->fields = texts(policy->fields, offsetof(fg_field_rule_t, text), pool);
    scope->dnsbls = dnsbl_texts(policy->dnsbls, pool);
    scope->deny = policy->deny == FG_MODE_ON;
}

/* --- sections --------------------------------------------------------------------------------- */

typedef struct walk {
    apr_pool_t *pool;
    apr_array_header_t *scope;
    const apr_array_header_t *inherited; /* sections that are listed with the main server */
    int left_out;
    void (*found)(void *baton, const fg_policy_t *policy); /* told of each policy, or NULL */
    void *baton;
    server_rec *s; /* the virtual host walked through */
} walk_t;

static const fg_policy_stack_t *stack_of(const ap_conf_vector_t *conf)
{
    return ap_get_module_config(conf, &formguard_module);
}

static int says_something(const fg_policy_stack_t *stack)
{
    return stack != NULL && stack->has_server;
}

static void walk_sections(walk_t *walk, const fg_policy_stack_t *outer, const char *where,
                          const char *kind, const apr_array_header_t *sections, int depth);

static void walk_inside(walk_t *walk, const fg_policy_stack_t *here, const char *where,
                        const core_dir_config *core, int depth)
{
    if (core != NULL && depth < DEPTH_MAX) {
        walk_sections(walk, here, where, "Files", core->sec_file, depth + 1);
        walk_sections(walk, here, where, "If", core->sec_if, depth + 1);
    }
}

static void walk_sections(walk_t *walk, const fg_policy_stack_t *outer, const char *where,
                          const char *kind, const apr_array_header_t *sections, int depth)
{
    int i;

    for (i = 0; sections != NULL && i < sections->nelts; i++) {
        ap_conf_vector_t *conf = APR_ARRAY_IDX(sections, i, ap_conf_vector_t *);
        const core_dir_config *core = ap_get_core_module_config(conf);
        const fg_policy_stack_t *own = stack_of(conf);
        const fg_policy_stack_t *here = outer;
        const char *inside;

        if (walk->inherited != NULL && depth == 0 && i < walk->inherited->nelts &&
            conf == APR_ARRAY_IDX(walk->inherited, i, ap_conf_vector_t *)) {
            continue;
        }
        inside = apr_pstrcat(walk->pool, where, *where != '\0' ? " " : "", kind,
                             core != NULL && core->r != NULL ? "Match" : "",
                             strcmp(kind, "If") != 0 && core != NULL && core->d != NULL ? " " : "",
                             strcmp(kind, "If") != 0 && core != NULL ? core->d : NULL, NULL);
        if (says_something(own)) {
            here = fg_policy_stack_merge(outer, own, walk->pool);
            if (walk->found != NULL) {
                walk->found(walk->baton, &here->server);
            }
            if (walk->scope->nelts <= FG_STATUS_SECTIONS_MAX) {
                fg_status_scope_t *scope = apr_array_push(walk->scope);

                describe(scope, inside, &here->server, walk->pool);
            }
            else {
                walk->left_out++;
            }
        }
        walk_inside(walk, here, inside, core, depth);
    }
}

/* httpd puts the main server's sections before a virtual host's own (merge_core_server_configs,
 * merge_core_dir_configs). Those are listed with the main server alone. */
static void walk_own(walk_t *walk, const fg_policy_stack_t *outer, const char *kind,
                     const apr_array_header_t *all, const apr_array_header_t *inherited)
{
    walk->inherited = inherited;
    walk_sections(walk, outer, "", kind, all, 0);
}

static void walk_host(walk_t *walk, server_rec *s)
{
    static const core_server_config no_server;
    static const core_dir_config no_dir;
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    const core_dir_config *dir = ap_get_core_module_config(s->lookup_defaults);
    const core_server_config *main_core = &no_server;
    const core_dir_config *main_dir = &no_dir;
    const fg_policy_stack_t *stack = stack_of(s->lookup_defaults);

    if (s != ap_server_conf) {
        main_core = ap_get_core_module_config(ap_server_conf->module_config);
        main_dir = ap_get_core_module_config(ap_server_conf->lookup_defaults);
    }
    describe(apr_array_push(walk->scope), "", &stack->server, walk->pool);
    if (walk->found != NULL) {
        walk->found(walk->baton, &stack->server);
    }
    walk_own(walk, stack, "Directory", core->sec_dir, main_core->sec_dir);
    walk_own(walk, stack, "Files", dir->sec_file, main_dir->sec_file);
    walk_own(walk, stack, "Location", core->sec_url, main_core->sec_url);
    walk_own(walk, stack, "If", dir->sec_if, main_dir->sec_if);
}

/* --- all virtual hosts ------------------------------------------------------------------------ */

static unsigned int port_of(const server_rec *s)
{
    if (s->addrs != NULL && s->addrs->host_port != 0) {
        return s->addrs->host_port;
    }
    return s->port;
}

typedef void visit_fn(void *baton, server_rec *s, walk_t *walk);

/* httpd's list begins with the main server and goes on with the last virtual host. */
static const apr_array_header_t *in_order(apr_pool_t *pool)
{
    apr_array_header_t *hosts = apr_array_make(pool, 64, sizeof(server_rec *));
    server_rec *s;
    int i, k;

    for (s = ap_server_conf; s != NULL; s = s->next) {
        APR_ARRAY_PUSH(hosts, server_rec *) = s;
    }
    for (i = 1, k = hosts->nelts - 1; i < k; i++, k--) {
        s = APR_ARRAY_IDX(hosts, i, server_rec *);
        APR_ARRAY_IDX(hosts, i, server_rec *) = APR_ARRAY_IDX(hosts, k, server_rec *);
        APR_ARRAY_IDX(hosts, k, server_rec *) = s;
    }
    return hosts;
}

/* Stands in for a visitor where the policies alone are looked at. */
static void no_visit(void *baton, server_rec *s, walk_t *walk)
{
    (void)baton;
    (void)s;
    (void)walk;
}

static void each_host(apr_pool_t *pool, visit_fn *visit, void *baton, walk_t *walk)
{
    const apr_array_header_t *hosts = in_order(pool);
    int i;

    apr_pool_create(&walk->pool, pool);
    for (i = 0; i < hosts->nelts; i++) {
        server_rec *s = APR_ARRAY_IDX(hosts, i, server_rec *);

        walk->scope = apr_array_make(walk->pool, 4, sizeof(fg_status_scope_t));
        walk->left_out = 0;
        walk->s = s;
        walk_host(walk, s);
        visit(baton, s, walk);
        apr_pool_clear(walk->pool);
    }
    apr_pool_destroy(walk->pool);
}

typedef struct policy_visitor {
    fg_status_policy_fn *visit;
    void *baton;
    walk_t walk;
} policy_visitor_t;

static void show_policy(void *baton, const fg_policy_t *policy)
{
    const policy_visitor_t *visitor = baton;

    visitor->visit(visitor->baton, visitor->walk.s, policy);
}

void fg_status_policies(apr_pool_t *pool, fg_status_policy_fn *visit, void *baton)
{
    policy_visitor_t visitor = {.visit = visit, .baton = baton};

    visitor.walk.found = show_policy;
    visitor.walk.baton = &visitor;
    each_host(pool, no_visit, NULL, &visitor.walk);
}

typedef struct visitor {
    fg_status_visit_fn *visit;
    void *baton;
} visitor_t;

static void show_host(void *baton, server_rec *s, walk_t *walk)
{
    const visitor_t *visitor = baton;
    fg_status_host_t host = {s->server_hostname, port_of(s), walk->scope, walk->left_out};

    visitor->visit(visitor->baton, &host, walk->pool);
}

void fg_status_hosts(apr_pool_t *pool, fg_status_visit_fn *visit, void *baton)
{
    visitor_t visitor = {visit, baton};
    walk_t walk = {.found = NULL};

    each_host(pool, show_host, &visitor, &walk);
}

/* --- counting --------------------------------------------------------------------------------- */

/* Services of captchas that were looked up already. */
typedef struct seen {
    const char *endpoint;
    const char *ca_file;
} seen_t;

/* Most of them; services that have a breaker are fewer. */
#define SEEN_MAX 256

typedef struct outside {
    fg_status_t *status;
    apr_array_header_t *zones;
    apr_array_header_t *services;
    apr_array_header_t *seen;
    apr_pool_t *pool;
} outside_t;

static int same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Of services that are shown alike one that fails counts. */
static void note_service(outside_t *outside, const fg_captcha_provider_t *provider, const char *url,
                         const fg_policy_t *policy)
{
    fg_status_service_t row;
    seen_t *seen;
    int i;

    for (i = 0; i < outside->seen->nelts; i++) {
        seen = &APR_ARRAY_IDX(outside->seen, i, seen_t);
        if (same(seen->endpoint, url) && same(seen->ca_file, policy->captcha_ca_file)) {
            return;
        }
    }
    if (outside->seen->nelts == SEEN_MAX) {
        return;
    }
    seen = apr_array_push(outside->seen);
    seen->endpoint = url;
    seen->ca_file = policy->captcha_ca_file;
    if (!fg_breaker_peek(fg_runtime()->breaker,
                         fg_verify_service(provider, url, policy->captcha_ca_file, outside->pool),
                         outside->status->now.steady, &row.state)) {
        return;
    }
    row.url = apr_pstrmemdup(outside->pool, url, strcspn(url, "?"));
    for (i = 0; i < outside->services->nelts; i++) {
        fg_status_service_t *other = &APR_ARRAY_IDX(outside->services, i, fg_status_service_t);

        if (strcmp(other->url, row.url) == 0) {
            other->state = other->state.open ? other->state : row.state;
            return;
        }
    }
    APR_ARRAY_PUSH(outside->services, fg_status_service_t) = row;
}

/* Any captcha: .htaccess may ask for one that is not seen from here. */
static void note_services(outside_t *outside, const fg_policy_t *policy)
{
    const fg_captcha_provider_t *provider;
    unsigned int i;

    for (i = 0; (provider = fg_captcha_provider_at(i)) != NULL; i++) {
        const char *const *host = provider->hosts;

        if (provider->ask == NULL) {
            continue;
        }
        if (policy->captcha_endpoint != NULL) {
            note_service(outside, provider, policy->captcha_endpoint, policy);
            continue;
        }
        note_service(outside, provider, provider->endpoint, policy);
        for (; host < provider->hosts + FG_CAPTCHA_HOSTS_MAX && *host != NULL; host++) {
            note_service(outside, provider, fg_captcha_url(provider, *host, outside->pool), policy);
        }
    }
}

/* A customer's own key is part of a zone's name, but not of how it is shown: of zones that are
 * shown alike, one that fails counts. */
static void note_zones(outside_t *outside, const fg_policy_t *policy)
{
    apr_array_header_t *zones = outside->zones;
    int i, k;

    for (i = 0; policy->dnsbls != NULL && i < policy->dnsbls->nelts; i++) {
        const fg_dnsbl_zone_t *zone = &APR_ARRAY_IDX(policy->dnsbls, i, fg_dnsbl_rule_t).zone;
        fg_dnsbl_reason_t state = fg_dnsbl_cache_zone_state(fg_runtime()->dnsbl_cache, zone);

        for (k = 0; k < zones->nelts; k++) {
            if (strcmp(APR_ARRAY_IDX(zones, k, fg_status_zone_t).name, zone->shown) == 0) {
                break;
            }
        }
        if (k == zones->nelts) {
            fg_status_zone_t *row = apr_array_push(zones);

            row->name = zone->shown;
            row->state = state;
        }
        else if (state != FG_DNSBL_WORKING) {
            APR_ARRAY_IDX(zones, k, fg_status_zone_t).state = state;
        }
    }
}

static void note_outside(void *baton, const fg_policy_t *policy)
{
    note_zones(baton, policy);
    note_services(baton, policy);
}

static void count_host(void *baton, server_rec *s, walk_t *walk)
{
    fg_status_t *status = baton;

    (void)s;
    status->hosts[APR_ARRAY_IDX(walk->scope, 0, fg_status_scope_t).mode]++;
}

void fg_status_count_hosts(fg_status_t *status, apr_pool_t *pool)
{
    outside_t outside = {.status = status,
                         .zones = apr_array_make(pool, 4, sizeof(fg_status_zone_t)),
                         .services = apr_array_make(pool, 4, sizeof(fg_status_service_t)),
                         .seen = apr_array_make(pool, 4, sizeof(seen_t)),
                         .pool = pool};
    walk_t walk = {.found = note_outside, .baton = &outside};

    status->zones = outside.zones;
    status->services = outside.services;
    each_host(pool, count_host, status, &walk);
}
