/* SPDX-License-Identifier: Apache-2.0 */
/* The status page: who may ask how, what is gathered, and the lines in mod_status. */
#include <string.h>

#include "apr_hooks.h"
#include "apr_optional_hooks.h"
#include "apr_strings.h"

#include "http_protocol.h"
#include "http_request.h"
#include "mod_status.h"

#include "status.h"

APLOG_USE_MODULE(formguard);

const char *fg_status_version(void)
{
    return FG_VERSION;
}

const char *fg_status_table_name(fg_stats_table_t table)
{
    static const char *const names[FG_STATS_TABLES] = {"forms", "clients", "unguarded"};

    return names[table];
}

/* --- texts ------------------------------------------------------------------------------------ */

/* The code point of a UTF-8 sequence (RFC 3629) and its length; 0 if there is none. */
static unsigned int sequence(const unsigned char *p, apr_uint32_t *code)
{
    unsigned int len = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    unsigned int i;

    if (len == 0 || *p > 0xf4) {
        return 0;
    }
    *code = len == 1 ? *p : *p & (0x7fu >> len);
    for (i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0; /* the NUL at the end, too */
        }
        *code = *code << 6 | (p[i] & 0x3f);
    }
    if ((len == 3 && *code < 0x800) || (len == 4 && (*code < 0x10000 || *code > 0x10ffff)) ||
        (*code >= 0xd800 && *code <= 0xdfff)) {
        return 0;
    }
    return len;
}

/* What is seen as it is: no controls, nothing invisible, nothing that turns the text around it. */
static int printable(apr_uint32_t code)
{
    return code >= 0x20 && code != '%' && !(code >= 0x7f && code <= 0xa0) && code != 0xad &&
           code != 0x61c && !(code >= 0x200b && code <= 0x200f) &&
           !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2060 && code <= 0x206f) &&
           code != 0xfeff && !(code >= 0xfff0 && code <= 0xfffb) && (code & 0xfffe) != 0xfffe &&
           !(code >= 0xe0000 && code <= 0xe0fff);
}

const char *fg_status_name(apr_pool_t *pool, const char *name)
{
    const unsigned char *p = (const unsigned char *)name;
    char *out = apr_palloc(pool, strlen(name) * 3 + 1);
    char *q = out;

    while (*p != '\0') {
        apr_uint32_t code = 0;
        unsigned int len = sequence(p, &code);
        int as_it_is = len > 0 && printable(code);

        for (len = len > 0 ? len : 1; len > 0; len--, p++) {
            if (as_it_is) {
                *q++ = (char)*p;
            }
            else {
                *q++ = '%';
                *q++ = "0123456789ABCDEF"[*p >> 4];
                *q++ = "0123456789ABCDEF"[*p & 15];
            }
        }
    }
    *q = '\0';
    return out;
}

const char *fg_status_seconds(apr_pool_t *pool, apr_int64_t microseconds)
{
    char *text = apr_psprintf(pool, "%" APR_INT64_T_FMT ".%06d", microseconds / 1000000,
                              (int)(microseconds % 1000000));
    char *end = text + strlen(text);

    while (end[-1] == '0') {
        *--end = '\0';
    }
    if (end[-1] == '.') {
        *--end = '\0';
    }
    return text;
}

const char *fg_status_date(apr_pool_t *pool, apr_time_t wall)
{
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, wall);
    return apr_psprintf(pool, "%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900, t.tm_mon + 1,
                        t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}

/* --- gathering -------------------------------------------------------------------------------- */

static void add_up(const fg_stats_snapshot_t *stats, fg_status_totals_t *totals)
{
    int i;

    memset(totals, 0, sizeof(*totals));
    for (i = 0; i < FG_REASON_COUNT; i++) {
        totals->logged += stats->verdict[i][FG_STATS_LOGGED];
        totals->would += stats->verdict[i][FG_STATS_WOULD];
        if (i == FG_ACCEPTED) {
            totals->accepted += stats->verdict[i][FG_STATS_DONE];
        }
        else if (i != FG_NOT_SUBMISSION) {
            totals->refused += stats->verdict[i][FG_STATS_DONE];
        }
    }
}

static int by_time_left(const void *a, const void *b)
{
    const fg_closure_t *x = a, *y = b;

    return x->until != y->until ? (x->until > y->until ? -1 : 1) : strcmp(x->label, y->label);
}

/* Their labels are for people: those of two forms may be the same. */
static const apr_array_header_t *closed_forms(apr_time_t now, apr_pool_t *pool)
{
    apr_array_header_t *all = fg_closures_list(fg_runtime()->closures, now, pool);
    apr_array_header_t *once = apr_array_make(pool, all->nelts + 1, sizeof(fg_closure_t));
    int i, k;

    qsort(all->elts, (size_t)all->nelts, sizeof(fg_closure_t), by_time_left);
    for (i = 0; i < all->nelts; i++) {
        const fg_closure_t *closure = &APR_ARRAY_IDX(all, i, fg_closure_t);

        for (k = 0; k < once->nelts; k++) {
            if (strcmp(APR_ARRAY_IDX(once, k, fg_closure_t).label, closure->label) == 0) {
                break;
            }
        }
        if (k == once->nelts) {
            APR_ARRAY_PUSH(once, fg_closure_t) = *closure;
        }
    }
    return once;
}

static void gather(fg_status_t *status, apr_pool_t *pool)
{
    const fg_runtime_t *runtime = fg_runtime();

    memset(status, 0, sizeof(*status));
    status->now = fg_facts_now();
    status->stats = fg_stats_snapshot(runtime->stats, pool);
    add_up(status->stats, &status->totals);
    fg_counters_stats(runtime->counters, status->now.steady, &status->counters);
    fg_counters_stats(runtime->spent, status->now.steady, &status->spent);
    fg_throttle_stats(runtime->throttle, &status->lines);
    fg_dnsbl_cache_stats(runtime->dnsbl_cache, status->now.steady, &status->dnsbl);
    status->closed = closed_forms(status->now.steady, pool);
    status->has_country = runtime->countries != NULL;
    if (status->has_country) {
        fg_country_info(runtime->countries, &status->country, pool);
    }
    status->slots = fg_slots_count(runtime->slots);
    status->slots_taken = fg_slots_taken(runtime->slots, status->now.steady);
    fg_status_count_hosts(status, pool);
}

/* --- the handler ------------------------------------------------------------------------------ */

typedef struct form {
    const char *args;
    const char *type;
    void (*write)(request_rec *r, const fg_status_t *status);
} form_t;

static const form_t *form_of(const request_rec *r)
{
    static const form_t forms[] = {
        {"json", "application/json", fg_status_json},
        {"prometheus", "text/plain; version=0.0.4; charset=utf-8", fg_status_prometheus},
        {"", "text/html; charset=utf-8", fg_status_html}};
    const char *args = r->args != NULL ? r->args : "";
    const form_t *form = forms;

    while (*form->args != '\0' && strcmp(form->args, args) != 0) {
        form++;
    }
    return form;
}

/* Once a site: a customer's file must not keep the provider from being told of his own mistake. */
static void say_hidden(request_rec *r, const char *htaccess)
{
    char dir[FG_LOG_PATH_MAX + 1];

    if (fg_say_once_of(apr_pstrcat(r->pool, "status page ", fg_facts_site(r), NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "FG2009: the status page is not shown where a .htaccess is in force: dir=%s: "
                      "set its handler in a <Location> of a virtual host whose DocumentRoot has "
                      "none, or where AllowOverride is None",
                      fg_log_path(dir, htaccess));
    }
}

FG_APART static int serve(request_rec *r)
{
    const char *htaccess = fg_status_htaccess(r);
    const form_t *form;
    fg_status_t status;

    if (htaccess != NULL) {
        say_hidden(r, htaccess);
        return HTTP_FORBIDDEN;
    }
    ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
    if (fg_status_opens(r)) {
        ap_allow_standard_methods(r, MERGE_ALLOW, M_POST, -1);
        if (r->method_number == M_POST) {
            return fg_status_open(r);
        }
    }
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    form = form_of(r);
    ap_set_content_type(r, form->type);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    /* Not no-referrer: browsers would send `Origin: null` with the button that opens a form. */
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                   "form-action 'self'; frame-ancestors 'none'");
    if (r->header_only) {
        return OK;
    }
    gather(&status, r->pool);
    status.opens = fg_status_opens(r);
    form->write(r, &status);
    return OK;
}

int fg_status_handler(request_rec *r)
{
    return fg_status_asked(r) ? serve(r) : DECLINED;
}

/* --- mod_status ------------------------------------------------------------------------------- */

static int status_lines(request_rec *r, int flags)
{
    const fg_runtime_t *runtime = fg_runtime();
    int brief = flags & AP_STATUS_SHORT;
    const fg_stats_snapshot_t *stats;
    fg_status_totals_t totals;
    apr_time_t now = fg_facts_now().steady;

    if (runtime->stats == NULL) {
        return DECLINED;
    }
    stats = fg_stats_snapshot(runtime->stats, r->pool);
    add_up(stats, &totals);
    ap_rprintf(r,
               brief ? "FormGuardAccepted: %" APR_UINT64_T_FMT "\nFormGuardRefused: %" //
                   APR_UINT64_T_FMT "\nFormGuardWouldRefuse: %" APR_UINT64_T_FMT
                       "\nFormGuardLogged: %" APR_UINT64_T_FMT
                       "\nFormGuardUnguarded: %" APR_UINT64_T_FMT "\nFormGuardClosedForms: %d"
                       "\nFormGuardSlotsTaken: %u\nFormGuardSlots: %u\n"
                     : "<hr />\n<h2>mod_formguard</h2>\n<dl>"
                       "<dt>Posts accepted: %" APR_UINT64_T_FMT "</dt>\n"
                       "<dt>Posts refused: %" APR_UINT64_T_FMT "</dt>\n"
                       "<dt>Posts that would have been refused: %" APR_UINT64_T_FMT "</dt>\n"
                       "<dt>Rules that only logged: %" APR_UINT64_T_FMT "</dt>\n"
                       "<dt>Posts that nothing guards: %" APR_UINT64_T_FMT "</dt>\n"
                       "<dt>Forms closed now: %d</dt>\n"
                       "<dt>Captcha slots taken: %u of %u</dt></dl>\n",
               totals.accepted, totals.refused, totals.would, totals.logged,
               stats->top[FG_STATS_UNGUARDED].posts, closed_forms(now, r->pool)->nelts,
               fg_slots_taken(runtime->slots, now), fg_slots_count(runtime->slots));
    return OK;
}

void fg_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, status_lines, NULL, NULL, APR_HOOK_MIDDLE);
}
