-- What stands in for the statements of the architecture document that cannot
-- run as typed or would mislead; README, "Where the documents differ", says
-- why.  Run by the owner after as_written.sql; test/t/090_as_written.pl does so.

-- Connection management: no password column, a COPY that no log shows
SELECT tenant_name, host, port, dbname, username, created_at, updated_at
FROM _wh.tenant_connections;
COPY _wh.tenant_password_entry FROM STDIN;
tenant_a	tenant-secret
\.

-- Cron Job Types: jobs that fail when a load fails
SELECT jobname, schedule, command FROM _wh.setup_cron('foodlogstats', schedule => '10 */4 * * *');

-- Job Monitoring
SELECT j.jobname, d.status, d.start_time, d.end_time
FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
WHERE d.start_time > now() - INTERVAL '24 hours' OR d.start_time IS NULL;

-- Data Freshness
SELECT table_name, state, EXTRACT(EPOCH FROM lag)::integer / 3600 AS hours_old
FROM _wh.v_table_freshness WHERE template_name = 'foodlogstats';

-- Storage Usage
SELECT tenant_name, template_name, slices, pg_size_pretty(total_bytes)
FROM _wh.wh_status();
SELECT schemaname, matviewname, pg_size_pretty(pg_total_relation_size(format('%I.%I', schemaname, matviewname)))
FROM pg_matviews WHERE schemaname LIKE 'tenant\_%';

SELECT jobname FROM _wh.remove_cron('foodlogstats');
