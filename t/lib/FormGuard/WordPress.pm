# SPDX-License-Identifier: Apache-2.0
package FormGuard::WordPress;

=head1 NAME

FormGuard::WordPress - Debian's WordPress, with a database of its own, on a FormGuard::Httpd

=head1 SYNOPSIS

    my $wordpress = FormGuard::WordPress->new;         # a private MariaDB, on a socket only
    my $httpd = FormGuard::Httpd->new(php => 'fpm', mail => $mail, start => 0, $wordpress->options, ...);
    $wordpress->unpack($httpd);                        # into the document root
    $httpd->start;
    $wordpress->install($httpd);                       # posts to wp-admin/install.php, as its form does
    is $wordpress->ask('SELECT COUNT(*) FROM wp_comments'), 1;    # octets; rows by newline, columns by tab

User C<admin>, password C<secret of the shop>, mail address owner@shop.example; post 1, "Hello world!", takes comments.

=cut

use strict;
use warnings;
use File::Path qw(make_path);
use FormGuard::Process;
use IPC::Open3 qw(open3);

my $PACKAGE = '/usr/share/wordpress';
our $PASSWORD = 'secret of the shop';

sub new
{
    my ($class) = @_;
    -d "$PACKAGE/wp-includes" or die "wordpress is not installed (build/test installs it)\n";
    my $self = bless { dir => FormGuard::Process::private_dir(), owner => $$ }, $class;
    $self->{password} = join '', map { sprintf '%02x', rand 256 } 1 .. 16;
    $self->_start_database;
    return $self;
}

sub _socket { return "$_[0]{dir}/db.sock" }

# Nothing here is to outlive the test: no write waits for a disk.
sub _start_database
{
    my ($self) = @_;
    my $dir = $self->{dir};
    my $user = FormGuard::Process::server_user();
    my @as = $user ? "--user=$user" : ();
    my @common = ('--no-defaults', @as, "--datadir=$dir/db", "--tmpdir=$dir/tmp", '--innodb-log-file-size=4M', '--innodb-buffer-pool-size=16M',
        '--innodb-flush-log-at-trx-commit=0', '--innodb-flush-method=nosync', '--aria-log-file-size=8M');
    make_path("$dir/db", "$dir/tmp");
    chown((getpwnam $user)[2, 3], "$dir/db", "$dir/tmp") if $user;
    my $made = FormGuard::Process->start(name => 'mariadb-install-db', out => "$dir/install.out", cmd => ['mariadb-install-db', @common,
        '--skip-test-db', '--skip-name-resolve', '--auth-root-authentication-method=socket', '--auth-root-socket-user=' . getpwuid $>]);
    FormGuard::Process::wait_until(sub { !$made->alive }, 60, 'mariadb-install-db');
    $made->status == 0 or die 'mariadb-install-db failed: ' . _slurp("$dir/install.out");
    open my $fh, '>', "$dir/init.sql" or die "$dir/init.sql: $!\n";
    print $fh "CREATE DATABASE wordpress;\nCREATE USER wordpress\@localhost IDENTIFIED BY '$self->{password}';\n"
        . "GRANT ALL ON wordpress.* TO wordpress\@localhost;\n";
    close $fh or die "$dir/init.sql: $!\n";
    # The socket lies in a folder that the server may write to.
    chown((getpwnam $user)[2, 3], $dir) if $user;
    $self->{process} = FormGuard::Process->start(name => 'mariadbd', signal => 'KILL', out => "$dir/db.out", cmd => ['mariadbd', @common, '--skip-networking',
        '--socket=' . $self->_socket, "--pid-file=$dir/db.pid", "--init-file=$dir/init.sql", '--performance-schema=OFF', '--skip-log-bin']);
    FormGuard::Process::wait_until(sub { !$self->{process}->alive || $self->_answers }, 60, 'MariaDB');
    $self->{process}->alive or die 'MariaDB did not start: ' . _slurp("$dir/db.out");
}

sub _slurp
{
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    local $/;
    return scalar <$fh>;
}

sub _query
{
    my ($self, $sql) = @_;
    my $pid = open3(my $in, my $out, undef, 'mariadb', '--no-defaults', '--socket=' . $self->_socket, '--default-character-set=utf8mb4',
        '-N', '-B', '--raw', '-e', $sql, 'wordpress');
    close $in;
    my $text = do { local $/; <$out> };
    waitpid $pid, 0;
    return ($? == 0, $text);
}

# It takes connections when the init file has been carried out.
sub _answers { return -S $_[0]->_socket && ($_[0]->_query('SELECT 1'))[0] }

sub ask
{
    my ($self, $sql) = @_;
    my ($ok, $text) = $self->_query($sql);
    $ok or die "$sql: $text\n";
    chomp $text;
    return $text;
}

# What FormGuard::Httpd->new wants to know.
sub options
{
    my ($self) = @_;
    return (files => { 'favicon.ico' => '' }, ini => { extension => ['mysqlnd', 'mysqli', 'ctype', 'tokenizer', 'mbstring'], zend_extension => 'opcache' });
}

# A copy, as a customer has one; Debian's wp-config.php wants a file in /etc.
sub unpack
{
    my ($self, $httpd) = @_;
    my $root = $httpd->htdocs;
    system('cp', '-rL', "$PACKAGE/.", $root) == 0 or die "no copy of $PACKAGE in $root\n";
    system('chmod', '-R', 'a+rX', $root);
    my $user = FormGuard::Process::server_user();
    make_path("$root/wp-content/uploads");
    chown((getpwnam $user)[2, 3], "$root/wp-content/uploads") if $user;
    unlink "$root/wp-config.php";
    my $keys = join '', map { my $name = $_; map { "define('${name}_$_', '" . rand() . rand() . "');\n" } qw(KEY SALT) } qw(AUTH SECURE_AUTH LOGGED_IN NONCE);
    # Nothing outside is asked for updates.
    $httpd->write_file('wp-config.php', "<?php\ndefine('DB_NAME', 'wordpress');\ndefine('DB_USER', 'wordpress');\ndefine('DB_PASSWORD', '$self->{password}');\n"
        . "define('DB_HOST', 'localhost:${\ $self->_socket}');\ndefine('DB_CHARSET', 'utf8mb4');\n$keys\n"
        . "define('WP_HTTP_BLOCK_EXTERNAL', true);\ndefine('WP_AUTO_UPDATE_CORE', false);\n\$table_prefix = 'wp_';\n"
        . "require_once __DIR__ . '/wp-settings.php';\n");
}

sub install
{
    my ($self, $httpd, %o) = @_;
    my $r = $httpd->client->post('/wp-admin/install.php?step=2', form => [weblog_title => 'Pottery', user_name => 'admin',
        admin_password => $PASSWORD, admin_password2 => $PASSWORD, pw_weak => 'on', admin_email => 'owner@shop.example',
        blog_public => 0, language => ''], %o);
    $r->status == 200 && $r->body =~ /wp-login\.php/ or die "WordPress could not be installed: ${\ $r->status}\n${\ $r->body}\n";
    # No pictures from elsewhere.
    $self->ask("UPDATE wp_options SET option_value = '0' WHERE option_name = 'show_avatars'");
}

1;
