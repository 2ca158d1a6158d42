#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# mod_security2 beside us, reading request bodies: both see all of the body, PHP gets it byte for byte, and each refuses
# what it has rules against, whichever module is loaded first.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

my $CONFIG = <<'CONF';
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 33554432
SecRequestBodyNoFilesLimit 1048576
SecRequestBodyInMemoryLimit 65536
SecTmpDir @DIR@/tmp
SecDataDir @DIR@/tmp
SecUploadDir @DIR@/tmp
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" "id:1,phase:1,pass,nolog,t:lowercase,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" "id:2,phase:2,deny,status:400,log,msg:'body'"
SecRule ARGS "@contains theirs" "id:3,phase:2,deny,status:406,log,msg:'theirs'"
SecRule FILES "@contains theirs" "id:4,phase:2,deny,status:406,log,msg:'theirs'"
<Location />
    FormGuard On
    FormGuardLimit ip 100000/1h
    FormGuardField bad empty
    FormGuardLimit field:once 1/1h
</Location>
<Location /limit>
    FormGuardLimit server 1/1h count=attempts
</Location>
CONF

my $FILE = join '', map { pack 'N', $_ * 2654435761 & 0xffffffff } 1 .. 75_000;
my $LONG = 'x' x 200_000;

# name, request, status, whose line
my @POSTS = (
    (map { my ($cut, @how) = @$_; (
        ["urlencoded$cut", [form => { message => 'Hello' }, @how], 200],
        ["urlencoded, long$cut", [form => { message => $LONG }, @how], 200],
        ["multipart$cut", [multipart => [message => 'Hello', file => { filename => 'a.bin', type => 'image/png', content => $FILE }, after => 1], @how], 200],
        ["JSON$cut", [json => { message => 'Hello' }, @how], 200],
        ["of another type$cut", [body => $LONG, type => 'application/octet-stream', @how], 200],
        ["nothing$cut", [body => '', type => 'application/x-www-form-urlencoded', @how], 200],
        ["ours$cut", [form => { bad => 1, message => 'Hello' }, @how], 403, 'FG1311'],
        ["ours, behind a file$cut", [multipart => [file => { filename => 'a.bin', content => $FILE }, bad => 1], @how], 403, 'FG1311'],
        ["theirs$cut", [form => { message => 'theirs' }, @how], 406, 'ModSecurity'],
        ["theirs, behind a file$cut", [multipart => [file => { filename => 'a.bin', content => $FILE }, x => 'theirs'], @how], 406, 'ModSecurity'],
        ["theirs, the name of a file$cut", [multipart => [file => { filename => 'theirs.php', content => 'x' }], @how], 406, 'ModSecurity'],
        ["both$cut", [form => { bad => 1, message => 'theirs' }, @how], 406, 'ModSecurity'],
    ) } [''], [', chunked', chunks => [1, 5000, 70_000]]),
);

# What PHP got.
sub whole
{
    my ($name, $r, %q) = @_;
    my $j = eval { $r->json } or return fail "$name: PHP's answer";
    if ($q{multipart}) {
        is $j->{files}{file}{sha256}, sha256_hex($FILE), "$name: the file is whole";
        return is_deeply $j->{post}, { message => 'Hello', after => 1 }, "$name: so are the fields";
    }
    my $body = $q{form} ? FormGuard::Client::form($q{form}) : $q{json} ? '{"message":"Hello"}' : $q{body};
    return is $j->{sha256}, sha256_hex($body), "$name: the body is whole";
}

sub posts
{
    my ($httpd, $path) = @_;
    for (@POSTS) {
        my ($name, $request, $status, $line) = @$_;
        my %q = @$request;
        my $r = $httpd->client->request('POST', $path, @$request);
        is $r->status, $status, "$name: $status";
        whole($name, $r, %q) if $status == 200;
        $httpd->log_ok("$name: one line", !$line ? qr/ FG1000: / : $line =~ /FG/ ? qr/ $line: refused $status: / : qr/ ModSecurity: Access denied with code $status /);
    }
    return;
}

# Theirs is looked at first, in the fixups hook: what they refuse is not counted by us, and nothing runs of either's.
sub refused_early
{
    my ($httpd, $mail) = @_;
    my $mark = $mail->count;
    my @r = map { $httpd->client->post('/limit/mailer.php', form => { message => $_ }) } 'Hello', 'Hello again', 'theirs';
    is_deeply [map { $_->status } @r], [200, 429, 406], 'a limit, then theirs';
    is $mail->count - $mark, 1, 'one mail';
    $httpd->log_ok('one line each', qr/ FG1000: /, qr/ FG1100: /, qr/ ModSecurity: Access denied with code 406 /);
    $mark = $mail->count;
    @r = map { $httpd->client->post('/mailer.php', form => { message => $_, once => 'a' }) } 'theirs', 'Hello', 'Hello';
    is_deeply [map { $_->status } @r], [406, 200, 429], 'what they refuse takes nothing from a limit of accepted mail';
    is $mail->count - $mark, 1, 'one mail';
    $httpd->log_ok('one line each', qr/ FG1000: /, qr/ FG1100: /, qr/ ModSecurity: Access denied with code 406 /);
    return;
}

for (['event', 'fpm', 'before'], ['prefork', 'mod', 'after'], ['worker', 'cgi', 'before']) {
    my ($mpm, $php, $order) = @$_;
    subtest "$mpm, PHP by $php, loaded $order us" => sub {
        my $mail = FormGuard::Mail->new;
        my $load = join '', map { FormGuard::Httpd::Config::load($_) } qw(unique_id security2);
        my $httpd = FormGuard::Httpd->new(
            mpm => $mpm, php => $php, mail => $mail, $order eq 'before' ? (modules => [qw(unique_id security2)]) : (global => $load),
            config => $CONFIG, files => { (map { $_ => \$_ } qw(echo.php mailer.php)), 'limit/mailer.php' => \'mailer.php' }
        );
        $httpd->log_ok('start', qr/ ModSecurity/ => '+');
        posts($httpd, '/echo.php');
        refused_early($httpd, $mail);
        is_deeply [grep { !/modsec|global|ip\.|default_/ } glob $httpd->dir . '/tmp/*'], [], 'no temporary file is left';
        $httpd->done;
    };
}

done_testing;
