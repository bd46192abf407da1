CREATE FUNCTION _wh.detach_all(dry_run boolean DEFAULT false) RETURNS SETOF text
    LANGUAGE c STRICT
    AS 'MODULE_PATHNAME', 'wh_detach_all';
COMMENT ON FUNCTION _wh.detach_all(boolean) IS
    'Turn slices into plain tables, and let views stand on these, so that DROP EXTENSION loses no row; says what it did';
