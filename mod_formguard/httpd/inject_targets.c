/* SPDX-License-Identifier: Apache-2.0 */
/* Where the forms of a page are sent to, and whether a widget may be added to them. */
#include <string.h>

#include "apr_strings.h"

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_vhost.h"

#include "core/action_url.h"
#include "inject.h"
#include "module.h"

APLOG_USE_MODULE(formguard);

/* Paths looked up for one page; its other forms stay as they are. */
#define LOOKUPS_MAX 16

/* Bytes of the policies in a page. */
#define POLICIES_MAX 65536

struct fg_targets {
    request_rec *r;
    const char *origin;
    fg_page_url_t url;
    const char *header;   /* Content-Security-Policy, or NULL */
    const char *policies; /* the same of meta elements, or NULL */
    int unknown_policy;
    apr_size_t forms;        /* that were asked about */
    apr_array_header_t *all; /* fg_target_t *; NULL: none was looked up yet */
};

/* --- what the owner is told ------------------------------------------------------------------- */

/* Once a site and reason: who has switched it on believes that his forms carry the widget. */
void fg_inject_say(request_rec *r, const char *path, const char *why)
{
    char form[FG_LOG_PATH_MAX + 1];
    char page[FG_LOG_PATH_MAX + 1];

    if (fg_say_once_of(apr_pstrcat(r->pool, "inject\n", why, "\n", fg_facts_site(r), NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "FG2411: FormGuardInject leaves a form as it is: %s: form=%s page=%s", why,
                      fg_log_path(form, path), fg_log_path(page, fg_facts_path_asked(r)));
    }
}

/* --- where forms are sent to ------------------------------------------------------------------ */

static const char *host_header(const request_rec *r)
{
    const char *host = apr_table_get(r->headers_in, "Host");

    return host != NULL ? host : r->server->server_hostname;
}

static int is_usual_port(const char *port)
{
    return *port == '\0' || strcmp(port, "80") == 0 || strcmp(port, "443") == 0;
}

static int is_here(void *baton, const char *host, const char *port)
{
    request_rec *r = ((fg_targets_t *)baton)->r;
    const char *own = strrchr(host_header(r), ':');

    own = own != NULL && strchr(own, ']') == NULL ? own + 1 : "";
    if (strcmp(port, own) != 0 && !(is_usual_port(port) && is_usual_port(own))) {
        return 0;
    }
    return (r->hostname != NULL && strcasecmp(host, r->hostname) == 0) ||
           ap_matches_request_vhost(r, host, r->server->port);
}

static const ap_filter_rec_t *fixup_headers; /* NULL: mod_headers is not there */

void fg_targets_child_init(apr_pool_t *pchild)
{
    fixup_headers = ap_get_output_filter_handle("FIXUP_HEADERS_OUT");
    fg_target_child_init(pchild);
}

/* Swallows what the copy of a filter passes on. */
static apr_status_t swallow(ap_filter_t *f, apr_bucket_brigade *bb)
{
    (void)f;
    (void)bb;
    return APR_SUCCESS;
}

static const char *lines_of(apr_table_t *headers, const char *name, apr_pool_t *pool)
{
    return apr_table_get(headers, name) != NULL ? apr_table_getm(pool, headers, name) : NULL;
}

/* The header lines of an answer as they are now. */
static const char *header_now(const request_rec *r, const char *name)
{
    const char *lines = lines_of(r->headers_out, name, r->pool);
    const char *error_lines = lines_of(r->err_headers_out, name, r->pool);

    return lines == NULL || error_lines == NULL
               ? (lines != NULL ? lines : error_lines)
               : apr_pstrcat(r->pool, lines, ",", error_lines, NULL);
}

/* The header lines of an answer as they will be sent: `Header` of mod_headers is applied by a
 * filter that comes behind this one. It is run here on copies, and once more, on the answer, at its
 * time. */
static const char *header_sent(request_rec *r, const char *name)
{
    static ap_filter_rec_t sink = {.name = "formguard_sink", .filter_func.out_func = swallow};
    const request_rec before = *r;
    ap_filter_t end = {.frec = &sink, .r = r, .c = r->connection};
    ap_filter_t *f = r->output_filters;
    ap_filter_t copy;
    const char *lines;

    while (f != NULL && f->frec != fixup_headers) {
        f = f->next;
    }
    if (f == NULL) {
        return header_now(r, name);
    }
    copy = *f;
    copy.next = &end;
    r->headers_out = apr_table_copy(r->pool, before.headers_out);
    r->err_headers_out = apr_table_copy(r->pool, before.err_headers_out);
    copy.frec->filter_func.out_func(&copy,
                                    apr_brigade_create(r->pool, r->connection->bucket_alloc));
    lines = header_now(r, name);
    r->headers_out = before.headers_out;
    r->err_headers_out = before.err_headers_out;
    r->content_type = before.content_type;
    return lines;
}

static int csp_allows(fg_targets_t *targets, const char *policies, const fg_target_t *target,
                      const fg_csp_need_t *needs)
{
    request_rec *r = targets->r;
    const fg_csp_need_t *lacks;

    if (policies == NULL) {
        return 1;
    }
    lacks = fg_csp_forbids(policies, targets->origin, needs, r->pool);
    if (lacks != NULL) {
        fg_inject_say(
            r, target->path,
            apr_psprintf(r->pool,
                         "the page's Content-Security-Policy forbids the widget; it needs: "
                         "%s %s",
                         lacks->directive, lacks->advice));
    }
    return lacks == NULL;
}

static int policies_allow(fg_targets_t *targets, const fg_target_t *target,
                          const fg_csp_need_t *needs)
{
    if (targets->unknown_policy) {
        fg_inject_say(targets->r, target->path,
                      "the Content-Security-Policy in the page is too long to be read");
        return 0;
    }
    return csp_allows(targets, targets->header, target, needs) &&
           csp_allows(targets, targets->policies, target, needs);
}

/* The page answers a post to the same form, whose next step passes without a captcha: a
 * confirmation screen. */
static int is_cleared(const fg_targets_t *targets, const fg_target_t *target)
{
    const fg_request_t *fr = ap_get_module_config(targets->r->request_config, &formguard_module);

    return fr != NULL && fr->steps_left > 0 && strcmp(targets->url.path, target->path) == 0;
}

static int has_policy(const fg_targets_t *targets)
{
    return targets->header != NULL || targets->policies != NULL || targets->unknown_policy;
}

static void look_up(fg_targets_t *targets, const fg_html_form_t *form, fg_target_t *target)
{
    request_rec *r = targets->r;
    request_rec *lookup = NULL;
    const fg_policy_t *policy = fg_form_guard(r, target->path, &lookup);

    if (policy != NULL && !is_cleared(targets, target)) {
        const char *why =
            fg_widget_make(&target->widget, policy, target->path, targets->origin, r->pool);

        if (why != NULL) {
            fg_inject_say(r, target->path,
                          apr_pstrcat(r->pool, "FormGuardCaptcha ", fg_policy_captcha(policy)->name,
                                      ": ", why, NULL));
        }
        else if (policies_allow(targets, target, target->widget.needs)) {
            target->field = apr_pstrdup(r->pool, fg_policy_captcha_field(policy));
        }
    }
    if (!has_policy(targets)) {
        fg_target_keep(r, targets->url.base, form->action, target, lookup);
    }
    ap_destroy_sub_req(lookup);
}

static const fg_target_t *target_of(fg_targets_t *targets, const fg_html_form_t *form,
                                    const char *path)
{
    fg_target_t *target;
    int i;

    for (i = 0; i < targets->all->nelts; i++) {
        target = APR_ARRAY_IDX(targets->all, i, fg_target_t *);
        if (strcmp(target->path, path) == 0) {
            return target;
        }
    }
    if (targets->all->nelts == LOOKUPS_MAX) {
        fg_inject_say(targets->r, path, "the page has forms for more than 16 paths");
        return NULL;
    }
    target = apr_pcalloc(targets->r->pool, sizeof(*target));
    target->path = apr_pstrdup(targets->r->pool, path);
    APR_ARRAY_PUSH(targets->all, fg_target_t *) = target;
    look_up(targets, form, target);
    return target;
}

/* What is asked of the page itself once something has to be looked up. */
static void start_lookups(fg_targets_t *targets)
{
    request_rec *r = targets->r;
    const char *path = fg_path_encode(fg_facts_path_asked(r), r->pool);

    targets->origin = apr_pstrcat(r->pool, ap_http_scheme(r), "://", host_header(r), NULL);
    targets->url.path = path != NULL && *path == '/' ? path : "/";
    targets->url.is_here = is_here;
    targets->url.baton = targets;
    targets->all = apr_array_make(r->pool, 2, sizeof(fg_target_t *));
}

static const fg_target_t *find_out(fg_targets_t *targets, const fg_html_form_t *form)
{
    const fg_target_t *target = NULL;
    const char *path;
    apr_pool_t *pool;

    if (targets->all == NULL) {
        start_lookups(targets);
    }
    /* A page may have any number of forms: after the first few, a pool for each. */
    pool = targets->r->pool;
    if (targets->forms > LOOKUPS_MAX) {
        apr_pool_create(&pool, pool);
    }
    path = fg_action_path(form->action, &targets->url, pool);
    if (path != NULL) {
        target = target_of(targets, form, path);
    }
    if (target != NULL && target->field != NULL && form->in_table) {
        target = policies_allow(targets, target, target->widget.table_needs) ? target : NULL;
    }
    if (pool != targets->r->pool) {
        apr_pool_destroy(pool);
    }
    return target;
}

const fg_target_t *fg_targets_of(fg_targets_t *targets, const fg_html_form_t *form)
{
    const fg_target_t *target = NULL;

    if (++targets->forms <= LOOKUPS_MAX && !has_policy(targets)) {
        target = fg_target_recall(targets->r, targets->url.base, form->action);
    }
    if (target == NULL) {
        target = find_out(targets, form);
    }
    return target != NULL && target->field != NULL ? target : NULL;
}

/* --- what the page says ----------------------------------------------------------------------- */

void fg_targets_base(fg_targets_t *targets, const char *href)
{
    targets->url.base = apr_pstrdup(targets->r->pool, href);
}

void fg_targets_csp(fg_targets_t *targets, const char *policy)
{
    if (policy == NULL || (targets->policies != NULL && strlen(targets->policies) > POLICIES_MAX)) {
        targets->unknown_policy = 1;
        return;
    }
    targets->policies = targets->policies == NULL
                            ? apr_pstrdup(targets->r->pool, policy)
                            : apr_pstrcat(targets->r->pool, targets->policies, ",", policy, NULL);
}

fg_targets_t *fg_targets_create(request_rec *r)
{
    fg_targets_t *targets = apr_pcalloc(r->pool, sizeof(*targets));

    targets->r = r;
    targets->header = header_sent(r, "Content-Security-Policy");
    return targets;
}
