# A real installation, broken in many ways and mended by what the doctor says,
# statement by statement and with nothing else but restarts.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
tenant_database($tenant, 'app_a', 120);
tenant_database($tenant, 'app_b', 12);
$tenant->safe_psql('postgres', 'CREATE ROLE wh_open LOGIN');
$tenant->safe_psql('app_b', 'GRANT SELECT ON foodlogs TO wh_open');
my $hba = $tenant->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
unlink $hba;
append_to_file($hba, "hostssl all wh_open 127.0.0.1/32 trust\n$rules");
$tenant->reload;

my $socket = $PostgreSQL::Test::Cluster::test_pghost;
my $node = warehouse_node('warehouse', $ca, conf => qq{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
max_worker_processes = 16
autovacuum_naptime = 1d
});

sub run_sql { return $node->safe_psql('postgres', $_[0]); }

sub findings
{
	my ($more) = @_;

	return run_sql("SELECT check_name, status, detail, fix_sql FROM _wh.wh_doctor() WHERE status <> 'ok' " . ($more // ''));
}

run_sql('ALTER DATABASE postgres SET session_preload_libraries = pg_warehouse');
add_tenant($node, 'tenant_a', $tenant, 'app_a', 'tenant-secret');
run_sql("SELECT _wh.wh_refresh('foodlogstats', from_date => '2024-01-01', to_date => '2024-01-08')");

# pg_cron is loaded and not installed; it connects to localhost, where this
# server does not listen.
like(findings(), qr/^cron\|warn\|.*\|CREATE EXTENSION pg_cron;$/, 'pg_cron is not installed');
run_sql('CREATE EXTENSION pg_cron');
like(findings(), qr/^grants\|error\|role "whadmin" lacks USAGE on schema cron\|/m, 'and its schema is closed to the owner');
like(findings(), qr/^cron_login\|error\|role "whadmin" cannot log in at "localhost".*\|ALTER SYSTEM SET cron.host = '\Q$socket\E';$/m,
	'and it cannot log in');
heal('a fresh pg_cron', 3);
is(run_sql('SHOW cron.host'), $socket, 'pg_cron uses the socket');
run_sql("SET ROLE whadmin; SELECT * FROM _wh.setup_cron('foodlogstats', 'tenant_a', '0 12 1 1 *', time_zone => 'Etc/GMT-1')");
run_sql(q{SET ROLE whadmin; SELECT _wh.add_template('larger', 'SELECT id, logged_time FROM foodlogs', 'id bigint, logged_time timestamptz',
    'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)', materialization => 'snapshot', key_columns => '{id}', watermark_column => 'logged_time', tenants => '{tenant_a}');
SELECT status FROM _wh.wh_refresh('larger')});
is(findings(), '', 'all is well');

# Break it.
my $port = $tenant->port;
run_sql($_) for (
	'ALTER ROLE whadmin CREATEROLE',
	'ALTER ROLE whadmin IN DATABASE postgres SET session_preload_libraries = auto_explain',
	'ALTER SCHEMA _wh_union OWNER TO CURRENT_USER',
	'REVOKE EXECUTE ON FUNCTION _wh.wh_refresh FROM whadmin',
	'REVOKE pg_read_all_stats FROM wh_monitor',
	'GRANT UPDATE ON _wh.settings TO whadmin',
	'GRANT SELECT ON _wh.sealed_secrets TO phood_ro',
	'SET ROLE whadmin; ALTER DEFAULT PRIVILEGES IN SCHEMA tenant_a REVOKE SELECT ON TABLES FROM phood_ro',
	'REVOKE SELECT ON public.foodlogstats FROM phood_ro',
	'ALTER SYSTEM SET autovacuum = off',
	'ALTER SYSTEM SET max_worker_processes = 5',
	'ALTER SYSTEM SET cron.host = localhost',
	'UPDATE cron.job SET active = false, nodeport = 1',
	q{SET ROLE whadmin; SELECT cron.schedule('nightly', '0 3 * * *', 'SELECT _wh.update_mv_by_template(''foodlogstats'', ''tenant_a'')')},
	'DROP VIEW public.foodlogstats, tenant_a.foodlogstats',
	'REFRESH MATERIALIZED VIEW tenant_a.foodlogstats_2024_01_03 WITH NO DATA',
	'DROP MATERIALIZED VIEW tenant_a.foodlogstats_2024_01_04',
	'ALTER MATERIALIZED VIEW tenant_a.foodlogstats_2024_01_02 OWNER TO CURRENT_USER',
	q{UPDATE _wh.jobs SET schedule = '0 12 1 1 *' WHERE tenant_name = 'tenant_a'},
	q{INSERT INTO _wh.extract_runs (template_name, tenant_name, table_name, period_start, backend_pid) VALUES ('foodlogstats', 'tenant_a', 'tenant_a.foodlogstats', '2024-01-01', 0)},
	q{UPDATE _wh.extract_runs SET run_started_at = '2024-01-01' WHERE period_start = '2024-01-07'},
	qq{SELECT _wh.add_tenant('tenant_b', 'localhost', 'app_b', 'wh_open', $port, sslmode => 'require', auth_method => 'trusted')},
	q{SELECT _wh.alter_template('foodlogstats', reset => '{indexes}')});

# A day that lost most of its rows at the source for a while, one that was
# changed as a whole, and a column that is gone.
$tenant->safe_psql('app_a', q{CREATE TABLE aside AS SELECT * FROM foodlogs WHERE logged_time >= '2024-01-08' AND logged_time < '2024-01-09';
	DELETE FROM foodlogs USING aside WHERE foodlogs.id = aside.id AND foodlogs.id % 12 > 2;
	INSERT INTO foodlogs SELECT 1000 + i, '2024-01-06 12:00+00', 'many', i FROM generate_series(1, 1500) AS i});
run_sql("SELECT _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-06', '2024-01-08', accept_shrink => true)");
$tenant->safe_psql('app_a', q{INSERT INTO foodlogs SELECT * FROM aside ON CONFLICT DO NOTHING;
	UPDATE foodlogs SET amount = amount + 1 WHERE id > 1000});
run_sql("SELECT _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-06', '2024-01-06', method => 'delta')");
$tenant->safe_psql('app_a', 'ALTER TABLE foodlogs RENAME store TO shop');
run_sql(q{ALTER TABLE _wh.mv_templates DISABLE TRIGGER USER;
	UPDATE _wh.mv_templates SET query_template = 'SELECT * FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}' WHERE template_name = 'foodlogstats';
	ALTER TABLE _wh.mv_templates ENABLE TRIGGER USER});
$node->restart;

my $before = findings();
note($before);
is(findings(), $before, 'two calls say the same');
my %found = map { (split /\|/)[0] => 1 } split /\n/, $before;
is(join(' ', sort keys %found),
	'autovacuum bloat cron_jobs cron_login drift excess_grants grants log lost owner_role preload readers row_counts templates tls union_schema worker_slots',
	'every kind of damage is found');
cmp_ok(scalar(() = $before =~ /\n/g), '>=', 23, 'and each of them');
heal('the broken installation', 4);
is(run_sql('SELECT count(*) FROM tenant_a.foodlogstats'), '1596', 'with all its rows');
is(run_sql(q{SELECT command, username FROM cron.job WHERE jobname = 'nightly'}), q{CALL _wh.run_refresh('foodlogstats', 'tenant_a')|whadmin},
	'and a nightly job that can fail');

# Keys: what takes an editor has no statement.
my $key = run_sql('SHOW pg_warehouse.key_file');
my $ring = slurp_file($key);
chmod 0644, $key;
like(findings(), qr/^keys\|error\|it could not be checked: the key ring file has mode 0644/m, 'a key file that others may read');
chmod 0600, $key;
append_to_file($key, 'second:' . ('A' x 43) . "=\n");
like(findings(), qr/^keys\|warn\|1 passwords are sealed with an older key than the last of the ring\|SELECT _wh.reseal\(\);$/, 'an older key');
run_sql('SELECT _wh.reseal()');
like(findings(), qr/^keys\|warn\|key "\w+" seals no password; remove its line/, 'then an unused one');
utime(time - 400 * 86400, time - 400 * 86400, $key);
like(findings(), qr/^keys\|warn\|the key ring file has not changed for 400 days/m, 'which is old, too');
unlink $key;
append_to_file($key, $ring);
chmod 0600, $key;
like(findings(), qr/^keys\|error\|a password is sealed with key "second", which is not in the key ring file/m, 'a key that is gone');
unlink $key;
append_to_file($key, 'second:' . ('A' x 43) . "=\n");
chmod 0600, $key;
is(findings(), '', 'the ring has what is needed');

# A snapshot that has grown: to make it incremental is for a person.
$tenant->safe_psql('app_a', q{INSERT INTO foodlogs SELECT 10000 + i, '2020-01-01 00:00+00', 'old', i FROM generate_series(1, 10000) AS i});
run_sql(q{SELECT status FROM _wh.wh_refresh('larger')});
like(findings(), qr/^materialization\|warn\|template "larger" reads all 1\d{4} rows of tenant "tenant_a" each time.*'incremental'.*\|$/, 'a snapshot that reads too much');
run_sql(q{SELECT _wh.alter_template('larger', materialization => 'incremental'); SELECT status FROM _wh.wh_refresh('larger')});
is(findings(), '', 'an incremental table reads what changed');

# A job that did not begin when it was due.
run_sql(q{UPDATE _wh.jobs SET scheduled_at = now() - interval '2 years' WHERE kind = 'rollup'});
like(findings(), qr/^cron_jobs\|warn\|job "pg_warehouse:rollup" of pg_cron should have begun at \d{4}-02-15 02:00 UTC and has not: .*\|$/, 'a job that did not come');
run_sql(q{UPDATE _wh.jobs SET scheduled_at = now() WHERE kind = 'rollup'});

# Jobs of a superuser, and one that could not connect.
run_sql(q{SELECT cron.schedule('root', '0 3 * * *', 'CALL _wh.run_refresh()')});
like(findings(), qr/^cron_jobs\|warn\|job "root" of pg_cron runs as superuser/m, 'a superuser needs no job');
run_sql(q{INSERT INTO cron.job_run_details (jobid, runid, status, return_message) SELECT jobid, 1, 'failed', 'connection failed' FROM cron.job WHERE jobname = 'root'});
like(findings(), qr/^cron_jobs\|error\|job "root" of pg_cron could not connect when it last ran/m, 'a job without times');
run_sql(q{SELECT cron.unschedule('root')});
run_sql('ALTER SYSTEM SET cron.use_background_workers = on');
$node->restart;
like(findings(), qr/^cron\|error\|before version 1.5, .*\|ALTER SYSTEM SET cron.use_background_workers = off;$/m, 'one job at a time')
  if run_sql(q{SELECT count(*) FROM pg_settings WHERE name = 'cron.timezone'}) eq '0';
run_sql('ALTER SYSTEM SET cron.use_background_workers = off');
run_sql(q{ALTER SYSTEM SET cron.database_name = 'elsewhere'; });
$node->restart;
like(findings(), qr/^cron\|warn\|pg_cron lives in database "elsewhere"/m, 'pg_cron elsewhere');

# A tenant that is down is told, and there is no statement against it.
$tenant->stop;
like(findings("AND check_name = 'tenants'"), qr/^tenants\|error\|tenant "tenant_a", connect: .*\|\ntenants\|error\|tenant "tenant_b", connect: /, 'tenants that are down');

done_testing();

# Run what the doctor says, restart, and ask again, until it has no more to
# say.
sub heal
{
	my ($what, $rounds) = @_;

	for my $round (1 .. $rounds)
	{
		my @fixes = split /\n/, run_sql('SELECT fix_sql FROM _wh.wh_doctor() WHERE fix_sql IS NOT NULL');

		last if !@fixes;
		for my $fix (@fixes)
		{
			my ($rc, $out, $err) = $node->psql('postgres', $fix);

			diag("round $round: $fix\n$err") if $rc != 0;
		}
		$node->restart;
	}
	is(findings(), '', "$what is healed by its own words");
	return;
}
