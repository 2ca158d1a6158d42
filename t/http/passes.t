#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A post that httpd redirects internally is judged once, wherever the directives stand, and its body arrives
# whole at the script that runs in the end.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use FormGuard::Httpd;
use Test::More;

my $ON = "FormGuard On\nFormGuardLimit ip 3/10m\n";
my $WORDPRESS = <<'CONF';
RewriteEngine On
RewriteRule ^index\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . index.php [L]
CONF
my $INDEX = { 'index.php' => \'echo.php' };

# Three posts pass, the fourth is refused. Each case has a folder, @F@: files, an .htaccess, directives of the
# server; `form` is what the log calls it.
my @CASES = (
    { name => 'a script asked for by its name', htaccess => $ON, files => { 'a.php' => \'echo.php' }, path => 'a.php' },

    { name => 'rewritten as WordPress does, On in .htaccess', htaccess => "$ON$WORDPRESS", files => $INDEX, path => 'contact/' },
    { name => 'rewritten, On in <Location>', htaccess => $WORDPRESS, files => $INDEX, path => 'contact/',
      config => "<Location \@F\@>\n$ON</Location>" },
    { name => 'rewritten, On in <Directory>', htaccess => $WORDPRESS, files => $INDEX, path => 'contact/',
      config => "<Directory \@HTDOCS\@\@F\@>\n$ON</Directory>" },
    { name => 'rewritten, On in <Files> of .htaccess', htaccess => "$WORDPRESS<Files index.php>\n$ON</Files>\n",
      files => $INDEX, path => 'contact/' },
    { name => 'rewritten, On in <Files> of the server', htaccess => $WORDPRESS, files => $INDEX, path => 'contact/',
      config => "<Directory \@HTDOCS\@\@F\@>\n<Files index.php>\n$ON</Files>\n</Directory>" },
    { name => 'rewritten, On in <Location> of the script only', htaccess => $WORDPRESS, files => $INDEX,
      path => 'contact/', config => "<Location \@F\@/index.php>\n$ON</Location>" },
    { name => 'rewritten, On in both places', htaccess => "$ON$WORDPRESS", files => $INDEX, path => 'contact/',
      config => "<Location \@F\@>\n$ON</Location>" },
    { name => 'rewritten in the server configuration', files => $INDEX, path => 'contact/', htaccess => $ON,
      config => "RewriteRule ^\@F\@/contact/ \@F\@/index.php [PT]" },
    { name => 'rewritten twice', htaccess => "$ON\nRewriteEngine On\nRewriteRule ^one\$ two\nRewriteRule ^two\$ sub/\n",
      files => { 'sub/index.php' => \'echo.php' }, path => 'one' },

    { name => 'a URL of WordPress\'s REST interface, told whole', htaccess => "$ON$WORDPRESS", files => $INDEX,
      path => 'wp-json/contact-form-7/v1/contact-forms/12/feedback' },
    { name => 'a REST URL by FallbackResource, told whole', htaccess => "${ON}FallbackResource \@F\@/index.php\n", files => $INDEX,
      path => 'wp-json/contact-form-7/v1/contact-forms/12/feedback' },

    { name => 'DirectoryIndex, On in .htaccess', htaccess => $ON, files => $INDEX, path => '' },
    { name => 'DirectoryIndex, On in <Files>', htaccess => "<Files index.php>\n$ON</Files>\n", files => $INDEX, path => '' },
    { name => 'DirectoryIndex, On in <Location>', files => $INDEX, path => '', config => "<Location \@F\@/index.php>\n$ON</Location>" },
    { name => 'FallbackResource, On in .htaccess', htaccess => "${ON}FallbackResource \@F\@/index.php\n", files => $INDEX,
      path => 'contact/x' },
    { name => 'FallbackResource, On in <Files>', htaccess => "FallbackResource \@F\@/index.php\n<Files index.php>\n$ON</Files>\n",
      files => $INDEX, path => 'contact/x' },
    { name => 'MultiViews', htaccess => "${ON}Options +MultiViews\nMultiviewsMatch Any\n", files => { 'contact.php' => \'echo.php' },
      path => 'contact' },
    { name => 'path info, On in <Files>', htaccess => "<Files a.php>\n$ON</Files>\n", files => { 'a.php' => \'echo.php' },
      path => 'a.php/x/y', form => 'a.php' },

    { name => 'FormGuardPath names what is asked for', htaccess => "${ON}FormGuardPath \@F\@/contact/\n$WORDPRESS",
      files => $INDEX, path => 'contact/', other => 'news/' },
    { name => 'FormGuardPath names the script', htaccess => "${ON}FormGuardPath \@F\@/index.php\n$WORDPRESS",
      files => { 'index.php' => \'echo.php', 'b.php' => \'echo.php' }, path => 'contact/', other => 'b.php' },
    { name => 'FormGuardPath names what is asked for, On in <Files>', files => $INDEX, path => 'contact/', other => 'index.php',
      htaccess => "$WORDPRESS<Files index.php>\n${ON}FormGuardPath \@F\@/contact/\n</Files>\n" },
    { name => 'FormGuardPath and path info', htaccess => "${ON}FormGuardPath \@F\@/a.php\n", files => { 'a.php' => \'echo.php' },
      path => 'a.php/x/y', form => 'a.php' },
    { name => 'FormGuardPath and DirectoryIndex', htaccess => "${ON}FormGuardPath \@F\@/index.php\n", files => $INDEX, path => '' },

    { name => 'FormGuardPath names what is asked for, a folder', htaccess => "${ON}FormGuardPath \@F\@/\n", files => $INDEX,
      path => '', other => 'index.php' },
    { name => 'FormGuardPath names what is asked for, FallbackResource', files => $INDEX, path => 'contact/x', other => 'news',
      htaccess => "${ON}FormGuardPath \@F\@/contact/*\nFallbackResource \@F\@/index.php\n" },
    { name => 'FormGuardPath names what is asked for, MultiViews', files => { map { $_ => \'echo.php' } qw(contact.php news.php) },
      htaccess => "${ON}FormGuardPath \@F\@/contact\nOptions +MultiViews\nMultiviewsMatch Any\n", path => 'contact', other => 'news' },
    { name => 'FormGuardPath names what is asked for, rewritten in the server configuration', files => $INDEX,
      path => 'contact/', other => 'index.php', htaccess => "${ON}FormGuardPath \@F\@/contact/\n",
      config => "RewriteRule ^\@F\@/contact/ \@F\@/index.php [PT]" },
    { name => 'FormGuardPath, asked for in other letters', htaccess => "${ON}FormGuardPath \@F\@/contact/\n$WORDPRESS",
      files => $INDEX, path => './x/..//%63ontact/', form => 'contact/' },

    { name => 'a proxy by RewriteRule in .htaccess',
      htaccess => "${ON}RewriteEngine On\nRewriteRule ^x\$ http://127.0.0.1:\@BACK\@/echo.php [P]\n", path => 'x' },
    { name => 'a proxy by RewriteRule in the server configuration',
      config => "RewriteRule ^\@F\@/x http://127.0.0.1:\@BACK\@/echo.php [P]\n<Location \@F\@>\n$ON</Location>", path => 'x' },
    { name => 'a proxy by ProxyPass in <Location>',
      config => "<Location \@F\@>\n${ON}ProxyPass http://127.0.0.1:\@BACK\@\n</Location>", path => 'echo.php' },
);

sub place
{
    my ($text, $f) = @_;
    $text =~ s/\@F\@/$f/g if defined $text;
    return $text // '';
}

sub prepare
{
    my ($httpd, $c) = @_;
    my ($f) = "$c->{f}" =~ m{^/(.+)};
    $httpd->write_file("$f/.htaccess", place($c->{htaccess}, $c->{f})) if defined $c->{htaccess};
    $httpd->write_file("$f/$_", $c->{files}{$_}) for keys %{$c->{files} || {}};
    $httpd->write_file("$f/.keep", '');
}

my $BODY = 'message=' . ('0123456789' x 9000);    # more than is kept in memory
my $SHA = sha256_hex($BODY);

sub post
{
    my ($httpd, $path, $ip, %o) = @_;
    return $httpd->client->post($path, body => $BODY, type => 'application/x-www-form-urlencoded', from => $ip, %o);
}

# What is wrong with an accepted post's answer.
sub wrong
{
    my ($r, $httpd, $verdict) = @_;
    return 'status ' . $r->status . substr $r->body, 0, 300 if $r->status != 200;
    my $j = eval { $r->json } or return 'no JSON: ' . substr $r->body, 0, 300;
    my @bad;
    push @bad, "length $j->{length}" if $j->{length} != length $BODY;
    push @bad, "sha256 $j->{sha256}" if $j->{sha256} ne $SHA;
    push @bad, "method $j->{method}" if $j->{method} ne 'POST';
    push @bad, '$_POST' if length($j->{post}{message} // '') != length($BODY) - 8;
    push @bad, 'FORMGUARD_VERDICT ' . ($j->{formguard}{FORMGUARD_VERDICT} // '-')
        if ($j->{formguard}{FORMGUARD_VERDICT} // '-') ne $verdict;
    return join ', ', @bad;
}

sub run_case
{
    my ($httpd, $c) = @_;
    my $path = "$c->{f}/$c->{path}";
    my $form = "$c->{f}/" . ($c->{form} // $c->{path});
    my $proxied = $c->{name} =~ /proxy/;
    my @bad;
    for my $i (1 .. 3) {
        # The second of them chunked: it has another way through httpd.
        my $r = post($httpd, $path, $c->{ip}, $i == 2 ? (chunks => [1, 70_000]) : ());
        my $wrong = wrong($r, $httpd, $proxied ? '-' : 'accepted');
        push @bad, "$i: $wrong" if $wrong;
    }
    is "@bad", '', "$c->{name}: three posts arrive whole";
    my $r = post($httpd, $path, $c->{ip});
    is $r->status, 429, "$c->{name}: the fourth is refused" or diag substr $r->body, 0, 300;
    ok $r->body !~ /sha256/, "$c->{name}: by us";
    $httpd->log_ok("$c->{name}: one line each",
        qr/FG1000: accepted: country=- form=\Q$form\E / => 3,
        qr/FG1100: refused 429: .* form=\Q$form\E / => 1);
    return if !defined $c->{other};
    is wrong(post($httpd, "$c->{f}/$c->{other}", $c->{ip}), $httpd, '-'), '', "$c->{name}: another path is not guarded";
    $httpd->log_ok("$c->{name}: nor logged");
}

# --- error documents --------------------------------------------------------------------------------

# Not the script's own 404: one of httpd, which hands the request on as a GET.
sub error_document_of_another_status
{
    my ($httpd, $stock) = @_;
    for my $s ($httpd, $stock) {
        $s->write_file('missing/.htaccess', ($s == $httpd ? $ON : '') . "ErrorDocument 404 /missing/error.php\n");
        $s->write_file('missing/error.php', \'echo.php');
    }
    my @got = map { post($_, '/missing/none', '198.51.100.1') } $httpd, $stock, $httpd, $httpd;
    is_deeply [map { $_->status } @got], [(404) x 4], 'ErrorDocument 404: status';
    my ($ours, $theirs) = map { my $j = $_->json; +{ map { $_ => $j->{$_} } qw(method length sha256 post content_length) } } @got;
    is_deeply $ours, $theirs, 'ErrorDocument 404: it sees what it sees on a stock server';
    is $got[0]->json->{formguard}{REDIRECT_FORMGUARD_VERDICT}, 'accepted', 'ErrorDocument 404: and the verdict';
    is post($httpd, '/missing/none', '198.51.100.1')->status, 429, 'ErrorDocument 404: each was counted once';
    $httpd->log_ok('ErrorDocument 404: one line each', qr/FG1000: / => 3, qr/FG1100: / => 1,
        qr/ AH01071: .*not found/ => '*');
}

sub error_document_of_a_refusal
{
    my ($httpd) = @_;
    my %kind = ('before the body is read' => '', 'after the body was read' => ' count=accepted');
    my $n = 1;
    for my $name (sort keys %kind) {
        my $f = 'refusal' . $n++;
        $httpd->write_file("$f/.htaccess", "FormGuard On\nFormGuardLimit ip 1/10m$kind{$name}\nErrorDocument 429 /$f/error.php\n");
        $httpd->write_file("$f/$_", \'echo.php') for qw(a.php error.php);
        is wrong(post($httpd, "/$f/a.php", '198.51.100.2'), $httpd, 'accepted'), '', "refused $name: not yet";
        for my $cut ([], [chunks => [1, 70_000]]) {
            my $conn = $httpd->client->connect;
            $conn->send($httpd->client->bytes('POST', "/$f/a.php", body => $BODY, from => '198.51.100.2', keepalive => 1,
                type => 'application/x-www-form-urlencoded', @$cut), 1);
            my $r = $conn->read('POST');
            my $which = "refused $name" . (@$cut ? ', chunked' : '');
            is $r->status, 429, "$which: the status stays";
            like $r->header('Retry-After'), qr/^\d+$/, "$which: so does Retry-After";
            my $j = $r->json;
            is_deeply [@$j{qw(method length post content_length)}], ['GET', 0, {}, undef], "$which: the page gets no body";
            is $j->{formguard}{FORMGUARD_VERDICT}, 'refused', "$which: FORMGUARD_VERDICT";
            is $j->{formguard}{FORMGUARD_RULE}, "ip 1/10m$kind{$name}", "$which: FORMGUARD_RULE";
            is $j->{formguard}{REDIRECT_FORMGUARD_VERDICT}, 'refused', "$which: REDIRECT_FORMGUARD_VERDICT";
            is !!$r->closed, !$kind{$name}, "$which: the connection " . ($kind{$name} ? 'lives on' : 'is closed');
            $conn->close;
        }
        $httpd->log_ok("refused $name: one line each", qr/FG1000: /, qr/FG1100: refused 429/ => 2);
    }
}

# --- what is not a pass of its own --------------------------------------------------------------------

sub cgi_local_redirect
{
    my ($httpd, $stock) = @_;
    for my $s ($httpd, $stock) {
        $s->write_file('local/.htaccess', $ON) if $s == $httpd;
        $s->write_file('local/go.cgi', "#!/bin/sh\ncat >/dev/null\nprintf 'Location: /local/target.php\\r\\n\\r\\n'\n");
        $s->write_file('local/target.php', \'echo.php');
    }
    my @got = map { post($_, '/local/go.cgi', '198.51.100.3') } $httpd, $httpd, $httpd, $stock;
    my @seen = map { my $r = $_; my $j = eval { $r->json } || {}; [$r->status, @$j{qw(method length content_length post)}] } @got;
    is_deeply $seen[0], $seen[3], 'local redirect of a CGI script: as on a stock server' or diag explain \@seen;
    is $seen[0][1], 'GET', 'local redirect: the target sees a GET';
    is post($httpd, '/local/go.cgi', '198.51.100.3')->status, 429, 'local redirect: each was counted once';
    $httpd->log_ok('local redirect: one line each', qr/FG1000: .* form=\/local\/go\.cgi / => 3, qr/FG1100: /);
}

sub subrequests
{
    my ($httpd) = @_;
    for my $f (qw(ssi ssi-guarded)) {
        $httpd->write_file("$f/page.cgi", "#!/bin/sh\ncat >/dev/null\nprintf 'Content-Type: text/html\\r\\n\\r\\n"
            . "<!--#include virtual=\"/$f/part.php\"-->|<!--#include virtual=\"/$f/part.cgi\"-->'\n");
        $httpd->write_file("$f/part.php", '<?php echo "part of ", $_SERVER["REQUEST_METHOD"];');
        $httpd->write_file("$f/part.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nsecond part'\n");
        my $includes = "Options +Includes\n<Files page.cgi>\nSetOutputFilter INCLUDES\n</Files>\n";
        $httpd->write_file("$f/.htaccess", $f eq 'ssi' ? "$includes<FilesMatch ^part>\n$ON</FilesMatch>\n" : "$includes$ON");
    }
    my @bad = grep { $_->status != 200 || $_->body !~ /^part of \w+\|second part/ } map { post($httpd, '/ssi/page.cgi', '198.51.100.4') } 1 .. 5;
    is scalar @bad, 0, 'parts of a page are not posts' or diag $bad[0]->status . $bad[0]->body;
    $httpd->log_ok('and nothing is logged of them');
    my @got = map { post($httpd, '/ssi-guarded/page.cgi', '198.51.100.4') } 1 .. 4;
    is_deeply [map { $_->status } @got], [200, 200, 200, 429], 'the page itself is counted, its parts are not';
    like $got[0]->body, qr/^part of \w+\|second part/, 'and they are in it';
    $httpd->log_ok('one line a post', qr/FG1000: .* form=\/ssi-guarded\/page\.cgi / => 3, qr/FG1100: /);
}

sub detection_only
{
    my ($httpd) = @_;
    $httpd->write_file('detect/.htaccess', "FormGuard DetectionOnly\nFormGuardLimit ip 1/10m\n$WORDPRESS");
    $httpd->write_file('detect/index.php', \'echo.php');
    my @wrong = map { wrong(post($httpd, '/detect/contact/', '198.51.100.5'), $httpd, $_) } 'accepted', ('would-refuse') x 2;
    is "@wrong", '  ', 'DetectionOnly, rewritten: every post arrives whole';
    $httpd->log_ok('DetectionOnly: one line each', qr/FG1000: accepted/, qr/FG1100: would refuse 429/ => 2);
}

# A post that no form field makes a submission is judged once, too: it passes and is not counted.
sub not_a_submission
{
    my ($httpd) = @_;
    $httpd->write_file('search/.htaccess', "${ON}FormGuardFormField email\n$WORDPRESS");
    $httpd->write_file('search/index.php', \'echo.php');
    my @wrong = map { wrong(post($httpd, '/search/contact/', '198.51.100.6'), $httpd, 'not-judged') } 1 .. 5;
    is "@wrong", '    ', 'no submission, rewritten: every post arrives whole, none counts';
    $httpd->log_ok('no submission: nothing is logged');
}

# Action hands a post on to a script elsewhere, as a POST: where no post belongs, this one does not either.
sub action_into_a_denied_folder
{
    my ($httpd) = @_;
    for my $name ('guarded', 'detection', 'unguarded') {
        my $mode = {guarded => $ON, detection => "FormGuard DetectionOnly\nFormGuardLimit ip 100/1m\n", unguarded => ''}->{$name};
        for my $target (qw(denied open watched)) {
            $httpd->write_file("act-$name-$target/.htaccess", "${mode}Action x-$target /act-$target/run.php\nAddHandler x-$target .form\n");
            $httpd->write_file("act-$name-$target/a.form", '');
        }
    }
    $httpd->write_file("act-$_/run.php", \'echo.php') for qw(denied open watched);
    $httpd->write_file('act-denied/.htaccess', "FormGuard On\nFormGuardDeny On\n");
    $httpd->write_file('act-watched/.htaccess', "FormGuard DetectionOnly\nFormGuardDeny On\n");
    for my $name (qw(guarded detection unguarded)) {
        my $r = post($httpd, "/act-$name-denied/a.form", '198.51.100.8');
        is $r->status, 403, "Action of a folder $name into a denied one: refused";
        unlike $r->body, qr/sha256/, 'and nothing runs';
    }
    $httpd->log_ok('and told, with the file', qr/ FG1000: accepted: .* form=\/act-(?:guarded|detection)-denied\/a\.form / => 2,
        qr{ FG1220: refused 403: .* form=/act-\w+-denied/a\.form site=127\.0\.0\.1 file=\S+/act-denied/run\.php ref=\S{9}$} => 3);
    is wrong(post($httpd, '/act-guarded-open/a.form', '198.51.100.8'), $httpd, 'accepted'), '', 'Action into an open folder: the post arrives whole';
    is wrong(post($httpd, '/act-guarded-watched/a.form', '198.51.100.8'), $httpd, 'accepted'), '', 'and into one under DetectionOnly';
    $httpd->log_ok('judged once', qr/ FG1000: accepted: / => 2);
}

sub external_redirect
{
    my ($httpd) = @_;
    $httpd->write_file('moved/.htaccess', "${ON}RewriteEngine On\nRewriteRule ^old\$ /moved/new.php [R=307]\nRedirect 308 /moved/alias /moved/new.php\n");
    my @got = map { post($httpd, "/moved/$_", '198.51.100.7')->status } qw(old alias) x 3;
    is_deeply \@got, [(307, 308) x 3], 'a post sent elsewhere runs nothing';
    # A rewriting .htaccess answers in its handler, after ours; mod_alias before.
    $httpd->log_ok('and is not judged');
}

for (['event', 'fpm'], ['prefork', 'mod'], ['worker', 'cgi']) {
    my ($mpm, $php) = @$_;
    subtest "$mpm, PHP by $php" => sub {
        my @modules = (modules => [qw(proxy proxy_http negotiation include filter actions)]);
        my $stock = FormGuard::Httpd->new(mpm => $mpm, php => $php, module => 0, @modules, expect_log => [qr/ AH01071: /, '*']);
        my @cases = map { +{ %$_ } } @CASES;
        my $n = 0;
        @$_{qw(f ip)} = ('/f' . ++$n, "203.0.113.$n") for @cases;
        my $config = join "\n", 'RewriteEngine On', map { place($_->{config}, $_->{f}) } @cases;
        $config =~ s/\@BACK\@/$stock->port/ge;
        my $httpd = FormGuard::Httpd->new(mpm => $mpm, php => $php, @modules, config => $config, files => {});
        for my $c (@cases) {
            $c->{htaccess} =~ s/\@BACK\@/$stock->port/ge if defined $c->{htaccess};
            prepare($httpd, $c);
            run_case($httpd, $c);
        }
        error_document_of_another_status($httpd, $stock);
        error_document_of_a_refusal($httpd);
        cgi_local_redirect($httpd, $stock);
        subrequests($httpd);
        detection_only($httpd);
        not_a_submission($httpd);
        action_into_a_denied_folder($httpd);
        external_redirect($httpd);
        $httpd->done;
        $stock->done;
    };
}

done_testing;
