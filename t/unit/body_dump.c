/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints a body's fields as JSON lines, then a line with the status. Bytes outside printable ASCII
 * are written as \u00XX, one escape a byte.
 *   body_dump CONTENT-TYPE [BYTES-A-PIECE] <BODY
 *   body_dump --stream
 * The second form reads any number of cases: a line "TYPE-BYTES BODY-BYTES BYTES-A-PIECE", then the
 * content type and the body.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "body.h"

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

/* Read up to len bytes of body from stdin and print what the reader makes of them. */
static void dump(const char *type, size_t len, size_t piece)
{
    static const char *const status_name[] = {"OK", "MALFORMED", "TOO_MANY", "NAME_TOO_LONG",
                                              "TOO_DEEP"};
    static char buffer[65536];
    fg_body_caps_t caps = fg_body_default_caps;
    apr_pool_t *pool;
    fg_body_t *body;
    size_t got;

    if (piece == 0 || piece > sizeof(buffer)) {
        piece = sizeof(buffer);
    }
    caps.value_kept = 1024 * 1024;
    apr_pool_create(&pool, NULL);
    fg_body_create(&body, type, &caps, print_field, NULL, pool);
    while ((got = fread(buffer, 1, piece < len ? piece : len, stdin)) > 0) {
        fg_body_feed(body, buffer, got);
        len -= got;
    }
    printf("{\"status\":\"%s\"}\n", status_name[fg_body_finish(body)]);
    fflush(stdout);
    apr_pool_destroy(pool);
}

static int stream(void)
{
    char line[128], type[TYPE_MAX + 1];
    size_t type_len, body_len, piece;

    while (fgets(line, sizeof(line), stdin)) {
        if (sscanf(line, "%zu %zu %zu", &type_len, &body_len, &piece) != 3 || type_len > TYPE_MAX ||
            fread(type, 1, type_len, stdin) != type_len) {
            fputs("body_dump: bad case\n", stderr);
            return 2;
        }
        type[type_len] = '\0';
        dump(type, body_len, piece);
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
    dump(argv[1], (size_t)-1, argc == 3 ? strtoul(argv[2], NULL, 10) : 0);
    return 0;
}
