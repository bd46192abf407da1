# Offboarding and moves: a tenant with more relations than one transaction may
# lock goes in batches, the audit log keeps the counts, and a move
# that does not fit is undone.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = loopback_node('warehouse', conf => qq{
max_locks_per_transaction = 10
max_connections = 10
max_worker_processes = 6
autovacuum_max_workers = 1
max_wal_senders = 0
pg_warehouse.max_workers = 1
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
});
$node->safe_psql('postgres', q{CREATE EXTENSION pg_cron; SET client_min_messages = warning; SELECT _wh.setup(preload => false)});
my $rows = q{CREATE TABLE src AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '12 hours' AS t FROM generate_series(0, 199) AS i};
loopback_tenant($node, $_, 'UTC', $rows) for ('zebra_one', 'other');
$node->safe_psql('postgres', q{
SELECT _wh.add_template('days', $$SELECT id, t FROM src WHERE t >= {DAY_START} AND t < {DAY_END}$$, 'id integer, t timestamptz',
    $$CREATE INDEX {view_name}_t ON {schema}.{view_name} (t)$$, time_column => 't', tenants => '{zebra_one,other}')});
$node->safe_psql('postgres', q{CALL _wh.run_refresh('days', NULL, '2024-01-01', '2024-02-29')});
$node->safe_psql('postgres', q{SET ROLE whadmin; SELECT * FROM _wh.setup_cron()});
$node->safe_psql('postgres', q{INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, start_time)
SELECT jobid, nextval('cron.runid_seq'), 0, database, username, command, 'succeeded', now() FROM cron.job});
is($node->safe_psql('postgres', q{SELECT sum(row_count), count(DISTINCT tenant_name) FROM _wh.slices}), '240|2', 'two tenants');

# A move: the new endpoint's schema is compared before the commit; what does
# not fit is undone, old password and all.
$node->safe_psql('postgres', 'CREATE DATABASE moved');
$node->safe_psql('moved', "$rows; ALTER TABLE src DROP COLUMN id; GRANT SELECT ON src TO PUBLIC");
my $endpoint = q{SELECT dbname, (SELECT count(*) FROM _wh.sealed_secrets WHERE subject = tenant_key) FROM _wh.tenant_connections WHERE tenant_name = 'zebra_one'};
my $before = $node->safe_psql('postgres', $endpoint);
my ($status, $stdout, $stderr) = $node->psql('postgres', q{SELECT _wh.alter_tenant('zebra_one', dbname => 'moved', verify => true)});
isnt($status, 0, 'a move to another schema is refused');
like($stderr, qr/ERROR:  .*id/s, 'with what is missing there');
is($node->safe_psql('postgres', $endpoint), $before, 'and undone');
($status, $stdout, $stderr) = $node->psql('postgres', q{SELECT _wh.alter_tenant('zebra_one', dbname => 'nowhere', verify => true)});
like($stderr, qr/nowhere/, 'as is a move to where nobody is');
$node->safe_psql('moved', 'ALTER TABLE src ADD COLUMN id integer');
($status, $stdout, $stderr) = $node->psql('postgres', q{SELECT _wh.alter_tenant('zebra_one', dbname => 'moved', verify => true)});
is($status, 0, 'a move to the same schema is made') or diag($stderr);
is($node->safe_psql('postgres', q{SELECT dbname FROM _wh.tenant_connections WHERE tenant_name = 'zebra_one'}), 'moved', 'at once');

# A dry run says all of it and does nothing.
my $counts = 'SELECT (SELECT count(*) FROM _wh.slices), (SELECT count(*) FROM _wh.extract_runs), (SELECT count(*) FROM cron.job)';
$before = $node->safe_psql('postgres', $counts);
like($node->safe_psql('postgres', q{SELECT j->>'rows', j->>'runs', jsonb_array_length(j->'dropped') FROM _wh.drop_tenant('zebra_one', drop_data => true, dry_run => true) AS j}),
	qr/\A120\|60\|62\z/, 'a dry run counts rows, runs of the log, relations');
is($node->safe_psql('postgres', $counts), $before, 'and changes nothing');

# In batches: out of the views at once, gone when the last call is done.
my $calls = 0;
my $left = 1;
while ($left > 0 && $calls++ < 30)
{
	($status, $stdout, $stderr) = $node->psql('postgres', q{SELECT (_wh.drop_tenant('zebra_one', drop_data => true))->>'left'});
	is($status, 0, "call $calls") or diag($stderr);
	last if $status != 0;
	$left = $stdout;
	next if $left == 0;
	like($stderr, qr/$left relations of tenant "zebra_one" are not dropped yet.*drop_data => true/s, 'a call that leaves some says so');
	is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT schema_name) FROM public.days'), '120|1', 'the views are without the tenant');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM _wh.wh_check() WHERE invariant <> 'run'}), '0', 'and nothing is amiss');
}
cmp_ok($calls, '>', 1, 'it took several');
is($left, 0, 'and came to an end');

like($node->safe_psql('postgres', q{SELECT detail->>'rows', detail->>'runs', detail->>'left' FROM _wh.audit_log WHERE action = 'drop_tenant' ORDER BY audit_id LIMIT 1}),
	qr/\A120\|60\|\d+\z/, 'but the audit log, which has the counts');
is($node->safe_psql('postgres', 'SELECT sum(row_count), count(*) FROM _wh.slices'), '120|60', 'the other tenant is whole');
is($node->safe_psql('postgres', q{SELECT tenants FROM _wh.mv_templates}), '{other}', 'and alone in its template');

done_testing();
