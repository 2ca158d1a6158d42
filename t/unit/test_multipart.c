/* SPDX-License-Identifier: Apache-2.0 */
#include "body_case.h"

#define TYPE    "multipart/form-data; boundary=b"
#define CD      "Content-Disposition: form-data; "
#define A       "--b\r\n" CD "name=\"a\"\r\n\r\nv\r\n"
#define F       "--b\r\n" CD "name=\"f\"; filename=\"x\"\r\nContent-Type: x/y\r\n\r\n1\r\n2\r\n"
#define END     "--b--\r\n"
#define PART(h) "--b\r\n" h "\r\n\r\nv\r\n--b--\r\n"

static void forms_are_read(void **state)
{
    static const body_case_t cases[] = {
        {"", "OK", 0},
        {END, "OK", 0},
        {A END, "a=v|OK", 0},
        {A "--b--", "a=v|OK", 0},
        {A A END, "a=v|a=v|OK", 0},
        {A F A END, "a=v|f@4|a=v|OK", 0},
        {F A F END, "f@4|a=v|f@4|OK", 0},
        {"\r\n" A END, "a=v|OK", 0},
        {"preamble\r\n" A END "epilogue\r\n-- b", "a=v|OK", 0},
        {"--b\n" CD "name=a\n\nv\nw\n--b--\n", "a=v\\0aw|OK", 0},
        {"--b\r\n" CD "name=a\r\n\r\n\r\n--b--", "a=|OK", 0},
        {"--b\r\n" CD "name=a\r\n\r\n\n--b--", "a=|OK", 0},
        {"--b\r\n" CD "name=a\r\n\r\n\r\r\n--b--", "a=\\0d|OK", 0},
        {"--b\r\n" CD "name=a\r\n\r\n\r\n\r\n-b\r\n--c\r\n\r\n--b--",
         "a=\\0d\\0a\\0d\\0a-b\\0d\\0a--c\\0d\\0a|OK", 0},
        NUL_CASE("--b\r\n" CD "name=a\r\n\r\nx\0y\r\n--b--", "a=x\\00y|OK"),
        {"--b\r\n" CD "name=\"\"\r\n\r\nv\r\n" A END, "a=v|OK", 0},
        {"--b\r\n" CD "name=\"a.b[c.d]\"\r\n\r\nv\r\n" A END, "a_b[c.d]=v|a=v|OK", 0},
        {"--b\r\n" CD "name=\"f[]\"; filename=\"\"\r\n\r\n\r\n" END, "f[]@0|OK", 0},
        {"--b\r\n" CD "name=\"i[p]\"; filename=x\r\n\r\n1\r\n--b\r\n" CD
         "name=\"i[t]\"\r\n\r\nv\r\n" END,
         "i[p]@1|i[t]=v|OK", 0},
    };

    (void)state;
    BODY_CASES(TYPE, cases);
}

static void headers_are_read_as_php_does(void **state)
{
    static const body_case_t cases[] = {
        {PART(CD "name=a"), "a=v|OK", 0},
        {PART(CD "name='a b'"), "a_b=v|OK", 0},
        {PART(CD "name=a b"), "a=v|OK", 0},
        {PART(CD "NAME=\"a\""), "a=v|OK", 0},
        {PART(CD "name= \"a\""), "a=v|OK", 0},
        {PART(CD "name=\"a\\\"b\\\\c\\d\""), "a\"b\\5cc\\5cd=v|OK", 0},
        {PART(CD "name=\"a;b\""), "a;b=v|OK", 0},
        {PART(CD "name=\"a\"x"), "a=v|OK", 0},
        {PART(CD "name=\"a"), "a=v|OK", 0},
        {PART(CD "name=\"\xe5\x90\x8d\""), "\\e5\\90\\8d=v|OK", 0},
        {PART(CD "name=\"a\"; filename=\"x;name=y\""), "a@1|OK", 0},
        {PART(CD "filename=x; name=a"), "a@1|OK", 0},
        {PART(CD "name=a; filename"), "a=v|OK", 0},
        {PART(CD "name=a; filename="), "a@1|OK", 0},
        {PART(CD "name=a; filename*=UTF-8''x"), "a=v|OK", 0},
        {PART(CD "name=a; name*=UTF-8''b"), "a=v|OK", 0},
        {PART("content-disposition:form-data;name=a"), "a=v|OK", 0},
        {PART("Content-Disposition: attachment; name=a"), "a=v|OK", 0},
        {PART("X: y\r\n" CD "name=a\r\nZ: 1\r\n 2"), "a=v|OK", 0},
        {PART("Content-Disposition: form-data;\r\n\tname=a"), "a=v|OK", 0},
        {PART("Content-Disposition:\r\n form-data; name=a;\r\n filename=x"), "a@1|OK", 0},
        {PART("Content-Transfer-Encoding: base64\r\n" CD "name=a"), "a=v|OK", 0},
    };

    (void)state;
    BODY_CASES(TYPE, cases);
}

/* Where PHP's two ways through a part, or PHP and others, would differ. */
static void ambiguous_bodies_are_malformed(void **state)
{
    static const body_case_t cases[] = {
        {"x", "MALFORMED", 0},
        {A, "MALFORMED", 0},
        {"--b", "MALFORMED", 0},
        {"--b\r\n", "MALFORMED", 0},
        {"--b-", "MALFORMED", 0},
        {"--b-x", "MALFORMED", 0},
        {A "--b\r\n", "a=v|MALFORMED", 0},
        {A "--b \r\n", "a=v|MALFORMED", 0},
        {A "--bb\r\n" END, "a=v|MALFORMED", 0},
        {A "--b\r\r\n" END, "a=v|MALFORMED", 0},
        {A END A END, "a=v|MALFORMED", 0},
        {A END "x--b", "a=v|MALFORMED", 0},
        {"x" A END, "MALFORMED", 0},
        {"--b\r\n" CD "name=a\r\n\r\nx--b\r\n" END, "MALFORMED", 0},
        {"--b\r\n" CD "name=a\r\n\r\nx\r--b\r\n" END, "MALFORMED", 0},
        {"--b\r\n" CD "name=a\r\n\r\n--b\r\n" CD "name=c\r\n\r\nv\r\n" END, "MALFORMED", 0},
        {"--b\r\n" CD "name=a\r\n--b\r\n\r\nv\r\n" END, "MALFORMED", 0},
        {"--b\r\n\r\nv\r\n" A END, "MALFORMED", 0},
        {PART("Content-Type: text/plain"), "MALFORMED", 0},
        {PART("Content-Disposition: form-data"), "MALFORMED", 0},
        {PART(CD "name"), "MALFORMED", 0},
        {PART(CD "name =a"), "MALFORMED", 0},
        {PART(CD "filename=x"), "MALFORMED", 0},
        {PART(CD "name=a; name=b"), "MALFORMED", 0},
        {PART(CD "name=a; filename=x; filename=y"), "MALFORMED", 0},
        {PART(CD "name=a\r\n" CD "name=b"), "MALFORMED", 0},
        {PART("Content-Disposition : form-data; name=a"), "MALFORMED", 0},
        {PART("X\r\n" CD "name=a"), "MALFORMED", 0},
        {PART(": x\r\n" CD "name=a"), "MALFORMED", 0},
        {PART(" x\r\n" CD "name=a"), "MALFORMED", 0},
        {PART(CD "name=a\rX: y"), "MALFORMED", 0},
        NUL_CASE("--b\r\n" CD "name=\"a\0b\"\r\n\r\nv\r\n" END, "MALFORMED"),
        /* to a PHP that converts Shift_JIS `ソ` is no escape, and the field is b */
        {"--b\r\n" CD "name=\"\x83\x5c\"; x=\"; name=b; y=\"\r\n\r\nv\r\n" END, "MALFORMED", 0},
        {"--b\r\n" CD "name=\"\x95\x5c\x5c\"; x=\"\r\n\r\nv\r\n" END, "MALFORMED", 0},
        {"--b\r\n" CD "name=\"\x1b(Ba\"\r\n\r\nv\r\n" END, "MALFORMED", 0},
        {PART(CD "name=\"a[ b]\""), "MALFORMED", 0},
        {PART(CD "name=\"a[__Host-x]\""), "MALFORMED", 0},
        {PART(CD "name=\"f[\"; filename=x"), "MALFORMED", 0},
        {PART(CD "name=\"f]\"; filename=x"), "MALFORMED", 0},
        {PART(CD "name=\"f[a]b\"; filename=x"), "MALFORMED", 0},
    };

    (void)state;
    BODY_CASES(TYPE, cases);
}

/* PHP keeps these out of $_POST, filter_input() has them. */
static void field_named_like_a_file_before_is_malformed(void **state)
{
    static const body_case_t cases[] = {
        {F "--b\r\n" CD "name=\"f\"\r\n\r\nv\r\n" END, "f@4|MALFORMED", 0},
        {F "--b\r\n" CD "name=\" f\"\r\n\r\nv\r\n" END, "f@4|MALFORMED", 0},
        {F "--b\r\n" CD "name=\"f[tmp_name]\"\r\n\r\nv\r\n" END, "f@4|MALFORMED", 0},
        {"--b\r\n" CD "name=\"g[a]\"; filename=x\r\n\r\n1\r\n--b\r\n" CD
         "name=\"g[tmp_name][a]\"\r\n\r\nv\r\n" END,
         "g[a]@1|MALFORMED", 0},
        {F "--b\r\n" CD "name=\"f[name]\"\r\n\r\nv\r\n" END, "f@4|f[name]=v|OK", 0},
        {"--b\r\n" CD "name=f\r\n\r\nv\r\n" F END, "f=v|f@4|OK", 0},
    };

    (void)state;
    BODY_CASES(TYPE, cases);
}

static void boundary_is_what_every_reader_finds(void **state)
{
    static const char *const good[] = {
        "multipart/form-data; boundary=b",
        "multipart/form-data;boundary=b",
        "Multipart/Form-Data; charset=utf-8; Boundary=\"b\"",
        "multipart/form-data; boundary=b; charset=utf-8",
        "multipart/form-data; boundary=\"b\" ; charset=utf-8",
    };
    static const char *const bad[] = {
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"b",
        "multipart/form-data; boundary=\"b\"c",
        "multipart/form-data; boundary=\"b\\\"\"",
        "multipart/form-data; boundary =b",
        "multipart/form-data; boundary= b",
        "multipart/form-data; boundary=b c",
        "multipart/form-data; boundary=b,c",
        "multipart/form-data; boundary*=b",
        "multipart/form-data; xboundary=b",
        "multipart/form-data; boundaryx=b",
        "multipart/form-data; boundary=b; boundary=b",
        "multipart/form-data; Boundary=c; boundary=b",
        "multipart/form-data; Boundary=xboundary=b",
    };
    char type[512], *long_boundary = repeated("x", 251);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        body_gives(good[i], &fg_body_default_caps, A END, "a=v|OK");
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        body_gives(bad[i], &fg_body_default_caps, A END, "MALFORMED");
    }
    snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", long_boundary);
    body_gives(type, &fg_body_default_caps, "", "MALFORMED");
    type[strlen(type) - 1] = '\0';
    body_gives(type, &fg_body_default_caps, "", "OK");
    free(long_boundary);
}

/* Near-misses of a boundary that repeats itself, across pieces and window ends. */
static void boundary_is_found_behind_near_misses(void **state)
{
    static const char boundary[] = "aab-aab", cd[] = CD "name=a; filename=x\r\n\r\n";
    static const char near[] = "\r\n--aab-aaa\r\n--aab-aa\n--aaab-aab\r\n-\r\n--aab-\r\r\n";
    char *body = malloc(64 * 1024), expected[64];
    size_t copies;

    (void)state;
    assert_non_null(body);
    for (copies = 1; copies < 500; copies += 37) {
        char *data = repeated(near, copies);
        int len = snprintf(body, 64 * 1024, "--%s\r\n%s%s\r\n--%s--", boundary, cd, data, boundary);

        snprintf(expected, sizeof(expected), "a@%lu|OK", (unsigned long)strlen(data));
        body_gives_len("multipart/form-data; boundary=aab-aab", &fg_body_default_caps, body, len,
                       expected);
        free(data);
    }
    free(body);
}

static int add_cut(void *baton, const char *name, apr_size_t len, apr_off_t from, apr_off_t to)
{
    char text[80];

    text_add(baton, name, len);
    text_add(baton, text, snprintf(text, sizeof(text), "[%ld,%ld)", (long)from, (long)to));
    return 1;
}

/* Where in a body that comes in one piece or in large ones its fields stand. */
static char *cuts_of(const char *type, const char *data, size_t len, size_t most)
{
    body_text_t cuts = {NULL, 0, 0}, fields = {NULL, 0, 0};
    apr_pool_t *pool;
    fg_body_t *body;

    apr_pool_create(&pool, NULL);
    fg_body_create(&body, type, &fg_body_default_caps, text_add_field, &fields, pool);
    fg_body_on_cut(body, add_cut, &cuts);
    while (len) {
        size_t piece = len < most ? len : most;

        fg_body_feed(body, data, piece);
        data += piece;
        len -= piece;
    }
    assert_int_equal(fg_body_finish(body), FG_BODY_OK);
    apr_pool_destroy(pool);
    free(fields.text);
    return cuts.text;
}

/* A file is looked through where it lies: what delimits it may stand anywhere, or be cut. */
static void large_files_are_passed_over(void **state)
{
    static const char type[] = "multipart/form-data; boundary=aab-aab";
    static const char start[] = "--aab-aab\r\n" CD "name=f; filename=x\r\n\r\n";
    static const char end[] = "\r\n--aab-aab\r\n" CD "name=n\r\n\r\nv\r\n--aab-aab--";
    static const size_t more[] = {0, 2000, 4080, 8120, 16300};
    size_t i, n;

    (void)state;
    for (i = 0; i < sizeof(more) / sizeof(*more); i++) {
        for (n = 0; n < 90; n++) {
            size_t size = more[i] + n, head = sizeof(start) - 1, most;
            char *fill = repeated("-\n\r", size / 3 + 1), *body = malloc(40000), expected[80];
            char *epilogue = repeated("z", n & 1 ? 5000 : 0);
            int len = snprintf(body, 40000, "%s%.*s%s%s", start, (int)size, fill, end, epilogue);

            snprintf(expected, sizeof(expected), "f@%lu|n=v|OK", (unsigned long)size);
            body_gives_len(type, &fg_body_default_caps, body, (size_t)len, expected);
            snprintf(expected, sizeof(expected), "n[%lu,%lu)", (unsigned long)(head + size + 2),
                     (unsigned long)(head + size + sizeof(end) - 1 - 11));
            for (most = 1; most < 20000; most = most * 3 + 7) {
                char *cuts = cuts_of(type, body, (size_t)len, most);

                assert_string_equal(cuts, expected);
                free(cuts);
            }
            /* The same where no line ends. */
            body[head + size + 1] = 'y';
            body_gives(type, &fg_body_default_caps, body, "MALFORMED");
            free(epilogue);
            free(fill);
            free(body);
        }
    }
}

static void headers_names_and_fields_are_capped(void **state)
{
    fg_body_caps_t caps = fg_body_default_caps;
    char *fill = repeated("x", 4096 - (sizeof(CD "name=a\r\nX: \r\n\r\n") - 1));
    char *body = malloc(2 * 4096);

    (void)state;
    assert_non_null(body);
    snprintf(body, 2 * 4096, PART(CD "name=a\r\nX: %s"), fill);
    body_gives(TYPE, &caps, body, "a=v|OK");
    snprintf(body, 2 * 4096, PART(CD "name=a\r\nX: %sx"), fill);
    body_gives(TYPE, &caps, body, "NAME_TOO_LONG");
    snprintf(body, 2 * 4096, "--b\r\nX: %s%80s", fill, "");
    body_gives(TYPE, &caps, body, "NAME_TOO_LONG");
    free(fill);
    free(body);

    caps.name_len = 3;
    body_gives(TYPE, &caps, PART(CD "name=abc; filename=abcd"), "abc@1|OK");
    body_gives(TYPE, &caps, PART(CD "name=abcd"), "NAME_TOO_LONG");
    caps.fields = 2;
    body_gives(TYPE, &caps, A F END, "a=v|f@4|OK");
    body_gives(TYPE, &caps, A F A END, "a=v|f@4|TOO_MANY");
    caps.value_kept = 1;
    body_gives(TYPE, &caps, "--b\r\n" CD "name=a\r\n\r\nvwx\r\n" END, "a=v~3|OK");
}

/* The names of files are remembered, so their number has a bound of its own. */
static void files_are_capped(void **state)
{
    fg_body_caps_t caps = fg_body_default_caps;
    char *files = repeated(F, 1001), *expected = repeated("f@4|", 1003);

    (void)state;
    caps.fields = 100000;
    strcpy(expected + 4 * 1000, "TOO_MANY");
    body_gives(TYPE, &caps, files, expected);
    free(files);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_read),
        cmocka_unit_test(headers_are_read_as_php_does),
        cmocka_unit_test(ambiguous_bodies_are_malformed),
        cmocka_unit_test(field_named_like_a_file_before_is_malformed),
        cmocka_unit_test(boundary_is_what_every_reader_finds),
        cmocka_unit_test(boundary_is_found_behind_near_misses),
        cmocka_unit_test(large_files_are_passed_over),
        cmocka_unit_test(headers_names_and_fields_are_capped),
        cmocka_unit_test(files_are_capped),
    };

    return cmocka_run_group_tests(tests, body_set_up, body_tear_down);
}
