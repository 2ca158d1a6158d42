# SPDX-License-Identifier: Apache-2.0
package FormGuard::Httpd::Config;

=head1 NAME

FormGuard::Httpd::Config - finds httpd and its modules, writes httpd.conf

=head1 SYNOPSIS

    FormGuard::Httpd::Config::program();               # /usr/sbin/apache2, /usr/sbin/httpd
    FormGuard::Httpd::Config::module_file('rewrite');  # path, undef when there is none
    FormGuard::Httpd::Config::text($httpd);            # httpd.conf for a FormGuard::Httpd

=cut

use strict;
use warnings;
use FormGuard::Process;

my (%apxs, $program, %static);

sub _apxs
{
    my ($what) = @_;
    return $apxs{$what} if exists $apxs{$what};
    my $apxs = FormGuard::Process::in_path($ENV{APXS} || (), 'apxs', 'apxs2');
    my $value = $apxs ? `$apxs -q $what 2>/dev/null` : '';
    chomp $value;
    return $apxs{$what} = $value;
}

sub program
{
    return $program if $program;
    my ($dir, $name) = (_apxs('SBINDIR'), _apxs('PROGNAME'));
    $program = FormGuard::Process::in_path($dir && $name ? "$dir/$name" : (), qw(apache2 httpd))
        or die "no httpd: install apache2-bin (Debian) or httpd (RHEL)\n";
    return $program;
}

sub is_static
{
    my ($name) = @_;
    if (!%static) {
        my $program = program();
        for my $line (split /\n/, `$program -l`) {
            $static{$1} = 1 if $line =~ /^\s+(?:mod_)?(\w+)\.c$/;
        }
    }
    return $static{$name};
}

sub module_dirs
{
    return grep { length && -d } _apxs('LIBEXECDIR'), qw(/usr/lib/apache2/modules /usr/lib64/httpd/modules);
}

sub module_file
{
    my ($name) = @_;
    for my $dir (module_dirs()) {
        return "$dir/mod_$name.so" if -f "$dir/mod_$name.so";
    }
    return undef;
}

# (module record, path) of mod_php.
sub mod_php
{
    for my $dir (module_dirs()) {
        for my $file (sort { $b cmp $a } glob "$dir/libphp*.so") {
            return ($file =~ /libphp([57])/ ? "php$1_module" : 'php_module', $file);
        }
    }
    return;
}

sub load
{
    my ($name) = @_;
    return '' if is_static($name);
    my $file = module_file($name) or die "httpd has no mod_$name.so in " . join(' or ', module_dirs()) . "\n";
    return "LoadModule ${name}_module $file\n";
}

# Two processes at least: what is shared between them must be seen to be shared.
my %MPM = (
    prefork => "StartServers 4\nMinSpareServers 2\nMaxSpareServers 8\nServerLimit 32\nMaxRequestWorkers 32\n",
    worker => "StartServers 2\nServerLimit 4\nThreadsPerChild 12\nThreadLimit 12\nMinSpareThreads 12\n"
        . "MaxSpareThreads 48\nMaxRequestWorkers 48\n",
);
$MPM{event} = $MPM{worker};

sub text
{
    my ($s) = @_;
    my @modules = (
        qw(unixd log_config authz_core authz_host authn_core mime dir env setenvif alias headers rewrite remoteip),
        $s->{mpm} eq 'prefork' ? 'cgi' : 'cgid',
        $s->{php} eq 'fpm' ? qw(proxy proxy_fcgi) : $s->{php} eq 'cgi' ? 'actions' : (),
        $s->{h2} ? 'http2' : (),
        @{$s->{modules} || []}
    );
    my %once;
    my $out = "ServerRoot $s->{dir}\nDefaultRuntimeDir run\nPidFile run/httpd.pid\n"
        . "ServerName 127.0.0.1:$s->{port}\nListen 127.0.0.1:$s->{port}\n"
        . load("mpm_$s->{mpm}")
        . join('', map { load($_) } grep { !$once{$_}++ } @modules)
        . $MPM{$s->{mpm}};
    $out .= "User $s->{user}\nGroup " . FormGuard::Process::server_group() . "\n" if $s->{user};
    $out .= "ScriptSock cgid.sock\n" if $s->{mpm} ne 'prefork';
    $out .= "LoadModule formguard_module $s->{module}\n" if $s->{module};
    # Nobody's vendor is asked by a test that is about something else; one that is says On itself.
    $out .= "FormGuardCaptchaSecretCheck Off\n" if $s->{module};
    $out .= "FormGuardSigningKeyFile signing-key\n" if $s->{module};
    my $level = $s->{loglevel} || 'warn formguard:debug';
    $level =~ s/\s*\bformguard:\w+//g if !$s->{module};
    $out .= "ErrorLog logs/error_log\nLogLevel $level\n"
        . "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\"\" combined\n"
        . "CustomLog logs/access_log combined\n"
        . "GracefulShutdownTimeout 5\nKeepAlive On\nKeepAliveTimeout 5\nTimeout 30\nMaxKeepAliveRequests 0\n"
        . "RemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n";
    $out .= "Protocols h2c http/1.1\n" if $s->{h2};
    $out .= ($s->{global} // '') . "\n";
    $out .= <<"CONF";
TypesConfig /dev/null
AddType text/html .html
AddType text/plain .txt
DocumentRoot $s->{dir}/htdocs
DirectoryIndex index.php index.html
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory $s->{dir}/htdocs>
    AllowOverride All
    Options FollowSymLinks ExecCGI
    Require all granted
</Directory>
AddHandler cgi-script .cgi
CONF
    $out .= FormGuard::Httpd::Php::config($s) if $s->{php};
    return $out . ($s->{config} // '') . "\n";
}

1;
