/* SPDX-License-Identifier: Apache-2.0 */
#include "submission.h"

#include <string.h>

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "mix.h"

/* One field somebody asked about. */
typedef struct wanted {
    const char *asked;    /* as configured, and as JSON names it */
    const char *name;     /* as PHP names it */
    apr_size_t asked_len; /* bytes */
    apr_size_t name_len;  /* bytes */
    const char *value;    /* NULL: not there, or not as one string; else `room` */
    char *room;           /* kept for the next value of that name: a repeated name costs nothing */
    apr_size_t size;      /* bytes of it */
    apr_size_t len;       /* bytes kept */
    apr_size_t total;     /* bytes posted */
    int in_body;          /* there in any shape */
    int in_query;
    const char *query_value; /* the last one in the query, if it is one whole string; else NULL */
    int watched;
    fg_field_facts_t facts;
} wanted_t;

struct fg_submission {
    apr_pool_t *pool;
    apr_array_header_t *wanted;
    int json;
    apr_uint64_t print;
};

fg_submission_t *fg_submission_create(apr_pool_t *pool)
{
    fg_submission_t *submission = apr_pcalloc(pool, sizeof(*submission));

    submission->pool = pool;
    submission->wanted = apr_array_make(pool, 4, sizeof(wanted_t));
    return submission;
}

static wanted_t *find(const fg_submission_t *submission, const char *asked)
{
    int i;

    for (i = 0; i < submission->wanted->nelts; i++) {
        wanted_t *w = &APR_ARRAY_IDX(submission->wanted, i, wanted_t);
        if (*w->asked == *asked && strcmp(w->asked, asked) == 0) {
            return w;
        }
    }
    return NULL;
}

static wanted_t *want(fg_submission_t *submission, const char *name)
{
    wanted_t *w = find(submission, name);

    if (w == NULL) {
        w = &APR_ARRAY_PUSH(submission->wanted, wanted_t);
        memset(w, 0, sizeof(*w));
        w->asked = name;
        w->asked_len = strlen(name);
        w->name = fg_body_php_named(name, w->asked_len, &w->name_len, submission->pool);
    }
    return w;
}

void fg_submission_want(fg_submission_t *submission, const char *name)
{
    want(submission, name);
}

void fg_submission_watch(fg_submission_t *submission, const char *name)
{
    want(submission, name)->watched = 1;
}

fg_field_facts_t fg_submission_facts(const fg_submission_t *submission, const char *name)
{
    static const fg_field_facts_t none = {0, 0, 0, 0};
    const wanted_t *w = find(submission, name);

    return w != NULL ? w->facts : none;
}

void fg_submission_json(fg_submission_t *submission, int json)
{
    submission->json = json;
}

static void keep(const fg_submission_t *submission, wanted_t *w, const fg_field_t *field)
{
    if (field->value_len >= w->size) {
        w->size = field->value_len * 2 + 64;
        w->room = apr_palloc(submission->pool, w->size);
    }
    memcpy(w->room, field->value, field->value_len);
    w->room[field->value_len] = '\0';
    w->value = w->room;
    w->len = field->value_len;
    w->total = field->total_len;
}

/* `%0d`, `%0a`: what a mailer that decodes once more makes of it. */
static int has_encoded_line_end(const char *text, const char *end)
{
    while ((text = memchr(text, '%', (apr_size_t)(end - text))) != NULL) {
        if (end - text >= 3 && text[1] == '0' && memchr("aAdD", text[2], 4) != NULL) {
            return 1;
        }
        text++;
    }
    return 0;
}

static int has_line_end(const char *text, apr_size_t len)
{
    return memchr(text, '\n', len) != NULL || memchr(text, '\r', len) != NULL ||
           has_encoded_line_end(text, text + len);
}

static int is_filled(const char *text, apr_size_t len)
{
    while (len > 0 && (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')) {
        text++;
        len--;
    }
    return len > 0;
}

/* How many times `http://` and `https://` stand there. */
static unsigned int count_links(const char *text, apr_size_t len)
{
    const char *end = text + len, *p = text;
    unsigned int links = 0;

    while ((p = memchr(p, ':', (apr_size_t)(end - p))) != NULL) {
        if (end - p >= 3 && p[1] == '/' && p[2] == '/') {
            links += (p - text >= 4 && strncasecmp(p - 4, "http", 4) == 0) ||
                     (p - text >= 5 && strncasecmp(p - 5, "https", 5) == 0);
        }
        p++;
    }
    return links;
}

static void look_at(wanted_t *w, const fg_field_t *field)
{
    fg_field_facts_t *facts = &w->facts;

    facts->nonempty |= field->total_len > 0;
    facts->multi_line |=
        field->total_len > field->value_len || has_line_end(field->value, field->value_len);
    facts->filled |= is_filled(field->value, field->value_len);
    facts->links += count_links(field->value, field->value_len);
}

/* What a field's name is to another one. */
typedef enum relation {
    OTHER,
    SAME,
    INSIDE, /* an element of the array (or object) of that name */
    AROUND  /* the array the other one is an element of */
} relation_t;

static relation_t relation_of(const char *name, apr_size_t name_len, const char *to,
                              apr_size_t to_len, char opener)
{
    apr_size_t common = name_len < to_len ? name_len : to_len;
    relation_t relation = SAME;

    if (name_len != to_len) {
        if ((name_len > to_len ? name : to)[common] != opener) {
            return OTHER;
        }
        relation = name_len > to_len ? INSIDE : AROUND;
    }
    return memcmp(name, to, common) == 0 ? relation : OTHER;
}

/* A text into the print, and its length. */
static apr_uint64_t add_to_print(apr_uint64_t print, const char *text, apr_size_t len,
                                 apr_size_t total)
{
    return fg_mix(fg_mix_text(print, text, len), total + 1);
}

apr_uint64_t fg_submission_print(const fg_submission_t *submission)
{
    return submission->print;
}

int fg_submission_asks(void *baton, const char *name, apr_size_t len)
{
    const fg_submission_t *submission = baton;
    int i;

    for (i = 0; i < submission->wanted->nelts; i++) {
        const wanted_t *w = &APR_ARRAY_IDX(submission->wanted, i, wanted_t);

        if (relation_of(name, len, w->name, w->name_len, '[') != OTHER) {
            return 1;
        }
    }
    return 0;
}

/* A field that has to do with a wanted one. */
static void take(const fg_submission_t *submission, wanted_t *w, const fg_field_t *field,
                 relation_t relation)
{
    if (w->watched && !field->is_file && relation != AROUND) {
        look_at(w, field);
    }
    if (relation != AROUND) {
        w->in_body = 1;
    }
    if (field->is_file) {
        return; /* it lands elsewhere and replaces no string */
    }
    if (relation == SAME) {
        keep(submission, w, field);
    }
    else {
        w->value = NULL; /* an array of that name replaces the string, and a string the array */
    }
}

void fg_submission_field(void *baton, const fg_field_t *field)
{
    fg_submission_t *submission = baton;
    char opener = submission->json ? '.' : '[';
    int i;

    submission->print =
        add_to_print(submission->print, field->name, field->name_len, field->name_len);
    submission->print =
        add_to_print(submission->print, field->value, field->value_len, field->total_len);
    for (i = 0; i < submission->wanted->nelts; i++) {
        wanted_t *w = &APR_ARRAY_IDX(submission->wanted, i, wanted_t);
        relation_t relation =
            submission->json
                ? relation_of(field->name, field->name_len, w->asked, w->asked_len, opener)
                : relation_of(field->name, field->name_len, w->name, w->name_len, opener);

        if (relation != OTHER) {
            take(submission, w, field, relation);
        }
    }
}

/* A field of the query string is there, and may be told by its value. A rule judges it only for the
 * worse: a mailer that reads $_REQUEST takes it for the body's, but nobody has filled it in. */
static void query_field(void *baton, const fg_field_t *field)
{
    fg_submission_t *submission = baton;
    int i;

    for (i = 0; i < submission->wanted->nelts; i++) {
        wanted_t *w = &APR_ARRAY_IDX(submission->wanted, i, wanted_t);
        relation_t relation = relation_of(field->name, field->name_len, w->name, w->name_len, '[');

        if (relation == OTHER || relation == AROUND) {
            continue;
        }
        if (w->watched) {
            int filled = w->facts.filled;

            look_at(w, field);
            w->facts.filled = filled;
        }
        w->in_query = 1;
        w->query_value = relation == SAME && field->total_len == field->value_len
                             ? apr_pstrmemdup(submission->pool, field->value, field->value_len)
                             : NULL;
    }
}

fg_body_status_t fg_submission_query(fg_submission_t *submission, const char *query)
{
    fg_body_t *body;
    fg_body_status_t status;
    int i;

    if (query == NULL || *query == '\0' || submission->wanted->nelts == 0) {
        return FG_BODY_OK;
    }
    status = fg_body_create(&body, "application/x-www-form-urlencoded", &fg_body_default_caps,
                            query_field, submission, submission->pool);
    if (status == FG_BODY_OK) {
        fg_body_on_name(body, fg_submission_asks);
        fg_body_feed(body, query, strlen(query));
        status = fg_body_finish(body);
    }
    /* The application reads on where this reader stops: what is behind may be any field. */
    for (i = 0; status != FG_BODY_OK && i < submission->wanted->nelts; i++) {
        wanted_t *w = &APR_ARRAY_IDX(submission->wanted, i, wanted_t);

        w->in_query = 1;
        w->query_value = NULL;
    }
    return status;
}

int fg_submission_has(const fg_submission_t *submission, const char *name)
{
    const wanted_t *w = find(submission, name);

    return w != NULL && (w->in_body || w->in_query);
}

static int value_matches(const char *glob, const char *value)
{
    return value == NULL || apr_fnmatch(glob, value, APR_FNM_CASE_BLIND) == APR_SUCCESS;
}

int fg_submission_has_value(const fg_submission_t *submission, const char *name, const char *glob)
{
    const wanted_t *w = find(submission, name);

    return w != NULL &&
           ((w->in_body && value_matches(glob, w->len == w->total ? w->value : NULL)) ||
            (w->in_query && value_matches(glob, w->query_value)));
}

const char *fg_submission_value(const fg_submission_t *submission, const char *name,
                                apr_size_t *len, apr_size_t *total)
{
    const wanted_t *w = find(submission, name);

    if (w == NULL || w->value == NULL) {
        return NULL;
    }
    if (len != NULL) {
        *len = w->len;
    }
    if (total != NULL) {
        *total = w->total;
    }
    return w->value;
}
