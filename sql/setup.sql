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

-- The library joins what the database preloads already.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = auto_explain', current_database()); END $$;
SELECT _wh.setup();
SELECT _wh.setup();
SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
WHERE d.datname = current_database() AND s.setrole = 0
  AND array_to_string(setconfig, ' ') LIKE '%preload%';
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = pg_warehouse', current_database()); END $$;

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
