#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What the client of a refused post gets: status, headers, a page in its language or a problem for its script.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Process;
use Test::More;

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
# An error document that tells what it was given.
my $ERROR = <<'SCRIPT';
#!/bin/sh
n=$(cat | wc -c)
printf 'Content-Type: text/plain\r\n\r\nmine %s %s %s rule=%s type=%s length=%s read=%s\n' "$REQUEST_METHOD" \
    "$REDIRECT_STATUS" "$FORMGUARD_VERDICT" "$FORMGUARD_RULE" "$CONTENT_TYPE" "$CONTENT_LENGTH" "$n"
SCRIPT
my %FILES = ('form.cgi' => $SCRIPT, 'error.cgi' => $ERROR);
my $OK = qr/ FG1000: accepted: /;
my $FULL = qr/ FG1100: refused 429: /;
my $MISSING = qr/ FG1400: refused 403: captcha token missing: rule="recaptcha-v2" /;

# Refuses every post without a token, asking nobody.
my $CAPTCHA = "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSiteKey k\nFormGuardCaptchaSecret s\n";
my $ONE = "FormGuard On\nFormGuardLimit ip 1/10m\n";

sub octets { my ($s) = @_; utf8::encode($s); return $s }

my @NO_LIMIT = ('Retry-After' => undef, RateLimit => undef, 'RateLimit-Policy' => undef);
my %ALWAYS = ('Cache-Control' => 'no-store', Vary => qr{^Accept, ?Accept-Language$}, 'Content-Language' => 'en');
my %HTML = ('Content-Type' => 'text/html; charset=utf-8');
my %JSON = ('Content-Type' => 'application/problem+json');
my $EN = qr/<html lang="en">/;
my $JA = qr/<html lang="ja">/;

sub problem
{
    my (%expected) = @_;
    return sub {
        my ($r) = @_;
        my $p = eval { $r->json } || {};
        is $p->{type}, 'about:blank', 'type';
        for my $k (sort keys %expected) {
            ref $expected{$k} ? like($p->{$k}, $expected{$k}, $k) : is($p->{$k}, $expected{$k}, $k);
        }
        is $r->header('Content-Length'), length $r->body, 'Content-Length';
    };
}

# Each reason, as a page and as a problem.
my @REASONS;
for (
    [limit => 429, 'Too Many Requests', 'Too many messages', $ONE, { form => 'a=1' }, qr/ FG1100: /],
    [captcha => 403, 'Forbidden', 'The check for robots did not succeed', $CAPTCHA, { form => 'a=1' }, qr/ FG1400: /],
    [malformed => 400, 'Bad Request', 'The message arrived damaged', "FormGuard On\n", { body_bytes => '{"a":', type => 'application/json' }, qr/ FG1300: refused 400: /],
    ['too-large' => 413, undef, 'The message is too large', "FormGuard On\nFormGuardBodyLimit 10\n", { form => 'a=12345678901' }, qr/ FG1301: refused 413: /],
) {
    my ($key, $status, $title, $heading, $htaccess, $post, $line) = @$_;
    my @limit = $key eq 'limit'
        ? ('Retry-After' => qr/^\d+$/, RateLimit => qr/^"ip";r=0;t=\d+$/, 'RateLimit-Policy' => '"ip";q=1;w=600') : @NO_LIMIT;
    my $first = $key eq 'limit';
    push @REASONS, {
        name => "$key: $status",
        $key eq 'malformed' || $key eq 'too-large' ? (config => "# \@CASE\@\n") : (),
        htaccess => $htaccess,
        requests => [
            $first ? { %$post, status => 200 } : (),
            { %$post, status => $status, headers => { @limit, %ALWAYS, %HTML }, body => [$EN, "<h1>$heading</h1>", "<p class=\"status\">$status "] },
            { %$post, status => $status, headers => { @limit, %ALWAYS, %JSON }, send => [Accept => 'application/json'],
                test => problem(status => $status, reason => $key, $title ? (title => $title) : (), $first ? (retryAfter => qr/^\d+$/) : (retryAfter => undef), detail => qr/\. Your message was not sent\./) },
        ],
        log => [$line => 2, $first ? $OK : (), $key eq 'malformed' || $key eq 'too-large' ? qr/ FG2003: / : ()],
    };
}

# A post without a token and such headers gets this page or problem.
sub gets
{
    my ($send, $language, $json) = @_;
    return {
        form => 'a=1', send => $send, status => 403,
        headers => { %ALWAYS, 'Content-Language' => $language, $json ? %JSON : %HTML },
        body => $json ? '"reason":"captcha"' : $language eq 'ja' ? [$JA, octets('<h1>ロボットではないことを確認できませんでした</h1>')] : [$EN, 'robots'],
    };
}

my @LANGUAGES = map { gets(defined $_->[0] ? ['Accept-Language' => $_->[0]] : [], $_->[1]) } (
    [undef, 'en'], ['ja', 'ja'], ['ja-JP', 'ja'], ['JA-jp', 'ja'], ['ja,en-US;q=0.9,en;q=0.8', 'ja'], ['en-US,en;q=0.9,ja;q=0.8', 'en'],
    ['de,ja;q=0.5,en;q=0.4', 'ja'], ['de', 'en'], ['*', 'en'], ['ja;q=0', 'en'], ['ja;q=0.001,en;q=0', 'ja'], ['jav', 'en'], ['', 'en'],
    ['ja;q=0.9, *;q=0.1', 'ja'], [';;,,;q=', 'en'], [';', 'en'], ['ja;q=0.5,;', 'ja'], ['ja;q=nonsense', 'ja'], ['fr, ja ; q=0.7 , en;q=0.3', 'ja'], ['x' x 4000 . ',ja', 'ja'],
);
my $BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8';
my @KINDS = map { gets($_->[0], 'en', $_->[1]) } (
    [[Accept => $BROWSER], 0], [[Accept => '*/*'], 0], [[Accept => 'application/json'], 1], [[Accept => 'application/problem+json'], 1],
    [[Accept => 'application/json, text/plain, */*'], 1], [[Accept => 'application/json, */*;q=0.1'], 1], [[Accept => 'text/html, application/json;q=0.9'], 0],
    [[Accept => 'application/json;q=0, */*'], 0], [[Accept => 'application/*'], 1], [[Accept => 'image/png'], 0], [[Accept => ';'], 0], [[Accept => 'TEXT/HTML'], 0],
    [['X-Requested-With' => 'XMLHttpRequest'], 1], [[Accept => '*/*', 'X-Requested-With' => 'XMLHttpRequest'], 1], [['X-Requested-With' => 'jp.app'], 0],
    [[Accept => $BROWSER, 'X-Requested-With' => 'XMLHttpRequest'], 0], [['Sec-Fetch-Dest' => 'empty', Accept => '*/*'], 1],
    [['Sec-Fetch-Dest' => 'document', Accept => $BROWSER], 0], [['Sec-Fetch-Dest' => 'iframe', Accept => $BROWSER], 0],
);

my @NEGOTIATED = (
    { name => 'a page in the language asked for', htaccess => $CAPTCHA, requests => \@LANGUAGES, log => [$MISSING => scalar @LANGUAGES] },
    { name => 'a page for people, a problem for scripts', htaccess => $CAPTCHA, requests => \@KINDS, log => [$MISSING => scalar @KINDS] },
    {
        name => 'a problem in Japanese', htaccess => $CAPTCHA, form => 'a=1', status => 403, send => [Accept => 'application/json', 'Accept-Language' => 'ja'],
        headers => { %ALWAYS, %JSON, 'Content-Language' => 'ja' },
        test => problem(title => 'Forbidden', detail => qr/^このフォームは.*メッセージは送信されませんでした。/), log => [$MISSING],
    },
);

my @METHODS = (
    {
        name => 'only POST is guarded',
        htaccess => "${ONE}FormGuardCountry * log\nFormGuardCaptcha off\n" =~ s/FormGuardCountry.*\n//r,
        requests => [
            { form => 'a=1', status => 200 }, { form => 'a=1', status => 429 },
            (map { { method => $_, form => 'a=1', status => 429, unlike => qr/ran/ } } qw(post Post)),    # which some CGI libraries take for POST
            map { { method => $_, status => 200 } } qw(GET HEAD OPTIONS PUT PATCH DELETE),
        ],
        log => [$OK, $FULL => 3],
    },
    {
        name => 'FormGuardMethods: those and no others',
        htaccess => "${ONE}FormGuardMethods GET HEAD PUT\n",
        requests => [
            { method => 'GET', status => 200, body => 'ran' }, { method => 'GET', status => 429, headers => { %ALWAYS, %HTML }, body => $EN },
            { method => 'HEAD', status => 429, headers => { %ALWAYS, %HTML, 'Content-Length' => qr/^[1-9]\d+$/ }, test => sub { is $_[0]->body, '', 'HEAD has no body' } },
            { method => 'PUT', form => 'a=1', status => 429 }, { form => 'a=1', status => 200 }, { form => 'a=1', status => 200 },
            { method => 'OPTIONS', status => 200 }, { method => 'DELETE', status => 200 },
        ],
        log => [$OK, $FULL => 3],
    },
);

my @DOCUMENTS = (
    {
        name => 'ErrorDocument: a text', htaccess => "${ONE}ErrorDocument 429 \"Slow down <b>please</b>\"\n",
        requests => [
            { form => 'a=1', status => 200 },
            { form => 'a=1', status => 429, headers => { 'Retry-After' => qr/^\d+$/, RateLimit => qr/./, 'Cache-Control' => 'no-store' },
                test => sub { is $_[0]->body, 'Slow down <b>please</b>', 'the text alone' } },
            { form => 'a=1', status => 429, send => [Accept => 'application/json'], body => 'Slow down' },
        ],
        log => [$OK, $FULL => 2],
    },
    {
        name => 'ErrorDocument: a script, which sees the refusal and no body, and is not judged itself',
        config => "ErrorDocument 429 \@CASE\@/error.cgi\nErrorDocument 403 \@CASE\@/none.html\n",
        htaccess => "${ONE}FormGuardMethods POST GET\n",
        requests => [
            { form => 'a=1', status => 200 },
            (map { { form => 'a=' . 'x' x 100_000, status => 429, headers => { 'Retry-After' => qr/^\d+$/, RateLimit => qr/./, 'Cache-Control' => 'no-store', 'Content-Type' => 'text/plain' },
                test => sub { is $_[0]->body, "mine GET 429 refused rule=ip 1/10m type=application/x-www-form-urlencoded length= read=0\n" =~ s/type=\S*/type=application\/x-www-form-urlencoded/r, 'what it saw' } } } 1 .. 2),
        ],
        log => [$OK, $FULL => 2],
    },
    {
        name => 'ErrorDocument: elsewhere', htaccess => "${ONE}ErrorDocument 429 https://elsewhere.test/busy\n",
        requests => [{ form => 'a=1', status => 200 }, { form => 'a=1', status => 302, headers => { Location => 'https://elsewhere.test/busy', 'Cache-Control' => 'no-store' } }],
        log => [$OK, $FULL],
    },
    {
        name => 'ErrorDocument: default gives the page again',
        config => "ErrorDocument 429 \"Slow down\"\n# \@CASE\@\n", htaccess => "${ONE}ErrorDocument 429 default\n",
        requests => [{ form => 'a=1', status => 200 }, { form => 'a=1', status => 429, headers => {%HTML}, body => $EN }],
        log => [$OK, $FULL],
    },
    {
        name => 'ErrorDocument of another status changes nothing', htaccess => "${ONE}ErrorDocument 403 \"no\"\nErrorDocument 500 \"no\"\n",
        requests => [{ form => 'a=1', status => 200 }, { form => 'a=1', status => 429, headers => {%HTML}, body => $EN }],
        log => [$OK, $FULL],
    },
    {
        name => 'Header, AddDefaultCharset and DEFLATE of the site work on the page too',
        htaccess => "${CAPTCHA}AddDefaultCharset ISO-8859-1\nHeader always set X-Site mine\n",
        form => 'a=1', status => 403, headers => { %HTML, 'X-Site' => 'mine' }, log => [$MISSING],
    },
);

FormGuard::Case::run({ mpm => 'event', path => 'form.cgi', files => \%FILES }, @REASONS, @NEGOTIATED, @METHODS, @DOCUMENTS);

# --- when, how else, and the number to say over the telephone ------------------------------------

my $HOSTILE_CONTACT = '</p><script>alert(1)</script> "a"&b {{title}} %s %t %d';
my $REF = qr/[2346789BCDFGHJKMPQRTVWXY]{4}-[2346789BCDFGHJKMPQRTVWXY]{4}/;
my $CLOCK = qr/\d\d:\d\d (?:[A-Z]{2,5}|UTC[+-]\d+)/;
my @refs;

# The number in the answer, which the line in error_log holds, too; Case has consumed that line, the file has not.
sub in_log
{
    my ($find) = @_;
    return sub {
        my ($r, $httpd) = @_;
        my ($ref) = $r->body =~ $find or return fail 'the answer has a number';
        like $ref, qr/^$REF$/, 'a number that can be read aloud';
        push @refs, $ref;
        is scalar(grep { / ref=\Q$ref\E(?: |$)/ } $httpd->log->since(0)), 1, "ref=$ref is in error_log, once";
    };
}

FormGuard::Case::run(
    { mpm => 'event', path => 'form.cgi', files => \%FILES, env => { TZ => 'Asia/Tokyo' } },
    {
        name => 'how long, until when by which clock, and the time it was',
        htaccess => "FormGuard On\nFormGuardLimit ip 1/1h\n",
        requests => [
            { form => 'a=1', status => 200 },
            { form => 'a=1', status => 429, body => [qr/Please try again in (?:[67]\d) minutes \(after \d\d:\d\d JST\)\./, qr/<br>20\d\d-\d\d-\d\d \d\d:\d\d:\d\d JST<br>/] },
            { form => 'a=1', status => 429, send => ['Accept-Language' => 'ja'], body => [map { octets($_) } ' 分後 (', ' JST 以降) にもう一度お試しください。', 'お問い合わせ番号: '] },
            { form => 'a=1', status => 429, send => [Accept => 'application/json'], test => sub {
                my ($r) = @_;
                my $p = $r->json;
                my ($minutes, $h, $m) = $p->{retry} =~ /in (\d+) minutes \(after (\d\d):(\d\d) JST\)/ or return fail "no time: $p->{retry}";
                is $p->{retryAfter}, $r->header('Retry-After'), 'retryAfter is Retry-After';
                like $r->header('RateLimit'), qr/;t=$p->{retryAfter}$/, 'and not earlier than t';
                cmp_ok 60 * $minutes, '>=', $p->{retryAfter}, 'no minute too early';
                cmp_ok 60 * $minutes, '<', $p->{retryAfter} + 60, 'and none too late';
                my $now = (time + 9 * 3600) % 86400;
                my $ahead = (3600 * $h + 60 * $m - $now + 86400) % 86400;
                cmp_ok $ahead, '>=', $p->{retryAfter} - 5, 'the clock agrees';
                cmp_ok $ahead, '<=', $p->{retryAfter} + 65, 'to a minute';
            } },
        ],
        log => [$OK, $FULL => 3],
    },
    {
        # a post is forgotten with its sub-window, a sixth of the period: when depends on the clock's place in it
        name => 'a day, and a month', htaccess => "FormGuard On\nFormGuardLimit ip 1/1d\nFormGuardLimit field:b 1/30d\n",
        requests => [
            { form => 'a=1&b=1', status => 200 },
            { form => 'a=1', status => 429, body => qr/Please try again in 2[5-8] hours \(after 20\d\d-\d\d-\d\d \d\d:\d\d JST\)\./ },
            { from => '198.51.100.9', form => 'a=1&b=1', status => 429, body => qr/Please try again in 3[1-5] days \(after 20\d\d-\d\d-\d\d \d\d:\d\d JST\)\./ },
        ],
        log => [$OK, $FULL => 2],
    },
    {
        name => 'the number of a post', htaccess => $CAPTCHA,
        requests => [
            { form => 'a=1', status => 403, test => in_log(qr/<br>Reference number: (\S+)</) },
            { form => 'a=1', status => 403, send => ['Accept-Language' => 'ja'], test => in_log(qr{${\octets("お問い合わせ番号")}: (\S+)<}) },
            { form => 'a=1', status => 403, send => [Accept => 'application/json'], test => in_log(qr/"reference":"([^"]+)"/) },
            { method => 'POST', form => 'a=1', status => 403, from => '198.51.100.8', test => in_log(qr/Reference number: (\S+)</) },
        ],
        log => [$MISSING => 4],
    },
    {
        name => 'a script as ErrorDocument is given the number', config => "ErrorDocument 403 \@CASE\@/ref.cgi\n",
        files => { %FILES, 'ref.cgi' => "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nnumber %s.\\n' \"\$FORMGUARD_REFERENCE\"\n" },
        htaccess => $CAPTCHA, form => 'a=1', status => 403, test => in_log(qr/^number (\S+)\.$/m), log => [$MISSING],
    },
    {
        name => 'what is not logged has no number', htaccess => "FormGuard On\nFormGuardDeny On\n", loglevel => 'warn formguard:crit',
        form => 'a=1', status => 403, body => $EN, unlike => qr/Reference/, log => [],
    },
    {
        name => 'no way back where there is no form, nor a contact where none is given', htaccess => "FormGuard On\nFormGuardDeny On\n",
        form => 'a=1', status => 403, unlike => [qr/Back button/, qr/reach the owner/], body => [$EN, '<h1>Nothing can be sent here</h1>', '<p></p>'], log => [qr/ FG1220: /],
    },
    {
        name => 'FormGuardContact, whatever it holds, is text',
        htaccess => $CAPTCHA . qq{FormGuardContact "${\($HOSTILE_CONTACT =~ s/"/\\"/gr)}"\n},
        requests => [
            { form => 'a=1', status => 403, body => ['reach the owner of this site in another way: &lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt; &quot;a&quot;&amp;b {{title}} %s %t %d</p>'], unlike => qr/<script/ },
            { form => 'a=1', status => 403, send => [Accept => 'application/json'], unlike => qr/[<>]/,
                test => problem(contact => qr/in another way: \Q$HOSTILE_CONTACT\E$/) },
        ],
        log => [$MISSING => 2],
    },
    {
        name => 'FormGuardContact of the provider, and of a site', config => "FormGuardContact Example Hosting, 0120-000-000\n",
        files => { %FILES, map { ("$_/form.cgi" => $SCRIPT) } qw(own none) },
        before => sub {
            my ($httpd, $folder) = @_;
            my %text = (own => octets('お電話は 03-0000-0000 まで'), none => 'none');
            for (sort keys %text) {
                open my $fh, '>:raw', $httpd->htdocs . "/$folder/$_/.htaccess" or die "$_/.htaccess: $!\n";
                print $fh "FormGuardContact $text{$_}\n";
                close $fh or die "$_/.htaccess: $!\n";
            }
        },
        htaccess => $CAPTCHA,
        requests => [
            { form => 'a=1', status => 403, body => 'Example Hosting, 0120-000-000</p>' },
            { path => 'own/form.cgi', form => 'a=1', status => 403, send => ['Accept-Language' => 'ja'], body => octets('ご連絡いただけます: お電話は 03-0000-0000 まで</p>'), unlike => qr/Example Hosting/ },
            { path => 'none/form.cgi', form => 'a=1', status => 403, unlike => [qr/Example Hosting/, qr/reach the owner/] },
        ],
        log => [$MISSING => 3],
    },
    {
        name => 'nothing of a request is in the page', htaccess => $CAPTCHA, path => 'form.cgi/%3Cscript%3Ealert(1)%3C/script%3E?%22%3E%3Cscript%3E=<b>',
        body_bytes => '<script>=<b>', status => 403, unlike => qr/<script|<b>|%3C|alert/i, body => '<h1>The check', log => [$MISSING],
    },
    {
        name => 'the page is small', htaccess => $CAPTCHA . 'FormGuardContact ' . octets('電' x 200) . "\n",
        requests => [map { { form => 'a=1', status => 403, send => ['Accept-Language' => $_], test => sub { cmp_ok length $_[0]->body, '<', 15_000, 'under 15 kB' } } } qw(en ja)],
        log => [$MISSING => 2],
    },
);
my ($first, @more) = @refs[0 .. 2];
isnt $_, $first, 'each post has its own number' for @more;
is substr($_, 0, 5), substr($first, 0, 5), 'whose first half is the same' for @more;
isnt substr($refs[3], 0, 5), substr($first, 0, 5), 'but not for another client';

# --- scripts on pages of other origins ------------------------------------------------------------

my %NO_CORS = map { ("Access-Control-$_" => undef) } qw(Allow-Origin Allow-Credentials Expose-Headers);
my $VARY = qr/^Accept, ?Accept-Language$/;

# What a script at that origin may read of a refusal.
sub from_origin
{
    my ($origin, $own, %more) = @_;
    return {
        form => 'a=1', status => 403, send => [Accept => 'application/json', Origin => $origin, Cookie => 'a=b'], body => '"reason":"captcha"',
        headers => $own ? {
            'Access-Control-Allow-Origin' => $origin, 'Access-Control-Allow-Credentials' => 'true',
            'Access-Control-Expose-Headers' => 'Retry-After, RateLimit, RateLimit-Policy', Vary => qr/^Accept, ?Accept-Language, ?Origin$/
        } : { %NO_CORS, Vary => $VARY },
        %more,
    };
}

my @OWN = map { ("http://$_", "https://$_", "http://$_:8080", "https://$_:8443") } qw(www.example.jp example.jp WWW.example.JP a.wild.example.jp);
my @FOREIGN = (
    'https://elsewhere.test', 'https://www.example.jp.elsewhere.test', 'https://xwww.example.jp', 'https://elsewhere.test/www.example.jp', 'null', '',
    'file://www.example.jp', 'https://www.example.jp@elsewhere.test', 'https://www.example.jp/', 'https://www.example.jp https://elsewhere.test',
    'www.example.jp', 'https://', '*', 'https://www.example.jp\\.elsewhere.test', 'https://www.example.jp"', 'https://[::1]',
);
my $ONLY = { 'Access-Control-Allow-Origin' => 'https://partner.test', 'Access-Control-Allow-Credentials' => undef };
my $NAMES = "ServerName www.example.jp\nServerAlias example.jp *.wild.example.jp\nDocumentRoot \@HTDOCS\@\n";
sub site { return "<VirtualHost 127.0.0.1:\@PORT\@>\n$NAMES@_</VirtualHost>\n" }

FormGuard::Case::run(
    { mpm => 'event', path => 'form.cgi', files => \%FILES, config => site(), modules => ['headers'] },
    { name => "CORS: the site's own pages", htaccess => $CAPTCHA, requests => [map { from_origin($_, 1) } @OWN], log => [$MISSING => scalar @OWN] },
    { name => 'CORS: pages of others', htaccess => $CAPTCHA, requests => [map { from_origin($_, 0) } @FOREIGN], log => [$MISSING => scalar @FOREIGN] },
    {
        name => 'CORS: without an Origin nothing is said', htaccess => $CAPTCHA, form => 'a=1', status => 403, headers => { %NO_CORS, Vary => $VARY }, log => [$MISSING],
    },
    {
        name => "CORS: a site's own configuration holds, and nothing is there twice",
        htaccess => $CAPTCHA . "Header always set Access-Control-Allow-Origin https://partner.test\n",
        requests => [map { from_origin($_, 0, headers => $ONLY) } 'https://partner.test', 'https://example.jp', 'https://elsewhere.test'],
        log => [$MISSING => 3],
    },
    {
        name => "CORS: also without `always`", htaccess => $CAPTCHA . "Header set Access-Control-Allow-Origin https://partner.test\n",
        requests => [map { from_origin($_, 0, headers => $ONLY) } 'https://partner.test', 'https://example.jp'], log => [$MISSING => 2],
    },
    {
        name => 'CORS: beside an ErrorDocument of text', htaccess => $CAPTCHA . "ErrorDocument 403 \"no\"\n",
        requests => [from_origin('http://example.jp:8080', 1, body => qr/^no$/, headers => { 'Access-Control-Allow-Origin' => 'http://example.jp:8080' }), from_origin('https://elsewhere.test', 0, body => qr/^no$/, headers => \%NO_CORS)],
        log => [$MISSING => 2],
    },
    {
        name => 'CORS: beside an ErrorDocument of a script', config => site("ErrorDocument 403 \@CASE\@/error.cgi\n"), htaccess => $CAPTCHA,
        requests => [from_origin('http://example.jp:8080', 1, body => 'mine GET 403', headers => { 'Access-Control-Allow-Origin' => 'http://example.jp:8080' }), from_origin('https://elsewhere.test', 0, body => 'mine GET 403', headers => \%NO_CORS)],
        log => [$MISSING => 2],
    },
    {
        name => "CORS: what is accepted is the application's", htaccess => "FormGuard On\nFormGuardLimit ip 9/1h\n",
        form => 'a=1', send => [Origin => 'http://example.jp'], status => 200, headers => \%NO_CORS, log => [$OK],
    },
    {
        name => 'CORS: a preflight is neither judged nor counted', htaccess => $ONE,
        requests => [
            (map { { method => 'OPTIONS', send => [Origin => 'https://elsewhere.test', 'Access-Control-Request-Method' => 'POST'], status => 200 } } 1 .. 5),
            { form => 'a=1', status => 200 }, { form => 'a=1', status => 429 },
            (map { { method => 'OPTIONS', send => [Origin => 'https://elsewhere.test', 'Access-Control-Request-Method' => 'POST'], status => 200 } } 1 .. 2),
        ],
        log => [$OK, $FULL],
    },
);

# --- a provider's own pages --------------------------------------------------------------------

my $dir = FormGuard::Process::private_dir();

sub pages
{
    my ($name, %files) = @_;
    mkdir "$dir/$name" or die "$dir/$name: $!\n";
    for my $file (sort keys %files) {
        open my $fh, '>:raw', "$dir/$name/$file" or die "$dir/$name/$file: $!\n";
        print $fh octets($files{$file});
        close $fh or die "$dir/$name/$file: $!\n";
    }
    return "FormGuardPages $dir/$name";
}

my $TEMPLATE = '<!DOCTYPE html><title>{{title}}</title>[{{lang}}|{{title}}|{{text}}|{{retry}}|{{back}}|{{status}}|{{nonsense}}|{{ title }}]{{';
my $HOSTILE = '<script>alert(1)</script>&"\' %s %n {{title}} 100%';
my $ESCAPED = '&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;';

FormGuard::Case::run(
    { mpm => 'event', path => 'form.cgi', files => \%FILES },
    {
        name => 'a template and some texts of the provider; the rest is ours',
        global => pages('own', 'refusal.html' => $TEMPLATE, 'texts.ja' => "# ours\n\n   captcha.title  :x\ncaptcha.title: 断りました\nlimit.title:$HOSTILE\nlimit.text:$HOSTILE\nretry.minutes: %d %s %n minutes %d\n" =~ s/   captcha.title  :x\n//r),
        htaccess => $CAPTCHA,
        requests => [
            { form => 'a=1', status => 403, headers => { %HTML, 'Content-Language' => 'en' },
                body => '<title>The check for robots did not succeed</title>[en|The check for robots did not succeed|This form has to know', unlike => qr/nonsense|断/ },
            { form => 'a=1', send => ['Accept-Language' => 'ja'], status => 403,
                body => [octets('[ja|断りました|このフォームは人による'), '|403 Forbidden||]{{'] },
        ],
        log => [$MISSING => 2],
    },
    {
        name => 'values are values, whatever they hold',
        global => pages('hostile', 'refusal.html' => $TEMPLATE, 'texts.en' => "limit.title:$HOSTILE\nlimit.text: $HOSTILE\nretry.minutes: <b>%d</b> %s %n %d\r\nback:\n"),
        htaccess => $ONE,
        requests => [
            { form => 'a=1', status => 200 },
            { form => 'a=1', status => 429, body => ["<title>$ESCAPED", '%s %n {{title}} 100%', '&lt;b&gt;', '&lt;/b&gt; %s %n %d||429'], unlike => qr/<script|<b>/ },
            { form => 'a=1', status => 429, send => [Accept => 'application/json'],
                test => problem(detail => qr/^\Q$HOSTILE\E$/, title => 'Too Many Requests') },
        ],
        log => [$OK, $FULL => 2],
    },
    {
        name => 'an empty folder is all ours', global => pages('empty'), htaccess => $CAPTCHA,
        form => 'a=1', status => 403, body => [$EN, 'The check for robots'], log => [$MISSING],
    },
);

# Files and folders that are not what they should be stop the start, and it says which and why.
pages('texts', 'texts.ja' => "limit.title: a\nno colon here\n");
pages('folder');
mkdir "$dir/folder/refusal.html" or die "$dir/folder/refusal.html: $!\n";
pages('huge', 'texts.en' => 'a: ' . 'x' x 300_000);
pages('file', 'refusal.html' => 'x');
for (
    ['a folder that is not there', "$dir/none", qr{FormGuardPages: '\Q$dir\E/none' is no folder}],
    ['a file', "$dir/file/refusal.html", qr{FormGuardPages: '\Q$dir\E/file/refusal\.html' is no folder}],
    ['a line that is no text', "$dir/texts", qr{FormGuardPages: 'texts\.ja' holds a line that is not KEY: TEXT: 'no colon here'}],
    ['a folder where a file belongs', "$dir/folder", qr{FormGuardPages: '\Q$dir\E/folder/refusal\.html' is no plain file}],
    ['a huge file', "$dir/huge", qr{FormGuardPages: '\Q$dir\E/huge/texts\.en' is no plain file of at most 256 KiB}],
) {
    my ($what, $path, $says) = @$_;
    my $httpd = FormGuard::Httpd->new(mpm => 'event', global => "FormGuardPages $path", start => 0);
    my $started = eval { $httpd->start; 1 };
    ok !$started, "$what: no start";
    like $@, $says, "$what: says so";
    my ($ok, $said) = $httpd->configtest;
    ok !$ok, "$what: httpd -t finds it";
    like $said, $says, "$what: httpd -t says so";
    $httpd->stop;
}

done_testing;
