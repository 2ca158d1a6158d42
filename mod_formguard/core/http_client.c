/* SPDX-License-Identifier: Apache-2.0 */
#include "http_client.h"

#include <string.h>

#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_uri.h>

#include <arpa/inet.h>

/* Two parsers read a URL (this one and the client's own). Only what no two of them read
 * differently gets through: no white space, no backslash, nothing outside ASCII. */
static int has_foreign_bytes(const char *url)
{
    for (; *url; url++) {
        unsigned char c = (unsigned char)*url;
        if (c <= ' ' || c >= 0x7f || strchr("\\\"<>^`{|}", c)) {
            return 1;
        }
    }
    return 0;
}

static int is_host(const char *host)
{
    struct in6_addr v6;
    apr_size_t len = strlen(host);

    if (strchr(host, ':')) {
        return inet_pton(AF_INET6, host, &v6) == 1;
    }
    if (!len || len > 253 || host[0] == '.' || strstr(host, "..")) {
        return 0;
    }
    for (; *host; host++) {
        if (!apr_isalnum(*host) && *host != '.' && *host != '-' && *host != '_') {
            return 0;
        }
    }
    return 1;
}

static int is_loopback(const char *host)
{
    unsigned char v4[4];
    struct in6_addr v6;

    if (!apr_cstr_casecmp(host, "localhost")) {
        return 1;
    }
    if (inet_pton(AF_INET, host, v4) == 1) {
        return v4[0] == 127;
    }
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int is_port(const char *text)
{
    long port = 0;

    if (!*text || strlen(text) > 5) {
        return 0;
    }
    for (; *text; text++) {
        if (!apr_isdigit(*text)) {
            return 0;
        }
        port = port * 10 + (*text - '0');
    }
    return port >= 1 && port <= 65535;
}

const char *fg_http_check_url(const char *url, apr_pool_t *pool)
{
    apr_uri_t uri;
    int https;

    if (!url || !*url) {
        return "is empty";
    }
    if (has_foreign_bytes(url)) {
        return "has white space or another character that no URL holds";
    }
    if (apr_uri_parse(pool, url, &uri) != APR_SUCCESS) {
        return "is no URL";
    }
    https = uri.scheme && !apr_cstr_casecmp(uri.scheme, "https");
    if (!https && (!uri.scheme || apr_cstr_casecmp(uri.scheme, "http"))) {
        return "must begin with https://";
    }
    if (uri.user || uri.password || (uri.hostinfo && strchr(uri.hostinfo, '@'))) {
        return "must not carry a user name or password";
    }
    if (!uri.hostname || !is_host(uri.hostname)) {
        return "names no host";
    }
    if (uri.port_str && !is_port(uri.port_str)) {
        return "has a port that is not 1 to 65535";
    }
    if (uri.fragment) {
        return "must not carry a fragment (#)";
    }
    if (!https && !is_loopback(uri.hostname)) {
        return "must begin with https:// (http:// is for 127.0.0.0/8, [::1] and localhost)";
    }
    return NULL;
}
