/* SPDX-License-Identifier: Apache-2.0 */
#include "http_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <apr_cstr.h>
#include <apr_errno.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include <curl/curl.h>

/* Bytes of reply headers taken: libcurl keeps them all, for as long as a server sends some. */
#define HEADERS_MAX 32768

/* Longest error text, and the first size of a reply's buffer. */
#define ERROR_MAX   200
#define REPLY_FIRST 2048

/* Seconds without use after which a connection is not used again. Services close theirs after a
 * minute or more; a question that meets that on its way is lost, see on_read(). */
#define IDLE_MAX 30

#define USEC 1000000

/* Easy handles and the threads that use them.
 * This is not an apr_reslist: destroying that while a handle is out is an assertion, and httpd
 * destroys a child's pool while its workers still wait for a vendor (SIGTERM). Here the last user
 * of a closed pool frees it, so it lives on the heap, and its lock is the system's. */
typedef struct curl_client {
    fg_http_client_t base; /* first: callers hold a pointer to it */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    int max;   /* handles at the most */
    int total; /* handles there are */
    int users; /* threads that hold a handle or wait for one */
    int nidle;
    int closed;
    CURL *idle[]; /* a stack: the one used last has the warmest connection */
} curl_client_t;

/* A question as it goes out, and a reply as it comes in. */
typedef struct transfer {
    apr_pool_t *pool;
    const char *rest; /* of the body, not sent yet */
    apr_size_t left;
    char *buf;
    apr_size_t size;
    apr_size_t len;
    apr_size_t max;
    apr_size_t headers;
    int too_large;
} transfer_t;

/* Core is given its time by the caller, except here: this is where time is spent. */
static apr_interval_time_t steady_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (apr_interval_time_t)ts.tv_sec * USEC + ts.tv_nsec / 1000;
}

static void client_free(curl_client_t *client)
{
    pthread_cond_destroy(&client->freed);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

/* Leave the client, which is locked; the last one out of a closed one frees it. */
static void client_leave(curl_client_t *client)
{
    int last = !--client->users && client->closed;

    pthread_mutex_unlock(&client->lock);
    if (last) {
        client_free(client);
    }
}

/* A handle, at the latest by `deadline`; NULL with *timed_out, or out of memory. */
static CURL *handle_take(curl_client_t *client, apr_interval_time_t deadline, int *timed_out)
{
    struct timespec until = {.tv_sec = deadline / USEC, .tv_nsec = deadline % USEC * 1000};
    CURL *easy = NULL;
    int rv = 0;

    pthread_mutex_lock(&client->lock);
    client->users++;
    while (!client->nidle && client->total >= client->max && !client->closed && !rv) {
        rv = pthread_cond_timedwait(&client->freed, &client->lock, &until);
    }
    if (client->nidle) {
        easy = client->idle[--client->nidle];
    }
    else if (client->total < client->max && !client->closed) {
        easy = curl_easy_init();
        client->total += easy != NULL;
    }
    *timed_out = !easy && rv;
    if (easy) {
        pthread_mutex_unlock(&client->lock);
    }
    else {
        client_leave(client);
    }
    return easy;
}

/* Give a handle back, or, instead of a spoilt one, leave to make another. */
static void handle_return(curl_client_t *client, CURL *easy, int spoilt)
{
    if (spoilt) {
        curl_easy_cleanup(easy);
    }
    else {
        curl_easy_reset(easy); /* lets go of everything that points into the request */
    }
    pthread_mutex_lock(&client->lock);
    if (spoilt) {
        client->total--;
        pthread_cond_signal(&client->freed);
    }
    else if (client->closed) {
        curl_easy_cleanup(easy);
    }
    else {
        client->idle[client->nidle++] = easy;
        pthread_cond_signal(&client->freed);
    }
    client_leave(client);
}

static apr_status_t client_close(void *data)
{
    curl_client_t *client = data;

    pthread_mutex_lock(&client->lock);
    client->closed = 1;
    while (client->nidle) {
        curl_easy_cleanup(client->idle[--client->nidle]);
    }
    pthread_cond_broadcast(&client->freed);
    client_leave(client);
    return APR_SUCCESS;
}

/* Where a connection that was kept ends before a reply, libcurl puts the question again by itself,
 * and the service would see a token twice that may be spent by then. It can't do so with a body
 * that is read by a callback and can't be rewound. */
static size_t on_read(char *data, size_t size, size_t count, void *baton)
{
    transfer_t *t = baton;
    apr_size_t len = size * count < t->left ? size * count : t->left;

    memcpy(data, t->rest, len);
    t->rest += len;
    t->left -= len;
    return len;
}

static size_t on_header(char *data, size_t size, size_t count, void *baton)
{
    transfer_t *t = baton;

    (void)data;
    t->headers += size * count;
    if (t->headers > HEADERS_MAX) {
        t->too_large = 1;
        return 0;
    }
    return size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *baton)
{
    transfer_t *t = baton;
    apr_size_t len = size * count;

    if (len > t->max - t->len) {
        t->too_large = 1;
        return 0; /* fewer than offered: libcurl ends the transfer */
    }
    if (t->len + len >= t->size) {
        apr_size_t more = t->size * 2 > t->len + len ? t->size * 2 : t->len + len + 1;
        char *buf = apr_palloc(t->pool, more);
        memcpy(buf, t->buf, t->len);
        t->buf = buf;
        t->size = more;
    }
    memcpy(t->buf + t->len, data, len);
    t->len += len;
    return len;
}

static fg_http_result_t result_of(CURLcode code, const transfer_t *t)
{
    switch (code) {
    case CURLE_OK:
        return FG_HTTP_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return FG_HTTP_TIMEOUT;
    case CURLE_WRITE_ERROR:
        return t->too_large ? FG_HTTP_TOO_LARGE : FG_HTTP_FAILED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND: /* see on_read() */
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return FG_HTTP_UNREACHABLE;
    default:
        return FG_HTTP_FAILED;
    }
}

/* libcurl's own sentence for the code. Its longer text is used only where it tells what the
 * code does not and where it holds no more than a host, a port, a file or a certificate. */
static const char *error_text(CURLcode code, const char *longer, apr_pool_t *pool)
{
    const char *text = curl_easy_strerror(code);
    char *safe, *p;

    switch (code) {
    case CURLE_SEND_FAIL_REWIND:
        text = curl_easy_strerror(CURLE_GOT_NOTHING); /* which is what has happened */
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        if (*longer) {
            text = longer;
        }
        break;
    default:
        break;
    }
    safe = apr_pstrndup(pool, text, ERROR_MAX);
    for (p = safe; *p; p++) {
        if (!apr_isprint(*p)) {
            *p = '?';
        }
    }
    return safe;
}

static struct curl_slist *header_lines(const fg_http_request_t *request)
{
    struct curl_slist *lines = curl_slist_append(NULL, "Accept: application/json"), *more = lines;
    char type[256];
    int i;

    /* without `Expect:` libcurl asks before it sends a body over 1 MB, and some wait in vain */
    if (more) {
        more = curl_slist_append(lines, "Expect:");
    }
    if (more) {
        apr_snprintf(type, sizeof type, "Content-Type: %s", request->content_type);
        more = curl_slist_append(lines, type);
    }
    for (i = 0; more && request->headers && request->headers[i]; i++) {
        more = curl_slist_append(lines, request->headers[i]);
    }
    if (!more) {
        curl_slist_free_all(lines);
    }
    return more;
}

/* Whom we talk to and whom we trust. */
static CURLcode set_security(CURL *easy, const fg_http_request_t *request)
{
    int https = !apr_cstr_casecmpn(request->url, "https:", 6);
    CURLcode code;

#define SET(option, value)                                                                         \
    if ((code = curl_easy_setopt(easy, option, value)) != CURLE_OK) {                              \
        return code;                                                                               \
    }
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, https ? "https" : "http")
#else
    SET(CURLOPT_PROTOCOLS, https ? (long)CURLPROTO_HTTPS : (long)CURLPROTO_HTTP)
#endif
    SET(CURLOPT_FOLLOWLOCATION, 0L)
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2)
    SET(CURLOPT_SSL_VERIFYPEER, 1L)
    SET(CURLOPT_SSL_VERIFYHOST, 2L)
    SET(CURLOPT_PROXY, "") /* not NULL: that would ask the environment */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED)
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L)
    if (request->ca_file) {
        SET(CURLOPT_CAINFO, request->ca_file)
        SET(CURLOPT_CAPATH, NULL) /* these CAs only, not the system's folder as well */
    }
    return CURLE_OK;
}

/* Everything else about one post. */
static CURLcode set_request(CURL *easy, const fg_http_request_t *request, transfer_t *t,
                            struct curl_slist *headers, char *error, apr_interval_time_t left)
{
    long ms = left > 1000 ? (long)(left / 1000) : 1; /* 0 would mean no limit */
    CURLcode code = set_security(easy, request);

    if (code != CURLE_OK) {
        return code;
    }
    SET(CURLOPT_URL, request->url)
    SET(CURLOPT_NOSIGNAL, 1L)
    SET(CURLOPT_CONNECTTIMEOUT_MS, ms)
    SET(CURLOPT_TIMEOUT_MS, ms)
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CURLOPT_QUICK_EXIT, 1L) /* don't wait for a resolver that hangs */
#endif
#if LIBCURL_VERSION_NUM >= 0x074100
    SET(CURLOPT_MAXAGE_CONN, (long)IDLE_MAX)
#endif
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1)
    SET(CURLOPT_USERAGENT, "mod_formguard")
    SET(CURLOPT_HTTPHEADER, headers)
    SET(CURLOPT_POST, 1L)
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len)
    SET(CURLOPT_READFUNCTION, on_read)
    SET(CURLOPT_READDATA, t)
    SET(CURLOPT_HEADERFUNCTION, on_header)
    SET(CURLOPT_HEADERDATA, t)
    SET(CURLOPT_WRITEFUNCTION, on_body)
    SET(CURLOPT_WRITEDATA, t)
    SET(CURLOPT_ERRORBUFFER, error)
    return CURLE_OK;
}
#undef SET

static void fail(fg_http_reply_t *reply, fg_http_result_t result, const char *error)
{
    reply->result = result;
    reply->error = error;
    reply->body = "";
    reply->body_len = 0;
    reply->status = 0;
}

/* Returns whether the handle is spoilt: some libcurl (8.7 to 8.15) fails for ever once it could not
 * rewind, https://github.com/curl/curl/issues/18206 */
static int perform(CURL *easy, const fg_http_request_t *request, fg_http_reply_t *reply,
                   apr_interval_time_t left, apr_pool_t *pool)
{
    char error[CURL_ERROR_SIZE] = "";
    transfer_t t = {.pool = pool,
                    .rest = request->body,
                    .left = request->body_len,
                    .size = REPLY_FIRST,
                    .max = request->reply_max};
    struct curl_slist *headers = header_lines(request);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;

    t.buf = apr_palloc(pool, t.size);
    if (headers) {
        code = set_request(easy, request, &t, headers, error, left);
    }
    if (code == CURLE_OK) {
        code = curl_easy_perform(easy);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    }
    if (code == CURLE_OK && !status) {
        code = CURLE_GOT_NOTHING; /* libcurl 7.60 says so where it could not rewind */
    }
    if (code != CURLE_OK) {
        fg_http_result_t result = result_of(code, &t);
        fail(reply, result,
             result == FG_HTTP_TOO_LARGE ? "the reply is too large"
                                         : error_text(code, error, pool));
    }
    else {
        t.buf[t.len] = '\0';
        reply->result = FG_HTTP_OK;
        reply->status = (int)status;
        reply->body = t.buf;
        reply->body_len = t.len;
    }
    curl_slist_free_all(headers);
    return code == CURLE_SEND_FAIL_REWIND;
}

static void client_post(fg_http_client_t *base, const fg_http_request_t *request,
                        fg_http_reply_t *reply, apr_pool_t *pool)
{
    curl_client_t *client = (curl_client_t *)base;
    apr_interval_time_t start = steady_now();
    apr_interval_time_t deadline = start + request->timeout;
    const char *why = fg_http_check_url(request->url, pool);
    int timed_out;
    CURL *easy;

    memset(reply, 0, sizeof *reply);
    if (why) {
        fail(reply, FG_HTTP_UNREACHABLE, apr_pstrcat(pool, "the URL ", why, NULL));
        return;
    }
    easy = handle_take(client, deadline, &timed_out);
    if (!easy) {
        fail(reply, timed_out ? FG_HTTP_TIMEOUT : FG_HTTP_FAILED,
             timed_out ? "all connections were in use" : "no connection could be made");
    }
    else {
        int spoilt = perform(easy, request, reply, deadline - steady_now(), pool);
        handle_return(client, easy, spoilt);
    }
    reply->took = steady_now() - start;
}

apr_status_t fg_curl_client_create(fg_http_client_t **out, int handles, apr_pool_t *pool)
{
    curl_client_t *client;
    pthread_condattr_t attr;

    *out = NULL;
    if (handles < 1) {
        return APR_EINVAL;
    }
    /* never undone: curl_global_cleanup() would take OpenSSL away from mod_ssl */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return APR_EGENERAL;
    }
    client = calloc(1, sizeof *client + (apr_size_t)handles * sizeof client->idle[0]);
    if (!client) {
        return APR_ENOMEM;
    }
    client->base.post = client_post;
    client->max = handles;
    client->users = 1; /* the pool */
    pthread_mutex_init(&client->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&client->freed, &attr);
    pthread_condattr_destroy(&attr);
    apr_pool_cleanup_register(pool, client, client_close, apr_pool_cleanup_null);
    *out = &client->base;
    return APR_SUCCESS;
}
