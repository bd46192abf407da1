-- pool: one connection for the units of a tenant within a call, a transaction
-- and snapshot for each; one snapshot for a tenant-day where that is asked.
\set VERBOSITY default
SET client_min_messages = warning;
SELECT _wh.alter_template('foodlogstats', enabled => false);
CREATE FUNCTION pg_temp.add(name text, query text, columns text) RETURNS void LANGUAGE sql AS $$
SELECT _wh.add_template(name, query, columns, tenants => '{tenant_a,tenant_b}') $$;
-- Are all connections gone?  A server needs a moment to notice.
CREATE FUNCTION pg_temp.gone() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 500 LOOP
        PERFORM pg_stat_clear_snapshot();
        IF NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'pg_warehouse%' AND usename = 'wh_src') THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN false;
END $$;
SELECT pg_temp.add('pool_a', $$SELECT pg_backend_pid() AS pid, now() AS began, pg_current_snapshot()::text AS seen,
                               '{TARGET_DATE}'::date AS day, current_setting('work_mem') AS work_mem, current_setting('TimeZone') AS zone,
                               set_config('work_mem', '77kB', false) AS left_behind, pg_try_advisory_lock(4711) AS locked,
                               current_setting('transaction_read_only') AS read_only$$,
                   'pid int, began timestamptz, seen text, day date, work_mem text, zone text, left_behind text, locked boolean, read_only text');
SELECT pg_temp.add('pool_b', $$SELECT 1 / (extract(year FROM '{TARGET_DATE}'::date)::int - 2024) AS one$$, 'one int');
SELECT pg_temp.add('pool_c', query_template, column_definitions) FROM _wh.mv_templates WHERE template_name = 'pool_a';

-- A window connects once; each unit begins anew, and finds nothing of the one
-- before.
SELECT _wh.update_mv_window_by_template('pool_a', 'tenant_a', '2024-01-01', '2024-01-10') -> 'loaded' AS loaded;
SELECT count(DISTINCT pid) AS connections, count(DISTINCT began) AS transactions, bool_and(locked) AS locked,
       count(*) FILTER (WHERE work_mem = '77kB') AS left_behind, min(zone) AS zone, min(read_only) AS read_only
FROM public.pool_a;
SELECT pg_temp.gone();
SELECT count(*) AS still_locked FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711;

-- So does every call of several units, in workers or not, each connection
-- being one tenant's.
SELECT count(*) FROM _wh.wh_refresh('pool_a', from_date => '2024-01-01', to_date => '2024-01-04') WHERE status = 'loaded';
SELECT schema_name, count(DISTINCT pid) AS connections, count(DISTINCT began) AS transactions
FROM public.pool_a WHERE day <= '2024-01-04' GROUP BY 1 ORDER BY 1;
SELECT count(DISTINCT pid) FROM public.pool_a WHERE day <= '2024-01-04';
SELECT count(*) FROM _wh.wh_refresh('pool_a', from_date => '2024-01-01', to_date => '2024-01-04', parallel => 0) WHERE status = 'loaded';
SELECT count(DISTINCT pid) AS connections, count(DISTINCT began) AS transactions FROM public.pool_a WHERE day <= '2024-01-04';
CALL _wh.run_refresh('pool_a', 'tenant_a', '2024-01-01', '2024-01-04');
SELECT count(DISTINCT pid) AS connections, count(DISTINCT seen) AS snapshots FROM public.pool_a WHERE schema_name = 'tenant_a' AND day <= '2024-01-04';
SELECT _wh.rebuild_entire_warehouse('2024-02-01', '2024-02-03', '{tenant_a}', '{pool_a}') -> 'loaded' AS loaded;
SELECT count(DISTINCT pid) AS connections FROM public.pool_a WHERE day >= '2024-02-01';

-- Never again the one that had an error: the failing template is between the
-- other two.
SELECT template_name, status, sqlstate FROM _wh.wh_refresh(NULL, 'tenant_a', '2024-01-01', '2024-01-01', parallel => 0) WHERE template_name LIKE 'pool%' ORDER BY 1;
CREATE TEMP VIEW seen AS SELECT * FROM public.pool_a UNION ALL SELECT * FROM public.pool_c;
SELECT count(DISTINCT pid) AS connections, count(DISTINCT seen) AS snapshots FROM seen WHERE day = '2024-01-01' AND schema_name = 'tenant_a';

-- consistent: the same, under one snapshot for each tenant and day, which a
-- failure in between does not end.
SELECT template_name, tenant_name, period_start, status, sqlstate
FROM _wh.wh_refresh(from_date => '2024-01-01', to_date => '2024-01-02', consistent => true) WHERE template_name LIKE 'pool%';
SELECT schema_name, day, count(*) AS templates, count(DISTINCT seen) AS snapshots, count(DISTINCT began) AS transactions
FROM seen WHERE day <= '2024-01-02' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT schema_name, count(DISTINCT seen) AS snapshots FROM seen WHERE day <= '2024-01-02' GROUP BY 1 ORDER BY 1;
SELECT count(DISTINCT as_of) AS times FROM _wh.slices WHERE template_name LIKE 'pool%' AND tenant_name = 'tenant_a' AND period_start = '2024-01-01';
SELECT tenant_name, relation FROM _wh.wh_plan(from_date => '2024-01-01', to_date => '2024-01-01', consistent => true) WHERE relation LIKE '%pool%' ORDER BY seq;
SELECT pg_temp.gone();

-- A snapshot whose keeper is gone is not replaced by another one.
SELECT _wh.alter_template('pool_b', query_template => $$SELECT pg_terminate_backend(pid, 5000)::int AS one FROM pg_stat_activity
                          WHERE usename = 'wh_src' AND pid <> pg_backend_pid() AND state = 'idle in transaction' AND '{TARGET_DATE}'::date IS NOT NULL$$);
SELECT template_name, status, sqlstate, message
FROM _wh.wh_refresh(NULL, 'tenant_a', '2024-01-01', '2024-01-01', consistent => true) WHERE template_name LIKE 'pool%';
SELECT pg_temp.gone();

-- It takes two connections.
SELECT _wh.alter_tenant('tenant_a', max_connections => 1);
SELECT template_name, status, sqlstate, message FROM _wh.wh_refresh('pool_a', 'tenant_a', '2024-01-01', '2024-01-01', consistent => true);
SELECT error_detail, error_hint FROM _wh.v_recent_failures WHERE template_name = 'pool_a';
SELECT status FROM _wh.wh_refresh('pool_a', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT _wh.alter_tenant('tenant_a', max_connections => 2);

-- A call that ends in an error leaves no connection, whoever catches it: here
-- one waits idle while the other hangs.
SELECT _wh.alter_template('pool_b', query_template => $$SELECT 1 AS one FROM pg_sleep(CASE WHEN {TENANT} = 'tenant_b' THEN 3 ELSE 0 END)
                          WHERE '{TARGET_DATE}'::date IS NOT NULL$$);
SET statement_timeout = '1s';
DO $$
BEGIN
    PERFORM * FROM _wh.wh_refresh('pool_b', from_date => '2024-01-01', to_date => '2024-01-01');
EXCEPTION WHEN query_canceled THEN
    RAISE WARNING 'cancelled; gone: %', pg_temp.gone();
END $$;
RESET statement_timeout;

DROP VIEW seen;
SELECT _wh.drop_template(name, drop_data => true) ->> 'template' AS dropped FROM unnest('{pool_a,pool_b,pool_c}'::text[]) AS name;
SELECT _wh.alter_template('foodlogstats', enabled => true);
