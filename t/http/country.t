#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Rules about countries: who is refused, what is counted, and a database that is replaced under the running server.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Process;
use Test::More;
use Time::HiRes qw(sleep time);

my $SCRIPT = "#!/bin/sh\ncat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n";
my $OK = qr/ FG1000: accepted: /;
my $REFUSED = qr/ FG1200: refused 403: /;
my $FULL = qr/ FG1100: refused 429: /;
my $ON = "FormGuard On\n";

my @NETWORKS = qw(
    192.0.2.0/24=JP 198.51.100.0/24=HK 203.0.113.0/25=DE 203.0.113.128/25=US 198.18.1.0/24=FR 198.18.2.0/24=CN
    2001:db8:1::/48=JP 2001:db8:2::/48=HK 2001:db8:3::/48=DE
);
my %FROM = (
    jp => ['192.0.2.1', '2001:db8:1::1', '::ffff:192.0.2.77'], hk => ['198.51.100.1', '2001:db8:2:ffff::1', '::ffff:198.51.100.1'],
    de => ['203.0.113.1', '2001:db8:3::1'], us => ['203.0.113.200'], fr => ['198.18.1.1'], cn => ['198.18.2.1'],
    unknown => ['10.1.2.3', '2001:db8:9::1', '198.18.0.1'],
);

my $dir = FormGuard::Process::private_dir();

sub make
{
    my ($name, @args) = @_;
    system($^X, FormGuard::Httpd::forms_dir() . '/../make-mmdb', (grep { /^--/ } @args), "$dir/$name", grep { !/^--/ } @args)
        and die "make-mmdb $name failed\n";
    return "$dir/$name";
}

make('maxmind.mmdb', @NETWORKS);
make('registered.mmdb', map { s{=}{=-/}r } @NETWORKS);
make('flat.mmdb', '--flat', @NETWORKS);

# One post from each address of each country: refused where named, else it passes.
sub refuses
{
    my ($rules, @refused) = @_;
    my %refused = map { $_ => 1 } @refused;
    my (@requests, $yes, $no);
    for my $cc (sort keys %FROM) {
        for my $from (@{$FROM{$cc}}) {
            my $status = $refused{$cc} ? 403 : 200;
            push @requests, { form => 'a=1', from => $from, status => $status };
            $refused{$cc} ? $no++ : $yes++;
        }
    }
    return (
        name => join(' / ', split /\n/, $rules), htaccess => $ON . ($rules =~ s/^/FormGuardCountry /gmr) . "\n", requests => \@requests,
        log => [$yes ? ($OK => $yes) : (), $no ? ($REFUSED => $no) : ()],
    );
}

my @RULES = (
    { refuses('HK refuse', 'hk') },
    { refuses('CN,hk refuse', 'hk', 'cn') },
    { refuses("* refuse\nJP allow", qw(hk de us fr cn)) },
    { refuses("JP allow\n* refuse", qw(hk de us fr cn)) },
    { refuses("* refuse\nJP,unknown refuse", keys %FROM) },
    { refuses('unknown refuse', 'unknown') },
    { refuses('UNKNOWN refuse', 'unknown') },
    { refuses('EU refuse', 'de', 'fr') },
    { refuses("EU refuse\nDE allow", 'fr') },
    { refuses("* refuse\nEU allow\nFR refuse\nUS allow", qw(hk jp fr cn)) },
    { refuses("DE refuse\nDE allow") },
    { refuses("DE allow\nDE refuse", 'de') },
    { refuses("EU allow\n* refuse", qw(hk jp us cn)) },
);

my @ANSWERS = (
    {
        name => 'the answer and the line of a refusal',
        htaccess => $ON . "FormGuardCountry CN,HK  refuse\n",
        requests => [
            { form => 'a=1', from => '198.51.100.9', status => 403, body => 'connection comes from', unlike => qr/ran/,
                headers => { 'Retry-After' => undef, RateLimit => undef, 'RateLimit-Policy' => undef, 'Cache-Control' => 'no-store' } },
            { form => 'a=1', from => '192.0.2.1', status => 200 },
            { form => 'a=1', from => '10.0.0.1', status => 200 },
        ],
        log => [
            qr{ \[formguard:notice\] .*\[client \S+\] FG1200: refused 403: country refused: rule="CN,HK refuse" country=HK form=/case\d+/form\.cgi site=127\.0\.0\.1 ref=\S{9}$},
            qr{ FG1000: accepted: country=JP }, 1, qr{ FG1000: accepted: country=unknown },
        ],
    },
    {
        name => 'log passes and says so',
        htaccess => $ON . "FormGuardCountry * log\nFormGuardCountry JP allow\n",
        requests => [
            { form => 'a=1', from => '198.51.100.9', status => 200, log => [qr{ FG1200: logged only 403: country refused: rule="\* log" country=HK }] },
            { form => 'a=1', from => '192.0.2.1', status => 200 },
        ],
        log => [$OK => 2],
    },
    {
        name => 'rules of all places together: the most specific wins, the innermost of equals',
        config => "<Location \@CASE\@>\nFormGuard On\nFormGuardCountry * refuse\nFormGuardCountry DE refuse\n</Location>\n<Location \@CASE\@/b>\nFormGuardCountry JP refuse\n</Location>\n"
            . join('', map { "<Directory \@HTDOCS\@\@CASE\@/$_->[0]>\nFormGuardCountry $_->[1] allow\n</Directory>\n" } ['a', 'JP,DE'], ['b', 'JP'], ['c', '*']),
        files => { map({ ("$_/form.cgi" => $SCRIPT) } qw(a b c)) },
        requests => [
            (map { { form => 'a=1', path => $_->[0] . '/form.cgi', from => $FROM{$_->[1]}[0], status => $_->[2] } }
                [qw(a jp 200)], [qw(a de 403)], [qw(a hk 403)], [qw(b jp 403)], [qw(c jp 403)], [qw(c de 403)]),
        ],
        log => [$OK, $REFUSED => 5],
    },
    {
        name => 'under FormGuardOverride all .htaccess has the last word, among equals',
        config => "FormGuardOverride all\n<Location \@CASE\@>\nFormGuard On\nFormGuardCountry * refuse\nFormGuardCountry DE refuse\n</Location>\n<Location \@CASE\@/b>\nFormGuardCountry JP refuse\n</Location>\n",
        files => {
            map({ ("$_/form.cgi" => $SCRIPT) } qw(a b c)), 'a/.htaccess' => "FormGuardCountry JP,DE allow\n", 'b/.htaccess' => "FormGuardCountry JP allow\n",
            'c/.htaccess' => "FormGuardCountry * allow\n",
        },
        requests => [
            (map { { form => 'a=1', path => $_->[0] . '/form.cgi', from => $FROM{$_->[1]}[0], status => $_->[2] } }
                [qw(a jp 200)], [qw(a de 200)], [qw(a hk 403)], [qw(b jp 200)], [qw(c jp 200)], [qw(c de 403)]),
        ],
        log => [$OK => 4, $REFUSED => 2],
    },
    {
        name => 'under FormGuardOverride tighten .htaccess refuses more, and allows nothing the server refuses',
        config => "<Location \@CASE\@>\nFormGuard On\nFormGuardCountry HK refuse\n</Location>\n",
        files => { map({ ("$_/form.cgi" => $SCRIPT) } qw(a b)), 'a/.htaccess' => "FormGuardCountry HK,JP allow\nFormGuardCountry * refuse\n" },
        requests => [
            (map { { form => 'a=1', path => $_->[0] . '/form.cgi', from => $FROM{$_->[1]}[0], status => $_->[2] } }
                [qw(a hk 403)], [qw(a jp 200)], [qw(a de 403)], [qw(b hk 403)], [qw(b jp 200)], [qw(b de 200)]),
        ],
        log => [$OK => 3, $REFUSED => 3],
    },
    {
        name => 'a country refused takes nothing from a limit',
        htaccess => $ON . "FormGuardLimit form 1/10m\nFormGuardLimit form 2/1h count=attempts\nFormGuardCountry HK refuse\n",
        requests => [
            (map { { form => 'a=1', from => '198.51.100.9', status => 403 } } 1 .. 3),
            { form => 'a=1', from => '192.0.2.1', status => 200 }, { form => 'a=1', from => '192.0.2.1', status => 429 },
        ],
        log => [$OK, $REFUSED => 3, $FULL],
    },
);

sub from { my ($cc, $i, $status, %o) = @_; return { form => 'a=1', from => $FROM{$cc}[$i], status => $status, %o } }

my @LIMITS = (
    {
        name => 'country: each country has a count of its own, the unknown have none',
        htaccess => $ON . "FormGuardLimit country 2/10m\n",
        requests => [
            from('hk', 0, 200), from('hk', 1, 200),
            from('hk', 2, 429, headers => { 'RateLimit-Policy' => '"country";q=2;w=600' }, log => [qr{ FG1100: .* rule="country 2/10m" count=2 rate=2/10m country=HK }]),
            from('jp', 0, 200), from('jp', 1, 200), from('jp', 2, 429, log => [$FULL]),
            (map { from('unknown', $_, 200) } 0, 1, 2, 0),
        ],
        log => [$OK => 8],
    },
    {
        name => 'country=CC,CC: only those, each by itself',
        htaccess => $ON . "FormGuardLimit country=HK,cn 1/10m\n",
        requests => [
            from('hk', 0, 200), from('hk', 1, 429, log => [qr{ rule="country=HK,cn 1/10m" .* country=HK }]),
            from('cn', 0, 200), from('cn', 0, 429, log => [qr{ rule="country=HK,cn 1/10m" .* country=CN }]),
            map { (from('jp', $_, 200), from('unknown', $_, 200)) } 0 .. 2,
        ],
        log => [$OK => 8],
    },
    {
        name => 'country=unknown and country=EU',
        htaccess => $ON . "FormGuardLimit country=unknown 1/10m\nFormGuardLimit country=EU 1/10m\n",
        requests => [
            from('unknown', 0, 200), from('unknown', 1, 429, log => [qr{ rule="country=unknown 1/10m" .* country=unknown }]),
            from('de', 0, 200), from('de', 1, 429, log => [qr{ rule="country=EU 1/10m" .* country=DE }]),
            from('jp', 0, 200), from('jp', 0, 200),
        ],
        log => [$OK => 4],
    },
);

for my $schema (qw(maxmind registered flat)) {
    FormGuard::Case::run(
        { mpm => 'event', path => 'form.cgi', files => { 'form.cgi' => $SCRIPT }, global => "FormGuardGeoDatabase $dir/$schema.mmdb" },
        $schema eq 'maxmind' ? (@RULES, @ANSWERS, @LIMITS) : @RULES[0, 2, 5, 7]
    );
}

# The database's own word on the European Union, also against the table of member states.
make('eu.mmdb', qw(192.0.2.0/26=JP 192.0.2.64/26=DE/eu? 192.0.2.128/26=CH/eu=1 192.0.2.192/26=DE/eu=0 2001:db8:1::/48=-/UA/eu=1));
my @UNION = map { { form => 'a=1', from => $_->[0], status => $_->[1] } }
    ['192.0.2.1', 200], ['192.0.2.65', 403], ['192.0.2.129', 403], ['192.0.2.193', 200], ['2001:db8:1::1', 403], ['10.0.0.1', 200];
FormGuard::Case::run(
    { mpm => 'event', path => 'form.cgi', files => { 'form.cgi' => $SCRIPT }, global => "FormGuardGeoDatabase $dir/eu.mmdb" },
    {
        name => 'EU is what the database says, and the member states where it says nothing',
        htaccess => $ON . "FormGuardCountry EU refuse\n", requests => \@UNION,
        log => [$OK => 3, (map { qr{ FG1200: refused 403: .* rule="EU refuse" country=$_ } } qw(DE CH UA))],
    },
    {
        name => 'and a limit of country=EU counts the same ones',
        htaccess => $ON . "FormGuardLimit country=EU 1/10m\n",
        requests => [map { { %$_, status => 200 }, { %$_, status => $_->{status} == 403 ? 429 : 200 } } @UNION],
        log => [$OK => 9, (map { qr{ FG1100: refused 429: .* rule="country=EU 1/10m" .* country=$_ } } qw(DE CH UA))],
    },
);

# A database that puts networks of nobody's into countries.
make('private.mmdb', qw(10.0.0.0/8=HK 100.64.0.0/10=HK 127.0.0.0/8=HK 169.254.0.0/16=HK 172.16.0.0/12=HK 192.168.0.0/16=HK fc00::/7=DE fe80::/10=DE 198.51.100.0/24=HK));
my @PRIVATE = qw(10.1.2.3 100.64.9.9 127.0.0.9 169.254.3.3 172.20.0.1 192.168.1.1 ::ffff:10.1.2.3 fd00::1 fe80::1 ::1);
FormGuard::Case::run(
    { mpm => 'event', path => 'form.cgi', files => { 'form.cgi' => $SCRIPT }, global => "FormGuardGeoDatabase $dir/private.mmdb" },
    {
        name => 'private, loopback, link-local and shared addresses are unknown, whatever the database says; * does not mean them',
        htaccess => $ON . "FormGuardCountry *,HK,EU refuse\nFormGuardLimit country 1/10m\n",
        requests => [(map { { form => 'a=1', from => $_, status => 200 } } @PRIVATE), { form => 'a=1', from => '198.51.100.1', status => 403 }],
        log => [qr{ FG1000: accepted: country=unknown }, scalar @PRIVATE, $REFUSED],
    },
    {
        name => 'they are refused by their own name',
        htaccess => $ON . "FormGuardCountry unknown refuse\n",
        requests => [(map { { form => 'a=1', from => $_, status => 403 } } @PRIVATE), { form => 'a=1', from => '198.51.100.1', status => 200 }],
        log => [qr{ FG1200: refused 403: .* rule="unknown refuse" country=unknown }, scalar @PRIVATE, $OK],
    },
);

FormGuard::Case::run(
    { mpm => 'event', path => 'form.cgi', files => { 'form.cgi' => $SCRIPT } },
    {
        name => 'no database: everybody passes, and it is said once',
        htaccess => $ON . "FormGuardCountry * refuse\nFormGuardCountry unknown refuse\nFormGuardLimit country 1/10m\n",
        requests => [map { from($_, 0, 200) } sort keys %FROM],
        log => [
            qr{ FG1000: accepted: country=- }, scalar(keys %FROM),
            qr{ \[formguard:warn\] .* FG2103: rules about countries are not applied: there is no FormGuardGeoDatabase$},
        ],
    },
);

# --- a database that changes -------------------------------------------------------------------

# One process, so that what is said once is one line.
my $httpd = FormGuard::Httpd->new(
    mpm => 'event', files => { 'form.cgi' => $SCRIPT, '.htaccess' => $ON . "FormGuardCountry HK refuse\n" },
    global => "StartServers 1\nServerLimit 1\nMinSpareThreads 4\nMaxSpareThreads 12\nMaxRequestWorkers 12\nFormGuardGeoDatabase $dir/live.mmdb",
    start => 0
);
make('live.mmdb', @NETWORKS);
$httpd->start;

sub answer { return $httpd->client->post('/form.cgi', form => 'a=1', from => $_[0])->status }

# Posts until the answer is another; how long that took.
sub becomes
{
    my ($from, $status, $what) = @_;
    my $start = time;
    FormGuard::Process::wait_until(sub { sleep 0.1; answer($from) == $status }, 10, $what);
    cmp_ok time - $start, '<', FormGuard::Process::patience(3), $what;
    return;
}

# Posts until there is such a line, then for longer than the file is left unlooked at; all answers.
sub answers_around
{
    my ($from, $line) = @_;
    my ($end, %seen);
    FormGuard::Process::wait_until(
        sub {
            $seen{answer($from)}++;
            $end ||= time + 1.5 if grep { $_ =~ $line } $httpd->log_lines;
            sleep 0.1;
            return $end && time > $end;
        },
        20, $line
    );
    return [sort keys %seen];
}

sub put
{
    my ($name, $bytes) = @_;
    open my $fh, '>:raw', "$dir/$name.new" or die "$dir/$name.new: $!\n";
    print $fh $bytes;
    close $fh or die "$dir/$name.new: $!\n";
    rename "$dir/$name.new", "$dir/$name" or die "$dir/$name: $!\n";
    return;
}

is answer('198.51.100.1'), 403, 'as the file says at start';
is answer('192.0.2.1'), 200, 'as the file says at start';
make('live.mmdb', '192.0.2.0/24=HK', '198.51.100.0/24=JP');
becomes('192.0.2.1', 403, 'a file renamed over it is in force within moments');
is answer('198.51.100.1'), 200, 'all of it';
$httpd->log_ok('that is one line', $REFUSED => '+', qr{ FG1000: } => '*', qr{ FG2101: the country database \Q$dir\E/live\.mmdb is loaded, built });

put('live.mmdb', 'no database at all');
is_deeply answers_around('192.0.2.1', qr/ FG2102: /), [403], 'rubbish: the old answers stay';
$httpd->log_ok('and it is said once', $REFUSED => '+',
    qr{ \[formguard:warn\] .* FG2102: the country database \Q$dir\E/live\.mmdb can't be used: it is no MMDB file .*; the one loaded before stays$});

make('live.mmdb', '--flat', @NETWORKS);
becomes('192.0.2.1', 200, 'a good one, of the other schema, is taken again');
is answer('198.51.100.1'), 403, 'all of it';
$httpd->log_ok('and that is said', $REFUSED => '+', qr{ FG1000: } => '*', qr/ FG2101: /);

make('asn.mmdb', '--asn', @NETWORKS);
rename "$dir/asn.mmdb", "$dir/live.mmdb" or die "live.mmdb: $!\n";
is_deeply answers_around('198.51.100.1', qr/ FG2102: /), [403], 'a database without countries: the old answers stay';
$httpd->log_ok('and it is said once', $REFUSED => '+', qr{ FG1000: } => '*', qr{ FG2102: .* it holds no countries; the one loaded before stays$});

# Overwritten in place by something shorter: who maps the file itself dies of it.
make('live.mmdb', '--padding=3000', @NETWORKS);
FormGuard::Process::wait_until(sub { sleep 0.1; answer('198.51.100.1'); grep { / FG2101: / } $httpd->log_lines }, 10, 'the padded file');
open my $fh, '+<:raw', "$dir/live.mmdb" or die "live.mmdb: $!\n";
truncate $fh, 4096 or die "truncate: $!\n";
close $fh;
is_deeply answers_around('198.51.100.1', qr/ FG2102: /), [403], 'cut short in place: the old answers stay';
$httpd->log_ok('and it is said once', $REFUSED => '+', qr{ FG1000: } => '*', qr/ FG2101: /, 1, qr/ FG2102: /);

unlink "$dir/live.mmdb" or die "live.mmdb: $!\n";
is_deeply answers_around('198.51.100.1', qr/ FG2102: .* is not there/), [403], 'removed: the old answers stay';
$httpd->log_ok('and it is said once', $REFUSED => '+', qr{ FG1000: } => '*', qr{ FG2102: .* it is not there; the one loaded before stays$});

make('live.mmdb', '192.0.2.0/24=HK');
becomes('192.0.2.1', 403, 'and back again');
$httpd->log_ok('and that is said', $REFUSED => '+', qr{ FG1000: } => '*', qr/ FG2101: /);
$httpd->done('nothing more in error_log');

done_testing;
