/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of HTML: however a page is cut, and whether values are asked for or not, the same
 * tags at the same places. The first byte says whether CDATA sections are known. */
#include "fuzz.h"
#include "html_names.h"
#include "html_tokens.h"

typedef struct reading {
    fuzz_text_t tags, values;
    fg_html_tokens_t *tokens;
    unsigned int mask;
    apr_off_t end; /* of the last tag */
} reading_t;

static const char *to_tag(void *baton, const char *p, const char *end)
{
    const char *at = memchr(p, '<', (size_t)(end - p));

    (void)baton;
    return at ? at : end;
}

static unsigned int on_name(void *baton, const fg_html_tag_t *tag)
{
    reading_t *r = baton;

    MUST(strlen(tag->name) <= FG_HTML_NAME_MAX);
    return tag->end ? 0 : r->mask;
}

static fg_html_content_t on_tag(void *baton, const fg_html_tag_t *tag)
{
    reading_t *r = baton;
    const char *p;
    int i;

    MUST(tag->from >= r->end && tag->from + 2 < tag->to);
    r->end = tag->to;
    for (p = tag->name; *p; p++) {
        MUST(!(*p >= 'A' && *p <= 'Z') && *p != '>' && *p != '/' && *p != ' ');
    }
    fuzz_add_number(&r->tags, (long long)tag->from);
    fuzz_add_number(&r->tags, (long long)tag->to);
    fuzz_add_number(&r->tags, tag->end + 2 * tag->closed);
    fuzz_add_text(&r->tags, tag->name);
    for (i = 0; i < FG_HTML_ATTRS; i++) {
        MUST(!tag->value[i] || (r->mask & FG_HTML_BIT(i)));
        MUST(!tag->value[i] || !(tag->cut & FG_HTML_BIT(i)));
        MUST(!tag->value[i] || strlen(tag->value[i]) < FG_HTML_VALUES_MAX);
        fuzz_add_text(&r->values, tag->value[i] ? tag->value[i] : "-");
        fuzz_add(&r->values, "", 1);
    }
    return tag->end || !*tag->name ? FG_HTML_MARKUP : fg_html_content(tag->name);
}

static void read_page(reading_t *r, const unsigned char *data, size_t len, uint32_t seed,
                      unsigned int mask, int cdata, apr_pool_t *parent)
{
    static const fg_html_ops_t ops = {to_tag, on_name, on_tag};
    fuzz_cut_t cut = fuzz_cut(data, len, seed);
    apr_off_t at = 0, open;
    const char *piece;
    apr_pool_t *pool;

    apr_pool_create(&pool, parent);
    memset(r, 0, sizeof(*r));
    r->mask = mask;
    r->tokens = fg_html_tokens_create(&ops, r, pool);
    fg_html_tokens_cdata(r->tokens, cdata);
    while ((piece = fuzz_piece(&cut, &len)) != NULL) {
        fg_html_tokens_feed(r->tokens, piece, len);
        at += (apr_off_t)len;
        MUST(fg_html_tokens_at(r->tokens) == at);
        open = fg_html_tokens_open(r->tokens);
        MUST(open == -1 || (open >= r->end && open < at));
    }
    fuzz_add_number(&r->tags, (long long)fg_html_tokens_open(r->tokens));
    apr_pool_destroy(pool);
}

static void done(reading_t *r)
{
    free(r->tags.text);
    free(r->values.text);
}

FUZZ_TARGET(html_tokens)
{
    const unsigned int all = FG_HTML_BIT(FG_HTML_ATTRS) - 1;
    fuzz_in_t in = {data, len};
    int cdata = fuzz_byte(&in) & 1;
    reading_t whole, other;
    uint32_t hash = fuzz_hash(data, len);

    read_page(&whole, in.p, in.left, 0, all, cdata, pool);
    read_page(&other, in.p, in.left, 1, all, cdata, pool);
    MUST(fuzz_same(&other.tags, &whole.tags) && fuzz_same(&other.values, &whole.values));
    done(&other);
    read_page(&other, in.p, in.left, 0, 0, cdata, pool);
    MUST(fuzz_same(&other.tags, &whole.tags));
    done(&other);
    read_page(&other, in.p, in.left, hash | 2, hash & all, cdata, pool);
    MUST(fuzz_same(&other.tags, &whole.tags));
    done(&other);
    done(&whole);
}
