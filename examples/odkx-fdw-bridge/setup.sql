-- The bridge in three calls, run as postgres: psql -v host=... -v port=...
-- ODK-X's container offers no TLS, so sslmode says so.
CREATE EXTENSION postgres_fdw;
CREATE ROLE smartfield_ro LOGIN PASSWORD 'DJANGO_RO_PASSWORD';
SELECT _wh.create_bridge('odkx9', :'host', 'postgres', 'odkx_readonly', :port,
    remote_schema => 'odk_sync', local_schema => 'odkx',
    options => '{"sslmode": "disable"}', app_roles => '{smartfield_ro}');
SELECT _wh.rotate_password('odkx9', 'ODKX9_PASSWORD');
SELECT * FROM _wh.create_shim_views('odkx9', strip_prefix => '__ODKTABLES__');
SELECT * FROM _wh.create_snapshot_mvs('odkx9', 'analytics');
CALL _wh.refresh_schema('analytics');

-- The dashboard may refresh, and owns nothing.
GRANT USAGE ON SCHEMA _wh TO smartfield_ro;
GRANT EXECUTE ON PROCEDURE _wh.refresh_schema(name, boolean) TO smartfield_ro;
