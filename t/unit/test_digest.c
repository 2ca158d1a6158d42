/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "digest.h"

static apr_pool_t *pool;

static void spell(char out[FG_DIGEST_HEX], const unsigned char *bytes)
{
    int i;

    for (i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[64] = '\0';
}

static const char *sign(const char *key, apr_size_t len, const char *text, char out[FG_DIGEST_HEX])
{
    fg_digest_t *digest;

    assert_int_equal(fg_digest_create(&digest, key, len, pool), APR_SUCCESS);
    assert_true(fg_digest_sign(digest, text, out));
    return out;
}

/* RFC 4231, the test cases whose data is text. */
static void signs_as_published(void **state)
{
    char out[FG_DIGEST_HEX];
    char key[131];

    (void)state;
    memset(key, 0x0b, sizeof(key));
    assert_string_equal(sign(key, 20, "Hi There", out),
                        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_string_equal(sign("Jefe", 4, "what do ya want for nothing?", out),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_string_equal(
        sign(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", out),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* As OpenSSL's own, whatever the lengths of key and text; and again with the same key. */
static void signs_as_openssl(void **state)
{
    char text[300];
    apr_size_t len;
    apr_size_t key_len;

    (void)state;
    memset(text, 'x', sizeof(text));
    for (key_len = 1; key_len < 70; key_len += 20) {
        fg_digest_t *digest;

        assert_int_equal(fg_digest_create(&digest, text, key_len, pool), APR_SUCCESS);
        for (len = 0; len < sizeof(text); len++) {
            char out[FG_DIGEST_HEX], expected[FG_DIGEST_HEX];
            unsigned char bytes[32];

            text[len] = '\0';
            assert_non_null(HMAC(EVP_sha256(),
                                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                 "xxxxxxxxxxxxxxxxxxxxxxxxx",
                                 (int)key_len, (const unsigned char *)text, len, bytes, NULL));
            spell(expected, bytes);
            assert_true(fg_digest_sign(digest, text, out));
            assert_string_equal(out, expected);
            assert_true(EVP_Digest(text, len, bytes, NULL, EVP_sha256(), NULL));
            spell(expected, bytes);
            assert_true(fg_digest_sha256(digest, text, len, out));
            assert_string_equal(out, expected);
            text[len] = 'x';
        }
    }
}

static void compares_all_of_it(void **state)
{
    (void)state;
    assert_true(fg_digest_equal("abc", "abc"));
    assert_false(fg_digest_equal("abc", "abd"));
    assert_false(fg_digest_equal("abc", "xbc"));
    assert_false(fg_digest_equal("abc", "ab"));
    assert_false(fg_digest_equal("ab", "abc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_published),
        cmocka_unit_test(signs_as_openssl),
        cmocka_unit_test(compares_all_of_it),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
