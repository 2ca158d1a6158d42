/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dnsbl_zone.c
 * @brief Blocklists as an administrator names them: zones, return codes, and words for the log.
 */
#include "dnsbl.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define CODE(a, b, c, d)                                                                           \
    ((apr_uint32_t)(a) << 24 | (apr_uint32_t)(b) << 16 | (apr_uint32_t)(c) << 8 | (apr_uint32_t)(d))

#define NO_ZONE "is no DNS zone: a name such as bl.example.net"
#define NO_CODE                                                                                    \
    "is no list of return codes: 127.0.0.2, ranges 127.0.0.4-7 or 127.0.0.2-127.0.1.9, ',' "       \
    "between"

/* Zones whose lists include the lines of home users, from .10 on: nobody's fault. */
static const char *const spares_home_users[] = {"zen.spamhaus.org", "zen.dq.spamhaus.net"};

/* Services whose zones start with the customer's key. */
static const char *const has_key[] = {"dq.spamhaus.net", "mail.abusix.zone"};

/* 1 if `name` is `suffix` or lies below it. */
static int lies_in(const char *name, const char *suffix)
{
    apr_size_t n = strlen(name), s = strlen(suffix);

    return n >= s && strcmp(name + n - s, suffix) == 0 && (n == s || name[n - s - 1] == '.');
}

static int lies_in_any(const char *name, const char *const *suffixes, apr_size_t count)
{
    apr_size_t i;

    for (i = 0; i < count; i++) {
        if (lies_in(name, suffixes[i])) {
            return 1;
        }
    }
    return 0;
}

#define LIES_IN_ANY(name, list) lies_in_any(name, list, sizeof(list) / sizeof((list)[0]))

/* @return NULL, or what is wrong; the label is not empty */
static const char *check_label(const char *label, apr_size_t len)
{
    apr_size_t i;

    if (len > 63) {
        return "is no DNS zone: a label is longer than 63 bytes";
    }
    for (i = 0; i < len; i++) {
        if (!apr_isalnum(label[i]) && label[i] != '-' && label[i] != '_') {
            return NO_ZONE;
        }
    }
    return NULL;
}

static const char *check_name(const char *name)
{
    const char *label = name;
    unsigned int labels = 0;
    int numeric = 1;

    if (strlen(name) > FG_DNSBL_ZONE_MAX) {
        return "is longer than 189 bytes: an IPv6 address does not fit before it";
    }
    for (;;) {
        apr_size_t len = strcspn(label, ".");
        const char *error = len == 0 ? NO_ZONE : check_label(label, len);

        if (error != NULL) {
            return error;
        }
        labels++;
        numeric = strspn(label, "0123456789") >= len;
        if (label[len] == '\0') {
            break;
        }
        label += len + 1;
    }
    return labels < 2 || numeric ? NO_ZONE : NULL;
}

const char *fg_dnsbl_zone_parse(fg_dnsbl_zone_t *zone, const char *text, apr_pool_t *pool)
{
    apr_size_t len = strlen(text);
    const char *error;
    char *name, *p;

    if (len > 1 && text[len - 1] == '.') {
        len--;
    }
    name = apr_pstrmemdup(pool, text, len);
    for (p = name; *p != '\0'; p++) {
        *p = (char)apr_tolower(*p);
    }
    error = check_name(name);
    if (error != NULL) {
        return error;
    }
    memset(zone, 0, sizeof(*zone));
    zone->name = zone->shown = name;
    if (LIES_IN_ANY(name, has_key)) {
        zone->shown = apr_pstrcat(pool, "KEY", strchr(name, '.'), NULL);
    }
    zone->nranges = 1;
    zone->ranges[0].first = CODE(127, 0, 0, 2);
    zone->ranges[0].last =
        LIES_IN_ANY(name, spares_home_users) ? CODE(127, 0, 0, 9) : CODE(127, 0, 0, 254);
    return NULL;
}

/* Read a number up to 255. @return what follows, or NULL */
static const char *read_octet(const char *p, apr_uint32_t *octet)
{
    apr_uint32_t value = 0;
    int digits;

    for (digits = 0; digits < 3 && apr_isdigit(p[digits]); digits++) {
        value = value * 10 + (apr_uint32_t)(p[digits] - '0');
    }
    if (digits == 0 || value > 255 || apr_isdigit(p[digits]) || (digits > 1 && *p == '0')) {
        return NULL;
    }
    *octet = value;
    return p + digits;
}

static const char *read_quad(const char *p, apr_uint32_t *quad)
{
    int i;

    *quad = 0;
    for (i = 0; i < 4; i++) {
        apr_uint32_t octet;

        if (i > 0 && *p++ != '.') {
            return NULL;
        }
        p = read_octet(p, &octet);
        if (p == NULL) {
            return NULL;
        }
        *quad = *quad << 8 | octet;
    }
    return p;
}

/* `A.B.C.D`, `A.B.C.D-N` or `A.B.C.D-E.F.G.H`. @return what follows, or NULL */
static const char *read_range(const char *p, fg_dnsbl_range_t *range)
{
    const char *end;
    apr_uint32_t octet = 0;

    p = read_quad(p, &range->first);
    if (p == NULL || *p != '-') {
        range->last = range->first;
        return p;
    }
    end = read_quad(p + 1, &range->last);
    if (end != NULL) {
        return end;
    }
    end = read_octet(p + 1, &octet);
    range->last = (range->first & ~(apr_uint32_t)0xff) | octet;
    return end;
}

static const char *check_range(const fg_dnsbl_range_t *range)
{
    if (range->first >> 24 != 127 || range->last >> 24 != 127) {
        return "has a code outside 127.0.0.0/8: no list returns that (RFC 5782)";
    }
    if (range->last < range->first) {
        return "has a range that ends before it starts";
    }
    if (range->first <= CODE(127, 0, 0, 1) && range->last >= CODE(127, 0, 0, 1)) {
        return "has 127.0.0.1: that is a sign of a tampered resolver, never a listing (RFC 5782)";
    }
    if (range->last >= CODE(127, 255, 255, 0)) {
        return "has an error code (127.255.255.x): that is never a listing";
    }
    return NULL;
}

const char *fg_dnsbl_codes_parse(fg_dnsbl_zone_t *zone, const char *text)
{
    fg_dnsbl_zone_t parsed = *zone;
    const char *p = text;

    memset(parsed.ranges, 0, sizeof(parsed.ranges));
    for (parsed.nranges = 0; parsed.nranges < FG_DNSBL_RANGES_MAX;) {
        fg_dnsbl_range_t *range = &parsed.ranges[parsed.nranges++];
        const char *error;

        p = read_range(p, range);
        if (p == NULL || (*p != '\0' && *p != ',')) {
            return NO_CODE;
        }
        error = check_range(range);
        if (error != NULL) {
            return error;
        }
        if (*p++ == '\0') {
            *zone = parsed;
            return NULL;
        }
    }
    return "has more than 16 codes and ranges";
}

int fg_dnsbl_code_counts(const fg_dnsbl_zone_t *zone, apr_uint32_t code)
{
    unsigned int i;

    for (i = 0; i < zone->nranges; i++) {
        if (code >= zone->ranges[i].first && code <= zone->ranges[i].last) {
            return 1;
        }
    }
    return 0;
}

const char *fg_dnsbl_code_text(char out[FG_DNSBL_CODE_TEXT], apr_uint32_t code)
{
    apr_snprintf(out, FG_DNSBL_CODE_TEXT, "%u.%u.%u.%u", code >> 24, code >> 16 & 255,
                 code >> 8 & 255, code & 255);
    return out;
}

static const struct {
    const char *name;
    const char *text;
} reasons[FG_DNSBL_REASONS] = {
    [FG_DNSBL_WORKING] = {"working", "works"},
    [FG_DNSBL_TIMEOUT] = {"timeout", "did not answer in time"},
    [FG_DNSBL_UNREACHABLE] = {"unreachable", "can't be asked: no resolver can be reached"},
    [FG_DNSBL_SERVFAIL] = {"servfail", "can't be asked: the resolver says SERVFAIL"},
    [FG_DNSBL_REFUSED] = {"refused", "can't be asked: the resolver says REFUSED"},
    [FG_DNSBL_BAD_REPLY] = {"bad-reply", "was answered for with a reply that makes no sense"},
    [FG_DNSBL_FAILED] = {"failed", "can't be asked: out of memory"},
    [FG_DNSBL_BAD_QUERY] = {"bad-query", "says that its name is mistyped (127.255.255.252)"},
    [FG_DNSBL_OPEN_RESOLVER] = {"open-resolver",
                                "takes no queries through a public resolver (127.255.255.254)"},
    [FG_DNSBL_TOO_MANY] = {"too-many", "says that there were too many queries (127.255.255.255)"},
    [FG_DNSBL_ERROR_CODE] = {"error-code", "returns an error code (127.255.255.x)"},
    [FG_DNSBL_TAMPERED] = {"tampered", "is answered for by a resolver that rewrites answers"},
};

const char *fg_dnsbl_reason_text(fg_dnsbl_reason_t reason)
{
    return reasons[reason].text;
}

const char *fg_dnsbl_reason_name(fg_dnsbl_reason_t reason)
{
    return reasons[reason].name;
}
