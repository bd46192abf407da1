-- Schedules need pg_cron in this database; each way that it can be missing is
-- told with its cure, and crontab lines go without.  Then what a daily job
-- does.  (Real jobs run in test/t/030_cron.pl.)
\set VERBOSITY default
SELECT * FROM _wh.setup_cron('foodlogstats');
\echo :SQLSTATE
SELECT * FROM _wh.remove_cron();
\echo :SQLSTATE
SELECT * FROM _wh.setup_cron('foodlogstats', time_zone => 'Europe/Atlantis');
\echo :SQLSTATE
SELECT * FROM _wh.setup_cron('foodlogstats', schedule => NULL);
\echo :SQLSTATE
SELECT * FROM _wh.v_jobs;

-- What other tests left is not our business here.
CREATE TEMP TABLE others AS SELECT template_name FROM _wh.mv_templates WHERE enabled;
UPDATE _wh.mv_templates SET enabled = false;

-- A crontab: the jobs that there would be, quoted for the shell and for cron.
SELECT _wh.add_template($$it's:5%$$, 'SELECT 1 AS id, {DAY_START} AS at', 'id int, at timestamptz', tenants => '{tenant_a}');
SELECT * FROM _wh.wh_crontab() AS line WHERE line ~ $$CRON_TZ|maintenance|rollup|it'$$;
SELECT _wh.drop_template($$it's:5%$$);

-- Maintenance commits by itself, so it is alone.
BEGIN;
CALL _wh.run_maintenance();
\echo :SQLSTATE
ROLLBACK;

-- Retention of the log: of each unit the last success and the last failure
-- stay; a batch is not the end.
INSERT INTO _wh.extract_runs (kind, template_name, tenant_name, table_name, period_start, status, run_started_at, run_finished_at)
SELECT u.kind, u.template_name, u.tenant_name, u.table_name, u.day, s.status, now() - make_interval(days => d.age), now() - make_interval(days => d.age)
FROM (VALUES ('refresh', 'old', 'gone', 'gone.old', date '2020-01-01'),
             ('refresh', 'old', 'gone', 'gone.old', '2020-01-02'),
             ('reconcile', 'old', 'gone', 'gone.old', '2020-01-02'),
             ('bridge', NULL, NULL, 'gone', NULL)) AS u (kind, template_name, tenant_name, table_name, day),
     (VALUES (1, 'loaded'), (2, 'failed'), (3, 'lost'), (4, 'skipped')) AS s (n, status),
     (VALUES (800), (400), (100), (10)) AS d (age)
ORDER BY d.age DESC, u.kind, u.day, s.n;
INSERT INTO _wh.extract_runs (kind, template_name, tenant_name, table_name, period_start, status, run_started_at, run_finished_at)
SELECT 'refresh', 'many', 'gone', 'gone.many', '2020-01-01', 'loaded', now() - make_interval(days => 500), now() - make_interval(days => 500)
FROM generate_series(1, 6000);
\set kept 'SELECT kind, template_name, period_start, status, array_agg(age ORDER BY age) AS days FROM (SELECT *, (extract(epoch FROM now() - run_started_at) / 86400)::int AS age FROM _wh.extract_runs WHERE table_name LIKE ''gone%'') AS r GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;'
SHOW pg_warehouse.log_retention;
SHOW pg_warehouse.failure_retention;
SET pg_warehouse.log_retention = 0;
\echo :SQLSTATE
SELECT coalesce(max(run_id), 0) AS since FROM _wh.extract_runs \gset
CALL _wh.run_maintenance();
:kept
SELECT table_name, status FROM _wh.extract_runs WHERE kind = 'maintenance' AND run_id > :since ORDER BY run_id;

-- Retention of zero keeps the last ones all the same, -1 keeps all.
ALTER SYSTEM SET pg_warehouse.log_retention = 0;
ALTER SYSTEM SET pg_warehouse.failure_retention = -1;
SELECT pg_reload_conf();
SELECT pg_sleep(0.5);
SHOW pg_warehouse.log_retention;
CALL _wh.run_maintenance();
:kept
ALTER SYSTEM RESET pg_warehouse.log_retention;
ALTER SYSTEM RESET pg_warehouse.failure_retention;
SELECT pg_reload_conf();

-- A step that fails keeps no other from being done, and is told at the end.
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state)
VALUES ('nothing', 'tenant_a', 'day', '2024-01-01', '2024-01-02', 'tenant_a', 'schedule_nothing', 'loaded');
CALL _wh.run_maintenance();
\echo :SQLSTATE
SELECT table_name, status, error_message FROM _wh.v_recent_failures WHERE kind = 'maintenance';
DELETE FROM _wh.slices WHERE template_name = 'nothing';
CALL _wh.run_maintenance();
SELECT table_name, status, error_message FROM _wh.v_recent_failures WHERE kind = 'maintenance';
DELETE FROM _wh.extract_runs WHERE table_name LIKE 'gone%' OR kind = 'maintenance';
UPDATE _wh.mv_templates AS t SET enabled = true FROM others AS o WHERE t.template_name = o.template_name;
