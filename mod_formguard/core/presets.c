/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of form software, as the lines of configuration it stands for. */
#include <string.h>

#include <apr_strings.h>

#include "policy_internal.h"

#define WORDS_MAX 16

/*
 * Names of fields are what the software's own scripts and templates post.
 *
 * Contact Form 7 takes a post with its field at any URL of the site, so no path narrows it; at its
 * REST route, by path or as `rest_route`, it takes one without that field, too. MW WP Form and
 * WPForms take theirs at the form's own page. Elementor and Ninja Forms post to admin-ajax.php,
 * where `action`, in body or query, tells them from everything else.
 */
const fg_preset_t fg_presets[] = {
    {"contact-form-7",
     "FormGuardFormField _wpcf7 _wpcf7_unit_tag */contact-forms/*/feedback* "
     "rest_route=*/contact-forms/*/feedback*\n"
     "FormGuardCaptchaField _wpcf7_recaptcha_response\n"
     "FormGuardField your-name your-email your-subject single-line\n",
     FG_REPLY_CONTACT_FORM_7, 1, "_wpcf7_recaptcha_response"},
    {"mw-wp-form",
     "FormGuardFormField mw-wp-form-form-id mw_wp_form_token submitConfirm\n"
     "FormGuardCaptchaClearance 30m uses=3\n",
     FG_REPLY_PROBLEM, 0, NULL},
    {"wpforms", "FormGuardFormField action=wpforms_submit wpforms\n", FG_REPLY_WPFORMS, 1, NULL},
    {"elementor",
     "FormGuardPath */admin-ajax.php\n"
     "FormGuardFormField action=elementor_pro_forms_send_form\n",
     FG_REPLY_ELEMENTOR, 1, NULL},
    {"ninja-forms",
     "FormGuardPath */admin-ajax.php\n"
     "FormGuardFormField action=nf_ajax_submit\n",
     FG_REPLY_NINJA_FORMS, 1, NULL},
    {"php-mailer",
     "FormGuardPath *.php *.php/* *.cgi *.cgi/* *.pl *.pl/*\n"
     "FormGuardField name email e-mail mail from subject tel phone company single-line\n"
     "FormGuardField Name Email E-mail Mail From Subject Tel Phone Company single-line\n",
     FG_REPLY_PROBLEM, 0, NULL},
    {NULL, NULL, FG_REPLY_PROBLEM, 0, NULL}};

static const fg_directive_t *directive_by_name(const char *name)
{
    const fg_directive_t *row;

    for (row = fg_policy_directives; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

/* Apply one line of a preset as if it stood in the preset's place. */
static const char *apply_line(fg_policy_t *policy, char *line, const fg_words_t *words)
{
    const fg_directive_t *directive;
    fg_words_t own = *words;
    char *argv[WORDS_MAX];
    char *last;
    char *word = apr_strtok(line, " ", &last);

    directive = word != NULL ? directive_by_name(word) : NULL;
    own.argc = 0;
    own.argv = argv;
    while ((word = apr_strtok(NULL, " ", &last)) != NULL && own.argc < WORDS_MAX) {
        argv[own.argc++] = word;
    }
    if (directive == NULL) {
        return apr_psprintf(words->temp_pool, "'%s' is broken", words->argv[0]);
    }
    return fg_policy_apply(directive, policy, &own);
}

const char *fg_parse_preset(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words)
{
    fg_policy_t made = *policy;
    const fg_preset_t *preset;
    char *rest;
    char *last;
    char *line;
    const char *error = fg_parse_one_word(words, directive->syntax);

    if (error != NULL) {
        return error;
    }
    for (preset = fg_presets; preset->name != NULL; preset++) {
        if (strcasecmp(preset->name, words->argv[0]) == 0) {
            break;
        }
    }
    if (preset->name == NULL) {
        return fg_parse_wrong(words, words->argv[0],
                              apr_psprintf(words->temp_pool, "is none of %s", directive->syntax));
    }
    rest = apr_pstrdup(words->pool, preset->lines);
    for (line = apr_strtok(rest, "\n", &last); line != NULL && error == NULL;
         line = apr_strtok(NULL, "\n", &last)) {
        error = apply_line(&made, line, words);
    }
    if (error == NULL) {
        *policy = made;
        policy->preset = preset;
    }
    return error;
}
