#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# What the application gets of a guarded post is what the client sent, byte for byte: compared with the
# same server where FormGuard is Off and with one that has no such module at all.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use Fcntl qw(O_RDWR);
use FormGuard::Httpd;
use IO::Compress::Gzip qw(gzip);
use Test::More;

# Beyond 256 KiB a body is kept in a file, which is handed on by pieces of 1 MiB.
my @SIZES = (0, 1, 8 << 10, 256 << 10, (256 << 10) + 1, 1 << 20, 20 << 20);

my $GUARD = <<'CONF';
Alias /off @HTDOCS@
Alias /gzip @HTDOCS@
<Location />
    FormGuard On
    FormGuardLimit ip 100000/1h
</Location>
<Location /off>
    FormGuard Off
</Location>
CONF

# Contents that no buffer boundary and no text conversion can leave alone by luck.
my $random = do {
    my $x = 1;
    pack 'V*', map { $x = ($x * 1103515245 + 12345) & 0xffffffff } 1 .. 16384;
};

sub bytes
{
    my ($n) = @_;
    my $out = '';
    $out .= pack('V', length $out) . $random while length $out < $n;
    return substr $out, 0, $n;
}

my %body = map { $_ => bytes($_) } @SIZES;
my %accepted;    # by port: how many posts the guard has been given

# What the application says it got, in short; the guard counts what it was given.
sub post
{
    my ($httpd, $path, %o) = @_;
    my $how = $o{curl} ? 'curl' : 'request';
    my $r = eval { $httpd->client->$how('POST', $path, %o) };
    return "no answer: $@" if !$r;
    return 'status ' . $r->status . ' ' . substr($r->body, 0, 200) if $r->status != 200;
    my $j = eval { $r->json } or return 'no answer of the application';
    return join ' ', $j->{length}, $j->{sha256}, 'CONTENT_LENGTH', $j->{content_length} || '-';
}

sub guarded
{
    my ($httpd, @request) = @_;
    $accepted{$httpd->port}++;
    return post($httpd, @request);
}

sub whole
{
    my ($body) = @_;
    return join ' ', length $body, sha256_hex($body), 'CONTENT_LENGTH', length $body || '-';
}

sub size_name { my ($n) = @_; return $n < 1024 ? "$n B" : $n >> 20 ? ($n >> 20) . ' MiB' : ($n >> 10) . ' KiB' . ($n & 1 ? ' + 1' : '') }

# Stock httpd tells an application nothing of the length of a chunked body, and php-fpm gets nothing of it,
# or over HTTP/2 its request is reset; php-cgi hangs up.
sub compare
{
    my ($name, $guarded, $stock, $body, $chunked, $may_lose) = @_;
    my $want = whole($body);
    is $guarded, $want, "$name: guarded";
    if ($chunked) {
        s/ CONTENT_LENGTH \S+// for $stock, $want;
        my $nothing = '0 ' . sha256_hex('');
        $may_lose && ($stock eq $nothing || $stock =~ /^no answer/) ? pass("$name: stock loses it") : is $stock, $want, "$name: stock";
    }
    else {
        is $stock, $want, "$name: stock";
    }
}

# Every size, with Content-Length and chunked, for one application on a guarded and on a stock server.
sub matrix
{
    my ($what, $httpd, $path, $stock, $stock_path, %o) = @_;
    for my $size (@{$o{sizes} || \@SIZES}) {
        for my $chunked (0, 1) {
            # Pieces that straddle reads of 64 KiB and the 256 KiB kept in memory.
            my %q = (body => $body{$size}, type => 'application/octet-stream',
                $chunked ? (chunks => [1, 4095, 8192, 8193, 50_000, 1, (200_000) x 200]) : ());
            compare("$what: " . size_name($size) . ($chunked ? ' chunked' : ''),
                guarded($httpd, $path, %q), post($stock, $stock_path, %q), $body{$size}, $chunked, $o{may_lose});
        }
    }
}

# How a body may be cut, and what else chunked allows.
sub cuts
{
    my ($what, $httpd, $path) = @_;
    my @raw = (Expect => undef, 'Transfer-Encoding' => 'chunked', 'Content-Length' => undef);
    my %type = (type => 'application/octet-stream');
    my $small = substr $body{1 << 20}, 0, 3000;
    is guarded($httpd, $path, %type, body => $small, chunks => [(1) x 3000]), whole($small), "$what: one-byte chunks";

    my $big = substr $body{1 << 20}, 0, 450_000;
    my $ext = join '', map { sprintf "%X;n=v;q=\"a;b\"\r\n%s\r\n", length $_, $_ } unpack '(a30000)*', $big;
    is guarded($httpd, $path, %type, headers => \@raw, body => $ext . "0;last\r\n\r\n"), whole($big),
        "$what: chunk extensions";
    is guarded($httpd, $path, %type, headers => \@raw,
        body => $ext . "0\r\nX-Sum: 1\r\nContent-Length: 3\r\nX-Long: " . ('x' x 2000) . "\r\n\r\n"), whole($big),
        "$what: trailers";
    is guarded($httpd, $path, %type, body => $big, expect => 1), whole($big), "$what: Expect";
    is guarded($httpd, $path, %type, body => $big, expect => 1, chunks => [70_000]), whole($big),
        "$what: Expect, chunked";
    is guarded($httpd, $path, %type, body => $big, version => '1.0'), whole($big), "$what: HTTP/1.0";
}

# The connection and what follows on it.
sub connection
{
    my ($what, $httpd, $path) = @_;
    my $c = $httpd->client;
    my $big = substr $body{1 << 20}, 0, 300_001;
    my @cuts = ([], [chunks => [1, 65_536]]);
    for my $cut (@cuts) {
        my $name = "$what, pipelined" . (@$cut ? ', chunked' : '');
        my $conn = $c->connect;
        my %o = (type => 'application/octet-stream', keepalive => 1);
        $conn->send($c->bytes('POST', $path, %o, body => $big, @$cut)
            . $c->bytes('POST', $path, %o, body => 'second', @$cut)
            . $c->bytes('GET', '/next.txt', keepalive => 1));
        $accepted{$httpd->port} += 2;
        my @got = map { $conn->read('POST') } 1, 2;
        is_deeply [map { $_->json->{sha256} } @got], [sha256_hex($big), sha256_hex('second')], "$name: both posts";
        ok !(grep { $_->closed } @got), "$name: neither closes the connection";
        is $conn->read('GET')->body, "the next answer\n", "$name: what follows is intact";
        $conn->send($c->bytes('POST', $path, %o, body => $big));
        $accepted{$httpd->port}++;
        is $conn->read('POST')->json->{sha256}, sha256_hex($big), "$name: and the connection lives on";
        $conn->close;
    }
    my $r = $c->request('POST', $path, body => $big, type => 'text/plain', expect => 1);
    $accepted{$httpd->port}++;
    is_deeply [$r->interim], [100], "$what: one 100 Continue";
}

my @FORM = (name => "\xe8\x8a\xb1\xe5\xad\x90 & co", 'a[b]' => 'x+y=%41', 'a[c]' => "line\r\nline", message => 'm' x 300_000);
my @PARTS = (
    @FORM,
    small => { filename => 's.txt', type => 'text/plain', content => "one\r\n--two\r\n" },
    big => { filename => 'b.bin', type => 'image/png', content => $body{1 << 20} },
    none => { filename => 'n.bin', type => 'image/png', content => '' },
    after => 'the files',
);

# What PHP makes of it: fields, files and their contents.
sub php_view
{
    my ($httpd, $path, %o) = @_;
    my $r = $httpd->client->request('POST', $path, %o);
    return { status => $r->status } if $r->status != 200;
    my $j = $r->json;
    return { map { $_ => $j->{$_} } qw(sha256 length post files content_type method) };
}

sub content_types
{
    my ($what, $httpd, $path, $stock, $stock_path, %o) = @_;
    my %kind = (
        urlencoded => [form => \@FORM],
        multipart => [multipart => \@PARTS],
        JSON => [json => { name => 'x', deep => { list => [1, 'two', 'x' x 300_000] } }],
    );
    for my $kind (sort keys %kind) {
        for my $chunked (0, 1) {
            my @q = (@{$kind{$kind}}, $chunked ? (chunks => [1, 63, 8192, 65_000, 250_000]) : ());
            my $name = "$what: $kind" . ($chunked ? ', chunked' : '');
            $accepted{$httpd->port}++;
            my $got = php_view($httpd, $path, @q);
            # Where stock httpd loses a chunked body, what it makes of the same with a length is the measure.
            my $want = php_view($stock, $stock_path, $chunked && $o{may_lose} ? @{$kind{$kind}} : @q);
            is_deeply $got, $want, "$name: guarded and stock agree";
            next if $kind eq 'JSON';
            is $got->{post}{message}, 'm' x 300_000, "$name: the fields are there";
            is $got->{files}{big}{sha256}, sha256_hex($body{1 << 20}), "$name: the file is" if $kind eq 'multipart';
        }
    }
}

# A compressed body is judged and handed on as the filter in front of the application made it.
sub compressed
{
    my ($what, $httpd, $path) = @_;
    for my $field (qw(name other)) {
        for my $chunked (0, 1) {
            my $plain = "$field=" . unpack 'H*', substr $body{1 << 20}, 0, 400_000;
            gzip(\$plain => \my $gz);
            my $r = $httpd->client->request('POST', $path, body => $gz, type => 'application/x-www-form-urlencoded',
                headers => ['Content-Encoding' => 'gzip'], $chunked ? (chunks => [10, 100]) : ());
            my $name = "$what: gzip" . ($chunked ? ', chunked' : '');
            is $r->status, 200, "$name: status" or next;
            is $r->json->{sha256}, sha256_hex($plain), "$name: whole";
            is $r->json->{content_length}, length $plain, "$name: its length";
            # FormGuardFormField name
            is $r->json->{formguard}{FORMGUARD_VERDICT}, $field eq 'name' ? 'accepted' : 'not-judged', "$name: field $field";
            $accepted{$httpd->port}++ if $field eq 'name';
        }
    }
}

my $GZIP = "<Location /gzip>\n    SetInputFilter DEFLATE\n    FormGuardFormField name\n</Location>\n";

sub finish
{
    my ($httpd) = @_;
    # PHP removes its own after it has answered.
    ok eval { FormGuard::Process::wait_until(sub { !(() = glob $httpd->dir . '/tmp/*') }, 10, 'an empty folder') },
        $httpd->mpm . ': no temporary file is left' or diag glob $httpd->dir . '/tmp/*';
    $httpd->log_ok($httpd->mpm . ': each post has one line', qr/FG1000: accepted:/ => $accepted{$httpd->port});
    $httpd->done;
}

my $next = { 'next.txt' => "the next answer\n", map { $_ => \$_ } qw(echo.php echo.cgi) };

subtest 'event: php-fpm, CGI and mod_proxy_http; HTTP/2' => sub {
    my @same = (mpm => 'event', php => 'fpm', h2 => 1, modules => [qw(proxy proxy_http filter deflate)], files => $next);
    my $stock = FormGuard::Httpd->new(@same, module => 0,
        config => 'ProxyPass /back/ http://127.0.0.1:@PORT@/ enablereuse=off');
    my $httpd = FormGuard::Httpd->new(@same,
        config => "$GUARD$GZIP\nProxyPass /back/ http://127.0.0.1:" . $stock->port . "/ enablereuse=off\n");

    matrix('php-fpm', $httpd, '/echo.php', $stock, '/echo.php', may_lose => 1);
    matrix('CGI', $httpd, '/echo.cgi', $stock, '/echo.cgi');
    matrix('proxy', $httpd, '/back/echo.cgi', $stock, '/back/echo.cgi');
    # The same server with FormGuard Off is no different from one without the module.
    for my $path ('/echo.php', '/echo.cgi') {
        my %q = (body => $body{1 << 20}, type => 'application/octet-stream');
        is post($httpd, "/off$path", %q), post($stock, $path, %q), "Off is stock: $path";
    }
    cuts('php-fpm', $httpd, '/echo.php');
    cuts('CGI', $httpd, '/echo.cgi');
    cuts('proxy', $httpd, '/back/echo.cgi');
    connection('php-fpm', $httpd, '/echo.php');
    connection('CGI', $httpd, '/echo.cgi');
    connection('proxy', $httpd, '/back/echo.cgi');
    content_types('php-fpm', $httpd, '/echo.php', $stock, '/echo.php', may_lose => 1);
    content_types('proxy to php-fpm', $httpd, '/back/echo.php', $stock, '/back/echo.php', may_lose => 1);
    compressed('php-fpm', $httpd, '/gzip/echo.php');
    compressed('CGI', $httpd, '/gzip/echo.cgi');

    for my $path ('/echo.php', '/echo.cgi', '/back/echo.cgi') {
        for my $size ($path eq '/echo.php' ? @SIZES : ($SIZES[4])) {
            my %q = (curl => ['--no-show-error'], h2 => 1, body => $body{$size}, type => 'application/octet-stream');
            compare("h2 $path: " . size_name($size), guarded($httpd, $path, %q), post($stock, $path, %q), $body{$size});
        }
        my %q = (curl => ['--no-show-error'], h2 => 1, body => $body{1 << 20}, type => 'application/octet-stream',
            headers => ['Transfer-Encoding' => 'chunked']);    # curl: no content-length
        compare("h2 $path: no length", guarded($httpd, $path, %q), post($stock, $path, %q), $body{1 << 20}, 1,
            $path eq '/echo.php');
    }
    finish($httpd);
    $stock->done;
};

subtest 'prefork: mod_php' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', modules => [qw(filter deflate)],
        files => $next, config => $GUARD . $GZIP);
    matrix('mod_php', $httpd, '/echo.php', $httpd, '/off/echo.php');
    cuts('mod_php', $httpd, '/echo.php');
    connection('mod_php', $httpd, '/echo.php');
    content_types('mod_php', $httpd, '/echo.php', $httpd, '/off/echo.php');
    compressed('mod_php', $httpd, '/gzip/echo.php');
    finish($httpd);
};

subtest 'worker: php-cgi by Action' => sub {
    my @same = (mpm => 'worker', php => 'cgi', files => $next);
    # php-cgi does not read a body of no known length, and httpd stumbles over that.
    my $stock = FormGuard::Httpd->new(@same, module => 0, expect_log => [qr/ AH0(?:0574|1215|1220|2651): / => '*']);
    my $httpd = FormGuard::Httpd->new(@same, config => $GUARD);
    matrix('php-cgi', $httpd, '/echo.php', $stock, '/echo.php', sizes => [0, (256 << 10) + 1, 1 << 20], may_lose => 1);
    content_types('php-cgi', $httpd, '/echo.php', $stock, '/echo.php', may_lose => 1);
    finish($httpd);
    $stock->done;
};

# --- what a big post costs ---------------------------------------------------------------------------

# The script tells what its parent, the httpd child, holds when all of the body has been handed over.
my $MEMORY = <<'CGI';
#!/usr/bin/env perl
1 while read STDIN, my $piece, 65536;
open my $fh, '<', '/proc/' . getppid() . '/status' or die;
my ($kib) = join('', <$fh>) =~ /^RssAnon:\s+(\d+) kB/m;
print "Content-Type: text/plain\r\n\r\n", getppid(), " $kib";
CGI

sub open_files
{
    my ($pid) = @_;
    opendir my $dh, "/proc/$pid/fd" or die "/proc/$pid/fd: $!\n";
    return map { readlink("/proc/$pid/fd/$_") // () } grep { /\d/ } readdir $dh;
}

# Does the file system have files that never had a name (O_TMPFILE)?
sub nameless
{
    my ($dir) = @_;
    return sysopen my $fh, $dir, O_RDWR | 020200000, 0600;
}

# valgrind has memory and temporary files of its own.
subtest 'one child: memory, descriptors, temporary files' => sub {
    my $httpd = FormGuard::Httpd->new(
        mpm => 'prefork', config => $GUARD, files => { 'memory.cgi' => $MEMORY },
        global => "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1\nServerLimit 1"
    );
    my $c = $httpd->client;
    my $send = sub {
        my ($body, @how) = @_;
        $accepted{$httpd->port}++;
        return split ' ', $c->request('POST', '/memory.cgi', body => $body, type => 'application/x-www-form-urlencoded', @how)->body;
    };
    my $tmp = $httpd->dir . '/tmp';
    my $field = 'message=' . ('x' x 599_990);
    $send->($field) for 1 .. 3;
    my ($pid, $before) = $send->('a=b');
    my $files = open_files($pid);
    my ($same, $after) = $send->('message=' . ('x' x (20 << 20)));
    is $same, $pid, 'one child serves all';
    cmp_ok $after - $before, '<', 2048, "20 MiB take less than 2 MiB of memory ($before to $after KiB)";
    $send->($field) for 1 .. 50;
    # The last connection may be a moment in closing.
    ok eval { FormGuard::Process::wait_until(sub { open_files($pid) <= $files }, 10, 'files to be closed') },
        'no descriptor is left open after 50 posts' or diag join "\n", open_files($pid);
    (undef, my $end) = $send->('a=b');
    cmp_ok $end - $before, '<', 2048, "nor does memory grow ($before to $end KiB)";
    # None may take more than its byte.
    my (undef, $most) = $send->('message=' . 'x' x 199_992, chunks => [(1) x 200_000]);
    cmp_ok $most - $before, '<', 2048, "200,000 chunks of a byte take less than 2 MiB ($before to $most KiB)";

    # In the middle of an upload the file exists for this process only.
    my $conn = $c->connect;
    my $bytes = $c->bytes('POST', '/memory.cgi', body => $field, type => 'application/x-www-form-urlencoded');
    $conn->send(substr $bytes, 0, 500_000);
    my $file;
    FormGuard::Process::wait_until(
        sub { ($file) = grep { m{^\Q$tmp\E/} } open_files($pid); $file }, 10, 'the temporary file');
    # "#" and a number is all the kernel calls it where the file system has files that never had a name.
    like $file, nameless($tmp) ? qr{/#\d+ \(deleted\)\z} : qr{/formguard\.\w+ \(deleted\)\z}, 'it is in the folder for temporary files, without a name';
    is_deeply [glob $httpd->dir . '/tmp/{*,.[!.]*}'], [], 'which looks empty';
    $conn->close;
    FormGuard::Process::wait_until(sub { !grep { m{^\Q$tmp\E/} } open_files($pid) }, 10, 'the file to be closed');
    $httpd->log->wait_for(qr/FG1303: refused/, 0);
    pass 'it is gone when the client is';
    $httpd->log_ok('one line for the client that went away', qr/ AH00161: / => '*', qr/FG1303: refused/,
        qr/FG1000: accepted:/ => $accepted{$httpd->port});
    $httpd->done;
} if !$ENV{FORMGUARD_WRAP};

done_testing;
