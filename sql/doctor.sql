-- The doctor: what people break, what it says, and that what it says mends it.
\set VERBOSITY default
SELECT * FROM _wh.wh_doctor();

-- Another library took the place of ours, for the database and for one role;
-- a role whose list in this database names ours does not count, whatever its
-- list elsewhere.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = ''auto_explain'', ''$libdir/pg_prewarm''', current_database()); END $$;
CREATE ROLE wh_analyst;
ALTER ROLE wh_analyst SET session_preload_libraries = auto_explain;
CREATE ROLE wh_careful;
ALTER ROLE wh_careful SET session_preload_libraries = auto_explain;
DO $$ BEGIN EXECUTE format('ALTER ROLE wh_careful IN DATABASE %I SET session_preload_libraries = ''$libdir/pg_warehouse''', current_database()); END $$;
SELECT check_name, status, detail, fix_sql FROM _wh.wh_doctor() WHERE status <> 'ok';
SELECT fix_sql FROM _wh.wh_doctor() WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM _wh.wh_doctor() WHERE status <> 'ok';
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
FROM _wh.wh_doctor() WHERE check_name = 'owner_role';
ALTER ROLE whadmin LOGIN CREATEROLE CREATEDB;
SELECT check_name, status, detail, fix_sql FROM _wh.wh_doctor() WHERE status <> 'ok';
SELECT fix_sql FROM _wh.wh_doctor() WHERE fix_sql IS NOT NULL \gexec
ALTER ROLE whadmin SUPERUSER;
SELECT check_name, status, detail, fix_sql FROM _wh.wh_doctor();
SELECT fix_sql FROM _wh.wh_doctor() WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM _wh.wh_doctor() WHERE status <> 'ok';

-- The schema of layout expand: somebody else's, or gone.
ALTER SCHEMA _wh_union OWNER TO CURRENT_USER;
SELECT check_name, status, detail, fix_sql FROM _wh.wh_doctor() WHERE status <> 'ok';
SELECT fix_sql FROM _wh.wh_doctor() WHERE fix_sql IS NOT NULL \gexec
ALTER SCHEMA _wh_union RENAME TO wh_union_aside;
SELECT check_name, status, detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'union_schema';
SELECT fix_sql FROM _wh.wh_doctor() WHERE fix_sql IS NOT NULL \gexec
SELECT check_name, detail FROM _wh.wh_doctor() WHERE status <> 'ok';
DROP SCHEMA _wh_union;
ALTER SCHEMA wh_union_aside RENAME TO _wh_union;

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
SELECT string_agg(status, ' ') FROM _wh.wh_doctor();
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
