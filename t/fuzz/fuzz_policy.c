/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of configuration, `.` in front of those of .htaccess. A line with an error changes nothing;
 * and where .htaccess may only tighten, the policy of the server config stays in force. */
#include "fuzz.h"
#include "policy.h"
#include "widget.h"

#define WORDS 40
#define LINES 24

static const fg_directive_t *directive(const char *name)
{
    const fg_directive_t *row;

    for (row = fg_policy_directives; row->name && strcmp(row->name, name) != 0; row++) {
    }
    return row->name ? row : NULL;
}

/* Apply a line as httpd would. @return 1 if it held */
static int apply(fg_policy_t *policy, char *line, int site, apr_pool_t *pool)
{
    char *argv[WORDS], *last, *name = apr_strtok(line, " ", &last);
    const fg_directive_t *row = name ? directive(name) : NULL;
    fg_words_t words = {.argv = argv, .site = site, .pool = pool, .temp_pool = pool};
    fg_policy_t before = *policy;
    const char *error;

    /* Not these two: they open what they name. */
    if (!row || strstr(name, "File") || (site && row->context != FG_CTX_DIR)) {
        return 0;
    }
    words.scope = site ? "/site" : "server";
    while (words.argc < WORDS && (argv[words.argc] = apr_strtok(NULL, " ", &last)) != NULL) {
        words.argc++;
    }
    error = fg_policy_apply(row, policy, &words);
    if (error) {
        MUST(*error && memcmp(policy, &before, sizeof(before)) == 0);
    }
    return !error;
}

static void check_limits(const fg_policy_t *policy, apr_pool_t *pool)
{
    const apr_array_header_t *limits = fg_policy_limits(policy, pool);
    int i, k;

    MUST(limits);
    for (i = 0; i < limits->nelts; i++) {
        const fg_limit_t *limit = &APR_ARRAY_IDX(limits, i, fg_limit_t);
        fg_country_t country = fg_country_of("JP");

        MUST(limit->rates->nelts >= 1 && limit->rates->nelts <= 4);
        MUST(limit->weight >= 1 && limit->text && *limit->text);
        MUST(limit->action != FG_ACT_UNSET && limit->action != FG_ACT_ALLOW);
        MUST(limit->action != FG_ACT_CLOSE || limit->close_for > 0);
        MUST(!limit->field == (limit->key != FG_KEY_FIELD));
        for (k = 0; k < limit->rates->nelts; k++) {
            const fg_rate_t *rate = &APR_ARRAY_IDX(limit->rates, k, fg_rate_t);

            MUST(rate->count >= 1 && rate->period >= APR_USEC_PER_SEC);
            MUST(rate->count >= limit->weight);
        }
        fg_limit_covers_country(limit, &country);
        fg_limit_needs_country(limit);
    }
}

static unsigned int count(const char *text, char c)
{
    unsigned int n = 0;

    for (; *text; text++) {
        n += *text == c;
    }
    return n;
}

/* What is put into pages is ASCII, and nothing configured gets out of its quotes. */
static void check_widget(const fg_policy_t *policy, apr_pool_t *pool)
{
    fg_widget_t widget;
    const char *both;

    if (fg_widget_make(&widget, policy, "/contact.php", "https://www.example.jp", pool)) {
        return;
    }
    both = apr_pstrcat(pool, widget.script, widget.element, NULL);
    MUST(fuzz_printable(apr_pstrcat(pool, widget.script_url, NULL)));
    for (; *both; both++) {
        MUST(((unsigned char)*both >= ' ' || *both == '\n') && (unsigned char)*both < 0x7f);
    }
    MUST(count(widget.element, '"') % 2 == 0 && count(widget.script, '"') % 2 == 0);
    MUST(count(widget.element, '<') == count(widget.element, '>'));
    MUST(widget.needs);
}

/* What the getters say is never unset, and within its bounds. */
static void check_policy(const fg_policy_t *policy, apr_pool_t *pool)
{
    fg_difficulty_t work = fg_policy_captcha_difficulty(policy);
    fg_country_t nowhere = fg_country_of("");
    fg_captcha_check_t check;
    int i;

    MUST(fg_policy_mode(policy) != FG_MODE_UNSET);
    check_limits(policy, pool);
    MUST(fg_policy_body_limit(policy) > 0 && fg_policy_captcha_timeout(policy) > 0);
    MUST(fg_policy_dnsbl_timeout(policy) > 0);
    MUST(fg_policy_captcha_min_score(policy) >= 0 && fg_policy_captcha_min_score(policy) <= 1);
    MUST(work.base >= FG_ALTCHA_LEAST && work.base <= work.most && work.most <= FG_ALTCHA_MOST);
    for (i = FG_CAUSE_NONE + 1; i < FG_CAUSE_COUNT; i++) {
        fg_action_t action = fg_policy_on_error(policy, (fg_cause_t)i);

        MUST(action == FG_ACT_REFUSE || action == FG_ACT_ALLOW || action == FG_ACT_CHALLENGE);
    }
    fg_policy_guards_method(policy, "POST");
    fg_policy_guards_path(policy, "/contact.php");
    fg_policy_needs_country(policy);
    fg_policy_country(policy, &nowhere);
    if (fg_policy_captcha(policy)) {
        MUST(fg_policy_captcha_field(policy) && fg_policy_captcha_life(policy) > 0);
        fg_policy_captcha_check(policy, &check, pool);
        fg_captcha_lacks(&check);
        check_widget(policy, pool);
    }
}

/* Merging: what is nobody's changes nothing, and what is there already is there once. */
static void check_merge(const fg_policy_t *policy, apr_pool_t *pool)
{
    static const fg_policy_t empty;
    const fg_policy_t *twice = fg_policy_merge(policy, policy, pool);

    MUST(memcmp(fg_policy_merge(policy, &empty, pool), policy, sizeof(*policy)) == 0);
    MUST(memcmp(fg_policy_merge(&empty, policy, pool), policy, sizeof(*policy)) == 0);
    MUST(!policy->limits || twice->limits->nelts == policy->limits->nelts);
    MUST(!policy->fields || twice->fields->nelts == policy->fields->nelts);
    MUST(!policy->dnsbls || twice->dnsbls->nelts == policy->dnsbls->nelts);
}

static int strictness(fg_action_t action)
{
    return action == FG_ACT_ALLOW ? 0 : action == FG_ACT_CHALLENGE ? 1 : 2;
}

/* The captcha that is asked for in place of the server's. */
static void check_captcha(const fg_policy_t *server, const fg_policy_t *site)
{
    int i;

    MUST(fg_policy_captcha_when_challenged(server) || !fg_policy_captcha(server) ||
         !fg_policy_captcha_when_challenged(site));
    MUST(fg_policy_captcha_by_application(server) || !fg_policy_captcha_by_application(site));
    MUST(fg_policy_captcha_min_score(site) >= fg_policy_captcha_min_score(server));
    MUST(fg_policy_captcha_difficulty(site).base >= fg_policy_captcha_difficulty(server).base);
    MUST(site->captcha_clearance.uses <= server->captcha_clearance.uses);
    MUST(site->captcha_clearance.life <= server->captcha_clearance.life);
    MUST(!server->captcha_max_age ||
         (site->captcha_max_age > 0 && site->captcha_max_age <= server->captcha_max_age));
    MUST(site->captcha_hostnames == server->captcha_hostnames);
    for (i = FG_CAUSE_NONE + 1; i < FG_CAUSE_COUNT; i++) {
        MUST(strictness(fg_policy_on_error(site, (fg_cause_t)i)) >=
             strictness(fg_policy_on_error(server, (fg_cause_t)i)));
    }
}

/* tighten: whatever the site says, what the server config says holds. */
static void check_tightened(const fg_policy_stack_t *stack, const fg_policy_layers_t *layers)
{
    const fg_policy_t *server = &stack->server, *outer = layers->layer[0];

    if (fg_policy_mode(server) == FG_MODE_OFF) {
        return;
    }
    MUST(fg_policy_mode(outer) == fg_policy_mode(server));
    MUST(outer->limits == server->limits && outer->countries == server->countries);
    MUST(outer->fields == server->fields && outer->dnsbls == server->dnsbls);
    MUST(outer->deny == server->deny && outer->methods == server->methods);
    MUST(outer->paths == server->paths && outer->form_fields == server->form_fields);
    MUST(fg_policy_captcha(outer) == fg_policy_captcha(server));
    MUST(outer->captcha_secret == server->captcha_secret);
    if (layers->count == 2 && fg_policy_captcha(layers->layer[1])) {
        MUST(layers->layer[1]->captcha_ca_file == server->captcha_ca_file);
        if (fg_policy_captcha(server)) {
            check_captcha(server, layers->layer[1]);
        }
    }
}

FUZZ_TARGET(policy)
{
    fuzz_in_t in = {data, len};
    fg_policy_stack_t stack, none, *merged;
    fg_policy_layers_t layers = {{NULL, NULL}, 0};
    int i, lines;

    memset(&stack, 0, sizeof(stack));
    memset(&none, 0, sizeof(none));
    for (lines = 0; lines < LINES && in.left; lines++) {
        char *line = (char *)(uintptr_t)fuzz_until(&in, '\n', pool);

        if (*line == '.') {
            stack.has_site |= apply(&stack.site, line + 1, 1, pool);
        }
        else {
            stack.has_server |= apply(&stack.server, line, 0, pool);
        }
    }
    check_policy(&stack.server, pool);
    check_policy(&stack.site, pool);
    check_merge(&stack.server, pool);
    merged = fg_policy_stack_merge(&none, &stack, pool);
    merged = fg_policy_stack_merge(merged, &stack, pool);
    MUST(!merged->site.limits || merged->site.limits->nelts <= FG_SITE_RULES_MAX);
    MUST(!merged->site.countries || merged->site.countries->nelts <= FG_SITE_RULES_MAX);
    MUST(!merged->site.fields || merged->site.fields->nelts <= FG_SITE_RULES_MAX);
    fg_policy_resolve(merged, &layers, pool);
    MUST(layers.count == 1 || layers.count == 2);
    for (i = 0; i < layers.count; i++) {
        check_policy(layers.layer[i], pool);
    }
    if (fg_policy_override(&merged->server) != FG_OVERRIDE_ALL) {
        check_tightened(merged, &layers);
    }
    fg_policy_injects(merged);
    fg_policy_contact(merged);
}
