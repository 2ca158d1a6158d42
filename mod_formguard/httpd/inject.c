/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FormGuardInject: an output filter that adds the captcha's widget to the forms of a page that are
 * sent to where it is asked for.
 *
 * The page streams through; of it is held back what core/html_forms.h says. What is read of a file
 * is mapped or a few kilobytes, and passed on before more is read. A piece without a form is passed
 * on first and read only if a form follows. Of a file that was read before it is known what there
 * is to be found, and it goes out as it came, cut where widgets belong.
 */
#include <string.h>

#include "apr_hooks.h"
#include "apr_optional_hooks.h"
#include "apr_strings.h"

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_proxy.h"

#include "core/html_skip.h"
#include "inject.h"
#include "module.h"

APLOG_USE_MODULE(formguard);

/* Scripts of the page remembered, so that no widget's is added twice. */
#define SCRIPTS_MAX 64

/* Bytes that were passed on and may have to be read yet; of a file in one piece all. */
#define UNREAD_MAX 65536

/* Bytes passed on at a time; of a shorter page all is seen before its headers are sent. */
#define PASS_SIZE 65536

/* Where a widget belongs. */
typedef struct place {
    apr_off_t at;
    const fg_target_t *target;
    int in_table;
} place_t;

typedef struct page {
    request_rec *r;
    fg_html_glance_t glance;
    fg_html_forms_t *forms; /* NULL: nothing was read yet */
    fg_targets_t *targets;
    apr_bucket_brigade *unread; /* passed on, and read when a form comes */
    apr_size_t unread_size;
    apr_bucket_brigade *held; /* read, and not to be passed on yet */
    apr_off_t held_from;      /* bytes from the start of the page */
    apr_bucket_brigade *out;
    apr_off_t out_size;
    int had_data;
    int changed;                 /* 1: a widget was added */
    int committed;               /* 1: the headers fit a page that is changed */
    const fg_target_t *target;   /* of the form that is open */
    int in_table;                /* 1: that starts between a table and its cells */
    apr_array_header_t *scripts; /* const char * */
    fg_page_file_t *file;        /* NULL: it is none */
    fg_html_found_t *notes;      /* of the file; NULL: none are made */
    apr_array_header_t *places;  /* place_t; in a file that is known */
} page_t;

/* What the filter starts with. */
typedef struct opened {
    fg_page_file_t *file; /* that is asked for, if it is known */
    page_t *page;         /* NULL: nothing has come yet */
} opened_t;

static ap_filter_rec_t *inject_handle;

/* Its length, its validators and parts of it no longer fit a page that is changed. */
static void commit(page_t *page)
{
    if (!page->committed) {
        fg_inject_unset_headers(page->r);
        page->committed = 1;
    }
}

/* --- what the reader of the page tells -------------------------------------------------------- */

static const char *on_form(void *baton, const fg_html_form_t *form)
{
    page_t *page = baton;
    const char *field;

    page->target = fg_targets_of(page->targets, form);
    page->in_table = form->in_table;
    field = page->target != NULL ? page->target->field : NULL;
    if (page->notes != NULL) {
        fg_html_found_form(page->notes, form, field);
    }
    return field;
}

static void on_base(void *baton, const char *href)
{
    page_t *page = baton;

    if (page->notes != NULL) {
        fg_html_found_base(page->notes, href);
    }
    fg_targets_base(page->targets, href);
}

static void on_csp(void *baton, const char *policy)
{
    page_t *page = baton;

    if (page->notes != NULL) {
        fg_html_found_csp(page->notes, policy);
    }
    fg_targets_csp(page->targets, policy);
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

/* Once a page. */
static void add_script(page_t *page, const char *url, const char *script)
{
    int i;

    for (i = 0; i < page->scripts->nelts; i++) {
        if (fg_widget_same_script(url, APR_ARRAY_IDX(page->scripts, i, const char *))) {
            return;
        }
    }
    APR_ARRAY_PUSH(page->scripts, const char *) = url;
    add_text(page, script);
}

static void put_widget(page_t *page, apr_off_t at, const fg_widget_t *widget, int in_table)
{
    if (release(page, at) != APR_SUCCESS || page->held_from != at) {
        return; /* of buckets of a known length: does not happen */
    }
    page->changed = 1;
    commit(page);
    add_script(page, widget->script_url, widget->script);
    if (widget->help == FG_HELP_ALWAYS || (widget->help == FG_HELP_IN_TABLE && in_table)) {
        add_script(page, fg_widget_helper_url, fg_widget_helper);
    }
    add_text(page, in_table ? widget->table_element : widget->element);
}

static void on_widget(void *baton, apr_off_t at)
{
    page_t *page = baton;

    if (page->notes != NULL) {
        fg_html_found_widget(page->notes, at);
    }
    put_widget(page, at, &page->target->widget, page->in_table);
}

static void on_script(void *baton, const char *src)
{
    page_t *page = baton;

    if (page->scripts->nelts < SCRIPTS_MAX && fg_widget_is_script(src)) {
        APR_ARRAY_PUSH(page->scripts, const char *) = apr_pstrdup(page->r->pool, src);
        if (page->notes != NULL) {
            fg_html_found_script(page->notes, src);
        }
    }
}

/* --- the filter ------------------------------------------------------------------------------- */

static page_t *open_page(request_rec *r)
{
    page_t *page = apr_pcalloc(r->pool, sizeof(*page));

    page->r = r;
    page->unread = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    page->held = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    page->out = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    return page;
}

static void look_for_targets(page_t *page)
{
    page->targets = fg_targets_create(page->r);
    page->scripts = apr_array_make(page->r->pool, 4, sizeof(const char *));
}

/* There is a form, or more than can wait: read what was put off, and these bytes. */
static apr_status_t read_on(page_t *page, const char *data, apr_size_t len)
{
    static const fg_html_forms_ops_t tells = {on_form, on_widget, on_base, on_csp, on_script};
    request_rec *r = page->r;
    apr_bucket *b;

    if (page->forms == NULL) {
        page->forms = fg_html_forms_create(&tells, page, r->pool);
        look_for_targets(page);
    }
    for (b = APR_BRIGADE_FIRST(page->unread); b != APR_BRIGADE_SENTINEL(page->unread);
         b = APR_BUCKET_NEXT(b)) {
        const char *before;
        apr_size_t n;
        apr_status_t rv = apr_bucket_read(b, &before, &n, APR_BLOCK_READ);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        fg_html_forms_feed(page->forms, before, n);
    }
    apr_brigade_cleanup(page->unread);
    page->unread_size = 0;
    fg_html_forms_feed(page->forms, data, len);
    return release(page, fg_html_forms_safe(page->forms));
}

/* Without a form in it, the last bucket of those held goes out, and may never have to be read.
 * @return APR_ENOTIMPL: it has to be now */
static apr_status_t put_off(page_t *page, apr_size_t len)
{
    apr_bucket *b = APR_BRIGADE_LAST(page->held);
    apr_bucket *copy;
    apr_status_t rv;

    if (page->unread_size + len > UNREAD_MAX &&
        !(page->unread_size == 0 && APR_BUCKET_IS_MMAP(b))) {
        return APR_ENOTIMPL;
    }
    rv = apr_bucket_setaside(b, page->r->pool);
    if (rv == APR_SUCCESS || rv == APR_ENOTIMPL) {
        rv = apr_bucket_copy(b, &copy);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    APR_BRIGADE_INSERT_TAIL(page->unread, copy);
    page->unread_size += len;
    return release(page, page->held_from + (apr_off_t)len);
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

static int is_idle(const page_t *page)
{
    return page->forms == NULL || fg_html_forms_idle(page->forms);
}

/* Up to where it may be passed on of what is held. */
static apr_off_t safe_to(const page_t *page)
{
    return is_idle(page) ? page->held_from : fg_html_forms_safe(page->forms);
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
    rv = APR_ENOTIMPL;
    if (!fg_html_glance(&page->glance, data, len) && is_idle(page)) {
        rv = put_off(page, len);
    }
    return rv == APR_ENOTIMPL ? read_on(page, data, len) : rv;
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

static void remember(const page_t *page)
{
    if (page->notes != NULL) {
        fg_page_file_keep(page->file, page->r->request_time);
    }
}

static int is_end(const apr_bucket_brigade *bb)
{
    return !APR_BRIGADE_EMPTY(bb) && APR_BUCKET_IS_EOS(APR_BRIGADE_FIRST(bb));
}

static apr_status_t read_page(ap_filter_t *f, page_t *page, apr_bucket_brigade *bb)
{
    apr_read_type_e block = APR_NONBLOCK_READ;
    apr_status_t rv = APR_SUCCESS;

    while (!APR_BRIGADE_EMPTY(bb) && rv == APR_SUCCESS) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        if (APR_BUCKET_IS_EOS(b)) {
            if (!is_idle(page)) {
                fg_html_forms_end(page->forms);
            }
            if (!page->had_data && page->r->header_only) {
                commit(page); /* what its page would hold is not known */
            }
            remember(page);
            return finish(f, page, bb);
        }
        if (AP_BUCKET_IS_ERROR(b)) {
            return finish(f, page, bb);
        }
        if (page->forms != NULL && fg_html_forms_stopped(page->forms)) {
            remember(page);
            return finish(f, page, bb);
        }
        if (!APR_BUCKET_IS_METADATA(b)) {
            rv = take(f, page, b, &block);
            if (rv == APR_SUCCESS && page->out_size >= PASS_SIZE && !is_end(bb)) {
                commit(page);
                rv = pass_out(f, page);
            }
            continue;
        }
        if (APR_BUCKET_IS_FLUSH(b)) {
            if (!is_idle(page)) {
                fg_html_forms_flush(page->forms);
            }
            rv = release(page, safe_to(page));
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

/* --- files ------------------------------------------------------------------------------------ */

static void on_place(void *baton, apr_off_t at)
{
    page_t *page = baton;
    place_t *place = apr_array_push(page->places);

    place->at = at;
    place->target = page->target;
    place->in_table = page->in_table;
}

/* Of a file that was read before. @return 0: it has to be read again */
static int find_places(page_t *page)
{
    static const fg_html_forms_ops_t tells = {on_form, on_place, on_base, on_csp, on_script};

    page->places = apr_array_make(page->r->pool, 2, sizeof(place_t));
    if (page->file->found.used == 0) {
        return 1;
    }
    look_for_targets(page);
    return fg_html_found_tell(&page->file->found, &tells, page);
}

/* The file, which stands first in `bb`, with its widgets. */
static apr_status_t pass_file(ap_filter_t *f, page_t *page, apr_bucket_brigade *bb)
{
    apr_bucket *b = APR_BRIGADE_FIRST(bb);
    int i;

    if (page->places->nelts > 0) {
        const char *data;
        apr_size_t len;
        apr_status_t rv = APR_SUCCESS;

        /* Mapped once, and not for each piece; without reading it. */
        if (((apr_bucket_file *)b->data)->can_mmap) {
            rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
        for (b = APR_BRIGADE_FIRST(bb); !APR_BUCKET_IS_EOS(b); b = APR_BRIGADE_FIRST(bb)) {
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(page->held, b);
        }
    }
    for (i = 0; i < page->places->nelts; i++) {
        const place_t *place = &APR_ARRAY_IDX(page->places, i, place_t);

        put_widget(page, place->at, &place->target->widget, place->in_table);
    }
    return finish(f, page, bb);
}

static page_t *first_look(request_rec *r, apr_bucket_brigade *bb, fg_page_file_t *asked)
{
    page_t *page = open_page(r);
    int known = asked != NULL && fg_page_file_comes(asked, bb);

    page->file = known ? asked : fg_page_file_of(bb, r->pool, &known);
    if (page->file == NULL || (known && find_places(page))) {
        return page;
    }
    page->places = NULL;
    if (page->file == asked) {
        page->file = fg_page_file_of(bb, r->pool, &known);
    }
    if (page->file != NULL) {
        page->notes = &page->file->found;
        page->notes->used = 0;
    }
    return page;
}

static apr_status_t inject_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    opened_t *opened = f->ctx;
    page_t *page = opened->page;
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(bb)) {
        return APR_SUCCESS;
    }
    if (page == NULL) {
        if (!fg_inject_is_page(f->r)) {
            ap_remove_output_filter(f);
            return ap_pass_brigade(f->next, bb);
        }
        page = opened->page = first_look(f->r, bb, opened->file);
        if (page->places != NULL) {
            return pass_file(f, page, bb);
        }
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

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)s;
    fg_page_file_child_init(pchild);
    fg_targets_child_init(pchild);
}

FG_APART static void add_filter(request_rec *r)
{
    fg_page_file_t *file = fg_page_file_asked(r);
    opened_t *opened;

    if (file != NULL && !fg_html_found_forms(&file->found)) {
        return; /* there is no form to which something might ever be added */
    }
    if (fg_inject_may_be_page(r)) {
        /* A browser that has the page without the widget must not be told that it still holds, and
         * no part of one page may be joined to a part of the other. */
        apr_table_unset(r->headers_in, "If-Modified-Since");
        apr_table_unset(r->headers_in, "If-None-Match");
        apr_table_unset(r->headers_in, "If-Range");
        apr_table_unset(r->headers_in, "Range");
    }
    opened = apr_pcalloc(r->pool, sizeof(*opened));
    opened->file = file;
    ap_add_output_filter_handle(inject_handle, opened, r, r->connection);
}

static void insert_filter(request_rec *r)
{
    const fg_policy_stack_t *stack = ap_get_module_config(r->per_dir_config, &formguard_module);

    /* What is included in a page passes by with it. */
    if (r->main == NULL && r->proxyreq != PROXYREQ_PROXY && fg_policy_injects(stack)) {
        add_filter(r);
    }
}

void fg_inject_register(void)
{
    /* Behind what makes the page (SSI), before what compresses it. */
    inject_handle =
        ap_register_output_filter(FG_INJECT_FILTER, inject_filter, NULL, AP_FTYPE_RESOURCE + 1);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(insert_filter, NULL, NULL, APR_HOOK_LAST);
    APR_OPTIONAL_HOOK(proxy, fixups, fg_inject_ask_uncompressed, NULL, NULL, APR_HOOK_MIDDLE);
}
