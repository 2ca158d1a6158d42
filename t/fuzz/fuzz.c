/* SPDX-License-Identifier: Apache-2.0 */
/* What runs targets: the registry, pools. */
#include "fuzz.h"

#include <apr_general.h>

fuzz_target_t *fuzz_targets;

fuzz_target_t *fuzz_find(const char *name)
{
    fuzz_target_t *target;

    for (target = fuzz_targets; target && strcmp(target->name, name) != 0; target = target->next) {
    }
    return target;
}

void fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, condition);
    abort();
}

apr_pool_t *fuzz_root(void)
{
    static apr_pool_t *root;

    if (!root && (apr_initialize() != APR_SUCCESS || apr_pool_create(&root, NULL) != APR_SUCCESS)) {
        abort();
    }
    return root;
}

/* libmaxminddb 1.7 does not let go of a list where a file's description or its languages are none:
 * 4.6 KB for each damaged file that is loaded. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libmaxminddb.so\n";
}

void fuzz_one(const fuzz_target_t *target, const unsigned char *data, size_t len)
{
    unsigned char *copy = malloc(len ? len : 1);
    apr_pool_t *pool;

    if (!copy || apr_pool_create(&pool, fuzz_root()) != APR_SUCCESS) {
        abort();
    }
    if (len) {
        memcpy(copy, data, len);
    }
    target->run(copy, len, pool);
    apr_pool_destroy(pool);
    free(copy);
}
