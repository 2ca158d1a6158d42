/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file body_target.h
 * @brief What the three grammars of the body reader promise alike: the same fields and cuts however
 *        the body is cut, within the caps, and a field cut out leaves the others as they were.
 */
#ifndef FG_FUZZ_BODY_TARGET_H
#define FG_FUZZ_BODY_TARGET_H

#include "body.h"
#include "fuzz.h"
#include "strip.h"
#include "submission.h"

/* What a reading told. */
typedef struct body_told {
    const char *type;
    const fg_body_caps_t *caps;
    fuzz_text_t text;      /* each field, whole */
    unsigned int fields;   /* how many */
    const char *without;   /* leave out of `text` what PHP has under that name, or NULL */
    char first[600];       /* name of the first field that is no file */
    fg_body_status_t last; /* as the last call said */
    fg_strip_t *strip;     /* or NULL */
    fg_submission_t *submission;
} body_told_t;

/* The usual caps but for the values, which makes this faster. */
static const fg_body_caps_t body_caps = {1000, 512, 2048, 32};

/* 1 if PHP has the field under that name, in an array or not. */
static inline int body_is_under(const fg_field_t *field, const char *name)
{
    size_t len = strlen(name);

    return field->name_len >= len && memcmp(field->name, name, len) == 0 &&
           (field->name_len == len || field->name[len] == '[');
}

static inline void body_field(void *baton, const fg_field_t *field)
{
    body_told_t *told = baton;

    MUST(told->last == FG_BODY_OK);
    MUST(field->name[field->name_len] == '\0');
    MUST(field->value[field->value_len] == '\0');
    MUST(field->name_len <= told->caps->name_len);
    MUST(field->value_len <= told->caps->value_kept);
    MUST(field->total_len >= field->value_len);
    MUST(field->is_file
             ? field->value_len == 0
             : field->total_len == field->value_len || field->value_len == told->caps->value_kept);
    MUST(++told->fields <= told->caps->fields);
    fg_submission_field(told->submission, field);
    if (!field->is_file && !*told->first && field->name_len &&
        strlen(field->name) == field->name_len) {
        memcpy(told->first, field->name, field->name_len + 1);
    }
    if (told->without && !field->is_file && body_is_under(field, told->without)) {
        return;
    }
    fuzz_add_number(&told->text, (long long)field->name_len);
    fuzz_add(&told->text, field->name, field->name_len);
    fuzz_add_number(&told->text, (long long)field->value_len);
    fuzz_add(&told->text, field->value, field->value_len);
    fuzz_add_number(&told->text, (long long)field->total_len);
    fuzz_add(&told->text, field->is_file ? "f" : "v", 1);
}

static inline void body_add_facts(body_told_t *told)
{
    static const char *const names[] = {"a", "b", "name", "a[b]"};
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        fg_field_facts_t facts = fg_submission_facts(told->submission, names[i]);
        size_t len = 0, total = 0;
        const char *value = fg_submission_value(told->submission, names[i], &len, &total);

        MUST(!facts.filled || facts.nonempty);
        MUST(!value || (value[len] == '\0' && total >= len));
        fuzz_add_number(&told->text, facts.filled + 2 * facts.nonempty + 4 * facts.multi_line +
                                         8 * fg_submission_has(told->submission, names[i]));
        fuzz_add_number(&told->text, (long long)facts.links);
        fuzz_add(&told->text, value ? value : "-", value ? len : 1);
    }
}

/* Read a body. @param strip where the cuts are noted, or NULL */
static inline void body_read(body_told_t *told, const char *type, const fg_body_caps_t *caps,
                             const char *data, size_t len, uint32_t seed, fg_strip_t *strip,
                             apr_pool_t *parent)
{
    fuzz_cut_t cut = fuzz_cut(data, len, seed);
    fg_body_status_t status;
    const char *piece;
    apr_pool_t *pool;
    fg_body_t *body;

    apr_pool_create(&pool, parent);
    told->type = type;
    told->caps = caps;
    told->submission = fg_submission_create(pool);
    fg_submission_json(told->submission, fg_body_type(type) == FG_BODY_JSON);
    fg_submission_watch(told->submission, "a");
    fg_submission_watch(told->submission, "b");
    fg_submission_watch(told->submission, "name");
    fg_submission_watch(told->submission, "a[b]");
    told->last = fg_body_create(&body, type, caps, body_field, told, pool);
    if (strip) {
        fg_body_on_cut(body, fg_strip_field, strip);
    }
    while ((piece = fuzz_piece(&cut, &len)) != NULL) {
        status = fg_body_feed(body, piece, len);
        MUST(told->last == FG_BODY_OK || status == told->last);
        told->last = status;
    }
    status = fg_body_finish(body);
    MUST(told->last == FG_BODY_OK || status == told->last);
    MUST(fg_body_finish(body) == status);
    told->last = status;
    if (!told->without) {
        body_add_facts(told);
    }
    fuzz_add_number(&told->text, told->last);
    apr_pool_destroy(pool);
}

static inline void body_free(body_told_t *told)
{
    free(told->text.text);
    told->text.text = NULL;
}

/* However it is cut, the same. */
static inline void body_is_one(const char *type, const fg_body_caps_t *caps, const char *data,
                               size_t len, apr_pool_t *pool)
{
    body_told_t whole = {0};
    uint32_t seed = 1;

    body_read(&whole, type, caps, data, len, 0, NULL, pool);
    while (seed != 0) {
        body_told_t told = {0};

        body_read(&told, type, caps, data, len, seed, NULL, pool);
        MUST(fuzz_same(&told.text, &whole.text));
        body_free(&told);
        seed = seed == 1 ? fuzz_hash(data, len) | 2 : 0;
    }
    body_free(&whole);
}

/* Taken out of the body, a field is gone and nothing else. */
static inline void body_strips(const char *type, const char *data, size_t len, apr_pool_t *pool)
{
    int json = fg_body_type(type) == FG_BODY_JSON;
    body_told_t had = {0}, has = {0}, name = {0};
    fg_strip_t *strip = fg_strip_create(json, pool), *again = fg_strip_create(json, pool);
    fuzz_text_t left = {NULL, 0, 0};
    const fg_cut_t *cuts;
    size_t at = 0;
    int count, i;

    body_read(&name, type, &body_caps, data, len, 0, NULL, pool);
    body_free(&name);
    if (name.last != FG_BODY_OK || !*name.first) {
        return;
    }
    fg_strip_name(strip, name.first);
    fg_strip_name(again, name.first);
    had.without = json ? NULL : name.first;
    has.without = had.without;
    body_read(&had, type, &body_caps, data, len, fuzz_hash(data, len) % 5, strip, pool);
    cuts = fg_strip_cuts(strip, &count);
    MUST(count >= 0 && count <= FG_CUTS_MAX);
    for (i = 0; i < count; i++) {
        MUST(cuts[i].from >= (apr_off_t)at && cuts[i].from < cuts[i].to &&
             cuts[i].to <= (apr_off_t)len);
        fuzz_add(&left, data + at, (size_t)cuts[i].from - at);
        at = (size_t)cuts[i].to;
    }
    fuzz_add(&left, data + at, len - at);
    if (count > 0) {
        body_read(&has, type, &body_caps, left.text, left.len, 0, again, pool);
        MUST(has.last == FG_BODY_OK);
        fg_strip_cuts(again, &count);
        MUST(count == 0);
        MUST(json || fuzz_same(&had.text, &has.text));
        body_free(&has);
    }
    free(left.text);
    body_free(&had);
}

/* All of it, under usual caps and under tight ones. */
static inline void body_check(const char *type, const char *data, size_t len, apr_pool_t *pool)
{
    static const fg_body_caps_t tight = {5, 12, 7, 3};

    body_is_one(type, &body_caps, data, len, pool);
    body_is_one(type, &tight, data, len, pool);
    body_strips(type, data, len, pool);
}

#endif
