/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policy_internal.h
 * @brief What policy.c and policy_parse.c share.
 */
#ifndef FG_POLICY_INTERNAL_H
#define FG_POLICY_INTERNAL_H

#include "policy.h"

/** Most rates one limit may name. */
#define FG_LIMIT_RATES_MAX 4

/** The field a directive sets. */
#define FIELD(policy, directive, type) ((type *)(void *)((char *)(policy) + (directive)->offset))

/**
 * Identity of a rule: the same text in the same place is the same rule, over restarts and in every
 * process, so that it keeps its counters.
 * @param scope where it stands
 * @param text  what it says; NULL for the place alone
 */
apr_uint64_t fg_rule_id(const char *scope, const char *text);

/** 1 if a limit of that identity is among them: a second one would charge its counters twice. */
int fg_limits_have(const apr_array_header_t *limits, apr_uint64_t id);

/** "'value' reason", in the words' temp_pool. */
const char *fg_parse_wrong(const fg_words_t *words, const char *value, const char *reason);

/** @return NULL if there is exactly one word and it is not empty, else what is taken */
const char *fg_parse_one_word(const fg_words_t *words, const char *syntax);

/** @return NULL, or why `word` can't stand in a list of that kind */
typedef const char *fg_word_check_fn(const char *word);

/** Parse a list of words, each of which passes `check`, into a field of kind `names`. */
const char *fg_parse_words(const fg_directive_t *directive, fg_policy_t *policy,
                           const fg_words_t *words, fg_word_check_fn *check);

/** Parse a span of time from `least` to `most` microseconds into a field of kind `period`. */
const char *fg_parse_period(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words, apr_interval_time_t least,
                            apr_interval_time_t most);

/* The parsers of fg_policy_directives' rows. */
#define FG_PARSER(name)                                                                            \
    const char *name(const fg_directive_t *directive, fg_policy_t *policy, const fg_words_t *words)
FG_PARSER(fg_parse_mode);
FG_PARSER(fg_parse_flag);
FG_PARSER(fg_parse_methods);
FG_PARSER(fg_parse_paths);
FG_PARSER(fg_parse_fields);
FG_PARSER(fg_parse_text);
FG_PARSER(fg_parse_contact);
FG_PARSER(fg_parse_body_limit);
FG_PARSER(fg_parse_limit);
FG_PARSER(fg_parse_country);
FG_PARSER(fg_parse_field);
FG_PARSER(fg_parse_dnsbl);
FG_PARSER(fg_parse_dnsbl_timeout);
FG_PARSER(fg_parse_preset);
FG_PARSER(fg_parse_when);
FG_PARSER(fg_parse_verify);
FG_PARSER(fg_parse_difficulty);
FG_PARSER(fg_parse_clearance);
FG_PARSER(fg_parse_override);
FG_PARSER(fg_parse_captcha);
FG_PARSER(fg_parse_project);
FG_PARSER(fg_parse_secret);
FG_PARSER(fg_parse_secret_file);
FG_PARSER(fg_parse_ca_file);
FG_PARSER(fg_parse_endpoint);
FG_PARSER(fg_parse_min_score);
FG_PARSER(fg_parse_on_error);
FG_PARSER(fg_parse_hostnames);
FG_PARSER(fg_parse_max_age);
FG_PARSER(fg_parse_timeout);

#endif
