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
use Test::More;

my $mail = FormGuard::Mail->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail,
    config => "<Directory \@HTDOCS\@>\n    FormGuard On\n    FormGuardLimit ip 1/10m\n</Directory>\n"
);
my $browser = FormGuard::Browser->new;
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
    is_deeply [grep { !/the server responded with a status of 429/ } $browser->said], [], "$locale: no errors in the page";

    $r = $browser->run(<<'JS');
        await page.goBack();
        return Object.fromEntries(await Promise.all(['name', 'email', 'message'].map(
            async (name) => [name, await page.inputValue(`[name=${name}]`)])));
JS
    is_deeply $r, \%FIELDS, "$locale: what was typed is there after going back";
}
$httpd->log_ok('error_log', qr/ FG1000: accepted: /, qr/ FG1000: accepted: /, qr/ FG1100: refused 429: / => 2);
$httpd->done;
done_testing;
