#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A country database that is spoilt in each way there is, under a server at work and at its start: what was loaded before
# holds, or nobody is refused for a country; it is said, and nothing hangs.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use FormGuard::Load;
use FormGuard::Mail;
use FormGuard::Process;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $mail = FormGuard::Mail->new;
my @LINES = (qr/ FG1000: / => '*', qr/ FG1100: refused 429: / => '*', qr/ FG1200: refused 403: / => '*', qr/ FG210[12]: / => '*');

my $geo = FormGuard::Process::private_dir();

sub mmdb
{
    my ($file, @networks) = @_;
    system($^X, FormGuard::Httpd::forms_dir() . '/../make-mmdb', '--padding=3000', "$geo/$file", @networks) and die "make-mmdb failed\n";
    return;
}

sub spew
{
    my ($file, $bytes, $mode) = @_;
    system('rm', '-rf', "$geo/$file") == 0 or die;
    open my $fh, '>:raw', "$geo/$file" or die "$file: $!\n";
    print $fh $bytes;
    close $fh or die "$file: $!\n";
    chmod $mode // 0644, "$geo/$file" or die "$file: $!\n";
    return;
}

sub slurp
{
    my ($file) = @_;
    open my $fh, '<:raw', "$geo/$file" or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}

mmdb('good.mmdb', '192.0.2.0/24=HK');
mmdb('other.mmdb', '198.18.0.0/15=HK');
my $GOOD = slurp('good.mmdb');

# [name, what becomes of the file]. Where it can't be used, what was loaded before holds, or nobody is refused.
my @SPOILT = (
    ['missing', sub { unlink "$geo/live.mmdb" }],
    ['empty', sub { spew('live.mmdb', '') }],
    ['truncated', sub { spew('live.mmdb', substr $GOOD, 0, length($GOOD) / 2) }],
    ['truncated in its metadata', sub { spew('live.mmdb', substr $GOOD, 0, -20) }],
    ['corrupt', sub { spew('live.mmdb', $GOOD =~ tr/\x00-\x7f/\x80-\xff/r) }],
    ['corrupt in its tree', sub { spew('live.mmdb', ("\xff" x 2000) . substr $GOOD, 2000) }],
    ['rubbish', sub { spew('live.mmdb', join '', map { chr(($_ * 7919) % 256) } 1 .. 100_000) }],
    ['unreadable', sub { spew('live.mmdb', $GOOD, 0000) }],
    ['a folder', sub { unlink "$geo/live.mmdb"; mkdir "$geo/live.mmdb" or die }],
    ['a pipe nobody writes to', sub { POSIX::mkfifo("$geo/live.mmdb.new", 0644) or die; rename "$geo/live.mmdb.new", "$geo/live.mmdb" or die }],
    ['a link to itself', sub { symlink 'live.mmdb', "$geo/live.new"; rename "$geo/live.new", "$geo/live.mmdb" or die }],
);

sub from_hong_kong { return $_[0]->client(timeout => 10)->post('/hk/echo.php', form => { a => 1 }, from => '192.0.2.7')->status }

sub server
{
    return FormGuard::Httpd->new(
        mpm => 'event', php => 'fpm', mail => $mail, modules => ['status'], files => { %{+FormGuard::Load::FILES}, 'hk/echo.php' => \'echo.php' },
        config => FormGuard::Load::CONFIG . "FormGuardGeoDatabase $geo/live.mmdb\n<Location /hk>\nFormGuard On\nFormGuardCountry HK refuse\n</Location>\n", @_
    );
}

# It is looked at once a second, when somebody posts.
sub said
{
    my ($httpd, $mark, $line) = @_;
    return FormGuard::Process::wait_until(sub { from_hong_kong($httpd); sleep 0.05; (grep { $_ =~ $line } $httpd->log->since($mark))[0] }, 10, $line);
}

sub put
{
    my ($from) = @_;
    system('rm', '-rf', "$geo/live.mmdb", "$geo/live.new") == 0 && system('cp', "$geo/$from", "$geo/live.new") == 0 or die "$from\n";
    rename "$geo/live.new", "$geo/live.mmdb" or die "live.mmdb: $!\n";
    return;
}

subtest 'event: at work' => sub {
    put('good.mmdb');
    my $httpd = server();
    is from_hong_kong($httpd), 403, 'the database is read';
    my $load = FormGuard::Load->start($httpd);
    for (@SPOILT) {
        my ($name, $spoil) = @$_;
        my $mark = $httpd->log->mark;
        $spoil->();
        like eval { said($httpd, $mark, qr/ FG210[12]: /) } // $@, qr/the one loaded before stays$/, "$name: that is said";
        is from_hong_kong($httpd), 403, 'and so it is';
        $mark = $httpd->log->mark;
        put('good.mmdb');
        ok eval { said($httpd, $mark, qr/ FG2101: /) }, 'until a good one is there' or diag $@;
    }
    # Another and another.
    for my $file (qw(other.mmdb good.mmdb other.mmdb good.mmdb)) {
        put($file);
        ok eval { FormGuard::Process::wait_until(sub { sleep 0.05; from_hong_kong($httpd) == ($file =~ /good/ ? 403 : 200) }, 10, $file) }, "replaced by $file" or diag $@;
    }
    $load->goes_on(12);
    $load->end_ok('meanwhile');
    FormGuard::Load::healthy_ok($httpd, 'afterwards');
    my @maps = map { my $pid = $_; open my $fh, '<', "/proc/$pid/maps" or die "maps: $!\n"; [grep { m{/formguard\.\w+ \(deleted\)$} } <$fh>] } FormGuard::Load::children($httpd);
    is_deeply [grep { $_ > 1 } map { scalar @$_ } @maps], [], 'no process holds more than one' or diag explain \@maps;
    $httpd->log_ok('error_log', @LINES);
    $httpd->done;
};

subtest 'event: at start' => sub {
    my $httpd = server(start => 0);
    for (@SPOILT) {
        my ($name, $spoil) = @$_;
        put('good.mmdb');
        $spoil->();
        my $begin = time;
        $httpd->start;
        cmp_ok time - $begin, '<', FormGuard::Process::patience(8), "$name at start: it starts";
        my $readable = $name eq 'unreadable' && !$>;    # by root it can be read
        is from_hong_kong($httpd), $readable ? 403 : 200, 'nobody is refused for a country';
        my ($line) = grep { / FG2102: / } $httpd->log_lines;
        like $line // '', qr{\Q$geo\E/live\.mmdb can't be used, no country is known: \S}, 'and it is said why' if !$readable;
        $httpd->log_ok("$name at start: error_log", @LINES, qr/ FG2003: / => '*');
        $httpd->stop;
    }
    $httpd->done;
};

done_testing;
