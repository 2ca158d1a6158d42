/* SPDX-License-Identifier: Apache-2.0 */
/* Solutions of the built-in captcha. The first byte says how the rest is read:
 *   t  it is the token as it was posted
 *   j  it is the JSON in the token
 *   s  it is `NUMBER SALT`, which is made a challenge that we have signed; `F` and `C` in the salt
 *      become what our challenges say there of the form and the client
 * What is taken was signed by us, is for this form and client, and has not expired. */
#include <apr_encode.h>
#include <json.h>

#include "digest.h"
#include "signed.h"

static const char *encoded(const char *json, apr_pool_t *pool)
{
    return apr_pencode_base64(pool, json, APR_ENCODE_STRING, APR_ENCODE_NONE, NULL);
}

/* The hash behind `name` in the salts of our challenges; each is as long as any other. */
static const char *hash_in_salt(const char *name, apr_pool_t *pool)
{
    fg_altcha_subject_t subject = the_form();
    const char *made = fg_altcha_challenge(signer(), &subject, 1, NOW, apr_time_from_sec(60), pool);

    return apr_pstrndup(pool, strstr(made, name) + strlen(name), 16);
}

static const char *with_hashes(const char *salt, apr_pool_t *pool)
{
    const char *form = hash_in_salt("form=", pool), *client = hash_in_salt("client=", pool);
    char *out = apr_palloc(pool, strlen(salt) * 16 + 1), *p = out;

    for (; *salt; salt++) {
        if (*salt == 'F' || *salt == 'C') {
            p = apr_cpystrn(p, *salt == 'F' ? form : client, 17);
        }
        else {
            *p++ = *salt;
        }
    }
    *p = '\0';
    return out;
}

/* The token of a challenge with our signature. */
static const char *solution(const char *number, const char *salt, apr_pool_t *pool)
{
    const fg_digest_t *digest = fg_altcha_digest(signer());
    const char *text = apr_pstrcat(pool, salt, number, NULL);
    char challenge[FG_DIGEST_HEX], signature[FG_DIGEST_HEX];
    struct json_object *json = json_object_new_object();
    const char *token;

    MUST(fg_digest_sha256(digest, text, strlen(text), challenge));
    MUST(fg_digest_sign(digest, challenge, signature));
    json_object_object_add(json, "algorithm", json_object_new_string("SHA-256"));
    json_object_object_add(json, "challenge", json_object_new_string(challenge));
    json_object_object_add(json, "number", json_object_new_int64(strtoll(number, NULL, 10)));
    json_object_object_add(json, "salt", json_object_new_string(salt));
    json_object_object_add(json, "signature", json_object_new_string(signature));
    token = encoded(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN), pool);
    json_object_put(json);
    return token;
}

static fg_captcha_result_t judge(const fg_altcha_subject_t *subject, const char *token,
                                 apr_time_t now, fg_altcha_solved_t *solved, apr_pool_t *pool)
{
    fg_captcha_result_t result;

    memset(&result, 0x5a, sizeof(result));
    memset(solved, 0x5a, sizeof(*solved));
    fg_altcha_judge(signer(), subject, token, now, apr_time_from_sec(1200), &result, solved, pool);
    MUST(result.reason == FG_ACCEPTED || result.reason == FG_CAPTCHA_SHAPE ||
         result.reason == FG_CAPTCHA_EXPIRED || result.reason == FG_CAPTCHA_REJECTED);
    MUST(!result.detail || fuzz_printable(result.detail));
    MUST(strlen(solved->id) == 0 || strlen(solved->id) == 64);
    MUST(solved->life >= 0);
    return result;
}

FUZZ_TARGET(altcha)
{
    fuzz_in_t in = {data, len};
    unsigned int how = fuzz_byte(&in);
    const char *number = how == 's' ? fuzz_until(&in, ' ', pool) : "";
    const char *rest = fuzz_rest(&in, pool);
    const char *token = how == 's'   ? solution(number, with_hashes(rest, pool), pool)
                        : how == 'j' ? encoded(rest, pool)
                                     : rest;
    fg_altcha_subject_t subject = the_form();
    fg_altcha_solved_t solved;

    if (judge(&subject, token, NOW, &solved, pool).reason != FG_ACCEPTED) {
        return;
    }
    /* Only what we have signed: a token made without the key is none. */
    MUST(solved.id[0] != '\0' && solved.life > 0);
    MUST(how == 's' || strlen(token) < 2048);
    /* An expiry has twelve digits at most. */
    MUST(judge(&subject, token, apr_time_from_sec(APR_TIME_C(1000000001200)), &solved, pool)
             .reason == FG_CAPTCHA_EXPIRED);
    subject.client = client_at(1);
    MUST(judge(&subject, token, NOW, &solved, pool).reason == FG_CAPTCHA_REJECTED);
    subject = the_form();
    subject.path = "/other.php";
    MUST(judge(&subject, token, NOW, &solved, pool).reason == FG_CAPTCHA_REJECTED);
    subject = the_form();
    subject.host = "www.example.org";
    MUST(judge(&subject, token, NOW, &solved, pool).reason == FG_CAPTCHA_REJECTED);
}
