-- The difference and nothing else: what is equal is not written, whatever the
-- order, however often it occurs and however it is stored.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TABLE delta_src (pos serial, id integer, at timestamptz DEFAULT '2024-05-01 12:00+00', note text, big text);
INSERT INTO delta_src (id, note) SELECT i, 'note ' || i FROM generate_series(1, 20) AS i;
GRANT SELECT ON delta_src TO wh_src;
\c :warehouse
SELECT _wh.add_template('delta',
    $$SELECT id, at, note, big FROM delta_src WHERE at >= {DAY_START} AND at < {DAY_END} ORDER BY pos$$,
    'id integer, at timestamptz, note text, big text',
    $$CREATE INDEX {view_name}_id ON {schema}.{view_name} (id);
      CREATE INDEX {view_name}_low ON {schema}.{view_name} (lower(note)) WHERE id > 3$$,
    time_column => 'at', tenants => '{tenant_a}');
SELECT status, method FROM _wh.wh_refresh('delta', 'tenant_a', '2024-05-01', '2024-05-01');
\set slice tenant_a.delta_2024_05_01
\set refresh 'SELECT method, rows, rows_inserted AS ins, rows_deleted AS del, rows_unchanged AS same FROM _wh.wh_refresh(''delta'', ''tenant_a'', ''2024-05-01'', ''2024-05-01'', accept_shrink => true);'

-- Nothing changed: not a row is written, no plan is invalidated, and the
-- ledger says when it was seen to be so.
SELECT md5(string_agg(ctid::text || xmin, ',' ORDER BY ctid)) AS stored FROM :slice \gset
SELECT xmin AS class_xmin FROM pg_class WHERE oid = :'slice'::regclass \gset
SELECT last_refresh AS seen, as_of FROM _wh.slices WHERE template_name = 'delta' \gset
:refresh
SELECT md5(string_agg(ctid::text || xmin, ',' ORDER BY ctid)) = :'stored' AS untouched FROM :slice;
SELECT xmin = :class_xmin AS catalog_untouched FROM pg_class WHERE oid = :'slice'::regclass;
SELECT last_refresh > :'seen' AS seen_again, as_of > :'as_of' AS of_now, method FROM _wh.slices WHERE template_name = 'delta';

-- Changed, gone and new: only those are written.
\c wh_tenant_a
UPDATE delta_src SET note = 'changed' WHERE id IN (1, 10, 20);
DELETE FROM delta_src WHERE id IN (2, 19);
INSERT INTO delta_src (id, note) VALUES (21, NULL), (22, '');
\c :warehouse
:refresh
SELECT id, note FROM :slice WHERE id < 4 OR id IN (10, 18, 19, 20, 21, 22) ORDER BY id;
:refresh

-- Duplicates are counted, not merged.
\c wh_tenant_a
INSERT INTO delta_src (id, note) SELECT 30, 'twin' FROM generate_series(1, 5);
\c :warehouse
:refresh
\c wh_tenant_a
DELETE FROM delta_src WHERE pos = (SELECT max(pos) FROM delta_src);
\c :warehouse
:refresh
SELECT count(*) FROM :slice WHERE id = 30;

-- Another order is no difference.
\c wh_tenant_a
UPDATE delta_src SET pos = -pos;
\c :warehouse
:refresh
\c wh_tenant_a
UPDATE delta_src SET pos = (id * 7919) % 101;
\c :warehouse
:refresh

-- Long values: compressed in the row, moved out compressed, moved out as they
-- are.  Equal ones are equal, a changed last byte is a change.
\c wh_tenant_a
INSERT INTO delta_src (pos, id, big) VALUES
    (1000, 40, repeat('compressed in line ', 500)),
    (1001, 41, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) AS i) || repeat('z', 100000)),
    (1002, 42, (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 100) AS i));
\c :warehouse
:refresh
SELECT id, pg_column_size(big) < length(big) AS compressed, pg_column_size(big) > 2000 AS outside FROM :slice WHERE id >= 40 ORDER BY id;
:refresh
SET ROLE whadmin;
ALTER MATERIALIZED VIEW :slice ALTER COLUMN big SET STORAGE EXTERNAL;
RESET ROLE;
:refresh
\c wh_tenant_a
UPDATE delta_src SET big = overlay(big PLACING '#' FROM length(big)) WHERE id >= 40;
UPDATE delta_src SET pos = -pos;
\c :warehouse
:refresh
SELECT id, length(big), right(big, 1) FROM :slice WHERE id >= 40 ORDER BY id;
:refresh

-- Indexes followed all of it.
CREATE EXTENSION amcheck;
SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid = :'slice'::regclass;
SELECT * FROM verify_heapam(:'slice');
SET enable_seqscan = off;
SELECT count(*) FROM :slice WHERE id = 30;
SELECT count(*) FROM :slice WHERE lower(note) = 'changed' AND id > 3;
RESET enable_seqscan;

-- Keys that change places are no duplicates of what they replace; real ones
-- name key and slice and leave the rows alone.
\c wh_tenant_a
UPDATE delta_src SET note = 'own ' || id WHERE id IN (1, 10, 20);
\c :warehouse
:refresh
SET ROLE whadmin;
CREATE UNIQUE INDEX delta_key ON :slice (note) WHERE id <= 20;
RESET ROLE;
\c wh_tenant_a
UPDATE delta_src SET note = 'note ' || (21 - id) WHERE id BETWEEN 3 AND 9 OR id BETWEEN 12 AND 18;
\c :warehouse
:refresh
SELECT count(*) FROM :slice;
\c wh_tenant_a
UPDATE delta_src SET note = 'twice' WHERE id IN (5, 6);
\c :warehouse
SELECT status, sqlstate, message FROM _wh.wh_refresh('delta', 'tenant_a', '2024-05-01', '2024-05-01');
SELECT error_detail, error_hint FROM _wh.extract_runs WHERE template_name = 'delta' AND status = 'failed';
SELECT count(*), count(*) FILTER (WHERE note = 'twice') AS twice FROM :slice;

-- All gone, and all back.
\c wh_tenant_a
CREATE TABLE delta_aside AS TABLE delta_src;
DELETE FROM delta_src;
\c :warehouse
:refresh
:refresh
\c wh_tenant_a
INSERT INTO delta_src SELECT * FROM delta_aside WHERE note IS DISTINCT FROM 'twice';
\c :warehouse
:refresh

DROP EXTENSION amcheck;
SELECT _wh.drop_template('delta', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name = 'delta';
\c wh_tenant_a
DROP TABLE delta_src, delta_aside;
