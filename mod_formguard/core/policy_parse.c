/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator or a site owner typed, made into a policy. Everything is strict: a value
 * that is not understood whole is refused with the reason, and changes nothing. */
#include <stddef.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "policy.h"
#include "policy_internal.h"

#define NAME_MAX_LEN 512

/* Longest FormGuardContact, in characters. */
#define CONTACT_MAX 200

const char *fg_parse_wrong(const fg_words_t *words, const char *value, const char *reason)
{
    return apr_psprintf(words->temp_pool, "'%s' %s", value, reason);
}

const char *fg_parse_one_word(const fg_words_t *words, const char *syntax)
{
    if (words->argc != 1 || *words->argv[0] == '\0') {
        return apr_psprintf(words->temp_pool, "takes one value: %s", syntax);
    }
    return NULL;
}

/* --- plain kinds ------------------------------------------------------------------------------ */

const char *fg_parse_mode(const fg_directive_t *directive, fg_policy_t *policy,
                          const fg_words_t *words)
{
    fg_policy_mode_t *mode = FIELD(policy, directive, fg_policy_mode_t);
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error != NULL) {
        return error;
    }
    if (strcasecmp(words->argv[0], "on") == 0) {
        mode->mode = FG_MODE_ON;
    }
    else if (strcasecmp(words->argv[0], "off") == 0) {
        mode->mode = FG_MODE_OFF;
    }
    else if (strcasecmp(words->argv[0], "detectiononly") == 0) {
        mode->mode = FG_MODE_DETECT;
    }
    else {
        return fg_parse_wrong(words, words->argv[0], "is none of On, Off, DetectionOnly");
    }
    mode->scope = fg_rule_id(words->scope, NULL);
    return NULL;
}

const char *fg_parse_flag(const fg_directive_t *directive, fg_policy_t *policy,
                          const fg_words_t *words)
{
    fg_policy_flag_t *flag = FIELD(policy, directive, fg_policy_flag_t);
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error != NULL) {
        return error;
    }
    if (strcasecmp(words->argv[0], "on") != 0 && strcasecmp(words->argv[0], "off") != 0) {
        return fg_parse_wrong(words, words->argv[0], "is neither On nor Off");
    }
    *flag = strcasecmp(words->argv[0], "on") == 0 ? FG_MODE_ON : FG_MODE_OFF;
    return NULL;
}

static const char *check_method(const char *word)
{
    const char *p;

    for (p = word; *p != '\0'; p++) {
        /* RFC 9110 5.6.2: what a token is made of */
        if (!apr_isalnum(*p) && strchr("!#$%&'*+-.^_`|~", *p) == NULL) {
            return "is no HTTP method";
        }
        if (apr_islower(*p)) {
            return "is no HTTP method of any form: methods are written in capitals";
        }
    }
    return NULL;
}

static const char *check_path(const char *word)
{
    return fg_policy_is_path(word) ? NULL : "is no URL path: it must start with '/' or '*'";
}

static const char *check_name(const char *word)
{
    return strlen(word) <= NAME_MAX_LEN ? NULL : "is longer than any field name that is read";
}

const char *fg_parse_words(const fg_directive_t *directive, fg_policy_t *policy,
                           const fg_words_t *words, fg_word_check_fn *check)
{
    apr_array_header_t *names = apr_array_make(words->pool, words->argc, sizeof(const char *));
    int i;

    if (words->argc == 0) {
        return apr_psprintf(words->temp_pool, "takes one value at least: %s", directive->syntax);
    }
    for (i = 0; i < words->argc; i++) {
        const char *reason = *words->argv[i] == '\0' ? "is empty" : check(words->argv[i]);
        if (reason != NULL) {
            return fg_parse_wrong(words, words->argv[i], reason);
        }
        APR_ARRAY_PUSH(names, const char *) = apr_pstrdup(words->pool, words->argv[i]);
    }
    *FIELD(policy, directive, fg_policy_names_t) = names;
    return NULL;
}

const char *fg_parse_methods(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    return fg_parse_words(directive, policy, words, check_method);
}

const char *fg_parse_paths(const fg_directive_t *directive, fg_policy_t *policy,
                           const fg_words_t *words)
{
    return fg_parse_words(directive, policy, words, check_path);
}

const char *fg_parse_fields(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words)
{
    return fg_parse_words(directive, policy, words, check_name);
}

const char *fg_parse_text(const fg_directive_t *directive, fg_policy_t *policy,
                          const fg_words_t *words)
{
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error == NULL && strlen(words->argv[0]) > NAME_MAX_LEN) {
        error = "is longer than 512 bytes";
    }
    if (error == NULL) {
        *FIELD(policy, directive, fg_policy_text_t) = apr_pstrdup(words->pool, words->argv[0]);
    }
    return error;
}

/* The character at `*text`, which moves behind it. @return -1 if it is no UTF-8 (RFC 3629) */
static apr_int32_t next_character(const char **text)
{
    static const apr_int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*(*text)++;
    int bytes = first < 0x80   ? 1
                : first < 0xc0 ? 0
                : first < 0xe0 ? 2
                : first < 0xf0 ? 3
                : first < 0xf8 ? 4
                               : 0;
    apr_int32_t character = bytes == 1 ? first : first & (0x7f >> bytes);
    int i;

    for (i = 1; i < bytes; i++) {
        if (((unsigned char)**text & 0xc0) != 0x80) {
            return -1;
        }
        character = character << 6 | ((unsigned char)*(*text)++ & 0x3f);
    }
    return bytes == 0 || character < least[bytes] || character > 0x10ffff ||
                   (character >= 0xd800 && character < 0xe000)
               ? -1
               : character;
}

/* What breaks a line, or turns around what stands behind it. */
static int is_control(apr_int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

static const char *check_contact(const char *text)
{
    const char *p = text;
    int length = 0;

    if (*text == '\0') {
        return "is empty; to show nothing say none";
    }
    while (*p != '\0') {
        apr_int32_t c = next_character(&p);

        if (c < 0) {
            return "is not UTF-8";
        }
        if (is_control(c)) {
            return "holds a control character";
        }
        if (++length > CONTACT_MAX) {
            return "is longer than 200 characters";
        }
    }
    return NULL;
}

/* The words of the line, so that it needs no quotes. */
const char *fg_parse_contact(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    const char *text = "";
    const char *error;
    int i;

    for (i = 0; i < words->argc; i++) {
        text = apr_pstrcat(words->pool, text, i > 0 ? " " : "", words->argv[i], NULL);
    }
    if (words->argc == 0) {
        return apr_psprintf(words->temp_pool, "takes a text: %s", directive->syntax);
    }
    error = check_contact(text);
    if (error != NULL) {
        return fg_parse_wrong(words, text, error);
    }
    *FIELD(policy, directive, fg_policy_text_t) = strcasecmp(text, "none") == 0 ? "" : text;
    return NULL;
}

/* --- sizes and times -------------------------------------------------------------------------- */

static const char *parse_size(apr_off_t *size, const char *text)
{
    char *end;
    apr_int64_t number;
    int shift = 0;

    if (!apr_isdigit(*text)) {
        return "is no size: a number, with K, M or G for 1024, 1024^2, 1024^3 bytes";
    }
    errno = 0;
    number = apr_strtoi64(text, &end, 10);
    switch (*end) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    default:
        break;
    }
    if (shift != 0) {
        end++;
    }
    if (*end != '\0') {
        return "is no size: a number, with K, M or G for 1024, 1024^2, 1024^3 bytes";
    }
    if (errno != 0 || number < 1 || number > ((apr_int64_t)1 << 40) >> shift) {
        return "is out of range: 1 byte to 1024G";
    }
    *size = (apr_off_t)(number << shift);
    return NULL;
}

const char *fg_parse_body_limit(const fg_directive_t *directive, fg_policy_t *policy,
                                const fg_words_t *words)
{
    fg_body_limit_t limit = {0, FG_ACT_REFUSE};
    const char *error;

    if (words->argc < 1 || words->argc > 2) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    error = parse_size(&limit.size, words->argv[0]);
    if (error != NULL) {
        return fg_parse_wrong(words, words->argv[0], error);
    }
    if (words->argc == 2) {
        if (strcasecmp(words->argv[1], "over=pass") == 0) {
            limit.over = FG_ACT_ALLOW;
        }
        else if (strcasecmp(words->argv[1], "over=refuse") != 0) {
            return fg_parse_wrong(words, words->argv[1], "is neither over=refuse nor over=pass");
        }
    }
    *FIELD(policy, directive, fg_body_limit_t) = limit;
    return NULL;
}

const char *fg_parse_period(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words, apr_interval_time_t least,
                            apr_interval_time_t most)
{
    apr_interval_time_t period;
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error != NULL) {
        return error;
    }
    error = fg_period_parse(&period, words->argv[0]);
    if (error != NULL) {
        return fg_parse_wrong(words, words->argv[0], error);
    }
    if (period < least || period > most) {
        return fg_parse_wrong(words, words->argv[0],
                              apr_psprintf(words->temp_pool, "is out of range: %s to %s",
                                           fg_period_text(least, words->temp_pool),
                                           fg_period_text(most, words->temp_pool)));
    }
    *FIELD(policy, directive, fg_policy_period_t) = period;
    return NULL;
}

const char *fg_parse_when(const fg_directive_t *directive, fg_policy_t *policy,
                          const fg_words_t *words)
{
    fg_captcha_when_t *when = FIELD(policy, directive, fg_captcha_when_t);
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error != NULL) {
        return error;
    }
    if (strcasecmp(words->argv[0], "always") != 0 &&
        strcasecmp(words->argv[0], "challenged") != 0) {
        return fg_parse_wrong(words, words->argv[0], "is neither always nor challenged");
    }
    *when = strcasecmp(words->argv[0], "always") == 0 ? FG_WHEN_ALWAYS : FG_WHEN_CHALLENGED;
    return NULL;
}

const char *fg_parse_override(const fg_directive_t *directive, fg_policy_t *policy,
                              const fg_words_t *words)
{
    fg_override_t *override = FIELD(policy, directive, fg_override_t);
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error != NULL) {
        return error;
    }
    if (strcasecmp(words->argv[0], "none") == 0) {
        *override = FG_OVERRIDE_NONE;
    }
    else if (strcasecmp(words->argv[0], "tighten") == 0) {
        *override = FG_OVERRIDE_TIGHTEN;
    }
    else if (strcasecmp(words->argv[0], "all") == 0) {
        *override = FG_OVERRIDE_ALL;
    }
    else {
        return fg_parse_wrong(words, words->argv[0], "is none of none, tighten, all");
    }
    return NULL;
}
