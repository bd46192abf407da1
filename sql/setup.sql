-- Makes what the other tests use: the extension, the roles, two tenants that
-- are databases of this very server, read over its socket by a plain role.
\set VERBOSITY default

-- Before setup, everything says what is missing.
CREATE EXTENSION pg_warehouse;
SELECT * FROM _wh.wh_refresh();
\echo :SQLSTATE

-- Roles that undo each other's limits, or do not exist.
SELECT _wh.setup(reader_role => 'whadmin');
\echo :SQLSTATE
SELECT _wh.setup(owner_role => 'wh_nobody', create_roles => false);
\echo :SQLSTATE

-- An owner must not be a superuser; too many rights are warned of.
CREATE ROLE wh_super SUPERUSER LOGIN;
SELECT _wh.setup(owner_role => 'wh_super');
\echo :SQLSTATE
DROP ROLE wh_super;

SET client_min_messages = warning;
SELECT _wh.setup(preload => false);
RESET client_min_messages;
ALTER ROLE whadmin CREATEROLE CREATEDB;
SELECT _wh.setup(preload => false);
ALTER ROLE whadmin NOCREATEROLE NOCREATEDB;

-- Idempotent: a second call says nothing and changes nothing.
SELECT _wh.setup(preload => false);
SELECT owner_role, reader_role, monitor_role, public_schema FROM _wh.settings;

-- The library joins what the database preloads already, once, whatever the
-- others are called.
CREATE FUNCTION pg_temp.preload(given text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER DATABASE %I ', current_database()) || given;
    PERFORM _wh.setup();
    PERFORM _wh.setup();
    RETURN (SELECT string_agg(entry, ' ') FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(setconfig) AS entry
            WHERE d.datname = current_database() AND s.setrole = 0 AND entry LIKE '%preload%');
END $$;
SELECT pg_temp.preload(given) FROM (VALUES (1, 'SET session_preload_libraries = auto_explain'),
    (2, 'SET session_preload_libraries = auto_explain, pg_warehouse, passwordcheck'),
    (3, $$SET session_preload_libraries = '$libdir/auto_explain', 'some "Odd", name'$$),
    (4, $$SET session_preload_libraries = '$libdir/pg_warehouse'$$),
    (5, $$SET session_preload_libraries = ''$$),
    (6, 'RESET session_preload_libraries')) AS v (n, given) ORDER BY n;

-- The schema of the layout expand is the owner's, as is the use of its server;
-- what is in it stays.
SELECT nspowner::regrole, nspacl FROM pg_namespace WHERE nspname = '_wh_union';
SELECT has_server_privilege('whadmin', 'pg_warehouse_union', 'USAGE') AS owner, has_server_privilege('phood_ro', 'pg_warehouse_union', 'USAGE') AS reader;
CREATE TABLE _wh_union.kept ();
SELECT _wh.setup(preload => false);
DROP TABLE _wh_union.kept;
ALTER SCHEMA _wh_union OWNER TO CURRENT_USER;
SELECT _wh.setup(preload => false);
\echo :SQLSTATE
ALTER SCHEMA _wh_union OWNER TO whadmin;

-- Only a superuser sets up or adopts.
SET ROLE whadmin;
SELECT _wh.setup();
\echo :SQLSTATE
SELECT _wh.adopt_instance();
\echo :SQLSTATE
RESET ROLE;

-- The sources: two databases with a plain role that may read one table.
CREATE ROLE wh_src LOGIN;
CREATE DATABASE wh_tenant_a;
CREATE DATABASE wh_tenant_b;
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE foodlogs (id bigint PRIMARY KEY, logged_time timestamptz NOT NULL, store text, amount numeric(10,2));
INSERT INTO foodlogs
SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '2 hours', 'store ' || i % 3, i * 1.25
FROM generate_series(0, 59) AS i;
GRANT SELECT ON foodlogs TO wh_src;
\c wh_tenant_b
CREATE TABLE foodlogs (id bigint PRIMARY KEY, logged_time timestamptz NOT NULL, store text, amount numeric(10,2));
INSERT INTO foodlogs
SELECT i, timestamptz '2024-01-01 00:00+00' + i * interval '3 hours', 'shop ' || i % 2, i * 2.5
FROM generate_series(0, 39) AS i;
GRANT SELECT ON foodlogs TO wh_src;
\c :warehouse

-- Socket and trust are a superuser's choice.
SELECT _wh.add_tenant('tenant_a', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_a', 'wh_src', current_setting('port')::integer,
                      sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_tenant('tenant_b', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_b', 'wh_src', current_setting('port')::integer,
                      sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('foodlogstats',
    $$SELECT id, logged_time, store, amount FROM foodlogs
      WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz, store text, amount numeric(10,2)',
    $$CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id);
      CREATE INDEX idx_{schema}_{view_name}_logged_time ON {schema}.{view_name} (logged_time)$$,
    time_column => 'logged_time', key_columns => '{id}');
SELECT tenant_name, schema_name, dbname, enabled FROM _wh.tenant_connections ORDER BY 1;
SELECT template_name, materialization, version FROM _wh.mv_templates;
