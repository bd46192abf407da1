# Connections: how many round trips a fetch costs, and when a connection is
# used again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use HostileServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $dir = scratch_dir();
my $ca = make_ca($dir);
my $tenant = tenant_node('tenant', $dir, 'tenant-secret');
my $warehouse = warehouse_node('warehouse', $ca);

tenant_database($tenant, 'app', 120);
$tenant->safe_psql('app', q{
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE wide AS SELECT i AS id, date '2024-01-01' + i % 10 AS day, 'word ' || i AS word, i / 3.0 AS amount, 'sad'::mood AS mood
FROM generate_series(1, 100000) AS i;
GRANT SELECT ON wide TO wh_src});
$tenant->append_conf('pg_hba.conf', "host all all 127.0.0.1/32 trust\n");
$tenant->reload;

# Without TLS and without a password, the rest is what we ask.
my $file = "$dir/turns";
my $proxy = HostileServer->counting_proxy($tenant->port, $file);
$warehouse->safe_psql('postgres', qq{
SELECT _wh.add_tenant('near', '127.0.0.1', 'app', 'wh_src', ${\ $proxy->port}, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('wide', \$\$SELECT id, day, word, amount FROM wide WHERE day = '{TARGET_DATE}'\$\$,
	'id int, day date, word text, amount numeric', time_column => 'day', tenants => '{near}');
SELECT _wh.add_template('moods', \$\$SELECT id, mood FROM wide WHERE day = '{TARGET_DATE}'\$\$, 'id int, mood text', tenants => '{near}')});

# Round trips of a query, by connection in order of their beginning.
sub turns
{
	my ($query, $expected) = @_;
	my %turns;

	unlink $file;
	is($warehouse->safe_psql('postgres', $query), $expected, $query);
	$turns{$_}++ for split /\n/, slurp_file($file);

	return map { $turns{$_} } sort { $a <=> $b } keys %turns;
}

my @turns = turns("SELECT status, rows FROM _wh.wh_refresh('wide', 'near', '2024-01-01', '2024-01-01')", 'loaded|10000');
is(scalar @turns, 1, 'one connection');
cmp_ok($turns[0], '<=', 4, "a slice takes $turns[0] round trips, connecting, describing and a word at the end included");
@turns = turns(q{SELECT count(*) FROM _wh.fetch('wide', 'near', '2024-01-01') AS r(id int, day date, word text, amount numeric)}, '10000');
cmp_ok($turns[0], '<=', 4, "so does a fetch by itself: $turns[0]");
@turns = turns("SELECT count(*) FROM _wh.wh_refresh('wide', 'near', '2024-01-01', '2024-01-10') WHERE status = 'loaded'", '10');
is(scalar @turns, 1, 'ten days, one connection');
cmp_ok($turns[0], '<=', 4 + 9 * 3, "which takes $turns[0] round trips");
@turns = turns("SELECT status, rows FROM _wh.wh_refresh('moods', 'near', '2024-01-01', '2024-01-01')", 'loaded|10000');
cmp_ok($turns[0], '<=', 5, "types that are not built in take one more: $turns[0]");
@turns = turns("SELECT count(*) FROM _wh.wh_refresh(NULL, 'near', '2024-01-01', '2024-01-02', consistent => true) WHERE status = 'loaded'", '6');
is(scalar @turns, 3, 'a shared snapshot takes a connection per day beside that of the fetches');
$proxy->stop;

# A connection is let in by a password: another password, another connection.
$warehouse->safe_psql('postgres', q{SELECT _wh.drop_template('wide', drop_data => true), _wh.drop_template('moods', drop_data => true)});
add_tenant($warehouse, 'far', $tenant, 'app', 'tenant-secret');
$warehouse->safe_psql('postgres', q{
SELECT _wh.add_template('pids', $$SELECT pg_backend_pid() AS pid FROM pg_sleep(CASE WHEN '{TARGET_DATE}' = '2024-01-02' THEN 2 ELSE 0 END)$$, 'pid int', tenants => '{far}')});

# How many connections three days took, while $function is called in the
# second.
sub connections
{
	my ($function) = @_;
	my $session = $warehouse->background_psql('postgres');

	$session->query_until(qr/started/, "\\echo started\nCALL _wh.run_refresh('pids', 'far', '2024-01-01', '2024-01-03');\n");
	$tenant->poll_query_until('app', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
	  or die 'the second day was not begun';
	$function->();
	$session->query("SELECT 'done'");
	$session->quit;

	return $warehouse->safe_psql('postgres', 'SELECT count(*), count(DISTINCT pid) FROM public.pids');
}

is(connections(sub { }), '3|1', 'three days, one connection');
is(connections(sub { $warehouse->safe_psql('postgres', "COPY _wh.tenant_password_entry FROM STDIN;\nfar\ttenant-secret\n\\.\n") }),
	'3|2', 'another connection after the password was set anew');

# What the server has closed meanwhile is made anew, and nobody hears of it.
$tenant->safe_psql('postgres', "ALTER ROLE wh_src SET idle_session_timeout = '1s'");
$warehouse->safe_psql('postgres', q{
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END$$;
CREATE TRIGGER slow AFTER INSERT ON _wh.extract_runs FOR EACH STATEMENT EXECUTE FUNCTION slow()});
is($warehouse->safe_psql('postgres', "SELECT status, message FROM _wh.wh_refresh('pids', 'far', '2024-01-03', '2024-01-04')"), "loaded|\nloaded|", 'both days are loaded');
is($warehouse->safe_psql('postgres', "SELECT count(DISTINCT r.pid) FROM (SELECT * FROM far.pids_2024_01_03 UNION ALL SELECT * FROM far.pids_2024_01_04) AS r"), '2', 'over two connections');

unlike(slurp_file($tenant->logfile), qr/unexpected EOF|Connection reset/, 'the tenant has seen no connection break');

done_testing();
