#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The captcha vendor's bad day, on real servers: it hangs while posts come by the hundred, and comes back. And that a
# token is good once, whichever process it comes to.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use IO::Select;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'valgrind is slower than the deadlines here' if $ENV{FORMGUARD_WRAP};

my $vendor = FormGuard::Vendor->new(hostname => 'shop.example');
my $FIELD = 'g-recaptcha-response';
my $RUN = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my $OK = qr/ FG1000: accepted: /;
my $SPENT = qr/ \[formguard:notice\] .* FG1403: refused 403: captcha token expired or used before: rule="recaptcha-v2" used before country=- /;
my $SLACK = FormGuard::Process::patience(4);

sub fresh { return FormGuard::Vendor::fresh(@_) }
sub form  { my ($token) = @_; return { name => 'Hanako', message => 'Hello', $FIELD => $token } }

# Posts go to the vendor under a URL of the server's own name, so that each has a breaker of its own there.
sub captcha
{
    my ($url, @more) = @_;
    return join "\n", 'FormGuard On', 'FormGuardPath *.cgi', 'FormGuardCaptcha recaptcha-v2', 'FormGuardCaptchaSecret ' . $vendor->secret,
        'FormGuardCaptchaHostname shop.example', 'FormGuardCaptchaCAFile ' . $vendor->ca, "FormGuardCaptchaEndpoint $url", @more, '';
}

sub host
{
    my ($name, @lines) = @_;
    return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $name\nDocumentRoot \@HTDOCS\@\n" . join("\n", @lines, '') . "</VirtualHost>\n";
}

sub post
{
    my ($httpd, $token, %o) = @_;
    return $httpd->client->post($o{path} || '/run.cgi', form => form($token), $o{host} ? (headers => [Host => $o{host}]) : ());
}

sub status { my ($httpd) = @_; return $httpd->client->get('/formguard-status?json')->json }
my $STATUS = "<Location /formguard-status>\nSetHandler formguard-status\n</Location>\n<Location /server-status>\nSetHandler server-status\n</Location>\n";

# --- a token is good once ---

for my $mpm (qw(event prefork)) {
    subtest "$mpm: one token from eight clients at once" => sub {
        my $httpd = FormGuard::Httpd->new(mpm => $mpm, config => captcha($vendor->url, 'FormGuardCaptchaSlots 8') . $STATUS, files => { 'run.cgi' => $RUN });
        my $before = $vendor->count;
        my $token = fresh('ok');
        my @r = $httpd->client->at_once(map { { path => '/run.cgi', form => form($token) } } 1 .. 8);
        is_deeply [sort map { $_->status } @r], [200, (403) x 7], 'one of them passes';
        is $vendor->count - $before, 1, 'and one question is asked';
        $httpd->log_ok('error_log', $OK, $SPENT => 7);

        my $bad = fresh('invalid');
        is post($httpd, $bad)->status, 403, 'a token that was judged bad' for 1, 2;
        is $vendor->count - $before, 2, 'is spent, too';
        $httpd->log_ok('error_log', qr/ FG1402: /, $SPENT);

        for my $how (qw(graceful hard)) {
            $httpd->restart($how);
            is post($httpd, $token)->status, 403, "after a $how restart it is still spent";
            $httpd->log_ok('error_log', $SPENT);
        }
        is $vendor->count - $before, 2, 'nobody was asked about it';
        is post($httpd, fresh('ok'))->status, 200, 'another token passes';
        is_deeply [@{status($httpd)->{captcha_tokens}}{qw(live live_evictions capacity)}], [3, 0, 65536], 'the status page counts them';
        $httpd->log_ok('error_log', $OK);
        $httpd->done;
    };
}

subtest 'event: a token that nobody could judge may be sent again' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', files => { 'run.cgi' => $RUN },
        config => captcha($vendor->url) . host('short.test', 'FormGuardCaptchaTimeout 300ms', 'FormGuardCaptchaEndpoint ' . $vendor->url . '?short')
            . host('long.test', 'FormGuardCaptchaTimeout 10s') . host('watched.test', 'FormGuard DetectionOnly'));
    my $token = fresh('slow-first-byte-0.6');
    my $before = $vendor->count;
    is post($httpd, $token, host => 'watched.test')->status, 200, 'DetectionOnly spends nothing';
    is post($httpd, $token, host => 'short.test')->status, 503, 'its service is too slow';
    is post($httpd, $token, host => 'short.test')->status, 503, 'and again';
    is post($httpd, $token, host => 'long.test')->status, 200, 'then it is not';
    is post($httpd, $token, host => 'long.test')->status, 403, 'now it is spent';
    is post($httpd, $token, host => 'short.test')->status, 403, 'everywhere';
    is $vendor->count - $before, 3, 'three questions';
    $httpd->log_ok('error_log', $OK => 2, qr/ FG1500: .* cause=timeout / => 2, $SPENT => 2);
    $httpd->done;
};

# --- each cause with each policy ---

subtest 'event: what FormGuardCaptchaOnError does, for each cause' => sub {
    my @causes = qw(timeout unreachable server-error quota bad-secret busy);
    my %host = (timeout => 'slow', 'server-error' => 'failing', unreachable => 'closed', 'bad-secret' => 'secret');
    my %token = (timeout => 'never', 'server-error' => 'status-500', quota => 'status-429', busy => 'ok');
    my %files = ('run.cgi' => $RUN);
    for my $policy (qw(allow refuse altcha)) {
        $files{"$policy/run.cgi"} = $RUN;
        $files{"$policy/.htaccess"} = 'FormGuardCaptchaOnError ' . join(' ', map { "$_=$policy" } @causes) . "\n";
    }
    my $httpd = FormGuard::Httpd->new(mpm => 'event', files => \%files,
        config => "FormGuardOverride all\nFormGuardCaptchaDifficulty 1000\n" . captcha($vendor->url, 'FormGuardCaptchaSlots 1') . host('www.test')
            . host('slow.test', 'FormGuardCaptchaTimeout 200ms', 'FormGuardCaptchaEndpoint ' . $vendor->url . '?slow')
            . host('failing.test', 'FormGuardCaptchaEndpoint ' . $vendor->url . '?failing')
            . host('closed.test', 'FormGuardCaptchaEndpoint https://localhost:' . FormGuard::Process::free_port() . '/')
            . host('secret.test', 'FormGuardCaptchaSecret not-the-secret-0123456') . host('hung.test', 'FormGuardCaptchaTimeout 2s'));
    my $c = $httpd->client;
    for my $cause (@causes) {
        my $hung;
        if ($cause eq 'busy') {
            my $before = $vendor->count;
            $hung = $c->connect;
            $hung->send($c->bytes('POST', '/run.cgi', form => form(fresh('never')), headers => [Host => 'hung.test']));
            FormGuard::Process::wait_until(sub { $vendor->count > $before }, 10, 'the slot to be taken');
        }
        my @headers = (Host => ($host{$cause} || 'www') . '.test');
        my $token = fresh($token{$cause} || 'ok');
        my $ask = sub { my ($policy, %more) = @_; return $c->post("/$policy/run.cgi", form => { %{form($token)}, %more }, headers => \@headers) };
        is $ask->('allow')->status, 200, "$cause=allow";
        is $ask->('refuse')->status, 503, "$cause=refuse";
        is $ask->('altcha')->status, 403, "$cause=altcha asks for the challenge";
        my $solved = FormGuard::Altcha::solve(FormGuard::Altcha::challenge($c, '/altcha/run.cgi', headers => \@headers));
        is $ask->('altcha', altcha => $solved)->status, 200, 'who has solved it passes';
        is $ask->('altcha', altcha => $solved)->status, 403, 'once';
        my $line = qr/cause=$cause\b/;
        my @news = $cause eq 'quota' ? qr/ FG2304: / : $cause eq 'bad-secret' ? qr/ FG2302: / : $cause =~ /^(?:timeout|unreachable|server-error)$/ ? qr/ FG2301: .* does not work, $line/ : ();
        $httpd->log_ok("$cause: error_log", $OK => 2, qr/ FG1500: logged only 503: .* rule="FormGuardCaptchaOnError allow" $line/,
            qr/ FG1500: logged only 503: .* rule="FormGuardCaptchaOnError altcha" $line/, qr/ FG1500: refused 503: .* rule="recaptcha-v2" $line/,
            qr/ FG1400: refused 403: .* rule="altcha" $line/, qr/ FG1403: refused 403: .* rule="altcha" used before /, @news);
        if ($hung) {
            is $hung->read('POST')->status, 503, 'whom they waited for';
            $httpd->log_ok('error_log', qr/ FG1500: refused 503: .* cause=timeout /);
        }
        if ($cause eq 'quota') {
            is post($httpd, fresh('ok'), host => 'www.test')->status, 200, 'a good token';
            $httpd->log_ok('error_log', $OK, qr/ FG2303: /);
        }
    }
    $httpd->done;
};

# --- the vendor hangs ---

sub median { my @t = sort { $a <=> $b } @_; return $t[@t / 2] }

sub static_seconds
{
    my ($httpd) = @_;
    sleep 0.02;    # at rest, too, so that caches are as cold there
    my $start = time;
    my $r = $httpd->client->get('/static.txt');
    $r->status == 200 && $r->body eq "static\n" or die 'no static page: ' . $r->status . "\n";
    return time - $start;
}

# Reads what has come in, for that many seconds at most.
sub collect
{
    my ($load, $seconds) = @_;
    my $end = time + $seconds;
    while ($load->{select}->count) {
        my $left = $end - time;
        my @ready = $load->{select}->can_read($left > 0 ? $left : 0) or last;
        for my $s (@ready) {
            my ($conn, $start) = @{delete $load->{open}{fileno $s}};
            $load->{select}->remove($s);
            my $r = $conn->read('POST');
            $conn->close;
            push @{$load->{answers}}, [$r->status, time - $start, $r->header('Retry-After')];
        }
    }
}

sub send_posts
{
    my ($httpd, $load, $n, $token) = @_;
    my $c = $httpd->client;
    for (1 .. $n) {
        my $conn = $c->connect;
        $load->{open}{fileno $conn->socket} = [$conn, time];
        $load->{select}->add($conn->socket);
        $conn->send($c->bytes('POST', '/run.cgi', form => form(fresh($token))));
    }
}

sub workers
{
    my ($httpd) = @_;
    my $text = $httpd->client->get('/server-status?auto')->body;
    return { map { /^(\w+): (\d+)$/ ? ($1 => $2) : () } split /\n/, $text };
}

my $POSTS = 500;
my $TIMEOUT = 2;
my $OPENS = qr/ \[formguard:warn\] .* FG2301: captcha service https:\/\/localhost:\d+\/recaptcha\/api\/siteverify does not work, cause=timeout .*: posts go by FormGuardCaptchaOnError without asking it, next try in 10s$/;
my $CLOSES = qr/ \[formguard:notice\] .* FG2301: captcha service https:\/\/localhost:\d+\/recaptcha\/api\/siteverify works again$/;
my $TIMED_OUT = qr/ FG1500: refused 503: captcha could not be verified: rule="recaptcha-v2" cause=timeout (?!not asked)\S.* country=- /;
my $NOT_ASKED = qr/ FG1500: refused 503: captcha could not be verified: rule="recaptcha-v2" cause=timeout not asked: the service does not work country=- form=\S+ site=\S+ retry=\d+s ref=\S{9}$/;
my $BUSY = qr/ FG1500: refused 503: .* cause=busy country=- /;

# Posts in handfuls, and between them static pages, as other visitors ask for them. @return seconds they took
sub under_load
{
    my ($httpd, $load, $n) = @_;
    my @t;
    for (1 .. $n / 25) {
        send_posts($httpd, $load, 25, 'never');
        # All that are answered at once: a worker of prefork lingers until its client closes.
        collect($load, 0.03);
        push @t, static_seconds($httpd) for 1, 2;
    }
    return @t;
}

sub hangs
{
    my ($mpm) = @_;
    # More processes than wait for the vendor: prefork makes new ones slowly.
    my $sizes = $mpm eq 'prefork' ? "StartServers 16\nMinSpareServers 8\nMaxSpareServers 32\n" : '';
    my $httpd = FormGuard::Httpd->new(mpm => $mpm, modules => ['status'], files => { 'run.cgi' => $RUN, 'static.txt' => "static\n" },
        config => $sizes . captcha($vendor->url . "?hangs", "FormGuardCaptchaTimeout ${TIMEOUT}s", 'FormGuardCaptchaSlots 6') . $STATUS
            . host('www.test'));
    is post($httpd, fresh('ok'))->status, 200, 'the vendor works';
    my @idle = map { static_seconds($httpd) } 1 .. 30;
    my $before = $vendor->count;
    my %load = (select => IO::Select->new, open => {}, answers => []);
    my @hanging = under_load($httpd, \%load, $POSTS);
    collect(\%load, $TIMEOUT + $SLACK);
    push @idle, map { static_seconds($httpd) } 1 .. 30;

    my @answers = @{$load{answers}};
    is scalar @answers, $POSTS, "$POSTS posts, and as many answers";
    is_deeply [grep { $_->[0] != 503 } @answers], [], 'each is refused, as the policy says';
    my ($slowest) = sort { $b <=> $a } map { $_->[1] } @answers;
    cmp_ok $slowest, '<', $TIMEOUT + FormGuard::Process::patience(1), sprintf 'the slowest after %.2f s', $slowest;
    my $ratio = median(@hanging) / median(@idle);
    cmp_ok $ratio, '<', 2, sprintf 'a static page meanwhile takes %.2f times as long: %.2f ms, idle %.2f ms', $ratio, 1000 * median(@hanging), 1000 * median(@idle);
    my ($longest) = sort { $b <=> $a } @hanging;
    cmp_ok $longest, '<', $TIMEOUT / 2, sprintf 'and none waits for the vendor: %.0f ms at the longest', 1000 * $longest;
    my $asked = $vendor->count - $before;
    cmp_ok $asked, '>=', 5, "$asked were asked about";
    cmp_ok $asked, '<=', 24, 'and no more than the slots let through until it was known';
    my $w = FormGuard::Process::wait_until(sub { my $w = workers($httpd); $w->{BusyWorkers} == 1 && $w }, 5, 'all workers to be idle');
    cmp_ok $w->{IdleWorkers}, '>=', 1, "then all workers but the one that says so are idle: $w->{IdleWorkers}";
    my ($service) = @{status($httpd)->{captcha_services}};
    is_deeply [@$service{qw(works cause)}], [JSON::PP::false(), 'timeout'], 'the status page says so';
    cmp_ok $service->{next_try_seconds}, '<=', 10.1, 'and when it is asked again';
    like $httpd->client->get('/formguard-status')->body, qr/does not work: timeout, asked again in \d+s/, 'also for people';
    like $httpd->client->get('/formguard-status?prometheus')->body, qr/^formguard_captcha_service_up\{service="https:[^"]*"\} 0$/m, 'and for Prometheus';
    my $r = post($httpd, fresh('ok'));
    is $r->status, 503, 'a good token meanwhile';
    cmp_ok $r->seconds, '<', $TIMEOUT / 2, 'is told at once';
    ok $r->header('Retry-After') > 0 && $r->header('Retry-After') <= 10, 'and when to come back';
    is $vendor->count - $before, $asked, 'the vendor is left alone';
    $httpd->log_ok('error_log', $OK, $OPENS, $TIMED_OUT => $asked, $BUSY => '*', $NOT_ASKED => '+');
    return { httpd => $httpd, since => time, before => $vendor->count };
}

sub wait_for_probe
{
    my ($s) = @_;
    my $left = $s->{since} + 10 + 0.5 - time;
    sleep $left if $left > 0;
    return $s->{httpd};
}

my %server;
for my $mpm (qw(event prefork)) {
    subtest "$mpm: the vendor hangs" => sub { $server{$mpm} = hangs($mpm) };
}

subtest 'event: the vendor is back' => sub {
    my $httpd = wait_for_probe($server{event});
    my $before = $vendor->count;
    # One probes; whoever comes with it is still told to wait.
    my @r = $httpd->client->at_once(map { { path => '/run.cgi', form => form(fresh('slow-first-byte-0.3')) } } 1 .. 8);
    is_deeply [sort map { $_->status } @r], [200, (503) x 7], 'of eight posts one asks it';
    is $vendor->count - $before, 1, 'and no other';
    is post($httpd, fresh('ok'))->status, 200, 'then all do' for 1 .. 3;
    is status($httpd)->{captcha_services}[0]{works}, JSON::PP::true(), 'the status page says so';
    $httpd->log_ok('error_log: once', $CLOSES, $OK => 4, $NOT_ASKED => 7);
    $httpd->done;
};

subtest 'prefork: the child that probes is killed' => sub {
    my $httpd = wait_for_probe($server{prefork});
    my $before = $vendor->count;
    my $c = $httpd->client;
    my $conn = $c->connect;
    my ($start, $mark) = (time, $httpd->log->mark);
    $conn->send($c->bytes('POST', '/run.cgi', form => form(fresh('never'))));
    FormGuard::Process::wait_until(sub { $vendor->count > $before }, 10, 'the probe');
    my ($line) = $httpd->log->wait_for(qr/ FG0001: guarded: /, $mark);
    my ($pid) = $line =~ /\[pid (\d+)/;
    kill 'KILL', $pid;
    FormGuard::Process::wait_until(sub { !grep { $_ == $pid } FormGuard::Process::children_of($httpd->pid) }, 10, 'its end');
    is post($httpd, fresh('ok'))->status, 503, 'it holds the probe still';
    my $back = FormGuard::Process::wait_until(sub { post($httpd, fresh('ok'))->status == 200 && time - $start }, $TIMEOUT + 1 + $SLACK, 'the next probe');
    cmp_ok $back, '>=', $TIMEOUT, sprintf 'until its time is over: %.1f s', $back;
    is post($httpd, fresh('ok'))->status, 200, 'and all is well';
    $httpd->log_ok('error_log: once', $CLOSES, $OK => 2, $NOT_ASKED => '+', qr/ AH00052: child pid $pid exit signal Killed/ => [0, 1]);
    $httpd->done;
};

$vendor->stop;
done_testing;
