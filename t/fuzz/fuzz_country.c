/* SPDX-License-Identifier: Apache-2.0 */
/* Country databases: the input is the file. Damaged as it may be, a country is two capitals. */
#include <unistd.h>

#include "country.h"
#include "fuzz.h"

static const char *write_file(const unsigned char *data, size_t len)
{
    static char path[64];
    static FILE *file;

    if (!file) {
        file = tmpfile();
        MUST(file);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
    }
    rewind(file);
    MUST(ftruncate(fileno(file), 0) == 0);
    MUST(fwrite(data, 1, len, file) == len && fflush(file) == 0);
    return path;
}

FUZZ_TARGET(country)
{
    static const char *const addresses[] = {"1.1.1.1",      "192.0.2.1",  "203.0.113.77",
                                            "2001:db8::1",  "2400::",     "223.255.255.255",
                                            "10.0.0.1",     "2c0f::ffff", "8.8.8.8",
                                            "101.102.103.1"};
    fg_country_db_t *db;
    fg_country_info_t info;
    const char *error;
    size_t i;
    fg_time_t now = {.wall = 0};
    apr_status_t rv = fg_country_open(&db, write_file(data, len), NULL, pool, &error);

    MUST(db && (rv == APR_SUCCESS) == !error);
    MUST(!error || fuzz_printable(error));
    for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        fg_address_t address;
        fg_country_t country;
        apr_status_t found;

        MUST(fg_address_parse(&address, addresses[i]) == APR_SUCCESS);
        memset(&country, 0x5a, sizeof(country));
        found = fg_country_lookup(db, &address, now, &country);
        MUST(rv == APR_SUCCESS || found != APR_SUCCESS || !*country.code);
        MUST(!*country.code ||
             (country.code[0] >= 'A' && country.code[0] <= 'Z' && country.code[1] >= 'A' &&
              country.code[1] <= 'Z' && !country.code[2]));
        MUST(country.in_eu == 0 || country.in_eu == 1);
        MUST(!*country.code || !fg_address_is_private(&address));
    }
    fg_country_info(db, &info, pool);
    MUST(info.type);
}
