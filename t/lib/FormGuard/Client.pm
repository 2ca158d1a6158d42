# SPDX-License-Identifier: Apache-2.0
package FormGuard::Client;

=head1 NAME

FormGuard::Client - an HTTP/1.1 client that sends exactly the bytes a test wants

=head1 SYNOPSIS

    my $c = FormGuard::Client->new(port => $port);          # or $httpd->client
    my $c = $httpd->client(local => '127.0.0.7');           # connects from there
    my $r = $c->get('/');
    my $r = $c->post('/contact.php', form => { name => 'A' }, from => '203.0.113.7');
    my $r = $c->post('/f', multipart => [ name => 'A', file => { filename => 'a.txt', type => 'text/plain', content => 'x' } ]);
    my $r = $c->request('POST', '/f', headers => ['X-A' => 1], body => $bytes, type => 'text/plain',
                        chunks => [1, 8192],                # Transfer-Encoding: chunked, in these sizes, the rest as one
                        expect => 1);                       # Expect: 100-continue, body after 100 only

    $r->status; $r->reason; $r->header('Retry-After'); $r->headers('Set-Cookie'); $r->body; $r->json;
    $r->interim;            # statuses of 1xx answers before it
    $r->closed;             # the server said or did close
    $r->seconds;            # from the last byte sent (or the start of the body) to the answer
    $r->early;              # answered before all of the body was sent

    # Bytes by hand, several requests on one connection
    my $conn = $c->connect;
    $conn->send("POST / HTTP/1.1\r\n..."); my $r = $conn->read; $conn->eof(5); $conn->close;
    $conn->send($c->bytes('POST', '/f', form => {...}));    # what request() would send
    $conn->drip($bytes, 1, 0.1);                            # one byte each 0.1 s; stops and returns false when answered

    my @r = $c->at_once({ method => 'POST', path => '/f', form => {...} }, ...);  # all but the last byte of each, then the rest
    my @out = FormGuard::Client::parallel(8, sub { my ($worker) = @_; ...; return $anything });
    my $r = $c->curl('POST', '/f', h2 => 1, form => {...});  # curl: HTTP/2 with prior knowledge

Headers Host and Connection: close are sent unless given (undef leaves one out); C<< keepalive => 1 >> leaves out
the latter. form may be a hash (sorted), an array of pairs (in order, names may repeat) or a string.

=cut

use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use FormGuard::Process;
use File::Temp ();
use IO::Handle;
use IO::Socket::INET;
use POSIX ();
use Storable ();
use Time::HiRes qw(sleep time);

sub new
{
    my ($class, %o) = @_;
    return bless { host => '127.0.0.1', timeout => 30, from => undef, %o }, $class;
}

sub get  { my ($self, $path, %o) = @_; return $self->request('GET', $path, %o) }
sub post { my ($self, $path, %o) = @_; return $self->request('POST', $path, %o) }

sub connect
{
    my ($self) = @_;
    my $s = IO::Socket::INET->new(
        PeerAddr => $self->{host}, PeerPort => $self->{port}, Proto => 'tcp', Timeout => $self->{timeout},
        $self->{local} ? (LocalAddr => $self->{local}) : ()
    ) or die "connect to $self->{host}:$self->{port}: $!\n";
    binmode $s;
    $s->blocking(0);
    return bless { s => $s, buf => '', timeout => FormGuard::Process::patience($self->{timeout}) },
        'FormGuard::Client::Connection';
}

sub request
{
    my ($self, $method, $path, %o) = @_;
    my $conn = $self->connect;
    my ($head, $body) = $self->_message($method, $path, %o);
    my $start = time;
    my $all = 1;
    if ($o{expect}) {
        $conn->send($head);
        my $r = $conn->read($method, interim => 1);
        return $r if $r->status != 100;
        $all = $conn->send($body, 1);
        $start = time;
        $r = $conn->read($method);
        unshift @{$r->{interim}}, 100;
        @$r{qw(seconds early)} = (time - $start, !$all);
        return $r;
    }
    $all = $conn->send($head . $body, 1);
    $start = time if $all;
    my $r = $conn->read($method);
    @$r{qw(seconds early)} = (time - $start, !$all);
    return $r;
}

sub bytes
{
    my ($self, @args) = @_;
    return join '', $self->_message(@args);
}

# Text becomes UTF-8, octets stay what they are.
sub _octets
{
    my ($s) = @_;
    utf8::encode($s) if utf8::is_utf8($s);
    return $s;
}

sub urlencode
{
    my $s = _octets($_[0]);
    $s =~ s/([^A-Za-z0-9._~ -])/sprintf '%%%02X', ord $1/ge;
    $s =~ tr/ /+/;
    return $s;
}

sub _pairs
{
    my ($f) = @_;
    return @$f if ref $f eq 'ARRAY';
    return map { my $k = $_; ref $f->{$k} eq 'ARRAY' ? map { ($k, $_) } @{$f->{$k}} : ($k, $f->{$k}) } sort keys %$f;
}

sub form
{
    my ($f) = @_;
    return $f if !ref $f;
    my @p = _pairs($f);
    my @out;
    while (my ($k, $v) = splice @p, 0, 2) {
        push @out, urlencode($k) . '=' . urlencode($v // '');
    }
    return join '&', @out;
}

sub multipart
{
    my ($f, $boundary) = @_;
    my @p = _pairs($f);
    my $out = '';
    while (my ($k, $v) = splice @p, 0, 2) {
        my ($more, $content) = ('', $v);
        if (ref $v) {
            $more = "; filename=\"$v->{filename}\"" if defined $v->{filename};
            $more .= "\r\nContent-Type: $v->{type}" if defined $v->{type};
            $content = $v->{content} // '';
        }
        $out .= _octets("--$boundary\r\nContent-Disposition: form-data; name=\"$k\"$more\r\n\r\n")
            . _octets($content) . "\r\n";
    }
    return "$out--$boundary--\r\n";
}

sub _content
{
    my ($o) = @_;
    my ($body, $type) = ($o->{body}, $o->{type});
    if (defined $o->{form}) {
        ($body, $type) = (form($o->{form}), $type // 'application/x-www-form-urlencoded');
    }
    elsif (defined $o->{multipart}) {
        my $b = $o->{boundary} // '----WebKitFormBoundary7MA4YWxkTrZu0gW';
        ($body, $type) = (multipart($o->{multipart}, $b), $type // "multipart/form-data; boundary=$b");
    }
    elsif (defined $o->{json}) {
        require JSON::PP;
        ($body, $type) = (JSON::PP->new->canonical->utf8->encode($o->{json}), $type // 'application/json');
    }
    return (defined $body ? _octets($body) : undef, $type);
}

sub _message
{
    my ($self, $method, $path, %o) = @_;
    my ($body, $type) = _content(\%o);
    my @given = @{$o{headers} || []};
    my %given = map { lc($given[2 * $_]) => 1 } 0 .. @given / 2 - 1;
    my @h = ($given{host} ? () : (Host => "$self->{host}:$self->{port}"));
    my $from = $o{from} // $self->{from};
    push @h, 'X-Forwarded-For' => $from if defined $from;
    push @h, 'Content-Type' => $type if defined $type && !$given{'content-type'};
    push @h, Expect => '100-continue' if $o{expect};
    if ($o{chunks}) {
        push @h, 'Transfer-Encoding' => 'chunked';
        $body = chunked($body // '', @{$o{chunks}});
    }
    elsif (!$given{'content-length'} && (defined $body || $method =~ /^(?:POST|PUT)$/)) {
        push @h, 'Content-Length' => length($body // '');
    }
    push @h, Connection => 'close' if !$given{connection} && !$o{keepalive};
    push @h, @given;
    my $head = "$method $path HTTP/" . ($o{version} || '1.1') . "\r\n";
    while (my ($k, $v) = splice @h, 0, 2) {
        $head .= "$k: $v\r\n" if defined $v;
    }
    return (_octets("$head\r\n"), $body // '');
}

sub chunked
{
    my ($body, @sizes) = @_;
    my $out = '';
    my $at = 0;
    while ($at < length $body) {
        my $n = (@sizes ? shift @sizes : 0) || length($body) - $at;
        my $piece = substr $body, $at, $n;
        $out .= sprintf("%x\r\n", length $piece) . $piece . "\r\n";
        $at += $n;
    }
    return $out . "0\r\n\r\n";
}

# Many connections, one process: every request is complete but for its last byte, then all get it.
sub at_once
{
    my ($self, @requests) = @_;
    my @open;
    for my $q (@requests) {
        my %o = %$q;
        my ($method, $path) = (delete $o{method} || 'POST', delete $o{path} || '/');
        my $bytes = $self->bytes($method, $path, %o);
        my $conn = $self->connect;
        my $last = substr $bytes, -1, 1, '';
        $conn->send($bytes);
        push @open, [$conn, $last, $method];
    }
    $_->[0]->send($_->[1]) for @open;
    return map { $_->[0]->read($_->[2]) } @open;
}

# Runs the code in N processes; returns what each returned (a scalar or a reference), in order.
sub parallel
{
    my ($n, $code) = @_;
    my @kids;
    for my $i (0 .. $n - 1) {
        pipe(my $r, my $w) or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $r;
            my $out = eval { [1, scalar $code->($i)] } || [0, "$@"];
            Storable::store_fd($out, $w);
            close $w;
            POSIX::_exit(0);
        }
        close $w;
        push @kids, [$pid, $r];
    }
    my @out;
    for my $kid (@kids) {
        my $got = eval { Storable::fd_retrieve($kid->[1]) } || [0, "worker ended early\n"];
        waitpid $kid->[0], 0;
        push @out, $got;
    }
    $_->[0] or die "parallel: $_->[1]" for @out;
    return map { $_->[1] } @out;
}

# The same request by curl, for HTTP/2.
sub curl
{
    my ($self, $method, $path, %o) = @_;
    my ($body, $type) = _content(\%o);
    my $dir = File::Temp->newdir;
    my @cmd = (qw(curl -sS -g -D), "$dir/head", '-o', "$dir/body", '-X', $method, '--max-time', $self->{timeout});
    push @cmd, '--http2-prior-knowledge' if $o{h2};
    my @h = @{$o{headers} || []};
    my $from = $o{from} // $self->{from};
    push @h, 'X-Forwarded-For' => $from if defined $from;
    push @h, 'Content-Type' => $type if defined $type;
    push @h, Expect => '' if !$o{expect};
    while (my ($k, $v) = splice @h, 0, 2) {
        push @cmd, '-H', "$k: $v";
    }
    if (defined $body) {
        open my $fh, '>:raw', "$dir/post" or die "$dir/post: $!\n";
        print $fh $body;
        close $fh;
        push @cmd, '--data-binary', "\@$dir/post";
    }
    my $start = time;
    system(@cmd, @{$o{curl} || []}, "http://$self->{host}:$self->{port}$path");
    my $rc = $? >> 8;
    my $head = -s "$dir/head" ? _slurp("$dir/head") : die "curl $method $path: exit $rc\n";
    my $raw = '';
    my @interim;
    while ($head =~ s/\A(HTTP\S+ (\d+).*?\r?\n\r?\n)//s) {
        push @interim, $2 if length $head;
        $raw = $1;
    }
    my $r = FormGuard::Client::Response->parse($raw);
    $r->{body} = -f "$dir/body" ? _slurp("$dir/body") : '';
    @$r{qw(interim seconds curl)} = (\@interim, time - $start, $rc);
    return $r;
}

sub _slurp
{
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar <$fh>;
}

package FormGuard::Client::Connection;

use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use Time::HiRes qw(sleep time);

sub socket { return $_[0]{s} }
sub close  { return CORE::close($_[0]{s}) }

sub _ready
{
    my ($self, $write, $seconds) = @_;
    my ($r, $w) = ('', '');
    vec($r, fileno $self->{s}, 1) = 1;
    vec($w, fileno $self->{s}, 1) = 1 if $write;
    my $n = select $r, $w, undef, $seconds;
    return (0, 0) if $n <= 0;
    return (vec($r, fileno $self->{s}, 1), $write && vec($w, fileno $self->{s}, 1));
}

# True when all was sent. With $heed, stops as soon as the server says something.
sub send
{
    my ($self, $bytes, $heed) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $at = 0;
    my $end = time + $self->{timeout};
    while ($at < length $bytes) {
        my ($r, $w) = $self->_ready(1, $end - time);
        die "the server took no more of the request within $self->{timeout} s\n" if !$r && !$w;
        return 0 if $r && $heed;
        if (!$w) {
            sleep 0.01;
            next;
        }
        my $n = syswrite $self->{s}, $bytes, 65536, $at;
        if (defined $n) {
            $at += $n;
        }
        elsif ($! != EAGAIN && $! != EINTR) {
            $self->{broken} = "$!";
            return 0;
        }
    }
    return 1;
}

sub drip
{
    my ($self, $bytes, $size, $pause) = @_;
    for (my $at = 0; $at < length $bytes; $at += $size) {
        return 0 if ($self->_ready(0, $pause))[0];
        $self->send(substr($bytes, $at, $size), 1) or return 0;
    }
    return 1;
}

# More bytes into the buffer; false at the end of the connection.
sub _more
{
    my ($self, $end) = @_;
    while (1) {
        my ($r) = $self->_ready(0, $end > time ? $end - time : 0);
        die "no answer within $self->{timeout} s\n" if !$r;
        my $n = sysread $self->{s}, $self->{buf}, 65536, length $self->{buf};
        return $n if $n;
        next if !defined $n && ($! == EAGAIN || $! == EINTR);
        $self->{error} = defined $n ? '' : "$!";
        $self->{eof} = 1;
        return 0;
    }
}

# The next response. Without interim => 1, 1xx ones are collected.
sub read
{
    my ($self, $method, %o) = @_;
    my $end = time + $self->{timeout};
    my @interim;
    while (1) {
        while ($self->{buf} !~ /\r?\n\r?\n/) {
            $self->_more($end) or die "the server closed the connection without an answer"
                . (length $self->{buf} ? " ($self->{buf})" : '') . ($self->{error} ? ": $self->{error}" : '') . "\n";
        }
        $self->{buf} =~ s/\A(.*?\r?\n\r?\n)//s;
        my $r = FormGuard::Client::Response->parse($1);
        if ($r->status < 200 && $r->status != 101 && !$o{interim}) {
            push @interim, $r->status;
            next;
        }
        $r->{interim} = \@interim;
        return $r if $r->status < 200;
        $self->_body($r, $method || 'GET', $end);
        $r->{closed} = 1 if $self->{eof} || ($r->header('Connection') // '') =~ /\bclose\b/i;
        return $r;
    }
}

sub _need
{
    my ($self, $n, $end) = @_;
    while (length $self->{buf} < $n) {
        $self->_more($end) or return 0;
    }
    return 1;
}

sub _body
{
    my ($self, $r, $method, $end) = @_;
    return if $method eq 'HEAD' || $r->status == 204 || $r->status == 304;
    if (($r->header('Transfer-Encoding') // '') =~ /chunked/i) {
        while (1) {
            $self->{buf} =~ /\n/ || $self->_more($end) || last while $self->{buf} !~ /\n/;
            $self->{buf} =~ s/\A([0-9a-f]+)[^\n]*\n//i or die "bad chunk: " . substr($self->{buf}, 0, 80) . "\n";
            my $n = hex $1;
            $self->_need($n + 2, $end) or die "chunk cut short\n";
            $r->{body} .= substr $self->{buf}, 0, $n, '';
            $self->{buf} =~ s/\A\r?\n//;
            return if !$n;
        }
    }
    my $n = $r->header('Content-Length');
    if (defined $n) {
        $r->{short} = 1 if !$self->_need($n, $end);
        $r->{body} = substr $self->{buf}, 0, $n, '';
        return;
    }
    1 while $self->_more($end);
    $r->{body} = $self->{buf};
    $self->{buf} = '';
}

# The server closes within so many seconds, having sent nothing more.
sub eof
{
    my ($self, $seconds) = @_;
    return 1 if $self->{eof} && !length $self->{buf};
    my $ok = eval { $self->_more(time + ($seconds // 5)) };
    return defined $ok && !$ok && !length $self->{buf};
}

package FormGuard::Client::Response;

use strict;
use warnings;

sub parse
{
    my ($class, $head) = @_;
    my ($first, @lines) = split /\r?\n/, $head;
    my ($version, $status, $reason) = $first =~ m{^HTTP/(\S+) (\d{3}) ?(.*)} or die "no HTTP answer: $first\n";
    my %h;
    for (@lines) {
        my ($k, $v) = /^([^:]+):\s*(.*?)\s*$/ or next;
        push @{$h{lc $k}}, $v;
    }
    return bless { version => $version, status => $status, reason => $reason, h => \%h, head => $head, body => '',
                   interim => [] }, $class;
}

sub status  { return $_[0]{status} }
sub reason  { return $_[0]{reason} }
sub version { return $_[0]{version} }
sub head    { return $_[0]{head} }
sub body    { return $_[0]{body} }
sub interim { return @{$_[0]{interim}} }
sub closed  { return $_[0]{closed} }
sub early   { return $_[0]{early} }
sub seconds { return $_[0]{seconds} }
sub short   { return $_[0]{short} }

# Several lines of one name are one value, as HTTP says.
sub header
{
    my ($self, $name) = @_;
    my $v = $self->{h}{lc $name} or return undef;
    return join ', ', @$v;
}

sub headers
{
    my ($self, $name) = @_;
    return @{$self->{h}{lc $name} || []};
}

sub json
{
    my ($self) = @_;
    require JSON::PP;
    return JSON::PP->new->utf8->decode($self->{body});
}

1;
