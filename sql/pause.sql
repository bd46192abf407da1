-- Scheduled work that stands still, by template, tenant, both or all.
\set VERBOSITY default
SET datestyle = 'ISO';
SELECT _wh.add_template('pa', $$SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz', time_column => 'logged_time');
SELECT _wh.add_template('pb', $$SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz', time_column => 'logged_time');
CREATE FUNCTION pg_temp.untimed(text) RETURNS text LANGUAGE sql AS
$$SELECT regexp_replace($1, 'since [-0-9]+ [0-9:]+[-+0-9A-Z ]+', 'since then')$$;
-- What a call did, by the log.
CREATE FUNCTION pg_temp.since(run bigint) RETURNS TABLE (template text, tenant text, kind text, status text, message text) LANGUAGE sql AS
$$SELECT template_name, tenant_name, kind, status, pg_temp.untimed(error_message) FROM _wh.extract_runs
  WHERE run_id > run AND template_name IN ('pa', 'pb') ORDER BY template_name, tenant_name, run_id$$;

SELECT _wh.pause('pa', 'tenant_a');
SELECT _wh.pause('pa', 'tenant_a');
SELECT template_name, tenant_name, paused_by = current_user AS by_me, paused_at = now() AS now FROM _wh.v_paused;

-- A job skips it, also when its command names it; somebody who asks for the
-- very pair gets it.
SELECT coalesce(max(run_id), 0) AS since FROM _wh.extract_runs \gset
CALL _wh.run_refresh('pa', NULL, '2024-01-01', '2024-01-01');
CALL _wh.run_refresh('pa', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT * FROM pg_temp.since(:since);
SELECT template_name, tenant_name, status, pg_temp.untimed(message) FROM _wh.wh_refresh('pa', NULL, '2024-01-01', '2024-01-01', parallel => 0);
SELECT template_name, tenant_name, status, pg_temp.untimed(message) FROM _wh.wh_refresh('pa', NULL, '2024-01-01', '2024-01-01', dry_run => true);
SELECT tenant_name, method, pg_temp.untimed(note) FROM _wh.wh_plan('pa', NULL, '2024-01-01', '2024-01-01');
SELECT template_name, tenant_name, status, message FROM _wh.wh_refresh('pa', 'tenant_a', '2024-01-01', '2024-01-01');
SELECT _wh.update_mv_by_template('pa', 'tenant_a', '2024-01-02');
SELECT r ->> 'loaded' AS loaded, r ->> 'skipped' AS skipped FROM _wh.rebuild_entire_warehouse('2024-01-03', '2024-01-03', templates => '{pa}') AS r;
-- Workers know who was named, too.
SELECT status FROM _wh.wh_refresh('pa', 'tenant_a', '2024-01-03', '2024-01-04', parallel => 2);

-- A tenant, with all templates; a template, with all tenants; everything.
SELECT _wh.pause(tenant => 'tenant_b');
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
CALL _wh.run_refresh('pb', NULL, '2024-01-01', '2024-01-01');
SELECT * FROM pg_temp.since(:since);
SELECT _wh.pause('pb');
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
CALL _wh.run_refresh('pb', NULL, '2024-01-01', '2024-01-01');
SELECT * FROM pg_temp.since(:since);
SELECT _wh.pause();
SELECT template_name, tenant_name FROM _wh.v_paused ORDER BY 1 NULLS LAST, 2 NULLS LAST;
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
CALL _wh.run_refresh('pa', 'tenant_b', '2024-01-01', '2024-01-01');
SELECT * FROM pg_temp.since(:since);

-- Roll-ups: a job's wait, one that is asked for by name does not.
SELECT _wh.alter_template('pa', options => '{"daily_retention": "1 day", "start_date": "2024-01-01"}');
SELECT status, count(*) FROM _wh.wh_refresh('pa', 'tenant_a', '2024-01-05', '2024-01-31') GROUP BY 1;
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
CALL _wh.run_rollup('pa', 'tenant_a');
SELECT * FROM pg_temp.since(:since);
SELECT r ->> 'status' AS status FROM _wh.wh_rollup('pa') AS r WHERE r ->> 'tenant' = 'tenant_a';
SELECT _wh.create_combined_table_from_template_by_month('pa', 'tenant_a', '2024-01-01') ->> 'status' AS status;

-- Who looks sees it.
SET ROLE wh_monitor;
SELECT template_name, tenant_name, paused_since IS NOT NULL AS paused FROM _wh.wh_status() WHERE template_name IN ('pa', 'pb') ORDER BY 1, 2;
SELECT h ->> 'pauses' AS pauses FROM _wh.wh_health() AS h;
SELECT line FROM regexp_split_to_table(_wh.wh_metrics(), E'\n') AS line WHERE line LIKE 'pg_warehouse_paused%"p_"%' ORDER BY 1;
SELECT _wh.wh_report_html() LIKE '%template pa, tenant tenant_a%paused%everything%' AS reported;
RESET ROLE;
UPDATE _wh.pauses SET paused_at = now() - interval '8 days' WHERE template_name = 'pa';
SELECT status, detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'pauses';

-- Going on: what names them; a wider one still holds.
SELECT _wh.resume('pa', 'tenant_a');
SELECT _wh.resume('pa', 'tenant_a');
SELECT _wh.resume(tenant => 'tenant_b');
SELECT template_name, tenant_name FROM _wh.v_paused ORDER BY 1 NULLS LAST, 2 NULLS LAST;
SELECT _wh.resume();
SELECT count(*) FROM _wh.v_paused;
SELECT _wh.resume();
SELECT max(run_id) AS since FROM _wh.extract_runs \gset
CALL _wh.run_refresh('pb', NULL, '2024-01-01', '2024-01-01');
SELECT * FROM pg_temp.since(:since);

-- Names that there are, and people who may; all of it in the audit log.
SELECT _wh.pause('nothing');
\echo :SQLSTATE
SELECT _wh.resume(tenant => 'nobody');
\echo :SQLSTATE
SET ROLE phood_ro;
SELECT _wh.pause();
\echo :SQLSTATE
SET ROLE whadmin;
SELECT _wh.pause('pa');
SELECT paused_by FROM _wh.v_paused;
DELETE FROM _wh.pauses;
\echo :SQLSTATE
RESET ROLE;
SELECT action, subject, detail, count(*) FROM _wh.audit_log WHERE action IN ('pause', 'resume') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3::text;

-- A pause goes with what it is for, and follows a new name.
SELECT _wh.add_tenant('tenant_p', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_a', 'wh_src', current_setting('port')::integer, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.pause(tenant => 'tenant_p');
SELECT _wh.rename_tenant('tenant_p', 'tenant_q');
SELECT template_name, tenant_name FROM _wh.v_paused ORDER BY 1, 2;
SELECT _wh.drop_tenant('tenant_q', drop_data => true) ->> 'tenant' AS dropped;
SELECT count(_wh.drop_template(name, drop_data => true)) FROM unnest('{pa,pb}'::text[]) AS name;
SELECT count(*) FROM _wh.v_paused;
