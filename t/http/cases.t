#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# A day on a shared server, as it was seen (three cases of robots, and the visitors of four sites between them), replayed
# under conf.d as it is shipped: real mail() into a real SMTP sink, the country of every address from a real database,
# and a clock that the test moves. No more than 0.5 % of what robots post may become mail, and no visitor is refused.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Vendor;
use Socket;
use Test::More;

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
    if ($where eq 'pottery') {
        post($at, 'visitor', 'pottery', one_of($FEEDBACK, $FEEDBACK, '/contact/'), $from, cf7($subject));
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
    # one that robots of many countries are at, before they come.
    $n += visit(6 * $HOUR + rand 17 * $HOUR, 'hotel /contact.php', address_in($TRAVELLER{$_})) for qw(US DE FR TW AU HK);
    $n += visit(6 * $HOUR + rand 17 * $HOUR, 'clinic', address_in($TRAVELLER{$_})) for qw(TW HK);
    $n += visit(6 * $HOUR + rand 17 * $HOUR, 'shop /tw/tw_contact.php', address_in($TRAVELLER{$_})) for qw(US US GB);
    $n += visit(8 * $HOUR + rand $HOUR, 'pottery', address_in($TRAVELLER{$_})) for qw(US CA);
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

# conf.d as a provider includes it, all but for the one word that ends the rollout.
sub shipped
{
    my ($more) = @_;
    my $conf = join '', map { slurp("$TOP/conf.d/$_.conf") } qw(formguard php-mailers wordpress asset-directories);
    $conf =~ s/^FormGuard DetectionOnly$/FormGuard On/m or die "formguard.conf has no DetectionOnly\n";
    return "Define FORMGUARD_GEO \@GEO\@\n$conf" . ($more || '') . $VHOSTS;
}

sub server
{
    my ($mail, %o) = @_;
    return FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', mail => $mail, files => \%FILES, %o);
}

# The status of one post. As lean as can be: there are twenty thousand.
sub send_post
{
    my ($httpd, $p) = @_;
    my $site = $HOST{$p->{site}};
    my $bytes = $httpd->client->bytes('POST', $p->{path}, form => $p->{form}, from => $p->{from},
        headers => [Host => $site, Referer => "http://$site/contact.html", 'User-Agent' => $CHROME]);
    socket my $s, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    connect $s, pack_sockaddr_in($httpd->port, INADDR_LOOPBACK) or die "connect: $!\n";
    syswrite $s, $bytes;
    my $answer = do { local $/; <$s> } // '';
    my ($status) = $answer =~ m{\AHTTP/1\.1 (\d+) } or die "$p->{site}$p->{path}: no answer\n";
    # Contact Form 7's script is told in its own way.
    $status = 'spam' if $status == 200 && $answer =~ /"status":\s*"(?:spam|validation_failed|aborted|mail_failed)"/;
    return $status;
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
    is_deeply [grep { send_post($httpd, $_) ne '200' } @sample], [], 'every post is answered 200';
    is $mail->count, $expected, 'and each is a mail, two with an autoreply';
    my %got = mails_to_owners($mail, 0);
    is_deeply [grep { !$got{$_->{subject}} } @sample], [], 'of that subject';
    $httpd->done;
};

# --- the day ----------------------------------------------------------------------------------------------

subtest 'the day' => sub {
    my $mail = FormGuard::Mail->new;
    my $httpd = server($mail, config => shipped(), clock => 1);
    my (%status, @refused_visitors);
    my $last = -1;
    for my $p (@day) {
        $httpd->clock($p->{at});
        my $status = send_post($httpd, $p);
        $status{$p->{kind}}{$p->{path}}{$status}++;
        push @refused_visitors, "$p->{subject}: $p->{site}$p->{path} from $p->{from}: $status" if $p->{kind} eq 'visitor' && $status ne '200';
    }
    my %got = mails_to_owners($mail, 0);
    my %mails = map { $_ => 0 } keys %posts;
    $mails{/^robot (\d)/ ? "case $1" : 'visitor'} += $got{$_} for keys %got;

    # What error_log says, by site and rule; of planted files also which.
    my (%why, %file);
    my @lines = $httpd->log_lines;
    my $all = !grep { /\bsuppressed\b/ } @lines;    # a flood need not be told line by line
    for my $line (@lines) {
        my ($level) = $line =~ /\[(formguard:\w+)\]/;
        my ($tag) = $line =~ / (FG\d+: \w+)/ or next;
        my ($rule) = $line =~ / rule="([^"]*)"/;
        my ($site) = $line =~ / site=www\.(\w+)/;
        $why{join ' ', $level, $tag, $site, $rule // ()}++;
        $file{$1}++ if $line =~ m{ file=/\S+/htdocs/hotel/([^, ]+)};
    }
    diag sprintf '%-10s %8s %8s %8s %8s', qw(who posts let_in mailed part);
    for my $kind (sort keys %posts) {
        my $in = 0;
        $in += $_->{200} || 0 for values %{$status{$kind}};
        diag sprintf '%-10s %8d %8d %8d %7.2f%%', $kind, $posts{$kind}, $in, $mails{$kind}, 100 * $mails{$kind} / $posts{$kind};
    }
    diag sprintf '%6d %s', $why{$_}, $_ for sort { $why{$b} <=> $why{$a} } keys %why;

    is_deeply \@refused_visitors, [], 'no visitor is refused';
    is_deeply [grep { !$got{$_} } sort keys %visits], [], 'every visitor\'s mail has arrived';
    for my $kind ('case 1', 'case 2', 'case 3') {
        cmp_ok $mails{$kind}, '<=', 0.005 * $posts{$kind}, "$kind: no more than 0.5 % of the robots' posts become mail";
    }
    is_deeply { map { $_ => [keys %{$status{'case 3'}{"/$_"}}] } @PLANTED }, { map { $_ => [403] } @PLANTED }, 'every post to a folder of pictures and styles is refused';
    cmp_ok 2 * $mails{'case 2'}, '<=', 0.005 * $posts{'case 2'}, 'case 2: and with the autoreplies there are no more mails, either';
    is_deeply [sort keys %file], [sort @PLANTED], 'and told with its file, for staff to find';
    is_deeply \%file, { map { my $path = "/$_"; $_ => scalar grep { $_->{kind} eq 'case 3' && $_->{path} eq $path } @day } @PLANTED }, 'each time' if $all;
    my $abroad = 'formguard:notice FG1100: refused';
    is_deeply [sort grep { !/ FG1000: / } keys %why],
        [sort "$abroad hotel country+form 6/1d from=!JP action=challenge", "$abroad shop country+form 6/1d from=!JP action=challenge",
        "$abroad pottery form 15/1d from=!JP count=attempts action=challenge", 'formguard:warn FG1220: refused hotel FormGuardDeny On'],
        'error_log says why the others are refused';
    $httpd->log_ok('and nothing else', qr/ FG1(?:000: accepted|100: refused 429|220: refused 403): / => $all ? scalar @day : '+', qr/\bsuppressed\b/ => '*');
    $httpd->done;
};

# --- with a captcha ---------------------------------------------------------------------------------------

# Two lines more, and who comes from abroad while robots are at the form is asked, not refused.
subtest 'a captcha is all it takes' => sub {
    my $vendor = FormGuard::Vendor->new(hostname => $HOST{pottery});
    my $mail = FormGuard::Mail->new;
    my $httpd = server($mail, config => shipped("FormGuardCaptcha recaptcha-v2\nFormGuardCaptchaWhen challenged\n"
        . "FormGuardCaptchaSecret " . $vendor->secret . "\nFormGuardCaptchaEndpoint " . $vendor->url . "\nFormGuardCaptchaCAFile " . $vendor->ca . "\n"));
    my @robots = (grep { $_->{kind} eq 'case 2' } @day)[0 .. 99];
    my %status;
    $status{send_post($httpd, $_)}++ for @robots;
    cmp_ok $status{200}, '<=', 15, 'robots from everywhere';
    cmp_ok $status{403}, '>=', 85, 'have no token';
    my %customer = (kind => 'visitor', site => 'pottery', path => $FEEDBACK);
    is send_post($httpd, { %customer, from => address_in($TRAVELLER{US}), form => { %{cf7('from abroad')}, _wpcf7_recaptcha_response => 'ok' } }), 200,
        'a customer abroad has one';
    is send_post($httpd, { %customer, from => visitor(), form => cf7('from home') }), 200, 'one at home needs none';
    my %got = mails_to_owners($mail, 0);
    is_deeply [sort grep { !/^robot/ } keys %got], ['from abroad', 'from home'], 'both mails arrive';
    is $vendor->count, 1, 'one token was verified';
    $httpd->log_ok('error_log', qr/ FG1000: accepted: / => $status{200} + 2, qr/ FG1400: refused 403: / => $status{403});
    $httpd->done;
};

done_testing;
