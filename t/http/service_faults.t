#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Every captcha service with every fault, from the post to the mail. What else a fault brings about, whatever service it
# is, is in verifier.t and badday.t.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Names;
use FormGuard::Process;
use FormGuard::Vendor;
use IO::Select;
use Test::More;
use Time::HiRes qw(time);

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $names = FormGuard::Names->new('gone.test' => 'none', 'mute.test' => 'mute');
my $mail = FormGuard::Mail->new;
my %VISITOR = (name => 'Hanako', email => 'hanako@example.jp', message => 'Is it in stock?');
my $OK = qr/ FG1000: accepted: /;

my $SHORT = 0.5;    # seconds a service gets where it shall be too slow
my $LONG = 20;      # and where it shall not
my $SLACK = FormGuard::Process::patience(4);

# value => the stand-in's service, the widget's field, a token that passes, more lines
my %SERVICE = (
    'recaptcha-v2' => { of => 'recaptcha', field => 'g-recaptcha-response' },
    'recaptcha-v3' => { of => 'recaptcha', field => 'g-recaptcha-response', good => 'ok-score-0.9' },
    'recaptcha-enterprise' => { of => 'enterprise', field => 'g-recaptcha-response', good => 'ok-score-0.9',
        lines => "FormGuardCaptchaProject my-project-1\nFormGuardCaptchaSiteKey site-key-1\n" },
    'hcaptcha' => { of => 'hcaptcha', field => 'h-captcha-response' },
    'turnstile' => { of => 'turnstile', field => 'cf-turnstile-response' },
    'friendly' => { of => 'friendly', field => 'frc-captcha-response' },
);
my @SERVICES = sort keys %SERVICE;

# Why a reply is no good, where the services' replies differ.
my %TYPE = ('recaptcha-enterprise' => 'valid is neither true nor false', '' => 'reply without success');
my $NOT_JSON = 'reply is not JSON';
my $PARTIAL = 'Transferred a partial file';

# [what, token, cause, detail, { at => the site, slow => the deadline passes, asked => how often it was (1), again => how
# often where the question may be put twice }]
my @FAULTS = (
    ['a first byte too late', 'slow-first-byte-5', 'timeout', 'Timeout was reached', { at => 'short', slow => 1 }],
    ['headers byte by byte', 'drip-headers', 'timeout', 'Timeout was reached', { at => 'short', slow => 1 }],
    ['a body byte by byte', 'drip', 'timeout', 'Timeout was reached', { at => 'short', slow => 1 }],
    ['no answer at all', 'never', 'timeout', 'Timeout was reached', { at => 'short', slow => 1 }],
    ['a resolver that is silent', 'ok', 'timeout', 'Timeout was reached', { at => 'mute', slow => 1, asked => 0 }],
    ['a name that is none', 'ok', 'unreachable', 'Could not resolve host: gone.test', { at => 'gone', asked => 0 }],
    ['10 MB', 'big', 'server-error', 'the reply is too large', {}],
    ['8 MB of headers', 'big-headers', 'server-error', 'the reply is too large', {}],
    ['JSON a hundred levels deep', 'deep', 'server-error', $NOT_JSON, {}],
    ['a text for true', 'wrong-type', 'server-error', \%TYPE, {}],
    ['false and true', 'dupkey', 'server-error', 'reply is not strict JSON', {}],
    ['bytes that are no UTF-8', 'badutf8', 'server-error', $NOT_JSON, {}],
    ['a redirect', 'redirect', 'server-error', 'status=302', {}],
    ['500', 'status-500', 'server-error', 'status=500', { again => 2 }],
    ['503', 'status-503', 'server-error', 'status=503', { again => 2 }],
    ['a connection reset', 'reset', 'unreachable', qr/\S.*/, { again => 2 }],
    ['a connection closed', 'close', 'unreachable', qr/\S.*/, { again => 2 }],
    ['a reply cut off', 'truncated', 'unreachable', $PARTIAL, { again => 2 }],
    ['a certificate that has expired', 'ok', 'unreachable', qr/.*certificate has expired/, { at => 'expired', asked => 0 }],
    ['a certificate of another name', 'ok', 'unreachable', qr/.*localhost.*/, { at => 'wrong_name', asked => 0 }],
    ['a certificate of an unknown CA', 'ok', 'unreachable', qr/.*certificate.*/, { at => 'untrusted', asked => 0 }],
    ['TLS 1.1', 'ok', 'unreachable', qr/.*(?:protocol|alert).*/i, { at => 'tls11', asked => 0 }],
);

# A reCAPTCHA of v2 and one of v3 are a service each, so that a fault counts once.
sub endpoint
{
    my ($name, $port, $host) = @_;
    my $url = $vendor->url($port, $host, $SERVICE{$name}{of});
    return $SERVICE{$name}{of} eq 'recaptcha' ? "$url?$name" : $url;
}

sub site
{
    my ($at, $name, $timeout, $endpoint, @more) = @_;
    my $host = "$at.$name.test";
    return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $host\nDocumentRoot \@HTDOCS\@\nFormGuardCaptcha $name\nFormGuardCaptchaTimeout $timeout\n"
        . join("\n", "FormGuardCaptchaEndpoint $endpoint", @more, $SERVICE{$name}{lines} // '') . "</VirtualHost>\n";
}

my $BASE = "FormGuard On\nFormGuardCaptchaSlots 40\nFormGuardCaptchaHostname shop.example\nFormGuardCaptchaSecret " . $vendor->secret
    . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n";

# One post for each of the services, all at once: [status, seconds, answer] of each.
sub post_all
{
    my ($httpd, $at, $token_of, %more) = @_;
    my $c = $httpd->client;
    my $select = IO::Select->new;
    my (%open, %out);
    for my $name (@SERVICES) {
        my %form = (%VISITOR, $SERVICE{$name}{field} => FormGuard::Vendor::fresh($token_of->($name)), $more{form} ? %{$more{form}->($name)} : ());
        my $bytes = $c->bytes('POST', '/contact.php', form => \%form, headers => [Host => "$at.$name.test", @{$more{headers} || []}]);
        my $conn = $c->connect;
        $select->add($conn->socket);
        $open{fileno $conn->socket} = [$name, $conn, time];
        $conn->send($bytes);
    }
    my $end = time + $LONG + $SLACK;
    while ($select->count) {
        my @ready = $select->can_read($end - time) or die "no answer in time\n";
        for my $s (@ready) {
            my ($name, $conn, $start) = @{$open{fileno $s}};
            my $took = time - $start;
            $select->remove($s);
            $out{$name} = { r => $conn->read('POST'), seconds => $took };
            $conn->close;
        }
    }
    return \%out;
}

# What each was asked since: [requests...]. All of reCAPTCHA are one to the stand-in, so their URL tells them apart.
sub asked
{
    my ($mark) = @_;
    my %asked = map { $_ => [] } @SERVICES;
    for my $q ($vendor->since($mark)) {
        my ($name) = grep { $SERVICE{$_}{of} eq ($q->{service} // '') && ($q->{service} ne 'recaptcha' || $q->{path} =~ /\?\Q$_\E$/) } @SERVICES;
        push @{$asked{$name // 'nobody'}}, $q;
    }
    return \%asked;
}

sub all_pass
{
    my ($httpd, $token_of, $what) = @_;
    my ($mails, $mark) = ($mail->count, $vendor->count);
    my $got = post_all($httpd, 'good', $token_of);
    is_deeply { map { $_ => $got->{$_}{r}->status } @SERVICES }, { map { $_ => 200 } @SERVICES }, "$what: it passes";
    is $mail->count - $mails, 2 * @SERVICES, "$what: and its mails are sent";
    my $asked = asked($mark);
    is_deeply { map { $_ => scalar @{$asked->{$_}} } keys %$asked }, { map { $_ => 1 } @SERVICES }, "$what: one question each";
    $httpd->log_ok("$what: error_log", $OK => scalar @SERVICES);
}

sub good_ones { my ($name) = @_; return $SERVICE{$name}{good} // 'ok' }

sub one_fault
{
    my ($httpd, $what, $token, $cause, $detail, $o) = @_;
    my ($mails, $mark) = ($mail->count, $vendor->count);
    my $got = post_all($httpd, $o->{at} // 'good', sub { $token });
    my $asked = asked($mark);
    for my $name (@SERVICES) {
        my ($r, $seconds) = @{$got->{$name}}{qw(r seconds)};
        is $r->status, 503, "$name: $what";
        if ($o->{slow}) {
            cmp_ok $seconds, '>=', $SHORT - 0.01, "$name: $what: it had its time";
            cmp_ok $seconds, '<', $SHORT + $SLACK, "$name: $what: and no more";
        }
        else {
            cmp_ok $seconds, '<', $LONG / 2, "$name: $what: at once";
        }
        my $questions = $name eq 'turnstile' && $o->{again} || ($o->{asked} // 1);
        is scalar @{$asked->{$name}}, $questions, "$name: $what: questions";
        my %keys = map { ($_->{key} // '') => 1 } @{$asked->{$name}};
        is_deeply [map { /^[0-9a-f-]{36}$/ ? 1 : 0 } keys %keys], [1], "$name: $what: both with one idempotency_key" if $questions == 2;
    }
    ok !$asked->{nobody}, "$what: nothing else was asked";
    is $mail->count, $mails, "$what: no mail";
    $httpd->log_ok("$what: error_log", map {
        my $says = ref $detail eq 'HASH' ? $detail->{$_} // $detail->{''} : $detail;
        $says = quotemeta $says if !ref $says;
        qr/ \[formguard:notice\] .* FG1500: refused 503: captcha could not be verified: rule="$_" cause=$cause $says country=- .* site=\w+\.$_\.test ref=\S{9}$/
    } @SERVICES);
    all_pass($httpd, \&good_ones, "a good token after $what");
}

# A connection that the service has closed meanwhile is not used again. One after the other: such a connection must not
# be another post's before its end is known.
sub ends_behind_its_reply
{
    my ($httpd) = @_;
    for my $name (@SERVICES) {
        for my $token ('scored-farewell', good_ones($name)) {
            my $mark = $vendor->count;
            my $r = $httpd->client->post('/contact.php', headers => [Host => "good.$name.test"],
                form => { %VISITOR, $SERVICE{$name}{field} => FormGuard::Vendor::fresh($token) });
            is $r->status, 200, "$name: $token";
            my @asked = $vendor->since($mark);
            is scalar @asked, 1, "$name: $token: one question";
            FormGuard::Process::wait_until(sub { !kill 0, $asked[0]{connection} }, 10, 'the end of the connection') if $token =~ /farewell/;
        }
    }
    $httpd->log_ok('error_log', $OK => 2 * @SERVICES);
}

# The second question has the time that the first one left: the service would end it later.
sub in_the_time_left
{
    my ($httpd) = @_;
    my $mark = $vendor->count;
    my $r = $httpd->client->post('/contact.php', headers => [Host => 'late.turnstile.test'],
        form => { %VISITOR, $SERVICE{turnstile}{field} => FormGuard::Vendor::fresh('late-close-1.2') });
    is $r->status, 503, 'turnstile: twice too late';
    cmp_ok $r->seconds, '<', 2 + $SLACK, 'within its time';
    my @asked = $vendor->since($mark);
    is scalar @asked, 2, 'two questions';
    is $asked[0]{key}, $asked[1]{key}, 'with one idempotency_key';
    $httpd->log_ok('error_log', qr/ FG1500: refused 503: .* rule="turnstile" cause=timeout Timeout was reached /);
}

# Whatever httpd and PHP have written.
sub shows_nothing
{
    my ($httpd) = @_;
    my @bad;
    for my $file (glob $httpd->dir . '/logs/*') {
        open my $fh, '<:raw', $file or die "$file: $!\n";
        push @bad, grep { /\Q@{[$vendor->secret]}\E|~\d{7}/ } <$fh>;
    }
    is_deeply \@bad, [], 'no secret and no token in any log';
}

subtest 'every service, every fault' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', php => 'fpm', mail => $mail, names => $names, files => { 'contact.php' => \'contact.php' },
        config => $BASE . join('', map {
            my $name = $_;
            site('good', $name, "${LONG}s", endpoint($name, 'good')) . site('short', $name, 1000 * $SHORT . 'ms', endpoint($name, 'good'))
                . site('mute', $name, 1000 * $SHORT . 'ms', endpoint($name, 'good', 'mute.test'))
                . site('gone', $name, "${LONG}s", endpoint($name, 'good', 'gone.test'))
                . join('', map { site($_, $name, "${LONG}s", endpoint($name, $_)) } qw(expired wrong_name untrusted tls11))
        } @SERVICES) . site('late', 'turnstile', '2s', endpoint('turnstile', 'good')));
    all_pass($httpd, \&good_ones, 'a good token');
    one_fault($httpd, @$_) for @FAULTS;
    all_pass($httpd, sub { 'scored-http10' }, 'a reply by HTTP/1.0');

    ends_behind_its_reply($httpd);
    in_the_time_left($httpd);
    shows_nothing($httpd);
    $httpd->done;
};

# At trace8 httpd tells all it knows.
subtest 'neither secret nor token, however much is told' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', php => 'fpm', mail => $mail, loglevel => 'trace8', files => { 'contact.php' => \'contact.php' },
        config => $BASE . join('', map { site('good', $_, "${LONG}s", endpoint($_, 'good')) } @SERVICES));
    for my $token (qw(dup invalid echo garbage status-500 close truncated redirect)) {
        my $got = post_all($httpd, 'good', sub { $token });
        is_deeply [grep { $_ != 403 && $_ != 503 } map { $_->{r}->status } values %$got], [], "$token: refused";
        is_deeply [grep { ($_->{r}->head . $_->{r}->body) =~ /\Q@{[$vendor->secret]}\E|~\d{7}/ } values %$got], [], "$token: nor do the visitors see it";
    }
    cmp_ok scalar(grep { /:trace\d\]/ } $httpd->log->since(0)), '>', 100, 'it is told at length';
    shows_nothing($httpd);
    $httpd->log_ok('whatever it says', qr/./ => '*');
    $httpd->expect_log(qr/./ => '*');
    $httpd->done;
};

# --- the built-in captcha in the place of a service that hangs ---

sub problem_of
{
    my ($r, $what) = @_;
    is $r->header('Content-Type'), 'application/problem+json', "$what: a problem";
    my $p = eval { $r->json } || {};
    is_deeply [@$p{qw(status reason)}], [403, 'captcha'], "$what: that says so";
    is $r->header('Cache-Control'), 'no-store', "$what: for nobody to keep";
}

subtest 'while a service hangs, FormGuardCaptchaOnError timeout=altcha' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', php => 'fpm', mail => $mail, files => { 'contact.php' => \'contact.php' },
        config => "FormGuardCaptchaOnError timeout=altcha\nFormGuardCaptchaDifficulty 1000\n$BASE"
            . join('', map { site('short', $_, 1000 * $SHORT . 'ms', endpoint($_, 'good')) } @SERVICES));
    my $c = $httpd->client;
    my $solved = sub {
        my ($name) = @_;
        return { altcha => FormGuard::Altcha::solve(FormGuard::Altcha::challenge($c, '/contact.php', headers => [Host => "short.$name.test"])) };
    };
    my $turned = qr/ FG1500: logged only 503: .* rule="FormGuardCaptchaOnError altcha" cause=timeout /;
    my $refused = qr/ FG1400: refused 403: .* rule="altcha" cause=timeout /;
    my $hang = sub { 'never' };
    my $mails = $mail->count;

    my $got = post_all($httpd, 'short', $hang, headers => [Accept => 'application/json']);
    for my $name (@SERVICES) {
        is $got->{$name}{r}->status, 403, "$name: a script without a solution";
        problem_of($got->{$name}{r}, $name);
    }
    $got = post_all($httpd, 'short', $hang, headers => [Accept => 'text/html']);
    for my $name (@SERVICES) {
        is $got->{$name}{r}->status, 403, "$name: a browser without a solution";
        like $got->{$name}{r}->body, qr/<altcha-widget\b/, "$name: gets the challenge's page";
    }
    is $mail->count, $mails, 'no mail';
    $httpd->log_ok('error_log', $refused => 2 * @SERVICES);

    $got = post_all($httpd, 'short', $hang, form => $solved);
    is_deeply [map { $got->{$_}{r}->status } @SERVICES], [(200) x @SERVICES], 'with a solution it passes';
    ok !(grep { $_->{seconds} < $SHORT - 0.01 } values %$got), 'when the service has had its time';
    is $mail->count - $mails, 2 * @SERVICES, 'and its mails are sent';
    $httpd->log_ok('error_log', $turned => scalar @SERVICES, $OK => scalar @SERVICES);

    # Two more, and nobody waits for it any longer.
    post_all($httpd, 'short', $hang) for 1, 2;
    $httpd->log_ok('error_log', $refused => 2 * @SERVICES,
        qr/ FG2301: captcha service \S+ does not work, cause=timeout / => scalar @SERVICES);
    my $mark = $vendor->count;
    $mails = $mail->count;
    $got = post_all($httpd, 'short', $hang, headers => [Accept => 'application/json']);
    for my $name (@SERVICES) {
        is $got->{$name}{r}->status, 403, "$name: not asked, a script without a solution";
        problem_of($got->{$name}{r}, $name);
    }
    $got = post_all($httpd, 'short', $hang, form => $solved);
    is_deeply [map { $got->{$_}{r}->status } @SERVICES], [(200) x @SERVICES], 'with a solution';
    is $mail->count - $mails, 2 * @SERVICES, 'and its mails';
    is $vendor->count, $mark, 'and nobody is asked';
    $httpd->log_ok('error_log', qr/$turned.*not asked/ => scalar @SERVICES, $refused => scalar @SERVICES, $OK => scalar @SERVICES);
    shows_nothing($httpd);
    $httpd->done;
};

$vendor->stop;
done_testing;
