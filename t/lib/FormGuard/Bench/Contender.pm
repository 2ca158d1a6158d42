# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Contender;

=head1 NAME

FormGuard::Bench::Contender - a private server for each of those that t/bench/run sets side by side

=head1 SYNOPSIS

    my @names = FormGuard::Bench::Contender::names();       # plain formguard evasive qos security2 crs nginx
    FormGuard::Bench::Contender::missing('qos');            # the Debian package it needs and that is not there, or undef
    my $server = FormGuard::Bench::Contender::server('qos', mpm => 'prefork', limit => 10, period => 60);
    $server->client(local => '127.0.0.9'); $server->url('/open/form.php'); $server->dir;
    FormGuard::Bench::Contender::end($server);

Their configurations are in t/bench/side_by_side. C<limit> posts by one client are let through in C<period>
seconds (default: more than any bench sends), C<entries> is how many clients the tables hold. With C<< php => 'mod' >>
PHP is behind it and not mod_bench. C<global>, C<config>, C<files>, C<loglevel> are added for FormGuard::Httpd.

=cut

use strict;
use warnings;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use FormGuard::Bench::Nginx;
use FormGuard::Httpd;
use FormGuard::Process;

my $HERE = dirname(__FILE__) . '/../../../bench/side_by_side';

my @NAMES = qw(plain formguard evasive qos security2 crs nginx);
my %HTTPD = (
    plain     => { modules => [], conf => ['plain'] },
    formguard => { modules => [], conf => ['formguard'] },
    evasive   => { modules => ['evasive20'], conf => ['evasive'], package => 'libapache2-mod-evasive' },
    # Debian's build of it is linked with no pcre, and httpd has pcre2.
    qos       => { modules => ['qos'], libraries => ['libpcre.so.3'], conf => ['qos'], package => 'libapache2-mod-qos' },
    security2 => { modules => [qw(unique_id security2)], conf => ['security2'], package => 'libapache2-mod-security2' },
    crs       => { modules => [qw(unique_id security2)], conf => [qw(security2 crs)], package => 'modsecurity-crs' },
);

# No bench sends so many, and qos counts to 32767, so with it the time is short.
my %WIDE = (limit => 1_000_000, many => 1_000_000, period => 3600, entries => 262_144);
my %OWN = (qos => { limit => 30_000, period => 1, entries => 50_000 });

sub names { return @NAMES }

sub missing
{
    my ($name) = @_;
    return FormGuard::Process::in_path('nginx') ? undef : 'nginx-light' if $name eq 'nginx';
    my $c = $HTTPD{$name} or die "no contender $name, but: @NAMES\n";
    return $c->{package} if grep { !FormGuard::Httpd::Config::module_file($_) } @{$c->{modules}};
    return $name eq 'crs' && !-d '/usr/share/modsecurity-crs/rules' ? $c->{package} : undef;
}

# Four processes that serve 128 connections, as fixed as httpd allows.
my %MPM = (
    event => "ThreadLimit 64\nThreadsPerChild 32\nServerLimit 4\nStartServers 4\nMaxRequestWorkers 128\n"
        . "MinSpareThreads 128\nMaxSpareThreads 128\n",
    prefork => "ServerLimit 64\nStartServers 16\nMinSpareServers 16\nMaxSpareServers 16\nMaxRequestWorkers 64\n",
);

# Settings, filled in.
sub settings
{
    my ($name, %o) = @_;
    my %s = (%WIDE, %{$OWN{$name} || {}});
    $s{$_} = $o{$_} for grep { defined $o{$_} } keys %s;
    return %s;
}

sub conf
{
    my ($file, %s) = @_;
    my $text = FormGuard::Httpd::_slurp("$HERE/$file.conf");
    $text =~ s/\@(LIMIT|MANY|PERIOD|ENTRIES|RATE|BURST|PROCESSES)\@/$s{lc $1} \/\/ die "$file.conf: $1\n"/ge;
    return $text;
}

sub files
{
    my $page = "<!DOCTYPE html>\n<title>1 KB</title>\n";
    $page .= 'x' x (1024 - length $page);
    return {
        (map { ("$_/form.php" => "<?php\n") } qw(open limits all refused mailer)),
        (map { ("$_/page.html" => $page) } qw(open limits all)),
        'open/refused.html' => "Refused\n",
    };
}

# mod_bench.so, compiled once for a process.
my $built;

sub bench_module
{
    return $built->{so} if $built;
    my $dir = FormGuard::Process::private_dir();
    my $so = "$dir/mod_bench.so";
    my $include = FormGuard::Httpd::Config::_apxs('INCLUDEDIR');
    my @flags = split ' ', `pkg-config --cflags apr-1 apr-util-1`;
    system('gcc', qw(-shared -fPIC -O2 -Wall -Wextra), "-I$include", @flags, '-o', $so, "$HERE/mod_bench.c") == 0
        or die "mod_bench.c does not compile (valgrind and apache2-dev must be there)\n";
    $built = { dir => $dir, so => $so };
    return $so;
}

sub server
{
    my ($name, %o) = @_;
    my %s = settings($name, %o);
    return FormGuard::Bench::Nginx->new(files => files(), settings => \%s, conf => \&conf, wrap => $o{wrap},
        workers => $o{workers}) if $name eq 'nginx';
    my $c = $HTTPD{$name} or die "no contender $name, but: @NAMES\n";
    my @load = map { "LoadFile $_\n" } map { (grep { -e } glob "/usr/lib{,64,/*}/$_")[0] // die "no $_\n" } @{$c->{libraries} || []};
    push @load, map { FormGuard::Httpd::Config::load($_) } @{$c->{modules}};
    my $config = join "\n", map { conf($_, %s) } @{$c->{conf}}, $o{php} ? () : 'common';
    my $mpm = $o{mpm} || 'event';
    return FormGuard::Httpd->new(
        mpm => $mpm, php => $o{php}, files => { %{files()}, %{$o{files} || {}} }, module => $name eq 'formguard' ? undef : 0,
        global => join('', @load) . 'LoadModule bench_module ' . bench_module() . "\n$MPM{$mpm}" . ($o{global} // ''),
        loglevel => $o{loglevel} || 'warn', config => $config . ($o{config} // ''),
        expect_log => [qr/./ => '*'],
    );
}

# Stopped, and its error_log not judged: there may be a million lines of refusals.
sub end
{
    my ($server) = @_;
    $server->stop;
    $server->_forget if $server->isa('FormGuard::Httpd');
    return;
}

1;
