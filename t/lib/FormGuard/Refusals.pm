# SPDX-License-Identifier: Apache-2.0
package FormGuard::Refusals;

=head1 NAME

FormGuard::Refusals - adds up what error_log tells of refusals, where not each of them has a line

=head1 SYNOPSIS

    use FormGuard::Refusals;
    my $httpd = FormGuard::Httpd->new(config => FormGuard::Refusals::CONFIG, loglevel => 'warn formguard:info', ...);
    ... posts ...
    FormGuard::Refusals::told_ok($httpd, 'refusals', FG1100 => 990, FG1220 => 12);

C<told_ok> holds, for each tag: the lines in error_log are as many as the module says it has written; lines and
suppressed ones are the refusals; what C<suppressed=> and FG1009 lines tell, with what is left to be told, is
what was suppressed. And no other tag has any. C<read> returns these figures:

    { lines => { tag => n }, told => { tag => n }, written => { tag => n }, suppressed => { tag => n }, untold => n }

=cut

use strict;
use warnings;
use List::Util qw(sum0);
use Test::Builder;

use constant PATH => '/formguard-status';
# Outside the document root, whose .htaccess would keep the page from being shown.
use constant CONFIG => 'Alias ' . PATH . " \@DIR\@/run/status\n<Directory \@DIR\@/run>\nRequire all granted\n</Directory>\n"
    . '<Location ' . PATH . ">\nSetHandler formguard-status\nFormGuard Off\n</Location>\n";

my $LINE = qr/ \[formguard:(?:notice|warn|error)\] .*?\] (FG\d{4}): (?:refused|would refuse|logged only) /;
my $SUMMARY = qr/ \[formguard:(?:notice|warn|error)\] \[pid [^]]+\] FG1009: suppressed (\d+) lines of (FG\d{4}) \([^()]+\) of (?:client [0-9a-f.:]+(?:\/64)?|\d+ clients)$/;

sub _status
{
    my ($httpd) = @_;
    my $r = $httpd->client->get(PATH . '?json');
    $r->status == 200 or die PATH . ': ' . $r->status . "\n";
    return $r->json;
}

sub _count
{
    my ($lines) = @_;
    my %got = (lines => {}, told => {}, summaries => 0);
    for my $line (@$lines) {
        if ($line =~ $SUMMARY) {
            $got{told}{$2} += $1;
            $got{summaries}++;
        }
        elsif ($line =~ $LINE) {
            my $tag = $1;
            $got{lines}{$tag}++;
            $got{told}{$tag} += $1 if $line =~ / suppressed=(\d+)(?:, referer: .*)?$/;
        }
    }
    return \%got;
}

sub read
{
    my ($httpd) = @_;
    # A summary may be written between the two.
    for (1 .. 20) {
        my $before = _status($httpd);
        my $got = _count([$httpd->log->since(0)]);
        my $after = _status($httpd);
        next if $before->{lines_suppressed_untold} != $after->{lines_suppressed_untold};
        $got->{untold} = $after->{lines_suppressed_untold};
        for my $v (@{$after->{verdicts}}) {
            for my $what (qw(written suppressed)) {
                $got->{$what}{$v->{tag}} = $v->{"lines_$what"} if $v->{"lines_$what"};
            }
        }
        return $got;
    }
    die "what is untold changes all the time\n";
}

sub told_ok
{
    my ($httpd, $name, %refusals) = @_;
    my $t = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $got = FormGuard::Refusals::read($httpd);
    my %tags = map { $_ => 1 } keys %refusals, map { keys %$_ } @$got{qw(lines told written suppressed)};
    my @bad;
    for my $tag (sort keys %tags) {
        my %n = map { $_ => $got->{$_}{$tag} // 0 } qw(lines told written suppressed);
        my $want = $refusals{$tag} // 0;
        push @bad, "$tag: $n{lines} lines in error_log, $n{written} written" if $n{lines} != $n{written};
        push @bad, "$tag: $n{written} written + $n{suppressed} suppressed, $want refusals" if $n{written} + $n{suppressed} != $want;
        push @bad, "$tag: $n{told} told of $n{suppressed} suppressed" if $n{told} > $n{suppressed};
    }
    my ($told, $suppressed) = map { sum0 values %{$got->{$_}} } qw(told suppressed);
    push @bad, "$told told + $got->{untold} untold of $suppressed suppressed" if $told + $got->{untold} != $suppressed;
    my $ok = $t->ok(!@bad, $name);
    $t->diag(join "\n", @bad) if !$ok;
    return $ok;
}

1;
