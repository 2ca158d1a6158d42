/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policy_line.h
 * @brief For tests: one line of configuration as text, applied to a policy. After cmocka.h.
 */
#ifndef FG_TEST_POLICY_LINE_H
#define FG_TEST_POLICY_LINE_H

#include <string.h>

#include <apr_strings.h>

#include "policy.h"

/** The row of a directive, or NULL. */
static inline const fg_directive_t *line_directive(const char *name)
{
    const fg_directive_t *row;

    for (row = fg_policy_directives; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

/** line_apply() for a line of .htaccess, or not. */
static inline const char *line_apply_as(int site, fg_policy_t *policy, const char *scope,
                                        const char *line, apr_pool_t *pool)
{
    char *argv[64];
    char *last = NULL;
    char *word = apr_strtok(apr_pstrdup(pool, line), " ", &last);
    fg_words_t words;

    memset(&words, 0, sizeof(words));
    words.argv = argv;
    words.scope = scope;
    words.site = site;
    words.pool = pool;
    words.temp_pool = pool;
    for (word = apr_strtok(NULL, " ", &last); word != NULL; word = apr_strtok(NULL, " ", &last)) {
        argv[words.argc++] = word;
    }
    word = apr_pstrndup(pool, line, strcspn(line, " "));
    if (line_directive(word) == NULL) {
        return "there is no such directive";
    }
    return fg_policy_apply(line_directive(word), policy, &words);
}

/** Apply `FormGuardLimit ip 5/10m`, words apart by one space each, as if it stood in `scope`. */
static inline const char *line_apply(fg_policy_t *policy, const char *scope, const char *line,
                                     apr_pool_t *pool)
{
    return line_apply_as(0, policy, scope, line, pool);
}

/** Apply a line to an empty policy; the test fails if it is wrong. */
static inline fg_policy_t *line_policy(const char *line, apr_pool_t *pool)
{
    fg_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));
    const char *error = line_apply(policy, "here", line, pool);

    if (error != NULL) {
        fail_msg("%s: %s", line, error);
    }
    return policy;
}

/** fg_policy_country() for a code, of which no database says more. */
static inline const fg_country_rule_t *country_rule(const fg_policy_t *policy, const char *code)
{
    fg_country_t country = fg_country_of(code);

    return fg_policy_country(policy, &country);
}

/** fg_limit_covers_country() for a code. */
static inline int covers_country(const fg_limit_t *limit, const char *code)
{
    fg_country_t country = fg_country_of(code);

    return fg_limit_covers_country(limit, &country);
}

typedef struct line_wrong {
    const char *line;
    const char *error; /**< the whole sentence */
} line_wrong_t;

/** Each of the lines is refused with its sentence and changes nothing. */
static inline void line_expect_errors(const line_wrong_t *cases, size_t count, apr_pool_t *pool)
{
    size_t i;

    for (i = 0; i < count; i++) {
        fg_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));
        const fg_policy_t before = *policy;
        const char *error = line_apply(policy, "here", cases[i].line, pool);

        if (error == NULL) {
            fail_msg("taken: %s", cases[i].line);
        }
        assert_string_equal(error, cases[i].error);
        assert_memory_equal(policy, &before, sizeof(before));
    }
}

#define LINE_EXPECT_ERRORS(cases, pool)                                                            \
    line_expect_errors(cases, sizeof(cases) / sizeof(cases[0]), pool)

#endif
