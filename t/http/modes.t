#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What is guarded and what is left alone: modes, form fields, paths, every context; and what the application is told.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Process;
use Test::More;

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my %FILES = ('form.cgi' => $SCRIPT);
my $OK = qr/ FG1000: accepted: /;
my $MISSING = qr/ FG1400: refused 403: captcha token missing: /;

# Refuses every post that is judged, asking nobody, counting nothing.
my $RULES = "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSiteKey k\nFormGuardCaptchaSecret s\n";
my $REFUSE = "FormGuard On\n$RULES";

my $dir = FormGuard::Process::private_dir();
system($^X, FormGuard::Httpd::forms_dir() . '/../make-mmdb', "$dir/c.mmdb", '192.0.2.0/24=JP', '198.51.100.0/24=HK')
    and die "make-mmdb failed\n";

# The application got exactly this body, and was told this.
sub got
{
    my ($body, %told) = @_;
    return sub {
        my $seen = eval { $_[0]->json } || {};
        is $seen->{sha256}, sha256_hex($body), 'the body is whole' if defined $body;
        is_deeply $seen->{formguard}, \%told, 'what the application is told';
    };
}

# --- DetectionOnly, Off ------------------------------------------------------------------------

my $DETECT = "FormGuard DetectionOnly\n";
my $LONG = 'a=' . join '', map { sprintf '%07d;', $_ } 1 .. 30_000;    # 240 KB

my @MODES = (
    {
        name => 'DetectionOnly: counted and logged as if, and delivered',
        path => 'echo.php',
        htaccess => "${DETECT}FormGuardLimit ip 2/10m\nFormGuardLimit form 5/10m\n",
        requests => [
            (map { { form => "a=$_", status => 200, test => got("a=$_", FORMGUARD_VERDICT => 'accepted'), log => [$OK] } } 1, 2),
            (map { { form => "a=$_", status => 200, headers => { 'Retry-After' => undef, RateLimit => undef },
                test => got("a=$_", FORMGUARD_VERDICT => 'would-refuse', FORMGUARD_RULE => 'ip 2/10m'),
                log => [qr{ \[formguard:notice\] .* FG1100: would refuse 429: too many posts: rule="ip 2/10m" count=2 rate=2/10m country=- form=/case\d+/echo\.php site=127\.0\.0\.1 retry=\d+s$}] } } 3, 4),
            { form => 'a=b', from => '198.51.100.1', status => 200, test => got('a=b', FORMGUARD_VERDICT => 'accepted'), log => [$OK] },
        ],
    },
    {
        name => 'DetectionOnly: no reason stops a post or a byte of it',
        path => 'echo.php', global => "FormGuardGeoDatabase $dir/c.mmdb",
        htaccess => "${DETECT}FormGuardCountry HK refuse\nFormGuardBodyLimit 100K\nFormGuardCaptcha recaptcha-v2\n",
        requests => [
            { form => 'a=1', from => '198.51.100.1', status => 200, log => [qr/ FG1200: would refuse 403: /],
                test => got('a=1', FORMGUARD_VERDICT => 'would-refuse', FORMGUARD_RULE => 'HK refuse', FORMGUARD_COUNTRY => 'HK') },
            { form => 'a=1', from => '192.0.2.1', status => 200, log => [qr/ FG1400: would refuse 403: /],
                test => got('a=1', FORMGUARD_VERDICT => 'would-refuse', FORMGUARD_RULE => 'recaptcha-v2', FORMGUARD_COUNTRY => 'JP') },
            { form => 'g-recaptcha-response=x%01', from => '192.0.2.1', status => 200, log => [qr/ FG1401: would refuse 403: /] },
            { body_bytes => '{"a":', type => 'application/json', from => '192.0.2.1', status => 200, log => [qr/ FG1300: would refuse 400: /],
                test => got('{"a":', FORMGUARD_VERDICT => 'would-refuse', FORMGUARD_COUNTRY => 'JP') },
            (map { { body_bytes => $LONG, type => 'application/x-www-form-urlencoded', from => '192.0.2.1', status => 200, @$_,
                log => [qr/ FG1301: would refuse 413: /], test => got($LONG, FORMGUARD_VERDICT => 'would-refuse', FORMGUARD_COUNTRY => 'JP') } }
                [], [expect => 1]),
            { form => join('&', map { "a$_=1" } 1 .. 1001), from => '192.0.2.1', status => 200, log => [qr/ FG1302: would refuse 413: /] },
        ],
    },
    {
        name => 'DetectionOnly: no token is spent', path => 'echo.php',
        # Nobody listens there: asking would be an error.
        global => 'FormGuardCaptchaEndpoint http://127.0.0.1:9/', htaccess => "FormGuard DetectionOnly\n$RULES",
        form => 'g-recaptcha-response=token', status => 200, log => [$OK],
        test => got('g-recaptcha-response=token', FORMGUARD_VERDICT => 'accepted'),
    },
    {
        name => 'Off, and nothing at all', path => 'echo.php',
        config => "<Location \@CASE\@/on>\n$REFUSE</Location>\n",
        files => { map({ ("$_/echo.php" => \'echo.php') } qw(on on/off none)), 'on/off/.htaccess' => "FormGuard Off\n", 'none/.htaccess' => $RULES },
        requests => [
            { form => 'a=1', path => 'on/echo.php', status => 403 },
            { form => 'a=1', path => 'on/off/echo.php', status => 403 },    # <Location> comes after .htaccess
            { form => 'a=1', path => 'none/echo.php', status => 200, test => got('a=1') },
        ],
        log => [$MISSING => 2],
    },
    {
        name => 'Off in the .htaccess of a folder below', path => 'echo.php',
        htaccess => $REFUSE, files => { map({ ("$_/echo.php" => \'echo.php') } qw(a b)), 'a/.htaccess' => "FormGuard Off\n" },
        requests => [
            { form => 'a=1', path => 'a/echo.php', status => 200, test => got('a=1') },
            { form => 'a=1', path => 'b/echo.php', status => 403 },
        ],
        log => [$MISSING],
    },
);

FormGuard::Case::run({ mpm => 'event', php => 'fpm' }, @MODES);

# --- what is a submission ----------------------------------------------------------------------

sub field { my ($what, $status, %o) = @_; return { %o, status => $status, $status == 200 ? (body => 'ran') : () } }
my $FILE = { filename => 'x.txt', type => 'text/plain', content => 'x' };
my @FIELD = (
    (map { field(@$_) } 
        ['in the body', 403, form => 'a=1&your-mail=x&b=2'], ['empty', 403, form => 'your-mail='], ['without =', 403, form => 'your-mail'],
        ['encoded', 403, form => '%79our-mai%6C=x'], ['the other name', 403, form => 'tel=1'],
        ['a list', 403, form => 'your-mail[]=x'], ['a map', 403, form => 'your-mail[a][b]=x'], ['encoded brackets', 403, form => 'your-mail%5Ba%5D=x'],
        ['in the query', 403, form => 'a=1', path => 'form.cgi?x=1&your-mail'], ['in the query, encoded', 403, form => 'a=1', path => 'form.cgi?%79our-mail=1'],
        ['in the query, body of another type', 403, body_bytes => 'x', type => 'text/plain', path => 'form.cgi?your-mail=1'],
        ['in the query, no body', 403, method => 'POST', path => 'form.cgi?your-mail=1'],
        ['multipart', 403, multipart => { 'your-mail' => 'x' }], ['a file', 403, multipart => { 'your-mail' => $FILE }],
        ['behind a file', 403, multipart => [file => $FILE, 'your-mail' => 'x']], ['chunked', 403, form => 'a=1&your-mail=x', chunks => [1, 1, 1, 7]],
        ['JSON', 403, json => { 'your-mail' => 'x' }], ['JSON, a list', 403, json => { 'your-mail' => [1] }], ['JSON, an object', 403, json => { 'your-mail' => { a => 1 } }],
        ['dots are underscores', 403, form => 'your.name=1'], ['so are spaces', 403, form => 'your+name=1'], ['as PHP has it', 403, form => 'your_name=1'],
        ['not there', 200, form => 'a=1'], ['another case', 200, form => 'Your-Mail=1'], ['longer', 200, form => 'your-mail2=1'], ['shorter', 200, form => 'your-mai=1'],
        ['inside another', 200, form => 'x[your-mail]=1'], ['as a value', 200, form => 'x=your-mail&y=%26your-mail%3D1'],
        ['not in the query', 200, form => 'a=1', path => 'form.cgi?x=your-mail'], ['no body', 200, method => 'POST'],
        ['in the path info', 200, form => 'a=1', path => 'form.cgi/your-mail=1'], ['text/plain', 200, body_bytes => 'your-mail=1', type => 'text/plain'],
        ['multipart, not there', 200, multipart => { a => 'your-mail', file => $FILE }], ['JSON, not there', 200, json => { a => { 'your-mail' => 1 } }]),
);
my $refused = grep { $_->{status} == 403 } @FIELD;

my @SUBMISSIONS = (
    { name => 'FormGuardFormField: only what carries the form\'s field', htaccess => "${REFUSE}FormGuardFormField your-mail tel your.name\n", requests => \@FIELD, log => [$MISSING => $refused] },
    {
        name => 'the innermost FormGuardFormField counts', config => "<Directory \@HTDOCS\@\@CASE\@>\nFormGuardFormField a\n</Directory>\n", htaccess => "${REFUSE}FormGuardFormField b\n",
        requests => [{ form => 'a=1', status => 200 }, { form => 'b=1', status => 403 }], log => [$MISSING],
    },
);

# --- paths -------------------------------------------------------------------------------------

sub paths
{
    my ($name, $globs, $yes, $no, %o) = @_;
    return {
        name => "FormGuardPath: $name", config => "<Location \@CASE\@>\n${REFUSE}FormGuardPath $globs\n</Location>\n" . ($o{config} // ''),
        files => { map { ("$_/form.cgi" => $SCRIPT, "$_/other.cgi" => $SCRIPT) } qw(. a a/b) }, htaccess => $o{htaccess},
        requests => [
            (map { { form => 'a=1', path => $_, status => 403 } } @$yes),
            (map { { form => 'a=1', path => $_, status => 200, body => 'ran' } } @$no),
        ],
        log => [$MISSING => scalar @$yes],
    };
}

my @PATHS = (
    paths('a path, in all its spellings', '@CASE@/form.cgi',
        [qw(form.cgi %66orm.cgi form%2Ecgi ./form.cgi a/../form.cgi a/b/../../form.cgi .//form.cgi form.cgi/ form.cgi/a/b form.cgi?x=/other.cgi), 'form.cgi/other.cgi'],
        [qw(other.cgi a/form.cgi other.cgi?x=form.cgi other.cgi/form.cgi)]),
    paths('a star crosses slashes', '@CASE@/a/*', [qw(a/form.cgi a/b/other.cgi a/b/form.cgi/x)], [qw(form.cgi other.cgi other.cgi/a/)]),
    paths('several, and the rest of the patterns', '*/b/form.cgi @CASE@/oth?r.cgi "@CASE@/a/[e-g]orm.cgi"', [qw(a/b/form.cgi other.cgi a/form.cgi)], [qw(form.cgi a/other.cgi)]),
    paths('what the client asked for, or what it became', '@CASE@/asked @CASE@/a/form.cgi', [qw(asked became a/form.cgi)], [qw(neither form.cgi)],
        htaccess => "RewriteEngine On\nRewriteRule ^asked\$ other.cgi\nRewriteRule ^became\$ a/form.cgi\nRewriteRule ^neither\$ other.cgi\n"),
    paths('the index of a folder', '@CASE@/a/form.cgi', [qw(a/)], [qw(a/b/)], config => "DirectoryIndex form.cgi\n"),
);

# --- a rewritten URL is under its own rules and those of where it leads ---------------------------

my $PRETTY = "RewriteEngine On\nRewriteRule ^pretty\$ sub/form.cgi\nRewriteRule ^first\$ second\nRewriteRule ^second\$ sub/form.cgi\nRewriteRule ^gone\$ none.cgi\n";
my $FULL = qr/ FG1100: refused 429: /;

sub rewritten
{
    my ($name, $config, $sub, $requests, @log) = @_;
    return {
        name => "rewritten: $name", config => "$config# \@CASE\@\n", htaccess => $PRETTY, requests => $requests, log => \@log,
        files => { %FILES, 'sub/form.cgi' => $SCRIPT, 'sub/.htaccess' => $sub },
    };
}

sub post { my ($path, $status) = @_; return { form => 'a=1', path => $path, status => $status } }

my @REWRITTEN = (
    rewritten('a captcha beside the script', "FormGuard On\nFormGuardLimit ip 100/1h\n", $RULES,
        [post('sub/form.cgi', 403), post('pretty', 403), post('first', 403), post('second', 403)], $MISSING => 4),
    rewritten('a captcha in <Files> of the script', "FormGuard On\nFormGuardLimit ip 100/1h\n", "<Files form.cgi>\n$RULES</Files>\n",
        [post('sub/form.cgi', 403), post('pretty', 403)], $MISSING => 2),
    rewritten('a captcha on the URL', "FormGuard On\nFormGuardLimit ip 100/1h\n<Location \@CASE\@/pretty>\n$RULES</Location>\n", "FormGuardCaptcha off\n",
        [post('sub/form.cgi', 200), post('pretty', 403), post('first', 200)], $MISSING, $OK => 2),
    rewritten('Off beside the script, On for the URL', "<Location \@CASE\@/pretty>\n$REFUSE</Location>\n", "FormGuard Off\n",
        [post('sub/form.cgi', 200), post('pretty', 403)], $MISSING),
    # Where .htaccess may do everything there is one policy; else the site's rules are its own, and so is its DetectionOnly.
    rewritten('DetectionOnly beside the script, On for the URL, Override all',
        "FormGuardOverride all\n<Location \@CASE\@/pretty>\nFormGuard On\n</Location>\n", "FormGuard DetectionOnly\n$RULES",
        [post('sub/form.cgi', 200), post('pretty', 403)], $MISSING, qr/ FG1400: would refuse 403: /),
    rewritten('DetectionOnly beside the script, On for the URL', "<Location \@CASE\@/pretty>\nFormGuard On\nFormGuardLimit ip 1/1h\n</Location>\n", "FormGuard DetectionOnly\n$RULES",
        [post('sub/form.cgi', 200), post('pretty', 200), post('pretty', 429)], qr/ FG1400: would refuse 403: / => 2, $FULL),
    rewritten('Off beside the script, On for the URL, Override all', "FormGuardOverride all\n<Location \@CASE\@/pretty>\n$REFUSE</Location>\n", "FormGuard Off\n",
        [post('sub/form.cgi', 200), post('pretty', 403)], $MISSING),
    rewritten('a captcha on the URL, Override all', "FormGuardOverride all\nFormGuard On\nFormGuardLimit ip 100/1h\n<Location \@CASE\@/pretty>\n$RULES</Location>\n", "FormGuardCaptcha off\n",
        [post('sub/form.cgi', 200), post('pretty', 403), post('first', 200)], $MISSING, $OK => 2),
    rewritten('limits of both, the same one once', "FormGuard On\nFormGuardLimit ip 4/1h\n<Location \@CASE\@/pretty>\nFormGuardLimit ip 2/1h\n</Location>\n", "FormGuardLimit ip 3/1h\n",
        [post('pretty', 200), post('pretty', 200), post('pretty', 429), post('sub/form.cgi', 200), post('sub/form.cgi', 429)],
        $OK => 3, qr{ FG1100: .* rule="ip 2/1h" }, 1, qr{ FG1100: .* rule="ip 3/1h" }),
    rewritten('to nothing, with an ErrorDocument that is a script', "FormGuard On\nFormGuardLimit ip 1/1h\nFormGuardMethods GET POST\nErrorDocument 404 \@CASE\@/form.cgi\n", '',
        [post('gone', 404), post('gone', 429), { method => 'GET', path => 'pretty', status => 429 }], $OK, $FULL => 2, qr/ AH\d+: .*script not found or unable to stat/),
    rewritten('to what is denied', "FormGuard On\nFormGuardLimit ip 1/1h\nFormGuardMethods GET POST\nErrorDocument 403 \@CASE\@/form.cgi\n", "Require all denied\n",
        [post('pretty', 403), post('pretty', 403), post('form.cgi', 200), post('form.cgi', 429)], $OK, $FULL, qr/ AH01630: client denied/, 2),
);

# --- contexts ----------------------------------------------------------------------------------

sub context
{
    my ($name, $config, $yes, $no, %o) = @_;
    return {
        name => "context: $name", config => "$config\n# \@CASE\@\n", htaccess => $o{htaccess}, 
        files => { map { ("$_/form.cgi" => $SCRIPT, "$_/other.cgi" => $SCRIPT) } qw(. a a/b) },
        requests => [
            (map { { form => 'a=1', ref $_ ? %$_ : (path => $_), status => 403 } } @$yes),
            (map { { form => 'a=1', ref $_ ? %$_ : (path => $_), status => 200, body => 'ran' } } @$no),
        ],
        log => [$MISSING => scalar @$yes],
    };
}

my $HOST = sub { my ($name, $text) = @_; "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $name\nDocumentRoot \@HTDOCS\@\n$text</VirtualHost>\n" };
my @to_a = (send => [Host => 'a.test']);
my @to_b = (send => [Host => 'b.test']);
my $all = [qw(form.cgi other.cgi a/b/form.cgi)];

my @CONTEXTS = (
    context('server config', $REFUSE, $all, []),
    context('server config, for its virtual hosts', $REFUSE . $HOST->('a.test', '') . $HOST->('b.test', "FormGuard Off\n"), [{ @to_a }], [{ @to_b }]),
    context('virtual host', $HOST->('a.test', $REFUSE) . $HOST->('b.test', ''), [{ @to_a }], [{ @to_b }]),
    context('<Location>', "<Location \@CASE\@/a>\n$REFUSE</Location>", [qw(a/form.cgi a/b/form.cgi)], [qw(form.cgi)]),
    context('<LocationMatch>', "<LocationMatch \"^\@CASE\@/a/[^/]+\$\">\n$REFUSE</LocationMatch>", [qw(a/form.cgi)], [qw(form.cgi a/b/form.cgi)]),
    context('<Files>', "<Files form.cgi>\n$REFUSE</Files>", [qw(form.cgi a/form.cgi form.cgi/x)], [qw(other.cgi)]),
    context('<FilesMatch>', "<FilesMatch \"^o\">\n$REFUSE</FilesMatch>", [qw(other.cgi)], [qw(form.cgi)]),
    context('<Directory>', "<Directory \@HTDOCS\@\@CASE\@/a>\n$REFUSE</Directory>", [qw(a/form.cgi a/b/form.cgi)], [qw(form.cgi)]),
    context('<DirectoryMatch>', "<DirectoryMatch \"\@CASE\@/.*b\">\n$REFUSE</DirectoryMatch>", [qw(a/b/form.cgi)], [qw(form.cgi a/form.cgi)]),
    context('<Files> in <Directory>', "<Directory \@HTDOCS\@\@CASE\@/a>\n<Files form.cgi>\n$REFUSE</Files>\n</Directory>", [qw(a/form.cgi a/b/form.cgi)], [qw(form.cgi a/other.cgi)]),
    context('<If>', "<If \"%{REQUEST_URI} =~ m#/a/#\">\n$REFUSE</If>", [qw(a/form.cgi a/b/form.cgi)], [qw(form.cgi)]),
    context('<If>, <ElseIf>, <Else>', "FormGuard On\n<If \"-R '192.0.2.0/24'\">\nFormGuard Off\n</If>\n<ElseIf \"-R '198.51.100.0/24'\">\nFormGuardCaptcha off\n</ElseIf>\n<Else>\n$RULES</Else>\n",
        [{}, { from => '192.0.3.1' }], []),
    context('FormGuard Off for a network of one\'s own', "$REFUSE<If \"-R '192.0.2.0/24' || -R '2001:db8:1::/48'\">\nFormGuard Off\n</If>",
        [{}, { from => '192.0.3.1' }, { from => '2001:db8:2::1' }], [{ from => '192.0.2.77' }, { from => '2001:db8:1::1' }]),
    context('<If> by a header', "$REFUSE<If \"req('X-Token') == 'abc'\">\nFormGuard Off\n</If>", [{}, { send => ['X-Token' => 'ab'] }], [{ send => ['X-Token' => 'abc'] }]),
    context('.htaccess', '', $all, [], htaccess => $REFUSE),
    context('<Files> in .htaccess', '', [qw(form.cgi a/b/form.cgi)], [qw(other.cgi)], htaccess => "<Files form.cgi>\n$REFUSE</Files>\n"),
    context('<If> in .htaccess', '', [{}], [{ from => '192.0.2.1' }], htaccess => "$REFUSE<If \"-R '192.0.2.0/24'\">\nFormGuard Off\n</If>\n"),
    context('mode in one, rules in another', "<Location \@CASE\@>\n$RULES</Location>\n", $all, [], htaccess => "FormGuard On\n"),
    context('<IfModule>', '', $all, [], htaccess => "<IfModule mod_formguard.c>\n$REFUSE</IfModule>\n<IfModule !mod_formguard.c>\nNonsense\n</IfModule>\n"),
);

# --- the decision told in order ----------------------------------------------------------------

# The texts of the FG0001 lines and the tag of what is no such line.
sub told
{
    my (@expected) = @_;
    return sub {
        my ($r, $httpd) = @_;
        my @lines = map { /FG0001: (.*)/ ? $1 : / (FG\d{4}: \S+)/ ? $1 : () } $httpd->log_lines;
        my $case = ($httpd->log_lines)[0] =~ m{(/case\d+)/} ? $1 : '';
        is_deeply \@lines, [map { s/\@CASE\@/$case/gr } @expected], 'the decision in order';
    };
}

my @DEBUG = (
    {
        name => 'LogLevel debug: accepted', loglevel => 'warn formguard:debug', global => "FormGuardGeoDatabase $dir/c.mmdb",
        htaccess => "FormGuard On\nFormGuardCountry JP allow\nFormGuardLimit form 2/10m\nFormGuardLimit ip 5/10m 9/1h\nFormGuardLimit country=HK 1/1h\n",
        form => 'a=1', from => '192.0.2.1', status => 200, log => [qr/ FG/ => '+'],
        test => told('guarded: POST @CASE@/form.cgi, On', 'country: JP', 'country: allowed by JP allow', 'limit ip 5/10m 9/1h: 1 of 5/10m', 'limit ip 5/10m 9/1h: 1 of 9/1h',
            'limit country=HK 1/1h: does not count this post', 'limit form 2/10m: 1 of 2/10m', 'verdict: accepted', 'FG1000: accepted:'),
    },
    {
        name => 'LogLevel debug: DetectionOnly', loglevel => 'warn formguard:debug', global => "FormGuardGeoDatabase $dir/c.mmdb",
        htaccess => "FormGuard DetectionOnly\nFormGuardCountry HK refuse\nFormGuardLimit ip 5/10m\n",
        form => 'a=1', from => '198.51.100.1', status => 200, log => [qr/ FG/ => '+'],
        test => told('guarded: POST @CASE@/form.cgi, DetectionOnly', 'country: HK', 'verdict: country refused', 'FG1200: would'),
    },
    {
        name => 'LogLevel debug: no submission', loglevel => 'warn formguard:debug',
        htaccess => "${REFUSE}FormGuardFormField b\nFormGuardLimit ip 5/10m\n",
        form => 'a=1', status => 200, log => [qr/ FG/ => '+'],
        test => told('guarded: POST @CASE@/form.cgi, On', 'country: not looked up', 'no form field: not judged',
            'verdict: no form field, handed on unjudged'),
    },
);

FormGuard::Case::run({ mpm => 'event', path => 'form.cgi', files => \%FILES }, @SUBMISSIONS, @PATHS, @REWRITTEN, @CONTEXTS, @DEBUG);

# --- php-fpm by ProxyPassMatch: httpd itself never sees the script ------------------------------

my $PASS = "ProxyPassMatch \"^\@CASE\@/(.*\\.php)(/.*)?\$\" \"unix:\@DIR\@/run/fpm.sock|fcgi://localhost\@HTDOCS\@\@CASE\@/\$1\$2\"\n";
FormGuard::Case::run(
    { mpm => 'event', php => 'fpm' },
    {
        name => 'ProxyPassMatch: FormGuardPath knows path info', config => "$PASS<Location \@CASE\@>\n${REFUSE}FormGuardPath \@CASE\@/echo.php\n</Location>\n",
        files => { 'a/echo.php' => \'echo.php' },
        requests => [
            (map { { form => 'a=1', path => $_, status => 403 } } qw(echo.php echo.php/x echo.php/x/y.php)),
            { form => 'a=1', path => 'a/echo.php', status => 200 },
        ],
        log => [$MISSING => 3],
    },
    {
        name => 'ProxyPassMatch: the key form knows path info', config => "$PASS<Location \@CASE\@>\nFormGuard On\nFormGuardLimit form 2/10m\n</Location>\n",
        requests => [
            { form => 'a=1', path => 'echo.php/1', status => 200 }, { form => 'a=1', path => 'echo.php/2/3', status => 200 },
            { form => 'a=1', path => 'echo.php', status => 429 }, { form => 'a=1', path => 'echo.php/4', status => 429 },
        ],
        log => [$OK => 2, qr/ FG1100: refused 429: / => 2],
    },
);

# --- the application's environment -------------------------------------------------------------

my @FORGED = ('Formguard-Verdict' => 'accepted', 'FORMGUARD_VERDICT' => 'accepted', 'Formguard-Country' => 'JP', 'X-Formguard-Score' => '1.0',
    'Redirect-Formguard-Verdict' => 'accepted', 'Http-Formguard-Rule' => 'none');
my %SEEN_FORGED = (HTTP_FORMGUARD_VERDICT => 'accepted', HTTP_FORMGUARD_COUNTRY => 'JP', HTTP_X_FORMGUARD_SCORE => '1.0',
    HTTP_REDIRECT_FORMGUARD_VERDICT => 'accepted', HTTP_HTTP_FORMGUARD_RULE => 'none');

for my $how (['prefork', 'mod'], ['event', 'fpm'], ['worker', 'cgi']) {
    my ($mpm, $php) = @$how;
    FormGuard::Case::run(
        { mpm => $mpm, php => $php, path => 'echo.php', global => "FormGuardGeoDatabase $dir/c.mmdb" },
        {
            name => 'what PHP is told, and what a client makes up',
            htaccess => "FormGuard DetectionOnly\nFormGuardFormField a\nFormGuardCountry HK refuse\n",
            requests => [
                { form => 'a=1', from => '192.0.2.1', send => \@FORGED, status => 200, log => [$OK],
                    test => got('a=1', %SEEN_FORGED, env($php, FORMGUARD_VERDICT => 'accepted', FORMGUARD_COUNTRY => 'JP')) },
                { form => 'a=1', from => '10.0.0.1', status => 200, log => [$OK],
                    test => got('a=1', env($php, FORMGUARD_VERDICT => 'accepted', FORMGUARD_COUNTRY => 'unknown')) },
                { form => 'a=1', from => '198.51.100.1', send => \@FORGED, status => 200, log => [qr/ FG1200: would refuse /],
                    test => got('a=1', %SEEN_FORGED, env($php, FORMGUARD_VERDICT => 'would-refuse', FORMGUARD_COUNTRY => 'HK', FORMGUARD_RULE => 'HK refuse')) },
                { form => 'b=1', from => '192.0.2.1', status => 200, test => got('b=1', env($php, FORMGUARD_VERDICT => 'not-judged', FORMGUARD_COUNTRY => 'JP')) },
                { method => 'GET', from => '192.0.2.1', send => \@FORGED, status => 200, test => got('', %SEEN_FORGED) },
            ],
        },
        {
            name => 'and behind a rewrite', htaccess => "FormGuard On\nFormGuardCountry HK refuse\nRewriteEngine On\nRewriteRule ^pretty\$ echo.php\n", path => 'pretty',
            form => 'a=1', from => '192.0.2.1', send => ['Redirect-Formguard-Verdict' => 'x'], status => 200, log => [$OK],
            test => sub {
                my $f = $_[0]->json->{formguard};
                is $f->{FORMGUARD_VERDICT}, 'accepted', 'FORMGUARD_VERDICT';
                is $f->{FORMGUARD_COUNTRY}, 'JP', 'FORMGUARD_COUNTRY';
            },
        },
    );
}

# Action of mod_actions is an internal redirect: httpd puts REDIRECT_ before what the first pass set.
sub env
{
    my ($php, %told) = @_;
    return $php eq 'cgi' ? (%told, map { ("REDIRECT_$_" => $told{$_}) } keys %told) : %told;
}

done_testing;
