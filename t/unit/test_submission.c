/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "submission.h"

static apr_pool_t *pool;

static int set_up(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

#define FORM "application/x-www-form-urlencoded"
#define JSON "application/json"

static fg_submission_t *wanting(const char *name)
{
    fg_submission_t *submission = fg_submission_create(pool);

    fg_submission_want(submission, name);
    return submission;
}

/* Post a body through the reader a server uses. */
static void post(fg_submission_t *submission, const char *type, const char *body)
{
    fg_body_t *reader;

    fg_submission_json(submission, fg_body_type(type) == FG_BODY_JSON);
    assert_int_equal(
        fg_body_create(&reader, type, &fg_body_default_caps, fg_submission_field, submission, pool),
        FG_BODY_OK);
    assert_int_equal(fg_body_feed(reader, body, strlen(body)), FG_BODY_OK);
    assert_int_equal(fg_body_finish(reader), FG_BODY_OK);
}

/* What one name comes to. */
typedef struct posted {
    const char *wanted;
    const char *body;
    int has;
    const char *value; /* or NULL */
} posted_t;

static void expect(const char *type, const posted_t *cases, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        fg_submission_t *submission = wanting(cases[i].wanted);
        const char *value;
        apr_size_t len = 12345, total = 12345;

        post(submission, type, cases[i].body);
        value = fg_submission_value(submission, cases[i].wanted, &len, &total);
        if (fg_submission_has(submission, cases[i].wanted) != cases[i].has) {
            fail_msg("%s in %s: has is not %d", cases[i].wanted, cases[i].body, cases[i].has);
        }
        if (cases[i].value == NULL) {
            if (value != NULL) {
                fail_msg("%s in %s: %s", cases[i].wanted, cases[i].body, value);
            }
            assert_true(len == 12345 && total == 12345);
            continue;
        }
        if (value == NULL) {
            fail_msg("%s in %s: no value", cases[i].wanted, cases[i].body);
        }
        assert_string_equal(value, cases[i].value);
        assert_int_equal(len, strlen(cases[i].value));
        assert_int_equal(total, len);
    }
}

#define EXPECT(type, cases) expect(type, cases, sizeof(cases) / sizeof(cases[0]))

static void forms_are_read_as_php_reads_them(void **state)
{
    static const posted_t cases[] = {
        {"a", "a=1", 1, "1"},
        {"a", "a=", 1, ""},
        {"a", "a", 1, ""},
        {"a", "b=1", 0, NULL},
        {"a", "", 0, NULL},
        {"a", "A=1", 0, NULL},
        {"a", "ab=1&ba=2", 0, NULL},
        {"ab", "a=1", 0, NULL},
        /* the last one wins */
        {"a", "a=1&a=2", 1, "2"},
        {"a", "a=long+value&a=s", 1, "s"},
        {"a", "a=1&a=", 1, ""},
        {"a", "a=1&b=2&a=3&b=4", 1, "3"},
        /* an array replaces the string, and the string the array */
        {"a", "a[]=1", 1, NULL},
        {"a", "a[x]=1", 1, NULL},
        {"a", "a=1&a[]=2", 1, NULL},
        {"a", "a=1&a[x][y]=2", 1, NULL},
        {"a", "a[]=1&a=2", 1, "2"},
        {"a", "a=1&a[]=2&a=3", 1, "3"},
        {"a", "a=1&a[=2", 1, "1"}, /* PHP's a_, not an array */
        /* an element of an array */
        {"a[b]", "a[b]=1", 1, "1"},
        {"a[b]", "a%5Bb%5D=1", 1, "1"},
        {"a[b]", "a[c]=1", 0, NULL},
        {"a[b]", "a[b]=1&a[c]=2", 1, "1"},
        {"a[b]", "a[b]=1&a[b]=2", 1, "2"},
        {"a[b]", "a[b]=1&a[b][c]=2", 1, NULL},
        {"a[b]", "a[b]=1&a=2", 1, NULL},
        {"a[b]", "a=2", 0, NULL},
        {"a[b]", "a=2&a[b]=1", 1, "1"},
        {"a[]", "a[]=1", 1, "1"},
        /* PHP's names, on both sides */
        {"your.name", "your.name=1", 1, "1"},
        {"your.name", "your_name=1", 1, "1"},
        {"your name", "your+name=1", 1, "1"},
        {"your_name", "your.name=1", 1, "1"},
        {"g-recaptcha-response", "g-recaptcha-response=t", 1, "t"},
        {"a", "+a=1", 1, "1"},
        {"a", "%61=%31", 1, "1"},
    };

    (void)state;
    EXPECT(FORM, cases);
}

static void json_members_are_named_by_their_path(void **state)
{
    static const posted_t cases[] = {
        {"a", "{\"a\":\"1\"}", 1, "1"},
        {"a", "{\"b\":\"1\"}", 0, NULL},
        {"a", "{\"a\":\"1\",\"a\":\"2\"}", 1, "2"},
        {"a", "{\"a\":{\"b\":\"1\"}}", 1, NULL},
        {"a", "{\"a\":[\"1\"]}", 1, NULL},
        {"a", "{\"a\":\"1\",\"a\":[\"2\"]}", 1, NULL},
        {"a.b", "{\"a\":{\"b\":\"1\"}}", 1, "1"},
        {"a.0", "{\"a\":[\"1\"]}", 1, "1"},
        {"a.b", "{\"a\":{\"b\":\"1\"},\"a\":\"2\"}", 1, NULL},
        /* not PHP's names: JSON is not read into $_POST */
        {"your.name", "{\"your_name\":\"1\"}", 0, NULL},
        {"your_name", "{\"your_name\":\"1\"}", 1, "1"},
        {"a[b]", "{\"a[b]\":\"1\"}", 1, "1"},
    };

    (void)state;
    EXPECT(JSON, cases);
}

#define PART(disposition, value)                                                                   \
    "--b\r\nContent-Disposition: form-data; " disposition "\r\n\r\n" value "\r\n"

static void files_are_there_and_replace_no_string(void **state)
{
    static const posted_t cases[] = {
        {"a", PART("name=\"a\"", "1") "--b--\r\n", 1, "1"},
        {"a", PART("name=\"a\"; filename=\"f\"", "1") "--b--\r\n", 1, NULL},
        {"a", PART("name=\"a\"", "1") PART("name=\"a\"; filename=\"f\"", "2") "--b--\r\n", 1, "1"},
        {"a", PART("name=\"a\"", "1") PART("name=\"a[]\"; filename=\"f\"", "2") "--b--\r\n", 1,
         "1"},
        {"a[b]", PART("name=\"a[b]\"", "1") PART("name=\"a\"; filename=\"f\"", "2") "--b--\r\n", 1,
         "1"},
        {"a", PART("name=\"b\"; filename=\"a\"", "1") "--b--\r\n", 0, NULL},
    };

    (void)state;
    EXPECT("multipart/form-data; boundary=b", cases);
}

static void several_names_do_not_mix(void **state)
{
    fg_submission_t *submission = wanting("a");

    (void)state;
    fg_submission_want(submission, "b");
    fg_submission_want(submission, "c");
    fg_submission_want(submission, "a"); /* once more: nothing is lost */
    post(submission, FORM, "b=2&a=1&d=4");
    assert_string_equal(fg_submission_value(submission, "a", NULL, NULL), "1");
    assert_string_equal(fg_submission_value(submission, "b", NULL, NULL), "2");
    assert_false(fg_submission_has(submission, "c"));
    assert_false(fg_submission_has(submission, "d")); /* nobody asked */
    assert_null(fg_submission_value(submission, "d", NULL, NULL));
}

static void two_spellings_of_one_name_both_find_it(void **state)
{
    fg_submission_t *submission = wanting("a.b");

    (void)state;
    fg_submission_want(submission, "a_b");
    post(submission, FORM, "a b=1");
    assert_string_equal(fg_submission_value(submission, "a.b", NULL, NULL), "1");
    assert_string_equal(fg_submission_value(submission, "a_b", NULL, NULL), "1");
}

static void a_value_may_hold_nul_and_be_cut(void **state)
{
    fg_submission_t *submission = wanting("a");
    char *body = apr_palloc(pool, 20003);
    const char *value;
    apr_size_t len, total;

    (void)state;
    post(submission, FORM, "a=x%00y");
    value = fg_submission_value(submission, "a", &len, &total);
    assert_int_equal(len, 3);
    assert_int_equal(total, 3);
    assert_memory_equal(value, "x\0y", 4);

    memset(body, 'z', 20002);
    memcpy(body, "a=", 2);
    body[20002] = '\0';
    post(submission, FORM, body);
    value = fg_submission_value(submission, "a", &len, &total);
    assert_int_equal(len, fg_body_default_caps.value_kept);
    assert_int_equal(total, 20000);
    assert_int_equal(strlen(value), len);
}

/* --- query ------------------------------------------------------------------------------------ */

static void the_query_has_no_value_of_the_body(void **state)
{
    static const struct {
        const char *wanted;
        const char *query;
        int has;
    } cases[] = {
        {"a", "a=1", 1},      {"a", "a", 1},         {"a", "x=1&a=2", 1}, {"a", "a[]=1", 1},
        {"a", "ab=1", 0},     {"a", "", 0},          {"a", NULL, 0},      {"a[b]", "a[b]=1", 1},
        {"a[b]", "a[c]", 0},  {"a.b", "a.b=1", 1},   {"a.b", "a_b=1", 1}, {"a", "%61=1", 1},
        {"a", "x=1&&&a=", 1}, {"a", "x?y=1&z/a", 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fg_submission_t *submission = wanting(cases[i].wanted);

        assert_int_equal(fg_submission_query(submission, cases[i].query), FG_BODY_OK);
        if (fg_submission_has(submission, cases[i].wanted) != cases[i].has) {
            fail_msg("%s in %s", cases[i].wanted, cases[i].query);
        }
        assert_null(fg_submission_value(submission, cases[i].wanted, NULL, NULL));
    }
}

static void a_query_does_not_disturb_the_body(void **state)
{
    fg_submission_t *submission = wanting("a");

    (void)state;
    post(submission, FORM, "a=body");
    assert_int_equal(fg_submission_query(submission, "a[]=query"), FG_BODY_OK);
    assert_string_equal(fg_submission_value(submission, "a", NULL, NULL), "body");
}

static void a_query_is_named_by_php_under_a_json_body_too(void **state)
{
    fg_submission_t *submission = wanting("your.name");

    (void)state;
    post(submission, JSON, "{}");
    assert_int_equal(fg_submission_query(submission, "your.name=1"), FG_BODY_OK);
    assert_true(fg_submission_has(submission, "your.name"));
}

static void a_value_may_be_in_the_body_or_in_the_query(void **state)
{
    fg_submission_t *submission = wanting("a");
    char *query = apr_palloc(pool, 21000);

    (void)state;
    assert_false(fg_submission_has_value(submission, "a", "*"));
    assert_false(fg_submission_has_value(submission, "never asked for", "*"));
    post(submission, FORM, "a=body");
    assert_int_equal(fg_submission_query(submission, "a=query"), FG_BODY_OK);
    assert_true(fg_submission_has_value(submission, "a", "BODY"));
    assert_true(fg_submission_has_value(submission, "a", "q?er*"));
    assert_false(fg_submission_has_value(submission, "a", "quer"));
    assert_false(fg_submission_has_value(submission, "a", "x"));

    submission = wanting("a"); /* longer than what is kept: nobody knows its end */
    memset(query, 'z', 20002);
    memcpy(query, "a=", 2);
    query[20002] = '\0';
    assert_int_equal(fg_submission_query(submission, query), FG_BODY_OK);
    assert_true(fg_submission_has_value(submission, "a", "x"));
    submission = wanting("a");
    post(submission, FORM, query);
    assert_true(fg_submission_has_value(submission, "a", "x"));
}

/* PHP reads on behind a name of any length: who hides the form's field there gains nothing. */
static void a_query_that_is_not_read_to_its_end_may_name_anything(void **state)
{
    fg_submission_t *submission = wanting("a");
    char *query = apr_palloc(pool, 2048);

    (void)state;
    memset(query, 'x', 2000);
    strcpy(query + 2000, "=1&a=2");
    assert_int_equal(fg_submission_query(submission, query), FG_BODY_NAME_TOO_LONG);
    assert_true(fg_submission_has(submission, "a"));
    assert_true(fg_submission_has_value(submission, "a", "any"));
    assert_null(fg_submission_value(submission, "a", NULL, NULL));

    submission = wanting("a");
    memset(query, '&', 2000);
    for (query[2000] = '\0'; *query == '&'; query += 2) {
        *query = 'x'; /* x&x&x...: 1000 fields, as many as are read */
    }
    assert_int_equal(fg_submission_query(submission, query - 2000), FG_BODY_OK);
    assert_false(fg_submission_has(submission, "a"));
    memcpy(query, "x&a", 4); /* and one more */
    assert_int_equal(fg_submission_query(submission, query - 2000), FG_BODY_TOO_MANY);
    assert_true(fg_submission_has(submission, "a"));
}

/* --- memory ----------------------------------------------------------------------------------- */

static void give(fg_submission_t *submission, const char *name, const char *value, apr_size_t len)
{
    fg_field_t field = {name, strlen(name), value, len, len, 0};

    fg_submission_field(submission, &field);
}

/* A pool hands out its memory from the bottom up, so what was taken in between shows as a gap. */
static void repeated_names_cost_no_memory(void **state)
{
    apr_pool_t *own;
    fg_submission_t *submission;
    char *before, *after;
    int i;

    (void)state;
    assert_int_equal(apr_pool_create(&own, NULL), APR_SUCCESS);
    submission = fg_submission_create(own);
    fg_submission_want(submission, "a");
    give(submission, "a", "0123456789", 10);
    before = apr_palloc(own, 8);
    after = apr_palloc(own, 8);
    assert_ptr_equal(after, before + 8); /* or this pool works otherwise, and the test is void */
    before = after;
    for (i = 0; i < 100000; i++) {
        give(submission, "a", "0123456789", (apr_size_t)i % 11);
        give(submission, "a[]", "1", 1);
        give(submission, "b", "unwanted", 8);
    }
    give(submission, "a", "last", 4);
    after = apr_palloc(own, 8);
    assert_ptr_equal(after, before + 8);
    assert_string_equal(fg_submission_value(submission, "a", NULL, NULL), "last");
    apr_pool_destroy(own);
}

static void growing_values_move_seldom(void **state)
{
    fg_submission_t *submission = wanting("a");
    const char *last = NULL;
    char value[16384];
    apr_size_t len;
    int moves = 0;

    (void)state;
    memset(value, 'v', sizeof(value));
    for (len = 0; len <= sizeof(value); len++) {
        const char *at;
        apr_size_t kept;

        give(submission, "a", value, len);
        at = fg_submission_value(submission, "a", &kept, NULL);
        assert_int_equal(kept, len);
        assert_int_equal(at[len], '\0');
        moves += at != last;
        last = at;
    }
    assert_memory_equal(last, value, sizeof(value));
    assert_in_range(moves, 2, 9); /* doubled each time: under four times the longest in all */
}

/* What comes a second time is told by its fields, whatever stands around them. */
static void a_post_is_told_by_its_fields(void **state)
{
    static const struct {
        const char *type;
        const char *body;
        int same;
    } posts[] = {
        {FORM, "a=1&b=2", 1},
        {FORM, "a=%31&b=2", 1},
        {"multipart/form-data; boundary=x",
         "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
         "--x\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n2\r\n--x--\r\n",
         1},
        {FORM, "a=1&b=3", 0},
        {FORM, "b=2&a=1", 0},
        {FORM, "a=1&b=2&c=", 0},
        {FORM, "a=1b&=2", 0},
        {FORM, "a=1", 0},
    };
    fg_submission_t *first = fg_submission_create(pool);
    size_t i;

    (void)state;
    assert_true(fg_submission_print(first) == 0);
    post(first, FORM, "a=1&b=2");
    assert_true(fg_submission_print(first) != 0);
    for (i = 0; i < sizeof(posts) / sizeof(posts[0]); i++) {
        fg_submission_t *second = fg_submission_create(pool);

        post(second, posts[i].type, posts[i].body);
        assert_int_equal(fg_submission_print(first) == fg_submission_print(second), posts[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_is_told_by_its_fields),
        cmocka_unit_test(forms_are_read_as_php_reads_them),
        cmocka_unit_test(json_members_are_named_by_their_path),
        cmocka_unit_test(files_are_there_and_replace_no_string),
        cmocka_unit_test(several_names_do_not_mix),
        cmocka_unit_test(two_spellings_of_one_name_both_find_it),
        cmocka_unit_test(a_value_may_hold_nul_and_be_cut),
        cmocka_unit_test(the_query_has_no_value_of_the_body),
        cmocka_unit_test(a_query_does_not_disturb_the_body),
        cmocka_unit_test(a_query_is_named_by_php_under_a_json_body_too),
        cmocka_unit_test(a_query_that_is_not_read_to_its_end_may_name_anything),
        cmocka_unit_test(a_value_may_be_in_the_body_or_in_the_query),
        cmocka_unit_test(repeated_names_cost_no_memory),
        cmocka_unit_test(growing_values_move_seldom),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
