#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Every page of the module in front of axe-core, in English and Japanese, dark and light, 320 pixels wide, with letters of
# twice the size: the refusals, the challenge page in all its states, a page with the widget put in, the status page.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Visitor;
use Test::More;

my %KINDS = (
    # what is guarded how => what its page says, in both languages; line in error_log
    closed => ["FormGuardLimit form 1/1h action=close:6h", qr/^This form is closed for a while\n/, qr/^このフォームは一時的に受け付けを停止しています\n/, qr/ FG110[01]: /],
    country => ["FormGuardCountry unknown refuse", qr/^Messages from here/, qr/^この地域からの送信/, qr/ FG1200: /],
    deny => ["FormGuardDeny On", qr/^Nothing can be sent here/, qr/^ここには送信できません/, qr/ FG1220: /],
    malformed => ["FormGuardLimit ip 100/1h", qr/^The message arrived damaged/, qr/^送信内容を読み取れませんでした/, qr/ FG1300: /],
    'too-large' => ["FormGuardBodyLimit 1K", qr/^The message is too large/, qr/^送信内容が大きすぎます/, qr/ FG1301: /],
    required => ["FormGuardField subject required", qr/^Something is missing/, qr/^入力されていない項目があります/, qr/ FG1310: /],
    honeypot => ["FormGuardField name empty", qr/^The message could not be accepted/, qr/^メッセージを受け付けられませんでした/, qr/ FG1311: /],
    'single-line' => ["FormGuardField message single-line", qr/^A field holds more/, qr/^1 行で入力する項目に/, qr/ FG1312: /],
    links => ["FormGuardField message max-links=0", qr/^There are too many links/, qr/^メッセージに含まれる URL/, qr/ FG1313: /],
    captcha => ["FormGuardCaptcha turnstile\nFormGuardCaptchaSecret secret", qr/^The check for robots did not/, qr/^ロボットではないことを確認できません/, qr/ FG1400: /],
    verifier => ["FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret secret", qr/^The message could not be checked/, qr/^送信内容を確認できませんでした/, qr/ FG(?:1500|2301): /],
    kept => ["FormGuardCaptcha altcha", qr/^This page can no longer be sent/, qr/^このページからは送信できなくなりました/, qr/ FG1304: /],
);
# What is posted of each kind beside the fields.
my %MORE = (
    captcha => {}, verifier => { 'g-recaptcha-response' => 'x' x 400 }, 'too-large' => { more => 'x' x 2000 }, required => { subject => '' },
    links => { message => 'https://a.example' }, kept => { 'formguard-kept' => 'x' x 300 },
);
my $config = join '', "FormGuardGeoDatabase \@GEO\@\nFormGuardCaptchaEndpoint http://127.0.0.1:9/\n",
    map { "<Location /k/$_.php>\nFormGuard On\n$KINDS{$_}[0]\nFormGuardContact \"0120-000-000 https://shop.example/a/very/long/address/without/any/space/in/it.html\"\n</Location>\n" } sort keys %KINDS;
$config .= "<Location /formguard-status>\nSetHandler formguard-status\n</Location>\n"
    . "<Location /formguard-open>\nSetHandler formguard-status\nFormGuardStatusOpen On\n</Location>\n";
my $v = FormGuard::Visitor->new(config => $config, files => { 'k.html' => '<!DOCTYPE html><html lang="ja"><title>k</title></html>', map { ("k/$_.php" => '') } keys %KINDS });

my @VIEWS = (
    ['en', locale => 'en-GB', colorScheme => 'dark', viewport => { width => 1280, height => 800 }],
    ['ja', locale => 'ja-JP', colorScheme => 'light', viewport => { width => 320, height => 640 }],
);

# What is wrong with what is shown, and what it says.
my $LOOK = <<'JS';
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    await page.waitForLoadState();
    await shot(`page-${args.name}`);
    const wrong = await axe();
    if (await wide()) wrong.push('wider than the window');
    // Letters of twice the size, in a window as wide as two of the narrowest.
    await page.setViewportSize({ width: 640, height: 800 });
    await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
    if (await wide()) wrong.push('wider than the window at 200 %');
    return { wrong, lang: await page.getAttribute('html', 'lang'), said: await page.innerText('main, body') };
JS

sub looks
{
    my ($name, $lang, $says) = @_;
    my $got = $v->run($LOOK, name => "$name-$lang");
    is_deeply $got->{wrong}, [], "$name, $lang: nothing that keeps people out";
    is $got->{lang}, $lang, "$name, $lang: its language" if $says;
    like $got->{said}, $says, "$name, $lang: what it says" if $says;
}

subtest 'refusals' => sub {
    my $posts = 0;
    # One page, of which the words differ: each of them in one of both views.
    for my $kind (sort keys %KINDS) {
        my ($lang, %view) = @{$VIEWS[++$posts % 2]};
        $v->browser->fresh(from => "203.0.113.$posts", %view);
        my $send = <<'JS';
            await page.goto(args.page);
            if (args.damaged) await page.route('**/k/**', (route) => route.continue({ postData: 'x', headers: { ...route.request().headers(), 'content-type': 'multipart/form-data; boundary=y' } }));
            await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.evaluate(({ to, fields }) => {
                const form = document.body.appendChild(document.createElement('form'));
                Object.assign(form, { method: 'post', action: to });
                for (const [name, value] of Object.entries(fields)) {
                    form.appendChild(document.createElement('textarea')).name = name;
                    form.lastChild.value = value;
                }
                form.submit();
            }, args)]);
            await page.waitForURL(`**${args.to}`);
JS
        my %fields = (%FIELDS, %{$MORE{$kind} || {}});
        %fields = ('formguard-kept' => $fields{'formguard-kept'}) if $kind eq 'kept';
        for (1 .. ($kind eq 'closed' ? 2 : 1)) {
            $v->run($send, page => $v->httpd->url('/k.html'), to => "/k/$kind.php", fields => \%fields, damaged => $kind eq 'malformed' ? 1 : 0);
        }
        looks($kind, $lang, $KINDS{$kind}[$lang eq 'en' ? 1 : 2]);
    }
    $v->httpd->log_ok('log', $OK, qr/ FG2003: /, map { $_->[3] => [1, 2] } values %KINDS);
};

# The challenge page as it comes to a post that sends itself, to one that does not, and so on.
my $SEND = "await page.click('[name=send]'); await page.waitForSelector('#formguard'); const widget = (state) => page.waitForSelector(`altcha-widget .altcha[data-state=\${state}]`);\n";
my $STAYS = <<'JS';
    await page.route('**/challenge.js', async (route) => {
        const answer = await route.fetch();
        await route.fulfill({ response: answer, body: (await answer.text()).replaceAll('data-auto', 'data-never') });
    });
JS
my %STATES = (
    working => ["await page.route('**/formguard/challenge?**', () => {});$SEND await widget('verifying');", [$MISSING]],
    done => ["$STAYS$SEND await widget('verified');", [$MISSING]],
    failed => ["await page.route('**/formguard/challenge?**', (route) => route.abort());$SEND await page.waitForSelector('#formguard-failed:not([hidden])');", [$MISSING]],
    again => [<<"JS", [$MISSING, qr/ FG1401: /]],
        await page.route('**/*.php', (route) => {
            const posted = route.request().postData() ?? '';
            return route.continue(posted.startsWith('formguard-kept') ? { postData: posted.replace(/&altcha=.*/s, '&altcha=none') } : {});
        });
        $SEND
        await page.waitForFunction(() => document.querySelector('#formguard') && !document.querySelector('#formguard[data-auto]') && document.querySelector('.altcha[data-state=verified]'));
JS
    large => ["await page.fill('[name=message]', 'x'.repeat(70000));$SEND await widget('verified');", [$MISSING]],
    repeat => ["$SEND$ARRIVED await page.reload(); await page.waitForSelector('altcha-widget .altcha[data-state=verified]');", [$MISSING, $OK, $USED]],
    blocked => ["await page.route('**/altcha.js', (route) => route.abort());$SEND await page.waitForSelector('#formguard-failed:not([hidden])');", [$MISSING]],
);

subtest 'the challenge page' => sub {
    my $n = 0;
    for my $state (sort keys %STATES) {
        my ($lang, %view) = @{$VIEWS[++$n % 2]};
        $v->come('/c/contact.php', %view);
        $v->run($STATES{$state}[0]);
        looks("challenge-$state", $lang, $state eq 'repeat' ? qr/^(?:Your message has arrived|メッセージは届いています)\n/ : $lang eq 'en' ? qr/^One more step\n/ : qr/^ロボットではないことを確認しています\n/);
        $v->httpd->log_ok("$state: log", @{$STATES{$state}[1]});
    }
};

subtest 'a page with the widget put in' => sub {
    my ($lang, %view) = @{$VIEWS[1]};
    $v->come('/i/contact.php', %view);
    looks('inject', 'ja');
    $v->httpd->log_ok('no line');
};

subtest 'the status page' => sub {
    for my $page ('status', 'open') {
        for (@VIEWS) {
            my ($lang, %view) = @$_;
            $v->browser->fresh(%view);
            $v->run('await page.goto(args.url)', url => $v->httpd->url("/formguard-$page"));
            like $v->run("return page.innerText('body')"), qr/Closed forms\s+Form\s+Still for\s+form=\/k\/closed\.php/, "$page: with a closed form";
            my $got = $v->run($LOOK, name => "status-$page-$view{viewport}{width}");
            is_deeply $got->{wrong}, [], "$page, $view{viewport}{width}: nothing that keeps people out";
        }
    }
    $v->httpd->log_ok('no line');
};

subtest 'the status page before anything was posted' => sub {
    $v->httpd->stop;
    $v->httpd->start;
    $v->browser->fresh(viewport => { width => 320, height => 640 });
    $v->run('await page.goto(args.url)', url => $v->httpd->url('/formguard-status'));
    looks('status-empty', 'en');
    $v->httpd->log_ok('start', qr/./ => '*');
};

$v->done;
done_testing;
