#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What a customer may write in .htaccess, and what he is told when it is wrong: directive, value, reason, in one line;
# and the same sentence to whoever writes it in httpd.conf.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use FormGuard::Process;
use Test::More;

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my $SECRET = 'S3cr3tThatNobodyMaySee';

# --- what AllowOverride allows -----------------------------------------------------------------

my @OVERRIDES = (
    # AllowOverride, .htaccess, status, line
    ['AllowOverride AuthConfig', "FormGuard On\nFormGuardCaptcha recaptcha-v2\n", 403, qr/ FG1400: refused 403: /],
    ['AllowOverride All', "FormGuard On\nFormGuardCaptcha recaptcha-v2\n", 403, qr/ FG1400: refused 403: /],
    ['AllowOverride AuthConfig', "<Files form.cgi>\nFormGuard On\nFormGuardCaptcha recaptcha-v2\n</Files>\n", 403, qr/ FG1400: refused 403: /],
    ['AllowOverride None', "FormGuard On\nFormGuardCaptcha recaptcha-v2\n", 200],
    ['AllowOverride FileInfo Indexes Limit Options', "FormGuard On\n", 500, qr{/\.htaccess: FormGuard not allowed here$}],
    ['AllowOverride FileInfo Indexes Limit Options', "<Files form.cgi>\nFormGuardLimit ip 1/1m\n</Files>\n", 500, qr{/\.htaccess: FormGuardLimit not allowed in <Files> context$}],
    ["AllowOverride None\nAllowOverrideList FormGuard FormGuardCaptcha", "FormGuard On\nFormGuardCaptcha recaptcha-v2\n", 403, qr/ FG1400: refused 403: /],
    ["AllowOverride None\nAllowOverrideList FormGuardLimit", "FormGuard On\n", 500, qr{/\.htaccess: FormGuard not allowed here$}],
    ["AllowOverride AuthConfig", "FormGuard On\nFormGuardLimit ip 1/1m\nOptions None\n", 500, qr{/\.htaccess: Options not allowed here$}],
    ["AllowOverride AuthConfig Nonfatal=All", "FormGuard On\nFormGuardCaptcha recaptcha-v2\nOptions None\n", 403, qr/ FG1400: refused 403: / => 1, qr/ AH02295: Options in \.htaccess forbidden by AllowOverride$/],
);

{
    my $n = 0;
    my $config = join '', map { $n++; "<Directory \@HTDOCS\@/o$n>\n$_->[0]\n</Directory>\n" } @OVERRIDES;
    my $httpd = FormGuard::Httpd->new(mpm => 'event', config => $config);
    $n = 0;
    for (@OVERRIDES) {
        my ($override, $htaccess, $status, @lines) = @$_;
        $n++;
        $httpd->write_file("o$n/form.cgi", $SCRIPT);
        $httpd->write_file("o$n/.htaccess", $htaccess);
        my $name = join ', ', split /\n/, $override;
        is $httpd->client->post("/o$n/form.cgi", form => 'a=1')->status, $status, "$name: $status";
        $httpd->log_ok("$name: what is logged", @lines);
    }
    $httpd->done('nothing more in error_log');
}

# --- wrong values ------------------------------------------------------------------------------

my $LONG = 'x' x 513;
my $no_rate = qr{ is no rate: write COUNT/PERIOD, such as 5/10m$};
my $no_country = qr/ is no country: two letters \(ISO 3166-1\), EU, unknown or \*$/;
my $no_size = qr/ is no size: a number, with K, M or G for 1024, 1024\^2, 1024\^3 bytes$/;
my $no_score = qr/ is no score: 0\.0 to 1\.0$/;
my $no_cause = qr/ names no cause: timeout, unreachable, server-error, quota, bad-secret or busy, each with =allow, =refuse or =altcha$/;

# Directive and values as typed => what is said behind `DIRECTIVE: `.
my @WRONG = (
    ['FormGuard', 'Yes' => qr/^'Yes' is none of On, Off, DetectionOnly$/],
    ['FormGuard', 'On Off' => qr/^takes one value: On\|Off\|DetectionOnly$/],
    ['FormGuard', '' => qr/^takes one value: /],
    ['FormGuard', '""' => qr/^takes one value: /],
    ['FormGuardMethods', '' => qr/^takes one value at least: METHOD \[METHOD\.\.\.\]$/],
    ['FormGuardMethods', 'POST G/ET' => qr/^'G\/ET' is no HTTP method$/],
    ['FormGuardMethods', 'post' => qr/^'post' is no HTTP method of any form: methods are written in capitals$/],
    ['FormGuardMethods', '"" POST' => qr/^'' is empty$/],
    ['FormGuardPath', 'contact.php' => qr/^'contact\.php' is no URL path: it must start with '\/' or '\*'$/],
    ['FormGuardPath', '/a http://b/' => qr/^'http:\/\/b\/' is no URL path/],
    ['FormGuardFormField', '' => qr/^takes one value at least: NAME \[NAME\.\.\.\]$/],
    ['FormGuardFormField', "a $LONG" => qr/^'$LONG' is longer than any field name that is read$/],
    ['FormGuardLimit', '' => qr/^takes KEY RATE /],
    ['FormGuardLimit', 'ip' => qr/^takes KEY RATE /],
    ['FormGuardLimit', 'address 5/10m' => qr/^'address' is no key: ip, net, country, country=CC,CC, each alone or with \+form or \+site, form, site, server or field:NAME$/],
    ['FormGuardLimit', 'ip 5' => qr/^'5'$no_rate/],
    ['FormGuardLimit', 'ip 5/10m five/1h' => qr/^'five\/1h'$no_rate/],
    ['FormGuardLimit', 'ip -1/10m' => qr/^'-1\/10m'$no_rate/],
    ['FormGuardLimit', 'ip 0/10m' => qr/^'0\/10m': the count must be 1 to 1000000$/],
    ['FormGuardLimit', 'ip 1000001/10m' => qr/^'1000001\/10m': the count must be 1 to 1000000$/],
    ['FormGuardLimit', 'ip 99999999999999999999/10m' => qr/: the count must be 1 to 1000000$/],
    ['FormGuardLimit', 'ip 5/10y' => qr/^'5\/10y': the period must be a number and one of s m h d w$/],
    ['FormGuardLimit', 'ip 5/10' => qr/: the period must be a number and one of s m h d w$/],
    ['FormGuardLimit', 'ip 5/0m' => qr/: the period must be 1s to 366d$/],
    ['FormGuardLimit', 'ip 5/367d' => qr/: the period must be 1s to 366d$/],
    ['FormGuardLimit', 'ip 5/99999999999999999999d' => qr/: the period must be 1s to 366d$/],
    ['FormGuardLimit', 'ip 1/1s 2/2s 3/3s 4/4s 5/5s' => qr/^'ip 1\/1s 2\/2s 3\/3s 4\/4s 5\/5s' has 5 rates: 1 to 4 are possible$/],
    ['FormGuardLimit', 'ip action=log' => qr/ has 0 rates: 1 to 4 are possible$/],
    ['FormGuardLimit', 'ip 5/10m action=drop' => qr/^'action=drop' is no action: refuse, challenge, log or close:TIME$/],
    ['FormGuardLimit', 'ip 5/10m action=allow' => qr/^'action=allow' is no action: /],
    ['FormGuardLimit', 'ip 5/10m weight=2 colour=red' => qr/^'colour=red' is no option: action=refuse\|challenge\|log\|close:TIME, count=attempts\|accepted, from=CC,CC, from=!CC,CC, weight=N$/],
    ['FormGuardLimit', 'form 5/10m action=close:' => qr/^'action=close:' is no time: /],
    ['FormGuardLimit', 'ip 5/10m action=close:1h' => qr/ can't close the form: one client could close it for everybody; form, site and server can$/],
    ['FormGuardLimit', 'field:mail 5/10m action=close:1h' => qr/ can't close the form: /],
    ['FormGuardLimit', 'form 5/10m action=challenge' => qr/ can't challenge: what is counted when accepted is past the captcha; write count=attempts$/],
    ['FormGuardLimit', 'field:mail 5/10m count=attempts' => qr/ can't count attempts: a field is known when the body is read$/],
    ['FormGuardLimit', 'field: 5/10m' => qr/^'field:' is no key: /],
    ['FormGuardLimit', 'ip 5/10m weight=0' => qr/^'weight=0' is out of range: weight=1 to weight=1000$/],
    ['FormGuardLimit', 'ip 5/10m weight=1001' => qr/^'weight=1001' is out of range: /],
    ['FormGuardLimit', 'ip 5/10m weight=-1' => qr/^'weight=-1' is out of range: /],
    ['FormGuardLimit', 'ip 5/10m 2/1m weight=3' => qr/ admits no post at all: its weight is more than its rate$/],
    ['FormGuardLimit', 'ip 5/10m count=' => qr/^'count=' is no option/],
    ['FormGuardLimit', 'country= 5/10m' => qr/^''$no_country/],
    ['FormGuardLimit', 'country=HK,,CN 5/10m' => qr/^''$no_country/],
    ['FormGuardLimit', 'country=HK,CHN 5/10m' => qr/^'CHN'$no_country/],
    ['FormGuardCountry', 'HK' => qr/^takes CC\[,CC\.\.\.\]/],
    ['FormGuardCountry', 'HK CN refuse' => qr/^takes CC\[,CC\.\.\.\]/],
    ['FormGuardCountry', 'China refuse' => qr/$no_country/],
    ['FormGuardCountry', 'H1 refuse' => qr/^'H1'$no_country/],
    ['FormGuardCountry', 'HK deny' => qr/^'deny' is none of allow, refuse, challenge, log$/],
    ['FormGuardField', 'required' => qr/^takes NAME \[NAME\.\.\.\] required\|empty\|single-line\|max-links=N /],
    ['FormGuardField', 'mail action=log' => qr/^takes NAME /],
    ['FormGuardField', 'mail name' => qr/^'name' is no check: required, empty, single-line or max-links=N$/],
    ['FormGuardField', 'mail required action=close:1h' => qr/^'action=close:1h' is no action: refuse, challenge or log$/],
    ['FormGuardField', 'mail required action=allow' => qr/^'action=allow' is no action: /],
    ['FormGuardField', 'text max-links=' => qr/^'max-links=' is out of range: max-links=0 to max-links=1000$/],
    ['FormGuardField', 'text max-links=1001' => qr/^'max-links=1001' is out of range: /],
    ['FormGuardDeny', 'yes' => qr/^'yes' is neither On nor Off$/],
    ['FormGuardDeny', '' => qr/^takes one value: On\|Off$/],
    ['FormGuardCaptchaWhen', 'never' => qr/^'never' is neither always nor challenged$/],
    ['FormGuardBodyLimit', '' => qr/^takes SIZE \[over=refuse\|pass\]$/],
    ['FormGuardBodyLimit', '10X' => qr/^'10X'$no_size/],
    ['FormGuardBodyLimit', '-1' => qr/^'-1'$no_size/],
    ['FormGuardBodyLimit', '10MB' => qr/^'10MB'$no_size/],
    ['FormGuardBodyLimit', '0' => qr/^'0' is out of range: 1 byte to 1024G$/],
    ['FormGuardBodyLimit', '1025G' => qr/^'1025G' is out of range: 1 byte to 1024G$/],
    ['FormGuardBodyLimit', '99999999999999999999999' => qr/ is out of range: 1 byte to 1024G$/],
    ['FormGuardBodyLimit', '1M over=drop' => qr/^'over=drop' is neither over=refuse nor over=pass$/],
    ['FormGuardCaptcha', 'recaptcha' => qr/^'recaptcha' is none of off, altcha, recaptcha-v2, recaptcha-v3, recaptcha-enterprise, hcaptcha, turnstile, friendly$/],
    ['FormGuardCaptcha', 'recaptcha-v2 key' => qr/^takes off\|altcha\|recaptcha-v2\|recaptcha-v3\|recaptcha-enterprise\|hcaptcha\|turnstile\|friendly \[host=NAME\]$/],
    ['FormGuardCaptcha', 'recaptcha-v2 host=evil.example' => qr/^'host=evil\.example' is no host of recaptcha-v2: www\.google\.com, www\.recaptcha\.net$/],
    ['FormGuardCaptchaProject', 'a/../b' => qr/^'a\/\.\.\/b' is no project of Google Cloud: /],
    ['FormGuardCaptchaSiteKey', 'a b' => qr/^takes one value: KEY$/],
    ['FormGuardCaptchaSiteKey', $LONG => qr/is longer than 512 bytes$/],
    ['FormGuardCaptchaSecret', "$SECRET $SECRET" => qr/^takes one value: SECRET$/],
    ['FormGuardCaptchaSecret', '""' => qr/^takes one value: SECRET$/],
    ['FormGuardCaptchaSecret', "\"$SECRET \"" => qr/^the secret holds something that is no visible ASCII character$/],
    ['FormGuardCaptchaSecret', "$SECRET\xc3\xa9" => qr/^the secret holds something that is no visible ASCII character$/],
    ['FormGuardCaptchaSecret', $SECRET x 12 => qr/^the secret is longer than 256 bytes$/],
    ['FormGuardCaptcha', "recaptcha-v2 $SECRET" => qr/^takes off\|/],
    ['FormGuardCaptchaField', '' => qr/^takes one value: NAME$/],
    ['FormGuardCaptchaMinScore', '2' => qr/^'2'$no_score/],
    ['FormGuardCaptchaMinScore', '1.01' => qr/^'1\.01'$no_score/],
    ['FormGuardCaptchaMinScore', '-0.5' => qr/^'-0\.5'$no_score/],
    ['FormGuardCaptchaMinScore', '0,5' => qr/^'0,5'$no_score/],
    ['FormGuardCaptchaMinScore', 'nan' => qr/^'nan'$no_score/],
    ['FormGuardCaptchaHostname', 'https://www.example.test/' => qr/^'https:\/\/www\.example\.test\/' is no host name \(no scheme, port or path belongs to it\)$/],
    ['FormGuardCaptchaHostname', 'www.example.test:443' => qr/ is no host name/],
    ['FormGuardCaptchaAction', 'a b' => qr/^takes one value: ACTION$/],
    ['FormGuardCaptchaMaxAge', '0s' => qr/^'0s' is out of range: /],
    ['FormGuardCaptchaMaxAge', '2d' => qr/^'2d' is out of range: 1s to 1d$/],
    ['FormGuardCaptchaMaxAge', 'soon' => qr/^'soon' is no time: a number and one of ms s m h d w, seconds without one$/],
    ['FormGuardCaptchaOnError', '' => qr/^takes CAUSE=allow\|refuse/],
    ['FormGuardCaptchaOnError', 'timeout' => qr/^'timeout'$no_cause/],
    ['FormGuardCaptchaOnError', 'tiemout=allow' => qr/^'tiemout=allow'$no_cause/],
    ['FormGuardCaptchaOnError', 'timeout=allow busy=maybe' => qr/^'busy=maybe' has none of =allow, =refuse, =altcha$/],
    (map { [$_, join(' ', map { "/w$_" } 1 .. 70) => qr/^takes fewer than 64 values: write the line twice$/] }
        qw(FormGuardPath FormGuardFormField FormGuardLimit FormGuardCaptchaSecret)),
);

# Those that stand in httpd.conf only, a value each that is right.
my %SERVER_ONLY = (
    FormGuardCaptchaSecretFile => '/etc/passwd', FormGuardCaptchaEndpoint => 'https://evil.test/', FormGuardCaptchaTimeout => '30s',
    FormGuardCaptchaCAFile => '/etc/passwd', FormGuardCaptchaSendRemoteIP => 'Off', FormGuardGeoDatabase => '/etc/passwd',
    FormGuardCounters => 'shm:1024', FormGuardOverride => 'all', FormGuardSite => 'x', FormGuardCaptchaSlots => 1, FormGuardPages => '/tmp',
);

my %said;
{
    my $httpd = FormGuard::Httpd->new(mpm => 'event');
    $httpd->write_file('w/form.cgi', $SCRIPT);
    my $try = sub {
        my ($line, $expect) = @_;
        $httpd->write_file('w/.htaccess', "FormGuard On\n$line\n");
        my $r = $httpd->client->post('/w/form.cgi', form => 'a=1');
        my $short = $line =~ s/\s+/ /gr;
        $short = length $short > 70 ? substr($short, 0, 67) . '...' : $short;
        is $r->status, 500, "$short: 500";
        my @lines = $httpd->log_lines;
        $httpd->log_ok("$short: one line, at alert", qr/^\[[^]]+\] \[core:alert\] .*\.htaccess: /);
        my ($sentence) = ($lines[0] // '') =~ m{/w/\.htaccess: (.*)};
        like $sentence, $expect, "$short: what it says";
        unlike $r->body, qr/FormGuard|\Q$SECRET\E/, "$short: not to the visitor";
        unlike join("\n", @lines), qr/\Q$SECRET\E/, "$short: no secret";
        return $sentence;
    };
    for (@WRONG) {
        my ($directive, $values, $expect) = @$_;
        # httpd escapes what is no printable ASCII in error_log
        my $sentence = $try->("$directive $values", qr/^\Q$directive\E: /);
        (my $reason = $sentence // '') =~ s/^\w+: //;
        like $reason, $expect, 'the reason';
        $said{"$directive $values"} = $sentence;
    }
    for my $d (sort keys %SERVER_ONLY) {
        $try->("$d $SERVER_ONLY{$d}", qr/^$d not allowed here$/);
        $try->("<Files form.cgi>\n$d $SERVER_ONLY{$d}\n</Files>", qr/^$d not allowed in <Files> context$/);
        $try->("<If \"true\">\n$d $SERVER_ONLY{$d}\n</If>", qr/^$d not allowed in <If> context$/);
    }
    $try->("<Limit GET>\nFormGuard Off\n</Limit>", qr/^FormGuard cannot occur within <Limit> or <LimitExcept> section$/);
    $try->("<LimitExcept POST>\nFormGuard Off\n</LimitExcept>", qr/^FormGuard cannot occur within <Limit> or <LimitExcept> section$/);
    $httpd->write_file('w/.htaccess', "FormGuard On\nFormGuardPath " . join(' ', map { "/w$_" } 1 .. 63) . "\n");
    is $httpd->client->post('/w/form.cgi', form => 'a=1')->status, 200, '63 values are taken';
    $httpd->log_ok('and nothing is said');
    $httpd->done('nothing more in error_log');
}

# --- the same in httpd.conf --------------------------------------------------------------------

my $dir = FormGuard::Process::private_dir();

sub file
{
    my ($name, $content, $mode) = @_;
    open my $fh, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
    print $fh $content;
    close $fh or die "$dir/$name: $!\n";
    chmod $mode, "$dir/$name" or die "$dir/$name: $!\n";
    return "$dir/$name";
}

my $open = file('open', "$SECRET\n", 0644);
my $empty = file('empty', "\n", 0600);
my $two = file('two', "$SECRET\n$SECRET\n", 0600);
my $large = file('large', $SECRET x 100, 0600);
my $good = file('good', "  $SECRET\r\n" =~ s/^ +//r, 0600);

my $t = FormGuard::Httpd->new(mpm => 'event', start => 0);

# What httpd -t says of a configuration.
sub says
{
    my ($config) = @_;
    $t->configure(config => $config);
    my ($ok, $said) = $t->configtest;
    unlike $said, qr/\Q$SECRET\E/, 'no secret' if index($config, $SECRET) >= 0 || $config =~ /SecretFile/;
    return ($ok, $said);
}

for (@WRONG) {
    my ($directive, $values, $expect) = @$_;
    my ($ok, $said) = says("$directive $values\n");
    my $short = substr "$directive $values", 0, 60;
    ok !$ok, "httpd -t: $short: refused";
    like $said, qr/^AH00526: Syntax error on line \d+ of .*httpd\.conf:$/m, "httpd -t: $short: where";
    ok index($said, "\n" . ($said{"$directive $values"} // 'nothing') . "\n") >= 0, "httpd -t: $short: the same sentence" or diag $said;
}

for my $d (sort keys %SERVER_ONLY) {
    for my $section ("<Directory $dir>", '<Location />', '<Files x>', '<If "true">') {
        my ($name) = $section =~ /(\w+)/;
        my ($ok, $said) = says("$section\n$d $SERVER_ONLY{$d}\n</$name>\n");
        ok !$ok, "$d in <$name> is refused";
        like $said, qr/^$d not allowed in <$name> context$/m, "$d in <$name>: says so";
    }
    next if $d =~ /^FormGuard(?:Captcha(?!Slots)|Override|Site)/;
    my ($ok, $said) = says("<VirtualHost *:80>\nServerName a.test\n$d $SERVER_ONLY{$d}\n</VirtualHost>\n");
    ok !$ok, "$d in <VirtualHost> is refused";
    like $said, qr/^$d cannot occur within <VirtualHost> section$/m, "$d in <VirtualHost>: says so";
}

for (
    ['FormGuardOverride', 'some' => qr/'some' is none of none, tighten, all/], ['FormGuardOverride', '' => qr/takes one value: none\|tighten\|all/],
    ['FormGuardCounters', 'redis' => qr/'redis' is not shm or shm:ENTRIES/], ['FormGuardCounters', 'shm:' => qr/'shm:' is out of range: shm:1024 to shm:268435456/],
    ['FormGuardCounters', 'shm:1023' => qr/'.*' is out of range: /], ['FormGuardCounters', 'shm:268435457' => qr/'.*' is out of range: /], ['FormGuardCounters', 'shm:1e6' => qr/'.*' is out of range: /],
    ['FormGuardCounters', 'shm:-5' => qr/'.*' is out of range: /], ['FormGuardCaptchaSlots', '0' => qr/'0' is out of range: 1 to \d+/], ['FormGuardCaptchaSlots', 'many' => qr/'.*' is out of range: /],
    ['FormGuardCaptchaSlots', '99999999999999' => qr/'.*' is out of range: /], ['FormGuardCaptchaTimeout', '50ms' => qr/'50ms' is out of range: 100ms to 30s/],
    ['FormGuardCaptchaTimeout', '1m' => qr/'1m' is out of range/], ['FormGuardCaptchaTimeout', 'x' => qr/'x' is no time/],
    ['FormGuardCaptchaEndpoint', 'http://www.example.test/' => qr/'http:\/\/www\.example\.test\/' /], ['FormGuardCaptchaEndpoint', 'ftp://x/' => qr/'ftp:\/\/x\/' /],
    ['FormGuardCaptchaEndpoint', 'file:///etc/passwd' => qr/'file:/], ['FormGuardCaptchaSendRemoteIP', 'maybe' => qr/'maybe' is neither On nor Off/],
    ['FormGuardCaptchaCAFile', "$dir/none" => qr/'\Q$dir\E\/none' can't be read: No such file/], ['FormGuardCaptchaCAFile', "$dir" => qr/'\Q$dir\E' is no plain file/],
    ['FormGuardCaptchaSecretFile', "$dir/none" => qr/'\Q$dir\E\/none' can't be read: No such file/], ['FormGuardCaptchaSecretFile', "$dir" => qr/'\Q$dir\E' is no plain file/],
    ['FormGuardCaptchaSecretFile', $open => qr/'\Q$open\E' may be read or written by everybody: chmod o= it/],
    ['FormGuardCaptchaSecretFile', $empty => qr/'\Q$empty\E' is no use: the secret in it is empty/],
    ['FormGuardCaptchaSecretFile', $two => qr/'\Q$two\E' is no use: the secret in it holds something that is no visible ASCII character/],
    ['FormGuardCaptchaSecretFile', $large => qr/'\Q$large\E' is larger than 1024 bytes: it shall hold the secret alone/],
) {
    my ($directive, $values, $expect) = @$_;
    my ($ok, $said) = says("$directive $values\n");
    ok !$ok, "httpd -t: $directive $values: refused";
    like $said, qr/^$directive: $expect/m, "httpd -t: $directive $values: says why";
}

my ($ok, $said) = says("FormGuardCaptchaSecretFile $good\nFormGuardCaptchaTimeout 100ms\nFormGuardCaptchaSendRemoteIP off\nFormGuardCounters shm:1024\n"
    . "FormGuardCounters SHM\nFormGuardCaptchaSlots 1\nFormGuardLimit ip 1000000/366d\nFormGuardCaptchaMinScore 1.0\nFormGuardBodyLimit 1024G over=pass\n"
    . "FormGuardCaptchaOnError timeout=Allow\nFormGuardCaptchaEndpoint http://127.0.0.1:81/x\nFormGuardCaptchaMaxAge 120\n");
ok $ok, 'what is right is taken' or diag $said;

done_testing;
