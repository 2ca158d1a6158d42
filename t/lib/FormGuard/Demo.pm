# SPDX-License-Identifier: Apache-2.0
package FormGuard::Demo;

=head1 NAME

FormGuard::Demo - what build/demo starts and shows

=head1 SYNOPSIS

    FormGuard::Demo::run($state_file, $port, 'mod');    # 'mod' or 'fpm'; FORMGUARD_MODULE is set
    FormGuard::Demo::running($state_file);
    FormGuard::Demo::stop($state_file);

=cut

use strict;
use warnings;
use utf8;
use File::Path ();
use File::Temp ();
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Process;

# Case 1: a mailer forgotten on the server, four addresses in Hong Kong, 5,821 posts in one day.
my @ROBOTS = (['182.16.27.106', 1441], ['182.16.59.138', 1710], ['52.128.227.34', 1509], ['52.128.230.42', 1161]);
my $FORGOTTEN = '/tw/tw_contact.php';
my $EACH = 100;

my @VISITORS = (
    ['198.51.100.11', form => {
        name => '佐藤 花子', email => 'hanako@visitor.example', subject => '湯呑みの在庫について',
        message => "はじめまして。\n青い湯呑みを五つ探しています。在庫はありますか。" }],
    ['198.51.100.12', form => {
        name => 'Peter Meyer', email => 'peter@visitor.example', message => 'Do you ship to Switzerland?' }],
    ['2001:db8:40::7', form => {
        name => '鈴木 一郎', email => 'ichiro@visitor.example', tel => '03-0000-0000', message => '営業時間を教えてください。' }],
    ['203.0.113.80', multipart => {
        name => '高橋 美咲', email => 'misaki@visitor.example', subject => '写真', message => '割れた皿の写真です。直せますか。',
        attachment => { filename => '皿.jpg', type => 'image/jpeg', content => join '', map { chr($_ & 255) } 1 .. 40_000 } }],
    ['203.0.113.81', form => {
        name => 'Aiko', email => 'aiko@visitor.example', message => 'A question.' }],
    ['203.0.113.81', form => {
        name => 'Aiko', email => 'aiko@visitor.example', message => 'And one more.' }],
);

sub fail { print STDERR 'build/demo: ', @_, "\n"; exit 1 }

sub say_utf8 { print map { my $s = $_; utf8::encode($s) if utf8::is_utf8($s); $s } @_, "\n" }

sub run
{
    my ($state, $port, $php) = @_;
    my $dir = File::Temp::tempdir('formguard-demo-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    my ($mail, $httpd) = eval { _start($dir, $state, $port, $php) };
    if (!$httpd) {
        my $why = $@;
        _end($state) if -f $state;
        File::Path::remove_tree($dir);
        fail($why =~ /could not bind to address/ ? "port $port cannot be used; choose another with --port N." : $why);
    }
    my $ok = eval { _show($mail, $httpd) };
    my $why = $@;
    if (!$ok) {
        print STDERR map { "  $_\n" } $httpd->log->news(0);
        _end($state);
        fail($why || 'the guard did not do what it should, see above.');
    }
    _try_it($mail, $httpd);
    exit 0;
}

sub _start
{
    my ($dir, $state, $port, $php) = @_;
    my $mail = FormGuard::Mail->new(dir => $dir, detach => 1);
    _remember($state, "url http://127.0.0.1:$port/contact.php", "dir $dir", $mail->process);
    my $httpd = FormGuard::Httpd->new(
        mpm => $php eq 'mod' ? 'prefork' : 'event', php => $php, mail => $mail, dir => $dir, port => $port,
        detach => 1, start => 0, loglevel => 'warn formguard:info',
        files => {
            'contact.php' => \'contact.php',
            substr($FORGOTTEN, 1) => \'contact.php',
        },
        config => "<Directory \@HTDOCS\@>\n    FormGuard On\n</Directory>\n",
    );
    my $ok = eval { $httpd->start };
    my $why = $@;
    _remember($state, "url " . $httpd->url('/contact.php'), "dir $dir", $mail->process,
        grep { $_ } $httpd->{fpm}, $httpd->{process});
    die $why if !$ok;
    return ($mail, $httpd);
}

# A process is its id and its start time: ids are used again.
sub _started
{
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return '';
    my $line = <$fh> // return '';
    $line =~ s/^.*\) //s;
    return (split ' ', $line)[19] // '';
}

sub _remember
{
    my ($state, @what) = @_;
    open my $fh, '>', $state or die "$state: $!\n";
    print $fh map { ref $_ ? 'pid ' . $_->pid . ' ' . _started($_->pid) . "\n" : "$_\n" } @what;
    close $fh or die "$state: $!\n";
}

sub _recall
{
    my ($state) = @_;
    open my $fh, '<', $state or return ({ pids => [] });
    my %s = (pids => []);
    while (<$fh>) {
        push @{$s{pids}}, $1 if /^pid (\d+) (\d+)$/ && _started($1) eq $2;
        $s{$1} = $2 if /^(url|dir) (.+)$/;
    }
    return \%s;
}

sub running { return @{_recall($_[0])->{pids}} > 0 }

# Started by somebody else, perhaps: reaping is not ours, being gone is what counts.
sub _end
{
    my ($state) = @_;
    my $s = _recall($state);
    my %is = map { $_ => _started($_) } @{$s->{pids}};
    my $gone = sub {
        waitpid -1, 1;
        my @left = grep { my $stat = _stat_letter($_); $stat ne '' && $stat ne 'Z' && _started($_) eq $is{$_} } keys %is;
        return !@left;
    };
    my @family = map { ($_, FormGuard::Process::children_of($_)) } @{$s->{pids}};
    kill 'TERM', @{$s->{pids}};
    eval { FormGuard::Process::wait_until($gone, 15, 'the end') } or kill 'KILL', @family;
    File::Path::remove_tree($s->{dir}) if $s->{dir} && $s->{dir} =~ m{/formguard-demo-\w+\z};
    unlink $state;
    return scalar @{$s->{pids}};
}

sub _stat_letter
{
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return '';
    return (<$fh> // '') =~ /^.*\) (\S)/s ? $1 : '';
}

sub stop
{
    my ($state) = @_;
    my $n = _end($state);
    print $n ? "stopped.\n" : "it was not running any more.\n";
    exit 0;
}

sub _show
{
    my ($mail, $httpd) = @_;
    my $client = $httpd->client;
    my $ok = 1;

    my $accepted = 0;
    for my $v (@VISITORS) {
        my ($from, @post) = @$v;
        my $r = $client->post('/contact.php', from => $from, @post);
        $accepted++ if $r->status == 200;
    }
    my $honest = $mail->count;
    my $visitors = keys %{{ map { $_->[0] => 1 } @VISITORS }};
    say_utf8 '';
    say_utf8 "Honest visitors: ", scalar @VISITORS, " posts from $visitors addresses, $accepted accepted, $honest mails delivered",
        " (one to the owner, one to the visitor).";
    for my $m ($mail->since(0)) {
        my $subject = $m->{subject};
        utf8::decode($subject);
        say_utf8 "    to @{$m->{rcpt}}: $subject";
    }
    $ok = 0 if $accepted != @VISITORS || $honest != 2 * @VISITORS;

    my %status;
    for my $count (FormGuard::Client::parallel(scalar @ROBOTS, sub { _robot($httpd, $ROBOTS[$_[0]][0]) })) {
        $status{$_} += $count->{$_} for keys %$count;
    }
    my $posts = $EACH * @ROBOTS;
    my $through = $status{200} || 0;
    my $mails = $mail->count - $honest;
    say_utf8 '';
    say_utf8 "Robots: a mailer forgotten at $FORGOTTEN got 5,821 posts in a day from four addresses in Hong Kong:";
    say_utf8 "    $_->[0] ", _comma($_->[1]) for @ROBOTS;
    say_utf8 "Replayed here at once and shortened to $EACH posts each: $posts posts, ",
        join(', ', map { ($_ == 200 ? 'accepted' : "refused with $_") . " $status{$_}" } sort keys %status), '.';
    say_utf8 "$mails mails got through; without the guard ", 2 * $posts, '.';
    say_utf8 'FormGuard On alone means 10 posts in 10 minutes and 60 a day for one address: of the whole day, at the pace it had, ',
        'at most 240 posts of 5,821 would have passed.';
    $ok = 0 if $through != 10 * @ROBOTS || $mails != 2 * $through;

    say_utf8 '';
    say_utf8 'error_log:';
    say_utf8 "    $_" for _digest($httpd->log->news(0));
    return $ok;
}

sub _comma { my ($n) = @_; 1 while $n =~ s/^(\d+)(\d{3})/$1,$2/; return $n }

sub _robot
{
    my ($httpd, $address) = @_;
    my $c = $httpd->client(from => $address);
    my %status;
    for my $i (1 .. $EACH) {
        my $r = $c->post(
            $FORGOTTEN,
            form => { name => 'Georgecag', email => "victim$i\@elsewhere.example", subject => 'You won',
                      message => "Claim your prize $i" },
            headers => [
                Referer => $httpd->url($FORGOTTEN),
                'User-Agent' => 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) '
                    . 'Chrome/120.0.0.0 Safari/537.36'
            ]
        );
        $status{$r->status}++;
    }
    return \%status;
}

# The first line of each kind for each client, and how many more there were.
sub _digest
{
    my @lines = @_;
    my (%n, %first, @order);
    for my $line (@lines) {
        my $kind = $line;
        $kind =~ s/^\[[^\]]*\] (\[[^\]]*\]) \[pid [^\]]*\] /$1 /;
        my ($client) = $kind =~ s/\[(?:client|remote) (\S+):\d+\] // ? $1 : '';
        my ($tag) = $kind =~ /\b(FG\d{4})\b/;
        $kind = $tag ? "$tag" : $kind =~ s/\d+/N/gr;
        my $key = "$kind $client";
        if (!$n{$key}++) {
            $first{$key} = $line;
            push @order, $key;
        }
    }
    my (%shown, %left);
    my @out;
    for my $key (@order) {
        my ($kind) = $key =~ /^(.*) \S*$/;
        if (++$shown{$kind} > 4) {
            $left{$kind} += $n{$key};
            next;
        }
        push @out, $first{$key} . ($n{$key} > 1 ? "   (and " . ($n{$key} - 1) . " more lines)" : '');
    }
    push @out, "... and $left{$_} more $_" for sort keys %left;
    return @out;
}

sub _try_it
{
    my ($mail, $httpd) = @_;
    my $url = $httpd->url('/contact.php');
    print <<"TEXT";

Try it: $url in a browser, or
    curl -i -d name=Taro -d email=taro\@example.com -d message=Hello $url
    as somebody else:  curl -i -H 'X-Forwarded-For: 198.51.100.99' -d ...
Mails:  @{[$mail->dir]}
Log:    @{[$httpd->log->file]}
Config: @{[$httpd->dir]}/httpd.conf
End it: build/demo --stop
TEXT
}

1;
