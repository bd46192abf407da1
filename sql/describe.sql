-- describe: drift is told column by column before a row is read.
\set VERBOSITY default
\set warehouse :DBNAME
SET client_min_messages = warning;
CREATE DATABASE wh_describe_src;
CREATE ROLE wh_describe_role LOGIN;
\c wh_describe_src
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE t (id int, at timestamptz, note varchar(20), amount numeric(10,2));
INSERT INTO t VALUES (1, '2001-01-01 12:00+00', 'one', 1.5);
CREATE TABLE wide (i2 int2, i4 int4, i8 int8, f4 float4, d date, v varchar(5), c char(3), n name,
                   m mood, p pair, o positive, ia int2[], va varchar[]);
INSERT INTO wide VALUES (1, 2, 3, 1.5, '2001-01-01', 'v', 'c', 'n', 'happy', '(1,x)', 7, '{1,2}', '{a,b}');
CREATE TABLE secret (id int);
GRANT SELECT ON t, wide TO wh_describe_role;
\c :warehouse
SET client_min_messages = warning;
SELECT _wh.add_tenant('describe_a', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_describe_src', 'wh_describe_role', current_setting('port')::integer,
                      sslmode => 'disable', auth_method => 'trusted');

-- Columns are inferred; a type of the source's own is kept as its text.
SELECT _wh.add_template('describe_t', $$SELECT * FROM t WHERE at >= {DAY_START} AND at < {DAY_END}$$,
                        sample_tenant => 'describe_a');
SELECT _wh.add_template('describe_w', $$SELECT *, 'x' AS literal, 1 AS "Odd ""name" FROM wide WHERE d = '{TARGET_DATE}'::date$$,
                        sample_tenant => 'describe_a');
SELECT template_name, column_definitions FROM _wh.mv_templates WHERE template_name LIKE 'describe%' ORDER BY 1;
SELECT _wh.add_template('describe_x', $$SELECT FROM t WHERE at >= {DAY_START} AND at < {DAY_END}$$, sample_tenant => 'describe_a');
\echo :SQLSTATE
SELECT _wh.add_template('describe_x', $$SELECT $1 AS a FROM t WHERE at >= {DAY_START} AND at < {DAY_END}$$, sample_tenant => 'describe_a');
\echo :SQLSTATE
SELECT _wh.add_template('describe_x', $$SELECT nothing FROM t WHERE at >= {DAY_START} AND at < {DAY_END}$$, sample_tenant => 'describe_a');
\echo :SQLSTATE

-- A type passes that each value of the source's fits, arrays too.
SELECT _wh.alter_template('describe_w', column_definitions =>
    'i2 int4, i4 int8, i8 numeric, f4 float8, d timestamp, v text, c text, n varchar, m text, p text, o int8, ia int8[], va text[], literal varchar, "Odd ""name" int8');
SELECT * FROM _wh.fetch('describe_w', 'describe_a', '2001-01-01')
    AS r(i2 int4, i4 int8, i8 numeric, f4 float8, d timestamp, v text, c text, n varchar, m text, p text, o int8, ia int8[], va text[], literal varchar, "Odd ""name" int8);
CREATE TYPE public.mood AS ENUM ('happy', 'sad');
SELECT _wh.alter_template('describe_w', query_template => $$SELECT m, d FROM wide WHERE d = '{TARGET_DATE}'::date$$,
                          column_definitions => 'm public.mood, d date');
SELECT * FROM _wh.fetch('describe_w', 'describe_a', '2001-01-01') AS r(m public.mood, d date);
SELECT _wh.alter_template('describe_w', query_template => $$SELECT p AS m, d FROM wide WHERE d = '{TARGET_DATE}'::date$$);
SELECT * FROM _wh.fetch('describe_w', 'describe_a', '2001-01-01') AS r(m public.mood, d date);
\echo :SQLSTATE

-- No other type does.
SELECT _wh.alter_template('describe_w', query_template => $$SELECT i2, i4, i8, f4, d, v, m, ia FROM wide WHERE d = '{TARGET_DATE}'::date$$,
                          column_definitions => 'i2 text, i4 int2, i8 int4, f4 numeric(5,2), d timestamptz, v char(5), m int4, ia int2');
SELECT * FROM _wh.fetch('describe_w', 'describe_a', '2001-01-01')
    AS r(i2 text, i4 int2, i8 int4, f4 numeric(5,2), d timestamptz, v char(5), m int4, ia int2);
\echo :SQLSTATE

-- Drift at the source: missing, renamed, of another type, reordered, added.
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, at timestamptz, note varchar(20), amount numeric(10,2));
\c wh_describe_src
ALTER TABLE t DROP COLUMN note;
\c :warehouse
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, at timestamptz, note varchar(20), amount numeric(10,2));
\echo :SQLSTATE
\c wh_describe_src
ALTER TABLE t RENAME amount TO price;
ALTER TABLE t ADD COLUMN note varchar(20);
\c :warehouse
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, at timestamptz, note varchar(20), amount numeric(10,2));
\echo :SQLSTATE
\c wh_describe_src
ALTER TABLE t RENAME price TO amount;
ALTER TABLE t ALTER id TYPE bigint;
\c :warehouse
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, at timestamptz, note varchar(20), amount numeric(10,2));
\echo :SQLSTATE
\c wh_describe_src
ALTER TABLE t ADD COLUMN id2 int;
ALTER TABLE t DROP COLUMN id;
ALTER TABLE t RENAME id2 TO id;
\c :warehouse
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, at timestamptz, note varchar(20), amount numeric(10,2));
\echo :SQLSTATE
SELECT _wh.alter_template('describe_t', query_template => $$SELECT id, at, note, amount, id AS id FROM t WHERE at >= {DAY_START} AND at < {DAY_END}$$);
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, at timestamptz, note varchar(20), amount numeric(10,2));
\echo :SQLSTATE

-- What the source does not let us see, or does not have, is told before a row.
SELECT _wh.alter_template('describe_t', query_template => $$SELECT id, '{TARGET_DATE}'::date AS d FROM secret$$, column_definitions => 'id int, d date');
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, d date);
\echo :SQLSTATE
SELECT _wh.alter_template('describe_t', query_template => $$SELECT id, '{TARGET_DATE}'::date AS d FROM nowhere$$);
SELECT * FROM _wh.fetch('describe_t', 'describe_a', '2001-01-01') AS r(id int, d date);
\echo :SQLSTATE

SET client_min_messages = warning;
SELECT _wh.drop_template('describe_t') IS NOT NULL AS dropped;
SELECT _wh.drop_template('describe_w') IS NOT NULL AS dropped;
SELECT _wh.drop_tenant('describe_a', drop_data => true) IS NOT NULL AS dropped;
DROP TYPE public.mood;
DROP DATABASE wh_describe_src;
DROP ROLE wh_describe_role;
