#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A real httpd starts with each file of conf.d, and with all of them, with a country database and without; it takes a
# post, ends, and has logged no warning and no error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../t/lib";
use Cwd qw(abs_path);
use Test::More;

BEGIN {
    $ENV{FORMGUARD_MODULE} ||= abs_path(($ENV{builddir} || '.') . '/.libs/mod_formguard.so') || '';
    $ENV{FORMGUARD_GEO} ||= ($ENV{FG_TEST_GEODB_DIR} || '') . '/iptoasn-country.mmdb';
    # httpd frees little at its end.
    $ENV{ASAN_OPTIONS} ||= 'detect_leaks=0';
    delete $ENV{FORMGUARD_MPM};
}
use FormGuard::Httpd;

my $DIR = "$FindBin::Bin/../../conf.d";
-f $ENV{FORMGUARD_MODULE} or BAIL_OUT('no module: make it first');
eval { FormGuard::Httpd::Config::program() } or BAIL_OUT("make check starts a real httpd: $@");

sub slurp
{
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}

my %text = map { m{([^/]+)\.conf\z} ? ($1 => slurp($_)) : () } glob "$DIR/*.conf";
my ($first, @others) = ('formguard', grep { $_ ne 'formguard' } sort keys %text);
ok exists $text{$first} && @others >= 3, 'the files are there: ' . join ' ', sort keys %text;

my @sets = ((map { [$_] } sort keys %text), (map { [$first, $_] } @others), [$first, @others]);
for my $set (@sets) {
    my @geo = grep({ $_ eq $first } @$set) ? ("Define FORMGUARD_GEO \@GEO\@\n", "Define FORMGUARD_GEO /nowhere\n") : '';
    for my $geo (@geo) {
        my $name = join(' ', @$set) . ($geo =~ /GEO\@/ ? ', countries' : $geo ? ', no countries' : '');
        my $httpd = eval {
            FormGuard::Httpd->new(
                config => $geo . join('', map { $text{$_} } @$set), loglevel => 'notice', expect_log => [qr/ \[formguard:notice\] /, '*'],
                files => { 'contact.php' => "a script\n", 'index.php' => "a script\n", 'wp-load.php' => '' }
            );
        };
        ok $httpd, "$name: it starts" or diag($@), next;
        # Some things are said at the first request only.
        cmp_ok $httpd->client->post("/$_", form => { name => 'H', _wpcf7 => 1 }, from => '182.16.27.106')->status, '<', 500, "$name: a post" for qw(contact.php index.php);
        is_deeply [grep { /\[formguard:(?!notice|info|debug)/ || !/\[\w*:(?:notice|info|debug)\]/ } $httpd->log_lines], [], "$name: no warning";
        $httpd->done("$name: no error");
    }
}
done_testing;
