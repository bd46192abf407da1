CREATE TABLE _wh.bridges (
    server_name pg_catalog.name NOT NULL PRIMARY KEY,
    username text NOT NULL,
    remote_schema pg_catalog.name NOT NULL,
    local_schema pg_catalog.name NOT NULL UNIQUE,
    tables pg_catalog.name[],
    app_roles pg_catalog.name[],
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE _wh.bridges IS 'The postgres_fdw servers that are ours; endpoint and options are the server''s, passwords the user mappings''';
COMMENT ON COLUMN _wh.bridges.username IS 'Role at the source, for every mapping';
COMMENT ON COLUMN _wh.bridges.tables IS 'Tables to import; NULL: every one that the role may read';
COMMENT ON COLUMN _wh.bridges.app_roles IS 'Roles that read the local schema, each with a mapping of its own';
SELECT pg_catalog.pg_extension_config_dump('_wh.bridges', '');

CREATE TABLE _wh.bridge_relations (
    server_name pg_catalog.name NOT NULL,
    relation_schema pg_catalog.name NOT NULL,
    relation_name pg_catalog.name NOT NULL,
    kind text NOT NULL CHECK (kind IN ('shim', 'snapshot')),
    source_name pg_catalog.name NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (relation_schema, relation_name)
);
COMMENT ON TABLE _wh.bridge_relations IS 'Views and materialized views that we made over a bridge''s tables; no other one is ever replaced or dropped';
COMMENT ON COLUMN _wh.bridge_relations.source_name IS 'The foreign table, named as at the source';
SELECT pg_catalog.pg_extension_config_dump('_wh.bridge_relations', '');

CREATE FUNCTION _wh.create_bridge(
    server name,
    host text,
    dbname text,
    username text,
    port integer DEFAULT 5432,
    remote_schema name DEFAULT 'public',
    local_schema name DEFAULT NULL,
    tables name[] DEFAULT NULL,
    options jsonb DEFAULT '{}',
    app_roles name[] DEFAULT NULL
) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_create_bridge';
COMMENT ON FUNCTION _wh.create_bridge(name, text, text, text, integer, name, name, name[], jsonb, name[]) IS
    'Set postgres_fdw up for a database: server, user mappings, local schema with its foreign tables; superuser';

CREATE FUNCTION _wh.alter_bridge(server name, options jsonb) RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_alter_bridge';
COMMENT ON FUNCTION _wh.alter_bridge(name, jsonb) IS
    'Change a bridge''s endpoint, options or application roles (null: the default); superuser';

CREATE FUNCTION _wh.drop_bridge(
    server name,
    drop_data boolean DEFAULT false,
    dry_run boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_drop_bridge';
COMMENT ON FUNCTION _wh.drop_bridge(name, boolean, boolean) IS
    'Remove a bridge, and with drop_data the materialized views that we made over it; superuser';

CREATE FUNCTION _wh.sync_bridge(server name, dry_run boolean DEFAULT false) RETURNS TABLE (action text, object text, detail text)
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_sync_bridge';
COMMENT ON FUNCTION _wh.sync_bridge(name, boolean) IS
    'Follow the remote schema: tables new, changed, gone, skipped (cannot be read here), blocked (something depends on them)';

CREATE FUNCTION _wh.create_shim_views(
    server name,
    strip_prefix text DEFAULT NULL,
    dry_run boolean DEFAULT false
) RETURNS TABLE (view_name text, remote_name text, action text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_create_shim_views';
COMMENT ON FUNCTION _wh.create_shim_views(name, text, boolean) IS
    'Views with lower-case names over a bridge''s tables, for queries without quotes';

CREATE FUNCTION _wh.create_snapshot_mvs(
    server name,
    target_schema name,
    tables name[] DEFAULT NULL,
    suffix text DEFAULT '_mv',
    dry_run boolean DEFAULT false
) RETURNS TABLE (mv_name text, source_name text, action text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_create_snapshot_mvs';
COMMENT ON FUNCTION _wh.create_snapshot_mvs(name, name, name[], text, boolean) IS
    'Materialized views over a bridge''s tables, with a unique index where the source has a primary key; refresh_schema fills them';

CREATE PROCEDURE _wh.refresh_schema(schema_name name, concurrently boolean DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_refresh_schema';
COMMENT ON PROCEDURE _wh.refresh_schema(name, boolean) IS
    'Refresh every materialized view of a schema after those it reads, each committed with its row of the log; then raise if any failed';

CREATE FUNCTION _wh.rotate_password(target text, password text) RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_rotate_password';
COMMENT ON FUNCTION _wh.rotate_password(text, text) IS
    'Change the password of a tenant or a bridge (of both where they share the name), after it was tried at the server';

CREATE FUNCTION _wh.verify_bridge(server name) RETURNS TABLE (step text, ok boolean, detail text, fix text)
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_verify_bridge';
COMMENT ON FUNCTION _wh.verify_bridge(name) IS
    'Check every hop of a bridge, from the extension to what an application sees, each failure with its fix';
