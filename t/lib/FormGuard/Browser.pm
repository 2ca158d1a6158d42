# SPDX-License-Identifier: Apache-2.0
package FormGuard::Browser;

=head1 NAME

FormGuard::Browser - Chromium, as visitors use it, for one test

=head1 SYNOPSIS

    use FormGuard::Browser;
    my $browser = FormGuard::Browser->new(hosts => ['shop.example']);    # names that are 127.0.0.1 to it
    $browser->fresh(from => '203.0.113.7', locale => 'ja-JP');           # a visitor who was never here
    my $title = $browser->run(<<'JS', url => $httpd->url('/contact.php'));
        await page.goto(args.url);
        await shot('contact');                        // build/out/screens/contact.png
        return page.title();
    JS
    is_deeply $browser->run('return axe()'), [], 'nothing that keeps people out';
    is_deeply [$browser->said], [], 'no word in the console';

The code is the body of an async function of JavaScript that runs in Node.js beside playwright-core: its C<page>,
C<context> and C<browser> are what L<https://playwright.dev/docs/api/class-page> tells of; C<args> is what was given;
C<fresh>, C<shot>, C<axe> and C<said> as above; C<require> finds altcha-lib. What it returns comes back through JSON, what it
throws makes C<run> die with where the page was and what it said. Times out after 20 s a step.

C<fresh> takes what browser.newContext() takes, and C<from>, the client address (X-Forwarded-For).
No name but 127.0.0.1 and C<hosts> is resolved. With C<< bfcache => 1 >> pages that are left are kept for the Back button as
they were; playwright can't wait for them (page.goBack), so go by history.back() and look for what is there.

Environment, set by build/test: FORMGUARD_BROWSER, the folder build/fetch filled; FORMGUARD_SCREENS. CHROMIUM names
another browser.

=cut

use strict;
use warnings;
use File::Basename qw(dirname);
use FormGuard::Process;
use IO::Socket::UNIX;
use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical->ascii->allow_nonref;

sub new
{
    my ($class, %o) = @_;
    my $dir = FormGuard::Process::private_dir();
    my $packages = $ENV{FORMGUARD_BROWSER} or die "FORMGUARD_BROWSER is not set (build/test sets it)\n";
    -d "$packages/node_modules/playwright-core" or die "no playwright-core in $packages (build/fetch browser)\n";
    my $chromium = FormGuard::Process::in_path($ENV{CHROMIUM} || ('chromium', 'chromium-browser'))
        or die "chromium is not installed (build/test installs it)\n";
    FormGuard::Process::in_path('node') or die "node is not installed: apt-get install nodejs (build/test does)\n";
    my $screens = $ENV{FORMGUARD_SCREENS} || "$dir/screens";
    my $self = bless { dir => $dir, owner => $$, seconds => 120 }, $class;
    my %options = (hosts => $o{hosts} || [], screens => $screens, chromium => $chromium, bfcache => $o{bfcache} ? \1 : \0,
        timeout => 1000 * FormGuard::Process::patience(20));
    # fontconfig and NSS write below HOME, playwright-core and Chromium below TMPDIR.
    $self->{process} = FormGuard::Process->start(
        cmd => ['node', dirname(__FILE__) . '/../browser-driver', "$dir/socket", $json->encode(\%options)],
        out => "$dir/out", name => 'browser', env => { HOME => "$dir", TMPDIR => "$dir" }
    );
    FormGuard::Process::wait_until(
        sub { !$self->{process}->alive || ($self->{socket} = IO::Socket::UNIX->new(Peer => "$dir/socket")) }, 90, 'Chromium');
    $self->{socket} or die 'Chromium did not start: status ' . $self->{process}->status . "\n" . $self->_out;
    return $self;
}

sub _out
{
    my ($self) = @_;
    open my $fh, '<:utf8', "$self->{dir}/out" or return '';
    local $/;
    return scalar <$fh>;
}

sub run
{
    my ($self, $code, %args) = @_;
    print { $self->{socket} } $json->encode({ code => $code, args => \%args }), "\n";
    my $line = '';
    my $end = time + FormGuard::Process::patience($self->{seconds});
    until ($line =~ /\n\z/) {
        my $ready = '';
        vec($ready, fileno $self->{socket}, 1) = 1;
        my $left = $end - time;
        $left > 0 && select($ready, undef, undef, $left) or die "no answer of the browser in $self->{seconds} s\n";
        sysread $self->{socket}, $line, 65536, length $line or die "the browser ended:\n" . $self->_out;
    }
    my $answer = $json->decode($line);
    die "in the browser: $answer->{error}\n" if defined $answer->{error};
    return $answer->{value};
}

sub fresh
{
    my ($self, %o) = @_;
    return $self->run('await fresh(args)', %o);
}

# What the console of the page was told, and errors nobody caught, since it was asked before.
sub said { return @{ $_[0]->run('return said()') } }

# Hanging up ends the driver, which closes the browser.
sub DESTROY
{
    my ($self) = @_;
    return if $self->{owner} != $$ || !$self->{process};
    local ($?, $@, $!);
    close $self->{socket} if $self->{socket};
    eval { FormGuard::Process::wait_until(sub { !$self->{process}->alive }, 10, 'the end of Chromium') };
    $self->{process}->stop;
}

1;
