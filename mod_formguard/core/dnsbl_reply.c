/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dnsbl_reply.c
 * @brief A DNS message (RFC 1035 4) read for what a blocklist says in it. It may come from anybody.
 */
#include "dnsbl_internal.h"

#define RCODE_SERVFAIL 2
#define RCODE_NXDOMAIN 3
#define RCODE_REFUSED  5

#define TYPE_A     1
#define TYPE_CNAME 5
#define TYPE_SOA   6
#define CLASS_IN   1

/* A message and how far it is read. */
typedef struct reader {
    const unsigned char *p;
    const unsigned char *end;
    int bad; /* it ended where more was due, or a name is none */
} reader_t;

typedef struct record {
    apr_uint32_t type;
    apr_uint32_t class;
    apr_uint32_t ttl;
    reader_t data;
} record_t;

/* What the answer section holds. */
typedef struct found {
    unsigned int addresses;
    apr_uint32_t ttl;     /* the least */
    int listed;           /* some code counts: */
    apr_uint32_t code;    /* the lowest of them */
    apr_uint32_t error;   /* a code 127.255.255.x, or 0 */
    apr_uint32_t foreign; /* what no list says */
    int tampered;
} found_t;

static const unsigned char *take(reader_t *in, apr_size_t n)
{
    const unsigned char *p = in->p;

    if (in->bad || (apr_size_t)(in->end - in->p) < n) {
        in->bad = 1;
        return NULL;
    }
    in->p += n;
    return p;
}

static apr_uint32_t take_number(reader_t *in, apr_size_t bytes)
{
    const unsigned char *p = take(in, bytes);
    apr_uint32_t value = 0;

    while (p != NULL && bytes-- > 0) {
        value = value << 8 | *p++;
    }
    return value;
}

/* Names are stepped over, and pointers in them not followed: nothing is made of them. */
static void skip_name(reader_t *in)
{
    while (!in->bad) {
        apr_uint32_t len = take_number(in, 1);

        if (len >= 0xc0) {
            take(in, 1);
            return;
        }
        if (len > 63) {
            in->bad = 1;
        }
        if (len == 0) {
            return;
        }
        take(in, len);
    }
}

/* RFC 2181 8: the highest bit set means 0. */
static apr_uint32_t take_ttl(reader_t *in)
{
    apr_uint32_t ttl = take_number(in, 4);

    return ttl > 0x7fffffff ? 0 : ttl;
}

static record_t take_record(reader_t *in)
{
    record_t record;
    apr_uint32_t len;

    skip_name(in);
    record.type = take_number(in, 2);
    record.class = take_number(in, 2);
    record.ttl = take_ttl(in);
    len = take_number(in, 2);
    record.data.p = take(in, len);
    record.data.bad = in->bad;
    record.data.end = in->bad ? NULL : record.data.p + len;
    return record;
}

fg_dnsbl_answer_t fg_dnsbl_unknown(fg_dnsbl_reason_t reason, apr_uint32_t code)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_UNKNOWN, reason, code, FG_DNSBL_BACKOFF};

    return answer;
}

fg_dnsbl_answer_t fg_dnsbl_not_listed(apr_interval_time_t ttl)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_NOT_LISTED, FG_DNSBL_WORKING, 0, ttl};

    if (ttl > FG_DNSBL_NOT_LISTED_MAX) {
        answer.ttl = FG_DNSBL_NOT_LISTED_MAX;
    }
    return answer;
}

static void note_address(found_t *found, const fg_dnsbl_zone_t *zone, apr_uint32_t code)
{
    found->addresses++;
    if (code >> 24 != 127 || code == 0x7f000001) {
        found->tampered = 1;
        found->foreign = code;
    }
    else if (code >> 8 == 0x7fffff) {
        found->error = code;
    }
    else if (fg_dnsbl_code_counts(zone, code) && (!found->listed || code < found->code)) {
        found->listed = 1;
        found->code = code;
    }
}

static void read_answers(reader_t *in, unsigned int count, const fg_dnsbl_zone_t *zone,
                         found_t *found)
{
    while (count-- > 0 && !in->bad) {
        record_t record = take_record(in);

        if (in->bad || record.class != CLASS_IN ||
            (record.type != TYPE_A && record.type != TYPE_CNAME)) {
            continue;
        }
        found->ttl = record.ttl < found->ttl ? record.ttl : found->ttl;
        if (record.type == TYPE_A) {
            apr_uint32_t code = take_number(&record.data, 4);

            if (record.data.bad || record.data.p != record.data.end) {
                in->bad = 1;
                return;
            }
            note_address(found, zone, code);
        }
    }
}

/* How long nothing holds (RFC 2308 5), by the SOA among so many records. */
static apr_interval_time_t read_negative_ttl(reader_t *in, unsigned int count)
{
    while (count-- > 0 && !in->bad) {
        record_t record = take_record(in);
        apr_uint32_t minimum;

        if (in->bad || record.class != CLASS_IN || record.type != TYPE_SOA) {
            continue;
        }
        skip_name(&record.data);
        skip_name(&record.data);
        take(&record.data, 16); /* serial, refresh, retry, expire */
        minimum = take_ttl(&record.data);
        in->bad |= record.data.bad;
        return apr_time_from_sec(minimum < record.ttl ? minimum : record.ttl);
    }
    return FG_DNSBL_NEGATIVE_DEFAULT;
}

static fg_dnsbl_reason_t reason_of(apr_uint32_t error_code)
{
    switch (error_code & 0xff) {
    case 252:
        return FG_DNSBL_BAD_QUERY;
    case 254:
        return FG_DNSBL_OPEN_RESOLVER;
    case 255:
        return FG_DNSBL_TOO_MANY;
    default:
        return FG_DNSBL_ERROR_CODE;
    }
}

static fg_dnsbl_answer_t judge_addresses(const found_t *found)
{
    fg_dnsbl_answer_t answer = {FG_DNSBL_LISTED, FG_DNSBL_WORKING, found->code, 0};

    if (found->tampered) {
        return fg_dnsbl_unknown(FG_DNSBL_TAMPERED, found->foreign);
    }
    if (found->error) {
        return fg_dnsbl_unknown(reason_of(found->error), found->error);
    }
    if (!found->listed) {
        return fg_dnsbl_not_listed(apr_time_from_sec(found->ttl));
    }
    answer.ttl = apr_time_from_sec(found->ttl);
    if (answer.ttl > FG_DNSBL_LISTED_MAX) {
        answer.ttl = FG_DNSBL_LISTED_MAX;
    }
    return answer;
}

fg_dnsbl_answer_t fg_dnsbl_reply_judge(const fg_dnsbl_zone_t *zone, const unsigned char *msg,
                                       apr_size_t len)
{
    reader_t in = {msg, msg + len, 0};
    found_t found = {0, 0x7fffffff, 0, 0, 0, 0, 0};
    apr_uint32_t flags, rcode, questions, answers, authorities;
    apr_interval_time_t negative;

    take(&in, 2); /* id */
    flags = take_number(&in, 2);
    rcode = flags & 0xf;
    questions = take_number(&in, 2);
    answers = take_number(&in, 2);
    authorities = take_number(&in, 2);
    take(&in, 2);                                         /* additional records */
    if (in.bad || !(flags & 0x8000) || (flags & 0x200)) { /* no response, or truncated */
        return fg_dnsbl_unknown(FG_DNSBL_BAD_REPLY, 0);
    }
    if (rcode == RCODE_SERVFAIL || rcode == RCODE_REFUSED) {
        return fg_dnsbl_unknown(rcode == RCODE_SERVFAIL ? FG_DNSBL_SERVFAIL : FG_DNSBL_REFUSED, 0);
    }
    if (rcode != 0 && rcode != RCODE_NXDOMAIN) {
        return fg_dnsbl_unknown(FG_DNSBL_BAD_REPLY, 0);
    }
    while (questions-- > 0 && !in.bad) {
        skip_name(&in);
        take(&in, 4);
    }
    read_answers(&in, answers, zone, &found);
    if (!in.bad && found.addresses > 0 && rcode == 0) {
        return judge_addresses(&found);
    }
    negative = read_negative_ttl(&in, authorities);
    return in.bad ? fg_dnsbl_unknown(FG_DNSBL_BAD_REPLY, 0) : fg_dnsbl_not_listed(negative);
}
