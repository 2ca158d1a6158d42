#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Posts that come twice, by a double click or a page loaded again: the second is refused, as its token is used, and the
# page says that the message has arrived. Not what is another message, somebody else's, or was answered with an error.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Vendor;
use Test::More;

my $OK = qr/ FG1000: accepted: /;
my $USED = qr/ FG1403: refused 403: /;
my $ALTCHA = "FormGuard On\nFormGuardCaptcha altcha\nFormGuardCaptchaDifficulty 1000\n";
my @VISITOR = (name => 'Hanako', email => 'hanako@visitor.example', message => "Is it\r\nin stock?");
my $vendor = FormGuard::Vendor->new(hostname => '127.0.0.1');
my $mail = FormGuard::Mail->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail,
    files => {
        'a/contact.php' => \'contact.php', 'v/contact.php' => \'contact.php',
        'a/fails.php' => '<?php http_response_code(500); echo "no";', 'a/moves.php' => '<?php header("Location: /thanks", true, 303);',
    },
    config => "<Location /a>\n$ALTCHA</Location>\n<Location /v>\nFormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret ${\ $vendor->secret}\nErrorDocument 403 \"own\"\n</Location>\n"
        . "FormGuardCaptchaEndpoint ${\ $vendor->url}\nFormGuardCaptchaCAFile ${\ $vendor->ca}\nFormGuardCaptchaTimeout 10s\n",
);
my $client = $httpd->client;
my $last = 0;
sub visitor { return "203.0.113." . ++$last }
sub solved { my ($form, $me) = @_; return FormGuard::Altcha::solve(FormGuard::Altcha::challenge($client, $form, from => $me)) }

my $mails = 0;
sub mails { my $all = $mail->count; my $new = $all - $mails; $mails = $all; return $new }

sub says { my ($r) = @_; return join ': ', $r->body =~ m{<h1>(.*?)</h1>}s, $r->body =~ m{</h1>\s*<p>(.*?)</p>}s }
my $ARRIVED = qr/^Your message has arrived: The same message was sent a second time, .* You need not do anything\./;

subtest 'the captcha built in' => sub {
    for (['urlencoded' => sub { (form => [@_]) }], ['multipart, with another boundary each time' => sub { (multipart => [@_, attachment => { filename => 'a.bin', type => 'image/png', content => 'x' x 5000 }], boundary => 'b' . ++$last) }]) {
        my ($name, $body) = @$_;
        my $me = visitor();
        my @fields = (@VISITOR, altcha => solved('/a/contact.php', $me));
        is $client->post('/a/contact.php', $body->(@fields), from => $me)->status, 200, "$name: accepted";
        is mails(), 2, "$name: delivered";
        my $r = $client->post('/a/contact.php', $body->(@fields), from => $me);
        is $r->status, 403, "$name: the second is refused";
        like says($r), $ARRIVED, "$name: and told that it has arrived";
        unlike $r->body =~ s{<noscript>.*</noscript>}{}sr, qr/data-auto|not sent|Nothing was sent/, "$name: it is not sent by itself, and nobody reads that it was lost";
        like $r->body, qr/name="formguard-kept"/, "$name: but can be, if it has to";
        is mails(), 0, "$name: no second mail";
        unlike says($client->post('/a/contact.php', $body->(@fields, message => 'another'), from => $me)), $ARRIVED, "$name: another message is none that has arrived";
        unlike says($client->post('/a/contact.php?page=2', $body->(@fields), from => $me)), $ARRIVED, "$name: nor is one to another URL";
        $r = $client->post('/a/contact.php', $body->(@fields), from => $me, headers => [Accept => 'application/json']);
        is $r->json->{reason}, 'expired', "$name: a script is told the reason";
        $httpd->log_ok("$name: log", $OK, $USED => 4);
    }
};

subtest 'a form that gets the challenge page' => sub {
    my ($me, $other) = ('198.51.100.1', '198.51.100.2');
    my $send = sub { return $client->post('/a/contact.php', form => [@_ > 1 ? @_[1 .. $#_] : @VISITOR], from => $_[0]) };
    my ($kept) = $send->($me)->body =~ /name="formguard-kept" value="([^"]*)"/;
    is $send->($me, 'formguard-kept' => $kept, altcha => solved('/a/contact.php', $me))->status, 200, 'accepted';
    is mails(), 2, 'delivered';
    like says($send->($me)), $ARRIVED, 'the form sent again as it was';
    unlike says($send->($other)), $ARRIVED, 'not by somebody else';
    is mails(), 0, 'no second mail';
    $httpd->log_ok('log', qr/ FG1400: refused 403: / => 3, $OK);
};

subtest 'what the application has made of it' => sub {
    for (['fails.php', 500, 0], ['moves.php', 303, 1]) {
        my ($file, $status, $arrived) = @$_;
        my $me = visitor();
        my @post = ("/a/$file", form => [@VISITOR, altcha => solved("/a/$file", $me)], from => $me);
        my $conn = $client->connect;
        $conn->send($client->bytes('POST', @post));
        is $conn->read('POST')->status, $status, "$file: $status";
        # Until then the child may not be done with what it has answered.
        ok $conn->eof(5), "$file: the connection ends";
        my $again = says($client->post(@post));
        ok $arrived ? $again =~ $ARRIVED : $again !~ $ARRIVED, "$file: has " . ($arrived ? 'arrived' : 'not arrived') or diag $again;
        $httpd->log_ok("$file: log", $OK, $USED);
    }
};

subtest "a service's captcha" => sub {
    my $me = visitor();
    my @post = ('/v/contact.php', form => [@VISITOR, 'g-recaptcha-response' => FormGuard::Vendor::fresh('ok')], from => $me);
    is $client->post(@post)->status, 200, 'accepted';
    is mails(), 2, 'delivered';
    my $r = $client->post(@post);
    like says($r), $ARRIVED, 'the second has arrived, which is no error the site has a page for';
    unlike $r->body, qr/Nothing was sent|altcha/, 'nothing else is said';
    $post[2][5] = 'another';
    is $client->post(@post)->body, 'own', 'another message with a used token is';
    is mails(), 0, 'no second mail';
    $httpd->log_ok('log', $OK, $USED => 2);
};

$httpd->done;
done_testing;
