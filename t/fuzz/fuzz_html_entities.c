/* SPDX-License-Identifier: Apache-2.0 */
/* Values of attributes: what we write a browser reads as it was. */
#include "fuzz.h"
#include "html_entities.h"

FUZZ_TARGET(html_entities)
{
    fuzz_in_t in = {data, len};
    const char *text = fuzz_rest(&in, pool);
    const char *encoded = fg_html_encode(text, pool), *decoded = fg_html_decode(text, pool);

    MUST(!strpbrk(encoded, "<>\""));
    MUST(strcmp(fg_html_decode(encoded, pool), text) == 0);
    MUST(strlen(decoded) <= strlen(text));
    MUST(strchr(text, '&') || strcmp(decoded, text) == 0);
}
