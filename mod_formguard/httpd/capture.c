/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a request's body once: kept for replay (core/spool.h), its fields picked out on the way. */
#include "apr_strings.h"

#include "http_protocol.h"

#include "core/spool.h"
#include "module.h"

APLOG_USE_MODULE(formguard);

#define MEMORY_MAX  (256 * 1024)
#define READ_SIZE   (64 * 1024)
#define READ_PACKED 8192 /* mod_deflate unpacks all of a read before it hands it on */

typedef struct capture {
    fg_request_t *fr;
    request_rec *r;
    fg_captured_t *out;
    fg_body_t *reader;       /* NULL: this content type has no fields */
    fg_body_status_t fields; /* what the reader says so far */
    fg_spool_t *spool;       /* fills fr->body.kept */
    apr_off_t total;         /* bytes read */
    apr_off_t limit;         /* bytes that may be read */
    apr_off_t announced;     /* bytes the client announces, or -1 */
    fg_body_type_t type;     /* of the body under way */
    int eos;
} capture_t;

static void fail(capture_t *cap, apr_status_t rv, const char *what)
{
    const char *more = fg_log_notice(FG_NOTICE_FAULT, cap->fr->c.now.steady, cap->r->pool);

    if (more != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, cap->r, "FG1900: %s%s", what, more);
    }
    cap->out->capture = FG_CAPTURE_FAILED;
    cap->out->detail = "no-temporary-file";
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_fields(capture_t *cap, const char *data, apr_size_t len)
{
    if (cap->reader != NULL && cap->fields == FG_BODY_OK) {
        cap->fields = fg_body_feed(cap->reader, data, len);
    }
}

/* Take over one brigade of the network. @return 1 to go on reading */
static int take(capture_t *cap, apr_bucket_brigade *bb)
{
    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);
        const char *data;
        apr_size_t len;
        apr_status_t rv;

        if (APR_BUCKET_IS_METADATA(b)) {
            cap->eos = cap->eos || APR_BUCKET_IS_EOS(b);
            apr_bucket_delete(b);
            continue;
        }
        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (rv != APR_SUCCESS) {
            cap->out->capture = FG_CAPTURE_ANSWERED;
            cap->out->status = HTTP_BAD_REQUEST;
            return 0;
        }
        cap->total += (apr_off_t)len;
        read_fields(cap, data, len);
        rv = fg_spool_take(cap->spool, b, data, len);
        if (rv != APR_SUCCESS) {
            APR_BRIGADE_CONCAT(cap->fr->body.kept, bb);
            fail(cap, rv, "a body larger than 256 KiB can't be kept in a temporary file");
            return 0;
        }
    }
    if (cap->total > cap->limit && !cap->eos) {
        cap->out->capture = FG_CAPTURE_OVER;
        return 0;
    }
    return !cap->eos;
}

/* Have the reader look for what the application is not to see. */
static void find_cuts(capture_t *cap)
{
    fg_captured_body_t *body = &cap->fr->body;

    body->strip_for = fg_decide_strips(&cap->fr->c, NULL);
    if (body->strip_for != NULL) {
        body->strip = fg_strip_create(cap->type == FG_BODY_JSON, cap->r->pool);
        fg_decide_strips(&cap->fr->c, body->strip);
        fg_body_on_cut(cap->reader, fg_strip_field, body->strip);
    }
}

static void read_all(capture_t *cap)
{
    request_rec *r = cap->r;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_off_t size =
        apr_table_get(r->headers_in, "Content-Encoding") != NULL ? READ_PACKED : READ_SIZE;
    apr_status_t rv;

    cap->fr->body.started = 1;
    cap->spool = fg_spool_create(cap->fr->body.kept, fg_runtime()->temp_dir, MEMORY_MAX, r->pool);
    do {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, size);
        if (rv != APR_SUCCESS) {
            /* AP_FILTER_ERROR: the filter has answered already (413 of LimitRequestBody, 400). */
            cap->out->capture = FG_CAPTURE_ANSWERED;
            cap->out->status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
            return;
        }
    } while (take(cap, bb));
    fg_spool_finish(cap->spool);
    apr_brigade_destroy(bb);
}

static const char *fields_detail(fg_body_status_t status, fg_body_type_t type)
{
    switch (status) {
    case FG_BODY_TOO_MANY:
        return "too-many-fields";
    case FG_BODY_NAME_TOO_LONG:
        return "name-too-long";
    case FG_BODY_TOO_DEEP:
        return "nested-too-deep";
    default:
        return type == FG_BODY_MULTIPART ? "grammar=multipart"
               : type == FG_BODY_JSON    ? "grammar=json"
                                         : "grammar=urlencoded";
    }
}

static void say_length(const capture_t *cap)
{
    request_rec *r = cap->r;
    int chunked = apr_table_get(r->headers_in, "Transfer-Encoding") != NULL;

    if ((cap->total == cap->announced && !chunked) ||
        (cap->total == 0 && !chunked && apr_table_get(r->headers_in, "Content-Length") == NULL)) {
        return; /* as it is */
    }
    /* Also what makes a chunked post arrive at php-fpm, which stock httpd sends on empty. */
    apr_table_unset(r->headers_in, "Transfer-Encoding");
    apr_table_setn(r->headers_in, "Content-Length", apr_off_t_toa(r->pool, cap->total));
}

/* The whole body is here: say its true length, judge its grammar. */
static void finish_whole(capture_t *cap)
{
    request_rec *r = cap->r;

    cap->fr->body.whole = 1;
    cap->out->size = cap->total;
    APR_BRIGADE_INSERT_TAIL(cap->fr->body.kept, apr_bucket_eos_create(r->connection->bucket_alloc));
    say_length(cap);
    if (cap->out->capture != FG_CAPTURE_WHOLE) {
        return; /* FG_CAPTURE_UNSEALED */
    }
    if (cap->total > cap->limit) {
        cap->out->capture = FG_CAPTURE_OVER;
        return;
    }
    if (cap->reader != NULL && cap->fields == FG_BODY_OK) {
        cap->fields = fg_body_finish(cap->reader);
    }
    if (cap->fields == FG_BODY_MALFORMED) {
        cap->out->capture = FG_CAPTURE_MALFORMED;
    }
    else if (cap->fields != FG_BODY_OK) {
        cap->out->capture = FG_CAPTURE_CAPS;
    }
    if (cap->fields != FG_BODY_OK) {
        cap->out->detail = fields_detail(cap->fields, cap->type);
    }
}

/* The length the client announces, or -1. Only to refuse early; what counts is what comes. */
static apr_off_t announced_length(request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t length;

    if (text == NULL || !ap_parse_strict_length(&length, text)) {
        return -1;
    }
    return length;
}

/* By all of its fields a post is known that comes again (repeat.c), where it had a captcha. */
static int has_captcha(const fg_case_t *c)
{
    return fg_policy_captcha(c->layer[0].policy) != NULL ||
           (c->layers == 2 && fg_policy_captcha(c->layer[1].policy) != NULL);
}

static void start_fields(capture_t *cap)
{
    request_rec *r = cap->r;
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    fg_submission_t *submission = fg_submission_create(r->pool);

    cap->out->submission = submission;
    fg_decide_wants(&cap->fr->c, submission);
    fg_submission_query(submission, r->args);
    cap->reader = NULL;
    cap->fields = FG_BODY_OK;
    cap->type = fg_body_type(type);
    if (cap->type != FG_BODY_NONE) {
        fg_submission_json(submission, cap->type == FG_BODY_JSON);
        cap->fields = fg_body_create(&cap->reader, type, &fg_body_default_caps, fg_submission_field,
                                     submission, r->pool);
        if (!has_captcha(&cap->fr->c)) {
            fg_body_on_name(cap->reader, fg_submission_asks);
        }
        find_cuts(cap);
    }
}

/* What comes back from the challenge page is from here on what was posted at first. */
static void unpack(capture_t *cap)
{
    fg_captured_body_t *body = &cap->fr->body;
    const char *data;
    apr_size_t len;

    if (fg_challenge_open(cap->fr, cap->out, &data, &len)) {
        apr_brigade_cleanup(body->kept);
        APR_BRIGADE_INSERT_TAIL(
            body->kept, apr_bucket_pool_create(data, len, cap->r->pool, body->kept->bucket_alloc));
        cap->total = (apr_off_t)len;
        start_fields(cap);
        read_fields(cap, data, len);
    }
}

void fg_capture(fg_request_t *fr, fg_captured_t *captured)
{
    request_rec *r = fr->r;
    capture_t cap = {.fr = fr, .r = r, .out = captured};

    captured->capture = FG_CAPTURE_WHOLE;
    captured->shown = fg_challenge_shown(r);
    start_fields(&cap);
    fr->body.kept = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    cap.limit = fg_decide_body_limit(&fr->c);
    cap.announced = announced_length(r);
    if (cap.announced > cap.limit) {
        captured->capture = FG_CAPTURE_OVER;
        return;
    }
    read_all(&cap);
    if (cap.eos && captured->capture == FG_CAPTURE_WHOLE) {
        unpack(&cap);
        finish_whole(&cap);
    }
}
