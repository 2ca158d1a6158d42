/* SPDX-License-Identifier: Apache-2.0 */
/* The captcha built in, as far as httpd is concerned: its key, what a solution is good for, and the
 * cookie that lets the next step of a form pass. */
#include <string.h>

#include "apr_siphash.h"
#include "apr_strings.h"
#include "apr_uri.h"

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"

#include "core/clearance.h"
#include "core/signing_key.h"
#include "core/spent.h"
#include "module.h"

APLOG_USE_MODULE(formguard);

#define RETAINED_KEY "mod_formguard signing key"

/* Names the counters of this file, which no rule of a configuration does. */
#define RULE_CHALLENGES APR_UINT64_C(0x616c74636861)
#define RULE_CLEARANCE  APR_UINT64_C(0x636c656172)

/* How many cookies of one name are looked at. */
#define COOKIES_MAX 8

/* Bytes of a Referer that is looked at. */
#define REFERER_MAX 4096

/* How far back a client's challenges count for the work of the next one. */
static const fg_rate_t lately = {1000, apr_time_from_sec(600)};

/* --- the key ---------------------------------------------------------------------------------- */

/* Good as long as httpd isn't stopped: what was asked for before must be judged after a restart. */
static apr_status_t key_in_memory(unsigned char *key)
{
    const unsigned char *kept = ap_retained_data_get(RETAINED_KEY);

    if (kept == NULL) {
        return fg_signing_key_random(key);
    }
    memcpy(key, kept, FG_ALTCHA_KEY_BYTES);
    return APR_SUCCESS;
}

static void keep_key(const unsigned char *key)
{
    unsigned char *kept = ap_retained_data_get(RETAINED_KEY);

    if (kept == NULL) {
        kept = ap_retained_data_create(RETAINED_KEY, FG_ALTCHA_KEY_BYTES);
    }
    memcpy(kept, key, FG_ALTCHA_KEY_BYTES);
}

static int find_key(const fg_server_conf_t *conf, unsigned char *key, apr_pool_t *ptemp,
                    server_rec *s)
{
    const char *path = conf->signing_key != NULL ? conf->signing_key : FG_STATE_DIR "/signing-key";
    int made = 0;
    const char *error;

    if (conf->signing_key == NULL) {
        apr_dir_make(FG_STATE_DIR, APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE, ptemp);
    }
    error = fg_signing_key_load(key, path, &made, ptemp);
    if (error == NULL) {
        if (made) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "FG2401: the key that signs challenges was made: %s", path);
        }
        return 1;
    }
    if (conf->signing_key != NULL && ap_retained_data_get(RETAINED_KEY) != NULL) {
        /* A restart: `apachectl configtest` does not see it, and a thousand sites would be down. */
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "FG2402: FormGuardSigningKeyFile '%s' %s: httpd goes on with the key it had",
                     path, error);
        return key_in_memory(key) == APR_SUCCESS;
    }
    if (conf->signing_key != NULL) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "FG2402: FormGuardSigningKeyFile '%s' %s", path,
                     error);
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, s,
                 "FG2403: '%s' %s: the key that signs challenges lives until httpd is stopped",
                 path, error);
    return key_in_memory(key) == APR_SUCCESS;
}

int fg_altcha_set_up(const fg_server_conf_t *conf, fg_runtime_t *runtime, apr_pool_t *pconf,
                     apr_pool_t *ptemp, server_rec *s)
{
    unsigned char key[FG_ALTCHA_KEY_BYTES];
    apr_status_t rv;

    if (!find_key(conf, key, ptemp, s)) {
        return 0;
    }
    keep_key(key);
    rv = fg_altcha_create(&runtime->altcha, key, pconf);
    fg_signing_key_wipe(key);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "FG2402: OpenSSL has no HMAC-SHA-256");
        return 0;
    }
    return 1;
}

/* --- challenges and solutions ----------------------------------------------------------------- */

apr_uint32_t fg_altcha_recent(const fg_address_t *client, apr_time_t now)
{
    fg_counters_t *counters = fg_runtime()->counters;
    unsigned char who[FG_ADDRESS_KEY_MAX];
    apr_size_t len = fg_address_client_key(client, who);

    return fg_counters_consume(counters, fg_counters_key(counters, RULE_CHALLENGES, 0, who, len),
                               &lately, 1, now, NULL)
        .used;
}

/* The widget stands in the page's form, which is sent to the page itself; the software's script
 * posts to its route. Browsers say which page that is; a robot that says another one has solved a
 * challenge of this site for it. @return NULL: no software that does so */
static const char *page_of_script(const fg_request_t *fr)
{
    const char *referer = apr_table_get(fr->r->headers_in, "Referer");
    int elsewhere = 0;
    apr_uri_t page;
    int i;

    for (i = 0; i < fr->c.layers; i++) {
        const fg_preset_t *preset = fr->c.layer[i].policy->preset;

        elsewhere |= fr->c.layer[i].active && preset != NULL && preset->posts_elsewhere;
    }
    return elsewhere && referer != NULL && strlen(referer) <= REFERER_MAX &&
                   apr_uri_parse(fr->r->pool, referer, &page) == APR_SUCCESS &&
                   page.hostname != NULL && fr->r->hostname != NULL &&
                   strcasecmp(page.hostname, fr->r->hostname) == 0
               ? page.path
               : NULL;
}

fg_altcha_subject_t fg_altcha_subject(const fg_request_t *fr)
{
    fg_altcha_subject_t subject = {fr->r->server->server_hostname, fg_facts_path_asked(fr->r),
                                   &fr->c.client, page_of_script(fr)};

    return subject;
}

apr_interval_time_t fg_altcha_life(const fg_policy_t *policy)
{
    const fg_captcha_provider_t *altcha = fg_captcha_provider("altcha");

    return fg_policy_captcha(policy) == altcha ? fg_policy_captcha_life(policy) : altcha->life;
}

void fg_altcha_verify(fg_case_t *c, const fg_policy_t *policy, const char *token,
                      fg_captcha_result_t *result)
{
    const fg_request_t *fr = c->baton;
    const fg_runtime_t *runtime = fg_runtime();
    fg_altcha_subject_t subject = fg_altcha_subject(fr);
    fg_altcha_solved_t solved;
    fg_spent_claim_t claim;

    fg_altcha_judge(runtime->altcha, &subject, token, c->now.wall, fg_altcha_life(policy), result,
                    &solved, fr->r->pool);
    /* Only what was solved: nobody fills the table without the work. For as long as it was good
     * when it was made: what is asked for here may be shorter. */
    if (result->reason == FG_ACCEPTED &&
        !fg_spent_claim(runtime->spent, "altcha", solved.id, solved.life, c->now.steady, &claim)) {
        result->reason = FG_CAPTCHA_EXPIRED;
        result->detail = "used before";
    }
    if (result->reason == FG_ACCEPTED && fg_policy_mode(policy) == FG_MODE_DETECT) {
        fg_spent_release(runtime->spent, &claim); /* looked at, not used */
    }
}

int fg_altcha_own(fg_case_t *c, const char *token)
{
    const fg_request_t *fr = c->baton;
    fg_altcha_subject_t subject = fg_altcha_subject(fr);
    fg_captcha_result_t result;
    fg_altcha_solved_t solved;

    fg_altcha_judge(fg_runtime()->altcha, &subject, token, c->now.wall, 0, &result, &solved,
                    fr->r->pool);
    return *solved.id != '\0';
}

/* --- clearance -------------------------------------------------------------------------------- */

/* One a form, so that two forms of a site don't take each other's away. */
static const char *cookie_name(const fg_request_t *fr)
{
    static const unsigned char key[APR_SIPHASH_KSIZE] = "formguard form.";
    const char *path = fg_facts_path_asked(fr->r);

    return apr_psprintf(fr->r->pool, "formguard-%08x",
                        (unsigned int)apr_siphash24(path, strlen(path), key));
}

/* @return 1 if `text` is a good clearance with a step left, which is used */
static int use(fg_request_t *fr, const fg_policy_t *policy, const char *text)
{
    const fg_runtime_t *runtime = fg_runtime();
    fg_altcha_subject_t subject = fg_altcha_subject(fr);
    fg_rate_t uses = {policy->captcha_clearance.uses, policy->captcha_clearance.life};
    const char *nonce =
        fg_clearance_check(runtime->altcha, &subject, text, fr->c.now.wall, fr->r->pool);

    fg_count_t count;

    if (nonce == NULL) {
        return 0;
    }
    count = fg_counters_consume(
        runtime->spent,
        fg_counters_key(runtime->spent, RULE_CLEARANCE, 0, nonce, FG_CLEARANCE_NONCE), &uses, 1,
        fr->c.now.steady, &fr->step);
    fr->steps_left = count.admitted ? (int)(uses.count - count.used) : 0;
    return count.admitted;
}

/* Not by ap_cookie_read(): of a name that comes twice it takes neither and writes an error for each
 * request, and any page of a neighbouring host can set a cookie of that name, too. */
int fg_clearance_use(fg_request_t *fr, const fg_policy_t *policy)
{
    const char *cookies = apr_table_get(fr->r->headers_in, "Cookie");
    const char *name = apr_pstrcat(fr->r->pool, cookie_name(fr), "=", NULL);
    apr_size_t len = strlen(name);
    int looked = 0;
    char *last;
    char *word;

    if (cookies == NULL) {
        return 0;
    }
    for (word = apr_strtok(apr_pstrdup(fr->r->pool, cookies), ";, \t", &last);
         word != NULL && looked < COOKIES_MAX; word = apr_strtok(NULL, ";, \t", &last)) {
        if (strncmp(word, name, len) == 0) {
            looked++;
            if (use(fr, policy, word + len)) {
                return 1;
            }
        }
    }
    return 0;
}

void fg_clearance_give_back(fg_request_t *fr)
{
    fg_counters_refund(fg_runtime()->spent, &fr->step);
    memset(&fr->step, 0, sizeof(fr->step));
    fr->steps_left = 0;
}

void fg_clearance_grant(fg_request_t *fr, const fg_policy_t *policy)
{
    request_rec *r = fr->r;
    fg_altcha_subject_t subject = fg_altcha_subject(fr);
    apr_interval_time_t life = policy->captcha_clearance.life;
    const char *text =
        fg_clearance_make(fg_runtime()->altcha, &subject, fr->c.now.wall + life, r->pool);

    if (text != NULL) {
        fr->steps_left = (int)policy->captcha_clearance.uses;
        /* Not by ap_cookie_write(), which logs the value. */
        apr_table_addn(r->err_headers_out, "Set-Cookie",
                       apr_psprintf(r->pool,
                                    "%s=%s;Max-Age=%" APR_TIME_T_FMT
                                    ";Path=/;HttpOnly;SameSite=Lax%s",
                                    cookie_name(fr), text, apr_time_sec(life),
                                    strcmp(ap_http_scheme(r), "https") == 0 ? ";Secure" : ""));
    }
}
