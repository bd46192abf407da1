CREATE FUNCTION _wh.create_mv_from_template(
    template text,
    tenant text,
    target_schema text DEFAULT NULL,
    target_date date DEFAULT _wh.current_date_utc()
) RETURNS boolean
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_create_mv_from_template';
COMMENT ON FUNCTION _wh.create_mv_from_template(text, text, text, date) IS
    'Create and fill the materialized view of one day; true when it is there, a failure is logged and false';

CREATE FUNCTION _wh.update_mv_by_template(
    template text,
    tenant text,
    target_date date DEFAULT _wh.current_date_utc()
) RETURNS boolean
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_update_mv_by_template';
COMMENT ON FUNCTION _wh.update_mv_by_template(text, text, date) IS
    'Create or refresh one day and, when it is today, the days before it that were not loaded since they closed';

CREATE FUNCTION _wh.update_mv_window_by_template(
    template text,
    tenant text,
    from_date date,
    to_date date
) RETURNS jsonb
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_update_mv_window_by_template';
COMMENT ON FUNCTION _wh.update_mv_window_by_template(text, text, date, date) IS
    'Create or refresh every day from from_date to to_date, both inclusive; a report per day';

CREATE FUNCTION _wh.update_tenant_union_view_by_template(template text, tenant text) RETURNS boolean
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_update_tenant_union_view_by_template';
COMMENT ON FUNCTION _wh.update_tenant_union_view_by_template(text, text) IS
    'Create or rebuild the view over one tenant''s slices';

CREATE FUNCTION _wh.update_public_view_by_template(template text) RETURNS boolean
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_update_public_view_by_template';
COMMENT ON FUNCTION _wh.update_public_view_by_template(text) IS
    'Create or rebuild the view over all tenants, with schema_name';

CREATE FUNCTION _wh.rebuild_entire_warehouse(
    from_date date DEFAULT NULL,
    to_date date DEFAULT NULL,
    tenants text[] DEFAULT NULL,
    templates text[] DEFAULT NULL,
    dry_run boolean DEFAULT false,
    lost_only boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_rebuild_entire_warehouse';
COMMENT ON FUNCTION _wh.rebuild_entire_warehouse(date, date, text[], text[], boolean, boolean) IS
    'Load every day that is missing or not final, or, as after a restore, only those that the ledger has and nobody can read; newest first; a rerun resumes';

CREATE FUNCTION _wh.wh_refresh(
    template text DEFAULT NULL,
    tenant text DEFAULT NULL,
    from_date date DEFAULT NULL,
    to_date date DEFAULT NULL,
    parallel integer DEFAULT NULL,
    dry_run boolean DEFAULT false,
    on_error text DEFAULT 'report',
    method text DEFAULT NULL,
    prove boolean DEFAULT false,
    consistent boolean DEFAULT false,
    accept_shrink boolean DEFAULT false
) RETURNS TABLE (
    template_name text,
    tenant_name text,
    period_start date,
    status text,
    method text,
    rows bigint,
    rows_inserted bigint,
    rows_updated bigint,
    rows_deleted bigint,
    rows_unchanged bigint,
    bytes bigint,
    fetch_ms double precision,
    load_ms double precision,
    lock_ms double precision,
    run_id bigint,
    sqlstate text,
    message text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_refresh';
COMMENT ON FUNCTION _wh.wh_refresh(text, text, date, date, integer, boolean, text, text, boolean, boolean, boolean) IS
    'Refresh templates, tenants and days (NULL: all; today with its look-back); one row per unit';

CREATE FUNCTION _wh.wh_plan(
    template text DEFAULT NULL,
    tenant text DEFAULT NULL,
    from_date date DEFAULT NULL,
    to_date date DEFAULT NULL,
    parallel integer DEFAULT NULL,
    dry_run boolean DEFAULT false,
    on_error text DEFAULT 'report',
    method text DEFAULT NULL,
    prove boolean DEFAULT false,
    consistent boolean DEFAULT false,
    accept_shrink boolean DEFAULT false
) RETURNS TABLE (
    seq integer,
    tenant_name text,
    remote_sql text,
    local_sql text,
    relation text,
    locks text,
    note text,
    method text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_plan';
COMMENT ON FUNCTION _wh.wh_plan(text, text, date, date, integer, boolean, text, text, boolean, boolean, boolean) IS
    'What wh_refresh with the same arguments would run, here and at the tenants; nothing is run';

CREATE PROCEDURE _wh.run_refresh(
    template text DEFAULT NULL,
    tenant text DEFAULT NULL,
    from_date date DEFAULT NULL,
    to_date date DEFAULT NULL
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_run_refresh';
COMMENT ON PROCEDURE _wh.run_refresh(text, text, date, date) IS
    'What a job calls: refresh, commit every unit with its log row, then raise if any failed';

CREATE FUNCTION _wh.create_combined_table_from_template_by_year(
    template text,
    tenant text,
    year integer,
    allow_gaps boolean DEFAULT false,
    dry_run boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_create_combined_by_year';
COMMENT ON FUNCTION _wh.create_combined_table_from_template_by_year(text, text, integer, boolean, boolean) IS
    'Roll a closed year''s days and months into one table, proved before it takes their place';

CREATE FUNCTION _wh.create_combined_table_from_template_by_month(
    template text,
    tenant text,
    month date,
    allow_gaps boolean DEFAULT false,
    dry_run boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_create_combined_by_month';
COMMENT ON FUNCTION _wh.create_combined_table_from_template_by_month(text, text, date, boolean, boolean) IS
    'Roll a closed month''s days into one table, proved before it takes their place';

CREATE FUNCTION _wh.wh_rollup(
    template text DEFAULT NULL,
    tenant text DEFAULT NULL,
    dry_run boolean DEFAULT false
) RETURNS SETOF jsonb
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_rollup';
COMMENT ON FUNCTION _wh.wh_rollup(text, text, boolean) IS
    'Roll up what daily_retention and monthly_retention of the templates say is due; one report per table';

CREATE PROCEDURE _wh.run_rollup(template text DEFAULT NULL, tenant text DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_run_rollup';
COMMENT ON PROCEDURE _wh.run_rollup(text, text) IS
    'What a job calls: roll up what is due, commit each table, drop what it replaced, then raise if any failed';

CREATE FUNCTION _wh.reseed(template text, tenant text, since timestamptz DEFAULT '-infinity') RETURNS void
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_reseed';
COMMENT ON FUNCTION _wh.reseed(text, text, timestamptz) IS
    'Set an incremental template''s watermark: the next refresh reads all rows written since';
