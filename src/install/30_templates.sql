CREATE TABLE _wh.mv_templates (
    template_name text NOT NULL PRIMARY KEY,
    description text,
    query_template text NOT NULL,
    column_definitions text NOT NULL,
    indexes text,
    materialization text NOT NULL DEFAULT 'daily',
    time_column pg_catalog.name,
    key_columns pg_catalog.name[],
    watermark_column pg_catalog.name,
    source text NOT NULL DEFAULT 'tenant',
    lookback_days integer NOT NULL DEFAULT 1,
    on_drift text NOT NULL DEFAULT 'fail',
    options jsonb NOT NULL DEFAULT '{}',
    tenants text[],
    version integer NOT NULL DEFAULT 1,
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE _wh.mv_templates IS 'One row per template: the query that becomes one materialized view per tenant and day';
SELECT pg_catalog.pg_extension_config_dump('_wh.mv_templates', '');
