-- Incremental templates: a table per tenant with the natural key as its
-- primary key, fed by what changed at the source since the last run.
\set VERBOSITY default
SET datestyle = 'ISO';
SET timezone = 'UTC';
\set warehouse :DBNAME
\set superuser :USER
CREATE ROLE wh_inc LOGIN;
GRANT pg_read_all_stats TO wh_inc;
CREATE DATABASE wh_inc_source;
\c wh_inc_source
CREATE TABLE repayments (id bigint PRIMARY KEY, loan integer NOT NULL, amount numeric(10,2), note text, updated_at timestamptz NOT NULL);
CREATE INDEX ON repayments (updated_at);
INSERT INTO repayments SELECT i, i % 5, i * 1.5, 'note ' || i, timestamptz '2024-01-01 00:00+00' + i * interval '1 day' FROM generate_series(1, 100) AS i;
CREATE TABLE loose (id bigint UNIQUE, twice integer NOT NULL, updated_at timestamptz, at_text text NOT NULL);
INSERT INTO loose VALUES (1, 7, '2024-01-01', '2024-01-01'), (2, 7, '2024-01-02', '2024-01-02');
CREATE VIEW live AS SELECT id, loan, CURRENT_TIMESTAMP AS updated_at FROM repayments;
CREATE VIEW kept AS SELECT r.id, r.loan, r.updated_at FROM repayments AS r;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO wh_inc;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT _wh.add_tenant('inc', host, 'wh_inc_source', 'wh_inc', port, sslmode => sslmode, auth_method => auth_method)
FROM _wh.tenant_connections WHERE tenant_name = 'tenant_a';
CREATE FUNCTION add_inc(template text, query text, columns text, keys name[] = '{id}', watermark name = 'updated_at', options jsonb = '{}') RETURNS void
LANGUAGE sql AS $$ SELECT _wh.add_template(template, query, columns, materialization => 'incremental', key_columns => keys,
    watermark_column => watermark, options => options, tenants => '{inc}') $$;
CREATE VIEW inc_runs AS SELECT status, method, rows, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del, rows_unchanged AS same, sqlstate, message
FROM _wh.wh_refresh(current_setting('wh_test.template'), 'inc');
GRANT SELECT ON inc_runs TO PUBLIC;
SET wh_test.template = 'repay';

-- What a definition must say.
\set VERBOSITY terse
SELECT add_inc('inc_bad', 'SELECT 1 AS id', 'id integer, updated_at timestamptz', NULL);
\echo :SQLSTATE
SELECT add_inc('inc_bad', 'SELECT 1 AS id', 'id integer', '{id}', NULL);
\echo :SQLSTATE
SELECT add_inc('inc_bad', 'SELECT 1 AS id, 2 AS updated_at', 'id integer, updated_at integer');
\echo :SQLSTATE
SELECT add_inc('inc_bad', 'SELECT id FROM t WHERE at >= {DAY_START}', 'id integer, updated_at timestamptz');
\echo :SQLSTATE
SELECT add_inc('inc_bad', 'SELECT 1', 'id integer, updated_at timestamptz', options => '{"on_conflict": "perhaps"}');
\echo :SQLSTATE
SELECT _wh.add_template('inc_bad', 'SELECT id FROM t', 'id integer', materialization => 'snapshot', options => '{"overlap": "1 hour"}');
\echo :SQLSTATE
SELECT _wh.add_template('inc_bad', 'SELECT id FROM t', 'id integer', materialization => 'snapshot', options => '{"on_conflict": "update"}');
\echo :SQLSTATE
SELECT _wh.add_template('inc_snap', 'SELECT id FROM t', 'id integer', materialization => 'snapshot');
SELECT _wh.reseed('inc_snap', 'tenant_a');
\echo :SQLSTATE
\set VERBOSITY default

-- What a source must keep, all of it said at once, before the first row.
SELECT add_inc('inc_loose', 'SELECT twice, updated_at, id FROM loose', 'twice integer, updated_at timestamptz, id bigint', '{twice,id}');
SELECT add_inc('inc_twice', 'SELECT twice, updated_at FROM loose', 'twice integer, updated_at timestamptz', '{twice}');
SELECT add_inc('inc_live', 'SELECT id, loan, updated_at FROM (SELECT * FROM live) AS l', 'id bigint, loan integer, updated_at timestamptz');
SELECT add_inc('inc_made', 'SELECT id, COALESCE(updated_at, now()) AS updated_at FROM repayments', 'id bigint, updated_at timestamptz');
SELECT add_inc('inc_join', 'SELECT r.id, l.updated_at FROM repayments AS r CROSS JOIN loose AS l', 'id bigint, updated_at timestamptz');
SELECT add_inc('inc_group', 'SELECT loan * 1 AS loan, updated_at FROM repayments', 'loan integer, updated_at timestamptz', '{loan}');
SELECT add_inc('inc_type', 'SELECT id, at_text::date AS updated_at FROM loose', 'id bigint, updated_at timestamp');
SELECT add_inc('inc_text', 'SELECT id, at_text AS updated_at FROM loose', 'id bigint, updated_at timestamptz');
SELECT add_inc('inc_double', 'SELECT r.id, r.updated_at FROM repayments AS r CROSS JOIN generate_series(1, 2)', 'id bigint, updated_at timestamptz');
SELECT add_inc('inc_null', 'SELECT i.id, r.updated_at FROM repayments AS r LEFT JOIN repayments AS i ON i.id = r.id AND i.id > 1', 'id bigint, updated_at timestamptz');
SELECT _wh.drop_template('inc_snap') IS NOT NULL AS dropped;
SELECT status FROM _wh.wh_refresh(tenant => 'inc');
SELECT template_name, sqlstate, error_message, error_detail, error_hint FROM _wh.extract_runs
WHERE template_name LIKE 'inc\_%' AND template_name <> 'inc_double' ORDER BY 1;
SELECT sqlstate, error_message FROM _wh.extract_runs WHERE template_name = 'inc_double';
SELECT count(*) FROM _wh.extract_watermarks;
SELECT _wh.drop_template(template_name) IS NOT NULL AS dropped FROM _wh.mv_templates WHERE template_name LIKE 'inc\_%' ORDER BY template_name;

-- The first load makes the table; a view that keeps its rows is proved by them.
SELECT add_inc('repay', 'SELECT id, loan, amount, note, updated_at FROM repayments', 'id bigint, loan integer, amount numeric(10,2), note text, updated_at timestamptz');
SELECT add_inc('repay_view', 'SELECT id, loan, updated_at FROM kept', 'id bigint, loan integer, updated_at timestamptz');
SELECT remote_sql, local_sql, relation, locks, note FROM _wh.wh_plan('repay', 'inc');
SELECT * FROM inc_runs;
SELECT status, method, rows FROM _wh.wh_refresh('repay_view', 'inc');
SELECT relkind, relowner::regrole, has_table_privilege('phood_ro', oid, 'SELECT') AS reader FROM pg_class WHERE oid = 'inc.repay'::regclass;
SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'inc.repay'::regclass;
SELECT schema_name, count(*), sum(amount) FROM public.repay GROUP BY 1;
SELECT period_kind, relation_schema, relation_name, state, row_count, method FROM _wh.slices WHERE template_name = 'repay';
SELECT table_name, last_extracted_at < source_clock AS below_clock, source_clock - last_extracted_at AS by, rows_loaded_last_run, lag_reason, reread_from
FROM _wh.extract_watermarks WHERE template_name = 'repay';
SELECT table_name, rows_loaded_last_run, load_lag < interval '1 hour' AS load_lag, extract_lag < interval '1 hour' AS extract_lag FROM _wh.v_watermark_lag ORDER BY 1;
SELECT s.last_sync_timestamp >= w.source_clock AS clock, s.watermark = w.last_extracted_at AS watermark
FROM _wh.sync_status AS s JOIN _wh.extract_watermarks AS w ON w.table_name = s.sync_type WHERE s.sync_type = 'inc.repay';
SET ROLE wh_monitor;
SELECT count(*) AS watermarks, (SELECT count(*) FROM _wh.v_watermark_lag) AS lags FROM _wh.extract_watermarks;
RESET ROLE;

-- Its key is the primary key: the doctor misses no index.
SELECT count(*) FROM _wh.wh_doctor() WHERE check_name = 'templates' AND detail LIKE '%"repay"%';

-- Nothing new: one query, and nothing written but log and watermark.
SELECT * FROM inc_runs;
SELECT regexp_replace(remote_sql, '''[^'']*\+00''', '''...''', 'g') FROM _wh.wh_plan('repay', 'inc');

-- Changed, new and deleted rows, and a key that changed: what left the source
-- without a word stays until reconcile.
RESET ROLE;
\c wh_inc_source
UPDATE repayments SET amount = 0, updated_at = now() WHERE id <= 3;
UPDATE repayments SET updated_at = now() WHERE id = 4;
INSERT INTO repayments VALUES (101, 1, 1, 'new', now()), (102, 2, 2, NULL, now());
DELETE FROM repayments WHERE id = 50;
UPDATE repayments SET id = 1000, updated_at = now() WHERE id = 10;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET wh_test.template = 'repay';
SELECT * FROM inc_runs;
SELECT count(*), count(*) FILTER (WHERE id IN (10, 50)) AS stale FROM inc.repay;
SELECT id, loan, amount, note FROM inc.repay WHERE id IN (1, 101, 102, 1000) ORDER BY id;
SELECT rows_extracted, rows_loaded, rows_inserted + rows_updated + rows_unchanged AS sum FROM _wh.extract_runs WHERE template_name = 'repay' ORDER BY run_id DESC LIMIT 1;
SELECT row_count FROM _wh.slices WHERE template_name = 'repay';

-- The watermark is moved back by hand, as the documents do it, or by reseed.
SET ROLE whadmin;
UPDATE _wh.extract_watermarks SET last_extracted_at = '2024-04-01 00:00+00' WHERE table_name = 'inc.repay';
SELECT * FROM inc_runs;
SELECT _wh.reseed('repay', 'inc', '2024-04-05');
SELECT * FROM inc_runs;
SELECT _wh.reseed('repay', 'inc');
SELECT last_extracted_at FROM _wh.extract_watermarks WHERE table_name = 'inc.repay';
SELECT * FROM inc_runs;
\set VERBOSITY terse
UPDATE _wh.extract_watermarks SET lag_reason = '';
\echo :SQLSTATE
SELECT _wh.reseed('repay', 'inc', 'infinity');
\echo :SQLSTATE
\set VERBOSITY default

-- Days, months of them one by one; the watermark stays where it is.
SELECT status, method, rows, rows_unchanged FROM _wh.wh_refresh('repay', 'inc', '2024-01-10', '2024-03-05');
SELECT count(*) FROM _wh.wh_refresh('repay', 'inc', '2024-01-10', '2024-03-05', dry_run => true);
SELECT last_extracted_at > now() - interval '1 hour' AS kept FROM _wh.extract_watermarks WHERE table_name = 'inc.repay';
SELECT status, rows FROM _wh.wh_refresh('repay', 'inc', to_date => '2024-01-05');

-- A history loaded month by month goes on from where it was seeded.
SELECT add_inc('repay_parts', 'SELECT id, loan, updated_at FROM repayments', 'id bigint, loan integer, updated_at timestamptz');
SELECT _wh.reseed('repay_parts', 'inc', '2024-01-31 23:59:59.999999');
SELECT status, method, rows FROM _wh.wh_refresh('repay_parts', 'inc', '2024-02-01', '2024-03-31', parallel => 0);
SELECT last_extracted_at FROM _wh.extract_watermarks WHERE table_name = 'inc.repay_parts';
SELECT status, method, rows FROM _wh.wh_refresh('repay_parts', 'inc', '2024-04-01', '2024-04-05', parallel => 0);
SELECT last_extracted_at FROM _wh.extract_watermarks WHERE table_name = 'inc.repay_parts';
SELECT status, method, rows FROM _wh.wh_refresh('repay_parts', 'inc', '2024-01-01', '2024-01-31', parallel => 0);
SELECT last_extracted_at FROM _wh.extract_watermarks WHERE table_name = 'inc.repay_parts';
SELECT status, method, rows FROM _wh.wh_refresh('repay_parts', 'inc');
SELECT count(*) FROM inc.repay_parts;

-- The seeds' functions and the job know it, too; a method that cannot serve.
SELECT _wh.update_mv_by_template('repay', 'inc'), _wh.create_mv_from_template('repay', 'inc');
CALL _wh.run_refresh('repay', 'inc');
SELECT status, sqlstate, message FROM _wh.wh_refresh('repay', 'inc', method => 'refill');
SELECT status, method FROM _wh.wh_refresh('repay', 'inc', method => 'upsert');
SELECT status, sqlstate, message FROM _wh.wh_refresh('repay', 'inc', prove => true);
SELECT method, local_sql, locks, note FROM _wh.wh_plan('repay', 'inc', method => 'delta');
SELECT period_kind, relations, rows > 0 AS rows, total_bytes > index_bytes AS sized FROM _wh.v_storage WHERE template_name = 'repay';
-- Its rows are the owner's to change, too.
BEGIN;
DELETE FROM inc.repay WHERE id = 60;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%repay%';
ROLLBACK;

-- A template that changes: the table grows, all rows are read again.
SELECT _wh.alter_template('repay', query_template => 'SELECT id, loan, amount, note, updated_at, loan * 2 AS twice FROM repayments',
    column_definitions => 'id bigint, loan integer, amount numeric(10,2), note text, updated_at timestamptz, twice integer');
SELECT method, rows, rows_updated FROM _wh.wh_refresh('repay', 'inc', '2024-01-01', '2024-01-05');
SELECT template_version FROM _wh.slices WHERE template_name = 'repay';
SELECT * FROM inc_runs;
SELECT count(*), count(twice) FROM public.repay;
SELECT _wh.alter_template('repay', column_definitions => 'id bigint, loan bigint, amount numeric(10,2), note text, updated_at timestamptz, twice integer');
SELECT status, sqlstate, message FROM inc_runs;
SELECT error_detail FROM _wh.extract_runs WHERE template_name = 'repay' ORDER BY run_id DESC LIMIT 1;
SELECT _wh.alter_template('repay', column_definitions => 'id bigint, loan integer, amount numeric(10,2), note text, updated_at timestamptz, twice integer');

-- A table that is gone is loaded afresh, whatever the watermark says.
DROP VIEW public.repay;
DROP TABLE inc.repay;
SELECT * FROM inc_runs;
SELECT count(*) FROM public.repay;

-- on_conflict nothing: what is there stays.
SELECT add_inc('repay_keep', 'SELECT id, amount, updated_at FROM repayments', 'id bigint, amount numeric(10,2), updated_at timestamptz', options => '{"on_conflict": "nothing", "overlap": "2 hours"}');
SELECT status FROM _wh.wh_refresh('repay_keep', 'inc');
RESET ROLE;
\c wh_inc_source
UPDATE repayments SET amount = -1, updated_at = now() WHERE id = 7;
INSERT INTO repayments VALUES (103, 3, 3, 'new', now());
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET ROLE whadmin;
SELECT rows, rows_inserted, rows_updated, rows_unchanged FROM _wh.wh_refresh('repay_keep', 'inc');
SELECT last_extracted_at - reread_from AS overlap FROM _wh.extract_watermarks WHERE table_name = 'inc.repay_keep';
SELECT amount FROM inc.repay_keep WHERE id = 7;

-- A table that is there is adopted with its rows, or it is said why not.
SET wh_test.template = 'adopted';
SELECT add_inc('adopted', 'SELECT id, loan, amount, updated_at FROM repayments', 'id bigint, loan integer, amount numeric(10,2), updated_at timestamptz');
CREATE TABLE inc.adopted (id bigint, loan bigint, updated_at timestamptz GENERATED ALWAYS AS ('2024-01-01 00:00+00'::timestamptz) STORED);
SELECT status, sqlstate, message FROM inc_runs;
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'adopted' ORDER BY run_id DESC LIMIT 1;
DROP TABLE inc.adopted;
CREATE VIEW inc.adopted AS SELECT 1;
SELECT status, sqlstate, message FROM inc_runs;
DROP VIEW inc.adopted;
CREATE TABLE inc.adopted (id bigint PRIMARY KEY, updated_at timestamptz, loan integer, amount numeric(10,2));
INSERT INTO inc.adopted VALUES (1, '2024-01-02', 1, 99), (-1, '2020-01-01', 0, 0);
SELECT * FROM inc_runs;
SELECT row_count FROM _wh.slices WHERE template_name = 'adopted';
SELECT id, amount FROM inc.adopted WHERE id IN (-1, 1) ORDER BY 1;
RESET ROLE;
SET ROLE phood_ro;
SELECT count(*) FROM inc.adopted;
RESET ROLE;
ALTER TABLE inc.adopted OWNER TO CURRENT_USER;
SELECT status, sqlstate, message FROM inc_runs;
ALTER TABLE inc.adopted OWNER TO whadmin;

-- What the owner puts on the table works as with any INSERT of his: in a
-- worker under any caller, in a session of his own, and nowhere else.
SET ROLE whadmin;
CREATE SCHEMA inc_own;
CREATE TABLE inc_own.loans (id integer PRIMARY KEY, paid numeric NOT NULL DEFAULT 0);
CREATE TABLE inc_own.parents (id integer PRIMARY KEY);
ALTER TABLE inc.adopted ADD COLUMN half numeric GENERATED ALWAYS AS (amount / 2) STORED,
    ADD COLUMN loaded_by text DEFAULT current_user,
    ADD COLUMN parent integer REFERENCES inc_own.parents DEFERRABLE INITIALLY DEFERRED;
CREATE FUNCTION inc_own.on_adopted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('pg_temp.inc_seen') IS NULL THEN
        CREATE TEMP TABLE inc_seen (id bigint);
    END IF;
    INSERT INTO inc_seen VALUES (NEW.id);
    NEW.parent = NEW.loan;
    RETURN NEW;
END $$;
CREATE FUNCTION inc_own.after_adopted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loans AS l VALUES (NEW.loan, NEW.amount) ON CONFLICT (id) DO UPDATE SET paid = l.paid + excluded.paid;
    INSERT INTO parents VALUES (NEW.loan) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER on_adopted BEFORE INSERT OR UPDATE ON inc.adopted FOR EACH ROW EXECUTE FUNCTION inc_own.on_adopted();
CREATE TRIGGER zz_after AFTER INSERT OR UPDATE ON inc.adopted FOR EACH ROW EXECUTE FUNCTION inc_own.after_adopted();
RESET ROLE;
DO $$ BEGIN EXECUTE format('ALTER ROLE whadmin IN DATABASE %I SET search_path = inc_own, public, _wh', current_database()); END $$;
\c wh_inc_source
UPDATE repayments SET amount = 8, updated_at = now() WHERE id = 8;
INSERT INTO repayments VALUES (104, 4, 40, 'new', now()), (105, 4, 2, 'new', now());
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET wh_test.template = 'adopted';
SELECT status, sqlstate, message FROM _wh.wh_refresh('adopted', 'inc', parallel => 0);
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'adopted' ORDER BY run_id DESC LIMIT 1;
SET ROLE whadmin;
SELECT status, sqlstate FROM _wh.wh_refresh('adopted', 'inc', parallel => 0);
RESET ROLE;
SET SESSION AUTHORIZATION whadmin;
SELECT status, sqlstate FROM _wh.wh_refresh('adopted', 'inc', parallel => 0);
RESET SESSION AUTHORIZATION;
SELECT * FROM inc_runs;
SELECT id, amount, half, loaded_by, parent FROM inc.adopted WHERE id IN (8, 104, 105) ORDER BY id;
SELECT * FROM inc_own.loans ORDER BY id;
SELECT * FROM inc_own.parents ORDER BY id;

-- A session of the owner's own does it in his transaction.
\c wh_inc_source
INSERT INTO repayments VALUES (106, 5, 1, 'new', now());
\c :warehouse whadmin
BEGIN;
SELECT status, method, rows_inserted FROM wh_refresh('adopted', 'inc', parallel => 0);
SELECT id FROM inc_seen;
SELECT * FROM loans WHERE id = 5;
ROLLBACK;
SELECT status, method, rows_inserted FROM wh_refresh('adopted', 'inc');
SELECT paid FROM loans WHERE id = 5;
\c :warehouse :superuser
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET wh_test.template = 'adopted';

-- A trigger that raises, a deferred key without a parent, a column that wants a
-- value: the run has failed, nothing is loaded, the watermark has not moved.
\c wh_inc_source
INSERT INTO repayments VALUES (107, 6, 1, 'new', now()), (108, 6, 1, 'new', now());
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET wh_test.template = 'adopted';
SELECT last_extracted_at AS before FROM _wh.extract_watermarks WHERE table_name = 'inc.adopted' \gset
SET ROLE whadmin;
CREATE FUNCTION inc_own.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no row % here', NEW.id; END $$;
CREATE TRIGGER zz_refuse BEFORE INSERT ON inc.adopted FOR EACH ROW WHEN (NEW.id = 108) EXECUTE FUNCTION inc_own.refuse();
SELECT status, sqlstate, message FROM inc_runs;
SELECT error_detail, error_category FROM _wh.extract_runs WHERE template_name = 'adopted' ORDER BY run_id DESC LIMIT 1;
DROP TRIGGER zz_refuse ON inc.adopted;
ALTER TABLE inc.adopted DISABLE TRIGGER zz_after;
SELECT status, sqlstate, message FROM inc_runs;
ALTER TABLE inc.adopted ENABLE TRIGGER zz_after;
ALTER TABLE inc.adopted ADD COLUMN wanted integer NOT NULL DEFAULT 1;
ALTER TABLE inc.adopted ALTER COLUMN wanted DROP DEFAULT;
SELECT status, sqlstate, message FROM inc_runs;
SELECT error_detail FROM _wh.extract_runs WHERE template_name = 'adopted' ORDER BY run_id DESC LIMIT 1;
SELECT count(*) FROM inc.adopted WHERE id IN (107, 108);
SELECT last_extracted_at = :'before' AS unmoved FROM _wh.extract_watermarks WHERE table_name = 'inc.adopted';
ALTER TABLE inc.adopted DROP COLUMN wanted;
SELECT * FROM inc_runs;
RESET ROLE;

-- A wall clock in the tenant's zone, over the hour that comes twice.
\c wh_inc_source
CREATE TABLE wall (id integer PRIMARY KEY, at timestamp NOT NULL);
INSERT INTO wall VALUES (1, '2024-11-03 00:30'), (2, '2024-11-03 01:30'), (3, '2024-11-03 02:30');
GRANT SELECT ON wall TO wh_inc;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT _wh.alter_tenant('inc', time_zone => 'America/New_York');
SELECT add_inc('wall', 'SELECT id, at FROM wall', 'id integer, at timestamp', '{id}', 'at');
SELECT _wh.reseed('wall', 'inc', '2024-11-03 05:45+00');
SELECT substring(remote_sql FROM 'WHERE.*\)') FROM _wh.wh_plan('wall', 'inc');
SELECT status, rows FROM _wh.wh_refresh('wall', 'inc');
SELECT substring(remote_sql FROM 'WHERE.*\)') FROM _wh.wh_plan('wall', 'inc', '2024-11-03', '2024-11-03');
SELECT status, rows FROM _wh.wh_refresh('wall', 'inc', '2024-11-03', '2024-11-03');

-- The tenant is renamed, the template and the tenant go.
SELECT _wh.rename_tenant('inc', 'inc2', rename_schema => true);
SELECT tenant_name, table_name FROM _wh.extract_watermarks ORDER BY 2;
SELECT status, method FROM _wh.wh_refresh('adopted', 'inc2');
SELECT _wh.drop_template('adopted');
SELECT count(*) > 100 AS kept FROM inc2.adopted;
SELECT _wh.drop_tenant('inc2', drop_data => true);
SELECT count(*) FROM _wh.extract_watermarks;
DROP VIEW inc_runs;
SELECT _wh.drop_template(template_name) IS NOT NULL AS dropped FROM _wh.mv_templates WHERE materialization = 'incremental' ORDER BY template_name;
DROP FUNCTION add_inc;
DROP SCHEMA inc2, inc_own CASCADE;
DO $$ BEGIN EXECUTE format('ALTER ROLE whadmin IN DATABASE %I SET search_path = "$user", public, _wh', current_database()); END $$;
DROP DATABASE wh_inc_source;
DROP ROLE wh_inc;
