/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_directives.h"

#include <stddef.h>

#include "policy_internal.h"

const fg_directive_t fg_policy_directives[] = {
#define ROW(name, context, parser, field, syntax, dflt)                                            \
    {name, FG_CTX_##context, fg_parse_##parser, offsetof(fg_policy_t, field), syntax, dflt},
    FG_POLICY_DIRECTIVES(ROW)
#undef ROW
        {NULL, FG_CTX_SERVER, NULL, 0, NULL, NULL}};

const char *fg_policy_apply(const fg_directive_t *directive, fg_policy_t *policy,
                            const fg_words_t *words)
{
    return directive->parse(directive, policy, words);
}
