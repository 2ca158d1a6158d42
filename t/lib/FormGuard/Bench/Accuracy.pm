# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Accuracy;

=head1 NAME

FormGuard::Bench::Accuracy - how many posts a limit of ten lets through, and whom else it hits

=head1 SYNOPSIS

    my @questions = FormGuard::Bench::Accuracy::questions();    # { name, title, ask }
    my $text = $_->{ask}->('qos') for @questions;               # what is written into the table

Counted is what a client gets: the form's answer or not.

=cut

use strict;
use warnings;
use FormGuard::Bench::Contender;
use FormGuard::Bench::Load;
use FormGuard::Bench::Works;
use FormGuard::Client;
use List::Util qw(sum0);

my $LIMIT = 10;

sub questions
{
    return (
        { name => 'event', title => "1,000 posts, 8 clients, event with 4 processes", ask => sub { storm($_[0], 'event', 8, 125) } },
        { name => 'prefork', title => "1,000 posts, 8 clients, prefork with 16 processes", ask => sub { storm($_[0], 'prefork', 8, 125) } },
        { name => 'mailer', title => "200 posts, 50 clients, the mailer takes 500 ms", ask => sub { storm($_[0], 'event', 50, 4, '/mailer/form.php?ms=500') } },
        { name => 'many', title => "70,000 posts of one client", ask => \&flood },
        { name => 'remoteip', title => "20 visitors behind a proxy, 5 posts each: refused", ask => \&visitors },
        { name => 'elsewhere', title => "a refused client's GET of another page", ask => \&elsewhere },
    );
}

sub _server
{
    my ($name, $mpm, $period) = @_;
    return FormGuard::Bench::Contender::server($name, mpm => $mpm, limit => $LIMIT, period => $period || 60);
}

sub _post
{
    my ($client, $path, %o) = @_;
    return eval { $client->post($path, form => { name => 'A', message => 'B' }, headers => [Host => 'shop.example'], %o)->status } || 0;
}

sub storm
{
    my ($name, $mpm, $clients, $each, $path) = @_;
    my $server = _server($name, $mpm);
    my @passed = FormGuard::Client::parallel($clients, sub {
        my $client = $server->client;
        return scalar grep { _post($client, $path || '/limits/form.php') == 200 } 1 .. $each;
    });
    FormGuard::Bench::Contender::end($server);
    return sum0(@passed);
}

# By wrk: its answers of 200 are those that are no errors.
sub flood
{
    my ($name) = @_;
    my $server = _server($name, 'event', 600);
    my ($sent, $passed) = (0, 0);
    while ($sent < 70_000) {
        my ($requests, $refused) = FormGuard::Bench::Load::flood($server, '/limits/form.php', 5);
        $sent += $requests;
        $passed += $requests - $refused;
    }
    FormGuard::Bench::Contender::end($server);
    return $passed;
}

sub visitors
{
    my ($name) = @_;
    my $server = _server($name, 'event');
    my $client = $server->client;
    my $refused = grep { _post($client, '/limits/form.php', from => FormGuard::Bench::Works::forwarded(256 * ($_ % 20))) != 200 } 1 .. 100;
    FormGuard::Bench::Contender::end($server);
    return $refused;
}

sub elsewhere
{
    my ($name) = @_;
    my $server = _server($name, 'event');
    my $client = $server->client;
    _post($client, '/limits/form.php') for 1 .. 100;
    my $status = $client->get('/open/page.html')->status;
    FormGuard::Bench::Contender::end($server);
    return $status == 200 ? 'answered' : "refused ($status)";
}

1;
