/* SPDX-License-Identifier: Apache-2.0 */
/* Resolvers that are silent, broken or hostile. A real blocklist: test_dnsbl_rbldnsd.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "dns_stand_in.h"
#include "dnsbl.h"

#define SEC  APR_USEC_PER_SEC
#define NOW  (1000 * SEC)
#define WAIT (SEC / 4)
/* c-ares from 1.31 on never tries again before 250 ms have passed. */
#define WAIT_FOR_RETRY (SEC)
/* What a busy machine may add; far less than any second try would. */
#define LATE (SEC)

static const unsigned char secret[16] = "a secret of ours";
static apr_pool_t *pool;
static void *memory;
static fg_dnsbl_cache_t *cache;
static fg_dnsbl_zone_t zone;
static dns_stand_in_t one, two;
static fg_dnsbl_t *dnsbl;     /* asks one */
static fg_dnsbl_t *dnsbl_two; /* asks one, then two */
static apr_time_t now;
static apr_interval_time_t wait_for;

static fg_dnsbl_t *asking(const char *resolvers)
{
    fg_dnsbl_t *made;

    return fg_dnsbl_create(&made, resolvers, pool) == APR_SUCCESS ? made : NULL;
}

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS ||
        dns_stand_in_start(&one) || dns_stand_in_start(&two)) {
        return 1;
    }
    memory = malloc(fg_dnsbl_cache_size(1024));
    dnsbl = asking(apr_psprintf(pool, "127.0.0.1:%d", one.port));
    dnsbl_two = asking(apr_psprintf(pool, "127.0.0.1:%d,127.0.0.1:%d", one.port, two.port));
    return !memory || !dnsbl || !dnsbl_two || fg_dnsbl_zone_parse(&zone, "bl.test", pool) != NULL;
}

static int tear_down(void **state)
{
    (void)state;
    dns_stand_in_stop(&one);
    dns_stand_in_stop(&two);
    free(memory);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static int fresh_cache(void **state)
{
    apr_size_t size = fg_dnsbl_cache_size(1024);

    (void)state;
    now = NOW;
    wait_for = WAIT;
    dns_stand_in_mode(&one, DNS_SILENT);
    dns_stand_in_mode(&two, DNS_SILENT);
    return fg_dnsbl_cache_format(memory, size, 1024, secret) != APR_SUCCESS ||
           fg_dnsbl_cache_attach(&cache, memory, size, pool) != APR_SUCCESS;
}

static fg_dnsbl_result_t check_by(fg_dnsbl_t *asker, const char *text)
{
    fg_dnsbl_result_t result;
    fg_address_t address;

    assert_int_equal(fg_address_parse(&address, text), APR_SUCCESS);
    memset(&result, 0x55, sizeof(result));
    fg_dnsbl_check(asker, cache, &zone, &address, now, now + wait_for, &result);
    assert_in_range(result.took, 0, wait_for + LATE);
    assert_int_equal(result.reason != FG_DNSBL_WORKING, result.status == FG_DNSBL_UNKNOWN);
    return result;
}

static fg_dnsbl_result_t check(const char *text)
{
    return check_by(dnsbl, text);
}

static void queries(void **state)
{
    static const struct {
        const char *address, *name;
    } cases[] = {
        {"192.0.2.131", "131.2.0.192.bl.test"},
        {"::ffff:192.0.2.255", "255.2.0.192.bl.test"},
        {"2001:db8:1:2:3:4:567:89ab",
         "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.test"},
    };
    char name[] = "a123456789.123456789.123456789.123456789.123456789.123456789.123456789."
                  "123456789.123456789.123456789.123456789.123456789.123456789.123456789."
                  "123456789.123456789.123456789.123456789.1234567a";
    size_t i;

    (void)state;
    dns_stand_in_mode(&one, DNS_NOT_LISTED);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(check(cases[i].address).status, FG_DNSBL_NOT_LISTED);
        assert_string_equal(one.name, cases[i].name);
        assert_true(one.plain);
    }
    assert_null(fg_dnsbl_zone_parse(&zone, name, pool));
    assert_int_equal(strlen(zone.name), FG_DNSBL_ZONE_MAX);
    assert_int_equal(check("2001:db8::1").status, FG_DNSBL_NOT_LISTED);
    assert_int_equal(strlen(one.name), 64 + FG_DNSBL_ZONE_MAX);
    assert_null(fg_dnsbl_zone_parse(&zone, "bl.test", pool));
}

static void private_addresses_are_not_asked_for(void **state)
{
    static const char *const addresses[] = {
        "10.1.2.3", "127.0.0.2", "192.168.1.1", "172.16.0.1", "169.254.1.1",    "100.64.0.1",
        "0.0.0.0",  "::1",       "fe80::1",     "fd00::1",    "::ffff:10.0.0.1"};
    const fg_address_t none = {0, {0}};
    fg_dnsbl_result_t result;
    size_t i;

    (void)state;
    dns_stand_in_mode(&one, DNS_LISTED);
    for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_int_equal(check(addresses[i]).status, FG_DNSBL_NOT_LISTED);
    }
    fg_dnsbl_check(dnsbl, cache, &zone, &none, now, now + WAIT, &result);
    assert_int_equal(result.status, FG_DNSBL_NOT_LISTED);
    assert_int_equal(atomic_load(&one.asked), 0);
    assert_int_equal(check("192.0.2.1").status, FG_DNSBL_LISTED);
    assert_int_equal(atomic_load(&one.asked), 1);
}

static void answers_are_cached(void **state)
{
    fg_dnsbl_result_t result;

    (void)state;
    dns_stand_in_mode(&one, DNS_LISTED);
    result = check("192.0.2.1");
    assert_int_equal(result.status, FG_DNSBL_LISTED);
    assert_int_equal(result.code, 0x7f000002);
    assert_false(result.cached);
    assert_false(result.changed);
    assert_true(result.took > 0);
    result = check("192.0.2.1");
    assert_int_equal(result.status, FG_DNSBL_LISTED);
    assert_int_equal(result.code, 0x7f000002);
    assert_true(result.cached);
    assert_int_equal(result.took, 0);
    assert_int_equal(atomic_load(&one.asked), 1);
    now += 298 * SEC;
    assert_true(check("192.0.2.1").cached);
    dns_stand_in_mode(&one, DNS_NOT_LISTED);
    now += 4 * SEC;
    result = check("192.0.2.1");
    assert_int_equal(result.status, FG_DNSBL_NOT_LISTED);
    assert_false(result.cached);
    now += 88 * SEC;
    assert_true(check("192.0.2.1").cached);
    now += 4 * SEC;
    assert_false(check("192.0.2.1").cached);
}

static void without_time_only_the_cache_is_asked(void **state)
{
    fg_dnsbl_result_t result;
    fg_address_t address;

    (void)state;
    dns_stand_in_mode(&one, DNS_LISTED);
    assert_int_equal(fg_address_parse(&address, "192.0.2.1"), APR_SUCCESS);
    fg_dnsbl_check(dnsbl, cache, &zone, &address, now, now, &result);
    assert_int_equal(result.status, FG_DNSBL_UNKNOWN);
    assert_int_equal(result.reason, FG_DNSBL_TIMEOUT);
    assert_false(result.changed);
    fg_dnsbl_check(dnsbl, cache, &zone, &address, now, now - SEC, &result);
    assert_int_equal(result.status, FG_DNSBL_UNKNOWN);
    assert_int_equal(atomic_load(&one.asked), 0);
    assert_int_equal(check("192.0.2.1").status, FG_DNSBL_LISTED); /* the zone is none the worse */
    fg_dnsbl_check(dnsbl, cache, &zone, &address, now, now, &result);
    assert_int_equal(result.status, FG_DNSBL_LISTED);
}

static void a_dead_resolver_costs_one_deadline(void **state)
{
    fg_dnsbl_result_t result = check("192.0.2.1");
    fg_dnsbl_zone_t other;
    int asked;

    (void)state;
    assert_int_equal(result.reason, FG_DNSBL_TIMEOUT);
    assert_true(result.changed);
    assert_false(result.cached);
    assert_true(result.took >= WAIT);
    asked = atomic_load(&one.asked);
    assert_in_range(asked, 1, 3);
    now += result.took;
    result = check("192.0.2.1");
    assert_int_equal(result.reason, FG_DNSBL_TIMEOUT);
    assert_true(result.cached);
    assert_false(result.changed);
    assert_int_equal(result.took, 0);
    assert_int_equal(check("192.0.2.2").reason, FG_DNSBL_TIMEOUT);
    assert_int_equal(atomic_load(&one.asked), asked);

    other = zone; /* another list has its own deadline */
    assert_null(fg_dnsbl_zone_parse(&zone, "bl2.test", pool));
    assert_true(check("192.0.2.1").changed);
    assert_true(atomic_load(&one.asked) > asked);
    zone = other;

    now += FG_DNSBL_BACKOFF - SEC / 5; /* it is left alone from the end of the lookup on */
    assert_true(check("192.0.2.3").cached);
    now += SEC / 5;
    result = check("192.0.2.3"); /* still dead: asked, nothing new to say */
    assert_false(result.cached);
    assert_false(result.changed);
    assert_int_equal(fg_dnsbl_cache_zone_state(cache, &zone), FG_DNSBL_TIMEOUT);

    dns_stand_in_mode(&one, DNS_LISTED);
    assert_true(check("192.0.2.3").cached);
    now += FG_DNSBL_BACKOFF + SEC;
    result = check("192.0.2.3");
    assert_int_equal(result.status, FG_DNSBL_LISTED);
    assert_true(result.changed);
    assert_int_equal(fg_dnsbl_cache_zone_state(cache, &zone), FG_DNSBL_WORKING);
    result = check("192.0.2.4");
    assert_int_equal(result.status, FG_DNSBL_LISTED);
    assert_false(result.changed);
}

/* What is cached holds while the zone fails. */
static void listings_outlive_their_resolver(void **state)
{
    (void)state;
    dns_stand_in_mode(&one, DNS_LISTED);
    assert_int_equal(check("192.0.2.1").status, FG_DNSBL_LISTED);
    dns_stand_in_mode(&one, DNS_SAYS_SERVFAIL);
    assert_int_equal(check("192.0.2.2").reason, FG_DNSBL_SERVFAIL);
    assert_int_equal(check("192.0.2.1").status, FG_DNSBL_LISTED);
}

static void failures_have_reasons(void **state)
{
    static const struct {
        dns_mode_t mode;
        fg_dnsbl_reason_t reason;
        int in_time; /* told before the deadline */
    } cases[] = {
        {DNS_SAYS_SERVFAIL, FG_DNSBL_SERVFAIL, 1},
        {DNS_SAYS_REFUSED, FG_DNSBL_REFUSED, 1},
        {DNS_SAYS_FORMERR, FG_DNSBL_BAD_REPLY, 1},
        {DNS_REWRITES, FG_DNSBL_TAMPERED, 1},
        {DNS_SILENT, FG_DNSBL_TIMEOUT, 0},
        {DNS_WRONG_ID, FG_DNSBL_TIMEOUT, 0},
        {DNS_WRONG_QUESTION, FG_DNSBL_TIMEOUT, 0},
        {DNS_FLOOD, FG_DNSBL_TIMEOUT, 0},
        {DNS_OTHER_PORT, FG_DNSBL_TIMEOUT, 0},
        {DNS_TC_SILENT, FG_DNSBL_TIMEOUT, 1}, /* c-ares tries TCP once */
    };
    fg_dnsbl_result_t result;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("mode %d\n", cases[i].mode);
        assert_int_equal(fresh_cache(NULL), 0);
        dns_stand_in_mode(&one, cases[i].mode);
        result = check("192.0.2.1");
        assert_int_equal(result.reason, cases[i].reason);
        assert_true(result.changed);
        assert_int_equal(result.code, cases[i].mode == DNS_REWRITES ? 0x0a000001 : 0);
        assert_true(atomic_load(&one.asked) > 0);
        if (!cases[i].in_time) {
            assert_true(result.took >= WAIT);
        }
        assert_true(check("192.0.2.2").cached);
        now += FG_DNSBL_BACKOFF + WAIT + LATE; /* and it is got over */
        dns_stand_in_mode(&one, DNS_LISTED);
        result = check("192.0.2.1");
        assert_int_equal(result.status, FG_DNSBL_LISTED);
        assert_true(result.changed);
    }
}

/* Versions of c-ares differ in what they take for a reply; none of these may become an answer. */
static void broken_replies_are_no_answers(void **state)
{
    static const dns_mode_t modes[] = {DNS_EMPTY, DNS_NOISE,     DNS_NOISE_WITH_ID,
                                       DNS_CUT,   DNS_TC_CLOSES, DNS_TC_TC};
    fg_dnsbl_result_t result;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        print_message("mode %d\n", modes[i]);
        assert_int_equal(fresh_cache(NULL), 0);
        dns_stand_in_mode(&one, modes[i]);
        result = check("192.0.2.1");
        assert_int_equal(result.status, FG_DNSBL_UNKNOWN);
        print_message("    %s\n", fg_dnsbl_reason_name(result.reason));
        assert_true(result.reason == FG_DNSBL_BAD_REPLY || result.reason == FG_DNSBL_TIMEOUT ||
                    result.reason == FG_DNSBL_UNREACHABLE);
        assert_true(result.changed);
        assert_true(atomic_load(&one.asked) > 0);
    }
}

static void forged_replies_are_passed_over(void **state)
{
    fg_dnsbl_result_t result;

    (void)state;
    dns_stand_in_mode(&one, DNS_FORGED_FIRST);
    result = check("192.0.2.1");
    assert_int_equal(result.status, FG_DNSBL_NOT_LISTED);
    assert_false(result.cached);
}

static void truncated_replies_come_by_tcp(void **state)
{
    fg_dnsbl_result_t result;

    (void)state;
    dns_stand_in_mode(&one, DNS_TC_LISTED);
    result = check("192.0.2.1");
    assert_int_equal(result.status, FG_DNSBL_LISTED);
    assert_int_equal(result.code, 0x7f000002);
    assert_int_equal(atomic_load(&one.asked), 1);
    assert_int_equal(atomic_load(&one.asked_tcp), 1);
    assert_true(one.plain);
}

static void a_lost_packet_is_sent_again(void **state)
{
    (void)state;
    wait_for = WAIT_FOR_RETRY;
    dns_stand_in_mode(&one, DNS_SECOND_TRY);
    assert_int_equal(check("192.0.2.1").status, FG_DNSBL_LISTED);
    assert_int_equal(atomic_load(&one.asked), 2);
}

static void nobody_listens(void **state)
{
    fg_dnsbl_t *asker = asking(apr_psprintf(pool, "127.0.0.1:%d", dns_free_port()));
    fg_dnsbl_result_t result;

    (void)state;
    assert_non_null(asker);
    result = check_by(asker, "192.0.2.1");
    assert_int_equal(result.reason, FG_DNSBL_UNREACHABLE);
    assert_true(result.changed);
}

static void the_next_resolver_is_asked(void **state)
{
    static const dns_mode_t bad[] = {DNS_SILENT, DNS_SAYS_SERVFAIL, DNS_SAYS_REFUSED};
    fg_dnsbl_result_t result;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fresh_cache(NULL), 0);
        wait_for = WAIT_FOR_RETRY;
        dns_stand_in_mode(&one, bad[i]);
        dns_stand_in_mode(&two, DNS_LISTED);
        result = check_by(dnsbl_two, "192.0.2.1");
        assert_int_equal(result.status, FG_DNSBL_LISTED);
        assert_true(atomic_load(&one.asked) > 0);
    }
    for (i = 1; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(fresh_cache(NULL), 0);
        dns_stand_in_mode(&one, bad[i]);
        dns_stand_in_mode(&two, DNS_SAYS_REFUSED);
        result = check_by(dnsbl_two, "192.0.2.1");
        assert_int_equal(result.reason, FG_DNSBL_REFUSED);
        assert_int_equal(atomic_load(&two.asked), 1);
    }
    /* The first has said why, before the second was silent. */
    assert_int_equal(fresh_cache(NULL), 0);
    dns_stand_in_mode(&one, DNS_SAYS_SERVFAIL);
    result = check_by(dnsbl_two, "192.0.2.1");
    assert_int_equal(result.reason, FG_DNSBL_SERVFAIL);
    assert_true(result.took >= WAIT);
}

static void resolvers_must_be_addresses(void **state)
{
    static const char *const wrong[] = {"",
                                        "not an address",
                                        "localhost:53",
                                        "127.0.0.1:53,x",
                                        "127.0.0.1:99999",
                                        "127.0.0.1:0",
                                        "127.0.0.1:",
                                        "[::1]:65536",
                                        "[::1]53",
                                        "127.0.0.1:53,127.0.0.2:70000"};
    fg_dnsbl_t *made;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (fg_dnsbl_create(&made, wrong[i], pool) != APR_EINVAL) {
            fail_msg("taken: '%s'", wrong[i]);
        }
        assert_null(made);
    }
    assert_non_null(asking("127.0.0.1:5353,[::1]:5353"));
    assert_non_null(asking("127.0.0.1:65535,::1,192.0.2.1"));
    assert_non_null(asking(NULL)); /* the system's */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh_cache)
    const struct CMUnitTest tests[] = {
        TEST(queries),
        TEST(private_addresses_are_not_asked_for),
        TEST(answers_are_cached),
        TEST(without_time_only_the_cache_is_asked),
        TEST(a_dead_resolver_costs_one_deadline),
        TEST(listings_outlive_their_resolver),
        TEST(failures_have_reasons),
        TEST(broken_replies_are_no_answers),
        TEST(forged_replies_are_passed_over),
        TEST(truncated_replies_come_by_tcp),
        TEST(a_lost_packet_is_sent_again),
        TEST(nobody_listens),
        TEST(the_next_resolver_is_asked),
        TEST(resolvers_must_be_addresses),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
