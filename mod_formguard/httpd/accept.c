/* SPDX-License-Identifier: Apache-2.0 */
/* Content negotiation as far as a refusal needs it (RFC 9110 12.4.2, 12.5.1, 12.5.4). */
#include <string.h>

#include "apr_lib.h"
#include "apr_strings.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* How closely a range of the header names the value: 0 not at all, 3 by itself. */
static int closeness(const char *range, const char *value)
{
    apr_size_t len = strlen(range);

    if (strcmp(range, "*") == 0 || strcmp(range, "*/*") == 0) {
        return 1;
    }
    if (len > 2 && strcmp(range + len - 2, "/*") == 0) {
        return strncasecmp(range, value, len - 1) == 0 ? 2 : 0;
    }
    len = strlen(value);
    if (strncasecmp(range, value, len) != 0) {
        return 0;
    }
    return range[len] == '\0' || range[len] == '-' ? 3 : 0;
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

static int quality_of(char *item)
{
    char *last;
    char *param;
    int quality = 1000;

    if (apr_strtok(item, ";", &last) == NULL) {
        return quality; /* nothing but semicolons, and `last` was not set */
    }
    while ((param = apr_strtok(NULL, ";", &last)) != NULL) {
        while (apr_isspace(*param)) {
            param++;
        }
        if ((param[0] == 'q' || param[0] == 'Q') && param[1] == '=') {
            quality = thousandths(param + 2);
        }
    }
    return quality;
}

int fg_accept_quality(apr_pool_t *pool, const char *header, const char *value)
{
    char *rest;
    char *last;
    char *item;
    int best = 0;
    int quality = 0;

    if (header == NULL) {
        return 1000;
    }
    rest = apr_pstrdup(pool, header);
    for (item = apr_strtok(rest, ",", &last); item != NULL; item = apr_strtok(NULL, ",", &last)) {
        int q;
        int close;

        while (apr_isspace(*item)) {
            item++;
        }
        q = quality_of(item); /* also ends the item at its first semicolon */
        item[strcspn(item, " \t")] = '\0';
        close = closeness(item, value);
        if (close > best || (close == best && close > 0 && q > quality)) {
            best = close;
            quality = q;
        }
    }
    return quality;
}
