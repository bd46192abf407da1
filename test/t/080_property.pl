# A hundred and twenty random changes at the source (3,000 with WH_LONG), a
# refresh by a random method after each: source and slice hold the same rows,
# compared both ways, and heap and indexes are sound.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $seed = $ENV{WH_SEED} // time;
srand($seed);
diag("WH_SEED=$seed");

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
tenant_database($tenant, 'app', 12);
my $warehouse = warehouse_node('warehouse', $ca);
add_tenant($warehouse, 'tenant_a', $tenant, 'app', 'tenant-secret');

# No key, so that rows can occur twice; indexes that both have to follow.  Half
# of the rows may go at once, and mean it.
$tenant->safe_psql('app', 'ALTER TABLE foodlogs DROP CONSTRAINT foodlogs_pkey');
$warehouse->safe_psql('postgres', q{
CREATE EXTENSION amcheck;
SELECT _wh.alter_template('foodlogstats', options => '{"max_shrink": 1}', indexes =>
    'CREATE INDEX {view_name}_id ON {schema}.{view_name} (id) INCLUDE (amount);
     CREATE INDEX {view_name}_len ON {schema}.{view_name} (length(store)) WHERE store IS NOT NULL')});

my $next = 1000;
my $long = q{(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200))};
my $insert = sub {
	my ($n) = @_;

	$next += $n;
	return "INSERT INTO foodlogs SELECT i, timestamptz '2024-01-01 00:00+00' + random() * interval '23 hours', repeat('x', (random() * 30)::int), (random() * 1000)::numeric(10,2) FROM generate_series(@{[$next - $n]}, @{[$next - 1]}) i";
};
my @changes = (
	sub { 'SELECT 1' },
	sub { $insert->(1 + int rand 20) },
	sub { $insert->(1500) },
	sub { "INSERT INTO foodlogs SELECT * FROM foodlogs WHERE id % 23 = " . int rand 23 },
	sub { "UPDATE foodlogs SET amount = (random() * 1000)::numeric(10,2) WHERE id % 7 = " . int rand 7 },
	sub { "UPDATE foodlogs SET store = NULL WHERE id % 11 = " . int rand 11 },
	sub { "UPDATE foodlogs SET store = E'tab\\there\\nnewline \\u00e4\\u20ac' WHERE id % 5 = " . int rand 5 },
	sub { "UPDATE foodlogs SET store = $long WHERE id % 97 = " . int rand 97 },
	sub { "UPDATE foodlogs SET store = repeat('compressible ', 1000) WHERE id % 31 = " . int rand 31 },
	sub { "UPDATE foodlogs SET logged_time = logged_time + interval '1 day' WHERE id % 17 = " . int rand 17 },
	sub { "UPDATE foodlogs SET id = -id WHERE id % 19 = " . int rand 19 },
	sub { "DELETE FROM foodlogs WHERE id % 9 = " . int rand 9 },
	sub { "DELETE FROM foodlogs WHERE random() < 0.5" },
	# Rows that move at the source come in another order.
	sub { "UPDATE foodlogs SET id = id WHERE random() < 0.3" },
	sub { "CREATE TEMP TABLE shuffled AS SELECT * FROM foodlogs ORDER BY random(); TRUNCATE foodlogs; INSERT INTO foodlogs TABLE shuffled; DROP TABLE shuffled" });

my $day = q{'foodlogstats', 'tenant_a', '2024-01-01', '2024-01-01'};
my $refresh = "SELECT status FROM _wh.wh_refresh($day)";
my $forced = "SELECT status FROM _wh.wh_refresh($day, method => '%s')";
my @methods = (
	$refresh,
	"CALL _wh.run_refresh($day)",
	sprintf($forced, 'delta'),
	sprintf($forced, 'refill'),
	"SET pg_warehouse.delta_memory = '1MB'; " . sprintf($forced, 'delta'),
	"SET pg_warehouse.delta_memory = '1MB'; CALL _wh.run_refresh($day)",
	"BEGIN; " . sprintf($forced, 'refill') . "; ROLLBACK; $refresh",
	"BEGIN; $refresh; ROLLBACK; CALL _wh.run_refresh($day)",
	"SET ROLE whadmin; REFRESH MATERIALIZED VIEW tenant_a.foodlogstats_2024_01_01; RESET ROLE");
my $sound = q{SELECT count(*) FROM verify_heapam('tenant_a.foodlogstats_2024_01_01');
SELECT count(bt_index_check(indexrelid, true)) FROM pg_index
WHERE indrelid IN (SELECT unnest(ARRAY[oid, reltoastrelid]) FROM pg_class WHERE oid = 'tenant_a.foodlogstats_2024_01_01'::regclass)};

my $rows = q{SELECT id, logged_time AT TIME ZONE 'UTC', md5(coalesce(store, 'null')), amount FROM %s ORDER BY 1, 2, 3, 4};
my $source = sprintf $rows, q{foodlogs WHERE logged_time >= '2024-01-01 00:00+00' AND logged_time < '2024-01-02 00:00+00'};
my $slice = sprintf $rows, 'tenant_a.foodlogstats_2024_01_01';
my ($same, $rounds) = (0, $ENV{WH_ROUNDS} // ($ENV{WH_LONG} ? 3000 : 120));
my $session = $warehouse->background_psql('postgres');
my $remote = $tenant->background_psql('app');
$_->set_query_timer_restart foreach $session, $remote;

for my $round (1 .. $rounds)
{
	my $change = $changes[ int rand @changes ]->();
	my $method = $round == 1 ? $refresh : $methods[ int rand @methods ];

	$remote->query($_) for split /; /, $change;
	$session->query($_) for 'RESET pg_warehouse.delta_memory', split(/; /, $method);
	my $there = $remote->query($source);
	my $here = $session->query($slice);
	my $state = $round % 10 == 0 || $round == $rounds ? $session->query($sound) : '';

	if ($there eq $here && $state =~ /^(0\n3)?$/)
	{
		$same++;
		next;
	}
	fail("round $round of seed $seed: $change: $method: $state");
	diag($session->query('SELECT * FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1'));
	last;
}
is($same, $rounds, "$rounds random changes, each slice equal to its source");
is($warehouse->safe_psql('postgres', q{SELECT bool_and(rows_loaded = rows_extracted AND rows_loaded = rows_inserted + rows_updated + rows_unchanged) FROM _wh.extract_runs WHERE status = 'loaded'}),
	't', 'and every count adds up');
is($warehouse->safe_psql('postgres', q{SELECT count(DISTINCT method) FROM _wh.extract_runs WHERE status = 'loaded'}),
	3, 'every method had its turn');
is($warehouse->safe_psql('postgres', q{SELECT count(*) FROM _wh.extract_runs WHERE status <> 'loaded'}),
	0, 'and none failed');
$session->quit;
$remote->quit;

done_testing();
