/* SPDX-License-Identifier: Apache-2.0 */
/* Clearances: what a client sends is none unless we have made it. With `s` in front the rest is the
 * path of a form, for which one is made. */
#include "clearance.h"
#include "signed.h"

FUZZ_TARGET(clearance)
{
    fuzz_in_t in = {data, len};
    fg_altcha_subject_t subject = the_form(), other = the_form();
    unsigned int how = fuzz_byte(&in);
    uint32_t hash = fuzz_hash(in.p, in.left);
    const char *rest = fuzz_rest(&in, pool);
    const char *nonce;
    char *text;

    if (how != 's') {
        MUST(fg_clearance_check(signer(), &subject, rest, NOW, pool) == NULL);
        return;
    }
    subject.path = rest;
    other.path = rest;
    text = apr_pstrdup(pool, fg_clearance_make(signer(), &subject, NOW + APR_USEC_PER_SEC, pool));
    MUST(fuzz_printable(text) && !strpbrk(text, " \",;\\"));
    nonce = fg_clearance_check(signer(), &subject, text, NOW, pool);
    MUST(nonce && strspn(nonce, "0123456789abcdef") == FG_CLEARANCE_NONCE);
    MUST(!fg_clearance_check(signer(), &subject, text, NOW + APR_USEC_PER_SEC, pool));
    other.client = client_at(1);
    MUST(!fg_clearance_check(signer(), &other, text, NOW, pool));
    other = subject;
    other.path = apr_pstrcat(pool, rest, "x", NULL);
    MUST(!fg_clearance_check(signer(), &other, text, NOW, pool));
    text[hash % strlen(text)] ^= 1;
    MUST(!fg_clearance_check(signer(), &subject, text, NOW, pool));
}
