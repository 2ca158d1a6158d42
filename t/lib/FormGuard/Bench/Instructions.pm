# SPDX-License-Identifier: Apache-2.0
package FormGuard::Bench::Instructions;

=head1 NAME

FormGuard::Bench::Instructions - instructions a request, by callgrind

=head1 SYNOPSIS

    my $got = FormGuard::Bench::Instructions::measure('formguard', \@works, requests => 100, keep => $dir);
    $got->{limits};     # { each => instructions a request, crypto => those in libcrypto, ran => N, lines => in error_log }

The server is C<httpd -X> (prefork) under valgrind. Counted are N requests and then 2N, and the difference is
divided by N, so that whatever a measurement costs once falls out. Only the server's own instructions count, none
of the kernel's. With C<keep>, callgrind's files stay there as CONTENDER-WORK.n and .2n, for callgrind_annotate.

=cut

use strict;
use warnings;
use File::Copy qw(copy);
use FormGuard::Bench::Contender;
use FormGuard::Bench::Profile;
use FormGuard::Bench::Works;
use FormGuard::Client;
use FormGuard::Process;

my $WARM = 20;
my $QOS_ENTRIES = 10_000;

sub measure
{
    my ($name, $works, %o) = @_;
    my %got;
    my %settings;
    push @{$settings{$_->{setting}}}, $_ for @$works;
    for my $setting (sort { $b cmp $a } keys %settings) {
        my $each = $name eq 'nginx' ? \&_nginx : \&_httpd;
        my $some = $each->($name, $setting, $settings{$setting}, %o);
        %got = (%got, %$some);
    }
    return \%got;
}

# What a server of such a setting is made with.
sub _settings
{
    my ($name, $setting) = @_;
    return (limit => 1) if $setting eq 'narrow';
    # What qos does grows with its table, which has 50000 entries by default; to fill these takes minutes here. The
    # others' cost is the same whatever the size.
    return (entries => $name eq 'qos' ? $QOS_ENTRIES : 8192) if $setting eq 'full';
    return ();
}

sub _valgrind
{
    my ($dir, @more) = @_;
    my $valgrind = FormGuard::Process::in_path('valgrind') or die "valgrind is not installed\n";
    return ($valgrind, '-q', '--tool=callgrind',
        "--callgrind-out-file=$dir/callgrind", @more);
}

sub _httpd
{
    my ($name, $setting, $works, %o) = @_;
    my $out = FormGuard::Process::private_dir();
    chmod 0777, "$out";
    my @wrap = _valgrind("$out", '--instr-atstart=no');
    local $ENV{FORMGUARD_WRAP} = join ' ', @wrap;
    local $ENV{FORMGUARD_SINGLE} = 1;
    my $server = FormGuard::Bench::Contender::server($name, mpm => 'prefork', _settings($name, $setting), %{$o{server} || {}});
    # It was opened by root, and at its end httpd is somebody else.
    chown((getpwnam FormGuard::Process::server_user())[2, 3], glob "$out/callgrind*") if !$>;
    my $marks = 0;
    my $mark = sub {
        # From an address of its own each time: some contenders would refuse it.
        my $r = $server->client(local => '127.9.' . ($marks >> 8) . '.' . (1 + $marks++ & 255))->get("/bench-mark?$_[0]");
        $r->status == 200 or die "$name: mark: " . $r->status . "\n";
    };
    my %got;
    for my $work (@$works) {
        my $n = _number($work, %o);
        my $sender = FormGuard::Bench::Instructions::Sender->new($server, $work, $name);
        _fill($server, $work, $sender, $name, 3 * $n + $WARM);
        my $before = _lines($server);
        $mark->('on');
        $sender->send($WARM);
        $mark->('dump=warm');
        $sender->send($n);
        $mark->('dump=n');
        $sender->send(2 * $n);
        $mark->('dump=2n');
        $mark->('off');
        my $lines = _lines($server) - $before;
        my %file = _parts("$out");
        my %p = map { $_ => FormGuard::Bench::Profile::read($file{$_}) } qw(n 2n);
        my $crypto = sub { return $_[0]{inside}{libcrypto} // 0 };
        $got{$work->{name}} = {
            each => ($p{'2n'}{total} - $p{n}{total}) / $n, ran => $n,
            crypto => ($crypto->($p{'2n'}) - $crypto->($p{n})) / $n,
            lines => $lines / (3 * $n + $WARM),
        };
        for my $part (keys %file) {
            copy($file{$part}, "$o{keep}/$name-$work->{name}.$part") if $o{keep} && $part ne 'warm';
            unlink $file{$part};
        }
    }
    FormGuard::Bench::Contender::end($server);
    return \%got;
}

# The parts written since, by the name they were dumped under.
sub _parts
{
    my ($dir) = @_;
    my %file;
    for my $file (glob "$dir/callgrind.*") {
        open my $fh, '<', $file or next;
        while (my $line = <$fh>) {
            last if $line =~ /^fn=/;
            $file{$1} = $file if $line =~ /^desc: Trigger: Client Request: (\w+)/;
        }
    }
    return %file;
}

sub _number
{
    my ($work, %o) = @_;
    my $n = int(($o{requests} || 100) / ($work->{fewer} || 1));
    return $n > 3 ? $n : 3;
}

# A setting's tables, so that what follows finds them as it is meant to. Nothing is counted yet.
sub _fill
{
    my ($server, $work, $sender, $name, $posts) = @_;
    if ($work->{again} || $work->{same}) {
        $sender->send($work->{same} ? 40 : $posts);
        $sender->rewind;
    }
    elsif ($work->{setting} eq 'full') {
        my %entries = (qos => $QOS_ENTRIES, formguard => 12_000);
        $sender->send($entries{$name} // 500);
    }
}

sub _lines
{
    my ($server) = @_;
    open my $fh, '<', $server->dir . '/logs/error_log' or return 0;
    my @lines = <$fh>;
    return scalar @lines;
}

# nginx has no marks: the whole of two runs.
sub _nginx
{
    my ($name, $setting, $works, %o) = @_;
    my %got;
    for my $work (@$works) {
        my $n = _number($work, %o);
        my @total;
        for my $times ($n, 2 * $n) {
            my $out = FormGuard::Process::private_dir();
            chmod 0777, "$out";
            local $ENV{FORMGUARD_WRAP} = 1;
            my $server = FormGuard::Bench::Contender::server($name, _settings($name, $setting), wrap => [_valgrind("$out")]);
            my $sender = FormGuard::Bench::Instructions::Sender->new($server, $work, $name);
            $sender->send(2 * $n + $WARM), $sender->rewind if $work->{again};
            $sender->prepare if $work->{same};
            $sender->send($times + $WARM);
            FormGuard::Bench::Contender::end($server);
            push @total, FormGuard::Bench::Profile::read("$out/callgrind")->{total};
        }
        $got{$work->{name}} = { each => ($total[1] - $total[0]) / $n, crypto => 0, ran => $n };
    }
    return \%got;
}

package FormGuard::Bench::Instructions::Sender;

use strict;
use warnings;
use Time::HiRes qw(sleep);

# One request after the other, on one connection as long as the server keeps it.
sub new
{
    my ($class, $server, $work, $name) = @_;
    return bless { server => $server, work => $work, name => $name, i => 0, strict => 0,
                   next => FormGuard::Bench::Works::requests($work, $server, $name),
                   status => FormGuard::Bench::Works::status($work, $name) }, $class;
}

# What was sent until now was preparation; from now on answers must be as expected.
sub rewind { my ($self) = @_; @$self{qw(i prepared)} = (0, 1); delete $self->{conn} }

sub prepare { my ($self) = @_; $self->send(1); $self->rewind }

sub send
{
    my ($self, $n) = @_;
    my $must = $self->{prepared} || $self->{work}{setting} ne 'narrow';
    my $method = $self->{work}{method} || 'POST';
    for (1 .. $n) {
        my ($bytes, $from) = $self->{next}->($self->{i}++);
        delete $self->{conn} if $from;
        $self->{conn} ||= $self->{server}->client($from ? (local => $from) : ())->connect;
        sleep $self->{work}{pace} if $self->{work}{pace} && $self->{prepared};
        $self->{conn}->send($bytes, 1) or die "$self->{name}: answered too early\n";
        my $r = $self->{conn}->read($method);
        die "$self->{name}: $self->{work}{name}: " . $r->status . " and not $self->{status}: " . $r->body . "\n"
            if $must && $r->status != $self->{status};
        # Its end is the server's work, too, and must be done with before the next one is counted.
        if ($r->closed) {
            $self->{conn}->eof(10) or die "$self->{name}: the connection stays open\n";
            delete $self->{conn};
        }
    }
    delete $self->{conn};
}

1;
