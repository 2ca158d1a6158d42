/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file html_skip.h
 * @brief Gets past what means nothing to whoever looks for forms, faster than reading it: text, and
 *        tags of other elements that are written as usual. Only shortens the work of html_tokens.h:
 *        what it does not get past is read there, and either way the same is found.
 */
#ifndef FG_HTML_SKIP_H
#define FG_HTML_SKIP_H

#include <apr.h>

/** Nested tables that are told apart. */
#define FG_HTML_TABLES_MAX 32

/** The open tables. */
typedef struct fg_html_tables {
    unsigned int depth;                     /**< may be more than there is room for */
    unsigned char cell[FG_HTML_TABLES_MAX]; /**< 1: in a cell of that table */
} fg_html_tables_t;

/** A tag of a cell (`cell` 1: its start tag) or of what holds cells goes by. */
static inline void fg_html_tables_mark(fg_html_tables_t *tables, int cell)
{
    if (tables->depth > 0 && tables->depth <= FG_HTML_TABLES_MAX) {
        tables->cell[tables->depth - 1] = (unsigned char)cell;
    }
}

/** Where the last tag of these bytes ends: behind the last `>`; `p` if there is none. */
const char *fg_html_last_end(const char *p, const char *end);

/**
 * From between two tags in HTML (not in svg, math, or a template) to the next one that has to be
 * read, or of which `end` cuts off a part.
 * @param last    fg_html_last_end() of bytes that end here
 * @param tables  kept up to date
 * @param in_form 1: in a form that wants a widget, where controls and every class mean something
 * @return its `<`, or `end`
 */
const char *fg_html_skip(const char *p, const char *end, const char *last, fg_html_tables_t *tables,
                         int in_form);

/** Looks for `<form`, in letters of any case, in a page that comes in pieces. Zeroed at first. */
typedef struct fg_html_glance {
    char last[4]; /**< bytes before the next piece */
    int lasts;
} fg_html_glance_t;

/** The next piece. @return 1 if a `<form` ends in it: if not, no form starts */
int fg_html_glance(fg_html_glance_t *glance, const char *data, apr_size_t len);

#endif
