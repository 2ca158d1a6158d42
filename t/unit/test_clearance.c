/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "clearance.h"

#define SEC APR_USEC_PER_SEC
#define NOW apr_time_from_sec(1800000000)

static apr_pool_t *pool;
static fg_altcha_t *altcha;
static fg_address_t client;
static fg_altcha_subject_t subject = {"www.example.jp", "/contact.php", &client, NULL};

static int set_up(void **state)
{
    unsigned char key[FG_ALTCHA_KEY_BYTES] = {7};

    (void)state;
    apr_pool_create(&pool, NULL);
    assert_int_equal(fg_address_parse(&client, "2001:db8:1:2::7"), APR_SUCCESS);
    return fg_altcha_create(&altcha, key, pool);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static const char *made(void)
{
    const char *text = fg_clearance_make(altcha, &subject, NOW + 60 * SEC, pool);

    assert_non_null(text);
    return text;
}

static const char *check_as(const fg_altcha_subject_t *whom, const char *text, apr_time_t now)
{
    return fg_clearance_check(altcha, whom, text, now, pool);
}

static void test_good_until_it_expires(void **state)
{
    const char *text = made();

    (void)state;
    assert_ptr_equal(check_as(&subject, text, NOW), text + 11);
    assert_non_null(check_as(&subject, text, NOW + 59 * SEC));
    assert_null(check_as(&subject, text, NOW + 60 * SEC));
}

static void test_every_one_has_its_own_nonce(void **state)
{
    const char *one = made();
    const char *other = made();

    (void)state;
    assert_memory_not_equal(one + 11, other + 11, FG_CLEARANCE_NONCE);
}

static void test_fits_a_cookie(void **state)
{
    const char *text = made();

    (void)state;
    assert_int_equal(strspn(text, "0123456789abcdef."), strlen(text));
}

static void test_for_its_form_and_client(void **state)
{
    const char *text = made();
    fg_address_t other;
    fg_altcha_subject_t host = {"www.example.com", "/contact.php", &client};
    fg_altcha_subject_t form = {"www.example.jp", "/contact.php2", &client};
    fg_altcha_subject_t net = {"www.example.jp", "/contact.php", &other};

    (void)state;
    fg_address_parse(&other, "2001:db8:2:2::7");
    assert_null(check_as(&host, text, NOW));
    assert_null(check_as(&form, text, NOW));
    assert_null(check_as(&net, text, NOW));
    fg_address_parse(&other, "2001:db8:1:ffff::9");
    assert_non_null(check_as(&net, text, NOW));
}

static void test_altered(void **state)
{
    const char *text = made();
    apr_size_t at;

    (void)state;
    for (at = 0; at < strlen(text); at++) {
        char *bad = apr_pstrdup(pool, text);

        bad[at] = bad[at] == '0' ? '1' : '0';
        assert_null(check_as(&subject, bad, NOW));
    }
    assert_null(check_as(&subject, apr_pstrcat(pool, text, "0", NULL), NOW));
    assert_null(check_as(&subject, apr_pstrndup(pool, text, strlen(text) - 1), NOW));
    assert_null(check_as(&subject, "", NOW));
    assert_null(check_as(&subject, "..", NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_until_it_expires),
        cmocka_unit_test(test_every_one_has_its_own_nonce),
        cmocka_unit_test(test_fits_a_cookie),
        cmocka_unit_test(test_for_its_form_and_client),
        cmocka_unit_test(test_altered),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, set_up, tear_down);
    apr_terminate();
    return failed;
}
