# SPDX-License-Identifier: Apache-2.0
# One server under everything at once: what its processes hold, over time, and what of it must be true in the end.
use strict;
use warnings;
use File::Copy qw(copy);
use FormGuard::Bench::Lines;
use FormGuard::Bench::Mixed;
use FormGuard::Httpd;
use FormGuard::Load;
use FormGuard::Mail;
use FormGuard::Process;
use FormGuard::Vendor;
use List::Util qw(max min sum);
use Test::More;
use Time::HiRes qw(sleep time);

my ($out, $mpm, $SECONDS) = @ARGV;
my $EACH = 2;
my $CALM = $SECONDS * 2 / 3;
my $RESTARTS = min(8, int($SECONDS / 3 / 10));
my $REPLACED = 6;    # times while it is calm

# What a process may have more at the end than when it was warm, KiB: each of its threads keeps 256 KiB of what it has
# needed, and comes to need it late. In half an hour some 15,000 requests are between, so that 140 bytes lost with each
# would be more; --each finds less.
my $GROWTH = 2048;
# And the parent from its second generation to its last.
my $PARENT_GROWTH = 512;

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $mail = FormGuard::Mail->new;
# So many processes as are there at first stay there: what goes then has crashed. Of what a request gives back each
# thread would keep 2 MiB for the next, and reach that when it has met the largest.
my $SIZES = "MaxMemFree 256\n" . ($mpm eq 'prefork'
    ? "StartServers 8\nServerLimit 48\nMaxRequestWorkers 24\nMinSpareServers 1\nMaxSpareServers 40\n"
    : "StartServers 2\nServerLimit 6\nMaxRequestWorkers 24\nMinSpareThreads 1\nMaxSpareThreads 48\nMaxConnectionsPerChild 0\n");
my $httpd = FormGuard::Httpd->new(mpm => $mpm, php => $mpm eq 'prefork' ? 'mod' : 'fpm', mail => $mail, modules => ['status'],
    loglevel => 'warn formguard:info', expect_log => [qr/ FG1009: / => '*'], global => $SIZES, files => FormGuard::Bench::Mixed::files(), config => FormGuard::Bench::Mixed::config($vendor));

# --- samples ----------------------------------------------------------------------------------------

my $began = time;
my (%process, @order, @restarts);    # pid => { role, samples => [[seconds, anonymous, PSS (KiB), descriptors], ...] }

sub fields
{
    my ($file, @names) = @_;
    open my $fh, '<', $file or return;
    my $text = do { local $/; <$fh> } // '';
    my @values = map { $text =~ /^$_:\s+(\d+) kB/m ? $1 : () } @names;
    return @values == @names ? @values : ();
}

sub role
{
    my ($pid) = @_;
    return 'parent' if $pid == $httpd->pid;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return 'child';
    my $threads = () = glob "/proc/$pid/task/*";
    return $mpm ne 'prefork' && $threads == 1 ? 'cgid' : 'child';
}

sub sample
{
    for my $pid ($httpd->pid, $httpd->{process}->children) {
        my ($anonymous) = fields("/proc/$pid/status", 'RssAnon') or next;
        my ($pss) = fields("/proc/$pid/smaps_rollup", 'Pss') or next;
        my @open = glob "/proc/$pid/fd/*";
        push @order, $pid if !$process{$pid};
        my $p = $process{$pid} ||= { pid => $pid, generation => scalar @restarts, samples => [] };
        $p->{role} = role($pid) if @{$p->{samples}} < 3;
        push @{$p->{samples}}, [time - $began, $anonymous, $pss, scalar @open];
    }
    return;
}

# Samples until then.
sub watch
{
    my ($until) = @_;
    while (time < $until) {
        sample();
        my $left = min($EACH, $until - time);
        sleep $left if $left > 0;
        $httpd->{process}->alive or last;
    }
    return;
}

sub replace_database
{
    copy($ENV{FORMGUARD_GEO}, $httpd->dir . '/country.new') or die "country database: $!\n";
    chmod 0644, $httpd->dir . '/country.new';
    rename $httpd->dir . '/country.new', $httpd->dir . '/country.mmdb' or die "country database: $!\n";
    return;
}

# --- what is told of them ---------------------------------------------------------------------------

sub median { my @s = sort { $a <=> $b } @_; return @s ? $s[@s / 2] : 0 }

# What it had in a part of its life, two numbers between 0 and 1.
sub part
{
    my ($p, $column, $from, $to) = @_;
    my @s = @{$p->{samples}};
    my ($start, $life) = ($s[0][0], $s[-1][0] - $s[0][0]);
    return map { $_->[$column] } grep { $_->[0] >= $start + $from * $life && $_->[0] <= $start + $to * $life } @s;
}

sub life { my ($p) = @_; return $p->{samples}[-1][0] - $p->{samples}[0][0] }

# Anonymous memory at the end of its life against that after the first third of it.
sub growth
{
    my ($p) = @_;
    return median(part($p, 1, 5 / 6, 1)) - median(part($p, 1, 1 / 3, 1 / 2));
}

sub table
{
    my ($sum) = @_;
    my $text = sprintf "%-9s %8s %6s  %s\n", 'client', 'answers', 'mails', 'of which';
    for my $kind (FormGuard::Bench::Mixed::kinds()) {
        my %said = %{$sum->{$kind}{said}};
        $text .= sprintf "%-9s %8d %6d  %s\n", $kind, sum(0, values %said), scalar keys %{$sum->{$kind}{sent}},
            join ', ', map { "$_ $said{$_}" } grep { $said{$_} } FormGuard::Bench::Mixed::outcomes($kind), 'wrong';
    }
    $text .= sprintf "\n%-8s %-10s %7s %9s | %-28s | %-20s | %s\n", 'process', 'generation', 'seconds', 'samples', 'anonymous KiB: first, warm,', 'PSS KiB: warm, last', 'descriptors:';
    $text .= sprintf "%-8s %-10s %7s %9s | %-28s | %-20s | %s\n", ('') x 4, 'last, growth', '', 'first, most, last';
    for my $p (map { $process{$_} } @order) {
        my @s = @{$p->{samples}};
        $text .= sprintf "%-8s %-10d %7.0f %9d | %6d %6d %6d %+6d | %9d %9d  | %d %d %d\n", $p->{role}, $p->{generation}, life($p), scalar @s,
            $s[0][1], median(part($p, 1, 1 / 3, 1 / 2)), median(part($p, 1, 5 / 6, 1)), growth($p),
            median(part($p, 2, 1 / 3, 1 / 2)), median(part($p, 2, 5 / 6, 1)), $s[0][3], max(map { $_->[3] } @s), $s[-1][3];
    }
    return $text;
}

sub keep
{
    my ($name, $text) = @_;
    open my $fh, '>:raw', "$out/$name" or die "$out/$name: $!\n";
    print $fh $text;
    close $fh or die "$out/$name: $!\n";
    return;
}

sub chart
{
    my %colour = (parent => 0, child => 1, cgid => 2);
    my $panel = sub {
        my ($title, $unit, $column, $by) = @_;
        return { title => $title, unit => $unit, marks => \@restarts, lines => [map {
            my $p = $_;
            { name => $p->{role}, colour => $colour{$p->{role}}, points => [map { [$_->[0], $_->[$column] / $by] } @{$p->{samples}}] }
        } map { $process{$_} } @order] };
    };
    return FormGuard::Bench::Lines::svg($panel->('anonymous memory of each process', 'MiB', 1, 1024),
        $panel->('PSS of each process', 'MiB', 2, 1024), $panel->('open descriptors of each process', 'number', 3, 1));
}

sub mails_ok
{
    my ($sum) = @_;
    my (%mails, %sent, %maybe);
    $mails{$_}++ for map { $_->{body} =~ /message: (<\w+-\d+>)/ ? $1 : 'without an id' } $mail->since(0);
    for my $kind (keys %$sum) {
        $sent{$_} = 1 for keys %{$sum->{$kind}{sent}};
        $maybe{$_} = 1 for keys %{$sum->{$kind}{maybe}};
    }
    my @bad = map { "$_: " . ($mails{$_} // 0) . ' mails' } grep { ($mails{$_} // 0) != 1 } sort keys %sent;
    push @bad, map { "$_: $mails{$_} mails that nobody was told of" } grep { !$sent{$_} && (!$maybe{$_} || $mails{$_} > 1) } sort keys %mails;
    is_deeply [splice @bad, 0, 20], [], scalar(keys %mails) . ' mails: one for each that was sent, and no other';
    return;
}

# Too many lines to show them all when one is wrong.
sub log_ok
{
    my @lines = $httpd->log_lines;
    my $all = 'error_log: ' . @lines . ' lines, and none but those that are due';
    my @bad = FormGuard::ErrorLog::judge(\@lines,
        (map { (qr/ \[formguard:\w+\] .*\b$_: / => '+') } qw(FG1000 FG1100 FG1101 FG1102 FG1200 FG1301 FG1303 FG1400 FG1401 FG1402 FG1403 FG1500 FG2101 FG2301)),
        (map { (qr/ \[formguard:\w+\] .*\b$_: / => '*') } qw(FG1009 FG1300 FG2404)),
        qr/ AH0(?:1067|1068|1071|1075|2401): / => '*', qr/^msmtp: no recipients found$/ => '*');
    keep('error_log', join '', map { "$_\n" } grep { !/ FG1(?:000|100|400): / } @lines);
    $httpd->{judged} = $httpd->log->read_to;
    is_deeply [splice @bad, 0, 20], [], $all;
    return;
}

# --- the run ----------------------------------------------------------------------------------------

$| = 1;
sleep 1;
sample();
my @first = map { $process{$_} } @order;
my $mixed = FormGuard::Bench::Mixed->start($httpd, $vendor);
my $pid = $httpd->pid;
for my $i (1 .. $REPLACED) {
    watch($began + $CALM * $i / $REPLACED);
    replace_database();
}
my @gone = grep { my $p = $_; !grep { $_ == $p->{pid} } $httpd->pid, $httpd->{process}->children } @first;
for my $i (1 .. $RESTARTS) {
    $httpd->restart('graceful', old => 1);
    push @restarts, time - $began;
    watch($began + $CALM + ($SECONDS - $CALM) * $i / $RESTARTS);
}
my $sum = $mixed->end;
FormGuard::Process::wait_until(sub { FormGuard::Load::workers($httpd)->{BusyWorkers} == 1 }, 15, 'idle workers');
sleep 7;    # kept connections end
sample();

my $table = table($sum);
print $table, "\n";
keep('table.txt', $table);
keep('chart.svg', chart());
keep('samples.csv', join '', "pid,role,generation,seconds,anonymous_kib,pss_kib,descriptors\n", map {
    my $p = $_;
    map { join(',', @$p{qw(pid role generation)}, map { sprintf '%.0f', $_ } @$_) . "\n" } @{$p->{samples}}
} map { $process{$_} } @order);

for my $kind (FormGuard::Bench::Mixed::kinds()) {
    is_deeply $sum->{$kind}{wrong}, [], "$kind: every answer is one that is due";
    my @never = grep { !$sum->{$kind}{said}{$_} && $_ !~ /^closed/ } FormGuard::Bench::Mixed::outcomes($kind);
    is "@never", '', "$kind: and all of these came";
}
mails_ok($sum);
is $httpd->pid, $pid, 'it is the same parent';
is_deeply [map { "$_->{role} $_->{pid}" } @gone], [], 'no process has ended before the first restart';
for my $p (grep { life($_) > $SECONDS / 4 } map { $process{$_} } @order) {
    my $bound = $p->{role} eq 'parent' ? $PARENT_GROWTH : $GROWTH;
    my $more = growth($p);
    cmp_ok $more, '<', $bound, "$p->{role} $p->{pid}: $more KiB more in the last two thirds of " . int(life($p)) . ' seconds';
}
my @parent = map { my $at = $_; median(map { $_->[1] } grep { $_->[0] > $at && $_->[0] < $at + 15 } @{$process{$pid}{samples}}) } @restarts;
my $more = $parent[-1] - $parent[1];
cmp_ok $more, '<', $PARENT_GROWTH, "the parent has $more KiB more after its last restart than after its second (@parent)";
my @fds = map { my $at = $_; min(map { $_->[3] } grep { $_->[0] > $at + 2 } @{$process{$pid}{samples}}) } $restarts[0], $restarts[-1];
is $fds[1], $fds[0], "and $fds[1] descriptors, as then" or diag "@fds";
FormGuard::Load::healthy_ok($httpd, 'afterwards', spare => 12);
log_ok();
$httpd->done;
$vendor->stop;
done_testing;
