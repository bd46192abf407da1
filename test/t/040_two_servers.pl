# A tenant on a server of its own, over TLS and scram: the way it is meant, and
# each way in which a tenant can fail, which is never more than its own unit.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
my $other = tenant_node('other', $dir, 'tenant-secret');
tenant_database($tenant, 'app_a', 36);
tenant_database($other, 'app_b', 36);

# One attempt each, and nobody left alone: 172_breaker is about these.
my $warehouse = warehouse_node('warehouse', $ca, conf => "pg_warehouse.retry_time = 0\npg_warehouse.breaker_failures = 0\n");
add_tenant($warehouse, 'tenant_a', $tenant, 'app_a', 'tenant-secret');
add_tenant($warehouse, 'tenant_b', $other, 'app_b', 'tenant-secret');

is($warehouse->safe_psql('postgres', refresh_sql('2024-01-01', '2024-01-02')),
	"tenant_a|2024-01-01|loaded|\ntenant_a|2024-01-02|loaded|\ntenant_b|2024-01-01|loaded|\ntenant_b|2024-01-02|loaded|",
	'verify-full and scram');
is($warehouse->safe_psql('postgres', "SELECT step, ok FROM _wh.test_tenant('tenant_a')"),
	"resolve|t\nconnect|t\ntls|t\nauthenticate|t\nread_only|t\nversion|t\nclock|t\nprivileges|t",
	'every hop');

# Wrong password: exactly one try, its own SQLSTATE.
my $logged = -s $tenant->logfile;
$warehouse->safe_psql('postgres', "SET ROLE whadmin; COPY _wh.tenant_password_entry FROM STDIN;\ntenant_a\twrong\n\\.\n");
is($warehouse->safe_psql('postgres', refresh_sql('2024-01-01', '2024-01-01')),
	"tenant_a|2024-01-01|failed|28P01\ntenant_b|2024-01-01|loaded|", 'a wrong password is 28P01');
my @tries = slurp_file($tenant->logfile, $logged) =~ /password authentication failed/g;
is(scalar @tries, 1, 'and was tried once');
is($warehouse->safe_psql('postgres', "SELECT error_category FROM _wh.v_recent_failures"), 'authentication', 'and is told so');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM tenant_a.foodlogstats'), '24', 'old rows stay readable');
$warehouse->safe_psql('postgres', "SET ROLE whadmin; COPY _wh.tenant_password_entry FROM STDIN;\ntenant_a\ttenant-secret\n\\.\n");

# A certificate of another host.
$warehouse->safe_psql('postgres', q{SELECT _wh.alter_tenant('tenant_a', host => '127.0.0.1')});
my ($rc, $out, $err) = $warehouse->psql('postgres', refresh_sql('2024-01-01', '2024-01-01', ", tenant => 'tenant_a'"));
like($out, qr/^tenant_a\|2024-01-01\|failed\|55000$/, 'a password for another endpoint does not open');
$warehouse->safe_psql('postgres', "SET ROLE whadmin; COPY _wh.tenant_password_entry FROM STDIN;\ntenant_a\ttenant-secret\n\\.\n");
is($warehouse->safe_psql('postgres', refresh_sql('2024-01-01', '2024-01-01', ", tenant => 'tenant_a'")),
	'tenant_a|2024-01-01|failed|08001', 'a certificate of another host is refused');
like($warehouse->safe_psql('postgres', "SELECT string_agg(coalesce(error_message, '') || coalesce(error_detail, ''), '') FROM _wh.v_recent_failures"),
	qr/127\.0\.0\.1/, 'with the name that did not match');
$warehouse->safe_psql('postgres', q{SELECT _wh.alter_tenant('tenant_a', host => 'localhost')});
$warehouse->safe_psql('postgres', "SET ROLE whadmin; COPY _wh.tenant_password_entry FROM STDIN;\ntenant_a\ttenant-secret\n\\.\n");

# Missing database.
$warehouse->safe_psql('postgres', q{SELECT _wh.alter_tenant('tenant_a', dbname => 'nowhere')});
$warehouse->safe_psql('postgres', "SET ROLE whadmin; COPY _wh.tenant_password_entry FROM STDIN;\ntenant_a\ttenant-secret\n\\.\n");
is($warehouse->safe_psql('postgres', refresh_sql('2024-01-01', '2024-01-01', ", tenant => 'tenant_a'")),
	'tenant_a|2024-01-01|failed|3D000', 'a missing database is 3D000');
$warehouse->safe_psql('postgres', q{SELECT _wh.alter_tenant('tenant_a', dbname => 'app_a')});
$warehouse->safe_psql('postgres', "SET ROLE whadmin; COPY _wh.tenant_password_entry FROM STDIN;\ntenant_a\ttenant-secret\n\\.\n");

# The tenant's own statement_timeout is its failure, not the user's cancel.
$tenant->safe_psql('app_a', q{
CREATE FUNCTION slow() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(5) IS NOT NULL';
CREATE VIEW slowly AS SELECT * FROM foodlogs WHERE slow();
GRANT SELECT ON slowly TO wh_src;
ALTER ROLE wh_src SET statement_timeout = '300ms'});
$warehouse->safe_psql('postgres', q{
SELECT _wh.alter_template('foodlogstats', query_template =>
    $$SELECT id, logged_time, store, amount FROM foodlogs
      WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END} AND (current_database() = 'app_b' OR pg_sleep(5) IS NOT NULL)$$)});
is($warehouse->safe_psql('postgres', refresh_sql('2024-01-01', '2024-01-01')),
	"tenant_a|2024-01-01|failed|57014\ntenant_b|2024-01-01|loaded|", "a tenant's 57014 fails its unit only");
$tenant->safe_psql('postgres', 'ALTER ROLE wh_src RESET statement_timeout');

# The tenant restarts in the middle of a run over both.
my $session = $warehouse->background_psql('postgres');
$session->query_until(qr/started/, "\\echo started\n" . refresh_sql('2024-01-01', '2024-01-01') . " \\g " . "$dir/restart.out\n");
$tenant->poll_query_until('app_a', "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'wh_src' AND state = 'active' AND query LIKE 'COPY%'")
  or die 'the run did not reach the tenant';
$tenant->restart;
$session->query('SELECT 1');
$session->quit;
like(slurp_file("$dir/restart.out"), qr/^tenant_a\|2024-01-01\|failed\|57P01\ntenant_b\|2024-01-01\|loaded\|$/m,
	"a tenant's 57P01 fails its unit only");
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM tenant_a.foodlogstats_2024_01_01'), '12', 'its rows stay');

# Down altogether, while a job runs over both: its log is committed.
$tenant->stop;
($rc, $out, $err) = $warehouse->psql('postgres', q{CALL _wh.run_refresh('foodlogstats', NULL, '2024-01-01', '2024-01-03')});
isnt($rc, 0, 'the job fails');
like($err, qr/refresh failed for 3 of 6 units/, 'and says of how many');
like($err, qr/HINT:  SELECT \* FROM _wh\.v_recent_failures;/, 'and where to look');
is($warehouse->safe_psql('postgres', q{SELECT tenant_name, count(DISTINCT period_start) FROM _wh.v_recent_failures WHERE sqlstate = '08001' GROUP BY 1}),
	'tenant_a|3', 'the failures are in the log');
is($warehouse->safe_psql('postgres', q{SELECT count(*) FROM _wh.slices WHERE tenant_name = 'tenant_b'}), '3', 'the other tenant went on');
$tenant->start;
$warehouse->safe_psql('postgres', q{
SELECT _wh.alter_template('foodlogstats', query_template =>
    $$SELECT id, logged_time, store, amount FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$)});
is($warehouse->safe_psql('postgres', q{CALL _wh.run_refresh('foodlogstats', NULL, '2024-01-01', '2024-01-03')}), '', 'the next run heals');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM _wh.v_recent_failures'), '0', 'and nothing is left to tell');

# Without pg_cron a schedule says what to install.
($rc, $out, $err) = $warehouse->psql('postgres', q{SELECT * FROM _wh.setup_cron('foodlogstats')});
like($err, qr/pg_cron is not installed in this database.*postgresql-\d+-cron.*shared_preload_libraries/s, 'no pg_cron: the cure');

# In a transaction block a job would commit what is not its own.
($rc, $out, $err) = $warehouse->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; CALL _wh.run_refresh('foodlogstats')");
like($err, qr/2D000/, 'CALL run_refresh inside BEGIN is 2D000');

# A warehouse killed in the middle: the run is lost, the rerun heals.
$warehouse->safe_psql('postgres', q{SELECT _wh.alter_template('foodlogstats', query_template =>
    $$SELECT id, logged_time, store, amount FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END} AND pg_sleep(1) IS NOT NULL$$)});
$session = $warehouse->background_psql('postgres', on_error_stop => 0);
$session->query_until(qr/started/, "\\echo started\nCALL _wh.run_refresh('foodlogstats', 'tenant_a', '2024-01-01', '2024-01-01');\n");
$tenant->poll_query_until('app_a', "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'wh_src' AND state = 'active' AND query LIKE 'COPY%'")
  or die 'the job did not reach the tenant';
$warehouse->stop('immediate');
eval { $session->quit };
$warehouse->start;
is($warehouse->safe_psql('postgres', q{SELECT status FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1}), 'extracting', 'the log tells of it');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM tenant_a.foodlogstats_2024_01_01'), '12', 'the old rows are whole');
$warehouse->safe_psql('postgres', q{SELECT _wh.alter_template('foodlogstats', query_template =>
    $$SELECT id, logged_time, store, amount FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$)});
is($warehouse->safe_psql('postgres', refresh_sql('2024-01-01', '2024-01-01', ", tenant => 'tenant_a'")), 'tenant_a|2024-01-01|loaded|', 'a rerun heals');
is($warehouse->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE status = 'lost'), count(*) FILTER (WHERE status = 'extracting') FROM _wh.extract_runs}),
	'1|0', 'and the dead run is marked lost');

done_testing();
