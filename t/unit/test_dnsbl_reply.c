/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dns_message.h"
#include "dnsbl_internal.h"

#define NAME "1.2.0.192.bl.test"
#define SEC  APR_USEC_PER_SEC

static const fg_dnsbl_zone_t zone = {
    "bl.test", "bl.test", 2, {{0x7f000002, 0x7f000004}, {0x7f000009, 0x7f000009}}};

static dns_message_t msg;

/* From the heap, so that a byte read too far is found. */
static fg_dnsbl_answer_t judge_bytes(const unsigned char *bytes, size_t len)
{
    unsigned char *copy = malloc(len ? len : 1);
    fg_dnsbl_answer_t answer;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    answer = fg_dnsbl_reply_judge(&zone, copy, len);
    free(copy);
    return answer;
}

static void expect(fg_dnsbl_status_t status, fg_dnsbl_reason_t reason, apr_uint32_t code,
                   apr_interval_time_t ttl)
{
    fg_dnsbl_answer_t answer = judge_bytes(msg.bytes, msg.len);

    assert_int_equal(answer.status, status);
    assert_int_equal(answer.reason, reason);
    assert_int_equal(answer.code, code);
    assert_int_equal(answer.ttl, ttl);
}

static void expect_listed(apr_uint32_t code, int seconds)
{
    expect(FG_DNSBL_LISTED, FG_DNSBL_WORKING, code, seconds * SEC);
}

static void expect_not_listed(int seconds)
{
    expect(FG_DNSBL_NOT_LISTED, FG_DNSBL_WORKING, 0, seconds * SEC);
}

static void expect_unknown(fg_dnsbl_reason_t reason, apr_uint32_t code)
{
    expect(FG_DNSBL_UNKNOWN, reason, code, FG_DNSBL_BACKOFF);
}

static void listings(void **state)
{
    (void)state;
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 300, 0x7f000002);
    expect_listed(0x7f000002, 300);
    dns_a(&msg, 200, 0x7f000009); /* the lowest code that counts, the least TTL */
    expect_listed(0x7f000002, 200);

    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 300, 0x7f00000a);
    dns_a(&msg, 300, 0x7f000009);
    dns_a(&msg, 300, 0x7f000003);
    dns_a(&msg, 300, 0x7f00000b);
    expect_listed(0x7f000003, 300);

    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_cname(&msg, 50);
    dns_a(&msg, 300, 0x7f000004);
    expect_listed(0x7f000004, 50);
}

static void ttls(void **state)
{
    (void)state;
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 3601, 0x7f000002);
    expect_listed(0x7f000002, 3600);
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 0x7fffffff, 0x7f000002);
    expect_listed(0x7f000002, 3600);
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 0x80000000, 0x7f000002);
    expect_listed(0x7f000002, 0);
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 3600, 0x7f00000a); /* a code that does not count */
    expect_not_listed(600);
}

static void negative_answers(void **state)
{
    (void)state;
    dns_begin(&msg, 1, DNS_QR | DNS_NXDOMAIN, NAME);
    expect_not_listed(60);
    dns_soa(&msg, 90, 120);
    expect_not_listed(90);
    dns_begin(&msg, 1, DNS_QR | DNS_NXDOMAIN, NAME);
    dns_soa(&msg, 120, 80);
    expect_not_listed(80);
    dns_begin(&msg, 1, DNS_QR, NAME); /* the name is there, an A record is not */
    dns_soa(&msg, 86400, 86400);
    expect_not_listed(600);
    dns_begin(&msg, 1, DNS_QR | DNS_NXDOMAIN, NAME);
    dns_soa(&msg, 0x80000000, 80);
    expect_not_listed(0);
    dns_begin(&msg, 1, DNS_QR, NAME); /* CNAME to nowhere */
    dns_cname(&msg, 5);
    dns_soa(&msg, 70, 70);
    expect_not_listed(70);
    dns_begin(&msg, 1, DNS_QR | DNS_NXDOMAIN, NAME); /* no such name, so no listing of it */
    dns_a(&msg, 300, 0x7f000002);
    expect_not_listed(60);
}

static void error_codes(void **state)
{
    static const struct {
        apr_uint32_t code;
        fg_dnsbl_reason_t reason;
    } cases[] = {{0x7ffffffc, FG_DNSBL_BAD_QUERY},  {0x7ffffffe, FG_DNSBL_OPEN_RESOLVER},
                 {0x7fffffff, FG_DNSBL_TOO_MANY},   {0x7ffffffd, FG_DNSBL_ERROR_CODE},
                 {0x7fffff00, FG_DNSBL_ERROR_CODE}, {0x7f000001, FG_DNSBL_TAMPERED},
                 {0x0a000001, FG_DNSBL_TAMPERED},   {0x00000000, FG_DNSBL_TAMPERED},
                 {0xc0000201, FG_DNSBL_TAMPERED}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dns_begin(&msg, 1, DNS_QR, NAME);
        dns_a(&msg, 300, cases[i].code);
        expect_unknown(cases[i].reason, cases[i].code);
        dns_a(&msg, 300, 0x7f000002); /* a listing beside it is no listing */
        expect_unknown(cases[i].reason, cases[i].code);
    }
}

static void refusals(void **state)
{
    static const unsigned int odd[] = {1, 4, 6, 9, 15};
    size_t i;

    (void)state;
    dns_begin(&msg, 1, DNS_QR | DNS_SERVFAIL, NAME);
    expect_unknown(FG_DNSBL_SERVFAIL, 0);
    dns_begin(&msg, 1, DNS_QR | DNS_REFUSED, NAME);
    dns_a(&msg, 300, 0x7f000002);
    expect_unknown(FG_DNSBL_REFUSED, 0);
    for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        dns_begin(&msg, 1, DNS_QR | odd[i], NAME);
        expect_unknown(FG_DNSBL_BAD_REPLY, 0);
    }
    dns_begin(&msg, 1, 0, NAME); /* a query */
    dns_a(&msg, 300, 0x7f000002);
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);
    dns_begin(&msg, 1, DNS_QR | DNS_TC, NAME);
    dns_a(&msg, 300, 0x7f000002);
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);
}

static void other_records_say_nothing(void **state)
{
    (void)state;
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_record(&msg, DNS_AT_ANSWERS, 16, 10); /* TXT */
    dns_number(&msg, 3, 2);
    dns_number(&msg, 0x020202, 3);
    dns_record(&msg, DNS_AT_ANSWERS, 1, 10); /* A of another class */
    msg.bytes[msg.len - 5] = 3;
    dns_number(&msg, 4, 2);
    dns_number(&msg, 0x7f000002, 4);
    expect_not_listed(60);
    dns_a(&msg, 20, 0x7f000002);
    dns_record(&msg, DNS_AT_AUTHORITIES, 1, 10); /* A where answers are not */
    dns_number(&msg, 4, 2);
    dns_number(&msg, 0x0a000001, 4);
    expect_listed(0x7f000002, 20);
}

static void bad_records(void **state)
{
    (void)state;
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_count(&msg, DNS_AT_ANSWERS); /* one that is not there */
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);

    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_record(&msg, DNS_AT_ANSWERS, 1, 10);
    dns_number(&msg, 3, 2);
    dns_number(&msg, 0x7f0000, 3);
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);

    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_record(&msg, DNS_AT_ANSWERS, 1, 10);
    dns_number(&msg, 5, 2);
    dns_number(&msg, 0x7f000002, 4);
    dns_number(&msg, 0, 1);
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);

    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_record(&msg, DNS_AT_ANSWERS, 1, 10);
    dns_number(&msg, 0xffff, 2); /* longer than the message */
    dns_number(&msg, 0x7f000002, 4);
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);

    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 300, 0x7f000002);
    msg.bytes[12] = 0x80; /* neither a length nor a pointer */
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);

    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_a(&msg, 300, 0x7f000002);
    msg.bytes[4] = 0xff; /* 65281 questions */
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);

    dns_begin(&msg, 1, DNS_QR | DNS_NXDOMAIN, NAME);
    dns_record(&msg, DNS_AT_AUTHORITIES, 6, 10); /* SOA cut short inside its length */
    dns_number(&msg, 4, 2);
    dns_number(&msg, 0, 4);
    expect_unknown(FG_DNSBL_BAD_REPLY, 0);
}

/* Cut anywhere, a listing is no listing. */
static void cut_messages(void **state)
{
    size_t len;

    (void)state;
    dns_begin(&msg, 1, DNS_QR, NAME);
    dns_cname(&msg, 300);
    dns_a(&msg, 300, 0x7f000002);
    for (len = 0; len < msg.len; len++) {
        fg_dnsbl_answer_t answer = judge_bytes(msg.bytes, len);

        assert_int_equal(answer.status, FG_DNSBL_UNKNOWN);
        assert_int_equal(answer.reason, FG_DNSBL_BAD_REPLY);
    }
    dns_begin(&msg, 1, DNS_QR | DNS_NXDOMAIN, NAME);
    dns_soa(&msg, 300, 300);
    for (len = 0; len < msg.len; len++) {
        assert_int_equal(judge_bytes(msg.bytes, len).reason, FG_DNSBL_BAD_REPLY);
    }
}

/* Any bytes are judged to something that can be; the sanitizers watch. */
static void damaged_messages(void **state)
{
    apr_uint64_t random = APR_UINT64_C(0x9e3779b97f4a7c15);
    dns_message_t whole;
    int round;

    (void)state;
    dns_begin(&whole, 1, DNS_QR, NAME);
    dns_cname(&whole, 300);
    dns_a(&whole, 300, 0x7f000002);
    dns_soa(&whole, 300, 300);
    for (round = 0; round < 20000; round++) {
        fg_dnsbl_answer_t answer;
        int hits;

        msg = whole;
        for (hits = 0; hits < 1 + round % 4; hits++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            msg.bytes[(random >> 16) % msg.len] = (unsigned char)random;
        }
        answer = judge_bytes(msg.bytes, round % 3 ? msg.len : (random >> 40) % (msg.len + 1));
        assert_in_range(answer.status, FG_DNSBL_NOT_LISTED, FG_DNSBL_UNKNOWN);
        assert_in_range(answer.reason, FG_DNSBL_WORKING, FG_DNSBL_REASONS - 1);
        assert_int_equal(answer.status == FG_DNSBL_UNKNOWN, answer.reason != FG_DNSBL_WORKING);
        assert_in_range(answer.ttl, 0, FG_DNSBL_LISTED_MAX);
        if (answer.status == FG_DNSBL_LISTED) {
            assert_true(fg_dnsbl_code_counts(&zone, answer.code));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listings),         cmocka_unit_test(ttls),
        cmocka_unit_test(negative_answers), cmocka_unit_test(error_codes),
        cmocka_unit_test(refusals),         cmocka_unit_test(other_records_say_nothing),
        cmocka_unit_test(bad_records),      cmocka_unit_test(cut_messages),
        cmocka_unit_test(damaged_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
