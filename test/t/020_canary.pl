# A password, given in each way and failing in each way, is found nowhere:
# not in the server's log, in no relation, in no dump, in no file.  That the
# search finds what is there, a planted one shows.
use strict;
use warnings;

use File::Find;
use File::Spec;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $canary = 'k4n4rienv0gel';
my $planted = 'v0gelscheuche';

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', qq{
listen_addresses = '127.0.0.1'
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = all
session_preload_libraries = 'pg_warehouse'
log_statement = all
log_error_verbosity = verbose
log_parameter_max_length_on_error = -1
logging_collector = on
log_destination = 'stderr,csvlog,jsonlog'
log_directory = 'log'
password_encryption = 'scram-sha-256'
pg_warehouse.s3_endpoint = 'http://127.0.0.1:1'
pg_warehouse.s3_bucket = 'archive'
});
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', qq{
local all all trust
host all source 127.0.0.1/32 scram-sha-256
});
$node->start;

# Run SQL that must succeed, or fail with a message, and keep what the client
# was told.  The plain call is for servers that do not log it.
my $told = '';
my $unlogged = '-c log_statement=none';

sub succeeds
{
	my ($name, $sql, $options) = @_;
	local $ENV{PGOPTIONS} = $options // '';
	my ($rc, $out, $err) = $node->psql('postgres', $sql);
	$told .= "$out\n$err\n";
	is($rc, 0, $name) or diag($err);
	return;
}

sub fails
{
	my ($name, $message, $sql, $options) = @_;
	local $ENV{PGOPTIONS} = $options // '';
	my ($rc, $out, $err) = $node->psql('postgres', $sql);
	$told .= "$out\n$err\n";
	like($err, $message, $name);
	return;
}

sub copy_line
{
	my ($line) = @_;
	return "COPY _wh.tenant_password_entry FROM STDIN;\n$line\n\\.\n";
}

$node->safe_psql('postgres', q{
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION pg_warehouse;
SELECT _wh.setup(preload => false);
SELECT _wh.create_key();
});
my $port = $node->port;
foreach my $tenant (qw(plain copied filed))
{
	$node->safe_psql('postgres', qq{
SELECT _wh.add_tenant('$tenant', '127.0.0.1', 'postgres', 'source', $port, sslmode => 'disable');
});
}

# The source's own password: stored as a verifier, not logged, not counted.
succeeds('the source has a password', qq{
SET pg_stat_statements.track_utility = off;
CREATE ROLE source LOGIN;
ALTER ROLE source PASSWORD '$canary';
}, $unlogged);

# Given in three ways.
my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir()) . '/password';
append_to_file($file, "$canary\n");
succeeds('plain call', qq{SELECT _wh.set_tenant_password('plain', '$canary')}, $unlogged);
succeeds('COPY', copy_line("copied\t$canary"));
succeeds('file', qq{SELECT _wh.set_tenant_password_from_file('filed', '$file')});

# The keys of the archive's bucket go the same ways.
append_to_file("$file.s3", "keyid:$canary\n");
succeeds('plain call for the archive', qq{SELECT _wh.set_tenant_password('archive:s3', 'keyid:$canary')}, $unlogged);
succeeds('file for the archive', qq{SELECT _wh.set_tenant_password_from_file('archive:s3', '$file.s3')});
succeeds('COPY for the archive', copy_line("archive:s3\tkeyid:$canary"));
succeeds('sealed anew', 'SELECT _wh.reseal()');
is($node->safe_psql('postgres', q{SELECT subject, octet_length(sealed) FROM _wh.sealed_secrets WHERE subject = 'archive:s3'}),
	'archive:s3|' . (length("keyid:$canary") + 16), 'the keys of the archive are sealed');

# It is the right one, each time: the source lets us in.
$node->safe_psql('postgres', q{
SET ROLE whadmin;
SELECT _wh.add_template('numbers', $$SELECT 1 AS n WHERE {DAY_START} < {DAY_END}$$, 'n integer');
});
foreach my $tenant (qw(plain copied filed))
{
	is($node->safe_psql('postgres', qq{
SET ROLE whadmin;
SELECT _wh.create_mv_from_template('numbers', '$tenant', target_date => '2024-01-01')}),
		't', "tenant $tenant is read with its password");
}
succeeds('its data is read', q{SELECT * FROM public.numbers});

# Failing in each way.
my $unknown = qr/tenant "nobody" does not exist/;
my $no_select = qr/cannot take a password from this statement/;
fails('plain call for no tenant', $unknown,
	qq{SELECT _wh.set_tenant_password('nobody', '$canary')}, $unlogged);
fails('plain call in DO', $no_select,
	qq{DO \$\$ BEGIN PERFORM _wh.set_tenant_password('plain', '$canary'); END \$\$}, $unlogged);
fails('plain call among others', $no_select,
	qq{SELECT 1 \\; SELECT _wh.set_tenant_password('plain', '$canary')}, $unlogged);
fails('plain call, read only', qr/read-only transaction/,
	qq{BEGIN READ ONLY;\nSELECT _wh.set_tenant_password('plain', '$canary')}, $unlogged);
fails('INSERT', qr/cannot insert into tenant_password_entry/,
	qq{INSERT INTO _wh.tenant_password_entry VALUES ('plain', '$canary')}, $unlogged);
fails('COPY for no tenant', $unknown, copy_line("nobody\t$canary"));
fails('keys of the archive that are no pair', qr/must be a key id, a colon and a secret key/, copy_line("archive:s3\t$canary"));
fails('keys of the archive, no pair, by the plain call', qr/must be a key id/,
	qq{SELECT _wh.set_tenant_password('archive:s3', '$canary')}, $unlogged);
fails('keys of the archive that cannot be tried', qr/could not connect to the archive's server/,
	qq{SELECT _wh.rotate_password('archive:s3', 'keyid:$canary')}, $unlogged);
fails('file for no tenant', $unknown,
	qq{SELECT _wh.set_tenant_password_from_file('nobody', '$file')});
append_to_file("$file.bad", "$canary\xff\n");
fails('file in another encoding', qr/not in the encoding of the database/,
	qq{SELECT _wh.set_tenant_password_from_file('filed', '$file.bad')});

# As a parameter of the extended protocol, which an error would list.
append_to_file("$file.sql", q{SELECT _wh.set_tenant_password('nobody', :password);} . "\n");
{
	local $ENV{PGOPTIONS} = $unlogged;
	my $result = run_log([ 'pgbench', '-n', '-t', '1', '-M', 'extended', '-D', "password=$canary",
			'-f', "$file.sql", '-h', $node->host, '-p', $node->port, 'postgres' ]);
	ok(!$result, 'parameter for no tenant');
}

# A wrong password does not get in, and is not told of either.
succeeds('a wrong password', qq{SELECT _wh.set_tenant_password('plain', '${canary}x')}, $unlogged);
is($node->safe_psql('postgres', q{
SET ROLE whadmin;
SELECT status, sqlstate FROM _wh.wh_refresh('numbers', 'plain', '2024-01-02', '2024-01-02')}),
	'failed|28P01', 'the wrong password fails');
succeeds('another endpoint', q{UPDATE _wh.tenant_connections SET username = 'other' WHERE tenant_name = 'copied'});
is($node->safe_psql('postgres', q{
SET ROLE whadmin;
SELECT status, sqlstate FROM _wh.wh_refresh('numbers', 'copied', '2024-01-02', '2024-01-02')}),
	'failed|55000', 'a changed endpoint fails');
unlike($told, qr/$canary/, 'no client is told');

# Lines that COPY cannot read: whoever sent them sees them, the log does not.
foreach my $line ("plain $canary", "plain\t$canary\tmore", "$canary", "plain\t$canary\xff")
{
	my ($rc, $out, $err) = $node->psql('postgres', copy_line($line));
	like($err, qr/missing data|extra data|invalid byte sequence/, 'a line that cannot be read');
}

# A session that called it and is still there.
my $session = $node->background_psql('postgres');
$session->query_safe('SET log_statement = none');
$session->query_safe(qq{SELECT _wh.set_tenant_password('plain', '$canary')});
is($node->safe_psql('postgres', q{
SELECT query FROM pg_stat_activity WHERE state = 'idle' AND backend_type = 'client backend'}),
	'SELECT _wh.set_tenant_password(...)', 'pg_stat_activity shows the call without it');

# What would be found: a password in a statement, and in a table.
$node->safe_psql('postgres', qq{
ALTER ROLE source PASSWORD '$planted';
CREATE TABLE planted AS SELECT '$planted'::text AS word;
});

# Look into every relation, with a pattern whose halves are apart so that
# looking leaves no trace.
sub relations_with
{
	my ($word) = @_;
	my ($left, $right) = (substr($word, 0, 6), substr($word, 6));

	$node->safe_psql('postgres', qq{
CREATE OR REPLACE FUNCTION public.look(word text) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
DECLARE rel regclass; hits bigint;
BEGIN
    FOR rel IN SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'v', 'm', 't')
        AND relnamespace <> 'pg_toast'::regnamespace ORDER BY 1 LOOP
        EXECUTE format('SELECT count(*) FROM %s AS r WHERE r::text LIKE \$1', rel) INTO hits
            USING '%' || word || '%';
        IF hits > 0 THEN RETURN NEXT rel::text; END IF;
    END LOOP;
END \$\$;});
	return $node->safe_psql('postgres',
		"SET log_statement = none; SELECT public.look('$left' || '$right') ORDER BY 1");
}

# In clear, in hex, and in base64 at each of its three alignments.
sub patterns
{
	my ($word) = @_;
	my @base64 = map { substr(encode_base64('x' x $_ . $word, ''), $_ ? 4 : 0, 12) } 0 .. 2;
	my @all = map { quotemeta } ($word, unpack('H*', $word), @base64);
	my $any = join '|', @all;

	return qr/$any/i;
}

sub files_with
{
	my ($directory, $word) = @_;
	my $pattern = patterns($word);
	my @hits;

	find({ no_chdir => 1, wanted => sub {
		push @hits, substr($_, length($directory) + 1)
		  if -f $_ && slurp_file($_) =~ $pattern;
	} }, $directory);
	return @hits;
}

is(relations_with($canary), '', 'no relation holds it');
like(relations_with($planted), qr/^planted$/m, 'the planted one is found in a table');
like(relations_with($planted), qr/pg_stat_statements/, 'and in pg_stat_statements');

my ($dump) = run_command([ 'pg_dumpall', '-h', $node->host, '-p', $node->port ]);
unlike($dump, patterns($canary), 'no dump holds it');
like($dump, patterns($planted), 'the planted one is found in the dump');
my ($tables) = run_command([ 'pg_dump', '-e', 'pg_warehouse', '-h', $node->host, '-p', $node->port, 'postgres' ]);
like($tables, qr/sealed_secrets/, 'the sealed ones are dumped');
unlike($tables, patterns($canary), 'but not in clear');

$session->quit;
$node->safe_psql('postgres', 'CHECKPOINT');
$node->stop;
is_deeply([ files_with($node->data_dir, $canary) ], [], 'no file of the server holds it');
my @found = files_with($node->data_dir, $planted);
foreach my $kind (qw(log csv json))
{
	ok((grep { m{^log/.*\.$kind$} } @found), "the planted one is found in the log as $kind");
}
ok((grep { m{^base/} } @found), 'and in a table');
ok((grep { m{^pg_wal/} } @found), 'and in the write-ahead log');

done_testing();
