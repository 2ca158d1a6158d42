#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The challenge page as a visitor meets it: a form without the widget is sent, the page does its work by itself, and
# what was typed and attached arrives.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use Encode qw(encode_utf8);
use File::Copy qw(copy);
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";
my $SJIS = <<'HTML';
<!DOCTYPE html>
<html lang="ja"><head><meta charset="Shift_JIS"><title>Form</title></head>
<body><form action="/echo.php?a=1" method="post">
<p><label>A <input name="name"></label> <label>B <input name="list[]" value="1"></label> <label>C <input name="list[]" value="2"></label></p>
<button name="send" value="1">Send</button></form></body></html>
HTML
my $mail = FormGuard::Mail->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail, start => 0,
    files => { 'favicon.ico' => '', 'contact.php' => \'contact.php', 'echo.php' => \'echo.php', 'sjis.html' => $SJIS },
    config => "FormGuardPages \@DIR\@/pages\nErrorDocument 403 \"no\"\n<Directory \@HTDOCS\@>\nFormGuard On\nFormGuardCaptcha altcha\n</Directory>\n",
);
mkdir $httpd->dir . '/pages' or die $!;
copy($widget, $httpd->dir . '/pages/altcha.min.js') or die "$widget: $!\n";
$httpd->start;
my $browser = FormGuard::Browser->new;
my $OK = qr/ FG1000: accepted: /;
my $MISSING = qr/ FG1400: refused 403: /;
my %FIELDS = (name => '佐藤 花子', email => 'hanako@visitor.example', message => "青い湯呑みを五つ\n探しています。");

# Fills the form in and presses its button. With `hold` the page gets no challenge until it is let go.
my $FILL = <<'JS';
    context.answers = [];
    page.on('response', (r) => { if (r.request().method() === 'POST') context.answers.push(r.status()); });
    context.held = new Promise((resolve) => { context.release = resolve; });
    if (args.hold) await page.route('**/formguard/challenge?**', async (route) => { await context.held; await route.continue(); });
    await page.goto(args.url);
    for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=${name}]`, value);
    if (args.file) await page.setInputFiles('[type=file]', args.file);
    await page.click('[name=send]');
JS
my $ARRIVES = <<'JS';
    await page.waitForFunction(() => !document.getElementById('formguard'));
    await page.waitForLoadState();
    return { title: await page.title(), answers: context.answers };
JS

# On disk, where the browser finds it again.
sub file
{
    my ($name, $bytes) = @_;
    my $path = $httpd->dir . "/$name";
    open my $fh, '>:raw', encode_utf8($path) or die "$name: $!\n";
    print $fh $bytes;
    close $fh or die "$name: $!\n";
    return $path;
}

my $n = 0;
my $mails = 0;
sub mails_since { my $all = $mail->count; my $new = $all - $mails; $mails = $all; return $new }
sub errors { return grep { !/the server responded with a status of 403/ } $browser->said }

subtest 'sent, challenged, solved, delivered, with nobody pressing anything' => sub {
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP');
    $browser->run($FILL, url => $httpd->url('/contact.php'), fields => \%FIELDS, file => file('皿.jpg', "\0\1\2\3\4\5\xfe\xff"));
    is_deeply $browser->run($ARRIVES), { title => '送信完了', answers => [403, 200] }, 'the page that thanks him';
    is mails_since(), 2, 'two mails';
    my ($owner) = grep { "@{$_->{rcpt}}" =~ /owner/ } $mail->since(0);
    like $owner->{raw}, qr/AAECAwQF\/v8=/, 'the file is in it';
    is_deeply [errors()], [], 'no errors in the page';

    my $r = $browser->run(<<'JS');
        context.answers.length = 0;
        await page.reload();
        await page.waitForSelector('altcha-widget .altcha[data-state=verified]');
        await new Promise((resolve) => setTimeout(resolve, 300));
        await shot('challenge-reloaded');
        return { text: await page.innerText('main'), answers: context.answers };
JS
    is_deeply $r->{answers}, [403], 'a reload sends nothing by itself';
    like $r->{text}, qr/メッセージは届いています/, 'and says that it has arrived';
    is mails_since(), 0, 'no mail';
    $browser->run("await page.click('#formguard button')");
    is $browser->run($ARRIVES)->{title}, '送信完了', 'unless the button is pressed';
    is mails_since(), 2, 'two mails';
    $httpd->log_ok('log', $MISSING, $OK => 2, qr/ FG1403: /);
};

subtest 'the page while it works' => sub {
    for (['ja', 'ja-JP', 'light', 1280], ['en', 'en-GB', 'dark', 320]) {
        my ($lang, $locale, $scheme, $width) = @$_;
        $browser->fresh(from => '203.0.113.' . ++$n, locale => $locale, colorScheme => $scheme, viewport => { width => $width, height => 640 });
        $browser->run($FILL, url => $httpd->url('/contact.php'), fields => \%FIELDS, hold => 1);
        my $r = $browser->run(<<'JS', name => "challenge-$lang-$scheme-$width");
            await page.waitForSelector('altcha-widget .altcha-main');
            await shot(args.name);
            return { axe: await axe(), lang: await page.getAttribute('html', 'lang'), title: await page.title(),
                wide: await page.evaluate(() => document.documentElement.scrollWidth > innerWidth) };
JS
        is_deeply $r->{axe}, [], "$lang: nothing that keeps people out";
        is $r->{lang}, $lang, "$lang: the browser's language";
        ok !$r->{wide}, "$lang: fits $width pixels";
        # Sent by the button before it is solved: the browser says what is missing.
        like $browser->run("await page.click('#formguard button'); return page.\$eval('altcha-widget input:invalid', (box) => box.validationMessage)"),
            qr/\S/, "$lang: not sent unsolved";
        $browser->run('context.release()');
        is_deeply $browser->run($ARRIVES)->{answers}, [403, 200], "$lang: solved and sent";
        is mails_since(), 2, "$lang: two mails";
        is_deeply [errors()], [], "$lang: no errors in the page";
    }
    $httpd->log_ok('log', $MISSING => 2, $OK => 2);
};

subtest 'a large file: back to the form, and once more' => sub {
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP');
    my $r = $browser->run($FILL . <<'JS', url => $httpd->url('/contact.php'), fields => \%FIELDS, file => file('large.jpg', "\0\1\2" x 100_000));
        await page.waitForSelector('altcha-widget .altcha[data-state=verified]');
        await shot('challenge-large');
        const found = await axe();
        await page.click('#formguard button');
        await page.waitForSelector('[name=message]');
        const form = { message: await page.inputValue('[name=message]'), file: await page.$eval('[type=file]', (f) => f.files[0]?.size) };
        await page.click('[name=send]');
        await page.waitForFunction(() => !document.querySelector('[name=message]'));
        return { found, form, title: await page.title(), answers: context.answers };
JS
    is_deeply $r->{form}, { message => $FIELDS{message}, file => 300_000 }, 'what was typed and the file are still there';
    is_deeply $r->{answers}, [403, 200], 'sent once more, it is accepted';
    is $r->{title}, '送信完了', 'with thanks';
    is_deeply $r->{found}, [], 'nothing that keeps people out';
    is mails_since(), 2, 'two mails';
    is_deeply [errors()], [], 'no errors in the page';
    $httpd->log_ok('log', $MISSING, $OK);
};

subtest 'Shift_JIS' => sub {
    $httpd->write_file('.htaccess', "AddDefaultCharset Off\n");
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP');
    $browser->run($FILL, url => $httpd->url('/sjis.html'), fields => { name => '表示ソ' });
    $browser->run($ARRIVES);
    my $got = $browser->run("return JSON.parse(await page.innerText('body'))");
    is $got->{sha256}, sha256_hex('name=%95%5C%8E%A6%83%5C&list%5B%5D=1&list%5B%5D=2&send=1'), 'byte for byte what the form has sent';
    is_deeply $got->{get}, { a => 1 }, 'at the URL of the form';
    $httpd->log_ok('log', $MISSING, $OK);
};

subtest 'no script' => sub {
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP', javaScriptEnabled => \0);
    my $r = $browser->run($FILL . <<'JS', url => $httpd->url('/contact.php'), fields => \%FIELDS);
        await page.waitForLoadState();
        await shot('challenge-noscript');
        const text = await page.innerText('main');
        const button = await page.isVisible('#formguard button');
        await page.goBack();
        return { text, button, message: await page.inputValue('[name=message]') };
JS
    like $r->{text}, qr/JavaScript が必要.*「戻る」ボタン/, 'is told what to do';
    ok !$r->{button}, 'and offered nothing that cannot work';
    is $r->{message}, $FIELDS{message}, 'what was typed is there after going back';
    is mails_since(), 0, 'no mail';
    $httpd->log_ok('log', $MISSING);
};

subtest 'the widget cannot be loaded' => sub {
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'en-GB');
    my $r = $browser->run("await page.route('**/altcha.js', (route) => route.abort());" . $FILL . <<'JS', url => $httpd->url('/contact.php'), fields => \%FIELDS);
        await page.waitForSelector('#formguard-failed:not([hidden])');
        return page.innerText('#formguard-failed');
JS
    like $r, qr/could not be carried out.*Back button/, 'says so';
    $httpd->log_ok('log', $MISSING);
};
$httpd->done;
done_testing;
