CREATE FUNCTION _wh.wh_lock_budget() RETURNS TABLE (
    view_name text,
    relations bigint,
    locks bigint,
    capacity bigint,
    planning_ms double precision,
    advice text
)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_lock_budget';
COMMENT ON FUNCTION _wh.wh_lock_budget() IS
    'What a query over the whole of each view takes: locks of the server''s table, and planning time';

CREATE FUNCTION _wh.wh_doctor() RETURNS TABLE (check_name text, status text, detail text, fix_sql text)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'wh_doctor';
COMMENT ON FUNCTION _wh.wh_doctor() IS
    'Every check of the warehouse (ok, warn, error), with the SQL that mends what it finds';
