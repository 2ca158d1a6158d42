# SPDX-License-Identifier: Apache-2.0
# Pages a second by ab, of two folders that differ in FormGuardInject only; ratios of medians.
use strict;
use warnings;
use FormGuard::Httpd;

my $rounds = shift || 5;
my $n = $ENV{REQUESTS} || 3000;

# Like a page of a small shop: 50 kB, a tag each 40 bytes.
my $row = "<tr><td class=\"name\"><a href=\"/item.php?id=%d\" title=\"Item\">Cup %d</a></td><td align=\"right\">%d yen</td></tr>\n";
my $rows = join '', map { sprintf $row, $_, $_, $_ * 10 } 1 .. 480;
my $form = "<form action=\"/guarded/contact.php\" method=\"post\">\n<p><input name=\"name\"></p>\n<p><button>Send</button></p>\n</form>\n";
sub page { my ($more) = @_; return "<!DOCTYPE html>\n<html><head><title>Shop</title></head>\n<body>\n<table>\n$rows</table>\n$more</body></html>\n" }
# Some milliseconds of work, as WordPress has some hundred.
my $work = "<?php for (\$i = 0; \$i < 20000; \$i++) { \$x = md5((string) \$i); } ?>";

my %page = (
    'form.html' => page($form), 'none.html' => page(''), 'form.php' => $work . page($form), 'none.php' => $work . page(''),
    'image.png' => "\x89PNG" . 'x' x 50_000,
);
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', loglevel => 'warn', config => "AddType image/png .png\n",
    files => {
        (map { my $dir = $_; map { ("$dir/$_" => $page{$_}) } keys %page } qw(on off)),
        'on/.htaccess' => "FormGuardInject On\n", 'off/.htaccess' => "FormGuardInject Off\n",
        'guarded/.htaccess' => "FormGuard On\nFormGuardCaptcha altcha\n", 'guarded/contact.php' => "<?php\n",
    },
);

sub rate
{
    my ($path) = @_;
    my $requests = $path =~ /php/ ? $n / 5 : $n;
    my $url = $httpd->url($path);
    my $out = `ab -q -k -c 2 -n $requests $url 2>&1`;
    $out =~ /Failed requests:\s+0\n/ && $out !~ /Non-2xx/ or die $out;
    return $out =~ /Requests per second:\s+([\d.]+)/ ? $1 : die $out;
}

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2] }

printf "%-10s %7s %8s %8s  ratio\n", 'page', 'bytes', 'off', 'on';
for my $name (sort keys %page) {
    my %rates;
    rate("/$_/$name") for qw(on off);
    for my $round (1 .. $rounds) {
        push @{ $rates{$_} }, rate("/$_/$name") for $round % 2 ? qw(on off) : qw(off on);
    }
    my @ratios = map { $rates{on}[$_] / $rates{off}[$_] } 0 .. $rounds - 1;
    printf "%-10s %7d %8.0f %8.0f  %.3f\n", $name, length $page{$name}, median(@{ $rates{off} }), median(@{ $rates{on} }), median(@ratios);
}
$httpd->done;
