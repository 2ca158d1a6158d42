#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What a request costs, in instructions beside httpd alone: a short form of t/bench/run. callgrind counts the same
# each time, so that what is slower than the bounds here was made slower. They leave a seventh for other compilers,
# and more of the few of an unguarded post: what httpd does once a second falls into some requests and not into others.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Bench::Instructions;
use FormGuard::Bench::Works;
use Test::More;

# valgrind runs no AddressSanitizer, nor itself.
plan skip_all => 'instructions of a build for sanitizers, or under valgrind, say nothing'
    if $ENV{FORMGUARD_PRELOAD} || $ENV{FORMGUARD_WRAP};

# name => at most so many more than httpd alone; without what OpenSSL takes.
my %BOUND = (open => 1_900, limits => 17_200, all => 39_900, flood => 11_700);

my @works = grep { $BOUND{$_->{name}} } FormGuard::Bench::Works::all();
is @works, keys %BOUND, 'the works are there';
my %got = map { $_ => FormGuard::Bench::Instructions::measure($_, \@works, requests => 30) } qw(plain formguard);
for my $work (@works) {
    my ($plain, $ours) = map { $got{$_}{$work->{name}} } qw(plain formguard);
    my $more = $ours->{each} - $ours->{crypto} - $plain->{each};
    cmp_ok $plain->{each}, '>', 20_000, "$work->{title}: httpd alone was counted";
    cmp_ok $more, '<=', $BOUND{$work->{name}}, sprintf '%s: %.0f instructions more', $work->{title}, $more;
    cmp_ok $more, '>', 1_000, 'it was at work' if $work->{name} ne 'open';
}
cmp_ok $got{formguard}{all}{crypto}, '>', 5_000, 'a solution was checked';
done_testing;
