/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "country.h"

#define SEC APR_USEC_PER_SEC

static apr_pool_t *global;
static const char *folder; /* of this run's files, TMPDIR too */

/* What was logged. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int warnings, notices, others;
static char last_line[FG_LOG_LINE_MAX];

static void write_log(void *baton, fg_log_level_t level, apr_status_t rv, const char *text)
{
    (void)baton;
    (void)rv;
    pthread_mutex_lock(&log_lock);
    if (level == FG_LOG_WARN && !strncmp(text, "FG2102: ", 8)) {
        warnings++;
    }
    else if (level == FG_LOG_NOTICE && !strncmp(text, "FG2101: ", 8)) {
        notices++;
    }
    else {
        others++;
    }
    apr_cpystrn(last_line, text, sizeof last_line);
    pthread_mutex_unlock(&log_lock);
}

static const fg_log_t test_log = {write_log, NULL};

static void assert_logged(int w, int n)
{
    assert_int_equal(warnings, w);
    assert_int_equal(notices, n);
    assert_int_equal(others, 0);
    warnings = notices = 0;
}

static const char *in_folder(const char *name)
{
    return apr_pstrcat(global, folder, "/", name, NULL);
}

static const char *lib_dir(void)
{
    const char *srcdir = getenv("srcdir");
    return apr_pstrcat(global, srcdir ? srcdir : ".", "/t/lib", NULL);
}

static void make(const char *args, const char *name, const char *networks)
{
    const char *command = apr_psprintf(global, "'%s/make-mmdb' %s '%s' %s", lib_dir(), args,
                                       in_folder(name), networks);
    assert_int_equal(system(command), 0);
}

static char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *data;

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    data = apr_palloc(global, *len + 1);
    assert_int_equal(fread(data, 1, *len, f), *len);
    fclose(f);
    return data;
}

/* Overwrite in place. */
static void spill(const char *path, const char *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

/* Put a copy of `name` at `path` by rename. */
static void replace(const char *path, const char *name)
{
    const char *fresh = apr_pstrcat(global, path, ".fresh", NULL);
    size_t len;
    const char *data = slurp(in_folder(name), &len);

    spill(fresh, data, len);
    assert_int_equal(rename(fresh, path), 0);
}

static void overwrite(const char *path, const char *name)
{
    size_t len;
    const char *data = slurp(in_folder(name), &len);
    spill(path, data, len);
}

static fg_address_t address(const char *text)
{
    fg_address_t a = {0};

    a.family = strchr(text, ':') ? 6 : 4;
    assert_int_equal(inet_pton(a.family == 6 ? AF_INET6 : AF_INET, text, a.bytes), 1);
    return a;
}

static apr_status_t lookup(fg_country_db_t *db, const char *ip, apr_time_t now,
                           fg_country_code_t code)
{
    fg_address_t a = address(ip);
    fg_time_t t = {.steady = now, .wall = 0};
    fg_country_t country;
    apr_status_t rv;

    country = fg_country_of("??");
    rv = fg_country_lookup(db, &a, t, &country);
    strcpy(code, country.code);
    return rv;
}

static void assert_country(fg_country_db_t *db, const char *ip, apr_time_t now, const char *want)
{
    fg_country_code_t code;

    assert_int_equal(lookup(db, ip, now, code), APR_SUCCESS);
    assert_string_equal(code, want);
}

/* @param in_eu what the key EU means */
static void assert_in_eu(fg_country_db_t *db, const char *ip, const char *want, int in_eu)
{
    fg_address_t a = address(ip);
    fg_time_t t = {0, 0};
    fg_country_t country;

    assert_int_equal(fg_country_lookup(db, &a, t, &country), APR_SUCCESS);
    assert_string_equal(country.code, want);
    if (country.in_eu != in_eu) {
        fail_msg("%s, %s: in_eu is %d", ip, want, country.in_eu);
    }
}

static fg_country_db_t *open_db(const char *path, apr_pool_t *pool)
{
    fg_country_db_t *db;
    const char *error = NULL;

    if (fg_country_open(&db, path, &test_log, pool, &error) != APR_SUCCESS) {
        fail_msg("%s: %s", path, error);
    }
    assert_null(error);
    return db;
}

/* The path of a database that tests may change, holding `name` at first. */
static const char *working_copy(const char *name)
{
    static int count;
    const char *path = in_folder(apr_psprintf(global, "db%d", count++));

    replace(path, name);
    return path;
}

static int set_up(void **state)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, global);
    warnings = notices = others = 0;
    *state = pool;
    return 0;
}

static int tear_down(void **state)
{
    return apr_pool_destroy(*state), 0;
}

static void test_maxmind_schema(void **state)
{
    fg_country_db_t *db = open_db(in_folder("maxmind"), *state);
    fg_country_info_t info;

    assert_country(db, "192.0.2.200", 0, "JP");
    assert_country(db, "198.51.100.1", 0, "DE");
    assert_country(db, "203.0.113.9", 0, "US"); /* registered there, located nowhere */
    assert_country(db, "2001:db8:1::5", 0, "HK");
    assert_country(db, "10.0.0.1", 0, "");
    assert_country(db, "2001:db8:ffff::1", 0, "");
    fg_country_info(db, &info, *state);
    assert_string_equal(info.type, "Test-Country");
    assert_true(info.built > apr_time_now() - 600 * SEC && info.built <= apr_time_now());
    assert_logged(0, 0);
}

static void test_flat_schema(void **state)
{
    fg_country_db_t *db = open_db(in_folder("flat"), *state);
    fg_country_info_t info;

    assert_country(db, "192.0.2.1", 0, "JP");
    assert_country(db, "198.51.100.1", 0, "DE"); /* written `de` */
    assert_country(db, "203.0.113.9", 0, "");    /* written ZZ */
    assert_country(db, "2001:db8:1::5", 0, "HK");
    fg_country_info(db, &info, *state);
    assert_string_equal(info.type, "Test-Flat-Country");
}

/* The database's own word counts where it says one, also against the table. */
static void test_european_union_of_maxmind_schema(void **state)
{
    fg_country_db_t *db = open_db(in_folder("eu"), *state);

    assert_in_eu(db, "192.0.2.1", "JP", 0);
    assert_in_eu(db, "192.0.2.65", "DE", 1);   /* with the flag */
    assert_in_eu(db, "192.0.2.129", "FR", 1);  /* without */
    assert_in_eu(db, "192.0.2.193", "CH", 1);  /* flag 1 */
    assert_in_eu(db, "198.51.100.1", "DE", 0); /* flag 0 */
    assert_in_eu(db, "203.0.113.1", "UA", 1);  /* registered there, flag 1 */
    assert_in_eu(db, "203.0.113.129", "IE", 0);
    assert_in_eu(db, "2001:db8:9::1", "", 0);
}

static void test_european_union_of_flat_schema(void **state)
{
    fg_country_db_t *db = open_db(in_folder("flat"), *state);

    assert_in_eu(db, "192.0.2.1", "JP", 0);
    assert_in_eu(db, "198.51.100.1", "DE", 1);
    assert_in_eu(db, "203.0.113.9", "", 0);
}

/* Each of the addresses, apart by spaces, in a file that has a country for every one. */
static void assert_everywhere(apr_pool_t *pool, const char *addresses, const char *want)
{
    fg_country_db_t *db = open_db(in_folder("everywhere"), pool);
    fg_time_t now = {0, 0};
    char *last = NULL;
    char *one;

    for (one = apr_strtok(apr_pstrdup(pool, addresses), " ", &last); one != NULL;
         one = apr_strtok(NULL, " ", &last)) {
        fg_country_t country;
        fg_address_t client;

        assert_int_equal(fg_address_parse(&client, one), APR_SUCCESS);
        assert_int_equal(fg_country_lookup(db, &client, now, &country), APR_SUCCESS);
        if (strcmp(country.code, want) != 0 || country.in_eu != (*want != '\0')) {
            fail_msg("%s is in '%s', in_eu %d", one, country.code, country.in_eu);
        }
    }
}

static void test_private_addresses(void **state)
{
    assert_everywhere(*state,
                      "0.0.0.0 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 "
                      "127.255.0.1 169.254.1.1 172.16.0.1 172.31.255.255 192.168.255.1 :: ::1 "
                      "fc00::1 fdff::1 fe80::1 febf::1 ::ffff:10.0.0.1 ::ffff:100.64.0.1",
                      "");
    assert_everywhere(*state,
                      "9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 169.253.0.1 172.15.0.1 "
                      "172.32.0.1 192.167.0.1 fe00::1 2001:db8::1 ::ffff:11.0.0.1",
                      "DE");
}

static void test_no_address(void **state)
{
    fg_country_db_t *db = open_db(in_folder("flat"), *state);
    fg_address_t none = {0};
    fg_time_t now = {0, 0};
    fg_country_t country = fg_country_of("DE");

    assert_int_equal(fg_country_lookup(db, &none, now, &country), APR_SUCCESS);
    assert_string_equal(country.code, "");
    assert_false(country.in_eu);
}

static void test_tree_without_ipv6(void **state)
{
    fg_country_db_t *db = open_db(in_folder("v4"), *state);

    assert_country(db, "192.0.2.1", 0, "JP");
    assert_country(db, "2001:db8:1::5", 0, "");
    assert_logged(0, 0);
}

/* The four senders of one real flood, in a real database. */
static void test_real_database(void **state)
{
    static const char *const senders[] = {"182.16.27.106", "182.16.59.138", "52.128.227.34",
                                          "52.128.230.42"};
    const char *dir = getenv("FG_TEST_GEODB_DIR");
    fg_country_db_t *db;
    size_t i;

    if (!dir) {
        fail_msg("FG_TEST_GEODB_DIR names no folder with iptoasn-country.mmdb");
    }
    db = open_db(apr_pstrcat(global, dir, "/iptoasn-country.mmdb", NULL), *state);
    for (i = 0; i < 4; i++) {
        assert_country(db, senders[i], 0, "HK");
    }
    assert_country(db, "127.0.0.1", 0, "");
    assert_country(db, "2001:200::1", 0, "JP");
}

static apr_status_t open_fails(const char *name, const char *want, apr_pool_t *pool)
{
    fg_country_db_t *db;
    const char *error = NULL;
    apr_status_t rv = fg_country_open(&db, in_folder(name), &test_log, pool, &error);

    fg_country_code_t code;
    fg_country_info_t info;

    assert_int_not_equal(rv, APR_SUCCESS);
    assert_non_null(db); /* open, without countries */
    assert_int_equal(lookup(db, "192.0.2.1", 0, code), APR_EGENERAL);
    assert_string_equal(code, "");
    fg_country_info(db, &info, pool);
    assert_int_equal(info.built, 0);
    assert_non_null(error);
    if (!strstr(error, want)) {
        fail_msg("%s: error is `%s`, not `%s`", name, error, want);
    }
    return rv;
}

static void test_open_fails(void **state)
{
    size_t len;
    char *data = slurp(in_folder("flat"), &len);

    spill(in_folder("short"), data, len / 2);
    spill(in_folder("empty"), "", 0);
    spill(in_folder("text"), "no database\n", 12);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_true(APR_STATUS_IS_ENOENT(open_fails("missing", "can't be read", *state)));
    assert_int_equal(open_fails("tmp", "no regular file", *state), APR_EGENERAL);
    assert_int_equal(open_fails("fifo", "no regular file", *state), APR_EGENERAL);
    assert_int_equal(open_fails("empty", "empty", *state), APR_EGENERAL);
    assert_int_equal(open_fails("text", "no MMDB file", *state), APR_EGENERAL);
    assert_int_equal(open_fails("short", "no MMDB file", *state), APR_EGENERAL);
    assert_int_equal(open_fails("asn", "no countries", *state), APR_EGENERAL);
    assert_logged(0, 0);
}

static void test_leaves_no_temporary_file(void **state)
{
    DIR *dir;
    struct dirent *entry;

    open_db(in_folder("flat"), *state);
    open_fails("asn", "", *state);
    dir = opendir(in_folder("tmp"));
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        assert_true(!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."));
    }
    closedir(dir);
}

static void test_reload_after_rename(void **state)
{
    const char *path = working_copy("jp");
    fg_country_db_t *db = open_db(path, *state);

    assert_country(db, "192.0.2.1", 100 * SEC, "JP");
    replace(path, "hk");
    assert_country(db, "192.0.2.1", 100 * SEC + SEC / 2, "JP"); /* not looked at yet */
    assert_logged(0, 0);
    assert_country(db, "192.0.2.1", 101 * SEC, "HK");
    assert_logged(0, 1);
    assert_country(db, "192.0.2.1", 200 * SEC, "HK");
    assert_logged(0, 0);
}

/* Written in place: loaded once two looks in a row see the same. */
static void test_reload_after_overwrite(void **state)
{
    const char *path = working_copy("jp");
    fg_country_db_t *db = open_db(path, *state);
    size_t len;
    char *data = slurp(in_folder("hk"), &len);

    spill(path, data, len / 2); /* whoever writes is half way */
    assert_country(db, "192.0.2.1", 1 * SEC, "JP");
    spill(path, data, len);
    assert_country(db, "192.0.2.1", 2 * SEC, "JP");
    assert_country(db, "192.0.2.1", 3 * SEC, "HK");
    assert_logged(0, 1);
}

static void test_damaged_file_is_said_once(void **state)
{
    const char *path = working_copy("jp");
    fg_country_db_t *db = open_db(path, *state);
    fg_country_info_t info;
    int i;

    replace(path, "asn");
    for (i = 1; i < 10; i++) {
        assert_country(db, "192.0.2.1", i * SEC, "JP");
    }
    assert_logged(1, 0);
    assert_non_null(strstr(last_line, path));
    fg_country_info(db, &info, *state);
    assert_string_equal(info.type, "Test-Flat-Country");
    overwrite(path, "text");
    for (; i < 20; i++) {
        assert_country(db, "192.0.2.1", i * SEC, "JP");
    }
    assert_logged(0, 0); /* it still can't be used */
    replace(path, "hk");
    assert_country(db, "192.0.2.1", i * SEC, "HK");
    assert_logged(0, 1);
    replace(path, "asn");
    assert_country(db, "192.0.2.1", (i + 1) * SEC, "HK");
    assert_logged(1, 0);
}

static void test_missing_file_is_said_once(void **state)
{
    const char *path = working_copy("jp");
    const char *aside = apr_pstrcat(global, path, ".aside", NULL);
    fg_country_db_t *db = open_db(path, *state);
    int i;

    assert_int_equal(unlink(path), 0);
    for (i = 1; i < 10; i++) {
        assert_country(db, "192.0.2.1", i * SEC, "JP");
    }
    assert_logged(1, 0);
    replace(path, "hk");
    assert_country(db, "192.0.2.1", i++ * SEC, "HK");
    assert_logged(0, 1);

    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_country(db, "192.0.2.1", i++ * SEC, "HK");
    assert_country(db, "192.0.2.1", i++ * SEC, "HK");
    assert_logged(1, 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_country(db, "192.0.2.1", i++ * SEC, "HK");
    assert_logged(0, 1);
    assert_country(db, "192.0.2.1", i++ * SEC, "HK");
    assert_logged(0, 0);
}

static void test_file_that_comes_later(void **state)
{
    const char *path = in_folder("later.mmdb");
    const char *error = NULL;
    fg_country_db_t *db;
    fg_country_code_t code;
    int i;

    unlink(path);
    assert_true(APR_STATUS_IS_ENOENT(fg_country_open(&db, path, &test_log, *state, &error)));
    for (i = 1; i < 5; i++) {
        assert_int_equal(lookup(db, "192.0.2.1", i * SEC, code), APR_EGENERAL);
    }
    assert_logged(0, 0); /* who opened it was told */
    replace(path, "hk");
    assert_country(db, "192.0.2.1", i++ * SEC, "HK");
    assert_logged(0, 1);
}

/* A record that points behind the data: it opens, and some addresses can't be looked up. */
static void test_damage_met_in_a_lookup(void **state)
{
    const char *path = working_copy("maxmind");
    size_t len, nodes = 0, at;
    char *data = slurp(path, &len);
    fg_country_db_t *db;
    fg_country_code_t code;
    int i;

    for (at = 0; at + 16 < len; at++) { /* the tree ends where 16 NULs separate it from the data */
        if (at % 6 == 0 && !memcmp(data + at, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)) {
            nodes = at / 6;
            break;
        }
    }
    assert_true(nodes > 0);
    memset(data + (nodes - 1) * 6, 0xff, 6);
    spill(path, data, len);
    db = open_db(path, *state);
    for (i = 0; i < 3; i++) {
        assert_int_equal(lookup(db, "2001:db8:1::5", 0, code), APR_EGENERAL);
        assert_string_equal(code, "");
        assert_country(db, "192.0.2.1", 0, "JP");
    }
    assert_logged(1, 0);
}

/* Threads that look up while the file is changed under them. */
#define THREADS 4
static fg_country_db_t *shared_db;
static _Atomic apr_time_t shared_now;
static atomic_int stop, wrong;
static atomic_long lookups;

static void *look_up(void *data)
{
    fg_address_t a = address("192.0.2.77");
    fg_country_t country;

    (void)data;
    while (!stop) {
        fg_time_t now = {.steady = shared_now, .wall = 0};
        apr_status_t rv = fg_country_lookup(shared_db, &a, now, &country);
        if (rv != APR_SUCCESS || (strcmp(country.code, "JP") && strcmp(country.code, "HK"))) {
            wrong++;
        }
        lookups++;
    }
    return NULL;
}

/* Let every thread see the next second. */
static void next_second(void)
{
    long until = lookups + 20 * THREADS;

    shared_now += SEC;
    while (lookups < until) {
        usleep(200);
    }
}

static void with_threads(fg_country_db_t *db, void (*change)(const char *path), const char *path)
{
    pthread_t threads[THREADS];
    int i;

    shared_db = db;
    shared_now = 0;
    stop = wrong = 0;
    lookups = 0;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, look_up, NULL), 0);
    }
    change(path);
    stop = 1;
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(wrong, 0);
}

static void rename_often(const char *path)
{
    int i;

    for (i = 0; i < 40; i++) {
        replace(path, i % 2 ? "jp" : "hk");
        next_second();
    }
}

static void test_reload_under_threads(void **state)
{
    const char *path = working_copy("jp");
    fg_country_db_t *db = open_db(path, *state);

    with_threads(db, rename_often, path);
    replace(path, "hk");
    assert_country(db, "192.0.2.1", 1000 * SEC, "HK");
    assert_int_equal(warnings, 0);
    assert_true(notices > 1);
}

static void truncate_often(const char *path)
{
    int i;

    for (i = 0; i < 15; i++) {
        assert_int_equal(truncate(path, 0), 0); /* a map of the file itself would be SIGBUS now */
        next_second();
        overwrite(path, i % 2 ? "text" : "asn");
        next_second();
        overwrite(path, i % 2 ? "jp" : "hk");
        next_second();
        next_second();
    }
}

static void test_truncated_under_threads(void **state)
{
    const char *path = working_copy("jp");
    fg_country_db_t *db = open_db(path, *state);

    with_threads(db, truncate_often, path);
    overwrite(path, "jp");
    lookup(db, "192.0.2.1", 1000 * SEC, (fg_country_code_t){0});
    assert_country(db, "192.0.2.1", 1001 * SEC, "JP");
}

static void test_reload_in_forked_process(void **state)
{
    const char *path = working_copy("jp");
    fg_country_db_t *db = open_db(path, *state);
    fg_country_code_t code = "";
    int status;
    pid_t pid;

    replace(path, "hk");
    pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        apr_status_t rv = lookup(db, "192.0.2.1", SEC, code);
        _exit(rv == APR_SUCCESS && !strcmp(code, "HK") ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_country(db, "192.0.2.1", SEC, "HK");
}

static int make_files(void **state)
{
    char template[] = "/tmp/test_country.XXXXXX";

    (void)state;
    folder = apr_pstrdup(global, mkdtemp(template));
    assert_int_equal(mkdir(in_folder("tmp"), 0700), 0);
    setenv("TMPDIR", in_folder("tmp"), 1);
    make("", "maxmind",
         "192.0.2.0/24=JP 198.51.100.0/24=DE 203.0.113.0/24=-/US 2001:db8:1::/48=HK");
    make("--flat", "flat",
         "192.0.2.0/24=JP 198.51.100.0/24=de 203.0.113.0/24=ZZ 2001:db8:1::/48=HK");
    make("", "eu",
         "192.0.2.0/26=JP 192.0.2.64/26=DE 192.0.2.128/26=FR/eu? 192.0.2.192/26=CH/eu=1 "
         "198.51.100.0/24=DE/eu=0 203.0.113.0/25=-/UA/eu=1 203.0.113.128/25=-/IE/eu=0");
    make("", "everywhere", "0.0.0.0/1=DE 128.0.0.0/1=DE 1000::/4=DE 2000::/3=DE 8000::/1=DE");
    make("--v4 --flat", "v4", "192.0.2.0/24=JP 198.51.100.0/24=DE");
    make("--asn", "asn", "192.0.2.0/24=JP");
    make("--flat --padding 2000", "jp", "192.0.2.0/24=JP");
    make("--padding 1000", "hk", "192.0.2.0/24=HK");
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    return system(apr_psprintf(global, "rm -rf '%s'", folder)) != 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_maxmind_schema),
        TEST(test_flat_schema),
        TEST(test_european_union_of_maxmind_schema),
        TEST(test_european_union_of_flat_schema),
        TEST(test_private_addresses),
        TEST(test_no_address),
        TEST(test_tree_without_ipv6),
        TEST(test_real_database),
        TEST(test_open_fails),
        TEST(test_leaves_no_temporary_file),
        TEST(test_reload_after_rename),
        TEST(test_reload_after_overwrite),
        TEST(test_damaged_file_is_said_once),
        TEST(test_missing_file_is_said_once),
        TEST(test_file_that_comes_later),
        TEST(test_damage_met_in_a_lookup),
        TEST(test_reload_under_threads),
        TEST(test_truncated_under_threads),
        TEST(test_reload_in_forked_process),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&global, NULL);
    failed = cmocka_run_group_tests(tests, make_files, remove_files);
    apr_pool_destroy(global);
    apr_terminate();
    return failed;
}
