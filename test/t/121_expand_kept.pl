# Plans that are kept, cursors, and what moves under them: the clock, the
# session's settings, the slices.  A kept plan never answers with yesterday's
# pruning; every answer is compared with the plain table at the same moment.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use ExpandOracle;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = oracle_node('warehouse');
my @modes = ('auto', 'force_generic_plan', 'force_custom_plan');
my $day_after = q{'2024-03-11'::date - i};

# Two prepared statements that differ in their source only.
sub prepared
{
	my ($name, $types, $query) = @_;
	my @statements;

	foreach my $source ('x', 'plain')
	{
		my $statement = $query;

		$statement =~ s/\{V\}/$source eq 'x' ? 'public.x_tz' : 'plain_tz'/ge;
		push @statements, "PREPARE ${name}_$source" . ($types ? " ($types)" : '') . " AS $statement;";
	}
	return join("\n", @statements) . "\n";
}

# Execute both; psql prints two equal blocks or they differ.
sub both
{
	my ($name, $arguments) = @_;

	$arguments = $arguments ? "($arguments)" : '';
	return "\\echo one\nEXECUTE ${name}_x$arguments;\n\\echo other\nEXECUTE ${name}_plain$arguments;\n";
}

# Run a script of such pairs, and count them.
sub same
{
	my ($sql, $message, $database) = @_;
	my $answer = $node->safe_psql('postgres', $sql);
	my ($pairs, $wrong) = (0, 0);

	while ($answer =~ /^one\n(.*?)^other\n(.*?)(?=^one\n|\z)/msg)
	{
		my ($one, $other) = ($1, $2);

		$_ =~ s/\s+\z// foreach $one, $other;
		$pairs++;
		next if $one eq $other;
		$wrong++;
		diag("expanded: $one\nplain: $other") if $wrong < 4;
	}
	ok($pairs > 0 && $wrong == 0, "$message: $pairs answers, $wrong wrong");

	return $answer;
}

my $totals = 'SELECT count(*), sum(amount), min(t), max(t) FROM {V} WHERE';

# Every way to keep a plan, with constants, parameters, a bound of now() and
# one of the session's zone; more than five times, so that "auto" decides.
foreach my $mode (@modes)
{
	my $sql = "SET plan_cache_mode = $mode;\n";

	$sql .= prepared('constant', '', "$totals t::date = '2024-03-10'");
	$sql .= prepared('zone', '', "$totals t >= timestamp '2024-03-10 00:00' AND t < date '2024-03-11'");
	$sql .= prepared('day', 'date', "$totals t::date = \$1");
	$sql .= prepared('range', 'timestamptz, interval', "$totals t >= \$1 AND t < \$1 + \$2");
	$sql .= prepared('tenant', 'text, timestamptz', "$totals schema_name = \$1 AND t >= \$2");
	$sql .= prepared('maybe', 'date', "$totals \$1 IS NULL OR t::date = \$1");
	$sql .= prepared('list', 'date[]', "$totals t::date = ANY (\$1)");
	$sql .= prepared('moving', '', "$totals t > now() - interval '1 day'");
	$sql .= prepared('today', '', "$totals t >= CURRENT_DATE");
	$sql .= prepared('setting', '', "$totals t < current_setting('oracle.bound')::timestamptz");
	foreach my $i (1 .. 8)
	{
		my $zone = ('UTC', 'Pacific/Apia', 'America/New_York', 'Australia/Lord_Howe')[ $i % 4 ];
		my $month = ('2024-01-01', '2024-03-10', '2024-04-07', '2024-11-03')[ $i % 4 ];

		$sql .= "SET timezone = '$zone'; SET oracle.bound = '$month';\n";
		$sql .= both('constant') . both('zone') . both('moving') . both('today') . both('setting');
		$sql .= both('day', "'$month'") . both('range', "'$month', '" . ($i * 7) . " hours'");
		$sql .= both('tenant', ($i % 2 ? "'ny'" : "'lh'") . ", '$month'") . both('maybe', $i == 3 ? 'NULL' : "'$month'");
		$sql .= both('list', $i == 5 ? "'{}'" : "'{$month,2024-11-02}'");
	}
	same($sql, $mode);

	# The same inside one transaction, where now() stands still.
	same("SET plan_cache_mode = $mode;\nSET timezone = 'UTC';\nBEGIN;\n" . prepared('zone', '', "$totals t >= timestamp '2024-04-07 00:00' AND t < date '2024-04-08'")
		. both('zone') . "SET LOCAL timezone = 'Pacific/Apia';\n" . both('zone') . "SAVEPOINT s; SET LOCAL timezone = 'Asia/Kolkata';\n" . both('zone')
		. "ROLLBACK TO s;\n" . both('zone') . "COMMIT;\n" . both('zone'), "$mode: the zone changes inside a transaction");
}

# The clock passes a border: half a second before it no row of the new day is
# wanted, a second later its first one is.  The bound is built so that now()
# less the interval is that midnight soon.
foreach my $mode (@modes)
{
	my $sql = "SET timezone = 'UTC'; SET plan_cache_mode = $mode;\n"
	  . q{SELECT now() - timestamptz '2024-03-10 00:00+00' + interval '700 ms' AS past \gset} . "\n"
	  . "PREPARE clock_x AS SELECT count(*) FROM public.x_tz WHERE t >= '2024-03-09 12:00+00' AND t <= now() - interval :'past' AND schema_name = 'utc';\n"
	  . "PREPARE clock_plain AS SELECT count(*) FROM plain_tz WHERE t >= '2024-03-09 12:00+00' AND t <= now() - interval :'past' AND schema_name = 'utc';\n"
	  . "BEGIN;\n" . both('clock') . "COMMIT;\nSELECT pg_sleep(1.2);\nBEGIN;\n" . both('clock') . "COMMIT;\n";
	my $answer = same($sql, "$mode: now() passes a border");
	my @counts = $answer =~ /^one\n(\d+)$/mg;

	is($counts[1] - $counts[0], 2, "$mode: and the rows on either side of it are there");
}

# plpgsql keeps plans by itself, once per function, in a loop and across
# calls; SQL functions are run once per row.
$node->safe_psql('postgres', q{
CREATE FUNCTION total(source text, day date, OUT n bigint, OUT s numeric) LANGUAGE plpgsql AS $$
BEGIN
	IF source = 'x' THEN
		SELECT count(*), sum(amount) INTO n, s FROM public.x_tz WHERE t::date = day;
	ELSE
		SELECT count(*), sum(amount) INTO n, s FROM plain_tz WHERE t::date = day;
	END IF;
END $$;
CREATE FUNCTION since(source text, OUT n bigint) LANGUAGE plpgsql AS $$
BEGIN
	IF source = 'x' THEN
		SELECT count(*) INTO n FROM public.x_tz WHERE t >= CURRENT_DATE - 1;
	ELSE
		SELECT count(*) INTO n FROM plain_tz WHERE t >= CURRENT_DATE - 1;
	END IF;
END $$;
CREATE FUNCTION per_row_x(day date) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM public.x_tz WHERE t::date = day AND schema_name <> ''nobody''';
CREATE FUNCTION per_row_plain(day date) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM plain_tz WHERE t::date = day AND schema_name <> ''nobody''';
CREATE FUNCTION cursor_over(day date) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	c CURSOR (d date) FOR SELECT amount FROM public.x_tz WHERE t::date = d ORDER BY t, schema_name, id;
	a numeric;
	s numeric := 0;
BEGIN
	OPEN c(day);
	LOOP
		FETCH c INTO a;
		EXIT WHEN NOT FOUND;
		s := s + a;
	END LOOP;
	CLOSE c;
	RETURN s;
END $$});
foreach my $mode (@modes)
{
	is($node->safe_psql('postgres', qq{
SET plan_cache_mode = $mode;
SELECT count(*) FROM generate_series(0, 14) AS i, total('x', $day_after) AS a, total('plain', $day_after) AS b WHERE a IS DISTINCT FROM b;
SELECT count(*) FROM generate_series(0, 14) AS i WHERE per_row_x($day_after) <> per_row_plain($day_after);
SELECT count(*) FROM generate_series(0, 4) AS i WHERE cursor_over($day_after) <> coalesce((total('plain', $day_after)).s, 0);
SET timezone = 'Pacific/Apia'; SELECT since('x') = since('plain');
SET timezone = 'Pacific/Midway'; SELECT since('x') = since('plain');
SET timezone = 'Pacific/Apia'; SELECT since('x') = since('plain')}), "0\n0\n0\nt\nt\nt", "$mode: functions");
}

# Cursors: forwards and back, held, and moved after a setting has changed that
# the query's bound is made of: it shows what it was opened for.
{
	my $query = "SELECT id, t, schema_name FROM {V} WHERE t >= timestamp '2024-03-10 00:00' AND t < date '2024-03-11' ORDER BY t, schema_name, id";
	my $script = sub {
		my ($source) = @_;
		my $q = $query;

		$q =~ s/\{V\}/$source/;
		return qq{
SET timezone = 'UTC';
BEGIN;
DECLARE c SCROLL CURSOR FOR $q;
FETCH 3 FROM c; MOVE 5 IN c; FETCH 2 FROM c; FETCH BACKWARD 4 FROM c; FETCH FIRST FROM c; FETCH LAST FROM c; FETCH ABSOLUTE 7 FROM c; FETCH RELATIVE -2 FROM c;
DECLARE plain NO SCROLL CURSOR FOR $q;
FETCH 2 FROM plain;
SET LOCAL timezone = 'Pacific/Apia';
FETCH 1000 FROM plain;
DECLARE h CURSOR WITH HOLD FOR $q;
FETCH 1 FROM h;
COMMIT;
SET timezone = 'Asia/Tehran';
FETCH ALL FROM h;
CLOSE h;
};
	};

	is($node->safe_psql('postgres', $script->('public.x_tz')), $node->safe_psql('postgres', $script->('plain_tz')), 'cursors');
	is($node->safe_psql('postgres', 'SET pg_warehouse.expand_views = off;' . $script->('public.x_tz')), $node->safe_psql('postgres', $script->('plain_tz')),
		'cursors over the foreign scan');
}

# The hook's own settings change between executions of one plan.
same("SET plan_cache_mode = force_generic_plan;\n" . prepared('day', 'date', "$totals t::date = \$1") . prepared('moving', '', "$totals t > now() - interval '1 day'")
	. join('', map { "SET pg_warehouse.$_;\n" . both('day', "'2024-03-10'") . both('moving') } 'expand_views = off', 'expand_max_slices = 1', 'expand_views = on', 'expand_max_slices = 300', 'expand_chunk_size = 2'),
	'its own settings change');

# Parallel workers read what the leader's plan names.
same("SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 2;\n"
	. prepared('day', 'date', "$totals t::date >= \$1") . prepared('moving', '', "$totals t > now() - interval '1 day'")
	. join('', map { both('day', "'$_'") . both('moving') } '2024-03-10', '2024-04-07', '2024-11-01', '2024-03-10', '2024-04-07', '2024-11-01', '2024-04-07'), 'parallel workers');

# The protocols: simple, extended and prepared ask for a day by a parameter,
# and check each answer.
$node->safe_psql('postgres', q{CREATE TABLE expected AS SELECT t::date AS day, count(*) AS n FROM plain_tz GROUP BY 1;
CREATE FUNCTION check_count(i integer, n bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF n <> coalesce((SELECT e.n FROM expected AS e WHERE e.day = date '2024-03-05' + i), 0) THEN
		RAISE 'day % has % rows', i, n;
	END IF;
END $$});
my $script = $node->basedir . '/ask.sql';
append_to_file($script, q{\set i random(0, 12)
SELECT count(*) AS n FROM public.x_tz WHERE t::date = date '2024-03-05' + :i::integer \gset
SELECT check_count(:i::integer, :n::bigint);
SELECT count(*) AS m FROM public.x_tz WHERE t >= now() - interval '2 days' \gset
SELECT 1 / (:m::bigint = (SELECT count(*) FROM plain_tz WHERE t >= now() - interval '2 days'))::integer;
});
foreach my $protocol ('simple', 'extended', 'prepared')
{
	$node->command_ok([ 'pgbench', '-n', '-M', $protocol, '-t', '60', '-c', '2', '-f', $script, 'postgres' ], "pgbench -M $protocol: no wrong answer");
}

# Slices come and go under a kept plan.
{
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	my $ask = sub {
		return join ' ', map { $session->query_safe("EXECUTE $_") } @_;
	};

	$session->query_safe(prepared('gone', '', 'SELECT count(*) FROM {V} WHERE t >= \'2024-03-01\' AND t < \'2024-05-01\'') . prepared('all', '', 'SELECT count(*) FROM {V}')
		. prepared('stable', '', 'SELECT count(*) FROM {V} WHERE t < now() - interval \'400 days\''));
	my $before = $ask->('gone_x', 'all_x', 'stable_x');

	is($before, $ask->('gone_plain', 'all_plain', 'stable_plain'), 'before');

	# A day more, by another session; then as many less.
	$node->safe_psql('postgres', q{CALL _wh.run_refresh('x_tz', NULL, '2024-03-12', '2024-03-12')});
	my $more = $node->safe_psql('postgres', 'SELECT count(*) FROM utc.x_tz_2024_03_12') + $node->safe_psql('postgres', 'SELECT count(*) FROM ny.x_tz_2024_03_12') + $node->safe_psql('postgres', 'SELECT count(*) FROM lh.x_tz_2024_03_12');
	my ($gone, $all, $stable) = split / /, $before;

	cmp_ok($more, '>', 0, 'a day with rows');
	is($ask->('gone_x', 'all_x', 'stable_x'), join(' ', $gone + $more, $all + $more, $stable + $more), 'a new day is in every kept plan');
	is($session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; EXECUTE all_x; COMMIT'), "1\n" . ($all + $more), 'and in repeatable read');
	$session->quit;
}

done_testing();
