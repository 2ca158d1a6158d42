#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# build/demo: what it says of visitors and robots is so, and what its front page leads to can be seen in a browser.
use strict;
use warnings;
use utf8;
use lib 't/lib', '../lib';
use FormGuard::Browser;
use FormGuard::ErrorLog;
use FormGuard::Process;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
my $dir = FormGuard::Process::private_dir();
my $state = "$dir/demo.state";
my $port = FormGuard::Process::free_port();
my $lib = $INC{'FormGuard/Process.pm'} =~ s{/FormGuard/Process\.pm\z}{}r;

# What build/demo does when all is built.
sub demo
{
    my ($what, @args) = @_;
    open my $pipe, '-|', $^X, "-I$lib", '-MFormGuard::Demo', '-e', "FormGuard::Demo::$what(\@ARGV)", @args or die "demo: $!\n";
    binmode $pipe, ':encoding(UTF-8)';
    my $out = do { local $/; <$pipe> };
    close $pipe;
    return ($? >> 8, $out);
}
END { local $?; demo('stop', $state) if $state && -f $state }

my ($exit, $out) = demo('run', $state, $port, 'mod');
is $exit, 0, 'it runs' or BAIL_OUT($out);
my ($mails) = $out =~ /^Mails:  (\S+)/m;
my ($log) = $out =~ /^Log:    (\S+)/m;
sub mails { return scalar grep { -s } glob "$mails/*" }

subtest 'what it says' => sub {
    my $at = "http://127.0.0.1:$port/";
    for my $claim (qr/6 posts from 5 addresses, 6 accepted, 12 mails/, qr/challenged \(403\).* \(200\), 2 mails/, qr/: 200 200 429\. /,
        qr/^    Too many messages$/m, qr/^    429 Too Many Requests .* Reference number: \w{4}-\w{4}$/m, qr/telephone 03-0000-0000/,
        qr/400 posts, refused with 403 \d+, refused with 429 3\d\d\.\n0 mails got through/, qr/ FG1000: accepted: /, qr/ FG1400: refused 403: /,
        qr/ FG1100: refused 429: .* rule="form 2\/1d /) {
        like $out, $claim, "it says $claim";
    }
    is mails(), 18, 'six posts, one that was challenged and two before the limit: two mails each';
    is_deeply [$out =~ /^    (\Q$at\E\S*) /mg], ["${at}contact.html", "${at}challenge/contact.html", "${at}full/contact.html", "${at}formguard-status"], 'what to look at';
    is((demo('running', $state))[1], '', 'it goes on running');
};

my $browser = FormGuard::Browser->new;
my $front = "http://127.0.0.1:$port/";
my $FILL = <<'JS';
    await page.goto(args.front);
    await page.click(`a[href="${args.link}"]`);
    for (const [name, value] of Object.entries({ name: '佐藤 花子', email: 'hanako@visitor.example', message: '在庫はありますか。' })) await page.fill(`[name=${name}]`, value);
JS
my $THANKS = "await page.waitForFunction(() => document.title === '送信完了'); return page.title();\n";
my $SENT = "送信完了";

subtest 'the front page' => sub {
    $browser->fresh(from => '127.0.0.1', locale => 'en-GB');
    my $links = $browser->run(<<'JS', front => $front);
        await page.goto(args.front);
        await shot('demo');
        return page.$$eval('a', (all) => all.map((a) => a.href));
JS
    is_deeply $links, [map { "$front$_" } qw(contact.html challenge/contact.html full/contact.html formguard-status formguard-status?json formguard-status?prometheus)],
        'leads to a form, a challenge, a refusal, and the status page';
    is_deeply $browser->run('return axe()'), [], 'and keeps nobody out';
};

subtest 'the form' => sub {
    my $before = mails();
    is $browser->run($FILL . <<"JS", front => $front, link => '/contact.html'), $SENT, 'filled in and sent';
        await page.locator('altcha-widget .altcha[data-state=verified]').waitFor();
        await shot('demo-form');
        await page.click('[type=submit]');
        $THANKS
JS
    is mails(), $before + 2, 'two mails';
};

subtest 'the challenge' => sub {
    my $before = mails();
    is $browser->run("${FILL}await page.click('[type=submit]');\n$THANKS", front => $front, link => '/challenge/contact.html'), $SENT, 'the form: challenged, solved, sent';
    is $browser->run("await page.goto(args.front); await page.click('button >> nth=0');\n$THANKS", front => $front), $SENT, 'the button, too';
    is mails(), $before + 4, 'two mails each';
};

subtest 'the refusal' => sub {
    my $before = mails();
    for my $how ("${FILL}await page.click('[type=submit]');", "await page.goto(args.front); await page.click('button >> nth=1');") {
        like $browser->run("$how await page.waitForLoadState(); return page.innerText('main')", front => $front, link => '/full/contact.html'),
            qr/\AToo many messages\n.*in 2\d hours .*telephone 03.*Reference number: /s, 'says what a visitor has to know';
    }
    is mails(), $before, 'no mail';
};

subtest 'the status page' => sub {
    like $browser->run('await page.goto(args.front); await page.click(`a[href="/formguard-status"]`); await shot("demo-status"); return page.innerText("body")', front => $front),
        qr{/tw/tw_contact\.php}, 'knows of the forgotten mailer';
};
is_deeply [grep { !/ responded with a status of (?:403|429)/ } $browser->said], [], 'no word in the console';

subtest 'its end' => sub {
    my @lines = FormGuard::ErrorLog->new($log, steps => 0)->news(0);
    is_deeply [FormGuard::ErrorLog::judge(\@lines, qr/ FG(?:1000|1009|1100|1400|2404)\b/ => '*')], [], 'error_log holds nothing else';
    my ($stopped, $said) = demo('stop', $state);
    is "$stopped $said", "0 stopped.\n", 'it stops';
    ok !FormGuard::Process::port_open($port) && !-e $mails && !-e $state, 'and leaves nothing';
};

done_testing;
