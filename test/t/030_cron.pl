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
my $jobs = "SELECT jobname, schedule, command, action FROM _wh.setup_cron('foodlogstats') ORDER BY jobname";
my $as_owner = 'SET ROLE whadmin; ';
is($warehouse->safe_psql('postgres', $as_owner . "SELECT jobname, action FROM _wh.setup_cron('foodlogstats', dry_run => true) ORDER BY 1"),
	"pg_warehouse:refresh:foodlogstats:tenant_a|create\npg_warehouse:refresh:foodlogstats:tenant_b|create",
	'a dry run says what it would make');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'and makes nothing');
is($warehouse->safe_psql('postgres', $as_owner . $jobs),
	"pg_warehouse:refresh:foodlogstats:tenant_a|10 */4 * * *|CALL _wh.run_refresh('foodlogstats', 'tenant_a')|created\n"
	  . "pg_warehouse:refresh:foodlogstats:tenant_b|25 */4 * * *|CALL _wh.run_refresh('foodlogstats', 'tenant_b')|created",
	'one job per tenant, staggered');
like($warehouse->safe_psql('postgres', $as_owner . $jobs), qr/\A.*unchanged\n.*unchanged\z/, 'a second run changes nothing');
is($warehouse->safe_psql('postgres', q{SELECT DISTINCT username, database FROM cron.job}), 'whadmin|postgres', 'jobs run as the owner');
$warehouse->safe_psql('postgres', 'UPDATE cron.job SET active = false');
like($warehouse->safe_psql('postgres', $as_owner . $jobs), qr/\A.*changed\n.*changed\z/, 'an inactive job is mended');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM cron.job WHERE active'), '2', 'without duplicates');

my ($rc, $out, $err) = $warehouse->psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats', schedule => '61 * * * *')");
isnt($rc, 0, 'pg_cron refuses a wrong schedule');
like($err, qr/invalid schedule/, 'in its own words');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '2', 'and the jobs stay');

# Names that differ only after 63 bytes are two jobs.
my $long = 'tenant_' . 'x' x 45;
add_tenant($warehouse, "${long}_1", $tenant, 'app_a', 'tenant-secret');
add_tenant($warehouse, "${long}_2", $tenant, 'app_a', 'tenant-secret');
$warehouse->safe_psql('postgres', $as_owner . "SELECT * FROM _wh.setup_cron('foodlogstats')");
is($warehouse->safe_psql('postgres', 'SELECT count(*), count(DISTINCT jobname) FROM cron.job'), '4|4', 'long names stay apart');
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

like($warehouse->safe_psql('postgres', $as_owner . "SELECT jobname FROM _wh.remove_cron('foodlogstats')"),
	qr/tenant_a\n.*tenant_b/, 'remove_cron names what it removed');
is($warehouse->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), '0', 'nothing is left');

done_testing();
