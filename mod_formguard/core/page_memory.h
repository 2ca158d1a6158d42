/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file page_memory.h
 * @brief What was found in the page files that were read last, for one process: 128 KB at most,
 *        whatever there is to remember. Threads may share it.
 *
 * A file is the same while its device, inode, size and both its times (of its content, and of its
 * inode, which no user can set) are. One that was changed a moment ago is not remembered: file
 * systems' clocks tick slowly, and a second change might show in none of these.
 */
#ifndef FG_PAGE_MEMORY_H
#define FG_PAGE_MEMORY_H

#include <apr_file_info.h>

#include "html_found.h"

typedef struct fg_page_memory fg_page_memory_t;

/** Empty. @param pool owns it @return NULL: there is no memory for it, or no lock */
fg_page_memory_t *fg_page_memory_create(apr_pool_t *pool);

/**
 * What was found in the file.
 * @param memory NULL: nothing is known
 * @param file   of apr_file_info_get() or apr_stat()
 * @param found  filled in
 * @return 1 if it is known
 */
int fg_page_memory_find(fg_page_memory_t *memory, const apr_finfo_t *file, fg_html_found_t *found);

/**
 * Remember what was found in it, if there was room for all in `found`.
 * @param file as it was before its content was read
 * @param now  when that was, or earlier
 */
void fg_page_memory_keep(fg_page_memory_t *memory, const apr_finfo_t *file,
                         const fg_html_found_t *found, apr_time_t now);

#endif
