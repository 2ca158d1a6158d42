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

#include "envelope.h"

#define SEC  APR_USEC_PER_SEC
#define NOW  apr_time_from_sec(1800000000)
#define FORM "application/x-www-form-urlencoded"

static apr_pool_t *pool;
static fg_altcha_t *altcha;
static fg_address_t client;
static fg_altcha_subject_t subject = {"www.example.jp", "/contact.php", &client, NULL};

static int set_up(void **state)
{
    unsigned char key[FG_ALTCHA_KEY_BYTES] = {7};

    (void)state;
    apr_pool_create(&pool, NULL);
    assert_int_equal(fg_address_parse(&client, "203.0.113.7"), APR_SUCCESS);
    return fg_altcha_create(&altcha, key, pool);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/* What the page posts: `after` stands behind the hidden field. */
static const char *post_of(const fg_envelope_t *envelope, const char *after)
{
    const char *text = fg_envelope_seal(altcha, &subject, envelope, NOW + 60 * SEC, pool);

    assert_non_null(text);
    /* A browser sends it as it is. */
    assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_."),
                     strlen(text));
    return apr_pstrcat(pool, FG_ENVELOPE_FIELD "=", text, after, NULL);
}

static const char *post(const char *body, const char *after)
{
    fg_envelope_t envelope = {.type = FORM, .body = body, .len = strlen(body)};

    return post_of(&envelope, after);
}

static int open_as(const fg_altcha_subject_t *whom, const char *text, apr_size_t len,
                   apr_time_t now, fg_envelope_t *envelope)
{
    /* Exactly as long: what reads on is seen by the sanitizer. */
    char *exact = malloc(len + 1);
    int opened;

    memcpy(exact, text, len);
    exact = realloc(exact, len > 0 ? len : 1);
    opened = fg_envelope_is(FORM, exact, len) &&
             fg_envelope_open(altcha, whom, exact, len, now, envelope, pool);
    free(exact);
    return opened;
}

static int opens(const char *text, fg_envelope_t *envelope)
{
    return open_as(&subject, text, strlen(text), NOW, envelope);
}

static void test_what_went_in_comes_out(void **state)
{
    static const char *const types[] = {FORM, NULL, "multipart/form-data; boundary=\"a.b\"",
                                        "application/x-www-form-urlencoded;charset=Shift_JIS"};
    static const apr_size_t sizes[] = {0, 1, 2, 3, 4, 255, 256, 1000, FG_ENVELOPE_BODY_MAX};
    char *bytes = apr_palloc(pool, FG_ENVELOPE_BODY_MAX);
    apr_size_t i;
    apr_size_t j;

    (void)state;
    for (i = 0; i < FG_ENVELOPE_BODY_MAX; i++) {
        bytes[i] = (char)(i * 7 + i / 256); /* every byte there is */
    }
    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            fg_envelope_t in = {.type = types[i], .body = bytes, .len = sizes[j], .fallback = 1};
            fg_envelope_t out;
            const char *text = post_of(&in, "");

            assert_true((apr_off_t)strlen(text) < fg_envelope_post_len((apr_off_t)in.len) - 2000);
            assert_true(opens(text, &out));
            assert_int_equal(out.len, in.len);
            assert_memory_equal(out.body, bytes, in.len);
            if (types[i] == NULL) {
                assert_null(out.type);
            }
            else {
                assert_string_equal(out.type, types[i]);
            }
            assert_int_equal(out.fallback, 1);
            assert_int_equal(out.fresh, 1);
            assert_null(out.answer);
        }
    }
}

static void test_the_answer_stands_behind(void **state)
{
    fg_envelope_t out;

    (void)state;
    assert_true(opens(post("a=b", "&altcha=eyJ%2B%3D%3D"), &out));
    assert_string_equal(out.answer, "eyJ+==");
    assert_int_equal(out.answer_len, 6);
    assert_true(opens(post("altcha=inner", "&altcha="), &out));
    assert_string_equal(out.answer, "");
    assert_true(opens(post("altcha=inner", "&"), &out));
    assert_null(out.answer);
    assert_true(opens(post("a=b", "&x=1&altcha=2"), &out));
    assert_string_equal(out.answer, "2");
    assert_true(opens(post("a=b", "&altcha=1%00z"), &out));
    assert_true(out.answer_len != strlen(out.answer));
    assert_true(opens(post("a=b", "&altcha%5B%5D=1"), &out));
    assert_null(out.answer);
}

static void test_the_answer_counts_for_a_time_and_a_client(void **state)
{
    const char *text = post("a=b", "&altcha=1");
    fg_address_t address;
    fg_altcha_subject_t other = {"www.example.jp", "/contact.php", &address};
    fg_envelope_t in = {.type = FORM, .body = "a=b", .len = 3, .fallback = 1};
    fg_envelope_t out;

    (void)state;
    assert_true(open_as(&subject, text, strlen(text), NOW + 59 * SEC, &out));
    assert_true(out.fresh);
    assert_false(out.fallback);
    assert_true(open_as(&subject, text, strlen(text), NOW + 60 * SEC, &out));
    assert_false(out.fresh);
    assert_string_equal(out.body, "a=b");
    fg_address_parse(&address, "203.0.113.200");
    assert_true(open_as(&other, text, strlen(text), NOW, &out));
    assert_true(out.fresh);
    fg_address_parse(&address, "203.0.114.7");
    text = post_of(&in, "&altcha=1");
    assert_true(open_as(&other, text, strlen(text), NOW, &out));
    assert_false(out.fresh);
    assert_false(out.fallback); /* not for somebody else, nor for ever */
    assert_string_equal(out.body, "a=b");
}

static void test_only_for_its_form(void **state)
{
    const char *text = post("a=b", "");
    fg_altcha_subject_t host = {"www.example.com", "/contact.php", &client};
    fg_altcha_subject_t path = {"www.example.jp", "/contact.php2", &client};
    fg_envelope_t out;

    (void)state;
    assert_false(open_as(&host, text, strlen(text), NOW, &out));
    assert_false(open_as(&path, text, strlen(text), NOW, &out));
    assert_true(open_as(&subject, text, strlen(text), NOW, &out));
}

static void test_altered(void **state)
{
    const char *text = post("a=b&c=d", "&altcha=1");
    apr_size_t whole = strlen(FG_ENVELOPE_FIELD "=");
    apr_size_t end = (apr_size_t)(strchr(text, '&') - text);
    apr_size_t fresh = whole + 65;
    apr_size_t rest = fresh + 10 + 1 + 2 + 65;
    fg_envelope_t out;
    apr_size_t at;

    (void)state;
    for (at = 0; at < end; at++) {
        char *bad = apr_pstrdup(pool, text);
        int opened;

        bad[at] = bad[at] == 'A' ? 'B' : 'A';
        opened = opens(bad, &out);
        if (at >= fresh && at < rest) { /* whom and until when it counts for */
            assert_false(opened && out.fresh);
        }
        else {
            assert_false(opened);
        }
    }
}

static void test_cut_off(void **state)
{
    const char *text = post("a=b&c=d", "");
    fg_envelope_t out;
    apr_size_t len;

    (void)state;
    for (len = 0; len < strlen(text); len++) {
        assert_false(open_as(&subject, text, len, NOW, &out));
    }
    assert_true(open_as(&subject, text, len, NOW, &out));
}

static void test_no_envelope_at_all(void **state)
{
    static const char *const none[] = {"", "a=b", "formguard-kept", "xformguard-kept=1"};
    static const char *const bad[] = {"formguard-kept=", "formguard-kept=&", "formguard-kept=....",
                                      "formguard-kept=%00"};
    fg_envelope_t out;
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_false(fg_envelope_is(FORM, none[i], strlen(none[i])));
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(fg_envelope_is(FORM, bad[i], strlen(bad[i])));
        assert_false(opens(bad[i], &out));
    }
    assert_false(fg_envelope_is(NULL, bad[0], strlen(bad[0])));
    assert_false(fg_envelope_is("text/plain", bad[0], strlen(bad[0])));
    assert_false(
        opens(apr_pstrcat(pool, bad[0], apr_pstrmemdup(pool, post("a", ""), 60), NULL), &out));
}

/* Random bytes where a signed part belongs, and dots at random: nothing opens, nothing is read
 * beyond its end. */
static void test_noise(void **state)
{
    static const char alphabet[] = "0123456789abcdefXYZ-_.&=%\xff";
    apr_uint32_t x = 1;
    int round;

    (void)state;
    for (round = 0; round < 20000; round++) {
        char text[400];
        apr_size_t start = strlen(FG_ENVELOPE_FIELD "=");
        apr_size_t len;
        apr_size_t i;
        fg_envelope_t out;

        x = x * 1103515245 + 12345;
        len = start + (x >> 16) % (sizeof(text) - start);
        memcpy(text, FG_ENVELOPE_FIELD "=", start);
        for (i = start; i < len; i++) {
            x = x * 1103515245 + 12345;
            text[i] = alphabet[(x >> 16) % sizeof(alphabet)];
        }
        assert_false(open_as(&subject, text, len, NOW, &out));
    }
}

static void test_no_envelope_in_an_envelope(void **state)
{
    fg_envelope_t out;

    (void)state;
    assert_false(opens(post(post("a=b", ""), "&altcha=1"), &out));
    assert_false(opens(post(FG_ENVELOPE_FIELD "=", ""), &out));
}

static void test_what_is_taken(void **state)
{
    char *longest = apr_palloc(pool, FG_ENVELOPE_TYPE_MAX + 2);

    (void)state;
    memset(longest, 'x', FG_ENVELOPE_TYPE_MAX + 1);
    memcpy(longest, "text/plain;", 11);
    longest[FG_ENVELOPE_TYPE_MAX + 1] = '\0';
    assert_true(fg_envelope_takes(FORM, 0));
    assert_true(fg_envelope_takes(FORM "; charset=Shift_JIS", FG_ENVELOPE_BODY_MAX));
    assert_false(fg_envelope_takes(FORM, FG_ENVELOPE_BODY_MAX + 1));
    assert_true(fg_envelope_takes("Multipart/Form-Data;boundary=x", 5));
    assert_true(fg_envelope_takes("text/plain", 5));
    assert_true(fg_envelope_takes(NULL, 5));
    /* No form of another site can post these, nor shall it through a page of ours. */
    assert_false(fg_envelope_takes("application/json", 5));
    assert_false(fg_envelope_takes("text/plain+json", 5));
    assert_false(fg_envelope_takes("text/html", 5));
    assert_false(fg_envelope_takes("", 5));
    assert_false(fg_envelope_takes(longest, 5));
    longest[FG_ENVELOPE_TYPE_MAX] = '\0';
    assert_true(fg_envelope_takes(longest, 5));
    /* With ModSecurity's recommended configuration. */
    assert_true(fg_envelope_post_len(FG_ENVELOPE_BODY_MAX) < 131072);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_went_in_comes_out),
        cmocka_unit_test(test_the_answer_stands_behind),
        cmocka_unit_test(test_the_answer_counts_for_a_time_and_a_client),
        cmocka_unit_test(test_only_for_its_form),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_no_envelope_at_all),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_no_envelope_in_an_envelope),
        cmocka_unit_test(test_what_is_taken),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, set_up, tear_down);
    apr_terminate();
    return failed;
}
