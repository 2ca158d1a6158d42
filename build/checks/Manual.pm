# SPDX-License-Identifier: Apache-2.0
# Reads mod_formguard/manual/directives.*.md for the check that compares it with the code and for
# the test that runs its examples.
package Manual;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(entries);

# An entry starts with `## Name` and ends with the next heading of that level. Its head is the list
# behind the heading, `* Label: value` each. An example is a fence of apache, the paragraph before
# it says what it does, and its first line, a comment, says where it stands.
#
# [{ name, line, head => [[label, value], ...], prose, examples => [{ says, where, text, line }] }]
sub entries
{
    my ($text) = @_;
    my (@entries, $entry, $example);
    my ($number, $in_head, $paragraph, $says) = (0, 0, '', '');
    for my $line (split /\n/, $text) {
        $number++;
        if ($example) {
            if ($line eq '```') { undef $example }
            else { $example->{text} .= "$line\n" }
        }
        elsif ($line =~ /^## (.*)$/) {
            $entry = { name => $1, line => $number, head => [], prose => '', examples => [] };
            push @entries, $entry;
            ($in_head, $paragraph, $says) = (1, '', '');
        }
        elsif (!$entry) { next }
        elsif ($line =~ /^```(.*)$/) {
            $example = { kind => $1, line => $number, text => '', says => $paragraph || $says };
            push @{ $entry->{examples} }, $example;
            ($in_head, $paragraph, $says) = (0, '', '');
        }
        elsif ($in_head && $line =~ /^\* ([^:]+): (.*)$/) { push @{ $entry->{head} }, [$1, $2] }
        elsif ($line eq '') {
            $in_head = 0 if @{ $entry->{head} };
            ($says, $paragraph) = ($paragraph, '') if $paragraph ne '';
        }
        else {
            $in_head = 0;
            $paragraph .= "$line\n";
            $entry->{prose} .= "$line\n";
        }
    }
    # What belongs into a page is shown beside what belongs into a configuration.
    @{ $_->{examples} } = grep { $_->{kind} ne 'html' } @{ $_->{examples} } for @entries;
    for my $e (map { @{ $_->{examples} } } @entries) {
        ($e->{where}) = $e->{text} =~ /\A# ([^\n]*)\n/;
    }
    return \@entries;
}

1;
