/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file csp.h
 * @brief Whether a page's Content-Security-Policy lets a widget work
 *        (https://www.w3.org/TR/CSP3/).
 */
#ifndef FG_CSP_H
#define FG_CSP_H

#include <apr_pools.h>

/** Something a widget loads. */
typedef struct fg_csp_need {
    const char *directive; /**< `script-src`, `worker-src`, `frame-src`, `connect-src`; NULL behind
                                the last one */
    const char *url;       /**< what is loaded, absolute, or `blob:` */
    const char *advice;    /**< the source to be added to the directive */
} fg_csp_need_t;

/**
 * Look for what a policy forbids. A script is taken for one that stands in the page as
 * `<script src>`, without a nonce or a hash.
 * @param policy the header's value, or that of a meta element; may hold several policies
 * @param origin of the page, `https://www.example.jp`
 * @param needs  ends with a row whose directive is NULL
 * @param pool   for temporary memory
 * @return the first need that is not met, or NULL: all are
 */
const fg_csp_need_t *fg_csp_forbids(const char *policy, const char *origin,
                                    const fg_csp_need_t *needs, apr_pool_t *pool);

#endif
