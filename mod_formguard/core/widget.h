/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file widget.h
 * @brief What a page holds where a captcha is to be solved: the script and the element of its
 *        service, as the services document them.
 */
#ifndef FG_WIDGET_H
#define FG_WIDGET_H

#include <apr_pools.h>

#include "csp.h"
#include "policy.h"

typedef enum fg_widget_help {
    FG_HELP_NEVER,    /**< its own script brings it */
    FG_HELP_IN_TABLE, /**< with table_element */
    FG_HELP_ALWAYS
} fg_widget_help_t;

typedef struct fg_widget {
    const char *script_url;     /**< where its script comes from, as it stands in the page */
    const char *script;         /**< the script's element */
    const char *element;        /**< the widget's own */
    const fg_csp_need_t *needs; /**< what it loads; ends with a row without a directive */
    /** The same for a form that starts between a table and its cells. Browsers close it at once;
     * its own are fields that stand in the page, and no others: a script fills one. */
    const char *table_element;
    const fg_csp_need_t *table_needs; /**< what that loads besides */
    fg_widget_help_t help;            /**< whether the script fg_widget_helper is needed */
} fg_widget_t;

/**
 * Make the widget of a policy's captcha. ASCII, whatever is configured.
 * @param widget filled in, in `pool`
 * @param policy one with a captcha
 * @param path   where the form is sent to, percent-encoded
 * @param origin of the page, `https://www.example.jp`
 * @return NULL, or why there is none, as a sentence
 */
const char *fg_widget_make(fg_widget_t *widget, const fg_policy_t *policy, const char *path,
                           const char *origin, apr_pool_t *pool);

/** The script that fills the fields of some widgets, and its URL. */
extern const char fg_widget_helper[];
extern const char fg_widget_helper_url[];

/** 1 if a page's script is one that some widget needs. @param src as it stands in the page */
int fg_widget_is_script(const char *src);

/** 1 if a page's script is the one that a widget needs.
 * @param url script_url, or that of the helper
 * @param src as it stands in the page */
int fg_widget_same_script(const char *url, const char *src);

#endif
