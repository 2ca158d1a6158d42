/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_stand_in.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns_message.h"

#define NOBODY 5 /* seconds for a TCP client to send its query */

static int bind_to(int fd, int port)
{
    struct sockaddr_in sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((unsigned short)port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bind(fd, (struct sockaddr *)&sin, sizeof(sin));
}

static int port_of(int fd)
{
    struct sockaddr_in sin;
    socklen_t len = sizeof(sin);

    return getsockname(fd, (struct sockaddr *)&sin, &len) ? -1 : ntohs(sin.sin_port);
}

/* One port for both, which takes a try or two. */
static int open_both(int *udp, int *tcp)
{
    int tries, port;

    for (tries = 0; tries < 50; tries++) {
        *udp = socket(AF_INET, SOCK_DGRAM, 0);
        *tcp = socket(AF_INET, SOCK_STREAM, 0);
        if (*udp >= 0 && *tcp >= 0 && bind_to(*udp, 0) == 0) {
            port = port_of(*udp);
            if (port > 0 && bind_to(*tcp, port) == 0) {
                return port;
            }
        }
        close(*udp);
        close(*tcp);
    }
    return -1;
}

int dns_free_port(void)
{
    int udp, tcp, port = open_both(&udp, &tcp);

    if (port > 0) {
        close(udp);
        close(tcp);
    }
    return port;
}

/* @return 0 if it is no query */
static int read_query(dns_stand_in_t *dns, const unsigned char *msg, size_t len)
{
    size_t at = 12, out = 0;

    while (at < len && msg[at] && at + msg[at] < len && out + msg[at] + 2 < sizeof(dns->name)) {
        memcpy(dns->name + out, msg + at + 1, msg[at]);
        out += msg[at];
        at += msg[at] + 1U;
        dns->name[out++] = '.';
    }
    dns->name[out ? out - 1 : 0] = '\0';
    dns->plain = len == at + 5 && memcmp(msg + 2, "\1\0\0\1\0\0\0\0\0\0", 10) == 0 &&
                 memcmp(msg + at, "\0\0\1\0\1", 5) == 0;
    return len >= at + 5;
}

static void make_reply(dns_message_t *msg, const char *name, unsigned int id, int flags,
                       unsigned long address)
{
    dns_begin(msg, id, (unsigned int)(DNS_QR | 0x180 | flags), name);
    if (address) {
        dns_a(msg, 300, address);
    }
    else if ((flags & 15) == DNS_NXDOMAIN) {
        dns_soa(msg, 90, 90);
    }
}

static void make_noise(dns_message_t *msg, size_t keep)
{
    static unsigned int seed = 1;

    for (msg->len = keep; msg->len < 200; msg->len++) {
        msg->bytes[msg->len] = (unsigned char)rand_r(&seed);
    }
}

static void send_to(int fd, const dns_message_t *msg, const struct sockaddr_in *to)
{
    (void)!sendto(fd, msg->bytes, msg->len, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof(*to));
}

static void forge(dns_stand_in_t *dns, int mode, unsigned int id, const struct sockaddr_in *to)
{
    dns_message_t msg;

    if (mode == DNS_WRONG_ID || mode == DNS_FORGED_FIRST || mode == DNS_FLOOD) {
        make_reply(&msg, dns->name, id ^ 0x5a5a, 0, 0x7f000002);
        send_to(dns->udp, &msg, to);
    }
    if (mode == DNS_WRONG_QUESTION || mode == DNS_FORGED_FIRST) {
        make_reply(&msg, "1.1.1.1.other.test", id, 0, 0x7f000002);
        send_to(dns->udp, &msg, to);
    }
    if (mode == DNS_OTHER_PORT || mode == DNS_FORGED_FIRST) {
        make_reply(&msg, dns->name, id, 0, 0x7f000002);
        send_to(dns->other, &msg, to);
    }
}

static void flood(dns_stand_in_t *dns, unsigned int id, const struct sockaddr_in *to)
{
    struct pollfd stop = {dns->stop[0], POLLIN, 0};
    int i;

    while (atomic_load(&dns->mode) == DNS_FLOOD && poll(&stop, 1, 0) == 0) {
        for (i = 0; i < 100; i++) {
            forge(dns, DNS_FLOOD, id, to);
        }
    }
}

/* The reply of a mode that has one. @return 0 for the others */
static int answer(dns_stand_in_t *dns, int mode, unsigned int id, dns_message_t *msg)
{
    static const struct {
        int mode, flags;
        unsigned long address;
    } replies[] = {
        {DNS_LISTED, 0, 0x7f000002},
        {DNS_NOT_LISTED, DNS_NXDOMAIN, 0},
        {DNS_FORGED_FIRST, DNS_NXDOMAIN, 0},
        {DNS_SAYS_SERVFAIL, DNS_SERVFAIL, 0},
        {DNS_SAYS_REFUSED, DNS_REFUSED, 0},
        {DNS_SAYS_FORMERR, 1, 0},
        {DNS_REWRITES, 0, 0x0a000001},
        {DNS_EMPTY, 0, 0},
        {DNS_NOISE, 0, 0},
        {DNS_NOISE_WITH_ID, 0, 0x7f000002},
        {DNS_CUT, 0, 0x7f000002},
        {DNS_TC_LISTED, DNS_TC, 0},
        {DNS_TC_SILENT, DNS_TC, 0},
        {DNS_TC_CLOSES, DNS_TC, 0},
        {DNS_TC_TC, DNS_TC, 0},
        {DNS_SECOND_TRY, 0, 0x7f000002},
    };
    size_t i;

    for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        if (replies[i].mode == mode) {
            make_reply(msg, dns->name, id, replies[i].flags, replies[i].address);
            if (mode == DNS_EMPTY) {
                msg->len = 0;
            }
            else if (mode == DNS_NOISE) {
                make_noise(msg, 0);
            }
            else if (mode == DNS_NOISE_WITH_ID) {
                make_noise(msg, msg->len - 16);
            }
            else if (mode == DNS_CUT) {
                msg->len -= 3;
            }
            return mode != DNS_SECOND_TRY || atomic_load(&dns->asked) > 1;
        }
    }
    return 0;
}

static void serve_udp(dns_stand_in_t *dns)
{
    unsigned char query[512];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(dns->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);
    int mode = atomic_load(&dns->mode);
    unsigned int id;
    dns_message_t msg;

    if (n < 12 || !read_query(dns, query, (size_t)n)) {
        return;
    }
    id = (unsigned int)(query[0] << 8 | query[1]);
    atomic_fetch_add(&dns->asked, 1);
    forge(dns, mode, id, &from);
    if (mode == DNS_FLOOD) {
        flood(dns, id, &from);
    }
    if (answer(dns, mode, id, &msg)) {
        send_to(dns->udp, &msg, &from);
    }
}

/* One connection after the other, each until the client goes. */
static void serve_tcp(dns_stand_in_t *dns)
{
    const struct timeval most = {NOBODY, 0};
    unsigned char query[512];
    int fd = accept(dns->tcp, NULL, NULL), mode = atomic_load(&dns->mode);
    dns_message_t msg, framed;
    ssize_t n;

    if (fd < 0) {
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    n = recv(fd, query, sizeof(query), 0);
    if (n >= 14 && read_query(dns, query + 2, (size_t)n - 2)) {
        atomic_fetch_add(&dns->asked_tcp, 1);
        make_reply(&msg, dns->name, (unsigned int)(query[2] << 8 | query[3]),
                   mode == DNS_TC_TC ? DNS_TC : 0, 0x7f000002);
        framed.len = 0;
        dns_number(&framed, msg.len, 2);
        memcpy(framed.bytes + 2, msg.bytes, msg.len);
        framed.len += mode == DNS_TC_CLOSES ? msg.len / 2 : msg.len;
        if (mode != DNS_TC_SILENT) {
            (void)!send(fd, framed.bytes, framed.len, MSG_NOSIGNAL);
        }
        if (mode != DNS_TC_CLOSES) {
            (void)!recv(fd, query, sizeof(query), 0);
        }
    }
    close(fd);
}

static void *serve(void *baton)
{
    dns_stand_in_t *dns = baton;
    struct pollfd fds[3] = {
        {dns->udp, POLLIN, 0}, {dns->tcp, POLLIN, 0}, {dns->stop[0], POLLIN, 0}};

    while (poll(fds, 3, -1) > 0 && !fds[2].revents) {
        if (fds[0].revents) {
            serve_udp(dns);
        }
        if (fds[1].revents) {
            serve_tcp(dns);
        }
    }
    return NULL;
}

int dns_stand_in_start(dns_stand_in_t *dns)
{
    memset(dns, 0, sizeof(*dns));
    dns->port = open_both(&dns->udp, &dns->tcp);
    dns->other = socket(AF_INET, SOCK_DGRAM, 0);
    return dns->port < 0 || dns->other < 0 || bind_to(dns->other, 0) || listen(dns->tcp, 5) ||
           pipe(dns->stop) || fcntl(dns->udp, F_SETFL, O_NONBLOCK) ||
           fcntl(dns->tcp, F_SETFL, O_NONBLOCK) || pthread_create(&dns->thread, NULL, serve, dns);
}

int dns_stand_in_stop(dns_stand_in_t *dns)
{
    close(dns->stop[1]);
    pthread_join(dns->thread, NULL);
    close(dns->stop[0]);
    close(dns->udp);
    close(dns->tcp);
    return close(dns->other);
}

void dns_stand_in_mode(dns_stand_in_t *dns, dns_mode_t mode)
{
    atomic_store(&dns->mode, mode);
    atomic_store(&dns->asked, 0);
    atomic_store(&dns->asked_tcp, 0);
}
