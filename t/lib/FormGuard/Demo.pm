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
use Encode ();
use File::Copy ();
use File::Path ();
use File::Temp ();
use FormGuard::Altcha;
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

# --- the site ---------------------------------------------------------------------------------------

# A page of twenty years ago, of which nobody knows who has made it.
my $OLD_PAGE = <<'HTML';
<HTML LANG="ja">
<HEAD><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=UTF-8">
<TITLE>お問い合わせ</TITLE></HEAD>
<BODY BGCOLOR="#ffffff">
<center><h2>お問い合わせ</h2>
<FORM ACTION="contact.php" METHOD="POST" ENCTYPE="multipart/form-data">
<table border="1" cellpadding="4">
<tr><th>お名前</th><td><input type="text" name="name" size="40"></td></tr>
<tr><th>メール</th><td><input type="text" name="email" size="40"></td></tr>
<tr><th>件名</th><td><input type="text" name="subject" size="40"></td></tr>
<tr><th>お問い合わせ</th><td><textarea name="message" rows="6" cols="50"></textarea></td></tr>
<tr><th>画像</th><td><input type="file" name="attachment"></td></tr>
<tr><td colspan="2" align="center"><input type="submit" value="送信する"></td></tr>
</table>
</FORM></center>
</BODY></HTML>
HTML

my $FRONT_PAGE = <<'HTML';
<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>mod_formguard</title>
<style>
  :root { color-scheme: light dark; }
  body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }
  dt { margin-top: 1rem; } dd { margin: 0; } form { display: inline; } button { font: inherit; padding: .3rem 1rem; }
</style></head>
<body>
<h1>mod_formguard</h1>
<dl>
<dt><a href="/contact.html">An old form</a></dt>
<dd>Nobody has opened its HTML: <code>FormGuardInject</code> adds the captcha that is built in to the page as it is sent.
It works while you type, the mailer behind it sees nothing of it.</dd>
<dt><a href="/challenge/contact.html">The same form, without the captcha in its page</a></dt>
<dd>Send it, and the challenge page asks for the captcha, keeps what you typed, and sends it.
<form action="/challenge/contact.php" method="post">@FIELDS@<button>See the challenge</button></form></dd>
<dt><a href="/full/contact.html">A form that has received too many messages</a></dt>
<dd>Send it and be refused: when to try again, how else to reach the owner, a reference number.
<form action="/full/contact.php" method="post">@FIELDS@<button>See the refusal</button></form></dd>
<dt><a href="/formguard-status">The status page</a></dt>
<dd>What the provider sees; also as <a href="/formguard-status?json">JSON</a> and for <a href="/formguard-status?prometheus">Prometheus</a>.</dd>
</dl>
</body></html>
HTML
$FRONT_PAGE =~ s{\@FIELDS\@}{<input type="hidden" name="name" value="Taro"><input type="hidden" name="email" value="taro\@visitor.example"><input type="hidden" name="message" value="Hello.">}g;

my $CONFIG = <<'CONF';
FormGuardPages @DIR@/pages
<Directory @HTDOCS@>
    FormGuard On
    FormGuardPath *.php
    FormGuardLimit ip+form 10/10m 60/1d
    FormGuardCaptcha altcha
    FormGuardInject On
    FormGuardContact "Yamada Ceramics, telephone 03-0000-0000"
</Directory>
<Directory @HTDOCS@/challenge>
    FormGuardInject Off
</Directory>
<Directory @HTDOCS@/full>
    FormGuardCaptcha off
    FormGuardLimit form 2/1d count=attempts
</Directory>
# The page that leads to all of them.
<Files "index.html">
    FormGuardInject Off
</Files>
<Location /formguard-status>
    SetHandler formguard-status
    Require local
</Location>
CONF

my %FILES = (
    'index.html' => $FRONT_PAGE,
    'favicon.ico' => '',
    (map { ("${_}contact.html" => $OLD_PAGE, "${_}contact.php" => \'contact.php') } '', 'challenge/', 'full/'),
    substr($FORGOTTEN, 1) => \'contact.php',
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
        _end($state);
        fail($why =~ s/\n\z//r);
    }
    _try_it($mail, $httpd);
    exit 0;
}

sub _start
{
    my ($dir, $state, $port, $php) = @_;
    my $mail = FormGuard::Mail->new(dir => $dir, detach => 1);
    _remember($state, "url http://127.0.0.1:$port/", "dir $dir", $mail->process);
    my $httpd = FormGuard::Httpd->new(
        mpm => $php eq 'mod' ? 'prefork' : 'event', php => $php, mail => $mail, dir => $dir, port => $port,
        detach => 1, start => 0, loglevel => 'warn formguard:info', files => \%FILES, config => $CONFIG,
    );
    my $widget = $ENV{FORMGUARD_WIDGET};
    mkdir "$dir/pages" or die "$dir/pages: $!\n";
    File::Copy::copy($widget, "$dir/pages/altcha.min.js") or die "$widget: $!\n" if $widget;
    my $ok = eval { $httpd->start };
    my $why = $@;
    _remember($state, "url " . $httpd->url, "dir $dir", $mail->process,
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

# --- who comes ----------------------------------------------------------------------------------------

# The solution for a form, as the widget in its page makes it: undef if the page has none.
sub _solved
{
    my ($client, $page, %from) = @_;
    my ($url) = $client->get($page, %from)->body =~ /<altcha-widget [^>]*challenge="([^"]*)"/ or return undef;
    return FormGuard::Altcha::solve($client->get($url =~ s/&amp;/&/gr, %from)->json);
}

sub _visitors
{
    my ($mail, $client) = @_;
    my $accepted = 0;
    for my $v (@VISITORS) {
        my ($from, $type, $fields) = @$v;
        my $token = _solved($client, '/contact.html', from => $from) or die "the page of the form has no widget\n";
        $accepted++ if $client->post('/contact.php', from => $from, $type => { %$fields, altcha => $token })->status == 200;
    }
    my $mails = $mail->count;
    my $visitors = keys %{{ map { $_->[0] => 1 } @VISITORS }};
    say_utf8 '';
    say_utf8 'An old form, /contact.html, whose HTML nobody has edited. The captcha built in was added to it on its way out.';
    say_utf8 "Honest visitors: ", scalar @VISITORS, " posts from $visitors addresses, $accepted accepted, $mails mails delivered",
        " (one to the owner, one to the visitor).";
    for my $m ($mail->since(0)) {
        my $subject = $m->{subject};
        utf8::decode($subject);
        say_utf8 "    to @{$m->{rcpt}}: $subject";
    }
    return $accepted == @VISITORS && $mails == 2 * @VISITORS && !grep { $_->{body} =~ /altcha/ } $mail->since(0);
}

# The page without the widget: the challenge page keeps what was posted.
sub _challenged
{
    my ($mail, $client) = @_;
    my $before = $mail->count;
    my %from = (from => '203.0.113.90');
    my $page = $client->post('/challenge/contact.php', %from, form => $VISITORS[0][2]);
    my ($kept) = $page->body =~ /name="formguard-kept" value="([^"]*)"/;
    my ($url) = $page->body =~ /<altcha-widget [^>]*challenge="([^"]*)"/;
    return 0 if $page->status != 403 || !$kept || !$url;
    my $token = FormGuard::Altcha::solve($client->get($url, %from)->json);
    my $sent = $client->post('/challenge/contact.php', %from, form => ['formguard-kept' => $kept, altcha => $token])->status;
    my $mails = $mail->count - $before;
    say_utf8 '';
    say_utf8 'The same form without the captcha in its page: the visitor is challenged (403), his browser solves it and sends what the page has kept (',
        "$sent), $mails mails.";
    return $sent == 200 && $mails == 2;
}

# What stands on a page of ours, a line each.
sub _text
{
    my ($html) = @_;
    my ($main) = $html =~ m{<main>(.*)</main>}s or return ();
    $main = Encode::decode('UTF-8', $main);
    $main =~ s/&#39;/'/g;
    return grep { length } map { s/<[^>]*>/ /gr =~ s/\s+/ /gr =~ s/^ | $//gr } split m{</(?:h1|p)>}, $main;
}

sub _refused
{
    my ($client) = @_;
    my @answers = map { $client->post('/full/contact.php', from => "203.0.113.10$_", form => { name => 'Taro', email => 'taro@visitor.example', message => 'Hello.' }) } 1 .. 3;
    my @status = map { $_->status } @answers;
    say_utf8 '';
    say_utf8 "A form with room for two messages a day: @status. The third visitor reads:";
    say_utf8 "    $_" for _text($answers[2]->body);
    return "@status" eq '200 200 429';
}

sub _robots
{
    my ($mail, $httpd) = @_;
    my $before = $mail->count;
    my %status;
    for my $count (FormGuard::Client::parallel(scalar @ROBOTS, sub { _robot($httpd, $ROBOTS[$_[0]][0]) })) {
        $status{$_} += $count->{$_} for keys %$count;
    }
    my $posts = $EACH * @ROBOTS;
    my $through = $status{200} || 0;
    my $mails = $mail->count - $before;
    say_utf8 '';
    say_utf8 "Robots: a mailer forgotten at $FORGOTTEN got 5,821 posts in a day from four addresses in Hong Kong:";
    say_utf8 "    $_->[0] ", _comma($_->[1]) for @ROBOTS;
    say_utf8 "Replayed here at once and shortened to $EACH posts each: $posts posts, ",
        join(', ', map { ($_ == 200 ? 'accepted' : "refused with $_") . " $status{$_}" } sort keys %status), '.';
    say_utf8 "$mails mails got through; without the guard ", 2 * $posts, '.';
    say_utf8 '403 is the challenge, which they do not solve. 429 is the limit of one address: 10 posts in 10 minutes and 60 a day at one form;';
    say_utf8 'of the whole day, at the pace it had, robots that do solve challenges would have got at most 240 posts of 5,821 through.';
    return $through == 0 && $mails == 0 && $posts == ($status{403} || 0) + ($status{429} || 0) && ($status{429} || 0) >= $posts - 10 * @ROBOTS;
}

sub _show
{
    my ($mail, $httpd) = @_;
    my $client = $httpd->client;
    my @wrong = grep { defined } _visitors($mail, $client) ? undef : 'honest visitors', _challenged($mail, $client) ? undef : 'the challenge',
        _refused($client) ? undef : 'the refusal', _robots($mail, $httpd) ? undef : 'robots';
    push @wrong, 'the status page' if $client->get('/formguard-status')->status != 200;
    say_utf8 '';
    say_utf8 'error_log:';
    say_utf8 "    $_" for _digest($httpd->log->news(0));
    die 'the guard did not do what it should about ' . join(', ', @wrong) . ", see above.\n" if @wrong;
    return 1;
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
    my $url = $httpd->url;
    print <<"TEXT";

Try it in a browser: $url leads to
    ${url}contact.html            the old form with the captcha
    ${url}challenge/contact.html  one that is challenged
    ${url}full/contact.html       one that refuses
    ${url}formguard-status        the status page
or by hand:
    curl -i -d name=Taro -d email=taro\@example.com -d message=Hello ${url}contact.php
    as somebody else:  curl -i -H 'X-Forwarded-For: 198.51.100.99' -d ...
Mails:  @{[$mail->dir]}
Log:    @{[$httpd->log->file]}
Config: @{[$httpd->dir]}/httpd.conf
End it: build/demo --stop
TEXT
}

1;
