/* SPDX-License-Identifier: Apache-2.0 */
#include "reference.h"

#include <apr_siphash.h>
#include <string.h>

#define HALF 4

static void spell(char *out, apr_uint64_t number)
{
    static const char letters[] = "2346789BCDFGHJKMPQRTVWXY";
    int i;

    for (i = 0; i < HALF; i++) {
        out[i] = letters[number % (sizeof(letters) - 1)];
        number /= sizeof(letters) - 1;
    }
}

const char *fg_reference(char out[FG_REFERENCE_SIZE], const unsigned char key[16],
                         fg_reason_t reason, const fg_address_t *client, apr_uint32_t chance)
{
    static const char label[] = "reference"; /* the key hashes other things, too */
    unsigned char bytes[sizeof(label) + 1 + FG_ADDRESS_KEY_MAX];
    apr_size_t len = sizeof(label);

    memcpy(bytes, label, sizeof(label));
    bytes[len++] = (unsigned char)reason;
    len += fg_address_client_key(client, bytes + len);
    spell(out, apr_siphash24(bytes, len, key));
    out[HALF] = '-';
    spell(out + HALF + 1, chance);
    out[FG_REFERENCE_SIZE - 1] = '\0';
    return out;
}
