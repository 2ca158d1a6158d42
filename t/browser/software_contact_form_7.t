#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A form as Contact Form 7 prints it, whose script posts to the REST route and not where the form says, with four lines in
# .htaccess: the widget is added to the page, its solution holds at the route, and for no other software.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Sender;
use Test::More;

my %HIDDEN = (_wpcf7 => '12', _wpcf7_version => '5.9.8', _wpcf7_locale => 'ja', _wpcf7_unit_tag => 'wpcf7-f12-p7-o1', _wpcf7_container_post => '7');
my $FORM = '<div class="wpcf7 no-js" id="wpcf7-f12-p7-o1" lang="ja" dir="ltr">'
    . '<form id="f" action="/%s.html#wpcf7-f12-p7-o1" method="post" class="wpcf7-form init" aria-label="コンタクトフォーム" novalidate="novalidate" data-status="init">'
    . '<div style="display: none;">' . join('', map { qq{<input type="hidden" name="$_" value="$HIDDEN{$_}" />} } sort keys %HIDDEN) . '</div>'
    . '<p><label>お名前<br /><input size="40" class="wpcf7-form-control wpcf7-text" name="name" /></label></p>'
    . '<p><textarea cols="40" rows="10" class="wpcf7-form-control wpcf7-textarea" name="text"></textarea></p>'
    . '<p><input class="wpcf7-form-control wpcf7-submit has-spinner" type="submit" id="send" value="送信" /></p>'
    . '<div class="wpcf7-response-output" aria-hidden="true"></div></form></div>';
my $SCRIPT = on_submit(<<'JS');
    fetch('/wp-json/contact-form-7/v1/contact-forms/12/feedback', { method: 'POST', body: new FormData(form), headers: { Accept: 'application/json, */*;q=0.1' } })
        .then((response) => response.json()).then((json) => { if (json.status) { form.dataset.status = json.status; form.querySelector('.wpcf7-response-output').textContent = json.message; } });
JS

my $HTACCESS = "FormGuard On\nFormGuardPreset contact-form-7\nFormGuardCaptcha altcha\nFormGuardInject On\nRewriteEngine On\nRewriteRule ^wp-json/ index.php [END]\n";
my $s = FormGuard::Sender->new(
    pages => { map { ($_ => sprintf($FORM, $_) . $SCRIPT) } qw(contact other) },
    files => { '.htaccess' => $HTACCESS, 'index.php' => \'echo.php' }
);
my @SENT = ({ %SENT, %HIDDEN }, { %SENT, %HIDDEN, name => 'once more' });

$s->sends('contact', 'solved', "$SOLVED await page.click('#send');", [$SENT[0]]);
$s->sends('contact', 'pressed at once: it waits for the widget, though the browser checks nothing', "await page.click('#send');", [$SENT[0]]);
$s->sends('contact', 'twice', "$SOLVED await page.click('#send'); $ONCE_MORE await page.click('#send');", \@SENT);

subtest 'what the visitor reads when it has no solution' => sub {
    $s->_come('contact');
    my $said = $s->browser->run(<<'JS');
        await context.solved();
        await page.$eval('altcha-widget', (w) => w.remove());
        await page.click('#send');
        await page.waitForFunction(() => document.querySelector('form').dataset.status === 'spam');
        return page.$eval('.wpcf7-response-output', (out) => out.textContent);
JS
    like $said, qr/\S/, 'in the software\'s own place';
    $s->httpd->log_ok('log', qr/ FG1400: refused 403: /);
};

# The page is who the browser says it is; what was solved for a page nobody comes from is good nowhere.
subtest 'a page of another host, or none' => sub {
    my $client = $s->httpd->client(from => '203.0.113.99');
    my $page = 'http://127.0.0.1:' . $s->httpd->port;
    for (["$page/contact.html", 200], ["$page/contact.html?a=1#b", 200], ["$page/other.html", 403], ['http://example.com/contact.html', 403], ['', 403], ['/contact.html', 403],
        ["$page/contact.html?" . 'x' x 5000, 403], ['http://[', 403]) {
        my ($referer, $status) = @$_;
        my $solution = FormGuard::Altcha::solve($client->get('/.well-known/formguard/challenge?form=/contact.html')->json);
        my $r = $client->post('/wp-json/contact-form-7/v1/contact-forms/12/feedback', form => { %HIDDEN, name => 'n', altcha => $solution }, headers => [$referer eq '' ? () : (Referer => $referer)]);
        is $r->status, $status, substr $referer, 0, 60;
    }
    $s->httpd->log_ok('log', qr/ FG1402: refused 403: .*another-form/ => 6, qr/ FG1000: / => 2);
};
$s->done;
done_testing;
