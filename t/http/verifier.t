#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What becomes of a post when the captcha's vendor fails, in each way it can, and what becomes of everybody else meanwhile.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Process;
use FormGuard::Vendor;
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $mail = FormGuard::Mail->new;
my $FIELD = 'g-recaptcha-response';
my @CAUSES = qw(timeout unreachable server-error quota bad-secret busy);
my $OK = qr/ FG1000: accepted: /;

my $SHORT = 1;    # seconds the vendor gets where it shall be too slow
my $LONG = 20;    # and where it is not: nobody waits that long
my $SLACK = FormGuard::Process::patience(4);

sub form { my ($token) = @_; return { name => 'Hanako', email => 'hanako@example.jp', message => 'Hello', $FIELD => FormGuard::Vendor::fresh($token) } }

# The vendor: a site for each port it listens on.
my %ENDPOINT = (
    (map { $_ => $vendor->url($_) } qw(good expired wrong_name untrusted tls11 silent)),
    closed => 'https://localhost:' . FormGuard::Process::free_port() . '/recaptcha/api/siteverify',
    plain_on_tls => $vendor->url('plain') =~ s/^http:/https:/r,
    tls_on_plain => $vendor->url('good', '127.0.0.1') =~ s/^https:/http:/r,
);

sub site
{
    my ($name, $timeout, $endpoint, @more) = @_;
    return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $name\nDocumentRoot \@HTDOCS\@\n"
        . join("\n", "FormGuardCaptchaTimeout ${timeout}s", "FormGuardCaptchaEndpoint $endpoint", @more, '') . "</VirtualHost>\n";
}

sub base
{
    # The folders of folders() may loosen what an error does.
    return "FormGuardOverride all\nFormGuard On\nFormGuardPath *.php *.cgi\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret " . $vendor->secret
        . "\nFormGuardCaptchaHostname shop.example\nFormGuardCaptchaCAFile " . $vendor->ca . "\n";
}

my $CONFIG = base() . "FormGuardCaptchaSlots 40\n" . join('', map { site("$_.test", $LONG, $ENDPOINT{$_}) } sort keys %ENDPOINT)
    . site('system-ca.test', $LONG, $vendor->url, "FormGuardCaptchaCAFile \@DIR\@/other.crt")
    . site('wrong-secret.test', $LONG, $vendor->url, 'FormGuardCaptchaSecret not-the-secret-0123456')
    # Each with a URL of its own, and so with a breaker: one that fails leaves the others alone.
    . join('', map { site("short-$_.test", $SHORT, $vendor->url . "?$_") } 0 .. 4)
    . site('short-silent.test', $SHORT, $vendor->url('silent'));

# [what, cause, detail in the log, token, site]
my @FAULTS = (
    ['500', 'server-error', qr/status=500/, 'status-500'],
    ['503 that says success', 'server-error', qr/status=503/, 'status-503'],
    ['404 that says success', 'server-error', qr/status=404/, 'status-404'],
    ['204 that says success', 'server-error', qr/status=204/, 'status-204'],
    ['429', 'quota', qr/status=429/, 'status-429'],
    ['a redirect to itself', 'server-error', qr/status=302/, 'redirect'],
    ['no HTTP at all', 'server-error', qr/\S.*/, 'garbage'],
    ['a page', 'server-error', qr/\S.*/, 'html'],
    ['an empty body', 'server-error', qr/\S.*/, 'empty'],
    ['10 MB', 'server-error', qr/the reply is too large/, 'big'],
    ['8 MB of headers', 'server-error', qr/the reply is too large/, 'big-headers'],
    ['JSON a hundred levels deep', 'server-error', qr/\S.*/, 'deep'],
    ['success as a text', 'server-error', qr/reply without success/, 'wrong-type'],
    ['success false and true', 'server-error', qr/\S.*/, 'dupkey'],
    ['bytes that are no UTF-8', 'server-error', qr/\S.*/, 'badutf8'],
    ['a NUL behind it', 'server-error', qr/\S.*/, 'nul'],
    ['a NUL in the hostname', 'server-error', qr/\S.*/, 'nul-escaped'],
    ['a second reply behind it', 'server-error', qr/\S.*/, 'trailing'],
    ['an array', 'server-error', qr/\S.*/, 'array'],
    ['no hostname', 'server-error', qr/reply without a hostname/, 'no-hostname'],
    ['no time', 'server-error', qr/reply without a challenge_ts/, 'no-ts'],
    ['a time that is none', 'server-error', qr/challenge_ts is no time/, 'bad-ts'],
    ['a score that is NaN', 'server-error', qr/\S.*/, 'score-nan'],
    ['a score that is a text', 'server-error', qr/score is no number from 0 to 1/, 'score-text'],
    ['success and an error', 'server-error', qr/success with error-codes/, 'success-with-codes'],
    ['bad-request', 'server-error', qr/code=bad-request \(the service finds the question malformed\)/, 'bad-request'],
    ['half a reply', 'unreachable', qr/\S.*/, 'truncated'],
    ['a connection closed', 'unreachable', qr/\S.*/, 'close'],
    ['a connection reset', 'unreachable', qr/\S.*/, 'reset'],
    ['a certificate that has expired', 'unreachable', qr/.*certificate has expired.*/, 'ok', 'expired'],
    ['a certificate of another name', 'unreachable', qr/.*localhost.*/, 'ok', 'wrong_name'],
    ['a certificate of an unknown CA', 'unreachable', qr/.*certificate.*/, 'ok', 'untrusted'],
    ['a certificate of a CA that is not named', 'unreachable', qr/.*certificate.*/, 'ok', 'system-ca'],
    ['TLS 1.1', 'unreachable', qr/\S.*/, 'ok', 'tls11'],
    ['no TLS where it should be', 'unreachable', qr/\S.*/, 'ok', 'plain_on_tls'],
    ['TLS where it should not be', 'unreachable|server-error', qr/\S.*/, 'ok', 'tls_on_plain'],
    ['nothing listening', 'unreachable', qr/.*localhost port \d+.*/, 'ok', 'closed'],
    ['a secret it does not know', 'bad-secret', qr/code=invalid-input-secret \(the service does not know this secret\)/, 'ok', 'wrong-secret'],
    ['a secret it does not see', 'bad-secret', qr/code=missing-input-secret \(the service got no secret\)/, 'missing-secret'],
);

my @SLOW = (
    ['a first byte too late', 'slow-first-byte-5', 'short-1'], ['headers byte by byte', 'drip-headers', 'short-2'],
    ['a body byte by byte', 'drip', 'short-3'], ['no answer at all', 'never', 'short-4'], ['no TLS handshake', 'ok', 'short-silent'],
);

# For each cause a folder that allows it, and one that allows all the others.
sub folders
{
    my %files;
    for my $cause (@CAUSES) {
        $files{"allow-$cause/.htaccess"} = "FormGuardCaptchaOnError $cause=allow\n";
        $files{"but-$cause/.htaccess"} = 'FormGuardCaptchaOnError ' . join(' ', map { $_ eq $cause ? "$_=refuse" : "$_=allow" } @CAUSES) . "\n";
    }
    return %files;
}

my $RUN = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";

sub refused_line { my ($cause, $detail) = @_; return qr/ FG1500: refused 503: captcha could not be verified: rule="recaptcha-v2" cause=(?:$cause) $detail country=- / }
sub allowed_line
{
    my ($cause, $detail) = @_;
    return qr/ FG1500: logged only 503: captcha could not be verified: rule="FormGuardCaptchaOnError allow" cause=(?:$cause) $detail country=- /;
}

sub post
{
    my ($httpd, $folder, $form, $token, $site) = @_;
    return $httpd->client->post("$folder/$form", form => form($token), headers => [Host => ($site || 'good') . '.test']);
}

sub is_503
{
    my ($r, $what) = @_;
    is $r->status, 503, "$what: 503";
    is $r->header('Cache-Control'), 'no-store', "$what: for nobody to keep";
    like $r->body, qr/<html/, "$what: a page says so";
}

sub one_fault
{
    my ($httpd, $form, $what, $cause, $detail, $token, $site) = @_;
    my ($folder) = split /\|/, $cause;
    works($httpd, $form) if !$site;    # ends a row of failures
    my $mails = $mail->count;
    my $r = post($httpd, '', $form, $token, $site);
    is_503($r, $what);
    cmp_ok $r->seconds, '<', $LONG / 2, "$what: without waiting for the timeout";
    is post($httpd, "/but-$folder", $form, $token, $site)->status, 503, "$what: refused, too, where other causes are allowed" if $cause !~ /\|/;
    is $mail->count, $mails, "$what: no mail";
    $r = post($httpd, "/allow-$folder", $form, $token, $site);
    if ($cause !~ /\|/) {
        is $r->status, 200, "$what: $folder=allow";
        is $mail->count - $mails, 2, "$what: delivers the mail" if $form eq 'contact.php';
    }
    my @lines = $httpd->log_lines;
    is scalar(grep { /FG1500/ && !/\[formguard:notice\]/ } @lines), 0, "$what: a post of many is no error";
    my @secret = $folder eq 'bad-secret' ? (qr/ \[formguard:error\] .* FG2302: captcha service recaptcha-v2 refuses the secret of site=\S+ form=\S+: .*: $detail$/)
        : $folder eq 'quota' ? (qr/ \[formguard:warn\] .* FG2304: captcha service recaptcha-v2 says the secret of site=\S+ form=\S+ was used too often: $detail$/) : ();
    if ($cause =~ /\|/) {
        $httpd->log_ok("$what: error_log", qr/FG1500: .* cause=(?:$cause) $detail country=/ => 2, $OK => [0, 1]);
        return;
    }
    $httpd->log_ok("$what: error_log", refused_line($cause, $detail) => 2, allowed_line($cause, $detail) => 1, $OK => 1, @secret);
    works($httpd, $form, qr/ \[formguard:notice\] .* FG2303: captcha service recaptcha-v2 takes the secret of site=good\.test form=\S+ again$/) if @secret && !$site;
}

sub works
{
    my ($httpd, $form, @lines) = @_;
    is post($httpd, '', $form, 'ok')->status, 200, 'the vendor works';
    $httpd->log_ok('error_log', $OK, @lines);
}

# Together, as each takes its time.
sub slow_faults
{
    my ($httpd, $form, @rows) = @_;
    my $mails = $mail->count;
    my @posts = map { my $row = $_; map { [$_, $row] } '', '/allow-timeout', '/but-timeout' } @rows;
    my @answers = FormGuard::Client::parallel(scalar @posts, sub {
        my ($folder, $row) = @{$posts[$_[0]]};
        my $start = time;    # before it is sent: a busy machine may hold this process after
        my $r = post($httpd, $folder, $form, @$row[1, 2]);
        return [$r->status, time - $start];
    });
    for my $i (0 .. $#posts) {
        my ($folder, $row) = @{$posts[$i]};
        my ($status, $seconds) = @{$answers[$i]};
        is $status, $folder =~ /allow/ ? 200 : 503, "$row->[0] $folder: answer";
        cmp_ok $seconds, '>=', $SHORT - 0.01, "$row->[0] $folder: the vendor had its time";
        cmp_ok $seconds, '<', $SHORT + $SLACK, "$row->[0] $folder: and no more";
    }
    is $mail->count - $mails, 2 * @rows, 'mails where a timeout is allowed' if $form eq 'contact.php';
    $httpd->log_ok('error_log', refused_line('timeout', qr/\S.*/) => 2 * @rows, allowed_line('timeout', qr/\S.*/) => scalar @rows, $OK => scalar @rows);
}

sub good_ones
{
    my ($httpd, $form) = @_;
    for (['ok'], ['http10'], ['slow-first-byte-0.3', 'short-0']) {
        my ($token, $site) = @$_;
        is post($httpd, '', $form, $token, $site)->status, 200, "$token is fine";
    }
    $httpd->log_ok('error_log', $OK => 3);
}

sub fault_server
{
    my ($mpm, $php) = @_;
    my %files = folders();
    my @folders = ('', map { "$_/" } map { s{/.*}{}r } keys %files);
    my $form = $php ? 'contact.php' : 'run.cgi';
    my $httpd = FormGuard::Httpd->new(
        mpm => $mpm, $php ? (php => $php) : (), mail => $mail, config => $CONFIG, start => 0,
        files => { %files, map { ("$_$form" => $php ? \$form : $RUN, "${_}echo.php" => \'echo.php') } @folders }
    );
    system('cp', $vendor->{dir} . '/other-ca.crt', $httpd->dir . '/other.crt') == 0 or die "no CA\n";
    return ($httpd->start, $form);
}

subtest 'event: every fault, and the mails' => sub {
    my ($httpd, $form) = fault_server('event', 'fpm');
    one_fault($httpd, $form, @$_) for @FAULTS;
    slow_faults($httpd, $form, @SLOW);
    good_ones($httpd, $form);

    # A score in a reply that is no good is no score.
    $httpd->write_file('allow-server-error/.htaccess', "FormGuardCaptcha recaptcha-v3\nFormGuardCaptchaOnError server-error=allow\n");
    my $r = post($httpd, '/allow-server-error', 'echo.php', 'ok-score-0.9-no-action');
    is_deeply $r->json->{formguard}, { FORMGUARD_VERDICT => 'accepted' }, 'what PHP is told of a post that was not verified';
    $httpd->log_ok('error_log', qr/ FG1500: logged only 503: .* cause=server-error reply without score or action/, $OK);
    $httpd->done;
};

for (['prefork', 'mod'], ['worker', '']) {
    my ($mpm, $php) = @$_;
    subtest "$mpm: a fault of each kind" => sub {
        my ($httpd, $form) = fault_server($mpm, $php);
        my %seen;
        one_fault($httpd, $form, @$_) for grep { !$seen{$_->[1]}++ } @FAULTS;
        if (!$ENV{FORMGUARD_WRAP}) {
            # One row: prefork starts children one by one.
            slow_faults($httpd, $form, $SLOW[3]);
        }
        good_ones($httpd, $form);
        $httpd->done;
    };
}

# --- everybody else, while the vendor hangs ---

sub median { my @t = sort { $a <=> $b } @_; return $t[@t / 2] }

sub static_seconds
{
    my ($httpd) = @_;
    my @t = map {
        my $start = time;
        my $r = $httpd->client->get('/static.txt');
        $r->status == 200 && $r->body eq "static\n" or die 'no static page: ' . $r->status . "\n";
        time - $start;
    } 1 .. 15;
    return median(@t);
}

# Posts on connections of their own, all sent at once; answers($n) gives [status, seconds] of the next n to come.
sub send_posts
{
    my ($httpd, $n, $token) = @_;
    my $c = $httpd->client;
    my @open = map { $c->connect } 1 .. $n;
    my @bytes = map { $c->bytes('POST', '/run.cgi', form => form($token)) } @open;
    my $start = time;
    $open[$_]->send($bytes[$_]) for 0 .. $#open;
    return { start => $start, open => { map { fileno($_->socket) => $_ } @open }, select => IO::Select->new(map { $_->socket } @open) };
}

sub answers
{
    my ($posts, $n, $seconds) = @_;
    my @out;
    my $end = time + $seconds;
    while (@out < $n && time < $end) {
        for my $s ($posts->{select}->can_read($end - time)) {
            $posts->{select}->remove($s);
            my $conn = delete $posts->{open}{fileno $s};
            my $r = $conn->read('POST');
            $conn->close;    # or the server lingers for it
            push @out, [$r->status, time - $posts->{start}];
        }
    }
    return @out;
}

sub slots_config
{
    my ($slots, $timeout) = @_;
    return base() . "FormGuardCaptchaSlots $slots\nFormGuardCaptchaTimeout ${timeout}s\nFormGuardCaptchaEndpoint " . $vendor->url . "\n";
}

my $BUSY = qr/ FG1500: refused 503: captcha could not be verified: rule="recaptcha-v2" cause=busy country=- /;

for my $mpm (qw(prefork worker event)) {
    last if $ENV{FORMGUARD_WRAP};    # slower there than the deadlines
    subtest "$mpm: two slots, a vendor that hangs, eight posts" => sub {
        my $timeout = 3;
        my $httpd = FormGuard::Httpd->new(mpm => $mpm, config => slots_config(2, $timeout),
            files => { 'run.cgi' => $RUN, 'static.txt' => "static\n" });
        static_seconds($httpd);
        my $idle = static_seconds($httpd);

        my $asked = $vendor->count;
        my $posts = send_posts($httpd, 8, 'never');
        my @busy = answers($posts, 6, $timeout);
        is_deeply [map { $_->[0] } @busy], [(503) x 6], 'six are refused';
        cmp_ok $busy[-1][1], '<', $timeout / 2, 'at once';
        FormGuard::Process::wait_until(sub { $vendor->count >= $asked + 2 }, $timeout, 'two questions to the vendor');
        my $hanging = static_seconds($httpd);
        cmp_ok $hanging, '<', 10 * $idle + 0.05, sprintf 'a static page: %.1f ms, idle %.1f ms', 1000 * $hanging, 1000 * $idle;
        is scalar(answers($posts, 1, 0.05)), 0, 'while the two still wait';
        my @two = answers($posts, 2, $timeout + $SLACK);
        is $vendor->count - $asked, 2, 'the vendor was asked for two';
        is_deeply [map { $_->[0] } @two], [503, 503], 'which are refused when its time is over';
        cmp_ok $two[0][1], '>=', $timeout - 0.01, 'not before';
        $httpd->log_ok('error_log', $BUSY => 6, refused_line('timeout', qr/\S.*/) => 2);

        # Both slots came back, and there are still two of them.
        $posts = send_posts($httpd, 3, 'slow-first-byte-1');
        is_deeply [sort map { $_->[0] } answers($posts, 3, $timeout + $SLACK)], [200, 200, 503], 'then two at a time are verified again';
        $httpd->log_ok('error_log', $BUSY => 1, $OK => 2);

        # Slots taken by those who pass and by those who are refused come back alike.
        for my $token (qw(ok dup invalid status-500 ok reset ok garbage ok big ok)) {
            send_posts_one($httpd, $token, $token eq 'ok' ? 200 : $token =~ /dup|invalid/ ? 403 : 503) for 1 .. 3;
        }
        $httpd->log_ok('error_log', $OK => 15, qr/ FG1403: / => 3, qr/ FG1402: / => 3, refused_line('server-error|unreachable', qr/\S.*/) => 12);
        $httpd->done;
    };
}

sub send_posts_one
{
    my ($httpd, $token, $status) = @_;
    is $httpd->client->post('/run.cgi', form => form($token))->status, $status, "$token, one by one";
}

subtest 'event: busy=allow lets the others pass' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', config => slots_config(1, 2) . "FormGuardCaptchaOnError busy=allow\n",
        files => { 'run.cgi' => $RUN });
    my $posts = send_posts($httpd, 4, 'never');
    is_deeply [map { $_->[0] } answers($posts, 4, 2 + $SLACK)], [200, 200, 200, 503], 'three pass at once, one is refused in the end';
    $httpd->log_ok('error_log', qr/ FG1500: logged only 503: .* cause=busy country=/ => 3, $OK => 3, refused_line('timeout', qr/\S.*/));
    $httpd->done;
} if !$ENV{FORMGUARD_WRAP};

subtest 'prefork: a child that is killed while it waits' => sub {
    my $timeout = 2;
    my $httpd = FormGuard::Httpd->new(mpm => 'prefork', config => slots_config(1, $timeout), loglevel => 'warn formguard:debug',
        files => { 'run.cgi' => $RUN });
    my $asked = $vendor->count;
    my $posts = send_posts($httpd, 1, 'never');
    FormGuard::Process::wait_until(sub { $vendor->count > $asked }, 10, 'the question to the vendor');
    my ($line) = $httpd->log->wait_for(qr/ FG0001: guarded: /, 0);
    my ($pid) = $line =~ /\[pid (\d+)/;
    ok scalar(grep { $_ == $pid } FormGuard::Process::children_of($httpd->pid)), 'the child that waits';
    kill 'KILL', $pid;
    FormGuard::Process::wait_until(sub { !grep { $_ == $pid } FormGuard::Process::children_of($httpd->pid) }, 10, 'its end');
    is $httpd->client->post('/run.cgi', form => form('ok'))->status, 503, 'its slot is not free yet';
    cmp_ok time - $posts->{start}, '<', $timeout, 'before its deadline';
    my $free = FormGuard::Process::wait_until(sub {
        my $r = $httpd->client->post('/run.cgi', form => form('ok'));
        return $r->status == 200 ? time - $posts->{start} : undef;
    }, $timeout + $SLACK, 'the slot');
    cmp_ok $free, '>=', $timeout, 'but after it';
    cmp_ok $free, '<', $timeout + $SLACK, 'soon';
    is $httpd->client->post('/run.cgi', form => form('ok'))->status, 200, 'and stays so';
    my @lines = $httpd->log_lines;
    is scalar(grep { /FG1500: / && $_ !~ $BUSY } @lines), 0, 'who came too early was told that it is busy';
    $httpd->log_ok('error_log', $OK => 2, $BUSY => '+', qr/ FG0001: / => '+', qr/ AH00052: child pid $pid exit signal Killed/ => [0, 1]);
    $httpd->done;
} if !$ENV{FORMGUARD_WRAP};

$vendor->stop;
done_testing;
