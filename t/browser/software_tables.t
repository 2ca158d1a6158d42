#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Forms that stand between a table and its cells, as in many an old page, with FormGuardInject: to a browser the fields
# in the cells belong to such a form, but what scripts add to the cells does not.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Sender;
use Test::More;

my $ROWS = '<tr><td>Name<td><input name="name"><tr><td>Text<td><textarea name="text"></textarea>';
my $LINK = '<a id="a" href="#" onclick="document.getElementById(\'f\').submit(); return false">Go</a>';
sub table { my ($action, $id) = @_; return "<form id=\"$id\" action=\"$action\" method=\"post\">$ROWS<tr><td colspan=2><input type=submit name=send value=1></td></tr></form>" }

my $F = table('/f/echo.php', 'f');
my $s = FormGuard::Sender->new(pages => {
    plain => "<table border>$F</table>",
    two => '<table border>' . table('/f/echo.php', 'g') . table('/f/other/echo.php', 'f') . '</table>',
    mixed => "<form action=\"/f/other/echo.php\" method=\"post\"><input name=\"x\"><button>Send</button></form><table border>$F</table>",
    fetch => "<table border>$F</table>" . on_submit("fetch(form.action, { method: 'POST', body: new FormData(form) });"),
    serialize => "<table border>$F</table>" . jquery("\$('#f').on('submit', function () { \$.post(this.action, \$(this).serialize()); return false; })"),
    click => "<table border>$F</table>" . jquery("\$('#f').length && \$('[name=send]').click(() => (\$.post('/f/echo.php', \$('#f').serialize()), false))"),
    submit => "<table border>$F<tr><td>$LINK</table>",
    end => "<table border><form id=\"f\" action=\"/f/echo.php\" method=\"post\">$ROWS</form></table><p>$LINK</p>",
});

my @ONE = ({ %SENT, send => '1' });
my @BARE = (\%SENT);
my @AGAIN = (\%SENT, { %SENT, name => 'once more' });

$s->sends('plain', 'solved', "$SOLVED await shot('software-table'); $PRESS", \@ONE);
$s->sends('plain', 'pressed at once', $PRESS, \@ONE);
$s->sends('plain', 'the Enter key', "await page.focus('[name=name]'); await page.keyboard.press('Enter');", \@ONE);
$s->sends('two', 'the second of two in a table', $PRESS, \@ONE, widgets => 2);
$s->sends('mixed', 'behind a form around its fields', $PRESS, \@ONE, widgets => 2);
$s->sends('fetch', 'FormData, twice', "$SOLVED$PRESS$ONCE_MORE$PRESS", \@AGAIN);
$s->sends('serialize', 'serialize(), twice', "$PRESS$ONCE_MORE$PRESS", \@AGAIN);
$s->sends('click', 'serialize() without a submit event', "$SOLVED$PRESS", \@BARE);
$s->sends('submit', 'submit()', "$SOLVED await page.click('#a');", \@BARE);
$s->sends('submit', 'without the script: the challenge page', "await page.click('#a');", \@BARE, before => "await page.route('**/altcha.js', (route) => (page.url().includes('submit.html') ? route.abort() : route.continue()));\n",
    answers => [403, 200]);
$s->sends('end', 'no button', "$SOLVED await page.click('#a');", \@BARE);

$s->done;
done_testing;
