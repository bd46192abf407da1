# What people watch a warehouse with: examples/monitoring as the monitor role,
# scraped by real exporters, and the report in a real browser.  A tool that is
# not installed is skipped.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $examples = "$FindBin::RealBin/../../examples/monitoring";
my $dir = scratch_dir();
my $node = loopback_node('monitored', conf => "wal_level = replica\nmax_wal_senders = 4\n");
my ($socket, $port) = ($node->host, $node->port);
my $template = '<script>"&\\';

sub query { return $node->safe_psql('postgres', $_[0]) }

sub installed
{
	my ($program) = @_;

	return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub check_plugin
{
	my ($status, $says) = @_;
	my $out = '';

	IPC::Run::run([ "$examples/check_pg_warehouse", '-h', $socket, '-p', $port, '-U', 'wh_monitor', '-d', 'postgres' ], '>', \$out, '2>', \my $err);
	is($? >> 8, $status, "the plug-in exits with $status");
	like($out, $says, 'and says why');

	return;
}

# Start an exporter, read its page until it holds what is looked for, and end it.
sub scrape
{
	my ($wanted, $listen, $environment, @command) = @_;
	my $page = '';

	local %ENV = (%ENV, %$environment);
	my $exporter = IPC::Run::start(\@command, '>', "$dir/exporter.log", '2>&1');
	for (1 .. 300)
	{
		$page = HTTP::Tiny->new(timeout => 5)->get("http://$listen/metrics")->{content} // '';
		last if $page =~ $wanted;
		select undef, undef, undef, 0.2;
	}
	$exporter->kill_kill;
	like($page, $wanted, "$command[0] serves it");

	return $page;
}

loopback_tenant($node, 'shop', 'UTC', q{CREATE TABLE t AS SELECT 1 AS id, timestamptz '2024-01-02 00:00+00' AS at});
check_plugin(0, qr/^WAREHOUSE OK: 0 of 0 ok/);
query(qq{SELECT _wh.add_template('$template', 'SELECT id, {DAY_START} AS at FROM t', 'id integer, at timestamptz', time_column => 'at')});
check_plugin(1, qr/^WAREHOUSE WARNING: 0 of 1 ok, .* 1 never loaded/);
query(qq{SELECT count(*) FROM _wh.wh_refresh('$template', from_date => '2024-01-01', to_date => '2024-01-05')});
check_plugin(0, qr/^WAREHOUSE OK: 1 of 1 ok.*\|ok=1 /);
my $page = $node->safe_psql('postgres', 'SELECT _wh.wh_metrics()', extra_params => [ '-U', 'wh_monitor' ]);
like($page, qr/^# EOF\z/m, 'the metrics end as they must');

# Every query of the dashboard, with what Grafana puts into it.
my $dashboard = decode_json(slurp_file("$examples/dashboard.json"));
my @queries = ((map { [ $_->{title}, $_->{targets}[0]{rawSql} ] } @{ $dashboard->{panels} }), (map { [ "variable $_->{name}", $_->{query} ] } @{ $dashboard->{templating}{list} }));
cmp_ok(scalar @queries, '>', 10, 'the dashboard has queries');
for (@queries)
{
	my ($title, $sql) = @$_;

	$sql =~ s/\$__timeFilter\((\w+)\)/$1 BETWEEN now() - interval '7 days' AND now()/g;
	$sql =~ s/\$__timeGroup\((\w+),'1h'\)/date_trunc('hour', $1)/g;
	$sql =~ s/\$__timeFrom\(\)/'2024-01-01T00:00:00Z'/g;
	$sql =~ s/\$template/SELECT template_name FROM _wh.v_table_freshness/g;
	$sql =~ s/\$tenant/'shop'/g;
	unlike($sql, qr/\$/, "$title: every macro is known");
	my ($status, undef, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'wh_monitor' ]);
	is("$status$err", '0', "$title: the monitor role runs it");
}

SKIP:
{
	skip 'promtool is not installed', 3 unless installed('promtool');

	ok(IPC::Run::run([ 'promtool', 'check', 'metrics' ], '<', \"$page\n", '>', \my $says, '2>&1'), 'promtool accepts the metrics');
	ok(IPC::Run::run([ 'promtool', 'check', 'rules', "$examples/alerts.yml" ], '>', \$says, '2>&1'), 'and the alert rules');
	ok(IPC::Run::run([ 'promtool', 'test', 'rules', "$examples/alerts_test.yml" ], '>', \$says, '2>&1'), 'which say what they should');
}

my $listen = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();

SKIP:
{
	skip 'prometheus-postgres-exporter is not installed', 4 unless installed('prometheus-postgres-exporter');

	my $scraped = scrape(qr/^pg_warehouse_state\{/m, $listen, { DATA_SOURCE_NAME => "host=$socket port=$port user=wh_monitor dbname=postgres sslmode=disable" },
		'prometheus-postgres-exporter', '--disable-default-metrics', '--disable-settings-metrics', "--extend.query-path=$examples/queries.yaml", "--web.listen-address=$listen");
	like($scraped, qr/^pg_warehouse_slices\{[^}]*template="<script>\\"&\\\\"[^}]*\} 5$/m, 'a template with its escaped name');
	like($scraped, qr/^pg_warehouse_runs_last_day\{[^}]*status="loaded"[^}]*\} 5$/m, 'runs by status');

	# Whatever the rules ask for is there, by either road.
	my %asked = map { $_ => 1 } slurp_file("$examples/alerts.yml") =~ /\b(pg_warehouse_\w+)/g;
	is(join(', ', grep { $scraped !~ /^$_\b/m || $page !~ /^$_\b/m } sort keys %asked), '', 'every metric of the alert rules is served');
}

SKIP:
{
	skip 'prometheus-sql-exporter is not installed', 2 unless installed('prometheus-sql-exporter');

	(my $config = slurp_file("$examples/sql_exporter.yml")) =~ s{'postgres://.*'}{'postgres://wh_monitor@/postgres?host=$socket&port=$port&sslmode=disable'};
	append_to_file("$dir/sql_exporter.yml", $config);
	$listen = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
	my $scraped = scrape(qr/^sql_pg_warehouse\{/m, $listen, { CONFIG => "$dir/sql_exporter.yml" },
		'prometheus-sql-exporter', '-config.file', "$dir/sql_exporter.yml", '-web.listen-address', $listen);
	like($scraped, qr/^sql_pg_warehouse\{[^}]*col="slices"[^}]*\} 5$/m, 'a value of a template and tenant');
}

# A standby answers as well, and says what it is.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
sub at_standby { return $standby->safe_psql('postgres', $_[0], extra_params => [ '-U', 'wh_monitor' ]) }

is(at_standby(q{SELECT concat_ws(' ', h ->> 'status', h ->> 'ok', h ->> 'in_recovery', h ->> 'adopted') FROM _wh.wh_health() AS h}), 'ok 1 true true', 'health of a standby');
is(at_standby('SELECT state, slices FROM _wh.wh_status()'), 'ok|5', 'its status');
like(at_standby('SELECT _wh.wh_metrics()'), qr/^pg_warehouse_in_recovery 1$/m, 'its metrics');
like(at_standby('SELECT _wh.wh_report_html()'), qr/<\/html>\s*\z/, 'its report');
$standby->stop;

# A failure, and then the page that tells of it.
query('UPDATE _wh.tenant_connections SET port = 1');
query(qq{SELECT count(*) FROM _wh.wh_refresh('$template', from_date => '2024-01-03', to_date => '2024-01-03')});
check_plugin(2, qr/^WAREHOUSE CRITICAL: 0 of 1 ok, .* 1 failures not mended/);

SKIP:
{
	skip 'chromium is not installed, or WH_LONG is not set', 5 unless $ENV{WH_LONG} && installed('chromium');

	append_to_file("$dir/report.html", $node->safe_psql('postgres', q{SELECT _wh.wh_report_html('2024-01-01', '2024-01-31')}, extra_params => [ '-U', 'wh_monitor' ]));
	my @browser = ('chromium', '--headless', '--no-sandbox', '--disable-gpu', "--user-data-dir=$dir/browser");
	my $report = "file://$dir/report.html";

	ok(IPC::Run::run([ @browser, '--dump-dom', $report ], '>', \my $dom, '2>', "$dir/browser.log"), 'a browser reads the report');
	unlike($dom, qr/<script|<img/, 'no name became an element');
	like($dom, qr/&lt;script&gt;"&amp;\\<\/h3>/, 'but is shown');
	for ([ 'light', '1200,1600', 1 ], [ 'phone-dark', '400,1600', 0 ])
	{
		my ($name, $size, $scheme) = @$_;

		IPC::Run::run([ @browser, '--hide-scrollbars', "--window-size=$size", "--blink-settings=preferredColorScheme=$scheme", "--screenshot=$dir/$name.png", $report ], '>', \my $out, '2>', "$dir/browser.log");
		cmp_ok(-s "$dir/$name.png" // 0, '>', 10000, "and draws it ($name)");
	}
}

done_testing();
