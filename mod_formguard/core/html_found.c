/* SPDX-License-Identifier: Apache-2.0 */
/* One after the other: a byte that says what it is, and what belongs to it; strings end with 0. */
#include "html_found.h"

#include <string.h>

typedef enum kind { BASE = 1, CSP, CSP_CUT, SCRIPT, FORM, WIDGET } kind_t;

/* Of a form, added up. */
#define HAS_ACTION 1
#define HAS_FIELD  2
#define IN_TABLE   4

static void put(fg_html_found_t *found, const void *bytes, apr_size_t len)
{
    if (found->used > sizeof(found->bytes) || len > sizeof(found->bytes) - found->used) {
        found->used = sizeof(found->bytes) + 1;
        return;
    }
    memcpy(found->bytes + found->used, bytes, len);
    found->used += (unsigned int)len;
}

static void put_text(fg_html_found_t *found, kind_t kind, const char *text)
{
    char byte = (char)kind;

    put(found, &byte, 1);
    put(found, text, strlen(text) + 1);
}

void fg_html_found_base(fg_html_found_t *found, const char *href)
{
    put_text(found, BASE, href);
}

void fg_html_found_csp(fg_html_found_t *found, const char *policy)
{
    put_text(found, policy != NULL ? CSP : CSP_CUT, policy != NULL ? policy : "");
}

void fg_html_found_script(fg_html_found_t *found, const char *src)
{
    put_text(found, SCRIPT, src);
}

void fg_html_found_form(fg_html_found_t *found, const fg_html_form_t *form, const char *field)
{
    char flags = (char)((form->action != NULL ? HAS_ACTION : 0) | (field != NULL ? HAS_FIELD : 0) |
                        (form->in_table ? IN_TABLE : 0));

    put_text(found, FORM, form->action != NULL ? form->action : "");
    put(found, field != NULL ? field : "", field != NULL ? strlen(field) + 1 : 1);
    put(found, &flags, 1);
}

void fg_html_found_widget(fg_html_found_t *found, apr_off_t at)
{
    char byte = WIDGET;

    put(found, &byte, 1);
    put(found, &at, sizeof(at));
}

int fg_html_found_whole(const fg_html_found_t *found)
{
    return found->used <= sizeof(found->bytes);
}

/* --- again ------------------------------------------------------------------------------------ */

typedef struct event {
    kind_t kind;
    const char *text;
    const char *field;
    fg_html_form_t form;
    apr_off_t at;
} event_t;

/* The one at `p`. @return behind it */
static const char *read_event(const char *p, event_t *event)
{
    event->kind = (kind_t)*p++;
    if (event->kind == WIDGET) {
        memcpy(&event->at, p, sizeof(event->at));
        return p + sizeof(event->at);
    }
    event->text = p;
    p += strlen(p) + 1;
    if (event->kind == FORM) {
        const char *field = p;
        char flags;

        p += strlen(p) + 1;
        flags = *p++;
        event->form.action = (flags & HAS_ACTION) != 0 ? event->text : NULL;
        event->form.in_table = (flags & IN_TABLE) != 0;
        event->field = (flags & HAS_FIELD) != 0 ? field : NULL;
    }
    return p;
}

int fg_html_found_forms(const fg_html_found_t *found)
{
    const char *p = found->bytes;
    event_t event;

    while (p < found->bytes + found->used) {
        p = read_event(p, &event);
        if (event.kind == FORM) {
            return 1;
        }
    }
    return 0;
}

static int same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

int fg_html_found_tell(const fg_html_found_t *found, const fg_html_forms_ops_t *ops, void *baton)
{
    const char *p = found->bytes;
    event_t event;

    while (p < found->bytes + found->used) {
        p = read_event(p, &event);
        switch (event.kind) {
        case BASE:
            ops->base(baton, event.text);
            break;
        case CSP:
        case CSP_CUT:
            ops->csp(baton, event.kind == CSP ? event.text : NULL);
            break;
        case SCRIPT:
            ops->script(baton, event.text);
            break;
        case FORM:
            if (!same(event.field, ops->form(baton, &event.form))) {
                return 0;
            }
            break;
        case WIDGET:
            ops->widget(baton, event.at);
            break;
        }
    }
    return 1;
}
