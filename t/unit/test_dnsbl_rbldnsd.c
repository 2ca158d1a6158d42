/* SPDX-License-Identifier: Apache-2.0 */
/* Against a real blocklist server: rbldnsd on a free port of 127.0.0.1, with data of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "dns_stand_in.h"
#include "dnsbl.h"

#define SEC APR_USEC_PER_SEC
#define NOW (1000 * SEC)

enum { THREADS = 4, ROUNDS = 64 };

static const unsigned char secret[16] = "a secret of ours";

static const struct {
    const char *file, *text;
} data[] = {
    {"ip4", "$SOA 1000 ns.bl.test admin.bl.test 0 1h 1h 1d 90\n"
            "$TTL 300\n"
            ":127.0.0.2:listed\n"
            "192.0.2.1\n"
            "192.0.2.3 :127.0.0.3:another code\n"
            "192.0.2.10 :127.0.0.10:home users\n"
            "192.0.2.20\n"
            "192.0.2.252 :127.255.255.252:typing error\n"
            "192.0.2.253 :127.255.255.253:error\n"
            "192.0.2.254 :127.255.255.254:open resolver\n"
            "192.0.2.255 :127.255.255.255:too many\n"
            "198.51.100.1 :127.0.0.1:no code\n"
            "198.51.100.10 :10.0.0.1:no code\n"
            "198.51.100.128/25\n"
            "!198.51.100.130\n"},
    {"ip4_more", "$TTL 200\n"
                 ":127.0.0.9:listed twice\n"
                 "192.0.2.20\n"
                 "192.0.2.21\n"},
    {"ip6", "$SOA 1000 ns.bl6.test admin.bl6.test 0 1h 1h 1d 90\n"
            "$TTL 300\n"
            ":127.0.0.2:listed\n"
            "2001:db8:1::/48\n"
            "2001:db8:2::1 :127.0.0.3:another code\n"
            "!2001:db8:1::bad\n"},
    {"long", "$SOA 1w ns.bl.test admin.bl.test 0 1h 1h 1d 1d\n"
             "$TTL 1d\n"
             ":127.0.0.2:listed\n"
             "192.0.2.1\n"},
    {"no_soa", ":127.0.0.2:listed\n"
               "192.0.2.1\n"},
};

static const char *const zones[] = {"bl.test:ip4set:ip4", "bl.test:ip4tset:ip4_more",
                                    "bl6.test:ip6trie:ip6", "long.test:ip4set:long",
                                    "no-soa.test:ip4set:no_soa"};

static apr_pool_t *pool;
static const char *dir;
static int port;
static pid_t server;
static FILE *said;
static void *memory;
static fg_dnsbl_cache_t *cache;
static fg_dnsbl_t *dnsbl;
static fg_dnsbl_zone_t bl, bl6;
static apr_time_t now;

/* --- the server ------------------------------------------------------------------------------- */

static const char *find_rbldnsd(void)
{
    char *dirs = apr_pstrcat(pool, getenv("PATH") ? getenv("PATH") : "",
                             ":/usr/sbin:/usr/local/sbin:/sbin", NULL);
    char *last = NULL, *one;

    for (one = apr_strtok(dirs, ":", &last); one; one = apr_strtok(NULL, ":", &last)) {
        const char *program = apr_pstrcat(pool, one, "/rbldnsd", NULL);

        if (access(program, X_OK) == 0) {
            return program;
        }
    }
    return NULL;
}

/* Readable for whoever rbldnsd becomes. */
static int write_data(void)
{
    char template[] = "/tmp/formguard-rbldnsd.XXXXXX";
    size_t i;

    if (!mkdtemp(template) || chmod(template, 0755)) {
        return -1;
    }
    dir = apr_pstrdup(pool, template);
    for (i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        const char *path = apr_pstrcat(pool, dir, "/", data[i].file, NULL);
        FILE *f = fopen(path, "w");

        if (!f || fputs(data[i].text, f) < 0 || fclose(f) || chmod(path, 0644)) {
            return -1;
        }
    }
    return 0;
}

/* @return 0 once it answers */
static int start_rbldnsd(const char *program)
{
    const char *argv[6 + sizeof(zones) / sizeof(zones[0]) + 1];
    const size_t fixed = 6, count = sizeof(zones) / sizeof(zones[0]);
    char line[1024];
    int fds[2];

    if (pipe(fds)) {
        return -1;
    }
    argv[0] = "rbldnsd";
    argv[1] = "-n";
    argv[2] = "-b";
    argv[3] = apr_psprintf(pool, "127.0.0.1/%d", port);
    argv[4] = "-w";
    argv[5] = dir;
    memcpy(argv + fixed, zones, sizeof(zones));
    argv[fixed + count] = NULL;
    server = fork();
    if (server < 0) {
        return -1;
    }
    if (server == 0) {
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        close(fds[0]);
        close(fds[1]);
        execv(program, (char *const *)argv);
        _exit(127);
    }
    close(fds[1]);
    said = fdopen(fds[0], "r");
    while (said && fgets(line, sizeof(line), said)) {
        if (strstr(line, " started ")) {
            return 0;
        }
        print_message("%s", line);
    }
    waitpid(server, NULL, 0);
    server = 0;
    return -1;
}

static void stop_rbldnsd(void)
{
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    server = 0;
}

static int set_up(void **state)
{
    const char *program;

    (void)state;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 1;
    }
    program = find_rbldnsd();
    if (!program) {
        print_error("rbldnsd is not installed, and this test asks a real one: "
                    "install the package rbldnsd.\n");
        return 1;
    }
    memory = malloc(fg_dnsbl_cache_size(1024));
    port = dns_free_port();
    if (!memory || port < 0 || write_data() || start_rbldnsd(program)) {
        print_error("rbldnsd does not start.\n");
        return 1;
    }
    return fg_dnsbl_create(&dnsbl, apr_psprintf(pool, "127.0.0.1:%d", port), pool) != APR_SUCCESS ||
           fg_dnsbl_zone_parse(&bl, "bl.test", pool) || fg_dnsbl_zone_parse(&bl6, "bl6.test", pool);
}

static int tear_down(void **state)
{
    (void)state;
    stop_rbldnsd();
    if (said) {
        fclose(said);
    }
    free(memory);
    if (dir && system(apr_psprintf(pool, "rm -rf '%s'", dir))) {
        return 1;
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static int fresh_cache(void **state)
{
    apr_size_t size = fg_dnsbl_cache_size(1024);

    (void)state;
    now = NOW;
    return fg_dnsbl_cache_format(memory, size, 1024, secret) != APR_SUCCESS ||
           fg_dnsbl_cache_attach(&cache, memory, size, pool) != APR_SUCCESS;
}

/* --- asking it -------------------------------------------------------------------------------- */

static fg_dnsbl_result_t check(const fg_dnsbl_zone_t *zone, const char *text)
{
    fg_dnsbl_result_t result;
    fg_address_t address;

    assert_int_equal(fg_address_parse(&address, text), APR_SUCCESS);
    fg_dnsbl_check(dnsbl, cache, zone, &address, now, now + 10 * SEC, &result);
    return result;
}

static void expect_listed(const fg_dnsbl_zone_t *zone, const char *text, apr_uint32_t code)
{
    fg_dnsbl_result_t result = check(zone, text);

    assert_int_equal(result.status, FG_DNSBL_LISTED);
    assert_int_equal(result.reason, FG_DNSBL_WORKING);
    assert_int_equal(result.code, code);
    assert_false(result.changed);
}

static void expect_not_listed(const fg_dnsbl_zone_t *zone, const char *text)
{
    fg_dnsbl_result_t result = check(zone, text);

    assert_int_equal(result.status, FG_DNSBL_NOT_LISTED);
    assert_int_equal(result.reason, FG_DNSBL_WORKING);
    assert_int_equal(result.code, 0);
    assert_false(result.changed);
}

static void ipv4(void **state)
{
    (void)state;
    expect_listed(&bl, "192.0.2.1", 0x7f000002);
    expect_listed(&bl, "::ffff:192.0.2.3", 0x7f000003);
    expect_not_listed(&bl, "192.0.2.2");
    expect_listed(&bl, "198.51.100.129", 0x7f000002);
    expect_not_listed(&bl, "198.51.100.130");
    expect_not_listed(&bl, "2001:db8:1::1"); /* a list of other addresses */
}

static void ipv6(void **state)
{
    (void)state;
    expect_listed(&bl6, "2001:db8:1::1", 0x7f000002);
    expect_listed(&bl6, "2001:db8:1:ffff:1234:5678:9abc:def0", 0x7f000002);
    expect_listed(&bl6, "2001:db8:2::1", 0x7f000003);
    expect_not_listed(&bl6, "2001:db8:1::bad");
    expect_not_listed(&bl6, "2001:db8:2::2");
    expect_not_listed(&bl6, "192.0.2.1");
}

static void only_codes_that_count(void **state)
{
    fg_dnsbl_zone_t some = bl;

    (void)state;
    expect_listed(&bl, "192.0.2.10", 0x7f00000a);
    expect_listed(&bl, "192.0.2.20", 0x7f000002); /* that and .9: the lower */
    expect_listed(&bl, "192.0.2.21", 0x7f000009);
    assert_null(fg_dnsbl_codes_parse(&some, "127.0.0.3-9"));
    expect_not_listed(&some, "192.0.2.1");
    expect_listed(&some, "192.0.2.3", 0x7f000003);
    expect_not_listed(&some, "192.0.2.10");
    expect_listed(&some, "192.0.2.20", 0x7f000009);
    expect_listed(&bl, "192.0.2.10", 0x7f00000a); /* still, for who asked so */
}

/* Cached until a little before `seconds`, and no longer. */
static void expect_cached(const char *name, const char *text, int seconds)
{
    fg_dnsbl_zone_t zone;
    apr_time_t start = now;

    assert_null(fg_dnsbl_zone_parse(&zone, name, pool));
    assert_false(check(&zone, text).cached);
    assert_true(check(&zone, text).cached);
    now = start + (seconds - 1) * SEC;
    assert_true(check(&zone, text).cached);
    now = start + (seconds + 15) * SEC; /* what the lookup took counts, too */
    assert_false(check(&zone, text).cached);
    now = start;
}

static void ttls(void **state)
{
    (void)state;
    expect_cached("bl.test", "192.0.2.1", 300);
    expect_cached("bl.test", "192.0.2.20", 200); /* the lower of two */
    expect_cached("bl.test", "192.0.2.2", 90);   /* SOA */
    expect_cached("bl6.test", "2001:db8:1::1", 300);
    expect_cached("long.test", "192.0.2.1", 3600);
    expect_cached("long.test", "192.0.2.2", 600);
    expect_cached("no-soa.test", "192.0.2.2", 60);
}

static void error_codes_are_no_listings(void **state)
{
    static const struct {
        const char *address;
        fg_dnsbl_reason_t reason;
        apr_uint32_t code;
    } cases[] = {
        {"192.0.2.252", FG_DNSBL_BAD_QUERY, 0x7ffffffc},
        {"192.0.2.253", FG_DNSBL_ERROR_CODE, 0x7ffffffd},
        {"192.0.2.254", FG_DNSBL_OPEN_RESOLVER, 0x7ffffffe},
        {"192.0.2.255", FG_DNSBL_TOO_MANY, 0x7fffffff},
        {"198.51.100.1", FG_DNSBL_TAMPERED, 0x7f000001},
        {"198.51.100.10", FG_DNSBL_TAMPERED, 0x0a000001},
    };
    fg_dnsbl_result_t result;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int tampered = cases[i].reason == FG_DNSBL_TAMPERED;

        assert_int_equal(fresh_cache(NULL), 0);
        result = check(&bl, cases[i].address);
        assert_int_equal(result.status, FG_DNSBL_UNKNOWN);
        assert_int_equal(result.reason, cases[i].reason);
        assert_int_equal(result.code, cases[i].code);
        assert_true(result.changed);
        result = check(&bl, "192.0.2.1"); /* others are spared the question */
        assert_int_equal(result.status, FG_DNSBL_UNKNOWN);
        assert_int_equal(result.reason, cases[i].reason);
        assert_true(tampered || result.code == cases[i].code);
        assert_true(result.cached);
        assert_false(result.changed);
        expect_listed(&bl6, "2001:db8:1::1", 0x7f000002); /* and other lists */
        now += 30 * SEC;
        result = check(&bl, "192.0.2.1");
        assert_int_equal(result.status, FG_DNSBL_LISTED);
        assert_true(result.changed);
    }
}

static void a_zone_nobody_serves(void **state)
{
    fg_dnsbl_zone_t typo;
    fg_dnsbl_result_t result;

    (void)state;
    assert_null(fg_dnsbl_zone_parse(&typo, "b1.test", pool));
    result = check(&typo, "192.0.2.1");
    assert_int_equal(result.reason, FG_DNSBL_REFUSED);
    assert_true(result.changed);
}

static atomic_int wrong;

/* Half of what the threads ask for is listed; they share the cache, and some addresses. */
static void *ask_much(void *number)
{
    int i;

    for (i = 0; i < ROUNDS; i++) {
        const int host = ((int)(intptr_t)number * (ROUNDS / 2) + i) % 256;
        fg_address_t address = {4, {198, 51, 100, (unsigned char)host}};
        fg_dnsbl_result_t result;

        if (host == 1 || host == 10) {
            continue; /* those that fail */
        }
        fg_dnsbl_check(dnsbl, cache, &bl, &address, NOW, NOW + 10 * SEC, &result);
        if (result.changed ||
            result.status != (host >= 128 && host != 130 ? FG_DNSBL_LISTED : FG_DNSBL_NOT_LISTED)) {
            atomic_fetch_add(&wrong, 1);
        }
    }
    return NULL;
}

static void threads(void **state)
{
    pthread_t thread[THREADS];
    fg_dnsbl_cache_stats_t stats;
    intptr_t i;

    (void)state;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, ask_much, (void *)(i + 1)), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_int_equal(atomic_load(&wrong), 0);
    fg_dnsbl_cache_stats(cache, NOW, &stats);
    assert_in_range(stats.live, THREADS * ROUNDS / 2, THREADS * ROUNDS);
}

/* The last test: it stops the server, lets it go on, and ends it. */
static void a_server_that_hangs_and_dies(void **state)
{
    fg_dnsbl_result_t result;
    fg_address_t address;

    (void)state;
    assert_int_equal(fg_address_parse(&address, "192.0.2.1"), APR_SUCCESS);
    assert_int_equal(kill(server, SIGSTOP), 0);
    fg_dnsbl_check(dnsbl, cache, &bl, &address, now, now + SEC / 4, &result);
    assert_int_equal(result.reason, FG_DNSBL_TIMEOUT);
    assert_true(result.changed);
    assert_in_range(result.took, SEC / 4, SEC + SEC / 4);
    assert_int_equal(kill(server, SIGCONT), 0);
    now += 30 * SEC;
    result = check(&bl, "192.0.2.1");
    assert_int_equal(result.status, FG_DNSBL_LISTED);
    assert_true(result.changed);
    stop_rbldnsd();
    result = check(&bl, "192.0.2.3");
    assert_int_equal(result.reason, FG_DNSBL_UNREACHABLE);
    assert_true(result.changed);
    expect_listed(&bl, "192.0.2.1", 0x7f000002);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, fresh_cache)
    const struct CMUnitTest tests[] = {
        TEST(ipv4),
        TEST(ipv6),
        TEST(only_codes_that_count),
        TEST(ttls),
        TEST(error_codes_are_no_listings),
        TEST(a_zone_nobody_serves),
        TEST(threads),
        TEST(a_server_that_hangs_and_dies),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
