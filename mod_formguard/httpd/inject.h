/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file inject.h
 * @brief FormGuardInject: what its filter has to know of pages and where forms are sent to.
 */
#ifndef FG_INJECT_H
#define FG_INJECT_H

#include "httpd.h"

#include "core/html_forms.h"
#include "core/html_found.h"
#include "core/widget.h"

/** 1 if the answer is a page that may be changed, now that its headers are known. */
int fg_inject_is_page(request_rec *r);

/** 1 if the answer may turn out to be a page, before there is one: what browsers ask for a page,
 * and nothing else, names text/html in Accept. */
int fg_inject_may_be_page(const request_rec *r);

/** mod_proxy's hook, about to ask the server behind with a copy of the header lines: where the
 * answer may be a page it is asked for without compression, or it could not be read. */
int fg_inject_ask_uncompressed(request_rec *r);

/** Take away the headers that say what no longer holds for a page that is changed. */
void fg_inject_unset_headers(request_rec *r);

/** The output filter. */
#define FG_INJECT_FILTER "FORMGUARD_INJECT"

/** A page that is a file, and what was found in it. */
typedef struct fg_page_file {
    apr_finfo_t info;
    fg_html_found_t found;
} fg_page_file_t;

/**
 * The file that httpd is about to send as it is. httpd opens it after it has looked at it, and says
 * its length and its ETag as they were then; so is what was found in it.
 * @return in the request's pool; NULL: it is none, or is not known
 */
fg_page_file_t *fg_page_file_asked(request_rec *r);

/** 1 if this is that file, all of it and nothing else. */
int fg_page_file_comes(const fg_page_file_t *file, const apr_bucket_brigade *bb);

/**
 * The file that these buckets are.
 * @param known set: 1 if it was read before, and what was found is filled in
 * @return in `pool`; NULL: they are none
 */
fg_page_file_t *fg_page_file_of(const apr_bucket_brigade *bb, apr_pool_t *pool, int *known);

/** Remember what was found. @param now when it was opened, or earlier */
void fg_page_file_keep(const fg_page_file_t *file, apr_time_t now);

/** child_init: the memory of it. */
void fg_page_file_child_init(apr_pool_t *pchild);

/** A path that some form of a page is sent to. */
typedef struct fg_target {
    const char *path;
    const char *field; /**< of the widget; NULL: none is to be added */
    fg_widget_t widget;
} fg_target_t;

/**
 * Where a form was sent to a moment ago: its field and widget, without what that needs of a policy.
 * A visitor who is told what held for the one before him, since the conditions of a RewriteRule
 * tell them apart, is shown the widget when he posts.
 * @param r      asks for the page
 * @param base   of the page, or NULL
 * @param action of the form, or NULL
 * @return in the request's pool; NULL: it has to be found out
 */
const fg_target_t *fg_target_recall(request_rec *r, const char *base, const char *action);

/** What was found now, on a page without a policy of its own. @param lookup of the target's path */
void fg_target_keep(request_rec *r, const char *base, const char *action, fg_target_t *target,
                    const request_rec *lookup);

/** child_init: the place for what is found. */
void fg_target_child_init(apr_pool_t *pchild);

/** All those of a page. */
typedef struct fg_targets fg_targets_t;

/** child_init: what all lookups share. */
void fg_targets_child_init(apr_pool_t *pchild);

/** None yet; in the request's pool. */
fg_targets_t *fg_targets_create(request_rec *r);

/** Take note of `<base href>`. */
void fg_targets_base(fg_targets_t *targets, const char *href);

/** Take note of a Content-Security-Policy in the page. @param policy NULL: it is not known */
void fg_targets_csp(fg_targets_t *targets, const char *policy);

/** Where a form is sent to; looked up once for each path. @return NULL: it wants no widget */
const fg_target_t *fg_targets_of(fg_targets_t *targets, const fg_html_form_t *form);

/** Tell the owner that a form stays without its widget, once a site and reason.
 * @param path where it is sent to, or NULL */
void fg_inject_say(request_rec *r, const char *path, const char *why);

#endif
