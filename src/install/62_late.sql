CREATE FUNCTION _wh.reconcile(
    template text,
    tenant text,
    from_date date DEFAULT NULL,
    to_date date DEFAULT NULL,
    fix boolean DEFAULT true,
    accept_shrink boolean DEFAULT false
) RETURNS TABLE (
    period_start date,
    source_rows bigint,
    local_rows bigint,
    equal boolean,
    action text,
    rows_inserted bigint,
    rows_updated bigint,
    rows_deleted bigint,
    run_id bigint,
    sqlstate text,
    message text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_reconcile';
COMMENT ON FUNCTION _wh.reconcile(text, text, date, date, boolean, boolean) IS
    'Compare count and hash per day with the source (NULL: from the first day to today) and load what differs';

CREATE FUNCTION _wh.drift(template text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS TABLE (
    template_name text,
    tenant_name text,
    column_name text,
    declared_type text,
    source_type text,
    change text,
    message text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_drift';
COMMENT ON FUNCTION _wh.drift(text, text) IS
    'Every tenant''s schema against the template, column by column; no row is read';
