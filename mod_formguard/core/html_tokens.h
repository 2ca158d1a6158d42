/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file html_tokens.h
 * @brief Finds the tags of an HTML page while it passes by, where a browser finds them: the
 *        tokenizer of the HTML standard (https://html.spec.whatwg.org/multipage/parsing.html),
 *        without the text between tags. However the page is cut, it finds the same.
 *
 * Works on bytes. What a tag is made of is ASCII, and no byte of a longer character is `<`, `>`, a
 * quote, `=`, `/` or white space in any encoding browsers know but UTF-16 and ISO-2022-JP
 * (https://encoding.spec.whatwg.org/: second bytes are 0x40 and up, in GB18030 also digits).
 */
#ifndef FG_HTML_TOKENS_H
#define FG_HTML_TOKENS_H

#include <apr_pools.h>

/** Longest tag name that is told, bytes; of a longer one nothing is. */
#define FG_HTML_NAME_MAX 31

/** Most bytes kept of the attribute values of one tag. */
#define FG_HTML_VALUES_MAX 8192

/** The attributes whose values can be asked for. */
typedef enum fg_html_attr {
    FG_HTML_ACTION,
    FG_HTML_CHARSET,
    FG_HTML_CLASS,
    FG_HTML_CONTENT,
    FG_HTML_HREF,
    FG_HTML_HTTP_EQUIV,
    FG_HTML_METHOD,
    FG_HTML_NAME,
    FG_HTML_SRC,
    FG_HTML_TYPE,
    FG_HTML_ATTRS
} fg_html_attr_t;

/** Mask of one attribute. */
#define FG_HTML_BIT(attr) (1U << (attr))

typedef struct fg_html_tag {
    char name[FG_HTML_NAME_MAX + 1];  /**< lower case; "" if longer */
    int end;                          /**< 1: `</name>` */
    int closed;                       /**< 1: `<name/>` */
    apr_off_t from;                   /**< of its `<`, bytes from the start of the page */
    apr_off_t to;                     /**< behind its `>` */
    const char *value[FG_HTML_ATTRS]; /**< as written, entities not decoded; NULL: not there, not
                                           asked for, or cut */
    unsigned int cut;                 /**< mask of values that are there and too long to be kept */
} fg_html_tag_t;

/** How what follows a start tag is read. */
typedef enum fg_html_content {
    FG_HTML_MARKUP,   /**< tags */
    FG_HTML_RAW,      /**< text up to its end tag: style, title, textarea, ... */
    FG_HTML_SCRIPT,   /**< the same, with the oddities of script */
    FG_HTML_PLAINTEXT /**< text to the end of the page */
} fg_html_content_t;

/** What is told while a page is read. */
typedef struct fg_html_ops {
    /** Between tags. @return the `<` of the next one that is to be read, or that `end` cuts off;
     * `end` if there is none */
    const char *(*skip)(void *baton, const char *p, const char *end);
    /** A tag's name was read. @return mask of the attributes whose values are to be kept */
    unsigned int (*named)(void *baton, const fg_html_tag_t *tag);
    /** A tag was read. @return how to go on behind a start tag */
    fg_html_content_t (*tag)(void *baton, const fg_html_tag_t *tag);
} fg_html_ops_t;

typedef struct fg_html_tokens fg_html_tokens_t;

/** Make one for a page. @param pool owns it */
fg_html_tokens_t *fg_html_tokens_create(const fg_html_ops_t *ops, void *baton, apr_pool_t *pool);

/** Read the next bytes. */
void fg_html_tokens_feed(fg_html_tokens_t *tokens, const char *data, apr_size_t len);

/** Whether `<![CDATA[` starts a CDATA section, as in svg and math, or a comment. */
void fg_html_tokens_cdata(fg_html_tokens_t *tokens, int allowed);

/** Where the tag that is being read starts (or what may become one); -1: none is. */
apr_off_t fg_html_tokens_open(const fg_html_tokens_t *tokens);

/** How many bytes were read. */
apr_off_t fg_html_tokens_at(const fg_html_tokens_t *tokens);

#endif
