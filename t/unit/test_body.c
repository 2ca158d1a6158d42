/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_NEXT */
#endif
#include <dlfcn.h>

#include "body_case.h"

/* Every byte asked of a pool is counted on its way to APR's own function. */
static size_t allocated;

#undef apr_palloc
APR_DECLARE(void *) apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    static void *(*next)(apr_pool_t *, apr_size_t);

    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "apr_palloc");
        assert_non_null(next);
    }
    allocated += size;
    return next(pool, size);
}

static void type_is_told_by_the_header(void **state)
{
    static const struct {
        const char *header;
        fg_body_type_t type;
    } cases[] = {
        {NULL, FG_BODY_NONE},
        {"", FG_BODY_NONE},
        {"text/plain", FG_BODY_NONE},
        {"application/x-www-form-urlencoded", FG_BODY_URLENCODED},
        {"Application/X-WWW-Form-URLEncoded", FG_BODY_URLENCODED},
        {"application/x-www-form-urlencoded; charset=utf-8", FG_BODY_URLENCODED},
        {"application/x-www-form-urlencoded;charset=utf-8", FG_BODY_URLENCODED},
        {"application/x-www-form-urlencoded,x", FG_BODY_URLENCODED},
        {"application/x-www-form-urlencoded x", FG_BODY_URLENCODED},
        {"application/x-www-form-urlencoded\tx", FG_BODY_URLENCODED},
        {"application/x-www-form-urlencodedx", FG_BODY_NONE},
        {"application/x-www-form-urlencode", FG_BODY_NONE},
        {"multipart/form-data", FG_BODY_MULTIPART},
        {"MULTIPART/FORM-DATA;boundary=x", FG_BODY_MULTIPART},
        {"multipart/mixed; boundary=x", FG_BODY_NONE},
        {"application/json", FG_BODY_JSON},
        {"application/JSON; charset=utf-8", FG_BODY_JSON},
        {"application/ld+json", FG_BODY_JSON},
        {"application/problem+JSON;x", FG_BODY_JSON},
        {"application/+json", FG_BODY_NONE},
        {"application/jsonx", FG_BODY_NONE},
        {"image/svg+json", FG_BODY_NONE},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(fg_body_type(cases[i].header), cases[i].type);
    }
}

static void other_types_have_no_fields(void **state)
{
    (void)state;
    body_gives("text/plain", &fg_body_default_caps, "a=1&b=2", "OK");
    body_gives(NULL, &fg_body_default_caps, "a=1&b=2", "OK");
}

static void default_caps_are_documented(void **state)
{
    (void)state;
    assert_int_equal(fg_body_default_caps.fields, 1000);
    assert_int_equal(fg_body_default_caps.name_len, 512);
    assert_int_equal(fg_body_default_caps.value_kept, 16384);
    assert_int_equal(fg_body_default_caps.depth, 32);
}

static void status_is_final(void **state)
{
    body_text_t t = {NULL, 0, 0};
    apr_pool_t *pool;
    fg_body_t *body;

    (void)state;
    apr_pool_create(&pool, NULL);
    assert_int_equal(
        fg_body_create(&body, "application/json", &fg_body_default_caps, text_add_field, &t, pool),
        FG_BODY_OK);
    assert_int_equal(fg_body_feed(body, "[1,", 3), FG_BODY_OK);
    assert_int_equal(fg_body_feed(body, "", 0), FG_BODY_OK);
    assert_int_equal(fg_body_feed(body, "]", 1), FG_BODY_MALFORMED);
    assert_int_equal(fg_body_feed(body, "2]", 2), FG_BODY_MALFORMED);
    assert_int_equal(fg_body_finish(body), FG_BODY_MALFORMED);
    assert_string_equal(t.text, "0=1|");

    assert_int_equal(fg_body_create(&body, "multipart/form-data", &fg_body_default_caps,
                                    text_add_field, &t, pool),
                     FG_BODY_MALFORMED);
    assert_int_equal(fg_body_feed(body, "x", 1), FG_BODY_MALFORMED);
    assert_int_equal(fg_body_finish(body), FG_BODY_MALFORMED);
    free(t.text);
    apr_pool_destroy(pool);
}

static void nothing_comes_behind_the_end(void **state)
{
    body_text_t t = {NULL, 0, 0};
    apr_pool_t *pool;
    fg_body_t *body;

    (void)state;
    apr_pool_create(&pool, NULL);
    fg_body_create(&body, "application/x-www-form-urlencoded", &fg_body_default_caps,
                   text_add_field, &t, pool);
    fg_body_feed(body, "a=1", 3);
    assert_int_equal(fg_body_finish(body), FG_BODY_OK);
    assert_int_equal(fg_body_feed(body, "b=2&", 4), FG_BODY_OK);
    assert_int_equal(fg_body_finish(body), FG_BODY_OK);
    assert_string_equal(t.text, "a=1|");
    free(t.text);
    apr_pool_destroy(pool);
}

/* A start, `count` times a middle, and an end, all in as much memory as is documented. */
static void memory_stays(const char *type, const char *start, const char *middle, size_t count,
                         const char *end)
{
    fg_body_caps_t caps = fg_body_default_caps;
    body_text_t t = {NULL, 0, 0};
    apr_pool_t *pool;
    fg_body_t *body;
    size_t before;

    apr_pool_create(&pool, NULL);
    caps.value_kept = 1000;
    before = allocated;
    fg_body_create(&body, type, &caps, text_add_field, &t, pool);
    fg_body_feed(body, start, strlen(start));
    while (count--) {
        fg_body_feed(body, middle, strlen(middle));
    }
    fg_body_feed(body, end, strlen(end));
    assert_int_equal(fg_body_finish(body), FG_BODY_OK);
    assert_non_null(t.text);
    assert_true(allocated > before);
    assert_true(allocated - before < 32 * 1024 + caps.value_kept);
    free(t.text);
    apr_pool_destroy(pool);
}

static void memory_does_not_grow(void **state)
{
    char *middle = repeated("0123456789abcde\n", 4096);

    (void)state;
    memory_stays("application/x-www-form-urlencoded", "a=", middle, 64, "&b=1");
    memory_stays("application/x-www-form-urlencoded", "", "a[b]=%41&", 1000, "");
    memory_stays("multipart/form-data; boundary=b",
                 "--b\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\n", middle, 64,
                 "\r\n--b--");
    memory_stays("multipart/form-data; boundary=b", "",
                 "--b\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\nv\r\n", 1000,
                 "--b--");
    memory_stays("application/json", "[", "[\"abc\",1],", 499, "[\"\\u00e9\"]]");
    free(middle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(type_is_told_by_the_header),
        cmocka_unit_test(other_types_have_no_fields),
        cmocka_unit_test(default_caps_are_documented),
        cmocka_unit_test(status_is_final),
        cmocka_unit_test(nothing_comes_behind_the_end),
        cmocka_unit_test(memory_does_not_grow),
    };

    return cmocka_run_group_tests(tests, body_set_up, body_tear_down);
}
