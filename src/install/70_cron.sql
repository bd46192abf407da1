CREATE TABLE _wh.jobs (
    jobname text NOT NULL PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('refresh', 'dispatch', 'maintenance', 'rollup')),
    template_name text,
    tenant_name text,
    wanted text NOT NULL,
    time_zone text NOT NULL,
    schedule text NOT NULL,
    command text NOT NULL,
    jobid bigint NOT NULL,
    scheduled_at timestamptz NOT NULL
);
COMMENT ON TABLE _wh.jobs IS 'The jobs that _wh.setup_cron() made; their state is in _wh.v_jobs';
COMMENT ON COLUMN _wh.jobs.wanted IS 'The schedule as it was given, in time_zone';
COMMENT ON COLUMN _wh.jobs.schedule IS 'The schedule as pg_cron has it';
SELECT pg_catalog.pg_extension_config_dump('_wh.jobs', '');

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
    'Schedule refreshes per template and tenant, maintenance and the yearly roll-up with pg_cron; idempotent';

CREATE FUNCTION _wh.remove_cron(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS TABLE (
    jobid bigint,
    jobname text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_remove_cron';
COMMENT ON FUNCTION _wh.remove_cron(text, text) IS
    'Remove the pg_cron jobs that _wh.setup_cron() made';

CREATE FUNCTION _wh.wh_crontab() RETURNS SETOF text
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_crontab';
COMMENT ON FUNCTION _wh.wh_crontab() IS
    'The schedule as lines for the crontab of the owner, where there is no pg_cron';

CREATE FUNCTION _wh.job_states() RETURNS TABLE (
    jobid bigint,
    jobname text,
    template_name text,
    tenant_name text,
    schedule text,
    active boolean,
    last_status text,
    last_start timestamptz,
    last_end timestamptz,
    last_message text,
    expected_by timestamptz,
    overdue boolean,
    time_zone text,
    command text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_job_states';
COMMENT ON FUNCTION _wh.job_states() IS 'What _wh.v_jobs shows';

CREATE VIEW _wh.v_jobs AS
SELECT j.jobid, j.jobname, j.template_name, j.tenant_name, j.schedule, j.active, j.last_status,
       j.last_start, j.last_end, j.last_message, j.expected_by, j.overdue, j.time_zone, j.command,
       EXISTS (
           SELECT FROM _wh.v_paused AS p
           WHERE (p.template_name IS NULL OR p.template_name OPERATOR(pg_catalog.=) j.template_name)
             AND (p.tenant_name IS NULL OR p.tenant_name OPERATOR(pg_catalog.=) j.tenant_name)) AS paused
FROM _wh.job_states() AS j;
COMMENT ON VIEW _wh.v_jobs IS 'Scheduled jobs, their last run, and when the next one should have begun';
COMMENT ON COLUMN _wh.v_jobs.active IS 'False when pg_cron has it switched off, for another database, or not at all';
COMMENT ON COLUMN _wh.v_jobs.paused IS 'Starts as ever, and all its units are skipped';
COMMENT ON COLUMN _wh.v_jobs.expected_by IS 'The first time that it is due after its last start';
COMMENT ON COLUMN _wh.v_jobs.overdue IS 'Nothing has begun at that time, or within two minutes of it';

CREATE PROCEDURE _wh.run_maintenance()
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_run_maintenance';
COMMENT ON PROCEDURE _wh.run_maintenance() IS
    'What a daily job calls: roll-ups, recheck days, retention of the log, wh_check; raises at the end if any failed';
