-- Derived templates: a query that runs here, over a tenant's own relations,
-- after the templates that it depends on.
\set VERBOSITY default
SET datestyle = 'ISO';
SET timezone = 'UTC';
\set warehouse :DBNAME
CREATE DATABASE wh_der_a;
CREATE DATABASE wh_der_b;
\c wh_der_a
CREATE TABLE loans (id integer PRIMARY KEY, officer text NOT NULL, dpd integer NOT NULL);
INSERT INTO loans SELECT i, 'officer ' || i % 3, i * 5 FROM generate_series(1, 12) AS i;
CREATE TABLE logs (id bigint PRIMARY KEY, at timestamptz NOT NULL, store text, amount numeric(10,2));
INSERT INTO logs SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '2 hours', 'store ' || i % 3, i * 1.25 FROM generate_series(0, 59) AS i;
GRANT SELECT ON loans, logs TO wh_src;
\c wh_der_b
CREATE TABLE loans (id integer PRIMARY KEY, officer text NOT NULL, dpd integer NOT NULL);
INSERT INTO loans VALUES (1, 'officer x', 40);
GRANT SELECT ON loans TO wh_src;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT _wh.add_tenant('der_' || n, host, 'wh_der_' || n, 'wh_src', port, sslmode => sslmode, auth_method => auth_method)
FROM _wh.tenant_connections, unnest('{a,b}'::text[]) AS n WHERE tenant_name = 'tenant_a';
SELECT _wh.alter_template('foodlogstats', enabled => false);
SELECT _wh.alter_tenant(tenant_name, enabled => false) FROM _wh.tenant_connections WHERE tenant_name IN ('tenant_a', 'tenant_b') ORDER BY tenant_name;
SET ROLE whadmin;
SELECT _wh.add_template('z_loans', 'SELECT id, officer, dpd FROM loans', 'id integer, officer text, dpd integer',
    'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)', materialization => 'snapshot', key_columns => '{id}');

-- What is no derived template.
\set VERBOSITY terse
SELECT _wh.add_template('d_bad', 'SELECT id FROM z_loans', 'id integer', materialization => 'incremental', source => 'local');
\echo :SQLSTATE
SELECT _wh.add_template('d_bad', 'SELECT id FROM loans', 'id integer', materialization => 'snapshot', options => '{"depends_on": ["z_loans"]}');
\echo :SQLSTATE
SELECT _wh.add_template('d_bad', 'SELECT 1 AS id; SELECT 2', 'id integer', materialization => 'snapshot', source => 'local');
\echo :SQLSTATE
SELECT _wh.add_template('d_bad', 'SELECT id FROM z_loans', 'id integer', source => 'local');
\echo :SQLSTATE
SELECT _wh.add_template('d_bad', 'SELECT id FROM z_loans', 'id integer', materialization => 'snapshot', source => 'local',
    options => '{"depends_on": ["z_loans", "z_loans"]}');
\echo :SQLSTATE
SELECT _wh.add_template('d_bad', 'SELECT id FROM z_loans', 'id integer', materialization => 'snapshot', source => 'local',
    options => '{"depends_on": ["d_bad"]}');
\echo :SQLSTATE
SELECT _wh.alter_template('z_loans', source => 'local');
\echo :SQLSTATE
\set VERBOSITY default
SELECT _wh.add_template('d_bad', 'SELECT id FROM z_loans', 'id integer', materialization => 'snapshot', source => 'local',
    options => '{"depends_on": ["nothing"]}');
\echo :SQLSTATE

-- Columns are asked of the query, here; what it reads has to be there then.
SELECT _wh.add_template('officers', 'SELECT officer, count(*) AS loans, sum(dpd) AS dpd FROM z_loans GROUP BY officer',
    materialization => 'snapshot', source => 'local', options => '{"depends_on": ["z_loans"]}');
\echo :SQLSTATE
SELECT _wh.add_template('officers', 'SELECT officer, count(*) AS loans, sum(dpd) AS dpd FROM z_loans GROUP BY officer',
    'officer text, loans bigint, dpd bigint', materialization => 'snapshot', source => 'local', key_columns => '{officer}',
    options => '{"depends_on": ["z_loans"]}');

-- An input that was never loaded; then both, in the order of what is made of
-- what, not of names.
SELECT template_name, tenant_name, status, message FROM _wh.wh_refresh('officers');
SELECT template_name, tenant_name, remote_sql, local_sql, relation, note
FROM _wh.wh_plan('officers', 'der_a') AS p, LATERAL (SELECT 'officers' AS template_name) AS t;
SELECT template_name, tenant_name, status, method, rows, message FROM _wh.wh_refresh() WHERE template_name IN ('officers', 'z_loans');
SELECT * FROM der_a.officers ORDER BY 1;
SELECT * FROM public.officers ORDER BY schema_name, officer;
SELECT pg_get_viewdef('der_a.officers'::regclass) LIKE '%FROM der_a.z_loans%' AS itself;
SELECT relkind, relowner::regrole, has_table_privilege('phood_ro', oid, 'SELECT') AS reader FROM pg_class WHERE oid = 'der_a.officers'::regclass;
SELECT tenant_name, state, row_count, reason FROM _wh.v_coverage WHERE template_name = 'officers' ORDER BY 1;
SELECT tenant_name, state, row_count FROM _wh.wh_status() WHERE template_name = 'officers' ORDER BY 1;

-- Inferred now, with what the types are.
SELECT _wh.add_template('worst', 'SELECT max(dpd) AS dpd, count(*) FILTER (WHERE dpd > 30)::numeric(10,2) AS par30, ''{x}''::text[] AS tags FROM z_loans',
    materialization => 'snapshot', source => 'local', options => '{"depends_on": ["officers", "z_loans"]}');
SELECT column_definitions FROM _wh.mv_templates WHERE template_name = 'worst';
SELECT tenant_name, status, method FROM _wh.wh_refresh('worst');

-- Only what differs is written; a plain REFRESH, a refill, a proof and a
-- comparison do the same.
RESET ROLE;
\c wh_der_a
UPDATE loans SET dpd = 100 WHERE id = 1;
DELETE FROM loans WHERE officer = 'officer 2';
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET ROLE whadmin;
SELECT template_name, status, rows, rows_inserted, rows_updated, rows_deleted, rows_unchanged
FROM _wh.wh_refresh('z_loans', 'der_a');
SELECT state, reason FROM _wh.v_coverage WHERE template_name = 'officers' AND tenant_name = 'der_a';
SELECT state, reason FROM _wh.v_coverage WHERE template_name = 'officers' AND tenant_name = 'der_b';
SELECT state, last_error FROM _wh.wh_status() WHERE template_name = 'officers' AND tenant_name = 'der_a';
SELECT equal, source_rows, local_rows, action FROM _wh.reconcile('officers', 'der_a', fix => false);
SELECT status, method, rows, rows_inserted, rows_updated, rows_deleted, rows_unchanged FROM _wh.wh_refresh('officers', 'der_a');
SELECT * FROM der_a.officers ORDER BY 1;
SELECT state, reason FROM _wh.v_coverage WHERE template_name = 'officers' AND tenant_name = 'der_a';
SELECT status, method, rows FROM _wh.wh_refresh('officers', 'der_a', method => 'refill', prove => true);
REFRESH MATERIALIZED VIEW der_a.officers;
SELECT * FROM der_a.officers ORDER BY 1;
SELECT equal, action FROM _wh.reconcile('officers', 'der_a');
SELECT * FROM _wh.drift('officers');
SELECT phase, gate, ok FROM _wh.verify_gates('officers', 'der_a') WHERE phase <> 'steady_state' AND gate <> 'roles' ORDER BY 1, 2;

-- An input that failed leaves what is made of it as it was, however far away.
RESET ROLE;
\c wh_der_a
ALTER TABLE loans RENAME TO loans_away;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET ROLE whadmin;
SELECT template_name, tenant_name, status, message FROM _wh.wh_refresh(tenant => 'der_a') WHERE template_name IN ('officers', 'worst', 'z_loans');
SELECT template_name, state, reason FROM _wh.v_coverage WHERE tenant_name = 'der_a' AND template_name IN ('officers', 'worst') ORDER BY 1;
SELECT template_name, state FROM _wh.wh_status() WHERE tenant_name = 'der_a' AND template_name IN ('officers', 'worst', 'z_loans') ORDER BY 1;
SELECT _wh.update_mv_by_template('officers', 'der_a');
CALL _wh.run_refresh('officers', 'der_a');
SELECT context ->> 'input' AS input, count(*) FROM _wh.extract_runs WHERE template_name = 'worst' AND status = 'skipped' GROUP BY 1;
SELECT count(*) FROM der_a.officers;
RESET ROLE;
\c wh_der_a
ALTER TABLE loans_away RENAME TO loans;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET ROLE whadmin;
SELECT template_name, tenant_name, status FROM _wh.wh_refresh(tenant => 'der_a', parallel => 0) WHERE template_name IN ('officers', 'worst', 'z_loans');
SELECT DISTINCT state FROM _wh.v_coverage WHERE template_name IN ('officers', 'worst');

-- A circle is refused, and survived where the table was written directly.
SELECT _wh.alter_template('officers', options => '{"depends_on": ["z_loans", "worst"]}');
\echo :SQLSTATE
UPDATE _wh.mv_templates SET options = '{"depends_on": ["z_loans", "worst"]}' WHERE template_name = 'officers';
SELECT template_name, status, message FROM _wh.wh_refresh(tenant => 'der_b') WHERE template_name IN ('officers', 'worst', 'z_loans') ORDER BY 1;
UPDATE _wh.mv_templates SET options = '{"depends_on": ["z_loans"]}' WHERE template_name = 'officers';

-- Another query, another body: the relation gives its place to a new one, with
-- what people gave it.
GRANT SELECT ON der_a.officers TO wh_monitor;
SELECT _wh.alter_template('officers', query_template => 'SELECT officer, count(*) AS loans, sum(dpd) AS dpd FROM z_loans WHERE dpd > 10 GROUP BY officer');
SELECT state, reason FROM _wh.v_coverage WHERE template_name = 'officers' AND tenant_name = 'der_a';
SELECT tenant_name, local_sql, note FROM _wh.wh_plan('officers', 'der_a');
SELECT tenant_name, status, method, rows FROM _wh.wh_refresh('officers');
SELECT pg_get_viewdef('der_a.officers'::regclass) LIKE '%dpd > 10%' AS new, has_table_privilege('wh_monitor', 'der_a.officers', 'SELECT') AS granted;
SELECT tenant_name, status, method FROM _wh.wh_refresh('officers');

-- Columns that the query does not return, or in other types; a string that is
-- too long is refused, not cut.
\set VERBOSITY default
SELECT _wh.add_template('typed', 'SELECT id, officer, dpd, officer COLLATE "C" AS c FROM z_loans', 'id bigint, officer varchar(9), dpd numeric(6,1), c text',
    materialization => 'snapshot', source => 'local', options => '{"depends_on": ["z_loans"]}');
SELECT tenant_name, status, method, rows FROM _wh.wh_refresh('typed');
SELECT * FROM der_b.typed;
SELECT tenant_name, status, method, rows_unchanged FROM _wh.wh_refresh('typed');
SELECT _wh.alter_template('typed', column_definitions => 'id bigint, officer varchar(5), dpd numeric(6,1), c text');
SELECT tenant_name, status, sqlstate, message FROM _wh.wh_refresh('typed', 'der_b');
SELECT _wh.alter_template('typed', column_definitions => 'id bigint, officer text, dpd smallint, gone text');
SELECT tenant_name, status, sqlstate, message FROM _wh.wh_refresh('typed', 'der_b');
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'typed' ORDER BY run_id DESC LIMIT 1;
SELECT column_name, declared_type, source_type, change FROM _wh.drift('typed', 'der_b') ORDER BY 1;
SELECT _wh.alter_template('typed', column_definitions => 'id bigint, officer text, gone text', on_drift => 'adapt');
SELECT tenant_name, status, method, rows FROM _wh.wh_refresh('typed', 'der_b');
SELECT * FROM der_b.typed;
SELECT count(*) FROM der_a.typed;
SELECT _wh.drop_template('typed', drop_data => true) -> 'kept' AS kept;

-- What it reads is not there, is another's, or is no table of the tenant's.
SELECT _wh.add_template('typed', 'SELECT id FROM not_there', 'id integer', materialization => 'snapshot', source => 'local');
SELECT status, sqlstate, message FROM _wh.wh_refresh('typed', 'der_a');
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'typed' ORDER BY run_id DESC LIMIT 1;
SELECT _wh.alter_template('typed', query_template => 'SELECT 1 / (dpd - 40) AS id FROM z_loans');
SELECT status, sqlstate, message FROM _wh.wh_refresh('typed', 'der_b');
SELECT _wh.alter_template('typed', query_template => 'SELECT count(*)::integer AS id FROM der_a.z_loans');
SELECT status, message FROM _wh.wh_refresh('typed', 'der_b');
SELECT _wh.drop_template('typed', drop_data => true) -> 'kept' AS kept;

-- Days: over a daily template, checked against their day, rolled up, mended.
SELECT _wh.add_template('m_logs', 'SELECT id, at, store, amount FROM logs WHERE at >= {DAY_START} AND at < {DAY_END}',
    'id bigint, at timestamptz, store text, amount numeric(10,2)', time_column => 'at', key_columns => '{id}', tenants => '{der_a}',
    options => '{"recheck_days": []}');
SELECT _wh.add_template('a_stores', $$SELECT (at AT TIME ZONE 'UTC')::date AS day, store, count(*) AS logs, sum(amount) AS amount
    FROM m_logs WHERE at >= {DAY_START} AND at < {DAY_END} GROUP BY 1, 2$$,
    'day date, store text, logs bigint, amount numeric', 'CREATE UNIQUE INDEX {view_name}_key ON {schema}.{view_name} (day, store)',
    time_column => 'day', key_columns => '{day,store}', source => 'local', tenants => '{der_a}', options => '{"depends_on": ["m_logs"]}');
SELECT template_name, period_start, status, message FROM _wh.wh_refresh('a_stores', 'der_a', '2024-01-02', '2024-01-02');
SELECT r -> 'units' AS units, r -> 'loaded' AS loaded, r -> 'failed' AS failed, r -> 'skipped' AS skipped
FROM _wh.rebuild_entire_warehouse('2024-01-01', '2024-01-05', tenants => '{der_a}', templates => '{a_stores,m_logs}') AS r;
SELECT * FROM der_a.a_stores ORDER BY day, store LIMIT 4;
SELECT day, state, reason FROM _wh.v_coverage WHERE template_name = 'a_stores' AND tenant_name = 'der_a' AND day < '2024-01-06' ORDER BY day;
SELECT pg_get_viewdef('der_a.a_stores_2024_01_02'::regclass) LIKE '%FROM ( SELECT %WHERE ((q.day >= ''2024-01-02''::date) AND (q.day < ''2024-01-03''::date));' AS bounded;
SELECT template_name, period_start, relation_name, bounds_of FROM _wh.slices WHERE template_name = 'a_stores' ORDER BY 2 LIMIT 2;
SELECT remote_sql, local_sql, note FROM _wh.wh_plan('a_stores', 'der_a', '2024-01-02', '2024-01-02');
EXPLAIN (COSTS OFF) SELECT count(*) FROM der_a.a_stores WHERE day = '2024-01-03';

-- Late data goes further: a job makes the days again whose inputs changed.
RESET ROLE;
\c wh_der_a
UPDATE logs SET amount = amount + 1000 WHERE id = 13;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET ROLE whadmin;
SELECT status, rows_updated FROM _wh.wh_refresh('m_logs', 'der_a', '2024-01-02', '2024-01-02');
SELECT day, state, reason FROM _wh.v_coverage WHERE template_name = 'a_stores' AND tenant_name = 'der_a' AND day IN ('2024-01-02', '2024-01-03') ORDER BY day;
CALL _wh.run_refresh('m_logs', 'der_a');
CALL _wh.run_refresh('a_stores', 'der_a');
SELECT day, state FROM _wh.v_coverage WHERE template_name = 'a_stores' AND tenant_name = 'der_a' AND day IN ('2024-01-02', '2024-01-03') ORDER BY day;
SELECT max(amount) > 1000 AS late FROM der_a.a_stores WHERE day = '2024-01-02';

-- Rolled up, and a day inside the table.
SELECT status, error FROM jsonb_to_record(_wh.create_combined_table_from_template_by_month('a_stores', 'der_a', '2024-01-01', allow_gaps => true)) AS r (status text, error text);
RESET ROLE;
\c wh_der_a
UPDATE logs SET amount = amount - 1000 WHERE id = 13;
\c :warehouse
SET datestyle = 'ISO';
SET timezone = 'UTC';
SET ROLE whadmin;
SELECT template_name, status, method, rows_updated FROM _wh.wh_refresh('m_logs', 'der_a', '2024-01-02', '2024-01-02');
SELECT template_name, status, method, rows_updated FROM _wh.wh_refresh('a_stores', 'der_a', '2024-01-02', '2024-01-02');
SELECT max(amount) > 1000 AS late FROM der_a.a_stores WHERE day = '2024-01-02';
SELECT period_start, equal, action FROM _wh.reconcile('a_stores', 'der_a', '2024-01-02', '2024-01-03');

-- A row outside its day.
SELECT _wh.alter_template('a_stores', query_template => $$SELECT (at AT TIME ZONE 'UTC')::date + 1 AS day, store, count(*) AS logs, sum(amount) AS amount
    FROM m_logs WHERE at >= {DAY_START} AND at < {DAY_END} GROUP BY 1, 2$$);
SELECT status, sqlstate, message FROM _wh.wh_refresh('a_stores', 'der_a', '2024-01-02', '2024-01-02');

-- Other columns at an input: what is made of it keeps its rows as a table, and
-- becomes a materialized view again when its turn comes.
SELECT _wh.alter_template('z_loans', query_template => 'SELECT id, officer, dpd, 1 AS more FROM loans', column_definitions => 'id integer, officer text, dpd integer, more integer');
SELECT template_name, status, method FROM _wh.wh_refresh('z_loans', 'der_a');
SELECT relname, relkind FROM pg_class WHERE oid IN ('der_a.officers'::regclass, 'der_a.worst'::regclass, 'der_b.officers'::regclass) ORDER BY 1, relnamespace::regnamespace::text;
SELECT count(*) FROM der_a.officers;
SELECT template_name, status, method, message FROM _wh.wh_refresh(tenant => 'der_a') WHERE template_name IN ('officers', 'worst', 'z_loans');
SELECT relname, relkind FROM pg_class WHERE oid IN ('der_a.officers'::regclass, 'der_a.worst'::regclass) ORDER BY 1;
SELECT has_table_privilege('wh_monitor', 'der_a.officers', 'SELECT') AS granted;

-- Somebody's own view over an input is not taken along.
RESET ROLE;
CREATE VIEW public.over_loans AS SELECT id FROM der_a.z_loans;
SET ROLE whadmin;
SELECT _wh.alter_template('z_loans', query_template => 'SELECT id, officer, dpd FROM loans', column_definitions => 'id integer, officer text, dpd integer');
SELECT status, sqlstate, message FROM _wh.wh_refresh('z_loans', 'der_a');
SELECT error_detail FROM _wh.extract_runs WHERE template_name = 'z_loans' ORDER BY run_id DESC LIMIT 1;
RESET ROLE;
DROP VIEW public.over_loans;
SET ROLE whadmin;
SELECT template_name, status FROM _wh.wh_refresh(tenant => 'der_a') WHERE template_name IN ('officers', 'worst', 'z_loans');

-- Frozen: a closed day is never made again, whatever it was made of.
SELECT _wh.add_template('par15', $$SELECT '{TARGET_DATE}'::date AS day, count(*) AS par15 FROM z_loans WHERE dpd > 15$$,
    'day date, par15 bigint', time_column => 'day', source => 'local', options => '{"depends_on": ["z_loans"], "frozen": true}');
SELECT period_start = current_date AS today, status FROM _wh.wh_refresh('par15', 'der_a', current_date - 1, current_date);
SELECT period_start = current_date AS today, status, message = format('day %s of template "par15" is frozen', current_date - 1) AS frozen
FROM _wh.wh_refresh('par15', 'der_a', current_date - 1, current_date);
SELECT period_start = current_date AS today, status FROM _wh.wh_refresh('par15', 'der_a');
SELECT day = current_date AS today, state, reason FROM _wh.v_coverage WHERE template_name = 'par15' AND tenant_name = 'der_a' ORDER BY day;

-- Names as Excel and OData make them.
SELECT _wh.add_template('Rental Data_unified', $$SELECT l.id AS "__id", l.officer AS "person_details@odata.navigationLink", o.loans AS "Loans"
    FROM z_loans AS l JOIN officers AS o ON o.officer = l.officer$$, materialization => 'snapshot', source => 'local',
    indexes => 'CREATE UNIQUE INDEX ON {schema}.{view_name} ("__id")', options => '{"depends_on": ["z_loans", "officers"]}', sample_tenant => 'der_a');
SELECT tenant_name, status, method FROM _wh.wh_refresh('Rental Data_unified');
SELECT "__id", "person_details@odata.navigationLink" FROM der_a."Rental Data_unified" ORDER BY 1 LIMIT 2;
SELECT schema_name, count(*) FROM public."Rental Data_unified" GROUP BY 1 ORDER BY 1;
SELECT * FROM _wh.template_sql('Rental Data_unified');
SELECT substring(sql FROM 'add_template\(''(.*?)''') AS in_order FROM _wh.template_sql() WITH ORDINALITY AS t (sql, n) WHERE sql LIKE '%add_template%' AND sql !~ 'foodlogstats' ORDER BY n;

-- Leaving: not below those that are made of it; a tenant under another name,
-- and gone.
SELECT _wh.drop_template('z_loans');
\echo :SQLSTATE
SELECT _wh.rename_tenant('der_b', 'der_c', rename_schema => true);
SELECT template_name, status, method FROM _wh.wh_refresh(tenant => 'der_c') WHERE template_name IN ('officers', 'worst', 'z_loans');
SELECT pg_get_viewdef('der_c.officers'::regclass) LIKE '%z_loans%' AS follows;
SELECT _wh.rename_tenant('der_c', 'der_b', rename_schema => true);
SELECT jsonb_array_length(_wh.drop_tenant('der_b', dry_run => true) -> 'kept') > 0 AS keeps;
SELECT jsonb_array_length(_wh.drop_tenant('der_b') -> 'kept') > 0 AS kept;
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'der_b'::regnamespace AND relkind IN ('m', 'r') AND relname IN ('officers', 'worst') ORDER BY 1;
SELECT count(*) FROM der_b.officers;
SELECT _wh.drop_tenant('der_a', drop_data => true) -> 'kept' AS kept;
SELECT to_regnamespace('der_a');

-- Nothing stays behind.
SELECT _wh.drop_template(template_name, drop_data => true) -> 'kept' AS kept FROM unnest('{Rental Data_unified,par15,worst,officers,a_stores,m_logs,z_loans}'::text[]) AS template_name;
RESET ROLE;
SELECT _wh.alter_template('foodlogstats', enabled => true);
SELECT _wh.alter_tenant(tenant_name, enabled => true) FROM _wh.tenant_connections WHERE tenant_name IN ('tenant_a', 'tenant_b') ORDER BY tenant_name;
SET client_min_messages = warning;
DROP SCHEMA der_b CASCADE;
RESET client_min_messages;
DROP DATABASE wh_der_a;
DROP DATABASE wh_der_b;
