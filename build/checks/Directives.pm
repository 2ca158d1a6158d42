# SPDX-License-Identifier: Apache-2.0
# The directives as the code takes them: core's table and the module's own. What is written about
# them (README, the manual) is compared with this.
package Directives;
use strict;
use warnings;
use Check;
use Exporter 'import';
our @EXPORT = qw(code_directives);

my $string = qr/"((?:[^"\\]|\\.)*)"/;
my $text = qr/((?:"(?:[^"\\]|\\.)*"\s*)+)/;    # literals side by side are one
my %letter = (SERVER => 'S', VHOST => 'V', SECTION => 'L', DIR => 'D');

# core's rows: X("Name", DIR, parser, field, "syntax", "default")
sub of_core
{
    my @found;
    my $table = slurp('mod_formguard/core/policy_directives.h') =~ s/\\\n/\n/gr;
    while ($table =~ /\bX\(\s*$string\s*,\s*(\w+)\s*,\s*\w+\s*,\s*\w+\s*,\s*$text,\s*$text\)/g) {
        my ($name, $context, @texts) = ($1, $2, $3, $4);
        my ($syntax, $default) = map { join '', /$string/g } @texts;
        push @found, {
            name    => $name,
            context => $letter{$context} || "unknown ($context)",
            syntax  => $syntax,
            default => $default,
        };
    }
    my $rows = () = $table =~ /\bX\(\s*"/g;
    give_up("policy_directives.h has $rows rows, " . @found . ' of them readable by this check')
        unless $rows && $rows == @found;
    return @found;
}

# the module's own: AP_INIT_TAKE1("Name", set_x, NULL, RSRC_CONF, "syntax; default: x")
sub of_module
{
    my @found;
    my $config = without_comments(slurp('mod_formguard/httpd/config.c'), 1);
    my $rows = () = $config =~ /\bAP_INIT_\w+\(\s*"/g;
    while ($config =~ /\bAP_INIT_\w+\(\s*$string\s*,\s*(\w+)\s*,[^,]+,[^,]+,\s*((?:$string\s*)+)\)/g) {
        my ($name, $setter, $help) = ($1, $2, $3);
        $rows--;
        $help = join '', $help =~ /$string/g;
        my ($syntax, $default) = $help =~ /^(.*); default: (.*)$/;
        if (!defined $syntax) {
            problem("config.c: the text of $name is not 'syntax; default: x' but '$help'");
            next;
        }
        my ($body) = $config =~ /^static const char \*\Q$setter\E\(.*?\n\{\n(.*?)^\}/ms
            or give_up("config.c has no function $setter for $name");
        push @found, {
            name    => $name,
            context => $body =~ /\bGLOBAL_ONLY\b/ ? 'S' : 'V',
            syntax  => $syntax,
            default => $default,
        };
    }
    give_up("config.c has $rows rows that this check can't read") if $rows;
    return @found;
}

# { name, context (S, V, L or D), syntax, default } of each, in the order of the tables.
sub code_directives
{
    my @all = (of_core(), of_module());
    my %once;
    for my $directive (@all) {
        give_up("$directive->{name} is in the code's tables twice") if $once{ $directive->{name} }++;
    }
    return @all;
}

1;
