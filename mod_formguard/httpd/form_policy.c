/* SPDX-License-Identifier: Apache-2.0 */
/* What a post to a form would be asked for, found before it is sent. */
#include <string.h>

#include "http_request.h"

#include "module.h"

/* A rewrite of a rewrite, and so on, is followed so far. */
#define PASSES_MAX 4

static const fg_policy_t *innermost(request_rec *form, int guarded)
{
    const fg_policy_stack_t *stack = ap_get_module_config(form->per_dir_config, &formguard_module);
    fg_policy_layers_t layers;
    int i;

    fg_policy_resolve(stack, &layers, form->pool);
    for (i = layers.count - 1; i >= 0; i--) {
        const fg_policy_t *policy = layers.layer[i];

        if (fg_policy_captcha(policy) != NULL &&
            (!guarded ||
             (fg_policy_mode(policy) != FG_MODE_OFF && fg_policy_guards_method(policy, "POST") &&
              fg_facts_path_guarded(form, policy)))) {
            return policy;
        }
    }
    return NULL;
}

const fg_policy_t *fg_form_captcha(request_rec *form)
{
    return innermost(form, 0);
}

/* mod_rewrite in a directory redirects when the request runs, which a lookup does not. */
static const char *rewritten_to(const request_rec *form)
{
    return form->handler != NULL && strcmp(form->handler, "redirect-handler") == 0 &&
                   form->filename != NULL && strncmp(form->filename, "redirect:/", 10) == 0
               ? form->filename + 9
               : NULL;
}

const fg_policy_t *fg_form_guard(request_rec *page, const char *path, request_rec **lookup)
{
    request_rec *last = NULL;
    const fg_policy_t *policy = NULL;
    int i;

    for (i = 0; i < PASSES_MAX && policy == NULL && path != NULL; i++) {
        *lookup = ap_sub_req_method_uri("POST", path, page, NULL);
        policy = innermost(*lookup, 1);
        path = rewritten_to(*lookup);
        if (last != NULL) {
            ap_destroy_sub_req(last); /* `path` was its */
        }
        last = *lookup;
    }
    return policy;
}
