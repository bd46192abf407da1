# Ten dead tenants among two hundred: how much later the others are done, and
# what an unchanged day costs beside what its tenant does.  WH_LONG: as long as
# the figure asks for; WH_DEAD_DAYS=n: n days of each template.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use HostileServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WarehouseTest;

my $days = $ENV{WH_DEAD_DAYS} // ($ENV{WH_LONG} ? 20 : 0);

plan skip_all => 'takes 15 minutes: WH_LONG=1' if !$days;

my $templates = 5;
my $node = loopback_node('warehouse', conf => "log_min_messages = fatal\nmax_locks_per_transaction = 256\n");
my $socket = $node->host;
my $port = $node->port;

sub query { return $node->safe_psql('postgres', $_[0]) }

$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', q{
CREATE TABLE t AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' AS at FROM generate_series(0, 2399) AS i;
CREATE INDEX ON t (at);
GRANT SELECT ON t TO wh_src});

# 190 live ones, then 5 that refuse and 5 that never answer, spread among them.
my @holes = map { HostileServer->silent } 1 .. 5;
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
my %dead = map { $_ * 20 => $_ <= 5 ? $closed : $holes[ $_ - 6 ]->port } 1 .. 10;

query(join ";\n", map {
	my $name = sprintf 't%03d', $_;

	$dead{$_}
	  ? "SELECT _wh.add_tenant('$name', '127.0.0.1', 'source', 'wh_src', $dead{$_}, sslmode => 'disable', auth_method => 'trusted', description => 'dead')"
	  : "SELECT _wh.add_tenant('$name', '$socket', 'source', 'wh_src', $port, sslmode => 'disable', auth_method => 'trusted')"
} 1 .. 200);

# A tenant takes its time over each day.
query(qq{SELECT _wh.add_template('d' || i, 'SELECT id, at FROM t, pg_sleep(0.05) WHERE at >= {DAY_START} AND at < {DAY_END}',
	'id integer, at timestamptz', time_column => 'at') FROM generate_series(1, $templates) AS i});

sub enable { query("SET client_min_messages = error; SELECT count(_wh.alter_tenant(tenant_name, enabled => $_[0])) FROM _wh.tenant_connections WHERE description = 'dead'"); return }

# Refresh everything; when was the last live one done, in seconds?
sub run_all
{
	my $since = query('SELECT coalesce(max(run_id), 0) FROM _wh.extract_runs');
	my $start = time;

	$node->psql('postgres', "SET pg_warehouse.connect_timeout = '10s'; CALL _wh.run_refresh(NULL, NULL, '2024-01-01', date '2024-01-01' + $days - 1)");

	my ($loaded, $live, $all) = split /\|/, query("SELECT count(*) FILTER (WHERE status = 'loaded'),
		max(run_finished_at) FILTER (WHERE c.description IS NULL) - min(run_started_at), max(run_finished_at) - min(run_started_at)
		FROM (SELECT status, tenant_name, extract(epoch FROM run_started_at) AS run_started_at, extract(epoch FROM run_finished_at) AS run_finished_at
			FROM _wh.extract_runs WHERE run_id > $since) AS r JOIN _wh.tenant_connections AS c USING (tenant_name)");

	is($loaded, 190 * $templates * $days, 'every live unit is loaded');

	return ($live, $all, time - $start);
}

enable('false');
run_all();
my ($alone) = run_all();
enable('true');
is(query('SELECT count(*) FROM _wh.v_breakers'), '0', 'breakers are closed at the start');
my ($beside, $all) = run_all();
my $ratio = $beside / $alone;

is(query(q{SELECT count(*) FROM _wh.v_breakers WHERE state <> 'closed'}), '10', 'and ten are not at the end');
printf "# measured: %d units of 190 tenants: %.1f s without and %.1f s beside 10 dead ones (%.2f times); all over after %.1f s\n",
  190 * $templates * $days, $alone, $beside, $ratio, $all;
printf "# measured: attempts at dead tenants: %s\n", query(q{SELECT string_agg(status || ' ' || n, ', ' ORDER BY status) FROM (SELECT status, count(*) AS n
	FROM _wh.extract_runs JOIN _wh.tenant_connections USING (tenant_name) WHERE description = 'dead' GROUP BY 1) AS s});
cmp_ok($ratio, '<=', 1.3, 'the live ones are done in time') if $ENV{WH_LONG};

# What a unit costs here: a day without rows that has not changed, less the time
# in which its tenant was read.
query(q{SELECT _wh.add_template('empty', 'SELECT id, at FROM t WHERE at >= {DAY_START} AND at < {DAY_END} AND id < 0',
	'id integer, at timestamptz', time_column => 'at', tenants => '{t001}')});
foreach my $round (1 .. 3)
{
	my $since = query('SELECT coalesce(max(run_id), 0) FROM _wh.extract_runs');

	$node->safe_psql('postgres', "SET pg_warehouse.max_workers = 0; CALL _wh.run_refresh('empty', 't001', '2024-01-01', '2024-04-09')");
	next if $round == 1;
	printf "# measured: an empty unchanged day: %s ms in all, %s ms of them beside reading\n", split /\|/, query("
		SELECT round((extract(epoch FROM max(run_finished_at) - min(run_started_at)) * 1000 / count(*))::numeric, 2),
		round((extract(epoch FROM max(run_finished_at) - min(run_started_at)) * 1000 / count(*) - sum(fetch_ms) / count(*))::numeric, 2)
		FROM _wh.extract_runs WHERE run_id > $since AND status = 'loaded'");
}

done_testing();
