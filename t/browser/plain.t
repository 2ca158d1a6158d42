#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Where ALTCHA's widget is not installed: the plain one of this module on the challenge page, in a form it was injected
# into and in one that was written by hand, on plain http as well.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use JSON::PP ();
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $SCRIPT = '/.well-known/formguard/altcha.js';

sub page
{
    my ($to, $in_form) = @_;
    return <<"HTML";
<!DOCTYPE html>
<html lang="en"><head><meta charset="UTF-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Form</title></head>
<body><main><h1>Form</h1><form action="$to" method="post">
<p><label>Name <input name="name"></label></p><p><label>Mail <input name="email"></label></p>
<p><label>Message <textarea name="message"></textarea></label></p>
$in_form<p><button name="send" value="1">Send</button> <button type="reset">Clear</button></p></form></main></body></html>
HTML
}

my $mail = FormGuard::Mail->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail,
    files => {
        'favicon.ico' => '', 'contact.php' => \'contact.php', 'old.html' => page('contact.php', ''), 'challenged.html' => page('contact.php', ''),
        'short/contact.php' => \'contact.php', 'short/form.html' => page('contact.php', ''),
        'by_hand.html' => page('contact.php', qq(<script src="$SCRIPT" type="module"></script>\n<altcha-widget challenge="/.well-known/formguard/challenge?form=/contact.php"></altcha-widget>\n)),
        'on_submit.html' => page('contact.php', qq(<script src="$SCRIPT" type="module"></script>\n<altcha-widget auto="onsubmit" challenge="/.well-known/formguard/challenge?form=/contact.php"></altcha-widget>\n)),
    },
    config => "<Directory \@HTDOCS\@>\nFormGuard On\nFormGuardPath *.php\nFormGuardCaptcha altcha\nFormGuardInject On\n</Directory>\n"
        . "<Files challenged.html>\nFormGuardInject Off\n</Files>\n<Location /short>\nFormGuardCaptchaMaxAge 3s\n</Location>\n",
);
my $browser = FormGuard::Browser->new(hosts => ['shop.example']);
my $OK = qr/ FG1000: accepted: /;
my %FIELDS = (name => '佐藤 花子', email => 'hanako@visitor.example', message => '青い湯呑みを五つ探しています。');
my $n = 0;
my $mails = 0;
sub mails_since { my $all = $mail->count; my $new = $all - $mails; $mails = $all; return $new }

# Somebody new fills in a form.
sub fill
{
    my ($page, %o) = @_;
    my $host = delete $o{host} // '127.0.0.1';
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP', %o);
    $browser->run(<<'JS', url => "http://$host:" . $httpd->port . $page, fields => \%FIELDS);
        await page.goto(args.url);
        for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=${name}]`, value);
JS
}

my $SOLVED = "await page.locator('altcha-widget .altcha[data-state=verified]').waitFor();\n";
my $ARRIVES = "await page.waitForFunction(() => document.title === '送信完了'); return page.title();\n";

sub arrives
{
    my ($what, $code) = @_;
    is $browser->run(($code // "await page.click('[name=send]');\n") . $ARRIVES), '送信完了', $what;
    is mails_since(), 2, "$what: two mails";
    unlike((($mail->since($mails - 2))[0] || { body => 'altcha' })->{body}, qr/altcha/, "$what: and nothing of the captcha in them");
}

subtest 'the challenge page' => sub {
    for my $host ('127.0.0.1', 'shop.example') {
        fill('/challenged.html', host => $host);
        arrives("$host: challenged, solved, sent");
    }
    fill('/challenged.html', viewport => { width => 320, height => 640 });
    my $r = $browser->run(<<'JS');
        context.held = new Promise((resolve) => { context.release = resolve; });
        await page.route('**/formguard/challenge?**', async (route) => { await context.held; await route.continue(); });
        await page.click('[name=send]');
        await page.locator('altcha-widget .altcha[data-state=verifying]').waitFor();
        await shot('plain-challenge');
        return { axe: await axe(), text: await page.innerText('altcha-widget'), wide: await page.evaluate(() => document.documentElement.scrollWidth > innerWidth) };
JS
    is_deeply $r, { axe => [], text => '確認しています…', wide => JSON::PP::false() }, 'keeps nobody out, speaks Japanese, fits 320 pixels';
    arrives('then', "context.release();\n");
    $httpd->log_ok('log', qr/ \[formguard:notice\] .* FG2404: .* the plain one built in is sent\b/, qr/ FG1400: refused 403: / => 3, $OK => 3);
};

subtest 'a form it is injected into' => sub {
    for my $host ('127.0.0.1', 'shop.example') {
        fill('/old.html', host => $host);
        $browser->run("${SOLVED}await shot('plain-form');");
        is_deeply $browser->run('return axe()'), [], "$host: keeps nobody out";
        is $browser->run('return page.innerText("altcha-widget")'), 'Checked: no robot', "$host: in the page's language";
        arrives("$host: sent");
    }
    fill('/old.html');
    arrives('pressed at once: waits, and is sent by itself');
    $httpd->log_ok('log', $OK => 3);
};

subtest 'a form written by hand' => sub {
    fill('/by_hand.html');
    my $state = 'return page.getAttribute("altcha-widget .altcha", "data-state")';
    is $browser->run("await page.waitForSelector('altcha-widget .altcha'); await page.click('[name=send]'); $state"), 'unverified', 'waits for its box';
    is $browser->run("await page.focus('altcha-widget input[type=checkbox]'); await page.keyboard.press('Space'); $SOLVED$state"), 'verified', 'by keyboard';
    is $browser->run("return page.evaluate(() => document.activeElement.type)"), 'checkbox', 'which stays where it is';
    is $browser->run("await page.click('[type=reset]'); $state"), 'unverified', 'cleared with the form';
    fill('/by_hand.html');
    is $browser->run("await page.click('altcha-widget label'); $SOLVED$state"), 'verified', 'by pointer';
    is $browser->run("await page.click('altcha-widget label'); return page.isChecked('altcha-widget input')"), JSON::PP::true(), 'pressed once more: it stays';
    arrives('sent');
    fill('/on_submit.html');
    arrives('auto="onsubmit"');
    $httpd->log_ok('log', $OK => 2);
};

subtest 'when it does not go well' => sub {
    fill('/by_hand.html');
    is $browser->run(<<'JS'), 'The check has failed. Please press the box again.', 'no challenge: it says so';
        await page.route('**/formguard/challenge?**', (route) => route.abort());
        await page.click('altcha-widget label');
        await page.locator('altcha-widget .altcha[data-state=error]').waitFor();
        return page.innerText('altcha-widget');
JS
    arrives('pressed again: solved and sent', "await page.unroute('**/formguard/challenge?**'); await page.click('altcha-widget label'); ${SOLVED}await page.click('[name=send]');\n");
    fill('/short/form.html');
    arrives('too old while somebody types: solved anew', "${SOLVED}const old = await page.inputValue('[name=altcha]', { timeout: 5000 });\n"
        . "await page.waitForFunction((old) => ![old, ''].includes(document.querySelector('[name=altcha]').value), old);\n${SOLVED}await page.click('[name=send]');\n");
    $httpd->log_ok('log', $OK => 2);
};

is_deeply [grep { !/ responded with a status of 403|ERR_FAILED/ } $browser->said], [], 'no word in the console';
$httpd->done;
done_testing;
