#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Rules beyond the plain limit: what else is counted by, a challenge in place of a refusal, a form that closes,
# fields, folders where nobody posts; and all of it under DetectionOnly.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use Test::More;
use Time::HiRes qw(sleep time);

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my %FILES = ('form.cgi' => $SCRIPT, 'other.cgi' => $SCRIPT);
my $ON = "FormGuard On\n";
my $OK = qr/ FG1000: accepted: /;
my $dir = FormGuard::Process::private_dir();
system($^X, FormGuard::Httpd::forms_dir() . '/../make-mmdb', "$dir/c.mmdb", '192.0.2.0/24=JP', '198.51.100.0/24=HK')
    and die "make-mmdb failed\n";
my $GEO = "FormGuardGeoDatabase $dir/c.mmdb\n";

sub passes { my ($n, %o) = @_; return map { { form => 'a=1', status => 200, body => 'ran', %o } } 1 .. $n }
sub refused { my ($status, %o) = @_; return { form => 'a=1', status => $status, unlike => qr/^ran/, %o } }
sub full { my ($rule, $count, $rate) = @_; return qr/ FG1100: refused 429: too many posts: rule="\Q$rule\E" count=$count rate=\Q$rate\E / }

# --- keys ----------------------------------------------------------------------------------------

sub host { my ($name) = @_; return (send => [Host => "$name.test"]) }
sub hosts { my ($more) = @_; return join '', map { "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $_.test\nServerAlias $_-also.test\nDocumentRoot \@HTDOCS\@\n$more</VirtualHost>\n" } qw(a b) }

my @KEYS = (
    {
        name => 'net: an IPv4 /24', htaccess => $ON . "FormGuardLimit net 2/10m\n",
        requests => [
            passes(1, from => '10.7.1.1'), passes(1, from => '10.7.1.255'),
            refused(429, from => '10.7.1.99', headers => { 'RateLimit-Policy' => '"net";q=2;w=600', 'RateLimit' => qr/^"net";r=0;t=\d+$/, 'Retry-After' => qr/^\d+$/ }),
            refused(429, from => '::ffff:10.7.1.7'), passes(1, from => '10.7.2.1'), passes(1, from => '10.7.0.255'),
        ],
        log => [$OK => 4, full('net 2/10m', 2, '2/10m') => 2],
    },
    {
        name => 'net: an IPv6 /48', htaccess => $ON . "FormGuardLimit net 2/10m\n",
        requests => [
            passes(1, from => '2001:db8:1:1::1'), passes(1, from => '2001:db8:1:ffff:ffff:ffff:ffff:ffff'),
            refused(429, from => '2001:db8:1:2::3'), passes(1, from => '2001:db8:2:1::1'), passes(1, from => '2001:db8::1'),
        ],
        log => [$OK => 4, full('net 2/10m', 2, '2/10m')],
    },
    {
        name => 'site: all forms of a document root', config => "# \@CASE\@\n" . hosts(''), htaccess => $ON . "FormGuardLimit site 3/10m\n",
        requests => [
            passes(1, host('a')), passes(1, path => 'other.cgi', host('a')), passes(1, from => '10.7.3.1', host('b')),
            refused(429, path => 'other.cgi', from => '10.7.3.2', host('a'), headers => { 'RateLimit-Policy' => '"site";q=3;w=600' }), refused(429, host('b')),
        ],
        log => [$OK => 3, full('site 3/10m', 3, '3/10m') => 2],
    },
    {
        name => 'site: what FormGuardSite says', config => "# \@CASE\@\n" . hosts("FormGuardSite \"customer of %{SERVER_NAME}\"\nUseCanonicalName On\n"), htaccess => $ON . "FormGuardLimit site 2/10m\n",
        requests => [
            passes(1, host('a')), passes(1, path => 'other.cgi', host('a-also')), refused(429, host('a')),
            passes(2, host('b')), refused(429, host('b')),
        ],
        log => [$OK => 4, full('site 2/10m', 2, '2/10m') => 2],
    },
    {
        name => 'site: FormGuardSite of the main server holds in virtual hosts with lines of their own',
        config => "FormGuardSite \"customer of %{SERVER_NAME}\"\nFormGuardLimit site 2/10m\n# \@CASE\@\n" . hosts("FormGuard On\nUseCanonicalName On\n"),
        requests => [passes(2, host('a')), refused(429, host('a-also')), passes(2, host('b')), refused(429, host('b'))],
        log => [$OK => 4, full('site 2/10m', 2, '2/10m') => 2],
    },
    {
        name => 'server: everybody, everywhere', config => "FormGuardLimit server 3/10m\n# \@CASE\@\n" . hosts("FormGuard On\n"),
        requests => [passes(2, host('a')), passes(1, from => '10.7.4.1', path => 'other.cgi', host('b')), refused(429, from => '10.7.4.2', host('b')), refused(429, host('a'))],
        log => [$OK => 3, full('server 3/10m', 3, '3/10m') => 2],
    },
    {
        name => 'field: one address is not flooded with replies, however it is written', htaccess => $ON . "FormGuardLimit field:mail 3/1h\nFormGuardLimit field:your.mail 1/1h\n",
        requests => [
            passes(1, form => { mail => 'victim@example.org' }), passes(1, form => { mail => ' Victim@Example.ORG ' }, from => '10.7.5.1'),
            passes(1, form => undef, multipart => { mail => "VICTIM @\texample.org" }, from => '10.7.5.2', path => 'form.cgi'),
            refused(429, form => { mail => 'victim@example.org' }, from => '10.7.5.3', headers => { 'RateLimit-Policy' => '"field:mail";q=3;w=3600' }),
            refused(429, form => 'mail=x@y&mail=viCtim%40example.org', from => '10.7.5.3'),
            refused(429, form => undef, json => { mail => 'victim@EXAMPLE.org' }, from => '10.7.5.3'), refused(429, form => undef, multipart => { mail => 'victim@example.org' }),
            passes(1, form => { mail => 'other@example.org' }), passes(5, form => 'a=1'), passes(5, form => 'mail='), passes(5, form => 'mail=+'),
            passes(1, form => 'your_mail=a'), refused(429, form => 'your.mail=A', from => '10.7.5.4'),
        ],
        log => [$OK => 20, full('field:mail 3/1h', 3, '3/1h') => 4, full('field:your.mail 1/1h', 1, '1/1h')],
    },
    {
        name => 'weight: a form that sends two mails a post', htaccess => $ON . "FormGuardLimit form 7/10m weight=2\n",
        requests => [passes(3), refused(429)], log => [$OK => 3, full('form 7/10m weight=2', 6, '7/10m')],
    },
    {
        name => 'weight: all of it is given back', htaccess => $ON . "FormGuardLimit form 4/10m weight=2\nFormGuardLimit field:mail 1/10m\n",
        requests => [passes(1, form => 'mail=a'), (map { refused(429, form => 'mail=a') } 1 .. 4), passes(1, form => 'mail=b'), refused(429, form => 'mail=c')],
        log => [$OK => 2, full('field:mail 1/10m', 1, '1/10m') => 4, full('form 4/10m weight=2', 4, '4/10m')],
    },
    {
        name => 'several rates, heavier than one', htaccess => $ON . "FormGuardLimit server 9/1h 4/1m weight=2 action=refuse\n",
        requests => [passes(2), refused(429)], log => [$OK => 2, full('server 9/1h 4/1m weight=2 action=refuse', 4, '4/1m')],
    },
);

# --- challenge -----------------------------------------------------------------------------------

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $ENDPOINT = 'FormGuardCaptchaEndpoint ' . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\nFormGuardCaptchaHostname shop.example\n";
my $CAPTCHA = "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret " . $vendor->secret . "\n";
my $CHALLENGED = "${ON}${CAPTCHA}FormGuardCaptchaWhen challenged\n";
my $MISSING = qr/ FG1400: refused 403: captcha token missing: rule="recaptcha-v2" /;
my $mark = 0;

sub asked { my ($n) = @_; return sub { is $vendor->count - $mark, $n, "the vendor was asked $n times"; $mark = $vendor->count } }
sub token { my ($token, $more) = @_; return (form => 'g-recaptcha-response=' . FormGuard::Vendor::fresh($token) . ($more // '')) }

my @CHALLENGES = (
    {
        name => 'challenge: a limit asks for the captcha instead of refusing', htaccess => $CHALLENGED . "FormGuardLimit ip 2/10m action=challenge\nFormGuardLimit ip 4/10m\n",
        requests => [
            passes(1, test => asked(0)), passes(1, token('junk'), test => asked(0)),
            refused(403, test => asked(0), log => [$MISSING], headers => { 'Retry-After' => undef }), passes(1, token('ok'), test => asked(1)),
            refused(429, token('ok'), test => asked(0), log => [full('ip 4/10m', 4, '4/10m')]),
            passes(1, from => '10.8.0.1', test => asked(0)),
        ],
        log => [$OK => 4],
    },
    {
        name => 'challenge: without a captcha it refuses', htaccess => $ON . "FormGuardLimit ip 1/10m action=challenge\n",
        requests => [passes(1), refused(429)], log => [$OK, full('ip 1/10m action=challenge', 1, '1/10m')],
    },
    {
        name => 'challenge: with FormGuardCaptchaWhen always the captcha is asked all the same', htaccess => "${ON}${CAPTCHA}FormGuardLimit ip 1/10m action=challenge\n",
        requests => [refused(403, test => asked(0)), passes(1, token('ok'), test => asked(1)), refused(403, token('dup'), test => asked(1), log => [qr/ FG1403: /])],
        log => [$OK, $MISSING],
    },
    {
        name => 'challenge: a country', htaccess => $CHALLENGED . "FormGuardCountry HK challenge\nFormGuardCountry unknown challenge\n",
        requests => [
            passes(1, from => '192.0.2.1', test => asked(0)), refused(403, from => '198.51.100.1', test => asked(0), log => [$MISSING]),
            passes(1, token('ok'), from => '198.51.100.1', test => asked(1)), refused(403, token('dup'), from => '198.51.100.1', test => asked(1), log => [qr/ FG1403: /]),
            refused(403, from => '10.8.0.2', test => asked(0), log => [$MISSING]),
        ],
        log => [$OK => 2],
    },
    {
        name => 'challenge: a country, without a captcha', htaccess => "${ON}FormGuardCountry HK challenge\n",
        requests => [passes(1, from => '192.0.2.1'), refused(403, from => '198.51.100.1')], log => [$OK, qr/ FG1200: refused 403: country refused: rule="HK challenge" /],
    },
    {
        name => 'challenge: a field', htaccess => $CHALLENGED . "FormGuardField text max-links=1 action=challenge\nFormGuardField mail single-line action=challenge\n",
        requests => [
            passes(1, form => 'text=http://a', test => asked(0)), refused(403, form => 'text=http://a+http://b', log => [$MISSING]), refused(403, form => 'mail=a%0ab', log => [$MISSING]),
            passes(1, token('ok', '&text=http://a+http://b&mail=a%0ab'), test => asked(1)),
        ],
        log => [$OK => 2],
    },
    {
        name => 'challenge: a field, without a captcha', htaccess => "${ON}FormGuardField text max-links=1 action=challenge\nFormGuardLimit ip 100/1m\n",
        requests => [passes(1, form => 'text=http://a'), refused(422, form => 'text=http://a+http://b')], log => [$OK, qr/ FG1313: refused 422: /],
    },
    {
        name => 'challenge: the vendor is down', htaccess => $CHALLENGED . "FormGuardCountry HK challenge\nFormGuardCaptchaOnError timeout=allow\n",
        requests => [passes(1, from => '192.0.2.1', test => asked(0)), refused(503, token('status-500'), from => '198.51.100.1', test => asked(1))], log => [$OK, qr/ FG1500: refused 503: /],
    },
);
$_->{global} = $GEO . $ENDPOINT for @CHALLENGES;

# --- fields --------------------------------------------------------------------------------------

my $FIELDS = $ON . "FormGuardLimit ip 100000/1m\nFormGuardField name your.mail required\nFormGuardField url2 empty\nFormGuardField subject your.mail name single-line\nFormGuardField text max-links=1\n";
my $OF = 'http://a.example/';

# [status, tag, rule, fields]: posted in each of the three grammars.
my @FIELDS = (
    [200, undef, undef, {}],
    [422, 'FG1310: refused 422: required field blank', 'name required', { name => undef }], [422, 'FG1310: refused 422', 'name required', { name => '' }], [422, 'FG1310: refused 422', 'name required', { name => " \t " }],
    [422, 'FG1310: refused 422', 'your.mail required', { 'your.mail' => undef }],
    [403, 'FG1311: refused 403: field filled that must be empty', 'url2 empty', { url2 => 'x' }], [403, 'FG1311: refused 403', 'url2 empty', { url2 => ' ' }], [200, undef, undef, { url2 => '' }],
    (map { [422, 'FG1312: refused 422: line end in a single-line field', 'subject single-line', { subject => $_ }] }
        "a\r\nBcc: b\@c", "a\nBcc: b", "a\rBcc: b", "\na", "a\n", 'a%0d%0aBcc: b', 'a%0A', '%0D'),
    [422, 'FG1312: refused 422', 'your.mail single-line', { 'your.mail' => "a\@b\r\nBcc: c" }],
    (map { [200, undef, undef, { subject => $_ }] } '', 'a%0', '100%', '%0b', 'a%20b', "\xe3\x81\x82"), [200, undef, undef, { text => "a\r\nb\n" }],
    [200, undef, undef, { text => "see $OF" }], [422, 'FG1313: refused 422: too many links', 'text max-links=1', { text => "$OF https://b" }], [422, 'FG1313: refused 422', 'text max-links=1', { text => "<a href=\"HTTP://a\">[url=HttpS://b]" }],
    [200, undef, undef, { text => 'http: //a http:/b ftp://c www.d.example' }],
);

sub fields_requests
{
    my ($how) = @_;
    return map {
        my ($status, $tag, $rule, $fields) = @$_;
        my %all = (name => 'A', 'your.mail' => 'a@b', subject => 's', text => 't', %$fields);
        delete @all{grep { !defined $all{$_} } keys %all};
        +{ $how => \%all, status => $status, log => [defined $tag ? qr/ \Q$tag\E.* rule="\Q$rule\E" / : $OK] };
    } @FIELDS;
}

my @FIELD_CASES = (
    (map { { name => "fields in $_->[0]", htaccess => $FIELDS, requests => [fields_requests($_->[1])] } } ['urlencoded', 'form'], ['multipart', 'multipart'], ['JSON', 'json']),
    {
        name => 'fields: as they come over the wire', htaccess => $FIELDS,
        requests => [map { { form => $_->[1], status => $_->[0], log => [$_->[0] == 200 ? $OK : qr/ FG131[0-3]: /] } }
            [422, 'name=A&your_mail=a%0D%0ABcc:b'], [422, 'name=A&your.mail=a%0aBcc'], [422, 'name=A&your%20mail=a%250d%250aBcc'], [422, 'name=A&your+mail=a&subject=x&subject=a%0d'],
            [422, 'name=A&your.mail=a&subject[]=x&subject[]=a%0a'], [422, 'name=A&your.mail=a&subject[a][b]=%0a'], [403, 'name=A&your.mail=a&url2[]=1'],
            [200, 'name=A&your.mail=a&url2'], [200, 'name[]=A&your.mail[x]=a'], [422, 'name[]=&your.mail=a'],
            [422, 'name=A&your.mail=a&text[]=http://a&text[]=http://b'], [422, 'subject=a%0ab&name=A&your.mail=a&subject=fine']],
    },
    {
        name => 'fields: a file is no field, another type has none', htaccess => $FIELDS,
        requests => [
            { multipart => [name => { filename => 'A', type => 'text/plain', content => 'A' }, 'your.mail' => 'a'], status => 422, log => [qr/ FG1310: .* rule="name required" /] },
            { body_bytes => 'name=A&your.mail=a', type => 'text/plain', status => 422, log => [qr/ FG1310: /] }, { method => 'POST', status => 422, log => [qr/ FG1310: /] },
        ],
    },
    {
        name => 'fields: what a mailer finds in the query counts against it, never for it', htaccess => $FIELDS,
        requests => [map { { form => 'name=A&your.mail=a', path => "form.cgi?$_->[1]", status => $_->[0], log => [$_->[0] == 200 ? $OK : qr/ FG131[0-3]: /] } }
            [200, 'a=1'], [422, 'subject=a%0d%0aBcc:b'], [422, 'subject=a%250aBcc:b'], [422, 'your_mail[]=%0a'], [403, 'url2=x'], [422, 'text=http://a+http://b'], [200, 'text=http://a'], [200, 'url2=']],
    },
    { name => 'fields: a name in the query is none in the body', htaccess => $FIELDS, requests => [{ form => 'your.mail=a', path => 'form.cgi?name=A', status => 422, log => [qr/ FG1310: .* rule="name required" /] }] },
    {
        name => 'fields: the answer', htaccess => $FIELDS,
        requests => [
            { form => 'your.mail=a', status => 422, send => [Accept => 'application/json'], headers => { 'Content-Type' => 'application/problem+json', 'Cache-Control' => 'no-store' }, body => [qr/"status":422/, qr/"reason":"required"/], log => [qr/ FG1310: /] },
            { form => 'name=A&your.mail=a%0a', status => 422, headers => { 'Content-Type' => qr{^text/html} }, body => qr/<html/, log => [qr/ FG1312: /] },
        ],
    },
    {
        name => 'fields: action=log', htaccess => $ON . "FormGuardLimit ip 1000/1m\nFormGuardField a required action=log\nFormGuardField b empty action=log\nFormGuardField c d single-line action=log\nFormGuardField e max-links=0 action=log\n",
        requests => [{ form => 'b=1&c=a%0a&d=%250d&e=http://', status => 200, body => 'ran' }, passes(1)],
        log => [(map { qr/ \[formguard:notice\] .* FG\Q$_->[0]\E: .* rule="\Q$_->[1]\E" / } ['1310: logged only 422', 'a required'], ['1311: logged only 403', 'b empty'], ['1312: logged only 422', 'c single-line'], ['1312: logged only 422', 'd single-line'], ['1313: logged only 422', 'e max-links=0']), $OK => 2],
    },
    {
        name => 'fields: action=log of a rewritten post is said once', modules => ['rewrite'], path => 'contact', form => 'e=https://x', status => 200, body => 'ran',
        htaccess => $ON . "FormGuardLimit ip 1000/1m\nFormGuardField a required action=log\nFormGuardField e max-links=0 action=log\nRewriteEngine On\nRewriteRule ^contact\$ form.cgi [L]\n",
        log => [qr/ FG1310: logged only 422: .* rule="a required" /, qr/ FG1313: logged only 422: .* rule="e max-links=0" /, $OK],
    },
    { name => 'fields: several names, the first that is broken is told', htaccess => $ON . "FormGuardLimit ip 1000/1m\nFormGuardField x y z required\n", requests => [refused(422, form => 'x=1&z=1'), refused(422, form => 'y=1'), passes(1, form => 'x=1&y=1&z=1')], log => [qr/ rule="y required" /, 1, qr/ rule="x required" /, 1, $OK] },
    { name => 'fields: before the captcha, and nothing of a limit is used up', htaccess => $ON . "${CAPTCHA}FormGuardField x required\nFormGuardLimit form 1/10m\n", global => $ENDPOINT,
        requests => [(map { refused(422, token('ok'), test => asked(0)) } 1 .. 3), passes(1, token('ok', '&x=1'), test => asked(1))], log => [qr/ FG1310: / => 3, $OK] },
);

# --- deny ----------------------------------------------------------------------------------------

my $DEEP = join '/', ('a-folder-with-a-long-name') x 9;
my @DENY = (
    {
        name => 'FormGuardDeny: no post, whoever sends it, and the file is named', htaccess => $ON . "FormGuardDeny On\n", files => { %FILES, "we ird\"\x07/x.cgi" => $SCRIPT, "$DEEP/deep.cgi" => $SCRIPT },
        requests => [
            refused(403, headers => { 'Retry-After' => undef, 'Cache-Control' => 'no-store' }, log => [qr{ \[formguard:warn\] .*\] FG1220: refused 403: no post belongs here: rule="FormGuardDeny On" country=unknown form=/case\d+/form\.cgi site=127\.0\.0\.1 file=/\S+/htdocs/case\d+/form\.cgi ref=\S{9}$}]),
            refused(403, path => 'form.cgi/path/info?query', log => [qr{ file=/\S+/htdocs/case\d+/form\.cgi ref=\S{9}$}]), refused(403, path => './/%66orm.cgi', log => [qr{ file=\S+/form\.cgi ref=\S{9}$}]),
            refused(403, path => 'we%20ird%22%07/x.cgi', log => [qr{ form=/case\d+/we_ird__/x\.cgi site=\S+ file=\S+/we_ird__/x\.cgi ref=\S{9}$}]),
            refused(403, path => "$DEEP/deep.cgi", log => [qr{ file=\.\.\.\S{188}/deep\.cgi ref=\S{9}$}]), refused(403, path => 'none.cgi', log => [qr{ file=\S+none\.cgi ref=\S{9}$}]),
            { method => 'GET', path => 'form.cgi', status => 200, body => 'ran' },
        ],
        log => [qr/ FG2003: /, [0, 1]], global => $GEO,
    },
    { name => 'FormGuardDeny Off is nothing', htaccess => $ON . "FormGuardLimit ip 1/1m\nFormGuardDeny Off\n", requests => [passes(1)], log => [$OK] },
    {
        name => 'FormGuardDeny is taken back in a folder below', config => "<Directory \@HTDOCS\@\@CASE\@>\n${ON}FormGuardLimit ip 9/1m\nFormGuardDeny On\n</Directory>\n<Location \@CASE\@/other.cgi>\nFormGuardDeny Off\n</Location>\n",
        requests => [refused(403), passes(1, path => 'other.cgi')], log => [qr/ FG1220: /, $OK],
    },
);

# --- under DetectionOnly ---------------------------------------------------------------------------

sub would { my ($tag, $status, $rule) = @_; return qr/ FG\Q$tag\E: would refuse $status: .* rule="\Q$rule\E" / }
sub detects
{
    my ($name, $rules, $first, @would) = @_;
    my $normal = $first ? [passes(1, log => [$OK])] : [];
    return { name => "DetectionOnly: $name", global => $GEO . $ENDPOINT, htaccess => "FormGuard DetectionOnly\n$rules", requests => [@$normal, map { { status => 200, body => 'ran', form => 'mail=a', %{$_->[1]}, log => [would(@{$_->[0]})] } } @would] };
}

my @DETECT = (
    detects('net', "FormGuardLimit net 1/10m\n", 1, map { [['1100', 429, 'net 1/10m'], {}] } 1 .. 3),
    detects('site', "FormGuardLimit site 1/10m\n", 1, [['1100', 429, 'site 1/10m'], { path => 'other.cgi' }]),
    detects('server', "FormGuardLimit server 1/10m\n", 1, [['1100', 429, 'server 1/10m'], {}]),
    detects('field', "FormGuardLimit field:a 1/10m\n", 1, [['1100', 429, 'field:a 1/10m'], { form => 'a=1' }]),
    detects('close', "FormGuardLimit form 1/10m action=close:1h\n", 1, map { [['1101', 503, 'form 1/10m action=close:1h'], {}] } 1 .. 3),
    detects('challenge', "${CAPTCHA}FormGuardCaptchaWhen challenged\nFormGuardLimit ip 1/10m action=challenge\n", 1, [['1400', 403, 'recaptcha-v2'], {}]),
    detects('challenge without a captcha', "FormGuardCountry HK challenge\n", 0, [['1200', 403, 'HK challenge'], { from => '198.51.100.1' }]),
    detects('fields', "FormGuardLimit ip 99/1m\nFormGuardField a required\nFormGuardField b empty\nFormGuardField c single-line\nFormGuardField d max-links=0\n", 1,
        [['1310', 422, 'a required'], {}], [['1311', 403, 'b empty'], { form => 'a=1&b=1' }], [['1312', 422, 'c single-line'], { form => 'a=1&c=%0a' }], [['1313', 422, 'd max-links=0'], { form => 'a=1&d=https://' }]),
    detects('deny', "FormGuardLimit ip 99/1m\nFormGuardDeny On\n", 0, [['1220', 403, 'FormGuardDeny On'], {}]),
);

FormGuard::Case::run({ mpm => 'event', path => 'form.cgi', files => \%FILES }, @KEYS, @CHALLENGES, @FIELD_CASES, @DENY, @DETECT);

# --- close -----------------------------------------------------------------------------------------

my $CLOSES = qr/ \[formguard:error\] .* FG1101: closes its form, refused 503: form closed: rule="form \d+\/\S+ action=close:\S+" count=\d+ rate=\S+ country=- form=\/\S+ site=127\.0\.0\.1 retry=\d+s ref=\S{9}$/;
my $CLOSED = qr/ \[formguard:notice\] .* FG1101: refused 503: form closed: /;
my $OPENS = qr/ \[formguard:notice\] \[pid [^]]+\] FG1102: form open again: form=\/\S+ site=127\.0\.0\.1$/;

subtest 'close: the form is closed for everybody, said once, and stays so over restarts' => sub {
    my $httpd = FormGuard::Httpd->new(
        mpm => 'event', files => { map({ ("$_/form.cgi" => $SCRIPT, "$_/other.cgi" => $SCRIPT) } 'a', 'b', 'c', map { "r$_" } 1 .. 10) },
        config => "<Directory \@HTDOCS\@>\nFormGuard On\nFormGuardLimit ip 100000/1m\n</Directory>\n<Directory \@HTDOCS\@/a>\nFormGuardLimit form 3/10m action=close:1h\n</Directory>\n"
            . "<Directory \@HTDOCS\@/b>\nFormGuardLimit form 1/1s action=close:2s\n</Directory>\n" . join '', map { "<Directory \@HTDOCS\@/r$_>\nFormGuardLimit form 1/1h action=close:1h\n</Directory>\n" } 1 .. 10
    );
    my $post = sub { my ($path, %o) = @_; return $httpd->client->post($path, form => 'a=1', %o) };
    is join(' ', map { $post->('/a/form.cgi', from => "10.9.0.$_")->status } 1 .. 3), '200 200 200', 'three pass';
    my $r = $post->('/a/form.cgi');
    is $r->status, 503, 'the fourth closes it';
    cmp_ok $r->header('Retry-After'), '<=', 3600, 'for an hour';
    cmp_ok $r->header('Retry-After'), '>=', 3590, 'of the clock';
    like $r->body, qr/<html/, 'and is told';
    is $r->header('Cache-Control'), 'no-store', 'for nobody to keep';
    $httpd->log_ok('one line at error', $OK => 3, $CLOSES, $CLOSED);
    is join(' ', map { $post->($_, from => '10.9.1.1')->status } '/a/form.cgi', '/a/form.cgi/x', '/a/./form.cgi?q', '/a/other.cgi'), '503 503 503 200', 'for everybody, the script alone';
    is $httpd->client->get('/a/form.cgi')->status, 200, 'the form itself can be read';
    $httpd->log_ok('no more lines at error', $CLOSED => 3, $OK);
    for my $how ('graceful', 'hard') {
        $httpd->restart($how);
        my $again = $post->('/a/form.cgi');
        is $again->status, 503, "closed over a $how restart";
        cmp_ok $again->header('Retry-After'), '<=', $r->header('Retry-After'), 'and the time goes on';
        is $post->('/a/other.cgi')->status, 200, 'the other one is open';
        $httpd->log_ok("nothing but the refusal is said after a $how restart", $CLOSED, $OK);
    }

    # Eight at once meet the same full limit, ten times over.
    for my $n (1 .. 10) {
        my @r = $httpd->client->at_once(map { { method => 'POST', path => "/r$n/form.cgi", form => 'a=1', from => "10.9.2.$_" } } 1 .. 8);
        is join(' ', sort map { $_->status } @r), '200' . ' 503' x 7, "eight at once: one passes ($n)";
        $httpd->log_ok("eight at once: one has closed it ($n)", $OK, $CLOSES, $CLOSED => 7);
    }

    is join(' ', map { $post->('/b/form.cgi')->status } 1 .. 3), '200 503 503', 'closed for two seconds';
    my $closed_at = time;
    $httpd->log_ok('closed for two seconds: the lines', $OK, $CLOSES, $CLOSED => 2);
    FormGuard::Process::wait_until(sub { time - $closed_at > 2.3 }, 10, 'two seconds');
    my @out = FormGuard::Client::parallel(8, sub { return $post->('/c/form.cgi', from => '10.9.3.1')->status });
    is "@out", join(' ', (200) x 8), 'posts to any form';
    $httpd->log_ok('say that it is open, once', $OK => 8, $OPENS);
    is $post->('/b/form.cgi')->status, 200, 'and it is';
    is $post->('/a/form.cgi')->status, 503, 'the other is not';
    is $post->('/b/form.cgi')->status, 503, 'closed once more';
    $httpd->log_ok('closed once more: the lines', $OK, $CLOSED => 2, $CLOSES);
    $httpd->done;
};

subtest 'close: another key closes the form it was reached at' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', files => \%FILES, config => "FormGuard On\nFormGuardLimit server 2/10m action=close:1h\nFormGuardLimit ip 1000/1m\n");
    my @status = map { my $r = $httpd->client->post("/$_.cgi", form => 'a=1'); $r->status } qw(form other form form other);
    is "@status", '200 200 503 503 503', 'the posts';
    $httpd->log_ok('each form is closed by itself', $OK => 2, qr/ FG1101: closes its form, refused 503: .* rule="server 2\/10m action=close:1h" .* form=\/form\.cgi /, 1, qr/ FG1101: closes its form, .* form=\/other\.cgi /, 1, qr/ FG1101: refused 503: /, 3);
    $httpd->done;
};

done_testing;
