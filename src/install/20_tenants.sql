CREATE TABLE _wh.tenant_connections (
    tenant_name text NOT NULL PRIMARY KEY,
    tenant_key text NOT NULL UNIQUE,
    schema_name pg_catalog.name NOT NULL UNIQUE,
    host text NOT NULL,
    port integer NOT NULL DEFAULT 5432,
    dbname text NOT NULL,
    username text NOT NULL,
    sslmode text NOT NULL DEFAULT 'verify-full'
        CHECK (sslmode IN ('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full')),
    sslrootcert text,
    sslcert text,
    sslkey text,
    auth_method text NOT NULL DEFAULT 'password'
        CHECK (auth_method IN ('password', 'certificate', 'trusted')),
    time_zone text NOT NULL DEFAULT 'UTC',
    max_connections integer NOT NULL DEFAULT 2 CHECK (max_connections BETWEEN 1 AND 100),
    options jsonb NOT NULL DEFAULT '{}' CHECK (pg_catalog.jsonb_typeof(options) = 'object'),
    enabled boolean NOT NULL DEFAULT true,
    description text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK (port BETWEEN 1 AND 65535)
);
COMMENT ON TABLE _wh.tenant_connections IS 'One row per tenant database; passwords are sealed elsewhere (_wh.set_tenant_password)';
COMMENT ON COLUMN _wh.tenant_connections.tenant_key IS 'The first name; never changes, materialized view bodies carry it';
COMMENT ON COLUMN _wh.tenant_connections.schema_name IS 'Local schema of the tenant''s relations; the tenant''s name where it is not given';
COMMENT ON COLUMN _wh.tenant_connections.host IS 'One name or address; a socket directory needs a superuser';
COMMENT ON COLUMN _wh.tenant_connections.sslmode IS 'As in libpq; below verify-full needs a superuser';
COMMENT ON COLUMN _wh.tenant_connections.sslrootcert IS 'File of certificate authorities; needs a superuser; default pg_warehouse.sslrootcert';
COMMENT ON COLUMN _wh.tenant_connections.sslcert IS 'File of the client certificate; needs a superuser';
COMMENT ON COLUMN _wh.tenant_connections.sslkey IS 'File of the client certificate''s key; needs a superuser';
COMMENT ON COLUMN _wh.tenant_connections.auth_method IS 'password; certificate or trusted need a superuser';
COMMENT ON COLUMN _wh.tenant_connections.time_zone IS 'Zone whose calendar days the tenant''s slices are';
COMMENT ON COLUMN _wh.tenant_connections.max_connections IS 'Most units at work at the tenant at a time, over all sessions';
COMMENT ON COLUMN _wh.tenant_connections.options IS 'Budgets and load gates: bytes_per_day, seconds_per_day, windows, min_free_slots, max_lag, max_xmin_age';
SELECT pg_catalog.pg_extension_config_dump('_wh.tenant_connections', '');

CREATE TABLE _wh.sealed_secrets (
    subject text NOT NULL PRIMARY KEY,
    key_id text NOT NULL,
    nonce bytea NOT NULL CHECK (pg_catalog.octet_length(nonce) = 24),
    sealed bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE _wh.sealed_secrets IS 'Sealed passwords (XChaCha20-Poly1305), bound to the endpoint they are for; the key ring is a file outside the database';
COMMENT ON COLUMN _wh.sealed_secrets.subject IS 'tenant: and the tenant''s key';
SELECT pg_catalog.pg_extension_config_dump('_wh.sealed_secrets', '');

CREATE FUNCTION _wh.tenant_connections_validate() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_tenant_connections_validate';
COMMENT ON FUNCTION _wh.tenant_connections_validate() IS
    'Trigger: checks a tenant as _wh.add_tenant() does and fills in what was left out';
CREATE TRIGGER validate BEFORE INSERT OR UPDATE ON _wh.tenant_connections
    FOR EACH ROW EXECUTE FUNCTION _wh.tenant_connections_validate();

CREATE FUNCTION _wh.tenant_connections_forget() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_tenant_connections_forget';
COMMENT ON FUNCTION _wh.tenant_connections_forget() IS
    'Trigger: drops the sealed password together with its tenant';
CREATE TRIGGER forget AFTER DELETE ON _wh.tenant_connections
    FOR EACH ROW EXECUTE FUNCTION _wh.tenant_connections_forget();

CREATE FUNCTION _wh.add_tenant(
    tenant text,
    host text,
    dbname text,
    username text,
    port integer = 5432,
    schema_name text = NULL,
    sslmode text = 'verify-full',
    sslrootcert text = NULL,
    auth_method text = 'password',
    time_zone text = 'UTC',
    max_connections integer = 2,
    description text = NULL,
    sslcert text = NULL,
    sslkey text = NULL,
    options jsonb = '{}'
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_add_tenant';
COMMENT ON FUNCTION _wh.add_tenant IS
    'Adds a tenant and its schema; its password comes with _wh.set_tenant_password()';

CREATE FUNCTION _wh.alter_tenant(
    tenant text,
    host text = NULL,
    dbname text = NULL,
    username text = NULL,
    port integer = NULL,
    schema_name text = NULL,
    sslmode text = NULL,
    sslrootcert text = NULL,
    auth_method text = NULL,
    time_zone text = NULL,
    max_connections integer = NULL,
    description text = NULL,
    sslcert text = NULL,
    sslkey text = NULL,
    options jsonb = NULL,
    enabled boolean = NULL,
    reset text[] = NULL,
    verify boolean = false
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_alter_tenant';
COMMENT ON FUNCTION _wh.alter_tenant IS
    'Changes the settings given and puts those named in "reset" back to their default; another endpoint drops the password; "verify" compares its schema with the templates first';

CREATE FUNCTION _wh.rename_tenant(tenant text, new_name text, rename_schema boolean = false)
    RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_rename_tenant';
COMMENT ON FUNCTION _wh.rename_tenant(text, text, boolean) IS
    'Renames a tenant, on request its schema too; slices, log and password stay with it';

CREATE FUNCTION _wh.drop_tenant(tenant text, drop_data boolean = false, dry_run boolean = false)
    RETURNS jsonb
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_drop_tenant';
COMMENT ON FUNCTION _wh.drop_tenant(text, boolean, boolean) IS
    'Drops a tenant; its relations leave views and ledger and stay as plain relations unless drop_data';

CREATE FUNCTION _wh.set_tenant_password(tenant text, password text) RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_set_tenant_password';
COMMENT ON FUNCTION _wh.set_tenant_password(text, text) IS
    'Seals a tenant''s password; refuses where the server would log the statement';

CREATE FUNCTION _wh.set_tenant_password_from_file(tenant text, path text) RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_set_tenant_password_from_file';
COMMENT ON FUNCTION _wh.set_tenant_password_from_file(text, text) IS
    'Seals the password in the first line of a file of the server, for a superuser';

CREATE FUNCTION _wh.create_key() RETURNS text
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_create_key';
COMMENT ON FUNCTION _wh.create_key() IS
    'Makes the key ring file that pg_warehouse.key_file names and returns the key''s id, for a superuser';

CREATE FUNCTION _wh.reseal() RETURNS integer
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_reseal';
COMMENT ON FUNCTION _wh.reseal() IS
    'Seals every password anew under the last key of the ring and returns how many';

CREATE VIEW _wh.tenant_password_entry AS
    SELECT NULL::text AS tenant, NULL::text AS password WHERE false;
COMMENT ON VIEW _wh.tenant_password_entry IS
    'COPY lines of tenant, tab, password into it (a backslash written twice) and they are sealed; always empty';

CREATE FUNCTION _wh.tenant_password_entry_insert() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_tenant_password_entry_insert';
COMMENT ON FUNCTION _wh.tenant_password_entry_insert() IS
    'Trigger: seals the password of one line of COPY';
CREATE TRIGGER seal INSTEAD OF INSERT ON _wh.tenant_password_entry
    FOR EACH ROW EXECUTE FUNCTION _wh.tenant_password_entry_insert();

CREATE FUNCTION _wh.tenant_password_entry_guard() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_tenant_password_entry_guard';
COMMENT ON FUNCTION _wh.tenant_password_entry_guard() IS
    'Trigger: keeps lines that COPY cannot read out of the server''s log';
CREATE TRIGGER hide BEFORE INSERT ON _wh.tenant_password_entry
    FOR EACH STATEMENT EXECUTE FUNCTION _wh.tenant_password_entry_guard();
CREATE TRIGGER unhide AFTER INSERT ON _wh.tenant_password_entry
    FOR EACH STATEMENT EXECUTE FUNCTION _wh.tenant_password_entry_guard();
