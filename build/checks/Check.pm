# SPDX-License-Identifier: Apache-2.0
# What the checks of the sources share. A check collects sentences with problem() and ends with
# done(), which prints them and says by its exit status whether there were any.
package Check;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(top sources slurp without_comments problem done give_up);

my @problems;

# The source tree: $srcdir as automake exports it, or the current folder.
sub top { return $ENV{srcdir} || '.' }

sub give_up {
    my ($why) = @_;
    my ($name) = $0 =~ m{([^/]+)\z};
    print "$name: $why\n";
    exit 1;
}

sub slurp {
    my ($file) = @_;
    my $path = $file =~ m{^/} ? $file : top() . "/$file";
    open my $in, '<', $path or give_up("$path can't be read: $!");
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

# The .c and .h files under folders of the tree, as paths from its top. None is a fault.
sub sources {
    my @folders = @_;
    my @found;
    while (defined(my $folder = shift @folders)) {
        opendir my $dir, top() . "/$folder" or give_up("$folder can't be read: $!");
        for my $name (sort grep { !/^\./ } readdir $dir) {
            my $path = "$folder/$name";
            if (-d top() . "/$path") { push @folders, $path }
            elsif ($name =~ /\.[ch]\z/) { push @found, $path }
        }
    }
    give_up('there are no sources to check') unless @found;
    return @found;
}

# C with comments blanked, and the text in literals too unless $keep; lines stay where they were.
sub without_comments {
    my ($text, $keep) = @_;
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')}{
        defined $1 ? $1 =~ s/[^\n]/ /gr
            : $keep ? $2
            : substr($2, 0, 1) . ' ' x (length($2) - 2) . substr($2, -1)
    }gse;
    return $text;
}

sub problem { push @problems, @_; return }

sub done {
    my ($looked_at) = @_;
    my ($name) = $0 =~ m{([^/]+)\z};
    print "$_\n" for @problems;
    printf "%s: %s, %d problem%s\n", $name, $looked_at, scalar @problems, @problems == 1 ? '' : 's';
    exit(@problems ? 1 : 0);
}

1;
