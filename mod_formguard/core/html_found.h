/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file html_found.h
 * @brief What html_forms.h told of a page, in a few bytes, so that it can be told again of the same
 *        page without reading it.
 */
#ifndef FG_HTML_FOUND_H
#define FG_HTML_FOUND_H

#include "html_forms.h"

/** Bytes there are for it; of pages with more nothing is kept. */
#define FG_HTML_FOUND_MAX 440

/** Zeroed at first. */
typedef struct fg_html_found {
    unsigned int used; /**< FG_HTML_FOUND_MAX + 1: it was too much */
    char bytes[FG_HTML_FOUND_MAX];
} fg_html_found_t;

/** Note what fg_html_forms_ops_t.base told. */
void fg_html_found_base(fg_html_found_t *found, const char *href);

/** Note what fg_html_forms_ops_t.csp told. */
void fg_html_found_csp(fg_html_found_t *found, const char *policy);

/** Note what fg_html_forms_ops_t.script told. */
void fg_html_found_script(fg_html_found_t *found, const char *src);

/** Note what fg_html_forms_ops_t.form told. @param field what was answered, or NULL */
void fg_html_found_form(fg_html_found_t *found, const fg_html_form_t *form, const char *field);

/** Note what fg_html_forms_ops_t.widget told. */
void fg_html_found_widget(fg_html_found_t *found, apr_off_t at);

/** 1 if there was room for all. */
int fg_html_found_whole(const fg_html_found_t *found);

/** 1 if the page has a form with method=post. */
int fg_html_found_forms(const fg_html_found_t *found);

/**
 * Tell it again. Strings that are told are gone when `found` is.
 * @return 1 if that was all; 0 if a form wants another field than then, or now wants one at all:
 *         where its widget belongs was not looked for. Told is what comes before.
 */
int fg_html_found_tell(const fg_html_found_t *found, const fg_html_forms_ops_t *ops, void *baton);

#endif
