# Incremental templates against sources that make it hard: many writers who
# commit late, transactions that stay open, prepared ones, equal times at the
# border, sessions that cannot be seen, a standby, clocks that are off, and a
# warehouse that is killed in between.  WH_LONG=1 lets the writers write for
# five minutes.
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

my $node = warehouse_node('warehouse', '', conf => "shared_preload_libraries = 'pg_stat_statements'\nmax_connections = 150\nmax_prepared_transactions = 10\nrestart_after_crash = on\nautovacuum_naptime = 1s\nwal_level = replica\nmax_wal_senders = 4\nlog_min_messages = fatal\n");
my $schema = q{
CREATE TABLE events (id bigserial PRIMARY KEY, writer integer, n integer NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON events (at);
GRANT SELECT ON events TO wh_src};

$node->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; GRANT pg_read_all_stats TO wh_src; CREATE ROLE wh_blind LOGIN; CREATE DATABASE source');
$node->safe_psql('source', $schema);
add('source', $node, 'source', 'wh_src');
template('events', 'source');

# The same for a role that does not see others' transactions, and on a standby.
my $overlap = '20 s';
$node->safe_psql('source', 'GRANT SELECT ON events TO wh_blind');
add('blind', $node, 'source', 'wh_blind');
template('blind', 'blind', qq{{"overlap": "$overlap"}});
$node->backup('copy');
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'copy', has_streaming => 1);
$copy->append_conf('postgresql.conf', "pg_warehouse.max_workers = 0\n");
$copy->start;
add('copy', $copy, 'source', 'wh_src');
template('copied', 'copy', qq{{"overlap": "$overlap"}});

sub add
{
	my ($tenant, $at, $database, $user) = @_;
	my ($host, $port) = ($at->host, $at->port);

	$node->safe_psql('postgres', "SELECT _wh.add_tenant('$tenant', '$host', '$database', '$user', $port, sslmode => 'disable', auth_method => 'trusted')");

	return;
}

sub template
{
	my ($name, $tenants, $options) = @_;

	$options //= '{}';
	$node->safe_psql('postgres', qq{SELECT _wh.add_template('$name', 'SELECT id, writer, n, at FROM events', 'id bigint, writer integer, n integer, at timestamptz',
		materialization => 'incremental', key_columns => '{id}', watermark_column => 'at', tenants => '{$tenants}', options => '$options')});

	return;
}

sub query { return $node->safe_psql('postgres', $_[0]) }

# Refresh and return what it did: status, rows, inserted, updated, unchanged.
sub refresh
{
	my ($template, $tenant) = @_;

	return query("SELECT concat_ws(' ', status, rows, rows_inserted, rows_updated, rows_unchanged, sqlstate, message) FROM _wh.wh_refresh('$template', '$tenant')");
}

sub watermark
{
	my ($template, $tenant, $expression) = @_;

	return query("SELECT $expression FROM _wh.extract_watermarks WHERE template_name = '$template' AND tenant_name = '$tenant'");
}

# All rows of a table, as one value.
sub digest
{
	my ($at, $database, $table) = @_;

	return $at->safe_psql($database, "SELECT count(*), md5(string_agg(id || ' ' || coalesce(writer::text, '-') || ' ' || n || ' ' || extract(epoch FROM at), ',' ORDER BY id)) FROM $table");
}

sub same
{
	my ($name, $at, $database, $template, $tenant) = @_;

	is(digest($node, 'postgres', "$tenant.$template"), digest($at, $database, 'events'), $name);

	return;
}

# A session that stays.
sub session
{
	my ($at, $database) = @_;

	return $at->background_psql($database);
}

# Many writers, each of which commits up to some seconds after it wrote: new
# rows and changed ones.  Every second a refresh, and beside it the rule of the
# document, "> last AND <= now".  All the while a transaction is open in another
# database, which cannot write these rows and so holds nothing back.
my $seconds = $ENV{WH_LONG} ? 300 : 40;
my $most = 10_000;
my $script = $node->basedir . '/writer.sql';
append_to_file($script, qq{\\set delay random(0, $most)
\\set id random(1, 200)
BEGIN;
INSERT INTO events (writer) VALUES (:client_id);
UPDATE events SET n = n + 1, at = now() WHERE id = :id + 1000000 * :client_id;
\\sleep :delay ms
COMMIT;
});
$node->safe_psql('source', q{
INSERT INTO events (id, writer) SELECT c * 1000000 + i, c FROM generate_series(1, 50) AS c, generate_series(1, 200) AS i;
CREATE TABLE as_documented (id bigint, n integer, PRIMARY KEY (id, n));
CREATE TABLE mark (last timestamptz);
INSERT INTO mark VALUES (now());
INSERT INTO as_documented SELECT id, n FROM events});
is(refresh('events', 'source'), 'loaded 10000 10000 0 0', 'the first load');
my $elsewhere = session($node, 'postgres');
$elsewhere->query_safe('BEGIN; CREATE TEMP TABLE idle ()');
my $writers = IPC::Run::start([ 'pgbench', '-n', '-c', '50', '-T', $seconds, '-f', $script, '-h', $node->host, '-p', $node->port, 'source' ],
	'<', \undef, '>', '/dev/null', '2>', '/dev/null');
my ($end, $runs, $held) = (time + $seconds + 1, 0, 0);
while (time < $end)
{
	my $result = refresh('events', 'source');

	$runs++;
	$result .= refresh('blind', 'blind') . refresh('copied', 'copy');
	fail($result) unless $result =~ /^loaded .*loaded .*loaded /;
	$held++ if watermark('events', 'source', "lag_reason LIKE 'session %'") eq 't';
	$node->safe_psql('source', q{
BEGIN;
SELECT now() AS started \gset
INSERT INTO as_documented SELECT id, n FROM events, mark WHERE at > last AND at <= :'started' ON CONFLICT DO NOTHING;
UPDATE mark SET last = :'started';
COMMIT;});
	sleep(0.8);
}
$writers->finish;
refresh('events', 'source');
is(watermark('events', 'source', 'lag_reason IS NULL'), 't', 'a transaction in another database holds nothing back');
$elsewhere->quit;
refresh('blind', 'blind');
$node->wait_for_catchup($copy);
refresh('copied', 'copy');
$node->safe_psql('source', q{INSERT INTO as_documented SELECT id, n FROM events, mark WHERE at > last ON CONFLICT DO NOTHING});
same("no row is missed and none doubled, in $runs runs", $node, 'source', 'events', 'source');
same('nor where a role sees no other session', $node, 'source', 'blind', 'blind');
same('nor on a standby', $node, 'source', 'copied', 'copy');
$copy->stop;
cmp_ok($held, '>', 0, 'open transactions held the watermark back');
is(query(q{SELECT sum(rows_inserted) = (SELECT count(*) FROM source.events) FROM _wh.extract_runs WHERE template_name = 'events' AND status = 'loaded'}), 't', 'each row was inserted once');
is(query(q{SELECT count(*) FROM _wh.extract_runs WHERE status = 'loaded' AND rows_extracted <> rows_inserted + rows_updated + rows_unchanged}), '0', 'the counts add up');
my $missed = $node->safe_psql('source', 'SELECT count(*) FROM events AS e WHERE NOT EXISTS (SELECT FROM as_documented AS d WHERE (d.id, d.n) = (e.id, e.n))');
diag(sprintf('measured: 50 writers, %d s, %d runs, %d rows: 0 missed, 0 doubled; by the rule "> last AND <= now" %d missed',
	$seconds, $runs, $node->safe_psql('source', 'SELECT count(*) FROM events'), $missed));
cmp_ok($missed, '>', 0, 'the document\'s rule misses some');

# Nothing new: no record of the log belongs to the table.
query('ALTER TABLE source.events SET (autovacuum_enabled = off)');
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = 'postgres'}) or die;
$node->safe_psql('source', 'ANALYZE events');
$node->safe_psql('source', 'CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()');
my ($seq, $idx) = split /\|/, $node->safe_psql('source', q{SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'events'});
my $from = query('SELECT pg_current_wal_lsn()');
is(refresh('events', 'source'), 'loaded 0 0 0 0', 'nothing new');
my $written = query("SELECT pg_current_wal_lsn() - '$from'::pg_lsn");
is($node->safe_psql('source', q{SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE '%events%' AND userid = 'wh_src'::regrole}), 1, 'the source is asked one query of its table');
$node->poll_query_until('source', "SELECT idx_scan > $idx FROM pg_stat_user_tables WHERE relname = 'events'") or die;
is($node->safe_psql('source', q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'events'}), $seq, 'which goes by an index');
diag("measured: a run without news writes $written bytes of WAL: its row of the log and the watermark");
query('SELECT pg_switch_wal()');
my $to = query('SELECT pg_current_wal_lsn()');
my $relation = query("SELECT oid || '/' || pg_relation_filenode('source.events') FROM pg_database WHERE datname = 'postgres'");
my ($dump) = run_command([ 'pg_waldump', '-p', $node->data_dir . '/pg_wal', '-s', $from, '-e', $to ]);
my @touching = grep { m{rel \d+/$relation\b} } split /\n/, $dump;
my @writing = grep { m{^rmgr: (Heap|Btree)} && m{rel \d+/\d+/(\d+)} } split /\n/, $dump;
is(scalar @touching, 0, 'a run without news writes nothing of the table');
my $names = query("SELECT string_agg(DISTINCT relname, ', ' ORDER BY relname) FROM pg_class WHERE pg_relation_filenode(oid) IN (" . join(', ', map { m{rel \d+/\d+/(\d+)} ? $1 : () } @writing) . ") AND relnamespace = '_wh'::regnamespace AND relkind = 'r'");
is($names, 'extract_runs, extract_watermarks', 'but the row of the log and the watermark');

# A transaction that stays open all the time holds back, and says who it is.
my $open = session($node, 'source');
$open->query_safe(q{BEGIN; INSERT INTO events (writer) VALUES (-1)});
$node->safe_psql('source', q{INSERT INTO events (writer) VALUES (-2)});
is(refresh('events', 'source'), 'loaded 0 0 0 0', 'what is younger than an open transaction waits');
like(watermark('events', 'source', 'lag_reason'), qr/^session \d+ \(role "\w+"\) has a transaction open since 20/, 'the watermark says for whom');
$open->query_safe('COMMIT');
is(refresh('events', 'source'), 'loaded 2 2 0 0', 'then both come');
is(watermark('events', 'source', 'lag_reason IS NULL'), 't', 'and nothing holds back');

# A prepared transaction shows no begin: the watermark stays.
$open->query_safe(q{BEGIN; INSERT INTO events (writer) VALUES (-3)});
is(refresh('events', 'source'), 'loaded 0 0 0 0', 'open');
$open->query_safe(q{PREPARE TRANSACTION 'wait'});
$node->safe_psql('source', q{INSERT INTO events (writer) VALUES (-4)});
is(refresh('events', 'source'), 'loaded 0 0 0 0', 'prepared');
like(watermark('events', 'source', 'lag_reason'), qr/^transaction "wait" is prepared since 20/, 'the watermark says which');
$node->safe_psql('source', q{COMMIT PREPARED 'wait'});
is(refresh('events', 'source'), 'loaded 2 2 0 0', 'then both come');
$open->quit;

# Rows of the very same time, on both sides of a run; a time set back by hand,
# which nobody sees before it is asked for.
$node->safe_psql('source', q{INSERT INTO events (writer, at) SELECT -5, (SELECT max(at) FROM events) FROM generate_series(1, 3)});
like(refresh('events', 'source'), qr/^loaded 0 /, 'rows as old as the watermark were written with a time of their own');
query(q{SELECT _wh.reseed('events', 'source', now() - interval '1 day')});
like(refresh('events', 'source'), qr/^loaded \d+ 3 0 \d+$/, 'reseed reads them');
$node->safe_psql('source', q{BEGIN; INSERT INTO events (writer) VALUES (-6), (-6), (-6); COMMIT});
is(refresh('events', 'source'), 'loaded 3 3 0 0', 'equal times come together');
is(refresh('events', 'source'), 'loaded 0 0 0 0', 'and once');
same('all of it', $node, 'source', 'events', 'source');

# A role that does not see others' transactions: what commits late, within the
# overlap, is found by reading that again.
template('seen', 'blind');
$open = session($node, 'source');
$open->query_safe(q{BEGIN; INSERT INTO events (writer) VALUES (-7)});
like(refresh('seen', 'blind'), qr/^loaded \d+ \d+ 0 0$/, 'a blind first load');
is(watermark('seen', 'blind', "last_extracted_at - reread_from = interval '1 hour'"), 't', 'remembers from where to read again');
$open->query_safe('COMMIT');
like(refresh('seen', 'blind'), qr/^loaded \d+ 1 0 \d+$/, 'and finds what has committed since');
$open->quit;
same('all of it, blind', $node, 'source', 'seen', 'blind');

# A standby reads what it has replayed.
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN');
$primary->safe_psql('postgres', $schema);
$primary->safe_psql('postgres', 'INSERT INTO events (writer) SELECT i FROM generate_series(1, 10) AS i');
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
add('standby', $standby, 'postgres', 'wh_src');
template('replayed', 'standby');
like(refresh('replayed', 'standby'), qr/^loaded 10 10 0 0$/, 'a standby that has replayed nothing yet is read');
$open = session($primary, 'postgres');
$open->query_safe(q{BEGIN; INSERT INTO events (writer) VALUES (-1)});
$primary->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (-2)});
$primary->wait_for_catchup($standby);
refresh('replayed', 'standby');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$open->query_safe('COMMIT');
$primary->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (-3)});
refresh('replayed', 'standby');
like(watermark('replayed', 'standby', 'lag_reason'), qr/^standby has replayed transactions up to 20/, 'replay holds back');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (-4)});
$primary->wait_for_catchup($standby);
refresh('replayed', 'standby');
$primary->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (-5)});
$primary->wait_for_catchup($standby);
refresh('replayed', 'standby');
$open->quit;
is(query('SELECT count(*) FROM standby.replayed WHERE writer IN (-1, -2, -3, -4)'), '4', 'the late ones, too');
$standby->stop;
$primary->stop;

# Clocks: an hour ahead, then right, then an hour behind.
SKIP:
{
	my ($faketime) = glob('/usr/lib/*/faketime/libfaketime.so.1');
	skip 'libfaketime is not installed', 1 unless $faketime;
	my $clock = PostgreSQL::Test::Cluster->new('clock');
	my $start = sub
	{
		local $ENV{LD_PRELOAD} = $faketime;
		local $ENV{FAKETIME} = $_[0];
		local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;

		$clock->stop if $clock->{_pid};
		$clock->start;
	};

	$clock->init;
	$start->('+3600');
	$clock->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; GRANT pg_read_all_stats TO wh_src');
	$clock->safe_psql('postgres', $schema);
	add('clock', $clock, 'postgres', 'wh_src');
	template('ticking', 'clock');
	$clock->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (1)});
	is(refresh('ticking', 'clock'), 'loaded 1 1 0 0', 'a source an hour ahead');
	cmp_ok(watermark('ticking', 'clock', 'extract(epoch FROM last_extracted_at - now())'), '>', 3000, 'goes by its own clock');
	$clock->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (2)});
	is(refresh('ticking', 'clock'), 'loaded 1 1 0 0', 'and goes on');

	for my $offset ('+0', '-3600')
	{
		$start->($offset);
		$clock->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (3)});
		like(refresh('ticking', 'clock'), qr/^loaded \d+ 1 0 \d+$/, "set back to $offset: the new row comes");
		like(watermark('ticking', 'clock', 'lag_reason'), qr/^source's clock was set back by 3(59\d|60\d) s: rows since 20/, 'and the watermark says why');
		$clock->safe_psql('postgres', q{INSERT INTO events (writer) VALUES (4)});
		like(refresh('ticking', 'clock'), qr/^loaded \d+ 1 0 \d+$/, 'the next one, too');
	}
	same('none is missed', $clock, 'postgres', 'ticking', 'clock');
	$clock->stop;
}

# Killed between the steps: while rows arrive, while a trigger holds the load,
# and before the commit.  The next run heals.
template('killed', 'source');
like(refresh('killed', 'source'), qr/^loaded /, 'a table to be killed over');
query(q{SET ROLE whadmin;
CREATE TABLE public.speed AS SELECT 0::float8 AS seconds;
CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(seconds) FROM public.speed; RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT OR UPDATE ON source.killed FOR EACH STATEMENT EXECUTE FUNCTION public.slow();
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON source.killed DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.writer = -9) EXECUTE FUNCTION public.slow()});
for my $step ('source', 'trigger', 'deferred')
{
	my $before = watermark('killed', 'source', 'last_extracted_at');
	my $writer = $step eq 'deferred' ? -9 : -8;

	$node->safe_psql('source', "INSERT INTO events (writer) VALUES ($writer)");
	if ($step eq 'source')
	{
		query(q{SELECT _wh.alter_template('killed', query_template => 'SELECT id, writer, n, at FROM events, pg_sleep(60)')});
	}
	else
	{
		query('UPDATE public.speed SET seconds = 60');
	}
	my $run = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', q{CALL _wh.run_refresh('killed', 'source')} ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
	$node->poll_query_until('postgres', q{SELECT count(*) >= 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) or die;
	my $worker = query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_warehouse worker'});
	kill 'KILL', $worker || die "there is no worker at step $step";
	eval { $run->finish };
	$node->poll_query_until('postgres', 'SELECT true') or die;
	is(watermark('killed', 'source', 'last_extracted_at'), $before, "killed at $step: the watermark has not moved");
	is(query("SELECT count(*) FROM source.killed WHERE writer = $writer AND at > '$before'"), '0', 'and nothing is loaded');
	query('UPDATE public.speed SET seconds = 0');
	query(q{SELECT _wh.alter_template('killed', query_template => 'SELECT id, writer, n, at FROM events')}) if $step eq 'source';
	like(refresh('killed', 'source'), qr/^loaded /, 'the next run heals');
	is(query(q{SELECT count(*) FROM _wh.extract_runs WHERE template_name = 'killed' AND status = 'extracting'}), '0', 'no run is left open');
}

# Killed while it deletes what the source has no more: nothing is gone yet.
query(q{SET ROLE whadmin; CREATE TRIGGER slowly AFTER DELETE ON source.killed FOR EACH STATEMENT EXECUTE FUNCTION public.slow(); UPDATE public.speed SET seconds = 60});
my $lost = '(1000001, 1000002, 1000003)';
$node->safe_psql('source', "DELETE FROM events WHERE id IN $lost");
my $reconciling = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', q{SELECT * FROM _wh.reconcile('killed', 'source')} ],
	'<', \undef, '>', '/dev/null', '2>', '/dev/null');
$node->poll_query_until('postgres', q{SELECT count(*) >= 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) or die;
kill 'KILL', query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_warehouse worker'}) || die;
eval { $reconciling->finish };
$node->poll_query_until('postgres', 'SELECT true') or die;
is(query("SELECT count(*) FROM source.killed WHERE id IN $lost"), '3', 'killed while reconciling: nothing is gone');
query('UPDATE public.speed SET seconds = 0');
like(query(q{SELECT sum(rows_deleted), bool_and(action = 'loaded') FROM _wh.reconcile('killed', 'source') WHERE NOT equal}), qr/^3\|t$/, 'the next call finds them');
is(query("SELECT count(*) FROM source.killed WHERE id IN $lost"), '0', 'and they go');

# A watermark that is moved while a run is going on stays where it was put.
query('UPDATE public.speed SET seconds = 2');
$node->safe_psql('source', 'INSERT INTO events (writer) VALUES (-10)');
my $slow = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', q{CALL _wh.run_refresh('killed', 'source')} ]);
$node->poll_query_until('postgres', q{SELECT count(*) >= 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) or die;
query(q{SELECT _wh.reseed('killed', 'source', '2024-02-03 04:05:06+00')});
$slow->finish;
is(watermark('killed', 'source', q{last_extracted_at = '2024-02-03 04:05:06+00'}), 't', 'a watermark moved meanwhile stays');
is(query('SELECT count(*) FROM source.killed WHERE writer = -10'), '1', 'with the rows of the run');
query('UPDATE public.speed SET seconds = 0');
like(refresh('killed', 'source'), qr/^loaded \d{3,} 0 0 \d+$/, 'and the next run reads from there');

# Somebody else inserts the very key at the same time: the source's row wins.
my $id = $node->safe_psql('source', 'INSERT INTO events (writer) VALUES (-11) RETURNING id');
$open = session($node, 'postgres');
$open->query_safe("BEGIN; INSERT INTO source.killed VALUES ($id, -99, 0, now())");
$slow = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', q{CALL _wh.run_refresh('killed', 'source')} ]);
$node->poll_query_until('postgres', q{SELECT count(*) >= 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'pg_warehouse worker'}) or die;
$open->query_safe('COMMIT');
$slow->finish;
$open->quit;
is(query("SELECT writer FROM source.killed WHERE id = $id"), '-11', 'a key that somebody else inserts meanwhile');
same('all of it, after all', $node, 'source', 'killed', 'source');

done_testing();
