-- The archive in a folder: what is kept of a run, how it is read by others and
-- loaded again, and what becomes of a run when it cannot be kept.
\set VERBOSITY default
SET datestyle = 'ISO';
SET timezone = 'UTC';
\set warehouse :DBNAME
CREATE DATABASE wh_arc_source;
\c wh_arc_source
CREATE TABLE goods (id integer PRIMARY KEY, at timestamptz NOT NULL, day date, name text, code char(4), price numeric(12,3), share double precision,
    ok boolean, tags text[], doc jsonb, raw bytea, took interval, small smallint, big bigint);
INSERT INTO goods VALUES
    (1, '2024-05-01 10:00:00.123456+00', '2024-05-01', 'plain', 'ab', 1.5, 0.1, true, '{a,"b,c"}', '{"a": [1, "x\"y"]}', '\x00ff', '1 mon -2 days 03:04:05', 1, 9223372036854775807),
    (2, '2024-05-01 11:00+00', 'infinity', 'a,b', '', 'NaN', 'Infinity', false, '{}', 'null', '', '0', -1, -1),
    (3, '2024-05-01 12:00+00', NULL, 'say "no"', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, '2024-05-01 13:00+00', '0044-03-15 BC', E'two\nlines', 'x', -0.001, 1e-300, true, '{NULL,"NULL"}', '{}', '\x0a', '-1 year', 0, 0),
    (5, '2024-05-01 14:00+00', '2024-05-01', E'\\.', 'y', 0, '-0', true, NULL, '[]', '\x5c', '00:00:00.000001', 0, 0),
    (6, '2024-05-01 15:00+00', '2024-05-01', '', 'z', 0, 3.14159265358979, true, NULL, '[]', '\x22', '1 day', 0, 0),
    (7, '2024-05-01 16:00+00', '2024-05-01', E'\r', 'NULL', 0, 2, true, NULL, '[]', '\x2c', '1 day', 0, 0),
    (8, '2024-05-01 17:00+00', '2024-05-01', 'grüße ☃', 'ü', 0, 2, true, NULL, '"ü"', '\x', '1 day', 0, 0);
INSERT INTO goods (id, at, name) SELECT 1000 + i, timestamptz '2024-05-02 00:00+00' + i * interval '1 minute', 'good ' || i FROM generate_series(1, 1000) AS i;
CREATE TABLE word (word text);
INSERT INTO word VALUES ('one'), (''), (NULL), ('\.'), ('\N'), ('"');
CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text);
INSERT INTO events SELECT i, timestamptz '2024-05-01 00:00+00' + i * interval '1 hour', 'event ' || i FROM generate_series(1, 50) AS i;
CREATE INDEX ON events (at);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO wh_src;
\c :warehouse
SET timezone = 'UTC';
SELECT _wh.add_tenant('shop/ü', host, 'wh_arc_source', 'wh_src', port, sslmode => sslmode, auth_method => auth_method, schema_name => 'arc')
FROM _wh.tenant_connections WHERE tenant_name = 'tenant_a';
CREATE FUNCTION add_arc(template text, query text, columns text, kind text DEFAULT 'daily', time_column name DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
SELECT _wh.add_template(template, query, columns, materialization => kind, time_column => time_column, tenants => '{shop/ü}',
    key_columns => CASE kind WHEN 'incremental' THEN '{id}'::name[] END, watermark_column => CASE kind WHEN 'incremental' THEN 'at' END,
    options => '{"archive": true}' || more) $$;
SELECT add_arc('goods', 'SELECT id, at, day, name, code, price, share, ok, tags, doc, raw, took, small, big FROM goods WHERE at >= {DAY_START} AND at < {DAY_END} ORDER BY id',
    'id integer, at timestamptz, day date, name text, code char(4), price numeric(12,3), share double precision, ok boolean, tags text[], doc jsonb, raw bytea, took interval, small smallint, big bigint',
    'daily', 'at');
SELECT add_arc('words', 'SELECT word FROM word', 'word text', 'snapshot');
SELECT add_arc('events', 'SELECT id, at, note FROM events', 'id bigint, at timestamptz, note text', 'incremental');
SELECT add_arc('must', 'SELECT word FROM word', 'word text', 'snapshot', more => '{"archive_required": true}');
CREATE VIEW arc_runs AS SELECT kind, template_name AS template, status, attempt, rows_extracted AS rows, rows_loaded AS loaded,
    regexp_replace(csv_path, '\d{8}T\d{6}Z_\d{9}', 'TIME_RUN') AS csv_path, csv_bytes > 0 AS bytes, length(csv_sha256) AS sha, sqlstate, error_category AS category,
    context - 'reason' AS context
FROM _wh.extract_runs WHERE tenant_name = 'shop/ü' ORDER BY run_id;
GRANT SELECT ON arc_runs TO PUBLIC;

-- No archive: the rows are loaded or not, as the template wants it.
SELECT status, rows, message FROM _wh.wh_refresh('words', 'shop/ü');
SELECT status, sqlstate, message FROM _wh.wh_refresh('must', 'shop/ü');
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'must';
SELECT * FROM arc_runs;
SELECT status, detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'archive';
SELECT to_regclass('arc.must') AS must;

-- A folder that cannot be one.
SELECT regexp_replace(current_setting('data_directory'), '/[^/]*$', '/wh archive') AS archive \gset
ALTER SYSTEM SET pg_warehouse.archive_directory = 'relative/path';
SELECT pg_reload_conf();
\c -
SELECT status, detail FROM _wh.wh_doctor() WHERE check_name = 'archive';
SELECT current_setting('data_directory') || '/base/../global' AS inside \gset
ALTER SYSTEM SET pg_warehouse.archive_directory = :'inside';
SELECT pg_reload_conf();
\c -
SELECT status, replace(detail, current_setting('data_directory'), 'DATA') AS detail FROM _wh.wh_doctor() WHERE check_name = 'archive';
ALTER SYSTEM SET pg_warehouse.archive_directory = :'archive';
SELECT pg_reload_conf();
\c -
SELECT status, replace(detail, :'archive', 'ARCHIVE') AS detail FROM _wh.wh_doctor() WHERE check_name = 'archive';
SET ROLE whadmin;
SHOW pg_warehouse.archive_directory;
SET pg_warehouse.archive_directory = '/tmp';
RESET ROLE;

-- A folder that is one.
COPY (SELECT WHERE false) TO PROGRAM 'mkdir -m 700 "../wh archive"';
SELECT status, detail FROM _wh.wh_doctor() WHERE check_name = 'archive';
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -5;
SET ROLE whadmin;
SELECT period_start = '2024-05-01' AS first, status, method, rows FROM _wh.wh_refresh('goods', 'shop/ü', '2024-05-01', '2024-05-03') ORDER BY period_start;
SELECT status, method, rows FROM _wh.wh_refresh('words', 'shop/ü');
SELECT status, method, rows FROM _wh.wh_refresh('must', 'shop/ü');
SELECT status, method, rows FROM _wh.wh_refresh('events', 'shop/ü');
SELECT status, method, rows FROM _wh.wh_refresh('events', 'shop/ü');
RESET ROLE;
RESET extra_float_digits;
RESET intervalstyle;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT * FROM arc_runs;

-- Others can read it: the same rows, the sum that the log has, nothing readable
-- by other users of the machine.
CREATE TABLE arc.again (LIKE arc.goods_2024_05_01);
SELECT format('zstd -dc "%s/%s"', :'archive', csv_path) AS unpack FROM _wh.extract_runs WHERE template_name = 'goods' AND period_start = '2024-05-01' \gset
COPY arc.again FROM PROGRAM :'unpack' (FORMAT csv, HEADER match);
SELECT count(*) FROM arc.again;
(TABLE arc.again EXCEPT ALL TABLE arc.goods_2024_05_01) UNION ALL (TABLE arc.goods_2024_05_01 EXCEPT ALL TABLE arc.again);
CREATE TABLE arc_lines (line text);
SELECT :'unpack' || ' | tr "\r" "#"' AS unpack_lines \gset
COPY arc_lines FROM PROGRAM :'unpack_lines' (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02');
SELECT line FROM arc_lines;
SELECT csv_sha256 = encode(sha256(pg_read_binary_file(format('%s/%s', :'archive', csv_path))), 'hex') AS sum,
    csv_bytes = (pg_stat_file(format('%s/%s', :'archive', csv_path))).size AS bytes
FROM _wh.extract_runs WHERE csv_path IS NOT NULL ORDER BY run_id;
CREATE TABLE arc.files (file text);
COPY arc.files FROM PROGRAM 'cd "../wh archive" && find . -mindepth 1 -printf "%M %P\n" | sed "s/20[0-9]*T[0-9]*Z_[0-9]*/TIME_RUN/" | LC_ALL=C sort -k 2';
TABLE arc.files;

-- One column: what would be read as the end, or as NULL, is not.
CREATE TABLE arc.word_again (word text);
SELECT format('zstd -dc "%s/%s"', :'archive', csv_path) AS unpack FROM _wh.extract_runs WHERE template_name = 'words' AND csv_path IS NOT NULL \gset
COPY arc.word_again FROM PROGRAM :'unpack' (FORMAT csv, HEADER match);
(TABLE arc.word_again EXCEPT ALL TABLE arc.words) UNION ALL (TABLE arc.words EXCEPT ALL TABLE arc.word_again);
SELECT count(*), count(word) FROM arc.word_again;
DROP TABLE arc.again, arc.word_again;

-- A refresh that finds most rows as they are stored archives all of them.
\c wh_arc_source
UPDATE goods SET name = 'changed' WHERE id IN (1, 1500);
\c :warehouse
SET timezone = 'UTC';
SELECT status, method, rows, rows_updated, rows_unchanged FROM _wh.wh_refresh('goods', 'shop/ü', '2024-05-02', '2024-05-02');
SELECT format('zstd -dc "%s/%s" | wc -l', :'archive', csv_path) AS unpack FROM _wh.extract_runs WHERE template_name = 'goods' ORDER BY run_id DESC LIMIT 1 \gset
TRUNCATE arc_lines;
COPY arc_lines FROM PROGRAM :'unpack';
SELECT line::integer FROM arc_lines;

-- A delta that goes over to a refill in the middle of the stream archives all
-- rows, too, and so does a day inside a month's table; both are loaded again.
\c wh_arc_source
INSERT INTO goods (id, at, name) SELECT 10000 + i, timestamptz '2024-05-04 00:00+00' + i * interval '1 second', 'many ' || i FROM generate_series(1, 3000) AS i;
\c :warehouse
SET timezone = 'UTC';
SELECT add_arc('rolled', 'SELECT id, at, name FROM goods WHERE at >= {DAY_START} AND at < {DAY_END}', 'id integer, at timestamptz, name text', 'daily', 'at', '{"start_date": "2024-05-04"}');
SELECT status, method, rows FROM _wh.wh_refresh('goods', 'shop/ü', '2024-05-04', '2024-05-04');
SELECT status, rows FROM _wh.wh_refresh('rolled', 'shop/ü', '2024-05-04', '2024-05-04');
SELECT _wh.create_combined_table_from_template_by_month('rolled', 'shop/ü', '2024-05-01', allow_gaps => true) -> 'status' AS status;
\c wh_arc_source
UPDATE goods SET name = 'changed ' || id WHERE id > 10000;
\c :warehouse
SET timezone = 'UTC';
SELECT status, method, rows, rows_deleted FROM _wh.wh_refresh('goods', 'shop/ü', '2024-05-04', '2024-05-04');
SELECT status, method, rows, rows_deleted FROM _wh.wh_refresh('rolled', 'shop/ü', '2024-05-04', '2024-05-04');
SELECT template_name, count(*), count(csv_path) AS archived, sum(rows_extracted) AS rows FROM _wh.extract_runs
WHERE template_name IN ('goods', 'rolled') AND period_start = '2024-05-04' GROUP BY 1 ORDER BY 1;
SELECT _wh.replay(min(run_id)) - '{run_id,replays,template,tenant}'::text[] AS replayed FROM _wh.extract_runs WHERE period_start = '2024-05-04' AND csv_path IS NOT NULL GROUP BY template_name ORDER BY template_name;
SELECT count(*) FILTER (WHERE name LIKE 'many%') FROM arc.goods_2024_05_04 UNION ALL SELECT count(*) FILTER (WHERE name LIKE 'many%') FROM arc.rolled_2024_05;
SELECT format('zstd -dc "%s/%s"', :'archive', csv_path) AS unpack FROM _wh.extract_runs WHERE template_name = 'goods' AND period_start = '2024-05-04' AND kind = 'refresh' ORDER BY run_id DESC LIMIT 1 \gset
TRUNCATE arc_lines;
COPY arc_lines FROM PROGRAM :'unpack' (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02');
SELECT count(*), count(DISTINCT line), count(*) FILTER (WHERE line LIKE '%changed%') AS changed FROM arc_lines;

-- Loaded again: a day in place of what is stored, the whole, and by key.
CREATE FUNCTION replay(which bigint) RETURNS jsonb LANGUAGE sql AS $$ SELECT _wh.replay(which) - '{run_id,replays}'::text[] $$;
SELECT min(run_id) AS first_run FROM _wh.extract_runs WHERE template_name = 'goods' AND period_start = '2024-05-02' \gset
SELECT replay(:first_run);
SELECT name FROM arc.goods_2024_05_02 WHERE id = 1500;
SELECT method, row_count, template_version, (SELECT kind FROM _wh.extract_runs AS r WHERE r.run_id = s.run_id) AS kind FROM _wh.slices AS s
WHERE template_name = 'goods' AND period_start = '2024-05-02';
SELECT replay(run_id) FROM _wh.extract_runs WHERE template_name = 'words' AND csv_path IS NOT NULL;
SELECT last_extracted_at AS mark FROM _wh.extract_watermarks WHERE template_name = 'events' \gset
SET ROLE whadmin;
DELETE FROM arc.events WHERE id <= 10;
UPDATE arc.events SET note = 'spoilt' WHERE id = 11;
RESET ROLE;
SELECT replay(run_id) FROM _wh.extract_runs WHERE template_name = 'events' AND csv_path IS NOT NULL;
SELECT count(*), count(*) FILTER (WHERE note = 'event ' || id) AS good FROM arc.events;
SELECT last_extracted_at = :'mark' AS same FROM _wh.extract_watermarks WHERE template_name = 'events';
SELECT kind, status, rows, loaded, context - 'replays' AS context FROM arc_runs WHERE kind = 'replay';
-- A replay can be replayed.
SELECT replay(max(run_id)) FROM _wh.extract_runs WHERE template_name = 'words' AND kind = 'replay';

-- What cannot be loaded again.
SELECT _wh.replay(0);
SELECT max(run_id) AS empty_run FROM _wh.extract_runs WHERE template_name = 'goods' AND period_start = '2024-05-03' \gset
\set VERBOSITY sqlstate
SELECT _wh.replay(:empty_run);
SET client_min_messages = error;
SELECT csv_path, format('%s/%s', :'archive', csv_path) AS file FROM _wh.extract_runs WHERE run_id = :first_run \gset
SELECT format('mv "%s" "%s.aside"', :'file', :'file') AS aside, format('mv "%s.aside" "%s"', :'file', :'file') AS back,
    format('cp "%s" "%s.aside"; printf x >> "%s"', :'file', :'file', :'file') AS spoil \gset
COPY (SELECT WHERE false) TO PROGRAM :'aside';
SELECT replay(:first_run) #>> '{error,sqlstate}' AS missing;
COPY (SELECT WHERE false) TO PROGRAM :'back';
COPY (SELECT WHERE false) TO PROGRAM :'spoil';
SELECT replay(:first_run) #>> '{error,sqlstate}' AS spoilt;
COPY (SELECT WHERE false) TO PROGRAM :'back';
SELECT replay(:first_run) ->> 'status' AS status;
SELECT _wh.alter_template('goods', column_definitions => 'id integer, at timestamptz, name text', query_template => 'SELECT id, at, name FROM goods WHERE at >= {DAY_START} AND at < {DAY_END}');
SELECT replay(:first_run) #>> '{error,sqlstate}' AS other_columns;
SET ROLE whadmin;
DROP TABLE arc.events;
SELECT replay(run_id) #>> '{error,sqlstate}' AS gone FROM _wh.extract_runs WHERE template_name = 'events' AND csv_path IS NOT NULL AND kind = 'refresh';
RESET ROLE;
SELECT status, rows FROM _wh.wh_refresh('events', 'shop/ü');
SELECT regexp_replace(error_message, 'run \d+', 'run N') AS message, regexp_replace(regexp_replace(replace(error_detail, :'archive', 'ARCHIVE'), '[0-9a-f]{64}', 'SUM', 'g'), '\d{8}T\d{6}Z_\d{9}', 'TIME_RUN') AS detail, error_hint AS hint, error_category AS category
FROM _wh.extract_runs WHERE kind = 'replay' AND status = 'failed' ORDER BY run_id;
RESET client_min_messages;
\set VERBOSITY default

-- A path that leads elsewhere is none.
BEGIN;
UPDATE _wh.extract_runs SET csv_path = 'processed/../../secret' WHERE run_id = :first_run;
SET pg_warehouse.max_workers = 0;
SELECT replay(:first_run) -> 'error' -> 'sqlstate' AS elsewhere;
ROLLBACK;

-- A day that nobody can read any more comes back as it was; its source has
-- purged it.
SELECT status, rows FROM _wh.wh_refresh('goods', 'shop/ü', '2024-05-01', '2024-05-02');
\c wh_arc_source
DELETE FROM goods;
\c :warehouse
SET timezone = 'UTC';
SET ROLE whadmin;
REFRESH MATERIALIZED VIEW arc.goods_2024_05_02 WITH NO DATA;
RESET ROLE;
SELECT subject, problem FROM _wh.wh_check() WHERE subject LIKE 'arc.%';
SELECT _wh.rebuild_entire_warehouse(lost_only => true, templates => '{goods}') - 'duration_ms' AS rebuilt;
SELECT count(*), count(*) FILTER (WHERE name = 'changed') AS changed FROM arc.goods_2024_05_02;
SELECT kind, status, rows, context - 'replays' AS context FROM arc_runs WHERE template = 'goods' AND context ? 'replays' AND kind = 'refresh';

-- What has been kept long enough goes, and the log knows it; nothing else does.
SELECT count(*) AS kept FROM _wh.extract_runs WHERE csv_path ^@ 'processed/' AND template_name = 'goods' \gset
SELECT _wh.alter_template('goods', options => '{"archive": true, "archive_retention": "10 days"}');
UPDATE _wh.extract_runs SET run_started_at = run_started_at - interval '11 days' WHERE run_id = :first_run;
CALL _wh.run_maintenance();
SELECT count(*) - :kept AS gone FROM _wh.extract_runs WHERE csv_path ^@ 'processed/' AND template_name = 'goods';
SELECT csv_path FROM _wh.extract_runs WHERE run_id = :first_run;
SELECT pg_stat_file(:'file', true) IS NULL AS gone;
SELECT table_name, status, rows_deleted FROM _wh.extract_runs WHERE table_name = 'maintenance.archive';

-- The log keeps what the archive has, however old.
UPDATE _wh.extract_runs SET run_started_at = run_started_at - interval '1000 days' WHERE template_name = 'words';
CALL _wh.run_maintenance();
SELECT count(*) FROM _wh.extract_runs WHERE template_name = 'words' AND csv_path IS NOT NULL;

-- With a tenant goes all that the archive has of it, but not what is others'.
COPY (SELECT WHERE false) TO PROGRAM 'mkdir -p "../wh archive/processed/other/goods" && touch "../wh archive/processed/other/goods/20240501T000000Z_000000001.csv.zst"';
DROP TABLE arc.files;
SELECT _wh.drop_tenant('shop/ü', drop_data => true, dry_run => true) -> 'archived' AS archived;
SELECT _wh.drop_tenant('shop/ü', drop_data => true) -> 'archived' AS archived;
CREATE TABLE public.arc_files (file text);
COPY arc_files FROM PROGRAM 'cd "../wh archive" && find . -type f -printf "%P\n"';
TABLE arc_files;
DROP TABLE arc_files;
ALTER SYSTEM RESET pg_warehouse.archive_directory;
SELECT pg_reload_conf();
COPY (SELECT WHERE false) TO PROGRAM 'rm -r "../wh archive"';
SELECT count(_wh.drop_template(name, drop_data => true)) FROM unnest('{goods,words,events,must,rolled}'::text[]) AS name;
DROP VIEW arc_runs;
DROP TABLE arc_lines;
DROP FUNCTION add_arc, replay;
DROP DATABASE wh_arc_source;
