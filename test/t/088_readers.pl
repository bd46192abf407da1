# Who must not wait for a refill: readers behind a reader that stays, readers
# behind a standby that does not answer; and autoanalyze, which must wake.
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

my $node = warehouse_node('readers', '', conf => "autovacuum_naptime = '1s'\nwal_level = replica\nmax_wal_senders = 2\n");

$node->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; CREATE DATABASE source');
$node->safe_psql('source', q{CREATE TABLE t AS SELECT i AS id, timestamptz '2024-01-01 12:00+00' AS at, i AS amount FROM generate_series(1, 5000) AS i;
GRANT SELECT ON t TO wh_src});

sub query { return $node->safe_psql('postgres', $_[0]) }

query(q{
SELECT _wh.drop_template('foodlogstats');
SELECT _wh.add_tenant('t1', split_part(current_setting('unix_socket_directories'), ',', 1), 'source', 'wh_src',
	current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('r', $$SELECT id, at, amount FROM t WHERE at >= {DAY_START} AND at < {DAY_END}$$, 'id integer, at timestamptz, amount integer',
	'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)', time_column => 'at')});
my $days = q{'r', 't1', '2024-01-01', '%s'};
my $call = sprintf "CALL _wh.run_refresh($days)", '2024-01-01';
my $last = "SELECT status, method, context ->> 'reason' FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1";

sub change
{
	my ($part) = @_;

	$node->safe_psql('source', "SET synchronous_commit = local; UPDATE t SET amount = amount + 1 WHERE id % $part = 0");

	return;
}

# Start statements in a session of their own.
sub begin
{
	my %session = (out => '', err => '');

	$session{psql} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), map { ('-c', $_) } @_ ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(180));

	return \%session;
}

# A reader that stays; the refill tries for its lock all the while.  No other
# reader waits half a second for it, nor does ANALYZE, which it does keep out.
query(sprintf "CALL _wh.run_refresh($days)", '2024-01-02');
my $seconds = $ENV{WH_LONG} ? 60 : 5;
my $reader = $node->background_psql('postgres');
$reader->set_query_timer_restart;
my $trying = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event IN ('WarehouseLock', 'Extension')};

change(1);
$reader->query("BEGIN; SELECT count(*) FROM t1.r_2024_01_01");
my $refill = begin("SET pg_warehouse.lock_deadline = '${seconds}s'", $call);
poll($node, $trying, 'the refill tries for its lock');
my ($reads, $late, $start) = (0, 0, time);
my $impatient = $node->background_psql('postgres', on_error_stop => 0);
$impatient->set_query_timer_restart;
while ($refill->{psql}->pumpable && query($trying) eq 't')
{
	my $n = $impatient->query("SET lock_timeout = '500ms'; SELECT sum(amount - id) FROM public.r");

	$reads++;
	$late++ if $n !~ /^0$/;
	sleep 0.05;
}
cmp_ok(time - $start, '>', $seconds - 2, 'for as long as it may');
cmp_ok($reads, '>', 10 * ($seconds - 2) / 2, "$reads readers pass");
is($late, 0, 'none of them waits, all of them see the old rows');
$refill->{psql}->finish;
is(query($last), 'loaded|delta|others left no moment for the lock of a refill', 'then the rows change in place');
like($reader->query('SELECT sum(amount - id) FROM t1.r_2024_01_01; COMMIT'), qr/^5000$/m, 'under the eyes of who stayed');

# Somebody else who waits behind the refill, and readers do not wait behind
# him: the refill makes room.
change(1);
$reader->query('BEGIN; SELECT count(*) FROM t1.r_2024_01_01');
$refill = begin("SET pg_warehouse.lock_deadline = '60s'", $call);
poll($node, $trying, 'the refill tries for its lock');
my $other = begin("SET lock_timeout = '2s'", 'ANALYZE t1.r_2024_01_01');
$other->{psql}->finish;
is($other->{err}, '', 'ANALYZE does not wait for a minute');
$refill->{psql}->finish;
is(query($last), 'loaded|delta|others left no moment for the lock of a refill', 'the refill gave way');
$reader->query('COMMIT');
$_->quit foreach $reader, $impatient;

# Autoanalyze hears of what each method has written.
query('ALTER SYSTEM SET autovacuum_analyze_threshold = 10; ALTER SYSTEM SET autovacuum_analyze_scale_factor = 0; SELECT pg_reload_conf()');
foreach my $method ('delta', 'refill')
{
	my $count = q{SELECT autoanalyze_count FROM pg_stat_all_tables WHERE relid = 't1.r_2024_01_01'::regclass};

	# Those that are due already.
	$node->poll_query_until('postgres', q{SELECT n_mod_since_analyze = 0 FROM pg_stat_all_tables WHERE relid = 't1.r_2024_01_01'::regclass}) or die;
	my $before = query($count);
	change($method eq 'delta' ? 100 : 1);
	query($call);
	like(query($last), qr/^loaded\|$method\|/, "a $method");
	poll($node, "SELECT ($count) > $before", 'wakes autoanalyze');
}

# A standby that must confirm and does not: the commit of a refill, which holds
# its lock, is the one that does not wait for it.  Whoever waits is woken by
# hand, and counted.
query(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()});
$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'nobody'") or die;

sub waits
{
	my $session = begin(@_);
	my ($n, $start) = (0, time);

	while ($session->{psql}->pumpable)
	{
		my ($pid, $xid) = split /\|/, query(q{SELECT pid, backend_xid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query ~ 'refresh' LIMIT 1});

		if (defined $xid)
		{
			query("SELECT pg_cancel_backend($pid)");
			$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid = $pid AND backend_xid = '$xid'") or die;
			$n++;
		}
		eval { $session->{psql}->pump_nb };
		die 'somebody waits for ever' if time - $start > 60;
		sleep 0.02;
	}
	$session->{psql}->finish;

	return $n;
}

change(100);
is(waits($call), 2, 'delta: the log that it begins, and its end wait');
like(query($last), qr/^loaded\|delta/, 'it is done');
change(1);
is(waits($call), 1, 'refill: only the first');
like(query($last), qr/^loaded\|refill/, 'it is done');
change(1);
is(waits(sprintf "SELECT count(*) FROM _wh.wh_refresh($days, parallel => 1)", '2024-01-02'), 3, 'in a worker: the same, and the other day twice');
is(query("SELECT string_agg(method, ' ' ORDER BY run_id) FROM (SELECT * FROM _wh.extract_runs WHERE status = 'loaded' ORDER BY run_id DESC LIMIT 2) AS r"), 'refill delta', 'both are done');
change(1);
is(waits('SET synchronous_commit = off', $call), 0, 'off stays off');

$node->stop('immediate');
done_testing();
