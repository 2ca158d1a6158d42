# SPDX-License-Identifier: Apache-2.0
# measure.pl OUT [options as in t/bench/run]: asks FormGuard::Bench::*, and writes tables, JSON and a picture.
use strict;
use warnings;
use FormGuard::Bench::Accuracy;
use FormGuard::Bench::Chart;
use FormGuard::Bench::Contender;
use FormGuard::Bench::Instructions;
use FormGuard::Bench::Load;
use FormGuard::Bench::Upload;
use FormGuard::Bench::Works;
use File::Basename qw(dirname);
use File::Path qw(make_path);
use Getopt::Long qw(GetOptionsFromArray);
use JSON::PP;
use POSIX qw(strftime);

my ($out, @args) = @ARGV;
my @PARTS = qw(instructions load accuracy upload counters verify);
my @CONNECTIONS = (2, 16, 64);
my (%part, $only);
my ($requests, $rounds, $seconds) = (100, 5, 1);
GetOptionsFromArray(\@args, (map { my $p = $_; ($p => sub { $part{$p} = 1 }) } @PARTS),
    'only=s' => \$only, 'requests=i' => \$requests, 'rounds=i' => \$rounds, 'seconds=i' => \$seconds) or exit 1;
%part = map { $_ => 1 } @PARTS if !%part;
my @names = $only ? split(/,/, $only) : FormGuard::Bench::Contender::names();
my %known = map { $_->{name} => 1 } FormGuard::Bench::Works::all(), FormGuard::Bench::Load::works(),
    FormGuard::Bench::Accuracy::questions();
my @unknown = grep { !$known{$_} } @args;
die "no such work: @unknown\n" if @unknown;
my %wanted = map { $_ => 1 } @args;
for my $name (@names) {
    my $package = FormGuard::Bench::Contender::missing($name);
    die "missing: apt-get install $package\n" if $package;
}
$| = 1;
make_path("$out/callgrind");
my %result = -f "$out/results.json" ? %{read_json()} : ();
my $start = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime);

sub wanted { return grep { !%wanted || $wanted{$_->{name}} } @_ }
sub thousands { my ($n) = @_; $n = sprintf '%.0f', $n; 1 while $n =~ s/^([-+]?\d+)(\d{3})/$1,$2/; return $n }
sub signed { my ($n) = @_; return ($n < 0 ? '' : '+') . thousands($n) }
sub progress { print STDERR strftime('%H:%M:%S ', gmtime), @_, "\n" }

sub read_json
{
    open my $fh, '<', "$out/results.json" or die "$out/results.json: $!\n";
    local $/;
    return JSON::PP->new->decode(scalar <$fh>);
}

# What is measured now takes the place of what was there; the rest stays, each with its time.
sub keep
{
    my ($part, $got) = @_;
    %result = %{read_json()} if -f "$out/results.json";    # another run may have written there
    for my $name (keys %$got) {
        $result{$part}{$name} = ref $got->{$name} eq 'HASH' ? { %{$result{$part}{$name} || {}}, %{$got->{$name}} } : $got->{$name};
    }
    $result{measured}{$part} = $start;
    ($result{httpd}) = `@{[FormGuard::Httpd::Config::program()]} -v` =~ m{version: (\S+)};
    open my $fh, '>', "$out/results.json" or die "$out/results.json: $!\n";
    print $fh JSON::PP->new->canonical->pretty->encode(\%result);
    close $fh or die "$out/results.json: $!\n";
}

# As in Markdown, the first row is the head.
sub table
{
    my ($title, @rows) = @_;
    my @width;
    for my $row (@rows) {
        for my $i (0 .. $#$row) {
            my $n = length($row->[$i] //= '');
            $width[$i] = $n if $n > ($width[$i] // 0);
        }
    }
    print "\n$title\n\n";
    my $line = sub { my ($row) = @_; print '| ', join(' | ', map { sprintf $_ ? '%*s' : '%-*s', $width[$_], $row->[$_] } 0 .. $#width), " |\n" };
    $line->(shift @rows);
    print '|', join('|', map { $_ ? '-' x ($width[$_] + 1) . ':' : '-' x ($width[0] + 2) } 0 .. $#width), "|\n";
    $line->($_) for @rows;
}

# --- instructions ---

sub instructions
{
    my @works = wanted(FormGuard::Bench::Works::all()) or return;
    for my $name (@names) {
        progress("instructions: $name");
        keep(instructions => { $name => FormGuard::Bench::Instructions::measure($name, \@works, requests => $requests, keep => "$out/callgrind") });
    }
    table("Instructions a request: httpd alone, and how many more (nginx: all of it)", ['', @names, 'aim'],
        map { my $work = $_; [$work->{title}, (map { cost($work, $_) } @names), defined $work->{aim} ? signed($work->{aim}) : ''] } @works);
    my $ours = $result{instructions}{formguard} or return;
    for my $work (grep { ($ours->{$_->{name}} || {})->{crypto} && $ours->{$_->{name}}{crypto} > 100 } @works) {
        printf "  %s: of formguard's, %s in OpenSSL, %s without\n", $work->{title}, thousands($ours->{$work->{name}}{crypto}),
            signed(over($work, 'formguard') // 0);
    }
}

# Over httpd alone, without OpenSSL's.
sub over
{
    my ($work, $name) = @_;
    my ($plain, $got) = map { $result{instructions}{$_}{$work->{name}} } 'plain', $name;
    return $plain && $got && $got->{each} ? $got->{each} - $got->{crypto} - $plain->{each} : undef;
}

sub cost
{
    my ($work, $name) = @_;
    my ($plain, $got) = map { $result{instructions}{$_}{$work->{name}} } 'plain', $name;
    return '' if !$got || !$got->{each};
    return thousands($got->{each}) if $name eq 'plain' || $name eq 'nginx' || !$plain;
    return signed($got->{each} - $plain->{each});
}

# --- requests a second ---

sub load
{
    my @works = wanted(FormGuard::Bench::Load::works()) or return;
    keep(load => FormGuard::Bench::Load::measure(\@names, \@works, rounds => $rounds, seconds => $seconds, connections => \@CONNECTIONS,
        progress => sub { progress('load: ', @_) }));
    for my $connections (@CONNECTIONS) {
        table("Requests a second, $connections connections: httpd alone, and ratios to it in the same round", ['', @names],
            map { my $work = $_; [$work->{title}, map { rate($work, $_, $connections) } @names] } @works);
    }
    table("The server's processor time, 16 connections: us a request of httpd alone, and ratios to it in the same round", ['', @names],
        map { my $work = $_; [$work->{title}, map { cpu($work, $_, 16) } @names] } @works);
}

sub rate
{
    my ($work, $name, $connections) = @_;
    my $got = $result{load}{$name}{$work->{name}}{$connections} or return '';
    return $name eq 'plain' || !$got->{ratio} ? thousands($got->{rate}) : sprintf '%.2f', $got->{ratio};
}

sub cpu
{
    my ($work, $name, $connections) = @_;
    my $got = $result{load}{$name}{$work->{name}}{$connections} or return '';
    return $name eq 'plain' || !$got->{cpu_ratio} ? sprintf('%.1f us', $got->{cpu}) : sprintf('%.2f', $got->{cpu_ratio});
}

# --- what gets through ---

sub accuracy
{
    my @who = grep { $_ ne 'plain' } @names;
    my @questions = wanted(FormGuard::Bench::Accuracy::questions());
    for my $question (@questions) {
        # The Core Rule Set counts by security2's rule.
        for my $name (grep { $_ ne 'crs' } @who) {
            progress("accuracy: $question->{name}: $name");
            keep(accuracy => { $name => { $question->{name} => $question->{ask}->($name) } });
        }
    }
    @who = grep { $_ ne 'crs' } @who;
    table('A limit of 10 a minute: how many posts pass', ['', @who],
        map { my $q = $_; [$q->{title}, map { $result{accuracy}{$_}{$q->{name}} } @who] } @questions);
}

# --- uploads, counters, the captcha's service ---

sub upload
{
    progress('upload');
    my $got = FormGuard::Bench::Upload::measure(rounds => $rounds + 4);
    keep(upload => $got);
    table('A file of 20 MB (aims: ratio of the throughput 0.95, 2048 kB more)', ['', 'alone, ms', 'guarded, ms', 'ratio', 'more memory, kB'],
        map { my $b = $_; map { my $x = $got->{$b}{$_}; ["$b, $_", map { sprintf $_->[0], $x->{$_->[1]} } ['%.1f', 'plain_ms'], ['%.1f', 'ms'],
            ['%.2f', 'ratio'], ['%.0f', 'kb']] } sort keys %{$got->{$b}} } sort keys %$got);
}

sub median { return FormGuard::Bench::Load::median(@_) }

sub counters
{
    progress('counters');
    my %ns;
    for (1 .. $rounds) {
        open my $bench, '-|', dirname($out) . '/bench_counters' or die "bench_counters: $!\n";
        while (<$bench>) {
            push @{$ns{$1}}, $2 if /^(\S.*?)\s+([\d.]+) ns$/;
            push @{$ns{'bytes a key'}}, $2 / $1 if /^\d+ of (\d+) keys, .* (\d+) bytes$/;
        }
        close $bench or die "bench_counters failed\n";
    }
    keep(counters => { map { $_ => median(@{$ns{$_}}) } keys %ns });
    table('Counters, a million live keys, ns (aims: random 200, hot 60, 80 bytes a key)',
        ['', 'ns'], map { [$_, sprintf '%.1f', $result{counters}{$_}] } sort keys %ns);
}

sub verify
{
    progress('verify');
    my $text = `'@{[dirname(__FILE__)]}/../verify/run'`;
    $? == 0 or die "t/bench/verify/run failed\n";
    my ($rate, $cpu) = $text =~ /^the module's client\s+([\d.]+)\s+([\d.]+)/m or die $text;
    keep(verify => { 'a second' => $rate, 'CPU ms' => $cpu });
    print "\nAsking a captcha service (aim: 0.4 ms CPU)\n$text";
}

# --- the picture ---

sub chart
{
    my @instructions;
    for my $work (FormGuard::Bench::Works::all()) {
        my @bars = map { my $v = over($work, $_); defined $v ? { name => $_, value => $v, text => signed($v) } : () }
            grep { $_ ne 'plain' && $_ ne 'nginx' } FormGuard::Bench::Contender::names();
        push @instructions, { title => $work->{title}, aim => $work->{aim}, bars => \@bars } if @bars;
    }
    my @load;
    for my $work (FormGuard::Bench::Load::works()) {
        my @bars = map { my $got = $result{load}{$_}{$work->{name}}{16};
            $got && $got->{ratio} ? { name => $_, value => $got->{ratio}, text => sprintf '%.2f', $got->{ratio} } : () }
            grep { $_ ne 'plain' && $_ ne 'nginx' } FormGuard::Bench::Contender::names();
        push @load, { title => $work->{title}, aim => 0.97, bars => \@bars } if @bars;
    }
    my @passed;
    for my $q (grep { $_->{name} =~ /^(?:event|prefork|mailer)$/ } FormGuard::Bench::Accuracy::questions()) {
        my @bars = map { my $v = $result{accuracy}{$_}{$q->{name}}; defined $v ? { name => $_, value => $v, text => $v } : () }
            FormGuard::Bench::Contender::names();
        push @passed, { title => $q->{title}, aim => 10, bars => \@bars } if @bars;
    }
    open my $fh, '>', "$out/chart.svg" or die "$out/chart.svg: $!\n";
    print $fh FormGuard::Bench::Chart::svg(
        { title => 'Instructions a request over httpd alone, without OpenSSL\'s (dashed: the aim)', scale => 'log', rows => \@instructions },
        { title => 'Requests a second, ratio to httpd alone, 16 connections (dashed: the aim)', rows => \@load },
        { title => 'Posts that pass a limit of 10 a minute', rows => \@passed },
    );
    close $fh or die "$out/chart.svg: $!\n";
}

my %do = (instructions => \&instructions, load => \&load, accuracy => \&accuracy, upload => \&upload, counters => \&counters, verify => \&verify);
$do{$_}->() for grep { $part{$_} } @PARTS;
chart();
print "\n$out/results.json\n$out/chart.svg\n";
