/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the module serves itself: challenges of the captcha built in, and its widget.
 *
 * Below /.well-known/ (RFC 8615), which configurations that forbid names with a dot let through for
 * the sake of certificates. Taken out of httpd's way before anything maps it, so that neither a
 * rewrite rule, nor a proxy, nor a .htaccess has to know of it; <Location> still holds.
 */
#include <string.h>

#include "apr_strings.h"

#include "http_core.h"
#include "http_main.h"
#include "http_protocol.h"
#include "http_request.h"

#include "module.h"

APLOG_USE_MODULE(formguard);

#define PREFIX "/.well-known/formguard/"

/* Longest path of a form. */
#define FORM_MAX 1024

#define WIDGET "altcha.min.js"

/* What is asked for below the prefix; NULL: something else is, as of nearly every request: these
 * are told by two letters. */
static const char *own_path(const request_rec *r)
{
    if (r->uri == NULL || r->uri[0] != PREFIX[0] || r->uri[1] != PREFIX[1] ||
        r->proxyreq == PROXYREQ_PROXY || strncmp(r->uri, PREFIX, sizeof(PREFIX) - 1) != 0) {
        return NULL;
    }
    return r->uri + sizeof(PREFIX) - 1;
}

FG_APART static int map_to_nothing(request_rec *r)
{
    r->filename = apr_pstrdup(r->pool, r->uri); /* of nothing there is: core wants one */
    return OK;
}

static int translate(request_rec *r)
{
    return own_path(r) != NULL ? map_to_nothing(r) : DECLINED;
}

static int map_to_storage(request_rec *r)
{
    return own_path(r) != NULL ? OK : DECLINED;
}

/* With no file behind it: or MultiViews would look for one, and FallbackResource answer. */
static int find_type(request_rec *r)
{
    if (own_path(r) == NULL) {
        return DECLINED;
    }
    r->handler = "formguard-well-known";
    return OK;
}

/* --- challenges ------------------------------------------------------------------------------- */

static int send_json(request_rec *r, int status, const char *text)
{
    r->status = status;
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_length(r, (apr_off_t)strlen(text));
    ap_rputs(text, r);
    return OK;
}

/* The value of `form` in the query, decoded; NULL if it is no path. */
static const char *form_asked(request_rec *r)
{
    char *rest = apr_pstrdup(r->pool, r->args != NULL ? r->args : "");
    char *last;
    char *word;

    for (word = apr_strtok(rest, "&", &last); word != NULL; word = apr_strtok(NULL, "&", &last)) {
        if (strncmp(word, "form=", 5) == 0) {
            word += 5;
            return ap_unescape_urlencoded(word) == OK && *word == '/' && strlen(word) <= FORM_MAX &&
                           strpbrk(word, "?#") == NULL
                       ? word
                       : NULL;
        }
    }
    return NULL;
}

static int send_challenge(request_rec *r)
{
    static const fg_policy_t nothing_set;
    const char *asked = form_asked(r);
    const fg_policy_t *policy;
    fg_difficulty_t difficulty;
    apr_interval_time_t life;
    fg_altcha_subject_t subject;
    fg_address_t client;
    fg_time_t now = fg_facts_now();
    request_rec *form;
    const char *text;

    if (asked == NULL) {
        return send_json(
            r, HTTP_BAD_REQUEST,
            "{\"error\":\"challenge?form=PATH wants the path the form is sent to\"}\n");
    }
    /* A lookup only: finds the rules of where the form is sent to, and reads its path as httpd
     * will when it comes. */
    form = ap_sub_req_method_uri("POST", asked, r, NULL);
    policy = fg_form_captcha(form);
    if (policy == NULL) {
        policy = &nothing_set; /* behind a rewrite rule, say, where it can't be seen from here */
    }
    difficulty = fg_policy_captcha_difficulty(policy);
    life = fg_altcha_life(policy);
    fg_facts_client(r, &client);
    subject.host = r->server->server_hostname;
    subject.path = form->parsed_uri.path != NULL ? form->parsed_uri.path : asked;
    subject.client = &client;
    subject.page = NULL;
    text = fg_altcha_challenge(fg_runtime()->altcha, &subject,
                               fg_altcha_work(&difficulty, fg_altcha_recent(&client, now.steady)),
                               now.wall, life, r->pool);
    ap_destroy_sub_req(form);
    if (text == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "FG1900: no challenge could be made");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return send_json(r, HTTP_OK, text);
}

/* --- the widget ------------------------------------------------------------------------------- */

/* @return the file's handle, r->filename and r->finfo set; NULL if it is not installed */
static apr_file_t *open_widget(request_rec *r)
{
    const fg_server_conf_t *conf =
        ap_get_module_config(ap_server_conf->module_config, &formguard_module);
    const char *const folders[] = {conf->pages, FG_PAGES_DIR};
    apr_file_t *file;
    apr_size_t i;

    for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (folders[i] != NULL) {
            r->filename = apr_pstrcat(r->pool, folders[i], "/" WIDGET, NULL);
            if (apr_file_open(&file, r->filename, APR_FOPEN_READ | APR_FOPEN_BINARY,
                              APR_FPROT_OS_DEFAULT, r->pool) == APR_SUCCESS &&
                apr_file_info_get(&r->finfo, APR_FINFO_MIN, file) == APR_SUCCESS &&
                r->finfo.filetype == APR_REG) {
                return file;
            }
        }
    }
    return NULL;
}

/* What the challenge page, and some pages with a widget, do by themselves. */
static int send_script(request_rec *r, const char *script)
{
    apr_size_t len = strlen(script);

    ap_set_content_type(r, "text/javascript; charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "public, max-age=3600");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    ap_set_content_length(r, (apr_off_t)len);
    ap_rwrite(script, (int)len, r);
    return OK;
}

static int send_widget(request_rec *r)
{
    apr_file_t *file = open_widget(r);
    apr_bucket_brigade *bb;
    int status;

    if (file == NULL) {
        if (fg_say_once(FG_SAID_NO_WIDGET)) {
            ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                          "FG2404: the widget of FormGuardCaptcha altcha is asked for, and %s is "
                          "not installed: the plain one built in is sent",
                          WIDGET);
        }
        return send_script(r, fg_pages_widget());
    }
    ap_set_content_type(r, "text/javascript; charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "public, max-age=86400");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    ap_update_mtime(r, r->finfo.mtime);
    ap_set_last_modified(r);
    ap_set_etag(r);
    ap_set_accept_ranges(r);
    status = ap_meets_conditions(r);
    if (status != OK) {
        return status;
    }
    ap_set_content_length(r, r->finfo.size);
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_brigade_insert_file(bb, file, 0, r->finfo.size, r->pool);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(r->connection->bucket_alloc));
    return ap_pass_brigade(r->output_filters, bb) == APR_SUCCESS ? OK : AP_FILTER_ERROR;
}

/* --- hooks ------------------------------------------------------------------------------------ */

FG_APART static int serve(request_rec *r, const char *path)
{
    const char *script;

    if (r->main != NULL) {
        return HTTP_NOT_FOUND; /* an include of a page is no browser that asks */
    }
    ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
    if (r->method_number != M_GET) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (strcmp(path, "challenge") == 0) {
        return send_challenge(r);
    }
    if (strcmp(path, "altcha.js") == 0) {
        return send_widget(r);
    }
    script = fg_pages_script(path);
    return script != NULL ? send_script(r, script) : HTTP_NOT_FOUND;
}

static int handler(request_rec *r)
{
    const char *path = own_path(r);

    return path != NULL ? serve(r, path) : DECLINED;
}

void fg_wellknown_register(void)
{
    ap_hook_translate_name(translate, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_type_checker(find_type, NULL, NULL, APR_HOOK_REALLY_FIRST);
    /* Before fg_handler(), which would count a post to it. */
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_REALLY_FIRST - 1);
}
