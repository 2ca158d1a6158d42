#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What visitors do with a form besides filling it in: they press twice, have it open twice, go back, load the answer
# again. Each message is delivered once, and whoever sent it is told so.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Visitor;
use Test::More;

# A form on a page of its own: of those posted to their own URL browsers keep no page for the Back button.
my $FORM = <<'HTML';
<!DOCTYPE html>
<html lang="ja"><head><meta charset="utf-8"><title>お問い合わせ</title></head>
<body><main><h1>お問い合わせ</h1><form action="contact.php" method="post" enctype="multipart/form-data">
<p><label>お名前 <input name="name"></label></p>
<p><label>メール <input name="email"></label></p>
<p><label>お問い合わせ内容 <textarea name="message"></textarea></label></p>
<p><label>添付ファイル <input type="file" name="attachment"></label></p>
<p><button name="send" value="1">送信する</button></p></form></main></body></html>
HTML
# PHP that takes its time.
my $SLOW = "<?php usleep(1500000); include __DIR__ . '/contact.php';";
my $v = FormGuard::Visitor->new(
    files => { map { ("$_/form.html" => $FORM, "$_/slow.php" => $SLOW) } qw(i c) },
    browser => { bfcache => 1 },
);
my %WHOLE = (%FIELDS, send => 1);

# What is on screen, and what was posted on the way.
my $WATCH = "context.posts = []; page.on('request', (r) => { if (r.method() === 'POST') context.posts.push(r.url()); });\n";
my $BACK = <<'JS';
    const back = async (shows) => {
        await page.evaluate(() => { setTimeout(() => history.back(), 0); });
        await page.waitForFunction(shows);
    };
    const form = () => page.evaluate(() => ({
        typed: Object.fromEntries(['name', 'email', 'message'].map((name) => [name, document.querySelector(`[name=${name}]`).value])),
        file: document.querySelector('[type=file]')?.files[0]?.size ?? 0,
        token: document.querySelector('altcha-widget input[type=hidden]')?.value ?? '',
        kept: globalThis.kept ?? false,
    }));
JS
# As soon as the first answer can be there, and before it can.
my $TWICE = <<'JS';
    const button = await page.locator(args.button ?? '[name=send]').boundingBox();
    const at = [button.x + button.width / 2, button.y + button.height / 2];
    if (args.key) await page.focus('[name=email]');
    for (const wait of args.waits) {
        await (args.key ? page.keyboard.press('Enter') : page.mouse.click(...at));
        await new Promise((resolve) => setTimeout(resolve, wait));
    }
JS
my $POSTS = "await page.waitForLoadState(); return { posts: context.posts.length, title: await page.title() };";
my $THANKED = { posts => 1, title => '送信完了' };

# --- twice -------------------------------------------------------------------------------------------

subtest 'a form with its widget, pressed twice' => sub {
    my @cases = (
        ['a double click', '/i/contact.php', waits => [120, 0]],
        ['Enter, twice', '/i/contact.php', waits => [60, 0], key => 1],
        ['a slow answer, and somebody who has no patience', '/i/slow.php', waits => [100, 400, 700, 0]],
    );
    for (@cases) {
        my ($name, $path, %how) = @$_;
        $v->come($path);
        my $got = $v->run($SOLVED . $WATCH . $TWICE . $ARRIVED . $POSTS, %how);
        is_deeply $got, $THANKED, "$name: sent once, and thanked";
        is $v->mails, 2, "$name: one message, two mails";
        is_deeply $v->owner, { %WHOLE, tel => '', subject => '' }, "$name: with all that was typed";
        is_deeply $v->errors, [], "$name: no errors in the page";
    }
    $v->httpd->log_ok('no refusal', $OK => 3);
};

subtest 'a form without it, pressed twice' => sub {
    $v->come('/c/slow.php');
    my $got = $v->run($WATCH . $TWICE . $ARRIVED . $POSTS, waits => [100, 0]);
    is $got->{title}, '送信完了', 'thanked';
    is $v->mails, 2, 'one message';
    $v->httpd->log_ok('asked once or twice, according to who was quicker', $MISSING => [1, 2], $OK);
};

subtest 'the button of the challenge page, pressed twice' => sub {
    $v->come('/c/slow.php');
    my $got = $v->run(<<"JS" . $SOLVED . $WATCH . $TWICE . $ARRIVED . $POSTS, button => '#formguard button', waits => [100, 400, 0]);
        await page.route('**/challenge.js', async (route) => {
            const answer = await route.fetch();
            await route.fulfill({ response: answer, body: (await answer.text()).replaceAll('data-auto', 'data-never') });
        });
        await page.click('[name=send]');
        await page.waitForSelector('#formguard');
JS
    is_deeply $got, $THANKED, 'sent once, and thanked';
    is $v->mails, 2, 'one message';
    $v->httpd->log_ok('log', $MISSING, $OK);
};

subtest 'a script that takes the form over may be asked twice' => sub {
    $v->come('/i/form.html');
    my $got = $v->run($SOLVED . <<'JS');
        await page.evaluate(() => {
            globalThis.asked = 0;
            document.querySelector('form').addEventListener('submit', (event) => { event.preventDefault(); globalThis.asked++; });
        });
        // The second time with a solution of its own.
        for (let i = 1; i <= 2; i++) {
            await page.click('[name=send]');
            await page.waitForFunction((n) => globalThis.asked === n, i);
        }
        return page.evaluate(() => globalThis.asked);
JS
    is $got, 2, 'it decides';
    $v->httpd->log_ok('nothing was sent');
};

# --- two tabs ----------------------------------------------------------------------------------------

subtest 'the form open in two tabs' => sub {
    for my $path ('/i/contact.php', '/c/contact.php') {
        $v->come($path);
        $v->run(<<'JS', url => $v->httpd->url($path));
            context.other = await context.newPage();
            await context.other.goto(args.url);
            for (const [name, value] of Object.entries(args.fields)) await context.other.fill(`[name=${name}]`, value);
            await context.other.fill('[name=message]', 'もう一つ');
JS
        # Solved in both before either is sent; of the challenge page, both at work at the same time.
        $v->run(<<'JS', widget => $path =~ /^.i/ ? 1 : 0);
            const solved = (tab) => tab.waitForSelector('altcha-widget .altcha[data-state=verified]');
            const both = [page, context.other];
            if (args.widget) for (const tab of both) await solved(tab);
            await Promise.all(both.map((tab) => tab.click('[name=send]')));
            for (const tab of both) await tab.waitForFunction(() => document.title === '送信完了');
JS
        is $v->mails, 4, "$path: both are delivered";
        is_deeply [sort map { $_->{message} } $v->owners], [sort $FIELDS{message}, 'もう一つ'], "$path: each its own";
        is_deeply $v->errors, [], "$path: no errors in the pages";
    }
    $v->httpd->log_ok('log', $OK => 4, $MISSING => 2);
};

# --- back, and again ---------------------------------------------------------------------------------

subtest 'back from the thanks, to write once more' => sub {
    $v->come('/i/form.html');
    my $before = $v->run($SOLVED . $BACK . <<'JS');
        await page.setInputFiles('[type=file]', { name: 'a.bin', mimeType: 'image/png', buffer: Buffer.alloc(1000, 7) });
        await page.evaluate(() => addEventListener('pageshow', (event) => { globalThis.kept = event.persisted; }));
        return form();
JS
    is $v->press, 200, 'accepted';
    is $v->mails, 2, 'delivered';
    my $after = $v->run($BACK . "await back(() => document.querySelector('[name=message]')); return form();");
    ok $after->{kept}, 'back: the page as it was left';
    is_deeply $after->{typed}, \%FIELDS, 'with what was typed';
    is $after->{file}, 1000, 'and the file';
    isnt $after->{token}, $before->{token}, 'but without the solution, which is used';
    # At once, while a second press would still be one too many.
    $v->run("await page.fill('[name=message]', 'もう一つ');$SOLVED");
    is $v->press, 200, 'sent again: accepted';
    is $v->mails, 2, 'delivered';
    is(($v->owners)[0]{message}, 'もう一つ', 'as it was changed');
    $v->httpd->log_ok('no refusal', $OK => 2);
};

subtest 'back from a refusal' => sub {
    $v->httpd->write_file('i/.htaccess', "${\ $v->asks}FormGuardInject On\nFormGuardField name single-line\nFormGuardField message max-links=1\n");
    $v->come('/i/form.html');
    $v->run("await page.fill('[name=message]', 'https://a.example https://b.example');$SOLVED");
    is $v->press, 422, 'refused';
    like $v->run("await shot('visitor-links'); return page.innerText('body')"), qr/URL の数に制限.*前のページに戻り/, 'told what to do';
    my $after = $v->run($BACK . "await back(() => document.querySelector('[name=message]')); return form();");
    is_deeply $after->{typed}, { %FIELDS, message => 'https://a.example https://b.example' }, 'what was typed is there';
    $v->run("await page.fill('[name=message]', args.fields.message);$SOLVED");
    is $v->press, 200, 'sent again: accepted';
    is $v->mails, 2, 'one message';
    is_deeply $v->owner, \%WHOLE, 'with all that was typed';
    $v->httpd->log_ok('log', qr/ FG1313: refused 422: /, $OK);
    $v->httpd->write_file('i/.htaccess', "${\ $v->asks}FormGuardInject On\n");
};

subtest 'back from the challenge page, before it is done' => sub {
    $v->come('/c/form.html');
    my $after = $v->run($BACK . <<'JS');
        await page.route('**/formguard/challenge?**', () => {});
        await page.click('[name=send]');
        await page.waitForSelector('altcha-widget .altcha[data-state=verifying]');
        await back(() => document.querySelector('[name=message]'));
        await page.unroute('**/formguard/challenge?**');
        return form();
JS
    is_deeply $after->{typed}, \%FIELDS, 'what was typed is there';
    is $v->mails, 0, 'nothing was sent';
    $v->run("await page.click('[name=send]');$ARRIVED");
    is $v->mails, 2, 'sent again: one message';
    $v->httpd->log_ok('log', $MISSING => 2, $OK);
};

subtest 'the thanks loaded again' => sub {
    $v->come('/i/contact.php');
    $v->run($SOLVED);
    is $v->press, 200, 'accepted';
    is $v->mails, 2, 'delivered';
    my $said = $v->run($WATCH . <<"JS");
        await page.reload();
        $SOLVED
        await new Promise((resolve) => setTimeout(resolve, 300));
        await shot('visitor-reload');
        return page.innerText('main');
JS
    like $said, qr/メッセージは届いています/, 'told that it has arrived';
    is $v->run('return context.posts.length'), 1, 'and nothing more is sent';
    is $v->mails, 0, 'no second message';
    $v->httpd->log_ok('log', $OK, $USED);
};

$v->done;
done_testing;
