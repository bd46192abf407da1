-- The statements of "ODK-X -> Postgres 15 Analytics via FDW", as they are typed
-- there, run as postgres on the analytics server after setup.sql: what that has
-- made is there already, which is what the document's IF NOT EXISTS are for.
-- What cannot run as typed is in the README, "Where the documents differ".

-- 5) FDW bridge
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER IF NOT EXISTS odkx9
  FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host 'host.docker.internal', port '5432', dbname 'postgres');

-- Local schema to host foreign tables
CREATE SCHEMA IF NOT EXISTS odkx;

GRANT USAGE ON SCHEMA odkx TO smartfield_ro;
GRANT SELECT ON ALL TABLES IN SCHEMA odkx TO smartfield_ro;
ALTER DEFAULT PRIVILEGES IN SCHEMA odkx GRANT SELECT ON TABLES TO smartfield_ro;

-- FDW user mapping (PG15 role -> 9.6 credentials)
CREATE USER MAPPING IF NOT EXISTS FOR smartfield_ro SERVER odkx9
  OPTIONS (user 'odkx_readonly', password 'ODKX9_PASSWORD');
-- (Optional) mapping for postgres if you refresh as postgres too
CREATE USER MAPPING IF NOT EXISTS FOR postgres SERVER odkx9
  OPTIONS (user 'odkx_readonly', password 'ODKX9_PASSWORD');

-- Connectivity checks
SELECT current_database(), current_user, now();
SELECT COUNT(*) FROM odkx._backend_actions;  -- lowercase, no quotes
SELECT COUNT(*) FROM odkx."__ODKTABLES__TABLE_ENTRY4";  -- uppercase requires quotes

-- 6) Ergonomic shim views
CREATE OR REPLACE VIEW odkx.table_entry4 AS
  SELECT * FROM odkx."__ODKTABLES__TABLE_ENTRY4";
GRANT SELECT ON odkx.table_entry4 TO smartfield_ro;

CREATE OR REPLACE VIEW odkx.table_file_info4 AS
  SELECT * FROM odkx."__ODKTABLES__TABLE_FILE_INFO4";
GRANT SELECT ON odkx.table_file_info4 TO smartfield_ro;

CREATE OR REPLACE VIEW odkx.manifest_etags AS
  SELECT * FROM odkx."__ODKTABLES__MANIFEST_ETAGS";
GRANT SELECT ON odkx.manifest_etags TO smartfield_ro;

CREATE OR REPLACE VIEW odkx.interaction_log AS
  SELECT * FROM odkx."__ODKTABLES__INTERACTION_LOG";
GRANT SELECT ON odkx.interaction_log TO smartfield_ro;

SELECT COUNT(*) FROM odkx.table_entry4;
SELECT * FROM odkx.table_file_info4 LIMIT 10;

-- 7) Materialized Views (MVs) in analytics
CREATE SCHEMA IF NOT EXISTS analytics;
CREATE MATERIALIZED VIEW IF NOT EXISTS analytics.backend_actions_mv AS
  SELECT * FROM odkx._backend_actions WITH NO DATA;
GRANT SELECT ON analytics.backend_actions_mv TO smartfield_ro;

-- Refresh when you choose
REFRESH MATERIALIZED VIEW analytics.backend_actions_mv;

-- 8) Password rotation
ALTER ROLE smartfield_ro WITH PASSWORD 'DJANGO_RO_PASSWORD';
-- update PG15 mappings
ALTER USER MAPPING FOR smartfield_ro SERVER odkx9 OPTIONS (SET password 'ODKX9_PASSWORD');
ALTER USER MAPPING FOR postgres      SERVER odkx9 OPTIONS (SET password 'ODKX9_PASSWORD');

-- Refresh all MVs in schema via DO block
DO $$ DECLARE r RECORD; BEGIN
  FOR r IN SELECT schemaname, matviewname FROM pg_matviews WHERE schemaname='analytics' LOOP
    EXECUTE format('REFRESH MATERIALIZED VIEW %I.%I', r.schemaname, r.matviewname);
  END LOOP;
END $$;
