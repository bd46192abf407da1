-- The foreign table of the layout expand: made with the first view, left alone
-- while slices come and go, made anew when it does not fit, and never touched
-- when it is not ours.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE ux_src (id integer, at timestamptz, note text);
INSERT INTO ux_src SELECT i, timestamptz '2024-03-01 00:00+00' + i * interval '8 hours', 'a ' || i FROM generate_series(0, 11) AS i;
GRANT SELECT ON ux_src TO wh_src;
\c wh_tenant_b
CREATE TABLE ux_src (id integer, at timestamptz, note text);
INSERT INTO ux_src SELECT i, timestamptz '2024-03-01 00:00+00' + i * interval '12 hours', 'b ' || i FROM generate_series(0, 7) AS i;
GRANT SELECT ON ux_src TO wh_src;
\c :warehouse
SELECT _wh.add_template('ux "é"',
    $$SELECT id, at, note FROM ux_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note varchar(20)');

-- It comes with the first view, the owner's and nobody else's.
SELECT to_regclass('_wh_union."ux ""é"""');
SELECT _wh.update_tenant_union_view_by_template('ux "é"', 'tenant_a');
\d _wh_union."ux ""é"""
SELECT relowner::regrole, relacl, obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace = '_wh_union'::regnamespace AND relname LIKE 'ux%';
\d tenant_a."ux ""é"""
-- Before 16 a view's text names the table with each column.
SELECT replace(pg_get_viewdef('tenant_a."ux ""é"""'::regclass), '"ux ""é""".', '') AS definition;
SELECT _wh.update_public_view_by_template('ux "é"');
\d public."ux ""é"""
SELECT replace(pg_get_viewdef('public."ux ""é"""'::regclass), '"ux ""é""".', '') AS definition;
SELECT count(*) FROM public."ux ""é""";

-- A reader needs the view alone: table and slices say no.
SELECT tenant_name, period_start, status FROM _wh.wh_refresh('ux "é"', from_date => '2024-03-01', to_date => '2024-03-02');
REVOKE SELECT ON tenant_a."ux ""é""_2024_03_01" FROM phood_ro;
SET ROLE phood_ro;
SELECT schema_name, count(*) FROM public."ux ""é""" GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM tenant_a."ux ""é""";
SELECT count(*) FROM tenant_a."ux ""é""_2024_03_01";
\echo :SQLSTATE
SELECT count(*) FROM _wh_union."ux ""é""";
\echo :SQLSTATE
RESET ROLE;

-- A slice comes: not a row of the catalogs changes for the views, and none of
-- them, nor the table, is locked.
CREATE TEMP VIEW catalog AS
SELECT c.oid, c.xmin::text AS class, r.xmin::text AS rule
FROM pg_class c LEFT JOIN pg_rewrite r ON ev_class = c.oid WHERE relname = 'ux "é"'
UNION ALL SELECT 0, xmin::text, tenant_name FROM _wh.published_views WHERE template_name = 'ux "é"';
CREATE TEMP TABLE before AS TABLE catalog;
BEGIN;
SELECT tenant_name, status FROM _wh.wh_refresh('ux "é"', from_date => '2024-03-03', to_date => '2024-03-03');
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN (SELECT oid FROM before) ORDER BY 1, 2;
SELECT count(*) FROM public."ux ""é""";
COMMIT;
SELECT count(*) AS rows FROM before;
SELECT count(*) AS same FROM catalog JOIN before USING (oid, class) WHERE catalog.rule IS NOT DISTINCT FROM before.rule;
SELECT count(*) FROM public."ux ""é""";

-- So it is when one goes, by hand or by being emptied.
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a."ux ""é""_2024_03_03" WITH NO DATA;
SELECT schema_name, count(*) FROM public."ux ""é""" GROUP BY 1 ORDER BY 1;
RESET ROLE;
SELECT status FROM _wh.wh_refresh('ux "é"', 'tenant_a', '2024-03-03', '2024-03-03');
SELECT schema_name, count(*) FROM public."ux ""é""" GROUP BY 1 ORDER BY 1;
SELECT count(*) AS same FROM catalog JOIN before USING (oid, class) WHERE catalog.rule IS NOT DISTINCT FROM before.rule;
DROP VIEW catalog;
DROP TABLE before;

-- The time column is an option: the next run tells the table.
SELECT _wh.alter_template('ux "é"', time_column => 'at');
SELECT status FROM _wh.wh_refresh('ux "é"', 'tenant_a', '2024-03-03', '2024-03-03');
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = '_wh_union."ux ""é"""'::regclass;

-- Two tenants of which one has a new column: schema_name stays last, older
-- slices show NULL.
SELECT _wh.alter_template('ux "é"',
    query_template => $$SELECT id, at, note, id % 2 = 0 AS even FROM ux_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id integer, at timestamptz, note varchar(20), even boolean');
SELECT status, method FROM _wh.wh_refresh('ux "é"', 'tenant_a', '2024-03-01', '2024-03-03');
SELECT attname FROM pg_attribute WHERE attrelid = '_wh_union."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attname FROM pg_attribute WHERE attrelid = 'public."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
SELECT schema_name, even, count(*) FROM public."ux ""é""" GROUP BY 1, 2 ORDER BY 1, 2;

-- Altered by hand: each is mended, with the grants and comments of the table
-- and the identity of the views.
SET ROLE whadmin;
GRANT SELECT ON _wh_union."ux ""é""" TO wh_monitor;
COMMENT ON FOREIGN TABLE _wh_union."ux ""é""" IS 'mine';
ALTER VIEW tenant_a."ux ""é""" SET (check_option = cascaded, security_barrier = true);
CREATE FUNCTION pg_temp.mended(alteration text) RETURNS TABLE (mended boolean, same boolean, rows bigint, columns text, options text[], granted boolean, comment text)
LANGUAGE plpgsql AS $$
DECLARE
    views text := (SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_class WHERE relname = 'ux "é"' AND relkind = 'v');
BEGIN
    EXECUTE 'ALTER FOREIGN TABLE _wh_union."ux ""é""" ' || alteration;
    mended := _wh.update_public_view_by_template('ux "é"');
    same := views = (SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_class WHERE relname = 'ux "é"' AND relkind = 'v');
    EXECUTE 'SELECT count(*) FROM public."ux ""é"""' INTO rows;
    SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute WHERE attrelid = '_wh_union."ux ""é"""'::regclass AND attnum > 0 AND NOT attisdropped;
    SELECT ftoptions INTO options FROM pg_foreign_table WHERE ftrelid = '_wh_union."ux ""é"""'::regclass;
    granted := has_table_privilege('wh_monitor', '_wh_union."ux ""é"""', 'SELECT');
    comment := obj_description('_wh_union."ux ""é"""'::regclass, 'pg_class');
    RETURN NEXT;
END $$;
SELECT * FROM pg_temp.mended('RENAME COLUMN note TO remark');
SELECT * FROM pg_temp.mended('ADD COLUMN more integer');
SELECT * FROM pg_temp.mended('ALTER COLUMN id SET NOT NULL');
SELECT * FROM pg_temp.mended('ADD CONSTRAINT few CHECK (id < 3)');
SELECT * FROM pg_temp.mended('OPTIONS (DROP time_column)');
SELECT * FROM pg_temp.mended($$OPTIONS (SET template 'foodlogstats')$$);
SELECT attname FROM pg_attribute WHERE attrelid = 'tenant_a."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
SELECT reloptions FROM pg_class WHERE oid = 'tenant_a."ux ""é"""'::regclass;

-- A column that goes stays for as long as a view must show it: the tenant's
-- data in older slices is not hidden for what somebody built on its view.
CREATE VIEW tenant_b.ux_user AS SELECT note FROM tenant_b."ux ""é""";
RESET ROLE;
SELECT _wh.alter_template('ux "é"',
    query_template => $$SELECT id::bigint AS id, at FROM ux_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id bigint, at timestamptz');
SELECT status FROM _wh.wh_refresh('ux "é"', 'tenant_a', '2024-03-03', '2024-03-03');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '_wh_union."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'tenant_b."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
SELECT count(note), max(id) FROM tenant_b."ux ""é""";
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
DROP VIEW tenant_b.ux_user;
SELECT status FROM _wh.wh_refresh('ux "é"', 'tenant_a', '2024-03-03', '2024-03-03');
SELECT attname FROM pg_attribute WHERE attrelid = '_wh_union."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attname FROM pg_attribute WHERE attrelid = 'tenant_b."ux ""é"""'::regclass AND attnum > 0 ORDER BY attnum;
SET ROLE whadmin;

-- Something of people's on the table itself refuses a change of its columns.
CREATE VIEW public.ux_user AS SELECT id FROM _wh_union."ux ""é""";
ALTER FOREIGN TABLE _wh_union."ux ""é""" ADD COLUMN more integer;
SELECT _wh.update_public_view_by_template('ux "é"');
SELECT count(*) FROM public."ux ""é""";
DROP VIEW public.ux_user;
SELECT _wh.update_public_view_by_template('ux "é"');
RESET ROLE;

-- Somebody else's: told, and left alone.
ALTER FOREIGN TABLE _wh_union."ux ""é""" OWNER TO CURRENT_USER;
SELECT _wh.update_public_view_by_template('ux "é"');
SELECT status FROM _wh.wh_refresh('ux "é"', 'tenant_a', '2024-03-03', '2024-03-03');
ALTER FOREIGN TABLE _wh_union."ux ""é""" OWNER TO whadmin;
SELECT _wh.update_public_view_by_template('ux "é"');

-- Dropped with the views on it: all come back, readable.
SET client_min_messages = warning;
DROP FOREIGN TABLE _wh_union."ux ""é""" CASCADE;
SELECT to_regclass('public."ux ""é"""'), to_regclass('tenant_a."ux ""é"""');
CREATE TABLE _wh_union."ux ""é""" (precious text);
SELECT _wh.update_public_view_by_template('ux "é"');
SELECT * FROM _wh_union."ux ""é""";
DROP TABLE _wh_union."ux ""é""";
SELECT status FROM _wh.wh_refresh('ux "é"', 'tenant_a', '2024-03-03', '2024-03-03');
SET ROLE phood_ro;
SELECT schema_name, count(*) FROM public."ux ""é""" GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM tenant_b."ux ""é""";
RESET ROLE;

-- So does the schema.
DROP SCHEMA _wh_union CASCADE;
SELECT _wh.update_public_view_by_template('ux "é"');
SELECT nspowner::regrole FROM pg_namespace WHERE nspname = '_wh_union';
ALTER SCHEMA _wh_union OWNER TO CURRENT_USER;
ALTER FOREIGN TABLE _wh_union."ux ""é""" ADD COLUMN more integer;
SELECT _wh.update_public_view_by_template('ux "é"');
ALTER SCHEMA _wh_union OWNER TO whadmin;
SELECT _wh.update_public_view_by_template('ux "é"');
SELECT _wh.update_tenant_union_view_by_template('ux "é"', tenant) FROM unnest('{tenant_a,tenant_b}'::text[]) AS tenant;
RESET client_min_messages;

-- security_invoker: the view asks for the invoker's right to the table, and
-- the table reads the slices as its owner.  Since 16 the planner refuses first
-- and calls the table a view.
ALTER VIEW tenant_a."ux ""é""" SET (security_invoker = true);
SET ROLE phood_ro;
\set VERBOSITY sqlstate
SELECT count(*) FROM tenant_a."ux ""é""";
\set VERBOSITY default
RESET ROLE;
GRANT SELECT ON _wh_union."ux ""é""" TO phood_ro;
SET ROLE phood_ro;
SELECT count(*) FROM tenant_a."ux ""é""";
RESET ROLE;

-- A renamed tenant goes by its new schema; a dropped one leaves.
BEGIN;
SELECT _wh.rename_tenant('tenant_b', 'tenant_c', rename_schema => true);
SELECT schema_name, count(*) FROM public."ux ""é""" GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM tenant_c."ux ""é""";
SELECT tenant_name, definition FROM _wh.published_views WHERE template_name = 'ux "é"' ORDER BY 1;
SELECT _wh.drop_tenant('tenant_a') -> 'dropped' ->> 0 AS dropped;
SELECT schema_name, count(*) FROM public."ux ""é""" GROUP BY 1 ORDER BY 1;
SELECT to_regclass('tenant_a."ux ""é"""');
ROLLBACK;
SELECT schema_name, count(*) FROM public."ux ""é""" GROUP BY 1 ORDER BY 1;

-- Inserting is no way in.
INSERT INTO public."ux ""é""" (id) VALUES (1);
\echo :SQLSTATE

-- The table goes with its template, unless people built on it.
CREATE VIEW public.ux_user AS SELECT id FROM _wh_union."ux ""é""";
SELECT _wh.drop_template('ux "é"', drop_data => true);
\echo :SQLSTATE
DROP VIEW public.ux_user;
SELECT jsonb_path_query_array(_wh.drop_template('ux "é"', drop_data => true, dry_run => true), '$.dropped[0 to 3]') AS dropped;
SELECT _wh.drop_template('ux "é"', drop_data => true) ->> 'template' AS dropped;
SELECT to_regclass('_wh_union."ux ""é"""');
DELETE FROM _wh.extract_runs WHERE template_name = 'ux "é"';
\c wh_tenant_a
DROP TABLE ux_src;
\c wh_tenant_b
DROP TABLE ux_src;
