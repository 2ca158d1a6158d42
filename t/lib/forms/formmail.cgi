#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A mailer in Perl as they were passed on in the nineties: reads the body itself, knows no multipart, writes its text as
# it came. MAILPROG is what takes the mail.
binmode STDIN;
binmode STDOUT;
read(STDIN, $buffer, $ENV{'CONTENT_LENGTH'});
foreach $pair (split(/&/, $buffer)) {
    ($name, $value) = split(/=/, $pair);
    foreach ($name, $value) {
        tr/+/ /;
        s/%([a-fA-F0-9][a-fA-F0-9])/pack("C", hex($1))/eg;
    }
    push(@names, $name) unless defined $FORM{$name};
    $FORM{$name} .= (defined $FORM{$name} ? "\0" : '') . $value;
}
open(MAIL, "|$ENV{'MAILPROG'}") || die "no mail: $!\n";
binmode MAIL;
print MAIL "To: owner\@shop.example\nFrom: $FORM{'email'}\nSubject: form\nMIME-Version: 1.0\n";
print MAIL "Content-Type: text/plain; charset=Shift_JIS\nContent-Transfer-Encoding: 8bit\n\n";
foreach $name (@names) {
    ($text = $FORM{$name}) =~ s/\0/, /g;
    $text =~ s/\r\n/\n/g;
    print MAIL "$name = $text\n";
}
close(MAIL);
print "Content-type: text/html\n\n<html><head><title>", $? == 0 ? 'THANK YOU' : 'ERROR', "</title></head><body>OK</body></html>\n";
