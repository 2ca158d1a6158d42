# SPDX-License-Identifier: Apache-2.0
package FormGuard::Sender;

=head1 NAME

FormGuard::Sender - pages whose form is sent in one way or another, and what of it reaches PHP

=head1 SYNOPSIS

    use FormGuard::Sender;
    my $s = FormGuard::Sender->new(pages => { plain => '<form id="f" action="/f/echo.php" method="post">...' });
    $s->sends('plain', 'pressed', "$SOLVED$PRESS", [{ %SENT, send => '1' }]);   # a post each
    $s->done;

The form with the id C<f> is filled in with %TYPED before the given JavaScript runs; %SENT is what PHP gets of that. Forms
that are sent to F</f/echo.php> and F</f/other/echo.php> are guarded, those to F</free.php> are not, and all pages are
under FormGuardInject. Options: C<widgets> (1), C<answers> (200 each) and C<log> expected; C<unguarded>; C<host>; C<before>, code that runs before the page
is opened, whose widget is not waited for then.
Options of new: C<captcha>, lines of F</f/.htaccess>; C<config>, C<files>, C<hosts> as elsewhere; C<host> of the pages.

=cut

use strict;
use warnings;
use utf8;
use Exporter qw(import);
use File::Copy qw(copy);
use FormGuard::Browser;
use FormGuard::Httpd;
use Test::More;

our @EXPORT = qw(%TYPED %SENT $SOLVED $PRESS $ONCE_MORE script on_submit jquery);
our %TYPED = (name => '佐藤 花子', text => "青い <湯呑み>\n& \"皿\"");
our %SENT = (%TYPED, text => $TYPED{text} =~ s/\n/\r\n/r);

# The widget has done its work; the form's button is pressed; after the first post another name is filled in.
our $SOLVED = 'await context.solved();';
our $PRESS = "await (await page.evaluateHandle(() => document.getElementById('f').elements.send)).asElement().click();";
our $ONCE_MORE = "await context.sent(1); await context.fill({ name: 'once more' });";

# Scripts of a page, behind its form.
sub script { my ($how) = @_; return "<script>const form = document.getElementById('f');\n$how</script>" }
sub on_submit { my ($how) = @_; return script("form.addEventListener('submit', (event) => { event.preventDefault(); $how });\n") }
sub jquery { my ($how) = @_; return '<script src="/jquery.min.js"></script><script src="/jquery.form.min.js"></script>' . "<script>jQuery(\$ => $how);</script>" }

my $JQUERY = '/usr/share/wordpress/wp-includes/js/jquery';
my $OK = qr/ FG1000: accepted: /;
my $MISSING = qr/ FG1400: refused 403: /;

sub new
{
    my ($class, %o) = @_;
    my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";
    binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
    my $captcha = $o{captcha} // "FormGuardCaptcha altcha\n";
    my %pages = %{$o{pages}};
    my $httpd = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', start => 0, config => "FormGuardPages \@DIR\@/pages\nAddType text/javascript .js\n" . ($o{config} // ''),
        files => {
            'favicon.ico' => '', '.htaccess' => "FormGuardInject On\n", 'free.php' => \'echo.php',
            'f/.htaccess' => "FormGuard On\nFormGuardPath *.php\n$captcha", 'f/echo.php' => \'echo.php', 'f/other/echo.php' => \'echo.php',
            map({ ("$_.html" => "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>$_</title></head><body>\n$pages{$_}\n</body></html>\n") } keys %pages),
            %{$o{files} || {}},
        },
    );
    mkdir $httpd->dir . '/pages' or die $!;
    copy($widget, $httpd->dir . '/pages/altcha.min.js') or die "$widget: $!\n";
    for my $name (map { "$_.min.js" } qw(jquery jquery.form)) {
        copy("$JQUERY/$name", $httpd->htdocs . "/$name") or die "$JQUERY/$name: $!\n";
    }
    $httpd->start;
    return bless { httpd => $httpd, browser => FormGuard::Browser->new(hosts => $o{hosts} || []), host => $o{host} // '127.0.0.1', n => 0 }, $class;
}

sub httpd   { return $_[0]{httpd} }
sub browser { return $_[0]{browser} }
sub url     { my ($self, $page, $host) = @_; return 'http://' . ($host // $self->{host}) . ':' . $self->{httpd}->port . "/$page.html" }

sub _come
{
    my ($self, $page, %o) = @_;
    $self->{browser}->fresh(from => '203.0.113.' . ++$self->{n}, locale => 'ja-JP');
    $self->{browser}->run(($o{before} // '') . <<'JS', url => $self->url($page, $o{host}), fields => \%TYPED, wait => $o{before} ? 0 : 1);
        context.posts = [];
        page.on('response', (r) => { if (r.request().method() === 'POST') context.posts.push(r.text().then((text) => [r.status(), text], () => [r.status()])); });
        // Until so many posts were accepted; what each of them brought.
        context.sent = async (count) => {
            for (let i = 0; i < 1000; i++) {
                const posts = await Promise.all(context.posts);
                const good = posts.filter(([status]) => status === 200);
                if (good.length >= count && posts.length > 0) return { answers: posts.map(([status]) => status), got: good.map(([, text]) => JSON.parse(text)) };
                await new Promise((resolve) => setTimeout(resolve, 20));
            }
            throw new Error(`sent: ${await Promise.all(context.posts)}`);
        };
        context.fill = async (fields) => {
            for (const [name, value] of Object.entries(fields)) {
                await page.evaluate(([name, value]) => { const field = document.getElementById('f').elements[name]; field.focus(); field.value = value; }, [name, value]);
            }
        };
        context.solved = () => page.locator('altcha-widget .altcha').last().and(page.locator('[data-state=verified]')).waitFor();
        await page.goto(args.url);
        if (args.wait && await page.locator('altcha-widget').count()) await page.waitForSelector('altcha-widget .altcha-main');
        await context.fill(args.fields);
JS
}

sub sends
{
    my ($self, $page, $what, $do, $sent, %o) = @_;
    my $browser = $self->{browser};
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    subtest "$page: $what" => sub {
        $self->_come($page, %o);
        is $browser->run("return page.locator('altcha-widget, input[data-formguard^=recaptcha]').count()"), $o{widgets} // 1, 'widgets';
        my $r = $browser->run("$do\nreturn context.sent(args.count)", count => scalar @$sent);
        is_deeply $r->{answers}, $o{answers} // [map { 200 } @$sent], 'accepted';
        is_deeply [map { $_->{post} } @{$r->{got}}], $sent, 'PHP gets what was typed, and nothing else';
        is_deeply [grep { !/status of 403|ERR_FAILED/ } $browser->said], [], 'no word in the console';
        my $refused = grep { $_ == 403 } @{$r->{answers}};
        $self->{httpd}->log_ok('log', $o{log} ? @{$o{log}} : $refused ? ($MISSING => $refused) : (), $o{unguarded} || !@$sent ? () : ($OK => scalar @$sent));
    };
}

sub done { $_[0]{httpd}->done }

1;
