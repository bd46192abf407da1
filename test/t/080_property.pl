# Two hundred random changes at the source, a refresh after each: source and
# slice hold the same rows, compared both ways.
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

my $next = 1000;
my @changes = (
	sub { my $n = 1 + int rand 20; $next += $n; "INSERT INTO foodlogs SELECT i, timestamptz '2024-01-01 00:00+00' + random() * interval '23 hours', repeat('x', (random() * 30)::int), (random() * 1000)::numeric(10,2) FROM generate_series(@{[$next - $n]}, @{[$next - 1]}) i" },
	sub { "UPDATE foodlogs SET amount = (random() * 1000)::numeric(10,2) WHERE id % 7 = " . int rand 7 },
	sub { "UPDATE foodlogs SET store = NULL WHERE id % 11 = " . int rand 11 },
	sub { "UPDATE foodlogs SET store = E'tab\\there\\nnewline \\u00e4\\u20ac' WHERE id % 5 = " . int rand 5 },
	sub { "UPDATE foodlogs SET store = (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200)) WHERE id % 13 = " . int rand 13 },
	sub { "UPDATE foodlogs SET logged_time = logged_time + interval '1 day' WHERE id % 17 = " . int rand 17 },
	sub { "UPDATE foodlogs SET id = -id WHERE id % 19 = " . int rand 19 },
	sub { "DELETE FROM foodlogs WHERE id % 9 = " . int rand 9 });

my $rows = q{SELECT id, logged_time AT TIME ZONE 'UTC', md5(coalesce(store, 'null')), amount FROM %s ORDER BY 1, 2, 3, 4};
my $source = sprintf $rows, q{foodlogs WHERE logged_time >= '2024-01-01 00:00+00' AND logged_time < '2024-01-02 00:00+00'};
my $slice = sprintf $rows, 'tenant_a.foodlogstats_2024_01_01';
my ($same, $rounds) = (0, 200);
my $session = $warehouse->background_psql('postgres');
my $remote = $tenant->background_psql('app');

for my $round (1 .. $rounds)
{
	my $change = $changes[ int rand @changes ]->();

	$remote->query($change);
	my $status = $session->query(q{SELECT status FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-01', '2024-01-01')});
	my $there = $remote->query($source);
	my $here = $session->query($slice);

	if ($status =~ /loaded/ && $there eq $here)
	{
		$same++;
		next;
	}
	fail("round $round of seed $seed: $change: $status");
	last;
}
is($same, $rounds, "$rounds random changes, each slice equal to its source");
is($warehouse->safe_psql('postgres', q{SELECT bool_and(rows_loaded = rows_extracted AND rows_loaded = rows_inserted + rows_updated + rows_unchanged) FROM _wh.extract_runs WHERE status = 'loaded'}),
	't', 'and every count adds up');
$session->quit;
$remote->quit;

done_testing();
