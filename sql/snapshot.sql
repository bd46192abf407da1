-- Templates kept as snapshots: one relation per tenant, whose name the
-- template has, and the public view over all of them.
\set VERBOSITY default
SET datestyle = 'ISO';
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE devices (id integer PRIMARY KEY, name text NOT NULL, seen timestamptz);
INSERT INTO devices SELECT i, 'device ' || i, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' FROM generate_series(1, 20) AS i;
GRANT SELECT ON devices TO wh_src;
\c wh_tenant_b
CREATE TABLE devices (id integer PRIMARY KEY, name text NOT NULL, seen timestamptz);
INSERT INTO devices VALUES (1, 'other', NULL);
GRANT SELECT ON devices TO wh_src;
\c :warehouse
SET datestyle = 'ISO';

-- Only a daily template speaks of a day, and none becomes another's kind.
SELECT _wh.add_template('snap_bad', 'SELECT id FROM devices WHERE seen >= {DAY_START}', 'id integer', materialization => 'snapshot');
\echo :SQLSTATE
SELECT _wh.add_template('snap_daily', 'SELECT id FROM devices WHERE seen >= {DAY_START}', 'id integer');
\set VERBOSITY terse
SELECT _wh.alter_template('snap_daily', query_template => 'SELECT id FROM devices', materialization => 'snapshot');
\echo :SQLSTATE
\set VERBOSITY default
SELECT _wh.drop_template('snap_daily');

SET ROLE whadmin;
SELECT _wh.add_template('snap', 'SELECT id, name, seen FROM devices', 'id integer, name text, seen timestamptz',
    'CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id)', materialization => 'snapshot');
SELECT day, state, reason FROM _wh.v_coverage WHERE template_name = 'snap' AND tenant_name = 'tenant_a';

-- What would be run, and what is.
SELECT tenant_name, remote_sql, local_sql, relation, note FROM _wh.wh_plan('snap', 'tenant_a');
SELECT tenant_name, period_start, status FROM _wh.wh_refresh('snap', dry_run => true);
SELECT tenant_name, period_start, status, method, rows, rows_inserted FROM _wh.wh_refresh('snap');
SELECT * FROM tenant_a.snap ORDER BY id LIMIT 2;
SELECT schema_name, count(*) FROM public.snap GROUP BY 1 ORDER BY 1;
SELECT relkind, relowner::regrole, has_table_privilege('phood_ro', oid, 'SELECT') AS reader FROM pg_class WHERE oid = 'tenant_a.snap'::regclass;
SELECT tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state, row_count FROM _wh.slices WHERE template_name = 'snap' ORDER BY 1;
SELECT kind, table_name, period_start, status, method, rows_loaded FROM _wh.extract_runs WHERE template_name = 'snap' ORDER BY tenant_name;
SELECT table_name, state FROM _wh.v_table_freshness WHERE template_name = 'snap' ORDER BY 1;
SELECT tenant_name, day, state, row_count, reason FROM _wh.v_coverage WHERE template_name = 'snap' ORDER BY 1;
SELECT tenant_name, state, slices, row_count FROM _wh.wh_status() WHERE template_name = 'snap';

-- There is no view of a tenant's to build; the public one can be.
SELECT _wh.update_tenant_union_view_by_template('snap', 'tenant_a'), _wh.update_public_view_by_template('snap');
SELECT relkind FROM pg_class WHERE oid = 'tenant_a.snap'::regclass;

-- Changed, new and deleted rows at the source; days mean nothing.
RESET ROLE;
\c wh_tenant_a
UPDATE devices SET name = 'renamed' WHERE id = 1;
INSERT INTO devices VALUES (21, 'new', NULL);
DELETE FROM devices WHERE id = 2;
\c :warehouse
SET datestyle = 'ISO';
SET ROLE whadmin;
SELECT status, method, rows, rows_inserted, rows_updated, rows_deleted, rows_unchanged
FROM _wh.wh_refresh('snap', 'tenant_a', from_date => '2024-01-01', to_date => '2024-01-31');
SELECT id, name FROM tenant_a.snap WHERE id IN (1, 2, 21) ORDER BY id;
SELECT status, method, rows_inserted, rows_updated, rows_deleted, rows_unchanged FROM _wh.wh_refresh('snap', 'tenant_a', method => 'refill');
SELECT _wh.create_mv_from_template('snap', 'tenant_a'), _wh.update_mv_by_template('snap', 'tenant_a');
SELECT r ->> 'days' AS days FROM _wh.update_mv_window_by_template('snap', 'tenant_a', '2024-01-01', '2024-01-02') AS r;
SELECT r ->> 'units' AS units FROM _wh.rebuild_entire_warehouse(templates => '{snap}', dry_run => true) AS r;
CALL _wh.run_refresh('snap');
SELECT count(*) FROM tenant_a.snap;

-- A plain REFRESH gives the same; a day does not fit.
REFRESH MATERIALIZED VIEW tenant_a.snap;
SELECT count(*) FROM tenant_a.snap;
SELECT * FROM _wh.fetch('snap', 'tenant_a', '2024-01-01') AS r (id integer, name text, seen timestamptz);
\echo :SQLSTATE

-- It is compared as a whole, whatever the days; a load can be proved.
RESET ROLE;
\c wh_tenant_a
UPDATE devices SET name = 'once more' WHERE id = 3;
\c :warehouse
SET datestyle = 'ISO';
SET ROLE whadmin;
SELECT period_start, source_rows, local_rows, equal, action FROM _wh.reconcile('snap', 'tenant_a', fix => false);
SELECT period_start, source_rows, local_rows, equal, action, rows_updated FROM _wh.reconcile('snap', 'tenant_a', '2024-01-01', '2024-01-02');
SELECT period_start, source_rows, local_rows, equal, action FROM _wh.reconcile('snap', 'tenant_a');
SELECT content_hash IS NOT NULL AS hashed FROM _wh.slices WHERE template_name = 'snap' ORDER BY tenant_name;
SELECT status, method FROM _wh.wh_refresh('snap', 'tenant_b', prove => true);
SELECT content_hash IS NOT NULL AS hashed FROM _wh.slices WHERE template_name = 'snap' ORDER BY tenant_name;
SELECT tenant_name, period_kind, relations, rows, total_bytes > index_bytes AS sized FROM _wh.v_storage WHERE template_name = 'snap' ORDER BY 1;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%snap%';
SELECT check_name, status FROM _wh.wh_doctor() WHERE check_name = 'lock_budget';
SELECT _wh.alter_template('snap', query_template => 'SELECT id, name, clock_timestamp() AS seen FROM devices');
SELECT tenant_name, state, reason FROM _wh.v_coverage WHERE template_name = 'snap' ORDER BY 1;
SELECT status, sqlstate FROM _wh.wh_refresh('snap', 'tenant_a', prove => true);
SELECT error_message, error_detail FROM _wh.extract_runs WHERE template_name = 'snap' ORDER BY run_id DESC LIMIT 1;
SELECT _wh.alter_template('snap', query_template => 'SELECT id, name, seen FROM devices');
SELECT tenant_name, status FROM _wh.wh_refresh('snap') ORDER BY 1;

-- The public view reads the relations of the tenants that its condition leaves.
EXPLAIN (COSTS OFF) SELECT count(*) FROM public.snap;
EXPLAIN (COSTS OFF) SELECT name FROM public.snap WHERE schema_name = 'tenant_b';
SELECT _wh.add_template('snap_u', 'SELECT id, name FROM devices', 'id integer, name text', materialization => 'snapshot',
    options => '{"view_layout": "union"}');
SELECT tenant_name, status FROM _wh.wh_refresh('snap_u') ORDER BY 1;
SELECT definition FROM _wh.published_views WHERE template_name = 'snap_u';
SELECT schema_name, count(*) FROM public.snap_u GROUP BY 1 ORDER BY 1;
SELECT _wh.alter_template('snap_u', query_template => 'SELECT id, name, 1 AS one FROM devices', column_definitions => 'id integer, name text, one integer');
SELECT tenant_name, status, method FROM _wh.wh_refresh('snap_u') ORDER BY 1;
SELECT schema_name, sum(one) FROM public.snap_u GROUP BY 1 ORDER BY 1;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%snap%';
SELECT _wh.alter_template('snap_u', options => '{"view_layout": "expand"}');
SELECT schema_name, sum(one) FROM public.snap_u GROUP BY 1 ORDER BY 1;
SELECT _wh.alter_template('snap_u', options => '{"view_layout": "union"}');
SELECT schema_name, sum(one) FROM public.snap_u GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM pg_foreign_table WHERE ftrelid::regclass::text = '_wh_union.snap_u';
\set VERBOSITY terse
DROP MATERIALIZED VIEW tenant_b.snap_u;
\set VERBOSITY default
DROP MATERIALIZED VIEW tenant_b.snap_u CASCADE;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%snap%';
SELECT tenant_name, state, reason FROM _wh.v_coverage WHERE template_name = 'snap_u' ORDER BY 1;
SELECT tenant_name, status, method FROM _wh.wh_refresh('snap_u') ORDER BY 1;
SELECT schema_name, sum(one) FROM public.snap_u GROUP BY 1 ORDER BY 1;

-- A failure leaves what is there.
RESET ROLE;
\c wh_tenant_b
ALTER TABLE devices RENAME TO gadgets;
\c :warehouse
SET datestyle = 'ISO';
SET ROLE whadmin;
SELECT tenant_name, status, sqlstate FROM _wh.wh_refresh('snap') ORDER BY 1;
SELECT schema_name, count(*) FROM public.snap GROUP BY 1 ORDER BY 1;
SELECT tenant_name, day, state FROM _wh.v_coverage WHERE template_name = 'snap' ORDER BY 1;
\set VERBOSITY terse
CALL _wh.run_refresh('snap', 'tenant_b');
\echo :SQLSTATE
\set VERBOSITY default
RESET ROLE;
\c wh_tenant_b
ALTER TABLE gadgets RENAME TO devices;
\c :warehouse
SET datestyle = 'ISO';
SET ROLE whadmin;

-- Other columns: the relation is replaced where it is, with its grants.
GRANT SELECT ON tenant_a.snap TO wh_monitor;
SELECT _wh.alter_template('snap', query_template => 'SELECT id, seen, upper(name) AS label FROM devices',
    column_definitions => 'id integer, seen timestamptz, label text');
SELECT tenant_name, status, method FROM _wh.wh_refresh('snap') ORDER BY 1;
SELECT id, label FROM tenant_a.snap WHERE id = 1;
SELECT has_table_privilege('wh_monitor', 'tenant_a.snap', 'SELECT');
SELECT schema_name, count(*), count(label) FROM public.snap GROUP BY 1 ORDER BY 1;

-- A key that occurs twice says where; somebody else's table is left alone.
SELECT _wh.add_template('snap_dup', 'SELECT 1 AS id FROM devices', 'id integer',
    'CREATE UNIQUE INDEX ON {schema}.{view_name} (id)', materialization => 'snapshot', tenants => '{tenant_a}');
SELECT _wh.update_mv_by_template('snap_dup', 'tenant_a');
CREATE TABLE tenant_a.snap_dup ();
SELECT _wh.update_mv_by_template('snap_dup', 'tenant_a');
DROP TABLE tenant_a.snap_dup;
SELECT _wh.drop_template('snap_dup');

-- A tenant that is renamed, and one that goes, and the template itself.
SELECT _wh.rename_tenant('tenant_b', 'tenant_bb', rename_schema => true);
SELECT schema_name, count(*) FROM public.snap GROUP BY 1 ORDER BY 1;
SELECT schema_name, count(*) FROM public.snap_u GROUP BY 1 ORDER BY 1;
SELECT status, rows FROM _wh.wh_refresh('snap', 'tenant_bb');
SELECT _wh.rename_tenant('tenant_bb', 'tenant_b', rename_schema => true);
SELECT _wh.drop_template('snap', dry_run => true);
RESET ROLE;
SELECT _wh.add_tenant('snap_c', host, 'wh_tenant_a', username, port, sslmode => sslmode, auth_method => auth_method)
FROM _wh.tenant_connections WHERE tenant_name = 'tenant_a';
SET ROLE whadmin;
SELECT tenant_name, status FROM _wh.wh_refresh('snap', 'snap_c');
SELECT tenant_name, status FROM _wh.wh_refresh('snap_u', 'snap_c');
SELECT schema_name, count(*) FROM public.snap GROUP BY 1 ORDER BY 1;
SELECT schema_name, count(*) FROM public.snap_u GROUP BY 1 ORDER BY 1;
SELECT _wh.drop_tenant('snap_c', drop_data => true);
SELECT schema_name, count(*) FROM public.snap GROUP BY 1 ORDER BY 1;
SELECT schema_name, count(*) FROM public.snap_u GROUP BY 1 ORDER BY 1;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%snap%';
SELECT _wh.drop_template('snap_u', drop_data => true);

-- It becomes incremental, and a snapshot again; but not over what the owner
-- put on the table.
RESET ROLE;
\c wh_tenant_a
UPDATE devices SET seen = now() WHERE seen IS NULL;
ALTER TABLE devices ALTER seen SET NOT NULL;
\c :warehouse
SET datestyle = 'ISO';
SET ROLE whadmin;
SELECT _wh.alter_template('snap', materialization => 'incremental', key_columns => '{id}', watermark_column => 'seen');
CREATE VIEW tenant_a.on_snap AS SELECT id FROM tenant_a.snap;
SELECT status, sqlstate, message FROM _wh.wh_refresh('snap', 'tenant_a');
DROP VIEW tenant_a.on_snap;
SELECT status, method, rows FROM _wh.wh_refresh('snap', 'tenant_a');
SELECT relkind FROM pg_class WHERE oid = 'tenant_a.snap'::regclass;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'tenant_a.snap'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
SELECT has_table_privilege('wh_monitor', 'tenant_a.snap', 'SELECT');
SELECT schema_name, count(*) FROM public.snap GROUP BY 1 ORDER BY 1;
ALTER TABLE tenant_a.snap ADD COLUMN mine text;
SELECT _wh.alter_template('snap', materialization => 'snapshot');
SELECT status, sqlstate, message FROM _wh.wh_refresh('snap', 'tenant_a');
ALTER TABLE tenant_a.snap DROP COLUMN mine;
SELECT status, method, rows FROM _wh.wh_refresh('snap', 'tenant_a');
SELECT relkind FROM pg_class WHERE oid = 'tenant_a.snap'::regclass;
SELECT schema_name, count(*) FROM public.snap GROUP BY 1 ORDER BY 1;
SELECT status, method FROM _wh.wh_refresh('snap', 'tenant_a');
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%snap%';
SELECT _wh.drop_template('snap', drop_data => true);
SELECT count(*) FROM _wh.slices WHERE template_name LIKE 'snap%';
RESET ROLE;
\c wh_tenant_a
DROP TABLE devices;
\c wh_tenant_b
DROP TABLE devices;
