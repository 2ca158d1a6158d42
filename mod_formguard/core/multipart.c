/* SPDX-License-Identifier: Apache-2.0 */
#include "body_internal.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_cstr.h>

/*
 * multipart/form-data as main/rfc1867.c of PHP 8.2 reads it. PHP has two ways through a part: data
 * it keeps ends at LF "--boundary", data it skips is read by lines of at most 5120 bytes; and a
 * line that is "--boundary" starts the next part even in what other readers call the epilogue.
 * Where the two could differ, or differ from RFC 2046, the body is malformed: "--boundary" may only
 * stand where it delimits. An honest client picks a boundary that is nowhere in the data.
 */

#define HEADERS_MAX 4096 /* of one part; less than PHP's longest line */
#define FILES_MAX   1000 /* PHP's max_file_uploads is 20 */
#define WINDOW      8192 /* more than HEADERS_MAX and a delimiter */

enum state {
    PREAMBLE,
    DELIMITER, /* behind "--boundary" */
    HEADERS,
    DATA,
    EPILOGUE
};

enum header { NO_HEADER, OTHER_HEADER, DISPOSITION };

typedef struct multipart {
    enum state state;
    char needle[FG_BOUNDARY_MAX + 3]; /* "--boundary" */
    apr_size_t needle_len;

    int fresh; /* nothing before `at` belongs to this preamble or this data */
    int is_file;
    apr_size_t headers_len;
    enum header header; /* the one a folded line would go on */
    int has_disposition;
    char disposition[HEADERS_MAX + 1];
    apr_size_t disposition_len;

    apr_off_t part; /* where in the body the delimiter of the part under way starts */

    unsigned int nfiles;
    apr_off_t base;     /* of the window in the body */
    apr_size_t at, end; /* of what is unread in the window */
    /* Not cleared at the start: */
    uint64_t files[FILES_MAX]; /* hashes of the files' names */
    char window[WINDOW];
} multipart_t;

static const char *find_needle(const multipart_t *m, const char *from, const char *end)
{
    return memmem(from, (apr_size_t)(end - from), m->needle, m->needle_len);
}

/* What may be the start of a delimiter, or of the line end before one. */
static apr_size_t held_back(const multipart_t *m)
{
    return m->needle_len + 1;
}

static void data_add(fg_body_t *body, const multipart_t *m, const char *data, apr_size_t len)
{
    if (m->is_file) {
        body->total_len += len;
    }
    else if (!body->unasked) {
        fg_body_value_add(body, data, len);
    }
}

static uint64_t hash_more(uint64_t hash, const char *data, apr_size_t len)
{
    while (len--) {
        hash = (hash ^ (unsigned char)*data++) * UINT64_C(0x100000001b3);
    }
    return hash;
}

#define HASH_START UINT64_C(0xcbf29ce484222325)

static int is_file_name(const multipart_t *m, uint64_t hash)
{
    unsigned int i;

    for (i = 0; i < m->nfiles; i++) {
        if (m->files[i] == hash) {
            return 1;
        }
    }
    return 0;
}

/*
 * Behind a file `a[b]` PHP keeps fields `a[b]` and `a[tmp_name][b]` out of $_POST, but not out of
 * what filter_input() returns.
 */
static int is_protected(const multipart_t *m, const char *name, apr_size_t len)
{
    static const char tmp[] = "[tmp_name]";
    const char *bracket = memchr(name, '[', len);
    apr_size_t base = bracket ? (apr_size_t)(bracket - name) : len;
    uint64_t hash = hash_more(HASH_START, name, base);

    if (is_file_name(m, hash_more(hash, name + base, len - base))) {
        return 1;
    }
    if (len - base < sizeof(tmp) - 1 || memcmp(bracket, tmp, sizeof(tmp) - 1) != 0) {
        return 0;
    }
    base += sizeof(tmp) - 1;
    return is_file_name(m, hash_more(hash, name + base, len - base));
}

/* PHP skips a file, and all later ones, whose brackets are not `a[b][c]`. */
static int has_odd_brackets(const char *name, apr_size_t len)
{
    apr_size_t i;
    int open = 0;

    for (i = 0; i < len; i++) {
        if (name[i] == '[') {
            open++;
        }
        else if (name[i] == ']') {
            open--;
            if (open < 0 || (i + 1 < len && name[i + 1] != '[')) {
                return 1;
            }
        }
    }
    return open != 0;
}

/* $_POST has `a[ b]` as `a[b]`, filter_input() as `a[ b]`. */
static int has_padded_key(const char *name, apr_size_t len)
{
    const char *end = name + len;

    while ((name = memchr(name, '[', end - name)) != NULL) {
        if (++name < end && fg_is_space(*name)) {
            return 1;
        }
    }
    return 0;
}

/* The current name is known: judge it, and turn it into what PHP calls it; "" if PHP drops it. */
static fg_body_status_t name_part(fg_body_t *body, multipart_t *m)
{
    fg_php_name_t judged;
    unsigned int levels;
    fg_body_status_t status = fg_body_count(body);

    if (status != FG_BODY_OK) {
        return status;
    }
    if (has_padded_key(body->name, body->name_len) ||
        (m->is_file && has_odd_brackets(body->name, body->name_len))) {
        return FG_BODY_MALFORMED;
    }
    judged =
        fg_body_php_name_judge(body->name, &body->name_len, &levels, body->name, body->name_len);
    if (judged == FG_PHP_NAME_DESTRUCTIVE) {
        return FG_BODY_MALFORMED;
    }
    if (!m->is_file) {
        return is_protected(m, body->name, body->name_len) ? FG_BODY_MALFORMED : FG_BODY_OK;
    }
    /* $_FILES has one level more: a[error][b]. */
    if (levels == FG_PHP_NESTING_MAX) {
        return FG_BODY_MALFORMED;
    }
    if (m->nfiles == FILES_MAX) {
        return FG_BODY_TOO_MANY;
    }
    m->files[m->nfiles++] = hash_more(HASH_START, body->name, body->name_len);
    return FG_BODY_OK;
}

/* Cut off the next word of *line at `stop`, which quotes hide. */
static char *next_word(char **line, char stop)
{
    char *word = *line, *p = word;

    while (*p && *p != stop) {
        char quote = *p++;

        if (quote != '"' && quote != '\'') {
            continue;
        }
        while (*p && *p != quote) {
            p += *p == '\\' && p[1] == quote ? 2 : 1;
        }
        if (*p) {
            p++;
        }
    }
    if (*p) {
        *p++ = '\0';
        while (*p == stop) {
            p++;
        }
    }
    *line = p;
    return word;
}

/* Unquote a parameter's value in place. */
static char *unquote(char *value)
{
    char *p, *out, quote = '\0';

    while (fg_is_space(*value)) {
        value++;
    }
    if (*value == '"' || *value == '\'') {
        quote = *value++;
    }
    out = p = value;
    while (*p && (quote ? *p != quote : !fg_is_space(*p))) {
        if (*p == '\\' && (p[1] == '\\' || (quote && p[1] == quote))) {
            p++;
        }
        *out++ = *p++;
    }
    *out = '\0';
    return value;
}

/* In Shift_JIS a backslash may be the second byte of a character, and PHP with
 * mbstring.encoding_translation then takes it for no escape. */
static int has_doubtful_escape(const char *disposition)
{
    const char *p;

    for (p = disposition; (p = strchr(p, '\\')) != NULL; p++) {
        if (p > disposition && (unsigned char)p[-1] >= 0x80 && p[1] && strchr("\\\"'", p[1])) {
            return 1;
        }
    }
    return 0;
}

/* Take name and filename out of the disposition; a second one of either could win elsewhere. */
static fg_body_status_t read_disposition(multipart_t *m, char **name)
{
    char *p = m->disposition;

    *name = NULL;
    m->is_file = 0;
    while (fg_is_space(*p)) {
        p++;
    }
    while (*p) {
        char *pair = next_word(&p, ';'), *key;

        while (fg_is_space(*p)) {
            p++;
        }
        if (strchr(pair, '=') == NULL) {
            continue;
        }
        key = next_word(&pair, '=');
        if (apr_cstr_casecmp(key, "name") == 0) {
            if (*name) {
                return FG_BODY_MALFORMED;
            }
            *name = unquote(pair);
        }
        else if (apr_cstr_casecmp(key, "filename") == 0) {
            if (m->is_file) {
                return FG_BODY_MALFORMED;
            }
            m->is_file = 1;
        }
    }
    /* PHP numbers files without a name and stops at other parts without one. */
    return *name ? FG_BODY_OK : FG_BODY_MALFORMED;
}

static fg_body_status_t end_headers(fg_body_t *body, multipart_t *m)
{
    char *name;
    fg_body_status_t status;

    m->disposition[m->disposition_len] = '\0';
    if (!m->has_disposition || has_doubtful_escape(m->disposition)) {
        return FG_BODY_MALFORMED;
    }
    status = read_disposition(m, &name);
    if (status == FG_BODY_OK) {
        status = fg_body_name_add(body, name, strlen(name));
    }
    status = status == FG_BODY_OK ? name_part(body, m) : status;
    if (status == FG_BODY_OK && body->name_len > 0) {
        fg_body_ask(body);
    }
    m->state = DATA;
    m->fresh = 1;
    return status;
}

static void disposition_add(multipart_t *m, const char *data, apr_size_t len)
{
    memcpy(m->disposition + m->disposition_len, data, len);
    m->disposition_len += len;
}

/* A line of a part's header, without its end. */
static fg_body_status_t header_line(multipart_t *m, const char *line, apr_size_t len)
{
    static const char wanted[] = "Content-Disposition";
    const char *colon;
    apr_size_t i, key_len;

    if (memchr(line, '\0', len) || memchr(line, '\r', len) ||
        (len >= m->needle_len && memcmp(line, m->needle, m->needle_len) == 0)) {
        return FG_BODY_MALFORMED;
    }
    if (fg_is_space(*line)) {
        if (m->header == DISPOSITION) {
            disposition_add(m, line, len);
        }
        return m->header == NO_HEADER ? FG_BODY_MALFORMED : FG_BODY_OK;
    }
    colon = memchr(line, ':', len);
    if (colon == NULL || colon == line) {
        return FG_BODY_MALFORMED;
    }
    key_len = colon - line;
    for (i = 0; i < key_len; i++) {
        if (line[i] <= ' ' || line[i] >= 0x7f) {
            return FG_BODY_MALFORMED;
        }
    }
    m->header = OTHER_HEADER;
    if (key_len == sizeof(wanted) - 1 && apr_cstr_casecmpn(line, wanted, key_len) == 0) {
        if (m->has_disposition) {
            return FG_BODY_MALFORMED;
        }
        m->has_disposition = 1;
        m->header = DISPOSITION;
        disposition_add(m, colon + 1, line + len - colon - 1);
    }
    return FG_BODY_OK;
}

/* The steps below return FG_BODY_OK with *more set when the window holds too little. */

static fg_body_status_t step_headers(fg_body_t *body, multipart_t *m, int *more)
{
    const char *line = m->window + m->at;
    const char *lf = memchr(line, '\n', m->end - m->at);
    apr_size_t len = (lf ? lf + 1 : m->window + m->end) - line;

    if (m->headers_len + len > HEADERS_MAX) {
        return FG_BODY_NAME_TOO_LONG;
    }
    if (lf == NULL) {
        *more = 1;
        return FG_BODY_OK;
    }
    m->at += len;
    m->headers_len += len;
    len--;
    if (len && line[len - 1] == '\r') {
        len--;
    }
    return len ? header_line(m, line, len) : end_headers(body, m);
}

static fg_body_status_t step_delimiter(multipart_t *m, int *more)
{
    const char *p = m->window + m->at;
    apr_size_t have = m->end - m->at;

    if (have && *p == '\n') {
        m->at++;
    }
    else if (have < 2) {
        *more = 1;
        return FG_BODY_OK;
    }
    else if (p[0] == '-' && p[1] == '-') {
        m->at += 2;
        m->state = EPILOGUE;
        return FG_BODY_OK;
    }
    else if (p[0] == '\r' && p[1] == '\n') {
        m->at += 2;
    }
    else {
        return FG_BODY_MALFORMED;
    }
    m->state = HEADERS;
    m->headers_len = 0;
    m->header = NO_HEADER;
    m->has_disposition = 0;
    m->disposition_len = 0;
    return FG_BODY_OK;
}

/* Take from the window what no delimiter, and no line end before one, can start in any more. */
static void take_safe(fg_body_t *body, multipart_t *m)
{
    apr_size_t held = held_back(m), have = m->end - m->at;

    if (have > held) {
        if (m->state == DATA) {
            data_add(body, m, m->window + m->at, have - held);
        }
        m->at += have - held;
        m->fresh = 0;
    }
}

/* The part under way ends with what is before `to`, the offset of the next delimiter. It would go
 * from its own delimiter on: the line end before that one then stands before the next. */
static void end_part(fg_body_t *body, const multipart_t *m, apr_off_t to)
{
    if (body->name_len && !m->is_file) {
        fg_body_cut(body, body->name_len, m->part, to);
    }
    if (body->name_len) {
        fg_body_emit(body, m->is_file);
    }
    fg_body_reset(body);
}

static fg_body_status_t step_search(fg_body_t *body, multipart_t *m, int *more)
{
    const char *from = m->window + m->at, *p = find_needle(m, from, m->window + m->end);
    apr_off_t delimiter;

    if (p == NULL) {
        take_safe(body, m);
        *more = 1;
        return FG_BODY_OK;
    }
    if (m->state == EPILOGUE || (p == from ? !(m->state == PREAMBLE && m->fresh) : p[-1] != '\n')) {
        return FG_BODY_MALFORMED;
    }
    delimiter = m->base + (p - m->window);
    if (m->state == DATA) {
        const char *end = p - 1;

        if (end > from && end[-1] == '\r') {
            end--;
        }
        data_add(body, m, from, end - from);
        end_part(body, m, delimiter);
    }
    m->part = delimiter;
    m->at = p - m->window + m->needle_len;
    m->state = DELIMITER;
    return FG_BODY_OK;
}

static fg_body_status_t run(fg_body_t *body, multipart_t *m)
{
    fg_body_status_t status = FG_BODY_OK;
    int more = 0;

    while (!more && status == FG_BODY_OK) {
        switch (m->state) {
        case DELIMITER:
            status = step_delimiter(m, &more);
            break;
        case HEADERS:
            status = step_headers(body, m, &more);
            break;
        default:
            status = step_search(body, m, &more);
            break;
        }
    }
    return status;
}

/*
 * A file is looked through where it lies, not by way of the window. What the window holds are the
 * `held` bytes in front of `data`: they are looked at again, and what comes before the next
 * delimiter is passed over.
 * @return how many bytes of `data` are done with
 */
static apr_size_t pass_over(fg_body_t *body, multipart_t *m, const char *data, apr_size_t len)
{
    apr_size_t held = held_back(m), safe;
    const char *from = data - held;
    const char *p = find_needle(m, from, data + len);

    safe = (apr_size_t)((p ? p : data + len) - from);
    if (safe <= 2 * held) {
        return 0;
    }
    safe -= held;
    if (m->state == DATA) {
        data_add(body, m, from, safe);
    }
    m->base += (apr_off_t)(m->at + safe);
    m->at = m->end = 0;
    m->fresh = 0;
    return safe - held;
}

static fg_body_status_t feed(fg_body_t *body, const char *data, apr_size_t len)
{
    multipart_t *m = body->grammar;
    fg_body_status_t status = FG_BODY_OK;
    apr_size_t copied = 0; /* bytes in front of `data` that came with it */

    while (len && status == FG_BODY_OK) {
        const apr_size_t held = held_back(m);
        int searching = m->state != DELIMITER && m->state != HEADERS && len >= WINDOW / 4;
        apr_size_t piece;

        if (searching && copied >= held && m->end - m->at == held) {
            piece = pass_over(body, m, data, len);
            data += piece;
            len -= piece;
            copied = piece > 0 ? 0 : copied;
        }
        if (m->at) {
            memmove(m->window, m->window + m->at, m->end - m->at);
            m->end -= m->at;
            m->base += (apr_off_t)m->at;
            m->at = 0;
        }
        piece = WINDOW - m->end < len ? WINDOW - m->end : len;
        if (searching && copied < held && piece > held) {
            piece = held;
        }
        memcpy(m->window + m->end, data, piece);
        m->end += piece;
        data += piece;
        len -= piece;
        copied += piece;
        status = run(body, m);
    }
    return status;
}

static fg_body_status_t finish(fg_body_t *body)
{
    const multipart_t *m = body->grammar;

    if (m->state == EPILOGUE || (m->state == PREAMBLE && m->end == 0)) {
        return FG_BODY_OK;
    }
    return FG_BODY_MALFORMED;
}

fg_body_status_t fg_multipart_init(fg_body_t *body, const char *content_type, apr_pool_t *pool)
{
    multipart_t *m;
    apr_size_t len;
    const char *boundary = fg_multipart_boundary(content_type, &len);

    if (boundary == NULL) {
        return FG_BODY_MALFORMED;
    }
    m = apr_palloc(pool, sizeof(*m));
    memset(m, 0, offsetof(multipart_t, files));
    m->fresh = 1;
    m->needle_len = len + 2;
    memcpy(m->needle, "--", 2);
    memcpy(m->needle + 2, boundary, len);
    body->grammar = m;
    body->feed = feed;
    body->finish = finish;
    return FG_BODY_OK;
}
