# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Mixed;

=head1 NAME

FormGuard::Bench::Mixed - visitors, robots and clients that go away, all at once and at a steady rate

=head1 SYNOPSIS

    my $httpd = FormGuard::Httpd->new(files => FormGuard::Bench::Mixed::files(), mail => $mail,
        config => FormGuard::Bench::Mixed::config($vendor), ...);
    my $mixed = FormGuard::Bench::Mixed->start($httpd, $vendor);
    ...
    my $sum = $mixed->end;
    $sum->{robot}{said}{429};       # how often a robot was told so
    $sum->{robot}{wrong};           # answers that no robot should have had, the first of them
    $sum->{$kind}{sent};            # { id => 1 } of posts whose mail must be there, once
    $sum->{$kind}{maybe};           # { id => 1 } of those whose sender did not wait

A kind of client is a process of its own. None sends faster than its rate, and what it is late with it leaves out.

=cut

use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FormGuard::Altcha;
use FormGuard::Vendor;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Storable ();
use Time::HiRes qw(sleep time);

my $TYPE = 'application/x-www-form-urlencoded';
my $TEXT = "\xe8\xa1\xa8\xe7\xa4\xba line\r\n" x 20;
my $FORM = '<form action="/altcha/mailer.php" method="post"><p><input name="name"><textarea name="message"></textarea>'
    . "<button>Send</button></p></form>\n";
my $MARKUP = "<tr><td class=\"name\"><a href=\"/item?id=1\">Cup</a></td><td>10 yen</td></tr>\n";

# name => [seconds between two, what it does, what may come of it]
my %KINDS = (
    visitor => [0.7, \&_visitor, qw(sent)],
    kept => [3, \&_kept, qw(sent closed)],
    robot => [0.06, \&_robot, qw(sent 429)],
    abroad => [0.5, \&_abroad, qw(403)],
    closer => [0.5, \&_closer, qw(sent 503)],
    upload => [0.7, \&_upload, qw(whole 413)],
    altcha => [0.7, \&_altcha, qw(sent used page rejected)],
    service => [0.6, \&_service, qw(sent 403 503)],
    page => [0.12, \&_page, qw(widget)],
    reader => [0.08, \&_reader, qw(200 206 304 404)],
    status => [2, \&_status, qw(200)],
    leaver => [0.25, \&_leaver, qw(left)],
    dripper => [2, \&_dripper, qw(sent)],
);

sub files
{
    return {
        'mailer.php' => \'mailer.php', 'closed.php' => \'mailer.php', 'echo.php' => \'echo.php', 'page.txt' => "a page\n" x 1000,
        'pages/.htaccess' => "FormGuardInject On\n", 'pages/form.html' => "<!DOCTYPE html>\n<title>Form</title>\n$FORM",
        'pages/long.html' => "<!DOCTYPE html>\n<title>Long</title>\n<table>" . $MARKUP x 2000 . "</table>$FORM",
        'pages/form.php' => "<?php echo '<!DOCTYPE html><title>PHP</title><table>', str_repeat('$MARKUP', 500), '</table>'; ?>\n$FORM",
    };
}

# All addresses of North Korea's only network are in the database; visitors' are in none.
sub config
{
    my ($vendor) = @_;
    my @places = qw(visitor kept robot abroad closer upload altcha service leaver dripper);
    return join('', map { "Alias /$_ \@HTDOCS\@\n" } @places) . <<"CONF";
<Location /server-status>
    SetHandler server-status
</Location>
<Location /formguard-status>
    SetHandler formguard-status
</Location>
<LocationMatch ^/(@{[join '|', @places]})/>
    FormGuard On
    FormGuardLimit ip 10000/1d
    FormGuardLimit form 1000000/1d
    FormGuardField message required
</LocationMatch>
<Location /robot>
    FormGuardLimit ip 5/1m
</Location>
<Location /abroad>
    FormGuardCountry KP refuse
</Location>
<Location /closer>
    FormGuardLimit form 20/1m action=close:7s
</Location>
<Location /upload>
    FormGuardBodyLimit 3M
</Location>
<Location /altcha>
    FormGuardCaptcha altcha
    FormGuardCaptchaDifficulty 2000
</Location>
<Location /service>
    FormGuardCaptcha recaptcha-v2
    FormGuardCaptchaSecret @{[$vendor->secret]}
    FormGuardCaptchaHostname shop.example
</Location>
FormGuardGeoDatabase \@GEO\@
FormGuardCaptchaCAFile @{[$vendor->ca]}
FormGuardCaptchaEndpoint @{[$vendor->url]}
FormGuardCaptchaTimeout 1s
FormGuardCaptchaSlots 6
CONF
}

sub kinds { return sort keys %KINDS }

# What may come of a kind's requests, in the order of the table.
sub outcomes { my ($kind) = @_; my (undef, undef, @may) = @{$KINDS{$kind}}; return @may }

sub start
{
    my ($class, $httpd, $vendor) = @_;
    my $self = bless { httpd => $httpd, vendor => $vendor, stop => $httpd->dir . '/logs/stop', clients => {}, owner => $$ }, $class;
    for my $kind (kinds()) {
        pipe(my $r, my $w) or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $r;
            Storable::store_fd($self->_client($kind), $w);
            close $w;
            POSIX::_exit(0);
        }
        close $w;
        $self->{clients}{$kind} = [$pid, $r];
    }
    return $self;
}

sub end
{
    my ($self) = @_;
    open my $fh, '>', $self->{stop} or die "$self->{stop}: $!\n";
    my %sum;
    for my $kind (sort keys %{$self->{clients}}) {
        my ($pid, $r) = @{$self->{clients}{$kind}};
        $sum{$kind} = eval { Storable::fd_retrieve($r) } || { wrong => ['ended early'], said => {}, sent => {}, maybe => {} };
        waitpid $pid, 0;
    }
    $self->{clients} = {};
    return \%sum;
}

sub DESTROY
{
    my ($self) = @_;
    return if $self->{owner} != $$ || !%{$self->{clients}};
    local ($?, $@, $!);
    $self->end;
}

sub _client
{
    my ($self, $kind) = @_;
    my ($each, $do, @may) = @{$KINDS{$kind}};
    my %may = map { $_ => 1 } @may;
    my $me = { kind => $kind, n => 0, httpd => $self->{httpd}, said => {}, sent => {}, maybe => {}, wrong => [] };
    my $next = time;
    srand $$;
    while (!-e $self->{stop}) {
        $me->{n}++;
        my @said = eval { $do->($me, $self->{httpd}->client) };
        @said = ("died: $@") if $@;
        for my $said (@said) {
            $me->{said}{ $may{$said} ? $said : 'wrong' }++;
            push @{$me->{wrong}}, $said if !$may{$said} && @{$me->{wrong}} < 20;
        }
        $next += $each * (0.5 + rand);
        $next = time if $next < time;
        sleep 0.1 while !-e $self->{stop} && time + 0.1 < $next;
        my $left = $next - time;
        sleep $left if $left > 0;
    }
    return { map { $_ => $me->{$_} } qw(said sent maybe wrong) };
}

# --- what they send ---------------------------------------------------------------------------------

# 10.0.0.0/8, another one each time.
sub _address { my ($n) = @_; return join '.', 10, $n >> 16 & 255, $n >> 8 & 255, $n & 255 }

sub _id { my ($me) = @_; return "<$me->{kind}-" . ++$me->{id} . '>' }

# 'sent', or the status and how the answer begins.
sub _said
{
    my ($me, $id, $r) = @_;
    if ($r->status == 200 && $r->body =~ /^sent/) {
        $me->{sent}{$id} = 1;
        return 'sent';
    }
    return $r->status if $r->status != 200;
    return '200 ' . substr $r->body, 0, 60;
}

sub _visitor
{
    my ($me, $client) = @_;
    my $id = _id($me);
    my @fields = (name => "\xe4\xbd\x90\xe8\x97\xa4", email => 'h@visitor.example', message => "$id $TEXT");
    my @as = $me->{n} % 3 ? (form => \@fields) : (multipart => \@fields);
    return _said($me, $id, $client->post('/visitor/mailer.php', @as, from => _address($me->{n})));
}

# Some on one connection, which a restart may close between two.
sub _kept
{
    my ($me, $client) = @_;
    my $conn = $client->connect;
    my @said;
    for (1 .. 6) {
        my $id = _id($me);
        $conn->send($client->bytes('POST', '/kept/mailer.php', form => { message => "$id kept" }, keepalive => 1, from => _address($me->{n})));
        my $r = eval { $conn->read('POST') };
        if (!$r) {
            $@ =~ /closed the connection without an answer/ or die $@;
            $me->{maybe}{$id} = 1;
            return (@said, @said ? 'closed' : 'closed at once');
        }
        push @said, _said($me, $id, $r);
        return @said if $r->closed;
    }
    $conn->close;
    return @said;
}

sub _robot
{
    my ($me, $client) = @_;
    my $id = _id($me);
    my @accept = $me->{n} % 4 ? (Accept => 'text/html') : $me->{n} % 8 ? (Accept => 'application/json') : ();
    my $r = $client->post('/robot/mailer.php', form => { message => "$id buy" }, from => '198.51.100.' . int rand 8, headers => \@accept);
    return _said($me, $id, $r);
}

sub _abroad
{
    my ($me, $client) = @_;
    my $id = _id($me);
    return _said($me, $id, $client->post('/abroad/mailer.php', form => { message => "$id abroad" }, from => '175.45.176.' . (1 + int rand 250)));
}

sub _closer
{
    my ($me, $client) = @_;
    my $id = _id($me);
    return _said($me, $id, $client->post('/closer/closed.php', form => { message => "$id close" }, from => _address($me->{n})));
}

sub _upload
{
    my ($me, $client) = @_;
    my $file = pack('N', $me->{n}) x (256 * (1, 20, 60, 200, 700, 4000)[$me->{n} % 6]);
    my $message = "$me->{n} $TEXT";
    if ($me->{n} % 4 == 0) {
        my $r = $client->post('/upload/echo.php', json => { message => $message, text => 'x' x (10 * ($me->{n} % 1000)) }, from => _address($me->{n}));
        return $r->status == 200 ? 'whole' : $r->status;
    }
    my $r = $client->post('/upload/echo.php', multipart => [message => $message, file => { filename => 'a.bin', type => 'image/png', content => $file }],
        from => _address($me->{n}), $me->{n} % 5 ? () : (chunks => [1, 8192, 100_000]));
    return $r->status if $r->status != 200;
    return $r->json->{files}{file}{sha256} eq sha256_hex($file) ? 'whole' : 'another file';
}

# With a solution; the same once more; without one; with one that is none.
sub _altcha
{
    my ($me, $client) = @_;
    my $id = _id($me);
    my %from = (from => _address($me->{n}));
    my $post = sub { return $client->post('/altcha/mailer.php', form => [message => "$id solved", @_], headers => [Accept => 'text/html'], %from) };
    if ($me->{n} % 4 == 0) {
        my $r = $post->();
        return $r->status == 403 && $r->body =~ /formguard-kept/ ? 'page' : 'no page: ' . $r->status;
    }
    return map { $_ eq '403' ? 'rejected' : $_ } _said($me, $id, $post->(altcha => 'x' x 200)) if $me->{n} % 4 == 1;
    my $solution = FormGuard::Altcha::solve(FormGuard::Altcha::challenge($client, '/altcha/mailer.php', %from));
    my $said = _said($me, $id, $post->(altcha => $solution));
    # Another text: a post that comes twice is answered as the first was.
    return $said if $me->{n} % 3 || $said ne 'sent';
    my $again = $client->post('/altcha/mailer.php', form => { message => "$id again", altcha => $solution }, %from);
    return ($said, $again->status == 403 ? 'used' : 'again: ' . $again->status);
}

my @TOKENS = (('ok') x 9, qw(dup ok ok invalid ok never ok ok status-500 ok garbage close ok slow-first-byte-0.4 ok reset
    big-headers ok ok truncated drip ok deep late-close-0.3 ok farewell), ('never') x 6, ('ok') x 8);

sub _service
{
    my ($me, $client) = @_;
    my $id = _id($me);
    my $token = FormGuard::Vendor::fresh($TOKENS[$me->{n} % @TOKENS]);
    my $said = _said($me, $id, $client->post('/service/mailer.php', form => { message => "$id asked", 'g-recaptcha-response' => $token },
        from => _address($me->{n})));
    return $said eq 'sent' && $token !~ /^(?:ok|slow|farewell)/ ? "sent for $token" : $said;
}

sub _page
{
    my ($me, $client) = @_;
    my $path = '/pages/' . qw(form.html long.html form.php)[$me->{n} % 3];
    my $r = $client->get($path, headers => [Accept => 'text/html']);
    my $widgets = () = $r->body =~ /<altcha-widget challenge=/g;
    return 'widget' if $r->status == 200 && $widgets == 1 && $r->body =~ m{</altcha-widget><button>Send</button>};
    return "$path: " . $r->status . ", $widgets widgets";
}

sub _reader
{
    my ($me, $client) = @_;
    my $i = $me->{n} % 6;
    return $client->get('/missing.txt')->status if $i == 0;
    return $client->get('/page.txt', headers => [Range => 'bytes=10-100'])->status if $i == 1;
    return $client->request('HEAD', '/page.txt')->status if $i == 2;
    my $r = $client->get('/page.txt', headers => [$me->{tag} && $i == 3 ? ('If-None-Match' => $me->{tag}) : ()]);
    $me->{tag} = $r->header('ETag');
    return $r->status;
}

sub _status
{
    my ($me, $client) = @_;
    my $query = ('', '?format=json', '?format=prometheus')[$me->{n} % 3];
    return $client->get("/formguard-status$query")->status;
}

# Goes at some stage of a post, in order or by a reset.
sub _leaver
{
    my ($me, $client) = @_;
    my ($id, $i, $from) = (_id($me), $me->{n} % 9, _address($me->{n}));
    my %o = (from => $from, keepalive => 1);
    my $whole = $client->bytes('POST', '/leaver/mailer.php', %o, form => { message => "$id left", text => 'x' x 2000 });
    my $file = $client->bytes('POST', '/leaver/mailer.php', %o, multipart => [message => "$id left", file => { filename => 'a', content => 'x' x 200_000 }]);
    my $asks = $client->bytes('POST', '/service/mailer.php', %o,
        form => { message => "$id left", 'g-recaptcha-response' => FormGuard::Vendor::fresh($me->{n} % 2 ? 'never' : 'slow-first-byte-0.3') });
    my $page = $client->bytes('POST', '/altcha/mailer.php', %o, form => { message => "$id left" }, headers => [Accept => 'text/html']);
    my @bytes = ('', substr($whole, 0, 30), substr($whole, 0, -2100), substr($whole, 0, -100), substr($file, 0, 100_000), substr($file, 0, -10), $whole, $asks, $page);
    my $conn = $client->connect;
    $conn->send($bytes[$i]);
    $me->{maybe}{$id} = 1 if $i == 6 || $i == 7;
    sleep 0.1 * rand if $me->{n} % 3;
    setsockopt $conn->socket, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0 if $me->{n} % 2;
    $conn->close;
    return 'left';
}

# Over two seconds, a few bytes each tenth.
sub _dripper
{
    my ($me, $client) = @_;
    my $id = _id($me);
    my $bytes = $client->bytes('POST', '/dripper/mailer.php', form => { message => "$id slowly" }, from => _address($me->{n}));
    my $conn = $client->connect;
    $conn->drip($bytes, int(length($bytes) / 20) + 1, 0.1);
    return _said($me, $id, $conn->read('POST'));
}

1;
