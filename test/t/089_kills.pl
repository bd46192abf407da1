# Killed at any moment: a unit of a random method, the server gone in the middle
# of it.  The slice has all of its old rows or all of the new ones, heap and
# indexes are sound, no relation is left, and the next run heals.  Three times;
# sixty with WH_LONG.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';
use WarehouseTest;

my $seed = $ENV{WH_SEED} // time;
my $rounds = $ENV{WH_LONG} ? 60 : 3;
srand($seed);
diag("WH_SEED=$seed");

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
tenant_database($tenant, 'app', 0);
my $warehouse = warehouse_node('warehouse', $ca, conf => "log_min_messages = fatal\n");
add_tenant($warehouse, 'tenant_a', $tenant, 'app', 'tenant-secret');
$tenant->safe_psql('app', q{INSERT INTO foodlogs
SELECT i, timestamptz '2024-01-01 00:00+00' + i % 86400 * interval '1 second', repeat('store ', i % 30), 1 FROM generate_series(1, 20000) AS i});
$warehouse->safe_psql('postgres', q{CREATE EXTENSION amcheck; SELECT * FROM _wh.test_tenant('tenant_a')});

my $slice = 'tenant_a.foodlogstats_2024_01_01';
my $day = q{'foodlogstats', 'tenant_a', '2024-01-01', '2024-01-01'};
my $contents = 'SELECT count(*), min(amount), max(amount), sum(id) FROM ';
my $sound = qq{SELECT count(*) FROM verify_heapam('$slice');
SELECT count(bt_index_check(indexrelid, true)) FROM pg_index WHERE indrelid = '$slice'::regclass};
my @methods = (
	"SELECT * FROM _wh.wh_refresh($day, method => 'delta')",
	"SELECT * FROM _wh.wh_refresh($day, method => 'refill')",
	"CALL _wh.run_refresh($day)",
	q{SELECT * FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-01', '2024-01-02')});
my ($whole, $healed, $lost) = (0, 0, 0);

$warehouse->safe_psql('postgres', q{CALL _wh.run_refresh('foodlogstats', 'tenant_a', '2024-01-01', '2024-01-02')});
my $relations = $warehouse->safe_psql('postgres', 'SELECT count(*) FROM pg_class');

for my $round (1 .. $rounds)
{
	my $method = $methods[ int rand @methods ];
	my $change = int rand 2 ? 'id % 50 = 0' : 'true';

	# All rows are as the round before left them, and so is the slice.
	$tenant->safe_psql('app', 'UPDATE foodlogs SET amount = ' . 2 * $round);
	$warehouse->safe_psql('postgres', "CALL _wh.run_refresh($day)");
	my $before = $warehouse->safe_psql('postgres', "$contents $slice");
	$tenant->safe_psql('app', "UPDATE foodlogs SET amount = amount + 1 WHERE $change");
	my $after = $tenant->safe_psql('app', "$contents foodlogs");

	my $err = '';
	my $unit = IPC::Run::start([ 'psql', '-Xqc', $method, $warehouse->connstr('postgres') ], '<', \undef, '>', '/dev/null', '2>', \$err, IPC::Run::timeout(60));
	usleep(rand 400_000);
	$warehouse->stop('immediate');
	$warehouse->start;
	eval { $unit->finish };

	my $found = $warehouse->safe_psql('postgres', "$contents $slice");
	my $state = $warehouse->safe_psql('postgres', $sound);
	my $left = $warehouse->safe_psql('postgres', 'SELECT count(*) FROM pg_class');

	if (($found ne $before && $found ne $after) || $state ne "0\n1" || $left != $relations)
	{
		fail("round $round of seed $seed: $method, $change");
		diag("before $before, after $after, found $found, sound $state, $left relations, not $relations");
		last;
	}
	$whole++;
	$lost++ if $found eq $before;
	$warehouse->safe_psql('postgres', "CALL _wh.run_refresh($day)");
	$healed++ if $warehouse->safe_psql('postgres', "$contents $slice") eq $after;
}
is($whole, $rounds, "$rounds kills, each slice whole and sound");
is($healed, $rounds, 'each healed by the next run');
is($warehouse->safe_psql('postgres', q{SELECT count(*) FROM _wh.extract_runs WHERE status IN ('extracting', 'uploaded')}), '0', 'the log calls none of them running');
diag("measured: $lost of $rounds kills came before the commit");

done_testing();
