/* SPDX-License-Identifier: Apache-2.0 */
/* Names of fields: what PHP makes of a name, it makes of it again. */
#include "body.h"
#include "fuzz.h"

FUZZ_TARGET(php_name)
{
    char *out = apr_palloc(pool, len + 1);
    apr_size_t n = fg_body_php_name(out, (const char *)data, len);
    char *in_place = memcpy(apr_palloc(pool, len + 1), data, len);
    char *again;
    apr_size_t i;

    MUST(n <= len && out[n] == '\0' && strlen(out) == n);
    MUST(fg_body_php_name(in_place, in_place, len) == n && memcmp(in_place, out, n + 1) == 0);
    for (i = 0; i < n && out[i] != '['; i++) {
        MUST(out[i] != '.' && out[i] != ' ');
    }
    MUST(n == 0 || out[0] != '[');
    MUST(i == n || out[n - 1] == ']');
    again = apr_palloc(pool, n + 1);
    MUST(fg_body_php_name(again, out, n) == n && memcmp(again, out, n + 1) == 0);
}
