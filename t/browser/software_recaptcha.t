#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# reCAPTCHA v3 and Enterprise have no widget to be solved: with FormGuardInject the page asks for a token when its form is
# sent. Google's script is a stand-in here, which gives tokens that the stand-in of its server knows.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Sender;
use FormGuard::Vendor;
use Test::More;

my $FORM = '<form id="f" action="/f/echo.php" method="post"><p>Name <input name="name"></p><p>Text <textarea name="text"></textarea></p>'
    . '<p><button name="send" value="1">Send</button></p></form>';
my $ROWS = '<tr><td>Name<td><input name="name"><tr><td>Text<td><textarea name="text"></textarea><tr><td><input type=submit name=send value=1>';
my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $KEY = '6Le-x_y"<&';

sub host
{
    my ($name, $captcha, $of, $more) = @_;
    return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $name.test\nDocumentRoot \@HTDOCS\@\nFormGuardCaptchaHostname shop.example\nFormGuardCaptcha $captcha\n"
        . 'FormGuardCaptchaEndpoint ' . $vendor->url('good', undef, $of) . "\nFormGuardCaptchaSecret ${\ $vendor->secret}\nFormGuardCaptchaSiteKey '$KEY'\n$more</VirtualHost>\n";
}

my $s = FormGuard::Sender->new(
    captcha => "FormGuardCaptchaStrip On\n", hosts => [qw(three.test net.test enterprise.test)], host => 'three.test',
    config => "FormGuardCaptchaTimeout 10s\nFormGuardCaptchaCAFile " . $vendor->ca . "\n"
        . host('three', 'recaptcha-v3', 'recaptcha', "FormGuardCaptchaAction contact\n") . host('net', 'recaptcha-v3', 'recaptcha', "FormGuardCaptchaField token\n")
        . host('enterprise', 'recaptcha-enterprise', 'enterprise', "FormGuardCaptchaProject my-project-1\n"),
    pages => {
        plain => $FORM,
        fetch => $FORM . on_submit("fetch(form.action, { method: 'POST', body: new FormData(form) });"),
        serialize => $FORM . jquery("\$('#f').on('submit', function () { \$.post(this.action, \$(this).serialize()); return false; })"),
        submit => "$FORM<p><a id=\"a\" href=\"#\" onclick=\"document.forms[0].submit(); return false\">Go</a></p>",
        table => "<table border><form id=\"f\" action=\"/f/echo.php\" method=\"post\">$ROWS</form></table>",
        two => "$FORM<form action=\"/f/other/echo.php\" method=\"post\"><input name=\"x\"><button>Send</button></form>",
    },
);

# As https://developers.google.com/recaptcha/docs/v3 describes it; of its own it tells what it was asked.
my $GOOGLE = <<'JS';
    context.loaded = 0;
    await page.route(/^https:\/\/www\.(google\.com|recaptcha\.net)\//, async (route) => {
        const url = new URL(route.request().url());
        const script = /^\/recaptcha\/(api|enterprise)\.js$/.exec(url.pathname);
        context.loaded++;
        await route.fulfill({ contentType: 'text/javascript', body: `{
            let n = Date.now() % 1e9;
            const api = {
                ready: (then) => setTimeout(then, 20),
                execute: async (key, { action }) => {
                    if (key !== ${JSON.stringify(url.searchParams.get('render'))}) throw new Error('Invalid site key or not loaded in api.js: ' + key);
                    if (!/^[A-Za-z\/_]+$/.test(action)) throw new Error('Invalid action name');
                    await new Promise((resolve) => setTimeout(resolve, 50));
                    (globalThis.tokens ??= []).push(action);
                    return 'ok-score-' + (globalThis.score ?? '0.9') + '-action-' + action + '~' + n++;
                },
            };
            globalThis.grecaptcha = ${script[1] === 'api' ? 'api' : '{ enterprise: api }'};
        }` });
    });
JS

my @ONE = ({ %SENT, send => '1' });
my @BARE = (\%SENT);
my @AGAIN = (\%SENT, { %SENT, name => 'once more' });
my $ASKED = "await page.waitForFunction(() => globalThis.tokens?.length > 0);";
sub asked { return map { $_->{token} =~ /-action-([^~]*)/ } $vendor->since($_[0]) }

my $mark = $vendor->count;
$s->sends('plain', 'typed, and sent', "$ASKED$PRESS", \@ONE, before => $GOOGLE);
is_deeply [asked($mark)], ['contact'], 'one token, for the action that is configured';
$s->sends('plain', 'sent at once', "await page.evaluate(() => document.activeElement.blur()); $PRESS", \@ONE, before => $GOOGLE);
$s->sends('plain', 'recaptcha.net, another field, no action', "await shot('software-recaptcha'); $PRESS", \@ONE, before => $GOOGLE, host => 'net.test');
$mark = $vendor->count;
$s->sends('plain', 'Enterprise', $PRESS, \@ONE, before => $GOOGLE, host => 'enterprise.test');
is_deeply [map { "$_->{service} $_->{site_key}" } $vendor->since($mark)], ["enterprise $KEY"], 'it is the one that is asked';
$s->sends('fetch', 'FormData, twice', "$PRESS$ONCE_MORE$PRESS", \@AGAIN, before => $GOOGLE);
$s->sends('serialize', 'jQuery, twice', "$PRESS$ONCE_MORE$PRESS", \@AGAIN, before => $GOOGLE);
$s->sends('submit', 'submit()', "$ASKED await page.waitForFunction(() => document.forms[0].elements['g-recaptcha-response'].value); await page.click('#a');", \@BARE, before => $GOOGLE);
$s->sends('table', 'in a table', $PRESS, \@ONE, before => $GOOGLE);
$s->sends('two', 'two forms', $PRESS, \@ONE, before => $GOOGLE, widgets => 2);
is $s->browser->run('return context.loaded'), 1, "Google's script is there once";
$s->sends('plain', 'taken for a robot', "await page.evaluate(() => { globalThis.score = '0.1'; }); await context.fill({ name: 'x' }); await page.evaluate(() => { performance.now = () => 1e9; }); $PRESS",
    [], before => $GOOGLE, answers => [403], log => [qr/ FG1406: refused 403: .* score=0\.10 min=0\.50/]);
$s->sends('plain', "without Google's script", "$PRESS", [], before => "await page.route(/google/, (route) => route.abort());\n", answers => [403],
    log => [qr/ FG1400: refused 403: .* rule="recaptcha-v3"/]);

$s->done;
done_testing;
