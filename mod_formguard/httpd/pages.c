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

/* How long somebody is to wait, in what a text is about. */
enum retry { SECONDS, MINUTES, HOURS, DAYS, RETRIES };

typedef struct language {
    const char *tag;
    const char *file;
    apr_hash_t *texts;
    /* Of these, found once: */
    fg_about_t about[FG_ABOUT_REPEAT + 1]; /* by reason */
    fg_common_t common;
    const char *retry[RETRIES];
} language_t;

static language_t languages[] = {{.tag = "en", .file = "texts.en"},
                                 {.tag = "ja", .file = "texts.ja"}};

#define LANGUAGES (int)(sizeof(languages) / sizeof(languages[0]))

static const fg_template_t *refusal_template;
static const fg_template_t *challenge_template;
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

static const char *load_template(const fg_template_t **template, const char *dir, const char *name,
                                 apr_pool_t *pool)
{
    const char *text;
    const char *error = load(&text, dir, name, pool);

    if (error == NULL) {
        *template = fg_template_parse(text, pool);
    }
    return error;
}

static const char *text_of(const language_t *language, const char *key)
{
    const char *text = apr_hash_get(language->texts, key, APR_HASH_KEY_STRING);

    return text != NULL ? text : "";
}

static void find_texts(language_t *language, apr_pool_t *pool)
{
    static const char *const retries[RETRIES] = {"retry.seconds", "retry.minutes", "retry.hours",
                                                 "retry.days"};
    int i;

    language->common.back = text_of(language, "back");
    language->common.contact = text_of(language, "contact");
    language->common.reference = text_of(language, "reference");
    for (i = 0; i < RETRIES; i++) {
        language->retry[i] = text_of(language, retries[i]);
    }

    for (i = 0; i <= FG_ABOUT_REPEAT; i++) {
        const char *key = i == FG_ABOUT_REPEAT ? "repeat" : fg_reason((fg_reason_t)i)->key;

        language->about[i].title = text_of(language, apr_pstrcat(pool, key, ".title", NULL));
        language->about[i].text = text_of(language, apr_pstrcat(pool, key, ".text", NULL));
    }
}

static const char *load_texts(language_t *language, const char *dir, apr_pool_t *pool)
{
    const char *data;
    const char *error;

    /* A provider's file need not hold every text: ours are below it. */
    language->texts = apr_hash_make(pool);
    error = parse_texts(language->texts, embedded(language->file), language->file, pool);
    if (error == NULL) {
        error = load(&data, dir, language->file, pool);
    }
    if (error == NULL) {
        error = parse_texts(language->texts, data, language->file, pool);
    }
    if (error == NULL) {
        find_texts(language, pool);
    }
    return error;
}

const char *fg_pages_load(const char *dir, apr_pool_t *pool)
{
    const char *error = load_template(&refusal_template, dir, "refusal.html", pool);
    int i;

    if (error == NULL) {
        error = load_template(&challenge_template, dir, "challenge.html", pool);
    }
    plain_widget =
        apr_pstrcat(pool, embedded("plain.js"), embedded("solver.js"), embedded("form.js"), NULL);

    for (i = 0; i < LANGUAGES && error == NULL; i++) {
        error = load_texts(&languages[i], dir, pool);
    }
    return error;
}

/* --- using ------------------------------------------------------------------------------------ */

int fg_pages_language(const char *accept_language)
{
    const char *tags[LANGUAGES];
    int quality[LANGUAGES];
    int chosen = 0;
    int i;

    if (accept_language == NULL) {
        return 0;
    }
    for (i = 0; i < LANGUAGES; i++) {
        tags[i] = languages[i].tag;
    }
    fg_accept_qualities(accept_language, tags, quality, LANGUAGES);
    for (i = 1; i < LANGUAGES; i++) {
        chosen = quality[i] > quality[chosen] ? i : chosen;
    }
    return chosen;
}

const char *fg_pages_tag(int language)
{
    return languages[language].tag;
}

const char *fg_pages_text(int language, const char *key)
{
    return text_of(&languages[language], key);
}

const fg_about_t *fg_pages_about(int language, fg_reason_t reason)
{
    return &languages[language].about[reason];
}

/* A text of a provider's is never a format: the first `mark`, two bytes, gives way to the value. */
static const char *put(apr_pool_t *pool, const char *text, const char *mark, const char *value)
{
    const char *at = strstr(text, mark);
    apr_size_t before;
    apr_size_t len;
    apr_size_t after;
    char *out;

    if (at == NULL) {
        return text;
    }
    before = (apr_size_t)(at - text);
    len = strlen(value);
    after = strlen(at + 2) + 1;
    out = apr_palloc(pool, before + len + after);
    memcpy(out, text, before);
    memcpy(out + before, value, len);
    memcpy(out + before + len, at + 2, after);
    return out;
}

const fg_common_t *fg_pages_common(int language)
{
    return &languages[language].common;
}

const char *fg_pages_with(apr_pool_t *pool, const char *text, const char *value)
{
    return value != NULL ? put(pool, text, "%s", value) : "";
}

typedef enum precision { MINUTE, DAY_MINUTE, DAY_SECOND } precision_t;

/* A separator, unless it is 0, and two digits. */
static char *two_digits(char *out, char separator, int number)
{
    if (separator != '\0') {
        *out++ = separator;
    }
    *out++ = (char)('0' + number / 10 % 10);
    *out++ = (char)('0' + number % 10);
    return out;
}

/* In the server's zone, with the zone's name: nothing tells where the visitor is. */
static const char *local_time(apr_pool_t *pool, apr_time_t at, precision_t precision)
{
    time_t seconds = (time_t)apr_time_sec(at);
    apr_size_t zone;
    struct tm tm;
    char *text;
    char *p;

    if (localtime_r(&seconds, &tm) == NULL || tm.tm_zone == NULL || *tm.tm_zone == '\0') {
        return "";
    }
    zone = strlen(tm.tm_zone) + 1;
    text = p = apr_palloc(pool, sizeof("2026-11-22 14:32:10 UTC") + zone);
    if (precision != MINUTE) {
        p = two_digits(p, '\0', (tm.tm_year + 1900) / 100);
        p = two_digits(p, '\0', tm.tm_year % 100);
        p = two_digits(p, '-', tm.tm_mon + 1);
        p = two_digits(p, '-', tm.tm_mday);
        *p++ = ' ';
    }
    p = two_digits(p, '\0', tm.tm_hour);
    p = two_digits(p, ':', tm.tm_min);
    if (precision == DAY_SECOND) {
        p = two_digits(p, ':', tm.tm_sec);
    }
    *p++ = ' ';
    if (!apr_isalpha(*tm.tm_zone)) {
        memcpy(p, "UTC", 3); /* zones without a name are called `+03` */
        p += 3;
    }
    memcpy(p, tm.tm_zone, zone);
    return text;
}

const char *fg_pages_time(apr_pool_t *pool, apr_time_t now)
{
    return local_time(pool, now, DAY_SECOND);
}

const char *fg_pages_retry(apr_pool_t *pool, int language, apr_int64_t seconds, apr_time_t now)
{
    enum retry unit = SECONDS;
    /* No minute too early. */
    apr_time_t at = now + apr_time_from_sec(seconds + 59);
    precision_t precision = seconds > 12 * 3600 ? DAY_MINUTE : MINUTE;
    const char *text;

    if (seconds <= 0) {
        return "";
    }
    if (seconds > 48 * 3600) {
        unit = DAYS;
        seconds = (seconds + 86399) / 86400;
    }
    else if (seconds > 2 * 3600) {
        unit = HOURS;
        seconds = (seconds + 3599) / 3600;
    }
    else if (seconds > 120) {
        unit = MINUTES;
        seconds = (seconds + 59) / 60;
    }
    else if (seconds == 1) {
        seconds = 2; /* the text is for several */
    }
    text =
        put(pool, languages[language].retry[unit], "%d", apr_off_t_toa(pool, (apr_off_t)seconds));
    return strstr(text, "%t") != NULL ? put(pool, text, "%t", local_time(pool, at, precision))
                                      : text;
}

const char *fg_pages_refusal(apr_pool_t *pool, const fg_told_t *told, int status)
{
    const char *const values[FG_SLOTS] = {[FG_SLOT_LANG] = fg_pages_tag(told->language),
                                          [FG_SLOT_TITLE] = told->title,
                                          [FG_SLOT_TEXT] = told->text,
                                          [FG_SLOT_RETRY] = told->retry,
                                          [FG_SLOT_BACK] = told->back,
                                          [FG_SLOT_CONTACT] = told->contact,
                                          [FG_SLOT_REFERENCE] = told->reference,
                                          [FG_SLOT_TIME] = told->time,
                                          [FG_SLOT_STATUS] = ap_get_status_line(status)};

    return fg_template_fill(refusal_template, values, pool);
}

const char *fg_pages_challenge(apr_pool_t *pool, const char *const values[FG_SLOTS])
{
    return fg_template_fill(challenge_template, values, pool);
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
