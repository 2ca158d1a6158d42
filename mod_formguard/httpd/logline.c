/* SPDX-License-Identifier: Apache-2.0 */
/* What error_log is told. A line starts with a stable tag and holds no value that was not reduced
 * to harmless characters. A flood of posts is none of lines. */
#include <string.h>

#include "apr_strings.h"

#include "apr_general.h"

#include "core/reference.h"
#include "http_core.h"
#include "http_main.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

static const char *country_of(const fg_verdict_t *verdict)
{
    if (!verdict->country_known) {
        return "-";
    }
    return *verdict->country != '\0' ? verdict->country : "unknown";
}

/* ` rule="ip 10/10m" count=10 rate=10/10m`, as far as there is something to say. */
static const char *rule_of(const fg_verdict_t *verdict, apr_pool_t *pool)
{
    fg_rate_t rate = {verdict->rate_count, verdict->period};
    const char *text = "";

    if (verdict->rule != NULL) {
        text = apr_pstrcat(pool, " rule=\"", verdict->rule, "\"", NULL);
    }
    if (verdict->challenged_by != NULL) {
        text = apr_pstrcat(pool, text, " challenged-by=\"", verdict->challenged_by, "\"", NULL);
    }
    if (verdict->has_count) {
        text = apr_pstrcat(pool, text, " count=", apr_off_t_toa(pool, (apr_off_t)verdict->count),
                           " rate=", fg_rate_text(&rate, pool), NULL);
    }
    if (verdict->has_score) {
        text = apr_psprintf(pool, "%s score=%.2f", text, verdict->score);
    }
    return verdict->detail != NULL ? apr_pstrcat(pool, text, " ", verdict->detail, NULL) : text;
}

/* ` file=/srv/www/uploads/x.php`: where nobody should post lies something to be looked at. */
static const char *file_of(const fg_request_t *fr, const fg_verdict_t *verdict)
{
    const char *script;
    char file[FG_LOG_PATH_MAX + 1];

    if (verdict->reason != FG_DENY) {
        return "";
    }
    script = strchr(fr->c.form, '\n');
    /* Where there is no file: the one somebody has looked for, or put there and taken away. */
    script = script != NULL && script[1] == '/' ? script + 1 : fr->r->filename;
    return apr_pstrcat(fr->r->pool, " file=", fg_log_path(file, script), NULL);
}

static int level_of(const fg_verdict_t *verdict, fg_log_kind_t kind)
{
    if (verdict->outcome == FG_OUT_ACCEPT) {
        return APLOG_INFO;
    }
    if (verdict->fault || kind == FG_LOG_CLOSED) {
        return APLOG_ERR;
    }
    return verdict->reason == FG_DENY ? APLOG_WARNING : APLOG_NOTICE;
}

/* APLOG_R_IS_LEVEL lets everything from notice on pass, and leaves the rest to ap_log_rerror(): a
 * line that is dropped there must not be taken for one that was written. */
static int is_on(request_rec *r, int level)
{
    return level <= ap_get_request_module_loglevel(r, APLOG_MODULE_INDEX) ||
           (level == APLOG_NOTICE && r->server->error_log != NULL);
}

static const char *suppressed_text(apr_uint64_t suppressed, apr_pool_t *pool)
{
    return suppressed == 0 ? "" : apr_psprintf(pool, " suppressed=%" APR_UINT64_T_FMT, suppressed);
}

const char *fg_log_notice(fg_notice_t kind, apr_time_t now, apr_pool_t *pool)
{
    apr_uint64_t suppressed;

    return fg_notice_line(fg_runtime()->notices, kind, now, &suppressed)
               ? suppressed_text(suppressed, pool)
               : NULL;
}

/* Whether the line is written, and how many were not since the last one like it. Whoever debugs
 * wants every line. */
static int is_due(const fg_request_t *fr, const fg_verdict_t *verdict, fg_log_kind_t kind,
                  apr_uint64_t *suppressed)
{
    const fg_runtime_t *runtime = fg_runtime();
    apr_time_t now = fr->c.now.steady;

    *suppressed = 0;
    if (verdict->outcome == FG_OUT_ACCEPT || APLOGrdebug(fr->r)) {
        return 1;
    }
    /* A form that closes is worth a line, but one client can close as many as there are scripts. */
    return (kind == FG_LOG_CLOSED &&
            fg_notice_line(runtime->notices, FG_NOTICE_CLOSED, now, NULL)) ||
           fg_throttle_line(runtime->throttle, verdict->reason, &fr->c.client, now, suppressed);
}

/* At the level the lines would have had. */
static void write_summary(const fg_throttle_summary_t *summary)
{
    const fg_reason_row_t *reason = fg_reason(summary->reason);
    int known = *summary->client != '\0';
    int level = summary->reason == FG_INTERNAL ? APLOG_ERR
                : summary->reason == FG_DENY   ? APLOG_WARNING
                                               : APLOG_NOTICE;
    char clients[FG_THROTTLE_CLIENT_MAX];

    apr_snprintf(clients, sizeof(clients), "%" APR_UINT64_T_FMT " clients", summary->clients);
    ap_log_error(APLOG_MARK, level, 0, ap_server_conf,
                 "FG1009: suppressed %" APR_UINT64_T_FMT " lines of %s (%s) of %s%s",
                 summary->suppressed, reason->tag, reason->words, known ? "client " : "",
                 known ? summary->client : clients);
}

void fg_log_summaries(apr_time_t now)
{
    fg_throttle_summary_t summary[FG_THROTTLE_SUMMARIES];
    unsigned int count = fg_throttle_sweep(fg_runtime()->throttle, now, summary);
    unsigned int i;

    for (i = 0; i < count; i++) {
        write_summary(&summary[i]);
    }
}

/* ` ref=K7PX-3WQ9` of what is answered with a refusal. It is told the visitor also where this very
 * line is not written: the first half leads to one of his that was. */
static const char *reference_of(fg_request_t *fr, const fg_verdict_t *verdict, fg_log_kind_t kind)
{
    apr_uint32_t chance = (apr_uint32_t)fr->c.now.wall;

    if (verdict->outcome != FG_OUT_REFUSE || verdict->would ||
        (kind != FG_LOG_DONE && kind != FG_LOG_CLOSED)) {
        return "";
    }
    if (fr->reference == NULL) {
        char *out = apr_palloc(fr->r->pool, FG_REFERENCE_SIZE);

        apr_generate_random_bytes((unsigned char *)&chance, sizeof(chance));
        fr->reference = fg_reference(out, fg_throttle_secret(fg_runtime()->throttle),
                                     verdict->reason, &fr->c.client, chance);
    }
    return apr_pstrcat(fr->r->pool, " ref=", fr->reference, NULL);
}

void fg_logline(fg_request_t *fr, const fg_verdict_t *verdict, fg_log_kind_t kind)
{
    request_rec *r = fr->r;
    const fg_reason_row_t *reason = fg_reason(verdict->reason);
    int accepted = verdict->outcome == FG_OUT_ACCEPT;
    int level = level_of(verdict, kind);
    char form[FG_LOG_VALUE_MAX + 1];
    char site[FG_LOG_VALUE_MAX + 1];
    const char *what;
    const char *retry = "";
    const char *reference;
    apr_uint64_t suppressed;

    if (!is_on(r, level)) {
        return;
    }
    reference = reference_of(fr, verdict, kind);
    if (!is_due(fr, verdict, kind, &suppressed)) {
        return;
    }
    what = accepted                ? "accepted"
           : kind == FG_LOG_WOULD  ? "would refuse"
           : kind == FG_LOG_ONLY   ? "logged only"
           : kind == FG_LOG_CLOSED ? "closes its form, refused"
                                   : "refused";
    if (!accepted) {
        what = apr_pstrcat(r->pool, what, verdict->status >= 100 ? " " : "",
                           verdict->status >= 100 ? apr_itoa(r->pool, verdict->status) : "", ": ",
                           reason->words, NULL);
    }
    if (verdict->retry_after > 0) {
        retry = apr_pstrcat(r->pool,
                            " retry=", apr_off_t_toa(r->pool, (apr_off_t)fg_respond_retry(verdict)),
                            "s", NULL);
    }
    ap_log_rerror(APLOG_MARK, level, 0, r, "%s: %s:%s country=%s form=%s site=%s%s%s%s%s",
                  reason->tag, what, rule_of(verdict, r->pool), country_of(verdict),
                  fg_log_value(form, fr->path), fg_log_value(site, r->server->server_hostname),
                  file_of(fr, verdict), retry, reference, suppressed_text(suppressed, r->pool));
}

static void write_line(void *baton, fg_log_level_t level, apr_status_t rv, const char *text)
{
    static const int levels[] = {APLOG_ERR, APLOG_WARNING, APLOG_NOTICE, APLOG_INFO, APLOG_DEBUG};

    ap_log_error(APLOG_MARK, levels[level], rv, (server_rec *)baton, "%s", text);
}

fg_log_t *fg_core_log(apr_pool_t *pool, server_rec *s)
{
    fg_log_t *log = apr_palloc(pool, sizeof(*log));

    log->write = write_line;
    log->baton = s;
    return log;
}
