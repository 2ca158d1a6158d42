/* SPDX-License-Identifier: Apache-2.0 */
#include "html_forms.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "html_entities.h"
#include "html_names.h"
#include "html_skip.h"
#include "html_tokens.h"

/* Open svg, math, and what in them holds HTML again. What is nested deeper is taken for the
 * innermost that fits. */
#define DEPTH_MAX 32

typedef enum foreign { FOREIGN, HTML_AGAIN } foreign_t;

struct fg_html_forms {
    const fg_html_forms_ops_t *ops;
    void *baton;
    fg_html_tokens_t *tokens;
    fg_html_kind_t kind; /* of the tag that is read */
    const char *last;    /* in what is read: where the last tag ends */
    apr_pool_t *pool;    /* for values of one tag, cleared */
    int stopped;
    int has_base;
    int escape; /* 1: the last byte was ESC */
    int dirty;  /* 1: `pool` holds something */
    unsigned int templates;
    unsigned int foreigns;
    unsigned char foreign[DEPTH_MAX]; /* foreign_t */
    fg_html_tables_t tables;
    /* the form that is open */
    int in_form;
    const char *field;   /* of the widget it wants; NULL: none, or it has one */
    apr_off_t candidate; /* where the last buttons start; -1: none */
    int submits;         /* 1: one of them is a submit button */
};

/* --- where browsers see no HTML --------------------------------------------------------------- */

static int is_foreign(const fg_html_forms_t *f)
{
    return f->foreigns > 0 && f->foreign[(f->foreigns - 1) % DEPTH_MAX] == FOREIGN;
}

static void push_foreign(fg_html_forms_t *f, foreign_t what)
{
    if (f->foreigns < DEPTH_MAX) {
        f->foreign[f->foreigns++] = (unsigned char)what;
    }
}

static void pop_foreign(fg_html_forms_t *f, foreign_t what)
{
    unsigned int i = f->foreigns;

    while (i > 0) {
        if (f->foreign[--i] == what) {
            f->foreigns = i;
            return;
        }
    }
}

static void track_foreign(fg_html_forms_t *f, const fg_html_tag_t *tag, fg_html_kind_t kind)
{
    if (kind == FG_HTML_SVG || kind == FG_HTML_MATH) {
        if (tag->end) {
            pop_foreign(f, FOREIGN);
        }
        else if (!tag->closed) {
            push_foreign(f, FOREIGN);
        }
    }
    else if (f->foreigns > 0 && fg_html_is_integration(tag->name)) {
        if (tag->end) {
            pop_foreign(f, HTML_AGAIN);
        }
        else if (is_foreign(f) && !tag->closed) {
            push_foreign(f, HTML_AGAIN);
        }
    }
    else if (is_foreign(f) && !tag->end && fg_html_is_breakout(tag->name)) {
        while (is_foreign(f)) {
            f->foreigns--;
        }
    }
    fg_html_tokens_cdata(f->tokens, is_foreign(f));
}

/* --- tables ----------------------------------------------------------------------------------- */

static int between_cells(const fg_html_forms_t *f)
{
    const fg_html_tables_t *tables = &f->tables;

    return tables->depth > 0 && tables->depth <= FG_HTML_TABLES_MAX &&
           !tables->cell[tables->depth - 1];
}

static void track_tables(fg_html_tables_t *tables, const fg_html_tag_t *tag, fg_html_kind_t kind)
{
    if (kind != FG_HTML_TABLE) {
        fg_html_tables_mark(tables, kind == FG_HTML_CELL && !tag->end);
    }
    else if (!tag->end) {
        tables->depth++;
        fg_html_tables_mark(tables, 0);
    }
    else if (tables->depth > 0) {
        tables->depth--;
    }
}

/* --- the page's head -------------------------------------------------------------------------- */

static const char *decoded(fg_html_forms_t *f, const char *value)
{
    f->dirty = 1;
    return fg_html_decode(value, f->pool);
}

int fg_html_charset_known(const char *name, apr_size_t len)
{
    /* https://encoding.spec.whatwg.org/#names-and-labels */
    static const char *const unknown[] = {"utf-16",    "utf-32",    "utf-7",     "iso-2022",
                                          "csiso2022", "ucs-2",     "iso-10646", "csunicode",
                                          "unicode",   "hz-gb-2312"};
    apr_size_t i;

    while (len > 0 && strchr(" \t\r\n\f\"'", *name) != NULL) {
        name++;
        len--;
    }
    for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        apr_size_t n = strlen(unknown[i]);

        if (len >= n && strncasecmp(name, unknown[i], n) == 0) {
            return 0;
        }
    }
    return 1;
}

static void check_charset(fg_html_forms_t *f, const char *value)
{
    f->stopped |= value != NULL && !fg_html_charset_known(value, strlen(value));
}

static void read_meta(fg_html_forms_t *f, const fg_html_tag_t *tag)
{
    const char *equiv = tag->value[FG_HTML_HTTP_EQUIV];
    const char *content = tag->value[FG_HTML_CONTENT];

    check_charset(f, tag->value[FG_HTML_CHARSET]);
    if (equiv == NULL) {
        return;
    }
    if (strcasecmp(equiv, "Content-Type") == 0 && content != NULL) {
        for (; *content != '\0'; content++) {
            if (strncasecmp(content, "charset=", 8) == 0) {
                check_charset(f, content + 8);
            }
        }
    }
    else if (strcasecmp(equiv, "Content-Security-Policy") == 0) {
        if (content != NULL) {
            f->ops->csp(f->baton, decoded(f, content));
        }
        else if ((tag->cut & FG_HTML_BIT(FG_HTML_CONTENT)) != 0) {
            f->ops->csp(f->baton, NULL);
        }
    }
}

static void read_head(fg_html_forms_t *f, const fg_html_tag_t *tag, fg_html_kind_t kind)
{
    if (tag->end) {
        return;
    }
    if (kind == FG_HTML_BASE && !f->has_base && tag->value[FG_HTML_HREF] != NULL) {
        f->has_base = 1;
        f->ops->base(f->baton, decoded(f, tag->value[FG_HTML_HREF]));
    }
    else if (kind == FG_HTML_META) {
        read_meta(f, tag);
    }
    else if (kind == FG_HTML_SCRIPT_TAG && tag->value[FG_HTML_SRC] != NULL) {
        f->ops->script(f->baton, decoded(f, tag->value[FG_HTML_SRC]));
    }
}

/* --- forms ------------------------------------------------------------------------------------ */

static void put_widget(fg_html_forms_t *f, apr_off_t at)
{
    f->field = NULL;
    f->candidate = -1;
    f->ops->widget(f->baton, at);
}

/* The form ends at `at`, or so much of it has gone by that its place is now. */
static void settle(fg_html_forms_t *f, int ends, apr_off_t at)
{
    if (f->field != NULL && f->candidate >= 0 && f->submits) {
        put_widget(f, f->candidate);
    }
    else if (f->field != NULL && ends) {
        put_widget(f, at);
    }
    f->candidate = -1;
    f->submits = 0;
}

static void close_form(fg_html_forms_t *f, apr_off_t from, apr_off_t to)
{
    settle(f, to - from <= FG_HTML_HOLD_MAX, from);
    f->in_form = 0;
    f->field = NULL;
}

/* A form in a form is none to browsers. */
static void open_form(fg_html_forms_t *f, const fg_html_tag_t *tag)
{
    const char *method = tag->value[FG_HTML_METHOD];
    fg_html_form_t form;

    if (f->in_form) {
        return;
    }
    f->in_form = 1;
    f->field = NULL;
    f->candidate = -1;
    f->submits = 0;
    if (method == NULL || strcasecmp(method, "post") != 0 ||
        (tag->cut & FG_HTML_BIT(FG_HTML_ACTION)) != 0) {
        return;
    }
    form.in_table = between_cells(f);
    form.action =
        tag->value[FG_HTML_ACTION] != NULL ? decoded(f, tag->value[FG_HTML_ACTION]) : NULL;
    f->field = f->ops->form(f->baton, &form);
}

static int has_class(const char *classes, const char *name)
{
    apr_size_t len = strlen(name);

    while (classes != NULL && *classes != '\0') {
        apr_size_t n;

        classes += strspn(classes, " \t\r\n\f");
        n = strcspn(classes, " \t\r\n\f");
        if (n == len && memcmp(classes, name, n) == 0) {
            return 1;
        }
        classes += n;
    }
    return 0;
}

/* A captcha that somebody has put there already; or its field, which a script fills. */
static int is_widget(fg_html_forms_t *f, const fg_html_tag_t *tag, fg_html_kind_t kind)
{
    static const char *const classes[] = {"g-recaptcha", "h-captcha", "cf-turnstile",
                                          "frc-captcha"};
    const char *name = tag->value[FG_HTML_NAME];
    apr_size_t i;

    for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (has_class(tag->value[FG_HTML_CLASS], classes[i])) {
            return 1;
        }
    }
    return kind == FG_HTML_WIDGET || (name != NULL && strcmp(decoded(f, name), f->field) == 0);
}

static int type_is(const fg_html_tag_t *tag, const char *type)
{
    return tag->value[FG_HTML_TYPE] != NULL && strcasecmp(tag->value[FG_HTML_TYPE], type) == 0;
}

typedef enum control { NO_CONTROL, CONTROL, PUSH_BUTTON, SUBMIT_BUTTON } control_t;

static control_t control_of(const fg_html_tag_t *tag, fg_html_kind_t kind)
{
    switch (kind) {
    case FG_HTML_BUTTON:
        return type_is(tag, "button") || type_is(tag, "reset") ? PUSH_BUTTON : SUBMIT_BUTTON;
    case FG_HTML_INPUT:
        return type_is(tag, "hidden")                            ? NO_CONTROL
               : type_is(tag, "submit") || type_is(tag, "image") ? SUBMIT_BUTTON
               : type_is(tag, "button") || type_is(tag, "reset") ? PUSH_BUTTON
                                                                 : CONTROL;
    case FG_HTML_TEXTAREA:
    case FG_HTML_SELECT:
        return CONTROL;
    default:
        return NO_CONTROL;
    }
}

/* In a form that wants a widget. */
static void read_control(fg_html_forms_t *f, const fg_html_tag_t *tag, fg_html_kind_t kind)
{
    control_t control;

    if (f->candidate >= 0 && tag->to - f->candidate > FG_HTML_HOLD_MAX) {
        settle(f, 0, 0);
    }
    if (f->field == NULL || tag->end) {
        return;
    }
    if (is_widget(f, tag, kind)) {
        f->field = NULL;
        f->candidate = -1;
        return;
    }
    control = control_of(tag, kind);
    if (control == CONTROL) {
        f->candidate = -1; /* these buttons were not the last ones */
        f->submits = 0;
    }
    else if (control != NO_CONTROL) {
        if (f->candidate < 0 && tag->to - tag->from <= FG_HTML_HOLD_MAX) {
            f->candidate = tag->from;
        }
        f->submits |= control == SUBMIT_BUTTON;
    }
}

/* --- what the tokenizer tells ----------------------------------------------------------------- */

static const char *skip(void *baton, const char *p, const char *end)
{
    fg_html_forms_t *f = baton;

    if (f->foreigns > 0 || f->templates > 0) {
        p = memchr(p, '<', (apr_size_t)(end - p));
        return p != NULL ? p : end;
    }
    return fg_html_skip(p, end, f->last, &f->tables, f->field != NULL);
}

static unsigned int named(void *baton, const fg_html_tag_t *tag)
{
    fg_html_forms_t *f = baton;
    unsigned int mask = 0;

    f->kind = fg_html_kind(tag->name);
    if (tag->end || f->stopped) {
        return 0;
    }
    if (f->field != NULL) {
        mask = FG_HTML_BIT(FG_HTML_CLASS);
    }
    switch (f->kind) {
    case FG_HTML_FORM:
        return FG_HTML_BIT(FG_HTML_ACTION) | FG_HTML_BIT(FG_HTML_METHOD);
    case FG_HTML_BASE:
        return FG_HTML_BIT(FG_HTML_HREF);
    case FG_HTML_META:
        return FG_HTML_BIT(FG_HTML_HTTP_EQUIV) | FG_HTML_BIT(FG_HTML_CONTENT) |
               FG_HTML_BIT(FG_HTML_CHARSET);
    case FG_HTML_SCRIPT_TAG:
        return FG_HTML_BIT(FG_HTML_SRC);
    case FG_HTML_INPUT:
    case FG_HTML_BUTTON:
    case FG_HTML_TEXTAREA:
    case FG_HTML_SELECT:
        return mask == 0 ? 0 : mask | FG_HTML_BIT(FG_HTML_TYPE) | FG_HTML_BIT(FG_HTML_NAME);
    default:
        return mask;
    }
}

/* Of HTML; not in templates, which are no part of the page before a script makes them one. */
static void html_tag(fg_html_forms_t *f, const fg_html_tag_t *tag, fg_html_kind_t kind)
{
    switch (kind) {
    case FG_HTML_FORM:
        if (!tag->end) {
            open_form(f, tag);
        }
        else if (f->in_form) {
            close_form(f, tag->from, tag->to);
        }
        return;
    case FG_HTML_BODY:
    case FG_HTML_HTML:
        if (tag->end && f->in_form) {
            close_form(f, tag->from, tag->to); /* nobody has closed it */
        }
        return;
    case FG_HTML_TABLE:
    case FG_HTML_CELL:
    case FG_HTML_ROW:
        track_tables(&f->tables, tag, kind);
        break;
    case FG_HTML_BASE:
    case FG_HTML_META:
    case FG_HTML_SCRIPT_TAG:
        read_head(f, tag, kind);
        break;
    default:
        break;
    }
    if (f->field != NULL) {
        read_control(f, tag, kind);
    }
}

static fg_html_content_t on_tag(void *baton, const fg_html_tag_t *tag)
{
    fg_html_forms_t *f = baton;
    fg_html_kind_t kind = f->kind;

    if (f->stopped) {
        return FG_HTML_MARKUP;
    }
    if (f->foreigns > 0 || kind == FG_HTML_SVG || kind == FG_HTML_MATH) {
        int was = is_foreign(f);

        track_foreign(f, tag, kind);
        if (is_foreign(f) || (was && fg_html_is_integration(tag->name))) {
            return FG_HTML_MARKUP; /* svg's title and script are elements like others */
        }
    }
    if (kind == FG_HTML_TEMPLATE) {
        f->templates += !tag->end;
        f->templates -= tag->end && f->templates > 0;
    }
    else if (f->templates == 0 && f->foreigns == 0) {
        html_tag(f, tag, kind);
    }
    if (f->dirty) {
        apr_pool_clear(f->pool);
        f->dirty = 0;
    }
    return tag->end ? FG_HTML_MARKUP : fg_html_content(tag->name);
}

/* --- reading ---------------------------------------------------------------------------------- */

fg_html_forms_t *fg_html_forms_create(const fg_html_forms_ops_t *ops, void *baton, apr_pool_t *pool)
{
    static const fg_html_ops_t tells = {skip, named, on_tag};
    fg_html_forms_t *f = apr_pcalloc(pool, sizeof(*f));

    f->ops = ops;
    f->baton = baton;
    f->candidate = -1;
    f->tokens = fg_html_tokens_create(&tells, f, pool);
    apr_pool_create(&f->pool, pool);
    apr_pool_tag(f->pool, "formguard_html");
    return f;
}

static void stop(fg_html_forms_t *f)
{
    f->stopped = 1;
    f->field = NULL;
    f->candidate = -1;
}

/* What gives away an encoding in which `<` may be no `<`: the first byte of a byte order mark of
 * UTF-16, the escape sequences of ISO-2022. @return how much may be read before it */
static apr_size_t readable(fg_html_forms_t *f, const char *data, apr_size_t len)
{
    const char *end = data + len;
    const char *p = data;

    if (fg_html_tokens_at(f->tokens) == 0 &&
        ((unsigned char)*data == 0xFE || (unsigned char)*data == 0xFF)) {
        stop(f);
        return 0;
    }
    if (f->escape && (*p == '$' || *p == '(')) {
        stop(f);
        return 0;
    }
    f->escape = 0;
    while ((p = memchr(p, 0x1B, (apr_size_t)(end - p))) != NULL) {
        if (++p == end) {
            f->escape = 1;
            break;
        }
        if (*p == '$' || *p == '(') {
            return (apr_size_t)(p - data);
        }
    }
    return len;
}

void fg_html_forms_feed(fg_html_forms_t *f, const char *data, apr_size_t len)
{
    apr_size_t most;

    if (len == 0 || f->stopped) {
        return;
    }
    most = readable(f, data, len);
    f->last = fg_html_last_end(data, data + most);
    fg_html_tokens_feed(f->tokens, data, most);
    if (f->candidate >= 0 && fg_html_tokens_at(f->tokens) - f->candidate > FG_HTML_HOLD_MAX) {
        settle(f, 0, 0);
    }
    if (most < len) {
        stop(f);
    }
}

void fg_html_forms_flush(fg_html_forms_t *f)
{
    if (!f->stopped) {
        settle(f, 0, 0);
    }
}

void fg_html_forms_end(fg_html_forms_t *f)
{
    apr_off_t at;

    if (!f->stopped && f->in_form) {
        apr_off_t open = fg_html_tokens_open(f->tokens);

        at = fg_html_tokens_at(f->tokens);
        /* Browsers make nothing of a tag that does not end. */
        close_form(f, open >= 0 ? open : at, at);
    }
}

apr_off_t fg_html_forms_safe(const fg_html_forms_t *f)
{
    apr_off_t at = fg_html_tokens_at(f->tokens);
    apr_off_t open = fg_html_tokens_open(f->tokens);

    if (f->stopped) {
        return APR_INT64_MAX;
    }
    if (f->field == NULL) {
        return at;
    }
    if (f->candidate >= 0) {
        return f->candidate;
    }
    return open >= 0 && at - open <= FG_HTML_HOLD_MAX ? open : at;
}

int fg_html_forms_stopped(const fg_html_forms_t *f)
{
    return f->stopped;
}

int fg_html_forms_idle(const fg_html_forms_t *f)
{
    return f->field == NULL;
}
