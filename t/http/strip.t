#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# FormGuardCaptchaStrip: the token is judged and then gone; the application gets the same post as if the form had
# never had a captcha, byte for byte, whichever way it runs.
use strict;
use warnings;
use lib 't/lib', '../lib';
use Digest::SHA qw(sha256_hex);
use FormGuard::Altcha;
use FormGuard::Case;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Process;
use FormGuard::Vendor;
use IO::Compress::Gzip qw(gzip);
use Test::More;

my $vendor = FormGuard::Vendor->new;
my $FIELD = 'g-recaptcha-response';
my $TOKEN = 'ok-000000-' . 'T0ken_' x 80;
my $OK = qr/ FG1000: accepted: /;
my $ENDPOINT = 'FormGuardCaptchaEndpoint ' . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca
    . "\nFormGuardCaptchaTimeout 10s\n";
my $CAPTCHA = "FormGuard On\nFormGuardCaptcha recaptcha-v2\nFormGuardCaptchaSecret " . $vendor->secret
    . "\nFormGuardCaptchaHostname *\n";
my $ON = "${CAPTCHA}FormGuardCaptchaStrip On\n";

# --- the same post with and without the token -----------------------------------------------------------------

# A body is made of [name, value] and [name, value, file name] in order; the one without a token is made of what is
# left of the list, never by cutting.
my %MAKE = (
    urlencoded => sub { return join '&', map { FormGuard::Client::urlencode($_->[0]) . '=' . FormGuard::Client::urlencode($_->[1]) } @_ },
    multipart => sub {
        return join '', (map {
            my ($name, $value, $file) = @$_;
            "--XyZ\r\nContent-Disposition: form-data; name=\"$name\""
                . (defined $file ? "; filename=\"$file\"\r\nContent-Type: image/png" : '') . "\r\n\r\n$value\r\n";
        } @_), "--XyZ--\r\n";
    },
    JSON => sub { return '{' . join(', ', map { "\"$_->[0]\": \"$_->[1]\"" } @_) . '}' },
);
my %TYPE = (urlencoded => 'application/x-www-form-urlencoded', multipart => 'multipart/form-data; boundary=XyZ',
    JSON => 'application/json');

my @VISITOR = ([name => "\xe8\x8a\xb1\xe5\xad\x90"], [email => 'hanako@example.jp'], [message => 'Is it & in stock?']);
# More than memory keeps, and nothing that can be compressed much.
my $NOISE = do { my $x = 1; join '', map { $x = ($x * 1103515245 + 12345) & 0xffffffff; sprintf '%08x', $x } 1 .. 50_000 };
my $BIG = join "\r\n--X\0", unpack '(a60)*', $NOISE;
my @FILES = ([small => "one\r\n--two\r\n", 's.txt'], [attachment => $BIG, 'b.bin'], [none => '', 'n.bin']);

sub token { return [$FIELD, $_[0] // $TOKEN] }

# What a body with tokens is, and what it has to become: [name of the case, kind, body, body without].
sub bodies
{
    my ($kind, @fields) = @_;
    my %lists = (
        first => [token(), @fields],
        middle => [$fields[0], token(), @fields[1 .. $#fields]],
        last => [@fields, token()],
        'the only one' => [token()],
        'several times' => [token('dup'), $fields[0], token('dup'), token('dup'), @fields[1 .. $#fields], token()],
    );
    return map {
        my @all = @{$lists{$_}};
        ["$kind, $_", $kind, $MAKE{$kind}->(@all), $MAKE{$kind}->(grep { $_->[0] ne $FIELD } @all)];
    } sort keys %lists;
}

my @LARGE = ([message => join '=&%', unpack '(a50)*', $NOISE], [tail => 'after']);
my @BODIES = (
    bodies('urlencoded', @VISITOR), bodies('urlencoded', @LARGE),
    bodies('multipart', @VISITOR), bodies('multipart', @VISITOR, @FILES),
    bodies('JSON', @VISITOR), bodies('JSON', @LARGE),
);

my %accepted;    # by port
my $tokens = 0;

# A token is good once.
sub fresh
{
    my ($body) = @_;
    my $n = sprintf '%06d', ++$tokens;
    return $body =~ s/\bok-000000/ok-$n/gr;
}

sub send_to
{
    my ($httpd, $path, $kind, $body, %o) = @_;
    $accepted{$httpd->port}++;
    my $how = $o{curl} ? 'curl' : 'request';
    my $r = $httpd->client->$how('POST', $path, type => $TYPE{$kind}, body => fresh($body), %o);
    return $r if $r->status == 200;
    fail "$path: status " . $r->status . ' ' . substr $r->body, 0, 300;
    return;
}

# What a script that reads the bytes has got.
sub raw_ok
{
    my ($name, $httpd, $path, $kind, $body, $want, %o) = @_;
    my $r = send_to($httpd, $path, $kind, $body, %o) or return;
    my $j = $r->json;
    is_deeply [@$j{qw(length sha256)}, $j->{content_length} || 0], [length $want, sha256_hex($want), length $want], $name;
}

# What PHP makes of the fields and files, and of the bytes where it shows them.
sub php_ok
{
    my ($name, $httpd, $path, $plain, $kind, $body, $want, %o) = @_;
    my $got = send_to($httpd, $path, $kind, $body, %o) or return;
    my $never = $httpd->client->request('POST', $plain, type => $TYPE{$kind}, body => $want)->json;
    delete $_->{formguard}, delete $_->{uri} for my $j = $got->json, $never;
    is_deeply $j, $never, $name;
    unlike $got->body, qr/T0ken_/, "$name: no token";
}

my @CHUNKS = ([], [chunks => [1, 63, 8192, (1) x 20, 65_000]]);

sub matrix
{
    my ($what, $httpd, $path, $plain) = @_;
    for my $b (@BODIES) {
        my ($name, @post) = @$b;
        for my $chunks (@CHUNKS) {
            my $label = "$what: $name" . (@$chunks ? ', chunked' : '');
            $plain ? php_ok($label, $httpd, $path, $plain, @post, @$chunks) : raw_ok($label, $httpd, $path, @post, @$chunks);
        }
    }
}

sub compressed
{
    my ($what, $httpd, $path) = @_;
    for my $b (@BODIES) {
        my ($name, $kind, $body, $want) = @$b;
        next if $name !~ /middle|several/;
        for my $chunks (@CHUNKS) {
            my $plain = fresh($body);
            gzip(\$plain => \my $gz);
            raw_ok("$what: $name, gzip" . (@$chunks ? ', chunked' : ''), $httpd, $path, $kind, $gz, $want,
                headers => ['Content-Encoding' => 'gzip'], @$chunks);
        }
    }
}

# Two posts and a GET on one connection.
sub pipelined
{
    my ($what, $httpd, $path) = @_;
    my ($b) = grep { $_->[0] eq 'urlencoded, middle' && length $_->[2] > 300_000 } @BODIES;
    for my $chunks (@CHUNKS) {
        my $c = $httpd->client;
        my $conn = $c->connect;
        my %o = (type => $TYPE{$b->[1]}, keepalive => 1, @$chunks);
        $conn->send(join '', map({ $c->bytes('POST', $path, %o, body => fresh($_)) } $b->[2], "a=1&$FIELD=ok-000000"), $c->bytes('GET', '/next.txt'));
        $accepted{$httpd->port} += 2;
        is_deeply [map { $conn->read('POST')->json->{sha256} } 1, 2], [map { sha256_hex($_) } $b->[3], 'a=1'], "$what: pipelined posts";
        is $conn->read('GET')->body, "the next answer\n", "$what: what follows is intact";
        $conn->close;
    }
}

sub finish
{
    my ($httpd, @lines) = @_;
    ok eval { FormGuard::Process::wait_until(sub { !(() = glob $httpd->dir . '/tmp/*') }, 10, 'an empty folder') },
        $httpd->mpm . ': no temporary file is left' or diag glob $httpd->dir . '/tmp/*';
    $httpd->log_ok($httpd->mpm . ': error_log', $OK => $accepted{$httpd->port}, @lines);
    $httpd->done;
}

my $CONFIG = "$ENDPOINT<Location />\n$ON</Location>\n<Location /plain>\nFormGuard Off\n</Location>\nAlias /plain \@HTDOCS\@\n"
    . "Alias /gzip \@HTDOCS\@\n<Location /gzip>\nSetInputFilter DEFLATE\n</Location>\n";
my $SCRIPTS = { 'next.txt' => "the next answer\n", map { $_ => \$_ } qw(echo.php echo.cgi) };

subtest 'event: php-fpm, CGI, mod_proxy_http; HTTP/2' => sub {
    my @same = (mpm => 'event', php => 'fpm', modules => [qw(proxy proxy_http filter deflate)], files => $SCRIPTS);
    my $back = FormGuard::Httpd->new(@same, module => 0);
    my $httpd = FormGuard::Httpd->new(@same, h2 => 1,
        config => $CONFIG . 'ProxyPass /back/ http://127.0.0.1:' . $back->port . "/ enablereuse=off\n");
    matrix('php-fpm', $httpd, '/echo.php', '/plain/echo.php');
    matrix('CGI', $httpd, '/echo.cgi');
    matrix('proxy', $httpd, '/back/echo.cgi');
    compressed('CGI', $httpd, '/gzip/echo.cgi');
    pipelined('CGI', $httpd, '/echo.cgi');
    pipelined('proxy', $httpd, '/back/echo.cgi');
    for my $b (grep { $_->[0] =~ /middle/ } @BODIES) {
        my ($name, @post) = @$b;
        raw_ok("HTTP/2: $name", $httpd, '/echo.cgi', @post, curl => ['--no-show-error'], h2 => 1);
        raw_ok("HTTP/2: $name, no length", $httpd, '/echo.cgi', @post, curl => ['--no-show-error'], h2 => 1,
            headers => ['Transfer-Encoding' => 'chunked']);
    }
    finish($httpd);
    $back->done;
};

subtest 'prefork: mod_php' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', modules => [qw(filter deflate)], files => $SCRIPTS, config => $CONFIG);
    matrix('mod_php', $httpd, '/echo.php', '/plain/echo.php');
    compressed('mod_php', $httpd, '/gzip/echo.cgi');
    pipelined('mod_php', $httpd, '/echo.php');
    finish($httpd);
};

# --- when, and what ------------------------------------------------------------------------------------------

# What the script must have got.
sub gets
{
    my ($want, $more) = @_;
    return sub {
        my $j = $_[0]->json;
        is_deeply [@$j{qw(length sha256)}, $j->{content_length}], [length $want, sha256_hex($want), length $want], "the script gets '" . substr($want, 0, 60) . "'";
        $more->($j) if $more;
    };
}

# Body and what is wanted of it, each `ok` a token of this post's own.
sub tokens
{
    my ($body, $want, %o) = @_;
    my $n = ++$tokens;
    s/\bok(?!-)\b/ok-$n/g for $body, $want;
    return ($body, $want, %o);
}

sub form { my ($body, $want, %o) = tokens(@_); return { form => $body, path => 'echo.php', status => 200, test => gets($want, delete $o{more}), log => [$OK], %o } }
sub json { my ($body, $want, %o) = tokens(@_); return { body_bytes => $body, type => 'application/json', path => 'echo.php', status => 200, test => gets($want), log => [$OK], %o } }
sub same { my ($body, %o) = @_; return form(($body) x 2, %o) }

my $TWO = "$FIELD=ok&a=1";

my @CASES = (
    { name => 'Off, and by itself', htaccess => $CAPTCHA, requests => [same($TWO)] },
    { name => 'Off', htaccess => "${CAPTCHA}FormGuardCaptchaStrip Off\n", requests => [same($TWO)] },
    {
        name => 'On, and what the application is told besides',
        htaccess => $ON,
        requests => [form($TWO, 'a=1', path => "echo.php?$FIELD=of-the-query&b=2", more => sub {
            my ($j) = @_;
            is_deeply $j->{post}, { a => 1 }, '$_POST';
            is_deeply $j->{get}, { $FIELD => 'of-the-query', b => 2 }, 'the query string is not touched';
            is_deeply $j->{formguard}, { FORMGUARD_VERDICT => 'accepted' }, 'the environment';
        })],
    },
    {
        name => 'all that PHP would have under the name',
        htaccess => "${ON}FormGuardCaptchaField my.token\n",
        requests => [
            form('my_token=dup&my%20token=dup&a=1&my+token%5b%5d=2&my.token=ok&b=2', 'a=1&b=2'),
            form('my-token=3&my.token=ok&MY.TOKEN=4&a[my.token]=5', 'my-token=3&MY.TOKEN=4&a[my.token]=5'),
        ],
    },
    {
        name => 'an element of an array',
        htaccess => "${ON}FormGuardCaptchaField contact[captcha]\n",
        requests => [
            form('contact[name]=x&contact[captcha]=ok', 'contact[name]=x'),
            # By its going PHP would see what it did not see before.
            same('contact=x&contact[captcha]=ok'), same('contact[captcha]=ok&contact[]=x'),
        ],
    },
    {
        name => 'JSON: members of that name at the top, or where the field says',
        htaccess => $ON,
        requests => [
            json(qq({\n  "$FIELD": "ok",\n  "a": {"$FIELD": 1}\n}\n), qq({\n  "a": {"$FIELD": 1}\n}\n)),
            json(qq({"$FIELD":{"x":[1]},"a":1,"\\u0067-recaptcha-response":"ok"}), '{"a":1}'),
        ],
    },
    {
        name => 'JSON: a field inside an object',
        htaccess => "${ON}FormGuardCaptchaField form.captcha\n",
        requests => [json('{"form":{"captcha":"ok"},"captcha":1}', '{"form":{},"captcha":1}')],
    },
    {
        name => 'more of them than anybody sends: the body stays whole',
        htaccess => $ON,
        requests => [form("a=1&$FIELD=ok&" x 16, 'a=1&' x 16), same("a=1&$FIELD=ok&" x 17)],
    },
    {
        name => 'DetectionOnly changes nothing',
        htaccess => $ON =~ s/On/DetectionOnly/r,
        requests => [same($TWO), same('a=1', log => [qr/ FG1400: would refuse /])],
    },
    {
        name => 'what is no submission is not touched',
        htaccess => "${ON}FormGuardFormField email\n",
        requests => [same($TWO, log => []), form("$TWO&email=x", 'a=1&email=x')],
    },
    {
        name => 'a captcha that is not due: its field goes all the same',
        htaccess => "${ON}FormGuardCaptchaWhen challenged\n",
        requests => [form($TWO, 'a=1'), same('a=1')],
    },
    {
        name => 'a token that could not be verified and is let pass',
        htaccess => "${ON}FormGuardCaptchaOnError server-error=allow\n",
        requests => [form("$FIELD=status-500&a=1", 'a=1', log => [$OK, qr/ FG1500: logged only/])],
    },
    {
        name => 'a body too large to be looked at passes whole',
        htaccess => "${ON}FormGuardBodyLimit 1K over=pass\n",
        requests => [same("$FIELD=ok&a=" . 'x' x 2000)],
    },
    {
        name => 'no type with fields',
        htaccess => "${ON}FormGuardCaptchaWhen challenged\n",
        requests => [{ body_bytes => $TWO, type => 'text/plain', path => 'echo.php', status => 200, test => gets($TWO), log => [$OK] }],
    },
    {
        name => 'a token that is refused',
        htaccess => $ON,
        requests => [form("$FIELD=dup&a=1", '', status => 403, test => undef, log => [qr/ FG1403: refused 403/])],
    },
    {
        name => 'later passes get the same',
        htaccess => "${ON}RewriteEngine On\nRewriteRule ^pretty\$ middle [E=A:1]\nRewriteRule ^middle\$ sub/\n",
        files => { 'sub/index.php' => \'echo.php' },
        requests => [form($TWO, 'a=1', path => 'pretty'), form($TWO, 'a=1', path => 'sub/'),
            form("$TWO&b=" . 'x' x 100_000, 'a=1&b=' . 'x' x 100_000, path => 'pretty')],
    },
    {
        name => 'the server asks for the captcha, the site has the field stripped',
        config => "$ENDPOINT<Location \@CASE\@>\n$CAPTCHA</Location>\n",
        htaccess => "FormGuardCaptchaStrip On\n",
        requests => [form($TWO, 'a=1')],
    },
    {
        name => 'the server strips, the site does not want it',
        config => "$ENDPOINT<Location \@CASE\@>\n$ON</Location>\n",
        htaccess => "FormGuardCaptchaStrip Off\n",
        requests => [same($TWO)],
    },
    {
        name => 'a site without a captcha strips nothing',
        htaccess => "FormGuard On\nFormGuardCaptchaStrip On\n",
        requests => [same($TWO)],
        log => [qr/ FG2003: /],
    },
    {
        name => 'a wrong value',
        htaccess => "${CAPTCHA}FormGuardCaptchaStrip yes\n",
        requests => [{ form => $TWO, status => 500 }],
        log => [qr/ FormGuardCaptchaStrip: 'yes' is neither On nor Off/],
    },
);
FormGuard::Case::run({ mpm => 'prefork', php => 'mod', config => $ENDPOINT }, @CASES);

# --- captchas that are none of ours -----------------------------------------------------------------------------

subtest 'the captcha built in leaves the site its own' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', files => { 'echo.php' => \'echo.php', 'cf7/echo.php' => \'echo.php' },
        config => "FormGuard On\nFormGuardCaptcha altcha\nFormGuardCaptchaWhen challenged\nFormGuardLimit form 4/1h count=attempts action=challenge\n"
            . "<Location /cf7>\nFormGuardPreset contact-form-7\n</Location>\n");
    my $c = $httpd->client(from => '203.0.113.7');
    my $solved = sub { return FormGuard::Altcha::solve(FormGuard::Altcha::challenge($c, $_[0])) };
    my $its = FormGuard::Altcha::payload(FormGuard::Altcha::made('another key', 'abc?expires=9999999999&', 77), 77);
    my $posted = sub {
        my ($what, $path, $form, $want) = @_;
        my $r = $c->post($path, form => $form);
        return fail "$what: " . $r->status if $r->status != 200;
        is_deeply $r->json->{post}, $want, $what;
    };
    my $ours = $solved->('/echo.php');
    $posted->('a solution of ours, though nobody was asked', '/echo.php', { a => 1, altcha => $ours }, { a => 1 });
    $posted->('nothing in it', '/echo.php', { a => 1, altcha => '' }, { a => 1 });
    $posted->('what ALTCHA of the site has solved', '/echo.php', { a => 1, altcha => $its }, { a => 1, altcha => $its });
    $posted->('something else', '/echo.php', { a => 1, altcha => 'x y' }, { a => 1, altcha => 'x y' });
    my %cf7 = (_wpcf7 => 12, _wpcf7_recaptcha_response => 'a token of its own');
    $posted->('Contact Form 7: its own reCAPTCHA', '/cf7/echo.php', \%cf7, \%cf7) for 1 .. 4;
    # Challenged: the answer stands beside what was posted.
    for (['/echo.php', altcha => $its], ['/cf7/echo.php', %cf7]) {
        my ($path, %form) = @$_;
        my $page = $c->post($path, form => \%form);
        is $page->status, 403, "$path: challenged";
        my ($kept) = $page->body =~ /name="formguard-kept" value="([^"]*)"/;
        $posted->("$path: what comes back from the challenge page", $path, ['formguard-kept' => $kept, altcha => $solved->($path)], \%form);
    }
    $httpd->log_ok('error_log', $OK => 10, qr/ FG1402: refused 403: .* challenged-by="form 4\/1h count=attempts action=challenge"/, qr/ FG1400: refused 403: .* challenged-by="form 4/);
    $httpd->done;
};

# --- mails ---------------------------------------------------------------------------------------------------

subtest 'a mailer that prints every field' => sub {
    my $mail = FormGuard::Mail->new;
    my $httpd = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', mail => $mail, config => $CONFIG, files => { 'contact.php' => \'contact.php' });
    for my $kind ('urlencoded', 'multipart') {
        my $mark = $mail->count;
        send_to($httpd, '/contact.php', $kind, $MAKE{$kind}->($VISITOR[0], token(), @VISITOR[1, 2], token(), $kind eq 'multipart' ? @FILES : ()));
        my @mails = $mail->since($mark);
        is @mails, 2, "$kind: two mails";
        for my $m (@mails) {
            like $m->{body}, qr/Is it & in stock\?/, "$kind: $m->{to}: the message";
            unlike $m->{body}, qr/recaptcha|T0ken_/, "$kind: $m->{to}: and no token";
        }
        is scalar(grep { index($_->{body}, $BIG) >= 0 } @mails), $kind eq 'multipart' ? 1 : 0, "$kind: the attachment";
    }
    # The same mailer without the directive, so that this test can fail.
    $httpd->client->request('POST', '/plain/contact.php', type => $TYPE{urlencoded}, body => $MAKE{urlencoded}->(@VISITOR, token()));
    is scalar(grep { $_->{body} =~ /T0ken_/ } $mail->since(4)), 2, 'which are there where nothing is stripped';
    finish($httpd);
};

# --- what a big post costs -----------------------------------------------------------------------------------

# The script tells what its parent, the httpd child, holds when all of the body has been handed over.
my $MEMORY = <<'CGI';
#!/usr/bin/env perl
use Digest::SHA;
my $sha = Digest::SHA->new(256);
while (read STDIN, my $piece, 65536) { $sha->add($piece) }
open my $fh, '<', '/proc/' . getppid() . '/status' or die;
my ($kib) = join('', <$fh>) =~ /^RssAnon:\s+(\d+) kB/m;
print "Content-Type: text/plain\r\n\r\n", join ' ', getppid(), $kib, $sha->hexdigest, $ENV{CONTENT_LENGTH};
CGI

subtest 'one child: 20 MiB with the token before and behind the file' => sub {
    my $httpd = FormGuard::Httpd->new(
        mpm => 'prefork', config => $CONFIG, files => { 'memory.cgi' => $MEMORY },
        global => "StartServers 1\nMinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1\nServerLimit 1"
    );
    my @file = ([file => $BIG x int((20 << 20) / length($BIG) + 1), 'b.bin']);
    my ($pid, $before);
    for my $list ([@VISITOR, token()], [token(), @VISITOR], [@VISITOR, token()], [token(), @VISITOR, @file], [@VISITOR, @file, token()],
        [token(), @file, token(), @VISITOR]) {
        my ($want, $big) = ($MAKE{multipart}->(grep { $_->[0] ne $FIELD } @$list), scalar grep { $_ == $file[0] } @$list);
        my $r = send_to($httpd, '/memory.cgi', 'multipart', $MAKE{multipart}->(@$list)) or next;
        my ($child, $kib, @got) = split ' ', $r->body;
        is_deeply \@got, [sha256_hex($want), length $want], join(', ', map { $_->[0] } @$list) . ': what the script gets';
        ($pid, $before) = ($child, $kib) if !$big;
        is $child, $pid, 'one child serves all';
        cmp_ok $kib - $before, '<', 2048, "less than 2 MiB of memory ($before to $kib KiB)" if $big;
    }
    finish($httpd, qr/ AH00161: / => '*');
};

done_testing;
