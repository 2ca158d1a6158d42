/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>

#include "address.h"

static apr_pool_t *pool;

static int set_up(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static fg_address_t parsed(const char *text)
{
    fg_address_t address;

    assert_int_equal(fg_address_parse(&address, text), APR_SUCCESS);
    return address;
}

static void ipv4_is_parsed(void **state)
{
    fg_address_t address = parsed("192.0.2.1");
    static const unsigned char bytes[16] = {192, 0, 2, 1};

    (void)state;
    assert_int_equal(address.family, 4);
    assert_memory_equal(address.bytes, bytes, 16);
}

static void ipv6_is_parsed(void **state)
{
    static const unsigned char bytes[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0,
                                            0,    0,    0,    0,    0, 0, 0, 0x0a};
    static const char *const same[] = {
        "2001:db8::a",        "2001:DB8::A",      "2001:0db8:0000:0000:0000:0000:0000:000a",
        "2001:db8::0.0.0.10", "2001:db8::a%eth0",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        fg_address_t address = parsed(same[i]);

        assert_int_equal(address.family, 6);
        assert_memory_equal(address.bytes, bytes, 16);
    }
}

static void mapped_ipv4_is_ipv4(void **state)
{
    static const char *const same[] = {
        "192.0.2.1",           "::ffff:192.0.2.1", "::FFFF:c000:0201", "0:0:0:0:0:ffff:c000:201",
        "::ffff:192.0.2.1%lo",
    };
    fg_address_t first = parsed(same[0]);
    size_t i;

    (void)state;
    for (i = 1; i < sizeof(same) / sizeof(same[0]); i++) {
        fg_address_t address = parsed(same[i]);

        assert_memory_equal(&address, &first, sizeof(first));
    }
    assert_int_equal(parsed("::192.0.2.1").family, 6);
    assert_int_equal(parsed("64:ff9b::192.0.2.1").family, 6);
    assert_int_equal(parsed("::fffe:192.0.2.1").family, 6);
}

static void other_texts_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        " ",
        "localhost",
        "192.0.2",
        "192.0.2.1.",
        "192.0.2.256",
        "192.0.2.01",
        "0xc0000201",
        "3221225985",
        " 192.0.2.1",
        "192.0.2.1 ",
        "192.0.2.1:80",
        "192.0.2.1/24",
        "192.0.2.1%eth0",
        "[2001:db8::1]",
        "2001:db8::1/64",
        "2001:db8::1::2",
        "2001:db8::g",
        "fe80::1%",
        "%eth0",
        ":",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    fg_address_t address;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memset(&address, 0xff, sizeof(address));
        assert_int_equal(fg_address_parse(&address, wrong[i]), APR_EINVAL);
        assert_int_equal(address.family, 0);
    }
    assert_int_equal(fg_address_parse(&address, NULL), APR_EINVAL);
}

static void socket_addresses_are_taken(void **state)
{
    static const char *const texts[] = {"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"};
    fg_address_t address;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        fg_address_t want = parsed(texts[i]);
        apr_sockaddr_t *sa;

        assert_int_equal(apr_sockaddr_info_get(&sa, texts[i], APR_UNSPEC, 80, 0, pool),
                         APR_SUCCESS);
        memset(&address, 0xff, sizeof(address));
        fg_address_from_sockaddr(&address, sa);
        assert_memory_equal(&address, &want, sizeof(want));
    }
}

static void other_sockets_have_no_address(void **state)
{
    apr_sockaddr_t sa = {0};
    fg_address_t address;

    (void)state;
    fg_address_from_sockaddr(&address, NULL);
    assert_int_equal(address.family, 0);
    fg_address_from_sockaddr(&address, &sa);
    assert_int_equal(address.family, 0);
    sa.family = APR_UNSPEC;
    sa.ipaddr_ptr = &sa.sa.sin.sin_addr;
    sa.ipaddr_len = 4;
    fg_address_from_sockaddr(&address, &sa);
    assert_int_equal(address.family, 0);
}

typedef apr_size_t key_fn(const fg_address_t *address, unsigned char *key);

static int same_key(key_fn *make, const char *one, const char *two)
{
    unsigned char k1[FG_ADDRESS_KEY_MAX], k2[FG_ADDRESS_KEY_MAX];
    fg_address_t a1 = parsed(one), a2 = parsed(two);
    apr_size_t n1 = make(&a1, k1), n2 = make(&a2, k2);

    assert_in_range(n1, 1, FG_ADDRESS_KEY_MAX);
    assert_in_range(n2, 1, FG_ADDRESS_KEY_MAX);
    return n1 == n2 && memcmp(k1, k2, n1) == 0;
}

static void client_is_an_address_or_a_line(void **state)
{
    (void)state;
    assert_true(same_key(fg_address_client_key, "192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(same_key(fg_address_client_key, "192.0.2.1", "192.0.2.2"));
    assert_true(
        same_key(fg_address_client_key, "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:1"));
    assert_false(same_key(fg_address_client_key, "2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert_false(same_key(fg_address_client_key, "2001:db8:1:2::1", "2001:db9:1:2::1"));
    assert_false(same_key(fg_address_client_key, "192.0.2.1", "c000:0201::"));
}

static void net_is_24_or_48_bits(void **state)
{
    (void)state;
    assert_true(same_key(fg_address_net_key, "192.0.2.1", "192.0.2.255"));
    assert_false(same_key(fg_address_net_key, "192.0.2.1", "192.0.3.1"));
    assert_true(same_key(fg_address_net_key, "2001:db8:1:2::1", "2001:db8:1:ffff::2"));
    assert_false(same_key(fg_address_net_key, "2001:db8:1::1", "2001:db8:2::1"));
    assert_false(same_key(fg_address_net_key, "192.0.2.1", "c000:0200::"));
}

static void clients_without_address_share_a_key(void **state)
{
    fg_address_t none;
    unsigned char key[FG_ADDRESS_KEY_MAX];

    (void)state;
    assert_int_equal(fg_address_parse(&none, "unix"), APR_EINVAL);
    assert_int_equal(fg_address_client_key(&none, key), 1);
    assert_int_equal(key[0], 0);
    assert_int_equal(fg_address_net_key(&none, key), 1);
    assert_int_equal(key[0], 0);
}

static void private_addresses_are_known(void **state)
{
    static const char *const inside[] = {
        "0.0.0.0",
        "127.0.0.1",
        "127.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "169.254.0.1",
        "169.254.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "fc00::",
        "fdff:ffff::1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
    };
    static const char *const outside[] = {
        "1.0.0.0",     "9.255.255.255",   "11.0.0.0",    "126.255.255.255",
        "128.0.0.0",   "172.15.255.255",  "172.32.0.0",  "192.167.255.255",
        "192.169.0.0", "169.253.255.255", "169.255.0.0", "100.63.255.255",
        "100.128.0.0", "182.16.27.106",   "::2",         "::1:1",
        "2001:db8::1", "fbff::1",         "fe00::1",     "fe7f::1",
        "fec0::1",     "::ffff:8.8.8.8",  "1::1",
    };
    fg_address_t none;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        fg_address_t address = parsed(inside[i]);

        assert_true(fg_address_is_private(&address));
    }
    for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        fg_address_t address = parsed(outside[i]);

        assert_false(fg_address_is_private(&address));
    }
    assert_int_equal(fg_address_parse(&none, "none"), APR_EINVAL);
    assert_true(fg_address_is_private(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_is_parsed),
        cmocka_unit_test(ipv6_is_parsed),
        cmocka_unit_test(mapped_ipv4_is_ipv4),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(socket_addresses_are_taken),
        cmocka_unit_test(other_sockets_have_no_address),
        cmocka_unit_test(client_is_an_address_or_a_line),
        cmocka_unit_test(net_is_24_or_48_bits),
        cmocka_unit_test(clients_without_address_share_a_key),
        cmocka_unit_test(private_addresses_are_known),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
