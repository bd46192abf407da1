# The same question to layout expand, to layout union and to a plain table of
# the same rows: the answers are the same, whatever the type of the time
# column, the session's zone, the hook, the cap or the size of a chunk; and
# the question was answered from the slices that it needs.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use ExpandOracle;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = oracle_node('warehouse', conf => "pg_warehouse.max_workers = 4\n");

is($node->safe_psql('postgres', 'SELECT DISTINCT count(*) BETWEEN 39 AND 46 FROM _wh.slices GROUP BY template_name'), 't', 'each template has its slices');

# {V} is the public view, {A} the view of tenant ny, {U} and {G} a user's views
# on {V}: its rows, and its days in groups.  The number is how many slices the
# question may read at most, of some 43 (the last days are up to four, as the
# tenant's clock goes); undef where nothing can be ruled out.
my @queries = (
	[ 'SELECT * FROM {V}', undef ],
	[ 'SELECT count(*), sum(amount), min(t), max(t) FROM {V}', undef ],

	# The tenant's schema, by any expression.
	[ q{SELECT * FROM {V} WHERE schema_name = 'ny'}, 15 ],
	[ q{SELECT * FROM {V} WHERE 'ny' = schema_name}, 15 ],
	[ q{SELECT * FROM {V} WHERE schema_name IN ('ny', 'lh')}, 30 ],
	[ q{SELECT * FROM {V} WHERE schema_name <> 'ny'}, 30 ],
	[ q{SELECT * FROM {V} WHERE schema_name LIKE 'n%'}, 15 ],
	[ q{SELECT * FROM {V} WHERE NOT (schema_name = 'ny' OR schema_name = 'lh')}, 15 ],
	[ q{SELECT * FROM {V} WHERE upper(schema_name) = 'LH'}, 15 ],
	[ q{SELECT * FROM {V} WHERE left(schema_name, 1) || 'x' IN ('ux', 'zx')}, 15 ],
	[ q{SELECT * FROM {V} WHERE schema_name = ANY (ARRAY['utc', 'none'])}, 15 ],
	[ q{SELECT * FROM {V} WHERE schema_name <> ALL (ARRAY['utc', 'none'])}, 30 ],
	[ q{SELECT * FROM {V} WHERE schema_name ~ '^(ny|lh)$' AND length(schema_name) = 2}, 30 ],
	[ q{SELECT * FROM {V} WHERE CASE WHEN schema_name = 'ny' THEN true ELSE false END}, 15 ],
	[ q{SELECT * FROM {V} WHERE schema_name BETWEEN 'm' AND 'o'}, 15 ],
	[ q{SELECT * FROM {V} WHERE schema_name COLLATE "C" < 'm'}, 15 ],
	[ q{SELECT * FROM {V} WHERE schema_name IS NULL}, 0 ],
	[ q{SELECT * FROM {V} WHERE schema_name = 'nobody'}, 0 ],
	[ q{SELECT * FROM {V} WHERE schema_name = NULL}, 0 ],

	# The time column itself.
	[ q{SELECT * FROM {V} WHERE t >= '2024-03-10' AND t < '2024-03-11'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t = '2024-03-10 12:00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE '2024-03-10 00:00' = t}, 9 ],
	[ q{SELECT * FROM {V} WHERE t BETWEEN '2024-03-10' AND '2024-04-07'}, 18 ],
	[ q{SELECT * FROM {V} WHERE t BETWEEN SYMMETRIC '2024-04-07' AND '2024-03-10'}, 18 ],
	[ q{SELECT * FROM {V} WHERE t < '2024-01-01'}, 6 ],
	[ q{SELECT * FROM {V} WHERE t <= '2023-12-31'}, 6 ],
	[ q{SELECT * FROM {V} WHERE t > '2024-11-03'}, 20 ],
	[ q{SELECT * FROM {V} WHERE NOT (t >= '2024-01-01')}, 6 ],
	[ q{SELECT * FROM {V} WHERE t IN ('2024-03-10 00:00', '2024-04-07 00:00')}, 18 ],
	[ q{SELECT * FROM {V} WHERE t = ANY ('{2024-03-10,2024-11-03 12:00}'::{TYPE}[])}, 18 ],
	[ q{SELECT * FROM {V} WHERE t >= '2024-03-10' AND t < '2024-03-09'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t > '-infinity' AND t < 'infinity'}, undef ],
	[ q{SELECT * FROM {V} WHERE t = 'infinity'}, 0 ],
	[ q{SELECT * FROM {V} WHERE t < NULL}, 0 ],
	[ q{SELECT * FROM {V} WHERE t IS NULL}, undef ],
	[ q{SELECT * FROM {V} WHERE t <> '2024-03-10'}, undef ],
	[ q{SELECT * FROM {V} WHERE false}, 0 ],
	[ q{SELECT * FROM {V} WHERE t > '2090-01-01'}, 0 ],
	[ q{SELECT * FROM {V} WHERE store = 's1' AND t >= '2024-03-10' AND t < '2024-03-11'}, 9 ],
	[ q{SELECT * FROM {V} WHERE schema_name = 'ny' AND t < '2024-01-01'}, 2 ],
	[ q{SELECT * FROM {V} WHERE t < '2024-01-01' OR t >= '2024-11-04'}, 26 ],
	[ q{SELECT * FROM {V} WHERE (schema_name = 'ny' AND t < '2024-01-01') OR (schema_name = 'lh' AND t::date = '2024-04-07')}, 5 ],
	[ q{SELECT * FROM {V} WHERE t < '2024-01-01' OR store = 's2'}, undef ],
	[ q{SELECT * FROM {V} WHERE t >= '2024-03-10'::date AND t < '2024-03-10'::date + 1}, 9 ],
	[ q{SELECT * FROM {V} WHERE t >= timestamp '2024-03-10 02:30' AND t < timestamptz '2024-03-11 00:00+00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t >= make_date(2024, 3, 10) AND t < make_date(2024, 3, 11)}, 9 ],
	[ q{SELECT * FROM {V} WHERE t >= to_timestamp(1710028800) AND t < to_timestamp(1710115200)}, 9 ],

	# Bounds that move.
	[ q{SELECT * FROM {V} WHERE t >= now() - interval '1 day'}, 11 ],
	[ q{SELECT * FROM {V} WHERE t > now()}, 11 ],
	[ q{SELECT * FROM {V} WHERE t < now() - interval '30 days'}, 33 ],
	[ q{SELECT * FROM {V} WHERE t BETWEEN now() - interval '36 hours' AND now() - interval '2 hours'}, 11 ],
	[ q{SELECT * FROM {V} WHERE t >= CURRENT_DATE - 1}, 11 ],
	[ q{SELECT * FROM {V} WHERE t >= CURRENT_DATE AND t < CURRENT_DATE + 1}, 11 ],
	[ q{SELECT * FROM {V} WHERE t >= date_trunc('day', now())}, 11 ],
	[ q{SELECT * FROM {V} WHERE t >= LOCALTIMESTAMP - interval '1 hour'}, 11 ],
	[ q{SELECT * FROM {V} WHERE t::date >= CURRENT_DATE}, 11 ],
	[ q{SELECT * FROM {V} WHERE t::date = (now() AT TIME ZONE 'UTC')::date}, 11 ],
	[ q{SELECT * FROM {V} WHERE t >= _wh.current_date_utc() - 1}, 11 ],

	# What BI tools write around the column.
	[ q{SELECT * FROM {V} WHERE t::date = '2024-03-10'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t::date IN ('2024-03-10', '2024-11-03')}, 18 ],
	[ q{SELECT * FROM {V} WHERE date(t) BETWEEN '2024-04-07' AND '2024-04-08'}, 9 ],
	[ q{SELECT * FROM {V} WHERE (t AT TIME ZONE 'UTC')::date = '2024-04-07'}, 9 ],
	[ q{SELECT * FROM {V} WHERE (t AT TIME ZONE 'America/New_York')::date = '2024-11-03'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t AT TIME ZONE 'Australia/Lord_Howe' >= '2024-04-07 01:30' AND t AT TIME ZONE 'Australia/Lord_Howe' < '2024-04-07 02:30'}, 9 ],
	[ q{SELECT * FROM {V} WHERE timezone('UTC', t) < '2024-01-01'}, 6 ],
	[ q{SELECT * FROM {V} WHERE date_trunc('month', t) = '2024-03-01'}, 9 ],
	[ q{SELECT * FROM {V} WHERE date_trunc('month', t) IN ('2024-03-01', '2024-04-01')}, 18 ],
	[ q{SELECT * FROM {V} WHERE date_trunc('day', t) = '2024-04-07'}, 9 ],
	[ q{SELECT * FROM {V} WHERE date_trunc('week', t)::date = '2024-03-04'}, 9 ],
	[ q{SELECT * FROM {V} WHERE date_trunc('hour', t) >= '2024-11-03 01:00' AND date_trunc('hour', t) < '2024-11-03 03:00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE date_trunc('year', t) = '2023-01-01'}, 6 ],
	[ q{SELECT * FROM {V} WHERE EXTRACT(YEAR FROM t) = 2023}, 6 ],
	[ q{SELECT * FROM {V} WHERE EXTRACT(YEAR FROM t)::int = 2024 AND schema_name = 'lh'}, 12 ],
	[ q{SELECT * FROM {V} WHERE date_part('year', t) = 2023}, 6 ],
	[ q{SELECT * FROM {V} WHERE EXTRACT(EPOCH FROM t) < 1704100000}, 6 ],
	[ q{SELECT * FROM {V} WHERE t + interval '1 day' < '2024-01-03'}, 6 ],
	[ q{SELECT * FROM {V} WHERE t - interval '2 hours' >= '2024-11-04'}, 20 ],
	[ q{SELECT * FROM {V} WHERE t + interval '1 month' < '2024-02-10'}, 6 ],
	[ q{SELECT * FROM {V} WHERE t::timestamp >= '2024-11-03 12:00' AND t::timestamp < '2024-11-03 13:00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t::timestamptz BETWEEN '2024-04-06 15:00+00' AND '2024-04-07 15:00+00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE (t::timestamptz AT TIME ZONE 'Asia/Tehran')::date + 1 = '2024-03-11'}, 9 ],

	# Clocks that are set while a tenant's midnight passes: what is local there
	# runs back inside a slice.
	[ q{SELECT * FROM {V} WHERE t AT TIME ZONE 'America/St_Johns' >= '2024-11-03 01:00' AND t AT TIME ZONE 'America/St_Johns' < '2024-11-03 01:15'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t AT TIME ZONE 'XST2:30XDT,M3.2.0,M11.1.0' >= '2024-11-03 01:45' AND t AT TIME ZONE 'XST2:30XDT,M3.2.0,M11.1.0' < '2024-11-03 02:00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE date_trunc('hour', t, 'XST2:30XDT,M3.2.0,M11.1.0') = '2024-11-03 02:30+00'}, undef ],
	[ q{SELECT * FROM {V} WHERE t::timestamp >= '2024-11-03 01:00' AND t::timestamp < '2024-11-03 01:15'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t::timestamp >= '2024-11-03 01:45' AND t::timestamp < '2024-11-03 02:00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t::timestamptz >= '2024-03-11 04:25+00' AND t::timestamptz < '2024-03-11 04:45+00'}, 9 ],
	[ q{SELECT * FROM {V} WHERE t >= timestamptz '2024-03-11 04:25+00' AND t < timestamptz '2024-03-11 04:45+00'}, 9 ],

	# Right, if not pruned.
	[ q{SELECT * FROM {V} WHERE EXTRACT(MONTH FROM t) = 3}, undef ],
	[ q{SELECT * FROM {V} WHERE EXTRACT(DOW FROM t) = 0}, undef ],
	[ q{SELECT * FROM {V} WHERE to_char(t, 'YYYY-MM') = '2024-03'}, undef ],
	[ q{SELECT * FROM {V} WHERE t::text LIKE '2024-03-10%'}, undef ],
	[ q{SELECT * FROM {V} WHERE (t, id) >= ('2024-11-04', 1)}, undef ],
	[ q{SELECT * FROM {V} WHERE tstzrange('2024-03-10', '2024-03-11') @> t::timestamptz}, undef ],
	[ q{SELECT * FROM {V} WHERE CASE WHEN store = 's1' THEN t < '2024-01-01' ELSE t > '2024-11-03' END}, undef ],
	[ q{SELECT * FROM {V} WHERE greatest(t, '2024-03-10') = '2024-03-10'}, undef ],
	[ q{SELECT * FROM {V} WHERE t = (SELECT max(t) FROM {V})}, undef ],
	[ q{SELECT * FROM {V} WHERE t >= (SELECT '2024-11-03'::{TYPE})}, undef ],
	[ q{SELECT * FROM {V} WHERE t::date = '2024-03-10' AND random() >= 0}, 9 ],
	[ q{SELECT * FROM {V} WHERE t >= oracle_stable()}, undef ],
	[ q{SELECT * FROM {V} WHERE t::date = oracle_inlined('2024-03-10')}, undef ],

	# A tenant's view, views on top, views on those.
	[ q{SELECT * FROM {A}}, 15 ],
	[ q{SELECT * FROM {A} WHERE t::date = '2024-03-10'}, 3 ],
	[ q{SELECT count(*) FROM {A} AS a JOIN {V} AS v USING (id) WHERE a.t::date = '2024-03-10' AND v.t::date = '2024-03-10'}, 12 ],
	[ q{SELECT * FROM {U} WHERE day = '2024-03-10'}, 9 ],
	[ q{SELECT * FROM {U} WHERE tenant = 'lh' AND day = '2024-04-07'}, 3 ],
	[ q{SELECT * FROM {G} WHERE day = '2024-03-10'}, 9 ],
	[ q{SELECT * FROM {G} WHERE schema_name = 'ny'}, 15 ],
	[ q{SELECT u.day, g.c FROM {U} AS u JOIN {G} AS g ON g.day = u.day AND g.schema_name = u.tenant WHERE u.day = '2024-04-07' AND g.day = '2024-04-07'}, 18 ],

	# Subqueries and common table expressions.
	[ q{SELECT * FROM (SELECT * FROM {V} WHERE t >= '2024-03-10') AS x WHERE x.t < '2024-03-11'}, 9 ],
	[ q{SELECT * FROM (SELECT schema_name, t, max(amount) AS m FROM {V} GROUP BY 1, 2) AS x WHERE t::date = '2024-04-07'}, 9 ],
	[ q{SELECT * FROM (SELECT DISTINCT schema_name, t FROM {V}) AS x WHERE t < '2024-01-01'}, 6 ],
	[ q{SELECT * FROM (SELECT * FROM {V} ORDER BY t DESC, schema_name, id LIMIT 500) AS x WHERE t < '2024-04-08'}, undef ],
	[ q{SELECT * FROM (SELECT * FROM {V} ORDER BY t, schema_name, id OFFSET 20) AS x WHERE t < '2024-01-01'}, undef ],
	[ q{SELECT * FROM (SELECT DISTINCT ON (schema_name) schema_name, t, id FROM {V} ORDER BY schema_name, t DESC, id DESC) AS x WHERE t < '2024-06-01'}, undef ],
	[ q{SELECT * FROM (SELECT id, t, schema_name, row_number() OVER (PARTITION BY schema_name ORDER BY t, id) AS rn FROM {V}) AS x WHERE t::date = '2024-04-07' AND schema_name = 'ny'}, undef ],
	[ q{SELECT * FROM (SELECT schema_name, t::date AS d, count(*) AS c FROM {V} GROUP BY GROUPING SETS ((1), (2), ())) AS x WHERE d = '2024-03-10' OR d IS NULL}, undef ],
	[ q{SELECT * FROM (SELECT id, t, generate_series(1, 2) AS g FROM {V}) AS x WHERE t < '2024-01-01'}, undef ],
	[ q{SELECT * FROM (SELECT id, t, random() >= 0 AS r FROM {V}) AS x WHERE t < '2024-01-01' AND r}, undef ],
	[ q{WITH c AS (SELECT * FROM {V}) SELECT count(*), min(t) FROM c WHERE schema_name = 'ny' AND t < '2024-01-01'}, 2 ],
	[ q{WITH c AS MATERIALIZED (SELECT * FROM {V}) SELECT count(*), min(t) FROM c WHERE t < '2024-01-01'}, undef ],
	[ q{WITH c AS (SELECT * FROM {V} WHERE t >= '2024-11-01') SELECT (SELECT count(*) FROM c), (SELECT max(id) FROM c WHERE schema_name = 'lh')}, 20 ],
	[ q{WITH a AS (SELECT * FROM {V}), b AS (SELECT * FROM a WHERE t >= '2024-03-10') SELECT * FROM b WHERE t::date = '2024-03-10'}, 9 ],
	[ q{WITH RECURSIVE r AS (SELECT id, n, 1 AS depth FROM {V} WHERE schema_name = 'ny' AND t < '2024-01-01' AND n IS NOT NULL UNION ALL SELECT v.id, v.n, depth + 1 FROM r JOIN {V} AS v ON v.id = r.n AND v.schema_name = 'ny' WHERE depth < 5) SELECT * FROM r}, 17 ],
	[ q{SELECT count(*) FROM {V} AS a WHERE schema_name = 'ny' AND EXISTS (SELECT FROM {V} AS b WHERE b.id = a.id AND b.t::date = '2024-03-10')}, 24 ],
	[ q{SELECT id FROM {V} AS a WHERE schema_name = 'ny' AND NOT EXISTS (SELECT FROM {V} AS b WHERE b.n = a.id AND b.schema_name = 'lh')}, 30 ],
	[ q{SELECT id, t FROM {V} WHERE t < '2024-01-01' AND id IN (SELECT n FROM {V} WHERE t >= '2024-01-01' AND t < '2024-01-02')}, 12 ],
	[ q{SELECT id, t FROM {V} WHERE t < '2024-01-01' AND id NOT IN (SELECT n FROM {V} WHERE n IS NOT NULL AND schema_name = 'utc')}, 21 ],
	[ q{SELECT id, (SELECT count(*) FROM {V} AS b WHERE b.schema_name = a.schema_name AND b.t < a.t AND b.t >= '2024-11-02') FROM {V} AS a WHERE a.t::date = '2024-11-03'}, undef ],
	[ q{SELECT a.id, l.m FROM {V} AS a, LATERAL (SELECT max(b.amount) AS m FROM {V} AS b WHERE b.schema_name = a.schema_name AND b.t::date = '2024-03-10') AS l WHERE a.t < '2024-01-01'}, 15 ],
	[ q{SELECT a.schema_name, l.id FROM (SELECT DISTINCT schema_name FROM {V}) AS a, LATERAL (SELECT id FROM {V} AS b WHERE b.schema_name = a.schema_name ORDER BY t DESC, id DESC LIMIT 2) AS l}, undef ],
	[ q{SELECT d, count(v.id) FROM (VALUES ('2024-03-10'::date), ('2024-04-07')) AS d (d) JOIN {V} AS v ON v.t::date = d.d GROUP BY d}, undef ],
	[ q{SELECT a.id, b.id FROM {V} AS a JOIN {V} AS b ON b.id = a.n AND b.schema_name = a.schema_name AND b.t::date = '2024-03-10' WHERE a.t::date = '2024-03-10'}, 18 ],
	[ q{SELECT a.id, b.id FROM {V} AS a CROSS JOIN {A} AS b WHERE a.t = '2024-03-10' AND b.t = '2024-03-10'}, 12 ],
	[ q{SELECT * FROM {V} NATURAL JOIN (SELECT id, t, schema_name FROM {V} WHERE t < '2024-01-01') AS x WHERE t::date = '2023-12-31'}, 12 ],
	[ q{SELECT count(*) FROM {V} AS a, {V} AS b, {V} AS c WHERE a.id = b.n AND b.id = c.n AND a.schema_name = 'ny' AND b.schema_name = 'ny' AND c.schema_name = 'ny'}, 45 ],

	# Set operations.
	[ q{SELECT id, t FROM {V} WHERE t < '2024-01-01' UNION ALL SELECT id, t FROM {V} WHERE t >= '2024-11-04'}, 26 ],
	[ q{SELECT id, t FROM {V} WHERE t < '2024-01-02' UNION SELECT id, t FROM {A} WHERE t < '2024-01-01'}, 9 ],
	[ q{SELECT id FROM {V} WHERE schema_name = 'ny' INTERSECT SELECT id FROM {V} WHERE schema_name = 'lh' AND t >= '2024-11-02'}, 24 ],
	[ q{SELECT id FROM {V} EXCEPT ALL SELECT id FROM {A}}, undef ],
	[ q{SELECT * FROM (SELECT * FROM {V} UNION ALL SELECT * FROM {V}) AS x WHERE t::date = '2024-04-07'}, 18 ],
	[ q{SELECT * FROM (SELECT id, t FROM {V} WHERE schema_name = 'ny' EXCEPT SELECT id, t FROM {V} WHERE schema_name = 'lh') AS x WHERE t < '2024-01-01'}, undef ],
	[ q{SELECT * FROM (SELECT id, t, 'v' AS w FROM {V} UNION ALL SELECT id, t, 'a' FROM {A}) AS x WHERE t >= '2024-03-10' AND t < '2024-03-11' AND w = 'a'}, 12 ],

	# Aggregates, windows, orders and limits at the top.
	[ q{SELECT id, t, sum(amount) OVER (PARTITION BY schema_name ORDER BY t, id) FROM {V} WHERE t::date = '2024-03-10'}, 9 ],
	[ q{SELECT id, t, schema_name, lag(id) OVER w, rank() OVER w FROM {V} WHERE schema_name = 'ny' WINDOW w AS (ORDER BY t, id)}, 15 ],
	[ q{SELECT t, schema_name, id FROM {V} ORDER BY t DESC, schema_name, id LIMIT 5}, undef ],
	[ q{SELECT t, schema_name, id FROM {V} WHERE t >= '2024-04-01' ORDER BY t, schema_name, id LIMIT 3 OFFSET 4}, 29 ],
	[ q{SELECT t::date FROM {V} WHERE t < '2024-03-01' ORDER BY t::date FETCH FIRST 3 ROWS WITH TIES}, 6 ],
	[ q{SELECT DISTINCT ON (schema_name) schema_name, t, id FROM {V} WHERE t < '2024-03-01' ORDER BY schema_name, t DESC, id DESC}, 6 ],
	[ q{SELECT schema_name, t::date, count(*), grouping(schema_name) FROM {V} WHERE t >= '2024-11-02' AND t < '2024-12-01' GROUP BY ROLLUP (schema_name, t::date)}, 9 ],
	[ q{SELECT schema_name, store, sum(amount) FROM {V} WHERE t < '2024-01-01' GROUP BY CUBE (schema_name, store)}, 6 ],
	[ q{SELECT schema_name, t::date AS d, count(*) FROM {V} GROUP BY 1, 2 HAVING t::date = '2024-03-10'}, undef ],
	[ q{SELECT schema_name, count(*) FROM {V} WHERE t::date = '2024-03-10' GROUP BY 1 HAVING count(*) > 3}, 9 ],
	[ q{SELECT count(*), sum(amount), max(t), bool_and(n IS NULL), array_agg(id) FROM {V} WHERE t > '2090-01-01'}, 0 ],
	[ q{SELECT store, count(*) FROM {V} WHERE schema_name = 'nobody' GROUP BY 1}, 0 ],
	[ q{SELECT count(*) FILTER (WHERE t::date = '2024-03-10'), count(*) FILTER (WHERE schema_name = 'ny') FROM {V}}, undef ],
	[ q{SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY amount), mode() WITHIN GROUP (ORDER BY store) FROM {V} WHERE t::date = '2024-11-03'}, 9 ],
	[ q{SELECT max(t), min(t) FROM {V} WHERE t < '2024-03-01'}, undef ],
	[ q{SELECT v FROM {V} AS v WHERE t::date = '2024-03-10'}, 9 ],
	[ q{SELECT (v).id, (v).t, to_jsonb(v) FROM {V} AS v WHERE t::date = '2024-03-10' AND v IS NOT NULL}, 9 ],
	[ q{SELECT t, count(*) FROM {V} WHERE date_trunc('month', t) = '2024-04-01' GROUP BY t ORDER BY 2 DESC, 1 LIMIT 4}, 9 ]);

# Outer joins: each kind, with what may and what must not be pushed down.
my @outer;
my @where = ('true', q{a.t::date = '2024-03-10'}, q{b.t::date = '2024-03-10'},
	q{a.t::date = '2024-03-10' OR b.t::date = '2024-03-10'}, 'b.id IS NULL', q{b.t IS NULL OR b.t < '2024-01-01'},
	q{coalesce(b.t, a.t) < '2024-01-01'}, q{a.schema_name = 'ny'}, q{(b.schema_name = 'ny') IS NOT TRUE},
	q{NOT (b.t >= '2024-01-01')}, q{b.schema_name = 'ny' AND a.t < '2024-03-10'});

foreach my $join ('LEFT', 'RIGHT', 'FULL')
{
	my $from = "SELECT a.id, a.t, b.id, b.t, b.schema_name FROM {V} AS a $join JOIN {V} AS b ON b.id = a.n AND b.schema_name = a.schema_name";

	push @outer, "$from WHERE $_" foreach @where;
	next if $join eq 'FULL';
	foreach my $on (q{a.t::date = '2024-03-10'}, q{b.t::date = '2024-03-10'}, q{b.schema_name = 'ny'})
	{
		push @outer, "$from AND $on";
		push @outer, "$from AND $on WHERE a.t < '2024-03-11' OR b.id IS NULL";
	}
}
push @outer, (
	q{SELECT a.id, b.id, c.id FROM {V} AS a LEFT JOIN {V} AS b ON b.id = a.n AND b.schema_name = 'ny' LEFT JOIN {V} AS c ON c.id = b.n AND c.t < '2024-04-01' WHERE a.schema_name = 'ny'},
	q{SELECT a.id, b.id, c.id FROM {V} AS a LEFT JOIN ({V} AS b JOIN {V} AS c ON c.id = b.n AND c.schema_name = b.schema_name) ON b.id = a.n AND c.t::date = '2024-04-07' WHERE a.t::date = '2024-04-07'},
	q{SELECT a.id, b.id, c.id FROM {V} AS a LEFT JOIN {V} AS b ON b.id = a.n AND b.t < '2024-04-01' JOIN {V} AS c ON c.id = b.id AND c.schema_name = b.schema_name WHERE b.t::date = '2024-03-10'},
	q{SELECT id, a.t, b.t FROM {V} AS a FULL JOIN {V} AS b USING (id, schema_name) WHERE id < 20 AND schema_name = 'ny'},
	q{SELECT t, count(*) FROM (SELECT * FROM {V} WHERE schema_name = 'ny') AS a FULL JOIN (SELECT * FROM {V} WHERE schema_name = 'lh') AS b USING (t) WHERE t::date = '2024-03-10' GROUP BY t},
	q{SELECT t, a.id, b.id FROM {A} AS a RIGHT JOIN {V} AS b USING (t) WHERE t < '2024-01-01' AND a.id IS NULL},
	q{SELECT j.id, j.m FROM ({V} AS a LEFT JOIN (SELECT schema_name AS s, max(t) AS m FROM {V} GROUP BY 1) AS b ON b.s = a.schema_name) AS j WHERE j.t::date = '2024-03-10'},
	q{SELECT a.id, l.id FROM {V} AS a LEFT JOIN LATERAL (SELECT id FROM {V} AS b WHERE b.schema_name = a.schema_name AND b.t < '2024-01-01' AND b.id = a.n) AS l ON true WHERE a.t::date = '2023-12-31'},
	q{SELECT a.id, b.day FROM {V} AS a LEFT JOIN {G} AS b ON b.day = a.t::date AND b.schema_name = a.schema_name AND b.day = '2024-03-10' WHERE a.t < '2024-03-11'},
	q{SELECT x.d, v.id FROM (VALUES ('2024-03-10'::date), ('1999-01-01')) AS x (d) LEFT JOIN {V} AS v ON v.t::date = x.d AND v.t < '2024-03-12'});

# Ask one question of one source; every row as text.  The statement is run as
# it is, not as part of another: its own shape is what is planned.
$node->safe_psql('postgres', q{
CREATE FUNCTION oracle_answer(query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	answer text[] := '{}';
	r record;
BEGIN
	FOR r IN EXECUTE query LOOP
		answer := answer || r::text;
	END LOOP;
	RETURN answer;
END $$;

-- Compare every variant's answer with the plain table's, both ways.
CREATE TABLE question (number integer, source text, query text);
CREATE TABLE variant (name text, source text, setting text, value text);
INSERT INTO variant VALUES ('on', 'x', 'pg_warehouse.expand_views', 'on'), ('off', 'x', 'pg_warehouse.expand_views', 'off'),
    ('cap', 'x', 'pg_warehouse.expand_max_slices', '3'), ('chunk', 'x', 'pg_warehouse.expand_chunk_size', '3'),
    ('union', 'u', 'pg_warehouse.expand_views', 'on');
CREATE FUNCTION oracle_compare(variants text[], OUT number integer, OUT variant text, OUT rows bigint, OUT wrong text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	p question;
	v variant;
	expected text[];
	got text[];
	missing bigint;
	extra bigint;
BEGIN
	FOR p IN SELECT * FROM question AS q WHERE source = 'plain' ORDER BY q.number LOOP
		number := p.number;
		expected := oracle_answer(p.query);
		FOR v IN SELECT * FROM variant WHERE name = ANY (variants) LOOP
			variant := v.name;
			wrong := NULL;
			PERFORM set_config(v.setting, v.value, false);
			BEGIN
				got := oracle_answer((SELECT query FROM question AS q WHERE q.number = p.number AND q.source = v.source));
				missing := 0;
				extra := 0;
				IF got <> expected THEN
					SELECT count(*) INTO missing FROM (SELECT unnest(expected) EXCEPT ALL SELECT unnest(got)) AS d;
					SELECT count(*) INTO extra FROM (SELECT unnest(got) EXCEPT ALL SELECT unnest(expected)) AS d;
				END IF;
				IF missing > 0 OR extra > 0 OR cardinality(got) <> cardinality(expected) THEN
					wrong := format('%s rows for %s, %s missing, %s extra', cardinality(got), cardinality(expected), missing, extra);
				END IF;
			EXCEPTION WHEN OTHERS THEN
				wrong := SQLSTATE || ': ' || SQLERRM;
			END;
			EXECUTE 'RESET ' || v.setting;
			rows := cardinality(expected);
			RETURN NEXT;
		END LOOP;
	END LOOP;
END $$;

-- How many slices a plan names, and how many its foreign scans say they read.
CREATE FUNCTION oracle_slices(query text, OUT named integer, OUT scanned integer) LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	named := 0;
	scanned := 0;
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
		IF line ~ ' on (utc|ny|lh)\.[ux]_' THEN
			named := named + 1;
		ELSIF line ~ 'Slices: \d+ of \d+' THEN
			scanned := scanned + substring(line FROM 'Slices: (\d+) of')::integer;
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION oracle_stable() RETURNS timestamptz STABLE LANGUAGE plpgsql AS $$BEGIN RETURN timestamptz '2024-11-03 00:00+00'; END$$;
CREATE FUNCTION oracle_inlined(day date) RETURNS date IMMUTABLE LANGUAGE sql AS 'SELECT day + 0'});

foreach my $kind (kinds())
{
	foreach my $source ([ "public.x_$kind", "x_$kind" ], [ "public.u_$kind", "u_$kind" ], [ "plain_$kind", "plain_$kind" ])
	{
		$node->safe_psql('postgres', qq{
CREATE VIEW user_$source->[1] AS SELECT id, t::date AS day, t, amount, schema_name AS tenant FROM $source->[0] WHERE n IS NOT NULL;
CREATE VIEW group_$source->[1] AS SELECT schema_name, t::date AS day, count(*) AS c, sum(amount) AS s FROM $source->[0] GROUP BY 1, 2});
	}
}

# Put the names of a source into a question.
sub question
{
	my ($query, $kind, $source) = @_;
	my %type = (tz => 'timestamptz', ts => 'timestamp', dt => 'date');
	my %names = $source eq 'plain'
	  ? (V => "plain_$kind", A => "plain_ny_$kind", U => "user_plain_$kind", G => "group_plain_$kind")
	  : (V => "public.${source}_$kind", A => "ny.${source}_$kind", U => "user_${source}_$kind", G => "group_${source}_$kind");

	$query =~ s/\{TYPE\}/$type{$kind}/g;
	$query =~ s/\{([VAUG])\}/$names{$1}/g;

	return $query;
}

# Let table question hold these, of one kind.
sub ask
{
	my ($kind, @questions) = @_;
	my @rows;

	for my $i (0 .. $#questions)
	{
		push @rows, "($i, '$_', \$oracle\$" . question($questions[$i], $kind, $_) . '$oracle$)' foreach 'plain', 'x', 'u';
	}
	$node->safe_psql('postgres', 'TRUNCATE question; INSERT INTO question VALUES ' . join(",\n", @rows));

	return;
}

# Compare variants of the questions with the plain table in one zone; the
# settings that the comparison takes are one more variant.
sub compare
{
	my ($kind, $zone, $variants, $more, @questions) = @_;
	my @answers = split /\n/, $node->safe_psql('postgres', "SET timezone = '$zone'; $more SELECT * FROM oracle_compare('{$variants}')");
	my @wrong = grep { !/\|$/ } @answers;
	my $empty = grep { /\|on\|0\|/ } @answers;

	is(scalar @answers, @questions * split(/,/, $variants), "$kind in $zone: every question was asked");
	is(scalar @wrong, 0, "$kind in $zone: and answered as by the plain table");
	cmp_ok($empty, '<', @questions / 4, "$kind in $zone: mostly with rows");
	foreach (@wrong[ 0 .. ($#wrong < 9 ? $#wrong : 9) ])
	{
		my ($number, $variant, undef, $what) = split /\|/, $_, 4;

		diag("$variant: $what: " . question($questions[$number], $kind, $variant eq 'union' ? 'u' : 'x'));
	}

	return;
}

# The zone is nothing to the shape of a plan: what differs in that only is left
# out in some zones, unless WH_LONG asks for all.  Of the zones after the first
# three, whose days are no day of a tenant, types without a zone have every
# other one.
my $every = 'on,off,cap,chunk,union';
my $most = $ENV{WH_LONG} ? $every : 'on,off';
my @zones = ('UTC', 'Australia/Lord_Howe', 'America/New_York', 'XST5XDT,M3.2.0/23:30,M11.1.0', 'Europe/London', 'America/St_Johns',
	'Asia/Tehran', 'Pacific/Apia', 'Asia/Kolkata');
my @texts = map { $_->[0] } @queries;

cmp_ok(scalar @texts, '>=', 80, 'at least 80 questions');
cmp_ok(scalar @outer, '>=', 38, 'at least 38 of outer joins');
foreach my $kind (kinds())
{
	ask($kind, @texts);
	my @others = grep { $ENV{WH_LONG} || $kind eq 'tz' || $_ % 2 == 1 } 3 .. $#zones;

	compare($kind, $_, $every, '', @texts) foreach @zones[ 0 .. 2 ];
	compare($kind, $_, $most, '', @texts) foreach @zones[@others];
	compare($kind, 'America/New_York', 'on,off', 'SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET force_parallel_mode = on;', @texts);

	# What may be left out is left out, expanded and scanned alike.
	foreach my $zone ('UTC', 'Australia/Lord_Howe')
	{
		my %read = (x => {}, off => {});

		foreach my $source ('on', 'off')
		{
			my @lines = split /\n/, $node->safe_psql('postgres',
				"SET timezone = '$zone'; SET pg_warehouse.expand_views = $source; SELECT number, named, scanned FROM question, oracle_slices(query) WHERE source = 'x' ORDER BY number");

			foreach (@lines)
			{
				my ($number, $named, $scanned) = split /\|/;

				$read{$source}{$number} = $source eq 'on' ? $named : $scanned;
			}
		}

		my @wasteful = grep { defined $queries[$_][1] && ($read{on}{$_} > $queries[$_][1] || $read{off}{$_} > $queries[$_][1]) } 0 .. $#queries;

		is(scalar @wasteful, 0, "$kind in $zone: no question reads more slices than it needs");
		diag("$read{on}{$_} expanded, $read{off}{$_} scanned, $queries[$_][1] needed: $queries[$_][0]") foreach @wasteful;
	}

	ask($kind, @outer);
	compare($kind, 'UTC', $every, '', @outer);
	compare($kind, $_, $most, '', @outer) foreach 'America/New_York', 'Australia/Lord_Howe';
}

done_testing();
