/* SPDX-License-Identifier: Apache-2.0 */
/* What a status page shows is counted here. */
#include <string.h>

#include "apr_strings.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* `www.example.jp/contact.php`: what a table of forms is by. */
static const char *label_of(request_rec *r, const char *path)
{
    return apr_pstrcat(r->pool, r->server->server_hostname, path, NULL);
}

static fg_stats_column_t column_of(const fg_verdict_t *verdict)
{
    if (verdict->outcome == FG_OUT_ACCEPT) {
        return FG_STATS_ACCEPTED;
    }
    return verdict->would ? FG_STATS_WOULD_REFUSE : FG_STATS_REFUSED;
}

void fg_count_verdict(const fg_request_t *fr, fg_time_t started)
{
    fg_stats_t *stats = fg_runtime()->stats;
    const fg_verdict_t *verdict = &fr->verdict;
    request_rec *r = fr->r;
    fg_time_t now = fg_facts_now();
    const char *label;

    if (verdict->outcome == FG_OUT_PASS) {
        return; /* no submission: none of our business */
    }
    label = label_of(r, fr->path);
    fg_stats_verdict(stats, verdict->reason, verdict->would ? FG_STATS_WOULD : FG_STATS_DONE);
    fg_stats_time(stats, FG_STATS_DECISION, now.steady - started.steady);
    fg_stats_post(stats, FG_STATS_FORMS, label, strlen(label), column_of(verdict), now.steady);
    fg_stats_post(stats, FG_STATS_CLIENTS, r->useragent_ip, strlen(r->useragent_ip),
                  column_of(verdict), now.steady);
}

void fg_count_logged(const fg_verdict_t *verdict)
{
    fg_stats_verdict(fg_runtime()->stats, verdict->reason, FG_STATS_LOGGED);
}

void fg_count_unguarded(request_rec *r)
{
    fg_stats_t *stats = fg_runtime()->stats;
    const char *label;

    if (r->method_number != M_POST || r->status != HTTP_OK || stats == NULL) {
        return;
    }
    label = label_of(r, fg_facts_path(r));
    fg_stats_post(stats, FG_STATS_UNGUARDED, label, strlen(label), FG_STATS_POSTED,
                  fg_facts_now().steady);
}
