/* SPDX-License-Identifier: Apache-2.0 */
#include "html_names.h"

#include <string.h>

typedef struct kind_row {
    const char *name;
    fg_html_kind_t kind;
} kind_row_t;

/* In the order of their first letters. */
static const kind_row_t rows[] = {
    {"altcha-widget", FG_HTML_WIDGET},
    {"base", FG_HTML_BASE},
    {"body", FG_HTML_BODY},
    {"button", FG_HTML_BUTTON},
    {"caption", FG_HTML_CELL},
    {"colgroup", FG_HTML_ROW},
    {"form", FG_HTML_FORM},
    {"html", FG_HTML_HTML},
    {"input", FG_HTML_INPUT},
    {"math", FG_HTML_MATH},
    {"meta", FG_HTML_META},
    {"script", FG_HTML_SCRIPT_TAG},
    {"select", FG_HTML_SELECT},
    {"svg", FG_HTML_SVG},
    {"table", FG_HTML_TABLE},
    {"tbody", FG_HTML_ROW},
    {"td", FG_HTML_CELL},
    {"template", FG_HTML_TEMPLATE},
    {"textarea", FG_HTML_TEXTAREA},
    {"tfoot", FG_HTML_ROW},
    {"th", FG_HTML_CELL},
    {"thead", FG_HTML_ROW},
    {"tr", FG_HTML_ROW},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

fg_html_kind_t fg_html_kind(const char *name)
{
    /* Where the rows of a letter start, from a to t. */
    static const unsigned char first[] = {0, 1, 4, 6,  6,  6,  7,  7,  8,  9,
                                          9, 9, 9, 11, 11, 11, 11, 11, 11, 14};
    apr_size_t i;

    if (name[0] < 'a' || name[0] > 't') {
        return FG_HTML_OTHER;
    }
    for (i = first[name[0] - 'a']; i < ROWS && rows[i].name[0] == name[0]; i++) {
        if (rows[i].name[1] == name[1] && strcmp(rows[i].name, name) == 0) {
            return rows[i].kind;
        }
    }
    return FG_HTML_OTHER;
}

static int among(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (**names == *name && strcmp(*names, name) == 0) {
            return 1;
        }
    }
    return 0;
}

fg_html_content_t fg_html_content(const char *name)
{
    /* noscript as where scripts run: without them there is no captcha. */
    static const char *const raw[] = {"iframe", "noembed",  "noframes", "noscript", "style",
                                      "title",  "textarea", "xmp",      NULL};

    if (strchr("instxp", *name) == NULL) {
        return FG_HTML_MARKUP;
    }
    return strcmp(name, "script") == 0      ? FG_HTML_SCRIPT
           : strcmp(name, "plaintext") == 0 ? FG_HTML_PLAINTEXT
           : among(name, raw)               ? FG_HTML_RAW
                                            : FG_HTML_MARKUP;
}

int fg_html_is_integration(const char *name)
{
    static const char *const names[] = {
        "annotation-xml", "desc", "foreignobject", "mi", "mn", "mo", "ms", "mtext", "title", NULL};

    return among(name, names);
}

int fg_html_is_breakout(const char *name)
{
    static const char *const names[] = {
        "b",      "big",  "blockquote", "body",  "br",   "center", "code",    "dd",   "div",
        "dl",     "dt",   "em",         "embed", "h1",   "h2",     "h3",      "h4",   "h5",
        "h6",     "head", "hr",         "i",     "img",  "li",     "listing", "menu", "meta",
        "nobr",   "ol",   "p",          "pre",   "ruby", "s",      "small",   "span", "strong",
        "strike", "sub",  "sup",        "table", "tt",   "u",      "ul",      "var",  NULL};

    return among(name, names);
}
