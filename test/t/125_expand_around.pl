# What stands around the layout expand: sessions without the library, a library
# that is gone or broken, a standby, publications, dumps, and the way out.
use strict;
use warnings;

use Cwd 'abs_path';
use File::Copy qw(move);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

# A copy of the installation whose library can be taken away.
my $dir = scratch_dir();
my ($prefix, $bindir, $libdir, $sharedir) = map { chomp(my $path = `$ENV{PG_CONFIG} $_`); $path } qw(--bindir --bindir --pkglibdir --sharedir);
$prefix =~ s{/bin$}{};
my $root = common_folder($prefix, $libdir, $sharedir);
for my $path ($prefix, $libdir, $sharedir)
{
	my $to = $dir . '/install' . substr($path, length $root);

	next if -d $to;
	system_or_bail('mkdir', '-p', $to);
	system_or_bail('cp', '-a', "$path/.", $to);
}
my $library = $dir . '/install' . substr($libdir, length $root) . '/pg_warehouse.so';
my $install = $dir . '/install' . substr($prefix, length $root);

sub common_folder
{
	my ($common, @paths) = @_;

	for my $path (@paths)
	{
		$common =~ s{/[^/]*$}{} until "$path/" =~ m{^\Q$common\E/};
	}
	return $common;
}

my $node = PostgreSQL::Test::Cluster->new('around', install_path => $install);
$node->init(allows_streaming => 'logical', extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; CREATE DATABASE source; CREATE DATABASE warehouse');
$node->safe_psql('source', q{
CREATE TABLE t AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' AS at FROM generate_series(0, 71) AS i;
GRANT SELECT ON t TO wh_src});
$node->safe_psql('warehouse', q{
CREATE EXTENSION pg_warehouse;
SET client_min_messages = warning;
SELECT _wh.setup();
SELECT _wh.add_tenant(name, split_part(current_setting('unix_socket_directories'), ',', 1), 'source', 'wh_src',
	current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted') FROM unnest('{t1,t2}'::text[]) AS name;
SELECT _wh.add_template(layout || 's', 'SELECT id, at FROM t WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz',
	time_column => 'at', options => jsonb_build_object('view_layout', layout)) FROM unnest('{expand,union}'::text[]) AS layout});
is(refresh(1), 'loaded', 'a day of two tenants');

sub refresh
{
	my ($day) = @_;

	return $node->safe_psql('warehouse', "SELECT DISTINCT status FROM _wh.wh_refresh(from_date => '2024-01-0$day', to_date => '2024-01-0$day')");
}

# What a session answers: output, or the first line of the error.
sub answer
{
	my ($at, $sql, %more) = @_;
	local $ENV{PGOPTIONS} = $more{options} // '';
	my ($rc, $out, $err) = $at->psql($more{database} // 'warehouse', $sql, extra_params => [ '-U', $more{user} // 'phood_ro' ]);

	return $rc == 0 ? $out : (split /\n/, $err)[0];
}
my $count = 'SELECT count(*) FROM public.expands';
my $bare = '-c session_preload_libraries=';

# The database preloads it for everybody; a session without it answers alike.
is(answer($node, 'SHOW pg_warehouse.max_workers'), '4', 'the session of a reader has the library');
is(answer($node, $count), '48', 'and reads');
like(answer($node, 'SHOW pg_warehouse.max_workers', user => 'postgres', options => $bare), qr/unrecognized configuration parameter/, 'a session without the library');
is(answer($node, "$count WHERE at < '2024-01-01 12:00+00'", user => 'postgres', options => $bare), '24', 'reads the same');

# A standby follows: in a new session, in one that is open, with the library
# and without.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby', install_path => $install);
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $open = $standby->background_psql('warehouse');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is($open->query_safe($count), '48', 'a standby reads');
is(refresh(2), 'loaded', 'a second day');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is($open->query_safe($count), '96', 'an open session there sees a new day');
is($open->query_safe("$count WHERE at >= '2024-01-02 00:00+00'"), '48', 'pruned or not');
is(answer($standby, $count), '96', 'a reader too');
is(answer($standby, $count, user => 'postgres', options => $bare), '96', 'without the library too');
$open->quit;
$standby->stop;

# Publications: foreign tables cannot be in one, and FOR ALL TABLES leaves
# them out.
like(answer($node, 'CREATE PUBLICATION one FOR TABLE _wh_union.expands', user => 'postgres'), qr/cannot add relation "expands" to publication/, 'a publication refuses the foreign table');
is(answer($node, q{CREATE PUBLICATION everything FOR ALL TABLES; SELECT count(*) FROM pg_publication_tables WHERE schemaname = '_wh_union'}, user => 'postgres'), '0', 'one of all tables is without it');
answer($node, 'DROP PUBLICATION everything', user => 'postgres');

# Vacuuming and analyzing a database passes it by.
is(answer($node, 'ANALYZE', user => 'postgres'), '', 'ANALYZE');

# A dump has the table and, unless it is told to, not what it shows.
$node->command_ok([ "$install/bin/pg_dump", '-f', "$dir/dump.sql", $node->connstr('warehouse') ], 'pg_dump');
like(slurp_file("$dir/dump.sql"), qr/CREATE FOREIGN TABLE _wh_union\.expands.*SERVER pg_warehouse_union/s, 'has the foreign table');
unlike(slurp_file("$dir/dump.sql"), qr/^COPY _wh_union/m, 'and not its rows');
$node->command_ok([ "$install/bin/pg_dump", '--include-foreign-data=pg_warehouse_union', '-f', "$dir/told.sql", $node->connstr('warehouse') ], 'pg_dump --include-foreign-data');
like(slurp_file("$dir/told.sql"), qr/^COPY _wh_union\.expands/m, 'writes rows that no restore can take');

# The library is gone, or cannot be loaded: no login, but for who says so.
for my $how ('gone', 'broken')
{
	move($library, "$library.aside") or die "could not move $library: $!";
	append_to_file($library, 'no library') if $how eq 'broken';

	like(answer($node, $count), qr/FATAL:  could not (access file "pg_warehouse"|load library)/, "$how: no login");
	is(answer($node, 'SELECT 1', database => 'source', user => 'postgres'), '1', 'other databases are as ever');
	is(answer($node, 'SELECT count(*) FROM public.unions', user => 'postgres', options => $bare), '96', 'a superuser without it reads the layout union');
	is(answer($node, 'SELECT count(*) FROM t1.expands_2024_01_01', user => 'postgres', options => $bare), '24', 'and slices');
	like(answer($node, $count, user => 'postgres', options => $bare), qr/ERROR:  could not (access file "\$libdir\/pg_warehouse"|load library)/, 'not the layout expand');
	local $ENV{PGOPTIONS} = $bare;
	$node->command_ok([ "$install/bin/pg_dump", '-s', '-f', "$dir/$how.sql", $node->connstr('warehouse') ], 'and dumps');
	$ENV{PGOPTIONS} = '';
	is(answer($node, 'ALTER DATABASE warehouse RESET session_preload_libraries', user => 'postgres', database => 'source'), '', 'from another database the setting goes');
	is(answer($node, 'SELECT count(*) FROM t1.unions'), '48', 'and everybody is in again');

	unlink $library;
	move("$library.aside", $library) or die "could not move $library: $!";
	is(answer($node, $count), '96', 'with the library all is well');
	answer($node, 'SET client_min_messages = error; SELECT _wh.setup()', user => 'postgres');
	is(answer($node, 'SHOW pg_warehouse.max_workers'), '4', 'setup() preloads it again');
}

# The way out: the extension does not go while anything stands on it.
my ($rc, $out, $err) = $node->psql('warehouse', 'DROP EXTENSION pg_warehouse');
like($err, qr/cannot drop extension pg_warehouse because other objects depend on it/, 'DROP EXTENSION');
like($err, qr/foreign table _wh_union\.expands depends on server pg_warehouse_union/, 'names the foreign tables');
like($err, qr/view expands depends on foreign table _wh_union\.expands/, 'and the views on them');
$node->safe_psql('warehouse', 'SELECT _wh.drop_template(template_name, drop_data => true) FROM _wh.mv_templates; DROP EXTENSION pg_warehouse');
is(answer($node, q{SELECT count(*) FROM pg_class WHERE relname ~ '^(expand|union)s'}, user => 'postgres'), '0', 'without templates it goes');

$node->stop;
done_testing();
