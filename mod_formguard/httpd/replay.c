/* SPDX-License-Identifier: Apache-2.0 */
/* The input filter that hands a captured body on, byte for byte, in every mode handlers use; and
 * what is left out of the body before. */
#include "apr_strings.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

#define FILTER_NAME "FORMGUARD_REPLAY"

static ap_filter_rec_t *replay_handle;

/* Move what lies before `end` to the caller's brigade. */
static void move_front(apr_bucket_brigade *from, apr_bucket *end, apr_bucket_brigade *to)
{
    while (APR_BRIGADE_FIRST(from) != end) {
        apr_bucket *b = APR_BRIGADE_FIRST(from);

        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(to, b);
    }
}

static apr_status_t copy_front(apr_bucket_brigade *from, apr_bucket *end, apr_bucket_brigade *to)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(from); b != end; b = APR_BUCKET_NEXT(b)) {
        apr_bucket *copy;
        apr_status_t rv = apr_bucket_copy(b, &copy);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        APR_BRIGADE_INSERT_TAIL(to, copy);
    }
    return APR_SUCCESS;
}

/* Pieces of a file's bucket would be mapped one by one: the whole of it is, and no answer goes
 * beyond its end, or what is left of the next one would start where nothing can be mapped.
 * @param wanted bytes to answer with; made less */
static apr_status_t map_front(apr_bucket_brigade *kept, apr_off_t *wanted)
{
    apr_bucket *b = APR_BRIGADE_FIRST(kept);
    apr_bucket *next;

    if (APR_BUCKET_IS_FILE(b)) {
        const char *data;
        apr_size_t len;
        apr_status_t rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    next = APR_BUCKET_NEXT(b);
    if (next != APR_BRIGADE_SENTINEL(kept) && APR_BUCKET_IS_FILE(next) && b->length > 0 &&
        (apr_off_t)b->length < *wanted) {
        *wanted = (apr_off_t)b->length;
    }
    return APR_SUCCESS;
}

static apr_status_t replay_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                  apr_read_type_e block, apr_off_t readbytes)
{
    fg_captured_body_t *body = f->ctx;
    apr_bucket *end;
    apr_status_t rv;

    if (APR_BRIGADE_EMPTY(body->kept)) {
        if (!body->whole) { /* the rest is still in the network */
            return ap_get_brigade(f->next, bb, mode, block, readbytes);
        }
        if (mode != AP_MODE_INIT) { /* a body has ended once and stays so */
            APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(f->c->bucket_alloc));
        }
        return APR_SUCCESS;
    }
    switch (mode) {
    case AP_MODE_INIT:
    case AP_MODE_EATCRLF:
        return APR_SUCCESS;
    case AP_MODE_GETLINE:
        return apr_brigade_split_line(bb, body->kept, block, HUGE_STRING_LEN);
    case AP_MODE_EXHAUSTIVE:
        APR_BRIGADE_CONCAT(bb, body->kept);
        return APR_SUCCESS;
    case AP_MODE_READBYTES:
    case AP_MODE_SPECULATIVE:
        rv = map_front(body->kept, &readbytes);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        rv = apr_brigade_partition(body->kept, readbytes, &end);
        if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
            return rv;
        }
        if (mode == AP_MODE_SPECULATIVE) {
            return copy_front(body->kept, end, bb);
        }
        move_front(body->kept, end, bb);
        return APR_SUCCESS;
    }
    return APR_ENOTIMPL;
}

/* --- without the captcha's field -------------------------------------------------------------- */

/* Where each cut starts and ends, as buckets: the last one first, since a split leaves the buckets
 * behind it as they were. Splitting a file's bucket reads nothing. */
static apr_status_t split_at(apr_bucket_brigade *kept, const fg_cut_t *cuts, int count,
                             apr_bucket **from, apr_bucket **to)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = count - 1; i >= 0 && rv == APR_SUCCESS; i--) {
        rv = apr_brigade_partition(kept, cuts[i].to, &to[i]);
        if (rv == APR_SUCCESS) {
            rv = apr_brigade_partition(kept, cuts[i].from, &from[i]);
        }
    }
    return rv;
}

void fg_strip(fg_request_t *fr)
{
    request_rec *r = fr->r;
    apr_bucket *from[FG_CUTS_MAX];
    apr_bucket *to[FG_CUTS_MAX];
    apr_off_t left = fr->c.captured.size;
    const fg_cut_t *cuts;
    apr_status_t rv;
    int count;
    int i;

    if (fr->body.strip_for == NULL || fr->c.captured.capture != FG_CAPTURE_WHOLE ||
        fg_decide_strips(&fr->c, NULL) != fr->body.strip_for) {
        return;
    }
    cuts = fg_strip_cuts(fr->body.strip, &count);
    if (count == 0 || !fg_decide_strip_holds(&fr->c, fr->body.strip_for)) {
        return;
    }
    rv = split_at(fr->body.kept, cuts, count, from, to);
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r,
                      "FG1900: the captcha's field can't be taken out of the body");
        return;
    }
    for (i = 0; i < count; i++) {
        while (from[i] != to[i]) {
            apr_bucket *next = APR_BUCKET_NEXT(from[i]);

            apr_bucket_delete(from[i]);
            from[i] = next;
        }
        left -= cuts[i].to - cuts[i].from;
    }
    apr_table_setn(r->headers_in, "Content-Length", apr_off_t_toa(r->pool, left));
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  "FG0001: body without the captcha's field: %" APR_OFF_T_FMT " bytes", left);
}

/* --- the filter ------------------------------------------------------------------------------- */

void fg_replay_register(void)
{
    /* Nearest to the handler, so that what other input filters made of the body (DEFLATE) is
     * what is judged and what is handed on, and none of them sees it twice. */
    replay_handle =
        ap_register_input_filter(FILTER_NAME, replay_filter, NULL, AP_FTYPE_RESOURCE - 1);
}

void fg_replay_insert(request_rec *r, fg_captured_body_t *body)
{
    if (body->started) {
        ap_add_input_filter_handle(replay_handle, body, r, r->connection);
    }
}

void fg_replay_insert_empty(request_rec *r)
{
    fg_captured_body_t *none = apr_pcalloc(r->pool, sizeof(*none));

    none->kept = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    none->whole = 1;
    none->started = 1;
    apr_table_unset(r->headers_in, "Content-Length");
    apr_table_unset(r->headers_in, "Transfer-Encoding");
    fg_replay_insert(r, none);
}
