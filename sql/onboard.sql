-- add_tenant, alter_tenant, rename_tenant, drop_tenant.

-- Adding: row, schema and its grants, audit line.
SELECT _wh.add_tenant('shop-1', 'db.example.com', 'app', 'reader', time_zone => 'Asia/Tokyo',
                      description => 'first shop');
SELECT tenant_name, tenant_key, schema_name, host, port, sslmode, auth_method, time_zone,
       max_connections, options, enabled, description
FROM _wh.tenant_connections WHERE tenant_name = 'shop-1';
SELECT nspowner::regrole, has_schema_privilege('phood_ro', oid, 'USAGE') AS reader_uses,
       has_schema_privilege('phood_ro', oid, 'CREATE') AS reader_creates
FROM pg_namespace WHERE nspname = 'shop-1';
SELECT action, subject, detail FROM _wh.audit_log WHERE subject = 'shop-1';

-- The owner adds one too, with a schema of another name; NULL is the default.
SET ROLE whadmin;
SELECT _wh.add_tenant('Shop "2"', '2001:db8::1', 'app', 'reader', port => NULL, schema_name => 'Shop two',
                      sslmode => NULL, options => NULL);
SELECT schema_name, port, sslmode, options FROM _wh.tenant_connections WHERE tenant_name = 'Shop "2"';

-- What is taken, what is wrong, what the owner may not.
SELECT _wh.add_tenant('shop-1', 'db.example.com', 'app', 'reader');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'app', 'reader', schema_name => 'shop-1');
\echo :SQLSTATE
RESET ROLE;
CREATE SCHEMA foreigner;
SELECT _wh.add_tenant('foreigner', 'db.example.com', 'app', 'reader');
\echo :SQLSTATE
SELECT count(*) FROM _wh.tenant_connections WHERE tenant_name = 'foreigner';
DROP SCHEMA foreigner;
SET ROLE whadmin;
SELECT _wh.add_tenant(NULL, 'db.example.com', 'app', 'reader');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', NULL, 'app', 'reader');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com,evil', 'app', 'reader');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'host=evil', 'reader');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'app', 'reader', port => 70000);
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'app', 'reader', time_zone => 'Mars');
\echo :SQLSTATE
SELECT _wh.add_tenant('information_schema', 'db.example.com', 'app', 'reader');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'app', 'reader', schema_name => repeat('s', 70));
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'app', 'reader', options => '{"windows": "at night"}');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'app', 'reader', sslmode => 'require');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', '/tmp', 'app', 'reader');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop-3', 'db.example.com', 'app', 'reader', auth_method => 'trusted');
\echo :SQLSTATE
SELECT nspname FROM pg_namespace WHERE nspname = 'shop-3';
RESET ROLE;

-- Altering: what is given, and what goes back to its default.
SELECT _wh.alter_tenant('shop-1', port => 5433, max_connections => 4, enabled => false);
SELECT host, port, time_zone, max_connections, enabled, description
FROM _wh.tenant_connections WHERE tenant_name = 'shop-1';
SELECT _wh.alter_tenant('shop-1', reset => '{port,max_connections,enabled,time_zone,description}');
SELECT host, port, time_zone, max_connections, enabled, description
FROM _wh.tenant_connections WHERE tenant_name = 'shop-1';
SELECT _wh.alter_tenant('shop-1', reset => '{host}');
\echo :SQLSTATE
SELECT _wh.alter_tenant('shop-1', schema_name => 'elsewhere');
\echo :SQLSTATE
SELECT _wh.alter_tenant('shop-1', schema_name => 'shop-1');
SELECT _wh.alter_tenant('nobody', port => 5433);
\echo :SQLSTATE
SELECT _wh.alter_tenant('shop-1', port => 0);
\echo :SQLSTATE
SET ROLE whadmin;
SELECT _wh.alter_tenant('shop-1', sslmode => 'prefer');
\echo :SQLSTATE
RESET ROLE;
SELECT _wh.alter_tenant('shop-1', sslmode => 'prefer');
SET ROLE whadmin;
SELECT _wh.alter_tenant('shop-1', host => 'evil.example.com');
\echo :SQLSTATE
SELECT _wh.alter_tenant('shop-1', reset => '{sslmode}');
\echo :SQLSTATE
SELECT _wh.alter_tenant('shop-1', host => 'db.example.com', description => 'the rest is his');
RESET ROLE;
SELECT _wh.alter_tenant('shop-1', reset => '{sslmode}');

-- Another endpoint drops the password.
SELECT coalesce(nullif(current_setting('pg_warehouse.key_file', true), ''),
                regexp_replace(current_setting('data_directory'), '/[^/]+/?$', '/pg_warehouse.key')) AS ring \gset
CREATE TEMP TABLE said (line text);
\set cmd 'f=' :ring '; if [ -e $f ]; then mv $f $f.regress; fi'
COPY said FROM PROGRAM :'cmd';
SELECT _wh.create_key() IS NOT NULL AS made;
SELECT _wh.set_tenant_password('shop-1', 'secret');
SELECT _wh.alter_tenant('shop-1', max_connections => 3);
SELECT count(*) FROM _wh.sealed_secrets WHERE subject = 'tenant:shop-1';
SELECT _wh.alter_tenant('shop-1', host => 'db2.example.com');
SELECT count(*) FROM _wh.sealed_secrets WHERE subject = 'tenant:shop-1';
\set cmd 'f=' :ring '; rm $f; if [ -e $f.regress ]; then mv $f.regress $f; fi'
COPY said FROM PROGRAM :'cmd';

-- With data: a day loaded from a tenant of its own.
SELECT _wh.add_tenant('shop', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_a', 'wh_src', current_setting('port')::integer,
                      sslmode => 'disable', auth_method => 'trusted');
SET ROLE whadmin;
SELECT _wh.add_template('onboarded', $$SELECT id, logged_time FROM foodlogs
    WHERE logged_time >= {DAY_START} AND logged_time < {DAY_END}$$,
    'id bigint, logged_time timestamptz', time_column => 'logged_time', tenants => '{shop}');
SELECT _wh.update_mv_window_by_template('onboarded', 'shop', '2024-01-01', '2024-01-02') - 'duration_ms' - 'days';
SELECT _wh.alter_tenant('shop', time_zone => 'Europe/Paris');
SELECT _wh.alter_tenant('shop', reset => '{time_zone}');
SELECT schema_name, count(*) FROM public.onboarded GROUP BY 1;
RESET ROLE;

-- Renaming: everything goes by the new name, the key stays.
CREATE VIEW public.names_of_shop AS
SELECT 'tenant' AS what, tenant_name AS name, tenant_key || ' ' || schema_name AS more
FROM _wh.tenant_connections WHERE tenant_key = 'shop'
UNION ALL SELECT DISTINCT 'slice', tenant_name, relation_schema FROM _wh.slices WHERE template_name = 'onboarded'
UNION ALL SELECT 'view', tenant_name, view_schema FROM _wh.published_views WHERE template_name = 'onboarded'
UNION ALL SELECT DISTINCT 'run', tenant_name, table_name FROM _wh.extract_runs WHERE template_name = 'onboarded'
UNION ALL SELECT 'template', array_to_string(tenants, ','), NULL FROM _wh.mv_templates WHERE template_name = 'onboarded';
SET ROLE whadmin;
SELECT _wh.rename_tenant('shop', 'store');
RESET ROLE;
SELECT * FROM public.names_of_shop ORDER BY 1, 2;
SELECT _wh.rename_tenant('store', 'Store 1', rename_schema => true);
SELECT * FROM public.names_of_shop ORDER BY 1, 2;
SELECT schema_name, count(*) FROM public.onboarded GROUP BY 1;
SELECT count(*) FROM "Store 1".onboarded;

-- A refresh goes on under the new name.
SELECT _wh.update_mv_window_by_template('onboarded', 'Store 1', '2024-01-02', '2024-01-03') - 'duration_ms' - 'days';
SELECT schema_name, count(*) FROM public.onboarded GROUP BY 1;

-- Names that are taken: a tenant's, a first name, a schema's.
SELECT _wh.rename_tenant('Store 1', 'shop-1');
\echo :SQLSTATE
SELECT _wh.rename_tenant('Store 1', 'pg_x');
\echo :SQLSTATE
SELECT _wh.rename_tenant('nobody', 'somebody');
\echo :SQLSTATE
SELECT _wh.add_tenant('shop', 'db.example.com', 'app', 'reader');
\echo :SQLSTATE
CREATE SCHEMA taken;
SELECT _wh.rename_tenant('Store 1', 'taken', rename_schema => true);
\echo :SQLSTATE
DROP SCHEMA taken;

-- Dropping: first only said, then done; relations stay, views stay valid.
SELECT _wh.drop_tenant('nobody');
\echo :SQLSTATE
SELECT jsonb_pretty(_wh.drop_tenant('Store 1', dry_run => true));
SELECT jsonb_pretty(_wh.drop_tenant('Store 1', drop_data => true, dry_run => true));
SELECT count(*) FROM public.onboarded;
SET ROLE whadmin;
SELECT jsonb_pretty(_wh.drop_tenant('Store 1'));
RESET ROLE;
SELECT * FROM public.names_of_shop ORDER BY 1, 2;
SELECT count(*) FROM public.onboarded;
SELECT count(*) FROM "Store 1".onboarded_2024_01_01;
REFRESH MATERIALIZED VIEW "Store 1".onboarded_2024_01_01;
\echo :SQLSTATE
SELECT action, subject, detail -> 'kept' AS kept FROM _wh.audit_log WHERE action = 'drop_tenant' AND subject = 'Store 1';
DROP VIEW public.names_of_shop;

-- With its data; what is not ours stays.
SELECT _wh.add_tenant('store', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_b', 'wh_src', current_setting('port')::integer, schema_name => 'Store 1',
                      sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.alter_template('onboarded', tenants => '{store}');
SELECT _wh.update_mv_window_by_template('onboarded', 'store', '2024-01-04', '2024-01-05') - 'duration_ms' - 'days';
SELECT jsonb_pretty(_wh.drop_tenant('store', drop_data => true));
SELECT relname FROM pg_class WHERE relnamespace = '"Store 1"'::regnamespace AND relkind IN ('m', 'v') ORDER BY 1;
DROP MATERIALIZED VIEW "Store 1".onboarded_2024_01_01, "Store 1".onboarded_2024_01_02, "Store 1".onboarded_2024_01_03;

-- The schema too, when nothing else is in it.
SELECT _wh.add_tenant('store', split_part(current_setting('unix_socket_directories'), ',', 1),
                      'wh_tenant_b', 'wh_src', current_setting('port')::integer, schema_name => 'Store 1',
                      sslmode => 'disable', auth_method => 'trusted');
SELECT _wh.update_mv_window_by_template('onboarded', 'store', '2024-01-04', '2024-01-05') - 'duration_ms' - 'days';
SELECT jsonb_pretty(_wh.drop_tenant('store', drop_data => true));
SELECT count(*) FROM pg_namespace WHERE nspname = 'Store 1';

SELECT _wh.drop_template('onboarded') IS NOT NULL AS dropped;
SELECT _wh.drop_tenant('shop-1', drop_data => true);
SELECT _wh.drop_tenant('Shop "2"', drop_data => true);
