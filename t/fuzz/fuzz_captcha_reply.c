/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of the captcha services: `PROVIDER STATUS\nBODY`. Whatever a service answers, a token
 * passes only if the reply says yes for this host, in time, and with the score that is wanted. */
#include "captcha.h"
#include "fuzz.h"
#include "http_client.h"
#include "log.h"

/* 2025-07-01T12:00:00Z */
#define NOW    APR_TIME_C(1751371200)
#define SECRET "a-secret-of-this-site-0123456789"
#define TOKEN  "a-visitors-token"

typedef struct fake {
    fg_http_client_t base;
    fg_http_reply_t reply;
    int asked;
} fake_t;

static void post(fg_http_client_t *client, const fg_http_request_t *request, fg_http_reply_t *reply,
                 apr_pool_t *pool)
{
    fake_t *fake = (fake_t *)client;

    (void)pool;
    MUST(++fake->asked <= 2);
    MUST(request->body_len == strlen(request->body));
    *reply = fake->reply;
}

static fg_captcha_result_t verify(const fg_captcha_check_t *check, const fg_http_reply_t *reply,
                                  apr_pool_t *pool)
{
    fake_t fake = {.base.post = post, .reply = *reply};
    fg_captcha_result_t result;

    memset(&result, 0x5a, sizeof(result));
    fg_captcha_verify(&fake.base, check, TOKEN, &result, pool);
    MUST(fake.asked > 0);
    MUST(result.reason < FG_REASON_COUNT);
    MUST(result.reason == FG_VERIFIER
             ? result.cause > FG_CAUSE_NONE && result.cause < FG_CAUSE_COUNT
             : result.cause == FG_CAUSE_NONE);
    MUST(!result.has_score || (result.score >= 0 && result.score <= 1));
    if (result.detail) {
        MUST(fuzz_printable(result.detail) && strlen(result.detail) < 256);
        MUST(!strstr(result.detail, SECRET) && !strstr(result.detail, TOKEN));
    }
    return result;
}

FUZZ_TARGET(captcha_reply)
{
    fuzz_in_t in = {data, len};
    const char *provider = fuzz_until(&in, ' ', pool);
    const char *status = fuzz_until(&in, '\n', pool);
    fg_http_reply_t reply = {.result = FG_HTTP_OK, .status = atoi(status), .took = 1000};
    fg_captcha_check_t check = {
        .provider = fg_captcha_provider(provider),
        .secret = SECRET,
        .site_key = "site-key",
        .project = "my-project-1",
        .timeout = apr_time_from_sec(3),
        .min_score = 0.5,
        .now = {.wall = apr_time_from_sec(NOW)},
    };
    apr_array_header_t *hosts = apr_array_make(pool, 1, sizeof(const char *));
    fg_captcha_result_t result;

    if (!check.provider || !check.provider->judge) {
        return;
    }
    APR_ARRAY_PUSH(hosts, const char *) = "www.example.jp";
    check.hostnames = hosts;
    reply.body_len = in.left;
    reply.body = memcpy(apr_palloc(pool, in.left + 1), in.p, in.left);
    ((char *)reply.body)[in.left] = '\0';
    result = verify(&check, &reply, pool);
    if (result.reason != FG_ACCEPTED) {
        return;
    }
    MUST(reply.status == 200 && strstr(reply.body, "true"));
    MUST(!result.has_score || result.score >= 0.5);
    check.min_score = 1;
    if (result.has_score && result.score < 1) {
        MUST(verify(&check, &reply, pool).reason == FG_CAPTCHA_SCORE);
    }
    check.min_score = 0;
    MUST(verify(&check, &reply, pool).reason == FG_ACCEPTED);
    if (check.provider->action != FG_CARRIES_NEVER) {
        check.action = "an-action-that-no-reply-names-\x01";
        MUST(verify(&check, &reply, pool).reason == FG_CAPTCHA_ACTION);
        check.action = NULL;
    }
    /* A stamp lies between 1970 and 9999, and what is good now is not so for ever. */
    check.now.wall = apr_time_from_sec(APR_TIME_C(253402300800) + 2 * 86400);
    MUST(verify(&check, &reply, pool).reason == FG_CAPTCHA_EXPIRED);
    check.now.wall = apr_time_from_sec(NOW);
    APR_ARRAY_IDX(hosts, 0, const char *) = "www.example.org";
    MUST(verify(&check, &reply, pool).reason == FG_CAPTCHA_HOSTNAME);
}
