/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FormGuardInject: an output filter that adds the captcha's widget to the forms of a page that are
 * sent to where it is asked for.
 *
 * The page streams through; of it is held back what core/html_forms.h says. What is read of a file
 * is mapped or a few kilobytes, and passed on before more is read.
 */
#include <string.h>

#include "apr_strings.h"

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_vhost.h"

#include "core/action_url.h"
#include "core/html_forms.h"
#include "core/widget.h"
#include "module.h"

APLOG_USE_MODULE(formguard);

#define FILTER_NAME "FORMGUARD_INJECT"

/* Paths looked up for one page; its other forms stay as they are. */
#define LOOKUPS_MAX 16

/* Scripts of the page remembered, so that no widget's is added twice. */
#define SCRIPTS_MAX 64

/* Bytes passed on at a time; of a shorter page all is seen before its headers are sent. */
#define PASS_SIZE 65536

/* A path that some form is sent to. */
typedef struct target {
    const char *path;
    const char *field; /* of the widget; NULL: none is to be added */
    fg_widget_t widget;
} target_t;

typedef struct page {
    request_rec *r;
    fg_html_forms_t *forms;
    apr_bucket_brigade *held; /* read, and not to be passed on yet */
    apr_off_t held_from;      /* bytes from the start of the page */
    apr_bucket_brigade *out;
    apr_off_t out_size;
    int had_data;
    int changed;   /* 1: a widget was added */
    int committed; /* 1: the headers fit a page that is changed */
    const char *origin;
    fg_page_url_t url;
    const char *policies; /* Content-Security-Policy of meta elements, or NULL */
    int unknown_policy;
    const target_t *target;      /* of the form that is open */
    apr_array_header_t *targets; /* target_t * */
    apr_array_header_t *scripts; /* const char * */
} page_t;

static ap_filter_rec_t *inject_handle;

/* --- what the owner is told ------------------------------------------------------------------- */

/* Once a site and reason: who has switched it on believes that his forms carry the widget. */
static void say(request_rec *r, const char *path, const char *why)
{
    char form[FG_LOG_PATH_MAX + 1];
    char page[FG_LOG_PATH_MAX + 1];

    if (fg_say_once_of(apr_pstrcat(r->pool, "inject\n", why, "\n", fg_facts_site(r), NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "FG2411: FormGuardInject leaves a form as it is: %s: form=%s page=%s", why,
                      fg_log_path(form, path), fg_log_path(page, fg_facts_path_asked(r)));
    }
}

/* --- which pages ------------------------------------------------------------------------------ */

static int is_type(const char *type, const char *wanted)
{
    apr_size_t len = strlen(wanted);

    return type != NULL && strncasecmp(type, wanted, len) == 0 &&
           (type[len] == '\0' || strchr("; \t", type[len]) != NULL);
}

static const char *header_out(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_out, name);

    return value != NULL ? value : apr_table_get(r->err_headers_out, name);
}

static int is_encoded(const request_rec *r)
{
    const char *encoding = header_out(r, "Content-Encoding");

    encoding = encoding != NULL ? encoding : r->content_encoding;
    return encoding != NULL && strcasecmp(encoding, "identity") != 0;
}

static int charset_known(const request_rec *r)
{
    const char *charset = ap_strcasestr(r->content_type, "charset=");

    return charset == NULL || fg_html_charset_known(charset + 8, strlen(charset + 8));
}

static int is_page(request_rec *r)
{
    const char *disposition;

    if (!is_type(r->content_type, "text/html") || !charset_known(r) ||
        r->status == HTTP_PARTIAL_CONTENT || header_out(r, "Content-Range") != NULL ||
        AP_STATUS_IS_HEADER_ONLY(r->status)) {
        return 0;
    }
    disposition = header_out(r, "Content-Disposition");
    if (disposition != NULL && strncasecmp(disposition, "attachment", 10) == 0) {
        return 0; /* to be saved, not shown */
    }
    if (is_encoded(r)) {
        say(r, NULL, "the page is compressed before it can be read");
        return 0;
    }
    return 1;
}

/* What no longer fits a page that is changed. */
static void commit(page_t *page)
{
    static const char *const names[] = {"Content-Length", "ETag",       "Last-Modified",
                                        "Accept-Ranges",  "Digest",     "Content-MD5",
                                        "Content-Digest", "Repr-Digest"};
    request_rec *r = page->r;
    apr_size_t i;

    if (!page->committed) {
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            apr_table_unset(r->headers_out, names[i]);
            apr_table_unset(r->err_headers_out, names[i]);
        }
        apr_table_unset(r->headers_in, "Range");
        page->committed = 1;
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
    request_rec *r = ((page_t *)baton)->r;
    const char *own = strrchr(host_header(r), ':');

    own = own != NULL && strchr(own, ']') == NULL ? own + 1 : "";
    if (strcmp(port, own) != 0 && !(is_usual_port(port) && is_usual_port(own))) {
        return 0;
    }
    return (r->hostname != NULL && strcasecmp(host, r->hostname) == 0) ||
           ap_matches_request_vhost(r, host, r->server->port);
}

/* Swallows what the copy of a filter passes on. */
static apr_status_t swallow(ap_filter_t *f, apr_bucket_brigade *bb)
{
    (void)f;
    (void)bb;
    return APR_SUCCESS;
}

/* The header lines of an answer as they will be sent: `Header` of mod_headers is applied by a filter
 * that comes behind this one. It is run here on copies, and once more, on the answer, at its time. */
static const char *header_sent(request_rec *r, const char *name)
{
    static ap_filter_rec_t sink = {.name = "formguard_sink", .filter_func.out_func = swallow};
    const request_rec before = *r;
    const char *lines;
    const char *error_lines;
    ap_filter_t *f;

    r->headers_out = apr_table_copy(r->pool, before.headers_out);
    r->err_headers_out = apr_table_copy(r->pool, before.err_headers_out);
    for (f = r->output_filters; f != NULL; f = f->next) {
        if (strcasecmp(f->frec->name, "fixup_headers_out") == 0) {
            apr_bucket_brigade *none = apr_brigade_create(r->pool, r->connection->bucket_alloc);
            ap_filter_t end = {.frec = &sink, .r = r, .c = r->connection};
            ap_filter_t copy = *f;

            copy.next = &end;
            copy.frec->filter_func.out_func(&copy, none);
            break;
        }
    }
    lines = apr_table_getm(r->pool, r->headers_out, name);
    error_lines = apr_table_getm(r->pool, r->err_headers_out, name);
    r->headers_out = before.headers_out;
    r->err_headers_out = before.err_headers_out;
    r->content_type = before.content_type;
    return lines == NULL || error_lines == NULL
               ? (lines != NULL ? lines : error_lines)
               : apr_pstrcat(r->pool, lines, ",", error_lines, NULL);
}

static int csp_allows(page_t *page, const char *policies, const target_t *target)
{
    request_rec *r = page->r;
    const fg_csp_need_t *lacks;

    if (policies == NULL) {
        return 1;
    }
    lacks = fg_csp_forbids(policies, page->origin, target->widget.needs, r->pool);
    if (lacks != NULL) {
        say(r, target->path,
            apr_psprintf(r->pool,
                         "the page's Content-Security-Policy forbids the widget; it needs: "
                         "%s %s",
                         lacks->directive, lacks->advice));
    }
    return lacks == NULL;
}

static int policies_allow(page_t *page, const target_t *target)
{
    request_rec *r = page->r;

    if (page->unknown_policy) {
        say(r, target->path, "the Content-Security-Policy in the page is too long to be read");
        return 0;
    }
    return csp_allows(page, header_sent(r, "Content-Security-Policy"), target) &&
           csp_allows(page, page->policies, target);
}

static void look_up(page_t *page, target_t *target)
{
    request_rec *r = page->r;
    request_rec *lookup = NULL;
    const fg_policy_t *policy = fg_form_guard(r, target->path, &lookup);

    if (policy != NULL) {
        const char *why =
            fg_widget_make(&target->widget, policy, target->path, page->origin, r->pool);

        if (why != NULL) {
            say(r, target->path,
                apr_pstrcat(r->pool, "FormGuardCaptcha ", fg_policy_captcha(policy)->name, ": ",
                            why, NULL));
        }
        else if (policies_allow(page, target)) {
            target->field = apr_pstrdup(r->pool, fg_policy_captcha_field(policy));
        }
    }
    ap_destroy_sub_req(lookup);
}

static const target_t *target_of(page_t *page, const char *path)
{
    target_t *target;
    int i;

    for (i = 0; i < page->targets->nelts; i++) {
        target = APR_ARRAY_IDX(page->targets, i, target_t *);
        if (strcmp(target->path, path) == 0) {
            return target;
        }
    }
    if (page->targets->nelts == LOOKUPS_MAX) {
        say(page->r, path, "the page has forms for more than 16 paths");
        return NULL;
    }
    target = apr_pcalloc(page->r->pool, sizeof(*target));
    target->path = apr_pstrdup(page->r->pool, path);
    APR_ARRAY_PUSH(page->targets, target_t *) = target;
    look_up(page, target);
    return target;
}

/* --- what the reader of the page tells -------------------------------------------------------- */

static const char *on_form(void *baton, const fg_html_form_t *form)
{
    page_t *page = baton;
    request_rec *r = page->r;
    const char *field = NULL;
    const char *path;
    apr_pool_t *pool;

    /* A pool of its own: a page may have any number of forms. */
    apr_pool_create(&pool, r->pool);
    path = fg_action_path(form->action, &page->url, pool);
    page->target = path != NULL ? target_of(page, path) : NULL;
    if (page->target != NULL && page->target->field != NULL) {
        field = page->target->field;
        if (form->in_table) {
            say(r, path,
                "it starts between a table and its cells, where no widget's field would "
                "be sent with it");
            field = NULL;
        }
    }
    apr_pool_destroy(pool);
    return field;
}

static void to_out(page_t *page, apr_bucket *b)
{
    APR_BRIGADE_INSERT_TAIL(page->out, b);
    if (b->length != (apr_size_t)-1) {
        page->out_size += (apr_off_t)b->length;
    }
}

/* Pass on what was held up to `to`, bytes from the start of the page. */
static apr_status_t release(page_t *page, apr_off_t to)
{
    while (!APR_BRIGADE_EMPTY(page->held)) {
        apr_bucket *b = APR_BRIGADE_FIRST(page->held);
        apr_off_t len = (apr_off_t)b->length; /* was read: it is known */

        if (page->held_from + len > to) {
            apr_status_t rv;

            if (page->held_from >= to) {
                break;
            }
            len = to - page->held_from;
            rv = apr_bucket_split(b, (apr_size_t)len);
            if (rv != APR_SUCCESS) {
                return rv;
            }
        }
        APR_BUCKET_REMOVE(b);
        to_out(page, b);
        page->held_from += len;
    }
    return APR_SUCCESS;
}

static void add_text(page_t *page, const char *text)
{
    to_out(page, apr_bucket_immortal_create(text, strlen(text), page->r->connection->bucket_alloc));
}

static int has_script(const page_t *page, const fg_widget_t *widget)
{
    int i;

    for (i = 0; i < page->scripts->nelts; i++) {
        if (fg_widget_has_script(widget, APR_ARRAY_IDX(page->scripts, i, const char *))) {
            return 1;
        }
    }
    return 0;
}

static void on_widget(void *baton, apr_off_t at)
{
    page_t *page = baton;
    const fg_widget_t *widget = &page->target->widget;

    if (release(page, at) != APR_SUCCESS || page->held_from != at) {
        return; /* of buckets that are in memory: does not happen */
    }
    page->changed = 1;
    commit(page);
    if (!has_script(page, widget)) {
        APR_ARRAY_PUSH(page->scripts, const char *) = widget->script_url;
        add_text(page, widget->script);
    }
    add_text(page, widget->element);
}

static void on_base(void *baton, const char *href)
{
    page_t *page = baton;

    page->url.base = apr_pstrdup(page->r->pool, href);
}

static void on_csp(void *baton, const char *policy)
{
    page_t *page = baton;

    if (policy == NULL || (page->policies != NULL && strlen(page->policies) > PASS_SIZE)) {
        page->unknown_policy = 1;
        return;
    }
    page->policies = page->policies == NULL
                         ? apr_pstrdup(page->r->pool, policy)
                         : apr_pstrcat(page->r->pool, page->policies, ",", policy, NULL);
}

static void on_script(void *baton, const char *src)
{
    page_t *page = baton;

    if (page->scripts->nelts < SCRIPTS_MAX && strlen(src) < 256) {
        APR_ARRAY_PUSH(page->scripts, const char *) = apr_pstrdup(page->r->pool, src);
    }
}

/* --- the filter ------------------------------------------------------------------------------- */

static page_t *open_page(request_rec *r)
{
    static const fg_html_forms_ops_t tells = {on_form, on_widget, on_base, on_csp, on_script};
    page_t *page = apr_pcalloc(r->pool, sizeof(*page));
    const char *path = fg_path_encode(fg_facts_path_asked(r), r->pool);

    page->r = r;
    page->forms = fg_html_forms_create(&tells, page, r->pool);
    page->held = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    page->out = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    page->origin = apr_pstrcat(r->pool, ap_http_scheme(r), "://", host_header(r), NULL);
    page->url.path = path != NULL && *path == '/' ? path : "/";
    page->url.is_here = is_here;
    page->url.baton = page;
    page->targets = apr_array_make(r->pool, 2, sizeof(target_t *));
    page->scripts = apr_array_make(r->pool, 4, sizeof(const char *));
    return page;
}

static apr_status_t pass_out(ap_filter_t *f, page_t *page)
{
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(page->out)) {
        return APR_SUCCESS;
    }
    rv = ap_pass_brigade(f->next, page->out);
    apr_brigade_cleanup(page->out);
    page->out_size = 0;
    return rv;
}

/* Nothing more is to be seen: pass on what is left, unread. */
static apr_status_t finish(ap_filter_t *f, page_t *page, apr_bucket_brigade *bb)
{
    APR_BRIGADE_CONCAT(page->out, page->held);
    APR_BRIGADE_CONCAT(page->out, bb);
    ap_remove_output_filter(f);
    return pass_out(f, page);
}

/* Read the bucket, which stands first in `bb`, and take it over. */
static apr_status_t take(ap_filter_t *f, page_t *page, apr_bucket *b, apr_read_type_e *block)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv = apr_bucket_read(b, &data, &len, *block);

    if (APR_STATUS_IS_EAGAIN(rv) && *block == APR_NONBLOCK_READ) {
        /* A script that takes its time: what there is goes out before it is waited for. */
        *block = APR_BLOCK_READ;
        commit(page);
        APR_BRIGADE_INSERT_TAIL(page->out, apr_bucket_flush_create(f->c->bucket_alloc));
        return pass_out(f, page);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *block = APR_NONBLOCK_READ;
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(page->held, b);
    page->had_data |= len > 0;
    fg_html_forms_feed(page->forms, data, len);
    rv = release(page, fg_html_forms_safe(page->forms));
    if (rv == APR_SUCCESS && page->out_size >= PASS_SIZE) {
        commit(page);
        rv = pass_out(f, page);
    }
    return rv;
}

static apr_status_t set_aside(page_t *page)
{
    apr_bucket *b;
    apr_status_t rv;

    for (b = APR_BRIGADE_FIRST(page->held); b != APR_BRIGADE_SENTINEL(page->held);
         b = APR_BUCKET_NEXT(b)) {
        rv = apr_bucket_setaside(b, page->r->pool);
        if (rv != APR_SUCCESS && rv != APR_ENOTIMPL) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_page(ap_filter_t *f, page_t *page, apr_bucket_brigade *bb)
{
    apr_read_type_e block = APR_NONBLOCK_READ;
    apr_status_t rv = APR_SUCCESS;

    while (!APR_BRIGADE_EMPTY(bb) && rv == APR_SUCCESS) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        if (APR_BUCKET_IS_EOS(b)) {
            fg_html_forms_end(page->forms);
            if (!page->had_data && page->r->header_only) {
                commit(page); /* what its page would hold is not known */
            }
            return finish(f, page, bb);
        }
        if (AP_BUCKET_IS_ERROR(b) || fg_html_forms_stopped(page->forms)) {
            return finish(f, page, bb);
        }
        if (!APR_BUCKET_IS_METADATA(b)) {
            rv = take(f, page, b, &block);
            continue;
        }
        if (APR_BUCKET_IS_FLUSH(b)) {
            fg_html_forms_flush(page->forms);
            rv = release(page, fg_html_forms_safe(page->forms));
            commit(page);
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(page->out, b);
            rv = rv == APR_SUCCESS ? pass_out(f, page) : rv;
        }
        else {
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(page->held, b);
        }
    }
    return rv;
}

static apr_status_t inject_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    page_t *page = f->ctx;
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(bb)) {
        return APR_SUCCESS;
    }
    if (page == NULL) {
        if (!is_page(f->r)) {
            ap_remove_output_filter(f);
            return ap_pass_brigade(f->next, bb);
        }
        page = f->ctx = open_page(f->r);
    }
    rv = read_page(f, page, bb);
    if (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(page->out)) {
        commit(page);
        rv = pass_out(f, page);
    }
    if (rv == APR_SUCCESS) {
        rv = set_aside(page);
    }
    apr_brigade_cleanup(bb);
    return rv;
}

/* --- hooks ------------------------------------------------------------------------------------ */

/* Whether the answer may turn out to be a page, before there is one. What browsers ask for a page,
 * and nothing else, names text/html in Accept. */
static int may_be_page(const request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    if (is_type(r->content_type, "text/html")) {
        return 1;
    }
    if (r->content_type != NULL && r->handler == NULL &&
        strncmp(r->content_type, "application/x-httpd-", 20) != 0) {
        return 0;
    }
    return accept != NULL && ap_strcasestr(accept, "text/html") != NULL;
}

static void insert_filter(request_rec *r)
{
    const fg_policy_stack_t *stack = ap_get_module_config(r->per_dir_config, &formguard_module);

    if (r->main != NULL || r->proxyreq == PROXYREQ_PROXY || !fg_policy_injects(stack)) {
        return; /* what is included in a page passes by with it */
    }
    if (may_be_page(r)) {
        /* A browser that has the page without the widget must not be told that it still holds, and
         * no part of one page may be joined to a part of the other. */
        apr_table_unset(r->headers_in, "If-Modified-Since");
        apr_table_unset(r->headers_in, "If-None-Match");
        apr_table_unset(r->headers_in, "If-Range");
        apr_table_unset(r->headers_in, "Range");
    }
    ap_add_output_filter_handle(inject_handle, NULL, r, r->connection);
}

void fg_inject_register(void)
{
    /* Behind what makes the page (SSI), before what compresses it. */
    inject_handle =
        ap_register_output_filter(FILTER_NAME, inject_filter, NULL, AP_FTYPE_RESOURCE + 1);
    ap_hook_insert_filter(insert_filter, NULL, NULL, APR_HOOK_LAST);
}
