/* SPDX-License-Identifier: Apache-2.0 */
/* A field is cut out of a body: what is left is the body without it, however it came in pieces. */
#include "body_case.h"

#include "strip.h"

#define FORM  "application/x-www-form-urlencoded"
#define MULTI "multipart/form-data; boundary=b"
#define JSON  "application/json"

typedef struct strip_case {
    const char *name; /* several with spaces between */
    const char *body;
    const char *left;
} strip_case_t;

/* Find the cuts of a body that comes in pieces: all at once for 0, bytes for 1, else by chance. */
static fg_strip_t *found(const char *type, const char *names, const char *data, size_t len,
                         uint32_t seed, apr_pool_t *pool)
{
    fg_strip_t *strip = fg_strip_create(fg_body_type(type) == FG_BODY_JSON, pool);
    body_text_t fields = {NULL, 0, 0};
    uint32_t random = seed;
    char *copy = strdup(names), *name;
    fg_body_t *body;

    for (name = strtok(copy, " "); name; name = strtok(NULL, " ")) {
        fg_strip_name(strip, name);
    }
    free(copy);
    assert_int_equal(
        fg_body_create(&body, type, &fg_body_default_caps, text_add_field, &fields, pool),
        FG_BODY_OK);
    fg_body_on_cut(body, fg_strip_field, strip);
    while (len) {
        size_t piece = seed == 0 ? len : 1;

        if (seed > 1) {
            random = random * 1664525u + 1013904223u;
            piece = 1 + (random >> 8) % (random >> 30 ? 7 : 3000);
            piece = piece < len ? piece : len;
        }
        fg_body_feed(body, data, piece);
        data += piece;
        len -= piece;
    }
    assert_int_equal(fg_body_finish(body), FG_BODY_OK);
    free(fields.text);
    return strip;
}

/* The body without the cuts, to be freed. */
static char *left_of(const fg_strip_t *strip, const char *data, size_t len)
{
    body_text_t left = {NULL, 0, 0};
    apr_off_t at = 0;
    int count, i;
    const fg_cut_t *cuts = fg_strip_cuts(strip, &count);

    for (i = 0; i < count; i++) {
        assert_true(cuts[i].from >= at && cuts[i].from < cuts[i].to);
        assert_true(i == 0 || cuts[i].from > at);
        text_add(&left, data + at, (size_t)(cuts[i].from - at));
        at = cuts[i].to;
    }
    assert_true(at <= (apr_off_t)len);
    text_add(&left, data + at, len - (size_t)at);
    return left.text;
}

static void leaves(const char *type, const char *names, const char *data, const char *expected)
{
    size_t len = strlen(data);
    uint32_t seed;

    for (seed = 0; seed < 12; seed++) {
        apr_pool_t *pool;
        char *left;

        apr_pool_create(&pool, NULL);
        left = left_of(found(type, names, data, len, seed, pool), data, len);
        if (strcmp(left, expected) != 0) {
            print_error("type %s, cut %u, name %s, body %.300s\n", type, seed, names, data);
        }
        assert_string_equal(left, expected);
        /* And that is sound. */
        found(type, names, left, strlen(left), seed, pool);
        free(left);
        apr_pool_destroy(pool);
    }
}

static void all_leave(const char *type, const strip_case_t *cases, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        leaves(type, cases[i].name, cases[i].body, cases[i].left);
    }
}

#define ALL_LEAVE(type, cases) all_leave(type, cases, sizeof(cases) / sizeof((cases)[0]))

static void a_pair_goes_with_one_ampersand(void **state)
{
    static const strip_case_t cases[] = {
        {"t", "", ""},
        {"t", "a=1&b=2", "a=1&b=2"},
        {"t", "t=x&a=1&b=2", "a=1&b=2"},
        {"t", "a=1&t=x&b=2", "a=1&b=2"},
        {"t", "a=1&b=2&t=x", "a=1&b=2"},
        {"t", "t=x", ""},
        {"t", "t", ""},
        {"t", "t=", ""},
        {"t", "t=x&", ""},
        {"t", "&t=x", ""},
        {"t", "&t=x&", "&"},
        {"t", "t=x&t=y", ""},
        {"t", "t=x&t=y&a=1", "a=1"},
        {"t", "a=1&t=x&t=y", "a=1"},
        {"t", "t=x&a=1&t=y&b=2&t=z", "a=1&b=2"},
        {"t", "a=1&&t=x&&b=2&", "a=1&&&b=2&"},
        {"t", "%74=x%26a=1&a=%74=&+t=y&t%00z=1", "a=%74="},
        {"t", "a=t&at=1&ta=2&T=3&a[t]=4&a=&t=x", "a=t&at=1&ta=2&T=3&a[t]=4&a="},
        {"t", "a=1;t=x;b=2&t=y;c=3&d=4", "a=1;t=x;b=2&d=4"},
        {"t", "t[]=1&t[a][b]=2&a=1&t=3", "a=1"},
        {"g-recaptcha-response", "g-recaptcha-response=x%2By%&a=1&g.recaptcha.response=2",
         "a=1&g.recaptcha.response=2"},
        {"my.token", "my.token=1&my_token=2&my%20token=3&my+token=4&my[token=5&my[token]=6",
         "my[token]=6"},
        {"t u", "a=1&u=2&t=3&b=4&u=5", "a=1&b=4"},
        {"t u", "u=1&t=2&c=3", "c=3"},
    };

    (void)state;
    ALL_LEAVE(FORM, cases);
}

/* Where the token is an element of an array the others must not change by its going. */
static void an_element_goes_if_no_other_depends_on_it(void **state)
{
    static const strip_case_t cases[] = {
        {"c[t]", "c[t]=1&c[n]=2", "c[n]=2"},
        {"c[t]", "c[n]=2&c[t]=1&c[t][]=3&c[t]", "c[n]=2"},
        {"c[t]", "c[t]=1", ""},
        {"c[t]", "d[]=2&c[t]=1&cc[]=3&dd[c][]=1", "d[]=2&cc[]=3&dd[c][]=1"},
        {"c[t]", "c=2&c[t]=1", "c=2&c[t]=1"},
        {"c[t]", "c[t]=1&c[]=2", "c[t]=1&c[]=2"},
        {"c[t]", "c[t]=1&c[x][][y]=2", "c[t]=1&c[x][][y]=2"},
        {"c[5]", "c[5]=1&c[]=2", "c[5]=1&c[]=2"},
        {"c[5]", "c[5]=1&c[6]=2", "c[6]=2"},
        {"c[a][t]", "c[a]=2&c[a][t]=1", "c[a]=2&c[a][t]=1"},
        {"c[a][t]", "c[a][t]=1&c[b]=3", "c[b]=3"},
        {"c[]", "c[]=1&c[]=2&d=3", "d=3"},
    };

    (void)state;
    ALL_LEAVE(FORM, cases);
}

#define CD        "Content-Disposition: form-data; name="
#define PART(n)   "--b\r\n" CD "\"" n "\"\r\n\r\nvalue of " n "\r\n"
#define FILE_PART "--b\r\n" CD "f; filename=x\r\nContent-Type: image/png\r\n\r\n\r\n--c\r\nt=\r\n"
#define NL_PART   "--b\n" CD "a\n\nx\n"
#define NL_TOKEN  "--b\n" CD "t\n\n"

static void a_part_goes_with_its_delimiter(void **state)
{
    static const strip_case_t cases[] = {
        {"t", "", ""},
        {"t", "--b--\r\n", "--b--\r\n"},
        {"t", PART("t") "--b--\r\n", "--b--\r\n"},
        {"t", PART("t") PART("a") PART("c") "--b--\r\n", PART("a") PART("c") "--b--\r\n"},
        {"t", PART("a") PART("t") PART("c") "--b--\r\n", PART("a") PART("c") "--b--\r\n"},
        {"t", PART("a") PART("c") PART("t") "--b--\r\n", PART("a") PART("c") "--b--\r\n"},
        {"t", PART("a") PART("t") FILE_PART "--b--", PART("a") FILE_PART "--b--"},
        {"t", FILE_PART PART("t") "--b--epilogue", FILE_PART "--b--epilogue"},
        {"t", PART("t") PART("t") FILE_PART PART("t") PART("t[]") "--b--", FILE_PART "--b--"},
        {"t", "pre\r\namble\r\n" PART("t") PART("a") "--b--\r\nepi\r\nlogue",
         "pre\r\namble\r\n" PART("a") "--b--\r\nepi\r\nlogue"},
        {"t", "\r\n" PART("t") "--b--", "\r\n--b--"},
        {"t", PART("T") PART("at") PART("a[t]") "--b--", PART("T") PART("at") PART("a[t]") "--b--"},
        {"t", NL_PART NL_TOKEN "x\n" NL_PART "--b--\n", NL_PART NL_PART "--b--\n"},
        {"t", NL_PART NL_TOKEN "x\r\n--b--\n", NL_PART "--b--\n"},
        {"t", NL_PART PART("t") NL_PART "--b--", NL_PART NL_PART "--b--"},
        {"t", NL_TOKEN "\n--b--", "--b--"},
        {"t",
         "--b\r\nX: y\r\nContent-Disposition: form-data;\r\n name=t\r\n\r\nx\r\n" PART("a") "--b--",
         PART("a") "--b--"},
        /* A file of that name is no token, and lands elsewhere. */
        {"f", PART("f") FILE_PART "--b--", FILE_PART "--b--"},
        {"my.token", PART("my.token") PART("my token") PART("my_token") PART("a") "--b--",
         PART("a") "--b--"},
        {"c[t]", PART("c") PART("c[t]") "--b--", PART("c") PART("c[t]") "--b--"},
        {"c[t]", PART("c[n]") PART("c[t]") "--b--", PART("c[n]") "--b--"},
        {"t u", PART("u") PART("a") PART("t") PART("u") "--b--", PART("a") "--b--"},
    };

    (void)state;
    ALL_LEAVE(MULTI, cases);
}

static void a_member_goes_with_one_comma(void **state)
{
    static const strip_case_t cases[] = {
        {"t", "{}", "{}"},
        {"t", "\"t\"", "\"t\""},
        {"t", "[\"t\"]", "[\"t\"]"},
        {"t", "{\"t\":1}", "{}"},
        {"t", " { \"t\" : \"x\" } ", " {  } "},
        {"t", "{\"t\":1,\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}"},
        {"t", "{\"a\":2,\"t\":1,\"b\":3}", "{\"a\":2,\"b\":3}"},
        {"t", "{\"a\":2,\"b\":3,\"t\":1}", "{\"a\":2,\"b\":3}"},
        {"t", "{\n  \"t\": 1,\n  \"a\": 2\n}\n", "{\n  \"a\": 2\n}\n"},
        {"t", "{\n  \"a\": 2,\n  \"t\": 1,\n  \"b\": 3\n}\n", "{\n  \"a\": 2,\n  \"b\": 3\n}\n"},
        {"t", "{\n  \"a\": 2,\n  \"t\": 1\n}\n", "{\n  \"a\": 2\n}\n"},
        {"t", "{\"a\":2 , \"t\" : 1 , \"b\":3}", "{\"a\":2  , \"b\":3}"},
        {"t", "{\"t\":1,\"t\":2}", "{}"},
        {"t", "{\"t\":1,\"t\":2,\"a\":3}", "{\"a\":3}"},
        {"t", "{\"a\":3,\"t\":1,\"t\":2}", "{\"a\":3}"},
        {"t", "{\"t\":1,\"a\":3,\"t\":true,\"b\":4,\"t\":null}", "{\"a\":3,\"b\":4}"},
        {"t", "{\"t\":{},\"a\":[],\"t\":[]}", "{\"a\":[]}"},
        {"t", "{\"t\":{\"t\":[1,{\"t\":2}]},\"a\":1,\"t\":\",}\\\"\",\"b\":-1.5e3}",
         "{\"a\":1,\"b\":-1.5e3}"},
        {"t", "{\"a\":{\"t\":1},\"b\":[{\"t\":1}],\"t\":1}", "{\"a\":{\"t\":1},\"b\":[{\"t\":1}]}"},
        {"t", "{\"\\u0074\":\"x\",\"T\":1}", "{\"T\":1}"},
        {"t", "{\"a\":12,\"t\":34,\"b\":56}", "{\"a\":12,\"b\":56}"},
        {"t", "[{\"t\":1}]", "[{\"t\":1}]"},
        {"0", "[1,2]", "[1,2]"},
        {"a.0", "{\"a\":[1,2]}", "{\"a\":[1,2]}"},
        {"a", "{\"a\":[1,2]}", "{}"},
        {"f.t", "{\"f\":{\"a\":1,\"t\":2},\"t\":3}", "{\"f\":{\"a\":1},\"t\":3}"},
        {"f.t", "{\"f\":{\"t\":2}}", "{\"f\":{}}"},
        {"f.t", "{\"f\":{\"t\":2},\"f.t\":1,\"f\":{\"t\":[],\"b\":1}}",
         "{\"f\":{},\"f\":{\"b\":1}}"},
        {"my.t", "{\"my.t\":1,\"my_t\":2,\"my t\":3}", "{\"my_t\":2,\"my t\":3}"},
        {"t u", "{\"u\":1,\"t\":2}", "{}"},
        {"t t.a t.b", "{\"x\":1,\"t\":{\"a\":2,\"c\":3,\"b\":4},\"y\":5}", "{\"x\":1,\"y\":5}"},
        {"t.b t", "{\"t\":{\"b\":4}}", "{}"},
        {"t u", "{\"u\":1,\"a\":3,\"t\":2}", "{\"a\":3}"},
    };

    (void)state;
    ALL_LEAVE(JSON, cases);
}

/* More cuts than are kept: the body stays whole. Those side by side are one. */
static void cuts_are_bounded(void **state)
{
    char *most = repeated("a=1&t=x&", FG_CUTS_MAX), *more = repeated("a=1&t=x&", FG_CUTS_MAX + 1);
    char *left = repeated("a=1&", FG_CUTS_MAX), *row = repeated("&t=x", 500);
    char *long_row = malloc(strlen(row) + 4);

    (void)state;
    leaves(FORM, "t", most, left);
    leaves(FORM, "t", more, more);
    assert_non_null(long_row);
    strcpy(long_row, "a=1");
    strcat(long_row, row);
    leaves(FORM, "t", long_row, "a=1");
    free(most);
    free(more);
    free(left);
    free(row);
    free(long_row);
}

/* The part stands behind much more than a window of the reader, and is larger than one. */
static void large_parts_are_cut_where_they_are(void **state)
{
    char *data = repeated("0123456789abcde\n", 5000);
    body_text_t body = {NULL, 0, 0}, left = {NULL, 0, 0};
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        text_add(&body, "--b\r\n" CD "f; filename=x\r\n\r\n",
                 strlen("--b\r\n" CD "f; filename=x\r\n\r\n"));
        text_add(&body, data, strlen(data));
        text_add(&body, "\r\n", 2);
    }
    text_add(&left, body.text, body.len);
    text_add(&body, "--b\r\n" CD "t\r\n\r\n", strlen("--b\r\n" CD "t\r\n\r\n"));
    text_add(&body, data, strlen(data));
    text_add(&body, "\r\n" FILE_PART "--b--", strlen("\r\n" FILE_PART "--b--"));
    text_add(&left, FILE_PART "--b--", strlen(FILE_PART "--b--"));
    leaves(MULTI, "t", body.text, left.text);
    free(data);
    free(body.text);
    free(left.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_goes_with_one_ampersand),
        cmocka_unit_test(an_element_goes_if_no_other_depends_on_it),
        cmocka_unit_test(a_part_goes_with_its_delimiter),
        cmocka_unit_test(a_member_goes_with_one_comma),
        cmocka_unit_test(cuts_are_bounded),
        cmocka_unit_test(large_parts_are_cut_where_they_are),
    };

    return cmocka_run_group_tests(tests, body_set_up, body_tear_down);
}
