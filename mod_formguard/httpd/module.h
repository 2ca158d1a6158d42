/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file module.h
 * @brief What the files of the module share: configuration, runtime, the state of one request.
 */
#ifndef FG_MODULE_H
#define FG_MODULE_H

#include "httpd.h"
#include "http_config.h"
#include "ap_expr.h"
#include "http_log.h"
#include "util_filter.h"

#include "core/country.h"
#include "core/counters.h"
#include "core/decide.h"
#include "core/http_client.h"
#include "core/notices.h"
#include "core/policy.h"
#include "core/slots.h"
#include "core/stats.h"
#include "core/strip.h"
#include "core/throttle.h"
#include "core/verify.h"

extern module AP_MODULE_DECLARE_DATA formguard_module;

/** What a hook does for the requests it is for. Kept out of the hook, which for all others
 * returns before a register need be saved. */
#define FG_APART __attribute__((noinline))

/* --- config.c --------------------------------------------------------------------------------- */

/** What stands once in the server config. Unset members are 0. */
typedef struct fg_server_conf {
    const char *geo_database;   /**< path, or NULL */
    apr_uint32_t counters;      /**< keys of the table */
    int secrets_unchecked;      /**< 1: FormGuardCaptchaSecretCheck Off */
    int slots;                  /**< workers that may wait for a vendor; 0: a quarter of them */
    const char *pages;          /**< folder of page templates, or NULL */
    const char *signing_key;    /**< path, or NULL */
    const char *dnsbl_resolver; /**< `ADDRESS:PORT,...`, or NULL for the system's */
    ap_expr_info_t *site;       /**< what the key `site` is, of a virtual host, or NULL */
} fg_server_conf_t;

#define FG_COUNTERS_DEFAULT 262144

extern const command_rec fg_commands[];

/** create_dir_config: an fg_policy_stack_t with nothing set. */
void *fg_create_dir_config(apr_pool_t *pool, char *dir);

/** merge_dir_config: fg_policy_stack_merge(), or one of the two where the other says nothing. */
void *fg_merge_dir_config(apr_pool_t *pool, void *base, void *add);

/** create_server_config: an fg_server_conf_t. */
void *fg_create_server_config(apr_pool_t *pool, server_rec *s);

/** merge_server_config: a virtual host without FormGuardSite has that of the main server. */
void *fg_merge_server_config(apr_pool_t *pool, void *base, void *add);

/* --- runtime.c -------------------------------------------------------------------------------- */

/** Things said once in the life of a configuration, whichever process comes to it first. */
typedef enum fg_said {
    FG_SAID_DEFAULT_LIMIT,
    FG_SAID_NO_GEO,
    FG_SAID_NO_SECRET,
    FG_SAID_NO_WIDGET
} fg_said_t;

/** What every request uses. Set up at start, the same in all processes but for `client`. */
typedef struct fg_runtime {
    fg_counters_t *counters;
    fg_slots_t *slots;
    fg_closures_t *closures;
    fg_stats_t *stats;
    fg_altcha_t *altcha; /**< the captcha built in */
    fg_throttle_t *throttle;
    fg_notices_t *notices;
    fg_counters_t *spent; /**< tokens that were used, see core/spent.h */
    fg_breaker_t *breaker;
    fg_secrets_t *secrets;
    fg_dnsbl_cache_t *dnsbl_cache;
    fg_dnsbl_t *dnsbl;          /**< of this process; NULL: it could not be made */
    fg_country_db_t *countries; /**< NULL: none configured */
    fg_http_client_t *client;   /**< of this process; NULL: it could not be made */
    const char *temp_dir;       /**< for bodies too large for memory */
} fg_runtime_t;

/**
 * Set up the memory that outlives restarts, or find it again.
 * @param runtime its members that lie in that memory are set
 * @return 1, or 0 after an error was logged
 */
int fg_shared_set_up(const fg_server_conf_t *conf, fg_runtime_t *runtime, apr_pool_t *pconf,
                     server_rec *s);

/** The runtime; its members are NULL until post_config has run. */
const fg_runtime_t *fg_runtime(void);

/** @return 1 for the first caller since the server was started or restarted, else 0 */
int fg_say_once(fg_said_t what);

/** @return 0, 1, 2, ... to whichever process calls, since the server was started or restarted */
unsigned int fg_next_secret(void);

/**
 * The same for something that is said of a site: once each, and of so many sites only that whoever
 * writes .htaccess files can't fill the log.
 * @param site fg_facts_site()
 */
int fg_say_once_of(const char *site);

/** post_config: shared memory, country database, pages. */
int fg_runtime_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/** child_init: what can't be shared, the HTTP client. */
void fg_runtime_child_init(apr_pool_t *pchild, server_rec *s);

/* --- secrets.c -------------------------------------------------------------------------------- */

/** Have the captcha services asked whether they know the server config's secrets, once httpd runs.
 * @param pconf keeps the list of them */
void fg_secrets_check(apr_pool_t *pconf, server_rec *s);

/* --- the state of one request: handler.c ------------------------------------------------------ */

/** A body on its way: what was read of it and not handed on yet. */
typedef struct fg_captured_body {
    apr_bucket_brigade *kept;     /**< ends in EOS if `whole` */
    int whole;                    /**< 0: more of it waits in the network */
    int started;                  /**< 1: some of it was read */
    fg_strip_t *strip;            /**< what could be left out of it; NULL: nothing */
    const fg_policy_t *strip_for; /**< on whose behalf */
} fg_captured_body_t;

/** Lives in the request_config of the request that was judged; found from later internal
 * redirects through r->prev. */
typedef struct fg_request {
    request_rec *r;
    const fg_policy_stack_t *stack;
    fg_case_t c; /**< the decision, while it is made */
    fg_verdict_t verdict;
    fg_captured_body_t body;
    const char *path;      /**< what the client asked for, without path info */
    const char *reference; /**< fg_reference() of a refusal that is logged, or NULL */
    int deferred;          /**< 1: rewritten, a later pass is to be judged by this policy, too */
    int judged;            /**< 0: the verdict is still being made */
    fg_charge_t step;      /**< what its clearance was charged for it */
    int steps_left;        /**< how many more posts of its form its client has clearance for */
    fg_charge_t arrived;   /**< by what it is known when it comes again */
    int repeat;            /**< 1: refused, and one like it has arrived */
} fg_request_t;

/** The content handler, first of all: judges, then declines or refuses. */
int fg_handler(request_rec *r);

/* --- repeat.c --------------------------------------------------------------------------------- */

/** Remember an accepted post whose captcha was solved, unless its application answers an error. */
void fg_repeat_accepted(fg_request_t *fr);

/** 1 if a post that its captcha refuses was accepted shortly before: the same fields, client
 * (an IPv6 client is its /64) and URL. */
int fg_repeat_known(const fg_request_t *fr);

/** For register_hooks. */
void fg_repeat_register(void);

/* --- status_open.c ---------------------------------------------------------------------------- */

/** 1 if the request is for the status page, it is shown, and closed forms may be opened there. */
int fg_status_opens(request_rec *r);

/* --- verify.c --------------------------------------------------------------------------------- */

/** The decision's question to a captcha service: fg_server_ops_t's `verify`. */
void fg_ask_verify(fg_case_t *c, const fg_policy_t *policy, const char *token,
                   fg_captcha_result_t *result);

/* --- facts.c ---------------------------------------------------------------------------------- */

/** 1 if the policy guards one of the paths this request goes by: as asked for or as it is now,
 * with and without path info, or that of its file below the document root. */
int fg_facts_path_guarded(request_rec *r, const fg_policy_t *policy);

/** The path the client asked for, with path info. */
const char *fg_facts_path_asked(request_rec *r);

/** The paths this request goes by, for fg_case_t: as asked for, as it is now, of its file below the
 * document root (or NULL); the first two with path info. */
void fg_facts_paths(request_rec *r, const char *path[FG_PATHS]);

/** The path the client asked for, without path info. */
const char *fg_facts_path(request_rec *r);

/** What the key `site` counts by, in r->pool. */
const char *fg_facts_site(request_rec *r);

/** What the key `form` counts by, in r->pool: virtual host, a line end and the path of the script;
 * of a URL that leads to no file no path but one word for all of them (of that handler). */
const char *fg_facts_form(request_rec *r);

/** The client's address as mod_remoteip left it. */
void fg_facts_client(request_rec *r, fg_address_t *address);

/** Both clocks, now. */
fg_time_t fg_facts_now(void);

/* --- capture.c, replay.c ---------------------------------------------------------------------- */

/**
 * Read the request's body: keep it for replay, pick out the fields the policy asks for.
 * @param fr       the request; its body is filled in
 * @param captured filled in
 */
void fg_capture(fg_request_t *fr, fg_captured_t *captured);

/** Leave the captcha's field out of an accepted body, where its policy wants that. */
void fg_strip(fg_request_t *fr);

/** Register the replay filter. */
void fg_replay_register(void);

/** Let the handlers of `r` read the kept body, then what is still in the network. */
void fg_replay_insert(request_rec *r, fg_captured_body_t *body);

/** Let the handlers of `r` (an ErrorDocument) see an empty body and nothing of the network. */
void fg_replay_insert_empty(request_rec *r);

/* --- template.c ------------------------------------------------------------------------------- */

/** Where values go in a template: {{name}}. All are text but `form`, which is HTML of our own. */
#define FG_SLOT_ROWS(X)                                                                            \
    X(FG_SLOT_LANG, "lang")                                                                        \
    X(FG_SLOT_TITLE, "title")                                                                      \
    X(FG_SLOT_TEXT, "text")                                                                        \
    X(FG_SLOT_RETRY, "retry")                                                                      \
    X(FG_SLOT_BACK, "back")                                                                        \
    X(FG_SLOT_CONTACT, "contact")                                                                  \
    X(FG_SLOT_REFERENCE, "reference")                                                              \
    X(FG_SLOT_TIME, "time")                                                                        \
    X(FG_SLOT_STATUS, "status")                                                                    \
    X(FG_SLOT_FORM, "form")

typedef enum fg_slot {
#define FG_SLOT_ENUM(slot, name) slot,
    FG_SLOT_ROWS(FG_SLOT_ENUM)
#undef FG_SLOT_ENUM
        FG_SLOTS
} fg_slot_t;

typedef struct fg_template fg_template_t;

/** Take a template apart. @param text lives as long as what is returned, which `pool` owns */
const fg_template_t *fg_template_parse(const char *text, apr_pool_t *pool);

/** A page, in `pool`. @param values by slot; they are escaped where they are text; NULL is "" */
const char *fg_template_fill(const fg_template_t *template, const char *const values[FG_SLOTS],
                             apr_pool_t *pool);

/* --- respond.c, respond_json.c, pages.c, accept.c --------------------------------------------- */

/** What a refused client is told, in its language; a sentence that does not apply is "". */
typedef struct fg_told {
    int language;
    const char *key;       /**< of the reason */
    const char *title;     /**< what happened, in a few words */
    const char *text;      /**< what happened */
    const char *retry;     /**< when to try again */
    const char *back;      /**< how to get back to the form */
    const char *contact;   /**< how else the owner is to be reached */
    const char *reference; /**< with what he finds this in his log */
    const char *time;      /**< the server's local time */
} fg_told_t;

/** Answer a refusal: the ErrorDocument if there is one, else problem+json or a page.
 * @return what the handler returns */
int fg_respond(fg_request_t *fr);

/** Seconds until another try makes sense, rounded up; 0: unknown. */
apr_int64_t fg_respond_retry(const fg_verdict_t *verdict);

/** The answer for a script: status and type are set in fr->r. @return its text, in r->pool */
const char *fg_respond_json(fg_request_t *fr, const fg_told_t *told);

/**
 * Load template and texts: from `dir` where they are, else the ones built in.
 * @param dir  folder, or NULL
 * @param pool owns them
 * @return NULL, or what is wrong with a file
 */
const char *fg_pages_load(const char *dir, apr_pool_t *pool);

/** The index of the language (0: en) that an Accept-Language header asks for. */
int fg_pages_language(const char *accept_language);

/** The language's tag (`ja`). */
const char *fg_pages_tag(int language);

/** A text by its key; "" if there is none. */
const char *fg_pages_text(int language, const char *key);

/** What a visitor is told of a reason. */
typedef struct fg_about {
    const char *title;
    const char *text;
} fg_about_t;

/** In place of a reason: refused, and one like it has arrived. */
#define FG_ABOUT_REPEAT FG_REASON_COUNT

/** The texts of a reason, or FG_ABOUT_REPEAT; "" if there is none. */
const fg_about_t *fg_pages_about(int language, fg_reason_t reason);

/** Texts a refusal may have whatever its reason; "" if there is none. */
typedef struct fg_common {
    const char *back;
    const char *contact;   /**< with %s */
    const char *reference; /**< with %s */
} fg_common_t;

/** These, in a language. */
const fg_common_t *fg_pages_common(int language);

/** A text with `value` where it says %s; "" if there is no value. */
const char *fg_pages_with(apr_pool_t *pool, const char *text, const char *value);

/** `Please try again in 9 minutes (after 14:41 JST).` @param seconds 0: unknown, and ""
 * @param now wall clock */
const char *fg_pages_retry(apr_pool_t *pool, int language, apr_int64_t seconds, apr_time_t now);

/** The wall clock's time in the server's zone: `2026-11-22 14:32:10 JST`. */
const char *fg_pages_time(apr_pool_t *pool, apr_time_t now);

/** The refusal page, in `pool`. */
const char *fg_pages_refusal(apr_pool_t *pool, const fg_told_t *told, int status);

/** The challenge page, in `pool`. @param values as for fg_template_fill() */
const char *fg_pages_challenge(apr_pool_t *pool, const char *const values[FG_SLOTS]);

/** A script of ours, by its name: of the challenge page, or of pages that FormGuardInject adds to.
 * @return NULL: there is none */
const char *fg_pages_script(const char *name);

/** A widget for FormGuardCaptcha altcha, where ALTCHA's is not installed. */
const char *fg_pages_widget(void);

/** The most values that fg_accept_qualities() is asked for. */
#define FG_ACCEPT_MAX 4

/**
 * Qualities an Accept or Accept-Language header gives to values, in thousandths (RFC 9110 12.4.2):
 * 0 to 1000; of each the most specific range counts.
 * @param header    the header's value, or NULL: everything is welcome
 * @param values    `text/html`, or `ja` (which also matches `ja-JP`); FG_ACCEPT_MAX at most
 * @param qualities filled in, one for each value
 */
void fg_accept_qualities(const char *header, const char *const *values, int *qualities, int count);

/* --- cors.c ----------------------------------------------------------------------------------- */

/** Let a script of the site's own pages read the refusal of `r` where its page has another scheme
 * or port, unless the site's configuration has said who may. */
void fg_cors_insert(request_rec *r);

/** Register what fg_cors_insert() inserts. */
void fg_cors_register(void);

/* --- altcha.c, wellknown.c -------------------------------------------------------------------- */

/**
 * Find or make the key of the captcha built in.
 * @param runtime its `altcha` is set, in pconf
 * @return 1, or 0 after an error was logged
 */
int fg_altcha_set_up(const fg_server_conf_t *conf, fg_runtime_t *runtime, apr_pool_t *pconf,
                     apr_pool_t *ptemp, server_rec *s);

/**
 * Count that a client asks for a challenge.
 * @param now steady time
 * @return how many it has asked for in ten minutes, this one included
 */
apr_uint32_t fg_altcha_recent(const fg_address_t *client, apr_time_t now);

/** What a solution or a clearance for this post has to be good for. */
fg_altcha_subject_t fg_altcha_subject(const fg_request_t *fr);

/** How long a challenge is good where `policy` asks for it, microseconds. */
apr_interval_time_t fg_altcha_life(const fg_policy_t *policy);

/** Judge a solution that was posted, good once. @param result filled in always */
void fg_altcha_verify(fg_case_t *c, const fg_policy_t *policy, const char *token,
                      fg_captcha_result_t *result);

/** 1 if a challenge of this server's was solved for it, whenever and for whatever. */
int fg_altcha_own(fg_case_t *c, const char *token);

/** Use up one step of the clearance that came with a request. @return 1 if it has a good one */
int fg_clearance_use(fg_request_t *fr, const fg_policy_t *policy);

/** Give that step back: the request is refused for something else. */
void fg_clearance_give_back(fg_request_t *fr);

/** Give the visitor a clearance, as the policy says: a cookie. */
void fg_clearance_grant(fg_request_t *fr, const fg_policy_t *policy);

/* --- challenge.c ------------------------------------------------------------------------------ */

/**
 * Open what the challenge page has kept, where the captured body is such.
 * @param captured `kept`, `answer`, `fallback` are set; `capture` if it was not sealed here
 * @param data     set to the body that was posted at first; r's Content-Type is set to its own
 * @param len      set to the bytes of it
 * @return 1; 0: it is something else, or was not sealed here
 */
int fg_challenge_open(fg_request_t *fr, fg_captured_t *captured, const char **data,
                      apr_size_t *len);

/** The answer a visitor shows whose post was too large to be kept: a cookie of that page's script.
 * In r->pool; NULL: none. */
const char *fg_challenge_shown(request_rec *r);

/** 1 if the post is refused for want of an answer to the captcha built in. */
int fg_challenge_asked(const fg_request_t *fr);

/** Where the challenge for the form of a request is, in r->pool. */
const char *fg_challenge_url(request_rec *r);

/** Answer with the page that asks for the captcha and keeps the submission: headers and page. */
const char *fg_challenge_page(fg_request_t *fr, const fg_told_t *told);

/* --- form_policy.c, wellknown.c --------------------------------------------------------------- */

/**
 * The policy that asks a post to some form for a captcha.
 * @param form a lookup of where the form is sent to, ap_sub_req_method_uri("POST", ...); what is
 *             told lives as long
 * @return NULL: none seen from here does
 */
const fg_policy_t *fg_form_captcha(request_rec *form);

/**
 * The same of a post to `path` from a page, if it is guarded there or where it is rewritten to.
 * @param path   percent-encoded
 * @param lookup set to what is to be given to ap_destroy_sub_req() when the policy was used
 */
const fg_policy_t *fg_form_guard(request_rec *page, const char *path, request_rec **lookup);

/** Register what serves challenges and the widget. */
void fg_wellknown_register(void);

/* --- inject.c --------------------------------------------------------------------------------- */

/** Register what adds the widget to pages. */
void fg_inject_register(void);

/* --- count.c ---------------------------------------------------------------------------------- */

/** Count what became of a judged post. @param started when its decision began */
void fg_count_verdict(const fg_request_t *fr, fg_time_t started);

/** Count that a rule with action=log has fired. */
void fg_count_logged(const fg_verdict_t *verdict);

/** Count a POST that nobody guards, so that a provider finds the mailer nobody knows of. */
void fg_count_unguarded(request_rec *r);

/* --- logline.c -------------------------------------------------------------------------------- */

/** How a verdict came out, for the log. */
typedef enum fg_log_kind {
    FG_LOG_DONE,
    FG_LOG_WOULD,
    FG_LOG_ONLY,
    FG_LOG_CLOSED /**< this post has closed its form for everybody: an error */
} fg_log_kind_t;

/** One line for a verdict: notice for a refusal, info for an accepted post. Of a flood of refusals
 * only some are written; see core/throttle.h. */
void fg_logline(fg_request_t *fr, const fg_verdict_t *verdict, fg_log_kind_t kind);

/** Tell what was not written, where it is due: a cheap look otherwise. To the main server's log,
 * since it is of all virtual hosts. @param now steady time */
void fg_log_summaries(apr_time_t now);

/**
 * Ask before a line that is not about a verdict is written, and that a client can bring about.
 * @return NULL: do not write it; else what to put behind it: "" or ` suppressed=N`, in `pool`
 */
const char *fg_log_notice(fg_notice_t kind, apr_time_t now, apr_pool_t *pool);

/** A receiver for core's own lines that writes them to the server's log. */
fg_log_t *fg_core_log(apr_pool_t *pool, server_rec *s);

#endif
