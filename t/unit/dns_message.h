/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dns_message.h
 * @brief For tests: DNS messages made by hand, right and wrong ones.
 */
#ifndef FG_TEST_DNS_MESSAGE_H
#define FG_TEST_DNS_MESSAGE_H

#include <string.h>

enum { DNS_QR = 0x8000, DNS_TC = 0x200, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };
enum { DNS_AT_ANSWERS = 6, DNS_AT_AUTHORITIES = 8, DNS_AT_ADDITIONALS = 10 };

typedef struct dns_message {
    unsigned char bytes[4096];
    size_t len;
} dns_message_t;

static inline void dns_number(dns_message_t *msg, unsigned long value, int bytes)
{
    while (bytes-- > 0) {
        msg->bytes[msg->len++] = (unsigned char)(value >> (8 * bytes));
    }
}

/** A name as text, without a dot at the end. */
static inline void dns_name(dns_message_t *msg, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");

        dns_number(msg, n, 1);
        memcpy(msg->bytes + msg->len, name, n);
        msg->len += n;
        name += n + (name[n] == '.');
    }
    dns_number(msg, 0, 1);
}

/** Header and the question for an A record. */
static inline void dns_begin(dns_message_t *msg, unsigned int id, unsigned int flags,
                             const char *name)
{
    msg->len = 0;
    dns_number(msg, id, 2);
    dns_number(msg, flags, 2);
    dns_number(msg, 1, 2);
    dns_number(msg, 0, 6);
    dns_name(msg, name);
    dns_number(msg, 1, 2);
    dns_number(msg, 1, 2);
}

/** One more record is said to be there. */
static inline void dns_count(dns_message_t *msg, int section)
{
    msg->bytes[section + 1]++;
}

/** Owner (the question's name, as a pointer), type, class IN, TTL; the length is to follow. */
static inline void dns_record(dns_message_t *msg, int section, unsigned int type, unsigned long ttl)
{
    dns_count(msg, section);
    dns_number(msg, 0xc00c, 2);
    dns_number(msg, type, 2);
    dns_number(msg, 1, 2);
    dns_number(msg, ttl, 4);
}

static inline void dns_a(dns_message_t *msg, unsigned long ttl, unsigned long address)
{
    dns_record(msg, DNS_AT_ANSWERS, 1, ttl);
    dns_number(msg, 4, 2);
    dns_number(msg, address, 4);
}

static inline void dns_cname(dns_message_t *msg, unsigned long ttl)
{
    dns_record(msg, DNS_AT_ANSWERS, 5, ttl);
    dns_number(msg, 5, 2);
    dns_name(msg, "a.b");
}

static inline void dns_soa(dns_message_t *msg, unsigned long ttl, unsigned long minimum)
{
    dns_record(msg, DNS_AT_AUTHORITIES, 6, ttl);
    dns_number(msg, 5 + 3 + 20, 2);
    dns_name(msg, "a.b");
    dns_name(msg, "c");
    dns_number(msg, 1, 4);
    dns_number(msg, 2, 4);
    dns_number(msg, 3, 4);
    dns_number(msg, 4, 4);
    dns_number(msg, minimum, 4);
}

#endif
