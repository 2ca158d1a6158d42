/* SPDX-License-Identifier: Apache-2.0 */
/* client URL CAFILE COUNT: verifications as a worker makes them; prints seconds and CPU seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "spent.h"
#include "verify.h"

static fg_time_t now(void)
{
    struct timespec t;
    fg_time_t time;

    clock_gettime(CLOCK_MONOTONIC, &t);
    time.steady = apr_time_from_sec(t.tv_sec) + t.tv_nsec / 1000;
    time.wall = apr_time_now();
    return time;
}

static double cpu_seconds(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void *memory(apr_size_t size, apr_pool_t *pool)
{
    return apr_pcalloc(pool, size + 64);
}

static int verify(const fg_verifier_t *verifier, fg_captcha_check_t *check, int number,
                  apr_pool_t *pool)
{
    fg_captcha_result_t result;
    fg_verify_news_t news;
    /* As long as Google's. */
    const char *token = apr_psprintf(pool, "03AFcWeA%01900d", number);

    check->now = now();
    fg_verify(verifier, check, "/srv/www", token, &result, &news, pool);
    if (result.reason != FG_ACCEPTED) {
        fprintf(stderr, "%s: %s\n", fg_reason(result.reason)->words,
                result.detail != NULL ? result.detail : "");
    }
    return result.reason == FG_ACCEPTED;
}

static void set_up(fg_verifier_t *verifier, apr_pool_t *pool)
{
    static const unsigned char secret[16] = "a secret of ours";
    apr_size_t size = fg_counters_size(65536);
    void *mem = memory(size, pool);

    fg_counters_format(mem, size, 65536, secret);
    fg_counters_attach(&verifier->spent, mem, size, pool);
    mem = memory(fg_breaker_size(), pool);
    fg_breaker_format(mem, fg_breaker_size(), secret);
    verifier->breaker = fg_breaker_attach(mem, fg_breaker_size());
    mem = memory(fg_secrets_size(), pool);
    fg_secrets_format(mem, fg_secrets_size(), secret);
    verifier->secrets = fg_secrets_attach(mem, fg_secrets_size());
    verifier->slots = fg_slots_format(memory(fg_slots_size(4), pool), fg_slots_size(4), 4);
    verifier->now = now;
    fg_curl_client_create(&verifier->client, 1, pool);
}

int main(int argc, char **argv)
{
    fg_captcha_check_t check = {.secret = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe"};
    fg_verifier_t verifier;
    apr_pool_t *pool, *request;
    double wall, cpu;
    int i, count;

    if (argc != 4 || (count = atoi(argv[3])) < 1) {
        fprintf(stderr, "usage: client URL CAFILE COUNT\n");
        return EXIT_FAILURE;
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&request, pool);
    set_up(&verifier, pool);
    check.provider = fg_captcha_provider("recaptcha-v2");
    check.endpoint = argv[1];
    check.ca_file = argv[2];
    check.timeout = apr_time_from_sec(10);
    check.max_age = apr_time_from_sec(86400);
    check.remote_ip = "203.0.113.7";
    if (!verify(&verifier, &check, 0, request)) { /* the connection of the process */
        return EXIT_FAILURE;
    }
    wall = (double)now().steady;
    cpu = cpu_seconds();
    for (i = 1; i <= count; i++) {
        apr_pool_clear(request);
        if (!verify(&verifier, &check, i, request)) {
            return EXIT_FAILURE;
        }
    }
    printf("%.6f %.6f\n", ((double)now().steady - wall) / 1e6, cpu_seconds() - cpu);
    apr_pool_destroy(pool);
    return EXIT_SUCCESS;
}
