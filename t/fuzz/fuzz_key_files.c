/* SPDX-License-Identifier: Apache-2.0 */
/* Files that hold a key or a secret, whatever is in them: the signing key's, and
 * FormGuardCaptchaSecretFile. The input is the file. */
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "policy.h"
#include "signing_key.h"

#define PATH_MAX_LEN 64

static const fg_directive_t *directive(const char *name)
{
    const fg_directive_t *row;

    for (row = fg_policy_directives; strcmp(row->name, name) != 0; row++) {
    }
    return row;
}

/* A file without a name, to be written anew each time. */
static const char *write_file(const unsigned char *data, size_t len)
{
    static char path[PATH_MAX_LEN];
    static FILE *file;

    if (!file) {
        file = tmpfile();
        MUST(file && fchmod(fileno(file), 0600) == 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
    }
    rewind(file);
    MUST(ftruncate(fileno(file), 0) == 0);
    MUST(fwrite(data, 1, len, file) == len && fflush(file) == 0);
    return path;
}

FUZZ_TARGET(key_files)
{
    const char *path = write_file(data, len), *error;
    unsigned char key[FG_ALTCHA_KEY_BYTES], again[FG_ALTCHA_KEY_BYTES];
    fg_policy_t policy, before;
    char *argv[] = {apr_pstrdup(pool, path)};
    fg_words_t words = {.argc = 1, .argv = argv, .scope = "", .pool = pool, .temp_pool = pool};
    int made = 7;

    error = fg_signing_key_load(key, path, &made, pool);
    MUST(made == 0);
    MUST(!error || fuzz_printable(error));
    MUST(len >= 32 || error);
    if (!error) {
        MUST(fg_signing_key_load(again, path, &made, pool) == NULL);
        MUST(memcmp(key, again, sizeof(key)) == 0);
    }
    memset(&policy, 0, sizeof(policy));
    before = policy;
    words.user = geteuid();
    error = fg_policy_apply(directive("FormGuardCaptchaSecretFile"), &policy, &words);
    if (error) {
        MUST(memcmp(&policy, &before, sizeof(policy)) == 0);
        MUST(fuzz_printable(error)); /* and so nothing of the secret but what could stand in it */
        return;
    }
    MUST(*policy.captcha_secret && fuzz_printable(policy.captcha_secret));
    MUST(strlen(policy.captcha_secret) <= len && !strchr(policy.captcha_secret, ' '));
    MUST(memcmp(policy.captcha_secret, data, strlen(policy.captcha_secret)) == 0);
}
