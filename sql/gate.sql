-- Bad templates: each is refused at once, with its SQLSTATE, and leaves no
-- row.  The functions are called as the owner.
\set VERBOSITY default
SET ROLE whadmin;
\set query 'SELECT * FROM t WHERE at >= {DAY_START} AND at < {DAY_END}'

-- The query must be one SELECT.
SELECT _wh.add_template('bad', 'SELECT 1 AS a; SELECT 2 AS a', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', '  -- nothing', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'INSERT INTO t VALUES (1)', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'UPDATE t SET a = 1', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'DELETE FROM t', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'COPY t TO STDOUT', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'WITH gone AS (DELETE FROM t RETURNING a) SELECT a FROM gone', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM (WITH gone AS (UPDATE t SET a = 1 RETURNING a) SELECT a FROM gone) q', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a INTO u FROM t', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a INTO u FROM t UNION SELECT a FROM t', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM t FOR UPDATE', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM t WHERE a IN (SELECT a FROM u FOR SHARE)', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM t WHERE a = $1', 'a integer');
\echo :SQLSTATE

-- Nothing leaves the parentheses that the query is put in.
SELECT _wh.add_template('bad', 'SELECT 1 AS a) q; DROP TABLE t; --', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT 1 AS a /* ''{TARGET_DATE}''', 'a integer');
\echo :SQLSTATE

-- A syntax error shows its place in the query.
SELECT _wh.add_template('bad', 'SELECT a FORM t WHERE ''{TARGET_DATE}''', 'a integer');
\echo :SQLSTATE

-- Placeholders.
SELECT _wh.add_template('bad', 'SELECT a FROM t', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM t WHERE d = {TODAY}', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM t WHERE d = {TARGET_DATE}', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM t WHERE at >= ''{DAY_START}''', 'a integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', 'SELECT a FROM t WHERE d = ''{TARGET_DATE}'' AND n = ''{TENANT}''', 'a integer');
\echo :SQLSTATE

-- Columns are names and types only.
SELECT _wh.add_template('bad', :'query', '');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer DEFAULT 1');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer NOT NULL');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a text COLLATE "C"');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer, PRIMARY KEY (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'LIKE pg_catalog.pg_class');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer); DROP TABLE t; --');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer); CREATE TABLE y (b integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer) INHERITS (t');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer;');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer, b text, a text');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer, schema_name text');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'ctid tid');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a wh_no_such_type');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a wh_no_such_schema.thing');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a serial');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a pg_class.oid%TYPE');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a record');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a SETOF integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a numeric(2000)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer, b ');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', repeat('c', 64) || ' integer');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query',
                        (SELECT string_agg('c' || n || ' integer', ', ') FROM generate_series(1, 1600) AS n));
\echo :SQLSTATE

-- A type of the session's own schema path is nobody else's.
CREATE TEMPORARY TABLE wh_temp_type (a integer);
SELECT _wh.add_template('bad', :'query', 'a wh_temp_type');
\echo :SQLSTATE

-- Indexes are CREATE INDEX on the slice and its columns.
SELECT _wh.add_template('bad', :'query', 'a integer', 'DROP TABLE t');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer',
                        'CREATE INDEX ON {schema}.{view_name} (a); ALTER ROLE whadmin SUPERUSER');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.other (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON pg_catalog.{view_name} (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.{view_name} (b)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.{view_name} ((abs(b)))');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.{view_name} (a) INCLUDE (b)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.{view_name} (a) WHERE b > 0');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.{view_name} (a) WHERE {view_name}.a > 0');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX CONCURRENTLY ON {schema}.{view_name} (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX IF NOT EXISTS i_{view_name} ON {schema}.{view_name} (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX idx_a ON {schema}.{view_name} (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX {view_name} ON {schema}.{view_name} (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer',
                        'CREATE INDEX i_{view_name} ON {schema}.{view_name} (a); CREATE INDEX i_{view_name} ON {view_name} (a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.{view_name} a)');
\echo :SQLSTATE
SELECT _wh.add_template('bad', :'query', 'a integer', 'CREATE INDEX ON {schema}.{table} (a)');
\echo :SQLSTATE

-- None of them left anything behind.
SELECT count(*) FROM _wh.mv_templates WHERE template_name = 'bad';

-- What looks odd and is right passes: comments, a final semicolon, braces of
-- regular expressions and arrays, VALUES, the seeds' own way to write the day.
SELECT _wh.add_template('gate comment', 'SELECT 1 AS a -- {TARGET_DATE}', 'a integer');
SELECT _wh.add_template('gate semicolon', 'SELECT ''{TARGET_DATE}''::date AS a; -- done', 'a date');
SELECT _wh.add_template('gate braces',
    $$SELECT a FROM t WHERE s ~ '^[a-z]{2,3}[0-9]{4}$' AND l = '{a,b}' AND n = '{1,2}'
      AND j = '{"K": {"V": 1}}' AND (at AT TIME ZONE 'UTC')::DATE = '{TARGET_DATE}'::DATE$$, 'a integer');
SELECT _wh.add_template('gate values', 'VALUES ({DAY_START}, {TENANT})', 'a timestamptz, b text');
SELECT _wh.add_template('gate with',
    'WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r WHERE a < 3) SELECT a FROM r, t WHERE at < {DAY_END}', 'a integer');
SELECT _wh.add_template('gate types', :'query',
    'a "char", b character varying(10)[], c timestamp(3) with time zone, d interval day to second, "E é" double precision, f information_schema.sql_identifier');
SELECT _wh.add_template('gate indexes', :'query', 'id integer, "Mixed" text, tags text[]',
    $$CREATE UNIQUE INDEX idx_{schema}_{view_name}_id ON {schema}.{view_name} (id) -- the key
      ; CREATE INDEX "{schema} {view_name} é" ON "{schema}"."{view_name}" USING btree ("Mixed" COLLATE "C" DESC) INCLUDE (id)
      ; CREATE INDEX ON {view_name} (lower("Mixed"), (tags[1])) WHERE id > 0 AND "Mixed" IS NOT NULL;$$);
SELECT template_name FROM _wh.mv_templates WHERE template_name LIKE 'gate %' ORDER BY 1;

-- The session's settings do not change how text is read.
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT _wh.add_template('bad', E'SELECT ''\\'' AS a, '' {TARGET_DATE} /* '' AS b', 'a text, b text');
\echo :SQLSTATE
RESET standard_conforming_strings;
RESET escape_string_warning;
DELETE FROM _wh.mv_templates WHERE template_name LIKE 'gate %' OR template_name = 'bad';
DROP TABLE wh_temp_type;
RESET ROLE;
