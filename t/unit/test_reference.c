/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "reference.h"

static const unsigned char key[16] = "fifteen letters";

static const char *reference(char out[FG_REFERENCE_SIZE], fg_reason_t reason, const char *client,
                             apr_uint32_t chance)
{
    fg_address_t address;

    assert_int_equal(fg_address_parse(&address, client), APR_SUCCESS);
    return fg_reference(out, key, reason, &address, chance);
}

static void can_be_read_over_the_telephone(void **state)
{
    char out[FG_REFERENCE_SIZE];
    apr_uint32_t i;

    (void)state;
    for (i = 0; i < 100000; i++) {
        reference(out, FG_LIMIT, "192.0.2.1", i * 2654435761U);
        assert_int_equal(strlen(out), 9);
        assert_int_equal(strspn(out, "2346789BCDFGHJKMPQRTVWXY"), 4);
        assert_int_equal(out[4], '-');
        assert_int_equal(strspn(out + 5, "2346789BCDFGHJKMPQRTVWXY"), 4);
    }
}

/* The first half leads to the client's lines, the second to this post's. */
static void halves(void **state)
{
    static const char *const others[][2] = {
        {"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"::1", "127.0.0.1"}};
    char a[FG_REFERENCE_SIZE];
    char b[FG_REFERENCE_SIZE];
    size_t i;

    (void)state;
    reference(a, FG_LIMIT, "192.0.2.1", 1);
    reference(b, FG_LIMIT, "::ffff:192.0.2.1", 2);
    assert_memory_equal(a, b, 5);
    assert_string_not_equal(a, b);
    assert_string_equal(a, reference(b, FG_LIMIT, "192.0.2.1", 1));
    reference(b, FG_COUNTRY, "192.0.2.1", 1);
    assert_memory_not_equal(a, b, 4);
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        reference(a, FG_LIMIT, others[i][0], 1);
        reference(b, FG_LIMIT, others[i][1], 1);
        assert_memory_not_equal(a, b, 4);
    }
    reference(a, FG_LIMIT, "2001:db8::1", 1);
    reference(b, FG_LIMIT, "2001:db8::2", 1); /* the same line's */
    assert_memory_equal(a, b, 4);
}

/* Without the key nobody can tell whose it is. */
static void depends_on_the_key(void **state)
{
    static const unsigned char other[16] = "fifteen lettert";
    fg_address_t address;
    char a[FG_REFERENCE_SIZE];
    char b[FG_REFERENCE_SIZE];

    (void)state;
    fg_address_parse(&address, "192.0.2.1");
    fg_reference(a, key, FG_LIMIT, &address, 1);
    fg_reference(b, other, FG_LIMIT, &address, 1);
    assert_memory_not_equal(a, b, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(can_be_read_over_the_telephone),
        cmocka_unit_test(halves),
        cmocka_unit_test(depends_on_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
