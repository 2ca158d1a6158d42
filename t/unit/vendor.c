/* SPDX-License-Identifier: Apache-2.0 */
#include "vendor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

vendor_t vendor;

static int allow_old_tls(void)
{
    const char *file = apr_pstrcat(vendor.pool, vendor.dir, "/openssl.cnf", NULL);
    FILE *f = fopen(file, "w");

    if (!f) {
        return -1;
    }
    fputs("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = old\n"
          "[old]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n",
          f);
    fclose(f);
    return setenv("OPENSSL_CONF", file, 1);
}

int vendor_start(apr_pool_t *pool)
{
    const char *srcdir = getenv("srcdir");
    const char *program = apr_pstrcat(pool, srcdir ? srcdir : ".", "/t/lib/vendor-stand-in", NULL);
    char template[] = "/tmp/formguard-vendor.XXXXXX", line[1024];
    FILE *said;
    int fds[2];

    vendor.pool = pool;
    if (!mkdtemp(template) || pipe(fds)) {
        return -1;
    }
    vendor.dir = apr_pstrdup(pool, template);
    vendor.ca = apr_pstrcat(pool, vendor.dir, "/ca.crt", NULL);
    vendor.pid = fork();
    if (vendor.pid < 0) {
        return -1;
    }
    if (!vendor.pid) {
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        execl(program, program, "--dir", vendor.dir, "--secret", VENDOR_SECRET, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    said = fdopen(fds[0], "r");
    if (!said) {
        return -1;
    }
    vendor.said = fgets(line, sizeof line, said) ? apr_pstrdup(pool, line) : NULL;
    fclose(said);
    return vendor.said ? allow_old_tls() : -1;
}

int vendor_stop(void)
{
    kill(vendor.pid, SIGTERM);
    waitpid(vendor.pid, NULL, 0);
    return system(apr_psprintf(vendor.pool, "rm -rf '%s'", vendor.dir)) != 0;
}

int vendor_port(const char *name)
{
    const char *at = strstr(vendor.said, apr_psprintf(vendor.pool, "\"%s\":", name));

    assert_non_null(at);
    return atoi(strchr(at, ':') + 1);
}

const char *vendor_url(const char *name)
{
    return apr_psprintf(vendor.pool, "%s://localhost:%d/recaptcha/api/siteverify?hidden=in-the-url",
                        strcmp(name, "plain") ? "https" : "http", vendor_port(name));
}

apr_array_header_t *vendor_asked(apr_pool_t *pool)
{
    apr_array_header_t *lines = apr_array_make(pool, 16, sizeof(const char *));
    FILE *f = fopen(apr_pstrcat(pool, vendor.dir, "/requests", NULL), "r");
    char line[8192];

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        APR_ARRAY_PUSH(lines, const char *) = apr_pstrdup(pool, line);
    }
    fclose(f);
    return lines;
}

const char *vendor_last_asked(apr_pool_t *pool)
{
    apr_array_header_t *lines = vendor_asked(pool);

    assert_true(lines->nelts > 0);
    return APR_ARRAY_IDX(lines, lines->nelts - 1, const char *);
}
