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

/* Of names that start with these two letters, the third ones. */
static unsigned int thirds(const char *name)
{
    switch ((name[0] | 0x20) << 8 | (name[1] | 0x20)) {
    case 's' << 8 | 't':
        return L('y'); /* style, but not strong */
    case 's' << 8 | 'e':
        return L('l'); /* select, but not section */
    case 'f' << 8 | 'o':
        return L('r'); /* form, but not footer, font */
    case 'i' << 8 | 'n':
        return L('p'); /* input, but not ins */
    case 'c' << 8 | 'o':
        return L('l'); /* colgroup, but not code */
    default:
        return ~0U;
    }
}

/* The name from `p` to `end`, by all of it. */
static int means_nothing(const char *p, const char *end, int in_form)
{
    char name[FG_HTML_NAME_MAX + 1];
    apr_size_t len = (apr_size_t)(end - p);
    apr_size_t i;

    if (len > FG_HTML_NAME_MAX || (thirds(p) & 1U << letter(p[2]) % 32) == 0) {
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

/* A table's names of two letters, of which there are many: the second one, or 0. The third byte can
 * be read. */
static char cell_or_row(const char *name)
{
    char second = (char)(name[1] | 0x20);

    return (name[0] | 0x20) == 't' && (second == 'd' || second == 'h' || second == 'r') &&
                   IS(name[2], NAMED)
               ? second
               : 0;
}

/* --- tags ------------------------------------------------------------------------------------- */

/* From behind the name of a tag to behind its `>`. There is a `>` in front of `end`, where scanning
 * ends at the latest. @return NULL: it is written in a way that is better read one byte after the
 * other, or does not end here */
static inline const char *skip_attrs(const char *p, const char *end)
{
    for (;;) {
        const char *start;

        while (IS(*p, SPACE) || *p == '/') {
            p++;
        }
        if (*p == '>') {
            return p + 1;
        }
        for (start = p; !IS(*p, ATTRD);) {
            p++;
        }
        if (p == start) {
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
            while (*p != '>' && !IS(*p, SPACE)) {
                p++;
            }
        }
    }
}

/* A tag, from its `<`; in front of `end` there is a `>`. @return behind it, or NULL: it has to be
 * read */
static inline const char *skip_tag(const char *p, const char *end, fg_html_tables_t *tables,
                                   int in_form)
{
    int is_end = p[1] == '/';
    const char *name = p + 1 + is_end;
    const char *q = name;
    unsigned int first = letter(*name);
    unsigned int second;

    if (first >= 26) {
        return NULL;
    }
    while (!IS(*q, NAMED)) {
        q++;
    }
    second = letter(name[1]);
    if (second < 26 && (meaning[first] & 1U << second) != 0) {
        char cell = cell_or_row(name);

        if (cell != 0 && !in_form) {
            p = *q == '>' ? q + 1 : skip_attrs(q, end);
            if (p != NULL) {
                fg_html_tables_mark(tables, !is_end && cell != 'r');
            }
            return p;
        }
        if (cell != 0 || !means_nothing(name, q, in_form && !is_end)) {
            return NULL;
        }
    }
    if (*q == '>') {
        return q + 1;
    }
    return in_form && !is_end ? NULL : skip_attrs(q, end);
}

const char *fg_html_last_end(const char *p, const char *end)
{
    while (end > p && end[-1] != '>') {
        end--;
    }
    return end;
}

const char *fg_html_skip(const char *p, const char *end, const char *last, fg_html_tables_t *tables,
                         int in_form)
{
    while (p < end) {
        const char *next;

        if (*p != '<') {
            p = memchr(p, '<', (apr_size_t)(end - p));
            if (p == NULL) {
                return end;
            }
        }
        if (p >= last || (next = skip_tag(p, last, tables, in_form)) == NULL) {
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
