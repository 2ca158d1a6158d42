# SPDX-License-Identifier: Apache-2.0
package FormGuard::Mail;

=head1 NAME

FormGuard::Mail - a real SMTP sink and a real sendmail program that delivers to it

=head1 SYNOPSIS

    my $mail = FormGuard::Mail->new;                  # starts Postfix's smtp-sink on a free loopback port
    my $httpd = FormGuard::Httpd->new(mail => $mail, php => 'mod', mpm => 'prefork');
    my $mark = $mail->count;
    ... post ...
    is $mail->count - $mark, 2;                       # final, see below
    my @new = $mail->since($mark);                    # oldest first (tell two of one request apart by {to})
    $new[0]{to}; $new[0]{subject}; $new[0]{body};     # MIME words, base64 and quoted-printable decoded (octets)
    $new[0]->{headers}{'reply-to'}; $new[0]{raw};
    $mail->wait_for(2, 10);                           # only for mail sent by something that does not wait

smtp-sink writes and closes the file of a message before it answers the final "." with 250, and msmtp
ends after that answer, and PHP's mail() ends after msmtp. So when a form that calls mail() has answered
over HTTP, the count is final: no more mails come from that request. t/http/harness.t holds this.

=cut

use strict;
use warnings;
use FormGuard::Process;
use MIME::Base64 ();
use MIME::QuotedPrint ();
use Time::HiRes ();

sub new
{
    my ($class, %o) = @_;
    my $dir = $o{dir} || FormGuard::Process::private_dir();
    my $self = bless { dir => $dir, seen => [], known => {} }, $class;
    my $user = FormGuard::Process::server_user();
    mkdir "$dir/mail" or die "$dir/mail: $!\n" if !-d "$dir/mail";
    chown((getpwnam $user)[2, 3], "$dir/mail") if $user;

    for my $try (1 .. 5) {
        my $port = FormGuard::Process::free_port();
        my $p = FormGuard::Process->start(
            cmd => ['smtp-sink', '-4', '-m', 1000, '-d', "$dir/mail/%s.", "127.0.0.1:$port", 1000],
            out => "$dir/smtp-sink.out", user => $user, dir => "$dir/mail", detach => $o{detach}
        );
        eval {
            FormGuard::Process::wait_until(
                sub { !$p->alive || FormGuard::Process::port_open($port) }, 10, 'smtp-sink');
        };
        if ($p->alive) {
            @$self{qw(port process)} = ($port, $p);
            last;
        }
    }
    die "smtp-sink did not start\n" if !$self->{process};

    open my $fh, '>', "$dir/msmtprc" or die "$dir/msmtprc: $!\n";
    print $fh "account default\nhost 127.0.0.1\nport $self->{port}\nfrom www-data\@shop.example\n"
        . "tls off\nauth off\nset_from_header auto\n";
    close $fh or die "$dir/msmtprc: $!\n";
    return $self;
}

sub port    { return $_[0]{port} }
sub process { return $_[0]{process} }
sub dir     { return "$_[0]{dir}/mail" }

# For php.ini.
sub sendmail_path
{
    my ($self) = @_;
    my $msmtp = FormGuard::Process::in_path('msmtp') or die "msmtp is not installed\n";
    # msmtp hangs with AddressSanitizer's runtime loaded into it.
    my $clean = $ENV{FORMGUARD_PRELOAD} ? FormGuard::Process::in_path('env') . ' -u LD_PRELOAD ' : '';
    return "$clean$msmtp -C $self->{dir}/msmtprc -t -i";
}

# A file is made at MAIL FROM and filled when the message ends: empty ones are not delivered.
sub _scan
{
    my ($self) = @_;
    opendir my $dh, $self->dir or die $self->dir . ": $!\n";
    my @new = grep { !/^\./ && !$self->{known}{$_} && -s $self->dir . "/$_" } readdir $dh;
    my %time = map { $_ => (Time::HiRes::stat($self->dir . "/$_"))[9] } @new;
    for my $name (sort { $time{$a} <=> $time{$b} || $a cmp $b } @new) {
        $self->{known}{$name} = 1;
        push @{$self->{seen}}, $name;
    }
}

sub count
{
    my ($self) = @_;
    $self->_scan;
    return scalar @{$self->{seen}};
}

sub since
{
    my ($self, $mark) = @_;
    my $n = $self->count;
    return map { $self->_read($self->{seen}[$_]) } ($mark || 0) .. $n - 1;
}

sub wait_for
{
    my ($self, $count, $seconds) = @_;
    FormGuard::Process::wait_until(sub { $self->count >= $count }, $seconds || 10, "$count mail(s)");
    return $self->count;
}

sub _read
{
    my ($self, $name) = @_;
    open my $fh, '<:raw', $self->dir . "/$name" or die "$name: $!\n";
    my $raw = do { local $/; <$fh> };
    $raw =~ s/\r\n/\n/g;
    my ($head, $body) = split /\n\n/, $raw, 2;
    my $h = _headers($head);
    return {
        raw => $raw,
        headers => $h,
        from => $h->{from} // '',
        to => $h->{to} // '',
        subject => $h->{subject} // '',
        rcpt => [$head =~ /^X-Rcpt-Args: <(.*?)>/mg],
        body => _decode($h, $body // '')
    };
}

sub _headers
{
    my ($head) = @_;
    $head =~ s/\n[ \t]+/ /g;
    my %h;
    for (split /\n/, $head) {
        my ($k, $v) = /^([^:\s]+):\s*(.*)$/ or next;
        $v =~ s{(\?=)\s+(=\?)}{$1$2}g;
        $v =~ s/=\?utf-8\?B\?([^?]*)\?=/MIME::Base64::decode($1)/gie;
        $h{lc $k} = $v;
    }
    return \%h;
}

# The text of a mail; of a multipart one the decoded parts, one after the other.
sub _decode
{
    my ($h, $body) = @_;
    if (($h->{'content-type'} // '') =~ m{^multipart/.*boundary="?([^";]+)}i) {
        my @parts = split /^--\Q$1\E(?:--)?\n/m, $body;
        shift @parts;
        return join "\n", map {
            my ($ph, $pb) = split /\n\n/, $_, 2;
            _decode(_headers($ph), $pb // '')
        } grep { /\S/ } @parts;
    }
    my $how = lc($h->{'content-transfer-encoding'} // '');
    return MIME::Base64::decode($body) if $how eq 'base64';
    return MIME::QuotedPrint::decode($body) if $how eq 'quoted-printable';
    return $body;
}

1;
