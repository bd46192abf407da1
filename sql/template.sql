-- _wh.mv_templates itself: a plain INSERT or UPDATE by the owner is checked
-- like _wh.add_template(), and given values are kept.
\set VERBOSITY default
SET ROLE whadmin;
\set query 'SELECT id, at FROM t WHERE at >= {DAY_START} AND at < {DAY_END}'
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions)
VALUES ('tmpl', :'query', 'id integer, at timestamptz');
SELECT materialization, source, lookback_days, on_drift, options, tenants, version, enabled
FROM _wh.mv_templates WHERE template_name = 'tmpl';

-- The query that is wrong is shown with its place.
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions)
VALUES ('bad', 'SELECT FROM WHERE {DAY_START}', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions)
VALUES ('bad', 'DELETE FROM t', 'id integer');
\echo :SQLSTATE

-- What is missing: columns cannot be inferred here.
INSERT INTO _wh.mv_templates (template_name, query_template) VALUES ('bad', :'query');
\echo :SQLSTATE
\set VERBOSITY terse
INSERT INTO _wh.mv_templates (template_name, column_definitions) VALUES ('bad', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions, options)
VALUES ('bad', :'query', 'id integer', NULL);
\echo :SQLSTATE
\set VERBOSITY default

-- Names.
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES ('', :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES (repeat('x', 53), :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES (repeat('é', 27), :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES ('x_2024', :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES ('x_2024_01', :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES ('x_2024_01_01', :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES (E'x\ny', :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions) VALUES ('tmpl', :'query', 'id integer');
\echo :SQLSTATE
INSERT INTO _wh.mv_templates (template_name, query_template, column_definitions)
SELECT name, :'query', 'id integer' FROM (VALUES (repeat('x', 52)), ('Mixed Case'), ('with "quotes"'), ('gebühr é'), ('x_24'), ('y2024')) AS v (name);
SELECT template_name FROM _wh.mv_templates WHERE query_template = :'query' ORDER BY template_name COLLATE "C";
DELETE FROM _wh.mv_templates WHERE query_template = :'query' AND template_name <> 'tmpl';

-- Words: unknown ones, and known ones that are not built.
UPDATE _wh.mv_templates SET materialization = 'weekly' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET materialization = 'snapshot' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET source = 'elsewhere' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET source = 'local' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET on_drift = 'ignore' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET lookback_days = -1 WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET lookback_days = 3701 WHERE template_name = 'tmpl';
\echo :SQLSTATE
\set VERBOSITY terse
UPDATE _wh.mv_templates SET version = 0 WHERE template_name = 'tmpl';
\echo :SQLSTATE
\set VERBOSITY default

-- Settings that name columns or tenants.
UPDATE _wh.mv_templates SET time_column = 'nope' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET time_column = 'id' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET key_columns = '{id,nope}' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET key_columns = '{}' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET key_columns = '{id,id}' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET watermark_column = 'nope' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET tenants = '{tenant_a,NULL}' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET tenants = '{}' WHERE template_name = 'tmpl';
\echo :SQLSTATE

-- Options: known keys, each with its shape.
UPDATE _wh.mv_templates SET options = '[]' WHERE template_name = 'tmpl';
\echo :SQLSTATE
UPDATE _wh.mv_templates SET options = '{"frosen": true}' WHERE template_name = 'tmpl';
\echo :SQLSTATE
CREATE FUNCTION pg_temp.try_options(given jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    message text;
    hint text;
BEGIN
    UPDATE _wh.mv_templates SET options = given WHERE template_name = 'tmpl';
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', state, message, hint);
END $$;
SELECT given, pg_temp.try_options(given::jsonb) FROM (VALUES
    ('{"start_date": "2024-02-29"}'), ('{"start_date": "2023-02-29"}'), ('{"start_date": "0000-01-01"}'),
    ('{"start_date": "01/02/2024"}'), ('{"start_date": "infinity"}'), ('{"start_date": 20240101}'), ('{"start_date": null}'),
    ('{"frozen": true}'), ('{"frozen": "yes"}'),
    ('{"max_rows": 1000}'), ('{"max_rows": 0}'), ('{"max_rows": -1}'), ('{"max_rows": 1.5}'), ('{"max_rows": 1e30}'),
    ('{"max_bytes": 1000000}'), ('{"max_bytes": "1 GB"}'), ('{"max_field_bytes": 1000}'), ('{"max_field_bytes": []}'),
    ('{"public_view": false}'), ('{"public_view": {}}'),
    ('{"daily_tablespace": "pg_default"}'), ('{"daily_tablespace": ""}'),
    ('{"view_layout": "union"}'), ('{"view_layout": "expand"}'), ('{"view_layout": "tree"}'),
    ('{"on_conflict": "nothing"}'), ('{"on_conflict": "ignore"}'),
    ('{"recheck_days": [2, 7]}'), ('{"recheck_days": [2, "7"]}'), ('{"recheck_days": 2}'),
    ('{"max_shrink": 0.25}'), ('{"max_shrink": 2}'), ('{"max_shrink": "0.5"}'),
    ('{"depends_on": ["other"]}'), ('{"depends_on": "other"}'),
    ('{"storage_options": {"fillfactor": 90}}'), ('{"storage_options": "fillfactor=90"}'), ('{"storage_options": {}}'),
    ('{"storage_options": {"fillfactor": [90]}}'), ('{"storage_options": {".x": 1}}'), ('{"tablespace": "cold"}'), ('{"access_method": ""}'),
    ('{"daily_retention": "90 days"}'), ('{"archive": true}'),
    ('{"freshness_target": "26 hours"}'), ('{"freshness_target": "soon"}'), ('{"freshness_target": "-1 day"}'),
    ('{"freshness_target": "0"}'), ('{"freshness_target": 26}'), ('{"overlap": "1 h"}')) AS v (given);

-- A change of the text raises the version; a version that is given stays.
UPDATE _wh.mv_templates SET options = '{}', version = 1, updated_at = '2001-01-01' WHERE template_name = 'tmpl';
SELECT version, updated_at = '2001-01-01' AS kept FROM _wh.mv_templates WHERE template_name = 'tmpl';
UPDATE _wh.mv_templates SET description = 'not read by anything' WHERE template_name = 'tmpl' RETURNING version, updated_at = now() AS touched;
UPDATE _wh.mv_templates SET query_template = query_template || ' ' WHERE template_name = 'tmpl' RETURNING version, updated_at = now() AS touched;
UPDATE _wh.mv_templates SET column_definitions = 'id bigint, at timestamptz' WHERE template_name = 'tmpl' RETURNING version;
UPDATE _wh.mv_templates SET indexes = 'CREATE INDEX ON {schema}.{view_name} (id)' WHERE template_name = 'tmpl' RETURNING version;
UPDATE _wh.mv_templates SET indexes = NULL WHERE template_name = 'tmpl' RETURNING version;
UPDATE _wh.mv_templates SET query_template = :'query', version = 9, updated_at = '2002-02-02' WHERE template_name = 'tmpl'
RETURNING version, updated_at = '2002-02-02' AS kept;

-- The name stays.
UPDATE _wh.mv_templates SET template_name = 'other' WHERE template_name = 'tmpl';
\echo :SQLSTATE

-- A dump's rows come back equal, in one COPY.
CREATE TEMPORARY TABLE saved AS SELECT * FROM _wh.mv_templates WHERE template_name = 'tmpl';
DELETE FROM _wh.mv_templates WHERE template_name = 'tmpl';
INSERT INTO _wh.mv_templates SELECT * FROM saved;
SELECT s IS NOT DISTINCT FROM t AS equal FROM saved AS s, _wh.mv_templates AS t WHERE t.template_name = 'tmpl';
DELETE FROM _wh.mv_templates WHERE template_name = 'tmpl';
DROP TABLE saved;

-- The trigger function is no function to call.
RESET ROLE;
SELECT _wh.template_trigger();
\echo :SQLSTATE
