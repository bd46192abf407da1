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
