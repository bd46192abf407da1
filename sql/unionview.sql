-- The views that people read, in both layouts.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE uv_src (id integer, at timestamptz, note text, amount numeric(10,2));
INSERT INTO uv_src
SELECT i, timestamptz '2024-03-01 00:00+00' + i * interval '8 hours', 'a ' || i, i
FROM generate_series(0, 11) AS i;
GRANT SELECT ON uv_src TO wh_src;
\c wh_tenant_b
CREATE TABLE uv_src (id integer, at timestamptz, note text, amount numeric(10,2));
INSERT INTO uv_src
SELECT i, timestamptz '2024-03-01 00:00+00' + i * interval '12 hours', 'b ' || i, i
FROM generate_series(0, 7) AS i;
GRANT SELECT ON uv_src TO wh_src;
\c :warehouse

\set layout expand
\i sql/include/views.sql

\set layout union
\i sql/include/views.sql

-- The text of the layout union: a slice that lacks a column, has another type,
-- or was emptied by hand, so that the rest stays readable.
SELECT _wh.add_template('ut',
    $$SELECT id, at, note FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note varchar(20)', options => '{"view_layout": "union"}');
SELECT count(*) FROM _wh.wh_refresh('ut', from_date => '2024-03-01', to_date => '2024-03-02') WHERE status = 'loaded';
SELECT tenant_name, definition FROM _wh.published_views WHERE template_name = 'ut' ORDER BY 1;
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.ut_2024_03_02 WITH NO DATA;
SELECT count(*) FROM public.ut;
\echo :SQLSTATE
SELECT _wh.update_tenant_union_view_by_template('ut', 'tenant_a');
SELECT count(*) FROM public.ut;
RESET ROLE;
SELECT _wh.alter_template('ut',
    query_template => $$SELECT id::bigint AS id, at, note, amount FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id bigint, at timestamptz, note varchar(20), amount numeric(10,2)');
SELECT status FROM _wh.wh_refresh('ut', 'tenant_a', '2024-03-02', '2024-03-02');
SELECT definition FROM _wh.published_views WHERE template_name = 'ut' AND tenant_name = 'tenant_a';
SELECT schema_name, count(*), count(amount), pg_typeof(min(id)) FROM public.ut GROUP BY 1 ORDER BY 1;

-- A template changes its layout, to and fro: the views stay the relations that
-- they are, with all that people gave them and built on them.
SET ROLE whadmin;
GRANT SELECT (id, note) ON tenant_a.ut TO PUBLIC;
GRANT SELECT ON public.ut TO wh_monitor WITH GRANT OPTION;
COMMENT ON VIEW public.ut IS 'every shop''s';
COMMENT ON COLUMN tenant_a.ut.note IS 'free text';
ALTER VIEW tenant_a.ut SET (security_barrier = true);
ALTER VIEW tenant_b.ut ALTER COLUMN note SET DEFAULT 'none';
CREATE RULE ut_rule AS ON INSERT TO tenant_b.ut DO INSTEAD NOTHING;
CREATE FUNCTION public.ut_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER ut_trigger INSTEAD OF INSERT ON public.ut FOR EACH ROW EXECUTE FUNCTION public.ut_trigger();
CREATE VIEW public.ut_user AS SELECT schema_name, max(id) AS id FROM public.ut GROUP BY 1;
CREATE MATERIALIZED VIEW public.ut_mat AS SELECT u.schema_name, count(*) AS n FROM public.ut u JOIN tenant_a.ut USING (id) GROUP BY 1;
RESET ROLE;
CREATE TEMP VIEW given AS
SELECT c.oid, relnamespace::regnamespace AS schema, relname, relowner, relacl::text, reloptions, obj_description(c.oid, 'pg_class') AS comment,
       (SELECT array_agg(row(attname, atttypid, attacl::text, col_description(c.oid, attnum))::text ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) AS columns,
       (SELECT array_agg(pg_get_ruledef(r.oid)) FROM pg_rewrite r WHERE ev_class = c.oid AND rulename <> '_RETURN') AS rules,
       (SELECT array_agg(pg_get_triggerdef(t.oid)) FROM pg_trigger t WHERE tgrelid = c.oid) AS triggers,
       (SELECT array_agg(pg_get_expr(adbin, adrelid)) FROM pg_attrdef WHERE adrelid = c.oid) AS defaults
FROM pg_class c WHERE relname ~ '^ut(_user|_mat)?$' AND relkind <> 'f';
CREATE TEMP TABLE before AS TABLE given;
-- An owner's MAINTAIN, which 17 has, is not shown.
SELECT schema, relname, replace(relacl, 'tm/', 't/') AS relacl, reloptions, comment, rules, triggers, defaults
FROM before ORDER BY 1, 2;
SELECT _wh.alter_template('ut', options => '{"view_layout": "expand"}');
SELECT tenant_name, definition FROM _wh.published_views WHERE template_name = 'ut' ORDER BY 1;
SELECT count(*) AS same FROM given JOIN before USING (oid) WHERE given IS NOT DISTINCT FROM before;
SELECT schema_name, count(*), count(amount), pg_typeof(min(id)) FROM public.ut GROUP BY 1 ORDER BY 1;
TABLE public.ut_user ORDER BY 1;
SELECT status FROM _wh.wh_refresh('ut', 'tenant_b', '2024-03-03', '2024-03-03');
SELECT _wh.alter_template('ut', reset => '{options}');
SELECT _wh.alter_template('ut', options => '{"view_layout": "union"}');
SELECT count(*) AS same FROM given JOIN before USING (oid) WHERE given IS NOT DISTINCT FROM before;
SELECT to_regclass('_wh_union.ut');
SELECT schema_name, count(*), count(amount), pg_typeof(min(id)) FROM public.ut GROUP BY 1 ORDER BY 1;
REFRESH MATERIALIZED VIEW public.ut_mat;
TABLE public.ut_mat ORDER BY 1;

-- A layout written to the table itself is taken up by the next run.
UPDATE _wh.mv_templates SET options = '{}' WHERE template_name = 'ut';
SELECT status FROM _wh.wh_refresh('ut', 'tenant_b', '2024-03-03', '2024-03-03');
SELECT tenant_name, definition FROM _wh.published_views WHERE template_name = 'ut' ORDER BY 1;

-- What would be lost with a view refuses its being made anew, and is listed:
-- rules, triggers and defaults too.
SELECT _wh.alter_template('ut',
    query_template => $$SELECT at, note, amount FROM uv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'at timestamptz, note varchar(20), amount numeric(10,2)');
SELECT _wh.update_tenant_union_view_by_template('ut', 'tenant_a');
SELECT _wh.update_tenant_union_view_by_template('ut', 'tenant_b');
SELECT _wh.update_public_view_by_template('ut');
SELECT count(*) AS same FROM given JOIN before USING (oid) WHERE given IS NOT DISTINCT FROM before;
DROP VIEW public.ut_user;
DROP MATERIALIZED VIEW public.ut_mat;
DROP VIEW given;
DROP RULE ut_rule ON tenant_b.ut;
ALTER VIEW tenant_b.ut ALTER COLUMN note DROP DEFAULT;
DROP FUNCTION public.ut_trigger() CASCADE;
SELECT _wh.update_tenant_union_view_by_template('ut', 'tenant_a');
SELECT _wh.update_tenant_union_view_by_template('ut', 'tenant_b');
SELECT _wh.update_public_view_by_template('ut');
SELECT attname FROM pg_attribute WHERE attrelid = 'public.ut'::regclass AND attnum > 0 ORDER BY attnum;
SELECT _wh.drop_template('ut', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'ut';

\c wh_tenant_a
DROP TABLE uv_src;
\c wh_tenant_b
DROP TABLE uv_src;
