# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Lines;

=head1 NAME

FormGuard::Bench::Lines - how figures went over time, as a picture (SVG)

=head1 SYNOPSIS

    my $svg = FormGuard::Bench::Lines::svg(
        { title => 'memory', unit => 'MB', marks => [900, 1010],
          lines => [ { name => 'parent', colour => 0, points => [[0, 1.5], [2, 1.6], ...] }, ... ] }, ...
    );

One panel below the other; seconds to the right, dashed where there is a mark. Lines of one colour share an entry of
the legend, that of the first.

=cut

use strict;
use warnings;
use List::Util qw(max);

my @COLOURS = map { "#$_" } qw(0b6e4f c2493d 3b76b5 d08c2c 8c5aa8 8a8f98);
my ($WIDTH, $LEFT, $RIGHT, $TOP, $HEIGHT, $BELOW) = (960, 60, 20, 50, 200, 40);

sub _text
{
    my ($x, $y, $text, %o) = @_;
    $text =~ s/&/&amp;/g;
    $text =~ s/</&lt;/g;
    return sprintf "<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", $x, $y, join('', map { " $_=\"$o{$_}\"" } sort keys %o), $text;
}

sub _line
{
    my ($x1, $y1, $x2, $y2, $more) = @_;
    return sprintf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"%s/>\n", $x1, $y1, $x2, $y2, $more // '';
}

# Round steps, of which three to eight make the whole.
sub _steps
{
    my ($most, @sizes) = @_;
    my ($step) = grep { $most / $_ <= 8 } @sizes;
    return map { $_ * $step } 0 .. int($most / $step);
}

sub _panel
{
    my ($panel, $top) = @_;
    my @points = map { @{$_->{points}} } @{$panel->{lines}};
    my $end = max(1, map { $_->[0] } @points);
    my $most = 1.05 * max(0.001, map { $_->[1] } @points);
    my ($y0, $room) = ($top + $TOP + $HEIGHT, $WIDTH - $LEFT - $RIGHT);
    my $x = sub { $LEFT + $room * $_[0] / $end };
    my $y = sub { $y0 - $HEIGHT * $_[0] / $most };
    my $out = _text(16, $top + 24, "$panel->{title}, $panel->{unit}", 'font-size' => 15, 'font-weight' => 'bold');
    for my $v (_steps($most, map { ($_, 2 * $_, 5 * $_) } map { 10**$_ } -3 .. 6)) {
        $out .= _line($LEFT, $y->($v), $WIDTH - $RIGHT, $y->($v)) . _text($LEFT - 6, $y->($v) + 4, $v, 'text-anchor' => 'end', fill => '#666');
    }
    for my $v (_steps($end, 10, 30, map { 60 * $_ } 1, 5, 10, 30, 60, 360)) {
        $out .= _text($x->($v), $y0 + 16, $end > 300 ? $v / 60 . ' min' : "$v s", 'text-anchor' => 'middle', fill => '#666');
    }
    $out .= _line($x->($_), $top + $TOP, $x->($_), $y0, ' stroke-dasharray="4 3" style="stroke:#888"') for @{$panel->{marks} || []};
    my (%named, $at);
    $at = 220;
    for my $line (@{$panel->{lines}}) {
        my $colour = $COLOURS[$line->{colour} % @COLOURS];
        $out .= "<polyline fill=\"none\" stroke=\"$colour\" stroke-width=\"1.2\" points=\""
            . join(' ', map { sprintf '%.1f,%.1f', $x->($_->[0]), $y->($_->[1]) } @{$line->{points}}) . "\"/>\n";
        next if $named{$line->{colour}}++;
        $out .= _text($at, $top + 40, "\x{2014} $line->{name}", fill => $colour);
        $at += 24 + 7 * length $line->{name};
    }
    return ($out, $y0 + $BELOW);
}

sub svg
{
    my (@panels) = @_;
    my ($body, $y) = ('', 0);
    for my $panel (@panels) {
        my ($out, $next) = _panel($panel, $y);
        $body .= $out;
        $y = $next;
    }
    my $svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 $WIDTH $y\" width=\"$WIDTH\" height=\"$y\" "
        . "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"$WIDTH\" height=\"$y\" fill=\"#fff\"/>\n$body</svg>\n";
    utf8::encode($svg);
    return $svg;
}

1;
