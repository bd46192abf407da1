-- What a tenant allows: hours, bytes and seconds a day, units at a time, load.
\set VERBOSITY default
SET datestyle = 'ISO';
SELECT _wh.add_template('ad', $$SELECT id, logged_time, store FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz, store text', time_column => 'logged_time', tenants => '{tenant_a}');
CREATE FUNCTION pg_temp.go(options jsonb, workers integer DEFAULT 0) RETURNS TABLE (status text, sqlstate text, message text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM _wh.alter_tenant('tenant_a', options => options);
    RETURN QUERY SELECT r.status, r.sqlstate, r.message FROM _wh.wh_refresh('ad', 'tenant_a', '2024-01-01', '2024-01-01', parallel => workers) AS r;
END $$;

-- What can be said, and what cannot.
CREATE TEMP TABLE said (id serial, options jsonb);
INSERT INTO said (options) VALUES
    ('{}'), ('{"windows": "22:00-06:00"}'), ('{"windows": ["22:00-06:00", "12:00-13:30", "00:00-24:00"]}'),
    ('{"bytes_per_day": 999999999999999999, "seconds_per_day": 1, "min_free_slots": 3, "max_lag": "5 min", "max_xmin_age": 1000000}'),
    ('{"windows": []}'), ('{"windows": ["6:00-7:00"]}'), ('{"windows": ["06:00-06:00"]}'), ('{"windows": ["06:00-24:01"]}'), ('{"windows": ["24:00-06:00"]}'),
    ('{"windows": ["06:60-07:00"]}'), ('{"windows": ["06:00 07:00"]}'), ('{"windows": [6]}'), ('{"windows": {"from": "06:00"}}'), ('{"windows": null}'),
    ('{"max_lag": "-1 min"}'), ('{"max_lag": "0"}'), ('{"max_lag": "soon"}'), ('{"max_lag": 5}'), ('{"max_lag": "1 year 2 mons 3 days 4 hours"}'),
    ('{"bytes_per_day": 0}'), ('{"bytes_per_day": 1000000000000000000}'), ('{"seconds_per_day": "60"}'), ('{"max_xmin_age": 1.5}'), ('{"min_free_slot": 1}');
CREATE FUNCTION pg_temp.try(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    PERFORM _wh.alter_tenant('tenant_a', options => options);
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' ', sqlstate, sqlerrm || '.', detail, hint);
END $$;
\pset format unaligned
\pset tuples_only on
SELECT options, pg_temp.try(options) FROM said ORDER BY id;
\pset format aligned
\pset tuples_only off
SELECT _wh.alter_tenant('tenant_a', reset => '{options}');

-- Hours, in the tenant's zone: those that are and those that are not now, also
-- around midnight.
CREATE FUNCTION pg_temp.hours(from_hours integer, to_hours integer, zone text) RETURNS text LANGUAGE sql AS
$$SELECT to_char(now() AT TIME ZONE zone + from_hours * interval '1 hour', 'HH24:MI') || '-' || to_char(now() AT TIME ZONE zone + to_hours * interval '1 hour', 'HH24:MI')$$;
CREATE FUNCTION pg_temp.unclocked(text) RETURNS text LANGUAGE sql AS $$SELECT regexp_replace($1, '\d\d:\d\d', 'hh:mm', 'g')$$;
SELECT status, message FROM pg_temp.go(jsonb_build_object('windows', jsonb_build_array(pg_temp.hours(-1, 1, 'UTC'))));
SELECT status, message FROM pg_temp.go(jsonb_build_object('windows', jsonb_build_array(pg_temp.hours(-13, 1, 'UTC'))));
SELECT status, pg_temp.unclocked(message) FROM pg_temp.go(jsonb_build_object('windows', jsonb_build_array(pg_temp.hours(1, 2, 'UTC'), pg_temp.hours(3, 23, 'UTC'))));
SELECT status, pg_temp.unclocked(message) FROM pg_temp.go(jsonb_build_object('windows', pg_temp.hours(2, -2, 'UTC')));
SELECT _wh.alter_tenant('tenant_a', time_zone => 'Asia/Tokyo');
SELECT status, pg_temp.unclocked(message) FROM pg_temp.go(jsonb_build_object('windows', pg_temp.hours(-1, 1, 'UTC')));
SELECT status, message FROM pg_temp.go(jsonb_build_object('windows', pg_temp.hours(-1, 1, 'Asia/Tokyo')));
SELECT _wh.alter_tenant('tenant_a', time_zone => 'UTC');
-- A refusal is one row of the log, with its reason, and nothing was asked.
SELECT status, pg_temp.unclocked(error_message), sqlstate, fetch_ms FROM _wh.extract_runs WHERE template_name = 'ad' AND status = 'skipped' ORDER BY run_id LIMIT 1;
-- The functions say so, too; roll-ups ask no tenant.
SELECT pg_temp.try(jsonb_build_object('windows', pg_temp.hours(1, 2, 'UTC')));
SET client_min_messages = error;
SELECT _wh.update_mv_by_template('ad', 'tenant_a', '2024-01-01');
RESET client_min_messages;

-- Budgets: today's reading counts, of whatever template; yesterday's does not.
SELECT _wh.alter_tenant('tenant_a', reset => '{options}');
UPDATE _wh.extract_runs SET run_started_at = run_started_at - interval '2 days' WHERE tenant_name = 'tenant_a';
SELECT * FROM pg_temp.go('{"bytes_per_day": 1000000}');
SELECT status, regexp_replace(message, '^\d+', 'n') FROM pg_temp.go('{"bytes_per_day": 10}');
UPDATE _wh.extract_runs SET run_started_at = run_started_at - interval '2 days' WHERE tenant_name = 'tenant_a';
SELECT * FROM pg_temp.go('{"bytes_per_day": 10, "seconds_per_day": 5}');
UPDATE _wh.extract_runs SET bytes = 9, fetch_ms = 6000 WHERE tenant_name = 'tenant_a' AND run_started_at > now() - interval '1 day';
SELECT * FROM pg_temp.go('{"bytes_per_day": 10, "seconds_per_day": 5}');
SELECT * FROM pg_temp.go('{"bytes_per_day": 10, "seconds_per_day": 7}');
-- A run that failed took its time.
UPDATE _wh.extract_runs SET run_started_at = run_started_at - interval '2 days' WHERE tenant_name = 'tenant_a';
INSERT INTO _wh.extract_runs (template_name, tenant_name, table_name, status, run_started_at, run_finished_at)
VALUES ('ad', 'tenant_a', 'tenant_a.ad', 'failed', now() - interval '1 ms', now() + interval '30 s'),
       ('ad', 'tenant_a', 'tenant_a.ad', 'skipped', now() - interval '1 ms', now() + interval '3 hours');
SELECT * FROM pg_temp.go('{"seconds_per_day": 30}');
DELETE FROM _wh.extract_runs WHERE template_name = 'ad' AND (run_started_at < now() - interval '1 day' OR run_finished_at > now());

-- The load of the server is asked on the connection, before anything is read.
SELECT status, regexp_replace(message, '\d+ connection', 'n connection') FROM pg_temp.go('{"min_free_slots": 5000}');
SELECT * FROM pg_temp.go('{"min_free_slots": 2, "max_lag": "1 min", "max_xmin_age": 1000000000}');
SELECT status, message FROM _wh.wh_refresh('ad', 'tenant_a', '2024-01-01', '2024-01-03', parallel => 2);
-- By plain SQL it is an error.
SELECT _wh.alter_tenant('tenant_a', options => '{"min_free_slots": 5000}');
SET ROLE whadmin;
\set VERBOSITY sqlstate
REFRESH MATERIALIZED VIEW tenant_a.ad_2024_01_01;
\set VERBOSITY default
RESET ROLE;
SELECT count(*) FROM tenant_a.ad_2024_01_01;
-- It is no failure: nothing to mend, no breaker.
SELECT count(*) FROM _wh.v_recent_failures WHERE template_name = 'ad';
SELECT count(*) FROM _wh.v_breakers;
SELECT _wh.alter_tenant('tenant_a', reset => '{options}');

SELECT _wh.drop_template('ad', drop_data => true) ->> 'template' AS dropped;
