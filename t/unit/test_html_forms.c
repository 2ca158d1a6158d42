/* SPDX-License-Identifier: Apache-2.0 */
/* Pages as people, editors and robots write them, and where a widget goes in each: `{W}`. However a
 * page is cut, the same comes out, and all of it but the widgets is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include <cmocka.h>

#include "html_entities.h"
#include "html_forms.h"
#include "html_names.h"
#include "html_skip.h"

#define MARK "{W}"

static apr_pool_t *pool;

/* --- a page on its way ------------------------------------------------------------------------ */

typedef struct page {
    fg_html_forms_t *forms;
    char *out;
    apr_size_t used;
    const char *in;
    apr_off_t passed; /* of `in` */
    char *told;       /* what else was told, a line each */
} page_t;

static void pass(page_t *page, apr_off_t to)
{
    assert_true(to >= page->passed); /* a widget's place is never behind what went out */
    memcpy(page->out + page->used, page->in + page->passed, (size_t)(to - page->passed));
    page->used += (apr_size_t)(to - page->passed);
    page->passed = to;
}

static void tell(page_t *page, const char *what, const char *value)
{
    page->told = apr_pstrcat(pool, page->told, what, "=", value, "\n", NULL);
}

/* Wanted are forms that are sent to /mail..., and to the page itself. */
static const char *on_form(void *baton, const fg_html_form_t *form)
{
    page_t *page = baton;

    tell(page, "form", form->action != NULL ? form->action : "(none)");
    if (form->in_table) {
        tell(page, "in", "table");
    }
    return form->action == NULL || *form->action == '\0' || strncmp(form->action, "/mail", 5) == 0
               ? "token"
               : NULL;
}

static void on_widget(void *baton, apr_off_t at)
{
    page_t *page = baton;

    pass(page, at);
    memcpy(page->out + page->used, MARK, 3);
    page->used += 3;
}

static void on_base(void *baton, const char *href)
{
    tell(baton, "base", href);
}

static void on_csp(void *baton, const char *policy)
{
    tell(baton, "csp", policy != NULL ? policy : "(cut)");
}

static void on_script(void *baton, const char *src)
{
    tell(baton, "script", src);
}

static void open_page(page_t *page, const char *in, apr_size_t len)
{
    static const fg_html_forms_ops_t ops = {on_form, on_widget, on_base, on_csp, on_script};

    memset(page, 0, sizeof(*page));
    page->in = in;
    page->out = apr_palloc(pool, len * 2 + 64);
    page->told = apr_pstrdup(pool, "");
    page->forms = fg_html_forms_create(&ops, page, pool);
}

/* A copy of its own, so that AddressSanitizer sees what is read beyond it. */
static void feed(page_t *page, apr_size_t from, apr_size_t len, apr_off_t *bound)
{
    char *copy = malloc(len > 0 ? len : 1);
    apr_off_t safe;

    memcpy(copy, page->in + from, len);
    fg_html_forms_feed(page->forms, copy, len);
    memset(copy, 'x', len);
    free(copy);
    safe = fg_html_forms_safe(page->forms);
    if (safe > (apr_off_t)(from + len)) {
        safe = (apr_off_t)(from + len);
    }
    pass(page, safe);
    *bound = (apr_off_t)(from + len) - page->passed > *bound
                 ? (apr_off_t)(from + len) - page->passed
                 : *bound;
}

static void end_page(page_t *page, apr_size_t len)
{
    fg_html_forms_end(page->forms);
    pass(page, (apr_off_t)len);
}

/* In pieces of `step` bytes, the first of `first`. @return what came out; `told` what was told */
static apr_size_t run(const char *in, apr_size_t len, apr_size_t first, apr_size_t step,
                      const char **out, const char **told)
{
    apr_size_t at = first < len ? first : len;
    apr_off_t bound = 0;
    page_t page;

    open_page(&page, in, len);
    feed(&page, 0, at, &bound);
    for (; at < len; at += step) {
        feed(&page, at, at + step < len ? step : len - at, &bound);
    }
    end_page(&page, len);
    assert_true(bound <= FG_HTML_HOLD_MAX + (apr_off_t)step);
    *out = page.out;
    *told = page.told;
    return page.used;
}

static char *without_marks(const char *text)
{
    char *plain = apr_palloc(pool, strlen(text) + 1);
    char *out = plain;

    while (*text != '\0') {
        if (strncmp(text, MARK, 3) == 0) {
            text += 3;
        }
        else {
            *out++ = *text++;
        }
    }
    *out = '\0';
    return plain;
}

static void assert_page(const char *expected)
{
    const char *in = without_marks(expected);
    apr_size_t len = strlen(in);
    apr_size_t cut;
    const char *told;
    const char *out;
    const char *other;
    apr_size_t n = run(in, len, len, 1, &out, &told);
    const char *whole = apr_pstrmemdup(pool, out, n);

    assert_string_equal(whole, expected);
    for (cut = 0; cut < len; cut++) {
        n = run(in, len, cut, len, &out, &other);
        assert_string_equal(apr_pstrmemdup(pool, out, n), expected);
        assert_string_equal(other, told);
    }
    for (cut = 1; cut < 4; cut++) {
        n = run(in, len, cut, cut, &out, &other);
        assert_string_equal(apr_pstrmemdup(pool, out, n), expected);
        assert_string_equal(other, told);
    }
    apr_pool_clear(pool);
}

/* --- the table -------------------------------------------------------------------------------- */

#define FORM  "<form action=/mail method=post>"
#define FIELD "<input name=a>"
#define SEND  "<input type=submit>"
#define PLAIN FORM FIELD MARK SEND "</form>" /* found */
#define NONE  FORM FIELD SEND                /* not found, or found to carry one */

static void test_where(void **state)
{
    static const char *const pages[] = {
        PLAIN,
        /* the place: before the last buttons */
        FORM FIELD "<p>" MARK "<button>Send</button></p></form>",
        FORM FIELD "<p>" MARK "<input type=reset> <button type=submit>Send</button></p></form>",
        FORM FIELD "<button type=button>Find address</button>" FIELD MARK SEND "</form>",
        FORM FIELD "<input type=submit value=Address>" FIELD MARK SEND "<hr></form>",
        FORM FIELD MARK "<input type=image src=send.gif></form>",
        FORM FIELD "<input type=hidden name=x>" MARK SEND "<input type=hidden name=y></form>",
        FORM FIELD MARK "<input type=submit value=Back>&nbsp;<input type=submit value=Send></form>",
        FORM "<table><tr><td>" FIELD "</td></tr><tr><td>" MARK SEND "</td></tr></table></form>",
        /* no submit button */
        FORM FIELD "<a href=# onclick=\"f.submit()\">Send</a>" MARK "</form>",
        FORM FIELD "<button type=button onclick=s()>Send</button>" MARK "</form>",
        FORM FIELD SEND "<textarea></textarea>" MARK "</form>", FORM MARK "</form>",
        /* nobody has closed it */
        FORM FIELD MARK SEND "</body></html>", FORM FIELD MARK "</body></html>",
        FORM FIELD MARK "</html>", FORM FIELD MARK, FORM FIELD MARK "</for",
        FORM FIELD MARK SEND "</form", FORM FIELD MARK SEND, FORM MARK "<input type=submit",
        /* two forms, and forms in forms */
        PLAIN "<p>" PLAIN,
        "<form action=/search>" FIELD SEND "</form>" PLAIN "<form action=/x method=post></form>",
        FORM FIELD "<form action=/x method=post>" MARK SEND "</form>" SEND "</form>" PLAIN,
        "<form action=/x method=post>" FORM FIELD SEND "</form>" PLAIN,
        "</form>" PLAIN "</form>" PLAIN, NULL};
    const char *const *page;

    (void)state;
    for (page = pages; *page != NULL; page++) {
        assert_page(*page);
    }
}

static void test_which(void **state)
{
    static const char *const pages[] = {
        "<FORM ACTION='/mail' METHOD='POST'>" MARK "</FORM>",
        "<form\tmethod = \"Post\"\n action = '/mail.php?a>b' >" MARK "</form >",
        "<form action=\"&#47;m&#x61;il&#46;php&amp;\" method=post>" MARK "</form>",
        "<form method=post>" MARK "</form>", "<form method=post action>" MARK "</form>",
        "<form method=post method=get action=/mail action=/x/>" MARK "</form>",
        "<form/method='post'/action=/mail>" MARK "</form>", "<form action=/mail>" SEND "</form>",
        "<form action=/mail method=get>" SEND "</form>",
        "<form action=/mail method=dialog>" SEND "</form>",
        "<form action=/mail method=\" post\">" SEND "</form>",
        "<form action=/other method=post>" SEND "</form>",
        "<form method=get method=post action=/mail>" SEND "</form>",
        "<formfoo action=/mail method=post>" SEND "</form>",
        "<for action=/mail method=post>" SEND "</form>",
        "< form action=/mail method=post>" SEND "</form>",
        "<fieldset-with-a-name-of-more-than-31-letters action=/mail method=post>" SEND,
        /* it carries one */
        FORM "<altcha-widget challenge=/x></altcha-widget>" SEND "</form>" PLAIN,
        FORM FIELD SEND "<ALTCHA-WIDGET/></form>",
        FORM "<div class=\"row g-recaptcha\" data-sitekey=x></div>" SEND "</form>",
        FORM SEND "<p><div data-x=1 class=h-captcha></div></form>",
        FORM "<span class='\ncf-turnstile\n'></span>" SEND "</form>",
        FORM "<div class=frc-captcha></div>" SEND "</form>",
        FORM "<button class=\"g-recaptcha btn\" data-callback=s>Send</button></form>",
        FORM SEND "<input type=hidden name=token></form>",
        FORM "<textarea name=token></textarea>" SEND "</form>",
        FORM "<div class=\"g-recaptcha-note xg-recaptcha\">" MARK SEND "</form>",
        FORM "<div title=g-recaptcha>" MARK SEND "</form>",
        FORM "<div title=altcha-widget><altcha-widgets>" MARK SEND "</form>", NULL};
    const char *const *page;

    (void)state;
    for (page = pages; *page != NULL; page++) {
        assert_page(*page);
    }
}

static void test_not_fooled(void **state)
{
    static const char *const pages[] = {
        "<!-- " NONE "</form> -->" PLAIN, "<!-->" PLAIN, "<!--->" PLAIN, "<!-- a --!>" PLAIN,
        "<!-- a -- b -->" PLAIN, "<!-- <!-- -->" PLAIN, "<!--a--->" PLAIN, "<!-a>" PLAIN,
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01//EN\">" PLAIN, "<?php echo '?>" PLAIN,
        "</ " FORM FIELD SEND "</form>" PLAIN, /* a comment up to the first `>` */
        "</>" PLAIN, "<>" PLAIN, "a < b, a <3 " PLAIN,
        "<script>var a = '" NONE "</form>';</script>" PLAIN, "<SCRIPT>" NONE "</Script >" PLAIN,
        "<script>a</scripty></script/>" PLAIN, "<script><!-- " NONE " --></script>" PLAIN,
        "<script><!-- <script> </script> " NONE " --></script>" PLAIN,
        "<script><!-- <script> " NONE " </script> </script>" PLAIN,
        "<script><!--><script></script>" PLAIN, "<script><!-- <scripts> </script>" PLAIN,
        "<script><!-- <script>--></script>" PLAIN, "<script><!-- <script> </script",
        "<style>/* " NONE "</form> */</style>" PLAIN, "<title>" NONE "</title>" PLAIN,
        "<textarea>" NONE "</form></textarea>" PLAIN, "<noscript>" NONE "</form></noscript>" PLAIN,
        "<iframe>" NONE "</form></iframe>" PLAIN, "<xmp>" NONE "</form></xmp>" PLAIN,
        "<template>" NONE "</form></template>" PLAIN,
        "<template><template></template>" NONE "</form></template></template>" PLAIN,
        "<plaintext>" NONE "</form></plaintext>" NONE,
        "<p title=\""
        "<form action=/mail method=post>"
        "\">" PLAIN,
        "<p title='>' a=\">\" b = '\">'>" PLAIN, "<p title=a\"b'>" PLAIN, "<p \"'>" PLAIN,
        "<p a='\">\"'b=\"'>'\">" PLAIN, "<p =a=\">\">" PLAIN, "<p a= >" PLAIN, "<p a=\"" NONE,
        "<p title=<form action=/mail method=post>" PLAIN, "<a href=/mail/>" PLAIN,
        FORM "<textarea></form></textarea>" MARK SEND "</form>",
        FORM "<!-- </form> -->" FIELD MARK SEND "</form>",
        FORM "<option value='</form>'>" MARK SEND "</form>",
        FORM MARK SEND "<script>'</form>'</script></form>",
        /* svg and math */
        "<svg><title><style></title></style></svg>" PLAIN,
        "<svg><style>a</style><script>'<b>'</script></svg>" PLAIN,
        "<svg><![CDATA[ " NONE "</form> ]]></svg>" PLAIN, "<svg><![CDATA[]]]></svg>" PLAIN,
        "<![CDATA[ a > ]]>" PLAIN, "<svg>" NONE "</form></svg>" PLAIN, "<svg/>" PLAIN,
        "<svg><p>" PLAIN,
        "<svg><foreignObject><title>" NONE "</title><svg></svg></foreignObject></svg>" PLAIN,
        "<math><mi><style>" NONE "</style></mi></math>" PLAIN, NULL};
    const char *const *page;

    (void)state;
    for (page = pages; *page != NULL; page++) {
        assert_page(*page);
    }
}

static void test_encodings(void **state)
{
    static const char *const pages[] = {
        /* Shift_JIS: second bytes that are ASCII elsewhere: \ ` | } */
        FORM "\x83\x5C\x94\x60\x83\x7C\x81\x70<input name=\"\x94\x5C\">" MARK SEND "</form>",
        "<p title=\x83\x5C>" FORM "<input value='\x83\x5C'>" MARK SEND "</form>",
        "\xEF\xBB\xBF" PLAIN,
        /* not understood: left alone */
        "\x1B$B%;$\x1B(B" NONE "</form>", "\x1B(J" NONE "</form>", "\xFE\xFF" NONE "</form>",
        "\xFF\xFE" NONE "</form>", "<meta charset=ISO-2022-JP>" NONE "</form>",
        "<meta http-equiv=Content-Type content='text/html; charset=\"iso-2022-jp\"'>" NONE
        "</form>",
        "<meta charset=Shift_JIS><meta name=x content=charset=iso-2022-jp>" PLAIN,
        "a \x1B b \x1B[0m" PLAIN, PLAIN "\x1B$B" NONE "</form>", FORM SEND "\x1B$B</form>", NULL};
    const char *const *page;

    (void)state;
    for (page = pages; *page != NULL; page++) {
        assert_page(*page);
    }
}

/* Each character of the double-byte encodings, in each place: none of its bytes is taken for
 * markup, and none that follows is taken for a part of it. */
static void test_double_bytes(void **state)
{
    static const char *const places[][2] = {
        {"<p>", "</p>"}, {"<p a=\"", "\">"}, {"<p a='", "'>"},
        {"<p a=", " >"}, {"<!--", "-->"},    {"<title>", "</title>"},
        {"<p", ">"},     {"<p ", ">"},       {"<script>\"", "\"</script>"},
        {"<p ", "=a>"}};
    unsigned int lead;
    unsigned int trail;
    apr_size_t i;

    (void)state;
    for (lead = 0x81; lead < 0xFF; lead++) {
        for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            for (trail = 0x40; trail < 0xFF; trail++) {
                const char bytes[] = {(char)lead, (char)trail, '\0'};
                const char *expected =
                    apr_pstrcat(pool, places[i][0], bytes, places[i][1], PLAIN, NULL);
                const char *in = without_marks(expected);
                const char *told;
                const char *out;
                apr_size_t n = run(in, strlen(in), strlen(in), 1, &out, &told);

                assert_string_equal(apr_pstrmemdup(pool, out, n), expected);
                apr_pool_clear(pool);
            }
        }
    }
}

static void test_told(void **state)
{
    static const char in[] =
        "<base target=_top><base href=\"/a/?x&amp;y\"><base href=/b/>"
        "<meta http-equiv=content-security-policy content=\"script-src &apos;self&apos;\">"
        "<meta http-equiv=refresh content=1><script src='/x.js'></script><script></script>"
        "<form method=post action=\"?a&ampb&amp=1&lt&#0;&#xD800;&#128512;&copy;&#;&\"></form>"
        "<table><form method=post action=/mail><tr><td>" SEND "</form></table>"
        "<table><tr><td><form method=post action=/mail></form></td><form method=post></form>";
    apr_off_t bound = 0;
    page_t page;

    (void)state;
    open_page(&page, in, strlen(in));
    feed(&page, 0, strlen(in), &bound);
    end_page(&page, strlen(in));
    assert_string_equal(page.told,
                        "base=/a/?x&y\ncsp=script-src 'self'\nscript=/x.js\n"
                        "form=?a&ampb&amp=1<\xEF\xBF\xBD\xEF\xBF\xBD\xF0\x9F\x98\x80&copy;&#;&\n"
                        "form=/mail\nin=table\nform=/mail\nform=(none)\nin=table\n");
    assert_string_equal(fg_html_encode("a\"<&>'", pool), "a&quot;&lt;&amp;&gt;'");
    apr_pool_clear(pool);
}

static const char *filler(apr_size_t len)
{
    char *text = apr_palloc(pool, len + 1);

    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

/* What does not fit into what is held back. */
static void test_bounds(void **state)
{
    const apr_size_t lens[] = {8000, 9000, FG_HTML_HOLD_MAX - 100, FG_HTML_HOLD_MAX + 1, 200000};
    apr_size_t i;
    apr_size_t step;

    (void)state;
    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        const char *long_text = filler(lens[i]);
        int fits = lens[i] < FG_HTML_HOLD_MAX;
        const char *const pages[] = {
            /* a long tail: the widget of somebody else behind it is not waited for */
            apr_pstrcat(pool, FORM FIELD, fits ? "" : MARK, SEND, long_text,
                        "<div class=g-recaptcha></div></form>" PLAIN, NULL),
            apr_pstrcat(pool, FORM FIELD MARK SEND, long_text, "</form>" PLAIN, NULL),
            /* long tags */
            apr_pstrcat(pool, FORM FIELD, fits ? MARK : "", "<input type=submit value=\"",
                        long_text, "\">", fits ? "" : MARK, "</form>" PLAIN, NULL),
            apr_pstrcat(pool, FORM FIELD, fits ? MARK : "", "</form ", long_text, ">" PLAIN, NULL),
            apr_pstrcat(pool, "<form method=post action=\"/mail", long_text, "\">",
                        lens[i] < 8100 ? MARK : "", "</form>" PLAIN, NULL),
            apr_pstrcat(pool, "<form class=\"", long_text, "\" method=post>" MARK "</form>" PLAIN,
                        NULL),
            apr_pstrcat(pool, "<", long_text, " a>" PLAIN, NULL),
            apr_pstrcat(pool, "<p ", long_text, "='>'>" PLAIN, NULL),
            apr_pstrcat(pool, "<!--", long_text, "-->" PLAIN, NULL),
        };
        apr_size_t k;

        for (k = 0; k < sizeof(pages) / sizeof(pages[0]); k++) {
            const char *in = without_marks(pages[k]);

            for (step = 1000; step < 300000; step *= 7) {
                const char *told;
                const char *out;
                apr_size_t n = run(in, strlen(in), step, step, &out, &told);

                assert_int_equal(n, strlen(pages[k]));
                assert_memory_equal(out, pages[k], n);
            }
        }
        apr_pool_clear(pool);
    }
}

/* In one piece from memory of its own, or cut in two or into bytes. */
static int glance(const char *text, apr_size_t len, apr_size_t cut, apr_size_t step)
{
    fg_html_glance_t state = {{0}, 0};
    apr_size_t at = 0;
    apr_size_t n = cut;
    int found = 0;

    for (; at < len; at += n, n = step) {
        char *copy;

        n = at + n < len ? n : len - at;
        copy = malloc(n > 0 ? n : 1);
        memcpy(copy, text + at, n);
        found |= fg_html_glance(&state, copy, n);
        free(copy);
    }
    return found;
}

static void test_at_a_glance(void **state)
{
    static const char *const forms[] = {"<form",  "<FoRM", "<<form", "<foform",
                                        "<for\n", "<lorm", "<f-rm",  "&form"};
    char text[200];
    size_t len;
    size_t at;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t n = strlen(forms[i]);

        for (at = 0; at + n <= sizeof(text); at++) {
            memset(text, "<fxo"[at % 4], sizeof(text));
            memcpy(text + at, forms[i], n);
            for (len = 0; len <= sizeof(text); len += len < at || len > at + n + 70 ? 9 : 1) {
                int expected = i < 3 && len >= at + n;

                assert_int_equal(glance(text, len, len, 1), expected);
                assert_int_equal(glance(text, len, at + n / 2, sizeof(text)), expected);
                assert_int_equal(glance(text, len, 1, 1 + at % 7), expected);
            }
        }
    }
}

/* Of all elements, and none: what is skipped is what means nothing, and tables' cells. */
static void test_skipped(void **state)
{
    static const char *const names =
        "a abbr acronym address altcha-widget altcha-widgets annotation-xml applet area article "
        "aside audio b base basefont bdi bdo bgsound big blink blockquote body br button canvas "
        "caption center circle cite code col colgroup content data datalist dd del desc details "
        "dfn dialog dir div dl dt em embed fieldset figcaption figure font footer foreignobject "
        "form formfoo frame frameset g h1 h2 h6 head header hgroup hr html i iframe image img "
        "input ins isindex kbd keygen label legend li line link listing main map mark marquee "
        "math menu menuitem meta meter mglyph mi mn mo ms mtext multicol nav nextid nobr noembed "
        "noframes noscript object ol optgroup option output p param path picture plaintext pre "
        "progress q rb rect rp rt rtc ruby s samp script search section select shadow slot small "
        "source spacer span strike strong style sub summary sup svg table tbody td template text "
        "textarea tfoot th thead time title tr track tt u ul use var video wbr xmp x- t tdd";
    char *last;
    char *name;
    int in_form;

    (void)state;
    for (name = apr_strtok(apr_pstrdup(pool, names), " ", &last); name != NULL;
         name = apr_strtok(NULL, " ", &last)) {
        for (in_form = 0; in_form < 2; in_form++) {
            fg_html_kind_t kind = fg_html_kind(name);
            int control = kind == FG_HTML_BUTTON || kind == FG_HTML_INPUT ||
                          kind == FG_HTML_SELECT || kind == FG_HTML_WIDGET;
            int cell = strlen(name) == 2 && (kind == FG_HTML_CELL || kind == FG_HTML_ROW);
            int skipped = (kind == FG_HTML_OTHER && fg_html_content(name) == FG_HTML_MARKUP) ||
                          (!in_form && (control || cell));
            const char *const texts[] = {
                apr_pstrcat(pool, "text<", name, ">text", NULL),
                apr_pstrcat(pool, "text<", name, " a='>' b=\"'>\"/c/>text", NULL),
            };
            apr_size_t i;

            for (i = 0; i < 2; i++) {
                const char *end = texts[i] + strlen(texts[i]);
                const char *at;
                fg_html_tables_t tables = {1, {0}};

                at = fg_html_skip(texts[i], end, fg_html_last_end(texts[i], end), &tables, in_form);
                assert_ptr_equal(at, skipped && !(i == 1 && in_form) ? end : texts[i] + 4);
                assert_int_equal(tables.cell[0], at == end && kind == FG_HTML_CELL);
            }
        }
    }
    apr_pool_clear(pool);
}

/* What was read has to go out: it does, but for half a tag. */
static void test_flush(void **state)
{
    static const char in[] = FORM FIELD SEND;
    static const char rest[] = "<p></form>";
    char all[sizeof(in) + sizeof(rest)];
    apr_off_t bound = 0;
    page_t page;

    (void)state;
    apr_snprintf(all, sizeof(all), "%s%s", in, rest);
    open_page(&page, all, strlen(all));
    feed(&page, 0, strlen(in), &bound);
    assert_true(page.passed < (apr_off_t)strlen(in));
    fg_html_forms_flush(page.forms);
    pass(&page, fg_html_forms_safe(page.forms));
    assert_int_equal(page.passed, strlen(in));
    feed(&page, strlen(in), strlen(rest), &bound);
    end_page(&page, strlen(all));
    assert_string_equal(apr_pstrmemdup(pool, page.out, page.used),
                        FORM FIELD MARK SEND "<p></form>");
    apr_pool_clear(pool);
}

/* --- pages nobody wrote ----------------------------------------------------------------------- */

static uint32_t seed;

static uint32_t any(uint32_t n)
{
    seed = seed * 1664525U + 1013904223U;
    return (seed >> 8) % n;
}

/* Pieces of markup one after the other in any order: what comes out does not depend on how it was
 * cut, and is what went in but for the widgets. Byte by byte nothing can be skipped. */
static void test_random(void **state)
{
    static const char *const pieces[] = {"<",
                                         ">",
                                         "/",
                                         "!",
                                         "-",
                                         "--",
                                         "\"",
                                         "'",
                                         "=",
                                         " ",
                                         "a",
                                         "\n",
                                         "form",
                                         "</form>",
                                         "<!--",
                                         "-->",
                                         "<script",
                                         "</script>",
                                         "script",
                                         "<style>",
                                         "</style>",
                                         "<svg>",
                                         "</svg>",
                                         "<![CDATA[",
                                         "]]>",
                                         "<title>",
                                         "</title>",
                                         "<template>",
                                         "</template>",
                                         "<textarea>",
                                         "</textarea>",
                                         FORM,
                                         FIELD,
                                         SEND,
                                         "<button>",
                                         "<button type=button>",
                                         "<p title=\"",
                                         "<table>",
                                         "<tr>",
                                         "<td>",
                                         "</table>",
                                         "<div class=g-recaptcha>",
                                         "<foreignObject>",
                                         "</foreignObject>",
                                         "<form method=post>",
                                         "action=/mail",
                                         "method=post",
                                         "\x1B",
                                         "$",
                                         "&",
                                         "<altcha-widget>",
                                         "</body>",
                                         "\x83\x5C",
                                         "<?",
                                         "</",
                                         "<p>",
                                         "<p a=\"",
                                         "<b c='>' ",
                                         "</p>",
                                         "<td a=b",
                                         "<tr>",
                                         "</TD >",
                                         "<th>",
                                         "=\"",
                                         "=b",
                                         "<a href=/x/ ",
                                         "<br/>",
                                         "<base href=/x>",
                                         "<script src=y></script>",
                                         "</table>",
                                         "<section ",
                                         "<input ",
                                         "class=h-captcha",
                                         "/>",
                                         "<meta charset=",
                                         "<plaintext>"};
    int round;

    (void)state;
    for (round = 0; round < 6000; round++) {
        const char *in = "";
        const char *first;
        const char *told;
        const char *whole;
        apr_size_t n;
        int i;

        seed = (uint32_t)round * 7919U + 1;
        for (i = (int)any(40); i >= 0; i--) {
            in = apr_pstrcat(pool, in, pieces[any(sizeof(pieces) / sizeof(pieces[0]) - (i > 3))],
                             NULL);
        }
        n = run(in, strlen(in), strlen(in), 1, &first, &told);
        whole = apr_pstrmemdup(pool, first, n);
        assert_string_equal(without_marks(whole), in);
        for (i = 0; i < 8; i++) {
            const char *other;
            const char *out;
            apr_size_t m =
                i == 0 ? run(in, strlen(in), 1, 1, &out, &other)
                       : run(in, strlen(in), any(20), 1 + any(i < 5 ? 9 : 60), &out, &other);

            assert_string_equal(apr_pstrmemdup(pool, out, m), whole);
            assert_string_equal(other, told);
        }
        apr_pool_clear(pool);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where),        cmocka_unit_test(test_which),
        cmocka_unit_test(test_not_fooled),   cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_double_bytes), cmocka_unit_test(test_told),
        cmocka_unit_test(test_bounds),       cmocka_unit_test(test_at_a_glance),
        cmocka_unit_test(test_skipped),      cmocka_unit_test(test_flush),
        cmocka_unit_test(test_random),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed;
}
