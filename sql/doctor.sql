-- The doctor: what people break, what it says, and that what it says mends it.
\set VERBOSITY default
-- What pg_cron is short of is told in test/t/150_doctor.pl.
CREATE TEMP VIEW findings AS SELECT * FROM _wh.wh_doctor() WHERE check_name NOT LIKE 'cron%';
SELECT * FROM findings;

-- Another library took the place of ours, for the database and for one role;
-- a role whose list in this database names ours does not count, whatever its
-- list elsewhere.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = ''auto_explain'', ''$libdir/pg_prewarm''', current_database()); END $$;
CREATE ROLE wh_analyst;
ALTER ROLE wh_analyst SET session_preload_libraries = auto_explain;
CREATE ROLE wh_careful;
ALTER ROLE wh_careful SET session_preload_libraries = auto_explain;
DO $$ BEGIN EXECUTE format('ALTER ROLE wh_careful IN DATABASE %I SET session_preload_libraries = ''$libdir/pg_warehouse''', current_database()); END $$;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM findings WHERE status <> 'ok';
SELECT r.rolname, s.setdatabase = 0 AS everywhere, entry
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS entry
WHERE entry LIKE 'session_preload_libraries=%'
  AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) ORDER BY 1 NULLS FIRST, 2;
DO $$ BEGIN EXECUTE format('ALTER ROLE wh_analyst IN DATABASE %I RESET ALL', current_database()); END $$;
DO $$ BEGIN EXECUTE format('ALTER ROLE wh_careful IN DATABASE %I RESET ALL', current_database()); END $$;
DROP ROLE wh_analyst, wh_careful;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = pg_warehouse', current_database()); END $$;

-- An owner with rights that it does not need, then one that may do all: what
-- needs the owner cannot be checked, and the rest is.
ALTER ROLE whadmin NOLOGIN;
SELECT (status = 'warn' AND detail LIKE '%cannot log in%' AND fix_sql = 'ALTER ROLE whadmin LOGIN;')
    = (current_setting('server_version_num')::integer < 170000) AS as_the_version_needs
FROM findings WHERE check_name = 'owner_role';
ALTER ROLE whadmin LOGIN CREATEROLE CREATEDB;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
ALTER ROLE whadmin SUPERUSER;
SELECT check_name, status, detail, fix_sql FROM findings;
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM findings WHERE status <> 'ok';

-- The schema of layout expand: somebody else's, or gone.
ALTER SCHEMA _wh_union OWNER TO CURRENT_USER;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
ALTER SCHEMA _wh_union RENAME TO wh_union_aside;
SELECT check_name, status, detail, fix_sql FROM findings WHERE check_name = 'union_schema';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM findings WHERE status <> 'ok';
DROP SCHEMA _wh_union;
ALTER SCHEMA wh_union_aside RENAME TO _wh_union;

-- Rights: taken away, given to those who should not have them, and for what
-- is still to be made.
REVOKE USAGE ON SCHEMA public FROM phood_ro, PUBLIC;
REVOKE pg_read_all_stats FROM wh_monitor;
REVOKE EXECUTE ON FUNCTION _wh.wh_refresh FROM whadmin;
REVOKE SELECT ON _wh.slices FROM wh_monitor;
GRANT TRIGGER, UPDATE ON _wh.settings TO whadmin;
GRANT SELECT ON _wh.sealed_secrets TO phood_ro;
GRANT SELECT ON _wh.extract_runs TO PUBLIC;
GRANT EXECUTE ON FUNCTION _wh.create_key TO PUBLIC;
GRANT USAGE ON SCHEMA _wh TO phood_ro;
GRANT whadmin TO phood_ro;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM findings WHERE status <> 'ok';
GRANT USAGE ON SCHEMA public TO PUBLIC;
ALTER ROLE phood_ro RENAME TO wh_aside;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
ALTER ROLE wh_aside RENAME TO phood_ro;

-- A copy that nobody adopted: nothing goes out.
UPDATE _wh.settings SET system_identifier = system_identifier + 1;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT _wh.adopt_instance();

-- Days, views and the log.
SELECT _wh.add_template('ward', $$SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz', NULL, key_columns => '{id}', options => '{"view_layout": "union"}', tenants => '{tenant_a}');
SELECT status FROM _wh.wh_refresh('ward', from_date => '2024-01-01', to_date => '2024-01-05', parallel => 0);
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM findings WHERE status <> 'ok';
REVOKE USAGE ON SCHEMA tenant_a FROM phood_ro;
SET ROLE whadmin;
ALTER DEFAULT PRIVILEGES IN SCHEMA tenant_a REVOKE SELECT ON TABLES FROM phood_ro;
DROP VIEW public.ward;
DROP MATERIALIZED VIEW tenant_a.ward_2024_01_02 CASCADE;
REFRESH MATERIALIZED VIEW tenant_a.ward_2024_01_04 WITH NO DATA;
ALTER MATERIALIZED VIEW tenant_a.ward_2024_01_05 SET (autovacuum_enabled = off);
RESET ROLE;
ALTER MATERIALIZED VIEW tenant_a.ward_2024_01_03 OWNER TO CURRENT_USER;
INSERT INTO _wh.extract_runs (template_name, tenant_name, table_name, period_start, backend_pid) VALUES ('ward', 'tenant_a', 'tenant_a.ward', '2024-01-01', 0);
UPDATE _wh.extract_runs SET run_started_at = '2024-01-01' WHERE template_name = 'ward' AND status = 'loaded' AND period_start = '2024-01-01';
SELECT check_name, status, regexp_replace(detail, 'run \d+', 'run N') AS detail, fix_sql FROM findings WHERE status <> 'ok';
-- Relations first, then the views over them, then those over these.
SET client_min_messages = error;
SELECT replace(fix_sql, 'SELECT *', 'SELECT status') FROM findings WHERE fix_sql IS NOT NULL \gexec
RESET client_min_messages;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM findings WHERE status <> 'ok';

-- A view that the reader may not read; a source without a column, then
-- without the table.
REVOKE SELECT ON tenant_a.ward FROM phood_ro;
ALTER TABLE _wh.mv_templates DISABLE TRIGGER USER;
UPDATE _wh.mv_templates SET column_definitions = 'id bigint, logged_time timestamptz, gone text' WHERE template_name = 'ward';
ALTER TABLE _wh.mv_templates ENABLE TRIGGER USER;
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT fix_sql FROM findings WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM findings WHERE status <> 'ok';
UPDATE _wh.mv_templates SET tenants = '{tenant_a,nobody}', query_template = 'SELECT 1::bigint AS id, logged_time, NULL::text AS gone FROM nowhere WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}' WHERE template_name = 'ward';
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok';
SELECT _wh.drop_template('ward', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'ward' OR kind = 'maintenance';

-- A tenant without a password, whose server need not prove who it is.
SELECT _wh.add_tenant('tenant_z', '127.0.0.1', 'none', 'wh_src', sslmode => 'require');
SELECT check_name, status, detail, fix_sql FROM findings WHERE status <> 'ok' AND check_name <> 'tenants';
SELECT status, detail FROM findings WHERE check_name = 'tenants';
SELECT _wh.drop_tenant('tenant_z', drop_data => true) ->> 'tenant' AS dropped;

-- What a view costs, in either layout; an emptied slice costs nothing.
SELECT _wh.add_template('budget', $$SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz', 'CREATE INDEX {view_name}_id ON {schema}.{view_name} (id)',
    time_column => 'logged_time', options => '{"view_layout": "union", "max_rows": 1000}', tenants => '{tenant_a}');
SELECT status FROM _wh.wh_refresh('budget', from_date => '2024-01-01', to_date => '2024-01-03');
SELECT view_name, relations, locks, capacity > 1000 AS room, planning_ms > 0 AS planned, advice FROM _wh.wh_lock_budget() WHERE view_name LIKE '%.budget' ORDER BY 1;
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.budget_2024_01_03 WITH NO DATA;
RESET ROLE;
SELECT view_name, relations, locks FROM _wh.wh_lock_budget() WHERE view_name LIKE '%.budget' ORDER BY 1;
SELECT _wh.alter_template('budget', options => options || '{"view_layout": "expand"}') FROM _wh.mv_templates WHERE template_name = 'budget';
SELECT _wh.update_tenant_union_view_by_template('budget', 'tenant_a'), _wh.update_public_view_by_template('budget');
SELECT options FROM _wh.mv_templates WHERE template_name = 'budget';
SELECT view_name, relations, locks, planning_ms > 0 AS planned, advice FROM _wh.wh_lock_budget() WHERE view_name LIKE '%.budget' ORDER BY 1;
SET pg_warehouse.expand_max_slices = 1;
SELECT view_name, relations, locks FROM _wh.wh_lock_budget() WHERE view_name LIKE '%.budget' ORDER BY 1;
RESET pg_warehouse.expand_max_slices;

-- One that cannot be read says so, and is no reason not to tell of the others.
SET ROLE whadmin;
DROP MATERIALIZED VIEW tenant_a.budget_2024_01_02;
RESET ROLE;
SELECT view_name, relations, planning_ms IS NULL AS unplanned, advice FROM _wh.wh_lock_budget() WHERE view_name LIKE '%.budget' ORDER BY 1;

-- The owner may ask as well; nobody else, unless it is granted.
SET ROLE whadmin;
SELECT check_name, status FROM _wh.wh_doctor() WHERE check_name NOT LIKE 'cron%' AND status <> 'ok';
SELECT count(*) > 0 FROM _wh.wh_lock_budget();
RESET ROLE;
SET ROLE wh_monitor;
SELECT * FROM _wh.wh_doctor();
\echo :SQLSTATE
SELECT * FROM _wh.wh_lock_budget();
\echo :SQLSTATE
RESET ROLE;

SELECT _wh.drop_template('budget', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'budget';
