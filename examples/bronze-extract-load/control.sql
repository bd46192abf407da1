-- The control schema of "Bronze extract and load": its two tables as views of
-- ours, with its columns and names.  Run as the owner, once a role grafana_ro
-- is there.
CREATE SCHEMA dwh_control;
CREATE VIEW dwh_control.extract_runs AS
SELECT run_id, template_name AS table_name, run_started_at, run_finished_at, status,
    rows_extracted, rows_loaded, csv_path, error_message
FROM _wh.extract_runs
WHERE tenant_name = 'tracksolid';
CREATE VIEW dwh_control.extract_watermarks AS
SELECT template_name AS table_name, last_extracted_at, last_loaded_at, rows_loaded_last_run
FROM _wh.extract_watermarks
WHERE tenant_name = 'tracksolid';
GRANT USAGE ON SCHEMA dwh_control TO grafana_ro;
GRANT SELECT ON ALL TABLES IN SCHEMA dwh_control TO grafana_ro;
ALTER DEFAULT PRIVILEGES IN SCHEMA dwh_control GRANT SELECT ON TABLES TO grafana_ro;
