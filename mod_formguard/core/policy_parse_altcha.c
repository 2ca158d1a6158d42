/* SPDX-License-Identifier: Apache-2.0 */
/* What was typed about the captcha built in, and about what a captcha's token is good for. */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "policy_internal.h"

#define USES_DEFAULT 3
#define USES_MAX     100

const char *fg_parse_verify(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words)
{
    fg_verify_t *verify = FIELD(policy, directive, fg_verify_t);
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error != NULL) {
        return error;
    }
    if (strcasecmp(words->argv[0], "here") != 0 && strcasecmp(words->argv[0], "application") != 0) {
        return fg_parse_wrong(words, words->argv[0], "is neither here nor application");
    }
    *verify = strcasecmp(words->argv[0], "here") == 0 ? FG_VERIFY_HERE : FG_VERIFY_APPLICATION;
    return NULL;
}

/* @return 1 if `text` is a plain decimal number from `least` to `most` */
static int read_number(const char *text, apr_uint32_t least, apr_uint32_t most,
                       apr_uint32_t *number)
{
    apr_size_t digits = strspn(text, "0123456789");
    apr_int64_t value;

    if (digits == 0 || digits > 9 || text[digits] != '\0') {
        return 0;
    }
    value = apr_atoi64(text);
    *number = (apr_uint32_t)value;
    return value >= least && value <= most;
}

const char *fg_parse_difficulty(const fg_directive_t *directive, fg_policy_t *policy,
                                const fg_words_t *words)
{
    static const char range[] = "is no number from 1000 to 10000000";
    fg_difficulty_t difficulty = {0, 0};

    if (words->argc < 1 || words->argc > 2) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    if (!read_number(words->argv[0], FG_ALTCHA_LEAST, FG_ALTCHA_MOST, &difficulty.base)) {
        return fg_parse_wrong(words, words->argv[0], range);
    }
    difficulty.most = difficulty.base > FG_ALTCHA_MOST / 20 ? FG_ALTCHA_MOST : difficulty.base * 20;
    if (words->argc == 2) {
        if (strncasecmp(words->argv[1], "max=", 4) != 0) {
            return fg_parse_wrong(words, words->argv[1], "is not max=NUMBER");
        }
        if (!read_number(words->argv[1] + 4, FG_ALTCHA_LEAST, FG_ALTCHA_MOST, &difficulty.most)) {
            return fg_parse_wrong(words, words->argv[1], range);
        }
        if (difficulty.most < difficulty.base) {
            return fg_parse_wrong(words, words->argv[1], "is less than where it starts");
        }
    }
    *FIELD(policy, directive, fg_difficulty_t) = difficulty;
    return NULL;
}

const char *fg_parse_clearance(const fg_directive_t *directive, fg_policy_t *policy,
                               const fg_words_t *words)
{
    fg_grant_t grant = {1, USES_DEFAULT, 0};
    const char *error;

    if (words->argc < 1 || words->argc > 2) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    if (words->argc == 1 && strcasecmp(words->argv[0], "off") == 0) {
        grant.uses = 0;
        *FIELD(policy, directive, fg_grant_t) = grant;
        return NULL;
    }
    error = fg_period_parse(&grant.life, words->argv[0]);
    if (error != NULL) {
        return fg_parse_wrong(words, words->argv[0], error);
    }
    if (grant.life < apr_time_from_sec(60) || grant.life > apr_time_from_sec(86400)) {
        return fg_parse_wrong(words, words->argv[0], "is out of range: 1m to 1d");
    }
    if (words->argc == 2 && (strncasecmp(words->argv[1], "uses=", 5) != 0 ||
                             !read_number(words->argv[1] + 5, 1, USES_MAX, &grant.uses))) {
        return fg_parse_wrong(words, words->argv[1], "is not uses=1 to uses=100");
    }
    *FIELD(policy, directive, fg_grant_t) = grant;
    return NULL;
}
