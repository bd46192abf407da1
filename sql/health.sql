-- What the warehouse says of itself: wh_status(), wh_health(), wh_metrics().
-- All in one transaction, which begins with an empty log and is undone.
\set VERBOSITY terse
BEGIN;
UPDATE _wh.mv_templates SET enabled = false;
DELETE FROM _wh.extract_runs;

-- Nothing to do is nothing wrong.
SELECT _wh.wh_health();

-- A template whose name is full of what labels must escape.
SELECT _wh.add_template('q"u\o<script>', $$SELECT 1::bigint AS id, {DAY_START} AS at$$, 'id bigint, at timestamptz',
                        time_column => 'at', tenants => '{tenant_a,tenant_b}');
SELECT _wh.wh_health() AS never_loaded;
SELECT tenant_name, status FROM _wh.wh_refresh('q"u\o<script>', from_date => '2024-01-01', to_date => '2024-01-02', parallel => 0);
SELECT _wh.wh_health() - 'last_success_at' AS loaded, (_wh.wh_health() ->> 'last_success_at')::timestamptz >= now() AS just_now;
SELECT tenant_name, state, slices, row_count, last_error, unresolved_failures, last_duration_ms > 0 AS took, freshness_target FROM _wh.wh_status();

-- One of two fails, then both: what was loaded before does not hide it.
UPDATE _wh.tenant_connections SET port = 1 WHERE tenant_name = 'tenant_b';
SELECT tenant_name, status FROM _wh.wh_refresh('q"u\o<script>', from_date => '2024-01-01', to_date => '2024-01-01', parallel => 0);
SELECT _wh.wh_health() - 'last_success_at' AS one_fails;
SELECT tenant_name, state, last_error IS NOT NULL AS says_why, unresolved_failures FROM _wh.wh_status();
UPDATE _wh.tenant_connections SET port = 1 WHERE tenant_name = 'tenant_a';
SELECT tenant_name, status FROM _wh.wh_refresh('q"u\o<script>', from_date => '2024-01-01', to_date => '2024-01-01', parallel => 0);
SELECT _wh.wh_health() - 'last_success_at' AS all_fail;

SELECT _wh.metric_labels(E'line\nbreak', 'b');

-- Metrics, with numbers that vary left out.
SELECT regexp_replace(line, '(version="|_seconds{.*} |size_bytes{.*} ).*', '\1...') AS line
FROM regexp_split_to_table(_wh.wh_metrics(), E'\n') AS line;

-- A run that says it is under way and nobody works at, and a service's that
-- has said nothing for too long.
INSERT INTO _wh.extract_runs (template_name, tenant_name, backend_pid) VALUES ('q"u\o<script>', 'tenant_a', 0);
INSERT INTO _wh.extract_runs (kind, table_name, expected_by) VALUES ('sync', 'late', now() - interval '1 minute'), ('sync', 'punctual', now() + interval '1 hour');
SELECT kind, table_name, lost FROM _wh.v_open_runs ORDER BY run_id;
SELECT h -> 'running' AS running, h -> 'lost' AS lost FROM _wh.wh_health() AS h;
SELECT line FROM regexp_split_to_table(_wh.wh_metrics(), E'\n') AS line WHERE line ~ '^pg_warehouse_(running|lost|runs)';

-- A copy that was not adopted is failing, whatever it holds.
UPDATE _wh.settings SET system_identifier = 1;
SELECT h ->> 'status' AS status, h -> 'adopted' AS adopted FROM _wh.wh_health() AS h;
SELECT line FROM regexp_split_to_table(_wh.wh_metrics(), E'\n') AS line WHERE line ~ '^pg_warehouse_adopted';

-- The monitor role sees all of it, and nothing that names a host, a query or a
-- secret.
CREATE FUNCTION pg_temp.tries(statement text) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN EXECUTE statement; RETURN 'done'; EXCEPTION WHEN insufficient_privilege THEN RETURN SQLERRM; END $$;
SET LOCAL ROLE wh_monitor;
SELECT s, pg_temp.tries(s) FROM unnest(ARRAY[
    'SELECT * FROM _wh.wh_status()', 'SELECT _wh.wh_health()', 'SELECT _wh.wh_statistics()', 'SELECT _wh.wh_metrics()',
    'SELECT * FROM _wh.v_table_freshness', 'SELECT * FROM _wh.v_recent_failures', 'SELECT * FROM _wh.v_coverage',
    'SELECT * FROM _wh.v_storage', 'SELECT * FROM _wh.v_progress', 'SELECT * FROM _wh.v_open_runs', 'SELECT * FROM _wh.v_instance',
    'SELECT * FROM _wh.v_growth', 'SELECT * FROM _wh.v_durations', 'SELECT _wh.wh_report_html()',
    'SELECT * FROM _wh.sync_status', 'SELECT * FROM _wh.sync_history', 'SELECT * FROM _wh.extract_runs', 'SELECT * FROM _wh.slices',
    'SELECT * FROM _wh.sealed_secrets', 'SELECT * FROM _wh.tenant_connections', 'SELECT * FROM _wh.mv_templates',
    'SELECT * FROM _wh.v_pairs', 'SELECT * FROM _wh.settings', 'SELECT * FROM _wh.audit_log', 'SELECT * FROM _wh.template_sql()',
    'SELECT * FROM _wh.wh_refresh()', 'DELETE FROM _wh.extract_runs']) AS s;
ROLLBACK;
