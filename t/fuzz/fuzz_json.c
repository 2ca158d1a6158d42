/* SPDX-License-Identifier: Apache-2.0 */
/* application/json: the input is the body. What the reader takes a strict parser takes, too. */
#include <json.h>

#include "body_target.h"

FUZZ_TARGET(json)
{
    static const char type[] = "application/json";
    body_told_t told = {0};
    struct json_tokener *tok;
    struct json_object *json;

    body_check(type, (const char *)data, len, pool);
    body_read(&told, type, &body_caps, (const char *)data, len, 0, NULL, pool);
    body_free(&told);
    if (told.last != FG_BODY_OK || len == 0) {
        return;
    }
    tok = json_tokener_new_ex(64);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    json = json_tokener_parse_ex(tok, (const char *)data, (int)len);
    if (json_tokener_get_error(tok) == json_tokener_continue) {
        json = json_tokener_parse_ex(tok, "", -1); /* a number ends with the text */
    }
    /* strict json-c refuses white space behind the value */
    MUST(json_tokener_get_error(tok) == json_tokener_success ||
         json_tokener_get_error(tok) == json_tokener_error_parse_unexpected);
    json_object_put(json);
    json_tokener_free(tok);
}
