/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file http_client.h
 * @brief Posting something to a captcha vendor, whoever does it.
 */
#ifndef FG_HTTP_CLIENT_H
#define FG_HTTP_CLIENT_H

#include <apr_pools.h>
#include <apr_time.h>

/** What came of a request. */
typedef enum fg_http_result {
    FG_HTTP_OK,          /**< a whole reply of any status */
    FG_HTTP_TIMEOUT,     /**< the deadline passed */
    FG_HTTP_UNREACHABLE, /**< no such host, no connection, TLS or certificate refused, reset */
    FG_HTTP_TOO_LARGE,   /**< the reply went over the cap */
    FG_HTTP_FAILED       /**< anything else: out of memory, a reply that is not HTTP */
} fg_http_result_t;

typedef struct fg_http_request {
    const char *url;             /**< https, or http to a loopback address */
    const char *content_type;    /**< of the body */
    const char *const *headers;  /**< more lines `Name: value`, NULL at the end; or NULL */
    const char *body;            /**< bytes to post */
    apr_size_t body_len;         /**< how many */
    const char *ca_file;         /**< PEM file of trusted CAs, or NULL for the system's */
    apr_interval_time_t timeout; /**< for everything together, microseconds */
    apr_size_t reply_max;        /**< bytes of reply body taken at most */
} fg_http_request_t;

typedef struct fg_http_reply {
    fg_http_result_t result;
    int status;               /**< HTTP status; 0 without a reply */
    const char *body;         /**< NUL-terminated, in the pool of the request */
    apr_size_t body_len;      /**< bytes */
    const char *error;        /**< a text for the log without anything secret; NULL if OK */
    apr_interval_time_t took; /**< microseconds */
} fg_http_reply_t;

typedef struct fg_http_client fg_http_client_t;

struct fg_http_client {
    /**
     * Post and wait for the whole reply, or until the timeout. Any thread may call it.
     * @param client  itself
     * @param request what to send
     * @param reply   filled in always
     * @param pool    owns the reply
     */
    void (*post)(fg_http_client_t *client, const fg_http_request_t *request, fg_http_reply_t *reply,
                 apr_pool_t *pool);
};

/**
 * A client over libcurl with a pool of easy handles that keep their connections. Call it once a
 * process, after fork (curl_global_init() is called in it).
 * @param client  set on success
 * @param handles how many handles are kept at the most: as many as the process has threads
 * @param pool    owns the client; a cleanup closes the handles
 * @return APR_SUCCESS or an error
 */
apr_status_t fg_curl_client_create(fg_http_client_t **client, int handles, apr_pool_t *pool);

/**
 * Judge a URL that shall be posted to: absolute, https with a host, or http to 127.0.0.0/8, [::1]
 * or localhost; no user, no fragment.
 * @return NULL, or why it can't be
 */
const char *fg_http_check_url(const char *url, apr_pool_t *pool);

#endif
