#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A form with a captcha, from the post to the mail: which tokens let PHP run, which do not, and what the vendor is asked.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Process;
use FormGuard::Vendor;
use POSIX ();
use Test::More;

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $SECRET = $vendor->secret;
my $FIELD = 'g-recaptcha-response';
my %VISITOR = (name => 'Hanako', email => 'hanako@example.jp', message => 'Is it in stock?');
my $OK = qr/ FG1000: accepted: /;

# Shows PHP everything it may know of the request but for the post itself.
my $ENV_PHP = "<?php header('Content-Type: text/plain'); unset(\$_POST, \$_REQUEST);\n"
    . "print_r([\$_SERVER, \$_GET, \$_COOKIE, getenv(), \$_ENV, apache_request_headers(), apache_response_headers()]);\n";

# The server of the table: one endpoint for all, two sites.
my $CONFIG = 'FormGuardCaptchaEndpoint ' . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n" . <<'EOF2';
FormGuardCaptchaTimeout 10s
<VirtualHost 127.0.0.1:@PORT@>
    ServerName shop.example
    ServerAlias www.shop.example *.wild.example w?ld.example
    DocumentRoot @HTDOCS@
</VirtualHost>
<VirtualHost 127.0.0.1:@PORT@>
    ServerName quiet.example
    DocumentRoot @HTDOCS@
    FormGuardCaptchaSendRemoteIP Off
    FormGuardCaptchaHostname *
</VirtualHost>
EOF2

my $mark = 0;

sub on { my ($provider, @more) = @_; return join "\n", 'FormGuard On', "FormGuardCaptcha $provider", "FormGuardCaptchaSecret $SECRET", @more, '' }

# How often the vendor was asked since the request before, and what an answer must never show.
sub asked
{
    my ($n, $more) = @_;
    return sub {
        my ($r, $httpd) = @_;
        my @asked = $vendor->since($mark);
        $mark = $vendor->count;
        is scalar @asked, $n, "the vendor was asked $n times";
        unlike $r->head . $r->body, qr/\Q$SECRET\E/, 'no secret in the answer';
        $more->(@asked) if $more;
    };
}

sub fresh { return FormGuard::Vendor::fresh(@_) }

sub post { my ($token, %more) = @_; return { form => { %VISITOR, defined $token ? ($FIELD => fresh($token)) : () }, %more } }

# A token that lets the post pass: the mails are there, and PHP knows the score. Twice, as each token is asked about.
sub good
{
    my ($name, $htaccess, $token, %o) = @_;
    my $score = delete $o{score};
    return {
        name => "$name: passes",
        htaccess => $htaccess,
        requests => [
            post($token, status => 200, mails => 2, test => asked(1), %o),
            post($token =~ s/xx\z/xy/r, status => 200, path => 'echo.php', mails => 0, %o, test => sub {
                my ($r) = @_;
                asked(1)->(@_);
                is_deeply $r->json->{formguard}, { FORMGUARD_VERDICT => 'accepted', defined $score ? (FORMGUARD_SCORE => $score) : () },
                    'what PHP is told';
            }),
        ],
        log => [qr/ \[formguard:info\] .* FG1000: accepted:@{[defined $score ? " score=\Q$score\E" : '']} country=- form=\S+ site=shop\.example$/, 2],
    };
}

sub bad
{
    my ($name, $htaccess, $token, $n, $status, $log, %o) = @_;
    my ($provider) = $htaccess =~ /FormGuardCaptcha (\S+)/;
    return {
        name => "$name: $status",
        htaccess => $htaccess,
        requests => [{ %{post($token)}, status => $status, mails => 0, unlike => [qr/Hanako/, qr/\bok-/], test => asked($n),
            headers => { 'Cache-Control' => 'no-store', 'Content-Type' => qr{^text/html} }, %o }],
        log => [qr/ \[formguard:\w+\] .*\[client [0-9.:]+\] \Q@{[$log->[0]]}\E rule="$provider"@{[$log->[1]]} country=- form=\S+ site=shop\.example ref=\S{9}$/],
    };
}

my $V2 = on('recaptcha-v2');
my $V3 = on('recaptcha-v3');
my $MISSING = ['FG1400: refused 403: captcha token missing:', ''];
my $SHAPE = 'FG1401: refused 403: captcha token is none:';
my $REJECTED = 'FG1402: refused 403: captcha token rejected:';
my $EXPIRED = 'FG1403: refused 403: captcha token expired or used before:';
my $ELSEWHERE = 'FG1404: refused 403: captcha solved on another site:';
my $ACTION = 'FG1405: refused 403: captcha solved for another action:';
my $SCORE = 'FG1406: refused 403: captcha score too low:';
my $VERIFIER = 'FG1500: refused 503: captcha could not be verified:';

my @TOKENS = (
    good('v2, a good token', $V2, 'ok'),
    good('v2, a score and an action, as of a key of v3', $V2, 'ok-score-0.9-action-x', score => '0.90'),
    bad('v2, a score too low, as of a key of v3', $V2, 'ok-score-0.1-action-x', 1, 403, [$SCORE, ' score=0\.10 min=0\.50']),
    good('v2, the longest token', $V2, 'ok-' . 'x' x 16381),
    good('v2, two minutes and thirty seconds old', $V2, 'ok-age-150'),
    good('v2, five minutes old where an hour is allowed', on('recaptcha-v2', 'FormGuardCaptchaMaxAge 1h'), 'ok-age-300'),
    good('v2, a clock that is ahead', $V2, 'ok-future-300'),
    good('v3, a good token', $V3, 'ok-score-0.9-action-contact', score => '0.90'),
    good('v3, just the score', $V3, 'ok-score-0.5', score => '0.50'),
    good('v3, a score lowered', on('recaptcha-v3', 'FormGuardCaptchaMinScore 0.3'), 'ok-score-0.3', score => '0.30'),
    good('v3, the action', on('recaptcha-v3', 'FormGuardCaptchaAction contact'), 'ok-score-0.7-action-contact', score => '0.70'),

    bad('v2, no token', $V2, undef, 0, 403, $MISSING, body => qr/<html/),
    bad('v2, an empty token', $V2, '', 0, 403, $MISSING),
    bad('v3, no token', $V3, undef, 0, 403, $MISSING),
    bad('v2, a token with a space', $V2, 'ok token', 0, 403, [$SHAPE, ' bytes=8']),
    bad('v2, a token with a line end', $V2, "ok\r\nX: y", 0, 403, [$SHAPE, ' bytes=8']),
    bad('v2, a token with a NUL', $V2, "ok\0", 0, 403, [$SHAPE, ' bytes=3']),
    bad('v2, a token in another alphabet', $V2, "\xe3\x81\x82", 0, 403, [$SHAPE, ' bytes=3']),
    bad('v2, a token too long', $V2, 'ok-' . 'x' x 16382, 0, 403, [$SHAPE, ' bytes=16385']),
    bad('v2, a token far too long', $V2, 'x' x 300_000, 0, 403, [$SHAPE, ' bytes=300000']),
    bad('v2, an invented token', $V2, 'qwerty', 1, 403, [$REJECTED, ' code=invalid-input-response \(the service does not know this token\)']),
    bad('v2, success is false for no reason', $V2, 'no-codes', 1, 403, [$REJECTED, '']),
    bad('v2, a reason that is new', $V2, 'code-brand-new', 1, 403, [$REJECTED, ' code=brand-new']),
    bad('v2, timeout-or-duplicate', $V2, 'dup', 1, 403, [$EXPIRED, ' code=timeout-or-duplicate \(the token has expired or was used before\)']),
    bad('v2, a token of four minutes', $V2, 'ok-age-240', 1, 403, [$EXPIRED, ' age=24\ds']),
    bad('v2, too old for FormGuardCaptchaMaxAge', on('recaptcha-v2', 'FormGuardCaptchaMaxAge 10s'), 'ok-age-100', 1, 403, [$EXPIRED, ' age=1\d\ds']),
    bad('v2, solved on another site', $V2, 'ok-host-other.example', 1, 403, [$ELSEWHERE, ' hostname=other\.example']),
    bad('v3, solved on another site', $V3, 'ok-score-0.9-host-other.example', 1, 403, [$ELSEWHERE, ' score=0\.90 hostname=other\.example']),
    bad('v3, another action', on('recaptcha-v3', 'FormGuardCaptchaAction contact'), 'ok-score-0.9-action-login', 1, 403, [$ACTION, ' score=0\.90 action=login']),
    bad('v3, the action in other letters', on('recaptcha-v3', 'FormGuardCaptchaAction contact'), 'ok-score-0.9-action-Contact', 1, 403, [$ACTION, ' score=0\.90 action=Contact']),
    bad('v3, a low score', $V3, 'ok-score-0.4', 1, 403, [$SCORE, ' score=0\.40 min=0\.50']),
    bad('v3, a score raised', on('recaptcha-v3', 'FormGuardCaptchaMinScore 0.9'), 'ok-score-0.89', 1, 403, [$SCORE, ' score=0\.89 min=0\.90']),
    bad('v3, an old token', $V3, 'ok-score-0.9-age-240', 1, 403, [$EXPIRED, ' score=0\.90 age=24\ds']),
    bad('v3, a reply of v2', $V3, 'ok', 1, 503, [$VERIFIER, ' cause=server-error reply without score or action: is this a v3 key\?']),
    {
        name => 'a token works once',
        htaccess => $V2,
        requests => [
            { form => { %VISITOR, $FIELD => 'once-1' }, status => 200, mails => 2, test => asked(1) },
            { form => { %VISITOR, $FIELD => 'once-1' }, status => 403, mails => 0, test => asked(0),
                log => [qr/ \Q$EXPIRED\E rule="recaptcha-v2" used before /] },
            # What another server has spent is told by the service.
            { form => { %VISITOR, $FIELD => 'once-1~1' }, status => 403, mails => 0, test => asked(1),
                log => [qr/ \Q$EXPIRED\E rule="recaptcha-v2" code=timeout-or-duplicate \(the token has expired or was used before\) /] },
        ],
        log => [$OK],
    },
    {
        name => 'a script is told as it understands',
        htaccess => $V2,
        requests => [post('dup', status => 403, send => [Accept => 'application/json'], headers => { 'Content-Type' => 'application/problem+json' },
            body => qr/"reason":"expired"/, test => asked(1))],
        log => [qr/ FG1403: /],
    },
);

my @WAYS = (
    {
        name => 'multipart: the token behind a file of 200 kB',
        htaccess => $V2,
        requests => [
            { multipart => [%VISITOR, attachment => { filename => 'a.bin', type => 'image/png', content => "\r\n--x" x 40_000 }, $FIELD => fresh('ok')],
                status => 200, mails => 2, test => asked(1) },
            { multipart => [%VISITOR, attachment => { filename => 'a.bin', type => 'image/png', content => "\r\n--x" x 40_000 }, $FIELD => fresh('dup')],
                status => 403, mails => 0, test => asked(1), log => [qr/ FG1403: /] },
            { multipart => [%VISITOR, attachment => { filename => 'a.bin', type => 'image/png', content => "\r\n--x" x 40_000 }],
                status => 403, mails => 0, test => asked(0), log => [qr/ FG1400: /] },
        ],
        log => [$OK],
    },
    {
        name => 'multipart: a file of the field\'s name is no token',
        htaccess => $V2,
        requests => [{ multipart => [%VISITOR, $FIELD => { filename => 'ok', type => 'text/plain', content => 'ok' }],
            status => 403, mails => 0, test => asked(0), log => [qr/ FG1400: /] }],
    },
    {
        name => 'JSON',
        htaccess => $V2,
        requests => [
            { json => { %VISITOR, $FIELD => fresh('ok') }, path => 'echo.php', status => 200, test => asked(1) },
            { json => { %VISITOR, $FIELD => fresh('dup') }, path => 'echo.php', status => 403, test => asked(1), log => [qr/ FG1403: /] },
            { json => { %VISITOR, $FIELD => [fresh('ok')] }, path => 'echo.php', status => 403, test => asked(0), log => [qr/ FG1400: /] },
            { body_bytes => qq({"$FIELD":"@{[fresh('dup')]}","$FIELD":"@{[fresh('ok')]}"}), type => 'application/json', path => 'echo.php', status => 200, test => asked(1, sub { is $_[0]{token}, 'ok' }),
                log => [$OK] },
            { json => { %VISITOR, inner => { $FIELD => fresh('ok') } }, path => 'echo.php', status => 403, test => asked(0), log => [qr/ FG1400: /] },
        ],
        log => [$OK],
    },
    {
        name => 'JSON: a field inside an object',
        htaccess => on('recaptcha-v2', 'FormGuardCaptchaField form.captcha'),
        requests => [
            { json => { form => { %VISITOR, captcha => fresh('ok') } }, path => 'echo.php', status => 200, test => asked(1) },
            { json => { %VISITOR, captcha => fresh('ok') }, path => 'echo.php', status => 403, test => asked(0), log => [qr/ FG1400: /] },
        ],
        log => [$OK],
    },
    {
        name => 'given twice the last one counts, as in PHP',
        htaccess => $V2,
        requests => [
            { form => "$FIELD=@{[fresh('dup')]}&a=1&$FIELD=@{[fresh('ok')]}", path => 'echo.php', status => 200, test => sub {
                my ($r) = @_;
                asked(1, sub { is $_[0]{token}, 'ok', 'which token' })->(@_);
                like $r->json->{post}{$FIELD}, qr/^ok~/, 'PHP takes the same';
            } },
            { form => "$FIELD=@{[fresh('ok')]}&a=1&$FIELD=@{[fresh('dup')]}", path => 'echo.php', status => 403, test => asked(1, sub { is $_[0]{token}, 'dup' }), log => [qr/ FG1403: /] },
        ],
        log => [$OK],
    },
    {
        name => 'an array is no token, one in the query neither, one in a body of another type neither',
        htaccess => $V2,
        requests => [
            { form => "$FIELD\[]=ok", status => 403, test => asked(0), log => [qr/ FG1400: /] },
            { form => "$FIELD\[a]=ok", status => 403, test => asked(0), log => [qr/ FG1400: /] },
            { form => "$FIELD=ok&$FIELD\[]=ok", status => 403, test => asked(0), log => [qr/ FG1400: /] },
            { form => 'a=1', path => "contact.php?$FIELD=ok", status => 403, test => asked(0), log => [qr/ FG1400: /] },
            { form => 'a=1', send => [Cookie => "$FIELD=ok", 'G-Recaptcha-Response' => 'ok'], status => 403, test => asked(0), log => [qr/ FG1400: /] },
            { body_bytes => "$FIELD=ok", type => 'text/plain', status => 403, test => asked(0), log => [qr/ FG1400: /] },
            { body_bytes => '', status => 403, test => asked(0), log => [qr/ FG1400: /] },
        ],
    },
    {
        name => 'a form that only looks is not asked for a token',
        htaccess => $V2,
        requests => [{ method => 'GET', status => 200, body => qr/<textarea/, test => asked(0) }],
    },
    (map {
        my ($field, @posted) = @$_;
        {
            name => "FormGuardCaptchaField $field",
            htaccess => on('recaptcha-v2', "FormGuardCaptchaField $field"),
            requests => [
                (map { { form => { %VISITOR, $_ => fresh('ok') }, status => 200, mails => 2, test => asked(1) } } @posted),
                { form => { %VISITOR, $FIELD => fresh('ok') }, status => 403, mails => 0, test => asked(0), log => [qr/ FG1400: /] },
            ],
            log => [$OK => scalar @posted],
        };
    } ['my-token', 'my-token'], ['my.token', 'my.token', 'my_token', 'my token'], ['contact[captcha]', 'contact[captcha]']),
);

# [where it was solved, the site taken by the Host header, passes?]
my @SITES = (
    ['shop.example', 'shop.example', 1], ['SHOP.Example', 'shop.example', 1], ['shop.example', 'www.shop.example', 1],
    ['www.shop.example', 'shop.example', 1], ['a.wild.example', 'shop.example', 1], ['a.b.wild.example', 'a.wild.example', 1],
    ['wold.example', 'shop.example', 1],
    ['wild.example.evil.example', 'shop.example', 0], ['evilshop.example', 'shop.example', 0], ['127.0.0.1', 'shop.example', 0],
    ['woold.example', 'shop.example', 0], ['shop.example.', 'shop.example', 0],
    # A Host the server does not know is served by the first site, whose names count.
    ['evil.example', 'evil.example', 0], ['shop.example', 'evil.example', 1],
    ['anything.example', 'quiet.example', 1],
);

my @PLACES = (
    {
        name => 'the site\'s names: ServerName and ServerAlias',
        htaccess => $V2,
        requests => [map {
            my ($host, $site, $passes) = @$_;
            post("ok-host-$host", send => [Host => $site], test => asked(1),
                $passes ? (status => 200, mails => 2) : (status => 403, mails => 0, log => [qr/ FG1404: .* hostname=\Q$host\E /]));
        } @SITES],
        log => [$OK => scalar grep { $_->[2] } @SITES],
    },
    {
        name => 'FormGuardCaptchaHostname in their place',
        htaccess => on('recaptcha-v2', 'FormGuardCaptchaHostname only.example *.sub.example'),
        requests => [
            post('ok-host-only.example', status => 200, mails => 2, test => asked(1)),
            post('ok-host-x.sub.example', status => 200, mails => 2, test => asked(1)),
            post('ok-host-shop.example', status => 403, mails => 0, test => asked(1), log => [qr/ FG1404: /]),
            post('ok-host-sub.example', status => 403, mails => 0, test => asked(1), log => [qr/ FG1404: /]),
        ],
        log => [$OK => 2],
    },
    {
        name => 'the visitor\'s address goes along',
        htaccess => $V2,
        requests => [
            (map { my $ip = $_; post('ok', from => $ip, status => 200, test => asked(1, sub {
                is $_[0]{remoteip}, $ip, 'remoteip';
                is $_[0]{method}, 'POST', 'by POST';
                ok $_[0]{secret_ok}, 'with the secret';
                is $_[0]{port}, 'good', 'over TLS';
            })) } '198.51.100.77', '2001:db8::7'),
            post('ok', send => [Host => 'quiet.example'], from => '198.51.100.78', status => 200,
                test => asked(1, sub { is_deeply $_[0]{fields}, [qw(response secret)], 'not with FormGuardCaptchaSendRemoteIP Off' })),
        ],
        log => [$OK => 3],
    },
    {
        name => 'what a limit refuses is not asked about',
        htaccess => on('recaptcha-v2', 'FormGuardLimit ip 3/10m'),
        requests => [
            post('ok', status => 200, mails => 2, test => asked(1)),
            post('dup', status => 403, mails => 0, test => asked(1), log => [qr/ FG1403: /]),
            post(undef, status => 403, mails => 0, test => asked(0), log => [qr/ FG1400: /]),
            map { post('ok', status => 429, mails => 0, test => asked(0), log => [qr/ FG1100: /]) } 1, 2,
        ],
        log => [$OK],
    },
    {
        name => 'a captcha that failed takes nothing of the form\'s budget',
        htaccess => on('recaptcha-v2', 'FormGuardLimit form 1/10m'),
        requests => [
            (map { post('dup', status => 403, mails => 0, test => asked(1), log => [qr/ FG1403: /]) } 1 .. 3),
            post('ok', status => 200, mails => 2, test => asked(1)),
            post('ok', status => 429, mails => 0, test => asked(1), log => [qr/ FG1100: /]),
        ],
        log => [$OK],
    },
    {
        name => 'what is no submission is not asked about',
        htaccess => on('recaptcha-v2', 'FormGuardFormField email'),
        requests => [
            { form => 'search=x', path => 'echo.php', status => 200, test => asked(0) },
            post(undef, status => 403, mails => 0, test => asked(0), log => [qr/ FG1400: /]),
            post('ok', status => 200, mails => 2, test => asked(1)),
        ],
        log => [$OK],
    },
    {
        name => 'once a post, whatever it is redirected through',
        htaccess => on('recaptcha-v2') . "RewriteEngine On\nRewriteRule ^pretty\$ middle [E=A:1]\nRewriteRule ^middle\$ contact.php\n",
        requests => [post('once-pretty', path => 'pretty', status => 200, mails => 2, test => asked(1))],
        log => [$OK],
    },
    {
        name => 'DetectionOnly spends no token and lets everything pass',
        htaccess => on('recaptcha-v2') =~ s/On/DetectionOnly/r,
        requests => [
            (map { post($_, status => 200, mails => 2, test => asked(0), log => [$OK]) } 'ok', 'dup', 'qwerty', 'never'),
            post(undef, status => 200, mails => 2, test => asked(0),
                log => [qr/ \[formguard:notice\] .* FG1400: would refuse 403: captcha token missing: rule="recaptcha-v2" /]),
            post('a b', status => 200, mails => 2, test => asked(0), log => [qr/ FG1401: would refuse 403: captcha token is none: /]),
            post(undef, path => 'echo.php', status => 200, test => sub {
                is_deeply $_[0]->json->{formguard}, { FORMGUARD_VERDICT => 'would-refuse', FORMGUARD_RULE => 'recaptcha-v2' }, 'what PHP is told';
            }, log => [qr/ FG1400: would refuse /]),
        ],
    },
    {
        name => 'a secret the vendor does not know',
        htaccess => "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret wrong-secret-0123456789\n",
        requests => [post('ok', status => 503, mails => 0, unlike => qr/wrong-secret/, test => asked(1))],
        log => [qr/ \[formguard:notice\] .* FG1500: refused 503: .* rule="recaptcha-v2" cause=bad-secret code=invalid-input-secret \(the service does not know this secret\) /,
            qr/ \[formguard:error\] .* FG2302: captcha service recaptcha-v2 refuses the secret of site=shop\.example form=\S+: no token can be verified: code=invalid-input-secret \(the service does not know this secret\)$/],
    },
    {
        name => 'no secret at all',
        htaccess => "FormGuard On\nFormGuardCaptcha recaptcha-v2\n",
        requests => [post('ok', status => 503, mails => 0, test => asked(0))],
        log => [qr/ \[formguard:notice\] .* FG1500: refused 503: .* cause=bad-secret no secret is set /,
            qr/ \[formguard:error\] .* FG2302: captcha service recaptcha-v2 refuses the secret of site=shop\.example form=\S+: no token can be verified: no secret is set$/],
    },
    (map {
        my ($line, $why) = @$_;
        {
            name => "in .htaccess $line is an error",
            htaccess => on('recaptcha-v2', $line),
            requests => [post('ok', status => 500, mails => 0, unlike => qr/\Q$SECRET\E/, test => asked(0))],
            log => [qr/ \[core:alert\] .*\.htaccess: $why/],
        };
    } ['FormGuardCaptchaSecretFile /etc/passwd', 'FormGuardCaptchaSecretFile not allowed here'],
        ['FormGuardCaptchaEndpoint https://evil.example/', 'FormGuardCaptchaEndpoint not allowed here'],
        ['FormGuardCaptchaCAFile /etc/passwd', 'FormGuardCaptchaCAFile not allowed here'],
        ['FormGuardCaptchaTimeout 30s', 'FormGuardCaptchaTimeout not allowed here'],
        ['FormGuardCaptchaSendRemoteIP Off', 'FormGuardCaptchaSendRemoteIP not allowed here']),
);

FormGuard::Case::run({ mpm => 'prefork', php => 'mod', config => $CONFIG }, @TOKENS, @WAYS, @PLACES);

my $mail = FormGuard::Mail->new;

# Two sites with a vendor's account each, and a customer with an account of his own.
subtest 'keys of each site' => sub {
    my $other = FormGuard::Vendor->new(hostname => 'b.example', secret => 'the-secret-of-site-b-0123');
    my $keys = FormGuard::Process::private_dir();
    write_secret("$keys/a.key", "$SECRET\n", 0600);
    my $httpd = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', mail => $mail,
        config => "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaCAFile " . $vendor->ca . "\n"
            . "FormGuardCaptchaSecret the-server-s-own-secret\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName shop.example\nDocumentRoot \@HTDOCS\@\nFormGuardCaptchaEndpoint "
            . $vendor->url . "\nFormGuardCaptchaSecretFile $keys/a.key\n</VirtualHost>\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName b.example\nDocumentRoot \@HTDOCS\@\nFormGuardCaptchaEndpoint "
            . $other->url . "\nFormGuardCaptchaCAFile " . $other->ca . "\nFormGuardCaptchaSecret " . $other->secret . "\n</VirtualHost>\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName c.example\nDocumentRoot \@HTDOCS\@\nFormGuardCaptchaHostname *\nFormGuardCaptchaEndpoint "
            . $vendor->url . "\n</VirtualHost>\n",
        files => { 'contact.php' => \'contact.php', 'own/contact.php' => \'contact.php',
            'own/.htaccess' => "FormGuardCaptchaSecret $SECRET\n" },
    );
    for (['shop.example', '', 200, 1, 0], ['b.example', '', 200, 0, 1], ['c.example', '', 503, 1, 0], ['c.example', '/own', 200, 1, 0],
        ['b.example', '/own', 503, 0, 1]) {
        my ($host, $folder, $status, $first, $second) = @$_;
        my @before = ($vendor->count, $other->count);
        my $r = $httpd->client->post("$folder/contact.php", form => { %VISITOR, $FIELD => fresh('ok') }, headers => [Host => $host]);
        is $r->status, $status, "$host$folder";
        is_deeply [$vendor->count - $before[0], $other->count - $before[1]], [$first, $second], 'asked whom';
    }
    # A .key file is read at start: a later change counts after a restart only.
    write_secret("$keys/a.key", 'changed-secret-012345', 0600);
    is $httpd->client->post('/contact.php', form => { %VISITOR, $FIELD => fresh('ok') }, headers => [Host => 'shop.example'])->status, 200, 'the file has changed';
    $httpd->log_ok('error_log', $OK => 4, qr/ FG1500: .* cause=bad-secret .* site=[bc]\.example ref=\S{9}$/ => 2,
        map { qr/ FG2302: .* refuses the secret of site=\Q$_\E: / } 'c.example form=/contact.php', 'b.example form=/own/contact.php');
    $httpd->restart('graceful');
    is $httpd->client->post('/contact.php', form => { %VISITOR, $FIELD => fresh('ok') }, headers => [Host => 'shop.example'])->status, 503,
        'and was read again';
    $httpd->log_ok('error_log', qr/ FG1500: .* cause=bad-secret /, qr/ FG2302: .* refuses the secret of site=shop\.example form=\S+: /);
    $httpd->done;
};

subtest 'a secret that is refused and taken in turn' => sub {
    my $httpd = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', mail => $mail,
        config => 'FormGuardCaptchaEndpoint ' . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n",
        files => { 'contact.php' => \'contact.php', '.htaccess' => on('recaptcha-v2') },
    );
    for (1 .. 20) {
        $httpd->client->post('/contact.php', form => { %VISITOR, $FIELD => $_ }) for 'invalid-secret', fresh('qwerty');
    }
    my $lines = grep { / FG230[23]: / } split /\n/, do { local (@ARGV, $/) = $httpd->dir . '/logs/error_log'; <> };
    is $lines, 20, 'is said twenty times, and then no more: no client fills the log';
    $httpd->log_ok('error_log', qr/ FG2302: / => 10, qr/ FG2303: / => 10, qr/ FG1[45]\d\d: / => '*', qr/ FG1\d\d\d: .*suppressed/ => '*');
    $httpd->done;
};

sub write_secret
{
    my ($file, $text, $mode) = @_;
    open my $fh, '>', "$file.new" or die "$file: $!\n";
    print $fh $text;
    close $fh or die "$file: $!\n";
    chmod $mode, "$file.new" or die "$file: $!\n";
    rename "$file.new", $file or die "$file: $!\n";
}

subtest 'FormGuardCaptchaSecretFile' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', start => 0);
    my $keys = $httpd->dir;
    write_secret("$keys/good.key", " \t$SECRET" =~ s/^\s+//r . "\r\n\n", 0600);
    write_secret("$keys/group.key", $SECRET, 0640);
    write_secret("$keys/world.key", $SECRET, 0604);
    write_secret("$keys/writable.key", $SECRET, 0602);
    write_secret("$keys/empty.key", "\n", 0600);
    write_secret("$keys/none.key", '', 0600);
    write_secret("$keys/two.key", "$SECRET\n$SECRET\n", 0600);
    write_secret("$keys/long.key", 'x' x 257, 0600);
    write_secret("$keys/huge.key", 'x' x 4096, 0600);
    write_secret("$keys/nul.key", "$SECRET\0", 0600);
    POSIX::mkfifo("$keys/fifo.key", 0600) or die "mkfifo: $!\n";
    symlink "$keys/fifo.key", "$keys/link.key" or die "symlink: $!\n";
    symlink "$keys/world.key", "$keys/link-world.key" or die "symlink: $!\n";
    mkdir "$keys/folder.key", 0700 or die "mkdir: $!\n";
    my @files = (
        ["$keys/good.key"], ['good.key'], ['./group.key'],
        ['world.key', 'may be read or written by everybody: chmod o= it'],
        ['writable.key', 'may be read or written by everybody: chmod o= it'],
        ['link-world.key', 'may be read or written by everybody: chmod o= it'],
        ['empty.key', 'is no use: the secret in it is empty'], ['none.key', 'is no use: the secret in it is empty'],
        ['two.key', 'is no use: the secret in it holds something that is no visible ASCII character'],
        ['nul.key', 'is no use: the secret in it holds something that is no visible ASCII character'],
        ['long.key', 'is no use: the secret in it is longer than 256 bytes'],
        ['huge.key', 'is larger than 1024 bytes: it shall hold the secret alone'],
        ['fifo.key', 'is no plain file'], ['link.key', 'is no plain file'], ['folder.key', 'is no plain file'], ['/dev/null', 'is no plain file'],
        ['no-such.key', "can't be read: No such file or directory"],
    );
    for (@files) {
        my ($file, $why) = @$_;
        $httpd->configure(config => "FormGuardCaptchaSecretFile $file\n");
        my ($ok, $said) = eval { $httpd->configtest };
        is $@, '', "$file: it does not hang";
        is !!$ok, !defined $why, "$file: " . (defined $why ? 'no use' : 'taken') or diag $said;
        my $path = $file =~ m{^/} ? $file : "$keys/" . $file =~ s{^\./}{}r;
        like $said, qr{^FormGuardCaptchaSecretFile: '\Q$path\E' \Q$why\E$}m, 'what it says' if defined $why;
        unlike $said, qr/\Q$SECRET\E|xxxx/, 'and does not show';
    }
    # The same file really is the secret.
    $httpd->configure(config => "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecretFile good.key\nFormGuardCaptchaHostname shop.example\n"
        . 'FormGuardCaptchaEndpoint ' . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n");
    $httpd->write_file('form.cgi', \'echo.cgi');
    $httpd->start;
    is $httpd->client->post('/form.cgi', form => { $FIELD => fresh('ok') })->status, 200, 'the secret of a file with white space behind it';
    $httpd->log_ok('error_log', $OK);
    $httpd->done;
};

# At LogLevel trace8 httpd tells all it knows, and PHP shows all it was told.
subtest 'neither token nor secret shows anywhere' => sub {
    my $keys = FormGuard::Process::private_dir();
    write_secret("$keys/key", $SECRET, 0600);
    my $httpd = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', mail => $mail, loglevel => 'trace8',
        config => $CONFIG . "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecretFile $keys/key\n",
        files => { 'contact.php' => \'contact.php', 'env.php' => $ENV_PHP, 'inline/env.php' => $ENV_PHP,
            'inline/.htaccess' => "FormGuardCaptchaSecret $SECRET\n",
            'wrong/env.php' => $ENV_PHP, 'wrong/.htaccess' => "FormGuardCaptchaSecret wrong-secret-0123456789\n",
            'v3/env.php' => $ENV_PHP, 'v3/.htaccess' => "FormGuardCaptcha recaptcha-v3\n" },
    );
    my %tokens;
    my $n = 0;
    for my $folder ('', '/inline', '/wrong', '/v3') {
        for my $kind ('ok', 'once', 'score-0.9', 'code', 'echo', 'dup', 'invalid', 'garbage', 'status-500', 'ok-host') {
            my $token = "$kind-" . join '', map { chr(65 + ($_ * 7 + ++$n) % 26) } 1 .. 40;
            $token = fresh($kind) if $kind =~ /^(?:echo|dup|invalid|garbage)$/;
            $tokens{$token} = 1 if length $token > 20;
            my $r = $httpd->client->post("$folder/env.php", form => { $FIELD => $token });
            unlike $r->head . $r->body, qr/\Q$SECRET\E|wrong-secret/, "$folder $kind: no secret in the answer";
            unlike $r->head . $r->body, qr/\Q$token\E/, "$folder $kind: no token in the answer" if length $token > 20;
            like $r->body, qr/FORMGUARD_VERDICT\] => accepted/, 'PHP has shown what it knows' if $r->status == 200;
            $httpd->client->post("$folder/env.php", form => { $FIELD => "$token with space" });
        }
    }
    my @lines = $httpd->log->since(0);
    cmp_ok scalar(grep { /\[formguard:debug\]/ } @lines), '>', 100, 'it is told at length';
    cmp_ok scalar(grep { /:trace\d\]/ } @lines), '>', 100, 'by httpd, too';
    is_deeply [grep { /\Q$SECRET\E|wrong-secret/ } @lines], [], 'no secret in error_log';
    my $any = join '|', map { quotemeta } sort keys %tokens;
    is_deeply [grep { /$any/ } @lines], [], 'no token in error_log';
    $httpd->log_ok('whatever it says', qr/./ => '*');
    $httpd->expect_log(qr/./ => '*');
    $httpd->done;
};

$vendor->stop;
done_testing;
