-- The statements of the architecture document ("Data Warehouse Architecture"),
-- as they are typed there.  Run by the owner in the warehouse's database, with
-- tenants tenant_a, tenant_b and tenant_c in place; test/t/090_as_written.pl
-- does so.  A call that the document shows bare has SELECT in front here; what
-- cannot run as typed is in the README, "Where the documents differ".

-- Template Processing: query, columns and indexes of "foodlogstats" ("..." of
-- the document spelled out).
INSERT INTO _wh.mv_templates (template_name, description, query_template, column_definitions, indexes)
VALUES ('foodlogstats', 'Food logs per day',
$$SELECT id, logged_time, store, amount FROM phood_foodlogs WHERE (logged_time AT TIME ZONE 'UTC')::DATE = '{TARGET_DATE}'::DATE$$,
$$id bigint, logged_time timestamptz, store text, amount numeric(10,2)$$,
$$
CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id);
CREATE INDEX idx_{schema}_{view_name}_logged_time ON {schema}.{view_name} (logged_time);
CREATE INDEX idx_{schema}_{view_name}_store ON {schema}.{view_name} (store);
$$);

-- Function processes template
SELECT _wh.create_mv_from_template('foodlogstats', 'tenant_a', 'tenant_a', '2024-01-01');

-- Scheduled via pg_cron
SELECT _wh.update_mv_by_template('foodlogstats', 'tenant_a', _wh.current_date_utc());
SELECT _wh.update_mv_by_template('foodlogstats', 'tenant_b', _wh.current_date_utc());
SELECT _wh.update_mv_by_template('foodlogstats', 'tenant_c', _wh.current_date_utc());

-- Manual union view updates (or triggered by MV changes)
SELECT _wh.update_tenant_union_view_by_template('foodlogstats', 'tenant_a');

-- Public view updates (less frequent)
SELECT _wh.update_public_view_by_template('foodlogstats');

-- Master union view
SELECT *, 'tenant_a' AS schema_name FROM tenant_a.foodlogstats
UNION ALL
SELECT *, 'tenant_b' AS schema_name FROM tenant_b.foodlogstats
UNION ALL
SELECT *, 'tenant_c' AS schema_name FROM tenant_c.foodlogstats;

-- Cron Job Types: the year of the annual combination (as_written_yearly.sql)
SELECT EXTRACT(YEAR FROM _wh.current_date_utc() - INTERVAL '1 year')::integer;

-- Optimized for recent data queries (daily MVs)
SELECT * FROM public.foodlogstats
WHERE logged_time >= CURRENT_DATE - INTERVAL '30 days';

-- Optimized for historical analysis (yearly tables)
SELECT * FROM public.foodlogstats
WHERE EXTRACT(YEAR FROM logged_time) = 2023;

-- Cross-year analysis (both daily MVs + yearly tables)
SELECT * FROM public.foodlogstats
WHERE logged_time BETWEEN '2023-11-01' AND '2024-02-01';

-- Rebuild data warehouse (automated)
SELECT _wh.rebuild_entire_warehouse();

-- System Health
SELECT COUNT(*) as total_connections FROM pg_stat_activity;
SELECT * FROM pg_stat_database WHERE datname = 'postgres';

-- Storage Usage (plain tables only: wh_status() shows the rest)
SELECT schemaname, tablename, pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename))
FROM pg_tables WHERE schemaname LIKE 'tenant_%';
