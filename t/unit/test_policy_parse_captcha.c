/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <apr_file_io.h>
#include <apr_general.h>

#include "policy.h"
#include "policy_line.h"

static apr_pool_t *pool;
static const char *folder; /* for secret files */

static int set_up(void **state)
{
    const char *temp;
    char *made;

    (void)state;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS ||
        apr_temp_dir_get(&temp, pool) != APR_SUCCESS) {
        return 1;
    }
    made = apr_pstrcat(pool, temp, "/formguard-policy-XXXXXX", NULL);
    folder = mkdtemp(made);
    return folder == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    apr_dir_remove(folder, pool);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static fg_policy_t *empty(void)
{
    return apr_pcalloc(pool, sizeof(fg_policy_t));
}

static const char *apply(fg_policy_t *policy, const char *line)
{
    return line_apply(policy, "here", line, pool);
}

/* A policy made by one good line. */
static fg_policy_t *policy_of(const char *line)
{
    return line_policy(line, pool);
}

static void captcha_settings(void **state)
{
    static const char cause[] = " names no cause: timeout, unreachable, server-error, quota, "
                                "bad-secret or busy, each with =allow, =refuse or =altcha";
    static const char host[] = " is no host name (no scheme, port or path belongs to it)";
    static const char names[] = " is none of off, altcha, recaptcha-v2, recaptcha-v3, "
                                "recaptcha-enterprise, hcaptcha, turnstile, friendly";
    static const char takes[] =
        "takes off|altcha|recaptcha-v2|recaptcha-v3|recaptcha-enterprise|hcaptcha|"
        "turnstile|friendly [host=NAME]";
    static const char v2_host[] = " is no host of recaptcha-v2: www.google.com, www.recaptcha.net";
    static const char project[] =
        " is no project of Google Cloud: small letters, digits and hyphens";
    const line_wrong_t cases[] = {
        {"FormGuardCaptcha", takes},
        {"FormGuardCaptcha recaptcha-v2 host=www.recaptcha.net more", takes},
        {"FormGuardCaptcha recaptcha", apr_pstrcat(pool, "'recaptcha'", names, NULL)},
        {"FormGuardCaptcha none", apr_pstrcat(pool, "'none'", names, NULL)},
        {"FormGuardCaptcha recaptcha-v2 host=evil.example",
         apr_pstrcat(pool, "'host=evil.example'", v2_host, NULL)},
        {"FormGuardCaptcha recaptcha-v2 host=", apr_pstrcat(pool, "'host='", v2_host, NULL)},
        {"FormGuardCaptcha recaptcha-v2 host=https://www.recaptcha.net/",
         apr_pstrcat(pool, "'host=https://www.recaptcha.net/'", v2_host, NULL)},
        {"FormGuardCaptcha recaptcha-v2 sesame", takes}, /* a secret, perhaps: not shown */
        {"FormGuardCaptcha turnstile host=www.recaptcha.net",
         "'host=www.recaptcha.net' is no host of turnstile: "
         "challenges.cloudflare.com"},
        {"FormGuardCaptcha off host=www.google.com",
         "'host=www.google.com' is no host of off: none"},
        {"FormGuardCaptchaProject", "takes one value: ID"},
        {"FormGuardCaptchaProject a/../b", apr_pstrcat(pool, "'a/../b'", project, NULL)},
        {"FormGuardCaptchaProject ..", apr_pstrcat(pool, "'..'", project, NULL)},
        {"FormGuardCaptchaProject -a", apr_pstrcat(pool, "'-a'", project, NULL)},
        {"FormGuardCaptchaProject A", apr_pstrcat(pool, "'A'", project, NULL)},
        {"FormGuardCaptchaProject a?key=b", apr_pstrcat(pool, "'a?key=b'", project, NULL)},
        {"FormGuardCaptchaProject a%2e", apr_pstrcat(pool, "'a%2e'", project, NULL)},
        {"FormGuardCaptchaSiteKey", "takes one value: KEY"},
        {"FormGuardCaptchaSiteKey a b", "takes one value: KEY"},
        {"FormGuardCaptchaField a b", "takes one value: NAME"},
        {"FormGuardCaptchaAction a b", "takes one value: ACTION"},
        {"FormGuardCaptchaHostname", "takes one value at least: NAME [NAME...]"},
        {"FormGuardCaptchaHostname https://www.example.org",
         apr_pstrcat(pool, "'https://www.example.org'", host, NULL)},
        {"FormGuardCaptchaHostname a.example b.example:443",
         apr_pstrcat(pool, "'b.example:443'", host, NULL)},
        {"FormGuardCaptchaMaxAge soon",
         "'soon' is no time: a number and one of ms s m h d w, seconds without one"},
        {"FormGuardCaptchaMaxAge 0", "'0' is out of range: 1ms to 366d"},
        {"FormGuardCaptchaMaxAge 999ms", "'999ms' is out of range: 1s to 1d"},
        {"FormGuardCaptchaMaxAge 86401", "'86401' is out of range: 1s to 1d"},
        {"FormGuardCaptchaTimeout 99ms", "'99ms' is out of range: 100ms to 30s"},
        {"FormGuardCaptchaTimeout 31", "'31' is out of range: 100ms to 30s"},
        {"FormGuardCaptchaTimeout 3 s", "takes one value: TIME"},
        {"FormGuardCaptchaOnError",
         "takes CAUSE=allow|refuse|altcha [CAUSE=allow|refuse|altcha...]"},
        {"FormGuardCaptchaOnError allow", apr_pstrcat(pool, "'allow'", cause, NULL)},
        {"FormGuardCaptchaOnError none=allow", apr_pstrcat(pool, "'none=allow'", cause, NULL)},
        {"FormGuardCaptchaOnError =allow", apr_pstrcat(pool, "'=allow'", cause, NULL)},
        {"FormGuardCaptchaOnError timeouts=allow",
         apr_pstrcat(pool, "'timeouts=allow'", cause, NULL)},
        {"FormGuardCaptchaOnError timeout=", "'timeout=' has none of =allow, =refuse, =altcha"},
        {"FormGuardCaptchaOnError busy=allow timeout=pass",
         "'timeout=pass' has none of =allow, =refuse, =altcha"},
        {"FormGuardCaptchaEndpoint ftp://captcha.example/",
         "'ftp://captcha.example/' must begin with https://"},
        {"FormGuardCaptchaEndpoint http://captcha.example/",
         "'http://captcha.example/' must begin with https:// (http:// is for 127.0.0.0/8, [::1] "
         "and localhost)"},
    };

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
}

/* The URL that is asked under lines of configuration, each merged over those before it. */
static const char *url_of(const char *lines)
{
    fg_policy_t *policy = empty();
    fg_captcha_check_t check;
    char *last = NULL;
    char *line;

    for (line = apr_strtok(apr_pstrdup(pool, lines), "\n", &last); line != NULL;
         line = apr_strtok(NULL, "\n", &last)) {
        policy = fg_policy_merge(policy, policy_of(line), pool);
    }
    fg_policy_captcha_check(policy, &check, pool);
    return check.endpoint != NULL ? check.endpoint : check.provider->endpoint;
}

static void a_service_is_asked_on_a_host_it_documents(void **state)
{
    static const char google[] = "https://www.google.com/recaptcha/api/siteverify";
    static const char net[] = "https://www.recaptcha.net/recaptcha/api/siteverify";

    (void)state;
    assert_string_equal(url_of("FormGuardCaptcha recaptcha-v2"), google);
    assert_string_equal(url_of("FormGuardCaptcha recaptcha-v2 host=www.recaptcha.net"), net);
    assert_string_equal(url_of("FormGuardCaptcha recaptcha-v3 HOST=www.recaptcha.net"), net);
    assert_string_equal(url_of("FormGuardCaptcha friendly host=eu.frcapi.com"),
                        "https://eu.frcapi.com/api/v2/captcha/siteverify");
    /* An inner line without a host means the service's own, not the outer line's. */
    assert_string_equal(url_of("FormGuardCaptcha recaptcha-v2 host=www.recaptcha.net\n"
                               "FormGuardCaptcha recaptcha-v2"),
                        google);
    assert_string_equal(url_of("FormGuardCaptcha recaptcha-v2 host=www.recaptcha.net\n"
                               "FormGuardCaptchaSecret abc"),
                        net);
    assert_string_equal(url_of("FormGuardCaptcha friendly host=eu.frcapi.com\n"
                               "FormGuardCaptcha hcaptcha"),
                        "https://api.hcaptcha.com/siteverify");
    /* The server config's own URL goes before any host. */
    assert_string_equal(url_of("FormGuardCaptchaEndpoint https://captcha.example/verify\n"
                               "FormGuardCaptcha recaptcha-v2 host=www.recaptcha.net"),
                        "https://captcha.example/verify");
    assert_string_equal(policy_of("FormGuardCaptchaProject my-project-1")->captcha_project,
                        "my-project-1");
    assert_string_equal(policy_of("FormGuardCaptchaProject example.com:forms")->captcha_project,
                        "example.com:forms");
    assert_string_equal(policy_of("FormGuardCaptchaProject 123456789012")->captcha_project,
                        "123456789012");
}

/* A policy made by some good lines of one section. */
static fg_policy_t *lines_of(const char *lines)
{
    fg_policy_t *policy = empty();
    char *last = NULL;
    char *line;

    for (line = apr_strtok(apr_pstrdup(pool, lines), "\n", &last); line != NULL;
         line = apr_strtok(NULL, "\n", &last)) {
        assert_null(apply(policy, line));
    }
    return policy;
}

/* Keys are one service's: an inner section with another one does not send them there. */
static void keys_stay_with_their_service(void **state)
{
    static const char outer[] = "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret outer\n"
                                "FormGuardCaptchaSiteKey outer-site\nFormGuardCaptchaProject p\n"
                                "FormGuardCaptchaEndpoint https://captcha.example/";
    fg_policy_t *policy;

    (void)state;
    policy = fg_policy_merge(lines_of(outer), lines_of("FormGuardCaptcha hcaptcha"), pool);
    assert_null(policy->captcha_secret);
    assert_null(policy->captcha_site_key);
    assert_null(policy->captcha_project);
    assert_null(policy->captcha_endpoint);
    policy = fg_policy_merge(lines_of(outer),
                             lines_of("FormGuardCaptcha hcaptcha\nFormGuardCaptchaSecret inner\n"
                                      "FormGuardCaptchaSiteKey inner-site"),
                             pool);
    assert_string_equal(policy->captcha_secret, "inner");
    assert_string_equal(policy->captcha_site_key, "inner-site");
    /* v2 and v3 are asked at one place. */
    policy = fg_policy_merge(lines_of(outer), lines_of("FormGuardCaptcha recaptcha-v3"), pool);
    assert_string_equal(policy->captcha_secret, "outer");
    assert_string_equal(policy->captcha_endpoint, "https://captcha.example/");
    /* Another account with the same service has another site key. */
    policy = fg_policy_merge(lines_of(outer), lines_of("FormGuardCaptchaSecret inner"), pool);
    assert_string_equal(policy->captcha_secret, "inner");
    assert_null(policy->captcha_site_key);
    policy = fg_policy_merge(lines_of(outer), lines_of("FormGuardCaptcha recaptcha-v2"), pool);
    assert_string_equal(policy->captcha_secret, "outer");
    assert_string_equal(policy->captcha_site_key, "outer-site");
    /* Keys for all, the service for some. */
    policy = fg_policy_merge(lines_of("FormGuardCaptchaSecret outer"),
                             lines_of("FormGuardCaptcha hcaptcha"), pool);
    assert_string_equal(policy->captcha_secret, "outer");
    policy = fg_policy_merge(lines_of("FormGuardCaptchaSiteKey outer-site"),
                             lines_of("FormGuardCaptcha hcaptcha\nFormGuardCaptchaSecret a"), pool);
    assert_string_equal(policy->captcha_site_key, "outer-site");
}

static void scores(void **state)
{
    static const char *const bad[] = {"2",    "1.1",  "1.000001", "-0",  "-0.5",      ".5",
                                      "0,5",  "0.5x", "0x1",      "nan", "0.5e0",     "inf",
                                      "00.5", "0..5", "0.-5",     "1%",  "0.5000000", "0.5 "};
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"0.0", 0},
        {"1.0", 1},
        {"1.", 1},
        {"0.", 0},
        {"0.1", 0.1},
        {"0.2", 0.2},
        {"0.3", 0.3},
        {"0.4", 0.4},
        {"0.5", 0.5},
        {"0.6", 0.6},
        {"0.7", 0.7},
        {"0.8", 0.8},
        {"0.9", 0.9},
        {"0.05", .05},
        {"0.123456", 0.123456},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        /* One that ends in a space is two words, or rather one and none: not for line_apply(). */
        char *const argv[] = {apr_pstrdup(pool, bad[i])};
        fg_words_t words = {1, argv, "here", 0, NULL, NULL, pool, pool, 0};
        fg_policy_t *policy = empty();
        const char *error =
            fg_policy_apply(line_directive("FormGuardCaptchaMinScore"), policy, &words);

        if (error == NULL) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_string_equal(error, apr_psprintf(pool, "'%s' is no score: 0.0 to 1.0", bad[i]));
        assert_false(policy->captcha_min_score.set);
    }
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        fg_policy_t *policy =
            policy_of(apr_pstrcat(pool, "FormGuardCaptchaMinScore ", good[i].text, NULL));

        assert_true(policy->captcha_min_score.set);
        /* Exactly: a vendor's score that is written the same must be enough. */
        assert_true(policy->captcha_min_score.value == good[i].value);
    }
}

/* --- secrets ---------------------------------------------------------------------------------- */

static void a_secret_is_never_shown(void **state)
{
    static const line_wrong_t cases[] = {
        {"FormGuardCaptchaSecret", "takes one value: SECRET"},
        {"FormGuardCaptchaSecret sesame open", "takes one value: SECRET"},
        {"FormGuardCaptchaSecret sesame\t",
         "the secret holds something that is no visible ASCII character"},
        {"FormGuardCaptchaSecret s\xc3\xa9same",
         "the secret holds something that is no visible ASCII character"},
        {"FormGuardCaptchaSecret sesame\x7f",
         "the secret holds something that is no visible ASCII character"},
    };
    char *const nothing[] = {apr_pstrdup(pool, "")};
    fg_words_t words = {1, nothing, "here", 0, NULL, NULL, pool, pool, 0};
    fg_policy_t *policy = empty();

    (void)state;
    LINE_EXPECT_ERRORS(cases, pool);
    assert_string_equal(fg_policy_apply(line_directive("FormGuardCaptchaSecret"), policy, &words),
                        "the secret is empty");
    assert_string_equal(policy_of("FormGuardCaptchaSecret 6Lc_-!~x")->captcha_secret, "6Lc_-!~x");
}

static const char *write_file(const char *name, const char *data, apr_size_t len,
                              apr_fileperms_t perms)
{
    char *path = apr_pstrcat(pool, folder, "/", name, NULL);
    apr_file_t *file;

    assert_int_equal(apr_file_open(&file, path,
                                   APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_TRUNCATE,
                                   APR_FPROT_UREAD | APR_FPROT_UWRITE, pool),
                     APR_SUCCESS);
    assert_int_equal(apr_file_write_full(file, data, len, NULL), APR_SUCCESS);
    assert_int_equal(apr_file_close(file), APR_SUCCESS);
    assert_int_equal(apr_file_perms_set(path, perms), APR_SUCCESS);
    return path;
}

#define OWNER (APR_FPROT_UREAD | APR_FPROT_UWRITE)

static void a_secret_file_holds_one_line(void **state)
{
    static const struct {
        const char *content;
        const char *secret; /* or NULL */
        const char *reason;
    } cases[] = {
        {"sesame", "sesame", NULL},
        {"sesame\n", "sesame", NULL},
        {"sesame \t\r\n\n", "sesame", NULL},
        {"", NULL, "is no use: the secret in it is empty"},
        {"\n", NULL, "is no use: the secret in it is empty"},
        {"sesame\nsesame\n", NULL,
         "is no use: the secret in it holds something that is no visible ASCII character"},
        {" sesame", NULL,
         "is no use: the secret in it holds something that is no visible ASCII character"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = write_file("secret", cases[i].content, strlen(cases[i].content), OWNER);
        fg_policy_t *policy = empty();
        const char *error =
            apply(policy, apr_pstrcat(pool, "FormGuardCaptchaSecretFile ", path, NULL));

        if (cases[i].secret != NULL) {
            assert_null(error);
            assert_string_equal(policy->captcha_secret, cases[i].secret);
        }
        else {
            assert_non_null(error);
            assert_string_equal(error, apr_psprintf(pool, "'%s' %s", path, cases[i].reason));
            assert_null(policy->captcha_secret);
        }
        assert_int_equal(apr_file_remove(path, pool), APR_SUCCESS);
    }
}

/* What applying the file says, without the quoted path and the space behind it. */
static const char *secret_file_error(const char *path)
{
    fg_policy_t *policy = empty();
    const char *error = apply(policy, apr_pstrcat(pool, "FormGuardCaptchaSecretFile ", path, NULL));

    assert_null(policy->captcha_secret);
    assert_non_null(error);
    assert_memory_equal(error + 1, path, strlen(path));
    return error + strlen(path) + 3;
}

static void a_secret_file_that_is_unsafe_is_refused(void **state)
{
    char text[1025];
    const char *path;

    (void)state;
    memset(text, 'A', sizeof(text));
    path = write_file("secret", "sesame", 6, OWNER | APR_FPROT_WREAD);
    assert_string_equal(secret_file_error(path),
                        "may be read or written by everybody: chmod o= it");
    path = write_file("secret", "sesame", 6, OWNER | APR_FPROT_WWRITE);
    assert_string_equal(secret_file_error(path),
                        "may be read or written by everybody: chmod o= it");
    path = write_file("secret", "sesame", 6, OWNER | APR_FPROT_GWRITE);
    assert_string_equal(secret_file_error(path), "may be written by its group: chmod g-w it");
    path = write_file("secret", "sesame", 6, OWNER);
    if (chown(path, 12345, (gid_t)-1) == 0) { /* as root only */
        assert_string_equal(secret_file_error(path),
                            "belongs to neither root nor the user httpd runs as");
        assert_int_equal(chown(path, 0, (gid_t)-1), 0);
    }
    path = write_file("secret", text, 1025, OWNER);
    assert_string_equal(secret_file_error(path),
                        "is larger than 1024 bytes: it shall hold the secret alone");
    path = write_file("secret", text, 257, OWNER);
    assert_string_equal(secret_file_error(path),
                        "is no use: the secret in it is longer than 256 bytes");
    path = write_file("secret", "ses\0ame", 7, OWNER);
    assert_non_null(strstr(secret_file_error(path), "no visible ASCII character"));
    assert_int_equal(apr_file_remove(path, pool), APR_SUCCESS);

    assert_non_null(strstr(secret_file_error(path), "can't be read: "));
    assert_string_equal(secret_file_error(folder), "is no plain file");
    assert_string_equal(secret_file_error("/dev/null"), "is no plain file");
    path = apr_pstrcat(pool, folder, "/fifo", NULL);
    assert_int_equal(apr_file_namedpipe_create(path, OWNER, pool), APR_SUCCESS);
    assert_string_equal(secret_file_error(path), "is no plain file"); /* and it did not hang */
    assert_int_equal(apr_file_remove(path, pool), APR_SUCCESS);
}

static const char *resolve_in_folder(void *baton, const char *path)
{
    return strcmp(path, "none") == 0 ? NULL : apr_pstrcat(pool, baton, "/", path, NULL);
}

static void paths_are_resolved_by_the_caller(void **state)
{
    const char *path = write_file("here", "sesame", 6, OWNER);
    char *argv[] = {apr_pstrdup(pool, "here")};
    fg_words_t words = {1,    argv, "here", 0, resolve_in_folder, apr_pstrdup(pool, folder),
                        pool, pool, 0};
    fg_policy_t *policy = empty();

    (void)state;
    assert_null(fg_policy_apply(line_directive("FormGuardCaptchaSecretFile"), policy, &words));
    assert_string_equal(policy->captcha_secret, "sesame");
    assert_null(fg_policy_apply(line_directive("FormGuardCaptchaCAFile"), policy, &words));
    assert_string_equal(policy->captcha_ca_file, path);
    argv[0] = apr_pstrdup(pool, "none");
    assert_string_equal(
        fg_policy_apply(line_directive("FormGuardCaptchaSecretFile"), policy, &words),
        "'none' is no path");
    assert_string_equal(fg_policy_apply(line_directive("FormGuardCaptchaCAFile"), policy, &words),
                        "'none' is no path");
    assert_string_equal(policy->captcha_ca_file, path);
    assert_int_equal(apr_file_remove(path, pool), APR_SUCCESS);
    argv[0] = apr_pstrdup(pool, "here");
    assert_non_null(
        strstr(fg_policy_apply(line_directive("FormGuardCaptchaCAFile"), policy, &words),
               "can't be read"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captcha_settings),
        cmocka_unit_test(a_service_is_asked_on_a_host_it_documents),
        cmocka_unit_test(keys_stay_with_their_service),
        cmocka_unit_test(scores),
        cmocka_unit_test(a_secret_is_never_shown),
        cmocka_unit_test(a_secret_file_holds_one_line),
        cmocka_unit_test(a_secret_file_that_is_unsafe_is_refused),
        cmocka_unit_test(paths_are_resolved_by_the_caller),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
