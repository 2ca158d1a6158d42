/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "dnsbl.h"

#define NO_ZONE "is no DNS zone: a name such as bl.example.net"
#define NO_CODE                                                                                    \
    "is no list of return codes: 127.0.0.2, ranges 127.0.0.4-7 or 127.0.0.2-127.0.1.9, ',' "       \
    "between"

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

static fg_dnsbl_zone_t zone_of(const char *name)
{
    fg_dnsbl_zone_t zone;

    assert_null(fg_dnsbl_zone_parse(&zone, name, pool));
    return zone;
}

static void names_are_taken(void **state)
{
    static const char longest[] =
        "a123456789.123456789.123456789.123456789.123456789.123456789.123456789.123456789."
        "123456789.123456789.123456789.123456789.123456789.123456789.123456789.123456789."
        "123456789.123456789.1234567a";
    fg_dnsbl_zone_t zone;

    (void)state;
    zone = zone_of("bl.example.net");
    assert_string_equal(zone.name, "bl.example.net");
    assert_string_equal(zone.shown, "bl.example.net");
    zone = zone_of("BL_x-1.Example.NET.");
    assert_string_equal(zone.name, "bl_x-1.example.net");
    assert_int_equal(strlen(longest), FG_DNSBL_ZONE_MAX);
    zone = zone_of(longest);
    assert_string_equal(zone.name, longest);
}

static void wrong_names_are_refused(void **state)
{
    static const struct {
        const char *name, *error;
    } cases[] = {
        {"", NO_ZONE},
        {".", NO_ZONE},
        {"net", NO_ZONE},
        {"net.", NO_ZONE},
        {".bl.example.net", NO_ZONE},
        {"bl..example.net", NO_ZONE},
        {"bl.example.net..", NO_ZONE},
        {"192.0.2.1", NO_ZONE},
        {"bl.example.net:53", NO_ZONE},
        {"http://bl.example.net/", NO_ZONE},
        {"bl.exa mple.net", NO_ZONE},
        {"bl.ex\\046mple.net", NO_ZONE},
        {"bl.ex\xc3\xa4mple.net", NO_ZONE},
        {"bl.example.net\n", NO_ZONE},
        {"a123456789012345678901234567890123456789012345678901234567890123.net",
         "is no DNS zone: a label is longer than 63 bytes"},
        {"ab123456789.123456789.123456789.123456789.123456789.123456789.123456789.123456789."
         "123456789.123456789.123456789.123456789.123456789.123456789.123456789.123456789."
         "123456789.123456789.12345678",
         "is longer than 189 bytes: an IPv6 address does not fit before it"},
    };
    fg_dnsbl_zone_t zone, before;
    size_t i;

    (void)state;
    memset(&zone, 7, sizeof(zone));
    before = zone;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *error = fg_dnsbl_zone_parse(&zone, cases[i].name, pool);

        if (!error) {
            fail_msg("taken: %s", cases[i].name);
        }
        assert_string_equal(error, cases[i].error);
        assert_memory_equal(&zone, &before, sizeof(zone));
    }
}

static void default_codes(void **state)
{
    fg_dnsbl_zone_t zone = zone_of("bl.example.net");

    (void)state;
    assert_false(fg_dnsbl_code_counts(&zone, 0x7f000000));
    assert_false(fg_dnsbl_code_counts(&zone, 0x7f000001));
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f000002));
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f00000a));
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f0000fe));
    assert_false(fg_dnsbl_code_counts(&zone, 0x7f0000ff));
    assert_false(fg_dnsbl_code_counts(&zone, 0x7f000102));
    assert_false(fg_dnsbl_code_counts(&zone, 0x0a000002));
}

static void home_users_are_spared(void **state)
{
    static const char *const names[] = {"zen.spamhaus.org", "Zen.Spamhaus.Org.",
                                        "0123abcd.zen.dq.spamhaus.net"};
    fg_dnsbl_zone_t zone;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        zone = zone_of(names[i]);
        assert_true(fg_dnsbl_code_counts(&zone, 0x7f000002));
        assert_true(fg_dnsbl_code_counts(&zone, 0x7f000009));
        assert_false(fg_dnsbl_code_counts(&zone, 0x7f00000a));
        assert_false(fg_dnsbl_code_counts(&zone, 0x7f00000b));
        /* unless asked for by name */
        assert_null(fg_dnsbl_codes_parse(&zone, "127.0.0.10"));
        assert_true(fg_dnsbl_code_counts(&zone, 0x7f00000a));
    }
    zone = zone_of("notzen.spamhaus.org");
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f00000a));
}

static void keys_are_not_shown(void **state)
{
    (void)state;
    assert_string_equal(zone_of("0123abcd.zen.dq.spamhaus.net").shown, "KEY.zen.dq.spamhaus.net");
    assert_string_equal(zone_of("0123abcd.zen.dq.spamhaus.net").name,
                        "0123abcd.zen.dq.spamhaus.net");
    assert_string_equal(zone_of("0123abcd.combined.mail.abusix.zone").shown,
                        "KEY.combined.mail.abusix.zone");
    assert_string_equal(zone_of("zen.spamhaus.org").shown, "zen.spamhaus.org");
}

static void codes_are_taken(void **state)
{
    fg_dnsbl_zone_t zone = zone_of("bl.example.net");

    (void)state;
    assert_null(fg_dnsbl_codes_parse(&zone, "127.0.0.2,127.0.0.4-7,127.0.1.250-127.0.2.3"));
    assert_int_equal(zone.nranges, 3);
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f000002));
    assert_false(fg_dnsbl_code_counts(&zone, 0x7f000003));
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f000004));
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f000007));
    assert_false(fg_dnsbl_code_counts(&zone, 0x7f000008));
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f0001ff));
    assert_true(fg_dnsbl_code_counts(&zone, 0x7f000203));
    assert_false(fg_dnsbl_code_counts(&zone, 0x7f000204));
    assert_null(fg_dnsbl_codes_parse(
        &zone, "127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8,127.0.0.9,"
               "127.0.0.10,127.0.0.11,127.0.0.12,127.0.0.13,127.0.0.14,127.0.0.15,127.0.0.16,"
               "127.255.254.255"));
    assert_int_equal(zone.nranges, FG_DNSBL_RANGES_MAX);
    assert_true(fg_dnsbl_code_counts(&zone, 0x7ffffeff));
}

static void wrong_codes_are_refused(void **state)
{
    static const struct {
        const char *codes, *error;
    } cases[] = {
        {"", NO_CODE},
        {"2", NO_CODE},
        {"127.0.0", NO_CODE},
        {"127.0.0.", NO_CODE},
        {"127.0.0.256", NO_CODE},
        {"127.0.0.02", NO_CODE},
        {"127.0.0.2x", NO_CODE},
        {"127.0.0.2,", NO_CODE},
        {",127.0.0.2", NO_CODE},
        {"127.0.0.2;127.0.0.3", NO_CODE},
        {"127.0.0.2-", NO_CODE},
        {"127.0.0.2-256", NO_CODE},
        {"127.0.0.2-1000", NO_CODE},
        {"127.0.0.2-4-6", NO_CODE},
        {"127.0.0.2/31", NO_CODE},
        {" 127.0.0.2", NO_CODE},
        {"10.0.0.2", "has a code outside 127.0.0.0/8: no list returns that (RFC 5782)"},
        {"127.0.0.2-128.0.0.1", "has a code outside 127.0.0.0/8: no list returns that (RFC 5782)"},
        {"127.0.0.7-4", "has a range that ends before it starts"},
        {"127.0.0.1",
         "has 127.0.0.1: that is a sign of a tampered resolver, never a listing (RFC 5782)"},
        {"127.0.0.0-255",
         "has 127.0.0.1: that is a sign of a tampered resolver, never a listing (RFC 5782)"},
        {"127.255.255.254", "has an error code (127.255.255.x): that is never a listing"},
        {"127.0.0.2-127.255.255.255", "has an error code (127.255.255.x): that is never a listing"},
        {"127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8,127.0.0.9,"
         "127.0.0.10,127.0.0.11,127.0.0.12,127.0.0.13,127.0.0.14,127.0.0.15,127.0.0.16,"
         "127.0.0.17,127.0.0.18",
         "has more than 16 codes and ranges"},
    };
    fg_dnsbl_zone_t zone = zone_of("bl.example.net"), before = zone;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *error = fg_dnsbl_codes_parse(&zone, cases[i].codes);

        if (!error) {
            fail_msg("taken: %s", cases[i].codes);
        }
        assert_string_equal(error, cases[i].error);
        assert_memory_equal(&zone, &before, sizeof(zone));
    }
}

static void words_for_the_log(void **state)
{
    char text[FG_DNSBL_CODE_TEXT];
    int i, k;

    (void)state;
    assert_string_equal(fg_dnsbl_code_text(text, 0x7f00000a), "127.0.0.10");
    assert_string_equal(fg_dnsbl_code_text(text, 0xffffffff), "255.255.255.255");
    for (i = 0; i < FG_DNSBL_REASONS; i++) {
        const char *name = fg_dnsbl_reason_name((fg_dnsbl_reason_t)i);

        assert_non_null(name);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
        assert_non_null(fg_dnsbl_reason_text((fg_dnsbl_reason_t)i));
        for (k = 0; k < i; k++) {
            assert_string_not_equal(fg_dnsbl_reason_name((fg_dnsbl_reason_t)k), name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_taken),         cmocka_unit_test(wrong_names_are_refused),
        cmocka_unit_test(default_codes),           cmocka_unit_test(home_users_are_spared),
        cmocka_unit_test(keys_are_not_shown),      cmocka_unit_test(codes_are_taken),
        cmocka_unit_test(wrong_codes_are_refused), cmocka_unit_test(words_for_the_log),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
