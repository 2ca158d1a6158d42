/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file html_tokens_internal.h
 * @brief What html_tokens.c and html_raw.c share.
 */
#ifndef FG_HTML_TOKENS_INTERNAL_H
#define FG_HTML_TOKENS_INTERNAL_H

#include "html_tokens.h"

/* The states of the standard, those that differ in nothing seen from here taken together. */
typedef enum state {
    DATA,
    TAG_OPEN,
    END_TAG_OPEN,
    TAG_NAME,
    BEFORE_ATTR,
    ATTR_NAME,
    AFTER_ATTR,
    BEFORE_VALUE,
    VALUE_DOUBLE,
    VALUE_SINGLE,
    VALUE_BARE,
    AFTER_VALUE,
    SELF_CLOSING,
    MARKUP_DECLARATION,
    BOGUS_COMMENT,
    COMMENT_START,
    COMMENT_START_DASH,
    COMMENT,
    COMMENT_DASH,
    COMMENT_END,
    COMMENT_END_BANG,
    CDATA,
    PLAINTEXT,
    /* text up to an end tag, and script */
    RAW_TEXT,
    RAW_LESS,
    RAW_BANG,
    RAW_BANG_DASH,
    RAW_END_NAME,
    RAW_START_NAME
} state_t;

struct fg_html_tokens {
    const fg_html_ops_t *ops;
    void *baton;
    state_t state;
    apr_off_t base;    /* bytes read before this call */
    fg_html_tag_t tag; /* being read, or the last one */
    apr_size_t name_len;
    unsigned int asked;  /* mask of attributes to keep */
    int kept;            /* 1: some were asked for */
    char attr[16];       /* name of the attribute being read */
    apr_size_t attr_len; /* may be more than there is room for */
    int keeping;         /* which attribute's value is kept; FG_HTML_ATTRS: none */
    apr_size_t used;     /* bytes of `values` */
    char values[FG_HTML_VALUES_MAX];
    char opened[FG_HTML_NAME_MAX + 1]; /* whose end tag ends the text */
    apr_size_t matched;                /* of a markup declaration, or brackets of `]]>` */
    int cdata;
    int script;  /* 1: the text is a script's */
    int escaped; /* script: 1 behind `<!--`, 2 behind a `<script` in that */
    int dashes;  /* script: `-` in a row, 2 at most */
};

/* Which bytes end a name or a bare value, and which white space is. */
#define SPACE 1
#define NAMED 2 /* white space, `/`, `>` */
#define ATTRD 4 /* the same and `=` */

/** Of each byte, the mask of those. */
extern const unsigned char fg_html_bytes[256];

#define IS(c, kind) ((fg_html_bytes[(unsigned char)(c)] & (kind)) != 0)

static inline int is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/** A tag's name was read: tell it, and ask which attributes are to be kept. */
void fg_html_end_name(fg_html_tokens_t *t);

/** One byte of a text that ends at an end tag, or of a script, in a state from RAW_TEXT on.
 * @return 1 if it was taken, 0 if it is the next state's */
int fg_html_raw(fg_html_tokens_t *t, char c, apr_off_t at);

#endif
