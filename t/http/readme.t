#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What README and conf.d tell people to write is written, and does what they say.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Httpd;
use FormGuard::Process;
use FormGuard::Vendor;
use Test::More;

my $LIB = FormGuard::Httpd::forms_dir() . '/..';
my $TOP = "$LIB/../..";
my $README = slurp("$TOP/README");
my $OK = qr/ FG1000: accepted: /;

sub slurp
{
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}

my $dir = FormGuard::Process::private_dir();
my $MMDB = "$dir/countries.mmdb";
system($^X, "$LIB/make-mmdb", $MMDB, '182.16.0.0/16=HK', '198.51.100.0/24=CN', '203.0.113.0/24=JP', '8.8.0.0/16=US') == 0 or die "make-mmdb failed\n";

# With the paths of this machine in place of the example's.
sub placed
{
    my ($text) = @_;
    $text =~ s{^(\s*LoadModule formguard_module) \S+$}{$1 $ENV{FORMGUARD_MODULE}}mg;
    $text =~ s{^(FormGuardGeoDatabase|    Define FORMGUARD_GEO) \S+$}{$1 $MMDB}mg;
    return $text;
}

# [section, text] of each block.
sub blocks
{
    my (@out, $section);
    my $text = $README;
    while ($text =~ /^## ([^\n]*)$|^```apache\n(.*?)^```$/mgs) {
        defined $1 ? $section = $1 : push @out, [$section, $2];
    }
    return @out;
}

my @blocks = blocks();

# The one block of a section that holds this text.
my %used;
sub block
{
    my ($section, $with) = @_;
    my @found = grep { $blocks[$_][0] =~ $section && $blocks[$_][1] =~ $with } 0 .. $#blocks;
    @found == 1 or die 'README has ' . @found . " blocks with $with below $section\n";
    $used{$found[0]} = 1;
    return placed($blocks[$found[0]][1]);
}

my $PROVIDER = block(qr/^A provider/, qr/LoadModule/);
my $EXCEPTION = block(qr/^A provider/, qr/<If/);
my $COUNTRIES = block(qr/^A provider/, qr/GeoDatabase/);
my $THREE = block(qr/^A site owner/, qr/^(?!.*Captcha)/s);
my $ALTCHA = block(qr/^A site owner/, qr/Captcha altcha/);
my $CAPTCHA = block(qr/^A site owner/, qr/recaptcha/);
my $STATUS = block(qr/^Status page/, qr/SetHandler/);
is scalar(keys %used), scalar @blocks, 'no block of README is run by nobody' or diag map { "$_->[1]\n" } @blocks;
my $EXAMPLE = placed(slurp("$TOP/conf.d/formguard.conf"));
# The others have tests of their own, which speak of them by name.
my $tests = join '', map { slurp($_) } grep { !m{/readme\.t$} } glob "$TOP/t/http/*.t";
is_deeply [grep { $_ ne 'conf.d/formguard.conf' && index($tests, $_) < 0 } map { m{(conf\.d/[^/]+)$} } glob "$TOP/conf.d/*.conf"], [],
    'no file in conf.d is run by nobody';

# --- httpd takes each of them ---

my %config = (
    'README, provider' => $PROVIDER,
    'README, provider and exception' => $PROVIDER . $EXCEPTION,
    'README, provider and countries' => $PROVIDER . $COUNTRIES,
    'README, .htaccess in a directory' => $PROVIDER . "<Directory \@HTDOCS\@>\n$THREE</Directory>\n",
    'README, captcha built in' => $PROVIDER . "<Directory \@HTDOCS\@>\n$ALTCHA</Directory>\n",
    'README, captcha in a directory' => $PROVIDER . "<Directory \@HTDOCS\@>\n$CAPTCHA</Directory>\n",
    'README, status page' => $PROVIDER . $STATUS,
    'conf.d' => $EXAMPLE,
    'conf.d, all comments taken away' => $EXAMPLE =~ s/^#(?=FormGuard)//mgr,
    'conf.d without a database' => $EXAMPLE =~ s{\Q$MMDB\E$}{/nowhere}mr,
    'conf.d behind README' => $PROVIDER . $EXAMPLE,
);
is scalar(() = $config{'conf.d, all comments taken away'} =~ /^FormGuardLimit country=unknown\+form /mg), 1, 'there was one to take away';
is scalar(() = $EXAMPLE =~ /\Q$MMDB\E$/mg), 1, 'there is one database';

subtest 'httpd -t' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', module => 0, start => 0);
    for my $name (sort keys %config) {
        $httpd->configure(config => $config{$name});
        my ($ok, $said) = $httpd->configtest;
        ok $ok, $name or diag $said;
        like $said, qr/\A(?:AH00558: .*\n)?Syntax OK\n\z/, "$name: and nothing but that";
    }
    $httpd->done;
};

# --- and does what is said ---

sub server
{
    my ($config, %files) = @_;
    my $loads = $config =~ /^\s*LoadModule formguard_module/m;
    return FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', $loads ? (module => 0) : (),
        config => $config . "LogLevel formguard:info\n<Directory \@HTDOCS\@>\nAllowOverride AuthConfig\n</Directory>\n",
        files => { 'contact.php' => \'echo.php', 'other.php' => \'echo.php', 'third.php' => \'echo.php', 'fourth.php' => \'echo.php', 'form.cgi' => \'echo.cgi', %files }
    );
}

my $FORM = { name => 'Hanako', message => 'Hello' };

# The statuses of so many posts, in short: "200x30 429x2". A list of paths is posted to in turn.
sub posts
{
    my ($httpd, $n, %o) = @_;
    my (@runs, $form);
    $form = delete $o{form};
    my $path = delete $o{path} || '/contact.php';
    my $each = delete $o{each};
    for my $i (1 .. $n) {
        my $r = $httpd->client->post(ref $path ? $path->[$i % @$path] : $path, form => $form || $FORM, %o, $each ? (from => $each->($i)) : ());
        @runs && $runs[-1][0] == $r->status ? $runs[-1][1]++ : push @runs, [$r->status, 1];
    }
    return join ' ', map { "$_->[0]x$_->[1]" } @runs;
}

my @PATHS = qw(/contact.php /other.php /third.php);
sub provider_block
{
    my ($what, $config) = @_;
    my ($rule, $weight) = $config =~ /^FormGuardLimit (form 100\/10m 1000\/1d(?: weight=(\d+))?)$/m or die "$what: no limit by form";
    my $fits = 100 / ($weight // 1);
    subtest "$what: watch first" => sub {
        my $httpd = server($config);
        is posts($httpd, 102, from => '203.0.113.1', path => \@PATHS), '200x102', 'nothing is refused';
        $httpd->log_ok('error_log says what would be', $OK => 100,
            qr{ FG1100: would refuse 429: too many posts: rule="ip 100/10m 600/1d" count=100 rate=100/10m country=(?:-|JP) } => 2);
        is posts($httpd, 40, from => '203.0.113.1', path => '/picture.png'), '404x40', 'only what the path names is counted';
        is posts($httpd, $fits, path => '/fourth.php/info', each => sub { "203.0.113." . (100 + $_[0]) }), "200x$fits", 'many clients of one form';
        $httpd->log_ok('are fine', $OK => $fits);
        is posts($httpd, 2, path => '/fourth.php', each => sub { "192.0.2.$_[0]" }), '200x2', 'until they are too many';
        $httpd->log_ok('error_log', qr{ FG1100: would refuse 429: too many posts: rule="$rule" count=100 rate=100/10m } => 2);
        $httpd->done;
    };
    subtest "$what: then write FormGuard On" => sub {
        my $httpd = server($config =~ s/^FormGuard DetectionOnly$/FormGuard On/mr);
        is posts($httpd, 102, from => '203.0.113.1', path => \@PATHS), '200x100 429x2', 'the hundred and first is refused';
        is posts($httpd, 1, from => '203.0.113.2'), '200x1', 'another client is not';
        $httpd->log_ok('error_log', $OK => 101, qr{ FG1100: refused 429: too many posts: rule="ip 100/10m 600/1d" count=100 } => 2);
        $httpd->done;
    };
}

provider_block('README', $PROVIDER);
provider_block('conf.d', $EXAMPLE);

subtest 'conf.d: from abroad' => sub {
    my $httpd = server($EXAMPLE =~ s/^FormGuard DetectionOnly$/FormGuard On/mr =~ s{form 100/1h 500/1d from}{form 4/1h from}r);
    is posts($httpd, 6, each => sub { $_[0] % 2 ? "198.51.100.$_[0]" : "8.8.8.$_[0]" }), '200x4 403x2', 'one script takes so many posts, then it asks';
    is posts($httpd, 1, from => '198.51.100.1', path => '/other.php'), '200x1', 'another one takes its own';
    is posts($httpd, 5, from => '203.0.113.1'), '200x5', 'and none of them stands in the way of those at home';
    $httpd->log_ok('error_log', $OK => 10, qr{ FG1400: refused 403: captcha token missing: rule="altcha" challenged-by="form 4/1h from=!JP count=attempts action=challenge" } => 2);
    $httpd->done;
};

subtest 'conf.d: other paths' => sub {
    my $httpd = server($EXAMPLE, 'wp-json/contact/index.php' => \'echo.php');
    is posts($httpd, 1, path => $_, from => '203.0.113.3'), '200x1', $_ for '/form.cgi', '/wp-json/contact/index.php';
    $httpd->log_ok('are judged', $OK => 2);
    $httpd->done;
};

subtest 'README: an exception' => sub {
    my $httpd = server($PROVIDER =~ s/DetectionOnly/On/r . $EXCEPTION);
    is posts($httpd, 105, from => '192.0.2.9'), '200x105', 'for its network';
    $httpd->log_ok('which is not even logged');
    is posts($httpd, 101, from => '192.0.3.9'), '200x100 429x1', 'and for no other';
    $httpd->log_ok('error_log', $OK => 100, qr/ FG1100: refused /);
    $httpd->done;
};

subtest 'README: countries' => sub {
    my $httpd = server($PROVIDER =~ s/DetectionOnly/On/r . $COUNTRIES);
    is posts($httpd, 2, from => '198.51.100.1'), '403x2', 'CN is refused';
    is posts($httpd, 1, from => '182.16.27.106'), '403x1', 'HK is refused';
    is posts($httpd, 25, from => '203.0.113.1'), '200x25', 'JP is not';
    is posts($httpd, 21, each => sub { "10.0.0.$_[0]" }), '200x20 429x1', 'unknown ones share a limit';
    is posts($httpd, 21, each => sub { "8.8.8.$_[0]" }), '200x20 429x1', 'all other countries together have twenty a form';
    $httpd->log_ok('error_log', $OK => 65, qr/ FG1200: refused 403: country refused: rule="CN,HK,RU refuse" country=CN / => 2,
        qr{ FG1100: refused 429: too many posts: rule="form 20/1d from=!JP count=attempts" count=20 rate=20/1d country=US }, qr/ FG1200: refused 403: .* country=HK /, qr{ FG1100: refused 429: too many posts: rule="country=unknown 20/1h" count=20 rate=20/1h country=unknown });
    $httpd->done;
};

subtest 'README: .htaccess of three lines' => sub {
    is scalar(() = $THREE =~ /\n/g), 3, 'they are three';
    my $httpd = server('', '.htaccess' => $THREE);
    is posts($httpd, 7, from => '203.0.113.1'), '200x5 429x2', 'five posts of one client';
    is posts($httpd, 9, from => '203.0.113.1', path => '/other.php'), '200x9', 'another script is not guarded';
    is posts($httpd, 1, from => '203.0.113.2'), '200x1', 'another client';
    $httpd->log_ok('error_log', $OK => 6, qr{ FG1100: refused 429: too many posts: rule="ip 5/10m 20/1d" count=5 rate=5/10m } => 2);
    $httpd->write_file('.htaccess', "FormGuard On\n");
    is posts($httpd, 12, from => '203.0.113.3'), '200x10 429x2', 'FormGuard On alone';
    $httpd->log_ok('error_log', $OK => 10, qr{ FG1100: refused 429: too many posts: rule="ip 10/10m 60/1d" count=10 rate=10/10m } => 2,
        qr/ FG2003: FormGuard On without any rule means FormGuardLimit ip 10\/10m 60\/1d$/);
    $httpd->done;
};

subtest 'site owner: the captcha built in' => sub {
    my $httpd = server('', '.htaccess' => $ALTCHA);
    my ($challenge) = $README =~ /<altcha-widget challenge="([^"]+)"/ or die "README shows no widget\n";
    my ($script) = $README =~ /<script src="([^"]+)"/ or die "README shows no script\n";
    my %me = (from => '203.0.113.50');
    my $r = $httpd->client->get($challenge, %me);
    is $r->status, 200, 'the challenge is where README says';
    is $httpd->client->post('/contact.php', form => { altcha => FormGuard::Altcha::solve($r->json) }, %me)->status, 200, 'solved: passes';
    is $httpd->client->post('/contact.php', form => { a => 1 }, %me)->status, 403, 'not solved: refused';
    like $script, qr{^\Q$FormGuard::Altcha::SCRIPT\E\z}, 'the widget is where it is served';
    $httpd->log_ok('altcha', $OK, qr/ FG1400: refused 403: /);
    $httpd->done('altcha: nothing more');
};

subtest 'README: .htaccess with a captcha' => sub {
    my ($secret) = $CAPTCHA =~ /^FormGuardCaptchaSecret (\S+)$/m;
    my $vendor = FormGuard::Vendor->new(hostname => 'www.example.jp', secret => $secret);
    my $field = 'g-recaptcha-response';
    my $httpd = server("ServerName www.example.jp\nFormGuardCaptchaEndpoint " . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n",
        '.htaccess' => $CAPTCHA);
    is posts($httpd, 1, form => { %$FORM, $field => FormGuard::Vendor::fresh('ok') }), '200x1', 'a token';
    is posts($httpd, 1, form => { %$FORM, $field => 'qwerty' }), '403x1', 'a wrong token';
    is posts($httpd, 1), '403x1', 'no token';
    is posts($httpd, 1, path => '/other.php'), '200x1', 'another script';
    my $test = { %$FORM, $field => 'ok-host-testkey.google.com' };
    is posts($httpd, 1, form => $test), '403x1', 'a token of the public test keys is of another site';
    $httpd->log_ok('error_log', $OK, qr/ FG1402: refused 403: /, qr/ FG1400: refused 403: /, qr/ FG1404: refused 403: .* hostname=testkey\.google\.com /);
    my ($line) = $README =~ /(FormGuardCaptchaHostname testkey\.google\.com)/ or fail 'README says what they need';
    $httpd->write_file('.htaccess', "$CAPTCHA$line\n");
    $test->{$field} = FormGuard::Vendor::fresh($test->{$field});
    is posts($httpd, 1, form => $test), '200x1', "unless $line";
    $httpd->log_ok('error_log', $OK);
    is $vendor->count, 4, 'the vendor was asked for each token';
    $httpd->done;
};

# --- what README says of the log ---

subtest 'README: the log line of the example' => sub {
    my ($line) = $README =~ /^(\[formguard:.*)$/m or die "README has no log line\n";
    my ($client) = $line =~ /\[client ([0-9.]+):/;
    my ($form, $site) = $line =~ / form=(\S+) site=(\S+)/;
    my ($rule) = $line =~ / rule="([^"]+)"/;
    my ($count) = $line =~ / count=(\d+) /;
    my $httpd = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', config => "ServerName $site\nFormGuard On\nFormGuardLimit $rule\nFormGuardGeoDatabase $MMDB\n",
        files => { $form =~ s{^/}{}r => \'echo.php' }
    );
    is posts($httpd, $count + 1, path => $form, from => $client), "200x$count 429x1", 'the posts it tells of';
    my ($real) = grep { /FG1100/ } $httpd->log_lines;
    $httpd->log_ok('error_log', $OK => $count, qr/ FG1100: /);
    # README leaves out time and process; the time until the next post is the test's own.
    $real =~ s/^\[[^]]+\] //;
    $real =~ s/ \[pid [^]]+\]//;
    my $want = qr/^\Q$real\E$/;
    $want =~ s/retry\\=\d+s/retry\\=\\d+s/;
    $want =~ s/ref\\=\w+\\-\w+/ref\\=\\w{4}-\\w{4}/;
    like $line, qr/$want/, 'is what the module writes';
    my ($retry) = $line =~ / retry=(\d+)s/;
    cmp_ok $retry, '<=', 700, 'and its time can be';
    for my $part ('FG1100:', 'refused 429', 'rule=', 'count=', 'country=', 'form=', 'site=', 'retry=', 'ref=') {
        like $README, qr/^\| [^|]*`[^|]*\Q$part\E[^|]*\|/m, "the table explains $part";
    }
    $httpd->done;
};

my @SOURCES = (glob("$TOP/mod_formguard/httpd/*.[ch]"), glob("$TOP/mod_formguard/core/*.[ch]"));
my %LEVEL = (ERROR => 'error', ERR => 'error', CRIT => 'crit', WARN => 'warn', WARNING => 'warn', NOTICE => 'notice', INFO => 'info', DEBUG => 'debug');

# { tag => { level => 1 } } of what is logged with its tag in the call; of the verdicts' lines, without levels.
sub logged_tags
{
    my %tags;
    for my $file (@SOURCES) {
        my $text = slurp($file);
        while ($text =~ /"(FG\d{4}): /g) {
            my ($tag, $before) = ($1, substr $text, 0, $-[0]);
            # at one level, or at one of those `level` was set to above
            my @levels = $before =~ /.*APLOG_MARK, level,[^,]*, [\w>-]+,\s*\z/s ? ($before =~ /.*\bint level = ([^;]*);/s)[0] =~ /APLOG_([A-Z]+)/g
                : $before =~ /.*(?:APLOG|FG_LOG)_([A-Z]+),/s;
            @levels or die "$file: $tag is logged at no level\n";
            $tags{$tag}{$LEVEL{$_} || die "$file: level $_\n"} = 1 for @levels;
        }
    }
    return \%tags;
}

subtest 'README: status page' => sub {
    my $httpd = server($PROVIDER . $STATUS);
    is posts($httpd, 1, from => '203.0.113.9'), '200x1', 'a post';
    for my $path ($README =~ m{`(/formguard-status[^`]*)`}g) {
        my $r = $httpd->client->get($path, from => '203.0.113.250');
        is $r->status, 200, $path;
        like $r->body, qr/contact\.php/, 'shows the form';
        is $httpd->client->get($path, from => '192.0.2.9')->status, 403, 'to nobody from outside';
        is $httpd->client->get($path)->status, 403, 'nor to what a script of a customer fetches';
    }
    $httpd->log_ok('refused by Require', $OK, qr/ AH01630: .*formguard-status/, 6);
    $httpd->write_file('.htaccess', "# anything\n");
    is $httpd->client->get('/formguard-status', from => '203.0.113.250')->status, 403, 'nobody sees it where a .htaccess is in force';
    $httpd->log_ok('which is said', qr/ FG2009: /);
    $httpd->done;
};

subtest 'README: tags' => sub {
    my %table;
    while ($README =~ /^\| (FG\d{4}) \| ([^|]+) \| [^|\s][^|]* \|$/mg) {
        ok !$table{$1}, "$1 stands once";
        $table{$1} = $2;
    }
    my $verdicts = slurp("$TOP/mod_formguard/core/verdict.h");
    my %verdict = map { $_ => 1 } $verdicts =~ /^\s*X\(FG_\w+, "(FG\d{4})"/mg;
    cmp_ok scalar keys %verdict, '>', 10, 'tags of verdicts';
    # A post without any of the form's fields is handed on, nothing is said.
    ok delete $verdict{FG1001}, 'FG1001 is never logged';
    my $logged = logged_tags();
    cmp_ok scalar keys %$logged, '>', 8, 'tags of other lines';
    my %any = (%verdict, %$logged);
    is_deeply [grep { !$table{$_} } sort keys %any], [], 'tags that README lacks';
    is_deeply [grep { !$any{$_} } sort keys %table], [], 'tags that nobody logs';
    for my $tag (sort keys %$logged) {
        for my $level (sort keys %{$logged->{$tag}}) {
            like $table{$tag} // '', qr/\b$level\b/, "$tag is logged at $level";
        }
    }
    # A tag anywhere in the sources is one of these, too: none is made up of pieces.
    my %mentioned = map { $_ => 1 } map { slurp($_) =~ /\b(FG\d{4})\b/g } @SOURCES;
    delete $mentioned{FG1001};
    is_deeply [sort keys %mentioned], [sort keys %any], 'no other tag in the sources';
};

done_testing;
