# The control tables come back from a dump as they were, in another instance
# that contacts nobody until it is adopted.
use strict;
use warnings;

use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
tenant_database($tenant, 'app_a', 36);
my $warehouse = warehouse_node('warehouse', $ca);
add_tenant($warehouse, 'tenant_a', $tenant, 'app_a', 'tenant-secret');
$warehouse->safe_psql('postgres', q{
SELECT _wh.add_template('unions', query_template, column_definitions, options => '{"view_layout": "union"}')
FROM _wh.mv_templates WHERE template_name = 'foodlogstats';
SELECT count(*) FROM _wh.wh_refresh('unions', from_date => '2024-01-01', to_date => '2024-01-02')});
$warehouse->safe_psql('postgres', refresh_sql('2024-01-01', '2024-01-02'));
$warehouse->safe_psql('postgres', q{SELECT _wh.rename_tenant('tenant_a', 'renamed')});
$warehouse->safe_psql('postgres', q{SELECT _wh.update_mv_by_template('foodlogstats', 'renamed', '2024-01-01')});

my @tables = qw(settings audit_log tenant_connections sealed_secrets mv_templates slices published_views extract_runs);

sub contents
{
	my ($node, $database) = @_;

	return join "\n", map {
		$_ . ': ' . $node->safe_psql($database, "SELECT t FROM _wh.$_ AS t ORDER BY t::text")
	} @tables;
}

my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$copy->append_conf('postgresql.conf', "pg_warehouse.key_file = '" . abs_path($warehouse->basedir) . "/pg_warehouse.key'\n"
	  . "pg_warehouse.sslrootcert = '$ca'\n");
$copy->start;
$copy->safe_psql('postgres', 'CREATE ROLE whadmin LOGIN; CREATE ROLE phood_ro LOGIN; CREATE ROLE wh_monitor LOGIN; GRANT pg_read_all_stats TO wh_monitor');
my $before = contents($warehouse, 'postgres');

# The control tables alone.
$copy->safe_psql('postgres', 'CREATE DATABASE control');
$warehouse->command_ok([ 'pg_dump', '-e', 'pg_warehouse', '-n', '_wh', '-f', "$dir/control.sql", $warehouse->connstr('postgres') ], 'pg_dump -e pg_warehouse -n _wh');
unlike(slurp_file("$dir/control.sql"), qr/tenant-secret/, 'holds no password');
$copy->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/control.sql", $copy->connstr('control') ], 'restores');
is(contents($copy, 'control'), $before, 'equal to the letter');

# In any order of tables: the config tables have no order among them.
$copy->safe_psql('postgres', 'CREATE DATABASE reversed');
$copy->safe_psql('reversed', 'CREATE EXTENSION pg_warehouse');
for my $table (reverse @tables)
{
	$warehouse->command_ok([ 'pg_dump', '-a', '-t', "_wh.$table", '-f', "$dir/$table.sql", $warehouse->connstr('postgres') ], "dump of $table");
	$copy->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$table.sql", $copy->connstr('reversed') ], "restore of $table");
}
is(contents($copy, 'reversed'), $before, 'equal in another order too');

# The whole database, materialized views without their data.
$copy->safe_psql('postgres', 'CREATE DATABASE whole');
my $exclude = '--exclude-table-data=tenant_a.*';
$warehouse->command_ok([ 'pg_dump', $exclude, '-f', "$dir/whole.sql", $warehouse->connstr('postgres') ], 'full dump');
my $logged = -s $tenant->logfile;
$copy->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/whole.sql", $copy->connstr('whole') ], 'restores');
is(contents($copy, 'whole'), $before, 'equal again');

# Both layouts came with it: the owner's, and as they were.
my $layouts = q{SELECT n.nspname, c.relname, c.relkind, c.relowner::regrole, c.relacl, obj_description(c.oid, 'pg_class'), pg_get_viewdef(c.oid), ftoptions
	FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace LEFT JOIN pg_foreign_table ON ftrelid = c.oid
	WHERE relname IN ('foodlogstats', 'unions') AND n.nspname <> 'pg_catalog' ORDER BY 1, 2};
like($warehouse->safe_psql('postgres', $layouts), qr/^_wh_union\|foodlogstats\|f\|whadmin\|.*^public\|unions\|v\|whadmin\|/sm, 'a foreign table, and views');
is($copy->safe_psql('whole', $layouts), $warehouse->safe_psql('postgres', $layouts), 'equal after the restore');
is($copy->safe_psql('whole', q{SELECT has_server_privilege('whadmin', 'pg_warehouse_union', 'USAGE')}), 't', 'with the use of the server');
is($copy->safe_psql('whole', 'SELECT count(*) FROM public.foodlogstats'), '0', 'expand: slices that are not populated do not join');
my ($failed, undef, $why) = $copy->psql('whole', 'SELECT count(*) FROM public.unions');
like($why, qr/has not been populated/, 'union: they keep the view from being read until the copy is adopted');

# Nothing goes out before the copy is adopted.
my ($rc, $out, $err) = $copy->psql('whole', q{SELECT status, sqlstate FROM _wh.wh_refresh('foodlogstats', from_date => '2024-01-01', to_date => '2024-01-02')});
is($out, "failed|55000\nfailed|55000", 'a restored copy loads nothing');
like($copy->safe_psql('whole', 'SELECT error_message FROM _wh.v_recent_failures LIMIT 1'), qr/not adopted/, 'and says why');
($rc, $out, $err) = $copy->psql('whole', q{REFRESH MATERIALIZED VIEW tenant_a.foodlogstats_2024_01_01});
like($err, qr/not adopted/, 'nor does a plain REFRESH');
unlike(slurp_file($tenant->logfile, $logged), qr/connection (received|authorized)/, 'the tenant saw nobody');

$copy->safe_psql('whole', 'SELECT _wh.adopt_instance()');
is($copy->safe_psql('whole', 'SELECT count(*) FROM public.foodlogstats'), '0', 'views over what is populated: nothing yet');
is($copy->safe_psql('whole', q{SELECT status FROM _wh.wh_refresh('foodlogstats', from_date => '2024-01-01', to_date => '2024-01-02')}),
	"loaded\nloaded", 'adopted, it loads');
is($copy->safe_psql('whole', 'SELECT count(*) FROM public.foodlogstats'), '24', 'and shows');
is($copy->safe_psql('whole', 'SELECT count(*) FROM public.unions'), '0', 'union: what is populated, nothing yet');
is($copy->safe_psql('whole', q{SELECT DISTINCT status FROM _wh.wh_refresh('unions', from_date => '2024-01-01', to_date => '2024-01-02')}), 'loaded', 'it loads');
is($copy->safe_psql('whole', 'SELECT count(*) FROM public.unions'), '24', 'and shows');

# New templates and other layouts work there as they do here.
$copy->safe_psql('whole', q{
SELECT _wh.alter_template('unions', options => '{"view_layout": "expand"}');
SELECT _wh.alter_template('foodlogstats', options => '{"view_layout": "union"}')});
is($copy->safe_psql('whole', 'SELECT (SELECT count(*) FROM public.unions), (SELECT count(*) FROM public.foodlogstats)'), '24|24', 'layouts change');

done_testing();
