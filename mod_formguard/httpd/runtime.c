/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives a request: shared memory, the country database, the HTTP client. */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "apr_general.h"
#include "apr_shm.h"
#include "apr_siphash.h"
#include "apr_strings.h"

#include "ap_mpm.h"
#include "http_core.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* How many sites something is said of, and how far from its place one may lie. */
#define SITES 1024
#define REACH 16

/* In shared memory: what was said already, by whichever process. */
typedef struct said {
    _Atomic uint32_t secrets;          /* that were asked about at start */
    _Atomic uint32_t once;             /* one bit an fg_said_t */
    _Atomic apr_uint64_t country;      /* hash of the last line about the country database */
    _Atomic apr_uint64_t sites[SITES]; /* hashes of sites; 0: free */
    fg_notices_t notices;
} said_t;

/* What follows it is aligned to a cache line. */
#define SAID_SIZE ((sizeof(said_t) + 63) / 64 * 64)

static fg_runtime_t runtime;
static said_t *said;

const fg_runtime_t *fg_runtime(void)
{
    return &runtime;
}

unsigned int fg_next_secret(void)
{
    return atomic_fetch_add(&said->secrets, 1);
}

int fg_say_once(fg_said_t what)
{
    uint32_t bit = (uint32_t)1 << what;

    return said == NULL || (atomic_fetch_or(&said->once, bit) & bit) == 0;
}

int fg_say_once_of(const char *site)
{
    static const unsigned char key[APR_SIPHASH_KSIZE] = "formguard sites";
    apr_uint64_t hash = apr_siphash24(site, strlen(site), key);
    unsigned int i;

    hash = hash != 0 ? hash : 1;
    for (i = 0; said != NULL && i < REACH; i++) {
        _Atomic apr_uint64_t *place = &said->sites[(hash + i) % SITES];
        apr_uint64_t there = 0;

        if (atomic_compare_exchange_strong(place, &there, hash)) {
            return 1;
        }
        if (there == hash) {
            return 0;
        }
    }
    return 0;
}

/* Every process loads a replaced database for itself; one of them tells. */
static void write_country_line(void *baton, fg_log_level_t level, apr_status_t rv, const char *text)
{
    static const unsigned char key[APR_SIPHASH_KSIZE] = "formguard lines";
    const fg_log_t *log = baton;
    apr_uint64_t hash = apr_siphash24(text, strlen(text), key);

    if (said == NULL || atomic_exchange(&said->country, hash) != hash) {
        log->write(log->baton, level, rv, text);
    }
}

/* --- slots and what was said ------------------------------------------------------------------ */

static int workers(void)
{
    int daemons = 0;
    int threads = 0;

    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &daemons);
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    return (daemons > 0 ? daemons : 1) * (threads > 0 ? threads : 1);
}

static int set_up_slots(const fg_server_conf_t *conf, apr_pool_t *pconf, server_rec *s)
{
    int count = conf->slots != 0 ? conf->slots : workers() / 4;
    apr_size_t size;
    apr_shm_t *shm;
    char *base;
    apr_status_t rv;

    count = count < 1 ? 1 : count > FG_SLOTS_MAX ? FG_SLOTS_MAX : count;
    size = fg_slots_size((unsigned int)count);
    /* Of this configuration: children of the one before go on with their own. */
    rv = apr_shm_create(&shm, SAID_SIZE + size, NULL, pconf);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "FG2002: no shared memory for %d slots", count);
        return 0;
    }
    base = apr_shm_baseaddr_get(shm);
    said = (said_t *)(void *)base; /* fresh memory is all zero */
    runtime.notices = &said->notices;
    runtime.slots = fg_slots_format(base + SAID_SIZE, size, (unsigned int)count);
    return runtime.slots != NULL;
}

/* --- hooks ------------------------------------------------------------------------------------ */

/* The folders' own order of preference (APR's), but asked once: it tries each by writing. */
static void find_temp_dir(apr_pool_t *pconf, server_rec *s)
{
    apr_status_t rv = apr_temp_dir_get(&runtime.temp_dir, pconf);

    if (rv != APR_SUCCESS) {
        runtime.temp_dir = NULL;
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "FG2005: no folder for temporary files: bodies over 256 KiB can't be judged");
    }
}

static void open_countries(const fg_server_conf_t *conf, apr_pool_t *pconf, server_rec *s)
{
    const fg_log_t log = {write_country_line, fg_core_log(pconf, s)};
    const char *error = NULL;

    runtime.countries = NULL;
    if (conf->geo_database == NULL) {
        return;
    }
    if (fg_country_open(&runtime.countries, conf->geo_database, &log, pconf, &error) !=
        APR_SUCCESS) {
        /* Not fatal: a file that comes back is loaded then, and the mail of a thousand sites does
         * not depend on it. */
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "FG2102: FormGuardGeoDatabase %s can't be used, no country is known: %s",
                     conf->geo_database, error != NULL ? error : "");
    }
}

int fg_runtime_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const fg_server_conf_t *conf = ap_get_module_config(s->module_config, &formguard_module);
    const char *error;

    (void)plog;
    runtime.client = NULL;
    runtime.dnsbl = NULL;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* httpd reads its configuration twice at start: this is the first, for show */
    }
    error = fg_pages_load(conf->pages != NULL ? conf->pages : FG_PAGES_DIR, pconf);
    if (error != NULL) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "FG2004: FormGuardPages: %s", error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!fg_shared_set_up(conf, &runtime, pconf, s) || !set_up_slots(conf, pconf, s)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!fg_altcha_set_up(conf, &runtime, pconf, ptemp, s)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    find_temp_dir(pconf, s);
    open_countries(conf, pconf, s);
    if (!conf->secrets_unchecked) {
        fg_secrets_check(pconf, s);
    }
    return OK;
}

void fg_runtime_child_init(apr_pool_t *pchild, server_rec *s)
{
    const fg_server_conf_t *conf = ap_get_module_config(s->module_config, &formguard_module);
    int threads = 0;
    apr_status_t rv;

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    rv = fg_curl_client_create(&runtime.client, threads > 0 ? threads : 1, pchild);
    if (rv != APR_SUCCESS) {
        runtime.client = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "FG2006: no HTTP client: captcha tokens can't be verified");
    }
    rv = fg_dnsbl_create(&runtime.dnsbl, conf->dnsbl_resolver, pchild);
    if (rv != APR_SUCCESS) {
        runtime.dnsbl = NULL;
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "FG2007: no resolver: blocklists can't be asked");
    }
}
