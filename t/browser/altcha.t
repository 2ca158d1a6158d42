#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# FormGuardCaptcha altcha as a visitor meets it: the real widget in a real browser, from the page to the mail. And beside
# altcha-lib, the implementation of ALTCHA's makers: what one makes the other solves and takes.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use File::Copy qw(copy);
use FormGuard::Altcha;
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";
my $HTACCESS = "FormGuard On\nFormGuardPath *.php\nFormGuardCaptcha altcha\n";

# A page as README tells site owners to write it.
sub page
{
    my ($action, %o) = @_;
    my $lang = $o{lang} // 'ja';
    my $more = $o{onsubmit} ? ' auto="onsubmit"' : '';
    my $form = ($o{novalidate} ? ' novalidate' : '') . ($o{file} ? ' enctype="multipart/form-data"' : '');
    my $file = $o{file} ? '<p><label>File <input type="file" name="attachment"></label></p>' : '';
    return <<"HTML";
<!DOCTYPE html>
<html lang="$lang">
<head><meta charset="UTF-8"><title>Contact</title>
<script src="$FormGuard::Altcha::SCRIPT" type="module"></script></head>
<body><main><h1>Contact</h1>
<form action="$action" method="post"$form>
<p><label>Name <input name="name"></label></p>
<p><label>Mail <input name="email"></label></p>
<p><label>Message <textarea name="message"></textarea></label></p>
$file
<altcha-widget challenge="$FormGuard::Altcha::URL?form=$action"$more></altcha-widget>
<p><button name="send" value="1">Send</button></p>
</form></main></body>
</html>
HTML
}

my $POLICY = "default-src 'self'; worker-src blob:; style-src 'self' 'unsafe-inline'";
my $mail = FormGuard::Mail->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail, start => 0, modules => ['headers'],
    config => "FormGuardPages \@DIR\@/pages\n",
    files => {
        'favicon.ico' => '',
        'f/.htaccess' => $HTACCESS,
        'f/contact.php' => \'contact.php',
        'f/ja.html' => page('/f/contact.php'),
        'f/en.html' => page('/f/contact.php', lang => 'en'),
        'f/lazy.html' => page('/f/contact.php', novalidate => 1),
        'f/file.html' => page('/f/contact.php', file => 1, onsubmit => 1),
        'strict/.htaccess' => qq{Header set Content-Security-Policy "$POLICY"\n},
        'strict/en.html' => page('/f/contact.php', lang => 'en'),
        'short/.htaccess' => $HTACCESS . "FormGuardCaptchaMaxAge 5s\n",
        'short/contact.php' => \'contact.php',
        'short/ja.html' => page('/short/contact.php'),
    },
);
mkdir $httpd->dir . '/pages' or die $!;
copy($widget, $httpd->dir . '/pages/altcha.min.js') or die "$widget: $!\n";
$httpd->start;
my $KEY = FormGuard::Altcha::key_text(do { open my $fh, '<', $httpd->dir . '/signing-key' or die $!; local $/; <$fh> });
my $browser = FormGuard::Browser->new(hosts => ['shop.example']);

my $OK = qr/ FG1000: accepted: /;
my %FIELDS = (name => '佐藤 花子', email => 'hanako@visitor.example', message => '青い湯呑みを五つ探しています。');
my $n = 0;

# Somebody new, on the page.
sub visit
{
    my ($page, %o) = @_;
    my $host = delete $o{host} // '127.0.0.1';
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP', %o);
    return $browser->run(<<'JS', url => "http://$host:" . $httpd->port . $page, fields => \%FIELDS);
        await page.goto(args.url);
        for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=${name}]`, value);
        await page.waitForSelector('altcha-widget .altcha-main');
        return page.innerText('altcha-widget');
JS
}

# Presses the box and waits: what the widget says then, and what it would post.
my $SOLVE = <<'JS';
    await page.click('altcha-widget label');
    await page.waitForSelector('altcha-widget .altcha:is([data-state=verified], [data-state=error])');
    return { text: await page.innerText('altcha-widget'), token: await page.inputValue('altcha-widget input[type=hidden]') };
JS

# Presses the button; the answer's status.
my $SEND = <<'JS';
    const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.click('[name=send]')]);
    await page.waitForLoadState();
    return answer.status();
JS

my $mails = 0;
sub mails_since { my $all = $mail->count; my $new = $all - $mails; $mails = $all; return $new }

subtest 'a visitor in Japan' => sub {
    like visit('/f/ja.html'), qr/^私はロボットではありません\n/, 'the widget speaks Japanese';
    is_deeply $browser->run("await shot('altcha-ja'); return axe()"), [], 'nothing that keeps people out';
    my $says = $browser->run(<<'JS');
        context.posts = 0;
        page.on('request', (request) => { context.posts += request.method() === 'POST'; });
        await page.click('[name=send]');
        return page.$eval('altcha-widget input:invalid', (box) => box.validationMessage);
JS
    like $says, qr/\S/, 'not solved: the browser says what is missing';
    my $solved = $browser->run($SOLVE);
    like $solved->{text}, qr/^確認済み\n/, 'solved';
    $browser->run("await shot('altcha-ja-solved')");
    is $browser->run($SEND), 200, 'accepted';
    is mails_since(), 2, 'and the mails are there';
    is $browser->run('return context.posts'), 1, 'nothing was sent before';
    is_deeply [$browser->said], [], 'no word in the console';

    is $browser->run('return (await page.reload()).status()'), 403, 'the answer loaded again, which posts again: refused';
    is mails_since(), 0, 'no mail';
    $browser->run("await shot('altcha-again')");
    $httpd->log_ok('a visitor', $OK, qr/ FG1403: refused 403: .* rule="altcha"/);

    is $browser->run(<<'JS', token => $solved->{token}), 403, 'back, and the same solution: refused';
        await page.goBack();
        await page.evaluate((token) => {
            const form = document.querySelector('form');
            form.noValidate = true;
            form.querySelector('altcha-widget input[type=hidden]').value = token;
        }, args.token);
        const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.click('[name=send]')]);
        return answer.status();
JS
    is mails_since(), 0, 'no mail';
    $httpd->log_ok('again', qr/ FG1403: refused 403: .* rule="altcha"/);
};

subtest 'not solved, and the form sent all the same' => sub {
    visit('/f/lazy.html');
    is $browser->run($SEND), 403, 'refused';
    $browser->run("await page.waitForFunction(() => document.title === '送信完了')");
    is mails_since(), 2, 'the page that comes then asks for it, and sends what was typed';
    $httpd->log_ok('missing', qr/ FG1400: refused 403: .* rule="altcha"/, $OK);
};

subtest 'auto="onsubmit", with a file: one press solves and sends' => sub {
    visit('/f/file.html');
    $browser->run(<<'JS');
        await page.setInputFiles('[name=attachment]', { name: '皿.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(100000, 7) });
JS
    is $browser->run($SEND), 200, 'accepted';
    my @new = $mail->since($mails);
    is mails_since(), 2, 'and the mails are there';
    my ($owner) = grep { $_->{to} =~ /owner/ } @new;
    my $text = $owner ? $owner->{body} : '';
    utf8::decode($text);
    like $text, qr/【send】 1/, 'with the button that was pressed';
    like $text, qr/皿\.jpg \(100000 /, 'and the file';
    $httpd->log_ok('onsubmit', $OK);
};

subtest 'a page of plain http' => sub {
    visit('/f/ja.html', host => 'shop.example');
    is $browser->run('return page.evaluate(() => isSecureContext)'), JSON::PP::false, 'where browsers give no crypto';
    like $browser->run($SOLVE)->{text}, qr/^確認済み\n/, 'solved';
    is $browser->run($SEND), 200, 'accepted';
    is mails_since(), 2, 'and the mails are there';
    is_deeply [$browser->said], [], 'no word in the console';
    $httpd->log_ok('plain http', $OK);
};

subtest 'English, and a page with a policy' => sub {
    for my $page ('/f/en.html', '/strict/en.html') {
        like visit($page, locale => 'en-GB'), qr/^\s*I'm not a robot\n/, "$page: the widget speaks English";
        $browser->run($SOLVE);
        is $browser->run($SEND), 200, "$page: accepted";
        is mails_since(), 2, "$page: and the mails are there";
        is_deeply [$browser->said], [], "$page: no word in the console";
    }
    $httpd->log_ok('English', $OK => 2);
};

subtest 'somebody who types for long' => sub {
    visit('/short/ja.html');
    my $token = $browser->run($SOLVE)->{token};
    like $browser->run(<<'JS'), qr/認証が期限切れです。再試行してください。/, 'is told that it has expired';
        await page.waitForSelector('altcha-widget .altcha[data-state=expired]');
        await shot('altcha-expired');
        return page.innerText('altcha-widget');
JS
    is $browser->run("await page.\$eval('form', (form) => { form.noValidate = true; });\n$SEND"), 403,
        'sent all the same: refused';
    is mails_since(), 0, 'no mail';
    is $browser->run('await page.goBack(); return page.inputValue("[name=message]")'), $FIELDS{message}, 'back: what was typed is there';
    $httpd->write_file('short/.htaccess', $HTACCESS);
    isnt $browser->run($SOLVE)->{token}, $token, 'solved anew';
    is $browser->run($SEND), 200, 'accepted';
    is mails_since(), 2, 'and the mails are there';
    # A click beside its message makes the widget forget the solution, if the message was there for a while.
    $httpd->log_ok('expired', qr/ FG140[03]: refused 403: .* rule="altcha"/, $OK);
};

# --- altcha-lib ---

sub post
{
    my ($path, $from, $token) = @_;
    my %form = map { my $v = $FIELDS{$_}; utf8::encode($v); ($_ => $v) } keys %FIELDS;
    return $httpd->client->post($path, from => $from, form => { %form, altcha => $token })->status;
}

subtest 'altcha-lib solves what the module makes' => sub {
    my $from = '198.51.100.1';
    my $token = $browser->run(<<'JS', challenge => FormGuard::Altcha::challenge($httpd->client, '/f/contact.php', from => $from));
        const { algorithm, challenge, maxnumber, salt, signature } = args.challenge;
        const { number, took } = await require('altcha-lib/v1').solveChallenge(challenge, salt, algorithm, maxnumber).promise;
        return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature, took }));
JS
    is post('/f/contact.php', $from, $token), 200, 'accepted';
    is mails_since(), 2, 'and the mails are there';
    $httpd->log_ok('solved by altcha-lib', $OK);
};

subtest 'altcha-lib takes what was solved for the module' => sub {
    my $challenge = FormGuard::Altcha::challenge($httpd->client, '/f/contact.php', from => '198.51.100.2');
    my $number = FormGuard::Altcha::number_of($challenge);
    visit('/f/ja.html');
    my $r = $browser->run(<<'JS', key => $KEY, tokens => {
        const { verifySolution, extractParams } = require('altcha-lib/v1');
        const judged = {};
        for (const [name, token] of Object.entries(args.tokens)) judged[name] = await verifySolution(token, args.key);
        return { judged, key: await verifySolution(args.tokens.widget, `${args.key}x`), params: extractParams(args.tokens.widget) };
JS
        widget => $browser->run($SOLVE)->{token},
        harness => FormGuard::Altcha::payload($challenge, $number),
        number => FormGuard::Altcha::payload($challenge, $number + 1),
    });
    is_deeply $r->{judged}, { widget => JSON::PP::true, harness => JSON::PP::true, number => JSON::PP::false },
        'solved by the widget and by the harness; not with another number';
    is $r->{key}, JSON::PP::false, 'nor with another key';
    ok abs($r->{params}{expires} - time - 1200) < 120, 'when it expires stands where altcha-lib looks for it';
    $httpd->log_ok('judged by altcha-lib');
};

subtest 'the module takes what altcha-lib makes with its key' => sub {
    my $from = '198.51.100.3';
    my $ours = FormGuard::Altcha::challenge($httpd->client, '/f/contact.php', from => $from);
    my $salt = $ours->{salt} =~ s/^[0-9a-f]{24}/'c0ffee' x 4/er;
    for my $case (['its key' => $KEY, 200], ['another key' => "${KEY}x", 403]) {
        my ($name, $key, $status) = @$case;
        my $challenge = $browser->run('return require("altcha-lib/v1").createChallenge(args)', salt => $salt, hmacKey => $key, maxnumber => 1000);
        is $challenge->{salt}, $salt, "$name: its salt as it was given";
        is post('/f/contact.php', $from, FormGuard::Altcha::solve($challenge)), $status, "$name: $status";
    }
    is mails_since(), 2, 'and the mails are there';
    $httpd->log_ok('made by altcha-lib', $OK, qr/ FG1402: refused 403: .* rule="altcha"/);
};

$httpd->done;
done_testing;
