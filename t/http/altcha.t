#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# The captcha built in: challenges, solutions, what they are good for, the key, the widget, clearance.
use strict;
use warnings;
use lib 't/lib', '../lib';
use FormGuard::Altcha;
use FormGuard::Client;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::Process;
use Test::More;

my $mail = FormGuard::Mail->new;
my %VISITOR = (name => 'Hanako', email => 'hanako@example.jp', message => 'Is it in stock?');
my $OK = qr/ FG1000: accepted: /;
my $TWO_LINES = "FormGuard On\nFormGuardCaptcha altcha\n";
my $EASY = "FormGuardCaptchaDifficulty 1000\n";

sub slurp { my ($file) = @_; open my $fh, '<:raw', $file or die "$file: $!\n"; local $/; return scalar <$fh> }

my $last = 0;
sub visitor { return '203.0.113.' . ++$last }

sub post
{
    my ($httpd, $path, $token, %o) = @_;
    return $httpd->client->post($path, form => { %VISITOR, defined $token ? (altcha => $token) : () }, %o);
}

sub solved
{
    my ($httpd, $form, %o) = @_;
    return FormGuard::Altcha::solve(FormGuard::Altcha::challenge($httpd->client, $form, %o));
}

# How many mails have come since the last call.
my $mails = 0;
sub mails_since { my $all = $mail->count; my $n = $all - $mails; $mails = $all; return $n }

my $httpd = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', mail => $mail);
my $KEY = FormGuard::Altcha::key_text(slurp($httpd->dir . '/signing-key'));

# --- two lines are enough ---

subtest 'two lines of .htaccess' => sub {
    $httpd->write_file('two/contact.php', \'contact.php');
    $httpd->write_file('two/.htaccess', $TWO_LINES);
    my $me = visitor();
    my $token = solved($httpd, '/two/contact.php', from => $me);
    is post($httpd, '/two/contact.php', $token, from => $me)->status, 200, 'a solution passes';
    is mails_since(), 2, 'and the mails are there';
    is post($httpd, '/two/contact.php', undef, from => $me)->status, 403, 'without one: refused';
    is post($httpd, '/two/contact.php', '', from => $me)->status, 403, 'not solved yet: refused';
    is post($httpd, '/two/contact.php', 'x' x 40, from => $me)->status, 403, 'none at all: refused';
    is mails_since(), 0, 'no mail of these';
    $httpd->log_ok('two lines', $OK, qr/ FG1400: refused 403: .* rule="altcha"/, 2, qr/ FG1401: refused 403: .* rule="altcha"/);
};

$httpd->write_file('f/contact.php', \'contact.php');
$httpd->write_file('f/other.php', \'contact.php');
$httpd->write_file('f/.htaccess', $TWO_LINES . $EASY);
my $FORM = '/f/contact.php';

# --- the challenge ---

subtest 'the challenge' => sub {
    my $r = $httpd->client->get("$FormGuard::Altcha::URL?form=$FORM", from => visitor());
    is $r->status, 200, 'is answered';
    is $r->header('Content-Type'), 'application/json', 'as the widget wants it';
    is $r->header('Cache-Control'), 'no-store', 'never from a cache';
    my $c = $r->json;
    is_deeply [sort keys %$c], [qw(algorithm challenge maxnumber salt signature)], 'its members';
    is $c->{maxnumber}, 1000, 'as difficult as .htaccess beside the form says';
    like $c->{salt}, qr/^[0-9a-f]{24}\?expires=\d{10}&life=1200&form=[0-9a-f]{16}&client=[0-9a-f]{16}&\z/, 'the salt ends in &';
    my ($expires) = $c->{salt} =~ /expires=(\d+)/;
    ok abs($expires - time - 1200) < 60, 'good for twenty minutes';
    is $c->{signature}, FormGuard::Altcha::made($KEY, $c->{salt}, FormGuard::Altcha::number_of($c))->{signature},
        'signed as published, with what the key file makes';
    for my $bad ('', '?form=', '?form=contact.php', '?form=http://other.example/', '?form=/x%00', '?form=/a?b', '?x=/f') {
        is $httpd->client->get("$FormGuard::Altcha::URL$bad")->status, 400, "'$bad' is no form";
    }
    is $httpd->client->post("$FormGuard::Altcha::URL?form=$FORM", form => { a => 1 })->status, 405, 'POST is not for it';
    is $httpd->client->get('/.well-known/formguard/')->status, 404, 'nothing else is there';
    is $httpd->client->get('/.well-known/formguard/../signing-key')->status, 404, 'nor above it';
    $httpd->log_ok('challenges');
};

subtest 'nothing of a site stands in its way' => sub {
    my %htaccess = (
        rewritten => "RewriteEngine On\nRewriteRule . /index.html [L]\n",
        denied => "Require all denied\n",
        fallback => "FallbackResource /index.html\n",
    );
    for my $name (sort keys %htaccess) {
        $httpd->write_file('.htaccess', $htaccess{$name});
        is $httpd->client->get("$FormGuard::Altcha::URL?form=/x.php", from => visitor())->status, 200, $name;
    }
    $httpd->remove_file('.htaccess');
    # The lookup of a form nobody may use says what using it would say.
    $httpd->log_ok('in its way', qr/ AH01630: client denied by server configuration: /);
};

# --- what a solution is good for ---

subtest 'one form, one neighbourhood, once, for a time' => sub {
    my $me = '198.51.100.7';
    my $c = FormGuard::Altcha::challenge($httpd->client, $FORM, from => $me);
    my $number = FormGuard::Altcha::number_of($c);
    my $token = FormGuard::Altcha::payload($c, $number);

    is post($httpd, '/f/other.php', $token, from => $me)->status, 403, 'not for another form';
    is post($httpd, $FORM, $token, from => '198.51.101.7')->status, 403, 'not for another client';
    is post($httpd, $FORM, FormGuard::Altcha::payload($c, $number + 1), from => $me)->status, 403, 'not with another number';
    my ($first, $rest) = $number > 9 ? $number =~ /^(\d)(\d+)\z/ : (0, $number);
    is post($httpd, $FORM, FormGuard::Altcha::payload({ %$c, salt => "$c->{salt}$first" }, $rest), from => $me)->status, 403, 'spliced';
    my $own = FormGuard::Altcha::made('another key', $c->{salt}, 5);
    is post($httpd, $FORM, FormGuard::Altcha::payload($own, 5), from => $me)->status, 403, 'signed by somebody else';
    (my $past = $c->{salt}) =~ s/expires=\d+/'expires=' . (time - 1)/e;
    is post($httpd, $FORM, FormGuard::Altcha::payload(FormGuard::Altcha::made($KEY, $past, 5), 5), from => $me)->status, 403, 'expired';
    (my $soon = $c->{salt}) =~ s/expires=\d+/'expires=' . (time + 300)/e;
    is post($httpd, $FORM, FormGuard::Altcha::payload(FormGuard::Altcha::made($KEY, $soon, 5), 5), from => $me)->status, 200,
        'a challenge of an independent implementation, with our key, is as good';
    is mails_since(), 2, 'one mail of all these, and its reply';
    is post($httpd, $FORM, $token, from => '198.51.100.200')->status, 200, 'a neighbour of the same net passes';
    is mails_since(), 2, 'and is delivered';
    is post($httpd, $FORM, $token, from => $me)->status, 403, 'not a second time';
    my $rewritten = FormGuard::Altcha::payload({ %$c }, $number) =~ s/=+\z//r;
    is post($httpd, $FORM, $rewritten, from => $me)->status, 403, 'however it is written';
    is mails_since(), 0, 'none of these';
    my $shared = solved($httpd, $FORM, from => $me);
    my @status = FormGuard::Client::parallel(8, sub { post($httpd, $FORM, $shared, from => $me)->status });
    is join(' ', sort @status), '200' . ' 403' x 7, 'of eight at once one passes';
    is mails_since(), 2, 'and one is delivered';
    $httpd->log_ok('good for', $OK, 3, qr/ FG1402: .* solved-for=another-form /, qr/ FG1402: .* solved-for=another-client /,
        qr/ FG1402: .* not-solved /, 3, qr/ FG1403: /, [9, 10], qr/ FG1401: /, [0, 1]);
};

subtest 'more work for who asks often' => sub {
    my $me = visitor();
    my @work = map { FormGuard::Altcha::challenge($httpd->client, $FORM, from => $me)->{maxnumber} } 1 .. 40;
    is_deeply [@work[0, 7, 8, 15, 16, 39]], [1000, 1000, 2000, 2000, 4000, 16000], 'doubles each eight';
    is FormGuard::Altcha::challenge($httpd->client, $FORM, from => visitor())->{maxnumber}, 1000, 'not for anybody else';
    $httpd->log_ok('work');
};

subtest 'DetectionOnly looks, and spends nothing' => sub {
    $httpd->write_file('watch/contact.php', \'contact.php');
    $httpd->write_file('watch/.htaccess', "FormGuard DetectionOnly\nFormGuardCaptcha altcha\n$EASY");
    my $me = visitor();
    my $token = solved($httpd, '/watch/contact.php', from => $me);
    is post($httpd, '/watch/contact.php', $token, from => $me)->status, 200, "good, time $_" for 1, 2;
    is post($httpd, '/watch/contact.php', $_, from => $me)->status, 200, 'whatever comes passes' for undef, solved($httpd, $FORM, from => $me);
    is mails_since(), 8, 'all are delivered';
    $httpd->log_ok('watch', $OK, 2, qr/ FG1400: would refuse 403: /, qr/ FG1402: would refuse 403: .* solved-for=another-form /);
};

subtest 'good as long as it was made for, where less is asked for' => sub {
    # Behind a rewrite rule the challenge is made by what holds before it.
    $httpd->write_file('long/contact.php', \'contact.php');
    $httpd->write_file('long/.htaccess', "$TWO_LINES${EASY}RewriteEngine On\nRewriteRule ^go\$ contact.php [L]\n<Files contact.php>\nFormGuardCaptchaMaxAge 1s\n</Files>\n");
    my $me = visitor();
    my $c = FormGuard::Altcha::challenge($httpd->client, '/long/go', from => $me);
    my $old = FormGuard::Altcha::made($KEY, $c->{salt} =~ s/expires=(\d+)/'expires=' . ($1 - 5)/er, 5);
    is post($httpd, '/long/go', FormGuard::Altcha::payload($old, 5), from => $me)->status, 403, 'five seconds old: too old for this form';
    $httpd->log_ok('age', qr/ FG1403: refused 403: /);
};

# --- JSON and multipart, presets, application ---

subtest 'wherever a form has its fields' => sub {
    my $me = visitor();
    is $httpd->client->post($FORM, multipart => [%VISITOR, altcha => solved($httpd, $FORM, from => $me)], from => $me)->status, 200, 'multipart';
    is $httpd->client->post($FORM, json => { %VISITOR, altcha => solved($httpd, $FORM, from => $me) }, from => $me)->status, 200, 'JSON';
    mails_since();
    $httpd->log_ok('grammars', $OK, 2);

    $httpd->write_file('preset/contact.php', \'contact.php');
    $httpd->write_file('preset/.htaccess', "FormGuardPreset contact-form-7\n$TWO_LINES$EASY");
    my $token = solved($httpd, '/preset/contact.php', from => $me);
    is post($httpd, '/preset/contact.php?_wpcf7=1', $token, from => $me)->status, 200, "a preset's field is for the software's own captcha";
    mails_since();
    $httpd->log_ok('preset', $OK);
};

subtest 'left to the application' => sub {
    $httpd->write_file('app/contact.php', \'contact.php');
    $httpd->write_file('app/.htaccess', "FormGuard On\nFormGuardCaptcha recaptcha-v3\nFormGuardCaptchaVerify application\n");
    my $me = visitor();
    my $send = sub { $httpd->client->post('/app/contact.php', form => { %VISITOR, @_ }, from => $me)->status };
    is $send->('g-recaptcha-response' => 'x' x 400), 200, 'something that can be a token passes: nobody is asked here';
    is $send->(), 403, 'none: refused';
    is $send->('g-recaptcha-response' => 'a b'), 403, 'none that can be one: refused';
    is mails_since(), 2, 'mails of the first only';
    $httpd->log_ok('application', $OK, qr/ FG1400: /, qr/ FG1401: /);
};

# --- clearance ---

subtest 'a form with a confirmation screen' => sub {
    $httpd->write_file('confirm/contact.php', \'contact.php');
    $httpd->write_file('confirm/other.php', \'contact.php');
    $httpd->write_file('confirm/.htaccess', "$TWO_LINES${EASY}FormGuardCaptchaClearance 10m uses=2\n");
    my $form = '/confirm/contact.php';
    my $me = visitor();
    my $first = post($httpd, $form, solved($httpd, $form, from => $me), from => $me);
    is $first->status, 200, 'the first step, with a token';
    my $cookie = $first->header('Set-Cookie');
    like $cookie, qr{^formguard-[0-9a-f]{8}=[0-9a-f.]+;Max-Age=600;Path=/;HttpOnly;SameSite=Lax\z}, 'gives a clearance';
    $cookie =~ s/;.*//;
    my @with = (from => $me, headers => [Cookie => "a=1; $cookie; b=2"]);
    is post($httpd, $form, undef, from => $me)->status, 403, 'which has to be shown';
    is post($httpd, '/confirm/other.php', undef, @with)->status, 403, 'and is for that form';
    is post($httpd, $form, undef, from => '198.51.100.9', headers => [Cookie => $cookie])->status, 403, 'and that client';
    (my $bad = $cookie) =~ s/([0-9a-f])\z/$1 eq '0' ? '1' : '0'/e;
    is post($httpd, $form, undef, from => $me, headers => [Cookie => $bad])->status, 403, 'and signed';
    my $second = post($httpd, $form, undef, @with);
    is $second->status, 200, 'the second step, without a token';
    is $second->header('Set-Cookie'), undef, 'a clearance gives no further one';
    is post($httpd, $form, 'stale', @with)->status, 200, 'the third, with what the screen has kept of the token';
    is post($httpd, $form, undef, @with)->status, 403, 'no fourth';
    is mails_since(), 6, 'three of them were delivered';
    $httpd->log_ok('clearance', $OK, 3, qr/ FG1400: /, 5);
};

subtest 'a clearance is found, kept to itself, and given back' => sub {
    my $form = '/confirm/contact.php';
    my $me = visitor();
    my $cookie = post($httpd, $form, solved($httpd, $form, from => $me), from => $me)->header('Set-Cookie');
    $cookie =~ s/;.*//;
    my ($name) = $cookie =~ /^([^=]+)/;
    is post($httpd, $form, undef, from => $me, headers => [Cookie => "$name=x; $name=$_; a=1,2; $cookie"])->status, 200,
        "among others of its name, which a neighbouring host may have set: $_" for 'y', 'z';
    is mails_since(), 6, 'all delivered';
    $httpd->log_ok('no line of httpd about them', $OK, 3);

    $httpd->write_file('budget/contact.php', \'contact.php');
    $httpd->write_file('budget/.htaccess', "$TWO_LINES${EASY}FormGuardCaptchaClearance 10m uses=1\nFormGuardField email required\nFormGuardLimit field:email 1/1h\n");
    $form = '/budget/contact.php';
    $cookie = post($httpd, $form, solved($httpd, $form, from => $me), from => $me)->header('Set-Cookie') =~ s/;.*//r;
    my $send = sub { $httpd->client->post($form, form => { %VISITOR, email => $_[0] }, from => $me, headers => [Cookie => $cookie])->status };
    is $send->($VISITOR{email}), 429, 'refused by a limit' for 1 .. 3;
    is $send->('taro@example.jp'), 200, 'which has used no step of it';
    is $send->('jiro@example.jp'), 403, 'this one was the step';
    mails_since();
    $httpd->log_ok('given back', $OK, 2, qr/ FG1103: | FG1100: /, 3, qr/ FG1400: /);
};

subtest 'who only watches takes and spoils nothing' => sub {
    my $captcha = "$TWO_LINES${EASY}FormGuardCaptchaClearance 10m uses=2\n";
    my $s = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', mail => $mail, loglevel => 'debug',
        files => {
            'limit/contact.php' => \'contact.php', 'limit/.htaccess' => $captcha,
            'both/contact.php' => \'contact.php', 'both/.htaccess' => "FormGuard DetectionOnly\nFormGuardCaptcha altcha\n",
        },
        config => "<Location /limit>\nFormGuard DetectionOnly\nFormGuardLimit ip 1/1h\n</Location>\n<Location /both>\n$captcha</Location>",
    );
    my $me = visitor();
    my $first = sub {
        my ($form) = @_;
        my $r = post($s, $form, solved($s, $form, from => $me), from => $me);
        is $r->status, 200, "$form passes";
        return ($r->header('Set-Cookie') // 'none') =~ s/;.*//r;
    };
    $first->('/limit/contact.php');
    my $cookie = $first->('/limit/contact.php');
    like $cookie, qr/^formguard-/, 'a clearance, where the server would have refused';
    my $log = slurp($s->dir . '/logs/error_log');
    is index($log, $cookie =~ s/.*=//r), -1, 'and error_log has it at no level';

    $cookie = $first->('/both/contact.php');
    is post($s, '/both/contact.php', undef, from => $me, headers => [Cookie => $cookie])->status, 200, "step $_" for 2, 3;
    is post($s, '/both/contact.php', undef, from => $me, headers => [Cookie => $cookie])->status, 403, 'no fourth';
    mails_since();
    my @said = grep { / FG1\d\d\d: / } split /\n/, slurp($s->dir . '/logs/error_log');
    is grep(/ would refuse /, @said), 1, 'would refuse: the limit, nobody else';
    is grep(/ refused 403: /, @said), 1, 'refused: the fourth';
    $s->stop;
    $s->log_ok('watching', qr/./, [1, 100000]);
    $s->done('watching');
};

# --- the key ---

subtest 'solutions outlive restarts' => sub {
    my $me = visitor();
    my @token = map { solved($httpd, $FORM, from => $me) } 1 .. 3;
    my $used = solved($httpd, $FORM, from => $me);
    is post($httpd, $FORM, $used, from => $me)->status, 200, 'one is used';
    $httpd->restart('graceful');
    is post($httpd, $FORM, $used, from => $me)->status, 403, 'what was used before stays used';
    is post($httpd, $FORM, $token[0], from => $me)->status, 200, 'a graceful one';
    $httpd->stop;
    $httpd->start;
    is post($httpd, $FORM, $token[1], from => $me)->status, 200, 'and stop and start';
    my $twin = FormGuard::Httpd->new(mpm => 'prefork', php => 'mod', mail => $mail, start => 0);
    open my $fh, '>', $twin->dir . '/signing-key' or die $!;
    print $fh slurp($httpd->dir . '/signing-key');
    close $fh;
    $twin->start;
    $twin->write_file('f/contact.php', \'contact.php');
    $twin->write_file('f/.htaccess', $TWO_LINES . $EASY);
    is post($twin, $FORM, $token[2], from => $me)->status, 200, 'and are good on a machine with the same key';
    mails_since();
    $httpd->log_ok('restarts', $OK, 3, qr/ FG1403: /);
    $twin->log_ok('twin', $OK);
    $twin->done('twin: nothing more');
};

subtest 'keys that are none' => sub {
    my $try = sub {
        my ($key, $mode) = @_;
        my $s = FormGuard::Httpd->new(start => 0);
        if (defined $key) {
            open my $fh, '>', $s->dir . '/signing-key' or die $!;
            print $fh $key;
            close $fh;
            chmod $mode, $s->dir . '/signing-key';
        }
        else {
            unlink $s->dir . '/signing-key';
        }
        return ($s, eval { $s->start; 1 });
    };
    my ($s, $started) = $try->('short', 0600);
    ok !$started, 'too short: httpd does not start';
    $s->log_ok('short', qr/ FG2402: FormGuardSigningKeyFile '\S+signing-key' holds fewer than 32 bytes$/, qr/ AH00020: Configuration Failed, exiting/);
    ($s, $started) = $try->('k' x 64, 0644);
    ok !$started, 'readable by everybody: httpd does not start';
    $s->log_ok('open', qr/ FG2402: FormGuardSigningKeyFile '\S+' may be read or written by others than its owner: chmod 600 it$/,
        qr/ AH00020: /);
    ($s, $started) = $try->(undef);
    ok $started, 'not there: made';
    is sprintf('%04o', (stat $s->dir . '/signing-key')[2] & 07777), '0600', 'for its owner alone';
    $s->log_ok('made', qr/ \[formguard:notice\] .* FG2401: the key that signs challenges was made: \S+signing-key$/);
    $s->write_file('f/contact.php', "form\n");
    $s->write_file('f/.htaccess', $TWO_LINES . $EASY);
    my $token = solved($s, $FORM);
    chmod 0644, $s->dir . '/signing-key' or die $!;
    $s->restart('graceful');
    $s->log_ok('spoilt', qr/ \[formguard:error\] .* FG2402: FormGuardSigningKeyFile '\S+' may be read .*: httpd goes on with the key it had$/);
    like post($s, $FORM, $token)->status, qr/^(?:200|405)\z/, 'spoilt while httpd runs: a restart goes on with the key it had';
    $s->log_ok('goes on', $OK);
    $s->done('made: nothing more');
};

# --- the widget ---

subtest 'the widget' => sub {
    my $url = $FormGuard::Altcha::SCRIPT;
    my $s = FormGuard::Httpd->new(global => "FormGuardPages \@DIR\@/pages", start => 0);
    mkdir $s->dir . '/pages' or die $!;
    $s->{global} =~ s/\@DIR\@/$s->dir/e;
    $s->start;
    for (1, 2) {
        my $plain = $s->client->get($url);
        is $plain->status, 200, 'not installed: there is one all the same';
        like $plain->body, qr/customElements\.define\('altcha-widget', Widget\).*\balgorithms\.set\('SHA-256'.*'statechange'/s, 'the plain one, with the solver and what is added to forms';
        is $plain->header('Content-Type'), 'text/javascript; charset=utf-8', 'a script';
    }
    $s->log_ok('missing', qr/ \[formguard:notice\] .* FG2404: the widget of FormGuardCaptcha altcha is asked for, and altcha.min.js is not installed: the plain one built in is sent$/);
    my $text = "customElements.define('x', class {});\n" x 5000;
    open my $fh, '>', $s->dir . '/pages/altcha.min.js' or die $!;
    print $fh $text;
    close $fh;
    my $r = $s->client->get($url);
    is $r->status, 200, 'installed';
    is $r->body, $text, 'whole';
    is $r->header('Content-Type'), 'text/javascript; charset=utf-8', 'a script';
    is $r->header('Cache-Control'), 'public, max-age=86400', 'kept by browsers';
    is $r->header('X-Content-Type-Options'), 'nosniff', 'and nothing else';
    is $s->client->get($url, headers => ['If-None-Match' => $r->header('ETag')])->status, 304, 'asked for again: not sent again';
    $s->done('widget');
};

$httpd->done('altcha');
done_testing;
