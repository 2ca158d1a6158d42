/* SPDX-License-Identifier: Apache-2.0 */
/* application/x-www-form-urlencoded: the input is the body, and the query of a URL. */
#include "body_target.h"

FUZZ_TARGET(urlencoded)
{
    fg_submission_t *submission = fg_submission_create(pool);
    fuzz_in_t in = {data, len};
    const char *query = fuzz_rest(&in, pool);

    body_check("application/x-www-form-urlencoded", (const char *)data, len, pool);
    fg_submission_watch(submission, "a");
    fg_submission_want(submission, "b.c");
    fg_submission_query(submission, query);
    MUST(!fg_submission_has_value(submission, "a", "x*") || fg_submission_has(submission, "a"));
    MUST(!fg_submission_has_value(submission, "b.c", "x") || fg_submission_has(submission, "b.c"));
    MUST(fg_submission_value(submission, "a", NULL, NULL) == NULL);
    MUST(!fg_submission_facts(submission, "a").filled);
}
