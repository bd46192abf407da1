-- Reconciling incremental tables: days of the watermark are compared with the
-- source; those that differ are loaded, and what the source has no more goes.
\set VERBOSITY default
SET datestyle = 'ISO';
SET timezone = 'UTC';
\set warehouse :DBNAME
CREATE ROLE wh_cal LOGIN;
GRANT pg_read_all_stats TO wh_cal;
CREATE DATABASE wh_cal_source;
\c wh_cal_source
CREATE TABLE pay (id bigint PRIMARY KEY, note text, amount numeric(10,2), updated_at timestamptz NOT NULL);
CREATE INDEX ON pay (updated_at);
INSERT INTO pay SELECT i, 'note ' || i, i * 1.5, timestamptz '2024-01-01 00:00+00' + i * interval '2 hours' FROM generate_series(1, 100) AS i;
CREATE TABLE odd (a text, b date, at timestamp NOT NULL, PRIMARY KEY (a, b));
INSERT INTO odd VALUES ('it''s', '2024-02-29', '2024-03-31 00:30'), (E'back\\slash', '2024-02-29', '2024-03-31 12:00'),
    ('a, b', '2024-03-01', '2024-04-01 00:00'), ('"q"', '2024-03-01', '2024-04-01 23:59:59.999999');
CREATE TABLE many (id integer PRIMARY KEY, at timestamptz NOT NULL, n integer);
INSERT INTO many SELECT i, timestamptz '2024-05-01 00:00+00' + i * interval '0.5 seconds', 0 FROM generate_series(1, 80000) AS i;
INSERT INTO many VALUES (-1, '-infinity');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO wh_cal;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT _wh.add_tenant('cal', host, 'wh_cal_source', 'wh_cal', port, sslmode => sslmode, auth_method => auth_method)
FROM _wh.tenant_connections WHERE tenant_name = 'tenant_a';
SELECT _wh.add_template('cal', 'SELECT id, note, amount, updated_at FROM pay', 'id bigint, note text, amount numeric(10,2), updated_at timestamptz',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'updated_at', tenants => '{cal}', options => '{"shrink_min_rows": 5}');
CREATE FUNCTION differing(template text, from_date date = NULL, to_date date = NULL, fix boolean = true, accept boolean = false)
RETURNS TABLE (day date, source bigint, here bigint, action text, ins bigint, upd bigint, del bigint, sqlstate text, message text)
LANGUAGE sql AS $$ SELECT period_start, source_rows, local_rows, action, rows_inserted, rows_updated, rows_deleted, sqlstate, message
FROM _wh.reconcile(template, 'cal', from_date, to_date, fix, accept) WHERE NOT coalesce(equal, false) $$;

-- A table that is not there is loaded as a whole.
SELECT * FROM differing('cal', fix => false);
SELECT to_regclass('cal.cal');
SELECT * FROM differing('cal');
SELECT count(*), bool_and(equal), min(period_start), max(period_start), sum(source_rows) AS source, sum(local_rows) AS here FROM _wh.reconcile('cal', 'cal');
SELECT kind, status, method, rows_extracted FROM _wh.extract_runs WHERE template_name = 'cal' ORDER BY run_id;

-- What no watermark tells: a row deleted, a key changed, a value changed
-- without its time, a time set back, a late row.
\c wh_cal_source
DELETE FROM pay WHERE id = 15;
UPDATE pay SET id = 1022 WHERE id = 22;
UPDATE pay SET amount = 0 WHERE id = 35;
UPDATE pay SET updated_at = '2024-01-02 01:00+00' WHERE id = 45;
INSERT INTO pay VALUES (300, 'late', 3, '2024-01-06 01:00+00');
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT status, rows FROM _wh.wh_refresh('cal', 'cal');
SELECT last_extracted_at AS before FROM _wh.extract_watermarks WHERE template_name = 'cal' \gset
SELECT * FROM differing('cal', fix => false);
SELECT count(*) FROM cal.cal;

-- A range holds what the row left, not where it went: it is found by its key.
SELECT * FROM differing('cal', '2024-01-04', '2024-01-04');
SELECT id, updated_at FROM cal.cal WHERE id = 45;
SELECT * FROM differing('cal');
SELECT count(*), bool_and(equal) FROM _wh.reconcile('cal', 'cal');
SELECT id, amount, updated_at FROM cal.cal WHERE id IN (15, 22, 35, 45, 300, 1022) ORDER BY id;
SELECT row_count = (SELECT count(*) FROM cal.cal) AS ledger FROM _wh.slices WHERE template_name = 'cal';
SELECT last_extracted_at = :'before' AS watermark_unmoved FROM _wh.extract_watermarks WHERE template_name = 'cal';
SELECT kind, status, method, rows_extracted, rows_loaded, rows_deleted, context ->> 'reason' AS reason
FROM _wh.extract_runs WHERE template_name = 'cal' AND kind = 'reconcile' ORDER BY run_id DESC LIMIT 2;

-- What the owner has put on the table: DELETE triggers and foreign keys see
-- what goes, in a session of his own; what goes makes room first.
SET ROLE whadmin;
ALTER TABLE cal.cal ADD UNIQUE (note);
CREATE TABLE cal.gone (id bigint, by text);
CREATE FUNCTION cal.on_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO gone VALUES (OLD.id, current_user); RETURN NULL; END $$;
CREATE TRIGGER on_gone AFTER DELETE ON cal.cal FOR EACH ROW EXECUTE FUNCTION cal.on_gone();
CREATE TABLE cal.child (id bigint REFERENCES cal.cal);
INSERT INTO cal.child VALUES (50);
RESET ROLE;
DO $$ BEGIN EXECUTE format('ALTER ROLE whadmin IN DATABASE %I SET search_path = cal, public, _wh', current_database()); END $$;
\c wh_cal_source
UPDATE pay SET id = 1055 WHERE id = 55;
DELETE FROM pay WHERE id IN (50, 51);
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET pg_warehouse.max_workers = 0;
SELECT day, action, sqlstate, message FROM differing('cal');
RESET pg_warehouse.max_workers;
SELECT * FROM differing('cal');
SELECT error_detail FROM _wh.extract_runs WHERE template_name = 'cal' ORDER BY run_id DESC LIMIT 1;
SELECT count(*) AS stays FROM cal.cal WHERE id IN (50, 51, 55);
DELETE FROM cal.child;
SELECT * FROM differing('cal');
SELECT * FROM cal.gone ORDER BY id;

-- A trigger that raises: nothing is changed.
\c wh_cal_source
DELETE FROM pay WHERE id = 60;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE FUNCTION cal.never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'row % stays', OLD.id; END $$;
CREATE TRIGGER never BEFORE DELETE ON cal.cal FOR EACH ROW EXECUTE FUNCTION cal.never();
ALTER FUNCTION cal.never() OWNER TO whadmin;
SELECT * FROM differing('cal');
SELECT count(*) FROM cal.cal WHERE id = 60;
DROP TRIGGER never ON cal.cal;
SELECT * FROM differing('cal');

-- A source that purges erases nothing, unless that is meant.
\c wh_cal_source
DELETE FROM pay WHERE updated_at < '2024-01-02 00:00+00' OR updated_at >= '2024-01-03 12:00+00' AND updated_at < '2024-01-04 00:00+00';
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT * FROM differing('cal');
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'cal' AND sqlstate = '23000' ORDER BY run_id DESC LIMIT 1;
SELECT count(*) FROM cal.cal WHERE updated_at < '2024-01-02 00:00+00';
SELECT * FROM differing('cal', accept => true);
SELECT count(*), bool_and(equal) FROM _wh.reconcile('cal', 'cal');

DO $$ BEGIN EXECUTE format('ALTER ROLE whadmin IN DATABASE %I SET search_path = "$user", public, _wh', current_database()); END $$;

-- Keys of several columns, with all that a literal must stand; a wall clock
-- on the night that it is set forward.
SELECT _wh.alter_tenant('cal', time_zone => 'Europe/Berlin');
SELECT _wh.add_template('odd', 'SELECT a, b, at FROM odd', 'a text, b date, at timestamp',
    materialization => 'incremental', key_columns => '{b,a}', watermark_column => 'at', tenants => '{cal}');
SELECT status, rows FROM _wh.wh_refresh('odd', 'cal');
INSERT INTO cal.odd SELECT a || 'x', b, at FROM cal.odd;
UPDATE cal.odd SET at = '2024-03-30' WHERE a = 'a, b';
SELECT * FROM differing('odd', fix => false);
SELECT * FROM differing('odd', accept => true);
SELECT * FROM cal.odd ORDER BY at;
SELECT _wh.alter_tenant('cal', time_zone => 'UTC');

-- More rows than one statement or the memory holds: some are gone, some have
-- moved to a day that was not asked for; a row of no day is left alone.
SELECT _wh.add_template('many', 'SELECT id, at, n FROM many', 'id integer, at timestamptz, n integer',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'at', tenants => '{cal}');
SELECT status, rows FROM _wh.wh_refresh('many', 'cal');
\c wh_cal_source
DELETE FROM many WHERE id % 3 = 0;
UPDATE many SET at = at + interval '10 days' WHERE id % 60 = 1;
UPDATE many SET n = 1 WHERE id % 600 = 2;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT * FROM differing('many', '2024-05-01', '2024-05-01');
SELECT count(*), count(*) FILTER (WHERE at > '2024-05-02') AS moved FROM cal.many;
SELECT count(*), bool_and(equal), sum(source_rows) AS source, sum(local_rows) AS here FROM _wh.reconcile('many', 'cal');

-- on_conflict nothing: what is there stays, what is gone goes.
SELECT _wh.add_template('kept', 'SELECT id, at FROM many WHERE id BETWEEN 1 AND 1000', 'id integer, at timestamptz',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'at', tenants => '{cal}', options => '{"on_conflict": "nothing"}');
SELECT status, rows FROM _wh.wh_refresh('kept', 'cal');
\c wh_cal_source
DELETE FROM many WHERE id = 2;
UPDATE many SET at = at + interval '1 second' WHERE id = 5;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT * FROM differing('kept');
SELECT id, at FROM cal.kept WHERE id IN (2, 5);

-- Bad arguments; rows of all times; a source that cannot be asked.
\set VERBOSITY terse
SELECT * FROM _wh.reconcile('cal', 'cal', '2024-02-01', '2024-01-01');
\echo :SQLSTATE
SELECT * FROM _wh.reconcile('cal', 'cal', '2999-01-01');
\echo :SQLSTATE
\set VERBOSITY default
\c wh_cal_source
INSERT INTO many SELECT 1000000 + i, timestamptz '0500-01-01 00:00+00' + i * interval '1 month' FROM generate_series(1, 1300) AS i;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT * FROM differing('many');
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'many' ORDER BY run_id DESC LIMIT 1;
SELECT count(*) FROM differing('many', '2024-05-01', '2024-05-31');
UPDATE _wh.tenant_connections SET dbname = 'wh_cal_nowhere' WHERE tenant_name = 'cal';
SELECT period_start, equal, action, sqlstate FROM _wh.reconcile('cal', 'cal');
UPDATE _wh.tenant_connections SET dbname = 'wh_cal_source' WHERE tenant_name = 'cal';

SELECT _wh.drop_template(template_name) IS NOT NULL AS dropped FROM _wh.mv_templates WHERE materialization = 'incremental' ORDER BY template_name;
SELECT _wh.drop_tenant('cal', drop_data => true) IS NOT NULL AS dropped;
DROP FUNCTION differing;
DROP SCHEMA IF EXISTS cal CASCADE;
DROP DATABASE wh_cal_source;
DROP ROLE wh_cal;
