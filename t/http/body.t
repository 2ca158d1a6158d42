#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Bodies that can't be judged: broken ones, too large ones, those over the reader's caps; and content types of all sorts.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use FormGuard::Case;
use Test::More;

my $OK = qr/ FG1000: accepted: /;
my $MISSING = qr/ FG1400: refused 403: captcha token missing: /;
my $RULES = "FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSiteKey k\nFormGuardCaptchaSecret s\n";
my $JSON = 'application/json';
my $FORM = 'application/x-www-form-urlencoded';
my $MULTIPART = 'multipart/form-data; boundary=b';

# The application got exactly this body.
sub whole
{
    my ($body) = @_;
    return sub {
        my $seen = eval { $_[0]->json } || {};
        is $seen->{sha256}, sha256_hex($body), 'the body is whole';
    };
}

sub passes { my ($type, $body, %o) = @_; return { type => $type, body_bytes => $body, status => 200, test => whole($body), log => [$OK], %o } }

# A part of a multipart body, by its header lines.
sub part { return "--b\r\n" . join("\r\n", @_) . "\r\n\r\nv\r\n--b--\r\n" }

# --- broken ------------------------------------------------------------------------------------

my $CD = 'Content-Disposition: form-data';
my @BROKEN = (
    (map { [$JSON, $_, 'json'] } '{"a":', '{"a":1}}', '{"a":1,}', "{'a':1}", '{"a":01}', '[1,2', '"\x01"', "\"\xff\"", 'nul', '{"a":1}{"b":2}', '{a:1}', "\xef\xbb\xbf{}x"),
    [$FORM, "a=1\0&b=2", 'urlencoded'], [$FORM, "a\0=1", 'urlencoded'], [$FORM, '%1b(Ba=1', 'urlencoded'],
    ['application/ld+json', '{', 'json'], ['APPLICATION/JSON; charset=utf-8', '{', 'json'],
    (map { [$MULTIPART, $_, 'multipart'] } 'x', "--b\r\n", "--c\r\n$CD; name=a\r\n\r\nv\r\n--c--\r\n", part("$CD; name=a") . part("$CD; name=c"), part('Content-Type: text/plain'),
        part($CD), part("$CD; name=a; name=c"), part("$CD; name=a", "$CD; name=c"), part('Content-Disposition : form-data; name=a'), part("$CD; name=a\rX: y"),
        "--b\r\n$CD; name=\"a\0b\"\r\n\r\nv\r\n--b--\r\n", "--b\r\n$CD; name=a\r\n\r\nv", part("$CD; filename=x")),
    (map { [$_, part("$CD; name=a"), 'multipart'] } 'multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=""', 'multipart/form-data; charset=utf-8'),
);

my @CASES = (
    {
        name => 'broken bodies: 400, and the grammar in the log', htaccess => "FormGuard On\nFormGuardLimit form 1/1d\n",
        requests => [
            (map { my ($type, $body, $grammar) = @$_;
                { type => $type, body_bytes => $body, status => 400, unlike => qr/sha256/, headers => { 'Cache-Control' => 'no-store', 'Retry-After' => undef },
                    log => [qr{ FG1300: refused 400: body malformed: grammar=$grammar country=- form=/case\d+/echo\.cgi }] } } @BROKEN),
            (map { { type => $BROKEN[0][0], body_bytes => $BROKEN[0][1], status => 400, chunks => $_, log => [qr/ FG1300: /] } } [1], [1, 2, 1]),
            passes($FORM, 'a=1'),    # none of them was counted for the form
        ],
    },
    {
        name => 'broken bodies of 200 KB, the fault at the very end', htaccess => "FormGuard On\nFormGuardLimit form 1/1d\n",
        requests => [
            { type => $JSON, body_bytes => '[' . '"' . 'x' x 200_000 . '"', status => 400 }, { type => $JSON, body_bytes => '[' . '"' . 'x' x 200_000 . '"', status => 400, chunks => [1, 65535, 100_000] },
            { type => $MULTIPART, body_bytes => "--b\r\n$CD; name=a; filename=x\r\n\r\n" . 'x' x 200_000 . "\r\n--b", status => 400 },
        ],
        log => [qr/ FG1300: refused 400: /, 3],
    },
    {
        name => 'what browsers and scripts send is not broken', htaccess => "FormGuard On\nFormGuardLimit form 1000/1d\n",
        requests => [
            passes($FORM, ''), passes($FORM, 'a=%zz&%&=&&a'), passes($FORM, "a=\xff\xfe%00&b=\r\n"), passes($FORM, 'a[]=1&a[]=2&b[x][y]=3'),
            passes($MULTIPART, part("$CD; name=\"a\"")), passes($MULTIPART, part("$CD; name=a")), passes($MULTIPART, part("content-disposition:form-data;name=a")),
            passes($MULTIPART, part("$CD; name=\"a\"; filename=\"\"", 'Content-Type: application/octet-stream')), passes($MULTIPART, part("$CD; name=a; filename=\"\xe5\x86\x99.png\"")),
            passes('multipart/form-data; boundary="b"', part("$CD; name=a")), passes('multipart/form-data; charset=utf-8; boundary=b', part("$CD; name=a")),
            passes($JSON, '{"a":[1,2.5e3,null,true,{"b":"\u3042"}]}'), passes($JSON, " [ ] \n"), passes($JSON, '"a"'), passes('application/ld+json', '{}'),
        ],
    },
);

# --- too large ---------------------------------------------------------------------------------

my $HUNDRED = 'a=' . 'x' x 98;
my $LARGE = 'a=' . 'x' x 300_000;
my $over = qr{ FG1301: refused 413: body over FormGuardBodyLimit: country=- };

push @CASES, (
    {
        name => 'FormGuardBodyLimit: to the byte, by length and in chunks', htaccess => "FormGuard On\n${RULES}FormGuardBodyLimit 100\n",
        requests => [
            (map { { type => $FORM, body_bytes => $HUNDRED, status => 403, log => [$MISSING], @$_ } } [], [chunks => [1, 50]]),
            (map { my $o = $_; map { { type => $FORM, body_bytes => $_, status => 413, unlike => qr/sha256/, log => [$over], @$o } } "${HUNDRED}y", $LARGE } [], [chunks => [1, 50]], [expect => 1]),
            # a type without fields is measured, too
            { type => 'text/plain', body_bytes => "${HUNDRED}y", status => 413, log => [$over] },
            { type => $FORM, body_bytes => "${HUNDRED}y", send => ['Content-Length' => '00000000101'], status => 413, log => [$over] },
        ],
    },
    {
        name => 'FormGuardBodyLimit over=pass: the rest passes, not a byte is lost', htaccess => "FormGuard On\n${RULES}FormGuardBodyLimit 100 over=pass\nFormGuardLimit form 7/1d\n",
        requests => [
            { type => $FORM, body_bytes => $HUNDRED, status => 403, log => [$MISSING] },
            (map { my $o = $_; map { passes($FORM, $_, @$o, log => [qr{ FG1000: accepted: body over the limit passed uninspected country=- }]) } "${HUNDRED}y", $LARGE } [], [chunks => [1, 50, 70_000]], [expect => 1]),
            passes($JSON, '[' . ' ' x 200, log => [$OK]),    # broken, but nobody looks
            { type => $FORM, body_bytes => $LARGE, status => 429, log => [qr{ FG1100: .* rule="form 7/1d" }] },    # and what passes is counted
        ],
    },
    # The field may stand behind what is read: whoever pads his post must not get past for it. Where uploads pass by the
    # same URL, over=pass is what the provider or the owner says; and they count.
    (map { my ($over_, $is) = @$_; {
        name => "FormGuardFormField and a body over the limit, $over_: taken for a submission, whatever was read of it",
        htaccess => "FormGuard On\nFormGuardFormField mail action=send /api/*\nFormGuardLimit ip 6/10m\nFormGuardBodyLimit 100 over=$over_\n",
        requests => [
            { type => $FORM, body_bytes => 'a=b', status => 200 },    # no field: nobody's business
            (map { { type => $FORM, body_bytes => $_, status => $is } } $LARGE, "mail=x&$LARGE", "$LARGE&mail=x"),
            { type => $FORM, body_bytes => $LARGE, chunks => [1, 50, 70_000], status => $is },
            (map { { path => "echo.php$_", type => $FORM, body_bytes => $LARGE, status => $is } } '?action=send', '?action=other'),
            # what passes is counted; what is refused comes before the limits of such a policy
            { type => $FORM, body_bytes => 'mail=x', status => $is == 200 ? 429 : 200 },
        ],
        log => $is == 200 ? [qr{ FG1000: accepted: body over the limit passed uninspected } => 6, qr/ FG1100: /] : [$over => 6, $OK],
    } } ['refuse', 413], ['pass', 200]),
    {
        name => 'LimitRequestBody of httpd is httpd\'s own answer', htaccess => "FormGuard On\n${RULES}LimitRequestBody 1000\n",
        requests => [
            { type => $FORM, body_bytes => 'a=' . 'x' x 500, status => 403, log => [$MISSING] },
            (map { { type => $FORM, body_bytes => 'a=' . 'x' x 5000, status => 413, unlike => qr/sha256/, log => [qr/ FG1303: refused: body could not be read: /], @$_ } } [], [chunks => [10, 10]]),
        ],
    },
);

# --- over the caps -----------------------------------------------------------------------------

sub fields { my ($n) = @_; return join '&', map { "f$_=$_" } 1 .. $n }
sub parts { my ($n) = @_; return join('', map { "--b\r\n$CD; name=f$_\r\n\r\n$_\r\n" } 1 .. $n) . "--b--\r\n" }
sub members { my ($n) = @_; return '{' . join(',', map { "\"f$_\":$_" } 1 .. $n) . '}' }
sub deep { my ($n) = @_; return '[' x $n . ']' x $n }
sub caps { my ($detail) = @_; return qr{ FG1302: refused 413: body has too many fields or too long names: $detail country=- } }

my @CAPS = (
    # detail, type, the last body that is taken, the first that is not
    ['too-many-fields', $FORM, fields(1000), fields(1001)], ['too-many-fields', $MULTIPART, parts(1000), parts(1001)], ['too-many-fields', $JSON, members(1000), members(1001)],
    ['too-many-fields', $FORM, 'a=1', fields(50_000)],
    ['name-too-long', $FORM, 'n' x 512 . '=1', 'n' x 513 . '=1'], ['name-too-long', $FORM, '%6e' x 170 . '=1', '%6e' x 600 . '=1'], ['name-too-long', $FORM, 'a=1', 'n' x 100_000],
    ['name-too-long', $MULTIPART, part("$CD; name=" . 'n' x 200), part("$CD; name=" . 'n' x 600)], ['name-too-long', $JSON, '{"' . 'n' x 512 . '":1}', '{"' . 'n' x 513 . '":1}'],
    ['nested-too-deep', $JSON, deep(32), deep(33)], ['nested-too-deep', $JSON, deep(32), deep(100_000)], ['nested-too-deep', $JSON, deep(1), '{"a":' x 40 . '1' . '}' x 40],
);
push @CASES, (
    {
        name => 'over the caps: 413, one less passes', htaccess => "FormGuard On\nFormGuardLimit form 1000/1d\n",
        requests => [map { my ($detail, $type, $fits, $not) = @$_;
            (passes($type, $fits), { type => $type, body_bytes => $not, status => 413, unlike => qr/sha256/, log => [caps($detail)] }) } @CAPS],
    },
    {
        name => 'over the caps with over=pass: whole', htaccess => "FormGuard On\n${RULES}FormGuardBodyLimit 1M over=pass\n",
        requests => [map { passes($_->[1], $_->[3], log => [qr{ FG1000: accepted: body over the limit passed uninspected country=- }]) } @CAPS],
    },
    {
        name => 'values may be long', htaccess => "FormGuard On\nFormGuardLimit form 1000/1d\n",
        requests => [passes($FORM, 'a=' . 'x' x 1_000_000), passes($JSON, '{"a":"' . 'x' x 1_000_000 . '"}')],
    },
);

# --- content types -----------------------------------------------------------------------------

# What a form's field is looked for in: the field is there, so that it is judged (403) or is seen nowhere (200).
sub judged { my ($type, $body, %o) = @_; return { type => $type, body_bytes => $body, status => 403, log => [$MISSING], %o } }
sub unseen { my ($type, $body, %o) = @_; return { defined $type ? (type => $type) : (), body_bytes => $body, status => 200, test => whole($body), %o } }

push @CASES, (
    {
        name => 'content types, as PHP takes them', htaccess => "FormGuard On\n${RULES}FormGuardFormField f\n",
        requests => [
            (map { judged($_, 'f=1') } $FORM, uc $FORM, "$FORM; charset=Shift_JIS", "$FORM;charset=x", "$FORM ; x", "$FORM, text/plain", "$FORM;", "$FORM\t;x"),
            (map { unseen($_, 'f=1') } 'text/plain', "${FORM}x", "x$FORM", 'application/x-www-form', "text/plain; $FORM", "text/plain, $FORM", '', '/', ';', 'x' x 2000, undef),
            (map { judged($_, '{"f":1}') } $JSON, uc $JSON, "$JSON; charset=utf-8", 'application/vnd.api+json', 'application/problem+json; x=y'),
            (map { unseen($_, '{"f":1}') } 'text/json', 'application/jsonp', 'application/json-seq', 'text/x+json', 'application/+xml'),
            (map { judged($_, part("$CD; name=f")) } $MULTIPART, 'Multipart/Form-Data;boundary=b', 'multipart/form-data; boundary="b"', 'multipart/form-data; Boundary=b', 'multipart/form-data; x=y; boundary=b; z'),
            (map { unseen($_, part("$CD; name=f")) } 'multipart/mixed; boundary=b', 'multipart/related; boundary=b', 'multipart/form-datax; boundary=b'),
        ],
    },
    {
        name => 'two Content-Type lines are one, as the application sees them', htaccess => "FormGuard On\n${RULES}FormGuardFormField f\n",
        requests => [
            { %{judged($FORM, 'f=1')}, type => undef, send => ['Content-Type' => $FORM, 'Content-Type' => 'text/plain'] },
            { %{unseen('text/plain', 'f=1')}, type => undef, send => ['Content-Type' => 'text/plain', 'Content-Type' => $FORM] },
        ],
    },
);

FormGuard::Case::run({ mpm => 'event', path => 'echo.cgi' }, @CASES);

done_testing;
