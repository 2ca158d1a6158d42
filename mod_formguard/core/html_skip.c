/* SPDX-License-Identifier: Apache-2.0 */
#include "html_skip.h"

#include <string.h>

#include "html_names.h"
#include "html_tokens_internal.h"

/* --- names ------------------------------------------------------------------------------------ */

#define L(letter) (1U << ((letter) - 'a'))

/* Of each first letter, the second ones of names that mean something (html_names.c). */
static const unsigned int meaning[26] = {
    ['a' - 'a'] = L('l'),
    ['b' - 'a'] = L('a') | L('o') | L('u'),
    ['c' - 'a'] = L('a') | L('o'),
    ['f' - 'a'] = L('o'),
    ['h' - 'a'] = L('t'),
    ['i' - 'a'] = L('f') | L('n'),
    ['m' - 'a'] = L('a') | L('e'),
    ['n' - 'a'] = L('o'),
    ['p' - 'a'] = L('l'),
    ['s' - 'a'] = L('c') | L('e') | L('t') | L('v'),
    ['t' - 'a'] = L('a') | L('b') | L('d') | L('e') | L('f') | L('h') | L('i') | L('r'),
    ['x' - 'a'] = L('m'),
};

static unsigned int letter(char c)
{
    return ((unsigned int)(unsigned char)c | 0x20) - 'a';
}

/* The name from `p` to `end`, by all of it. */
static int means_nothing(const char *p, const char *end, int in_form)
{
    char name[FG_HTML_NAME_MAX + 1];
    apr_size_t len = (apr_size_t)(end - p);
    apr_size_t i;

    if (len > FG_HTML_NAME_MAX) {
        return 1;
    }
    for (i = 0; i < len; i++) {
        name[i] = lower(p[i]);
    }
    name[len] = '\0';
    switch (fg_html_kind(name)) {
    case FG_HTML_OTHER:
        return fg_html_content(name) == FG_HTML_MARKUP;
    case FG_HTML_BUTTON:
    case FG_HTML_INPUT:
    case FG_HTML_SELECT:
    case FG_HTML_WIDGET:
        return !in_form;
    default:
        return 0;
    }
}

/* `td`, `th` and `tr`, of which there are many. */
static int is_cell_or_row(const char *p, const char *end)
{
    return end - p == 2 && (*p | 0x20) == 't' &&
           (letter(p[1]) == 'd' - 'a' || letter(p[1]) == 'h' - 'a' || letter(p[1]) == 'r' - 'a');
}

/* --- tags ------------------------------------------------------------------------------------- */

/* From behind the name of a tag to behind its `>`. @return NULL: it is written in a way that is
 * better read one byte after the other, or does not end here */
static const char *skip_attrs(const char *p, const char *end)
{
    for (;;) {
        const char *start;

        while (p < end && (IS(*p, SPACE) || *p == '/')) {
            p++;
        }
        if (p < end && *p == '>') {
            return p + 1;
        }
        for (start = p; p < end && !IS(*p, ATTRD);) {
            p++;
        }
        if (p == start || end - p < 2) {
            return NULL; /* `=` without a name, or with white space before it */
        }
        if (*p != '=' || *++p == '>') {
            continue;
        }
        if (*p == '"' || *p == '\'') {
            p = memchr(p + 1, *p, (apr_size_t)(end - p - 1));
            if (p == NULL) {
                return NULL;
            }
            p++;
        }
        else if (IS(*p, SPACE)) {
            return NULL;
        }
        else {
            while (p < end && *p != '>' && !IS(*p, SPACE)) {
                p++;
            }
        }
    }
}

/* A tag, from its `<`. @return behind it, or NULL: it has to be read */
static const char *skip_tag(const char *p, const char *end, fg_html_tables_t *tables, int in_form)
{
    int is_end = p + 1 < end && p[1] == '/';
    const char *name = p + 1 + is_end;
    const char *q = name;
    unsigned int first;
    unsigned int second;

    if (end - name < 3 || (first = letter(*name)) >= 26) {
        return NULL;
    }
    while (q < end && !IS(*q, NAMED)) {
        q++;
    }
    second = letter(name[1]);
    if (second < 26 && (meaning[first] & 1U << second) != 0) {
        if (is_cell_or_row(name, q)) {
            if (in_form) {
                return NULL;
            }
            p = skip_attrs(q, end);
            if (p != NULL) {
                fg_html_tables_mark(tables, !is_end && letter(name[1]) != 'r' - 'a');
            }
            return p;
        }
        if (!means_nothing(name, q, in_form && !is_end)) {
            return NULL;
        }
    }
    if (q < end && *q == '>') {
        return q + 1;
    }
    return in_form && !is_end ? NULL : skip_attrs(q, end);
}

const char *fg_html_skip(const char *p, const char *end, fg_html_tables_t *tables, int in_form)
{
    while (p < end) {
        const char *next;

        if (*p != '<') {
            p = memchr(p, '<', (apr_size_t)(end - p));
            if (p == NULL) {
                return end;
            }
        }
        next = skip_tag(p, end, tables, in_form);
        if (next == NULL) {
            return p;
        }
        p = next;
    }
    return end;
}

/* --- at a glance ------------------------------------------------------------------------------ */

#define LANES 16
#define BLOCK (4 * LANES)

/* Of gcc and clang, for every processor. */
typedef unsigned char lanes_t __attribute__((vector_size(LANES)));

static lanes_t load(const char *p)
{
    lanes_t lanes;

    memcpy(&lanes, p, sizeof(lanes));
    return lanes;
}

/* Where `<` has an `f` behind it: rare. */
static lanes_t starts(const char *p)
{
    return (lanes_t)(load(p) == '<') & (lanes_t)((load(p + 1) | 0x20) == 'f');
}

static int any(lanes_t lanes)
{
    apr_uint64_t halves[LANES / sizeof(apr_uint64_t)];

    memcpy(halves, &lanes, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
}

static int is_form(const char *p)
{
    return *p == '<' && (p[1] | 0x20) == 'f' && (p[2] | 0x20) == 'o' && (p[3] | 0x20) == 'r' &&
           (p[4] | 0x20) == 'm';
}

/* One that starts in the first `places` bytes; four more can be read. */
static int form_in(const char *p, apr_size_t places)
{
    apr_size_t i;

    for (i = 0; i < places; i++) {
        if (is_form(p + i)) {
            return 1;
        }
    }
    return 0;
}

static int holds_form(const char *p, apr_size_t len)
{
    const char *end = p + len;

    for (; end - p >= BLOCK + 4; p += BLOCK) {
        lanes_t found =
            starts(p) | starts(p + LANES) | starts(p + 2 * LANES) | starts(p + 3 * LANES);

        if (any(found) && form_in(p, BLOCK)) {
            return 1;
        }
    }
    return end - p > 4 && form_in(p, (apr_size_t)(end - p) - 4);
}

int fg_html_glance(fg_html_glance_t *glance, const char *data, apr_size_t len)
{
    char seam[8];
    apr_size_t lasts = (apr_size_t)glance->lasts;
    apr_size_t more = len < 4 ? len : 4;
    int found;

    if (len == 0) {
        return 0;
    }
    memcpy(seam, glance->last, lasts);
    memcpy(seam + lasts, data, more);
    found = holds_form(seam, lasts + more) || holds_form(data, len);
    if (len >= sizeof(glance->last)) {
        memcpy(glance->last, data + len - sizeof(glance->last), sizeof(glance->last));
        glance->lasts = sizeof(glance->last);
    }
    else {
        apr_size_t keep = lasts + len < 4 ? lasts + len : 4;

        memcpy(glance->last, seam + lasts + len - keep, keep);
        glance->lasts = (int)keep;
    }
    return found;
}
