#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What a CGI script got on standard input, as JSON.
use strict;
use warnings;
use Digest::SHA;
use JSON::PP;

binmode STDIN;
my $sha = Digest::SHA->new(256);
my $length = 0;
my $limit = $ENV{CONTENT_LENGTH};    # a script that reads to the end sees chunked bodies too
while (my $n = read STDIN, my $piece, 65536) {
    $sha->add($piece);
    $length += $n;
}
my %formguard = map { $_ => $ENV{$_} } grep { /FORMGUARD/ } keys %ENV;
print "Content-Type: application/json\r\n\r\n",
    JSON::PP->new->canonical->encode({
        sha256 => $sha->hexdigest, length => $length, method => $ENV{REQUEST_METHOD}, uri => $ENV{REQUEST_URI},
        content_length => $limit, content_type => $ENV{CONTENT_TYPE}, remote_addr => $ENV{REMOTE_ADDR},
        formguard => \%formguard
    }), "\n";
