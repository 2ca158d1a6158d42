/* SPDX-License-Identifier: Apache-2.0 */
/* What makes foreign values fit for error_log: of any bytes one word, bounded. */
#include "captcha_reply.h"
#include "fuzz.h"
#include "log.h"

typedef struct line {
    int lines;
    char text[FG_LOG_LINE_MAX + 1];
} line_t;

static void keep(void *baton, fg_log_level_t level, apr_status_t rv, const char *text)
{
    line_t *line = baton;

    MUST(level == FG_LOG_NOTICE && rv == APR_SUCCESS);
    MUST(strlen(text) <= FG_LOG_LINE_MAX);
    line->lines++;
    memcpy(line->text, text, strlen(text) + 1);
}

static int is_word(const char *text)
{
    const char *p;

    for (p = text; *p; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr("._:/-", *p))) {
            return 0;
        }
    }
    return p > text;
}

FUZZ_TARGET(log)
{
    fuzz_in_t in = {data, len};
    const char *text = fuzz_rest(&in, pool), *detail;
    char value[FG_LOG_VALUE_MAX + 1], path[FG_LOG_PATH_MAX + 1], again[FG_LOG_PATH_MAX + 1];
    line_t line = {0, ""};
    fg_log_t log = {keep, &line};

    memset(value, 'x', sizeof(value));
    memset(path, 'x', sizeof(path));
    MUST(fg_log_value(value, text) == value && fg_log_path(path, text) == path);
    MUST(is_word(value) && strlen(value) <= FG_LOG_VALUE_MAX);
    MUST(is_word(path) && strlen(path) <= FG_LOG_PATH_MAX);
    MUST(strlen(text) > FG_LOG_VALUE_MAX || !*text || strlen(value) == strlen(text));
    MUST(strcmp(fg_log_value(again, value), value) == 0);
    MUST(strcmp(fg_log_path(again, path), path) == 0);
    detail = fg_detail("name", text, pool);
    MUST(strncmp(detail, "name=", 5) == 0 && strcmp(detail + 5, value) == 0);
    fg_log(&log, FG_LOG_NOTICE, APR_SUCCESS, "FG0001: %s", text);
    MUST(line.lines == 1 && strncmp(line.text, "FG0001: ", 8) == 0);
    MUST(strncmp(line.text + 8, text, FG_LOG_LINE_MAX - 8) == 0);
}
