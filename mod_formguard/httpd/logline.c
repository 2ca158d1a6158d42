/* SPDX-License-Identifier: Apache-2.0 */
/* What error_log is told. A line starts with a stable tag and holds no value that was not reduced
 * to harmless characters. */
#include <string.h>

#include "apr_strings.h"

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
    if (verdict->has_count) {
        text = apr_psprintf(pool, "%s count=%u rate=%s", text, verdict->count,
                            fg_rate_text(&rate, pool));
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

    if (!APLOG_R_IS_LEVEL(r, level)) {
        return;
    }
    what = accepted                ? "accepted"
           : kind == FG_LOG_WOULD  ? "would refuse"
           : kind == FG_LOG_ONLY   ? "logged only"
           : kind == FG_LOG_CLOSED ? "closes its form, refused"
                                   : "refused";
    if (!accepted) {
        what = verdict->status >= 100
                   ? apr_psprintf(r->pool, "%s %d: %s", what, verdict->status, reason->words)
                   : apr_psprintf(r->pool, "%s: %s", what, reason->words);
    }
    if (verdict->retry_after > 0) {
        retry = apr_psprintf(r->pool, " retry=%" APR_TIME_T_FMT "s",
                             apr_time_sec(verdict->retry_after + APR_USEC_PER_SEC - 1));
    }
    ap_log_rerror(APLOG_MARK, level, 0, r, "%s: %s:%s country=%s form=%s site=%s%s%s", reason->tag,
                  what, rule_of(verdict, r->pool), country_of(verdict),
                  fg_log_value(form, fr->path), fg_log_value(site, r->server->server_hostname),
                  file_of(fr, verdict), retry);
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
