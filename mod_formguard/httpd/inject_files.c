/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that are files: what was found in them before. */
#include <string.h>

#include "http_protocol.h"

#include "core/page_memory.h"
#include "inject.h"

static fg_page_memory_t *memory;

/* The file of `size` bytes, all of it and nothing else. */
static int is_whole(const apr_bucket_brigade *bb, apr_off_t size)
{
    const apr_bucket *b = APR_BRIGADE_FIRST(bb);

    return APR_BUCKET_IS_FILE(b) && b->start == 0 && (apr_off_t)b->length == size &&
           APR_BUCKET_IS_EOS(APR_BUCKET_NEXT(b));
}

fg_page_file_t *fg_page_file_asked(request_rec *r)
{
    fg_page_file_t *file;

    if (r->handler != NULL || r->finfo.filetype != APR_REG || r->content_type == NULL ||
        strncasecmp(r->content_type, "text/html", 9) != 0 ||
        r->output_filters->frec->ftype <= AP_FTYPE_RESOURCE) {
        return NULL;
    }
    file = apr_palloc(r->pool, sizeof(*file));
    file->info = r->finfo;
    return fg_page_memory_find(memory, &file->info, &file->found) ? file : NULL;
}

int fg_page_file_comes(const fg_page_file_t *file, const apr_bucket_brigade *bb)
{
    return is_whole(bb, file->info.size);
}

fg_page_file_t *fg_page_file_of(const apr_bucket_brigade *bb, apr_pool_t *pool, int *known)
{
    const apr_bucket *b = APR_BRIGADE_FIRST(bb);
    const apr_bucket_file *f = b->data;
    fg_page_file_t *file;

    *known = 0;
    if (!is_whole(bb, (apr_off_t)b->length)) {
        return NULL;
    }
    file = apr_palloc(pool, sizeof(*file));
    file->found.used = 0;
    if (apr_file_info_get(&file->info,
                          APR_FINFO_IDENT | APR_FINFO_SIZE | APR_FINFO_MTIME | APR_FINFO_CTIME |
                              APR_FINFO_TYPE,
                          f->fd) != APR_SUCCESS ||
        file->info.filetype != APR_REG || !is_whole(bb, file->info.size)) {
        return NULL;
    }
    *known = fg_page_memory_find(memory, &file->info, &file->found);
    return file;
}

void fg_page_file_keep(const fg_page_file_t *file, apr_time_t now)
{
    fg_page_memory_keep(memory, &file->info, &file->found, now);
}

void fg_page_file_child_init(apr_pool_t *pchild)
{
    memory = fg_page_memory_create(pchild);
}
