-- Declared by the agreed surface, built later: each call answers 0A000.

CREATE PROCEDURE _wh.run_maintenance()
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_planned';
COMMENT ON PROCEDURE _wh.run_maintenance() IS
    'What a daily job calls: roll-ups, recheck days, retention, checks (not built yet)';

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
