-- verify_gates: what must hold before the first run, after it and from then on.
\set VERBOSITY default
SET datestyle = 'ISO';
SET timezone = 'UTC';
\set warehouse :DBNAME
CREATE ROLE wh_ver LOGIN;
GRANT pg_read_all_stats TO wh_ver;
CREATE DATABASE wh_ver_source;
\c wh_ver_source
CREATE TABLE alarms (id bigint PRIMARY KEY, note text, created_at timestamptz NOT NULL);
INSERT INTO alarms SELECT i, 'alarm', timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' FROM generate_series(1, 240) AS i;
GRANT SELECT ON alarms TO wh_ver;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT _wh.add_tenant('ver', host, 'wh_ver_source', 'wh_ver', port, sslmode => sslmode, auth_method => auth_method)
FROM _wh.tenant_connections WHERE tenant_name = 'tenant_a';
SELECT _wh.add_template('alarms', 'SELECT id, note, created_at FROM alarms', 'id bigint, note text, created_at timestamptz',
    materialization => 'incremental', key_columns => '{id}', watermark_column => 'created_at', tenants => '{ver}');
SELECT _wh.add_template('alarms_now', 'SELECT id, note FROM alarms', 'id bigint, note text', materialization => 'snapshot', tenants => '{ver}');
SELECT _wh.add_template('alarms_daily', 'SELECT id, created_at FROM alarms WHERE created_at >= {DAY_START} AND created_at < {DAY_END}',
    'id bigint, created_at timestamptz', time_column => 'created_at', tenants => '{ver}');
CREATE FUNCTION gates(template text) RETURNS TABLE (phase text, gate text, ok boolean, detail text) LANGUAGE sql SET intervalstyle = 'postgres' AS $$
SELECT phase, gate, ok, regexp_replace(regexp_replace(regexp_replace(detail, 'tls: not encrypted[^\n]*\n?', ''), '\d\d\d\d-\d\d-\d\d [0-9:.]+(\+00| UTC)', '(time)', 'g'), '(run|ago|loaded) [0-9:]+( ago)?', '\1 ...', 'g')
FROM _wh.verify_gates(template, 'ver') $$;

\set VERBOSITY terse
SELECT * FROM _wh.verify_gates(NULL);
\echo :SQLSTATE
SELECT * FROM _wh.verify_gates('nosuch');
\echo :SQLSTATE
SELECT * FROM _wh.verify_gates('alarms', 'tenant_a');
\echo :SQLSTATE
\set VERBOSITY default

-- Before the first run, after it.
SELECT phase, gate, ok FROM gates('alarms');
SELECT detail FROM gates('alarms') WHERE gate IN ('watermark', 'loaded', 'freshness', 'row_rate');
SELECT status, rows FROM _wh.wh_refresh('alarms', 'ver');
SELECT * FROM gates('alarms') WHERE gate <> 'connection';
SELECT bool_and(ok) FROM _wh.verify_gates('alarms');

-- Each one fails by itself: roles, schema, a seed that is yet to come.
REVOKE USAGE ON SCHEMA ver FROM phood_ro;
SELECT gate, ok, detail FROM gates('alarms') WHERE NOT ok;
GRANT USAGE ON SCHEMA ver TO phood_ro;
ALTER SCHEMA ver OWNER TO CURRENT_USER;
SELECT gate, ok, detail FROM gates('alarms') WHERE phase = 'pre_deploy' AND NOT ok;
ALTER SCHEMA ver OWNER TO whadmin;
SELECT last_extracted_at AS kept FROM _wh.extract_watermarks WHERE table_name = 'ver.alarms' \gset
UPDATE _wh.extract_watermarks SET last_extracted_at = now() + interval '1 year' WHERE table_name = 'ver.alarms';
SELECT gate, ok, detail FROM gates('alarms') WHERE NOT ok;
UPDATE _wh.extract_watermarks SET last_extracted_at = :'kept' WHERE table_name = 'ver.alarms';

-- Rows that are waiting are told apart from rows that are missing, or gone.
\c wh_ver_source
INSERT INTO alarms VALUES (241, 'new', now()), (242, 'new', now());
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT gate, ok, detail FROM gates('alarms') WHERE gate = 'row_count';
DELETE FROM ver.alarms WHERE id = 7;
SELECT gate, ok, detail FROM gates('alarms') WHERE gate = 'row_count';
SELECT action, rows_inserted FROM _wh.reconcile('alarms', 'ver', '2024-01-01', '2024-01-31') WHERE NOT equal;
SELECT status, rows FROM _wh.wh_refresh('alarms', 'ver');
\c wh_ver_source
DELETE FROM alarms WHERE id = 100;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT gate, ok, detail FROM gates('alarms') WHERE gate = 'row_count';
SELECT action, rows_deleted FROM _wh.reconcile('alarms', 'ver') WHERE NOT equal;

-- Columns and key; a run that failed; a tenant that is not there.
\c wh_ver_source
ALTER TABLE alarms DROP CONSTRAINT alarms_pkey;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT gate, ok, detail FROM gates('alarms') WHERE NOT ok;
\c wh_ver_source
ALTER TABLE alarms ADD PRIMARY KEY (id);
ALTER TABLE alarms RENAME COLUMN note TO remark;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT status FROM _wh.wh_refresh('alarms', 'ver');
SELECT phase, gate, ok, split_part(detail, E'\n', 1) AS detail FROM gates('alarms') WHERE NOT ok;
\c wh_ver_source
ALTER TABLE alarms RENAME COLUMN remark TO note;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
UPDATE _wh.tenant_connections SET dbname = 'wh_ver_nowhere' WHERE tenant_name = 'ver';
SELECT phase, gate, ok, split_part(detail, ':', 1) AS detail FROM gates('alarms') WHERE gate IN ('connection', 'columns', 'key', 'row_count');
UPDATE _wh.tenant_connections SET dbname = 'wh_ver_source' WHERE tenant_name = 'ver';
SELECT status FROM _wh.wh_refresh('alarms', 'ver');
SELECT bool_and(ok) FROM _wh.verify_gates('alarms');

-- A snapshot, and days.
SELECT status FROM _wh.wh_refresh('alarms_now', 'ver');
SELECT status FROM _wh.wh_refresh('alarms_daily', 'ver', '2024-01-02', '2024-01-06');
SELECT gate, ok, detail FROM gates('alarms_now') WHERE phase = 'first_run';
SELECT gate, ok, detail FROM gates('alarms_daily') WHERE phase <> 'pre_deploy';
\c wh_ver_source
DELETE FROM alarms WHERE id > 120;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT gate, ok, detail FROM gates('alarms_now') WHERE gate = 'row_count';
SELECT gate, ok, detail FROM gates('alarms_daily') WHERE gate = 'row_count';

-- The latest day against the median of the days before it: the days come from
-- the log, which is made older here.
SELECT run_id AS first_run FROM _wh.extract_runs WHERE table_name = 'ver.alarms' AND status = 'loaded' AND kind = 'refresh' ORDER BY run_id LIMIT 1 \gset
INSERT INTO _wh.extract_runs (kind, template_name, tenant_name, table_name, period_start, status, run_started_at, run_finished_at,
    rows_extracted, rows_loaded, rows_inserted, rows_updated, rows_deleted, rows_unchanged, bytes, method, attempt, service_instance)
SELECT r.kind, r.template_name, r.tenant_name, r.table_name, r.period_start, r.status, r.run_started_at - ago * interval '1 day', r.run_finished_at - ago * interval '1 day',
    n, n, n, 0, 0, 0, r.bytes, r.method, r.attempt, r.service_instance
FROM _wh.extract_runs AS r, (VALUES (1, 200), (2, 260), (3, 240), (9, 9000)) AS d (ago, n) WHERE r.run_id = :first_run;
SELECT latest, median, days FROM _wh.v_row_rates WHERE template_name = 'alarms';
SELECT gate, ok, detail FROM gates('alarms') WHERE gate = 'row_rate';
UPDATE _wh.extract_runs SET rows_inserted = rows_inserted * 3, rows_extracted = rows_extracted * 3, rows_loaded = rows_loaded * 3
WHERE table_name = 'ver.alarms' AND run_finished_at < now() - interval '23 hours';
SELECT gate, ok, detail FROM gates('alarms') WHERE gate = 'row_rate';
SET ROLE wh_monitor;
SELECT days FROM _wh.v_row_rates WHERE template_name = 'alarms';
SELECT * FROM _wh.verify_gates('alarms');
\echo :SQLSTATE
RESET ROLE;

SELECT _wh.drop_template(template_name, drop_data => true) IS NOT NULL AS dropped FROM _wh.mv_templates WHERE template_name LIKE 'alarms%' ORDER BY template_name;
SELECT _wh.drop_tenant('ver', drop_data => true) IS NOT NULL AS dropped;
DROP FUNCTION gates;
DROP DATABASE wh_ver_source;
DROP ROLE wh_ver;
