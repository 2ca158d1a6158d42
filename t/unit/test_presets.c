/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>

#include "policy.h"
#include "policy_line.h"

static apr_pool_t *pool;

static int set_up(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static const fg_policy_t *policy_of(const char *preset)
{
    return line_policy(apr_pstrcat(pool, "FormGuardPreset ", preset, NULL), pool);
}

static void add(fg_policy_t *policy, const char *line)
{
    const char *error = line_apply(policy, "here", line, pool);

    if (error != NULL) {
        fail_msg("%s: %s", line, error);
    }
}

static const char *name_at(const apr_array_header_t *names, int i)
{
    return names != NULL && i < names->nelts ? APR_ARRAY_IDX(names, i, const char *) : "";
}

/* What it would be to write the preset's lines oneself. */
static fg_policy_t *written_out(const fg_preset_t *preset)
{
    fg_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));
    char *rest = apr_pstrdup(pool, preset->lines);
    char *last = NULL;
    char *line;

    for (line = apr_strtok(rest, "\n", &last); line != NULL; line = apr_strtok(NULL, "\n", &last)) {
        add(policy, line);
    }
    return policy;
}

static void expect_same_names(const apr_array_header_t *a, const apr_array_header_t *b)
{
    int i;

    assert_int_equal(a != NULL ? a->nelts : -1, b != NULL ? b->nelts : -1);
    for (i = 0; a != NULL && i < a->nelts; i++) {
        assert_string_equal(name_at(a, i), name_at(b, i));
    }
}

/* Not a word of them gets lost on the way. */
static void a_preset_is_its_lines(void **state)
{
    const fg_preset_t *preset;
    int rows = 0;
    int i;

    (void)state;
    for (preset = fg_presets; preset->name != NULL; preset++, rows++) {
        const fg_policy_t *made = policy_of(preset->name);
        const fg_policy_t *want = written_out(preset);

        assert_ptr_equal(made->preset, preset);
        expect_same_names(made->paths, want->paths);
        expect_same_names(made->form_fields, want->form_fields);
        assert_true(made->paths != NULL || made->form_fields != NULL);
        assert_int_equal(made->fields != NULL, want->fields != NULL);
        for (i = 0; made->fields != NULL && i < want->fields->nelts; i++) {
            const fg_field_rule_t *a = &APR_ARRAY_IDX(made->fields, i, fg_field_rule_t);
            const fg_field_rule_t *b = &APR_ARRAY_IDX(want->fields, i, fg_field_rule_t);

            assert_int_equal(made->fields->nelts, want->fields->nelts);
            assert_string_equal(a->text, b->text);
            assert_int_equal(a->check, FG_FIELD_SINGLE_LINE);
            assert_int_equal(a->action, FG_ACT_REFUSE);
        }
        if (want->captcha_field != NULL) {
            assert_string_equal(made->captcha_field, want->captcha_field);
        }
        /* How often anybody may post is not the software's to say. */
        assert_null(made->limits);
        assert_null(made->countries);
        assert_null(made->captcha);
        assert_int_equal(made->mode.mode, FG_MODE_UNSET);
    }
    assert_int_equal(rows, 6);
}

/* The manual and the error text name those that are there. */
static void the_syntax_names_them_all(void **state)
{
    const char *names = "";
    const fg_preset_t *preset;

    (void)state;
    for (preset = fg_presets; preset->name != NULL; preset++) {
        names = apr_pstrcat(pool, names, *names != '\0' ? "|" : "", preset->name, NULL);
    }
    assert_string_equal(line_directive("FormGuardPreset")->syntax, names);
}

static void each_has_its_reply(void **state)
{
    static const struct {
        const char *name;
        fg_reply_t reply;
    } replies[] = {
        {"contact-form-7", FG_REPLY_CONTACT_FORM_7},
        {"mw-wp-form", FG_REPLY_PROBLEM},
        {"wpforms", FG_REPLY_WPFORMS},
        {"elementor", FG_REPLY_ELEMENTOR},
        {"ninja-forms", FG_REPLY_NINJA_FORMS},
        {"php-mailer", FG_REPLY_PROBLEM},
    };
    size_t i;

    (void)state;
    for (i = 0; fg_presets[i].name != NULL; i++) {
        assert_true(i < sizeof(replies) / sizeof(replies[0]));
        assert_string_equal(fg_presets[i].name, replies[i].name);
        assert_int_equal(fg_presets[i].reply, replies[i].reply);
    }
    assert_string_equal(policy_of("Contact-Form-7")->preset->name, "contact-form-7");
}

static void unknown_names_are_refused(void **state)
{
#define ALL "contact-form-7|mw-wp-form|wpforms|elementor|ninja-forms|php-mailer"
    static const line_wrong_t cases[] = {
        {"FormGuardPreset", "takes one value: " ALL},
        {"FormGuardPreset wpforms elementor", "takes one value: " ALL},
        {"FormGuardPreset cf7", "'cf7' is none of " ALL},
        {"FormGuardPreset contact-form", "'contact-form' is none of " ALL},
        {"FormGuardPreset contact-form-77", "'contact-form-77' is none of " ALL},
    };

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
#undef ALL
}

static void a_later_line_overrides_a_part(void **state)
{
    fg_policy_t *policy = line_policy("FormGuardPreset contact-form-7", pool);

    (void)state;
    add(policy, "FormGuardCaptchaField _wpcf7_turnstile_response");
    add(policy, "FormGuardFormField _wpcf7");
    add(policy, "FormGuardField your-tel single-line action=log");
    assert_string_equal(policy->captcha_field, "_wpcf7_turnstile_response");
    assert_int_equal(policy->form_fields->nelts, 1);
    assert_int_equal(policy->fields->nelts, 4); /* rules add up */
    assert_int_equal(policy->preset->reply, FG_REPLY_CONTACT_FORM_7);

    policy = line_policy("FormGuardPreset elementor", pool);
    add(policy, "FormGuardPath /wp/wp-admin/admin-ajax.php");
    assert_true(fg_policy_guards_path(policy, "/wp/wp-admin/admin-ajax.php"));
    assert_false(fg_policy_guards_path(policy, "/wp-admin/admin-ajax.php"));
    assert_string_equal(name_at(policy->form_fields, 0), "action=elementor_pro_forms_send_form");
}

/* The same in an inner section, and the other way round. */
static void the_inner_one_wins(void **state)
{
    const fg_policy_t *outer = policy_of("contact-form-7");
    const fg_policy_t *inner = line_policy("FormGuardCaptchaField token", pool);
    const fg_policy_t *sum = fg_policy_merge(outer, inner, pool);

    (void)state;
    assert_string_equal(sum->captcha_field, "token");
    assert_ptr_equal(sum->preset, outer->preset);
    assert_ptr_equal(sum->form_fields, outer->form_fields);

    sum = fg_policy_merge(outer, policy_of("ninja-forms"), pool);
    assert_string_equal(sum->preset->name, "ninja-forms");
    assert_string_equal(name_at(sum->form_fields, 0), "action=nf_ajax_submit");
    sum = fg_policy_merge(line_policy("FormGuardFormField own", pool), outer, pool);
    assert_string_equal(name_at(sum->form_fields, 0), "_wpcf7");
}

/* Too many rules of a .htaccess: nothing of the preset stays. */
static void a_preset_that_does_not_fit_changes_nothing(void **state)
{
    fg_policy_t *policy = apr_pcalloc(pool, sizeof(*policy));
    const char *error;
    fg_policy_t before;
    int i;

    (void)state;
    for (i = 0; i < FG_SITE_RULES_MAX - 1; i++) {
        const char *line = apr_psprintf(pool, "FormGuardField f%d required", i);

        assert_null(line_apply_as(1, policy, "here", line, pool));
    }
    before = *policy;
    error = line_apply_as(1, policy, "here", "FormGuardPreset contact-form-7", pool);
    assert_string_equal(error, "'your-name your-email your-subject single-line' is one too many: "
                               "32 of a kind are possible here");
    assert_memory_equal(policy, &before, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preset_is_its_lines),
        cmocka_unit_test(the_syntax_names_them_all),
        cmocka_unit_test(each_has_its_reply),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(a_later_line_overrides_a_part),
        cmocka_unit_test(the_inner_one_wins),
        cmocka_unit_test(a_preset_that_does_not_fit_changes_nothing),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
