#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What is refused before its body is there, and bodies that never come whole: answered at once, logged once,
# nothing runs, no worker is held.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use FormGuard::Httpd;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);

# Two workers in all: one that is held is missed.
my %TWO = (
    prefork => "StartServers 2\nMinSpareServers 1\nMaxSpareServers 2\nMaxRequestWorkers 2\nServerLimit 2\n",
    map { $_ => "ServerLimit 1\nStartServers 1\nThreadsPerChild 2\nMaxRequestWorkers 2\nMinSpareThreads 1\nMaxSpareThreads 2\n" }
        qw(worker event)
);
my @FULL = (qr/ AH00(?:161|286|484|485): server (?:reached|is within)/ => '*');

my $RAN = <<'PHP';
<?php
file_put_contents('@DIR@/tmp/ran', $_SERVER['REQUEST_URI'] . "\n", FILE_APPEND);
echo 'the script ran';
PHP

my $TYPE = 'application/x-www-form-urlencoded';
my ($httpd, $c);

# Which posts the script was run for since the last time.
sub ran
{
    my $file = $httpd->dir . '/tmp/ran';
    open my $fh, '<', $file or return '';
    my $text = join ' ', map { chomp; $_ } <$fh>;
    unlink $file;
    return $text;
}

sub log_ok { my ($name, @lines) = @_; return $httpd->log_ok($name, @lines, @FULL) }

# Both workers serve: two requests at once are answered, and neither sees a connection another left behind.
sub workers_free
{
    my ($name) = @_;
    my @r = eval { $c->at_once(map { { method => 'GET', path => '/a.txt' } } 1, 2) };
    is_deeply [map { $_->status } @r], [200, 200], "$name: both workers are free" or diag $@;
}

sub head
{
    my ($path, $from, @more) = @_;
    return $c->bytes('POST', $path, from => $from, type => $TYPE, keepalive => 1, headers => [@more]);
}

# A client over its limit that announces 10 MB and sends them byte by byte, three times at once.
sub slow_uploaders
{
    my $ip = '203.0.113.1';
    is $c->post('/limit/run.php', form => { a => 1 }, from => $ip)->status, 200, 'the first post is accepted';
    is ran(), '/limit/run.php', 'and runs';
    my @slow;
    for my $n (1 .. 3) {
        my $conn = $c->connect;
        $conn->send(head('/limit/run.php', $ip, 'Content-Length' => 10_000_000) . 'a');
        my $start = time;
        push @slow, $conn;
        next if $n == 3;    # this one finds both workers busy with the ones before
        my $r = $conn->read('POST');
        is $r->status, 429, "slow uploader $n is refused";
        cmp_ok time - $start, '<', FormGuard::Process::patience(2), 'at once, while it is still sending';
        like $r->header('Connection'), qr/close/, 'and told that this ends the connection';
        ok $conn->eof(2), 'which the server closes for its part';
    }
    # They go on sending all the same. Another visitor is served.
    my $visitor = $c->connect;
    $visitor->send($c->bytes('GET', '/a.txt'));
    my $start = time;
    my $answered = '';
    while (time - $start < FormGuard::Process::patience(20)) {
        $_->send('x') for grep { !$_->{broken} } @slow[0, 1];    # though told to stop
        $answered = time - $start, last if ($visitor->_ready(0, 0.2))[0];
        $slow[2]->send('x', 1);
    }
    is eval { $visitor->read('GET')->status }, 200, 'another visitor is served';
    cmp_ok $answered || 99, '<', FormGuard::Process::patience(6), "within seconds ($answered)";
    is $slow[2]->read('POST')->status, 429, 'the third slow uploader is refused, too';
    $_->close for @slow;
    is ran(), '', 'nothing ran for them';
    workers_free('after slow uploaders');
    log_ok('slow uploaders: one line each', qr/FG1000: accepted/, qr/FG1100: refused 429/ => 3);

    # A fast one reads its answer when it has sent everything.
    my $conn = $c->connect;
    $conn->send(head('/limit/run.php', $ip, 'Content-Length' => 5_000_000));
    $conn->send('x' x 5_000_000);
    is $conn->read('POST')->status, 429, 'a client that first sends all of its 5 MB gets the answer, too';
    my $r = $c->post('/limit/run.php', body => 'a=1', type => $TYPE, from => $ip, expect => 1);
    is_deeply [$r->status, $r->interim], [429], 'no 100 Continue before a refusal';
    $r = $c->post('/limit/run.php', body => 'x' x 200_000, type => $TYPE, from => $ip, chunks => [10]);
    is $r->status, 429, 'chunked';
    is ran(), '', 'nothing ran for them';
    log_ok('one line each', qr/FG1100: refused 429/ => 3);
}

sub over_body_limit
{
    my $conn = $c->connect;
    $conn->send(head('/small/run.php', '203.0.113.2', 'Content-Length' => 1001));
    my $start = time;
    my $r = $conn->read('POST');
    is $r->status, 413, 'Content-Length over FormGuardBodyLimit: refused';
    cmp_ok time - $start, '<', FormGuard::Process::patience(2), 'without a byte of the body';
    ok $conn->eof(2), 'and the connection is closed';
    $r = $c->post('/small/run.php', body => 'a' x 1001, type => $TYPE, expect => 1);
    is_deeply [$r->status, $r->interim], [413], 'no 100 Continue before it';

    $conn = $c->connect;
    $conn->send(head('/small/run.php', '203.0.113.2', 'Transfer-Encoding' => 'chunked', 'Content-Length' => undef)
        . sprintf("%x\r\n%s\r\n", 1001, 'a' x 1001));
    is $conn->read('POST')->status, 413, 'chunked: refused as soon as it is over, before its end';
    ok $conn->eof(2), 'and the connection is closed';
    is $c->post('/small/run.php', body => 'a' x 1001, type => $TYPE, chunks => [500])->status, 413, 'chunked, whole';
    is ran(), '', 'nothing ran for them';
    is $c->post('/small/run.php', body => 'a=' . 'a' x 998, type => $TYPE, chunks => [500])->status, 200, 'one byte less passes';
    is ran(), '/small/run.php', 'and runs';
    log_ok('FormGuardBodyLimit: one line each', qr/FG1301: refused 413/ => 4, qr/FG1000: /);
    workers_free('after bodies over the limit');
}

# over=pass hands on what was read and then what is still in the network.
sub over_passes
{
    my $body = join '', map { pack 'N', $_ * 2654435761 & 0xffffffff } 1 .. 150_000;
    for my $size (101, 70_000, length $body) {
        my $part = substr $body, 0, $size;
        my %how = ('' => [], ', chunked' => [chunks => [60, 100, 8192, 70_000]], ', Expect' => [expect => 1]);
        for my $name (sort keys %how) {
            my $r = $c->post('/pass/echo.cgi', body => $part, type => 'application/octet-stream', @{$how{$name}});
            is eval { $r->json->{sha256} }, sha256_hex($part), "over=pass, $size bytes$name: whole";
            log_ok("over=pass, $size bytes$name: one line", qr/FG1000: accepted/);
        }
    }
    for my $cut ([], [chunks => [60, 70_000]]) {
        my $conn = $c->connect;
        $conn->send($c->bytes('POST', '/pass/a.txt', body => substr($body, 0, 100_000), type => $TYPE, keepalive => 1, @$cut)
            . $c->bytes('GET', '/a.txt'), 1);
        is $conn->read('POST')->body, "a\n", 'over=pass to a handler that reads no body' . (@$cut ? ', chunked' : '');
        is $conn->read('GET')->body, "a\n", 'what follows is intact';
        $conn->close;
    }
    log_ok('over=pass: one line each', qr/FG1000: accepted/ => 2);
}

sub limit_request_body
{
    for my $page ('', 'page') {
        for my $cut ([], [chunks => [500]]) {
            my $what = 'LimitRequestBody' . (@$cut ? ', chunked' : '') . ($page ? ', with an ErrorDocument' : '');
            my $r = $c->post("/core$page/run.php", body => 'a' x 1500, type => $TYPE, @$cut);
            is $r->status, 413, "$what: 413";
            if ($page) {
                my $j = eval { $r->json } || {};
                is_deeply [@$j{qw(method length)}], ['GET', 0], "$what: the page gets no body" or diag $r->body;
                is $j->{formguard}{FORMGUARD_VERDICT}, 'refused', "$what: and is told";
            }
            else {
                like $r->body, qr/Request Entity Too Large|Content Too Large/, "$what: httpd's own";
            }
            is ran(), '', "$what: nothing runs";
            log_ok("$what: one line", qr/FG1303: refused[^"]*body could not be read/);
        }
    }
    is $c->post('/core/run.php', body => 'a=' . 'a' x 998, type => $TYPE)->status, 200, 'LimitRequestBody: not more than that passes';
    ran();
    log_ok('LimitRequestBody: and is accepted', qr/FG1000: /);
}

sub aborts
{
    my $n = 0;
    for my $bytes (0, 1, 5000, 90_000) {
        for my $chunked (0, 1) {
            my $conn = $c->connect;
            $conn->send(head('/core2/run.php', '203.0.113.3',
                    $chunked ? ('Transfer-Encoding' => 'chunked', 'Content-Length' => undef) : ('Content-Length' => 100_000))
                . ($chunked ? "186A0\r\n" : '') . ('a' x $bytes));
            # One half ends in order, the other by a reset.
            setsockopt $conn->socket, SOL_SOCKET(), SO_LINGER(), pack 'ii', 1, 0 if $bytes > 1;
            sleep 0.05;
            $conn->close;
            $n++;
        }
    }
    eval { FormGuard::Process::wait_until(sub { (() = grep { /FG1303/ } $httpd->log_lines) >= $n }, 10, 'lines of aborts') };
    is ran(), '', 'clients that go away in the middle: nothing runs';
    log_ok('one line each', qr/FG1303: refused 400: body could not be read/ => $n);
    workers_free('after clients that went away');
    is scalar(grep { m{/formguard\.} } glob $httpd->dir . '/tmp/*'), 0, 'no temporary file is left';
}

sub malformed_chunks
{
    my %bad = (
        'no number' => "zz\r\nabc\r\n0\r\n\r\n",
        'a negative number' => "-5\r\nabcde\r\n0\r\n\r\n",
        'too large a number' => "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        'data longer than its size' => "3\r\nabcdef\r\n0\r\n\r\n",
        'a bad one after good ones' => "3\r\na=b\r\n5\r\n&c=de\r\n+1\r\n&\r\n0\r\n\r\n",
        'a control character in the extension' => "3;\x01\r\na=b\r\n0\r\n\r\n",
        'a bad trailer' => "3\r\na=b\r\n0\r\nno header here\r\n\r\n",
    );
    for my $name (sort keys %bad) {
        my $conn = $c->connect;
        $conn->send(head('/core2/run.php', '203.0.113.4', 'Transfer-Encoding' => 'chunked', 'Content-Length' => undef) . $bad{$name}
            . $c->bytes('POST', '/core2/run.php?smuggled', form => { a => 1 }), 1);
        my $r = $conn->read('POST');
        like $r->status, qr/^(?:400|413)\z/, "chunked with $name: " . $r->status;
        ok $conn->eof(3), 'the connection ends with it';
        is ran(), '', 'nothing runs';
        log_ok('one line', qr/FG1303: refused/);
    }
}

sub body_timeout
{
    my $conn = $c->connect;
    my $start = time;
    $conn->send(head('/slow/run.php', '203.0.113.5', 'Content-Length' => 1000) . 'a');
    my $r = $conn->read('POST');
    is $r->status, 408, 'a body that does not come in time: 408';
    cmp_ok time - $start, '<', FormGuard::Process::patience(6), 'by mod_reqtimeout, not by Timeout';
    ok $conn->eof(3), 'the connection ends with it';
    is ran(), '', 'nothing runs';
    log_ok('one line', qr/FG1303: refused 408: body could not be read/);
    workers_free('after a body that did not come');
}

my $CONFIG = <<'CONF';
Alias /limit @HTDOCS@
Alias /small @HTDOCS@
Alias /pass @HTDOCS@
Alias /corepage @HTDOCS@
Alias /core2 @HTDOCS@
Alias /core @HTDOCS@
Alias /slow @HTDOCS@
RequestReadTimeout header=20 body=2
<Location />
    FormGuard On
    FormGuardLimit ip 1000/1h
</Location>
<Location /limit>
    FormGuardLimit ip 1/1h
</Location>
<Location /small>
    FormGuardBodyLimit 1000
</Location>
<Location /pass>
    FormGuardBodyLimit 100 over=pass
</Location>
<LocationMatch ^/core(page)?/>
    LimitRequestBody 1000
</LocationMatch>
<Location /corepage>
    ErrorDocument 413 /echo.php
</Location>
CONF

for (['event', 'fpm'], ['prefork', 'mod'], ['worker', 'fpm']) {
    my ($mpm, $php) = @$_;
    subtest "$mpm, PHP by $php" => sub {
        $httpd = FormGuard::Httpd->new(
            mpm => $mpm, php => $php, modules => ['reqtimeout'], config => $CONFIG, global => $TWO{$mpm},
            h2 => $mpm eq 'event',
            files => {
                'run.php' => $RAN, 'a.txt' => "a\n", map({ $_ => \$_ } qw(echo.php echo.cgi)),
            }
        );
        $c = $httpd->client;
        slow_uploaders();
        over_body_limit();
        over_passes();
        limit_request_body();
        aborts();
        malformed_chunks();
        body_timeout();
        if ($mpm eq 'event') {
            # Not larger: what mod_http2 does about a body nobody reads, a reset after the answer, makes
            # some versions of curl forget the answer.
            my $r = $c->curl('POST', '/small/run.php', body => 'a' x 10_000, type => $TYPE, h2 => 1);
            is $r->status, 413, 'HTTP/2: refused without the body';
            log_ok('one line', qr/FG1301: refused 413/);
        }
        $httpd->expect_log(@FULL);
        $httpd->done;
    };
}

done_testing;
