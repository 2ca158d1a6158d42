# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Profile;

=head1 NAME

FormGuard::Bench::Profile - reads what callgrind has written

=head1 SYNOPSIS

    my $p = FormGuard::Bench::Profile::read($file);
    $p->{total};                 # instructions
    $p->{self}{$function};       # instructions in the function itself, by "object:function"
    $p->{inside}{libcrypto};     # instructions spent in calls into that library, with all they called in turn

=cut

use strict;
use warnings;

sub read
{
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    my (%name, %self, %inside, %seen, $total, $ob, $fn, $cob, $cfn, $call);
    my $named = sub {
        my ($kind, $text) = @_;
        my ($n, $rest) = $text =~ /^\((\d+)\)(?: (.*))?$/ or return $text;
        $name{$kind}{$n} = $rest if defined $rest;
        return $name{$kind}{$n} // '???';
    };
    my $short = sub { my ($o) = $_[0] =~ m{([^/]+?)(?:\.so.*)?$}; return $o // '???' };
    $ob = '???';
    while (my $line = <$fh>) {
        chomp $line;
        if ($line =~ /^(?:[+*-]\d*|0x[0-9a-f]+|\d+) (\d+)$/) {
            if (!$call) {
                $self{"$ob:$fn"} += $1;
            }
            elsif ($call ne $ob) {
                $inside{$call} += $1;
            }
            undef $call;
        }
        elsif ($line =~ /^ob=(.*)/)  { $ob = $short->($named->('ob', $1)) }
        elsif ($line =~ /^fn=(.*)/)  { $fn = $named->('fn', $1); undef $cob }
        elsif ($line =~ /^cob=(.*)/) { $cob = $short->($named->('ob', $1)) }
        elsif ($line =~ /^cfn=(.*)/) { $cfn = $named->('fn', $1) }
        elsif ($line =~ /^c?f[ile]=(.*)|^cfi=(.*)/) { $named->('fl', $1 // $2) }
        elsif ($line =~ /^calls=/)   { $call = $cob // $ob; undef $cob }
        elsif ($line =~ /^(?:totals|summary): (\d+)/) { $total = $1 }
    }
    defined $total or die "$file holds no total\n";
    return { total => $total, self => \%self, inside => \%inside };
}

1;
