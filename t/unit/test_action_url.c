/* SPDX-License-Identifier: Apache-2.0 */
/* Where forms are sent to, as browsers see it. Expected paths are what URL of Node.js
 * makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>

#include <cmocka.h>

#include "action_url.h"

static apr_pool_t *pool;

static int is_here(void *baton, const char *host, const char *port)
{
    (void)baton;
    return strcasecmp(host, "www.example.jp") == 0 && (*port == '\0' || strcmp(port, "8080") == 0);
}

static const char *resolved(const char *action, const char *base)
{
    const fg_page_url_t page = {"/shop/contact/form.html", base, is_here, NULL};

    return fg_action_path(action, &page, pool);
}

static void test_actions(void **state)
{
    static const char *const rows[][2] = {
        {NULL, "/shop/contact/form.html"},
        {"", "/shop/contact/form.html"},
        {" ", "/shop/contact/form.html"},
        {"?a=/b", "/shop/contact/form.html"},
        {"#a", "/shop/contact/form.html"},
        {"mail.php", "/shop/contact/mail.php"},
        {"mail.php?to=/x#y", "/shop/contact/mail.php"},
        {"./mail.php", "/shop/contact/mail.php"},
        {"../mail.php", "/shop/mail.php"},
        {"../../../../mail.php", "/mail.php"},
        {"a/./b/../mail.php", "/shop/contact/a/mail.php"},
        {"..", "/shop/"},
        {".", "/shop/contact/"},
        {"/", "/"},
        {"/mail.php", "/mail.php"},
        {"\n /ma\til.php\r ", "/mail.php"},
        {"\\mail.php", "/mail.php"},
        {"/a b\"<>.php", "/a%20b%22%3C%3E.php"},
        {"/a%20b.php", "/a%20b.php"},
        {"/\xE5\x95\x8F.php", "/%E5%95%8F.php"},
        {"http://www.example.jp/mail.php", "/mail.php"},
        {"HTTPS://WWW.EXAMPLE.JP:8080/mail.php?x", "/mail.php"},
        {"https://www.example.jp", "/"},
        {"//www.example.jp/mail.php", "/mail.php"},
        {"\\\\www.example.jp\\mail.php", "/mail.php"},
        /* elsewhere, or not known */
        {"http://www.example.com/mail.php", NULL},
        {"http://www.example.jp:81/mail.php", NULL},
        {"//example.com/mail.php", NULL},
        {"http://www.example.jp@example.com/", NULL},
        {"http://a@www.example.jp/", NULL},
        {"http://", NULL},
        {"http:mail.php", NULL},
        {"http://[::1]/", NULL},
        {"mailto:a@example.jp", NULL},
        {"javascript:send()", NULL},
        {"/\x83\x5C.php", NULL},
        {"/\xE5\x95", NULL},
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *path = resolved(rows[i][0], NULL);

        if (rows[i][1] == NULL) {
            assert_null(path);
        }
        else {
            assert_non_null(path);
            assert_string_equal(path, rows[i][1]);
        }
    }
}

static void test_base(void **state)
{
    (void)state;
    assert_string_equal(resolved("mail.php", "/cgi/"), "/cgi/mail.php");
    assert_string_equal(resolved("mail.php", "sub/x.html"), "/shop/contact/sub/mail.php");
    assert_string_equal(resolved("?a", "/cgi/x"), "/cgi/x");
    assert_string_equal(resolved("", "/cgi/"), "/shop/contact/form.html");
    assert_string_equal(resolved("mail.php", "http://www.example.jp/a/"), "/a/mail.php");
    assert_null(resolved("mail.php", "http://example.com/a/"));
    assert_null(resolved("/mail.php", "//example.com/a/"));
    assert_string_equal(resolved("//www.example.jp/x", "http://example.com/a/"), "/x");
    assert_string_equal(resolved("", "http://example.com/a/"), "/shop/contact/form.html");
}

static void test_long(void **state)
{
    char action[FG_ACTION_PATH_MAX + 3];

    (void)state;
    memset(action, 'a', sizeof(action));
    action[0] = '/';
    action[FG_ACTION_PATH_MAX] = '\0';
    assert_string_equal(resolved(action, NULL), action);
    action[FG_ACTION_PATH_MAX] = 'a';
    action[FG_ACTION_PATH_MAX + 1] = '\0';
    assert_null(resolved(action, NULL));
}

static void test_query(void **state)
{
    (void)state;
    assert_string_equal(fg_query_encode("/a-b_c.d~/e", pool), "/a-b_c.d~/e");
    assert_string_equal(fg_query_encode("/a%20b&c='\"<+\xE5", pool),
                        "/a%2520b%26c%3D%27%22%3C%2B%E5");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_base),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_query),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
