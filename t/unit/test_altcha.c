/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <apr_encode.h>
#include <apr_escape.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "altcha.h"

#define SEC  APR_USEC_PER_SEC
#define NOW  apr_time_from_sec(1800000000)
#define HOUR (3600 * SEC)

static apr_pool_t *pool;
static fg_altcha_t *altcha;
static fg_address_t client;
static fg_altcha_subject_t subject = {"www.example.jp", "/contact.php", &client, NULL};
static const unsigned char key[FG_ALTCHA_KEY_BYTES] = "a key of thirty-two bytes, exact";

static int set_up(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    assert_int_equal(fg_address_parse(&client, "192.0.2.7"), APR_SUCCESS);
    return fg_altcha_create(&altcha, key, pool);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/* --- an independent reading of the published algorithm ---------------------------------------- */

static const char *hex_sha256(const char *text)
{
    unsigned char bytes[32];
    unsigned int len;

    assert_true(EVP_Digest(text, strlen(text), bytes, &len, EVP_sha256(), NULL));
    return apr_pescape_hex(pool, bytes, len, 0);
}

static const char *hex_hmac(const char *text)
{
    unsigned char bytes[32];
    unsigned int len;
    const char *text_key = apr_pescape_hex(pool, key, sizeof(key), 0);

    assert_non_null(HMAC(EVP_sha256(), text_key, (int)strlen(text_key), (const unsigned char *)text,
                         strlen(text), bytes, &len));
    return apr_pescape_hex(pool, bytes, len, 0);
}

static const char *member(struct json_object *json, const char *name)
{
    struct json_object *value;

    assert_true(json_object_object_get_ex(json, name, &value));
    return apr_pstrdup(pool, json_object_get_string(value));
}

typedef struct challenge {
    const char *challenge;
    const char *salt;
    const char *signature;
    int maxnumber;
} challenge_t;

static challenge_t challenge_for(const fg_altcha_subject_t *whom, apr_uint32_t work,
                                 apr_interval_time_t life)
{
    const char *text = fg_altcha_challenge(altcha, whom, work, NOW, life, pool);
    struct json_object *json;
    challenge_t made;

    assert_non_null(text);
    json = json_tokener_parse(text);
    assert_non_null(json);
    assert_string_equal(member(json, "algorithm"), "SHA-256");
    made.challenge = member(json, "challenge");
    made.salt = member(json, "salt");
    made.signature = member(json, "signature");
    made.maxnumber = atoi(member(json, "maxnumber"));
    json_object_put(json);
    return made;
}

static int solve(const challenge_t *challenge)
{
    int number;

    for (number = 0; number <= challenge->maxnumber; number++) {
        const char *text = apr_psprintf(pool, "%s%d", challenge->salt, number);

        if (strcmp(hex_sha256(text), challenge->challenge) == 0) {
            return number;
        }
    }
    fail_msg("no number up to maxnumber solves it");
    return -1;
}

static const char *encode(const char *json)
{
    return apr_pencode_base64(pool, json, APR_ENCODE_STRING, APR_ENCODE_NONE, NULL);
}

static const char *solution(const challenge_t *challenge, int number)
{
    return encode(apr_psprintf(pool,
                               "{\"algorithm\":\"SHA-256\",\"challenge\":\"%s\",\"number\":%d,"
                               "\"salt\":\"%s\",\"signature\":\"%s\",\"took\":12}",
                               challenge->challenge, number, challenge->salt,
                               challenge->signature));
}

static fg_reason_t judge_as(const fg_altcha_subject_t *whom, const char *token, apr_time_t now)
{
    fg_captcha_result_t result;
    fg_altcha_solved_t solved;

    fg_altcha_judge(altcha, whom, token, now, HOUR, &result, &solved, pool);
    return result.reason;
}

static fg_reason_t judge(const char *token)
{
    return judge_as(&subject, token, NOW);
}

/* --- the round -------------------------------------------------------------------------------- */

static void test_solved(void **state)
{
    challenge_t made = challenge_for(&subject, 200, 60 * SEC);
    fg_captcha_result_t result;
    fg_altcha_solved_t solved;
    int number;

    (void)state;
    assert_int_equal(made.maxnumber, 200);
    assert_string_equal(made.signature, hex_hmac(made.challenge));
    assert_int_equal(made.salt[strlen(made.salt) - 1], '&');
    number = solve(&made);
    fg_altcha_judge(altcha, &subject, solution(&made, number), NOW, HOUR, &result, &solved, pool);
    assert_int_equal(result.reason, FG_ACCEPTED);
    assert_string_equal(solved.id, made.challenge);
    assert_int_equal(solved.life, 60 * SEC);
    assert_int_equal(judge(solution(&made, number + 1)), FG_CAPTCHA_REJECTED);
}

static void test_numbers_reach_both_ends(void **state)
{
    int seen[3] = {0};
    int i;

    (void)state;
    for (i = 0; i < 200; i++) {
        challenge_t made = challenge_for(&subject, 2, 60 * SEC);

        seen[solve(&made)]++;
    }
    assert_true(seen[0] > 20 && seen[1] > 20 && seen[2] > 20);
}

static void test_every_challenge_differs(void **state)
{
    challenge_t one = challenge_for(&subject, 0xffffffffu, 60 * SEC);
    challenge_t other = challenge_for(&subject, 0xffffffffu, 60 * SEC);

    (void)state;
    assert_string_not_equal(one.challenge, other.challenge);
    assert_string_not_equal(one.salt, other.salt);
}

/* --- what a solution is good for -------------------------------------------------------------- */

static void test_expired(void **state)
{
    fg_captcha_result_t result;
    fg_altcha_solved_t solved;
    challenge_t made = challenge_for(&subject, 50, 60 * SEC);
    const char *token = solution(&made, solve(&made));

    (void)state;
    assert_int_equal(judge_as(&subject, token, NOW + 59 * SEC), FG_ACCEPTED);
    assert_int_equal(judge_as(&subject, token, NOW + 60 * SEC), FG_CAPTCHA_EXPIRED);
    assert_int_equal(judge_as(&subject, token, NOW + 86400 * SEC), FG_CAPTCHA_EXPIRED);
    /* Where it is judged less may be asked for than where it was made. */
    fg_altcha_judge(altcha, &subject, token, NOW + 29 * SEC, 30 * SEC, &result, &solved, pool);
    assert_int_equal(result.reason, FG_ACCEPTED);
    fg_altcha_judge(altcha, &subject, token, NOW + 30 * SEC, 30 * SEC, &result, &solved, pool);
    assert_int_equal(result.reason, FG_CAPTCHA_EXPIRED);
    assert_int_equal(solved.life, 60 * SEC);
}

static void test_foreign(void **state)
{
    challenge_t made = challenge_for(&subject, 50, 60 * SEC);
    const char *token = solution(&made, solve(&made));
    fg_address_t elsewhere, neighbour;
    fg_altcha_subject_t other_host = {"www.example.com", "/contact.php", &client, NULL};
    fg_altcha_subject_t other_form = {"www.example.jp", "/contact.php5", &client, NULL};
    fg_altcha_subject_t shifted = {"www.example.jp\n", "contact.php", &client, NULL};
    fg_altcha_subject_t other_net = {"www.example.jp", "/contact.php", &elsewhere, NULL};
    fg_altcha_subject_t same_net = {"www.example.jp", "/contact.php", &neighbour, NULL};

    (void)state;
    fg_address_parse(&elsewhere, "192.0.3.7");
    fg_address_parse(&neighbour, "192.0.2.200");
    assert_int_equal(judge_as(&other_host, token, NOW), FG_CAPTCHA_REJECTED);
    assert_int_equal(judge_as(&other_form, token, NOW), FG_CAPTCHA_REJECTED);
    assert_int_equal(judge_as(&shifted, token, NOW), FG_CAPTCHA_REJECTED);
    assert_int_equal(judge_as(&other_net, token, NOW), FG_CAPTCHA_REJECTED);
    assert_int_equal(judge_as(&same_net, token, NOW), FG_ACCEPTED);
    fg_address_parse(&elsewhere, "2001:db8:1::1");
    assert_int_equal(judge_as(&other_net, token, NOW), FG_CAPTCHA_REJECTED);
    /* a script's post, for the page it runs in */
    other_form.page = "/contact.php";
    assert_int_equal(judge_as(&other_form, token, NOW), FG_ACCEPTED);
    other_form.page = "/contact.phtml";
    assert_int_equal(judge_as(&other_form, token, NOW), FG_CAPTCHA_REJECTED);
    other_host.page = "/contact.php";
    assert_int_equal(judge_as(&other_host, token, NOW), FG_CAPTCHA_REJECTED);
}

static void test_other_key(void **state)
{
    unsigned char other_key[FG_ALTCHA_KEY_BYTES];
    challenge_t made = challenge_for(&subject, 50, 60 * SEC);
    const char *token = solution(&made, solve(&made));
    fg_captcha_result_t result;
    fg_altcha_solved_t solved;
    fg_altcha_t *other;

    (void)state;
    memcpy(other_key, key, sizeof(key));
    other_key[31] ^= 1;
    assert_int_equal(fg_altcha_create(&other, other_key, pool), APR_SUCCESS);
    fg_altcha_judge(other, &subject, token, NOW, HOUR, &result, &solved, pool);
    assert_int_equal(result.reason, FG_CAPTCHA_REJECTED);
    assert_string_equal(solved.id, "");
}

/* --- attacks ---------------------------------------------------------------------------------- */

/* Digits moved between the salt and the number leave the hashed text as it is. */
static void test_spliced(void **state)
{
    challenge_t made, spliced;
    int number;
    const char *digits;

    (void)state;
    do {
        made = challenge_for(&subject, 500, 60 * SEC);
        number = solve(&made);
    } while (number < 100);
    digits = apr_itoa(pool, number);
    spliced = made;
    spliced.salt = apr_psprintf(pool, "%s%c", made.salt, digits[0]);
    assert_int_equal(judge(solution(&spliced, atoi(digits + 1))), FG_CAPTCHA_REJECTED);
    spliced.salt = apr_pstrndup(pool, made.salt, strlen(made.salt) - 1);
    assert_int_equal(judge(solution(&spliced, number)), FG_CAPTCHA_REJECTED);
}

static void test_altered(void **state)
{
    challenge_t made = challenge_for(&subject, 50, 60 * SEC);
    int number = solve(&made);
    const char *parts[] = {made.challenge, made.salt, made.signature};
    apr_size_t part, at;

    (void)state;
    assert_int_equal(judge(solution(&made, number)), FG_ACCEPTED);
    for (part = 0; part < 3; part++) {
        for (at = 0; at < strlen(parts[part]); at++) {
            challenge_t bad = made;
            char *text = apr_pstrdup(pool, parts[part]);

            text[at] = text[at] == '1' ? '2' : '1';
            *(part == 0 ? &bad.challenge : part == 1 ? &bad.salt : &bad.signature) = text;
            assert_int_not_equal(judge(solution(&bad, number)), FG_ACCEPTED);
        }
    }
}

/* A challenge of the visitor's own making, with its own number: only the signature is missing. */
static void test_self_made(void **state)
{
    challenge_t made = challenge_for(&subject, 50, 60 * SEC);
    challenge_t own = made;

    (void)state;
    own.challenge = hex_sha256(apr_psprintf(pool, "%s7", made.salt));
    assert_int_equal(judge(solution(&own, 7)), FG_CAPTCHA_REJECTED);
    own.signature = own.challenge;
    assert_int_equal(judge(solution(&own, 7)), FG_CAPTCHA_REJECTED);
    own.signature = "";
    assert_int_equal(judge(solution(&own, 7)), FG_CAPTCHA_REJECTED);
}

static void test_no_solution(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"algorithm\":\"SHA-256\"}",
        "{\"algorithm\":\"SHA-256\",\"challenge\":1,\"number\":1,\"salt\":\"\",\"signature\":\"\"}",
        "{\"algorithm\":\"SHA-256\",\"challenge\":\"\",\"number\":-1,\"salt\":\"\","
        "\"signature\":\"\"}",
        "{\"algorithm\":\"SHA-256\",\"challenge\":\"\",\"number\":1.5,\"salt\":\"\","
        "\"signature\":\"\"}",
        "{\"algorithm\":\"SHA-256\",\"challenge\":\"\",\"number\":99999999999999999999,"
        "\"salt\":\"\",\"signature\":\"\"}",
        "{\"algorithm\":\"SHA-1\",\"challenge\":\"\",\"number\":1,\"salt\":\"\","
        "\"signature\":\"\"}",
        "{\"algorithm\":\"SHA-256\",\"number\":1,\"number\":2}",
        "{\"verificationData\":\"verified=true\",\"signature\":\"x\"}"};
    static const char *const raw[] = {"!", "====", "AAA", "e30", "YQ==YQ=="};
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(judge(encode(texts[i])), FG_CAPTCHA_SHAPE);
    }
    for (i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
        assert_int_equal(judge(raw[i]), FG_CAPTCHA_SHAPE);
    }
}

/* Whatever is put in a salt, a challenge of ours it is not. */
static void test_salts(void **state)
{
    static const char *const salts[] = {
        "?",
        "?expires=99999999999",
        "000000000000000000000000?expires=&life=60&form=",
        "000000000000000000000000?expires=9999999999999999&life=60&form=0",
        "000000000000000000000000?expires=1900000000&life=60&form=000000000000000",
    };
    apr_size_t i;

    (void)state;
    for (i = 0; i < sizeof(salts) / sizeof(salts[0]); i++) {
        challenge_t own;

        own.salt = salts[i];
        own.challenge = hex_sha256(apr_psprintf(pool, "%s1", salts[i]));
        own.signature = hex_hmac(own.challenge); /* even had it our signature */
        assert_int_equal(judge(solution(&own, 1)), FG_CAPTCHA_REJECTED);
    }
}

/* --- difficulty ------------------------------------------------------------------------------- */

static void test_work(void **state)
{
    fg_difficulty_t difficulty = {50000, 1000000};
    fg_difficulty_t fixed = {5000, 5000};

    (void)state;
    assert_int_equal(fg_altcha_work(&difficulty, 0), 50000);
    assert_int_equal(fg_altcha_work(&difficulty, FG_ALTCHA_STEP), 50000);
    assert_int_equal(fg_altcha_work(&difficulty, FG_ALTCHA_STEP + 1), 100000);
    assert_int_equal(fg_altcha_work(&difficulty, 4 * FG_ALTCHA_STEP + 1), 800000);
    assert_int_equal(fg_altcha_work(&difficulty, 5 * FG_ALTCHA_STEP + 1), 1000000);
    assert_int_equal(fg_altcha_work(&difficulty, 0xffffffffu), 1000000);
    assert_int_equal(fg_altcha_work(&fixed, 0xffffffffu), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solved),    cmocka_unit_test(test_numbers_reach_both_ends),
        cmocka_unit_test(test_expired),   cmocka_unit_test(test_every_challenge_differs),
        cmocka_unit_test(test_foreign),   cmocka_unit_test(test_other_key),
        cmocka_unit_test(test_spliced),   cmocka_unit_test(test_altered),
        cmocka_unit_test(test_self_made), cmocka_unit_test(test_no_solution),
        cmocka_unit_test(test_salts),     cmocka_unit_test(test_work),
    };
    int failed;

    apr_initialize();
    failed = cmocka_run_group_tests(tests, set_up, tear_down);
    apr_terminate();
    return failed;
}
