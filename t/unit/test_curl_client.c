/* SPDX-License-Identifier: Apache-2.0 */
/* The real client against t/lib/vendor-stand-in, which says there what each token makes it do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "http_client.h"
#include "vendor.h"

#define MS APR_TIME_C(1000)
/* How much later than its timeout a post may come back; a checker such as valgrind is slow. */
#define SLACK (1500 * MS)

static apr_pool_t *global;

/* --- posting --- */

static fg_http_request_t request_for(const char *url, const char *token, apr_pool_t *pool)
{
    fg_http_request_t request = {
        .url = url,
        .content_type = "application/x-www-form-urlencoded",
        .body = apr_pstrcat(pool, "secret=s3cret&response=", token, NULL),
        .ca_file = vendor.ca,
        .timeout = 10000 * MS,
        .reply_max = 32768,
    };

    request.body_len = strlen(request.body);
    return request;
}

/* Post, and hold what is promised of every reply. */
static fg_http_reply_t post(fg_http_client_t *client, const fg_http_request_t *request,
                            apr_pool_t *pool)
{
    fg_http_reply_t reply;

    memset(&reply, 0x5a, sizeof reply);
    client->post(client, request, &reply, pool);
    assert_in_range(reply.result, FG_HTTP_OK, FG_HTTP_FAILED);
    assert_in_range(reply.took, 0, request->timeout + SLACK);
    assert_non_null(reply.body);
    assert_int_equal(reply.body[reply.body_len], '\0');
    if (reply.result == FG_HTTP_OK) {
        assert_in_range(reply.status, 100, 999);
        assert_null(reply.error);
    }
    else {
        assert_int_equal(reply.status, 0);
        assert_int_equal(reply.body_len, 0);
        assert_non_null(reply.error);
        assert_true(*reply.error);
        assert_null(strstr(reply.error, "s3cret"));
        assert_null(strstr(reply.error, "response="));
        assert_null(strstr(reply.error, "hidden"));
        assert_null(strchr(reply.error, '\n'));
    }
    return reply;
}

static fg_http_reply_t post_token(fg_http_client_t *client, const char *token, apr_pool_t *pool)
{
    fg_http_request_t request = request_for(vendor_url("good"), token, pool);
    return post(client, &request, pool);
}

static void assert_works(fg_http_client_t *client, apr_pool_t *pool)
{
    fg_http_reply_t reply = post_token(client, "ok", pool);

    if (reply.result != FG_HTTP_OK) {
        fail_msg("result %d: %s", reply.result, reply.error);
    }
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"success\":true"));
    assert_int_equal(reply.body_len, strlen(reply.body));
    assert_true(reply.took > 0);
}

static fg_http_client_t *client_of(int handles, apr_pool_t *pool)
{
    fg_http_client_t *client;

    assert_int_equal(fg_curl_client_create(&client, handles, pool), APR_SUCCESS);
    return client;
}

static int start(void **state)
{
    (void)state;
    return vendor_start(global);
}

static int stop(void **state)
{
    (void)state;
    return vendor_stop();
}

static int set_up(void **state)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, global);
    *state = pool;
    return 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(*state);
    return 0;
}

/* --- tests --- */

static void test_asks(void **state)
{
    static const char *const headers[] = {"X-API-Key: a key", "X-More: more", NULL};
    fg_http_client_t *client = client_of(1, *state);
    fg_http_request_t request = request_for(vendor_url("good"), "ok", *state);
    const char *line;

    assert_works(client, *state);
    line = vendor_last_asked(*state);
    assert_non_null(strstr(line, "\"method\":\"POST\""));
    assert_non_null(strstr(line, "\"secret_ok\":true"));
    assert_non_null(strstr(line, "\"content-type\":\"application/x-www-form-urlencoded\""));
    assert_null(strstr(line, "\"expect\""));
    request.headers = headers;
    request.content_type = "application/json";
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_OK);
    line = vendor_last_asked(*state);
    assert_non_null(strstr(line, "\"x-api-key\":\"a key\""));
    assert_non_null(strstr(line, "\"x-more\":\"more\""));
    assert_non_null(strstr(line, "\"content-type\":\"application/json\""));
}

static void test_large_question(void **state)
{
    fg_http_client_t *client = client_of(1, *state);
    char *padding = apr_palloc(*state, 1500001);
    fg_http_request_t request;

    memset(padding, 'x', 1500000);
    padding[1500000] = '\0';
    request =
        request_for(vendor_url("good"), apr_pstrcat(*state, "ok&more=", padding, NULL), *state);
    assert_int_equal(post(client, &request, *state).status, 200);
    assert_non_null(strstr(vendor_last_asked(*state), "\"token\":\"ok\""));
    assert_null(strstr(vendor_last_asked(*state), "\"expect\""));
}

static void test_any_status_is_a_reply(void **state)
{
    static const int statuses[] = {200, 400, 403, 404, 429, 500, 503};
    fg_http_client_t *client = client_of(1, *state);
    size_t i;

    for (i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        fg_http_reply_t reply =
            post_token(client, apr_psprintf(*state, "status-%d", statuses[i]), *state);
        assert_int_equal(reply.result, FG_HTTP_OK);
        assert_int_equal(reply.status, statuses[i]);
    }
}

static void test_no_redirect(void **state)
{
    fg_http_client_t *client = client_of(1, *state);
    int before = vendor_asked(*state)->nelts;
    fg_http_reply_t reply = post_token(client, "redirect", *state);

    assert_int_equal(reply.result, FG_HTTP_OK);
    assert_int_equal(reply.status, 302);
    assert_int_equal(vendor_asked(*state)->nelts, before + 1);
}

static void test_faults(void **state)
{
    static const struct {
        const char *token;
        fg_http_result_t result;
        int timeout; /* milliseconds */
    } rows[] = {
        {"garbage", FG_HTTP_FAILED, 5000},
        {"close", FG_HTTP_UNREACHABLE, 5000},
        {"reset", FG_HTTP_UNREACHABLE, 5000},
        {"truncated", FG_HTTP_UNREACHABLE, 5000},
        {"big", FG_HTTP_TOO_LARGE, 5000},
        {"big-headers", FG_HTTP_TOO_LARGE, 5000},
        {"never", FG_HTTP_TIMEOUT, 400},
        {"drip", FG_HTTP_TIMEOUT, 400},
        {"drip-headers", FG_HTTP_TIMEOUT, 400},
        {"slow-first-byte-5", FG_HTTP_TIMEOUT, 400},
        {"slow-first-byte-0.2", FG_HTTP_OK, 5000},
        {"http10", FG_HTTP_OK, 5000},
        {"empty", FG_HTTP_OK, 5000},
    };
    fg_http_client_t *client = client_of(1, *state);
    size_t i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fg_http_request_t request = request_for(vendor_url("good"), rows[i].token, *state);
        fg_http_reply_t reply;
        request.timeout = rows[i].timeout * MS;
        reply = post(client, &request, *state);
        if (reply.result != rows[i].result) {
            fail_msg("%s: result %d, not %d: %s", rows[i].token, reply.result, rows[i].result,
                     reply.error);
        }
        if (reply.result == FG_HTTP_TIMEOUT) {
            assert_true(reply.took >= request.timeout - 5 * MS);
        }
        assert_works(client, *state); /* the handle is as good as new */
    }
}

/* None of these may so much as see the secret. */
static void test_nobody_else_is_trusted(void **state)
{
    static const char *const ports[] = {"expired", "wrong_name", "untrusted", "tls11"};
    fg_http_client_t *client = client_of(1, *state);
    int before = vendor_asked(*state)->nelts;
    fg_http_request_t request;
    size_t i;

    for (i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        fg_http_reply_t reply;
        request = request_for(vendor_url(ports[i]), "ok", *state);
        reply = post(client, &request, *state);
        if (reply.result != FG_HTTP_UNREACHABLE) {
            fail_msg("%s: result %d", ports[i], reply.result);
        }
    }
    request = request_for(vendor_url("good"), "ok", *state);
    request.ca_file = NULL; /* the system does not know this CA */
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_UNREACHABLE);
    request.ca_file = "/no/such/ca.pem";
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_UNREACHABLE);
    request.ca_file = apr_pstrcat(*state, vendor.dir, "/other-ca.crt", NULL);
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_UNREACHABLE);
    assert_int_equal(vendor_asked(*state)->nelts, before);
    /* a connection made with one CA is not used for another */
    assert_works(client, *state);
    before++;
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_UNREACHABLE);
    assert_int_equal(vendor_asked(*state)->nelts, before);
}

/* OpenSSL was told to allow it: see allow_old_tls(). */
static void test_tls_1_2_or_newer(void **state)
{
    fg_http_client_t *client = client_of(1, *state);
    fg_http_request_t request = request_for(vendor_url("tls11"), "ok", *state);

    assert_int_equal(post(client, &request, *state).result, FG_HTTP_UNREACHABLE);
}

static void test_plain_http(void **state)
{
    static const char *const refused[] = {
        "http://vendor.invalid/recaptcha/api/siteverify",
        "http://192.0.2.1/recaptcha/api/siteverify",
        "file:///etc/passwd",
        "https://user@localhost/",
    };
    fg_http_client_t *client = client_of(1, *state);
    fg_http_request_t request = request_for(vendor_url("plain"), "ok", *state);
    size_t i;

    assert_int_equal(post(client, &request, *state).status, 200);
    request.url =
        apr_psprintf(*state, "http://127.0.0.1:%d/recaptcha/api/siteverify", vendor_port("plain"));
    assert_int_equal(post(client, &request, *state).status, 200);
    for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        fg_http_reply_t reply;
        request.url = refused[i];
        reply = post(client, &request, *state);
        assert_int_equal(reply.result, FG_HTTP_UNREACHABLE);
        assert_non_null(strstr(reply.error, "the URL must"));
    }
}

static void test_nobody_there(void **state)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, not listening: refuses */
    fg_http_client_t *client = client_of(1, *state);
    fg_http_request_t request = request_for(NULL, "ok", *state);
    fg_http_reply_t reply;

    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    request.url = apr_psprintf(*state, "https://127.0.0.1:%d/", ntohs(sa.sin_port));
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_UNREACHABLE);
    close(fd);

    request = request_for(vendor_url("silent"), "ok", *state);
    request.timeout = 300 * MS;
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_TIMEOUT);

    request.url = "https://vendor.invalid/"; /* as quick as the resolver, or the timeout */
    reply = post(client, &request, *state);
    assert_true(reply.result == FG_HTTP_UNREACHABLE || reply.result == FG_HTTP_TIMEOUT);
}

static void test_cap(void **state)
{
    fg_http_client_t *client = client_of(1, *state);
    fg_http_request_t request = request_for(vendor_url("good"), "ok", *state);
    fg_http_reply_t reply = post(client, &request, *state);
    apr_size_t len = reply.body_len;

    assert_true(len > 10);
    request.reply_max = len;
    reply = post(client, &request, *state);
    assert_int_equal(reply.result, FG_HTTP_OK);
    assert_int_equal(reply.body_len, len);
    request.reply_max = len - 1;
    assert_int_equal(post(client, &request, *state).result, FG_HTTP_TOO_LARGE);
    request =
        request_for(vendor_url("good"), "big", *state); /* ten times what a buffer starts with */
    request.reply_max = 11 * 1024 * 1024;
    reply = post(client, &request, *state);
    assert_int_equal(reply.result, FG_HTTP_OK);
    assert_int_equal(reply.body_len, 640 * 0x4000);
    assert_int_equal(strspn(reply.body, " "), reply.body_len);
}

/* What the environment and the home of the server's user say is none of our business. */
static void test_environment_is_ignored(void **state)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        "http_proxy"};
    const char *netrc = apr_pstrcat(*state, vendor.dir, "/.netrc", NULL);
    const char *home = getenv("HOME");
    fg_http_client_t *client = client_of(1, *state);
    FILE *f = fopen(netrc, "w");
    size_t i;

    assert_non_null(f);
    fputs("machine localhost login somebody password something\n", f);
    fclose(f);
    setenv("HOME", vendor.dir, 1);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        setenv(names[i], "http://127.0.0.1:9", 1);
    }
    assert_works(client, *state);
    assert_null(strstr(vendor_last_asked(*state), "authorization"));
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        unsetenv(names[i]);
    }
    if (home) {
        setenv("HOME", home, 1);
    }
}

static void test_connection_is_kept(void **state)
{
    fg_http_client_t *client = client_of(4, *state);
    int i;

    for (i = 0; i < 5; i++) {
        assert_works(client, *state);
    }
    assert_non_null(
        strstr(vendor_last_asked(*state), "\"number\":4,")); /* the fifth on its connection */
}

/* libcurl would ask again by itself where a connection that was kept ends without a reply; whether
 * a question may be put twice is for the service's row to say. */
static void test_nobody_is_asked_twice(void **state)
{
    static const char *const tokens[] = {"close", "reset"};
    fg_http_client_t *client = client_of(1, *state);
    size_t i;

    for (i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        fg_http_reply_t reply;
        int before;

        assert_works(client, *state);
        before = vendor_asked(*state)->nelts;
        reply = post_token(client, tokens[i], *state);
        assert_int_equal(reply.result, FG_HTTP_UNREACHABLE);
        assert_null(strstr(reply.error, "rewind"));
        assert_null(strstr(vendor_last_asked(*state), "\"number\":0,")); /* it was kept */
        assert_works(client, *state);
        assert_int_equal(vendor_asked(*state)->nelts, before + 2);
    }
}

/* A post in a thread of its own. */
typedef struct job {
    fg_http_client_t *client;
    const char *token;
    int port;
    int count;
    apr_interval_time_t timeout;
    fg_http_reply_t reply; /* of the last */
    int failed;
    pthread_t thread;
    apr_pool_t *pool;
} job_t;

static void *run_job(void *data)
{
    job_t *job = data;
    fg_http_request_t request = request_for(NULL, job->token, job->pool);
    int i;

    request.url =
        apr_psprintf(job->pool, "https://localhost:%d/recaptcha/api/siteverify", job->port);
    request.timeout = job->timeout;
    for (i = 0; i < job->count; i++) {
        job->client->post(job->client, &request, &job->reply, job->pool);
        job->failed += job->reply.result != FG_HTTP_OK || job->reply.status != 200;
    }
    return NULL;
}

static void start_job(job_t *job, fg_http_client_t *client, const char *token, int count)
{
    memset(job, 0, sizeof *job);
    job->client = client;
    job->token = token;
    job->port = vendor_port("good");
    job->count = count;
    job->timeout = 20000 * MS;
    apr_pool_create(&job->pool, global);
    assert_int_equal(pthread_create(&job->thread, NULL, run_job, job), 0);
}

static void finish_job(job_t *job)
{
    pthread_join(job->thread, NULL);
    apr_pool_destroy(job->pool);
}

/* Wait until the vendor was asked for that token. */
static void until_asked(const char *token, int before, apr_pool_t *pool)
{
    const char *want = apr_psprintf(pool, "\"token\":\"%s\"", token);

    for (;;) {
        apr_array_header_t *lines = vendor_asked(pool);
        int i;
        for (i = before; i < lines->nelts; i++) {
            if (strstr(APR_ARRAY_IDX(lines, i, const char *), want)) {
                return;
            }
        }
        usleep(5000);
    }
}

static void test_all_handles_in_use(void **state)
{
    fg_http_client_t *client = client_of(1, *state);
    fg_http_request_t request = request_for(vendor_url("good"), "ok", *state);
    int before = vendor_asked(*state)->nelts;
    fg_http_reply_t reply;
    job_t slow;

    start_job(&slow, client, "slow-first-byte-2", 1);
    until_asked("slow-first-byte-2", before, *state);
    before = vendor_asked(*state)->nelts;
    request.timeout = 200 * MS;
    reply = post(client, &request, *state);
    assert_int_equal(reply.result, FG_HTTP_TIMEOUT);
    assert_non_null(strstr(reply.error, "in use"));
    assert_true(reply.took >= 195 * MS);
    assert_int_equal(vendor_asked(*state)->nelts, before);
    assert_works(client, *state); /* has time to wait for the handle */
    finish_job(&slow);
    assert_int_equal(slow.failed, 0);
}

static void test_many_threads(void **state)
{
    fg_http_client_t *client = client_of(3, *state);
    int before = vendor_asked(*state)->nelts, i;
    job_t jobs[6];

    for (i = 0; i < 6; i++) {
        start_job(&jobs[i], client, "ok", 10);
    }
    for (i = 0; i < 6; i++) {
        finish_job(&jobs[i]);
        assert_int_equal(jobs[i].failed, 0);
    }
    assert_int_equal(vendor_asked(*state)->nelts, before + 60);
}

/* httpd destroys a child's pool while its workers may still wait. */
static void test_pool_goes_first(void **state)
{
    apr_pool_t *pool;
    fg_http_client_t *client;
    int before = vendor_asked(*state)->nelts;
    job_t slow, waits;

    apr_pool_create(&pool, global);
    client = client_of(1, pool);
    start_job(&slow, client, "slow-first-byte-1", 1);
    until_asked("slow-first-byte-1", before, *state);
    start_job(&waits, client, "ok", 1);
    usleep(100000); /* let it wait for the handle; the outcome is the same if it does not yet */
    apr_pool_destroy(pool);
    pthread_join(waits.thread, NULL);
    pthread_join(slow.thread, NULL);
    assert_int_equal(waits.reply.result, FG_HTTP_FAILED);
    assert_int_equal(slow.reply.result, FG_HTTP_OK);
    apr_pool_destroy(waits.pool);
    apr_pool_destroy(slow.pool);
}

static void test_no_handles(void **state)
{
    fg_http_client_t *client;

    assert_int_equal(fg_curl_client_create(&client, 0, *state), APR_EINVAL);
    assert_null(client);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_asks),
        TEST(test_large_question),
        TEST(test_any_status_is_a_reply),
        TEST(test_no_redirect),
        TEST(test_faults),
        TEST(test_nobody_else_is_trusted),
        TEST(test_tls_1_2_or_newer),
        TEST(test_plain_http),
        TEST(test_nobody_there),
        TEST(test_cap),
        TEST(test_environment_is_ignored),
        TEST(test_connection_is_kept),
        TEST(test_nobody_is_asked_twice),
        TEST(test_all_handles_in_use),
        TEST(test_many_threads),
        TEST(test_pool_goes_first),
        TEST(test_no_handles),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&global, NULL);
    failed = cmocka_run_group_tests(tests, start, stop);
    apr_pool_destroy(global);
    apr_terminate();
    return failed;
}
