#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What the machine does to a server at work: no room for temporary files, no memory, logs that can't be written, no
# shared memory. Visitors and robots post all the while: who may is mailed, nobody else.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use FormGuard::Load;
use FormGuard::Mail;
use FormGuard::Process;
use Test::More;

my $mail = FormGuard::Mail->new;
my $POSTS = 12;
my @JUDGED = (qr/ FG1000: / => '*', qr/ FG1100: refused 429: / => '*');

sub server
{
    my (%o) = @_;
    my %files = (%{+FormGuard::Load::FILES}, 'echo.php' => \'echo.php', %{delete $o{files} || {}});
    my $config = FormGuard::Load::CONFIG . "<Location /echo.php>\nFormGuard On\nFormGuardLimit ip 100000/1d\n</Location>\n" . (delete $o{config} // '');
    return FormGuard::Httpd->new(mpm => 'event', php => ($o{mpm} // '') eq 'prefork' ? 'mod' : 'fpm', mail => $mail, modules => ['status'],
        files => \%files, config => $config, %o);
}

# A fault, under load, and how things are when it is over.
sub fault
{
    my ($name, $httpd, $code, %o) = @_;
    my $load = FormGuard::Load->start($httpd, %o);
    $code->($load);
    $load->goes_on($POSTS);
    $load->end_ok($name);
    FormGuard::Load::healthy_ok($httpd, $name);
    return;
}

sub large
{
    my ($httpd, $bytes) = @_;
    return $httpd->client->post('/echo.php', form => { message => 'x' x $bytes });
}

# --- temporary files --------------------------------------------------------------------------------

# By the server's user: to root's limits those of others may be out of reach.
sub limit
{
    my ($httpd, $pid, $what, $value) = @_;
    my @as = $httpd->{user} && $pid != $httpd->pid
        ? ('setpriv', "--reuid=$httpd->{user}", '--regid=' . FormGuard::Process::server_group(), '--clear-groups') : ();
    system(@as, 'prlimit', "--pid=$pid", "--$what=$value:") == 0 or die "prlimit failed\n";
    return;
}

sub limit_children
{
    my ($httpd, $what, $value) = @_;
    limit($httpd, $_, $what, $value) for FormGuard::Load::children($httpd);
    return;
}

# The cause of it is told once a second at most.
my $FAULT = qr/ \[formguard:error\] .* FG1900: a body larger than 256 KiB can't be kept in a temporary file/;
my $REFUSED = qr/ \[formguard:error\] .* FG1900: refused 503: /;

# [name, how it comes, how it goes, bytes that no longer have room]
my @NO_ROOM = (
    ['the folder may not be written', sub { chmod 0500, $_[0]->dir . '/tmp'; chown 0, 0, $_[0]->dir . '/tmp' if !$> },
        sub { chmod 0755, $_[0]->dir . '/tmp'; chown((getpwnam $_[0]{user})[2, 3], $_[0]->dir . '/tmp') if !$> }, 400_000],
    ['no folder', sub { rename $_[0]->dir . '/tmp', $_[0]->dir . '/gone' or die }, sub { rename $_[0]->dir . '/gone', $_[0]->dir . '/tmp' or die }, 400_000],
    # What a quota or a full disk does in the middle of a file.
    ['the file ends in the middle', sub { limit_children($_[0], 'fsize', 4_000_000) }, sub { limit_children($_[0], 'fsize', 'unlimited') }, 6_000_000],
);

sub temporary_files
{
    my $httpd = server();
    for (@NO_ROOM) {
        my ($name, $come, $go, $bytes) = @$_;
        fault($name, $httpd, sub {
            is large($httpd, $bytes)->status, 200, "$name: not yet";
            $come->($httpd);
            my $r = large($httpd, $bytes);
            is $r->status, 503, "$name: a large post is refused";
            unlike $r->body, qr/sha256/, 'and does not run';
            is large($httpd, 250_000)->status, 200, 'a small one passes';
            $_[0]->goes_on($POSTS);
            $go->($httpd);
            is large($httpd, $bytes)->status, 200, "$name: and when it is over large ones pass, too";
        });
        $httpd->log_ok("$name: error_log", @JUDGED, $FAULT => '*', $REFUSED => 1);
    }
    $httpd->done;
    return;
}

# A real disk that is full, where root may make one.
sub full_disk
{
    my $httpd = server(start => 0);
    my $tmp = $httpd->dir . '/tmp';
    if ($> || system("mount -t tmpfs -o size=1m,mode=0777 tmpfs '$tmp' 2>/dev/null")) {
        return pass('only root can make a small disk; a limit of the size of files stands for it');
    }
    my $ok = eval {
        $httpd->start;
        fault('the disk is full', $httpd, sub {
            is large($httpd, 700_000)->status, 200, 'there is room';
            open my $fh, '>', "$tmp/filler" or die "filler: $!\n";
            1 while syswrite $fh, 'x' x 4096;
            is large($httpd, 700_000)->status, 503, 'there is none';
            $_[0]->goes_on($POSTS);
            unlink "$tmp/filler";
            close $fh;
            is large($httpd, 700_000)->status, 200, 'there is again';
            # More than fits, several at once, and what they took comes back.
            is_deeply [map { $_->status } map { large($httpd, 3_000_000) } 1 .. 3], [503, 503, 503], 'more than fits';
            is large($httpd, 800_000)->status, 200, 'which left nothing behind';
        });
        $httpd->log_ok('the disk is full: error_log', @JUDGED, $FAULT => '*', $REFUSED => 4, qr/ FG1009: / => '*');
        $httpd->done;
        1;
    };
    my $error = $@;
    $httpd->stop;
    system('umount', '-l', $tmp) == 0 or diag "umount $tmp failed";
    $ok or die $error;
    return;
}

# --- memory -----------------------------------------------------------------------------------------

sub vm
{
    my ($pid, $what) = @_;
    open my $fh, '<', "/proc/$pid/status" or return 0;
    my ($kib) = join('', <$fh>) =~ /^$what:\s+(\d+) kB/m;
    return $kib || 0;
}

sub memory
{
    my $httpd = server();
    large($httpd, 400_000) for 1 .. 20;
    fault('memory is short', $httpd, sub {
        # 16 MiB more than they have: a body of 20 MiB does not fit.
        limit($httpd, $_, 'as', 1024 * (vm($_, 'VmSize') + 16384)) for FormGuard::Load::children($httpd);
        my @r = FormGuard::Client::parallel(4, sub { return large($httpd, 20 << 20)->status });
        is_deeply \@r, [(200) x 4], 'four posts of 20 MiB pass';
    });
    $httpd->log_ok('memory is short: error_log', @JUDGED);

    my $sum = sub { my $n = 0; $n += vm($_, 'RssAnon') for FormGuard::Load::children($httpd); return $n };
    my $before = $sum->();
    large($httpd, 2 << 20) for 1 .. 20;
    my $grown = $sum->() - $before;
    cmp_ok $grown, '<', 4096, "twenty of 2 MiB leave nothing: $grown KiB";
    $httpd->log_ok('error_log', @JUDGED);
    $httpd->done;
    return;
}

# --- logs -------------------------------------------------------------------------------------------

sub logs
{
    my $httpd = server(config => "ErrorLog /dev/full\nCustomLog /dev/full combined\n", loglevel => 'warn formguard:info');
    my @pids = FormGuard::Load::children($httpd);
    fault('the disk of the logs is full', $httpd, sub { is large($httpd, 200_000)->status, 200, 'posts pass' });
    my %now = map { $_ => 1 } FormGuard::Load::children($httpd);
    is_deeply [grep { !$now{$_} } @pids], [], 'no process has ended';
    $httpd->done;
    return;
}

# --- shared memory ----------------------------------------------------------------------------------

sub no_shared_memory
{
    my $httpd = server(start => 0, global => 'FormGuardCounters shm:268435456');
    $httpd->configure;
    my $p = FormGuard::Process->start(
        cmd => ['prlimit', '--as=4294967296', FormGuard::Httpd::Config::program(), '-d', $httpd->dir, '-f', $httpd->dir . '/httpd.conf', '-DFOREGROUND'],
        out => $httpd->dir . '/logs/stderr', env => $httpd->_env
    );
    FormGuard::Process::wait_until(sub { !$p->alive }, 20, 'the end of httpd');
    isnt $p->status, 0, 'more keys than there is memory for: httpd does not start';
    $httpd->log_ok('and says why', qr/ \[formguard:crit\] .* FG2002: FormGuardCounters shm:268435456: no shared memory of \d{11} bytes$/,
        qr/ AH00016: Configuration Failed/ => '*', qr/ AH00020: / => '*');
    $httpd->done;

    # A hard restart of threads at work is a crash of httpd's own, now and then: prefork has none.
    for (['event', 'graceful'], ['prefork', 'hard']) {
        my ($mpm, $how) = @$_;
        $httpd = server(mpm => $mpm);
        my $parent = $httpd->pid;
        my $old = vm($parent, 'VmSize');
        fault("$mpm: no shared memory at a $how restart", $httpd, sub {
            limit($httpd, $parent, 'as', 1024 * ($old + 1_000_000));
            $httpd->configure(global => 'FormGuardCounters shm:268435456');
            $httpd->restart($how);
            $_[0]->goes_on($POSTS);
            limit($httpd, $parent, 'as', 'unlimited');
            $httpd->configure(global => '');
            $httpd->restart($how);
        }, lost => $how eq 'hard');
        $httpd->log_ok("$mpm: it goes on with what it has", @JUDGED,
            qr/ \[formguard:crit\] .* FG2002: FormGuardCounters shm:268435456: no shared memory of \d+ bytes$/,
            qr/ \[formguard:error\] .* FG2002: the counters go on as they were: shm:262144$/);
        is $httpd->pid, $parent, 'it is the same server';
        $httpd->done;
    }
    return;
}

subtest 'event: temporary files' => \&temporary_files;
subtest 'event: a full disk' => \&full_disk;
subtest 'event: logs' => \&logs;
# AddressSanitizer takes all the address space there is.
if (!$ENV{FORMGUARD_PRELOAD}) {
    subtest 'event: memory'        => \&memory;
    subtest 'event: shared memory' => \&no_shared_memory;
}

done_testing;
