/* SPDX-License-Identifier: Apache-2.0 */
/* Rules as they were typed: limits, countries, fields. */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "policy_internal.h"

/* How a rule is told in the log, within quotes: field names may hold anything. */
static const char *harmless(char *text)
{
    char *p;

    for (p = text; *p != '\0'; p++) {
        if (!apr_isprint(*p) || *p == '"' || *p == '\\') {
            *p = '_';
        }
    }
    return text;
}

/* The words as one line, one space between. */
static const char *rule_text(const fg_words_t *words)
{
    char *text = apr_pstrdup(words->pool, words->argv[0]);
    int i;

    for (i = 1; i < words->argc; i++) {
        text = apr_pstrcat(words->pool, text, " ", words->argv[i], NULL);
    }
    return harmless(text);
}

/* The rules of a kind that are there, made ready for more: shared ones are copied first. */
static const char *room_for(apr_array_header_t **sum, const apr_array_header_t *rules, int more,
                            int size, const fg_words_t *words)
{
    int have = rules != NULL ? rules->nelts : 0;

    if (words->site && have + more > FG_SITE_RULES_MAX) {
        return apr_psprintf(words->temp_pool,
                            "'%s' is one too many: %d of a kind are possible here",
                            rule_text(words), FG_SITE_RULES_MAX);
    }
    *sum = rules != NULL ? apr_array_copy(words->pool, rules)
                         : apr_array_make(words->pool, more + 3, size);
    return NULL;
}

/* Every rate is a key of the shared table that a post charges. */
static const char *check_rates(const apr_array_header_t *limits, const fg_limit_t *limit,
                               const fg_words_t *words)
{
    int rates = limit->rates->nelts;
    int i;

    for (i = 0; limits != NULL && i < limits->nelts; i++) {
        rates += APR_ARRAY_IDX(limits, i, fg_limit_t).rates->nelts;
    }
    if (words->site && rates > FG_SITE_RATES_MAX) {
        return apr_psprintf(words->temp_pool,
                            "'%s' is too much: all limits may have %d rates together here",
                            limit->text, FG_SITE_RATES_MAX);
    }
    return NULL;
}

/* --- actions ---------------------------------------------------------------------------------- */

/* `WORD` of `action=WORD`. @return FG_ACT_UNSET if it is none of these */
static fg_action_t action_by_name(const char *name)
{
    static const struct {
        const char *name;
        fg_action_t action;
    } actions[] = {{"allow", FG_ACT_ALLOW},
                   {"refuse", FG_ACT_REFUSE},
                   {"log", FG_ACT_LOG},
                   {"challenge", FG_ACT_CHALLENGE}};
    apr_size_t i;

    for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcasecmp(actions[i].name, name) == 0) {
            return actions[i].action;
        }
    }
    return FG_ACT_UNSET;
}

/* --- countries -------------------------------------------------------------------------------- */

static const char *check_code(const char *code)
{
    if (strcmp(code, "*") == 0 || strcmp(code, "unknown") == 0 ||
        (strlen(code) == 2 && apr_isupper(code[0]) && apr_isupper(code[1]))) {
        return NULL;
    }
    return "is no country: two letters (ISO 3166-1), EU, unknown or *";
}

/* `HK,cn,unknown` into an array of canonical codes. */
static const char *parse_codes(apr_array_header_t **codes, const char *list,
                               const fg_words_t *words)
{
    char *rest = apr_pstrdup(words->pool, list);

    *codes = apr_array_make(words->pool, 4, sizeof(const char *));
    for (;;) {
        char *comma = strchr(rest, ',');
        const char *error;
        char *p;

        if (comma != NULL) {
            *comma = '\0';
        }
        if (strcasecmp(rest, "unknown") == 0) {
            memcpy(rest, "unknown", sizeof("unknown"));
        }
        else {
            for (p = rest; *p != '\0'; p++) {
                *p = (char)apr_toupper(*p);
            }
        }
        error = check_code(rest);
        if (error != NULL) {
            return fg_parse_wrong(words, rest, error);
        }
        APR_ARRAY_PUSH(*codes, const char *) = rest;
        if (comma == NULL) {
            return NULL;
        }
        rest = comma + 1;
    }
}

const char *fg_parse_country(const fg_directive_t *directive, fg_policy_t *policy,
                             const fg_words_t *words)
{
    fg_policy_countries_t *rules = FIELD(policy, directive, fg_policy_countries_t);
    apr_array_header_t *codes;
    apr_array_header_t *sum = NULL;
    fg_country_rule_t rule;
    const char *error;
    int i;

    if (words->argc != 2) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    error = parse_codes(&codes, words->argv[0], words);
    if (error != NULL) {
        return error;
    }
    rule.action = action_by_name(words->argv[1]);
    if (rule.action == FG_ACT_UNSET) {
        return fg_parse_wrong(words, words->argv[1], "is none of allow, refuse, challenge, log");
    }
    rule.text = rule_text(words);
    error = room_for(&sum, *rules, codes->nelts, sizeof(fg_country_rule_t), words);
    if (error != NULL) {
        return error;
    }
    for (i = 0; i < codes->nelts; i++) {
        rule.code = APR_ARRAY_IDX(codes, i, const char *);
        APR_ARRAY_PUSH(sum, fg_country_rule_t) = rule;
    }
    *rules = sum;
    return NULL;
}

/* --- limits ----------------------------------------------------------------------------------- */

#define NO_KEY                                                                                     \
    "is no key: ip, net, country, country=CC,CC, each alone or with +form or +site, form, site, "  \
    "server or field:NAME"

/* What stands behind the `+`, cut off the word. @return NULL if there is none */
static const char *cut_place(fg_limit_in_t *in, char *word)
{
    char *plus = strrchr(word, '+');

    if (plus == NULL || (strcasecmp(plus, "+form") != 0 && strcasecmp(plus, "+site") != 0)) {
        return NULL;
    }
    *in = strcasecmp(plus, "+form") == 0 ? FG_IN_FORM : FG_IN_SITE;
    *plus = '\0';
    return plus;
}

/* `CC,CC` or `!CC,CC` */
static const char *parse_from(fg_limit_t *limit, const char *list, const fg_words_t *words)
{
    apr_array_header_t *codes;
    const char *error;

    limit->not_from = *list == '!';
    error = parse_codes(&codes, list + limit->not_from, words);
    limit->countries = codes;
    return error;
}

static const char *parse_limit_key(fg_limit_t *limit, const char *whole, const fg_words_t *words)
{
    static const struct {
        const char *name;
        fg_limit_key_t key;
        fg_count_when_t when;
    } keys[] = {{"ip", FG_KEY_IP, FG_COUNT_ATTEMPTS},
                {"net", FG_KEY_NET, FG_COUNT_ATTEMPTS},
                {"country", FG_KEY_COUNTRY, FG_COUNT_ATTEMPTS},
                {"form", FG_KEY_FORM, FG_COUNT_ACCEPTED},
                {"site", FG_KEY_SITE, FG_COUNT_ACCEPTED},
                {"server", FG_KEY_SERVER, FG_COUNT_ACCEPTED}};
    char *word = apr_pstrdup(words->pool, whole);
    apr_size_t i;

    if (strncasecmp(word, "field:", 6) != 0 && cut_place(&limit->in, word) != NULL &&
        strcasecmp(word, "ip") != 0 && strcasecmp(word, "net") != 0 &&
        strncasecmp(word, "country", 7) != 0) {
        return fg_parse_wrong(words, whole, NO_KEY);
    }
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcasecmp(word, keys[i].name) == 0) {
            limit->key = keys[i].key;
            limit->when = keys[i].when;
            return NULL;
        }
    }
    if (strncasecmp(word, "country=", 8) == 0) {
        limit->key = FG_KEY_COUNTRY;
        return parse_from(limit, word + 8, words);
    }
    if (strncasecmp(word, "field:", 6) == 0 && word[6] != '\0') {
        limit->key = FG_KEY_FIELD;
        limit->when = FG_COUNT_ACCEPTED;
        limit->field = word + 6;
        return NULL;
    }
    return fg_parse_wrong(words, whole, NO_KEY);
}

/* What comes behind `action=`. */
static const char *parse_limit_action(fg_limit_t *limit, const char *word, const char *value,
                                      const fg_words_t *words)
{
    if (strncasecmp(value, "close:", 6) == 0) {
        const char *error = fg_period_parse(&limit->close_for, value + 6);

        limit->action = FG_ACT_CLOSE;
        return error != NULL ? fg_parse_wrong(words, word, error) : NULL;
    }
    limit->action = action_by_name(value);
    if (limit->action == FG_ACT_UNSET || limit->action == FG_ACT_ALLOW) {
        return fg_parse_wrong(words, word, "is no action: refuse, challenge, log or close:TIME");
    }
    return NULL;
}

static const char *parse_weight(fg_limit_t *limit, const char *word, const char *value,
                                const fg_words_t *words)
{
    apr_uint32_t weight = 0;
    const char *p;

    for (p = value; apr_isdigit(*p) && weight <= 1000; p++) {
        weight = weight * 10 + (apr_uint32_t)(*p - '0');
    }
    if (p == value || *p != '\0' || weight < 1 || weight > 1000) {
        return fg_parse_wrong(words, word, "is out of range: weight=1 to weight=1000");
    }
    limit->weight = weight;
    return NULL;
}

static const char *parse_limit_option(fg_limit_t *limit, const char *word, const fg_words_t *words)
{
    if (strncasecmp(word, "action=", 7) == 0) {
        return parse_limit_action(limit, word, word + 7, words);
    }
    if (strncasecmp(word, "from=", 5) == 0) {
        return limit->countries == NULL
                   ? parse_from(limit, word + 5, words)
                   : fg_parse_wrong(words, word, "names countries a second time");
    }
    if (strncasecmp(word, "weight=", 7) == 0) {
        return parse_weight(limit, word, word + 7, words);
    }
    if (strcasecmp(word, "count=attempts") == 0) {
        limit->when = FG_COUNT_ATTEMPTS;
    }
    else if (strcasecmp(word, "count=accepted") == 0) {
        limit->when = FG_COUNT_ACCEPTED;
    }
    else {
        return fg_parse_wrong(words, word,
                              "is no option: action=refuse|challenge|log|close:TIME, "
                              "count=attempts|accepted, from=CC,CC, from=!CC,CC, weight=N");
    }
    return NULL;
}

/* What the words say one by one may not go together. */
static const char *check_limit(const fg_limit_t *limit, const fg_words_t *words)
{
    int i;

    if (limit->rates->nelts < 1 || limit->rates->nelts > FG_LIMIT_RATES_MAX) {
        return apr_psprintf(words->temp_pool, "'%s' has %d rates: 1 to %d are possible",
                            limit->text, limit->rates->nelts, FG_LIMIT_RATES_MAX);
    }
    if (limit->key == FG_KEY_FIELD && limit->when == FG_COUNT_ATTEMPTS) {
        return fg_parse_wrong(words, limit->text,
                              "can't count attempts: a field is known when the body is read");
    }
    if (limit->action == FG_ACT_CHALLENGE && limit->when == FG_COUNT_ACCEPTED) {
        return fg_parse_wrong(words, limit->text,
                              "can't challenge: what is counted when accepted is past the captcha; "
                              "write count=attempts");
    }
    if (limit->action == FG_ACT_CLOSE && limit->key != FG_KEY_FORM && limit->key != FG_KEY_SITE &&
        limit->key != FG_KEY_SERVER) {
        return fg_parse_wrong(words, limit->text,
                              "can't close the form: one client could close it for everybody; "
                              "form, site and server can");
    }
    for (i = 0; i < limit->rates->nelts; i++) {
        if (APR_ARRAY_IDX(limit->rates, i, fg_rate_t).count < limit->weight) {
            return fg_parse_wrong(words, limit->text,
                                  "admits no post at all: its weight is more than its rate");
        }
    }
    return NULL;
}

const char *fg_parse_limit(const fg_directive_t *directive, fg_policy_t *policy,
                           const fg_words_t *words)
{
    fg_policy_limits_t *limits = FIELD(policy, directive, fg_policy_limits_t);
    apr_array_header_t *rates;
    apr_array_header_t *sum = NULL;
    fg_limit_t limit;
    const char *error;
    int i;

    if (words->argc < 2) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    memset(&limit, 0, sizeof(limit));
    limit.action = FG_ACT_REFUSE;
    limit.weight = 1;
    rates = apr_array_make(words->pool, 2, sizeof(fg_rate_t));
    error = parse_limit_key(&limit, words->argv[0], words);
    for (i = 1; i < words->argc && error == NULL; i++) {
        error = strchr(words->argv[i], '=') != NULL
                    ? parse_limit_option(&limit, words->argv[i], words)
                    : fg_rate_parse(&APR_ARRAY_PUSH(rates, fg_rate_t), words->argv[i],
                                    words->temp_pool);
    }
    if (error != NULL) {
        return error;
    }
    limit.rates = rates;
    limit.text = rule_text(words);
    limit.id = fg_rule_id(words->scope, limit.text);
    error = check_limit(&limit, words);
    if (error != NULL || (*limits != NULL && fg_limits_have(*limits, limit.id))) {
        return error;
    }
    error = room_for(&sum, *limits, 1, sizeof(fg_limit_t), words);
    if (error == NULL) {
        error = check_rates(*limits, &limit, words);
    }
    if (error == NULL) {
        APR_ARRAY_PUSH(sum, fg_limit_t) = limit;
        *limits = sum;
    }
    return error;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* @return 1 if the word says what a field must be, 0 if it is a name; *error if it is wrong */
static int parse_field_check(fg_field_rule_t *rule, const char *word, const fg_words_t *words,
                             const char **error)
{
    *error = NULL;
    if (strcasecmp(word, "required") == 0) {
        rule->check = FG_FIELD_REQUIRED;
    }
    else if (strcasecmp(word, "empty") == 0) {
        rule->check = FG_FIELD_EMPTY;
    }
    else if (strcasecmp(word, "single-line") == 0) {
        rule->check = FG_FIELD_SINGLE_LINE;
    }
    else if (strncasecmp(word, "max-links=", 10) == 0) {
        const char *p;

        rule->check = FG_FIELD_MAX_LINKS;
        rule->max = 0;
        for (p = word + 10; apr_isdigit(*p) && rule->max <= 1000; p++) {
            rule->max = rule->max * 10 + (unsigned int)(*p - '0');
        }
        if (p == word + 10 || *p != '\0' || rule->max > 1000) {
            *error = fg_parse_wrong(words, word, "is out of range: max-links=0 to max-links=1000");
        }
    }
    else {
        return 0;
    }
    return 1;
}

static const char *parse_field_action(fg_field_rule_t *rule, const char *word,
                                      const fg_words_t *words)
{
    rule->action = action_by_name(word + 7);
    if (rule->action == FG_ACT_UNSET || rule->action == FG_ACT_ALLOW) {
        return fg_parse_wrong(words, word, "is no action: refuse, challenge or log");
    }
    return NULL;
}

/* `NAME [NAME...] CHECK [action=A]`: one rule a name. */
const char *fg_parse_field(const fg_directive_t *directive, fg_policy_t *policy,
                           const fg_words_t *words)
{
    fg_policy_field_rules_t *rules = FIELD(policy, directive, fg_policy_field_rules_t);
    fg_field_rule_t rule = {.action = FG_ACT_REFUSE};
    apr_array_header_t *sum = NULL;
    const char *error = NULL;
    int names = words->argc;
    int i;

    if (names > 1 && strncasecmp(words->argv[names - 1], "action=", 7) == 0) {
        error = parse_field_action(&rule, words->argv[--names], words);
    }
    if (error != NULL) {
        return error;
    }
    if (names < 2) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    if (!parse_field_check(&rule, words->argv[--names], words, &error)) {
        return fg_parse_wrong(words, words->argv[names],
                              "is no check: required, empty, single-line or max-links=N");
    }
    if (error == NULL) {
        error = room_for(&sum, *rules, names, sizeof(fg_field_rule_t), words);
    }
    if (error != NULL) {
        return error;
    }
    for (i = 0; i < names; i++) {
        rule.name = apr_pstrdup(words->pool, words->argv[i]);
        rule.text = harmless(apr_pstrcat(words->pool, rule.name, " ", words->argv[names], NULL));
        APR_ARRAY_PUSH(sum, fg_field_rule_t) = rule;
    }
    *rules = sum;
    return NULL;
}

/* --- blocklists ------------------------------------------------------------------------------- */

/* `ZONE [CODES] [action=A]` */
const char *fg_parse_dnsbl(const fg_directive_t *directive, fg_policy_t *policy,
                           const fg_words_t *words)
{
    fg_policy_dnsbls_t *rules = FIELD(policy, directive, fg_policy_dnsbls_t);
    fg_dnsbl_rule_t rule;
    apr_array_header_t *sum = NULL;
    const char *error;
    int i;

    if (words->argc < 1 || words->argc > 3) {
        return apr_psprintf(words->temp_pool, "takes %s", directive->syntax);
    }
    memset(&rule, 0, sizeof(rule));
    rule.action = FG_ACT_REFUSE;
    error = fg_dnsbl_zone_parse(&rule.zone, words->argv[0], words->pool);
    for (i = 1; i < words->argc && error == NULL; i++) {
        if (strncasecmp(words->argv[i], "action=", 7) != 0) {
            error = fg_dnsbl_codes_parse(&rule.zone, words->argv[i]);
            continue;
        }
        rule.action = action_by_name(words->argv[i] + 7);
        if (rule.action == FG_ACT_UNSET || rule.action == FG_ACT_ALLOW) {
            return fg_parse_wrong(words, words->argv[i], "is no action: refuse, challenge or log");
        }
    }
    if (error != NULL) {
        return fg_parse_wrong(words, words->argv[i > 1 ? i - 1 : 0], error);
    }
    rule.text = rule.zone.shown;
    error = room_for(&sum, *rules, 1, sizeof(fg_dnsbl_rule_t), words);
    if (error == NULL) {
        APR_ARRAY_PUSH(sum, fg_dnsbl_rule_t) = rule;
        *rules = sum;
    }
    return error;
}

const char *fg_parse_dnsbl_timeout(const fg_directive_t *directive, fg_policy_t *policy,
                                   const fg_words_t *words)
{
    return fg_parse_period(directive, policy, words, apr_time_from_msec(10), apr_time_from_sec(5));
}
