-- The warehouse: pg_warehouse set up, its rivals beside it.  Variables: port
-- of the tenants' server, far_port of the slow proxy before it, socket its
-- directory, columns the column list of every template.

CREATE EXTENSION pg_warehouse;
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE FUNCTION bench_sink(conninfo text, query text) RETURNS bigint
    LANGUAGE c STRICT AS 'bench_sink';
CREATE SCHEMA rival;

SET client_min_messages = warning;
SELECT _wh.setup();
SELECT _wh.create_key();

-- Four tenants on a plain connection, and the first one again far away.
SELECT _wh.add_tenant('t' || i, '127.0.0.1', 't' || i, 'reader', :port,
                      sslmode => 'disable', auth_method => 'trusted')
FROM generate_series(1, 4) AS i;
SELECT _wh.add_tenant('far', '127.0.0.1', 't1', 'reader', :far_port,
                      sslmode => 'disable', auth_method => 'trusted');

-- Three sizes, with three indexes and with none.
SELECT _wh.add_template(size || '_' || suffix,
    'SELECT * FROM src_' || size || ' WHERE {DAY_START} IS NOT NULL', :'columns', indexes,
    options => '{"start_date": "2024-01-01"}', tenants => '{t1,far}')
FROM (VALUES ('big'), ('ten'), ('none')) AS s (size),
     (VALUES ('n', NULL), ('i',
        'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id);
         CREATE INDEX {view_name}_time ON {schema}.{view_name} (logged_time);
         CREATE INDEX {view_name}_store ON {schema}.{view_name} (store)')) AS i (suffix, indexes);
SELECT _wh.add_template('quarter_' || n,
    'SELECT * FROM src_quarter WHERE {DAY_START} IS NOT NULL', :'columns',
    'CREATE UNIQUE INDEX {view_name}_id ON {schema}.{view_name} (id);
     CREATE INDEX {view_name}_time ON {schema}.{view_name} (logged_time);
     CREATE INDEX {view_name}_store ON {schema}.{view_name} (store)',
    options => '{"start_date": "2024-01-01"}',
    tenants => (SELECT array_agg('t' || i) FROM generate_series(1, n) AS i))
FROM (VALUES (1), (2), (4)) AS n (n);

-- postgres_fdw, with its own default and with a generous fetch size.
CREATE SERVER fdw_100 FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '127.0.0.1', port :'port', dbname 't1', sslmode 'disable', fetch_size '100');
CREATE SERVER fdw_10000 FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '127.0.0.1', port :'port', dbname 't1', sslmode 'disable', fetch_size '10000');
CREATE SERVER far_100 FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '127.0.0.1', port :'far_port', dbname 't1', sslmode 'disable', fetch_size '100');
CREATE SERVER far_10000 FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '127.0.0.1', port :'far_port', dbname 't1', sslmode 'disable', fetch_size '10000');
SELECT format('CREATE USER MAPPING FOR postgres SERVER %I OPTIONS (user ''reader'')', srvname)
FROM pg_foreign_server WHERE srvname ~ '_100' ORDER BY 1 \gexec
SELECT format('CREATE FOREIGN TABLE rival.%s_%s (%s) SERVER %1$s OPTIONS (schema_name ''public'', table_name ''src_%2$s'')',
              srvname, size, :'columns')
FROM pg_foreign_server, (VALUES ('big'), ('ten'), ('none')) AS s (size)
WHERE srvname ~ '_100' ORDER BY 1 \gexec
