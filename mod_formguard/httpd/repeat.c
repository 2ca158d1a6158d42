/* SPDX-License-Identifier: Apache-2.0 */
/* Posts that come a second time: a double click, whose second post makes the browser drop the
 * answer to the first, or the page of thanks loaded again. What the captcha refuses then has
 * arrived, and the visitor is told so. */
#include <string.h>
#include <sys/uio.h>

#include "apr_strings.h"

#include "http_core.h"
#include "http_protocol.h"

#include "module.h"

/* Names the counters of this file, which no rule of a configuration does. */
#define RULE APR_UINT64_C(0x726570656174)

/* As long as a solution of the built-in captcha is remembered. */
static const fg_rate_t once = {1, apr_time_from_sec(1200)};

static void piece(struct iovec *at, const void *bytes, apr_size_t len)
{
    at->iov_base = (void *)bytes;
    at->iov_len = len;
}

/* The same fields, from the same client, to the same URL: of two people in one network each has
 * written his own, be it the same. @return 0 if there are none */
static int key_of(const fg_request_t *fr, fg_counter_key_t *key)
{
    const request_rec *first = fr->r;
    const fg_submission_t *posted = fr->c.captured.submission;
    apr_uint64_t print = posted != NULL ? fg_submission_print(posted) : 0;
    unsigned char who[FG_ADDRESS_KEY_MAX];
    struct iovec pieces[5];
    const char *text;
    apr_size_t len;

    if (fr->c.captured.capture != FG_CAPTURE_WHOLE || print == 0 ||
        fg_runtime()->counters == NULL) {
        return 0;
    }
    while (first->prev != NULL) {
        first = first->prev;
    }
    piece(&pieces[0], &print, sizeof(print));
    piece(&pieces[1], who, fg_address_client_key(&fr->c.client, who));
    text = fr->r->server->server_hostname;
    piece(&pieces[2], text, strlen(text));
    piece(&pieces[3], "\n", 1);
    text = first->unparsed_uri != NULL ? first->unparsed_uri : "";
    piece(&pieces[4], text, strlen(text));
    text = apr_pstrcatv(fr->r->pool, pieces, 5, &len);
    *key =
        fg_counters_key(fg_runtime()->counters, RULE, (unsigned int)pieces[1].iov_len, text, len);
    return 1;
}

void fg_repeat_accepted(fg_request_t *fr)
{
    fg_counter_key_t key;

    /* Only what a captcha was solved for: nobody fills the table without. They are kept with the
     * limits' counters: the table of used tokens is for tokens, which none of these may evict. */
    if (fr->c.verified != NULL && key_of(fr, &key)) {
        fg_counters_consume(fg_runtime()->counters, key, &once, 1, fr->c.now.steady, &fr->arrived);
    }
}

int fg_repeat_known(const fg_request_t *fr)
{
    fg_counter_key_t key;

    return (fr->verdict.reason == FG_CAPTCHA_MISSING || fr->verdict.reason == FG_CAPTCHA_EXPIRED) &&
           key_of(fr, &key) &&
           !fg_counters_peek(fg_runtime()->counters, key, &once, fr->c.now.steady).admitted;
}

/* What the application has answered with an error has not arrived. */
static int log_transaction(request_rec *r)
{
    const request_rec *last = r;
    const request_rec *pass;

    while (last->next != NULL) {
        last = last->next;
    }
    for (pass = last; last->status >= HTTP_BAD_REQUEST && pass != NULL; pass = pass->prev) {
        fg_request_t *fr = ap_get_module_config(pass->request_config, &formguard_module);

        if (fr != NULL) {
            fg_counters_refund(fg_runtime()->counters, &fr->arrived);
            memset(&fr->arrived, 0, sizeof(fr->arrived));
        }
    }
    return DECLINED;
}

void fg_repeat_register(void)
{
    ap_hook_log_transaction(log_transaction, NULL, NULL, APR_HOOK_MIDDLE);
}
