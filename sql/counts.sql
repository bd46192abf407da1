-- What the statistics collector hears of each method: enough to wake
-- autoanalyze, and no more than was written.  And how rows are counted.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE counts_src (id integer, at timestamptz DEFAULT '2024-08-01 12:00+00', note text, big text);
INSERT INTO counts_src (id, note) SELECT i, 'note ' || i FROM generate_series(1, 2000) AS i;
GRANT SELECT ON counts_src TO wh_src;
\c :warehouse
SELECT _wh.add_template('counts',
    $$SELECT id, at, note, big FROM counts_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text, big text', time_column => 'at', key_columns => '{id}', tenants => '{tenant_a}');
\set heard 'SELECT n_live_tup AS live, n_dead_tup AS dead, n_mod_since_analyze AS modified FROM pg_stat_all_tables WHERE relid = ''tenant_a.counts_2024_08_01''::regclass;'
\set refresh 'SELECT method, rows, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del, rows_unchanged AS same FROM _wh.wh_refresh(''counts'', ''tenant_a'', ''2024-08-01'', ''2024-08-01'');'
\set counted 'SELECT method, rows_extracted AS rows, rows_loaded AS loaded, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del, rows_unchanged AS same FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1;'

-- A first fill is analyzed in its own transaction, and counted at its end.
:refresh
SELECT pg_stat_force_next_flush();
:heard
SELECT reltuples FROM pg_class WHERE oid = 'tenant_a.counts_2024_08_01'::regclass;
ALTER MATERIALIZED VIEW tenant_a.counts_2024_08_01 SET (autovacuum_enabled = off);

-- A delta: what it wrote, which for an update is a row gone and a row come.
\c wh_tenant_a
UPDATE counts_src SET note = 'changed' WHERE id IN (1, 1000, 2000);
UPDATE counts_src SET id = -id WHERE id = 7;
DELETE FROM counts_src WHERE id IN (8, 9);
INSERT INTO counts_src (id, note) VALUES (3001, NULL);
\c :warehouse
:refresh
SELECT pg_stat_force_next_flush();
:heard
:refresh
SELECT pg_stat_force_next_flush();
:heard

-- A refill: all of it, and none of the old rows is dead.
\c wh_tenant_a
UPDATE counts_src SET note = note || '!';
\c :warehouse
CALL _wh.run_refresh('counts', 'tenant_a', '2024-08-01', '2024-08-01');
:counted
SELECT pg_stat_force_next_flush();
:heard

-- One that is rolled back leaves the numbers alone.
ANALYZE tenant_a.counts_2024_08_01;
BEGIN;
SELECT method, rows FROM _wh.wh_refresh('counts', 'tenant_a', '2024-08-01', '2024-08-01', method => 'refill');
ROLLBACK;
SELECT pg_stat_force_next_flush();
:heard

-- A key that occurs twice: as many updates as there are on both sides; long
-- values in a key are compared by content.
\c wh_tenant_a
INSERT INTO counts_src (id, note) SELECT 5000, 'twin ' || i FROM generate_series(1, 3) AS i;
INSERT INTO counts_src (id, note, big) VALUES (6000, 'long', repeat('compressed ', 1000)),
    (6001, 'long', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) AS i));
\c :warehouse
:refresh
\c wh_tenant_a
DELETE FROM counts_src WHERE note = 'twin 3';
UPDATE counts_src SET note = 'other ' || note WHERE id = 5000;
\c :warehouse
:refresh
SELECT _wh.alter_template('counts', key_columns => '{id,big}');
\c wh_tenant_a
UPDATE counts_src SET note = 'longer' WHERE id IN (6000, 6001);
\c :warehouse
:refresh

-- Without a key a unique index tells; without either, rows come and go.
SELECT _wh.alter_template('counts', reset => '{key_columns}');
\c wh_tenant_a
UPDATE counts_src SET note = 'neither' WHERE id IN (10, 11);
\c :warehouse
:refresh
\c wh_tenant_a
DELETE FROM counts_src WHERE id = 5000;
UPDATE counts_src SET note = 'index' WHERE id IN (10, 11);
\c :warehouse
SET ROLE whadmin;
CREATE UNIQUE INDEX counts_expr ON tenant_a.counts_2024_08_01 ((id + 0)) WHERE id > 6000;
CREATE UNIQUE INDEX counts_id ON tenant_a.counts_2024_08_01 (id) WHERE id < 5000;
RESET ROLE;
:refresh
\c wh_tenant_a
UPDATE counts_src SET note = 'index again' WHERE id IN (10, 11);
\c :warehouse
SET ROLE whadmin;
CREATE UNIQUE INDEX counts_id_all ON tenant_a.counts_2024_08_01 (id) INCLUDE (note);
RESET ROLE;
:refresh

-- Where a delta had to make room, rows that it no longer holds come and go.
\c wh_tenant_a
UPDATE counts_src SET note = repeat('long ' || id, 100);
\c :warehouse
SET pg_warehouse.delta_memory = '1MB';
SELECT method, rows = rows_inserted + rows_updated + rows_unchanged AS adds_up, rows_deleted = rows_inserted AS balanced, rows_updated > 0 AS upd, rows_inserted > 0 AS ins
FROM _wh.wh_refresh('counts', 'tenant_a', '2024-08-01', '2024-08-01', method => 'delta');
RESET pg_warehouse.delta_memory;
SELECT count(*), count(DISTINCT id) FROM tenant_a.counts_2024_08_01;

SELECT _wh.drop_template('counts', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'counts';
\c wh_tenant_a
DROP TABLE counts_src;
