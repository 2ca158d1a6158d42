#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Somebody sets the clock, back and forward, by much: limits go by another and hold, nobody is turned away for it, a
# challenge that is too old by the new time is asked for anew.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Httpd;
use FormGuard::Load;
use FormGuard::Mail;
use FormGuard::Process;
use Test::More;

plan skip_all => 'libfaketime and sanitizers do not go together' if $ENV{FORMGUARD_PRELOAD} || $ENV{FORMGUARD_WRAP};

my $mail = FormGuard::Mail->new;
my $CONFIG = FormGuard::Load::CONFIG . <<'CONF';
Alias /altcha @HTDOCS@
<Location /altcha>
    FormGuard On
    FormGuardCaptcha altcha
    FormGuardCaptchaDifficulty 1000
</Location>
CONF

my ($httpd, $c);

sub solved { return FormGuard::Altcha::solve(FormGuard::Altcha::challenge($c, '/altcha/mailer.php')) }
sub send_solution { my ($solution) = @_; return $c->post('/altcha/mailer.php', form => { message => 'whole', altcha => $solution })->status }

# A day, a year, before this program was made, after 2038 in 32 bits.
my @STEPS = (['a day forward', 86_400], ['back', 0], ['a day back', -86_400], ['an hour forward of that', -82_800], ['ten years back', -315_360_000],
    ['twenty years forward', 630_720_000], ['to the right time', 0]);

subtest 'event' => sub {
    $httpd = FormGuard::Httpd->new(
        mpm => 'event', php => 'fpm', mail => $mail, modules => ['status'], config => $CONFIG, files => FormGuard::Load::FILES,
        clock => 1, env => { FAKETIME_DONT_FAKE_MONOTONIC => 1 }
    );
    $c = $httpd->client;
    my $load = FormGuard::Load->start($httpd, clients => 2);
    my $at = 0;
    for (@STEPS) {
        my ($name, $seconds) = @$_;
        my ($old, $used) = (solved(), solved());
        is send_solution($used), 200, "before $name: a solution";
        $httpd->clock($seconds);
        is send_solution($used), 403, "$name: used once is used";
        # Forward it is too old; back it is still good, once.
        is send_solution($old), $seconds > $at ? 403 : 200, 'one from before';
        is send_solution($old), 403, 'once';
        is send_solution(solved()), 200, 'a new one';
        $load->goes_on(8);
        $at = $seconds;
    }
    $load->end_ok('clock');
    FormGuard::Load::healthy_ok($httpd, 'clock');
    $httpd->log_ok('error_log', qr/ FG1000: accepted: / => '*', qr/ FG1100: refused 429: / => '*', qr/ FG140[23]: refused 403: / => '*');
    $httpd->done;
};

done_testing;
