# SPDX-License-Identifier: Apache-2.0
# Two folders that differ in FormGuardInject only, in turns: pages a second by wrk, what the server's processes took of
# the processor for each, and how long one page takes after the other on one connection: of that the tenth that was
# quickest, which hardly depends on who else uses the machine.
use strict;
use warnings;
use FormGuard::Httpd;
use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $rounds = shift || 9;
my $seconds = $ENV{SECONDS_EACH} || 1;

# A shop's table, with a tag each 14 bytes: about the most markup a page can be.
my $dense = "<table>\n" . join('', map {
    sprintf "<tr><td class=\"name\"><a href=\"/item.php?id=%d\" title=\"Item\">Cup %d</a></td><td align=\"right\">%d yen</td></tr>\n", $_, $_, $_ * 10
} 1 .. 480) . "</table>\n";
# What pages mostly are: a head, a menu, a style and a script in the page, text with some markup; a tag each 45 bytes.
my $usual = "<style>\n" . join('', map { ".box-$_ > li { margin: 0 auto; color: #24$_; }\n" } 100 .. 160) . "</style>\n"
    . "<nav><ul class=\"menu\">\n" . join('', map { "<li class=\"item item-$_\"><a href=\"/category/$_/\">Category $_</a></li>\n" } 1 .. 60) . "</ul></nav>\n"
    . join('', map {
        "<div class=\"entry\" id=\"entry-$_\"><h2><a href=\"/blog/$_/\" rel=\"bookmark\">What happened on day $_</a></h2>\n"
        . "<p>The shop was open and many people came by. Some of them <strong>bought cups</strong>, others looked at plates and\n"
        . "at bowls; it&#8217;s what we hoped for, and more than last year.</p>\n<p><img src=\"/images/$_.jpg\" alt=\"A cup\" width=\"320\" height=\"240\">"
        . "In the afternoon it rained, so the tables in the garden stayed empty until about five o'clock.<br>\nWe close at seven.</p></div>\n"
    } 1 .. 80)
    . "<script>\nfor (var i = 0; i < 10; i++) { if (i < 5 && window.x) { console.log('<b>' + i + '</b>'); } }\n" . ("var a = [1, 2, 3];\n" x 200) . "</script>\n";
sub page
{
    my ($body, $action) = @_;
    my $form = $action && "<form action=\"$action\" method=\"post\">\n<p><input name=\"name\"></p>\n<p><button>Send</button></p>\n</form>\n";
    return "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Shop</title><link rel=\"stylesheet\" href=\"/s.css\"></head>\n<body>\n$body$form</body></html>\n";
}

# Some milliseconds of work, as WordPress has some hundred.
my $work = "<?php for (\$i = 0; \$i < 20000; \$i++) { \$x = md5((string) \$i); } ?>";
my @rows = (
    ['image.png', 'image', "\x89PNG" . 'x' x 50_000],
    ['none.html', 'static, no form', page($usual, '')],
    ['form.html', 'static, a guarded form', page($usual, 'contact.php')],
    ['far.html', 'the same, the form in a folder with its own .htaccess', page($usual, '/guarded/contact.php')],
    ['none-dense.html', 'static, no form, most markup', page($dense, '')],
    ['form-dense.html', 'static, a guarded form, most markup', page($dense, 'contact.php')],
    ['none.php', 'PHP, no form', $work . page($usual, '')],
    ['form.php', 'PHP, a guarded form', $work . page($usual, 'contact.php')],
    ['form-dense.php', 'PHP, a guarded form, most markup', $work . page($dense, 'contact.php')],
    ['form-echo.php', 'PHP that does nothing but print, a guarded form', page($usual, 'contact.php')],
);
my $guarded = "FormGuard On\nFormGuardPath *contact.php\nFormGuardCaptcha altcha\n";
my $httpd = FormGuard::Httpd->new(
    mpm => 'event', php => 'fpm', loglevel => 'warn', config => "AddType image/png .png\n",
    global => "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 12\nMinSpareThreads 1\nMaxSpareThreads 12\n",
    files => {
        (map { my $dir = $_; map { ("$dir/$_->[0]" => $_->[2]) } @rows } qw(on off)),
        'on/.htaccess' => "${guarded}FormGuardInject On\n", 'off/.htaccess' => "${guarded}FormGuardInject Off\n",
        'on/contact.php' => "<?php\n", 'off/contact.php' => "<?php\n",
        'guarded/.htaccess' => $guarded, 'guarded/contact.php' => "<?php\n",
    },
);
sleep 4;    # what was changed a moment ago is not remembered

# Seconds of the processor, of httpd and PHP and their children.
sub cpu
{
    my ($sum, %parent, %time) = (0);
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my ($pid, $rest) = (<$fh> // '') =~ /^(\d+) \(.*\) (.*)/s or next;
        my @f = split ' ', $rest;
        ($parent{$pid}, $time{$pid}) = ($f[1], $f[11] + $f[12]);
    }
    my %ours = map { $_->pid => 1 } grep { $_ } @$httpd{qw(process fpm)};
    for my $pid (keys %time) {
        $sum += $time{$pid} if $ours{$pid} || $ours{ $parent{$pid} };
    }
    return $sum / 100;
}

sub run
{
    my ($path, $time) = @_;
    my $before = cpu();
    my $out = `wrk -t 1 -c 4 -d ${time}s -H 'Accept: text/html' ${\ $httpd->url($path)} 2>&1`;
    $out =~ /Non-2xx|Socket errors/ and die $out;
    my ($requests) = $out =~ /(\d+) requests in/ or die $out;
    my ($rate) = $out =~ m{Requests/sec:\s+([\d.]+)} or die $out;
    return ($rate, $requests, cpu() - $before);
}

my $connection;

# Microseconds for one page.
sub once
{
    my ($path) = @_;
    $connection ||= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->port) or die "no connection: $!\n";
    my ($answer, $total, $start) = ('', undef, clock_gettime(CLOCK_MONOTONIC));
    syswrite $connection, "GET $path HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\n\r\n";
    until (defined $total ? length $answer >= $total : $answer =~ /\r\n0\r\n\r\n\z/) {
        sysread $connection, $answer, 200_000, length $answer or die "the connection was closed\n";
        $total = $1 + $+[0] if !defined $total && $answer =~ /^Content-Length: (\d+)\r\n(?:.+\r\n)*\r\n/m;
    }
    return 1e6 * (clock_gettime(CLOCK_MONOTONIC) - $start);
}

# The quickest tenth of pages without and with it.
sub quick
{
    my ($name) = @_;
    my %took;
    $connection = undef;
    my $pages = $name =~ /php/ ? 200 : 2000;
    once("/$_/$name") for (qw(on off)) x 20;
    for my $i (1 .. $pages) {
        push @{ $took{$_} }, once("/$_/$name") for $i % 2 ? qw(on off) : qw(off on);
    }
    return map { (sort { $a <=> $b } @{ $took{$_} })[$pages / 10] } qw(off on);
}

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2] }

$| = 1;
printf "%-55s %7s %8s %8s %7s %9s %7s %10s %10s %7s\n", 'answer', 'bytes', 'off', 'on', 'ratio', 'CPU off', 'ratio', 'alone off', 'on', 'ratio';
for my $row (@rows) {
    my ($name, $what, $content) = @$row;
    my (%rates, %requests, %cpu);
    run("/$_/$name", 1) for qw(on off);
    for my $round (1 .. $rounds) {
        for my $dir ($round % 2 ? qw(on off) : qw(off on)) {
            my ($rate, $requests, $cpu) = run("/$dir/$name", $seconds);
            push @{ $rates{$dir} }, $rate;
            $requests{$dir} += $requests;
            $cpu{$dir} += $cpu;
        }
    }
    # On a machine busy with others a second may pass without an answer.
    my @ratios = map { $rates{on}[$_] / $rates{off}[$_] } grep { $rates{off}[$_] > 0 } 0 .. $rounds - 1;
    my ($off, $on) = map { $cpu{$_} / $requests{$_} } qw(off on);
    my @alone = quick($name);
    printf "%-55s %7d %8.0f %8.0f %7.3f %6.1f us %7.3f %7.1f us %7.1f us %7.3f\n", $what, length $content, median(@{ $rates{off} }), median(@{ $rates{on} }),
        median(@ratios), 1e6 * $off, $off / $on, @alone, $alone[0] / $alone[1];
}
$httpd->done;
Test::Builder->new->done_testing;
