/* SPDX-License-Identifier: Apache-2.0 */
#include "csp.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define SPACE " \t\r\n\f"

/* An absolute URL in its parts. */
typedef struct url {
    const char *scheme;
    const char *host;
    const char *port; /* "" if it is the scheme's */
    const char *path;
} url_t;

static void split_url(const char *text, url_t *url, apr_pool_t *pool)
{
    const char *host = strstr(text, "://");
    apr_size_t len;
    char *port;

    memset(url, 0, sizeof(*url));
    url->scheme = apr_pstrmemdup(pool, text, host != NULL ? (apr_size_t)(host - text) : 0);
    host = host != NULL ? host + 3 : text;
    len = strcspn(host, "/");
    url->path = host + len;
    host = apr_pstrmemdup(pool, host, len);
    port = strrchr(host, ':');
    url->host = host;
    url->port = "";
    if (port != NULL && strchr(port, ']') == NULL) {
        *port++ = '\0';
        url->port = port;
    }
}

static const char *default_port(const char *scheme)
{
    return strcasecmp(scheme, "https") == 0 ? "443" : "80";
}

static int scheme_matches(const char *allowed, const char *scheme)
{
    return strcasecmp(allowed, scheme) == 0 ||
           (strcasecmp(allowed, "http") == 0 && strcasecmp(scheme, "https") == 0);
}

static int host_matches(const char *allowed, const char *host)
{
    if (strncmp(allowed, "*.", 2) == 0) {
        apr_size_t len = strlen(host);
        apr_size_t tail = strlen(allowed + 1);

        return len > tail && strcasecmp(host + len - tail, allowed + 1) == 0;
    }
    return strcmp(allowed, "*") == 0 || strcasecmp(allowed, host) == 0;
}

static int port_matches(const char *allowed, const url_t *url)
{
    const char *port = *url->port != '\0' ? url->port : default_port(url->scheme);

    if (*allowed == '\0') {
        return strcmp(port, default_port(url->scheme)) == 0;
    }
    return strcmp(allowed, "*") == 0 || strcmp(allowed, port) == 0 ||
           (strcmp(allowed, "80") == 0 && strcmp(port, "443") == 0);
}

static int path_matches(const char *allowed, const char *path)
{
    apr_size_t len = strlen(allowed);

    if (len == 0) {
        return 1;
    }
    return allowed[len - 1] == '/' ? strncmp(path, allowed, len) == 0 : strcmp(path, allowed) == 0;
}

/* One source expression. */
static int allows(const char *source, const char *target, const url_t *origin, apr_pool_t *pool)
{
    apr_size_t len = strlen(source);
    url_t allowed;
    url_t url;

    if (strcmp(target, "blob:") == 0) {
        return strcasecmp(source, "blob:") == 0;
    }
    split_url(target, &url, pool);
    if (strcasecmp(source, "'self'") == 0) {
        return scheme_matches(origin->scheme, url.scheme) &&
               strcasecmp(origin->host, url.host) == 0 && strcmp(origin->port, url.port) == 0;
    }
    if (*source == '\'') {
        return 0;
    }
    if (strcmp(source, "*") == 0) {
        return 1;
    }
    if (len > 0 && source[len - 1] == ':') {
        return scheme_matches(apr_pstrmemdup(pool, source, len - 1), url.scheme);
    }
    split_url(source, &allowed, pool);
    return scheme_matches(*allowed.scheme != '\0' ? allowed.scheme : origin->scheme, url.scheme) &&
           host_matches(allowed.host, url.host) && port_matches(allowed.port, &url) &&
           path_matches(allowed.path, url.path);
}

/* The value of a directive in one policy. @return NULL: it is not there */
static const char *directive(const char *policy, const char *name, apr_pool_t *pool)
{
    apr_size_t len = strlen(name);

    while (*policy != '\0') {
        apr_size_t n;

        policy += strspn(policy, SPACE ";");
        n = strcspn(policy, ";");
        if (n >= len && strncasecmp(policy, name, len) == 0 &&
            (n == len || strchr(SPACE, policy[len]) != NULL)) {
            return apr_pstrmemdup(pool, policy + len, n - len);
        }
        policy += n;
    }
    return NULL;
}

/* The sources that hold for what is loaded so; a directive that is not there leaves it to a wider
 * one. */
static const char *sources_for(const char *policy, const char *what, apr_pool_t *pool)
{
    static const char *const chains[][5] = {
        {"script-src", "script-src-elem", "script-src", "default-src", NULL},
        {"worker-src", "worker-src", "child-src", "script-src", "default-src"},
        {"frame-src", "frame-src", "child-src", "default-src", NULL},
        {"connect-src", "connect-src", "default-src", NULL, NULL},
    };
    apr_size_t i;
    apr_size_t k;

    for (i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
        for (k = 1; strcmp(chains[i][0], what) == 0 && k < 5 && chains[i][k] != NULL; k++) {
            const char *sources = directive(policy, chains[i][k], pool);

            if (sources != NULL) {
                return sources;
            }
        }
    }
    return NULL;
}

static int is_met(const char *policy, const fg_csp_need_t *need, const url_t *origin,
                  apr_pool_t *pool)
{
    const char *sources = sources_for(policy, need->directive, pool);
    int met = 0;
    char *last;
    char *word;

    if (sources == NULL) {
        return 1;
    }
    for (word = apr_strtok(apr_pstrdup(pool, sources), SPACE, &last); word != NULL;
         word = apr_strtok(NULL, SPACE, &last)) {
        if (strcasecmp(word, "'strict-dynamic'") == 0 &&
            strcmp(need->directive, "script-src") == 0) {
            return 0; /* of scripts in the page, those with a nonce or a hash only */
        }
        met |= allows(word, need->url, origin, pool);
    }
    return met;
}

/* What stops any widget. */
static const fg_csp_need_t *forbids_all(const char *policy, apr_pool_t *pool)
{
    static const fg_csp_need_t scripts = {"sandbox", "", "allow-scripts"};
    static const fg_csp_need_t types = {"require-trusted-types-for", "", "(no such directive)"};
    const char *sandbox = directive(policy, "sandbox", pool);

    if (sandbox != NULL && strstr(sandbox, "allow-scripts") == NULL) {
        return &scripts;
    }
    return directive(policy, "require-trusted-types-for", pool) != NULL ? &types : NULL;
}

const fg_csp_need_t *fg_csp_forbids(const char *policy, const char *origin,
                                    const fg_csp_need_t *needs, apr_pool_t *pool)
{
    const fg_csp_need_t *need;
    const fg_csp_need_t *found;
    url_t page;
    char *last;
    char *one;

    split_url(origin, &page, pool);
    for (one = apr_strtok(apr_pstrdup(pool, policy), ",", &last); one != NULL;
         one = apr_strtok(NULL, ",", &last)) {
        found = forbids_all(one, pool);
        if (found != NULL) {
            return found;
        }
        for (need = needs; need->directive != NULL; need++) {
            if (!is_met(one, need, &page, pool)) {
                return need;
            }
        }
    }
    return NULL;
}
