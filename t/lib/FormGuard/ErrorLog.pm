# SPDX-License-Identifier: Apache-2.0
package FormGuard::ErrorLog;

=head1 NAME

FormGuard::ErrorLog - reads httpd's error_log and knows which of its lines mean nothing

=head1 SYNOPSIS

    my $log  = FormGuard::ErrorLog->new("$dir/logs/error_log");   # steps => 0: no news are the FG0001 lines
    my $mark = $log->mark;
    ... one request ...
    my @lines = $log->since($mark);                  # whole lines, harmless ones too
    my @news  = $log->news($mark);                   # without httpd's start, stop and restart notices
    my @bad   = FormGuard::ErrorLog::judge(\@news, qr/FG0101:/ => 2, qr/FG0200:/);

C<judge> takes pairs of expression and count and returns what is wrong, one text each: a line nobody
expects, or an expression seen too seldom or too often. The count is a number (1 when left out), C<'+'>
one or more, C<'*'> any number, or C<[min, max]>. A crash or a sanitizer's report is always wrong.

=cut

use strict;
use warnings;
use FormGuard::Process;

# httpd's own notices at start, restart and stop.
my @HARMLESS = (
    qr/ AH00163: .* configured -- resuming normal operations/,    # prefork
    qr/ AH00292: .* configured -- resuming normal operations/,    # worker
    qr/ AH00489: .* configured -- resuming normal operations/,    # event
    qr/ AH00094: Command line: /,
    qr/ AH00171: Graceful restart requested, doing restart/,
    qr/ AH00297: SIGUSR1 received\.\s+Doing graceful restart/,
    qr/ AH00493: SIGUSR1 received\.\s+Doing graceful restart/,
    qr/ AH00173: SIGHUP received\.\s+Attempting to restart/,
    qr/ AH00298: SIGHUP received\.\s+Attempting to restart/,
    qr/ AH00494: SIGHUP received\.\s+Attempting to restart/,
    qr/ AH00169: caught SIGTERM, shutting down/,
    qr/ AH00170: caught SIGWINCH, shutting down gracefully/,
    qr/ AH00295: caught SIGTERM, shutting down/,
    qr/ AH00296: caught SIGWINCH, shutting down gracefully/,
    qr/ AH00491: caught SIGTERM, shutting down/,
    qr/ AH00492: caught SIGWINCH, shutting down gracefully/,
    qr/^AH0055[78]: .* domain name/,
    qr/ AH01232: suEXEC mechanism enabled/,
    qr/ AH0215[67]: .*temporarily restarted/,
);

my $CRASH = qr/ exit\ signal\ (?!Killed|Terminated) | seg\ fault\ or\ similar
              | (?:Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer | :\ runtime\ error:
              | \b(?:malloc|free|munmap_chunk|realloc)\(\):\ | double\ free | stack\ smashing
              | \bassertion\b.*\bfailed\b /xi;

sub new
{
    my ($class, $file, %o) = @_;
    return bless { file => $file, steps => $o{steps} // 1 }, $class;
}

sub file { return $_[0]{file} }
sub mark { return -s $_[0]{file} || 0 }

# Lines written since the mark; one not finished yet is left for later.
sub since
{
    my ($self, $mark) = @_;
    open my $fh, '<:raw', $self->{file} or return ();
    seek $fh, $mark || 0, 0;
    my $text = do { local $/; <$fh> } // '';
    my @lines = split /(?<=\n)/, $text;
    pop @lines if @lines && $lines[-1] !~ /\n\z/;
    $self->{read_to} = ($mark || 0) + length join '', @lines;
    chomp @lines;
    return @lines;
}

sub news
{
    my ($self, $mark) = @_;
    return grep { !harmless($_) && ($self->{steps} || !/ \[formguard:debug\] .* FG0001: /) } $self->since($mark);
}

# Where the last reading ended.
sub read_to { return $_[0]{read_to} || 0 }

# Waits for lines that are written after the answer; returns the lines that match.
sub wait_for
{
    my ($self, $re, $mark, $count, $seconds) = @_;
    $count ||= 1;
    return @{
        FormGuard::Process::wait_until(
            sub {
                my @found = grep { $_ =~ $re } $self->since($mark);
                return @found >= $count ? \@found : undef;
            },
            $seconds || 10,
            "$count line(s) like $re in the error_log"
        )
    };
}

sub harmless
{
    my ($line) = @_;
    return 0 if crash($line);
    for my $re (@HARMLESS) {
        return 1 if $line =~ $re;
    }
    return $line eq '';
}

sub crash { return $_[0] =~ $CRASH }

sub judge
{
    my ($lines, @expected) = @_;
    my (@rules, @bad);
    while (@expected) {
        my $re = shift @expected;
        $re = qr/\Q$re\E/ if !ref $re;
        my $n = @expected && ref $expected[0] ne 'Regexp' ? shift @expected : 1;
        my ($min, $max) = ref $n ? @$n : $n eq '+' ? (1, undef) : $n eq '*' ? (0, undef) : ($n, $n);
        push @rules, { re => $re, min => $min, max => $max, seen => 0 };
    }
    for my $line (@$lines) {
        if (crash($line)) {
            push @bad, "crash: $line";
            next;
        }
        # One line may be claimed by one rule only: the first that has room.
        my @match = grep { $line =~ $_->{re} } @rules;
        my ($rule) = grep { !defined $_->{max} || $_->{seen} < $_->{max} } @match;
        $rule ||= $match[0];
        if ($rule) {
            $rule->{seen}++;
        }
        else {
            push @bad, "unexpected line: $line";
        }
    }
    for my $r (@rules) {
        my $want = defined $r->{max} ? ($r->{min} == $r->{max} ? $r->{min} : "$r->{min} to $r->{max}")
                                     : "at least $r->{min}";
        push @bad, "line like $r->{re}: seen $r->{seen}, expected $want"
            if $r->{seen} < $r->{min} || (defined $r->{max} && $r->{seen} > $r->{max});
    }
    return @bad;
}

1;
