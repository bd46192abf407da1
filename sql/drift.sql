-- Drift: how a source's columns differ, what a template adapts to, and how the
-- slices of an older version come to the present one.
\set VERBOSITY default
\set warehouse :DBNAME
SET datestyle = 'ISO';
\c wh_tenant_a
CREATE TABLE drift_src (id int, at timestamptz NOT NULL, note text, amount numeric(10,2));
INSERT INTO drift_src SELECT i, timestamptz '2024-08-01 00:00+00' + i * interval '12 hours', 'note ' || i, i FROM generate_series(0, 9) AS i;
GRANT SELECT ON drift_src TO wh_src;
\c wh_tenant_b
CREATE TABLE drift_src (id int, at timestamptz NOT NULL, note text, amount numeric(10,2));
INSERT INTO drift_src SELECT i, timestamptz '2024-08-01 00:00+00' + i * interval '12 hours', 'note ' || i, i FROM generate_series(0, 9) AS i;
GRANT SELECT ON drift_src TO wh_src;
\c :warehouse
SET datestyle = 'ISO';
SELECT _wh.add_template('drift', $$SELECT * FROM drift_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id int, at timestamptz, note text, amount numeric(10,2)', time_column => 'at');
SELECT _wh.add_template('drift2', $$SELECT id, at FROM drift_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id int, at timestamptz', time_column => 'at', tenants => '{tenant_b}');
SELECT count(*) FROM _wh.drift('drift');
SELECT count(*) FROM _wh.drift('drift2', 'tenant_b');
SELECT status, count(*) FROM _wh.wh_refresh('drift', from_date => '2024-08-01', to_date => '2024-08-04') GROUP BY 1;

-- Unknown names.
SELECT * FROM _wh.drift('nosuch');
\echo :SQLSTATE
SELECT * FROM _wh.drift('drift2', 'tenant_a');
\echo :SQLSTATE

-- One column gone, one come, one of another type, and another order.
\c wh_tenant_a
ALTER TABLE drift_src DROP COLUMN note;
ALTER TABLE drift_src ADD COLUMN extra text DEFAULT 'x';
ALTER TABLE drift_src ALTER COLUMN id TYPE bigint;
\c wh_tenant_b
ALTER TABLE drift_src RENAME TO drift_was;
CREATE VIEW drift_src AS SELECT amount, id, at, note FROM drift_was;
GRANT SELECT ON drift_src TO wh_src;
\c :warehouse
SET datestyle = 'ISO';
SELECT * FROM _wh.drift('drift') ORDER BY tenant_name, column_name;
SELECT status, sqlstate, message FROM _wh.wh_refresh('drift', 'tenant_a', '2024-08-01', '2024-08-01');

-- An unreachable tenant is one row, whatever the number of its templates, and
-- a query that is refused another; the others are looked at all the same.
SELECT _wh.alter_template('drift2', query_template => $$SELECT id, at FROM drift_nowhere WHERE at >= {DAY_START} AND at < {DAY_END}$$);
SELECT template_name, tenant_name, change, message FROM _wh.drift('drift2');
SELECT _wh.alter_tenant('tenant_b', port => 1);
SELECT template_name, tenant_name, column_name, change, message FROM _wh.drift() WHERE tenant_name = 'tenant_b';
SELECT count(*) FROM _wh.drift() WHERE template_name = 'drift' AND tenant_name = 'tenant_a';
SELECT _wh.alter_tenant('tenant_b', port => current_setting('port')::integer);

-- Adapting: what is missing is NULL, what is added is left out, the order does
-- not matter; the log says so.  Another type is still refused.
SELECT _wh.alter_template('drift', on_drift => 'adapt');
SELECT status, sqlstate FROM _wh.wh_refresh('drift', 'tenant_a', '2024-08-01', '2024-08-01');
\c wh_tenant_a
ALTER TABLE drift_src ALTER COLUMN id TYPE int;
\c :warehouse
SET datestyle = 'ISO';
SELECT tenant_name, status, rows, rows_inserted, rows_deleted FROM _wh.wh_refresh('drift', NULL, '2024-08-01', '2024-08-01', prove => true);
SELECT id, at AT TIME ZONE 'UTC' AS at, note, amount FROM tenant_a.drift_2024_08_01 ORDER BY id;
SELECT DISTINCT ON (tenant_name) tenant_name, context -> 'drift' AS drift FROM _wh.extract_runs
WHERE template_name = 'drift' AND status = 'loaded' ORDER BY tenant_name, run_id DESC;
SELECT period_start, equal, action FROM _wh.reconcile('drift', 'tenant_a', '2024-08-01', '2024-08-02');
SELECT _wh.alter_template('drift', query_template =>
    $$SELECT amount, at, id AS a, id AS a, id FROM drift_src WHERE at >= {DAY_START} AND at < {DAY_END}$$, tenants => '{tenant_a}');
SELECT column_name, declared_type, source_type, change FROM _wh.drift('drift');
SELECT status, rows FROM _wh.wh_refresh('drift', 'tenant_a', '2024-08-01', '2024-08-01');
-- One that is wanted and there twice is ambiguous; a query without any of the
-- columns is another query.
SELECT _wh.alter_template('drift', query_template =>
    $$SELECT id, at, at AS id FROM drift_src WHERE at >= {DAY_START} AND at < {DAY_END}$$);
SELECT column_name, change FROM _wh.drift('drift') ORDER BY 1, 2;
SELECT status, sqlstate, message FROM _wh.wh_refresh('drift', 'tenant_a', '2024-08-01', '2024-08-01');
SELECT _wh.alter_template('drift', query_template =>
    $$SELECT 1 AS other FROM drift_src WHERE at >= {DAY_START} AND at < {DAY_END}$$);
SELECT status, sqlstate FROM _wh.wh_refresh('drift', 'tenant_a', '2024-08-01', '2024-08-01');
SELECT error_detail FROM _wh.extract_runs WHERE template_name = 'drift' ORDER BY run_id DESC LIMIT 1;

-- A new version: its columns are in the views at once, NULL for older slices;
-- wh_refresh of the template brings these to it, newest first.
SELECT _wh.alter_template('drift', on_drift => 'fail', query_template =>
    $$SELECT id, at, amount, 'new ' || id AS more FROM drift_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id int, at timestamptz, amount numeric(10,2), more text', lookback_days => 0);
SELECT id, more, amount FROM tenant_a.drift ORDER BY id LIMIT 2;
SELECT schema_name, count(*), count(more) AS new FROM public.drift GROUP BY 1 ORDER BY 1;
SELECT day, state, reason FROM _wh.v_coverage WHERE template_name = 'drift' AND day BETWEEN '2024-08-02' AND '2024-08-03' ORDER BY 1;
SELECT tenant_name, period_start, status FROM _wh.wh_refresh('drift', dry_run => true)
WHERE period_start < _wh.current_date_utc();
SELECT period_start, status, method FROM _wh.wh_refresh('drift') WHERE period_start < _wh.current_date_utc();
SELECT count(*), count(more) AS new FROM tenant_a.drift;
SELECT count(*) FROM _wh.wh_refresh('drift', dry_run => true) WHERE period_start < _wh.current_date_utc();
SELECT day, state FROM _wh.v_coverage WHERE template_name = 'drift' AND day BETWEEN '2024-08-02' AND '2024-08-03' ORDER BY 1;
-- A frozen one stays what it is.
SELECT _wh.alter_template('drift', options => '{"frozen": true}', query_template =>
    $$SELECT id, at, amount, 'newer ' || id AS more FROM drift_src WHERE at >= {DAY_START} AND at < {DAY_END}$$);
SELECT count(*) FROM _wh.wh_refresh('drift', dry_run => true) WHERE period_start < _wh.current_date_utc();
SELECT day, state FROM _wh.v_coverage WHERE template_name = 'drift' AND day = '2024-08-02';

SELECT _wh.drop_template('drift', drop_data => true) ->> 'template' AS dropped;
SELECT _wh.drop_template('drift2', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name LIKE 'drift%';
\c wh_tenant_a
DROP TABLE drift_src;
\c wh_tenant_b
DROP VIEW drift_src;
DROP TABLE drift_was;
