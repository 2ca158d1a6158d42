/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file status.h
 * @brief What the forms of the status page share: the figures, and what the virtual hosts enforce.
 *
 * Names in it were chosen by whoever posts. fg_status_name() makes them printable UTF-8 without
 * control characters; each form escapes what has a meaning of its own there.
 */
#ifndef FG_STATUS_H
#define FG_STATUS_H

#include "module.h"

/** A blocklist that some configuration asks. */
typedef struct fg_status_zone {
    const char *name; /**< without a customer's key */
    fg_dnsbl_reason_t state;
} fg_status_zone_t;

/** A captcha service that was asked. */
typedef struct fg_status_service {
    const char *url; /**< without a query, which may hold a key */
    fg_breaker_state_t state;
} fg_status_service_t;

/** Verdicts by what became of them, all reasons together. */
typedef struct fg_status_totals {
    apr_uint64_t accepted;
    apr_uint64_t refused;
    apr_uint64_t would;
    apr_uint64_t logged;
} fg_status_totals_t;

/** Everything but the virtual hosts, gathered at once. */
typedef struct fg_status {
    fg_time_t now;
    const fg_stats_snapshot_t *stats;
    fg_status_totals_t totals;
    fg_counters_stats_t counters;
    fg_counters_stats_t spent; /**< tokens of captchas that were used */
    fg_throttle_stats_t lines; /**< of error_log, about refusals */
    fg_dnsbl_cache_stats_t dnsbl;
    const apr_array_header_t *zones;    /**< fg_status_zone_t */
    const apr_array_header_t *services; /**< fg_status_service_t */
    const apr_array_header_t *closed;   /**< fg_closure_t, each label once, longest closed first */
    int has_country;                    /**< 1: a database is configured */
    fg_country_info_t country;          /**< built 0: it can't be used */
    unsigned int slots;
    unsigned int slots_taken;
    int opens;                              /**< 1: closed forms may be opened from here */
    unsigned int hosts[FG_MODE_DETECT + 1]; /**< virtual hosts by the mode of their own level */
} fg_status_t;

/** What holds in a virtual host, or in a section of it. */
typedef struct fg_status_scope {
    const char *where; /**< "" for the virtual host itself, else `Location /contact.php` */
    fg_mode_t mode;
    fg_override_t override;
    const char *captcha;             /**< name of the service, or NULL */
    const apr_array_header_t *paths; /**< const char *, or NULL: all; so are the others, below */
    const apr_array_header_t *limits;
    const apr_array_header_t *countries;
    const apr_array_header_t *fields;
    const apr_array_header_t *dnsbls;
    int deny;
} fg_status_scope_t;

/** Most sections of a virtual host that are listed. */
#define FG_STATUS_SECTIONS_MAX 100

typedef struct fg_status_host {
    const char *name;
    unsigned int port;               /**< 0: any */
    const apr_array_header_t *scope; /**< fg_status_scope_t; the first is the host itself */
    int left_out;                    /**< sections that are not listed */
} fg_status_host_t;

/* --- status.c --------------------------------------------------------------------------------- */

/** Name of the content handler. */
#define FG_STATUS_HANDLER "formguard-status"

/** The content handler `formguard-status`. */
int fg_status_handler(request_rec *r);

/** Put our lines into mod_status' page, where there is one. */
void fg_status_register(void);

/** Version of the module. */
const char *fg_status_version(void);

/**
 * A name to be shown: of what is not printable UTF-8, of `%`, and of characters that turn the
 * direction of writing, each byte becomes `%XX`. Different names stay different.
 */
const char *fg_status_name(apr_pool_t *pool, const char *name);

/** Microseconds as a decimal number of seconds (`0.00005`). */
const char *fg_status_seconds(apr_pool_t *pool, apr_int64_t microseconds);

/** A time as RFC 3339 has it, in UTC. */
const char *fg_status_date(apr_pool_t *pool, apr_time_t wall);

/** `forms`, `clients`, `unguarded`. */
const char *fg_status_table_name(fg_stats_table_t table);

/* --- status_open.c ---------------------------------------------------------------------------- */

/** Open the forms a POST names. @return what the handler returns */
int fg_status_open(request_rec *r);

/* --- status_shown.c --------------------------------------------------------------------------- */

/** 1 if this request's handler is the status page's. */
int fg_status_asked(const request_rec *r);

/**
 * What keeps the status page from being shown.
 * @return the folder of a .htaccess that is in force on this request, on one it was redirected from
 *         or on the one it is part of; NULL: there is none
 */
const char *fg_status_htaccess(const request_rec *r);

/** Hook what fg_status_htaccess() has to be told of. */
void fg_status_shown_register(void);

/* --- status_hosts.c --------------------------------------------------------------------------- */

/** Called for each virtual host in the order of the configuration, the main server first. */
typedef void fg_status_visit_fn(void *baton, const fg_status_host_t *host, apr_pool_t *pool);

/** Walk all virtual hosts. The pool a visitor is given lives as long as its call. */
void fg_status_hosts(apr_pool_t *pool, fg_status_visit_fn *visit, void *baton);

/** `On`, `Off`, `DetectionOnly`. */
const char *fg_status_mode(fg_mode_t mode);

/** `none`, `tighten`, `all`. */
const char *fg_status_override(fg_override_t override);

/** Fill in `hosts`, `zones` and `services`. */
void fg_status_count_hosts(fg_status_t *status, apr_pool_t *pool);

/* --- status_html.c, status_json.c, status_prometheus.c ---------------------------------------- */

/** Write the page. */
void fg_status_html(request_rec *r, const fg_status_t *status);

/** Write one JSON object. */
void fg_status_json(request_rec *r, const fg_status_t *status);

/** Write Prometheus' text format, version 0.0.4. */
void fg_status_prometheus(request_rec *r, const fg_status_t *status);

/** Told of a policy of the server config, and the virtual host it is of; it goes when this returns,
 * the texts in it stay. */
typedef void fg_status_policy_fn(void *baton, server_rec *s, const fg_policy_t *policy);

/** Visit the policies of all virtual hosts and of the sections in them that say something of ours:
 * all but those of .htaccess. @param pool for the walk */
void fg_status_policies(apr_pool_t *pool, fg_status_policy_fn *visit, void *baton);

#endif
