/* SPDX-License-Identifier: Apache-2.0 */
/* Where a form is sent to: `ACTION\nBASE`. A path on this site, resolved whole, or nothing. */
#include "action_url.h"
#include "fuzz.h"

static char the_baton[] = "baton";

static int is_here(void *baton, const char *host, const char *port)
{
    MUST(baton == the_baton && port && !strchr(host, '/') && !strchr(host, '@'));
    return strcmp(host, "www.example.jp") == 0;
}

static int has_dots(const char *path)
{
    for (; *path; path++) {
        if (*path == '/' && path[1] == '.' &&
            (path[2] == '/' || path[2] == '\0' ||
             (path[2] == '.' && (path[3] == '/' || path[3] == '\0')))) {
            return 1;
        }
    }
    return 0;
}

FUZZ_TARGET(action_url)
{
    fuzz_in_t in = {data, len};
    const char *action = fuzz_until(&in, '\n', pool);
    const char *base = in.left ? fuzz_rest(&in, pool) : NULL;
    fg_page_url_t page = {"/folder/page.html", base, is_here, the_baton};
    fg_page_url_t bare = {"/", NULL, is_here, the_baton};
    const char *path, *query = fg_query_encode(action, pool);

    MUST(fuzz_printable(query) && !strpbrk(query, " &\"'<>=+?#"));
    path = fg_action_path(action, &page, pool);
    if (!path) {
        return;
    }
    MUST(*path == '/' && fuzz_printable(path) && !strpbrk(path, " \"<>?#`{}"));
    MUST(strlen(path) <= FG_ACTION_PATH_MAX);
    MUST(!has_dots(path));
    /* A path with two slashes in front would be another host. */
    if (path[1] != '/' && !strchr(path, '\\')) {
        const char *again = fg_action_path(path, &bare, pool);

        MUST(again && strcmp(again, path) == 0);
    }
}
