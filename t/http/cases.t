#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A day on a shared server, as it was seen (three cases of robots, and the visitors of four sites between them), replayed
# under conf.d as it is shipped: real mail() into a real SMTP sink, the country of every address from a real database,
# and a clock that the test moves. No more than 0.5 % of what robots post may become mail, and no visitor is lost: who is
# shown the challenge page does what a browser does with it, and hardly anybody is.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Httpd;
use FormGuard::Mail;
use JSON::PP ();
use Socket;
use Test::More;

plan skip_all => 'libfaketime and sanitizers do not go together' if $ENV{FORMGUARD_PRELOAD} || $ENV{FORMGUARD_WRAP};

my $TOP = FormGuard::Httpd::forms_dir() . '/../../..';
my $CHROME = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36';
my ($MINUTE, $HOUR, $DAY) = (60, 3600, 86400);
srand 20;    # the same day every time; back to chance below, for ports and folders are found by it, too

sub slurp
{
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}

# --- who posts from where -------------------------------------------------------------------------

my @JP = qw(106.128 126.33 153.187 180.9 219.102 60.94 118.8 122.17 210.146 182.251);
my @ABROAD = qw(95.24 178.140 188.162 5.164 94.25 46.0 114.80 183.160 222.64 123.120 58.208 117.136 46.201 178.150 37.212
    178.120 14.160 113.160 27.64 117.192 49.32 177.32 36.64 114.120 78.160 88.224 2.176 1.208 49.228 83.0 84.80);
my %TRAVELLER = (US => '73.32', DE => '84.128', GB => '86.128', FR => '90.32', TW => '61.216', AU => '1.120', HK => '218.102', CA => '99.224');

sub one_of { return $_[rand @_] }
sub address_in { return join '.', $_[0], int rand 256, 1 + int rand 254 }
sub visitor { return address_in(one_of(@JP)) }

# --- what is posted ---------------------------------------------------------------------------------

my %HOST = map { $_ => "www.$_.example" } qw(shop pottery clinic hotel);
my $FEEDBACK = '/wp-json/contact-form-7/v1/contact-forms/12/feedback';
my @day;     # {at, who, kind, site, path, from, form, subject}
my $number = 0;

sub post
{
    my ($at, $kind, $site, $path, $from, $form) = @_;
    push @day, { at => $at, n => $number++, kind => $kind, site => $site, path => $path, from => $from, form => $form,
        subject => $form->{subject} // $form->{'your-subject'} };
}

sub fields
{
    my ($subject) = @_;
    return { name => 'Hanako Sato', email => 'hanako@example.jp', subject => $subject, message => "Is it in stock?\nThank you." };
}

sub cf7
{
    my ($subject, $email) = @_;
    return { _wpcf7 => 12, _wpcf7_unit_tag => 'wpcf7-f12-p7-o1', 'your-name' => 'Hanako', 'your-email' => $email || 'hanako@example.jp',
        'your-subject' => $subject, 'your-message' => "Is it in stock?\nThank you." };
}

# A visitor's post, or two where there is a confirmation screen. Returns how many.
my %visits;    # subject => address
sub visit
{
    my ($at, $where, $from, $subject) = @_;
    $subject ||= sprintf 'visitor %03d', scalar keys %visits;
    $visits{$subject} = $from;
    if ($where =~ /^pottery/) {
        my $path = $where eq 'pottery without script' ? '/contact/' : one_of($FEEDBACK, $FEEDBACK, '/contact/');
        post($at, 'visitor', 'pottery', $path, $from, cf7($subject));
    }
    elsif ($where eq 'clinic') {
        my $form = fields($subject);
        post($at, 'visitor', 'clinic', '/reserve/form.php', $from, { %$form, mode => 'confirm' });
        post($at + 20 + rand 40, 'visitor', 'clinic', '/reserve/form.php', $from, { %$form, mode => 'send' });
        return 2;
    }
    else {
        post($at, 'visitor', split(/ /, $where), $from, fields($subject));
    }
    return 1;
}

sub robots_of_case_1
{
    my %counts = ('182.16.27.106' => 1441, '182.16.59.138' => 1710, '52.128.227.34' => 1509, '52.128.230.42' => 1161);
    for my $from (sort keys %counts) {
        my $step = $DAY / $counts{$from};
        post(($_ + rand) * $step, 'case 1', 'shop', '/tw/tw_contact.php', $from, fields("robot 1 $from $_")) for 0 .. $counts{$from} - 1;
    }
}

# Six thousand posts from eight hundred addresses, from nine in the morning to the end of the day.
sub robots_of_case_2
{
    my @robots = map { address_in($ABROAD[$_ % @ABROAD]) } 0 .. 799;
    for my $n (1 .. 6000) {
        post(9 * $HOUR + rand 15 * $HOUR, 'case 2', 'pottery', one_of($FEEDBACK, '/', '/contact/'), one_of(@robots),
            cf7("robot 2 $n", "victim$n\@example.net"));
    }
}

my @PLANTED = qw(css/css.php images/c0nfig.php wp-content/uploads/2024/05/x.php);
sub robots_of_case_3
{
    my @robots = qw(182.16.27.106 182.16.59.138 52.128.227.34 52.128.230.42);
    my @files = (@PLANTED, 'mail/stats34.php');
    for my $n (1 .. 8332) {
        post(3 * $HOUR + rand 25 * $MINUTE, 'case 3', 'hotel', '/' . $files[$n % @files], one_of(@robots), fields("robot 3 $n"));
    }
}

# Three hundred posts of visitors, on all forms, those that robots are at among them.
my $CARRIER = '106.128.77.8';
sub the_visitors
{
    my @forms = ('shop /contact.php', 'shop /tw/tw_contact.php', 'pottery', 'clinic', 'hotel /contact.php', 'hotel /inquiry.php');
    my $n = 0;
    # One carrier's address, forty times at one form of one site: half of them in the lunch break.
    $n += visit(12 * $HOUR + rand 30 * $MINUTE, 'pottery', $CARRIER) for 1 .. 20;
    $n += visit(8 * $HOUR + rand 14 * $HOUR, 'pottery', $CARRIER) for 1 .. 20;
    # Another one at a form with a confirmation screen, after it was told of on television.
    $n += visit(19 * $HOUR + rand 15 * $MINUTE, 'clinic', '126.33.8.8') for 1 .. 20;
    # An office: five in ten minutes.
    for my $form ('shop /tw/tw_contact.php', 'hotel /contact.php', 'pottery') {
        my ($at, $from) = (10 * $HOUR + rand 6 * $HOUR, visitor());
        $n += visit($at + rand 10 * $MINUTE, $form, $from) for 1 .. 5;
    }
    # Double clicks.
    for (1 .. 15) {
        my ($at, $from, $form) = (7 * $HOUR + rand 16 * $HOUR, visitor(), one_of(grep { $_ ne 'clinic' } @forms));
        my $subject = "double click $_";
        $n += visit($at, $form, $from, $subject);
        $n += visit($at + 0.4, $form, $from, $subject);
    }
    # Travellers, and customers abroad: at forms no robot is at, at one that robots of another country are at, and at the
    # one that robots of many countries are at, before they come and while they are there.
    $n += visit(6 * $HOUR + rand 17 * $HOUR, 'hotel /contact.php', address_in($TRAVELLER{$_})) for qw(US DE FR TW AU HK);
    $n += visit(6 * $HOUR + rand 17 * $HOUR, 'clinic', address_in($TRAVELLER{$_})) for qw(TW HK);
    $n += visit(6 * $HOUR + rand 17 * $HOUR, 'shop /tw/tw_contact.php', address_in($TRAVELLER{$_})) for qw(US US GB);
    $n += visit(8 * $HOUR + rand $HOUR, 'pottery', address_in($TRAVELLER{$_})) for qw(US CA);
    $n += visit(11 * $HOUR + rand 10 * $HOUR, 'pottery without script', address_in($TRAVELLER{$_})) for qw(DE AU);
    while ($n < 300) {
        my $form = $n == 299 ? 'shop /contact.php' : one_of(@forms);
        $n += visit(rand($DAY - 2 * $MINUTE), $form, visitor());
    }
    return $n;
}

# --- the server -------------------------------------------------------------------------------------

my %FILES = (
    'shop/tw/tw_contact.php' => \'mailer.php', 'shop/contact.php' => \'mailer.php',
    'pottery/index.php' => \'contact_form_7.php', 'pottery/wp-load.php' => "<?php\n",
    'pottery/.htaccess' => "RewriteEngine On\nRewriteRule ^index\\.php\$ - [L]\nRewriteCond %{REQUEST_FILENAME} !-f\n"
        . "RewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule . /index.php [L]\n",
    'clinic/reserve/form.php' => \'confirm.php', 'hotel/contact.php' => \'mailer.php', 'hotel/inquiry.php' => \'mailer.php',
    map { ("hotel/$_" => \'mailer.php') } @PLANTED, 'mail/stats34.php'
);
my $VHOSTS = join '', map { "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $HOST{$_}\nDocumentRoot \@HTDOCS\@/$_\n</VirtualHost>\n" } sort keys %HOST;

# conf.d as a provider includes it, all but for the one word that ends the rollout. With 'off' the captcha is not there.
sub shipped
{
    my ($captcha) = @_;
    my $conf = join '', map { slurp("$TOP/conf.d/$_.conf") } qw(formguard php-mailers wordpress asset-directories);
    $conf =~ s/^FormGuard DetectionOnly$/FormGuard On/m or die "formguard.conf has no DetectionOnly\n";
    $conf =~ /^FormGuardCaptcha altcha\nFormGuardCaptchaWhen challenged\n/m or die "formguard.conf has no captcha\n";
    $conf =~ s/^FormGuardCaptcha altcha$/FormGuardCaptcha off/m if $captcha;
    return "Define FORMGUARD_GEO \@GEO\@\n$conf$VHOSTS";
}

sub server
{
    my ($mail, %o) = @_;
    return FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', mail => $mail, files => \%FILES, %o);
}

# The answer to one post, whole. As lean as can be: there are twenty thousand.
sub exchange
{
    my ($httpd, $p, $method, $path, %o) = @_;
    my $site = $HOST{$p->{site}};
    # Contact Form 7's script, where a person is in front of it, says what it can read.
    my @accept = $p->{kind} eq 'visitor' && $p->{path} eq $FEEDBACK ? (Accept => 'application/json, */*;q=0.1') : ();
    my $bytes = $httpd->client->bytes($method, $path, %o, from => $p->{from},
        headers => [Host => $site, Referer => "http://$site/contact.html", 'User-Agent' => $CHROME, @accept]);
    socket my $s, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    connect $s, pack_sockaddr_in($httpd->port, INADDR_LOOPBACK) or die "connect: $!\n";
    syswrite $s, $bytes;
    my $answer = do { local $/; <$s> } // '';
    my ($status) = $answer =~ m{\AHTTP/1\.1 (\d+) } or die "$site$path: no answer\n";
    return ($status, $answer);
}

# What a person's browser does with the challenge page: solves it and sends what the page has kept.
sub answer_challenge
{
    my ($httpd, $p, $page) = @_;
    my ($kept) = $page =~ /name="formguard-kept" value="([^"]*)"/ or return;
    my ($url) = $page =~ /<altcha-widget [^>]*challenge="([^"]*)"/ or die "the page has no widget\n";
    my (undef, $challenge) = exchange($httpd, $p, 'GET', $url);
    my $token = FormGuard::Altcha::solve(JSON::PP::decode_json($challenge =~ s/\A.*?\r\n\r\n//sr));
    return exchange($httpd, $p, 'POST', $p->{path}, form => ['formguard-kept' => $kept, altcha => $token]);
}

# The status a post ends with, and whether it was challenged.
sub send_post
{
    my ($httpd, $p) = @_;
    my ($status, $answer) = exchange($httpd, $p, 'POST', $p->{path}, form => $p->{form});
    my $challenged = $status == 403 && $answer =~ /name="formguard-kept"/;
    ($status, $answer) = answer_challenge($httpd, $p, $answer) if $challenged && $p->{kind} eq 'visitor';
    # Contact Form 7's script is told in its own way.
    $status = 'spam' if $status == 200 && $answer =~ /"status":\s*"(?:spam|validation_failed|aborted|mail_failed)"/;
    return ($status, $challenged);
}

# The mails to site owners, by subject.
sub mails_to_owners
{
    my ($mail, $mark) = @_;
    my %seen;
    $seen{$_->{subject}}++ for grep { $_->{subject} !~ /^Thank you/ } $mail->since($mark);
    return %seen;
}

# --- without the module: the mails do flow ------------------------------------------------------------

robots_of_case_1();
robots_of_case_2();
robots_of_case_3();
is the_visitors(), 300, 'three hundred posts of visitors';
is scalar(grep { $_->{from} eq $CARRIER } @day), 40, 'forty of them from one address of a carrier';
srand;
@day = sort { $a->{at} <=> $b->{at} || $a->{n} <=> $b->{n} } @day;
my %posts;
$posts{$_->{kind}}++ for @day;

subtest 'a sample of them without the module' => sub {
    my $mail = FormGuard::Mail->new;
    my $httpd = server($mail, module => 0, config => $VHOSTS);
    my %sample;
    my @sample = grep { $sample{$_->{kind} . $_->{path}}++ < 5 } grep { ($_->{form}{mode} // '') ne 'confirm' } @day;
    my %mails_of = (pottery => 2);
    my $expected = 0;
    $expected += $mails_of{$_->{site}} || 1 for @sample;
    is_deeply [grep { (send_post($httpd, $_))[0] ne '200' } @sample], [], 'every post is answered 200';
    is $mail->count, $expected, 'and each is a mail, two with an autoreply';
    my %got = mails_to_owners($mail, 0);
    is_deeply [grep { !$got{$_->{subject}} } @sample], [], 'of that subject';
    $httpd->done;
};

# --- the day ----------------------------------------------------------------------------------------------

# Who is refused and who is asked among the visitors; how often each status came, by kind and path.
sub replay
{
    my ($httpd, @posts) = @_;
    my (%status, @refused, @asked);
    for my $p (@posts) {
        $httpd->clock($p->{at});
        my ($status, $challenged) = send_post($httpd, $p);
        $status{$p->{kind}}{$p->{path}}{$status}++;
        next if $p->{kind} ne 'visitor';
        push @refused, "$p->{subject}: $p->{site}$p->{path} from $p->{from}: $status" if $status ne '200';
        push @asked, $p if $challenged;
    }
    return (\%status, \@refused, \@asked);
}

# As on a server in use: not every line of a flood is written.
my @LEVEL = (clock => 1, loglevel => 'warn formguard:info');
my $LINES = qr/ FG1(?:000: accepted|009: suppressed|100: refused 429|220: refused 403|400: refused 403)\b/;
my $ABROAD = qr/^(?:@{[join '|', map { quotemeta } values %TRAVELLER]})\./;

subtest 'the day' => sub {
    my $mail = FormGuard::Mail->new;
    my $httpd = server($mail, config => shipped(), @LEVEL);
    my ($status, $refused, $asked) = replay($httpd, @day);
    my %got = mails_to_owners($mail, 0);
    my %mails = map { $_ => 0 } keys %posts;
    $mails{/^robot (\d)/ ? "case $1" : 'visitor'} += $got{$_} for keys %got;

    # What error_log says, by site and rule; of planted files also which.
    my (%why, %file);
    for my $line ($httpd->log_lines) {
        my ($level) = $line =~ /\[(formguard:\w+)\]/;
        my ($tag) = $line =~ / (FG\d+: \w+)/ or next;
        next if $tag =~ /^FG1009/;
        my ($rule) = $line =~ / rule="([^"]*)"/;
        my ($by) = $line =~ / challenged-by="([^"]*)"/;
        my ($site) = $line =~ / site=www\.(\w+)/;
        $why{join ' ', $level // $line, $tag, $site, $rule // (), $by // ()}++;
        $file{$1}++ if $line =~ m{ file=/\S+/htdocs/hotel/([^, ]+)};
    }
    diag sprintf '%-10s %8s %8s %8s %8s', qw(who posts let_in mailed part);
    for my $kind (sort keys %posts) {
        my $in = 0;
        $in += $_->{200} || 0 for values %{$status->{$kind}};
        diag sprintf '%-10s %8d %8d %8d %7.2f%%', $kind, $posts{$kind}, $in, $mails{$kind}, 100 * $mails{$kind} / $posts{$kind};
    }
    diag scalar(@$asked) . " of $posts{visitor} posts of visitors were challenged";
    diag "  $_->{site}$_->{path} from $_->{from}" for @$asked;
    diag sprintf '%6d %s', $why{$_}, $_ for sort { $why{$b} <=> $why{$a} } keys %why;

    is_deeply $refused, [], 'no visitor is refused';
    is_deeply [grep { !$got{$_} } sort keys %visits], [], 'every visitor\'s mail has arrived';
    cmp_ok scalar @$asked, '<=', 5, 'of three hundred five at most were asked to solve a challenge';
    is_deeply [grep { $_->{from} !~ $ABROAD } @$asked], [], 'from abroad, at a form that robots are at';
    for my $kind ('case 1', 'case 2', 'case 3') {
        cmp_ok $mails{$kind}, '<=', 0.005 * $posts{$kind}, "$kind: no more than 0.5 % of the robots' posts become mail";
    }
    is_deeply { map { $_ => [keys %{$status->{'case 3'}{"/$_"}}] } @PLANTED }, { map { $_ => [403] } @PLANTED }, 'every post to a folder of pictures and styles is refused';
    cmp_ok 2 * $mails{'case 2'}, '<=', 0.005 * $posts{'case 2'}, 'case 2: and with the autoreplies there are no more mails, either';
    is_deeply [sort keys %file], [sort @PLANTED], 'and told with its file, for staff to find';
    my $planted = 'formguard:warn FG1220: refused hotel FormGuardDeny On';
    is_deeply [grep { !$why{$_} } $planted, map { "formguard:notice FG1400: refused $_ action=challenge" } 'hotel altcha country+form 6/1d from=!JP',
        'shop altcha country+form 6/1d from=!JP', 'pottery altcha form 15/1d from=!JP count=attempts'], [], 'error_log says why robots are refused';
    is_deeply [grep { !/ FG1000: / && $_ ne $planted
        && !/ FG1400: refused (?:hotel|shop|pottery) altcha .* action=challenge$/ && !/ FG1100: refused (?:hotel|shop) ip(?:\+form)? / } keys %why], [],
        'asked in vain, or too many of one address, and for nothing else';
    $httpd->log_ok('and nothing else', $LINES => '+');
    $httpd->done;
};

# --- without the captcha ----------------------------------------------------------------------------------

# The same limits, had the two lines of the captcha not been there: a tenth of the robots are enough to lose visitors.
subtest 'what the captcha is for' => sub {
    my $mail = FormGuard::Mail->new;
    my $httpd = server($mail, config => shipped('off'), @LEVEL);
    my $n = 0;
    my @some = grep { $_->{site} eq 'pottery' && ($_->{kind} eq 'visitor' || $n++ % 10 == 0) } @day;
    my (undef, $refused, $asked) = replay($httpd, @some);
    is scalar @$refused, 2, 'visitors are refused' or diag @$refused;
    is_deeply [grep { (split / from /)[-1] !~ $ABROAD } @$refused], [], 'from abroad';
    is scalar @$asked, 0, 'since there is nothing to ask them for';
    my %got = mails_to_owners($mail, 0);
    is scalar(grep { $_->{kind} eq 'visitor' && !$got{$_->{subject}} } @some), scalar @$refused, 'and their mail is lost';
    $httpd->log_ok('error_log', $LINES => '+');
    $httpd->done;
};

# --- who can't be shown a page ------------------------------------------------------------------------------

# A form whose script posts, from abroad, while robots are at it: what was typed stays on the page, and the script shows
# what a refusal by the limit itself would have said.
subtest 'a script that posts' => sub {
    my $mail = FormGuard::Mail->new;
    my $httpd = server($mail, config => shipped());
    my @robots = (grep { $_->{kind} eq 'case 2' } @day)[0 .. 39];
    my %status;
    $status{(send_post($httpd, $_))[0]}++ for @robots;
    cmp_ok $status{200}, '<=', 15, 'robots from everywhere';
    my %customer = (kind => 'visitor', site => 'pottery', path => $FEEDBACK, from => address_in($TRAVELLER{US}));
    my ($http, $answer) = exchange($httpd, \%customer, 'POST', $FEEDBACK, form => cf7('by a script'));
    my $json = JSON::PP::decode_json($answer =~ s/\A.*?\r\n\r\n//sr);
    is "$http $json->{status}", '200 spam', 'Contact Form 7 is answered in its own way';
    like $json->{message}, qr/\AThis form has received many messages .* Please try again in \d+ (?:hours|days) .* Reference number: \w{4}-\w{4}\z/s,
        'with what is wrong, when to try again, and the reference number';
    is((send_post($httpd, { %customer, path => '/contact/', form => cf7('without script') }))[0], 200, 'without its script there is the challenge page');
    is((send_post($httpd, { %customer, from => visitor(), form => cf7('from home') }))[0], 200, 'a visitor at home meets neither');
    my %got = mails_to_owners($mail, 0);
    is_deeply [sort grep { !/^robot/ } keys %got], ['from home', 'without script'], 'both mails arrive';
    $httpd->log_ok('error_log', qr/ FG1000: accepted: / => $status{200} + 2, qr/ FG1400: refused 403: .* challenged-by="(?:form 15|country\+form 6)\/1d / => $status{403} + 2);
    $httpd->done;
};

done_testing;
