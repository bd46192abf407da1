# A real pg_cron runs what setup_cron schedules, and knows a failure for one.
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
tenant_database($tenant, 'app_a', 36);
tenant_database($tenant, 'app_b', 36);

my $socket = PostgreSQL::Test::Utils::tempdir_short();
my $warehouse = warehouse_node('warehouse', $ca, conf => qq{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.host = '$PostgreSQL::Test::Cluster::test_pghost'
});
$warehouse->safe_psql('postgres', q{CREATE EXTENSION pg_cron; SET client_min_messages = warning; SELECT _wh.setup(preload => false)});
add_tenant($warehouse, 'tenant_a', $tenant, 'app_a', 'tenant-secret');
add_tenant($warehouse, 'tenant_b', $tenant, 'app_b', 'tenant-secret');

# As the owner: jobs are his.
my $as_owner = 'SET ROLE whadmin; ';
my $setup = sub {
	return "SELECT jobname, schedule, action FROM _wh.setup_cron($_[0]) WHERE jobname ~ 'refresh|dispatch' ORDER BY jobname COLLATE \"C\"";
};
my $refresh = 'pg_warehouse:refresh:foodlogstats';
is($warehouse->safe_psql('postgres', $as_owner . "SELECT jobname, action FROM _wh.setup_cron('foodlogstats', dry_run => true) ORDER BY 1"),
	"pg_warehouse:maintenance|create\n$refresh:tenant_a|create\n$refresh:tenant_b|create\npg_warehouse:rollup|create",
	'a dry run says what it would make');
is($warehouse->safe_psql('postgres', 'SELECT (SELECT count(*) FROM cron.job), (SELECT count(*) FROM _wh.jobs)'), '0|0', 'and makes nothing');
is($warehouse->safe_psql('postgres', $as_owner . "SELECT jobname, schedule, command, action FROM _wh.setup_cron('foodlogstats') ORDER BY jobname"),
	"pg_warehouse:maintenance|20 3 * * *|CALL _wh.run_maintenance()|created\n"
	  . "$refresh:tenant_a|10 */4 * * *|CALL _wh.run_refresh('foodlogstats', 'tenant_a')|created\n"
	  . "$refresh:tenant_b|25 */4 * * *|CALL _wh.run_refresh('foodlogstats', 'tenant_b')|created\n"
	  . "pg_warehouse:rollup|0 2 15 2 *|CALL _wh.run_rollup()|created",
	'one job per tenant, staggered, and two of the warehouse');
is($warehouse->safe_psql('postgres', $as_owner . "SELECT DISTINCT action FROM _wh.setup_cron()"), 'unchanged', 'a second run changes nothing');
is($warehouse->safe_psql('postgres', q{SELECT DISTINCT username, database FROM cron.job}), 'whadmin|postgres', 'jobs run as the owner');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM _wh.jobs w JOIN cron.job c USING (jobid, jobname, schedule, command)'), '4', 'their numbers are kept');
$warehouse->safe_psql('postgres', 'UPDATE cron.job SET active = false');
is($warehouse->safe_psql('postgres', "$as_owner SELECT count(*) FROM _wh.v_jobs WHERE NOT active AND expected_by IS NULL"), '4', 'jobs that are switched off are seen');
is($warehouse->safe_psql('postgres', $as_owner . "SELECT DISTINCT action FROM _wh.setup_cron()"), 'changed', 'and mended');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM cron.job WHERE active'), '4', 'without duplicates');
$warehouse->safe_psql('postgres', $as_owner . "SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname ~ 'tenant_a'");
is($warehouse->safe_psql('postgres', $as_owner . 'SELECT jobname FROM _wh.setup_cron() WHERE action = $$created$$'), "$refresh:tenant_a", 'one removed behind our back is made again');

# The jobs of the warehouse keep the hours that its DBA gives them.
$warehouse->safe_psql('postgres', $as_owner . "SELECT cron.schedule('pg_warehouse:maintenance', '5 5 * * *', 'CALL _wh.run_maintenance()')");
is($warehouse->safe_psql('postgres', $as_owner . "SELECT schedule FROM _wh.setup_cron() WHERE jobname ~ 'maintenance'"), '5 5 * * *', 'maintenance stays when the DBA wants it');

my ($rc, $out, $err) = $warehouse->psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats', schedule => '61 * * * *')");
isnt($rc, 0, 'pg_cron refuses a wrong schedule');
like($err, qr/invalid schedule/, 'in its own words');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '4', 'and the jobs stay');

# Hours of a time zone become those of GMT, where five fields can say so.
for (['30 2 * * 1', 'Asia/Kolkata', '0 21 * * 0'], ['15 9-17 * * 1-5', 'Asia/Kathmandu', '30 3-11 * * 1-5'],
	['0,20 8-17 * * *', 'Asia/Kathmandu', '15,35 2-11 * * *'], ['@daily', 'Etc/GMT+5', '0 5 * * *'],
	['0 0-23/2 * * *', 'Etc/GMT-3', '0 1-23/2 * * *'], ['*/20 * * * *', 'America/St_Johns', '10-50/20 * * * *'],
	['7 */6 1,15 * *', 'UTC', '7 */6 1,15 * *'], ['0 6 1 jan *', 'Asia/Tokyo', undef],
	['10,50 12 * * *', 'Asia/Kathmandu', undef], ['0 0,12 * * mon', 'Asia/Tokyo', undef], ['nonsense', 'Asia/Tokyo', undef])
{
	my ($wanted, $zone, $gmt) = @$_;
	($rc, $out, $err) = $warehouse->psql('postgres', $as_owner
		  . "SELECT schedule FROM _wh.setup_cron('foodlogstats', 'tenant_a', '$wanted', time_zone => '$zone') WHERE jobname ~ 'tenant_a'");
	is($out, $gmt, "$wanted of $zone") if defined $gmt;
	like($err, qr/schedule ".*" of time zone $zone cannot be written in GMT/, "$wanted of $zone is refused") if !defined $gmt;
}
is($warehouse->safe_psql('postgres', $as_owner . $setup->("'foodlogstats', 'tenant_a'")), "$refresh:tenant_a|10 */4 * * *|changed", 'one tenant alone keeps its minute');

# A tick that everybody missed is found.
$warehouse->safe_psql('postgres', "UPDATE _wh.jobs SET scheduled_at = now() - interval '9 hours' WHERE tenant_name = 'tenant_b'");
is($warehouse->safe_psql('postgres', q{SET ROLE wh_monitor; SELECT jobname, now() - expected_by > interval '4 hours' FROM _wh.v_jobs WHERE overdue}),
	"$refresh:tenant_b|t", 'a run that did not happen is overdue');

# Names that cannot be told apart by their colons.
for (['x:y', 'z'], ['x', 'y:z'], ['x', '"y:z"'])
{
	my ($template, $tenant) = @$_;
	$warehouse->safe_psql('postgres', "SELECT _wh.add_tenant('$tenant', 'localhost', 'none', 'nobody', schema_name => md5('$tenant')) WHERE NOT EXISTS (SELECT FROM _wh.tenant_connections WHERE tenant_name = '$tenant')");
	$warehouse->safe_psql('postgres', "SELECT _wh.add_template('$template', 'SELECT 1 AS id, {DAY_START} AS at', 'id int, at timestamptz') WHERE NOT EXISTS (SELECT FROM _wh.mv_templates WHERE template_name = '$template')");
}
is($warehouse->safe_psql('postgres', $as_owner . "SELECT count(DISTINCT jobname) FROM _wh.setup_cron('x:y', 'z') WHERE jobname ~ 'refresh'")
	  . $warehouse->safe_psql('postgres', $as_owner . "SELECT action FROM _wh.setup_cron('x', 'y:z') WHERE jobname ~ 'refresh'")
	  . $warehouse->safe_psql('postgres', $as_owner . q{SELECT action FROM _wh.setup_cron('x', '"y:z"') WHERE jobname ~ 'refresh'}),
	'1createdcreated', 'names with colons stay apart');
$warehouse->safe_psql('postgres', $as_owner . "SELECT _wh.drop_tenant(tenant_name) FROM _wh.tenant_connections WHERE host = 'localhost' AND dbname = 'none'");
$warehouse->safe_psql('postgres', $as_owner . "SELECT _wh.drop_template(template_name) FROM _wh.mv_templates WHERE template_name IN ('x', 'x:y')");
is($warehouse->safe_psql('postgres', $as_owner . "SELECT count(*) FROM cron.job"), '4', 'and go with their tenants and templates');

# A rename keeps the schedule.
$warehouse->safe_psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats', 'tenant_b', '3 4 * * *', time_zone => 'Etc/GMT-1')");
$warehouse->safe_psql('postgres', $as_owner . "SELECT _wh.rename_tenant('tenant_b', 'tenant_z')");
is($warehouse->safe_psql('postgres', $as_owner . "SELECT jobname, schedule, command FROM cron.job WHERE jobname ~ 'tenant_[bz]'"),
	"$refresh:tenant_z|18 3 * * *|CALL _wh.run_refresh('foodlogstats', 'tenant_z')", 'a renamed tenant keeps its schedule');
$warehouse->safe_psql('postgres', $as_owner . "SELECT _wh.rename_tenant('tenant_z', 'tenant_b'); SELECT * FROM _wh.setup_cron();");

# Names that differ only after 63 bytes are two jobs.
my $long = 'tenant_' . 'x' x 45;
add_tenant($warehouse, "${long}_1", $tenant, 'app_a', 'tenant-secret');
add_tenant($warehouse, "${long}_2", $tenant, 'app_a', 'tenant-secret');
$warehouse->safe_psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats')");
is($warehouse->safe_psql('postgres', "SELECT count(*), count(DISTINCT jobname) FROM cron.job WHERE jobname ~ 'refresh'"), '4|4', 'long names stay apart');
$warehouse->safe_psql('postgres', $as_owner . "SELECT _wh.drop_tenant('${long}_$_')") for (1, 2);

# Every minute, for real; one tenant cannot be reached.
$warehouse->safe_psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats', 'tenant_a', '* * * * *')");
$warehouse->safe_psql('postgres', "SELECT _wh.alter_tenant('tenant_b', dbname => 'gone')");
$warehouse->safe_psql('postgres', $as_owner . "COPY _wh.tenant_password_entry FROM STDIN;\ntenant_b\ttenant-secret\n\\.\n");
$warehouse->safe_psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats', 'tenant_b', '* * * * *')");
poll($warehouse, q{SELECT count(DISTINCT status) = 2 FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')},
	'both jobs ran');
is($warehouse->safe_psql('postgres', q{SELECT DISTINCT j.jobname, d.status FROM cron.job_run_details d JOIN cron.job j USING (jobid)
	WHERE d.status IN ('succeeded', 'failed') ORDER BY 1}),
	"pg_warehouse:refresh:foodlogstats:tenant_a|succeeded\npg_warehouse:refresh:foodlogstats:tenant_b|failed",
	'one succeeded, one failed');
like($warehouse->safe_psql('postgres', q{SELECT return_message FROM cron.job_run_details WHERE status = 'failed' LIMIT 1}),
	qr/refresh failed for \d of \d units.*v_recent_failures/s, 'with message and hint');
is($warehouse->safe_psql('postgres', q{SELECT count(*) > 0 FROM _wh.extract_runs WHERE tenant_name = 'tenant_b' AND status = 'failed' AND sqlstate = '3D000'}),
	't', 'and the log row is there');

# Ticks that queued up behind a long run come one after the other: the first
# of them is due, the rest are not.
my $jobid = $warehouse->safe_psql('postgres', "SELECT jobid FROM cron.job WHERE jobname ~ 'tenant_a'");
my $as_job = sub {
	my ($minutes_ago) = @_;
	return $warehouse->safe_psql('postgres', qq{
		INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, start_time, end_time)
		VALUES ($jobid, nextval('cron.runid_seq'), 0, 'postgres', 'whadmin', '', 'succeeded', now() - interval '$minutes_ago minutes', now());
		INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, start_time)
		VALUES ($jobid, nextval('cron.runid_seq'), pg_backend_pid(), 'postgres', 'whadmin', '', 'running', now());
		SET application_name = 'pg_cron';
		SET ROLE whadmin;
		CALL _wh.run_refresh('foodlogstats', 'tenant_a');
		SELECT status, error_message, run_finished_at - run_started_at < interval '100 ms' FROM _wh.extract_runs
		WHERE tenant_name = 'tenant_a' ORDER BY run_id DESC LIMIT 1});
};
$warehouse->safe_psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats', 'tenant_a', '0 0 1 1 *'); SELECT * FROM _wh.setup_cron('foodlogstats', 'tenant_b', '0 0 1 1 *')");
$jobid = $warehouse->safe_psql('postgres', "SELECT jobid FROM cron.job WHERE jobname ~ 'tenant_a'");
like($as_job->(1), qr/\Askipped\|this job has already been started since it was last due\|t\z/, 'a replayed tick is skipped at once');
$warehouse->safe_psql('postgres', "DELETE FROM cron.job_run_details WHERE jobid = $jobid");
like($as_job->(60 * 24 * 400), qr/\Aloaded\|/, 'one that is due is not');

# More tenants than jobs that may run at once: one job dispatches them all.
$warehouse->append_conf('postgresql.conf', 'cron.max_running_jobs = 1');
$warehouse->restart;
is($warehouse->safe_psql('postgres', $as_owner . $setup->('')),
	"pg_warehouse:dispatch|10 */4 * * *|created\n$refresh:tenant_a|0 0 1 1 *|removed\n$refresh:tenant_b|15 0 1 1 *|removed",
	'more tenants than slots have one job');
is($warehouse->safe_psql('postgres', "SELECT command FROM cron.job WHERE jobname ~ 'dispatch'"), 'CALL _wh.run_refresh()', 'which refreshes all');
$warehouse->append_conf('postgresql.conf', 'cron.max_running_jobs = 5');
$warehouse->restart;
is($warehouse->safe_psql('postgres', $as_owner . $setup->('')),
	"pg_warehouse:dispatch|10 */4 * * *|removed\n$refresh:tenant_a|10 */4 * * *|created\n$refresh:tenant_b|25 */4 * * *|created",
	'fewer have one each again');

# A job's session is killed in the middle; the server restarts during a job.
tenant_database($tenant, 'app_slow', 36);
$tenant->safe_psql('app_slow', 'CREATE VIEW slow AS SELECT 1 AS id, now() AS at FROM pg_sleep(600); GRANT SELECT ON slow TO PUBLIC');
add_tenant($warehouse, 'tenant_slow', $tenant, 'app_slow', 'tenant-secret');
$warehouse->safe_psql('postgres', "SELECT _wh.add_template('slow', 'SELECT id, at FROM slow WHERE at >= {DAY_START}', 'id int, at timestamptz', tenants => '{tenant_slow}')");
for my $how ('kill', 'restart')
{
	$warehouse->safe_psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('slow', 'tenant_slow', '* * * * *')");
	poll($warehouse, q{SELECT count(*) > 0 FROM _wh.extract_runs WHERE template_name = 'slow' AND status = 'extracting'}, "a job runs ($how)");
	is($warehouse->safe_psql('postgres', q{SELECT last_status, overdue FROM _wh.v_jobs WHERE template_name = 'slow'}), 'running|f', 'v_jobs says so');
	if ($how eq 'kill')
	{
		$warehouse->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_cron'});
		poll($warehouse, q{SELECT count(*) > 0 FROM cron.job_run_details WHERE command ~ 'slow' AND status = 'failed'}, 'pg_cron knows that it was killed');
	}
	else
	{
		$warehouse->restart;
	}
	$warehouse->safe_psql('postgres', $as_owner . "SELECT jobname FROM _wh.remove_cron('slow')");
	poll($warehouse, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pg_cron' OR backend_type = 'pg_warehouse'}, "nothing is left running ($how)", 60);
	$tenant->safe_psql('app_slow', 'CREATE OR REPLACE VIEW slow AS SELECT 1 AS id, now() AS at');
	my ($status, undef, $why) = $warehouse->psql('postgres', $as_owner . "CALL _wh.run_refresh('slow', 'tenant_slow')");
	is($status, 0, "the next run heals it ($how)") or diag($why);
	is($warehouse->safe_psql('postgres', q{SELECT count(*) FROM _wh.extract_runs WHERE template_name = 'slow' AND status IN ('extracting', 'uploaded')}),
		'0', 'and no run stays open');
	$tenant->safe_psql('app_slow', 'CREATE OR REPLACE VIEW slow AS SELECT 1 AS id, now() AS at FROM pg_sleep(600)');
}

like($warehouse->safe_psql('postgres', $as_owner . "SELECT jobname FROM _wh.remove_cron('foodlogstats')"),
	qr/tenant_a\n.*tenant_b/, 'remove_cron names what it removed');
is($warehouse->safe_psql('postgres', 'SELECT jobname FROM cron.job ORDER BY 1'), "pg_warehouse:maintenance\npg_warehouse:rollup", 'the jobs of the warehouse stay');
$warehouse->safe_psql('postgres', $as_owner . 'SELECT * FROM _wh.remove_cron()');
is($warehouse->safe_psql('postgres', 'SELECT (SELECT count(*) FROM cron.job), (SELECT count(*) FROM _wh.jobs)'), '0|0', 'nothing is left');

# pg_cron that is installed and not loaded; one that is a queue of one.
$warehouse->append_conf('postgresql.conf', "cron.use_background_workers = on");
$warehouse->restart;
($rc, $out, $err) = $warehouse->psql('postgres', $as_owner . 'SELECT * FROM _wh.remove_cron()');
like($err, qr/this version of pg_cron runs one job at a time/, 'one job at a time is warned of');
$warehouse->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$warehouse->restart;
($rc, $out, $err) = $warehouse->psql('postgres', $as_owner . 'SELECT * FROM _wh.setup_cron()');
like($err, qr/pg_cron is not loaded by this server.*shared_preload_libraries = 'pg_cron'/s, 'a server that does not load it is told how to');

# An owner that has become a superuser gets no jobs.
$warehouse->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'\ncron.use_background_workers = off");
$warehouse->restart;
$warehouse->safe_psql('postgres', 'ALTER ROLE whadmin SUPERUSER');
($rc, $out, $err) = $warehouse->psql('postgres', 'SELECT * FROM _wh.setup_cron()');
like($err, qr/superuser/, 'a superuser as owner is refused');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'and gets no jobs');

done_testing();
