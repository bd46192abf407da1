-- fetch: one slice, binary COPY, decoded row by row; whole or an error.
\set VERBOSITY default
\set warehouse :DBNAME
SET client_min_messages = warning;
CREATE ROLE wh_fetch_role LOGIN;
CREATE DATABASE wh_fetch_src;
CREATE DATABASE wh_fetch_ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE wh_fetch_latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
\c wh_fetch_src
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE events (id int, at timestamptz, local timestamp, day date, note text);
INSERT INTO events
SELECT i, '2001-01-01 00:00+00'::timestamptz + i * interval '10 minutes',
       timestamp '2001-01-01 00:00' + i * interval '10 minutes',
       (timestamp '2001-01-01 00:00' + i * interval '10 minutes')::date, 'note ' || i
FROM generate_series(-288, 431) AS i;
GRANT SELECT ON events TO wh_fetch_role;
\c wh_fetch_ascii
CREATE TABLE words (id int, word text, tag name, doc json);
INSERT INTO words VALUES (1, 'plain', 'a', '{}'), (2, 'gr' || chr(195) || chr(188) || 'n', 'b', '{}'), (3, 'caf' || chr(233), 'c', '{}');
GRANT SELECT ON words TO wh_fetch_role;
\c wh_fetch_latin
CREATE TABLE words (id int, word text, tag name, doc json);
INSERT INTO words VALUES (1, 'caf' || chr(233), 'a', '{}');
GRANT SELECT ON words TO wh_fetch_role;
\c :warehouse
SET client_min_messages = warning;
SELECT split_part(current_setting('unix_socket_directories'), ',', 1) AS socket,
       current_setting('port')::integer AS port \gset
SELECT _wh.add_tenant('fetch_a', :'socket', 'wh_fetch_src', 'wh_fetch_role', :port, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_tenant('fetch_ascii', :'socket', 'wh_fetch_ascii', 'wh_fetch_role', :port, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_tenant('fetch_latin', :'socket', 'wh_fetch_latin', 'wh_fetch_role', :port, sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_tenant('fetch_west', :'socket', 'wh_fetch_src', 'wh_fetch_role', :port, sslmode => 'disable', auth_method => 'trusted',
                      time_zone => 'America/Los_Angeles');

-- A day's rows, no more and no less; a day without rows is empty.
SELECT _wh.add_template('fetch_t', $$SELECT id, at, local, day, note FROM events WHERE at >= {DAY_START} AND at < {DAY_END}$$,
                        'id int, at timestamptz, local timestamp, day date, note text', time_column => 'at', tenants => '{fetch_a,fetch_west}');
SELECT count(*), min(id), max(id), min(note), max(note) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01')
    AS r(id int, at timestamptz, local timestamp, day date, note text);
SELECT count(*), min(id), max(id) FROM _wh.fetch('fetch_t', 'fetch_west', '2001-01-01')
    AS r(id int, at timestamptz, local timestamp, day date, note text);
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2002-01-01')
    AS r(id int, at timestamptz, local timestamp, day date, note text);
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT id, at, local, day, {TENANT} AS note FROM events WHERE id = 0 AND day <= '{TARGET_DATE}' -- a comment$$);
SELECT note FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);

-- Each row must lie in its day, in the sense of the column's type.
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT id, at, local, day, note FROM events WHERE (at AT TIME ZONE 'UTC')::date = '{TARGET_DATE}'::date ORDER BY id$$);
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_west', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', time_column => 'local');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_west', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
SELECT _wh.alter_template('fetch_t', time_column => 'day');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT id, at, local, day, note FROM events WHERE day BETWEEN '{TARGET_DATE}' AND date '{TARGET_DATE}' + 1 ORDER BY id$$);
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', time_column => 'local');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT id, at, local, CASE WHEN id <> 3 THEN day END AS day, note FROM events WHERE day = '{TARGET_DATE}' ORDER BY id$$, time_column => 'day');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, at timestamptz, local timestamp, day date, note text);
\echo :SQLSTATE

-- An error after 500 rows, a value too long for its column, a number too big.
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT 1/(500-i) AS id, '{TARGET_DATE}'::date AS day FROM generate_series(1, 1000) AS i$$,
                          column_definitions => 'id int, day date');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(id int, day date);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT repeat('x', i) AS w, '{TARGET_DATE}'::date AS day FROM generate_series(1, 10) AS i$$,
                          column_definitions => 'w varchar(7), day date');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w varchar(7), day date);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT i::numeric AS w, '{TARGET_DATE}'::date AS day FROM generate_series(98, 102) AS i$$,
                          column_definitions => 'w numeric(4,2), day date');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w numeric(4,2), day date);
\echo :SQLSTATE
CREATE TYPE public.mood AS ENUM ('happy');
CREATE DOMAIN public.filled AS text NOT NULL CHECK (VALUE <> '');
GRANT USAGE ON TYPE public.mood, public.filled TO PUBLIC;
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT 'sad'::mood AS w, '{TARGET_DATE}'::date AS day$$,
                          column_definitions => 'w public.mood, day date');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w public.mood, day date);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT w, '{TARGET_DATE}'::date AS day FROM (VALUES ('one'), (NULL)) AS v(w)$$,
                          column_definitions => 'w public.filled, day date');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w public.filled, day date);
\echo :SQLSTATE

-- The caps, and just below them.
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT repeat('x', 100) AS w, '{TARGET_DATE}'::date AS day FROM generate_series(1, 100) AS i$$,
                          column_definitions => 'w text, day date', options => '{"max_rows": 100, "max_field_bytes": 100}');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w text, day date);
SELECT _wh.alter_template('fetch_t', options => '{"max_rows": 99}');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w text, day date);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', options => '{"max_bytes": 5000, "max_rows": 100}');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w text, day date);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', options => '{"max_bytes": 50000, "max_rows": 100, "max_field_bytes": 99}');
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(w text, day date);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_t', reset => '{options}');

-- Encodings: what an SQL_ASCII source holds is verified here, other sources
-- convert; the session's own client encoding does not matter.
SELECT _wh.add_template('fetch_e', $$SELECT id, word, tag, doc FROM words WHERE '{TARGET_DATE}'::date IS NOT NULL AND id <= 2$$,
                        'id int, word text, tag name, doc json', tenants => '{fetch_ascii,fetch_latin}');
SELECT id, length(word), octet_length(word) FROM _wh.fetch('fetch_e', 'fetch_ascii', '2001-01-01') AS r(id int, word text, tag name, doc json);
SELECT id, length(word), octet_length(word) FROM _wh.fetch('fetch_e', 'fetch_latin', '2001-01-01') AS r(id int, word text, tag name, doc json);
SET client_encoding = 'LATIN1';
SELECT id, length(word), octet_length(word) FROM _wh.fetch('fetch_e', 'fetch_ascii', '2001-01-01') AS r(id int, word text, tag name, doc json);
SELECT id, length(word), octet_length(word) FROM _wh.fetch('fetch_e', 'fetch_latin', '2001-01-01') AS r(id int, word text, tag name, doc json);
SHOW client_encoding;
SELECT _wh.alter_template('fetch_e', query_template => $$SELECT id, word, tag, doc FROM words WHERE '{TARGET_DATE}'::date IS NOT NULL ORDER BY id$$);
SELECT count(*) FROM _wh.fetch('fetch_e', 'fetch_ascii', '2001-01-01') AS r(id int, word text, tag name, doc json);
\echo :SQLSTATE
SHOW client_encoding;
RESET client_encoding;
SELECT count(*) FROM _wh.fetch('fetch_e', 'fetch_ascii', '2001-01-01') AS r(id int, word text, tag name, doc json);
\echo :SQLSTATE
SELECT _wh.alter_template('fetch_e', column_definitions => 'id int, word public.filled, tag name, doc json');
SELECT count(*) FROM _wh.fetch('fetch_e', 'fetch_ascii', '2001-01-01') AS r(id int, word public.filled, tag name, doc json);
\echo :SQLSTATE

-- Every type comes back as it was: the same query run here, both ways.
CREATE TABLE fetch_types (query text, columns text);
INSERT INTO fetch_types VALUES ($$
SELECT n, '{TARGET_DATE}'::date AS day, b, i2, i4, i8, f4, f8, num, t, v, c, ch, nm, by, d, ts, tz, ti, ttz, iv, u, j, jb,
       x, ip, cd, mac, bi, vb, pt, bx, tsv, tsq, r4, mr, m, o, rc, rcs, lsn, a2, an, ar
FROM (VALUES
    (1, true, 32767::int2, 2147483647, 9223372036854775807, 1.5::float4, 'NaN'::float8, 12345678901234567890.123456789::numeric,
     'tab	and "quote"', 'v'::varchar, 'c'::char(3), 'c'::"char", 'name'::name, '\x00ff'::bytea, 'infinity'::date, '-infinity'::timestamp,
     '2001-01-01 00:00:00.123456+00'::timestamptz, '23:59:59.999999'::time, '01:02:03+04'::timetz, '1 year -2 days 03:04:05.6'::interval,
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{"b": 1, "a":2}'::json, '{"b": 1, "a":2}'::jsonb, '<a>b</a>'::xml, '10.0.0.1/8'::inet, '10.0.0.0/8'::cidr,
     '08:00:2b:01:02:03'::macaddr, B'101'::bit(3), B'10101'::varbit, '(1,2)'::point, '(1,2),(0,0)'::box, 'a fat cat'::tsvector, 'fat & cat'::tsquery,
     '[1,5)'::int4range, '{[1,3),[5,7)}'::int4multirange, '12.34'::money, 4294967295::oid, 'pg_class'::regclass, ARRAY['pg_class','pg_type']::regclass[],
     '16/B374D848'::pg_lsn, '{{1,2},{3,NULL}}'::int[], '[0:1]={a,b}'::text[], ARRAY[int4range(1,2), NULL]),
    (2, NULL, NULL, NULL, NULL, 'Infinity', '-Infinity', 'NaN', '', NULL, NULL, NULL, NULL, '', '0044-03-15 BC', NULL, NULL, NULL, NULL, NULL,
     NULL, 'null', NULL, NULL, '::1', NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, 'empty', '{}', NULL, NULL, NULL, NULL, NULL, '{}', '{NULL,"NULL"}', '{}'),
    (3, false, '-32768', -2147483648, -9223372036854775808, '1e-30', 0.1, '1e-100', repeat('long ', 5000), repeat('v', 300), 'abc', 'x', repeat('n', 63)::name, decode(repeat('ab', 20000), 'hex'),
     '5874897-12-31', '294276-12-31 23:59:59.999999', '4714-11-24 00:00:00+00 BC', '24:00', '00:00-15:59', '-178000000 years', NULL, '[]', '[1.10]', NULL,
     NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, '(,)', NULL, '-1', 0, NULL, NULL, '0/0', NULL, NULL, NULL)
  ) AS q(n, b, i2, i4, i8, f4, f8, num, t, v, c, ch, nm, by, d, ts, tz, ti, ttz, iv, u, j, jb, x, ip, cd, mac, bi, vb, pt, bx, tsv, tsq, r4, mr, m, o, rc, rcs, lsn, a2, an, ar)$$,
$$n int, day date, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, num numeric, t text, v varchar, c char(3), ch "char", nm name, by bytea,
 d date, ts timestamp, tz timestamptz, ti time, ttz timetz, iv interval, u uuid, j json, jb jsonb, x xml, ip inet, cd cidr, mac macaddr, bi bit(3), vb varbit,
 pt point, bx box, tsv tsvector, tsq tsquery, r4 int4range, mr int4multirange, m money, o oid, rc regclass, rcs regclass[], lsn pg_lsn, a2 int[], an text[], ar int4range[]$$);
SELECT _wh.alter_template('fetch_t', query_template => query, column_definitions => columns) FROM fetch_types;
DO $$
DECLARE
	types fetch_types;
	rows bigint;
	differ bigint;
BEGIN
	SELECT * INTO types FROM fetch_types;
	EXECUTE format($q$WITH here AS (SELECT h::text AS line FROM (%s) AS h),
		there AS (SELECT r::text AS line FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(%s))
		SELECT (SELECT count(*) FROM there),
		       (SELECT count(*) FROM ((TABLE here EXCEPT ALL TABLE there) UNION ALL (TABLE there EXCEPT ALL TABLE here)) AS d)$q$,
		replace(types.query, '{TARGET_DATE}', '2001-01-01'), types.columns) INTO rows, differ;
	RAISE WARNING '% rows, % differences', rows, differ;
END$$;
DROP TABLE fetch_types;

-- More rows than a batch, each with a value bigger than a packet.
SELECT _wh.alter_template('fetch_t', query_template => $$SELECT i, repeat(md5(i::text), 10) AS w, '{TARGET_DATE}'::date AS day FROM generate_series(1, 20000) AS i$$,
                          column_definitions => 'i int, w text, day date');
SELECT count(*), sum(i), count(DISTINCT w), bool_and(w = repeat(md5(i::text), 10)) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(i int, w text, day date);

-- Bad calls.
SELECT * FROM _wh.fetch('fetch_t', 'fetch_a', NULL) AS r(i int, w text, day date);
\echo :SQLSTATE
SELECT * FROM _wh.fetch('fetch_t', 'fetch_a', 'infinity') AS r(i int, w text, day date);
\echo :SQLSTATE
SELECT * FROM _wh.fetch(NULL, 'fetch_a', '2001-01-01') AS r(i int, w text, day date);
\echo :SQLSTATE
SELECT * FROM _wh.fetch('fetch_t', NULL, '2001-01-01') AS r(i int, w text, day date);
\echo :SQLSTATE
SELECT * FROM _wh.fetch('nothing', 'fetch_a', '2001-01-01') AS r(i int, w text, day date);
\echo :SQLSTATE
SELECT * FROM _wh.fetch('fetch_t', 'nobody', '2001-01-01') AS r(i int, w text, day date);
\echo :SQLSTATE
SELECT * FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(i int, w text);
\echo :SQLSTATE
SELECT * FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(i int, w varchar(5), day date);
\echo :SQLSTATE
SELECT * FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(i int, x text, day date);
\echo :SQLSTATE
SELECT _wh.fetch('fetch_t', 'fetch_a', '2001-01-01');
\echo :SQLSTATE

-- The owner may call it, a reader may not; nothing leaves a read-only
-- transaction.
SET ROLE whadmin;
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(i int, w text, day date);
SET ROLE phood_ro;
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(i int, w text, day date);
\echo :SQLSTATE
RESET ROLE;
BEGIN READ ONLY;
SELECT count(*) FROM _wh.fetch('fetch_t', 'fetch_a', '2001-01-01') AS r(i int, w text, day date);
\echo :SQLSTATE
ROLLBACK;

SET client_min_messages = warning;
SELECT _wh.drop_template('fetch_t') IS NOT NULL AS dropped;
SELECT _wh.drop_template('fetch_e') IS NOT NULL AS dropped;
SELECT count(_wh.drop_tenant(tenant_name, drop_data => true)) FROM _wh.tenant_connections WHERE tenant_name LIKE 'fetch%';
DROP TYPE public.mood;
DROP DOMAIN public.filled;
DROP DATABASE wh_fetch_src;
DROP DATABASE wh_fetch_ascii;
DROP DATABASE wh_fetch_latin;
DROP ROLE wh_fetch_role;
