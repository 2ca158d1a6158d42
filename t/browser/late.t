#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Visitors who take their time, or whose network does: what they have typed is not lost, and arrives in the end.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Visitor;
use Test::More;

my $v = FormGuard::Visitor->new(
    clock => 1,
    files => { 'short/.htaccess' => "${\ FormGuard::Visitor::asks()}FormGuardInject On\nFormGuardCaptchaMaxAge 3s\n", 'short/contact.php' => \'contact.php' },
);
my %WHOLE = (%FIELDS, send => 1, tel => '', subject => '');
my $TYPED = "return page.inputValue('[name=message]');";
my $SEND = "await page.click('[name=send]');\n";
my $STATE = "const state = (name) => page.waitForSelector(`altcha-widget .altcha[data-state=\${name}]`);\n";
my $TOKEN = "return page.inputValue('altcha-widget input[type=hidden]');";

sub delivered
{
    my ($name) = @_;
    is $v->mails, 2, "$name: one message, two mails";
    is_deeply $v->owner, \%WHOLE, "$name: with all that was typed";
}

# --- time --------------------------------------------------------------------------------------------

subtest 'typing for longer than a solution is good for' => sub {
    $v->come('/short/contact.php');
    my $first = $v->run($SOLVED . $TOKEN);
    # With the cursor in the form, and then outside of it.
    my $second = $v->run(<<'JS' . $TOKEN, first => $first);
        await page.focus('[name=message]');
        await page.waitForFunction((first) => ![first, ''].includes(document.querySelector('altcha-widget input[type=hidden]').value), args.first);
JS
    is $v->run('return page.evaluate(() => document.activeElement.name)'), 'message', 'solved anew, and the cursor is where it was';
    $v->run($STATE . "await page.click('h1'); await state('unverified');");
    isnt $v->run("await page.focus('[name=name]');$SOLVED$TOKEN"), $second, 'and when somebody comes back to the form';
    is $v->press, 200, 'sent: accepted';
    delivered('late');
    is_deeply $v->errors, [], 'no word in the console';
    $v->httpd->log_ok('no refusal', $OK);
};

subtest 'a clock that is an hour fast' => sub {
    $v->come('/i/contact.php', before => 'await page.clock.install({ time: Date.now() + 3600000 });');
    # The widget may have come after the fields were filled in.
    is $v->run("await page.waitForSelector('altcha-widget .altcha-main'); await page.focus('[name=message]'); ${SOLVED}return (await page.\$\$('altcha-widget')).length"),
        1, 'solved all the same';
    is $v->press, 200, 'accepted';
    delivered('fast clock');
    $v->httpd->log_ok('no refusal', $OK);
};

subtest 'a form that was left open, on a machine that slept' => sub {
    $v->come('/i/contact.php');
    $v->run($SOLVED);
    $v->httpd->clock(3000);
    my $said = $v->run("$SEND${SOLVED}await shot('visitor-aged'); return page.innerText('main')");
    like $said, qr/ロボット確認の有効期限が切れた.*入力した内容や添付ファイルは保持されています/s, 'told that it has grown old, and what was typed is kept';
    is $v->mails, 0, 'not sent yet';
    $v->run("await page.click('#formguard button');$ARRIVED");
    delivered('aged');
    is_deeply $v->errors, [], 'no word in the console';
    $v->httpd->log_ok('log', qr/ FG1403: refused 403: .* rule="altcha"/, $OK);
};

subtest 'a challenge page that was left open' => sub {
    $v->come('/c/contact.php');
    $v->run(<<"JS");
        await page.route('**/challenge.js', async (route) => {
            const answer = await route.fetch();
            await route.fulfill({ response: answer, body: (await answer.text()).replaceAll('data-auto', 'data-never') });
        });
        $SEND$SOLVED
JS
    $v->httpd->clock(3000 + 7200);
    my $said = $v->run("await page.click('#formguard button'); await page.waitForSelector('.status'); await page.waitForLoadState();$SOLVED return page.innerText('main')");
    like $said, qr/保持されています/, 'the page comes again, and has kept what was typed';
    is $v->mails, 0, 'not sent yet';
    $v->run("await page.click('#formguard button');$ARRIVED");
    delivered('left open');
    $v->httpd->log_ok('log', $MISSING, qr/ FG140[03]: refused 403: .* rule="altcha"/, $OK);
    $v->httpd->clock(0);
};

# --- the network -------------------------------------------------------------------------------------

# As a telephone far from its mast has it: a kilobyte takes 25 ms, and each way 300.
my $SLOWLY = <<'JS';
    const network = await context.newCDPSession(page);
    await network.send('Network.enable');
    await network.send('Network.emulateNetworkConditions', { offline: false, latency: 300, downloadThroughput: 40000, uploadThroughput: 40000 });
JS

subtest 'sent before a slow network has brought the widget' => sub {
    $v->come('/i/contact.php', before => $SLOWLY);
    my $early = $v->run("const early = !(await page.\$('altcha-widget .altcha-main')); $SEND$ARRIVED return early ? 1 : 0");
    is $early, 1, 'the widget was not there';
    delivered('slow');
    $v->httpd->log_ok('asked by the challenge page', $MISSING, $OK);
};

subtest 'the widget cannot be loaded at all' => sub {
    $v->come('/i/contact.php', before => "await page.route('**/altcha.js', (route) => route.abort());");
    my $said = $v->run($SEND . "await page.waitForSelector('#formguard-failed:not([hidden])'); await shot('visitor-blocked'); return page.innerText('#formguard-failed')");
    like $said, qr/確認できませんでした.*「戻る」ボタン/, 'told so, and the way back';
    is $v->run("await page.unroute('**/altcha.js'); await page.goBack();$TYPED"), $FIELDS{message}, 'where all is as it was';
    is $v->mails, 0, 'not sent yet';
    $v->run("await page.reload(); for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=\${name}]`, value);$SOLVED");
    is $v->press, 200, 'once it can be loaded: accepted';
    delivered('blocked');
    $v->httpd->log_ok('log', $MISSING, $OK);
};

subtest 'the network fails while the challenge page asks' => sub {
    $v->come('/c/contact.php');
    my $said = $v->run($STATE . <<"JS");
        await page.route('**/formguard/challenge?**', (route) => route.abort());
        $SEND
        await state('error');
        await page.waitForSelector('#formguard-failed:not([hidden])');
        await page.unroute('**/formguard/challenge?**');
        return page.innerText('#formguard-failed');
JS
    like $said, qr/上の欄を押して、もう一度/, 'told what to do';
    $v->run("await page.click('altcha-widget label');$ARRIVED");
    delivered('failed once');
    $v->httpd->log_ok('log', $MISSING, $OK);
};

subtest 'the network fails while the form is sent' => sub {
    $v->come('/i/contact.php');
    $v->run($SOLVED . <<"JS");
        await context.setOffline(true);
        $SEND
        await page.waitForURL('chrome-error://**');
        await context.setOffline(false);
JS
    is $v->mails, 0, 'not sent';
    $v->run("await page.reload();$ARRIVED");
    delivered("loaded again, as the browser's page says");
    $v->httpd->log_ok('log', $OK);
};

subtest 'script off, in a form with the widget' => sub {
    $v->come('/i/contact.php', javaScriptEnabled => \0);
    my $r = $v->run($SEND . <<"JS");
        await page.waitForLoadState();
        await shot('visitor-noscript');
        const text = await page.innerText('main');
        await page.goBack();
        return { text, typed: await page.inputValue('[name=message]') };
JS
    like $r->{text}, qr/JavaScript が必要.*「戻る」ボタン/, 'told what to do';
    is $r->{typed}, $FIELDS{message}, 'what was typed is there after going back';
    is $v->mails, 0, 'nothing was sent';
    $v->httpd->log_ok('log', $MISSING);
};

$v->done;
done_testing;
