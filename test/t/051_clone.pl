# Copies of a warehouse: by pg_dump and pg_restore, by pg_dumpall, as a standby
# and promoted.  Each comes back equal, and contacts nobody before it is adopted:
# in the tenant's place stands a listener that counts connections.
use strict;
use warnings;

use Cwd 'abs_path';
use FindBin;
use lib "$FindBin::RealBin/../perl";
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
my $port = $tenant->port;
tenant_database($tenant, 'app_a', 12 * 34);
my $cron = -e $tenant->config_data('--sharedir') . '/extension/pg_cron.control';
my $conf = "max_worker_processes = 16\nlog_statement = none\n"
  . ($cron ? "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\n" : '');
my $warehouse = warehouse_node('warehouse', $ca, conf => $conf . "wal_level = replica\nmax_wal_senders = 4\n");
my $key = abs_path($warehouse->basedir) . '/pg_warehouse.key';
$warehouse->safe_psql('postgres', q{CREATE EXTENSION postgres_fdw;
CREATE ROLE shop_app LOGIN});
$warehouse->safe_psql('postgres', q{CREATE EXTENSION pg_cron; SET client_min_messages = warning; SELECT _wh.setup(preload => false)}) if $cron;
add_tenant($warehouse, 'tenant_a', $tenant, 'app_a', 'tenant-secret');

sub sql { return $warehouse->safe_psql('postgres', $_[0]) }

# Days of both layouts, a month and a year rolled up, a schedule, a bridge with
# a snapshot that was never filled, and an outside service's syncs.
sql(q{SELECT _wh.add_template('unions', query_template, column_definitions, time_column => 'logged_time', options => '{"view_layout": "union"}')
FROM _wh.mv_templates WHERE template_name = 'foodlogstats'});
is(sql(q{SELECT status, count(*) FROM _wh.wh_refresh(from_date => '2024-01-01', to_date => '2024-02-03') GROUP BY 1}), 'loaded|68', 'days');
is(sql(q{SELECT _wh.create_combined_table_from_template_by_month(t, 'tenant_a', '2024-01-01') ->> 'status' FROM unnest(ARRAY['foodlogstats', 'unions']) AS t}),
	"rolled_up\nrolled_up", 'months');
is(sql(q{SELECT _wh.create_combined_table_from_template_by_year('unions', 'tenant_a', 2024, allow_gaps => true) ->> 'status'}), 'rolled_up', 'a year');
is(sql(q{SELECT status, count(*) FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2023-12-31', '2023-12-31') GROUP BY 1}), 'loaded|1', 'and a day without rows');
sql(q{SET ROLE whadmin; SELECT * FROM _wh.setup_cron('foodlogstats')}) if $cron;
sql(qq{SELECT _wh.create_bridge('shop', 'localhost', 'app_a', 'wh_src', $port, app_roles => '{shop_app}')});
sql(q{SELECT _wh.rotate_password('shop', 'tenant-secret')});
sql(q{SET ROLE whadmin; SELECT * FROM _wh.create_snapshot_mvs('shop', 'snapshots')});
sql(q{SELECT _wh.complete_sync(_wh.start_sync('forms'), 12, '2024-02-01 00:00+00'); SELECT _wh.start_sync('forms', expect_within => '10 years')});

# What must be equal: every dumped table, and what people read.
my @tables = split /\n/, sql(q{SELECT oid::regclass FROM pg_class WHERE oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'pg_warehouse') AND relkind = 'r' ORDER BY relname});
cmp_ok(scalar(@tables), '>', 10, 'control tables');
push @tables, 'cron.job' if $cron;

sub contents
{
	my ($node, $database) = @_;

	return join "\n", map { $_ . ': ' . $node->safe_psql($database, "SELECT t FROM $_ AS t ORDER BY t::text") } @tables;
}

my $rolled = q{SELECT 'month', count(*), md5(string_agg(t::text, '' ORDER BY id)) FROM tenant_a.foodlogstats_2024_01 AS t
UNION ALL SELECT 'year', count(*), md5(string_agg(t::text, '' ORDER BY id)) FROM tenant_a.unions_2024 AS t ORDER BY 1};
my $shown = q{SELECT 'expand', count(*), md5(string_agg(t::text, '' ORDER BY id)) FROM public.foodlogstats AS t
UNION ALL SELECT 'union', count(*), md5(string_agg(t::text, '' ORDER BY id)) FROM public.unions AS t ORDER BY 1};
my $links = q{SELECT srvname, usename, umoptions IS NULL AS hidden FROM pg_user_mappings UNION ALL
SELECT foreign_table_schema, foreign_table_name, false FROM information_schema.foreign_tables ORDER BY 1, 2};
my $syncs = q{SELECT sync_type, last_sync_status, last_sync_timestamp, successful_sync_count FROM _wh.sync_status WHERE sync_type = 'forms'};
my $whole = contents($warehouse, 'postgres');
my %before = map { $_ => sql($_) } $rolled, $shown, $links, $syncs;
like($before{$rolled}, qr/^month\|372\|.*\nyear\|408\|/, 'rows of month and year');
is(sql('SELECT * FROM _wh.wh_check()'), '', 'all is well');

my @exclude = ('--exclude-table-data=tenant_a.*_????_??_??');
$warehouse->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/all.dump", $warehouse->connstr('postgres') ], 'pg_dump');
$warehouse->command_ok([ 'pg_dump', '-Fc', @exclude, '-f', "$dir/lean.dump", $warehouse->connstr('postgres') ], 'pg_dump without rows of days');
$warehouse->command_ok([ 'pg_dumpall', '-f', "$dir/cluster.sql", '-d', $warehouse->connstr('postgres') ], 'pg_dumpall');
unlike(slurp_file("$dir/cluster.sql"), qr/tenant_a\ttenant-secret/, 'no tenant\'s password in it');
$warehouse->backup('base');

# In the tenant's place: whoever comes is counted.
$tenant->stop;
my $count = "$dir/connections";
my $listener;

sub listen_instead
{
	append_to_file($count, '');
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 16, ReuseAddr => 1) or die "cannot listen: $!";
	$listener = fork // die "cannot fork: $!";
	return if $listener;
	local $SIG{TERM} = 'DEFAULT';
	while (1)
	{
		my $client = $socket->accept or next;
		append_to_file($count, '.');
		close $client;
	}
}

sub stop_listening
{
	kill 'TERM', $listener if $listener;
	waitpid $listener, 0 if $listener;
	$listener = undef;
}
END { local $?; stop_listening() }
listen_instead();

sub connections { return -s $count }

sub copy_node
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf', "${conf}pg_warehouse.key_file = '$key'\npg_warehouse.sslrootcert = '$ca'\nsession_preload_libraries = 'pg_warehouse'\n");
	$node->start;

	return $node;
}

sub equal
{
	my ($node, $database, $name) = @_;

	is(contents($node, $database), $whole, "$name: control tables are equal to the letter");
	is($node->safe_psql($database, $_), $before{$_}, "$name: equal") for $rolled, $links, $syncs;
	return;
}

sub refused
{
	my ($node, $database, $name, $why) = @_;
	my (undef, $out) = $node->psql($database, q{SELECT DISTINCT status, sqlstate FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-02-01', '2024-02-03')});
	is($out, 'failed|55000', "$name: wh_refresh is refused") if $why =~ /adopted/;
	my %calls = (
		'REFRESH' => 'REFRESH MATERIALIZED VIEW tenant_a.foodlogstats_2024_02_01',
		'run_refresh' => q{CALL _wh.run_refresh('foodlogstats', 'tenant_a', '2024-02-01', '2024-02-01')},
		'add_template' => q{SELECT _wh.add_template('more', 'SELECT id FROM foodlogs WHERE logged_time >= {DAY_START}')},
		'rotate_password' => q{SELECT _wh.rotate_password('tenant_a', 'tenant-secret')},
		'rotate_password of a bridge' => q{SELECT _wh.rotate_password('shop', 'tenant-secret')},
		'sync_bridge' => q{SELECT * FROM _wh.sync_bridge('shop')},
		'refresh_schema' => q{CALL _wh.refresh_schema('snapshots')});
	foreach my $call (sort keys %calls)
	{
		my ($rc, undef, $err) = $node->psql($database, $calls{$call});
		isnt($rc, 0, "$name: $call is refused");
		like($err, $why, "$name: $call says why");
	}
	$node->psql($database, $_)
	  for q{SELECT * FROM _wh.test_tenant()}, q{SELECT * FROM _wh.drift()}, q{SELECT * FROM _wh.verify_bridge('shop')},
	  q{SELECT * FROM _wh.reconcile('foodlogstats', 'tenant_a', '2024-02-01', '2024-02-02')},
	  q{SELECT _wh.rebuild_entire_warehouse(lost_only => true)}, q{SELECT _wh.update_mv_by_template('foodlogstats', 'tenant_a', '2024-02-01')};
	is(connections(), 0, "$name: nobody was contacted");
	return;
}

# pg_restore -1: whatever asks for a REFRESH of a day dies there.
my $dumped = copy_node('dumped');
$dumped->safe_psql('postgres', 'CREATE ROLE whadmin LOGIN; CREATE ROLE phood_ro LOGIN; CREATE ROLE wh_monitor LOGIN; GRANT pg_read_all_stats TO wh_monitor; CREATE ROLE shop_app LOGIN');
my @restore = ('pg_restore', '-1', '-d');
my $database = 'postgres';
$dumped->command_checks_all([ @restore, $dumped->connstr($database), "$dir/all.dump" ], 1, [], [ qr/not adopted/ ], 'pg_restore -1 dies on the first REFRESH');
is($dumped->safe_psql($database, q{SELECT to_regnamespace('_wh') IS NULL}), 't', 'and leaves nothing behind');

# A list without the rows of materialized views.
my ($list) = run_command([ 'pg_restore', '-l', "$dir/all.dump" ]);
my @days = $list =~ /^\d+; .* MATERIALIZED VIEW DATA .*$/mg;
cmp_ok(scalar(@days), '==', 4, 'entries of MATERIALIZED VIEW DATA');
$list =~ s/^(?=.* MATERIALIZED VIEW DATA )/;/mg;
append_to_file("$dir/list", $list);
$dumped->command_ok([ @restore, $dumped->connstr($database), '-L', "$dir/list", "$dir/all.dump" ], 'pg_restore -1 -L without them');
equal($dumped, $database, 'list file');
is(connections(), 0, 'and contacts nobody');
is($dumped->safe_psql($database, q{SELECT string_agg(subject, ' ' ORDER BY subject) FROM _wh.wh_check(false) WHERE invariant = 'populated'}),
	'tenant_a.foodlogstats_2023_12_31 tenant_a.foodlogstats_2024_02_01 tenant_a.foodlogstats_2024_02_02 tenant_a.foodlogstats_2024_02_03',
	'wh_check() lists the days');
refused($dumped, $database, 'restored', qr/not adopted/);
$dumped->stop;

# pg_dump --exclude-table-data.
my $lean = copy_node('lean');
$lean->safe_psql('postgres', 'CREATE ROLE whadmin LOGIN; CREATE ROLE phood_ro LOGIN; CREATE ROLE wh_monitor LOGIN; GRANT pg_read_all_stats TO wh_monitor; CREATE ROLE shop_app LOGIN');
$lean->command_ok([ @restore, $lean->connstr('postgres'), "$dir/lean.dump" ], 'pg_restore -1 of a dump with --exclude-table-data');
equal($lean, 'postgres', '--exclude-table-data');
is($lean->safe_psql('postgres', 'SELECT count(*) FROM public.foodlogstats'), '372', 'what is rolled up can be read');
$lean->safe_psql('postgres', 'SELECT _wh.setup(preload => false)');
refused($lean, 'postgres', 'set up again', qr/not adopted/);
$lean->safe_psql('postgres', 'SELECT _wh.adopt_instance()');
is($lean->safe_psql('postgres', 'SELECT count(*) FROM public.unions'), '408', 'adopting makes the union views whole');
is(connections(), 0, 'without asking anybody');

# It is adopted: one call brings the days back, and only these.
stop_listening();
$tenant->start;
is($lean->safe_psql('postgres', q{SELECT r ->> 'units', r ->> 'loaded' FROM _wh.rebuild_entire_warehouse(lost_only => true, dry_run => true) AS r}), '4|0', 'a dry run counts them');
is($lean->safe_psql('postgres', q{SELECT r ->> 'units', r ->> 'loaded' FROM _wh.rebuild_entire_warehouse(lost_only => true) AS r}), '4|4', 'one call brings them back');
is($lean->safe_psql('postgres', 'SELECT * FROM _wh.wh_check()'), '', 'nothing is lost');
is($lean->safe_psql('postgres', $shown), $before{$shown}, 'what people read is equal');
is($lean->safe_psql('postgres', q{SELECT r ->> 'units' FROM _wh.rebuild_entire_warehouse(lost_only => true) AS r}), '0', 'a second call has nothing to do');
$lean->stop;
$tenant->stop;
listen_instead();

# pg_dumpall, as psql runs it: refused REFRESHes, and everything else.
my $cluster = copy_node('cluster');
$cluster->command_checks_all([ 'psql', '-X', '-q', '-f', "$dir/cluster.sql", $cluster->connstr('postgres') ], 0, [], [ qr/not adopted/ ], 'a restore of pg_dumpall');
equal($cluster, 'postgres', 'pg_dumpall');
refused($cluster, 'postgres', 'pg_dumpall', qr/not adopted/);
$cluster->stop;

# A standby: people read, the status is told, and what writes says why not.
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($warehouse, 'base', has_streaming => 1);
$standby->start;
$warehouse->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $shown), $before{$shown}, 'a standby reads both layouts');
equal($standby, 'postgres', 'standby');
$standby->safe_psql('postgres', "SELECT * FROM $_")
  for '_wh.wh_status()', '_wh.v_coverage', '_wh.v_table_freshness', '_wh.v_recent_failures', '_wh.sync_status', '_wh.sync_history',
  '_wh.v_storage', '_wh.v_progress', '_wh.wh_statistics()', '_wh.wh_lock_budget()', '_wh.wh_doctor()',
  '_wh.template_sql()', "_wh.wh_plan('foodlogstats', 'tenant_a', '2024-02-01', '2024-02-01')";
is($standby->safe_psql('postgres', 'SELECT * FROM _wh.wh_check()'), '', 'wh_check() reads there, too');
refused($standby, 'postgres', 'standby', qr/during recovery|read-only transaction/);
foreach my $call ('adopt_instance()', 'setup()', "alter_tenant('tenant_a', port => 1)", 'detach_all()', "start_sync('other')", "drop_tenant('tenant_a')",
	"create_combined_table_from_template_by_month('foodlogstats', 'tenant_a', '2024-02-01')")
{
	my ($rc, $out, $err) = $standby->psql('postgres', "SELECT _wh.$call");
	like("$out$err", qr/recovery|read-only transaction/, "standby: $call says why not");
}

# Promoted, it is another instance until somebody says so.
$warehouse->stop;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
refused($standby, 'postgres', 'promoted', qr/not adopted/);
$standby->safe_psql('postgres', 'SELECT _wh.adopt_instance()');
stop_listening();
$tenant->start;
is($standby->safe_psql('postgres', q{SELECT DISTINCT status FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-02-01', '2024-02-03')}), 'loaded', 'adopted, it works');

# The listener counts: an adopted copy would have been seen.
$tenant->stop;
listen_instead();
$standby->psql('postgres', q{SELECT * FROM _wh.wh_refresh('foodlogstats', 'tenant_a', '2024-02-01', '2024-02-01')});
cmp_ok(connections(), '>', 0, 'the listener counts whoever comes');

done_testing();
