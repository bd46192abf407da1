-- Views of one layout, :layout: what they show, when they are written, what
-- they keep, and what is never touched.  Read by unionview.sql, once for each.
SELECT _wh.add_template('uv',
    $$SELECT id, at, note FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note varchar(20)', options => format('{"view_layout": "%s"}', :'layout')::jsonb);

-- No slice yet: typed and empty, readable.
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_a');
SELECT _wh.update_public_view_by_template('uv');
\d tenant_a.uv
\d public.uv
SELECT viewname, viewowner FROM pg_views WHERE viewname = 'uv' ORDER BY schemaname;
SELECT relnamespace::regnamespace, obj_description(oid, 'pg_class'), has_table_privilege('phood_ro', oid, 'SELECT') AS reader FROM pg_class WHERE relname = 'uv' AND relkind = 'v' ORDER BY 1;
SET ROLE phood_ro;
SELECT * FROM tenant_a.uv;
SELECT * FROM public.uv;
RESET ROLE;

-- Slices come; the views are the same relations.
SELECT oid AS uv_oid FROM pg_class WHERE oid = 'public.uv'::regclass \gset
SELECT tenant_name, period_start, status, rows FROM _wh.wh_refresh('uv', from_date => '2024-03-02', to_date => '2024-03-03');
SELECT tenant_name, period_start, status FROM _wh.wh_refresh('uv', from_date => '2024-03-01', to_date => '2024-03-01');
SELECT 'public.uv'::regclass::oid = :uv_oid AS same;
SET ROLE phood_ro;
SELECT schema_name, count(*), min(id), max(id) FROM public.uv GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM tenant_b.uv;
RESET ROLE;

-- Nothing changed: nothing is written.
SELECT array_agg(xmin::text ORDER BY oid) AS before FROM pg_class WHERE relname = 'uv' \gset
SELECT array_agg(xmin::text ORDER BY tenant_name) AS rows_before FROM _wh.published_views WHERE template_name = 'uv' \gset
SELECT status FROM _wh.wh_refresh('uv', 'tenant_a', '2024-03-01', '2024-03-01');
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_a');
SELECT _wh.update_public_view_by_template('uv');
SELECT array_agg(xmin::text ORDER BY oid) = :'before' AS same FROM pg_class WHERE relname = 'uv';
SELECT array_agg(xmin::text ORDER BY tenant_name) = :'rows_before' AS same FROM _wh.published_views WHERE template_name = 'uv';

-- Another relation under the name of a slice: the view follows the name.
SET ROLE whadmin;
ALTER MATERIALIZED VIEW tenant_a.uv_2024_03_02 RENAME TO uv_aside;
CREATE MATERIALIZED VIEW tenant_a.uv_2024_03_02 AS SELECT 99 AS id, now() AS at, 'other'::varchar(20) AS note;
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_a');
SELECT count(*), max(id) FROM tenant_a.uv;
DROP MATERIALIZED VIEW tenant_a.uv_aside;
RESET ROLE;

-- A column at the end, and one of another type: replaced in place for the
-- first, made anew for the second, old slices shown by NULL and by a cast.
SET ROLE whadmin;
CREATE VIEW public.uv_user AS SELECT id, schema_name FROM public.uv;
RESET ROLE;
SELECT 'tenant_b.uv'::regclass::oid AS uv_b_oid \gset
SELECT _wh.alter_template('uv',
    query_template => $$SELECT id, at, note, amount FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id integer, at timestamptz, note varchar(20), amount numeric(10,2)');
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_b');
SELECT 'tenant_b.uv'::regclass::oid = :uv_b_oid AS same;
-- In the public view it would come before schema_name.
SELECT _wh.update_public_view_by_template('uv');
SELECT count(*), count(DISTINCT schema_name) FROM public.uv_user;
DROP VIEW public.uv_user;
SELECT _wh.update_public_view_by_template('uv');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.uv'::regclass AND attnum > 0 ORDER BY attnum;

-- What people gave a view outlives its being made anew; a view of theirs on it
-- refuses that.
SET ROLE whadmin;
ALTER VIEW tenant_b.uv SET (security_barrier = true);
GRANT SELECT ON tenant_b.uv TO wh_monitor WITH GRANT OPTION;
GRANT SELECT (note, id) ON tenant_b.uv TO PUBLIC;
REVOKE ALL ON tenant_b.uv FROM phood_ro;
COMMENT ON VIEW tenant_b.uv IS 'shop''s own';
COMMENT ON COLUMN tenant_b.uv.note IS 'free text';
CREATE VIEW tenant_b.uv_user AS SELECT note FROM tenant_b.uv;
CREATE VIEW public.uv_user AS SELECT id, note, schema_name FROM public.uv;
RESET ROLE;
SELECT _wh.alter_template('uv',
    query_template => $$SELECT id, note, at, amount FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id integer, note varchar(20), at timestamptz, amount numeric(10,2)');
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_b');
SELECT count(*) FROM tenant_b.uv_user;
SELECT error_detail FROM _wh.extract_runs WHERE template_name = 'uv' AND status = 'failed' ORDER BY run_id DESC LIMIT 1;
DROP VIEW tenant_b.uv_user;
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_b');
-- In the layout union the public view shows the tenants' views, and must change
-- its own columns then, so its dependents count.
DROP VIEW public.uv_user;
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_b');
SELECT _wh.update_public_view_by_template('uv');
SELECT attname, format_type(atttypid, atttypmod), attacl FROM pg_attribute WHERE attrelid = 'tenant_b.uv'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attname FROM pg_attribute WHERE attrelid = 'public.uv'::regclass AND attnum > 0 ORDER BY attnum;
SELECT reloptions, obj_description(oid, 'pg_class') AS comment, col_description(oid, 2) AS note FROM pg_class WHERE oid = 'tenant_b.uv'::regclass;
SELECT grantee::regrole, privilege_type, is_grantable FROM pg_class, aclexplode(relacl)
WHERE pg_class.oid = 'tenant_b.uv'::regclass AND grantee <> relowner;
SELECT schema_name, count(*), count(amount) AS amounts FROM public.uv GROUP BY 1 ORDER BY 1;

-- The other tenant's view follows; the public view, which has its columns
-- already, stays what it is, and so does what was built on it.
CREATE VIEW public.uv_user AS SELECT id, note, schema_name FROM public.uv;
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_a');
SELECT attname FROM pg_attribute WHERE attrelid = 'tenant_a.uv'::regclass AND attnum > 0 ORDER BY attnum;
SELECT schema_name, count(*) FROM public.uv_user GROUP BY 1 ORDER BY 1;
DROP VIEW public.uv_user;

-- The options live through a replacement in place too.
SELECT status FROM _wh.wh_refresh('uv', 'tenant_b', '2024-03-04', '2024-03-04');
SELECT reloptions FROM pg_class WHERE oid = 'tenant_b.uv'::regclass;

-- A type that casts, and one that does not: NULL until the slice is refreshed.
SELECT _wh.alter_template('uv',
    query_template => $$SELECT id::bigint AS id, (id > 3) AS at, amount FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id bigint, at boolean, amount numeric(10,2)');
SELECT _wh.update_tenant_union_view_by_template('uv', 'tenant_b');
SELECT pg_typeof(id), pg_typeof(at), count(*), count(at) FROM tenant_b.uv GROUP BY 1, 2;
SELECT status, method FROM _wh.wh_refresh('uv', 'tenant_b', '2024-03-01', '2024-03-04');
SELECT pg_typeof(id), pg_typeof(at), count(*), count(at) FROM tenant_b.uv GROUP BY 1, 2;

-- A foreign relation of the view's name is left alone, and is its tenant's
-- trouble only: the other tenant's new slice shows all the same.  (The public
-- view of the layout union shows what the tenants' views do.)
SET client_min_messages = warning;
SELECT _wh.add_template('uw', $$SELECT id, at FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$, 'id integer, at timestamptz', options => format('{"view_layout": "%s"}', :'layout')::jsonb);
CREATE TABLE tenant_a.uw (precious text);
INSERT INTO tenant_a.uw VALUES ('keep me');
SELECT tenant_name, status FROM _wh.wh_refresh('uw', from_date => '2024-03-01', to_date => '2024-03-01');
SELECT * FROM tenant_a.uw;
SELECT schema_name, count(*) FROM public.uw GROUP BY 1 ORDER BY 1;
SELECT tenant_name, table_name, sqlstate, error_message FROM _wh.extract_runs WHERE template_name = 'uw' AND status = 'failed';
DROP TABLE tenant_a.uw;
CREATE VIEW tenant_a.uw AS SELECT 1 AS precious;
SELECT _wh.update_tenant_union_view_by_template('uw', 'tenant_a');
SELECT * FROM tenant_a.uw;
DROP VIEW tenant_a.uw;
SELECT _wh.update_tenant_union_view_by_template('uw', 'tenant_a');
ALTER VIEW public.uw OWNER TO CURRENT_USER;
SELECT _wh.update_public_view_by_template('uw');
ALTER VIEW public.uw OWNER TO whadmin;
SELECT _wh.update_public_view_by_template('uw');
SELECT schema_name, count(*) FROM public.uw GROUP BY 1 ORDER BY 1;

-- Without a public view: none is made, one that is there goes.
SELECT _wh.alter_template('uw', options => format('{"public_view": false, "view_layout": "%s"}', :'layout')::jsonb);
CREATE VIEW public.uw_user AS SELECT * FROM public.uw;
SELECT _wh.update_public_view_by_template('uw');
SELECT to_regclass('public.uw');
DROP VIEW public.uw_user;
SELECT _wh.update_public_view_by_template('uw');
SELECT to_regclass('public.uw'), to_regclass('tenant_a.uw');
SELECT _wh.update_public_view_by_template('uw');
SELECT tenant_name FROM _wh.published_views WHERE template_name = 'uw' ORDER BY 1;

-- A disabled tenant's data stays in the public view; a dropped one's leaves.
SELECT _wh.alter_tenant('tenant_b', enabled => false);
SELECT status FROM _wh.wh_refresh('uv', from_date => '2024-03-01', to_date => '2024-03-01');
SELECT schema_name, count(*) FROM public.uv GROUP BY 1 ORDER BY 1;
SELECT _wh.alter_tenant('tenant_b', enabled => true);
BEGIN;
SELECT _wh.drop_tenant('tenant_b') ->> 'tenant' AS dropped;
SELECT schema_name, count(*) FROM public.uv GROUP BY 1 ORDER BY 1;
SELECT to_regclass('tenant_b.uv') AS view, to_regclass('tenant_b.uv_2024_03_01') AS slice;
ROLLBACK;

-- A template's views go before its relations.
SELECT _wh.drop_template('uw') ->> 'template' AS dropped;
SELECT to_regclass('tenant_a.uw') AS view, to_regclass('tenant_a.uw_2024_03_01') AS slice;
SELECT count(*) FROM _wh.published_views WHERE template_name = 'uw';
DROP MATERIALIZED VIEW tenant_a.uw_2024_03_01, tenant_b.uw_2024_03_01;

-- 400 slices in one view, made and read with the smallest stack.
SELECT _wh.add_template('many', $$SELECT 1 AS id WHERE {DAY_START} < {DAY_END}$$, 'id integer', tenants => '{tenant_a}', options => format('{"view_layout": "%s"}', :'layout')::jsonb);
SET ROLE whadmin;
DO $$
BEGIN
	FOR i IN 0 .. 399 LOOP
		EXECUTE format('CREATE MATERIALIZED VIEW tenant_a.%I AS SELECT %s::integer AS id',
					   to_char(date '2020-01-01' + i, '"many_"YYYY_MM_DD'), i);
	END LOOP;
END $$;
RESET ROLE;
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state)
SELECT 'many', 'tenant_a', 'day', d, d + 1, 'tenant_a', to_char(d, '"many_"YYYY_MM_DD'), 'loaded'
FROM (SELECT date '2020-01-01' + i AS d FROM generate_series(0, 399) AS i) AS days;
SET max_stack_depth = '100kB';
SELECT _wh.update_tenant_union_view_by_template('many', 'tenant_a');
SELECT _wh.update_public_view_by_template('many');
SELECT count(*), sum(id) FROM public.many;
RESET max_stack_depth;
SELECT _wh.drop_template('many', drop_data => true) ->> 'template' AS dropped;
SELECT count(*) FROM pg_class WHERE relname LIKE 'many%';

SELECT _wh.drop_template('uv', drop_data => true) ->> 'template' AS dropped;
SELECT count(*) FROM _wh.slices WHERE template_name IN ('uv', 'uw', 'many');
DELETE FROM _wh.extract_runs WHERE template_name IN ('uv', 'uw', 'many');
