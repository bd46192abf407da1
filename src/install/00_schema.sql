\echo Use "CREATE EXTENSION pg_warehouse" to load this file. \quit

CREATE SCHEMA _wh;
COMMENT ON SCHEMA _wh IS 'pg_warehouse: control tables, functions and status views';

CREATE FUNCTION _wh.current_date_utc() RETURNS pg_catalog.date
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'wh_current_date_utc';
COMMENT ON FUNCTION _wh.current_date_utc() IS
    'Today in UTC, whatever the session''s time zone';
