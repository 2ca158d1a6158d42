/* SPDX-License-Identifier: Apache-2.0 */
/* The status page as one JSON object (RFC 8259). */
#include <string.h>

#include "http_protocol.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct json {
    request_rec *r;
    int comma; /* 1: something stands before in this object or array */
} json_t;

/* Names may be bytes of any kind; what is not UTF-8 is made so. */
static void put_string(json_t *json, const char *text)
{
    const char *p = fg_status_name(json->r->pool, text);

    ap_rputc('"', json->r);
    for (; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            ap_rputc('\\', json->r);
        }
        if (*p == '<') {
            ap_rputs("\\u003c", json->r); /* for whoever puts it into a page */
        }
        else {
            ap_rputc(*p, json->r);
        }
    }
    ap_rputc('"', json->r);
}

/* The comma, and the member's name; NULL in an array. */
static void put_name(json_t *json, const char *name)
{
    if (json->comma) {
        ap_rputc(',', json->r);
    }
    json->comma = 1;
    if (name != NULL) {
        ap_rprintf(json->r, "\"%s\":", name);
    }
}

static void begin(json_t *json, const char *name, char bracket)
{
    put_name(json, name);
    if (name == NULL) {
        ap_rputc('\n', json->r); /* an element a line */
    }
    ap_rputc(bracket, json->r);
    json->comma = 0;
}

static void end(json_t *json, char bracket)
{
    ap_rputc(bracket, json->r);
    json->comma = 1;
}

static void number(json_t *json, const char *name, apr_uint64_t value)
{
    put_name(json, name);
    ap_rprintf(json->r, "%" APR_UINT64_T_FMT, value);
}

static void seconds(json_t *json, const char *name, apr_int64_t microseconds)
{
    put_name(json, name);
    ap_rputs(fg_status_seconds(json->r->pool, microseconds), json->r);
}

static void string(json_t *json, const char *name, const char *value)
{
    put_name(json, name);
    if (value == NULL) {
        ap_rputs("null", json->r);
    }
    else {
        put_string(json, value);
    }
}

static void boolean(json_t *json, const char *name, int value)
{
    put_name(json, name);
    ap_rputs(value ? "true" : "false", json->r);
}

static void strings(json_t *json, const char *name, const apr_array_header_t *values)
{
    int i;

    begin(json, name, '[');
    for (i = 0; values != NULL && i < values->nelts; i++) {
        string(json, NULL, APR_ARRAY_IDX(values, i, const char *));
    }
    end(json, ']');
}

/* --- figures ---------------------------------------------------------------------------------- */

static void verdicts(json_t *json, const fg_status_t *status)
{
    int i;

    begin(json, "totals", '{');
    number(json, "accepted", status->totals.accepted);
    number(json, "refused", status->totals.refused);
    number(json, "would_refuse", status->totals.would);
    number(json, "logged", status->totals.logged);
    end(json, '}');
    begin(json, "verdicts", '[');
    for (i = 0; i < FG_REASON_COUNT; i++) {
        const fg_reason_row_t *reason = fg_reason((fg_reason_t)i);

        begin(json, NULL, '{');
        string(json, "tag", reason->tag);
        string(json, "words", reason->words);
        number(json, "done", status->stats->verdict[i][FG_STATS_DONE]);
        number(json, "would", status->stats->verdict[i][FG_STATS_WOULD]);
        number(json, "logged", status->stats->verdict[i][FG_STATS_LOGGED]);
        number(json, "lines_written", status->lines.written[i]);
        number(json, "lines_suppressed", status->lines.suppressed[i]);
        end(json, '}');
    }
    end(json, ']');
    number(json, "lines_suppressed_untold", status->lines.pending);
}

static void ranked(json_t *json, const fg_status_t *status, fg_stats_table_t table)
{
    const fg_stats_top_t *top = &status->stats->top[table];
    apr_int64_t now = apr_time_sec(status->now.steady);
    unsigned int i;

    begin(json, fg_status_table_name(table), '{');
    number(json, "posts", top->posts);
    number(json, "others_at_most", top->floor);
    begin(json, "top", '[');
    for (i = 0; i < top->entries; i++) {
        const fg_stats_entry_t *entry = &top->entry[i];

        begin(json, NULL, '{');
        string(json, "name", entry->label);
        number(json, "posts", entry->posts);
        number(json, "missed_at_most", entry->missed);
        if (table != FG_STATS_UNGUARDED) {
            number(json, "accepted", entry->count[FG_STATS_ACCEPTED]);
            number(json, "refused", entry->count[FG_STATS_REFUSED]);
            number(json, "would_refuse", entry->count[FG_STATS_WOULD_REFUSE]);
        }
        number(json, "last_seconds_ago", (apr_uint64_t)(now > entry->last ? now - entry->last : 0));
        end(json, '}');
    }
    end(json, ']');
    end(json, '}');
}

static void closed(json_t *json, const fg_status_t *status)
{
    int i;

    begin(json, "closed_forms", '[');
    for (i = 0; i < status->closed->nelts; i++) {
        const fg_closure_t *closure = &APR_ARRAY_IDX(status->closed, i, fg_closure_t);

        begin(json, NULL, '{');
        string(json, "name", closure->label);
        seconds(json, "seconds_left", closure->until - status->now.steady);
        end(json, '}');
    }
    end(json, ']');
}

static void latency(json_t *json, const char *name, const fg_stats_histogram_t *histogram)
{
    unsigned int i;

    begin(json, name, '{');
    number(json, "count", histogram->count);
    seconds(json, "seconds", (apr_int64_t)histogram->sum);
    begin(json, "buckets", '[');
    for (i = 0; i < FG_STATS_BUCKETS; i++) {
        begin(json, NULL, '{');
        if (fg_stats_bound(i) < 0) {
            string(json, "at_most_seconds", NULL);
        }
        else {
            seconds(json, "at_most_seconds", fg_stats_bound(i));
        }
        number(json, "count", histogram->bucket[i]);
        end(json, '}');
    }
    end(json, ']');
    end(json, '}');
}

static void services(json_t *json, const fg_status_t *status)
{
    int i;

    begin(json, "captcha_services", '[');
    for (i = 0; i < status->services->nelts; i++) {
        const fg_status_service_t *service =
            &APR_ARRAY_IDX(status->services, i, fg_status_service_t);

        begin(json, NULL, '{');
        string(json, "url", service->url);
        boolean(json, "works", !service->state.open);
        string(json, "cause", service->state.open ? fg_cause_name(service->state.cause) : NULL);
        seconds(json, "next_try_seconds", service->state.open ? service->state.next_try : 0);
        end(json, '}');
    }
    end(json, ']');
}

static void tables(json_t *json, const fg_status_t *status)
{
    begin(json, "counters", '{');
    number(json, "capacity", status->counters.capacity);
    number(json, "entries", status->counters.entries);
    number(json, "live", status->counters.live);
    number(json, "inserts", status->counters.inserts);
    number(json, "live_evictions", status->counters.live_evictions);
    number(json, "bytes", status->counters.bytes);
    end(json, '}');
    begin(json, "captcha_slots", '{');
    number(json, "total", status->slots);
    number(json, "taken", status->slots_taken);
    end(json, '}');
    begin(json, "captcha_tokens", '{');
    number(json, "capacity", status->spent.capacity);
    number(json, "entries", status->spent.entries);
    number(json, "live", status->spent.live);
    number(json, "live_evictions", status->spent.live_evictions);
    number(json, "bytes", status->spent.bytes);
    end(json, '}');
    services(json, status);
    begin(json, "latency", '{');
    latency(json, "decision", &status->stats->timer[FG_STATS_DECISION]);
    latency(json, "verification", &status->stats->timer[FG_STATS_VERIFICATION]);
    end(json, '}');
}

static void outside(json_t *json, const fg_status_t *status)
{
    apr_pool_t *pool = json->r->pool;
    int i;

    if (!status->has_country) {
        string(json, "country_database", NULL);
    }
    else {
        int usable = status->country.built != 0;

        begin(json, "country_database", '{');
        string(json, "type", usable ? status->country.type : NULL);
        string(json, "built", usable ? fg_status_date(pool, status->country.built) : NULL);
        end(json, '}');
    }
    begin(json, "blocklists", '{');
    number(json, "capacity", status->dnsbl.capacity);
    number(json, "live", status->dnsbl.live);
    number(json, "live_evictions", status->dnsbl.live_evictions);
    number(json, "bytes", status->dnsbl.bytes);
    begin(json, "zones", '[');
    for (i = 0; i < status->zones->nelts; i++) {
        const fg_status_zone_t *zone = &APR_ARRAY_IDX(status->zones, i, fg_status_zone_t);

        begin(json, NULL, '{');
        string(json, "name", zone->name);
        string(json, "state", fg_dnsbl_reason_name(zone->state));
        end(json, '}');
    }
    end(json, ']');
    end(json, '}');
}

/* --- virtual hosts ---------------------------------------------------------------------------- */

static void scope_members(json_t *json, const fg_status_scope_t *scope)
{
    string(json, "mode", fg_status_mode(scope->mode));
    string(json, "override", fg_status_override(scope->override));
    string(json, "captcha", scope->captcha);
    boolean(json, "deny", scope->deny);
    strings(json, "paths", scope->paths);
    strings(json, "limits", scope->limits);
    strings(json, "countries", scope->countries);
    strings(json, "fields", scope->fields);
    strings(json, "blocklists", scope->dnsbls);
}

static void put_host(void *baton, const fg_status_host_t *host, apr_pool_t *pool)
{
    json_t *json = baton;
    int i;

    (void)pool;
    begin(json, NULL, '{');
    string(json, "name", host->name);
    number(json, "port", host->port);
    scope_members(json, &APR_ARRAY_IDX(host->scope, 0, fg_status_scope_t));
    begin(json, "sections", '[');
    for (i = 1; i < host->scope->nelts; i++) {
        const fg_status_scope_t *scope = &APR_ARRAY_IDX(host->scope, i, fg_status_scope_t);

        begin(json, NULL, '{');
        string(json, "where", scope->where);
        scope_members(json, scope);
        end(json, '}');
    }
    end(json, ']');
    number(json, "sections_left_out", (apr_uint64_t)host->left_out);
    end(json, '}');
}

void fg_status_json(request_rec *r, const fg_status_t *status)
{
    json_t json = {r, 0};
    int table;

    ap_rputc('{', r);
    string(&json, "module", "mod_formguard");
    string(&json, "version", fg_status_version());
    string(&json, "since", fg_status_date(r->pool, status->stats->started));
    string(&json, "now", fg_status_date(r->pool, status->now.wall));
    verdicts(&json, status);
    for (table = 0; table < FG_STATS_TABLES; table++) {
        ranked(&json, status, (fg_stats_table_t)table);
    }
    closed(&json, status);
    tables(&json, status);
    outside(&json, status);
    begin(&json, "virtual_hosts", '[');
    fg_status_hosts(r->pool, put_host, &json);
    end(&json, ']');
    end(&json, '}');
    ap_rputc('\n', r);
}
