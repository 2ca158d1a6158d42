#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Every example of the manual is written where it says it belongs, on a real httpd, and does what its sentence says;
# and each directive is refused where the manual does not allow it. A new example needs a row in %DOES.
use strict;
use warnings;
use lib 't/lib', '../lib', 'build/checks', '../../build/checks';
use FormGuard::Altcha;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use IO::Socket::INET;
use Manual;
use Test::More;
use Time::HiRes qw(time);

my $LIB = FormGuard::Httpd::forms_dir() . '/..';
my $TOP = "$LIB/../..";
my $SECRET = 'your-secret';
my $TOKEN = 'g-recaptcha-response';

sub slurp
{
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}

sub spew
{
    my ($file, $text, $mode) = @_;
    open my $fh, '>', $file or die "$file: $!\n";
    print $fh $text;
    close $fh or die "$file: $!\n";
    chmod $mode || 0644, $file;
}

my @ENTRIES = @{ Manual::entries(slurp("$TOP/mod_formguard/manual/directives.en.md")) };

# --- what the examples name: a database, a resolver, a service, files -----------------------------

my $dir = FormGuard::Process::private_dir();
system($^X, "$LIB/make-mmdb", "$dir/countries.mmdb", '198.51.100.0/24=CN', '182.16.0.0/16=HK', '203.0.113.0/24=JP', '192.0.2.0/24=DE') == 0
    or die "make-mmdb failed\n";
spew("$dir/secret", "$SECRET\n", 0600);
mkdir "$dir/pages";
spew("$dir/pages/refusal.html", "<html lang=\"{{lang}}\"><h1>{{title}}</h1><p>{{text}}</p><p>Example Hosting</p><p>{{contact}}</p></html>\n");
spew("$dir/pages/texts.en", "deny.text: Not here\n");

my $vendor = FormGuard::Vendor->new(hostname => 'www.example.jp', secret => $SECRET);

# One that nothing listens at by UDP either.
sub udp_port
{
    for (1 .. 50) {
        my $free = FormGuard::Process::free_port();
        return $free if IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $free, Proto => 'udp');
    }
    die "no free port for UDP\n";
}

my $dns_port = udp_port();
my %ZONE = (
    zen => ['zen.spamhaus.org', "127.0.0.10:home users\n198.51.100.0/24\n198.51.100.77 :127.0.0.4:robots\n"],
    bl => ['bl.example.net', "127.0.0.2:listed\n198.51.100.78\n198.51.100.79 :127.0.0.3:something else\n"],
    bl2 => ['bl2.example.net', "127.0.0.2:listed\n198.51.100.80\n"],
);
spew("$dir/$_", "\$SOA 1000 ns.test admin.test 0 1h 1h 1d 90\n\$TTL 300\n:$ZONE{$_}[1]") for keys %ZONE;
my $user = FormGuard::Process::server_user();
chown((getpwnam $user)[2, 3], "$dir") if $user;
my $dns = FormGuard::Process->start(
    cmd => ['rbldnsd', '-n', $user ? ('-u', $user) : (), '-b', "127.0.0.1/$dns_port", '-l', "+$dir/queries", '-w', "$dir", map { "$ZONE{$_}[0]:ip4set:$_" } sort keys %ZONE],
    out => "$dir/rbldnsd", name => 'rbldnsd'
);
FormGuard::Process::wait_until(sub { slurp("$dir/rbldnsd") =~ / started / || !$dns->alive }, 15, 'rbldnsd');

# The example with this machine's paths and addresses. One that names another file than these is not run blindly.
my %PLACE = (
    '/var/lib/GeoIP/GeoLite2-Country.mmdb' => "$dir/countries.mmdb",
    '/etc/httpd/formguard/www.example.jp.secret' => "$dir/secret",
    '/etc/httpd/company-ca.pem' => $vendor->ca,
    '/etc/httpd/formguard-pages' => "$dir/pages",
    'https://www.recaptcha.net/recaptcha/api/siteverify' => $vendor->url,
    '/etc/httpd/formguard/signing-key' => "$dir/signing-key",
    '127.0.0.1:53' => "127.0.0.1:$dns_port",
);

sub placed
{
    my ($text) = @_;
    $text =~ s{^(\s*FormGuard(?:GeoDatabase|Pages|SigningKeyFile|CaptchaSecretFile|CaptchaCAFile|CaptchaEndpoint|DNSBLResolver)) (\S+)$}
              {"$1 " . ($PLACE{$2} // die "the manual names $2, for which this test has nothing\n")}mge;
    return $text;
}

# --- what is posted, and what becomes of it -------------------------------------------------------
#
# Directive => a row for each of its examples, in order. A row is a list of steps. A step is a code, or
#   [what it shows, { what is sent }, the statuses in short, lines of error_log as log_ok takes them..., { the last answer }]
# Sent is, besides what FormGuard::Client's request takes:
#   n => how often (1), method => POST, path => /contact.php, from => address (one of the example's own),
#   each => sub that makes the address of the nth post, form => (a name, an address and a message), token => a captcha's,
#   solve => the form whose challenge is solved for it, work => how much that is, keep => 1 for the answer's cookie, with which kept => 1 posts,
#   twin => 1 for the example's second host, before and after => sub, and what is expected of it:
#   seconds => [least, most], asked => how often the service is, remoteip => 0: it is not told the address
# Before the steps may stand what the example needs around it:
#   { htaccess => a site owner's, main => lines of the server config, @EX@ being the example's folder, twin => 1: two hosts }

my %FORM = (name => 'Hanako', email => 'hanako@example.jp', message => 'Hello');
my $LINES = { form => { %FORM, name => "Hanako\nBcc: all\@example.com" } };
my $limit = sub { my ($rule, $what) = @_; return qr/ FG1100: @{[$what || 'refused']} 429: too many posts: rule="\Q$rule\E" / };
my $refused = sub { my ($tag, $status, $rest) = @_; return qr/ $tag: refused $status: @{[$rest || '']}/ };

# The nth post comes from another network.
sub others { my ($n) = @_; return '100.64.' . $n . '.1' }

sub captcha_rows
{
    my ($good, @more) = @_;
    return [
        ['a token', { token => $good }, '200x1'],
        ['none', {}, '403x1', $refused->('FG1400', 403)],
        ['a wrong one', { token => 'qwerty' }, '403x1', $refused->('FG1402', 403)],
        @more
    ];
}

my %DOES = (
    FormGuard => [
        [['all pass, the sixth would not', { n => 6 }, '200x6', $limit->('ip 5/10m 20/1d', 'would refuse')]],
        [['ten in ten minutes', { n => 11 }, '200x10 429x1', $limit->('ip 10/10m 60/1d')]],
        [['others', { n => 3 }, '200x2 429x1', $limit->('ip 2/10m')], ['the office', { n => 5, from => '192.0.2.7' }, '200x5']],
    ],
    FormGuardPreset => [
        [
            ['what is not the form\'s', { n => 5 }, '200x5'],
            ['the form\'s', { n => 4, form => { %FORM, _wpcf7 => 5 } }, '200x3 429x1', $limit->('ip 3/10m')],
            [
                'its script gets what it can show',
                { form => { _wpcf7 => 5 }, path => '/contact.php/contact-forms/5/feedback', headers => [Accept => 'application/json, */*;q=0.1'] },
                '200x1', $limit->('ip 3/10m'), { body => qr/"status":"spam"/ }
            ],
        ],
        [
            ['a line end in the name', { %$LINES, path => '/mail/mail.php' }, '422x1', $refused->('FG1312', 422, 'line end in a single-line field: rule="name single-line"')],
            ['without', { path => '/mail/mail.php' }, '200x1'],
            ['elsewhere', $LINES, '200x1'],
        ],
    ],
    FormGuardMethods => [
        [
            ['the page', { n => 5, method => 'GET' }, '200x5'],
            ['sent by GET', { method => 'GET', path => '/contact.php?message=Hello' }, '200x1'],
            ['by POST', {}, '200x1'], ['by a method of their own', { method => 'FOO', path => '/contact.php?message=Hello' }, '200x1'],
            ['by HEAD', { method => 'HEAD', path => '/contact.php?message=Hello' }, '429x1', $limit->('ip 3/10m')],
            ['the page, still', { method => 'GET' }, '200x1'],
        ],
        [['PUT and POST', { n => 2, method => 'PUT' }, '200x2'], ['are one', { n => 2 }, '200x1 429x1', $limit->('ip 3/10m')]],
    ],
    FormGuardPath => [
        [
            ['one form', { n => 2 }, '200x2'], ['the other', { path => '/inquiry/form.php' }, '200x1'],
            ['path info', { path => '/contact.php/x' }, '429x1', $limit->('ip 3/10m')], ['nothing else', { n => 4, path => '/other.php' }, '200x4'],
        ],
        [
            ['scripts', { n => 2 }, '200x2'], ['path info', { path => '/other.php/a/b' }, '200x1'], ['CGI', { path => '/form.cgi' }, '200x1'],
            ['the fifth', {}, '429x1', $limit->('ip 4/10m')], ['no script', { n => 2, path => '/file.txt' }, qr/^(?!.*429)/],
        ],
    ],
    FormGuardFormField => [
        [['to the confirmation', { n => 4, form => { %FORM, step => 'confirm' } }, '200x4'], ['sent', { n => 3, form => { %FORM, step => 'send' } }, '200x2 429x1', $limit->('ip 2/10m')]],
        [
            ['another form', { n => 4 }, '200x4'], ['the form', { form => { %FORM, mailform_token => '' } }, '200x1'],
            ['the interface', { n => 2, path => '/api/contact/new.php' }, '200x1 429x1', $limit->('ip 2/10m')],
        ],
    ],
    FormGuardLimit => [
        [['six posts', { n => 6 }, '200x5 429x1', $limit->('ip 5/10m 20/1d'), { headers => { 'Retry-After' => qr/^[1-9]\d*$/ } }], ['another client', { from => '192.0.2.8' }, '200x1']],
        [['the 31st post', { n => 31, each => \&others }, '200x30 429x1', $limit->('form 60/1h 300/1d weight=2')]],
        [
            ['two autoreplies', { n => 2 }, '200x2'],
            ['for one address', { form => { %FORM, email => ' HANAKO@Example.JP' } }, '429x1', $limit->('field:email 2/1d')],
            ['not for others', { form => { %FORM, email => 'taro@example.jp' } }, '200x1'],
        ],
        [
            ['two of one country', { n => 2, from => '182.16.27.106' }, '200x2'],
            ['the third', { from => '182.16.59.138' }, '429x1', $limit->('country+form 2/1d from=!JP')],
            ['one of another', { from => '198.51.100.1' }, '200x1'],
            ['of a third country', { from => '192.0.2.1' }, '429x1', $limit->('form 3/1d from=!JP count=attempts')],
            ['another form', { from => '192.0.2.1', path => '/other.php' }, '200x1'],
            ['a carrier at home', { n => 21, from => '203.0.113.1' }, '200x20 429x1', $limit->('ip+form 20/1d')],
            ['elsewhere', { from => '203.0.113.1', path => '/other.php' }, '200x1'], ['unknown', { from => '10.1.2.3' }, '200x1'],
        ],
        [
            ['three posts', { n => 3 }, '200x3'], ['the fourth', {}, '403x1', $refused->('FG1400', 403)], ['is asked', { token => 'ok' }, '200x1'],
        ],
        [
            ['the 31st', { n => 31, each => \&others }, '200x30 503x1', qr/ \[formguard:error\] .* FG1101: closes its form, refused 503: /, qr/ FG1101: refused 503: /, { headers => { 'Retry-After' => qr/^2\d{4}$/ } }],
            ['closed for everybody', { from => '192.0.2.9' }, '503x1', $refused->('FG1101', 503)], ['but not the other form', { path => '/other.php' }, '200x1'],
        ],
    ],
    FormGuardCountry => [
        [
            ['CN', { from => '198.51.100.1' }, '403x1', qr/ FG1200: refused 403: country refused: rule="CN,HK,RU refuse" country=CN /],
            ['HK', { from => '182.16.27.106' }, '403x1', qr/ FG1200: .* country=HK /], ['JP', { n => 2, from => '203.0.113.1' }, '200x2'],
            ['unknown', { from => '10.1.2.3' }, '200x1'],
        ],
        [
            ['Japan', { from => '203.0.113.1' }, '200x1'], ['elsewhere', { from => '192.0.2.1' }, '403x1', $refused->('FG1400', 403)],
            ['with a captcha', { from => '192.0.2.1', token => 'ok' }, '200x1'], ['HK', { from => '182.16.0.1', token => 'ok' }, '403x1', $refused->('FG1200', 403)],
            ['unknown', { from => '10.1.2.3' }, '200x1', qr/ FG1200: logged only 403: .*"unknown log" country=unknown /],
        ],
    ],
    FormGuardField => [
        [
            ['as it should be', { form => { %FORM, subject => 'Hi', my_hobby => '' } }, '200x1'],
            ['lines', $LINES, '422x1', $refused->('FG1312', 422)], ['nothing said', { form => { %FORM, message => ' ' } }, '422x1', $refused->('FG1310', 422)],
            ['a robot', { form => { %FORM, my_hobby => 'x' } }, '403x1', $refused->('FG1311', 403)],
            ['links', { form => { %FORM, message => 'http://a http://b https://c' } }, '200x1', qr/ FG1313: logged only 422: too many links: rule="message max-links=2" /],
        ],
    ],
    FormGuardDeny => [
        [
            ['uploads', { path => '/uploads/2026/x.php' }, '403x1', qr{ \[formguard:warn\] .* FG1220: refused 403: .* file=\S+/uploads/2026/x\.php ref=\S{9}$}],
            ['elsewhere', {}, '200x1'],
        ],
        [['a post', {}, '403x1', $refused->('FG1220', 403)], ['GET', { method => 'GET' }, '200x1']],
    ],
    FormGuardDNSBL => [
        [
            ['a robot', { from => '198.51.100.77' }, '403x1', qr/ FG1210: refused 403: address listed: rule="zen\.spamhaus\.org" code=127\.0\.0\.4 /],
            ['a home user', { from => '198.51.100.1' }, '200x1'],
        ],
        [
            ['listed', { from => '198.51.100.78' }, '200x1', qr/ FG1210: logged only 403: .*"bl\.example\.net" code=127\.0\.0\.2 /],
            ['another code', { from => '198.51.100.79' }, '200x1'],
        ],
    ],
    FormGuardDNSBLTimeout => [
        [
            [
                'no answer', { from => '198.51.100.80', before => sub { $dns->kill('STOP') }, after => sub { $dns->kill('CONT') }, seconds => [0.4, 3] },
                '200x1', qr/ FG2201: blocklist bl2\.example\.net did not answer in time/
            ],
        ],
    ],
    FormGuardBodyLimit => [
        [['a megabyte', { form => { message => 'x' x 1048568 } }, '200x1'], ['one more', { form => { message => 'x' x 1048569 } }, '413x1', $refused->('FG1301', 413)]],
        [
            ['small', { form => { my_hobby => 'x' } }, '403x1', $refused->('FG1311', 403)],
            ['large ones', { n => 3, form => { my_hobby => 'x' x 140000 } }, qr/^200x2 429x1$/, $limit->('ip 3/10m')],
        ],
    ],
    FormGuardCaptcha => [
        [['solved', { solve => '/contact.php' }, '200x1'], ['not solved', {}, '403x1', $refused->('FG1400', 403)], ['another script', { path => '/other.php' }, '200x1']],
        captcha_rows('ok', ['another script', { path => '/other.php' }, '200x1']),
        captcha_rows('ok-score-0.9-action-contact', ['too low', { token => 'ok-score-0.2-action-contact' }, '403x1', $refused->('FG1406', 403)]),
    ],
    FormGuardCaptchaWhen => [
        [['in Japan', { n => 2, from => '203.0.113.2' }, '200x2'], ['elsewhere', { from => '192.0.2.2' }, '403x1', $refused->('FG1400', 403)]],
    ],
    FormGuardCaptchaVerify => [
        [['looks like one', { path => '/contact.php?_wpcf7=1', form => { %FORM, _wpcf7_recaptcha_response => 'x' x 400 }, asked => 0 }, '200x1'],
            ['none', { path => '/contact.php?_wpcf7=1' }, '403x1', $refused->('FG1400', 403)]],
        [['looks like one', { path => '/contact.php?_wpcf7=1', form => { %FORM, _wpcf7_turnstile_response => 'x' x 400 }, asked => 0 }, '200x1'],
            ['none', { path => '/contact.php?_wpcf7=1' }, '403x1', $refused->('FG1400', 403)]],
    ],
    FormGuardCaptchaDifficulty => [
        [['solved', { solve => '/contact.php', work => 400000 }, '200x1']],
    ],
    FormGuardCaptchaClearance => [
        [['solved', { solve => '/contact.php', keep => 1 }, '200x1'], ['the next two', { n => 3, kept => 1 }, '200x2 403x1', $refused->('FG1400', 403)]],
    ],
    FormGuardCaptchaSiteKey => [captcha_rows('ok')],
    FormGuardCaptchaProject => [captcha_rows('ok-score-0.9')],
    FormGuardCaptchaSecret => [captcha_rows('ok')],
    FormGuardCaptchaSecretFile => [captcha_rows('ok')],
    FormGuardCaptchaField => [
        [['in its field', { form => { %FORM, token => 'ok-score-0.9-action-contact' } }, '200x1'],
            ['in another', { token => 'ok-score-0.9-action-contact' }, '403x1', $refused->('FG1400', 403)]],
    ],
    FormGuardCaptchaStrip => [
        captcha_rows('ok', ['what PHP gets', { token => 'ok' }, '200x1',
            { body => qr/"post":\{"email":"hanako\@example\.jp","message":"Hello","name":"Hanako"\}/ }]),
    ],
    FormGuardInject => [
        [['the page', { method => 'GET', path => '/form.html' }, '200x1',
            { body => qr{method="post"><script src="/\.well-known/formguard/altcha\.js" type="module" async></script><altcha-widget challenge="[^"]*\?form=/contact\.php" auto="onfocus"></altcha-widget><button>} }]],
        [['the page', { method => 'GET', path => '/form.html' }, '200x1', { body => qr{<span class="g-recaptcha" data-sitekey="your-site-key"></span><button>} }],
            ['no token', {}, '403x1', $refused->('FG1400', 403)]],
    ],
    FormGuardCaptchaMinScore => [
        [['0.7', { token => 'ok-score-0.7-action-contact' }, '200x1'], ['0.6', { token => 'ok-score-0.6-action-contact' }, '403x1', $refused->('FG1406', 403)]],
    ],
    FormGuardCaptchaHostname => [
        [
            ['the shop', { token => 'ok-host-shop.example.com' }, '200x1'], ['a part of it', { token => 'ok-host-a.shop.example.com' }, '200x1'],
            ['another site', { token => 'ok-host-www.example.jp' }, '403x1', $refused->('FG1404', 403)],
        ],
        [['Google\'s', { token => 'ok-host-testkey.google.com' }, '200x1'], ['another', { token => 'ok' }, '403x1', $refused->('FG1404', 403)]],
    ],
    FormGuardCaptchaAction => [
        [['contact', { token => 'ok-score-0.9-action-contact' }, '200x1'], ['login', { token => 'ok-score-0.9-action-login' }, '403x1', $refused->('FG1405', 403)]],
    ],
    FormGuardCaptchaMaxAge => [
        [['80s', { token => 'ok-age-80' }, '200x1'], ['100s', { token => 'ok-age-100' }, '403x1', $refused->('FG1403', 403)]],
    ],
    FormGuardCaptchaOnError => [
        [
            ['an error', { n => 2, token => 'status-500' }, '200x2', qr/ FG1500: logged only 503: .* cause=server-error / => 2],
            ['a wrong secret', { token => 'invalid-secret' }, '503x1', qr/ FG1500: refused 503: .* cause=bad-secret /, qr/ \[formguard:error\] .* FG2302: /],
            ['a wrong token', { token => 'qwerty' }, '403x1', $refused->('FG1402', 403), qr/ FG2303: /],
            ['the limit', { n => 2, token => 'status-500' }, '200x1 429x1', qr/ FG1500: logged only /, $limit->('ip 5/1h')],
        ],
    ],
    FormGuardCaptchaEndpoint => [[['is asked', { token => 'ok', asked => 1 }, '200x1']]],
    FormGuardCaptchaTimeout => [
        [['no answer', { token => 'slow-first-byte-15', seconds => [0.9, 8] }, '503x1', qr/ FG1500: refused 503: .* cause=timeout/]],
    ],
    FormGuardCaptchaCAFile => [[['is believed', { token => 'ok', asked => 1 }, '200x1']]],
    FormGuardCaptchaSendRemoteIP => [[['is not told', { token => 'ok', asked => 1, remoteip => 0 }, '200x1']]],
    FormGuardContact => [
        [
            ['the first', {}, '200x1'],
            ['the second', {}, '429x1', $refused->('FG1100', 429), { body => qr/0120-000-000 \(10:00 to 17:00\), info\@shop\.example</ }],
        ],
    ],
    FormGuardStatusOpen => [
        [
            ['from outside', { path => '/formguard-status', from => '192.0.2.1' }, '403x1', qr/ AH01630: /],
            ['the office', { method => 'GET', path => '/formguard-status', from => '203.0.113.250' }, '200x1', { body => qr/mod_formguard/ }],
            ['no button of the page', { path => '/formguard-status', from => '203.0.113.250' }, '403x1', qr/ FG1103: /],
        ],
    ],
    FormGuardOverride => [
        [{ htaccess => "FormGuard Off\nFormGuardLimit ip 1000/10m\n" }, ['no use', { n => 4 }, '200x3 429x1', $limit->('ip 3/10m')]],
        [{ htaccess => "FormGuard Off\n" }, ['is off', { n => 5 }, '200x5']],
        [{ htaccess => "FormGuard Off\n" }, ['an error', {}, '500x1', qr/ \.?\S*\.htaccess: FormGuard: not allowed here: the server config says FormGuardOverride none/]],
    ],
    FormGuardGeoDatabase => [[sub { isnt status()->{country_database}, undef, 'a database is in use' }]],
    FormGuardCounters => [[sub { is status()->{counters}{capacity}, 524288, 'as many' }]],
    FormGuardCaptchaSecretCheck => [[['none is asked', {}, '200x1']]],
    FormGuardCaptchaSlots => [[sub { is status()->{captcha_slots}{total}, 16, 'as many' }]],
    FormGuardDNSBLResolver => [[sub { like slurp("$dir/queries"), qr/ 77\.100\.51\.198\.zen\.spamhaus\.org /, 'it was asked for FormGuardDNSBL' }]],
    FormGuardSigningKeyFile => [[sub { is sprintf('%04o', (stat "$dir/signing-key")[2] & 07777), '0600', 'made, for its owner alone' }]],
    FormGuardSite => [
        [
            { twin => 1, main => "<DirectoryMatch \"/\@EX\@b?/\">\nFormGuard On\nFormGuardLimit site 4/1h\n</DirectoryMatch>\n" },
            ['one host', { n => 2, each => \&others }, '200x2'], ['the other', { n => 3, each => \&others, twin => 1 }, '200x2 429x1', $limit->('site 4/1h')],
        ],
    ],
    FormGuardPages => [
        [
            { main => "<Directory \@HTDOCS\@/\@EX\@>\nFormGuard On\nFormGuardDeny On\n</Directory>\n" },
            ['the page, and one of its texts', {}, '403x1', qr/ FG1220: /, { body => qr{<h1>Nothing can be sent here</h1><p>Not here</p><p>Example Hosting</p>} }],
        ],
    ],
    'SetHandler formguard-status' => [
        [['the office', { method => 'GET', path => '/formguard-status', from => '203.0.113.250' }, '200x1', { body => qr/mod_formguard/ }],
            ['others', { method => 'GET', path => '/formguard-status', from => '192.0.2.1' }, '403x1', qr/ AH01630: /],
            ['what a customer\'s script fetches', { method => 'GET', path => '/formguard-status', from => undef }, '403x1', qr/ AH01630: /]],
        [['here', { method => 'GET', path => '/formguard-status', from => undef }, '200x1', { body => qr/mod_formguard/ }],
            ['from outside', { method => 'GET', path => '/formguard-status' }, '403x1', qr/ AH01630: /]],
    ],
);

# What the manual says loudly of what no example shows: name => .htaccess, steps, more files, the server config's lines.
sub limits { my ($n) = @_; return join '', map { 'FormGuardLimit ip ' . (100 + $_) . "/1h\n" } 1 .. $n }
my @TRAPS = (
    [
        'FormGuard On in .htaccess where the server config watches', "FormGuard On\nFormGuardLimit ip 3/1h\n",
        [['what it says is enforced', { n => 4 }, '200x3 429x1', $limit->('ip 1/1h', 'would refuse') => 2, $limit->('ip 3/1h')]], {}, "FormGuard DetectionOnly\nFormGuardLimit ip 1/1h\n",
    ],
    [
        'over=pass: too many fields pass without a captcha',
        "FormGuard On\nFormGuardBodyLimit 64K over=pass\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret $SECRET\n",
        [['1001 fields', { form => join('&', map { "a$_=1" } 1 .. 1001) }, '200x1'], ['a few', {}, '403x1', $refused->('FG1400', 403)]],
    ],
    [
        'presets do not combine', "FormGuard On\nFormGuardLimit ip 1/1h\nFormGuardPreset contact-form-7\nFormGuardPreset mw-wp-form\n",
        [['the first is not judged', { n => 3, form => { _wpcf7 => 5 } }, '200x3'], ['the last', { n => 2, form => { submitConfirm => 1 } }, '200x1 429x1', $limit->('ip 1/1h')]],
    ],
    [
        'rules of a kind in one file', "FormGuard On\n" . limits(33),
        [['the 33rd is an error', {}, '500x1', qr{ \S*/\.htaccess: FormGuardLimit: 'ip 133/1h' is one too many: 32 of a kind }]],
    ],
    [
        'rules of a kind in nested folders', "FormGuard On\n" . limits(32),
        [['the 33rd does not hold', { n => 3, path => '/inquiry/form.php' }, '200x3', qr/ FG\d{4}: lines of FormGuardLimit in \.htaccess do not hold: /]], { 'inquiry/.htaccess' => "FormGuardLimit ip 1/1h\n" },
    ],
    [
        '* does not mean unknown', "FormGuard On\nFormGuardCountry * refuse\n",
        [['unknown', { n => 3, from => '10.1.2.3' }, '200x3'], ['known', { from => '203.0.113.9' }, '403x1', $refused->('FG1200', 403)]],
    ],
    [
        'challenged, and nothing that challenges', "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret $SECRET\nFormGuardCaptchaWhen challenged\n",
        [['nothing holds anybody', { n => 12 }, '200x12']],
    ],
    [
        'the default limit beside field rules', "FormGuard On\nFormGuardField name single-line\n",
        [['is in force', { n => 11 }, '200x10 429x1', $limit->('ip 10/10m 60/1d')]],
    ],
    [
        'FormGuardFormField and a large body', "FormGuard On\nFormGuardFormField step=send\nFormGuardBodyLimit 64K\n",
        [['is refused, the form\'s or not', { form => { x => 'x' x 70000 } }, '413x1', $refused->('FG1301', 413)]],
    ],
    [
        'FormGuardFormField *', "FormGuard On\nFormGuardFormField step=send\nFormGuardLimit ip 1/1h\n",
        [['takes the list back', { n => 2, path => '/inquiry/form.php' }, '200x1 429x1', $limit->('ip 1/1h')], ['which holds outside', { n => 11 }, '200x11']],
        { 'inquiry/.htaccess' => "FormGuardFormField *\n" },
    ],
    [
        'FormGuardFormField does not narrow FormGuardDeny', "FormGuard On\nFormGuardFormField step=send\n",
        [['no post', { path => '/inquiry/form.php' }, '403x1', $refused->('FG1220', 403)], ['elsewhere', { n => 11 }, '200x11']],
        { 'inquiry/.htaccess' => "FormGuardDeny On\n" },
    ],
);

sub has_rows
{
    my ($entry) = @_;
    my $rows = $DOES{ $entry->{name} } or return 0;
    return @$rows == @{ $entry->{examples} };
}
is_deeply [map { $_->{name} } grep { !has_rows($_) } @ENTRIES], [], 'each example has a row in %DOES';
my %entry = map { $_->{name} => $_ } @ENTRIES;
is_deeply [grep { !$entry{$_} } sort keys %DOES], [], 'and no row is for nobody';

# --- one server, a virtual host for each example ---------------------------------------------------

my %context = map { $_->{name} => { map { @$_ } @{ $_->{head} } }->{Context} } @ENTRIES;
sub in_server { return $context{ $_[0] } eq 'server config' }
sub in_directory { return $context{ $_[0] } =~ /\bdirectory\b/ }
sub in_htaccess { return $context{ $_[0] } =~ /\.htaccess/ }

my (@examples, %files);
for my $entry (@ENTRIES) {
    my $i = 0;
    for my $e (@{ $entry->{examples} }) {
        my @steps = @{ ($DOES{ $entry->{name} } || [])->[$i] || [] };
        my $extra = ref $steps[0] eq 'HASH' ? shift @steps : {};
        push @examples, {
            %$e, %$extra, name => $entry->{name}, steps => \@steps, number => ++$i, id => 'ex' . (@examples + 1),
            from => '203.0.113.' . (@examples + 10), placed => placed($e->{text}),
        };
    }
}

sub vhost
{
    my ($id, $config, $htaccess) = @_;
    my @scripts = qw(contact.php other.php inquiry/form.php mail/mail.php uploads/2026/x.php api/contact/new.php);
    $files{"$id/$_"} = \'echo.php' for @scripts;
    $files{"$id/form.cgi"} = \'echo.cgi';
    $files{"$id/form.html"} = "<form action=\"contact.php\" method=\"post\"><button>Send</button></form>\n";
    $files{"$id/file.txt"} = "text\n";
    $files{"$id/.htaccess"} = $htaccess if defined $htaccess;
    return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $id.test\nServerAlias www.example.jp\nDocumentRoot \@HTDOCS\@/$id\n$config</VirtualHost>\n";
}

# What an example does not say is the provider's: where the service is.
my %SERVICE = (FormGuardCaptchaEndpoint => $vendor->url, FormGuardCaptchaCAFile => $vendor->ca);
sub service_for { my ($ex) = @_; return join '', map { $_ eq $ex->{name} ? () : "$_ $SERVICE{$_}\n" } sort keys %SERVICE }

my ($main, $vhosts) = ('', '');
for my $ex (@examples) {
    $main .= $ex->{main} =~ s/\@EX\@/$ex->{id}/gr if $ex->{main};
    if ($ex->{where} eq '.htaccess') { $vhosts .= vhost($ex->{id}, service_for($ex), $ex->{placed}) }
    elsif (in_server($ex->{name})) {
        $main .= $ex->{placed};
        $vhosts .= vhost($ex->{id}, '');
    }
    else { $vhosts .= vhost($ex->{id} . $_, service_for($ex) . $ex->{placed}, $ex->{htaccess}) for '', $ex->{twin} ? 'b' : () }
}
my $trap_number = 0;
my @traps = map { +{ id => 'trap' . ++$trap_number, from => "203.0.113.$trap_number", name => $_->[0], steps => $_->[2], htaccess => $_->[1], files => $_->[3] || {}, server => $_->[4] // '' } } @TRAPS;
for my $trap (@traps) {
    $vhosts .= vhost($trap->{id}, service_for($trap) . $trap->{server}, $trap->{htaccess});
    $files{"$trap->{id}/$_"} = $trap->{files}{$_} for keys %{ $trap->{files} };
}
# Time for a busy machine; the examples about time have times of their own.
$main .= "FormGuardDNSBLTimeout 5s\nFormGuardCaptchaTimeout 20s\n<Location /all-of-it>\nSetHandler formguard-status\n</Location>\n";
# Where a directive does not belong: a folder for each.
my @refusing = grep { $_ !~ /^SetHandler/ } map { $_->{name} } @ENTRIES;

# A line of the directive's own, from its first example.
sub line_of
{
    my ($name) = @_;
    my ($line) = $entry{$name}{examples}[0]{text} =~ /^\s*(\Q$name\E\b.*\n)/m;
    return placed($line);
}
for my $name (@refusing) {
    $files{"wrong/$name/.htaccess"} = line_of($name);
    $files{"wrong/$name/index.html"} = "here\n";
}
$vhosts .= vhost('wrong', '');
$main .= "<Directory \@HTDOCS\@/wrong>\nAllowOverride AuthConfig\n</Directory>\n";
$main .= "<Directory \@HTDOCS\@/wrong/$_>\nAllowOverride FileInfo Indexes Limit Options\n</Directory>\n" for grep { in_htaccess($_) } @refusing;
$main .= "<Directory \@HTDOCS\@/$_->{id}>\nAllowOverride AuthConfig\n</Directory>\n"
    for grep { $_->{where} eq '.htaccess' } @examples;

my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', config => $main . $vhosts, files => \%files
);
$httpd->log_ok('httpd starts with all examples, and says nothing but of the key', qr/ FG2401: the key that signs challenges was made: /);

sub status { return $httpd->client->get('/all-of-it?json')->json }

# Sends what a step says; the statuses in short: "200x5 429x2".
sub send_all
{
    my ($ex, $what) = @_;
    my %o = (n => 1, method => 'POST', path => '/contact.php', from => $ex->{from}, %$what);
    my $host = $ex->{id} . (delete $o{twin} ? 'b' : '') . '.test';
    my $token = delete $o{token};
    $token = FormGuard::Vendor::fresh($token) if defined $token;
    my ($n, $method, $path, $each) = delete @o{qw(n method path each)};
    my ($solve, $work, $keep, $kept) = delete @o{qw(solve work keep kept)};
    delete @o{qw(before after seconds asked remoteip)};
    $o{form} ||= { %FORM, defined $token ? ($TOKEN => $token) : () } if $method ne 'GET';
    $o{headers} = [Host => $host, $kept ? (Cookie => $ex->{cookie}) : (), @{ $o{headers} || [] }];
    if ($solve) {
        my $challenge = FormGuard::Altcha::challenge($httpd->client, $solve, from => $o{from}, headers => [Host => $host]);
        is $challenge->{maxnumber}, $work, 'as much work as the example says' if $work;
        $o{form}{altcha} = FormGuard::Altcha::solve($challenge);
    }
    delete $o{from} if !defined $o{from};
    my (@runs, $r);
    for my $i (1 .. $n) {
        $r = $httpd->client->request($method, $path, %o, $each ? (from => $each->($i)) : ());
        @runs && $runs[-1][0] == $r->status ? $runs[-1][1]++ : push @runs, [$r->status, 1];
    }
    $ex->{cookie} = $r->header('Set-Cookie') =~ s/;.*//r if $keep;
    return (join(' ', map { "$_->[0]x$_->[1]" } @runs), $r);
}

sub take
{
    my ($ex, $step) = @_;
    return $step->() if ref $step eq 'CODE';
    my ($what, $sent, $runs, @log) = @$step;
    my $answer = @log && ref $log[-1] eq 'HASH' ? pop @log : {};
    my $mark = $vendor->count;
    $sent->{before}->() if $sent->{before};
    my $start = time;
    my ($got, $r) = send_all($ex, $sent);
    my $took = time - $start;
    $sent->{after}->() if $sent->{after};
    ref $runs ? like $got, $runs, $what : is $got, $runs, $what;
    like $r->body, $answer->{body}, "$what: the answer" if $answer->{body};
    like $r->header($_), $answer->{headers}{$_}, "$what: $_" for sort keys %{ $answer->{headers} || {} };
    if ($sent->{seconds}) {
        cmp_ok $took, '>', $sent->{seconds}[0], "$what: waits";
        cmp_ok $took, '<', FormGuard::Process::patience($sent->{seconds}[1]), "$what: but not long";
    }
    my @asked = $vendor->since($mark);
    is scalar @asked, $sent->{asked}, "$what: the service was asked" if defined $sent->{asked};
    ok !defined $asked[0]{remoteip}, "$what: and told no address" if exists $sent->{remoteip};
    # FormGuard On alone says once what it means, in whichever example comes first.
    $httpd->log_ok("$what: error_log", @log, qr/ FG1000: accepted: /, '*', qr/ FG2003: /, [0, 1]);
}

for my $ex (@examples) {
    subtest "$ex->{name}, example $ex->{number}, $ex->{where}" => sub {
        take($ex, $_) for @{ $ex->{steps} };
        ok scalar @{ $ex->{steps} }, 'something is tried';
    };
}

for my $trap (@traps) {
    subtest $trap->{name} => sub { take($trap, $_) for @{ $trap->{steps} } };
}

# --- where a directive does not belong --------------------------------------------------------------

subtest 'in .htaccess where the manual does not allow it' => sub {
    for my $name (@refusing) {
        is $httpd->client->get("/$name/", headers => [Host => 'wrong.test'])->status, 500,
            $name . (in_htaccess($name) ? ' without AllowOverride AuthConfig' : '');
        $httpd->log_ok("$name names itself", qr{/wrong/$name/\.htaccess: $name not allowed here$});
    }
};
$httpd->done;

# --- what only httpd -t is asked --------------------------------------------------------------------

my $checked = FormGuard::Httpd->new(mpm => 'prefork', start => 0);
sub config
{
    my ($config) = @_;
    $checked->configure(config => $config);
    return $checked->configtest;
}

sub takes
{
    my ($what, $config) = @_;
    my ($ok, $said) = config($config);
    ok $ok, "httpd takes $what";
    like $said, qr/\A(?:AH00558: .*\n)?Syntax OK\n\z/, "$what: and says nothing";
}

my %default = map { $_->{name} => { map { @$_ } @{ $_->{head} } }->{Default} } @ENTRIES;
my @values = grep { /^`/ } values %default;
cmp_ok scalar @values, '>', 8, 'defaults that are values';
takes('defaults that are values', join '', map { s/`//gr . "\n" } @values);
takes('examples of .htaccess in a directory section',
    join '', map { "<Directory \@HTDOCS\@/$_->{id}>\n$_->{placed}</Directory>\n" } grep { $_->{where} eq '.htaccess' } @examples);
takes('all other examples in the server config', join '', map { $_->{placed} } grep { $_->{where} ne '.htaccess' } @examples);

subtest 'in sections where the manual does not allow it' => sub {
    for my $name (grep { !in_directory($_) } @refusing) {
        my $in = sub { my ($open, $close) = @_; return config("$open\n" . line_of($name) . "$close\n") };
        my ($ok, $said) = $in->('<Directory @HTDOCS@>', '</Directory>');
        ok !$ok, "$name in a directory";
        like $said, qr/\b$name (?:not allowed in <Directory> context|cannot occur within <Directory> section)$/m, 'names itself';
        ($ok, $said) = $in->('<VirtualHost 127.0.0.1:@PORT@>', '</VirtualHost>');
        ok !$ok == in_server($name), "$name in a virtual host";
        like $said, qr/\b$name (?:not allowed in <VirtualHost> context|cannot occur within <VirtualHost> section)$/m, 'names itself' if in_server($name);
    }
};
$checked->done;

done_testing;
