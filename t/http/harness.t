#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The harness itself, on stock httpd: mail really goes out, error_log is really judged, restarts really happen.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

my @COMBINATIONS = (['prefork', 'mod'], ['event', 'fpm'], ['worker', 'cgi']);
my %VISITOR = (
    name => '佐藤 花子', email => 'hanako@example.jp', subject => '湯呑みについて',
    message => "在庫はありますか。\nよろしくお願いします。", 'g-recaptcha-response' => 'token',
);

sub octets { my ($s) = @_; utf8::encode($s); return $s }

sub find
{
    my ($to, @mails) = @_;
    my ($m) = grep { "@{$_->{rcpt}}" eq $to } @mails;
    return $m || { body => '', subject => '', headers => {} };
}

# The count must be final the moment the answer is read, so it is read with no waiting at all, and again at the end.
sub mail_is_final
{
    my ($httpd, $mail) = @_;
    my $before = $mail->count;
    my @wrong;
    for my $i (1 .. 20) {
        my $r = $httpd->client->post('/contact.php', form => \%VISITOR);
        push @wrong, "$i: " . $r->status . ' ' . ($mail->count - $before) if $mail->count - $before != 2 * $i;
    }
    is "@wrong", '', 'after each answer both its mails are there';
    my $n = $mail->count;
    $httpd->stop;
    is $mail->count, $n, 'and none came later';
    $httpd->start;
}

for (@COMBINATIONS) {
    my ($mpm, $php) = @$_;
    subtest "$mpm with PHP by $php" => sub {
        my $mail = FormGuard::Mail->new;
        my $httpd = FormGuard::Httpd->new(mpm => $mpm, php => $php, mail => $mail, module => 0);
        my $c = $httpd->client;

        my $r = $c->get('/contact.php');
        is $r->status, 200, 'the form';
        like $r->body, qr/<textarea name="message">/, 'has its fields';
        is $mail->count, 0, 'and sends nothing';

        $r = $c->post('/contact.php', form => \%VISITOR, from => '203.0.113.7');
        is $r->status, 200, 'urlencoded post';
        like $r->body, qr/@{[octets('送信完了')]}/, 'thanks';
        is $mail->count, 2, 'one post, two mails';
        my @mails = $mail->since(0);
        my $owner = find('owner@shop.example', @mails);
        like $owner->{body}, qr/@{[octets('【message】 在庫はありますか。')]}/, 'the owner reads the message';
        like $owner->{body}, qr/【?g-recaptcha-response/, 'and every other field';
        like $owner->{body}, qr/203\.0\.113\.7/, 'the address is the one of X-Forwarded-For';
        is $owner->{subject}, octets('お問い合わせ: 湯呑みについて'), 'subject';
        is $owner->{headers}{'reply-to'}, 'hanako@example.jp', 'Reply-To';
        like find('hanako@example.jp', @mails)->{body}, qr/@{[octets('佐藤 花子 様')]}/, 'the visitor gets a confirmation';

        my $bytes = join '', map { chr } 0 .. 255;
        my %m = (%VISITOR, attachment => { filename => '写真.bin', type => 'image/x', content => $bytes });
        $r = $c->post('/contact.php', multipart => \%m);
        is $r->status, 200, 'multipart post';
        is $mail->count, 4, 'two mails';
        ok index(find('owner@shop.example', $mail->since(2))->{body}, $bytes) >= 0, 'the attachment arrives';

        $r = $c->post('/contact.php', form => { %VISITOR, email => "x\@y.example\nBcc: z\@z.example" });
        is $mail->count, 4, 'no mail to a broken address';
        mail_is_final($httpd, $mail);

        my $body = 'a=' . 'x' x 100_000;
        $r = $c->post('/echo.php', body => $body, type => 'application/x-www-form-urlencoded');
        is $r->json->{sha256}, sha256_hex($body), 'echo.php hashes the body';
        $r = $c->post('/echo.cgi', body => $body, chunks => [1, 8192, 70_000], expect => 1);
        is $r->json->{sha256}, sha256_hex($body), 'echo.cgi hashes the body, chunked, with Expect';
        is_deeply [$r->interim], [100], 'after 100 Continue';

        $httpd->log_ok('error_log is clean so far');
        for my $how (qw(graceful hard)) {
            $httpd->restart($how);
            is $c->get('/contact.php')->status, 200, "it serves after a $how restart";
        }
        $httpd->done;
        ok !FormGuard::Process::port_open($httpd->port), 'and it is gone';
    };
}

subtest 'connections by hand' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', module => 0, h2 => 1);
    my $c = $httpd->client;
    my $conn = $c->connect;
    $conn->send($c->bytes('POST', '/echo.cgi', form => { a => 1 }, keepalive => 1) . $c->bytes('GET', '/none'));
    my $r = $conn->read('POST');
    is $r->json->{length}, 3, 'the first of two pipelined requests';
    is $conn->read('GET')->status, 404, 'the second';
    ok $conn->eof(5), 'and the end';

    my @r = $c->at_once(map { { path => '/echo.cgi', form => { n => $_ } } } 1 .. 12);
    is_deeply [map { $_->status } @r], [(200) x 12], 'twelve at once';
    @r = FormGuard::Client::parallel(4, sub { $c->post('/echo.cgi', form => { n => $_[0] })->json->{length} });
    is_deeply \@r, [(3) x 4], 'four processes';
    ok !eval { FormGuard::Client::parallel(2, sub { die "no\n" }) }, 'a worker that dies is noticed';

    my $body = 'y' x 200_000;
    $r = $c->curl('POST', '/echo.cgi', body => $body, h2 => 1, from => '203.0.113.9');
    is $r->version, '2', 'HTTP/2';
    is $r->json->{sha256}, sha256_hex($body), 'body over HTTP/2';
    is $r->json->{remote_addr}, '203.0.113.9', 'address over HTTP/2';

    $conn = $c->connect;
    $conn->send("POST /echo.cgi HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n");
    ok $conn->drip('slow body', 1, 0.02), 'a slow body';
    is $conn->read('POST')->json->{length}, 9, 'arrives';

    $httpd->configure(config => "Redirect 410 /old\n");
    is $c->get('/old')->status, 404, 'a new configuration waits';
    $httpd->restart('graceful');
    is $c->get('/old')->status, 410, 'for the restart';
    $httpd->done;
};

subtest 'error_log is judged' => sub {
    my $line = '[x] [core:error] [pid 1] AH00001: something';
    my $crash = '[x] [core:notice] [pid 1] AH00052: child pid 2 exit signal Segmentation fault (11)';
    my @judge = (
        [[], [], 0], [[$line], [], 1], [[$line], [qr/AH00001/], 0], [[$line, $line], [qr/AH00001/], 1],
        [[$line, $line], [qr/AH00001/ => 2], 0], [[], [qr/AH00001/], 1], [[], [qr/AH00001/ => '*'], 0],
        [[], [qr/AH00001/ => '+'], 1], [[$line], [qr/AH00001/, qr/something/], 1], [[$crash], [qr/AH00052/], 2],
        [[$crash], [qr/./ => '*'], 1], [['x.c:1:2: runtime error: shift'], [qr/./ => '*'], 1],
    );
    for (@judge) {
        my ($lines, $expected, $bad) = @$_;
        is scalar(FormGuard::ErrorLog::judge($lines, @$expected)), $bad, "@$lines / @$expected";
    }

    my $httpd = FormGuard::Httpd->new(mpm => 'event', module => 0,
        files => { 'a/.htaccess' => "Nonsense\n", 'a/x.txt' => 'x' });
    is $httpd->client->get('/a/x.txt')->status, 500, 'a broken .htaccess';
    my @lines = $httpd->log_lines;
    is scalar(FormGuard::ErrorLog::judge(\@lines)), 1, 'is a line nobody expected';
    $httpd->log_ok('or one that was', qr/Invalid command 'Nonsense'/);
    $httpd->remove_file('a/.htaccess');
    is $httpd->client->get('/a/x.txt')->status, 200, 'a mended one';
    $httpd->done;
};

# A test that forgets done, or dies, must neither leave a server behind nor pass.
subtest 'a server left behind' => sub {
    my $lib = $INC{'FormGuard/Httpd.pm'} =~ s{/FormGuard/Httpd\.pm\z}{}r;
    my $tmp = FormGuard::Process::private_dir();    # the killed one cannot clear up
    my $run = sub {
        my ($code) = @_;
        local $ENV{TMPDIR} = "$tmp";
        my $out = `$^X -I$lib -MTest::More -MFormGuard::Httpd -e '$code' 2>&1`;
        return ($? >> 8, $out =~ /port (\d+)/ ? $1 : die("no port: $out"), $out);
    };
    my $new = '$h = FormGuard::Httpd->new(mpm => "event", module => 0, files => {"a/.htaccess" => "X\n", "a/x" => ""});'
        . 'print "port ", $h->port, "\n"; ok 1;';
    my ($status, $port) = $run->("$new done_testing");
    is $status, 0, 'nothing in error_log: no complaint';
    ok !FormGuard::Process::port_open($port), 'stopped';
    ($status, $port, my $out) = $run->($new . '$h->client->get("/a/x"); done_testing');
    isnt $status, 0, 'an unexpected line fails the test without done';
    like $out, qr/Invalid command 'X'/, 'and is shown';
    ($status, $port) = $run->("$new die qq(oops\\n)");
    isnt $status, 0, 'a test that dies fails';
    ok !FormGuard::Process::port_open($port), 'and leaves no server';
    ($status, $port) = $run->("$new kill q(KILL), \$\$");
    ok eval { FormGuard::Process::wait_until(sub { !FormGuard::Process::port_open($port) }, 15, 'its end') },
        'nor does one that is killed';
    my $bad = FormGuard::Httpd->new(mpm => 'event', module => 0, config => "Nonsense\n", start => 0);
    ok !eval { $bad->start }, 'a wrong configuration does not start';
    like $@, qr/Invalid command 'Nonsense'/, 'and says why';
};

FormGuard::Case::run(
    { mpm => 'prefork', php => 'mod', module => 0 },
    { name => 'flat', form => \%VISITOR, status => 200, body => octets('送信完了'), mails => 2 },
    { name => 'the form', path => 'contact.php', status => 200, headers => { 'Content-Type' => qr/UTF-8/, Foo => undef },
      mails => 0 },
    { name => 'several, with .htaccess', htaccess => "Redirect 410 @{['/case3/gone']}\n",
      requests => [
        { form => \%VISITOR, status => 200, mails => 2 },
        { path => 'gone', status => 410, unlike => qr/contact/, mails => 0 },
        { path => 'echo.php', json => { a => 1 }, status => 200, body => [qr/"length":7/, 'application/json'],
          test => sub { is $_[0]->json->{remote_addr}, '203.0.113.4', 'own address' } },
      ], mails => 2 },
    { name => 'a log line', htaccess => "Nonsense\n", status => 500, log => [qr/Invalid command 'Nonsense'/] },
    { name => 'another server', config => "Redirect 410 \@CASE\@/x\n", path => 'x', status => 410 },
);

done_testing;
