# The statements of the loan metrics document run as they are typed there, and
# its system, small, keeps what it says.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $example = "$FindBin::RealBin/../../examples/hybrid-loan-metrics";
my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$source->append_conf('postgresql.conf', q{
listen_addresses = '127.0.0.1'
password_encryption = 'scram-sha-256'
timezone = 'UTC'
});
unlink $source->data_dir . '/pg_hba.conf';
$source->append_conf('pg_hba.conf', q{
local all all trust
host  all all 127.0.0.1/32 scram-sha-256
});
$source->start;

my $dashboard = PostgreSQL::Test::Cluster->new('dashboard');
$dashboard->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$dashboard->append_conf('postgresql.conf', "timezone = 'UTC'\nsession_preload_libraries = 'pg_warehouse'\n"
	  . "log_statement = none\nmax_worker_processes = 16\npg_warehouse.key_file = '" . scratch_dir() . "/pg_warehouse.key'\n");
$dashboard->start;

sub on_dashboard { return $dashboard->safe_psql('postgres', $_[0]) }

# Run a file of the example; everything that was said.
sub run_file
{
	my ($node, $database, $file, @options) = @_;
	my ($status, $out, $err) = $node->psql($database, undef, extra_params => [ @options, '-f', "$example/$file" ], on_error_stop => 1);

	is($status, 0, "$file runs to its end") or diag($err);
	unlike($err, qr/ERROR|WARNING/, 'and says no more than notices');
	return $out;
}

$source->safe_psql('postgres', 'CREATE DATABASE django_production');
my $today = on_dashboard('SELECT current_date');
my $yesterday = on_dashboard('SELECT current_date - 1');
my @address = ('-v', 'host=127.0.0.1', '-v', 'port=' . $source->port);
run_file($source, 'django_production', 'source.sql', '-v', 'officers=20', '-v', 'customers=60',
	'-v', 'loans=120', '-v', "today=$today");
run_file($dashboard, 'postgres', 'setup.sql', @address);
run_file($dashboard, 'postgres', 'computed.sql', '-U', 'whadmin');
run_file($dashboard, 'postgres', 'templates.sql', '-U', 'whadmin');
on_dashboard("SET ROLE whadmin; SELECT seedsmetrics.begin_day('$yesterday')");
is(on_dashboard(q{SELECT string_agg(concat_ws(' ', template_name, status, message), E'\n') FROM _wh.wh_refresh() WHERE status <> 'loaded'}), '',
	'every template is loaded');

my $computed = run_file($source, 'django_production', 'computed_at_source.sql', '-v', "day=$yesterday");
is(join("\n", sort split /\n/, on_dashboard('COPY seedsmetrics.loans_computed TO STDOUT')), join("\n", sort split /\n/, $computed),
	'the computed fields of every loan are those of the source');
like($computed, qr/^\d+\t[1-9]/m, 'and not all of them are in time');

# Metrics of that day, from the synced and the live relations; and what was at
# risk is kept as it was seen.
on_dashboard("SELECT status FROM _wh.wh_refresh(from_date => '$yesterday', to_date => '$yesterday')");
is(on_dashboard("SELECT officer_id, collected FROM seedsmetrics.officer_metrics_daily WHERE metric_date = '$yesterday' AND collected > 0 ORDER BY officer_id::int"),
	$source->safe_psql('django_production', "SELECT agent_id, sum(amount) FROM loans_ajoloanrepayment AS r JOIN loans_ajoloan AS l ON l.id = r.ajo_loan_id"
		. " WHERE paid_date = '$yesterday' GROUP BY 1 ORDER BY 1"), 'what each officer collected');
is(on_dashboard("SELECT sum(collected), sum(par15) FROM seedsmetrics.branch_metrics_daily WHERE metric_date = '$yesterday'"),
	on_dashboard("SELECT sum(collected), sum(par15) FROM seedsmetrics.officer_metrics_daily WHERE metric_date = '$yesterday'"), 'branches are their officers');
my $at_risk = "SELECT loan_id, current_dpd FROM seedsmetrics.par15_snapshots WHERE snapshot_date = '$yesterday' ORDER BY loan_id";
my $seen = on_dashboard($at_risk);
is($seen, on_dashboard('SELECT loan_id, current_dpd FROM seedsmetrics.loans_computed WHERE current_dpd >= 15 ORDER BY loan_id'), 'loans at risk');
my ($loan) = $seen =~ /^(\d+)/;
$source->safe_psql('django_production', "INSERT INTO loans_ajoloanrepayment (ajo_loan_id, amount, paid_date) VALUES ($loan, 250000, '$yesterday')");
is(on_dashboard("SELECT status, rows_inserted FROM _wh.wh_refresh('repayments')"), 'loaded|1', 'a late repayment comes');
is(on_dashboard("SELECT template_name, status FROM _wh.wh_refresh(from_date => '$yesterday', to_date => '$yesterday') WHERE status <> 'loaded'"),
	'par15_snapshots|skipped', 'all but the frozen day is computed again');
is(on_dashboard("SELECT current_dpd, total_outstanding FROM seedsmetrics.loans_computed WHERE loan_id = '$loan'"), '0|0.00', 'which settles its loan');
is(on_dashboard($at_risk), $seen, 'and it was at risk when it was looked at');

# Followed by hand, in a database of its own; its views and ours are the same.
$dashboard->safe_psql('postgres', 'CREATE DATABASE by_hand OWNER metricsuser');
$dashboard->safe_psql('by_hand', 'CREATE SCHEMA seedsmetrics AUTHORIZATION metricsuser');
$dashboard->command_ok([ 'pg_dump', '-d', $dashboard->connstr('postgres'), '-t', 'seedsmetrics.loans_computed', '-f', $dashboard->basedir . '/computed.sql' ],
	'the computed fields are copied');
$dashboard->safe_psql('by_hand', slurp_file($dashboard->basedir . '/computed.sql'));
run_file($dashboard, 'by_hand', 'as_written.sql', @address);
my (undef, $refused) = $dashboard->psql('by_hand', undef, extra_params => [ '-f', "$example/as_written_refused.sql" ]);
is($refused =~ s/\s+/ /gr, '3F000 42883 42703 42P01', 'what PostgreSQL refuses of the document');
run_file($dashboard, 'by_hand', 'replaced.sql');
foreach ([ 'officers_live', 'officer_id', 'updated_at' ], [ 'customers_live', 'customer_id', '-' ], [ 'loans', 'loan_id', '-' ])
{
	my ($view, $key, $without) = @$_;
	my $rows = on_dashboard("SELECT to_jsonb(v) - '$without' FROM seedsmetrics.$view AS v ORDER BY $key");

	is($rows, $dashboard->safe_psql('by_hand', "SELECT to_jsonb(v) - '$without' FROM $view AS v ORDER BY $key"),
		"$view: by hand and by template, row by row");
	like($rows, qr/\n/, 'and there are rows');
}
run_file($dashboard, 'postgres', 'as_written_dashboard.sql', '-U', 'metricsuser');
run_file($dashboard, 'postgres', 'replaced_warehouse.sql', '-U', 'whadmin');

done_testing();
