-- Leaving: everything that people read stands without the extension, and no
-- row is lost.  In a database of its own, which the extension leaves.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE leave_src (id integer, at timestamptz, note text);
INSERT INTO leave_src SELECT i, timestamptz '2024-01-30 00:00+00' + i * interval '6 hours', repeat('n', i) FROM generate_series(0, 19) AS i;
GRANT SELECT ON leave_src TO wh_src;
\c :warehouse
CREATE DATABASE wh_leave;
\c wh_leave
CREATE EXTENSION pg_warehouse;
SET client_min_messages = warning;
SELECT _wh.setup(preload => false);
SELECT _wh.add_tenant(t, current_setting('unix_socket_directories'), 'wh_tenant_a', 'wh_src', current_setting('port')::int, sslmode => 'disable', auth_method => 'trusted')
FROM unnest(ARRAY['one', 'two', 'Gone "é"']) AS t;
SELECT _wh.add_template('le "é"', $$SELECT id, at, note FROM leave_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text',
    $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id); CREATE INDEX {view_name}_at ON {schema}.{view_name} (at)$$, time_column => 'at');
SELECT _wh.add_template('lu', query_template, column_definitions, time_column => 'at', options => '{"view_layout": "union"}') FROM _wh.mv_templates WHERE template_name = 'le "é"';
SELECT _wh.add_template('none', query_template, column_definitions) FROM _wh.mv_templates WHERE template_name = 'lu';
SELECT _wh.update_public_view_by_template('none');
SELECT _wh.add_template('whole', 'SELECT id, note FROM leave_src', 'id integer, note text', materialization => 'snapshot', tenants => '{one}');
SELECT template_name, tenant_name, count(*) FROM _wh.wh_refresh(from_date => '2024-01-30', to_date => '2024-02-03', parallel => 0) JOIN _wh.mv_templates USING (template_name)
WHERE status = 'loaded' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT _wh.create_combined_table_from_template_by_month(t, 'one', '2024-01-01') ->> 'status' AS status FROM unnest(ARRAY['le "é"', 'lu']) AS t;
-- What the ledger forgot, and what nobody can read.
SELECT _wh.drop_tenant('Gone "é"') ->> 'tenant' AS tenant;
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW two.lu_2024_02_03 WITH NO DATA;
RESET ROLE;
SELECT _wh.update_tenant_union_view_by_template('lu', 'two');
RESET client_min_messages;

-- What people gave and built: grants, comments, views, options, statistics.
CREATE ROLE wh_leave_reader;
GRANT USAGE ON SCHEMA one TO wh_leave_reader;
GRANT SELECT ON one."le ""é""_2024_02_01" TO wh_leave_reader;
GRANT SELECT (id) ON one."le ""é""_2024_02_02" TO wh_leave_reader;
COMMENT ON MATERIALIZED VIEW one."le ""é""_2024_02_01" IS 'February begins';
COMMENT ON COLUMN one."le ""é""_2024_02_01".note IS 'a note';
ALTER MATERIALIZED VIEW one."le ""é""_2024_02_01" SET (autovacuum_enabled = off);
ALTER MATERIALIZED VIEW one."le ""é""_2024_02_01" ALTER COLUMN note SET STATISTICS 7;
CREATE VIEW on_slice AS SELECT id, note FROM one."le ""é""_2024_02_01";
CREATE VIEW on_public AS SELECT schema_name, count(*) AS n, sum(id) AS sum FROM public."le ""é""" GROUP BY 1;
CREATE VIEW on_ledger AS SELECT * FROM _wh.v_coverage;
CREATE FUNCTION on_clock() RETURNS date LANGUAGE sql BEGIN ATOMIC SELECT _wh.current_date_utc(); END;
PREPARE by_public AS SELECT schema_name, count(*), sum(id) FROM public."le ""é""" WHERE at >= '2024-02-01' GROUP BY 1 ORDER BY 1;
EXECUTE by_public;
CREATE TABLE before AS SELECT 'le' AS what, * FROM public."le ""é""" UNION ALL SELECT 'lu', * FROM public.lu UNION ALL SELECT 'none', * FROM public.none;
SELECT what, count(*) FROM before GROUP BY 1 ORDER BY 1;
CREATE TABLE classes AS
SELECT c.oid, c.relname, relfilenode, relacl, reloptions, relowner, attacl, attstattarget, d.description
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace JOIN pg_attribute AS a ON attrelid = c.oid AND attnum > 0
LEFT JOIN pg_description AS d ON d.objoid = c.oid AND d.objsubid IN (0, attnum) WHERE n.nspname IN ('one', 'two', 'Gone "é"') AND relkind IN ('m', 'r', 'i', 'v');

-- Nothing goes while they hold the extension.
\set VERBOSITY terse
DROP EXTENSION pg_warehouse;
\echo :SQLSTATE
\set VERBOSITY default

-- Only the owner leaves.
SET ROLE phood_ro;
SELECT _wh.detach_all();
\echo :SQLSTATE
SET ROLE whadmin;

-- A dry run says the same and leaves everything as it was.
CREATE TEMP TABLE dry AS SELECT n, line FROM _wh.detach_all(dry_run => true) WITH ORDINALITY AS t (line, n);
SELECT relkind, count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE n.nspname IN ('one', 'two', 'Gone "é"') GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM _wh.slices;
SELECT invariant, subject FROM _wh.wh_check() ORDER BY 1, 2;
SELECT action FROM _wh.audit_log WHERE action = 'detach';

-- What the lock table has no room for is refused, with numbers.
\set VERBOSITY terse
BEGIN;
SELECT count(pg_advisory_xact_lock(i)) > 0 AS full FROM generate_series(1, (SELECT max(capacity) - 20 FROM _wh.wh_lock_budget())) AS i;
SELECT _wh.detach_all();
\echo :SQLSTATE
ROLLBACK;
\set VERBOSITY default

-- Not on a read-only footing.
BEGIN READ ONLY;
SELECT _wh.detach_all();
\echo :SQLSTATE
ROLLBACK;

-- A cursor of this very session is told.
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM one."le ""é""_2024_02_01";
FETCH 1 FROM c;
SELECT _wh.detach_all();
\echo :SQLSTATE
ROLLBACK;

-- Views of one's own on our foreign table are never taken along.
RESET ROLE;
CREATE VIEW on_table AS SELECT id FROM _wh_union."le ""é""";
SELECT _wh.detach_all();
\echo :SQLSTATE
DROP VIEW on_table;

-- And now.
CREATE TEMP TABLE done AS SELECT n, line FROM _wh.detach_all() WITH ORDINALITY AS t (line, n);
SELECT line FROM done ORDER BY n;
SELECT count(*) AS differs FROM done FULL JOIN dry USING (n, line) WHERE dry IS NULL OR done IS NULL;
SELECT role, detail FROM _wh.audit_log WHERE action = 'detach';

-- Tables are in the same files, under the same numbers, with all that they had.
SELECT relkind, count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE n.nspname IN ('one', 'two', 'Gone "é"') GROUP BY 1 ORDER BY 1;
SELECT relname FROM classes WHERE relname NOT LIKE '%lu_2024_02_03' EXCEPT
SELECT b.relname FROM classes AS b JOIN pg_class AS c USING (oid, relname, relfilenode, relowner) JOIN pg_attribute AS a ON attrelid = c.oid AND attnum > 0
LEFT JOIN pg_description AS d ON d.objoid = c.oid AND d.objsubid IN (0, attnum)
WHERE b.relacl IS NOT DISTINCT FROM c.relacl AND b.reloptions IS NOT DISTINCT FROM c.reloptions AND b.attacl IS NOT DISTINCT FROM a.attacl
  AND b.attstattarget IS NOT DISTINCT FROM a.attstattarget AND b.description IS NOT DISTINCT FROM d.description;
\d+ one."le ""é""_2024_02_01"
SELECT schema_name, count(*), sum(id) FROM public."le ""é""" WHERE at >= '2024-02-01' GROUP BY 1 ORDER BY 1;
EXECUTE by_public;
SELECT count(*) FROM _wh.slices, _wh.published_views;

-- Again: nothing is left to do but what is people's.
SELECT _wh.detach_all();

-- So the extension can go.
DROP EXTENSION pg_warehouse;
\echo :SQLSTATE
DROP VIEW on_ledger;
DROP FUNCTION on_clock();
DROP EXTENSION pg_warehouse;
SELECT nspname FROM pg_namespace WHERE nspname LIKE '%wh%' OR nspname IN ('one', 'two', 'Gone "é"') ORDER BY 1;
\c
CREATE VIEW after AS SELECT 'le' AS what, * FROM public."le ""é""" UNION ALL SELECT 'lu', * FROM public.lu UNION ALL SELECT 'none', * FROM public.none;
SELECT count(*) AS lost FROM (TABLE before EXCEPT ALL TABLE after) AS t;
SELECT count(*) AS more FROM (TABLE after EXCEPT ALL TABLE before) AS t;
SELECT * FROM on_slice ORDER BY id;
SELECT * FROM on_public ORDER BY 1;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT note FROM one."le ""é""_2024_02_01" WHERE id = 8;
SET ROLE wh_leave_reader;
SELECT count(*) FROM one."le ""é""_2024_02_01";
SELECT count(id) FROM one."le ""é""_2024_02_02";
SELECT count(note) FROM one."le ""é""_2024_02_02";
SET ROLE phood_ro;
SELECT schema_name, count(*) FROM public."le ""é""" GROUP BY 1 ORDER BY 1;

-- They are tables like any other.
SET ROLE whadmin;
INSERT INTO one."le ""é""_2024_02_01" VALUES (8, now(), 'twice');
\echo :SQLSTATE
UPDATE one."le ""é""_2024_02_01" SET note = 'new' WHERE id = 8 RETURNING note;
ALTER TABLE one."le ""é""_2024_02_01" ADD PRIMARY KEY USING INDEX "le ""é""_2024_02_01_id";
ALTER TABLE one."le ""é""_2024_02_01" ADD CHECK (id > 0);
RESET ROLE;
VACUUM (FULL, ANALYZE) one."le ""é""_2024_02_01";
VACUUM one."le ""é""_2024_02_02";
SELECT relhasrules FROM pg_class WHERE oid = 'one."le ""é""_2024_02_02"'::regclass;
REFRESH MATERIALIZED VIEW one."le ""é""_2024_02_01";
\echo :SQLSTATE
DROP TABLE one."le ""é""_2024_02_02";
\echo :SQLSTATE

\c :warehouse
DROP DATABASE wh_leave;
DROP ROLE wh_leave_reader;
