/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file embedded.h
 * @brief Files compiled in by build/embed.
 */
#ifndef FG_EMBEDDED_H
#define FG_EMBEDDED_H

#include <stddef.h>

typedef struct fg_embedded {
    const char *name; /**< file name; NULL in the last row */
    const char *data; /**< NUL-terminated */
    size_t len;       /**< bytes without the NUL */
} fg_embedded_t;

extern const fg_embedded_t fg_embedded[];

#endif
