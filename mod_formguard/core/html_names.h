/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file html_names.h
 * @brief What the names of HTML's elements mean to whoever looks for forms.
 */
#ifndef FG_HTML_NAMES_H
#define FG_HTML_NAMES_H

#include "html_tokens.h"

typedef enum fg_html_kind {
    FG_HTML_OTHER,
    FG_HTML_BASE,
    FG_HTML_BODY,
    FG_HTML_BUTTON,
    FG_HTML_CELL, /**< td, th, caption */
    FG_HTML_FORM,
    FG_HTML_HTML,
    FG_HTML_INPUT,
    FG_HTML_MATH,
    FG_HTML_META,
    FG_HTML_ROW, /**< tr, and what holds rows in a table */
    FG_HTML_SCRIPT_TAG,
    FG_HTML_SELECT,
    FG_HTML_SVG,
    FG_HTML_TABLE,
    FG_HTML_TEMPLATE,
    FG_HTML_TEXTAREA,
    FG_HTML_WIDGET /**< altcha-widget */
} fg_html_kind_t;

/** The kind of an element. @param name lower case */
fg_html_kind_t fg_html_kind(const char *name);

/** How browsers that run scripts read what is in an element of HTML. @param name lower case */
fg_html_content_t fg_html_content(const char *name);

/** 1 if the element, in svg or math, holds HTML. @param name lower case */
int fg_html_is_integration(const char *name);

/** 1 if the start tag ends svg and math around it: it can stand in HTML only.
 * @param name lower case */
int fg_html_is_breakout(const char *name);

#endif
