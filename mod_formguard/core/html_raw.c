/* SPDX-License-Identifier: Apache-2.0 */
/* Text in which no tag is one but the end tag of what it stands in, and the oddities of script. */
#include <string.h>

#include "html_tokens_internal.h"

static int raw_text(fg_html_tokens_t *t, char c, apr_off_t at)
{
    if (c == '<') {
        t->state = RAW_LESS;
        t->tag.from = at;
        t->dashes = 0;
    }
    else if (t->escaped != 0) {
        if (c == '>' && t->dashes == 2) {
            t->escaped = 0;
        }
        t->dashes = c != '-' ? 0 : t->dashes < 2 ? t->dashes + 1 : 2;
    }
    return 1;
}

/* The name behind `</`, or behind `<` in an escaped script. */
static int raw_name(fg_html_tokens_t *t, char c)
{
    int is_end = t->state == RAW_END_NAME;

    if (is_alpha(c)) {
        if (t->name_len < FG_HTML_NAME_MAX) {
            t->tag.name[t->name_len] = lower(c);
        }
        t->name_len += t->name_len <= FG_HTML_NAME_MAX;
        return 1;
    }
    t->state = RAW_TEXT;
    if (!IS(c, NAMED) || t->name_len > FG_HTML_NAME_MAX) {
        return 0;
    }
    t->tag.name[t->name_len] = '\0';
    if (t->escaped == 2 || !is_end) { /* in an escaped script: a script in it ends or starts */
        if (strcmp(t->tag.name, "script") == 0) {
            t->escaped = is_end ? 1 : 2;
        }
        return 1;
    }
    if (strcmp(t->tag.name, t->opened) == 0) {
        t->tag.end = 1;
        t->tag.closed = 0;
        fg_html_end_name(t);
        t->state = BEFORE_ATTR;
    }
    return 0;
}

int fg_html_raw(fg_html_tokens_t *t, char c, apr_off_t at)
{
    switch (t->state) {
    case RAW_TEXT:
        return raw_text(t, c, at);
    case RAW_LESS:
        t->name_len = 0;
        if (c == '/') {
            t->state = RAW_END_NAME;
            return 1;
        }
        if (t->script && t->escaped == 0 && c == '!') {
            t->state = RAW_BANG;
            return 1;
        }
        t->state = t->escaped == 1 && is_alpha(c) ? RAW_START_NAME : RAW_TEXT;
        return 0;
    case RAW_BANG:
        t->state = c == '-' ? RAW_BANG_DASH : RAW_TEXT;
        return c == '-';
    case RAW_BANG_DASH:
        t->state = RAW_TEXT;
        if (c == '-') {
            t->escaped = 1;
            t->dashes = 2;
        }
        return c == '-';
    default:
        return raw_name(t, c);
    }
}
