#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What the guard judges is what PHP runs: every spelling of a URL that makes PHP run the mailer is refused wherever
# the directives stand, and what is refused does not run.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use Test::More;

# What it was given, and whether somebody has judged it.
my $FORM = <<'PHP';
<?php
header('Content-Type: application/json');
echo json_encode(['post' => $_POST['message'] ?? null, 'input' => file_get_contents('php://input'),
    'request' => $_REQUEST['message'] ?? null, 'verdict' => $_SERVER['FORMGUARD_VERDICT'] ?? null]);
PHP

# Refuses every post that is judged, asking nobody.
my $REFUSE = "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSiteKey k\nFormGuardCaptchaSecret s\n";

# Where the directives stand: [.htaccess of the form's folder, the virtual host].
my %PLACE = (
    none      => ['', ''],
    htaccess  => [$REFUSE, ''],
    htpath    => ["${REFUSE}FormGuardPath /d/form.php\n", ''],
    files     => ["<Files form.php>\n$REFUSE</Files>\n", ''],
    location  => ['', "<Location /d/form.php>\n$REFUSE</Location>\n"],
    directory => ['', "<Directory \@ROOT\@/d>\n$REFUSE</Directory>\n"],
    path      => ['', "${REFUSE}FormGuardPath /d/form.php\n"],
    php       => ['', "${REFUSE}FormGuardPath *.php *.php/*\n"],
);

# Virtual hosts that read URLs otherwise.
my %HOST = (
    plain    => '',
    decode   => "AllowEncodedSlashes On\n",
    nodecode => "AllowEncodedSlashes NoDecode\n",
    slashes  => "MergeSlashes Off\n",
    rewrite  => "RewriteEngine On\nRewriteRule ^/pt /d/form.php [PT]\nRewriteRule ^/file \@ROOT\@/d/form.php [L]\n"
        . "RewriteRule ^/short /d/form.php [L]\nAliasMatch ^/am/(.*) \@ROOT\@/d/\$1\n",
    pass     => "ProxyPassMatch \"^/(.*\\.php(/.*)?)\$\" \"unix:\@DIR\@/run/fpm.sock|fcgi://localhost\@ROOT\@/\$1\"\n",
);

my $HTACCESS = "RewriteEngine On\nRewriteRule ^pretty\$ form.php\nOptions +MultiViews\nMultiviewsMatch Any\nDirectoryIndex form.php\n"
    . "CheckSpelling On\nErrorDocument 300 /d/form.php\nErrorDocument 404 /d/form.php\n";

# Another URL of the same folder or file, as httpd sees it: <Location> is for the URL alone.
my @URL = qw(location);

# [spellings], virtual host, in which places httpd itself knows nothing of the guard
my @RUN = (
    [[qw(/d/form.php /d//form.php //d/form.php ///d///form.php /d/./form.php /./d/form.php /d/x/../form.php /d/sub/../form.php
        /d/.%2e/d/form.php /d/%66orm.php /%64/form%2Ephp /d/form.php/ /d/form.php/x /d/form.php/x.php /d/form.php/../form.php
        /d/form.php?x /d/form.php?a=/d/other.php /d/form /d/form/x /d/ /d/pretty http://plain-@PLACE@.test/d/form.php)], 'plain'],
    [['/twin/form.php', '/twin/form.php/x'], 'plain', @URL],
    [['/twin/pretty'], 'plain'],
    # A link is a place of its own, to httpd and to everything that goes by paths.
    [['/link/form.php'], 'plain', qw(location directory htpath path)],
    [['/other/form.php'], 'plain', qw(location directory htpath path htaccess files)],
    [[qw(/d/form.php%2Fx /d%2Fform.php /d/%2Fform.php /%2Fd/form.php /d/x%2F..%2Fform.php)], 'decode'],
    [[qw(/d/form.php /d/form.php/%2Fx /d/form.php/a%2Fb)], 'nodecode'],
    [[qw(/d/form.php //d/form.php /d//form.php /d//form.php//x /d/form.php//x ///d/.//form.php /d////form.php////x////y)], 'slashes'],
    [['/pt', '/pt/x'], 'rewrite'],
    [[qw(/file /short /am/form.php /am/form.php/x)], 'rewrite', @URL],
    # Nobody looks for a folder or a file of what is proxied.
    [[qw(/d/form.php /d/form.php/x /d//form.php //d/form.php /d/form.php/x.php /d/x/../form.php /d/%66orm.php /d/none.php/../form.php)],
        'pass', qw(htaccess htpath files directory)],
);

# Nothing that could be mailed reaches PHP, by whatever way the answer comes about (some are an ErrorDocument,
# which PHP runs by GET).
my @RUN_NOT = (
    [[qw(/D/FORM.PHP /d/FORM.php /d/forn.php /d/form.php. /d/form.php%20 /d/form.php%00 /d/form.php;x /d/form.php;/x /d/form.php%3Fx
        /d/form.php%23x /d/form.php~ /d /d/none /d/form.php%2Fx /d%2Fform.php /d/..%2Fd/form.php /php-cgi/php/d/form.php), '/d/form.php\\x'], 'plain'],
    [[qw(/d/form.php%2F..%2F.. %2Fd/form.php)], 'decode'],
    [[qw(/d/form.php%2Fx /d%2Fform.php)], 'nodecode'],
    [[qw(/twin/form.php /d/form.php%2Fx /d/form.php%3Fx /d/form.php%23 /d/FORM.php)], 'pass'],
);

my ($httpd, $mpm, $php);

sub server
{
    my $config = '';
    for my $place (sort keys %PLACE) {
        for my $host (grep { $_ ne 'pass' || $php eq 'fpm' } sort keys %HOST) {
            my $text = "Alias /twin \@ROOT\@/d\n$PLACE{$place}[1]$HOST{$host}" =~ s{\@ROOT\@}{\@HTDOCS\@/$place}gr;
            $config .= "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $host-$place.test\nDocumentRoot \@HTDOCS\@/$place\n$text</VirtualHost>\n";
        }
    }
    my %files = map { ("$_/d/form.php" => $FORM, "$_/d/sub/x.txt" => '', "$_/other/x.txt" => '', "$_/d/.htaccess" => "$HTACCESS$PLACE{$_}[0]") } keys %PLACE;
    $httpd = FormGuard::Httpd->new(mpm => $mpm, php => $php, modules => [qw(negotiation speling actions)], config => $config, files => \%files);
    for my $place (keys %PLACE) {
        my $root = $httpd->htdocs . "/$place";
        symlink "$root/d", "$root/link" or die "link: $!\n";
        symlink '../d/form.php', "$root/other/form.php" or die "link: $!\n";
    }
    $httpd->expect_log(qr/ FG1400: refused 403: / => '*', qr/ FG1000: / => '*', qr/ AH\d+: / => '*',
        qr/ script '\S+' not found or unable to stat$/ => '*', qr/ malformed header from script 'php': .*Security Alert/ => '*');
    return;
}

# What the script saw of the message, or undef where it was not run.
sub mailed
{
    my ($place, $host, $path, %o) = @_;
    my $method = $o{method} || 'POST';
    my $r = eval {
        $httpd->client->request($method, $path =~ s/\@PLACE\@/$place/r, $method eq 'GET' ? () : (form => { message => 'hi' }),
            headers => [Host => "$host-$place.test", @{$o{headers} || []}]);
    } or return "no answer: $@";
    my $j = eval { $r->json } || {};
    return undef if !exists $j->{verdict};
    return join ' ', grep { defined } (defined $j->{post} ? 'post' : undef), (length $j->{input} ? 'input' : undef), (defined $j->{request} ? 'request' : undef);
}

sub spellings
{
    for (grep { $_->[1] ne 'pass' || $php eq 'fpm' } @RUN) {
        my ($paths, $host, @open) = @$_;
        my %open = map { $_ => 1 } 'none', @open;
        for my $path (@$paths) {
            my %got = map { $_ => mailed($_, $host, $path) } keys %PLACE;
            my @wrong = map { $open{$_} ? ("$_: " . ($got{$_} // 'not run')) x (($got{$_} // '') !~ /^post/) : defined $got{$_} ? "$_: $got{$_}" : () } sort keys %got;
            is "@wrong", '', "$host: $path";
        }
    }
    for (grep { $_->[1] ne 'pass' || $php eq 'fpm' } @RUN_NOT) {
        my ($paths, $host) = @$_;
        for my $path (@$paths) {
            # What is posted elsewhere is hidden from an ErrorDocument only where that is guarded.
            my @wrong = map { my $m = mailed($_, $host, $path); length $m // '' ? "$_: $m" : () } grep { $_ ne 'none' } sort keys %PLACE;
            is "@wrong", '', "$host: $path is not mailed";
        }
    }
    return;
}

# Only POST fills $_POST. What else a script may read is told in the manual: FormGuardMethods.
sub methods
{
    for my $method (qw(PUT PATCH DELETE FOO OPTIONS PROPFIND)) {
        is mailed('path', 'plain', '/d/form.php', method => $method), 'input', "$method: not guarded, and \$_POST is empty";
    }
    for my $how (['?_method=POST'], ['', 'X-HTTP-Method-Override' => 'POST']) {
        my ($query, @headers) = @$how;
        is mailed('path', 'plain', "/d/form.php$query", method => 'GET', headers => \@headers), '', "GET with @$how: \$_POST is empty";
    }
    is mailed('path', 'plain', '/d/form.php', headers => ['X-HTTP-Method-Override' => 'GET']), undef, 'POST that says it is GET is a POST';
    is mailed('path', 'plain', '/d/form.php', method => $_), undef, "$_ is POST" for qw(post Post pOST);
    is mailed('path', 'plain', '/d/form.php?message=hi', method => 'GET'), 'request', '$_REQUEST is filled by GET';

    $httpd->write_file('path/d/.htaccess', "FormGuardMethods POST GET\nFormGuardFormField message\n");
    $httpd->write_file('htaccess/d/.htaccess', "${REFUSE}FormGuardMethods *\nFormGuardFormField message\n");
    is mailed('htaccess', 'plain', '/d/form.php', method => 'GET'), '', 'FormGuardFormField: the form can be looked at';
    is mailed('htaccess', 'plain', '/d/form.php?message=hi', method => $_), undef, "FormGuardMethods *: by $_ nothing is sent"
        for qw(GET POST PUT FOO PROPFIND OPTIONS get);
    $httpd->write_file('htaccess/d/.htaccess', "${REFUSE}FormGuardMethods POST GET\nFormGuardFormField message\n");
    is mailed('htaccess', 'plain', '/d/form.php?message=hi', method => 'GET'), undef, 'FormGuardMethods GET: nothing is sent';
    # The answer to HEAD has no body: the status tells.
    my @head = (headers => [Host => 'plain-htaccess.test']);
    is $httpd->client->request('HEAD', '/d/form.php?message=hi', @head)->status, 403, 'nor by HEAD';
    is $httpd->client->request('HEAD', '/d/form.php', @head)->status, 200, 'which looks at the form otherwise';
    is mailed('htaccess', 'plain', '/d/form.php', method => 'PUT'), 'input', 'PUT was not named';
    return;
}

for (['event', 'fpm'], ['prefork', 'mod'], ['worker', 'cgi']) {
    ($mpm, $php) = @$_;
    subtest "$mpm, PHP by $php" => sub {
        server();
        spellings();
        methods();
        $httpd->done;
    };
}

done_testing;
