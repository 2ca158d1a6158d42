/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file html_forms.h
 * @brief Finds the forms of an HTML page while it passes by, and the place in each where a
 *        captcha's widget belongs. However the page is cut, it finds the same.
 *
 * The place: before the buttons that end the form, so that the widget stands where people look for
 * it and beside the button in the tree, in the same cell of a table; before `</form>` where there
 * is no submit button. What comes behind a button is held back until the form ends, up to
 * FG_HTML_HOLD_MAX, to see that it is the last one, and that no widget follows it.
 */
#ifndef FG_HTML_FORMS_H
#define FG_HTML_FORMS_H

#include <apr_pools.h>

/** Most bytes of a page that are held back. A longer tag is not looked at. */
#define FG_HTML_HOLD_MAX 65536

/** A form, as its start tag says. */
typedef struct fg_html_form {
    const char *action; /**< entities decoded; NULL: it has none */
    int in_table;       /**< 1: it stands between a table and its cells: the browser closes it at
                             once, and what scripts add to the cells is in no form */
} fg_html_form_t;

/** What is told while a page is read. */
typedef struct fg_html_forms_ops {
    /** A form with method=post starts. @return the field of the widget it wants, or NULL: none */
    const char *(*form)(void *baton, const fg_html_form_t *form);
    /** The widget of that form belongs here. @param at bytes from the start of the page; never less
     * than the last time, nor than what was safe */
    void (*widget)(void *baton, apr_off_t at);
    /** The first `<base href>`, entities decoded. */
    void (*base)(void *baton, const char *href);
    /** A policy of the page itself. @param policy entities decoded; NULL: too long to be known */
    void (*csp)(void *baton, const char *policy);
    /** A script. @param src entities decoded */
    void (*script)(void *baton, const char *src);
} fg_html_forms_ops_t;

typedef struct fg_html_forms fg_html_forms_t;

/** Make one for a page. @param pool owns it */
fg_html_forms_t *fg_html_forms_create(const fg_html_forms_ops_t *ops, void *baton,
                                      apr_pool_t *pool);

/** Read the next bytes. */
void fg_html_forms_feed(fg_html_forms_t *forms, const char *data, apr_size_t len);

/** All that was read has to go out now: decide by it. */
void fg_html_forms_flush(fg_html_forms_t *forms);

/** The page has ended. */
void fg_html_forms_end(fg_html_forms_t *forms);

/** Up to where the page may be passed on: no widget comes before. */
apr_off_t fg_html_forms_safe(const fg_html_forms_t *forms);

/** 1 if the rest of the page needs not be read: it is in an encoding that is not understood. */
int fg_html_forms_stopped(const fg_html_forms_t *forms);

/** 1 if the page may be passed on, and what comes needs not be read before fg_html_glance() finds a
 * `<form`: no form waits for its widget. */
int fg_html_forms_idle(const fg_html_forms_t *forms);

/** 1 if text in that encoding, a name as in `charset=`, can be read: it is one browsers know of
 * which ASCII is a part in each place. */
int fg_html_charset_known(const char *name, apr_size_t len);

#endif
