#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The status page shows every customer's paths, clients and rules: whoever writes a .htaccess can have any handler, and
# must not have this one, by whatever way httpd comes from his file to a handler.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use Test::More;

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my $SET = "SetHandler formguard-status\n";
my $TYPED = "#!/bin/sh\nprintf 'Content-Type: formguard-status\\r\\nLocation: /plain.unknown\\r\\n\\r\\n'\n";

# Customers' files: folder => its .htaccess.
my %HTACCESS = (
    set => $SET,
    expression => "SetEnvIf Host . SHOWN=formguard-status\nSetHandler %{reqenv:SHOWN}\n",
    add => "AddHandler formguard-status .st\n",
    forced => "RewriteEngine On\nRewriteRule ^page\\.st\$ - [H=formguard-status]\n",
    files => "<Files page.st>\n$SET</Files>\n",
    if => "<If \"true\">\n$SET</If>\n",
    else => "<If \"false\">\n</If>\n<Else>\n$SET</Else>\n",
    limit => "<LimitExcept PUT>\n$SET</LimitExcept>\n",
    type => "AddType formguard-status .st\n",
    force => "ForceType \"formguard-status; a=b\"\n",
    internal => "RewriteEngine On\nRewriteRule ^page\\.st\$ /set/page.st\n",
    located => "RewriteEngine On\nRewriteRule ^page\\.st\$ /formguard-status\n",
    error => "ErrorDocument 404 /set/page.st\n",
    # Their own folder only: httpd comes here by a fast redirect from one that has no file.
    'index/below' => $SET,
    'fallback/below' => $SET,
    'index-type/below' => "ForceType formguard-status\n",
    open => $SET . "Satisfy any\n",
);
my %files = (
    'own/form.cgi' => $SCRIPT, 'none/.htaccess' => $SET, 'none/page.st' => 'x',
    'cust/plain.unknown' => 'a file', 'cust/typed.cgi' => $TYPED, 'cust/page.served' => 'a file', 'cust/ssi/page.shtml' => "<!--#include virtual=\"below/page.st\" -->\n",
    'cust/ssi/below/.htaccess' => $SET, 'cust/ssi/below/page.st' => 'x', 'cust/server/.htaccess' => "SetHandler server-status\n", 'cust/server/page' => 'x',
    'cust/parent/.htaccess' => $SET, 'cust/parent/a/b/page.st' => 'x',
    'users/kim/www/.htaccess' => $SET, 'users/kim/www/page.st' => 'x', 'named/.rules' => $SET, 'named/page.st' => 'x',
    map({ ("cust/$_/.htaccess" => $HTACCESS{$_}, "cust/$_/page.st" => 'x') } keys %HTACCESS),
);
delete $files{'cust/error/page.st'};

sub vhost { my ($name, $lines, $root) = @_; return "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $name.test\nDocumentRoot \@HTDOCS\@/" . ($root // $name) . "\n$lines</VirtualHost>\n" }

my $STATUS = "<Location /formguard-status>\n${SET}FormGuardStatusOpen On\n</Location>\n";
my $httpd = FormGuard::Httpd->new(
    mpm => 'event', modules => [qw(include status userdir access_compat)], files => \%files,
    config => "FormGuardLimit form 1/10m action=close:1h\nAddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\nAddType formguard-status .served\n"
        . vhost(own => "FormGuard On\n$STATUS")
        . vhost(none => "$STATUS<Directory \@HTDOCS\@/none>\nAllowOverride None\n</Directory>\n")
        . vhost(cust => "$STATUS<Directory \@HTDOCS\@/cust>\nOptions FollowSymLinks ExecCGI Includes\nDirectoryIndex below/page.st\n</Directory>\n"
            . "<Directory \@HTDOCS\@/cust/fallback>\nDirectoryIndex disabled\nFallbackResource /fallback/below/page.st\n</Directory>\n<Location /open>\nFormGuardStatusOpen On\nRequire all denied\n</Location>\n")
        . vhost(users => "UserDir \@HTDOCS\@/users/*/www\n", 'own')
        . vhost(named => "AccessFileName .other .rules\n"),
);
# As a .htaccess of his parent folder would be in force everywhere below.
unlink map { $httpd->htdocs . "/cust/$_/.htaccess" } qw(index fallback index-type);
my $c = $httpd->client;

sub asks { my ($method, $host, $path, %o) = @_; return $c->request($method, $path, %o, headers => [Host => "$host.test", @{$o{headers} || []}]) }
sub posts { return $c->post('/form.cgi', form => 'a=1', headers => [Host => 'own.test'])->status }
sub closed { return scalar @{asks(GET => 'own', '/formguard-status?json')->json->{closed_forms}} }
sub is_hidden { my ($r, $what) = @_; is join(' ', $r->body =~ /mod_formguard|formguard_|form\.cgi|closed_forms|own\.test/g), '', "$what: nothing is shown" }
my $line = sub { my ($dir) = @_; return qr{ \[formguard:warn\] .* FG2009: the status page is not shown where a \.htaccess is in force: dir=\S+/htdocs/$dir/: } };

is join(' ', map { posts() } 1 .. 3), '200 503 503', 'a form is closed';
like asks(GET => 'own', '/formguard-status')->body, qr/form\.cgi/, 'shown in a <Location> where no .htaccess is';
like asks(GET => 'none', '/formguard-status')->body, qr/form\.cgi/, 'and where AllowOverride is None';
is asks(GET => 'none', '/page.st')->body, 'x', 'which takes no SetHandler';
$httpd->log_ok('verdicts', qr/ FG1000: /, qr/ FG1101: / => 3);

my @PATHS = ((map { "/$_/page.st" } grep { !m{/|type|force$} } sort keys %HTACCESS), '/parent/a/b/page.st', '/parent/a/b/nothing', '/parent/a/b/');
for my $path (@PATHS) {
    for my $form ('', '?json', '?prometheus') {
        my $r = asks(GET => 'cust', "$path$form");
        is $r->status, $path =~ m{^/error/} ? 404 : 403, "$path$form";
        is_hidden($r, "$path$form");
    }
    my $r = asks(HEAD => 'cust', $path);
    cmp_ok $r->status, '>=', 403, "$path: HEAD";
    $r = asks(POST => 'cust', $path, form => { open => 'form=/form.cgi site=own.test' }, headers => [Origin => 'http://cust.test', 'Sec-Fetch-Site' => 'same-origin']);
    cmp_ok $r->status, '>=', 403, "$path: POST";
    is_hidden($r, "$path: POST");
}
is closed(), 1, 'nor is the form opened';
$httpd->log_ok('which is said once', $line->('cust/\S+'), qr/ AH01276: /, '*', qr/ AH01797: | AH01630: /, '*');

# mod_dir puts another request in place of this one, whose folder has the file.
for my $path ('/index/', '/index-type/', '/fallback/nothing') {
    my $r = asks(GET => 'cust', $path);
    is $r->status, $path =~ /type/ ? 200 : 403, $path;
    is_hidden($r, $path);
}
is_hidden(asks(GET => 'cust', '/ssi/page.shtml'), 'included in a page');

# What httpd takes for a handler where there is none.
for my $path ('/type/page.st', '/force/page.st', '/page.served', '/typed.cgi') {
    my $r = asks(GET => 'cust', $path);
    is $r->status, 200, "$path: a file of that type";
    is_hidden($r, $path);
}

# Where the files lie elsewhere, or have another name.
is asks(GET => 'users', '/~kim/page.st')->status, 403, 'mod_userdir';
is asks(GET => 'named', '/page.st')->status, 403, 'AccessFileName';
$httpd->log_ok('each site once', qr{ unable to include "below/page\.st" .* returned 403}, qr/ AH01599: /, 3, $line->('users/kim/www'), $line->('named'));

# mod_status is httpd's; what we say there are totals.
my $auto = asks(GET => 'cust', '/server/page?auto')->body;
cmp_ok scalar(() = $auto =~ /^FormGuard\w+: \d+$/mg), '>', 5, 'mod_status has our totals';
is_deeply [$auto =~ /^(FormGuard\w+: .*[^\d\n].*)$/mg], [], 'and nothing but figures';
$httpd->done;

done_testing;
