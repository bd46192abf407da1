# pg_upgrade from an older PostgreSQL: control tables, sealed passwords,
# schedules and rows of every kind come back equal, nobody is contacted before
# the copy is adopted, and then work goes on.
use strict;
use warnings;

use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my ($major) = `pg_config --version` =~ /(\d+)/;
my ($old_root) = grep { /(\d+)$/ && $1 < $major && -e "$_/lib/pg_warehouse.so" } glob('/usr/lib/postgresql/*');
plan skip_all => 'no older PostgreSQL with this extension is installed (make check-pg17 has one)' unless $old_root;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
$tenant->append_conf('postgresql.conf', 'log_connections = on');
$tenant->reload;
tenant_database($tenant, 'app_a', 12 * 34);
$tenant->safe_psql('app_a', q{
CREATE TABLE loans (id integer PRIMARY KEY, updated_at timestamptz NOT NULL, amount integer);
INSERT INTO loans SELECT i, now() - interval '1 day', i FROM generate_series(1, 500) AS i;
GRANT SELECT ON loans TO wh_src;
GRANT pg_read_all_stats TO wh_src});

my $cron = -e "$old_root/lib/pg_cron.so" && -e $tenant->config_data('--pkglibdir') . '/pg_cron.so';
my $key = "$dir/pg_warehouse.key";
my $conf = "max_worker_processes = 16\nlog_statement = none\npg_warehouse.key_file = '$key'\n"
  . ($cron ? "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\ncron.host = '$PostgreSQL::Test::Cluster::test_pghost'\n" : '');
my $old = warehouse_node('old', $ca, conf => $conf, install_path => $old_root);
my ($old_major) = $old->safe_psql('postgres', 'SHOW server_version') =~ /^(\d+)/;
cmp_ok($old_major, '<', $major, "from $old_major to $major");
$old->safe_psql('postgres', q{CREATE EXTENSION pg_cron; SET client_min_messages = warning; SELECT _wh.setup(preload => false)}) if $cron;
add_tenant($old, 'tenant_a', $tenant, 'app_a', 'tenant-secret');

# Every kind of relation: days of both layouts, months and a year, a snapshot, an
# incremental table with a trigger of its owner's; and a schedule.
$old->safe_psql('postgres', $_) for (
	q{SELECT _wh.add_template('unions', query_template, column_definitions, time_column => 'logged_time', options => '{"view_layout": "union"}')
		FROM _wh.mv_templates WHERE template_name = 'foodlogstats'},
	q{SELECT _wh.add_template('stores', 'SELECT DISTINCT store FROM foodlogs', 'store text', materialization => 'snapshot')},
	q{SELECT _wh.add_template('loans', 'SELECT id, updated_at, amount FROM loans', 'id integer, updated_at timestamptz, amount integer',
		materialization => 'incremental', key_columns => '{id}', watermark_column => 'updated_at')},
	q{CALL _wh.run_refresh('foodlogstats', NULL, '2024-01-01', '2024-02-03')},
	q{CALL _wh.run_refresh('unions', NULL, '2024-01-01', '2024-02-03')},
	q{CALL _wh.run_refresh('stores')},
	q{CALL _wh.run_refresh('loans')},
	q{SET ROLE whadmin; ALTER TABLE tenant_a.loans ADD COLUMN doubled integer;
		CREATE FUNCTION tenant_a.double() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.doubled := 2 * NEW.amount; RETURN NEW; END $$;
		CREATE TRIGGER double BEFORE INSERT OR UPDATE ON tenant_a.loans FOR EACH ROW EXECUTE FUNCTION tenant_a.double()},
	q{SELECT _wh.create_combined_table_from_template_by_month(t, 'tenant_a', '2024-01-01') FROM unnest(ARRAY['foodlogstats', 'unions']) AS t},
	q{SELECT _wh.create_combined_table_from_template_by_year('unions', 'tenant_a', 2024, allow_gaps => true)},
	q{SELECT _wh.complete_sync(_wh.start_sync('forms'), 12, '2024-02-01 00:00+00')});
$old->safe_psql('postgres', q{SET ROLE whadmin; SELECT * FROM _wh.setup_cron('foodlogstats', schedule => '0 5 1 1 *')}) if $cron;
is($old->safe_psql('postgres', 'SELECT * FROM _wh.wh_check()'), '', 'all is well');

# What must be equal: every dumped table, and what people read.
my @tables = split /\n/, $old->safe_psql('postgres', q{SELECT oid::regclass FROM pg_class WHERE oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'pg_warehouse') AND relkind = 'r' ORDER BY relname});
cmp_ok(scalar(@tables), '>', 10, 'control tables');
push @tables, 'cron.job' if $cron;
my @shown = ('public.foodlogstats', 'public.unions', 'public.stores', 'tenant_a.loans', 'tenant_a.foodlogstats_2024_01', 'tenant_a.unions_2024', 'tenant_a.foodlogstats_2024_02_02');

sub contents
{
	my ($node) = @_;

	return join "\n", map { "$_: " . $node->safe_psql('postgres', "SELECT t FROM $_ AS t ORDER BY t::text") } @tables;
}

sub shown
{
	my ($node) = @_;

	return join "\n", map { "$_: " . $node->safe_psql('postgres', "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM $_ AS t") } @shown;
}

sub connections { return scalar(() = slurp_file($tenant->logfile) =~ /connection received/g) }

my $whole = contents($old);
my $rows = shown($old);
like($rows, qr/^public\.foodlogstats: 408\|/, 'rows');
$old->stop;
my $before = connections();
cmp_ok($before, '>', 0, 'the tenant counts who comes');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$new->append_conf('postgresql.conf', "${conf}pg_warehouse.sslrootcert = '$ca'\nsession_preload_libraries = 'pg_warehouse'\n");
chdir $dir;
$new->command_ok([ 'pg_upgrade', '--no-sync', '-b', "$old_root/bin", '-B', $new->config_data('--bindir'), '-d', $old->data_dir, '-D', $new->data_dir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
if (!(Test::More->builder->summary)[-1])
{
	diag(join "\n", map { slurp_file($_) =~ /^(.*error: .*(?:\n.*){0,3})/mg } glob($new->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_dump_*.log'));
	done_testing();
	exit;
}
$new->start;
is(contents($new), $whole, 'control tables are equal to the letter');
is(shown($new), $rows, 'and so is what people read');
sub sql { return $new->safe_psql('postgres', $_[0]) }

# Nothing goes out.
is(sql(q{SELECT DISTINCT status, sqlstate FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-02-01', '2024-02-03')}), 'failed|55000', 'it is another instance, and refuses');
for my $call (q{CALL _wh.run_refresh()}, q{CALL _wh.run_maintenance()}, 'REFRESH MATERIALIZED VIEW tenant_a.foodlogstats_2024_02_01')
{
	my ($rc, undef, $err) = $new->psql('postgres', $call);

	like($err, qr/not adopted/, "$call: says why");
}
$new->psql('postgres', $_) for 'SELECT * FROM _wh.test_tenant()', 'SELECT * FROM _wh.wh_doctor()', 'SELECT * FROM _wh.drift()';
is(connections(), $before, 'nobody was contacted');

# Adopted, it works as before.
sql('SELECT _wh.adopt_instance()');
is(shown($new), $rows, 'adopting changes no row');
is(sql('SELECT * FROM _wh.wh_check()'), '', 'nothing is lost');
$tenant->safe_psql('app_a', q{UPDATE foodlogs SET amount = amount + 1 WHERE logged_time < '2024-01-02' OR logged_time >= '2024-02-01';
	UPDATE loans SET amount = amount + 1, updated_at = now() WHERE id <= 10; INSERT INTO loans VALUES (501, now(), 501)});
is(sql(q{SELECT DISTINCT status FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-01', '2024-02-03')}), 'loaded', 'days are refreshed, those inside a month, too');
is(sql(q{SELECT DISTINCT status FROM _wh.wh_refresh('unions', 'tenant_a', '2024-01-01', '2024-01-01')}), 'loaded', 'and one inside a year');
is(sql('SELECT sum(amount) FROM public.foodlogstats'), $tenant->safe_psql('app_a', 'SELECT sum(amount) FROM foodlogs'), 'as at the source');
is(sql(q{SELECT status FROM _wh.wh_refresh('loans')}), 'loaded', 'incremental tables go on from their watermark');
is(sql('SELECT count(*), sum(amount), count(doubled) FROM tenant_a.loans'), $tenant->safe_psql('app_a', 'SELECT count(*), sum(amount), 11 FROM loans'), 'and fire their triggers');
is(sql(q{SELECT status FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-02-04', '2024-02-04')}), 'loaded', 'a new day');
is(sql(q{SELECT _wh.create_combined_table_from_template_by_month('foodlogstats', 'tenant_a', '2024-02-01', allow_gaps => true) ->> 'status'}), 'rolled_up', 'a new month');
sql('CALL _wh.run_maintenance()');
is(sql('SELECT * FROM _wh.wh_check()'), '', 'nothing is lost');

$new->stop;
done_testing();
