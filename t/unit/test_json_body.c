/* SPDX-License-Identifier: Apache-2.0 */
#include "body_case.h"

#define TYPE "application/json"

static void members_are_named_by_path(void **state)
{
    static const body_case_t cases[] = {
        {"", "OK", 0},
        {"{}", "OK", 0},
        {"[]", "OK", 0},
        {"[[],{},[{}]]", "OK", 0},
        {"\"x\"", "=x|OK", 0},
        {" \t\r\n-0.5e+10 ", "=-0.5e+10|OK", 0},
        {"12", "=12|OK", 0},
        {"null", "=null|OK", 0},
        {"{\"a\":1,\"b\":\"2\"}", "a=1|b=2|OK", 0},
        {"{\"a\":{\"b\":{\"c\":1},\"d\":2},\"e\":3}", "a.b.c=1|a.d=2|e=3|OK", 0},
        {"{\"a\":[1,[2,3],{\"b\":4}],\"c\":5}", "a.0=1|a.1.0=2|a.1.1=3|a.2.b=4|c=5|OK", 0},
        {"[1,{\"a\":2},[],3]", "0=1|1.a=2|3=3|OK", 0},
        {"{\"a\":1,\"a\":2}", "a=1|a=2|OK", 0},
        {"{\"\":1,\"b\":{\"\":2}}", "=1|b.=2|OK", 0},
        {"{\"a.b\":1,\"a b\":2}", "a.b=1|a b=2|OK", 0},
        {" { \"a\" : [ true , false , null ] } ", "a.0=true|a.1=false|a.2=null|OK", 0},
        {"[0,10,-1,1.5,1e5,1E-5,-0]", "0=0|1=10|2=-1|3=1.5|4=1e5|5=1E-5|6=-0|OK", 0},
        {"{\"\\u0061\\\"\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a\"=\"\\5c/\\08\\0c\\0a\\0d\\09|OK",
         0},
        {"\"\\u00e9\\u20AC\\ud83d\\uDE00\\uffff\"",
         "=\\c3\\a9\\e2\\82\\ac\\f0\\9f\\98\\80\\ef\\bf\\bf|OK", 0},
        {"\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\x7f\"",
         "=\\c2\\80\\e0\\a0\\80\\ed\\9f\\bf\\f0\\90\\80\\80\\f4\\8f\\bf\\bf\\7f|OK", 0},
    };

    (void)state;
    BODY_CASES(TYPE, cases);
    BODY_CASES("application/vnd.api+json; charset=utf-8", cases);
}

static void broken_grammar_is_malformed(void **state)
{
    static const char *const bodies[] = {
        " ",
        "{",
        "[",
        "{]",
        "[}",
        "[1,]",
        "{,}",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:2}",
        "{'a':1}",
        "[1 2]",
        "1 2",
        "1,2",
        "[1]]",
        "[1]x",
        "{} {}",
        "tru",
        "True",
        "truex",
        "nul",
        "01",
        "-",
        "-x",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "0x1",
        "1.5.5",
        "NaN",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u\"",
        "\"a\nb\"",
        "\"\x1f\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\"",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xc1\xbf\"",
        "\"\xe0\x80\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf0\x80\x80\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xe2\x82\"",
        "\xef\xbb\xbf{}",
        "// x\n1",
        "{\"\\u0000\":1}",
        "\v1",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const char *last;
        char *got;
        uint32_t seed;

        /* Fields before the break may have come. */
        for (seed = 0; seed < 6; seed++) {
            got = body_read(TYPE, &fg_body_default_caps, text_add_field, NULL, bodies[i],
                            strlen(bodies[i]), seed);
            last = strrchr(got, '|');
            last = last ? last + 1 : got;
            if (strcmp(last, "MALFORMED") != 0) {
                print_error("body %s\n", bodies[i]);
            }
            assert_string_equal(last, "MALFORMED");
            free(got);
        }
    }
    body_gives_len(TYPE, &fg_body_default_caps, "\"a\0b\"", 5, "MALFORMED");
    body_gives_len(TYPE, &fg_body_default_caps, "1\0", 2, "=1|MALFORMED");
    body_gives_len(TYPE, &fg_body_default_caps, "\"\\\0\"", 4, "MALFORMED");
}

static void nesting_is_capped(void **state)
{
    char *deep = repeated("[", 32), body[128];
    fg_body_caps_t caps = fg_body_default_caps;

    (void)state;
    snprintf(body, sizeof(body), "%s1", deep);
    body_gives(TYPE, &fg_body_default_caps, body, "MALFORMED");
    snprintf(body, sizeof(body), "[%s1", deep);
    body_gives(TYPE, &fg_body_default_caps, body, "TOO_DEEP");
    free(deep);

    caps.depth = 2;
    body_gives(TYPE, &caps, "[[1],{\"a\":2}]", "0.0=1|1.a=2|OK");
    body_gives(TYPE, &caps, "[[1],{\"a\":{}}]", "0.0=1|TOO_DEEP");
    caps.depth = 100000;
    caps.name_len = 10000;
    deep = repeated("[", 513);
    body_gives(TYPE, &caps, deep, "TOO_DEEP");
    free(deep);
    caps.depth = 0;
    body_gives(TYPE, &caps, "1", "=1|OK");
    body_gives(TYPE, &caps, "[]", "TOO_DEEP");
}

static void fields_names_and_values_are_capped(void **state)
{
    fg_body_caps_t caps = fg_body_default_caps;

    (void)state;
    caps.fields = 2;
    body_gives(TYPE, &caps, "[1,2]", "0=1|1=2|OK");
    body_gives(TYPE, &caps, "[1,2,3]", "0=1|1=2|TOO_MANY");
    caps.name_len = 3;
    body_gives(TYPE, &caps, "{\"abc\":1}", "abc=1|OK");
    body_gives(TYPE, &caps, "{\"abcd\":1}", "NAME_TOO_LONG");
    body_gives(TYPE, &caps, "{\"a\":{\"b\":1,\"bc\":2}}", "a.b=1|NAME_TOO_LONG");
    body_gives(TYPE, &caps, "{\"ab\":[1]}", "NAME_TOO_LONG");
    caps.value_kept = 2;
    body_gives(TYPE, &caps, "[\"abc\",12345]", "0=ab~3|1=12~5|OK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_named_by_path),
        cmocka_unit_test(broken_grammar_is_malformed),
        cmocka_unit_test(nesting_is_capped),
        cmocka_unit_test(fields_names_and_values_are_capped),
    };

    return cmocka_run_group_tests(tests, body_set_up, body_tear_down);
}
