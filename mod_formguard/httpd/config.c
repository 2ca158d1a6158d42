/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration: core's table of directives as httpd's command table, and what stands once. */
#include "apr_lib.h"
#include "apr_strings.h"

#include "unixd.h"

#include "core/policy_directives.h"
#include "module.h"

APLOG_USE_MODULE(formguard);

/* httpd hands over so many words of a line at most and drops the rest in silence (AP_MAX_ARGC in
 * server/config.c). */
#define ARGV_MAX 64

void *fg_create_dir_config(apr_pool_t *pool, char *dir)
{
    (void)dir;
    return apr_pcalloc(pool, sizeof(fg_policy_stack_t));
}

void *fg_merge_dir_config(apr_pool_t *pool, void *base, void *add)
{
    /* httpd merges a dozen sections for each request: most of them say nothing to us. */
    if (fg_policy_stack_is_empty(add)) {
        return base;
    }
    return fg_policy_stack_is_empty(base) ? add : fg_policy_stack_merge(base, add, pool);
}

void *fg_create_server_config(apr_pool_t *pool, server_rec *s)
{
    (void)s;
    return apr_pcalloc(pool, sizeof(fg_server_conf_t));
}

/* Of a virtual host; what is the main server's alone is read from there. */
void *fg_merge_server_config(apr_pool_t *pool, void *base, void *add)
{
    const fg_server_conf_t *main_server = base;
    fg_server_conf_t *host = apr_pmemdup(pool, add, sizeof(*host));

    if (host->site == NULL) {
        host->site = main_server->site;
    }
    return host;
}

/* --- directives of the policy ----------------------------------------------------------------- */

static const char *resolve_path(void *baton, const char *path)
{
    cmd_parms *cmd = baton;

    return ap_server_root_relative(cmd->pool, path);
}

/* The sections around a line, from the inside out. cmd->path is not enough: it is `form.php` for
 * every <Files form.php> wherever that stands, and the same for every <If>. */
static const char *sections_of(cmd_parms *cmd)
{
    const ap_directive_t *section;
    const char *text = "";

    for (section = cmd->directive->parent; section != NULL; section = section->parent) {
        text =
            apr_pstrcat(cmd->temp_pool, text, "\n", section->directive, " ", section->args, NULL);
    }
    return text;
}

/* The ServerName of the virtual host around a line, which stays when lines are put above it. */
static const char *vhost_name(cmd_parms *cmd)
{
    const ap_directive_t *line = cmd->directive;

    while (line->parent != NULL) {
        line = line->parent;
    }
    for (line = line->first_child; line != NULL; line = line->next) {
        if (strcasecmp(line->directive, "ServerName") == 0) {
            return line->args;
        }
    }
    return apr_psprintf(cmd->temp_pool, "%s:%u", cmd->server->defn_name,
                        cmd->server->defn_line_number);
}

/* Where a line stands. It names the counters of the rules made there, so it must not be something
 * two customers can have in common: in .htaccess that is the file itself, since the sections in it
 * are text the customer chooses. */
static const char *scope_of(cmd_parms *cmd)
{
    const char *sections = sections_of(cmd);

    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL) {
        return apr_pstrcat(cmd->temp_pool, "file:", cmd->directive->filename, sections, NULL);
    }
    if (cmd->server->is_virtual) {
        return apr_pstrcat(cmd->temp_pool, "vhost:", vhost_name(cmd), sections, NULL);
    }
    return apr_pstrcat(cmd->temp_pool, "server", sections, NULL);
}

/* Which of the two layers a line belongs to; NULL if the server config allows none from here. */
static fg_policy_t *layer_of(cmd_parms *cmd, fg_policy_stack_t *stack)
{
    const fg_policy_stack_t *server;

    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) == NULL) {
        stack->has_server = 1;
        return &stack->server;
    }
    server = ap_get_module_config(cmd->server->lookup_defaults, &formguard_module);
    if (fg_policy_override(&server->server) == FG_OVERRIDE_NONE) {
        return NULL;
    }
    stack->has_site = 1;
    return &stack->site;
}

static const char *set_policy(cmd_parms *cmd, void *stack, int argc, char *const argv[])
{
    const fg_directive_t *directive = cmd->cmd->cmd_data;
    fg_policy_t *policy = layer_of(cmd, stack);
    fg_words_t words;
    /* <Limit GET> would not limit them: they would hold for every method. */
    const char *error = ap_check_cmd_context(cmd, NOT_IN_LIMIT);

    if (error != NULL) {
        return error;
    }
    if (policy == NULL) {
        error = "not allowed here: the server config says FormGuardOverride none";
    }
    else if (argc >= ARGV_MAX) {
        error = "takes fewer than 64 values: write the line twice";
    }
    else if (directive->context != FG_CTX_DIR) {
        error = ap_check_cmd_context(cmd, directive->context == FG_CTX_SECTION
                                              ? NOT_IN_HTACCESS
                                              : NOT_IN_HTACCESS | NOT_IN_DIR_CONTEXT);
        if (error != NULL) {
            return error;
        }
    }
    if (error == NULL) {
        words.argc = argc;
        words.argv = argv;
        words.scope = scope_of(cmd);
        words.site = ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL;
        words.resolve = resolve_path;
        words.baton = cmd;
        words.pool = cmd->pool;
        words.temp_pool = cmd->temp_pool;
        words.user = ap_unixd_config.user_id; /* of the User line above this one */
        error = fg_policy_apply(directive, policy, &words);
    }
    return error == NULL ? NULL : apr_psprintf(cmd->pool, "%s: %s", directive->name, error);
}

/* --- what stands once ------------------------------------------------------------------------- */

static fg_server_conf_t *server_conf(cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config, &formguard_module);
}

static const char *set_geo_database(cmd_parms *cmd, void *policy, const char *arg)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);

    (void)policy;
    if (path == NULL) {
        return apr_psprintf(cmd->pool, "%s: '%s' is no path", cmd->cmd->name, arg);
    }
    server_conf(cmd)->geo_database = path;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_pages(cmd_parms *cmd, void *policy, const char *arg)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);
    const char *error;
    apr_finfo_t info;

    (void)policy;
    if (path == NULL) {
        return apr_psprintf(cmd->pool, "%s: '%s' is no path", cmd->cmd->name, arg);
    }
    /* A file that is missing there is taken from ours; a folder that is missing is a mistake. */
    if (apr_stat(&info, path, APR_FINFO_TYPE, cmd->temp_pool) != APR_SUCCESS ||
        info.filetype != APR_DIR) {
        return apr_psprintf(cmd->pool, "%s: '%s' is no folder", cmd->cmd->name, path);
    }
    /* Here too, so that `httpd -t` finds a mistake that would end the server at its restart. */
    error = fg_pages_load(path, cmd->pool);
    if (error != NULL) {
        return apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, error);
    }
    server_conf(cmd)->pages = path;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

/* A plain decimal number within a range; -1 if it is none. */
static apr_int64_t number(const char *text, apr_int64_t least, apr_int64_t most)
{
    const char *p;
    apr_int64_t value;

    for (p = text; *p != '\0'; p++) {
        if (!apr_isdigit(*p)) {
            return -1;
        }
    }
    if (p == text || p - text > 12) {
        return -1;
    }
    value = apr_atoi64(text);
    return value < least || value > most ? -1 : value;
}

static const char *set_counters(cmd_parms *cmd, void *policy, const char *arg)
{
    apr_int64_t entries = FG_COUNTERS_DEFAULT;

    (void)policy;
    if (strncasecmp(arg, "shm", 3) != 0 || (arg[3] != '\0' && arg[3] != ':')) {
        return apr_psprintf(cmd->pool, "%s: '%s' is not shm or shm:ENTRIES", cmd->cmd->name, arg);
    }
    if (arg[3] == ':') {
        entries = number(arg + 4, 1024, 268435456);
        if (entries < 0) {
            return apr_psprintf(cmd->pool, "%s: '%s' is out of range: shm:1024 to shm:268435456",
                                cmd->cmd->name, arg);
        }
    }
    server_conf(cmd)->counters = (apr_uint32_t)entries;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_slots(cmd_parms *cmd, void *policy, const char *arg)
{
    apr_int64_t slots = number(arg, 1, FG_SLOTS_MAX);

    (void)policy;
    if (slots < 0) {
        return apr_psprintf(cmd->pool, "%s: '%s' is out of range: 1 to %d", cmd->cmd->name, arg,
                            FG_SLOTS_MAX);
    }
    server_conf(cmd)->slots = (int)slots;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_secret_check(cmd_parms *cmd, void *policy, int on)
{
    (void)policy;
    server_conf(cmd)->secrets_unchecked = !on;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_signing_key(cmd_parms *cmd, void *policy, const char *arg)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);

    (void)policy;
    if (path == NULL) {
        return apr_psprintf(cmd->pool, "%s: '%s' is no path", cmd->cmd->name, arg);
    }
    server_conf(cmd)->signing_key = path;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_resolver(cmd_parms *cmd, void *policy, const char *arg)
{
    fg_dnsbl_t *dnsbl;

    (void)policy;
    if (fg_dnsbl_create(&dnsbl, arg, cmd->temp_pool) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: '%s' is not ADDRESS:PORT[,ADDRESS:PORT...]",
                            cmd->cmd->name, arg);
    }
    server_conf(cmd)->dnsbl_resolver = arg;
    return ap_check_cmd_context(cmd, GLOBAL_ONLY);
}

static const char *set_site(cmd_parms *cmd, void *policy, const char *arg)
{
    const char *error = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT);

    (void)policy;
    if (error != NULL) {
        return error;
    }
    server_conf(cmd)->site = ap_expr_parse_cmd(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &error, NULL);
    return error == NULL ? NULL
                         : apr_psprintf(cmd->pool, "%s: '%s' is no expression: %s", cmd->cmd->name,
                                        arg, error);
}

/* --- the command table ------------------------------------------------------------------------ */

/* Where httpd allows them; OR_AUTHCFG is `AllowOverride AuthConfig`. */
#define WHERE_DIR     (RSRC_CONF | OR_AUTHCFG)
#define WHERE_SECTION (RSRC_CONF | ACCESS_CONF)
#define WHERE_VHOST   RSRC_CONF

enum policy_row {
#define ROW(name, context, parser, field, syntax, dflt) ROW_##parser##field,
    FG_POLICY_DIRECTIVES(ROW)
#undef ROW
};

const command_rec fg_commands[] = {
#define ROW(name, context, parser, field, syntax, dflt)                                            \
    AP_INIT_TAKE_ARGV(name, set_policy, (void *)&fg_policy_directives[ROW_##parser##field],        \
                      WHERE_##context, syntax "; default: " dflt),
    FG_POLICY_DIRECTIVES(ROW)
#undef ROW
        AP_INIT_TAKE1("FormGuardGeoDatabase", set_geo_database, NULL, RSRC_CONF,
                      "PATH; default: none"),
    AP_INIT_TAKE1("FormGuardCounters", set_counters, NULL, RSRC_CONF,
                  "shm[:ENTRIES]; default: shm:262144"),
    AP_INIT_FLAG("FormGuardCaptchaSecretCheck", set_secret_check, NULL, RSRC_CONF,
                 "On|Off; default: On"),
    AP_INIT_TAKE1("FormGuardCaptchaSlots", set_slots, NULL, RSRC_CONF,
                  "NUMBER; default: a quarter of the workers"),
    AP_INIT_TAKE1("FormGuardDNSBLResolver", set_resolver, NULL, RSRC_CONF,
                  "ADDRESS:PORT[,ADDRESS:PORT...]; default: the system's"),
    AP_INIT_TAKE1("FormGuardSigningKeyFile", set_signing_key, NULL, RSRC_CONF,
                  "PATH; default: lib/formguard/signing-key in the state folder"),
    AP_INIT_TAKE1("FormGuardSite", set_site, NULL, RSRC_CONF,
                  "EXPR; default: %{CONTEXT_DOCUMENT_ROOT}"),
    AP_INIT_TAKE1("FormGuardPages", set_pages, NULL, RSRC_CONF,
                  "PATH; default: the installed ones"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};
