# SPDX-License-Identifier: Apache-2.0
# measure.pl OUT [options as in t/bench/run]
use strict;
use warnings;
use FormGuard::Bench::Contender;
use FormGuard::Bench::Instructions;
use FormGuard::Bench::Works;
use File::Path qw(make_path);
use Getopt::Long qw(GetOptionsFromArray);
use JSON::PP;

my ($out, @args) = @ARGV;
my ($instructions, $only);
my $requests = 100;
GetOptionsFromArray(\@args, 'instructions' => \$instructions, 'only=s' => \$only, 'requests=i' => \$requests) or exit 1;
my @names = $only ? split(/,/, $only) : FormGuard::Bench::Contender::names();
my %wanted = map { $_ => 1 } @args;
my @works = grep { !@args || delete $wanted{$_->{name}} } FormGuard::Bench::Works::all();
die 'no such work: ' . join(' ', sort keys %wanted) . "\n" if @args && %wanted;
for my $name (@names) {
    my $package = FormGuard::Bench::Contender::missing($name);
    die "missing: apt-get install $package\n" if $package;
}
$| = 1;

sub thousands { my ($n) = @_; $n = sprintf '%.0f', $n; 1 while $n =~ s/^([-+]?\d+)(\d{3})/$1,$2/; return $n }

my %result;
make_path("$out/callgrind");
for my $name (@names) {
    print STDERR "instructions: $name\n";
    $result{$name} = FormGuard::Bench::Instructions::measure($name, \@works, requests => $requests, keep => "$out/callgrind");
}
for my $work (@works) {
    my $plain = $result{plain} && $result{plain}{$work->{name}}{each};
    printf "%s (%s)%s\n", $work->{title}, $work->{name}, $work->{aim} ? ', aim ' . thousands($work->{aim}) . ' over plain' : '';
    for my $name (@names) {
        my $got = $result{$name}{$work->{name}};
        printf "    %-10s %12s", $name, thousands($got->{each});
        printf "  %13s", '+' . thousands($got->{each} - $plain) if defined $plain && $name ne 'plain' && $name ne 'nginx';
        printf "  of these %s in OpenSSL", thousands($got->{crypto}) if $got->{crypto} > 100;
        printf "  (%.2f lines in error_log each)", $got->{lines} if $got->{lines};
        print "\n";
    }
}
open my $fh, '>', "$out/results.json" or die "$out/results.json: $!\n";
print $fh JSON::PP->new->canonical->pretty->encode({ instructions => \%result });
close $fh or die "$out/results.json: $!\n";
