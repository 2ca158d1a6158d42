# SPDX-License-Identifier: Apache-2.0
package FormGuard::Altcha;

=head1 NAME

FormGuard::Altcha - solves challenges of the built-in captcha, as the published algorithm says

=head1 SYNOPSIS

    my $challenge = FormGuard::Altcha::challenge($client, '/contact.php', from => '203.0.113.7');
    my $token = FormGuard::Altcha::solve($challenge);                 # what a form posts as `altcha`
    my $token = FormGuard::Altcha::payload($challenge, $number);
    my $own = FormGuard::Altcha::made($key_text, $salt, $number);     # signed with a key the test knows

=cut

use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use JSON::PP;
use MIME::Base64 qw(encode_base64);

our $URL = '/.well-known/formguard/challenge';
our $SCRIPT = '/.well-known/formguard/altcha.js';
my $json = JSON::PP->new->canonical;

sub challenge
{
    my ($client, $form, %o) = @_;
    $form =~ s/([^A-Za-z0-9\/._-])/sprintf '%%%02X', ord $1/ge;
    my $r = $client->get("$URL?form=$form", %o);
    $r->status == 200 or die "no challenge for $form: ${\ $r->status}\n";
    return $json->decode($r->body);
}

sub number_of
{
    my ($challenge) = @_;
    for my $number (0 .. $challenge->{maxnumber}) {
        return $number if sha256_hex($challenge->{salt} . $number) eq $challenge->{challenge};
    }
    die "no number up to $challenge->{maxnumber} solves the challenge\n";
}

sub payload
{
    my ($challenge, $number) = @_;
    my %solution = (took => 12.5, number => 0 + $number);
    $solution{$_} = $challenge->{$_} for qw(algorithm challenge salt signature);
    return encode_base64($json->encode(\%solution), '');
}

sub solve { my ($challenge) = @_; return payload($challenge, number_of($challenge)) }

# A challenge of the test's own, signed.
sub made
{
    my ($key_text, $salt, $number) = @_;
    my $challenge = sha256_hex($salt . $number);
    return {
        algorithm => 'SHA-256', challenge => $challenge, maxnumber => $number, salt => $salt,
        signature => hmac_sha256_hex($challenge, $key_text)
    };
}

# The text other implementations take as hmacKey, of what a key's file holds.
sub key_text { my ($file_holds) = @_; $file_holds =~ s/\s+\z//; return sha256_hex($file_holds) }

1;
