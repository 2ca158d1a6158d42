#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What a limit counts, by what, where it stands, and what is said of it.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Case;
use Test::More;

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my %FILES = ('form.cgi' => $SCRIPT);
my $OK = qr/ FG1000: accepted: /;
my $FULL = qr/ FG1100: refused 429: /;
my $ON = "FormGuard On\n";

# Requests: so many posts that pass, posts that are refused.
sub passes { my ($n, %o) = @_; return map { { form => 'a=1', status => 200, body => 'ran', %o } } 1 .. $n }
sub refused { my ($n, %o) = @_; return map { { form => 'a=1', status => 429, unlike => qr/ran/, %o } } 1 .. $n }

# Posts that fail after the limits on attempts: the body is no form.
sub broken { my ($n, %o) = @_; return map { { json => undef, body_bytes => '{', type => 'application/json', status => 400, %o } } 1 .. $n }

# Several folders of a case, the same script in each.
sub folders { return map { ("$_/form.cgi" => $SCRIPT) } @_ }

my @KEYS = (
    {
        name => 'ip: by client, with the answer and the line of a refusal',
        htaccess => $ON . "FormGuardLimit ip 2/10m\n",
        requests => [
            passes(2),
            refused(1,
                headers => {
                    'RateLimit-Policy' => '"ip";q=2;w=600', 'RateLimit' => qr/^"ip";r=0;t=\d+$/,
                    'Retry-After' => qr/^\d+$/, 'Cache-Control' => 'no-store',
                },
                test => sub {
                    my ($r) = @_;
                    my ($t) = $r->header('RateLimit') =~ /t=(\d+)/;
                    my $retry = $r->header('Retry-After');
                    is $retry, $t, 'Retry-After is when the window has room';
                    # A sixth of the period more than the period at most, and not less than the period less a sixth.
                    cmp_ok $retry, '<=', 700, 'at most 7/6 of the period';
                    cmp_ok $retry, '>=', 599, 'not before the first of them is ten minutes old';
                }),
            passes(1, from => '198.51.100.1'),
        ],
        log => [
            qr{ \[formguard:info\] .*\[client \S+\] FG1000: accepted: country=- form=/case\d+/form\.cgi site=127\.0\.0\.1$}, 3,
            qr{ \[formguard:notice\] .*\[client \S+\] FG1100: refused 429: too many posts: rule="ip 2/10m" count=2 rate=2/10m country=- form=/case\d+/form\.cgi site=127\.0\.0\.1 retry=\d+s ref=[0-9A-Z]{4}-[0-9A-Z]{4}$},
        ],
    },
    {
        name => 'form: by script, whoever posts and by whatever path info or query',
        htaccess => $ON . "FormGuardLimit form 3/10m\n",
        requests => [
            passes(1), passes(1, path => 'form.cgi/a/b', from => '198.51.100.2'), passes(1, path => 'form.cgi?x=1'),
            refused(1, headers => { 'RateLimit-Policy' => '"form";q=3;w=600' }),
            refused(1, path => 'form.cgi/c'), refused(1, path => './form.cgi//'), refused(1, path => '%66orm.cgi'),
            passes(1, path => 'other.cgi'),
        ],
        files => { %FILES, 'other.cgi' => $SCRIPT },
        log => [$OK => 4, $FULL => 4],
    },
    {
        name => 'form: two URLs of one script are one form',
        config => "Alias \@CASE\@/also \@HTDOCS\@\@CASE\@\n",
        htaccess => $ON . "FormGuardLimit form 2/10m\nDirectoryIndex form.cgi\nRewriteEngine On\nRewriteRule ^pretty\$ form.cgi\n"
            . "RewriteRule ^deep/(.*)\$ form.cgi/\$1\nRewriteRule ^env\$ form.cgi [E=X:1]\n",
        requests => [
            passes(2),
            (map { refused(1, path => $_) } 'pretty', 'env', 'deep/1', 'deep/2/3', ''),
            refused(1, path => 'also/form.cgi'), refused(1, path => 'also/pretty'),
        ],
        log => [$OK => 2, $FULL => 7],
    },
    {
        name => 'form: rewritten URLs first',
        htaccess => $ON . "FormGuardLimit form 4/10m\nRewriteEngine On\nRewriteRule ^deep/(.*)\$ form.cgi/\$1\n",
        requests => [
            passes(1, path => 'deep/1'), passes(1, path => 'deep/2/3'), passes(1, path => 'form.cgi/x'), passes(1),
            refused(1, path => 'deep/4'), refused(1),
        ],
        log => [$OK => 4, $FULL => 2],
    },
    {
        name => 'form: FallbackResource',
        config => "<Location \@CASE\@>\nFallbackResource \@CASE\@/form.cgi\n</Location>\n",
        htaccess => $ON . "FormGuardLimit form 3/10m\n",
        requests => [passes(1, path => 'no/such'), passes(1), passes(1, path => 'nor/this/one'), refused(1, path => 'new'), refused(1)],
        log => [$OK => 3, $FULL => 2],
    },
    {
        name => 'form: virtual hosts count apart, the names of one together',
        config => join('', map { "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $_.test\nServerAlias also-$_.test\nDocumentRoot \@HTDOCS\@\n</VirtualHost>\n" } qw(a b))
            . "# \@CASE\@\n",
        htaccess => $ON . "FormGuardLimit form 2/10m\n",
        requests => [
            passes(1, send => [Host => 'a.test']), passes(1, send => [Host => 'also-a.test']),
            refused(1, send => [Host => 'a.test'], log => [qr/ FG1100: .* site=a\.test /]),
            refused(1, send => [Host => 'also-a.test'], log => [qr/ FG1100: .* site=a\.test /]),
            passes(2, send => [Host => 'b.test']),
            refused(1, send => [Host => 'b.test'], log => [qr/ FG1100: .* site=b\.test /]),
        ],
        log => [$OK => 4],
    },
);

my @RATES = (
    {
        name => 'several rates: each is kept',
        htaccess => $ON . "FormGuardLimit ip 100/1m 2/1d 3/h\n",
        requests => [
            passes(2),
            refused(1, headers => { 'RateLimit-Policy' => '"ip";q=2;w=86400' },
                log => [qr{ FG1100: .* rule="ip 100/1m 2/1d 3/h" count=2 rate=2/1d }]),
        ],
        log => [$OK => 2],
    },
    {
        name => 'several rates: the post a later rate refuses is not counted by an earlier one',
        htaccess => $ON . "FormGuardLimit ip 3/1h 2/1s\n",
        requests => [
            passes(2),
            refused(5, log => [qr{ FG1100: .* rate=2/1s .* retry=[12]s ref=\S{9}$}], test => sub {
                is $_[0]->header('Retry-After') > 0, 1, 'told when';
            }),
            { %{(passes(1))[0]}, test => sub { }, from => '198.51.100.3' },
        ],
        log => [$OK => 3],
    },
    {
        name => 'several limits of one scope are all kept',
        htaccess => $ON . "FormGuardLimit ip 3/10m\nFormGuardLimit form 2/10m\n",
        requests => [
            passes(2, from => '198.51.100.4'),
            refused(1, log => [qr{ FG1100: .* rule="form 2/10m" }]),
            refused(1, from => '198.51.100.4', log => [qr{ FG1100: .* rule="form 2/10m" }]),
            refused(1, from => '198.51.100.4', log => [qr{ FG1100: .* rule="ip 3/10m" }]),
        ],
        log => [$OK => 2],
    },
    {
        name => 'action=log passes and says so',
        htaccess => $ON . "FormGuardLimit ip 1/10m action=log\nFormGuardLimit ip 3/10m action=refuse\n",
        requests => [
            passes(1),
            passes(2, headers => { 'Retry-After' => undef, RateLimit => undef },
                log => [qr{ \[formguard:notice\] .* FG1100: logged only 429: too many posts: rule="ip 1/10m action=log" count=1 rate=1/10m }]),
            refused(1, log => [
                qr{ FG1100: logged only 429: too many posts: rule="ip 1/10m action=log" },
                qr{ FG1100: refused 429: too many posts: rule="ip 3/10m action=refuse" },
            ]),
        ],
        log => [$OK => 3],
    },
    {
        name => 'words in any case, white space as it comes',
        htaccess => "formguard oN\nFORMGUARDLIMIT   IP\t1/10m   ACTION=Refuse   Count=Attempts\n",
        requests => [passes(1), refused(1, log => [qr{ rule="IP 1/10m ACTION=Refuse Count=Attempts" }])],
        log => [$OK],
    },
);

my @COUNTED = (
    {
        name => 'attempts: a post that fails later counts',
        htaccess => $ON . "FormGuardLimit ip 3/10m\n",
        requests => [broken(2), passes(1), refused(1)],
        log => [$OK, $FULL, qr/ FG1300: refused 400: /, 2],
    },
    {
        name => 'accepted: a post that fails later does not',
        htaccess => $ON . "FormGuardLimit ip 2/10m count=accepted\n",
        requests => [broken(4), passes(1), broken(1), passes(1), refused(1)],
        log => [$OK => 2, $FULL, qr/ FG1300: refused 400: /, 5],
    },
    {
        name => 'form counts what is accepted, count=attempts everything',
        htaccess => $ON . "FormGuardLimit form 1/10m\n",
        requests => [broken(3), passes(1), refused(1)],
        log => [$OK, $FULL, qr/ FG1300: refused 400: /, 3],
    },
    {
        name => 'form count=attempts',
        htaccess => $ON . "FormGuardLimit form 3/10m count=attempts\n",
        requests => [broken(2, from => '198.51.100.5'), passes(1), refused(1)],
        log => [$OK, $FULL, qr/ FG1300: refused 400: /, 2],
    },
    {
        name => 'what another limit refuses is given back to form',
        htaccess => $ON . "FormGuardLimit form 3/10m\nFormGuardLimit ip 1/10m count=accepted\n",
        requests => [
            passes(1, from => '198.51.100.11'),
            refused(4, from => '198.51.100.11', log => [qr/ FG1100: .* rule="ip 1\/10m count=accepted" /]),
            passes(1, from => '198.51.100.12'), passes(1, from => '198.51.100.13'),
            refused(1, from => '198.51.100.14', log => [qr/ FG1100: .* rule="form 3\/10m" /]),
        ],
        log => [$OK => 3],
    },
    {
        name => 'what is no submission gives its attempts back',
        htaccess => $ON . "FormGuardFormField mail\nFormGuardLimit ip 2/10m\nFormGuardLimit form 2/10m\n",
        requests => [
            passes(5), passes(1, form => 'mail=x'), passes(3), passes(1, form => 'mail='),
            refused(1, form => 'mail=y', log => [qr/ FG1100: .* rule="ip 2\/10m" /]),
            passes(1, from => '198.51.100.15'),
            refused(1, form => 'mail=z', from => '198.51.100.15', log => [qr/ FG1100: .* rule="form 2\/10m" /]),
        ],
        log => [$OK => 2],
    },
);

my @PLACES = (
    {
        name => 'rules add up from the server down, each with its own count, and what one refuses is given back to all',
        config => "FormGuardLimit ip 4/10m\n<Location \@CASE\@>\nFormGuard On\n</Location>\n"
            . "<Location \@CASE\@/a>\nFormGuardLimit ip 3/1h\n</Location>\n",
        files => { folders(qw(a/b a/c d)), 'a/b/.htaccess' => "FormGuardLimit ip 2/1d\n" },
        requests => [
            passes(2, path => 'a/b/form.cgi'),
            refused(3, path => 'a/b/form.cgi', log => [qr{ rule="ip 2/1d" }]),
            passes(1, path => 'a/c/form.cgi'),
            refused(3, path => 'a/c/form.cgi', log => [qr{ rule="ip 3/1h" }]),
            passes(1, path => 'd/form.cgi'),
            refused(1, path => 'd/form.cgi', log => [qr{ rule="ip 4/10m" }]),
        ],
        log => [$OK => 4],
    },
    {
        name => 'a virtual host inherits the rules of the server and their counts',
        config => "FormGuardLimit ip 3/10m\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName a.test\nDocumentRoot \@HTDOCS\@\nFormGuard On\nFormGuardLimit ip 2/1h\n</VirtualHost>\n"
            . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName b.test\nDocumentRoot \@HTDOCS\@\nFormGuard On\nFormGuardLimit ip 2/1h\n</VirtualHost>\n# \@CASE\@\n",
        requests => [
            passes(2, send => [Host => 'a.test']),
            refused(1, send => [Host => 'a.test'], log => [qr{ rule="ip 2/1h" .* site=a\.test }]),
            passes(1, send => [Host => 'b.test']),
            refused(1, send => [Host => 'b.test'], log => [qr{ rule="ip 3/10m" .* site=b\.test }]),
        ],
        log => [$OK => 3],
    },
    {
        name => 'URLs that lead to no file are one form, whatever they are called',
        htaccess => $ON . "FormGuardLimit form 3/10m\n",
        requests => [
            (map { { form => 'a=1', path => $_, status => 404 } } 'a', 'b/c/d.php', 'e.html'),
            (map { refused(1, path => $_, log => [qr{ rule="form 3/10m" count=3 .* form=/case\d+/\Q$_\E }]) } 'f', 'g/h', 'i.php/j'),
            passes(3), refused(1, log => [qr{ FG1100: .* form=/case\d+/form\.cgi }]),
        ],
        log => [$OK => 6],
    },
    {
        name => 'and so they are to a handler that finds no file',
        config => "# \@CASE\@\n", htaccess => $ON . "FormGuardLimit form 2/10m\n",
        requests => [
            (map { { form => 'a=1', path => $_, status => 404 } } 'a.cgi', 'b.cgi/c'), refused(1, path => 'd.cgi'),
            (map { { form => 'a=1', path => $_, status => 404 } } 'a', 'b'), refused(1, path => 'c'),
        ],
        log => [$OK => 4, $FULL => 2, qr{ AH0(?:1264|2811): .*script not found} => 2],
    },
    {
        name => 'the same rule twice counts once',
        htaccess => $ON . "FormGuardLimit ip 4/10m\nFormGuardLimit ip 4/10m\nFormGuardLimit  ip   4/10m\n",
        requests => [passes(4), refused(1)],
        log => [$OK => 4, $FULL],
    },
    {
        name => 'the same rule in server config and virtual host are two places',
        config => "FormGuardLimit ip 2/10m\nFormGuardLimit ip 2/10m\n<Location \@CASE\@>\nFormGuard On\nFormGuardLimit ip 2/10m\n</Location>\n",
        requests => [passes(2), refused(1)],
        log => [$OK => 2, $FULL],
    },
    {
        name => 'the same words in two .htaccess count apart, inside <Files> and <If> of the same name, too',
        files => {
            folders(qw(a b)),
            map { ("$_/.htaccess" => "$ON<Files form.cgi>\nFormGuardLimit ip 2/10m\n</Files>\n<If \"true\">\nFormGuardLimit form 3/10m\n</If>\n") } qw(a b)
        },
        requests => [
            map { my $p = "$_/form.cgi";
                (passes(2, path => $p), refused(1, path => $p, log => [qr{ rule="ip 2/10m" }]),
                passes(1, path => $p, from => "198.51.100.2$_" =~ tr/ab/12/r),
                refused(1, path => $p, from => '198.51.100.30', log => [qr{ rule="form 3/10m" }])) } qw(a b)
        ],
        log => [$OK => 6],
    },
    {
        name => 'the same words in <Files> of two <Directory> count apart',
        config => join('', map { "<Directory \@HTDOCS\@\@CASE\@/$_>\n$ON<Files form.cgi>\nFormGuardLimit ip 1/10m\n</Files>\n</Directory>\n" } qw(a b)),
        files => { folders(qw(a b)) },
        requests => [map { (passes(1, path => "$_/form.cgi"), refused(1, path => "$_/form.cgi")) } qw(a b)],
        log => [$OK => 2, $FULL => 2],
    },
    {
        name => 'the same words in two <If> of the server config count apart',
        config => join('', map { "<If \"%{REQUEST_URI} =~ m#^\@CASE\@/$_/#\">\n${ON}FormGuardLimit ip 1/10m\n</If>\n" } qw(a b)),
        files => { folders(qw(a b)) },
        requests => [map { (passes(1, path => "$_/form.cgi"), refused(1, path => "$_/form.cgi")) } qw(a b)],
        log => [$OK => 2, $FULL => 2],
    },
);

my @DEFAULT = (
    {
        name => 'a bare FormGuard On is ip 10/10m 60/1d, and says so once',
        config => "# \@CASE\@\n",
        htaccess => $ON,
        requests => [passes(10), refused(2, log => [qr{ FG1100: .* rule="ip 10/10m 60/1d" count=10 rate=10/10m }])],
        log => [$OK => 10,
            qr{ \[formguard:notice\] .* FG2003: FormGuard On without any rule means FormGuardLimit ip 10/10m 60/1d$}],
    },
    {
        name => 'any rule replaces it',
        config => "# \@CASE\@\n",
        files => { folders(qw(a b)), 'a/.htaccess' => $ON . "FormGuardLimit form 100/1h\n", 'b/.htaccess' => $ON . "FormGuardCaptcha off\n" },
        requests => [passes(12, path => 'a/form.cgi'), passes(10, path => 'b/form.cgi'), refused(1, path => 'b/form.cgi')],
        log => [$OK => 22, $FULL, qr/ FG2003: /],
    },
    {
        name => 'where FormGuard On stands is where the default counts',
        config => "# \@CASE\@\n",
        files => { folders(qw(a b)), map { ("$_/.htaccess" => $ON) } qw(a b) },
        requests => [passes(10, path => 'a/form.cgi'), passes(10, path => 'b/form.cgi'), refused(1, path => 'b/form.cgi')],
        log => [$OK => 20, $FULL, qr/ FG2003: /],
    },
);

FormGuard::Case::run({ mpm => 'event', path => 'form.cgi', files => \%FILES }, @KEYS, @RATES, @COUNTED, @PLACES, @DEFAULT);

done_testing;
