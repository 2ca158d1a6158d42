/* SPDX-License-Identifier: Apache-2.0 */
#include "verify.h"

#include <string.h>

#include <apr_strings.h>

#include "captcha_reply.h"
#include "spent.h"

/* How much longer than its deadline an asker may hold a slot or be the one who probes, before it is
 * taken for dead. */
#define GRACE apr_time_from_sec(1)

const char *fg_verify_service(const fg_captcha_provider_t *provider, const char *endpoint,
                              const char *ca_file, apr_pool_t *pool)
{
    return apr_pstrcat(pool, endpoint != NULL ? endpoint : provider->endpoint, "\n",
                       ca_file != NULL ? ca_file : "", NULL);
}

static void note_secret(const fg_verifier_t *verifier, const fg_captcha_check_t *check,
                        const char *site, const fg_captcha_result_t *result, fg_verify_news_t *news,
                        apr_pool_t *pool)
{
    int none = fg_captcha_lacks(check) != NULL;

    switch (result->reason == FG_VERIFIER ? result->cause : FG_CAUSE_NONE) {
    case FG_CAUSE_NONE:
        news->secret = FG_SECRET_WORKS;
        break;
    case FG_CAUSE_QUOTA:
        news->secret = FG_SECRET_QUOTA;
        break;
    case FG_CAUSE_BAD_SECRET:
        news->secret = FG_SECRET_REFUSED;
        break;
    default:
        return; /* it was not looked at */
    }
    news->secret_changed = fg_secrets_note(
        verifier->secrets, check->endpoint != NULL ? check->endpoint : check->provider->endpoint,
        none ? apr_pstrcat(pool, "of ", site, NULL) : check->secret, news->secret);
}

/* With a slot in hand. */
static void ask(const fg_verifier_t *verifier, const fg_captcha_check_t *check, const char *token,
                const fg_breaker_ticket_t *ticket, fg_captcha_result_t *result,
                fg_verify_news_t *news, apr_pool_t *pool)
{
    fg_breaker_state_t state;
    apr_time_t now;

    fg_captcha_verify(verifier->client, check, token, result, pool);
    news->asked = 1;
    now = verifier->now().steady;
    news->service =
        fg_breaker_leave(verifier->breaker, ticket, now,
                         result->outage ? FG_BREAKER_FAILED : FG_BREAKER_ANSWERED, result->cause);
    if (news->service == FG_BREAKER_OPENED) {
        news->cause = result->cause;
        fg_breaker_peek(verifier->breaker,
                        fg_verify_service(check->provider, check->endpoint, check->ca_file, pool),
                        now, &state);
        news->next_try = state.next_try;
    }
}

/* The token is claimed. */
static void judge(const fg_verifier_t *verifier, const fg_captcha_check_t *check, const char *token,
                  fg_captcha_result_t *result, fg_verify_news_t *news, apr_pool_t *pool)
{
    const char *service = fg_verify_service(check->provider, check->endpoint, check->ca_file, pool);
    apr_time_t now = check->now.steady;
    fg_breaker_ticket_t ticket;
    fg_breaker_state_t state;
    fg_lease_t lease;

    if (verifier->client == NULL) {
        fg_result_cause(result, FG_CAUSE_UNREACHABLE, "no-http-client");
        return;
    }
    if (!fg_breaker_enter(verifier->breaker, service, now, check->timeout + GRACE, &ticket,
                          &state)) {
        fg_result_cause(result, state.cause, "not asked: the service does not work");
        result->retry_after = state.next_try;
        return;
    }
    /* Only so many workers may wait for a vendor: the others serve everybody else. */
    lease = fg_slots_take(verifier->slots, now, check->timeout + GRACE);
    if (lease.index < 0) {
        fg_breaker_cancel(verifier->breaker, &ticket, now);
        fg_result_cause(result, FG_CAUSE_BUSY, NULL);
        return;
    }
    ask(verifier, check, token, &ticket, result, news, pool);
    fg_slots_release(verifier->slots, &lease);
}

void fg_verify(const fg_verifier_t *verifier, const fg_captcha_check_t *check, const char *site,
               const char *token, fg_captcha_result_t *result, fg_verify_news_t *news,
               apr_pool_t *pool)
{
    const char *lacks = fg_captcha_lacks(check);
    fg_spent_claim_t claim;

    memset(result, 0, sizeof(*result));
    memset(news, 0, sizeof(*news));
    if (lacks != NULL) {
        /* Before the breaker: it says nothing about the service. */
        fg_result_cause(result, FG_CAUSE_BAD_SECRET, lacks);
        note_secret(verifier, check, site, result, news, pool);
        return;
    }
    if (!fg_spent_claim(verifier->spent, check->provider->name, token, check->provider->life,
                        check->now.steady, &claim)) {
        fg_result_judged(result, FG_CAPTCHA_EXPIRED, "used before");
        return;
    }
    judge(verifier, check, token, result, news, pool);
    if (result->reason == FG_VERIFIER) {
        fg_spent_release(verifier->spent, &claim);
    }
    if (news->asked) {
        note_secret(verifier, check, site, result, news, pool);
    }
}
