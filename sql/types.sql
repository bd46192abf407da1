-- Every built-in type keeps every bit on its way, and a second refresh finds
-- nothing changed.
\set VERBOSITY default
\set warehouse :DBNAME
\c wh_tenant_a
CREATE TYPE types_mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN types_positive AS integer CHECK (VALUE > 0);
CREATE TYPE types_pair AS (a integer, b text);
CREATE TABLE types_src (
    pos integer, b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(12,4),
    m money, t text, vc varchar(10), c character(5), ch "char", na name, by bytea, ts timestamp, tz timestamptz, d date, ti time, tt timetz, iv interval,
    u uuid, j json, jb jsonb, jp jsonpath, x xml, ip inet, net cidr, mac macaddr, mac8 macaddr8, bi bit(4), vb bit varying(10),
    p point, l line, ls lseg, bx box, pa path, pg polygon, ci circle, tv tsvector, tq tsquery, ls8 pg_lsn, x8 xid8, snap pg_snapshot, o oid, ti2 tid,
    i4a integer[], ta text[], na2 numeric[], ra int4range, nr numrange, tr tstzrange, dm int4multirange, rc regclass, rt regtype);
CREATE TABLE types_own (pos integer, mood types_mood, pos2 types_positive, pair types_pair);
INSERT INTO types_own VALUES (1, 'happy', 1, '(1,"x,y")'), (2, 'sad', 2147483647, '(,)');
INSERT INTO types_src VALUES
    (1, true, -32768, -2147483648, -9223372036854775808, '-0', 'NaN', 'NaN', -99999999.9999,
     '-12.34', E'\u00e4\u20ac\U0001F600', 'tab	x', 'ab', 'c', 'name', '\x00ff00', '4713-01-01 BC', '-infinity', '4713-01-01 BC', '24:00', '00:00:00+15:59', '-178000000 years',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1, "a" :2}', '{"b": 1e400, "a": [null, "\u00e4"]}', '$.a[*] ? (@ > 1)', '<a>&lt;</a>', '::1/128', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'1010', B'1',
     '(1e308,-1e-307)', '{1,2,3}', '[(1,2),(3,4)]', '(3,4),(1,2)', '[(1,2),(3,4)]', '((1,2),(3,4),(5,0))', '<(1,2),3>', 'a:1A b:2', 'a & !b:*', '16/B374D848', '18446744073709551615', '10:20:10,14,15', 4294967295, '(1,2)',
     '[2:3]={1,NULL}', '{NULL,"",a}', '{NaN,1.50,Infinity}', '[1,5)', '(,1.5]', '["2024-01-01 00:00+00",)', '{[1,2),[5,7)}', 'pg_class', 'integer'),
    (2, false, 32767, 2147483647, 9223372036854775807, 'Infinity', '5e-324', '-Infinity', 0.0001,
     '0', '', '', '', '', '', '', '294276-12-31 23:59:59.999999', 'infinity', 'infinity', '00:00', '23:59:59.999999-15:59', '178000000 years -1 mon 3 days -04:05:06.000001',
     '00000000-0000-0000-0000-000000000000', 'null', 'null', 'strict $', '', '0.0.0.0', '::/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', B'0000', B'',
     '(NaN,Infinity)', '{0,-1,0}', '[(0,0),(0,0)]', '(0,0),(0,0)', '((0,0),(1,1))', '((0,0))', '<(0,0),0>', '', '!a', '0/0', '3', '1:1:', 0, '(0,0)',
     '{}', '{}', '{}', 'empty', 'empty', '(,)', '{}', '0', '0');
INSERT INTO types_src (pos) VALUES (3);
INSERT INTO types_src (pos, n, t, by) VALUES (4, (repeat('9', 1000) || '.' || repeat('1', 1000))::numeric, repeat('long ', 3000),
    (SELECT decode(string_agg(md5(i::text), ''), 'hex') FROM generate_series(1, 1000) AS i));
CREATE VIEW types_all AS SELECT s.*, o.mood, o.pos2, o.pair::text AS pair FROM types_src s LEFT JOIN types_own o USING (pos);
GRANT SELECT ON types_all TO wh_src;
\c :warehouse
SELECT _wh.add_template('types', $$SELECT *, '{TARGET_DATE}'::date AS day FROM types_all ORDER BY pos$$,
    'pos integer, b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(12,4),
    m money, t text, vc varchar(10), c character(5), ch "char", na name, "by" bytea, ts timestamp, tz timestamptz, d date, ti time, tt timetz, iv interval,
    u uuid, j json, jb jsonb, jp jsonpath, x xml, ip inet, net cidr, mac macaddr, mac8 macaddr8, bi bit(4), vb bit varying(10),
    p point, l line, ls lseg, bx box, pa path, pg polygon, ci circle, tv tsvector, tq tsquery, ls8 pg_lsn, x8 xid8, snap pg_snapshot, o oid, ti2 tid,
    i4a integer[], ta text[], na2 numeric[], ra int4range, nr numrange, tr tstzrange, dm int4multirange, rc regclass, rt regtype,
    mood text, pos2 integer, pair text, day date',
    tenants => '{tenant_a}');
SELECT status, method, rows, message FROM _wh.wh_refresh('types', 'tenant_a', '2024-07-01', '2024-07-01');
SELECT method, rows_unchanged FROM _wh.wh_refresh('types', 'tenant_a', '2024-07-01', '2024-07-01');
SELECT method, rows FROM _wh.wh_refresh('types', 'tenant_a', '2024-07-01', '2024-07-01', method => 'refill');
SELECT method, rows_unchanged FROM _wh.wh_refresh('types', 'tenant_a', '2024-07-01', '2024-07-01');

-- Bit for bit: each column's own binary form, but for those that stand for
-- something of the source, which are the same as text.
SET timezone = 'UTC';
SELECT string_agg(format(CASE WHEN attname IN ('mood', 'rc', 'rt')
    THEN 'coalesce(%I::text, ''-'')' ELSE 'coalesce(encode(' || typsend::text || '(%I), ''hex''), ''-'')' END, attname), ' || ''|'' || ' ORDER BY attnum) AS sends
FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid
WHERE attrelid = 'tenant_a.types_2024_07_01'::regclass AND attnum > 0 AND attname <> 'day' \gset
SELECT md5(string_agg(:sends, '#' ORDER BY pos)) AS here FROM tenant_a.types_2024_07_01 \gset
\c wh_tenant_a
SET timezone = 'UTC';
SELECT md5(string_agg(:sends, '#' ORDER BY pos)) = :'here' AS the_same FROM types_all;
\c :warehouse
SELECT pos, b, f4, f8, left(n::text, 10) AS n, tz, iv, d, jb, mood, pair, rc, rt FROM tenant_a.types_2024_07_01 ORDER BY pos;

-- And none is left out: one value and one array of every built-in type that
-- has a receive function, but for those that refuse to be received.
\c wh_tenant_a
CREATE TABLE types_lit (typ name PRIMARY KEY, literal text);
INSERT INTO types_lit VALUES
    ('bool', 't'), ('bytea', '\x00ff'), ('char', 'x'), ('name', 'a name'), ('int8', '-1'), ('int2', '-1'), ('int2vector', '1 -2 3'), ('int4', '-1'),
    ('regproc', 'pg_catalog.now'), ('text', E'a\tb'), ('oid', '4294967295'), ('tid', '(1,2)'), ('xid', '4294967295'), ('cid', '4294967295'),
    ('oidvector', '1 2 4294967295'), ('json', '{"a" : 1}'), ('xml', '<a/>'), ('xid8', '18446744073709551615'), ('point', '(1,2)'), ('lseg', '[(1,2),(3,4)]'),
    ('path', '((1,2),(3,4))'), ('box', '(3,4),(1,2)'), ('polygon', '((1,2),(3,4))'), ('line', '{1,2,3}'), ('float4', '-0'), ('float8', '-0'),
    ('circle', '<(1,2),3>'), ('money', '-1.25'), ('macaddr', '08:00:2b:01:02:03'), ('inet', '10.1.2.3/8'), ('cidr', '10.0.0.0/8'),
    ('macaddr8', '08:00:2b:01:02:03:04:05'), ('bpchar', 'a  '), ('varchar', 'a  '), ('date', '-infinity'), ('time', '24:00'), ('timestamp', 'infinity'),
    ('timestamptz', '-infinity'), ('interval', '1 mon -1 day 00:00:00.000001'), ('timetz', '24:00-15:59'), ('bit', '1'), ('varbit', '101'), ('numeric', '-0.000'),
    ('refcursor', 'cursor'), ('regprocedure', 'pg_catalog.now()'), ('regoper', 'pg_catalog.||/'), ('regoperator', 'pg_catalog.+(integer,integer)'),
    ('regclass', 'pg_catalog.pg_class'), ('regcollation', 'pg_catalog."C"'), ('regtype', 'pg_catalog.int4'), ('regrole', 'pg_monitor'),
    ('regnamespace', 'pg_catalog'), ('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), ('pg_lsn', '16/B374D848'), ('tsvector', 'a:1A b'), ('tsquery', 'a <-> b:*A'),
    ('regconfig', 'pg_catalog.simple'), ('regdictionary', 'pg_catalog.simple'), ('jsonb', '{"a": [1e400, null]}'), ('jsonpath', '$."a"[*]'),
    ('txid_snapshot', '10:20:10,14'), ('pg_snapshot', '10:20:10,14'), ('int4range', '[1,5)'), ('numrange', '(,1.50]'), ('tsrange', '[-infinity,)'),
    ('tstzrange', 'empty'), ('daterange', '[2024-01-01,)'), ('int8range', '(,9)'), ('int4multirange', '{[1,2),[5,7)}'), ('nummultirange', '{}'),
    ('tsmultirange', '{(,)}'), ('tstzmultirange', '{["2024-01-01 00:00+00",)}'), ('datemultirange', '{[2024-01-01,2024-01-03)}'), ('int8multirange', '{[1,2)}');
SELECT typname FROM pg_type
WHERE typreceive <> 0 AND typtype IN ('b', 'r', 'm') AND typnamespace = 'pg_catalog'::regnamespace AND (typcategory <> 'A' OR typname IN ('int2vector', 'oidvector'))
    AND typname NOT IN (SELECT typ FROM types_lit) ORDER BY typname COLLATE "C";
SELECT string_agg(format('%I pg_catalog.%I, %I pg_catalog.%I[]', 'v_' || typ, typ, 'a_' || typ, typ), ', ' ORDER BY typ) AS columns FROM types_lit \gset
CREATE TABLE types_every (pos integer, :columns);
SELECT format('INSERT INTO types_every VALUES (1, %s), (2, %s)',
    string_agg(format('%L, %L', literal, '{NULL' || typdelim::text || to_json(literal) || '}'), ', ' ORDER BY typ),
    string_agg('NULL, NULL', ', ')) FROM types_lit JOIN pg_type ON typname = typ AND typnamespace = 'pg_catalog'::regnamespace \gexec
GRANT SELECT ON types_every TO wh_src;
\c :warehouse
SELECT _wh.add_template('types_every', $$SELECT *, '{TARGET_DATE}'::date AS day FROM types_every ORDER BY pos$$,
    'pos integer, ' || :'columns' || ', day date', tenants => '{tenant_a}');
SELECT method, rows, message FROM _wh.wh_refresh('types_every', 'tenant_a', '2024-07-01', '2024-07-01');
SELECT method, rows_unchanged FROM _wh.wh_refresh('types_every', 'tenant_a', '2024-07-01', '2024-07-01');
SELECT method, rows FROM _wh.wh_refresh('types_every', 'tenant_a', '2024-07-01', '2024-07-01', method => 'refill');
SELECT method, rows_unchanged FROM _wh.wh_refresh('types_every', 'tenant_a', '2024-07-01', '2024-07-01');
SELECT string_agg(format('coalesce(encode(%s(%I%s), ''hex''), ''-'')', typsend::text, attname, CASE typname WHEN 'refcursor' THEN '::text' END),
    ' || ''|'' || ' ORDER BY attnum) AS sends, count(*) AS ncolumns
FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid
WHERE attrelid = 'tenant_a.types_every_2024_07_01'::regclass AND attnum > 0 AND attname <> 'day' \gset
SELECT md5(string_agg(:sends, '#' ORDER BY pos)) AS here FROM tenant_a.types_every_2024_07_01 \gset
\c wh_tenant_a
SELECT md5(string_agg(:sends, '#' ORDER BY pos)) = :'here' AS the_same, :ncolumns AS columns FROM types_every;
DROP TABLE types_every, types_lit;
\c :warehouse
SELECT _wh.drop_template('types_every', drop_data => true) ->> 'template' AS dropped;

SELECT _wh.drop_template('types', drop_data => true) ->> 'template' AS dropped;
DELETE FROM _wh.extract_runs WHERE template_name LIKE 'types%';
\c wh_tenant_a
DROP VIEW types_all;
DROP TABLE types_src, types_own;
DROP TYPE types_mood, types_pair;
DROP DOMAIN types_positive;
