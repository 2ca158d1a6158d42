#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# FormGuardInject: which pages and forms get the widget, where, and that nothing else of any answer changes.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Encode qw(encode);
use FormGuard::Httpd;
use FormGuard::Process;
use IO::Compress::Gzip qw(gzip);
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use Test::More;

my $SCRIPT = '<script src="/.well-known/formguard/altcha.js" type="module" async></script>';
my $FIELDS = "<p><label>Name <input name=\"name\"></label></p>\n";
my $SEND = "<button>Send</button></p>\n</form>\n";
my %HTML = (Accept => 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8');

sub widget { my ($path) = @_; return qq{<altcha-widget challenge="/.well-known/formguard/challenge?form=$path" auto="onfocus"></altcha-widget>} }
sub form { my ($action) = @_; return "<form action=\"$action\" method=\"post\">\n$FIELDS<p>$SEND" }

# The same form with its widget, and with the script if it is the page's first.
sub with { my ($action, $path, $script) = @_; return form($action) =~ s/<p>\K(?=<button)/($script ? '' : $SCRIPT) . widget($path)/er }

sub page { my (@parts) = @_; return "<!DOCTYPE html>\n<html><head><title>Contact</title></head>\n<body>\n" . join('', @parts) . "</body></html>\n" }

my $ON = "FormGuardInject On\n";
my $CAPTCHA = "FormGuard On\nFormGuardPath *.php\nFormGuardCaptcha altcha\n";
my $PNG = "\x89PNG\r\n\x1a\n" . join '', map { chr } 0 .. 255;
my $PLAIN = page(form('/f/contact.php'));
my $ADDED = page(with('/f/contact.php', '/f/contact.php'));

# A script that answers with these headers and this text, in pieces.
sub script { my ($head, @pieces) = @_; return "#!/usr/bin/perl\n\$| = 1; binmode STDOUT;\nprint \"$head\\n\\n\";\n" . join '', map { "print pack 'H*', '" . unpack('H*', $_) . "';\n" } @pieces }

# A stock httpd behind, whose pages a proxy passes on.
my $behind = FormGuard::Httpd->new(module => 0, mpm => 'event', modules => ['deflate'], files => {
    'app/form.html' => page(form('send')), 'app/x.json' => "{\"a\": \"<form method=post action=send>\"}\n",
    'app/insists.cgi' => script('Content-Type: text/html\\nContent-Encoding: gzip', do { my $page = page(form('/app/send')); gzip(\$page, \my $z); $z }),
    (map { ("app/$_/.htaccess" => "SetOutputFilter DEFLATE\n", "app/$_/form.html" => page(form('/app/send')), "app/$_/x.json" => "[" . "1, " x 500 . "1]\n") } qw(zip both)),
    'app/slow.cgi' => script('Content-Type: text/html', page(form('/app/send'))),
}, config => "AddType application/json .json\n");

# In pieces, some without a form, more than are kept unread, and forms cut in two.
my @PIECES = ("<!DOCTYPE html>\n<title><form></title><base href=\"/f/\">\n", ("<p class='a>b'>text</p>\n" x 900) x 6, '<fo', 'rm action="contact.php" method="post">' . "\n$FIELDS<p>",
    '<butt', "on>Send</button></p>\n</form>\n", '<!-- ' . 'x' x 70_000, ' <form method=post action=contact.php> -->', 'y' x 30_000, '<', "form action=\"order.php\" method=\"post\">\n$FIELDS<p>", '<button>Send</button></p></form>');

my %F = (
    '.htaccess' => $ON, 'f/.htaccess' => $CAPTCHA, 'f/contact.php' => \'contact.php',
    'a.html' => $PLAIN, 'a.txt' => $PLAIN, 'a.png' => $PNG, 'a.json' => "{\"a\": \"<form method=post action=/f/contact.php>\"}\n",
    'a.xhtml' => $PLAIN, 'none.html' => page('<p>No form.</p>'), 'other.html' => page(form('/free/x.php'), form('/f/x.html')),
    'free/x.php' => "<?php\n",
    'f/two.html' => page(form('contact.php'), '<h2>Order</h2>', form('./sub/../order.php?a=1#b'), "<form action=\"/f/contact.php\">$FIELDS<p>$SEND"),
    'f/order.php' => "<?php\n",
    'hosts.html' => page(map { form($_) } 'http://elsewhere.example/f/contact.php', '//elsewhere.example/f/contact.php', 'mailto:a@b.example',
        'http://127.0.0.1:@PORT@/f/contact.php', '//WWW.shop.example:@PORT@/f/contact.php', 'http://127.0.0.1:1/f/contact.php'),
    'base.html' => page("<base href=\"/f/\">", form('contact.php')), 'far.html' => page("<base href=\"//x.example/\">", form('f/contact.php')),
    'f/self.php' => "<?php echo base64_decode('" . do { require MIME::Base64; MIME::Base64::encode_base64(page(form('')), '') } . "');\n",
    'sjis.html' => encode('cp932', page("<p>\x{8868}\x{793A}\x{80FD}\x{529B}\x{30BD}</p>", form('/f/contact.php') =~ s/Name/\x{540D}\x{524D}\x{30BD}/r)),
    'jis.html' => encode('iso-2022-jp', page("<p>\x{8868}\x{793A}</p>", form('/f/contact.php'))),
    'utf16.html' => encode('UTF-16', page(form('/f/contact.php'))),
    'csp/.htaccess' => "Header set Content-Security-Policy \"script-src 'nonce-x' 'strict-dynamic'\"\n", 'csp/a.html' => $PLAIN,
    'csp/ok/.htaccess' => "Header set Content-Security-Policy \"default-src 'self'; worker-src blob:\"\n", 'csp/ok/a.html' => $PLAIN,
    'meta.html' => page("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;self&#39;\">", form('/f/contact.php')),
    'table.html' => page("<table><form action=\"/f/contact.php\" method=\"post\"><tr><td>$SEND</td></tr></table>"),
    'gzip/.htaccess' => "SetOutputFilter DEFLATE\n", 'gzip/a.html' => $PLAIN,
    'off/.htaccess' => "FormGuardInject Off\n", 'off/a.html' => $PLAIN,
    'key/.htaccess' => "FormGuard On\nFormGuardCaptcha turnstile\nFormGuardCaptchaSecret s\n", 'key/x.php' => "<?php\n",
    'ts/.htaccess' => "FormGuard On\nFormGuardCaptcha turnstile\nFormGuardCaptchaSecret s\nFormGuardCaptchaSiteKey 1x\"0<0\nFormGuardCaptchaField tok\nFormGuardCaptchaAction mail\n",
    'ts/x.php' => "<?php\n", 'services.html' => page(form('/key/x.php'), form('/ts/x.php')),
    'v3/.htaccess' => "FormGuard On\nFormGuardCaptcha recaptcha-v3\nFormGuardCaptchaSecret s\nFormGuardCaptchaSiteKey k\n", 'v3/x.php' => "<?php\n", 'v3.html' => page(form('/v3/x.php')),
    'table2.html' => page(form('/ts/x.php'), "<table><form action=\"/ts/x.php\" method=\"post\"><tr><td>$SEND</td></tr></table>"),
    'table3.html' => page("<meta http-equiv=\"Content-Security-Policy\" content=\"script-src https://challenges.cloudflare.com; frame-src *\"><table><form action=\"/ts/x.php\" method=\"post\"><tr><td>$SEND</td></tr></table>"),
    'many.html' => page(map { form("/f/x$_.php") } 1 .. 20),
    'pretty/.htaccess' => "RewriteEngine On\nRewriteRule ^contact\$ /f/contact.php\n", 'pretty.html' => page(form('/pretty/contact')),
    'dir.html' => page(form('/f/dir/')), 'f/dir/index.php' => "<?php\n",
    'name.html' => page(form('/f/a%20b%22&amp;\'<.php')), 'f/name/x' => '',
    'pieces.cgi' => script('Content-Type: text/html', @PIECES), 'pieces.html' => join('', @PIECES),
    'flush.cgi' => script('Content-Type: text/html', page(form('/f/contact.php')), '<p>later</p>'),
    'json.cgi' => script("Content-Type: application/json\\nETag: \\\"x\\\"\\nContent-Length: 9", '{"a": 1}' . "\n"),
    'gone.cgi' => script("Status: 404 Not Found\\nContent-Type: text/html; charset=utf-8\\nETag: \\\"x\\\"", $PLAIN),
    'save.cgi' => script("Content-Type: text/html\\nContent-Disposition: attachment; filename=a.html\\nETag: \\\"x\\\"\\nContent-Length: " . length $PLAIN, $PLAIN),
    'zip.cgi' => script("Content-Type: text/html\\nContent-Encoding: br\\nETag: \\\"x\\\"\\nContent-Length: " . length $PLAIN, $PLAIN),
    'ssi/.htaccess' => "Options +Includes\nAddOutputFilter INCLUDES .shtml\nAddType text/html .shtml\n",
    'ssi/a.shtml' => page('<!--#include virtual="/f/part.html" -->'), 'f/part.html' => form('/f/contact.php'),
    'err/.htaccess' => "ErrorDocument 404 /a.html\n",
    'big.html' => page('<p>' . ('x' x 2_600_000), form('/f/contact.php'), 'y' x 2_600_000),
);

my %SERVER = (
    files => \%F, modules => [qw(deflate include proxy proxy_http headers)],
    config => "AddType application/json .json\nAddType application/xhtml+xml .xhtml\nAddType image/png .png\n"
        . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName 127.0.0.1\nServerAlias www.shop.example\nProxyPass /app/ http://127.0.0.1:${\ $behind->port}/app/\n"
        . "<Location /app/>\nFormGuardInject On\nFormGuard On\nFormGuardCaptcha altcha\n</Location>\n<Location /app/both/>\nSetOutputFilter DEFLATE\n</Location>\n</VirtualHost>\n",
);
my $OFF = FormGuard::Httpd->new(%SERVER, mpm => 'event', php => 'fpm', files => { %F, '.htaccess' => "FormGuardInject Off\n" },
    config => $SERVER{config} =~ s/FormGuardInject On//r);
my $httpd = FormGuard::Httpd->new(%SERVER, mpm => 'event', php => 'fpm');
my $client = $httpd->client;

# The answer, and that of a server that adds nothing.
sub both { my ($path, %o) = @_; return map { $_->client->request($o{method} // 'GET', $path, headers => [%HTML, %{$o{headers} || {}}]) } $httpd, $OFF }
# How long a program's answer is httpd says only if all of it is there soon enough.
sub head_of { my ($r, $path) = @_; my $timing = $path =~ /cgi/ ? '|Content-Length|Transfer-Encoding' : ''; return join "\n", grep { !/^(?:Date|Last-Modified|ETag$timing):/i } split /\r?\n/, $r->head }

sub added_ok
{
    my ($path, $want, $name, %o) = @_;
    my ($got, $never) = both($path, %o);
    is $got->body, $want, "$path: $name";
    is $got->header($_), undef, "$path: no $_" for qw(ETag Last-Modified Accept-Ranges);
    is $got->header('Content-Length') // length $want, length $want, "$path: the length is right";
    is $got->status, $never->status, "$path: the status is the same";
    return $got;
}

sub same_ok
{
    my ($path, $name, %o) = @_;
    my ($got, $never) = both($path, %o);
    is $got->body, $never->body, "$path: $name";
    is head_of($got, $path), head_of($never, $path), "$path: with all headers";
    is !!$got->header($_), !!$never->header($_), "$path: $_" for qw(ETag Last-Modified);
    return $got;
}

sub left { my ($why) = @_; return qr/ FG2411: FormGuardInject leaves a form as it is: $why/ }

subtest 'pages' => sub {
    added_ok('/a.html', $ADDED, 'static');
    added_ok('/f/self.php', page(with('', '/f/self.php')), 'PHP, sent to itself');
    added_ok('/f/self.php?x=1', page(with('', '/f/self.php')), 'with a query');
    added_ok('/app/form.html', page(with('send', '/app/send')), 'behind a proxy');
    added_ok('/app/slow.cgi', page(with('/app/send', '/app/send')), 'a CGI program behind a proxy');
    added_ok('/flush.cgi', "$ADDED<p>later</p>", 'a CGI program');
    my $order = widget('/f/order.php');
    my $pieces = join('', @PIECES) =~ s/<p>\K(?=<button>Send<\/button><\/p>\n)/$SCRIPT . widget('\/f\/contact.php')/er =~ s/<p>\K(?=<button>Send<\/button><\/p><\/form>)/$order/r =~ s/\\\//\//gr;
    added_ok("/pieces.$_", $pieces, 'long, in pieces') for qw(cgi html);
    added_ok('/gone.cgi', $ADDED, 'of 404');
    added_ok('/err/none', $ADDED, 'an ErrorDocument');
    added_ok('/ssi/a.shtml', $ADDED, 'put together');
    $httpd->log_ok('pages');
};

subtest 'forms' => sub {
    added_ok('/f/two.html', page(with('contact.php', '/f/contact.php'), '<h2>Order</h2>', with('./sub/../order.php?a=1#b', '/f/order.php', 1),
        "<form action=\"/f/contact.php\">$FIELDS<p>$SEND"), 'two forms, and one with GET');
    my @hosts = map { s/\@PORT\@/$httpd->port/er } 'http://127.0.0.1:@PORT@/f/contact.php', '//WWW.shop.example:@PORT@/f/contact.php';
    added_ok('/hosts.html', page(form('http://elsewhere.example/f/contact.php'), form('//elsewhere.example/f/contact.php'), form('mailto:a@b.example'),
        with($hosts[0], '/f/contact.php'), with($hosts[1], '/f/contact.php', 1), form('http://127.0.0.1:1/f/contact.php')), 'this host only');
    added_ok('/base.html', page('<base href="/f/">', with('contact.php', '/f/contact.php')), 'base');
    same_ok('/far.html', 'base on another host');
    same_ok('/other.html', 'not guarded, or another path');
    same_ok('/none.html', 'no form at all');
    same_ok('/off/a.html', 'Off in a folder');
    added_ok('/pretty.html', page(with('/pretty/contact', '/pretty/contact')), 'rewritten');
    added_ok('/dir.html', page(with('/f/dir/', '/f/dir/')), 'a folder');
    added_ok('/name.html', page(with('/f/a%20b%22&amp;\'<.php', '/f/a%2520b%2522%26%27%253C.php')), 'an odd name');
    is $client->get('/.well-known/formguard/challenge?form=/f/a%2520b%2522%26%27%253C.php')->status, 200, 'there is a challenge for it';
    $httpd->log_ok('forms');
    my $r = $client->get('/many.html', headers => [%HTML]);
    is scalar(() = $r->body =~ /<altcha-widget/g), 16, 'so many paths and no more';
    $httpd->log_ok('many', left('the page has forms for more than 16 paths: '));
};

subtest 'encodings' => sub {
    my ($got, $never) = both('/sjis.html');
    like $got->body, qr/<p>\Q$SCRIPT\E<altcha-widget [^>]*><\/altcha-widget><button>/, 'Shift_JIS';
    is $got->body =~ s/<script.*altcha-widget>//sr, $never->body, 'and nothing else changes';
    is $got->header('Content-Type'), $never->header('Content-Type'), 'nor its type';
    same_ok('/jis.html', 'ISO-2022-JP');
    same_ok('/utf16.html', 'UTF-16');
    $httpd->log_ok('encodings');
};

subtest 'no pages' => sub {
    same_ok('/a.png', 'an image');
    same_ok('/a.png', 'a part of an image', headers => { Range => 'bytes=5-20' });
    same_ok('/a.json', 'JSON');
    same_ok('/a.txt', 'text');
    same_ok('/a.xhtml', 'XHTML');
    same_ok('/json.cgi', 'JSON of a program');
    same_ok('/save.cgi', 'a page to be saved');
    same_ok('/app/x.json', 'JSON behind a proxy');
    my $png = $client->get('/a.png', headers => [%HTML]);
    is $client->get('/a.png', headers => [%HTML, 'If-None-Match' => $png->header('ETag')])->status, 304, 'an image is still not modified';
    $httpd->log_ok('no pages');
    same_ok('/zip.cgi', 'compressed by the program');
    $httpd->log_ok('compressed', left('the page is compressed before it can be read: '));
};

subtest 'compressed, HEAD, conditions, ranges' => sub {
    my $r = $client->get('/gzip/a.html', headers => [%HTML, 'Accept-Encoding' => 'gzip']);
    is $r->header('Content-Encoding'), 'gzip', 'mod_deflate compresses';
    gunzip(\$r->{body}, \my $text) or die $GunzipError;
    is $text, $ADDED, 'what the widget was added to';
    for (['zip', undef], ['both', 'gzip']) {
        my ($dir, $encoding) = @$_;
        $r = $client->get("/app/$dir/form.html", headers => [%HTML, 'Accept-Encoding' => 'gzip']);
        is $r->header('Content-Encoding'), $encoding, "$dir: a page is asked for uncompressed behind the proxy, and compressed here";
        gunzip(\$r->{body}, \$text) or die $GunzipError;
        is $text, page(with('/app/send', '/app/send')), "$dir: and added to";
    }
    $r = $client->get('/app/zip/x.json', headers => [Accept => '*/*', 'Accept-Encoding' => 'gzip']);
    is $r->header('Content-Encoding'), 'gzip', 'what is no page may come compressed';
    $r = $client->get('/app/insists.cgi', headers => [%HTML]);
    is $r->header('Content-Encoding'), 'gzip', 'a page of somebody who compresses without being asked';
    gunzip(\$r->{body}, \$text) or die $GunzipError;
    is $text, page(form('/app/send')), 'is left as it was';
    for my $path ('/a.html', '/f/self.php', '/app/form.html') {
        my ($head, $get) = map { $client->request($_, $path, headers => [%HTML]) } qw(HEAD GET);
        is $head->status, 200, "$path: HEAD";
        is $head->header($_), undef, "$path: HEAD has no $_" for qw(ETag Last-Modified Accept-Ranges);
        is $head->header('Content-Length') // length $get->body, length $get->body, "$path: HEAD has no wrong length";
    }
    my $old = $OFF->client->get('/a.html', headers => [%HTML]);
    my @old = ('If-None-Match' => $old->header('ETag'), 'If-Modified-Since' => $old->header('Last-Modified'));
    is $OFF->client->get('/a.html', headers => [%HTML, @old])->status, 304, 'a browser has the page as it was';
    @old = ('If-None-Match' => '*', 'If-Modified-Since' => $old->header('Last-Modified'));
    is $client->get('/a.html', headers => [@old])->body, $ADDED, 'and is given the one with the widget';
    is $client->get('/app/form.html', headers => [%HTML, @old])->status, 200, 'behind a proxy, too';
    $r = $client->get('/a.html', headers => [Range => 'bytes=0-9']);
    is $r->status, 200, 'no part of a page that changes';
    is $r->body, $ADDED, 'but all of it';
    $httpd->log_ok('HEAD', left('the page is compressed before it can be read: '), '*');
};

subtest 'policies' => sub {
    same_ok('/csp/a.html', 'the page forbids the script');
    $httpd->log_ok('told', left(qr/the page's Content-Security-Policy forbids the widget; it needs: script-src 'self': form=\/f\/contact.php page=\/csp\/a.html/));
    same_ok('/csp/a.html', 'still does');
    added_ok('/csp/ok/a.html', $ADDED, 'the page allows it');
    $httpd->log_ok('told once');
    same_ok('/meta.html', 'forbidden in the page');
    $httpd->log_ok('meta', left(qr/.*it needs: worker-src blob:/));
};

subtest 'services' => sub {
    my $turnstile = '<script src="https://challenges.cloudflare.com/turnstile/v0/api.js" async defer></script>'
        . '<span class="cf-turnstile" data-sitekey="1x&quot;0&lt;0" data-response-field-name="tok" data-action="mail"></span>';
    added_ok('/services.html', page(form('/key/x.php'), form('/ts/x.php') =~ s/<p>\K(?=<button)/$turnstile/r), 'Turnstile, with and without a site key');
    my $fields = '<script src="/.well-known/formguard/fields.js" async></script>';
    added_ok('/v3.html', page(form('/v3/x.php') =~ s/<p>\K(?=<button)/<script src="https:\/\/www.google.com\/recaptcha\/api.js?render=k" async defer><\/script>$fields<input type="hidden" data-formguard="recaptcha-v3" name="g-recaptcha-response" data-sitekey="k" data-action="submit">/r),
        'reCAPTCHA v3');
    my $beside = sub { my ($name, $widget) = @_; return qq{<span><input type="hidden" data-formguard="beside" name="$name">$widget</span>} };
    added_ok('/table.html', page("<table><form action=\"/f/contact.php\" method=\"post\"><tr><td>$SCRIPT" . $beside->('altcha', widget('/f/contact.php')) . "$SEND</td></tr></table>"),
        'a form that is no element around its fields');
    added_ok('/table2.html', page(form('/ts/x.php') =~ s/<p>\K(?=<button)/$turnstile/r, '<table><form action="/ts/x.php" method="post"><tr><td>' . $fields
        . $beside->('tok', $turnstile =~ s/^<script.*<\/script>//r) . "$SEND</td></tr></table>"), 'the same with a service');
    same_ok('/table3.html', 'and where its policy forbids the script that fills the field');
    my $r = $client->get('/.well-known/formguard/fields.js');
    is join(' ', $r->status, $r->header('Content-Type')), '200 text/javascript; charset=utf-8', 'which is there';
    is $client->get("/.well-known/formguard/$_")->status, 404, "no $_" for qw(none.js texts.en refusal.html);
    $httpd->log_ok('told', left('FormGuardCaptcha turnstile: no FormGuardCaptchaSiteKey is set: form=/key/x.php'));
};

subtest 'streaming' => sub {
    my $fifo = $httpd->dir . '/tmp/go';
    $httpd->write_file('wait.cgi', "#!/usr/bin/perl\n\$| = 1; print \"Content-Type: text/html\\n\\n<form action=/f/contact.php method=post><button>\";\n"
        . "my \$n = 0; select(undef, undef, undef, 0.01) while !-e '$fifo' && \$n++ < 2000;\nprint '</button></form>end';\n");
    my $conn = $client->connect;
    $conn->send("GET /wait.cgi HTTP/1.0\r\n\r\n");
    my $seen = '';
    my $read_to = sub {
        my ($what) = @_;
        my $end = time + 20;
        while ($seen !~ $what && time < $end) {
            my $r = '';
            vec($r, fileno $conn->socket, 1) = 1;
            select($r, undef, undef, 1) and sysread $conn->socket, $seen, 4096, length $seen or next;
        }
    };
    $read_to->(qr/<form.*>/);
    like $seen, qr/<form action=\/f\/contact.php method=post>\z/, 'what may go out is not waited for';
    open my $fh, '>', $fifo or die $!;
    $read_to->(qr/end\z/);
    like $seen, qr/method=post>\Q$SCRIPT\E<altcha-widget[^>]*><\/altcha-widget><button><\/button><\/form>end\z/, 'and the widget is in its place';

    my $big = $F{'big.html'};
    my $r = $client->get('/big.html', headers => [%HTML]);
    is length($r->body) - length($big), length($ADDED) - length($PLAIN), '5 MB';
    ok $r->body eq ($big =~ s/<p>\K(?=<button)/$SCRIPT . widget('\/f\/contact.php')/er =~ s/\\//gr), 'with the widget, and nothing else changed';
    $httpd->log_ok('streaming');
};

# In one process whose clock is ahead, so that files are old enough to be remembered: read once, then known. libfaketime
# and sanitizers do not go together: these wait.
my $AHEAD = !$ENV{FORMGUARD_PRELOAD} && !$ENV{FORMGUARD_WRAP};
my $known = FormGuard::Httpd->new(%SERVER, mpm => 'event', php => 'fpm', clock => $AHEAD, env => { NO_FAKE_STAT => 1 },
    global => "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 12\nMinSpareThreads 1\nMaxSpareThreads 12\n");
my $old = time + 4;
$AHEAD ? $known->clock(60) : FormGuard::Process::wait_until(sub { time > $old }, 10, 'files that are old enough');
subtest 'files that are known' => sub {
    my $ask = sub { my ($path, @more) = @_; return $known->client->get($path, headers => [%HTML, @more]) };
    my ($from, $to) = ($httpd->port, $known->port);
    for my $path (map { "/$_" } sort grep { /\.html\z/ && !/^gzip/ } keys %F) {
        my $want = $client->get($path, headers => [%HTML])->body =~ s/:$from\b/:$to/gr;
        my $first = $ask->($path);
        is $first->body, $want, "$path: read";
        for (1, 2) {
            my $next = $ask->($path);
            is $next->body, $want, "$path: known";
            # Of a long page the length is known now, before all of it has gone by.
            is head_of($next, $path =~ s/big/cgi/r), head_of($first, $path =~ s/big/cgi/r), "$path: with the same headers";
        }
    }
    my $none = $ask->('/none.html');
    is $none->header('Content-Length'), length $F{'none.html'}, 'no form: the length';
    is $ask->('/none.html', 'If-None-Match' => $none->header('ETag'))->status, 304, 'not modified';
    is $ask->('/none.html', Range => 'bytes=0-9')->body, substr($F{'none.html'}, 0, 10), 'and a part of it';
    is $ask->('/a.html', 'If-None-Match' => '*')->status, 200, 'not so where there is a form';
    is $ask->('/free/a.html')->status, 404, 'none';
    $known->log_ok('what was said is said', left('') => '+');

    $known->write_file('none.html', page('<i>', form('/f/contact.php')));
    is $ask->('/none.html', 'If-None-Match' => $none->header('ETag'))->body, page('<i>', with('/f/contact.php', '/f/contact.php')), 'a form came';
    $known->write_file('a.html', page(form('/free/x.php'), form('/f/contact.php')));
    is $ask->('/a.html')->body, page(form('/free/x.php'), with('/f/contact.php', '/f/contact.php')), 'another page' for 1 .. 2;
    open my $fh, '+<', $known->htdocs . '/a.html' or die $!;    # in its place, and as long as it was
    print $fh page(form('/f/contact.php'), form('/free/x.php'));
    close $fh;
    is $ask->('/a.html')->body, page(with('/f/contact.php', '/f/contact.php'), form('/free/x.php')), 'written into' for 1 .. 2;

    my $tok = with('/f/contact.php', '/f/contact.php') =~ s/(?=><\/altcha-widget>)/ name="tok"/r;
    $known->write_file('f/.htaccess', $CAPTCHA . "FormGuardCaptchaField tok\n");
    is $ask->('/a.html')->body, page($tok, form('/free/x.php')), 'another field';
    $known->write_file('f/.htaccess', $CAPTCHA =~ s/^FormGuard\K On/ Off/r);
    is $ask->('/a.html')->body, page(form('/f/contact.php'), form('/free/x.php')), 'not guarded any more' for 1 .. 2;
    $known->write_file('free/.htaccess', $CAPTCHA);
    is $ask->('/a.html')->body, page(form('/f/contact.php'), with('/free/x.php', '/free/x.php')), 'another one guarded' for 1 .. 2;
    $known->log_ok('changes');

    # Asked for again and again, what holds for the form is told as it was some milliseconds ago.
    my $plain = page(form('/f/contact.php'), with('/free/x.php', '/free/x.php'));
    is_deeply [grep { $_ ne $plain } map { $ask->('/a.html')->body } 1 .. 100], [], 'a hundred times';
    $known->write_file('f/.htaccess', $CAPTCHA);
    my $both = page(with('/f/contact.php', '/f/contact.php'), with('/free/x.php', '/free/x.php', 1));
    ok FormGuard::Process::wait_until(sub { $ask->('/a.html')->body eq $both }, 5, 'what holds now'), 'and then what holds now';
    is_deeply [grep { $_ ne $both } map { $ask->('/a.html')->body } 1 .. 100], [], 'a hundred times';
    # Not where it depends on who asks.
    $known->write_file('f/.htaccess', $CAPTCHA . "<If \"%{HTTP:X-Who} == 'me'\">\nFormGuardCaptchaField tok\n</If>\n");
    my $me = page($tok, with('/free/x.php', '/free/x.php', 1));
    FormGuard::Process::wait_until(sub { $ask->('/a.html', 'X-Who' => 'me')->body eq $me }, 5, '<If>');
    is_deeply [grep { $ask->('/a.html')->body ne $both } 1 .. 50], [], 'one visitor';
    is_deeply [grep { $ask->('/a.html', 'X-Who' => 'me')->body ne $me } 1 .. 50], [], 'is not another';
    $known->log_ok('again and again');
};

$_->done for $httpd, $OFF, $known;

my $prefork = FormGuard::Httpd->new(%SERVER, mpm => 'prefork', php => 'mod', files => { map { $_ => $F{$_} } '.htaccess', 'f/.htaccess', 'f/self.php', 'a.html' });
is $prefork->client->get('/f/self.php', headers => [%HTML])->body, page(with('', '/f/self.php')), 'mod_php';
is $prefork->client->request('HEAD', '/f/self.php')->status, 200, 'HEAD';
$prefork->done;
$behind->done;
done_testing;
