#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Mail forms of the old kind, whose HTML and scripts nobody opens, under FormGuardInject and the captcha built in: in
# Shift_JIS, in Perl, with a confirmation screen. What was typed reaches the owner as it always did, once, with the
# widget in the page and without it.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use Encode qw(decode encode encode_utf8);
use File::Copy qw(copy);
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";

# Of `text` the second byte of many letters is a backslash in Shift_JIS.
my $ROWS = <<'HTML';
<TR><TD>品名</TD><TD><INPUT TYPE="text" NAME="品名" SIZE="40"></TD></TR>
<TR><TD>E-mail</TD><TD><INPUT TYPE="text" NAME="email" SIZE="40"></TD></TR>
<TR><TD>種類</TD><TD><INPUT TYPE="checkbox" NAME="kind[]" VALUE="湯呑み">湯呑み <INPUT TYPE="checkbox" NAME="kind[]" VALUE="皿">皿</TD></TR>
<TR><TD VALIGN="top">ご要望</TD><TD><TEXTAREA NAME="要望" ROWS="5" COLS="40"></TEXTAREA></TD></TR>
<TR><TD COLSPAN="2" ALIGN="center"><INPUT TYPE="submit" VALUE="　送　信　"> <INPUT TYPE="reset" VALUE="リセット"></TD></TR>
HTML

sub page
{
    my ($action, $form) = @_;
    return encode('cp932', "<HTML>\n<HEAD>\n<META HTTP-EQUIV=\"Content-Type\" CONTENT=\"text/html; charset=Shift_JIS\">\n<TITLE>ご注文</TITLE>\n</HEAD>\n"
        . "<BODY BGCOLOR=\"#ffffff\">\n<H2>表示のとおりご注文ください</H2>\n$form</BODY>\n</HTML>\n");
}
sub around { my ($action) = @_; return page($action, "<FORM ACTION=\"$action\" METHOD=\"POST\">\n<TABLE BORDER>\n$ROWS</TABLE>\n</FORM>\n") }

sub slurp { my ($file) = @_; open my $fh, '<:utf8', $file or die "$file: $!\n"; local $/; return scalar <$fh> }

my $mail = FormGuard::Mail->new;
my $httpd = FormGuard::Httpd->new(
    mpm => 'prefork', php => 'mod', mail => $mail, start => 0, ini => { extension => 'mbstring' },
    config => "FormGuardPages \@DIR\@/pages\nSetEnv MAILPROG \"${\ $mail->sendmail_path}\"\n",
    files => {
        'favicon.ico' => '',
        '.htaccess' => "FormGuard On\nFormGuardPath *.php *.cgi\nFormGuardCaptcha altcha\nFormGuardInject On\n",
        'order.html' => around('old_mailer.php'),
        'old_mailer.php' => encode('cp932', slurp(FormGuard::Httpd::forms_dir() . '/old_mailer.php')),
        'perl.html' => around('formmail.cgi'), 'formmail.cgi' => \'formmail.cgi',
        'reserve.php' => \'reserve.php',
        'cleared/.htaccess' => "FormGuardCaptchaClearance 30m uses=3\n", 'cleared/reserve.php' => \'reserve.php',
    },
);
mkdir $httpd->dir . '/pages' or die $!;
copy($widget, $httpd->dir . '/pages/altcha.min.js') or die "$widget: $!\n";
$httpd->start;
my $browser = FormGuard::Browser->new;

my $OK = qr/ FG1000: accepted: /;
my $MISSING = qr/ FG1400: refused 403: /;
my %FIELDS = ('品名' => '能面・表示用ソケット～', email => 'hanako@visitor.example', '要望' => "暴れる竹\n予約、貼り紙 \\100\n十");

my $n = 0;
sub open_form
{
    my ($path, $fields) = @_;
    $browser->fresh(from => '203.0.113.' . ++$n, locale => 'ja-JP');
    $browser->run(<<'JS', url => $httpd->url($path), fields => $fields);
        context.answers = [];
        page.on('response', (r) => { if (r.request().method() === 'POST') context.answers.push(r.status()); });
        await page.goto(args.url);
        for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=${name}]`, value);
        for (const box of await page.$$('[type=checkbox][name]:not([name=""])')) await box.check();
JS
}
my $SOLVED = "await page.waitForSelector('altcha-widget .altcha[data-state=verified]');\n";
my $REMOVED = "await page.\$eval('altcha-widget', (widget) => widget.remove());\n";

my $mails = $mail->count;
sub mails_since { my @new = $mail->since($mails); $mails += @new; return @new }
sub errors { return grep { !/the server responded with a status of 403/ } $browser->said }

my $PRESS = <<'JS';
    await page.click('[type=submit]');
    await page.waitForFunction((title) => document.title === title, args.title);
    return { answers: context.answers, text: await page.innerText('body') };
JS

# What the old mailers print of %FIELDS and the boxes.
my $ORDER = "【品名】\n$FIELDS{'品名'}\n【email】\n$FIELDS{email}\n【kind】\n湯呑み・皿\n【要望】\n$FIELDS{'要望'}\n";

for (['with the widget', $SOLVED, [200], $OK], ['without it', $REMOVED, [403, 200], $MISSING, $OK]) {
    my ($how, $js, $answers, @log) = @$_;
    subtest "Shift_JIS, $how" => sub {
        open_form('/order.html', \%FIELDS);
        my $r = $browser->run("${js}await shot('software-sjis');$PRESS", title => '送信しました');
        is_deeply $r->{answers}, $answers, 'accepted';
        like $r->{text}, qr/能面・表示用ソケット～ を承りました/, 'the thanks are right';
        my @mails = mails_since();
        is @mails, 1, 'one mail';
        is decode('iso-2022-jp', $mails[0]{body}) =~ s/\s*\z/\n/r =~ tr/\x{301c}/～/r, $ORDER, 'which holds what was typed, and nothing else';
        is_deeply [errors()], [], 'no word in the console';
        $httpd->log_ok('log', @log);
    };

    subtest "a CGI program in Perl, $how" => sub {
        open_form('/perl.html', \%FIELDS);
        is_deeply $browser->run($js . $PRESS, title => 'THANK YOU')->{answers}, $answers, 'accepted';
        my @mails = mails_since();
        is @mails, 1, 'one mail';
        is $mails[0]{body} =~ s/\n*\z/\n/r, encode('cp932', "品名 = $FIELDS{'品名'}\nemail = $FIELDS{email}\nkind[] = 湯呑み, 皿\n要望 = $FIELDS{'要望'}\n"), 'byte for byte';
        $httpd->log_ok('log', @log);
    };
}

my %RESERVE = (name => '佐藤 花子', email => 'hanako@visitor.example', date => '12月1日', message => "窓際 <b>& \"席\"\nを");
my $TEXT = join '', map { "$_->[0]: " . ($RESERVE{$_->[1]} =~ s/\n/\r\n/r) . "\n" } ['お名前', 'name'], ['メールアドレス', 'email'], ['ご希望日', 'date'], ['ご要望', 'message'];

for (['', $SOLVED, [200], $OK], ['', $REMOVED, [403, 200], $MISSING, $OK], ['/cleared', $SOLVED, [200], $OK], ['/cleared', $REMOVED, [403, 200], $MISSING, $OK]) {
    my ($dir, $js, $answers, @log) = @$_;
    subtest 'a confirmation screen' . ($dir && ', with clearance') . ($js eq $REMOVED ? ', without the widget' : '') => sub {
        open_form("$dir/reserve.php", \%RESERVE);
        my $r = $browser->run(<<'JS' =~ s/JS;/$js/r, dir => $dir);
            JS;
            await page.click('[value=confirm]');
            await page.waitForFunction(() => document.title === '内容のご確認');
            await shot(`software-confirm${args.dir.replace('/', '-')}`);
            return { answers: context.answers.splice(0), widgets: await page.locator('altcha-widget').count() };
JS
        is_deeply $r->{answers}, $answers, 'entered: accepted';
        is scalar(mails_since()), 0, 'no mail yet';
        is $r->{widgets}, $dir ? 0 : 1, $dir ? 'nothing is asked for at the second step' : 'the second step is asked, too';
        $r = $browser->run(<<'JS');
            await page.click('[value=back]');
            await page.waitForFunction(() => document.title === 'ご予約');
            const message = await page.inputValue('[name=message]');
            await page.click('[value=confirm]');
            await page.waitForFunction(() => document.title === '内容のご確認');
            await page.click('[value=send]');
            await page.waitForFunction(() => document.title === '送信完了');
            return { answers: context.answers, message };
JS
        is_deeply $r->{answers}, [200, 200, 200], 'back, looked at again, and sent';
        is $r->{message}, $RESERVE{message}, 'what was entered is there when it is changed';
        my @mails = mails_since();
        is @mails, 1, 'one mail';
        is $mails[0]{body}, encode_utf8("$TEXT(mode)\n"), 'with what was entered, and nothing of the captcha';
        is_deeply [errors()], [], 'no word in the console';
        $httpd->log_ok('log', @log, $OK => 3);
    };
}

subtest 'robots' => sub {
    my $client = $httpd->client(from => '182.16.27.106');
    for (['/old_mailer.php', { email => 'r@robot.example' }], ['/formmail.cgi', { email => 'r@robot.example' }], ['/reserve.php', { name => 'R', mode => 'send' }]) {
        my ($path, $form) = @$_;
        is $client->post($path, form => $form)->status, 403, "$path: refused";
    }
    is scalar(mails_since()), 0, 'no mail';
    $httpd->log_ok('log', $MISSING => 3);
};

$httpd->done;
done_testing;
