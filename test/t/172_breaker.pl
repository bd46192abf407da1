# Tenants that are down, for real: who is asked how often, what it costs when
# nobody is, and how it heals; what may pass is tried again; what a tenant allows
# holds over all sessions.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use HostileServer;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'first-secret');
tenant_database($tenant, 'app', 120);
$tenant->append_conf('postgresql.conf', "log_connections = on\n");
$tenant->reload;
my $node = warehouse_node('warehouse', $ca, conf => qq{
max_worker_processes = 16
pg_warehouse.breaker_cooldown = '2s'
log_min_messages = fatal
});
add_tenant($node, 'live', $tenant, 'app', 'first-secret');

sub query { return $node->safe_psql('postgres', $_[0]) }

sub last_run { return query('SELECT coalesce(max(run_id), 0) FROM _wh.extract_runs') }

# What the log says since then: one line for each kind of outcome.
sub log_since
{
	my ($run) = @_;

	return query("SELECT string_agg(line, ', ' ORDER BY line) FROM (
		SELECT concat_ws(' ', tenant_name, status, sqlstate, count(*)) AS line
		FROM _wh.extract_runs WHERE run_id > $run GROUP BY tenant_name, status, sqlstate) AS s");
}

sub breaker { return query("SELECT coalesce((SELECT state || ' ' || failures FROM _wh.v_breakers WHERE tenant_name = '$_[0]'), 'none')") }

# Count how often somebody knocked at the tenant.
sub knocks
{
	my $log = slurp_file($tenant->logfile);

	return scalar(() = $log =~ /connection received: host=/g);
}

sub lines_of { return -e $_[0] ? scalar(split /\n/, slurp_file($_[0])) : 0 }

sub days
{
	my ($tenant_name, $from, $to, $more) = @_;

	return "SELECT status, sqlstate FROM _wh.wh_refresh('foodlogstats', '$tenant_name', '$from', '$to'" . ($more // '') . ')';
}

# Run a job whatever comes of it.
sub job
{
	my ($arguments) = @_;

	return $node->psql('postgres', "CALL _wh.run_refresh($arguments)");
}

# Start statements in a session of its own.
sub begin
{
	my %session = (out => '', err => '');

	$session{psql} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' application_name=leader', map { ('-c', $_) } @_ ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(180));

	return \%session;
}

is(query(days('live', '2024-01-01', '2024-01-02')), "loaded|\nloaded|", 'the tenant is there');

# A password that was changed at the source only: one try for each unit, never a
# second, and after the third nobody knocks any more.
$tenant->safe_psql('postgres', q{ALTER ROLE wh_src PASSWORD 'second-secret'});
my ($since, $knocks) = (last_run(), knocks());
job("'foodlogstats', 'live', '2024-01-01', '2024-01-01'");
is(log_since($since), 'live failed 28P01 1', 'a wrong password is no matter of patience');
is(knocks() - $knocks, 1, 'and one connection');
is(query("SELECT array_agg(DISTINCT attempt) FROM _wh.extract_runs WHERE run_id > $since"), '{1}', 'the only attempt');
$since = last_run();
query(days('live', '2024-01-01', '2024-01-08', ', parallel => 2'));
like(log_since($since), qr/^live failed 28P01 [234], live skipped [456]$/, 'the breaker opens');
is(breaker('live') =~ /^open [345]$/ ? 'open' : breaker('live'), 'open', 'after three, and what was under way');
$knocks = knocks();
$since = last_run();
is(job("'foodlogstats', 'live', '2024-01-01', '2024-01-05'"), 0, 'a job that finds it open has nothing to complain of');
is(log_since($since), 'live skipped 5', 'all of it skipped');
is(knocks() - $knocks, 0, 'and not a knock');
is(query('SELECT count(*) FROM live.foodlogstats'), '24', 'the last good rows are there');
query("COPY _wh.tenant_password_entry FROM STDIN;\nlive\tsecond-secret\n\\.\n");
is(breaker('live'), 'none', 'a new password closes it');
is(query(days('live', '2024-01-03', '2024-01-03')), 'loaded|', 'at once');

# The server goes down and comes back: it heals by itself, and tells.
$tenant->stop;
$since = last_run();
query('SELECT _wh.reset_breaker(\'live\')');
my $start = time;
job("'foodlogstats', 'live', '2024-01-01', '2024-01-01'");
is(log_since($since), 'live failed 08001 3', 'a server that is down is tried three times');
is(query("SELECT array_agg(attempt ORDER BY run_id) FROM _wh.extract_runs WHERE run_id > $since"), '{1,2,3}', 'attempts are numbered');
cmp_ok(time - $start, '>', 1, 'with pauses');
like(breaker('live'), qr/^(open|half_open) 3$/, 'and then left alone');
$tenant->start;
$node->poll_query_until('postgres', q{SELECT state = 'half_open' FROM _wh.v_breakers}) or die;
like(query('LISTEN pg_warehouse; ' . days('live', '2024-01-01', '2024-01-01')), qr/^loaded\|$/m, 'the next unit after the cool-down tries');
is(breaker('live'), 'none', 'and closes it');

# Whoever listens hears of it.
query('SELECT _wh.alter_tenant(\'live\', description => \'x\')');
$tenant->stop;
my $heard = query('LISTEN pg_warehouse; SET pg_warehouse.retry_time = 0;' . join(';', map { days('live', "2024-01-0$_", "2024-01-0$_") } 1 .. 4));
like($heard, qr/notification "pg_warehouse" with payload "(\{"event": "breaker_open", "tenant": "live", "sqlstate": "08001", "failures": 3, .*\})" received/, 'NOTIFY when it opens');
is(scalar(() = $heard =~ /breaker_/g), 1, 'once');
$heard =~ /payload "(\{"event": "breaker_open".*\})" received/;
is(query("SELECT ('" . ($1 // '{}') =~ s/'/''/gr . "'::json) ->> 'tenant'"), 'live', 'and that is JSON');
like(query('LISTEN pg_warehouse; SELECT _wh.reset_breaker(\'live\')'), qr/"event": "breaker_closed", "tenant": "live"/, 'and when it closes');
$tenant->start;
is(query(days('live', '2024-01-01', '2024-01-01')), 'loaded|', 'back again');

# A black hole: connections are taken and never answered.
my $holes = "$dir/holes";
my $hole = HostileServer->black_hole($holes);
query(qq{SELECT _wh.add_tenant('hole', '127.0.0.1', 'app', 'wh_src', ${\ $hole->port}, sslmode => 'disable', auth_method => 'trusted')});
$since = last_run();
$node->psql('postgres', "SET pg_warehouse.connect_timeout = '500ms'; CALL _wh.run_refresh('foodlogstats', NULL, '2024-01-01', '2024-01-03')");
like(log_since($since), qr/^hole failed 08001 3, hole skipped 2, live loaded 3$/, 'it is tried three times in all, and nobody else minds');
is(lines_of($holes), 3, 'over three sockets');
is(query(q{UPDATE _wh.breakers SET probe_at = now() + interval '1 hour' RETURNING tenant_name}), 'hole', 'it stays open');

# What skipping costs: with the log's row, here and in workers.
foreach my $way ([ 'alone', 'SET pg_warehouse.max_workers = 0' ], [ 'in workers', 'SET pg_warehouse.max_workers = 2' ])
{
	my $units = 500;

	$start = time;
	$since = last_run();
	is($node->psql('postgres', "$way->[1]; CALL _wh.run_refresh('foodlogstats', 'hole', date '2024-06-30' - $units + 1, '2024-06-30')"), 0, "skip $units units $way->[0]");
	my $elapsed = time - $start;
	is(log_since($since), "hole skipped $units", 'all of them');
	print "# measured: a unit of a tenant left alone, $way->[0]: ", sprintf('%.2f', $elapsed * 1000 / $units), " ms\n";
}
is(lines_of($holes), 3, 'not a socket was opened');

# Four workers at one dead tenant count right, and one of them probes.
query(q{SELECT _wh.alter_tenant('hole', max_connections => 4)});
query(qq{SELECT _wh.add_template(name, 'SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}',
	'id bigint, logged_time timestamptz', time_column => 'logged_time', tenants => '{hole}') FROM unnest('{h1,h2,h3,h4,h5}'::text[]) AS name});
query(q{SELECT _wh.reset_breaker('hole')});
unlink $holes;
$since = last_run();
$node->psql('postgres', "SET pg_warehouse.retry_time = 0; SET pg_warehouse.connect_timeout = '700ms'; SELECT * FROM _wh.wh_refresh(NULL, 'hole', '2024-01-01', '2024-01-02', parallel => 4)");
my $failed = query("SELECT count(*) FROM _wh.extract_runs WHERE run_id > $since AND status = 'failed'");
is(breaker('hole') =~ /^\w+ $failed$/ ? 'equal' : breaker('hole') . " of $failed", 'equal', 'the breaker has counted every failure');
is(lines_of($holes), $failed, 'each of them a socket');
cmp_ok($failed, '<=', 7, 'three, and what was under way');
query(q{UPDATE _wh.breakers SET probe_at = now() - interval '1 s', cooldown_ms = 60000});
unlink $holes;
$since = last_run();
$node->psql('postgres', "SET pg_warehouse.retry_time = 0; SET pg_warehouse.connect_timeout = '700ms'; SELECT * FROM _wh.wh_refresh(NULL, 'hole', '2024-01-01', '2024-01-02', parallel => 4)");
is(log_since($since), 'hole failed 08001 1, hole skipped 11', 'one unit of twelve tries');
is(lines_of($holes), 1, 'over one socket');
query(q{SELECT _wh.drop_tenant('hole', drop_data => true); SELECT count(_wh.drop_template(name)) FROM unnest('{h1,h2,h3,h4,h5}'::text[]) AS name});
$hole->stop;

# A backend that is terminated in the middle: tried again, and loaded.
$tenant->safe_psql('app', 'CREATE TABLE speed AS SELECT 0::float8 AS seconds; GRANT SELECT ON speed TO wh_src');
query(q{SELECT _wh.add_template('slow', 'SELECT id, logged_time FROM foodlogs, pg_sleep((SELECT seconds FROM speed)) WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}',
	'id bigint, logged_time timestamptz', time_column => 'logged_time')});

sub speed { $tenant->safe_psql('app', "UPDATE speed SET seconds = $_[0]"); return }

sub await_sleep
{
	$tenant->poll_query_until('app', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) or die;

	return;
}

foreach my $workers (0, 2)
{
	my $days = $workers ? 2 : 1;

	speed(60);
	$since = last_run();
	my $session = begin("SET pg_warehouse.max_workers = $workers", "CALL _wh.run_refresh('slow', 'live', '2024-01-01', '2024-01-0$days')");
	await_sleep();
	speed(0);
	$tenant->safe_psql('app', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
	$session->{psql}->finish;
	is($session->{err}, '', "$workers workers: the job ends well");
	is(log_since($since), "live failed 57P01 1, live loaded $days", 'one attempt failed, and was made good');
	is(query("SELECT string_agg(status || ' ' || attempt, ', ' ORDER BY run_id) FROM _wh.extract_runs WHERE run_id > $since AND period_start = '2024-01-01'"), 'failed 1, loaded 2', 'by the second');
	is(breaker('live'), 'none', 'which tells the breaker');
}

# What waits to be tried again holds nothing, and ends with its caller.
$tenant->stop;
query(q{ALTER SYSTEM SET pg_warehouse.breaker_failures = 0; SELECT pg_reload_conf()});
my $session = begin("CALL _wh.run_refresh(NULL, 'live', '2024-01-01', '2024-01-02')");
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM _wh.extract_runs WHERE attempt >= 3}), 'a third attempt');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'object' AND classid IN ('_wh.slices'::regclass, '_wh.breakers'::regclass, '_wh.tenant_connections'::regclass)}),
	'between attempts no lock is held');
$start = time;
query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'leader'});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pg_warehouse worker'}) or die;
cmp_ok(time - $start, '<', 2, 'workers that wait end with the one who asked for it');
$session->{psql}->finish;
like($session->{err}, qr/canceling statement due to user request/, 'who is told');
# A worker that is terminated while it waits is replaced.
$since = last_run();
$session = begin("SELECT status FROM _wh.wh_refresh('slow', 'live', '2024-01-01', '2024-01-02')");
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM _wh.extract_runs WHERE run_id > $since AND attempt >= 2"), 'waiting again');
query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_warehouse worker'});
$tenant->start;
$session->{psql}->finish;
is($session->{out}, "loaded\nloaded\n", 'both units are loaded in the end');
query(q{ALTER SYSTEM RESET pg_warehouse.breaker_failures; SELECT pg_reload_conf()});

# max_connections holds over all sessions: the second job waits for the first.
query(q{SELECT _wh.alter_tenant('live', max_connections => 1)});
speed(3);
$since = last_run();
$session = begin("CALL _wh.run_refresh('slow', 'live', '2024-01-03', '2024-01-03')");
await_sleep();
is(query(days('live', '2024-01-04', '2024-01-04')), 'skipped|', 'one unit at a time');
is(job("'foodlogstats', 'live', '2024-01-04', '2024-01-04'"), 0, 'a job comes again');
$session->{psql}->finish;
is(query("SELECT count(*) FILTER (WHERE status = 'skipped') > 1, count(*) FILTER (WHERE status = 'loaded'), min(error_message) FROM _wh.extract_runs WHERE run_id > $since AND template_name = 'foodlogstats'"),
	't|1|all 1 connections that tenant "live" allows are in use by other runs', 'until there is room');
is(query("SELECT count(*) FROM _wh.extract_runs AS a JOIN _wh.extract_runs AS b ON a.run_id < b.run_id AND a.status = 'loaded' AND b.status = 'loaded'
	AND a.run_finished_at > b.run_started_at AND b.run_finished_at > a.run_started_at WHERE a.run_id > $since"), '0', 'never two at once');
query(q{SELECT _wh.alter_tenant('live', max_connections => 2)});
speed(0);

# The load of the source: slots, an old snapshot, a standby that lags.
sub limited
{
	my ($options) = @_;

	query("SELECT _wh.alter_tenant('live', options => '$options')");
	$since = last_run();
	query(days('live', '2024-01-05', '2024-01-05'));

	return query("SELECT status || coalesce(' ' || error_message, '') FROM _wh.extract_runs WHERE run_id > $since");
}

my $free = $tenant->safe_psql('postgres', q{SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int});
is(limited("{\"min_free_slots\": @{[ $free - 4 ]}}"), 'loaded', 'slots enough');
my @idle = map { $tenant->background_psql('postgres') } 1 .. 6;
like(limited("{\"min_free_slots\": @{[ $free - 4 ]}}"), qr/^skipped tenant "live" has too much load now: \d+ connection slots are free, min_free_slots is \d+$/, 'slots taken by others');
$_->quit for @idle;
is(limited('{"max_xmin_age": 50}'), 'loaded', 'no old transaction');
my $old = $tenant->background_psql('postgres');
$old->query_safe('BEGIN; SELECT pg_current_xact_id()');
$tenant->safe_psql('postgres', q{DO $$ BEGIN FOR i IN 1..100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$});
like(limited('{"max_xmin_age": 50}'), qr/^skipped tenant "live" has too much load now: the oldest snapshot is 1\d\d transactions old, max_xmin_age is 50$/, 'one that has written, seen by anybody');
$old->quit;
is(query(q{SELECT count(*) FROM _wh.v_breakers}), '0', 'a refusal is no failure');

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => [ '--locale=C', '--encoding=UTF8' ]);
$primary->start;
$primary->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN');
tenant_database($primary, 'app', 12);
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
query(qq{SELECT _wh.add_tenant('standby', '${\ $standby->host}', 'app', 'wh_src', ${\ $standby->port}, sslmode => 'disable', auth_method => 'trusted', options => '{"max_lag": "1 s"}')});
$primary->safe_psql('app', 'SELECT txid_current()');
$primary->wait_for_catchup($standby);
is(query(days('standby', '2024-01-01', '2024-01-01')), 'loaded|', 'a standby that keeps up, however long nothing has happened');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$primary->safe_psql('app', 'CREATE TABLE more AS SELECT 1');
ok($standby->poll_query_until('postgres', 'SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn() AND now() - pg_last_xact_replay_timestamp() > interval \'2 s\''), 'it falls behind');
is(query(days('standby', '2024-01-01', '2024-01-01')), 'skipped|', 'and is left alone');
like(query('SELECT error_message FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1'), qr/^tenant "standby" has too much load now: the standby lags \d+ s behind, max_lag is 1 s$/, 'for that reason');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->wait_for_catchup($standby);
is(query(days('standby', '2024-01-01', '2024-01-01')), 'loaded|', 'until it has caught up');

done_testing();
