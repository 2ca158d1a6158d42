#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# conf.d/asset-directories.conf against what was seen on shared hosting: mailers put into css/ and images/, posted to
# from a few sources until thousands of mails are queued, while the site's own form goes on working.
use strict;
use warnings;
use lib 't/lib', '../lib';
use File::Basename qw(dirname);
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

sub conf { my ($name) = @_; open my $fh, '<', dirname($INC{'FormGuard/Httpd.pm'}) . "/../../../conf.d/$name.conf" or die "$name.conf: $!\n"; local $/; return scalar <$fh> }
my $CONF = conf('asset-directories');
my $MAILER = "<?php mail(\$_POST['to'], \$_POST['subject'], \$_POST['text']); echo 'sent';\n";
my %JUNK = (to => 'world@example.net', subject => 'a bargain', text => 'buy');
my %VISITOR = (name => 'Hanako', email => 'hanako@example.jp', message => 'Is it in stock?');
my $DENIED = sub { my ($file) = @_; return qr{ \[formguard:warn\] .* FG1220: refused 403: no post belongs here: rule="FormGuardDeny On" .* site=127\.0\.0\.1 file=/\S+/htdocs/\Q$file\E ref=\S{9}$} };

my $mail = FormGuard::Mail->new;
my @BAD = qw(css/css.php images/c0nfig.php wp-content/uploads/2024/05/x.php js/lib/a/b/mail.phtml fonts/f.php);
my $httpd = FormGuard::Httpd->new(
    mpm => 'event', php => 'fpm', mail => $mail,
    # What a provider has besides: he only watches so far, and counts one address.
    config => "FormGuard DetectionOnly\nFormGuardPath *.php *.php/*\nFormGuardLimit ip 20/10m\n$CONF"
        . "<Location \"/cms/js/save.php\">\nFormGuardDeny Off\n</Location>\n",
    files => {
        map({ ($_ => $MAILER) } @BAD, 'mail/stats34.php', 'cms/js/save.php', 'cssx/a.php', 'css.php', 'Images/Deep/UP.PHP'), 'contact.php' => \'contact.php', 'css/style.css' => 'body{}', 'images/a.html' => 'picture',
        '.htaccess' => "RewriteEngine On\nRewriteRule ^send\$ css/css.php [L]\nRewriteRule ^form\$ contact.php\n",
        'css/.htaccess' => "FormGuard Off\nFormGuardDeny Off\nFormGuardPath /none\nFormGuardMethods PUT\n<If \"true\">\nFormGuard Off\nFormGuardDeny Off\n</If>\n",
    }
);
my @SOURCES = qw(182.16.27.106 182.16.59.138 52.128.227.34 52.128.230.42);

# A wave: every file from every source, over and over.
my $mark = $mail->count;
my %status;
for my $n (1 .. 10) {
    for my $from (@SOURCES) {
        $status{$httpd->client->post("/$_", form => \%JUNK, from => $from)->status}++ for @BAD;
    }
}
is_deeply \%status, { 403 => 40 * @BAD }, 'the wave is refused to the last post';
is $mail->count, $mark, 'and no mail goes out';
$httpd->log_ok('staff finds each file in error_log', map { ($DENIED->($_) => 40) } @BAD);

# The same scripts by other names.
for (
    ['css/css.php/path/info.html', 'css/css.php'], ['css/css.php?x=.html', 'css/css.php'], ['./css//css.php', 'css/css.php'], ['%63ss/css.ph%70', 'css/css.php'],
    ['send', 'css/css.php'], ['Images/Deep/UP.PHP', 'Images/Deep/UP.PHP'], ['x/../images/c0nfig.php', 'images/c0nfig.php'],
) {
    my ($path, $file) = @$_;
    is $httpd->client->post("/$path", form => \%JUNK)->status, 403, "$path: refused";
    is $httpd->client->post("/$path", multipart => { %JUNK }, chunks => [5])->status, 403, "$path: whatever it is sent as";
    $httpd->log_ok("$path: the file", $DENIED->($file) => 2);
}
is $mail->count, $mark, 'still no mail';

# What belongs there, and what lies elsewhere.
is $httpd->client->get('/css/style.css')->body, 'body{}', 'a style sheet';
is $httpd->client->get('/images/a.html')->status, 200, 'a picture';
for my $path ('contact.php', 'form', 'contact.php/images/x.html') {
    my $m = $mail->count;
    is $httpd->client->post("/$path", form => \%VISITOR)->status, 200, "$path: the site's own form";
    is $mail->count - $m, 2, "$path: two mails";
}
for my $path ('mail/stats34.php', 'cms/js/save.php', 'cssx/a.php', 'css.php') {
    my $m = $mail->count;
    is $httpd->client->post("/$path", form => \%JUNK)->status, 200, "$path: no such folder, or one with an exception";
    is $mail->count - $m, 1, "$path: its mail";
}
$httpd->log_ok('and what is said of them', qr/ FG1000: accepted: / => 7);

# What lies in mail/ is for the limits: the provider sees it coming.
$httpd->client->post('/mail/stats34.php', form => \%JUNK, from => $SOURCES[0]) for 1 .. 30;
$httpd->log_ok('a mailer in a folder of any name is counted', qr/ FG1000: accepted: / => 20, qr{ FG1100: would refuse 429: .* rule="ip 20/10m" .* form=/mail/stats34\.php } => 10);
$httpd->done;

# Form fields that are named outside say nothing here: who posts to such a file leaves them out. A provider's own, and
# wordpress.conf's: those of its <If> are merged after any <Location>.
my $CGI = ["#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n", 0755];
my @FIELDS = qw(css/css.php wp-content/uploads/index.php wp-content/uploads/wp-admin/x.php);
my $behind = FormGuard::Httpd->new(
    config => "AddHandler cgi-script .php\nFormGuard On\nFormGuardFormField email\nFormGuardLimit ip 99/1m\n$CONF" . conf('wordpress'),
    files => { map { ($_ => $CGI) } @FIELDS, 'contact.php', 'index.php', 'wp-load.php' },
);
for my $file (@FIELDS) {
    is $behind->client->post("/$file", form => \%JUNK)->status, 403, "$file: no field, and refused";
    is $behind->client->post("/$file", form => { %VISITOR, _wpcf7 => 5 })->status, 403, "$file: with one, too";
    $behind->log_ok('which error_log tells', $DENIED->($file) => 2);
}
is $behind->client->post("/$_", form => \%JUNK)->body, "ran\n", "$_: no form, and runs" for qw(contact.php index.php);
$behind->done;

done_testing;
