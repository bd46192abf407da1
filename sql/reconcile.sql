-- Late data: days that are no longer what the source has are found and mended;
-- a source that purges erases nothing; what is loaded can be proved.
\set VERBOSITY default
\set warehouse :DBNAME
SET datestyle = 'ISO';
\c wh_tenant_a
CREATE TABLE late_src (id int PRIMARY KEY, at timestamptz NOT NULL, note text, amount numeric);
INSERT INTO late_src
SELECT i, timestamptz '2024-06-01 00:00+00' + i * interval '8 hours', 'note ' || i, i * 1.5 FROM generate_series(0, 14) AS i;
INSERT INTO late_src
SELECT 1000 + i, timestamptz '2024-06-06 00:00+00' + i * interval '5 minutes', 'big', i FROM generate_series(0, 199) AS i;
GRANT SELECT ON late_src TO wh_src;
\c :warehouse
SET datestyle = 'ISO';
SELECT _wh.add_template('late',
    $$SELECT id, at, note, amount FROM late_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id int, at timestamptz, note text, amount numeric',
    $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)$$,
    time_column => 'at', tenants => '{tenant_a}');

-- Bad arguments.
SELECT * FROM _wh.reconcile(NULL, 'tenant_a');
\echo :SQLSTATE
SELECT * FROM _wh.reconcile('nosuch', 'tenant_a');
\echo :SQLSTATE
SELECT * FROM _wh.reconcile('late', 'tenant_b');
\echo :SQLSTATE
SELECT * FROM _wh.reconcile('late', 'tenant_a', '2024-06-02', '2024-06-01');
\echo :SQLSTATE

-- A day that was never loaded differs; without fix nothing is done about it.
\set compare 'SELECT period_start, source_rows, local_rows, equal, action, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del, sqlstate, message FROM _wh.reconcile(''late'', ''tenant_a'', ''2024-06-01'', ''2024-06-06'''
:compare, fix => false);
SELECT count(*) FROM _wh.slices WHERE template_name = 'late';
:compare);
SELECT kind, status, count(*) FROM _wh.extract_runs WHERE template_name = 'late' GROUP BY 1, 2;

-- Equal days are left alone, and the ledger learns their hash and when they
-- were known to be right.
SELECT count(content_hash) AS known, max(as_of) AS latest FROM _wh.slices WHERE template_name = 'late' \gset
:compare);
SELECT :known AS before, count(content_hash) AS hashes, bool_and(content_hash LIKE 'h1:%') AS ours, bool_and(as_of > :'latest') AS later
FROM _wh.slices WHERE template_name = 'late';
SELECT count(*) FROM _wh.extract_runs WHERE template_name = 'late';

-- A row changed, one gone, one come: three days differ and are mended, each
-- row of the difference counted; the others are not read.
\c wh_tenant_a
UPDATE late_src SET note = 'changed' WHERE id = 1;
DELETE FROM late_src WHERE id = 4;
INSERT INTO late_src VALUES (99, '2024-06-03 12:00+00', 'late', 0);
\c :warehouse
SET datestyle = 'ISO';
:compare, fix => false);
:compare);
SELECT id, note FROM tenant_a.late WHERE id IN (1, 4, 99) ORDER BY 1;
SELECT period_start, content_hash IS NULL AS unknown FROM _wh.slices WHERE template_name = 'late' ORDER BY 1;
:compare);
SELECT kind, period_start, status, method, rows_extracted, rows_loaded, context ->> 'reason' AS reason
FROM _wh.extract_runs WHERE template_name = 'late' ORDER BY run_id DESC LIMIT 3;

-- A change that is no change: the same rows in another order.
\c wh_tenant_a
CREATE TABLE late_copy AS SELECT * FROM late_src ORDER BY id DESC;
TRUNCATE late_src;
INSERT INTO late_src SELECT * FROM late_copy;
DROP TABLE late_copy;
\c :warehouse
SET datestyle = 'ISO';
SELECT bool_and(equal) FROM _wh.reconcile('late', 'tenant_a', '2024-06-01', '2024-06-06');

-- A closed day with rows does not come back empty, a big one not much smaller:
-- whatever the verb, here or in a worker, the old rows stay.
\c wh_tenant_a
DELETE FROM late_src WHERE id < 3;
DELETE FROM late_src WHERE id >= 1000 AND id % 5 <> 0;
\c :warehouse
SET datestyle = 'ISO';
SELECT period_start, status, sqlstate, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-01', '2024-06-06', parallel => 0);
SELECT period_start, status, sqlstate FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-01', '2024-06-06');
SELECT status, sqlstate, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-06', '2024-06-06', method => 'refill');
SELECT _wh.update_mv_by_template('late', 'tenant_a', '2024-06-06');
SELECT r -> 'failed' AS failed, r -> 'days' -> 0 -> 'error' ->> 'hint' AS hint
FROM _wh.update_mv_window_by_template('late', 'tenant_a', '2024-06-01', '2024-06-01') AS r;
CALL _wh.run_refresh('late', 'tenant_a', '2024-06-06', '2024-06-06');
\echo :SQLSTATE
SELECT error_detail, error_category FROM _wh.v_recent_failures WHERE template_name = 'late' AND period_start = '2024-06-06' LIMIT 1;
UPDATE _wh.slices SET as_of = '2024-06-06 12:00+00' WHERE template_name = 'late' AND period_start >= '2024-06-06';
SELECT r -> 'loaded' AS loaded, r -> 'failed' AS failed FROM _wh.rebuild_entire_warehouse('2024-06-01', '2024-06-06', '{tenant_a}', '{late}') AS r;
:compare);
SELECT count(*) AS small, (SELECT count(*) FROM tenant_a.late_2024_06_06) AS big FROM tenant_a.late_2024_06_01;
SELECT day, state, row_count, reason FROM _wh.v_coverage
WHERE template_name = 'late' AND day BETWEEN '2024-06-01' AND '2024-06-06' ORDER BY 1;

-- Also where a new version of the template would replace the relation.
SELECT _wh.alter_template('late',
    query_template => $$SELECT id, at, note, amount, 1 AS one FROM late_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id int, at timestamptz, note text, amount numeric, one int');
SELECT status, sqlstate, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-06', '2024-06-06');
SELECT count(*) FROM tenant_a.late_2024_06_06;
SELECT _wh.alter_template('late',
    query_template => $$SELECT id, at, note, amount FROM late_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    column_definitions => 'id int, at timestamptz, note text, amount numeric');

-- How much is much is the template's to say; an empty day is always refused.
SELECT _wh.alter_template('late', options => '{"max_shrink": 0.9}');
SELECT status, rows_deleted FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-06', '2024-06-06');
SELECT _wh.alter_template('late', options => '{"max_shrink": 1}');
SELECT status, sqlstate FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-01', '2024-06-01');
\c wh_tenant_a
DELETE FROM late_src WHERE id = 14;
\c :warehouse
SET datestyle = 'ISO';
SELECT _wh.alter_template('late', options => '{"max_shrink": 0, "shrink_min_rows": 2}');
SELECT status, sqlstate, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-05', '2024-06-05');
SELECT _wh.alter_template('late', reset => '{options}');
SELECT status, rows, rows_deleted FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-05', '2024-06-05');

-- Those who mean it say so.
SELECT period_start, source_rows, local_rows, equal, action, rows_deleted
FROM _wh.reconcile('late', 'tenant_a', '2024-06-01', '2024-06-06', accept_shrink => true);
SELECT count(*) FROM tenant_a.late_2024_06_01;
SELECT count(*) FROM _wh.v_recent_failures WHERE template_name = 'late';

-- Frozen: not compared, not fetched, by no verb.
SELECT _wh.alter_template('late', options => '{"frozen": true}');
\c wh_tenant_a
UPDATE late_src SET note = 'thawed' WHERE id = 10;
\c :warehouse
SET datestyle = 'ISO';
:compare);
SELECT status, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', accept_shrink => true);
SELECT status FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', dry_run => true);
SELECT note FROM _wh.wh_plan('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT _wh.update_mv_by_template('late', 'tenant_a', '2024-06-04');
SELECT r -> 'skipped' AS skipped FROM _wh.update_mv_window_by_template('late', 'tenant_a', '2024-06-01', '2024-06-06') AS r;
SELECT count(*) FROM tenant_a.late WHERE note = 'thawed';
SELECT _wh.alter_template('late', reset => '{options}');
SELECT action FROM _wh.reconcile('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT count(*) FROM tenant_a.late WHERE note = 'thawed';

-- A day whose relation is gone, or empty of rows, by somebody's hand: what the
-- ledger knows of it is not forgotten for a source that has purged it.
\c wh_tenant_a
CREATE TABLE late_purged AS SELECT * FROM late_src WHERE at >= '2024-06-04 00:00+00' AND at < '2024-06-05 00:00+00';
DELETE FROM late_src WHERE id IN (SELECT id FROM late_purged);
\c :warehouse
SET datestyle = 'ISO';
REFRESH MATERIALIZED VIEW tenant_a.late_2024_06_04 WITH NO DATA;
SELECT status, sqlstate, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT relispopulated FROM pg_class WHERE oid = 'tenant_a.late_2024_06_04'::regclass;
DROP MATERIALIZED VIEW tenant_a.late_2024_06_04 CASCADE;
SELECT status, sqlstate, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT error_detail, error_hint, error_category FROM _wh.extract_runs WHERE template_name = 'late' ORDER BY run_id DESC LIMIT 1;
SELECT row_count > 0 AS known, to_regclass('tenant_a.late_2024_06_04') IS NULL AS gone
FROM _wh.slices WHERE template_name = 'late' AND tenant_name = 'tenant_a' AND period_start = '2024-06-04';
SELECT _wh.rebuild_entire_warehouse(lost_only => true, templates => '{late}') -> 'failed' AS failed;
SELECT status, rows FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', accept_shrink => true);
SELECT row_count FROM _wh.slices WHERE template_name = 'late' AND tenant_name = 'tenant_a' AND period_start = '2024-06-04';
DROP MATERIALIZED VIEW tenant_a.late_2024_06_04 CASCADE;
\c wh_tenant_a
INSERT INTO late_src SELECT * FROM late_purged;
DROP TABLE late_purged;
\c :warehouse
SET datestyle = 'ISO';
SELECT status, rows FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04');

-- Without a range: from the pair's first day to today.
SELECT min(period_start), max(period_start) = _wh.current_date_utc() AS today FROM _wh.reconcile('late', 'tenant_a', fix => false);

-- Proved: count and hash at the source, in the snapshot that was read, are
-- those of the stored rows; the ledger keeps the hash.
SELECT status, method, rows FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', prove => true);
DROP MATERIALIZED VIEW tenant_a.late_2024_06_04 CASCADE;
SELECT status, method, rows FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', prove => true);
SELECT status, method, rows FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', prove => true, method => 'refill');
SELECT period_start, status FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-02', '2024-06-04', prove => true);
SELECT content_hash LIKE 'h1:%' AS known FROM _wh.slices WHERE template_name = 'late' AND period_start = '2024-06-04';
SELECT status FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT content_hash IS NULL AS unknown FROM _wh.slices WHERE template_name = 'late' AND period_start = '2024-06-04';

-- A query that answers differently each time cannot be: the old rows stay.
SELECT _wh.alter_template('late', query_template =>
    $$SELECT id, at, note, random()::numeric AS amount FROM late_src WHERE at >= {DAY_START} AND at < {DAY_END}$$);
SELECT status, sqlstate, message FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', prove => true);
SELECT error_detail, error_hint, error_category FROM _wh.extract_runs WHERE template_name = 'late' ORDER BY run_id DESC LIMIT 1;
SELECT count(*) FROM tenant_a.late_2024_06_04 WHERE amount < 1;
SELECT status, method FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT count(*) FROM tenant_a.late_2024_06_04 WHERE amount < 1;
SELECT _wh.alter_template('late', query_template =>
    $$SELECT id, at, note, amount FROM late_src WHERE at >= {DAY_START} AND at < {DAY_END}$$);

-- A day of a roll-up is compared, mended, proved and guarded inside its table.
SELECT _wh.create_combined_table_from_template_by_month('late', 'tenant_a', '2024-06-01', allow_gaps => true) ->> 'status' AS status;
SELECT period_start, source_rows, local_rows, equal, action FROM _wh.reconcile('late', 'tenant_a', '2024-06-02', '2024-06-06');
\c wh_tenant_a
UPDATE late_src SET note = 'in the month' WHERE id = 7;
DELETE FROM late_src WHERE id IN (5, 10);
\c :warehouse
SET datestyle = 'ISO';
SELECT period_start, source_rows, local_rows, equal, action, rows_inserted AS ins, rows_updated AS upd, rows_deleted AS del
FROM _wh.reconcile('late', 'tenant_a', '2024-06-02', '2024-06-06');
SELECT period_start, bool_and(equal) FROM _wh.reconcile('late', 'tenant_a', '2024-06-02', '2024-06-06') WHERE NOT equal GROUP BY 1;
SELECT status, method, rows FROM _wh.wh_refresh('late', 'tenant_a', '2024-06-04', '2024-06-04', prove => true);
\c wh_tenant_a
CREATE TABLE late_purged AS SELECT * FROM late_src WHERE at >= '2024-06-04 00:00+00' AND at < '2024-06-05 00:00+00';
DELETE FROM late_src WHERE id IN (SELECT id FROM late_purged);
\c :warehouse
SET datestyle = 'ISO';
SELECT period_start, source_rows, local_rows, action, sqlstate, message FROM _wh.reconcile('late', 'tenant_a', '2024-06-04', '2024-06-04');
\c wh_tenant_a
INSERT INTO late_src SELECT * FROM late_purged;
DROP TABLE late_purged;
\c :warehouse
SET datestyle = 'ISO';
SELECT equal, action FROM _wh.reconcile('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT _wh.alter_template('late', reset => '{time_column}');
SELECT equal, action, sqlstate, message FROM _wh.reconcile('late', 'tenant_a', '2024-06-04', '2024-06-04');
SELECT _wh.alter_template('late', time_column => 'at');
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%late%';

-- The tenant is down: a failed row per day, one row of the log, nothing lost.
SELECT _wh.alter_tenant('tenant_a', port => 1);
SELECT period_start, source_rows, local_rows, equal, action, run_id IS NOT NULL AS logged, sqlstate
FROM _wh.reconcile('late', 'tenant_a', '2024-06-02', '2024-06-03');
SELECT kind, period_start, status, sqlstate, error_category FROM _wh.extract_runs WHERE template_name = 'late' ORDER BY run_id DESC LIMIT 1;
SELECT _wh.alter_tenant('tenant_a', port => current_setting('port')::integer);
SELECT action FROM _wh.reconcile('late', 'tenant_a', '2024-06-02', '2024-06-03');

-- A job compares closed days by itself at the ages of recheck_days, each once.
\c wh_tenant_a
INSERT INTO late_src
SELECT 10000 + i, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - (i || ' days')::interval, 'recent', i
FROM generate_series(1, 12) AS i;
\c :warehouse
SET datestyle = 'ISO';
SELECT _wh.alter_template('late', options => '{"recheck_days": [2, 8]}');
SELECT count(*) FROM _wh.wh_refresh('late', 'tenant_a', _wh.current_date_utc() - 12, _wh.current_date_utc());
SELECT max(run_id) AS last_run FROM _wh.extract_runs \gset
CALL _wh.run_refresh('late', 'tenant_a');
SELECT count(*) FROM _wh.extract_runs WHERE run_id > :last_run AND kind = 'reconcile';
-- As if all had been read just after they closed.
UPDATE _wh.slices SET as_of = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'late' AND period_start > '2024-12-31';
UPDATE _wh.extract_runs SET run_started_at = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'late' AND period_start > '2024-12-31';
\c wh_tenant_a
UPDATE late_src SET note = 'came late' WHERE id IN (10001, 10002, 10003, 10009);
\c :warehouse
SET datestyle = 'ISO';
SELECT coalesce(max(run_id), 0) AS last_run FROM _wh.extract_runs \gset
CALL _wh.run_refresh('late', 'tenant_a');
SELECT _wh.current_date_utc() - period_start - 1 AS age, kind, status, method, rows_extracted, rows_updated, rows_unchanged, context ->> 'reason' AS reason
FROM _wh.extract_runs WHERE template_name = 'late' AND run_id > :last_run ORDER BY period_start DESC, run_id;
SELECT id FROM tenant_a.late WHERE note = 'came late' ORDER BY 1;
SELECT max(run_id) AS last_run FROM _wh.extract_runs \gset
CALL _wh.run_refresh('late', 'tenant_a');
SELECT _wh.current_date_utc() - period_start AS age, kind FROM _wh.extract_runs WHERE template_name = 'late' AND run_id > :last_run ORDER BY 1;
-- What it must not replace is told, does not fail the job, and is not tried
-- again at that age; one that could not be asked is.
UPDATE _wh.slices SET as_of = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'late' AND period_start = _wh.current_date_utc() - 9;
UPDATE _wh.extract_runs SET run_started_at = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'late' AND period_start > '2024-12-31';
\c wh_tenant_a
DELETE FROM late_src WHERE id = 10009;
\c :warehouse
SET datestyle = 'ISO';
SELECT max(run_id) AS last_run FROM _wh.extract_runs \gset
\set VERBOSITY terse
CALL _wh.run_refresh('late', 'tenant_a');
CALL _wh.run_refresh('late', 'tenant_a');
\set VERBOSITY default
SELECT _wh.current_date_utc() - period_start - 1 AS age, kind, status, sqlstate FROM _wh.extract_runs
WHERE template_name = 'late' AND run_id > :last_run AND kind = 'reconcile' ORDER BY run_id;
SELECT count(*) FROM tenant_a.late WHERE id = 10009;
SELECT state FROM _wh.v_table_freshness WHERE template_name = 'late';
-- None is wanted.
SELECT _wh.alter_template('late', options => '{"recheck_days": []}');
UPDATE _wh.slices SET as_of = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'late' AND period_start > '2024-12-31';
UPDATE _wh.extract_runs SET run_started_at = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'late' AND period_start > '2024-12-31';
SELECT max(run_id) AS last_run FROM _wh.extract_runs \gset
CALL _wh.run_refresh('late', 'tenant_a');
SELECT count(*) FROM _wh.extract_runs WHERE run_id > :last_run AND kind = 'reconcile';

-- The same inside a roll-up, whose days have no clock of their own.
SELECT (date_trunc('month', _wh.current_date_utc()::timestamp) - interval '1 month')::date AS first \gset
\c wh_tenant_a
INSERT INTO late_src SELECT 20000 + i, :'first'::timestamp AT TIME ZONE 'UTC' + i * interval '1 day', 'rolled', i FROM generate_series(0, 2) AS i;
\c :warehouse
SET datestyle = 'ISO';
SELECT _wh.alter_template('late', options => format('{"recheck_days": [%s]}', _wh.current_date_utc() - :'first'::date - 3)::jsonb);
SELECT status, count(*) FROM _wh.wh_refresh('late', 'tenant_a', :'first', :'first'::date + 2) GROUP BY 1;
SELECT _wh.create_combined_table_from_template_by_month('late', 'tenant_a', :'first', allow_gaps => true) ->> 'status' AS status;
UPDATE _wh.extract_runs SET run_started_at = (period_start + 1)::timestamp AT TIME ZONE 'UTC' WHERE template_name = 'late' AND kind <> 'rollup' AND period_start > '2024-12-31';
\c wh_tenant_a
UPDATE late_src SET note = 'came late' WHERE id = 20001;
\c :warehouse
SET datestyle = 'ISO';
SELECT max(run_id) AS last_run FROM _wh.extract_runs \gset
CALL _wh.run_refresh('late', 'tenant_a');
SELECT period_start - :'first'::date AS day, kind, status, method, rows_extracted, rows_updated, rows_unchanged FROM _wh.extract_runs
WHERE template_name = 'late' AND run_id > :last_run AND period_start BETWEEN :'first' AND :'first'::date + 2 ORDER BY 1;
SELECT id FROM tenant_a.late WHERE note = 'came late' AND id > 20000;
SELECT max(run_id) AS last_run FROM _wh.extract_runs \gset
CALL _wh.run_refresh('late', 'tenant_a');
SELECT count(*) FROM _wh.extract_runs WHERE run_id > :last_run AND kind = 'reconcile';
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%late%';

SELECT _wh.drop_template('late', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'late';

-- Every type by the text that is hashed.  A day holds one row; at the flip of
-- a switch the source has it with one value changed, another one each day, so
-- every day must be found, and none before or after.
\c wh_tenant_a
CREATE TYPE late_mood AS ENUM ('sad', 'happy');
CREATE TYPE late_pair AS (a float8, b text);
CREATE TABLE late_switch (variants boolean);
INSERT INTO late_switch VALUES (false);
CREATE TABLE late_values (n int GENERATED ALWAYS AS IDENTITY, type text, declared text, base text, other text);
INSERT INTO late_values (type, base, other) VALUES
    ('smallint', '1', '2'), ('integer', '-1', '1'), ('bigint', '9007199254740993', '9007199254740992'),
    ('numeric', '1.5', '1.50'), ('numeric', '1e-20', '0'), ('numeric', 'NaN', '0'), ('numeric(10,2)', '1.25', '1.24'),
    ('real', '0.1', '0.10000001'), ('double precision', '0.1', '0.10000000000000002'),
    ('double precision', '0', '-0'), ('double precision', 'Infinity', '-Infinity'), ('money', '1.25', '1.26'),
    ('boolean', 'true', 'false'), ('text', 'a', 'a '), ('text', '', NULL), ('text', 'é', 'e'), ('text', E'a\\b''c,NULL', E'a\\b''c'),
    ('varchar(20)', 'abc', 'abd'), ('char(5)', 'ab', 'ac'), ('"char"', 'a', 'b'), ('name', 'n', 'm'),
    ('bytea', '\x00ff', '\x00fe'), ('date', '2024-02-29', '2024-03-01'), ('date', 'infinity', '-infinity'),
    ('time', '10:00:00.000001', '10:00:00.000002'), ('timetz', '10:00+01', '10:00+02'),
    ('timestamp', '2024-01-01 00:00:00.000001', '2024-01-01 00:00:00'), ('timestamp(3)', '2024-01-01 00:00:00.001', '2024-01-01 00:00:00.002'),
    ('timestamptz', '2024-01-01 00:00+00', '2024-01-01 00:00+01'), ('timestamptz', '0044-03-15 00:00+00 BC', '0044-03-15 00:00+00'),
    ('interval', '1 mon', '30 days'), ('interval', '1 day', '24:00:00'), ('uuid', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002'),
    ('json', '{"a": 1}', '{"a":1}'), ('jsonb', '{"a": 1.0}', '{"a": 1.00}'), ('inet', '10.0.0.1/8', '10.0.0.1'), ('cidr', '10.0.0.0/8', '10.0.0.0/9'),
    ('macaddr', '08:00:2b:01:02:03', '08:00:2b:01:02:04'), ('macaddr8', '08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03:04:06'),
    ('bit(4)', '0101', '0100'), ('varbit', '01', '010'), ('xml', '<a/>', '<a></a>'),
    ('point', '(0.1,2)', '(0.10000000000000002,2)'), ('line', '{1,2,3}', '{1,2,4}'), ('lseg', '[(0,0),(1,1)]', '[(0,0),(1,2)]'),
    ('box', '(1,1),(0,0)', '(1,2),(0,0)'), ('path', '[(0,0),(1,1)]', '((0,0),(1,1))'), ('polygon', '((0,0),(1,1))', '((0,0),(1,2))'),
    ('circle', '<(0,0),1>', '<(0,0),2>'), ('tsvector', '''a'':1', '''a'':2'), ('tsquery', '''a'' & ''b''', '''a'' | ''b'''),
    ('int4range', '[1,5)', '[1,6)'), ('numrange', '[1.0,2.0]', '[1.0,2.0)'), ('tstzrange', '[2024-01-01 00:00+00,)', '(2024-01-01 00:00+00,)'),
    ('daterange', 'empty', '[2024-01-01,2024-01-02)'), ('int4multirange', '{[1,2),[5,6)}', '{[1,2)}'),
    ('integer[]', '{1,2}', '{2,1}'), ('integer[]', '{1,2}', '[0:1]={1,2}'), ('text[]', '{NULL}', '{"NULL"}'), ('text[]', '{a,b}', '{"a,b"}'),
    ('double precision[]', '{0.1}', '{0.10000000000000002}'), ('numeric(5,1)[]', '{1.5}', '{1.6}'), ('timestamptz[]', '{"2024-01-01 00:00+00"}', '{"2024-01-01 00:00+01"}'),
    ('pg_lsn', '0/1', '0/2'), ('oid', '1', '2'), ('late_mood', 'sad', 'happy'), ('late_pair', '(0.1,x)', '(0.1,y)'), ('late_pair', '(,"")', '(,)');
-- Columns that are neighbours, so that values can change places; and each null.
INSERT INTO late_values (type, base, other) VALUES ('text', 'ab', 'a'), ('text', 'c', 'bc');
UPDATE late_values SET declared = CASE WHEN type LIKE 'late%' THEN 'text' ELSE type END;
SELECT count(*) AS n FROM late_values \gset
DO $$
DECLARE columns text; base text; one record;
BEGIN
    SELECT string_agg(format('c%s %s', n, type), ', ' ORDER BY n), string_agg(format('%L', v.base), ', ' ORDER BY n)
    INTO columns, base FROM late_values v;
    EXECUTE format('CREATE TABLE late_types (variant int PRIMARY KEY, %s)', columns);
    FOR i IN 0 .. 2 * (SELECT count(*) FROM late_values) LOOP
        EXECUTE format('INSERT INTO late_types VALUES (%s, %s)', i, base);
    END LOOP;
    FOR one IN SELECT * FROM late_values LOOP
        EXECUTE format('UPDATE late_types SET c%s = %L WHERE variant = %s', one.n, one.other, one.n);
        EXECUTE format('UPDATE late_types SET c%s = NULL WHERE variant = %s', one.n, one.n + (SELECT count(*) FROM late_values));
    END LOOP;
END $$;
-- The same letters, cut elsewhere.
UPDATE late_types SET c69 = 'a', c70 = 'bc' WHERE variant = :n;
GRANT SELECT ON late_types, late_switch TO wh_src;
SELECT string_agg(format('c%s', n), ', ' ORDER BY n) AS names, string_agg(format('c%s %s', n, declared), ', ' ORDER BY n) AS definitions,
       count(*) AS columns FROM late_values \gset
SELECT :columns AS columns;
\c :warehouse
SELECT format('SELECT %s FROM late_types WHERE variant = CASE WHEN (SELECT variants FROM late_switch) THEN ''{TARGET_DATE}''::date - date ''2023-01-01'' ELSE 0 END', :'names') AS query \gset
SELECT _wh.add_template('late_types', :'query', :'definitions', tenants => '{tenant_a}');
SELECT 2 * :n AS days, to_char(date '2023-01-01' + 1, 'YYYY-MM-DD') AS first, to_char(date '2023-01-01' + 2 * :n, 'YYYY-MM-DD') AS last \gset
SELECT status, message, count(*) = :days AS all FROM _wh.wh_refresh('late_types', 'tenant_a', :'first', :'last', prove => true) GROUP BY 1, 2;
-- What a session here shows values like must not matter.
SET timezone = 'Asia/Kolkata';
SET datestyle = 'German';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = 0;
SET bytea_output = 'escape';
SELECT equal, count(*) = :days AS all FROM _wh.reconcile('late_types', 'tenant_a', :'first', :'last') GROUP BY 1;
\c wh_tenant_a
UPDATE late_switch SET variants = true;
\c :warehouse
CREATE TEMP TABLE late_found AS SELECT * FROM _wh.reconcile('late_types', 'tenant_a', :'first', :'last');
SELECT equal, action, rows_inserted, rows_deleted, count(*) = :days AS all FROM late_found GROUP BY 1, 2, 3, 4;
SELECT period_start - date '2023-01-01' AS variant FROM late_found WHERE equal;
SELECT equal, count(*) = :days AS all FROM _wh.reconcile('late_types', 'tenant_a', :'first', :'last') GROUP BY 1;
SELECT _wh.drop_template('late_types', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'late_types';
\c wh_tenant_a
DROP TABLE late_src, late_types, late_switch, late_values;
DROP TYPE late_mood, late_pair;
