# Background workers: they overlap and keep a tenant's budget; whoever is
# cancelled, terminated or killed, leader or worker, leaves no process, no
# remote session and no half slice behind, and the next run heals.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WarehouseTest;

my $node = warehouse_node('workers', '', conf => "restart_after_crash = on\nlog_min_messages = fatal\n");
my $is_worker = "backend_type = 'pg_warehouse worker'";
my $is_remote = "datname = 'source' AND application_name LIKE 'pg_warehouse%'";

# Four tenants, all of them one database, which takes its time.
$node->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; CREATE DATABASE source');
$node->safe_psql('source', q{
CREATE TABLE t AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' AS at FROM generate_series(0, 71) AS i;
CREATE TABLE speed AS SELECT 0::float8 AS seconds;
GRANT SELECT ON t, speed TO wh_src});
$node->safe_psql('postgres', qq{
SELECT _wh.drop_template('foodlogstats');
${\ add_tenant_sql('t1', 't2', 't3', 't4')};
SELECT _wh.add_template(name, 'SELECT id, at FROM t, pg_sleep((SELECT seconds FROM speed)) WHERE at >= {DAY_START} AND at < {DAY_END}',
                        'id integer, at timestamptz', time_column => 'at') FROM unnest('{w,w2}'::text[]) AS name});

sub add_tenant_sql
{
	my $names = join(', ', map { "('$_')" } @_);

	return "SELECT _wh.add_tenant(name, split_part(current_setting('unix_socket_directories'), ',', 1), 'source', 'wh_src',"
	  . $node->port . ", sslmode => 'disable', auth_method => 'trusted') FROM (VALUES $names) AS t (name)";
}

sub query { return $node->safe_psql('postgres', $_[0]) }

sub speed
{
	my ($seconds) = @_;

	$node->safe_psql('source', "UPDATE speed SET seconds = $seconds");

	return;
}

# Start a statement in a session of its own.
sub begin
{
	my ($sql) = @_;
	my %session = (out => '', err => '');

	$session{psql} = IPC::Run::start([ 'psql', '-XqAt', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . ' application_name=leader', '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(120));

	return \%session;
}

# Wait until so many workers read from their tenants.
sub await_workers
{
	my ($n) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) = $n FROM pg_stat_activity WHERE $is_remote AND wait_event = 'PgSleep'")
	  or die "there are no $n workers at work";

	return;
}

# After a second no worker is left; the tenants, who look for their client
# every five, follow.
sub gone
{
	my ($name, $start) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE $is_worker") or die;
	cmp_ok(time - $start, '<', 1, "$name: no worker after a second");
	poll($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE $is_remote", "$name: no session at a tenant");

	return;
}

sub last_run { return query('SELECT coalesce(max(run_id), 0) FROM _wh.extract_runs') }

# How the units since then ended: status and number.
sub log_since
{
	my ($run) = @_;

	return query("SELECT string_agg(status || ' ' || n, ', ' ORDER BY status)
		FROM (SELECT status, count(*) AS n FROM _wh.extract_runs WHERE run_id > $run GROUP BY 1) AS s");
}

sub refresh
{
	my ($days, $more) = @_;

	return "SELECT tenant_name, period_start, status, sqlstate FROM _wh.wh_refresh('w', from_date => '2024-01-01', to_date => '2024-01-0$days'"
	  . ($more // '') . ') ORDER BY 1, 2';
}

my $rows = 'SELECT string_agg(schema_name || \' \' || n, \', \' ORDER BY schema_name) FROM (SELECT schema_name, count(*) AS n FROM public.w GROUP BY 1) AS s';
my $whole = 't1 72, t2 72, t3 72, t4 72';

# Two at a time, and no more.
speed(1);
my $session = begin(refresh(1, ', parallel => 2'));
await_workers(2);
is(query("SELECT count(*) FROM pg_stat_activity WHERE $is_worker AND application_name ~ '^pg_warehouse refresh w/t[1-4] 2024-01-01\$'"), '2', 'workers say what they do');
is(query("SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE $is_remote AND application_name ~ '^pg_warehouse refresh w/t[1-4] 2024-01-01\$'"), '2', 'so do their sessions at the tenants');
is(query('SET ROLE wh_monitor; SELECT count(DISTINCT tenant_name), min(template_name), min(period_start), min(phase), bool_and(elapsed_ms BETWEEN 0 AND 60000) FROM _wh.v_progress'),
	'2|w|2024-01-01|loading|t', 'and the monitor sees them in v_progress');
$session->{psql}->finish;
is($session->{out}, join('', map { "t$_|2024-01-01|loaded|\n" } 1 .. 4), 'all four are loaded, in order');
is(query(q{SELECT max(n) FROM (SELECT count(*) AS n FROM _wh.extract_runs AS a JOIN _wh.extract_runs AS b
	ON b.run_started_at <= a.run_started_at AND b.run_finished_at > a.run_started_at GROUP BY a.run_id) AS s}), '2', 'two of them side by side, never three');

# A tenant's budget of connections holds, whatever number of workers there is.
speed(0.3);
my $overlap = q{SELECT count(*) > 0 FROM _wh.extract_runs AS a JOIN _wh.extract_runs AS b
	ON a.run_id < b.run_id AND a.run_finished_at > b.run_started_at AND b.run_finished_at > a.run_started_at WHERE a.run_id > };
for my $budget (1, 2)
{
	query("SELECT _wh.alter_tenant('t1', max_connections => $budget)");
	my $since = last_run();
	is(query("SELECT count(*) FROM _wh.wh_refresh(NULL, 't1', '2024-01-01', '2024-01-01', parallel => 4) WHERE status = 'loaded'"), '2', "max_connections $budget: both templates");
	is(query($overlap . $since), $budget == 2 ? 't' : 'f', 'in turn or at once');
}
query(q{SELECT _wh.alter_template('w2', enabled => false)});

# The rest of the days.
speed(0);
query(refresh(3));
is(query($rows), $whole, 'three days of four tenants');

# The caller ends: so do the workers, and their sessions at the tenants.
for my $function (qw(pg_cancel_backend pg_terminate_backend))
{
	my $since = last_run();

	speed(60);
	$session = begin(refresh(3));
	await_workers(4);
	my $start = time;
	query("SELECT $function(pid) FROM pg_stat_activity WHERE application_name = 'leader'");
	gone($function, $start);
	eval { $session->{psql}->finish };
	like($session->{err}, qr/57014|57P01|terminating connection/, "$function was heard");
	is(log_since($since), 'failed 4', 'the log tells of the units at work');
	is(query("SELECT DISTINCT sqlstate || ' ' || error_category FROM _wh.extract_runs WHERE run_id > $since"), '57014 cancelled', 'and why they ended');
}
speed(0);
is(query($rows), $whole, 'the old rows are all there');
unlike(query(refresh(3)), qr/failed|skipped/, 'the next run heals');

# One worker is terminated: its unit is lost, all others are loaded.
my $since = last_run();
speed(1);
$session = begin(refresh(2, ', parallel => 2'));
await_workers(2);
query("SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE $is_worker");
speed(0);
$session->{psql}->finish;
is(scalar(() = $session->{out} =~ /\|loaded\|/g), 7, 'a worker was terminated: the others go on');
like($session->{out}, qr/\|failed\|57P01/, 'the caller is told');
is(log_since($since), 'loaded 7, lost 1', 'and so is the log');
is(query("SELECT sqlstate, error_category, error_message FROM _wh.extract_runs WHERE run_id > $since AND status = 'lost'"),
	'57P01|cancelled|the run is lost: its background worker ended before it did', 'in the same words');
is(query($rows), $whole, 'the old rows are all there');

# One snapshot for a tenant and day: a worker has all that is the tenant's, and
# takes the rest of its day along when it dies.
query(q{SELECT _wh.alter_template('w2', enabled => true)});
$since = last_run();
speed(1);
$session = begin("SELECT tenant_name, template_name, period_start, status, message FROM _wh.wh_refresh(from_date => '2024-01-01', to_date => '2024-01-02', parallel => 2, consistent => true)");
await_workers(2);
query("SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE $is_worker");
speed(0);
$session->{psql}->finish;
is(log_since($since), 'loaded 14, lost 2', 'consistent: a worker was terminated');
is(scalar(() = $session->{out} =~ /^(t\d)\|w2?\|2024-01-01\|failed\|the run is lost: its background worker ended before it did$/mg), 2, 'the caller is told of both units of the day');
is(query("SELECT count(DISTINCT tenant_name) FROM _wh.extract_runs WHERE run_id > $since AND status = 'lost'"), '1', 'which are of one tenant');
is(query("SELECT bool_and(n = 1) FROM (SELECT count(DISTINCT as_of) AS n FROM _wh.slices WHERE run_id > $since GROUP BY tenant_name, period_start) AS s"), 't', 'every day is of one moment');
is(query("SELECT count(DISTINCT backend_pid) > 1 AND bool_and(backend_pid <> pg_backend_pid()) FROM _wh.extract_runs WHERE run_id > $since AND status = 'loaded'"), 't', 'workers have done it');
is(query("SELECT count(*) FROM _wh.extract_runs AS a JOIN _wh.extract_runs AS b ON a.run_id < b.run_id AND a.tenant_name = b.tenant_name
	AND a.run_finished_at > b.run_started_at AND b.run_finished_at > a.run_started_at WHERE a.run_id > $since AND a.status = 'loaded' AND b.status = 'loaded'"), '0', 'one at a time for each tenant');
query(q{SELECT _wh.alter_template('w2', enabled => false)});

# One worker is cancelled: that ends its unit only.
$since = last_run();
speed(1);
$session = begin(refresh(2, ', parallel => 2'));
await_workers(2);
query("SELECT pg_cancel_backend(min(pid)) FROM pg_stat_activity WHERE $is_worker");
speed(0);
$session->{psql}->finish;
like($session->{out}, qr/\|failed\|57014/, 'a worker was cancelled: the caller is told');
is(log_since($since), 'failed 1, loaded 7', 'the others go on');

# A tenant goes before its turn comes.
$since = last_run();
speed(1);
$session = begin(refresh(1, ', parallel => 2'));
await_workers(2);
query("SELECT _wh.drop_tenant('t4', drop_data => true)");
speed(0);
$session->{psql}->finish;
like($session->{out}, qr/^t4\|2024-01-01\|skipped\|$/m, 'a tenant is gone: the caller is told');
is(log_since($since), 'loaded 3, skipped 1', 'and the others go on');

# A refresh inside a worker is the worker's own work.
query(add_tenant_sql('t4'));
query(q{
CREATE TABLE nested (tenant text, status text, pid integer);
GRANT INSERT ON nested TO whadmin;
CREATE FUNCTION refresh_inside() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('t.inside', true) = '1' THEN
		RETURN;
	END IF;
	PERFORM set_config('t.inside', '1', true);
	INSERT INTO public.nested SELECT tenant_name, status, pg_backend_pid()
	FROM _wh.wh_refresh('w2', from_date => '2024-01-03', to_date => '2024-01-03', parallel => 4);
END $$;
SELECT _wh.alter_template('w2', enabled => true);
CREATE EVENT TRIGGER inside ON ddl_command_end WHEN TAG IN ('CREATE MATERIALIZED VIEW') EXECUTE FUNCTION refresh_inside()});
$since = last_run();
unlike(query("SELECT status FROM _wh.wh_refresh('w', 't4', '2024-01-01', '2024-01-02')"), qr/failed|skipped/, 'refreshes inside of workers');
is(query("SELECT count(*), count(DISTINCT tenant), count(DISTINCT status), min(status), bool_and(pid <> pg_backend_pid()) FROM nested"), '8|4|1|loaded|t', 'load what they are to');
is(query("SELECT count(*) FROM _wh.extract_runs AS r WHERE run_id > $since AND template_name = 'w2' AND backend_pid IN (SELECT pid FROM nested)"), '8', 'by themselves');
query(q{DROP EVENT TRIGGER inside; SELECT _wh.alter_template('w2', enabled => false)});
query(refresh(3));
is(query($rows), $whole, 'all rows are there again');

# One worker is killed: the server restarts.
$since = last_run();
speed(60);
$session = begin(refresh(3, ', parallel => 2'));
await_workers(2);
kill 'KILL', query("SELECT min(pid) FROM pg_stat_activity WHERE $is_worker");
eval { $session->{psql}->finish };
$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
speed(0);
is(query($rows), $whole, 'after a crash the old rows are all there');
is(log_since($since), 'extracting 2', 'the log knows what was at work');
unlike(query(refresh(3)), qr/failed|skipped/, 'the next run heals');
is(log_since($since), 'loaded 12, lost 2', 'and calls the others lost');

# Fast shutdown.
$since = last_run();
speed(60);
$session = begin("CALL _wh.run_refresh('w', NULL, '2024-01-01', '2024-01-02')");
await_workers(4);
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 5, 'fast shutdown with workers at work');
eval { $session->{psql}->finish };

# No slot for a worker: the session works alone, and says nothing of it.
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->start;
speed(0);
my ($rc, $out, $err) = $node->psql('postgres', "SELECT count(*) FROM _wh.wh_refresh('w', from_date => '2024-01-01', to_date => '2024-01-02') WHERE status = 'loaded';
SELECT count(DISTINCT backend_pid), bool_and(backend_pid = pg_backend_pid()) FROM _wh.extract_runs WHERE run_id > $since AND status = 'loaded'");
is("$out $err", "8\n1|t ", 'no worker can be had');
$node->append_conf('postgresql.conf', 'max_worker_processes = 3');
$node->restart;
$since = last_run();
unlike(query(refresh(2)), qr/failed|skipped/, 'fewer workers than wanted');
is(query("SELECT count(DISTINCT backend_pid) <= 3 FROM _wh.extract_runs WHERE run_id > $since"), 't', 'do it as well');

# An owner who may not log in.
SKIP:
{
	skip 'workers need no LOGIN since 17', 2 if query('SHOW server_version_num') >= 170000;
	query('ALTER ROLE whadmin NOLOGIN');
	($rc, $out, $err) = $node->psql('postgres', refresh(2));
	unlike($out, qr/failed|skipped/, 'NOLOGIN: the session works alone');
	like($err, qr/WARNING:  a background worker could not connect.*role "whadmin" is not permitted to log in.*ALTER ROLE whadmin LOGIN;/s, 'and says how to mend it');
	query('ALTER ROLE whadmin LOGIN');
}

# The database goes while workers are at work.
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
speed(60);
$session = begin(refresh(3));
await_workers(4);
($rc, $out, $err) = $node->psql('source', 'DROP DATABASE postgres');
like($err, qr/database "postgres" is being accessed by other users/, 'DROP DATABASE sees the workers');
$start = time;
is($node->psql('source', 'DROP DATABASE postgres WITH (FORCE)'), 0, 'FORCE ends them');
eval { $session->{psql}->finish };
is($node->safe_psql('source', "SELECT count(*) FROM pg_stat_activity WHERE $is_worker"), '0', 'all of them');

$node->stop;
done_testing();
