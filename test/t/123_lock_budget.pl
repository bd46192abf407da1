# A server whose lock table is small: whatever would fill it is refused with
# numbers and the cure beforehand, nobody is ever told "out of shared memory",
# and the doctor's cure is one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = loopback_node('warehouse', conf => q{
max_locks_per_transaction = 10
max_connections = 10
max_worker_processes = 4
autovacuum_max_workers = 1
max_wal_senders = 0
pg_warehouse.max_workers = 1
});
loopback_tenant($node, 'one', 'UTC', q{
CREATE TABLE src AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '12 hours' AS t FROM generate_series(0, 199) AS i});
foreach my $template ([ 'small', 'union' ], [ 'big', 'union' ])
{
	$node->safe_psql('postgres', qq{
SELECT _wh.add_template('$template->[0]', \$\$SELECT id, t FROM src WHERE t >= {DAY_START} AND t < {DAY_END}\$\$, 'id integer, t timestamptz',
    \$\$CREATE INDEX {view_name}_t ON {schema}.{view_name} (t); CREATE INDEX {view_name}_id ON {schema}.{view_name} (id)\$\$,
    time_column => 't', options => '{"view_layout": "$template->[1]"}')});
}
# One more for the launcher of autovacuum, and since 17 for the worker that
# copies slots to a standby.
my $slots = $node->safe_psql('postgres', q{SELECT current_setting('max_connections')::integer + current_setting('max_prepared_transactions')::integer
    + current_setting('autovacuum_max_workers')::integer + (CASE WHEN current_setting('server_version_num')::integer < 170000 THEN 1 ELSE 2 END) + current_setting('max_worker_processes')::integer + current_setting('max_wal_senders')::integer});

# What there is room for: the table less what is locked, which is little.
$node->safe_psql('postgres', q{CALL _wh.run_refresh('small', 'one', '2024-01-01', '2024-01-03')});
my ($name, $relations, $locks, $capacity, $planning, $advice) =
  split /\|/, $node->safe_psql('postgres', q{SELECT view_name, relations, locks, capacity, planning_ms > 0, advice FROM _wh.wh_lock_budget() WHERE view_name = 'public.small'});
is("$name $relations $locks $planning", 'public.small 3 11 t', 'a view, its slices, its locks: two indexes each, the two views');
cmp_ok($capacity, '<=', 10 * $slots, 'room for no more than the table holds');
cmp_ok($capacity, '>', 10 * $slots - 60, 'and for nearly all of it');
is($advice, '', 'nothing to say');

# The locks are those that a query takes.
is($node->safe_psql('postgres', q{BEGIN; SELECT count(*) FROM public.small WHERE id < 0;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname IN ('one', 'public')); COMMIT}),
	"0\n11", 'as many as it says');

# Asking leaves no lock behind.
is($node->safe_psql('postgres', q{BEGIN; SELECT count(*) FROM _wh.wh_lock_budget();
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'one.small%'; COMMIT}), "2\n0", 'asked in a transaction, it keeps none');

# More units than one transaction has room for.
my ($status, $stdout, $stderr) = $node->psql('postgres', q{
SET pg_warehouse.max_workers = 0;
SELECT status FROM _wh.wh_refresh('big', from_date => '2024-01-01', to_date => '2024-02-20')});
like($stderr, qr/ERROR:  51 units do not fit into one transaction\nDETAIL:  They need about 306 locks, and the lock table has room for \d+ in all.\nHINT:  .*run_refresh.*set max_locks_per_transaction = 64 \(now 10\)/,
	'units are refused with numbers');
is($node->safe_psql('postgres', q{SELECT count(*) FROM _wh.extract_runs WHERE template_name = 'big'}), 0, 'before the first one');

# A view that grows out of the table: the day before stays readable, the run
# says why, and the rows are there.
($status, $stdout, $stderr) = $node->psql('postgres', q{CALL _wh.run_refresh('big', 'one', '2024-01-01', '2024-03-10')});
like($stderr, qr/view "one\.big" needs more locks than the server has room for\nDETAIL:  Template "big": each query would lock 70 relations and their indexes, about 211 locks, and the lock table has room for \d+ in all\.\nHINT:  SELECT _wh\.alter_template\('big', .*expand.* Or set max_locks_per_transaction = 64 \(now 10\)/,
	'a view is refused with numbers');
is($node->safe_psql('postgres', q{SELECT sqlstate, count(*) FROM _wh.extract_runs WHERE status = 'failed' GROUP BY 1}), '54000|2', 'and the log knows, of either view');
is($node->safe_psql('postgres', q{SELECT count(*) FROM _wh.slices WHERE template_name = 'big'}), 70, 'the slices are there');
is($node->safe_psql('postgres', 'SELECT count(*) FROM public.small'), 6, 'and the server is in good health');

# A query over more slices than there is room for, planned or scanned; the
# locks are not even tried, so that the slices need not be there.
$node->safe_psql('postgres', q{
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state)
SELECT 'wide', 'one', 'day', d, d + 1, 'one', 'wide_' || d, 'loaded' FROM (SELECT date '2000-01-01' + i AS d FROM generate_series(1, 999) AS i) AS days;
CREATE FOREIGN TABLE wide (id integer) SERVER pg_warehouse_union OPTIONS (template 'wide')});
foreach my $most (300, 1000)
{
	($status, $stdout, $stderr) = $node->psql('postgres', "LOAD 'pg_warehouse'; SET pg_warehouse.expand_max_slices = $most; SELECT * FROM wide");
	like($stderr, qr/ERROR:  query over 999 slices needs more locks than the server has room for\nDETAIL:  Template "wide": 999 of its 999 slices .* room for \d+\.\nHINT:  Ask for less time, or set max_locks_per_transaction = \d+ \(now 10\)/,
		"with at most $most slices planned");
}
$node->safe_psql('postgres', q{DROP FOREIGN TABLE wide; DELETE FROM _wh.slices WHERE template_name = 'wide'});

# With a larger table the view is made; with the small one again it stands
# above the budget: said by the doctor and the budget, and not even planned.
$node->append_conf('postgresql.conf', 'max_locks_per_transaction = 64');
$node->restart;
is($node->safe_psql('postgres', q{SELECT _wh.update_tenant_union_view_by_template('big', 'one'), _wh.update_public_view_by_template('big')}), 't|t', 'it fits a larger one');
my $budget = q{SELECT relations, locks, planning_ms > 0, advice FROM _wh.wh_lock_budget() WHERE view_name = 'one.big'};
my $doctor = q{SELECT check_name, status FROM _wh.wh_doctor() WHERE check_name IN ('lock_budget', 'union_views') ORDER BY 1};
like($node->safe_psql('postgres', $budget), qr/^70\|211\|t\|4 queries over all of it at once take more than half of the free lock table\. .* Or set max_locks_per_transaction = 128 \(now 64\)/,
	'one query fits, four do not: a word long before it fails');
is($node->safe_psql('postgres', $doctor), "lock_budget|ok\nunion_views|warn", 'from the doctor too');
$node->append_conf('postgresql.conf', 'max_locks_per_transaction = 128');
$node->restart;
is($node->safe_psql('postgres', $budget), '70|211|t|', 'with the setting that it names there is nothing to say');
is($node->safe_psql('postgres', $doctor), "lock_budget|ok\nunion_views|ok", 'nor for the doctor');
$node->append_conf('postgresql.conf', 'max_locks_per_transaction = 10');
$node->restart;
like($node->safe_psql('postgres', q{SELECT planning_ms IS NULL, advice FROM _wh.wh_lock_budget() WHERE view_name = 'public.big'}),
	qr/^t\|A query over all of it takes more than half of the free lock table\. SELECT _wh\.alter_template\('big', .* Or set max_locks_per_transaction = 128 \(now 10\) and restart the server\.$/,
	'what would fill the table is not planned');
like($node->safe_psql('postgres', q{SELECT status, detail FROM _wh.wh_doctor() WHERE check_name = 'union_views'}),
	qr/^error\|a query over all of view "public\.big" takes 212 locks for 70 slices, and the lock table has room for \d+ \(max_locks_per_transaction 10\)$/, 'the doctor finds it');

# The cure, run as it is given: the same rows from layout expand.
my $fix = $node->safe_psql('postgres', q{SELECT fix_sql FROM _wh.wh_doctor() WHERE check_name = 'union_views'});
$node->safe_psql('postgres', $fix);
is($node->safe_psql('postgres', q{SELECT status FROM _wh.wh_doctor() WHERE check_name = 'union_views'}), 'ok', 'cured');
is($node->safe_psql('postgres', q{SELECT count(*) FROM public.big WHERE t < '2024-01-03'}), 4, 'a query takes what it needs');

# A query over everything is beyond the cap: relations only, without their
# indexes; what still is too much is said with the setting to change.
is($node->safe_psql('postgres', q{SET pg_warehouse.expand_max_slices = 20; SELECT count(*) FROM public.big}), 140, 'all of it, above the cap');
is($node->safe_psql('postgres', q{SET pg_warehouse.expand_max_slices = 20; SELECT locks FROM _wh.wh_lock_budget() WHERE view_name = 'public.big'}), 72, 'counted so');
like($node->safe_psql('postgres', q{SELECT status, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'lock_budget'}), qr/^error\|ALTER SYSTEM SET max_locks_per_transaction = 128;$/, 'below the cap the doctor warns');
$node->safe_psql('postgres', $node->safe_psql('postgres', q{SELECT fix_sql FROM _wh.wh_doctor() WHERE check_name = 'lock_budget'}));
$node->restart;
is($node->safe_psql('postgres', 'SHOW max_locks_per_transaction'), 128, 'the server has the setting');
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT status, ' ') FROM _wh.wh_doctor() WHERE check_name IN ('lock_budget', 'union_views')}), 'ok', 'all is well');
is($node->safe_psql('postgres', q{SELECT count(*) FROM public.big}), 140, 'and all is read');

unlike(slurp_file($node->logfile), qr/out of shared memory/, 'nobody ran out of shared memory');

done_testing();
