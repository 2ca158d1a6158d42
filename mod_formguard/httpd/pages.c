/* SPDX-License-Identifier: Apache-2.0 */
/* The texts and the page a visitor sees. They are read once, at start; what a provider's folder
 * does not hold comes from the files compiled in. */
#include <string.h>
#include <time.h>

#include "apr_file_io.h"
#include "apr_hash.h"
#include "apr_lib.h"
#include "apr_strings.h"

#include "embedded.h"
#include "http_protocol.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

#define FILE_MAX (256 * 1024)

typedef struct language {
    const char *tag;
    const char *file;
    apr_hash_t *texts;
} language_t;

static language_t languages[] = {{"en", "texts.en", NULL}, {"ja", "texts.ja", NULL}};
static const char *refusal_template;
static const char *challenge_template;
static const char *plain_widget;

/* --- loading ---------------------------------------------------------------------------------- */

static const char *embedded(const char *name)
{
    const fg_embedded_t *e;

    for (e = fg_embedded; e->name != NULL; e++) {
        if (strcmp(e->name, name) == 0) {
            return e->data;
        }
    }
    return "";
}

/* @return NULL, or what is wrong with the file */
static const char *load(const char **text, const char *dir, const char *name, apr_pool_t *pool)
{
    char *path;
    char *buffer;
    char error[120];
    apr_file_t *file;
    apr_finfo_t info;
    apr_status_t rv;
    apr_size_t len;

    *text = embedded(name);
    if (dir == NULL) {
        return NULL;
    }
    path = apr_pstrcat(pool, dir, "/", name, NULL);
    rv = apr_stat(&info, path, APR_FINFO_TYPE | APR_FINFO_SIZE, pool);
    if (APR_STATUS_IS_ENOENT(rv)) {
        return NULL;
    }
    if (rv == APR_SUCCESS && (info.filetype != APR_REG || info.size > FILE_MAX)) {
        return apr_psprintf(pool, "'%s' is no plain file of at most 256 KiB", path);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_file_open(&file, path, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, pool);
    }
    if (rv != APR_SUCCESS) {
        return apr_psprintf(pool, "'%s' can't be read: %s", path,
                            apr_strerror(rv, error, sizeof(error)));
    }
    buffer = apr_palloc(pool, (apr_size_t)info.size + 1);
    rv = apr_file_read_full(file, buffer, (apr_size_t)info.size, &len);
    apr_file_close(file);
    if (rv != APR_SUCCESS && rv != APR_EOF) {
        return apr_psprintf(pool, "'%s' can't be read: %s", path,
                            apr_strerror(rv, error, sizeof(error)));
    }
    buffer[len] = '\0';
    *text = buffer;
    return NULL;
}

/* `KEY: TEXT` lines into `texts`; the later of two wins. */
static const char *parse_texts(apr_hash_t *texts, const char *data, const char *name,
                               apr_pool_t *pool)
{
    char *rest = apr_pstrdup(pool, data);
    char *last;
    char *line;

    for (line = apr_strtok(rest, "\r\n", &last); line != NULL;
         line = apr_strtok(NULL, "\r\n", &last)) {
        char *colon = strchr(line, ':');

        if (*line == '#') {
            continue;
        }
        if (colon == NULL) {
            return apr_psprintf(pool, "'%s' holds a line that is not KEY: TEXT: '%s'", name, line);
        }
        *colon++ = '\0';
        while (apr_isspace(*colon)) {
            colon++;
        }
        apr_hash_set(texts, line, APR_HASH_KEY_STRING, colon);
    }
    return NULL;
}

const char *fg_pages_load(const char *dir, apr_pool_t *pool)
{
    const char *error = load(&refusal_template, dir, "refusal.html", pool);
    apr_size_t i;

    if (error == NULL) {
        error = load(&challenge_template, dir, "challenge.html", pool);
    }
    plain_widget =
        apr_pstrcat(pool, embedded("plain.js"), embedded("solver.js"), embedded("form.js"), NULL);

    for (i = 0; i < sizeof(languages) / sizeof(languages[0]) && error == NULL; i++) {
        const char *data;

        /* A provider's file need not hold every text: ours are below it. */
        languages[i].texts = apr_hash_make(pool);
        error =
            parse_texts(languages[i].texts, embedded(languages[i].file), languages[i].file, pool);
        if (error == NULL) {
            error = load(&data, dir, languages[i].file, pool);
        }
        if (error == NULL) {
            error = parse_texts(languages[i].texts, data, languages[i].file, pool);
        }
    }
    return error;
}

/* --- using ------------------------------------------------------------------------------------ */

int fg_pages_language(apr_pool_t *pool, const char *accept_language)
{
    int count = (int)(sizeof(languages) / sizeof(languages[0]));
    int chosen = 0;
    int best = 0;
    int i;

    for (i = 0; accept_language != NULL && i < count; i++) {
        int quality = fg_accept_quality(pool, accept_language, languages[i].tag);

        if (quality > best) {
            best = quality;
            chosen = i;
        }
    }
    return chosen;
}

const char *fg_pages_tag(int language)
{
    return languages[language].tag;
}

const char *fg_pages_text(int language, const char *key)
{
    const char *text = apr_hash_get(languages[language].texts, key, APR_HASH_KEY_STRING);

    return text != NULL ? text : "";
}

/* A text of a provider's is never a format: the first `mark` gives way to the value. */
static const char *put(apr_pool_t *pool, const char *text, const char *mark, const char *value)
{
    const char *at = strstr(text, mark);

    return at == NULL ? text
                      : apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(at - text)),
                                    value, at + strlen(mark), NULL);
}

const char *fg_pages_text_with(apr_pool_t *pool, int language, const char *key, const char *value)
{
    return value != NULL ? put(pool, fg_pages_text(language, key), "%s", value) : "";
}

typedef enum precision { MINUTE, DAY_MINUTE, DAY_SECOND } precision_t;

/* In the server's zone, with the zone's name: nothing tells where the visitor is. */
static const char *local_time(apr_pool_t *pool, apr_time_t at, precision_t precision)
{
    time_t seconds = (time_t)apr_time_sec(at);
    char clock[80];
    char zone[40];
    struct tm tm;
    size_t len;

    if (localtime_r(&seconds, &tm) == NULL || strftime(zone, sizeof(zone), "%Z", &tm) == 0) {
        return "";
    }
    switch (precision) {
    case MINUTE:
        len = strftime(clock, sizeof(clock), "%H:%M", &tm);
        break;
    case DAY_MINUTE:
        len = strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M", &tm);
        break;
    default:
        len = strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S", &tm);
    }
    if (len == 0) {
        return "";
    }
    /* Zones without a name are called `+03`. */
    return apr_pstrcat(pool, clock, apr_isalpha(*zone) ? " " : " UTC", zone, NULL);
}

const char *fg_pages_time(apr_pool_t *pool, apr_time_t now)
{
    return local_time(pool, now, DAY_SECOND);
}

const char *fg_pages_retry(apr_pool_t *pool, int language, apr_int64_t seconds, apr_time_t now)
{
    const char *key = "retry.seconds";
    /* No minute too early. */
    apr_time_t at = now + apr_time_from_sec(seconds + 59);
    const char *clock = local_time(pool, at, seconds > 12 * 3600 ? DAY_MINUTE : MINUTE);

    if (seconds <= 0) {
        return "";
    }
    if (seconds > 48 * 3600) {
        key = "retry.days";
        seconds = (seconds + 86399) / 86400;
    }
    else if (seconds > 2 * 3600) {
        key = "retry.hours";
        seconds = (seconds + 3599) / 3600;
    }
    else if (seconds > 120) {
        key = "retry.minutes";
        seconds = (seconds + 59) / 60;
    }
    else if (seconds == 1) {
        seconds = 2; /* the text is for several */
    }
    return put(pool,
               put(pool, fg_pages_text(language, key), "%d",
                   apr_psprintf(pool, "%" APR_INT64_T_FMT, seconds)),
               "%t", clock);
}

/* Put values, escaped unless they are markup of ours, where the template says {{name}}. */
static const char *fill(apr_pool_t *pool, const char *template, const fg_placeholder_t *values)
{
    apr_array_header_t *parts = apr_array_make(pool, 24, sizeof(const char *));
    const char *rest = template;
    const char *open;

    while ((open = strstr(rest, "{{")) != NULL) {
        const char *close = strstr(open, "}}");
        const fg_placeholder_t *p;

        if (close == NULL) {
            break;
        }
        APR_ARRAY_PUSH(parts, const char *) = apr_pstrmemdup(pool, rest, (apr_size_t)(open - rest));
        for (p = values; p->name != NULL; p++) {
            apr_size_t len = strlen(p->name);

            if (len == (apr_size_t)(close - open - 2) && memcmp(open + 2, p->name, len) == 0) {
                APR_ARRAY_PUSH(parts, const char *) =
                    p->markup ? p->value : ap_escape_html(pool, p->value);
            }
        }
        rest = close + 2;
    }
    APR_ARRAY_PUSH(parts, const char *) = rest;
    return apr_array_pstrcat(pool, parts, '\0');
}

const char *fg_pages_refusal(apr_pool_t *pool, const fg_told_t *told, int status)
{
    const fg_placeholder_t values[] = {
        {"lang", fg_pages_tag(told->language), 0},
        {"title", fg_pages_text(told->language, apr_pstrcat(pool, told->key, ".title", NULL)), 0},
        {"text", told->text, 0},
        {"retry", told->retry, 0},
        {"back", told->back, 0},
        {"contact", told->contact, 0},
        {"reference", told->reference, 0},
        {"time", told->time, 0},
        {"status", ap_get_status_line(status), 0},
        {NULL, NULL, 0}};

    return fill(pool, refusal_template, values);
}

const char *fg_pages_challenge(apr_pool_t *pool, const fg_placeholder_t *values)
{
    return fill(pool, challenge_template, values);
}

const char *fg_pages_script(const char *name)
{
    return strcmp(name, "challenge.js") == 0 || strcmp(name, "fields.js") == 0 ? embedded(name)
                                                                               : NULL;
}

const char *fg_pages_widget(void)
{
    return plain_widget;
}
