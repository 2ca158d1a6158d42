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

#include "verify.h"

#define SEC     APR_USEC_PER_SEC
#define TIMEOUT (3 * SEC)

static const unsigned char secret[16] = "a secret of ours";
static const char good[] = "{\"success\":true,\"hostname\":\"shop.example\","
                           "\"challenge_ts\":\"2026-01-01T00:00:00Z\"}";
static const char no_secret[] = "{\"success\":false,\"error-codes\":[\"invalid-input-secret\"]}";
static const char bad_request[] = "{\"success\":false,\"error-codes\":[\"bad-request\"]}";

static apr_pool_t *pool;
static fg_time_t now;

/* What the vendor does. */
static struct vendor {
    fg_http_client_t client;
    fg_http_reply_t reply;
    apr_interval_time_t takes;
    int asked;
    void (*meanwhile)(void);
} vendor;

static fg_verifier_t verifier;
static fg_captcha_check_t check;
static fg_captcha_result_t result;
static fg_verify_news_t news;

static void vendor_post(fg_http_client_t *client, const fg_http_request_t *request,
                        fg_http_reply_t *reply, apr_pool_t *unused)
{
    (void)unused;
    assert_ptr_equal(client, &vendor.client);
    assert_int_equal(request->timeout, TIMEOUT);
    vendor.asked++;
    *reply = vendor.reply;
    now.steady += vendor.takes;
    if (vendor.meanwhile != NULL) {
        vendor.meanwhile();
    }
}

static void vendor_says(int status, const char *body)
{
    vendor.reply.result = FG_HTTP_OK;
    vendor.reply.status = status;
    vendor.reply.body = body;
    vendor.reply.body_len = strlen(body);
    vendor.takes = SEC / 10;
}

static void vendor_fails(fg_http_result_t how)
{
    memset(&vendor.reply, 0, sizeof(vendor.reply));
    vendor.reply.result = how;
    vendor.reply.body = "";
    vendor.takes = how == FG_HTTP_TIMEOUT ? TIMEOUT : 0;
}

static fg_time_t tell_time(void)
{
    return now;
}

static void *memory_for(apr_size_t size)
{
    void *memory = apr_palloc(pool, size + 64);

    memset(memory, 0xa5, size);
    return memory;
}

static int set_up(void **state)
{
    apr_size_t size = fg_counters_size(1024);
    void *memory;

    (void)state;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 1;
    }
    memory = memory_for(size);
    fg_counters_format(memory, size, 1024, secret);
    fg_counters_attach(&verifier.spent, memory, size, pool);
    memory = memory_for(fg_breaker_size());
    fg_breaker_format(memory, fg_breaker_size(), secret);
    verifier.breaker = fg_breaker_attach(memory, fg_breaker_size());
    memory = memory_for(fg_secrets_size());
    fg_secrets_format(memory, fg_secrets_size(), secret);
    verifier.secrets = fg_secrets_attach(memory, fg_secrets_size());
    verifier.slots = fg_slots_format(memory_for(fg_slots_size(2)), fg_slots_size(2), 2);
    verifier.client = &vendor.client;
    verifier.now = tell_time;
    memset(&vendor, 0, sizeof(vendor));
    vendor.client.post = vendor_post;
    vendor_says(200, good);
    memset(&check, 0, sizeof(check));
    check.provider = fg_captcha_provider("recaptcha-v2");
    check.secret = "the-secret";
    check.timeout = TIMEOUT;
    now.steady = 1000000 * SEC;
    now.wall = 1767225610 * SEC; /* ten seconds after it was solved */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static fg_reason_t verify(const char *token)
{
    int asked = vendor.asked;

    memset(&result, 0x55, sizeof(result));
    memset(&news, 0x55, sizeof(news));
    check.now = now;
    fg_verify(&verifier, &check, "/srv/www/a", token, &result, &news, pool);
    assert_int_equal(news.asked, vendor.asked - asked);
    assert_int_equal(fg_slots_taken(verifier.slots, now.steady), 0);
    return result.reason;
}

static void assert_fails(const char *token, fg_cause_t cause, int asks)
{
    int asked = vendor.asked;

    assert_int_equal(verify(token), FG_VERIFIER);
    assert_int_equal(result.cause, cause);
    assert_int_equal(vendor.asked - asked, asks);
}

static void a_token_is_verified_once(void **state)
{
    (void)state;
    assert_int_equal(verify("t"), FG_ACCEPTED);
    assert_int_equal(verify("t"), FG_CAPTCHA_EXPIRED);
    assert_string_equal(result.detail, "used before");
    assert_int_equal(vendor.asked, 1);
    now.steady += check.provider->life - SEC;
    assert_int_equal(verify("t"), FG_CAPTCHA_EXPIRED);
    vendor_says(200, "{\"success\":false,\"error-codes\":[\"invalid-input-response\"]}");
    assert_int_equal(verify("bad"), FG_CAPTCHA_REJECTED);
    assert_int_equal(verify("bad"), FG_CAPTCHA_EXPIRED);
    assert_int_equal(vendor.asked, 2);
}

static void what_could_not_be_judged_is_given_back(void **state)
{
    (void)state;
    vendor_fails(FG_HTTP_TIMEOUT);
    assert_fails("t", FG_CAUSE_TIMEOUT, 1);
    vendor_fails(FG_HTTP_UNREACHABLE);
    assert_fails("t", FG_CAUSE_UNREACHABLE, 1);
    vendor_says(500, good);
    assert_fails("t", FG_CAUSE_SERVER_ERROR, 1);
    vendor_says(429, good);
    assert_fails("t", FG_CAUSE_QUOTA, 1);
    vendor_says(200, no_secret);
    assert_fails("t", FG_CAUSE_BAD_SECRET, 1);
    vendor_says(200, good);
    assert_int_equal(verify("t"), FG_ACCEPTED);
    assert_int_equal(verify("t"), FG_CAPTCHA_EXPIRED);
}

static void same_token(void)
{
    struct vendor here = vendor;
    fg_captcha_result_t other;
    fg_verify_news_t unused;

    vendor.meanwhile = NULL;
    fg_verify(&verifier, &check, "/srv/www/a", "t", &other, &unused, pool);
    assert_int_equal(other.reason, FG_CAPTCHA_EXPIRED);
    assert_int_equal(vendor.asked, here.asked);
}

static void one_token_is_never_asked_about_twice_at_once(void **state)
{
    (void)state;
    vendor.meanwhile = same_token;
    assert_int_equal(verify("t"), FG_ACCEPTED);
    assert_int_equal(vendor.asked, 1);
}

static void other_token(void)
{
    static int depth;
    fg_captcha_result_t other;
    fg_verify_news_t unused;

    if (++depth == 1) {
        fg_verify(&verifier, &check, "/srv/www/a", "u", &other, &unused, pool);
        assert_int_equal(other.reason, FG_ACCEPTED);
    }
    else {
        fg_verify(&verifier, &check, "/srv/www/a", "v", &other, &unused, pool);
        assert_int_equal(other.reason, FG_VERIFIER);
        assert_int_equal(other.cause, FG_CAUSE_BUSY);
        assert_int_equal(unused.service, FG_BREAKER_SAME);
    }
}

static void only_so_many_wait_at_once(void **state)
{
    (void)state;
    vendor.meanwhile = other_token;
    check.now = now;
    fg_verify(&verifier, &check, "/srv/www/a", "t", &result, &news, pool);
    assert_int_equal(result.reason, FG_ACCEPTED);
    assert_int_equal(vendor.asked, 2);
    vendor.meanwhile = NULL;
    assert_int_equal(verify("v"), FG_ACCEPTED); /* it was given back */
}

static void a_service_that_fails_is_left_alone_for_a_while(void **state)
{
    int i;

    (void)state;
    vendor_fails(FG_HTTP_TIMEOUT);
    for (i = 0; i < FG_BREAKER_FAILURES; i++) {
        assert_fails("t", FG_CAUSE_TIMEOUT, 1);
        assert_int_equal(news.service,
                         i + 1 == FG_BREAKER_FAILURES ? FG_BREAKER_OPENED : FG_BREAKER_SAME);
    }
    assert_int_equal(news.cause, FG_CAUSE_TIMEOUT);
    assert_in_range(news.next_try, FG_BREAKER_SHORTEST, FG_BREAKER_SHORTEST + SEC / 10);
    vendor_says(200, good);
    assert_fails("t", FG_CAUSE_TIMEOUT, 0);
    assert_in_range(result.retry_after, FG_BREAKER_SHORTEST, FG_BREAKER_SHORTEST + SEC / 10);
    /* The same service, trusted by another CA, is another. */
    check.ca_file = "/etc/ca.pem";
    assert_int_equal(verify("u"), FG_ACCEPTED);
    check.ca_file = NULL;
    now.steady += FG_BREAKER_SHORTEST + SEC;
    assert_int_equal(verify("t"), FG_ACCEPTED);
    assert_int_equal(news.service, FG_BREAKER_CLOSED);
    assert_int_equal(verify("x"), FG_ACCEPTED);
    assert_int_equal(news.service, FG_BREAKER_SAME);
}

/* What one customer's keys or one visitor's token can bring about, any number of times. */
static void nobody_can_shut_a_service_for_others(void **state)
{
    static const struct {
        int status;
        const char *body;
        fg_cause_t cause;
    } replies[] = {{200, no_secret, FG_CAUSE_BAD_SECRET},
                   {429, good, FG_CAUSE_QUOTA},
                   {200, bad_request, FG_CAUSE_SERVER_ERROR},
                   {400, "no", FG_CAUSE_SERVER_ERROR},
                   {200, "<html>", FG_CAUSE_SERVER_ERROR}};
    size_t i;
    int k;

    (void)state;
    for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        vendor_says(replies[i].status, replies[i].body);
        for (k = 0; k < 3 * FG_BREAKER_FAILURES; k++) {
            assert_fails("t", replies[i].cause, 1);
            assert_int_equal(news.service, FG_BREAKER_SAME);
        }
    }
    check.secret = NULL;
    for (k = 0; k < 3 * FG_BREAKER_FAILURES; k++) {
        assert_fails("t", FG_CAUSE_BAD_SECRET, 0);
    }
    verifier.client = NULL;
    check.secret = "the-secret";
    for (k = 0; k < 3 * FG_BREAKER_FAILURES; k++) {
        assert_fails("t", FG_CAUSE_UNREACHABLE, 0);
    }
    verifier.client = &vendor.client;
    vendor_says(200, good);
    assert_int_equal(verify("t"), FG_ACCEPTED);
}

static void a_busy_server_does_not_use_up_the_probe(void **state)
{
    fg_lease_t lease[2];
    int i;

    (void)state;
    vendor_fails(FG_HTTP_UNREACHABLE);
    for (i = 0; i < FG_BREAKER_FAILURES; i++) {
        assert_fails("t", FG_CAUSE_UNREACHABLE, 1);
    }
    now.steady += FG_BREAKER_SHORTEST + SEC;
    vendor_says(200, good);
    for (i = 0; i < 2; i++) {
        lease[i] = fg_slots_take(verifier.slots, now.steady, SEC);
    }
    check.now = now;
    fg_verify(&verifier, &check, "/srv/www/a", "t", &result, &news, pool);
    assert_int_equal(result.cause, FG_CAUSE_BUSY);
    for (i = 0; i < 2; i++) {
        fg_slots_release(verifier.slots, &lease[i]);
    }
    assert_int_equal(verify("t"), FG_ACCEPTED);
    assert_int_equal(news.service, FG_BREAKER_CLOSED);
}

static void what_is_new_of_a_secret_is_told_once(void **state)
{
    (void)state;
    vendor_says(200, no_secret);
    assert_fails("t", FG_CAUSE_BAD_SECRET, 1);
    assert_true(news.secret_changed);
    assert_int_equal(news.secret, FG_SECRET_REFUSED);
    assert_fails("t", FG_CAUSE_BAD_SECRET, 1);
    assert_false(news.secret_changed);
    vendor_fails(FG_HTTP_TIMEOUT); /* says nothing of it */
    assert_fails("t", FG_CAUSE_TIMEOUT, 1);
    assert_false(news.secret_changed);
    vendor_says(429, "");
    assert_fails("t", FG_CAUSE_QUOTA, 1);
    assert_true(news.secret_changed);
    assert_int_equal(news.secret, FG_SECRET_QUOTA);
    vendor_says(200, good);
    assert_int_equal(verify("t"), FG_ACCEPTED);
    assert_true(news.secret_changed);
    assert_int_equal(news.secret, FG_SECRET_WORKS);
    assert_int_equal(verify("u"), FG_ACCEPTED);
    assert_false(news.secret_changed);
    /* None at all is each site's own matter. */
    check.secret = "";
    assert_fails("t", FG_CAUSE_BAD_SECRET, 0);
    assert_true(news.secret_changed);
    assert_fails("t", FG_CAUSE_BAD_SECRET, 0);
    assert_false(news.secret_changed);
    fg_verify(&verifier, &check, "/srv/www/b", "t", &result, &news, pool);
    assert_true(news.secret_changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_token_is_verified_once),
        TEST(what_could_not_be_judged_is_given_back),
        TEST(one_token_is_never_asked_about_twice_at_once),
        TEST(only_so_many_wait_at_once),
        TEST(a_service_that_fails_is_left_alone_for_a_while),
        TEST(nobody_can_shut_a_service_for_others),
        TEST(a_busy_server_does_not_use_up_the_probe),
        TEST(what_is_new_of_a_secret_is_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
