#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Every captcha service, from the post to the mail: what each is asked, what its answers come to, and that a secret it
# does not know is told at start.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Process;
use FormGuard::Vendor;
use Test::More;

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $SECRET = $vendor->secret;
my $mail = FormGuard::Mail->new;
my %VISITOR = (name => 'Hanako', email => 'hanako@example.jp', message => 'Is it in stock?');
my $OK = qr/ FG1000: accepted: /;

# value => the stand-in's service, the widget's field, what is posted besides the token, what is asked
my %SERVICE = (
    'recaptcha-v2' => { of => 'recaptcha', field => 'g-recaptcha-response', fields => [qw(remoteip response secret)] },
    'recaptcha-v3' => { of => 'recaptcha', field => 'g-recaptcha-response', good => 'ok-score-0.9', fields => [qw(remoteip response secret)] },
    'recaptcha-enterprise' => { of => 'enterprise', field => 'g-recaptcha-response', good => 'ok-score-0.9', fields => [qw(siteKey token userIpAddress)],
        lines => "FormGuardCaptchaProject my-project-1\nFormGuardCaptchaSiteKey site-key-1\n", site_key => 'site-key-1' },
    'hcaptcha' => { of => 'hcaptcha', field => 'h-captcha-response', lines => "FormGuardCaptchaSiteKey site-key-2\n", site_key => 'site-key-2',
        fields => [qw(remoteip response secret sitekey)] },
    'turnstile' => { of => 'turnstile', field => 'cf-turnstile-response', fields => [qw(idempotency_key remoteip response secret)] },
    'friendly' => { of => 'friendly', field => 'frc-captcha-response', lines => "FormGuardCaptchaSiteKey site-key-3\n", site_key => 'site-key-3',
        fields => [qw(response sitekey)] },
);
# A token => status, tag and what error_log says, the same for all but where a service is named.
my $UNKNOWN = '\(the service does not know this token\)';
my @JUDGED = (
    ['invalid', 403, 'FG1402', { 'recaptcha-enterprise' => "code=MALFORMED $UNKNOWN", friendly => "code=response_invalid $UNKNOWN", '' => "code=invalid-input-response $UNKNOWN" }],
    ['dup', 403, 'FG1403', { 'recaptcha-enterprise' => 'code=DUPE \(the token was used before\)', friendly => 'code=response_duplicate \(the token was used before\)',
        hcaptcha => 'code=already-seen-response \(the token was used before\)', '' => 'code=timeout-or-duplicate \(the token has expired or was used before\)' }],
    ['ok-score-0.9-host-evil.example', 403, 'FG1404', { '' => 'hostname=evil.example' }],
    ['ok-score-0.9-host-www.shop.example', 200, '', {}],
    ['ok-score-0.9-age-7200', 403, 'FG1403', { '' => 'age=\d+s' }],
    ['garbage', 503, 'FG1500', { '' => 'cause=server-error \S.*' }],
    ['wrong-type', 503, 'FG1500', { '' => 'cause=server-error (?:reply without success|valid is neither true nor false)' }],
    ['dupkey', 503, 'FG1500', { '' => 'cause=server-error \S.*' }],
    ['badutf8', 503, 'FG1500', { '' => 'cause=server-error reply is not JSON' }],
    ['deep', 503, 'FG1500', { '' => 'cause=server-error reply is not JSON' }],
    ['status-429', 503, 'FG1500', { '' => 'cause=quota status=429' }],
);
my @ONE = (
    ['hcaptcha', 'code-sitekey-secret-mismatch', 403, "FG1402: .* code=sitekey-secret-mismatch \\(the token's site key is not one of this secret\\)"],
    ['hcaptcha', 'code-expired-input-response', 403, 'FG1403: .* code=expired-input-response \(the token has expired\)'],
    ['hcaptcha', 'code-missing-remoteip', 503, 'FG1500: .* cause=server-error code=missing-remoteip \(.*FormGuardCaptchaSendRemoteIP On\)'],
    ['friendly', 'code-response_timeout', 403, 'FG1403: .* code=response_timeout \(the token has expired\)'],
    ['recaptcha-enterprise', 'code-BROWSER_ERROR', 403, 'FG1402: .* code=BROWSER_ERROR \(.*\)'],
    ['recaptcha-enterprise', 'ok-score-0.1', 403, 'FG1406: .* score=0\.10 min=0\.50'],
    ['recaptcha-v3', 'ok-score-0.1', 403, 'FG1406: .* score=0\.10 min=0\.50'],
);

sub host
{
    my ($name, $secret) = @_;
    return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $name.test\nDocumentRoot \@HTDOCS\@\nFormGuardCaptchaHostname shop.example *.shop.example\n"
        . "FormGuardCaptcha $name\nFormGuardCaptchaEndpoint " . $vendor->url('good', undef, $SERVICE{$name}{of}) . "\n" . ($SERVICE{$name}{lines} // '')
        . "FormGuardCaptchaSecret $secret\n</VirtualHost>\n";
}

my $BASE = "FormGuard On\nFormGuardCaptchaTimeout 10s\nFormGuardCaptchaCAFile " . $vendor->ca . "\n";

subtest 'what each is asked, and what its answers come to' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', mail => $mail, loglevel => 'warn formguard:debug',
        config => $BASE . join('', map { host($_, $SECRET) } sort keys %SERVICE), files => { 'contact.php' => \'contact.php' });
    my $tokens = 0;
    my $post = sub {
        my ($name, $token, $status) = @_;
        my $mails = $mail->count;
        my $sent = FormGuard::Vendor::fresh($token);
        my $r = $httpd->client->post('/contact.php', form => { %VISITOR, $SERVICE{$name}{field} => $sent }, headers => [Host => "$name.test"]);
        is $r->status, $status, "$name: $token";
        is $mail->count - $mails, $status == 200 ? 2 : 0, "$name: $token: mails";
    };
    for my $name (sort keys %SERVICE) {
        my $of = $SERVICE{$name};
        my $mark = $vendor->count;
        $post->($name, $of->{good} // 'ok', 200);
        my ($asked) = $vendor->since($mark);
        is_deeply [@$asked{qw(service site_key)}, $asked->{secret_ok} ? 1 : 0], [$of->{of}, $of->{site_key}, 1], "$name: asked whom, and with what keys";
        is_deeply $asked->{fields}, $of->{fields}, "$name: and about what";
        like $asked->{path}, qr{/projects/my-project-1/assessments$}, 'in the project' if $name eq 'recaptcha-enterprise';
        my $r = $httpd->client->post('/contact.php', form => \%VISITOR, headers => [Host => "$name.test"]);
        is $r->status, 403, "$name: no token";
        $httpd->log_ok("$name: error_log", $OK, qr/ FG1400: refused 403: /, qr/ FG0001: / => '*');
        for (@JUDGED) {
            my ($token, $status, $tag, $says) = @$_;
            $post->($name, $token, $status);
            my $detail = $says->{$name} // $says->{''};
            $httpd->log_ok("$name: $token: error_log", $tag ne '' ? qr/ $tag: refused $status: .* rule="$name" (?:score=0\.90 )?$detail country=/ : $OK,
                $token eq 'status-429' ? qr/ FG2304: / : (), qr/ FG0001: | FG2303: / => '*');
            $post->($name, $of->{good} // 'ok', 200) if $status == 503;
            $httpd->log_ok("$name: works again", $status == 503 ? $OK : (), qr/ FG0001: | FG2303: / => '*');
        }
    }
    for (@ONE) {
        my ($name, $token, $status, $says) = @$_;
        $post->($name, $token, $status);
        $httpd->log_ok("$name: $token: error_log", qr/ $says country=/, qr/ FG0001: / => '*');
    }
    # The same question once more, in the same words.
    for my $kind (qw(internal 500 close)) {
        my $mark = $vendor->count;
        $post->('turnstile', "again-$kind-x", 200);
        my @asked = $vendor->since($mark);
        is scalar @asked, 2, "turnstile: $kind: asked twice";
        is $asked[0]{key}, $asked[1]{key}, 'with one idempotency key';
    }
    $httpd->log_ok('error_log', $OK => 3, qr/ FG0001: / => '*');
    my @lines = $httpd->log->since(0);
    is_deeply [grep { /\Q$SECRET\E|~\d{6}/ } @lines], [], 'no secret, no token in error_log';
    $httpd->done;
};

subtest 'a secret that its service does not know is told at start' => sub {
    my $wrong = 'wrong-secret-of-a-site-0123';
    my @bad = qw(friendly hcaptcha recaptcha-enterprise recaptcha-v2 turnstile);
    my $mark = $vendor->count;
    my $httpd = FormGuard::Httpd->new(mpm => 'event', start => 0,
        config => "FormGuardCaptchaSecretCheck On\n$BASE" . join('', map { host($_, $wrong) } @bad)
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName good.test\nDocumentRoot \@HTDOCS\@\nFormGuardCaptcha hcaptcha\nFormGuardCaptchaEndpoint "
            . $vendor->url('good', undef, 'hcaptcha') . "\nFormGuardCaptchaSecret $SECRET\n"
            . "<Location /section>\nFormGuardCaptchaSecret $wrong-section\n</Location>\n</VirtualHost>\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName down.test\nDocumentRoot \@HTDOCS\@\nFormGuardCaptcha hcaptcha\n"
            . 'FormGuardCaptchaEndpoint ' . $vendor->url('expired', undef, 'hcaptcha') . "\nFormGuardCaptchaSecret $wrong\n</VirtualHost>\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName lacks.test\nDocumentRoot \@HTDOCS\@\nFormGuardCaptcha recaptcha-enterprise\n"
            . "FormGuardCaptchaSecret $wrong\n</VirtualHost>\n");
    $httpd->start;
    FormGuard::Process::wait_until(sub { $vendor->count - $mark >= @bad + 2 && (grep { /FG2302/ } $httpd->log->since(0)) > @bad }, 30, 'the services to be asked');
    is $vendor->count - $mark, @bad + 2, 'each secret once';
    is_deeply [grep { ($_->{token} // '') !~ /^mod_formguard-/ } $vendor->since($mark)], [], 'about a token that is none';
    my $refused = sub { my ($name, $site) = @_; qr/ \[formguard:error\] .* FG2302: captcha service $name refuses the secret of site=$site\.test: no token can be verified: code=\S+ \(.*\)$/ };
    $httpd->log_ok('error_log', (map { $refused->($_, $_) } @bad), $refused->('hcaptcha', 'good'),
        qr/ \[formguard:warn\] .* FG2305: captcha service recaptcha-enterprise can't be asked for site=lacks\.test: no FormGuardCaptchaProject is set$/);
    is_deeply [grep { /wrong-secret|\Q$SECRET\E/ } $httpd->log->since(0)], [], 'and shows none';
    $httpd->done;
};

$vendor->stop;
done_testing;
