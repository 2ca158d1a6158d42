/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file notices.h
 * @brief Bounds the lines that are not about one client's refusals, but that a flood can bring
 *        about: a form closed or open again, a blocklist that fails, a fault of our own.
 *
 * Shared by all processes, in memory that is all zero at first.
 */
#ifndef FG_NOTICES_H
#define FG_NOTICES_H

#include <apr_time.h>

#include "shared.h"
#include "throttle.h"

/** What such a line is about: name, lines at once. Another one comes each second. */
#define FG_NOTICE_KINDS(X)                                                                         \
    X(FG_NOTICE_CLOSED, 1)                                                                         \
    X(FG_NOTICE_OPENED, 2)                                                                         \
    X(FG_NOTICE_DNSBL, 2)                                                                          \
    X(FG_NOTICE_FAULT, 1)

typedef enum fg_notice {
#define FG_NOTICE_ENUM(name, burst) name,
    FG_NOTICE_KINDS(FG_NOTICE_ENUM)
#undef FG_NOTICE_ENUM
        FG_NOTICES
} fg_notice_t;

typedef struct fg_notices {
    fg_shared_word_t full[FG_NOTICES]; /**< when all lines may be written at once again */
    fg_shared_word_t suppressed[FG_NOTICES];
} fg_notices_t;

/**
 * Ask before a line is written.
 * @param now        steady time
 * @param suppressed if it is to be written: how many of its kind were not since the last one;
 *                   else 0. NULL: lines not written are not counted, somebody else sees to them
 * @return 1: write it; 0: do not
 */
int fg_notice_line(fg_notices_t *notices, fg_notice_t kind, apr_time_t now,
                   apr_uint64_t *suppressed);

#endif
