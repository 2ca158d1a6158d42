/* SPDX-License-Identifier: Apache-2.0 */
/* The body kept in a challenge page. The first byte says how the rest is read:
 *   p  it is a post as it came
 *   s  it is `TYPE\nBODY`, put into an envelope and opened again: it comes back as it was, for
 *      this form alone, and with any one byte changed not at all */
#include "digest.h"
#include "envelope.h"
#include "signed.h"

#define FORM "application/x-www-form-urlencoded"

static int opens(const fg_altcha_subject_t *subject, const char *post, size_t len,
                 fg_envelope_t *envelope, apr_pool_t *pool)
{
    memset(envelope, 0x5a, sizeof(*envelope));
    return fg_envelope_is(FORM, post, len) &&
           fg_envelope_open(signer(), subject, post, len, NOW, envelope, pool);
}

static void seal(fuzz_in_t *in, apr_pool_t *pool)
{
    static const char front[] = FG_ENVELOPE_FIELD "=";
    fg_altcha_subject_t subject = the_form();
    uint32_t hash = fuzz_hash(in->p, in->left);
    const char *type = fuzz_until(in, '\n', pool);
    fg_envelope_t kept = {.type = *type ? type : NULL,
                          .body = (const char *)in->p,
                          .len = in->left,
                          .fallback = (int)(hash & 1)};
    fg_envelope_t got;
    const char *text;
    size_t len, at;
    char *post;

    if (!fg_envelope_takes(kept.type, (apr_off_t)kept.len)) {
        return;
    }
    text = fg_envelope_seal(signer(), &subject, &kept, NOW + apr_time_from_sec(60), pool);
    MUST(text && fuzz_printable(text) && !strpbrk(text, "&\"<>+ %="));
    post = apr_pstrcat(pool, front, text, "&altcha=an%2Banswer", NULL);
    len = strlen(post);
    MUST((apr_off_t)len <= fg_envelope_post_len((apr_off_t)kept.len));
    if (fg_envelope_is(kept.type, kept.body, kept.len)) {
        MUST(!opens(&subject, post, len, &got, pool)); /* an envelope in an envelope is none */
        return;
    }
    MUST(opens(&subject, post, len, &got, pool));
    MUST(got.fresh && got.fallback == kept.fallback);
    MUST(got.len == kept.len && memcmp(got.body, kept.body, kept.len) == 0 && !got.body[got.len]);
    MUST(kept.type ? got.type && strcmp(got.type, kept.type) == 0 : !got.type);
    MUST(got.answer && strcmp(got.answer, "an+answer") == 0);

    at = strlen(front) + hash % strlen(text);
    post[at] = post[at] == 'a' ? 'b' : 'a';
    /* What says until when the answer counts is signed by itself. */
    MUST(!opens(&subject, post, len, &got, pool) ||
         (!got.fresh && at >= strlen(front) + 65 && at < strlen(front) + 65 + 11 + 2 + 65));
    post = apr_pstrcat(pool, front, text, NULL);
    subject.client = client_at(1);
    MUST(opens(&subject, post, strlen(post), &got, pool) && !got.fresh && !got.fallback);
    MUST(!got.answer);
    subject.path = "/other.php";
    MUST(!opens(&subject, post, strlen(post), &got, pool));
}

FUZZ_TARGET(envelope)
{
    fuzz_in_t in = {data, len};
    fg_altcha_subject_t subject = the_form();
    fg_envelope_t envelope;

    if (fuzz_byte(&in) == 's') {
        seal(&in, pool);
    }
    else {
        MUST(!opens(&subject, (const char *)in.p, in.left, &envelope, pool));
    }
}
