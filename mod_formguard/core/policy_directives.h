/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policy_directives.h
 * @brief The list of directives that set a field of the policy: name, where it may stand
 *        (fg_context_t), parser, field, syntax, default. Core's table, the command table of the
 *        module and the check of the manual are made from it.
 */
#ifndef FG_POLICY_DIRECTIVES_H
#define FG_POLICY_DIRECTIVES(X)                                                                   \
    X("FormGuard", DIR, mode, mode,                                                               \
      "On|Off|DetectionOnly", "Off")                                                              \
    X("FormGuardPreset", DIR, preset, preset,                                                     \
      "contact-form-7|mw-wp-form|wpforms|elementor|ninja-forms|php-mailer", "none")               \
    X("FormGuardMethods", DIR, methods, methods,                                                  \
      "METHOD [METHOD...]", "POST")                                                               \
    X("FormGuardPath", DIR, paths, paths,                                                         \
      "GLOB [GLOB...]", "every path")                                                             \
    X("FormGuardFormField", DIR, fields, form_fields,                                             \
      "NAME [NAME...]", "every post")                                                             \
    X("FormGuardLimit", DIR, limit, limits,                                                       \
      "KEY RATE [RATE...] [action=refuse|challenge|log|close:TIME] "                              \
      "[count=attempts|accepted] [from=[!]CC[,CC...]] [weight=N]",                                \
      "ip 10/10m 60/1d without any limit, country rule or captcha")                               \
    X("FormGuardCountry", DIR, country, countries,                                                \
      "CC[,CC...]|EU|unknown|* allow|refuse|challenge|log", "every country is allowed")           \
    X("FormGuardField", DIR, field, fields,                                                       \
      "NAME [NAME...] required|empty|single-line|max-links=N [action=refuse|challenge|log]",      \
      "no rule")                                                                                  \
    X("FormGuardDeny", DIR, flag, deny,                                                           \
      "On|Off", "Off")                                                                            \
    X("FormGuardDNSBL", VHOST, dnsbl, dnsbls,                                                     \
      "ZONE [CODE[-CODE][,CODE...]] [action=refuse|challenge|log]", "none")                       \
    X("FormGuardDNSBLTimeout", VHOST, dnsbl_timeout, dnsbl_timeout,                               \
      "TIME", "1s")                                                                               \
    X("FormGuardBodyLimit", DIR, body_limit, body_limit,                                          \
      "SIZE [over=refuse|pass]", "64M over=refuse")                                               \
    X("FormGuardCaptcha", DIR, captcha, captcha,                                                  \
      "off|altcha|recaptcha-v2|recaptcha-v3|recaptcha-enterprise|hcaptcha|turnstile|friendly "    \
      "[host=NAME]", "off")                                                                       \
    X("FormGuardCaptchaWhen", DIR, when, captcha_when,                                            \
      "always|challenged", "always")                                                              \
    X("FormGuardCaptchaVerify", DIR, verify, captcha_verify,                                      \
      "here|application", "here")                                                                 \
    X("FormGuardCaptchaDifficulty", DIR, difficulty, captcha_difficulty,                          \
      "NUMBER [max=NUMBER]", "200000 max=4000000")                                                \
    X("FormGuardCaptchaClearance", DIR, clearance, captcha_clearance,                             \
      "off|TIME [uses=N]", "off")                                                                 \
    X("FormGuardCaptchaSiteKey", DIR, text, captcha_site_key,                                     \
      "KEY", "none")                                                                              \
    X("FormGuardCaptchaProject", DIR, project, captcha_project,                                   \
      "ID", "none")                                                                               \
    X("FormGuardCaptchaSecret", DIR, secret, captcha_secret,                                      \
      "SECRET", "none")                                                                           \
    X("FormGuardCaptchaSecretFile", VHOST, secret_file, captcha_secret,                           \
      "PATH", "none")                                                                             \
    X("FormGuardCaptchaField", DIR, text, captcha_field,                                          \
      "NAME", "the service's")                                                                    \
    X("FormGuardCaptchaStrip", DIR, flag, captcha_strip,                                          \
      "On|Off", "On for the field of altcha, else Off")                                           \
    X("FormGuardInject", DIR, flag, inject,                                                       \
      "On|Off", "Off")                                                                            \
    X("FormGuardCaptchaMinScore", DIR, min_score, captcha_min_score,                              \
      "SCORE", "0.5")                                                                             \
    X("FormGuardCaptchaHostname", DIR, hostnames, captcha_hostnames,                              \
      "NAME [NAME...]", "the virtual host's ServerName and ServerAlias")                          \
    X("FormGuardCaptchaAction", DIR, text, captcha_action,                                        \
      "ACTION", "any")                                                                            \
    X("FormGuardCaptchaMaxAge", DIR, max_age, captcha_max_age,                                    \
      "TIME", "the service's life of a token")                                                    \
    X("FormGuardCaptchaOnError", DIR, on_error, captcha_on_error,                                 \
      "CAUSE=allow|refuse|altcha [CAUSE=allow|refuse|altcha...]", "every cause refuse")           \
    X("FormGuardCaptchaEndpoint", VHOST, endpoint, captcha_endpoint,                              \
      "URL", "the service's")                                                                     \
    X("FormGuardCaptchaTimeout", VHOST, timeout, captcha_timeout,                                 \
      "TIME", "3s")                                                                               \
    X("FormGuardCaptchaCAFile", VHOST, ca_file, captcha_ca_file,                                  \
      "PATH", "the system's")                                                                     \
    X("FormGuardCaptchaSendRemoteIP", VHOST, flag, captcha_send_ip,                               \
      "On|Off", "On")                                                                             \
    X("FormGuardContact", DIR, contact, contact,                                                  \
      "TEXT|none", "none")                                                                        \
    X("FormGuardStatusOpen", SECTION, flag, status_open,                                          \
      "On|Off", "Off")                                                                            \
    X("FormGuardOverride", VHOST, override, override,                                             \
      "none|tighten|all", "tighten")
/* clang-format on */

#endif
