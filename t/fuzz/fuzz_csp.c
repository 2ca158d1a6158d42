/* SPDX-License-Identifier: Apache-2.0 */
/* Content-Security-Policy: a second policy allows nothing that the first forbids, and letters of
 * either case are one. */
#include <apr_lib.h>

#include "csp.h"
#include "fuzz.h"

static const fg_csp_need_t needs[] = {
    {"script-src", "https://js.example.com/api.js", "https://js.example.com"},
    {"script-src", "https://www.example.jp/.formguard/altcha.js", "'self'"},
    {"worker-src", "blob:", "blob:"},
    {"frame-src", "https://frame.example.com/", "https://frame.example.com"},
    {"connect-src", "https://www.example.jp/.formguard/challenge", "'self'"},
    {NULL, NULL, NULL},
};

static const fg_csp_need_t *forbids(const char *policy, apr_pool_t *pool)
{
    return fg_csp_forbids(policy, "https://www.example.jp", needs, pool);
}

FUZZ_TARGET(csp)
{
    fuzz_in_t in = {data, len};
    const char *text = fuzz_rest(&in, pool);
    const fg_csp_need_t *found = forbids(text, pool);
    const char *more = apr_pstrcat(pool, text, ", default-src * blob:", NULL);

    MUST(!found == !forbids(more, pool));
    MUST(!found || forbids(apr_pstrcat(pool, "default-src * blob:, ", text, NULL), pool) == found);
    MUST(forbids(apr_pstrcat(pool, text, ",script-src 'none'", NULL), pool) != NULL);
    MUST(forbids(apr_pstrcat(pool, text, ",sandbox", NULL), pool) != NULL);
    MUST(!found || (found->directive && found->advice));
}
