# SPDX-License-Identifier: Apache-2.0
# What one process keeps of each kind of request: thousands of the same, and its anonymous memory between.
use strict;
use warnings;
use FormGuard::Client;
use FormGuard::Httpd;
use Test::More;

my $MORE = 16;    # KiB that may be left of some thousand requests, four pages
my $FORM = 'application/x-www-form-urlencoded';
my $FILE = 'multipart/form-data; boundary=BBB';
my $PAGE = "<!DOCTYPE html>\n<title>x</title><form method=\"post\" action=\"/captcha/x.txt\"><p><input name=\"a\"><button>Send</button></p></form>\n";

my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', loglevel => 'warn', global => "StartServers 1\nServerLimit 1\nMaxRequestWorkers 1\nMinSpareServers 1\nMaxSpareServers 1\n",
    files => { 'page/a.html' => $PAGE, 'page/.htaccess' => "FormGuardInject On\n", map { ("$_/x.txt" => "text\n") } qw(open limits full captcha) },
    config => <<'CONF');
<Location /limits>
    FormGuard On
    FormGuardLimit ip 1000000/1d
    FormGuardLimit form 1000000/1d
    FormGuardField message required
    FormGuardCountry KP refuse
</Location>
<Location /full>
    FormGuard On
    FormGuardLimit ip 1/1d
</Location>
<Location /captcha>
    FormGuard On
    FormGuardCaptcha altcha
</Location>
<Location /formguard-status>
    SetHandler formguard-status
</Location>
FormGuardGeoDatabase @GEO@
CONF
my ($pid) = $httpd->{process}->children;

sub anonymous
{
    open my $fh, '<', "/proc/$pid/status" or return -1;
    my ($kib) = join('', <$fh>) =~ /^RssAnon:\s+(\d+) kB/m;
    return $kib;
}

# Whether all of so many were answered.
sub ask
{
    my ($n, $path, $body, $type) = @_;
    my $file = $httpd->dir . '/body';
    if (defined $body) {
        open my $fh, '>:raw', $file or die "$file: $!\n";
        print $fh $body;
        close $fh or die "$file: $!\n";
    }
    open my $ab, '-|', 'ab', '-q', '-k', '-c', 1, '-n', $n, '-H', 'Accept: text/html', defined $body ? ('-p', $file, '-T', $type) : (), $httpd->url($path)
        or die "ab: $!\n";
    my $said = join '', <$ab>;
    close $ab;
    return $said =~ /^Complete requests:\s+$n$/m;
}

sub file { my ($kb) = @_; return FormGuard::Client::multipart([message => 'x', file => { filename => 'a', type => 'image/png', content => "\0\1\2\3" x (256 * $kb) }], 'BBB') }

my $form = FormGuard::Client::form({ message => 'hello ' x 100, name => "\xe4\xbd\x90" x 20 });
for (
    ['a page with FormGuardInject', 6000, '/page/a.html'], ['a post that is not guarded', 6000, '/open/x.txt', $form, $FORM],
    ['a post', 6000, '/limits/x.txt', $form, $FORM], ['a post of JSON', 6000, '/limits/x.txt', '{"message": "hello", "a": [1, {"b": "c"}]}', 'application/json'],
    (map { ["a file of $_ kB", 600_000 / (300 + $_), '/limits/x.txt', file($_), $FILE] } 20, 200, 400, 3000),
    ['a post that is malformed', 6000, '/limits/x.txt', "--BBB\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nx\r\n--BBB", $FILE],
    ['a post over the limit', 6000, '/full/x.txt', $form, $FORM], ['a challenge page', 6000, '/captcha/x.txt', $form, $FORM],
    ['a challenge', 6000, '/.well-known/formguard/challenge?form=/captcha/x.txt'], ['the status page', 1000, '/formguard-status'],
) {
    my ($name, $n, @what) = @$_;
    $n = int $n;
    my $ok = ask(int($n / 3), @what);
    my $before = anonymous();
    $ok &&= ask($n, @what) for 1, 2;
    ok $ok, "$name: $n and $n more are answered";
    my $after = anonymous();
    cmp_ok $after - $before, '<=', $MORE, "and the process has $after KiB, before it was $before";
}
is_deeply [$httpd->{process}->children], [$pid], 'it is the same process';
$httpd->expect_log(qr/ AH00161: server reached MaxRequestWorkers/ => '*', qr/ FG1(?:009|100|300|400): / => '+');
$httpd->done;
done_testing;
