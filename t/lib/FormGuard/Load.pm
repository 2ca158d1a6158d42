# SPDX-License-Identifier: Apache-2.0
package FormGuard::Load;

=head1 NAME

FormGuard::Load - visitors and robots who post while something goes wrong, and what must be true afterwards

=head1 SYNOPSIS

    my $httpd = FormGuard::Httpd->new(modules => ['status'], php => 'fpm', mail => $mail,
        files => FormGuard::Load::FILES, config => FormGuard::Load::CONFIG);
    my $load = FormGuard::Load->start($httpd);     # returns when each client has had an answer
    ... the fault ...
    $load->goes_on(20);                            # returns when so many posts more were answered
    $load->end_ok('the disk is full');             # ends it: tests what came of it
    FormGuard::Load::healthy_ok($httpd, 'the disk is full');

Visitors post F<mailer.php>, each from an address of his own, and each of their posts must be a mail; robots post from
one address each, and LIMIT of their posts may. Between them F<page.txt> is read. A post that got no answer
(C<< lost => 1 >>: that is allowed, while a server restarts) may be a mail or none, but not two.

C<end_ok> makes three tests, C<healthy_ok> three more: no worker is busy, no temporary file is left, and no process has
descriptors that it had not.

=cut

use strict;
use warnings;
use FormGuard::Client;
use FormGuard::Process;
use POSIX ();
use Storable ();
use Test::More;
use Time::HiRes qw(sleep time);

use constant LIMIT => 3;

use constant CONFIG => <<'CONF';
<Location /server-status>
    SetHandler server-status
</Location>
<Location /mailer.php>
    FormGuard On
    FormGuardLimit ip 3/1d
    FormGuardLimit form 100000/1d
</Location>
CONF

use constant FILES => { 'mailer.php' => \'mailer.php', 'page.txt' => "a page\n" };

my $loads = 0;

sub start
{
    my ($class, $httpd, %o) = @_;
    my $self = bless {
        httpd => $httpd, n => ++$loads, mark => $httpd->mail->count, stop => $httpd->dir . "/logs/stop-$loads", lost => $o{lost},
        clients => [], owner => $$, answers => $httpd->dir . "/logs/answers-$loads"
    }, $class;
    my $count = $o{clients} || 3;
    for my $i (1 .. $count) {
        pipe(my $r, my $w) or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $r;
            my $out = eval { $self->_client($i) } || { wrong => ["$@"] };
            Storable::store_fd($out, $w);
            close $w;
            POSIX::_exit(0);
        }
        close $w;
        push @{$self->{clients}}, [$pid, $r];
    }
    $self->goes_on(2 * $count);
    return $self;
}

# Answers so far: a byte each.
sub count { return -s $_[0]{answers} || 0 }

sub goes_on
{
    my ($self, $posts) = @_;
    my $before = $self->count;
    FormGuard::Process::wait_until(sub { $self->count >= $before + $posts }, 60, "$posts posts");
    return $self;
}

sub _client
{
    my ($self, $i) = @_;
    my %got = (sent => {}, maybe => {}, lost => 0, refused => 0, pages => 0, wrong => []);
    my $id = 0;
    while (!-e $self->{stop}) {
        my $robot = ++$id % 2 == 0;
        my $from = $robot ? "198.51.$self->{n}.$i" : "10.$self->{n}." . (16 * $i + int($id / 250)) . '.' . (1 + $id % 250);
        $self->_post(\%got, $robot, $from, "<$self->{n}-$i-$id>");
        my $r = eval { $self->{httpd}->client->get('/page.txt') };
        $r ? $got{pages}++ : $got{lost}++;
        push @{$got{wrong}}, 'a page: ' . $r->status if $r && $r->status != 200;
        sleep 0.005;
    }
    return \%got;
}

sub _post
{
    my ($self, $got, $robot, $from, $id) = @_;
    my $r = eval { $self->{httpd}->client->post('/mailer.php', form => { message => $id, name => 'x' x 100 }, from => $from) };
    if (!$r || $r->body !~ /^sent/ && $r->status == 200 && $r->short) {
        $got->{lost}++;
        $got->{maybe}{$id} = $from;
    }
    elsif ($r->status == 200 && $r->body =~ /^sent/) {
        $got->{sent}{$id} = $from;
    }
    elsif ($robot && $r->status == 429) {
        $got->{refused}++;
    }
    else {
        push @{$got->{wrong}}, ($robot ? 'a robot: ' : 'a visitor: ') . $r->status . ' ' . substr $r->body, 0, 100;
    }
    open my $fh, '>>', $self->{answers} or die "$self->{answers}: $!\n";
    print $fh '.';
    return;
}

sub _end
{
    my ($self) = @_;
    open my $fh, '>', $self->{stop} or die "$self->{stop}: $!\n";
    my %sum = (sent => {}, maybe => {}, lost => 0, refused => 0, pages => 0, wrong => []);
    for my $client (splice @{$self->{clients}}) {
        my $got = eval { Storable::fd_retrieve($client->[1]) } || { wrong => ['a client ended early'] };
        waitpid $client->[0], 0;
        push @{$sum{wrong}}, @{$got->{wrong}};
        $sum{$_} += $got->{$_} || 0 for qw(lost refused pages);
        %{$sum{$_}} = (%{$sum{$_}}, %{$got->{$_} || {}}) for qw(sent maybe);
    }
    return \%sum;
}

sub end_ok
{
    my ($self, $name) = @_;
    my $sum = $self->_end;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $sent = keys %{$sum->{sent}};
    push @{$sum->{wrong}}, "$sum->{lost} requests without an answer" if $sum->{lost} && !$self->{lost};
    is_deeply $sum->{wrong}, [], "$name: $sent sent, $sum->{refused} refused, $sum->{pages} pages, $sum->{lost} lost";

    # A mail each, and none that nobody was told of.
    my (%mails, %robot);
    $mails{$_}++ for map { $_->{body} =~ /message: (<$self->{n}-[\d-]+>)/ ? $1 : () } $self->{httpd}->mail->since($self->{mark});
    my @bad = map { "$_: " . ($mails{$_} || 0) . ' mails' } grep { ($mails{$_} || 0) != 1 } sort keys %{$sum->{sent}};
    push @bad, map { "$_: $mails{$_} mails" } grep { !$sum->{sent}{$_} && (!$sum->{maybe}{$_} || $mails{$_} > 1) } sort keys %mails;
    is "@bad", '', "$name: a mail for each that was sent";
    $robot{$_}++ for grep { /^198\.51\./ } map { $sum->{sent}{$_} // $sum->{maybe}{$_} // '' } keys %mails;
    is_deeply [map { "$_: $robot{$_}" } grep { $robot{$_} > LIMIT } sort keys %robot], [], "$name: no robot got more than the limit";
    return $sum;
}

sub DESTROY
{
    my ($self) = @_;
    return if $self->{owner} != $$ || !@{$self->{clients}};
    local ($?, $@, $!);
    $self->_end;
}

# --- the server, afterwards ---------------------------------------------------------------------------

sub workers
{
    my ($httpd) = @_;
    my $text = $httpd->client->get('/server-status?auto')->body;
    return { map { /^(\w+): (\d+)$/ ? ($1 => $2) : () } split /\n/, $text };
}

# What a process holds that it had not at rest: no listener, log, pipe or shared library.
sub descriptors
{
    my ($pid) = @_;
    opendir my $dh, "/proc/$pid/fd" or return ();
    return grep { m{formguard\.\w+|^socket:} } map { readlink("/proc/$pid/fd/$_") // () } readdir $dh;
}

sub children { my ($httpd) = @_; return grep { -d "/proc/$_/fd" } FormGuard::Process::children_of($httpd->pid) }

# The most sockets and temporary files any of its processes has.
sub most_descriptors
{
    my ($httpd) = @_;
    my ($most) = sort { $b <=> $a } map { scalar(() = descriptors($_)) } children($httpd);
    return $most // 0;
}

# `spare`: connections kept to a captcha service, a resolver's socket.
sub healthy_ok
{
    my ($httpd, $name, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $w = eval {
        FormGuard::Process::wait_until(sub { my $w = workers($httpd); $w->{BusyWorkers} == 1 && $w }, 15, 'idle workers');
    };
    ok $w, "$name: no worker is held" or diag $httpd->client->get('/server-status?auto')->body;
    is_deeply [grep { m{/formguard\.} } glob $httpd->dir . '/tmp/{*,.[!.]*}'], [], "$name: no temporary file is left";
    my $least = $o{descriptors} // 4;
    my $ok = eval { FormGuard::Process::wait_until(sub { most_descriptors($httpd) <= $least + ($o{spare} || 0) }, 15, 'closed descriptors') };
    ok $ok, "$name: no descriptor is left" or diag map { my $p = $_; "$p: " . join(' ', descriptors($p)) . "\n" } children($httpd);
    return;
}

1;
