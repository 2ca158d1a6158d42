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

/* The token that fg_captcha_probe() asks about. */
#define NO_TOKEN "mod_formguard-asks-whether-you-know-the-secret"

/* reCAPTCHA documents no longest token, and those of v3 have grown over the years. */
#define GOOGLE_TOKEN_MAX 16384

/* All services there are to ask. One that speaks siteverify is a row here, its codes in
 * captcha_siteverify.c, and its replies in t/unit/test_captcha_services.c. */
static const fg_captcha_provider_t services[] = {
    /* Checkbox and invisible alike: https://developers.google.com/recaptcha/docs/verify. Its
     * siteverify answers on the host that the FAQ names where google.com can't be reached. A key of
     * v3 written down as one of v2 gives itself away by the score, which is judged then. */
    {
        .name = "recaptcha-v2",
        .field = "g-recaptcha-response",
        .endpoint = "https://www.google.com/recaptcha/api/siteverify",
        .hosts = {"www.recaptcha.net"},
        .life = apr_time_from_sec(120),
        .token_max = GOOGLE_TOKEN_MAX,
        .score = FG_CARRIES_MAYBE,
        .ask = fg_siteverify_ask,
        .judge = fg_siteverify_judge,
    },
    /* https://developers.google.com/recaptcha/docs/v3 */
    {
        .name = "recaptcha-v3",
        .field = "g-recaptcha-response",
        .endpoint = "https://www.google.com/recaptcha/api/siteverify",
        .hosts = {"www.recaptcha.net"},
        .life = apr_time_from_sec(120),
        .token_max = GOOGLE_TOKEN_MAX,
        .score = FG_CARRIES_ALWAYS,
        .action = FG_CARRIES_ALWAYS,
        .ask = fg_siteverify_ask,
        .judge = fg_siteverify_judge,
    },
    /* https://docs.cloud.google.com/recaptcha/docs/create-assessment-website */
    {
        .name = "recaptcha-enterprise",
        .field = "g-recaptcha-response",
        .endpoint = "https://recaptchaenterprise.googleapis.com/v1",
        .life = apr_time_from_sec(120),
        .token_max = GOOGLE_TOKEN_MAX,
        .score = FG_CARRIES_ALWAYS,
        .action = FG_CARRIES_MAYBE,
        .sends_site_key = 1,
        .needs_project = 1,
        .ask = fg_enterprise_ask,
        .judge = fg_enterprise_judge,
    },
    /* https://docs.hcaptcha.com/#verify-the-user-response-server-side. The score of its Enterprise
     * runs the other way, 1 is a robot: no FormGuardCaptchaMinScore was written with that in mind,
     * and `success` has its threshold in it. */
    {
        .name = "hcaptcha",
        .field = "h-captcha-response",
        .compat_field = "g-recaptcha-response",
        .endpoint = "https://api.hcaptcha.com/siteverify",
        .life = apr_time_from_sec(120),
        .token_max = 16384,
        .sends_site_key = 1,
        .ask = fg_siteverify_ask,
        .judge = fg_siteverify_judge,
    },
    /* https://developers.cloudflare.com/turnstile/get-started/server-side-validation/ */
    {
        .name = "turnstile",
        .field = "cf-turnstile-response",
        .compat_field = "g-recaptcha-response",
        .endpoint = "https://challenges.cloudflare.com/turnstile/v0/siteverify",
        .life = apr_time_from_sec(300),
        .token_max = 2048,
        .action = FG_CARRIES_MAYBE,
        .asks_again = 1,
        .ask = fg_siteverify_ask,
        .judge = fg_siteverify_judge,
    },
    /* https://developer.friendlycaptcha.com/docs/v2/api/siteverify: 16 KB at most; how long a token
     * lives it does not say but with response_timeout, so that this is only a bound of ours. */
    {
        .name = "friendly",
        .field = "frc-captcha-response",
        .endpoint = "https://global.frcapi.com/api/v2/captcha/siteverify",
        .hosts = {"eu.frcapi.com"},
        .life = apr_time_from_sec(3600),
        .token_max = 16384,
        .sends_site_key = 1,
        .ask = fg_friendly_ask,
        .judge = fg_friendly_judge,
    },
};
#define SERVICES (sizeof services / sizeof services[0])

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

const fg_captcha_provider_t *fg_captcha_provider_at(unsigned int i)
{
    if (i == 0) {
        return &fg_captcha_altcha;
    }
    return i <= SERVICES ? &services[i - 1] : NULL;
}

const fg_captcha_provider_t *fg_captcha_provider(const char *name)
{
    const fg_captcha_provider_t *provider;
    unsigned int i;

    for (i = 0; (provider = fg_captcha_provider_at(i)) != NULL; i++) {
        if (!strcmp(provider->name, name)) {
            return provider;
        }
    }
    return NULL;
}

const char *fg_captcha_provider_names(apr_pool_t *pool)
{
    const fg_captcha_provider_t *provider = fg_captcha_provider_at(0);
    const char *text = provider->name;
    unsigned int i;

    for (i = 1; (provider = fg_captcha_provider_at(i)) != NULL; i++) {
        text = apr_pstrcat(pool, text, ", ", provider->name, NULL);
    }
    return text;
}

/* --- hosts ------------------------------------------------------------------------------------ */

#define SCHEME "https://"

/* The host in the endpoint, and what stands behind it. */
static const char *own_host(const fg_captcha_provider_t *provider, const char **rest,
                            apr_pool_t *pool)
{
    const char *host = provider->endpoint + strlen(SCHEME);

    *rest = host + strcspn(host, "/");
    return apr_pstrmemdup(pool, host, (apr_size_t)(*rest - host));
}

const char *fg_captcha_url(const fg_captcha_provider_t *provider, const char *host,
                           apr_pool_t *pool)
{
    const char *rest;
    int i;

    if (!provider->endpoint) {
        return NULL;
    }
    if (!strcasecmp(own_host(provider, &rest, pool), host)) {
        return provider->endpoint;
    }
    for (i = 0; i < FG_CAPTCHA_HOSTS_MAX && provider->hosts[i]; i++) {
        if (!strcasecmp(provider->hosts[i], host)) {
            return apr_pstrcat(pool, SCHEME, provider->hosts[i], rest, NULL);
        }
    }
    return NULL;
}

const char *fg_captcha_hosts(const fg_captcha_provider_t *provider, apr_pool_t *pool)
{
    const char *rest, *text = provider->endpoint ? own_host(provider, &rest, pool) : "none";
    int i;

    for (i = 0; i < FG_CAPTCHA_HOSTS_MAX && provider->hosts[i]; i++) {
        text = apr_pstrcat(pool, text, ", ", provider->hosts[i], NULL);
    }
    return text;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* As many as compilers know how to look at at once. */
#define BLOCK 16

static inline unsigned char is_odd(char c)
{
    return (c < '!') | (c > '~');
}

int fg_captcha_well_formed(const fg_captcha_provider_t *provider, const char *token, apr_size_t len)
{
    unsigned char odd[BLOCK] = {0}, any = 0;
    const char *end;
    int i;

    if (!token || !len || len > provider->token_max) {
        return 0;
    }
    for (end = token + len; end - token >= BLOCK; token += BLOCK) {
        for (i = 0; i < BLOCK; i++) {
            odd[i] |= is_odd(token[i]);
        }
    }
    for (; token < end; token++) {
        any |= is_odd(*token);
    }
    for (i = 0; i < BLOCK; i++) {
        any |= odd[i];
    }
    return !any;
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

static int is_set(const char *text)
{
    return text && *text;
}

const char *fg_captcha_lacks(const fg_captcha_check_t *check)
{
    if (!is_set(check->secret)) {
        return "no secret is set";
    }
    if (check->provider->needs_project && !is_set(check->project)) {
        return "no FormGuardCaptchaProject is set";
    }
    if (check->provider->needs_project && !is_set(check->site_key)) {
        return "no FormGuardCaptchaSiteKey is set";
    }
    return NULL;
}

/* One question, and what its answer means. */
static void ask_once(fg_http_client_t *client, const fg_captcha_check_t *check,
                     const fg_http_request_t *request, fg_captcha_result_t *result,
                     apr_pool_t *pool)
{
    apr_interval_time_t before = result->took;
    fg_http_reply_t reply = {0};

    client->post(client, request, &reply, pool);
    memset(result, 0, sizeof *result);
    result->took = before + reply.took;
    fg_result_cause(result, FG_CAUSE_SERVER_ERROR, NULL); /* what isn't judged is no pass */
    result->again = reply.result == FG_HTTP_UNREACHABLE;
    judge_reply(check, &reply, result, pool);
    result->outage = is_outage(result, &reply);
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
    const char *lacks = fg_captcha_lacks(check);

    memset(result, 0, sizeof *result);
    if (lacks) {
        fg_result_cause(result, FG_CAUSE_BAD_SECRET, lacks);
        return;
    }
    check->provider->ask(check, token, &request, pool);
    ask_once(client, check, &request, result, pool);
    /* A token is good for one question: what was lost on the way may have spent it, so nobody else
     * is asked twice. */
    if (check->provider->asks_again && result->again && result->took < check->timeout) {
        request.timeout = check->timeout - result->took;
        ask_once(client, check, &request, result, pool);
    }
    if (shows(result->detail, check->secret) || shows(result->detail, token)) {
        result->detail = "the vendor's reply repeats what was sent";
    }
}

fg_probe_t fg_captcha_probe(fg_http_client_t *client, const fg_captcha_check_t *check,
                            fg_captcha_result_t *result, apr_pool_t *pool)
{
    fg_captcha_verify(client, check, NO_TOKEN, result, pool);
    if (result->reason != FG_VERIFIER) {
        return FG_PROBE_KNOWN;
    }
    return result->cause == FG_CAUSE_BAD_SECRET ? FG_PROBE_REFUSED : FG_PROBE_UNTOLD;
}
