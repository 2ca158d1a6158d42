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

typedef struct fg_widget {
    const char *script_url;     /**< where its script comes from, as it stands in the page */
    const char *script;         /**< the script's element */
    const char *element;        /**< the widget's own */
    const fg_csp_need_t *needs; /**< what it loads; ends with a row without a directive */
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

/** 1 if a page's script is that of some widget. @param src as it stands in the page */
int fg_widget_is_script(const char *src);

/** 1 if a page's script is that of the widget. @param src as it stands in the page */
int fg_widget_has_script(const fg_widget_t *widget, const char *src);

#endif
