/* SPDX-License-Identifier: Apache-2.0 */
#include "signing_key.h"

#include <string.h>

#include <apr_escape.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define FILE_MAX 4096

#define PRIVATE (APR_FPROT_UREAD | APR_FPROT_UWRITE)
#define OTHERS  (APR_FPROT_GREAD | APR_FPROT_GWRITE | APR_FPROT_WREAD | APR_FPROT_WWRITE)

apr_status_t fg_signing_key_random(unsigned char *key)
{
    return apr_generate_random_bytes(key, FG_ALTCHA_KEY_BYTES);
}

static const char *failed(const char *what, apr_status_t rv, apr_pool_t *pool)
{
    char text[120];

    return apr_psprintf(pool, "%s: %s", what, apr_strerror(rv, text, sizeof(text)));
}

/* Whole or not at all: another machine's copy of it may be read at any time. */
static const char *make(const char *path, apr_pool_t *pool)
{
    unsigned char random[FG_ALTCHA_KEY_BYTES];
    const char *temporary = apr_pstrcat(pool, path, ".new", NULL);
    const char *text;
    apr_file_t *file;
    apr_status_t rv = fg_signing_key_random(random);

    if (rv != APR_SUCCESS) {
        return failed("no random bytes", rv, pool);
    }
    text = apr_pstrcat(pool, apr_pescape_hex(pool, random, sizeof(random), 0), "\n", NULL);
    apr_file_remove(temporary, pool); /* what an earlier start left behind */
    rv = apr_file_open(&file, temporary, APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL,
                       PRIVATE, pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_write_full(file, text, strlen(text), NULL);
        if (rv == APR_SUCCESS) {
            rv = apr_file_sync(file);
        }
        apr_file_close(file);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_file_rename(temporary, path, pool);
    }
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
        *made = 1;
        error = make(path, pool);
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
    return EVP_Digest(buffer, len, key, &size, EVP_sha256(), NULL) && size == FG_ALTCHA_KEY_BYTES
               ? NULL
               : "can't be hashed";
}

void fg_signing_key_wipe(unsigned char *key)
{
    OPENSSL_cleanse(key, FG_ALTCHA_KEY_BYTES);
}
