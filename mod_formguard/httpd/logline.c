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

/* --- a line, put together in place ------------------------------------------------------------ */

typedef struct line {
    apr_pool_t *pool; /* the request's */
    char *at;
    char *end;                 /* there is room for a NUL */
    char text[MAX_STRING_LEN]; /* httpd writes no more */
} line_t;

static void put(line_t *line, const char *text, apr_size_t len)
{
    apr_size_t room = (apr_size_t)(line->end - line->at);

    len = len < room ? len : room;
    memcpy(line->at, text, len);
    line->at += len;
}

#define PUT(line, literal) put(line, literal, sizeof(literal) - 1)

static void say(line_t *line, const char *text)
{
    put(line, text, strlen(text));
}

static void say_number(line_t *line, apr_off_t number)
{
    say(line, apr_off_t_toa(line->pool, number));
}

/* What became of the post. */
static void say_what(line_t *line, const fg_verdict_t *verdict, fg_log_kind_t kind)
{
    if (verdict->outcome == FG_OUT_ACCEPT) {
        PUT(line, "accepted");
        return;
    }
    say(line, kind == FG_LOG_WOULD    ? "would refuse"
              : kind == FG_LOG_ONLY   ? "logged only"
              : kind == FG_LOG_CLOSED ? "closes its form, refused"
                                      : "refused");
    if (verdict->status >= 100) {
        PUT(line, " ");
        say_number(line, verdict->status);
    }
    PUT(line, ": ");
    say(line, fg_reason(verdict->reason)->words);
}

/* ` rule="ip 10/10m" count=10 rate=10/10m`, as far as there is something to say. */
static void say_rule(line_t *line, const fg_verdict_t *verdict)
{
    fg_rate_t rate = {verdict->rate_count, verdict->period};

    if (verdict->rule != NULL) {
        PUT(line, " rule=\"");
        say(line, verdict->rule);
        PUT(line, "\"");
    }
    if (verdict->challenged_by != NULL) {
        PUT(line, " challenged-by=\"");
        say(line, verdict->challenged_by);
        PUT(line, "\"");
    }
    if (verdict->has_count) {
        PUT(line, " count=");
        say_number(line, (apr_off_t)verdict->count);
        PUT(line, " rate=");
        say(line, fg_rate_text(&rate, line->pool));
    }
    if (verdict->has_score) {
        say(line, apr_psprintf(line->pool, " score=%.2f", verdict->score));
    }
    if (verdict->detail != NULL) {
        PUT(line, " ");
        say(line, verdict->detail);
    }
}

/* ` file=/srv/www/uploads/x.php`: where nobody should post lies something to be looked at. */
static void say_file(line_t *line, const fg_request_t *fr, const fg_verdict_t *verdict)
{
    const char *script;
    char file[FG_LOG_PATH_MAX + 1];

    if (verdict->reason != FG_DENY) {
        return;
    }
    script = strchr(fr->c.form, '\n');
    /* Where there is no file: the one somebody has looked for, or put there and taken away. */
    script = script != NULL && script[1] == '/' ? script + 1 : fr->r->filename;
    PUT(line, " file=");
    say(line, fg_log_path(file, script));
}

/* Who has posted where, reduced to harmless characters. */
static void say_where(line_t *line, const fg_request_t *fr, const fg_verdict_t *verdict)
{
    char value[FG_LOG_VALUE_MAX + 1];

    PUT(line, " country=");
    say(line, country_of(verdict));
    PUT(line, " form=");
    say(line, fg_log_value(value, fr->path));
    PUT(line, " site=");
    say(line, fg_log_value(value, fr->r->server->server_hostname));
}

/* --- whether it is written -------------------------------------------------------------------- */

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

/* K7PX-3WQ9 of what is answered with a refusal. It is told the visitor also where this very
 * line is not written: the first half leads to one of his that was. */
static const char *reference_of(fg_request_t *fr, const fg_verdict_t *verdict, fg_log_kind_t kind)
{
    apr_uint32_t chance = (apr_uint32_t)fr->c.now.wall;

    if (verdict->outcome != FG_OUT_REFUSE || verdict->would ||
        (kind != FG_LOG_DONE && kind != FG_LOG_CLOSED)) {
        return NULL;
    }
    if (fr->reference == NULL) {
        char *out = apr_palloc(fr->r->pool, FG_REFERENCE_SIZE);

        apr_generate_random_bytes((unsigned char *)&chance, sizeof(chance));
        fr->reference = fg_reference(out, fg_throttle_secret(fg_runtime()->throttle),
                                     verdict->reason, &fr->c.client, chance);
    }
    return fr->reference;
}

/* Apart, for most posts leave no line, and this takes 8 KB of the stack. */
FG_APART static void write_verdict(fg_request_t *fr, const fg_verdict_t *verdict,
                                   fg_log_kind_t kind, const char *reference,
                                   apr_uint64_t suppressed)
{
    line_t line;

    line.pool = fr->r->pool;
    line.at = line.text;
    line.end = line.text + sizeof(line.text) - 1;
    say(&line, fg_reason(verdict->reason)->tag);
    PUT(&line, ": ");
    say_what(&line, verdict, kind);
    PUT(&line, ":");
    say_rule(&line, verdict);
    say_where(&line, fr, verdict);
    say_file(&line, fr, verdict);
    if (verdict->retry_after > 0) {
        PUT(&line, " retry=");
        say_number(&line, (apr_off_t)fg_respond_retry(verdict));
        PUT(&line, "s");
    }
    if (reference != NULL) {
        PUT(&line, " ref=");
        say(&line, reference);
    }
    say(&line, suppressed_text(suppressed, line.pool));
    *line.at = '\0';
    ap_log_rerror(APLOG_MARK, level_of(verdict, kind), 0, fr->r, "%s", line.text);
}

void fg_logline(fg_request_t *fr, const fg_verdict_t *verdict, fg_log_kind_t kind)
{
    const char *reference;
    apr_uint64_t suppressed;

    if (!is_on(fr->r, level_of(verdict, kind))) {
        return;
    }
    reference = reference_of(fr, verdict, kind);
    if (is_due(fr, verdict, kind, &suppressed)) {
        write_verdict(fr, verdict, kind, reference, suppressed);
    }
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
