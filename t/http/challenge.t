#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The challenge page: a post that lacks the built-in captcha gets a page which keeps all of it, and what that page sends
# back reaches the application as if it had been posted at once.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use FormGuard::Altcha;
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Process;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $OK = qr/ FG1000: accepted: /;
my $MISSING = qr/ FG1400: refused 403: .* rule="altcha"/;
my $USED = qr/ FG1403: refused 403: .* rule="altcha"/;
my $UNSEALED = qr/ FG1304: refused 403: /;
my $GUARD = "FormGuard On\nFormGuardCaptcha altcha\nFormGuardCaptchaDifficulty 1000\n";
my $FORM = 'application/x-www-form-urlencoded';

# Japanese as UTF-8 and as Shift_JIS, among whose second bytes are backslashes.
my $UTF8 = "\xe8\xa1\xa8\xe7\xa4\xba \xe2\x91\xa0";
my $SJIS = "\x95\x5c\x8e\xa6\x83\x5c";
my @VISITOR = (name => "\xe4\xbd\x90\xe8\x97\xa4", email => 'hanako@visitor.example', message => "line 1\r\nline 2 $UTF8");

my $last = 0;
sub visitor { return '203.0.113.' . ++$last }

sub unescaped
{
    my ($s) = @_;
    my %char = (lt => '<', gt => '>', quot => '"', amp => '&', 39 => "'");
    $s =~ s/&#?(\w+);/$char{$1} \/\/ die "&$1;"/ge;
    return $s;
}

# The page as a browser takes it: the form it would send, and where.
sub page
{
    my ($r) = @_;
    my ($form) = $r->body =~ m{<form ([^>]*)>}s or return {};
    my %p = (attributes => $form, html => $r->body);
    ($p{kept}) = map { unescaped($_) } $r->body =~ /<input type="hidden" name="formguard-kept" value="([^"]*)">/;
    ($p{challenge}) = map { unescaped($_) } $r->body =~ /<altcha-widget [^>]*challenge="([^"]*)"/;
    ($p{text}) = $r->body =~ m{</h1>\s*<p>(.*?)</p>}s;
    return \%p;
}

# What the widget of that page puts into the form.
sub solved
{
    my ($httpd, $page, %o) = @_;
    my $r = $httpd->client->get($page->{challenge}, %o);
    die "no challenge: ${\ $r->status}" if $r->status != 200;
    return FormGuard::Altcha::solve($r->json);
}

sub envelope { my ($page, $token) = @_; return [ 'formguard-kept' => $page->{kept}, defined $token ? (altcha => $token) : () ] }

sub send_page { my ($httpd, $path, $page, $token, %o) = @_; return $httpd->client->post($path, form => envelope($page, $token), %o) }

# Posted, challenged, solved, posted again.
sub through
{
    my ($httpd, $path, %post) = @_;
    my %from = (from => delete $post{from} // visitor());
    my $first = $httpd->client->post($path, %post, %from);
    is $first->status, 403, 'challenged';
    my $page = page($first);
    ok $page->{kept}, 'with a page that keeps it' or return ($first, $page);
    return (send_page($httpd, $path, $page, solved($httpd, $page, %from), %from), $page);
}

# --- byte for byte, in every way an application is run ------------------------------------------------

my @PARTS = (
    @VISITOR, 'a[]' => 1, 'a[]' => 2, dup => 'one', dup => 'two', sjis => $SJIS,
    file => { filename => "$SJIS.bin", type => 'application/octet-stream', content => join '', map { chr } 0 .. 255, reverse 0 .. 255 },
    none => { filename => '', type => 'application/octet-stream', content => '' },
);
my $RANDOM = join '', map { sha256_hex($_) } 1 .. 1024;    # 64 KiB
my %POSTS = (
    'urlencoded' => [form => [@VISITOR, 'a[]' => 1, 'a[]' => 2, dup => 'one', dup => 'two', "x'\"<&>" => "'\"<&>", plus => '+ %']],
    'Shift_JIS' => [body => "name=$SJIS&message=%95%5C%8E%A6&raw=$SJIS&nul=%00", type => "$FORM; charset=Shift_JIS"],
    'multipart with a binary file' => [multipart => \@PARTS],
    'an odd boundary' => [multipart => \@PARTS, boundary => "b'()+_,-./:=?", type => qq(multipart/form-data; boundary="b'()+_,-./:=?")],
    'plain text' => [body => "name=a b\r\n", type => 'text/plain'],
    'no body, no type' => [],
    'an empty form' => [form => ''],
    '64 KiB' => [body => substr("m=$RANDOM", 0, 65_536), type => $FORM],
    'chunked' => [body => "m=$RANDOM$UTF8" =~ s/^(.{50000}).*?(...)$/$1$2/sr, type => $FORM, chunks => [1, 2, 8192]],
);

# What the application says of a post.
sub seen
{
    my ($r) = @_;
    return 'status ' . $r->status if $r->status != 200;
    my $j = $r->json;
    delete $j->{formguard};
    return $j;
}

sub byte_identical
{
    my ($what, $httpd, $path, @only) = @_;
    for my $name (@only ? @only : sort keys %POSTS) {
        subtest "$what: $name" => sub {
            my @post = @{$POSTS{$name}};
            my $me = visitor();
            # The same server without the captcha; a chunked body arrives with its length where we have read it.
            my $want = seen($httpd->client->post("/off$path", @post, from => $me));
            ref $want or return fail("unguarded: $want");
            my ($r) = through($httpd, $path, @post, from => $me);
            my $got = seen($r);
            ref $got or return fail("answer: $got");
            delete $_->{uri} for $want, $got;
            is_deeply $got, $want, 'as if it had been posted at once';
        };
    }
    $httpd->log_ok("$what: log", $OK => '*', $MISSING => scalar(@only ? @only : keys %POSTS));
}

my $mail = FormGuard::Mail->new;
my $CONFIG = <<CONF;
Alias /off \@HTDOCS\@
<Location />
    $GUARD
</Location>
<Location /off>
    FormGuard On
    FormGuardCaptcha off
    FormGuardLimit ip 10000/1h
</Location>
<Location /s>
    FormGuardBodyLimit 10K
</Location>
<Location /c>
    FormGuardCaptchaWhen challenged
    FormGuardLimit ip 1/10m action=challenge
</Location>
CONF

my $httpd = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', mail => $mail, config => $CONFIG, modules => ['rewrite']);
byte_identical('mod_php', $httpd, '/echo.php');
byte_identical('CGI', $httpd, '/echo.cgi');
byte_identical('path info and query', $httpd, '/echo.php/a%20b/%E8%A1%A8?x=1&y%5B%5D=%22%3C&a=b', 'urlencoded', 'multipart with a binary file');

$httpd->write_file('r/echo.php', \'echo.php');
$httpd->write_file('r/.htaccess', "RewriteEngine On\nRewriteRule ^go/(\\d+)\$ echo.php?n=\$1 [QSA,L]\n");
subtest 'rewritten' => sub {
    my ($r) = through($httpd, '/r/go/17?a=%26', form => [@VISITOR]);
    is $r->status, 200, 'accepted';
    is_deeply $r->json->{get}, { n => 17, a => '&' }, 'with its query';
    is $r->json->{sha256}, sha256_hex(FormGuard::Client::form([@VISITOR])), 'and its body';
    $httpd->log_ok('log', $MISSING, $OK);
};

my $fpm = FormGuard::Httpd->new(mpm => 'event', php => 'fpm', config => $CONFIG);
byte_identical('php-fpm', $fpm, '/echo.php', 'urlencoded', 'multipart with a binary file', 'chunked');
$fpm->done('php-fpm');
my $cgi = FormGuard::Httpd->new(mpm => 'worker', php => 'cgi', config => $CONFIG);
byte_identical('php-cgi by Action', $cgi, '/echo.php', 'urlencoded', 'multipart with a binary file');
$cgi->done('php-cgi');

# The challenge is for the path as httpd reads it, however the URL is written.
subtest 'URLs as they come' => sub {
    $httpd->write_file("r/\xe8\xa1\xa8 %41&+;.php", \'echo.php');
    $httpd->write_file('r/.htaccess', "RewriteEngine On\nRewriteRule ^go echo.php [L]\n");
    for my $path ('/r/%E8%A1%A8%20%2541%26%2B%3B.php', "/r/\xe8\xa1\xa8%20%2541&+;.php?a=%2F", '/r/../r//echo.php', '//r/echo.php', '/r/%65cho.php/%2e%2e/echo.php/x',
        '/r/go%3Fx%23', '/echo.php/' . 'x/' x 450, 'http://127.0.0.1/echo.php?a=b')
    {
        my ($r) = through($httpd, $path, form => [@VISITOR]);
        is $r && $r->status, 200, substr $path, 0, 40;
    }
    $httpd->log_ok('log', $MISSING => 8, $OK => 8);
};

# --- the page ----------------------------------------------------------------------------------------

subtest 'the page' => sub {
    my $hostile = 'message=%3Cscript%3E%22secret-of-the-visitor';
    my $send = sub { $httpd->client->post('/contact.php?a=%22%3E%3Cb%3E', body => $hostile, type => $FORM, from => visitor(), @_) };
    my $r = $send->();
    is $r->status, 403, 'a refusal';
    is $r->header('Content-Type'), 'text/html; charset=utf-8', 'HTML';
    is $r->header('Cache-Control'), 'no-store', 'in no cache';
    like $r->header('Vary'), qr/^Accept, ?Accept-Language$/, 'Vary';
    is $r->header('Referrer-Policy'), 'same-origin', 'no other site is told the URL';
    is $r->header('X-Content-Type-Options'), 'nosniff', 'nosniff';
    my %csp = map { my ($name, @v) = split ' '; ($name => "@v") } split /; */, $r->header('Content-Security-Policy');
    is_deeply { map { $_ => $csp{$_} } qw(script-src worker-src form-action frame-ancestors base-uri object-src) },
        { 'script-src' => "'self'", 'worker-src' => 'blob:', 'form-action' => "'self'", 'frame-ancestors' => "'self'",
        'base-uri' => "'none'", 'object-src' => "'none'" }, 'what it may do';
    unlike $r->body, qr/secret-of-the-visitor|<b>|href=|action=|<script(?![^>]*\bsrc=)|\son\w+=|\{\{/, 'nothing of the visitor as text, no script inline';
    like $r->body, qr/<html lang="en">.*<h1>One more step</s, 'English';
    like $r->body, qr/Reference number: [A-Z0-9]{4}-[A-Z0-9]{4}</, 'a number the owner finds it by';
    like $r->body, qr{<noscript>.*JavaScript.*Back button.*</noscript>}s, 'a word to who has no script';
    like page($r)->{attributes}, qr/ data-auto\b/, 'sends by itself';
    unlike page($send->(headers => ['Sec-Fetch-Site' => 'cross-site']))->{attributes}, qr/data-auto/, 'not what another site has posted';
    like $send->(headers => ['Accept-Language' => 'ja'])->body, qr/<html lang="ja">.*language="ja"/s, 'Japanese';
    my $script = $httpd->client->get('/.well-known/formguard/challenge.js');
    is $script->status, 200, 'its script';
    is $script->header('Content-Type'), 'text/javascript; charset=utf-8', 'is one';
    like $script->body, qr/requestSubmit/, 'whole';
    $httpd->log_ok('log', $MISSING => 3);
};

subtest 'who gets no page' => sub {
    $httpd->write_file('e/contact.php', \'contact.php');
    $httpd->write_file('e/.htaccess', "ErrorDocument 403 \"no entry\"\n");
    like $httpd->client->post('/e/contact.php', form => [@VISITOR], from => visitor())->body, qr/formguard-kept/, 'an ErrorDocument does not stand in the way';
    my $r = $httpd->client->post('/contact.php?q=1', form => [@VISITOR], from => visitor(), headers => [Accept => 'application/json']);
    is $r->status, 403, 'a script';
    is $r->header('Content-Type'), 'application/problem+json', 'gets a problem';
    is_deeply { map { $_ => $r->json->{$_} } qw(reason captcha challenge) },
        { reason => 'captcha', captcha => 'altcha', challenge => '/.well-known/formguard/challenge?form=%2fcontact.php' }, 'that says what is needed';
    is $httpd->client->get($r->json->{challenge}, from => visitor())->status, 200, 'and where it is';
    is $r->header('Content-Security-Policy'), undef, 'no policy of a page';
    $httpd->log_ok('log', $MISSING => 2);
};

subtest 'what cannot be kept' => sub {
    $httpd->write_file('s/contact.php', \'contact.php');
    $httpd->write_file('l/contact.php', \'contact.php');
    $httpd->write_file('l/.htaccess', "LimitRequestBody 10000\n");
    my $large = sub {
        my ($name, $path, @post) = @_;
        my $r = $httpd->client->post($path, @post, from => visitor());
        is $r->status, 403, "$name: challenged";
        like $r->body, qr/too large to be kept.*send once more/, "$name: says what to do";
        unlike $r->body, qr/formguard-kept|data-auto/, "$name: holds nothing";
        return page($r);
    };
    $large->('64 KiB and a byte', '/contact.php', body => 'm=' . 'x' x 65_535, type => $FORM);
    $large->('1 MiB', '/contact.php', multipart => [@VISITOR, file => { filename => 'a', type => 'image/png', content => 'x' x (1 << 20) }]);
    $large->('FormGuardBodyLimit', '/s/contact.php', body => 'm=' . 'x' x 8000, type => $FORM);
    $large->('LimitRequestBody', '/l/contact.php', body => 'm=' . 'x' x 8000, type => $FORM);
    $large->('what no form posts', '/contact.php', body => '{"a":1}', type => 'application/json');
    is((through($httpd, $_, form => [@VISITOR]))[0]->status, 200, "$_: a short one is kept") for '/s/contact.php', '/l/contact.php';
    $httpd->log_ok('log', $MISSING => 7, $OK => 2);

    # What its script does: the answer goes beside the same post, made once more.
    my ($me, $before) = (visitor(), $mail->count);
    my @post = (multipart => [@VISITOR, attachment => { filename => 'a', type => 'image/png', content => 'x' x (1 << 20) }], from => $me);
    my $page = page($httpd->client->post('/contact.php', @post));
    my $answer = solved($httpd, $page, from => $me);
    my $with = sub { my ($cookie, @o) = @_; return $httpd->client->post('/contact.php', @post, headers => [Cookie => "a=1; formguard-answer=$cookie; b=2"], @o) };
    is $with->($answer, from => '192.0.2.77')->status, 403, 'somebody else shows it: refused';
    is $with->('nonsense')->status, 403, 'nonsense: refused';
    is $with->($answer)->status, 200, 'shown with the same post: accepted';
    my $next = $with->($answer);
    is $next->status, 403, 'once';
    like $next->body, qr/accepted the first time/, 'then it is told that it has arrived';
    is $mail->count - $before, 2, 'delivered once';
    $httpd->log_ok('log of those', $MISSING => 4, $OK);
};

# --- once, and again ----------------------------------------------------------------------------------

my $mails = $mail->count;
sub mails_since { my $all = $mail->count; my $n = $all - $mails; $mails = $all; return $n }

subtest 'delivered once' => sub {
    my $me = visitor();
    my ($r, $page) = through($httpd, '/contact.php', multipart => [@VISITOR, attachment => { filename => 'a.bin', type => 'image/png', content => join '', map { chr } 0 .. 255 }], from => $me);
    is $r->status, 200, 'accepted';
    is mails_since(), 2, 'two mails: the owner, the visitor';
    my ($token) = solved($httpd, $page, from => $me);
    is send_page($httpd, '/contact.php', $page, $token, from => $me)->status, 200, 'sent again with a new solution, like any form';
    is mails_since(), 2, 'that is one more';
    my $again = send_page($httpd, '/contact.php', $page, $token, from => $me);
    is $again->status, 403, 'the same once more (a reload): refused';
    my $next = page($again);
    like $next->{text}, qr/accepted the first time; this one was not passed on/, 'with words that fit';
    unlike $next->{attributes}, qr/data-auto/, 'and does not send by itself';
    is mails_since(), 0, 'no mail';
    is send_page($httpd, '/contact.php', $next, solved($httpd, $next, from => $me), from => $me)->status, 200, 'that page has kept it, too';
    is mails_since(), 2, 'two mails';
    my $shared = solved($httpd, $page, from => $me);
    my @status = FormGuard::Client::parallel(6, sub { send_page($httpd, '/contact.php', $page, $shared, from => $me)->status });
    is join(' ', sort @status), '200' . ' 403' x 5, 'of six at once one passes';
    is mails_since(), 2, 'and is delivered once';
    $httpd->log_ok('log', $MISSING, $OK => 4, $USED => [1, 6], $UNSEALED => 0);
};

subtest 'a wrong first try, a reload' => sub {
    my $me = visitor();
    my $page = page($httpd->client->post('/contact.php', form => [@VISITOR, altcha => ''], from => $me));
    for my $wrong (undef, '', 'nonsense', 'x' x 100, 'e30=', 'x' x 5000) {
        my $r = send_page($httpd, '/contact.php', $page, $wrong, from => $me);
        is $r->status, 403, 'not solved' . (defined $wrong ? ': ' . substr $wrong, 0, 9 : '');
        $page = page($r);
        ok $page->{kept}, 'kept again' or return;
        like $page->{text}, qr/did not succeed/, 'says so';
        unlike $page->{attributes}, qr/data-auto/, 'and waits to be pressed';
    }
    is send_page($httpd, '/contact.php', $page, solved($httpd, $page, from => $me), from => $me)->status, 200, 'solved at last';
    is mails_since(), 2, 'delivered';
    $httpd->log_ok('log', $MISSING => 3, qr/ FG1401: /, 4, $OK);
};

subtest 'the old answer within the form does not stand in the way' => sub {
    my $me = visitor();
    my $stale = FormGuard::Altcha::solve(FormGuard::Altcha::challenge($httpd->client, '/contact.php', from => $me));
    is $httpd->client->post('/contact.php', form => [@VISITOR, altcha => $stale], from => $me)->status, 200, 'used';
    my ($r) = through($httpd, '/echo.php', form => [@VISITOR, altcha => $stale], from => $me);
    is $r->status, 200, 'that of the page counts';
    is_deeply [sort keys %{$r->json->{post}}], [qw(email message name)], 'and PHP gets neither (FormGuardCaptchaStrip)';
    mails_since();
    $httpd->log_ok('log', qr/ FG140[23]: /, $OK => 2);
};

# --- who may use one, and for what -----------------------------------------------------------------------

subtest 'somebody else, another form, later' => sub {
    my ($me, $other) = ('198.51.100.7', '192.0.2.7');
    my $page = page($httpd->client->post('/contact.php', form => [@VISITOR], from => $me));
    my $r = send_page($httpd, '/contact.php', $page, solved($httpd, $page, from => $other), from => $other);
    is $r->status, 403, 'another client, with a solution of its own: refused';
    my $again = page($r);
    ok $again->{kept}, 'a visitor whose address has changed keeps what was typed';
    is send_page($httpd, '/contact.php', $again, solved($httpd, $again, from => $other), from => $other)->status, 200, 'and sends it';
    is send_page($httpd, '/echo.php', $page, solved($httpd, $page, from => $me), from => $me)->status, 403, 'another form: refused';
    is send_page($httpd, '/contact.php', $page, solved($httpd, $page, from => $me), from => $me)->status, 200, 'the one it is for';
    mails_since();
    $httpd->log_ok('log', $MISSING => 2, $UNSEALED, $OK => 2);
};

subtest 'altered' => sub {
    my $me = visitor();
    my $page = page($httpd->client->post('/contact.php', form => [@VISITOR], from => $me));
    my $token = solved($httpd, $page, from => $me);
    my @part = split /\./, $page->{kept};
    my $own = encode_base64url('name=x&email=a@b.example&message=spam');
    my $n = 0;
    for my $bad ((map { my $cut = $_; substr $page->{kept}, 0, length($page->{kept}) - $cut } 1, 2, 50), join('.', @part[0 .. 4], $own),
        join('.', @part[0 .. 3], encode_base64url('application/json'), $part[5]), join('.', 'f' x 64, @part[1 .. 5]), "$page->{kept}A",
        '', '.....', 'x' x 40_000, 'x' x 200_000)
    {
        my $r = send_page($httpd, '/contact.php', { kept => $bad }, $token, from => $me);
        is $r->status, 403, 'refused: ' . substr $bad, 0, 20;
        like $r->body, qr/This page can no longer be sent/, 'says so';
        unlike $r->body, qr/formguard-kept|<form/, 'keeps nothing';
        $n++;
    }
    my $r = send_page($httpd, '/contact.php', { kept => 'x' }, $token, from => $me);
    my $within = page($httpd->client->post('/contact.php', body => 'formguard-kept=' . $page->{kept}, type => "$FORM;x", from => $me));
    is send_page($httpd, '/contact.php', { kept => $page->{kept} =~ s/\.(\d)\./'.' . (1 - $1) . '.'/er }, $token, from => $me)->status, 403, 'its marks altered: asked again';
    is mails_since(), 0, 'no mail of any';
    is send_page($httpd, '/contact.php', $page, $token, from => $me)->status, 200, 'the whole one passes';
    is mails_since(), 2, 'two mails';
    $httpd->log_ok('log', $MISSING => 3, $UNSEALED => $n + 1, $OK);
};

subtest 'an envelope in an envelope' => sub {
    my $me = visitor();
    my $page = page($httpd->client->post('/contact.php', form => [@VISITOR], from => $me));
    my $inner = FormGuard::Client::form(envelope($page));
    # What is no form of that kind is kept as it is, and never opened.
    my $twice = page($httpd->client->post('/contact.php', body => $inner, type => 'text/plain', from => $me));
    is send_page($httpd, '/contact.php', $twice, solved($httpd, $twice, from => $me), from => $me)->status, 200, 'as text: PHP gets the text';
    is mails_since(), 0, 'which is no message';
    $httpd->log_ok('log', $MISSING => 2, $OK);
};

subtest 'what is in it is judged as at first' => sub {
    $httpd->write_file('j/contact.php', \'contact.php');
    $httpd->write_file('j/.htaccess', "FormGuardField website empty\nFormGuardField email single-line\nFormGuardLimit field:email 1/10m\n");
    my $me = visitor();
    my $send = sub {
        my ($name, @form) = @_;
        my $page = page($httpd->client->post('/j/contact.php', form => \@form, from => $me));
        # A field beside the envelope is nothing to anybody.
        return $httpd->client->post('/j/contact.php', form => [@{envelope($page, solved($httpd, $page, from => $me))}, website => 'x', email => 'other@visitor.example'], from => $me);
    };
    is $send->('honest', @VISITOR)->status, 200, 'accepted';
    is $send->('limit', @VISITOR)->status, 429, 'a limit on a field of it';
    mails_since();
    # The first post is refused for its fields before a captcha is asked for: rules that were added meanwhile.
    my $page = page($httpd->client->post('/j/contact.php', form => [@VISITOR, url => 'spam'], from => $me));
    $httpd->write_file('j/.htaccess', "FormGuardField url empty\n");
    is send_page($httpd, '/j/contact.php', $page, solved($httpd, $page, from => $me), from => $me)->status, 403, 'a honeypot in it';
    is mails_since(), 0, 'no mail';
    $httpd->log_ok('log', $MISSING => 3, $OK, qr/ FG1100: refused 429: .*field:email/, qr/ FG1311: refused 403: /);
};

subtest 'a captcha for who is challenged' => sub {
    $httpd->write_file('c/contact.php', \'contact.php');
    my $me = visitor();
    is $httpd->client->post('/c/contact.php', form => [@VISITOR], from => $me)->status, 200, 'the first passes';
    is +(through($httpd, '/c/contact.php', form => [@VISITOR], from => $me))[0]->status, 200, 'the second with a solution';
    is mails_since(), 4, 'both are delivered';
    $httpd->log_ok('log', $MISSING, $OK => 2);
};

subtest 'DetectionOnly' => sub {
    $httpd->write_file('d/contact.php', \'contact.php');
    $httpd->write_file('d/.htaccess', $GUARD);
    my $me = visitor();
    my $page = page($httpd->client->post('/d/contact.php', form => [@VISITOR], from => $me));
    $httpd->configure(config => $CONFIG =~ s/FormGuard On\n/FormGuard DetectionOnly\n/r);
    $httpd->remove_file('d/.htaccess');
    $httpd->restart('graceful');
    is $httpd->client->post('/d/contact.php', form => [@VISITOR], from => $me)->status, 200, 'no page';
    is mails_since(), 2, 'delivered';
    is send_page($httpd, '/d/contact.php', $page, undef, from => $me)->status, 200, 'a page that was out before';
    is mails_since(), 2, 'is delivered';
    $httpd->configure(config => $CONFIG);
    $httpd->restart('graceful');
    $httpd->log_ok('log', $MISSING, qr/ FG1400: would refuse 403: /, 2);
};

subtest 'expired' => sub {
    my $page = page($httpd->client->post('/contact.php', form => [@VISITOR], from => '198.51.100.7'));
    open my $fh, '<', $httpd->dir . '/signing-key' or die $!;
    my $key = FormGuard::Altcha::key_text(do { local $/; <$fh> });
    my ($seal, $expires, $mark, $fresh, @rest) = split /\./, $page->{kept};
    my $sign = sub { return hmac_sha256_hex("fresh\n$_[0].$mark\n04c63364\n$seal", $key) };
    is $sign->($expires), $fresh, 'signed as documented';
    ok abs(hex($expires) - time - 3600) < 60, 'for an hour';
    my $past = sprintf '%010x', time - 1;
    my $r = send_page($httpd, '/contact.php', { kept => join '.', $seal, $past, $mark, $sign->($past), @rest }, solved($httpd, $page, from => '198.51.100.7'), from => '198.51.100.7');
    is $r->status, 403, 'later: asked again';
    my $again = page($r);
    is send_page($httpd, '/contact.php', $again, solved($httpd, $again, from => '198.51.100.7'), from => '198.51.100.7')->status, 200, 'and nothing is lost';
    is mails_since(), 2, 'two mails';
    $httpd->log_ok('log', $MISSING => 2, $OK);
};

subtest 'nothing of it is written anywhere' => sub {
    my ($secret, $kept) = ('zebra-in-the-garden', '');
    my $page = page($httpd->client->post('/contact.php', form => [@VISITOR, secret => $secret], from => visitor()));
    $kept = $page->{kept};
    open my $fh, '<:raw', $httpd->dir . '/logs/error_log' or die $!;
    my $log = do { local $/; <$fh> };
    unlike $log, qr/zebra|\Q${\ substr $kept, 0, 64}\E/, 'error_log';
    is_deeply [glob $httpd->dir . '/tmp/*'], [], 'no file';
    $httpd->log_ok('log', $MISSING);
};
$httpd->done;

# --- a provider's own page -------------------------------------------------------------------------------

subtest "a provider's own page" => sub {
    my $own = FormGuard::Process::private_dir();
    for (['challenge.html', '<!DOCTYPE html><title>{{title}}</title><b>{{text}}</b>{{form}}{{nonsense}}{{kept}}'], ['texts.en', 'challenge.send: "><script>alert(1)</script>']) {
        open my $fh, '>', "$own/$_->[0]" or die $!;
        print $fh "$_->[1]\n";
        close $fh;
    }
    my $s = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', global => "FormGuardPages $own", config => $CONFIG);
    my $me = visitor();
    my $r = $s->client->post('/echo.php', form => [@VISITOR], from => $me);
    like $r->body, qr{^<!DOCTYPE html><title>One more step</title><b>Your browser has to .*</b><form id="formguard"}s, 'is filled in';
    unlike $r->body, qr/<script>alert|\{\{/, 'and its texts are text';
    my $page = page($r);
    is send_page($s, '/echo.php', $page, solved($s, $page, from => $me), from => $me)->json->{sha256}, sha256_hex(FormGuard::Client::form([@VISITOR])), 'and it works';
    $s->log_ok('log', $MISSING, $OK);
    $s->done;
};

# --- in place of a service -------------------------------------------------------------------------------

subtest 'in place of a service that fails' => sub {
    my $port = FormGuard::Process::free_port();
    my $s = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', mail => $mail,
        config => "<Location />\nFormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSiteKey k\nFormGuardCaptchaSecret s\n"
            . "FormGuardCaptchaOnError unreachable=altcha\nFormGuardCaptchaDifficulty 1000\n</Location>\nFormGuardCaptchaEndpoint http://127.0.0.1:$port/\n"
    );
    my $me = visitor();
    my @post = (form => [@VISITOR, 'g-recaptcha-response' => 'x' x 100]);
    unlike $s->client->post('/contact.php', form => [@VISITOR], from => $me)->body, qr/formguard-kept/, 'without a token: no page, the service is asked for';
    my ($r, $page) = through($s, '/contact.php', @post, from => $me);
    is $r->status, 200, 'the challenge instead';
    is mails_since(), 2, 'two mails';
    like $page->{kept}, qr/^\w{64}\.\w{10}\.1\./, 'the page knows what it stands for';
    $s->log_ok('log', qr/ FG1400: refused 403: .*rule="recaptcha-v2"/, qr/ FG1400: refused 403: .*rule="altcha"/, qr/ FG1500: logged only 503: .*FormGuardCaptchaOnError altcha/, $OK, qr/ FG2301: /, [0, 1]);
    $s->done;
};

done_testing;
