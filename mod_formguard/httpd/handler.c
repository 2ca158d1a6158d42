/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a request: is it ours, what is decided, what is done about it. */
#include <string.h>

#include "apr_strings.h"

#include "ap_mpm.h"
#include "http_protocol.h"
#include "http_request.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* --- what a decision asks for ----------------------------------------------------------------- */

static int needs_country(const fg_case_t *c)
{
    return fg_policy_needs_country(c->layer[0].policy) ||
           (c->layers == 2 && fg_policy_needs_country(c->layer[1].policy));
}

static int ask_country(fg_case_t *c, fg_country_t *country)
{
    fg_request_t *fr = c->baton;
    fg_country_db_t *countries = fg_runtime()->countries;

    if (countries != NULL &&
        fg_country_lookup(countries, &c->client, c->now, country) == APR_SUCCESS) {
        return 0;
    }
    if (countries == NULL && needs_country(c) && fg_say_once(FG_SAID_NO_GEO)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, fr->r,
                      "FG2103: rules about countries are not applied: "
                      "there is no FormGuardGeoDatabase");
    }
    return 1;
}

static void ask_dnsbl(fg_case_t *c, const fg_dnsbl_zone_t *zone, apr_interval_time_t timeout,
                      fg_dnsbl_result_t *result)
{
    fg_request_t *fr = c->baton;
    const fg_runtime_t *runtime = fg_runtime();

    result->status = FG_DNSBL_UNKNOWN;
    result->reason = FG_DNSBL_FAILED;
    if (runtime->dnsbl == NULL) {
        return;
    }
    fg_dnsbl_check(runtime->dnsbl, runtime->dnsbl_cache, zone, &c->client, c->now.steady,
                   c->now.steady + timeout, result);
    if (result->changed) {
        int level = result->reason == FG_DNSBL_WORKING ? APLOG_NOTICE : APLOG_WARNING;
        const char *more = fg_log_notice(FG_NOTICE_DNSBL, c->now.steady, c->pool);

        if (more != NULL) {
            ap_log_rerror(APLOG_MARK, level, 0, fr->r, "FG2201: blocklist %s %s%s", zone->shown,
                          fg_dnsbl_reason_text(result->reason), more);
        }
    }
}

static void ask_capture(fg_case_t *c, fg_captured_t *captured)
{
    fg_capture(c->baton, captured);
}

static fg_time_t ask_now(fg_case_t *c)
{
    (void)c;
    return fg_facts_now();
}

static void note(fg_case_t *c, const fg_verdict_t *verdict)
{
    fg_count_logged(verdict);
    fg_logline(c->baton, verdict, FG_LOG_ONLY);
}

static const char *label(fg_case_t *c)
{
    const fg_request_t *fr = c->baton;
    char form[FG_LOG_VALUE_MAX + 1];
    char site[FG_LOG_VALUE_MAX + 1];

    return apr_pstrcat(c->pool, "form=", fg_log_value(form, fr->path),
                       " site=", fg_log_value(site, fr->r->server->server_hostname), NULL);
}

static void closed(fg_case_t *c, const fg_verdict_t *verdict)
{
    fg_logline(c->baton, verdict, FG_LOG_CLOSED);
}

static void trace(fg_case_t *c, const char *text)
{
    fg_request_t *fr = c->baton;

    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, fr->r, "FG0001: %s", text);
}

static int ask_cleared(fg_case_t *c, const fg_policy_t *policy)
{
    return fg_clearance_use(c->baton, policy);
}

/* --- deciding --------------------------------------------------------------------------------- */

/* A form whose time is over is open by itself; the first post to anything guarded says so. */
static void say_what_opened(request_rec *r, fg_time_t now)
{
    fg_closures_t *closures = fg_runtime()->closures;
    const char *label;

    while ((label = fg_closures_opened(closures, now.steady, r->pool)) != NULL) {
        const char *more = fg_log_notice(FG_NOTICE_OPENED, now.steady, r->pool);

        if (more != NULL) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, r->server, "FG1102: form open again: %s%s",
                         label, more);
        }
    }
}

static void say_bare(request_rec *r, const fg_case_t *c)
{
    int i;

    for (i = 0; i < c->layers; i++) {
        if (c->layer[i].active && fg_policy_is_bare(c->layer[i].policy) &&
            fg_say_once(FG_SAID_DEFAULT_LIMIT)) {
            ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                          "FG2003: FormGuard On without any rule means FormGuardLimit %s",
                          FG_POLICY_DEFAULT_LIMIT);
        }
    }
}

/* What a site owner believes to hold and does not: nothing else tells him. */
static void say_cut(request_rec *r, const fg_policy_stack_t *stack)
{
    char dir[FG_LOG_PATH_MAX + 1];

    if (stack->site_cut != NULL && fg_say_once_of(fg_facts_site(r))) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "FG2008: lines of %s in .htaccess do not hold: more than %d of a kind, or "
                      "limits with more than %d rates together: dir=%s",
                      stack->site_cut, FG_SITE_RULES_MAX, FG_SITE_RATES_MAX,
                      fg_log_path(dir, r->filename != NULL
                                           ? ap_make_dirstr_parent(r->pool, r->filename)
                                           : NULL));
    }
}

static const char *mode_name(const fg_policy_t *policy)
{
    return fg_policy_mode(policy) == FG_MODE_DETECT ? "DetectionOnly" : "On";
}

/* What a preset stands for, for whoever looks at the decision. */
static void say_presets(fg_case_t *c)
{
    int i;

    for (i = 0; i < c->layers && c->ops->trace != NULL; i++) {
        const fg_preset_t *preset = c->layer[i].policy->preset;

        if (c->layer[i].active && preset != NULL) {
            char *rest = apr_pstrdup(c->pool, preset->lines);
            char *last;
            char *line;

            for (line = apr_strtok(rest, "\n", &last); line != NULL;
                 line = apr_strtok(NULL, "\n", &last)) {
                trace(c, apr_pstrcat(c->pool, "FormGuardPreset ", preset->name,
                                     " stands for: ", line, NULL));
            }
        }
    }
}

static int looks_for_fields(const fg_case_t *c)
{
    return c->layer[0].policy->form_fields != NULL ||
           (c->layers == 2 && c->layer[1].policy->form_fields != NULL);
}

static void decide(fg_request_t *fr)
{
    static const fg_server_ops_t quiet = {.country = ask_country,
                                          .capture = ask_capture,
                                          .dnsbl = ask_dnsbl,
                                          .verify = fg_ask_verify,
                                          .challenge = fg_altcha_verify,
                                          .own = fg_altcha_own,
                                          .cleared = ask_cleared,
                                          .now = ask_now,
                                          .note = note,
                                          .label = label,
                                          .closed = closed};
    request_rec *r = fr->r;
    fg_case_t *c = &fr->c;
    fg_time_t started;
    int i;

    c->counters = fg_runtime()->counters;
    c->closures = fg_runtime()->closures;
    c->baton = fr;
    c->ops = &quiet;
    if (APLOGrdebug(r)) {
        /* In the pool: asked for once more when the body is handed on. */
        fg_server_ops_t *telling = apr_pmemdup(r->pool, &quiet, sizeof(quiet));

        telling->trace = trace;
        c->ops = telling;
    }
    c->form = fg_facts_form(r);
    if (looks_for_fields(c)) { /* and some of these may be paths */
        fg_facts_paths(r, c->path);
    }
    c->site = fg_facts_site(r);
    c->now = fg_facts_now();
    c->pool = r->pool;
    fg_facts_client(r, &c->client);
    for (i = 0; i < c->layers && APLOGrdebug(r); i++) {
        if (c->layer[i].active) {
            trace(c, apr_psprintf(r->pool, "guarded: %s %s, %s%s", r->method, fr->path,
                                  mode_name(c->layer[i].policy), i == 1 ? " by .htaccess" : ""));
        }
    }
    say_presets(c);
    say_bare(r, c);
    say_cut(r, fr->stack);
    say_what_opened(r, c->now);
    fg_log_summaries(c->now.steady);
    started = c->now;
    fg_decide(c, &fr->verdict);
    fr->judged = 1;
    fg_count_verdict(fr, started);
}

/* What the application sees. Its names can't be sent by a client: a header of that name arrives
 * as HTTP_FORMGUARD_VERDICT. */
static void set_environment(request_rec *r, const fg_request_t *fr)
{
    const fg_verdict_t *verdict = &fr->verdict;
    apr_table_t *env = r->subprocess_env;

    apr_table_setn(env, "FORMGUARD_VERDICT",
                   verdict->would                      ? "would-refuse"
                   : verdict->outcome == FG_OUT_ACCEPT ? "accepted"
                   : verdict->outcome == FG_OUT_PASS   ? "not-judged"
                                                       : "refused");
    if (verdict->country_known) {
        apr_table_setn(env, "FORMGUARD_COUNTRY",
                       *verdict->country != '\0' ? verdict->country : "unknown");
    }
    if (verdict->has_score) {
        apr_table_setn(env, "FORMGUARD_SCORE", apr_psprintf(r->pool, "%.2f", verdict->score));
    }
    if (verdict->rule != NULL) {
        apr_table_setn(env, "FORMGUARD_RULE", verdict->rule);
    }
    if (fr->reference != NULL) {
        apr_table_setn(env, "FORMGUARD_REFERENCE", fr->reference);
    }
}

/* --- doing ------------------------------------------------------------------------------------ */

/* RFC 9112 6.3: without either header a request has no body. */
static int has_body(const request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return apr_table_get(r->headers_in, "Transfer-Encoding") != NULL ||
           (length != NULL && strcmp(length, "0") != 0) || r->proto_num >= HTTP_VERSION(2, 0);
}

/* The body waits in the network: reading it to its end would hold this worker as long as a slow
 * client likes, and show 408 instead of the answer. */
static void leave_body(conn_rec *c)
{
    int async = 0;

    c->keepalive = AP_CONN_CLOSE;
    if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &async) != APR_SUCCESS || !async) {
        /* Without an event loop it is the worker that lingers for a client which goes on sending:
         * 2 seconds then, not 30 (ap_lingering_close in server/connection.c). */
        apr_table_setn(c->notes, "short-lingering-close", "1");
    }
}

static int refuse(fg_request_t *fr)
{
    request_rec *r = fr->r;

    if (!fr->body.whole && has_body(r)) {
        leave_body(r->connection);
    }
    if (fr->verdict.outcome == FG_OUT_ANSWERED) {
        return fr->verdict.status;
    }
    fg_replay_insert_empty(r);
    fg_cors_insert(r);
    return fg_respond(fr);
}

/* Also where a layer that only watches would have refused the post. */
static void grant_clearance(fg_request_t *fr)
{
    if (fr->c.verified != NULL && fr->c.verified->captcha_clearance.uses > 0) {
        fg_clearance_grant(fr, fr->c.verified);
    }
}

static int carry_out(fg_request_t *fr)
{
    const fg_verdict_t *verdict = &fr->verdict;

    switch (verdict->outcome) {
    case FG_OUT_ACCEPT:
        fg_logline(fr, verdict, FG_LOG_DONE);
        grant_clearance(fr);
        fg_repeat_accepted(fr);
        break;
    case FG_OUT_PASS:
        break;
    case FG_OUT_REFUSE:
        if (verdict->would) {
            fg_logline(fr, verdict, FG_LOG_WOULD);
            grant_clearance(fr);
            break;
        }
        fg_clearance_give_back(fr);
        fg_logline(fr, verdict, FG_LOG_DONE);
        set_environment(fr->r, fr);
        return refuse(fr);
    case FG_OUT_ANSWERED:
        fg_clearance_give_back(fr);
        fg_logline(fr, verdict, FG_LOG_DONE);
        return refuse(fr);
    }
    set_environment(fr->r, fr);
    fg_strip(fr);
    fg_replay_insert(fr->r, &fr->body);
    return DECLINED;
}

/* The state of this request, if an earlier pass of its internal redirects was judged. */
static fg_request_t *judged_before(request_rec *r)
{
    for (; r != NULL; r = r->prev) {
        fg_request_t *fr = ap_get_module_config(r->request_config, &formguard_module);

        if (fr != NULL) {
            return fr;
        }
    }
    return NULL;
}

/* mod_rewrite in a directory: all that runs in this pass is its internal redirect. */
static int redirects(const request_rec *r)
{
    return r->handler != NULL && strcmp(r->handler, "redirect-handler") == 0 &&
           r->filename != NULL && strncmp(r->filename, "redirect:", 9) == 0;
}

static void keep_guard(const fg_policy_t *asked, fg_policy_t *sum)
{
    if (fg_policy_mode(asked) == FG_MODE_ON) {
        sum->mode = asked->mode;
    }
    if (fg_policy_captcha(sum) == NULL) {
        sum->captcha = asked->captcha;
        sum->captcha_host = asked->captcha_host;
    }
}

/* What holds for a URL that was rewritten: the rules of where it leads are added to its own. They
 * can't lift what the URL itself is under. */
static const fg_policy_stack_t *add_stack(const fg_policy_stack_t *asked,
                                          const fg_policy_stack_t *here, apr_pool_t *pool)
{
    fg_policy_stack_t *sum = fg_policy_stack_merge(asked, here, pool);

    keep_guard(&asked->server, &sum->server);
    keep_guard(&asked->site, &sum->site);
    if (fg_policy_override(&sum->server) == FG_OVERRIDE_ALL) {
        /* The site's has the last word there: also on what the server config says of the URL. */
        keep_guard(fg_policy_merge(&asked->server, &asked->site, pool), &sum->site);
    }
    return sum;
}

/* Which of the policies in force guard this request. @return 0 if none does */
static int guarding_layers(request_rec *r, const char *method, const fg_policy_layers_t *layers,
                           const fg_request_t *earlier, int active[FG_LAYERS])
{
    int guarding = 0;
    int i;

    for (i = 0; i < layers->count; i++) {
        const fg_policy_t *policy = layers->layer[i];

        active[i] = fg_policy_mode(policy) != FG_MODE_OFF &&
                    ((earlier != NULL && i < earlier->c.layers && earlier->c.layer[i].active) ||
                     (fg_policy_guards_method(policy, method) && fg_facts_path_guarded(r, policy)));
        guarding |= active[i];
    }
    return guarding;
}

/* The state of a request that is to be judged. */
static fg_request_t *start(request_rec *r, const fg_policy_stack_t *stack,
                           const fg_policy_layers_t *layers, const int active[FG_LAYERS],
                           const char *path)
{
    fg_request_t *fr = apr_pcalloc(r->pool, sizeof(*fr));
    int i;

    fr->r = r;
    fr->stack = stack;
    fr->path = path;
    fr->c.layers = layers->count;
    for (i = 0; i < layers->count; i++) {
        fr->c.layer[i].policy = layers->layer[i];
        fr->c.layer[i].active = active[i];
    }
    ap_set_module_config(r->request_config, &formguard_module, fr);
    return fr;
}

/* 1 if a layer that guards this pass denies every post; `active`: which. */
static int is_denied(request_rec *r, const fg_policy_layers_t *layers, int active[FG_LAYERS])
{
    int denied = 0;
    int i;

    guarding_layers(r, r->method, layers, NULL, active);
    for (i = 0; i < layers->count; i++) {
        const fg_policy_t *policy = layers->layer[i];

        active[i] = active[i] && policy->deny == FG_MODE_ON && fg_policy_mode(policy) == FG_MODE_ON;
        denied |= active[i];
    }
    return denied;
}

/* What was accepted is a post still where Action hands it on to, and no post may belong there. The
 * other rules of that place are left to the post that is sent there: this one was judged. */
static int deny_later_pass(request_rec *r, const fg_request_t *earlier)
{
    const fg_policy_stack_t *stack = ap_get_module_config(r->per_dir_config, &formguard_module);
    fg_policy_layers_t layers;
    int active[FG_LAYERS];
    fg_request_t *fr;

    fg_policy_resolve(stack, &layers, r->pool);
    if (earlier->verdict.reason == FG_DENY || !is_denied(r, &layers, active)) {
        return DECLINED;
    }
    fr = start(r, stack, &layers, active, earlier->path);
    fr->body = earlier->body;
    decide(fr);
    return carry_out(fr);
}

static int later_pass(request_rec *r, fg_request_t *fr)
{
    int status;

    if (!fr->judged) {
        /* An ErrorDocument that httpd shows from within its own input filter, while the body is
         * being read (413 of LimitRequestBody, 400 of a broken chunk). */
        apr_table_setn(r->subprocess_env, "FORMGUARD_VERDICT", "refused");
        fg_replay_insert_empty(r);
        return DECLINED;
    }
    /* Not of an ErrorDocument */
    status = r->prev->status == HTTP_OK ? deny_later_pass(r, fr) : DECLINED;
    if (status != DECLINED) {
        return status;
    }
    set_environment(r, fr);
    if (fr->verdict.outcome == FG_OUT_ANSWERED ||
        (fr->verdict.outcome == FG_OUT_REFUSE && !fr->verdict.would)) {
        fg_replay_insert_empty(r); /* an ErrorDocument */
        fg_cors_insert(r);
    }
    else {
        fg_replay_insert(r, &fr->body);
    }
    return DECLINED;
}

/* The script of an ErrorDocument is run by GET, but the body of a post elsewhere, which nobody has
 * judged, may still be read there. Where it could not be posted unjudged, it is not seen. */
static void hide_body(request_rec *r, const fg_policy_layers_t *layers)
{
    const char *posted =
        r->prev != NULL ? apr_table_get(r->prev->subprocess_env, "REQUEST_METHOD") : NULL;
    int active[FG_LAYERS];

    if (posted != NULL && has_body(r) && guarding_layers(r, posted, layers, NULL, active)) {
        leave_body(r->connection);
        fg_replay_insert_empty(r);
    }
}

/* 1 where nothing says FormGuard On. */
static int guards_nothing(const fg_policy_stack_t *stack)
{
    return !stack->has_site && fg_policy_mode(&stack->server) == FG_MODE_OFF;
}

static int unguarded(request_rec *r)
{
    if (r->method_number == M_POST && !redirects(r)) {
        fg_count_unguarded(r);
    }
    return DECLINED;
}

FG_APART static int judge(request_rec *r, const fg_policy_stack_t *stack,
                          const fg_request_t *deferred)
{
    fg_policy_layers_t layers;
    int active[FG_LAYERS];
    fg_request_t *fr;

    fg_policy_resolve(stack, &layers, r->pool);
    if (!guarding_layers(r, r->method, &layers, deferred, active)) {
        hide_body(r, &layers);
        return unguarded(r);
    }
    fr = start(r, stack, &layers, active, fg_facts_path(r));
    if (redirects(r)) {
        /* Judged where it leads: rules may stand there that are not seen from here. */
        fr->deferred = 1;
        return DECLINED;
    }
    decide(fr);
    return carry_out(fr);
}

/* `earlier`: the pass that was judged, or is to be judged here. */
FG_APART static int go_on(request_rec *r, const fg_policy_stack_t *stack, fg_request_t *earlier)
{
    if (!earlier->deferred) {
        return later_pass(r, earlier);
    }
    if (r->prev->status != HTTP_OK) {
        return DECLINED; /* an ErrorDocument in place of what it was rewritten to */
    }
    stack = add_stack(earlier->stack, stack, r->pool);
    return guards_nothing(stack) ? unguarded(r) : judge(r, stack, earlier);
}

int fg_handler(request_rec *r)
{
    const fg_policy_stack_t *stack = ap_get_module_config(r->per_dir_config, &formguard_module);
    fg_request_t *earlier;

    if (r->main != NULL || fg_status_opens(r)) {
        return DECLINED;
    }
    earlier = judged_before(r->prev);
    if (earlier != NULL) {
        return go_on(r, stack, earlier);
    }
    return guards_nothing(stack) ? unguarded(r) : judge(r, stack, NULL);
}
