/* SPDX-License-Identifier: Apache-2.0 */
#include "country.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <maxminddb.h>

/* How often the file is looked at, and how soon again after a fault of ours (a full disk). */
#define CHECK_EVERY apr_time_from_sec(1)
#define RETRY_AFTER apr_time_from_sec(10)

#define COPY_CHUNK 65536
#define REASON_MAX 256

/* How much of a database is searched for a country before it is taken for one without. */
#define PROBE_NODES   200000
#define PROBE_RECORDS 4096

/* An open copy. On the heap, because it is made and freed in whichever thread gets to it. */
typedef struct map {
    MMDB_s mmdb;
    int users;              /* under the database's lock; `current` is one of them */
    atomic_flag complained; /* of damage */
} map_t;

/* What tells one state of a file from another. */
typedef struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
    struct timespec ctime;
} stamp_t;

typedef enum state { STATE_GOOD, STATE_MISSING, STATE_UNUSABLE } state_t;

struct fg_country_db {
    const char *path;
    const char *temp_dir;
    fg_log_t log;
    apr_thread_mutex_t *lock; /* of `current` and its users; never held over I/O */
    map_t *current;
    _Atomic(apr_time_t) next_check;
    atomic_flag checking; /* whoever sets it owns what follows */
    stamp_t loaded;       /* the file `current` was made from */
    stamp_t seen;         /* the file at the last look */
    stamp_t refused;      /* a file that can't be used: not tried again, */
    apr_time_t until;     /* before this */
    state_t state;
};

static void stamp_take(stamp_t *stamp, const struct stat *st)
{
    memset(stamp, 0, sizeof *stamp);
    stamp->dev = st->st_dev;
    stamp->ino = st->st_ino;
    stamp->size = st->st_size;
    stamp->mtime = st->st_mtim;
    stamp->ctime = st->st_ctim;
}

static int time_equal(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static int same_file(const stamp_t *a, const stamp_t *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

static int stamp_equal(const stamp_t *a, const stamp_t *b)
{
    return same_file(a, b) && a->size == b->size && time_equal(&a->mtime, &b->mtime) &&
           time_equal(&a->ctime, &b->ctime);
}

static void map_free(map_t *map)
{
    MMDB_close(&map->mmdb);
    free(map);
}

/* @return NULL while no usable file was ever there */
static map_t *map_grab(fg_country_db_t *db)
{
    map_t *map;

    apr_thread_mutex_lock(db->lock);
    map = db->current;
    if (map) {
        map->users++;
    }
    apr_thread_mutex_unlock(db->lock);
    return map;
}

static void map_release(fg_country_db_t *db, map_t *map)
{
    int last;

    apr_thread_mutex_lock(db->lock);
    last = !--map->users;
    apr_thread_mutex_unlock(db->lock);
    if (last) {
        map_free(map);
    }
}

/* Look under `path`; `code` stays empty if there is none. Returns a status of libmaxminddb. */
static int code_at(MMDB_entry_s *entry, const char *const *path, fg_country_code_t code)
{
    MMDB_entry_data_s data;
    int rc = MMDB_aget_value(entry, &data, path);

    code[0] = '\0';
    if (rc == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR) {
        return MMDB_SUCCESS;
    }
    if (rc != MMDB_SUCCESS || !data.has_data || data.type != MMDB_DATA_TYPE_UTF8_STRING ||
        data.data_size != 2 || !apr_isalpha(data.utf8_string[0]) ||
        !apr_isalpha(data.utf8_string[1])) {
        return rc;
    }
    code[0] = (char)apr_toupper(data.utf8_string[0]);
    code[1] = (char)apr_toupper(data.utf8_string[1]);
    code[2] = '\0';
    if (!strcmp(code, "ZZ")) { /* how some spell unknown */
        code[0] = '\0';
    }
    return rc;
}

/* The boolean under `path` into `flag`, which stays as it is without one. Returns a status of
 * libmaxminddb. */
static int flag_at(MMDB_entry_s *entry, const char *const *path, int *flag)
{
    MMDB_entry_data_s data;
    int rc = MMDB_aget_value(entry, &data, path);

    if (rc == MMDB_SUCCESS && data.has_data && data.type == MMDB_DATA_TYPE_BOOLEAN) {
        *flag = data.boolean;
    }
    return rc == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR ? MMDB_SUCCESS : rc;
}

/* The country of a record, wherever its schema puts it. Returns a status of libmaxminddb. */
static int country_of(MMDB_entry_s *entry, fg_country_t *out)
{
    static const char *const country[] = {"country", "iso_code", NULL};
    static const char *const country_eu[] = {"country", "is_in_european_union", NULL};
    static const char *const registered[] = {"registered_country", "iso_code", NULL};
    static const char *const registered_eu[] = {"registered_country", "is_in_european_union", NULL};
    static const char *const flat[] = {"country_code", NULL};
    static const char *const flat_eu[] = {"is_in_european_union", NULL};
    static const struct {
        const char *const *code;
        const char *const *eu;
    } schemas[] = {{country, country_eu}, {registered, registered_eu}, {flat, flat_eu}};
    fg_country_code_t code;
    apr_size_t i;

    for (i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        int rc = code_at(entry, schemas[i].code, code);
        if (rc != MMDB_SUCCESS) {
            return rc;
        }
        if (code[0]) {
            *out = fg_country_of(code);
            return flag_at(entry, schemas[i].eu, &out->in_eu);
        }
    }
    return MMDB_SUCCESS;
}

static int is_country(MMDB_entry_s *entry)
{
    fg_country_t country = fg_country_of("");

    return country_of(entry, &country) == MMDB_SUCCESS && country.code[0];
}

/* What is wrong with the first nodes, which every lookup goes through, or that none of the first
 * records holds a country; NULL: nothing. */
static const char *fault_of(MMDB_s *mmdb)
{
    static const char none[] = "it holds no countries", damaged[] = "its search tree is damaged";
    apr_uint32_t node, records = 0;

    for (node = 0; node < mmdb->metadata.node_count && node < PROBE_NODES; node++) {
        MMDB_search_node_s found;
        if (MMDB_read_node(mmdb, node, &found) != MMDB_SUCCESS ||
            found.left_record_type == MMDB_RECORD_TYPE_INVALID ||
            found.right_record_type == MMDB_RECORD_TYPE_INVALID) {
            return damaged;
        }
        if (found.left_record_type == MMDB_RECORD_TYPE_DATA) {
            if (is_country(&found.left_record_entry)) {
                return NULL;
            }
            records++;
        }
        if (found.right_record_type == MMDB_RECORD_TYPE_DATA) {
            if (is_country(&found.right_record_entry)) {
                return NULL;
            }
            records++;
        }
        if (records >= PROBE_RECORDS) {
            break;
        }
    }
    return none;
}

static apr_status_t copy_bytes(int from, int to)
{
    char *chunk = malloc(COPY_CHUNK);
    apr_status_t rv = chunk ? APR_SUCCESS : APR_ENOMEM;

    while (rv == APR_SUCCESS) {
        ssize_t done = 0, got = read(from, chunk, COPY_CHUNK);
        if (got <= 0) {
            if (got < 0 && errno == EINTR) {
                continue;
            }
            rv = got < 0 ? errno : APR_SUCCESS;
            break;
        }
        while (done < got && rv == APR_SUCCESS) {
            ssize_t put = write(to, chunk + done, (size_t)(got - done));
            if (put >= 0) {
                done += put;
            }
            else if (errno != EINTR) {
                rv = errno;
            }
        }
    }
    free(chunk);
    return rv;
}

/* Open the temporary copy `name`. APR_EGENERAL if its content is at fault. */
static apr_status_t map_open(map_t **out, const char *name, char reason[REASON_MAX])
{
    map_t *map = calloc(1, sizeof *map);
    const char *fault;
    int rc;

    if (!map) {
        return APR_ENOMEM;
    }
    rc = MMDB_open(name, MMDB_MODE_MMAP, &map->mmdb);
    if (rc != MMDB_SUCCESS) {
        apr_status_t rv = rc == MMDB_OUT_OF_MEMORY_ERROR ? APR_ENOMEM : APR_EGENERAL;
        if ((rc == MMDB_FILE_OPEN_ERROR || rc == MMDB_IO_ERROR) && errno) {
            rv = errno;
        }
        apr_snprintf(reason, REASON_MAX, "it is no MMDB file (%s)", MMDB_strerror(rc));
        free(map);
        return rv;
    }
    fault = fault_of(&map->mmdb);
    if (fault) {
        apr_cpystrn(reason, fault, REASON_MAX);
        map_free(map);
        return APR_EGENERAL;
    }
    atomic_flag_clear(&map->complained);
    map->users = 1;
    *out = map;
    return APR_SUCCESS;
}

/* Copy what `from` reads to an unlinked temporary file and map that: nobody can truncate it under
 * our feet, which would be SIGBUS. */
static apr_status_t map_copy(map_t **out, int from, const char *temp_dir, char reason[REASON_MAX])
{
    char name[APR_PATH_MAX];
    apr_status_t rv;
    int to;

    if (apr_snprintf(name, sizeof name, "%s/formguard.XXXXXX", temp_dir) >= (int)sizeof name - 1) {
        return APR_ENAMETOOLONG;
    }
    to = mkostemp(name, O_CLOEXEC);
    if (to < 0) {
        return errno;
    }
    rv = copy_bytes(from, to);
    if (close(to) && rv == APR_SUCCESS) {
        rv = errno;
    }
    if (rv == APR_SUCCESS) {
        reason[0] = '\0';
        rv = map_open(out, name, reason);
    }
    unlink(name);
    return rv;
}

/* Load the file. APR_EAGAIN if it changed while it was read, APR_EGENERAL with `reason` if it is
 * not what it should be; `stamp` says which state of the file was met in any case but for
 * APR_ENOENT and the like. */
static apr_status_t load(map_t **out, const fg_country_db_t *db, stamp_t *stamp,
                         char reason[REASON_MAX])
{
    stamp_t after;
    struct stat st;
    apr_status_t rv;
    int fd = open(db->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */

    *out = NULL;
    apr_cpystrn(reason, "it can't be read", REASON_MAX);
    if (fd < 0) {
        return errno;
    }
    if (fstat(fd, &st)) {
        rv = errno;
        close(fd);
        return rv;
    }
    stamp_take(stamp, &st);
    if (!S_ISREG(st.st_mode)) {
        apr_cpystrn(reason, "it is no regular file", REASON_MAX);
        close(fd);
        return APR_EGENERAL;
    }
    if (!st.st_size) { /* which mmap() does not take */
        apr_cpystrn(reason, "it is empty", REASON_MAX);
        close(fd);
        return APR_EGENERAL;
    }
    apr_cpystrn(reason, "it can't be copied to a temporary file", REASON_MAX);
    rv = map_copy(out, fd, db->temp_dir, reason);
    if (fstat(fd, &st) == 0) {
        stamp_take(&after, &st);
        /* a rename over it, or its removal, changes ctime only: the bytes are the same */
        if (after.size != stamp->size || !time_equal(&after.mtime, &stamp->mtime)) {
            if (*out) {
                map_free(*out);
                *out = NULL;
            }
            apr_cpystrn(reason, "it is being written", REASON_MAX);
            rv = APR_EAGAIN;
        }
    }
    close(fd);
    return rv;
}

static void enter_state(fg_country_db_t *db, state_t state, apr_status_t rv, const char *reason)
{
    if (db->state != state) {
        db->state = state;
        fg_log(&db->log, FG_LOG_WARN, rv == APR_EGENERAL ? APR_SUCCESS : rv,
               "FG2102: the country database %s can't be used: %s; %s", db->path, reason,
               db->current ? "the one loaded before stays" : "no country is known");
    }
}

static void install(fg_country_db_t *db, map_t *map, const stamp_t *stamp)
{
    map_t *old;
    char built[APR_RFC822_DATE_LEN];

    apr_rfc822_date(built, apr_time_from_sec((apr_time_t)map->mmdb.metadata.build_epoch));
    apr_thread_mutex_lock(db->lock);
    old = db->current;
    db->current = map;
    apr_thread_mutex_unlock(db->lock);
    if (old) {
        map_release(db, old);
    }
    db->loaded = *stamp;
    db->state = STATE_GOOD;
    fg_log(&db->log, FG_LOG_NOTICE, APR_SUCCESS,
           "FG2101: the country database %s is loaded, built %s", db->path, built);
}

/* Look at the file and load it if it is another. One thread at a time. */
static void check_file(fg_country_db_t *db, apr_time_t now)
{
    struct stat st;
    stamp_t stamp;
    map_t *map = NULL;
    char reason[REASON_MAX];
    apr_status_t rv;
    int in_place;

    if (stat(db->path, &st)) {
        enter_state(db, STATE_MISSING, errno,
                    errno == ENOENT || errno == ENOTDIR ? "it is not there"
                                                        : "it can't be looked at");
        memset(&db->seen, 0, sizeof db->seen); /* the next one may get the same inode */
        return;
    }
    stamp_take(&stamp, &st);
    if (stamp_equal(&stamp, &db->loaded)) {
        if (db->state != STATE_GOOD) {
            db->state = STATE_GOOD;
            fg_log(&db->log, FG_LOG_NOTICE, APR_SUCCESS,
                   "FG2101: the country database %s is back as it was", db->path);
        }
        db->seen = stamp;
        return;
    }
    /* Somebody may still be writing into it: wait until two looks in a row see the same. A file
     * renamed to this place is whole. */
    in_place = same_file(&stamp, &db->seen) && !stamp_equal(&stamp, &db->seen);
    db->seen = stamp;
    if (in_place || (now < db->until && stamp_equal(&stamp, &db->refused))) {
        return;
    }
    rv = load(&map, db, &stamp, reason);
    if (rv == APR_SUCCESS && map != NULL) {
        db->seen = stamp;
        install(db, map, &stamp);
    }
    else if (rv != APR_EAGAIN) {
        db->refused = stamp;
        db->until = rv == APR_EGENERAL ? APR_INT64_MAX : now + RETRY_AFTER;
        enter_state(db, STATE_UNUSABLE, rv, reason);
    }
}

static void check_if_due(fg_country_db_t *db, apr_time_t now)
{
    apr_time_t due = atomic_load_explicit(&db->next_check, memory_order_relaxed);

    if (now < due || atomic_flag_test_and_set_explicit(&db->checking, memory_order_acquire)) {
        return;
    }
    /* again: another thread may have been here since */
    if (now >= atomic_load_explicit(&db->next_check, memory_order_relaxed)) {
        atomic_store_explicit(&db->next_check, now + CHECK_EVERY, memory_order_relaxed);
        check_file(db, now);
    }
    atomic_flag_clear_explicit(&db->checking, memory_order_release);
}

static apr_status_t db_close(void *data)
{
    fg_country_db_t *db = data;

    if (db->current) {
        map_release(db, db->current);
    }
    return APR_SUCCESS;
}

/* The first load. What is wrong with the file is told by the caller; the next look tries again. */
static apr_status_t load_first(fg_country_db_t *db, char reason[REASON_MAX])
{
    stamp_t stamp;
    apr_status_t rv;
    int tries = 3;

    memset(&stamp, 0, sizeof stamp);
    do {
        rv = load(&db->current, db, &stamp, reason);
    } while (rv == APR_EAGAIN && --tries);
    if (rv == APR_SUCCESS) {
        db->loaded = stamp;
        db->seen = stamp;
    }
    else {
        db->state = APR_STATUS_IS_ENOENT(rv) ? STATE_MISSING : STATE_UNUSABLE;
        if (rv == APR_EGENERAL) {
            db->refused = stamp;
            db->until = APR_INT64_MAX;
        }
    }
    return rv;
}

apr_status_t fg_country_open(fg_country_db_t **out, const char *path, const fg_log_t *log,
                             apr_pool_t *pool, const char **error)
{
    fg_country_db_t *db = apr_pcalloc(pool, sizeof *db);
    char reason[REASON_MAX] = "there is no folder for temporary files";
    apr_status_t rv;

    *out = NULL;
    *error = NULL;
    db->path = apr_pstrdup(pool, path);
    if (log) {
        db->log = *log;
    }
    atomic_flag_clear(&db->checking);
    rv = apr_temp_dir_get(&db->temp_dir, pool);
    if (rv == APR_SUCCESS) {
        rv = apr_thread_mutex_create(&db->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    }
    if (rv == APR_SUCCESS) {
        apr_pool_cleanup_register(pool, db, db_close, apr_pool_cleanup_null);
        *out = db;
        rv = load_first(db, reason);
    }
    if (rv != APR_SUCCESS) {
        char text[128];
        *error = rv == APR_EGENERAL
                     ? apr_pstrdup(pool, reason)
                     : apr_pstrcat(pool, reason, ": ", apr_strerror(rv, text, sizeof text), NULL);
    }
    return rv;
}

apr_status_t fg_country_lookup(fg_country_db_t *db, const fg_address_t *address, fg_time_t now,
                               fg_country_t *country)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa;
    MMDB_lookup_result_s found;
    int rc = MMDB_SUCCESS;
    map_t *map;

    *country = fg_country_of("");
    memset(&sa, 0, sizeof sa);
    if (address->family == 4) {
        sa.v4.sin_family = AF_INET;
        memcpy(&sa.v4.sin_addr, address->bytes, 4);
    }
    else if (address->family == 6) {
        sa.v6.sin6_family = AF_INET6;
        memcpy(&sa.v6.sin6_addr, address->bytes, 16);
    }
    else {
        return APR_SUCCESS;
    }
    check_if_due(db, now.steady);
    map = map_grab(db);
    if (!map) {
        return APR_EGENERAL;
    }
    if (fg_address_is_private(address)) {
        /* Whatever the file says: an entry for 10/8 would be a country for somebody's own network,
         * and the addresses providers share (RFC 6598) mean another network behind each. */
        map_release(db, map);
        return APR_SUCCESS;
    }
    found = MMDB_lookup_sockaddr(&map->mmdb, &sa.any, &rc);
    if (rc == MMDB_SUCCESS && found.found_entry) {
        rc = country_of(&found.entry, country);
    }
    else if (rc == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR) {
        rc = MMDB_SUCCESS; /* one that knows no IPv6 */
    }
    if (rc != MMDB_SUCCESS && !atomic_flag_test_and_set(&map->complained)) {
        fg_log(&db->log, FG_LOG_WARN, APR_SUCCESS, "FG2102: the country database %s is damaged: %s",
               db->path, MMDB_strerror(rc));
    }
    map_release(db, map);
    return rc == MMDB_SUCCESS ? APR_SUCCESS : APR_EGENERAL;
}

void fg_country_info(fg_country_db_t *db, fg_country_info_t *info, apr_pool_t *pool)
{
    map_t *map = map_grab(db);

    info->built = 0;
    info->type = "";
    if (map) {
        info->built = apr_time_from_sec((apr_time_t)map->mmdb.metadata.build_epoch);
        info->type = apr_pstrdup(pool, map->mmdb.metadata.database_type);
        map_release(db, map);
    }
}
