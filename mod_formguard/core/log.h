/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log.h
 * @brief How core speaks: through a function the caller gives, never to a file of its own.
 */
#ifndef FG_LOG_H
#define FG_LOG_H

#include <apr_errno.h>

typedef enum fg_log_level {
    FG_LOG_ERROR,
    FG_LOG_WARN,
    FG_LOG_NOTICE,
    FG_LOG_INFO,
    FG_LOG_DEBUG
} fg_log_level_t;

/** Where lines go. `rv` is APR_SUCCESS or the error to be spelt out behind the text. */
typedef struct fg_log {
    void (*write)(void *baton, fg_log_level_t level, apr_status_t rv, const char *text);
    void *baton;
} fg_log_t;

/** Longest line fg_log() writes, in bytes; the rest is cut off. */
#define FG_LOG_LINE_MAX 1024

/**
 * Write one line.
 * @param log   where to; NULL writes nothing
 * @param level how grave
 * @param rv    APR_SUCCESS, or an error the receiver spells out
 * @param fmt   printf format; its text starts with the line's `FGnnnn:` tag
 */
void fg_log(const fg_log_t *log, fg_log_level_t level, apr_status_t rv, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/** Longest value in a log line, in bytes without the NUL. */
#define FG_LOG_VALUE_MAX 64

/**
 * Reduce a value that came from outside to what is safe inside a log line: letters, digits and
 * `._:/-` stay, every other byte becomes `_`, at most FG_LOG_VALUE_MAX bytes are kept (a longer
 * value ends in `...`). An empty or NULL value becomes `-`.
 * @param out   FG_LOG_VALUE_MAX + 1 bytes, NUL-terminated on return
 * @param value the value, NUL-terminated, or NULL
 * @return `out`
 */
const char *fg_log_value(char out[FG_LOG_VALUE_MAX + 1], const char *value);

/** Longest path in a log line, in bytes without the NUL. */
#define FG_LOG_PATH_MAX 200

/**
 * fg_log_value() for a file somebody has to find: at most FG_LOG_PATH_MAX bytes are kept, of a
 * longer path the end, behind `...`.
 * @param out  FG_LOG_PATH_MAX + 1 bytes, NUL-terminated on return
 * @param path the path, NUL-terminated, or NULL
 * @return `out`
 */
const char *fg_log_path(char out[FG_LOG_PATH_MAX + 1], const char *path);

#endif
