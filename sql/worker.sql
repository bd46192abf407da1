-- Units in background workers: the same rows as without, and a row of the log
-- that nothing takes away.
\set VERBOSITY default
SET datestyle = 'ISO';
SELECT _wh.add_template('wstats',
    $$SELECT id, logged_time, store, amount, current_setting('application_name') AS name,
             current_setting('statement_timeout') AS timeout
      FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz, store text, amount numeric(10,2), name text, timeout text',
    $$CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id)$$,
    time_column => 'logged_time', key_columns => '{id}');
CREATE FUNCTION pg_temp.loaded(since bigint) RETURNS TABLE (runs bigint, loaded bigint, ours bigint) LANGUAGE sql AS
$$SELECT count(*), count(*) FILTER (WHERE status = 'loaded'), count(*) FILTER (WHERE backend_pid = pg_backend_pid())
  FROM _wh.extract_runs WHERE run_id > since$$;

-- Results come in order, whoever was first.
SELECT coalesce(max(run_id), 0) AS since FROM _wh.extract_runs \gset
SELECT template_name, tenant_name, period_start, status, method, rows, bytes > 0 AS bytes, fetch_ms > 0 AS ms, run_id > :since AS run_id, sqlstate, message
FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-03', parallel => 2);
SELECT * FROM pg_temp.loaded(:since);
CREATE FUNCTION pg_temp.content() RETURNS TABLE (schema_name text, n bigint, hash text) LANGUAGE sql AS
$$SELECT schema_name, count(*), md5(string_agg((id, logged_time, store, amount)::text, '|' ORDER BY id)) FROM public.wstats GROUP BY 1 ORDER BY 1$$;
SELECT * FROM pg_temp.content();
-- The tenant sees what is being done for whom.
SELECT DISTINCT schema_name, name, timeout FROM public.wstats WHERE logged_time < '2024-01-02 00:00+00' ORDER BY 1;

-- The caller's settings reach them.
SET pg_warehouse.run_timeout = '45s';
SELECT count(*) FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-03');
SELECT DISTINCT timeout FROM public.wstats;
RESET pg_warehouse.run_timeout;

-- The same rows without workers; these are the caller's transaction's.
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
BEGIN;
SELECT count(*), count(DISTINCT status) FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-03', parallel => 0);
SELECT * FROM pg_temp.loaded(:since);
SELECT * FROM pg_temp.content();
ROLLBACK;
SELECT * FROM pg_temp.loaded(:since);

-- What workers have done stays, whatever becomes of the caller.
BEGIN;
SELECT count(*) FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-03');
ROLLBACK;
SELECT * FROM pg_temp.loaded(:since);
SELECT * FROM pg_temp.content();

-- A caller that has written, or keeps one snapshot, works by itself.
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL AS written;
SELECT count(*) FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02');
SELECT * FROM pg_temp.loaded(:since);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02');
SELECT * FROM pg_temp.loaded(:since);
ROLLBACK;
SET pg_warehouse.max_workers = 0;
BEGIN;
SELECT count(*) FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02', parallel => 2);
SELECT * FROM pg_temp.loaded(:since);
ROLLBACK;
RESET pg_warehouse.max_workers;
SELECT * FROM pg_temp.loaded(:since);
-- A tenant that only this transaction knows is one that workers do not.
BEGIN;
SELECT _wh.add_tenant('tenant_w', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_a', 'wh_src', current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted');
SELECT tenant_name, status FROM _wh.wh_refresh('wstats', 'tenant_w', '2024-01-01', '2024-01-02');
ROLLBACK;

-- Windows, rebuilds and jobs use them too.
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
SELECT r ->> 'loaded' AS loaded, (SELECT array_agg(d ->> 'date') FROM jsonb_array_elements(r -> 'days') AS d) AS days
FROM _wh.update_mv_window_by_template('wstats', 'tenant_a', '2024-01-02', '2024-01-04') AS r;
SELECT r ->> 'units' AS units, r ->> 'loaded' AS loaded
FROM _wh.rebuild_entire_warehouse('2024-01-03', '2024-01-05', templates => '{wstats}') AS r;
CALL _wh.run_refresh('wstats', NULL, '2024-01-01', '2024-01-02');
SELECT * FROM pg_temp.loaded(:since);
-- A single unit is not worth a process.
SELECT count(*) FROM _wh.wh_refresh('wstats', 'tenant_a', '2024-01-01', '2024-01-01', parallel => 2);
SELECT ours FROM pg_temp.loaded(:since);

-- A tenant that is down; the log has the whole story, the others load.
SET pg_warehouse.retry_time = 0;
SELECT _wh.alter_tenant('tenant_b', port => 1);
SELECT tenant_name, period_start, status, sqlstate, message
FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02', parallel => 2);
SELECT tenant_name, period_start, status FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02', parallel => 1, on_error => 'stop');
\set VERBOSITY terse
SELECT _wh.reset_breaker('tenant_b');
SELECT count(*) FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02', parallel => 2, on_error => 'raise');
\echo :SQLSTATE
SELECT _wh.reset_breaker('tenant_b');
CALL _wh.run_refresh('wstats', NULL, '2024-01-01', '2024-01-02');
\echo :SQLSTATE
\set VERBOSITY default
SELECT _wh.alter_tenant('tenant_b', port => current_setting('port')::integer);

-- What roles and databases set does not reach them.
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
ALTER ROLE whadmin SET default_transaction_read_only = on;
ALTER ROLE whadmin SET default_transaction_isolation = 'serializable';
ALTER ROLE whadmin SET search_path = 'pg_temp';
ALTER ROLE whadmin SET timezone = 'Asia/Tokyo';
ALTER ROLE whadmin SET statement_timeout = '1ms';
ALTER ROLE whadmin SET datestyle = 'German';
ALTER ROLE whadmin SET work_mem = '64kB';
DO $$ DECLARE setting text;
BEGIN
    FOREACH setting IN ARRAY '{default_transaction_read_only = on,default_transaction_isolation = ''repeatable read'',search_path = nowhere,timezone = ''Asia/Tokyo'',lock_timeout = ''1ms''}'::text[] LOOP
        EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting);
    END LOOP;
END $$;
SELECT tenant_name, period_start, status, rows FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02');
SELECT * FROM pg_temp.loaded(:since);
DO $$ DECLARE setting text;
BEGIN
    FOREACH setting IN ARRAY '{default_transaction_read_only,default_transaction_isolation,search_path,timezone,lock_timeout}'::text[] LOOP
        EXECUTE format('ALTER DATABASE %I RESET %s', current_database(), setting);
    END LOOP;
END $$;
ALTER ROLE whadmin RESET ALL;

-- A lock of the leader's that its workers want: no hang, and the log tells.
SET pg_warehouse.lock_deadline = '100ms';
BEGIN;
LOCK TABLE _wh.slices IN SHARE MODE;
SELECT tenant_name, period_start, status, sqlstate
FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02');
ROLLBACK;
RESET pg_warehouse.lock_deadline;

-- Workers that may not connect: everybody is told, and the work is done here.
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM public, whadmin', current_database()); END $$;
SELECT tenant_name, period_start, status FROM _wh.wh_refresh('wstats', from_date => '2024-01-01', to_date => '2024-01-02');
SELECT * FROM pg_temp.loaded(:since);
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO public, whadmin', current_database()); END $$;

-- Bad arguments.
SELECT * FROM _wh.wh_refresh('wstats', parallel => -1);
\echo :SQLSTATE
SELECT * FROM _wh.wh_refresh('wstats', parallel => 10000);
\echo :SQLSTATE
SELECT * FROM _wh.wh_plan('wstats', parallel => 10000);
\echo :SQLSTATE
SET pg_warehouse.max_workers = 1001;

-- Nobody is at work now; the monitor may look.
SET ROLE wh_monitor;
SELECT * FROM _wh.v_progress;
RESET ROLE;

SELECT _wh.drop_template('wstats', drop_data => true) ->> 'template' AS dropped;
