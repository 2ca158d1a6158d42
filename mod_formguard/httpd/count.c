/* SPDX-License-Identifier: Apache-2.0 */
/* What a status page shows is counted here. */
#include <arpa/inet.h>
#include <string.h>

#include "apr_strings.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* Note of a request that was counted as unguarded. */
#define COUNTED "formguard-counted"

/* In a table of forms, where it is `www.example.jp/contact.php`. */
static void count_form(request_rec *r, fg_stats_table_t table, const char *path,
                       fg_stats_column_t column, fg_time_t now)
{
    char room[256];
    apr_size_t host_len = strlen(r->server->server_hostname);
    apr_size_t path_len = strlen(path);
    apr_size_t len = host_len + path_len;
    char *label = len <= sizeof(room) ? room : apr_palloc(r->pool, len);

    memcpy(label, r->server->server_hostname, host_len);
    memcpy(label + host_len, path, path_len);
    fg_stats_post(fg_runtime()->stats, table, label, len, column, now.steady);
}

/* What a client is counted under: of an IPv6 address the /64, as limits do. One customer's line can
 * fill any table with the addresses it has. */
static const char *client_of(const fg_request_t *fr)
{
    const fg_address_t *address = &fr->c.client;
    unsigned char net[16] = {0};
    char text[INET6_ADDRSTRLEN];

    if (address->family != 6) {
        return fr->r->useragent_ip;
    }
    memcpy(net, address->bytes, 8);
    if (inet_ntop(AF_INET6, net, text, sizeof(text)) == NULL) {
        return fr->r->useragent_ip;
    }
    return apr_pstrcat(fr->r->pool, text, "/64", NULL);
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
    const char *client;

    fg_stats_verdict(stats, verdict->reason, verdict->would ? FG_STATS_WOULD : FG_STATS_DONE);
    if (verdict->outcome == FG_OUT_PASS) {
        fg_count_unguarded(r); /* no field of FormGuardFormField: nothing has guarded it */
        return;
    }
    fg_stats_time(stats, FG_STATS_DECISION, now.steady - started.steady);
    count_form(r, FG_STATS_FORMS, fr->path, column_of(verdict), now);
    client = client_of(fr);
    fg_stats_post(stats, FG_STATS_CLIENTS, client, strlen(client), column_of(verdict), now.steady);
}

void fg_count_logged(const fg_verdict_t *verdict)
{
    fg_stats_verdict(fg_runtime()->stats, verdict->reason, FG_STATS_LOGGED);
}

void fg_count_unguarded(request_rec *r)
{
    const request_rec *pass;

    if (r->method_number != M_POST || r->status != HTTP_OK || fg_runtime()->stats == NULL) {
        return;
    }
    for (pass = r->prev; pass != NULL; pass = pass->prev) {
        if (apr_table_get(pass->notes, COUNTED) != NULL) {
            return; /* Action, and whatever else goes on as an internal redirect */
        }
    }
    apr_table_setn(r->notes, COUNTED, "1");
    count_form(r, FG_STATS_UNGUARDED, fg_facts_path(r), FG_STATS_POSTED, fg_facts_now());
}
