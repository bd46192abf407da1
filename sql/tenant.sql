-- Rows of tenant_connections: what is filled in, what is refused, to whom.

-- Run a statement and say how it ended.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', sqlstate || ' ' || message, nullif(detail, ''), nullif(hint, ''));
END $$;

-- Insert a row that differs from a good one in one column.
CREATE FUNCTION pg_temp.try_tenant(setting text, value text) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.try(format(
        'INSERT INTO _wh.tenant_connections SELECT (jsonb_populate_record(NULL::_wh.tenant_connections, %L)).*',
        '{"tenant_name": "t1", "host": "db.example.com", "port": 5432, "dbname": "app", "username": "reader",
          "sslmode": "verify-full", "auth_method": "password", "time_zone": "UTC", "max_connections": 2,
          "options": {}, "enabled": true, "created_at": "2024-01-01", "updated_at": "2024-01-01"}'::jsonb
        || jsonb_build_object(setting, value::jsonb)));
$$;

CREATE TEMP TABLE bad (id serial, setting text, value text);
INSERT INTO bad (setting, value) VALUES
    ('host', '""'), ('host', '"a/b"'), ('host', '"me@db"'), ('host', '"a,b"'), ('host', '"a b"'),
    ('host', '"a\u0001b"'), ('host', '"host=evil"'), ('host', 'null'),
    ('port', '0'), ('port', '70000'),
    ('dbname', '""'), ('dbname', '"host=evil dbname=x"'), ('dbname', '"postgres://evil/x"'),
    ('dbname', '"postgresql://evil/x"'), ('dbname', to_json(repeat('d', 64))::text),
    ('username', '""'), ('username', '"x password=geheim"'), ('username', to_json(repeat('u', 64))::text),
    ('sslmode', '"tls"'), ('auth_method', '"peer"'), ('time_zone', '"Mars/Olympus"'),
    ('max_connections', '0'), ('max_connections', '101'),
    ('options', '[]'), ('options', '{"budget": 1}'), ('options', '{"bytes_per_day": "much"}'),
    ('options', '{"seconds_per_day": -1}'), ('options', '{"min_free_slots": 1.5}'),
    ('options', '{"max_xmin_age": 0}'), ('options', '{"windows": 3}'), ('options', '{"max_lag": true}'),
    ('tenant_name', 'null'), ('tenant_name', '""'), ('tenant_name', '"public"'), ('tenant_name', '"_wh"'),
    ('tenant_name', '"pg_x"'), ('tenant_name', '"information_schema"'),
    ('tenant_name', to_json(repeat('t', 64))::text),
    ('schema_name', '"public"'), ('schema_name', '"pg_x"');

-- The very same for a superuser and for the owner.
\pset format unaligned
\pset tuples_only on
SELECT setting, value, pg_temp.try_tenant(setting, value) FROM bad ORDER BY id;
CREATE TEMP TABLE superuser_got AS SELECT id, pg_temp.try_tenant(setting, value) AS got FROM bad;
GRANT SELECT ON bad, superuser_got TO whadmin;
SET ROLE whadmin;
SELECT count(*) FROM bad JOIN superuser_got USING (id) WHERE pg_temp.try_tenant(setting, value) <> got;

-- What only a superuser may allow.
CREATE TEMP TABLE weak (id serial, setting text, value text);
INSERT INTO weak (setting, value) VALUES
    ('host', '"/run/postgresql"'), ('sslmode', '"verify-ca"'), ('sslmode', '"disable"'),
    ('auth_method', '"trusted"'), ('sslrootcert', '"/etc/ca.pem"'),
    ('sslcert', '"/etc/c.pem"'), ('sslkey', '"/etc/k.pem"');
SELECT setting, value, pg_temp.try_tenant(setting, value) FROM weak ORDER BY id;
SELECT pg_temp.try_tenant('auth_method', '"certificate"');
RESET ROLE;
SELECT pg_temp.try_tenant('auth_method', '"certificate"');
BEGIN;
SELECT setting, value, pg_temp.try_tenant(setting, value),
       pg_temp.try($$DELETE FROM _wh.tenant_connections WHERE tenant_name = 't1'$$)
FROM weak ORDER BY id;
ROLLBACK;
\pset format aligned
\pset tuples_only off

-- What is left out is filled in, what is given is kept.
BEGIN;
SET LOCAL ROLE whadmin;
INSERT INTO _wh.tenant_connections (tenant_name, host, dbname, username)
VALUES ('my-tenant', 'db.example.com', 'app', 'reader'),
       ('California', '2001:db8::1', 'app', 'Reader'),
       ('Bäckerei "x"', '192.0.2.1', 'my app', 'reader');
INSERT INTO _wh.tenant_connections (tenant_name, tenant_key, schema_name, host, dbname, username, created_at, updated_at)
VALUES ('t2', 'k2', 's2', 'db.example.com', 'app', 'reader', '2020-01-01', '2020-01-02');
SELECT tenant_name, tenant_key, schema_name, port, sslmode, auth_method, time_zone, max_connections,
       options, enabled, updated_at = now() AS updated_now
FROM _wh.tenant_connections WHERE tenant_name NOT LIKE 'tenant%' ORDER BY tenant_name COLLATE "C";

-- An update says when, unless it says so itself.
UPDATE _wh.tenant_connections SET description = 'x' WHERE tenant_name = 't2';
SELECT updated_at = now() AS updated_now FROM _wh.tenant_connections WHERE tenant_name = 't2';
UPDATE _wh.tenant_connections SET updated_at = '2021-01-01' WHERE tenant_name = 't2';
SELECT updated_at = '2021-01-01' AS as_given FROM _wh.tenant_connections WHERE tenant_name = 't2';

-- An update is checked like an insert; names stay.
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET port = 0 WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET sslmode = 'prefer' WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET host = 'db2.example.com' WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET tenant_name = 't3' WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET schema_name = 's3' WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET tenant_key = 'k3' WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$INSERT INTO _wh.tenant_connections (tenant_name, host, dbname, username)
    VALUES ('t2', 'db.example.com', 'app', 'reader') ON CONFLICT (tenant_name) DO UPDATE SET port = 0$$);
RESET ROLE;

-- What a superuser allowed for one endpoint, the owner cannot move to another;
-- the rest of the row is his.
UPDATE _wh.tenant_connections SET sslmode = 'disable' WHERE tenant_name = 't2';
SET LOCAL ROLE whadmin;
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET host = 'evil.example.com' WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET port = 5433 WHERE tenant_name = 't2'$$);
SELECT pg_temp.try($$UPDATE _wh.tenant_connections SET enabled = false, time_zone = 'Asia/Tokyo' WHERE tenant_name = 't2'$$);
RESET ROLE;
\pset format aligned
\pset tuples_only off

-- Rows come back equal, as from a dump, whatever they hold.
CREATE TEMP TABLE saved AS SELECT * FROM _wh.tenant_connections;
DELETE FROM _wh.tenant_connections;
INSERT INTO _wh.tenant_connections SELECT * FROM saved;
TABLE saved EXCEPT TABLE _wh.tenant_connections;
TABLE _wh.tenant_connections EXCEPT TABLE saved;
SELECT count(*) > 4 AS several FROM saved;
ROLLBACK;

-- The trigger is for its table only.
SELECT _wh.tenant_connections_validate();
\echo :SQLSTATE
SELECT _wh.tenant_connections_forget();
\echo :SQLSTATE

-- Whom the rows are not for.
SET ROLE phood_ro;
SELECT * FROM _wh.tenant_connections;
\echo :SQLSTATE
RESET ROLE;
