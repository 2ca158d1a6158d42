/* SPDX-License-Identifier: Apache-2.0 */
/* A captcha token's way to its service, and what error_log is told of services and secrets. */
#include <string.h>

#include "apr_strings.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* The names a captcha may have been solved on, where none are configured: those of the site. */
static const apr_array_header_t *site_names(request_rec *r)
{
    const server_rec *s = r->server;
    apr_array_header_t *names = apr_array_make(r->pool, 4, sizeof(const char *));

    APR_ARRAY_PUSH(names, const char *) = s->server_hostname;
    if (s->names != NULL) {
        apr_array_cat(names, s->names);
    }
    if (s->wild_names != NULL) {
        apr_array_cat(names, s->wild_names);
    }
    return names;
}

/* A URL's query may hold a key. */
static const char *shown(const fg_captcha_check_t *check, char out[FG_LOG_VALUE_MAX + 1],
                         apr_pool_t *pool)
{
    const char *url = check->endpoint != NULL ? check->endpoint : check->provider->endpoint;

    return fg_log_value(out, apr_pstrmemdup(pool, url, strcspn(url, "?")));
}

static void say_service(request_rec *r, const fg_captcha_check_t *check,
                        const fg_captcha_result_t *result, const fg_verify_news_t *news)
{
    char url[FG_LOG_VALUE_MAX + 1];

    if (news->service == FG_BREAKER_CLOSED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, r->server,
                     "FG2301: captcha service %s works again", shown(check, url, r->pool));
    }
    if (news->service == FG_BREAKER_OPENED) {
        /* What can't be reached at all may be for somebody here to mend: names, routes, CAs. */
        ap_log_error(APLOG_MARK, news->cause == FG_CAUSE_UNREACHABLE ? APLOG_ERR : APLOG_WARNING, 0,
                     r->server,
                     "FG2301: captcha service %s does not work, cause=%s%s%s: posts go by "
                     "FormGuardCaptchaOnError without asking it, next try in %" APR_TIME_T_FMT "s",
                     shown(check, url, r->pool), fg_cause_name(news->cause),
                     result->detail != NULL ? " " : "",
                     result->detail != NULL ? result->detail : "",
                     apr_time_sec(news->next_try + APR_USEC_PER_SEC / 2));
    }
}

/* Names the counters of lines about secrets. */
#define RULE_LINES APR_UINT64_C(0x7365637265746c)

/* A site's .htaccess may hold any number of wrong secrets, and of one a service may say this and
 * that in turn: a client can't fill the log by it. */
static int may_say(const fg_case_t *c)
{
    static const fg_rate_t of_site = {20, apr_time_from_sec(600)};
    static const fg_rate_t of_all = {200, apr_time_from_sec(600)};
    fg_counters_t *counters = fg_runtime()->counters;
    apr_size_t len = strlen(c->site);

    return fg_counters_consume(counters, fg_counters_key(counters, RULE_LINES, 0, c->site, len),
                               &of_site, 1, c->now.steady, NULL)
               .admitted &&
           fg_counters_consume(counters, fg_counters_key(counters, RULE_LINES, 1, "", 0), &of_all,
                               1, c->now.steady, NULL)
               .admitted;
}

static void say_secret(const fg_request_t *fr, const fg_captcha_check_t *check,
                       const fg_captcha_result_t *result, const fg_verify_news_t *news)
{
    request_rec *r = fr->r;
    char name[FG_LOG_VALUE_MAX + 1];
    char form[FG_LOG_VALUE_MAX + 1];
    const char *whose;
    const char *detail =
        result->detail != NULL ? apr_pstrcat(r->pool, " ", result->detail, NULL) : "";

    if (!news->secret_changed || !may_say(&fr->c)) {
        return;
    }
    whose = apr_pstrcat(r->pool, "site=", fg_log_value(name, r->server->server_hostname),
                        " form=", fg_log_value(form, fr->path), NULL);
    switch (news->secret) {
    case FG_SECRET_WORKS:
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, r->server,
                     "FG2303: captcha service %s takes the secret of %s again",
                     check->provider->name, whose);
        break;
    case FG_SECRET_REFUSED:
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, r->server,
                     "FG2302: captcha service %s refuses the secret of %s: no token can be "
                     "verified:%s",
                     check->provider->name, whose, detail);
        break;
    case FG_SECRET_QUOTA:
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, r->server,
                     "FG2304: captcha service %s says the secret of %s was used too often:%s",
                     check->provider->name, whose, detail);
        break;
    }
}

void fg_ask_verify(fg_case_t *c, const fg_policy_t *policy, const char *token,
                   fg_captcha_result_t *result)
{
    const fg_request_t *fr = c->baton;
    request_rec *r = fr->r;
    const fg_runtime_t *runtime = fg_runtime();
    const fg_verifier_t verifier = {runtime->client,  runtime->slots, runtime->breaker,
                                    runtime->secrets, runtime->spent, fg_facts_now};
    fg_captcha_check_t check;
    fg_verify_news_t news;

    fg_policy_captcha_check(policy, &check, r->pool);
    if (check.provider->ask == NULL) {
        fg_altcha_verify(c, policy, token, result);
        return;
    }
    if (check.hostnames == NULL) {
        check.hostnames = site_names(r);
    }
    check.remote_ip = policy->captcha_send_ip == FG_MODE_OFF ? NULL : r->useragent_ip;
    check.now = c->now;
    fg_verify(&verifier, &check, c->site, token, result, &news, r->pool);
    if (news.asked) {
        fg_stats_time(runtime->stats, FG_STATS_VERIFICATION, result->took);
    }
    say_service(r, &check, result, &news);
    say_secret(fr, &check, result, &news);
}
