# A roll-up where it hurts: killed between every two steps, alone and in a
# worker, with next to no locks, and with a full disk.
use strict;
use warnings;

use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

# The warehouse is its own tenant, over its socket.  No room for locks: ten per
# session that there can be.
my $node = warehouse_node('rollup', '', conf => qq{
restart_after_crash = on
log_min_messages = fatal
max_connections = 16
max_worker_processes = 6
max_wal_senders = 0
autovacuum_max_workers = 1
max_locks_per_transaction = 10
pg_warehouse.max_workers = 2
});
$node->safe_psql('postgres', q{
CREATE TABLE src (id integer, at timestamptz, pad text);
INSERT INTO src SELECT i, timestamptz '2001-01-01 00:00+00' + i * interval '6 hours', repeat(md5(i::text), i % 100) FROM generate_series(0, 4 * 500 - 1) AS i;
GRANT SELECT ON src TO whadmin;
SELECT _wh.drop_template('foodlogstats');
SELECT _wh.add_tenant('tenant_a', split_part(current_setting('unix_socket_directories'), ',', 1), 'postgres',
    'whadmin', current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('roll',
    $$SELECT id, at, pad FROM public.src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, pad text',
    $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id);
      CREATE INDEX {view_name}_pad ON {schema}.{view_name} (md5(pad))$$,
    time_column => 'at')});

# Three days of each month.
my @months = map { sprintf '%d-%02d', 2001 + int($_ / 12), 1 + $_ % 12 } 0 .. 15;
$node->safe_psql('postgres', qq{
SELECT count(*) FROM _wh.wh_refresh('roll', 'tenant_a', '$_-01', '$_-03')}) for @months;
my $contents = q{SELECT count(*), count(DISTINCT id), md5(string_agg(md5(r::text), '' ORDER BY id)) FROM tenant_a.roll AS r};
my $all = $node->safe_psql('postgres', $contents);
like($all, qr/^192\|192\|/, 'sixteen months of three days');

# The invariants, of which one is that no relation is unknown.  That a run died
# is told until the next one has marked it as lost.
my $broken = q{SELECT string_agg(c::text, ' ') FROM _wh.wh_check() AS c};
my $lost = "$broken WHERE invariant <> 'run'";

# A roll-up stops where it is told to: at the nth statement of a tag, at the
# nth row of a table of ours, or in what is called with the new table.
$node->safe_psql('postgres', q{
CREATE TABLE stop (tag text, nth integer);
INSERT INTO stop VALUES ('', 0);
CREATE SEQUENCE stops;
CREATE FUNCTION reached(step text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS
$$ BEGIN
    IF EXISTS (SELECT FROM public.stop WHERE tag = step) AND nextval('public.stops') = (SELECT nth FROM public.stop) THEN
        PERFORM pg_sleep(180);
    END IF;
END $$;
CREATE FUNCTION stop_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.reached(tg_tag); END $$;
CREATE FUNCTION stop_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.reached(tg_table_name); RETURN NULL; END $$;
CREATE FUNCTION stop_call(regclass) RETURNS void LANGUAGE sql AS $$ SELECT public.reached('after_create') $$;
CREATE EVENT TRIGGER stop ON ddl_command_end EXECUTE FUNCTION stop_ddl();
CREATE EVENT TRIGGER stop_drop ON sql_drop EXECUTE FUNCTION stop_ddl();
CREATE TRIGGER stop AFTER INSERT ON _wh.retired_relations FOR EACH ROW EXECUTE FUNCTION stop_row();
CREATE TRIGGER stop AFTER INSERT ON _wh.slices FOR EACH ROW EXECUTE FUNCTION stop_row();
SELECT _wh.alter_template('roll', options => '{"after_create": "public.stop_call(regclass)"}')});

my $month = 0;
foreach my $stop (
	[ 'CREATE TABLE', 1 ], [ 'CREATE INDEX', 1 ], [ 'CREATE INDEX', 2 ], [ 'CREATE INDEX', 3 ], [ 'GRANT', 1 ],
	[ 'COMMENT', 1 ], [ 'after_create', 1 ], [ 'retired_relations', 1 ], [ 'slices', 1 ],
	[ 'DROP MATERIALIZED VIEW', 1 ], [ 'DROP MATERIALIZED VIEW', 2 ],
	[ 'GRANT', 1, 'alone' ], [ 'slices', 1, 'alone' ], [ 'DROP MATERIALIZED VIEW', 2, 'alone' ], [ 'CREATE VIEW', 1, '', 'union' ])
{
	my ($tag, $nth, $alone, $layout) = @$stop;
	my $name = "$tag $nth" . ($alone ? ' without workers' : '');
	my $call = qq{SELECT r ->> 'status', r ->> 'left' FROM _wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '$months[ $month++ ]-01', allow_gaps => true) AS r};

	$node->safe_psql('postgres', qq{SELECT _wh.alter_template('roll', options => '{"view_layout": "$layout"}')}) if $layout;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$node->safe_psql('postgres', qq{UPDATE stop SET tag = '$tag', nth = $nth; ALTER SEQUENCE stops RESTART});
	$session->query('SET pg_warehouse.max_workers = 0') if $alone;
	$session->query_until(qr/begun/, "\\echo begun\n$call;\n");
	poll($node, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')}, "$name: reached");
	kill 'KILL', $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
	eval { $session->quit };
	$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')});

	is($node->safe_psql('postgres', $contents), $all, "$name: killed: every row once");
	is($node->safe_psql('postgres', $lost), '', "$name: nothing is lost");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM _wh.retired_relations'),
		$tag eq 'DROP MATERIALIZED VIEW' && !$alone ? 3 : 0, "$name: published or not at all");
	$node->safe_psql('postgres', q{UPDATE stop SET tag = ''});
	like($node->safe_psql('postgres', $call), qr/^(rolled_up|skipped)\|0$/, "$name: the next one heals");
	is($node->safe_psql('postgres', $contents), $all, "$name: healed: every row once");
	is($node->safe_psql('postgres', $broken), '', "$name: and nothing is broken");
	is($node->safe_psql('postgres', q{
SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant_a'::regnamespace AND relkind IN ('r', 'm')}), 3 * @months - 2 * $month, "$name: nothing is left over");
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM _wh.extract_runs WHERE status = 'extracting'}), 0, 'the log has no open end');

# A sweep: killed at any moment, in the middle of whatever it is.
my $last = sprintf q{_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '%s-01', allow_gaps => true)}, $months[$month];
$node->safe_psql('postgres', qq{
SELECT _wh.alter_template('roll', reset => '{options}');
SELECT count(*) FROM _wh.wh_refresh('roll', 'tenant_a', '$months[$month]-01', '$months[$month]-28')});
$all = $node->safe_psql('postgres', $contents);
srand(20010101);
foreach my $try (1 .. ($ENV{WH_LONG} ? 30 : 4))
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_until(qr/begun/, "\\echo begun\nSELECT $last;\n");
	select undef, undef, undef, rand(0.4);
	kill 'KILL', $_ for split /\n/, $node->safe_psql('postgres', q{
SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_warehouse' OR query LIKE 'SELECT _wh.create_combined%' ORDER BY backend_type = 'pg_warehouse' DESC LIMIT 1});
	eval { $session->quit };
	ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_warehouse')}), "sweep $try: over");
	is($node->safe_psql('postgres', $contents), $all, "sweep $try: every row once");
	is($node->safe_psql('postgres', $lost), '', "sweep $try: nothing is lost");
}
like($node->safe_psql('postgres', "SELECT r ->> 'status', r ->> 'left' FROM $last AS r"),
	qr/^(rolled_up|skipped)\|0$/, 'and at last it is done');
is($node->safe_psql('postgres', $contents), $all, 'with every row once');
is($node->safe_psql('postgres', $broken), '', 'and nothing broken');

# A lock table of ten per transaction: too small for the days of four months at
# once, or for one month's in the caller's transaction; large enough for a
# month in a worker, and for the year from its months.
$node->safe_psql('postgres', q{
SELECT _wh.drop_template('roll', drop_data => true);
SELECT _wh.add_template('few',
    $$SELECT id, at FROM public.src WHERE at >= {DAY_START} AND at < {DAY_END}$$, 'id integer, at timestamptz',
    time_column => 'at', options => '{"start_date": "2001-09-01", "public_view": false}')});
$node->safe_psql('postgres', qq{SELECT count(*) FROM _wh.wh_refresh('few', 'tenant_a', '$_->[0]', '$_->[1]')})
  for [ '2001-09-01', '2001-09-30' ], [ '2001-10-01', '2001-10-31' ], [ '2001-11-01', '2001-11-30' ], [ '2001-12-01', '2001-12-31' ];
my $year = q{SELECT r ->> 'status', r -> 'error' ->> 'sqlstate', r -> 'error' ->> 'hint' FROM _wh.create_combined_table_from_template_by_year('few', 'tenant_a', 2001) AS r};
my $refused = $node->safe_psql('postgres', $year);
like($refused, qr/^failed\|54000\|Set max_locks_per_transaction = \d+ and restart the server, or roll up each month first: SELECT _wh\.create_combined_table_from_template_by_month\('few', 'tenant_a', '2001-09-01'\)/,
	'a year of days is too much');
my ($status, undef, $error) = $node->psql('postgres', q{SET pg_warehouse.max_workers = 0;
SELECT _wh.create_combined_table_from_template_by_month('few', 'tenant_a', '2001-09-01')});
like($error, qr/ERROR:  1 units do not fit into one transaction.*HINT:  CALL _wh\.run_rollup/s, 'and so is a month in one transaction');
is($node->safe_psql('postgres', qq{
SELECT r ->> 'status', r ->> 'left' FROM _wh.create_combined_table_from_template_by_month('few', 'tenant_a', '2001-$_-01') AS r}),
	'rolled_up|0', "but not month $_ in a worker") for '09', '10', '11', '12';
is($node->safe_psql('postgres', $year), 'rolled_up||', 'nor the year from its months');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT id) FROM tenant_a.few}), '488|488', 'with every row');

# A full disk: a file system of one megabyte that only the server sees.
SKIP:
{
	my $cold = abs_path($node->basedir) . '/cold';
	my ($uid, $gid) = ($>, $) + 0);
	my @namespace = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
		"mount -t tmpfs -o size=1m none '$cold' && exec unshare --user --map-user=$uid --map-group=$gid \"\$\@\"", '-');

	mkdir $cold;
	skip 'no file system can be mounted here', 4 if system(@namespace, 'true') != 0;

	$node->stop;
	system_or_bail(@namespace, 'pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile,
		'-o', '--cluster-name=rollup', 'start');
	$node->_update_pid(1);
	$node->safe_psql('postgres', qq{CREATE TABLESPACE cold LOCATION '$cold'});
	$node->safe_psql('postgres', q{
GRANT CREATE ON TABLESPACE cold TO whadmin;
CREATE TABLE big AS SELECT i AS id, timestamptz '2002-01-01 00:00+00' + i * interval '10 minutes' AS at,
       (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 100) AS j) AS pad FROM generate_series(0, 144 * 6 - 1) AS i;
GRANT SELECT ON big TO whadmin;
SELECT _wh.add_template('large',
    $$SELECT id, at, pad FROM public.big WHERE at >= {DAY_START} AND at < {DAY_END}$$, 'id integer, at timestamptz, pad text',
    time_column => 'at', options => '{"tablespace": "cold"}')});
	$node->safe_psql('postgres', q{SELECT count(*) FROM _wh.wh_refresh('large', 'tenant_a', '2002-01-01', '2002-01-06')});

	my $roll = q{SELECT r ->> 'status', r -> 'error' ->> 'sqlstate' FROM _wh.create_combined_table_from_template_by_month('large', 'tenant_a', '2002-01-01', allow_gaps => true) AS r};
	is($node->safe_psql('postgres', $roll), 'failed|53100', 'the disk is full');
	is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT id) FROM tenant_a.large}), '864|864', 'every row is where it was');
	$node->safe_psql('postgres', q{SELECT _wh.alter_template('large', options => '{}')});
	is($node->safe_psql('postgres', $roll), 'rolled_up|', 'elsewhere there is room');
	is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT id) FROM tenant_a.large}), '864|864', 'for every row');
}

$node->stop;
done_testing();
