#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Clients that go away at every stage of a post, in order and by a reset, while others post: nothing runs that was not
# whole and accepted, nobody else is hurt, and no worker, slot, descriptor, file or memory is kept.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Load;
use FormGuard::Mail;
use FormGuard::Process;
use FormGuard::Vendor;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $mail = FormGuard::Mail->new;
my $TYPE = 'application/x-www-form-urlencoded';
my $SLOTS = 6;

my $CONFIG = FormGuard::Load::CONFIG . <<"CONF";
Alias /accepts \@HTDOCS\@
Alias /limit \@HTDOCS\@
Alias /altcha \@HTDOCS\@
Alias /service \@HTDOCS\@
<LocationMatch ^/(accepts|limit|altcha|service)/>
    FormGuard On
    FormGuardLimit ip 100000/1d
</LocationMatch>
<Location /limit>
    FormGuardLimit server 1/1d count=attempts
</Location>
<Location /altcha>
    FormGuardCaptcha altcha
</Location>
<Location /service>
    FormGuardCaptcha recaptcha-v2
    FormGuardCaptchaSecret @{[$vendor->secret]}
    FormGuardCaptchaHostname shop.example
</Location>
FormGuardCaptchaCAFile @{[$vendor->ca]}
FormGuardCaptchaEndpoint @{[$vendor->url]}
FormGuardCaptchaTimeout 2s
FormGuardCaptchaSlots $SLOTS
CONF

my ($httpd, $c);

sub head
{
    my ($path, @headers) = @_;
    return $c->bytes('POST', $path, type => $TYPE, from => '192.0.2.9', keepalive => 1, headers => ['Content-Length' => undef, Accept => 'text/html', @headers]);
}

sub post { my ($path, %o) = @_; return $c->bytes('POST', $path, from => '192.0.2.9', keepalive => 1, headers => [Accept => 'text/html'], %o) }

my $LONG = 'name=Hanako&message=' . 'x' x 500_000;
my @FILE = (name => 'Hanako', message => 'Hello', file => { filename => 'a.bin', type => 'image/png', content => "\0\1\2" x 200_000 });

# [stage, the bytes that are sent, what is waited for before the client goes (a sub, or the answer's first bytes)]
sub stages
{
    my $multipart = post('/accepts/mailer.php', multipart => \@FILE);
    return (
        ['on connecting', ''],
        ['in the request line', 'POST /accepts/mai'],
        ['in the headers', substr(head('/accepts/mailer.php', 'Content-Length' => 100), 0, -20)],
        ['before the body', head('/accepts/mailer.php', 'Content-Length' => 100)],
        ['before the body, at 100 Continue', head('/accepts/mailer.php', 'Content-Length' => 100, Expect => '100-continue'), 'HTTP/1.1 100'],
        ['in a short body', head('/accepts/mailer.php', 'Content-Length' => 100) . 'message=Hello'],
        ['in a long body', head('/accepts/mailer.php', 'Content-Length' => 600_000) . $LONG],
        ['in a chunk', head('/accepts/mailer.php', 'Transfer-Encoding' => 'chunked') . "1000\r\nmessage=Hello"],
        ['between chunks', head('/accepts/mailer.php', 'Transfer-Encoding' => 'chunked') . "d\r\nmessage=Hello\r\n"],
        ['before the last chunk', head('/accepts/mailer.php', 'Transfer-Encoding' => 'chunked') . "d\r\nmessage=Hello\r\n0\r\n"],
        ['in the middle of a file', substr $multipart, 0, 400_000],
        ['before the last boundary', substr $multipart, 0, -10],
        ['at a refusal', post('/limit/mailer.php', form => { message => 'x' }), 'HTTP/1.1 429'],
        ['before a refusal is read', post('/limit/mailer.php', form => { message => 'x' })],
        ['at a refusal without its body', head('/limit/mailer.php', 'Content-Length' => 10_000_000) . $LONG],
        ['in the challenge page', post('/altcha/mailer.php', body => substr($LONG, 0, 50_000), type => $TYPE), 'HTTP/1.1 403'],
        ['before the challenge page', post('/altcha/mailer.php', body => $LONG, type => $TYPE)],
        # What is whole and accepted then is a mail, whether somebody waits for the answer or not.
        ['while the service is asked', sub { post('/service/mailer.php', form => { message => 'whole', 'g-recaptcha-response' => FormGuard::Vendor::fresh('slow-first-byte-0.3') }) }, 'asked'],
        ['while the service hangs', sub { post('/service/mailer.php', form => { message => 'x', 'g-recaptcha-response' => FormGuard::Vendor::fresh('never') }) }, 'asked'],
    );
}

# Goes as far, waits for what is told, and leaves.
sub leave_at
{
    my ($reset, $bytes, $wait) = @_;
    my $asked = $vendor->count;
    my $conn = $c->connect;
    $conn->send(ref $bytes ? $bytes->() : $bytes);
    if (($wait // '') eq 'asked') {
        FormGuard::Process::wait_until(sub { $vendor->count > $asked }, 10, 'the question to the service');
    }
    elsif (defined $wait) {
        FormGuard::Process::wait_until(sub { eval { $conn->_more(time + 0.2) }; $conn->{buf} =~ /^\Q$wait\E/ }, 10, $wait);
    }
    else {
        sleep 0.02;
    }
    setsockopt $conn->socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $reset;
    $conn->close;
    return;
}

sub rss
{
    my $sum = 0;
    for my $pid (FormGuard::Load::children($httpd)) {
        open my $fh, '<', "/proc/$pid/status" or next;
        $sum += (join('', <$fh>) =~ /^RssAnon:\s+(\d+) kB/m)[0] // 0;
    }
    return $sum;
}

my @LINES = (
    qr/ FG1000: accepted: / => '*', qr/ FG1100: refused 429: / => '*', qr/ FG1303: refused 400: / => '+', qr/ FG14(?:00|02): refused 403: / => '*',
    qr/ FG1500: refused 503: .* cause=timeout / => '+', qr/ FG2301: / => '*', qr/ FG1009: / => '*', qr/ AH00161: / => '*', qr/ AH00484: / => '*',
    qr/ \[core:error\] .* AH00574: / => '*',
);

for (['event', 'fpm'], ['prefork', 'mod']) {
    my ($mpm, $php) = @$_;
    next if $mpm eq 'prefork' && $ENV{FORMGUARD_WRAP};    # its children start one by one, slower than the service's deadline
    subtest "$mpm, PHP by $php" => sub {
        $httpd = FormGuard::Httpd->new(mpm => $mpm, php => $php, mail => $mail, modules => ['status'], config => $CONFIG, files => FormGuard::Load::FILES);
        $c = $httpd->client;
        is $c->post('/limit/mailer.php', form => { message => 'one' }, from => '192.0.2.8')->status, 200, 'a limit of one';
        leave_at($_ % 2, @{(stages())[$_]}[1, 2]) for 0 .. 16;    # until everything has been used once
        my $grown;
        for my $reset (0, 1) {
            my $before = rss();
            my $load = FormGuard::Load->start($httpd, clients => 2);
            for my $stage (stages()) {
                my ($name, @how) = @$stage;
                my $done = eval { leave_at($reset, @how) for 1 .. ($name =~ /hangs/ ? 1 : 3); 1 };
                ok $done, "a client leaves $name" . ($reset ? ', by a reset' : '') or diag $@;
            }
            $load->end_ok('meanwhile');
            # To the service each slot keeps a connection for a while, and libcurl two descriptors for itself.
            FormGuard::Load::healthy_ok($httpd, 'afterwards', spare => 3 * $SLOTS);
            $grown = rss() - $before;
        }
        cmp_ok $grown, '<', 8192, "memory: $grown KiB more" if !$ENV{FORMGUARD_PRELOAD} && !$ENV{FORMGUARD_WRAP};
        is_deeply [grep { $_->{body} =~ /message: (?:Hello|x)/ } $mail->since(0)], [], 'no mail of any of them';
        is $c->post('/service/mailer.php', form => { message => 'two', 'g-recaptcha-response' => FormGuard::Vendor::fresh('ok') }, from => '192.0.2.7')->status, 200,
            'the service is asked again: its slots are free';
        $httpd->log_ok('error_log', @LINES);
        $httpd->done;
    };
}

$vendor->stop;
done_testing;
