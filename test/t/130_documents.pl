# The statements of the bridge's, of the sync tracking and of the loan metrics
# document run as they are typed there.
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

my $warehouse = warehouse_node('warehouse', '', conf => q{
log_statement = none
max_worker_processes = 16
});

# Run a file of examples/ at a node; everything that was said.
sub run_file { my ($node, @file) = @_; return run_file_in('postgres', $node, @file) }

sub run_file_in
{
	my ($database, $node, $file, @options) = @_;
	my ($status, $out, $err) = $node->psql($database, undef, extra_params =>
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

# The loan metrics document, small: the dashboard's own server.
my $dashboard = PostgreSQL::Test::Cluster->new('dashboard');
$dashboard->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$dashboard->append_conf('postgresql.conf', "timezone = 'UTC'\nsession_preload_libraries = 'pg_warehouse'\n"
	  . "max_worker_processes = 16\npg_warehouse.key_file = '" . scratch_dir() . "/pg_warehouse.key'\n");
$dashboard->start;

sub on_dashboard { return $dashboard->safe_psql('postgres', $_[0]) }

$source->safe_psql('postgres', 'CREATE DATABASE django_production');
my $today = on_dashboard('SELECT current_date');
my $yesterday = on_dashboard('SELECT current_date - 1');
my @address = ('-v', 'host=127.0.0.1', '-v', 'port=' . $source->port);
run_file_in('django_production', $source, 'hybrid-loan-metrics/source.sql', '-v', 'officers=20', '-v', 'customers=60',
	'-v', 'loans=120', '-v', "today=$today");
run_file($dashboard, 'hybrid-loan-metrics/setup.sql', @address);
run_file($dashboard, 'hybrid-loan-metrics/computed.sql', '-U', 'whadmin');
run_file($dashboard, 'hybrid-loan-metrics/templates.sql', '-U', 'whadmin');
on_dashboard("SET ROLE whadmin; SELECT seedsmetrics.begin_day('$yesterday')");
is(on_dashboard(q{SELECT string_agg(concat_ws(' ', template_name, status, message), E'\n') FROM _wh.wh_refresh() WHERE status <> 'loaded'}), '',
	'every template is loaded');

my $computed = run_file_in('django_production', $source, 'hybrid-loan-metrics/computed_at_source.sql', '-v', "day=$yesterday");
is(join("\n", sort split /\n/, on_dashboard('COPY seedsmetrics.loans_computed TO STDOUT')), join("\n", sort split /\n/, $computed),
	'the computed fields of every loan are those of the source');
like($computed, qr/^\d+\t[1-9]/m, 'and not all of them are in time');

# Followed by hand, in a database of its own; its views and ours are the same.
$dashboard->safe_psql('postgres', 'CREATE DATABASE by_hand OWNER metricsuser');
$dashboard->safe_psql('by_hand', 'CREATE SCHEMA seedsmetrics AUTHORIZATION metricsuser');
$dashboard->command_ok([ 'pg_dump', '-d', $dashboard->connstr('postgres'), '-t', 'seedsmetrics.loans_computed', '-f', $dashboard->basedir . '/computed.sql' ],
	'the computed fields are copied');
$dashboard->safe_psql('by_hand', slurp_file($dashboard->basedir . '/computed.sql'));
run_file_in('by_hand', $dashboard, 'hybrid-loan-metrics/as_written.sql', @address);
my (undef, $refused) = $dashboard->psql('by_hand', undef, extra_params => [ '-f', "$examples/hybrid-loan-metrics/as_written_refused.sql" ]);
is($refused =~ s/\s+/ /gr, '3F000 42883 42703 42P01', 'what PostgreSQL refuses of the document');
run_file_in('by_hand', $dashboard, 'hybrid-loan-metrics/replaced.sql');
foreach ([ 'officers_live', 'officer_id', 'updated_at' ], [ 'customers_live', 'customer_id', '-' ], [ 'loans', 'loan_id', '-' ])
{
	my ($view, $key, $without) = @$_;
	my $rows = on_dashboard("SELECT to_jsonb(v) - '$without' FROM seedsmetrics.$view AS v ORDER BY $key");

	is($rows, $dashboard->safe_psql('by_hand', "SELECT to_jsonb(v) - '$without' FROM $view AS v ORDER BY $key"),
		"$view: by hand and by template, row by row");
	like($rows, qr/\n/, 'and there are rows');
}
run_file($dashboard, 'hybrid-loan-metrics/as_written_dashboard.sql', '-U', 'metricsuser');
run_file($dashboard, 'hybrid-loan-metrics/replaced_warehouse.sql', '-U', 'whadmin');

done_testing();
