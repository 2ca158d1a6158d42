#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What a person sees whose post is refused: a page in the language of the browser, that can be read by everybody and
# left again, with what was typed still in the form.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use JSON::PP ();
use Test::More;

my $mail = FormGuard::Mail->new;
# What the script of Contact Form 7 does (its submit.js and set-status.js, 5.9): post by fetch as wp.apiFetch does, take
# the answer for JSON, put `status` where the spinner is bound to it, and `message` where messages are shown.
my $CF7 = <<'HTML';
<!DOCTYPE html><html lang="ja"><meta charset="utf-8"><title>Contact</title>
<style>.wpcf7-spinner { visibility: hidden } form.submitting .wpcf7-spinner { visibility: visible }</style>
<div class="wpcf7"><div class="screen-reader-response"><p role="status"></p></div>
<form class="wpcf7-form init" data-status="init">
<input type="hidden" name="_wpcf7" value="12"><input type="hidden" name="_wpcf7_unit_tag" value="wpcf7-f12-o1">
<p><label>Message <textarea name="your-message" class="wpcf7-form-control"></textarea></label></p>
<p><button class="wpcf7-submit">Send</button><span class="wpcf7-spinner">...</span></p>
<div class="wpcf7-response-output" aria-hidden="true"></div></form></div>
<script>
const form = document.querySelector('form');
const show = (status) => {
    const name = { spam: 'spam', mail_sent: 'sent', submitting: 'submitting' }[status] || 'custom-' + status.trim();
    form.classList.remove(form.dataset.status);
    form.classList.add(form.dataset.status = name);
};
form.addEventListener('submit', async (event) => {
    event.preventDefault();
    show('submitting');
    const answer = await fetch('/wp-json/contact-form-7/v1/contact-forms/12/feedback',
        { method: 'POST', body: new FormData(form), headers: { Accept: 'application/json, */*;q=0.1' }, credentials: 'include' });
    if (answer.status < 200 || answer.status >= 300) throw await answer.json();
    const said = await answer.json();
    show(said.status);
    said.invalid_fields.forEach(() => { throw new Error('a field'); });
    document.querySelector('[role=status]').insertAdjacentText('beforeend', said.message);
    document.querySelector('.wpcf7-response-output').innerText = said.message;
});
</script></html>
HTML
my $SENT = '<?php header("Content-Type: application/json"); echo json_encode(["contact_form_id" => 12, "status" => "mail_sent", '
    . '"message" => "Thank you", "into" => "#wpcf7-f12-o1", "invalid_fields" => [], "posted_data_hash" => ""]);';
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail,
    files => { 'contact.php' => \'contact.php', 'cf7.html' => $CF7, 'feedback.php' => $SENT },
    config => "<Directory \@HTDOCS\@>\n    FormGuard On\n    FormGuardLimit ip 1/10m\n    FormGuardContact 0120-000-000 <b>(10:00–17:00)</b>\n"
        . "    FormGuardPreset contact-form-7\n    FormGuardFormField _wpcf7 message a\n    RewriteEngine On\n    RewriteRule ^wp-json/ /feedback.php [L]\n</Directory>\n"
);
# Pages of the same host at another port, and of another host.
my $other = FormGuard::Httpd->new(mpm => 'prefork', files => { 'page.html' => "<!DOCTYPE html><html lang=\"en\"><title>Page</title></html>\n" });
my $browser = FormGuard::Browser->new(hosts => ['elsewhere.test']);
my $SEND = <<'JS';
    await page.goto(args.url);
    for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=${name}]`, value);
    const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.click('[name=send]')]);
    await page.waitForLoadState();
    return { status: answer.status(), lang: await page.getAttribute('html', 'lang'), title: await page.title(),
        text: await page.innerText('body') };
JS
my %FIELDS = (name => '佐藤 花子', email => 'hanako@visitor.example', message => "青い湯呑みを五つ\n探しています。");

my $n = 0;
for (['ja-JP', 'ja', '送信回数が上限に達しました'], ['en-GB', 'en', 'Too many messages']) {
    my ($locale, $lang, $heading) = @$_;
    $browser->fresh(from => '203.0.113.' . ++$n, locale => $locale);
    my $mails = $mail->count;
    my $r = $browser->run($SEND, url => $httpd->url('/contact.php'), fields => \%FIELDS);
    is $r->{status}, 200, "$locale: accepted";
    is $mail->count - $mails, 2, "$locale: two mails";
    $browser->said;

    $r = $browser->run($SEND, url => $httpd->url('/contact.php'), fields => \%FIELDS);
    is $mail->count - $mails, 2, "$locale: no mail of the second post";
    is_deeply { map { $_ => $r->{$_} } qw(status lang title) }, { status => 429, lang => $lang, title => $heading },
        "$locale: refused in the browser's language";
    like $r->{text}, qr/^\Q$heading\E\n/, "$locale: the heading is shown";
    is_deeply $browser->run("await shot('refusal-$lang'); return axe()"), [], "$locale: nothing that keeps people out";
    like $r->{text}, qr/0120-000-000 <b>\(10:00–17:00\)<\/b>/, "$locale: how else to reach the owner, as it was written";
    like $r->{text}, qr/: [2-9B-Y]{4}-[2-9B-Y]{4}\n?$/, "$locale: a number";
    like $r->{text}, qr/\d+ (?:分後|minutes) \((?:after )?\d\d:\d\d [A-Z]+/, "$locale: when";
    like $r->{text}, qr/\n20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+\n/, "$locale: what time it was";
    is_deeply [grep { !/the server responded with a status of 429/ } $browser->said], [], "$locale: no errors in the page";

    $r = $browser->run(<<'JS');
        await page.goBack();
        return Object.fromEntries(await Promise.all(['name', 'email', 'message'].map(
            async (name) => [name, await page.inputValue(`[name=${name}]`)])));
JS
    is_deeply $r, \%FIELDS, "$locale: what was typed is there after going back";
}
$httpd->log_ok('error_log', qr/ FG1000: accepted: /, qr/ FG1000: accepted: /, qr/ FG1100: refused 429: / => 2);

# The same page dark, on a narrow telephone, at 400 %, on paper, without script.
my $MEASURE = <<'JS';
    const requests = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(args.url);
    await page.fill('[name=message]', 'x');
    await page.fill('[name=name]', 'x');
    await page.fill('[name=email]', 'x@visitor.example');
    requests.length = 0;
    const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.click('[name=send]')]);
    await page.waitForLoadState();
    if (args.print) await page.emulateMedia({ media: 'print' });
    await shot(args.name);
    // Nothing asks for the keyboard, and nothing holds it.
    if (args.script) for (let i = 0; i < 5; i++) await page.keyboard.press('Tab');
    return { status: answer.status(), bytes: (await answer.body()).length, requests: requests.length, title: await page.title(),
        ...(args.script ? await page.evaluate(() => ({
            wide: document.documentElement.scrollWidth > innerWidth,
            focus: document.activeElement.tagName,
            dark: getComputedStyle(document.body).backgroundColor,
            top: getComputedStyle(document.querySelector('main')).paddingTop,
            empty: [...document.querySelectorAll('p')].filter((p) => p.innerText === '' && p.getClientRects().length).length,
        })) : {}) };
JS
my @VIEWS = (
    ['dark', locale => 'en-GB', colorScheme => 'dark'], ['dark-ja', locale => 'ja-JP', colorScheme => 'dark'],
    ['320', locale => 'en-GB', viewport => { width => 320, height => 480 }], ['320-ja', locale => 'ja-JP', viewport => { width => 320, height => 480 }, colorScheme => 'dark'],
    ['print', locale => 'en-GB'], ['noscript', locale => 'ja-JP', javaScriptEnabled => JSON::PP::false],
);
for (@VIEWS) {
    my ($view, %o) = @$_;
    my $script = !exists $o{javaScriptEnabled};
    $browser->fresh(from => '203.0.113.1', %o);
    my $m = $browser->run($MEASURE, url => $httpd->url('/contact.php'), name => "refusal-$view", print => $view eq 'print' ? 1 : 0, script => $script ? 1 : 0);
    is $m->{status}, 429, "$view: refused";
    is $m->{title}, $o{locale} eq 'ja-JP' ? '送信回数が上限に達しました' : 'Too many messages', "$view: the page";
    cmp_ok $m->{bytes}, '<', 15_000, "$view: $m->{bytes} bytes";
    is $m->{requests}, 1, "$view: all of it in one answer";
    if ($script) {
        ok !$m->{wide}, "$view: nothing to scroll sideways for";
        is $m->{focus}, 'BODY', "$view: nothing catches the keyboard";
        is $m->{empty}, 0, "$view: no empty paragraph";
        is $m->{dark}, ($o{colorScheme} || '') eq 'dark' ? 'rgb(22, 22, 22)' : 'rgb(255, 255, 255)', "$view: the background";
        is $m->{top}, '0px', "$view: starts at the top of the paper" if $view eq 'print';
        is_deeply $browser->run('return axe()'), [], "$view: nothing that keeps people out";
    }
}
$httpd->log_ok('error_log', qr/ FG1100: refused 429: / => '+');

# --- scripts that post ----------------------------------------------------------------------------

$browser->fresh(from => '203.0.113.9', locale => 'ja-JP');
my $POST_CF7 = <<'JS';
    if (args.url) await page.goto(args.url);
    await page.fill('textarea', 'こんにちは');
    await page.click('button');
    await page.waitForFunction(() => document.querySelector('form').dataset.status !== 'submitting');
    await page.waitForFunction((old) => document.querySelector('.wpcf7-response-output').innerText !== old, args.old || '');
    return page.evaluate(() => ({
        message: document.querySelector('.wpcf7-response-output').innerText, status: document.querySelector('form').className,
        spinner: getComputedStyle(document.querySelector('.wpcf7-spinner')).visibility,
        typed: document.querySelector('textarea').value,
    }));
JS
my $shown = $browser->run($POST_CF7, url => $httpd->url('/cf7.html'));
is_deeply $shown, { message => 'Thank you', status => 'wpcf7-form sent', spinner => 'hidden', typed => 'こんにちは' }, 'Contact Form 7: the first is sent';
$shown = $browser->run($POST_CF7, old => 'Thank you');
like delete $shown->{message},
    qr/^短い時間に多くの送信.*\d+ 分後 \(\d\d:\d\d [A-Z]+ 以降\) にもう一度お試しください。.*0120-000-000 <b>\(10:00–17:00\)<\/b> お問い合わせ番号: \S{4}-\S{4}$/,
    'Contact Form 7: the second is shown in its own place, as text';
is_deeply $shown, { status => 'wpcf7-form spam', spinner => 'hidden', typed => 'こんにちは' }, 'its spinner is gone, what was typed is there';
is_deeply [$browser->said], [], 'Contact Form 7: no word in the console';
$browser->run("await shot('refusal-cf7')");
$httpd->log_ok('error_log', qr/ FG1000: accepted: /, qr/ FG1100: refused 429: /);

my $POST = <<'JS';
    await page.goto(args.page);
    return page.evaluate(async ({ to, credentials }) => {
        try {
            const answer = await fetch(to, { method: 'POST', body: new URLSearchParams({ message: 'x' }), headers: { Accept: 'application/json' }, credentials });
            return { status: answer.status, after: answer.headers.get('Retry-After'), limit: answer.headers.get('RateLimit'), ...await answer.json() };
        } catch (error) {
            return { error: error.name };
        }
    }, args);
JS
my $to = $httpd->url('/contact.php');
# Without `from`: a header more, and the browser would ask first whether it may post.
is $httpd->client->post('/contact.php', form => [message => 'x'])->status, 200, 'the first post of this address';
$browser->fresh(locale => 'en-GB');
for my $credentials (qw(omit include)) {
    my $got = $browser->run($POST, page => $other->url('/page.html'), to => $to, credentials => $credentials);
    is $got->{status}, 429, "a page at another port of the host, cookies $credentials: reads the status";
    is $got->{reason}, 'limit', 'and the reason';
    is $got->{after}, $got->{retryAfter}, 'and when to try again';
    like $got->{limit}, qr/^"ip";r=0;t=\d+$/, 'and the limit';
    $got = $browser->run($POST, page => $other->url('/page.html') =~ s/127\.0\.0\.1/elsewhere.test/r, to => $to, credentials => $credentials);
    is_deeply $got, { error => 'TypeError' }, "a page of another host, cookies $credentials: reads nothing";
}
$httpd->log_ok('error_log', qr/ FG1000: accepted: /, qr/ FG1100: refused 429: / => 4);
$other->done;
$httpd->done;
done_testing;
