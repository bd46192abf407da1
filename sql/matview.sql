-- One materialized view: created, indexed, owned, granted, filled, refreshed,
-- replaced; and what is not ours never touched.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE mv_src (id bigint, at timestamptz, note text, amount numeric(10,2));
INSERT INTO mv_src
SELECT i, timestamptz '2024-03-01 00:00+00' + i * interval '8 hours', 'note ' || i, i
FROM generate_series(0, 8) AS i;
GRANT SELECT ON mv_src TO wh_src;
\c :warehouse

-- Mixed case, quotes and a letter of two bytes, in the index text too.
SELECT _wh.add_template('Mv "é"',
    $$SELECT id, at, note FROM mv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id bigint, at timestamptz, note varchar(20)',
    $$CREATE UNIQUE INDEX "{view_name} key" ON {schema}.{view_name} (id);
      CREATE INDEX {view_name}_at ON {schema}.{view_name} USING brin (at)$$,
    time_column => 'at', tenants => '{tenant_a}');

-- The session's settings do not get into it.
SET search_path = pg_temp;
SET standard_conforming_strings = off;
SET client_min_messages = error;
SELECT _wh.create_mv_from_template('Mv "é"', 'tenant_a', target_date => '2024-03-01');
RESET ALL;
\d tenant_a."Mv ""é""_2024_03_01"
SET datestyle = 'ISO';
SELECT substring(definition FROM '_wh.*\)') AS body FROM pg_matviews WHERE matviewname = 'Mv "é"_2024_03_01';
RESET datestyle;
SELECT c.relname, c.relkind, pg_get_userbyid(c.relowner) AS owner, a.amname, c.relispopulated, c.reltuples
FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam
WHERE c.relnamespace = 'tenant_a'::regnamespace AND c.relname LIKE 'Mv%' ORDER BY 1;
SELECT nspname, pg_get_userbyid(nspowner) AS owner, has_schema_privilege('phood_ro', oid, 'USAGE') AS reader_uses,
       has_schema_privilege('phood_ro', oid, 'CREATE') AS reader_creates
FROM pg_namespace WHERE nspname = 'tenant_a';
SET ROLE phood_ro;
SELECT * FROM tenant_a."Mv ""é""_2024_03_01" ORDER BY id;
SELECT count(*) FROM tenant_a."Mv ""é""";
RESET ROLE;

-- A refresh: new rows, the same relation, and all that people gave it.
SET ROLE whadmin;
CREATE INDEX mv_mine ON tenant_a."Mv ""é""_2024_03_01" (note);
COMMENT ON MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_01" IS 'mine';
GRANT SELECT ON tenant_a."Mv ""é""_2024_03_01" TO wh_monitor;
RESET ROLE;
SELECT oid AS mv_oid FROM pg_class WHERE relname = 'Mv "é"_2024_03_01' \gset
\c wh_tenant_a
UPDATE mv_src SET note = 'changed' WHERE id = 1;
DELETE FROM mv_src WHERE id = 2;
\c :warehouse
SELECT status, method, rows, rows_deleted, lock_ms >= 0 AS lock_ms, load_ms >= 0 AS load_ms
FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-01', '2024-03-01');
SELECT * FROM tenant_a."Mv ""é""_2024_03_01" ORDER BY id;
SELECT oid = :mv_oid AS same, obj_description(oid, 'pg_class') AS comment,
       has_table_privilege('wh_monitor', oid, 'SELECT') AS granted,
       (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) AS indexes
FROM pg_class c WHERE relname = 'Mv "é"_2024_03_01';

-- Emptied by hand, as a restore leaves it: filled where it is.
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_01" WITH NO DATA;
RESET ROLE;
SELECT status, method, rows, rows_deleted FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-01', '2024-03-01');
SELECT oid = :mv_oid AS same, relispopulated FROM pg_class WHERE relname = 'Mv "é"_2024_03_01';

-- Dropped by hand: made again.
SET ROLE whadmin;
DROP VIEW public."Mv ""é""", tenant_a."Mv ""é""";
DROP MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_01";
RESET ROLE;
SELECT status, method, rows, rows_deleted FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-01', '2024-03-01');
SELECT count(*) FROM public."Mv ""é""";

-- A duplicate key: its SQLSTATE, whose rows, and the old ones still there.
\c wh_tenant_a
INSERT INTO mv_src SELECT * FROM mv_src WHERE id IN (0, 3);
\c :warehouse
SELECT status, sqlstate, message FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-01', '2024-03-02');
SELECT error_detail, error_hint, error_category FROM _wh.extract_runs
WHERE template_name = 'Mv "é"' AND status = 'failed' ORDER BY run_id;
SELECT count(*) FROM tenant_a."Mv ""é""_2024_03_01";
SELECT relname FROM pg_class WHERE relname LIKE 'Mv%2024_03_02%';
\c wh_tenant_a
DELETE FROM mv_src a USING mv_src b WHERE a.id = b.id AND a.ctid > b.ctid;
\c :warehouse

-- The source refuses: nothing half made, old rows still there.
\c wh_tenant_a
ALTER TABLE mv_src RENAME TO mv_gone;
\c :warehouse
SELECT period_start, status, sqlstate FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-01', '2024-03-02');
SELECT relname, relispopulated FROM pg_class WHERE relname LIKE 'Mv%2024%' AND relkind = 'm';
SELECT count(*) FROM public."Mv ""é""";
\c wh_tenant_a
ALTER TABLE mv_gone RENAME TO mv_src;
\c :warehouse

-- Not ours, though the name is: a table, the owner's own, a superuser's.
CREATE TABLE tenant_a."Mv ""é""_2024_03_02" (precious text);
INSERT INTO tenant_a."Mv ""é""_2024_03_02" VALUES ('keep me');
SELECT _wh.update_mv_by_template('Mv "é"', 'tenant_a', '2024-03-02');
SELECT * FROM tenant_a."Mv ""é""_2024_03_02";
DROP TABLE tenant_a."Mv ""é""_2024_03_02";
SET ROLE whadmin;
CREATE MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_02" AS SELECT 1 AS precious;
RESET ROLE;
SELECT status, sqlstate, message FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-02', '2024-03-02');
SELECT * FROM tenant_a."Mv ""é""_2024_03_02";
DROP MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_02";
SELECT status FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-02', '2024-03-02');
ALTER MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_02" OWNER TO CURRENT_USER;
SELECT status, sqlstate FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-02', '2024-03-02');
ALTER MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_02" OWNER TO whadmin;

-- Other columns: a new relation takes the place, with what the old one had.
SET ROLE whadmin;
GRANT SELECT ON tenant_a."Mv ""é""_2024_03_01" TO wh_monitor WITH GRANT OPTION;
GRANT SELECT (note) ON tenant_a."Mv ""é""_2024_03_01" TO PUBLIC;
REVOKE SELECT ON tenant_a."Mv ""é""_2024_03_01" FROM phood_ro;
COMMENT ON MATERIALIZED VIEW tenant_a."Mv ""é""_2024_03_01" IS E'it''s \\ mine';
COMMENT ON COLUMN tenant_a."Mv ""é""_2024_03_01".note IS 'kept';
COMMENT ON COLUMN tenant_a."Mv ""é""_2024_03_01".id IS 'kept too';
RESET ROLE;
SELECT oid AS mv_oid FROM pg_class WHERE relname = 'Mv "é"_2024_03_01' \gset
SELECT _wh.alter_template('Mv "é"',
    query_template => $$SELECT id, note, amount, at FROM mv_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id bigint, note text, amount numeric(10,2), at timestamptz');

-- But not while somebody's view or function stands on the old one.
SET ROLE whadmin;
CREATE VIEW tenant_a.mv_user AS SELECT note FROM tenant_a."Mv ""é""_2024_03_01";
CREATE FUNCTION tenant_a.mv_user_count() RETURNS bigint LANGUAGE sql
BEGIN ATOMIC SELECT count(*) FROM tenant_a."Mv ""é""_2024_03_01"; END;
RESET ROLE;
SELECT _wh.update_mv_by_template('Mv "é"', 'tenant_a', '2024-03-01');
SELECT oid = :mv_oid AS same FROM pg_class WHERE relname = 'Mv "é"_2024_03_01';
SELECT count(*), tenant_a.mv_user_count() FROM tenant_a.mv_user;
DROP FUNCTION tenant_a.mv_user_count();
DROP VIEW tenant_a.mv_user;

SELECT status, method, rows, rows_deleted FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-01', '2024-03-01');
SELECT oid = :mv_oid AS same FROM pg_class WHERE relname = 'Mv "é"_2024_03_01';
\d tenant_a."Mv ""é""_2024_03_01"
SELECT grantee::regrole, privilege_type, is_grantable FROM pg_class, aclexplode(relacl)
WHERE relname = 'Mv "é"_2024_03_01' AND grantee <> relowner;
SELECT obj_description(oid, 'pg_class') AS comment, col_description(oid, 1) AS id, col_description(oid, 2) AS note,
       (SELECT attacl FROM pg_attribute WHERE attrelid = c.oid AND attname = 'note') AS column_acl
FROM pg_class c WHERE relname = 'Mv "é"_2024_03_01';
SELECT * FROM tenant_a."Mv ""é""" ORDER BY at, id;
SELECT count(*) FROM pg_class WHERE relname LIKE 'Mv%.old' OR relname LIKE 'Mv%.new';

-- A tablespace of its own.
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE wh_mv_space LOCATION '';
RESET allow_in_place_tablespaces;
SELECT _wh.alter_template('Mv "é"', options => '{"daily_tablespace": "wh_mv_space"}');
SELECT status, sqlstate FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-03', '2024-03-03');
GRANT CREATE ON TABLESPACE wh_mv_space TO whadmin;
SELECT status FROM _wh.wh_refresh('Mv "é"', 'tenant_a', '2024-03-03', '2024-03-03');
SELECT tablespace FROM pg_matviews WHERE matviewname = 'Mv "é"_2024_03_03';

-- A tenant written by INSERT gets its schema with its first slice; another
-- role's schema is left alone.
INSERT INTO _wh.tenant_connections (tenant_name, schema_name, host, port, dbname, username, sslmode, auth_method)
SELECT 'California', 'California', host, port, dbname, username, sslmode, auth_method
FROM _wh.tenant_connections WHERE tenant_name = 'tenant_a';
SELECT _wh.alter_template('Mv "é"', tenants => '{tenant_a,California}', reset => '{options}');
CREATE SCHEMA "California";
SELECT status, sqlstate FROM _wh.wh_refresh('Mv "é"', 'California', '2024-03-01', '2024-03-01');
DROP SCHEMA "California";
SELECT status, rows FROM _wh.wh_refresh('Mv "é"', 'California', '2024-03-01', '2024-03-01');
SELECT indexname FROM pg_indexes WHERE schemaname = 'California' ORDER BY 1;
SELECT schema_name, count(*) FROM public."Mv ""é""" GROUP BY 1 ORDER BY 1;
SET ROLE phood_ro;
SELECT count(*) FROM "California"."Mv ""é""";
RESET ROLE;

-- A schema that is somebody else's is refused when a tenant is added.
CREATE SCHEMA wh_foreign;
SELECT _wh.add_tenant('foreign', '/tmp', 'x', 'y', schema_name => 'wh_foreign',
                      sslmode => 'disable', auth_method => 'trusted');
\echo :SQLSTATE
DROP SCHEMA wh_foreign;

SELECT _wh.drop_template('Mv "é"', drop_data => true) ->> 'template' AS dropped;
SELECT _wh.drop_tenant('California') ->> 'tenant' AS dropped;
SELECT relname FROM pg_class WHERE relname LIKE 'Mv%';
DROP SCHEMA "California";
DROP TABLESPACE wh_mv_space;
DELETE FROM _wh.extract_runs WHERE template_name = 'Mv "é"';
\c wh_tenant_a
DROP TABLE mv_src;
