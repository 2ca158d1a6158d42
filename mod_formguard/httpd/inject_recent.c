/* SPDX-License-Identifier: Apache-2.0 */
/* Where forms were sent to a moment ago: httpd's walk through the configuration for that path costs
 * more than all the rest of adding a widget. */
#include <string.h>

#include "http_core.h"
#include "http_protocol.h"

#include "core/recent.h"
#include "inject.h"
#include "module.h"

#define TEXTS 5
#define PARTS 5

static fg_recent_t *recent;

/* Whatever may make a difference, but for what .htaccess and its like say at the time. */
static const char *key_of(request_rec *r, const char *base, const char *action, apr_size_t *len)
{
    const apr_uintptr_t server = (apr_uintptr_t)r->server;
    const char *host = apr_table_get(r->headers_in, "Host");
    const char *const parts[] = {ap_http_scheme(r), host != NULL ? host : "",
                                 fg_facts_path_asked(r), base != NULL ? base : "",
                                 action != NULL ? action : "\n"};
    apr_size_t sizes[PARTS];
    char *key;
    char *at;
    int i;

    *len = sizeof(server);
    for (i = 0; i < PARTS; i++) {
        sizes[i] = strlen(parts[i]) + 1;
        *len += sizes[i];
    }
    key = apr_palloc(r->pool, *len);
    memcpy(key, &server, sizeof(server));
    at = key + sizeof(server);
    for (i = 0; i < PARTS; i++) {
        memcpy(at, parts[i], sizes[i]);
        at += sizes[i];
    }
    return key;
}

/* 1 if some <If> may say to one visitor of our directives what it does not say to the next. */
static int asks_who(ap_conf_vector_t *conf)
{
    const core_dir_config *core = ap_get_core_module_config(conf);
    int i;

    for (i = 0; core != NULL && core->sec_if != NULL && i < core->sec_if->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(core->sec_if, i, ap_conf_vector_t *);

        if (ap_get_module_config(section, &formguard_module) != NULL || asks_who(section)) {
            return 1;
        }
    }
    return 0;
}

/* What is kept of a target that has a widget, besides its help. */
static void texts_of(fg_target_t *target, const char **texts[TEXTS])
{
    texts[0] = &target->field;
    texts[1] = &target->widget.script_url;
    texts[2] = &target->widget.script;
    texts[3] = &target->widget.element;
    texts[4] = &target->widget.table_element;
}

/* A page that answers a post may be the next step of its form. */
static int may_recur(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &formguard_module) == NULL;
}

const fg_target_t *fg_target_recall(request_rec *r, const char *base, const char *action)
{
    const char **texts[TEXTS];
    fg_target_t *target;
    const char *answer;
    const char *key;
    apr_size_t len;
    int i;

    if (!may_recur(r)) {
        return NULL;
    }
    key = key_of(r, base, action, &len);
    answer = fg_recent_find(recent, key, len, r->request_time, &len, r->pool);
    if (answer == NULL) {
        return NULL;
    }
    target = apr_pcalloc(r->pool, sizeof(*target));
    if (len > 0) {
        target->widget.help = (fg_widget_help_t)*answer++;
        texts_of(target, texts);
        for (i = 0; i < TEXTS; i++) {
            *texts[i] = answer;
            answer += strlen(answer) + 1;
        }
    }
    return target;
}

void fg_target_keep(request_rec *r, const char *base, const char *action, fg_target_t *target,
                    const request_rec *lookup)
{
    const char **texts[TEXTS];
    char answer[FG_RECENT_MAX];
    const char *key;
    apr_size_t key_len;
    apr_size_t len = 0;
    int i;

    if (!may_recur(r) || asks_who(lookup->per_dir_config)) {
        return;
    }
    if (target->field != NULL) {
        answer[len++] = (char)target->widget.help;
        texts_of(target, texts);
        for (i = 0; i < TEXTS; i++) {
            apr_size_t size = strlen(*texts[i]) + 1;

            if (size > sizeof(answer) - len) {
                return;
            }
            memcpy(answer + len, *texts[i], size);
            len += size;
        }
    }
    key = key_of(r, base, action, &key_len);
    fg_recent_keep(recent, key, key_len, r->request_time, answer, len);
}

void fg_target_child_init(apr_pool_t *pchild)
{
    recent = fg_recent_create(pchild);
}
