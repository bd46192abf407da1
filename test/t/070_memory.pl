# Memory: refreshing a million rows takes no more private memory than ten
# thousand do, but for the work_mem of a tuplestore and a margin.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use WarehouseTest;

my $margin_kb = 4 * 1024;
my $work_mem_kb = 4 * 1024;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
$tenant->safe_psql('postgres', 'CREATE DATABASE app');
$tenant->safe_psql('app', q{
CREATE TABLE foodlogs AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + (i % 86400) * interval '1 second' AS logged_time,
    'store number ' || i % 100 AS store, (i * 1.25)::numeric(10,2) AS amount
FROM generate_series(1, 1000000) AS i;
INSERT INTO foodlogs SELECT 1000000 + i, timestamptz '2024-01-02 00:00+00' + (i % 86400) * interval '1 second', 'store number ' || i % 100, 1.25
FROM generate_series(1, 10000) AS i;
ALTER TABLE foodlogs ALTER logged_time SET NOT NULL, ADD PRIMARY KEY (id);
ANALYZE foodlogs;
GRANT SELECT ON foodlogs TO wh_src});
my $warehouse = warehouse_node('warehouse', $ca);
add_tenant($warehouse, 'tenant_a', $tenant, 'app', 'tenant-secret');
$warehouse->safe_psql('postgres', q{SELECT _wh.alter_template('foodlogstats', column_definitions =>
	'id integer, logged_time timestamptz, store text, amount numeric(10,2)', reset => '{indexes}')});

# Peak RssAnon of a fresh backend that runs a query, in kB.
sub peak_of
{
	my ($name, $sql) = @_;
	my $session = $warehouse->background_psql('postgres');
	my $pid = $session->query("SET work_mem = '${work_mem_kb}kB'; SET maintenance_work_mem = '${work_mem_kb}kB'; SELECT pg_backend_pid()");
	my $peak = 0;
	my $file = "$dir/peak_$name";

	$pid =~ s/\D//g;
	$session->query_until(qr/started/, "\\echo started\n$sql \\g $file\n");
	for (1 .. 30000)
	{
		my ($kb) = slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/;

		$peak = $kb if $kb > $peak;
		last if -e $file && -s $file;
		usleep(4000);
	}
	$session->quit;
	like(slurp_file($file), qr/loaded/, "$name loaded");

	return $peak;
}

sub peak
{
	my ($day) = @_;

	return peak_of($day, "SELECT status FROM _wh.wh_refresh('foodlogstats', from_date => '$day', to_date => '$day')");
}

my $small = peak('2024-01-02');
my $large = peak('2024-01-01');
is($warehouse->safe_psql('postgres', 'SELECT row_count FROM _wh.slices ORDER BY period_start'), "1000000\n10000", 'a million rows and ten thousand');
diag("measured: peak RssAnon of 10,000 rows $small kB, of 1,000,000 rows $large kB");
cmp_ok($large, '<=', $small + $work_mem_kb + $margin_kb, 'a million rows in the memory of ten thousand');

# An incremental table: its first load, all of it again, and a day of a million
# rows reconciled, of which some are gone and some have changed.
$warehouse->safe_psql('postgres', q{SELECT _wh.add_template('synced', 'SELECT id, logged_time, store, amount FROM foodlogs',
	'id integer, logged_time timestamptz, store text, amount numeric(10,2)', materialization => 'incremental', key_columns => '{id}', watermark_column => 'logged_time')});
my %peak = (first => peak_of('first', q{SELECT status, rows_inserted FROM _wh.wh_refresh('synced', 'tenant_a')}));
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM tenant_a.synced'), '1010000', 'all rows');
$warehouse->safe_psql('postgres', q{SELECT _wh.reseed('synced', 'tenant_a')});
$peak{again} = peak_of('again', q{SELECT status, rows_unchanged FROM _wh.wh_refresh('synced', 'tenant_a')});
$tenant->safe_psql('app', 'DELETE FROM foodlogs WHERE id % 50 = 0; UPDATE foodlogs SET amount = 0 WHERE id % 50 = 1');
$peak{reconciled} = peak_of('reconciled', q{SELECT action, rows_updated, rows_deleted FROM _wh.reconcile('synced', 'tenant_a', '2024-01-01', '2024-01-01')});
is($warehouse->safe_psql('postgres', 'SELECT rows_updated, rows_deleted FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1'), '20000|20000', 'what differed');
is($warehouse->safe_psql('postgres', q{SELECT action FROM _wh.reconcile('synced', 'tenant_a', '2024-01-01', '2024-01-01')}), 'none', 'and no more');
diag('measured: peak RssAnon of an incremental table of 1,010,000 rows: ' . join(', ', map { "$_ $peak{$_} kB" } sort keys %peak));

# A hash of keys may take twice work_mem, several spools 1 MB each; the sort of a
# new primary key has maintenance_work_mem, here as much.
cmp_ok($peak{$_}, '<=', $small + 3 * $work_mem_kb + $margin_kb, "bounded memory: $_") for sort keys %peak;

done_testing();
