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

CREATE FUNCTION _wh.reseed(template text, tenant text, since timestamptz DEFAULT '-infinity') RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.reseed(text, text, timestamptz) IS
    'Move an incremental template''s watermark back (not built yet)';

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

CREATE FUNCTION _wh.detach_all() RETURNS SETOF text
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON FUNCTION _wh.detach_all() IS
    'Turn slices into plain relations so that the extension can be dropped (not built yet)';
