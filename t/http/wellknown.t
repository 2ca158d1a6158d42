#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The URLs the module serves itself, in configurations that would have something else answer; and a
# challenge is for the form a post comes to, however either is written.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Client;
use FormGuard::Httpd;
use IO::Socket::INET;
use Test::More;

my $URL = $FormGuard::Altcha::URL;
my $OK = qr/ FG1000: accepted: /;

sub is_challenge
{
    my ($r, $what) = @_;
    is $r->status, 200, $what;
    is $r->header('Content-Type'), 'application/json', '... by the module';
}

subtest 'nothing else answers' => sub {
    my $s = FormGuard::Httpd->new(
        modules => [qw(dir include negotiation rewrite proxy proxy_http)],
        files => {
            'index.html' => "the site\n",
            'page.shtml' => qq(<!--#include virtual="$URL?form=/x" -->),
        },
        config => <<"END",
FallbackResource /index.html
<Location />
  Options +MultiViews +Includes
</Location>
AddOutputFilter INCLUDES .shtml
ProxyPass /.well-known/ http://127.0.0.1:1/
ProxyPass / !
RewriteEngine On
RewriteRule ^/\\.well-known /index.html
END
    );
    is_challenge($s->client->get("$URL?form=/contact.php"), 'FallbackResource, MultiViews, ProxyPass, RewriteRule');
    is $s->client->get('/.well-known/formguard/none')->status, 404, 'what is not there is not there';
    $s->log_ok('nothing looks for files of that name');
    unlike $s->client->get('/page.shtml')->body, qr/challenge/, 'included in a page: nothing';
    $s->log_ok('include', qr/ unable to include "\Q$URL\E.* subrequest returned 404$/);
    $s->done('nothing else');
};

subtest 'methods' => sub {
    my $s = FormGuard::Httpd->new(files => { 'index.html' => "the site\n" });
    for my $method (qw(POST PUT OPTIONS DELETE)) {
        my $r = $s->client->request($method, "$URL?form=/x", form => { a => 1 });
        is $r->status, 405, "$method is not for it";
        like $r->header('Allow'), qr/\bGET\b/, '... and told what is';
    }
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $s->port) or die "connect: $!\n";
    print $socket "GET $URL?form=/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        . "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    my $all = do { local $/; <$socket> };
    like $all, qr/"challenge".*the site$/s, 'the body of a GET is no request';
    $s->done('methods');
};

# As it stands in the request line of the post; a page asks for its challenge with that once more
# encoded, as any value in a query is.
subtest 'the path that is judged' => sub {
    my $backend = FormGuard::Httpd->new(
        module => 0, modules => ['rewrite'], files => {},
        config => "AllowEncodedSlashes NoDecode\nRewriteEngine On\nRewriteRule . - [R=204]\n");
    my $to = 'http://127.0.0.1:' . $backend->port;
    my $s = FormGuard::Httpd->new(
        modules => [qw(alias dir proxy proxy_http rewrite)],
        files => {
            map({ $_ => "form\n" } 'd/f.html', 'd/index.html', 'd/a b.html', 'd/a+b.html', "d/\xe6\x97\xa5.html", 'd/100%.html'),
            'e/real.html' => "form\n",
            'e/.htaccess' => "RewriteEngine On\nRewriteRule ^go/ real.html [L]\n",
        },
        config => <<"END",
<Location />
  FormGuard On
  FormGuardCaptcha altcha
  FormGuardCaptchaDifficulty 1000
</Location>
AllowEncodedSlashes NoDecode
AcceptPathInfo On
ProxyPass /raw $to/ nocanon
ProxyPass /early $to/ mapping=servlet
RewriteEngine On
RewriteRule ^/pretty/ /d/f.html [PT]
RewriteRule ^/proxied/(.*) $to/\$1 [P]
AliasMatch ^/alias/ "\@HTDOCS\@/d/f.html"
END
    );
    my $client = 0;
    my @urls = (
        qw(/d/f.html /d/ //d/f.html /d//f.html /d/./f.html /%64/f.html /d/f%2ehtml /d/a%20b.html /d/a+b.html
        /d/a%2Bb.html /d/%E6%97%A5.html /d/100%25.html /d/f.html/ /d/f.html/a/b /d/f.html/a%2fb /pretty/a%20b
        /alias/x%20y /e/go/a%20b /e/real.html /raw/a%20b /raw/a%2Fb /raw//a /raw/%2541 /early/a%20b /early/a%2Fb
        /early/a;x=1/b /proxied/a%20b /proxied/a//b)
    );
    for my $url (@urls) {
        my $me = '203.0.113.' . ++$client;
        my $token = FormGuard::Altcha::solve(FormGuard::Altcha::challenge($s->client, $url, from => $me));
        my $status = $s->client->post($url, form => { altcha => $token }, from => $me)->status;
        # 405 of a plain file: it is past the guard.
        like $status, qr/^(?:20[04]|405)\z/, $url;
        is $s->client->post($url, form => { altcha => $token }, from => $me)->status, 403, '... once' if $client % 9 == 1;
    }
    $s->log_ok('paths', $OK, scalar @urls, qr/ FG1403: .* used before/, 4);
    $s->done('paths');
    $backend->done('backend');
};

done_testing;
