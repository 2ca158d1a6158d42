#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A provider's policy and a customer's .htaccess: what the one enforces the other can't get past, and what he writes
# crashes nothing, hangs nothing and slows nobody else. Two customers can't touch each other's counters.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my $dir = FormGuard::Process::private_dir();
system($^X, FormGuard::Httpd::forms_dir() . '/../make-mmdb', "$dir/c.mmdb", '192.0.2.0/24=JP', '198.51.100.0/24=HK')
    and die "make-mmdb failed\n";
my $GEO = "FormGuardGeoDatabase $dir/c.mmdb\n";

# --- what a provider enforces --------------------------------------------------------------------

my $POLICY = "FormGuard On\nFormGuardPath *.cgi\nFormGuardFormField mail\nFormGuardLimit ip 3/10m\nFormGuardCountry HK refuse\n"
    . "FormGuardField bcc empty\nFormGuardField mail single-line\nFormGuardBodyLimit 100K over=pass\n";

# The policy holds: three posts of an address, none from Hong Kong, no honeypot, no header injected.
my @PROBES = (
    (map { { form => 'mail=a', from => 'A' } } 1 .. 5), { form => 'mail=a', from => 'HK' }, { form => 'mail=a&bcc=b', from => 'B' },
    { form => 'mail=a%0d%0aBcc:b', from => 'B' }, { multipart => [mail => "a\r\nBcc:b"], from => 'B' },
);
my $HOLDS = '200 200 200 429 429 403 403 422 422';

my $addresses = 0;

sub probe
{
    my ($httpd, $path, @headers) = @_;
    my $n = $addresses++;
    my %from = (A => '10.1.' . int($n / 250) . '.' . (1 + $n % 250), B => '10.2.' . int($n / 250) . '.' . (1 + $n % 250), HK => '198.51.100.' . (1 + $n % 250));
    return join ' ', map {
        my %q = (%$_, from => $from{$_->{from}}, headers => \@headers);
        $httpd->client->post($path, %q)->status;
    } @PROBES;
}

my $ALL = "FormGuard Off\nFormGuardLimit ip 1000000/1s\nFormGuardCountry HK allow\nFormGuardCaptcha off\nFormGuardPath /none\n"
    . "FormGuardMethods PUT\nFormGuardFormField none\nFormGuardDeny Off\nFormGuardBodyLimit 1 over=pass\n";

# What a customer may write. A text is the .htaccess beside form.cgi; a hash names files, and the script's path.
my %ATTACKS = (
    'Off' => "FormGuard Off\n",
    'DetectionOnly' => "FormGuard DetectionOnly\n",
    'DetectionOnly and rules of his own' => "FormGuard DetectionOnly\nFormGuardLimit ip 1/1d\nFormGuardDeny On\nFormGuardField mail empty\n",
    'DetectionOnly and a body of one byte' => "FormGuard DetectionOnly\nFormGuardBodyLimit 1 over=refuse\n",
    'a higher limit' => "FormGuardLimit ip 1000/10m\n",
    'the same limit, logging' => "FormGuardLimit ip 3/10m action=log\n",
    'the same limit, of what is accepted' => "FormGuardLimit ip 3/10m count=accepted\n",
    'HK allowed' => "FormGuardCountry HK allow\nFormGuardCountry unknown allow\nFormGuardCountry * allow\n",
    'HK challenged by a captcha nobody is asked for' => "FormGuardCountry HK challenge\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret x\nFormGuardCaptchaWhen challenged\n",
    'fields loosened' => "FormGuardField bcc max-links=1000\nFormGuardField mail bcc required action=log\n",
    'another path' => "FormGuardPath /none\n",
    'another method' => "FormGuardMethods PUT\n",
    'another form field' => "FormGuardFormField none\n",
    'another form software' => "FormGuardPreset contact-form-7\n",
    'a body of one byte inspected' => "FormGuardBodyLimit 1 over=pass\n",
    'no deny' => "FormGuardDeny Off\n",
    'everything' => $ALL,
    'everything in <If> at the end' => "FormGuard On\n<If \"true\">\n$ALL</If>\n",
    'everything in <If> of <Files>' => "<Files form.cgi>\n<If \"true\">\n$ALL</If>\n</Files>\n",
    'everything in <Files> and <FilesMatch>' => "<Files form.cgi>\n$ALL</Files>\n<FilesMatch \".\">\n$ALL</FilesMatch>\n",
    'everything in <IfModule>' => "<IfModule mod_formguard.c>\n$ALL</IfModule>\n",
    'everything in <Else>' => "<If \"false\">\n</If>\n<ElseIf \"true\">\n$ALL</ElseIf>\n<If \"false\">\n</If>\n<Else>\n$ALL</Else>\n",
    'folder by folder' => { files => { '.htaccess' => $ALL, 'a/.htaccess' => $ALL, 'a/b/.htaccess' => "<If \"true\">\n$ALL</If>\n", 'a/b/form.cgi' => $SCRIPT }, path => 'a/b/form.cgi' },
    'rewritten to where all is off' => { files => { '.htaccess' => "RewriteEngine On\nRewriteRule ^go\\.cgi\$ off/form.cgi\n", 'off/.htaccess' => $ALL, 'off/form.cgi' => $SCRIPT }, path => 'go.cgi' },
    'rewritten from where all is off' => { files => { '.htaccess' => "$ALL\nRewriteEngine On\nRewriteRule ^go\$ on/form.cgi\n", 'on/form.cgi' => $SCRIPT }, path => 'go' },
    'an index' => { files => { '.htaccess' => "${ALL}DirectoryIndex form.cgi\n" }, path => '' },
    'path info' => { files => { '.htaccess' => "${ALL}AcceptPathInfo On\n" }, path => 'form.cgi/x.html' },
    'another address' => "${ALL}RequestHeader set X-Forwarded-For 192.0.2.1\n",
    'everybody let in' => "${ALL}Satisfy Any\nRequire all granted\n",
);

my %PLACES = (
    'server config' => $POLICY,
    'virtual host' => "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName a.test\nDocumentRoot \@HTDOCS\@\n$POLICY</VirtualHost>\n",
    'Directory' => "<Directory \@HTDOCS\@>\n$POLICY</Directory>\n",
    'Location' => "<Location />\n$POLICY</Location>\n",
    'If' => "<If \"true\">\n$POLICY</If>\n",
);

sub plant
{
    my ($httpd, $folder, $what) = @_;
    my %files = ref $what ? %{$what->{files}} : ('.htaccess' => $what);
    $httpd->write_file("$folder/form.cgi", $SCRIPT);
    $httpd->write_file("$folder/$_", $files{$_}) for sort keys %files;
    return "/$folder/" . (ref $what ? $what->{path} : 'form.cgi');
}

for my $place (sort keys %PLACES) {
    subtest "the policy in $place: nothing in .htaccess loosens it" => sub {
        my $httpd = FormGuard::Httpd->new(mpm => 'event', modules => ['access_compat'], config => $GEO . $PLACES{$place});
        my $n = 0;
        $httpd->write_file('plain/form.cgi', $SCRIPT);
        is probe($httpd, '/plain/form.cgi'), $HOLDS, 'without .htaccess';
        for my $name (sort keys %ATTACKS) {
            my $path = plant($httpd, 'a' . ++$n, $ATTACKS{$name});
            is probe($httpd, $path), $HOLDS, $name;
        }
        $httpd->log_ok('nothing but verdicts is logged', qr/ FG(?:1000|1100|1200|131[12]|1400): /, '+', qr/ FG2003: /, [0, 1],
            qr/ FG(?:1220|1301): would refuse /, '*', qr/ FG1310: logged only /, '*');
        $httpd->done;
    };
}

# --- a captcha -----------------------------------------------------------------------------------

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $KNOWN = 'FormGuardCaptchaSecret ' . $vendor->secret . "\n";
my $UNKNOWN = "FormGuardCaptchaSecret nobody-knows-this-one\n";
my $EASY = "FormGuardCaptchaMinScore 0\nFormGuardCaptchaHostname *\nFormGuardCaptchaMaxAge 1d\nFormGuardCaptchaAction x\nFormGuardCaptchaWhen challenged\n"
    . "FormGuardCaptchaOnError timeout=allow unreachable=allow server-error=allow quota=allow bad-secret=allow busy=allow\n";
my %TOKEN = (
    none => undef, junk => '!', good => 'ok-score-0.9-action-contact', 'used up' => 'dup', 'another site' => 'ok-score-0.9-action-contact-host-evil.example', old => 'ok-score-0.9-action-contact-age-300',
    bot => 'ok-score-0.1-action-contact', action => 'ok-score-0.9-action-x', fault => 'status-500', quota => 'status-429', 'v2' => 'ok',
);

sub captcha
{
    my ($name, $server, $htaccess, %expect) = @_;
    my $config = join "\n", 'FormGuardCaptchaEndpoint ' . $vendor->url, 'FormGuardCaptchaCAFile ' . $vendor->ca,
        "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName shop.example\nDocumentRoot \@HTDOCS\@\n<Directory \@HTDOCS\@\@CASE\@>\nFormGuard On\n$server</Directory>\n</VirtualHost>\n";
    return {
        name => "captcha: $name", global => $GEO, config => $config, htaccess => $htaccess,
        requests => [map { { form => { mail => 'a', defined $TOKEN{$_} ? ('g-recaptcha-response' => FormGuard::Vendor::fresh($TOKEN{$_})) : () }, status => $expect{$_}, from => "192.0.2.1" } }
            sort keys %expect],
        log => [qr/ FG1\d{3}: /, '+', qr/ FG2003: /, [0, 1], qr/ FG230[2-4]: /, '*'],
    };
}

my $V2 = "FormGuardCaptcha recaptcha-v2\n";
my $V3 = "FormGuardCaptcha recaptcha-v3\n";
my %PROVIDERS_OWN = (none => 403, junk => 403, good => 200, 'used up' => 403, 'another site' => 403, old => 403, fault => 503);
my %CAPTCHAS = (
    'Off' => "FormGuard Off\nFormGuardCaptcha off\n$EASY",
    'off' => "FormGuardCaptcha off\n$EASY",
    'only when challenged' => "FormGuardCaptchaWhen challenged\n$EASY",
    'a field of his own' => "FormGuardCaptchaField mail\n$EASY",
    'his own in DetectionOnly' => "FormGuard DetectionOnly\n$V2$KNOWN$EASY",
    'his own where nobody posts' => "FormGuardPath /none\n$V2$KNOWN$EASY",
    'his own for a field nobody sends' => "FormGuardFormField none\n$V2$KNOWN$EASY",
    'his own in another method' => "FormGuardMethods PUT\n$V2$UNKNOWN$EASY",
);

FormGuard::Case::run(
    { mpm => 'event', path => 'form.cgi', files => { 'form.cgi' => $SCRIPT } },
    (map { captcha("the provider's is asked, where .htaccess says: $_", "$V2$KNOWN", $CAPTCHAS{$_}, %PROVIDERS_OWN) } sort keys %CAPTCHAS),
    captcha('keys of his own, easier settings', "$V3${UNKNOWN}FormGuardCaptchaAction contact\n", "$V3$KNOWN$EASY",
        none => 403, junk => 403, good => 200, 'used up' => 403, 'another site' => 403, old => 403, bot => 403, action => 403, fault => 503, quota => 503, v2 => 503),
    captcha('keys of his own for an easier kind', "$V3$UNKNOWN", "$V2$KNOWN$EASY", none => 403, good => 200, bot => 403, 'another site' => 403),
    captcha('his secret alone, in <If>', "$V2$UNKNOWN", "<If \"true\">\n$KNOWN$EASY</If>\n", none => 403, good => 200, old => 403, 'another site' => 403, fault => 503),
    captcha('a secret that is wrong, where the provider lets errors pass', "$V2${KNOWN}FormGuardCaptchaOnError bad-secret=allow quota=allow server-error=allow timeout=allow\n",
        "$UNKNOWN$EASY", none => 403, good => 503, fault => 503, quota => 503),
    captcha('the provider\'s secret at another kind', "$V3${KNOWN}FormGuardCaptchaOnError bad-secret=allow\n", "$V2$EASY", none => 403, good => 503, v2 => 503),
    captcha('which lets errors pass without .htaccess', "$V2${KNOWN}FormGuardCaptchaOnError server-error=allow\n", "FormGuardCaptchaOnError server-error=refuse\n", none => 403, good => 200, fault => 200),
    captcha('a challenge of the provider\'s is refused where the site\'s captcha is not asked', "FormGuardLimit ip 1000/1m\nFormGuardCountry JP challenge\n",
        "${V2}${KNOWN}FormGuardFormField none\n$EASY", none => 403, good => 403),
    captcha('a challenge of the provider\'s is refused where the site\'s captcha only detects', "FormGuardLimit ip 1000/1m\nFormGuardCountry JP challenge\n",
        "FormGuard DetectionOnly\n${V2}$KNOWN$EASY", none => 403, good => 403),
    captcha('a challenge of the provider\'s is answered at the site\'s captcha', "FormGuardLimit ip 1000/1m\nFormGuardCountry JP challenge\n",
        "${V2}$KNOWN$EASY", none => 403, good => 200, 'another site' => 403, fault => 503),
    captcha('an uninspected body is no way round a challenge', "FormGuardBodyLimit 10 over=pass\nFormGuardCountry JP challenge\n", "$V2$KNOWN", none => 403, good => 403),
);

# --- what shall not be understood, hang, crash or slow anybody ---------------------------------------

my $MB = 'a' x 1_000_000;
my %HOSTILE = (
    (map { ("a path: $_" => "FormGuardCaptchaSecretFile $_\n", "a CA file: $_" => "FormGuardCaptchaCAFile $_\n", "a database: $_" => "FormGuardGeoDatabase $_\n", "pages: $_" => "FormGuardPages $_\n") }
        '/etc/passwd', '@DIR@/fifo', '/dev/zero', '/proc/self/mem'),
    'a URL' => "FormGuardCaptchaEndpoint http://127.0.0.1:\@PORT\@/\n", 'a file URL' => "FormGuardCaptchaEndpoint file:///etc/passwd\n",
    'the override' => "FormGuardOverride all\nFormGuard Off\n", 'the override in <If>' => "<If \"true\">\nFormGuardOverride all\nFormGuard Off\n</If>\n",
    'the site' => "FormGuardSite %{REMOTE_ADDR}\n", 'the counters' => "FormGuardCounters shm:1024\n",
    'a line of 1 MB: path' => "FormGuardPath /$MB\n", 'a line of 1 MB: stars' => 'FormGuardPath ' . ('*a' x 500_000) . "b\n",
    'a line of 1 MB: brackets' => 'FormGuardPath *' . ('[a-' x 300_000) . "\n", 'a line of 1 MB: field' => "FormGuardField $MB required\n",
    'a line of 1 MB: countries' => 'FormGuardCountry ' . join(',', ('HK') x 300_000) . " allow\n",
    'a line of 1 MB: a limit\'s countries' => 'FormGuardLimit country=' . join(',', ('EU') x 300_000) . " 1000/1m\n",
    'a line of 1 MB: rate' => 'FormGuardLimit ip ' . ('9' x 1_000_000) . "/1m\n", 'a line of 1 MB: words' => 'FormGuardFormField' . (' a' x 500_000) . "\n",
    'a line of 1 MB: secret' => "FormGuardCaptchaSecret $MB\n", 'a line of 1 MB: host names' => 'FormGuardCaptchaHostname ' . ('*.' x 500_000) . "\n",
    'a line of 1 MB: unknown' => "FormGuard$MB On\n", 'a line of 1 MB: folded' => "FormGuardPath /a \\\n" x 60_000 . "/b\n",
    'a thousand limits' => join('', map { "FormGuardLimit ip 1000/${_}m\n" } 1 .. 1000),
    'a thousand countries' => join('', map { "FormGuardCountry HK,JP allow\n" } 1 .. 1000),
    'a thousand fields' => join('', map { "FormGuardField f$_ required action=log\n" } 1 .. 1000),
    'a thousand paths' => join('', map { "FormGuardPath /" . ('a*' x 100) . "$_\n" } 1 .. 1000),
    'rules in a thousand sections' => join('', map { my $n = $_; "<If \"true\">\n" . join('', map { "FormGuardLimit ip 1000/${_}s\n" } $n * 30 .. $n * 30 + 29) . "</If>\n" } 1 .. 1000),
    'rules in sixty folders' => {
        files => { map({ (('d/' x $_) . '.htaccess' => join '', map { ($_ > 8 ? '' : "FormGuardLimit ip 1000/${_}m 1001/${_}h 1002/1d 1003/2d\n") . "FormGuardField f$_ max-links=9\n" } 1 .. 32) } 0 .. 60), ('d/' x 60) . 'form.cgi' => $SCRIPT },
        path => ('d/' x 60) . 'form.cgi',
    },
    'nothing that ends' => "<If \"true\">\n" x 500, 'bytes that are none of ours' => join('', map { chr } grep { $_ != 10 } 0 .. 255) . "\nFormGuard \xff\xfe\n",
    'percent signs' => "FormGuardPath /%n%n%s%x\nFormGuardField %n%s required action=log\nFormGuardLimit field:%s%n 1000/1m\n",
);

subtest 'hostile .htaccess: nothing gets through, hangs, crashes or slows others' => sub {
    my $httpd = FormGuard::Httpd->new(
        mpm => 'event', start => 0,
        config => "$GEO$POLICY<VirtualHost 127.0.0.1:\@PORT\@>\nServerName bad.test\nDocumentRoot \@HTDOCS\@\n</VirtualHost>\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName good.test\nDocumentRoot \@DIR\@/good\n<Directory \@DIR\@/good>\nRequire all granted\n</Directory>\n</VirtualHost>\n"
    );
    mkdir $httpd->dir . '/good' or die "good: $!\n";
    $httpd->_write($httpd->dir . '/good/page.html', 'good');
    POSIX::mkfifo($httpd->dir . '/fifo', 0644) or die "fifo: $!\n";
    $httpd->start;
    my $good = sub {
        my ($n) = @_;
        my @took;
        for (1 .. $n) {
            my $start = time;
            my $r = $httpd->client->get('/page.html', headers => [Host => 'good.test']);
            push @took, time - $start if $r->body eq 'good';
        }
        return @took;
    };
    my $median = sub { my @s = sort { $a <=> $b } @_; return $s[@s / 2] // 1e9 };
    $good->(5);
    my $before = $median->($good->(40));
    my $n = 0;
    my (@during, $slowest, $which);
    for my $name (sort keys %HOSTILE) {
        my $path = plant($httpd, 'h' . ++$n, $HOSTILE{$name});
        my $address = "10.3.0.$n";
        my $start = time;
        my @statuses = map { $httpd->client->post($path, form => 'mail=a', from => $address, headers => [Host => 'bad.test'])->status } 1 .. 5;
        my $took = (time - $start) / 5;
        ($slowest, $which) = ($took, $name) if $took > ($slowest // 0);
        my %seen;
        $seen{$_}++ for @statuses;
        ok(("@statuses" eq '200 200 200 429 429' || ($seen{500} // 0) == 5), "$name: refused, or judged by the provider's limit") or diag "@statuses";
        is $httpd->client->post($path, form => 'mail=a', from => '198.51.100.7', headers => [Host => 'bad.test'])->status != 200, 1, "$name: nothing from HK";
    }
    cmp_ok $slowest, '<', FormGuard::Process::patience(2), "no post takes long: $which";
    # The worst of them again and again, while somebody else reads his pages.
    my @out = FormGuard::Client::parallel(2, sub {
        my ($worker) = @_;
        return [$good->(60)] if $worker == 0;
        my $i = 0;
        for (1 .. 60) {
            $httpd->client->post('/h' . (1 + $i++ % $n) . '/form.cgi', form => 'mail=a', from => '10.4.0.1', headers => [Host => 'bad.test']);
        }
        return [];
    });
    @during = map { @{$_ || []} } @out;
    is scalar @during, 60, 'the other site answers all the time';
    cmp_ok $median->(@during), '<', 20 * $before + 0.05, sprintf 'as fast as before: %.1f ms, %.1f ms', 1000 * $before, 1000 * $median->(@during);
    my @long = grep { length > 9000 } $httpd->log_lines;
    is scalar @long, 0, 'no line of the log is longer than httpd cuts it';
    unlike join("\n", $httpd->log_lines), qr/root:x:/, 'nothing of a file is told';
    $httpd->log_ok('verdicts, and one line for what is not understood', qr/ FG1(?:000|100|200): /, '+', qr{\[core:alert\] .*/\.htaccess: }, '+', qr/ FG1310: logged only /, '*', qr/ FG2008: /);
    $httpd->done;
};

# --- FormGuardOverride -------------------------------------------------------------------------------

my $OVERRIDE_HOSTS = $GEO . join '', map { "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $_.test\nDocumentRoot \@HTDOCS\@\nFormGuardOverride $_\n<Location />\n$POLICY</Location>\n</VirtualHost>\n" } qw(none tighten all);

sub override
{
    my ($name, $override, $htaccess, $statuses, @log) = @_;
    my $n = ++$addresses % 200;
    my @from = map { $_->{from} eq 'HK' ? "198.51.100.$n" : $_->{from} eq 'A' ? undef : "10.5.0.$n" } @PROBES;
    my @statuses = split ' ', $statuses;
    my @requests = map { my %q = (%{$PROBES[$_]}, from => $from[$_], status => $statuses[$_], send => [Host => "$override.test"]); delete $q{from} if !defined $q{from}; \%q } 0 .. $#PROBES;
    return {
        name => "Override $override: $name", config => $OVERRIDE_HOSTS,
        htaccess => $htaccess, requests => \@requests, log => \@log,
    };
}

my $NOT_HERE = qr{\[core:alert\] .*/\.htaccess: (FormGuard\w*): not allowed here: the server config says FormGuardOverride none$};
my @OVERRIDES = (
    (map { override("$_ is an error", 'none', "$_\n", join(' ', (500) x @PROBES), $NOT_HERE => scalar @PROBES) }
        'FormGuard Off', 'FormGuard On', 'FormGuardLimit ip 1/1d', 'FormGuardCountry * refuse', 'FormGuardDeny On', "<If \"true\">\nFormGuard Off\n</If>", "<Files form.cgi>\nFormGuard Off\n</Files>"),
    override('other lines work', 'none', "Options None +ExecCGI\n", $HOLDS, qr/ FG/, '+'),
    override('Off', 'all', "FormGuard Off\n", join(' ', (200) x @PROBES)),
    override('DetectionOnly', 'all', "FormGuard DetectionOnly\n", join(' ', (200) x @PROBES), qr/ FG1000: / => 3, qr/ would refuse / => 6),
    override('a country', 'all', "FormGuardCountry HK allow\n", '200 200 200 429 429 200 403 422 422', qr/ FG/ => 9),
    override('another path', 'all', "FormGuardPath /none\n", join(' ', (200) x @PROBES)),
    override('another method', 'all', "FormGuardMethods PUT\n", join(' ', (200) x @PROBES)),
    override('another form field', 'all', "FormGuardFormField none\n", join(' ', (200) x @PROBES)),
    override('Off for one file', 'all', "<Files other.cgi>\nFormGuard Off\n</Files>\n", $HOLDS, qr/ FG/ => 9),
    override('Off', 'tighten', "FormGuard Off\n", $HOLDS, qr/ FG/ => 9),
);

# --- what a site owner can do --------------------------------------------------------------------------

sub ok_ { my ($n, %o) = @_; return map { { form => 'mail=a', status => 200, %o } } 1 .. $n }
sub no_ { my ($status, %o) = @_; return { form => 'mail=a', status => $status, %o } }
my $FULL = sub { my ($rule) = @_; return qr/ FG1100: refused 429: too many posts: rule="\Q$rule\E" / };
my $TIGHT = "<Directory \@HTDOCS\@>\n$POLICY</Directory>\n";

my @SITE = (
    { name => 'site: a lower limit', htaccess => "FormGuardLimit ip 1/10m\n", requests => [ok_(1), no_(429, log => [$FULL->('ip 1/10m')]), ok_(1, from => '192.0.2.9')], log => [qr/ FG1000: / => 2] },
    {
        name => 'site: what his limit refuses takes nothing from the provider\'s', files => { map { ("$_/form.cgi" => $SCRIPT) } qw(a b) }, htaccess => "FormGuardLimit ip 100/1h\n",
        before => sub { my ($httpd, $folder) = @_; $httpd->write_file("$folder/a/.htaccess", "FormGuardLimit ip 1/10m\nFormGuardLimit form 1/10m\n") },
        requests => [
            ok_(1, path => 'a/form.cgi'), (map { no_(429, path => 'a/form.cgi') } 1 .. 5),
            ok_(2, path => 'b/form.cgi'), no_(429, path => 'b/form.cgi', log => [$FULL->('ip 3/10m')]),
        ],
        log => [qr/ FG1000: / => 3, $FULL->('ip 1/10m') => 5],
    },
    {
        name => 'site: one file with more rates than hold is an error', htaccess => join('', map { "FormGuardLimit ip 1000/${_}m 1001/${_}h 1002/${_}d 1003/${_}w\n" } 1 .. 9),
        requests => [no_(500)], log => [qr{\[core:alert\] .*/\.htaccess: FormGuardLimit: 'ip 1000/9m 1001/9h 1002/9d 1003/9w' is too much: all limits may have 32 rates together here$}],
    },
    {
        name => 'site: what several files add up to holds as far as it may, and the rest is told once', files => { 'a/form.cgi' => $SCRIPT },
        htaccess => join('', map { "FormGuardLimit ip 1000/${_}m 1001/${_}h 1002/${_}d 1003/${_}w\n" } 1 .. 8),
        before => sub { my ($httpd, $folder) = @_; $httpd->write_file("$folder/a/.htaccess", "FormGuardLimit form 1/10m\nFormGuardField name required\n") },
        requests => [no_(422, path => 'a/form.cgi'), ok_(2, path => 'a/form.cgi', form => 'mail=a&name=b'), no_(429, path => 'a/form.cgi', form => 'mail=a&name=b', log => [$FULL->('ip 3/10m')])],
        log => [qr/ FG1310: /, 1, qr/ FG1000: / => 2, qr{ \[formguard:warn\] .* FG2008: lines of FormGuardLimit in \.htaccess do not hold: more than 32 of a kind, or limits with more than 32 rates together: dir=\S+/case\d+/a/$}, 1],
    },
    { name => 'site: another country', htaccess => "FormGuardCountry JP refuse\n", requests => [no_(403, from => '192.0.2.9'), no_(403, from => '198.51.100.9'), ok_(1)], log => [qr/ FG1200: .* rule="JP refuse" /, 1, qr/ FG1200: .* rule="HK refuse" /, 1, qr/ FG1000: /] },
    { name => 'site: another field rule', htaccess => "FormGuardField name required\n", requests => [no_(422), ok_(1, form => 'mail=a&name=b'), no_(403, form => 'mail=a&name=b&bcc=c')], log => [qr/ FG1310: /, 1, qr/ FG1000: /, 1, qr/ FG1311: /] },
    { name => 'site: deny', htaccess => "FormGuardDeny On\n", requests => [no_(403)], log => [qr/ FG1220: /] },
    { name => 'site: a smaller body', htaccess => "FormGuardBodyLimit 10\n", requests => [no_(413, form => 'mail=' . 'a' x 20), ok_(1)], log => [qr/ FG1301: /, 1, qr/ FG1000: /] },
    { name => 'site: a captcha', htaccess => "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret x\n", requests => [no_(403)], log => [qr/ FG1400: /] },
    { name => 'site: more of what is guarded', htaccess => "FormGuardMethods POST PUT\nFormGuardLimit ip 1/10m\n", requests => [ok_(1, method => 'PUT'), no_(429, method => 'PUT')], log => [qr/ FG1000: /, 1, $FULL->('ip 1/10m')] },
    {
        name => 'site: FormGuard On where the provider says Off: his rules join the site\'s', config => "FormGuardLimit ip 2/10m\nFormGuardCountry HK refuse\n# \@CASE\@\n", files => { map { ("$_/form.cgi" => $SCRIPT) } qw(a b) },
        before => sub { my ($httpd, $folder) = @_; $httpd->write_file("$folder/a/.htaccess", "FormGuard On\nFormGuardLimit ip 100/1h\nFormGuardLimit form 1/10m\n") },
        requests => [ok_(5, path => 'b/form.cgi'), ok_(1, path => 'a/form.cgi'), no_(429, path => 'a/form.cgi', from => '192.0.2.9', log => [$FULL->('form 1/10m')]), no_(403, path => 'a/form.cgi', from => '198.51.100.9')],
        log => [qr/ FG1000: /, 1, qr/ FG1200: /],
    },
    {
        name => 'site: FormGuard On where the provider only detects', config => "<Location \@CASE\@>\nFormGuard DetectionOnly\nFormGuardLimit ip 1/10m\n</Location>\n", htaccess => "FormGuard On\nFormGuardLimit ip 3/10m\n",
        requests => [ok_(3), no_(429, log => [$FULL->('ip 3/10m')])], log => [qr/ FG1000: /, 1, qr/ FG1100: would refuse 429: .* rule="ip 1\/10m" /, 2],
    },
);
$_->{config} //= $TIGHT for @SITE;
$_->{global} = $GEO for @SITE;

# --- two customers ---------------------------------------------------------------------------------------

my @KEYS = ('ip', 'net', 'form', 'site', 'server', 'field:mail');
my @two = (map { [Host => "$_.test"] } qw(one two));

# What a provider says of all his customers in the folders of a case: folder => limit.
my %COMMON = (map { ((/(\w+)/)[0] => "FormGuardLimit $_ 3/10m") } @KEYS);
my $CUSTOMERS = "$GEO<Directory \@HTDOCS\@>\nFormGuard On\nFormGuardLimit ip 100000/1m\n</Directory>\n"
    . join('', map { "<DirectoryMatch \"/all-$_/\">\n$COMMON{$_}\n</DirectoryMatch>\n" } sort keys %COMMON)
    . join('', map { "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $_.test\nDocumentRoot \@HTDOCS\@\nFormGuardSite $_\n</VirtualHost>\n" } qw(one two));

sub apart
{
    my ($name, $htaccess, $rule) = @_;
    return {
        name => "two customers count apart: $name", config => $CUSTOMERS,
        files => { map { ("$_/form.cgi" => $SCRIPT, "$_/.htaccess" => $htaccess) } qw(one two) },
        requests => [
            ok_(2, send => $two[0], path => 'one/form.cgi'), (map { no_(429, send => $two[0], path => 'one/form.cgi', log => [$FULL->($rule)]) } 1 .. 3),
            ok_(2, send => $two[1], path => 'two/form.cgi'), no_(429, send => $two[1], path => 'two/form.cgi', log => [$FULL->($rule)]),
        ],
        log => [qr/ FG1000: / => 4],
    };
}

my @CUSTOMERS = (
    (map { apart($_, "FormGuardLimit $_ 2/10m\n", "$_ 2/10m") } @KEYS),
    apart('server in <Files>', "<Files form.cgi>\nFormGuardLimit server 2/10m\n</Files>\n", 'server 2/10m'),
    apart('ip in <If> of <Files>', "<Files form.cgi>\n<If \"true\">\nFormGuardLimit ip 2/10m\n</If>\n</Files>\n", 'ip 2/10m'),
    apart('server, everything counted tenfold', "FormGuardLimit server 20/10m weight=10\n", 'server 20/10m weight=10'),
    (map {
        my ($key, $together) = @$_;
        my ($word) = $key =~ /(\w+)/;
        my ($one, $other) = map { "all-$word/$_/form.cgi" } qw(one two);
        {
            name => "the provider's $key is " . ($together ? 'one for all' : 'one each'), config => $CUSTOMERS,
            files => { map { ($_ => $SCRIPT, s/form\.cgi/.htaccess/r => "FormGuardLimit $key 100/10m\nFormGuardLimit server 100/10m\n") } $one, $other },
            requests => [
                ok_(2, send => $two[0], path => $one), ok_(1, send => $two[1], path => $other),
                $together ? () : (ok_(1, send => $two[0], path => $one), ok_(2, send => $two[1], path => $other)),
                no_(429, send => $two[0], path => $one, log => [$FULL->("$key 3/10m")]), no_(429, send => $two[1], path => $other, log => [$FULL->("$key 3/10m")]),
            ],
            log => [qr/ FG1000: / => $together ? 3 : 6],
        };
    } ['ip', 1], ['net', 1], ['server', 1], ['field:mail', 1], ['site', 0], ['form', 0]),
    {
        name => 'a form one customer has closed is his own', config => $CUSTOMERS,
        files => { map { ("$_/form.cgi" => $SCRIPT, "$_/.htaccess" => "FormGuardLimit server 1/10m action=close:1h\n") } qw(one two) },
        requests => [
            ok_(1, send => $two[0], path => 'one/form.cgi'), (map { no_(503, send => $two[0], path => 'one/form.cgi') } 1 .. 3), ok_(1, send => $two[1], path => 'two/form.cgi'),
        ],
        log => [qr/ FG1000: / => 2, qr/ FG1101: closes its form/, 1, qr/ FG1101: refused 503: / => 3],
    },
);

FormGuard::Case::run({ mpm => 'event', path => 'form.cgi', files => { 'form.cgi' => $SCRIPT } }, @OVERRIDES, @SITE, @CUSTOMERS);

done_testing;
