/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file address.h
 * @brief A client's address in the form it is counted and looked up by.
 */
#ifndef FG_ADDRESS_H
#define FG_ADDRESS_H

#include <apr_network_io.h>

/**
 * An address. IPv4 and IPv6-mapped IPv4 (`::ffff:192.0.2.1`, RFC 4291 2.5.5.2) are the same:
 * family 4 and four bytes.
 */
typedef struct fg_address {
    unsigned char family;    /**< 4, 6, or 0 for none */
    unsigned char bytes[16]; /**< network order; the first 4 for family 4 */
} fg_address_t;

/** Longest key fg_address_key() writes, in bytes. */
#define FG_ADDRESS_KEY_MAX 17

/**
 * Parse the text of an address (a scope such as `%eth0` is ignored).
 * @return APR_SUCCESS, or APR_EINVAL (and family 0)
 */
apr_status_t fg_address_parse(fg_address_t *address, const char *text);

/** Take the address out of an APR socket address. */
void fg_address_from_sockaddr(fg_address_t *address, const apr_sockaddr_t *sa);

/**
 * The bytes one client is counted under: all of an IPv4 address, the /64 of an IPv6 address
 * (a customer's line has at least that, RFC 6177).
 * @param key FG_ADDRESS_KEY_MAX bytes
 * @return how many bytes were written; clients without an address share one key
 */
apr_size_t fg_address_client_key(const fg_address_t *address, unsigned char *key);

/** The same for its neighbourhood: the /24 of an IPv4 address, the /48 of an IPv6 address. */
apr_size_t fg_address_net_key(const fg_address_t *address, unsigned char *key);

/**
 * 1 for loopback, private, shared (RFC 6598), link-local and unspecified addresses, and for none:
 * they have no country.
 */
int fg_address_is_private(const fg_address_t *address);

#endif
