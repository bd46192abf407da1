-- Declared by the agreed surface, built later: each call answers 0A000.

CREATE FUNCTION _wh.create_combined_table_from_template_by_year(
    template text,
    tenant text,
    year integer,
    allow_gaps boolean DEFAULT false,
    dry_run boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.create_combined_table_from_template_by_year(text, text, integer, boolean, boolean) IS
    'Roll a year''s days into one table (not built yet)';

CREATE FUNCTION _wh.create_combined_table_from_template_by_month(
    template text,
    tenant text,
    month date,
    allow_gaps boolean DEFAULT false,
    dry_run boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.create_combined_table_from_template_by_month(text, text, date, boolean, boolean) IS
    'Roll a month''s days into one table (not built yet)';

CREATE FUNCTION _wh.wh_rollup(
    template text DEFAULT NULL,
    tenant text DEFAULT NULL,
    dry_run boolean DEFAULT false
) RETURNS SETOF jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_rollup(text, text, boolean) IS
    'Roll up what the templates'' retention says is due (not built yet)';

CREATE PROCEDURE _wh.run_rollup(template text DEFAULT NULL, tenant text DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON PROCEDURE _wh.run_rollup(text, text) IS
    'What a job calls: roll up what is due, then raise if any failed (not built yet)';

CREATE PROCEDURE _wh.run_maintenance()
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON PROCEDURE _wh.run_maintenance() IS
    'What a daily job calls: roll-ups, recheck days, retention, checks (not built yet)';

CREATE FUNCTION _wh.reconcile(
    template text,
    tenant text,
    from_date date DEFAULT NULL,
    to_date date DEFAULT NULL,
    fix boolean DEFAULT true,
    accept_shrink boolean DEFAULT false
) RETURNS TABLE (
    period_start date,
    source_rows bigint,
    local_rows bigint,
    equal boolean,
    action text,
    rows_inserted bigint,
    rows_updated bigint,
    rows_deleted bigint
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.reconcile(text, text, date, date, boolean, boolean) IS
    'Compare count and hash per day with the source and mend what differs (not built yet)';

CREATE FUNCTION _wh.drift(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS TABLE (
    template_name text,
    tenant_name text,
    column_name text,
    declared_type text,
    source_type text,
    change text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.drift(text, text) IS
    'Every tenant''s schema against the template; no row is read (not built yet)';

CREATE FUNCTION _wh.replay(run_id bigint) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.replay(bigint) IS
    'Load an archived extract again (not built yet)';

CREATE FUNCTION _wh.pause(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.pause(text, text) IS
    'Stop scheduled work (not built yet)';

CREATE FUNCTION _wh.resume(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.resume(text, text) IS
    'Go on with scheduled work (not built yet)';

CREATE FUNCTION _wh.reset_breaker(tenant text) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.reset_breaker(text) IS
    'Close a tenant''s breaker (not built yet)';

CREATE FUNCTION _wh.wh_health() RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_health() IS
    'ok, degraded or failing, for probes (not built yet)';

CREATE FUNCTION _wh.wh_doctor() RETURNS TABLE (check_name text, status text, detail text, fix_sql text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_doctor() IS
    'Every check, with the SQL that mends what it finds (not built yet)';

CREATE FUNCTION _wh.wh_check() RETURNS TABLE (invariant text, subject text, problem text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_check() IS
    'The invariants: no row when nothing is lost (not built yet)';

CREATE FUNCTION _wh.wh_statistics(since interval DEFAULT '24 hours') RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_statistics(interval) IS
    'Runs counted by type and outcome (not built yet)';

CREATE FUNCTION _wh.wh_metrics() RETURNS text
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_metrics() IS
    'OpenMetrics text (not built yet)';

CREATE FUNCTION _wh.wh_report_html(from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS text
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_report_html(date, date) IS
    'One self-contained page: coverage, freshness, failures (not built yet)';

CREATE FUNCTION _wh.wh_lock_budget() RETURNS TABLE (
    view_name text,
    relations bigint,
    locks bigint,
    capacity bigint,
    planning_ms double precision,
    advice text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_lock_budget() IS
    'What each view costs in locks (not built yet)';

CREATE FUNCTION _wh.verify_gates(template text, tenant text DEFAULT NULL) RETURNS TABLE (tenant_name text, phase text, gate text, ok boolean, detail text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.verify_gates(text, text) IS
    'Pre-deploy, first-run and steady-state checks of a template (not built yet)';

CREATE FUNCTION _wh.wh_crontab() RETURNS SETOF text
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.wh_crontab() IS
    'The schedule as crontab lines (not built yet)';

CREATE FUNCTION _wh.start_sync(
    sync_type text,
    metadata jsonb DEFAULT NULL,
    expect_within interval DEFAULT '1 hour'
) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.start_sync(text, jsonb, interval) IS
    'Begin a sync of an outside service (not built yet)';

CREATE FUNCTION _wh.update_sync_progress(
    sync_id bigint,
    records bigint,
    latest_timestamp timestamptz DEFAULT NULL
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.update_sync_progress(bigint, bigint, timestamptz) IS
    'Report a sync''s progress (not built yet)';

CREATE FUNCTION _wh.complete_sync(
    sync_id bigint,
    records bigint,
    latest_timestamp timestamptz DEFAULT NULL,
    metadata jsonb DEFAULT NULL
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.complete_sync(bigint, bigint, timestamptz, jsonb) IS
    'End a sync well (not built yet)';

CREATE FUNCTION _wh.fail_sync(sync_id bigint, message text, category text DEFAULT NULL) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.fail_sync(bigint, text, text) IS
    'End a sync with an error (not built yet)';

CREATE FUNCTION _wh.last_sync_time(sync_type text) RETURNS timestamptz
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.last_sync_time(text) IS
    'When a sync type last succeeded (not built yet)';

CREATE FUNCTION _wh.create_bridge(
    server name,
    host text,
    dbname text,
    username text,
    port integer DEFAULT 5432,
    remote_schema name DEFAULT 'public',
    local_schema name DEFAULT NULL,
    tables name[] DEFAULT NULL,
    options jsonb DEFAULT '{}',
    app_roles name[] DEFAULT NULL
) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.create_bridge(name, text, text, text, integer, name, name, name[], jsonb, name[]) IS
    'Set postgres_fdw up for a legacy database (not built yet)';

CREATE FUNCTION _wh.alter_bridge(server name, options jsonb) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.alter_bridge(name, jsonb) IS
    'Change a bridge''s options (not built yet)';

CREATE FUNCTION _wh.drop_bridge(
    server name,
    drop_data boolean DEFAULT false,
    dry_run boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.drop_bridge(name, boolean, boolean) IS
    'Remove a bridge (not built yet)';

CREATE FUNCTION _wh.sync_bridge(server name, dry_run boolean DEFAULT false) RETURNS TABLE (action text, object text, detail text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.sync_bridge(name, boolean) IS
    'Follow changes of the remote schema (not built yet)';

CREATE FUNCTION _wh.create_shim_views(
    server name,
    strip_prefix text DEFAULT NULL,
    dry_run boolean DEFAULT false
) RETURNS TABLE (view_name text, remote_name text, action text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.create_shim_views(name, text, boolean) IS
    'Lower-case names over a bridge''s tables (not built yet)';

CREATE FUNCTION _wh.create_snapshot_mvs(
    server name,
    target_schema name,
    tables name[] DEFAULT NULL,
    suffix text DEFAULT '_mv',
    dry_run boolean DEFAULT false
) RETURNS TABLE (mv_name text, source_name text, action text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.create_snapshot_mvs(name, name, name[], text, boolean) IS
    'Materialized views over a bridge''s tables (not built yet)';

CREATE PROCEDURE _wh.refresh_schema(schema_name name, concurrently boolean DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON PROCEDURE _wh.refresh_schema(name, boolean) IS
    'Refresh a schema''s materialized views, committing each (not built yet)';

CREATE FUNCTION _wh.rotate_password(target text, password text) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.rotate_password(text, text) IS
    'Change the password of a tenant or bridge (not built yet)';

CREATE FUNCTION _wh.verify_bridge(server name) RETURNS TABLE (step text, ok boolean, detail text, fix text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.verify_bridge(name) IS
    'Check every hop of a bridge (not built yet)';

CREATE FUNCTION _wh.detach_all() RETURNS SETOF text
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.detach_all() IS
    'Turn slices into plain relations so that the extension can be dropped (not built yet)';
