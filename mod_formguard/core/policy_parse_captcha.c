/* SPDX-License-Identifier: Apache-2.0 */
/* What was typed about captchas, made into a policy. No error text ever shows a secret. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_portable.h>
#include <apr_strings.h>

#include "http_client.h"
#include "policy_internal.h"

#define HOST            "host="
#define PROJECT_MAX     63
#define SECRET_MAX      256
#define SECRET_FILE_MAX 1024

const char *fg_parse_captcha(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    const fg_captcha_provider_t *provider;
    const char *host = "";

    /* A second word of another kind may be a secret that stands in the wrong line: not shown. */
    if (words->argc < 1 || words->argc > 2 ||
        (words->argc == 2 && strncasecmp(words->argv[1], HOST, sizeof(HOST) - 1) != 0)) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    provider = strcasecmp(words->argv[0], "off") == 0 ? &fg_captcha_off
                                                      : fg_captcha_provider(words->argv[0]);
    if (provider == NULL) {
        return fg_parse_wrong(words, words->argv[0],
                              apr_psprintf(words->temp_pool, "is none of off, %s",
                                           fg_captcha_provider_names(words->temp_pool)));
    }
    if (words->argc == 2) {
        /* One that the service documents, and no other: this may stand in .htaccess. */
        host = words->argv[1] + sizeof(HOST) - 1;
        if (fg_captcha_url(provider, host, words->temp_pool) == NULL) {
            return fg_parse_wrong(words, words->argv[1],
                                  apr_psprintf(words->temp_pool, "is no host of %s: %s",
                                               provider->name,
                                               fg_captcha_hosts(provider, words->temp_pool)));
        }
    }
    *FIELD(policy, directive, fg_policy_provider_t) = provider;
    policy->captcha_host = apr_pstrdup(words->pool, host); /* "" undoes an outer line's */
    return NULL;
}

/* A project's ID, an old one of a domain (`example.com:name`), or its number: what can stand in a
 * URL's path as it is.
 * https://docs.cloud.google.com/resource-manager/docs/creating-managing-projects */
const char *fg_parse_project(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.:";
    const char *error = fg_parse_one_word(words, directive->syntax);
    const char *id;

    if (error != NULL) {
        return error;
    }
    id = words->argv[0];
    if (strlen(id) > PROJECT_MAX || strspn(id, allowed) != strlen(id) || !apr_isalnum(*id)) {
        return fg_parse_wrong(words, id,
                              "is no project of Google Cloud: small letters, digits and hyphens");
    }
    *FIELD(policy, directive, fg_policy_text_t) = apr_pstrdup(words->pool, id);
    return NULL;
}

/* @return NULL, or what is wrong; never the secret itself */
static const char *check_secret(const char *secret, apr_size_t len)
{
    apr_size_t i;

    if (len == 0) {
        return "is empty";
    }
    if (len > SECRET_MAX) {
        return "is longer than 256 bytes";
    }
    for (i = 0; i < len; i++) {
        if (!apr_isgraph(secret[i])) {
            return "holds something that is no visible ASCII character";
        }
    }
    return NULL;
}

const char *fg_parse_secret(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words)
{
    const char *error;

    if (words->argc != 1) {
        return apr_psprintf(words->temp_pool, "takes one value: %s", directive->syntax);
    }
    error = check_secret(words->argv[0], strlen(words->argv[0]));
    if (error != NULL) {
        return apr_psprintf(words->temp_pool, "the secret %s", error);
    }
    *FIELD(policy, directive, fg_policy_text_t) = apr_pstrdup(words->pool, words->argv[0]);
    return NULL;
}

static const char *resolve(const fg_words_t *words, const char **path)
{
    *path = words->resolve != NULL ? words->resolve(words->baton, words->argv[0]) : words->argv[0];
    return *path == NULL ? fg_parse_wrong(words, words->argv[0], "is no path") : NULL;
}

/* Whom a secret's file may belong to: who owns it can read it and put another in its place. */
static int may_own(apr_uid_t owner, const fg_words_t *words)
{
    return owner == 0 || owner == geteuid() || owner == words->user;
}

/* @return NULL, or what is wrong with the file */
static const char *check_secret_file(const apr_finfo_t *info, const fg_words_t *words)
{
    /* Anything but a plain file could hold something else, or have no end. */
    if (info->filetype != APR_REG) {
        return "is no plain file";
    }
    if (!may_own(info->user, words)) {
        return "belongs to neither root nor the user httpd runs as";
    }
    if ((info->protection & (APR_FPROT_WREAD | APR_FPROT_WWRITE)) != 0) {
        return "may be read or written by everybody: chmod o= it";
    }
    if ((info->protection & APR_FPROT_GWRITE) != 0) {
        return "may be written by its group: chmod g-w it";
    }
    return info->size > SECRET_FILE_MAX
               ? "is larger than 1024 bytes: it shall hold the secret alone"
               : NULL;
}

/* Read as whoever starts the server, usually root; others must not be able to. What is judged is
 * the file that was opened, whatever a link leads to meanwhile; opening a FIFO must not hang. */
static const char *read_secret_file(const char *path, char *buffer, apr_size_t *len,
                                    const fg_words_t *words)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    apr_os_file_t os_file = fd;
    apr_file_t *file;
    apr_finfo_t info;
    apr_status_t rv = fd < 0 ? APR_FROM_OS_ERROR(errno) : APR_SUCCESS;
    const char *wrong;
    char text[120];

    if (rv == APR_SUCCESS) {
        rv = apr_os_file_put(&file, &os_file, APR_FOPEN_READ, words->temp_pool);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(
            &info, APR_FINFO_TYPE | APR_FINFO_PROT | APR_FINFO_SIZE | APR_FINFO_USER, file);
    }
    if (rv == APR_SUCCESS) {
        wrong = check_secret_file(&info, words);
        if (wrong != NULL) {
            close(fd);
            return fg_parse_wrong(words, path, wrong);
        }
        *len = SECRET_FILE_MAX;
        rv = apr_file_read(file, buffer, len);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (rv == APR_EOF) {
        *len = 0;
    }
    else if (rv != APR_SUCCESS) {
        return fg_parse_wrong(words, path,
                              apr_psprintf(words->temp_pool, "can't be read: %s",
                                           apr_strerror(rv, text, sizeof(text))));
    }
    return NULL;
}

const char *fg_parse_secret_file(const fg_directive_t *directive, fg_policy_t *policy,
                                 const fg_words_t *words)
{
    char buffer[SECRET_FILE_MAX];
    apr_size_t len = 0;
    const char *path;
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error == NULL) {
        error = resolve(words, &path);
    }
    if (error == NULL) {
        error = read_secret_file(path, buffer, &len, words);
    }
    if (error != NULL) {
        return error;
    }
    while (len > 0 && apr_isspace(buffer[len - 1])) {
        len--;
    }
    error = check_secret(buffer, len);
    if (error != NULL) {
        return fg_parse_wrong(
            words, path, apr_psprintf(words->temp_pool, "is no use: the secret in it %s", error));
    }
    *FIELD(policy, directive, fg_policy_text_t) = apr_pstrmemdup(words->pool, buffer, len);
    return NULL;
}

const char *fg_parse_ca_file(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    const char *path;
    apr_finfo_t info;
    apr_status_t rv;
    char text[120];
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error == NULL) {
        error = resolve(words, &path);
    }
    if (error != NULL) {
        return error;
    }
    rv = apr_stat(&info, path, APR_FINFO_TYPE, words->temp_pool);
    if (rv != APR_SUCCESS) {
        return fg_parse_wrong(words, path,
                              apr_psprintf(words->temp_pool, "can't be read: %s",
                                           apr_strerror(rv, text, sizeof(text))));
    }
    if (info.filetype != APR_REG) {
        return fg_parse_wrong(words, path, "is no plain file");
    }
    *FIELD(policy, directive, fg_policy_text_t) = apr_pstrdup(words->pool, path);
    return NULL;
}

const char *fg_parse_endpoint(const fg_directive_t *directive, fg_policy_t *policy,
                              const fg_words_t *words)
{
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error == NULL) {
        error = fg_http_check_url(words->argv[0], words->temp_pool);
        if (error != NULL) {
            return fg_parse_wrong(words, words->argv[0], error);
        }
        *FIELD(policy, directive, fg_policy_text_t) = apr_pstrdup(words->pool, words->argv[0]);
    }
    return error;
}

const char *fg_parse_min_score(const fg_directive_t *directive, fg_policy_t *policy,
                               const fg_words_t *words)
{
    fg_double_t *score = FIELD(policy, directive, fg_double_t);
    const char *error = fg_parse_one_word(words, directive->syntax);
    const char *p;
    int digits = 0;
    int place = 1;

    if (error != NULL) {
        return error;
    }
    /* By hand: strtod() takes the decimal point from the locale, and hexadecimal, and `nan`. */
    p = words->argv[0];
    if ((*p != '0' && *p != '1') || (p[1] != '\0' && p[1] != '.') || strlen(p) > 8) {
        return fg_parse_wrong(words, words->argv[0], "is no score: 0.0 to 1.0");
    }
    digits = *p++ - '0';
    for (p += *p == '.'; *p != '\0'; p++) {
        if (!apr_isdigit(*p)) {
            return fg_parse_wrong(words, words->argv[0], "is no score: 0.0 to 1.0");
        }
        place *= 10;
        digits = digits * 10 + (*p - '0');
    }
    if (digits > place) {
        return fg_parse_wrong(words, words->argv[0], "is no score: 0.0 to 1.0");
    }
    score->set = 1;
    /* One division of whole numbers gives the double that a vendor's JSON of that text gives. */
    score->value = (double)digits / place;
    return NULL;
}

const char *fg_parse_on_error(const fg_directive_t *directive, fg_policy_t *policy,
                              const fg_words_t *words)
{
    fg_on_error_t *on_error = FIELD(policy, directive, fg_on_error_t);
    fg_on_error_t parsed = *on_error;
    int i;

    if (words->argc == 0) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    for (i = 0; i < words->argc; i++) {
        const char *equals = strchr(words->argv[i], '=');
        fg_cause_t cause = FG_CAUSE_NONE;

        if (equals != NULL) {
            cause = fg_cause_by_name(apr_pstrmemdup(words->temp_pool, words->argv[i],
                                                    (apr_size_t)(equals - words->argv[i])));
        }
        if (cause == FG_CAUSE_NONE) {
            return fg_parse_wrong(words, words->argv[i],
                                  "names no cause: timeout, unreachable, server-error, quota, "
                                  "bad-secret or busy, each with =allow, =refuse or =altcha");
        }
        if (strcasecmp(equals + 1, "allow") == 0) {
            parsed.action[cause] = FG_ACT_ALLOW;
        }
        else if (strcasecmp(equals + 1, "refuse") == 0) {
            parsed.action[cause] = FG_ACT_REFUSE;
        }
        else if (strcasecmp(equals + 1, "altcha") == 0) {
            parsed.action[cause] = FG_ACT_CHALLENGE;
        }
        else {
            return fg_parse_wrong(words, words->argv[i], "has none of =allow, =refuse, =altcha");
        }
    }
    *on_error = parsed;
    return NULL;
}

static const char *check_hostname(const char *word)
{
    const char *p;

    for (p = word; *p != '\0'; p++) {
        if (!apr_isalnum(*p) && strchr(".-*?_", *p) == NULL) {
            return "is no host name (no scheme, port or path belongs to it)";
        }
    }
    return NULL;
}

const char *fg_parse_hostnames(const fg_directive_t *directive, fg_policy_t *policy,
                               const fg_words_t *words)
{
    return fg_parse_words(directive, policy, words, check_hostname);
}

const char *fg_parse_max_age(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    return fg_parse_period(directive, policy, words, apr_time_from_sec(1),
                           apr_time_from_sec(86400));
}

const char *fg_parse_timeout(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    return fg_parse_period(directive, policy, words, apr_time_from_msec(100),
                           apr_time_from_sec(30));
}
