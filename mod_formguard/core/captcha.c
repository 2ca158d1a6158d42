/* SPDX-License-Identifier: Apache-2.0 */
#include "captcha.h"

#include <string.h>

#include <apr_strings.h>

#include "captcha_reply.h"
#include "log.h"

/* Largest reply taken, bytes: several times what any vendor sends. */
#define REPLY_MAX 32768

/* Bytes of a secret or token that must not show, and the length from which one is looked for. */
#define TELLTALE 16

static const fg_captcha_provider_t *const providers[] = {
    &fg_captcha_altcha,
    &fg_captcha_recaptcha_v2,
    &fg_captcha_recaptcha_v3,
};

static const char *const cause_names[FG_CAUSE_COUNT] = {
    [FG_CAUSE_NONE] = "none",
    [FG_CAUSE_TIMEOUT] = "timeout",
    [FG_CAUSE_UNREACHABLE] = "unreachable",
    [FG_CAUSE_SERVER_ERROR] = "server-error",
    [FG_CAUSE_QUOTA] = "quota",
    [FG_CAUSE_BAD_SECRET] = "bad-secret",
    [FG_CAUSE_BUSY] = "busy",
};

const char *fg_cause_name(fg_cause_t cause)
{
    return cause_names[cause < FG_CAUSE_COUNT ? cause : FG_CAUSE_NONE];
}

fg_cause_t fg_cause_by_name(const char *name)
{
    int i;

    for (i = FG_CAUSE_NONE + 1; i < FG_CAUSE_COUNT; i++) {
        if (!strcasecmp(cause_names[i], name)) {
            return (fg_cause_t)i;
        }
    }
    return FG_CAUSE_NONE;
}

const fg_captcha_provider_t *fg_captcha_provider(const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof providers / sizeof providers[0]; i++) {
        if (!strcmp(providers[i]->name, name)) {
            return providers[i];
        }
    }
    return NULL;
}

const fg_captcha_provider_t *fg_captcha_provider_at(unsigned int i)
{
    return i < sizeof providers / sizeof providers[0] ? providers[i] : NULL;
}

const char *fg_captcha_provider_names(apr_pool_t *pool)
{
    const char *text = providers[0]->name;
    apr_size_t i;

    for (i = 1; i < sizeof providers / sizeof providers[0]; i++) {
        text = apr_pstrcat(pool, text, ", ", providers[i]->name, NULL);
    }
    return text;
}

int fg_captcha_well_formed(const fg_captcha_provider_t *provider, const char *token, apr_size_t len)
{
    apr_size_t i;

    if (!token || !len || len > provider->token_max) {
        return 0;
    }
    for (i = 0; i < len; i++) {
        if (token[i] < '!' || token[i] > '~') {
            return 0;
        }
    }
    return 1;
}

/* What a vendor says goes into the log; one that sends our secret back must not put it there. */
static int shows(const char *detail, const char *secret)
{
    char safe[FG_LOG_VALUE_MAX + 1];

    if (!detail || strlen(secret) < TELLTALE) {
        return 0;
    }
    fg_log_value(safe, secret);
    safe[TELLTALE] = '\0';
    return strstr(detail, safe) != NULL;
}

static void judge_reply(const fg_captcha_check_t *check, const fg_http_reply_t *reply,
                        fg_captcha_result_t *result, apr_pool_t *pool)
{
    switch (reply->result) {
    case FG_HTTP_OK:
        check->provider->judge(check, reply, result, pool);
        break;
    case FG_HTTP_TIMEOUT:
        fg_result_cause(result, FG_CAUSE_TIMEOUT, reply->error);
        break;
    case FG_HTTP_UNREACHABLE:
        fg_result_cause(result, FG_CAUSE_UNREACHABLE, reply->error);
        break;
    case FG_HTTP_TOO_LARGE:
    case FG_HTTP_FAILED:
    default:
        fg_result_cause(result, FG_CAUSE_SERVER_ERROR, reply->error);
        break;
    }
}

/* Whether nobody would be served: what one customer's secret or one visitor's token can bring about
 * must not stop the verifications of all. */
static int is_outage(const fg_captcha_result_t *result, const fg_http_reply_t *reply)
{
    if (result->reason != FG_VERIFIER || result->cause == FG_CAUSE_QUOTA ||
        result->cause == FG_CAUSE_BAD_SECRET) {
        return 0;
    }
    return reply->result != FG_HTTP_OK || reply->status / 100 == 5;
}

void fg_captcha_verify(fg_http_client_t *client, const fg_captcha_check_t *check, const char *token,
                       fg_captcha_result_t *result, apr_pool_t *pool)
{
    fg_http_request_t request = {
        .url = check->endpoint ? check->endpoint : check->provider->endpoint,
        .ca_file = check->ca_file,
        .timeout = check->timeout,
        .reply_max = REPLY_MAX,
    };
    fg_http_reply_t reply = {0};

    memset(result, 0, sizeof *result);
    if (!check->secret || !*check->secret) {
        fg_result_cause(result, FG_CAUSE_BAD_SECRET, "no secret is set");
        return;
    }
    check->provider->ask(check, token, &request, pool);
    client->post(client, &request, &reply, pool);
    result->took = reply.took;
    fg_result_cause(result, FG_CAUSE_SERVER_ERROR, NULL); /* what isn't judged is no pass */
    judge_reply(check, &reply, result, pool);
    result->outage = is_outage(result, &reply);
    if (shows(result->detail, check->secret) || shows(result->detail, token)) {
        result->detail = "the vendor's reply repeats what was sent";
    }
}
