#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# FormGuardPreset, and the files of conf.d for WordPress and for mailers of one file: posts as the software sends them
# are guarded, what else is posted to the same site is neither judged nor counted.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Httpd;
use JSON::PP;
use Test::More;

my $TOP = FormGuard::Httpd::forms_dir() . '/../../..';
my $OK = qr/ FG1000: accepted: /;

sub slurp
{
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$fh>;
}

# A site as WordPress makes one: all that is no file goes to index.php. What is no script of WordPress' says 200, too.
my $REWRITE = "RewriteEngine On\nRewriteRule ^index\\.php\$ - [L]\nRewriteCond %{REQUEST_FILENAME} !-f\n"
    . "RewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule . /index.php [L]\n";
my %WORDPRESS = (
    '.htaccess' => $REWRITE, 'wp-load.php' => "<?php\n",
    (map { $_ => \'echo.php' } qw(index.php wp-login.php wp-cron.php wp-comments-post.php wp-admin/admin-ajax.php
        wp-admin/async-upload.php wp-admin/post.php contact.php tw/tw_contact.php tw/other.php))
);

sub server
{
    my ($config, %o) = @_;
    return FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', config => "ServerName www.example.jp\n$config", files => { %WORDPRESS, %{$o{files} || {}} },
        $o{loglevel} ? (loglevel => $o{loglevel}) : ()
    );
}

# --- what the software posts --------------------------------------------------------------------

my @TEXT = ('your-name' => '佐藤 花子', 'your-email' => 'hanako@example.jp', 'your-subject' => '湯呑みについて',
    'your-message' => "在庫はありますか。\nよろしく。");
my @CF7_OWN = (_wpcf7 => 12, _wpcf7_version => '5.9.8', _wpcf7_locale => 'ja', _wpcf7_unit_tag => 'wpcf7-f12-p7-o1',
    _wpcf7_container_post => 7, _wpcf7_posted_data_hash => '');
my @CF7 = (@CF7_OWN, @TEXT);
my $FEEDBACK = '/wp-json/contact-form-7/v1/contact-forms/12/feedback';
my @BY_SCRIPT = (headers => [Accept => 'application/json, */*;q=0.1']);
my @BY_BROWSER = (headers => [Accept => 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8']);
my @BY_JQUERY = (headers => [Accept => 'application/json, text/javascript, */*; q=0.01', 'X-Requested-With' => 'XMLHttpRequest']);
my $AJAX = '/wp-admin/admin-ajax.php';

# Preset => [name, path, what is posted]: each of them is guarded.
my %GUARDED = (
    'contact-form-7' => [
        ['by its script', $FEEDBACK, multipart => \@CF7, @BY_SCRIPT],
        ['by its script, plain permalinks', '/index.php?rest_route=/contact-form-7/v1/contact-forms/12/feedback', multipart => \@CF7, @BY_SCRIPT],
        ['by its script, rest_route encoded', '/?rest_route=%2Fcontact-form-7%2Fv1%2Fcontact-forms%2F12%2Ffeedback', multipart => \@TEXT],
        ['by a browser without it', '/contact/', multipart => \@CF7, @BY_BROWSER],
        ['at any URL', '/2024/05/a-post/?x=1', form => \@CF7],
        ['by a robot that leaves its fields out', $FEEDBACK, multipart => \@TEXT],
        ['in other letters', '/wp-json/contact-form-7/v1/CONTACT-FORMS/12/Feedback/', multipart => \@TEXT],
        ['through index.php', "/index.php$FEEDBACK", multipart => \@TEXT],
        ['with the route in the body', '/', multipart => [@TEXT, rest_route => '/contact-form-7/v1/contact-forms/12/feedback']],
    ],
    'mw-wp-form' => [
        ['to its confirmation', '/contact/', form => ['お名前' => '花子', submitConfirm => '確認画面へ', 'mw-wp-form-form-id' => 58, mw_wp_form_token => 'efa5de']],
        ['to be sent', '/contact/', form => ['お名前' => '花子', submit => '送信する', 'mw-wp-form-form-id' => 58, mw_wp_form_token => 'efa5de']],
        ['with a file', '/contact/', multipart => ['お名前' => '花子', 'mw-wp-form-form-id' => 58, mw_wp_form_token => 'efa5de',
            file => { filename => 'a.txt', type => 'text/plain', content => 'x' }]],
    ],
    wpforms => [
        ['by its script', $AJAX, multipart => ['wpforms[fields][0]' => 'Hanako', 'wpforms[fields][1]' => 'hanako@example.jp', 'wpforms[id]' => 9,
            'wpforms[author]' => 1, 'wpforms[submit]' => 'wpforms-submit', action => 'wpforms_submit'], @BY_JQUERY],
        ['by a browser without it', '/contact/', form => ['wpforms[fields][0]' => 'Hanako', 'wpforms[id]' => 9, 'wpforms[submit]' => 'wpforms-submit']],
    ],
    elementor => [
        ['by its script', $AJAX, multipart => [post_id => 8, form_id => 'cdda83e', referer_title => 'Contact', queried_id => 8,
            'form_fields[name]' => 'Hanako', 'form_fields[email]' => 'hanako@example.jp', action => 'elementor_pro_forms_send_form',
            referrer => 'https://www.example.jp/contact/'], @BY_JQUERY],
        ['with its action in the query', "$AJAX?action=elementor_pro_forms_send_form", multipart => ['form_fields[name]' => 'Hanako']],
    ],
    'ninja-forms' => [
        ['by its script', $AJAX, form => [action => 'nf_ajax_submit', security => 'a1b2c3d4e5', formData => '{"id":"2","fields":{"5":{"value":"Hanako","id":5}},"extra":{}}'], @BY_JQUERY],
        ['with its action in the query', "$AJAX?action=nf_ajax_submit", form => [formData => '{"id":"2"}']],
    ],
    'php-mailer' => [
        ['urlencoded', '/contact.php', form => [name => 'Hanako', email => 'hanako@example.jp', message => "a\nb"]],
        ['multipart', '/tw/tw_contact.php', multipart => [name => 'Hanako', email => 'hanako@example.jp', message => "a\nb", 'g-recaptcha-response' => 'x' x 400]],
        ['with path info', '/contact.php/x/y', form => [name => 'Hanako']],
    ],
);

# What else is posted to a WordPress site all day.
my @OTHERS = (
    ['heartbeat', $AJAX, form => [action => 'heartbeat', interval => 15, _nonce => 'a', screen_id => 'post', has_focus => 'true'], @BY_JQUERY],
    ['another action in the query', "$AJAX?action=wc_add_to_cart", form => [product_id => 1], @BY_JQUERY],
    ['upload', '/wp-admin/async-upload.php', multipart => [name => '写真.jpg', action => 'upload-attachment', _wpnonce => 'a',
        'async-upload' => { filename => '写真.jpg', type => 'image/jpeg', content => "\xff\xd8" x 5000 }]],
    ['login', '/wp-login.php', form => [log => 'admin', pwd => 'x', 'wp-submit' => 'Log In', redirect_to => '/wp-admin/', testcookie => 1]],
    ['comment', '/wp-comments-post.php', form => [author => 'H', email => 'h@example.jp', comment => 'x', comment_post_ID => 3]],
    ['saving a page', '/wp-admin/post.php', form => [post_ID => 3, action => 'editpost', post_title => 'T', content => "a\nb"]],
    ['block editor', '/wp-json/wp/v2/posts/3', json => { title => 'T', content => 'x' }, headers => ['X-HTTP-Method-Override' => 'PUT']],
    ['block editor, plain permalinks', '/index.php?rest_route=%2Fwp%2Fv2%2Fposts%2F3&_locale=user', json => { title => 'T' }],
    ['a REST route of others', '/wp-json/wc/store/v1/cart/add-item', json => { id => 1 }],
    ['a search', '/?s=x', form => [s => 'x']],
    ['WordPress itself', '/wp-cron.php?doing_wp_cron=1.5', form => ''],
);

sub what { my ($case) = @_; my ($name, $path, @o) = @$case; return ($name, $path, @o) }

my $client_number = 0;
sub someone { return '203.0.113.' . (1 + $client_number++ % 250) }

# --- each preset ----------------------------------------------------------------------------------

for my $preset (sort keys %GUARDED) {
    subtest "FormGuardPreset $preset" => sub {
        my $httpd = server("FormGuard On\nFormGuardPreset $preset\nFormGuardLimit ip 1/1h\n");
        for (@{$GUARDED{$preset}}) {
            my ($name, $path, @post) = what($_);
            my $from = someone();
            my $r = $httpd->client->post($path, @post, from => $from);
            is $r->status, 200, "$name: accepted";
            is $r->json->{formguard}{FORMGUARD_VERDICT}, 'accepted', "$name: judged";
            $r = $httpd->client->post($path, @post, from => $from);
            ok $r->body !~ /sha256/, "$name: counted, the second is refused" or diag $r->body;
            $httpd->log_ok("$name: log", $OK, qr{ FG1100: refused 429: too many posts: rule="ip 1/1h" });
        }
        # A preset for mailers is put where they are: see conf.d/php-mailers.conf below.
        for ($preset eq 'php-mailer' ? () : @OTHERS) {
            my ($name, $path, @post) = what($_);
            my $from = someone();
            for my $i (1 .. 2) {
                my $r = $httpd->client->post($path, @post, from => $from);
                is $r->status, 200, "$name: $i";
                is $r->json->{formguard}{FORMGUARD_VERDICT}, $preset =~ /^(?:elementor|ninja-forms)\z/ && $path !~ /admin-ajax/ ? undef : 'not-judged',
                    "$name: $i is not judged";
            }
        }
        if ($preset eq 'php-mailer') {
            $httpd->write_file('.htaccess', '');
            is $httpd->client->post('/picture.png', form => [email => "a\nb"], from => someone())->status, 404, 'what is no script' for 1 .. 2;
        }
        $httpd->log_ok('and that is not even logged');
        $httpd->done;
    };
}

# --- single-line fields ---------------------------------------------------------------------------

subtest 'line ends in what becomes a header of a mail' => sub {
    my $httpd = server("FormGuard On\nFormGuardLimit ip 9/1h\nFormGuardPreset contact-form-7\n<Files contact.php>\nFormGuardPreset php-mailer\n</Files>\n");
    for (
        [$FEEDBACK, 'your-email single-line', 'your-email' => "h\@example.jp\r\nBcc: x\@example.com"],
        [$FEEDBACK, 'your-subject single-line', 'your-subject' => 'a%0aBcc: x@example.com'],
        ['/contact.php', 'email single-line', email => "h\@example.jp\nBcc: x\@example.com"],
        ['/contact.php', 'Email single-line', Email => "h\@example.jp%0D%0ABcc: x"],
        ['/contact.php', 'subject single-line', 'subject[]' => "a\rb"],
      ) {
        my ($path, $rule, @fields) = @$_;
        my $r = $httpd->client->post($path, multipart => [@CF7_OWN, @fields], from => someone());
        is $r->status, 422, $rule;
        $httpd->log_ok("$rule: log", qr{ FG1312: refused 422: line end in a single-line field: rule="\Q$rule\E" });
        $fields[1] =~ s/[\r\n]|%0[ad]/ /gi;
        is $httpd->client->post($path, multipart => [@CF7_OWN, @fields, 'your-message' => "a\nb", message => "a\nb"], from => someone())->status,
            200, "$rule: without";
        $httpd->log_ok("$rule: accepted", $OK);
    }
    $httpd->done;
};

# --- what a refusal looks like --------------------------------------------------------------------

sub spam
{
    my ($r, $what, %want) = @_;
    is $r->status, 200, "$what: 200";
    like $r->header('Content-Type'), qr{^application/json}, "$what: JSON";
    is $r->header('Cache-Control'), 'no-store', "$what: not cached";
    my $json = eval { $r->json } || {};
    my $message = delete $json->{message} // '';
    is_deeply $json, { contact_form_id => $want{id}, status => 'spam', into => $want{into}, invalid_fields => [], posted_data_hash => '' },
        "$what: what its script reads" or diag $r->body;
    like $message, $want{message}, "$what: message";
    like $message, qr/: \S{4}-\S{4}$/, "$what: the number";
}

subtest "Contact Form 7's reply" => sub {
    my $httpd = server("FormGuard On\nFormGuardPreset contact-form-7\nFormGuardLimit ip 1/1h\n");
    my $c = $httpd->client(from => '203.0.113.4');
    my $refused = qr/ FG1100: refused 429: /;
    is $c->post($FEEDBACK, multipart => \@CF7, @BY_SCRIPT)->status, 200, 'the first';
    $httpd->log_ok('log', $OK);
    my ($en, $ja) = (qr/^This form has received many messages/, qr/このフォーム.*メッセージは送信されませんでした/);
    my @accept = @{$BY_SCRIPT[1]};
    spam($c->post($FEEDBACK, multipart => \@CF7, @BY_SCRIPT), 'in English', id => 12, into => '#wpcf7-f12-p7-o1', message => $en);
    spam($c->post($FEEDBACK, multipart => \@CF7, headers => [@accept, 'Accept-Language' => 'ja,en;q=0.5']), 'in Japanese',
        id => 12, into => '#wpcf7-f12-p7-o1', message => $ja);
    spam($c->post("/index.php$FEEDBACK", multipart => \@CF7, @BY_SCRIPT), 'behind index.php', id => 12, into => '#wpcf7-f12-p7-o1', message => $en);
    spam($c->post('/?rest_route=/contact-form-7/v1/contact-forms/12/feedback', multipart => \@CF7, @BY_SCRIPT),
        'plain permalinks: the ID of the field', id => 12, into => '#wpcf7-f12-p7-o1', message => $en);
    spam($c->post($FEEDBACK =~ s/12/99999999999999999999/r, multipart => \@TEXT, @BY_SCRIPT), 'an ID that is none', id => 999999999, into => '#', message => $en);
    for (
        ["<script>\"'\\\r\n&#x2f;" => 'scriptx2f'], ['あいう' => ''], ['wpcf7_A-9' . 'x' x 100 => 'wpcf7_A-9' . 'x' x 55], ["a\0b" => 'a'], ['' => ''],
      ) {
        my ($tag, $into) = @$_;
        spam($c->post($FEEDBACK, multipart => [_wpcf7 => 12, _wpcf7_unit_tag => $tag], @BY_SCRIPT), "unit tag $into", id => 12, into => "#$into", message => $en);
    }
    spam($c->post($FEEDBACK, multipart => [_wpcf7 => 12, '_wpcf7_unit_tag[]' => 'a'], @BY_SCRIPT), 'a unit tag that is an array', id => 12, into => '#', message => $en);
    $httpd->log_ok('log', $refused => 11);

    my $r = $c->post($FEEDBACK, multipart => \@CF7, @BY_BROWSER);
    is $r->status, 429, 'a browser gets the status';
    like $r->header('Content-Type'), qr{^text/html}, 'and the page';
    like $r->header('Retry-After'), qr/^\d+$/, 'and is told when';
    $r = $c->post('/contact/', multipart => \@CF7, @BY_BROWSER);
    is $r->status, 429, 'at any URL';
    like $r->body, qr/<html/, 'the page';
    $r = $c->post('/contact/', multipart => \@CF7, @BY_JQUERY);
    is $r->status, 429, 'another script that posts the form';
    like $r->header('Content-Type'), qr{^application/problem\+json}, 'is told so as scripts are';
    $httpd->log_ok('log', $refused => 3);
    $httpd->done;
};

# The preset of a site's .htaccess, and the provider's own rules for the same posts.
subtest "the reply is for Contact Form 7's script only" => sub {
    my $httpd = server("FormGuard On\nFormGuardLimit ip 1/1h\n",
        files => { '.htaccess' => "FormGuard On\nFormGuardPreset contact-form-7\nFormGuardLimit ip 100/1h\n$REWRITE" });
    my $c = $httpd->client(from => '203.0.113.4');
    is $c->post($FEEDBACK, multipart => \@CF7, @BY_SCRIPT)->status, 200, 'the first';
    spam($c->post($FEEDBACK, multipart => \@CF7, @BY_SCRIPT), "refused by the provider's limit, before the body was read", id => 12, into => '#', message => qr/^This form/);
    my $r = $c->post($AJAX, form => [action => 'heartbeat'], @BY_JQUERY);
    is $r->status, 429, 'another script';
    like $r->header('Content-Type'), qr{^application/problem\+json}, 'gets problem+json';
    $httpd->log_ok('log', $OK, qr/ FG1100: refused 429: / => 2);
    $httpd->done;
};

# What the other plugins' scripts read of an answer: status, type, the path to the message, whether it is HTML to them.
my %OWN_REPLY = (
    wpforms => [qr{^application/json$}, sub { $_[0]{data}{errors}{general}{footer} }, sub { { success => JSON::PP::false, data => { errors => { general => { footer => $_[0] } } } } }],
    elementor => [qr{^application/json$}, sub { $_[0]{data}{message} }, sub { { success => JSON::PP::false, data => { message => $_[0], errors => [], data => [] } } }],
    # Parsed by itself: jQuery must leave it as it is.
    'ninja-forms' => [qr{^text/html; charset=utf-8$}, sub { $_[0]{errors}{form}{formguard} }, sub { { data => {}, errors => { form => { formguard => $_[0] } } } }],
);
my $HTML = '<b onclick=alert(1)>"0120"</b>&';
my $ESCAPED = '&lt;b onclick=alert(1)&gt;&quot;0120&quot;&lt;/b&gt;&amp;';
my $MESSAGE = qr/^(?:<div class="wpforms-error-container" role="alert"><p>)?This form has received [^<>]* Please try again in \d+ minutes \(after [^<>]*\)\. [^<>]*\Q$ESCAPED\E Reference number: (\S{9})(?:<\/p><\/div>)?$/;

for my $preset (sort keys %OWN_REPLY) {
    my ($type, $find, $shape) = @{$OWN_REPLY{$preset}};
    my ($name, $path, @post) = what($GUARDED{$preset}[0]);

    subtest "the reply for the script of $preset" => sub {
        my $httpd = server(qq{FormGuard On\nFormGuardPreset $preset\nFormGuardLimit ip 1/1h\nFormGuardContact "} . ($HTML =~ s/"/\\"/gr) . qq{"\n});
        my $c = $httpd->client(from => '203.0.113.4');
        is $c->post($path, @post)->status, 200, 'the first';
        my $r = $c->post($path, @post);
        is $r->status, 200, 'refused with 200, or nothing would be shown';
        like $r->header('Content-Type'), $type, 'the type it reads';
        is $r->header('Cache-Control'), 'no-store', 'not cached';
        like $r->header('Retry-After'), qr/^\d+$/, 'still says when';
        unlike $r->body, qr/[<>]/, 'and is no HTML, should anything take it for that';
        my $json = $r->json;
        my $message = $find->($json);
        my ($ref) = ($message // '') =~ $MESSAGE or return fail "message: $message";
        is_deeply $json, $shape->($message), 'the shape';
        my $line = qr/ FG1100: refused 429: .* ref=\Q$ref\E$/;
        $httpd->log_ok('log', $OK, $line);

        my ($to) = $preset eq 'wpforms' ? '/contact/' : $path;
        $r = $c->post($to, @post[0, 1], headers => [@{$BY_BROWSER[1]}]);
        is $r->status, 429, 'without script: the status';
        like $r->header('Content-Type'), qr{^text/html}, 'and the page';
        like $r->body, qr/<h1>/, 'of a refusal';
        is $c->post($AJAX, form => [action => 'heartbeat'], @BY_JQUERY)->status, 200, 'other scripts go on';
        $httpd->log_ok('log', qr/ FG1100: refused 429: /);
        $httpd->done;
    };

    subtest "refused before the body was read: $preset" => sub {
        my $httpd = server("FormGuard On\nFormGuardLimit ip 1/1h\n",
            files => { '.htaccess' => "FormGuard On\nFormGuardPreset $preset\nFormGuardLimit ip 100/1h\nFormGuardContact $HTML\n$REWRITE" });
        my $c = $httpd->client(from => '203.0.113.4');
        is $c->post($path, @post)->status, 200, 'the first';
        my $r = $c->post($path, @post);
        is $r->status, $preset eq 'ninja-forms' ? 429 : 200, 'the status';
        my $json = $r->json;
        like $find->($json), $MESSAGE =~ s/&quot;//gr, 'the message where it looks for it';
        is $json->{status}, 429, 'Ninja Forms posts as any script does: an error with all that it has' if $preset eq 'ninja-forms';
        is_deeply $json, $shape->($find->($json)), 'the shape' if $preset ne 'ninja-forms';
        $r = $c->post($AJAX, form => [action => 'heartbeat'], @BY_JQUERY);
        is $r->status, 429, 'another script is told an error';
        like $r->header('Content-Type'), qr{^application/problem\+json}, 'as problem+json';
        $r = $c->post('/wp-json/other/v1/x', multipart => [a => 1], @BY_JQUERY);
        is $r->status, 429, 'so is one that posts elsewhere';
        $httpd->log_ok('log', $OK, qr/ FG1100: refused 429: / => 3);
        $httpd->done;
    };
}

subtest 'two plugins on one site, by FormGuardFormField' => sub {
    my $httpd = server("FormGuard On\nFormGuardFormField _wpcf7 action=elementor_pro_forms_send_form action=wpforms_submit\nFormGuardLimit ip 1/1h\n");
    for my $preset (qw(elementor wpforms)) {
        my ($name, $path, @post) = what($GUARDED{$preset}[0]);
        my $c = $httpd->client(from => $preset eq 'wpforms' ? '203.0.113.4' : '203.0.113.5');
        is $c->post($path, @post)->status, 200, 'the first';
        like $OWN_REPLY{$preset}[1]->($c->post($path, @post)->json), qr/This form has received/, "the reply for $preset";
    }
    $httpd->log_ok('log', $OK => 2, qr/ FG1100: refused 429: / => 2);
    $httpd->done;
};

subtest 'other presets reply with problem+json' => sub {
    my $httpd = server("FormGuard On\nFormGuardPreset mw-wp-form\nFormGuardLimit ip 1/1h\n");
    my ($name, $path, @post) = what($GUARDED{'mw-wp-form'}[0]);
    my $c = $httpd->client(from => '203.0.113.4');
    is $c->post($path, @post)->status, 200, 'the first';
    my $r = $c->post($path, @post, @BY_JQUERY);
    is $r->status, 429, 'the second';
    is $r->json->{status}, 429, 'as JSON';
    $httpd->log_ok('log', $OK, qr/ FG1100: /);
    $httpd->done;
};

# --- DetectionOnly, debug, later directives --------------------------------------------------------

subtest 'DetectionOnly' => sub {
    my $httpd = server("FormGuard DetectionOnly\nFormGuardPreset contact-form-7\nFormGuardLimit ip 1/1h\n");
    my $c = $httpd->client(from => '203.0.113.4');
    is $c->post($FEEDBACK, multipart => \@CF7, @BY_SCRIPT)->json->{method}, 'POST', 'arrives' for 1 .. 2;
    $httpd->log_ok('log', $OK, qr/ FG1100: would refuse 429: /);
    $httpd->done;
};

subtest 'LogLevel debug says what a preset stands for' => sub {
    my $httpd = server("FormGuard On\nFormGuardPreset contact-form-7\n", loglevel => 'warn formguard:debug');
    is $httpd->client->post($FEEDBACK, multipart => \@CF7)->status, 200, 'a post';
    my @lines = map { / FG0001: FormGuardPreset (.*)$/ ? $1 : () } $httpd->log_lines;
    is_deeply [map { s/, referer:.*//r } @lines],
        ['contact-form-7 stands for: FormGuardFormField _wpcf7 _wpcf7_unit_tag */contact-forms/*/feedback* rest_route=*/contact-forms/*/feedback*',
        'contact-form-7 stands for: FormGuardCaptchaField _wpcf7_recaptcha_response',
        'contact-form-7 stands for: FormGuardField your-name your-email your-subject single-line'], 'line by line';
    $httpd->log_ok('log', qr/ FG0001: / => '+', qr/ FG2003: /, $OK);
    $httpd->done;
};

subtest 'a later line overrides a part' => sub {
    my $httpd = server("FormGuard On\nFormGuardPreset contact-form-7\nFormGuardFormField my-form\nFormGuardLimit ip 1/1h\n");
    my $c = $httpd->client(from => '203.0.113.4');
    is $c->post($FEEDBACK, multipart => \@CF7)->json->{formguard}{FORMGUARD_VERDICT}, 'not-judged', "the preset's fields are no more";
    is $c->post('/', form => ['my-form' => 1])->json->{formguard}{FORMGUARD_VERDICT}, 'accepted', 'but mine are';
    is $c->post('/', form => ['my-form' => 1, 'your-name' => "a\nb"], from => '203.0.113.5')->status, 422, 'and its field rules are';
    spam($c->post($FEEDBACK, multipart => ['my-form' => 1], @BY_SCRIPT), 'and its reply is', id => 12, into => '#', message => qr/^This form/);
    $httpd->log_ok('log', $OK, qr/ FG1312: /, qr/ FG1100: /);
    $httpd->done;
};

# --- conf.d ---------------------------------------------------------------------------------------

sub conf_d
{
    my (@names) = @_;
    my $text = join '', map { slurp("$TOP/conf.d/$_.conf") } 'formguard', @names;
    $text =~ s/^FormGuard DetectionOnly$/FormGuard On/m or die "formguard.conf has no DetectionOnly\n";
    # Limits that a test can reach, and the module is loaded already.
    $text =~ s/^FormGuardLimit ip 100\/10m 600\/1d$/FormGuardLimit ip 1\/1h/m or die "formguard.conf has another limit\n";
    return $text;
}

subtest 'httpd -t' => sub {
    my $httpd = FormGuard::Httpd->new(mpm => 'event', start => 0);
    my %text = map { $_ => slurp("$TOP/conf.d/$_.conf") } qw(wordpress php-mailers);
    for my $config (values %text, map { s/^#(?=FormGuard|<|    FormGuard)//mgr } values %text) {
        $httpd->configure(config => $config);
        my ($ok, $said) = $httpd->configtest;
        like $said, qr/\A(?:AH00558: .*\n)?Syntax OK\n\z/, join ' ', $config =~ /\A# (\w+)/, $config =~ /^#<|^#Form/m ? () : 'without comments';
    }
    like $text{'php-mailers'}, qr/^#<Files/m, 'there were some to take away';
    $httpd->done;
};

subtest 'conf.d/wordpress.conf' => sub {
    my $httpd = server(conf_d('wordpress'));
    for my $case (map { @{$GUARDED{$_}} } qw(contact-form-7 mw-wp-form wpforms elementor ninja-forms)) {
        my ($name, $path, @post) = what($case);
        my $from = someone();
        is $httpd->client->post($path, @post, from => $from)->json->{formguard}{FORMGUARD_VERDICT}, 'accepted', "$path $name";
        unlike $httpd->client->post($path, @post, from => $from)->body, qr/sha256/, "$path $name: counted";
        $httpd->log_ok("$path $name: log", $OK, qr/ FG1100: refused 429: /);
    }
    my %limited = map { $_ => 1 } qw(login comment);
    for (@OTHERS) {
        my ($name, $path, @post) = what($_);
        my $from = someone();
        my @seen = map { $httpd->client->post($path, @post, from => $from)->status } 1 .. 2;
        is "@seen", $limited{$name} ? '200 429' : '200 200', $name;
        $httpd->log_ok("$name: log", $limited{$name} ? ($OK, qr/ FG1100: /) : ());
    }
    my @mailer = (form => [name => 'H'], from => someone());
    is join(' ', map { $httpd->client->post('/tw/tw_contact.php', @mailer)->status } 1 .. 2), '200 429', 'a mailer beside it is guarded as before';
    $httpd->log_ok('log', $OK, qr/ FG1100: /);
    my @cron = (form => [name => 'H'], from => someone());
    is join(' ', map { $httpd->client->post('/wp-cron.php', @cron)->status } 1 .. 2), '200 429', 'and so is what has the name of wp-cron.php and takes a form';
    $httpd->log_ok('log', $OK, qr/ FG1100: /);
    spam($httpd->client->post($FEEDBACK, multipart => [@CF7_OWN, 'your-name' => "a\nb"], @BY_SCRIPT, from => someone()), "Contact Form 7's reply",
        id => 12, into => '#wpcf7-f12-p7-o1', message => qr/\w/);
    $httpd->log_ok('log', qr/ FG1312: /);
    $httpd->done;
};

subtest 'conf.d/wordpress.conf: large uploads' => sub {
    my $httpd = server(conf_d('wordpress') =~ s/64M/1K/gr);
    my $file = { filename => 'a.mp4', type => 'video/mp4', content => 'x' x 4000 };
    for my $i (1, 2) {
        my $r = $httpd->client->post('/wp-admin/async-upload.php', multipart => [action => 'upload-attachment', file => $file], from => "203.0.113.$i");
        is $r->json->{files}{file}{size}, 4000, 'arrive';
    }
    $httpd->log_ok('log', qr/ FG1000: accepted: body over the limit passed uninspected / => 2);
    $httpd->done;
};

subtest 'conf.d/wordpress.conf where there is no WordPress' => sub {
    my $httpd = server(conf_d('wordpress'));
    $httpd->remove_file('wp-load.php');
    my @mailer = (form => [name => 'H'], from => someone());
    is join(' ', map { $httpd->client->post('/index.php', @mailer)->status } 1 .. 2), '200 429', 'an index.php is a mailer like others';
    $httpd->log_ok('log', $OK, qr/ FG1100: /);
    $httpd->done;
};

subtest 'conf.d/php-mailers.conf' => sub {
    my @names = qw(contact.php mail.php form.php tw_contact.php contact2.php sendmail.cgi postmail.cgi formmail.pl Contact_Form.PHP webform.php
        form-send.php toiawase.php inquiry/mail.php mail.php5 mail/stats34.php);
    my @others = qw(wp-mail.php platforms.php information.php transformer.php contact/save.php index.php mail/index.php mails/a.php contact.txt.php.html);
    my %files = map { $_ => /\.php\z/i ? \'echo.php' : "#!/bin/sh\ncat >/dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\nran\\n'\n" } @names, @others;
    my $httpd = server("AddHandler cgi-script .pl .php5 .html\n<FilesMatch \"\\.PHP\$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\n"
            . conf_d('php-mailers') =~ s/ip\+form 100\/1h 150\/1d/ip+form 2\/1h/gr =~ s/^FormGuardLimit ip 1\/1h$/FormGuardLimit ip 9\/1h/mr, files => { '.htaccess' => '' });
    for my $name (sort keys %files) {
        $httpd->write_file("m/$name", ref $files{$name} || $name =~ /\.(?:cgi|pl)\z/ ? $files{$name} : [$files{$name}, 0755]);
        chmod 0755, $httpd->htdocs . "/m/$name";
    }
    for my $name (@names, @others) {
        my $from = someone();
        my @seen = map { $httpd->client->post("/m/$name", form => [name => 'H', message => "a\nb"], from => $from)->status } 1 .. 3;
        my $mailer = grep { $_ eq $name } @names;
        is "@seen", $mailer ? '200 200 429' : '200 200 200', $name;
        my $scripts = $name =~ /\.(?:php|cgi)\z/;
        $httpd->log_ok("$name: log", $mailer ? ($OK => 2, qr/ FG1100: refused 429: too many posts: rule="ip\+form 2\/1h" /) : $scripts ? ($OK => 3) : ());
    }
    is $httpd->client->post('/m/contact.php', form => [email => "a\nBcc: b"], from => someone())->status, 422, 'mail header injection';
    $httpd->log_ok('log', qr/ FG1312: /);
    $httpd->done;
};

done_testing;
