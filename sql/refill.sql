-- New files, the same relation: everything that is known of it stays, every
-- kind of index is built anew and finds what the old one found.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE refill_src (id integer, at timestamptz DEFAULT '2024-06-01 12:00+00', note text, tags text[], spot point, span int4range, big text);
INSERT INTO refill_src (id, note, tags, spot, span, big)
SELECT i, 'note ' || i % 50, ARRAY['tag' || i % 7, 'tag' || i % 11], point(i % 100, i / 100), int4range(i, i + 10),
       CASE WHEN i % 100 = 0 THEN (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 200) AS j) END
FROM generate_series(1, 2000) AS i;
GRANT SELECT ON refill_src TO wh_src;
\c :warehouse
SELECT _wh.add_template('refill',
    $$SELECT id, at, note, tags, spot, span, big FROM refill_src WHERE at >= {DAY_START} AND at < {DAY_END}$$,
    'id integer, at timestamptz, note text, tags text[], spot point, span int4range, big text',
    $$CREATE UNIQUE INDEX {view_name}_btree ON {schema}.{view_name} (id) INCLUDE (note);
      CREATE INDEX {view_name}_hash ON {schema}.{view_name} USING hash (note);
      CREATE INDEX {view_name}_gin ON {schema}.{view_name} USING gin (tags);
      CREATE INDEX {view_name}_gist ON {schema}.{view_name} USING gist (span);
      CREATE INDEX {view_name}_brin ON {schema}.{view_name} USING brin (at);
      CREATE INDEX {view_name}_spgist ON {schema}.{view_name} USING spgist (spot);
      CREATE INDEX {view_name}_partial ON {schema}.{view_name} (note) WHERE id % 2 = 0;
      CREATE INDEX {view_name}_expr ON {schema}.{view_name} (upper(note))$$,
    time_column => 'at', tenants => '{tenant_a}');
SELECT status, method FROM _wh.wh_refresh('refill', 'tenant_a', '2024-06-01', '2024-06-01');
\set slice tenant_a.refill_2024_06_01

-- What people gave it.
SET ROLE whadmin;
COMMENT ON MATERIALIZED VIEW :slice IS 'mine';
COMMENT ON COLUMN :slice.note IS 'mine, too';
GRANT SELECT ON :slice TO wh_monitor;
CREATE VIEW tenant_a.refill_user AS SELECT id, note FROM :slice;
ALTER MATERIALIZED VIEW :slice ALTER COLUMN note SET STATISTICS 17;
ALTER MATERIALIZED VIEW :slice SET (fillfactor = 70);
ALTER MATERIALIZED VIEW :slice CLUSTER ON refill_2024_06_01_btree;
RESET ROLE;

\c wh_tenant_a
UPDATE refill_src SET note = 'other ' || id % 40, tags = tags || ARRAY['new'], big = big || 'x';
\c :warehouse
\set slice tenant_a.refill_2024_06_01
CREATE TEMP TABLE before AS
SELECT c.oid, c.relname, c.relkind, c.relfilenode, c.reltablespace, c.relacl, c.reloptions, c.reltoastrelid, c.relreplident
FROM pg_class c WHERE c.oid = :'slice'::regclass OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = :'slice'::regclass)
   OR c.oid IN (SELECT reltoastrelid FROM pg_class WHERE oid = :'slice'::regclass)
   OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = :'slice'::regclass));
CREATE TEMP TABLE statistics_before AS SELECT attname, n_distinct, null_frac FROM pg_stats WHERE tablename = 'refill_2024_06_01';
CALL _wh.run_refresh('refill', 'tenant_a', '2024-06-01', '2024-06-01');
SELECT method, rows_inserted, rows_deleted, lock_ms >= 0 AS lock_ms, context ->> 'reason' AS reason
FROM _wh.extract_runs WHERE template_name = 'refill' ORDER BY run_id DESC LIMIT 1;

-- All files are new, all else is as it was.
SELECT CASE WHEN b.relname LIKE 'pg_toast%' THEN 'toast' ELSE b.relname END AS relation, b.relkind,
       b.relfilenode <> c.relfilenode AS new_file,
       (b.relname, b.reltablespace, b.relacl, b.reloptions, b.reltoastrelid, b.relreplident) IS NOT DISTINCT FROM
       (c.relname, c.reltablespace, c.relacl, c.reloptions, c.reltoastrelid, c.relreplident) AS kept
FROM before b JOIN pg_class c USING (oid) ORDER BY b.relkind, b.relname COLLATE "C";
SELECT obj_description(:'slice'::regclass, 'pg_class') AS comment, col_description(:'slice'::regclass, 3) AS column_comment,
       has_table_privilege('wh_monitor', :'slice', 'SELECT') AS granted,
       (SELECT attstattarget FROM pg_attribute WHERE attrelid = :'slice'::regclass AND attname = 'note') AS target,
       (SELECT indisclustered FROM pg_index WHERE indexrelid = 'tenant_a.refill_2024_06_01_btree'::regclass) AS clustered;
SELECT count(*) FROM tenant_a.refill_user;
SELECT count(*) FROM (TABLE statistics_before EXCEPT SELECT attname, n_distinct, null_frac FROM pg_stats WHERE tablename = 'refill_2024_06_01') AS lost;
SELECT relallvisible = relpages AS all_visible, reltuples,
       relpages = (SELECT count(DISTINCT (ctid::text::point)[0]) FROM :slice) AS no_page_is_empty
FROM pg_class WHERE oid = :'slice'::regclass;
SELECT count(*) FROM pg_class WHERE relname LIKE 'refill%.%' OR relname LIKE 'pg_temp%';

-- Sound, and every index finds what it should.
CREATE EXTENSION amcheck;
SELECT * FROM verify_heapam(:'slice');
SELECT indexrelid::regclass AS index, bt_index_check(indexrelid, true)
FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE indrelid = :'slice'::regclass AND amname = 'btree' ORDER BY c.relname COLLATE "C";
SELECT bt_index_check(indexrelid, true) FROM pg_index
WHERE indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = :'slice'::regclass);
SET enable_seqscan = off;
SELECT count(*) FROM :slice WHERE id BETWEEN 100 AND 200;
SELECT count(*) FROM :slice WHERE note = 'other 3';
SELECT count(*) FROM :slice WHERE tags @> ARRAY['tag3', 'new'];
SELECT count(*) FROM :slice WHERE span && int4range(500, 510);
SELECT count(*) FROM :slice WHERE at = '2024-06-01 12:00+00';
SELECT count(*) FROM :slice WHERE spot <@ box '((0,0),(10,5))';
SELECT count(*) FROM :slice WHERE note = 'other 4' AND id % 2 = 0;
SELECT count(*) FROM :slice WHERE upper(note) = 'OTHER 5';
RESET enable_seqscan;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SET enable_indexonlyscan = off;
SELECT count(*) FROM :slice WHERE id BETWEEN 100 AND 200;
SELECT count(*) FROM :slice WHERE note = 'other 3';
SELECT count(*) FROM :slice WHERE tags @> ARRAY['tag3', 'new'];
SELECT count(*) FROM :slice WHERE span && int4range(500, 510);
SELECT count(*) FROM :slice WHERE at = '2024-06-01 12:00+00';
SELECT count(*) FROM :slice WHERE spot <@ box '((0,0),(10,5))';
SELECT count(*) FROM :slice WHERE note = 'other 4' AND id % 2 = 0;
SELECT count(*) FROM :slice WHERE upper(note) = 'OTHER 5';
RESET ALL;

-- Long values came through, and the next refresh finds all of it unchanged.
SELECT count(big), sum(length(big)), md5(string_agg(big, '' ORDER BY id)) FROM :slice;
\c wh_tenant_a
SELECT count(big), sum(length(big)), md5(string_agg(big, '' ORDER BY id)) FROM refill_src;
\c :warehouse
SELECT method, rows_inserted, rows_deleted, rows_unchanged FROM _wh.wh_refresh('refill', 'tenant_a', '2024-06-01', '2024-06-01');

-- A delta keeps every kind of index up.
\c wh_tenant_a
UPDATE refill_src SET id = id + 5000, note = 'delta', tags = '{delta}', at = '2024-06-01 23:00+00', spot = point(-1, -1), span = int4range(90000, 90010) WHERE id IN (3, 1000);
DELETE FROM refill_src WHERE id = 6;
\c :warehouse
SELECT method, rows_inserted, rows_updated, rows_deleted FROM _wh.wh_refresh('refill', 'tenant_a', '2024-06-01', '2024-06-01');
SET enable_seqscan = off;
SELECT count(*) FILTER (WHERE kind = 'btree') AS btree, count(*) FILTER (WHERE kind = 'hash') AS hash, count(*) FILTER (WHERE kind = 'gin') AS gin,
       count(*) FILTER (WHERE kind = 'gist') AS gist, count(*) FILTER (WHERE kind = 'brin') AS brin, count(*) FILTER (WHERE kind = 'spgist') AS spgist,
       count(*) FILTER (WHERE kind = 'partial') AS partial, count(*) FILTER (WHERE kind = 'expr') AS expr
FROM (SELECT 'btree' AS kind FROM :slice WHERE id IN (3, 6, 1000, 5003, 6000)
      UNION ALL SELECT 'hash' FROM :slice WHERE note = 'delta'
      UNION ALL SELECT 'gin' FROM :slice WHERE tags @> '{delta}'
      UNION ALL SELECT 'gist' FROM :slice WHERE span && int4range(90000, 90001)
      UNION ALL SELECT 'brin' FROM :slice WHERE at = '2024-06-01 23:00+00'
      UNION ALL SELECT 'spgist' FROM :slice WHERE spot <@ box '((-2,-2),(-1,-1))'
      UNION ALL SELECT 'partial' FROM :slice WHERE note = 'delta' AND id % 2 = 0
      UNION ALL SELECT 'expr' FROM :slice WHERE upper(note) = 'DELTA') AS found;
RESET enable_seqscan;
SELECT * FROM verify_heapam(:'slice');
SELECT count(bt_index_check(indexrelid, true)) AS checked FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE indrelid = :'slice'::regclass AND amname = 'btree';

-- A duplicate key found by the new index: the old rows and files stay.
\c wh_tenant_a
INSERT INTO refill_src SELECT * FROM refill_src WHERE id = 5;
UPDATE refill_src SET note = 'again';
\c :warehouse
SELECT pg_relation_filenode('tenant_a.refill_2024_06_01') AS node \gset
SELECT status, sqlstate, message FROM _wh.wh_refresh('refill', 'tenant_a', '2024-06-01', '2024-06-01', method => 'refill');
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'refill' AND status = 'failed';
SELECT pg_relation_filenode('tenant_a.refill_2024_06_01') = :node AS same_file,
       (SELECT count(*) FROM tenant_a.refill_2024_06_01 WHERE note = 'again') AS again;

DROP EXTENSION amcheck;
DROP VIEW tenant_a.refill_user;
SELECT _wh.drop_template('refill', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'refill';
\c wh_tenant_a
DROP TABLE refill_src;
