# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Works;

=head1 NAME

FormGuard::Bench::Works - the requests that t/bench/run measures

=head1 SYNOPSIS

    my @works = FormGuard::Bench::Works::all();     # { name, title, setting, aim, path, ... }
    my $next = FormGuard::Bench::Works::requests($work, $server, $contender);
    my ($bytes, $from) = $next->($i);               # the i-th request, and the address to connect from, if it matters
    FormGuard::Bench::Works::status($work, $contender);

=cut

use strict;
use warnings;
use FormGuard::Altcha;
use FormGuard::Client;
use FormGuard::Httpd;

my $MESSAGE = join ' ', map { "Is number $_ of your catalogue still to be had in blue?" } 1 .. 17;
my @FORM = (name => 'Hanako Yamada', email => 'hanako@example.jp', subject => 'Question', message => $MESSAGE, website => '');
# Like a photograph: no line ends to speak of, no zeros.
my $FILE = do { my ($s, $x) = ('', 1); for (1 .. 200_000) { $x = ($x * 1103515245 + 12345) & 0x7fffffff; $s .= chr(32 + ($x >> 16) % 90) } $s };
my @UPLOAD = (@FORM, file => { filename => 'photo.jpg', type => 'image/jpeg', content => $FILE });

# setting: which server. wide: its limits are never reached. narrow: one post for a client. full: narrow tables.
# pace: slow enough for a line in error_log each. aim: instructions over plain httpd. token: mod_formguard is sent a solved challenge, and the others what is as long.
my @WORKS = (
    { name => 'get', title => 'GET 1 KB, not guarded', setting => 'wide', path => '/open/page.html', method => 'GET', aim => 300 },
    { name => 'get-guarded', title => 'GET 1 KB beside a guarded form', setting => 'wide', path => '/limits/page.html', method => 'GET' },
    { name => 'open', title => 'form POST, not guarded', setting => 'wide', path => '/open/form.php', form => 1, aim => 300 },
    { name => 'limits', title => 'form POST, limits only', setting => 'wide', path => '/limits/form.php', form => 1, aim => 7000 },
    { name => 'all', title => 'form POST, everything', setting => 'wide', path => '/all/form.php', form => 1, token => 1, aim => 9000 },
    { name => 'upload', title => 'multipart, file of 200 kB', setting => 'wide', path => '/all/form.php', upload => 1, token => 1,
      aim => 250_000, fewer => 10 },
    { name => 'refused', title => 'refused POST, with its line', setting => 'narrow', path => '/refused/form.php', form => 1,
      again => 1, close => 1, pace => 0.12, fewer => 2, aim => 4000 },
    { name => 'flood', title => 'refused POST, one client\'s flood', setting => 'narrow', path => '/refused/form.php', form => 1,
      same => 1, close => 1 },
    { name => 'new', title => 'POST of an address never seen, table full', setting => 'full', path => '/limits/form.php', form => 1,
      address => 1, aim => 7500 },
);

my %REFUSED = (plain => 403, formguard => 429, evasive => 403, qos => 429, security2 => 429, crs => 429, nginx => 429);

sub all { return @WORKS }

sub status
{
    my ($work, $contender) = @_;
    return $work->{setting} eq 'narrow' ? $REFUSED{$contender} : 200;
}

# For wrk: the body of a work with a place for a token, and its type.
sub body
{
    my ($work, $token) = @_;
    return ('', '') if !$work->{form} && !$work->{upload};
    my @fields = ($work->{upload} ? @UPLOAD : @FORM, $work->{token} ? (altcha => $token) : ());
    return (FormGuard::Client::multipart(\@fields, 'BenchBoundary7MA4YWxkTrZu0gW'), 'multipart/form-data; boundary=BenchBoundary7MA4YWxkTrZu0gW')
        if $work->{upload};
    return (FormGuard::Client::form(\@fields), 'application/x-www-form-urlencoded');
}

# As many solutions as one likes of one challenge: the number in front of the salt is ours, and so is the key.
sub tokens
{
    my ($server, $contender, $path) = @_;
    return sub { sprintf '%08d%s', $_[0], 'x' x 356 } if $contender ne 'formguard';
    my $key = FormGuard::Altcha::key_text(FormGuard::Httpd::_slurp($server->dir . '/signing-key'));
    my $salt = FormGuard::Altcha::challenge($server->client, $path)->{salt};
    return sub {
        my ($i) = @_;
        substr($salt, 0, 24) = sprintf '%024x', $i;
        return FormGuard::Altcha::payload(FormGuard::Altcha::made($key, $salt, 500_000 + $i), 500_000 + $i);
    };
}

# 198.18.0.0/15 is for benches.
sub forwarded { my ($i) = @_; return join '.', 198, 18 + ($i >> 16 & 1), $i >> 8 & 255, $i & 255 }
sub loopback { my ($i) = @_; return join '.', 127, 16 + ($i >> 16), $i >> 8 & 255, $i & 255 }

sub requests
{
    my ($work, $server, $contender) = @_;
    my $client = $server->client;
    my $token = $work->{token} ? tokens($server, $contender, $work->{path}) : undef;
    return sub {
        my ($i) = @_;
        my %o = (headers => [Host => 'shop.example'], keepalive => !$work->{close} && !$work->{address});
        if ($work->{form} || $work->{upload}) {
            my @fields = ($work->{upload} ? @UPLOAD : @FORM, $token ? (altcha => $token->($i)) : ());
            $o{$work->{form} ? 'form' : 'multipart'} = \@fields;
        }
        # Where addresses are many, those who know mod_remoteip see them so; the others by the connection.
        $o{from} = forwarded($i) if $work->{again};
        $o{from} = forwarded(1) if $work->{same};
        return ($client->bytes($work->{method} || 'POST', $work->{path}, %o), $work->{address} ? loopback($i) : undef);
    };
}

1;
