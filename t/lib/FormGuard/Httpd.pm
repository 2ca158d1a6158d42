# SPDX-License-Identifier: Apache-2.0
package FormGuard::Httpd;

=head1 NAME

FormGuard::Httpd - a real, private httpd for one test

=head1 SYNOPSIS

    use FormGuard::Httpd;
    my $httpd = FormGuard::Httpd->new(
        mpm    => 'event',                 # prefork, worker, event (default: FORMGUARD_MPM or event)
        php    => 'fpm',                   # mod (prefork only), fpm, cgi; none when left out
        mail   => FormGuard::Mail->new,    # gives PHP its sendmail_path
        config => "FormGuardLimit ip 5/10m\n<Location /contact.php>\n FormGuard On\n</Location>",
        files  => {
            'contact.php' => \'contact.php',           # a copy of t/lib/forms/contact.php
            'a/.htaccess' => "FormGuard On\n",         # or the content
            'run.sh'      => ["#!/bin/sh\n...", 0755], # or content and mode; *.cgi and *.pl get 0755 by themselves
        },
    );                                     # started, and it answers

    my $res = $httpd->client->post('/contact.php', form => {...}, from => '203.0.113.7');
    $httpd->log_ok('two refusals', qr/FG0101:/ => 2);  # all lines since the last log_ok are these
    $httpd->restart('graceful');           # returns when only the new generation serves
    $httpd->done;                          # stops it; fails on any line in error_log nobody declared

All forms of t/lib/forms lie in the document root unless files are named. In config and files,
C<@PORT@>, C<@DIR@>, C<@HTDOCS@> stand for this server's, C<@GEO@> for the country database that build/test
fetched (FORMGUARD_GEO).

Further options:

    module      path of mod_formguard.so (default FORMGUARD_MODULE, which must be set), or 0 for stock httpd
    modules     more modules by name: [qw(deflate proxy_http ssl)]; static ones are skipped
    global      configuration text before everything else (LoadModule, FormGuardCounters, MPM sizes)
    loglevel    default: every verdict has its line, as at "warn formguard:debug" (below that only some lines of a
                flood are written), and the FG0001 lines of that level are not looked at. "warn formguard:info"
                is what a server in use has.
    h2          1: mod_http2 with h2c
    ini         { name => value } for php.ini; a value may be a list, for `extension`
    env         { NAME => value } for httpd
    names       a FormGuard::Names: the names httpd finds
    clock       1: httpd's clock, PHP's in it too, can be moved (libfaketime): $httpd->clock(3600) sets it an hour
                forward of the real one
    expect_log  [ expressions and counts ] as for log_ok, judged by done together with expect_log(...) calls
    start       0: write everything, do not start
    port, dir, detach   for build/demo

Environment: FORMGUARD_MODULE; FORMGUARD_WRAP ("valgrind --error-exitcode=9", runs httpd under it), FORMGUARD_SINGLE=1
(httpd -X); FORMGUARD_PRELOAD (libasan.so for a sanitized module); FORMGUARD_KEEP=1 keeps the folder.

A client's address is what it says in X-Forwarded-For (mod_remoteip trusts 127.0.0.1).

A server that is not finished with C<done> is stopped and judged all the same when the test ends, and
makes the test fail when it left anything in error_log.

=cut

# Why not Apache::Test, the field's harness: it configures one server once for a whole run (t/TEST writes
# t/conf/httpd.conf, then all t/*.t talk to that server), while these tests need many configurations, three
# MPMs, mod_php, php-fpm and CGI, restarts and changed .htaccess within one run, and error_log judged line by
# line for each. And Debian has it only inside libapache2-mod-perl2, so mod_perl would have to be installed
# to test a module in C.

use strict;
use warnings;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use FormGuard::Client;
use FormGuard::ErrorLog;
use FormGuard::Httpd::Config;
use FormGuard::Httpd::Php;
use FormGuard::Process;
use IO::Socket::INET;
use Scalar::Util qw(weaken);
use Test::Builder;

my @servers;    # weak, of this process, not done yet

sub new
{
    my ($class, %o) = @_;
    my $self = bless { owner => $$, expect => [@{$o{expect_log} || []}], judged => 0 }, $class;
    $self->{mpm} = $o{mpm} || $ENV{FORMGUARD_MPM} || 'event';
    $self->{mpm} =~ /^(?:prefork|worker|event)\z/ or die "mpm is prefork, worker or event, not $self->{mpm}\n";
    $self->{php} = $o{php} || '';
    $self->{php} =~ /^(?:|mod|fpm|cgi)\z/ or die "php is mod, fpm or cgi, not $self->{php}\n";
    $self->{php} ne 'mod' || $self->{mpm} eq 'prefork' or die "mod_php needs the prefork MPM\n";
    $self->{module} = defined $o{module} ? $o{module} : $ENV{FORMGUARD_MODULE};
    defined $self->{module} or die "FORMGUARD_MODULE names no mod_formguard.so (build/test sets it)\n";
    !$self->{module} || -f $self->{module} or die "no module $self->{module}\n";
    $self->{$_} = $o{$_} for qw(config global modules loglevel h2 ini mail env names detach port);
    $self->{clock} = _faketime() if $o{clock};
    $self->{fixed_port} = $o{port};
    $self->{user} = FormGuard::Process::server_user();
    $self->{dir} = $o{dir} || FormGuard::Process::private_dir();
    $self->{log} = FormGuard::ErrorLog->new("$self->{dir}/logs/error_log", steps => defined $o{loglevel});
    $self->_folders;
    $self->clock(0) if $self->{clock};
    $self->{port} ||= FormGuard::Process::free_port();
    $self->write_file($_, $o{files}{$_}) for sort keys %{$o{files} || {}};
    $self->_all_forms if !$o{files};
    push @servers, $self;
    weaken $servers[-1];
    $self->start unless defined $o{start} && !$o{start};
    return $self;
}

sub port   { return $_[0]{port} }
sub dir    { return "$_[0]{dir}" }
sub htdocs { return "$_[0]{dir}/htdocs" }
sub log    { return $_[0]{log} }
sub pid    { return $_[0]{process} && $_[0]{process}->pid }
sub mail   { return $_[0]{mail} }
sub mpm    { return $_[0]{mpm} }
sub url    { return "http://127.0.0.1:$_[0]{port}" . ($_[1] // '/') }

sub client
{
    my ($self, %o) = @_;
    return FormGuard::Client->new(port => $self->{port}, %o);
}

sub _folders
{
    my ($self) = @_;
    make_path(map { "$self->{dir}/$_" } qw(htdocs cgi-bin logs run tmp));
    # A key that is there, as at every start of a server but the first.
    $self->_write("$self->{dir}/signing-key", join('', map { sprintf '%02x', rand 256 } 1 .. 32) . "\n", 0600)
        if !-e "$self->{dir}/signing-key";
    chown((getpwnam $self->{user})[2, 3], map { "$self->{dir}/$_" } qw(run tmp)) if $self->{user};
}

sub forms_dir { return dirname(__FILE__) . '/../forms' }

sub _all_forms
{
    my ($self) = @_;
    for my $path (glob forms_dir() . '/*') {
        my ($name) = $path =~ m{([^/]+)\z};
        $self->write_file($name, \$name);
    }
}

# Below the document root; see the synopsis for what the content may be.
sub write_file
{
    my ($self, $name, $content) = @_;
    my $path = $self->htdocs . "/$name";
    my $mode = $name =~ /\.(?:cgi|pl)\z/ ? 0755 : 0644;
    ($content, $mode) = @$content if ref $content eq 'ARRAY';
    $content = _slurp(forms_dir() . "/$$content") if ref $content eq 'SCALAR';
    make_path(dirname $path);
    $self->_write($path, $self->expand($content), $mode);
    return $path;
}

sub remove_file
{
    my ($self, $name) = @_;
    unlink $self->htdocs . "/$name" or die "$name: $!\n";
}

sub expand
{
    my ($self, $text) = @_;
    my %v = (PORT => $self->{port}, DIR => "$self->{dir}", HTDOCS => $self->htdocs);
    $v{GEO} = $self->_geo if $text =~ /\@GEO\@/;
    $text =~ s/\@(PORT|DIR|HTDOCS|GEO)\@/$v{$1}/g;
    return $text;
}

# A copy of the country database where the server's user can read it: the checkout may be root's alone.
sub _geo
{
    my ($self) = @_;
    my $copy = "$self->{dir}/country.mmdb";
    if (!-e $copy) {
        my $from = $ENV{FORMGUARD_GEO} or die "FORMGUARD_GEO is not set (build/test sets it)\n";
        copy($from, $copy) or die "$from: $!\n";
        chmod 0644, $copy;
    }
    return $copy;
}

# Written beside and renamed, so that a request never sees half a .htaccess.
sub _write
{
    my ($self, $path, $text, $mode) = @_;
    open my $fh, '>:raw', "$path.new" or die "$path: $!\n";
    utf8::encode($text) if utf8::is_utf8($text);
    print $fh $text;
    close $fh or die "$path: $!\n";
    chmod $mode || 0644, "$path.new";
    rename "$path.new", $path or die "$path: $!\n";
}

sub _slurp
{
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$fh>;
}

# Another configuration, in force after restart() or start().
sub configure
{
    my ($self, %o) = @_;
    for my $k (keys %o) {
        $k =~ /^(?:config|global|modules|loglevel|h2|module)\z/ or die "configure: $k\n";
        $self->{$k} = $o{$k};
    }
    $self->_write("$self->{dir}/httpd.conf", $self->expand(FormGuard::Httpd::Config::text($self)));
}

sub _env
{
    my ($self) = @_;
    my %env = (%{FormGuard::Httpd::Php::env()}, TMPDIR => "$self->{dir}/tmp", LC_ALL => 'C', TZ => 'UTC',
        $self->{names} ? $self->{names}->env : (), %{$self->{env} || {}});
    my @preload = grep { $_ } $ENV{FORMGUARD_PRELOAD}, $self->{clock}, $self->{names} && $self->{names}->library;
    $env{LD_PRELOAD} = join ':', @preload if @preload;
    @env{qw(FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE)} = ("$self->{dir}/clock", 1) if $self->{clock};
    return \%env;
}

sub _faketime
{
    my ($lib) = grep { -f } glob "/usr/lib{,64}{,/*}/faketime/libfaketimeMT.so.1";
    return $lib || die "no libfaketimeMT.so.1: install faketime (Debian) or libfaketime (RHEL)\n";
}

# Seconds that httpd's clocks, the monotonic one among them, are ahead of the real ones from its next look on. With
# env => { FAKETIME_DONT_FAKE_MONOTONIC => 1 } it is the wall clock alone, as where somebody sets it.
sub clock
{
    my ($self, $seconds) = @_;
    $self->{clock} or die "clock: this server was made without clock => 1\n";
    # In place, always of one length: a new file each time costs milliseconds.
    if (!$self->{clock_file}) {
        $self->_write("$self->{dir}/clock", '');
        open $self->{clock_file}, '+<:raw', "$self->{dir}/clock" or die "$self->{dir}/clock: $!\n";
    }
    sysseek $self->{clock_file}, 0, 0;
    syswrite $self->{clock_file}, sprintf("%+015.3fs\n", $seconds);
}

sub _command
{
    my ($self) = @_;
    my @wrap = split ' ', $ENV{FORMGUARD_WRAP} || '';
    return (@wrap, FormGuard::Httpd::Config::program(), '-d', "$self->{dir}", '-f', "$self->{dir}/httpd.conf",
        '-E', "$self->{dir}/logs/startup_log", $ENV{FORMGUARD_SINGLE} ? '-X' : '-DFOREGROUND');
}

# Threads still at work when a child of event or worker ends by SIGTERM meet memory that is gone (seen in httpd
# alone, once in some hundred stops): these are stopped gracefully.
sub _stop_signal
{
    my ($self) = @_;
    return $ENV{FORMGUARD_SINGLE} || $self->{mpm} eq 'prefork' ? 'TERM' : 'WINCH';
}

# httpd -t: (true, what it said)
sub configtest
{
    my ($self) = @_;
    $self->configure;
    my @cmd = (FormGuard::Httpd::Config::program(), '-d', "$self->{dir}", '-f', "$self->{dir}/httpd.conf", '-t');
    my $out = "$self->{dir}/logs/configtest";
    unlink $out;
    my $p = FormGuard::Process->start(cmd => \@cmd, out => $out, env => $self->_env);
    FormGuard::Process::wait_until(sub { !$p->alive }, 30, 'httpd -t');
    return ($p->status == 0, _slurp($out));
}

sub start
{
    my ($self) = @_;
    FormGuard::Httpd::Php::start($self) if $self->{php};
    my $what;
    for my $try (1 .. 5) {
        my $mark = $self->{log}->mark;
        $self->configure;
        unlink "$self->{dir}/logs/startup_log", "$self->{dir}/run/httpd.pid";
        $self->{process} = FormGuard::Process->start(
            cmd => [$self->_command], out => "$self->{dir}/logs/stderr", env => $self->_env,
            name => 'httpd', detach => $self->{detach}, signal => $self->_stop_signal
        );
        eval { FormGuard::Process::wait_until(sub { !$self->{process}->alive || $self->answers }, 20, 'httpd') };
        $what = $@;
        return $self if !$what && $self->{process}->alive;
        $what .= join '', map { -f ? _slurp($_) : '' }
            map { "$self->{dir}/logs/$_" } qw(startup_log stderr);
        $what .= join "\n", $self->{log}->since($mark);
        last if $what !~ /could not bind to address/ || $self->{fixed_port};
        $self->{port} = FormGuard::Process::free_port();
    }
    $self->_forget;
    die "httpd did not start:\n$what\n";
}

# The cheapest request there is: no directory walk, no handler of a form. The pid file comes after the port was
# bound: without it somebody else may be answering there.
sub answers
{
    my ($self) = @_;
    return 0 if !-s "$self->{dir}/run/httpd.pid";
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Proto => 'tcp', Timeout => 5)
        or return 0;
    local $SIG{PIPE} = 'IGNORE';
    print $s "OPTIONS * HTTP/1.0\r\n\r\n";
    my ($ready, $line) = ('');
    vec($ready, fileno $s, 1) = 1;
    return 0 if !select($ready, undef, undef, FormGuard::Process::patience(5));
    return defined($line = <$s>) && $line =~ m{^HTTP/} && $self->_cgid_open;
}

# The daemon of mod_cgid makes its socket as root and then gives it away: who asks in between may not use it, and
# does not ask again.
sub _cgid_open
{
    my ($self) = @_;
    return 1 if $>;
    my $uid = getpwnam FormGuard::Process::server_user();
    return !grep { ((stat)[4] // $uid) != $uid } glob "$self->{dir}/run/cgid.sock*";
}

# 'graceful' or 'hard'. Returns when the new generation answers and, unless old => 1, no process of the
# old one is left (it may be finishing a request for somebody).
sub restart
{
    my ($self, $how, %o) = @_;
    $how =~ /^(?:graceful|hard)\z/ or die "restart is graceful or hard, not $how\n";
    die "httpd -X knows no restart\n" if $ENV{FORMGUARD_SINGLE};
    $self->{process}->settle if $how eq 'hard';
    my $mark = $self->{log}->mark;
    my %old = map { $_ => 1 } $self->{process}->children;
    $self->{process}->kill($how eq 'graceful' ? 'USR1' : 'HUP') or die "httpd is not running\n";
    my $resumed = qr/ AH00(?:163|292|489): /;
    FormGuard::Process::wait_until(
        sub { !$self->{process}->alive || grep { $_ =~ $resumed } $self->{log}->since($mark) },
        30, "the $how restart"
    );
    die "httpd ended at the $how restart:\n" . join("\n", $self->{log}->since($mark)) . "\n"
        if !$self->{process}->alive;
    FormGuard::Process::wait_until(sub { grep { !$old{$_} } $self->{process}->children }, 30, 'new children');
    FormGuard::Process::wait_until(sub { !grep { $old{$_} } $self->{process}->children }, 60,
        'the end of the old children') if !$o{old};
    FormGuard::Process::wait_until(sub { $self->answers }, 20, 'an answer after the restart');
    return $self;
}

sub stop
{
    my ($self) = @_;
    my $ok = 1;
    for my $p (grep { $_ } delete @$self{qw(process fpm)}) {
        $ok = 0 if !$p->stop(FormGuard::Process::patience(20));
        $self->{exit} = $p->status if $p->{name} eq 'httpd';
        # libfaketime leaves these behind where a process ends by _exit().
        unlink map { glob "/dev/shm/{sem.faketime_sem,faketime_shm}_$_" } $p->pid if $self->{clock};
    }
    return $ok;
}

# Lines that may come at any time until done.
sub expect_log
{
    my ($self, @expected) = @_;
    push @{$self->{expect}}, @expected;
}

# Everything logged since the last log_ok must be what is expected here.
sub log_ok
{
    my ($self, $name, @expected) = @_;
    my @news = $self->{log}->news($self->{judged});
    $self->{judged} = $self->{log}->read_to;
    my @bad = FormGuard::ErrorLog::judge(\@news, @expected);
    return _ok($name, \@bad, \@news);
}

# The lines log_ok would judge now.
sub log_lines
{
    my ($self) = @_;
    return $self->{log}->news($self->{judged});
}

sub _ok
{
    my ($name, $bad, $lines) = @_;
    my $t = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ok = $t->ok(!@$bad, $name);
    $t->diag(join "\n", @$bad, '--- error_log:', @$lines, '---') if !$ok;
    return $ok;
}

# What is wrong once it has stopped.
sub _verdict
{
    my ($self) = @_;
    my @bad = $self->stop ? () : ('httpd or php-fpm had to be killed');
    my @news = $self->{log}->news($self->{judged});
    # Children under valgrind need longer than httpd gives them.
    push @bad, FormGuard::ErrorLog::judge(\@news, @{$self->{expect}},
        $ENV{FORMGUARD_WRAP} ? (qr/ AH00045: child process \d+ still did not exit, sending a SIGTERM/ => '*') : ());
    for my $file (map { "$self->{dir}/logs/$_" } qw(startup_log stderr fpm_log)) {
        next if !-f $file;
        my $text = _slurp($file);
        push @bad, grep { FormGuard::ErrorLog::crash($_) || /exited on signal (?!9|15)/ } split /\n/, $text;
    }
    # valgrind --error-exitcode, a sanitizer's exit, a parent that crashed
    push @bad, "httpd ended with status $self->{exit}:\n" . substr _slurp("$self->{dir}/logs/stderr"), 0, 4000
        if $self->{exit};
    # valgrind's report of a child, whose status nobody sees
    push @bad, grep { /^==\d+==/ } split /\n/, -f "$self->{dir}/logs/stderr" ? _slurp("$self->{dir}/logs/stderr") : '';
    return (\@bad, \@news);
}

sub done
{
    my ($self, $name) = @_;
    $self->_forget;
    my ($bad, $news) = $self->_verdict;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return _ok($name || "$self->{mpm}: error_log holds only expected lines", $bad, $news);
}

sub _forget
{
    my ($self) = @_;
    $self->{forgotten} = 1;
    @servers = grep { defined && $_ != $self } @servers;
    weaken $_ for @servers;
}

# Not done: stop it, and let nothing it logged go unseen.
sub _abandon
{
    my ($self) = @_;
    return if $self->{forgotten} || $self->{owner} != $$ || $self->{detach};
    $self->_forget;
    my ($bad, $news) = $self->_verdict;
    return if !@$bad;
    Test::Builder->new->diag("a server left without done:\n", join "\n", @$bad, '--- error_log:', @$news, '---');
    $FormGuard::Httpd::abandoned = 1;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $@, $!);
    $self->_abandon;
}

END {
    my $status = $?;
    {
        local ($@, $!);
        my @left = grep { defined } @servers;    # which each takes itself out of
        $_->_abandon for @left;
    }
    $? = $status || ($FormGuard::Httpd::abandoned ? 1 : 0);
}

1;
