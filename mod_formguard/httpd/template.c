/* SPDX-License-Identifier: Apache-2.0 */
/* A page's template, taken apart once at start: what stands in it and where values go. */
#include <string.h>
#include <sys/uio.h>

#include "apr_strings.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* Text of the template, and the value behind it. */
typedef struct part {
    const char *text;
    apr_size_t len;
    fg_slot_t slot; /* FG_SLOTS: none */
} part_t;

struct fg_template {
    const part_t *parts;
    int count;
};

static fg_slot_t slot_named(const char *name, apr_size_t len)
{
    static const char *const names[FG_SLOTS] = {
#define FG_SLOT_NAME(slot, name) name,
        FG_SLOT_ROWS(FG_SLOT_NAME)
#undef FG_SLOT_NAME
    };
    unsigned int i;

    for (i = 0; i < FG_SLOTS; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
            break;
        }
    }
    return (fg_slot_t)i;
}

const fg_template_t *fg_template_parse(const char *text, apr_pool_t *pool)
{
    apr_array_header_t *parts = apr_array_make(pool, 24, sizeof(part_t));
    fg_template_t *template = apr_palloc(pool, sizeof(*template));
    const char *open;
    const char *close;
    part_t *part;

    while ((open = strstr(text, "{{")) != NULL && (close = strstr(open, "}}")) != NULL) {
        part = apr_array_push(parts);
        part->text = text;
        part->len = (apr_size_t)(open - text);
        part->slot = slot_named(open + 2, (apr_size_t)(close - open - 2));
        text = close + 2;
    }
    part = apr_array_push(parts);
    part->text = text;
    part->len = strlen(text);
    part->slot = FG_SLOTS;
    template->parts = (const part_t *)parts->elts;
    template->count = parts->nelts;
    return template;
}

/* Few values hold anything to escape: looking for it is quick, and finds the end, where
 * ap_escape_html() goes twice through each. */
static void put_value(struct iovec *piece, fg_slot_t slot, const char *value, apr_pool_t *pool)
{
    /* The form is markup of ours. */
    apr_size_t len = slot == FG_SLOT_FORM ? strlen(value) : strcspn(value, "<>&\"");

    if (value[len] != '\0') {
        value = ap_escape_html(pool, value);
        len = strlen(value);
    }
    piece->iov_base = (void *)value;
    piece->iov_len = len;
}

const char *fg_template_fill(const fg_template_t *template, const char *const values[FG_SLOTS],
                             apr_pool_t *pool)
{
    struct iovec *pieces = apr_palloc(pool, 2 * (apr_size_t) template->count * sizeof(*pieces));
    apr_size_t n = 0;
    int i;

    for (i = 0; i < template->count; i++) {
        const part_t *part = &template->parts[i];
        const char *value = part->slot < FG_SLOTS ? values[part->slot] : NULL;

        pieces[n].iov_base = (void *)part->text;
        pieces[n++].iov_len = part->len;
        if (value != NULL && *value != '\0') {
            put_value(&pieces[n++], part->slot, value, pool);
        }
    }
    return apr_pstrcatv(pool, pieces, n, NULL);
}
