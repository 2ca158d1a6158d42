/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision has to know of a request, as httpd tells it. */
#include <string.h>
#include <time.h>

#include "apr_strings.h"

#include "http_core.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

static request_rec *first_request(request_rec *r)
{
    while (r->prev != NULL) {
        r = r->prev;
    }
    return r;
}

/* The file a URL path runs, path info left out; NULL if there is none. Needed where httpd has not
 * looked itself: with its path alone, every path info would be a form of its own.
 * `info` is set to the bytes of path info. */
static const char *file_of(request_rec *r, const char *path, apr_size_t *info)
{
    const char *prefix = ap_context_prefix(r);
    const char *root = ap_context_document_root(r);
    apr_size_t len = strlen(prefix);
    apr_finfo_t finfo;
    apr_size_t whole;
    char *file;
    char *end;

    if (strncmp(path, prefix, len) != 0) {
        root = ap_document_root(r);
        len = 0;
    }
    file = apr_pstrcat(r->pool, root, path + len, NULL);
    whole = strlen(file);
    end = file + strlen(root);
    do { /* from the top: it ends where nothing is, however long the path goes on */
        end = *end != '\0' ? strchr(end + 1, '/') : NULL;
        if (end != NULL) {
            *end = '\0';
        }
        if (apr_stat(&finfo, file, APR_FINFO_TYPE, r->pool) != APR_SUCCESS) {
            return NULL;
        }
        if (finfo.filetype == APR_REG) {
            *info = whole - strlen(file);
            return file;
        }
        if (end != NULL) {
            *end = '/';
        }
    } while (end != NULL);
    return NULL;
}

/* Of the request line, decoded. Not the first r->uri: DirectoryIndex, FallbackResource, MultiViews
 * and RewriteRule [PT] put another path there without an internal redirect. */
static const char *path_asked_for(const request_rec *first)
{
    return first->parsed_uri.path != NULL ? first->parsed_uri.path : first->uri;
}

/* Under MergeSlashes Off `/a//b` runs what `/a/b` runs. */
static const char *merge_slashes(request_rec *r, const char *path)
{
    char *merged;

    if (strstr(path, "//") == NULL) {
        return path;
    }
    merged = apr_pstrdup(r->pool, path);
    ap_no2slash(merged);
    return merged;
}

/* A URL path less path info: `/contact.php/x/y` runs the same script as `/contact.php`. */
static const char *without_path_info(request_rec *r, const char *path)
{
    const char *after;
    apr_size_t info = 0;
    apr_size_t len;

    if (r->path_info == NULL || *r->path_info == '\0') {
        return r->proxyreq && file_of(r, path, &info) != NULL
                   ? apr_pstrmemdup(r->pool, path, strlen(path) - info) /* ProxyPassMatch to
                                                                           php-fpm */
                   : path;
    }
    after = merge_slashes(r, r->path_info);
    info = strlen(after);
    len = strlen(path);
    return info < len && strcmp(path + len - info, after) == 0
               ? apr_pstrmemdup(r->pool, path, len - info)
               : path;
}

/* The path of the file that is run, below the document root; NULL: another folder's. An Alias, or
 * a RewriteRule of the server config, leads there and leaves r->uri as it was asked for. */
static const char *path_of_file(request_rec *r)
{
    const char *root = ap_document_root(r);
    apr_size_t len = strlen(root);

    while (len > 0 && root[len - 1] == '/') {
        len--;
    }
    if (r->finfo.filetype != APR_REG || r->filename == NULL ||
        strncmp(r->filename, root, len) != 0 || r->filename[len] != '/') {
        return NULL;
    }
    return r->filename + len;
}

static int guards(const fg_policy_t *policy, request_rec *r, const char *path)
{
    path = merge_slashes(r, path);
    return fg_policy_guards_path(policy, path) ||
           fg_policy_guards_path(policy, without_path_info(r, path));
}

int fg_facts_path_guarded(request_rec *r, const fg_policy_t *policy)
{
    request_rec *first;
    const char *file;

    if (policy->paths == NULL) {
        return 1;
    }
    first = first_request(r);
    if (guards(policy, first, path_asked_for(first)) || guards(policy, r, r->uri)) {
        return 1;
    }
    file = path_of_file(r);
    return file != NULL && fg_policy_guards_path(policy, file);
}

const char *fg_facts_path_asked(request_rec *r)
{
    return path_asked_for(first_request(r));
}

void fg_facts_paths(request_rec *r, const char *path[FG_PATHS])
{
    path[0] = merge_slashes(r, path_asked_for(first_request(r)));
    path[1] = merge_slashes(r, r->uri);
    path[2] = path_of_file(r);
}

const char *fg_facts_path(request_rec *r)
{
    request_rec *first = first_request(r);

    if (first->finfo.filetype == APR_NOFILE && !first->proxyreq) {
        /* What stands behind the first name that does not exist is path info to httpd: in
         * /wp-json/contact-form-7/v1/... all but /wp-json. */
        return path_asked_for(first);
    }
    return without_path_info(first, path_asked_for(first));
}

/* 1 if what answers the URL needs no file here: an application behind a proxy. To PHP-FPM a URL
 * without a file is as much a 404 as to anybody. */
static int is_proxied(const request_rec *r)
{
    return r->proxyreq || (r->handler != NULL && strncmp(r->handler, "proxy:", 6) == 0 &&
                           strstr(r->handler, "fcgi://") == NULL);
}

/* What stands for the script where a URL leads to no file: one thing for all of them, or each
 * made-up URL would be a form of its own. A handler that needs no file (SetHandler in <Location>)
 * is told from others; not a media type, of which there is one for each ending. */
static const char *no_script(const request_rec *r)
{
    return r->handler == NULL || strchr(r->handler, '/') != NULL ? "" : r->handler;
}

const char *fg_facts_form(request_rec *r)
{
    const char *script = r->filename;
    apr_size_t info;

    if (script == NULL || r->finfo.filetype != APR_REG) {
        script = file_of(r, r->uri, &info); /* proxied, or a URL without a file */
        if (script == NULL && r->finfo.filetype == APR_NOFILE && !is_proxied(r)) {
            script = no_script(r);
        }
        else if (script == NULL) {
            script = without_path_info(r, r->uri);
        }
    }
    return apr_pstrcat(r->pool, r->server->server_hostname, "\n", script, NULL);
}

const char *fg_facts_site(request_rec *r)
{
    const fg_server_conf_t *conf =
        ap_get_module_config(r->server->module_config, &formguard_module);
    const char *error = NULL;
    const char *site = NULL;

    if (conf->site != NULL) {
        site = ap_expr_str_exec(r, conf->site, &error);
    }
    if (error != NULL || site == NULL || *site == '\0') {
        site = ap_context_document_root(r);
    }
    return site;
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
