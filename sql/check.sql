-- What is kept and how right it is: wh_check(), v_coverage, v_storage.
\set VERBOSITY default
\set warehouse :DBNAME
SET datestyle = 'ISO';
\c wh_tenant_a
CREATE TABLE check_src (id int PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO check_src SELECT i, timestamptz '2024-09-01 00:00+00' + i * interval '4 hours' FROM generate_series(0, 29) AS i;
GRANT SELECT ON check_src TO wh_src;
\c :warehouse
SET datestyle = 'ISO';
SELECT _wh.add_template('check', $$SELECT id, at FROM check_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id int, at timestamptz', $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)$$,
    time_column => 'at', tenants => '{tenant_a}', options => '{"view_layout": "union"}');
SELECT status, count(*) FROM _wh.wh_refresh('check', from_date => '2024-09-01', to_date => '2024-09-05', prove => true) GROUP BY 1;
\set check 'SELECT * FROM _wh.wh_check() WHERE subject LIKE ''%check%'' OR invariant = ''run'' ORDER BY 1, 2, 3;'
:check

-- A plain REFRESH passes the ledger by, and is told apart from lost rows: by
-- count, by content where it is known, and when it changes rows in place.
\c wh_tenant_a
DELETE FROM check_src WHERE id = 0;
UPDATE check_src SET id = 106 WHERE id = 6;
UPDATE check_src SET id = 112 WHERE id = 12;
\c :warehouse
SET datestyle = 'ISO';
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.check_2024_09_01;
REFRESH MATERIALIZED VIEW tenant_a.check_2024_09_02;
REFRESH MATERIALIZED VIEW CONCURRENTLY tenant_a.check_2024_09_03;
REFRESH MATERIALIZED VIEW tenant_a.check_2024_09_04;
RESET ROLE;
:check
-- Comparing with the source finds them equal, and the ledger learns of it.
SELECT period_start, equal, action FROM _wh.reconcile('check', 'tenant_a', '2024-09-01', '2024-09-05');
:check
-- After a refill too, whose rows were written by a later subtransaction.
SELECT status, method FROM _wh.wh_refresh('check', 'tenant_a', '2024-09-02', '2024-09-02', method => 'refill');
:check
UPDATE _wh.slices SET row_count = 7 WHERE template_name = 'check' AND period_start = '2024-09-02';
UPDATE _wh.slices SET content_hash = 'h1:0000000000000000' WHERE template_name = 'check' AND period_start = '2024-09-03';
-- A hash of a kind that is not known says nothing.
UPDATE _wh.slices SET content_hash = 'h0:0' WHERE template_name = 'check' AND period_start = '2024-09-04';
:check
SELECT count(*) FROM _wh.wh_check(deep => false) WHERE subject LIKE '%check%';
SELECT status FROM _wh.wh_refresh('check', 'tenant_a', '2024-09-02', '2024-09-04');
:check

-- Relations that are gone, unpopulated, nobody's or somebody else's.
ALTER MATERIALIZED VIEW tenant_a.check_2024_09_01 RENAME TO check_aside;
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW tenant_a.check_2024_09_02 WITH NO DATA;
RESET ROLE;
ALTER MATERIALIZED VIEW tenant_a.check_2024_09_03 OWNER TO wh_src;
:check
SELECT day, state, reason FROM _wh.v_coverage WHERE template_name = 'check' AND day BETWEEN '2024-09-01' AND '2024-09-06' ORDER BY 1;
ALTER MATERIALIZED VIEW tenant_a.check_aside RENAME TO check_2024_09_01;
ALTER MATERIALIZED VIEW tenant_a.check_2024_09_03 OWNER TO whadmin;
SELECT status FROM _wh.wh_refresh('check', 'tenant_a', '2024-09-02', '2024-09-02');
:check
CREATE TABLE check_ledger AS SELECT * FROM _wh.slices WHERE template_name = 'check' AND period_start = '2024-09-05';
DELETE FROM _wh.slices WHERE template_name = 'check' AND period_start = '2024-09-05';
:check
INSERT INTO _wh.slices SELECT * FROM check_ledger;
DROP TABLE check_ledger;
CREATE TABLE check_kept AS SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conrelid = '_wh.slices'::regclass AND contype = 'x';
SELECT conname, definition FROM check_kept \gset
ALTER TABLE _wh.slices DROP CONSTRAINT :"conname";
INSERT INTO _wh.slices (template_name, tenant_name, period_kind, period_start, period_end, relation_schema, relation_name, state, row_count)
SELECT template_name, tenant_name, 'month', '2024-09-01', '2024-10-01', relation_schema, relation_name, state, row_count
FROM _wh.slices WHERE template_name = 'check' AND period_start = '2024-09-01';
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%check%' AND invariant = 'once' ORDER BY 1, 2, 3;
DELETE FROM _wh.slices WHERE template_name = 'check' AND period_kind = 'month';
ALTER TABLE _wh.slices ADD CONSTRAINT :"conname" :definition;
DROP TABLE check_kept;

-- Views that show less, or more, or are gone.
CREATE TABLE check_other (n int);
GRANT SELECT ON check_other TO whadmin;
SET ROLE whadmin;
CREATE OR REPLACE VIEW tenant_a."check" AS SELECT id, at FROM tenant_a.check_2024_09_01 UNION ALL SELECT n, now() FROM check_other;
RESET ROLE;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%check%' AND invariant = 'view' ORDER BY 1, 2, 3;
DROP VIEW public."check";
SELECT * FROM _wh.wh_check() WHERE subject = 'public.check';
DROP VIEW tenant_a."check";
DROP TABLE check_other;
SELECT status FROM _wh.wh_refresh('check', 'tenant_a', '2024-09-01', '2024-09-01');
:check

-- A view of the other layout finds its slices by itself, and may show no more.
SELECT _wh.alter_template('check', options => '{"view_layout": "expand"}');
:check
CREATE TABLE check_other (id int, at timestamptz);
GRANT SELECT ON check_other TO whadmin;
SET ROLE whadmin;
CREATE OR REPLACE VIEW tenant_a."check" AS SELECT id, at FROM check_other;
RESET ROLE;
SELECT invariant, subject, count(*) FROM _wh.wh_check() WHERE subject LIKE '%check%' GROUP BY 1, 2;
SELECT _wh.update_tenant_union_view_by_template('check', 'tenant_a');
DROP TABLE check_other;
:check

-- A table of days that the ledger lost, by whatever name; not one of a user's.
SELECT _wh.add_template('check_rolled', $$SELECT id, at FROM check_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id int, at timestamptz', time_column => 'at', tenants => '{tenant_a}');
SELECT status, count(*) FROM _wh.wh_refresh('check_rolled', from_date => '2024-09-01', to_date => '2024-09-05') GROUP BY 1;
SELECT _wh.create_combined_table_from_template_by_month('check_rolled', 'tenant_a', '2024-09-01', allow_gaps => true) ->> 'status' AS status;
:check
CREATE TABLE check_ledger AS SELECT * FROM _wh.slices WHERE template_name = 'check_rolled';
DELETE FROM _wh.slices WHERE template_name = 'check_rolled';
SET ROLE whadmin;
CREATE TABLE tenant_a.check_rolled_2024_10 (id int, at timestamptz);
COMMENT ON TABLE tenant_a.check_rolled_2024_10 IS 'Template "check_rolled" of tenant "tenant_a", made by hand';
RESET ROLE;
:check
INSERT INTO _wh.slices SELECT * FROM check_ledger;
ALTER TABLE tenant_a.check_rolled_2024_09 RENAME TO check_aside;
:check
ALTER TABLE tenant_a.check_aside RENAME TO check_rolled_2024_09;
:check
DROP TABLE check_ledger, tenant_a.check_rolled_2024_10;
SELECT jsonb_array_length(_wh.drop_template('check_rolled') -> 'kept') AS kept;
:check
DROP TABLE tenant_a.check_rolled_2024_09;

-- A run whose backend is gone.
INSERT INTO _wh.extract_runs (kind, template_name, tenant_name, period_start, backend_pid)
VALUES ('refresh', 'check', 'tenant_a', '2024-09-01', 0);
SELECT invariant, problem FROM _wh.wh_check() WHERE invariant = 'run';
SELECT status FROM _wh.wh_refresh('check', 'tenant_a', '2024-09-01', '2024-09-01');
:check

-- Kept on purpose is no orphan.
SELECT jsonb_array_length(_wh.drop_template('check') -> 'kept') AS kept;
:check
DROP MATERIALIZED VIEW tenant_a.check_2024_09_01, tenant_a.check_2024_09_02, tenant_a.check_2024_09_03, tenant_a.check_2024_09_04, tenant_a.check_2024_09_05;
DELETE FROM _wh.extract_runs WHERE template_name = 'check';

-- Coverage: every day of the pair from its start to its own today, in the
-- tenant's zone; what was never loaded is missing.
SELECT _wh.add_template('check', $$SELECT id, at FROM check_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id int, at timestamptz', time_column => 'at');
SELECT tenant_name, day = _wh.current_date_utc() AS today, state, reason FROM _wh.v_coverage WHERE template_name = 'check' ORDER BY 1;
SELECT _wh.alter_tenant('tenant_b', time_zone => 'Pacific/Kiritimati');
SELECT _wh.alter_template('check', options => '{"start_date": "2024-09-01"}');
SELECT tenant_name, min(day) AS first, max(day) = (now() AT TIME ZONE CASE tenant_name WHEN 'tenant_b' THEN 'Pacific/Kiritimati' ELSE 'UTC' END)::date AS today,
       count(*) = max(day) - min(day) + 1 AS each_day_once
FROM _wh.v_coverage WHERE template_name = 'check' GROUP BY 1 ORDER BY 1;
SELECT _wh.alter_tenant('tenant_b', time_zone => 'UTC');
SELECT count(*) FROM _wh.wh_refresh('check', 'tenant_a', '2024-09-02', '2024-09-03');
SELECT count(*) FROM _wh.wh_refresh('check', 'tenant_a', _wh.current_date_utc() - 1, _wh.current_date_utc());
-- Read while it was open, closed since, and older than what is fresh.
UPDATE _wh.slices SET as_of = '2024-09-02 12:00+00' WHERE template_name = 'check' AND period_start = '2024-09-02';
UPDATE _wh.slices SET as_of = '2024-09-03 12:00+00', last_refresh = '2024-09-03 12:00+00' WHERE template_name = 'check' AND period_start = '2024-09-03';
SELECT day, state, row_count, as_of IS NOT NULL AS as_of, reason FROM _wh.v_coverage
WHERE template_name = 'check' AND tenant_name = 'tenant_a' AND day BETWEEN '2024-09-01' AND '2024-09-04' ORDER BY 1;
SELECT _wh.current_date_utc() - day AS age, state, reason FROM _wh.v_coverage
WHERE template_name = 'check' AND tenant_name = 'tenant_a' AND day >= _wh.current_date_utc() - 2 ORDER BY 1;
-- A roll-up covers its days.
DELETE FROM _wh.slices WHERE template_name = 'check' AND period_start = '2024-09-02';
DROP MATERIALIZED VIEW tenant_a.check_2024_09_02 CASCADE;
UPDATE _wh.slices SET period_kind = 'month', period_start = '2024-09-01', period_end = '2024-10-01' WHERE template_name = 'check' AND period_start = '2024-09-03';
SELECT min(day), max(day), state, reason, count(*) FROM _wh.v_coverage
WHERE template_name = 'check' AND tenant_name = 'tenant_a' AND day BETWEEN '2024-08-30' AND '2024-10-02' GROUP BY 3, 4 ORDER BY 1;
-- Storage: what the ledger holds, by kind, as it lies on the disk.
SELECT _wh.drop_template('check', drop_data => true) ->> 'template' AS dropped;
SELECT _wh.add_template('check', $$SELECT id, at FROM check_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id int, at timestamptz', $$CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)$$, tenants => '{tenant_a}');
SELECT count(*) FROM _wh.wh_refresh('check', 'tenant_a', '2024-09-02', '2024-09-03');
SELECT template_name, tenant_name, period_kind, relations, rows,
       total_bytes = pg_total_relation_size('tenant_a.check_2024_09_02') + pg_total_relation_size('tenant_a.check_2024_09_03') AS total,
       index_bytes = pg_indexes_size('tenant_a.check_2024_09_02') + pg_indexes_size('tenant_a.check_2024_09_03') AS indexes
FROM _wh.v_storage WHERE template_name = 'check';
SET ROLE wh_monitor;
SELECT count(*) FROM _wh.v_storage WHERE template_name = 'check';
SELECT count(*) > 0 AS rows FROM _wh.v_coverage WHERE template_name = 'check';
SELECT * FROM _wh.wh_check();
\echo :SQLSTATE
RESET ROLE;

SELECT _wh.drop_template('check', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'check';
\c wh_tenant_a
DROP TABLE check_src;
