# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Load;

=head1 NAME

FormGuard::Bench::Load - requests a second, by wrk

=head1 SYNOPSIS

    my $got = FormGuard::Bench::Load::measure(\@names, \@works, rounds => 5, seconds => 1, connections => [2, 16, 64]);
    $got->{formguard}{limits}{16};    # { rate => a second, ratio => rate / plain's in the same round,
                                      #   cpu => us of processor time a request, cpu_ratio => plain's cpu / it }

All servers (event MPM) are up all the time and asked in turns, a second each; the order turns with each round. What is
returned are medians. Processor time is that of the server, kernel's share included: it says the same as the rate, and
is steadier where others use the machine, too. An answer of another kind than expected ends the measurement.

=cut

use strict;
use warnings;
use FormGuard::Bench::Contender;
use FormGuard::Bench::Works;
use FormGuard::Client;
use FormGuard::Process;
use File::Basename qw(dirname);
use File::Path qw(make_path);

my $LUA = dirname(__FILE__) . '/../../../bench/side_by_side/load.lua';
my $MILLION = 1 << 20;
my $TOKENS = 40_000;

# Works of the instructions' measure that say something here, and some of its own.
sub works
{
    my %by = map { $_->{name} => $_ } FormGuard::Bench::Works::all();
    return (
        (map { $by{$_} } qw(get open limits all upload flood)),
        # With a token in each, wrk makes a thousand of them a second and no more: with none it sends what it has.
        { %{$by{upload}}, name => 'upload-limits', title => 'multipart, file of 200 kB, limits only', path => '/limits/form.php', token => 0, aim => undef },
        { %{$by{limits}}, name => 'million', title => 'form POST, limits only, a million addresses', addresses => 1, aim => undef },
    );
}

sub median
{
    my @s = sort { $a <=> $b } @_;
    return @s % 2 ? $s[$#s / 2] : ($s[@s / 2 - 1] + $s[@s / 2]) / 2;
}

sub measure
{
    my ($names, $works, %o) = @_;
    my %server = map { $_ => _servers($_, $works) } @$names;
    my (%all, %sent);
    my $order = 0;
    for my $round (1 .. $o{rounds}) {
        for my $work (@$works) {
            for my $connections (@{$o{connections}}) {
                my @order = @$names;
                push @order, splice @order, 0, $order++ % @order;
                my %now;
                for my $name (@order) {
                    my $sent = \($sent{$name}{$work->{name}} //= 0);
                    $now{$name} = _once($server{$name}{$work->{setting}}, $name, $work, $connections, $o{seconds}, $sent);
                }
                for my $name (@$names) {
                    my $all = $all{$name}{$work->{name}}{$connections} ||= {};
                    push @{$all->{$_}}, $now{$name}{$_} for qw(rate cpu);
                    my $plain = $now{plain} or next;
                    push @{$all->{ratio}}, $now{$name}{rate} / $plain->{rate};
                    push @{$all->{cpu_ratio}}, $plain->{cpu} / $now{$name}{cpu};
                }
            }
            $o{progress}->("round $round: $work->{name}") if $o{progress};
        }
    }
    for my $servers (values %server) { FormGuard::Bench::Contender::end($_) for values %$servers }
    my %got;
    for my $name (@$names) {
        for my $work (@$works) {
            for my $connections (@{$o{connections}}) {
                my $all = $all{$name}{$work->{name}}{$connections};
                $got{$name}{$work->{name}}{$connections} = { map { $_ => median(@{$all->{$_}}) } keys %$all };
            }
        }
    }
    return \%got;
}

sub _servers
{
    my ($name, $works) = @_;
    my %settings = map { $_->{setting} => 1 } @$works;
    my %server = map {
        ($_ => FormGuard::Bench::Contender::server($name, mpm => 'event', $_ eq 'narrow' ? (limit => 1) : (entries => _entries($name))))
    } keys %settings;
    # What a client's flood finds: it was refused before.
    $server{narrow} && $server{narrow}->client->post('/refused/form.php', form => 'a=1') for 1 .. 40;
    return \%server;
}

sub _entries { return $_[0] eq 'qos' ? 50_000 : 2 * $MILLION }

sub _wrk
{
    my ($server, $connections, $seconds, %file) = @_;
    my $dir = FormGuard::Process::private_dir();
    for my $part (keys %file) {
        open my $fh, '>:raw', "$dir/$part" or die "$dir/$part: $!\n";
        print $fh $file{$part};
        close $fh;
    }
    my @cmd = ('wrk', '-t1', "-c$connections", "-d${seconds}s", '--timeout', '10s', '-s', $LUA, $server->url('/'), '--', "$dir");
    open my $wrk, '-|', @cmd or die "wrk: $!\n";
    my $text = join '', <$wrk>;
    close $wrk;
    my @figures = $text =~ /^RESULT (\d+) (\d+) (\d+) (\d+)$/m or die "wrk: $text\n";
    return @figures;
}

# Posts of one client to one form: (how many, how many of them were refused).
sub flood
{
    my ($server, $path, $seconds) = @_;
    my ($requests, $us, $refused) = _wrk($server, 16, $seconds, method => 'POST', path => $path, before => 'name=A&message=B',
        after => '', type => 'application/x-www-form-urlencoded');
    return ($requests, $refused);
}

sub _once
{
    my ($server, $name, $work, $connections, $seconds, $sent) = @_;
    my ($body, $type) = FormGuard::Bench::Works::body($work, 'TOKEN');
    my ($before, $after) = split /TOKEN/, $body, 2;
    my %file = (method => $work->{method} || 'POST', path => $work->{path}, type => $type, before => $before // '', after => $after // '');
    if ($work->{token}) {
        my $token = FormGuard::Bench::Works::tokens($server, $name, $work->{path});
        my $encode = $work->{form} ? \&FormGuard::Client::urlencode : sub { $_[0] };
        my $n = $work->{upload} ? $TOKENS / 4 : $TOKENS;
        $file{tokens} = join "\n", map { $encode->($token->($$sent + $_)) } 1 .. $n;
        $$sent += $n;
    }
    $file{close} = '' if $work->{close};
    if ($work->{addresses}) {
        $file{addresses} = "$$sent $MILLION";
    }
    my $idle = _cpu($server);
    my ($requests, $us, $refused, $errors) = _wrk($server, $connections, $seconds, %file);
    # Some are so slow that a second is not enough for one answer.
    ($requests, $us, $refused, $errors) = _wrk($server, $connections, 10 * $seconds, %file) if !$requests;
    my $cpu = _cpu($server) - $idle;
    my $expected = FormGuard::Bench::Works::status($work, $name);
    my $wrong = $expected >= 400 ? $requests - $refused : $refused;
    die "$name: $work->{name}: $wrong of $requests answers are not $expected, $errors errors\n" if $wrong > $requests / 1000 || !$requests;
    $$sent += $requests if $work->{addresses};
    return { rate => $requests / $us * 1e6, cpu => $cpu / $requests / 1000 };
}

# Nanoseconds on a processor, of all threads of all children.
sub _cpu
{
    my ($server) = @_;
    my $ns = 0;
    for my $file (map { glob "/proc/$_/task/*/schedstat" } FormGuard::Process::children_of($server->pid)) {
        open my $fh, '<', $file or next;
        $ns += (split ' ', <$fh> // 0)[0];
    }
    return $ns;
}

1;
