-- Syncs of outside services: one of a type at a time, lost only when nothing
-- is heard of it, and one log with our own runs.
\set VERBOSITY default
SET datestyle = 'ISO';
SET timezone = 'UTC';
CREATE FUNCTION pg_temp.tell(sql text) RETURNS text LANGUAGE plpgsql AS
$$ DECLARE d text; h text; BEGIN
    EXECUTE sql;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat_ws(E'\n', sqlstate || ' ' || sqlerrm, d, h), '(sync |sync\()\d+', '\1N', 'gi');
END $$;
CREATE ROLE wh_service;
GRANT USAGE ON SCHEMA _wh TO wh_service;
GRANT EXECUTE ON FUNCTION _wh.start_sync(text, jsonb, interval), _wh.update_sync_progress(bigint, bigint, timestamptz),
    _wh.complete_sync(bigint, bigint, timestamptz, jsonb), _wh.fail_sync(bigint, text, text), _wh.last_sync_time(text) TO wh_service;

-- Before the first sync there is nothing to go on from.
SELECT _wh.last_sync_time('main_submissions') IS NULL AS never;
SELECT count(*) FROM _wh.sync_status WHERE sync_type = 'main_submissions';

-- A service with a role of its own: granted single functions, no table.
SET ROLE wh_service;
SELECT _wh.start_sync('main_submissions', '{"service_instance": "odk-1", "form": "v3"}') AS a \gset
SELECT _wh.start_sync('person_details', '{"service_instance": "odk-1"}') AS b \gset
SELECT count(*) FROM _wh.extract_runs;
\echo :SQLSTATE
-- The second start is told whose sync runs.
SELECT pg_temp.tell($$SELECT _wh.start_sync('main_submissions')$$);
SELECT _wh.update_sync_progress(:a, 3, '2025-08-04 18:10:00+00');
RESET ROLE;
SELECT sync_type, last_sync_timestamp, last_success_at, last_sync_status, successful_sync_count, failed_sync_count, last_records_processed
FROM _wh.sync_status WHERE sync_type IN ('main_submissions', 'person_details') ORDER BY 1;
SELECT _wh.last_sync_time('main_submissions') IS NULL AS not_yet;
SELECT sync_type, status, records_processed, duration_seconds, sync_metadata, service_instance FROM _wh.sync_history WHERE id >= :a ORDER BY id;

-- Completed: the latest timestamp is the one that was given, or reported before.
SET ROLE wh_service;
SELECT _wh.complete_sync(:a, 5, metadata => '{"notes": "all"}');
SELECT _wh.last_sync_time('main_submissions');
SELECT _wh.complete_sync(:b, 498);
RESET ROLE;
SELECT last_sync_timestamp = last_attempt_timestamp AS from_its_start FROM _wh.sync_status WHERE sync_type = 'person_details';
SELECT sync_type, status, records_processed, duration_seconds >= 0 AS duration, error_message, sync_metadata, service_instance FROM _wh.sync_history WHERE id >= :a ORDER BY id;
SELECT status, rows_extracted, rows_loaded, kind FROM _wh.extract_runs WHERE run_id = :a;

-- A sync that says nothing of where it got to leaves that as it was.
SELECT _wh.start_sync('main_submissions') AS n \gset
SELECT _wh.complete_sync(:n, 0);
SELECT _wh.last_sync_time('main_submissions');

-- A service repeats its last word when the answer was lost on the way.
SELECT _wh.complete_sync(:a, 5);
SELECT pg_temp.tell(format($$SELECT _wh.fail_sync(%s, 'too late')$$, :a));
SELECT pg_temp.tell(format($$SELECT _wh.update_sync_progress(%s, 9)$$, :a));
SELECT _wh.complete_sync(0, 5);
\echo :SQLSTATE

-- Failed: counted, with its words; what was read before stays.
SELECT _wh.start_sync('main_submissions', '{"service_instance": "odk-2"}') AS c \gset
SELECT _wh.fail_sync(:c, 'Network timeout', 'network');
SELECT _wh.fail_sync(:c, 'Network timeout', 'network');
SELECT pg_temp.tell(format($$SELECT _wh.complete_sync(%s, 1)$$, :c));
SELECT sync_type, last_sync_timestamp, last_sync_status, last_error_message, successful_sync_count, failed_sync_count, last_records_processed
FROM _wh.sync_status WHERE sync_type = 'main_submissions';
SELECT table_name, error_message, error_category FROM _wh.v_recent_failures WHERE table_name = 'main_submissions';
SELECT _wh.start_sync('main_submissions') AS d \gset
SELECT _wh.complete_sync(:d, 0, '2025-08-05 00:00:00+00');
SELECT count(*) FROM _wh.v_recent_failures WHERE table_name = 'main_submissions';
SELECT service_instance ~ '^pg_regress/tracking/local/[0-9]+$' AS named FROM _wh.sync_history WHERE id = :d;

-- Lost only when it says nothing for as long as it promised.
SELECT _wh.start_sync('url_refresh', '{"service_instance": "slow"}', '1 hour') AS slow \gset
SELECT _wh.start_sync('image_processing', '{"service_instance": "dead"}', '1 millisecond') AS dead \gset
SELECT pg_sleep(0.01);
SELECT sync_type, last_sync_status, last_error_message FROM _wh.sync_status WHERE sync_type IN ('url_refresh', 'image_processing') ORDER BY 1;
SELECT status FROM _wh.extract_runs WHERE run_id = :dead;
-- Progress brings it back: nobody has taken its place.
UPDATE _wh.extract_runs SET expect_within = '1 hour' WHERE run_id = :dead;
SELECT _wh.update_sync_progress(:dead, 7);
SELECT last_sync_status FROM _wh.sync_status WHERE sync_type = 'image_processing';
-- The next start takes it.
UPDATE _wh.extract_runs SET expected_by = now() - interval '1 second' WHERE run_id = :dead;
SELECT _wh.start_sync('image_processing', '{"service_instance": "next"}') AS next \gset
SELECT status, error_message, error_hint FROM _wh.extract_runs WHERE run_id = :dead;
\set VERBOSITY terse
SELECT _wh.update_sync_progress(:dead, 8);
\set VERBOSITY default
SELECT status, rows_extracted FROM _wh.extract_runs WHERE run_id = :dead;
-- A late word wins, and does not turn back what the next one has read.
SELECT _wh.complete_sync(:next, 3, '2025-08-06 00:00:00+00');
SELECT _wh.complete_sync(:dead, 8, '2025-08-05 00:00:00+00');
SELECT sync_type, last_sync_timestamp, last_sync_status, successful_sync_count, failed_sync_count FROM _wh.sync_status WHERE sync_type = 'image_processing';
SELECT status, records_processed, service_instance FROM _wh.sync_history WHERE sync_type = 'image_processing' ORDER BY id;
SELECT _wh.fail_sync(:slow, 'S3: signature expired', 'storage');

-- Our own runs stand beside them, in the same words.
SELECT _wh.add_template('syncstats',
    $$SELECT id, logged_time FROM foodlogs WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz', tenants => '{tenant_a,tenant_b}');
SELECT sync_type, last_sync_timestamp, last_sync_status, successful_sync_count, watermark, breaker FROM _wh.sync_status
WHERE sync_type LIKE 'tenant_%.syncstats' ORDER BY 1;
SELECT status FROM _wh.wh_refresh('syncstats', 'tenant_a', '2024-01-01', '2024-01-01', parallel => 0);
SELECT sync_type, last_sync_timestamp IS NOT NULL AS at, last_success_at IS NOT NULL AS success, last_sync_status, successful_sync_count, last_records_processed
FROM _wh.sync_status WHERE sync_type LIKE 'tenant_%.syncstats' ORDER BY 1;
SELECT _wh.last_sync_time('tenant_a.syncstats') = max(as_of) AS as_of FROM _wh.slices WHERE tenant_name = 'tenant_a' AND template_name = 'syncstats';
SELECT sync_type, status, records_processed FROM _wh.sync_history WHERE sync_type = 'tenant_a.syncstats' ORDER BY id DESC LIMIT 1;
SELECT _wh.start_sync('tenant_a.syncstats');
\echo :SQLSTATE

-- Statistics: totals, and by type what a dashboard asks for.
CREATE TEMP TABLE stats AS SELECT _wh.wh_statistics() AS s;
SELECT (s ->> 'since')::timestamptz < now() - interval '23 hours' AS since,
       s -> 'totals' ->> 'avg_duration_ms' IS NOT NULL AS average FROM stats;
SELECT key, value - 'avg_duration_ms' AS value FROM stats, jsonb_each(s -> 'sync_types')
WHERE key IN ('main_submissions', 'image_processing', 'url_refresh', 'person_details') ORDER BY key;
SELECT sum((value ->> 'successful')::int) = (s -> 'totals' ->> 'successful')::int AS adds_up,
       (s -> 'totals' ->> 'success_rate')::numeric BETWEEN 0 AND 100 AS rate FROM stats, jsonb_each(s -> 'sync_types') GROUP BY s;
SELECT _wh.wh_statistics('0 seconds') - 'since' AS nothing;
SET ROLE wh_monitor;
SELECT _wh.wh_statistics('0 seconds') - 'since' AS nothing;
SELECT count(*) > 0 AS readable FROM _wh.sync_status, _wh.sync_history;
RESET ROLE;

-- Bad input.
SELECT _wh.start_sync('');
\echo :SQLSTATE
SELECT _wh.start_sync(NULL);
\echo :SQLSTATE
SELECT _wh.start_sync('x', '[1]');
\echo :SQLSTATE
SELECT _wh.start_sync('x', expect_within => '0');
\echo :SQLSTATE
SELECT _wh.update_sync_progress(NULL, 1);
\echo :SQLSTATE
SELECT _wh.complete_sync(12345, -1);
\echo :SQLSTATE
SELECT _wh.fail_sync(12345, 'x', 'weather');
\echo :SQLSTATE
SELECT _wh.fail_sync(12345, NULL);
\echo :SQLSTATE
SELECT count(*) FROM _wh.sync_history WHERE sync_type = 'x';

DELETE FROM _wh.extract_runs WHERE kind = 'sync';
SELECT _wh.drop_template('syncstats', drop_data => true) ->> 'template' AS dropped;
DROP OWNED BY wh_service;
DROP ROLE wh_service;
