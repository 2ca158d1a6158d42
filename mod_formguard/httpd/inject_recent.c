/* SPDX-License-Identifier: Apache-2.0 */
/* Where forms were sent to a moment ago: httpd's walk through the configuration for that path costs
 * more than all the rest of adding a widget. */
#include <string.h>

#include "http_core.h"

#include "core/recent.h"
#include "inject.h"
#include "module.h"

#define TEXTS 5

static fg_recent_t *recent;

static const char *key_of(const request_rec *r, const char *origin, const fg_target_t *target,
                          apr_size_t *len)
{
    apr_size_t origin_size = strlen(origin) + 1;
    apr_size_t path_len = strlen(target->path);
    char *key;

    *len = sizeof(r->server) + origin_size + path_len;
    key = apr_palloc(r->pool, *len);
    memcpy(key, &r->server, sizeof(r->server));
    memcpy(key + sizeof(r->server), origin, origin_size);
    memcpy(key + sizeof(r->server) + origin_size, target->path, path_len);
    return key;
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

int fg_target_recall(const request_rec *r, const char *origin, fg_target_t *target)
{
    const char **texts[TEXTS];
    const char *answer;
    const char *key;
    apr_size_t len;
    int i;

    if (!may_recur(r)) {
        return 0;
    }
    key = key_of(r, origin, target, &len);
    answer = fg_recent_find(recent, key, len, r->request_time, &len, r->pool);
    if (answer == NULL) {
        return 0;
    }
    if (len > 0) {
        target->widget.help = (fg_widget_help_t)*answer++;
        texts_of(target, texts);
        for (i = 0; i < TEXTS; i++) {
            *texts[i] = answer;
            answer += strlen(answer) + 1;
        }
    }
    return 1;
}

void fg_target_keep(const request_rec *r, const char *origin, fg_target_t *target,
                    const request_rec *lookup)
{
    const core_dir_config *core = ap_get_core_module_config(lookup->per_dir_config);
    const char **texts[TEXTS];
    char answer[FG_RECENT_MAX];
    const char *key;
    apr_size_t key_len;
    apr_size_t len = 0;
    int i;

    /* What <If> asks for may differ from one visitor to the next. */
    if (!may_recur(r) || core->sec_if != NULL) {
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
    key = key_of(r, origin, target, &key_len);
    fg_recent_keep(recent, key, key_len, r->request_time, answer, len);
}

void fg_target_child_init(apr_pool_t *pchild)
{
    recent = fg_recent_create(pchild);
}
