/* SPDX-License-Identifier: Apache-2.0 */
/* Which answers are pages that FormGuardInject looks at, and what of their headers it changes. */
#include <string.h>

#include "apr_strings.h"

#include "http_request.h"

#include "core/html_forms.h"
#include "inject.h"
#include "module.h"

static int is_type(const char *type, const char *wanted)
{
    apr_size_t len = strlen(wanted);

    return type != NULL && strncasecmp(type, wanted, len) == 0 &&
           (type[len] == '\0' || strchr("; \t", type[len]) != NULL);
}

static const char *header_out(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_out, name);

    return value != NULL || apr_is_empty_table(r->err_headers_out)
               ? value
               : apr_table_get(r->err_headers_out, name);
}

static int is_encoded(const request_rec *r)
{
    const char *encoding = header_out(r, "Content-Encoding");

    encoding = encoding != NULL ? encoding : r->content_encoding;
    return encoding != NULL && strcasecmp(encoding, "identity") != 0;
}

static int charset_known(const request_rec *r)
{
    const char *charset = ap_strcasestr(r->content_type, "charset=");

    return charset == NULL || fg_html_charset_known(charset + 8, strlen(charset + 8));
}

/* A refusal of ours, which holds the widget where one is due; an ErrorDocument in its place is a
 * request of its own. */
static int is_refusal(request_rec *r)
{
    const fg_request_t *fr = ap_get_module_config(r->request_config, &formguard_module);

    return fr != NULL && fr->judged && fr->verdict.outcome == FG_OUT_REFUSE && !fr->verdict.would;
}

int fg_inject_is_page(request_rec *r)
{
    const char *disposition;

    if (is_refusal(r) || !is_type(r->content_type, "text/html") || !charset_known(r) ||
        r->status == HTTP_PARTIAL_CONTENT || header_out(r, "Content-Range") != NULL ||
        AP_STATUS_IS_HEADER_ONLY(r->status)) {
        return 0;
    }
    disposition = header_out(r, "Content-Disposition");
    if (disposition != NULL && strncasecmp(disposition, "attachment", 10) == 0) {
        return 0; /* to be saved, not shown */
    }
    if (is_encoded(r)) {
        fg_inject_say(r, NULL, "the page is compressed before it can be read");
        return 0;
    }
    return 1;
}

int fg_inject_may_be_page(const request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    if (is_type(r->content_type, "text/html")) {
        return 1;
    }
    if (r->content_type != NULL && r->handler == NULL &&
        strncmp(r->content_type, "application/x-httpd-", 20) != 0) {
        return 0;
    }
    return accept != NULL && ap_strcasestr(accept, "text/html") != NULL;
}

void fg_inject_unset_headers(request_rec *r)
{
    static const char *const names[] = {"Content-Length", "ETag",       "Last-Modified",
                                        "Accept-Ranges",  "Digest",     "Content-MD5",
                                        "Content-Digest", "Repr-Digest"};
    const int has_errors = !apr_is_empty_table(r->err_headers_out);
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        apr_table_unset(r->headers_out, names[i]);
        if (has_errors) {
            apr_table_unset(r->err_headers_out, names[i]);
        }
    }
    apr_table_unset(r->headers_in, "Range");
}

static int is_in_place(const request_rec *r)
{
    const ap_filter_t *f = r->output_filters;

    while (f != NULL && strcasecmp(f->frec->name, FG_INJECT_FILTER) != 0) {
        f = f->next;
    }
    return f != NULL;
}

/* What mod_deflate does here goes by the visitor's own lines. */
int fg_inject_ask_uncompressed(request_rec *r)
{
    if (is_in_place(r) && fg_inject_may_be_page(r)) {
        apr_table_unset(r->headers_in, "Accept-Encoding");
    }
    return OK;
}
