-- Live templates: a view per tenant over foreign tables of its database,
-- through a bridge that a superuser made; nothing is copied.
\set VERBOSITY default
SET datestyle = 'ISO';
SET client_min_messages = warning;
\set warehouse :DBNAME

-- Two sources alike but for their rows, with the tables of a Django application.
CREATE ROLE wh_live_ro LOGIN;
CREATE DATABASE wh_live_a;
CREATE DATABASE wh_live_b;
\c wh_live_a
CREATE TABLE accounts_customuser (id integer PRIMARY KEY, username text, email text NOT NULL, user_branch text, user_type text NOT NULL, date_joined timestamptz NOT NULL);
INSERT INTO accounts_customuser SELECT i, 'officer ' || i, 'o' || i || '@example.com', 'branch ' || i % 3, CASE WHEN i % 10 = 0 THEN 'ADMIN' ELSE 'AGENT' END, timestamptz '2024-01-01 00:00+00' + i * interval '1 day' FROM generate_series(1, 40) AS i;
CREATE TABLE loans_ajoloan (id bigint PRIMARY KEY, agent_id integer NOT NULL, amount_disbursed numeric(12,2) NOT NULL, status text NOT NULL, is_disbursed boolean NOT NULL);
INSERT INTO loans_ajoloan SELECT i, i % 40 + 1, i * 100, CASE WHEN i % 4 = 0 THEN 'CLOSED' ELSE 'OPEN' END, i % 5 <> 0 FROM generate_series(1, 200) AS i;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE moods (id integer, mood mood, note text);
INSERT INTO moods VALUES (1, 'ok', 'fine');
CREATE TABLE hidden (id integer);
CREATE SCHEMA other;
CREATE TABLE other.accounts_customuser (id integer, nickname text);
INSERT INTO other.accounts_customuser VALUES (1, 'one');
CREATE TABLE "Odd ""Table" ("Mixed" integer, "a.b" text);
INSERT INTO "Odd ""Table" VALUES (1, 'x');
GRANT USAGE ON SCHEMA other TO wh_live_ro;
GRANT SELECT ON ALL TABLES IN SCHEMA public, other TO wh_live_ro;
REVOKE ALL ON hidden FROM wh_live_ro;
\c wh_live_b
CREATE TABLE accounts_customuser (id integer PRIMARY KEY, username text, email text NOT NULL, user_branch text, user_type text NOT NULL, date_joined timestamptz NOT NULL);
INSERT INTO accounts_customuser VALUES (7, 'b seven', 'seven@example.com', 'branch b', 'AGENT', '2024-02-01 00:00+00');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO wh_live_ro;
\c :warehouse
SET datestyle = 'ISO';
SET client_min_messages = warning;
SELECT split_part(current_setting('unix_socket_directories'), ',', 1) AS socket, current_setting('port')::integer AS port \gset
SELECT _wh.add_tenant(t, :'socket', 'wh_' || t, 'wh_live_ro', :port, sslmode => 'disable', auth_method => 'trusted') FROM unnest('{live_a,live_b}'::text[]) AS t;
CREATE TABLE live_env AS SELECT :'socket'::text AS socket, :'port'::text AS port;
CREATE VIEW live_runs AS SELECT replace(error_detail, e.socket, 'SOCKET') AS detail, replace(replace(error_hint, e.socket, 'SOCKET'), e.port, 'PORT') AS hint
FROM _wh.extract_runs, live_env AS e WHERE tenant_name LIKE 'live%' ORDER BY run_id DESC LIMIT 1;
GRANT SELECT ON live_runs TO whadmin;

-- Without a bridge there is nothing to read over.
SET ROLE whadmin;
\set VERBOSITY terse
SELECT _wh.add_template('officers_live', 'SELECT id, username AS name, email, user_branch AS branch, date_joined::date AS hired FROM accounts_customuser WHERE user_type = ''AGENT''',
    materialization => 'live', tenants => '{live_a,live_b}');
\echo :SQLSTATE
\set VERBOSITY default
SELECT _wh.add_template('officers_live', 'SELECT id, username AS name, email, user_branch AS branch, date_joined::date AS hired FROM accounts_customuser WHERE user_type = ''AGENT''',
    'id bigint, name text, email text, branch text, hired date', materialization => 'live', tenants => '{live_a,live_b}');
SELECT tenant_name, status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a');
SELECT detail, hint FROM live_runs;
SELECT tenant_name, state, reason FROM _wh.v_coverage WHERE template_name = 'officers_live' ORDER BY 1;
RESET ROLE;
SELECT status, replace(replace(detail, :'socket', 'SOCKET'), :port::text, 'PORT') AS detail, fix_sql FROM _wh.wh_doctor() WHERE check_name = 'bridges' ORDER BY 2;
CREATE EXTENSION postgres_fdw;
SELECT _wh.create_bridge('live_a_bridge', :'socket', 'wh_live_a', 'wh_live_ro', :port, local_schema => 'django_db', tables => '{accounts_customuser}', options => '{"password_required": false}') ->> 'imported' AS imported;
SELECT _wh.create_bridge('live_b_bridge', :'socket', 'wh_live_b', 'wh_live_ro', :port, options => '{"password_required": false}') ->> 'imported' AS imported;

-- What would be done, and what is.
SET ROLE whadmin;
SELECT tenant_name, remote_sql, local_sql, relation, locks, note, method FROM _wh.wh_plan('officers_live', 'live_a');
SELECT tenant_name, status FROM _wh.wh_refresh('officers_live', dry_run => true) ORDER BY 1;
SELECT tenant_name, period_start, status, method, rows, bytes FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT c.oid::regclass, relkind, relowner::regrole, has_table_privilege('phood_ro', c.oid, 'SELECT') AS reader FROM pg_class AS c
WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^live_[ab](__src)?$') ORDER BY c.oid::regclass::text COLLATE "C";
SELECT regexp_replace(substring(pg_get_viewdef('live_a.officers_live') FROM 'FROM \(.*'), '\s+', ' ', 'g') AS definition;
SELECT tenant_name, period_kind, state, row_count, size_bytes, method, as_of IS NOT NULL AS as_of FROM _wh.slices WHERE template_name = 'officers_live' ORDER BY 1;
SELECT tenant_name, kind, status, method, rows_loaded, context ->> 'reason' AS reason FROM _wh.extract_runs WHERE template_name = 'officers_live' AND status = 'loaded' ORDER BY 1;
SELECT tenant_name, day, state, row_count, reason FROM _wh.v_coverage WHERE template_name = 'officers_live' ORDER BY 1;
SELECT tenant_name, state, lag FROM _wh.v_table_freshness WHERE template_name = 'officers_live' ORDER BY 1;
SELECT tenant_name, state, slices, row_count, total_bytes FROM _wh.wh_status() WHERE template_name = 'officers_live';
SELECT tenant_name, relations, rows, total_bytes, index_bytes FROM _wh.v_storage WHERE template_name = 'officers_live' ORDER BY 1;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%live%';

SELECT check_name, status, detail FROM _wh.wh_doctor() WHERE status <> 'ok' AND detail LIKE '%officers_live%';

-- A second refresh finds all as it should be, and writes neither view nor table.
CREATE FUNCTION live_made(relation regclass) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(r.xmin::text, ' ' ORDER BY r.oid) FROM pg_rewrite AS r WHERE ev_class = relation $$;
SELECT live_made('live_a.officers_live') AS made, 'live_a.officers_live'::regclass::oid AS view, 'live_a__src.accounts_customuser'::regclass::oid AS source \gset
SELECT status, method FROM _wh.wh_refresh('officers_live', 'live_a');
SELECT context ->> 'reason' AS reason FROM _wh.extract_runs WHERE template_name = 'officers_live' ORDER BY run_id DESC LIMIT 1;
SELECT live_made('live_a.officers_live') = :'made' AS untouched, 'live_a__src.accounts_customuser'::regclass::oid = :source AS same;

-- Readers need no mapping; conditions, limits and columns are the source's work.
RESET ROLE;
SET ROLE phood_ro;
SELECT * FROM live_a.officers_live WHERE id = 7;
SELECT schema_name, count(*) FROM public.officers_live GROUP BY 1 ORDER BY 1;
SELECT * FROM live_a__src.accounts_customuser;
\echo :SQLSTATE
EXPLAIN (VERBOSE, COSTS OFF) SELECT name FROM live_a.officers_live WHERE id = 7;
EXPLAIN (VERBOSE, COSTS OFF) SELECT name FROM live_a.officers_live WHERE branch <> 'branch 1' LIMIT 3;
EXPLAIN (VERBOSE, COSTS OFF) SELECT name FROM live_a.officers_live WHERE hired >= '2024-02-01' AND email IN ('o1@example.com', 'o2@example.com');
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM live_a.officers_live;
EXPLAIN (VERBOSE, COSTS OFF) SELECT id, name FROM public.officers_live WHERE schema_name = 'live_a' AND id > 7 LIMIT 1;
EXPLAIN (VERBOSE, COSTS OFF) SELECT id, name FROM public.officers_live WHERE id = 7;
SELECT schema_name, id, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
PREPARE by_id AS SELECT schema_name, name FROM public.officers_live WHERE id = $1 ORDER BY 1;
EXECUTE by_id(7);
SET pg_warehouse.expand_views = off;
SELECT schema_name, id, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
RESET pg_warehouse.expand_views;
RESET ROLE;

-- What changes at the source is there with the next query.
\c wh_live_a
UPDATE accounts_customuser SET username = 'renamed' WHERE id = 7;
\c :warehouse
SET datestyle = 'ISO';
SET client_min_messages = warning;
SELECT name FROM live_a.officers_live WHERE id = 7;
SET ROLE whadmin;

-- Columns inferred here; a live template may read other live ones, and tables
-- that the owner keeps in the tenant's schema, as the document's loans do.
CREATE TABLE live_a.loans_computed (loan_id text PRIMARY KEY, current_dpd integer, max_dpd_ever integer);
INSERT INTO live_a.loans_computed VALUES ('1', 3, 9), ('2', 0, 1);
\set loans 'SELECT dl.id::varchar(50) AS loan_id, dl.agent_id, o.name AS officer_name, dl.amount_disbursed AS loan_amount, lc.current_dpd, lc.max_dpd_ever FROM django_db.loans_ajoloan dl LEFT JOIN officers_live o ON dl.agent_id = o.id LEFT JOIN live_a.loans_computed lc ON dl.id::varchar(50) = lc.loan_id WHERE dl.is_disbursed = TRUE'
SELECT _wh.add_template('loans_live', :'loans', materialization => 'live', tenants => '{live_a}');
SELECT column_definitions FROM _wh.mv_templates WHERE template_name = 'loans_live';
SELECT count(*) FROM pg_class WHERE relname = 'loans_ajoloan' AND relnamespace = 'live_a__src'::regnamespace;
SELECT status, method FROM _wh.wh_refresh('loans_live');
SELECT * FROM live_a.loans_live WHERE loan_id IN ('1', '2', '3') ORDER BY loan_id;
CREATE FUNCTION pg_temp.foreign_scans(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE line text; n bigint := 0;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        n := n + (line LIKE '%Remote SQL: %')::integer;
    END LOOP;
    RETURN n;
END $$;
SELECT pg_temp.foreign_scans('SELECT loan_id FROM live_a.loans_live WHERE agent_id = 7') AS one_join_at_the_source;
SELECT schema_name, count(*) FROM public.loans_live GROUP BY 1;

-- Names: of other schemas, with quotes, of WITH queries, in every corner.
SELECT _wh.add_template('names_live', $$
WITH accounts_customuser AS (SELECT id, nickname FROM other.accounts_customuser), later AS (SELECT * FROM accounts_customuser)
SELECT l.id, l.nickname, u.username, accounts_customuser.nickname AS again, "Odd ""Table"."Mixed", o."a.b",
       (SELECT count(*) FROM public.loans_ajoloan WHERE public.loans_ajoloan.agent_id = l.id) AS loans,
       EXISTS (SELECT FROM pg_class WHERE relname = 'pg_class') AS here, {TENANT} AS tenant
FROM later AS l JOIN accounts_customuser ON true
     JOIN public.accounts_customuser AS u ON u.id = l.id, "Odd ""Table", "Odd ""Table" AS o
WHERE l.id IN (SELECT agent_id FROM loans_ajoloan UNION ALL SELECT id FROM moods)$$,
    materialization => 'live', tenants => '{live_a}');
SELECT column_definitions FROM _wh.mv_templates WHERE template_name = 'names_live';
SELECT status, method FROM _wh.wh_refresh('names_live');
SELECT * FROM live_a.names_live;
SELECT relname FROM pg_class WHERE relnamespace = 'live_a__src'::regnamespace ORDER BY relname COLLATE "C";
SELECT status FROM _wh.wh_refresh('names_live');
SELECT context ->> 'reason' AS reason FROM _wh.extract_runs WHERE template_name = 'names_live' ORDER BY run_id DESC LIMIT 1;

-- Another query: the tables that nobody reads any more go.
SELECT _wh.alter_template('names_live', query_template => 'SELECT 1 AS id, {TENANT} AS tenant FROM moods', column_definitions => 'id integer, tenant text');
SELECT tenant_name, state, reason FROM _wh.v_coverage WHERE template_name = 'names_live';
SELECT status, method FROM _wh.wh_refresh('names_live');
SELECT * FROM live_a.names_live;
SELECT relname FROM pg_class WHERE relnamespace = 'live_a__src'::regnamespace ORDER BY relname COLLATE "C";

-- The source moves on: a column that is new, one of another type, one that is
-- gone.  Each template is mended by its own refresh; one that reads the same
-- table goes on as it was until then.
RESET ROLE;
\c wh_live_a
ALTER TABLE accounts_customuser ADD COLUMN phone text, ALTER COLUMN user_branch TYPE varchar(80);
ALTER TABLE accounts_customuser DROP COLUMN email;
\c :warehouse
SET datestyle = 'ISO';
SET client_min_messages = warning;
SET ROLE whadmin;
SELECT column_name, change FROM _wh.drift('officers_live', 'live_a');
SELECT change, message FROM _wh.drift('officers_live', 'live_a');
SELECT name FROM live_a.officers_live WHERE id = 7;
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a');
SELECT detail, hint FROM live_runs;
SELECT _wh.add_template('branches_live', 'SELECT id, user_branch, phone FROM accounts_customuser', 'id integer, user_branch text, phone text', materialization => 'live', tenants => '{live_a}');
SELECT status FROM _wh.wh_refresh('branches_live');
SELECT regexp_replace(relname, '\.\d+$', '.OID') FROM pg_class WHERE relnamespace = 'live_a__src'::regnamespace ORDER BY relname COLLATE "C";
SELECT name FROM live_a.officers_live WHERE id = 7;
SELECT * FROM live_a.branches_live WHERE id = 7;
SELECT _wh.alter_template('officers_live', query_template => 'SELECT id, username AS name, user_branch AS branch, date_joined::date AS hired FROM accounts_customuser WHERE user_type = ''AGENT''');
SELECT column_name, declared_type, source_type, change FROM _wh.drift('officers_live', 'live_a');
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a');
SELECT detail, hint FROM live_runs;
SELECT _wh.alter_template('officers_live', on_drift => 'adapt');
SELECT tenant_name, status FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT context -> 'drift' AS drift FROM _wh.extract_runs WHERE template_name = 'officers_live' ORDER BY run_id DESC LIMIT 1;
SELECT * FROM live_a.officers_live WHERE id = 7;
SELECT relname FROM pg_class WHERE relnamespace = 'live_a__src'::regnamespace ORDER BY relname COLLATE "C";
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%live%';

-- Other columns: what people gave the view stays, what they built on it is in
-- the way.
GRANT SELECT ON live_a.officers_live TO wh_monitor;
COMMENT ON VIEW live_a.officers_live IS 'our officers';
COMMENT ON COLUMN live_a.officers_live.name IS 'as they call themselves';
CREATE VIEW live_a.on_officers AS SELECT id FROM live_a.officers_live;
SELECT _wh.alter_template('officers_live', query_template => 'SELECT id::bigint AS id, username AS name, user_branch::text AS branch FROM accounts_customuser WHERE user_type = ''AGENT''',
    column_definitions => 'id bigint, branch text, name text', on_drift => 'fail');
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a');
SELECT _wh.alter_template('officers_live', on_drift => 'adapt');
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a');
DROP VIEW live_a.on_officers;
SELECT tenant_name, status, message FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT * FROM live_a.officers_live WHERE id = 7;
SELECT has_table_privilege('wh_monitor', 'live_a.officers_live', 'SELECT') AS kept, obj_description('live_a.officers_live'::regclass) AS comment, col_description('live_a.officers_live'::regclass, 3) AS of_column;
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;

-- Cached and back: rows are kept here, then they are not; the public view and
-- what the relation was given stay.
SELECT _wh.alter_template('officers_live', materialization => 'snapshot', options => '{"freshness_target": "1 hour"}',
    indexes => 'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id)');
SELECT tenant_name, state, reason FROM _wh.v_coverage WHERE template_name = 'officers_live' ORDER BY 1;
SELECT relation, note, method FROM _wh.wh_plan('officers_live', 'live_a');
SELECT tenant_name, status, method, rows FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT relkind, has_table_privilege('wh_monitor', oid, 'SELECT') AS kept, obj_description(oid) AS comment FROM pg_class WHERE oid = 'live_a.officers_live'::regclass;
SELECT tenant_name, state, row_count, reason FROM _wh.v_coverage WHERE template_name = 'officers_live' ORDER BY 1;
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
SELECT * FROM live_a.loans_live WHERE loan_id = '6';
SELECT count(*) FROM pg_namespace WHERE nspname = 'live_b__src';
SELECT relname FROM pg_class WHERE relnamespace = 'live_a__src'::regnamespace ORDER BY relname COLLATE "C";
SELECT _wh.alter_template('officers_live', materialization => 'live');
SELECT * FROM _wh.fetch('officers_live', 'live_a', NULL) AS r (id bigint, branch text, name text);
\echo :SQLSTATE
SELECT tenant_name, status, method FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT context ->> 'reason' AS reason FROM _wh.extract_runs WHERE template_name = 'officers_live' ORDER BY run_id DESC LIMIT 1;
SELECT relkind, has_table_privilege('wh_monitor', oid, 'SELECT') AS kept, obj_description(oid) AS comment FROM pg_class WHERE oid = 'live_a.officers_live'::regclass;
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
SELECT _wh.alter_template('officers_live', query_template => 'SELECT id::bigint AS id, username AS name, user_branch::text AS branch, date_joined FROM accounts_customuser WHERE user_type = ''AGENT''',
    column_definitions => 'id bigint, branch text, name text, date_joined timestamptz', materialization => 'incremental', key_columns => '{id}', watermark_column => 'date_joined', indexes => '');
SELECT status, method, rows FROM _wh.wh_refresh('officers_live', 'live_a');
SELECT relkind, has_table_privilege('wh_monitor', oid, 'SELECT') AS kept, obj_description(oid) AS comment FROM pg_class WHERE oid = 'live_a.officers_live'::regclass;
SELECT * FROM live_a.loans_live WHERE loan_id = '6';
ALTER TABLE live_a.officers_live ADD COLUMN mine text;
SELECT _wh.alter_template('officers_live', materialization => 'live');
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a');
ALTER TABLE live_a.officers_live DROP COLUMN mine;
SELECT tenant_name, status, method FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT relkind, has_table_privilege('wh_monitor', oid, 'SELECT') AS kept, obj_description(oid) AS comment FROM pg_class WHERE oid = 'live_a.officers_live'::regclass;
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%live%';

SELECT * FROM live_a.loans_live WHERE loan_id = '6';

-- What another live template needs cannot be taken from under it.
SELECT _wh.alter_template('officers_live', query_template => 'SELECT id::bigint AS id, user_branch::text AS branch, date_joined FROM accounts_customuser',
    column_definitions => 'id bigint, branch text, date_joined timestamptz');
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a');
SELECT detail, hint FROM live_runs;
SELECT name FROM live_a.officers_live WHERE id = 7;
SELECT _wh.drop_template('loans_live', drop_data => true);
SELECT _wh.alter_template('officers_live', query_template => 'SELECT id::bigint AS id, username AS name, user_branch::text AS branch, date_joined FROM accounts_customuser WHERE user_type = ''AGENT''',
    column_definitions => 'id bigint, branch text, name text, date_joined timestamptz');
SELECT status FROM _wh.wh_refresh('officers_live', 'live_a');

-- The layout union shows the views themselves.
SELECT _wh.alter_template('officers_live', options => '{"view_layout": "union"}');
SELECT tenant_name, status FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT definition FROM _wh.published_views WHERE template_name = 'officers_live';
SELECT name FROM public.officers_live WHERE schema_name = 'live_b' AND id = 7;
SELECT _wh.alter_template('officers_live', query_template => 'SELECT id::bigint AS id, username AS name FROM accounts_customuser WHERE user_type = ''AGENT''',
    column_definitions => 'name text, id bigint', reset => '{key_columns,watermark_column}');
SELECT tenant_name, status, message FROM _wh.wh_refresh('officers_live') ORDER BY 1;
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%live%';
SELECT _wh.alter_template('officers_live', options => '{}');
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;

-- What cannot be.
SELECT _wh.add_template('bad_live', 'SELECT id FROM accounts_customuser WHERE date_joined >= {DAY_START}', 'id integer', materialization => 'live');
\echo :SQLSTATE
SELECT _wh.add_template('bad_live', 'INSERT INTO accounts_customuser VALUES (1)', 'id integer', materialization => 'live');
\echo :SQLSTATE
SELECT _wh.add_template('bad_live', 'SELECT id FROM hidden', 'id integer', materialization => 'live', tenants => '{live_a}');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT detail, hint FROM live_runs;
SELECT _wh.alter_template('bad_live', query_template => 'SELECT id FROM nowhere');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT detail, hint FROM live_runs;
SELECT _wh.alter_template('bad_live', query_template => 'SELECT id FROM elsewhere.nowhere');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT _wh.alter_template('bad_live', query_template => 'SELECT mood::text, id FROM moods', column_definitions => 'id integer, mood text');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT detail FROM live_runs;
SELECT _wh.alter_template('bad_live', query_template => 'SELECT * FROM moods');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT detail FROM live_runs;
SELECT _wh.alter_template('bad_live', query_template => 'SELECT id, note FROM moods', column_definitions => 'id integer, note text');
SELECT status FROM _wh.wh_refresh('bad_live');
SELECT * FROM live_a.bad_live;
SELECT _wh.alter_template('bad_live', query_template => 'SELECT id, note FROM bad_live');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT detail, hint FROM live_runs;
SELECT _wh.add_template('way_round_live', 'SELECT id, note FROM bad_live', 'id integer, note text', materialization => 'live', tenants => '{live_a}');
SELECT status FROM _wh.wh_refresh('way_round_live');
SELECT _wh.alter_template('bad_live', query_template => 'SELECT id, note FROM way_round_live');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT _wh.alter_template('bad_live', query_template => 'SELECT id, note FROM public.bad_live');
SELECT status, sqlstate, message FROM _wh.wh_refresh('bad_live');
SELECT _wh.drop_template('bad_live', drop_data => true);
\echo :SQLSTATE
SELECT _wh.drop_template('way_round_live', drop_data => true);
SELECT _wh.drop_template('bad_live', drop_data => true);
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a', method => 'delta');
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_a', prove => true);
SELECT status, method FROM _wh.wh_refresh('officers_live', 'live_a', method => 'live');
SELECT method, note FROM _wh.wh_plan('officers_live', 'live_a', method => 'delta');
SELECT tenant_name, phase, gate, ok, regexp_replace(detail, 'run \d+', 'run N') AS detail FROM _wh.verify_gates('officers_live', 'live_a') WHERE gate NOT IN ('roles', 'connection');
SELECT * FROM _wh.reconcile('officers_live', 'live_a');
\echo :SQLSTATE
SELECT _wh.create_combined_table_from_template_by_year('officers_live', 'live_a', 2023);
\echo :SQLSTATE
SELECT _wh.reseed('officers_live', 'live_a');
\echo :SQLSTATE
SELECT _wh.create_mv_from_template('officers_live', 'live_a'), _wh.update_mv_by_template('officers_live', 'live_a');
SELECT _wh.add_template('taken_live', 'SELECT id FROM accounts_customuser', 'id integer', materialization => 'live', tenants => '{live_a}');
CREATE TABLE live_a.taken_live ();
SELECT status, sqlstate, message FROM _wh.wh_refresh('taken_live');
DROP TABLE live_a.taken_live;
SELECT _wh.drop_template('taken_live');
SELECT _wh.add_tenant('of_mine__src', 'localhost', 'x', 'y');
\echo :SQLSTATE

-- What depends_on lists is the tenant's relation here, and comes first; z_agents
-- is one by days, of which there is no view before.
SELECT _wh.add_template('loans_ajoloan', 'SELECT id, agent_id FROM loans_ajoloan WHERE agent_id = 7 AND id % 2 = 0', 'id bigint, agent_id integer', materialization => 'snapshot', tenants => '{live_a}');
SELECT _wh.add_template('z_agents', 'SELECT {DAY_START}::date AS day, id AS agent_id, username AS name FROM accounts_customuser WHERE id = 7', 'day date, agent_id integer, name text', time_column => 'day', tenants => '{live_a}');
SELECT _wh.add_template('first_live', 'SELECT o.id, count(DISTINCT l.id) AS loans, min(z.name) AS name FROM accounts_customuser AS o JOIN loans_ajoloan AS l ON l.agent_id = o.id JOIN z_agents AS z ON z.agent_id = o.id GROUP BY o.id',
    'id integer, loans bigint, name text', materialization => 'live', tenants => '{live_a}', options => '{"depends_on": ["loans_ajoloan", "z_agents"]}');
SELECT status, sqlstate, message FROM _wh.wh_refresh('first_live');
SELECT detail, hint FROM live_runs;
SELECT template_name, status, method FROM _wh.wh_refresh(tenant => 'live_a') WHERE template_name IN ('first_live', 'loans_ajoloan', 'z_agents');
SELECT f.*, f.loans = (SELECT count(*) FROM live_a.loans_ajoloan) AS of_here FROM live_a.first_live AS f;
SELECT state, stale_because FROM _wh.v_table_freshness WHERE table_name LIKE '%first_live%';
SELECT _wh.drop_template('z_agents', drop_data => true);
\echo :SQLSTATE
SELECT count(_wh.drop_template(name, drop_data => true)) FROM unnest('{first_live,loans_ajoloan,z_agents}'::text[]) AS name;

-- A tenant is renamed: schema, foreign tables, views and what they say.
SELECT _wh.rename_tenant('live_a', 'live_aa', rename_schema => true);
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
SELECT * FROM live_aa.names_live;
SELECT relnamespace::regnamespace, relname FROM pg_class WHERE relnamespace = 'live_aa__src'::regnamespace ORDER BY relname COLLATE "C";
SELECT r.template_name, r.tenant_name, r.status FROM unnest('{branches_live,names_live,officers_live}'::text[]) AS t, _wh.wh_refresh(t, 'live_aa') AS r ORDER BY 1;
SELECT * FROM _wh.wh_check() WHERE subject LIKE '%live%';
SELECT count(*) FROM pg_namespace WHERE nspname ~ '^live_a(__src)?$';

-- The bridge: named by the doctor, and not dropped under what reads over it.
RESET ROLE;
SELECT status, detail FROM _wh.wh_doctor() WHERE check_name = 'bridges' ORDER BY 2;
SELECT _wh.drop_bridge('live_a_bridge');
\echo :SQLSTATE
SELECT _wh.alter_bridge('live_b_bridge', '{"dbname": "wh_nowhere"}');
SELECT schema_name, name FROM public.officers_live WHERE schema_name = 'live_aa' AND id = 7;
\set VERBOSITY terse
SELECT name FROM live_b.officers_live;
\echo :SQLSTATE
\set VERBOSITY default
SELECT status, sqlstate, message FROM _wh.wh_refresh('officers_live', 'live_b');
SELECT tenant_name, state FROM _wh.v_coverage WHERE template_name = 'officers_live' ORDER BY 1;
SELECT _wh.alter_bridge('live_b_bridge', '{"dbname": "wh_live_b"}');
SELECT status FROM _wh.wh_refresh('officers_live', 'live_b');
-- Of two bridges to one database, the one named like the tenant.
SELECT _wh.create_bridge('live_b', :'socket', 'wh_live_b', 'wh_live_ro', :port, local_schema => 'live_b_db', tables => '{accounts_customuser}', options => '{"password_required": false}') ->> 'imported' AS imported;
SELECT status FROM _wh.wh_refresh('officers_live', 'live_b');
SELECT srvname FROM pg_foreign_table JOIN pg_foreign_server AS s ON s.oid = ftserver WHERE ftrelid = 'live_b__src.accounts_customuser'::regclass;
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
SELECT _wh.drop_bridge('live_b_bridge');

-- The extension goes: the views stand without it.
BEGIN;
SELECT line FROM _wh.detach_all() AS line WHERE line LIKE '%live%' ORDER BY line COLLATE "C";
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
ROLLBACK;

-- A tenant goes with all that it had, another keeps its view; then the rest.
SET ROLE whadmin;
SELECT _wh.drop_tenant('live_aa', drop_data => true, dry_run => true) - 'runs';
DROP TABLE live_aa.loans_computed;
SELECT _wh.drop_tenant('live_aa', drop_data => true) - 'runs';
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'live_aa%';
SELECT schema_name, name FROM public.officers_live WHERE id = 7 ORDER BY 1;
SELECT _wh.drop_template('officers_live', dry_run => true);
SELECT _wh.drop_template('officers_live');
SELECT name FROM live_b.officers_live WHERE id = 7;
SELECT _wh.drop_tenant('live_b');
RESET ROLE;
SELECT _wh.drop_bridge('live_b');
\echo :SQLSTATE
DROP VIEW live_b.officers_live;
SELECT _wh.drop_bridge('live_b');
SELECT _wh.drop_bridge('live_a_bridge');
SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%\_\_src';
SELECT _wh.drop_template(template_name) IS NOT NULL AS dropped FROM _wh.mv_templates WHERE template_name LIKE '%live' ORDER BY template_name;

DROP FUNCTION live_made;
DROP VIEW live_runs;
DROP TABLE live_env;
DROP SCHEMA live_b;
DROP EXTENSION postgres_fdw;
DROP DATABASE wh_live_a;
DROP DATABASE wh_live_b;
DROP ROLE wh_live_ro;
