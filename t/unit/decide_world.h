/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file decide_world.h
 * @brief For tests of decide.c: a server that answers as it is told and keeps a diary of what it
 *        was asked, around a real table of counters. After cmocka.h.
 */
#ifndef FG_TEST_DECIDE_WORLD_H
#define FG_TEST_DECIDE_WORLD_H

#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "decide.h"
#include "policy_line.h"

static apr_pool_t *pool;

static struct world {
    fg_policy_t policy; /* of the server config */
    fg_policy_t site;   /* of .htaccess */
    int layers;
    void *memory;
    fg_counters_t *counters;
    void *closed_memory;
    fg_closures_t *closures; /* or NULL */
    const char *path;        /* of the URL, or NULL */
    const char *form;
    const char *place; /* what the key `site` counts by */

    const char *country; /* what the database says; NULL: there is none */
    fg_captured_t captured;
    const char *posted; /* urlencoded */
    const char *json;   /* a JSON body instead, or NULL */
    const char *query;
    fg_captcha_result_t result;
    fg_captcha_result_t solved; /* what is said of an answer to the built-in challenge */
    int own; /* 1: what is in the built-in captcha's field is an answer to a challenge of ours */
    int cleared; /* what becomes of a clearance */
    fg_dnsbl_result_t listing;
    fg_time_t now;
    fg_time_t later; /* what the clock says when asked again */

    char calls[200];             /* names of what was asked for, in order */
    char token[64];              /* what was verified */
    char answer[64];             /* to the built-in challenge */
    const fg_policy_t *verified; /* by whose settings */
    fg_verdict_t note;           /* the last one */
    fg_verdict_t closed;         /* the last one that has closed its form */
    char trace[4000];            /* steps, one a line */
} world;

static inline void append(char *text, size_t size, const char *word, const char *separator)
{
    assert_true(strlen(text) + strlen(word) + 2 < size);
    if (*text != '\0') {
        strcat(text, separator);
    }
    strcat(text, word);
}

static inline void call(const char *name)
{
    append(world.calls, sizeof(world.calls), name, " ");
}

static inline int op_country(fg_case_t *c, fg_country_t *country)
{
    assert_ptr_equal(c->baton, &world);
    call("country");
    if (world.country == NULL) {
        return 1;
    }
    *country = fg_country_of(world.country);
    return 0;
}

static inline void op_capture(fg_case_t *c, fg_captured_t *captured)
{
    call("capture");
    *captured = world.captured;
    if (captured->capture == FG_CAPTURE_WHOLE) {
        const char *body = world.json != NULL ? world.json : world.posted;
        const char *type =
            world.json != NULL ? "application/json" : "application/x-www-form-urlencoded";
        fg_body_t *reader;

        captured->submission = fg_submission_create(c->pool);
        fg_decide_wants(c, captured->submission);
        fg_submission_query(captured->submission, world.query);
        fg_submission_json(captured->submission, world.json != NULL);
        fg_body_create(&reader, type, &fg_body_default_caps, fg_submission_field,
                       captured->submission, c->pool);
        fg_body_feed(reader, body, strlen(body));
        assert_int_equal(fg_body_finish(reader), FG_BODY_OK);
    }
}

static inline void op_dnsbl(fg_case_t *c, const fg_dnsbl_zone_t *zone, apr_interval_time_t timeout,
                            fg_dnsbl_result_t *result)
{
    (void)c;
    (void)zone;
    assert_true(timeout > 0);
    call("dnsbl");
    *result = world.listing;
}

static inline void op_verify(fg_case_t *c, const fg_policy_t *policy, const char *token,
                             fg_captcha_result_t *result)
{
    (void)c;
    call("verify");
    world.verified = policy;
    apr_cpystrn(world.token, token, sizeof(world.token));
    *result = world.result;
}

static inline void op_challenge(fg_case_t *c, const fg_policy_t *policy, const char *answer,
                                fg_captcha_result_t *result)
{
    (void)c;
    (void)policy;
    call("challenge");
    apr_cpystrn(world.answer, answer, sizeof(world.answer));
    *result = world.solved;
}

static inline int op_own(fg_case_t *c, const char *token)
{
    (void)c;
    (void)token;
    call("own");
    return world.own;
}

static inline int op_cleared(fg_case_t *c, const fg_policy_t *policy)
{
    (void)c;
    assert_true(policy->captcha_clearance.uses > 0);
    call("cleared");
    return world.cleared;
}

static inline fg_time_t op_now(fg_case_t *c)
{
    (void)c;
    call("now");
    return world.later;
}

static inline void op_note(fg_case_t *c, const fg_verdict_t *verdict)
{
    (void)c;
    call("note");
    world.note = *verdict;
}

static inline const char *op_label(fg_case_t *c)
{
    (void)c;
    return "form=/contact.php site=www.example.org";
}

static inline void op_closed(fg_case_t *c, const fg_verdict_t *verdict)
{
    (void)c;
    call("closed");
    world.closed = *verdict;
}

static inline void op_trace(fg_case_t *c, const char *text)
{
    (void)c;
    append(world.trace, sizeof(world.trace), text, "\n");
}

static const fg_server_ops_t ops = {.country = op_country,
                                    .capture = op_capture,
                                    .dnsbl = op_dnsbl,
                                    .verify = op_verify,
                                    .challenge = op_challenge,
                                    .own = op_own,
                                    .cleared = op_cleared,
                                    .now = op_now,
                                    .note = op_note,
                                    .label = op_label,
                                    .closed = op_closed,
                                    .trace = op_trace};

#define SECOND apr_time_from_sec(1)

static inline int set_up(void **state)
{
    static const unsigned char secret[16] = "0123456789abcdef";
    const apr_size_t size = fg_counters_size(1024);

    (void)state;
    memset(&world, 0, sizeof(world));
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return 1;
    }
    world.memory = malloc(size);
    if (world.memory == NULL ||
        fg_counters_format(world.memory, size, 1024, secret) != APR_SUCCESS ||
        fg_counters_attach(&world.counters, world.memory, size, pool) != APR_SUCCESS) {
        return 1;
    }
    world.closed_memory = malloc(fg_closures_size());
    world.closures = fg_closures_format(world.closed_memory, fg_closures_size());
    if (world.closures == NULL) {
        return 1;
    }
    world.layers = 1;
    world.place = "/srv/www/example";
    world.form = "www.example.org\n/contact.php";
    world.country = "DE";
    world.posted = "email=a%40example.org&g-recaptcha-response=the-token";
    world.now.steady = world.later.steady = 1000000 * SECOND;
    assert_null(line_apply(&world.policy, "here", "FormGuard On", pool));
    return 0;
}

static inline int tear_down(void **state)
{
    const char *wrong = fg_counters_validate(world.counters, pool);

    (void)state;
    if (wrong != NULL) {
        print_error("%s\n", wrong);
    }
    free(world.memory);
    free(world.closed_memory);
    apr_pool_destroy(pool);
    apr_terminate();
    return wrong != NULL;
}

static inline void configure(const char *line)
{
    const char *error = line_apply(&world.policy, "here", line, pool);

    if (error != NULL) {
        fail_msg("%s: %s", line, error);
    }
}

/* A line of .htaccess: there is a second layer then. */
static inline void configure_site(const char *line)
{
    const char *error = line_apply(&world.site, "site", line, pool);

    if (error != NULL) {
        fail_msg("%s: %s", line, error);
    }
    world.layers = 2;
}

/* What a server fills in. */
static inline void prepare(fg_case_t *c, const char *address)
{
    memset(c, 0x55, sizeof(*c)); /* what is decide's own need not be set */
    c->layer[0].policy = &world.policy;
    c->layer[0].active = fg_policy_mode(&world.policy) != FG_MODE_OFF;
    c->layer[1].policy = &world.site;
    c->layer[1].active = fg_policy_mode(&world.site) != FG_MODE_OFF;
    c->layers = world.layers;
    c->counters = world.counters;
    c->closures = world.closures;
    c->ops = &ops;
    c->baton = &world;
    c->path[0] = NULL;
    c->path[1] = world.path;
    c->path[2] = NULL;
    c->form = world.form;
    c->site = world.place;
    c->now = world.now;
    c->pool = pool;
    assert_int_equal(fg_address_parse(&c->client, address), APR_SUCCESS);
}

/* One post from an address. */
static inline fg_verdict_t decide_from(const char *address)
{
    fg_case_t c;
    fg_verdict_t verdict;

    prepare(&c, address);
    memset(&verdict, 0x55, sizeof(verdict));
    *world.calls = *world.token = *world.answer = *world.trace = '\0';
    world.verified = NULL;
    memset(&world.note, 0, sizeof(world.note));
    memset(&world.closed, 0, sizeof(world.closed));
    fg_decide(&c, &verdict);
    return verdict;
}

#define CLIENT "192.0.2.1"

static inline fg_verdict_t decide(void)
{
    return decide_from(CLIENT);
}

static inline void assert_accepted(fg_verdict_t verdict)
{
    assert_int_equal(verdict.outcome, FG_OUT_ACCEPT);
    assert_int_equal(verdict.reason, FG_ACCEPTED);
    assert_int_equal(verdict.status, 200);
    assert_null(verdict.rule);
    assert_false(verdict.has_count);
}

static inline void assert_refused(fg_verdict_t verdict, fg_reason_t reason)
{
    assert_int_equal(verdict.outcome, FG_OUT_REFUSE);
    assert_string_equal(fg_reason(verdict.reason)->tag, fg_reason(reason)->tag);
    assert_int_equal(verdict.status, fg_reason(reason)->status);
}

/* How many a limit's first rate holds for a value. */
static inline apr_uint32_t used_under(const fg_policy_t *policy, const char *text,
                                      const void *value, apr_size_t len)
{
    const apr_array_header_t *limits = fg_policy_limits(policy, pool);
    int i;

    for (i = 0; i < limits->nelts; i++) {
        const fg_limit_t *limit = &APR_ARRAY_IDX(limits, i, fg_limit_t);
        const fg_rate_t *rate = &APR_ARRAY_IDX(limit->rates, 0, fg_rate_t);

        if (strcmp(limit->text, text) == 0) {
            fg_counter_key_t key = fg_counters_key(world.counters, limit->id, 0, value, len);
            fg_count_t next = fg_counters_peek(world.counters, key, rate, world.later.steady);

            return next.used - (apr_uint32_t)next.admitted; /* without the one asked about */
        }
    }
    fail_msg("no limit %s", text);
    return 0;
}

static inline apr_uint32_t used_by(const char *text, const void *value, apr_size_t len)
{
    return used_under(&world.policy, text, value, len);
}

static inline apr_uint32_t used_by_client(const char *text)
{
    unsigned char key[FG_ADDRESS_KEY_MAX];
    fg_address_t address;

    assert_int_equal(fg_address_parse(&address, CLIENT), APR_SUCCESS);
    return used_by(text, key, fg_address_client_key(&address, key));
}

static inline apr_uint32_t used_by_form(const char *text)
{
    return used_by(text, world.form, strlen(world.form));
}

static inline apr_uint32_t used_by_form_at_site(const char *text)
{
    return used_under(&world.site, text, world.form, strlen(world.form));
}

/* Refused, but only DetectionOnly says so. */
static inline void assert_would(fg_verdict_t verdict, fg_reason_t reason)
{
    assert_refused(verdict, reason);
    assert_true(verdict.would);
}

/* A rule of every kind that is judged before the body is read where it can be. */
static inline void configure_everything(void)
{
    configure("FormGuardCountry CN refuse");
    configure("FormGuardLimit form 2/1h");
    configure("FormGuardLimit ip 3/10m");
    configure("FormGuardCaptcha recaptcha-v3");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
