/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file address.c
 * @brief Client addresses: one form for one client, whatever family it came in by.
 */
#include "address.h"

#include <arpa/inet.h>
#include <string.h>

/* ::ffff:0:0/96 holds IPv4 (RFC 4291 2.5.5.2). */
static const unsigned char v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_none(fg_address_t *address)
{
    memset(address, 0, sizeof(*address));
}

static void set_v4(fg_address_t *address, const unsigned char *bytes)
{
    set_none(address);
    address->family = 4;
    memcpy(address->bytes, bytes, 4);
}

static void set_v6(fg_address_t *address, const unsigned char *bytes)
{
    if (memcmp(bytes, v4_mapped, sizeof(v4_mapped)) == 0) {
        set_v4(address, bytes + sizeof(v4_mapped));
        return;
    }
    address->family = 6;
    memcpy(address->bytes, bytes, 16);
}

apr_status_t fg_address_parse(fg_address_t *address, const char *text)
{
    char bare[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    const char *scope;
    size_t len;

    set_none(address);
    if (!text) {
        return APR_EINVAL;
    }
    scope = strchr(text, '%');
    len = scope ? (size_t)(scope - text) : strlen(text);
    if (len >= sizeof(bare) || (scope && scope[1] == '\0')) {
        return APR_EINVAL;
    }
    memcpy(bare, text, len);
    bare[len] = '\0';
    if (inet_pton(AF_INET6, bare, bytes) == 1) {
        set_v6(address, bytes);
        return APR_SUCCESS;
    }
    if (!scope && inet_pton(AF_INET, bare, bytes) == 1) {
        set_v4(address, bytes);
        return APR_SUCCESS;
    }
    return APR_EINVAL;
}

void fg_address_from_sockaddr(fg_address_t *address, const apr_sockaddr_t *sa)
{
    set_none(address);
    if (!sa || !sa->ipaddr_ptr) {
        return;
    }
    if (sa->family == APR_INET && sa->ipaddr_len == 4) {
        set_v4(address, sa->ipaddr_ptr);
    }
#if APR_HAVE_IPV6
    else if (sa->family == APR_INET6 && sa->ipaddr_len == 16) {
        set_v6(address, sa->ipaddr_ptr);
    }
#endif
}

/* The family goes in front, so that no IPv4 prefix equals an IPv6 one. */
static apr_size_t prefix_key(const fg_address_t *address, unsigned char *key, apr_size_t v4_bytes,
                             apr_size_t v6_bytes)
{
    apr_size_t len = 0;

    if (address->family == 4) {
        len = v4_bytes;
    }
    else if (address->family == 6) {
        len = v6_bytes;
    }
    key[0] = address->family;
    memcpy(key + 1, address->bytes, len);
    return 1 + len;
}

apr_size_t fg_address_client_key(const fg_address_t *address, unsigned char *key)
{
    return prefix_key(address, key, 4, 8);
}

apr_size_t fg_address_net_key(const fg_address_t *address, unsigned char *key)
{
    return prefix_key(address, key, 3, 6);
}

/* RFC 1122 3.2.1.3, 1918, 3927 and 6598 */
static int is_private_v4(const unsigned char *b)
{
    return b[0] == 0 || b[0] == 10 || b[0] == 127 || (b[0] == 100 && (b[1] & 0xc0) == 64) ||
           (b[0] == 169 && b[1] == 254) || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
           (b[0] == 192 && b[1] == 168);
}

/* RFC 4193, and 4291 2.5.2, 2.5.3 and 2.5.6 */
static int is_private_v6(const unsigned char *b)
{
    static const unsigned char zeros[15];

    if (memcmp(b, zeros, sizeof(zeros)) == 0) {
        return b[15] <= 1;
    }
    return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

int fg_address_is_private(const fg_address_t *address)
{
    switch (address->family) {
    case 4:
        return is_private_v4(address->bytes);
    case 6:
        return is_private_v6(address->bytes);
    default:
        return 1;
    }
}
