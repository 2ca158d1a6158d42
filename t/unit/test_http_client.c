/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "http_client.h"

static apr_pool_t *pool;

static void test_taken(void **state)
{
    static const char *const urls[] = {
        "https://www.google.com/recaptcha/api/siteverify",
        "https://www.google.com",
        "https://www.google.com?a=b",
        "HTTPS://WWW.RECAPTCHA.NET/recaptcha/api/siteverify",
        "https://example.com:8443/verify",
        "https://example.com:65535/verify",
        "https://192.0.2.1/verify",
        "https://[2001:db8::1]/verify",
        "https://[2001:db8::1]:8443/verify?key=%41",
        "http://127.0.0.1:8080/verify",
        "http://127.255.0.9/verify",
        "http://localhost/verify",
        "http://LocalHost:81/verify",
        "http://[::1]:8080/verify",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        const char *why = fg_http_check_url(urls[i], pool);
        if (why) {
            fail_msg("%s: %s", urls[i], why);
        }
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *url;
        const char *why; /* a part of the reason */
    } rows[] = {
        {NULL, "empty"},
        {"", "empty"},
        {"www.google.com/recaptcha", "https://"},
        {"/recaptcha/api/siteverify", "https://"},
        {"//www.google.com/recaptcha", "https://"},
        {"ftp://www.google.com/", "https://"},
        {"file:///etc/passwd", "https://"},
        {"gopher://127.0.0.1:25/_x", "https://"},
        {"https:", "host"},
        {"https://", "host"},
        {"https:///verify", "host"},
        {"https://:443/verify", "host"},
        {"https://a..b/verify", "host"},
        {"https://.example.com/verify", "host"},
        {"https://exa%6dple.com/verify", "host"},
        {"https://exa$ple.com/verify", "host"},
        {"https://[2001:db8::zz]/verify", "host"},
        {"https://user@example.com/", "user name"},
        {"https://user:word@example.com/", "user name"},
        {"https://@example.com/", "user name"},
        {"https://example.com\\@127.0.0.1/", "character"},
        {"https://example.com/#part", "fragment"},
        {"https://example.com/ verify", "white space"},
        {"https://example.com/\r\nX: y", "white space"},
        {" https://example.com/", "white space"},
        {"https://ex\xc3\xa4mple.com/", "character"},
        {"https://example.com:0/", "port"},
        {"https://example.com:65536/", "port"},
        {"https://example.com:443443/", "port"},
        {"https://example.com:/", "port"},
        {"https://example.com:x/", ""},
        {"http://www.google.com/recaptcha", "127.0.0.0/8"},
        {"http://127.1/", "127.0.0.0/8"},
        {"http://2130706433/", "127.0.0.0/8"},
        {"http://0x7f.0.0.1/", "127.0.0.0/8"},
        {"http://127.0.0.1.example.com/", "127.0.0.0/8"},
        {"http://localhost.example.com/", "127.0.0.0/8"},
        {"http://10.0.0.1/", "127.0.0.0/8"},
        {"http://0.0.0.0/", "127.0.0.0/8"},
        {"http://[::]/", "127.0.0.0/8"},
        {"http://[::ffff:127.0.0.1]/", "127.0.0.0/8"},
        {"http://[2001:db8::1]/", "127.0.0.0/8"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = fg_http_check_url(rows[i].url, pool);
        if (!why) {
            fail_msg("%s is taken", rows[i].url);
        }
        if (!strstr(why, rows[i].why)) {
            fail_msg("%s: the reason is `%s`, not `%s`", rows[i].url, why, rows[i].why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
