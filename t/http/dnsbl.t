#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# FormGuardDNSBL against a real blocklist server: rbldnsd on a port of 127.0.0.1, with data of ours. Its own log of
# queries tells who was asked for what.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use IO::Socket::INET;
use Test::More;

my $OK = qr/ FG1000: accepted: /;
my $NO_RULE = qr/ FG2003: /;

# --- the blocklists -------------------------------------------------------------------------------

my $SOA = "\$SOA 1000 ns.test admin.test 0 1h 1h 1d 90\n\$TTL 300\n";
my %ZONE = (
    'bl.test:ip4set:bl' => "$SOA:127.0.0.2:listed\n203.0.113.0/24\n198.51.100.3 :127.0.0.3:another code\n198.51.100.10 :127.0.0.10:home users\n10.0.0.0/8\n192.168.0.0/16\n127.0.0.0/8\n",
    'bl6.test:ip6trie:bl6' => "$SOA:127.0.0.4:listed\n2001:db8:1::/48\nfc00::/7\n::1\n",
    'zen.spamhaus.org:ip4set:zen' => "$SOA:127.0.0.10:home users\n203.0.113.0/25\n203.0.113.200 :127.0.0.4:robots\n",
    'open.test:ip4set:open' => "$SOA:127.255.255.254:open resolver\n192.0.2.0/24\n",
    'tampered.test:ip4set:tampered' => "$SOA:10.0.0.1:somebody's portal\n192.0.2.0/24\n",
);
my $dir = FormGuard::Process::private_dir();
my $server;
my $port = udp_port();

# One that nothing listens at by UDP either.
sub udp_port
{
    for (1 .. 50) {
        my $free = FormGuard::Process::free_port();
        return $free if IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $free, Proto => 'udp');
    }
    die "no free port for UDP\n";
}

sub said { return -f "$dir/said" ? do { open my $fh, '<', "$dir/said" or die; local $/; <$fh> // '' } : '' }

sub start_server
{
    my $user = FormGuard::Process::server_user();
    for my $zone (keys %ZONE) {
        my ($file) = $zone =~ /([^:]+)\z/;
        open my $fh, '>', "$dir/$file" or die "$file: $!\n";
        print $fh $ZONE{$zone};
        close $fh;
    }
    chown((getpwnam $user)[2, 3], "$dir") if $user;
    my $before = () = said() =~ / started /g;
    $server = FormGuard::Process->start(
        cmd => ['rbldnsd', '-n', $user ? ('-u', $user) : (), '-b', "127.0.0.1/$port", '-l', "+$dir/queries", '-w', "$dir", sort keys %ZONE],
        out => "$dir/said", name => 'rbldnsd'
    );
    FormGuard::Process::wait_until(sub { (() = said() =~ / started /g) > $before || !$server->alive }, 15, 'rbldnsd');
    $server->alive or die "rbldnsd does not start:\n" . said();
    return;
}

my $read = 0;

# What it was asked since: addresses and zones, as they were asked. Waits for so many.
sub asked
{
    my ($count) = @_;
    my @names;
    FormGuard::Process::wait_until(
        sub {
            open my $fh, '<', "$dir/queries" or return !$count;
            my @lines = grep { /\n\z/ } <$fh>;
            @names = map { (split)[2] } @lines[$read .. $#lines];
            return 0 if @names < $count;
            $read = @lines;
            return 1;
        }, 10, "$count queries"
    );
    return "@names";
}

start_server();

sub httpd
{
    my ($config, %o) = @_;
    return FormGuard::Httpd->new(
        mpm => $o{mpm} || 'event', files => { 'form.cgi' => \'echo.cgi', %{$o{files} || {}} },
        config => "ServerName www.example.jp\nFormGuardDNSBLResolver 127.0.0.1:$port\nFormGuardDNSBLTimeout 4s\nFormGuardLimit ip 1000/1h\n$config"
    );
}

sub post
{
    my ($httpd, $from, %o) = @_;
    return $httpd->client->post($o{path} || '/form.cgi', form => $o{form} || 'a=1', defined $from ? (from => $from) : ());
}

sub refused { my ($zone, $code) = @_; return qr{ FG1210: refused 403: address listed: rule="\Q$zone\E" code=\Q$code\E country=- form=/form\.cgi site=www\.example\.jp ref=\S{9}$} }

# --- listed, not listed -----------------------------------------------------------------------------

for my $mpm (qw(prefork event)) {
    subtest "$mpm: who is listed" => sub {
        my $httpd = httpd("FormGuard On\nFormGuardDNSBL bl.test\nFormGuardDNSBL bl6.test\n", mpm => $mpm);
        my $r = post($httpd, '203.0.113.1');
        is $r->status, 403, 'listed';
        like $r->body, qr/"reason":"dnsbl"|<html/, 'and told so';
        is asked(1), '1.113.0.203.bl.test', 'as asked';
        $httpd->log_ok('log', refused('bl.test', '127.0.0.2'));
        is post($httpd, '203.0.113.1')->status, 403, 'again';
        is post($httpd, '192.0.2.1')->status, 200, 'not listed';
        is asked(2), '1.2.0.192.bl.test 1.2.0.192.bl6.test', 'a second post of the first asks nobody';
        $httpd->log_ok('log', refused('bl.test', '127.0.0.2'), $OK);
        is post($httpd, '192.0.2.1')->status, 200, 'nor does one who is not listed';
        $httpd->restart('graceful');
        is post($httpd, '203.0.113.1')->status, 403, 'nor after a restart';
        is post($httpd, '2001:db8:1::abcd')->status, 403, 'IPv6';
        my $nibbles = 'd.c.b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2';
        is asked(2), "$nibbles.bl.test $nibbles.bl6.test", 'by nibbles';
        is post($httpd, '2001:db8:2::1')->status, 200, 'IPv6, not listed';
        is post($httpd, '::ffff:198.51.100.3')->status, 403, 'an IPv4 address in IPv6 clothes';
        like asked(3), qr/ 3\.100\.51\.198\.bl\.test\z/, 'is one';
        $httpd->log_ok('log', $OK => 2, refused('bl.test', '127.0.0.2'), refused('bl6.test', '127.0.0.4'), refused('bl.test', '127.0.0.3'));
        is $httpd->client->get('/form.cgi', from => '203.0.113.9')->status, 200, 'GET asks nobody';
        for my $private (undef, '10.0.0.1', '192.168.1.1', '127.0.0.5', 'fc00::1', '::1') {
            is post($httpd, $private)->status, 200, ($private // 'no proxy') . ' is private';
        }
        is post($httpd, '192.0.2.2')->status, 200, 'and';
        is asked(2), '2.2.0.192.bl.test 2.2.0.192.bl6.test', 'nobody was asked for those';
        $httpd->log_ok('log', $OK => 7);
        $httpd->done;
    };
}

subtest 'return codes' => sub {
    my $httpd = httpd("FormGuard On\nFormGuardDNSBL zen.spamhaus.org\n");
    is post($httpd, '203.0.113.7')->status, 200, 'a home user of Spamhaus ZEN passes';
    is post($httpd, '203.0.113.200')->status, 403, 'a robot does not';
    is asked(2), '7.113.0.203.zen.spamhaus.org 200.113.0.203.zen.spamhaus.org', 'both were asked for';
    $httpd->log_ok('log', $OK, refused('zen.spamhaus.org', '127.0.0.4'));
    $httpd->done;
    $httpd = httpd("FormGuard On\nFormGuardDNSBL bl.test 127.0.0.3,127.0.0.5-9\n");
    is post($httpd, $_)->status, 200, "$_: its code does not count" for '203.0.113.1', '198.51.100.10';
    is post($httpd, '198.51.100.3')->status, 403, 'one that counts';
    $httpd->log_ok('log', $OK => 2, refused('bl.test', '127.0.0.3'));
    asked(3);
    $httpd->done;
};

# --- actions --------------------------------------------------------------------------------------

subtest 'action=log, DetectionOnly' => sub {
    my $httpd = httpd("FormGuard On\nFormGuardDNSBL bl.test action=log\n");
    is post($httpd, '203.0.113.1')->status, 200, 'passes';
    $httpd->log_ok('log', qr{ FG1210: logged only 403: address listed: rule="bl\.test" code=127\.0\.0\.2 }, $OK);
    is post($httpd, '192.0.2.1')->status, 200, 'not listed';
    $httpd->log_ok('log', $OK);
    $httpd->configure(config => "FormGuardDNSBLResolver 127.0.0.1:$port\nFormGuard DetectionOnly\nFormGuardDNSBL bl.test\n");
    $httpd->restart('hard');
    is post($httpd, '203.0.113.1')->status, 200, 'DetectionOnly';
    $httpd->log_ok('log', qr{ FG1210: would refuse 403: address listed: rule="bl\.test" code=127\.0\.0\.2 }, $NO_RULE);
    asked(2);
    $httpd->done;
};

subtest 'action=challenge' => sub {
    my $vendor = FormGuard::Vendor->new(hostname => 'www.example.jp');
    my $secret = $vendor->secret;
    my $httpd = httpd("FormGuard On\nFormGuardDNSBL bl.test action=challenge\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaWhen challenged\n"
            . "FormGuardCaptchaSecret $secret\nFormGuardCaptchaEndpoint " . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n");
    is post($httpd, '192.0.2.1')->status, 200, 'who is not listed needs no captcha';
    is post($httpd, '203.0.113.1')->status, 403, 'who is listed does';
    is post($httpd, '203.0.113.1', form => { 'g-recaptcha-response' => 'ok' })->status, 200, 'and passes with it';
    is $vendor->count, 1, 'which was verified';
    $httpd->log_ok('log', $OK => 2, qr/ FG1400: refused 403: captcha token missing: /);
    $httpd->configure(config => "FormGuardDNSBLResolver 127.0.0.1:$port\nFormGuardLimit ip 1000/1h\nFormGuard On\nFormGuardDNSBL bl.test action=challenge\n");
    $httpd->restart('hard');
    is post($httpd, '203.0.113.1')->status, 403, 'without a captcha to ask for, it refuses';
    $httpd->log_ok('log', qr{ FG1210: refused 403: address listed: rule="bl\.test" code=127\.0\.0\.2 });
    asked(2);
    $httpd->done;
};

# --- order ------------------------------------------------------------------------------------------

subtest 'limits come before, form fields and .htaccess too' => sub {
    my $httpd = httpd("FormGuard On\nFormGuardDNSBL bl.test\nFormGuardLimit net 1/1h\n"
            . "<Location /fields.cgi>\nFormGuardFormField mail\n</Location>\n",
        files => { 'fields.cgi' => \'echo.cgi', 'own/.htaccess' => "FormGuard On\nFormGuardLimit ip 50/1h\n", 'own/form.cgi' => \'echo.cgi' });
    is post($httpd, '198.51.100.20')->status, 200, 'the first of a network';
    is post($httpd, '198.51.100.21')->status, 429, 'the second is over its limit';
    is post($httpd, '203.0.113.1', path => '/fields.cgi')->status, 200, 'a post of another form';
    is post($httpd, '203.0.113.2', path => '/own/form.cgi')->status, 403, 'a site with rules of its own';
    is asked(2), '20.100.51.198.bl.test 2.113.0.203.bl.test', 'nobody was asked for what needs no answer, or twice';
    $httpd->log_ok('log', $OK, qr{ FG1100: refused 429: too many posts: rule="net 1/1h" }, qr{ FG1210: refused 403: .* form=/own/form\.cgi });
    is post($httpd, '203.0.114.2', path => '/fields.cgi', form => 'mail=x')->status, 200, 'a post of that form';
    is asked(1), '2.114.0.203.bl.test', 'asks';
    $httpd->log_ok('log', $OK);
    $httpd->done;
};

# --- what goes wrong ----------------------------------------------------------------------------------

for (['open.test', 'takes no queries through a public resolver \(127\.255\.255\.254\)'], ['tampered.test', 'is answered for by a resolver that rewrites answers']) {
    my ($zone, $text) = @$_;
    for my $mpm (qw(prefork event)) {
        subtest "$mpm: $zone" => sub {
            my $httpd = httpd("FormGuard On\nFormGuardDNSBL $zone\nFormGuardDNSBL bl.test\n", mpm => $mpm);
            my @r = $httpd->client->at_once(map { { path => '/form.cgi', form => 'a=1', from => "192.0.2.$_" } } 1 .. 8);
            is_deeply [map { $_->status } @r], [(200) x 8], 'eight at once pass';
            is post($httpd, '203.0.113.1')->status, 403, 'another list goes on';
            my @lines = grep { /FG2201/ } $httpd->log_lines;
            is scalar @lines, 1, 'one line for all processes';
            like $lines[0] // '', qr/^\[[^]]+\] \[formguard:warn\] .* FG2201: blocklist \Q$zone\E $text$/, 'a warning';
            $httpd->log_ok('log', $OK => 8, qr/ FG2201: /, refused('bl.test', '127.0.0.2'));
            like asked(10), qr/(?:^| )1\.113\.0\.203\.bl\.test\z/, 'asked';
            $httpd->restart('graceful');
            is post($httpd, '192.0.2.100')->status, 200, 'after a restart';
            is asked(1), '100.2.0.192.bl.test', 'it is still left alone';
            $httpd->log_ok('log', $OK);
            $httpd->done;
        };
    }
}

subtest 'a blocklist that stops, and comes back' => sub {
    my $httpd = httpd("FormGuard On\nFormGuardDNSBLTimeout 400ms\nFormGuardDNSBL bl.test\n", mpm => 'prefork');
    is post($httpd, '192.0.2.1')->status, 200, 'it works';
    asked(1);
    $httpd->log_ok('log', $OK);
    $server->kill('STOP');
    my $r = post($httpd, '203.0.113.1');
    is $r->status, 200, 'the post passes';
    cmp_ok $r->seconds, '>=', 0.35, 'after the timeout';
    cmp_ok $r->seconds, '<', FormGuard::Process::patience(3), 'not later';
    $httpd->log_ok('log', qr/^\[[^]]+\] \[formguard:warn\] .* FG2201: blocklist bl\.test did not answer in time$/, $OK);
    my @r = $httpd->client->at_once(map { { path => '/form.cgi', form => 'a=1', from => "203.0.113.$_" } } 2 .. 9);
    is_deeply [map { $_->status } @r], [(200) x 8], 'others pass';
    is post($httpd, '192.0.2.1')->status, 200, 'and what is known is known';
    $httpd->log_ok('log', $OK => 9);
    $server->kill('CONT');
    like asked(1), qr/\A(?:1\.113\.0\.203\.bl\.test ?)+\z/, 'nobody has waited for an answer again';
    my $last = 20;
    FormGuard::Process::wait_until(sub { select undef, undef, undef, 0.3; post($httpd, '203.0.113.' . $last++)->status == 403 }, 20, 'a refusal');
    $httpd->log_ok('it works again', $OK => '+', qr/^\[[^]]+\] \[formguard:notice\] .* FG2201: blocklist bl\.test works$/, refused('bl.test', '127.0.0.2'));
    ok $server->stop, 'gone';
    $r = post($httpd, '203.0.113.2');
    is $r->status, 200, 'a post passes';
    cmp_ok $r->seconds, '<', FormGuard::Process::patience(3), 'in time';
    $httpd->log_ok('log', qr/ FG2201: blocklist bl\.test (?:can't be asked: no resolver can be reached|did not answer in time)$/, $OK);
    is post($httpd, '203.0.113.' . ($last - 1))->status, 403, 'who is known to be listed is refused as before';
    $httpd->log_ok('log', refused('bl.test', '127.0.0.2'));
    $httpd->done;
    asked(0);
    start_server();
};

# --- configuration ----------------------------------------------------------------------------------

subtest 'not in .htaccess' => sub {
    my $httpd = httpd("FormGuardOverride all\n");
    for ('FormGuardDNSBL bl.test', 'FormGuardDNSBLTimeout 1s', "FormGuardDNSBLResolver 127.0.0.1:$port") {
        my ($name) = /^(\S+)/;
        for my $line ($_, "<Files form.cgi>\n$_\n</Files>", "<If \"true\">\n$_\n</If>") {
            $httpd->write_file('.htaccess', "FormGuard On\n$line\n");
            is post($httpd, '203.0.113.1')->status, 500, $line =~ s/\n/ /gr;
            $httpd->log_ok('log', qr{/\.htaccess: $name not allowed (?:here|in <(?:Files|If)> context)$});
        }
    }
    $httpd->done;
};

subtest 'wrong lines' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', start => 0);
    my ($no_zone, $no_code) = ('is no DNS zone: a name such as bl\.example\.net', 'is no list of return codes: ');
    for (
        ['FormGuardDNSBL', 'takes ZONE \['],
        ['FormGuardDNSBL bl.test 127.0.0.2 action=log more', 'takes ZONE \['],
        ['FormGuardDNSBL bl', "'bl' $no_zone"],
        ['FormGuardDNSBL bl..test', "'bl\\.\\.test' $no_zone"],
        ['FormGuardDNSBL https://bl.test/', "'https://bl\\.test/' $no_zone"],
        ['FormGuardDNSBL 127.0.0.2', "'127\\.0\\.0\\.2' $no_zone"],
        ['FormGuardDNSBL ' . 'a' x 64 . '.test', "is no DNS zone: a label is longer than 63 bytes"],
        ['FormGuardDNSBL bl.test 2', "'2' $no_code"],
        ['FormGuardDNSBL bl.test 127.0.0.2,', "'127\\.0\\.0\\.2,' $no_code"],
        ['FormGuardDNSBL bl.test 10.0.0.2', "'10\\.0\\.0\\.2' has a code outside 127\\.0\\.0\\.0/8"],
        ['FormGuardDNSBL bl.test 127.0.0.9-2', "'127\\.0\\.0\\.9-2' has a range that ends before it starts"],
        ['FormGuardDNSBL bl.test 127.0.0.1', "'127\\.0\\.0\\.1' has 127\\.0\\.0\\.1: "],
        ['FormGuardDNSBL bl.test 127.255.255.254', "'127\\.255\\.255\\.254' has an error code "],
        ['FormGuardDNSBL bl.test action=drop', "'action=drop' is no action: refuse, challenge or log"],
        ['FormGuardDNSBL bl.test action=allow', "'action=allow' is no action"],
        ['FormGuardDNSBL bl.test action=close:1h', "'action=close:1h' is no action"],
        ['FormGuardDNSBLTimeout', 'takes one value: TIME'],
        ['FormGuardDNSBLTimeout soon', "'soon' is no time"],
        ['FormGuardDNSBLTimeout 9ms', "'9ms' is out of range: 10ms to 5s"],
        ['FormGuardDNSBLTimeout 6s', "'6s' is out of range: 10ms to 5s"],
        ['FormGuardDNSBLResolver resolver.example.net', "'resolver\\.example\\.net' is not ADDRESS:PORT"],
        ['FormGuardDNSBLResolver 127.0.0.1:port', "'127\\.0\\.0\\.1:port' is not ADDRESS:PORT"],
        ['FormGuardDNSBLResolver 127.0.0.1:99999', "'127\\.0\\.0\\.1:99999' is not ADDRESS:PORT"],
        ['FormGuardDNSBLResolver 127.0.0.1:53,x', "'127\\.0\\.0\\.1:53,x' is not ADDRESS:PORT"],
        ['FormGuardDNSBLResolver 127.0.0.1:0', "'127\\.0\\.0\\.1:0' is not ADDRESS:PORT"],
        ['FormGuardDNSBLResolver [::1]:99999', "'\\[::1\\]:99999' is not ADDRESS:PORT"],
        ['FormGuardDNSBLResolver [::1]53', "'\\[::1\\]53' is not ADDRESS:PORT"],
      ) {
        my ($line, $error) = @$_;
        my ($name) = $line =~ /^(\S+)/;
        $httpd->configure(config => "$line\n");
        my ($ok, $said) = $httpd->configtest;
        ok !$ok, "$line is refused";
        like $said, qr/^(?:.*: )?$name: .*$error/m, "$line: says why";
    }
    for ('FormGuardDNSBL BL.test. 127.0.0.2-4,127.0.1.0-127.0.1.255 action=challenge', 'FormGuardDNSBLTimeout 250ms',
        (map { "FormGuardDNSBLResolver $_" } qw(127.0.0.1:53 192.0.2.1 ::1 127.0.0.1:65535)), 'FormGuardDNSBLResolver 127.0.0.1:53,[::1]:5353') {
        $httpd->configure(config => "$_\n");
        my ($ok, $said) = $httpd->configtest;
        ok $ok, $_ or diag $said;
    }
    for ('Directory /', 'Location /', 'Files x', 'If true') {
        my ($section) = /^(\S+)/;
        $httpd->configure(config => "<$_>\nFormGuardDNSBL bl.test\n</$section>\n");
        my ($ok, $said) = $httpd->configtest;
        ok !$ok, "not in <$_>";
        like $said, qr/FormGuardDNSBL.* (?:cannot|can't|not allowed)/, 'and says so';
    }
    $httpd->done;
};

done_testing;
