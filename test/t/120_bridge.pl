# A bridge over TLS and scram: its password comes in by one call and is tried
# first, is changed under running queries, and a source that is dead or hangs
# ends nothing but what needs it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $source = tenant_node('source', $dir, 'pw-zero');
my $port = $source->port;
$source->safe_psql('postgres', q{
CREATE SCHEMA odk_sync;
CREATE TABLE odk_sync._backend_actions (id integer PRIMARY KEY, what text);
INSERT INTO odk_sync._backend_actions SELECT i, repeat('x', 200) FROM generate_series(1, 20000) AS i;
CREATE TABLE odk_sync."__ODKTABLES__TABLE_ENTRY4" (id integer PRIMARY KEY, what text);
INSERT INTO odk_sync."__ODKTABLES__TABLE_ENTRY4" VALUES (1, 'a'), (2, 'b');
GRANT USAGE ON SCHEMA odk_sync TO wh_src;
GRANT SELECT ON ALL TABLES IN SCHEMA odk_sync TO wh_src});

my $warehouse = warehouse_node('warehouse', $ca, conf => q{
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = all
max_worker_processes = 16
log_statement = none
});
$warehouse->safe_psql('postgres', q{
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION pg_stat_statements;
CREATE ROLE smartfield_ro LOGIN});

sub sql { return $warehouse->safe_psql('postgres', $_[0]) }

sub fails
{
	my ($name, $message, $sql) = @_;
	my ($rc, $out, $err) = $warehouse->psql('postgres', $sql);
	isnt($rc, 0, $name);
	like($err, $message, "$name: told why");
	return;
}

sub source_password { return $source->safe_psql('postgres', "ALTER ROLE wh_src PASSWORD '$_[0]'") }

sub rotate
{
	my ($password, $target) = @_;
	return $warehouse->psql('postgres', "SELECT _wh.rotate_password('" . ($target // 'odkx9') . "', '$password')");
}

# ---- without a password there is a server, and nothing is imported
like(sql(qq{SELECT _wh.create_bridge('odkx9', 'localhost', 'postgres', 'wh_src', $port, 'odk_sync', 'odkx',
	app_roles => '{smartfield_ro}')}), qr/waits for its password/, 'a bridge waits for its password');
my ($rc, $out, $err) = rotate('pw-wrong');
isnt($rc, 0, 'a wrong password is tried first');
like($err, qr/bridge "odkx9": password authentication failed for user "wh_src"/, 'and the source says no');
is(sql("SELECT count(*) FROM pg_user_mappings WHERE array_to_string(umoptions, ' ') LIKE '%password%'"), '0',
	'so no mapping has it');
($rc, $out, $err) = rotate('pw-zero');
is($rc, 0, 'the right one is taken') or diag($err);
like($err, qr/bridge "odkx9" has imported 2 tables into schema "odkx"/, 'and the tables are imported');
is(sql("SELECT count(*) FROM pg_user_mappings WHERE 'password=pw-zero' = ANY (umoptions)"), '2',
	'the owner and the application have it');
is(sql("SET ROLE whadmin; SELECT count(*) FROM _wh.create_shim_views('odkx9', '__ODKTABLES__')"), '1', 'one view');
is(sql("SET ROLE whadmin; SELECT count(*) FROM _wh.create_snapshot_mvs('odkx9', 'analytics')"), '2', 'two snapshots');
sql("SET ROLE whadmin; CALL _wh.refresh_schema('analytics')");
is(sql("SELECT string_agg(step, ' ') FROM _wh.verify_bridge('odkx9') WHERE NOT ok"), '', 'every hop is fine');
is(sql("SELECT detail FROM _wh.verify_bridge('odkx9') WHERE step = 'connect'"),
	'logged in as "wh_src", encrypted, read only', 'over TLS');

# ---- the application reads, and finds no password and nothing to write
is(sql(q{SET ROLE smartfield_ro; SET search_path = odkx, analytics, public; SELECT count(*) FROM _backend_actions, table_entry4}),
	'40000', 'the application reads');
is(sql(q{SET ROLE smartfield_ro; SELECT count(umoptions) FROM pg_user_mappings}), '0', 'it cannot read its mapping');
fails('nor write, whatever it were granted', qr/does not allow inserts/,
	q{GRANT INSERT ON odkx._backend_actions TO smartfield_ro; SET ROLE smartfield_ro; INSERT INTO odkx._backend_actions VALUES (0, 'x')});
sql('REVOKE INSERT ON odkx._backend_actions FROM smartfield_ro');
fails('nor would the source let anybody', qr/cannot execute INSERT in a read-only transaction/,
	q{BEGIN; ALTER SERVER odkx9 OPTIONS (SET updatable 'true'); SET LOCAL ROLE whadmin; INSERT INTO odkx._backend_actions VALUES (0, 'x')});

# ---- rotation while queries run: they end as they began, the next ones use
# the new password
my $reader = $warehouse->background_psql('postgres', on_error_stop => 1);
$reader->query_safe('SET ROLE smartfield_ro; BEGIN; DECLARE c CURSOR FOR SELECT id FROM odkx._backend_actions; FETCH 1 FROM c;');
my $refreshes = $warehouse->background_psql('postgres', on_error_stop => 0);
$refreshes->query_until(qr/begun/, q{
SET ROLE whadmin;
\echo begun
} . "CALL _wh.refresh_schema('analytics', true);\nCALL _wh.refresh_schema('analytics');\n" x 10 . "\\echo all done\n");
for my $n (1 .. 5)
{
	source_password("pw-$n");
	($rc, $out, $err) = rotate("pw-$n");
	is($rc, 0, "rotation $n") or diag($err);
	usleep(100_000);
}
is(scalar(my @rows = $reader->query_safe('FETCH ALL FROM c; COMMIT;') =~ /^\d+$/mg), 19999, 'the open cursor gives every row');
like($reader->query_safe('SELECT count(*) FROM odkx._backend_actions;'), qr/^20000$/m, 'and its session goes on');
$refreshes->query_until(qr/all done/, "\n");
$reader->quit;
$refreshes->quit;

# Between the change there and the call here a new connection is refused; that
# is the window, and nothing else may fail.
is(sql("SELECT count(*) FROM _wh.extract_runs WHERE kind = 'bridge' AND status <> 'loaded'"
	. " AND concat(error_message, error_detail) NOT LIKE '%password authentication failed%'"), '0', 'no refresh failed for another reason');
sql("SET ROLE whadmin; CALL _wh.refresh_schema('analytics', true)");
is(sql("SELECT count(*) FROM pg_user_mappings WHERE 'password=pw-5' = ANY (umoptions)"), '2', 'every mapping was changed');

# ---- the password is changed at the source only: the document's first error
source_password('pw-six');
is(sql("SELECT step || '|' || detail || '|' || fix FROM _wh.verify_bridge('odkx9') WHERE NOT ok"),
	'authenticate|bridge "odkx9": password authentication failed for user "wh_src" (28P01)'
	  . "|SELECT _wh.rotate_password('odkx9', '...');", 'it is recognized, with its fix');
fails('a refresh says the same', qr/refresh failed for 2 of 2/, "CALL _wh.refresh_schema('analytics')");
is(sql('SELECT count(*) FROM analytics.backend_actions_mv'), '20000', 'and the old rows stay');
is(sql("SELECT bool_or(error_message LIKE '%password authentication failed for user \"wh_src\"%') FROM _wh.v_recent_failures"), 't',
	'the log has the words of the source');

# The way for servers that log statements leads to the mappings, too.
fails('the server would log it', qr/the server would log the password/,
	"SET log_statement = 'all'; SELECT _wh.rotate_password('odkx9', 'logged')");
sql("SET log_statement = 'all'; COPY _wh.tenant_password_entry FROM STDIN;\nodkx9\tpw-six\n\\.\n");
sql("CALL _wh.refresh_schema('analytics')");

# ---- the same call for a tenant: tried before the old one goes
source_password('pw-seven');
tenant_database($source, 'app_a', 24);
add_tenant($warehouse, 'tenant_a', $source, 'app_a', 'pw-seven');
my $day = "SELECT status FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-01-01', '2024-01-01')";
is(sql($day), 'loaded', 'a tenant');
($rc, $out, $err) = rotate('pw-wrong', 'tenant_a');
isnt($rc, 0, 'a wrong password for it is refused');
like($err, qr/tenant "tenant_a": password authentication failed/, 'by its server');
is(sql($day), 'loaded', 'and the old one still works');
source_password('pw-eight');
($rc, $out, $err) = rotate('pw-eight', 'tenant_a');
is($rc, 0, 'the right one is taken') or diag($err);
is(sql($day), 'loaded', 'and used');
is((rotate('pw-eight'))[0], 0, 'so does the bridge');

# ---- workers: whatever ends the leader ends them; one that dies is lost
$source->safe_psql('postgres', q{
CREATE VIEW odk_sync.slow AS SELECT 1 AS id, pg_sleep(60)::text AS what;
GRANT SELECT ON odk_sync.slow TO wh_src});
sql("SET ROLE whadmin; SELECT * FROM _wh.sync_bridge('odkx9');
CREATE MATERIALIZED VIEW analytics.slow_mv AS SELECT id FROM odkx.slow WITH NO DATA");
$source->safe_psql('postgres', 'CREATE OR REPLACE VIEW odk_sync.slow AS SELECT 1 AS id, NULL::text AS what');
sql("SET ROLE whadmin; CALL _wh.refresh_schema('analytics');
CREATE UNIQUE INDEX ON analytics.slow_mv (id)");
$source->safe_psql('postgres', 'CREATE OR REPLACE VIEW odk_sync.slow AS SELECT 1 + length(pg_sleep(60)::text) AS id, NULL::text AS what');

# Without a worker, too, readers do not wait while the network is at it.
my $here = $warehouse->background_psql('postgres', on_error_stop => 0);
$here->query_until(qr/begun/, "\\echo begun\nCALL _wh.refresh_schema('analytics');\n");
poll($source, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND wait_event = 'PgSleep'}, 'the source is slow');
is(sql("SET statement_timeout = '5s'; SELECT count(*) FROM analytics.slow_mv"), '1', 'readers of the view do not wait');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL _wh.refresh_schema%' AND pid <> pg_backend_pid()");
$here->quit;

my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_warehouse worker'";
my $leader = $warehouse->background_psql('postgres', on_error_stop => 0);
$leader->query_until(qr/begun/, "\\echo begun\nCALL _wh.refresh_schema('analytics', true);\n");
my $at_work = "SELECT count(*) = 1 FROM pg_locks AS l JOIN ($worker) AS w USING (pid)"
  . " WHERE l.relation = 'analytics.slow_mv'::regclass AND l.mode = 'ExclusiveLock'";
poll($warehouse, $at_work, 'a worker refreshes concurrently');
is(sql("SELECT usename FROM pg_stat_activity WHERE backend_type = 'pg_warehouse worker'"), 'whadmin', 'as the owner');
sql('SELECT count(*) FROM analytics.slow_mv');
pass('readers do not wait');
($rc, $out, $err) = $warehouse->psql('postgres', "CALL _wh.refresh_schema('analytics', true)");
is($rc, 0, 'a second one goes on with the others');
like($err, qr/WARNING:  materialized view "analytics.slow_mv" is already being refreshed/, 'and says so');
sql("SELECT pg_terminate_backend(pid) FROM ($worker) AS w");
poll($warehouse, "SELECT status = 'lost' FROM _wh.extract_runs WHERE table_name = 'analytics.slow_mv' AND status <> 'skipped' ORDER BY run_id DESC LIMIT 1", 'a worker that dies is lost');
$leader->query_until(qr/begun/, "\\echo begun\nCALL _wh.refresh_schema('analytics', true);\n");
poll($warehouse, $at_work, 'again');
sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL _wh.refresh_schema%' AND pid <> pg_backend_pid()");
poll($warehouse, "SELECT NOT EXISTS ($worker)", 'a cancel ends the worker');
$leader->quit;
sql("SET ROLE whadmin; DROP MATERIALIZED VIEW analytics.slow_mv");
$source->safe_psql('postgres', 'DROP VIEW odk_sync.slow');
is(sql("SELECT action, object FROM _wh.sync_bridge('odkx9')"), 'gone|odkx.slow', 'the view is gone');

# ---- a source that hangs, then one that is dead
sql(q{SELECT _wh.alter_bridge('odkx9', '{"connect_timeout": 2}')});
my $postmaster = (split /\n/, slurp_file($source->data_dir . '/postmaster.pid'))[0];
kill 'STOP', $postmaster;
my $begun = time;
is(sql("SET pg_warehouse.connect_timeout = '1s'; SELECT step FROM _wh.verify_bridge('odkx9') WHERE NOT ok"), 'tls',
	'a source that hangs is found out');

# Since 16 postgres_fdw connects without regard to connect_timeout; it is not
# asked to.
fails('a refresh fails', qr/refresh failed for 2 of 2/,
	"SET pg_warehouse.connect_timeout = '1s'; CALL _wh.refresh_schema('analytics')");
is(sql("SELECT string_agg(sqlstate || ' ' || error_category, ', ') FROM (SELECT * FROM _wh.extract_runs WHERE kind = 'bridge' ORDER BY run_id DESC LIMIT 2) AS r"),
	'08001 network, 08001 network', 'each view is told so, after one try');
fails('so does one in a worker', qr/refresh failed for 2 of 2/,
	"SET pg_warehouse.connect_timeout = '1s'; CALL _wh.refresh_schema('analytics', true)");
cmp_ok(time - $begun, '<', 15, 'within the timeouts');
kill 'CONT', $postmaster;
$source->stop('immediate');
is(sql("SELECT step || '|' || detail FROM _wh.verify_bridge('odkx9') WHERE NOT ok"),
	'connect|could not connect to bridge "odkx9": Connection refused (08001)', 'and one that is dead');
is(sql("SELECT count(*) FROM _wh.verify_bridge('odkx9') WHERE step IN ('mapping', 'privileges', 'refresh', 'application') AND ok"), '5',
	'what needs no source is checked all the same');
fails('a refresh fails', qr/refresh failed for 2 of 2/, "CALL _wh.refresh_schema('analytics', true)");
fails('so does a rotation', qr/could not connect to bridge "odkx9"/, "SELECT _wh.rotate_password('odkx9', 'pw-nine')");
is(sql('SELECT count(*) FROM analytics.backend_actions_mv'), '20000', 'readers have the old rows');
is(sql("SELECT DISTINCT sqlstate, error_category FROM _wh.extract_runs WHERE kind = 'bridge' ORDER BY 1 LIMIT 1"), '08001|network', 'the log knows why');
$source->start;
sql("SET ROLE whadmin; CALL _wh.refresh_schema('analytics', true)");
is(sql("SELECT count(*) FROM _wh.v_recent_failures WHERE table_name <> 'analytics.slow_mv'"), '0', 'the next one heals');

# ---- a dump carries the whole bridge, and what is ours stays known as ours
$warehouse->safe_psql('postgres', 'CREATE DATABASE restored');
$warehouse->command_ok([ 'pg_dump', '-f', "$dir/dump.sql", '-d', $warehouse->connstr('postgres') ], 'dumped');
$warehouse->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/dump.sql", '-d', $warehouse->connstr('restored') ],
	'and restored');
is($warehouse->safe_psql('restored', q{SELECT string_agg(step, ' ') FROM _wh.verify_bridge('odkx9') WHERE NOT ok}), '', 'every hop works there');
is($warehouse->safe_psql('restored', q{SELECT string_agg(DISTINCT action, ' ') FROM _wh.create_shim_views('odkx9', '__ODKTABLES__')}), 'exists', 'views are known');
is($warehouse->safe_psql('restored', q{SELECT jsonb_array_length(_wh.drop_bridge('odkx9', drop_data => true) -> 'dropped')}), '7', 'and dropped');
is(sql("SELECT string_agg(step, ' ') FROM _wh.verify_bridge('odkx9') WHERE NOT ok"), '', 'the first one stands');

# ---- another endpoint: the password was not given for it
($rc, $out, $err) = $warehouse->psql('postgres', q{SELECT _wh.alter_bridge('odkx9', '{"host": "127.0.0.1", "sslmode": "require"}')});
like($err, qr/password of bridge "odkx9" was dropped/, 'a changed endpoint drops the password');
is(sql("SELECT count(*) FROM pg_user_mappings WHERE array_to_string(umoptions, ' ') LIKE '%password%'"), '0', 'everywhere');

# ---- no password was written down but in pg_user_mapping
my $log = slurp_file($warehouse->logfile);
my @found = grep { index($log, $_) >= 0 } map { "pw-$_" } qw(zero wrong 1 2 3 4 5 six seven eight nine);
is("@found", '', 'no password in the server log');
is(sql(q{SELECT count(*) FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid
WHERE d.datname = current_database() AND query ~ 'pw-'}), '0', 'nor in pg_stat_statements, but for what the dump had');
is(sql(q{SELECT count(*) FROM _wh.audit_log WHERE action = 'rotate_password'}), '9', 'who changed it is');

done_testing();
