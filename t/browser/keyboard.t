#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# By keyboard alone, and by ear: every field, box and button is reached in the order it stands in and shows that it is,
# the cursor stays where it was put, and what changes without it is announced.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Visitor;
use Test::More;

# As an owner writes it into his page: the box waits until it is pressed.
my $BY_HAND = <<'HTML';
<!DOCTYPE html>
<html lang="ja"><head><meta charset="utf-8"><title>お問い合わせ</title><script src="/.well-known/formguard/altcha.js" type="module"></script></head>
<body><main><h1>お問い合わせ</h1><form action="/c/contact.php" method="post">
<p><label>お名前 <input name="name"></label></p><p><label>メール <input name="email"></label></p>
<p><label>お問い合わせ内容 <textarea name="message"></textarea></label></p>
<altcha-widget challenge="/.well-known/formguard/challenge?form=/c/contact.php"></altcha-widget>
<p><button name="send" value="1">送信する</button></p></form></main></body></html>
HTML
my $v = FormGuard::Visitor->new(files => { 'hand.html' => $BY_HAND }, browser => { hosts => ['shop.example'] });

# Presses Tab as often as it takes to come round: what is reached, and whether it looks other than before.
my $TABS = <<'JS';
    const here = () => page.evaluate(() => {
        const at = document.activeElement;
        const { outlineStyle, outlineWidth, boxShadow, borderColor } = getComputedStyle(at);
        return { name: at.name || at.type || at.tagName, looks: [outlineStyle, parseFloat(outlineWidth) > 0, boxShadow, borderColor].join() };
    });
    const looks = (selector) => page.$eval(selector, (at) => {
        const { outlineStyle, outlineWidth, boxShadow, borderColor } = getComputedStyle(at);
        return [outlineStyle, parseFloat(outlineWidth) > 0, boxShadow, borderColor].join();
    });
    const tabs = async (times) => {
        const seen = [];
        for (let i = 0; i < times; i++) {
            await page.keyboard.press('Tab');
            seen.push((await here()).name);
        }
        return seen;
    };
JS
my $STAYS = <<'JS';
    await page.route('**/challenge.js', async (route) => {
        const answer = await route.fetch();
        await route.fulfill({ response: answer, body: (await answer.text()).replaceAll('data-auto', 'data-never') });
    });
JS

subtest 'a form with the widget put in' => sub {
    $v->come('/i/contact.php');
    my $got = $v->run($TABS . <<"JS");
        await page.reload();
        await page.waitForSelector('altcha-widget .altcha-main');
        const typed = { ...args.fields, tel: '', subject: '', attachment: '' };
        const seen = [];
        const plain = await looks('[name=send]');
        for (const name of ['name', 'email', 'tel', 'subject', 'message', 'attachment']) {
            seen.push(...await tabs(1));
            if (typed[name]) await page.keyboard.insertText(typed[name]);
        }
        $SOLVED
        // Solved meanwhile, with the cursor left where it was.
        seen.push((await here()).name, ...await tabs(2));
        const shown = (await here()).looks !== plain;
        await page.keyboard.press('Shift+Tab');
        seen.push((await here()).name);
        await page.keyboard.press('Tab');
        await page.keyboard.press('Enter');
        $ARRIVED
        return { seen, shown };
JS
    is_deeply $got->{seen}, [qw(name email tel subject message attachment attachment checkbox send checkbox)], 'in the order they stand in, and back';
    is $got->{shown}, 1, 'the button shows that the keyboard is there';
    is $v->mails, 2, 'delivered';
    is_deeply $v->owner, { %FIELDS, tel => '', subject => '', send => 1 }, 'with all that was typed';
    is_deeply $v->errors, [], 'no word in the console';
    $v->httpd->log_ok('log', $OK);
};

subtest 'a box that waits to be pressed' => sub {
    $v->come('/hand.html');
    my $got = $v->run($TABS . <<"JS");
        const plain = await looks('altcha-widget input[type=checkbox]');
        await page.focus('[name=message]');
        const seen = await tabs(1);
        const shown = (await here()).looks !== plain;
        await page.keyboard.press('Space');
        $SOLVED
        seen.push((await here()).name);
        seen.push(...await tabs(1));
        await page.keyboard.press('Enter');
        $ARRIVED
        return { seen, shown };
JS
    is_deeply $got->{seen}, [qw(checkbox checkbox send)], 'Space solves it, and the cursor stays on it';
    is $got->{shown}, 1, 'the box shows that the keyboard is there';
    is $v->mails, 2, 'delivered';
    $v->httpd->log_ok('log', $OK);
};

# What a screen reader is told without being asked: what stands in a region that is live.
my $HEARD = <<'JS';
    await page.addInitScript(() => {
        globalThis.heard = [];
        const live = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest('[role=status], [role=alert]');
        new MutationObserver((changes) => {
            for (const { target } of changes) {
                const region = live(target);
                const text = region && !region.hidden ? region.textContent.trim() : '';
                if (text && globalThis.heard.at(-1) !== text && region.closest('#formguard')) globalThis.heard.push(text);
            }
        }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['hidden'] });
    });
JS

subtest 'the challenge page' => sub {
    $v->come('/c/contact.php', before => $HEARD);
    my $got = $v->run($STAYS . $TABS . <<"JS");
        await page.focus('[name=send]');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#formguard');
        $SOLVED
        const plain = await looks('#formguard button');
        const first = (await here()).name;
        const seen = await tabs(2);
        const shown = (await here()).looks !== plain;
        const heard = await page.evaluate(() => globalThis.heard.slice());
        await page.keyboard.press('Enter');
        $ARRIVED
        return { first, seen, shown, heard };
JS
    is $got->{first}, 'BODY', 'nothing takes the cursor';
    is_deeply $got->{seen}, [qw(checkbox submit)], 'the box, and the button';
    is $got->{shown}, 1, 'which shows that the keyboard is there';
    is_deeply $got->{heard}, ['確認が済みました。'], 'that it is done is announced';
    is $v->mails, 2, 'delivered';
    $v->httpd->log_ok('log', $MISSING, $OK);

    $v->come('/c/contact.php', before => $HEARD);
    my $heard = $v->run(<<'JS');
        await page.route('**/formguard/challenge?**', (route) => route.abort());
        await page.click('[name=send]');
        await page.waitForSelector('#formguard-failed:not([hidden])');
        return page.evaluate(() => globalThis.heard.slice());
JS
    like "@$heard", qr/^確認できませんでした。上の欄を押して/, 'and that it has failed';
    $v->httpd->log_ok('log', $MISSING);
};

subtest 'too large to be kept, on plain http' => sub {
    $v->come('/c/contact.php', host => 'shop.example', before => $HEARD);
    my $got = $v->run($TABS . <<"JS", file => $v->file('皿.jpg', "\7" x 100_000));
        await page.fill('[name=message]', '長'.repeat(30000));
        await page.setInputFiles('[type=file]', args.file);
        await page.focus('[name=send]');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#formguard[data-back]');
        $SOLVED
        const heard = await page.evaluate(() => globalThis.heard.slice());
        const seen = await tabs(2);
        await page.keyboard.press('Enter');
        await page.waitForSelector('[name=message]');
        const form = await page.evaluate(() => [document.querySelector('[name=message]').value.length, document.querySelector('[type=file]').files[0]?.size]);
        await page.focus('[name=send]');
        await page.keyboard.press('Enter');
        $ARRIVED
        return { heard, seen, form };
JS
    is_deeply $got->{heard}, ['確認が済みました。'], 'that it is done is announced';
    is_deeply $got->{seen}, [qw(checkbox submit)], 'the box, and the button';
    is_deeply $got->{form}, [30_000, 100_000], 'back in the form, which is as it was';
    is $v->mails, 2, 'sent once more: delivered';
    is $v->owner->{message}, '長' x 30_000, 'all of it';
    is $v->owner->{添付ファイル}, '皿.jpg (100000 バイト)', 'and the file';
    is_deeply $v->errors, [], 'no word in the console';
    $v->httpd->log_ok('log', $MISSING, $OK);
};

$v->done;
done_testing;
