#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Gives the same bodies to core's reader (body_dump) and to a real PHP, and fails wherever the two
# see different fields and the reader did not say that something is wrong with the body. Then it
# cuts a field out of the body as core says, and fails wherever PHP sees another difference.
#   BODY_DUMP  the program built from body_dump.c     PHP     a php-cli 8.2
#   SEED       of the generated bodies                BODIES  how many of each kind
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Handle;
use IO::Socket::INET;
use IPC::Open2;
use JSON::PP qw(decode_json);
use POSIX qw(WNOHANG);
use Test::More;

my $here   = dirname(abs_path(__FILE__));
my $dump   = $ENV{BODY_DUMP} || "$here/body_dump";
my $php    = $ENV{PHP} || 'php';
my $seed   = $ENV{SEED} || 20250;
my $bodies = $ENV{BODIES} || 1000;
my $dir    = tempdir(CLEANUP => 1);
my ($server, $port, $dumper, $to_dump, $from_dump);
my @pieces = (1, 2, 3, 7, 61, 4096, 65536);
my $mild; # whether the body being made keeps to what an honest client could send
my $relation = 'same'; # what PHP has is what the reader says; `within`: some of it

my $script = <<'PHP';
<?php
function flat($node, $path, $out) {
    if (!is_array($node)) {
        $leaf = is_string($node) ? $node : json_encode($node);
        return $out . implode('.', array_map('bin2hex', $path)) . '=' . bin2hex($leaf) . "\n";
    }
    if (!$node && $path) {
        return $out . implode('.', array_map('bin2hex', $path)) . "=array\n";
    }
    foreach ($node as $key => $child) {
        $out = flat($child, array_merge($path, [(string)$key]), $out);
    }
    return $out;
}
if ($_SERVER['CONTENT_TYPE'] === 'application/json') {
    $_POST = json_decode(file_get_contents('php://input'), true) ?? 'broken';
}
$files = [];
foreach ($_FILES as $name => $file) {
    $files[$name] = ['error' => is_array($file['error']) ? $file['error'] : ''];
}
array_walk_recursive($files, function (&$leaf) { $leaf = ''; });
$filtered = filter_input_array(INPUT_POST, FILTER_UNSAFE_RAW);
header('Content-Type: text/plain');
echo flat($_POST, [], ''), "files\n", flat($files, [], ''), "filter\n",
    flat($filtered ?: [], [], ''), "end\n";
PHP

$SIG{INT} = $SIG{TERM} = sub { exit 1 };

sub stop_php
{
    return if !$server;
    kill TERM => $server;
    waitpid $server, 0;
    undef $server;
    return;
}

# Start PHP, or start it anew with other settings.
sub start_php
{
    my @settings = map { ('-d', $_) } @_;
    my $log = "$dir/php.log";
    stop_php();
    open my $fh, '>', "$dir/router.php" or die "router.php: $!";
    print $fh $script;
    close $fh;
    for (1 .. 5) {
        my $probe = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)
            or die "no port: $!";
        $port = $probe->sockport;
        close $probe;
        $server = fork // die "fork: $!";
        if (!$server) {
            open STDIN,  '<',  '/dev/null';
            open STDOUT, '>',  $log;
            open STDERR, '>&', \*STDOUT;
            no warnings 'exec';
            exec {$php} $php, '-n', '-d', 'display_errors=0', '-d', 'log_errors=0',
                '-d', "upload_tmp_dir=$dir", '-d', 'post_max_size=64M', @settings, '-q', '-S',
                "127.0.0.1:$port", "$dir/router.php";
            POSIX::_exit(127);
        }
        for (1 .. 200) {
            last if waitpid($server, WNOHANG) == $server;
            return 1 if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
            select undef, undef, undef, 0.05;
        }
        undef $server if !kill 0, $server;
    }
    return 0;
}

END {
    my $status = $?;
    stop_php();
    $? = $status;
}

# What PHP has: the flattened $_POST, $_FILES and filter_input(), as text.
sub ask_php
{
    my ($type, $body) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 20)
        or die "php does not answer: $!";
    my $answer = '';
    print $socket "POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: $type\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    1 while sysread $socket, $answer, 65536, length $answer;
    $answer =~ s/\A.*?\r\n\r\n//s;
    $answer =~ /\A(.*)^files\n(.*)^filter\n(.*)^end\n\z/ms or die "php answered: $answer";
    return {post => $1, files => $2, filter => $3};
}

# What the reader has: status and fields.
sub ask_reader
{
    my ($type, $body, $name) = @_;
    my @lines;
    print $to_dump join(' ', map({ length } $type, $name, $body), $pieces[rand @pieces]),
        "\n$type$name$body";
    while (my $line = <$from_dump>) {
        push @lines, decode_json($line);
        return {%{pop @lines}, fields => \@lines} if $lines[-1]{status};
    }
    die "$dump ended";
}

# A PHP array: keys in order, what they hold, and the next index (behind [-3] it is -2).
sub new_array { return {keys => [], at => {}, next => undef} }

sub put
{
    my ($array, $key, $value) = @_;
    $key = $array->{next} // 0 if !defined $key;
    $array->{next} = $key + 1 if $key =~ /\A(?:0|-?[1-9][0-9]{0,17})\z/
        && (!defined $array->{next} || $key >= $array->{next});
    push @{$array->{keys}}, $key if !exists $array->{at}{$key};
    return $array->{at}{$key} = $value;
}

sub assign
{
    my ($array, $value, @path) = @_;
    my $last = pop @path;
    for my $key (@path) {
        my $there = defined $key ? $array->{at}{$key} : undef;
        $array = ref $there ? $there : put($array, $key, new_array());
    }
    put($array, $last, $value);
    return;
}

sub flat
{
    my ($node, @path) = @_;
    my $at = join '.', map { unpack 'H*', $_ } @path;
    return "$at=" . unpack('H*', $node) . "\n" if !ref $node;
    return "$at=array\n" if !@{$node->{keys}} && @path;
    return join '', map { flat($node->{at}{$_}, @path, $_) } @{$node->{keys}};
}

# The arrays PHP would make of the reader's fields.
sub as_php
{
    my ($fields) = @_;
    my ($post, $files) = (new_array(), new_array());
    for my $field (@$fields) {
        my ($base, $rest) = $field->{name} =~ /\A([^\[]*)(.*)\z/s;
        my @path = ($rest =~ /\[([^\]]*)\]/gs);
        @path = map { length() ? $_ : undef } @path;
        if ($field->{file}) {
            assign($files, '', $base, 'error', @path);
        }
        else {
            assign($post, $field->{value}, $base, @path);
        }
    }
    return {post => flat($post), files => flat($files)};
}

# Whether each value PHP has is one that was told, if not the last of its name.
sub is_within
{
    my ($php, $ours, $fields) = @_;
    my %told = map { $_ => 1 } split /^/, $ours;
    for my $field (@$fields) {
        # ISO-2022-JP's way back to ASCII is gone where values are converted.
        (my $converted = $field->{value}) =~ s/\x1b\(B//g;
        for my $one (map { as_php([{%$field, value => $_}]) } $field->{value}, $relation eq 'ascii' ? $converted : ()) {
            $told{$_} = 1 for split /^/, $one->{post} . $one->{files};
        }
    }
    return !grep { !$told{$_} && !/=array$/ && ($relation ne 'ascii' || is_ascii($_)) } split /^/, $php;
}

# A flattened value in which there was nothing to be converted; no question mark, which is put where that failed.
sub is_ascii
{
    my ($line) = @_;
    my ($path, $value) = map { join '', map { pack 'H*', $_ } split /\./ } $line =~ /(.*)=(.*)/ ? ($1, $2) : ();
    return "$path$value" =~ /\A[\x01-\x3e\x40-\x7f]*\z/;
}

sub printable
{
    my ($text) = @_;
    $text = substr($text, 0, 2000) . '...' if length $text > 2000;
    $text =~ s/([^ -~]|\\)/sprintf '\\x%02x', ord $1/ge;
    return $text;
}

# What is left of flattened arrays without a field, given as bytes of hexadecimal path.
sub without
{
    my ($text, $path) = @_;
    return join '', grep { !/\A\Q$path\E[.=]/ } split /^/, $text;
}

my %stripped;

# Cut a field out of the body: PHP must miss that one and see all else as before. Returns what differs.
sub strip
{
    my ($type, $body, $name, $php_had, $cuts) = @_;
    my ($base, $rest) = $name =~ /\A([^\[]*)(.*)\z/s;
    my $path = join '.', map { unpack 'H*', $_ } $base, $rest =~ /\[([^\]]*)\]/gs;
    my $left = $body;
    if (!@$cuts) {
        $stripped{'left alone'}++;
        return $rest eq '' ? 'it is not cut' : '';
    }
    $stripped{cut}++;
    substr $left, $_->[0], $_->[1] - $_->[0], '' for reverse @$cuts;
    my $again = ask_reader($type, $left, $name);
    return "the rest is $again->{status}: " . printable($left) if $again->{status} ne 'OK';
    return 'the rest has it: ' . printable($left) if @{$again->{cuts}};
    my $php_has = ask_php($type, $left);
    for my $what (qw(post files filter)) {
        my $want = $what eq 'files' ? $php_had->{files} : without($php_had->{$what}, $path);
        # Where an element is gone, its array may have come by its place among others by a later one.
        my ($is, $should) = map { $rest eq '' ? $_ : join '', sort split /^/, $_ } $php_has->{$what}, $want;
        return "$what of the rest, " . printable($left) . "\n php  " . printable($is) . "\n want " . printable($should)
            if $is ne $should;
    }
    return '';
}

# A member of JSON, by its path, or an element of an array, which is left alone.
sub strip_json
{
    my ($body, $name) = @_;
    my $type = 'application/json';
    my $got = ask_reader($type, $body, $name);
    my $had = ask_php($type, $body)->{post};
    my $left = $body;
    return "reader says $got->{status}" if $got->{status} ne 'OK';
    return 'PHP can not read it' if $had eq '=' . unpack('H*', 'broken') . "\n";
    if (!@{$got->{cuts}}) {
        $stripped{'left alone'}++;
        return $name =~ /(?:\A|\.)\d+\z/ ? '' : 'it is not cut';
    }
    $stripped{cut}++;
    substr $left, $_->[0], $_->[1] - $_->[0], '' for reverse @{$got->{cuts}};
    my $again = ask_reader($type, $left, $name);
    return "the rest is $again->{status}: " . printable($left) if $again->{status} ne 'OK';
    return 'the rest has it: ' . printable($left) if @{$again->{cuts}};
    my $path = join '.', map { unpack 'H*', $_ } split /\./, $name, -1;
    my ($is, $should) = map { s/^\S*=array\n//mgr } ask_php($type, $left)->{post}, without($had, $path);
    return $is eq $should ? '' : 'the rest, ' . printable($left) . "\n php  " . printable($is) . "\n want " . printable($should);
}

# One body: returns the reader's status, or undef after telling what differs.
sub compare
{
    my ($type, $body) = @_;
    my $got = ask_reader($type, $body, '');
    return $got->{status} if $got->{status} ne 'OK';
    my ($php_has, $we_have) = (ask_php($type, $body), as_php($got->{fields}));
    for my $what (qw(post files filter)) {
        my $ours = $we_have->{$what eq 'files' ? 'files' : 'post'};
        next if $php_has->{$what} eq $ours;
        next if $relation ne 'same' && is_within($php_has->{$what}, $ours, $got->{fields});
        diag("$what differs\n type ", printable($type), "\n body ", printable($body),
            "\n php  ", printable($php_has->{$what}), "\n ours ", printable($ours));
        return undef;
    }
    return 'OK' if $relation ne 'same';
    my @names = map { $_->{file} ? () : $_->{name} } @{$got->{fields}} or return 'OK';
    my $name = pick(@names);
    $name =~ s/\[\].*//s; # PHP numbers those as they come
    $name =~ s/\[.*//s if rand() < .6;
    my $differs = strip($type, $body, $name, $php_has, ask_reader($type, $body, $name)->{cuts});
    return 'OK' if $differs eq '';
    diag("without ", printable($name), ": $differs\n type ", printable($type), "\n body ", printable($body));
    return undef;
}

sub pick { return $_[rand @_] }

my @name_bits = (
    'a', 'b', 'name', 'x.y', '.', ' ', '[', ']', '[]', '[b]', '[b.c]', '[ ]', '[ b]', '[b', 'b]',
    '[0]', '[7]', '[-3]', '[05]', '_', '__Host-', '__Secure-', 'tmp_name', '[tmp_name]', '[error]',
    "\xe5\x90\x8d", "\t", "\n", '[__Host-x]', "'", '"', '\\', '/', ';', ':', '*',
    "\x83\x5c", "\x95\x5b", "\x1b(B", '%5B', '%00', '+', 'MAX_FILE_SIZE', '_charset_', '0', 'GLOBALS',
);

my @mild_bits = ('a', 'b', 'name', 'x.y', '.', ' ', '[]', '[b]', '[b.c]', '[0]', '[7]', '_', "'",
    "\xe5\x90\x8d", '/', ';', ':', '*', '"', ']', '\\', '[b]c');

sub name
{
    my @bits = $mild ? @mild_bits : @name_bits;
    return join '', map { pick(@bits) } 1 .. 1 + rand pick(1, 2, 4, 8);
}

sub escaped
{
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9])/rand() < .7 ? sprintf('%%%02X', ord $1) : $1/ge;
    return $text;
}

sub urlencoded_body
{
    my @bits = ('&', '&&', '=', '==', '%', '%zz', '%4', '%00', '+', '%2B', '%5B', '%5D', ';');
    my $body = '';
    push @bits, "\0" if !$mild && rand() < .2;
    for (1 .. rand 8) {
        $body .= rand() < .7 ? escaped(name()) : join '', map { pick(@bits, name()) } 1 .. rand 6;
        $body .= '=' . escaped(name()) if rand() < .8;
        $body .= '=' . ('v' x rand pick(10, 3000, 16000)) if rand() < .1;
        $body .= pick('&', '&', '&', '&&', '');
    }
    return $body;
}

my @boundaries = ('b', 'XyZ', '----WebKitFormBoundaryAbCdEf0123456789', '-' x 27 . '123456789',
    '--', '0' x 70, "a'b(c)", '=_x');

sub boundary_parameter
{
    my ($b) = @_;
    return pick(
        (qq{; boundary=$b}) x 10, qq{; boundary="$b"}, qq{;boundary=$b}, qq{; Boundary=$b},
        qq{; charset=utf-8; boundary=$b}, qq{; boundary=$b; charset=utf-8}, qq{; boundary=$b ; x=y},
        qq{; boundary="$b"; boundary=c}, qq{; boundary=$b,c}, qq{; xboundary=c; boundary=$b},
        qq{; boundary = $b}, qq{ boundary=$b}, qq{; boundary="$b}, q{; boundary=}, q{},
        qq{; BOUNDARY=c; boundary=$b}, qq{; boundary*=$b}, qq{, boundary=$b}, qq{; boundary='$b'});
}

sub disposition
{
    my ($n) = @_;
    my $quoted = pick(1, 1, 1, 1, 0) ? do { (my $q = $n) =~ s/"/pick('\\"', '%22')/ge; qq{"$q"} }
        : pick($n, "'$n'", qq{"$n"x}, qq{"$n}, qq{x"$n"}, qq{ "$n" });
    my $file = pick(('') x 6, '; filename="f.txt"', '; filename=""', '; filename=f', '; filename=',
        q{; filename*=UTF-8''f}, q{; filename="f"; filename*=UTF-8''g}, '; filename="a\\"b"',
        '; filename="C:\\dir\\"', '; filename="a;b"', '; FileName=f', '; filename ="f"', '; x=y',
        '; filename="f"; filename="g"', q{; filename='f;name=x'}, "; name=\"other\"", ';;; x');
    return qq{form-data; name="$n"} . pick('', '', '; filename="f"', '; filename=""')
        if $mild && $n !~ /["\\]/;
    my $type = pick(('form-data; ') x 8, 'form-data;', 'FORM-DATA;  ', 'attachment; ', 'form-data ',
        "form-data;\t", '; ', 'form-data;; ', '');
    return pick(("${type}name=$quoted$file") x 10, "${type}NAME=$quoted$file", "$type$file",
        "${type}name =$quoted$file", "${type}name= $quoted$file", "${type}name==$quoted$file",
        "$type filename=\"f\"; name=$quoted", "${type}name*=$quoted$file", "${type}na\\me=$quoted");
}

sub part_data
{
    my ($b) = @_;
    my @bits = ('value', '', "\r", "\n", "\r\n", '-', '--', "\0", "\xff", "\r\n\r\n",
        "\r\n--" . substr($b, 0, rand length $b), "\n-$b", "\r\n--x$b", 'x' x 5119, 'x' x 5110);
    my $data = join '', map { pick(@bits) } 1 .. rand 6;
    $data =~ s/--\Q$b//g if $mild;
    if (rand() < .15) {
        my $pad = pick(5120, 10240, 4096, 8192) + int(rand 140) - 70;
        $data = ('y' x ($pad - length($data) % 100)) . pick(($mild ? '' : "\r\n--$b"), @bits) . $data;
    }
    return $data;
}

sub multipart_body
{
    my ($b) = @_;
    my $eol  = pick(("\r\n") x 8, "\n");
    my $nl   = sub { $mild || rand() < .98 ? $eol : pick("\n", "\r\n", "\r", "\r\r\n", '') };
    my $body = $mild ? pick('', '', "preamble$eol") : pick(('') x 8, "preamble$eol", $eol, "--$b", "x--$b$eol", ('p' x 5120), "--$b--$eol");
    for (1 .. rand 6) {
        my @headers = ('Content-Disposition: ' . disposition(name()));
        push @headers, 'Content-Type: text/plain' if rand() < .3;
        unshift @headers, 'Content-Transfer-Encoding: ' . pick('8bit', 'base64', 'quoted-printable')
            if rand() < .1;
        push @headers, pick('X', ' folded', "\tfolded", ': x', 'X: y', "X:\x01", '', 'X y: z',
            'Content-Disposition: form-data; name=z', "--$b", "Y: --$b") if !$mild && rand() < .05;
        $headers[rand @headers] =~ s/; /;$eol /        if rand() < .05;
        $headers[rand @headers] =~ s/Content-D/content-d/ if rand() < .1;
        $headers[rand @headers] =~ s/:/pick(' :', ':', ':  ', '')/e
            if !$mild && rand() < .04;
        $body .= "--$b" . $nl->();
        $body .= $_ . $nl->() for @headers;
        $body .= $nl->() . part_data($b) . $nl->();
    }
    return "$body--$b--" . pick($eol, '', "${eol}epilogue") if $mild;
    $body .= "--$b" . pick(('--') x 10, '-', '', '-- ', '--x') . pick($eol, $eol, '');
    $body .= pick(('') x 8, 'epilogue', "--$b$eol", "$eol--$b$eol", "--$b--");
    return $body;
}

sub json_body
{
    my ($depth) = @_;
    my $white = sub { return join '', map { pick(' ', "\n", "\t", "\r\n", '  ') } 1 .. rand pick(1, 1, 3) };
    my $kind = $depth > 4 ? 1 : $depth ? rand : rand .7;
    my @items;
    return pick('1', '-2.5e3', 'true', 'null', '""', '"x"', '",\\"}"', '"\\u00e9\\\\"', '"]["') if $kind > .7;
    for (1 .. rand pick(1, 3, 6)) {
        my $key = $kind < .5 ? pick('a', 't', 't', '\\u0074', 'b c', "\xc3\xa9", '', '\\"') : undef;
        push @items, $white->() . (defined $key ? qq("$key") . $white->() . ':' . $white->() : '')
            . json_body($depth + 1) . $white->();
    }
    my $inner = @items ? join ',', @items : $white->();
    my $outer = $kind < .5 ? "{$inner}" : "[$inner]";
    return $depth ? $outer : $white->() . $outer . $white->();
}

sub mutated
{
    my ($body) = @_;
    for (1 .. pick(1, 1, 2, 4)) {
        my $at = int rand length($body) + 1;
        my $what = rand;
        if    ($what < .4) { substr $body, $at, int rand pick(2, 10), '' }
        elsif ($what < .7) { substr $body, $at, 0, pick("\r", "\n", "\0", '-', '"', "'", ' ', '\\') }
        elsif ($what < .9) { substr $body, $at, 0, substr $body, int(rand length $body), rand 60 }
        else               { $body = substr $body, 0, $at }
    }
    return $body;
}

# Honest and odd bodies with the status they must have.
sub part
{
    my ($headers, $data) = @_;
    return "--b\r\n$headers\r\n\r\n$data\r\n";
}
my $form   = 'application/x-www-form-urlencoded';
my $multi  = 'multipart/form-data; boundary=b';
my $cd     = 'Content-Disposition: form-data';
my $field  = part("$cd; name=\"a\"", 'v');
my $file   = part("$cd; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain", "1\r\n2");
my $long   = 'z' x 5120;
my @by_hand = (
    (map { [$form, $_, 'OK'] } '', 'a=1', 'a=1&a=2', 'a=1&&b', '=v', '&', 'a', 'a=', 'a=%zz&b=%4',
        '%', 'a%00b=1', 'a=%00x', 'a[b]=1&a[]=2&a[]=3', 'a[b.c]=1', 'a[b=1', 'a[b.c[d]=1', '[a]=1',
        '%20a=1', 'a.b=1', 'a+b=1', 'a[b]c=1', 'a[ ]=1', 'a[ b]=1', 'a]=1', 'a[[b]]=1', 'a[b][c=1',
        '_.Host-x=1', '+__Host-x=1', '__Host-x[__Host-y]=1', 'a=1&a[b]=2&a=3', 'a;b=1;c=2',
        join('', map { "f$_=$_&" } 1 .. 1000), 'a' . '[x]' x 64 . '=1'),
    [$form, 'a=1&a' . '[x]' x 65 . '=2',             'MALFORMED'],
    [$form, 'a=1&a[__Host-x]=2',                     'MALFORMED'],
    [$form, "a=1&b=\0",                               'MALFORMED'],
    [$form, "a=1&\0b=",                               'MALFORMED'],
    [$form, 'a=1&%1B(Bb=2',                          'MALFORMED'],
    [$form, join('', map { "f$_=$_&" } 1 .. 1001),   'TOO_MANY'],
    [$form, 'n' x 513 . '=1',                        'NAME_TOO_LONG'],
    ["$form; charset=utf-8",    'a=1',               'OK'],
    ['Application/X-WWW-Form-URLencoded', 'a=1',     'OK'],
    ["$form,x",                 'a=1',               'OK'],
    [$multi, '',                                     'OK'],
    [$multi, "--b--\r\n",                            'OK'],
    [$multi, "$field--b--\r\n",                      'OK'],
    [$multi, "$field--b--",                          'OK'],
    [$multi, "$field$file$field--b--\r\n",           'OK'],
    [$multi, "$file$field$file--b--\r\n",            'OK'],
    [$multi, "preamble\r\n$field--b--\r\nepilogue",  'OK'],
    [$multi, "$field--b\r\n",                        'MALFORMED'],
    [$multi, "$field",                               'MALFORMED'],
    [$multi, "$field--b--\r\n$field",                'MALFORMED'],
    [$multi, "$field--b \r\n",                       'MALFORMED'],
    [$multi, part("$cd; name=\"f\"; filename=\"\"", '') . "--b--",                      'OK'],
    [$multi, part("$cd; name=f; filename=\"\"", "$long--b\r\n$cd; name=x\r\n\r\nv") . '--b--',
        'MALFORMED'],
    [$multi, part("$cd; name=\"a\"; filename*=UTF-8''x", 'v') . '--b--',               'OK'],
    [$multi, part("$cd; name='a'", 'v') . '--b--',                                      'OK'],
    [$multi, part("$cd; name=a", 'v') . '--b--',                                        'OK'],
    [$multi, part("$cd; name=\"a\\\"b\\\\c\"", 'v') . '--b--',                          'OK'],
    [$multi, part("$cd; name=\"a;b\"; filename=\"x;name=y\"", 'v') . '--b--',           'OK'],
    [$multi, part("$cd; name=\"a[b]\"", 'v') . part("$cd; name=\"a[]\"", 'w') . '--b--', 'OK'],
    [$multi, part("$cd; name=\"f[]\"; filename=x", 'v') x 3 . '--b--',                  'OK'],
    [$multi, part("$cd; name=\"i[p]\"; filename=x", 'v') . part("$cd; name=\"i[t]\"", 'w')
        . '--b--',                                                                      'OK'],
    [$multi, part("$cd;\r\n name=\"a\"", 'v') . '--b--',                                'OK'],
    [$multi, part("Content-Disposition:\r\n form-data; name=\"a\"", 'v') . '--b--',     'OK'],
    [$multi, "--b\n$cd; name=a\n\nv\n--b--\n",                                          'OK'],
    [$multi, part("$cd; name=\"\"", 'v') . $field . '--b--',                            'OK'],
    [$multi, part($cd, 'v') . $field . '--b--',                                         'MALFORMED'],
    [$multi, part('Content-Type: text/plain', 'v') . $field . '--b--',                  'MALFORMED'],
    [$multi, part("$cd; filename=x", 'v') . '--b--',                                    'MALFORMED'],
    [$multi, part("$cd; name=a; name=c", 'v') . '--b--',                                'MALFORMED'],
    [$multi, part("$cd; name=f; filename=x", 'v') . part("$cd; name=f", 'w') . '--b--', 'MALFORMED'],
    [$multi, part("$cd; name=f; filename=x", 'v') . part("$cd; name=\"f[tmp_name]\"", 'w')
        . '--b--',                                                                      'MALFORMED'],
    [$multi, part("$cd; name=f", 'w') . part("$cd; name=f; filename=x", 'v') . '--b--', 'OK'],
    [$multi, part("$cd; name=\"f[\"; filename=x", 'v') . $file . '--b--',               'MALFORMED'],
    [$multi, part("$cd; name=\"a[ b]\"", 'v') . '--b--',                                'MALFORMED'],
    [$multi, part("$cd; name=\"a\0b\"", 'v') . '--b--',                                 'MALFORMED'],
    [$multi, part("$cd; name=a", "v\0\r\n--b\0") . '--b--',                             'MALFORMED'],
    [$multi, "--b\r\n$cd; name=a\r\n\r\n--b\r\n$cd; name=c\r\n\r\nv\r\n--b--",          'MALFORMED'],
    [$multi, part("$cd; name=a\r\nX: " . 'y' x 5000, 'v') . '--b--',                    'NAME_TOO_LONG'],
    [$multi, part("$cd; name=a", '') x 1000 . '--b--',                                  'OK'],
    [$multi, part("$cd; name=a", '') x 1001 . '--b--',                                  'TOO_MANY'],
    ['multipart/form-data; boundary="b"',             "$field--b--", 'OK'],
    ['multipart/form-data; charset=x; Boundary=b',    "$field--b--", 'OK'],
    ['multipart/form-data; boundary=b; charset=x',    "$field--b--", 'OK'],
    ['multipart/form-data',                           "$field--b--", 'MALFORMED'],
    ['multipart/form-data; boundary=',                "$field--b--", 'MALFORMED'],
    ['multipart/form-data; boundary="b',              "$field--b--", 'MALFORMED'],
    ['multipart/form-data; boundary=b; boundary=c',   "$field--b--", 'MALFORMED'],
    ['multipart/form-data; Boundary=c; boundary=b',   "$field--b--", 'MALFORMED'],
    ['multipart/form-data; Boundary=xboundary=b',     "$field--b--", 'MALFORMED'],
    ['text/plain',                                    'a=1',         'OK'],
);

# Names and escapes that differ from reader to reader.
push @by_hand, map { [$form, $_, 'OK'] } '%20a%20b=1', 'a%5b%00%5d=1', 'a[%00]=1', 'a[b%00c]=1',
    'a%5Bb=1', 'a[b]%00[c]=1', ']a=1', 'a]b[c]=1', 'a[b]c[d]=1', 'a[[b]=1', 'a.[b]=1', 'a+[b]=1',
    'a[b].c=1', 'a..b=1', '.=1', '.a=1', '+=1', 'a%2Eb=1', 'a_b=1&a.b=2&a+b=3', 'a=1;a=2',
    'a=1&amp;b=2', 'a=b=c', '=', '&=&', 'a=%', 'a=%1', 'a=%u0041', 'a=%C0%80', "\xEF\xBB\xBFa=1",
    "a=1\r\n", "a=1\n&b=2", 'GLOBALS=1', 'GLOBALS[a]=1', '_POST[a]=1', 'this=1',
    '0=1&00=2', 'a[0]=1&a[00]=2&a[-0]=3', '_charset_=utf-7&a=%2BAGE-', 'a[+]=1', 'a[.]=1&a[%20]=2',
    'a[b]]=1', 'a[b][=1', 'a[b][]c=1', 'a%5B%5D=1&a%5b%5d=2', "a[\x83\x5c]=\x95\x5b&\x83\x5b=1",
    'a%0A=1&%0Ab=2', '%09a=1', 'a' . '=1&a' x 500;

# The disposition of a part, with a file or without, as honest and odd clients write it.
push @by_hand, map { [$multi, part($_->[0], 'v') . $field . '--b--', $_->[1]] }
    ["$cd; name=\"x\";\r\n\tfilename=\"f\"",                                'OK'],
    ["Content-Disposition: form-data\r\n ;\r\n name=x",                        'OK'],
    ["$cd; name*=UTF-8''x",                                                      'MALFORMED'],
    ["$cd; name*0=\"x\"; name*1=\"y\"",                                          'MALFORMED'],
    ["$cd; name=\"x\"; name*=UTF-8''y",                                          'OK'],
    ["$cd; name*=UTF-8''y; name=\"x\"",                                          'OK'],
    ["$cd; name=\"x\"; filename*0=\"f\"; filename*1=\"g\"",                      'OK'],
    ["$cd; name=\"=?UTF-8?Q?a?=\"",                                              'OK'],
    ["$cd; name=\"x%22y%0D%0A\"; filename=\"%22\"",                              'OK'],
    ["$cd; name=\"x\\y\"",                                                      'OK'],
    ["$cd; name=\"x\\\\\"",                                                     'OK'],
    ["$cd; name='x\"y'; filename=\"a'b\"",                                      'OK'],
    ["$cd; name=x\\\"y",                                                         'OK'],
    ["$cd; name=\"x\"\"y\"",                                                     'OK'],
    ["$cd; NAME=x; FileName=\"f\"",                                              'OK'],
    ["$cd; filename=\"f; name=y\"; name=x",                                      'OK'],
    ["$cd; filename=\"C:\\dir\\\"; name=x",                                     'MALFORMED'],
    ["$cd; name=\"x\"; filename=\"\x95\x5c\"",                                  'MALFORMED'],
    ["$cd; name=\"\x95\x5c\"; x=\"; filename=\"f",                              'MALFORMED'],
    ["$cd; name=\"\x95\x5c\x5c\"; x=\"; filename=\"f\"",                         'MALFORMED'],
    ["$cd; name=\"\x83\x5c\"; x=\"; name=b; y=\"",                               'MALFORMED'],
    ["$cd; name=\"\x1b(Bx\"",                                                    'MALFORMED'],
    ["$cd; name=\"\x83\x5c_\"",                                                 'OK'],
    ["$cd; x=\"name=y\"; name=x",                                               'OK'],
    ["Content-Transfer-Encoding: base64\r\n$cd; name=x",                        'OK'],
    ["$cd; name=x\r\nContent-Transfer-Encoding: quoted-printable",              'OK'],
    ["$cd; name=x\r\nContent-Type: text/plain; charset=utf-7",                  'OK'],
    ["$cd; name=x\r\nContent-Type: multipart/mixed; boundary=c",                'OK'],
    ["$cd; name=x\r\nContent-Length: 1",                                        'OK'],
    ["content-disposition:form-data;name=x",                                    'OK'],
    ["Content-Disposition : form-data; name=x",                                 'MALFORMED'],
    ["\tContent-Disposition: form-data; name=x",                                'MALFORMED'],
    ["Content-Disposition: form-data; name=x\r\nContent-Disposition: x",        'MALFORMED'],
    ["$cd; name=MAX_FILE_SIZE",                                                 'OK'],
    ["$cd; name=_charset_",                                                     'OK'];
my $size = part("$cd; name=MAX_FILE_SIZE", '2');
my @files = map { part("$cd; name=\"f$_\"; filename=x", 'v') } 1 .. 30;
push @by_hand,
    [$multi, "$size$file$field--b--",                                                   'OK'],
    [$multi, "$file$size$file$field--b--",                                              'OK'],
    [$multi, part("$cd; name=\"MAX_FILE_SIZE[]\"", '-1') . "$file$field--b--",          'OK'],
    [$multi, part("$cd; name=MAX_FILE_SIZE", '9' x 40) . "$file$field--b--",            'OK'],
    [$multi, join('', @files[0 .. 19]) . "$field--b--",                                 'OK'],
    [$multi, "\r\n--b\r\n$cd; name=a\r\n\r\nv\r\n--b--",                              'OK'],
    [$multi, "--b--\r\n$field--b--",                                                    'MALFORMED'],
    [$multi, "\r\n\r\n--b--\r\n\r\n",                                                   'OK'],
    [$multi, "--b\r\n\r\nv\r\n--b--",                                                   'MALFORMED'],
    [$multi, "--b \r\n$cd; name=a\r\n\r\nv\r\n--b--",                                   'MALFORMED'],
    [$multi, "--b\r\n$cd; name=a\r\n\r\nv--b--",                                       'MALFORMED'],
    [$multi, "--b\r\n$cd; name=a\r\n\r\nv\n--b--\n",                                   'OK'],
    [$multi, "--b\r\n$cd; name=a\r\n\r\n\r--b--",                                     'MALFORMED'],
    (map { [$_->[0], "$field--b--", $_->[1]] }
        ['multipart/form-data; boundary=b, multipart/form-data; boundary=c',            'MALFORMED'],
        ['multipart/form-data; boundary=b, text/plain',                                 'MALFORMED'],
        ['multipart/form-data, application/x-www-form-urlencoded; boundary=b',          'OK'],
        ['multipart/form-data ;boundary=b',                                             'OK'],
        ['MULTIPART/FORM-DATA; BOUNDARY=b',                                             'OK'],
        ['multipart/form-data; boundary=b; boundary*=c',                                'MALFORMED'],
        ['multipart/form-data; boundary*0=b',                                           'MALFORMED'],
        ["multipart/form-data; boundary*=UTF-8''b",                                     'MALFORMED'],
        ['multipart/form-data; boundary=b,',                                            'MALFORMED'],
        ['multipart/form-data; boundary="b";',                                          'OK'],
        ['multipart/form-data; boundary="b" ; x=y',                                     'OK'],
        ["multipart/form-data; boundary='b'",                                           'MALFORMED'],
        ['multipart/form-data; x="boundary=c"; boundary=b',                             'MALFORMED'],
        ['multipart/form-data; boundary="b\\"',                                         'MALFORMED'],
        ['multipart/mixed; boundary=b',                                                 'OK'],
        ['multipart/form-data-x; boundary=b',                                           'OK']),
    (map { [$_->[0], 'a=1&b=2', $_->[1]] }
        ["$form;",                                                                      'OK'],
        ["$form; charset=UTF-16",                                                       'OK'],
        ["$form; charset=utf-7; boundary=b",                                            'OK'],
        ["$form, multipart/form-data; boundary=b",                                      'OK'],
        ["$form,$form",                                                                 'OK'],
        ["text/plain, $form",                                                           'OK'],
        ["${form}s",                                                                    'OK'],
        ["x-$form",                                                                     'OK']);

ok(-x $dump, "reader: $dump") or BAIL_OUT('set BODY_DUMP to the built body_dump');
$dumper = open2($from_dump, $to_dump, $dump, '--stream');
$to_dump->autoflush;
ok(start_php(), "php: $php on port " . ($port // '?')) or BAIL_OUT('set PHP to a php-cli');
srand $seed;
note("seed $seed");

for my $case (@by_hand) {
    my ($type, $body, $expected) = @$case;
    my $status = compare($type, $body);
    is($status, $expected, "$expected " . substr(printable("$type | $body"), 0, 120));
}

my %kind = (
    urlencoded => sub { return ($form, urlencoded_body()) },
    multipart  => sub { my $b = pick(@boundaries);
                        return ("multipart/form-data; boundary=$b", multipart_body($b)) },
    mutated    => sub { my $b = pick(@boundaries);
                        return ('multipart/form-data' . boundary_parameter($b),
                            mutated(multipart_body($b))) },
);
my %at_least = (urlencoded => .8, multipart => .3, mutated => .1);
for my $kind (sort keys %kind) {
    my (%count, $differ);
    for (1 .. $bodies) {
        $mild = rand() < .6;
        my $status = compare($kind{$kind}->());
        $count{$status // 'differ'}++;
        last if !defined $status && ++$differ >= 5;
    }
    ok(!$differ, "$bodies generated bodies, $kind");
    note("$kind: ", join ', ', map { "$_ $count{$_}" } sort keys %count);
    cmp_ok($count{OK} // 0, '>=', $at_least{$kind} * $bodies, "enough of them were comparable");
}
# What fuzzing has found worth keeping: 'multipart' has the rest of its type in a line of its own.
sub corpus
{
    my ($kind) = @_;
    my @found;
    for my $path (sort glob "$here/../fuzz/corpus/$kind/*") {
        open my $fh, '<:raw', $path or die "$path: $!";
        local $/;
        push @found, scalar <$fh>;
    }
    ok(@found > 5, "corpus of $kind");
    return @found;
}

my %found;
for my $body (corpus('urlencoded')) {
    $found{compare($form, $body) // 'differ'}++;
}
for my $input (corpus('multipart')) {
    my ($parameters, $body) = split /\n/, $input, 2;
    $body = '.' x 8099 . "\n" . ($body // '') if $parameters =~ s/\A!//; # fills the reader's window
    next if $parameters =~ /[\x00-\x08\x0a-\x1f\x7f]/; # no header httpd lets pass
    $found{compare("multipart/form-data$parameters", $body // '') // 'differ'}++;
}
for my $body (corpus('json')) {
    next if $body =~ /\A\s*(?:null\s*)?\z/ || ask_reader('application/json', $body, '')->{status} ne 'OK';
    my $broken = ask_php('application/json', $body)->{post} eq '=' . unpack('H*', 'broken') . "\n";
    diag('PHP can not read ', printable($body)) if $broken;
    $found{$broken ? 'differ' : 'OK'}++;
}
ok(!$found{differ}, 'bodies found by fuzzing');
note('found by fuzzing: ', join ', ', map { "$_ $found{$_}" } sort keys %found);

my $differ = 0;
for (1 .. $bodies) {
    my $body = json_body(0);
    my @names = map { $_->{name} } @{ask_reader('application/json', $body, '')->{fields}} or next;
    my @path = split /\./, pick(@names), -1;
    my $name = join '.', @path ? @path[0 .. rand @path] : ();
    next if $name eq ''; # no field can be configured so
    my $differs = strip_json($body, $name);
    $differ += $differs ne '';
    diag('without ', printable($name), ": $differs\n body ", printable($body)) if $differs ne '';
    last if $differ >= 5;
}
ok(!$differ, "$bodies generated bodies, JSON");

# Of a PHP with other settings: what it has the reader has told, too. There may be less of it.
my @mbstring = ('extension=mbstring', 'mbstring.encoding_translation=1', 'default_charset=UTF-8');
my @strange = (
    [['max_file_uploads=2'],              'files over the limit'],
    [['file_uploads=0'],                  'no files'],
    [['upload_max_filesize=3'],           'files too large'],
    [['max_input_vars=7'],                'fewer fields'],
    [['max_multipart_body_parts=4'],      'fewer parts'],
    [['max_input_nesting_level=2'],       'flatter arrays'],
    [['enable_post_data_reading=0'],      'nothing is read'],
    [['post_max_size=200'],               'nothing longer is read'],
    [['arg_separator.input=;&'],          'another separator'],
    [['default_charset=Shift_JIS'],       'another encoding'],
    [[@mbstring, 'input_encoding=UTF-8'],      'bytes that are no UTF-8 converted', 'ascii'],
    [[@mbstring, 'input_encoding=Shift_JIS'],  'Shift_JIS converted',               'ascii'],
    [[@mbstring, 'input_encoding=EUC-JP'],     'EUC-JP converted',                  'ascii'],
    [[@mbstring, 'mbstring.language=Japanese', 'mbstring.http_input=auto'],
                                               'what it finds converted',           'ascii'],
);
for my $php_is (@strange) {
    my ($settings, $what) = @$php_is;
    $relation = $php_is->[2] // 'within';
    ok(start_php(@$settings), "php with @$settings") or next;
    my ($differs, $compared) = (0, 0);
    my @bodies = (map { [@$_[0, 1]] } @by_hand);
    push @bodies, map { my $k = $kind{$_}; map { $mild = rand() < .6; [$k->()] } 1 .. $bodies / 20 } sort keys %kind;
    push @bodies, [$multi, join('', @files) . "$field--b--"];
    for my $body (@bodies) {
        my $status = compare(@$body);
        $differs++ if !defined $status;
        $compared++ if ($status // '') eq 'OK';
        last if $differs >= 5;
    }
    ok(!$differs, "$what: $compared bodies");
    cmp_ok($compared, '>', @by_hand / 2, 'enough of them were comparable');
}

note('a field of each: ', join ', ', map { "$_ $stripped{$_}" } sort keys %stripped);
cmp_ok($stripped{cut} // 0, '>', $bodies, 'most of them were cut out');
close $to_dump;
waitpid $dumper, 0;
is($?, 0, 'the reader ended well');
done_testing();
