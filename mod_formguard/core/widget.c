/* SPDX-License-Identifier: Apache-2.0 */
#include "widget.h"

#include <string.h>

#include <apr_strings.h>

#include "action_url.h"
#include "html_entities.h"

#define ALTCHA_SCRIPT    "/.well-known/formguard/altcha.js"
#define ALTCHA_CHALLENGE "/.well-known/formguard/challenge?form="
#define HELPER           "/.well-known/formguard/fields.js"
#define FRIENDLY_SDK     "https://cdn.jsdelivr.net/npm/@friendlycaptcha/sdk@0.2.0/site.min.js"

const char fg_widget_helper_url[] = HELPER;
const char fg_widget_helper[] = "<script src=\"" HELPER "\" async></script>";

/* How a service's widget is put into a page by hand. Its element is a span here and a div in the
 * services' examples, which find it by its class: a div would end a paragraph that the buttons
 * stand in. */
typedef struct row {
    const char *provider;
    const char *script;
    const char *script_at;   /* the same at the provider's other host (host=), or NULL */
    const char *attrs;       /* of the script */
    const char *css_class;   /* NULL: there is no widget, only a field */
    const char *field_attr;  /* which names the field its token is in, or NULL: can't be chosen */
    const char *action_attr; /* which names the action, or NULL */
    const char *other_attr;  /* where host= is set, or NULL */
    fg_csp_need_t needs[4];
} row_t;

static const row_t rows[] = {
    /* https://developers.google.com/recaptcha/docs/display, .../docs/faq (policy, recaptcha.net) */
    {.provider = "recaptcha-v2",
     .script = "https://www.google.com/recaptcha/api.js",
     .script_at = "https://www.recaptcha.net/recaptcha/api.js",
     .attrs = "async defer",
     .css_class = "g-recaptcha",
     .needs = {{"script-src", "https://www.gstatic.com/recaptcha/releases/x",
                "https://www.gstatic.com/recaptcha/"},
               {"frame-src", NULL, NULL}}},
    /* https://docs.hcaptcha.com/#add-the-hcaptcha-widget-to-your-webpage,
     * https://docs.hcaptcha.com/#content-security-policy-settings */
    {.provider = "hcaptcha",
     .script = "https://js.hcaptcha.com/1/api.js",
     .attrs = "async defer",
     .css_class = "h-captcha",
     .needs = {{"frame-src", "https://newassets.hcaptcha.com/x", "https://*.hcaptcha.com"},
               {"connect-src", "https://api.hcaptcha.com/x", "https://*.hcaptcha.com"}}},
    /* https://developers.cloudflare.com/turnstile/get-started/client-side-rendering/,
     * .../turnstile/reference/content-security-policy/ */
    {.provider = "turnstile",
     .script = "https://challenges.cloudflare.com/turnstile/v0/api.js",
     .attrs = "async defer",
     .css_class = "cf-turnstile",
     .field_attr = "data-response-field-name",
     .action_attr = "data-action",
     .needs = {{"frame-src", "https://challenges.cloudflare.com/x",
                "https://challenges.cloudflare.com"}}},
    /* https://developer.friendlycaptcha.com/docs/v2/getting-started/install */
    /* https://developers.google.com/recaptcha/docs/v3 */
    {.provider = "recaptcha-v3",
     .script = "https://www.google.com/recaptcha/api.js?render=",
     .script_at = "https://www.recaptcha.net/recaptcha/api.js?render=",
     .attrs = "async defer",
     .needs = {{"script-src", "https://www.gstatic.com/recaptcha/releases/x",
                "https://www.gstatic.com/recaptcha/"},
               {"frame-src", NULL, NULL}}},
    /* https://cloud.google.com/recaptcha/docs/instrument-web-pages */
    {.provider = "recaptcha-enterprise",
     .script = "https://www.google.com/recaptcha/enterprise.js?render=",
     .attrs = "async defer",
     .needs = {{"script-src", "https://www.gstatic.com/recaptcha/releases/x",
                "https://www.gstatic.com/recaptcha/"},
               {"frame-src", NULL, NULL}}},
    {.provider = "friendly",
     .script = FRIENDLY_SDK,
     .attrs = "type=\"module\" async defer",
     .css_class = "frc-captcha",
     .field_attr = "data-form-field-name",
     .other_attr = " data-api-endpoint=\"eu\"",
     .needs = {{"frame-src", "https://global.frcapi.com/x", "https://*.frcapi.com"}}},
};

#define NEEDS_MAX 7

static int is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~') {
            return 0;
        }
    }
    return 1;
}

static const char *attribute(const char *name, const char *value, apr_pool_t *pool)
{
    if (name == NULL || value == NULL) {
        return "";
    }
    return apr_pstrcat(pool, " ", name, "=\"", fg_html_encode(value, pool), "\"", NULL);
}

static void add_need(fg_csp_need_t *needs, int *count, const char *directive, const char *url,
                     const char *advice)
{
    needs[*count].directive = directive;
    needs[*count].url = url;
    needs[*count].advice = advice;
    ++*count;
}

static void put_script(fg_widget_t *widget, const char *url, const char *attrs, apr_pool_t *pool)
{
    widget->script_url = url;
    widget->script = apr_pstrcat(pool, "<script src=\"", url, "\" ", attrs, "></script>", NULL);
}

/* The field is the parser's; a script's would be in no form. */
static void put_table_element(fg_widget_t *widget, const fg_policy_t *policy, apr_pool_t *pool)
{
    widget->table_element =
        apr_pstrcat(pool, "<span><input type=\"hidden\" data-formguard=\"beside\"",
                    attribute("name", fg_policy_captcha_field(policy), pool), ">", widget->element,
                    "</span>", NULL);
}

static const char *make_altcha(fg_widget_t *widget, const fg_policy_t *policy, const char *path,
                               const char *origin, apr_pool_t *pool)
{
    fg_csp_need_t *needs = apr_pcalloc(pool, NEEDS_MAX * sizeof(*needs));
    const char *field = fg_policy_captcha_field(policy);
    int count = 0;

    if (strcmp(field, fg_policy_captcha(policy)->field) == 0) {
        field = NULL; /* as the widget has it by itself */
    }
    put_script(widget, ALTCHA_SCRIPT, "type=\"module\" async", pool);
    /* Solved while the form is filled in: before a script of the page takes the fields together,
     * and not for everybody who only looks at the page. */
    widget->element = apr_pstrcat(pool, "<altcha-widget challenge=\"" ALTCHA_CHALLENGE,
                                  fg_query_encode(path, pool), "\" auto=\"onfocus\"",
                                  attribute("name", field, pool), "></altcha-widget>", NULL);
    add_need(needs, &count, "script-src", apr_pstrcat(pool, origin, ALTCHA_SCRIPT, NULL), "'self'");
    add_need(needs, &count, "worker-src", "blob:", "blob:");
    add_need(needs, &count, "connect-src", apr_pstrcat(pool, origin, ALTCHA_CHALLENGE, NULL),
             "'self'");
    widget->needs = needs;
    put_table_element(widget, policy, pool);
    widget->table_needs = apr_pcalloc(pool, sizeof(*needs));
    widget->help = FG_HELP_NEVER; /* altcha.js brings it */
    return NULL;
}

/* A token is asked for when the form is sent. */
static void put_field(fg_widget_t *widget, const row_t *row, const fg_policy_t *policy,
                      const char **script, apr_pool_t *pool)
{
    *script = apr_pstrcat(pool, *script, fg_query_encode(policy->captcha_site_key, pool), NULL);
    put_script(widget, *script, row->attrs, pool);
    widget->element = apr_pstrcat(
        pool, "<input type=\"hidden\"", attribute("data-formguard", row->provider, pool),
        attribute("name", fg_policy_captcha_field(policy), pool),
        attribute("data-sitekey", policy->captcha_site_key, pool),
        attribute("data-action", policy->captcha_action != NULL ? policy->captcha_action : "submit",
                  pool),
        ">", NULL);
    widget->table_element = widget->element;
    widget->help = FG_HELP_ALWAYS;
}

static void put_element(fg_widget_t *widget, const row_t *row, const fg_policy_t *policy,
                        const char *script, int other, apr_pool_t *pool)
{
    put_script(widget, script, row->attrs, pool);
    widget->element =
        apr_pstrcat(pool, "<span class=\"", row->css_class, "\"",
                    attribute("data-sitekey", policy->captcha_site_key, pool),
                    attribute(row->field_attr, policy->captcha_field, pool),
                    attribute(row->action_attr, policy->captcha_action, pool),
                    other && row->other_attr != NULL ? row->other_attr : "", "></span>", NULL);
    put_table_element(widget, policy, pool);
    widget->help = FG_HELP_IN_TABLE;
}

static const char *make_service(fg_widget_t *widget, const row_t *row, const fg_policy_t *policy,
                                const char *origin, apr_pool_t *pool)
{
    int other =
        policy->captcha_host != NULL && *policy->captcha_host != '\0' &&
        fg_captcha_url(policy->captcha, policy->captcha_host, pool) != policy->captcha->endpoint;
    const char *script = other && row->script_at != NULL ? row->script_at : row->script;
    const char *folder =
        apr_pstrmemdup(pool, script, (apr_size_t)(strrchr(script, '/') - script) + 1);
    const char *helper = apr_pstrcat(pool, origin, HELPER, NULL);
    fg_csp_need_t *needs = apr_pcalloc(pool, NEEDS_MAX * sizeof(*needs));
    fg_csp_need_t *table_needs = apr_pcalloc(pool, 2 * sizeof(*needs));
    int count = 0;
    int table_count = 0;
    int i;

    if (policy->captcha_site_key == NULL || *policy->captcha_site_key == '\0') {
        return "no FormGuardCaptchaSiteKey is set";
    }
    if (policy->captcha_field != NULL && row->css_class != NULL && row->field_attr == NULL &&
        strcmp(policy->captcha_field, policy->captcha->field) != 0) {
        return "its widget knows no other field than the service's";
    }
    if (row->css_class != NULL) {
        put_element(widget, row, policy, script, other, pool);
    }
    else {
        put_field(widget, row, policy, &script, pool);
        add_need(needs, &count, "script-src", helper, "'self'");
    }
    add_need(table_needs, &table_count, "script-src", helper, "'self'");
    add_need(needs, &count, "script-src", script, row->css_class != NULL ? script : folder);
    for (i = 0; i < 4 && row->needs[i].directive != NULL; i++) {
        const char *url = row->needs[i].url;

        add_need(needs, &count, row->needs[i].directive, url != NULL ? url : script,
                 url != NULL ? row->needs[i].advice : folder);
    }
    widget->table_needs = table_needs;
    widget->needs = needs;
    return NULL;
}

const char *fg_widget_make(fg_widget_t *widget, const fg_policy_t *policy, const char *path,
                           const char *origin, apr_pool_t *pool)
{
    const fg_captcha_provider_t *provider = fg_policy_captcha(policy);
    const char *const texts[] = {policy->captcha_field, policy->captcha_action,
                                 policy->captcha_site_key};
    apr_size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i] != NULL && !is_plain(texts[i])) {
            return "its field, action or site key is not plain ASCII";
        }
    }
    if (provider->ask == NULL) {
        return make_altcha(widget, policy, path, origin, pool);
    }
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].provider, provider->name) == 0) {
            return make_service(widget, &rows[i], policy, origin, pool);
        }
    }
    return "it has no widget";
}

int fg_widget_same_script(const char *url, const char *src)
{
    apr_size_t len = strlen(url);

    return strncmp(src, url, len) == 0 && (src[len] == '\0' || strchr("?#&", src[len]) != NULL);
}

static int is_of_row(const row_t *row, const char *url, const char *src)
{
    if (url == NULL) {
        return 0;
    }
    return row->css_class != NULL ? fg_widget_same_script(url, src)
                                  : strncmp(src, url, strlen(url)) == 0; /* a key follows */
}

int fg_widget_is_script(const char *src)
{
    apr_size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (is_of_row(&rows[i], rows[i].script, src) ||
            is_of_row(&rows[i], rows[i].script_at, src)) {
            return 1;
        }
    }
    return fg_widget_same_script(ALTCHA_SCRIPT, src) || fg_widget_same_script(HELPER, src);
}
