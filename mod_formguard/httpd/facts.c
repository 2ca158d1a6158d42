/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision has to know of a request, as httpd tells it. */
#include <string.h>
#include <time.h>

#include "apr_strings.h"

#include "http_core.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

static const request_rec *first_request(const request_rec *r)
{
    while (r->prev != NULL) {
        r = r->prev;
    }
    return r;
}

/* The URL path less path info: `/contact.php/x/y` runs the same script as `/contact.php`. */
static const char *without_path_info(const request_rec *r, apr_pool_t *pool)
{
    apr_size_t len = strlen(r->uri);
    apr_size_t info = r->path_info != NULL ? strlen(r->path_info) : 0;

    if (info > 0 && info < len && strcmp(r->uri + len - info, r->path_info) == 0) {
        return apr_pstrmemdup(pool, r->uri, len - info);
    }
    return r->uri;
}

int fg_facts_path_guarded(request_rec *r, const fg_policy_t *policy)
{
    const request_rec *first;

    if (policy->paths == NULL) {
        return 1;
    }
    first = first_request(r);
    return fg_policy_guards_path(policy, first->uri) ||
           fg_policy_guards_path(policy, without_path_info(first, r->pool)) ||
           (first != r && (fg_policy_guards_path(policy, r->uri) ||
                           fg_policy_guards_path(policy, without_path_info(r, r->pool))));
}

const char *fg_facts_path(request_rec *r)
{
    return without_path_info(first_request(r), r->pool);
}

/* The file a URL path runs, path info left out; NULL if there is none. Needed where httpd has not
 * looked itself: with its path alone, every path info would be a form of its own. */
static const char *file_of(request_rec *r, const char *path)
{
    const char *prefix = ap_context_prefix(r);
    const char *root = ap_context_document_root(r);
    apr_size_t len = strlen(prefix);
    apr_finfo_t info;
    char *file;
    char *end;

    if (strncmp(path, prefix, len) != 0) {
        root = ap_document_root(r);
        len = 0;
    }
    file = apr_pstrcat(r->pool, root, path + len, NULL);
    for (end = strrchr(file, '/'); end != NULL && end >= file + strlen(root);
         end = strrchr(file, '/')) {
        if (apr_stat(&info, file, APR_FINFO_TYPE, r->pool) == APR_SUCCESS) {
            return info.filetype == APR_REG ? file : NULL;
        }
        *end = '\0';
    }
    return NULL;
}

const char *fg_facts_form(request_rec *r)
{
    static const char redirect[] =
        "redirect:"; /* mod_rewrite in a directory, before it redirects */
    const char *script = r->filename;
    const char *path = without_path_info(r, r->pool);
    int redirected = script != NULL && strncmp(script, redirect, sizeof(redirect) - 1) == 0;

    if (script == NULL || redirected || r->finfo.filetype != APR_REG) {
        if (redirected) {
            path = script + sizeof(redirect) - 1;
            path = apr_pstrmemdup(r->pool, path, strcspn(path, "?"));
        }
        script = file_of(r, path);
        if (script == NULL) {
            script = path; /* proxied, or made by a handler */
        }
    }
    return apr_pstrcat(r->pool, r->server->server_hostname, "\n", script, NULL);
}

void fg_facts_client(request_rec *r, fg_address_t *address)
{
    fg_address_from_sockaddr(address, r->useragent_addr);
}

fg_time_t fg_facts_now(void)
{
    struct timespec ts;
    fg_time_t now;

    /* Counters and leases must not see the clock being set. */
    clock_gettime(CLOCK_MONOTONIC, &ts);
    now.steady = apr_time_from_sec(ts.tv_sec) + ts.tv_nsec / 1000;
    now.wall = apr_time_now();
    return now;
}
