# Late data and the network: a tenant that is down while days are compared, one
# that purges what it has handed over, one that goes away in the middle, and a
# worker that is killed.  Nothing is lost, and wh_check() says so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $source = tenant_node('late_source', $dir, 'late-password');
my $node = warehouse_node('late_warehouse', $ca, conf => "restart_after_crash = on\nlog_min_messages = fatal\n");

$source->safe_psql('postgres', 'CREATE DATABASE shop');
$source->safe_psql('shop', q{
CREATE TABLE t AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '10 minutes' AS at, 'row ' || i AS note FROM generate_series(0, 6 * 24 * 10 - 1) AS i;
CREATE TABLE speed AS SELECT 0::float8 AS seconds;
CREATE TABLE recent AS SELECT n AS id, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - n * interval '1 day' AS at, 'recent' AS note FROM generate_series(1, 12) AS n;
GRANT SELECT ON t, speed, recent TO wh_src});
$node->safe_psql('postgres', q{SELECT _wh.drop_template('foodlogstats')});
add_tenant($node, 'shop', $source, 'shop', 'late-password');
query(q{SELECT _wh.add_template('late', 'SELECT id, at, note FROM (SELECT * FROM t UNION ALL SELECT * FROM recent) AS u, pg_sleep((SELECT seconds FROM speed)) WHERE at >= {DAY_START} AND at < {DAY_END}',
	'id integer, at timestamptz, note text', time_column => 'at')});

sub query { return $node->safe_psql('postgres', $_[0]) }

sub broken { return query(q{SELECT string_agg(invariant || ' ' || subject || ': ' || problem, '; ' ORDER BY 1) FROM _wh.wh_check() AS c}) }

sub last_run { return query('SELECT coalesce(max(run_id), 0) FROM _wh.extract_runs') }

my $window = "'late', 'shop', '2024-01-01', '2024-01-10'";
my $reconcile = "SELECT action, count(*), count(sqlstate) FROM _wh.reconcile($window) GROUP BY 1 ORDER BY 1";
my $rows = q{SELECT count(*) FROM shop.late WHERE at < '2024-02-01'};

is(query("SELECT count(*) FROM _wh.wh_refresh($window) WHERE status = 'loaded'"), '10', 'ten days are loaded');
is(query($reconcile), 'none|10|0', 'and equal to the source');
is(broken(), '', 'nothing is lost');

# Down while days are compared.
$source->stop('immediate');
my $since = last_run();
is(query($reconcile), 'failed|10|10', 'the tenant is down: every day says so');
is(query("SELECT string_agg(kind || ' ' || status || ' ' || sqlstate, ', ') FROM _wh.extract_runs WHERE run_id > $since"), 'reconcile failed 08001', 'the log says it once');
is(query($rows), 10 * 144, 'the rows are there');
is(broken(), '', 'nothing is lost');
$source->start;

# It purges: no verb takes over, none fails the others.
$source->safe_psql('shop', q{DELETE FROM t WHERE at < '2024-01-06 00:00+00'; UPDATE t SET note = 'late' WHERE id = 1000});
is(query($reconcile), "failed|5|5\nloaded|1|0\nnone|4|0", 'a purged day is kept, a changed one mended');
is(query("SELECT count(*) FROM _wh.wh_refresh($window) WHERE sqlstate = '23000'"), '5', 'nor does wh_refresh take over');
is(query(q{SELECT r ->> 'failed' FROM _wh.update_mv_window_by_template('late', 'shop', '2024-01-01', '2024-01-10') AS r}), '5', 'nor a window');
$since = last_run();
my ($status, $out, $err) = $node->psql('postgres', "CALL _wh.run_refresh($window)");
is($status, 3, 'nor a job');
like($err, qr/refresh failed for 5 of 10 units/, 'which says how many');
is(query($rows), 10 * 144, 'all rows of ten days are there');
is(query('SELECT count(*) FROM shop.late WHERE note = \'late\''), '1', 'with the one that came late');
is(broken(), '', 'nothing is lost');

# It goes away while it counts, and while a day is mended.
$source->safe_psql('shop', q{UPDATE t SET note = 'later' WHERE at >= '2024-01-06 00:00+00'; UPDATE speed SET seconds = 30});
for my $case ('counts', 'sends')
{
	my ($out, $err) = ('', '');
	my $sql = $case eq 'counts' ? $reconcile : "SELECT status, count(*), count(sqlstate) FROM _wh.wh_refresh('late', 'shop', '2024-01-06', '2024-01-06') GROUP BY 1";
	my $session = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', $sql ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120));

	poll($source, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'shop' AND wait_event = 'PgSleep'", "the tenant $case");
	$source->stop('immediate');
	$session->finish;
	is($out, $case eq 'counts' ? "failed|10|10\n" : "failed|1|1\n", "it goes away while it $case: failed");
	is(query($rows), 10 * 144, 'the rows are there');
	is(broken(), '', 'nothing is lost');
	$source->start;
}

# A job is killed in the middle: the log has an open end, the next run closes it.
my ($job_out, $job_err) = ('', '');
my $job = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "CALL _wh.run_refresh('late', 'shop', '2024-01-06', '2024-01-10')" ],
	'<', \undef, '>', \$job_out, '2>', \$job_err, IPC::Run::timeout(120));
poll($source, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'shop' AND wait_event = 'PgSleep'", 'the job is at work');
my $pid = query("SELECT backend_pid FROM _wh.extract_runs WHERE status = 'extracting' ORDER BY run_id DESC LIMIT 1");
kill 'KILL', $pid;
$job->finish;
$node->poll_query_until('postgres', 'SELECT true') or die 'the warehouse does not come back';
like(broken(), qr/^run run \d+: lost: it says extracting and its backend is gone$/, 'the run that was killed is told, and nothing else');
is(query($rows), 10 * 144, 'the rows are there');
poll($source, "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'shop' AND application_name LIKE 'pg_warehouse%'", 'no session is left at the tenant');
$source->safe_psql('shop', 'UPDATE speed SET seconds = 0');
is(query($reconcile), "failed|5|5\nloaded|5|0", 'reconcile goes on');
is(broken(), '', 'and all is well');

# Late data comes in by itself: jobs compare days again at the ages of
# recheck_days, and a purge meanwhile does not fail them.
query(q{SELECT count(*) FROM _wh.wh_refresh('late', 'shop', _wh.current_date_utc() - 12, _wh.current_date_utc())});
query(q{UPDATE _wh.slices SET as_of = (period_start + 1)::timestamp AT TIME ZONE 'UTC';
	UPDATE _wh.extract_runs SET run_started_at = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE period_start IS NOT NULL});
$source->safe_psql('shop', q{UPDATE recent SET note = 'came late' WHERE id = 3; DELETE FROM recent WHERE id = 8});
($status, $out, $err) = $node->psql('postgres', q{CALL _wh.run_refresh('late', 'shop')});
is($status, 0, 'a job with a purged day succeeds');
like($err, qr/WARNING:  a closed day came back with 0 of its 1 rows/, 'and warns');
is(query(q{SELECT string_agg(id::text, ',' ORDER BY id) FROM shop.late WHERE note = 'came late'}), '3', 'what came late is there');
is(query(q{SELECT count(*) FROM shop.late WHERE id = 8 AND note = 'recent'}), '1', 'what was purged, too');
is(broken(), '', 'nothing is lost');

$node->stop;
$source->stop;
done_testing();
