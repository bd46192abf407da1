-- A bridge: another database's tables by postgres_fdw, views with plain names,
-- materialized views of their rows, and an application that only reads.
\set VERBOSITY default
SET datestyle = 'ISO';
SET client_min_messages = notice;
\set warehouse :DBNAME

-- The source, with tables named as ODK-X names them.
CREATE ROLE odkx_readonly LOGIN;
CREATE ROLE smartfield_ro LOGIN;
CREATE DATABASE wh_odkx;
\c wh_odkx
CREATE SCHEMA odk_sync;
CREATE TABLE odk_sync._backend_actions ("_URI" varchar(80) PRIMARY KEY, "_CREATION_DATE" timestamp NOT NULL, enqueued boolean);
INSERT INTO odk_sync._backend_actions SELECT 'uuid:' || i, timestamp '2025-01-01' + i * interval '1 hour', i % 2 = 0 FROM generate_series(1, 40) AS i;
CREATE TABLE odk_sync."__ODKTABLES__TABLE_ENTRY4" ("_URI" varchar(80) PRIMARY KEY, "TABLE_ID" text COLLATE "C", "ROWS" integer);
INSERT INTO odk_sync."__ODKTABLES__TABLE_ENTRY4" SELECT 'uuid:' || i, 'table_' || i, i FROM generate_series(1, 3) AS i;
CREATE TABLE odk_sync."__ODKTABLES__INTERACTION_LOG" (at timestamp, what text);
INSERT INTO odk_sync."__ODKTABLES__INTERACTION_LOG" VALUES ('2025-01-01', 'sync');
CREATE TABLE odk_sync.secret (x integer);
CREATE TYPE odk_sync.mood AS ENUM ('sad', 'ok');
CREATE TABLE odk_sync.moody (id integer, mood odk_sync.mood);
GRANT USAGE ON SCHEMA odk_sync TO odkx_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA odk_sync TO odkx_readonly;
REVOKE ALL ON odk_sync.secret FROM odkx_readonly;
\c :warehouse
SET client_min_messages = notice;
SELECT split_part(current_setting('unix_socket_directories'), ',', 1) AS socket, current_setting('port')::integer AS port \gset

-- A bridge is a superuser's choice; postgres_fdw is his to install.
SET ROLE whadmin;
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly');
\echo :SQLSTATE
RESET ROLE;
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly');
\echo :SQLSTATE
CREATE EXTENSION postgres_fdw;

-- Refused before anything is made.
SELECT _wh.create_bridge('odkx9', 'a,b', 'wh_odkx', 'odkx_readonly');
\echo :SQLSTATE
SELECT _wh.create_bridge('odkx9', 'localhost', 'wh_odkx', 'odkx_readonly', port => 0);
SELECT _wh.create_bridge('odkx9', :'socket', NULL, 'odkx_readonly');
\echo :SQLSTATE
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', options => '{"fetch_sise": 1}');
\echo :SQLSTATE
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', options => '{"host": "elsewhere"}');
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', options => '{"fetch_size": []}');
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', options => '[]');
\set VERBOSITY terse
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', options => '{"fetch_size": 0}');
\set VERBOSITY default
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', app_roles => '{nobody_there}');
\echo :SQLSTATE
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', app_roles => '{whadmin}');
\echo :SQLSTATE
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', app_roles => ARRAY[NULL::name]);
\echo :SQLSTATE
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', local_schema => 'public');
\echo :SQLSTATE
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', local_schema => 'tenant_a');
\echo :SQLSTATE
CREATE SCHEMA others;
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', local_schema => 'others');
\echo :SQLSTATE
DROP SCHEMA others;
SELECT count(*) FROM pg_foreign_server WHERE srvname <> 'pg_warehouse_union';

-- Without a password it waits; nothing is sent anywhere.
SELECT _wh.create_bridge('waits', :'socket', 'wh_odkx', 'odkx_readonly', remote_schema => 'odk_sync');
SELECT _wh.create_bridge('shares', :'socket', 'wh_odkx', 'odkx_readonly', local_schema => 'waits');
\echo :SQLSTATE
SELECT * FROM _wh.sync_bridge('waits');
\echo :SQLSTATE
SELECT step, ok, detail, fix FROM _wh.verify_bridge('waits') WHERE NOT ok;
SELECT _wh.drop_bridge('waits');
SELECT count(*) FROM pg_namespace WHERE nspname = 'waits';

-- A source that asks for none, over its socket: imported at once.
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly', :port, 'odk_sync', 'odkx',
    options => '{"password_required": false, "fetch_size": 500}', app_roles => '{smartfield_ro}');
SELECT _wh.create_bridge('odkx9', :'socket', 'wh_odkx', 'odkx_readonly');
\echo :SQLSTATE
SELECT foreign_table_name, column_name, data_type, is_nullable, collation_name
FROM information_schema.columns JOIN information_schema.foreign_tables
  ON (table_schema, table_name) = (foreign_table_schema, foreign_table_name)
WHERE foreign_table_schema = 'odkx' ORDER BY foreign_table_name COLLATE "C", ordinal_position;
SELECT srvname, split_part(o, '=', 1) AS option, substr(o, strpos(o, '=') + 1) AS value
FROM pg_foreign_server, unnest(srvoptions) AS o WHERE o !~ '^(host|port)=' ORDER BY 2;
SELECT usename, umoptions FROM pg_user_mappings ORDER BY 1;
SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'odkx'::regnamespace ORDER BY relname COLLATE "C";
SELECT server_name, username, remote_schema, local_schema, tables, app_roles FROM _wh.bridges;

-- What the document asks of it, as its application: reads, and writes nothing.
SET ROLE smartfield_ro;
SELECT COUNT(*) FROM odkx._backend_actions;  -- lowercase, no quotes
SELECT COUNT(*) FROM odkx."__ODKTABLES__TABLE_ENTRY4";  -- uppercase requires quotes
INSERT INTO odkx._backend_actions VALUES ('x', now(), true);
\echo :SQLSTATE
CREATE TABLE odkx.mine ();
\echo :SQLSTATE
SELECT * FROM _wh.bridges;
\echo :SQLSTATE
SELECT umoptions FROM pg_user_mappings WHERE usename = 'smartfield_ro';
RESET ROLE;
-- Not even with the grants: no foreign table can be written, no source transaction either.
GRANT INSERT, UPDATE, DELETE ON odkx._backend_actions TO smartfield_ro;
SET ROLE smartfield_ro;
INSERT INTO odkx._backend_actions VALUES ('x', now(), true);
\echo :SQLSTATE
RESET ROLE;
SELECT step, ok, detail, fix FROM _wh.verify_bridge('odkx9') WHERE step = 'privileges';
REVOKE INSERT, UPDATE, DELETE ON odkx._backend_actions FROM smartfield_ro;

-- Views with plain names: collisions are a list, and then nothing is made.
SELECT * FROM _wh.create_shim_views('odkx9', '__ODKTABLES__', dry_run => true);
SET ROLE whadmin;
CREATE VIEW odkx.table_entry4 AS SELECT 1 AS mine;
RESET ROLE;
SELECT * FROM _wh.create_shim_views('odkx9', '__ODKTABLES__');
\echo :SQLSTATE
SELECT * FROM _wh.create_shim_views('odkx9', '__ODKTABLES__', dry_run => true);
DROP VIEW odkx.table_entry4;
SELECT * FROM _wh.create_shim_views('odkx9', '__ODKTABLES__');
SELECT * FROM _wh.create_shim_views('odkx9', '__ODKTABLES__');
SET ROLE smartfield_ro;
SET search_path = odkx, analytics, public;
SELECT COUNT(*) FROM table_entry4;
SELECT * FROM interaction_log;
RESET search_path;
RESET ROLE;
COMMENT ON VIEW odkx.table_entry4 IS 'entries';
REVOKE SELECT ON odkx.table_entry4 FROM smartfield_ro;
SELECT step, ok, detail, fix FROM _wh.verify_bridge('odkx9') WHERE step = 'privileges';
GRANT SELECT ON odkx.table_entry4 TO smartfield_ro;

-- The remote schema moves on.
\c wh_odkx
ALTER TABLE odk_sync."__ODKTABLES__TABLE_ENTRY4" ADD COLUMN "ETAG" text, ALTER COLUMN "ROWS" TYPE bigint;
ALTER TABLE odk_sync._backend_actions ALTER COLUMN enqueued SET NOT NULL;
DROP TABLE odk_sync."__ODKTABLES__INTERACTION_LOG";
CREATE TABLE odk_sync.new_one (id integer PRIMARY KEY, note text);
CREATE TABLE odk_sync."NEW_ONE" (id integer);
GRANT SELECT ON ALL TABLES IN SCHEMA odk_sync TO odkx_readonly;
REVOKE ALL ON odk_sync.secret FROM odkx_readonly;
\c :warehouse
SET client_min_messages = notice;
-- The remote table gone: its readers hear it from the source.
SELECT * FROM odkx.interaction_log;
\echo :SQLSTATE
SELECT * FROM _wh.sync_bridge('odkx9', dry_run => true);
SELECT step, ok, detail, fix FROM _wh.verify_bridge('odkx9') WHERE step = 'tables';
SELECT * FROM _wh.sync_bridge('odkx9');
SELECT * FROM _wh.sync_bridge('odkx9');
SELECT * FROM odkx.table_entry4 ORDER BY 1 LIMIT 1;
SELECT obj_description('odkx.table_entry4'::regclass) AS kept, has_table_privilege('smartfield_ro', 'odkx.table_entry4', 'SELECT') AS readable;
-- Two names that differ in case only.
SELECT * FROM _wh.create_shim_views('odkx9', '__ODKTABLES__');
\echo :SQLSTATE
SELECT step, ok, detail, fix FROM _wh.verify_bridge('odkx9') WHERE step = 'names';
\c wh_odkx
DROP TABLE odk_sync."NEW_ONE";
\c :warehouse
SET client_min_messages = notice;
SELECT * FROM _wh.sync_bridge('odkx9');

-- Materialized views, named after the views; the key of the source is theirs.
SELECT * FROM _wh.create_snapshot_mvs('odkx9', 'analytics', '{nothing}');
\echo :SQLSTATE
SELECT * FROM _wh.create_snapshot_mvs('odkx9', 'analytics', dry_run => true);
SELECT * FROM _wh.create_snapshot_mvs('odkx9', 'analytics', '{_backend_actions,__ODKTABLES__TABLE_ENTRY4}');
SELECT * FROM _wh.create_snapshot_mvs('odkx9', 'analytics');
SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'analytics' ORDER BY 1;
SELECT step, ok, detail, fix FROM _wh.verify_bridge('odkx9') WHERE step = 'refresh';

-- Users' own are refreshed too, after what they read; an application may be
-- let to call it, and owns nothing.
SET ROLE whadmin;
CREATE MATERIALIZED VIEW analytics.a_summary AS SELECT sum(entries) AS entries FROM (SELECT count(*) AS entries FROM analytics.table_entry4_mv) AS x WITH NO DATA;
RESET ROLE;
GRANT USAGE ON SCHEMA _wh TO smartfield_ro;
GRANT EXECUTE ON PROCEDURE _wh.refresh_schema(name, boolean) TO smartfield_ro;
SELECT coalesce(max(run_id), 0) AS since FROM _wh.extract_runs \gset
SET ROLE smartfield_ro;
CALL _wh.refresh_schema('analytics');
SELECT count(*) FROM analytics.backend_actions_mv;
SELECT entries FROM analytics.a_summary;
RESET ROLE;
SELECT kind, table_name, status, method, rows_extracted, rows_inserted, rows_deleted, rows_unchanged FROM _wh.extract_runs WHERE run_id > :since ORDER BY run_id;
SELECT sync_type, last_sync_status, successful_sync_count FROM _wh.sync_status WHERE sync_type LIKE 'analytics.%' ORDER BY 1;
SELECT matviewname, matviewowner FROM pg_matviews WHERE schemaname = 'analytics' ORDER BY 1;

-- Concurrently where a unique key allows it; told where not.
\c wh_odkx
UPDATE odk_sync._backend_actions SET enqueued = true WHERE "_URI" IN ('uuid:1', 'uuid:3');
DELETE FROM odk_sync._backend_actions WHERE "_URI" = 'uuid:40';
INSERT INTO odk_sync._backend_actions VALUES ('uuid:41', '2025-02-01', true);
\c :warehouse
SET client_min_messages = notice;
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
SET ROLE smartfield_ro;
CALL _wh.refresh_schema('analytics', concurrently => true);
RESET ROLE;
SELECT table_name, status, method, rows_extracted, rows_inserted, rows_deleted, rows_unchanged, context FROM _wh.extract_runs WHERE run_id > :since ORDER BY run_id;
SET pg_warehouse.max_workers = 0;
CALL _wh.refresh_schema('analytics', concurrently => true);
\echo :SQLSTATE
RESET pg_warehouse.max_workers;

-- Without it, too, only what differs is written, key or no key, rows that are
-- there twice and values that are stored elsewhere.
SET ROLE whadmin;
CREATE SCHEMA extra;
CREATE TABLE extra.src AS SELECT i AS id, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 300) AS j) AS long FROM generate_series(1, 5) AS i;
CREATE MATERIALIZED VIEW extra.mv AS SELECT * FROM extra.src;
CALL _wh.refresh_schema('extra');
SELECT method, rows_extracted, rows_inserted, rows_deleted, rows_unchanged FROM _wh.extract_runs WHERE table_name = 'extra.mv' ORDER BY run_id DESC LIMIT 1;
UPDATE extra.src SET long = long || 'x' WHERE id = 2;
INSERT INTO extra.src SELECT * FROM extra.src WHERE id = 1;
DELETE FROM extra.src WHERE id = 5;
CALL _wh.refresh_schema('extra');
SELECT method, rows_extracted, rows_inserted, rows_deleted, rows_unchanged FROM _wh.extract_runs WHERE table_name = 'extra.mv' ORDER BY run_id DESC LIMIT 1;
SELECT (SELECT count(*) FROM (TABLE extra.mv EXCEPT ALL TABLE extra.src) AS x) AS too_many, (SELECT count(*) FROM (TABLE extra.src EXCEPT ALL TABLE extra.mv) AS x) AS missing;
DROP SCHEMA extra CASCADE;
RESET ROLE;

-- A failure stops only those that read it, and is raised at the end.
\c wh_odkx
ALTER TABLE odk_sync."__ODKTABLES__TABLE_ENTRY4" RENAME TO elsewhere;
\c :warehouse
SET client_min_messages = notice;
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
CALL _wh.refresh_schema('analytics');
\echo :SQLSTATE
SELECT table_name, status, sqlstate, error_category, error_message FROM _wh.extract_runs WHERE run_id > :since ORDER BY run_id;
SELECT entries FROM analytics.a_summary;
SELECT * FROM _wh.sync_bridge('odkx9');
\c wh_odkx
ALTER TABLE odk_sync.elsewhere RENAME TO "__ODKTABLES__TABLE_ENTRY4";
\c :warehouse
SET client_min_messages = notice;

-- A timeout there is a failure like any other, not a cancel of ours.
\c wh_odkx
ALTER ROLE odkx_readonly SET statement_timeout = '200ms';
ALTER TABLE odk_sync.new_one RENAME TO new_slow;
CREATE VIEW odk_sync.new_one AS SELECT id, note FROM odk_sync.new_slow UNION ALL SELECT 1, pg_sleep(30)::text;
GRANT SELECT ON odk_sync.new_one TO odkx_readonly;
\c :warehouse
SET client_min_messages = notice;
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
CALL _wh.refresh_schema('analytics');
\echo :SQLSTATE
SELECT table_name, status, sqlstate, error_category FROM _wh.extract_runs WHERE run_id > :since ORDER BY run_id;
\c wh_odkx
ALTER ROLE odkx_readonly RESET statement_timeout;
DROP VIEW odk_sync.new_one;
ALTER TABLE odk_sync.new_slow RENAME TO new_one;
\c :warehouse
SET client_min_messages = notice;

-- A type changed below a materialized view: blocked, and read as before.
\c wh_odkx
ALTER TABLE odk_sync."__ODKTABLES__TABLE_ENTRY4" ALTER COLUMN "ROWS" TYPE numeric;
\c :warehouse
SET client_min_messages = notice;
SELECT * FROM _wh.sync_bridge('odkx9') WHERE action = 'blocked';
SELECT sum("ROWS") FROM odkx.table_entry4;
\c wh_odkx
ALTER TABLE odk_sync."__ODKTABLES__TABLE_ENTRY4" ALTER COLUMN "ROWS" TYPE bigint;
\c :warehouse
SET client_min_messages = notice;
SELECT * FROM _wh.sync_bridge('odkx9') WHERE action = 'blocked';

-- A server that somebody took the host from.
SELECT format('ALTER SERVER odkx9 OPTIONS (ADD host %L)', :'socket') AS mend \gset
ALTER SERVER odkx9 OPTIONS (DROP host);
SELECT * FROM _wh.sync_bridge('odkx9');
\echo :SQLSTATE
SELECT step, detail FROM _wh.verify_bridge('odkx9') WHERE NOT ok AND step = 'resolve';
:mend;

-- A copy of the warehouse that was not adopted reads from nobody.
UPDATE _wh.settings SET system_identifier = system_identifier - 1;
CALL _wh.refresh_schema('analytics');
\echo :SQLSTATE
SELECT * FROM _wh.sync_bridge('odkx9');
\echo :SQLSTATE
UPDATE _wh.settings SET system_identifier = system_identifier + 1;

-- Somebody else's: it takes its owner.
CREATE MATERIALIZED VIEW analytics.foreign_mv AS SELECT * FROM odkx.new_one WITH NO DATA;
ALTER MATERIALIZED VIEW analytics.foreign_mv OWNER TO smartfield_ro;
\set VERBOSITY terse
CALL _wh.refresh_schema('analytics', true);
\set VERBOSITY default
SELECT table_name, status, sqlstate, error_message, error_detail, error_hint FROM _wh.v_recent_failures WHERE table_name LIKE 'analytics.%';
SELECT step, ok, detail, fix FROM _wh.verify_bridge('odkx9') WHERE step = 'refresh' AND NOT ok;
ALTER MATERIALIZED VIEW analytics.foreign_mv OWNER TO whadmin;
CALL _wh.refresh_schema('analytics', true);
SELECT count(*) FROM _wh.v_recent_failures WHERE table_name LIKE 'analytics.%';
BEGIN;
CALL _wh.refresh_schema('analytics');
\echo :SQLSTATE
ROLLBACK;
CALL _wh.refresh_schema('nowhere');
\echo :SQLSTATE
CALL _wh.refresh_schema('tenant_a');
\echo :SQLSTATE
CALL _wh.refresh_schema(NULL);
\echo :SQLSTATE

-- Every hop.
SELECT step, ok, regexp_replace(regexp_replace(replace(replace(detail, :'socket', 'SOCKET'), :port::text, 'PORT'), 'PostgreSQL \d+\.\d+', 'PostgreSQL N', 'g'), ':PORT', ':PORT') AS detail, fix FROM _wh.verify_bridge('odkx9');

-- The doctor names it, as its passwords are in clear, and what is wrong with it.
SELECT status, detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'bridges';
BEGIN;
CREATE USER MAPPING FOR PUBLIC SERVER odkx9;
DROP USER MAPPING FOR smartfield_ro SERVER odkx9;
SELECT status, detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'bridges';
SET LOCAL client_min_messages = warning;
DROP SERVER odkx9 CASCADE;
SELECT status, detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'bridges';
ROLLBACK;

-- Altered: options, roles, endpoint.
SELECT _wh.alter_bridge('odkx9', '{"fetch_size": 100, "use_remote_estimate": true, "connect_timeout": null}');
SELECT o FROM pg_foreign_server, unnest(srvoptions) AS o WHERE o ~ '^(fetch|use|connect)' ORDER BY 1;
SELECT _wh.alter_bridge('odkx9', '{"use_remote_estimate": null}');
CREATE ROLE second_app;
SELECT _wh.alter_bridge('odkx9', '{"app_roles": ["second_app"]}');
SELECT r AS role, has_schema_privilege(r, 'odkx', 'USAGE') AS schema, has_table_privilege(r, 'odkx.table_entry4', 'SELECT') AS view,
       has_table_privilege(r, 'analytics.table_entry4_mv', 'SELECT') AS mv FROM unnest('{smartfield_ro,second_app}'::text[]) AS r;
SELECT usename, umoptions FROM pg_user_mappings ORDER BY 1;
SET ROLE second_app;
SELECT count(*) FROM odkx.new_one;
RESET ROLE;
SELECT _wh.alter_bridge('odkx9', '{"app_roles": "second_app"}');
\echo :SQLSTATE
SELECT _wh.alter_bridge('odkx9', '{"app_roles": ["smartfield_ro"]}');
DROP ROLE second_app;
SELECT _wh.alter_bridge('odkx9', '{"nonsense": 1}');
\echo :SQLSTATE
SELECT _wh.alter_bridge('odkx9', '{"host": null}');
\echo :SQLSTATE
SELECT _wh.alter_bridge('odkx9', '{"host": "a,b", "port": 1}');
\echo :SQLSTATE
SELECT _wh.alter_bridge('nowhere', '{}');
\echo :SQLSTATE
SET ROLE whadmin;
SELECT _wh.alter_bridge('odkx9', '{"fetch_size": 10}');
\echo :SQLSTATE
SELECT _wh.drop_bridge('odkx9');
\echo :SQLSTATE
RESET ROLE;
-- The wrong database: every hop up to it is fine.
SELECT _wh.alter_bridge('odkx9', '{"dbname": "wh_nowhere"}');
SELECT step, detail, replace(fix, :'socket', 'SOCKET') AS fix FROM _wh.verify_bridge('odkx9') WHERE NOT ok;
SELECT _wh.alter_bridge('odkx9', '{"dbname": "wh_odkx", "username": "odkx_nobody"}');
SELECT step, detail FROM _wh.verify_bridge('odkx9') WHERE NOT ok;
SELECT _wh.alter_bridge('odkx9', '{"username": "odkx_readonly"}');
GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO smartfield_ro;
SELECT * FROM _wh.sync_bridge('odkx9') WHERE action <> 'skipped';
SELECT step, detail FROM _wh.verify_bridge('odkx9') WHERE NOT ok;

-- A bridge keeps to the tables that it was told of.
SELECT _wh.create_bridge('few', :'socket', 'wh_odkx', 'odkx_readonly', :port, 'odk_sync', tables => '{new_one,missing}',
    options => '{"password_required": false}') ->> 'imported' AS imported;
SELECT * FROM _wh.sync_bridge('few');
SELECT _wh.drop_bridge('few') - 'dry_run' AS dropped;
SELECT _wh.create_bridge('few', :'socket', 'wh_odkx', 'odkx_readonly', :port, 'no_schema', options => '{"password_required": false}');
\echo :SQLSTATE

-- 500 tables, and one whose names need care.
\c wh_odkx
CREATE SCHEMA many;
CREATE TABLE many."we""ird; $$ 'name" ("a""b'" integer PRIMARY KEY, "; DROP" numeric(10,2)[]);
INSERT INTO many."we""ird; $$ 'name" VALUES (1, '{1.5}');
DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE many."T_%s" (id integer, v integer)', i); END LOOP; END $$;
GRANT USAGE ON SCHEMA many TO odkx_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA many TO odkx_readonly;
\c :warehouse
SET client_min_messages = notice;
SELECT _wh.create_bridge('many', :'socket', 'wh_odkx', 'odkx_readonly', :port, 'many', options => '{"password_required": false}') ->> 'imported' AS imported;
SELECT count(*), min(action) FROM _wh.create_shim_views('many');
SET ROLE whadmin;
SELECT * FROM many."we""ird; $$ 'name";
RESET ROLE;
SELECT * FROM _wh.create_snapshot_mvs('many', 'many_mv', ARRAY['we"ird; $$ ''name'], suffix => '"; --');
CALL _wh.refresh_schema('many_mv', true);
CALL _wh.refresh_schema('many_mv', true);
SELECT table_name, method, rows_unchanged FROM _wh.extract_runs WHERE kind = 'bridge' ORDER BY run_id DESC LIMIT 1;
SELECT count(*) FROM _wh.sync_bridge('many');
SELECT jsonb_array_length(_wh.drop_bridge('many', drop_data => true) -> 'dropped') AS dropped;

-- Names that are no text here.
CREATE DATABASE wh_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
\c wh_ascii
DO $$ BEGIN EXECUTE format('CREATE TABLE %I ()', convert_from('\xe961', 'SQL_ASCII')); END $$;
\c :warehouse
SET client_min_messages = notice;
SELECT _wh.create_bridge('ascii', :'socket', 'wh_ascii', 'odkx_readonly', :port, options => '{"password_required": false}');
\echo :SQLSTATE
DROP DATABASE wh_ascii;

-- Passwords: what needs no server is tried here, the rest in test/t/120_bridge.pl.
SELECT _wh.rotate_password('nobody', 'x');
\echo :SQLSTATE
SELECT _wh.rotate_password('odkx9', '');
\echo :SQLSTATE
SET log_min_duration_statement = 0;
SELECT _wh.rotate_password('odkx9', 'x');
\echo :SQLSTATE
RESET log_min_duration_statement;

-- Dropped: not while rows or others would go.
SELECT _wh.drop_bridge('odkx9');
\echo :SQLSTATE
SELECT _wh.drop_bridge('odkx9', drop_data => true, dry_run => true);
\echo :SQLSTATE
DROP MATERIALIZED VIEW analytics.a_summary, analytics.foreign_mv;
SELECT _wh.drop_bridge('odkx9', drop_data => true, dry_run => true);
SELECT count(*) FROM pg_foreign_table;
SELECT _wh.drop_bridge('odkx9', drop_data => true);
SELECT count(*) AS servers, (SELECT count(*) FROM _wh.bridges) + (SELECT count(*) FROM _wh.bridge_relations) AS rows FROM pg_foreign_server WHERE srvname <> 'pg_warehouse_union';
SELECT action, subject, role = current_user AS me FROM _wh.audit_log WHERE action LIKE '%bridge' AND subject = 'odkx9' ORDER BY audit_id;

DELETE FROM _wh.extract_runs WHERE kind = 'bridge';
DROP EXTENSION postgres_fdw;
DROP OWNED BY smartfield_ro;
DROP ROLE smartfield_ro;
DROP DATABASE wh_odkx;
DROP ROLE odkx_readonly;
