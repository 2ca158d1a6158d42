/* SPDX-License-Identifier: Apache-2.0 */
#include "html_entities.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

static char *put_utf8(char *out, unsigned long code)
{
    if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        code = 0xFFFD;
    }
    if (code < 0x80) {
        *out++ = (char)code;
    }
    else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    else {
        if (code < 0x10000) {
            *out++ = (char)(0xE0 | code >> 12);
        }
        else {
            *out++ = (char)(0xF0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

static int digit(char c, int hex)
{
    return c >= '0' && c <= '9'          ? c - '0'
           : hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
           : hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
}

/* Of `&#...` at `p`. @return how long it is, 0: it is none */
static apr_size_t number(const char *p, unsigned long *code)
{
    int hex = p[2] == 'x' || p[2] == 'X';
    const char *start = p + 2 + hex;
    const char *q;

    *code = 0;
    for (q = start; digit(*q, hex) >= 0; q++) {
        if (*code <= 0x10FFFF) {
            *code = *code * (hex ? 16 : 10) + (unsigned long)digit(*q, hex);
        }
    }
    return q == start ? 0 : (apr_size_t)(q - p) + (*q == ';');
}

/* Of `&name` at `p`. */
static apr_size_t named(const char *p, unsigned long *code)
{
    static const struct {
        const char *name;
        unsigned long code;
        int bare; /* known without `;`, too */
    } names[] = {
        {"amp", '&', 1}, {"lt", '<', 1}, {"gt", '>', 1}, {"quot", '"', 1}, {"apos", '\'', 0}};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        apr_size_t len = strlen(names[i].name);
        char next;

        if (strncmp(p + 1, names[i].name, len) != 0) {
            continue;
        }
        next = p[1 + len];
        *code = names[i].code;
        if (next == ';') {
            return len + 2;
        }
        /* `&amp=1` and `&ampx` are what they are: old URLs */
        return names[i].bare && next != '=' && !apr_isalnum(next) ? len + 1 : 0;
    }
    return 0;
}

const char *fg_html_decode(const char *value, apr_pool_t *pool)
{
    /* No reference is shorter than its character: `&#1` is three bytes, and four make three. */
    char *text = apr_palloc(pool, strlen(value) + 2);
    char *out = text;
    const char *p = value;

    while (*p != '\0') {
        unsigned long code;
        apr_size_t len = *p != '&' ? 0 : p[1] == '#' ? number(p, &code) : named(p, &code);

        if (len > 0) {
            out = put_utf8(out, code);
            p += len;
        }
        else {
            *out++ = *p++;
        }
    }
    *out = '\0';
    return text;
}

const char *fg_html_encode(const char *text, apr_pool_t *pool)
{
    apr_size_t len = strlen(text);
    char *encoded = apr_palloc(pool, len * 6 + 1);
    char *out = encoded;

    for (; *text != '\0'; text++) {
        const char *as = *text == '&'   ? "&amp;"
                         : *text == '<' ? "&lt;"
                         : *text == '>' ? "&gt;"
                         : *text == '"' ? "&quot;"
                                        : NULL;

        if (as != NULL) {
            out = apr_cpystrn(out, as, 7);
        }
        else {
            *out++ = *text;
        }
    }
    *out = '\0';
    return encoded;
}
