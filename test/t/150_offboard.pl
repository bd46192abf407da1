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

my $archive = scratch_dir() . '/archive';
mkdir $archive, 0700 or die "$archive: $!";
my $node = loopback_node('warehouse', conf => qq{
pg_warehouse.archive_directory = '$archive'

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
my $rows = q{CREATE TABLE src AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '12 hours' AS t, current_database() || ' canary' AS word FROM generate_series(0, 199) AS i};
loopback_tenant($node, $_, 'UTC', $rows) for ('zebra_one', 'other');
$node->safe_psql('postgres', q{
SELECT _wh.add_template('days', $$SELECT id, t, word FROM src WHERE t >= {DAY_START} AND t < {DAY_END}$$, 'id integer, t timestamptz, word text',
    $$CREATE INDEX {view_name}_t ON {schema}.{view_name} (t)$$, time_column => 't', tenants => '{zebra_one,other}');
SELECT _wh.add_template('alone', $$SELECT word FROM src LIMIT 1$$, 'word text', materialization => 'snapshot', tenants => '{zebra_one}',
    options => '{"archive": true}')});
$node->safe_psql('postgres', q{CALL _wh.run_refresh('days', NULL, '2024-01-01', '2024-02-29')});
$node->safe_psql('postgres', q{SET ROLE whadmin; SELECT * FROM _wh.setup_cron()});
$node->safe_psql('postgres', q{INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, start_time)
SELECT jobid, nextval('cron.runid_seq'), 0, database, username, command, 'succeeded', now() FROM cron.job});
is($node->safe_psql('postgres', q{SELECT sum(row_count), count(DISTINCT tenant_name) FROM _wh.slices}), '240|2', 'two tenants');

# What failed is in the log, in pg_cron's and in the log of maintenance.
$node->safe_psql('postgres', q{CALL _wh.run_refresh('alone')});
$node->safe_psql('src_zebra_one', 'ALTER TABLE src RENAME TO aside');
my (undef, undef, $failure) = $node->psql('postgres', q{CALL _wh.run_refresh('alone')});
like($failure, qr/zebra_one/, 'a failure that names the tenant');
$node->safe_psql('postgres', sprintf(q{INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, return_message, start_time)
VALUES (1, nextval('cron.runid_seq'), 0, 'postgres', 'whadmin', 'CALL _wh.run_refresh()', 'failed', $m$%s$m$, now())}, $failure));
$node->safe_psql('src_zebra_one', 'ALTER TABLE aside RENAME TO src');
$node->safe_psql('postgres', q{CREATE MATERIALIZED VIEW zebra_one.aside AS SELECT 1; ALTER MATERIALIZED VIEW zebra_one.days_2024_01_02 OWNER TO postgres});
$node->psql('postgres', 'CALL _wh.run_maintenance()');
like($node->safe_psql('postgres', q{SELECT string_agg(error_message, ' ') FROM _wh.extract_runs WHERE kind = 'maintenance'}), qr/zebra_one\.days_2024_01_02/, 'and maintenance that does');
$node->safe_psql('postgres', q{DROP MATERIALIZED VIEW zebra_one.aside; ALTER MATERIALIZED VIEW zebra_one.days_2024_01_02 OWNER TO whadmin});

# Where a word stands: relations with a row of it.  The query does not have the
# word itself, which is in two halves.  What shows definitions locks them all.
sub lock_table
{
	$node->adjust_conf('postgresql.conf', 'max_locks_per_transaction', $_[0]);
	$node->restart;

	return;
}

sub places_of
{
	my ($head, $tail) = @_;

	return $node->safe_psql('postgres', qq{
CREATE FUNCTION pg_temp.places() RETURNS SETOF text LANGUAGE plpgsql AS \$\$
DECLARE
	relation regclass;
	found boolean;
BEGIN
	FOR relation IN SELECT c.oid FROM pg_class AS c WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND c.relpersistence <> 't'
		-- Statistics of control tables know names until the next ANALYZE.
		AND ('$head' <> 'zebra' OR c.oid::regclass::text NOT IN ('pg_statistic', 'pg_stats'))
	LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s AS whole_row WHERE strpos(whole_row::text, %L || %L) > 0)', relation, '$head', '$tail') INTO found;
		IF found THEN RETURN NEXT relation::text; END IF;
	END LOOP;
END \$\$;
SELECT place FROM pg_temp.places() AS place ORDER BY place COLLATE "C"});
}
lock_table(64);
my $places = places_of('zebra', '_one');
like($places, qr/^\Q$_\E$/m, "the tenant's name is in $_")
  for '_wh.audit_log', '_wh.extract_runs', '_wh.jobs', '_wh.mv_templates', '_wh.slices', '_wh.tenant_connections', 'cron.job', 'cron.job_run_details', 'pg_namespace', 'days';
sub archived { return grep { /zebra_one/ } split /\n/, qx{find $archive -type f} }
cmp_ok(scalar(archived()), '>', 0, 'and in the archive');
like(places_of('zebra_one ca', 'nary'), qr/^zebra_one\.days_2024_01_01$/m, 'and what its rows hold is found');
lock_table(10);

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
	qr/\A121\|63\|63\z/, 'a dry run counts rows, runs of the log, relations');
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
	qr/\A121\|63\|\d+\z/, 'but the audit log, which has the counts');
is($node->safe_psql('postgres', 'SELECT sum(row_count), count(*) FROM _wh.slices'), '120|60', 'the other tenant is whole');
is($node->safe_psql('postgres', q{SELECT tenants FROM _wh.mv_templates WHERE template_name = 'days'}), '{other}', 'and alone in its template');

# Nothing is left of it but lines of the audit log, and a definition that was
# for it alone, which the report names.
is($node->safe_psql('postgres', q{SELECT DISTINCT detail->'templates' FROM _wh.audit_log WHERE action = 'drop_tenant'}), '["alone"]', 'a template for it alone is named');
$node->safe_psql('postgres', q{SELECT _wh.drop_template('alone', drop_data => true)});
$node->safe_psql('postgres', 'DROP DATABASE src_zebra_one');
lock_table(64);
is(places_of('zebra', '_one'), '_wh.audit_log', "nothing but the audit log has the tenant's name");
is(places_of('zebra_one ca', 'nary'), '', 'and nothing what its rows held');
is(join(' ', archived()), '', 'nor the archive a file of it');

done_testing();
