/* SPDX-License-Identifier: Apache-2.0 */
/* The boundary that a Content-Type says. */
#include "body_internal.h"

#include <string.h>

#include <apr_cstr.h>

static const char *find_parameter(const char *text)
{
    static const char wanted[] = "boundary";

    for (; *text; text++) {
        if (apr_cstr_casecmpn(text, wanted, sizeof(wanted) - 1) == 0) {
            return text;
        }
    }
    return NULL;
}

/*
 * PHP looks for the letters "boundary" anywhere, small ones first, then for the next `=`. What is
 * accepted here is what every reader finds in the same place.
 */
const char *fg_multipart_boundary(const char *content_type, apr_size_t *len)
{
    const char *name = find_parameter(content_type), *value, *end, *p;

    if (name == NULL || name == content_type || !strchr("; \t", name[-1])) {
        return NULL;
    }
    if (memcmp(name, "boundary", strlen("boundary")) != 0 && strstr(name, "boundary")) {
        return NULL;
    }
    value = name + strlen("boundary");
    if (*value++ != '=') {
        return NULL;
    }
    if (*value == '"') {
        value++;
        end = strchr(value, '"');
        if (end == NULL || (end[1] && end[1] != ';' && !fg_is_space(end[1]))) {
            return NULL;
        }
    }
    else {
        end = value + strcspn(value, ";");
    }
    for (p = value; p < end; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '"' || *p == '\\' ||
            (value[-1] == '=' && *p == ',')) {
            return NULL;
        }
    }
    *len = end - value;
    return *len && *len <= FG_BOUNDARY_MAX && find_parameter(end) == NULL ? value : NULL;
}
