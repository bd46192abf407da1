-- The statements of the bronze layer playbook as they are typed there, its
-- placeholders filled in: <control> is dwh_control, <table> position_history,
-- and what its orchestrator passes as :table is set here.  Run as the owner on
-- setup.sql and control.sql.  What cannot run as typed is in the README, "Where
-- the documents differ".
\set table '''position_history'''

-- Phase E, 1: read current watermark
SELECT last_extracted_at FROM dwh_control.extract_watermarks WHERE table_name = :table;

-- 7. Observability contract
CREATE OR REPLACE VIEW dwh_control.v_table_freshness AS
SELECT table_name,
MAX(run_finished_at) AS last_loaded_at,
NOW() - MAX(run_finished_at) AS lag,
COUNT(*) FILTER (WHERE run_started_at > NOW() - INTERVAL '24 hours') AS loads_last_24h
FROM dwh_control.extract_runs
WHERE status = 'loaded'
GROUP BY table_name;
CREATE OR REPLACE VIEW dwh_control.v_recent_failures AS
SELECT run_id, table_name, run_started_at, run_finished_at, csv_path, error_message
FROM dwh_control.extract_runs
WHERE status = 'failed' AND run_started_at > NOW() - INTERVAL '24 hours'
ORDER BY run_started_at DESC;
CREATE OR REPLACE VIEW dwh_control.v_watermark_lag AS
SELECT table_name, last_extracted_at, last_loaded_at, rows_loaded_last_run,
NOW() - last_loaded_at AS load_lag,
NOW() - last_extracted_at AS extract_lag
FROM dwh_control.extract_watermarks;

-- 9. First run: row-count parity with the source
SELECT COUNT(*) FROM bronze.position_history;

-- 11. Back-fill a window
UPDATE dwh_control.extract_watermarks
SET last_extracted_at = NOW() - INTERVAL '24 hours'
WHERE table_name = 'position_history';

-- 11. Full reseed (nuclear)
UPDATE dwh_control.extract_watermarks
SET last_extracted_at = '2000-01-01T00:00:00Z'
WHERE table_name = 'position_history';
