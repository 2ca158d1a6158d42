/* SPDX-License-Identifier: Apache-2.0 */
/* Policies as sites send them, and what a widget could do under each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <apr_general.h>
#include <apr_pools.h>

#include <cmocka.h>

#include "csp.h"

static apr_pool_t *pool;

/* The built-in captcha's, and a service's. */
static const fg_csp_need_t own[] = {
    {"script-src", "https://www.example.jp/.well-known/formguard/altcha.js", "'self'"},
    {"worker-src", "blob:", "blob:"},
    {"connect-src", "https://www.example.jp/.well-known/formguard/challenge", "'self'"},
    {NULL, NULL, NULL}};
static const fg_csp_need_t service[] = {
    {"script-src", "https://js.captcha.example/1/api.js", "https://js.captcha.example/1/api.js"},
    {"frame-src", "https://frame.captcha.example/x", "https://*.captcha.example"},
    {NULL, NULL, NULL}};

typedef struct row {
    const char *policy;
    const char *lacks; /* directive, or NULL */
} row_t;

static void assert_rows(const row_t *row, const fg_csp_need_t *needs, const char *origin)
{
    for (; row->policy != NULL; row++) {
        const fg_csp_need_t *lacks = fg_csp_forbids(row->policy, origin, needs, pool);

        if (row->lacks == NULL) {
            assert_null(lacks);
        }
        else {
            assert_non_null(lacks);
            assert_string_equal(lacks->directive, row->lacks);
        }
    }
}

static void test_own(void **state)
{
    static const row_t rows[] = {
        {"", NULL},
        {"upgrade-insecure-requests; frame-ancestors 'none'", NULL},
        {"default-src 'self'; worker-src blob:", NULL},
        {"DEFAULT-SRC 'SELF'; WORKER-SRC BLOB:", NULL},
        {"default-src 'self' blob:", NULL},
        {"default-src https: blob:", NULL},
        {"default-src http: blob:", NULL},
        {"default-src * blob:", NULL},
        {"script-src https://www.example.jp blob:", NULL},
        {"script-src www.example.jp:443 blob:", NULL},
        {"script-src *.example.jp blob:", NULL},
        {"script-src https://www.example.jp/.well-known/ blob:", NULL},
        {"script-src 'none'; script-src-elem 'self'; worker-src blob:", NULL},
        {"img-src 'self'; style-src 'self'", NULL},
        {"default-src 'self'", "worker-src"},
        {"default-src * ", "worker-src"},
        {"script-src 'self'; child-src 'none'", "worker-src"},
        {"default-src 'none'", "script-src"},
        {"default-src", "script-src"},
        {"script-src 'unsafe-inline' blob:", "script-src"},
        {"script-src 'nonce-abc' blob:", "script-src"},
        {"script-src 'self' 'strict-dynamic' 'nonce-abc' blob:", "script-src"},
        {"script-src cdn.example.com blob:", "script-src"},
        {"script-src https://example.jp blob:", "script-src"},
        {"script-src www.example.jp:8080 blob:", "script-src"},
        {"script-src https://www.example.jp/js/ blob:", "script-src"},
        {"script-src-elem 'none'; script-src 'self' blob:", "script-src"},
        {"worker-src blob:; connect-src 'none'", "connect-src"},
        {"default-src 'self' blob:, script-src 'none'", "script-src"},
        {"sandbox allow-forms", "sandbox"},
        {"sandbox allow-forms allow-scripts", NULL},
        {"require-trusted-types-for 'script'", "require-trusted-types-for"},
        {"xdefault-src 'none'; default-srcx 'none'", NULL},
        {NULL, NULL}};

    (void)state;
    assert_rows(rows, own, "https://www.example.jp");
}

static void test_service(void **state)
{
    static const row_t rows[] = {
        {"default-src *", NULL},
        {"script-src https://js.captcha.example; frame-src https://*.captcha.example", NULL},
        {"script-src https://js.captcha.example/1/api.js; frame-src https:", NULL},
        {"script-src *.captcha.example; child-src frame.captcha.example", NULL},
        {"script-src https://js.captcha.example/2/; frame-src *", "script-src"},
        {"script-src 'self'", "script-src"},
        {"script-src https://js.captcha.example; frame-src 'none'", "frame-src"},
        {"script-src https://js.captcha.example; default-src 'self'", "frame-src"},
        {"frame-src *.captcha.example.jp", "frame-src"},
        {NULL, NULL}};

    (void)state;
    assert_rows(rows, service, "http://www.example.jp");
}

/* 'self' is scheme, host and port. */
static void test_self(void **state)
{
    static const fg_csp_need_t needs[] = {{"script-src", "http://a.example:8080/x.js", "'self'"},
                                          {NULL, NULL, NULL}};

    (void)state;
    assert_null(fg_csp_forbids("script-src 'self'", "http://a.example:8080", needs, pool));
    assert_null(fg_csp_forbids("script-src a.example:*", "http://a.example:8080", needs, pool));
    assert_non_null(fg_csp_forbids("script-src a.example", "http://a.example:8080", needs, pool));
    assert_non_null(fg_csp_forbids("script-src 'self'", "http://a.example", needs, pool));
    assert_non_null(fg_csp_forbids("script-src https:", "http://a.example:8080", needs, pool));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_self),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
