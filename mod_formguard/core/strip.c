/* SPDX-License-Identifier: Apache-2.0 */
#include "strip.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

typedef struct wanted {
    const char *name; /* as PHP has it, or the path in JSON */
    apr_size_t len;
    apr_size_t base; /* bytes before its first `[` */
} wanted_t;

struct fg_strip {
    apr_pool_t *pool;
    apr_array_header_t *wanted;
    int json;
    int whole; /* 1: the body has to stay as it is */
    int count;
    fg_cut_t cuts[FG_CUTS_MAX];
};

fg_strip_t *fg_strip_create(int json, apr_pool_t *pool)
{
    fg_strip_t *strip = apr_pcalloc(pool, sizeof(*strip));

    strip->pool = pool;
    strip->json = json;
    strip->wanted = apr_array_make(pool, 2, sizeof(wanted_t));
    return strip;
}

void fg_strip_name(fg_strip_t *strip, const char *name)
{
    wanted_t *w = &APR_ARRAY_PUSH(strip->wanted, wanted_t);
    apr_size_t len = strlen(name);
    char *own = apr_pstrmemdup(strip->pool, name, len);

    w->len = strip->json ? len : fg_body_php_name(own, own, len);
    w->name = own;
    w->base = strcspn(own, "[");
}

/* 1 if `name` is inside the array `outer`. */
static int inside(const char *name, apr_size_t len, const char *outer, apr_size_t outer_len)
{
    return len > outer_len && name[outer_len] == '[' && memcmp(name, outer, outer_len) == 0;
}

static int has_empty_key(const char *name, apr_size_t len)
{
    const char *end = name + len;

    while ((name = memchr(name, '[', (apr_size_t)(end - name))) != NULL) {
        if (++name < end && *name == ']') {
            return 1;
        }
    }
    return 0;
}

/* Where the token is `a[b]`: a string `a` is there only until PHP meets the token, and the number
 * of an `a[]` depends on what came before it. */
static int depends_on(const char *name, apr_size_t len, const wanted_t *w)
{
    return inside(w->name, w->len, name, len) ||
           (w->base < w->len && inside(name, len, w->name, w->base) && has_empty_key(name, len));
}

static void add(fg_strip_t *strip, apr_off_t from, apr_off_t to)
{
    while (strip->count > 0 && strip->cuts[strip->count - 1].from >= from) {
        strip->count--; /* within this one: a member of a member that goes */
    }
    if (strip->count > 0 && strip->cuts[strip->count - 1].to == from) {
        strip->cuts[strip->count - 1].to = to;
    }
    else if (strip->count < FG_CUTS_MAX) {
        strip->cuts[strip->count].from = from;
        strip->cuts[strip->count].to = to;
        strip->count++;
    }
    else {
        strip->whole = 1;
    }
}

int fg_strip_field(void *baton, const char *name, apr_size_t len, apr_off_t from, apr_off_t to)
{
    fg_strip_t *strip = baton;
    int i;

    for (i = 0; i < strip->wanted->nelts; i++) {
        const wanted_t *w = &APR_ARRAY_IDX(strip->wanted, i, wanted_t);

        if (w->len == 0) {
            continue;
        }
        /* An array of that name goes, too: a string replaces it in PHP, and it would come back. */
        if ((len == w->len && memcmp(name, w->name, len) == 0) ||
            (!strip->json && inside(name, len, w->name, w->len))) {
            add(strip, from, to);
            return 1;
        }
        if (!strip->json && depends_on(name, len, w)) {
            strip->whole = 1;
        }
    }
    return 0;
}

const fg_cut_t *fg_strip_cuts(const fg_strip_t *strip, int *count)
{
    *count = strip->whole ? 0 : strip->count;
    return strip->cuts;
}
