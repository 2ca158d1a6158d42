/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log.c
 * @brief Formats lines for the caller's log, and makes foreign values fit to stand in one.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fg_log(const fg_log_t *log, fg_log_level_t level, apr_status_t rv, const char *fmt, ...)
{
    char line[FG_LOG_LINE_MAX + 1];
    va_list args;

    if (!log || !log->write) {
        return;
    }
    va_start(args, fmt);
    if (vsnprintf(line, sizeof(line), fmt, args) < 0) {
        line[0] = '\0';
    }
    va_end(args);
    log->write(log->baton, level, rv, line);
}

/* Not isalnum(): what is safe must not depend on the locale. `-` to `:` are -./0123456789: */
static int is_safe(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= ':') || c == '_';
}

static const char more[] = "...";

const char *fg_log_value(char out[FG_LOG_VALUE_MAX + 1], const char *value)
{
    size_t n = 0;

    if (!value || !*value) {
        memcpy(out, "-", 2);
        return out;
    }
    for (; n < FG_LOG_VALUE_MAX && value[n]; n++) {
        out[n] = is_safe(value[n]) ? value[n] : '_';
    }
    out[n] = '\0';
    if (value[n]) {
        memcpy(out + FG_LOG_VALUE_MAX - (sizeof(more) - 1), more, sizeof(more));
    }
    return out;
}

const char *fg_log_path(char out[FG_LOG_PATH_MAX + 1], const char *path)
{
    size_t len = path ? strlen(path) : 0;
    size_t n = 0;

    if (len == 0) {
        memcpy(out, "-", 2);
        return out;
    }
    if (len > FG_LOG_PATH_MAX) {
        n = sizeof(more) - 1;
        memcpy(out, more, n);
        path += len - (FG_LOG_PATH_MAX - n);
    }
    for (; *path; path++, n++) {
        out[n] = is_safe(*path) ? *path : '_';
    }
    out[n] = '\0';
    return out;
}
