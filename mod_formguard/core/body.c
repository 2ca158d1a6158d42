/* SPDX-License-Identifier: Apache-2.0 */
#include "body_internal.h"

#include <string.h>

#include <apr_cstr.h>

const fg_body_caps_t fg_body_default_caps = {1000, 512, 16384, 32};

static int is_type(const char *type, apr_size_t len, const char *wanted)
{
    return len == strlen(wanted) && (memcmp(type, wanted, len) == 0 || /* as everybody writes it */
                                     apr_cstr_casecmpn(type, wanted, len) == 0);
}

static int is_json(const char *type, apr_size_t len)
{
    static const char tree[] = "application/", suffix[] = "+json";
    const apr_size_t tree_len = sizeof(tree) - 1, suffix_len = sizeof(suffix) - 1;

    if (is_type(type, len, "application/json")) {
        return 1;
    }
    return len > tree_len + suffix_len && apr_cstr_casecmpn(type, tree, tree_len) == 0 &&
           apr_cstr_casecmpn(type + len - suffix_len, suffix, suffix_len) == 0;
}

fg_body_type_t fg_body_type(const char *content_type)
{
    apr_size_t len;

    if (content_type == NULL) {
        return FG_BODY_NONE;
    }
    len = strcspn(content_type, ";, \t\r\n\v\f");
    if (is_type(content_type, len, "application/x-www-form-urlencoded")) {
        return FG_BODY_URLENCODED;
    }
    if (is_type(content_type, len, "multipart/form-data")) {
        return FG_BODY_MULTIPART;
    }
    return is_json(content_type, len) ? FG_BODY_JSON : FG_BODY_NONE;
}

fg_body_status_t fg_body_create(fg_body_t **body, const char *content_type,
                                const fg_body_caps_t *caps, fg_field_fn *field, void *baton,
                                apr_pool_t *pool)
{
    fg_body_type_t type = fg_body_type(content_type);
    fg_body_t *b = apr_pcalloc(pool, sizeof(*b));

    b->caps = *caps;
    b->field = field;
    b->baton = baton;
    b->pool = pool;
    if (type != FG_BODY_NONE) {
        b->name = apr_palloc(pool, caps->name_len + 1);
    }

    switch (type) {
    case FG_BODY_URLENCODED:
        fg_urlencoded_init(b, pool);
        break;
    case FG_BODY_MULTIPART:
        b->status = fg_multipart_init(b, content_type, pool);
        break;
    case FG_BODY_JSON:
        fg_json_body_init(b, pool);
        break;
    case FG_BODY_NONE:
        break;
    }
    *body = b;
    return b->status;
}

void fg_body_on_cut(fg_body_t *body, fg_body_cut_fn *cut, void *baton)
{
    body->cut = cut;
    body->cut_baton = baton;
}

void fg_body_on_name(fg_body_t *body, fg_body_asked_fn *asked)
{
    body->asked = asked;
}

fg_body_status_t fg_body_feed(fg_body_t *body, const char *data, apr_size_t len)
{
    if (body->status == FG_BODY_OK && body->feed && len) {
        body->status = body->feed(body, data, len);
        body->offset += (apr_off_t)len;
    }
    return body->status;
}

fg_body_status_t fg_body_finish(fg_body_t *body)
{
    if (body->status == FG_BODY_OK && body->finish) {
        body->status = body->finish(body);
        body->feed = NULL;
        body->finish = NULL;
    }
    return body->status;
}

fg_body_status_t fg_body_name_add(fg_body_t *body, const char *data, apr_size_t len)
{
    if (len > body->caps.name_len - body->name_len) {
        return FG_BODY_NAME_TOO_LONG;
    }
    memcpy(body->name + body->name_len, data, len);
    body->name_len += len;
    return FG_BODY_OK;
}

void fg_body_ask(fg_body_t *body)
{
    body->unasked = body->asked != NULL && !body->asked(body->baton, body->name, body->name_len);
}

fg_body_status_t fg_body_count(fg_body_t *body)
{
    if (body->fields >= body->caps.fields) {
        return FG_BODY_TOO_MANY;
    }
    body->fields++;
    return FG_BODY_OK;
}

void fg_body_emit(fg_body_t *body, int is_file)
{
    fg_field_t field;

    if (!body->unasked) {
        fg_body_value_add(body, "", 0);
        body->name[body->name_len] = '\0';
        body->value[body->value_len] = '\0';
        field.name = body->name;
        field.name_len = body->name_len;
        field.value = body->value;
        field.value_len = body->value_len;
        field.total_len = body->total_len;
        field.is_file = is_file;
        body->field(body->baton, &field);
    }
    body->value_len = 0;
    body->total_len = 0;
}

int fg_body_cut(fg_body_t *body, apr_size_t name_len, apr_off_t from, apr_off_t to)
{
    return body->cut != NULL && body->cut(body->cut_baton, body->name, name_len, from, to);
}

void fg_body_reset(fg_body_t *body)
{
    body->name_len = 0;
    body->value_len = 0;
    body->total_len = 0;
    body->unasked = 0;
}
