-- Days into months and years: what is combined, what is refused, and what the
-- ledger, the views and a reader see before and after.
\set VERBOSITY default
\pset format unaligned
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE rollup_src (id integer, at timestamptz, note text, big text);
INSERT INTO rollup_src
SELECT i, timestamptz '2000-01-01 00:00+00' + i * interval '8 hours', 'note ' || i % 5,
       CASE WHEN i % 100 = 0 THEN (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 200) AS j) END
FROM generate_series(0, 3 * 366 - 1) AS i;
GRANT SELECT ON rollup_src TO wh_src;
\c :warehouse
SELECT _wh.add_template('roll',
    $$SELECT id, at, note, big FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text, big text',
    $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id);
      CREATE INDEX {view_name}_note ON {schema}.{view_name} (note)$$,
    time_column => 'at', tenants => '{tenant_a}');
CREATE VIEW report AS
SELECT period_kind AS kind, count(*) AS slices, sum(row_count) AS rows, min(state) AS state,
       count(content_hash) AS hashes, min(period_start) AS first, max(period_end) AS last
FROM _wh.slices WHERE template_name LIKE 'roll%' GROUP BY 1 ORDER BY 2 DESC;
CREATE FUNCTION told(jsonb) RETURNS jsonb LANGUAGE sql RETURN $1 - '{bytes,duration_ms}'::text[];

-- Nothing there yet, then all but one day of January.
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2000-01-01', dry_run => true));
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2000-01-01'));
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', 'tenant_a', '2000-01-01', '2000-01-30') GROUP BY 1;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2000-01-01'));
SELECT status, error_message, error_detail, error_hint FROM _wh.v_recent_failures WHERE kind = 'rollup' AND template_name = 'roll' ORDER BY run_id;

-- The failure of a roll-up is not that of its first day.
SELECT state FROM _wh.v_coverage WHERE template_name = 'roll' AND day = '2000-01-01';
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', 'tenant_a', '2000-01-31', '2000-12-31') GROUP BY 1;
CREATE VIEW contents AS
SELECT count(*), sum(hashtext(r::text)::bigint) AS hash, sum(length(big)) AS big FROM tenant_a.roll AS r;
TABLE contents;

-- A dry run tells and does nothing; then the month of the leap day, and a
-- second time.
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2000-02-01', dry_run => true));
TABLE report;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2000-02-01'));
TABLE report;
TABLE contents;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2000-02-01'));
SELECT count(*) FROM pg_class WHERE relname LIKE 'roll\_2000\_02%' AND relkind IN ('r', 'm');
SELECT count(*) FROM _wh.retired_relations;
\d tenant_a.roll_2000_02
SELECT obj_description('tenant_a.roll_2000_02'::regclass, 'pg_class') AS comment,
       has_table_privilege('phood_ro', 'tenant_a.roll_2000_02', 'SELECT') AS reader,
       pg_get_userbyid(relowner) AS owner, relallvisible = relpages AS all_visible, reltuples
FROM pg_class WHERE oid = 'tenant_a.roll_2000_02'::regclass;
SELECT kind, status, method, rows_extracted = rows_loaded AS equal, rows_loaded, period_start
FROM _wh.extract_runs WHERE kind = 'rollup' AND template_name = 'roll' ORDER BY run_id;

-- A year of eleven months' days and a month.
SELECT told(_wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 2000));
TABLE report;
TABLE contents;
SELECT count(*) FROM pg_class WHERE relname LIKE 'roll\_%' AND relkind IN ('r', 'm');
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2000-03-01'));

-- A day of it changes at the source: that day is changed in the table, the
-- hash goes along and comes back.
CREATE TEMP TABLE known AS SELECT content_hash, row_count FROM _wh.slices WHERE template_name = 'roll';
SELECT _wh.create_mv_from_template('roll', 'tenant_a', NULL, '2000-02-29');
\c wh_tenant_a
CREATE TABLE rollup_kept AS SELECT * FROM rollup_src WHERE at >= '2000-02-29 00:00+00' AND at < '2000-03-01 00:00+00';
UPDATE rollup_src SET note = 'late' WHERE at = '2000-02-29 08:00+00';
DELETE FROM rollup_src WHERE at = '2000-02-29 16:00+00';
INSERT INTO rollup_src SELECT 10000 + i, '2000-02-29 23:59+00', 'new', repeat('x', 3000) FROM generate_series(1, 3) AS i;
\c :warehouse
SELECT period_start, status, method, rows, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del, rows_unchanged AS same
FROM _wh.wh_refresh('roll', 'tenant_a', '2000-02-28', '2000-03-01');
TABLE report;
SELECT at AT TIME ZONE 'UTC' AS at, id, note, length(big) FROM tenant_a.roll WHERE at >= '2000-02-29 00:00+00' AND at < '2000-03-01 00:00+00' ORDER BY id;
SELECT row_count, content_hash AS changed FROM _wh.slices WHERE template_name = 'roll' \gset
\c wh_tenant_a
DELETE FROM rollup_src WHERE at >= '2000-02-29 00:00+00' AND at < '2000-03-01 00:00+00';
INSERT INTO rollup_src TABLE rollup_kept;
DROP TABLE rollup_kept;
\c :warehouse
SELECT _wh.update_mv_window_by_template('roll', 'tenant_a', '2000-02-29', '2000-02-29') - 'duration_ms';
TABLE report;
TABLE contents;
SELECT content_hash <> :'changed' AS changed FROM _wh.slices WHERE template_name = 'roll';
SELECT * FROM _wh.wh_check();

-- The day is found by the time column's index, not by reading the year.
SELECT c.relname, a.amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = 'tenant_a.roll_2000'::regclass ORDER BY 1;

SELECT relation, method, locks, note, local_sql FROM _wh.wh_plan('roll', 'tenant_a', '2000-02-29', '2000-02-29');
SELECT method, note FROM _wh.wh_plan('roll', 'tenant_a', '2000-02-29', '2000-02-29', method => 'refill');

-- Methods that would empty the year; a rebuild finds nothing to do.
SELECT status, sqlstate, message FROM _wh.wh_refresh('roll', 'tenant_a', '2000-02-29', '2000-02-29', method => 'refill');
SELECT _wh.rebuild_entire_warehouse('2000-01-01', '2000-12-31', '{tenant_a}', '{roll}') - 'duration_ms';
SELECT _wh.update_mv_by_template('roll', 'tenant_a', '2000-12-31');

-- A column more: the table is made anew when one of its days is loaded.
SELECT _wh.alter_template('roll', query_template => $$SELECT id, at, note, big, id % 2 = 0 AS even FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id integer, at timestamptz, note text, big text, even boolean');
SET ROLE whadmin;
COMMENT ON TABLE tenant_a.roll_2000 IS 'mine';
GRANT SELECT ON tenant_a.roll_2000 TO wh_monitor;
RESET ROLE;
SELECT status, method, rows, rows_inserted AS ins, rows_deleted AS del FROM _wh.wh_refresh('roll', 'tenant_a', '2000-07-01', '2000-07-01');
SELECT even, count(*) FROM tenant_a.roll GROUP BY 1 ORDER BY 1;
TABLE report;
SELECT obj_description('tenant_a.roll_2000'::regclass, 'pg_class') AS comment, has_table_privilege('wh_monitor', 'tenant_a.roll_2000', 'SELECT') AS granted;
SELECT indexname FROM pg_indexes WHERE tablename = 'roll_2000' ORDER BY 1;
SELECT relname FROM pg_class WHERE relname LIKE 'roll\_2000.%';

-- The table is dropped by hand, views with it: its days are missing, and come
-- back one by one.
SET ROLE whadmin;
SET client_min_messages = warning;
DROP TABLE tenant_a.roll_2000 CASCADE;
RESET client_min_messages;
RESET ROLE;
SET pg_warehouse.max_workers = 0;
SELECT status, rows, method FROM _wh.wh_refresh('roll', 'tenant_a', '2000-07-01', '2000-07-01');
RESET pg_warehouse.max_workers;
TABLE report;
DROP VIEW contents;
SELECT _wh.drop_template('roll', drop_data => true) ->> 'dropped';

-- Short months of a few days, by a pair's start.
\c wh_tenant_a
TRUNCATE rollup_src;
INSERT INTO rollup_src
SELECT i, timestamptz '2001-01-27 00:00+00' + i * interval '8 hours', 'note ' || i % 5
FROM generate_series(0, 3 * 60 - 1) AS i;
\c :warehouse
SELECT _wh.add_template('roll',
    $$SELECT id, at, note FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text', time_column => 'at', tenants => '{tenant_a}',
    options => '{"start_date": "2001-01-28"}');
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', 'tenant_a', '2001-01-28', '2001-03-15') GROUP BY 1;

-- Bad input.
\set VERBOSITY terse
SELECT _wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 0);
\echo :SQLSTATE
SELECT _wh.create_combined_table_from_template_by_year('roll', 'tenant_a', -5);
SELECT _wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 20000);
\echo :SQLSTATE
DO $$ BEGIN
    PERFORM _wh.create_combined_table_from_template_by_year('roll', 'tenant_a', extract(year FROM _wh.current_date_utc())::integer);
EXCEPTION WHEN datetime_field_overflow THEN RAISE NOTICE '%', replace(SQLERRM, extract(year FROM _wh.current_date_utc())::text, 'YYYY');
END $$;
DO $$ BEGIN
    PERFORM _wh.create_combined_table_from_template_by_month('roll', 'tenant_a', date_trunc('month', _wh.current_date_utc())::date);
EXCEPTION WHEN datetime_field_overflow THEN RAISE NOTICE '%', replace(SQLERRM, to_char(_wh.current_date_utc(), 'YYYY-MM'), 'YYYY-MM');
END $$;
SELECT _wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2024-01-02');
\echo :SQLSTATE
SELECT _wh.create_combined_table_from_template_by_month('roll', 'tenant_a', 'infinity');
\echo :SQLSTATE
SELECT _wh.create_combined_table_from_template_by_month('roll', 'nobody', '2024-01-01');
\echo :SQLSTATE
SELECT _wh.create_combined_table_from_template_by_month('nothing', 'tenant_a', '2024-01-01');
\echo :SQLSTATE
SELECT _wh.create_combined_table_from_template_by_month('roll', 'tenant_a', NULL) IS NULL AS null_in;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT _wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2024-01-01');
\echo :SQLSTATE
ROLLBACK;
BEGIN;
CALL _wh.run_rollup();
\echo :SQLSTATE
ROLLBACK;
\set VERBOSITY default

-- Days before the start are neither expected nor missing; one in the middle is.
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-01-01'));
SET ROLE whadmin;
SET client_min_messages = warning;
DROP MATERIALIZED VIEW tenant_a.roll_2001_02_10 CASCADE;
RESET client_min_messages;
RESET ROLE;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01', dry_run => true));
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01', allow_gaps => true));
SELECT period_start, row_count, missing_days FROM _wh.slices WHERE template_name = 'roll' AND period_kind <> 'day' ORDER BY 1;

-- A missing day goes into the table when it comes, and is missing no more.
SELECT _wh.rebuild_entire_warehouse('2001-02-01', '2001-02-28', '{tenant_a}', '{roll}') - 'duration_ms';
SELECT period_start, row_count, missing_days FROM _wh.slices WHERE template_name = 'roll' AND period_kind <> 'day' ORDER BY 1;

-- A day loaded before it had closed is missing, too.
UPDATE _wh.slices SET as_of = period_start WHERE template_name = 'roll' AND period_start = '2001-03-03';
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-03-01', dry_run => true));
SELECT status, count(*) FROM _wh.wh_refresh('roll', 'tenant_a', '2001-03-03', '2001-03-03') GROUP BY 1;

-- A year of months, days and a gap to its end; frozen days stay as they are.
SELECT told(_wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 2001)) - 'missing' - 'error';
SELECT told(_wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 2001, allow_gaps => true)) - 'missing';
SELECT count(*), count(DISTINCT id), min(at) AT TIME ZONE 'UTC' AS first FROM tenant_a.roll;
SELECT _wh.alter_template('roll', options => '{"start_date": "2001-01-28", "frozen": true}');
SELECT status, message FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-10', '2001-02-10');

-- Renamed with its schema, and dropped with everything.
SELECT _wh.rename_tenant('tenant_a', 'tenant_x', rename_schema => true);
SELECT relation_schema, relation_name FROM _wh.slices WHERE template_name = 'roll';
SELECT count(*) FROM tenant_x.roll;
SELECT _wh.rename_tenant('tenant_x', 'tenant_a', rename_schema => true);
SELECT _wh.drop_template('roll', drop_data => true) ->> 'dropped';

-- A template without a time column, by the date's text as the seeds write it.
SELECT _wh.add_template('roll',
    $$SELECT id, at, note FROM rollup_src WHERE (at AT TIME ZONE 'UTC')::date = '{TARGET_DATE}'::date$$,
    'id integer, at timestamptz, note text', tenants => '{tenant_a}');
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', 'tenant_a', '2001-01-27', '2001-01-31') GROUP BY 1;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-01-01'));
\d tenant_a.roll_2001_01
SELECT method, note FROM _wh.wh_plan('roll', 'tenant_a', '2001-01-30', '2001-01-30');
SELECT _wh.update_mv_by_template('roll', 'tenant_a', '2001-01-30');
SELECT _wh.alter_template('roll', time_column => 'at');
SELECT _wh.update_mv_by_template('roll', 'tenant_a', '2001-01-30');
SELECT _wh.drop_template('roll', drop_data => true) ->> 'dropped';

-- Keys that occur twice, by a unique index and by key_columns alone.
\c wh_tenant_a
TRUNCATE rollup_src;
INSERT INTO rollup_src
SELECT i % 25, timestamptz '2001-02-01 00:00+00' + i * interval '1 day', 'note ' || i % 5
FROM generate_series(0, 27) AS i;
\c :warehouse
SELECT _wh.add_template('roll',
    $$SELECT id, at, note FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text',
    $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id);
      CREATE INDEX {view_name}_at ON {schema}.{view_name} (at)$$,
    time_column => 'at', tenants => '{tenant_a}');
SELECT status, count(*) FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-01', '2001-02-28') GROUP BY 1;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
SELECT _wh.alter_template('roll', indexes => 'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} ((id + 1))');
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
SELECT _wh.alter_template('roll', indexes => '', key_columns => '{id,note}');
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
SELECT count(*) FROM pg_class WHERE relname = 'roll_2001_02';

-- What is in the way: somebody's relation, view, other columns, owner.
SELECT _wh.alter_template('roll', indexes => 'CREATE INDEX {view_name}_at ON {schema}.{view_name} (at)', key_columns => '{at}');
SELECT status, count(*) FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-01', '2001-02-28') GROUP BY 1;
SET ROLE whadmin;
CREATE TABLE tenant_a.roll_2001_02 (mine integer);
RESET ROLE;
SELECT _wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01');
\echo :SQLSTATE
DROP TABLE tenant_a.roll_2001_02;
CREATE VIEW tenant_a.users_own AS SELECT id FROM tenant_a.roll_2001_02_05;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
DROP VIEW tenant_a.users_own;
ALTER MATERIALIZED VIEW tenant_a.roll_2001_02_05 RENAME COLUMN note TO remark;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
ALTER MATERIALIZED VIEW tenant_a.roll_2001_02_05 RENAME COLUMN remark TO note;
ALTER MATERIALIZED VIEW tenant_a.roll_2001_02_05 OWNER TO postgres;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
ALTER MATERIALIZED VIEW tenant_a.roll_2001_02_05 OWNER TO whadmin;
REFRESH MATERIALIZED VIEW tenant_a.roll_2001_02_05 WITH NO DATA;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01', dry_run => true)) -> 'missing';
REFRESH MATERIALIZED VIEW tenant_a.roll_2001_02_05;

-- Somebody writes to the new table before it is proved.
CREATE FUNCTION public.meddle() RETURNS event_trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF to_regclass('tenant_a.roll_2001_02') IS NOT NULL THEN
        INSERT INTO tenant_a.roll_2001_02 VALUES (99, '2001-02-01 12:00+00', 'meddled');
    END IF;
END $$;
CREATE EVENT TRIGGER meddle ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.meddle();
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
DROP EVENT TRIGGER meddle;
DROP FUNCTION public.meddle();

-- Where it goes and what is called: tablespace, access method, parameters.
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE wh_cold LOCATION '';
RESET allow_in_place_tablespaces;
CREATE ACCESS METHOD wh_other TYPE TABLE HANDLER heap_tableam_handler;
GRANT CREATE ON TABLESPACE wh_cold TO whadmin;
SET ROLE whadmin;
CREATE FUNCTION public.noted(regclass) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN RAISE NOTICE '% of % rows as %', $1, (SELECT reltuples FROM pg_catalog.pg_class WHERE oid = $1), current_user; END $$;
RESET ROLE;
SELECT _wh.alter_template('roll', options => '{"tablespace": "wh_nowhere"}');
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'error' -> 'sqlstate';
SELECT _wh.alter_template('roll', options => '{"after_create": "public.nothing(regclass)"}');
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'error' -> 'sqlstate';
SELECT _wh.alter_template('roll', options => '{"storage_options": {"nosuch": 1}}');
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'error' -> 'sqlstate';
SELECT _wh.alter_template('roll', options => '{"tablespace": "wh_cold", "access_method": "wh_other", "after_create": "public.noted(regclass)",
    "storage_options": {"fillfactor": 90, "toast.autovacuum_enabled": false, "autovacuum_enabled": true}}');
SET pg_warehouse.max_workers = 0;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2001-02-01')) -> 'status';
RESET pg_warehouse.max_workers;
SELECT c.reloptions, a.amname, t.spcname, (SELECT x.reloptions FROM pg_class x WHERE x.oid = c.reltoastrelid) AS toast
FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE c.relname = 'roll_2001_02';

-- Another access method may not delete: a late day means a new table.
SELECT content_hash FROM _wh.slices WHERE template_name = 'roll' \gset
SELECT method, locks, note FROM _wh.wh_plan('roll', 'tenant_a', '2001-02-11', '2001-02-11');
SELECT status FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-11', '2001-02-11');
SELECT method, rows_inserted AS ins, rows_deleted AS del, context ->> 'reason' AS reason FROM _wh.extract_runs ORDER BY run_id DESC LIMIT 1;
SELECT content_hash = :'content_hash' AS same FROM _wh.slices WHERE template_name = 'roll';
SELECT * FROM _wh.wh_check();
SELECT count(*), count(DISTINCT at) FROM tenant_a.roll;

-- What people demand of its rows goes with it, as often as it is made anew; rows
-- that do not fulfil it are refused.
ALTER TABLE tenant_a.roll_2001_02 ALTER COLUMN note SET NOT NULL, ADD CONSTRAINT users_check CHECK (id >= 0),
    ADD CONSTRAINT users_later CHECK (length(note) < 100) NOT VALID, ADD CONSTRAINT users_key PRIMARY KEY (id, at);
CREATE VIEW demands AS
SELECT conname, contype, convalidated, CASE WHEN conname LIKE 'users%' THEN pg_get_constraintdef(oid) END AS definition
FROM pg_constraint WHERE conrelid = to_regclass('tenant_a.roll_2001_02') AND contype <> 'n'
UNION ALL SELECT attname, 'n', true, 'NOT NULL' FROM pg_attribute WHERE attrelid = to_regclass('tenant_a.roll_2001_02') AND attnum > 0 AND attnotnull
UNION ALL SELECT indexrelid::regclass::text, 'i', indisvalid, NULL FROM pg_index WHERE indrelid = to_regclass('tenant_a.roll_2001_02');
SELECT * FROM demands ORDER BY 1;
CREATE TABLE demanded AS SELECT * FROM demands;
SELECT status FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-11', '2001-02-11');
SELECT status FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-12', '2001-02-12');
SELECT count(*) AS differ FROM (TABLE demands EXCEPT TABLE demanded) AS d;
SELECT count(*) AS gone FROM (TABLE demanded EXCEPT TABLE demands) AS d;
\c wh_tenant_a
UPDATE rollup_src SET id = -id WHERE at >= '2001-02-11 00:00+00' AND at < '2001-02-12 00:00+00';
\c :warehouse
SELECT status, sqlstate, message FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-11', '2001-02-11');
\c wh_tenant_a
UPDATE rollup_src SET id = -id WHERE at >= '2001-02-11 00:00+00' AND at < '2001-02-12 00:00+00';
\c :warehouse
SELECT status FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-11', '2001-02-11');
DROP TABLE demanded;
DROP VIEW demands;

-- Made ours no more.
ALTER TABLE tenant_a.roll_2001_02 OWNER TO postgres;
SELECT status, sqlstate, message FROM _wh.wh_refresh('roll', 'tenant_a', '2001-02-11', '2001-02-11');
SELECT error_detail, error_hint FROM _wh.v_recent_failures WHERE period_start = '2001-02-11' AND template_name = 'roll';
ALTER TABLE tenant_a.roll_2001_02 OWNER TO whadmin;
SELECT _wh.drop_template('roll', drop_data => true) ->> 'dropped';
DROP ACCESS METHOD wh_other;
DROP TABLESPACE wh_cold;
DROP FUNCTION public.noted(regclass);

-- Days of 23, 25, 23.5 and 24.5 hours: a row every half hour, none lost or
-- doubled at any border.
\c wh_tenant_a
TRUNCATE rollup_src;
INSERT INTO rollup_src
SELECT i, timestamptz '2000-12-30 00:00+00' + i * interval '30 minutes', 'note ' || i % 5
FROM generate_series(0, 48 * 370) AS i;
\c :warehouse
SELECT _wh.alter_tenant('tenant_a', time_zone => 'America/New_York');
SELECT _wh.alter_tenant('tenant_b', time_zone => 'Australia/Lord_Howe', dbname => 'wh_tenant_a');
SELECT _wh.add_template('roll',
    $$SELECT id, at, at AT TIME ZONE 'UTC' AS utc, note FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, utc timestamp, note text',
    'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)',
    time_column => 'at', options => '{"start_date": "2001-03-01"}');
SELECT tenant_name, status, count(*), sum(rows), min(rows), max(rows) FROM _wh.wh_refresh('roll', NULL, '2001-03-01', '2001-05-02') GROUP BY 1, 2 ORDER BY 1;
SELECT tenant_name, status, count(*), sum(rows), min(rows), max(rows) FROM _wh.wh_refresh('roll', NULL, '2001-09-30', '2001-11-01') GROUP BY 1, 2 ORDER BY 1;
SELECT tenant_name, status, count(*), sum(rows), min(rows), max(rows) FROM _wh.wh_refresh('roll', NULL, '2001-12-31', '2001-12-31') GROUP BY 1, 2 ORDER BY 1;
SELECT tenant_name, string_agg(period_start || ': ' || row_count, ', ' ORDER BY period_start) AS days
FROM _wh.slices WHERE template_name = 'roll' AND row_count <> 48 GROUP BY 1 ORDER BY 1;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', tenant_name, month::date))
FROM unnest(ARRAY['tenant_a', 'tenant_b']) AS tenant_name, unnest(ARRAY['2001-03-01', '2001-04-01', '2001-10-01']) AS month ORDER BY tenant_name, month;
SELECT told(_wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 2001, true)) - 'missing';
SELECT told(_wh.create_combined_table_from_template_by_year('roll', 'tenant_b', 2001, true)) - 'missing';
SELECT schema_name, count(*), count(DISTINCT id), min(utc), max(utc) FROM public.roll GROUP BY 1 ORDER BY 1;
SELECT schema_name, max(id) - min(id) + 1 = count(*) AS each_once FROM public.roll WHERE utc < '2001-06-01' GROUP BY 1 ORDER BY 1;
SELECT tenant_name, lower_bound AT TIME ZONE 'UTC' AS lower, upper_bound AT TIME ZONE 'UTC' AS upper, bounds_of FROM _wh.slices WHERE template_name = 'roll' ORDER BY 1;

-- Each border day once more, from the source.
SELECT tenant_name, period_start, status, method, rows, rows_inserted AS ins, rows_deleted AS del, rows_unchanged AS same
FROM (SELECT * FROM _wh.wh_refresh('roll', NULL, '2001-03-25', '2001-03-25') UNION ALL SELECT * FROM _wh.wh_refresh('roll', NULL, '2001-04-01', '2001-04-01')
      UNION ALL SELECT * FROM _wh.wh_refresh('roll', NULL, '2001-10-28', '2001-10-28') UNION ALL SELECT * FROM _wh.wh_refresh('roll', NULL, '2001-12-31', '2001-12-31')) AS w ORDER BY 2, 1;

SELECT * FROM _wh.wh_check();

-- In another zone by now, a day may reach beyond the table.
SELECT _wh.alter_tenant('tenant_a', time_zone => 'UTC');
SELECT period_start, status, message FROM _wh.wh_refresh('roll', 'tenant_a', '2001-01-01', '2001-01-02') ORDER BY 1;
SELECT error_detail, error_hint FROM _wh.v_recent_failures WHERE template_name = 'roll' AND period_start = '2001-01-01' AND kind = 'refresh';
SELECT count(*), count(DISTINCT id) FROM tenant_a.roll;
SELECT _wh.drop_template('roll', drop_data => true) ->> 'dropped';
SELECT _wh.alter_tenant('tenant_b', time_zone => 'UTC', dbname => 'wh_tenant_b');

-- Days of two versions of the template, one without rows, one detached by hand;
-- what was missing comes in by comparing, also where the source has no rows.
\c wh_tenant_a
TRUNCATE rollup_src;
INSERT INTO rollup_src
SELECT i, timestamptz '2003-01-01 00:00+00' + i * interval '6 hours', 'note ' || i % 5
FROM generate_series(0, 4 * 31 - 1) AS i WHERE i NOT BETWEEN 16 AND 19;
\c :warehouse
SELECT _wh.add_template('roll',
    $$SELECT id, at FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz', time_column => 'at', tenants => '{tenant_a}',
    options => '{"start_date": "2003-01-01"}');
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', 'tenant_a', '2003-01-01', '2003-01-20') GROUP BY 1;
SELECT _wh.alter_template('roll',
    query_template => $$SELECT note, id, at FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'note text, id bigint, at timestamptz');
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', 'tenant_a', '2003-01-21', '2003-01-29') GROUP BY 1;
CREATE SCHEMA roll_aside;
ALTER MATERIALIZED VIEW tenant_a.roll_2003_01_29 SET SCHEMA roll_aside;
SELECT * FROM _wh.wh_check() ORDER BY 1;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2003-01-01', allow_gaps => true));
SELECT count(*), sum(id), count(note) AS new FROM tenant_a.roll;
\c wh_tenant_a
DELETE FROM rollup_src WHERE at >= '2003-01-30 00:00+00' AND at < '2003-01-31 00:00+00';
\c :warehouse
SELECT day, state, reason FROM _wh.v_coverage WHERE template_name = 'roll' AND day BETWEEN '2003-01-28' AND '2003-02-01' ORDER BY 1;
SELECT period_start, source_rows, local_rows, equal, action FROM _wh.reconcile('roll', 'tenant_a', '2003-01-29', '2003-01-31');
SELECT period_start, equal, action FROM _wh.reconcile('roll', 'tenant_a', '2003-01-29', '2003-01-31');
SELECT state, count(*) FROM _wh.v_coverage WHERE template_name = 'roll' AND day BETWEEN '2003-01-01' AND '2003-01-31' GROUP BY 1;
SELECT count(*), sum(id), count(note) AS new FROM tenant_a.roll;
DROP MATERIALIZED VIEW roll_aside.roll_2003_01_29;
DROP SCHEMA roll_aside;

-- What a source purged does not go by way of a new table either.
CREATE ACCESS METHOD wh_other TYPE TABLE HANDLER heap_tableam_handler;
SELECT _wh.alter_template('roll', options => '{"access_method": "wh_other", "shrink_min_rows": 4}');
SELECT status, count(*) FROM _wh.wh_refresh('roll', 'tenant_a', '2003-02-01', '2003-02-03') GROUP BY 1;
\c wh_tenant_a
INSERT INTO rollup_src SELECT i, timestamptz '2003-02-01 00:00+00' + i * interval '1 hour', 'note' FROM generate_series(0, 71) AS i;
\c :warehouse
SELECT status, sum(rows) FROM _wh.wh_refresh('roll', 'tenant_a', '2003-02-01', '2003-02-03') GROUP BY 1;
SELECT told(_wh.create_combined_table_from_template_by_month('roll', 'tenant_a', '2003-02-01', allow_gaps => true)) - 'missing';
\c wh_tenant_a
DELETE FROM rollup_src WHERE at >= '2003-02-01 00:00+00' AND at < '2003-02-02 00:00+00' OR at >= '2003-02-02 06:00+00';
\c :warehouse
SELECT period_start, status, sqlstate, message FROM _wh.wh_refresh('roll', 'tenant_a', '2003-02-01', '2003-02-02');
SELECT count(*) FROM tenant_a.roll WHERE at >= '2003-02-01 00:00+00';
SELECT period_start, status, method, rows_inserted AS ins, rows_deleted AS del
FROM _wh.wh_refresh('roll', 'tenant_a', '2003-02-01', '2003-02-02', accept_shrink => true);
SELECT * FROM _wh.wh_check();

-- A year of two months and nothing else.
SELECT told(_wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 2003, true)) - 'missing';
SELECT * FROM _wh.wh_check();
SELECT period_kind, relations, rows FROM _wh.v_storage WHERE template_name = 'roll';
SELECT _wh.drop_template('roll', drop_data => true) ->> 'dropped';
DROP ACCESS METHOD wh_other;

-- What retention says is due: months, and years of what there is.
\c wh_tenant_a
TRUNCATE rollup_src;
INSERT INTO rollup_src
SELECT i, timestamptz '2000-11-29 00:00+00' + i * interval '12 hours', 'note ' || i % 5
FROM generate_series(0, 2 * 40) AS i;
\c :warehouse
SELECT _wh.add_template('roll',
    $$SELECT id, at, note FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text', time_column => 'at', tenants => '{tenant_a}',
    options => '{"start_date": "2000-11-29"}');
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', NULL, '2000-11-29', '2000-12-31') GROUP BY 1;
SELECT * FROM _wh.wh_rollup('roll');
SELECT _wh.alter_template('roll', options => '{"start_date": "2000-11-29", "daily_retention": "400 years"}');
SELECT * FROM _wh.wh_rollup('roll');
SELECT _wh.alter_template('roll', options => '{"start_date": "2000-11-29", "daily_retention": "2 months"}');
SELECT told(r) AS told FROM _wh.wh_rollup('roll', dry_run => true) AS r;
CALL _wh.run_rollup('roll');
TABLE report;
SELECT told(r) AS told FROM _wh.wh_rollup() AS r;
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('roll', NULL, '2001-01-01', '2001-01-02') GROUP BY 1;
SELECT _wh.alter_template('roll', options => '{"start_date": "2000-11-29", "daily_retention": "2 months", "monthly_retention": "1 year"}');
SELECT told(r) - 'missing' AS told FROM _wh.wh_rollup('roll', 'tenant_a', dry_run => true) AS r;
SELECT told(r) - 'missing' - 'error' AS told FROM _wh.wh_rollup('roll') AS r;
CALL _wh.run_rollup('roll', 'tenant_a');
\echo :SQLSTATE
TABLE report;
SELECT count(*), count(DISTINCT id) FROM tenant_a.roll;

-- A month and a year that begin on one day fail, and are mended, each by itself;
-- but what became part of a year has no month to be made any more.
CREATE VIEW failures AS
SELECT period_start, period_kind, status FROM _wh.v_recent_failures WHERE template_name = 'twice' AND kind = 'rollup';
SELECT _wh.add_template('twice',
    $$SELECT id, at, note FROM rollup_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text', time_column => 'at', tenants => '{tenant_a}',
    options => '{"start_date": "2000-01-01"}');
SELECT status, count(*), sum(rows) FROM _wh.wh_refresh('twice', NULL, '2000-01-01', '2000-01-30') GROUP BY 1;
SELECT told(_wh.create_combined_table_from_template_by_month('twice', 'tenant_a', '2000-01-01')) -> 'status';
SELECT told(_wh.create_combined_table_from_template_by_month('twice', 'tenant_a', '2000-02-01')) -> 'status';
SELECT told(_wh.create_combined_table_from_template_by_year('twice', 'tenant_a', 2000)) -> 'status';
SELECT * FROM failures ORDER BY 1, 2;
SELECT status FROM _wh.wh_refresh('twice', NULL, '2000-01-31', '2000-01-31');
SELECT told(_wh.create_combined_table_from_template_by_month('twice', 'tenant_a', '2000-01-01')) -> 'status';
SELECT * FROM failures ORDER BY 1, 2;
SELECT told(_wh.create_combined_table_from_template_by_year('twice', 'tenant_a', 2000, allow_gaps => true)) -> 'status';
SELECT * FROM failures ORDER BY 1, 2;
SELECT _wh.drop_template('twice', drop_data => true) ->> 'dropped';
DROP VIEW failures;

-- A template that is kept another way has no days.
ALTER TABLE _wh.mv_templates DISABLE TRIGGER USER;
UPDATE _wh.mv_templates SET materialization = 'snapshot' WHERE template_name = 'roll';
SELECT _wh.create_combined_table_from_template_by_year('roll', 'tenant_a', 2001);
\echo :SQLSTATE
UPDATE _wh.mv_templates SET materialization = 'daily' WHERE template_name = 'roll';
ALTER TABLE _wh.mv_templates ENABLE TRIGGER USER;
SELECT _wh.drop_template('roll', drop_data => true) ->> 'dropped';
DROP VIEW report;
DROP FUNCTION told(jsonb);
