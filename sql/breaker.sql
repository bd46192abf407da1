-- A tenant whose server fails again and again is left alone for a while; what
-- may pass is tried again.
\set VERBOSITY default
SET datestyle = 'ISO';
SELECT coalesce(max(run_id), 0) AS since FROM _wh.extract_runs \gset
SELECT _wh.add_template('br', $$SELECT id, logged_time, store FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz, store text', time_column => 'logged_time');
SELECT _wh.add_template('br2', $$SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz', time_column => 'logged_time', tenants => '{tenant_b}');
CREATE FUNCTION pg_temp.untimed(text) RETURNS text LANGUAGE sql AS
$$SELECT regexp_replace(regexp_replace($1, 'until [-0-9]+ [0-9:]+[-+0-9A-Z ]+:', 'until then:'), 'port \d+', 'port n')$$;
CREATE FUNCTION pg_temp.go(template text, tenant text, day date, workers integer DEFAULT 0)
RETURNS TABLE (status text, sqlstate text, message text) LANGUAGE sql AS
$$SELECT status, sqlstate, pg_temp.untimed(message) FROM _wh.wh_refresh(template, tenant, day, day, parallel => workers)$$;
CREATE FUNCTION pg_temp.breaker() RETURNS TABLE (tenant text, state text, failures integer, cooldown integer, sqlstate text, wait boolean) LANGUAGE sql AS
$$SELECT tenant_name, v.state, b.failures, cooldown_ms, b.sqlstate, b.probe_at - now() BETWEEN cooldown_ms * interval '0.7 ms' AND cooldown_ms * interval '1.3 ms'
  FROM _wh.breakers AS b JOIN _wh.v_breakers AS v USING (tenant_name) ORDER BY 1$$;

-- Not as long as it answers.
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-01');
SELECT * FROM pg_temp.breaker();
SELECT DISTINCT breaker FROM _wh.wh_status();

-- The third failure in a row opens it; then nothing is asked, whatever the
-- template, and the old rows are there.
SELECT _wh.alter_tenant('tenant_b', port => 1);
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-01');
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.go('br2', 'tenant_b', '2024-01-01');
SELECT tenant_name, status FROM _wh.wh_refresh('br', NULL, '2024-01-01', '2024-01-02', parallel => 2);
SELECT tenant_name, status, pg_temp.untimed(message) FROM _wh.wh_refresh('br', 'tenant_b', '2024-01-01', '2024-01-01', dry_run => true);
SELECT method, pg_temp.untimed(note) FROM _wh.wh_plan('br', 'tenant_b', '2024-01-01', '2024-01-01');
SELECT count(*) FROM tenant_b.br;
CALL _wh.run_refresh('br', 'tenant_b', '2024-01-01', '2024-01-01');

-- Everybody sees it.
SET ROLE wh_monitor;
SELECT tenant_name, state, failures, sqlstate FROM _wh.v_breakers;
SELECT DISTINCT tenant_name, breaker FROM _wh.wh_status() WHERE template_name LIKE 'br%' ORDER BY 1;
SELECT sync_type, breaker FROM _wh.sync_status WHERE sync_type LIKE '%.br%' ORDER BY 1;
SELECT h ->> 'open_breakers' AS open, h ->> 'status' = 'ok' AS ok FROM _wh.wh_health() AS h;
SELECT line FROM regexp_split_to_table(_wh.wh_metrics(), E'\n') AS line WHERE line LIKE 'pg_warehouse_breaker%br%';
SELECT _wh.wh_report_html() LIKE '%tenant tenant_b%breaker open%' AS reported;
RESET ROLE;

-- Half open: the next one tries, and its failure doubles the time.
UPDATE _wh.breakers SET probe_at = now() - interval '1 s';
SELECT state FROM pg_temp.breaker();
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();
UPDATE _wh.breakers SET probe_at = now() - interval '1 s', cooldown_ms = 3000000;
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');

-- Reset, by whoever has mended it: asked at once.
SELECT _wh.reset_breaker('tenant_b');
SELECT _wh.reset_breaker('tenant_b');
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();

-- Another endpoint closes it; a setting of another kind does not.
UPDATE _wh.breakers SET failures = 9, opened_at = now(), probe_at = now() + interval '1 hour', cooldown_ms = 1;
SELECT _wh.alter_tenant('tenant_b', description => 'down');
SELECT state FROM pg_temp.breaker();
SELECT _wh.alter_tenant('tenant_b', port => current_setting('port')::integer, reset => '{description}');
SELECT * FROM pg_temp.breaker();

-- A probe that succeeds closes it; and so does one that the server answers,
-- if not with rows.
INSERT INTO _wh.breakers VALUES ('tenant_b', 3, now() - interval '2 min', now() - interval '1 min', 60000, '08001', 'x', now());
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();
INSERT INTO _wh.breakers VALUES ('tenant_b', 3, now() - interval '2 min', now() - interval '1 min', 60000, '08001', 'x', now());
SELECT _wh.alter_template('br2', query_template => $$SELECT id, logged_time FROM nowhere WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$);
SELECT * FROM pg_temp.go('br2', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();

-- What a template does wrong does not count, and a success ends the row.
SELECT * FROM pg_temp.go('br2', 'tenant_b', '2024-01-02'), generate_series(1, 4);
SELECT * FROM pg_temp.breaker();
INSERT INTO _wh.breakers (tenant_name, failures, failed_at) VALUES ('tenant_b', 2, now());
SELECT tenant_name, state FROM _wh.v_breakers;
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();

-- What lets us in no more does: a role, a database that is gone.
ALTER ROLE wh_src NOLOGIN;
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
ALTER ROLE wh_src LOGIN;
SELECT _wh.alter_tenant('tenant_b', dbname => 'nowhere');
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-02');
SELECT * FROM pg_temp.breaker();
SELECT _wh.alter_tenant('tenant_b', dbname => 'wh_tenant_b');

-- Attempts in workers: each a row of the log, until the breaker opens; the
-- unit that comes after is skipped.
SET pg_warehouse.retry_time = '60s';
SELECT _wh.alter_tenant('tenant_b', port => 1);
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
SELECT tenant_name, period_start, status, sqlstate FROM _wh.wh_refresh('br', NULL, '2024-01-01', '2024-01-02', parallel => 2);
SELECT tenant_name, period_start, attempt, status FROM _wh.extract_runs WHERE run_id > :since AND tenant_name = 'tenant_b' ORDER BY run_id;
SELECT * FROM pg_temp.breaker();
-- A job that works alone waits by itself.
SELECT _wh.reset_breaker('tenant_b');
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
SET pg_warehouse.max_workers = 0;
\set VERBOSITY terse
CALL _wh.run_refresh('br', 'tenant_b', '2024-01-01', '2024-01-01');
\set VERBOSITY default
RESET pg_warehouse.max_workers;
SELECT period_start, attempt, status, pg_temp.untimed(error_message) FROM _wh.extract_runs WHERE run_id > :since ORDER BY run_id;
-- Within a transaction of somebody's there is one attempt.
SELECT _wh.reset_breaker('tenant_b');
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
SELECT * FROM pg_temp.go('br', 'tenant_b', '2024-01-01');
SELECT _wh.update_mv_by_template('br', 'tenant_b', '2024-01-01');
SELECT count(*), max(attempt) FROM _wh.extract_runs WHERE run_id > :since;
SELECT _wh.alter_tenant('tenant_b', port => current_setting('port')::integer);

-- Only the owner; a tenant that there is.
SET ROLE whadmin;
SELECT _wh.reset_breaker('tenant_b');
INSERT INTO _wh.breakers (tenant_name, failures, failed_at) VALUES ('tenant_b', 2, now());
\echo :SQLSTATE
SET ROLE wh_monitor;
SELECT _wh.reset_breaker('tenant_b');
\echo :SQLSTATE
RESET ROLE;
SELECT _wh.reset_breaker('nobody');
\echo :SQLSTATE
SELECT action, subject, count(*) FROM _wh.audit_log WHERE action = 'reset_breaker' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT name, setting, unit, context, min_val FROM pg_settings WHERE name LIKE 'pg_warehouse.breaker%' OR name LIKE 'pg_warehouse.retry%' ORDER BY 1;

-- Which failures may pass: by SQLSTATE, as the tenant says it.
\set warehouse :DBNAME
\c wh_tenant_b
CREATE FUNCTION fail(state text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = state; END $$;
\c :warehouse
SET pg_warehouse.retry_time = '2s';
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
SELECT count(_wh.add_template('fail_' || lower(state), format('SELECT fail(%L) AS id, {DAY_START} AS at', state), 'id bigint, at timestamptz', tenants => '{tenant_b}'))
FROM unnest('{40001,40P01,53100,53200,55P03,22012,23505,25006,42501,42P01,57014}'::text[]) AS state;
SELECT _wh.alter_template('foodlogstats', enabled => false);
SELECT count(*) FROM _wh.wh_refresh(NULL, 'tenant_b', '2024-01-01', '2024-01-01', parallel => 4) WHERE template_name LIKE 'fail_%' AND status = 'failed';
SELECT _wh.alter_template('foodlogstats', enabled => true);
SELECT sqlstate, count(*) > 1 AS again, max(attempt) = count(*) AS counted FROM _wh.extract_runs
WHERE run_id > :since AND template_name LIKE 'fail_%' GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM _wh.v_breakers;
SELECT count(_wh.drop_template(template_name)) FROM _wh.mv_templates WHERE template_name LIKE 'fail_%';

SELECT count(_wh.drop_template(name, drop_data => true)) FROM unnest('{br,br2}'::text[]) AS name;
