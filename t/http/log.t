#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A flood of posts is none of lines: fewer than a hundred a second whatever comes, no reason hidden by another, and what
# error_log tells adds up to the refusals.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Refusals;
use List::Util qw(max sum0);
use Test::More;
use Time::HiRes qw(sleep time);

my $SECONDS = 3;
my $WORKERS = 4;
my $PIPELINE = 100;
my $FORM = "Content-Type: application/x-www-form-urlencoded\r\n";

my $dir = FormGuard::Process::private_dir();
system($^X, FormGuard::Httpd::forms_dir() . '/../make-mmdb', "$dir/c.mmdb", '198.18.0.0/15=HK') and die "make-mmdb failed\n";

# path => [configuration, tag, status, headers and body of a post]; none of a status that closes the connection (400, 503)
my %KIND = (
    '/limit' => ['FormGuardLimit ip 1/1d', 'FG1100', 429, "Content-Length: 0\r\n\r\n"],
    '/deny' => ['FormGuardDeny On', 'FG1220', 403, "Content-Length: 0\r\n\r\n"],
    '/country' => ['FormGuardCountry HK refuse', 'FG1200', 403, "Content-Length: 0\r\n\r\n"],
    '/required' => ["FormGuardField name required\nFormGuardLimit server 1000000/1s", 'FG1310', 422, "${FORM}Content-Length: 1\r\n\r\na"],
    '/filled' => ["FormGuardField name empty\nFormGuardLimit server 1000000/1s", 'FG1311', 403, "${FORM}Content-Length: 6\r\n\r\nname=x"],
    '/captcha' => ['FormGuardCaptcha recaptcha-v2', 'FG1400', 403, "Content-Length: 0\r\n\r\n"],
    '/single' => ["FormGuardField name single-line\nFormGuardLimit server 1000000/1s", 'FG1312', 422, "${FORM}Content-Length: 8\r\n\r\nname=%0A"],
);
my $CONFIG = FormGuard::Refusals::CONFIG . join('', map { "<Location $_>\nFormGuard On\n$KIND{$_}[0]\n</Location>\n" } sort keys %KIND)
    . "<Location /detect>\nFormGuard DetectionOnly\nFormGuardDeny On\n</Location>\n"
    . "<Location /debug>\nLogLevel formguard:debug\nFormGuard On\nFormGuardDeny On\n</Location>\n";

sub post
{
    my ($path, $from) = @_;
    my $rest = $KIND{$path} ? $KIND{$path}[3] : "Content-Length: 0\r\n\r\n";
    return "POST $path HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nX-Forwarded-For: $from\r\n$rest";
}

# Sends posts on one connection, many before the first answer is read, for so long; { path => { status => n } }.
sub blow
{
    my ($httpd, $seconds, $next) = @_;
    my $end = time + $seconds;
    my $conn = $httpd->client->connect;
    my %got;
    do {
        my @batch = map { [$next->()] } 1 .. $PIPELINE;
        $conn->send(join '', map { post(@$_) } @batch) or die "the server has closed: $conn->{broken}\n";
        $got{$_->[0]}{$conn->read('POST')->status}++ for @batch;
    } while time < $end;
    $conn->close;
    return \%got;
}

sub storm
{
    my ($httpd, $seconds, $make) = @_;
    my $start = time;
    my %sum;
    for my $got (FormGuard::Client::parallel($WORKERS, sub { blow($httpd, $seconds, $make->($_[0])) })) {
        for my $path (keys %$got) {
            $sum{$path}{$_} += $got->{$path}{$_} for keys %{$got->{$path}};
        }
    }
    my $posts = sum0 map { values %$_ } values %sum;
    note sprintf '%d posts, %d a second', $posts, $posts / (time - $start);
    return \%sum;
}

my %refusals;    # by tag, as clients have seen them

# Takes the refusals among the answers into account; how many there were.
sub seen
{
    my ($got) = @_;
    my $all = 0;
    for my $path (keys %$got) {
        my ($tag, $status) = $path eq '/detect' ? ('FG1220', 404) : @{$KIND{$path}}[1, 2];
        my $n = $got->{$path}{$status} // 0;
        $refusals{$tag} += $n;
        $all += $n;
        is sum0(values %{$got->{$path}}) - $n - ($path eq '/limit' ? $got->{$path}{404} // 0 : 0), 0, "$path: every post was answered as it should be";
    }
    return $all;
}

# When each line of ours was written, seconds since midnight, and the most in any second.
sub lines_a_second
{
    my ($httpd, $mark) = @_;
    my @at = map { /^\[\w+ \w+ \d+ (\d+):(\d+):(\d+\.\d+) \d+\] \[formguard:(?!debug)/ ? $1 * 3600 + $2 * 60 + $3 : () } $httpd->log->since($mark);
    @at = sort { $a <=> $b } @at;
    my ($most, $first) = (0, 0);
    for my $i (0 .. $#at) {
        $first++ while $at[$i] - $at[$first] >= 1;
        $most = max $most, $i - $first + 1;
    }
    return ($most, scalar @at);
}

sub bounded
{
    my ($httpd, $mark, $refused, $name) = @_;
    my ($most, $lines) = lines_a_second($httpd, $mark);
    cmp_ok $most, '<', 100, "$name: fewer than 100 lines in any second";
    cmp_ok $lines, '>', 0, "$name: but some";
    note "$name: $refused refusals, $lines lines, at most $most in a second";
    FormGuard::Refusals::told_ok($httpd, "$name: the sums", %refusals);
    return;
}

my $httpd = FormGuard::Httpd->new(
    mpm => $ENV{FORMGUARD_MPM} || 'event', loglevel => 'warn formguard:notice', config => $CONFIG, global => "FormGuardGeoDatabase $dir/c.mmdb"
);

subtest 'one client' => sub {
    my $mark = $httpd->log->mark;
    my $got = storm($httpd, 1, sub { return sub { return ('/limit', '203.0.113.1') } });
    is $got->{'/limit'}{404}, 1, 'the limit lets one through';
    my $n = seen($got);
    cmp_ok $n, '>', 300, 'a flood';
    my @lines = grep { / FG1100: refused 429: .*/ } $httpd->log->since($mark);
    is scalar @lines, 5, 'five lines at once';
    unlike $lines[-1], qr/suppressed/, 'before which none was suppressed';
    # The number a visitor is given leads to his lines, whether or not his post has one.
    my $r = $httpd->client->post('/limit', form => [a => 1], from => '203.0.113.1', headers => [Accept => 'application/json']);
    is $r->status, 429, 'one post more';
    $n++;
    $refusals{FG1100}++;
    my ($half) = $r->json->{reference} =~ /^(\w{4})-\w{4}$/ or fail 'it has no number';
    is scalar(grep { / ref=\Q$half\E-\w{4}$/ } @lines), 5, 'the first half of its number is that of all five lines';
    my %numbers = map { (/ ref=(\S+)$/)[0] => 1 } @lines;
    is scalar(keys %numbers), 5, 'which have each their own';
    bounded($httpd, $mark, $n, 'one client');
};

subtest 'many clients, and every other reason once in the middle of it' => sub {
    my $mark = $httpd->log->mark;
    my @others = grep { $_ ne '/limit' } sort keys %KIND;
    my $got = storm($httpd, $SECONDS, sub {
        my ($worker) = @_;
        my ($n, $start) = (0, time);
        return sub {
            if ($worker == 0 && @others && time > $start + 1) {
                return (shift @others, '198.18.7.7');
            }
            my $i = int $n++ / 2;
            return ('/limit', sprintf '10.%d.%d.%d', $worker, $i / 250, $i % 250);
        };
    });
    my $n = seen($got);
    cmp_ok $n, '>', 1000, 'a flood';
    my @lines = $httpd->log->since($mark);
    for my $path (grep { $_ ne '/limit' } sort keys %KIND) {
        is scalar(grep { /\[client 198\.18\.7\.7:0\] $KIND{$path}[1]: refused / } @lines), 1, "$KIND{$path}[1] has its line";
    }
    my %clients = map { $_ => 1 } map { /\[client (10\.\S+):0\] FG1100: refused/ ? $1 : () } @lines;
    cmp_ok scalar keys %clients, '>=', 12 * ($SECONDS - 1), 'and so have as many clients as there is room for';
    bounded($httpd, $mark, $n, 'many clients');
};

subtest 'many reasons, many clients, and DetectionOnly' => sub {
    my $mark = $httpd->log->mark;
    my @paths = (sort(keys %KIND), '/detect');
    my $got = storm($httpd, $SECONDS, sub {
        my ($worker) = @_;
        my $n = 0;
        # Some clients all the time, the others once.
        return sub {
            $n++;
            my $from = $n % 3 ? "198.18.$worker." . ($n % 5) : sprintf '198.19.%d.%d', $worker * 60 + $n / 250 % 60, $n % 250;
            return ($paths[$n % @paths], $from);
        };
    });
    my $n = seen($got);
    cmp_ok $n, '>', 1000, 'a flood';
    my @lines = $httpd->log->since($mark);
    for my $what ('refused', 'would refuse') {
        cmp_ok scalar(grep { / FG\d+: $what \d/ } @lines), '>=', 1, "$what is there";
    }
    # FG1100 has had its share in the flood before.
    for my $tag (grep { $_ ne 'FG1100' } map { $_->[1] } values %KIND) {
        cmp_ok scalar(grep { / $tag: / } @lines), '>=', 1, "$tag has a line";
    }
    bounded($httpd, $mark, $n, 'many reasons');
};

subtest 'at LogLevel debug there is a line for each' => sub {
    my $mark = $httpd->log->mark;
    $httpd->client->post('/debug', form => 'a=1', from => '192.0.2.200') for 1 .. 40;
    my @lines = grep { /\[client 192\.0\.2\.200:0\] FG1220: refused / } $httpd->log->since($mark);
    is scalar @lines, 40, 'forty';
    is scalar(grep { /suppressed/ } @lines), 0, 'nothing is suppressed';
};

# Nobody posts any more: httpd's parent tells the rest.
subtest 'when it is over' => sub {
    my $mark = $httpd->log->mark;
    FormGuard::Process::wait_until(sub { sleep 0.5; FormGuard::Refusals::read($httpd)->{untold} == 0 }, 120, 'the end of what is to be told');
    my $got = FormGuard::Refusals::read($httpd);
    for my $tag (sort keys %refusals) {
        # forty of the lines are those at LogLevel debug
        my $lines = $got->{lines}{$tag} - ($tag eq 'FG1220' ? 40 : 0);
        is $lines + ($got->{told}{$tag} // 0), $refusals{$tag}, "$tag: lines and suppressed ones are the refusals";
    }
    cmp_ok $got->{summaries}, '>', 0, 'some by FG1009';
    my ($most) = lines_a_second($httpd, $mark);
    cmp_ok $most, '<', 100, 'in few lines';
    my @sums = grep { / FG1009: / } $httpd->log->since(0);
    is scalar(grep { !/^\[[^]]+\] \[formguard:(?:notice|warn)\] \[pid [^]]+\] FG1009: suppressed [1-9]\d* lines of FG\d{4} \([^()]+\) of (?:client [0-9.]+|[1-9]\d* clients)$/ } @sums), 0,
        'each says how many, of what and of whom';
    is scalar(grep { /\[formguard:warn\]/ xor /FG1220/ } @sums), 0, 'at the level of the lines';
    cmp_ok scalar(grep { / of client / } @sums), '>=', 1, 'the largest with their client';
};

$httpd->expect_log(qr/ \[formguard:(?:notice|warn|debug)\] .*FG(?:0001|1009|1[1-4]\d\d|2003): /, '+');
$httpd->done('and nothing else is in error_log');

done_testing;
