# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Chart;

=head1 NAME

FormGuard::Bench::Chart - the figures of t/bench/run as a picture (SVG)

=head1 SYNOPSIS

    my $svg = FormGuard::Bench::Chart::svg(
        { title => 'Instructions over httpd alone', scale => 'log', unit => '', rows => [
            { title => 'GET 1 KB', aim => 300, bars => [ { name => 'formguard', value => 512, text => '+512' }, ... ] }, ...
        ] }, ...
    );

One panel below the other; a row is a work, a bar a contender. The dashed line is the row's aim.

=cut

use strict;
use warnings;
use List::Util qw(max min);

my %COLOUR = (formguard => '#0b6e4f', plain => '#8a8f98', evasive => '#d08c2c', qos => '#8c5aa8', security2 => '#c2493d',
    crs => '#7a1f1f', nginx => '#3b76b5');
my ($WIDTH, $LEFT, $RIGHT, $BAR, $GAP) = (960, 290, 100, 13, 12);

sub _text { my ($s) = @_; $s =~ s/&/&amp;/g; $s =~ s/</&lt;/g; $s =~ s/>/&gt;/g; return $s }

sub _write
{
    my ($x, $y, $text, %o) = @_;
    my $more = join '', map { " $_=\"$o{$_}\"" } sort keys %o;
    return sprintf "<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", $x, $y, $more, _text($text);
}

# (a value's place between 0 and 1, the values at which there is a line)
sub _scale
{
    my ($panel) = @_;
    my @values = grep { $_ > 0 } map { (($_->{aim} // 0), map { $_->{value} } @{$_->{bars}}) } @{$panel->{rows}};
    if (($panel->{scale} // '') eq 'log') {
        my $from = 100;
        my $to = 10**(int(log(max(@values, 1000) * 0.999) / log(10)) + 1);
        my $place = sub { $_[0] <= $from ? 0 : log($_[0] / $from) / log($to / $from) };
        my @lines;
        for (my $v = $from; $v <= $to; $v *= 10) { push @lines, $v }
        return ($place, @lines);
    }
    my $to = max(@values, 1);
    my $step = 10**int(log($to) / log(10));
    $step /= 5 while $to / $step < 3;
    $step *= 2 while $to / $step > 8;
    return (sub { $_[0] / $to }, map { $_ * $step } 0 .. int($to / $step));
}

sub _label { my ($v) = @_; return $v >= 1e6 ? $v / 1e6 . ' M' : $v >= 1e3 ? $v / 1e3 . ' k' : sprintf '%.4g', $v }

sub _panel
{
    my ($panel, $top) = @_;
    my ($place, @lines) = _scale($panel);
    my $room = $WIDTH - $LEFT - $RIGHT;
    my $at = sub { $LEFT + $room * min(1, max(0, $place->($_[0]))) };
    my $y = $top + 62;
    my $height = 0;
    $height += $BAR * @{$_->{bars}} + $GAP for @{$panel->{rows}};
    my $out = _write(16, $top + 26, $panel->{title}, 'font-size' => 17, 'font-weight' => 'bold');
    for my $line (@lines) {
        $out .= sprintf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#ddd\"/>\n", $at->($line), $y - 6, $at->($line), $y + $height - 6;
        $out .= _write($at->($line), $y - 10, _label($line), 'text-anchor' => 'middle', fill => '#666');
    }
    for my $row (@{$panel->{rows}}) {
        my $start = $y;
        my @words = split / /, $row->{title};
        my @title = ('');
        for my $word (@words) {
            push @title, '' if length("$title[-1] $word") > 27;
            $title[-1] .= ($title[-1] eq '' ? '' : ' ') . $word;
        }
        $out .= _write(16, $y + 10 + 15 * $_, $title[$_], 'font-size' => 13) for 0 .. $#title;
        for my $bar (@{$row->{bars}}) {
            my $end = $at->($bar->{value});
            $out .= _write($LEFT - 6, $y + 10, $bar->{name}, 'text-anchor' => 'end', fill => '#444');
            $out .= sprintf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", $LEFT, $y, max(1, $end - $LEFT), $BAR - 3,
                $COLOUR{$bar->{name}} // '#444';
            $out .= _write($end + 4, $y + 10, $bar->{text}, fill => '#222');
            $y += $BAR;
        }
        $out .= sprintf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#111\" stroke-dasharray=\"3 2\"/>\n", $at->($row->{aim}), $start - 3,
            $at->($row->{aim}), $y if defined $row->{aim};
        $y += $GAP;
    }
    return ($out, $y + 10);
}

sub svg
{
    my (@panels) = @_;
    my ($body, $y) = ('', 0);
    for my $panel (grep { @{$_->{rows}} } @panels) {
        my ($out, $next) = _panel($panel, $y);
        $body .= $out;
        $y = $next;
    }
    $y += 10;
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 $WIDTH $y\" width=\"$WIDTH\" height=\"$y\" "
        . "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"$WIDTH\" height=\"$y\" fill=\"#fff\"/>\n$body</svg>\n";
}

1;
