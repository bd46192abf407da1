# Slices come and go all the time, readers ask all the time with plans that are
# kept, and every total is right.  Two days become a month's table and back,
# each in one transaction; a tenant comes with rows that add up to nothing, and
# goes again, by the extension's own functions; an empty day blinks.  WH_CHURN_SECONDS makes it last.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $seconds = $ENV{WH_CHURN_SECONDS} // 8;
my $node = loopback_node('warehouse', conf => "pg_warehouse.max_workers = 0\nmax_prepared_transactions = 0\ndeadlock_timeout = 5s\n");
my $rows = q{
CREATE TABLE src AS SELECT row_number() OVER (ORDER BY t) AS id, t, AMOUNT AS amount
FROM generate_series(timestamptz '2024-04-10 00:00+00', '2024-06-20', '1 hour') AS t};

loopback_tenant($node, 'one', 'UTC', $rows =~ s/AMOUNT/1.25/r);
loopback_tenant($node, 'two', 'UTC', $rows =~ s/AMOUNT/2.5/r);
loopback_tenant($node, 'guest', 'UTC', $rows =~ s/AMOUNT/(row_number() OVER (ORDER BY t) % 2) * 2 - 1/r);
$node->safe_psql('postgres', q{
SELECT _wh.add_template('churn', 'SELECT id, t, amount FROM src WHERE t >= {DAY_START} AND t < {DAY_END}',
    'id bigint, t timestamptz, amount numeric(10,2)', 'CREATE INDEX {view_name}_t ON {schema}.{view_name} (t)', time_column => 't');
SELECT _wh.drop_tenant('guest')});
$node->safe_psql('postgres', "CALL _wh.run_refresh('churn', NULL, '$_', '$_')") foreach '2024-04-15', '2024-05-10', '2024-05-20', '2024-06-15';

# 8 slices, 192 rows; in May 96 of them.
is($node->safe_psql('postgres', 'SELECT count(*), sum(amount) FROM public.churn'), '192|360.00', 'before');

my $dir = scratch_dir();
my $month = "$dir/month.copy";
$node->safe_psql('postgres', "COPY (SELECT id, t, amount FROM one.churn WHERE t >= '2024-05-01' AND t < '2024-06-01') TO '$month'");

sub script
{
	my ($name, $sql) = @_;

	append_to_file("$dir/$name.sql", $sql);
	return "$dir/$name.sql";
}

# Loaded rows are frozen by either road, as the product's are: a reader whose
# snapshot is older than the change has its total as well.
my @writers = (
	script('compact', qq{
BEGIN;
CREATE TABLE one.churn_2024_05 (id bigint, t timestamptz, amount numeric(10,2));
COPY one.churn_2024_05 FROM '$month' (FREEZE);
CREATE INDEX churn_2024_05_t ON one.churn_2024_05 (t);
ALTER TABLE one.churn_2024_05 OWNER TO whadmin;
DELETE FROM _wh.slices WHERE tenant_name = 'one' AND period_start IN ('2024-05-10', '2024-05-20');
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state,
    row_count, bounds_of, lower_bound, upper_bound)
SELECT 'churn', 'one', 'month', '2024-05-01', '2024-06-01', 'one', 'churn_2024_05', 'rolled_up', 48, bounds_of, '2024-05-01 00:00+00', '2024-06-01 00:00+00'
FROM _wh.slices WHERE tenant_name = 'one' AND period_start = '2024-04-15';
DROP MATERIALIZED VIEW one.churn_2024_05_10, one.churn_2024_05_20;
COMMIT;
BEGIN;
DELETE FROM _wh.slices WHERE tenant_name = 'one' AND period_kind = 'month';
SELECT 1 / (count(*) = 1)::integer FROM _wh.wh_refresh('churn', 'one', '2024-05-10', '2024-05-10') WHERE status = 'loaded';
SELECT 1 / (count(*) = 1)::integer FROM _wh.wh_refresh('churn', 'one', '2024-05-20', '2024-05-20') WHERE status = 'loaded';
DROP TABLE one.churn_2024_05;
COMMIT;
}),
	script('guest', qq{
SELECT _wh.add_tenant('guest', '@{[ $node->host ]}', 'src_guest', 'wh_src', @{[ $node->port ]}, sslmode => 'disable', auth_method => 'trusted');
SELECT 1 / (count(*) = 1)::integer FROM _wh.wh_refresh('churn', 'guest', '2024-05-15', '2024-05-15') WHERE status = 'loaded';
SELECT 1 / (count(*) = 1)::integer FROM _wh.wh_refresh('churn', 'guest', '2024-05-16', '2024-05-16') WHERE status = 'loaded';
SELECT _wh.drop_tenant('guest', drop_data => true);
}),
	script('blink', qq{
BEGIN;
CREATE MATERIALIZED VIEW two.churn_2024_05_11 AS SELECT 0::bigint AS id, NULL::timestamptz AS t, 0::numeric(10,2) AS amount WHERE false;
ALTER MATERIALIZED VIEW two.churn_2024_05_11 OWNER TO whadmin;
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state, bounds_of, lower_bound, upper_bound)
SELECT 'churn', 'two', 'day', '2024-05-11', '2024-05-12', 'two', 'churn_2024_05_11', 'loaded', bounds_of, '2024-05-11 00:00+00', '2024-05-12 00:00+00'
FROM _wh.slices WHERE tenant_name = 'two' AND period_start = '2024-04-15';
COMMIT;
BEGIN;
DELETE FROM _wh.slices WHERE tenant_name = 'two' AND period_start = '2024-05-11';
DROP MATERIALIZED VIEW two.churn_2024_05_11;
COMMIT;
}));

my $mine = q{count(*) FILTER (WHERE schema_name <> 'guest')};
my @readers = (
	script('constant', qq{
SELECT 1 / ($mine = 192 AND sum(amount) = 360)::integer FROM public.churn;
SELECT 1 / ($mine = 96 AND sum(amount) = 180)::integer FROM public.churn WHERE t >= '2024-05-01 00:00+00' AND t < '2024-06-01 00:00+00';
SELECT 1 / (count(*) = 48 AND sum(amount) = 60)::integer FROM one.churn WHERE date_trunc('month', t) = '2024-05-01';
SELECT 1 / (count(*) = 0)::integer FROM public.churn WHERE t >= '2024-05-11 00:00+00' AND t < '2024-05-15 00:00+00';
}),
	script('parameter', qq{
\\set day random(0, 2)
\\set start 10 * :day
SELECT 1 / (count(*) = (ARRAY[0, 24, 24])[1 + :day::integer] AND coalesce(sum(amount), 0) = (ARRAY[0, 30, 30])[1 + :day::integer])::integer
FROM public.churn WHERE schema_name = 'one' AND t >= timestamptz '2024-05-01 00:00+00' + :start::integer * interval '24 hours' - interval '24 hours'
    AND t < timestamptz '2024-05-01 00:00+00' + :start::integer * interval '24 hours';
}),
	script('moving', qq{
SELECT 1 / ($mine = 192 AND sum(amount) = 360)::integer FROM public.churn WHERE t < now() - interval '1 hour';
SELECT 1 / (count(*) = 72 AND sum(amount) = 90)::integer FROM public.churn WHERE schema_name = 'one' AND t < now() AND t >= '2024-05-01 00:00+00';
SELECT 1 / (count(*) = 0)::integer FROM public.churn WHERE t >= now() - interval '1 hour';
}));

# Everybody at once; a failed division is a wrong total.
my @running;
foreach my $client ((map { [ $_, 'simple', 1 ] } @writers), (map { [ $_, 'prepared', 1 ] } @readers), [ $readers[0], 'simple', 1 ], [ $readers[2], 'extended', 1 ])
{
	my ($file, $protocol, $number) = @$client;
	my ($out, $err) = ('', '');

	push @running, { file => $file, protocol => $protocol, out => \$out, err => \$err, handle =>
		IPC::Run::start([ 'pgbench', '-n', '-M', $protocol, '-T', $seconds, '-c', $number, '-f', $file,
			'-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres' ], '>', \$out, '2>', \$err, IPC::Run::timeout($seconds + 180)) };
}
my ($asked, $changed) = (0, 0);
my %changes = (compact => 2, guest => 3, blink => 2);
foreach my $client (@running)
{
	my ($name) = $client->{file} =~ m{(\w+)\.sql$};
	my $ended = IPC::Run::finish($client->{handle});
	my ($done) = ${ $client->{out} } =~ /transactions actually processed: (\d+)/;

	ok($ended && $done, "$name, $client->{protocol}: no error, no wrong total");
	diag(${ $client->{err} }) unless $ended && $done;
	cmp_ok($done // 0, '>=', $seconds / 2, "$name, $client->{protocol}: and it was busy");
	$asked += $done // 0 unless $changes{$name};
	$changed += $changes{$name} * ($done // 0) if $changes{$name};
}
note("measured: $asked scripts of readers while slices came or went $changed times in $seconds s");
is($node->safe_psql('postgres', 'SELECT count(*), sum(amount) FROM public.churn'), '192|360.00', 'after');
# The views of a tenant that goes that very moment can be missed.
is($node->safe_psql('postgres', q{SELECT DISTINCT status, error_message, error_detail FROM _wh.extract_runs WHERE status <> 'loaded' AND tenant_name IS DISTINCT FROM 'guest'}), '', 'no run failed');

done_testing();
