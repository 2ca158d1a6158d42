/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dnsbl.c
 * @brief Asking a DNS blocklist, with c-ares and a deadline.
 *
 * Each lookup has a channel of its own. Making one takes some 35 microseconds, is paid where the
 * cache knew nothing, and gives every query a fresh port; and no thread ever waits for another.
 */
#include "dnsbl.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#include <apr_strings.h>

/* ares_query() and its kind are deprecated since 1.28; what replaces them is not in 1.13. */
#define CARES_NO_DEPRECATED
#include <ares.h>

#include "dnsbl_internal.h"

/* 32 nibbles with their dots, the zone, a dot at the end */
#define QUERY_MAX (64 + FG_DNSBL_ZONE_MAX + 1)

/* A resolver is asked this often, with more patience each time: a third of the time to begin. */
#define TRIES 3

/* No worker waits longer, whatever the caller says. */
#define BUDGET_MAX apr_time_from_sec(60)

#define CLASS_IN 1
#define TYPE_A   1

struct fg_dnsbl {
    const char *resolvers; /* or NULL */
};

/* One query, from sending to whatever ends it. */
typedef struct query {
    const fg_dnsbl_zone_t *zone;
    fg_dnsbl_answer_t answer;
    int ended;
} query_t;

/* Core is given its time by the caller, except here: this is where time is spent. */
static apr_time_t steady_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return apr_time_make(ts.tv_sec, ts.tv_nsec / 1000);
}

/* The dot at the end keeps search domains out. */
static void write_query(char out[QUERY_MAX + 1], const fg_dnsbl_zone_t *zone,
                        const fg_address_t *address)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *b = address->bytes;
    char *p = out;
    int i;

    if (address->family == 4) {
        p += apr_snprintf(p, 17, "%u.%u.%u.%u.", b[3], b[2], b[1], b[0]);
    }
    else {
        for (i = 15; i >= 0; i--) {
            *p++ = hex[b[i] & 15];
            *p++ = '.';
            *p++ = hex[b[i] >> 4];
            *p++ = '.';
        }
    }
    apr_snprintf(p, FG_DNSBL_ZONE_MAX + 2, "%s.", zone->name);
}

static fg_dnsbl_reason_t reason_of(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return FG_DNSBL_TIMEOUT;
    case ARES_ECONNREFUSED:
        return FG_DNSBL_UNREACHABLE;
    case ARES_ESERVFAIL:
        return FG_DNSBL_SERVFAIL;
    case ARES_EREFUSED:
        return FG_DNSBL_REFUSED;
    case ARES_EFORMERR:
    case ARES_ENOTIMP:
    case ARES_EBADRESP:
        return FG_DNSBL_BAD_REPLY;
    default:
        return FG_DNSBL_FAILED;
    }
}

static void on_end(void *baton, int status, int timeouts, unsigned char *msg, int len)
{
    query_t *query = baton;

    (void)timeouts;
    query->ended = 1;
    if (msg != NULL && len > 0) {
        query->answer = fg_dnsbl_reply_judge(query->zone, msg, (apr_size_t)len);
    }
    else if (status == ARES_ENOTFOUND || status == ARES_ENODATA) {
        query->answer = fg_dnsbl_not_listed(FG_DNSBL_NEGATIVE_DEFAULT);
    }
    else {
        query->answer = fg_dnsbl_unknown(reason_of(status), 0);
    }
}

/* No EDNS, no hosts file, no search domains; and SERVFAIL shall come through to us. */
static int open_channel(ares_channel *channel, const char *resolvers, apr_interval_time_t budget)
{
    char dns_only[] = "b";
    struct ares_options options;
    int status;

    memset(&options, 0, sizeof(options));
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP;
    options.timeout = (int)apr_time_as_msec(budget / TRIES) + 1;
    options.tries = TRIES;
    options.lookups = dns_only;
    status = ares_init_options(channel, &options,
                               ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                   ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS);
    if (status == ARES_SUCCESS && resolvers != NULL) {
        status = ares_set_servers_ports_csv(*channel, resolvers);
        if (status != ARES_SUCCESS) {
            ares_destroy(*channel);
        }
    }
    return status;
}

/* Wait until a socket is ready or something is due, and let c-ares have it. */
static void wait_once(ares_channel channel, apr_interval_time_t left)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    unsigned int ready = (unsigned int)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
    struct timeval most = {(time_t)apr_time_sec(left), (suseconds_t)apr_time_usec(left)}, tv;
    struct timeval *wait = ares_timeout(channel, &most, &tv);
    nfds_t n, i;

    for (n = 0; n < ARES_GETSOCK_MAXNUM; n++) {
        int reads = ARES_GETSOCK_READABLE(ready, n) != 0;
        int writes = ARES_GETSOCK_WRITABLE(ready, n) != 0;

        if (!reads && !writes) {
            break;
        }
        fds[n].fd = sockets[n];
        fds[n].events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
        fds[n].revents = 0;
    }
    if (poll(fds, n, (int)(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1)) <= 0) {
        ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        return;
    }
    for (i = 0; i < n; i++) {
        if (fds[i].revents) {
            ares_process_fd(channel, fds[i].revents & ~POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
                            fds[i].revents & ~POLLIN ? fds[i].fd : ARES_SOCKET_BAD);
        }
    }
}

/* Ask the resolvers in their order until one answers. @return 0 when time ran out */
static int ask_channel(ares_channel channel, query_t *query, const char *name, apr_time_t deadline)
{
    query->ended = 0;
    ares_query(channel, name, CLASS_IN, TYPE_A, on_end, query);
    while (!query->ended) {
        apr_interval_time_t left = deadline - steady_now();

        if (left <= 0) {
            return 0;
        }
        wait_once(channel, left);
    }
    return 1;
}

/*
 * A resolver that answers with an error is no reason not to ask the next. c-ares would go on to
 * it by itself, but not say in the end what the error was.
 */
static void ask_resolvers(ares_channel channel, query_t *query, const char *name,
                          apr_time_t deadline)
{
    struct ares_addr_port_node *resolvers = NULL, *next;

    if (!ask_channel(channel, query, name, deadline)) {
        return;
    }
    if (query->answer.reason != FG_DNSBL_SERVFAIL && query->answer.reason != FG_DNSBL_REFUSED) {
        return;
    }
    if (ares_get_servers_ports(channel, &resolvers) != ARES_SUCCESS) {
        return;
    }
    for (next = resolvers; next != NULL && next->next != NULL; next = next->next) {
        fg_dnsbl_answer_t error = query->answer;

        if (ares_set_servers_ports(channel, next->next) != ARES_SUCCESS ||
            !ask_channel(channel, query, name, deadline)) {
            query->answer = error;
            break;
        }
        if (query->answer.status != FG_DNSBL_UNKNOWN) {
            break;
        }
    }
    ares_free_data(resolvers);
}

static fg_dnsbl_answer_t ask(const char *resolvers, const fg_dnsbl_zone_t *zone,
                             const fg_address_t *address, apr_interval_time_t budget)
{
    const apr_time_t deadline = steady_now() + budget;
    query_t query = {zone, fg_dnsbl_unknown(FG_DNSBL_TIMEOUT, 0), 0};
    fg_dnsbl_answer_t answer;
    char name[QUERY_MAX + 1];
    ares_channel channel;

    write_query(name, zone, address);
    if (open_channel(&channel, resolvers, budget) != ARES_SUCCESS) {
        return fg_dnsbl_unknown(FG_DNSBL_FAILED, 0);
    }
    ask_resolvers(channel, &query, name, deadline);
    answer = query.answer; /* a query that is still on its way ends now */
    ares_destroy(channel);
    return answer;
}

/* c-ares takes 99999 for a port and asks another one. An IPv6 address without brackets has none. */
static int ports_are_right(const char *resolvers)
{
    const char *p = resolvers;

    while (*p != '\0') {
        apr_size_t len = strcspn(p, ",");
        const char *port = memchr(p, *p == '[' ? ']' : ':', len);
        long number = 0;

        if (port != NULL && *p == '[') {
            port = port + 1 < p + len ? port + 1 : NULL;
        }
        if (port != NULL && (*p == '[' || memchr(port + 1, ':', len - (port + 1 - p)) == NULL)) {
            const char *digit;

            for (digit = port + 1; digit < p + len && number <= 65535; digit++) {
                number = *digit >= '0' && *digit <= '9' ? number * 10 + (*digit - '0') : 65536;
            }
            if (*port != ':' || number < 1 || number > 65535) {
                return 0;
            }
        }
        p += len + (p[len] == ',');
    }
    return 1;
}

apr_status_t fg_dnsbl_create(fg_dnsbl_t **dnsbl, const char *resolvers, apr_pool_t *pool)
{
    ares_channel channel;
    int status;

    *dnsbl = NULL;
    if (resolvers != NULL && (*resolvers == '\0' || !ports_are_right(resolvers))) {
        return APR_EINVAL;
    }
    /* Never undone: it only counts, and at the end of a child its threads may still be asking. */
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        return APR_EGENERAL;
    }
    status = open_channel(&channel, resolvers, apr_time_from_sec(1));
    if (status != ARES_SUCCESS) {
        return status == ARES_ENOMEM ? APR_ENOMEM : resolvers ? APR_EINVAL : APR_EGENERAL;
    }
    ares_destroy(channel);
    *dnsbl = apr_palloc(pool, sizeof(**dnsbl));
    (*dnsbl)->resolvers = resolvers ? apr_pstrdup(pool, resolvers) : NULL;
    return APR_SUCCESS;
}

static void set_result(fg_dnsbl_result_t *result, const fg_dnsbl_answer_t *answer, int cached)
{
    memset(result, 0, sizeof(*result));
    result->status = answer->status;
    result->reason = answer->reason;
    result->code = answer->code;
    result->cached = cached;
}

void fg_dnsbl_check(fg_dnsbl_t *dnsbl, fg_dnsbl_cache_t *shared, const fg_dnsbl_zone_t *zone,
                    const fg_address_t *address, apr_time_t now, apr_time_t deadline,
                    fg_dnsbl_result_t *result)
{
    fg_dnsbl_cache_t cache = *shared; /* the pool of it may go while we wait */
    fg_dnsbl_answer_t answer = fg_dnsbl_not_listed(0);
    fg_dnsbl_ticket_t ticket;
    apr_interval_time_t budget = deadline - now < BUDGET_MAX ? deadline - now : BUDGET_MAX;
    apr_uint64_t key;
    apr_time_t start;

    set_result(result, &answer, 1);
    if (fg_address_is_private(address)) {
        return;
    }
    key = fg_dnsbl_cache_key(&cache, zone, address);
    if (fg_dnsbl_cache_get(&cache, key, now, &answer)) {
        set_result(result, &answer, 1);
        return;
    }
    if (budget <= 0) {
        answer = fg_dnsbl_unknown(FG_DNSBL_TIMEOUT, 0);
        set_result(result, &answer, 1);
        return;
    }
    if (!fg_dnsbl_cache_enter(&cache, zone, now, budget, &ticket, &answer)) {
        set_result(result, &answer, 1);
        return;
    }
    start = steady_now();
    answer = ask(dnsbl->resolvers, zone, address, budget);
    set_result(result, &answer, 0);
    result->took = steady_now() - start;
    now += result->took;
    if (answer.status != FG_DNSBL_UNKNOWN || ticket.slot < 0) {
        fg_dnsbl_cache_put(&cache, key, now, &answer);
    }
    result->changed = fg_dnsbl_cache_leave(&cache, &ticket, now, &answer);
}
