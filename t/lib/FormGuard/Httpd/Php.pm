# SPDX-License-Identifier: Apache-2.0
package FormGuard::Httpd::Php;

=head1 NAME

FormGuard::Httpd::Php - PHP for a test server: mod_php, a private php-fpm, or php-cgi

=head1 SYNOPSIS

    FormGuard::Httpd::Php::available('mod');    # what to tell the user when not: undef when it is there
    FormGuard::Httpd::Php::start($httpd);       # php.ini, and the pool for php => 'fpm'
    FormGuard::Httpd::Php::config($httpd);      # its part of httpd.conf

=cut

use strict;
use warnings;
use FormGuard::Httpd::Config;
use FormGuard::Process;

sub _fpm
{
    my @versioned = sort { $b cmp $a } glob '/usr/sbin/php-fpm[0-9]*';
    return FormGuard::Process::in_path('php-fpm', @versioned);
}

sub _cgi { return FormGuard::Process::in_path('php-cgi', sort { $b cmp $a } glob '/usr/bin/php-cgi[0-9]*') }

sub available
{
    my ($how) = @_;
    return (FormGuard::Httpd::Config::mod_php())[1] ? undef : 'install libapache2-mod-php (Debian) or php (RHEL)'
        if $how eq 'mod';
    return _fpm() ? undef : 'install php-fpm' if $how eq 'fpm';
    return _cgi() ? undef : 'install php-cgi (Debian) or php-cli (RHEL)';
}

# PHP as it was compiled: no extension of the machine, whose loading (RTLD_DEEPBIND) AddressSanitizer forbids.
sub env { return { PHP_INI_SCAN_DIR => '' } }

sub _ini
{
    my ($s) = @_;
    my %ini = (
        'date.timezone' => 'Asia/Tokyo',
        'default_charset' => 'UTF-8',
        'display_errors' => 'Off',
        'error_reporting' => 'E_ALL',
        'log_errors' => 'On',
        'post_max_size' => '64M',
        'upload_max_filesize' => '64M',
        'memory_limit' => '256M',
        'upload_tmp_dir' => "$s->{dir}/tmp",
        'sys_temp_dir' => "$s->{dir}/tmp",
        'variables_order' => 'EGPCS',
        'sendmail_path' => $s->{mail} ? $s->{mail}->sendmail_path : '/bin/false',
        $s->{clock} ? (auto_prepend_file => "$s->{dir}/children.php") : (),
        %{$s->{ini} || {}}
    );
    return join '', map { my $name = $_; map { qq($name = "$_"\n) } ref $ini{$name} ? @{$ini{$name}} : $ini{$name} } sort keys %ini;
}

sub start
{
    my ($s) = @_;
    my $missing = available($s->{php});
    die "no PHP for php => '$s->{php}': $missing\n" if $missing;
    $s->_write("$s->{dir}/php.ini", _ini($s));
    # libfaketime ends every program that may not use the semaphore root has made: mail()'s shell.
    $s->_write("$s->{dir}/children.php", "<?php\nputenv('LD_PRELOAD');\n") if $s->{clock};
    $s->_write("$s->{dir}/cgi-bin/php", "#!/bin/sh\nPHP_INI_SCAN_DIR= exec " . _cgi() . " -c $s->{dir}/php.ini\n", 0755)
        if $s->{php} eq 'cgi';
    _start_fpm($s) if $s->{php} eq 'fpm' && !$s->{fpm};
}

# As root the master gives the pool's children the server's account; otherwise everything is the user's own.
sub _start_fpm
{
    my ($s) = @_;
    my $account = '';
    if ($s->{user}) {
        my $group = FormGuard::Process::server_group();
        $account = "user = $s->{user}\ngroup = $group\nlisten.owner = $s->{user}\nlisten.group = $group\n";
    }
    $s->_write("$s->{dir}/fpm.conf", <<"CONF");
[global]
error_log = $s->{dir}/logs/fpm_log
daemonize = no
[forms]
${account}listen = $s->{dir}/run/fpm.sock
listen.mode = 0600
listen.backlog = 511
pm = static
pm.max_children = 8
CONF
    $s->{fpm} = FormGuard::Process->start(
        cmd => [_fpm(), '-y', "$s->{dir}/fpm.conf", '-c', "$s->{dir}/php.ini", '-F'],
        out => "$s->{dir}/logs/fpm_out", name => 'php-fpm', detach => $s->{detach},
        env => { %{env()}, TMPDIR => "$s->{dir}/tmp" }
    );
    FormGuard::Process::wait_until(
        sub { !$s->{fpm}->alive || -S "$s->{dir}/run/fpm.sock" }, 20, 'php-fpm');
    die "php-fpm did not start:\n" . FormGuard::Httpd::_slurp("$s->{dir}/logs/fpm_log") if !$s->{fpm}->alive;
}

sub config
{
    my ($s) = @_;
    if ($s->{php} eq 'mod') {
        my ($name, $file) = FormGuard::Httpd::Config::mod_php();
        return "LoadModule $name $file\nPHPIniDir $s->{dir}\n"
            . "<FilesMatch \"\\.php\$\">\n    SetHandler application/x-httpd-php\n</FilesMatch>\n";
    }
    if ($s->{php} eq 'fpm') {
        return "<FilesMatch \"\\.php\$\">\n    <If \"-f %{REQUEST_FILENAME}\">\n"
            . "        SetHandler \"proxy:unix:$s->{dir}/run/fpm.sock|fcgi://localhost\"\n"
            . "    </If>\n</FilesMatch>\n";
    }
    return "ScriptAlias /php-cgi/ $s->{dir}/cgi-bin/\n<Directory $s->{dir}/cgi-bin>\n    Require all granted\n"
        . "</Directory>\nAction application/x-httpd-php /php-cgi/php\n"
        . "<FilesMatch \"\\.php\$\">\n    SetHandler application/x-httpd-php\n</FilesMatch>\n";
}

1;
