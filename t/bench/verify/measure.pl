# SPDX-License-Identifier: Apache-2.0
# measure.pl CLIENT ROUNDS: the three side by side, asking a private httpd with TLS that has the answer in a file.
use strict;
use warnings;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use File::Basename qw(dirname);
use POSIX qw(strftime);
use Time::HiRes qw(time);

my ($client, $rounds) = @ARGV;
my %count = (module => 2000, curl => 20, php => 40);
my @who = qw(module curl php);
my %name = (module => 'the module\'s client', curl => 'curl, a command each', php => 'PHP, file_get_contents');

# Its certificates, and a bundle of CAs as long as the system's, since that is what is read for each new handle.
my $vendor = FormGuard::Vendor->new;
my $dir = $vendor->{dir};
my $port = FormGuard::Process::free_port();
my $ca = "$dir/bundle.pem";
my ($system) = grep { -f } qw(/etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt);
system("cat @{[$system // ()]} " . $vendor->ca . " > $ca; chmod 644 $ca $dir/good.crt") == 0 or die "no bundle of CAs\n";
my $httpd = FormGuard::Httpd->new(
    mpm => 'event', module => 0, modules => ['ssl'], loglevel => 'crit',
    files => { 'siteverify.json' => '{"success":true,"challenge_ts":"' . strftime('%Y-%m-%dT%H:%M:%SZ', gmtime) . '","hostname":"shop.example"}' },
    config => "Listen 127.0.0.1:$port\n<VirtualHost 127.0.0.1:$port>\nSSLEngine on\nSSLCertificateFile $dir/good.crt\nSSLCertificateKeyFile $dir/good.key\n"
        . "DocumentRoot \@HTDOCS\@\n</VirtualHost>\n",
);
my $url = "https://localhost:$port/siteverify.json";
my $php = FormGuard::Process::in_path(qw(php php8.2 php-cli)) or die "no php: install php-cli\n";

sub own_figures
{
    my (@command) = @_;
    open my $out, '-|', @command or die "$command[0]: $!\n";
    my ($wall, $cpu) = (<$out> // '') =~ /^(\S+) (\S+)$/;
    close $out && $wall or die "$command[0] failed\n";
    return ($wall, $cpu);
}

my %measure = (
    module => sub { own_figures($client, $url, $ca, $_[0]) },
    php => sub { own_figures($php, '-n', '-d', 'extension_dir=' . (`$php -r 'echo ini_get("extension_dir");'`), '-d', "openssl.cafile=$ca", dirname(__FILE__) . '/siteverify.php', $url, $_[0]) },
    curl => sub {
        my ($n) = @_;
        my ($start, @before) = (time, times);
        for my $i (1 .. $n) {
            my @command = ('curl', '-sS', '--fail', '--cacert', $ca, '-o', "$dir/reply", '--data-urlencode', 'secret=6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe',
                '--data-urlencode', sprintf('response=03AFcWeA%01900d', $i), '--data-urlencode', 'remoteip=203.0.113.7', $url);
            system(@command) == 0 or die "curl failed\n";
        }
        my @after = times;
        return (time - $start, $after[2] + $after[3] - $before[2] - $before[3]);
    },
);

sub median { my @t = sort { $a <=> $b } @_; return $t[@t / 2] }

my (%rate, %cpu, %rate_ratio, %cpu_ratio);
for my $round (1 .. $rounds) {
    my %now;
    for my $who (@who) {
        my ($wall, $cpu) = $measure{$who}->($count{$who});
        $now{$who} = [$count{$who} / $wall, 1000 * $cpu / $count{$who}];
        push @{$rate{$who}}, $now{$who}[0];
        push @{$cpu{$who}}, $now{$who}[1];
    }
    for my $who (@who) {
        push @{$rate_ratio{$who}}, $now{module}[0] / $now{$who}[0];
        push @{$cpu_ratio{$who}}, $now{$who}[1] / $now{module}[1];
    }
}
printf "medians of %d rounds, one verification after the other\n", $rounds;
printf "%-24s %12s %12s %14s %14s\n", '', 'a second', 'CPU ms each', 'module faster', 'module cheaper';
printf "%-24s %12.0f %12.2f %13.1fx %13.1fx\n", $name{$_}, median(@{$rate{$_}}), median(@{$cpu{$_}}), median(@{$rate_ratio{$_}}), median(@{$cpu_ratio{$_}}) for @who;
$httpd->stop;
$vendor->stop;
