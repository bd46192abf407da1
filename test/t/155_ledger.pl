# What people look at stays quick over a large ledger: 100 tenants, 10 templates,
# a year of days, a run each.  Time is that of the processor, so that other work
# on the machine counts little; the bounds are wide, the figures are printed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

plan skip_all => 'a ledger of 365,000 rows: WH_LONG is not set' unless $ENV{WH_LONG};

my $node = loopback_node('ledger', conf => "fsync = off\nmax_wal_size = 4GB\nautovacuum = off\n");

# Days without relations: the looks below do not read any.  The exclusion
# constraint is what takes long to fill, and none of them uses it.
$node->safe_psql('postgres', q{
INSERT INTO _wh.tenant_connections (tenant_name, tenant_key, schema_name, host, port, dbname, username, sslmode)
SELECT 'tenant_' || i, 'tenant_' || i, 'tenant_' || i, 'db.example', 5432, 'd', 'u', 'verify-full' FROM generate_series(1, 100) AS i;
SELECT _wh.add_template('template_' || j, 'SELECT 1::bigint AS id, {DAY_START} AS t', 'id bigint, t timestamptz') FROM generate_series(1, 10) AS j;
DO $$ DECLARE c name; BEGIN
	SELECT conname INTO STRICT c FROM pg_constraint WHERE conrelid = '_wh.slices'::regclass AND contype = 'x';
	EXECUTE format('ALTER TABLE _wh.slices DROP CONSTRAINT %I', c);
END $$;
ALTER TABLE _wh.slices DISABLE TRIGGER ALL;
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state,
	row_count, size_bytes, as_of, last_refresh, method, run_id, template_version)
SELECT 'template_' || j, 'tenant_' || i, 'day', d::date, d::date + 1, 'tenant_' || i, 'template_' || j || to_char(d, '_YYYY_MM_DD'), 'loaded',
	1000, 163840, d + interval '30 hours', d + interval '30 hours', 'delta', 1, 1
FROM generate_series(1, 10) AS j, generate_series(1, 100) AS i, generate_series(current_date - 364, current_date, interval '1 day') AS d;
INSERT INTO _wh.extract_runs (kind, template_name, tenant_name, table_name, period_start, status, run_started_at, run_finished_at,
	rows_extracted, rows_loaded, bytes, fetch_ms, load_ms, method)
SELECT 'refresh', 'template_' || j, 'tenant_' || i, 'tenant_' || i || '.template_' || j, d::date,
	CASE WHEN (i * 37 + j + extract(doy FROM d)::integer) % 1000 = 0 THEN 'failed' ELSE 'loaded' END,
	d + interval '5 hours', d + interval '5 hours 1 minute', 1000, 1000, 100000, 10, 20, 'delta'
FROM generate_series(current_date - 364, current_date, interval '1 day') AS d, generate_series(1, 10) AS j, generate_series(1, 100) AS i});
$node->safe_psql('postgres', 'VACUUM ANALYZE');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM _wh.slices), (SELECT count(*) FROM _wh.extract_runs)'), '365000|365000', 'the ledger is there');

# Milliseconds of processor of the second call in a session.
sub cpu_ms
{
	my ($sql) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "SET client_min_messages = log;\nSET log_statement_stats = on;\nSET ROLE wh_monitor;\n$sql;\n$sql;");
	my @found = $err =~ /([\d.]+) s user, ([\d.]+) s system, [\d.]+ s elapsed/g;

	is($status, 0, "the monitor role may: $sql");
	cmp_ok(scalar @found, '>=', 4, 'and its time was taken');
	return 1000 * ($found[-2] + $found[-1]);
}

for (
	[ 'wh_status', 'SELECT * FROM _wh.wh_status()', 300 ],
	[ 'wh_health', 'SELECT _wh.wh_health()', 50 ],
	[ 'v_coverage, 30 days', 'SELECT * FROM _wh.v_coverage WHERE day > current_date - 30', 300 ],
	[ 'v_table_freshness', 'SELECT * FROM _wh.v_table_freshness', 50 ],
	[ 'v_recent_failures', 'SELECT * FROM _wh.v_recent_failures', 50 ],
	[ 'wh_metrics', 'SELECT _wh.wh_metrics()', 500 ],
	[ 'wh_report_html', 'SELECT _wh.wh_report_html()', 5000 ])
{
	my ($name, $sql, $target) = @$_;
	my $ms = cpu_ms($sql);

	diag(sprintf 'measured: %s %.0f ms of processor (target %d ms on a quiet machine)', $name, $ms, $target);
	cmp_ok($ms, '<', 5 * $target, "$name is quick");
}

my $bytes = $node->safe_psql('postgres', 'SELECT octet_length(_wh.wh_report_html())');
diag("measured: the report has $bytes bytes");
cmp_ok($bytes, '<', 2 * 1024 * 1024, 'the report is no larger than 2 MB');

done_testing();
