/* SPDX-License-Identifier: Apache-2.0 */
#include "body_internal.h"

#include <string.h>

/* The name under way. Nothing written is ever longer than what was read, so out may be name. */
typedef struct name_scan {
    char *out;
    apr_size_t out_len;
    const char *name;
    apr_size_t len;
    apr_size_t at;
    int host, secure; /* the name itself starts with the cookie prefix */
} name_scan_t;

#define STARTS(text, len, prefix)                                                                  \
    ((len) >= sizeof(prefix) - 1 && memcmp(text, prefix, sizeof(prefix) - 1) == 0)

/* PHP lets no key pose as a __Host- or __Secure- cookie if the name did not start that way. */
static int is_forbidden(const name_scan_t *s, const char *key, apr_size_t len)
{
    return (!s->host && STARTS(key, len, "__Host-")) ||
           (!s->secure && STARTS(key, len, "__Secure-"));
}

/* What PHP makes of a byte before the keys; `bracket`: of one that opens no key, too. */
static char mangled(char c, char bracket)
{
    return c == ' ' || c == '.' || c == bracket ? '_' : c;
}

static void mangle(name_scan_t *s, apr_size_t to, char bracket)
{
    for (; s->at < to; s->at++) {
        s->out[s->out_len++] = mangled(s->name[s->at], bracket);
    }
}

/* Copy `[key]`, with s->at on `[` and the closing bracket at `to`. */
static fg_php_name_t copy_key(name_scan_t *s, apr_size_t to, int empty)
{
    apr_size_t key_len = to - s->at - 1;

    s->out[s->out_len++] = '[';
    if (!empty) {
        char *key = s->out + s->out_len;

        memmove(key, s->name + s->at + 1, key_len);
        s->out_len += key_len;
        if (is_forbidden(s, key, key_len)) {
            return FG_PHP_NAME_DESTRUCTIVE;
        }
    }
    s->out[s->out_len++] = ']';
    s->at = to + 1;
    return FG_PHP_NAME_OK;
}

/* All levels of `[…]`. Whatever follows the last one is not part of the name. */
static fg_php_name_t copy_keys(name_scan_t *s, unsigned int *levels)
{
    while (s->at < s->len && s->name[s->at] == '[') {
        apr_size_t from = s->at + 1;
        const char *close;
        fg_php_name_t state;

        if (*levels == FG_PHP_NESTING_MAX) {
            return FG_PHP_NAME_DESTRUCTIVE;
        }
        if (from < s->len && fg_is_space(s->name[from])) {
            from++;
        }
        close = memchr(s->name + from, ']', s->len - from);
        if (close == NULL) {
            if (*levels == 0) {
                mangle(s, s->len, '[');
            }
            break;
        }
        state = copy_key(s, close - s->name, close == s->name + from);
        if (state != FG_PHP_NAME_OK) {
            return state;
        }
        ++*levels;
    }
    return FG_PHP_NAME_OK;
}

apr_size_t fg_body_plain_len(const char *name, apr_size_t len)
{
#define ROW(c) [c] = 1, [(c) + 1] = 1, [(c) + 2] = 1, [(c) + 3] = 1, [(c) + 4] = 1
#define TEN(c) ROW(c), ROW((c) + 5)
    static const unsigned char plain[256] = {
        TEN('0'), TEN('A'), TEN('K'),  ROW('U'),  ['Z'] = 1, TEN('a'),
        TEN('k'), ROW('u'), ['z'] = 1, ['-'] = 1, ['_'] = 1};
#undef TEN
#undef ROW
    apr_size_t i = 0;

    if (len == 0 || *name == '_') {
        return 0;
    }
    while (i < len && plain[(unsigned char)name[i]]) {
        i++;
    }
    return i;
}

fg_php_name_t fg_body_php_name_judge(char *out, apr_size_t *out_len, unsigned int *levels,
                                     const char *name, apr_size_t len)
{
    const char *end;
    name_scan_t s;
    apr_size_t base;
    fg_php_name_t state;

    *out_len = 0;
    *levels = 0;
    if (len > 0 && fg_body_plain_len(name, len) == len) {
        memmove(out, name, len);
        *out_len = len;
        return FG_PHP_NAME_OK;
    }
    end = memchr(name, '\0', len);
    if (end) {
        len = end - name;
    }
    /* Where PHP converts ISO-2022-JP (mbstring.encoding_translation) `ESC ( B name` is `name`. */
    if (memchr(name, 0x1b, len)) {
        return FG_PHP_NAME_DESTRUCTIVE;
    }
    while (len && *name == ' ') {
        name++;
        len--;
    }
    end = memchr(name, '[', len);
    base = end ? (apr_size_t)(end - name) : len;
    if (base == 0) {
        return FG_PHP_NAME_DROPPED;
    }
    memset(&s, 0, sizeof(s));
    s.out = out;
    s.name = name;
    s.len = len;
    s.host = STARTS(name, len, "__Host-");
    s.secure = STARTS(name, len, "__Secure-");
    mangle(&s, base, '.');

    state = copy_keys(&s, levels);
    if (state != FG_PHP_NAME_OK) {
        return state;
    }
    /* The base is judged last because an unclosed bracket makes more of it. */
    if (is_forbidden(&s, out, *levels ? base : s.out_len)) {
        return FG_PHP_NAME_DROPPED;
    }
    *out_len = s.out_len;
    return FG_PHP_NAME_OK;
}

apr_size_t fg_body_php_name(char *out, const char *name, apr_size_t len)
{
    apr_size_t out_len;
    unsigned int levels;

    if (fg_body_php_name_judge(out, &out_len, &levels, name, len) != FG_PHP_NAME_OK) {
        out_len = 0;
    }
    out[out_len] = '\0';
    return out_len;
}

const char *fg_body_php_named(const char *name, apr_size_t len, apr_size_t *out_len,
                              apr_pool_t *pool)
{
    char *out;

    if (fg_body_plain_len(name, len) == len) {
        *out_len = len;
        return name;
    }
    out = apr_palloc(pool, len + 1);
    *out_len = fg_body_php_name(out, name, len);
    return out;
}
