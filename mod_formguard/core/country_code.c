/* SPDX-License-Identifier: Apache-2.0 */
/* What a country's code alone says of it. */
#include <string.h>

#include <apr_strings.h>

#include "country.h"

/* The member states of the European Union since 2020-02-01 (europa.eu, Country profiles). */
static const char european_union[] = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT "
                                     "NL PL PT RO SE SI SK ";

fg_country_t fg_country_of(const char *code)
{
    fg_country_t country;
    const char *at;

    memset(&country, 0, sizeof(country));
    apr_cpystrn(country.code, code, sizeof(country.code));
    for (at = european_union; *country.code != '\0' && *at != '\0'; at += 3) {
        if (at[0] == country.code[0] && at[1] == country.code[1]) {
            country.in_eu = 1;
        }
    }
    return country;
}
