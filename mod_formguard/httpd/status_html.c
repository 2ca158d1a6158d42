/* SPDX-License-Identifier: Apache-2.0 */
/* The status page for people: one page, no script, nothing from outside, 320 pixels are enough. */
#include <string.h>

#include "apr_strings.h"

#include "http_protocol.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

/* Most rows of a ranking, and most virtual hosts. */
#define ROWS_MAX  20
#define HOSTS_MAX 1000

#define COUNT "%" APR_UINT64_T_FMT

static const char page_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"robots\" content=\"noindex\">\n"
    "<title>mod_formguard status</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --text: #1a1a1a; --soft: #595959; --line: #d5d5d5;"
    " --ground: #fff; --box: #f4f4f4; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --text: #ececec; --soft: #b0b0b0; --line: #3c3c3c; --ground: #161616;"
    " --box: #222; }\n"
    "}\n"
    "* { box-sizing: border-box; }\n"
    "body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; color: var(--text);"
    " background: var(--ground); }\n"
    "main { max-width: 56rem; margin: 0 auto; padding: 1rem; }\n"
    "h1 { font-size: 1.375rem; margin: 0; }\n"
    "h2 { font-size: 1.125rem; margin: 2rem 0 .25rem; }\n"
    "p { margin: .25rem 0 .5rem; overflow-wrap: anywhere; }\n"
    ".soft, th { color: var(--soft); font-size: .875rem; font-weight: normal; }\n"
    "table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }\n"
    "th, td { padding: .25rem 0 .25rem .5rem; text-align: right; vertical-align: top;"
    " border-top: 1px solid var(--line); }\n"
    "th:first-child, td:first-child { text-align: left; padding-left: 0;"
    " overflow-wrap: anywhere; }\n"
    "thead th { border-top: 0; vertical-align: bottom; }\n"
    "@media (max-width: 30rem) {\n"
    "  .wide tr { display: grid; grid-template-columns: repeat(3, 1fr); }\n"
    "  .wide tr > :first-child { grid-column: 1 / -1; }\n"
    "  .wide tr > :not(:first-child) { border-top: 0; padding-top: 0; }\n"
    "}\n"
    "td form { margin: 0; }\n"
    "dl.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr));"
    " gap: .5rem; margin: 1rem 0 0; }\n"
    "dl.totals div { background: var(--box); border-radius: .375rem; padding: .5rem .75rem; }\n"
    "dl.totals dt { color: var(--soft); font-size: .875rem; }\n"
    "dl.totals dd { margin: 0; font-size: 1.375rem; font-variant-numeric: tabular-nums; }\n"
    "meter { width: 100%; min-width: 3rem; }\n"
    "section.host { border-top: 1px solid var(--line); padding: .5rem 0; }\n"
    "section.host h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }\n"
    "section.host h4 { font-size: .9375rem; margin: .5rem 0 0; overflow-wrap: anywhere; }\n"
    "ul { margin: 0; padding-left: 1.25rem; overflow-wrap: anywhere; }\n"
    "a { color: inherit; }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<main>\n";

/* A name in a text that has a direction of its own. */
static const char *shown(apr_pool_t *pool, const char *name)
{
    return apr_pstrcat(pool, "<bdi>", ap_escape_html(pool, fg_status_name(pool, name)), "</bdi>",
                       NULL);
}

/* `2h 5m`, `42s`: the two largest units, rounded up to a second. */
static const char *span(apr_pool_t *pool, apr_interval_time_t time)
{
    apr_int64_t s = time > 0 ? (time + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC : 0;
    int rest = (int)(s % 86400);

    if (s >= 86400) {
        return apr_psprintf(pool, "%" APR_INT64_T_FMT "d %dh", s / 86400, rest / 3600);
    }
    if (s >= 3600) {
        return apr_psprintf(pool, "%dh %dm", rest / 3600, rest % 3600 / 60);
    }
    return s >= 60 ? apr_psprintf(pool, "%dm %ds", rest / 60, rest % 60)
                   : apr_psprintf(pool, "%ds", rest);
}

/* `200 \302\265s`, `1.5 ms`. */
static const char *duration(apr_pool_t *pool, apr_interval_time_t time)
{
    if (time < 1000) {
        return apr_psprintf(pool, "%d \302\265s", (int)time);
    }
    return time < APR_USEC_PER_SEC
               ? apr_pstrcat(pool, fg_status_seconds(pool, time * 1000), " ms", NULL)
               : apr_pstrcat(pool, fg_status_seconds(pool, time), " s", NULL);
}

/* --- figures ---------------------------------------------------------------------------------- */

static void totals(request_rec *r, const fg_status_t *status)
{
    ap_rprintf(r,
               "<h1>mod_formguard</h1>\n"
               "<p class=\"soft\">Version %s. Counted since %s, for %s. Also as "
               "<a href=\"?json\">JSON</a> and for <a href=\"?prometheus\">Prometheus</a>.</p>\n"
               "<dl class=\"totals\">\n"
               "<div><dt>Accepted</dt><dd>" COUNT "</dd></div>\n"
               "<div><dt>Refused</dt><dd>" COUNT "</dd></div>\n"
               "<div><dt>Would be refused</dt><dd>" COUNT "</dd></div>\n"
               "<div><dt>Only logged</dt><dd>" COUNT "</dd></div>\n"
               "<div><dt>Not guarded</dt><dd>" COUNT "</dd></div>\n"
               "<div><dt>Closed forms</dt><dd>%d</dd></div>\n"
               "</dl>\n",
               fg_status_version(), fg_status_date(r->pool, status->stats->started),
               span(r->pool, status->now.wall - status->stats->started), status->totals.accepted,
               status->totals.refused, status->totals.would, status->totals.logged,
               status->stats->top[FG_STATS_UNGUARDED].posts, status->closed->nelts);
}

static void verdicts(request_rec *r, const fg_status_t *status)
{
    apr_uint64_t written = 0;
    apr_uint64_t suppressed = 0;
    int i;

    ap_rputs("<h2>Verdicts</h2>\n<table class=\"wide\">\n<thead><tr><th>Reason</th><th>Done</th>"
             "<th>Would be</th><th>Only logged</th></tr></thead>\n<tbody>\n",
             r);
    for (i = 0; i < FG_REASON_COUNT; i++) {
        const fg_reason_row_t *reason = fg_reason((fg_reason_t)i);
        const apr_uint64_t *count = status->stats->verdict[i];

        written += status->lines.written[i];
        suppressed += status->lines.suppressed[i];
        if (i != FG_ACCEPTED &&
            count[FG_STATS_DONE] + count[FG_STATS_WOULD] + count[FG_STATS_LOGGED] == 0) {
            continue;
        }
        ap_rprintf(r,
                   "<tr><td>%s <span class=\"soft\">%s</span></td><td>" COUNT "</td><td>" COUNT
                   "</td><td>" COUNT "</td></tr>\n",
                   ap_escape_html(r->pool, reason->words), reason->tag, count[FG_STATS_DONE],
                   count[FG_STATS_WOULD], count[FG_STATS_LOGGED]);
    }
    ap_rputs("</tbody>\n</table>\n", r);
    ap_rprintf(r,
               "<p class=\"soft\">Lines about refusals in error_log: " COUNT " written, " COUNT
               " suppressed.</p>\n",
               written, suppressed);
}

static void left_out(request_rec *r, const fg_stats_top_t *top)
{
    if (top->entries > ROWS_MAX) {
        ap_rprintf(r, "<p class=\"soft\">The first %d of %u%s.</p>\n", ROWS_MAX, top->entries,
                   top->floor > 0 ? " or more" : "");
    }
}

static void ranking(request_rec *r, const char *title, const char *what, const fg_stats_top_t *top)
{
    unsigned int i;

    ap_rprintf(r, "<h2>%s</h2>\n", title);
    if (top->entries == 0) {
        ap_rputs("<p class=\"soft\">None yet.</p>\n", r);
        return;
    }
    ap_rprintf(r,
               "<table class=\"wide\">\n<thead><tr><th>%s</th><th>Accepted</th><th>Refused</th>"
               "<th>Would be refused</th></tr></thead>\n<tbody>\n",
               what);
    for (i = 0; i < top->entries && i < ROWS_MAX; i++) {
        const fg_stats_entry_t *entry = &top->entry[i];

        ap_rprintf(r,
                   "<tr><td>%s</td><td>" COUNT "</td><td>" COUNT "</td><td>" COUNT "</td></tr>\n",
                   shown(r->pool, entry->label), entry->count[FG_STATS_ACCEPTED],
                   entry->count[FG_STATS_REFUSED], entry->count[FG_STATS_WOULD_REFUSE]);
    }
    ap_rputs("</tbody>\n</table>\n", r);
    left_out(r, top);
}

static void unguarded(request_rec *r, const fg_status_t *status)
{
    const fg_stats_top_t *top = &status->stats->top[FG_STATS_UNGUARDED];
    apr_time_t now = apr_time_sec(status->now.steady);
    unsigned int i;

    ap_rputs("<h2>Posts that nothing guards</h2>\n", r);
    if (top->entries == 0) {
        ap_rputs("<p class=\"soft\">None yet.</p>\n", r);
        return;
    }
    ap_rputs("<p class=\"soft\">A mailer nobody knows of stands here.</p>\n"
             "<table>\n<thead><tr><th>Path</th><th>Posts</th><th>Last</th></tr></thead>\n<tbody>\n",
             r);
    for (i = 0; i < top->entries && i < ROWS_MAX; i++) {
        const fg_stats_entry_t *entry = &top->entry[i];

        ap_rprintf(r, "<tr><td>%s</td><td>" COUNT "</td><td>%s ago</td></tr>\n",
                   shown(r->pool, entry->label), entry->posts,
                   span(r->pool, apr_time_from_sec(now - entry->last)));
    }
    ap_rputs("</tbody>\n</table>\n", r);
    left_out(r, top);
}

static void closed(request_rec *r, const fg_status_t *status)
{
    int i;

    if (status->closed->nelts == 0) {
        return;
    }
    ap_rprintf(r,
               "<h2>Closed forms</h2>\n<table>\n<thead><tr><th>Form</th><th>Still for</th>%s</tr>"
               "</thead>\n<tbody>\n",
               status->opens ? "<th></th>" : "");
    for (i = 0; i < status->closed->nelts; i++) {
        const fg_closure_t *closure = &APR_ARRAY_IDX(status->closed, i, fg_closure_t);

        ap_rprintf(r, "<tr><td>%s</td><td>%s</td>", shown(r->pool, closure->label),
                   span(r->pool, closure->until - status->now.steady));
        if (status->opens) {
            ap_rprintf(r,
                       "<td><form method=\"post\"><input type=\"hidden\" name=\"open\" "
                       "value=\"%s\"><button>Open now</button></form></td>",
                       ap_escape_html2(r->pool, closure->label, 0));
        }
        ap_rputs("</tr>\n", r);
    }
    ap_rputs("</tbody>\n</table>\n", r);
}

static void latency(request_rec *r, const char *title, const fg_stats_histogram_t *histogram)
{
    unsigned int first = FG_STATS_BUCKETS;
    unsigned int last = 0;
    unsigned int i;

    ap_rprintf(r, "<h2>%s</h2>\n", title);
    if (histogram->count == 0) {
        ap_rputs("<p class=\"soft\">None yet.</p>\n", r);
        return;
    }
    for (i = 0; i < FG_STATS_BUCKETS; i++) {
        if (histogram->bucket[i] > 0) {
            first = first < i ? first : i;
            last = i;
        }
    }
    ap_rprintf(r,
               "<p class=\"soft\">" COUNT ", %s each on average.</p>\n<table>\n"
               "<thead><tr><th>At most</th><th>Share</th><th>Count</th></tr></thead>\n<tbody>\n",
               histogram->count,
               duration(r->pool, (apr_interval_time_t)(histogram->sum / histogram->count)));
    for (i = first; i <= last; i++) {
        apr_interval_time_t bound = fg_stats_bound(i);

        ap_rprintf(r,
                   "<tr><td>%s</td><td><meter max=\"" COUNT "\" value=\"" COUNT
                   "\"></meter></td><td>" COUNT "</td></tr>\n",
                   bound < 0 ? "longer" : duration(r->pool, bound), histogram->count,
                   histogram->bucket[i], histogram->bucket[i]);
    }
    ap_rputs("</tbody>\n</table>\n", r);
}

/* --- what it works with ----------------------------------------------------------------------- */

static void row(request_rec *r, const char *name, const char *value)
{
    ap_rprintf(r, "<tr><td>%s</td><td>%s</td></tr>\n", name, value);
}

static const char *fill(apr_pool_t *pool, apr_uint64_t used, apr_uint64_t all)
{
    return apr_psprintf(pool, COUNT " of " COUNT " (%d %%)", used, all,
                        all > 0 ? (int)(used * 100 / all) : 0);
}

static const char *country(const fg_status_t *status, apr_pool_t *pool)
{
    if (!status->has_country) {
        return "none configured";
    }
    if (status->country.built == 0) {
        return "can't be used";
    }
    return apr_pstrcat(pool, shown(pool, status->country.type != NULL ? status->country.type : "-"),
                       ", ", fg_status_date(pool, status->country.built), NULL);
}

static void resources(request_rec *r, const fg_status_t *status)
{
    apr_pool_t *pool = r->pool;
    int i;

    ap_rputs("<h2>Resources</h2>\n<table>\n<tbody>\n", r);
    row(r, "Counters: keys alive", fill(pool, status->counters.live, status->counters.capacity));
    row(r, "Counters: keys held", fill(pool, status->counters.entries, status->counters.capacity));
    row(r, "Counters: live keys that had to give way",
        apr_psprintf(pool, COUNT "%s", status->counters.live_evictions,
                     status->counters.live_evictions > 0 ? ": FormGuardCounters is too small"
                                                         : ""));
    row(r, "Counters: shared memory",
        apr_psprintf(pool, COUNT " KiB", status->counters.bytes / 1024));
    row(r, "Captcha slots taken", fill(pool, status->slots_taken, status->slots));
    row(r, "Used captcha tokens kept", fill(pool, status->spent.live, status->spent.capacity));
    row(r, "Used captcha tokens that gave way too soon",
        apr_psprintf(pool, COUNT, status->spent.live_evictions));
    for (i = 0; i < status->services->nelts; i++) {
        const fg_status_service_t *service =
            &APR_ARRAY_IDX(status->services, i, fg_status_service_t);

        row(r, apr_pstrcat(pool, "Captcha service ", shown(pool, service->url), NULL),
            !service->state.open
                ? "works"
                : apr_pstrcat(
                      pool, "does not work: ", fg_cause_name(service->state.cause),
                      service->state.next_try > 0 ? ", asked again in " : ", the next post asks it",
                      service->state.next_try > 0 ? span(pool, service->state.next_try) : NULL,
                      NULL));
    }
    row(r, "Country database", country(status, pool));
    row(r, "Answers of blocklists kept", fill(pool, status->dnsbl.live, status->dnsbl.capacity));
    row(r, "Answers that gave way too soon",
        apr_psprintf(pool, COUNT, status->dnsbl.live_evictions));
    for (i = 0; i < status->zones->nelts; i++) {
        const fg_status_zone_t *zone = &APR_ARRAY_IDX(status->zones, i, fg_status_zone_t);

        row(r, apr_pstrcat(pool, "Blocklist ", shown(pool, zone->name), NULL),
            zone->state == FG_DNSBL_WORKING
                ? "works"
                : ap_escape_html(pool, fg_dnsbl_reason_text(zone->state)));
    }
    ap_rputs("</tbody>\n</table>\n", r);
}

/* --- virtual hosts ---------------------------------------------------------------------------- */

typedef struct hosts {
    request_rec *r;
    const char *main; /* what the main server's own level enforces; NULL before it is known */
    int alike;        /* which ones are written: 1: those that enforce just that; 0: the others */
    unsigned int written;
    unsigned int left_out;
} hosts_t;

static const char *lines(apr_pool_t *pool, const char *before, const char *directive,
                         const apr_array_header_t *texts)
{
    int i;

    for (i = 0; texts != NULL && i < texts->nelts; i++) {
        before = apr_pstrcat(pool, before, "<li>", directive, " ",
                             shown(pool, APR_ARRAY_IDX(texts, i, const char *)), "</li>\n", NULL);
    }
    return before;
}

/* What a scope enforces, as a list in the words of the configuration. */
static const char *rules(apr_pool_t *pool, const fg_status_scope_t *scope)
{
    const char *text = "";

    if (scope->deny) {
        text = "<li>FormGuardDeny On</li>\n";
    }
    text = lines(pool, text, "FormGuardPath", scope->paths);
    text = lines(pool, text, "FormGuardLimit", scope->limits);
    text = lines(pool, text, "FormGuardCountry", scope->countries);
    text = lines(pool, text, "FormGuardField", scope->fields);
    text = lines(pool, text, "FormGuardDNSBL", scope->dnsbls);
    if (scope->captcha != NULL) {
        text = apr_pstrcat(pool, text, "<li>FormGuardCaptcha ", shown(pool, scope->captcha),
                           "</li>\n", NULL);
    }
    return apr_pstrcat(pool, "<p>FormGuard ", fg_status_mode(scope->mode),
                       " <span class=\"soft\">FormGuardOverride ",
                       fg_status_override(scope->override), "</span></p>\n",
                       *text != '\0' ? apr_pstrcat(pool, "<ul>\n", text, "</ul>\n", NULL) : "",
                       NULL);
}

static void put_sections(request_rec *r, const fg_status_host_t *host, apr_pool_t *pool)
{
    int i;

    for (i = 1; i < host->scope->nelts; i++) {
        const fg_status_scope_t *scope = &APR_ARRAY_IDX(host->scope, i, fg_status_scope_t);

        ap_rprintf(r, "<h4>%s</h4>\n%s", shown(pool, scope->where), rules(pool, scope));
    }
    if (host->left_out > 0) {
        ap_rprintf(r, "<p class=\"soft\">And %d more sections.</p>\n", host->left_out);
    }
}

static void put_host(void *baton, const fg_status_host_t *host, apr_pool_t *pool)
{
    hosts_t *hosts = baton;
    request_rec *r = hosts->r;
    const char *text = rules(pool, &APR_ARRAY_IDX(host->scope, 0, fg_status_scope_t));
    const char *name = apr_psprintf(pool, host->port != 0 ? "%s:%u" : "%s", host->name, host->port);
    int is_main = hosts->main == NULL;
    int alike;

    if (is_main) {
        hosts->main = apr_pstrdup(r->pool, text);
    }
    alike = !is_main && host->scope->nelts == 1 && strcmp(text, hosts->main) == 0;
    if (alike != hosts->alike || (is_main && hosts->alike)) {
        return;
    }
    if (hosts->written == HOSTS_MAX) {
        hosts->left_out++;
        return;
    }
    hosts->written++;
    if (alike) {
        ap_rprintf(r, "%s%s", hosts->written == 1 ? "<p>" : ", ", shown(pool, name));
        return;
    }
    ap_rprintf(r, "<section class=\"host\">\n<h3>%s%s</h3>\n%s", shown(pool, name),
               is_main ? " <span class=\"soft\">main server</span>" : "", text);
    put_sections(r, host, pool);
    ap_rputs("</section>\n", r);
}

/* Of ten thousand virtual hosts most enforce what the provider has set for all. */
static void virtual_hosts(request_rec *r)
{
    hosts_t others = {.r = r};
    hosts_t alike = {.r = r, .alike = 1};

    ap_rputs("<h2>What is enforced where</h2>\n<p class=\"soft\">Sections of the main server "
             "hold in every virtual host. What .htaccess adds is not seen from here.</p>\n",
             r);
    fg_status_hosts(r->pool, put_host, &others);
    if (others.left_out > 0) {
        ap_rprintf(r, "<p class=\"soft\">And %u more, which ?json lists.</p>\n", others.left_out);
    }
    ap_rputs("<h2>As the main server</h2>\n", r);
    fg_status_hosts(r->pool, put_host, &alike);
    ap_rputs(alike.written > 0 ? "</p>\n" : "<p class=\"soft\">No virtual host.</p>\n", r);
    if (alike.left_out > 0) {
        ap_rprintf(r, "<p class=\"soft\">And %u more, which ?json lists.</p>\n", alike.left_out);
    }
}

void fg_status_html(request_rec *r, const fg_status_t *status)
{
    ap_rputs(page_head, r);
    totals(r, status);
    closed(r, status);
    verdicts(r, status);
    ranking(r, "Forms", "Form", &status->stats->top[FG_STATS_FORMS]);
    ranking(r, "Clients", "Client", &status->stats->top[FG_STATS_CLIENTS]);
    unguarded(r, status);
    latency(r, "Time a decision took", &status->stats->timer[FG_STATS_DECISION]);
    latency(r, "Time captcha services took", &status->stats->timer[FG_STATS_VERIFICATION]);
    resources(r, status);
    virtual_hosts(r);
    ap_rputs("</main>\n</body>\n</html>\n", r);
}
