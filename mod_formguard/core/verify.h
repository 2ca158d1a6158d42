/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verify.h
 * @brief A token on its way to its service: was it used before, does the service work, may one
 *        more worker wait for it, what does it say, and what is remembered of that.
 */
#ifndef FG_VERIFY_H
#define FG_VERIFY_H

#include "breaker.h"
#include "captcha.h"
#include "counters.h"
#include "secrets.h"
#include "slots.h"

/** What it takes to verify. All but `client` and `now` lie in memory shared by all processes. */
typedef struct fg_verifier {
    fg_http_client_t *client; /**< NULL: none could be made */
    fg_slots_t *slots;
    fg_breaker_t *breaker;
    fg_secrets_t *secrets;
    fg_counters_t *spent;
    fg_time_t (*now)(void); /**< asked again after the service was */
} fg_verifier_t;

/** What the caller is the one to log: of all processes each change is told to one. */
typedef struct fg_verify_news {
    int asked;                    /**< 1: the service was asked, result->took is its time */
    fg_breaker_change_t service;  /**< whether it has stopped working, or works again */
    fg_cause_t cause;             /**< for FG_BREAKER_OPENED */
    int secret_changed;           /**< 1: what the service thinks of the secret is new */
    fg_secret_state_t secret;     /**< that */
    apr_interval_time_t next_try; /**< for FG_BREAKER_OPENED: when it is asked again */
} fg_verify_news_t;

/**
 * Verify a token. It is claimed first, so that of many posts with one token a single one asks, and
 * given back if it could not be judged. A service that does not work is not asked, nor one that too
 * many wait for.
 * @param verifier what it takes
 * @param check    what to judge by; a provider that asks somebody
 * @param site     names the site the secret is of
 * @param token    NUL-terminated, well formed
 * @param result   filled in always
 * @param news     filled in always
 * @param pool     for the request; owns result->detail
 */
void fg_verify(const fg_verifier_t *verifier, const fg_captcha_check_t *check, const char *site,
               const char *token, fg_captcha_result_t *result, fg_verify_news_t *news,
               apr_pool_t *pool);

/**
 * What names a service among the breakers: its URL, and the CAs it is trusted by, since with wrong
 * ones it can't be reached.
 * @param endpoint NULL: the provider's
 * @param ca_file  NULL: the system's
 */
const char *fg_verify_service(const fg_captcha_provider_t *provider, const char *endpoint,
                              const char *ca_file, apr_pool_t *pool);

#endif
