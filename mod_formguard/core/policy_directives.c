/* SPDX-License-Identifier: Apache-2.0 */
/* The table of directives: name, where it may stand, parser, field, syntax, default. The command
 * table of the module and the check of the manual are made from it. */
#include <stddef.h>

#include <apr_strings.h>

#include "policy_internal.h"

#define ROW(name, context, parser, field, syntax, dflt)                                            \
    {                                                                                              \
        name, FG_CTX_##context, fg_parse_##parser, offsetof(fg_policy_t, field), syntax, dflt      \
    }

const fg_directive_t fg_policy_directives[] = {
    ROW("FormGuard", DIR, mode, mode, "On|Off|DetectionOnly", "Off"),
    ROW("FormGuardMethods", DIR, methods, methods, "METHOD [METHOD...]", "POST"),
    ROW("FormGuardPath", DIR, paths, paths, "GLOB [GLOB...]", "every path"),
    ROW("FormGuardFormField", DIR, fields, form_fields, "NAME [NAME...]", "every post"),
    ROW("FormGuardLimit", DIR, limit, limits,
        "ip|country[=CC,CC...]|form RATE [RATE...] [action=refuse|log] [count=attempts|accepted]",
        "ip 10/10m 60/1d where no other rule is set"),
    ROW("FormGuardCountry", DIR, country, countries, "CC[,CC...]|EU|unknown|* allow|refuse|log",
        "every country is allowed"),
    ROW("FormGuardBodyLimit", DIR, body_limit, body_limit, "SIZE [over=refuse|pass]",
        "64M over=refuse"),
    ROW("FormGuardCaptcha", DIR, captcha, captcha, "off|recaptcha-v2|recaptcha-v3", "off"),
    ROW("FormGuardCaptchaSiteKey", DIR, text, captcha_site_key, "KEY", "none"),
    ROW("FormGuardCaptchaSecret", DIR, secret, captcha_secret, "SECRET", "none"),
    ROW("FormGuardCaptchaSecretFile", VHOST, secret_file, captcha_secret, "PATH", "none"),
    ROW("FormGuardCaptchaField", DIR, text, captcha_field, "NAME", "the service's"),
    ROW("FormGuardCaptchaMinScore", DIR, min_score, captcha_min_score, "SCORE", "0.5"),
    ROW("FormGuardCaptchaHostname", DIR, hostnames, captcha_hostnames, "NAME [NAME...]",
        "the virtual host's ServerName and ServerAlias"),
    ROW("FormGuardCaptchaAction", DIR, text, captcha_action, "ACTION", "any"),
    ROW("FormGuardCaptchaMaxAge", DIR, max_age, captcha_max_age, "TIME",
        "the service's life of a token"),
    ROW("FormGuardCaptchaOnError", DIR, on_error, captcha_on_error,
        "CAUSE=allow|refuse [CAUSE=allow|refuse...]", "every cause refuse"),
    ROW("FormGuardCaptchaEndpoint", VHOST, endpoint, captcha_endpoint, "URL", "the service's"),
    ROW("FormGuardCaptchaTimeout", VHOST, timeout, captcha_timeout, "TIME", "3s"),
    ROW("FormGuardCaptchaCAFile", VHOST, ca_file, captcha_ca_file, "PATH", "the system's"),
    ROW("FormGuardCaptchaSendRemoteIP", VHOST, flag, captcha_send_ip, "On|Off", "On"),
    {NULL, FG_CTX_SERVER, NULL, 0, NULL, NULL}};

const char *fg_policy_apply(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words)
{
    return directive->parse(directive, policy, words);
}
