/* SPDX-License-Identifier: Apache-2.0 */
#include "html_tokens.h"

#include <string.h>

#include "html_tokens_internal.h"

#define CDATA_OPEN "[CDATA["

const unsigned char fg_html_bytes[256] = {
    ['\t'] = SPACE | NAMED | ATTRD, ['\n'] = SPACE | NAMED | ATTRD,
    ['\f'] = SPACE | NAMED | ATTRD, ['\r'] = SPACE | NAMED | ATTRD,
    [' '] = SPACE | NAMED | ATTRD,  ['/'] = NAMED | ATTRD,
    ['>'] = NAMED | ATTRD,          ['='] = ATTRD,
};

/* Names of fg_html_attr_t. */
static const char *const attr_names[FG_HTML_ATTRS] = {
    "action", "charset", "class", "content", "href", "http-equiv", "method", "name", "src", "type"};

fg_html_tokens_t *fg_html_tokens_create(const fg_html_ops_t *ops, void *baton, apr_pool_t *pool)
{
    fg_html_tokens_t *t = apr_pcalloc(pool, sizeof(*t));

    t->ops = ops;
    t->baton = baton;
    t->state = DATA;
    t->keeping = FG_HTML_ATTRS;
    return t;
}

void fg_html_tokens_cdata(fg_html_tokens_t *t, int allowed)
{
    t->cdata = allowed;
}

apr_off_t fg_html_tokens_at(const fg_html_tokens_t *t)
{
    return t->base;
}

apr_off_t fg_html_tokens_open(const fg_html_tokens_t *t)
{
    switch (t->state) {
    case TAG_OPEN:
    case END_TAG_OPEN:
    case TAG_NAME:
    case BEFORE_ATTR:
    case ATTR_NAME:
    case AFTER_ATTR:
    case BEFORE_VALUE:
    case VALUE_DOUBLE:
    case VALUE_SINGLE:
    case VALUE_BARE:
    case AFTER_VALUE:
    case SELF_CLOSING:
    case RAW_LESS:
    case RAW_END_NAME:
        return t->tag.from;
    default:
        return -1;
    }
}

/* --- a tag ------------------------------------------------------------------------------------ */

static void start_tag(fg_html_tokens_t *t, int end)
{
    t->tag.end = end;
    t->tag.closed = 0;
    t->name_len = 0;
    t->state = TAG_NAME;
}

void fg_html_end_name(fg_html_tokens_t *t)
{
    if (t->name_len > FG_HTML_NAME_MAX) {
        t->name_len = 0;
    }
    t->tag.name[t->name_len] = '\0';
    t->keeping = FG_HTML_ATTRS;
    if (t->kept) { /* of the tag before */
        memset(t->tag.value, 0, sizeof(t->tag.value));
        t->tag.cut = 0;
        t->used = 0;
    }
    t->asked = t->ops->named(t->baton, &t->tag);
    t->kept = t->asked != 0;
}

static void end_tag(fg_html_tokens_t *t, apr_off_t to)
{
    fg_html_content_t content;

    t->tag.to = to;
    t->state = DATA;
    content = t->ops->tag(t->baton, &t->tag);
    if (t->tag.end || content == FG_HTML_MARKUP) {
        return;
    }
    t->state = content == FG_HTML_PLAINTEXT ? PLAINTEXT : RAW_TEXT;
    t->script = content == FG_HTML_SCRIPT;
    t->escaped = 0;
    t->dashes = 0;
    memcpy(t->opened, t->tag.name, sizeof(t->opened));
}

static void start_attr(fg_html_tokens_t *t)
{
    t->used += t->keeping != FG_HTML_ATTRS; /* the one before had no value */
    t->attr_len = 0;
    t->keeping = FG_HTML_ATTRS;
    t->state = ATTR_NAME;
}

/* The first of equal names counts. */
static void end_attr(fg_html_tokens_t *t)
{
    int i;

    for (i = 0; i < FG_HTML_ATTRS; i++) {
        if ((t->asked & FG_HTML_BIT(i)) != 0 && strlen(attr_names[i]) == t->attr_len &&
            memcmp(attr_names[i], t->attr, t->attr_len) == 0) {
            t->asked &= ~FG_HTML_BIT(i);
            if (t->used < sizeof(t->values)) {
                t->values[t->used] = '\0';
                t->tag.value[i] = t->values + t->used;
                t->keeping = i;
            }
            else {
                t->tag.cut |= FG_HTML_BIT(i);
            }
            return;
        }
    }
}

static void keep(fg_html_tokens_t *t, const char *data, apr_size_t len)
{
    if (t->keeping == FG_HTML_ATTRS || len == 0) {
        return;
    }
    if (len >= sizeof(t->values) - t->used) {
        t->tag.value[t->keeping] = NULL;
        t->tag.cut |= FG_HTML_BIT(t->keeping);
        t->used = sizeof(t->values);
        t->keeping = FG_HTML_ATTRS;
        return;
    }
    memcpy(t->values + t->used, data, len);
    t->used += len;
}

static void end_value(fg_html_tokens_t *t, state_t next)
{
    if (t->keeping != FG_HTML_ATTRS) {
        t->values[t->used++] = '\0';
        t->keeping = FG_HTML_ATTRS;
    }
    t->state = next;
}

/* Each of these takes bytes from `p` on and returns where it has stopped: behind what it took, or
 * on a byte that the next state is to see. */

static const char *read_name(fg_html_tokens_t *t, const char *p, const char *end)
{
    for (; p < end; p++) {
        if (IS(*p, NAMED)) {
            fg_html_end_name(t);
            t->state = BEFORE_ATTR;
            return p;
        }
        if (t->name_len < FG_HTML_NAME_MAX) {
            t->tag.name[t->name_len] = lower(*p);
        }
        t->name_len += t->name_len <= FG_HTML_NAME_MAX;
    }
    return p;
}

static const char *read_attr(fg_html_tokens_t *t, const char *p, const char *end)
{
    const char *start = p;
    apr_size_t i;

    if (t->attr_len == 0 && *p == '=') {
        p++; /* a name may start with one */
    }
    while (p < end && !IS(*p, ATTRD)) {
        p++;
    }
    if (t->asked != 0) {
        for (i = 0; start + i < p && t->attr_len + i < sizeof(t->attr); i++) {
            t->attr[t->attr_len + i] = lower(start[i]);
        }
    }
    t->attr_len += (apr_size_t)(p - start);
    if (p < end) {
        if (t->asked != 0 && t->attr_len <= sizeof(t->attr)) {
            end_attr(t);
        }
        t->state = *p == '=' ? BEFORE_VALUE : AFTER_ATTR;
        p += *p == '=';
    }
    return p;
}

static const char *read_quoted(fg_html_tokens_t *t, const char *p, const char *end, char quote)
{
    const char *stop = memchr(p, quote, (apr_size_t)(end - p));

    keep(t, p, (apr_size_t)((stop != NULL ? stop : end) - p));
    if (stop == NULL) {
        return end;
    }
    end_value(t, AFTER_VALUE);
    return stop + 1;
}

static const char *read_bare(fg_html_tokens_t *t, const char *p, const char *end)
{
    const char *start = p;

    while (p < end && *p != '>' && !IS(*p, SPACE)) {
        p++;
    }
    keep(t, start, (apr_size_t)(p - start));
    if (p < end) {
        end_value(t, BEFORE_ATTR);
    }
    return p;
}

/* Between the parts of a tag: one byte. @return 1 if it was taken, 0 if it is the next state's */
static int between(fg_html_tokens_t *t, char c, apr_off_t at)
{
    switch (t->state) {
    case BEFORE_ATTR:
    case AFTER_ATTR:
    case AFTER_VALUE:
        if (IS(c, SPACE)) {
            t->state = t->state == AFTER_VALUE ? BEFORE_ATTR : t->state;
        }
        else if (c == '/') {
            t->state = SELF_CLOSING;
        }
        else if (c == '>') {
            end_tag(t, at + 1);
        }
        else if (c == '=' && t->state == AFTER_ATTR) {
            t->state = BEFORE_VALUE;
        }
        else {
            start_attr(t);
            return 0;
        }
        return 1;
    case BEFORE_VALUE:
        if (c == '"' || c == '\'') {
            t->state = c == '"' ? VALUE_DOUBLE : VALUE_SINGLE;
        }
        else if (c == '>') {
            end_tag(t, at + 1);
        }
        else if (!IS(c, SPACE)) {
            t->state = VALUE_BARE;
            return 0;
        }
        return 1;
    default: /* SELF_CLOSING */
        if (c == '>') {
            t->tag.closed = 1;
            end_tag(t, at + 1);
            return 1;
        }
        t->state = BEFORE_ATTR;
        return 0;
    }
}

/* Behind `<`. */
static int open_tag(fg_html_tokens_t *t, char c)
{
    if (t->state == TAG_OPEN && c == '/') {
        t->state = END_TAG_OPEN;
        return 1;
    }
    if (is_alpha(c)) {
        start_tag(t, t->state == END_TAG_OPEN);
        return 0;
    }
    if (t->state == END_TAG_OPEN) {
        t->state = c == '>' ? DATA : BOGUS_COMMENT;
        return c == '>';
    }
    t->matched = 0;
    t->state = c == '!' ? MARKUP_DECLARATION : c == '?' ? BOGUS_COMMENT : DATA;
    return c == '!';
}

/* --- comments and their like ------------------------------------------------------------------ */

/* Behind `<!`: `--`, `[CDATA[`, or something that ends at the next `>`, a DOCTYPE, too. */
static int declare(fg_html_tokens_t *t, char c)
{
    if (c == '-' && t->matched == 0) {
        t->matched = 100;
    }
    else if (c == '-' && t->matched == 100) {
        t->state = COMMENT_START;
    }
    else if (t->cdata && t->matched < sizeof(CDATA_OPEN) - 1 && c == CDATA_OPEN[t->matched]) {
        if (++t->matched == sizeof(CDATA_OPEN) - 1) {
            t->matched = 0;
            t->state = CDATA;
        }
    }
    else {
        t->state = BOGUS_COMMENT;
        return 0;
    }
    return 1;
}

static void comment(fg_html_tokens_t *t, char c)
{
    switch (t->state) {
    case COMMENT_START:
    case COMMENT_START_DASH:
        t->state = c == '>'                    ? DATA
                   : c != '-'                  ? COMMENT
                   : t->state == COMMENT_START ? COMMENT_START_DASH
                                               : COMMENT_END;
        break;
    case COMMENT_END:
        t->state = c == '>' ? DATA : c == '!' ? COMMENT_END_BANG : c == '-' ? COMMENT_END : COMMENT;
        break;
    case COMMENT_END_BANG:
        t->state = c == '>' ? DATA : c == '-' ? COMMENT_DASH : COMMENT;
        break;
    case COMMENT_DASH:
        t->state = c == '-' ? COMMENT_END : COMMENT;
        break;
    default: /* CDATA */
        if (c == '>' && t->matched >= 2) {
            t->state = DATA;
        }
        t->matched = c == ']' ? t->matched + 1 : 0;
        break;
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

/* To the next byte that means something where most mean nothing. @return `end`: there is none */
static const char *skip_to(char c, const char *p, const char *end)
{
    const char *found = memchr(p, c, (apr_size_t)(end - p));

    return found != NULL ? found : end;
}

static const char *skip(const fg_html_tokens_t *t, const char *p, const char *end)
{
    switch (t->state) {
    case DATA:
        return t->ops->skip(t->baton, p, end);
    case COMMENT:
        return skip_to('-', p, end);
    case BOGUS_COMMENT:
        return skip_to('>', p, end);
    case CDATA:
        return t->matched == 0 ? skip_to(']', p, end) : p;
    case RAW_TEXT:
        return t->escaped == 0 ? skip_to('<', p, end) : p;
    case PLAINTEXT:
        return end;
    default:
        return p;
    }
}

/* One byte outside names and values. @return 1 if it was taken */
static int step(fg_html_tokens_t *t, char c, apr_off_t at)
{
    switch (t->state) {
    case DATA: /* it is `<` */
        t->tag.from = at;
        t->state = TAG_OPEN;
        return 1;
    case TAG_OPEN:
    case END_TAG_OPEN:
        return open_tag(t, c);
    case MARKUP_DECLARATION:
        return declare(t, c);
    case BOGUS_COMMENT: /* it is `>` */
        t->state = DATA;
        return 1;
    case COMMENT: /* it is `-` */
        t->state = COMMENT_DASH;
        return 1;
    case COMMENT_START:
    case COMMENT_START_DASH:
    case COMMENT_DASH:
    case COMMENT_END:
    case COMMENT_END_BANG:
    case CDATA:
        comment(t, c);
        return 1;
    case RAW_TEXT:
    case RAW_LESS:
    case RAW_BANG:
    case RAW_BANG_DASH:
    case RAW_END_NAME:
    case RAW_START_NAME:
        return fg_html_raw(t, c, at);
    default:
        return between(t, c, at);
    }
}

void fg_html_tokens_feed(fg_html_tokens_t *t, const char *data, apr_size_t len)
{
    const char *end = data + len;
    const char *p = data;

    while ((p = skip(t, p, end)) < end) {
        switch (t->state) {
        case TAG_NAME:
            p = read_name(t, p, end);
            break;
        case ATTR_NAME:
            p = read_attr(t, p, end);
            break;
        case VALUE_DOUBLE:
            p = read_quoted(t, p, end, '"');
            break;
        case VALUE_SINGLE:
            p = read_quoted(t, p, end, '\'');
            break;
        case VALUE_BARE:
            p = read_bare(t, p, end);
            break;
        default:
            p += step(t, *p, t->base + (p - data));
            break;
        }
    }
    t->base += (apr_off_t)len;
}
