#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The ways in which pages send their forms, with FormGuardInject and the captcha built in: by fetch and XMLHttpRequest, by
# jQuery and its form plugin as WordPress ships them, by submit() of a script, by buttons that stand elsewhere; two forms
# on a page. What the browser sends is what PHP gets, once.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Sender;
use Test::More;

my $ACTION = 'action="/f/echo.php" method="post"';
my $FIELDS = '<p>Name <input name="name"></p><p>Text <textarea name="text"></textarea></p>';
my $SEND = '<p><button name="send" value="1">Send</button></p>';
my $FORM = "<form id=\"f\" $ACTION>$FIELDS$SEND</form>";
my $FETCH = "fetch(form.action, { method: 'POST', body: new FormData(form) });";

my $s = FormGuard::Sender->new(pages => {
    plain => $FORM,
    fetch => $FORM . on_submit($FETCH),
    xhr => $FORM . on_submit("const x = new XMLHttpRequest(); x.open('POST', form.action); x.send(new FormData(form, event.submitter));"),
    json => $FORM . on_submit("fetch(form.action, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(Object.fromEntries(new FormData(form))) });"),
    params => $FORM . on_submit("fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) });"),
    serialize => $FORM . jquery("\$('#f').on('submit', function () { \$.post(this.action, \$(this).serialize()); return false; })"),
    ajaxform => $FORM =~ s/<button /<button type="submit" /r . jquery("\$('#f').ajaxForm()"),
    click => $FORM =~ s/<button /<button type="button" /r . script("form.querySelector('button').onclick = () => { $FETCH };"),
    submit => "$FORM<p><a id=\"a\" href=\"#\" onclick=\"document.forms[0].submit(); return false\">Go</a></p>",
    request => "$FORM<p><a id=\"a\" href=\"#\" onclick=\"document.forms[0].requestSubmit(); return false\">Go</a></p>",
    shadowed => $FORM =~ s/name="send"/name="submit"/r,
    apart => "<form id=\"f\" $ACTION></form><div><input name=\"name\" form=\"f\"> <textarea name=\"text\" form=\"f\"></textarea></div><button form=\"f\" name=\"send\" value=\"1\">Send</button>",
    action => '<form id="f" action="/free.php" method="post">' . $FIELDS . '<p><button name="save" value="1">Save</button> <button formaction="/f/echo.php" name="send" value="1">Send</button></p></form>',
    two => "<form id=\"s\" action=\"/f/search.php\"><input name=\"q\"> <button>Search</button></form>$FORM" . '<form id="g" action="/f/other/echo.php" method="post">' . "$FIELDS$SEND</form>"
        . '<form id="h" action="/free.php" method="post"><input name="x"><button>Free</button></form>',
});

my @ONE = ({ %SENT, send => '1' });
my @BARE = (\%SENT);
my @AGAIN = (\%SENT, { %SENT, name => 'once more' });

$s->sends('plain', 'solved', "$SOLVED$PRESS", \@ONE);
$s->sends('plain', 'pressed at once: it waits for the widget', $PRESS, \@ONE);
$s->sends('plain', 'the Enter key', "await page.focus('[name=name]'); await page.keyboard.press('Enter');", \@ONE);
for my $page (qw(fetch xhr json params serialize ajaxform)) {
    # FormData of fields has no line ends of forms, JSON is nothing for $_POST, and the plugin forgets the button soon.
    my @sent = $page eq 'json' ? ({}) x 2 : map { { %$_, $page eq 'params' ? (text => $TYPED{text}) : () } } @AGAIN;
    $sent[$_]{send} = '1' for $page eq 'xhr' ? (0, 1) : $page eq 'ajaxform' ? 0 : ();
    $s->sends($page, 'twice', "$SOLVED$PRESS$ONCE_MORE$PRESS", \@sent);
}
$s->sends('fetch', 'pressed at once', $PRESS, \@BARE);
$s->sends('click', 'no submit event', "$SOLVED await page.click('#f button'); $ONCE_MORE await page.waitForSelector('altcha-widget [data-state=verifying]'); $SOLVED await page.click('#f button');", \@AGAIN);
$s->sends('submit', 'submit()', "$SOLVED await page.click('#a');", \@BARE);
$s->sends('submit', 'submit() at once: the challenge page',
    "$SOLVED await page.\$eval('altcha-widget', (w) => { w.reset(); return new Promise((go) => setTimeout(go, 100)); }); await page.click('#a');", \@BARE, answers => [403, 200]);
$s->sends('request', 'requestSubmit()', "$SOLVED await page.click('#a');", \@BARE);
$s->sends('shadowed', 'a button called submit', "await page.click('#f [name=submit]');", [{ %SENT, submit => '1' }]);
$s->sends('apart', 'button and fields outside the form', "$SOLVED await page.click('[name=send]');", \@ONE);
$s->sends('action', 'a formaction is not seen: the challenge page', $PRESS, \@ONE, widgets => 0, answers => [403, 200]);
$s->sends('action', 'what is not guarded', "await page.click('[name=save]');", [{ %SENT, save => '1' }], widgets => 0, unguarded => 1);
$s->sends('two', 'two forms that are guarded, two that are not', $PRESS, \@ONE, widgets => 2);
is_deeply $s->browser->run("await page.goto(args.url); return page.\$\$eval('altcha-widget', (all) => all.map((w) => w.closest('form').id))", url => $s->url('two')),
    [qw(f g)], 'the widgets stand in those that are';

$s->done;
done_testing;
