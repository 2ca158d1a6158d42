/* SPDX-License-Identifier: Apache-2.0 */
#include "action_url.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

/* A URL in its parts, as it was written. */
typedef struct parts {
    const char *host; /* NULL: none is written */
    const char *port;
    const char *path; /* "" if none is written */
} parts_t;

/* --- percent-encoding ------------------------------------------------------------------------- */

static char *put_percent(char *out, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";

    *out++ = '%';
    *out++ = digits[c >> 4];
    *out++ = digits[c & 15];
    return out;
}

/* Bytes of the UTF-8 character at `p`, 0: it is none. The few ill-formed ones that pass (overlong,
 * surrogates) are no danger here. */
static int utf8_length(const unsigned char *p)
{
    int len = *p < 0x80 ? 1 : *p < 0xC2 ? 0 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : *p < 0xF5 ? 4 : 0;
    int i;

    for (i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return len;
}

const char *fg_path_encode(const char *path, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, strlen(path) * 3 + 1);
    const unsigned char *p = (const unsigned char *)path;
    char *out = text;

    while (*p != '\0') {
        int len;

        if ((unsigned int)(*p | 0x20) - 'a' < 26 || *p == '/') { /* as most are */
            *out++ = (char)*p++;
            continue;
        }
        len = utf8_length(p);
        if (len == 0) {
            return NULL;
        }
        for (; len > 0; len--, p++) {
            if (*p <= ' ' || *p >= 0x7F || strchr("\"<>`{}?#", *p) != NULL) {
                out = put_percent(out, *p);
            }
            else {
                *out++ = (char)*p;
            }
        }
    }
    *out = '\0';
    return text;
}

const char *fg_query_encode(const char *text, apr_pool_t *pool)
{
    char *encoded = apr_palloc(pool, strlen(text) * 3 + 1);
    char *out = encoded;

    for (; *text != '\0'; text++) {
        if ((*text & 0x80) == 0 && (apr_isalnum(*text) || strchr("/._~-", *text) != NULL)) {
            *out++ = *text;
        }
        else {
            out = put_percent(out, (unsigned char)*text);
        }
    }
    *out = '\0';
    return encoded;
}

/* --- parts ------------------------------------------------------------------------------------ */

/* Without what browsers leave out, and without query and fragment. */
static char *cleaned(const char *url, apr_pool_t *pool)
{
    const char *end = url + strlen(url);
    char *text;
    char *out;

    while (*url != '\0' && (unsigned char)*url <= ' ') {
        url++;
    }
    while (end > url && (unsigned char)end[-1] <= ' ') {
        end--;
    }
    out = text = apr_palloc(pool, (apr_size_t)(end - url) + 1);
    for (; url < end && *url != '?' && *url != '#'; url++) {
        if (strchr("\t\r\n", *url) == NULL) {
            *out++ = *url == '\\' ? '/' : *url;
        }
    }
    *out = '\0';
    return text;
}

/* Bytes of `scheme:` that it starts with; 0: with none. */
static apr_size_t scheme_length(const char *text)
{
    const char *p = text;

    if (!apr_isalpha(*p)) {
        return 0;
    }
    while (apr_isalnum(*p) || *p == '+' || *p == '-' || *p == '.') {
        p++;
    }
    return *p == ':' ? (apr_size_t)(p + 1 - text) : 0;
}

static int read_authority(char *authority, parts_t *parts)
{
    char *port = strrchr(authority, ':');

    if (strchr(authority, '@') != NULL || *authority == '\0') {
        return 0;
    }
    if (port != NULL && strchr(port, ']') == NULL) {
        *port++ = '\0';
        parts->port = port;
    }
    parts->host = authority;
    return 1;
}

/* @return 0 if it is no URL of http, or one that only browsers make sense of */
static int split(char *text, parts_t *parts, apr_pool_t *pool)
{
    apr_size_t scheme = scheme_length(text);
    char *p = text + scheme;

    parts->host = NULL;
    parts->port = "";
    if (scheme > 0 && strncasecmp(text, "http:", 5) != 0 && strncasecmp(text, "https:", 6) != 0) {
        return 0;
    }
    if (p[0] == '/' && p[1] == '/') {
        apr_size_t len = strcspn(p + 2, "/");

        parts->path = p[2 + len] == '/' ? p + 2 + len : "/";
        return read_authority(apr_pstrmemdup(pool, p + 2, len), parts);
    }
    parts->path = p;
    return scheme == 0;
}

/* --- paths ------------------------------------------------------------------------------------ */

/* Without `.` and `..`. */
static const char *without_dots(const char *path, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, strlen(path) + 2);
    char *out = text;

    while (*path == '/') {
        apr_size_t len = strcspn(path + 1, "/");
        int dots = len == 1 && path[1] == '.'                    ? 1
                   : len == 2 && strncmp(path + 1, "..", 2) == 0 ? 2
                                                                 : 0;

        if (dots == 2) {
            while (out > text && *--out != '/') {
            }
        }
        if (dots == 0) {
            memcpy(out, path, len + 1);
            out += len + 1;
        }
        path += len + 1;
        if (dots != 0 && *path == '\0') {
            *out++ = '/';
        }
    }
    *out = '\0';
    return text;
}

/* A path as it is written on a page whose (base) path is `base`. */
static const char *merge(const char *base, const char *path, apr_pool_t *pool)
{
    const char *slash = strrchr(base, '/');

    if (*path == '\0') {
        return base;
    }
    if (*path == '/') {
        return path;
    }
    return apr_pstrcat(pool, apr_pstrmemdup(pool, base, (apr_size_t)(slash + 1 - base)), path,
                       NULL);
}

const char *fg_action_path(const char *action, const fg_page_url_t *page, apr_pool_t *pool)
{
    const char *base = page->path;
    const char *path;
    parts_t parts;
    int base_here = 1;

    if (action == NULL || *action == '\0') {
        return strlen(base) <= FG_ACTION_PATH_MAX ? base : NULL; /* whatever the base is */
    }
    if (page->base != NULL && split(cleaned(page->base, pool), &parts, pool)) {
        base_here = parts.host == NULL || page->is_here(page->baton, parts.host, parts.port);
        base = merge(base, parts.path, pool);
    }
    if (!split(cleaned(action, pool), &parts, pool) ||
        !(parts.host != NULL ? page->is_here(page->baton, parts.host, parts.port) : base_here)) {
        return NULL;
    }
    path = fg_path_encode(merge(base, parts.path, pool), pool);
    if (path == NULL || *path != '/' || strlen(path) > FG_ACTION_PATH_MAX) {
        return NULL;
    }
    return without_dots(path, pool);
}
