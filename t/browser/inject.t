#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# FormGuardInject in a real browser: old forms that know nothing of a captcha, whose HTML nobody opens, are filled in and
# sent, and the mail arrives.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use Encode qw(encode);
use File::Copy qw(copy);
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";

my $ROWS = join '', map { "<tr><th>$_->[1]</th><td>$_->[2]</td></tr>\n" } (
    [name => 'お名前', '<input type="text" name="name" size="30">'], [email => 'メール', '<input type="text" name="email" size="30">'],
    [message => 'お問い合わせ', '<textarea name="message" rows="4" cols="40"></textarea>'],
);

# A page of twenty years ago: a table, no label, no script.
sub page
{
    my (%o) = @_;
    my $type = $o{file} ? ' ENCTYPE="multipart/form-data"' : '';
    my $rows = $ROWS . ($o{file} ? '<tr><th>画像</th><td><input type="file" name="attachment"></td></tr>' : '');
    my $form = "<FORM ACTION=\"contact.php\" METHOD=\"POST\"$type>\n<table border=\"1\" cellpadding=\"4\">\n$rows"
        . "<tr><td colspan=\"2\" align=\"center\"><input type=\"reset\" value=\"やり直し\"> <input type=\"submit\" name=\"send\" value=\"送信する\"></td></tr>\n</table>\n</FORM>\n";
    return "<HTML LANG=\"ja\">\n<HEAD><META HTTP-EQUIV=\"Content-Type\" CONTENT=\"text/html; charset=" . ($o{charset} // 'UTF-8') . "\">\n"
        . "<TITLE>お問い合わせ</TITLE></HEAD>\n<BODY BGCOLOR=\"#ffffff\">\n<center><h2>お問い合わせ</h2>\n" . ($o{before} // '') . $form x ($o{times} // 1)
        . "</center>\n" . ($o{script} ? "<script>$o{script}</script>\n" : '') . "</BODY></HTML>\n";
}

my $FETCH = <<'JS';
document.forms[0].addEventListener('submit', async (event) => {
    event.preventDefault();
    const answer = await fetch(event.target.action, { method: 'POST', body: new FormData(event.target) });
    document.body.dataset.status = answer.status;
});
JS

my $mail = FormGuard::Mail->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail, start => 0, modules => ["deflate"],
    config => "FormGuardPages \@DIR\@/pages\n",
    files => {
        'favicon.ico' => '',
        '.htaccess' => "FormGuard On\nFormGuardPath *.php\nFormGuardCaptcha altcha\nFormGuardInject On\nSetOutputFilter DEFLATE\n",
        'contact.php' => \'contact.php',
        'old.html' => page(),
        'file.html' => page(file => 1),
        'fetch.html' => page(script => $FETCH),
        'two.html' => page(times => 2),
        'sjis.html' => encode('cp932', page(charset => 'Shift_JIS', before => '<p>表示・能力・ソート</p>')),
    },
);
mkdir $httpd->dir . '/pages' or die $!;
copy($widget, $httpd->dir . '/pages/altcha.min.js') or die "$widget: $!\n";
$httpd->start;
my $browser = FormGuard::Browser->new(hosts => ['shop.example']);

my $OK = qr/ FG1000: accepted: /;
my %FIELDS = (name => '佐藤 花子', email => 'hanako@visitor.example', message => '青い湯呑みを五つ探しています。');
my $n = 0;

# Somebody new fills in the form that is the last of its page.
sub fill
{
    my ($page, %o) = @_;
    my $host = $o{host} // '127.0.0.1';
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP');
    $browser->run(<<'JS', url => "http://$host:" . $httpd->port . $page, fields => \%FIELDS);
        await page.goto(args.url);
        await page.waitForSelector('altcha-widget .altcha-main');
        for (const [name, value] of Object.entries(args.fields)) await page.locator(`[name=${name}]`).last().fill(value);
JS
}

my $SOLVED = "await page.locator('altcha-widget .altcha').last().and(page.locator('[data-state=verified]')).waitFor();\n";
my $SEND = <<'JS';
    const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.locator('[name=send]').last().click()]);
    await page.waitForLoadState();
    return answer.status();
JS

my $mails = 0;
sub mails_since { my $all = $mail->count; my $new = $all - $mails; $mails = $all; return $new }

# The mail to the owner.
sub owners
{
    my ($owner) = grep { $_->{to} =~ /owner/ } $mail->since($mails);
    my $text = $owner ? $owner->{body} : '';
    utf8::decode($text);
    return $text;
}

subtest 'an old form' => sub {
    fill('/old.html');
    $browser->run($SOLVED . "await shot('inject');");
    is $browser->run('return page.$$eval("td altcha-widget", (all) => all.length)'), 1, 'one widget, in the cell of the buttons';
    is $browser->run($SEND), 200, 'sent: accepted';
    my $text = owners();
    like $text, qr/青い湯呑み/, 'the mail is there';
    unlike $text, qr/altcha/i, 'and nothing of the captcha in it';
    is mails_since(), 2, 'both mails';
    is_deeply [$browser->said], [], 'no word in the console';
    $httpd->log_ok('old', $OK);
};

subtest 'pressed at once' => sub {
    fill('/old.html');
    my $r = $browser->run(<<'JS', fields => \%FIELDS);
        const held = [];
        await page.route('**/formguard/challenge?**', (route) => { held.push(route); });
        await page.reload();
        await page.waitForSelector('altcha-widget .altcha-main');
        for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=${name}]`, value);
        let posts = 0;
        page.on('request', (request) => { posts += request.method() === 'POST'; });
        for (const wait of [100, 100]) {
            await page.click('[name=send]');
            await page.waitForTimeout(wait);
        }
        const before = posts;
        for (const route of held) await route.continue();
        await page.waitForFunction(() => document.title === '送信完了');
        return { before, posts };
JS
    is_deeply $r, { before => 0, posts => 1 }, 'is sent as soon as it is solved, and once';
    like owners(), qr/青い湯呑み.*【send】 送信する/s, 'with the button that was pressed';
    is mails_since(), 2, 'both mails';
    $httpd->log_ok('at once', $OK);
};

subtest 'pressed at once, and something is missing' => sub {
    fill('/old.html');
    my $r = $browser->run(<<'JS');
        await page.route('**/formguard/challenge?**', async (route) => { await page.waitForTimeout(500); await route.continue(); });
        await page.reload();
        await page.waitForSelector('altcha-widget .altcha-main');
        await page.$eval('[name=email]', (field) => { field.required = true; });
        await page.click('[name=send]');
        await page.waitForSelector('altcha-widget .altcha[data-state=verified]');
        await page.waitForTimeout(300);
        return page.evaluate(() => document.activeElement.name);
JS
    is $r, 'email', 'the browser says what, and nothing is sent';
    is mails_since(), 0, 'no mail';
    $httpd->log_ok('missing');
};

subtest 'with a file' => sub {
    fill('/file.html');
    $browser->run("await page.setInputFiles('[name=attachment]', { name: '皿.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(100000, 7) });$SOLVED");
    is $browser->run($SEND), 200, 'accepted';
    like owners(), qr/皿\.jpg \(100000 /, 'and the file is there';
    is mails_since(), 2, 'both mails';
    $httpd->log_ok('file', $OK);
};

subtest 'sent by a script' => sub {
    fill('/fetch.html');
    $browser->run($SOLVED);
    is $browser->run("await page.click('[name=send]'); await page.waitForSelector('body[data-status]'); return page.getAttribute('body', 'data-status')"),
        200, 'fetch with FormData: accepted';
    is mails_since(), 2, 'both mails';
    $httpd->log_ok('fetch', $OK);
};

subtest 'two forms, Shift_JIS, plain http' => sub {
    fill('/two.html');
    $browser->run($SOLVED);
    is $browser->run('return page.$$eval("altcha-widget", (all) => all.length)'), 2, 'a widget each';
    is $browser->run('return page.$$eval("script[src]", (all) => all.length)'), 1, 'one script';
    is $browser->run($SEND), 200, 'the second one: accepted';
    is mails_since(), 2, 'both mails';
    fill('/sjis.html', host => 'shop.example');
    is $browser->run("${SOLVED}return page.innerText('p')"), '表示・能力・ソート', 'the page is what it was';
    is $browser->run("await page.\$eval('form', (form) => { form.acceptCharset = 'UTF-8'; });$SEND"), 200, 'accepted';
    is mails_since(), 2, 'both mails';
    is_deeply [$browser->said], [], 'no word in the console';
    $httpd->log_ok('two forms', $OK => 2);
};

$httpd->done;
done_testing;
