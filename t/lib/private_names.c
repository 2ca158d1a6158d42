/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into one httpd, see FormGuard::Names: a resolver of its own. FORMGUARD_NAMES lists
 * `name=PORT` (there on 127.0.0.1, whatever port is asked for), `name=none` (there is no such name)
 * and `name=mute` (nobody answers), `,` between. Loopback is looked up as ever, and nothing else is
 * found, so that no test asks a service of the real world. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seconds that no resolver answers, longer than any test's deadline. */
#define MUTE 30

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* What stands behind `name=` in the list, its length in *len; NULL if the name is not there. */
static const char *listed(const char *name, size_t *len)
{
    const char *p = getenv("FORMGUARD_NAMES");

    for (; p && *p; p += p[0] == ',') {
        size_t entry = strcspn(p, ","), n = strlen(name);

        if (n < entry && !strncasecmp(p, name, n) && p[n] == '=') {
            *len = entry - n - 1;
            return p + n + 1;
        }
        p += entry;
    }
    return NULL;
}

static int is_loopback(const char *name)
{
    struct in6_addr any;

    return !name || !strcasecmp(name, "localhost") || inet_pton(AF_INET, name, &any) == 1 ||
           inet_pton(AF_INET6, name, &any) == 1;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    lookup_fn *next;
    char port[8] = "";
    const char *what;
    size_t len = 0;

    *(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (is_loopback(node)) {
        return next(node, service, hints, found);
    }
    what = listed(node, &len);
    if (what && len == 4 && !memcmp(what, "mute", 4)) {
        sleep(MUTE);
        return EAI_AGAIN;
    }
    if (!what || len >= sizeof port || strspn(what, "0123456789") != len) {
        return EAI_NONAME;
    }
    memcpy(port, what, len);
    return next("127.0.0.1", port, hints, found);
}
