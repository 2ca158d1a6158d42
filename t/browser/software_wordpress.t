#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# WordPress, as Debian packages it, under conf.d as it is shipped and three lines of its owner's .htaccess: visitors'
# comments are stored, once each, robots' are not, and whoever writes and administers the site notices nothing.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use Encode qw(encode_utf8);
use File::Copy qw(copy);
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use FormGuard::WordPress;
use JSON::PP ();
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";
my $CONF = FormGuard::Httpd::forms_dir() . '/../../../conf.d';

# What WordPress writes for its links, and what its owner adds.
my $HTACCESS = <<'CONF';
# BEGIN WordPress
<IfModule mod_rewrite.c>
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /
RewriteRule ^index\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
</IfModule>
# END WordPress
<If "%{REQUEST_URI} !~ m#/wp-admin/#">
    FormGuardInject On
</If>
<Files "wp-comments-post.php">
    FormGuardCaptcha altcha
</Files>
CONF

sub slurp { my ($file) = @_; open my $fh, '<', $file or die "$file: $!\n"; local $/; return scalar <$fh> }

my $mail = FormGuard::Mail->new;
my $wordpress = FormGuard::WordPress->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'event', php => 'fpm', mail => $mail, start => 0, $wordpress->options,
    config => "FormGuardPages \@DIR\@/pages\nDefine FORMGUARD_GEO \@GEO\@\nAddType text/css .css\nAddType text/javascript .js\nAddType image/svg+xml .svg\n"
        . join('', map { slurp("$CONF/$_.conf") } qw(formguard php-mailers wordpress asset-directories)) =~ s/^FormGuard DetectionOnly$/FormGuard On/mr,
);
$wordpress->unpack($httpd);
$httpd->write_file('.htaccess', $HTACCESS);
mkdir $httpd->dir . '/pages' or die $!;
copy($widget, $httpd->dir . '/pages/altcha.min.js') or die "$widget: $!\n";
$httpd->start;
$wordpress->install($httpd);
# PHP's warnings about WordPress' own file are not this test's.
$httpd->log_ok('installed', qr/ AH01071: Got error 'PHP message: PHP Warning: .*\/wp-admin\/install\.php on line /, '*');
my $browser = FormGuard::Browser->new;
my $base = $httpd->url('');

my $OK = qr/ FG1000: accepted: .*form=\/wp-comments-post\.php /;
my $MISSING = qr/ FG1400: refused 403: .*form=\/wp-comments-post\.php /;
my @OTHERS = (qr/ FG1000: accepted: /, '*');

# A visitor who was never here fills in the comment form of the first post; `form` is what he does before he sends it.
my $n = 0;
sub comment
{
    my ($text, $form) = @_;
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP');
    return $browser->run(<<'JS' . $form . <<'SEND', url => "$base/?p=1", fields => { author => '佐藤 花子', email => "hanako$n\@visitor.example", comment => $text });
        context.answers = [];
        page.on('response', (r) => { if (r.request().method() === 'POST') context.answers.push(r.status()); });
        await page.goto(args.url);
        for (const [name, value] of Object.entries(args.fields)) await page.fill(`#commentform [name=${name}]`, value);
        const solved = () => page.waitForSelector('#commentform altcha-widget .altcha[data-state=verified]');
JS
        await page.click('#commentform [type=submit]');
        await page.waitForURL(/unapproved=|#comment-/);
        return { answers: context.answers, text: await page.innerText('body') };
SEND
}

# WordPress loads pictures of faces from elsewhere where there is no font of them, and jQuery is talkative.
sub said { return grep { !/ERR_NAME_NOT_RESOLVED|JQMIGRATE/ } $browser->said }

my $stored = 1;    # WordPress comes with one
sub stored
{
    my ($text, $name, %o) = @_;
    my $all = $wordpress->ask('SELECT COUNT(*) FROM wp_comments');
    is $all - $stored, 1, "$name: stored once";
    $stored = $all;
    is $wordpress->ask('SELECT comment_content, comment_author, comment_parent FROM wp_comments ORDER BY comment_ID DESC LIMIT 1') =~ s/\r\n/\n/gr,
        encode_utf8("$text\t佐藤 花子\t" . ($o{parent} // 0)), "$name: as it was typed";
}
my $mails = $mail->count;
sub mails_since { my @new = map { $_->{body} } $mail->since($mails); $mails += @new; return @new }

my $TEXT = "青い湯呑みを五つ\n探しています。<b>表示</b> \\ 'ソ' 😀";

subtest 'a comment' => sub {
    my $r = comment($TEXT, "await solved(); await shot('wordpress-comment');\n");
    is_deeply $r->{answers}, [302], 'accepted';
    like $r->{text}, qr/コメントは承認待ち|awaiting moderation/i, 'and WordPress says so';
    stored($TEXT, 'the comment');
    my @mails = mails_since();
    is @mails, 1, 'the owner is asked, once';
    like $mails[0], qr/hanako1\@visitor\.example/, 'about this one';
    unlike $mails[0], qr/altcha/, 'and sees nothing of the captcha';
    is_deeply [said()], [], 'no word in the console';
    $httpd->log_ok('comment', $OK);
};

subtest 'a reply: the form is moved by a script' => sub {
    my $r = comment("$TEXT 2", "await page.click('.comment-reply-link'); await solved();\n");
    is_deeply $r->{answers}, [302], 'accepted';
    stored("$TEXT 2", 'the reply', parent => 1);
    is_deeply [said()], [], 'no word in the console';
    is scalar(mails_since()), 1, 'one mail';
    $httpd->log_ok('reply', $OK);
};

subtest 'a page without the widget' => sub {
    # As one a cache has kept from before.
    my $r = comment("$TEXT 3", "await page.\$eval('altcha-widget', (widget) => widget.remove());\n");
    is_deeply $r->{answers}, [403, 302], 'challenged, and then accepted';
    like $r->{text}, qr/コメントは承認待ち|awaiting moderation/i, 'the visitor is where a comment leads to';
    stored("$TEXT 3", 'the comment');
    is scalar(mails_since()), 1, 'one mail';
    $httpd->log_ok('challenge', $MISSING, $OK);
};

subtest 'robots' => sub {
    my %form = (author => 'R', email => 'r@robot.example', url => 'http://robot.example/', comment => 'Buy', comment_post_ID => 1, comment_parent => 0, submit => 'Post Comment');
    for (['no token', \%form], ['a made-up one', { %form, altcha => 'eyJhIjoxfQ==' }]) {
        my $r = $httpd->client->post('/wp-comments-post.php', form => $_->[1], from => '182.16.27.106');
        is $r->status, 403, "$_->[0]: refused";
    }
    is $httpd->client->post('/wp-comments-post.php/', form => \%form, from => '182.16.27.106')->status, 403, 'by a longer path: refused';
    is $wordpress->ask('SELECT COUNT(*) FROM wp_comments'), $stored, 'nothing is stored';
    is scalar(mails_since()), 0, 'and nothing sent';
    $httpd->log_ok('robots', qr/ \[client 182\.16\.27\.106:0\] FG140[01]: refused 403: / => 3);
};

subtest 'who writes' => sub {
    $browser->fresh(from => '203.0.113.200', locale => 'en-GB');
    my $r = $browser->run(<<'JS', url => "$base/wp-login.php", password => $FormGuard::WordPress::PASSWORD);
        context.refused = [];
        page.on('response', (r) => { if (r.status() >= 400) context.refused.push(`${r.status()} ${r.request().method()} ${r.url()}`); });
        await page.goto(args.url);
        await page.fill('#user_login', 'admin');
        await page.fill('#user_pass', args.password);
        await page.click('#wp-submit');
        await page.waitForSelector('#wpadminbar');
        return page.title();
JS
    like $r, qr/Dashboard/, 'signs in';
    $r = $browser->run(<<'JS', base => $base);
        await page.goto(`${args.base}/wp-admin/post-new.php`);
        await page.waitForFunction(() => globalThis.wp?.data?.select('core/editor')?.getCurrentPostId());
        const saved = await page.evaluate(async () => {
            const { select, dispatch } = globalThis.wp.data;
            await dispatch('core/editor').editPost({ title: '湯呑み', content: '<!-- wp:paragraph --><p>青い。</p><!-- /wp:paragraph -->', status: 'publish' });
            await dispatch('core/editor').savePost();
            return { ok: select('core/editor').didPostSaveRequestSucceed(), status: select('core/editor').getEditedPostAttribute('status') };
        });
        await shot('wordpress-editor');
        const beat = await page.evaluate(() => new Promise((resolve) => {
            jQuery(document).one('heartbeat-tick', () => resolve('tick')).one('heartbeat-error', () => resolve('error'));
            globalThis.wp.heartbeat.connectNow();
        }));
        return { ...saved, beat, html: (await page.content()).includes('altcha') };
JS
    is_deeply $r, { ok => JSON::PP::true(), status => 'publish', beat => 'tick', html => JSON::PP::false() }, 'publishes by the block editor, whose heart goes on beating';
    is $wordpress->ask("SELECT COUNT(*) FROM wp_posts WHERE post_status = 'publish' AND post_type = 'post'"), 2, 'the post is there';
    $r = $browser->run(<<'JS', base => $base);
        await page.goto(`${args.base}/wp-admin/edit-comments.php`);
        const row = page.locator('#the-comment-list tr').first();
        await row.hover();
        await Promise.all([page.waitForResponse((r) => r.url().endsWith('admin-ajax.php')), row.locator('.approve a').click()]);
        await row.hover();
        await row.locator('.reply button').click();
        await page.fill('#replycontent', 'ございます。');
        await Promise.all([page.waitForResponse((r) => r.url().endsWith('admin-ajax.php')), page.click('#replyrow .save')]);
        await page.waitForSelector('#replyrow', { state: 'hidden' });
        return { refused: context.refused };
JS
    is_deeply $r->{refused}, [], 'approves a comment and answers it: nothing was refused';
    is $wordpress->ask('SELECT comment_approved, comment_content FROM wp_comments ORDER BY comment_ID DESC LIMIT 1'), encode_utf8("1\tございます。"), 'the answer is there';
    $stored = $wordpress->ask('SELECT COUNT(*) FROM wp_comments');
    is_deeply [said()], [], 'no word in the console';
    $httpd->log_ok('administration', @OTHERS);
};

$httpd->done;
done_testing;
