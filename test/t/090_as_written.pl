# The statements of the architecture document run as they are typed there, and
# what the README gives for the others runs too.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $example = "$FindBin::RealBin/../../examples/multi-tenant-warehouse";
my ($faketime) = glob('/usr/lib/*/faketime/libfaketime.so.1');
die 'libfaketime is not installed' unless $faketime;

# The document lives at the beginning of 2024: so do these servers, but no
# workers, since libfaketime is blind to what a signal handler forks.
local $ENV{LD_PRELOAD} = $faketime;
local $ENV{FAKETIME} = '@2024-02-02 12:00:00';
local $ENV{TZ} = 'UTC';
local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenants = tenant_node('tenants', $dir, 'tenant-secret');
my $warehouse = warehouse_node('warehouse', $ca, conf => qq{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.host = '$PostgreSQL::Test::Cluster::test_pghost'
pg_warehouse.max_workers = 0
});
$warehouse->safe_psql('postgres', q{
CREATE EXTENSION pg_cron;
SET client_min_messages = warning;
SELECT _wh.setup(preload => false);
SELECT _wh.drop_template('foodlogstats')});

# Twelve rows a day from 1 January to 1 February, in tables named phood_*.
for my $tenant ('tenant_a', 'tenant_b', 'tenant_c')
{
	tenant_database($tenants, $tenant, 12 * 32);
	$tenants->safe_psql($tenant, 'ALTER TABLE foodlogs RENAME TO phood_foodlogs');
	add_tenant($warehouse, $tenant, $tenants, $tenant, 'tenant-secret');
}

sub run_file
{
	my ($file) = @_;

	return $warehouse->psql('postgres', undef, extra_params =>
		[ '-U', 'whadmin', '-f', "$example/$file" ], on_error_stop => 1);
}

my ($status, $out, $err) = run_file('as_written.sql');
is($status, 0, 'as_written.sql runs to its end') or diag($err);
is($err, '', 'and says nothing that is no answer');
is(scalar(my @true = $out =~ /^t$/mg), 6, 'every boolean function is true');
like($out, qr/^2023$/m, 'the year of the annual combination');
like($out, qr/"failed": 0/, 'the rebuild has no failure');

is($warehouse->safe_psql('postgres', q{
SELECT tenant_name, count(*), sum(row_count), min(period_start), max(period_start)
FROM _wh.slices GROUP BY 1 ORDER BY 1}),
	"tenant_a|33|384|2024-01-01|2024-02-02\n"
	  . "tenant_b|2|12|2024-02-01|2024-02-02\n"
	  . "tenant_c|2|12|2024-02-01|2024-02-02",
	'every day since the first one is there');
is($warehouse->safe_psql('postgres', q{SELECT schema_name, count(*) FROM public.foodlogstats GROUP BY 1 ORDER BY 1}),
	"tenant_a|384\ntenant_b|12\ntenant_c|12", 'and in the public view');
is($warehouse->safe_psql('postgres', q{
SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes
WHERE schemaname = 'tenant_a' AND tablename = 'foodlogstats_2024_01_01'}),
	'idx_tenant_a_foodlogstats_2024_01_01_id'
	  . ' idx_tenant_a_foodlogstats_2024_01_01_logged_time'
	  . ' idx_tenant_a_foodlogstats_2024_01_01_store',
	'with the indexes as the document names them');

($status, $out, $err) = run_file('replaced.sql');
is($status, 0, 'replaced.sql runs to its end') or diag($err);
like($out, qr/^tenant_a\.foodlogstats\|ok\|0$/m, 'freshness');
like($out, qr/^tenant_a\|foodlogstats_2024_01_01\|/m, 'storage of a materialized view');
like($out, qr/^pg_warehouse:refresh:foodlogstats:tenant_a\|10 \*\/4 \* \* \*\|CALL/m, 'a job');

# A year later: each day of 2024 is there, and the document combines them.
$_->stop foreach $tenants, $warehouse;
$ENV{FAKETIME} = '@2025-02-15 02:00:00';
unlink "$dir/ext";
make_ca($dir);
$_->start foreach $tenants, $warehouse;
$tenants->safe_psql('tenant_a', q{
INSERT INTO phood_foodlogs SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '2 hours', 'store ' || i % 3, i * 1.25
FROM generate_series(12 * 32, 12 * 366 - 1) AS i});

# The fake clock ends a connection now and then: a job runs again, too.
foreach (1 .. 5)
{
	last if $warehouse->psql('postgres', q{CALL _wh.run_refresh('foodlogstats', 'tenant_a', '2024-01-02', '2024-12-31')}) == 0;
}
($status, $out, $err) = run_file('as_written_yearly.sql');
is($status, 0, 'as_written_yearly.sql runs to its end') or diag($err);
like($out, qr/"rows": 4392, "year": 2024.*"status": "rolled_up".*"days_found": 366/, 'the year is one table');
like($out, qr/"year": 2024.*"status": "skipped"/, 'and is combined once');
is($warehouse->safe_psql('postgres', q{
SELECT (SELECT count(*) FROM tenant_a.foodlogstats_2024), (SELECT count(DISTINCT id) FROM tenant_a.foodlogstats),
       (SELECT count(*) FROM public.foodlogstats WHERE EXTRACT(YEAR FROM logged_time) = 2024 AND schema_name = 'tenant_a'),
       (SELECT count(*) FROM pg_matviews WHERE schemaname = 'tenant_a')}), '4392|4392|4392|0', 'with every row once');

done_testing();
