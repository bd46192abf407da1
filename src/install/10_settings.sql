CREATE TABLE _wh.settings (
    only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    owner_role pg_catalog.name NOT NULL,
    reader_role pg_catalog.name NOT NULL,
    monitor_role pg_catalog.name NOT NULL,
    public_schema pg_catalog.name NOT NULL DEFAULT 'public',
    system_identifier pg_catalog.numeric(20) NOT NULL,
    adopted_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    timeline bigint NOT NULL
);
COMMENT ON TABLE _wh.settings IS 'The one row that names the three roles and the instance; written by _wh.setup() and _wh.adopt_instance()';
COMMENT ON COLUMN _wh.settings.owner_role IS 'Role that owns and refreshes the warehouse''s relations';
COMMENT ON COLUMN _wh.settings.reader_role IS 'Role of BI tools: reads tenant schemas and public views only';
COMMENT ON COLUMN _wh.settings.monitor_role IS 'Role of monitoring: reads status views only';
COMMENT ON COLUMN _wh.settings.public_schema IS 'Schema of the cross-tenant views';
COMMENT ON COLUMN _wh.settings.system_identifier IS 'Instance that may contact tenants; another one must be adopted first';
COMMENT ON COLUMN _wh.settings.timeline IS 'Its WAL timeline: a promoted copy has another one, and must be adopted first';
SELECT pg_catalog.pg_extension_config_dump('_wh.settings', '');

CREATE TABLE _wh.audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    role pg_catalog.name NOT NULL,
    action text NOT NULL,
    subject text,
    detail jsonb
);
COMMENT ON TABLE _wh.audit_log IS 'Every add, alter, drop, rename, setup, adopt, reseal and rotate: who and when; never a secret';
SELECT pg_catalog.pg_extension_config_dump('_wh.audit_log', '');
SELECT pg_catalog.pg_extension_config_dump('_wh.audit_log_audit_id_seq', '');

CREATE FUNCTION _wh.setup(
    owner_role name DEFAULT 'whadmin',
    reader_role name DEFAULT 'phood_ro',
    monitor_role name DEFAULT 'wh_monitor',
    create_roles boolean DEFAULT true,
    preload boolean DEFAULT true
) RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_setup';
COMMENT ON FUNCTION _wh.setup(name, name, name, boolean, boolean) IS
    'Set the warehouse up: roles, grants, settings; superuser, idempotent';

CREATE FUNCTION _wh.adopt_instance() RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_adopt_instance';
COMMENT ON FUNCTION _wh.adopt_instance() IS
    'Let this restored or cloned instance contact tenants, and rebuild its views';
