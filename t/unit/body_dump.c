/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a body on stdin and prints its fields as JSON lines, then a line with the status.
 *   body_dump CONTENT-TYPE [BYTES-A-PIECE]
 * Bytes outside printable ASCII are written as \u00XX, one escape a byte.
 */
#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>

#include "body.h"

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

int main(int argc, char **argv)
{
    static const char *const status_name[] = {"OK", "MALFORMED", "TOO_MANY", "NAME_TOO_LONG",
                                              "TOO_DEEP"};
    static char buffer[65536];
    size_t piece = sizeof(buffer), got;
    apr_pool_t *pool;
    fg_body_t *body;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s CONTENT-TYPE [BYTES-A-PIECE] <BODY\n", argv[0]);
        return 2;
    }
    if (argc == 3) {
        unsigned long wanted = strtoul(argv[2], NULL, 10);

        piece = wanted && wanted < piece ? wanted : piece;
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    fg_body_create(&body, argv[1], &fg_body_default_caps, print_field, NULL, pool);
    while ((got = fread(buffer, 1, piece, stdin)) > 0) {
        fg_body_feed(body, buffer, got);
    }
    printf("{\"status\":\"%s\"}\n", status_name[fg_body_finish(body)]);
    apr_terminate();
    return 0;
}
