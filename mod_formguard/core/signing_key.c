/* SPDX-License-Identifier: Apache-2.0 */
#include "signing_key.h"

#include <string.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define FILE_MAX 4096

#define OTHERS (APR_FPROT_GREAD | APR_FPROT_GWRITE | APR_FPROT_WREAD | APR_FPROT_WWRITE)

apr_status_t fg_signing_key_random(unsigned char *key)
{
    return apr_generate_random_bytes(key, FG_ALTCHA_KEY_BYTES);
}

static const char *failed(const char *what, apr_status_t rv, apr_pool_t *pool)
{
    char text[120];

    return apr_psprintf(pool, "%s: %s", what, apr_strerror(rv, text, sizeof(text)));
}

/* Readable by its owner alone, and all of it there before it has its name. */
static apr_status_t write_temporary(const char *text, char *name, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_status_t rv = apr_file_mktemp(
        &file, name, APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL, pool);

    if (rv != APR_SUCCESS) {
        *name = '\0';
        return rv;
    }
    rv = apr_file_write_full(file, text, strlen(text), NULL);
    if (rv == APR_SUCCESS) {
        rv = apr_file_sync(file);
    }
    apr_file_close(file);
    return rv;
}

/* A link is made only where nothing is: of several servers that start at once all have the key of
 * the first. `made` is set to 1 if it is this one's. */
static const char *make(const char *path, int *made, apr_pool_t *pool)
{
    unsigned char random[FG_ALTCHA_KEY_BYTES];
    char text[2 * FG_ALTCHA_KEY_BYTES + 2];
    char *temporary = apr_pstrcat(pool, path, ".XXXXXX", NULL);
    apr_status_t rv = fg_signing_key_random(random);

    if (rv != APR_SUCCESS) {
        return failed("no random bytes", rv, pool);
    }
    fg_altcha_key_text(random, text);
    memcpy(text + 2 * FG_ALTCHA_KEY_BYTES, "\n", 2);
    rv = write_temporary(text, temporary, pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_link(temporary, path);
        *made = rv == APR_SUCCESS;
        if (APR_STATUS_IS_EEXIST(rv)) {
            rv = APR_SUCCESS;
        }
        else if (rv != APR_SUCCESS) { /* a file system without links */
            rv = apr_file_rename(temporary, path, pool);
            *made = rv == APR_SUCCESS;
        }
    }
    if (*temporary != '\0') {
        apr_file_remove(temporary, pool);
    }
    OPENSSL_cleanse(random, sizeof(random));
    OPENSSL_cleanse(text, sizeof(text));
    return rv == APR_SUCCESS ? NULL : failed("can't be made", rv, pool);
}

static const char *check(const apr_finfo_t *info)
{
    if (info->filetype != APR_REG) {
        return "is no plain file";
    }
    if ((info->protection & OTHERS) != 0) {
        return "may be read or written by others than its owner: chmod 600 it";
    }
    return info->size > FILE_MAX ? "is larger than 4096 bytes: it shall hold the key alone" : NULL;
}

static const char *read_file(const char *path, char *buffer, apr_size_t *len, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, pool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(file, buffer, FILE_MAX, len);
        apr_file_close(file);
    }
    return rv == APR_SUCCESS || APR_STATUS_IS_EOF(rv) ? NULL : failed("can't be read", rv, pool);
}

const char *fg_signing_key_load(unsigned char *key, const char *path, int *made, apr_pool_t *pool)
{
    char buffer[FILE_MAX];
    apr_size_t len = 0;
    unsigned int size = 0;
    apr_finfo_t info;
    const char *error = NULL;
    apr_status_t rv = apr_stat(&info, path, APR_FINFO_NORM, pool);

    *made = 0;
    if (APR_STATUS_IS_ENOENT(rv)) {
        error = make(path, made, pool);
    }
    else if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        error = failed("can't be read", rv, pool);
    }
    else {
        error = check(&info);
    }
    if (error == NULL) {
        error = read_file(path, buffer, &len, pool);
    }
    if (error != NULL) {
        return error;
    }
    while (len > 0 && apr_isspace(buffer[len - 1])) { /* an editor's or echo's newline */
        len--;
    }
    if (len < FG_ALTCHA_KEY_BYTES) {
        return "holds fewer than 32 bytes";
    }
    /* Of whatever length and form: all of it counts. */
    if (!EVP_Digest(buffer, len, key, &size, EVP_sha256(), NULL) || size != FG_ALTCHA_KEY_BYTES) {
        error = "can't be hashed";
    }
    OPENSSL_cleanse(buffer, sizeof(buffer));
    return error;
}

void fg_signing_key_wipe(unsigned char *key)
{
    OPENSSL_cleanse(key, FG_ALTCHA_KEY_BYTES);
}
