# A refill where it hurts: killed at every stage, without WAL, with a standby
# that reads, and with readers that must not notice.
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
tenant_database($tenant, 'app', 0);
$tenant->safe_psql('app', q{
INSERT INTO foodlogs
SELECT i, timestamptz '2024-01-01 00:00+00' + i % 86400 * interval '1 second', repeat('store ', i % 50), i
FROM generate_series(1, 20000) AS i;
UPDATE foodlogs SET store = (SELECT string_agg(md5((id * j)::text), '') FROM generate_series(1, 100) AS j) WHERE id % 500 = 0});

my $day = q{'foodlogstats', 'tenant_a', '2024-01-01', '2024-01-01'};
my $contents = q{SELECT count(*), sum(amount), md5(string_agg(md5(store), '' ORDER BY id)) FROM tenant_a.foodlogstats_2024_01_01};
my $source = q{SELECT count(*), sum(amount), md5(string_agg(md5(store), '' ORDER BY id)) FROM foodlogs};
my $sound = q{SELECT count(*) FROM verify_heapam('tenant_a.foodlogstats_2024_01_01');
SELECT count(bt_index_check(indexrelid, true)) FROM pg_index
WHERE indrelid IN (SELECT unnest(ARRAY[oid, reltoastrelid]) FROM pg_class WHERE oid = 'tenant_a.foodlogstats_2024_01_01'::regclass)};
my $last_method = q{SELECT method FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1};

foreach my $level ('replica', 'minimal')
{
	my $warehouse = warehouse_node("warehouse_$level", $ca, conf => $level eq 'replica' ?
		"wal_level = replica\nmax_wal_senders = 4\nhot_standby_feedback = on\n" :
		"wal_level = minimal\nmax_wal_senders = 0\nwal_skip_threshold = 0\n");

	add_tenant($warehouse, 'tenant_a', $tenant, 'app', 'tenant-secret');
	$warehouse->safe_psql('postgres', "CREATE EXTENSION amcheck; CALL _wh.run_refresh($day)");

	my $standby;
	if ($level eq 'replica')
	{
		$warehouse->append_conf('pg_hba.conf', 'local replication all trust');
		$warehouse->reload;
		$warehouse->backup('base');
		$standby = PostgreSQL::Test::Cluster->new('standby');
		$standby->init_from_backup($warehouse, 'base', has_streaming => 1);
		$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
		$standby->start;
		$warehouse->wait_for_catchup($standby);
	}

	# A reader on the standby keeps its rows through a refill here, which waits
	# for nobody there.
	if ($standby)
	{
		my $reader = $standby->background_psql('postgres');
		my $before = $standby->safe_psql('postgres', $contents);
		my $waiting = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event = 'relation'};

		$tenant->safe_psql('app', 'UPDATE foodlogs SET amount = amount + 1');
		$reader->query("BEGIN; $contents");
		$warehouse->safe_psql('postgres', "CALL _wh.run_refresh($day)");
		is($warehouse->safe_psql('postgres', $last_method), 'refill', 'a refill while a standby is read');
		ok($standby->poll_query_until('postgres', $waiting), 'its replay waits for the reader');
		is($reader->query($contents), $before, 'who reads the old rows again');
		$reader->query('COMMIT');
		$reader->quit;
		$warehouse->wait_for_catchup($standby);
		is($standby->safe_psql('postgres', $contents), $tenant->safe_psql('app', $source), 'then the new ones are there');
	}

	# Committed, then the server dies: the new rows are whole.
	$tenant->safe_psql('app', 'UPDATE foodlogs SET amount = amount + 1');
	$warehouse->safe_psql('postgres', "CHECKPOINT; CALL _wh.run_refresh($day)");
	is($warehouse->safe_psql('postgres', $last_method), 'refill', "$level: most rows differ: a refill");
	$warehouse->stop('immediate');
	$warehouse->start;
	is($warehouse->safe_psql('postgres', $contents), $tenant->safe_psql('app', $source), "$level: whole after a crash");
	is($warehouse->safe_psql('postgres', $sound), "0\n2", "$level: and sound");

	# The standby has the same, and reads it through its own indexes.
	if ($standby)
	{
		$warehouse->wait_for_catchup($standby);
		is($standby->safe_psql('postgres', $contents), $tenant->safe_psql('app', $source), 'the standby has the same rows');
		is($standby->safe_psql('postgres', 'SET enable_seqscan = off; SELECT id FROM tenant_a.foodlogstats_2024_01_01 WHERE id = 777'),
			777, 'and finds them by index');
	}

	# Killed while the rows are on their way, and while the lock is waited for:
	# the old rows are whole, the next run heals, no file or relation is left.
	my $before = $warehouse->safe_psql('postgres', $contents);
	my $relations = $warehouse->safe_psql('postgres', 'SELECT count(*) FROM pg_class');
	foreach my $stage ('rows', 'lock')
	{
		my $reader = $warehouse->background_psql('postgres');
		my $unit = $warehouse->background_psql('postgres', on_error_stop => 0);

		$tenant->safe_psql('app', 'UPDATE foodlogs SET amount = amount + 1');
		$reader->query("BEGIN; $contents");
		$warehouse->safe_psql('postgres', q{SELECT _wh.alter_template('foodlogstats', query_template =>
$$SELECT id, logged_time, store, amount FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}}
			. ($stage eq 'rows' ? q{ AND (id < 19000 OR pg_sleep(0.1) IS NOT NULL)} : '') . '$$)');
		$unit->query_until(qr/begun/, "\\echo begun\nCALL _wh.run_refresh($day);\n");
		ok($warehouse->poll_query_until('postgres', $stage eq 'rows'
			? q{SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'tenant_a.foodlogstats_2024_01_01'::regclass AND mode = 'ExclusiveLock' AND granted)}
			: q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event IN ('WarehouseLock', 'Extension'))}),
			"$level: reached the $stage");
		$warehouse->stop('immediate');
		$warehouse->start;
		eval { $_->quit } foreach $reader, $unit;
		is($warehouse->safe_psql('postgres', $contents), $before, "$level: killed at the $stage: the old rows");
		is($warehouse->safe_psql('postgres', $sound), "0\n2", "$level: sound");
		is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM pg_class'), $relations, "$level: no relation is left over");
	}
	$warehouse->safe_psql('postgres', "CALL _wh.run_refresh($day)");
	is($warehouse->safe_psql('postgres', $contents), $tenant->safe_psql('app', $source), "$level: the next run heals");
	is($warehouse->safe_psql('postgres', q{SELECT count(*) FROM _wh.extract_runs WHERE status = 'lost'}), 2, "$level: and the log knows");

	$standby->stop if $standby;
	$warehouse->stop;
}

done_testing();
