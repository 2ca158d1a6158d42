/* SPDX-License-Identifier: Apache-2.0 */
/* Forms of HTML pages: the input is the page. However it is cut the same is told, a widget's place
 * is never one that was passed on already, and a look from afar misses no form. */
#include "fuzz.h"
#include "html_forms.h"
#include "html_found.h"
#include "html_skip.h"

typedef struct page {
    fuzz_text_t told;
    fg_html_forms_t *forms;
    apr_off_t safe, last; /* what was passed on; the last widget */
    int forms_seen, stopped;
    apr_off_t len;
    fg_html_glance_t glance;
    int glanced; /* 1: a look from afar has found one */
    fg_html_found_t *found;
} page_t;

static void add_value(page_t *page, const char *what, const char *value)
{
    fuzz_add_text(&page->told, what);
    fuzz_add_text(&page->told, value ? value : "(none)");
    fuzz_add(&page->told, "\n", 1);
}

static const char *on_form(void *baton, const fg_html_form_t *form)
{
    page_t *page = baton;
    const char *field;

    page->forms_seen++;
    MUST(page->glanced);
    add_value(page, "form ", form->action);
    fuzz_add_number(&page->told, form->in_table);
    field = form->action && strchr(form->action, '!') ? NULL : "altcha";
    if (page->found) {
        fg_html_found_form(page->found, form, field);
    }
    return field;
}

static void on_widget(void *baton, apr_off_t at)
{
    page_t *page = baton;

    MUST(page->forms_seen > 0 && page->glanced);
    MUST(at >= page->safe && at >= page->last && at <= page->len);
    page->last = at;
    fuzz_add_text(&page->told, "widget ");
    fuzz_add_number(&page->told, (long long)at);
    if (page->found) {
        fg_html_found_widget(page->found, at);
    }
}

static void on_base(void *baton, const char *href)
{
    page_t *page = baton;

    add_value(page, "base ", href);
    if (page->found) {
        fg_html_found_base(page->found, href);
    }
}

static void on_csp(void *baton, const char *policy)
{
    page_t *page = baton;

    add_value(page, "csp ", policy);
    if (page->found) {
        fg_html_found_csp(page->found, policy);
    }
}

static void on_script(void *baton, const char *src)
{
    page_t *page = baton;

    add_value(page, "script ", src);
    if (page->found) {
        fg_html_found_script(page->found, src);
    }
}

static const fg_html_forms_ops_t ops = {on_form, on_widget, on_base, on_csp, on_script};

/* @param flush_at where what was read has to go out at once, or -1 */
static void read_page(page_t *page, const unsigned char *data, size_t len, uint32_t seed,
                      apr_off_t flush_at, apr_pool_t *parent)
{
    fuzz_cut_t cut = fuzz_cut(data, len, seed);
    apr_off_t at = 0;
    const char *piece;
    apr_pool_t *pool;

    apr_pool_create(&pool, parent);
    page->len = (apr_off_t)len;
    page->forms = fg_html_forms_create(&ops, page, pool);
    while ((piece = fuzz_piece(&cut, &len)) != NULL) {
        apr_off_t safe;

        page->glanced |= fg_html_glance(&page->glance, piece, len);
        fg_html_forms_feed(page->forms, piece, len);
        at += (apr_off_t)len;
        if (at == flush_at) {
            fg_html_forms_flush(page->forms);
        }
        safe = fg_html_forms_safe(page->forms);
        MUST(safe <= at || fg_html_forms_stopped(page->forms));
        MUST(at - safe <= FG_HTML_HOLD_MAX);
        page->safe = safe > page->safe ? (safe < at ? safe : at) : page->safe;
    }
    fg_html_forms_end(page->forms);
    page->stopped = fg_html_forms_stopped(page->forms);
    fuzz_add_number(&page->told, page->stopped);
    page->forms = NULL;
    apr_pool_destroy(pool);
}

/* What was noted of the page is told again as it was. */
static void tell_again(const page_t *page)
{
    page_t again = {.glanced = 1, .len = page->len};

    if (fg_html_found_whole(page->found)) {
        MUST(fg_html_found_forms(page->found) == (page->forms_seen > 0));
        MUST(fg_html_found_tell(page->found, &ops, &again) == 1);
        fuzz_add_number(&again.told, 0);
        MUST(fuzz_same(&again.told, &page->told));
    }
    free(again.told.text);
}

FUZZ_TARGET(html_forms)
{
    fg_html_found_t found;
    uint32_t hash = fuzz_hash(data, len);
    page_t whole = {.safe = 0};
    page_t flushed = {.safe = 0};
    uint32_t seed = 1;

    memset(&found, 0, sizeof(found));
    whole.found = &found;
    read_page(&whole, data, len, 0, -1, pool);
    if (!whole.stopped) {
        tell_again(&whole);
    }
    while (seed != 0) {
        page_t page = {.safe = 0};

        read_page(&page, data, len, seed, -1, pool);
        MUST(fuzz_same(&page.told, &whole.told));
        free(page.told.text);
        seed = seed == 1 ? hash | 2 : 0;
    }
    free(whole.told.text);
    read_page(&flushed, data, len, 1, len ? (apr_off_t)(hash % len) : -1, pool);
    free(flushed.told.text);
}
