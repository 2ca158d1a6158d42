# SPDX-License-Identifier: Apache-2.0
package FormGuard::Vendor;

=head1 NAME

FormGuard::Vendor - a captcha vendor of our own, which answers what the token asks for

=head1 SYNOPSIS

    my $vendor = FormGuard::Vendor->new;              # hostname => 'www.test', secret => '...'
    $vendor->url;                                     # https://localhost:PORT/recaptcha/api/siteverify
    $vendor->url('expired');                          # the same with a bad certificate, see vendor-stand-in
    $vendor->url('good', undef, 'hcaptcha');          # of another service, see FormGuard::VendorServices
    # secret => [...]: of several accounts, ->secret(1) is the second's, and ->{account} of what was asked is 2.
    $vendor->ca; $vendor->secret; $vendor->hostname; $vendor->port('plain');
    my $mark = $vendor->count;
    ... post ...
    is $vendor->count - $mark, 1;                     # how often it was asked since
    my @asked = $vendor->since($mark);                # {token, remoteip, secret_ok, connection, ...}

A request is noted before it is answered, so the count is final when the form has answered.
What the tokens mean is told in F<t/lib/vendor-stand-in>. One is good once: C<FormGuard::Vendor::fresh('ok')> is
another one of the same meaning each time.

=cut

use strict;
use warnings;
use File::Basename qw(dirname);
use FormGuard::Process;
use FormGuard::VendorServices;
use JSON::PP ();

sub new
{
    my ($class, %o) = @_;
    my $dir   = $o{dir} || FormGuard::Process::private_dir();
    my $ready = "$dir/vendor.json";
    my @cmd   = (dirname(__FILE__) . '/../vendor-stand-in', '--dir', "$dir", '--ready', $ready);
    for my $name (qw(secret hostname)) {
        push @cmd, map { ("--$name", $_) } ref $o{$name} ? @{$o{$name}} : $o{$name} // ();
    }
    push @cmd, '--stay' if $o{detach};
    unlink $ready;
    my $process = FormGuard::Process->start(
        cmd    => \@cmd,
        out    => "$dir/vendor.out",
        name   => 'vendor-stand-in',
        detach => $o{detach}
    );
    eval { FormGuard::Process::wait_until(sub { -e $ready || !$process->alive }, 20, 'the vendor') };
    die "vendor-stand-in did not start: " . _slurp("$dir/vendor.out") if !-e $ready;
    my $self = JSON::PP::decode_json(_slurp($ready));
    @$self{qw(dir process)} = ($dir, $process);
    return bless $self, $class;
}

sub _slurp
{
    my ($file) = @_;
    open my $fh, '<', $file or return '';
    local $/;
    return scalar <$fh>;
}

my $number = 0;
sub fresh
{
    my ($token) = @_;
    # What is no token at all stays as it is.
    return $token =~ /\A[!-~]{1,1000}\z/ ? sprintf('%s~%d%06d', $token, $$, ++$number) : $token;
}

sub ca       { return $_[0]{ca} }
sub secret   { return $_[0]{secrets}[$_[1] // 0] }
sub hostname { return $_[0]{hostname} }
sub pid      { return $_[0]{pid} }

sub port
{
    my ($self, $name) = @_;
    $name = 'good' if !defined $name;
    return $self->{ports}{$name} || die "the vendor has no port $name\n";
}

sub url
{
    my ($self, $name, $host, $service) = @_;
    my $scheme = ($name || '') eq 'plain' ? 'http' : 'https';
    $host = 'localhost' if !defined $host;
    return "$scheme://$host:" . $self->port($name) . FormGuard::VendorServices::path_of($service // 'recaptcha');
}

# Every request so far, oldest first.
sub asked { return $_[0]->since(0) }

sub count
{
    my ($self) = @_;
    return scalar(() = _slurp($self->{log}) =~ /\n/g);
}

sub since
{
    my ($self, $mark) = @_;
    my @lines = split /\n/, _slurp($self->{log});
    return map { JSON::PP::decode_json($_) } @lines[$mark .. $#lines];
}

sub stop
{
    my ($self) = @_;
    return $self->{process}->stop;
}

1;
