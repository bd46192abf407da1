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
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE _wh.mv_templates IS 'One row per template: the query that becomes relations of each tenant';
COMMENT ON COLUMN _wh.mv_templates.query_template IS 'One SELECT, perhaps with {TENANT}; a daily one with {TARGET_DATE}, or {DAY_START} and {DAY_END}';
COMMENT ON COLUMN _wh.mv_templates.column_definitions IS 'Names and types of the columns, as in CREATE TABLE';
COMMENT ON COLUMN _wh.mv_templates.indexes IS 'CREATE INDEX statements on {schema}.{view_name}, separated by semicolons';
COMMENT ON COLUMN _wh.mv_templates.time_column IS 'Column that every row''s day is read from; NULL: rows are not checked against their day';
COMMENT ON COLUMN _wh.mv_templates.materialization IS 'daily: one materialized view per day; snapshot: one of the whole; incremental: one table, fed by what changed; live: a view over foreign tables, never copied';
COMMENT ON COLUMN _wh.mv_templates.source IS 'tenant: the query runs at the tenant; local: derived, here, over the tenant''s own relations';
COMMENT ON COLUMN _wh.mv_templates.key_columns IS 'Natural key; of an incremental template the primary key of its tables';
COMMENT ON COLUMN _wh.mv_templates.watermark_column IS 'Incremental: the column that says when a row was written at the source';
COMMENT ON COLUMN _wh.mv_templates.tenants IS 'Tenants that the template applies to; NULL: every enabled one';
COMMENT ON COLUMN _wh.mv_templates.version IS 'Raised by a change of query, columns or indexes; slices say which version they hold';
SELECT pg_catalog.pg_extension_config_dump('_wh.mv_templates', '');

CREATE FUNCTION _wh.template_trigger() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_template_trigger';
COMMENT ON FUNCTION _wh.template_trigger() IS
    'Checks a row of mv_templates, whoever writes it';

CREATE TRIGGER mv_templates_check BEFORE INSERT OR UPDATE ON _wh.mv_templates
    FOR EACH ROW EXECUTE FUNCTION _wh.template_trigger();

CREATE FUNCTION _wh.add_template(
    template text,
    query_template text,
    column_definitions text DEFAULT NULL,
    indexes text DEFAULT NULL,
    materialization text DEFAULT 'daily',
    time_column pg_catalog.name DEFAULT NULL,
    key_columns pg_catalog.name[] DEFAULT NULL,
    watermark_column pg_catalog.name DEFAULT NULL,
    source text DEFAULT 'tenant',
    lookback_days integer DEFAULT 1,
    on_drift text DEFAULT 'fail',
    options jsonb DEFAULT '{}',
    sample_tenant text DEFAULT NULL,
    description text DEFAULT NULL,
    tenants text[] DEFAULT NULL
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_add_template';
COMMENT ON FUNCTION _wh.add_template(text, text, text, text, text, pg_catalog.name, pg_catalog.name[], pg_catalog.name, text, integer, text, jsonb, text, text, text[]) IS
    'Define a template; columns that are not given are asked of sample_tenant, or of the first tenant it applies to';

CREATE FUNCTION _wh.alter_template(
    template text,
    query_template text DEFAULT NULL,
    column_definitions text DEFAULT NULL,
    indexes text DEFAULT NULL,
    materialization text DEFAULT NULL,
    time_column pg_catalog.name DEFAULT NULL,
    key_columns pg_catalog.name[] DEFAULT NULL,
    watermark_column pg_catalog.name DEFAULT NULL,
    source text DEFAULT NULL,
    lookback_days integer DEFAULT NULL,
    on_drift text DEFAULT NULL,
    options jsonb DEFAULT NULL,
    sample_tenant text DEFAULT NULL,
    description text DEFAULT NULL,
    tenants text[] DEFAULT NULL,
    enabled boolean DEFAULT NULL,
    reset text[] DEFAULT NULL
) RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_alter_template';
COMMENT ON FUNCTION _wh.alter_template(text, text, text, text, text, pg_catalog.name, pg_catalog.name[], pg_catalog.name, text, integer, text, jsonb, text, text, text[], boolean, text[]) IS
    'Change settings of a template: NULL leaves one as it is, "reset" names those that get their default again';

CREATE FUNCTION _wh.drop_template(template text, drop_data boolean DEFAULT false, dry_run boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_drop_template';
COMMENT ON FUNCTION _wh.drop_template(text, boolean, boolean) IS
    'Remove a template and its views; its relations only with drop_data, else they stay and are listed';

CREATE FUNCTION _wh.template_sql(template text DEFAULT NULL) RETURNS SETOF text
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'wh_template_sql';
COMMENT ON FUNCTION _wh.template_sql(text) IS
    'Calls of add_template that make equal templates elsewhere; all of them without an argument';
