-- Adding, changing and dropping templates by function: columns asked of a
-- tenant, tenants named, names of every kind, and SQL that makes them again.
\set VERBOSITY default
SET client_min_messages = warning;
\set query 'SELECT id, logged_time, store FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}'

-- Columns come from the first tenant that the template applies to, or from
-- the one that is named; nothing else is asked of it.
SET ROLE whadmin;
SELECT _wh.add_template('def_inferred', :'query');
SELECT _wh.add_template('def_sampled', :'query', sample_tenant => 'tenant_b', tenants => '{tenant_b,tenant_a}',
                        description => 'two of them', lookback_days => 3, time_column => 'logged_time',
                        key_columns => '{id}', options => '{"frozen": true, "max_rows": 10}');
SELECT column_definitions, time_column, key_columns, lookback_days, options, tenants, description, version, enabled
FROM _wh.mv_templates WHERE template_name LIKE 'def\_%' ORDER BY template_name;

-- What cannot be: the errors of the gate, of the names and of the tenant.
SELECT _wh.add_template('def_inferred', :'query');
\echo :SQLSTATE
SELECT _wh.add_template(NULL, :'query');
\echo :SQLSTATE
SELECT _wh.add_template('def_bad', NULL);
\echo :SQLSTATE
SELECT _wh.add_template('def_2024', :'query', 'id integer');
\echo :SQLSTATE
SELECT _wh.add_template('def_bad', :'query', tenants => '{nobody}');
\echo :SQLSTATE
SELECT _wh.add_template('def_bad', :'query', sample_tenant => 'nobody');
\echo :SQLSTATE
SELECT _wh.add_template('def_bad', :'query', 'id integer', tenants => '{}');
\echo :SQLSTATE
SELECT _wh.add_template('def_bad', 'SELECT nope FROM foodlogs WHERE logged_time >= {DAY_START}', sample_tenant => 'tenant_a');
\echo :SQLSTATE
SELECT _wh.add_template('def_bad', 'DROP TABLE foodlogs');
\echo :SQLSTATE
BEGIN;
UPDATE _wh.tenant_connections SET enabled = false;
SELECT _wh.add_template('def_bad', :'query');
\echo :SQLSTATE
ROLLBACK;
SELECT _wh.add_template('def_bad', :'query', 'id integer', materialization => 'live');
\echo :SQLSTATE
SELECT count(*) FROM _wh.mv_templates WHERE template_name IN ('def_bad', 'def_2024');

-- NULL is the default where there is one.
SELECT _wh.add_template('def_nulls', :'query', 'id bigint, logged_time timestamptz, store text', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT materialization, source, lookback_days, on_drift, options FROM _wh.mv_templates WHERE template_name = 'def_nulls';

-- Changes: what is not given stays, what is read raises the version.
SELECT _wh.alter_template('def_sampled', description => 'still two', options => '{"max_rows": 20}');
SELECT description, options, lookback_days, version FROM _wh.mv_templates WHERE template_name = 'def_sampled';
SELECT _wh.alter_template('def_sampled', :'query' || ' AND store IS NOT NULL', enabled => false);
SELECT version, enabled FROM _wh.mv_templates WHERE template_name = 'def_sampled';
SELECT _wh.alter_template('def_sampled', reset => '{options,tenants,lookback_days,description,time_column,key_columns}');
SELECT description, options, tenants, lookback_days, time_column, key_columns, version FROM _wh.mv_templates WHERE template_name = 'def_sampled';
SELECT _wh.alter_template('def_sampled', 'SELECT id, amount FROM foodlogs WHERE logged_time >= {DAY_START}', reset => '{column_definitions}');
SELECT column_definitions, version FROM _wh.mv_templates WHERE template_name = 'def_sampled';
SELECT _wh.alter_template('nobody', enabled => true);
\echo :SQLSTATE
SELECT _wh.alter_template('def_sampled', reset => '{query_template}');
\echo :SQLSTATE
SELECT _wh.alter_template('def_sampled', lookback_days => 2, reset => '{lookback_days}');
\echo :SQLSTATE
SELECT _wh.alter_template('def_sampled', tenants => '{nobody}');
\echo :SQLSTATE
SELECT _wh.alter_template('def_sampled', time_column => 'gone');
\echo :SQLSTATE
SELECT _wh.alter_template('def_sampled', materialization => 'snapshot');
\echo :SQLSTATE
SELECT _wh.alter_template('def_sampled', 'SELECT 1; SELECT 2');
\echo :SQLSTATE

-- Names of every kind, of templates and tenants alike, also in index text.
RESET ROLE;
SELECT _wh.add_tenant(tenant, split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_a', 'wh_src', current_setting('port')::integer,
                      sslmode => 'disable', auth_method => 'trusted')
FROM unnest('{my-tenant,California,"with \"quotes\" é"}'::text[]) AS tenant;
SET ROLE whadmin;
SELECT _wh.add_template('Mixed "é"', :'query' || ' AND {TENANT} <> ''x''', 'id bigint, logged_time timestamptz, store text',
    'CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id);
     CREATE INDEX "{view_name}_Quoted" ON "{schema}"."{view_name}" (store);
     CREATE INDEX ON {view_name} ((id % 2));
     CREATE INDEX ' || repeat('l', 190) || '_{view_name}_a ON {schema}.{view_name} (store) WHERE id > 1; -- cut, but apart
     CREATE INDEX ' || repeat('l', 190) || '_{view_name}_b ON {schema}.{view_name} (store) WHERE id > 2;
     CREATE INDEX "' || repeat('É', 80) || '{view_name}" ON {schema}.{view_name} (store) WHERE id > 3',
    tenants => '{my-tenant,California,"with \"quotes\" é"}');
SELECT tenant, _wh.create_mv_from_template('Mixed "é"', tenant, target_date => '2024-01-02')
FROM unnest('{my-tenant,California,"with \"quotes\" é"}'::text[]) AS tenant;
SELECT schemaname, indexname, substring(indexdef FROM 'USING .*') AS definition
FROM pg_catalog.pg_indexes WHERE tablename = 'Mixed "é"_2024_01_02'
ORDER BY schemaname COLLATE "C", substring(indexdef FROM 'USING .*') COLLATE "C", indexname COLLATE "C";
SELECT count(*), min(logged_time AT TIME ZONE 'UTC'), max(logged_time AT TIME ZONE 'UTC') FROM "my-tenant"."Mixed ""é""_2024_01_02";

-- SQL that makes an equal row elsewhere, the disabled state included.
SELECT _wh.template_sql('def_nulls');
SELECT _wh.template_sql('nobody');
\echo :SQLSTATE
SELECT _wh.alter_template('def_inferred', description => E'it''s a \\ and\na line', options => '{"start_date": "2024-01-01"}',
                          key_columns => '{id,store}', time_column => 'logged_time', watermark_column => 'logged_time',
                          tenants => '{California,"with \"quotes\" é"}', enabled => false);
CREATE TEMPORARY TABLE def_before AS
SELECT template_name, description, query_template, column_definitions, indexes, materialization, time_column, key_columns,
       watermark_column, source, lookback_days, on_drift, options, tenants, enabled FROM _wh.mv_templates;
CREATE TEMPORARY TABLE def_sql AS SELECT row_number() OVER () AS n, sql FROM _wh.template_sql() AS sql;
BEGIN;
DELETE FROM _wh.mv_templates;
SELECT sql FROM def_sql ORDER BY n \gexec
SELECT count(*) > 3 AS some, count(*) FILTER (WHERE b IS DISTINCT FROM a) AS differ
FROM def_before AS b FULL JOIN
     (SELECT template_name, description, query_template, column_definitions, indexes, materialization, time_column, key_columns,
             watermark_column, source, lookback_days, on_drift, options, tenants, enabled FROM _wh.mv_templates) AS a
     USING (template_name);
ROLLBACK;
DROP TABLE def_before, def_sql;

-- Dropping: what would happen, what is kept, what is in the way.
SELECT _wh.drop_template('nobody');
\echo :SQLSTATE
SELECT _wh.drop_template(NULL);
SELECT _wh.update_tenant_union_view_by_template('Mixed "é"', 'California');
SELECT jsonb_pretty(_wh.drop_template('Mixed "é"', drop_data => true, dry_run => true));
CREATE VIEW public.def_built_on AS SELECT id FROM "my-tenant"."Mixed ""é""_2024_01_02";
SELECT _wh.drop_template('Mixed "é"', drop_data => true);
\echo :SQLSTATE
SELECT count(*) FROM _wh.slices WHERE template_name = 'Mixed "é"';
SELECT jsonb_pretty(_wh.drop_template('Mixed "é"'));
SELECT count(*) FROM _wh.slices WHERE template_name = 'Mixed "é"';
SELECT count(*) FROM _wh.mv_templates WHERE template_name = 'Mixed "é"';
SELECT count(*) FROM public.def_built_on;
DROP VIEW public.def_built_on;
DROP MATERIALIZED VIEW "my-tenant"."Mixed ""é""_2024_01_02", "California"."Mixed ""é""_2024_01_02", "with ""quotes"" é"."Mixed ""é""_2024_01_02";
SELECT _wh.create_mv_from_template('def_nulls', 'tenant_a', target_date => '2024-01-02');
SELECT _wh.drop_template('def_nulls', drop_data => true) ->> 'kept' AS kept;
SELECT to_regclass('tenant_a.def_nulls_2024_01_02') IS NULL AS gone, to_regclass('tenant_a.def_nulls') IS NULL AS view_gone;

-- Who may: the owner and superusers; readers and monitors may not.
SELECT _wh.drop_template('def_inferred');
RESET ROLE;
SELECT _wh.drop_template('def_sampled');
SELECT _wh.drop_tenant(tenant, drop_data => true) ->> 'tenant' FROM unnest('{my-tenant,California,"with \"quotes\" é"}'::text[]) AS tenant;
SET ROLE phood_ro;
SELECT _wh.add_template('def_bad', :'query', 'id integer');
\echo :SQLSTATE
RESET ROLE;
SET ROLE wh_monitor;
SELECT _wh.add_template('def_bad', :'query', 'id integer');
\echo :SQLSTATE
SELECT _wh.alter_template('def_bad');
\echo :SQLSTATE
SELECT _wh.drop_template('def_bad');
\echo :SQLSTATE
SELECT _wh.template_sql();
\echo :SQLSTATE
RESET ROLE;

-- All of it is in the audit log, without the text itself.
SELECT action, subject, detail FROM _wh.audit_log WHERE subject LIKE 'def\_%' ORDER BY audit_id;
