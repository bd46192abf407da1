-- conn: one connection to one tenant, that cannot leak, cannot hang and cannot
-- write; and each way in which a tenant can fail to answer.
\set VERBOSITY default
\set warehouse :DBNAME
SET client_min_messages = warning;
CREATE DATABASE wh_conn_src;
CREATE ROLE wh_conn_role LOGIN;
\c wh_conn_src
CREATE SEQUENCE seq;
GRANT ALL ON SEQUENCE seq TO wh_conn_role;
CREATE FUNCTION noisy() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'nobody wants to hear this';
	RETURN 1;
END$$;
CREATE FUNCTION forge() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'P0042', MESSAGE = E'red \x1b[31m alert\nsecond line',
		DETAIL = 'a row of the source', HINT = 'a hint of the source';
END$$;
CREATE FUNCTION babble() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION '%', repeat(U&'\00e9', 5000);
END$$;
\c :warehouse
SET client_min_messages = warning;
SELECT split_part(current_setting('unix_socket_directories'), ',', 1) AS socket,
       current_setting('port')::integer AS port \gset
SELECT _wh.add_tenant('conn_a', :'socket', 'wh_conn_src', 'wh_conn_role', :port,
                      sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.add_template('conn_t',
    $$SELECT current_setting('TimeZone') AS zone, current_setting('DateStyle') AS style,
             current_setting('IntervalStyle') AS intervals, current_setting('extra_float_digits') AS digits,
             current_setting('transaction_isolation') AS isolation, current_setting('transaction_read_only') AS read_only,
             current_setting('lock_timeout') AS locks, current_setting('idle_in_transaction_session_timeout') AS idle,
             current_setting('application_name') AS name, current_setting('statement_timeout') AS statement
      WHERE '{TARGET_DATE}'::date IS NOT NULL$$,
    'zone text, style text, intervals text, digits text, isolation text, read_only text, locks text, idle text, name text, statement text');

-- Every hop.
SELECT tenant_name, step, ok, CASE WHEN step = 'version' THEN detail ~ '^PostgreSQL [0-9.]+$' END AS version, fix
FROM _wh.test_tenant('conn_a');
SELECT step, detail FROM _wh.test_tenant('conn_a') WHERE step <> 'version';
SELECT * FROM _wh.test_tenant('nobody');
\echo :SQLSTATE

-- The session is pinned, whatever the role brings along.
ALTER ROLE wh_conn_role SET TimeZone = 'Asia/Tokyo';
ALTER ROLE wh_conn_role SET DateStyle = 'German';
ALTER ROLE wh_conn_role SET default_transaction_isolation = 'serializable';
ALTER ROLE wh_conn_role SET client_encoding = 'LATIN1';
\x on
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(zone text, style text, intervals text, digits text,
    isolation text, read_only text, locks text, idle text, name text, statement text);
\x off

-- The tenant's own statement_timeout stays, unless the run's is shorter.
CREATE VIEW conn_statement AS
SELECT statement FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(zone text, style text, intervals text, digits text,
    isolation text, read_only text, locks text, idle text, name text, statement text);
SET pg_warehouse.run_timeout = '50s';
SELECT * FROM conn_statement;
ALTER ROLE wh_conn_role SET statement_timeout = '40s';
SELECT * FROM conn_statement;
SET pg_warehouse.run_timeout = '30s';
SELECT * FROM conn_statement;
RESET pg_warehouse.run_timeout;
SELECT * FROM conn_statement;
DROP VIEW conn_statement;
ALTER ROLE wh_conn_role RESET ALL;

-- Nothing can write there, nor make the transaction read-write.
SELECT _wh.alter_template('conn_t', query_template => $$SELECT nextval('seq') AS n, '{TARGET_DATE}'::date AS d$$,
                          column_definitions => 'n bigint, d date');
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SELECT _wh.alter_template('conn_t', query_template => $$SELECT set_config('transaction_read_only', 'off', false)::int8 AS n, '{TARGET_DATE}'::date AS d$$);
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE

-- The tenant's notices end here; of its errors the SQLSTATE and one clean,
-- short line are kept.
SELECT _wh.alter_template('conn_t', query_template => $$SELECT noisy()::int8 AS n, '{TARGET_DATE}'::date AS d$$);
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
SELECT _wh.alter_template('conn_t', query_template => $$SELECT forge()::int8 AS n, '{TARGET_DATE}'::date AS d$$);
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SELECT _wh.alter_template('conn_t', query_template => $$SELECT babble()::int8 AS n, '{TARGET_DATE}'::date AS d$$);
DO $$
DECLARE
	message text;
BEGIN
	PERFORM * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
EXCEPTION WHEN raise_exception THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
	RAISE WARNING '% bytes', octet_length(message);
END$$;

-- A server that goes away says so, or does not.
SELECT _wh.alter_template('conn_t', query_template => $$SELECT pg_terminate_backend(pg_backend_pid())::int::int8 AS n, '{TARGET_DATE}'::date AS d$$);
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE

-- Deadlines.
SELECT _wh.alter_template('conn_t', query_template => $$SELECT pg_sleep(20)::text::int8 AS n, '{TARGET_DATE}'::date AS d$$);
SET pg_warehouse.no_progress_timeout = '200ms';
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
RESET pg_warehouse.no_progress_timeout;
SET pg_warehouse.run_timeout = '200ms';
\set VERBOSITY sqlstate
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\set VERBOSITY default
RESET pg_warehouse.run_timeout;
ALTER ROLE wh_conn_role SET statement_timeout = '200ms';
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SET statement_timeout = '200ms';
ALTER ROLE wh_conn_role RESET statement_timeout;
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
RESET statement_timeout;

-- All of those were left by closing the socket, and the tenant's server ends
-- what it did for them, within client_connection_check_interval.
DO $$
BEGIN
	FOR i IN 1..150 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'wh_conn_role');
		PERFORM pg_sleep(0.1);
		PERFORM pg_stat_clear_snapshot();
	END LOOP;
END$$;
SELECT count(*) AS still_there FROM pg_stat_activity WHERE usename = 'wh_conn_role';

-- Nobody there: a closed port, no such socket, a name nobody knows.
SELECT _wh.alter_tenant('conn_a', host => '127.0.0.1', port => 1);
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SELECT step, ok, detail, fix FROM _wh.test_tenant('conn_a');
SELECT _wh.alter_tenant('conn_a', host => '/nowhere');
\set VERBOSITY terse
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SELECT _wh.alter_tenant('conn_a', host => 'no-such-host.invalid');
SET pg_warehouse.connect_timeout = '2s';
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SELECT step, ok, detail ~ 'Could not resolve host name "no-such-host.invalid"' AS said, fix FROM _wh.test_tenant('conn_a');
RESET pg_warehouse.connect_timeout;
\set VERBOSITY default

-- The server's own refusals.
SELECT _wh.alter_tenant('conn_a', host => :'socket', port => :port, dbname => 'wh_conn_none');
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SELECT step, ok, detail, fix FROM _wh.test_tenant('conn_a');
SELECT _wh.alter_tenant('conn_a', dbname => 'wh_conn_src', username => 'wh_conn_nobody');
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
SELECT _wh.alter_tenant('conn_a', username => 'wh_conn_role');
ALTER ROLE wh_conn_role CONNECTION LIMIT 0;
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
ALTER ROLE wh_conn_role CONNECTION LIMIT -1;
ALTER DATABASE wh_conn_src ALLOW_CONNECTIONS false;
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
ALTER DATABASE wh_conn_src ALLOW_CONNECTIONS true;

-- A role that may do too much is told.
SELECT _wh.alter_tenant('conn_a', username => 'postgres', dbname => 'wh_conn_src');
SELECT step, detail, fix FROM _wh.test_tenant('conn_a') WHERE step = 'privileges';
SELECT _wh.alter_tenant('conn_a', username => 'wh_conn_role');
ALTER ROLE wh_conn_role CREATEROLE;
SELECT step, detail, fix FROM _wh.test_tenant('conn_a') WHERE step = 'privileges';
ALTER ROLE wh_conn_role NOCREATEROLE;

-- The last door: rows that got past the checks all the same.
ALTER TABLE _wh.tenant_connections DISABLE TRIGGER USER;
UPDATE _wh.tenant_connections SET host = 'one,two' WHERE tenant_name = 'conn_a';
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
UPDATE _wh.tenant_connections SET host = '@abstract' WHERE tenant_name = 'conn_a';
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
UPDATE _wh.tenant_connections SET host = '' WHERE tenant_name = 'conn_a';
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
-- A name that is a connection string is a name.
UPDATE _wh.tenant_connections SET host = :'socket', port = :port, dbname = 'dbname=postgres host=elsewhere'
WHERE tenant_name = 'conn_a';
SELECT * FROM _wh.fetch('conn_t', 'conn_a', '2001-01-01') AS r(n bigint, d date);
\echo :SQLSTATE
ALTER TABLE _wh.tenant_connections ENABLE TRIGGER USER;

-- Nothing goes out of a read-only transaction.
BEGIN READ ONLY;
SELECT * FROM _wh.test_tenant('conn_a');
\echo :SQLSTATE
ROLLBACK;

SELECT _wh.drop_template('conn_t') IS NOT NULL AS dropped;
SELECT _wh.drop_tenant('conn_a', drop_data => true) IS NOT NULL AS dropped;
DROP DATABASE wh_conn_src;
DROP ROLE wh_conn_role;
