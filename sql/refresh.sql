-- Units: which ones a call means, what each leaves in ledger and log.
\set VERBOSITY default
SET datestyle = 'ISO';

SELECT _wh.add_template('daystats',
    $$SELECT id, logged_time, store, amount FROM foodlogs
      WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz, store text, amount numeric(10,2)',
    $$CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id);
      CREATE INDEX idx_{schema}_{view_name}_logged_time ON {schema}.{view_name} (logged_time)$$,
    time_column => 'logged_time', key_columns => '{id}');

-- Nothing is run by a plan or a dry run.
SELECT seq, tenant_name, relation, note FROM _wh.wh_plan('daystats', from_date => '2024-01-01', to_date => '2024-01-02');
SELECT remote_sql FROM _wh.wh_plan('daystats', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT template_name, tenant_name, period_start, status, run_id
FROM _wh.wh_refresh('daystats', from_date => '2024-01-01', to_date => '2024-01-02', dry_run => true);
SELECT count(*) FROM _wh.slices WHERE template_name = 'daystats';
SELECT count(*) FROM _wh.extract_runs WHERE template_name = 'daystats';

-- One day by the seeds' own name, as the owner.
SET ROLE whadmin;
SELECT _wh.create_mv_from_template('daystats', 'tenant_a', 'tenant_a', '2024-01-01');
SELECT _wh.create_mv_from_template('daystats', 'tenant_a', 'tenant_a', '2024-01-01');
SELECT count(*), min(id), max(id) FROM tenant_a.daystats_2024_01_01;
RESET ROLE;
SELECT matviewowner, ispopulated, substring(definition FROM '_wh\..*::date\)') AS body FROM pg_matviews WHERE schemaname = 'tenant_a' AND matviewname LIKE 'daystats%';
SELECT indexname FROM pg_indexes WHERE schemaname = 'tenant_a' AND tablename LIKE 'daystats%' ORDER BY 1;

-- All tenants, two days; the rows of the day that was there are replaced.
SELECT template_name, tenant_name, period_start, status, method, rows, rows_inserted, rows_updated, rows_deleted, rows_unchanged,
       bytes > 0 AS bytes, run_id > 0 AS run_id, sqlstate, message
FROM _wh.wh_refresh('daystats', from_date => '2024-01-01', to_date => '2024-01-02');
SELECT template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state, row_count,
       size_bytes > 0 AS bytes, as_of IS NOT NULL AS as_of, template_version
FROM _wh.slices WHERE template_name = 'daystats' ORDER BY 2, 4;
SELECT kind, table_name, period_start, status, rows_extracted, rows_loaded, method, run_finished_at >= run_started_at AS ended
FROM _wh.extract_runs WHERE template_name = 'daystats' ORDER BY tenant_name, period_start, run_id;

-- The views over them.
SELECT schema_name, count(*) FROM public.daystats GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM tenant_b.daystats;

-- A window; a report per day.
SELECT r ->> 'loaded' AS loaded, r ->> 'failed' AS failed, r ->> 'rows' AS rows,
       (SELECT array_agg((d ->> 'date') || ' ' || (d ->> 'status') || ' ' || (d ->> 'rows')) FROM jsonb_array_elements(r -> 'days') d)
FROM _wh.update_mv_window_by_template('daystats', 'tenant_a', '2024-01-03', '2024-01-05') r;

-- A change at the source arrives with the next refresh, and a plain REFRESH gives the same.
\set warehouse :DBNAME
\c wh_tenant_a
UPDATE foodlogs SET store = 'moved' WHERE id = 3;
DELETE FROM foodlogs WHERE id = 4;
\c :warehouse
SET datestyle = 'ISO';
SELECT _wh.update_mv_by_template('daystats', 'tenant_a', '2024-01-01');
SELECT id, store FROM tenant_a.daystats WHERE id IN (3, 4);
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.daystats_2024_01_01;
RESET ROLE;
SELECT count(*) FROM tenant_a.daystats_2024_01_01;

-- Rebuild: only what is missing; a rerun finds nothing to do.
SELECT r ->> 'units' AS units, r ->> 'loaded' AS loaded
FROM _wh.rebuild_entire_warehouse('2024-01-01', '2024-01-05', templates => '{daystats}', dry_run => true) r;
SELECT r ->> 'units' AS units, r ->> 'loaded' AS loaded, r ->> 'errors' AS errors
FROM _wh.rebuild_entire_warehouse('2024-01-01', '2024-01-05', templates => '{daystats}') r;
SELECT r ->> 'units' AS units FROM _wh.rebuild_entire_warehouse('2024-01-01', '2024-01-05', templates => '{daystats}') r;
SELECT count(*) FROM _wh.slices WHERE template_name = 'daystats';

-- Today and its look-back: the open days since, as they are.
SELECT status, method, rows, period_start = _wh.current_date_utc() AS today
FROM _wh.wh_refresh('daystats', 'tenant_a') ORDER BY period_start;
SELECT _wh.update_mv_by_template('daystats', 'tenant_b');
SELECT count(*) FROM _wh.slices WHERE template_name = 'daystats' AND period_start >= _wh.current_date_utc() - 1;
-- The day before has been loaded since it closed: only today is done again.
SELECT count(*) FROM _wh.wh_refresh('daystats', 'tenant_a');

-- Status.
SELECT table_name, loads_last_24h, state FROM _wh.v_table_freshness WHERE template_name = 'daystats' ORDER BY 1;
SELECT template_name, tenant_name, state, slices, row_count FROM _wh.wh_status() WHERE template_name = 'daystats';
SELECT _wh.alter_template('daystats', options => '{"freshness_target": "1 microsecond"}');
SELECT table_name, freshness_target, state FROM _wh.v_table_freshness WHERE template_name = 'daystats' ORDER BY 1;
SELECT _wh.alter_template('daystats', reset => '{options}');
SELECT tenant_name, day, state, row_count, reason FROM _wh.v_coverage WHERE template_name = 'daystats' AND day BETWEEN '2024-01-01' AND '2024-01-06' ORDER BY 1, 2;

-- Bad arguments are errors and leave no trace.
SELECT max(run_id) AS last_run FROM _wh.extract_runs \gset
SELECT * FROM _wh.wh_refresh('nosuch');
\echo :SQLSTATE
SELECT * FROM _wh.wh_refresh('daystats', 'nosuch');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT _wh.update_mv_by_template('daystats', 'tenant_a', '2999-01-01');
\echo :SQLSTATE
SELECT * FROM _wh.wh_refresh('daystats', from_date => '2999-01-01');
\echo :SQLSTATE
\set VERBOSITY default
SELECT _wh.update_mv_by_template('daystats', 'tenant_a', 'infinity');
\echo :SQLSTATE
SELECT _wh.update_mv_window_by_template('daystats', 'tenant_a', '2024-01-02', '2024-01-01');
\echo :SQLSTATE
SELECT _wh.update_mv_window_by_template('daystats', 'tenant_a', '1984-01-01', '2024-01-01');
\echo :SQLSTATE
\set VERBOSITY terse
SET pg_warehouse.max_workers = 0;
SELECT _wh.update_mv_window_by_template('daystats', 'tenant_a', '2015-01-01', '2024-01-01');
\echo :SQLSTATE
RESET pg_warehouse.max_workers;
\set VERBOSITY default
-- Nothing is asked for where a name or the day is NULL.
SELECT _wh.create_mv_from_template(NULL, 'tenant_a') IS NULL AS a, _wh.create_mv_from_template('daystats', NULL) IS NULL AS b,
       _wh.create_mv_from_template('daystats', 'tenant_a', NULL, NULL) IS NULL AS c;
SELECT _wh.create_mv_from_template('daystats', 'tenant_a', 'public', '2024-01-01');
\echo :SQLSTATE
SELECT * FROM _wh.wh_refresh('daystats', on_error => 'ignore');
\echo :SQLSTATE
SELECT * FROM _wh.wh_refresh('daystats', method => 'magic');
\echo :SQLSTATE
SELECT * FROM _wh.wh_refresh('daystats', parallel => -1);
\echo :SQLSTATE
SELECT _wh.rebuild_entire_warehouse(templates => '{nosuch}');
\echo :SQLSTATE
SELECT max(run_id) - :last_run AS runs_logged FROM _wh.extract_runs;

-- A job commits by itself, so it will not run inside somebody's transaction.
BEGIN;
CALL _wh.run_refresh('daystats', 'tenant_a', '2024-01-01', '2024-01-01');
\echo :SQLSTATE
ROLLBACK;
DO $$ BEGIN CALL _wh.run_refresh('daystats', 'tenant_a', '2024-01-01', '2024-01-01'); END $$;
CALL _wh.run_refresh('daystats', NULL, '2024-01-01', '2024-01-02');
SELECT count(*) AS runs, count(*) FILTER (WHERE status = 'loaded') AS loaded FROM _wh.extract_runs WHERE run_id > :last_run;

-- One tenant down: the others load, its data stays, and everybody is told.
SET pg_warehouse.retry_time = 0;
SELECT _wh.alter_tenant('tenant_b', port => 1);
SELECT tenant_name, period_start, status, sqlstate FROM _wh.wh_refresh('daystats', from_date => '2024-01-01', to_date => '2024-01-01');
SELECT count(*) FROM tenant_b.daystats_2024_01_01;
SELECT table_name, period_start, status, sqlstate, error_category, error_hint FROM _wh.v_recent_failures WHERE template_name = 'daystats';
SELECT template_name, tenant_name, state, hint FROM _wh.wh_status() WHERE template_name = 'daystats';
SELECT state, reason IS NOT NULL AS reason FROM _wh.v_coverage WHERE template_name = 'daystats' AND tenant_name = 'tenant_b' AND day = '2024-01-01';
SELECT tenant_name, status FROM _wh.wh_refresh('daystats', from_date => '2024-01-01', to_date => '2024-01-02', on_error => 'stop', parallel => 0);
\set VERBOSITY terse
SELECT count(*) FROM _wh.wh_refresh('daystats', from_date => '2024-01-01', to_date => '2024-01-01', on_error => 'raise');
\echo :SQLSTATE
SELECT _wh.reset_breaker('tenant_b');
CALL _wh.run_refresh('daystats', NULL, '2024-01-01', '2024-01-01');
\echo :SQLSTATE
SELECT _wh.update_mv_by_template('daystats', 'tenant_b', '2024-01-01');
\set VERBOSITY default
SELECT _wh.alter_tenant('tenant_b', port => current_setting('port')::integer);
RESET pg_warehouse.retry_time;
SELECT status, sqlstate FROM _wh.wh_refresh('daystats', 'tenant_b', '2024-01-01', '2024-01-02');
SELECT count(*) FROM _wh.v_recent_failures WHERE template_name = 'daystats';

-- Frozen: a closed day that is there is never fetched again.
SELECT _wh.alter_template('daystats', options => '{"frozen": true}');
SELECT status, message FROM _wh.wh_refresh('daystats', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT _wh.alter_template('daystats', reset => '{options}');

-- Disabled by name is an error; disabled among all is left out.
SELECT _wh.alter_tenant('tenant_b', enabled => false);
SELECT * FROM _wh.wh_refresh('daystats', 'tenant_b');
\echo :SQLSTATE
SELECT tenant_name, status FROM _wh.wh_refresh('daystats', from_date => '2024-01-01', to_date => '2024-01-01');
SELECT _wh.alter_tenant('tenant_b', enabled => true);
SELECT schema_name, count(*) FROM public.daystats GROUP BY 1 ORDER BY 1;

-- A tenant whose day has not begun yet: skipped, not an error; the same
-- moment is two different days in zones that lie a day apart.
SELECT to_char(now() AT TIME ZONE 'Etc/GMT+12', 'YYYY-MM-DD')::date < to_char(now() AT TIME ZONE 'Etc/GMT-12', 'YYYY-MM-DD')::date AS apart;
SELECT _wh.alter_tenant('tenant_a', time_zone => 'Etc/GMT+12');
SELECT _wh.alter_tenant('tenant_b', time_zone => 'Etc/GMT-12');
SELECT tenant_name, status, sqlstate, message LIKE 'day % has not begun in the time zone of tenant "tenant_a"' AS why
FROM _wh.wh_refresh('daystats', from_date => (now() AT TIME ZONE 'Etc/GMT-12')::date, to_date => (now() AT TIME ZONE 'Etc/GMT-12')::date) ORDER BY 1;
-- Back again; what the days of other zones left behind goes with them.
SET client_min_messages = warning;
SELECT _wh.alter_tenant('tenant_a', time_zone => 'UTC');
SELECT _wh.alter_tenant('tenant_b', time_zone => 'UTC');

-- Leave the tenants as they were.
RESET client_min_messages;
SELECT _wh.drop_template('daystats', drop_data => true) ->> 'template' AS dropped;
\c wh_tenant_a
UPDATE foodlogs SET store = 'store 0' WHERE id = 3;
INSERT INTO foodlogs VALUES (4, '2024-01-01 08:00+00', 'store 1', 5);
\c :warehouse
