# SPDX-License-Identifier: Apache-2.0
package FormGuard::VendorServices;

=head1 NAME

FormGuard::VendorServices - what each captcha service is asked and answers, for F<t/lib/vendor-stand-in>

=head1 SYNOPSIS

    my $service = FormGuard::VendorServices::for_path('/siteverify');
    my $q = $service->{question}->($request);     # {secret, token, remoteip, site_key, key, fields}, or nothing: no question
    my ($status, $data) = $service->{yes}->($claims);
    my ($status, $data) = $service->{no}->($why); # secret, token, missing, dup, malformed, or a code of the service

A request is {method, path, headers, body}, claims are {hostname, stamp, score, action}; score and action may be
missing. The replies are those of the services' documentation, which the module's source names.

=cut

use strict;
use warnings;
use JSON::PP ();

sub unescape
{
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

sub form_of
{
    my ($request) = @_;
    return {map { unescape($_->[0]) => unescape($_->[1] // '') } map { [split /=/, $_, 2] } split /&/, $request->{body}};
}

sub is_type { my ($request, $type) = @_; return $request->{method} eq 'POST' && ($request->{headers}{'content-type'} // '') =~ m{^\Q$type\E(?:;|$)} }

# --- siteverify: a form, and JSON with error-codes ---

sub form_question
{
    my ($request) = @_;
    my $form = form_of($request);
    my %q = (secret => $form->{secret}, token => $form->{response}, remoteip => $form->{remoteip}, site_key => $form->{sitekey},
        key => $form->{idempotency_key}, fields => [sort keys %$form]);
    $q{malformed} = 1 if !is_type($request, 'application/x-www-form-urlencoded');
    return \%q;
}

sub siteverify_yes
{
    my ($claims) = @_;
    my %reply = (success => JSON::PP::true, challenge_ts => $claims->{stamp}, hostname => $claims->{hostname});
    for my $name (qw(score action)) {
        $reply{$name} = $claims->{$name} if defined $claims->{$name};
    }
    return (200, \%reply);
}

sub siteverify_no
{
    my ($status, @codes) = @_;
    return ($status, {success => JSON::PP::false, @codes ? ('error-codes' => \@codes) : ()});
}

my %CODES = (
    'secret'           => 'invalid-input-secret',
    'no-secret'        => 'missing-input-secret',
    'token'            => 'invalid-input-response',
    'missing'          => 'missing-input-response',
    'dup'              => 'timeout-or-duplicate',
    'malformed'        => 'bad-request',
    'invalid'          => 'invalid-input-response',
    'missing-response' => 'missing-input-response',
    'missing-secret'   => 'missing-input-secret',
    'invalid-secret'   => 'invalid-input-secret',
    'bad-request'      => 'bad-request',
);

sub no_of
{
    my (%codes) = @_;
    return sub { siteverify_no(200, map { $codes{$_} // $_ } @_) };
}

# --- the services ---

my @SERVICES = (
    {
        # https://developers.google.com/recaptcha/docs/verify
        name => 'recaptcha', path => '/recaptcha/api/siteverify', hosts => [qw(www.google.com www.recaptcha.net)], match => qr{^/recaptcha/api/siteverify$},
        question => \&form_question, yes => \&siteverify_yes, no => no_of(%CODES),
    },
    {
        # https://docs.hcaptcha.com/#verify-the-user-response-server-side
        name => 'hcaptcha', path => '/siteverify', hosts => [qw(api.hcaptcha.com)], match => qr{^/siteverify$},
        question => \&form_question, no => no_of(%CODES, dup => 'already-seen-response'),
        yes => sub {
            my ($claims) = @_;
            my ($status, $reply) = siteverify_yes({%$claims, action => undef});
            return ($status, {%$reply, credit => JSON::PP::false});
        },
    },
    {
        # https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
        name => 'turnstile', path => '/turnstile/v0/siteverify', hosts => [qw(challenges.cloudflare.com)], match => qr{^/turnstile/v0/siteverify$}, idempotent => 1,
        question => \&form_question, no => no_of(%CODES),
        yes => sub {
            my ($claims) = @_;
            my ($status, $reply) = siteverify_yes({%$claims, action => $claims->{action} // ''});
            return ($status, {%$reply, cdata => '', 'error-codes' => [], metadata => {interactive => JSON::PP::false}});
        },
    },
    {
        # https://developer.friendlycaptcha.com/docs/v2/api/siteverify
        name => 'friendly', path => '/api/v2/captcha/siteverify', hosts => [qw(global.frcapi.com eu.frcapi.com)], match => qr{^/api/v2/captcha/siteverify$},
        question => sub {
            my ($request) = @_;
            my $json = eval { JSON::PP::decode_json($request->{body}) };
            my %q = (secret => $request->{headers}{'x-api-key'});
            return {%q, malformed => 1, fields => []} if ref $json ne 'HASH' || !is_type($request, 'application/json');
            return {%q, token => $json->{response}, site_key => $json->{sitekey}, fields => [sort keys %$json]};
        },
        yes => sub {
            my ($claims) = @_;
            my $origin = $claims->{hostname} eq '' ? '' : "https://$claims->{hostname}";
            return (200, {success => JSON::PP::true, data => {event_id => 'ev_CkK-YXwlFf-15_f',
                challenge => {timestamp => $claims->{stamp}, origin => $origin}, risk_intelligence => undef}});
        },
        no => sub {
            my ($why) = @_;
            my %rows = (
                'secret' => 'auth_invalid', 'no-secret' => 'auth_required', 'token' => 'response_invalid', 'missing' => 'response_missing',
                'dup' => 'response_duplicate', 'malformed' => 'bad_request', 'invalid' => 'response_invalid',
            );
            my $code = $rows{$why // ''} // $why // 'bad_request';
            my $status = $code =~ /^auth_/ ? 401 : $code =~ /^response_(?!missing)/ ? 200 : 400;
            return ($status, {success => JSON::PP::false, error => {error_code => $code, detail => 'Some words about it.'}});
        },
    },
    {
        # https://docs.cloud.google.com/recaptcha/docs/create-assessment-website
        # The project may be below any path, so that the tests' one endpoint will do for it.
        name => 'enterprise', path => '/v1', hosts => [qw(recaptchaenterprise.googleapis.com)], match => qr{/projects/([a-z][a-z0-9-]+)/assessments$},
        question => sub {
            my ($request) = @_;
            my $json = eval { JSON::PP::decode_json($request->{body}) };
            my $event = ref $json eq 'HASH' ? $json->{event} : undef;
            my %q = (secret => $request->{headers}{'x-goog-api-key'});
            return {%q, malformed => 1, fields => []} if ref $event ne 'HASH' || !is_type($request, 'application/json');
            return {%q, token => $event->{token}, site_key => $event->{siteKey}, remoteip => $event->{userIpAddress},
                malformed => !length($event->{siteKey} // ''), fields => [sort keys %$event]};
        },
        yes => sub {
            my ($claims) = @_;
            return (200, {
                name => 'projects/1/assessments/2', event => {token => 'is told back', siteKey => 'k'},
                riskAnalysis => {score => $claims->{score} // 0.9, reasons => []},
                tokenProperties => {valid => JSON::PP::true, invalidReason => 'INVALID_REASON_UNSPECIFIED',
                    hostname => $claims->{hostname}, action => $claims->{action} // '', createTime => $claims->{stamp}},
            });
        },
        no => sub {
            my ($why) = @_;
            my %reason = (token => 'MALFORMED', invalid => 'MALFORMED', missing => 'MISSING', dup => 'DUPE');
            my %error = ('secret' => [400, 'INVALID_ARGUMENT', 'API_KEY_INVALID'], 'no-secret' => [403, 'PERMISSION_DENIED'],
                'malformed' => [400, 'INVALID_ARGUMENT'], 'API_KEY_SERVICE_BLOCKED' => [403, 'PERMISSION_DENIED', 'API_KEY_SERVICE_BLOCKED'],
                'RESOURCE_EXHAUSTED' => [429, 'RESOURCE_EXHAUSTED'], 'UNAUTHENTICATED' => [401, 'UNAUTHENTICATED']);
            if (my $row = $error{$why // ''}) {
                my ($status, $name, $reason) = @$row;
                return ($status, {error => {code => $status, message => 'Some words about it.', status => $name,
                    $reason ? (details => [{'\@type' => 'type.googleapis.com/google.rpc.ErrorInfo', reason => $reason, domain => 'googleapis.com'}]) : ()}});
            }
            return (200, {name => 'projects/1/assessments/2', tokenProperties => {valid => JSON::PP::false,
                invalidReason => $reason{$why // ''} // $why // 'INVALID_REASON_UNSPECIFIED'}});
        },
    },
);

sub for_path
{
    my ($path) = @_;
    $path =~ s/\?.*//s;
    my ($service) = grep { $path =~ $_->{match} } @SERVICES;
    return $service;
}

# All hosts of theirs that the module knows.
sub hosts { return map { @{$_->{hosts}} } @SERVICES }

# The path of a service's endpoint.
sub path_of
{
    my ($name) = @_;
    my ($service) = grep { $_->{name} eq $name } @SERVICES;
    return $service ? $service->{path} : die "no service $name\n";
}

1;
