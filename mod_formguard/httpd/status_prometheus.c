/* SPDX-License-Identifier: Apache-2.0 */
/* The status page in Prometheus' text format, version 0.0.4. */
#include <string.h>

#include "http_protocol.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

/* Of each table that is ranked: a label is a time series, and should stay a while. */
#define SERIES_MAX 20

/* --- writing ---------------------------------------------------------------------------------- */

static void head(request_rec *r, const char *name, const char *type, const char *help)
{
    ap_rprintf(r, "# HELP formguard_%s %s\n# TYPE formguard_%s %s\n", name, help, name, type);
}

/* In a label `\`, `"` and line ends are escaped; of the latter fg_status_name() leaves none. */
static const char *value_of(request_rec *r, const char *text)
{
    const char *p = fg_status_name(r->pool, text);
    char *out = apr_palloc(r->pool, strlen(p) * 2 + 1);
    char *q = out;

    for (; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            *q++ = '\\';
        }
        *q++ = *p;
    }
    *q = '\0';
    return out;
}

/* A metric of one series. */
static void single(request_rec *r, const char *name, const char *type, const char *help,
                   apr_uint64_t value)
{
    head(r, name, type, help);
    ap_rprintf(r, "formguard_%s %" APR_UINT64_T_FMT "\n", name, value);
}

static void labelled(request_rec *r, const char *name, const char *label, const char *value,
                     apr_uint64_t number)
{
    ap_rprintf(r, "formguard_%s{%s=\"%s\"} %" APR_UINT64_T_FMT "\n", name, label,
               value_of(r, value), number);
}

/* --- figures ---------------------------------------------------------------------------------- */

static void verdicts(request_rec *r, const fg_status_t *status)
{
    static const char *const kinds[FG_STATS_KINDS] = {"done", "would", "logged"};
    int i, k;

    head(r, "verdicts_total", "counter",
         "Verdicts on posts, by tag of the log line and by what became of them: done, would (under "
         "DetectionOnly), logged (a rule with action=log).");
    for (i = 0; i < FG_REASON_COUNT; i++) {
        const fg_reason_row_t *reason = fg_reason((fg_reason_t)i);

        for (k = 0; k < FG_STATS_KINDS; k++) {
            ap_rprintf(r,
                       "formguard_verdicts_total{tag=\"%s\",reason=\"%s\",kind=\"%s\"} "
                       "%" APR_UINT64_T_FMT "\n",
                       reason->tag, value_of(r, reason->words), kinds[k],
                       status->stats->verdict[i][k]);
        }
    }
}

static void log_lines(request_rec *r, const fg_status_t *status)
{
    int i;

    head(r, "log_lines_total", "counter",
         "Lines of error_log about refusals, by tag and by what became of them: written, "
         "suppressed.");
    for (i = 0; i < FG_REASON_COUNT; i++) {
        const char *tag = fg_reason((fg_reason_t)i)->tag;

        ap_rprintf(r,
                   "formguard_log_lines_total{tag=\"%s\",result=\"written\"} %" APR_UINT64_T_FMT
                   "\nformguard_log_lines_total{tag=\"%s\",result=\"suppressed\"} "
                   "%" APR_UINT64_T_FMT "\n",
                   tag, status->lines.written[i], tag, status->lines.suppressed[i]);
    }
    single(r, "log_lines_suppressed_untold", "gauge",
           "Suppressed lines no line of error_log has told of yet.", status->lines.pending);
}

static void results(request_rec *r, const char *name, const char *label,
                    const fg_stats_entry_t *entry)
{
    static const char *const columns[FG_STATS_COLUMNS] = {"accepted", "refused", "would_refuse"};
    const char *value = value_of(r, entry->label);
    int i;

    for (i = 0; i < FG_STATS_COLUMNS; i++) {
        ap_rprintf(r, "formguard_%s{%s=\"%s\",result=\"%s\"} %" APR_UINT64_T_FMT "\n", name, label,
                   value, columns[i], entry->count[i]);
    }
}

static void ranked(request_rec *r, const fg_status_t *status)
{
    const fg_stats_top_t *top = &status->stats->top[FG_STATS_FORMS];
    unsigned int i;

    head(r, "form_posts_total", "counter", "Posts to the guarded forms that get most of them.");
    for (i = 0; i < top->entries && i < SERIES_MAX; i++) {
        results(r, "form_posts_total", "form", &top->entry[i]);
    }
    top = &status->stats->top[FG_STATS_CLIENTS];
    head(r, "client_posts_total", "counter",
         "Posts to guarded forms by the clients that send most of them.");
    for (i = 0; i < top->entries && i < SERIES_MAX; i++) {
        results(r, "client_posts_total", "client", &top->entry[i]);
    }
    top = &status->stats->top[FG_STATS_UNGUARDED];
    single(r, "unguarded_posts_total", "counter", "Posts that nothing guards.", top->posts);
    head(r, "unguarded_script_posts_total", "counter",
         "Posts to what nothing guards and gets most of them.");
    for (i = 0; i < top->entries && i < SERIES_MAX; i++) {
        labelled(r, "unguarded_script_posts_total", "script", top->entry[i].label,
                 top->entry[i].posts);
    }
}

static void closed(request_rec *r, const fg_status_t *status)
{
    int i;

    single(r, "closed_forms", "gauge", "Forms that are closed now.",
           (apr_uint64_t)status->closed->nelts);
    head(r, "form_closed_seconds", "gauge", "How long a form stays closed.");
    for (i = 0; i < status->closed->nelts && i < SERIES_MAX; i++) {
        const fg_closure_t *closure = &APR_ARRAY_IDX(status->closed, i, fg_closure_t);

        ap_rprintf(r, "formguard_form_closed_seconds{form=\"%s\"} %s\n",
                   value_of(r, closure->label),
                   fg_status_seconds(r->pool, closure->until - status->now.steady));
    }
}

static void latency(request_rec *r, const char *name, const char *help,
                    const fg_stats_histogram_t *histogram)
{
    apr_uint64_t below = 0;
    unsigned int i;

    head(r, name, "histogram", help);
    for (i = 0; i < FG_STATS_BUCKETS; i++) {
        apr_interval_time_t bound = fg_stats_bound(i);

        below += histogram->bucket[i];
        ap_rprintf(r, "formguard_%s_bucket{le=\"%s\"} %" APR_UINT64_T_FMT "\n", name,
                   bound < 0 ? "+Inf" : fg_status_seconds(r->pool, bound), below);
    }
    ap_rprintf(r, "formguard_%s_sum %s\nformguard_%s_count %" APR_UINT64_T_FMT "\n", name,
               fg_status_seconds(r->pool, (apr_int64_t)histogram->sum), name, below);
}

static void counters(request_rec *r, const fg_status_t *status)
{
    const fg_counters_stats_t *counters = &status->counters;

    single(r, "counters_capacity", "gauge", "Keys the table of counters can hold.",
           counters->capacity);
    single(r, "counters_entries", "gauge", "Keys it holds, expired ones included.",
           counters->entries);
    single(r, "counters_live", "gauge", "Keys with a count that has not expired.", counters->live);
    single(r, "counters_inserts_total", "counter", "Keys that were ever put in.",
           counters->inserts);
    single(r, "counters_live_evictions_total", "counter",
           "Live keys that had to give way: the table is too small.", counters->live_evictions);
    single(r, "counters_bytes", "gauge", "Shared memory of the table.", counters->bytes);
    single(r, "captcha_slots", "gauge", "Workers that may wait for a captcha service.",
           status->slots);
    single(r, "captcha_slots_taken", "gauge", "Workers that wait for a captcha service.",
           status->slots_taken);
}

static void captchas(request_rec *r, const fg_status_t *status)
{
    int i;

    single(r, "captcha_tokens_capacity", "gauge", "Used captcha tokens that can be kept.",
           status->spent.capacity);
    single(r, "captcha_tokens_live", "gauge", "Used captcha tokens that are kept.",
           status->spent.live);
    single(r, "captcha_tokens_live_evictions_total", "counter",
           "Used captcha tokens that gave way before their time.", status->spent.live_evictions);
    if (status->services->nelts > 0) {
        head(r, "captcha_service_up", "gauge",
             "1: the captcha service works; 0: it is left alone for a while.");
    }
    for (i = 0; i < status->services->nelts; i++) {
        const fg_status_service_t *service =
            &APR_ARRAY_IDX(status->services, i, fg_status_service_t);

        labelled(r, "captcha_service_up", "service", service->url, !service->state.open);
    }
}

static void outside(request_rec *r, const fg_status_t *status)
{
    int i;

    if (status->has_country && status->country.built != 0) {
        head(r, "country_database_built_timestamp_seconds", "gauge",
             "When the country database was built.");
        labelled(r, "country_database_built_timestamp_seconds", "type",
                 status->country.type != NULL ? status->country.type : "",
                 (apr_uint64_t)apr_time_sec(status->country.built));
    }
    single(r, "blocklist_cache_capacity", "gauge", "Answers of blocklists the cache can hold.",
           status->dnsbl.capacity);
    single(r, "blocklist_cache_live", "gauge", "Answers it holds that have not expired.",
           status->dnsbl.live);
    single(r, "blocklist_cache_live_evictions_total", "counter",
           "Answers that gave way before they expired.", status->dnsbl.live_evictions);
    single(r, "blocklist_cache_bytes", "gauge", "Shared memory of the cache.", status->dnsbl.bytes);
    if (status->zones->nelts > 0) {
        head(r, "blocklist_up", "gauge", "1: the blocklist answered when it was last asked.");
    }
    for (i = 0; i < status->zones->nelts; i++) {
        const fg_status_zone_t *zone = &APR_ARRAY_IDX(status->zones, i, fg_status_zone_t);

        labelled(r, "blocklist_up", "zone", zone->name, zone->state == FG_DNSBL_WORKING);
    }
}

void fg_status_prometheus(request_rec *r, const fg_status_t *status)
{
    head(r, "build_info", "gauge", "Version of mod_formguard.");
    labelled(r, "build_info", "version", fg_status_version(), 1);
    single(r, "start_timestamp_seconds", "gauge", "Since when is counted.",
           (apr_uint64_t)apr_time_sec(status->stats->started));
    verdicts(r, status);
    log_lines(r, status);
    ranked(r, status);
    closed(r, status);
    latency(r, "decision_duration_seconds",
            "How long decisions took, body and captcha service included.",
            &status->stats->timer[FG_STATS_DECISION]);
    latency(r, "verification_duration_seconds", "How long captcha services took.",
            &status->stats->timer[FG_STATS_VERIFICATION]);
    counters(r, status);
    captchas(r, status);
    outside(r, status);
    head(r, "virtual_hosts", "gauge", "Virtual hosts by the mode of their own level.");
    labelled(r, "virtual_hosts", "mode", "On", status->hosts[FG_MODE_ON]);
    labelled(r, "virtual_hosts", "mode", "DetectionOnly", status->hosts[FG_MODE_DETECT]);
    labelled(r, "virtual_hosts", "mode", "Off", status->hosts[FG_MODE_OFF]);
}
