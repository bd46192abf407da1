# Readers go on while workers add days, in both layouts: nobody sees an error
# or a deadlock, nobody waits half a second for a lock, and no answer is
# anything but whole slices, ever more of them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $days = 40;
my $node = warehouse_node('churn', '', conf => "log_min_messages = warning\ndeadlock_timeout = 100ms\n");

$node->safe_psql('postgres', 'CREATE ROLE wh_src LOGIN; CREATE DATABASE source');
$node->safe_psql('source', qq{
CREATE TABLE t AS SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' AS at FROM generate_series(0, 24 * $days - 1) AS i;
CREATE INDEX ON t (at);
GRANT SELECT ON t TO wh_src});
$node->safe_psql('postgres', q{
SELECT _wh.drop_template('foodlogstats');
SELECT _wh.add_tenant(name, split_part(current_setting('unix_socket_directories'), ',', 1), 'source', 'wh_src',
	current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted') FROM unnest('{t1,t2}'::text[]) AS name;
SELECT _wh.add_template(layout || 's', 'SELECT id, at FROM t WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz',
	time_column => 'at', options => jsonb_build_object('view_layout', layout)) FROM unnest('{expand,union}'::text[]) AS layout;
SELECT count(*) FROM _wh.wh_refresh(from_date => '2024-01-01', to_date => '2024-01-01');
CREATE TABLE go_on ();
GRANT SELECT ON go_on TO phood_ro});

# A reader looks again and again, each time in a transaction of its own: with
# a plan that is kept and with a new one, at the public and at a tenant's view.
# The answers are the rows of whole days of both tenants, and never fewer.
$node->safe_psql('postgres', $_) for map { my $view = $_; qq{
CREATE PROCEDURE public.read_$view(INOUT queries integer, INOUT wrong integer, INOUT longest interval) LANGUAGE plpgsql AS \$\$
DECLARE
	counted bigint[];
	before bigint[] := '{0,0,0}';
	everything bigint;
	early bigint;
	tenants bigint;
	began timestamptz;
BEGIN
	queries := 0;
	wrong := 0;
	longest := '0';
	WHILE (SELECT count(*) FROM pg_class WHERE relname = 'go_on') > 0 LOOP
		began := clock_timestamp();
		everything := (SELECT count(*) FROM public.$view);
		EXECUTE 'SELECT count(*) FROM public.$view WHERE at < \$1' INTO early USING timestamptz '2024-01-21 00:00+00';
		EXECUTE 'SELECT count(*) FROM t2.$view WHERE at >= ''2024-01-01 00:00+00''' INTO tenants;
		longest := greatest(longest, clock_timestamp() - began);
		queries := queries + 3;
		counted := ARRAY[everything, early, tenants];
		IF EXISTS (SELECT FROM unnest(counted, before, ARRAY[24 * $days * 2, 24 * 20 * 2, 24 * $days]) AS c (current, earlier, most)
				   WHERE current % 24 <> 0 OR current < earlier OR current > most) THEN
			wrong := wrong + 1;
			RAISE WARNING 'before %, now %', before, counted;
		END IF;
		before := counted;
		COMMIT;
		PERFORM pg_sleep(0.02);
	END LOOP;
END \$\$} } qw(expands unions);

# Who waits for a lock longer than half a second gets an error.
my @readers = map {
	my %reader = (view => $_, out => '', err => '');
	$reader{psql} = IPC::Run::start([ 'psql', '-XqAt', '-F', ' ', '-d', $node->connstr('postgres') . ' user=phood_ro options=-clock_timeout=500ms', '-c', "CALL public.read_$reader{view}(NULL, NULL, NULL)" ],
		'<', \undef, '>', \$reader{out}, '2>', \$reader{err}, IPC::Run::timeout(300));
	\%reader;
} qw(expands expands unions unions);

# Eight runs: workers add days but the last, views of the layout union change with each.
my $logged = -s $node->logfile;
my $given = $node->safe_psql('postgres', "SELECT string_agg(c.oid || ' ' || c.xmin, ', ' ORDER BY c.oid) FROM pg_class c WHERE relname = 'expands'");
for (my $day = 2; $day < $days; $day += 5)
{
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT DISTINCT status FROM _wh.wh_refresh(from_date => date '2024-01-01' + $day - 1, to_date => least(date '2024-01-01' + $day + 3, date '2024-01-01' + $days - 2), parallel => 2)");
	is("$rc $out $err", '0 loaded ', "days from $day on");
}

# Somebody keeps one tenant's view open while the last day comes.  In the
# layout union its rows are shown later; no other view is locked while we wait
# for that one.
my $keeper = $node->background_psql('postgres');
$keeper->query_safe('BEGIN; SELECT count(*) FROM t2.unions');
my ($rc, $out, $err) = $node->psql('postgres', "SET pg_warehouse.lock_deadline = '1500ms';
SELECT DISTINCT status FROM _wh.wh_refresh(from_date => date '2024-01-01' + $days - 1, to_date => date '2024-01-01' + $days - 1)");
is("$rc $out", '0 loaded', 'the last day, while somebody keeps a view open');
like($err, qr/could not lock view "t2.unions"/, 'whose turn comes later');
is($node->safe_psql('postgres', "SELECT (SELECT count(*) FROM public.expands), (SELECT count(*) FROM t2.unions)"), 2 * 24 * $days . '|' . 24 * ($days - 1), 'in the layout union');
$keeper->query_safe('COMMIT');
$keeper->quit;
$node->safe_psql('postgres', "SELECT DISTINCT status FROM _wh.wh_refresh('unions', from_date => date '2024-01-01' + $days - 1, to_date => date '2024-01-01' + $days - 1)");
$node->safe_psql('postgres', 'DROP TABLE go_on');

for my $reader (@readers)
{
	$reader->{psql}->finish;
	is($reader->{err}, '', "a reader of $reader->{view} sees no error");
	like($reader->{out}, qr/^\d{2,} 0 \d/, 'nor a wrong answer');
	note("queries, wrong, longest: $reader->{out}");
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM public.expands'), 2 * 24 * $days, 'expand: all days are there');
is($node->safe_psql('postgres', 'SELECT count(*) FROM public.unions'), 2 * 24 * $days, 'union: all days are there');
is($node->safe_psql('postgres', "SELECT string_agg(c.oid || ' ' || c.xmin, ', ' ORDER BY c.oid) FROM pg_class c WHERE relname = 'expands'"), $given, 'expand: no view was touched');
unlike(slurp_file($node->logfile, $logged), qr/ (ERROR|PANIC): /, 'the log has no error');

$node->stop;
done_testing();
