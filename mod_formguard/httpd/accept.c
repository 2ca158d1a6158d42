/* SPDX-License-Identifier: Apache-2.0 */
/* Content negotiation as far as a refusal needs it (RFC 9110 12.4.2, 12.5.1, 12.5.4). */
#include <string.h>

#include "apr_lib.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* How closely a range of the header names the value: 0 not at all, 3 by itself. */
static int closeness(const char *range, apr_size_t len, const char *value)
{
    apr_size_t value_len;

    if (len > 0 && *range == '*' && (len == 1 || (len == 3 && memcmp(range, "*/*", 3) == 0))) {
        return 1;
    }
    if (len > 2 && range[len - 2] == '/' && range[len - 1] == '*') {
        return strncasecmp(range, value, len - 1) == 0 ? 2 : 0;
    }
    value_len = strlen(value);
    if (len < value_len || strncasecmp(range, value, value_len) != 0) {
        return 0;
    }
    return len == value_len || range[value_len] == '-' ? 3 : 0;
}

/* `0.75` is 750; what is no quality is 1000. */
static int thousandths(const char *q)
{
    int value = 0;
    int place = 100;

    if (*q != '0') {
        return 1000;
    }
    if (*++q == '.') {
        for (q++; apr_isdigit(*q) && place > 0; q++, place /= 10) {
            value += (*q - '0') * place;
        }
    }
    return value;
}

/* From the first `;` of an item to the `,` or the end behind it, where `*p` is left. */
static int quality_of(const char **p)
{
    int quality = 1000;

    while (**p == ';') {
        ++*p;
        while (apr_isspace(**p)) {
            ++*p;
        }
        if (((*p)[0] == 'q' || (*p)[0] == 'Q') && (*p)[1] == '=') {
            quality = thousandths(*p + 2);
        }
        *p += strcspn(*p, ";,");
    }
    return quality;
}

void fg_accept_qualities(const char *header, const char *const *values, int *qualities, int count)
{
    int best[FG_ACCEPT_MAX] = {0};
    const char *p = header;
    int i;

    for (i = 0; i < count; i++) {
        qualities[i] = header == NULL ? 1000 : 0;
    }
    while (p != NULL && *p != '\0') {
        const char *range;
        apr_size_t len;
        int quality;

        while (*p == ',' || apr_isspace(*p)) {
            p++;
        }
        range = p;
        len = strcspn(p, ";, \t");
        p += len;
        p += strcspn(p, ";,"); /* what stands behind a space */
        quality = quality_of(&p);
        for (i = 0; i < count; i++) {
            int close = closeness(range, len, values[i]);

            if (close > best[i] || (close == best[i] && close > 0 && quality > qualities[i])) {
                best[i] = close;
                qualities[i] = quality;
            }
        }
    }
}
