# A call that is cancelled at a random moment ends at once, whatever it was
# at, in workers or alone; it takes its connections along, nothing is lost, and
# the next run heals.  Forty times; a thousand with WH_LONG.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $seed = $ENV{WH_SEED} // time;
my $rounds = $ENV{WH_LONG} ? 1000 : 40;
diag("WH_SEED=$seed");

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
my $warehouse = warehouse_node('warehouse', $ca, conf => "max_worker_processes = 16\nlog_min_messages = fatal\nautovacuum = off\n");
plan skip_all => 'dblink is not installed' unless -e $warehouse->config_data('--sharedir') . '/extension/dblink.control';

# A view that is slow by itself now and then, a table that is large enough to be
# cancelled while rows come, and an incremental one.
for my $name ('app_a', 'app_b')
{
	tenant_database($tenant, $name, 0);
	$tenant->safe_psql($name, q{
INSERT INTO foodlogs SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '10 seconds', repeat('store ', i % 20), 1 FROM generate_series(0, 34559) AS i;
CREATE TABLE loans (id integer PRIMARY KEY, updated_at timestamptz NOT NULL, amount integer);
INSERT INTO loans SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '1 minute', i FROM generate_series(1, 20000) AS i;
GRANT SELECT ON loans TO wh_src});
}
add_tenant($warehouse, "tenant_$_", $tenant, "app_$_", 'tenant-secret') for ('a', 'b');
$warehouse->safe_psql('postgres', q{
SELECT _wh.add_template('loans', 'SELECT id, updated_at, amount FROM loans', 'id integer, updated_at timestamptz, amount integer',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'updated_at');
SELECT count(*) FROM _wh.wh_refresh('foodlogstats', from_date => '2024-01-01', to_date => '2024-01-04');
SELECT count(*) FROM _wh.wh_refresh('loans')});

# The driver has a connection of its own and an ear for when the other one ends.
$warehouse->safe_psql('postgres', 'CREATE DATABASE driver');
my $connection = $warehouse->connstr('postgres');
$warehouse->safe_psql('driver', qq{
CREATE EXTENSION dblink;
CREATE TABLE cancels (n integer, statement text, delay_ms float8, latency_ms float8, said text);
CREATE PROCEDURE cancel_at_random(n integer, statement text, delay_ms float8) LANGUAGE plpgsql AS \$\$
<<this>>
DECLARE
	victim integer;
	begun timestamptz;
	said text := 'done';
BEGIN
	IF NOT 'victim' = ANY (coalesce(dblink_get_connections(), '{}')) THEN
		PERFORM dblink_connect('victim', \$c\$$connection\$c\$);
	END IF;
	SELECT pid INTO victim FROM dblink('victim', 'SELECT pg_backend_pid()') AS r (pid integer);
	PERFORM dblink_send_query('victim', statement);

	-- What has not begun cannot be cancelled.
	LOOP
		EXIT WHEN EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = victim AND a.query = cancel_at_random.statement);
		PERFORM pg_stat_clear_snapshot();
	END LOOP;
	PERFORM pg_sleep(delay_ms / 1000);
	begun := clock_timestamp();
	PERFORM pg_cancel_backend(victim);
	WHILE dblink_is_busy('victim') = 1 LOOP
		PERFORM pg_sleep(0.001);
	END LOOP;
	INSERT INTO cancels VALUES (n, statement, delay_ms, extract(epoch FROM clock_timestamp() - begun) * 1000, NULL);
	BEGIN
		PERFORM * FROM dblink_get_result('victim') AS r (t text);
	EXCEPTION WHEN OTHERS OR query_canceled THEN
		said := SQLSTATE;
	END;
	LOOP
		EXIT WHEN dblink_get_result_is_over('victim');
	END LOOP;
	UPDATE cancels AS c SET said = this.said WHERE c.n = cancel_at_random.n;
	COMMIT;
END \$\$;
CREATE FUNCTION dblink_get_result_is_over(name text) RETURNS boolean LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM * FROM dblink_get_result(name) AS r (t text);
	RETURN NOT FOUND;
EXCEPTION WHEN OTHERS OR query_canceled THEN
	RETURN false;
END \$\$});

my $days = q{'foodlogstats', NULL, '2024-01-01', '2024-01-04'};
my @statements = (
	"SELECT count(*)::text FROM _wh.wh_refresh($days)",
	"SELECT count(*)::text FROM _wh.wh_refresh($days, parallel => 0)",
	q{SELECT count(*)::text FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-02', '2024-01-02', method => 'refill')},
	"CALL _wh.run_refresh($days)",
	q{SELECT count(*)::text FROM _wh.wh_refresh('loans')},
	q{SELECT count(*)::text FROM _wh.reconcile('foodlogstats', 'tenant_a', '2024-01-01', '2024-01-04')},
	q{SELECT count(*)::text FROM _wh.fetch('foodlogstats', 'tenant_b', '2024-01-03') AS r (id bigint, logged_time timestamptz, store text, amount numeric(10,2))},
	q{SELECT count(*)::text FROM _wh.test_tenant()});

# The source changes all the while, so that there is something to lose.
srand($seed);
my $script = join "\n", map {
	sprintf q{CALL cancel_at_random(%d, $s$%s$s$, %.1f);}, $_, $statements[ int rand @statements ], rand() ** 2 * 400
} 1 .. $rounds;
append_to_file("$dir/cancels.sql", "$script\n");
append_to_file("$dir/changes.sql", join "\n", ("UPDATE foodlogs SET amount = amount + 1 WHERE id % 7 = (random() * 6)::integer;",
	"UPDATE loans SET amount = amount + 1, updated_at = now() WHERE id % 50 = (random() * 49)::integer;", "SELECT pg_sleep(0.3);", ''));
my @writers = map { IPC::Run::start([ 'pgbench', '-n', '-f', "$dir/changes.sql", '-T', $rounds > 100 ? 3600 : 600, $tenant->connstr($_) ], '<', \undef, '>', '/dev/null', '2>&1') } ('app_a', 'app_b');
$warehouse->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/cancels.sql", $warehouse->connstr('driver') ], "$rounds calls are cancelled");
$_->kill_kill for @writers;
$tenant->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'});

my $report = q{SELECT count(*), count(*) FILTER (WHERE said = '57014'), round(percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms)::numeric),
round(percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms)::numeric), round(max(latency_ms)::numeric) FROM cancels};
my ($count, $cancelled, $median, $p99, $max) = split /\|/, $warehouse->safe_psql('driver', $report);
diag("measured: $rounds cancels, $cancelled of them in the middle: median $median ms, p99 $p99 ms, max $max ms (targets: p99 < 1000, max < 2000)");
is($count, $rounds, 'each came to an end');
is($warehouse->safe_psql('driver', q{SELECT DISTINCT said FROM cancels WHERE said NOT IN ('57014', 'done')}), '', 'and was cancelled or done, nothing else');
cmp_ok($cancelled, '>', $rounds / 5, 'many of them in the middle');

# The bound is wide, since other work on the machine counts.
cmp_ok($max, '<', 10_000, 'none took long')
  or diag($warehouse->safe_psql('driver', 'SELECT * FROM cancels ORDER BY latency_ms DESC LIMIT 5'));

# Ten seconds later nobody is at the tenant, and no worker is left here.
ok($tenant->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'wh_src'}), 'no session stays at the tenant');
poll($warehouse, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_warehouse'}, 'and no worker here');

# Heal, and compare with the source.
is($warehouse->safe_psql('postgres', "SELECT DISTINCT status FROM _wh.wh_refresh($days)"), 'loaded', 'the next run loads every day');
is($warehouse->safe_psql('postgres', q{SELECT DISTINCT status FROM _wh.wh_refresh('loans')}), 'loaded', 'and the incremental tables');
is($warehouse->safe_psql('postgres', 'SELECT * FROM _wh.wh_check()'), '', 'nothing is lost');
for my $name ('a', 'b')
{
	is($warehouse->safe_psql('postgres', "SELECT count(*), sum(amount), sum(hashtext(store)) FROM tenant_$name.foodlogstats"),
		$tenant->safe_psql("app_$name", 'SELECT count(*), sum(amount), sum(hashtext(store)) FROM foodlogs'), "tenant_$name: days as at the source");
	is($warehouse->safe_psql('postgres', "SELECT count(*), sum(amount), max(updated_at) FROM tenant_$name.loans"),
		$tenant->safe_psql("app_$name", 'SELECT count(*), sum(amount), max(updated_at) FROM loans'), "tenant_$name: rows by key as at the source");
}
is($warehouse->safe_psql('postgres', q{SELECT count(*) FROM _wh.extract_runs WHERE status IN ('extracting', 'uploaded')}), '0', 'the log calls none of them running');

done_testing();
