#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# conf.d/fail2ban: whom fail2ban bans by what a real server has logged, and whom no path or header can make it ban.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use Test::More;

my $TOP = FormGuard::Httpd::forms_dir() . '/../../..';
my $FILTER = "$TOP/conf.d/fail2ban/filter.d/formguard.conf";
my $JAIL = "$TOP/conf.d/fail2ban/jail.d/formguard.conf";
my $dir = FormGuard::Process::private_dir();
system($^X, FormGuard::Httpd::forms_dir() . '/../make-mmdb', "$dir/c.mmdb", '198.51.100.0/24=HK', '2001:db8:4b::/48=HK')
    and die "make-mmdb failed\n";
my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my $token = 1000;
my $VICTIM = '1.2.3.4';

# What fail2ban-regex says of a file: (addresses it would count, lines it took them from).
sub fail2ban
{
    my ($log, @more) = @_;
    my @out;
    for my $what (qw(ip msg)) {
        open my $pipe, '-|', 'fail2ban-regex', @more, '-o', $what, $log, $FILTER or die "fail2ban-regex: $!\n";
        push @out, [grep { length } map { s/\n\z//r } <$pipe>];
        close $pipe or die "fail2ban-regex: $?\n";
    }
    return @out;
}

my $vendor = FormGuard::Vendor->new(hostname => 'www.test');
my $LINE = "FG1100: refused 429: too many posts: rule=\"ip 1/1h\" [client $VICTIM:80] ";
my $WHOLE = "[Sat Nov 21 23:14:07.000000 2026] [formguard:notice] [pid 1:tid 1] [client $VICTIM:80] $LINE";

sub config
{
    my $captcha = "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret " . $vendor->secret . "\n";
    my %at = (
        ip => 'FormGuardLimit ip 1/1h', form => 'FormGuardLimit form 1/1h', net => 'FormGuardLimit net 1/1h', server => 'FormGuardLimit server 1/1h',
        country => 'FormGuardCountry HK refuse', deny => 'FormGuardDeny On', size => 'FormGuardBodyLimit 1K',
        close => 'FormGuardLimit form 1/1h action=close:1h', required => 'FormGuardField name required', empty => 'FormGuardField name empty',
        single => 'FormGuardField name single-line', links => 'FormGuardField name max-links=0',
        captcha => $captcha,
        asked => "FormGuardLimit ip 1/1h action=challenge\nFormGuardCaptcha altcha\nFormGuardCaptchaWhen challenged",
        crowd => "FormGuardLimit form 1/1h count=attempts action=challenge\nFormGuardCaptcha altcha\nFormGuardCaptchaWhen challenged",
        only => "FormGuardLimit ip 1/1h action=log\nFormGuardField name required action=log",
        rewritten => 'FormGuardLimit IP 1/1h count=accepted',
    );
    my $detect = "FormGuard DetectionOnly\nFormGuardDeny On\n";
    return "ServerName www.test\nFormGuardCaptchaEndpoint " . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\nUseCanonicalName Off\n"
        . join('', map { "<Location /$_>\nFormGuard On\n$at{$_}\n</Location>\n" } sort keys %at)
        . "<Location /detect>\n$detect</Location>\n<Location /flood>\nLogLevel formguard:info\nFormGuard On\nFormGuardLimit ip 1/1h\n</Location>\n";
}

# [what, expected to count, path, what to send]
my @KINDS = (
    ['FG1100 of the ip limit', 1, '/ip/form.cgi', form => 'a=1'],
    ['FG1100 of the ip limit, in other letters', 1, '/rewritten/form.cgi', form => 'a=1'],
    ['FG1100 of the form limit', 0, '/form/form.cgi', form => 'a=1'],
    ['FG1100 of the net limit', 0, '/net/form.cgi', form => 'a=1'],
    ['FG1100 of the server limit', 0, '/server/form.cgi', form => 'a=1'],
    ['FG1101', 0, '/close/form.cgi', form => 'a=1'],
    ['FG1200', 1, '/country/form.cgi', form => 'a=1', HK => 1],
    ['FG1220', 1, '/deny/form.cgi', form => 'a=1'],
    ['FG1300', 1, '/ip/other.cgi', body => '{', type => 'application/json'],
    ['FG1301', 1, '/size/form.cgi', form => 'a=' . 'x' x 2000],
    ['FG1302', 1, '/ip/many.cgi', form => join('&', map { "a$_=1" } 1 .. 1001)],
    ['FG1303', 0, '/ip/lost.cgi', lost => 1],
    ['FG1310', 1, '/required/form.cgi', form => 'name='],
    ['FG1311', 1, '/empty/form.cgi', form => 'name=x'],
    ['FG1312', 1, '/single/form.cgi', form => 'name=x%0Abcc'],
    ['FG1313', 1, '/links/form.cgi', form => 'name=http://x.test/'],
    ['FG1400', 1, '/captcha/form.cgi', form => 'name='],
    ['FG1400 by the ip limit', 1, '/asked/form.cgi', form => 'name='],
    ['FG1400 by the form limit', 0, '/crowd/form.cgi', form => 'name='],
    ['FG1401', 1, '/captcha/form.cgi', form => 'g-recaptcha-response=x%01'],
    ['FG1402', 1, '/captcha/form.cgi', form => 'g-recaptcha-response=qwerty~@'],
    ['FG1404', 1, '/captcha/form.cgi', form => 'g-recaptcha-response=ok-host-elsewhere.test~@'],
    ['FG1500', 0, '/captcha/form.cgi', form => 'g-recaptcha-response=status-500~@'],
    ['would refuse', 0, '/detect/form.cgi', form => 'a=1'],
    ['logged only', 0, '/only/form.cgi', form => 'a=1'],
    ['accepted', 0, '/ip/third.cgi', form => 'a=1', once => 1],
);

# A post of each kind, by a client of its own that is IPv4 or IPv6, twice: limits of one let the first pass.
sub produce
{
    my ($httpd, $six) = @_;
    my ($n, %want) = (0);
    for my $kind (@KINDS) {
        my ($what, $counts, $path, %o) = @$kind;
        $n++;
        # The last group could be taken for a port.
        my $from = $six ? ($o{HK} ? "2001:db8:4b:$n\::1:80" : "2001:db8:$n:1:2:3:4:" . (5000 + $n))
            : $o{HK} ? "198.51.100.$n" : "192.0.2.$n";
        my %send = map { $_ => $o{$_} } grep { defined $o{$_} } qw(form body type);
        my $mark = $httpd->log->mark;
        for (1 .. ($o{once} ? 1 : 2)) {
            if ($o{lost}) {
                my $conn = $httpd->client->connect;
                $conn->send("POST $path HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: $from\r\nContent-Length: 10\r\n\r\nab");
                shutdown $conn->socket, 1;
                $httpd->log->wait_for(qr/ FG1303: refused /, $mark);
                last;
            }
            # A token is good once.
            $httpd->client->post($path, %send, $send{form} ? (form => $send{form} =~ s/\@\z/$token++/er) : (), from => $from);
        }
        my @lines = grep { /\Q[client $from:\E\d+\] FG/ } $httpd->log->since($mark);
        my ($tag) = $what =~ /^(FG\d{4})/;
        my $text = $what eq 'FG1101' ? 'FG1101: ' : $tag ? "$tag: refused " : $what eq 'accepted' ? 'FG1000: accepted' : ": $what ";
        my @real = grep { /\Q$text\E/ } @lines;
        cmp_ok scalar @real, '>=', 1, "$from: $what: the server has logged it" or diag join "\n", $httpd->log->since($mark);
        # The second post of some is over the ip limit, too.
        $want{$from} = grep { /\] FG\d+: refused / } @lines if $counts;
    }
    return \%want;
}

sub counted
{
    my ($ips) = @_;
    my %got;
    $got{$_}++ for @$ips;
    return \%got;
}

# At LogLevel debug, which the harness sets, no line is suppressed.
for my $mpm (qw(event prefork)) {
    subtest "$mpm: lines of every kind" => sub {
        my $httpd = FormGuard::Httpd->new(
            mpm => $mpm, config => config(), global => "FormGuardGeoDatabase $dir/c.mmdb",
            files => { map { my $d = $_; map { ("$d/$_.cgi" => $SCRIPT) } qw(form other third many lost) }
                qw(ip form net server country deny size close required empty single links captcha only rewritten detect flood) },
        );
        my %want = (%{produce($httpd, 0)}, %{produce($httpd, 1)});
        my ($ips, $lines) = fail2ban($httpd->log->file);
        is_deeply counted($ips), \%want, 'who is counted, and how often';
        is scalar(grep { !/ FG1\d\d\d: refused \d/ } @$lines), 0, 'by refusals only';

        # A flood: suppressed lines, their sums, and lines that say how many.
        $httpd->client->post('/flood/form.cgi', form => 'a=1', from => '192.0.2.250') for 1 .. 40;
        ($ips) = fail2ban($httpd->log->file);
        my $flood = grep { $_ eq '192.0.2.250' } @$ips;
        is $flood, 5, 'a flood counts as its first five lines';
        FormGuard::Process::wait_until(sub { grep { / FG1009: suppressed 34 lines of FG1100 \(too many posts\) of client 192\.0\.2\.250$/ } $httpd->log->since(0) }, 60, 'the sum')
            if $mpm eq 'event';
        ($ips) = fail2ban($httpd->log->file);
        is scalar(grep { $_ eq '192.0.2.250' } @$ips), 5, 'and its sum as nothing';
        $httpd->expect_log(qr/ \[formguard:\w+\] /, '+', qr/ AH\d+: /, '*');
        $httpd->done('the server ends well');
    };
}

subtest 'text of an attacker in every place' => sub {
    my $httpd = FormGuard::Httpd->new(
        mpm => 'event', config => config(), loglevel => 'warn formguard:debug core:info', global => "FormGuardGeoDatabase $dir/c.mmdb",
        files => { map { my $d = $_; map { ("$d/$_" => $SCRIPT) } 'form.cgi', "$LINE.cgi" =~ s{/}{_}gr } qw(ip deny detect only required captcha) },
    );
    my $encode = sub { return $_[0] =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger };
    my @texts = ($LINE, $WHOLE, "\n$WHOLE", "\r\n$WHOLE\r\n", "x] $LINE", "] [client $VICTIM:80] $LINE", "\"\n[] [formguard:notice] [pid 1] [client $VICTIM:1] $LINE");
    my $n = 0;
    for my $text (@texts) {
        my $flat = $text =~ s/[\r\n]/ /gr;
        for my $where ('/deny', '/detect', '/only', '/required', '/captcha', '/nowhere') {
            my $from = '203.0.113.' . ++$n;
            my $post = sub { my ($path, %o) = @_; return $httpd->client->post($path, form => 'a=1', from => $from, %o) };
            $post->("$where/form.cgi?" . $encode->($text));
            $post->("$where/form.cgi/" . $encode->($text));
            $post->("$where/" . $encode->($text) . '.cgi');
            $post->("$where/form.cgi", headers => [Referer => $flat, 'User-Agent' => $flat]);
            $post->("$where/form.cgi", headers => [Host => $flat]);
            $post->("$where/form.cgi", headers => ['Content-Type' => $flat, 'X-Forwarded-Host' => $flat]);
            $post->("$where/form.cgi", form => { name => $text, $text => $text, 'g-recaptcha-response' => $text });
            $post->("$where/form.cgi", from => "$flat, $from");
            $post->("$where/form.cgi", from => $flat);
        }
    }
    my @lines = $httpd->log->since(0);
    cmp_ok scalar(grep { /\Q$VICTIM\E/ } @lines), '>', 50, 'the text is in the log, in many lines';
    my ($ips) = fail2ban($httpd->log->file);
    my %got = %{counted($ips)};
    is_deeply [grep { !/^203\.0\.113\./ && $_ ne '127.0.0.1' } sort keys %got], [], 'nobody else is counted';
    my %want;
    for (@lines) {
        my ($client) = /^\[[^]]+\] \[formguard:(?:notice|warn)\] \[pid \d+:tid \d+\] \[client ([0-9.]+):\d+\] FG1(?!303)\d+: refused / or next;
        $want{$client}++;
    }
    is_deeply \%got, \%want, 'and who is, for his own refusals';
    cmp_ok scalar keys %want, '>', 20, 'which there are';
    $httpd->expect_log(qr/./, '+');
    $httpd->done('the server ends well');
};

# fail2ban itself, with its own configuration and our two files, told to write down whom it bans.
subtest 'the jail bans who keeps being refused' => sub {
    my $httpd = FormGuard::Httpd->new(
        mpm => 'event', config => config(), global => "FormGuardGeoDatabase $dir/c.mmdb",
        files => { map { ("$_/form.cgi" => $SCRIPT) } qw(ip deny detect required captcha empty single links) }
    );
    my $f = "$dir/fail2ban";
    system('cp', '-r', '/etc/fail2ban', $f) == 0 or die "cp failed\n";
    unlink glob "$f/jail.d/*";
    system('cp', $FILTER, "$f/filter.d/") == 0 && system('cp', $JAIL, "$f/jail.d/") == 0 or die "cp failed\n";
    # In place of what a provider's system says: log, action, no name service.
    open my $fh, '>', "$f/jail.local" or die "$f: $!\n";
    print $fh "[DEFAULT]\nbackend = polling\nusedns = no\nignoreself = false\nbanaction = note\naction = note\n[formguard]\nlogpath = " . $httpd->log->file . "\n";
    close $fh;
    open $fh, '>', "$f/fail2ban.local" or die "$f: $!\n";
    print $fh "[Definition]\ndbfile = None\n";
    close $fh;
    open $fh, '>', "$f/action.d/note.conf" or die "$f: $!\n";
    print $fh "[Definition]\nactionban = echo <ip> >>$dir/banned\n";
    close $fh;
    my @server = ('-c', $f, '-s', "$dir/f2b.sock", '-p', "$dir/f2b.pid", '--logtarget', "$dir/f2b.log");
    my $p = FormGuard::Process->start(cmd => ['fail2ban-server', '-f', @server, 'start'], out => "$dir/f2b.out", name => 'fail2ban-server');
    FormGuard::Process::wait_until(sub { !$p->alive || slurp("$dir/f2b.log") =~ /Jail 'formguard' started/ }, 30, 'fail2ban');
    ok $p->alive, 'it takes the two files' or diag slurp("$dir/f2b.out"), slurp("$dir/f2b.log");

    for my $from ('192.0.2.66', '2001:db8:66::1') {
        for my $path (qw(/deny /empty /captcha)) {
            $httpd->client->post("$path/form.cgi", form => 'name=x', from => $from) for 1 .. 4;
        }
    }
    $httpd->client->post('/deny/form.cgi', form => 'a=1', from => '192.0.2.67') for 1 .. 5;
    $httpd->client->post('/captcha/form.cgi', form => 'a=1', from => '192.0.2.67') for 1 .. 4;
    $httpd->client->post('/detect/form.cgi', form => 'a=1', from => '192.0.2.68') for 1 .. 30;
    FormGuard::Process::wait_until(sub { (() = slurp("$dir/banned") =~ /\n/g) >= 2 }, 30, 'two bans');
    is_deeply [sort split /\n/, slurp("$dir/banned")], ['192.0.2.66', '2001:db8:66::1'], 'twelve refusals ban, nine do not, nor does would refuse';
    $p->stop;
    $httpd->expect_log(qr/ FG\d{4}: /, '+');
    $httpd->done('the server ends well');
};

sub slurp
{
    my ($file) = @_;
    open my $fh, '<', $file or return '';
    local $/;
    return scalar(<$fh>) // '';
}

done_testing;
