CREATE FUNCTION _wh.setup_cron(
    template text DEFAULT NULL,
    tenant text DEFAULT NULL,
    schedule text DEFAULT '10 */4 * * *',
    dry_run boolean DEFAULT false,
    time_zone text DEFAULT 'UTC'
) RETURNS TABLE (
    jobid bigint,
    jobname text,
    schedule text,
    command text,
    action text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_setup_cron';
COMMENT ON FUNCTION _wh.setup_cron(text, text, text, boolean, text) IS
    'Schedule CALL _wh.run_refresh() per template and tenant with pg_cron, staggered; idempotent';

CREATE FUNCTION _wh.remove_cron(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS TABLE (
    jobid bigint,
    jobname text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_remove_cron';
COMMENT ON FUNCTION _wh.remove_cron(text, text) IS
    'Remove the pg_cron jobs that _wh.setup_cron() made';
