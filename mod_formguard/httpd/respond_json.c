/* SPDX-License-Identifier: Apache-2.0 */
/* What a script gets whose post is refused: RFC 9457, or what the script of a known form software
 * can show. */
#include <string.h>

#include "apr_lib.h"
#include "apr_strings.h"

#include "http_protocol.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

/* Longest id that Contact Form 7's `into` is given. */
#define UNIT_TAG_MAX 64

/* Also harmless if some script, or a browser, should take it for HTML. */
static const char *json_string(apr_pool_t *pool, const char *text)
{
    char *out = apr_palloc(pool, strlen(text) * 6 + 3);
    char *p = out;

    *p++ = '"';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f || strchr("<>&", c) != NULL) {
            p += apr_snprintf(p, 7, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\') {
            *p++ = '\\';
        }
        *p++ = (char)c;
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

/* `,"name":"text"`, or nothing without a text. */
static const char *member(apr_pool_t *pool, const char *name, const char *text)
{
    return *text == '\0' ? ""
                         : apr_pstrcat(pool, ",\"", name, "\":", json_string(pool, text), NULL);
}

/* All a visitor is to know, for a script that shows one text. */
static const char *message(apr_pool_t *pool, const fg_told_t *told)
{
    const char *parts[] = {told->text, told->retry, told->contact, told->reference};
    const char *text = "";
    apr_size_t i;

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (*parts[i] != '\0') {
            text = apr_pstrcat(pool, text, *text != '\0' ? " " : "", parts[i], NULL);
        }
    }
    return text;
}

/* The same for a script that puts it into the page as HTML. */
static const char *message_html(apr_pool_t *pool, const fg_told_t *told)
{
    return ap_escape_html(pool, message(pool, told));
}

/* The type is about:blank, so the title is the status' own; `reason` tells more. */
static const char *problem(fg_request_t *fr, const fg_told_t *told, const char *more)
{
    const fg_verdict_t *verdict = &fr->verdict;
    apr_pool_t *pool = fr->r->pool;
    const char *line = ap_get_status_line(verdict->status);
    const char *retry = "";
    const char *captcha = "";

    if (fg_challenge_asked(fr)) {
        captcha = apr_pstrcat(pool, ",\"captcha\":\"altcha\"",
                              member(pool, "challenge", fg_challenge_url(fr->r)), NULL);
    }
    if (verdict->retry_after > 0) {
        retry = apr_psprintf(pool, ",\"retryAfter\":%" APR_INT64_T_FMT, fg_respond_retry(verdict));
    }
    return apr_pstrcat(pool, "{\"type\":\"about:blank\",\"title\":",
                       json_string(pool, strlen(line) > 4 ? line + 4 : line),
                       apr_psprintf(pool, ",\"status\":%d,\"detail\":", verdict->status),
                       json_string(pool, told->text), ",\"reason\":", json_string(pool, told->key),
                       retry, member(pool, "retry", told->retry),
                       member(pool, "contact", told->contact),
                       member(pool, "reference", fr->reference != NULL ? fr->reference : ""),
                       captcha, more, "}\n", NULL);
}

/* --- whose script it is ----------------------------------------------------------------------- */

/* 1 if a preset of some policy in force answers in that shape. */
static int has_reply(const fg_case_t *c, fg_reply_t reply)
{
    int i;

    for (i = 0; i < c->layers; i++) {
        const fg_preset_t *preset = c->layer[i].policy->preset;

        if (preset != NULL && preset->reply == reply) {
            return 1;
        }
    }
    return 0;
}

/* Contact Form 7's script posts to .../contact-forms/ID/feedback, or with that as `rest_route`.
 * Its preset may hold for a whole site, whose other scripts expect no such thing. */
static int from_contact_form_7(const fg_request_t *fr)
{
    return has_reply(&fr->c, FG_REPLY_CONTACT_FORM_7) &&
           (strstr(fg_facts_path_asked(fr->r), "/contact-forms/") != NULL ||
            (fr->r->args != NULL && strstr(fr->r->args, "contact-forms") != NULL));
}

/* Where WordPress takes posts of all its plugins' scripts. */
static int is_admin_ajax(const fg_request_t *fr)
{
    return ap_strstr_c(fg_facts_path_asked(fr->r), "/admin-ajax.php") != NULL;
}

/* The plugin's own post, known by its `action`, whether by a preset or by a FormGuardFormField. */
static int has_action(const fg_request_t *fr, const char *action)
{
    return is_admin_ajax(fr) && fr->c.captured.submission != NULL &&
           fg_submission_has_value(fr->c.captured.submission, "action", action);
}

/* Refused before its body was read, so that no `action` is known: a preset is in force, and the
 * body is of the type that plugin sends. Other scripts that send files get what WordPress' own
 * functions answer to a failed post. */
static int is_unread_form(const fg_request_t *fr, fg_reply_t reply)
{
    const char *type = apr_table_get(fr->r->headers_in, "Content-Type");

    return is_admin_ajax(fr) && fr->c.captured.submission == NULL && has_reply(&fr->c, reply) &&
           type != NULL && strncasecmp(type, "multipart/form-data", 19) == 0;
}

static int from_wpforms(const fg_request_t *fr)
{
    return has_action(fr, "wpforms_submit") || is_unread_form(fr, FG_REPLY_WPFORMS);
}

static int from_elementor(const fg_request_t *fr)
{
    return has_action(fr, "elementor_pro_forms_send_form") ||
           is_unread_form(fr, FG_REPLY_ELEMENTOR);
}

static int from_ninja_forms(const fg_request_t *fr)
{
    return has_action(fr, "nf_ajax_submit");
}

/* Sends no multipart, so this can be any script's: an error, with what that one's looks for in
 * one. */
static int may_be_ninja_forms(const fg_request_t *fr)
{
    return is_admin_ajax(fr) && fr->c.captured.submission == NULL &&
           has_reply(&fr->c, FG_REPLY_NINJA_FORMS);
}

/* --- what it shows ---------------------------------------------------------------------------- */

/* A field of Contact Form 7's own, reduced to what may stand in an id; "" if the body was not read
 * or it is not there. */
static const char *own_field(const fg_request_t *fr, const char *name)
{
    const fg_submission_t *submission = fr->c.captured.submission;
    const char *value =
        submission != NULL ? fg_submission_value(submission, name, NULL, NULL) : NULL;
    char *out;
    char *p;

    if (value == NULL) {
        return "";
    }
    for (p = out = apr_palloc(fr->r->pool, UNIT_TAG_MAX + 1); p < out + UNIT_TAG_MAX; value++) {
        if (*value == '\0') {
            break;
        }
        if (apr_isalnum(*value) || *value == '-' || *value == '_') {
            *p++ = *value;
        }
    }
    *p = '\0';
    return out;
}

static int number_at(const char *text)
{
    int number = 0;

    for (; apr_isdigit(*text) && number < 100000000; text++) {
        number = number * 10 + (*text - '0');
    }
    return number;
}

static int contact_form_id(const fg_request_t *fr)
{
    const char *at = strstr(fg_facts_path_asked(fr->r), "/contact-forms/");

    return number_at(at != NULL ? at + 15 : own_field(fr, "_wpcf7"));
}

/* With anything else its spinner would turn for ever (its REST API, "feedback"). Shown as text. */
static const char *contact_form_7(const fg_request_t *fr, const fg_told_t *told)
{
    apr_pool_t *pool = fr->r->pool;

    return apr_psprintf(pool,
                        "{\"contact_form_id\":%d,\"status\":\"spam\",\"message\":%s,"
                        "\"into\":\"#%s\",\"invalid_fields\":[],\"posted_data_hash\":\"\"}\n",
                        contact_form_id(fr), json_string(pool, message(pool, told)),
                        own_field(fr, "_wpcf7_unit_tag"));
}

/* `footer` is put in front of the button, as HTML. */
static const char *wpforms(const fg_request_t *fr, const fg_told_t *told)
{
    apr_pool_t *pool = fr->r->pool;
    const char *html =
        apr_pstrcat(pool, "<div class=\"wpforms-error-container\" role=\"alert\"><p>",
                    message_html(pool, told), "</p></div>", NULL);

    return apr_pstrcat(pool, "{\"success\":false,\"data\":{\"errors\":{\"general\":{\"footer\":",
                       json_string(pool, html), "}}}}\n", NULL);
}

/* `message` is put behind the fields, as HTML. */
static const char *elementor(const fg_request_t *fr, const fg_told_t *told)
{
    apr_pool_t *pool = fr->r->pool;

    return apr_pstrcat(pool, "{\"success\":false,\"data\":{\"message\":",
                       json_string(pool, message_html(pool, told)),
                       ",\"errors\":[],\"data\":[]}}\n", NULL);
}

/* An error of the form is shown below it, as HTML. It reads `data`, too. */
static const char *ninja_errors(const fg_request_t *fr, const fg_told_t *told)
{
    apr_pool_t *pool = fr->r->pool;

    return apr_pstrcat(pool, "\"data\":{},\"errors\":{\"form\":{\"formguard\":",
                       json_string(pool, message_html(pool, told)), "}}", NULL);
}

static const char *ninja_forms(const fg_request_t *fr, const fg_told_t *told)
{
    return apr_pstrcat(fr->r->pool, "{", ninja_errors(fr, told), "}\n", NULL);
}

/* What each reads of an answer was looked up in its own script: submit.js of Contact Form 7 5.9,
 * wpforms.js of WPForms 1.8, form-sender.js of Elementor Pro 3.23, formSubmit.js and
 * submitError.js of Ninja Forms 3. None of them shows anything of an answer that is an error. */
typedef struct form_script {
    int (*is_from)(const fg_request_t *fr);
    const char *type;
    const char *(*answer)(const fg_request_t *fr, const fg_told_t *told);
} form_script_t;

static const form_script_t form_scripts[] = {
    {from_contact_form_7, "application/json", contact_form_7},
    {from_wpforms, "application/json", wpforms},
    {from_elementor, "application/json", elementor},
    /* It parses the text itself, which jQuery must not have done. */
    {from_ninja_forms, "text/html; charset=utf-8", ninja_forms},
};

const char *fg_respond_json(fg_request_t *fr, const fg_told_t *told)
{
    request_rec *r = fr->r;
    const char *more = "";
    apr_size_t i;

    for (i = 0; i < sizeof(form_scripts) / sizeof(form_scripts[0]); i++) {
        if (form_scripts[i].is_from(fr)) {
            r->status = HTTP_OK;
            ap_set_content_type(r, form_scripts[i].type);
            return form_scripts[i].answer(fr, told);
        }
    }
    if (may_be_ninja_forms(fr)) {
        more = apr_pstrcat(r->pool, ",", ninja_errors(fr, told), NULL);
    }
    ap_set_content_type(r, "application/problem+json");
    return problem(fr, told, more);
}
