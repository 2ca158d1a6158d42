/* SPDX-License-Identifier: Apache-2.0 */
/* From what the server config and .htaccess say to the policies a request is judged under. */
#include <string.h>

#include <apr_strings.h>

#include "policy.h"

fg_policy_stack_t *fg_policy_stack_merge(const fg_policy_stack_t *base,
                                         const fg_policy_stack_t *add, apr_pool_t *pool)
{
    fg_policy_stack_t *out = apr_pmemdup(pool, base, sizeof(*base));

    out->server = *fg_policy_merge(&base->server, &add->server, pool);
    if (add->has_site) {
        out->site = *fg_policy_merge(&base->site, &add->site, pool);
        out->has_site = 1;
    }
    return out;
}

/* The site's policy where it may not loosen: what it says, over what the server config says of
 * everything but rules and who is asked, for those are judged by themselves. */
static fg_policy_t *site_policy(const fg_policy_stack_t *stack, apr_pool_t *pool)
{
    fg_policy_t *site = fg_policy_merge(&stack->server, &stack->site, pool);

    site->limits = stack->site.limits;
    site->countries = stack->site.countries;
    site->fields = stack->site.fields;
    site->deny = stack->site.deny;
    site->captcha = stack->site.captcha;
    if (site->captcha == NULL && stack->site.captcha_secret != NULL) {
        site->captcha = stack->server.captcha; /* the same captcha with the site's own keys */
    }
    return site;
}

/* Both ask for a captcha: a visitor answers one, the site's, and no easier than the server's. */
static void clamp_captcha(const fg_policy_t *server, fg_policy_t *site)
{
    if (fg_policy_captcha_min_score(site) < fg_policy_captcha_min_score(server)) {
        site->captcha_min_score = server->captcha_min_score;
        site->captcha_min_score.value = fg_policy_captcha_min_score(server);
        site->captcha_min_score.set = 1;
    }
    site->captcha_hostnames = server->captcha_hostnames;
    if (server->captcha_max_age != 0 &&
        (site->captcha_max_age == 0 || site->captcha_max_age > server->captcha_max_age)) {
        site->captcha_max_age = server->captcha_max_age;
    }
    site->captcha_on_error = server->captcha_on_error;
    if (!fg_policy_captcha_when_challenged(server)) {
        site->captcha_when = FG_WHEN_ALWAYS;
    }
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
    if (fg_policy_captcha(site) != NULL && fg_policy_captcha(server) != NULL) {
        clamp_captcha(server, site);
    }
    layers->layer[0] = server;
    layers->layer[1] = site;
    layers->count = 2;
}
