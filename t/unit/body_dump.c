/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints a body's fields as JSON lines, then a line with the status. Bytes outside printable ASCII
 * are written as \u00XX, one escape a byte.
 *   body_dump CONTENT-TYPE [BYTES-A-PIECE] <BODY
 *   body_dump --stream
 * The second form reads any number of cases: a line "TYPE-BYTES NAME-BYTES BODY-BYTES
 * BYTES-A-PIECE", then the content type, the name of a field and the body. The line with the status
 * also says what is to be cut out of the body for the field to be gone: [[FROM,TO],...].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "body.h"
#include "strip.h"

#define TYPE_MAX 1024

static void print_bytes(const char *data, apr_size_t len)
{
    putchar('"');
    while (len--) {
        unsigned char c = (unsigned char)*data++;

        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            printf("\\u%04x", c);
        }
        else {
            putchar(c);
        }
    }
    putchar('"');
}

static void print_field(void *baton, const fg_field_t *field)
{
    (void)baton;
    fputs("{\"name\":", stdout);
    print_bytes(field->name, field->name_len);
    fputs(",\"value\":", stdout);
    print_bytes(field->value, field->value_len);
    printf(",\"total\":%" APR_SIZE_T_FMT ",\"file\":%d}\n", field->total_len, field->is_file);
}

static void print_cuts(const fg_strip_t *strip)
{
    int count, i;
    const fg_cut_t *cuts = fg_strip_cuts(strip, &count);

    for (i = 0; i < count; i++) {
        printf("%s[%" APR_OFF_T_FMT ",%" APR_OFF_T_FMT "]", i ? "," : "", cuts[i].from, cuts[i].to);
    }
}

/* Read up to len bytes of body from stdin and print what the reader makes of them. */
static void dump(const char *type, const char *name, size_t len, size_t piece)
{
    static const char *const status_name[] = {"OK", "MALFORMED", "TOO_MANY", "NAME_TOO_LONG",
                                              "TOO_DEEP"};
    static char buffer[65536];
    fg_body_caps_t caps = fg_body_default_caps;
    apr_pool_t *pool;
    fg_body_t *body;
    fg_strip_t *strip;
    size_t got;

    if (piece == 0 || piece > sizeof(buffer)) {
        piece = sizeof(buffer);
    }
    caps.value_kept = 1024 * 1024;
    apr_pool_create(&pool, NULL);
    fg_body_create(&body, type, &caps, print_field, NULL, pool);
    strip = fg_strip_create(fg_body_type(type) == FG_BODY_JSON, pool);
    fg_strip_name(strip, name);
    fg_body_on_cut(body, fg_strip_field, strip);
    while ((got = fread(buffer, 1, piece < len ? piece : len, stdin)) > 0) {
        fg_body_feed(body, buffer, got);
        len -= got;
    }
    printf("{\"status\":\"%s\",\"cuts\":[", status_name[fg_body_finish(body)]);
    print_cuts(strip);
    puts("]}");
    fflush(stdout);
    apr_pool_destroy(pool);
}

static int stream(void)
{
    char line[128], type[TYPE_MAX + 1], name[TYPE_MAX + 1];
    size_t type_len, name_len, body_len, piece;

    while (fgets(line, sizeof(line), stdin)) {
        if (sscanf(line, "%zu %zu %zu %zu", &type_len, &name_len, &body_len, &piece) != 4 ||
            type_len > TYPE_MAX || name_len > TYPE_MAX ||
            fread(type, 1, type_len, stdin) != type_len ||
            fread(name, 1, name_len, stdin) != name_len) {
            fputs("body_dump: bad case\n", stderr);
            return 2;
        }
        type[type_len] = '\0';
        name[name_len] = '\0';
        dump(type, name, body_len, piece);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s CONTENT-TYPE [BYTES-A-PIECE] <BODY\n       %s --stream\n",
                argv[0], argv[0]);
        return 2;
    }
    apr_initialize();
    atexit(apr_terminate);
    if (strcmp(argv[1], "--stream") == 0) {
        return stream();
    }
    dump(argv[1], "", (size_t)-1, argc == 3 ? strtoul(argv[2], NULL, 10) : 0);
    return 0;
}
