CREATE TABLE _wh.tenant_connections (
    tenant_name text NOT NULL PRIMARY KEY,
    tenant_key text NOT NULL UNIQUE,
    schema_name pg_catalog.name NOT NULL UNIQUE,
    host text NOT NULL,
    port integer NOT NULL DEFAULT 5432,
    dbname text NOT NULL,
    username text NOT NULL,
    sslmode text NOT NULL DEFAULT 'verify-full',
    sslrootcert text,
    sslcert text,
    sslkey text,
    auth_method text NOT NULL DEFAULT 'password',
    time_zone text NOT NULL DEFAULT 'UTC',
    max_connections integer NOT NULL DEFAULT 2,
    options jsonb NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    description text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE _wh.tenant_connections IS 'One row per tenant database; passwords are sealed elsewhere (_wh.set_tenant_password)';
COMMENT ON COLUMN _wh.tenant_connections.tenant_key IS 'The first name; never changes, materialized view bodies carry it';
SELECT pg_catalog.pg_extension_config_dump('_wh.tenant_connections', '');

CREATE TABLE _wh.sealed_secrets (
    subject text NOT NULL PRIMARY KEY,
    key_id text NOT NULL,
    nonce bytea NOT NULL,
    sealed bytea NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE _wh.sealed_secrets IS 'Sealed passwords (XChaCha20-Poly1305), bound to the endpoint they are for; the key ring is a file outside the database';
SELECT pg_catalog.pg_extension_config_dump('_wh.sealed_secrets', '');
