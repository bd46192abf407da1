# The statements of the bridge's, the sync tracking and the bronze layer document
# run as they are typed there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $examples = "$FindBin::RealBin/../../examples";
my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$source->append_conf('postgresql.conf', q{
listen_addresses = '127.0.0.1'
password_encryption = 'scram-sha-256'
});
unlink $source->data_dir . '/pg_hba.conf';
$source->append_conf('pg_hba.conf', q{
local all all trust
host  all all 127.0.0.1/32 scram-sha-256
});
$source->start;

my $archive = scratch_dir() . '/archive';
mkdir $archive, 0700 or die;
my $warehouse = warehouse_node('warehouse', '', conf => qq{
log_statement = none
max_worker_processes = 16
pg_warehouse.archive_directory = '$archive'
});

# Run a file of examples/ at a node; everything that was said.
sub run_file
{
	my ($node, $file, @options) = @_;
	my ($status, $out, $err) = $node->psql('postgres', undef, extra_params =>
		[ @options, '-f', "$examples/$file" ], on_error_stop => 1);

	is($status, 0, "$file runs to its end") or diag($err);
	unlike($err, qr/ERROR|WARNING/, 'and says no more than notices');
	return $out;
}

run_file($source, 'odkx-fdw-bridge/source.sql');
run_file($source, 'odkx-fdw-bridge/as_written_source.sql');
run_file($warehouse, 'odkx-fdw-bridge/setup.sql', '-v', 'host=127.0.0.1', '-v', 'port=' . $source->port);
is($warehouse->safe_psql('postgres', q{SELECT string_agg(step, ' ') FROM _wh.verify_bridge('odkx9') WHERE NOT ok}), '',
	'the bridge stands');
my $out = run_file($warehouse, 'odkx-fdw-bridge/as_written.sql');
like($out, qr/^5000\n24\n24$/m, 'the counts of the document');
is($warehouse->safe_psql('postgres', q{SELECT string_agg(matviewname, ' ' ORDER BY matviewname) FROM pg_matviews WHERE schemaname = 'analytics'}),
	'backend_actions_mv interaction_log_mv manifest_etags_mv server_prefs_mv table_entry4_mv table_file_info4_mv tablefiles_ref_mv task_lock_mv',
	'the materialized views of the document by their names');
is($warehouse->safe_psql('postgres', q{SET ROLE smartfield_ro; SET search_path = odkx, analytics, public;
SELECT (SELECT COUNT(*) FROM _backend_actions), (SELECT COUNT(*) FROM table_entry4), (SELECT COUNT(*) FROM backend_actions_mv)}),
	'5000|24|5000', 'the application reads them by its search path');

run_file($warehouse, 'sync-tracking/views.sql', '-U', 'whadmin');
$warehouse->safe_psql('postgres', q{
SELECT _wh.complete_sync(_wh.start_sync('main_submissions'), 127, '2025-08-20 15:01:00+00');
SELECT _wh.fail_sync(_wh.start_sync('url_refresh'), 'Network timeout', 'network')});
$out = run_file($warehouse, 'sync-tracking/as_written.sql', '-U', 'wh_monitor');
like($out, qr/^main_submissions\|2025-08-20 .*\|success\|1\|0$/m, 'current sync status');
like($out, qr/^url_refresh\|[^|]+\|error\|\|0$/m, 'recent sync activity');
like($out, qr/^main_submissions\|0\.0+\|127$/m, 'performance analysis');

run_file($source, 'bronze-extract-load/source.sql');
$warehouse->safe_psql('postgres', 'CREATE ROLE grafana_ro LOGIN');
run_file($warehouse, 'bronze-extract-load/setup.sql', '-v', 'host=' . $source->host, '-v', 'port=' . $source->port);
is($warehouse->safe_psql('postgres', q{SELECT string_agg(DISTINCT r.status, ' '), count(*)
FROM unnest('{position_history,trips,alarms,devices,geofences}'::text[]) AS t, _wh.wh_refresh(t, 'tracksolid') AS r}), 'loaded|5', 'five tables are loaded');
run_file($warehouse, 'bronze-extract-load/control.sql', '-U', 'whadmin');
$out = run_file($warehouse, 'bronze-extract-load/as_written.sql', '-U', 'whadmin');
like($out, qr/^40000$/m, 'row-count parity');
is($warehouse->safe_psql('postgres', q{SET ROLE grafana_ro; SELECT string_agg(table_name || ' ' || loads_last_24h, ', ' ORDER BY table_name) FROM dwh_control.v_table_freshness}),
	'alarms 1, devices 1, geofences 1, position_history 1, trips 1', 'freshness, for the reader');
is($warehouse->safe_psql('postgres', q{SET ROLE grafana_ro; SELECT count(*) FROM dwh_control.v_recent_failures}), '0', 'no failure');
is($warehouse->safe_psql('postgres', q{SELECT rows, rows_inserted, rows_unchanged FROM _wh.wh_refresh('position_history', 'tracksolid')}), '40000|0|40000',
	'reseeded by its UPDATE: all is read, nothing is doubled');
is($warehouse->safe_psql('postgres', q{SET ROLE grafana_ro; SELECT count(*), bool_and(rows_loaded_last_run IS NOT NULL) FROM dwh_control.v_watermark_lag}), '3|t', 'the watermarks');

done_testing();
