/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: as inet_pton() reads them, and one client in one form. */
#include <arpa/inet.h>

#include "address.h"
#include "fuzz.h"

FUZZ_TARGET(address)
{
    fuzz_in_t in = {data, len};
    const char *text = fuzz_rest(&in, pool);
    unsigned char bytes[16], key[FG_ADDRESS_KEY_MAX], other_key[FG_ADDRESS_KEY_MAX];
    char written[INET6_ADDRSTRLEN];
    fg_address_t address, again;
    apr_size_t n;
    int v4 = inet_pton(AF_INET, text, bytes) == 1, v6 = inet_pton(AF_INET6, text, bytes) == 1;
    apr_status_t rv;

    memset(&address, 0x5a, sizeof(address));
    rv = fg_address_parse(&address, text);
    MUST(!(v4 || v6) || rv == APR_SUCCESS);
    MUST(v4 || v6 || strchr(text, '%') || rv == APR_EINVAL);
    n = fg_address_client_key(&address, key);
    MUST(n >= 1 && n <= FG_ADDRESS_KEY_MAX);
    MUST(fg_address_net_key(&address, other_key) <= n);
    if (rv != APR_SUCCESS) {
        MUST(address.family == 0 && n == 1 && fg_address_is_private(&address));
        return;
    }
    MUST(address.family == 4 || address.family == 6);
    MUST(inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.bytes, written,
                   sizeof(written)));
    MUST(fg_address_parse(&again, written) == APR_SUCCESS);
    MUST(memcmp(&again, &address, sizeof(again)) == 0);
    if (address.family == 4) {
        MUST(fg_address_parse(&again, apr_pstrcat(pool, "::ffff:", written, NULL)) == APR_SUCCESS);
        MUST(memcmp(&again, &address, sizeof(again)) == 0);
    }
}
