#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A limit of ten lets ten through: not eleven, whoever asks at the same time and whatever restarts meanwhile.
# What is counted is how often the script has run, not what the client was told.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Refusals;
use Test::More;

my $CLIENTS = 8;
my $EACH = 125;

# Appends with O_APPEND, which is whole for a line. A script that leaves the body unread makes mod_cgid lose answers.
my $SCRIPT = "#!/bin/sh\ncat > /dev/null\necho \"\$REMOTE_ADDR\" >> '\@DIR\@/tmp/ran'\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";

# The same in PHP, for restarts while posts are under way: mod_cgid's daemon goes with the old generation and
# fails them by itself.
my $PHP = <<'TEXT';
<?php file_put_contents('@DIR@/tmp/ran', $_SERVER['REMOTE_ADDR'] . "\n", FILE_APPEND | LOCK_EX); echo "ran\n";
TEXT
our $URL = '/a.cgi';

sub server
{
    my ($mpm, $htaccess, %o) = @_;
    return FormGuard::Httpd->new(
        mpm => $mpm, loglevel => 'warn', config => FormGuard::Refusals::CONFIG,
        files => { 'a.cgi' => $SCRIPT, 'a.php' => $PHP, '.htaccess' => "FormGuard On\n$htaccess" }, %o
    );
}

# How often the script ran, for an address or for all.
sub ran
{
    my ($httpd, $address) = @_;
    open my $fh, '<', $httpd->dir . '/tmp/ran' or return 0;
    return scalar grep { !defined $address || $_ eq "$address\n" } <$fh>;
}

# Every refusal is told in error_log, by a line or in the sum of those that have none, and nothing else is there.
sub told
{
    my ($httpd, $refusals) = @_;
    FormGuard::Refusals::told_ok($httpd, "error_log: $refusals refusals", FG1100 => $refusals);
    $httpd->expect_log(qr/ FG1100: refused 429: / => '+', qr/ FG1009: / => '*');
    $httpd->done('and nothing else');
    return;
}

# Posts from so many processes at once, each going through the addresses; { status => how often }.
sub storm
{
    my ($httpd, $clients, $each, @from) = @_;
    return sum(FormGuard::Client::parallel($clients, sub { one_client($httpd, $each, $_[0], @from) }));
}

sub one_client
{
    my ($httpd, $each, $worker, @from) = @_;
    my %got;
    for my $i (1 .. $each) {
        my $r = eval { $httpd->client->post($URL, form => "n=$i", from => $from[($i + $worker) % @from]) };
        $got{$r ? $r->status : "lost: $@"}++;
    }
    return \%got;
}

sub sum
{
    my %sum;
    for my $got (@_) {
        $sum{$_} += $got->{$_} for keys %$got;
    }
    return \%sum;
}

for my $mpm (qw(prefork worker event)) {
    subtest "$mpm: 1,000 posts, $CLIENTS clients, limit 10" => sub {
        my $httpd = server($mpm, "FormGuardLimit ip 10/1h\n");
        my $got = storm($httpd, $CLIENTS, $EACH, '203.0.113.1');
        is ran($httpd), 10, 'the script ran ten times';
        is_deeply $got, { 200 => 10, 429 => $CLIENTS * $EACH - 10 }, 'and everybody was told so';
        told($httpd, $CLIENTS * $EACH - 10);
    };

    subtest "$mpm: 1,000 posts, limit 10 of accepted posts, by form" => sub {
        my $httpd = server($mpm, "FormGuardLimit form 10/1h\n");
        my $got = storm($httpd, $CLIENTS, $EACH, map { "203.0.113.$_" } 1 .. 50);
        is ran($httpd), 10, 'the script ran ten times, whoever posted';
        is_deeply $got, { 200 => 10, 429 => $CLIENTS * $EACH - 10 }, 'and everybody was told so';
        told($httpd, $CLIENTS * $EACH - 10);
    };

    subtest "$mpm: a graceful restart in the middle" => sub {
        local $URL = '/a.php';
        my $httpd = server($mpm, "FormGuardLimit ip 10/1h count=accepted\n", php => $mpm eq 'prefork' ? 'mod' : 'fpm');
        is_deeply storm($httpd, 2, 2, '203.0.113.1'), { 200 => 4 }, 'four before';

        # Old processes hold posts whose last byte is missing: they will be counted after the restart, by the
        # old generation, while the new one serves.
        my @held;
        for my $i (1 .. 6) {
            my $bytes = $httpd->client->bytes('POST', $URL, form => "held=$i", from => '203.0.113.1');
            my $conn = $httpd->client->connect;
            $conn->send(substr $bytes, 0, -1);
            push @held, [$conn, substr $bytes, -1];
        }
        # Held posts must be in a handler when the restart comes, or their connections wait for the new generation.
        busy($httpd, 6);
        $httpd->restart('graceful', old => 1);

        my @out = FormGuard::Client::parallel(
            $CLIENTS + 1,
            sub {
                my ($worker) = @_;
                return one_client($httpd, $EACH, $worker, '203.0.113.1') if $worker;
                $_->[0]->send($_->[1]) for @held;
                return sum(map { { $_->[0]->read('POST')->status => 1 } } @held);
            }
        );
        my $got = sum(@out);
        is ran($httpd), 10, 'the script ran ten times in all';
        is_deeply $got, { 200 => 6, 429 => $CLIENTS * $EACH }, 'six of them after the restart';

        # And one while a storm is blowing: nobody is turned away who would not be, nobody slips through.
        @out = FormGuard::Client::parallel(
            $CLIENTS + 1,
            sub {
                my ($worker) = @_;
                return one_client($httpd, $EACH, $worker, '203.0.113.2') if $worker;
                my $lines = access($httpd);
                FormGuard::Process::wait_until(sub { access($httpd) > $lines + 5 }, 30, 'the storm');
                $httpd->restart('graceful');
                return {};
            }
        );
        is ran($httpd, '203.0.113.2'), 10, 'a restart in a storm: ten again';
        is_deeply sum(@out), { 200 => 10, 429 => $CLIENTS * $EACH - 10 }, 'no post was lost';
        told($httpd, 2 * $CLIENTS * $EACH - 10);
    };

    subtest "$mpm: a hard restart" => sub {
        my $httpd = server($mpm, "FormGuardLimit ip 10/1h\nFormGuardLimit form 1000/1h\n");
        is_deeply storm($httpd, 2, 2, '203.0.113.1'), { 200 => 4 }, 'four before';
        $httpd->restart('hard');
        is_deeply storm($httpd, $CLIENTS, 60, '203.0.113.1'), { 200 => 6, 429 => $CLIENTS * 60 - 6 }, 'six after';
        $httpd->restart('hard');
        is_deeply storm($httpd, $CLIENTS, 5, '203.0.113.1'), { 429 => $CLIENTS * 5 }, 'none after another';
        is ran($httpd), 10, 'the script ran ten times in all';
        told($httpd, $CLIENTS * 65 - 6);
    };
}

# Requests answered so far.
sub access
{
    my ($httpd) = @_;
    open my $fh, '<', $httpd->dir . '/logs/access_log' or return 0;
    my $n = 0;
    $n++ while <$fh>;
    return $n;
}

# Waits until the server has read all the bytes of so many posts: nothing is left in their sockets.
sub busy
{
    my ($httpd, $count) = @_;
    my $port = sprintf '%04X', $httpd->port;
    FormGuard::Process::wait_until(
        sub {
            open my $fh, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!\n";
            my $idle = grep { /^\s*\d+: 0100007F:$port \S+ 01 \S+:00000000 / } <$fh>;
            return $idle >= $count;
        },
        10,
        'posts that are being read'
    );
    return;
}

subtest 'another size of the table starts the counts anew, the same size keeps them' => sub {
    my $httpd = server('event', "FormGuardLimit ip 10/1h\n", global => 'FormGuardCounters shm:1024');
    is_deeply storm($httpd, 4, 4, '203.0.113.1'), { 200 => 10, 429 => 6 }, 'ten';
    for my $how (qw(graceful hard)) {
        $httpd->configure(global => 'FormGuardCounters shm:' . ($how eq 'hard' ? 4096 : 2048));
        $httpd->restart($how);
        $httpd->log_ok("$how: that is said", qr/ FG1100: / => '*', qr/ FG2001: counters start anew: /);
        is_deeply storm($httpd, 4, 4, '203.0.113.1'), { 200 => 10, 429 => 6 }, "$how: ten again";
        $httpd->configure(config => FormGuard::Refusals::CONFIG . "# nothing new for us\n");
        $httpd->restart($how);
        is_deeply storm($httpd, 4, 4, '203.0.113.1'), { 429 => 16 }, "$how: no more";
    }
    $httpd->expect_log(qr/ FG1100: refused 429: /, '+');
    $httpd->done('nothing more in error_log');
};

subtest 'clients do not disturb each other' => sub {
    my $httpd = server('event', "FormGuardLimit ip 10/1h\n");
    my @from = map { "198.51.100.$_" } 1 .. 20;
    my $got = storm($httpd, $CLIENTS, 50, @from);
    is ran($httpd, $_), 10, "$_: ten" for @from;
    is_deeply $got, { 200 => 200, 429 => 200 }, 'twenty clients, ten each';
    told($httpd, 200);
};

subtest 'an IPv6 client is its /64' => sub {
    my $httpd = server('event', "FormGuardLimit ip 10/1h\n");
    my @one = map { sprintf '2001:db8:1:2:%x::%x', $_ * 1499, $_ } 1 .. 40;
    is_deeply storm($httpd, $CLIENTS, 40, @one), { 200 => 10, 429 => 310 }, 'forty addresses of one /64 are one client';
    is_deeply storm($httpd, 2, 5, '2001:db8:1:3::1'), { 200 => 10 }, 'the /64 beside it is another';
    is_deeply storm($httpd, 2, 5, '192.0.2.9'), { 200 => 10 }, 'and so is an IPv4 address';
    is_deeply storm($httpd, 2, 5, '::ffff:192.0.2.9'), { 429 => 10 }, 'which is the same in IPv6 clothes';
    told($httpd, 320);
};

subtest 'X-Forwarded-For of a client that is no proxy of ours' => sub {
    my $httpd = server('event', "FormGuardLimit ip 10/1h\n");
    # The nearest hop is the client; what it says of others is its own invention.
    my @lies = map { "10.0.$_.1, 203.0.113.7" } 1 .. 50;
    is_deeply storm($httpd, 2, 25, @lies), { 200 => 10, 429 => 40 }, 'fifty invented addresses are one client';
    told($httpd, 40);
};

done_testing;
