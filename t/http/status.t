#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The status page: that its figures are those of the posts that were sent, in all three forms, that no name a client
# chose does anything in them, that restarts keep them, and that it tells what each virtual host enforces.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use Test::More;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output todo_output);

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my $STATUS = '/formguard-status';
my $vendor = FormGuard::Vendor->new(hostname => '127.0.0.1');
my @ANY_VERDICT = (qr/ \[formguard:\w+\] .* FG1\d{3}: /, '*');

sub octets { my ($s) = @_; utf8::encode($s); return $s }

# --- readers, stricter than those that will read it ---------------------------------------------------

# Prometheus' text format 0.0.4: { name => { type, help, series => { 'labels as sorted text' => value } } }
sub prometheus
{
    my ($text) = @_;
    my (%family, %done, $now);
    utf8::decode($text) or die "not UTF-8\n";
    $text =~ /\n\z/ or die "the last line has no end\n";
    for my $line (split /\n/, $text) {
        if ($line =~ /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)\z/) {
            !$family{$1} or die "$1 comes twice\n";
            ($now, $family{$1}) = ($1, { help => $2, series => {}, order => [] });
        }
        elsif ($line =~ /^# TYPE (\S+) (counter|gauge|histogram)\z/) {
            defined $now && $1 eq $now && !$family{$1}{type} or die "TYPE of $1 does not follow its HELP\n";
            $family{$1}{type} = $2;
        }
        elsif ($line =~ /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\z/) {
            my ($name, $labels, $value) = ($1, $2 // '', $3);
            my $of = $name;
            $of =~ s/_(?:bucket|sum|count)\z// if !$family{$of};
            $of eq ($now // '') && $family{$of}{type} or die "$name stands outside its family\n";
            $of eq $name || $family{$of}{type} eq 'histogram' or die "$name: $of is no histogram\n";
            $value =~ /^(?:0|[1-9]\d*)(?:\.\d+)?\z/ or die "$name: $value is no number of ours\n";
            my @labels;
            while (length $labels) {
                $labels =~ s/^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|\z)// or die "$name: labels: $labels\n";
                my ($label, $text) = ($1, $2);
                $text =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
                push @labels, [$label, $text];
            }
            my %once;
            $once{$_->[0]}++ and die "$name: label $_->[0] twice\n" for @labels;
            my $key = join ',', $of eq $name ? () : $name, map { "$_->[0]=$_->[1]" } sort { $a->[0] cmp $b->[0] } @labels;
            !exists $family{$of}{series}{$key} or die "$name: {$key} twice\n";
            $family{$of}{series}{$key} = $value;
            push @{$family{$of}{order}}, $key;
        }
        else {
            die "no line of the format: $line\n";
        }
    }
    for my $name (keys %family) {
        my $f = $family{$name};
        ($f->{type} eq 'counter') == ($name =~ /_total\z/) or die "$name: a counter's name, and no other, ends in _total\n";
        histogram($name, $f) if $f->{type} eq 'histogram';
    }
    return \%family;
}

sub histogram
{
    my ($name, $f) = @_;
    my ($bound, $count) = (-1, 0);
    for my $key (grep { /^\w+_bucket,/ } @{$f->{order}}) {
        my ($le) = $key =~ /,le=(.*)\z/ or die "$name: a bucket without le\n";
        my $this = $le eq '+Inf' ? 9**9**9 : $le;
        $this > $bound or die "$name: le=$le is out of order\n";
        $f->{series}{$key} >= $count or die "$name: le=$le is not cumulative\n";
        ($bound, $count) = ($this, $f->{series}{$key});
    }
    $bound == 9**9**9 or die "$name: no bucket +Inf\n";
    $count == $f->{series}{"${name}_count"} or die "$name: _count is not the bucket +Inf\n";
    defined $f->{series}{"${name}_sum"} or die "$name: no _sum\n";
}

# HTML with balanced tags: [[tag, attributes, text directly in it], ...], in order.
sub html
{
    my ($text) = @_;
    utf8::decode($text) or die "not UTF-8\n";
    my (@open, @all);
    $text =~ /\G<!DOCTYPE html>\n/gc or die "no doctype\n";
    while (pos $text < length $text) {
        if ($text =~ /\G<(meta)((?: [a-z-]+="[^"<>]*")*)>/gc) {
            push @all, [$1, $2, ''];
        }
        elsif ($text =~ /\G<([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*)>/gc) {
            push @all, [$1, $2, ''];
            push @open, $all[-1];
            $1 ne 'style' || $text =~ /\G[^<]*/gc or die "style\n";
        }
        elsif ($text =~ m{\G</([a-z][a-z0-9]*)>}gc) {
            my $tag = pop @open or die "</$1> closes nothing\n";
            $tag->[0] eq $1 or die "</$1> where <$tag->[0]> is open\n";
        }
        elsif ($text =~ /\G((?:[^<>&"\x00-\x09\x0b-\x1f\x7f-\x9f]++|&(?:lt|gt|amp|quot|#39);)+)/gc) {
            die "text outside: $1\n" if !@open && $1 =~ /\S/;
            $open[-1][2] .= $1 if @open;
        }
        else {
            die 'no HTML: ' . substr($text, pos $text, 60) . "\n";
        }
    }
    !@open or die "<$open[-1][0]> is not closed\n";
    return \@all;
}

sub get_json { return $_[0]->client->get("$STATUS?json")->json }
sub names { my ($table) = @_; return { map { $_->{name} => [@$_{qw(accepted refused would_refuse)}] } @{$table->{top}} } }
sub posts { my ($table) = @_; return { map { $_->{name} => $_->{posts} } @{$table->{top}} } }
sub fired { my ($j) = @_; return { map { $_->{tag} => [@$_{qw(done would logged)}] } grep { $_->{done} + $_->{would} + $_->{logged} } @{$j->{verdicts}} } }

# What a restart must not change.
sub lasting
{
    my ($j) = @_;
    my %kept = map { $_ => $j->{$_} } qw(since totals verdicts forms clients unguarded latency counters);
    for my $row (map { @{$kept{$_}{top}} } qw(forms clients unguarded)) {
        delete $row->{last_seconds_ago};
    }
    return \%kept;
}

# --- traffic, and the figures it must come to ----------------------------------------------------------

my %HOSTILE = (
    # as asked for => as shown in JSON and Prometheus once read, and as it stands in HTML
    '/%3Cscript%3Ealert(1)%3C/script%3E%22\'%26.php' => ['/<script>alert(1)</script>"\'&.php', '/&lt;script&gt;alert(1)&lt;/script&gt;&quot;\'&amp;.php'],
    '/x%0A%0D%7F%E2%80%AE%FF%C0%80%5C%22%25.cgi'       => ['/x%0A%0D%7F%E2%80%AE%FF%C0%80\\"%25.cgi', '/x%0A%0D%7F%E2%80%AE%FF%C0%80\\&quot;%25.cgi'],
    '/%E3%81%8A%E5%95%8F%E5%90%88%E3%81%9B.cgi'       => ['/お問合せ.cgi', '/お問合せ.cgi'],
);
# httpd must find a file there, or all behind `<` is path info.
my @HOSTILE_FILES = ("<script>alert(1)</script>\"'&.php");

my $CONFIG = <<'EOF2' . 'FormGuardCaptchaEndpoint ' . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n";
FormGuardGeoDatabase @GEO@
FormGuardCounters shm:4096
FormGuardCaptchaSlots 5
FormGuardCaptchaTimeout 10s
<Location /formguard-status>
    SetHandler formguard-status
</Location>
<Location /denied>
    SetHandler formguard-status
    Require all denied
</Location>
<Location /server-status>
    SetHandler server-status
</Location>
<Location /limit.cgi>
    FormGuard On
    FormGuardLimit ip 2/10m
</Location>
<Location /close.cgi>
    FormGuard On
    FormGuardLimit form 1/10m action=close:1h
</Location>
<Location /country.cgi>
    FormGuard On
    FormGuardCountry unknown refuse
</Location>
<Location /log.cgi>
    FormGuard On
    FormGuardLimit ip 1/10m action=log
</Location>
<Location /detect.cgi>
    FormGuard DetectionOnly
    FormGuardLimit ip 1/10m
</Location>
<Location /field.cgi>
    FormGuard On
    FormGuardFormField message
    FormGuardField website empty
    FormGuardLimit ip 100/1m
</Location>
<Location /captcha.cgi>
    FormGuard On
    FormGuardCaptcha recaptcha-v2
    FormGuardCaptchaSecret stand-in-secret-0123456789
</Location>
<LocationMatch "alert\(1\)|お問合せ">
    FormGuard On
    FormGuardLimit ip 100/1m
</LocationMatch>
EOF2

my %FILES = (
    (map { ("$_.cgi" => $SCRIPT) } qw(limit close country log detect field captcha mailer target)),
    (map { ($_ => 'x') } @HOSTILE_FILES),
    'rewritten/.htaccess' => "RewriteEngine On\nRewriteRule ^pretty\$ /target.cgi\n",
);

my $httpd = FormGuard::Httpd->new(modules => ['status'], config => octets($CONFIG), files => \%FILES);
my $c = $httpd->client;

sub sends { my ($path, $statuses, %o) = @_; is join(' ', map { $c->post($path, form => 'a=1', %o)->status } split ' ', $statuses), $statuses, "posts to $path" }

subtest 'traffic of each kind' => sub {
    is_deeply fired(get_json($httpd)), {}, 'nothing before';
    sends('/limit.cgi', '200 200 429 429 429', from => '203.0.113.1');
    sends('/limit.cgi', '200', from => '203.0.113.2');
    sends('/close.cgi', '200 503 503 503', from => '203.0.113.2');
    sends('/country.cgi', '403', from => '10.0.0.9');
    sends('/log.cgi', '200 200 200', from => '203.0.113.3');
    sends('/detect.cgi', '200 200 200', from => '203.0.113.3');
    sends('/field.cgi', '200');
    sends('/field.cgi', '200', form => 'message=1', from => '2001:db8::1');
    sends('/field.cgi', '403', form => 'message=1&website=x', from => '2001:db8::ffff:2');
    sends('/field.cgi', '400', form => undef, type => 'application/json', body => '{', from => '2001:db8:0:1::1');
    sends('/captcha.cgi', '403', from => '203.0.113.4');
    sends('/captcha.cgi', '403', form => 'g-recaptcha-response=invalid', from => '203.0.113.4');
    sends('/captcha.cgi', '200', form => 'g-recaptcha-response=ok', from => '203.0.113.4');
    sends('/mailer.cgi', '200 200 200');
    sends('/mailer.cgi/path/info', '200');
    sends('/rewritten/pretty', '200');
    is $c->get('/mailer.cgi')->status, 200, 'a GET is counted nowhere';
    for my $path (sort keys %HOSTILE) {
        ok $c->post($path, form => 'a=1', from => '203.0.113.5')->status < 500, "a hostile name: $path";
    }
};

my %SCORE = (
    FG1000 => [3 + 1 + 3 + 1 + 1 + 1 + 2, 0, 0], FG1001 => [1, 0, 0], FG1100 => [3, 2, 2], FG1101 => [3, 0, 0],
    FG1200 => [1, 0, 0], FG1300 => [1, 0, 0], FG1311 => [1, 0, 0], FG1400 => [1, 0, 0], FG1402 => [1, 0, 0],
);
my %FORMS = (
    '/limit.cgi' => [3, 3, 0], '/close.cgi' => [1, 3, 0], '/country.cgi' => [0, 1, 0], '/log.cgi' => [3, 0, 0],
    '/detect.cgi' => [1, 0, 2], '/field.cgi' => [1, 2, 0], '/captcha.cgi' => [1, 2, 0],
    (map { $HOSTILE{$_}[0] => [1, 0, 0] } grep { /alert|E3/ } keys %HOSTILE),
);
my %CLIENTS = (
    '203.0.113.1' => [2, 3, 0], '203.0.113.2' => [2, 3, 0], '203.0.113.3' => [4, 0, 2], '203.0.113.4' => [1, 2, 0],
    '203.0.113.5' => [2, 0, 0], '10.0.0.9' => [0, 1, 0], '2001:db8::/64' => [1, 1, 0], '2001:db8:0:1::/64' => [0, 1, 0],
);
my %UNGUARDED = ('/mailer.cgi' => 4, '/rewritten/pretty' => 1, '/field.cgi' => 1, (map { $HOSTILE{$_}[0] => 1 } grep { /%0A/ } keys %HOSTILE));

# With the virtual host before the path.
sub at { my (%h) = @_; return { map { ("127.0.0.1$_" => $h{$_}) } keys %h } }

subtest 'JSON' => sub {
    my $r = $c->get("$STATUS?json");
    is $r->status, 200, 'status';
    is $r->header('Content-Type'), 'application/json', 'type';
    unlike $r->body, qr/<script/i, 'no markup, wherever it is put';
    my $j = $r->json;
    is_deeply fired($j), \%SCORE, 'verdicts by reason and kind';
    is $j->{verdicts}[0]{words}, 'accepted', 'with their words';
    is_deeply $j->{totals}, { accepted => 12, refused => 11, would_refuse => 2, logged => 2 }, 'totals';
    is_deeply names($j->{forms}), at(%FORMS), 'forms';
    is $j->{forms}{posts}, 25, 'posts to forms';
    is_deeply names($j->{clients}), \%CLIENTS, 'clients, an IPv6 /64 as one';
    is_deeply posts($j->{unguarded}), at(%UNGUARDED), 'posts that nothing guards, each once: the mailer is seen';
    is $j->{unguarded}{posts}, 7, 'all of them';
    is scalar @{$j->{closed_forms}}, 1, 'one closed form';
    is $j->{closed_forms}[0]{name}, 'form=/close.cgi site=127.0.0.1', 'its name';
    cmp_ok abs($j->{closed_forms}[0]{seconds_left} - 3570), '<=', 30, 'an hour is left';
    is $j->{counters}{capacity}, 4096, 'capacity of the counters';
    cmp_ok $j->{counters}{live}, '>=', 4, 'live keys';
    cmp_ok $j->{counters}{live}, '<=', $j->{counters}{entries}, 'held';
    is $j->{counters}{live_evictions}, 0, 'evicted';
    is_deeply $j->{captcha_slots}, { total => 5, taken => 0 }, 'slots';
    is $j->{latency}{decision}{count}, 25, 'decisions timed';
    is $j->{latency}{verification}{count}, 2, 'verifications timed';
    my $sum = 0;
    $sum += $_->{count} for @{$j->{latency}{decision}{buckets}};
    is $sum, 25, 'in buckets';
    cmp_ok $j->{latency}{verification}{seconds}, '>', 0, 'which took time';
    like $j->{country_database}{type}, qr/\w/, 'type of the country database';
    like $j->{country_database}{built}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'its date';
    like $j->{version}, qr/^\d+\.\d+\.\d+/, 'version';
    is $j->{blocklists}{live}, 0, 'blocklists';
};

subtest 'Prometheus' => sub {
    my $r = $c->get("$STATUS?prometheus");
    is $r->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8', 'type';
    my $m = eval { prometheus($r->body) };
    is $@, '', 'is what the format says' or return;
    my %verdicts = map { /kind=(\w+),.*tag=(\w+)/ ? ("$2 $1" => $m->{formguard_verdicts_total}{series}{$_}) : () }
        keys %{$m->{formguard_verdicts_total}{series}};
    is_deeply { map { $_ => $verdicts{$_} } grep { $verdicts{$_} } keys %verdicts },
        { map { my $t = $_; my $n = 0; map { my $k = $_; my $v = $SCORE{$t}[$n++]; $v ? ("$t $k" => $v) : () } qw(done would logged) } keys %SCORE },
        'verdicts';
    my @results = qw(accepted refused would_refuse);
    is_deeply $m->{formguard_form_posts_total}{series},
        { map { my $f = $_; map { ("form=127.0.0.1$f,result=$results[$_]" => $FORMS{$f}[$_]) } 0 .. 2 } keys %FORMS }, 'forms, escaped';
    is_deeply $m->{formguard_client_posts_total}{series},
        { map { my $f = $_; map { ("client=$f,result=$results[$_]" => $CLIENTS{$f}[$_]) } 0 .. 2 } keys %CLIENTS }, 'clients';
    is_deeply $m->{formguard_unguarded_script_posts_total}{series},
        { map { ("script=127.0.0.1$_" => $UNGUARDED{$_}) } keys %UNGUARDED }, 'posts that nothing guards, escaped';
    is $m->{formguard_decision_duration_seconds}{series}{formguard_decision_duration_seconds_count}, 25, 'decisions';
    is $m->{formguard_verification_duration_seconds}{series}{formguard_verification_duration_seconds_count}, 2, 'verifications';
    is $m->{formguard_closed_forms}{series}{''}, 1, 'closed forms';
    cmp_ok $m->{formguard_form_closed_seconds}{series}{'form=form=/close.cgi site=127.0.0.1'}, '>', 3500, 'for how long';
    is $m->{formguard_captcha_slots}{series}{''}, 5, 'slots';
    is $m->{formguard_counters_capacity}{series}{''}, 4096, 'counters';
    like join(' ', values %{$m->{formguard_country_database_built_timestamp_seconds}{series}}), qr/^1\d{9}$/, 'country database';
    is_deeply $m->{formguard_virtual_hosts}{series}, { 'mode=On' => 0, 'mode=DetectionOnly' => 0, 'mode=Off' => 1 }, 'virtual hosts';
};

subtest 'HTML' => sub {
    my $r = $c->get($STATUS);
    is $r->header('Content-Type'), 'text/html; charset=utf-8', 'type';
    is $r->header('Cache-Control'), 'no-store', 'is not stored';
    is $r->header('X-Content-Type-Options'), 'nosniff', 'is what it says';
    like $r->header('Content-Security-Policy'), qr/^default-src 'none'; style-src 'unsafe-inline'(?:;|$)/, 'loads nothing';
    my $page = $r->body;
    my $tags = eval { html($page) };
    is $@, '', 'tags are balanced' or return;
    is scalar(grep { $_->[0] eq 'style' } @$tags), 1, 'one style sheet';
    is_deeply [grep { $_->[0] =~ /^(?:script|link|img|iframe|object|svg|form|base)$/ } @$tags], [], 'nothing that loads or runs';
    is_deeply [sort map { $_->[1] =~ / ((?:href|src|action|on\w+)="[^"]*")/ ? $1 : () } @$tags], ['href="?json"', 'href="?prometheus"'], 'its only links';
    # The name of a captcha service is text; its URL loads nothing.
    unlike $page =~ s{(?<=>Captcha service <bdi>)https://localhost:\d+/recaptcha/api/siteverify(?=</bdi>)}{}gr, qr/url\(|\@import|https?:/, 'nothing from outside';
    like $page, qr/<meta name="viewport" content="width=device-width/, 'for a phone';
    like $page, qr/prefers-color-scheme: dark/, 'for the night';
    utf8::decode($page);
    for my $path (sort keys %HOSTILE) {
        like $page, qr{<bdi>127\.0\.0\.1\Q$HOSTILE{$path}[1]\E</bdi>}, "escaped: $path";
    }
    unlike $page, qr/<script|\x{202e}/, 'nothing slipped through';
    like $page, qr{<td>too many posts <span class="soft">FG1100</span></td><td>3</td><td>2</td><td>2</td>}, 'a verdict';
    like $page, qr{<bdi>127\.0\.0\.1/detect\.cgi</bdi></td><td>1</td><td>0</td><td>2</td>}, 'a form in DetectionOnly';
    like $page, qr{<bdi>127\.0\.0\.1/mailer\.cgi</bdi></td><td>4</td><td>\d+s ago</td>}, 'the mailer nobody knows of';
    like $page, qr{<bdi>form=/close\.cgi site=127\.0\.0\.1</bdi></td><td>(?:59m \d+s|1h 0m)</td>}, 'the closed form';
    like $page, qr{<bdi>203\.0\.113\.1</bdi></td><td>2</td><td>3</td><td>0</td>}, 'a client';
    unlike $page, qr/stand-in-secret/, 'no secret';
    is $c->get("$STATUS?anything")->header('Content-Type'), 'text/html; charset=utf-8', 'what another query gets';
};

subtest 'who may ask how' => sub {
    my $r = $c->request('HEAD', "$STATUS?json");
    is $r->status, 200, 'HEAD';
    is $r->header('Content-Type'), 'application/json', 'its type';
    is $r->header('Cache-Control'), 'no-store', 'its headers';
    is $r->body, '', 'no body';
    for my $method (qw(POST PUT DELETE)) {
        $r = $c->request($method, $STATUS, body => 'x');
        is $r->status, 405, $method;
        like $r->header('Allow'), qr/\bGET\b/, 'is told what is allowed';
        unlike $r->header('Allow'), qr/\b$method\b/, 'and it is not';
        unlike $r->body, qr/limit\.cgi/, 'and shown nothing';
    }
    for my $query ('', '?json', '?prometheus') {
        $r = $c->get("/denied$query");
        is $r->status, 403, "Require all denied$query";
        unlike $r->body, qr/limit\.cgi|formguard_/, 'shows nothing';
    }
};

subtest 'mod_status' => sub {
    my $auto = $c->get('/server-status?auto')->body;
    like $auto, qr/^FormGuardAccepted: 12\nFormGuardRefused: 11\nFormGuardWouldRefuse: 2\nFormGuardLogged: 2\nFormGuardUnguarded: 8\nFormGuardClosedForms: 1\nFormGuardSlotsTaken: 0\nFormGuardSlots: 5\n/m, '?auto, the POST of a moment ago included';
    is_deeply [grep { /FormGuard/ && !/^FormGuard\w+: \d+$/ } split /\n/, $auto], [], 'in the shape of its other lines';
    my $page = $c->get('/server-status')->body;
    like $page, qr{<h2>mod_formguard</h2>\n<dl><dt>Posts accepted: 12</dt>.*<dt>Captcha slots taken: 0 of 5</dt></dl>}s, 'HTML';
};

subtest 'a worker that waits for a captcha service is seen' => sub {
    my $conn = $c->connect;
    $conn->send($c->bytes('POST', '/captcha.cgi', form => 'g-recaptcha-response=slow-first-byte-4', from => '203.0.113.4'));
    my $taken = eval { FormGuard::Process::wait_until(sub { get_json($httpd)->{captcha_slots}{taken} || undef }, 4, 'a slot taken') };
    is $taken, 1, 'one slot is taken';
    is $conn->read->status, 200, 'the post was accepted';
    is get_json($httpd)->{captcha_slots}{taken}, 0, 'and the slot is free again';
};

subtest 'restarts keep the figures' => sub {
    my $before = lasting(get_json($httpd));
    for my $how (qw(graceful hard)) {
        $httpd->restart($how);
        is_deeply lasting(get_json($httpd)), $before, $how;
        is scalar @{get_json($httpd)->{closed_forms}}, 1, 'the form stays closed';
    }
    sends('/limit.cgi', '200', from => '203.0.113.77');
    is_deeply names(get_json($httpd)->{forms})->{'127.0.0.1/limit.cgi'}, [4, 3, 0], 'and counting goes on';
};

$httpd->log_ok('verdicts in error_log', @ANY_VERDICT, qr{ AH0(?:1264|2811): .*script not found}, 2, qr{ AH01630: .*/denied$}, 3);
$httpd->done;

# --- a closed form is opened by hand --------------------------------------------------------------------

subtest 'a closed form can be opened again from the page, and from nowhere else' => sub {
    my $h = FormGuard::Httpd->new(
        files => { 'close.cgi' => $SCRIPT, 'other.cgi' => $SCRIPT, 'theirs/.htaccess' => "SetHandler formguard-status\n" },
        config => "FormGuard On\nFormGuardDeny Off\nFormGuardLimit form 2/10m action=close:1h\n"
            . "<Location /formguard-status>\nSetHandler formguard-status\nFormGuardStatusOpen On\n</Location>\n"
            . "<Location /read-only>\nSetHandler formguard-status\n</Location>\n"
            . "<Location /denied>\nSetHandler formguard-status\nFormGuardStatusOpen On\nRequire all denied\n</Location>\n"
    );
    my $b = $h->client;
    my $host = '127.0.0.1:' . $h->port;
    my $label = 'form=/close.cgi site=127.0.0.1';
    my @own = (Origin => "http://$host", 'Sec-Fetch-Site' => 'same-origin');
    my $posts = sub { my ($path, $statuses, $what) = @_; is join(' ', map { $b->post($path, form => 'a=1')->status } split ' ', $statuses), $statuses, $what };
    my $asks = sub {
        my ($status, $what, $path, %o) = @_;
        my $r = $b->post($path, form => { open => $label }, headers => \@own, %o);
        is $r->status, $status, $what;
        is scalar @{get_json($h)->{closed_forms}}, 2, "$what: nothing is opened" if $status != 303;
        return $r;
    };
    $posts->('/close.cgi', '200 200 503 503', 'the form is closed');
    $posts->('/other.cgi', '200 200 503', 'another one, too');
    my $page = $b->get($STATUS);
    like $page->body, qr{<form method="post"><input type="hidden" name="open" value="\Q$label\E"><button>Open now</button></form>}, 'the page has a button';
    like $page->header('Content-Security-Policy'), qr/form-action 'self'/, 'that a browser lets work';
    is $page->header('Referrer-Policy'), 'same-origin', 'and sends its origin with';
    unlike $b->get('/read-only')->body, qr/<button|<form/, 'none where FormGuardStatusOpen is not said';
    is $b->get("$STATUS?open=" . ($label =~ s/ /+/r))->status, 200, 'GET';
    is scalar @{get_json($h)->{closed_forms}}, 2, 'never opens';

    $asks->(403, 'from another site', $STATUS, headers => [Origin => 'https://evil.example', 'Sec-Fetch-Site' => 'cross-site']);
    $asks->(403, 'from another site, by a browser that says its origin only', $STATUS, headers => [Origin => 'https://evil.example']);
    $asks->(403, 'from another port', $STATUS, headers => [Origin => 'http://127.0.0.1:1', 'Sec-Fetch-Site' => 'same-site']);
    $asks->(403, 'from another host of the site', $STATUS, headers => [$own[0] => $own[1], 'Sec-Fetch-Site' => 'same-site']);
    $asks->(403, 'from a sandboxed frame', $STATUS, headers => [Origin => 'null', 'Sec-Fetch-Site' => 'cross-site']);
    $asks->(403, 'without an origin', $STATUS, headers => []);
    $asks->(403, 'an origin the host is but a part of', $STATUS, headers => [Origin => "http://$host.evil.example"]);
    $asks->(403, 'Require all denied', '/denied');
    $asks->(405, 'where FormGuardStatusOpen is not said', '/read-only');
    $asks->(403, 'where .htaccess has set the handler', '/theirs/');
    $asks->(400, 'another field', $STATUS, form => { close => $label });
    $asks->(400, 'no form', $STATUS, form => undef, type => 'text/plain', body => "open=$label");
    $asks->(413, 'a body too long', $STATUS, form => { open => 'x' x 3000 });
    $asks->(400, 'a label too long', $STATUS, form => { open => 'x' x 500 });
    for my $method (qw(PUT DELETE PATCH)) {
        my $r = $b->request($method, $STATUS, form => { open => $label }, headers => \@own);
        is $r->status, 405, $method;
        like $r->header('Allow'), qr/\bPOST\b/, 'is told what is allowed';
    }
    is scalar @{get_json($h)->{closed_forms}}, 2, 'all are closed still';

    is $asks->(303, 'the button', $STATUS)->header('Location'), $STATUS, 'leads back to the page';
    is_deeply [map { $_->{name} } @{get_json($h)->{closed_forms}}], ['form=/other.cgi site=127.0.0.1'], 'the one form is open, the other is not';
    $posts->('/close.cgi', '200 200 503', 'as many posts as ever are taken again, and one too many closes it again');
    $asks->(303, 'the button, by a browser without Sec-Fetch-Site', $STATUS, headers => [@own[0, 1]]);
    $asks->(303, 'once more: it is open already', $STATUS);
    $posts->('/close.cgi', '200', 'it is open');
    $posts->('/other.cgi', '503', 'the other is closed');
    is_deeply get_json($h)->{unguarded}{top}, [], 'a request for the page is no post to a mailer';
    $h->log_ok(
        'error_log', qr/ FG1000: / => 9, qr/ FG1101: closes its form/ => 3, qr/ FG1101: refused 503: / => 5,
        qr{ \[formguard:notice\] .*\[client 127\.0\.0\.1:\d+\] FG1102: form open again: \Q$label\E by=127\.0\.0\.1$} => 2,
        qr{ \[formguard:notice\] .* FG1103: no form is opened: the request does not come from this page: by=127\.0\.0\.1$} => 7, qr{ AH01630: .*/denied$},
        qr{ FG2009: .*: dir=/\S+/theirs/: },
    );
    $h->done;
};

# --- what each virtual host enforces -------------------------------------------------------------------

my $MANY = 1100;
my $closed_port = FormGuard::Process::free_port();
my $hosts = FormGuard::Httpd->new(files => { 'form.cgi' => $SCRIPT }, config => <<"EOF2" . join '', map { "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName v$_.test\n</VirtualHost>\n" } 1 .. $MANY);
FormGuardGeoDatabase \@GEO\@
FormGuard DetectionOnly
FormGuardLimit ip 30/10m 200/1d
FormGuardDNSBLResolver 127.0.0.1:$closed_port
<Location /formguard-status>
    SetHandler formguard-status
    FormGuard Off
</Location>
<Directory /srv/none>
    FormGuardDeny On
</Directory>
<VirtualHost 127.0.0.1:\@PORT\@>
    ServerName a.test
    DocumentRoot \@HTDOCS\@
    FormGuard On
    FormGuardOverride none
    FormGuardCaptchaSecret never-shown-000
    FormGuardCountry CN,HK,RU refuse
    FormGuardField email single-line
    FormGuardDNSBL mykeymykeymykeymykeymykeyx.zen.dq.spamhaus.net action=log
    <Location /shop>
        FormGuardCaptcha recaptcha-v3
        FormGuardPath /shop/*.php
    </Location>
    <Directory \@HTDOCS\@>
        <Files form.cgi>
            FormGuardLimit form 5/1h
        </Files>
    </Directory>
    <If "true">
        FormGuardLimit net 9/1m
    </If>
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT\@>
    ServerName off.test
    FormGuard Off
</VirtualHost>
EOF2

subtest 'virtual hosts' => sub {
    is $hosts->client->post('/form.cgi', form => { email => 'a@b.example' }, from => '203.0.113.6', headers => [Host => 'a.test'])->status, 200, 'a post';
    my $r = $hosts->client->get("$STATUS?json");
    my $j = $r->json;
    is scalar @{$j->{virtual_hosts}}, $MANY + 3, 'all of them, and the main server';
    my ($main, @rest) = @{$j->{virtual_hosts}};
    my %by = map { $_->{name} => $_ } @rest;
    is "$main->{name} $main->{port} $main->{mode} $main->{override}", '127.0.0.1 ' . $hosts->port . ' DetectionOnly tighten', 'the main server first';
    is_deeply $main->{limits}, ['ip 30/10m 200/1d'], 'its limit';
    is_deeply [map { "$_->{where} $_->{mode} $_->{deny}" } @{$main->{sections}}],
        ['Directory /srv/none/ DetectionOnly 1', 'Location /formguard-status Off 0'], 'its sections';
    my $a = $by{'a.test'};
    is "$a->{mode} $a->{override} $a->{port}", 'On none ' . $hosts->port, 'a virtual host';
    is_deeply [@$a{qw(limits countries fields blocklists captcha)}],
        [['ip 30/10m 200/1d'], ['CN,HK,RU refuse'], ['email single-line'], ['KEY.zen.dq.spamhaus.net action=log'], undef], 'its rules and those above it';
    my %section = map { $_->{where} => $_ } @{$a->{sections}};
    my $htdocs = $hosts->htdocs;
    is_deeply [sort keys %section], [sort 'Location /shop', "Directory $htdocs/ Files form.cgi", 'If'], 'its sections, not those of the main server';
    is "$section{'Location /shop'}{captcha} @{$section{'Location /shop'}{paths}}", 'recaptcha-v3 /shop/*.php', 'what one adds';
    is_deeply $section{"Directory $htdocs/ Files form.cgi"}{limits}, ['ip 30/10m 200/1d', 'form 5/1h'], 'what a section in a section adds';
    is $by{'off.test'}{mode}, 'Off', 'a virtual host that guards nothing';
    is $by{"v$MANY.test"}{mode}, 'DetectionOnly', 'one that adds nothing';
    is_deeply $j->{blocklists}{zones}, [{ name => 'KEY.zen.dq.spamhaus.net', state => 'unreachable' }], 'the state of a blocklist';

    my $page = $hosts->client->get($STATUS)->body;
    ok eval { html($page) }, 'HTML' or diag $@;
    my ($own, $alike) = split m{<h2>As the main server</h2>}, $page;
    is scalar(() = $own =~ /<section class="host">/g), 3, 'those that enforce something of their own, and the main server';
    my @alike = $alike =~ m{<bdi>(v\d+\.test):\d+</bdi>}g;
    is_deeply \@alike, [map { "v$_.test" } 1 .. 1000], 'the others by name, bounded';
    like $alike, qr/And 100 more, which \?json lists\./, 'which is said';
    like $page, qr{<li>FormGuardCountry <bdi>CN,HK,RU refuse</bdi></li>}, 'a rule';
    like $page, qr{<td>Blocklist <bdi>KEY\.zen\.dq\.spamhaus\.net</bdi></td><td>[^<]*no resolver can be reached</td>}, 'a blocklist that fails';
    my $metrics = $hosts->client->get("$STATUS?prometheus")->body;
    my $m = eval { prometheus($metrics) };
    is $@, '', 'Prometheus';
    is_deeply $m->{formguard_virtual_hosts}{series}, { 'mode=On' => 1, 'mode=DetectionOnly' => $MANY + 1, 'mode=Off' => 1 }, 'by mode';
    is_deeply $m->{formguard_blocklist_up}{series}, { 'zone=KEY.zen.dq.spamhaus.net' => 0 }, 'blocklists';
    unlike $r->body . $page . $metrics, qr/mykey|never-shown/, 'no key, no secret';
};
$hosts->log_ok('one line about the blocklist', qr/ FG2201: blocklist KEY\.zen\.dq\.spamhaus\.net /, @ANY_VERDICT);
$hosts->done;

# --- PHP behind Action is one post, and a table that is full says what it does not know ------------------

my $php = FormGuard::Httpd->new(mpm => 'worker', php => 'cgi', config => <<'EOF2');
<Location /formguard-status>
    SetHandler formguard-status
</Location>
<Location /contact.php>
    FormGuard On
    FormGuardLimit ip 10/10m
</Location>
EOF2

subtest 'PHP as CGI' => sub {
    is $php->client->post('/echo.php', form => 'a=1')->status, 200, 'unguarded';
    is $php->client->post('/contact.php', form => 'a=1', from => '203.0.113.8')->status < 500, 1, 'guarded';
    my $j = get_json($php);
    is_deeply posts($j->{unguarded}), { '127.0.0.1/echo.php' => 1 }, 'is counted once';
    is_deeply names($j->{forms}), { '127.0.0.1/contact.php' => [1, 0, 0] }, 'and the guarded one, too';
};

subtest 'more names than are kept' => sub {
    my $conn = $php->client->connect;
    for my $n (1 .. 300) {
        $conn->send($php->client->bytes('POST', "/no-$n-" . 'x' x ($n % 200) . '.html', form => '', keepalive => 1)) or die;
        $conn->read('POST')->status >= 400 or die;
        $php->client->post('/echo.php', form => 'a=1') if $n % 50 == 0;
    }
    my $r = $php->client->get("$STATUS?json");
    my $u = $r->json->{unguarded};
    is $u->{posts}, 307, 'all are counted';
    is scalar @{$u->{top}}, 256, 'so many have a name';
    is $u->{top}[0]{name}, '127.0.0.1/echo.php', 'the one that gets most is first';
    is $u->{top}[0]{posts}, 7, 'and its figure is right';
    is scalar(grep { length $_->{name} > 160 } @{$u->{top}}), 0, 'long names are cut';
    my $page = $php->client->get($STATUS)->body;
    ok eval { html($page) }, 'HTML' or diag $@;
    like $page, qr/The first 20 of 256 or more\./, 'which shows the first';
    my $m = eval { prometheus($php->client->get("$STATUS?prometheus")->body) };
    is $@, '', 'Prometheus';
    is scalar keys %{$m->{formguard_unguarded_script_posts_total}{series}}, 20, 'which shows the first';
};
$php->log_ok('verdicts in error_log', @ANY_VERDICT, qr/sendmail/, '*');
$php->done;

done_testing;
