# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Upload;

=head1 NAME

FormGuard::Bench::Upload - a file of 20 MB through the guard: how long it takes and how much memory

=head1 SYNOPSIS

    my $got = FormGuard::Bench::Upload::measure(rounds => 9);
    $got->{mod_bench}{all};    # { ms => median, ratio => of the throughput to plain's, kb => more memory than plain's }

One upload after the other, by turns through httpd alone and through mod_formguard. Memory is the peak of the process
that serves it (VmHWM) over what it was before.

=cut

use strict;
use warnings;
use FormGuard::Bench::Contender;
use FormGuard::Bench::Load;
use FormGuard::Bench::Works;
use FormGuard::Client;
use FormGuard::Process;
use Time::HiRes qw(time);

my $SIZE = 20 << 20;
my $ONE = "ServerLimit 1\nStartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1\n";
my $PHP = "<?php echo isset(\$_FILES['file']) && \$_FILES['file']['size'] == $SIZE && \$_POST['email'] ? \"ran\\n\" : \"no\\n\";\n";

sub measure
{
    my (%o) = @_;
    my %got;
    for my $behind (qw(mod_bench mod_php)) {
        my @php = $behind eq 'mod_php' ? (php => 'mod', files => { map { ("$_/form.php" => $PHP) } qw(open limits all) }) : ();
        my %server = map { $_ => FormGuard::Bench::Contender::server($_, mpm => 'prefork', global => $ONE, @php) } qw(plain formguard);
        my (%ms, %ratio, %kb, $sent);
        for my $round (0 .. $o{rounds}) {
            for my $path (qw(limits all)) {
                my %now;
                for my $name ($round % 2 ? qw(plain formguard) : qw(formguard plain)) {
                    my ($ms, $kb) = _upload($server{$name}, $name, "/$path/form.php", ++$sent);
                    next if !$round;    # its memory, and the disk's cache, are new
                    $now{$name} = $ms;
                    push @{$ms{$name}{$path}}, $ms;
                    push @{$kb{$name}{$path}}, $kb;
                }
                push @{$ratio{$path}}, $now{plain} / $now{formguard} if $round;
            }
        }
        for my $path (qw(limits all)) {
            $got{$behind}{$path} = {
                ms => FormGuard::Bench::Load::median(@{$ms{formguard}{$path}}), plain_ms => FormGuard::Bench::Load::median(@{$ms{plain}{$path}}),
                ratio => FormGuard::Bench::Load::median(@{$ratio{$path}}),
                kb => FormGuard::Bench::Load::median(@{$kb{formguard}{$path}}) - FormGuard::Bench::Load::median(@{$kb{plain}{$path}}),
            };
        }
        FormGuard::Bench::Contender::end($_) for values %server;
    }
    return \%got;
}

sub _memory
{
    my ($pid, $line) = @_;
    open my $fh, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!\n";
    my ($kb) = map { /^\Q$line\E:\s*(\d+) kB/ ? $1 : () } <$fh>;
    return $kb;
}

sub _upload
{
    my ($server, $name, $path, $n) = @_;
    my ($pid) = FormGuard::Process::children_of($server->pid);
    my $token = FormGuard::Bench::Works::tokens($server, $name, $path);
    my @fields = (name => 'Hanako', email => 'hanako@example.jp', message => 'In blue?',
        file => { filename => 'film.mp4', type => 'video/mp4', content => 'x' x $SIZE }, altcha => $token->($n));
    my $client = $server->client;
    my $bytes = $client->bytes('POST', $path, multipart => \@fields, headers => [Host => 'shop.example']);
    # The peak starts anew.
    open my $fh, '>', "/proc/$pid/clear_refs" or die "/proc/$pid/clear_refs: $!\n";
    print $fh "5\n";
    close $fh;
    my $before = _memory($pid, 'VmRSS');
    my $start = time;
    my $conn = $client->connect;
    $conn->socket->blocking(1);
    for (my $at = 0; $at < length $bytes;) {
        my $wrote = syswrite $conn->socket, $bytes, 1 << 20, $at or die "upload: $!\n";
        $at += $wrote;
    }
    $conn->socket->blocking(0);
    my $r = $conn->read('POST');
    my $ms = 1000 * (time - $start);
    $r->status == 200 && $r->body eq "ran\n" or die "$name: upload to $path: " . $r->status . ' ' . $r->body . "\n";
    return ($ms, _memory($pid, 'VmHWM') - $before);
}

1;
