-- The layout expand: which slices a query reads, whatever becomes of its plan.
-- The slices are made here by hand, and the ledger's rows with them: whoever
-- writes there, sessions and kept plans hear of it.
\set VERBOSITY default
LOAD 'pg_warehouse';
SET TimeZone = 'UTC';
SET DateStyle = ISO;

-- Two tenants, thirty days each: one goes by UTC, one by New York.
CREATE SCHEMA exp_a AUTHORIZATION whadmin;
CREATE SCHEMA exp_b AUTHORIZATION whadmin;
SET ROLE whadmin;
SELECT format('CREATE TABLE exp_%s.%I AS SELECT %s + h AS id, start + h * interval ''1 hour'' AS at, %L::text AS note '
              'FROM (SELECT timestamp %L AT TIME ZONE %L AS start) AS s, generate_series(0, 23) AS h',
              tenant, to_char(day, '"ev_"YYYY_MM_DD'), (day - '2024-01-01') * 100, tenant, day, zone)
FROM (VALUES ('a', 'UTC'), ('b', 'America/New_York')) AS t (tenant, zone),
    (SELECT date '2024-02-20' + i AS day FROM generate_series(0, 29) AS i) AS d
\gexec
-- The same rows in plain tables, to compare with.
RESET ROLE;
CREATE SCHEMA exp_p
    CREATE TABLE ev (id integer, at timestamptz, note text, schema_name text)
    CREATE VIEW a_ev AS SELECT id, at, note FROM ev WHERE schema_name = 'exp_a'
    CREATE TABLE ew (day date, at timestamp, schema_name text);
SELECT format('INSERT INTO exp_p.ev SELECT *, %L FROM %s', relnamespace::regnamespace, oid::regclass)
FROM pg_class WHERE relnamespace IN ('exp_a'::regnamespace, 'exp_b'::regnamespace) AND relkind = 'r' ORDER BY oid
\gexec
SET ROLE whadmin;
CREATE FOREIGN TABLE _wh_union.ev (id integer, at timestamptz, note text, schema_name text)
    SERVER pg_warehouse_union OPTIONS (template 'ev', time_column 'at');
CREATE VIEW exp_a.ev AS SELECT id, at, note FROM _wh_union.ev WHERE schema_name = 'exp_a';
CREATE VIEW public.ev AS SELECT id, at, note, schema_name FROM _wh_union.ev;
GRANT USAGE ON SCHEMA exp_a TO phood_ro;
GRANT SELECT ON exp_a.ev, public.ev TO phood_ro;
RESET ROLE;

-- No slice yet: typed and empty.
SELECT * FROM public.ev;
EXPLAIN (COSTS OFF) SELECT * FROM public.ev;

INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name,
    state, row_count, lower_bound, upper_bound, bounds_of)
SELECT 'ev', tenant, 'day', day, day + 1, 'exp_' || tenant, to_char(day, '"ev_"YYYY_MM_DD'), 'loaded', 24,
    day::timestamp AT TIME ZONE zone, (day + 1)::timestamp AT TIME ZONE zone, 'at timestamp with time zone'
FROM (VALUES ('a', 'UTC'), ('b', 'America/New_York')) AS t (tenant, zone),
    (SELECT date '2024-02-20' + i AS day FROM generate_series(0, 29) AS i) AS d;

-- What a query reads: the slices in its plan, or what the foreign scan says.
CREATE FUNCTION pg_temp.reads(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    slices text[] := '{}';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
        slices := slices || coalesce(substring(line FROM 'on (exp_\w+\.\w+_[\d_]+)'), substring(line FROM 'Slices: .*'));
    END LOOP;
    RETURN (SELECT CASE WHEN count(*) <= 4 THEN coalesce(string_agg(replace(s, 'ev_2024_', ''), ' ' ORDER BY s), 'nothing')
                        ELSE count(*) || ' slices' END
            FROM unnest(slices) AS s WHERE s IS NOT NULL);
END $$;

-- A query's answer as it is planned, as the foreign table scans, and where it
-- can be had, as plain tables have it.
CREATE FUNCTION pg_temp.answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE 'SELECT count(*) || '' rows, '' || coalesce(md5(string_agg(q::text, '';'' ORDER BY q::text)), '''') FROM (' || query || ') AS q' INTO result;
    RETURN result;
END $$;
CREATE FUNCTION pg_temp.answers(query text, plain boolean = true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    planned text := pg_temp.answer(query);
    scanned text;
    truth text;
BEGIN
    SET LOCAL pg_warehouse.expand_views = off;
    scanned := pg_temp.answer(query);
    SET LOCAL pg_warehouse.expand_views = on;
    IF plain THEN
        query := replace(replace(query, 'exp_a.ev', 'exp_p.a_ev'), 'public.ev', 'exp_p.ev');
        query := regexp_replace(query, '_wh_union[.]ew(_at)?', 'exp_p.ew', 'g');
        truth := pg_temp.answer(query);
    END IF;
    IF planned <> scanned OR planned <> truth THEN
        RETURN concat_ws('; ', 'planned ' || planned, 'scanned ' || scanned, 'in truth ' || truth);
    END IF;
    RETURN split_part(planned, ',', 1);
END $$;

CREATE TABLE exp_queries (n integer GENERATED ALWAYS AS IDENTITY, query text);
INSERT INTO exp_queries (query) VALUES
    ('SELECT * FROM exp_a.ev WHERE at >= ''2024-03-01'' AND at < ''2024-03-02'''),
    ('SELECT * FROM public.ev WHERE at >= ''2024-03-01'' AND at < ''2024-03-02'''),
    ('SELECT * FROM public.ev WHERE ''2024-02-21'' > at'),
    ('SELECT * FROM public.ev WHERE at BETWEEN ''2024-03-01 12:00'' AND ''2024-03-02 12:00'' AND schema_name LIKE ''%b'''),
    ('SELECT * FROM exp_a.ev WHERE at IN (''2024-03-01 12:00'', ''2024-03-05'', NULL)'),
    ('SELECT * FROM exp_a.ev WHERE at = ANY (''{2024-03-01 12:00, 2024-03-05}''::timestamptz[])'),
    ('SELECT * FROM exp_a.ev WHERE at < ''2024-02-21'' OR (at >= ''2024-03-19'' AND id > 0)'),
    ('SELECT * FROM exp_a.ev WHERE NOT (at >= ''2024-02-21'' OR id < 0)'),
    ('SELECT * FROM exp_a.ev WHERE at::date = ''2024-03-01'''),
    ('SELECT * FROM public.ev WHERE at::date = ''2024-03-01'''),
    ('SELECT * FROM exp_a.ev WHERE (at AT TIME ZONE ''UTC'')::date = ''2024-03-01'''),
    ('SELECT * FROM exp_a.ev WHERE (at AT TIME ZONE ''America/New_York'')::date = ''2024-03-01'''),
    ('SELECT * FROM exp_a.ev WHERE (at AT TIME ZONE ''America/New_York'')::date = ''2024-03-10'''),
    ('SELECT * FROM exp_a.ev WHERE at::timestamp < ''2024-02-21'''),
    ('SELECT * FROM exp_a.ev WHERE date_trunc(''day'', at) = ''2024-03-01'''),
    ('SELECT * FROM exp_a.ev WHERE date_trunc(''month'', at) = ''2024-02-01'''),
    ('SELECT * FROM exp_a.ev WHERE date_trunc(''week'', at, ''Asia/Tokyo'') < ''2024-02-25'''),
    ('SELECT * FROM exp_a.ev WHERE extract(year FROM at) = 2023'),
    ('SELECT * FROM exp_a.ev WHERE date_part(''year'', at) < 2024'),
    ('SELECT * FROM exp_a.ev WHERE extract(epoch FROM at) < 1708473600'),
    ('SELECT * FROM exp_a.ev WHERE extract(year FROM at)::integer = 2023'),
    ('SELECT * FROM exp_a.ev WHERE at + interval ''1 day'' < ''2024-02-22'''),
    ('SELECT * FROM exp_a.ev WHERE at - interval ''1 month'' < ''2024-01-21'''),
    ('SELECT * FROM exp_a.ev WHERE (at < ''2024-02-21'') IS TRUE'),
    ('SELECT * FROM exp_a.ev WHERE at < NULL'),
    ('SELECT * FROM exp_a.ev WHERE false'),
    ('SELECT * FROM public.ev WHERE schema_name = ''exp_c'''),
    ('SELECT * FROM public.ev WHERE upper(schema_name) <> ''EXP_B'' AND at < ''2024-02-21'''),
    ('SELECT * FROM public.ev WHERE (schema_name = ''exp_a'' AND at < ''2024-02-21'') OR (schema_name = ''exp_b'' AND at > ''2024-03-20'')'),
    -- Another question than the ledger can answer: every slice.
    ('SELECT * FROM exp_a.ev WHERE extract(month FROM at) = 3'),
    ('SELECT * FROM exp_a.ev WHERE at < ''2024-02-21'' OR at IS NULL OR id = 5'),
    ('SELECT * FROM exp_a.ev WHERE at <> ''2024-02-21'''),
    ('SELECT * FROM exp_a.ev WHERE random() < 2'),
    -- Through what stands around the view.
    ('SELECT n FROM (SELECT note AS n, at AS t FROM public.ev UNION ALL SELECT ''x'', now()) AS q WHERE t < ''2024-02-21'''),
    ('WITH w AS (SELECT * FROM exp_a.ev) SELECT * FROM w WHERE at < ''2024-02-21'''),
    ('WITH w AS (SELECT * FROM exp_a.ev) SELECT x.id FROM w AS x, w AS y WHERE x.at < ''2024-02-21'' AND y.id = x.id'),
    ('SELECT d, count(*) FROM (SELECT date_trunc(''day'', at) AS d FROM exp_a.ev) AS q WHERE d = ''2024-03-01'' GROUP BY 1'),
    ('SELECT * FROM (SELECT at, count(*) AS n FROM public.ev GROUP BY at) AS q WHERE at < ''2024-02-21'' AND n > 0'),
    ('SELECT * FROM (SELECT DISTINCT at::date AS d FROM exp_a.ev) AS q WHERE d < ''2024-02-21'''),
    ('SELECT x.id FROM generate_series(4900, 5100) AS x (id) LEFT JOIN exp_a.ev AS e ON e.id = x.id AND e.at < ''2024-02-21'''),
    ('SELECT x.id FROM generate_series(4900, 5100) AS x (id) LEFT JOIN exp_a.ev AS e USING (id) WHERE e.at < ''2024-02-21'''),
    ('SELECT x.id FROM generate_series(4900, 5100) AS x (id) WHERE EXISTS (SELECT FROM exp_a.ev AS e WHERE e.id = x.id AND e.at < ''2024-02-21'')'),
    -- There it would change what is left.
    ('SELECT x.id FROM generate_series(4900, 5100) AS x (id) LEFT JOIN exp_a.ev AS e USING (id) WHERE e.at < ''2024-02-21'' OR e.at IS NULL'),
    ('SELECT * FROM (SELECT id, at FROM exp_a.ev ORDER BY at DESC LIMIT 5) AS q WHERE at < ''2024-02-21'''),
    ('SELECT * FROM (SELECT at, rank() OVER (ORDER BY at) AS r FROM exp_a.ev) AS q WHERE at > ''2024-03-20 20:00'''),
    ('SELECT * FROM (SELECT DISTINCT ON (note) note, at FROM exp_a.ev ORDER BY note, at) AS q WHERE at > ''2024-03-20'''),
    ('SELECT count(*) FROM exp_a.ev HAVING min(at) < ''2024-02-21''');
SELECT pg_temp.reads(query) AS reads, pg_temp.answers(query) AS answers, query FROM exp_queries ORDER BY n;
-- In other zones of the session, in and out of their winters.
SET TimeZone = 'Australia/Lord_Howe';
SELECT pg_temp.reads(query) AS reads, pg_temp.answers(query) AS answers, query FROM exp_queries WHERE n IN (9, 14, 15, 16, 19) ORDER BY n;
SET TimeZone = 'Asia/Kolkata';
SELECT pg_temp.reads(query) AS reads, pg_temp.answers(query) AS answers, query FROM exp_queries WHERE n IN (9, 14, 15, 16, 19) ORDER BY n;
RESET TimeZone;
SET TimeZone = 'UTC';
-- At any size of chunk, and beyond the most that is planned.
SET pg_warehouse.expand_chunk_size = 3;
SELECT count(*) FILTER (WHERE pg_temp.answers(query) ~ '^\d+ rows$') = count(*) AS right FROM exp_queries;
SET pg_warehouse.expand_max_slices = 3;
SELECT count(*) FILTER (WHERE pg_temp.answers(query) ~ '^\d+ rows$') = count(*) AS right FROM exp_queries;
SELECT pg_temp.reads(query) AS reads, query FROM exp_queries WHERE n IN (2, 7, 16, 20) ORDER BY n;
RESET pg_warehouse.expand_chunk_size;
RESET pg_warehouse.expand_max_slices;

-- A foreign scan prunes when it begins.
SET pg_warehouse.expand_views = off;
EXPLAIN (COSTS OFF) SELECT * FROM public.ev WHERE at >= '2024-03-01' AND at < '2024-03-02';
EXPLAIN (COSTS OFF) SELECT * FROM exp_a.ev WHERE extract(year FROM at) = 2023;
RESET pg_warehouse.expand_views;

-- Kept plans.  The clock is a setting here, so that it moves when we say.
CREATE FUNCTION exp_now() RETURNS timestamptz STABLE LANGUAGE sql AS $$ SELECT current_setting('test.now')::timestamptz $$;
SET test.now = '2024-03-01 12:00+00';
SET plan_cache_mode = force_generic_plan;
PREPARE today AS SELECT count(*), min(at), max(at) FROM exp_a.ev WHERE at >= date_trunc('day', exp_now()) AND at < exp_now() + interval '1 hour';
EXECUTE today;
SELECT pg_temp.reads('EXECUTE today');
SET test.now = '2024-03-02 00:00+00';
EXECUTE today;
SELECT pg_temp.reads('EXECUTE today');
SET test.now = '2034-03-02 00:00+00';
EXECUTE today;
SELECT pg_temp.reads('EXECUTE today');
PREPARE local AS SELECT count(*), min(at), max(at) FROM exp_a.ev WHERE at::date = '2024-03-01';
EXECUTE local;
SET TimeZone = 'Asia/Tokyo';
EXECUTE local;
BEGIN;
SET LOCAL TimeZone = 'America/New_York';
EXECUTE local;
ROLLBACK;
EXECUTE local;
SET TimeZone = 'UTC';
PREPARE param (timestamptz, text) AS SELECT count(*), min(at), max(at) FROM public.ev WHERE at >= $1 AND schema_name = $2;
EXECUTE param ('2024-03-19', 'exp_a');
EXECUTE param ('2024-03-20', 'exp_b');
SELECT pg_temp.reads('EXECUTE param (''2024-03-20'', ''exp_b'')');
EXECUTE param (NULL, 'exp_b');
SET plan_cache_mode = auto;
-- A generic plan is never cheaper than one for the values at hand.
DO $$
DECLARE
    n bigint;
BEGIN
    FOR i IN 0 .. 29 LOOP
        SELECT count(*) INTO n FROM exp_a.ev WHERE at >= timestamptz '2024-02-20' + i * interval '1 day' AND at < timestamptz '2024-02-21' + i * interval '1 day';
        IF n <> 24 THEN
            RAISE 'day % has % rows', i, n;
        END IF;
    END LOOP;
END $$;
PREPARE cheap (timestamptz) AS SELECT count(*) FROM exp_a.ev WHERE at >= $1 AND note = $1::text;
EXECUTE cheap ('2024-03-19');
EXECUTE cheap ('2024-03-19');
EXECUTE cheap ('2024-03-19');
EXECUTE cheap ('2024-03-19');
EXECUTE cheap ('2024-03-19');
EXECUTE cheap ('2024-03-19');
SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'cheap';
-- The library need not be at work when the plan is made, nor when it is run.
SET pg_warehouse.expand_views = off;
PREPARE scanned AS SELECT count(*) FROM exp_a.ev WHERE at < exp_now() AND at >= exp_now() - interval '1 day';
SET test.now = '2024-03-02 00:00+00';
EXECUTE scanned;
SET test.now = '2024-03-22 00:00+00';
EXECUTE scanned;
SET pg_warehouse.expand_views = on;
SET test.now = '2024-03-02 00:00+00';
EXECUTE today;
EXECUTE scanned;
SET pg_warehouse.expand_views = off;
SET test.now = '2024-03-03 00:00+00';
EXECUTE today;
RESET pg_warehouse.expand_views;
SET pg_warehouse.expand_max_slices = 0;
SET test.now = '2024-03-04 00:00+00';
EXECUTE today;
RESET pg_warehouse.expand_max_slices;

-- A cursor that was promised to go backward does.
SET plan_cache_mode = force_generic_plan;
CREATE FUNCTION exp_cursor() RETURNS SETOF timestamptz LANGUAGE plpgsql AS $$
DECLARE
    c SCROLL CURSOR FOR SELECT at FROM exp_a.ev WHERE at >= exp_now() - interval '1 day' AND at < exp_now() ORDER BY at;
    t timestamptz;
BEGIN
    OPEN c;
    FETCH LAST FROM c INTO t;
    RETURN NEXT t;
    FETCH FIRST FROM c INTO t;
    RETURN NEXT t;
    CLOSE c;
END $$;
SET test.now = '2024-03-02 00:00+00';
SELECT * FROM exp_cursor();
SET test.now = '2024-03-05 00:00+00';
SELECT * FROM exp_cursor();
BEGIN;
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT at FROM exp_a.ev WHERE at::date = '2024-03-01';
FETCH 1 FROM c;
SET TimeZone = 'Asia/Tokyo';
MOVE LAST FROM c;
COMMIT;
SET TimeZone = 'UTC';
FETCH BACKWARD 1 FROM c;
CLOSE c;
RESET plan_cache_mode;

-- Slices that come, go and move: kept plans follow, also within a transaction
-- and after it was undone.  A refresh that only counts anew leaves them alone.
PREPARE kept AS SELECT count(*) FROM exp_a.ev WHERE at >= '2024-03-19';
EXECUTE kept;
CREATE TABLE exp_a.ev_2024_03_21 AS SELECT id, at + interval '1 day' AS at, note FROM exp_a.ev_2024_03_20;
ALTER TABLE exp_a.ev_2024_03_21 OWNER TO whadmin;
EXECUTE kept;
BEGIN;
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state, lower_bound, upper_bound, bounds_of)
VALUES ('ev', 'a', 'day', '2024-03-21', '2024-03-22', 'exp_a', 'ev_2024_03_21', 'loaded', '2024-03-21 00:00+00', '2024-03-22 00:00+00', 'at timestamp with time zone');
EXECUTE kept;
SAVEPOINT s;
UPDATE _wh.slices SET state = 'empty' WHERE template_name = 'ev' AND tenant_name = 'a' AND period_start > '2024-03-19';
EXECUTE kept;
ROLLBACK TO s;
EXECUTE kept;
ROLLBACK;
EXECUTE kept;
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state, lower_bound, upper_bound, bounds_of)
VALUES ('ev', 'a', 'day', '2024-03-21', '2024-03-22', 'exp_a', 'ev_2024_03_21', 'loaded', '2024-03-21 00:00+00', '2024-03-22 00:00+00', 'at timestamp with time zone');
EXECUTE kept;
DELETE FROM _wh.slices WHERE template_name = 'ev' AND tenant_name = 'a' AND period_start = '2024-03-21';
EXECUTE kept;
ALTER TABLE exp_a.ev_2024_03_20 RENAME TO ev_2024_03_20_;
CREATE TABLE exp_a.ev_2024_03_20 AS SELECT * FROM exp_a.ev_2024_03_20_ LIMIT 1;
ALTER TABLE exp_a.ev_2024_03_20 OWNER TO whadmin;
EXECUTE kept;
DROP TABLE exp_a.ev_2024_03_20;
ALTER TABLE exp_a.ev_2024_03_20_ RENAME TO ev_2024_03_20;
EXECUTE kept;

-- Slices that overlap cannot be told apart by time.
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state)
VALUES ('ev', 'a', 'month', '2024-02-01', '2024-03-01', 'exp_a', 'ev_2024_02', 'rolled_up');
\echo :SQLSTATE

-- Bounds hold for the column and type they were written for, and as they are:
-- a slice without them, or with another's, is always read.
UPDATE _wh.slices SET bounds_of = 'id integer' WHERE template_name = 'ev' AND tenant_name = 'a' AND period_start = '2024-02-20';
UPDATE _wh.slices SET lower_bound = NULL WHERE template_name = 'ev' AND tenant_name = 'a' AND period_start = '2024-02-21';
UPDATE _wh.slices SET lower_bound = '2024-02-29 00:00+00' WHERE template_name = 'ev' AND tenant_name = 'a' AND period_start = '2024-03-15';
SELECT pg_temp.reads('SELECT * FROM exp_a.ev WHERE at >= ''2024-03-01'' AND at < ''2024-03-02''');
UPDATE _wh.slices SET bounds_of = 'at timestamp with time zone', lower_bound = period_start::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'ev' AND tenant_name = 'a';
SELECT pg_temp.reads('SELECT * FROM exp_a.ev WHERE at >= ''2024-03-01'' AND at < ''2024-03-02''');

-- Older slices: a column less, one more, another type that casts or does not,
-- another order.
SET ROLE whadmin;
ALTER TABLE exp_a.ev_2024_03_01 DROP COLUMN note;
ALTER TABLE exp_a.ev_2024_03_02 ALTER COLUMN note TYPE varchar(3), ADD COLUMN more integer;
ALTER TABLE exp_a.ev_2024_03_03 ALTER COLUMN id TYPE bigint;
ALTER TABLE exp_a.ev_2024_03_04 ALTER COLUMN id TYPE boolean USING true;
ALTER TABLE exp_a.ev_2024_03_05 ALTER COLUMN id TYPE point USING NULL;
RESET ROLE;
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM public.ev WHERE at >= '2024-03-01' AND at < '2024-03-06' AND schema_name = 'exp_a';
SELECT pg_temp.answers('SELECT * FROM exp_a.ev WHERE at >= ''2024-03-01'' AND at < ''2024-03-06''', false);
SELECT at::date AS day, count(*), count(id) AS ids, count(note) AS notes, max(pg_typeof(id)::text) AS id, max(pg_typeof(note)::text) AS note
FROM public.ev WHERE at >= '2024-03-01' AND at < '2024-03-06' AND schema_name = 'exp_a' GROUP BY 1 ORDER BY 1;
-- The foreign table altered by hand shows what it can.
ALTER FOREIGN TABLE _wh_union.ev ADD COLUMN extra numeric, ADD COLUMN gone integer;
ALTER FOREIGN TABLE _wh_union.ev DROP COLUMN gone;
SELECT pg_temp.answers('SELECT e.*, e FROM _wh_union.ev AS e WHERE at < ''2024-02-21''', false);
SELECT * FROM _wh_union.ev AS e WHERE at = '2024-02-20 05:00+00' ORDER BY schema_name;
SELECT e FROM _wh_union.ev AS e WHERE at = '2024-02-20 05:00+00' ORDER BY schema_name;
ALTER FOREIGN TABLE _wh_union.ev DROP COLUMN extra;

-- Dates and timestamps are the tenant's wall clock; a view, as a live
-- template's relation is, has no bounds.
SET ROLE whadmin;
CREATE TABLE exp_a.ew_1 AS SELECT date '2024-01-01' + i AS day, (date '2024-01-01' + i)::timestamp + interval '23 hours' AS at FROM generate_series(0, 30) AS i;
CREATE TABLE exp_a.ew_2 AS SELECT date '2024-02-01' + i AS day, (date '2024-02-01' + i)::timestamp + interval '23 hours' AS at FROM generate_series(0, 28) AS i;
CREATE VIEW exp_b.ew AS SELECT day, at FROM exp_a.ew_1 WHERE day < '2024-01-03' UNION ALL SELECT day, at FROM exp_a.ew_2 WHERE day = '2024-02-01';
CREATE FOREIGN TABLE _wh_union.ew (day date, at timestamp, schema_name text) SERVER pg_warehouse_union OPTIONS (template 'ew', time_column 'day');
CREATE FOREIGN TABLE _wh_union.ew_at (day date, at timestamp, schema_name text) SERVER pg_warehouse_union OPTIONS (template 'ew_at', time_column 'at');
RESET ROLE;
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state, row_count, lower_bound, upper_bound, bounds_of)
SELECT t, 'a', 'month', d, (d + interval '1 month')::date, 'exp_a', r, 'rolled_up', 30, timestamptz '2000-01-01', timestamptz '2000-01-01', b
FROM (VALUES ('ew', 'day date'), ('ew_at', 'at timestamp without time zone')) AS t (t, b),
    (VALUES (date '2024-01-01', 'ew_1'), ('2024-02-01', 'ew_2')) AS d (d, r)
UNION ALL
SELECT t, 'b', 'whole', '-infinity', 'infinity', 'exp_b', 'ew', 'loaded', NULL, NULL, NULL, NULL FROM (VALUES ('ew'), ('ew_at')) AS t (t);
INSERT INTO exp_p.ew SELECT *, 'exp_a' FROM exp_a.ew_1 UNION ALL SELECT *, 'exp_a' FROM exp_a.ew_2 UNION ALL SELECT *, 'exp_b' FROM exp_b.ew;
CREATE FUNCTION pg_temp.both(what text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.reads(what) || ', ' || pg_temp.answers(what) $$;
SELECT query, pg_temp.both('SELECT * FROM _wh_union.' || query) FROM (VALUES
    ('ew WHERE day BETWEEN ''2024-01-31'' AND ''2024-01-31'''),
    ('ew WHERE day < ''2024-01-02'' AND schema_name = ''exp_a'''),
    ('ew WHERE day >= ''2024-02-01 00:00''::timestamp'),
    ('ew WHERE day > ''2024-01-31 23:00+00''::timestamptz'),
    ('ew WHERE extract(year FROM day) = 2023'),
    ('ew WHERE day + 1 = ''2024-02-01'''),
    ('ew WHERE date_trunc(''month'', day) = ''2024-02-01'''),
    ('ew_at WHERE at = ''2024-01-31 23:00'''),
    ('ew_at WHERE at::date = ''2024-02-01'''),
    ('ew_at WHERE at AT TIME ZONE ''America/New_York'' < ''2024-02-01 04:30+00'''),
    ('ew_at WHERE at < ''2024-01-31 23:59:59.999999+00''::timestamptz'),
    ('ew_at WHERE at >= ''2024-02-01''')) AS q (query);
SELECT count(*) FROM _wh_union.ew AS x JOIN _wh_union.ew AS y USING (day, schema_name) WHERE x.day < '2024-01-05';

-- A relation that was made but holds nothing yet is passed over; filling it
-- makes kept plans anew.
SET ROLE whadmin;
CREATE MATERIALIZED VIEW exp_b.ew_3 AS SELECT date '2024-03-01' AS day, timestamp '2024-03-01' AS at WITH NO DATA;
RESET ROLE;
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state)
VALUES ('ew', 'c', 'month', '2024-03-01', '2024-04-01', 'exp_b', 'ew_3', 'loaded');
PREPARE filled AS SELECT count(*) FROM _wh_union.ew;
EXECUTE filled;
EXECUTE filled;
REFRESH MATERIALIZED VIEW exp_b.ew_3;
EXECUTE filled;

-- One that was dropped by hand: who needs it is told, others are not.
SET ROLE whadmin;
DROP TABLE exp_a.ev_2024_03_07;
DROP VIEW exp_b.ew;
SELECT count(*) FROM exp_a.ev WHERE at < '2024-03-07';
SELECT count(*) FROM exp_a.ev WHERE at < '2024-03-08';
\echo :SQLSTATE
SELECT count(*) FROM _wh_union.ew;
DROP TABLE exp_a.ew_2;
SELECT count(*) FROM _wh_union.ew WHERE day = '2024-02-03' AND schema_name = 'exp_a';
SET pg_warehouse.expand_views = off;
SELECT count(*) FROM exp_a.ev WHERE at < '2024-03-07';
SELECT count(*) FROM exp_a.ev WHERE at < '2024-03-08';
RESET pg_warehouse.expand_views;
PREPARE lost (timestamptz) AS SELECT count(*) FROM exp_a.ev WHERE at < $1;
EXECUTE lost ('2024-02-21');
SET plan_cache_mode = force_generic_plan;
EXECUTE lost ('2024-02-21');
EXECUTE lost ('2024-03-21');
RESET plan_cache_mode;
RESET ROLE;
DELETE FROM _wh.slices WHERE template_name = 'ev' AND tenant_name = 'a' AND period_start = '2024-03-07';

-- A reader needs the view only.
SET ROLE phood_ro;
SELECT count(*) FROM exp_a.ev WHERE at < '2024-02-21';
SELECT count(*) FROM public.ev WHERE at < '2024-02-21';
SET pg_warehouse.expand_views = off;
SELECT count(*) FROM exp_a.ev WHERE at < '2024-02-21';
RESET pg_warehouse.expand_views;
SELECT count(*) FROM _wh_union.ev WHERE at < '2024-02-21';
SELECT count(*) FROM exp_a.ev_2024_02_20;
PREPARE allowed AS SELECT count(*) FROM exp_a.ev WHERE at < exp_now() - interval '20 days';
SET test.now = '2024-03-12';
EXECUTE allowed;
RESET ROLE;
REVOKE SELECT ON exp_a.ev FROM phood_ro;
SET ROLE phood_ro;
EXECUTE allowed;
RESET ROLE;
GRANT SELECT (at) ON exp_a.ev TO phood_ro;
SET ROLE phood_ro;
SELECT count(at) FROM exp_a.ev WHERE at < '2024-02-21';
SELECT count(note) FROM exp_a.ev WHERE at < '2024-02-21';
RESET ROLE;
-- Slices are read in the name of whoever owns the foreign table.
REVOKE SELECT ON exp_a.ev_2024_02_20 FROM whadmin;
SELECT count(*) FROM exp_a.ev WHERE at < '2024-02-21';
SET pg_warehouse.expand_views = off;
SELECT count(*) FROM exp_a.ev WHERE at < '2024-02-21';
RESET pg_warehouse.expand_views;
GRANT SELECT ON exp_a.ev_2024_02_20 TO whadmin;
-- A function that tells what it sees does not see through a barrier.
CREATE FUNCTION exp_tell(text) RETURNS boolean STABLE COST 0.0001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
CREATE VIEW exp_guarded WITH (security_barrier) AS SELECT * FROM _wh_union.ev WHERE id < 0;
SELECT * FROM exp_guarded WHERE exp_tell(schema_name);
SET pg_warehouse.expand_views = off;
SELECT * FROM exp_guarded WHERE exp_tell(schema_name);
RESET pg_warehouse.expand_views;

-- Read only, and nothing that only a table has.
INSERT INTO public.ev (id) VALUES (1);
UPDATE public.ev SET id = 1;
DELETE FROM exp_a.ev;
COPY _wh_union.ev FROM PROGRAM 'true';
TRUNCATE _wh_union.ev;
SELECT * FROM public.ev FOR UPDATE;
\echo :SQLSTATE
SELECT * FROM public.ev TABLESAMPLE SYSTEM (1);
SELECT tableoid::regclass, count(*) FROM _wh_union.ev WHERE at < '2024-02-21' GROUP BY 1;
SELECT pg_temp.reads('SELECT tableoid FROM _wh_union.ev WHERE at < ''2024-02-21''');
CREATE TABLE exp_child () INHERITS (_wh_union.ev);
INSERT INTO exp_child (id, at, schema_name) VALUES (-1, '2024-02-20 12:00', 'child');
SELECT schema_name, count(*) FROM _wh_union.ev WHERE at < '2024-02-21' GROUP BY 1 ORDER BY 1;
SELECT schema_name, count(*) FROM ONLY _wh_union.ev WHERE at < '2024-02-21' GROUP BY 1 ORDER BY 1;
DROP TABLE exp_child;
CREATE TABLE exp_target (id integer, note text);
INSERT INTO exp_target VALUES (5000, 'old'), (-5, 'alone');
UPDATE exp_target AS t SET note = e.note FROM exp_a.ev AS e WHERE e.id = t.id AND e.at < '2024-02-21';
MERGE INTO exp_target AS t USING (SELECT * FROM exp_a.ev WHERE at < '2024-02-20 02:00') AS e ON t.id = e.id AND e.at >= '2024-02-20 01:00'
WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (e.id, 'merged');
SELECT * FROM exp_target ORDER BY id, note;
DROP TABLE exp_target;
SELECT set_config(name, 'on', false) AS parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT schema_name, count(*) FROM public.ev WHERE at::date <= '2024-02-21' GROUP BY 1 ORDER BY 1;
EXECUTE local;
SELECT set_config(name, 'off', false) AS parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');

-- The foreign table says what it shows.
CREATE FOREIGN TABLE exp_wrong (id integer) SERVER pg_warehouse_union;
\echo :SQLSTATE
CREATE FOREIGN TABLE exp_wrong (id integer) SERVER pg_warehouse_union OPTIONS (template 'ev', color 'red');
\echo :SQLSTATE
ALTER SERVER pg_warehouse_union OPTIONS (ADD template 'ev');
CREATE FOREIGN TABLE exp_odd (id boolean, at text, schema_name integer) SERVER pg_warehouse_union OPTIONS (template 'ev', time_column 'at');
SELECT pg_temp.reads('SELECT * FROM exp_odd WHERE at < ''2024'''), pg_temp.answers('SELECT * FROM exp_odd WHERE at < ''2024''', false);
CREATE FOREIGN TABLE exp_none (id integer) SERVER pg_warehouse_union OPTIONS (template 'no such template', time_column 'none');
SELECT * FROM exp_none;

-- What a load writes into the ledger; and rows that come past it, by a plain
-- REFRESH after the tenant's zone or the template's column changed.
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE exp_src AS SELECT i AS id, timestamptz '2024-02-01 00:30+00' + i * interval '1 hour' AS at, timestamptz '2030-01-01 00:00+00' + i * interval '1 day' AS due
FROM generate_series(0, 71) AS i;
GRANT SELECT ON exp_src TO wh_src;
\c :warehouse
LOAD 'pg_warehouse';
SET TimeZone = 'UTC';
SET DateStyle = ISO;
SELECT _wh.add_template('exp_l', 'SELECT id, at, due FROM exp_src WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz, due timestamptz',
    time_column => 'at', tenants => '{tenant_a}');
SELECT status, rows FROM _wh.wh_refresh('exp_l', 'tenant_a', '2024-02-01', '2024-02-02');
CREATE VIEW exp_ledger AS SELECT period_start, bounds_of, lower_bound, upper_bound FROM _wh.slices WHERE template_name = 'exp_l' ORDER BY 1;
SELECT * FROM exp_ledger;
SET client_min_messages = warning;
SELECT _wh.alter_tenant('tenant_a', time_zone => 'America/New_York');
SELECT count(*) FROM tenant_a.exp_l WHERE at < '2024-02-02';
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.exp_l_2024_02_02;
RESET ROLE;
SELECT * FROM exp_ledger;
SELECT count(*), min(at), max(at) FROM tenant_a.exp_l WHERE at >= '2024-02-03';
SELECT status, rows FROM _wh.wh_refresh('exp_l', 'tenant_a', '2024-02-02', '2024-02-02');
SELECT * FROM exp_ledger;
SELECT _wh.alter_template('exp_l', query_template => 'SELECT id, at, due FROM exp_src WHERE due >= {DAY_START}::timestamptz + interval ''6 years'' AND {DAY_END} > at AND id > 60',
    time_column => 'due');
SELECT _wh.update_tenant_union_view_by_template('exp_l', 'tenant_a');
SELECT count(*) FROM tenant_a.exp_l WHERE due < '2030-02-01';
SELECT _wh.alter_template('exp_l', reset => '{time_column}');
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.exp_l_2024_02_02;
RESET ROLE;
SELECT * FROM exp_ledger;
SELECT _wh.alter_tenant('tenant_a', time_zone => 'UTC');
SELECT _wh.drop_template('exp_l', drop_data => true) ->> 'template' AS dropped;
RESET client_min_messages;
DROP VIEW exp_ledger;
DELETE FROM _wh.extract_runs WHERE template_name = 'exp_l';
\c wh_tenant_a
DROP TABLE exp_src;
\c :warehouse

DROP VIEW exp_guarded;
DROP FOREIGN TABLE exp_odd, exp_none;
DROP FUNCTION exp_tell, exp_cursor;
DROP TABLE exp_queries;
DELETE FROM _wh.slices WHERE template_name IN ('ev', 'ew', 'ew_at');
DROP FOREIGN TABLE _wh_union.ev, _wh_union.ew, _wh_union.ew_at CASCADE;
SET client_min_messages = warning;
DROP SCHEMA exp_a, exp_b, exp_p CASCADE;
DROP FUNCTION exp_now;
