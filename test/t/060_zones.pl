# Days are the tenant's: at 01:00 UTC it is still yesterday in Los Angeles and
# already afternoon in Auckland, and on the days when their clocks change no row
# is lost or doubled at any border.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my ($faketime) = glob('/usr/lib/*/faketime/libfaketime.so.1');
plan skip_all => 'libfaketime is not installed' unless $faketime;

my $dir = scratch_dir();
my $ca = make_ca($dir);
{
	# Certificates and servers live at the same false time; workers do not,
	# since libfaketime is blind to what a signal handler forks.
	local $ENV{LD_PRELOAD} = $faketime;
	local $ENV{FAKETIME} = '@2024-03-12 01:00:00';
	local $ENV{TZ} = 'UTC';
	local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
	mkdir "$dir/then";
	make_ca("$dir/then");
	our $tenant = tenant_node('tenant', "$dir/then", 'tenant-secret');
	our $warehouse = warehouse_node('warehouse', "$dir/then/ca.crt", conf => "pg_warehouse.max_workers = 0\n");
}
our ($tenant, $warehouse);

is($warehouse->safe_psql('postgres', 'SELECT _wh.current_date_utc()'), '2024-03-12', 'the server believes in 01:00 UTC');

# A row each half hour, over the days of both changes of clocks.
my %zones = (la => 'America/Los_Angeles', auckland => 'Pacific/Auckland', howe => 'Australia/Lord_Howe', utc => 'UTC');
for my $name (sort keys %zones)
{
	tenant_database($tenant, $name, 0);
	$tenant->safe_psql($name, q{
INSERT INTO foodlogs SELECT row_number() OVER (), at, 's', 1
FROM (SELECT generate_series(timestamptz '2023-09-20 00:00+00', timestamptz '2024-03-12 00:59:59+00', interval '30 minutes') AS at) AS t});
	add_tenant($warehouse, $name, $tenant, $name, 'tenant-secret', time_zone => $zones{$name});
}

# At 01:00 UTC on the 12th: Los Angeles is still in the 11th.
is($warehouse->safe_psql('postgres', q{SELECT tenant_name, period_start, status FROM _wh.wh_refresh('foodlogstats') WHERE status <> 'loaded' OR tenant_name = 'la' ORDER BY 1, 2}),
	"la|2024-03-10|loaded\nla|2024-03-11|loaded", 'each tenant loads its own today and yesterday');
is($warehouse->safe_psql('postgres', q{SELECT max(period_start) FROM _wh.slices WHERE tenant_name = 'auckland'}), '2024-03-12', 'Auckland is further');
is($warehouse->safe_psql('postgres', q{SET client_min_messages = error; SELECT _wh.update_mv_by_template('foodlogstats', 'la', '2024-03-12')}), 'f',
	'a day that has not begun there is skipped');
is($warehouse->safe_psql('postgres', q{SELECT status FROM _wh.extract_runs ORDER BY period_start DESC, run_id DESC LIMIT 1}), 'skipped', 'and logged as such');

# Windows over both changes: every row exactly once, each in its day.
for my $window ([ '2023-09-22', '2023-10-03' ], [ '2023-10-30', '2023-11-07' ], [ '2024-03-08', '2024-03-11' ])
{
	$warehouse->safe_psql('postgres', "CALL _wh.run_refresh('foodlogstats', NULL, '$window->[0]', '$window->[1]')");
}
for my $name (sort keys %zones)
{
	is($warehouse->safe_psql('postgres', qq{
SELECT count(*), count(DISTINCT id), bool_and((logged_time AT TIME ZONE '$zones{$name}')::date BETWEEN '2023-09-22' AND '2024-03-12') FROM $name.foodlogstats}),
		$tenant->safe_psql($name, qq{
SELECT count(*), count(DISTINCT id), true FROM foodlogs WHERE (logged_time AT TIME ZONE '$zones{$name}')::date IN (
    SELECT d::date FROM generate_series(date '2023-09-22', '2023-10-03', '1 day') d UNION SELECT d::date FROM generate_series(date '2023-10-30', '2023-11-07', '1 day') d
    UNION SELECT d::date FROM generate_series(date '2024-03-08', '2024-03-12', '1 day') d)}),
		"$zones{$name}: every row exactly once");
}
is($warehouse->safe_psql('postgres', q{SELECT row_count FROM _wh.slices WHERE tenant_name = 'la' AND period_start IN ('2023-11-05', '2024-03-10') ORDER BY period_start}),
	"50\n46", 'Los Angeles has days of 25 and of 23 hours');
is($warehouse->safe_psql('postgres', q{SELECT row_count FROM _wh.slices WHERE tenant_name = 'howe' AND period_start = '2023-10-01'}), '47', 'Lord Howe one of 23.5');

done_testing();
