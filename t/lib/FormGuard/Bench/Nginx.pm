# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Nginx;

=head1 NAME

FormGuard::Bench::Nginx - a private nginx, with as much of FormGuard::Httpd's face as t/bench/run needs

=cut

use strict;
use warnings;
use File::Path qw(make_path);
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Process;

sub new
{
    my ($class, %o) = @_;
    my $self = bless { dir => FormGuard::Process::private_dir(), port => FormGuard::Process::free_port(),
        wrap => $o{wrap} || [] }, $class;
    make_path(map { "$self->{dir}/$_" } qw(htdocs logs run tmp));
    my $user = FormGuard::Process::server_user();
    chown((getpwnam $user)[2, 3], "$self->{dir}/tmp") if $user;
    for my $name (keys %{$o{files}}) {
        make_path("$self->{dir}/htdocs/" . ($name =~ m{^(.*)/})[0]);
        $self->_write("htdocs/$name", $o{files}{$name});
    }
    my %s = %{$o{settings}};
    # In whole requests a second or a minute; what a burst holds comes on top of it, so that LIMIT pass at once.
    my $rate = $s{limit} / $s{period};
    my $text = $o{conf}->('nginx', %s,
        rate => $rate >= 1 ? int($rate) . 'r/s' : (int($rate * 60 + 0.5) || 1) . 'r/m', burst => $s{limit} > 1 ? 'burst=' . ($s{limit} - 1) . ' nodelay' : '',
        processes => @{$self->{wrap}} ? 'master_process off;' : 'worker_processes ' . ($o{workers} || 2) . ';');
    my %v = (DIR => $self->{dir}, PORT => $self->{port}, USER => $user // 'nobody', GROUP => FormGuard::Process::server_group() // 'nogroup');
    $text =~ s/\@(DIR|PORT|USER|GROUP)\@/$v{$1}/g;
    $text =~ s/^user .*\n//m if !$user;
    $self->_write('nginx.conf', $text);
    $self->{process} = FormGuard::Process->start(
        cmd => [@{$self->{wrap}}, FormGuard::Process::in_path('nginx'), '-e', "$self->{dir}/logs/start", '-p', '/usr/share/nginx/',
            '-c', "$self->{dir}/nginx.conf"],
        out => "$self->{dir}/logs/stderr", name => 'nginx', signal => 'QUIT');
    FormGuard::Process::wait_until(
        sub { !$self->{process}->alive || FormGuard::Process::port_open($self->{port}) }, 20, 'nginx');
    $self->{process}->alive or die 'nginx did not start: ' . FormGuard::Httpd::_slurp("$self->{dir}/logs/stderr");
    return $self;
}

sub _write
{
    my ($self, $name, $text) = @_;
    open my $fh, '>:raw', "$self->{dir}/$name" or die "$self->{dir}/$name: $!\n";
    print $fh $text;
    close $fh or die "$self->{dir}/$name: $!\n";
}

sub dir  { return "$_[0]{dir}" }
sub port { return $_[0]{port} }
sub pid  { return $_[0]{process} && $_[0]{process}->pid }
sub url  { return "http://127.0.0.1:$_[0]{port}" . ($_[1] // '/') }
sub client { my ($self, %o) = @_; return FormGuard::Client->new(port => $self->{port}, %o) }
sub stop { my ($self) = @_; my $p = delete $self->{process}; return $p ? $p->stop(FormGuard::Process::patience(20)) : 1 }
sub done { return $_[0]->stop }

1;
