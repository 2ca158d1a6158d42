/* SPDX-License-Identifier: Apache-2.0 */
#include "body_case.h"

#define TYPE "application/x-www-form-urlencoded"

static void fields_are_php_s(void **state)
{
    static const body_case_t cases[] = {
        {"", "OK", 0},
        {"a=1", "a=1|OK", 0},
        {"a=1&b=2", "a=1|b=2|OK", 0},
        {"a=1&a=2", "a=1|a=2|OK", 0},
        {"a=1&&b=2&", "a=1|b=2|OK", 0},
        {"&&&", "OK", 0},
        {"a", "a=|OK", 0},
        {"a&b", "a=|b=|OK", 0},
        {"a=", "a=|OK", 0},
        {"=v", "OK", 0},
        {"=", "OK", 0},
        {"a=b=c", "a=b=c|OK", 0},
        {"a;b=1;c=2", "a;b=1;c=2|OK", 0},
        {"a=x+y%2Bz", "a=x y+z|OK", 0},
        {"%61=%41%4a%4A", "a=AJJ|OK", 0},
        {"a=%26%3D%25", "a=&=%|OK", 0},
        {"a%26b%3Dc=1", "a&b\\3dc=1|OK", 0},
        {"a=%zz&b=%4&c=%", "a=%zz|b=%4|c=%|OK", 0},
        {"a=%4x%%41%4%41", "a=%4x%A%4A|OK", 0},
        {"%=1&%4=2&a%zz=3", "%=1|%4=2|a%zz=3|OK", 0},
        {"a.b=1&c+d=2&+e=3&%20f=4", "a_b=1|c_d=2|e=3|f=4|OK", 0},
        {"a[b]=1&a%5B%5D=2&a[b.c]=3", "a[b]=1|a[]=2|a[b.c]=3|OK", 0},
        {"a[b=1&[a]=2", "a_b=1|OK", 0},
        {"a%00b=1&%00c=2&d=%00e", "a=1|d=\\00e|OK", 0},
        NUL_CASE("a=1&b=2\0003", "a=1|MALFORMED"),
        NUL_CASE("a=1&b\0c=3", "a=1|MALFORMED"),
        {"a=1&%1b(Bb=2&c=3", "a=1|MALFORMED", 0},
        {"n=%E5%90%8D", "n=\\e5\\90\\8d|OK", 0},
        {"n=\xe5\x90\x8d\r\n", "n=\\e5\\90\\8d\\0d\\0a|OK", 0},
        {"_.Host-x=1&a=2", "a=2|OK", 0},
    };

    (void)state;
    BODY_CASES(TYPE, cases);
}

/* PHP would not only drop these: others of the same base go or change with them. */
static void destructive_names_are_refused(void **state)
{
    char *keys = repeated("[x]", 65), body[256];

    (void)state;
    snprintf(body, sizeof(body), "a=1&a%s=2&b=3", keys);
    body_gives(TYPE, &fg_body_default_caps, body, "a=1|MALFORMED");
    body_gives(TYPE, &fg_body_default_caps, "a=1&a[__Host-x]=2&b=3", "a=1|MALFORMED");
    free(keys);
}

static void fields_are_capped(void **state)
{
    fg_body_caps_t caps = fg_body_default_caps;

    (void)state;
    caps.fields = 2;
    body_gives(TYPE, &caps, "a=1&b=2", "a=1|b=2|OK");
    body_gives(TYPE, &caps, "a=1&b=2&", "a=1|b=2|OK");
    body_gives(TYPE, &caps, "a=1&b=2&c=3&d=4", "a=1|b=2|TOO_MANY");
    body_gives(TYPE, &caps, "a=1&b=2&c", "a=1|b=2|TOO_MANY");
    body_gives(TYPE, &caps, "a=1&&b=2", "a=1|TOO_MANY");
    caps.fields = 0;
    body_gives(TYPE, &caps, "", "OK");
    body_gives(TYPE, &caps, "a", "TOO_MANY");
}

static void names_are_capped(void **state)
{
    fg_body_caps_t caps = fg_body_default_caps;

    (void)state;
    caps.name_len = 3;
    body_gives(TYPE, &caps, "abc=1&%61%62%63=2", "abc=1|abc=2|OK");
    body_gives(TYPE, &caps, "a=1&abcd=1&b=2", "a=1|NAME_TOO_LONG");
    body_gives(TYPE, &caps, "ab%6", "NAME_TOO_LONG");
}

static void values_are_cut_and_counted(void **state)
{
    fg_body_caps_t caps = fg_body_default_caps;

    (void)state;
    caps.value_kept = 3;
    body_gives(TYPE, &caps, "a=abc&b=ab%63%64e&c=d", "a=abc|b=abc~5|c=d|OK");
    caps.value_kept = 0;
    body_gives(TYPE, &caps, "a=&b=abc", "a=|b=~3|OK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_php_s),
        cmocka_unit_test(destructive_names_are_refused),
        cmocka_unit_test(fields_are_capped),
        cmocka_unit_test(names_are_capped),
        cmocka_unit_test(values_are_cut_and_counted),
    };

    return cmocka_run_group_tests(tests, body_set_up, body_tear_down);
}
