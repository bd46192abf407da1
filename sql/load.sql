-- Which way rows take, why, and what a forced one refuses.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE load_src (id bigint, at timestamptz, note text);
INSERT INTO load_src
SELECT i, timestamptz '2024-04-01 00:00+00' + i % 86400 * interval '1 second', repeat('x', i % 100)
FROM generate_series(1, 5000) AS i;
GRANT SELECT ON load_src TO wh_src;
\c :warehouse
SELECT _wh.add_template('load',
    $$SELECT id, at, note FROM load_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id bigint, at timestamptz, note text',
    $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)$$,
    time_column => 'at', tenants => '{tenant_a}', options => '{"max_shrink": 1}');

-- What was done, as the log tells it.
CREATE VIEW load_log AS
SELECT status, method, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del, rows_unchanged AS same,
       rows_loaded = rows_extracted AND rows_loaded = rows_inserted + rows_updated + rows_unchanged AS adds_up,
       context ->> 'reason' AS reason, sqlstate, error_message AS message, error_detail AS detail, error_hint AS hint
FROM _wh.extract_runs WHERE template_name = 'load' ORDER BY run_id DESC LIMIT 1;

-- Nothing stored: the two that need rows refuse.
SELECT status, sqlstate, message FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'delta');
SELECT detail, hint FROM load_log;
SELECT status, sqlstate FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'refill');
SELECT relname FROM pg_class WHERE relname LIKE 'load_2024%';

-- The first fill: frozen and all-visible from the start, with statistics, and no
-- page without rows.
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'first_fill');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;
SELECT relallvisible = relpages AS all_visible, reltuples, relispopulated,
       relpages = (SELECT count(DISTINCT (ctid::text::point)[0]) FROM tenant_a.load_2024_04_01) AS no_page_is_empty
FROM pg_class WHERE oid = 'tenant_a.load_2024_04_01'::regclass;
SELECT count(*) > 0 AS analyzed FROM pg_stats WHERE schemaname = 'tenant_a' AND tablename = 'load_2024_04_01';
SELECT status, sqlstate, message FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'first_fill');
SELECT detail, hint FROM load_log;

-- Rows stored: the difference.
\c wh_tenant_a
UPDATE load_src SET note = 'changed' WHERE id = 7;
DELETE FROM load_src WHERE id = 8;
INSERT INTO load_src VALUES (9001, '2024-04-01 12:00+00', 'new');
\c :warehouse
CALL _wh.run_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;

-- Much of it differs: the call that commits each unit goes over to a refill,
-- and does not where readers would wait for other units.
\c wh_tenant_a
UPDATE load_src SET note = note || '!' WHERE id % 3 = 0;
\c :warehouse
SELECT pg_relation_filenode('tenant_a.load_2024_04_01') AS node \gset
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;
SELECT pg_relation_filenode('tenant_a.load_2024_04_01') = :node AS same_file;
\c wh_tenant_a
UPDATE load_src SET note = note || '!' WHERE id % 3 = 1;
\c :warehouse
CALL _wh.run_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;
SELECT pg_relation_filenode('tenant_a.load_2024_04_01') = :node AS same_file;
SELECT count(*), sum(id), sum(length(note)) FROM tenant_a.load_2024_04_01;
\c wh_tenant_a
SELECT count(*), sum(id), sum(length(note)) FROM load_src;

-- More at the end than was stored before; and most of it gone.
INSERT INTO load_src SELECT i, timestamptz '2024-04-01 00:00+00', 'more' FROM generate_series(10000, 13000) AS i;
\c :warehouse
CALL _wh.run_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;
\c wh_tenant_a
DELETE FROM load_src WHERE id % 10 <> 0;
\c :warehouse
CALL _wh.run_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;
SELECT count(*), sum(id), sum(length(note)) FROM tenant_a.load_2024_04_01;
\c wh_tenant_a
SELECT count(*), sum(id), sum(length(note)) FROM load_src;

-- All of it in another order, with little memory to match it in.
INSERT INTO load_src SELECT i, timestamptz '2024-04-01 00:00+00', repeat('y', 500) FROM generate_series(20000, 29999) AS i;
\c :warehouse
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT _wh.alter_template('load',
    query_template => $$SELECT id, at, note FROM load_src WHERE at >= {DAY_START} AND at < {DAY_END} ORDER BY id DESC$$);
SET pg_warehouse.delta_memory = '1MB';
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins = del AS balanced, ins > 0 AS written, same > 0 AS matched, adds_up, reason FROM load_log;
SELECT count(*), sum(id), sum(length(note)) FROM tenant_a.load_2024_04_01;
RESET pg_warehouse.delta_memory;
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins, upd, del, adds_up, reason FROM load_log;

-- Asked for.
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'delta');
SELECT method, ins, upd, del, adds_up, reason FROM load_log;
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'refill');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-02', method => 'refill', parallel => 0);
\echo :SQLSTATE
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'magic');
\echo :SQLSTATE
SELECT status, sqlstate, message FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'upsert');
SELECT status, sqlstate, message FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'live');

-- A cursor of our own on the slice: its file cannot be taken away, its rows can.
BEGIN;
DECLARE reading CURSOR FOR SELECT id FROM tenant_a.load_2024_04_01 ORDER BY id;
FETCH 1 FROM reading;
SELECT status, sqlstate FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'refill');
SELECT status, rows_unchanged FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
FETCH 1 FROM reading;
COMMIT;

-- Emptied by hand: the first fill of a relation that others know.
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.load_2024_04_01 WITH NO DATA;
RESET ROLE;
DELETE FROM pg_statistic WHERE starelid = 'tenant_a.load_2024_04_01'::regclass;
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'delta');
SELECT status FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT method, ins, upd, del, same, adds_up, reason FROM load_log;
SELECT count(*) > 0 AS analyzed FROM pg_stats WHERE schemaname = 'tenant_a' AND tablename = 'load_2024_04_01';

-- A first attempt that fails and a second, in one transaction: rows once; and
-- a transaction that is rolled back leaves what was there.
DROP VIEW public.load, tenant_a.load;
DROP MATERIALIZED VIEW tenant_a.load_2024_04_01;
SELECT _wh.alter_template('load', query_template => $$SELECT id, at, note FROM load_src WHERE at >= {DAY_START} AND at < {DAY_END}
    AND 1 / (CASE WHEN note = 'last' THEN 0 ELSE 1 END) = 1$$);
\c wh_tenant_a
INSERT INTO load_src VALUES (99999, '2024-04-01 12:00+00', 'last');
\c :warehouse
BEGIN;
SELECT status, sqlstate FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT _wh.alter_template('load', query_template => $$SELECT id, at, note FROM load_src WHERE at >= {DAY_START} AND at < {DAY_END}$$);
SELECT status, method FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SELECT status, method, rows_unchanged = rows AS same FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');
SAVEPOINT before;
SELECT status, method FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'refill');
ROLLBACK TO before;
COMMIT;
SELECT count(*) = count(DISTINCT id) AS once, count(*) FROM tenant_a.load_2024_04_01;
BEGIN;
SELECT status, method FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01', method => 'refill');
SELECT count(*) FROM tenant_a.load_2024_04_01;
ROLLBACK;
SELECT count(*) = count(DISTINCT id) AS once, count(*) FROM tenant_a.load_2024_04_01;

-- A plain REFRESH gives the same rows.
CREATE TEMP TABLE load_ours AS SELECT * FROM tenant_a.load_2024_04_01;
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.load_2024_04_01;
RESET ROLE;
SELECT count(*) FROM (TABLE tenant_a.load_2024_04_01 EXCEPT ALL TABLE load_ours) AS more;
SELECT count(*) FROM (TABLE load_ours EXCEPT ALL TABLE tenant_a.load_2024_04_01) AS less;
SELECT status, rows_unchanged = rows AS same FROM _wh.wh_refresh('load', 'tenant_a', '2024-04-01', '2024-04-01');

DROP VIEW load_log;
SELECT _wh.drop_template('load', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'load';
\c wh_tenant_a
DROP TABLE load_src;
