/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file captcha.h
 * @brief Captcha services: a provider is a row, verification is one function.
 */
#ifndef FG_CAPTCHA_H
#define FG_CAPTCHA_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "clock.h"
#include "http_client.h"
#include "verdict.h"

/** Why a token could not be judged. Each has a failure policy of its own. */
typedef enum fg_cause {
    FG_CAUSE_NONE,
    FG_CAUSE_TIMEOUT,      /**< no whole reply in time */
    FG_CAUSE_UNREACHABLE,  /**< no connection, or none that can be trusted */
    FG_CAUSE_SERVER_ERROR, /**< a 5xx, or a reply that is not what the vendor documents */
    FG_CAUSE_QUOTA,        /**< the vendor refuses for too many requests */
    FG_CAUSE_BAD_SECRET,   /**< the vendor does not know our secret, or none is set */
    FG_CAUSE_BUSY,         /**< all slots for waiting are taken */
    FG_CAUSE_COUNT
} fg_cause_t;

/** The cause's name as a user writes it (`server-error`). */
const char *fg_cause_name(fg_cause_t cause);

/** @return the cause of that name, or FG_CAUSE_NONE */
fg_cause_t fg_cause_by_name(const char *name);

typedef struct fg_captcha_provider fg_captcha_provider_t;

/** What to judge one token by. Texts may be NULL where not set. */
typedef struct fg_captcha_check {
    const fg_captcha_provider_t *provider;
    const char *secret;
    const char *site_key;                /**< NULL: not told */
    const char *project;                 /**< of reCAPTCHA Enterprise */
    const char *endpoint;                /**< NULL: the provider's */
    const char *ca_file;                 /**< NULL: the system's */
    apr_interval_time_t timeout;         /**< microseconds */
    const apr_array_header_t *hostnames; /**< const char *, globs; NULL or empty: any */
    const char *action;                  /**< NULL: any */
    double min_score;                    /**< for providers that score */
    apr_interval_time_t max_age;         /**< microseconds; 0: the provider's */
    const char *remote_ip;               /**< NULL: not told */
    fg_time_t now;
} fg_captcha_check_t;

typedef struct fg_captcha_result {
    fg_reason_t reason; /**< FG_ACCEPTED, a CAPTCHA_… reason, or FG_VERIFIER with a cause */
    fg_cause_t cause;   /**< why, for FG_VERIFIER */
    int has_score;
    double score;             /**< 0 to 1 */
    const char *detail;       /**< for the log: what differed, in words; nothing secret; or NULL */
    int again;                /**< 1: a fault that may be gone when the service is asked again */
    apr_interval_time_t took; /**< microseconds the vendor took */
    int outage;               /**< 1: the vendor itself has failed, whoever asked and for what */
    apr_interval_time_t retry_after; /**< microseconds until it is asked again; 0: unknown */
} fg_captcha_result_t;

/** Whether a service's replies carry something. */
typedef enum fg_carries {
    FG_CARRIES_NEVER,  /**< it is not looked at */
    FG_CARRIES_MAYBE,  /**< judged where it is there */
    FG_CARRIES_ALWAYS, /**< a reply without it is none */
} fg_carries_t;

/** Hosts besides the one in its endpoint that a service documents, at most. */
#define FG_CAPTCHA_HOSTS_MAX 2

struct fg_captcha_provider {
    const char *name;                        /**< as written in the configuration */
    const char *field;                       /**< where its widget puts the token */
    const char *compat_field;                /**< where it puts it a second time, as
                                                reCAPTCHA does; or NULL */
    const char *endpoint;                    /**< the vendor's URL; NULL: nobody is asked */
    const char *hosts[FG_CAPTCHA_HOSTS_MAX]; /**< more hosts of the vendor with the same path */
    apr_interval_time_t life;                /**< how long a token lives, microseconds */
    apr_size_t token_max;                    /**< longest token taken, bytes */
    fg_carries_t score;                      /**< 1 is a person, 0 a robot */
    fg_carries_t action;                     /**< what the token was made for */
    int sends_site_key;                      /**< 1: told to the vendor where it is set */
    int needs_project;                       /**< 1: can't be asked without project and site key */
    int asks_again;                          /**< 1: a question has a key of its own, so that it may
                                                be put twice */
    /**
     * Put the question into a request. NULL: the token is judged here, nobody is asked.
     * @param check   what to judge by
     * @param token   NUL-terminated, well formed
     * @param request URL, CA file, timeout and cap are set, the URL may be changed; content type,
     *                headers and body are not
     * @param pool    owns what is put in
     */
    void (*ask)(const fg_captcha_check_t *check, const char *token, fg_http_request_t *request,
                apr_pool_t *pool);
    /**
     * Judge a whole reply of the vendor.
     * @param check  what to judge by
     * @param reply  the reply, any status
     * @param result to be filled in; says server-error so far
     * @param pool   owns result->detail
     */
    void (*judge)(const fg_captcha_check_t *check, const fg_http_reply_t *reply,
                  fg_captcha_result_t *result, apr_pool_t *pool);
};

/** @return the provider of that name, or NULL */
const fg_captcha_provider_t *fg_captcha_provider(const char *name);

/** All providers, from 0. @return NULL behind the last one */
const fg_captcha_provider_t *fg_captcha_provider_at(unsigned int i);

/** The names of all providers, `, ` between, in `pool`: for an error text. */
const char *fg_captcha_provider_names(apr_pool_t *pool);

/**
 * The provider's URL at another host.
 * @param host one of those it documents
 * @return the URL in `pool`, or NULL for any other host
 */
const char *fg_captcha_url(const fg_captcha_provider_t *provider, const char *host,
                           apr_pool_t *pool);

/** The hosts the provider documents, `, ` between, in `pool`: for an error text. */
const char *fg_captcha_hosts(const fg_captcha_provider_t *provider, apr_pool_t *pool);

/** @return what the provider can't be asked without and is not set, as a sentence; or NULL */
const char *fg_captcha_lacks(const fg_captcha_check_t *check);

/**
 * Whether a token can be one at all, before anybody is asked: visible ASCII, not over the
 * provider's token_max.
 */
int fg_captcha_well_formed(const fg_captcha_provider_t *provider, const char *token,
                           apr_size_t len);

/**
 * Ask the vendor and judge its reply. Takes no slot: that is the caller's business. Asks twice at
 * most, within the one timeout, and only where the vendor knows the second question for the first.
 * @param client does the asking
 * @param check  what to judge by
 * @param token  NUL-terminated, well formed
 * @param result filled in always
 * @param pool   for the request; owns result->detail
 */
void fg_captcha_verify(fg_http_client_t *client, const fg_captcha_check_t *check, const char *token,
                       fg_captcha_result_t *result, apr_pool_t *pool);

/** What a service says of a secret. */
typedef enum fg_probe {
    FG_PROBE_UNTOLD, /**< no answer that says so */
    FG_PROBE_KNOWN,
    FG_PROBE_REFUSED
} fg_probe_t;

/**
 * Find out whether the vendor knows a secret: ask about a token that is none, and see what it finds
 * fault with.
 * @param check  what a visitor's token would be judged by
 * @param result filled in always; its detail says why
 * @param pool   for the request; owns result->detail
 */
fg_probe_t fg_captcha_probe(fg_http_client_t *client, const fg_captcha_check_t *check,
                            fg_captcha_result_t *result, apr_pool_t *pool);

#endif
