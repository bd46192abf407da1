-- The key ring file, passwords in three ways, endpoints, resealing.

-- Another ring may be in use on this server: out of the way until the end.
SELECT coalesce(nullif(current_setting('pg_warehouse.key_file', true), ''),
                regexp_replace(current_setting('data_directory'), '/[^/]+/?$', '/pg_warehouse.key')) AS ring \gset
\set run 'f=' :ring '; '
CREATE TEMP TABLE said (line text);
\set cmd :run 'if [ -e $f ]; then mv $f $f.regress; fi'
COPY said FROM PROGRAM :'cmd';

SELECT _wh.add_tenant('sealed', 'db.example.com', 'app', 'reader');
SELECT _wh.add_tenant('sealed_too', 'db2.example.com', 'app', 'reader');

-- Does the password open?  Only a connection opens it, and resealing.
CREATE FUNCTION pg_temp.reseal() RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    RETURN _wh.reseal() || ' opened';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', sqlstate || ' ' || sqlerrm, hint);
END $$;

-- No file.
SELECT _wh.set_tenant_password('sealed', 'one');
\echo :SQLSTATE

-- A superuser makes it, once.
SET ROLE whadmin;
SELECT _wh.create_key();
\echo :SQLSTATE
RESET ROLE;
BEGIN READ ONLY;
SELECT _wh.create_key();
\echo :SQLSTATE
ROLLBACK;
SELECT _wh.create_key() ~ '^[0-9a-f]{8}$' AS made;
SELECT _wh.create_key();
\echo :SQLSTATE
\set cmd :run 'stat -c %a $f; grep -cE \'^[0-9a-f]{8}:[A-Za-z0-9+/]{43}=$\' $f'
COPY said FROM PROGRAM :'cmd';
SELECT line FROM said;
TRUNCATE said;

-- Passwords: by the plain call, sealed each time anew.
SET ROLE whadmin;
SELECT _wh.set_tenant_password('sealed', 'one');
RESET ROLE;
CREATE TEMP TABLE before AS SELECT * FROM _wh.sealed_secrets;
SELECT subject, octet_length(nonce) AS nonce, octet_length(sealed) - 16 AS text FROM _wh.sealed_secrets;
SELECT _wh.set_tenant_password('sealed', 'one');
SELECT a.nonce <> b.nonce AS fresh_nonce, a.sealed <> b.sealed AS sealed_anew
FROM _wh.sealed_secrets a JOIN before b USING (subject);
SELECT pg_temp.reseal();
SELECT _wh.set_tenant_password('sealed', '');
\echo :SQLSTATE
SELECT _wh.set_tenant_password('nobody', 'one');
\echo :SQLSTATE
SELECT _wh.set_tenant_password('archive:s3', 'one');
\echo :SQLSTATE

-- It refuses what would write the statement down.
SET log_statement = 'all';
SELECT _wh.set_tenant_password('sealed', 'two');
\echo :SQLSTATE
RESET log_statement;
CREATE FUNCTION pg_temp.logged(setting text, value text, also text = NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
    PERFORM set_config(setting, value, true);
    IF also IS NOT NULL THEN PERFORM set_config(also, value, true); END IF;
    PERFORM _wh.set_tenant_password('sealed', 'two');
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN sqlstate || ' ' || detail;
END $$;
LOAD 'auto_explain';
SELECT pg_temp.logged('log_statement', 'mod');
SELECT pg_temp.logged('log_min_duration_statement', '60000');
SELECT pg_temp.logged('log_min_duration_sample', '60000');
SELECT pg_temp.logged('log_transaction_sample_rate', '0.1');
SELECT pg_temp.logged('auto_explain.log_min_duration', '60000');
SELECT pg_temp.logged('pgaudit.log', 'write');
SELECT pg_temp.logged('pgaudit.log', 'none');
SELECT pg_temp.logged('log_parser_stats', 'on');
SELECT pg_temp.logged('log_planner_stats', 'on');
SELECT pg_temp.logged('log_executor_stats', 'on');
SELECT pg_temp.logged('log_statement_stats', 'on');
SELECT pg_temp.logged('debug_print_parse', 'on');
SELECT pg_temp.logged('debug_print_rewritten', 'on');
SELECT pg_temp.logged('debug_print_plan', 'on');
SELECT pg_temp.logged('log_min_messages', 'notice', 'log_min_error_statement');
DO $$ BEGIN PERFORM _wh.set_tenant_password('sealed', 'two'); END $$;
\echo :SQLSTATE
SELECT 1 \; SELECT _wh.set_tenant_password('sealed', 'two');
\echo :SQLSTATE

-- By COPY, which leaves no statement; also with blanks for the tab.
SET ROLE whadmin;
COPY _wh.tenant_password_entry FROM STDIN;
sealed	p\\a"s's
sealed_too	Pässwörd
\.
SELECT count(*) FROM _wh.tenant_password_entry;
RESET ROLE;
SELECT subject, octet_length(sealed) - 16 AS text FROM _wh.sealed_secrets ORDER BY 1;
SELECT pg_temp.reseal();
CREATE FUNCTION pg_temp.copy(line text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    EXECUTE format('COPY _wh.tenant_password_entry FROM PROGRAM %L', 'printf ''' || line || '''');
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', sqlstate || ' ' || sqlerrm, nullif(hint, ''));
END $$;
SELECT pg_temp.copy('sealed\tthree\n');
SELECT pg_temp.copy('sealed three\n');
SELECT pg_temp.copy('sealed\tthree\tfour\n');
SELECT pg_temp.copy('sealed\tfour\nnobody\tfive\n');
SELECT pg_temp.copy('sealed\t\n');
SELECT pg_temp.copy('sealed\t\\N\n');
SELECT subject, octet_length(sealed) - 16 AS text FROM _wh.sealed_secrets ORDER BY 1;
SHOW log_min_messages;
INSERT INTO _wh.tenant_password_entry VALUES ('sealed', 'five');
\echo :SQLSTATE
INSERT INTO _wh.tenant_password_entry SELECT 'sealed', 'five' WHERE false;
SELECT _wh.tenant_password_entry_insert();
\echo :SQLSTATE
SELECT _wh.tenant_password_entry_guard();
\echo :SQLSTATE
SET ROLE phood_ro;
INSERT INTO _wh.tenant_password_entry VALUES ('sealed', 'five');
\echo :SQLSTATE
RESET ROLE;

-- From a file of the server, for a superuser.
\set file :ring '.password'
\set cmd 'printf \'six\\r\\nsecond line\\n\' > ' :file
COPY said FROM PROGRAM :'cmd';
SELECT _wh.set_tenant_password_from_file('sealed', :'file');
SELECT octet_length(sealed) - 16 AS text FROM _wh.sealed_secrets WHERE subject = 'tenant:sealed';
SET ROLE whadmin;
SELECT _wh.set_tenant_password_from_file('sealed', :'file');
\echo :SQLSTATE
RESET ROLE;
SELECT _wh.set_tenant_password_from_file('sealed', 'password');
\echo :SQLSTATE
CREATE FUNCTION pg_temp.from_file(path text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM _wh.set_tenant_password_from_file('sealed', path);
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ' ' || replace(sqlerrm, path, 'PATH');
END $$;
SELECT pg_temp.from_file(:'file' || '.missing');
SELECT pg_temp.from_file('/');
\set cmd 'ln -s ' :file ' ' :file '.link'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.from_file(:'file' || '.link');
\set cmd 'rm ' :file '.link; printf \'\\377\\376\\n\' > ' :file
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.from_file(:'file');
\set cmd 'printf \'\\n\' > ' :file
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.from_file(:'file');
\set cmd 'head -c 5000 /dev/zero > ' :file
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.from_file(:'file');
\set cmd 'rm ' :file
COPY said FROM PROGRAM :'cmd';

-- What is wrong with the ring is said.
\set cmd :run 'chmod 640 $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run 'chmod 400 $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run 'chmod 600 $f; mv $f $f.saved; ln -s $f.saved $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run 'rm $f; mkfifo -m 600 $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run 'rm $f; umask 077; : > $f'
COPY said FROM PROGRAM :'cmd';
SELECT _wh.set_tenant_password('sealed', 'seven');
\echo :SQLSTATE
\set cmd :run '(cat $f.saved; echo nonsense) > $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run '(cat $f.saved; echo short:AAAA) > $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run 'cat $f.saved $f.saved > $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run 'head -c 20000 /dev/zero > $f'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
\set cmd :run 'echo 00000000:$(head -c 32 /dev/urandom | base64) > $f'
COPY said FROM PROGRAM :'cmd';
SELECT regexp_replace(pg_temp.reseal(), '"[0-9a-f]{8}"', '"ID"');

-- Rotation: with both keys all is sealed anew under the last line.
\set cmd :run '(cat $f.saved; cat $f) > $f.both; mv $f.both $f; chmod 600 $f'
COPY said FROM PROGRAM :'cmd';
SET ROLE whadmin;
SELECT _wh.reseal();
RESET ROLE;
SELECT DISTINCT key_id FROM _wh.sealed_secrets;
\set cmd :run 'tail -n 1 $f > $f.last; chmod 600 $f.last; mv $f.last $f; rm $f.saved'
COPY said FROM PROGRAM :'cmd';
SELECT pg_temp.reseal();
SELECT action, subject, detail FROM _wh.audit_log WHERE action = 'reseal' AND role = 'whadmin';

-- A password is bound to its endpoint and its tenant.
CREATE FUNCTION pg_temp.moved(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE got text;
BEGIN
    EXECUTE change;
    got = pg_temp.reseal();
    RAISE EXCEPTION USING message = got, errcode = 'P0001';
EXCEPTION WHEN SQLSTATE 'P0001' THEN
    RETURN sqlerrm;
END $$;
SELECT pg_temp.moved($$UPDATE _wh.tenant_connections SET host = 'evil.example.com' WHERE tenant_name = 'sealed'$$);
SELECT pg_temp.moved($$UPDATE _wh.tenant_connections SET port = 5433 WHERE tenant_name = 'sealed'$$);
SELECT pg_temp.moved($$UPDATE _wh.tenant_connections SET dbname = 'other' WHERE tenant_name = 'sealed'$$);
SELECT pg_temp.moved($$UPDATE _wh.tenant_connections SET username = 'other' WHERE tenant_name = 'sealed'$$);
SELECT pg_temp.moved($$UPDATE _wh.tenant_connections SET sslmode = 'prefer' WHERE tenant_name = 'sealed'$$);
SELECT pg_temp.moved($$UPDATE _wh.sealed_secrets SET sealed = (SELECT sealed FROM _wh.sealed_secrets
    WHERE subject = 'tenant:sealed_too') WHERE subject = 'tenant:sealed'$$);
SELECT pg_temp.moved($$UPDATE _wh.sealed_secrets SET sealed = '\x00' WHERE subject = 'tenant:sealed'$$);
SELECT pg_temp.moved($$UPDATE _wh.tenant_connections SET description = 'still opens' WHERE tenant_name = 'sealed'$$);
SELECT pg_temp.moved($$SELECT _wh.rename_tenant('sealed', 'renamed')$$);

-- Nobody but a superuser reads the table; who may call, need not.
SET ROLE whadmin;
SELECT * FROM _wh.sealed_secrets;
\echo :SQLSTATE
RESET ROLE;

-- A password goes with its tenant.
SELECT _wh.drop_tenant('sealed', drop_data => true) -> 'dropped' AS dropped;
DELETE FROM _wh.tenant_connections WHERE tenant_name = 'sealed_too';
DROP SCHEMA sealed_too;
SELECT count(*) FROM _wh.sealed_secrets WHERE subject LIKE 'tenant:sealed%';
SELECT _wh.reseal();

\set cmd :run 'rm $f; if [ -e $f.regress ]; then mv $f.regress $f; fi'
COPY said FROM PROGRAM :'cmd';
