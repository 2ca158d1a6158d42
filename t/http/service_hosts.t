#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Every captcha service by the URL it documents, with a provider's keys and a site's own, and what it says of where a
# captcha was solved.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Names;
use FormGuard::Vendor;
use FormGuard::VendorServices;
use Test::More;

my $vendor = FormGuard::Vendor->new(secret => [qw(secret-of-the-provider-012 secret-of-the-site-01234)]);
my ($SECRET, $OWN) = map { $vendor->secret($_) } 0, 1;
# httpd finds the services' hosts, and one that is none of theirs, at the stand-in.
my $names = FormGuard::Names->new(map { $_ => $vendor->port('documented') } FormGuard::VendorServices::hosts(), 'evil.example');
my $mail = FormGuard::Mail->new;
my %VISITOR = (name => 'Hanako', email => 'hanako@example.jp', message => 'Is it in stock?');
my $OK = qr/ FG1000: accepted: /;

# value => the widget's field, the path of the question, whether it is told the site's key
my %SERVICE = (
    'recaptcha-v2' => { field => 'g-recaptcha-response', path => '/recaptcha/api/siteverify' },
    'recaptcha-v3' => { field => 'g-recaptcha-response', path => '/recaptcha/api/siteverify' },
    'recaptcha-enterprise' => { field => 'g-recaptcha-response', path => '/v1/projects/%s/assessments', site_key => 1 },
    'hcaptcha' => { field => 'h-captcha-response', path => '/siteverify', site_key => 1 },
    'turnstile' => { field => 'cf-turnstile-response', path => '/turnstile/v0/siteverify' },
    'friendly' => { field => 'frc-captcha-response', path => '/api/v2/captcha/siteverify', site_key => 1 },
);
my @SERVICES = sort keys %SERVICE;

sub keys_of { my ($whose, $secret) = @_; return "FormGuardCaptchaSiteKey key-of-the-$whose\nFormGuardCaptchaProject project-of-the-$whose\nFormGuardCaptchaSecret $secret\n" }

sub path_of { my ($service, $whose) = @_; return $SERVICE{$service}{path} =~ s/%s/project-of-the-$whose/r }

sub host
{
    my ($name, @lines) = @_;
    return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $name.test\nServerAlias www.$name.test *.wild.$name.test\nDocumentRoot \@HTDOCS\@\n"
        . join("\n", @lines, '') . "</VirtualHost>\n";
}

# One post; the questions it led to.
sub ask
{
    my ($httpd, $service, $host, $path, $token, $status, $what) = @_;
    my ($mails, $mark) = ($mail->count, $vendor->count);
    my $r = $httpd->client->post($path, headers => [Host => $host],
        form => { %VISITOR, $SERVICE{$service}{field} => FormGuard::Vendor::fresh($token) });
    is $r->status, $status, $what;
    is $mail->count - $mails, $status == 200 && $path =~ /contact/ ? 2 : 0, "$what: mails";
    return $vendor->since($mark);
}

my $BASE = "FormGuard On\nFormGuardCaptchaTimeout 10s\nFormGuardCaptchaCAFile " . $vendor->ca . "\n";

# [service, host=, where it is asked]
my @HOSTS = (
    ['recaptcha-v2', undef, 'www.google.com'], ['recaptcha-v2', 'www.recaptcha.net', 'www.recaptcha.net'],
    ['recaptcha-v3', undef, 'www.google.com'], ['recaptcha-v3', 'www.recaptcha.net', 'www.recaptcha.net'],
    ['recaptcha-enterprise', undef, 'recaptchaenterprise.googleapis.com'], ['hcaptcha', undef, 'api.hcaptcha.com'],
    ['turnstile', undef, 'challenges.cloudflare.com'], ['friendly', undef, 'global.frcapi.com'], ['friendly', 'eu.frcapi.com', 'eu.frcapi.com'],
);

subtest 'each service is asked where it documents' => sub {
    my %files = ('contact.php' => \'contact.php');
    my $config = '';
    for my $i (0 .. $#HOSTS) {
        my ($service, $at) = @{$HOSTS[$i]};
        my $line = "FormGuardCaptcha $service" . ($at ? " host=$at" : '');
        $config .= host("n$i", $line, keys_of('provider', $SECRET));
        $files{"n$i/contact.php"} = \'contact.php';
        $files{"n$i/.htaccess"} = "FormGuard On\n$line\n" . keys_of('site', $OWN);
    }
    $files{'evil/contact.php'} = \'contact.php';
    $files{'evil/.htaccess'} = "FormGuard On\nFormGuardCaptcha recaptcha-v2 host=evil.example\n" . keys_of('site', $OWN);
    my $httpd = FormGuard::Httpd->new(mpm => 'event', php => 'fpm', mail => $mail, names => $names, files => \%files,
        config => "FormGuardCaptchaTimeout 10s\nFormGuardCaptchaHostname shop.example\nFormGuardCaptchaCAFile " . $vendor->ca . "\n$config" =~ s/(?=FormGuardCaptcha )/FormGuard On\n/gr
            . host('plain'));
    for my $i (0 .. $#HOSTS) {
        my ($service, $at, $where) = @{$HOSTS[$i]};
        for (["n$i.test", '', 'provider', 1], ['plain.test', "/n$i", 'site', 2]) {
            my ($host, $folder, $whose, $account) = @$_;
            my $what = "$service" . ($at ? " host=$at" : '') . " of the $whose";
            my @asked = ask($httpd, $service, $host, "$folder/contact.php", 'ok-score-0.9', 200, $what);
            is_deeply [map { [$_->{port}, $_->{headers}{host}, $_->{path}, $_->{account}] } @asked],
                [['documented', $where, path_of($service, $whose), $account]], "$what: asked there";
        }
    }
    $httpd->log_ok('error_log', $OK => 2 * @HOSTS);
    my @asked = ask($httpd, 'recaptcha-v2', 'plain.test', '/evil/contact.php', 'ok', 500, 'a host that is none of its');
    is_deeply \@asked, [], 'is not asked';
    $httpd->log_ok('error_log', qr/ \[core:alert\] .*\.htaccess: FormGuardCaptcha: 'host=evil\.example' is no host of recaptcha-v2: www\.google\.com, www\.recaptcha\.net$/);
    $httpd->done;
};

# Each service as a provider sets it up for all, and a site owner who has keys of his own.
my $RUN = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my %FILES = ('run.cgi' => $RUN, 'own/run.cgi' => $RUN, 'contact.php' => \'contact.php', 'own/contact.php' => \'contact.php', 'own/.htaccess' => keys_of('site', $OWN));
for (@SERVICES) {
    $FILES{"own-$_/contact.php"} = \'contact.php';
    $FILES{"own-$_/.htaccess"} = "FormGuardCaptcha $_\n" . keys_of('site', $OWN);
}
my %WHERE = map { $_->[0] => $_->[2] } grep { !defined $_->[1] } @HOSTS;

sub key_is_asked_with
{
    my ($httpd, $service, $host, $folder, $whose, $account) = @_;
    my $what = "$service$folder: by the ${whose}'s key";
    my ($q, @more) = ask($httpd, $service, $host, "$folder/contact.php", "ok-score-0.9-host-$host", 200, $what);
    is_deeply [@$q{qw(account site_key)}, scalar @more], [$account, $SERVICE{$service}{site_key} ? "key-of-the-$whose" : undef, 0], "$what: asked with that";
    is $q->{path}, path_of($service, $whose), "$what: asked for that";
    $httpd->log_ok("$what: error_log", $OK);
}

subtest 'the provider\'s keys for all, a site\'s own in .htaccess, and where the captcha was solved' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', php => 'fpm', mail => $mail, names => $names, files => \%FILES,
        config => $BASE . join('', map { host($_, "FormGuardCaptcha $_", keys_of('provider', $SECRET)) } @SERVICES));
    for my $service (@SERVICES) {
        key_is_asked_with($httpd, $service, "$service.test", @$_)
            for ['', 'provider', 1], ['/own', 'site', 2], ["/own-$service", 'site', 2], ['', 'provider', 1];

        my @passes = ("$service.test", uc "$service.test", "www.$service.test", "a.wild.$service.test");
        my ($other) = grep { $_ ne $service } @SERVICES;
        my @fails = ('evil.example', "$other.test", "x.$service.test", "$service.test.evil.example", "evil$service.test", '');
        for my $folder ('', '/own') {
            for my $solved (@passes) {
                ask($httpd, $service, "www.$service.test", "$folder/run.cgi", "ok-score-0.9-host-$solved", 200, "$service$folder: solved on $solved");
            }
            $httpd->log_ok("$service$folder: error_log", $OK => scalar @passes);
            for my $solved (@fails) {
                ask($httpd, $service, "$service.test", "$folder/run.cgi", "ok-score-0.9-host-$solved", 403, "$service$folder: solved on '$solved'");
                my $shown = length $solved ? quotemeta $solved : '-';
                $httpd->log_ok("$service: error_log", qr/ FG1404: refused 403: captcha solved on another site: rule="$service" (?:score=0\.90 )?hostname=$shown country=- /);
            }
        }
    }
    my @lines = $httpd->log->since(0);
    is_deeply [grep { /secret-of-the/ } @lines], [], 'no secret in error_log';
    $httpd->done;
};

# Nothing but the server config itself: no virtual host says a word.
subtest 'a default for all sites in the server config' => sub {
    for my $service (qw(hcaptcha recaptcha-enterprise)) {
        my $httpd = FormGuard::Httpd->new(mpm => 'event', php => 'fpm', mail => $mail, names => $names, files => \%FILES,
            config => "${BASE}FormGuardCaptcha $service\n" . keys_of('provider', $SECRET) . host('a') . host('b'));
        key_is_asked_with($httpd, $service, @$_)
            for ['a.test', '', 'provider', 1], ['b.test', '/own', 'site', 2], ['b.test', "/own-$service", 'site', 2], ['b.test', '', 'provider', 1];
        ask($httpd, $service, 'a.test', '/own/contact.php', 'ok-score-0.9-host-b.test', 403, "$service: solved on a neighbour's site");
        $httpd->log_ok('error_log', qr/ FG1404: .* hostname=b\.test country=- .* site=a\.test ref=\S{9}$/);
        $httpd->done;
    }
};

$vendor->stop;
done_testing;
