# Derived templates over workers: a chain is made in its order for each tenant,
# whatever the others are doing; an input that failed, was lost or never loaded
# leaves what is made of it as it was; readers find it at every moment; views of
# both layouts show a run's own days to what is made of them.
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

my $node = loopback_node('derived', conf => "log_min_messages = fatal\n");
my $is_worker = "backend_type = 'pg_warehouse worker'";
my $is_remote = "application_name LIKE 'pg_warehouse%' AND datname LIKE 'src_%'";

# Three tenants, each of which takes its time.
for my $tenant (qw(t1 t2 t3))
{
	loopback_tenant($node, $tenant, 'UTC', q{
CREATE TABLE loans AS SELECT i AS id, i % 10 AS officer, i AS dpd FROM generate_series(1, 1000) AS i;
CREATE TABLE payments AS SELECT i AS id, now() - i * interval '1 hour' AS at FROM generate_series(0, 99) AS i;
CREATE TABLE speed AS SELECT 0::float8 AS seconds});
}

# Names that would give another order.
$node->safe_psql('postgres', q{
SET ROLE whadmin;
SELECT _wh.add_template('z_loans', 'SELECT id, officer, dpd FROM loans, pg_sleep((SELECT seconds FROM speed))', 'id integer, officer integer, dpd integer',
    materialization => 'snapshot');
SELECT _wh.add_template('m_officers', 'SELECT officer, count(*) AS loans, sum(dpd) AS dpd FROM z_loans GROUP BY officer', 'officer integer, loans bigint, dpd bigint',
    materialization => 'snapshot', source => 'local', options => '{"depends_on": ["z_loans"]}');
SELECT _wh.add_template('a_total', 'SELECT count(*) AS officers, sum(loans) AS loans, sum(dpd) AS dpd FROM m_officers', 'officers bigint, loans numeric, dpd numeric',
    materialization => 'snapshot', source => 'local', options => '{"depends_on": ["m_officers"]}')});

sub query { return $node->safe_psql('postgres', $_[0]) }

sub speed
{
	my ($tenant, $seconds) = @_;

	$node->safe_psql("src_$tenant", "UPDATE speed SET seconds = $seconds");

	return;
}

sub begin
{
	my ($sql) = @_;
	my %session = (out => '', err => '');

	$session{psql} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(120));

	return \%session;
}

sub last_run { return query('SELECT coalesce(max(run_id), 0) FROM _wh.extract_runs') }

sub refresh
{
	my ($more) = @_;

	return 'SELECT template_name, tenant_name, status FROM _wh.wh_refresh(' . ($more // '') . ')';
}

# How the units of a template since then ended, by tenant.
sub ended
{
	my ($run, $template) = @_;

	return query("SELECT string_agg(tenant_name || ' ' || status, ', ' ORDER BY tenant_name) FROM _wh.extract_runs WHERE run_id > $run AND template_name = '$template'");
}

sub await_remote
{
	my ($n) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) = $n FROM pg_stat_activity WHERE $is_remote AND wait_event = 'PgSleep'")
	  or die "there are no $n readers at work";

	return;
}

# The first time, in workers, one tenant being slow.
speed('t1', 2);
my $since = last_run();
is(query(refresh('parallel => 3')), join("\n", map { my $t = $_; map { "$t|$_|loaded" } qw(t1 t2 t3) } qw(z_loans m_officers a_total)), 'a chain of three for three tenants');
is(query("SELECT count(*) FROM _wh.extract_runs AS a JOIN _wh.extract_runs AS b USING (tenant_name)
	WHERE a.run_id > $since AND b.run_id > $since AND (a.template_name, b.template_name) IN (('z_loans', 'm_officers'), ('m_officers', 'a_total'))
	AND b.run_started_at < a.run_finished_at"), '0', 'nothing is made before what it is made of');
is(query("SELECT bool_and(a.run_finished_at < b.run_finished_at) FROM _wh.extract_runs AS a, _wh.extract_runs AS b
	WHERE a.run_id > $since AND b.run_id > $since AND a.template_name = 'a_total' AND a.tenant_name <> 't1' AND b.template_name = 'z_loans' AND b.tenant_name = 't1'"),
	't', 'the slow tenant holds nobody up');
is(query('SELECT * FROM t1.a_total'), '10|1000|500500', 'what comes out');
speed('t1', 0);

# The same as a job, alone, and with one worker.
for my $workers (0, 1)
{
	$node->safe_psql('src_t2', 'INSERT INTO loans SELECT max(id) + 1, 1, 1 FROM loans');
	query("SET pg_warehouse.max_workers = $workers; CALL _wh.run_refresh()");
	is(query('SELECT loans = (SELECT count(*) FROM t2.z_loans), loans FROM t2.a_total'), 't|' . (1001 + $workers), "a job with $workers workers");
}
is(query("SELECT string_agg(DISTINCT state, ' ') FROM _wh.v_coverage"), 'fresh', 'all is fresh');

# One tenant's input fails.
$node->safe_psql('src_t2', 'ALTER TABLE loans RENAME TO away');
$since = last_run();
query(refresh('parallel => 3'));
is(ended($since, 'z_loans'), 't1 loaded, t2 failed, t3 loaded', 'an input fails');
is(ended($since, 'm_officers'), 't1 loaded, t2 skipped, t3 loaded', 'what is made of it is skipped');
is(ended($since, 'a_total'), 't1 loaded, t2 skipped, t3 loaded', 'and what is made of that');
is(query("SELECT error_message FROM _wh.extract_runs WHERE run_id > $since AND template_name = 'a_total' AND tenant_name = 't2'"),
	'input "z_loans" of template "a_total" failed for tenant "t2": what is stored stays as it was', 'it says which');
is(query('SELECT loans FROM t2.a_total'), '1002', 'its rows are there');
is(query("SELECT string_agg(template_name || ' ' || tenant_name || ' ' || state, ', ' ORDER BY template_name, tenant_name) FROM _wh.v_coverage WHERE state <> 'fresh'"),
	'a_total t2 stale, m_officers t2 stale, z_loans t2 failed', 'and it is stale');
$node->safe_psql('src_t2', 'ALTER TABLE away RENAME TO loans');
query('CALL _wh.run_refresh()');
is(query("SELECT string_agg(DISTINCT state, ' ') FROM _wh.v_coverage"), 'fresh', 'the next run heals');

# One loses its worker.
speed('t3', 30);
$since = last_run();
my $session = begin(refresh("parallel => 2"));
await_remote(1);
is(query("SELECT count(*) FROM (SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a WHERE a.$is_worker AND a.application_name LIKE '%z_loans/t3%') AS s"), '1', 'the worker that has it is terminated');
$session->{psql}->finish;
speed('t3', 0);
like($session->{out}, qr/z_loans\|t3\|failed/, 'the caller is told');
like($session->{out}, qr/m_officers\|t3\|skipped\na_total\|t1\|loaded\na_total\|t2\|loaded\na_total\|t3\|skipped/, 'what is made of the lost one is skipped, all else is loaded');
is(query("SELECT string_agg(context ->> 'input', ' ' ORDER BY template_name) FROM _wh.extract_runs WHERE run_id > $since AND status = 'skipped'"),
	'm_officers z_loans', 'the log tells why');
query('CALL _wh.run_refresh()');
is(query("SELECT string_agg(DISTINCT state, ' ') FROM _wh.v_coverage"), 'fresh', 'the next run heals');

# Under one snapshot a tenant's units are one worker's; in their order, too.
$since = last_run();
unlike(query(refresh('parallel => 2, consistent => true')), qr/failed|skipped/, 'consistent');
is(query("SELECT count(*) FROM _wh.extract_runs AS a JOIN _wh.extract_runs AS b USING (tenant_name)
	WHERE a.run_id > $since AND b.run_id > $since AND (a.template_name, b.template_name) IN (('z_loans', 'm_officers'), ('m_officers', 'a_total'))
	AND b.run_started_at < a.run_finished_at"), '0', 'in the order of what is made of what');

# A circle that somebody wrote into the table ends all the same.
query(q{UPDATE _wh.mv_templates SET options = '{"depends_on": ["z_loans", "a_total"]}' WHERE template_name = 'm_officers'});
$since = last_run();
query(refresh('parallel => 3'));
is(ended($since, 'a_total'), 't1 skipped, t2 skipped, t3 skipped', 'a circle is skipped');
is(query("SELECT DISTINCT error_message FROM _wh.extract_runs WHERE run_id > $since AND template_name = 'a_total'"),
	'template "a_total" depends on itself: a_total -> m_officers -> a_total', 'and named');
query(q{UPDATE _wh.mv_templates SET options = '{"depends_on": ["z_loans"]}' WHERE template_name = 'm_officers'});
query('CALL _wh.run_refresh()');

# Readers find it at every moment: while it is refilled, while another query
# takes its place, while an input gets other columns.
my $reader = begin(q{
DO $$
DECLARE n bigint; times int := 0;
BEGIN
    LOOP
        EXECUTE 'SELECT count(*) FROM t1.m_officers AS m, t1.a_total AS a' INTO n;
        IF n <> 10 THEN RAISE EXCEPTION 'found % rows', n; END IF;
        times := times + 1;
        COMMIT;
        PERFORM pg_sleep(0.005);
        EXECUTE 'SELECT 1 FROM pg_catalog.pg_class WHERE relname = ''stop_reading''' INTO n;
        EXIT WHEN n IS NOT NULL;
    END LOOP;
    RAISE NOTICE 'read % times', times;
END $$});
for my $round (1 .. 5)
{
	my $columns = $round % 2 ? ', 0 AS more' : '';
	my $declared = $round % 2 ? ', more integer' : '';

	unlike(query("SELECT status FROM _wh.wh_refresh('m_officers', 't1', method => 'refill')"), qr/failed/, "round $round: refilled");
	query("SELECT _wh.alter_template('m_officers', query_template => 'SELECT officer, count(*) AS loans, sum(dpd) AS dpd FROM z_loans WHERE id > -$round GROUP BY officer')");
	query("SELECT _wh.alter_template('z_loans', query_template => 'SELECT id, officer, dpd$columns FROM loans', column_definitions => 'id integer, officer integer, dpd integer$declared')");
	unlike(query("SELECT status || coalesce(message, '') FROM _wh.wh_refresh(tenant => 't1', parallel => 2)"), qr/failed|skipped/, "round $round: replaced");
}
query('CREATE TABLE stop_reading ()');
$reader->{psql}->finish;
like($reader->{err}, qr/read \d\d+ times/, 'and read it went on being');
is(query("SELECT string_agg(relkind::text, '' ORDER BY relname) FROM pg_class WHERE oid IN ('t1.m_officers'::regclass, 't1.a_total'::regclass)"), 'mm', 'all are materialized views again');

# Days over days of the very same run, whichever layout the input's view has.
for my $layout (qw(expand union))
{
	query(qq{SET ROLE whadmin;
SELECT _wh.add_template('y_$layout', 'SELECT id, at FROM payments WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz',
    time_column => 'at', options => '{"view_layout": "$layout"}');
SELECT _wh.add_template('b_$layout', 'SELECT {DAY_START} AS day, count(*) AS n FROM y_$layout WHERE at >= {DAY_START} AND at < {DAY_END}', 'day timestamptz, n bigint',
    time_column => 'day', source => 'local', options => '{"depends_on": ["y_$layout"]}')});
	unlike(query("SELECT status || coalesce(message, '') FROM _wh.wh_refresh(NULL, 't1', current_date - 2, current_date, parallel => 3)"), qr/failed|skipped/, "$layout: days in workers");
	unlike(query("SELECT status || coalesce(message, '') FROM _wh.wh_refresh(NULL, 't2', current_date - 2, current_date, parallel => 0)"), qr/failed|skipped/, "$layout: in one transaction");
	query("CALL _wh.run_refresh(NULL, 't3', current_date - 2, current_date)");
	for my $tenant (qw(t1 t2 t3))
	{
		is(query("SELECT count(*) FROM $tenant.b_$layout AS b WHERE n > 0 AND n = (SELECT count(*) FROM $tenant.y_$layout AS y WHERE y.at >= b.day AND y.at < b.day + interval '1 day')"),
			'3', "$layout: $tenant has its days");
	}
}

# After a restore that could fill nothing: inputs first, and days that were made
# of what there was then, which is nothing.
my $day = query("SELECT to_char(current_date - 1, 'YYYY_MM_DD')");
query("REFRESH MATERIALIZED VIEW t1.y_expand_$day WITH NO DATA; REFRESH MATERIALIZED VIEW t1.b_expand_$day");
is(query("SELECT n FROM t1.b_expand_$day"), '0', 'a day of nothing');
query('REFRESH MATERIALIZED VIEW t1.a_total WITH NO DATA; REFRESH MATERIALIZED VIEW t1.m_officers WITH NO DATA; REFRESH MATERIALIZED VIEW t1.z_loans WITH NO DATA');
is(query("SELECT r -> 'failed', r -> 'skipped' FROM _wh.rebuild_entire_warehouse(tenants => '{t1}', lost_only => true) AS r"), '0|0', 'what was lost is made again');
is(query('SELECT loans FROM t1.a_total'), '1000', 'from the input up');
is(query("SELECT n > 0 FROM t1.b_expand_$day"), 't', 'so is the day');
is(query('SELECT count(*) FROM _wh.wh_check()'), '0', 'nothing is lost');

# Everything stands without us, the derived relations with their queries.
is(query(q{SELECT count(*) FROM _wh.detach_all() AS line WHERE line LIKE '%m_officers: 10 rows, keeps its query'}), '3', 'left behind');
query('DROP EXTENSION pg_warehouse');
query('UPDATE t1.z_loans SET officer = 1; REFRESH MATERIALIZED VIEW t1.m_officers');
is(query('SELECT count(*) FROM t1.m_officers'), '1', 'and a plain REFRESH still works');

$node->stop;
done_testing();
