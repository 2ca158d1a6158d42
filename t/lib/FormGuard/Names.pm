# SPDX-License-Identifier: Apache-2.0
package FormGuard::Names;

=head1 NAME

FormGuard::Names - names and where they lead, for one httpd alone

=head1 SYNOPSIS

    my $names = FormGuard::Names->new('www.recaptcha.net' => $vendor->port('documented'), 'gone.test' => 'none',
        'mute.test' => 'mute');
    my $httpd = FormGuard::Httpd->new(names => $names, ...);

To httpd the first is on that port of 127.0.0.1, whatever port it asks for; the second does not exist; nobody ever
says what the third is. All names but localhost that are not here don't exist. F</etc/hosts> is left alone: it is
F<t/lib/private_names.c>, loaded into httpd before the C library.

=cut

use strict;
use warnings;
use File::Basename qw(dirname);
use FormGuard::Process;

sub new
{
    my ($class, %names) = @_;
    my $dir = FormGuard::Process::private_dir();
    my @cmd = ('gcc', qw(-shared -fPIC -O -o), "$dir/private_names.so", dirname(__FILE__) . '/../private_names.c', '-ldl');
    system(@cmd) == 0 or die "@cmd failed\n";
    return bless { dir => $dir, list => join(',', map { "$_=$names{$_}" } sort keys %names) }, $class;
}

sub library { return "$_[0]{dir}/private_names.so" }
sub env     { return (FORMGUARD_NAMES => $_[0]{list}) }

1;
