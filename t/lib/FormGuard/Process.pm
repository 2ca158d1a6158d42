# SPDX-License-Identifier: Apache-2.0
package FormGuard::Process;

=head1 NAME

FormGuard::Process - child processes, ports and private folders for the test servers

=head1 SYNOPSIS

    my $dir = FormGuard::Process::private_dir();      # gone with the object, FORMGUARD_KEEP=1 keeps it
    my $p   = FormGuard::Process->start(cmd => [qw(smtp-sink ...)], out => "$dir/out", user => 'www-data');
    FormGuard::Process::wait_until(sub { -e $sock }, 10, 'the socket');
    $p->alive; $p->kill('USR1'); $p->children; $p->stop;

Whatever was started is stopped when the object goes, when the test dies or is interrupted, and (through
setpriv's parent death signal, where that program exists) when the test is killed. C<< detach => 1 >> is the exception: a
session of its own that stays, for build/demo.

=cut

use strict;
use warnings;
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use Scalar::Util qw(weaken);
use Time::HiRes qw(sleep time);

my %running;    # pid => object, of this process only

# Interrupted tests must run their END blocks.
for my $sig (qw(INT TERM HUP)) {
    $SIG{$sig} ||= sub { exit(128 + POSIX->can("SIG$sig")->()) };
}

sub private_dir
{
    my $dir = File::Temp->newdir('formguard-XXXXXX', TMPDIR => 1, CLEANUP => !$ENV{FORMGUARD_KEEP});
    chmod 0755, "$dir" or die "chmod $dir: $!\n";
    print STDERR "# kept: $dir\n" if $ENV{FORMGUARD_KEEP};
    return $dir;
}

sub in_path
{
    my @names = @_;
    for my $name (@names) {
        return $name if $name =~ m{/} && -x $name;
        for my $dir (split(/:/, $ENV{PATH} || ''), qw(/usr/sbin /sbin /usr/local/sbin /usr/bin)) {
            return "$dir/$name" if length $dir && -f "$dir/$name" && -x _;
        }
    }
    return undef;
}

# The account a server started by root gives its children.
sub server_user
{
    return undef if $>;
    for my $name (qw(www-data apache http nobody)) {
        return $name if defined getpwnam $name;
    }
    die "no account www-data, apache, http or nobody for the servers of the tests\n";
}

sub server_group
{
    my $user = server_user() or return undef;
    return scalar getgrgid((getpwnam $user)[3]);
}

# Below the ephemeral range, so that no outgoing connection takes it between this check and the server's bind;
# an abstract socket of the port's name keeps it from the other tests until this one ends.
my @claims;

sub free_port
{
    for (1 .. 200) {
        my $port = 12000 + int rand 20000;
        my $claim = IO::Socket::UNIX->new(Local => "\0formguard-port-$port", Listen => 1) or next;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'tcp', Listen => 1)
            or next;
        close $s;
        push @claims, $claim;
        return $port;
    }
    die "no free port on 127.0.0.1\n";
}

sub port_open
{
    my ($port) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp', Timeout => 5);
    return defined $s;
}

# Under valgrind everything gets ten times as long, with sanitizers three times.
sub patience
{
    my ($seconds) = @_;
    return $seconds * ($ENV{FORMGUARD_WRAP} ? 10 : $ENV{FORMGUARD_PRELOAD} ? 3 : 1);
}

# Polls; dies naming what was waited for. Returns what the code returned.
sub wait_until
{
    my ($code, $seconds, $what) = @_;
    my $end = time + patience($seconds);
    while (1) {
        my $got = $code->();
        return $got if $got;
        die "waited $seconds s in vain for $what\n" if time > $end;
        sleep 0.02;
    }
}

sub start
{
    my ($class, %o) = @_;
    my @cmd = @{$o{cmd}};
    my $bin = in_path($cmd[0]) or die "$cmd[0] is not installed\n";
    $cmd[0] = $bin;
    my $setpriv = $o{detach} ? undef : in_path('setpriv');
    unshift @cmd, $setpriv, '--pdeathsig', 'TERM', '--' if $setpriv;

    pipe(my $r, my $w) or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $r;
        eval { _become(\%o); exec { $cmd[0] } @cmd or die "$cmd[0]: $!\n" };
        print $w $@;
        close $w;
        POSIX::_exit(127);
    }
    close $w;
    my $error = do { local $/; <$r> };
    close $r;
    if (length $error) {
        waitpid $pid, 0;
        die $error;
    }
    my $self = bless { pid => $pid, owner => $$, name => $o{name} || $o{cmd}[0], detach => $o{detach},
                       signal => $o{signal} || 'TERM' }, $class;
    if (!$o{detach}) {
        $running{$pid} = $self;
        weaken $running{$pid};
    }
    return $self;
}

sub _become
{
    my ($o) = @_;
    # httpd ends its whole process group when it stops: that must not be the test's.
    $o->{detach} ? POSIX::setsid() : setpgrp 0, 0;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
    open STDIN, '<', '/dev/null' or die "/dev/null: $!\n";
    my $out = $o->{out} || '/dev/null';
    open STDOUT, '>>', $out or die "$out: $!\n";
    open STDERR, '>&', \*STDOUT or die "stderr: $!\n";
    while (my ($k, $v) = each %{$o->{env} || {}}) {
        defined $v ? ($ENV{$k} = $v) : delete $ENV{$k};
    }
    if ($o->{user} && !$>) {
        my ($uid, $gid) = (getpwnam $o->{user})[2, 3];
        $) = "$gid $gid";
        $( = $gid;
        POSIX::setuid($uid);
        die "cannot become $o->{user}\n" if $> != $uid || $< != $uid;
    }
    if ($o->{dir}) {
        chdir $o->{dir} or die "$o->{dir}: $!\n";
    }
}

sub pid { return $_[0]{pid} }

sub alive
{
    my ($self) = @_;
    return 0 if defined $self->{status};
    my $got = waitpid $self->{pid}, WNOHANG;
    if ($got == $self->{pid}) {
        $self->{status} = $?;
        delete $running{$self->{pid}};
        return 0;
    }
    return 1;
}

sub status { return $_[0]{status} }

sub kill
{
    my ($self, $signal) = @_;
    return $self->alive ? CORE::kill($signal, $self->{pid}) : 0;
}

sub children
{
    my ($self) = @_;
    return children_of($self->{pid});
}

sub children_of
{
    my ($parent) = @_;
    my @pids;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $line = <$fh> // next;
        next unless $line =~ /^(\d+) \(.*\) (\S) (\d+) /s;
        push @pids, $1 if $3 == $parent && $2 ne 'Z';
    }
    return @pids;
}

# Waits, a second at most, until every thread of the children sleeps. A child of mpm_event that is told to end
# shuts the sockets of its workers (close_worker_sockets() in event.c) and reads one that a worker is freeing: seen
# about once in 300 hard restarts just after an answer, with and without the module.
sub settle
{
    my ($self) = @_;
    my $still = 0;
    for (1 .. 100) {
        $still = (grep { !_sleeps($_) } map { glob "/proc/$_/task/*/stat" } $self->children) ? 0 : $still + 1;
        return if $still == 2;
        sleep 0.01;
    }
    return;
}

sub _sleeps
{
    my ($stat) = @_;
    open my $fh, '<', $stat or return 1;
    return (<$fh> // '') !~ /^\d+ \(.*\) [RD] /s;
}

# Asks, waits, then insists. True when asking was enough.
sub stop
{
    my ($self, $seconds) = @_;
    return 1 if $self->{owner} != $$ || !$self->alive;
    $self->settle;
    my @children = $self->children;
    CORE::kill $self->{signal}, $self->{pid};
    return 1 if eval { wait_until(sub { !$self->alive }, $seconds || 15, "the end of $self->{name}") };
    CORE::kill 'KILL', $self->{pid}, @children;
    waitpid $self->{pid}, 0;
    $self->{status} = $?;
    delete $running{$self->{pid}};
    return 0;
}

sub DESTROY
{
    my ($self) = @_;
    return if $self->{detach} || $self->{owner} != $$;
    local ($?, $@, $!);
    $self->stop;
}

END {
    local ($?, $@, $!);
    for my $p (grep { $_ && $_->{owner} == $$ } values %running) {
        $p->stop;
    }
}

1;
