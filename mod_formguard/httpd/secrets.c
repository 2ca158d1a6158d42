/* SPDX-License-Identifier: Apache-2.0 */
/* Wrong secrets, found at start: one child asks each captcha service whether it knows the secrets
 * of the server config. A thread of mod_watchdog does it, so that no start and no visitor waits. */
#include <string.h>

#include "apr_strings.h"

#include "mod_watchdog.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

/* Secrets asked about at the most, and how long each question may take. */
#define SECRETS_MAX 64
#define PATIENCE    apr_time_from_sec(5)

#define WATCHDOG "_formguard_secrets_"

/* A secret, and the virtual host that was found to use it first. */
typedef struct secret {
    fg_captcha_check_t check;
    server_rec *s;
} secret_t;

typedef struct job {
    apr_array_header_t *secrets; /* secret_t */
    apr_pool_t *pool;
} job_t;

static const char *url_of(const fg_captcha_check_t *check)
{
    return check->endpoint != NULL ? check->endpoint : check->provider->endpoint;
}

static int same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Of each service's secrets each once. That both are the configuration's own, so how long comparing
 * them takes tells nobody anything. */
static void note_policy(void *baton, server_rec *s, const fg_policy_t *policy)
{
    job_t *job = baton;
    fg_captcha_check_t check;
    const char *lacks;
    secret_t *row;
    int i;

    if (fg_policy_captcha(policy) == NULL || fg_policy_captcha(policy)->ask == NULL ||
        policy->captcha_secret == NULL || job->secrets->nelts == SECRETS_MAX) {
        return;
    }
    fg_policy_captcha_check(policy, &check, job->pool);
    for (i = 0; i < job->secrets->nelts; i++) {
        const fg_captcha_check_t *other = &APR_ARRAY_IDX(job->secrets, i, secret_t).check;

        if (same(url_of(other), url_of(&check)) && same(other->secret, check.secret) &&
            same(other->project, check.project) && same(other->site_key, check.site_key)) {
            return;
        }
    }
    row = apr_array_push(job->secrets);
    row->check = check;
    row->s = s;
    row->check.timeout = check.timeout < PATIENCE ? check.timeout : PATIENCE;
    lacks = fg_captcha_lacks(&check);
    if (lacks != NULL) {
        char name[FG_LOG_VALUE_MAX + 1];

        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "FG2305: captcha service %s can't be asked for site=%s: %s",
                     check.provider->name, fg_log_value(name, s->server_hostname), lacks);
    }
}

static void say(const secret_t *secret, fg_probe_t told, const fg_captcha_result_t *result)
{
    const char *name = secret->check.provider->name;
    const char *detail = result->detail != NULL ? result->detail : "no reason given";
    char site[FG_LOG_VALUE_MAX + 1];

    fg_log_value(site, secret->s->server_hostname);
    if (told == FG_PROBE_UNTOLD) {
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, secret->s,
                     "FG0001: captcha service %s does not say whether it knows the secret of "
                     "site=%s: cause=%s %s",
                     name, site, fg_cause_name(result->cause), detail);
        return;
    }
    /* Noted, so that the first post does not tell it again; told here whatever is noted, as whoever
     * starts httpd looks. */
    if (fg_secrets_note(fg_runtime()->secrets, url_of(&secret->check), secret->check.secret,
                        told == FG_PROBE_KNOWN ? FG_SECRET_WORKS : FG_SECRET_REFUSED) &&
        told == FG_PROBE_KNOWN) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, secret->s,
                     "FG2303: captcha service %s takes the secret of site=%s again", name, site);
    }
    if (told == FG_PROBE_REFUSED) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, secret->s,
                     "FG2302: captcha service %s refuses the secret of site=%s: no token can be "
                     "verified: %s",
                     name, site, detail);
    }
}

/* One question a tick, so that a child that shall end waits for one at most. A child that takes
 * over from one that has ended goes on behind it. */
static apr_status_t tick(int state, void *data, apr_pool_t *pool)
{
    const job_t *job = data;
    const fg_runtime_t *runtime = fg_runtime();
    fg_captcha_result_t result;
    const secret_t *secret;
    unsigned int next;

    if (state != AP_WATCHDOG_STATE_RUNNING) {
        return APR_SUCCESS;
    }
    next = fg_next_secret();
    if (runtime->client == NULL || next >= (unsigned int)job->secrets->nelts) {
        return APR_EOF; /* never again in this child */
    }
    secret = &APR_ARRAY_IDX(job->secrets, next, secret_t);
    if (fg_captcha_lacks(&secret->check) == NULL) {
        fg_captcha_check_t check = secret->check;

        check.now = fg_facts_now();
        say(secret, fg_captcha_probe(runtime->client, &check, &result, pool), &result);
    }
    return APR_SUCCESS;
}

void fg_secrets_check(apr_pool_t *pconf, server_rec *s)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get_instance =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *register_callback =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    job_t *job = apr_palloc(pconf, sizeof(*job));
    ap_watchdog_t *watchdog;
    apr_status_t rv;

    job->secrets = apr_array_make(pconf, 4, sizeof(secret_t));
    job->pool = pconf;
    fg_status_policies(pconf, note_policy, job);
    if (job->secrets->nelts == 0) {
        return; /* nor a thread in each child for nothing */
    }
    if (get_instance == NULL || register_callback == NULL) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                     "FG2306: without mod_watchdog the captcha secrets are not checked at start");
        return;
    }
    rv = get_instance(&watchdog, WATCHDOG, 0, 1, pconf);
    if (rv == APR_SUCCESS) {
        rv = register_callback(watchdog, AP_WD_TM_SLICE, job, tick);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_INFO, rv, s,
                     "FG2306: the captcha secrets are not checked at start");
    }
}
