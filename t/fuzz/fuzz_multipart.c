/* SPDX-License-Identifier: Apache-2.0 */
/* multipart/form-data: the input's first line is what stands behind the type, the rest is the body.
 * With a first line of one `!` the body stands behind a preamble that fills the reader's window. */
#include "body_target.h"

#define FILL 8100

FUZZ_TARGET(multipart)
{
    fuzz_in_t in = {data, len};
    const char *parameters = fuzz_until(&in, '\n', pool);
    const char *type;
    char *filled;

    if (*parameters == '!') {
        parameters++;
        filled = apr_palloc(pool, FILL + in.left);
        memset(filled, '.', FILL);
        filled[FILL - 1] = '\n';
        memcpy(filled + FILL, in.p, in.left);
        in.p = (const unsigned char *)filled;
        in.left += FILL;
    }
    type = apr_pstrcat(pool, "multipart/form-data", parameters, NULL);
    if (fg_body_type(type) == FG_BODY_MULTIPART) {
        body_check(type, (const char *)in.p, in.left, pool);
    }
}
