# SPDX-License-Identifier: Apache-2.0
package FormGuard::Case;

=head1 NAME

FormGuard::Case - cases as data: configuration, requests, expected answers, log lines and mails

=head1 SYNOPSIS

    use FormGuard::Case;
    FormGuard::Case::run(
        { mpm => 'prefork', php => 'mod' },          # given to FormGuard::Httpd->new, a case may override
        {
            name     => 'the third post in ten minutes is refused',
            config   => "FormGuardGeoDatabase ...",  # httpd.conf; cases with the same servers share one
            htaccess => "FormGuard On\nFormGuardLimit ip 2/10m\n",
            files    => { 'a.php' => '<?php ...' },  # besides the forms, in the folder of the case
            requests => [
                { form => {...}, status => 200 },    # POST contact.php
                { form => {...}, status => 200 },
                { form => {...}, status => 429, headers => { 'Retry-After' => qr/^\d+$/ },
                  body => qr/429/, log => [qr/FG0101:/] },
            ],
            mails    => 4,
            log      => [qr/FG0001:/ => 2],          # of all requests together
        },
        { name => 'one request', form => {...}, status => 200, mails => 2 },   # may be written flat
    );

Every case has a folder of its own below the document root, holding the forms, its files and its
.htaccess, and a client address of its own, so that cases on one server do not count for each other.

A request: C<method> (POST, or GET without a body), C<path> (contact.php; relative to the case's folder,
or absolute), C<from>, C<curl> => 1 for HTTP/2, and what FormGuard::Client's request takes (C<form>,
C<multipart>, C<json>, C<body_bytes>, C<type>, C<send> (headers to send), C<chunks>, C<expect>). What is expected:
C<status>, C<headers> ({ name => value, expression, or undef for absent }), C<body> (expression,
text it contains, or a list of them), C<unlike> (expressions), C<log>, C<mails>, C<test> => sub ($response, $httpd).

C<log> is judged as FormGuard::ErrorLog::judge says. A case without C<log> expects none: lines nobody
expects fail the case.

In C<config> the folder of a case is @CASE@ (/case1, ...): a case that uses it has a server of its own.
C<before> => sub ($httpd, $folder) runs before the requests. C<server_log> => [...] are lines expected
at the start of the server.

=cut

use strict;
use warnings;
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

my @SERVER = qw(mpm php config global modules loglevel h2 ini env module server_log);
my @EXPECT = qw(status headers body unlike log mails test);
my @REQUEST = qw(method path from curl form multipart boundary json body_bytes type send chunks expect);
my %KNOWN = map { $_ => 1 } @SERVER, @EXPECT, @REQUEST, qw(name htaccess files requests before);

my $counter = 0;

sub run
{
    my ($defaults, @cases) = @_;
    my (%group, @order);
    for my $case (@cases) {
        my %c = (%$defaults, %$case);
        my @bad = grep { !$KNOWN{$_} } sort keys %c;
        die "case '$c{name}': unknown @bad\n" if @bad;
        defined $c{name} or die "a case without a name\n";
        $c{n} = ++$counter;
        $c{folder} = "case$c{n}";
        $c{config} =~ s{\@CASE\@}{/$c{folder}}g if defined $c{config};
        # The address of the case: documentation's, one /24 for each 250 cases.
        $c{address} = '203.0.' . (113 + int($c{n} / 250)) . '.' . (1 + $c{n} % 250);
        my $key = join "\0", map { my $v = $c{$_}; defined $v ? (ref $v ? _key($v) : $v) : '' } @SERVER;
        push @order, $key if !$group{$key};
        push @{$group{$key}}, \%c;
    }
    my $mail = FormGuard::Mail->new;
    _run_group($mail, @{$group{$_}}) for @order;
}

sub _key
{
    my ($v) = @_;
    return ref $v eq 'ARRAY' ? join("\1", map { ref $_ eq 'ARRAY' ? "@$_" : "$_" } @$v)
        : join("\1", map { "$_=$v->{$_}" } sort keys %$v);
}

sub _run_group
{
    my ($mail, @cases) = @_;
    my %server = map { $_ => $cases[0]{$_} } grep { $_ ne 'server_log' && exists $cases[0]{$_} } @SERVER;
    my $httpd = FormGuard::Httpd->new(%server, mail => $mail);
    my $what = join ' ', $httpd->mpm, $server{php} ? "php-$server{php}" : ();
    $httpd->log_ok("$what: start", @{$cases[0]{server_log} || []});
    for my $c (@cases) {
        subtest "$what: $c->{name}" => sub { _run_case($httpd, $mail, $c) };
    }
    $httpd->done("$what: nothing more in error_log");
}

sub _run_case
{
    my ($httpd, $mail, $c) = @_;
    my %files = (map { my ($n) = m{([^/]+)\z}; $n => \$n } glob FormGuard::Httpd::forms_dir() . '/*');
    %files = (%files, %{$c->{files} || {}});
    $files{'.htaccess'} = $c->{htaccess} if defined $c->{htaccess};
    for my $name (sort keys %files) {
        next if !defined $files{$name};
        $httpd->write_file("$c->{folder}/$name", $files{$name});
    }
    $c->{before}->($httpd, "/$c->{folder}") if $c->{before};

    my $all = $mail->count;
    my @requests = $c->{requests} ? @{$c->{requests}} : ({map { $_ => $c->{$_} }
        grep { exists $c->{$_} && !/^(?:log|mails)$/ } @EXPECT, @REQUEST});
    my (@lines, @per_request);
    my $i = 0;
    for my $q (@requests) {
        my $label = @requests > 1 ? 'request ' . ++$i : 'answer';
        my $mails = $mail->count;
        my $r = eval { _send($httpd, $c, $q) };
        if (!$r) {
            fail "$label: $@";
            next;
        }
        _judge($label, $q, $r);
        is $mail->count - $mails, $q->{mails}, "$label: mails" if defined $q->{mails};
        $q->{test}->($r, $httpd) if $q->{test};
        push @per_request, @{$q->{log} || []};
    }
    is $mail->count - $all, $c->{mails}, 'mails' if defined $c->{mails};
    $httpd->log_ok('error_log', @{$c->{log} || []}, @per_request);
}

sub _send
{
    my ($httpd, $c, $q) = @_;
    my $client = $httpd->client(from => $c->{address});
    my $path = $q->{path} // $c->{path} // 'contact.php';
    $path = "/$c->{folder}/$path" if $path !~ m{^[/*]};
    my %o;
    for my $k (qw(from form multipart boundary json type chunks expect)) {
        $o{$k} = $q->{$k} if defined $q->{$k};
    }
    $o{headers} = $q->{send} if $q->{send};
    $o{body} = $q->{body_bytes} if defined $q->{body_bytes};
    my $method = $q->{method} // (grep({ defined $o{$_} } qw(form multipart json body)) ? 'POST' : 'GET');
    return $q->{curl} ? $client->curl($method, $path, %o, h2 => $httpd->{h2}) : $client->request($method, $path, %o);
}

sub _judge
{
    my ($label, $q, $r) = @_;
    is $r->status, $q->{status}, "$label: status" or diag substr $r->body, 0, 600 if defined $q->{status};
    for my $name (sort keys %{$q->{headers} || {}}) {
        my $want = $q->{headers}{$name};
        my $got = $r->header($name);
        if (ref $want) {
            like $got // '', $want, "$label: $name";
        }
        else {
            is $got, $want, "$label: $name";
        }
    }
    for my $want (ref $q->{body} eq 'ARRAY' ? @{$q->{body}} : defined $q->{body} ? $q->{body} : ()) {
        like $r->body, ref $want ? $want : qr/\Q$want\E/, "$label: body";
    }
    for my $not (ref $q->{unlike} eq 'ARRAY' ? @{$q->{unlike}} : defined $q->{unlike} ? $q->{unlike} : ()) {
        unlike $r->body, $not, "$label: body";
    }
}

1;
