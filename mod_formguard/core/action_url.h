/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file action_url.h
 * @brief Where a form is sent to, as browsers resolve its action
 *        (https://url.spec.whatwg.org/#url-parsing), as far as it stays on the same site.
 */
#ifndef FG_ACTION_URL_H
#define FG_ACTION_URL_H

#include <apr_pools.h>

/** Longest path that is told, bytes. */
#define FG_ACTION_PATH_MAX 1024

/** The page a form stands on. */
typedef struct fg_page_url {
    const char *path; /**< percent-encoded, without query */
    const char *base; /**< what `<base href>` says, or NULL */
    /** Whether a host is the page's site. @param port "" if none is written */
    int (*is_here)(void *baton, const char *host, const char *port);
    void *baton;
} fg_page_url_t;

/**
 * Resolve a form's action.
 * @param action its value, entities decoded; NULL or empty: the page itself
 * @param pool   owns the path
 * @return the path on this site, percent-encoded, without query; NULL if it is on another, is no
 *         URL of http, is too long, or has bytes that are no UTF-8 (in another encoding it is not
 *         known what they will be)
 */
const char *fg_action_path(const char *action, const fg_page_url_t *page, apr_pool_t *pool);

/** Percent-encode what may not stand in a path. @return NULL: it is no UTF-8 */
const char *fg_path_encode(const char *path, apr_pool_t *pool);

/** Percent-encode all but letters, digits and `/._~-`, for a value in a query that needs no further
 * escaping in HTML. */
const char *fg_query_encode(const char *text, apr_pool_t *pool);

#endif
