# SPDX-License-Identifier: Apache-2.0
package FormGuard::Visitor;

=head1 NAME

FormGuard::Visitor - a site with forms, its mail, and people who come to it with Chromium

=head1 SYNOPSIS

    use FormGuard::Visitor;
    my $v = FormGuard::Visitor->new(files => {...}, config => "...", browser => { bfcache => 1 });
    $v->come('/i/contact.php', locale => 'ja-JP');     # somebody new, who fills the form in
    is $v->press, 200, 'accepted';                     # the answer's status
    is $v->mails, 2, 'both mails';                     # since it was asked before
    is $v->owner, ..., 'what the owner got'            # the lines of the fields, and of the file
    $v->httpd->log_ok('log', ...);
    $v->done;

A form at C</i/> has the built-in captcha's widget put into it by FormGuardInject; one at C</c/> has none, so that its
posts get the challenge page. %FIELDS is what everybody types. Of the code that is run in the browser, C<$SOLVED> waits
until the page's last widget has done its work, C<$ARRIVED> until the page that thanks has come.

=cut

use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use Exporter qw(import);
use File::Copy qw(copy);
use FormGuard::Browser;
use FormGuard::Httpd;
use FormGuard::Mail;
use Test::More ();

our @EXPORT = qw(%FIELDS $SOLVED $ARRIVED $OK $MISSING $USED);
our %FIELDS = (name => '佐藤 花子', email => 'hanako@visitor.example', message => "青い湯呑みを五つ\n探しています。");
our $SOLVED = "await page.locator('altcha-widget .altcha').last().and(page.locator('[data-state=verified]')).waitFor();\n";
our $ARRIVED = "await page.waitForFunction(() => document.title === '送信完了');\n";
our $OK = qr/ FG1000: accepted: /;
our $MISSING = qr/ FG1400: refused 403: .* rule="altcha"/;
our $USED = qr/ FG1403: refused 403: .* rule="altcha"/;

my $ASKS = "FormGuard On\nFormGuardPath *.php\nFormGuardCaptcha altcha\n";

sub new
{
    my ($class, %o) = @_;
    my $widget = $ENV{FORMGUARD_WIDGET} or die "FORMGUARD_WIDGET is not set (build/test sets it)\n";
    binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);
    my $self = bless { people => 0, mails => 0, mail => FormGuard::Mail->new }, $class;
    $self->{httpd} = FormGuard::Httpd->new(
        mpm => 'prefork', php => 'mod', mail => $self->{mail}, start => 0, modules => $o{modules}, clock => $o{clock},
        config => "FormGuardPages \@DIR\@/pages\n" . ($o{config} // ''),
        files => {
            'favicon.ico' => '',
            'i/.htaccess' => "${ASKS}FormGuardInject On\n", 'i/contact.php' => \'contact.php',
            'c/.htaccess' => $ASKS, 'c/contact.php' => \'contact.php',
            %{$o{files} || {}},
        },
    );
    mkdir $self->{httpd}->dir . '/pages' or die $!;
    copy($widget, $self->{httpd}->dir . '/pages/altcha.min.js') or die "$widget: $!\n";
    $self->{httpd}->start;
    $self->{browser} = FormGuard::Browser->new(%{$o{browser} || {}});
    return $self;
}

# What the .htaccess of a form says that asks for the captcha.
sub asks    { return $ASKS }
sub httpd   { return $_[0]{httpd} }
sub browser { return $_[0]{browser} }

sub run
{
    my ($self, $code, %args) = @_;
    return $self->{browser}->run($code, fields => \%FIELDS, %args);
}

# What the form's fields are filled with, by name.
my $FILL = <<'JS';
    await page.goto(args.url, { waitUntil: 'domcontentloaded' });
    if (args.widget) await page.waitForSelector('altcha-widget .altcha-main');
    for (const [name, value] of Object.entries(args.fields)) await page.fill(`[name=${name}]`, value);
JS

# Somebody new on a page, who has filled in its form.
sub come
{
    my ($self, $path, %o) = @_;
    my $host = delete $o{host} // '127.0.0.1';
    my $before = delete $o{before} // '';
    $self->{browser}->fresh(from => '203.0.113.' . ++$self->{people}, locale => 'ja-JP', %o);
    my $script = !exists $o{javaScriptEnabled} && $path !~ m{^/c/} && !$before;
    $self->run($before . $FILL, url => "http://$host:" . $self->{httpd}->port . $path, widget => $script ? 1 : 0);
}

# Presses the form's button. @return the status of the answer
sub press
{
    my ($self, $button) = @_;
    return $self->run(<<'JS', button => $button // '[name=send]');
        const [answer] = await Promise.all([page.waitForResponse((r) => r.request().method() === 'POST'), page.click(args.button)]);
        await page.waitForLoadState();
        return answer.status();
JS
}

# A file to be attached: on disk, where the browser finds it again after going back.
sub file
{
    my ($self, $name, $bytes) = @_;
    my $path = $self->{httpd}->dir . "/$name";
    open my $fh, '>:raw', encode_utf8($path) or die "$name: $!\n";
    print $fh $bytes;
    close $fh or die "$name: $!\n";
    return $path;
}

# How many mails there are that were not there before; owner() looks at the same.
sub mails
{
    my ($self) = @_;
    $self->{new} = [ $self->{mail}->since($self->{mails}) ];
    $self->{mails} += @{$self->{new}};
    return scalar @{$self->{new}};
}

# The mails to the owner among those, as their fields.
sub owners
{
    my ($self) = @_;
    return map {
        my $text = $_->{body};
        utf8::decode($text);
        $text =~ s/\r\n/\n/g;
        +{ $text =~ /【(\w+)】 (.*?)\n(?=【|\n)/sg }
    } grep { $_->{to} =~ /owner/ } @{$self->{new}};
}

sub owner { return ($_[0]->owners)[-1] }

# What the console was told but for statuses of answers, which Chromium calls errors.
sub errors
{
    my ($self) = @_;
    return [ grep { !/the server responded with a status of (?:403|429)/ } $self->{browser}->said ];
}

sub done
{
    my ($self) = @_;
    $self->{httpd}->done;
}

1;
